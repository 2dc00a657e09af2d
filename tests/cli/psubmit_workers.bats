# SPDX-License-Identifier: MIT
# psubmit_workers.bats - map --worker and map --pipe on this machine, and on nodes over TLS.
# shellcheck shell=bash disable=SC2016,SC1083,SC2154,SC2030,SC2031

load support
load nodes

setup() {
	common_setup
	nodes=()
	export PCORE_RUNTIME_DIR=$BATS_TEST_TMPDIR/run PCORE_KEY=$BATS_TEST_TMPDIR/key
	cat >worker <<-'SCRIPT'
	#!/bin/sh
	echo start >>starts
	while read -r l; do
		case $l in
		die) kill -KILL $$ ;;
		die-once) [ -e died ] || { : >died; kill -KILL $$; } ;;
		deaf) exec 1>&-; sleep 60 ;;
		hang) exec sleep 60 ;;
		esac
		echo "got $l"
	done
	echo "read all" >&2
	SCRIPT
	chmod +x worker
}

teardown() {
	end_nodes
	common_teardown
}

@test "items come back in order, from workers of this machine, with all forms of answers" {
	seq 30000 | psubmit map --worker cat >out
	seq 30000 | cmp - out
	run -0 psubmit map -j1 --worker --lines 2 sh -c 'while read -r l; do echo "$l $$"; echo "$PCORE_SLOT$PCORE_SEQ"; done' ::: a b c
	[ "$(sed -n 'n;p' <<<"$output" | sort -u)" = 1 ]
	[ "$(sed -n 'p;n' <<<"$output" | cut -d' ' -f2 | sort -u | wc -l)" = 1 ]
	run -0 psubmit map --worker --lines until:. --init x sh -c 'while read -r l; do echo "$l"; echo .; done' ::: a b
	[ "$output" = $'a\nb' ]
	run -0 psubmit map --worker --frames cat ::: $'a\nb' c
	[ "$output" = $'a\nbc' ]
	run -1 psubmit map --worker cat ::: a $'b\nb' c
	[ "$output" = $'psubmit: item 2 holds a newline, which only --frames can send to a worker\na\nc' ]
	run -0 psubmit map --worker --shell 'sed -u s/^/x/' ::: a b
	[ "$output" = $'xa\nxb' ]
	run -0 psubmit map --worker -j1 tr a-z A-Z ::: a b c # it answers when nothing more comes
	[ "$output" = $'A\nB\nC' ]
}

@test "workers that write in blocks are sent as many items as they need for one" {
	seq 5000 | timeout 60 psubmit map --local=2 --worker tr 0-9 a-j >out
	seq 5000 | tr 0-9 a-j | cmp - out
}

@test "a worker that dies with an item fails it alone, or has it tried again by another one" {
	run -1 --separate-stderr psubmit map -j1 --worker ./worker ::: 1 die 2 3
	[ "$output" = $'got 1\ngot 2\ngot 3' ]
	[[ "$stderr" == *"psubmit: worker 1 (pid "*") died of SIGKILL before it had answered item 2"* ]]
	[[ "$stderr" == *"read all" ]]
	[ "$(wc -l <starts)" = 2 ]
	run -0 --separate-stderr psubmit map -j1 --retry 1 --retry-delay 0 --worker ./worker ::: 1 die-once 2
	[ "$output" = $'got 1\ngot die-once\ngot 2' ]
	run -1 --separate-stderr psubmit map -j1 --answer-timeout 2 --log-json log --worker ./worker ::: 1 hang 2
	[ "$output" = $'got 1\ngot 2' ]
	[[ "$stderr" == *"has not answered item 2 within 2s; ending it"* ]]
	grep -q '"timed_out":true' log
}

