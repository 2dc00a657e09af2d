# SPDX-License-Identifier: MIT
# ppool_workers.bats - ppool map --worker as its manual page describes it.
# shellcheck shell=bash disable=SC2016,SC1083,SC1003,SC2086,SC2154,SC2030,SC2031

load support

setup() { common_setup; }
teardown() { common_teardown; }

# A worker that answers "got LINE", and does what some items say first.
make_worker() {
	cat >worker <<-'SCRIPT'
	#!/bin/sh
	echo start >>started
	while read -r l; do
		case $l in
		die) kill -KILL $$ ;;
		die-once) [ -e died ] || { : >died; kill -KILL $$; } ;;
		leave) exit 0 ;;
		fail) exit 3 ;;
		hang) exec sleep 60 ;;
		deaf) exec 1>&-; sleep 60 ;;
		twice) echo "got $l" ;;
		half) printf 'got ha'; exit 3 ;;
		esac
		echo "got $l"
	done
	SCRIPT
	chmod +x worker
}

# worker INPUT ARGS...: ppool map ARGS --worker ./worker with INPUT (printf's format) on its standard input.
worker() {
	local input=$1
	shift
	make_worker
	# shellcheck disable=SC2059
	printf "$input" | timeout -k 5 30 ppool map "$@" --worker ./worker
}

starts() { wc -l <started; }

# ---- answers

@test "a worker answers item after item, and the answers come in order" {
	seq 2000 | ppool map -j4 --worker cat >out
	seq 2000 | cmp - out
}

@test "workers are started as items need them, at most -j of them" {
	run -0 worker 'a\n' -j8
	[ "$output" = "got a" ]
	[ "$(starts)" = 1 ]
	rm started
	run -0 worker '1\n2\n3\n4\n5\n6\n' -j2
	[ "${#lines[@]}" = 6 ]
	[ "$(starts)" -le 2 ]
}

@test "no items start no worker" {
	run -0 worker ''
	[ -z "$output" ]
	[ ! -e started ]
}

@test "an idle worker answers at once, while the input is still open" {
	mkfifo in out
	ppool map -j2 --worker sed -u 's/^/x/' <in >out &
	pid=$!
	exec {w}>in {r}<out
	for i in 1 2 3; do
		echo $i >&$w
		read -r -t 10 line <&$r
		[ "$line" = x$i ]
	done
	exec {w}>&-
	ends 0 $pid
	exec {r}<&-
}

@test "an idle worker has the first claim to an item" {
	mkfifo in out
	ppool map -j2 --worker sh -c 'while read -r l; do [ $l = slow ] && { : >slow; until [ -e go ]; do sleep 0.02; done; }; echo $l; done' <in >out &
	pid=$!
	exec {w}>in {r}<out
	echo slow >&$w
	wait_for 10 exists slow
	seq 50 >&$w
	: >go
	mapfile -t -n 51 got <&$r
	exec {w}>&-
	ends 0 $pid
	exec {r}<&-
	[ "${got[*]}" = "slow $(seq -s ' ' 50)" ]
}

@test "these programs are workers as they are" {
	run -0 ppool map --worker bc ::: 1+1 2*3 7/2
	[ "$output" = $'2\n6\n3' ]
	run -0 ppool map --worker sed -u 's/^/x/' ::: a b c
	[ "$output" = $'xa\nxb\nxc' ]
	run -0 ppool map --worker mawk -W interactive '{ print $1 * 2 }' ::: 1 2 3
	[ "$output" = $'2\n4\n6' ]
	run -0 ppool map --worker jq --unbuffered '. + 1' ::: 1 2 3
	[ "$output" = $'2\n3\n4' ]
	run -0 ppool map --worker python3 -u -c 'import sys
for line in sys.stdin: print(int(line) * 2)' ::: 1 2 3
	[ "$output" = $'2\n4\n6' ]
}

@test "a filter that answers in blocks is sent more, and is done at the end of the input" {
	start=$(now_ms)
	run -0 ppool map -j1 --worker tr a-z A-Z ::: a b c d e f
	[ "$output" = $'A\nB\nC\nD\nE\nF' ]
	took "$start" 0 9000
	seq 20000 | ppool map -j2 --worker tr 0-9 a-j >out
	seq 20000 | tr 0-9 a-j | cmp - out
}

