# SPDX-License-Identifier: MIT
# prun_io.bats - prun's options on output, descriptors and terminals, two commands connected, and when to try again.
# shellcheck shell=bash disable=SC2016,SC2154

load support

setup() {
	common_setup
	PATH="$PCORE_BUILD/helpers:$PATH"
}

teardown() { common_teardown; }

field() { tail -n 1 "$1" | jq -c "$2"; }

# excludes WORD WORD OPTION...: a usage error that names both words, and nothing runs
excludes() {
	local a=$1 b=$2
	shift 2
	run -125 --separate-stderr prun "$@" touch ran </dev/null
	[[ "${stderr_lines[0]}" == *"$a"*"$b"* ]] || { echo "$*: $stderr"; return 1; }
	[ -z "$output" ]
	[ ! -e ran ]
}

# ---- capture

@test "--capture prints both streams at the end, whole and apart" {
	run -3 --separate-stderr prun --capture --report r sh -c 'echo 1; echo a >&2; echo 2; echo b >&2; exit 3'
	[ "$output" = $'1\n2' ]
	[ "$stderr" = $'a\nb' ]
	[ "$(field r '[.stdout_bytes, .stderr_bytes, .truncated]')" = '[4,4,false]' ]
}

@test "--capture prints nothing before the command is over" {
	prun --capture sh -c 'echo early; touch wrote; while [ ! -e end ]; do sleep 0.02; done' >out 3>&- &
	wait_for 5 exists wrote
	[ ! -s out ]
	touch end
	ends 0 $!
	[ "$(cat out)" = early ]
}

@test "--capture is exact for bytes of any kind, in memory and in a file" {
	head -c 3000000 /dev/urandom >in
	for size in 64M 64K 0; do
		prun --capture --buffer "$size" --stdin in cat >out
		cmp in out
	done
	[ -z "$(find . -name 'pcore-*')" ]
}

@test "--capture of a command that time ends prints what there was" {
	in_time before prun --capture --timeout LIMIT sh -c 'echo before; exec sleep 77'
}

@test "--capture does not wait for a stray that holds the pipe" {
	from=$(now_ms)
	run -0 prun --capture --linger 0.1 sh -c 'sleep 77 & echo hi'
	[ "$output" = hi ]
	took "$from" 0 20000
}

@test "--capture prints the output of the last attempt only" {
	run -1 prun --capture --retry 2 --retry-delay 0 sh -c 'echo x >>n; wc -l <n; false'
	[ "$output" = 3 ]
	run -1 prun --quiet-success --retry 1 --retry-delay 0 sh -c 'echo try; exit 1'
	[ "$output" = try ]
}

@test "--capture to a full disk or a reader that is gone" {
	run -125 sh -c 'prun --capture echo x >/dev/full'
	[[ "$output" == "prun: "*"No space left on device" ]]
	run -0 bash -c 'prun --capture seq 100000 | head -n 1; echo ${PIPESTATUS[0]}'
	[ "$output" = $'1\n141' ]
}

@test "--capture merges what --stderr stdout merges" {
	run -0 --separate-stderr prun --capture --stderr stdout sh -c 'echo 1; echo 2 >&2; echo 3'
	[ "$output" = $'1\n2\n3' ]
	[ -z "$stderr" ]
}

@test "--quiet-success prints only what failed" {
	run -0 prun --quiet-success sh -c 'echo out; echo err >&2'
	[ -z "$output" ]
	run -4 --separate-stderr prun --quiet-success sh -c 'echo out; echo err >&2; exit 4'
	[ "$output" = out ]
	[ "$stderr" = err ]
	run -0 prun --quiet-success --expect 4 sh -c 'echo out; exit 4'
	[ -z "$output" ]
	run -137 prun --quiet-success sh -c 'echo out; kill -KILL $$'
	[[ "$output" == out* ]]
}