@test "workers that do not start, or fail at their end, are told of" {
	run -1 psubmit map --worker sh -c 'exit 3' ::: a
	[[ "$output" == *"ended with status 3 before it had read an item"*"no worker can be kept running; giving up"* ]]
	run -1 --separate-stderr psubmit map -j1 --worker sh -c 'cat; exit 3' ::: a
	[ "$output" = a ]
	[[ "$stderr" == *"ended with status 3 after its last answer" ]]
	run -127 psubmit map --worker no-such-command ::: a
	[[ "$output" == *"cannot run 'no-such-command': No such file or directory" ]]
}

@test "signals end workers" {
	mkfifo in
	psubmit map -j2 --worker cat <in >out 2>err 3>&- &
	pid=$!
	exec {w}>in
	seq 10 >&$w
	wait_for 10 lines_are out 10
	kill $pid
	ends 143 $pid
	exec {w}>&-
}

@test "items go to workers on two nodes over TLS, and none is lost with a node that is killed" {
	node one --cpus 1
	a=$address victim=$node
	node two --cpus 1
	mkfifo in
	# each node's workers wait until both have some
	psubmit map --nodes "$a,$address" --env MARKS="$PWD/marks" --log log --worker sh -c 'touch "$MARKS/$PCORE_NODE"
		until [ -e "$MARKS/one" ] && [ -e "$MARKS/two" ]; do sleep 0.02; done
		echo here "$PCORE_NODE" >&2
		while read -r l; do echo "$l"; done' <in >out 2>err 3>&- &
	pid=$!
	exec {w}>in
	seq 1000 >&$w
	wait_for 20 lines_are out 1000
	grep -q '^here one$' err
	grep -q '^here two$' err
	kill -KILL "$victim"
	seq 1001 3000 >&$w
	exec {w}>&-
	ends 0 $pid || { cat err; false; }
	seq 3000 | cmp - out
	[ "$(cut -f2 log | sort -u | grep -c -e '^one$' -e '^two$')" = 2 ]
}

@test "blocks arrive whole, with slow readers and small ones, and again after a failure" {
	seq 60000 >in
	psubmit map --pipe --block 50K cat <in | cmp - in
	cat in | psubmit map --pipe --block 50K cat | cmp - in
	cat in | psubmit map --pipe --block 300K sh -c 'sleep 0.1; cat' | cmp - in
	psubmit map --pipe --block 100K --retry 1 --retry-delay 0 sh -c 'if [ $PCORE_ATTEMPT = 1 ]; then head -c 70000 >/dev/null; exit 1; fi; cat' <in | cmp - in
	run -0 psubmit map --pipe true </dev/null
}

@test "a job that stops reading is no failure, and what it has not read is not sent" {
	seq 300000 >in
	run -0 psubmit map --pipe --block 1M --log-json log head -n1 <in
	[ "${lines[0]}" = 1 ]
	[ "${#lines[@]}" = "$(psubmit map --pipe --block 1M wc -l <in | wc -l)" ]
	run -0 psubmit map --pipe --block 1M true <in
}

@test "--round-robin feeds as many consumers as -j says" {
	seq 60000 >in
	psubmit map --pipe --round-robin --local=2 --block 10K cat <in >out
	sort -n out | cmp - in
	run -125 psubmit map --pipe --round-robin --nodes 127.0.0.1:1 cat
	[[ "$output" == *"--round-robin with --nodes needs -j: how many consumers share the input"* ]]
}

@test "blocks go to nodes over TLS, and those of a node that is killed come again" {
	node one --cpus 2
	a=$address victim=$node
	node two --cpus 1
	seq 100000 >in
	psubmit map --nodes "$a,$address" --env MARKS="$PWD/marks" --pipe --block 90K sh -c 'touch "$MARKS/$PCORE_NODE"
		if [ $PCORE_NODE = one ]; then head -c 1000; exec sleep 60; fi
		until [ -e "$MARKS/one" ]; do sleep 0.02; done; cat' <in >out 2>err 3>&- &
	pid=$!
	wait_for 20 exists marks/one || { cat err; false; }
	kill -KILL "$victim"
	ends 0 $pid || { cat err; false; }
	cmp in out
}