@test "with --window a filter that answers in blocks is told of once, with advice" {
	mkfifo in
	ppool map -j1 --window 2 --worker sed 's/^/x/' <in >out 2>err &
	pid=$!
	exec {w}>in
	printf '1\n2\n3\n' >&$w
	wait_for 15 nonempty err
	[[ "$(<err)" == "ppool: worker 1 (pid "*") has not answered item 1 for 10s; "*"sed -u"*"--pty" ]]
	kill $pid
	exec {w}>&-
	ends 143 $pid
	[ "$(grep -c advice err)" = 0 ]
	[ "$(grep -c 'for 10s' err)" = 1 ]
}

@test "--pty makes programs write lines" {
	mkfifo in out
	ppool map -j1 --pty --worker sed 's/^/x/' <in >out &
	pid=$!
	exec {w}>in {r}<out
	echo 1 >&$w
	read -r -t 10 line <&$r
	[ "$line" = x1 ]
	exec {w}>&-
	ends 0 $pid
	exec {r}<&-
}

@test "a terminal passes control characters as they are, echoes nothing and takes no long line" {
	printf 'a\004b\003c\rd\177\021\n' >in
	run -0 ppool map --pty --worker cat -v <in
	[ "$output" = 'a^Db^Cc^Md^?^Q' ]
	head -c 5000 /dev/zero | tr '\0' x >long
	run -1 --separate-stderr ppool map --pty --worker cat ::: "$(<long)" ok
	[ "$output" = ok ]
	[ "$stderr" = "ppool: item 1 is longer than a line of a terminal can be" ]
}

@test "a worker's stderr is ours, by whole lines, and no answer" {
	run -0 --separate-stderr ppool map -j2 --worker sh -c 'while read -r l; do printf "e%s" "$l" >&2; echo >&2; echo "o$l"; done' ::: 1 2 3
	[ "$output" = $'o1\no2\no3' ]
	[ "$(sort <<<"$stderr")" = $'e1\ne2\ne3' ]
}

@test "workers know their slot" {
	run -0 ppool map -j1 --worker sh -c 'while read -r l; do echo $0 $PCORE_SLOT; done' {%} ::: a b
	[ "$output" = $'1 1\n1 1' ]
}

@test "--tag begins each line of an answer with its item" {
	run -0 ppool map -j2 --tag --lines 2 --worker sh -c 'while read -r l; do echo $l; echo; done' ::: a b
	[ "$output" = "$(printf 'a\ta\na\t\nb\tb\nb\t')" ]
}

# ---- the forms of answers

@test "--lines N: an answer has N lines" {
	run -0 ppool map -j2 --lines 3 --worker sh -c 'while read -r l; do seq $l $((l + 2)); done' ::: 1 5
	[ "$output" = $'1\n2\n3\n5\n6\n7' ]
}

@test "--lines until:TEXT: an answer ends before that line" {
	run -0 ppool map -j2 --lines until:end --worker sh -c 'while read -r l; do seq $l; echo end; done' ::: 2 0 1
	[ "$output" = $'1\n2\n1' ]
}

@test "--frames: items and answers are bytes with a length" {
	printf 'a\nb\0\0c\0' >in
	ppool map -0 -j2 --frames --worker cat <in >out
	printf 'a\nbc' | cmp - out
	ppool map -0 -j2 --frames=out --worker cat <in >out
	printf '\0\0\0\3a\nb\0\0\0\0\0\0\0\1c' | cmp - out
}

@test "--frames carries every byte and large items" {
	head -c 300000 /dev/urandom | tr '\n\0' xx >item
	ppool map -j2 --frames --worker cat <item >out
	cmp item out
}

@test "--init is sent to each worker first, and its answer is dropped" {
	run -0 ppool map -j1 --init 'a b' --worker sh -c 'read -r first; echo ready; while read -r l; do echo "$first $l"; done' ::: 1 2
	[ "$output" = $'a b 1\na b 2' ]
}

@test "an item with a newline fails alone, unless there are frames" {
	run -1 --separate-stderr worker 'a\0b\nc\0d\0' -0 -j1
	[ "$output" = $'got a\ngot d' ]
	[ "$stderr" = "ppool: item 2 holds a newline, which only --frames can send to a worker" ]
}

# ---- how long workers live

@test "--max-items K: a fresh worker after K items" {
	run -0 worker '1\n2\n3\n4\n5\n' -j1 --max-items 2
	[ "${#lines[@]}" = 5 ]
	[ "$(starts)" = 3 ]
}

