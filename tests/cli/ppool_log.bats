# SPDX-License-Identifier: MIT
# ppool_log.bats - what a run of ppool leaves behind: the log, results, and how a run is resumed.
# shellcheck shell=bash disable=SC2016,SC2154,SC2119,SC2120,SC1083

load support

header=$'Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand'

setup() {
	common_setup
	make_args
	make_await
}
teardown() {
	[ ! -d full ] || umount full 2>/dev/null || true
	common_teardown
}

# fields LIST FILE: these fields of a log's lines, without the header, by number
fields() { tail -n +2 "$2" | sort -n | cut -f "$1"; }

# what is here, but for what bats puts there
files() { find . -mindepth 1 ! -name 'separate-stderr-*' -printf '%P\n' | sort | xargs; }

need_parallel() { command -v parallel >/dev/null || skip "needs GNU parallel"; }

# as_parallel ARG...: GNU parallel without a home to write to
as_parallel() { HOME=$BATS_TEST_TMPDIR SHELL=/bin/sh parallel --will-cite "$@" 2>/dev/null; }

# A file system of 8 KiB, as root: full/
make_full() {
	need_root
	mkdir full
	mount -t tmpfs -o size=8k pcore-test full 2>/dev/null || skip "needs to mount a tmpfs"
}

# ---- the log

@test "the log has GNU parallel's header, and nine fields for each job as it finishes" {
	# the slow one ends when the other one is in the log
	run -1 timeout 10 ppool map --log log -j2 sh -c '[ $0 = fast ] && exit 1; while [ $(wc -l <log) -lt 2 ]; do sleep 0.02; done' ::: slow fast
	[ "$(head -n 1 log)" = "$header" ]
	[ "$(tail -n +2 log | cut -f 1 | xargs)" = "2 1" ]
	[ "$(tail -n +2 log | awk -F '\t' '{ print NF }' | xargs)" = "9 9" ]
	! tail -n +2 log | grep -vE $'^[12]\t:\t[0-9]{10}\\.[0-9]{3}\t +[0-9]+\\.[0-9]{3}\t0\t0\t[01]\t0\tsh -c '
}

@test "the log is that of GNU parallel but for the times" {
	need_parallel
	as_parallel -j1 --joblog theirs 'echo {}; exit {}' ::: 0 3 1 || true
	run -1 ppool map -j1 --log ours --shell 'echo {}; exit {}' ::: 0 3 1
	[ "$(head -n 1 ours)" = "$(head -n 1 theirs)" ]
	[ "$(fields 1,2,5-8 ours)" = "$(fields 1,2,5-8 theirs)" ]
	[ "$(fields 3,4 ours | tr 0-9 9 | sort -u)" = "$(fields 3,4 theirs | tr 0-9 9 | sort -u)" ]
	[ "$(fields 9 ours)" = "$(fields 9 theirs | sed "s/\([0-9]\)/'\1'/g")" ]
}

@test "GNU parallel resumes from our log" {
	need_parallel
	run -1 ppool map --log log sh -c 'exit $0' ::: 0 1 0
	[ "$(as_parallel -j1 --joblog log --resume-failed echo ::: a b c d)" = $'b\nd' ]
}

@test "the log tells how a job ended" {
	run -1 ppool map --log log --timeout 1.5 sh -c ::: 'exit 7' 'kill -KILL $$' 'exec sleep 77' 'trap "exit 0" TERM; sleep 77 & wait'
	[ "$(fields 1,7,8 log | xargs -n3)" = $'1 7 0\n2 0 9\n3 -1 15\n4 -1 15' ]
	run -1 ppool map --log log {} ::: ./nothing true
	[ "$(fields 1,7,8 log | xargs -n3)" = $'1 127 0\n2 0 0' ]
}

@test "the log counts the bytes of stdout, where they went through ppool" {
	run -0 ppool map --log log sh -c 'printf %s "$0"; echo error >&2' ::: abc '' 12345
	[ "$(fields 5,6 log | xargs -n2)" = $'0 3\n0 0\n0 5' ]
	run -0 ppool map --raw --log log printf ::: abc
	[ "$(fields 6 log)" = 0 ]
	head -c 1000000 /dev/zero >zeros
	ppool map --log log cat ::: zeros >/dev/null
	[ "$(fields 6 log)" = 1000000 ]
}

