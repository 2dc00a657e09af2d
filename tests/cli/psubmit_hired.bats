# SPDX-License-Identifier: MIT
# psubmit_hired.bats - map --worker through a scheduler that many share: each worker is a job of it.
# shellcheck shell=bash disable=SC1083,SC2016,SC2154,SC2030,SC2031

load support
load shared

setup() {
	shared_setup
	cat >worker <<-'SCRIPT'
	#!/bin/sh
	echo start >>$1/starts
	while read -r l; do
		case $l in
		die) kill -KILL $$ ;;
		die-once) [ -e $1/died ] || { : >$1/died; kill -KILL $$; } ;;
		deaf) exec 1>&-; sleep 60 ;;
		hang) exec sleep 60 ;;
		esac
		echo "got $l"
	done
	echo "read all" >&2
	SCRIPT
	chmod 755 worker
	worker=("$scratch/worker" "$marks")
}
teardown() { shared_teardown; }

# feed ARG...: psubmit map in the background, as $pid, which reads what is written to $w and writes to out and err.
feed() {
	mkfifo in
	psubmit map "$@" <in >out 2>err 3>&- &
	pid=$!
	running+=("$pid")
	exec {w}>in
}

@test "items come back in order from workers behind a scheduler, with all forms of answers" {
	scheduler
	node one --cpus 2
	seq 30000 >in
	psubmit map --worker cat <in | cmp - in
	run -0 psubmit map -j1 --worker --lines 2 sh -c 'while read -r l; do echo "$l $$"; echo "$PCORE_SLOT$PCORE_SEQ$PCORE_NODE"; done' ::: a b c
	[ "$(sed -n 'n;p' <<<"$output" | sort -u)" = 1one ]
	[ "$(sed -n 'p;n' <<<"$output" | cut -d' ' -f2 | sort -u | wc -l)" = 1 ]
	run -0 psubmit map --worker sh -c 'read -r l; echo "$l ${PCORE_SEQ-none} ${PCORE_ATTEMPT-none}"' ::: a
	[ "$output" = "a none none" ]
	run -0 psubmit map --worker --lines until:. --init x sh -c 'while read -r l; do echo "$l"; echo .; done' ::: a b
	[ "$output" = $'a\nb' ]
	run -0 psubmit map --worker --frames cat ::: $'a\nb' c
	[ "$output" = $'a\nbc' ]
	run -1 psubmit map --worker cat ::: a $'b\nb' c
	[ "$output" = $'psubmit: item 2 holds a newline, which only --frames can send to a worker\na\nc' ]
	run -0 psubmit map --worker --shell 'sed -u s/^/x/' ::: a b
	[ "$output" = $'xa\nxb' ]
	run -0 psubmit map --tag --worker cat ::: a b
	[ "$output" = $'a\ta\nb\tb' ]
	run -0 psubmit map --worker cat </dev/null
	[ "$output" = "" ]
}

@test "workers behind a scheduler that write in blocks are sent as many items as they need for one" {
	scheduler
	node one --cpus 1
	run -0 psubmit map --worker tr a-z A-Z ::: a b c # it answers when nothing more comes
	[ "$output" = $'A\nB\nC' ]
	seq 3000 | timeout 90 psubmit map --worker tr 0-9 a-j >out
	seq 3000 | tr 0-9 a-j | cmp - out
}