@test "--idle-timeout lets an idle worker go" {
	mkfifo in out
	make_worker
	ppool map -j1 --idle-timeout 50ms --worker sh -c './worker; echo >>ended' <in >out &
	pid=$!
	exec {w}>in {r}<out
	echo 1 >&$w
	read -r -t 10 line <&$r
	wait_for 10 exists ended
	echo 2 >&$w
	read -r -t 10 line <&$r
	[ "$line" = "got 2" ]
	exec {w}>&-
	ends 0 $pid
	exec {r}<&-
	[ "$(starts)" = 2 ]
}

# ---- what goes wrong

@test "a worker that is killed fails one item, which is named; the others go on" {
	run -1 --separate-stderr worker '1\ndie\n2\n3\n4\n' -j1
	[ "$output" = $'got 1\ngot 2\ngot 3\ngot 4' ]
	[[ "$stderr" == "ppool: worker 1 (pid "*") died of SIGKILL before it had answered item 2" ]]
	[ "$(starts)" = 2 ]
}

@test "workers that are killed from outside, again and again, lose no item but their first" {
	cat >slow <<-'SCRIPT'
	#!/bin/sh
	echo $$ >pids/$$
	while read -r l; do echo "$l"; done
	SCRIPT
	chmod +x slow
	mkdir pids
	seq 20000 | ppool map -j2 --retry 100 --retry-delay 0 --worker ./slow >out 2>err &
	pid=$!
	for _ in 1 2 3 4 5 6 7 8; do
		sleep 0.05
		victim=$(find pids -type f -printf '%f\n' | sort -R | head -n 1)
		[ -z "$victim" ] || { rm "pids/$victim"; kill -KILL "$victim" 2>/dev/null || true; }
	done
	wait $pid || [ $? = 1 ] # one that was idle has failed, but no item
	seq 20000 | cmp - out
}

@test "--retry tries a lost item again" {
	run -0 --separate-stderr worker '1\ndie-once\n2\n' -j1 --retry 1 --retry-delay 0
	[ "$output" = $'got 1\ngot die-once\ngot 2' ]
	[[ "$stderr" == *"died of SIGKILL before it had answered item 2" ]]
	run -1 worker '1\ndie\n2\n' -j1 --retry 2 --retry-delay 0
	[ "$(grep -c 'answered item 2' <<<"$output")" = 3 ]
}

@test "a worker that ends with part of an answer prints nothing of it" {
	run -1 --separate-stderr worker '1\nhalf\n2\n' -j1
	[ "$output" = $'got 1\ngot 2' ]
	[[ "$stderr" == *"ended with status 3 before it had answered item 2" ]]
}

@test "a worker that ends well but owes an answer has failed as well" {
	run -1 --separate-stderr worker '1\nleave\n2\n' -j1
	[ "$output" = $'got 1\ngot 2' ]
	[[ "$stderr" == *"ended with status 0 before it had answered item 2" ]]
}

@test "an answer too many is found, at the latest at the end" {
	run -1 --separate-stderr worker '1\ntwice\n' -j1
	[ "${lines[0]}" = "got 1" ]
	[[ "$stderr" == *"wrote more than its answers, after that to item 2; ending it" ]]
}

@test "a worker that closes its output is ended, not waited for" {
	start=$(now_ms)
	run -1 --separate-stderr worker '1\ndeaf\n2\n' -j1
	[ "$output" = $'got 1\ngot 2' ]
	[[ "$stderr" == *"has closed its input or output; ending it"* ]]
	took "$start" 0 20000
}

@test "--answer-timeout and --timeout end a worker that hangs, and fail its item" {
	for option in --answer-timeout --timeout; do
		run -1 --separate-stderr worker '1\nhang\n2\n' -j1 $option 1.5
		[ "$output" = $'got 1\ngot 2' ]
		[[ "$stderr" == *"has not answered item 2 within 1.5s; ending it" ]]
	done
	run -124 worker '1\nhang\n2\n' -j1 --timeout 0.3 --halt now,fail=1
}

@test "a worker that fails after its last answer makes the status 1" {
	run -1 --separate-stderr ppool map -j1 --worker sh -c 'while read -r l; do echo $l; done; exit 4' ::: a b
	[ "$output" = $'a\nb' ]
	[[ "$stderr" == *"ended with status 4 after its last answer" ]]
}