@test "a retried job has one line, that of its last try" {
	run -1 ppool map --retry 2 --retry-delay 0 --log log sh -c 'echo x >>tries; echo "$(wc -l <tries)"; exit "$(wc -l <tries)"' ::: a
	[ "$(fields 1,6,7 log | xargs)" = "1 2 3" ]
}

@test "a command is one line of the log, and the shell reads it back" {
	printf 'a\nb\0c\td\0%s\0$x `y` *\0\x01\x7f' "it's" >items
	ppool map -0 --log log args x <items >out
	[ "$(wc -l <log)" = 6 ]
	[ "$(awk -F '\t' '{ print NF }' log | sort -u)" = 9 ]
	fields 9 log >commands
	bash commands >again
	cmp out again
	ppool map -0 --log log --shell 'args x' <items >out
	[ "$(wc -l <log)" = 6 ]
	fields 9 log >commands
	bash commands >again
	cmp out again
}

@test "the log is emptied first, but +FILE is added to" {
	ppool map --log log true ::: a b
	ppool map --log log true ::: c
	[ "$(fields 9 log)" = "true c" ]
	ppool map --log +log true ::: d
	[ "$(cut -f 9 log | xargs)" = "Command true c true d" ]
	ppool map --log +new true ::: e
	[ "$(cut -f 9 new | xargs)" = "Command true e" ]
}

@test "a log that cannot be opened is refused before anything runs" {
	for log in /nowhere/log . '' +; do
		for option in --log --log-json; do
			run -125 --separate-stderr ppool map "$option" "$log" touch ::: ran
			[[ "$stderr" == "ppool: cannot open '${log#+}': "* ]]
			[ "${#stderr_lines[@]}" = 1 ]
			[ ! -e ran ]
		done
	done
}

@test "an old log is not emptied by a run that is refused" {
	echo old >log
	run -127 ppool map --log log ./nothing ::: a
	run -125 ppool map --log log --log-json /nowhere/x true ::: a
	run -125 ppool map --log-json log --log /nowhere/x true ::: a
	run -125 ppool map --log log --results /nowhere/x/y true ::: a
	run -125 ppool map --log log -a nowhere true
	run -125 ppool map --log log --chdir nowhere true ::: a
	[ "$(cat log)" = old ]
}

@test "a log that cannot be written is told once, loses no output and makes the status 125" {
	for option in --log --log-json; do
		run -125 --separate-stderr ppool map "$option" /dev/full echo ::: a b c
		[ "$output" = $'a\nb\nc' ]
		[[ "$stderr" == "ppool: cannot write to the log '/dev/full': No space left on device"* ]]
		[ "${#stderr_lines[@]}" = 1 ]
	done
}

@test "a disk that fills up ends the log with whole lines, and what it lacks is run by the next one" {
	make_full
	seq 180 >items
	run -125 --separate-stderr ppool map --log full/log echo <items
	[ "$output" = "$(cat items)" ]
	[ "${#stderr_lines[@]}" = 1 ]
	done=$(($(wc -l <full/log) - 1))
	[ "$done" -gt 50 ]
	cp full/log log
	ppool map --log log --resume -j1 echo <items >rest
	[ "$(wc -l <rest)" = $((180 - done)) ]
	[ "$(fields 1 log)" = "$(seq 180)" ]
}

@test "--log-json has a line for each job with all that is known of it" {
	run -1 ppool map -j1 --retry 1 --retry-delay 0 --log-json log sh -c 'echo "$0"; exit "$0"' ::: 0 3
	[ "$(wc -l <log)" = 2 ]
	[ "$(jq -c '[.seq, .slot, .argv[-1], .exit, .signal, .timed_out, .killed_by, .stdout_bytes, .stderr_bytes]' log)" = \
		$'[1,1,"0",0,null,false,null,2,0]\n[2,1,"3",3,null,false,null,2,0]' ]
	[ "$(jq -c '[.attempts[].exit]' log)" = $'[0]\n[3,3]' ]
	[ "$(jq '.pid > 1 and .wall_s >= 0 and .maxrss_kib > 0 and .user_s + .sys_s > 0' log | sort -u)" = true ]
	[ "$(jq -r .start log | grep -cE '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{6}Z$')" = 2 ]
}