@test "--max-output cuts each stream there and says so" {
	run -0 --separate-stderr prun --capture --max-output 3 --report r sh -c 'echo abcdef; echo xy >&2'
	[ "$output" = abc ]
	[[ "$stderr" == *"prun: cut the standard output of 'sh' at 3 bytes"* ]]
	[[ "$stderr" != *"standard error"* ]]
	[ "$(field r '[.stdout_bytes, .stderr_bytes, .truncated]')" = '[7,3,true]' ]
}

@test "--max-output lets the command run to its end" {
	run -0 --separate-stderr prun --max-output 10 --report r seq 100000
	[ "$output" = $'1\n2\n3\n4\n5' ]
	[ "$(field r '[.exit, .stdout_bytes]')" = '[0,588895]' ]
}

@test "--buffer and --max-output refuse what is no size" {
	refuses prun -- --buffer '' x -1 1X 99999999999999999999
	refuses prun -- --max-output '' x -1 1X 99999999999999999999
}

# ---- tee, time stamps

@test "--tee writes both streams to a file as well" {
	echo old >f
	run -0 --separate-stderr prun --tee f sh -c 'echo 1; echo a >&2'
	[ "$output" = 1 ]
	[ "$stderr" = a ]
	[ "$(sort f)" = $'1\na' ]
}

@test "--tee adds to its file with --append" {
	echo old >f
	run -0 prun --append --tee f echo new
	[ "$(cat f)" = $'old\nnew' ]
}

@test "--tee gets what --quiet-success does not print" {
	run -0 prun --quiet-success --tee f echo kept
	[ -z "$output" ]
	[ "$(cat f)" = kept ]
}

@test "--tee names a file that cannot be opened or written" {
	run -125 prun --tee no/dir/f touch ran
	[ "$output" = "prun: cannot open 'no/dir/f': No such file or directory" ]
	[ ! -e ran ]
	run -125 prun --tee /dev/full echo x
	[[ "$output" == *"prun: cannot write to '/dev/full': No space left on device"* ]]
}

@test "--timestamps begins each line with the local time and a tab" {
	export TZ=Etc/GMT-2
	run -0 prun --timestamps --stderr stdout sh -c 'echo a; echo b >&2; printf c; printf "d\n\ne"'
	[ "${#lines[@]}" = 5 ]
	stamp='20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}\+02:00'
	want=(a b cd '' e)
	for i in 0 1 2 3 4; do
		[[ "${lines[i]}" =~ ^$stamp$'\t'"${want[i]}"$ ]] || { echo "${lines[i]}"; return 1; }
	done
}

@test "--timestamps tells when a line came, not when it was printed" {
	run -0 prun --timestamps --capture sh -c 'echo a; sleep 0.3; echo b'
	a=$(date -d "${lines[0]%%$'\t'*}" +%s%3N) b=$(date -d "${lines[1]%%$'\t'*}" +%s%3N)
	((b - a >= 290))
}

# ---- descriptors

@test "--pass-fd gives one descriptor under its own or another number" {
	echo data >f
	run -0 sh -c 'prun --pass-fd 7 sh -c "cat <&7" 7<f'
	[ "$output" = data ]
	run -0 sh -c 'prun --pass-fd 7=4 sh -c "cat <&4; test -e /proc/\$\$/fd/7 || echo no 7" 7<f'
	[ "$output" = $'data\nno 7' ]
	run -0 sh -c 'prun --pass-fd 7=9 --pass-fd 9=7 sh -c "cat <&9; cat <&7" 7<f 9<<-END
	other
	END'
	[ "$output" = $'data\nother' ]
}

@test "--pass-fd may swap output and errors" {
	run -0 --separate-stderr prun --pass-fd 1=2 --pass-fd 2=1 sh -c 'echo out; echo err >&2'
	[ "$output" = err ]
	[ "$stderr" = out ]
}

@test "--pass-fd refuses what is no descriptor, and one given twice" {
	refuses prun -- --pass-fd '' x -1 99 0=1024 0=x 0= 2000
	run -125 prun --pass-fd 0=5 --pass-fd 1=5 touch ran
	[[ "${lines[0]}" == *"'1=5' for '--pass-fd'"* ]]
	run -125 sh -c 'prun --pass-fd 0=5 touch ran <&-'
	[[ "${lines[0]}" == *"'0=5' for '--pass-fd'"*"not open" ]]
	many=()
	for i in $(seq 33); do many+=(--pass-fd "0=$((i + 10))"); done
	run -125 prun "${many[@]}" touch ran
	[ ! -e ran ]
}