@test "a worker that dies with an item fails it alone, or has it tried again by another one" {
	scheduler
	node one --cpus 1
	run -1 --separate-stderr psubmit map --log log --worker "${worker[@]}" ::: 1 die 2 3
	[ "$output" = $'got 1\ngot 2\ngot 3' ]
	[[ "$stderr" == *"psubmit: worker 1 (pid "*") of one died of SIGKILL before it had answered item 2"* ]]
	[[ "$stderr" == *"read all" ]]
	[ "$(wc -l <"$marks/starts")" = 2 ]
	[ "$(cut -f1,2,7,8 log | sort)" = $'1\tone\t0\t0\n2\tone\t0\t9\n3\tone\t0\t0\n4\tone\t0\t0\nSeq\tHost\tExitval\tSignal' ]
	run -0 --separate-stderr psubmit map --retry 1 --retry-delay 0 --worker "${worker[@]}" ::: 1 die-once 2
	[ "$output" = $'got 1\ngot die-once\ngot 2' ]
	run -1 --separate-stderr psubmit map --answer-timeout 2 --log-json log.json --worker "${worker[@]}" ::: 1 hang 2
	[ "$output" = $'got 1\ngot 2' ]
	[[ "$stderr" == *"has not answered item 2 within 2s; ending it"* ]]
	grep -q '"timed_out":true' log.json
	run -1 --separate-stderr psubmit map --worker "${worker[@]}" ::: 1 deaf 2
	[ "$output" = $'got 1\ngot 2' ]
	[[ "$stderr" == *"has closed its input or output; ending it"* ]]
	run -1 --separate-stderr timeout 60 psubmit map --worker sh -c 'read -r l; exec 1>&-; exec sleep 1000' ::: a # and no more comes
	[[ "$stderr" == *"has closed its input or output; ending it"* ]]
}

@test "workers behind a scheduler that do not start, fail at their end or write too much are told of" {
	scheduler
	node one --cpus 1
	mkfifo in
	exec {w}<>in
	seq 3 >&$w
	run -1 psubmit map --worker sh -c 'exit 3' <in {w}>&-
	[[ "$output" == *"ended with status 3 before it had read an item"*"no worker can be kept running; giving up"* ]]
	exec {w}>&-
	run -1 --separate-stderr psubmit map --worker sh -c 'cat; exit 3' ::: a
	[ "$output" = a ]
	[[ "$stderr" == *"ended with status 3 after its last answer" ]]
	run -1 psubmit map --worker no-such-command ::: a
	[[ "$output" == *"cannot run 'no-such-command': No such file or directory" ]]
	run -1 --separate-stderr psubmit map --worker sh -c 'read -r l; echo "$l"; echo more; cat' ::: a
	[ "$output" = a ]
	[[ "$stderr" == *"wrote more than its answers, after that to item 1; ending it" ]]
	run -0 --separate-stderr psubmit map --max-output 3 --worker cat ::: abcdef b
	[ "$output" = abcb ]
	[ "$stderr" = "psubmit: job 1 wrote more than --max-output; the rest is cut" ]
}

@test "--max-items lets the next worker have the place" {
	scheduler
	node one --cpus 1
	run -0 psubmit map --max-items 2 --worker sh -c 'while read -r l; do echo "$$"; done' ::: a b c d e
	[ "$(sort <<<"$output" | uniq -c | awk '{ print $1 }' | sort | xargs)" = "1 2 2" ]
}

@test "items wait until there is room for a worker, and go to those that run" {
	scheduler
	node one --cpus 2
	id=$(psubmit async sh -c "touch $marks/began; until [ -e $marks/go ]; do sleep 0.02; done")
	wait_for 20 exists "$marks/began"
	run -0 psubmit map -j2 --worker cat ::: a b c d e f # the second worker does not come
	[ "$output" = $'a\nb\nc\nd\ne\nf' ]
	touch "$marks/go"
	run -0 psubmit wait "$id"
}

@test "an item that is tried again does not wait for a new worker beside an idle one" {
	local pid
	scheduler
	node one --cpus 2
	feed -j2 --unordered --retry 1 --retry-delay 0 --worker sh -c "while read -r l; do
		[ \$l != x ] || ! mkdir $marks/first || { until [ -e $marks/queued ]; do sleep 0.02; done; kill -KILL \$\$; }
		echo \$l; done"
	printf 'x\na\n' >&$w
	wait_for 30 lines_are out 1 || { cat err; false; }
	psubmit async sh -c "until [ -e $marks/go ]; do sleep 0.02; done" # it has the place of the one that dies
	touch "$marks/queued"
	wait_for 30 lines_are out 2 || { cat err; psubmit list; false; }
	exec {w}>&-
	ends 0 $pid
	[ "$(cat out)" = $'a\nx' ]
}