@test "--log-json names signals, and what could not be run" {
	run -1 ppool map -j1 --timeout 0.3 --log-json log {} 77 ::: sleep ./nothing "$PWD/await"
	[ "$(jq -c '[.seq, .exit, .signal, .timed_out, .killed_by]' log | head -n 1)" = '[1,null,"SIGTERM",true,"timeout"]' ]
	[ "$(jq -c '[.exit, .setup_error.step, .setup_error.errno, .pid]' log | sed -n 2p)" = '[null,"exec","ENOENT",null]' ]
	ppool map --log-json +log true ::: a
	[ "$(jq .seq log | xargs)" = "1 2 3 1" ]
	run -0 ppool map --raw --log-json log echo ::: a
	[ "$(jq -c '[.stdout_bytes, .read_bytes, .method]' log)" = '[null,null,null]' ]
	make_family
	run -0 ppool map --log-json log family ready ::: 0
	[ "$(jq .survivors log)" -gt 0 ]
}

# ---- resuming

@test "--resume runs what the log has no line for" {
	run -1 ppool map --log log sh -c 'exit $0' ::: 0 3
	run -0 ppool map --log log --resume sh -c 'exit $0' ::: 0 3
	run -1 ppool map --log log --resume sh -c 'exit $0' ::: 0 3 4 0
	[ "$(fields 1,7 log | xargs -n2)" = $'1 0\n2 3\n3 4\n4 0' ]
	[ "$(grep -c ^Seq log)" = 1 ]
}

@test "--resume numbers jobs as the first run did, and prints in order" {
	ppool map -j1 --log log sh -c 'echo "$0 $PCORE_SEQ" {#}' ::: a b c
	sed -i '/^2/d' log
	run -0 ppool map -j2 --log log --resume sh -c 'echo "$0 $PCORE_SEQ" {#}' ::: a b c d
	[ "$output" = $'b 2 2\nd 4 4' ]
	[ "$(fields 1 log | xargs)" = "1 2 3 4" ]
}

@test "--resume-failed runs the failed ones again and leaves out the others" {
	run -1 ppool map --log log sh -c 'echo "$0" >>ran; [ -e ok ] || exit "$0"' ::: 0 3 0 4
	run -1 ppool map --log log --resume-failed sh -c 'echo "$0" >>ran; [ -e ok ] || exit "$0"' ::: 0 3 0 4
	touch ok
	run -0 ppool map --log log --resume-failed sh -c 'echo "$0" >>ran; [ -e ok ] || exit "$0"' ::: 0 3 0 4 5
	run -0 ppool map --log log --resume-failed sh -c 'echo "$0" >>ran; [ -e ok ] || exit "$0"' ::: 0 3 0 4 5
	[ "$(sort ran | uniq -c | xargs -n2)" = $'2 0\n3 3\n3 4\n1 5' ]
}

@test "killed and timed out jobs are failed ones" {
	run -1 ppool map --log log --timeout 1.5 sh -c '[ -e ok ] || $0' ::: 'kill -KILL $$' 'exec sleep 77' :
	touch ok
	run -0 ppool map --log log --timeout 1.5 --resume-failed sh -c '[ -e ok ] || $0' ::: 'kill -KILL $$' 'exec sleep 77' :
	[ "$(fields 1 log | xargs)" = "1 1 2 2 3" ]
}

@test "with another input or command nothing runs, and the job's number is told" {
	ppool map --log log touch ::: a b c
	sed -i '/\ttouch a$/d' log
	rm a b c
	cp log before
	for how in --resume --resume-failed; do
		run -125 --separate-stderr ppool map --log log "$how" touch ::: a b x d
		[[ "$stderr" == "ppool: cannot resume: job 3 is not the one that 'log' has by that number: touch x" ]]
		printf 'a\nb\nx\nd\n' >items
		run -125 --separate-stderr ppool map --log log "$how" touch <items
		[[ "$stderr" == *"job 3 "* ]]
		run -125 --separate-stderr ppool map --log log "$how" mkdir ::: a b c
		[[ "$stderr" == *"job 2 "*": mkdir b" ]]
		run -125 --separate-stderr ppool map --log log "$how" touch ::: a b
		[[ "$stderr" == "ppool: cannot resume: 'log' has a job 3, but the input ends after 2" ]]
	done
	[ "$(files)" = "args await before items log" ]
	cmp log before
	run -0 ppool map --log log --resume touch ::: a b c
	[ -e a ] && [ ! -e b ]
}

