# SPDX-License-Identifier: MIT
# psubmit_stream.bats - map --pipe through a scheduler that many share.
# shellcheck shell=bash disable=SC1083,SC2016,SC2154,SC2030,SC2031

load support
load shared

setup() { shared_setup; }
teardown() { shared_teardown; }

@test "blocks arrive whole through a scheduler, with slow readers and small ones, and again after a failure" {
	scheduler
	node one --cpus 2
	node two --cpus 1
	seq 60000 >in
	psubmit map --pipe --block 50K cat <in | cmp - in
	cat in | psubmit map --pipe --block 300K sh -c 'sleep 0.1; cat' | cmp - in
	psubmit map --pipe --block 100K --retry 1 --retry-delay 0 sh -c 'if [ $PCORE_ATTEMPT = 1 ]; then head -c 70000 >/dev/null; exit 1; fi; cat' <in | cmp - in
	run -0 psubmit map --pipe true </dev/null
	psubmit map --pipe --scheduler "$PCORE_SCHEDULER" cat <in | cmp - in
}

@test "a job that stops reading is no failure, and what it has not read is not sent" {
	scheduler
	node one --cpus 2
	seq 300000 >in
	run -0 psubmit map --pipe --block 1M head -n1 <in
	[ "${lines[0]}" = 1 ]
	[ "${#lines[@]}" = "$(psubmit map --pipe --block 1M wc -l <in | wc -l)" ]
	run -0 psubmit map --pipe true <in
	run -1 psubmit map --pipe --timeout 0.2 sleep 60 <in
}

@test "--round-robin feeds as many consumers as -j says, on all nodes of a scheduler" {
	scheduler
	node one --cpus 1
	node two --cpus 1
	seq 60000 >in
	psubmit map -j2 --pipe --round-robin --block 10K sh -c 'echo $PCORE_NODE >&2; cat' <in >out 2>err
	sort -n out | cmp - in
	[ "$(sort err)" = $'one\ntwo' ]
	run -125 psubmit map --pipe --round-robin cat <in
	[[ "$output" == *"--round-robin with --scheduler needs -j: how many consumers share the input"* ]]
}

# Each job says where it is, and those of node one read no more than a part before they are stopped.
stuck_on_one() {
	echo "touch $marks/\$PCORE_NODE
		if [ \$PCORE_NODE = one ] && ! [ -e $marks/go ]; then head -c 1000; exec sleep 60; fi
		until [ -e $marks/one ]; do sleep 0.02; done; cat"
}

@test "the blocks of a node that is killed come again on another" {
	local victim pid
	scheduler
	node one --cpus 2
	victim=$node
	node two --cpus 1
	seq 100000 >in
	psubmit map --pipe --block 90K sh -c "$(stuck_on_one)" <in >out 2>err 3>&- &
	pid=$!
	running+=("$pid")
	wait_for 20 exists "$marks/one" || { cat err; false; }
	kill -KILL "$victim"
	ends 0 $pid || { cat err; false; }
	cmp in out
}

@test "a scheduler that is started again has its clients send their blocks anew" {
	local pid
	scheduler --state "$scratch/state"
	node one --cpus 2
	seq 100000 >in
	psubmit map --pipe --block 90K sh -c "touch $marks/began; until [ -e $marks/go ]; do sleep 0.02; done; cat" <in >out 2>err 3>&- &
	pid=$!
	running+=("$pid")
	wait_for 20 exists "$marks/began" || { cat err; false; }
	kill -KILL "$sched"
	wait_for 10 gone "$sched"
	touch "$marks/go"
	scheduler --state "$scratch/state"
	ends 0 $pid || { cat err; false; }
	cmp in out
}

@test "a client that dies takes its consumers with it" {
	local pid
	scheduler
	node one --cpus 1
	mkfifo in
	psubmit map -j1 --pipe --round-robin --block 1K sh -c "echo \$\$ >$marks/pid; mv $marks/pid $marks/began; cat" <in >out 2>err 3>&- &
	pid=$!
	running+=("$pid")
	exec {w}>in
	seq 1000 >&$w
	wait_for 20 exists "$marks/began" || { cat err; false; }
	kill -KILL "$pid"
	wait_for 10 gone "$(cat "$marks/began")"
	exec {w}>&-
}