@test "the items of a node that is killed go to another, and with --at-most-once the one at hand is lost" {
	local victim pid
	scheduler
	node one --cpus 1
	victim=$node
	node two --cpus 1
	feed --log log --worker sh -c "touch $marks/\$PCORE_NODE
		until [ -e $marks/one ] && [ -e $marks/two ]; do sleep 0.02; done
		while read -r l; do [ \$l != hold ] || [ \$PCORE_NODE = two ] || { touch $marks/held; sleep 60; }; echo \$l; done"
	seq 1000 >&$w
	wait_for 30 lines_are out 1000 || { cat err; false; }
	yes hold 2>/dev/null | head -n 50 >&$w
	wait_for 30 exists "$marks/held" || { cat err; false; }
	kill -KILL "$victim"
	exec {w}>&-
	ends 0 $pid || { cat err; false; }
	(seq 1000; yes hold 2>/dev/null | head -n 50) | cmp - out
	grep -q '^psubmit: job 10[0-9]* was lost with its node, and run again$' err
	[ "$(cut -f2 log | sort -u | grep -c -e '^one$' -e '^two$')" = 2 ]
}

@test "with --at-most-once an item that is lost with its node has failed" {
	local victim pid
	scheduler
	node one --cpus 1
	victim=$node
	psubmit map --at-most-once --worker sh -c "while read -r l; do [ \$l != b ] || { touch $marks/held; sleep 60; }; echo \$l; done" ::: a b c >out 2>err 3>&- &
	pid=$!
	running+=("$pid")
	wait_for 30 exists "$marks/held" || { cat err; false; }
	kill -KILL "$victim"
	wait_for 10 gone "$victim"
	node two --cpus 1
	ends 1 $pid || { cat err; false; }
	[ "$(cat out)" = $'a\nc' ]
	grep -q '^psubmit: job 2 was lost with its node, and not run again$' err
}

@test "a scheduler that is started again costs workers, and no item" {
	local pid
	scheduler --state "$scratch/state"
	node one --cpus 1
	feed --worker cat
	seq 1000 >&$w
	wait_for 30 lines_are out 1000 || { cat err; false; }
	kill -KILL "$sched"
	wait_for 10 gone "$sched"
	seq 1001 2000 >&$w
	exec {w}>&- # before it is started again, with what we have open
	scheduler --state "$scratch/state"
	ends 0 $pid || { cat err; false; }
	seq 2000 | cmp - out
}

@test "signals end workers behind a scheduler, and a client that dies takes them with it" {
	local pid
	scheduler
	node one --cpus 1
	feed --worker sh -c "echo \$\$ >$marks/pid; exec cat"
	seq 10 >&$w
	wait_for 30 lines_are out 10 || { cat err; false; }
	kill $pid
	ends 143 $pid
	exec {w}>&-
	wait_for 10 gone "$(cat "$marks/pid")"

	psubmit map --worker sh -c "echo \$\$ >$marks/pid; exec cat" <in >out 2>err 3>&- &
	pid=$!
	running+=("$pid")
	exec {w}>in
	seq 10 >&$w
	wait_for 30 lines_are out 10 || { cat err; false; }
	kill -KILL $pid
	wait_for 10 gone "$(cat "$marks/pid")"
	exec {w}>&-
}

@test "workers that no scheduler can be had for are given up, and a signal ends the wait for one" {
	local pid
	pnode keygen
	run -125 timeout 60 psubmit map --scheduler "unix:$scratch/none" --wait-nodes 0.05 --worker cat ::: a b
	[[ "$output" == *"psubmit: no scheduler can be reached"* ]]
	psubmit map --scheduler "unix:$scratch/none" --worker cat ::: a >out 2>err 3>&- &
	pid=$!
	running+=("$pid")
	wait_for 30 grep -q 'trying again' err || { cat err; false; }
	kill $pid
	ends 143 $pid

	scheduler
	node one --cpus 1
	pnode keygen other
	run -77 env PCORE_KEY=other timeout 60 psubmit map --worker cat ::: a
	[[ "$output" == *"is of no use: "* ]]
	feed --wait-nodes 2 --worker cat
	seq 10 >&$w
	wait_for 30 lines_are out 10 || { cat err; false; }
	kill -KILL "$sched"
	ends 125 $pid || { cat err; false; }
	exec {w}>&-
	grep -q 'no scheduler can be reached' err
}