@test "no job starts before the input has come up to the last one of the log" {
	ppool map --log log touch ::: a b c
	rm a b c
	sed -i '/\ttouch [ab]$/d' log
	mkfifo items
	ppool map --log log --resume touch <items 2>err &
	exec 7>items
	printf 'a\nb\n' >&7
	wait_for 2 state_is $! S
	[ ! -e a ]
	printf 'x\n' >&7
	exec 7>&-
	ends 125 $!
	[[ "$(cat err)" == *"job 3 "* ]]
	[ ! -e a ] && [ ! -e b ]
}

@test "what waits for the check is bounded by --buffer" {
	seq 30 >items
	ppool map -j1 --log log true <items
	sed -i '3,30d' log # all but the first and the last
	run -125 --separate-stderr ppool map --log log --resume --buffer 1K touch <items
	[[ "$stderr" == *"job 1 is not the one"* ]]
	run -125 --separate-stderr ppool map --log log --resume --buffer 1K true <items
	[[ "$stderr" == "ppool: cannot resume: "*"--buffer" ]]
	run -0 ppool map --log log --resume true <items
	[ "$(fields 1 log)" = "$(cat items)" ]
}

@test "a torn last line is not done, and nothing is glued to it" {
	ppool map -j1 --log log echo ::: a b c >/dev/null
	cp log whole
	for torn in 1 5 20 40; do
		head -c -"$torn" whole >log
		run -0 ppool map --log log --resume echo ::: a b c d
		[ "$output" = $'c\nd' ]
		[ "$(fields 1,9 log)" = "$(printf '%s\techo %s\n' 1 a 2 b 3 c 4 d)" ]
	done
	printf '9\t:' >>log
	ppool map --log +log echo ::: z
	[ "$(tail -n 1 log | cut -f 9)" = "echo z" ]
	[ "$(wc -l <log)" = 6 ]
	printf '%s' "${header%?}" >log
	run -0 ppool map --log log --resume echo ::: a
	[ "$output" = a ]
	[ "$(head -n 1 log)" = "$header" ]
}

@test "a line that is none of a log's is refused, with its number" {
	ppool map -j1 --log log touch ::: a
	rm a
	echo 'no line' >>log
	run -125 --separate-stderr ppool map --log log --resume touch ::: a b
	[ "$stderr" = "ppool: cannot resume: line 3 of 'log' is no line of a job log" ]
	[ ! -e b ]
}

@test "of several lines with a number the last one counts" {
	run -1 ppool map -j1 --log log false ::: a
	sed 's/\t1\t0\tfalse/\t0\t0\tfalse/' log | tail -n 1 >>log
	run -0 ppool map --log log --resume-failed false ::: a
	sed -n 2p log >>log
	run -1 ppool map --log log --resume-failed false ::: a
}

@test "the slot does not make another job of it" {
	run -0 ppool map -j4 --log log echo {%} {} ::: a b c d
	sed -i '$d' log
	run -0 ppool map -j1 --log log --resume echo {%} {} ::: a b c d e
	[ "${#lines[@]}" = 2 ]
	[ "${lines[1]}" = "1 e" ]
}

@test "a run that was killed in the middle is completed: nothing is left out, and little is run twice" {
	local job='echo "$0" >>ran; [ "$0" -lt $LAST ] || exec sleep 77'
	seq 60 >items
	touch ran
	for LAST in 15 30 45; do
		LAST=$LAST ppool map -j3 --log log --resume sh -c "$job" <items &
		wait_for 10 lines_are ran "$LAST"
		kill -KILL $!
		wait $! || true
		wait_for 5 nothing_left
	done 2>/dev/null
	export LAST=99
	ppool map -j3 --log log --resume sh -c "$job" <items
	[ "$(sort -nu ran)" = "$(cat items)" ]
	[ "$(fields 1 log)" = "$(cat items)" ]
	[ "$(wc -l <ran)" -le $((60 + 3 * (3 + 19))) ] # running, and exited but not finished: -j + 16
	run -0 ppool map --log log --resume sh -c "$job" <items
	[ -z "$output" ]
}