@test "--pass-fd excludes other options for the same descriptor" {
	excludes --pass-fd 0 --pass-fd 1=0 --stdin null
	excludes --pass-fd 0 --pass-fd 1=0 --stdin-data x
	excludes --pass-fd 0 --pass-fd 1=0 --detach
	excludes --pass-fd 1 --pass-fd 2=1 --stdout f
	excludes --pass-fd 1 --pass-fd 2=1 --capture
	excludes --pass-fd 1 --pass-fd 2=1 --pty
	excludes --pass-fd 1 --pass-fd 2=1 --connect cat
	excludes --pass-fd 2 --pass-fd 1=2 --stderr stdout
	excludes --pass-fd 5 --pass-fd 1=5 --detach --notify-ready 5
}

@test "--pipe-size sets the capacity of the pipes" {
	run -0 prun --capture --pipe-size 256K perl -e 'print fcntl(STDOUT, 1032, 0)'
	[ "$output" = 262144 ]
	refuses prun -- --pipe-size '' x -1 0 2G
}

@test "--pipe-size that the system refuses is said and survived" {
	user_setup
	run -0 --separate-stderr "${as_user[@]}" prun --capture --pipe-size 1G echo hi
	[ "$output" = hi ]
	[[ "${stderr_lines[0]}" == "prun: cannot make a pipe hold 1073741824 bytes: "*", ignoring" ]]
}

@test "--argv0 is what the command sees as its name" {
	run -0 prun --argv0 '-my shell' sh -c 'head -z -n 1 /proc/$$/cmdline | tr -d "\0"'
	[ "$output" = "-my shell" ]
	run -127 prun --argv0 x no-such-command
	[ "$output" = "prun: cannot run 'no-such-command': No such file or directory" ]
}

# ---- two commands connected

@test "--connect joins the output of each with the input of the other" {
	run -0 --separate-stderr prun --connect 'while read -r l; do echo "<$l>"; done' \
		sh -c 'for i in 1 2; do echo $i; read -r x; echo "$x" >&2; done'
	[ -z "$output" ]
	[ "$stderr" = $'<1>\n<2>' ]
}

@test "--connect takes what begins with a minus for a command" {
	run -127 --separate-stderr prun --connect=-1 true
	[[ "$stderr" == *"-1: "*"not found"* ]]
}

@test "--connect exits with the first's status, or the second's when only that failed" {
	run -3 prun --connect 'cat >/dev/null; exit 4' sh -c 'exit 3'
	run -4 prun --connect 'cat >/dev/null; exit 4' true
	run -0 prun --connect 'cat >/dev/null' true
	run -143 prun --connect 'kill -TERM $$' true
}

@test "--connect reports both" {
	run -4 prun --report r --connect 'cat >/dev/null; exit 4' sh -c 'exit 0'
	[ "$(jq -c '[.argv[0], .exit]' r)" = $'["sh",0]\n["/bin/sh",4]' ]
}

@test "--connect ends both in time and leaves nothing" {
	run -124 prun --connect 'setsid sleep 77 & sleep 77' --timeout 0.3 --kill-after 0.2 sleep 77
	leaves_nothing
	run -124 prun --connect 'sleep 77' --timeout 0.3 true
	leaves_nothing
}

@test "--connect starts neither alone when the command is not there" {
	run -127 prun --connect 'touch ran; sleep 77' no-such-command
	[ ! -e ran ]
	leaves_nothing
}

@test "--connect tries both again" {
	run -0 prun --retry 1 --retry-delay 0 --connect 'echo x >>two; cat >/dev/null' sh -c 'mkdir d 2>/dev/null && exit 1; true'
	[ "$(wc -l <two)" = 2 ]
}