@test "workers that end at their start are not started for ever" {
	start=$(now_ms)
	run -1 --separate-stderr bash -c 'yes | timeout 20 ppool map -j2 --worker false'
	[[ "$stderr" == *"before it had read an item"* ]]
	[[ "${stderr_lines[-1]}" == "ppool: no worker can be kept running; giving up" ]]
	took "$start" 0 15000
}

@test "a worker that cannot be run is told before any item is read" {
	run -127 ppool map --worker no-such-command ::: a
	[ "$output" = "ppool: cannot run 'no-such-command': No such file or directory" ]
	run -126 ppool map --worker / ::: a
}

@test "--halt concerns items" {
	run -3 --separate-stderr worker '1\nfail\n2\n' -j1 --window 1 --halt now,fail=1
	[ "$output" = "got 1" ]
}

@test "when the reader goes away the workers are ended" {
	bash -c 'yes | timeout 20 ppool map -j2 --worker cat | head -n 3; echo "${PIPESTATUS[1]}" >status' >out
	[ "$(<out)" = $'y\ny\ny' ]
	[ "$(<status)" = 141 ]
}

@test "output that cannot be written is an error" {
	run -125 bash -c 'seq 1000 | ppool map --worker cat >/dev/full'
	[ "$output" = "ppool: cannot write to standard output: No space left on device" ]
}

@test "TERM ends the workers, and ppool dies of it" {
	mkfifo in
	ppool map -j2 --worker cat <in >out 2>err &
	pid=$!
	exec {w}>in
	seq 10 >&$w
	wait_for 10 lines_are out 10
	kill $pid
	ends 143 $pid
	exec {w}>&-
	[ ! -s err ]
}

@test "HUP reads no more, and what was read is answered" {
	mkfifo in
	ppool map -j2 --worker cat <in >out &
	pid=$!
	exec {w}>in
	seq 10 >&$w
	wait_for 10 lines_are out 10
	kill -HUP $pid
	ends 129 $pid # there might have been more
	exec {w}>&-
	[ "$(<out)" = "$(seq 10)" ]
}

@test "workers die with a ppool that is killed" {
	mkfifo in
	ppool map -j2 --worker sh -c 'echo $$ >pid; while read -r l; do echo $l; done' <in >out &
	pid=$!
	exec {w}>in
	echo 1 >&$w
	wait_for 10 lines_are out 1
	kill -KILL $pid
	ends 137 $pid
	wait_for 10 gone "$(<pid)"
	exec {w}>&-
}

@test "memory stays small whatever the number of items" {
	[ "${PCORE_VARIANT:-release}" = release ] || skip "a sanitizer costs more"
	run -0 bash -c 'ulimit -v 200000; seq 300000 | ppool map -j2 --worker cat | tail -n 1'
	[ "$output" = 300000 ]
}

# ---- usage

@test "worker options are checked" {
	for bad in "--lines 0" "--lines x" "--lines -1" "--frames=in" "--window 0" "--window x" "--max-items 0" "--max-items x" \
		"--idle-timeout x" "--answer-timeout -1"; do
		run -125 --separate-stderr ppool map --worker $bad touch ran ::: a
		[[ "${stderr_lines[0]}" == *"'${bad##*[ =]}'"* ]]
	done
	for alone in "--lines 2" "--frames" "--init x" "--window 5" "--max-items 5" "--idle-timeout 5" "--answer-timeout 5" "--pty"; do
		run -125 --separate-stderr ppool map $alone touch ran ::: a
		[[ "${stderr_lines[0]}" == *"${alone%% *} is for workers: it needs --worker" ]]
	done
	for other in "--live" "--raw" "--dry-run" "-n 2" "--fill" "--results dir"; do
		run -125 --separate-stderr ppool map --worker $other touch ran ::: a
		[[ "${stderr_lines[0]}" == *"${other%% *} does not go with --worker" ]]
	done
	run -125 ppool map --worker --frames --lines 2 cat ::: a
	run -125 ppool map --worker --frames --pty cat ::: a
	run -125 ppool map --worker --frames=out --tag cat ::: a
	run -125 ppool map --worker --init $'a\nb' cat ::: a
	run -125 --separate-stderr ppool map --worker echo {} ::: a
	[[ "${stderr_lines[0]}" == *"{} does not go with --worker" ]]
	[ ! -e ran ]
}