@test "no output is lost of a job that the log has, even when its turn did not come" {
	ppool map -j3 --log log --log-json json sh -c '$0' ::: 'await go' 'echo two' true &
	wait_for 5 lines_are json 2
	wait_for 5 lines_are log 2
	[ "$(fields 1 log)" = 3 ]
	kill -KILL $!
	wait $! || true
	wait_for 5 nothing_left
	touch go
	run -0 ppool map -j3 --log log --resume sh -c '$0' ::: 'await go' 'echo two' true
	[ "$output" = two ]
	[ "$(fields 1 log | xargs)" = "1 2 3" ]
}

@test "a job that was cut short has no line and is run again" {
	ppool map -j2 --log log --log-json json sh -c '$0' ::: true 'await go' &
	wait_for 5 lines_are log 2
	kill -TERM $!
	ends 143 $!
	[ "$(fields 1 log)" = 1 ]
	[ "$(jq -c '[.seq, .killed_by]' json | tail -n 1)" = '[2,"signal:SIGTERM"]' ]
	touch go
	run -0 ppool map -j2 --log log --resume sh -c '$0' ::: true 'await go'
	[ "$(fields 1 log | xargs)" = "1 2" ]
	run -1 ppool map -j2 --fail-fast --log log --log-json json sh -c '$0' ::: 'sleep 77' false
	[ "$(fields 1 log)" = 2 ]
	[ "$(jq -c '[.seq, .killed_by]' json)" = $'[2,null]\n[1,"cancel"]' ]
}

@test "--resume without a log is refused; where there is none yet all is run" {
	run -125 --separate-stderr ppool map --resume touch ::: ran
	[[ "${stderr_lines[0]}" == "ppool: --resume needs --log"* ]]
	run -125 --separate-stderr ppool map --resume-failed --results d touch ::: ran
	[[ "${stderr_lines[0]}" == "ppool: --resume-failed needs --log"* ]]
	run -125 --separate-stderr ppool map --log /dev/null --resume touch ::: ran
	[[ "$stderr" == "ppool: cannot resume: '/dev/null' is no ordinary file" ]]
	[ ! -e ran ]
	run -0 ppool map --log new --resume echo ::: a
	[ "$output" = a ]
}

# ---- results

@test "--results DIR keeps every byte and prints nothing" {
	printf 'one\0\ntwo\n\0-x\0\0' >items
	run -1 --separate-stderr ppool map -0 --results d sh -c 'printf "\0\377%s" "$1"; printf "e\n" >&2; [ "$1" ]' sh <items
	[ -z "$output$stderr" ]
	[ "$(find d -mindepth 1 -printf '%P\n' | grep -v '^[234]/' | sort | xargs)" = "1 1/item 1/status 1/stderr 1/stdout 2 3 4" ]
	printf '\ntwo\n' | cmp - d/2/item
	printf '\0\377\ntwo\n' | cmp - d/2/stdout
	printf 'e\n' | cmp - d/2/stderr
	[ "$(cat d/1/status d/4/status)" = $'0\n1' ]
	[ ! -s d/4/item ]
	ppool map -n2 --results d true ::: a b
	[ "$(cat d/1/item)" = $'a\nb' ]
}

@test "a result's status is that of a shell, and its output that of the last try" {
	run -1 ppool map --timeout 1.5 --results d sh -c ::: 'kill -KILL $$' 'exec sleep 77' 'exit 9'
	[ "$(cat d/?/status | xargs)" = "137 124 9" ]
	run -1 ppool map --results d {} ::: ./nothing
	[ "$(cat d/1/status)" = 127 ]
	[ ! -s d/1/stdout ]
	run -1 ppool map --retry 2 --retry-delay 0 --results d sh -c 'echo x >>tries; cat tries; exit 1' ::: a
	[ "$(wc -l <d/1/stdout)" = 3 ]
}