@test "--connect excludes what takes input and output" {
	excludes --connect input --connect cat --stdin null
	excludes --connect input --connect cat --stdin-data x
	excludes --connect output --connect cat --stdout f
	for o in --capture --quiet-success --timestamps '--tee f' '--max-output 1'; do
		# shellcheck disable=SC2086
		excludes --connect output --connect cat $o
	done
	excludes --connect --notify-ready --connect cat --notify-ready line:x
	excludes --connect --detach --connect cat --detach
	excludes --pty --connect --connect cat --pty
}

# ---- trying again

@test "--retry-on tries again after these statuses only" {
	run -7 prun --retry 5 --retry-delay 0 --retry-on 3,5-6 sh -c 'echo x >>n; set -- 3 5 6 7 0; shift $(($(wc -l <n) - 1)); exit $1'
	[ "$(wc -l <n)" = 4 ]
	run -143 prun --retry 2 --retry-delay 0 --retry-on 143 --report r sh -c 'kill -TERM $$'
	[ "$(field r '.attempts | length')" = 3 ]
	run -124 prun --retry 1 --retry-delay 0 --retry-on 124 --timeout 0.1 --report r sleep 9
	[ "$(field r '.attempts | length')" = 2 ]
}

@test "--backoff multiplies the delay" {
	from=$(now_ms)
	run -1 prun --retry 3 --retry-delay 0.1 --backoff 2 --report r false
	took "$from" 700 10000
	starts=$(field r '[.attempts[].start | sub("\\.(?<f>[0-9]+)Z"; "Z") | fromdate] | length')
	[ "$starts" = 4 ]
}

@test "--until-success tries without end" {
	run -0 prun --until-success --retry-delay 0 sh -c 'echo x >>n; [ $(wc -l <n) -ge 20 ]'
	[ "$(wc -l <n)" = 20 ]
	run -9 prun --until-success --retry-delay 0 --retry-on 1 sh -c 'exit 9'
	excludes --until-success --retry --until-success --retry 2
}

@test "--expect makes statuses a success, and the report keeps the truth" {
	run -0 prun --expect 1,70-80 --retry 3 --report r sh -c 'exit 75'
	[ "$(field r '[.exit, (.attempts | length)]')" = '[75,1]' ]
	run -0 prun --expect 0,1 true
	run -2 prun --expect 0,1 sh -c 'exit 2'
	run -143 prun --expect 143 sh -c 'kill -TERM $$'
	run -124 prun --expect 124 --timeout 0.1 sleep 9
}

@test "--expect without 0 turns a 0 into 1" {
	run -1 prun --expect 3 --report r true
	[ "$(field r .exit)" = 0 ]
}

@test "the options on statuses refuse bad values" {
	for o in --retry-on --expect; do
		refuses prun -- $o '' x -1 256 1, ,1 3-1 1-256 1-2-3
	done
	refuses prun -- --backoff '' x 0 0.5 -1 1001 nan 2x
}

@test "--notify-ready and --ready-timeout refuse bad values" {
	refuses prun -- --notify-ready '' x 2 -1 1024 line: line
	refuses prun --notify-ready 3 -- --ready-timeout '' x -1
	excludes --ready-timeout --notify-ready --ready-timeout 5
	excludes --notify-ready --detach --notify-ready 3
}

# ---- terminals