@test "a status is there only when its job is over, however ppool ends" {
	ppool map -j2 --results d sh -c 'echo begun; $0' ::: true true 'await go' 'await go' &
	wait_for 5 exists d/2/status
	wait_for 5 nonempty d/3/stdout
	kill -KILL $!
	wait $! || true
	wait_for 5 nothing_left
	[ ! -e d/3/status ] && [ ! -e d/4/status ]
	echo 0 >d/3/status # of an earlier run
	ppool map -j2 --results d sh -c '$0' ::: true true 'await go' 'await go' &
	wait_for 5 gone_file d/3/status
	kill -TERM $!
	ends 143 $!
	[ ! -e d/3/status ] && [ ! -e d/4/status ]
}

gone_file() { [ ! -e "$1" ]; }

@test "--results FILE.json has a record for each job, bytes and all" {
	head -c 300000 /dev/urandom >noise
	printf '\303\251\377"\\\n' >odd
	printf 'x\n' >plain
	run -1 --separate-stderr ppool map --results r.json sh -c 'cat "$0"; cat "$0" >&2; [ "$0" != plain ]' ::: noise odd plain
	[ -z "$output$stderr" ]
	[ "$(wc -l <r.json)" = 3 ]
	[ "$(jq -c '[.seq, .item, .exit, .signal]' r.json | sort)" = $'[1,"noise",0,null]\n[2,"odd",0,null]\n[3,"plain",1,null]' ]
	[ "$(jq -c 'keys_unsorted' r.json | sort -u)" = '["seq","item","exit","signal","stdout","stderr"]' ]
	python3 - <<-'CHECK'
	import json
	for line in open("r.json", encoding="utf-8"):
	    record = json.loads(line)
	    wanted = open(record["item"], "rb").read()
	    for stream in "stdout", "stderr":
	        assert record[stream].encode("utf-8", "surrogateescape") == wanted, record["item"]
	CHECK
	run -1 ppool map --results r.json sh -c 'kill -KILL $$' ::: a
	[ "$(jq -c '[.exit, .signal]' r.json)" = '[null,"SIGKILL"]' ]
}

@test "--results FILE.csv is read by a CSV reader" {
	printf 'a,"b"\nc\0\n\0d' >items
	run -1 --separate-stderr ppool map -0 --results r.csv sh -c 'printf "%s" "$0"; echo "1,2" >&2; [ "$0" != d ] || kill -KILL $$' <items
	[ -z "$output$stderr" ]
	python3 - <<-'CHECK'
	import csv
	rows = list(csv.reader(open("r.csv", newline="")))
	assert rows[0] == ["seq", "item", "exit", "signal", "stdout", "stderr"], rows[0]
	wanted = [["1", 'a,"b"\nc', "0", "", 'a,"b"\nc', "1,2\n"], ["2", "\n", "0", "", "\n", "1,2\n"], ["3", "d", "", "SIGKILL", "d", "1,2\n"]]
	assert sorted(rows[1:]) == wanted, rows
	CHECK
}

@test "a resumed run adds to the results, after whole records" {
	for file in r.json r.csv; do
		ppool map -j1 --log log --results "$file" echo ::: a b
		truncate -s -3 "$file" log
		ppool map -j1 --log log --results "$file" --resume echo ::: a b c
		[ "$(grep -c '"c"' "$file")" = 1 ]
		[ "$(grep -c '"b"' "$file")" = 1 ]
		[ "$(grep -c '"a"' "$file")" = 1 ]
		ppool map -j1 --results "$file" echo ::: z
		! grep '"a"' "$file"
	done
	[ "$(grep -c ^seq r.csv)" = 1 ]
}

@test "results that cannot be written end the run with 125" {
	run -125 --separate-stderr ppool map --results /nowhere/d touch ::: ran
	[ "$stderr" = "ppool: cannot write results to '/nowhere/d': No such file or directory" ]
	: >file
	run -125 --separate-stderr ppool map --results file touch ::: ran
	[[ "$stderr" == *"'file': Not a directory" ]]
	[ ! -e ran ]
	ln -s /dev/full full.json
	seq 100 >items
	run -125 --separate-stderr ppool map -j1 --log log --results full.json sh -c 'echo "$0" >>ran' <items
	[ "$stderr" = "ppool: cannot write results to 'full.json': No space left on device" ]
	[ "$(wc -l <ran)" -lt 100 ]
	[ "$(wc -l <log)" = 1 ]
}

@test "a full disk leaves no status for a result that is not whole" {
	make_full
	run -125 --separate-stderr ppool map -j1 --results full/d head -c 100000 ::: /dev/zero /dev/zero
	[[ "$stderr" == "ppool: cannot write results to 'full/d': No space left on device" ]]
	[ ! -e full/d/1/status ]
}

# ---- when jobs fail

@test "--on-error runs once for each job that has failed, and its output goes to stderr" {
	run -1 --separate-stderr ppool map --retry 1 --retry-delay 0 --on-error 'echo "$PCORE_SEQ $PCORE_EXIT $# <$1>"' \
		sh -c 'eval "$0"' ::: true 'exit 3' 'kill -KILL $$' "exit 4 # it's"
	[ -z "$output" ]
	[ "$(sort <<<"$stderr")" = $'2 3 1 <exit 3>\n3 137 1 <kill -KILL $$>\n4 4 1 <exit 4 # it\'s>' ]
	run -1 --separate-stderr ppool map -n2 --timeout 0.3 --on-error 'echo "$PCORE_EXIT $1 $2"' sleep ::: 70 7
	[ "$stderr" = "124 70 7" ]
	run -1 --separate-stderr ppool map --on-error 'echo "$PCORE_EXIT"' {} ::: ./nothing
	[ "${stderr_lines[-1]}" = 127 ]
	run -0 --separate-stderr ppool map --on-error 'echo x' true ::: a b
	[ -z "$stderr" ]
	run -1 --separate-stderr ppool map --on-error 'exit 5' false ::: a
	[ "$stderr" = "ppool: the --on-error command of job 1 failed with status 5" ]
}

@test "ppool waits for the --on-error commands, and runs few at a time" {
	run -1 ppool map -j8 --on-error 'mkdir "d$PCORE_SEQ"; ls -d d* | wc -l >>most; [ "$PCORE_SEQ" -gt 4 ] || sleep 0.2; rmdir "d$PCORE_SEQ"; echo x >>ran' \
		false ::: {1..20}
	[ "$(wc -l <ran)" = 20 ]
	[ "$(sort -n most | tail -n 1)" -le 4 ]
}

@test "many failures wait their turn, and none is forgotten" {
	seq 100 >items
	run -1 ppool map -j4 --on-error 'echo "$1" >>ran' false <items
	[ "$(sort -n ran)" = "$(cat items)" ]
}

@test "an --on-error command is ended with ppool" {
	ppool map --on-error 'touch begun; exec sleep 77' false ::: a b &
	wait_for 5 exists begun
	kill -TERM $!
	ends 143 $!
	leaves_nothing
}

@test "--fail-fast ends at the first failure, with its status" {
	run -7 ppool map -j2 --fail-fast --on-error 'echo "$1" >>failed' sh -c 'touch "$0"; [ "$0" = a ] && await b && exit 7; sleep 77' ::: a b c
	[ ! -e c ]
	[ "$(cat failed)" = a ]
	run -1 ppool map -j1 --fail-fast --halt never sh -c 'exit "$0"' ::: 7 8
	run -7 ppool map -j1 --halt never --fail-fast sh -c 'exit "$0"' ::: 7 8
}

# ---- usage

@test "what does not go together is refused" {
	for words in '--results d --raw' '--results d --live' '--results d --tag' '--results d --unordered' '--dry-run --log l' \
		'--dry-run --log-json l' '--dry-run --results d' '--dry-run --on-error true'; do
		# shellcheck disable=SC2086
		run -125 --separate-stderr ppool map $words touch ::: ran
		[[ "${stderr_lines[0]}" == *"--"* ]]
		[ "${stderr_lines[1]}" = "try 'ppool --help'" ]
		[ "$(files)" = "args await" ]
	done
}

@test "an empty --results or --on-error is refused, and options without their value" {
	run -125 --separate-stderr ppool map --results '' touch ::: ran
	[[ "${stderr_lines[0]}" == *"--results"* ]]
	run -125 --separate-stderr ppool map --on-error '' touch ::: ran
	[[ "${stderr_lines[0]}" == *"--on-error"* ]]
	for option in --log --log-json --results --on-error; do
		run -125 ppool map "$option"
	done
	run -125 ppool map --resume=x --log l touch ::: ran
	run -125 ppool map --fail-fast=x touch ::: ran
	[ ! -e ran ]
}