@test "--pty gives the command a terminal" {
	run -4 prun --pty sh -c 'test -t 0 && test -t 1 && test -t 2 && tty; exit 4' </dev/null
	[[ "$output" == /dev/pts/* ]]
	run -137 prun --pty sh -c 'kill -KILL $$' </dev/null
}

@test "--pty: input comes exactly, then its end" {
	run -0 sh -c 'printf "a\nb" | prun --pty cat'
	[ "$output" = $'a\r\nb' ] || [ "$output" = $'a\nb' ]
	seq 20000 >in
	prun --pty cat <in | tr -d '\r' >out
	cmp in out
}

@test "--pty closes descriptors and times out like any other run" {
	run -124 prun --pty --timeout 0.3 --kill-after 0.2 --report r sh -c 'setsid sleep 77 & sleep 77' </dev/null
	leaves_nothing
	run -0 prun --pty --capture --timestamps echo hi </dev/null
	[[ "$output" == 20*$'\t'hi* ]]
}

@test "--pty is made anew for each attempt" {
	run -1 prun --pty --retry 2 --retry-delay 0 sh -c 'test -t 1 && stty size; false' </dev/null
	[ "$(tr -d '\r' <<<"$output")" = $'24 80\n24 80\n24 80' ]
	run -1 ptydrive expect='?' send=$'one\n' expect='<one>' expect='?' send=$'two\n' expect='<two>' -- \
		prun --pty --retry 1 --retry-delay 0 sh -c 'echo "?"; read -r a; echo "<$a>"; false'
}

@test "--pty excludes redirections" {
	for o in '--stdin null' '--stdin-data x' '--stdout f' '--stderr f'; do
		# shellcheck disable=SC2086
		excludes --pty standard --pty $o
	done
	excludes --pty --detach --pty --detach
}

@test "a terminal's size reaches the command of --pty and follows" {
	run -0 ptydrive expect='30 90' size=20x40 expect='20 40' -- \
		prun --pty bash -c 'trap "stty size; exit" WINCH; stty size; while sleep 0.05; do :; done'
}

@test "keys act in the terminal of --pty" {
	run -130 ptydrive expect=go send=$'\003' -- prun --pty sh -c 'echo go; exec sleep 55'
	run -7 ptydrive expect=go send=$'abc\n' expect=$'\nabc' send=$'\004' -- prun --pty sh -c 'echo go; cat; exit 7'
	run -129 ptydrive expect=go hangup -- prun --pty sh -c 'echo go; exec sleep 55'
	leaves_nothing
}

shell=(env 'PS1=A>' bash --norc --noprofile -i)

# A command that says when it has begun and when it goes on after a stop. It sleeps in short pieces: perl runs a handler
# between them, not in a sleep that began just after the signal came.
make_sleeper() {
	cat >sleeper <<-'SCRIPT'
	#!/usr/bin/perl
	$| = 1;
	$SIG{CONT} = sub { print "continued\n" };
	print "begun\n";
	select undef, undef, undef, 0.05 for 1 .. 1200;
	SCRIPT
	chmod +x sleeper
}

stop_and_go_on=(expect=begun send=$'\032' expect=Stopped expect='>' send=$'fg\n' expect=continued send=$'\003' expect='>')
leave_shell=(send=$'echo st=$?\n' expect=st=130 expect='>' send=$'exit\n')

@test "^Z stops prun --pty and its command, fg goes on, ^C ends them" {
	make_sleeper
	run -0 ptydrive expect='A>' send=$'prun --pty ./sleeper\n' "${stop_and_go_on[@]}" "${leave_shell[@]}" -- "${shell[@]}"
}

@test "^Z and ^C without --pty behave as without prun" {
	make_sleeper
	run -0 ptydrive expect='A>' send=$'prun ./sleeper\n' "${stop_and_go_on[@]}" "${leave_shell[@]}" -- "${shell[@]}"
}

@test "^Z where nobody could continue it stops nothing" {
	make_sleeper
	run -130 ptydrive expect=begun send=$'\032' send=$'\003' -- prun ./sleeper
	run -130 ptydrive expect=begun send=$'\032' expect=continued send=$'\003' -- prun --pty ./sleeper
}

@test "a shell in prun --pty keeps its own jobs" {
	make_sleeper
	run -0 ptydrive expect='A>' send=$'prun --pty env PS1="B>" bash --norc --noprofile -i\n' expect=$'B>' expect='B>' \
		send=$'\032' send=$'echo he""re\n' expect=$'\rhere' expect='B>' \
		send=$'./sleeper\n' "${stop_and_go_on[@]}" send=$'exit 130\n' expect='A>' "${leave_shell[@]}" -- "${shell[@]}"
}

@test "--pty gives the terminal back as it was" {
	run -0 ptydrive -- sh -c 'stty -a >before; prun --pty stty raw; prun --pty sh -c "kill -KILL \$\$"; stty -a >after'
	cmp before after
}
