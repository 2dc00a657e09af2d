# SPDX-License-Identifier: MIT
# pnode_scheduler.bats - a scheduler for many: what is submitted to it, what it keeps, and who may come.
# shellcheck shell=bash disable=SC2016,SC2030,SC2031,SC2154

load support
load shared

setup() {
	shared_setup
	pnode keygen
}
teardown() { shared_teardown; }

# scheduler OPTIONS...: in the background, at $port (which stays when it is started again); its pid in $sched.
scheduler() {
	: >s.out
	pnode scheduler "${as_node[@]}" --listen "127.0.0.1:${port:-0}" "$@" >s.out 2>>s.log </dev/null 3>&- &
	sched=$!
	running+=("$sched")
	wait_for 10 listening || { cat s.log; return 1; }
	port=$(sed -n 's/^listening on 127.0.0.1:\([0-9]*\)$/\1/p' s.out)
	export PCORE_SCHEDULER=127.0.0.1:$port
}
listening() { grep -q '^listening on .*:[0-9]' s.out && pnode status scheduler >/dev/null 2>&1; }

# node NAME OPTIONS...: one that connects to the scheduler; its pid in $node.
node() {
	local name=$1
	shift
	pnode serve "${as_node[@]}" --name "$name" --scheduler "127.0.0.1:$port" "$@" >"$name.out" 2>"$name.log" </dev/null 3>&- &
	node=$!
	running+=("$node")
	wait_for 10 grep -q "node '$name' is there" s.log || { cat "$name.log"; return 1; }
}
log_has() { grep -q "$2" "$1.log"; } # log_has NAME REGEX
listed() { psubmit list | awk -v id="$1" '$1 == id { print $2 }'; }
is() { [ "$(listed "$1")" = "$2" ]; } # is ID STATE

@test "jobs are submitted, watched, cancelled and mapped through a scheduler with a node that dials out" {
	scheduler
	node n1 --cpus 2
	run -0 psubmit async echo hello
	[ "$output" = 1 ]
	run -0 psubmit get 1
	[ "$output" = hello ]
	run -7 psubmit apply sh -c 'exit 7'
	[ "$(seq 100 | psubmit map echo)" = "$(seq 100)" ]
	seq 50 | psubmit async -a - echo >id
	[ "$(psubmit get "$(cat id)")" = "$(seq 50)" ]
	psubmit async sh -c 'echo began; exec sleep 60' >id
	wait_for 10 is "$(cat id)" running
	run -0 psubmit cancel "$(cat id)"
	wait_for 10 is "$(cat id)" cancelled
	run ! psubmit get "$(cat id)"
	[[ "$output" == began* ]]
	run -0 psubmit nodes
	[[ "${lines[1]}" == n1*serving* ]]
	run -1 psubmit get 99
}

@test "a scheduler that is killed has lost nothing when it is started again, and jobs go on" {
	scheduler --state "$PWD/state"
	run -75 pnode scheduler "${as_node[@]}" --name other --state "$PWD/state"
	[[ "$output" == *"another scheduler uses"* ]]
	node n1 --cpus 2
	make_await
	psubmit async echo kept >one
	[ "$(psubmit get "$(cat one)")" = kept ]
	psubmit async sh -c "echo before; : >$PWD/marks/began; $PWD/await $PWD/marks/go; echo after; echo ran >>$PWD/marks/ran" >two
	wait_for 10 exists marks/began
	seq 30 | psubmit async -a - --node nowhere echo >three
	kill -KILL "$sched"
	wait "$sched" || true
	scheduler --state "$PWD/state"
	[ "$(psubmit get "$(cat one)")" = kept ]
	wait_for 10 is "$(cat two)" running
	: >marks/go
	[ "$(psubmit get "$(cat two)")" = "before
after" ]
	[ "$(cat marks/ran)" = ran ]
	run -0 psubmit explain "$(cat three).7"
	[[ "$output" == *"1"*"node"* ]]
	run -0 psubmit cancel "$(cat three)"
	[ "$(psubmit async echo next)" = 4 ]
	[ "$(psubmit get 4)" = next ]
	# in order, too
	kill "$sched"
	wait_for 5 gone "$sched"
	scheduler --state "$PWD/state"
	[ "$(psubmit get 4)" = next ]
}

small() { [ "$(du -sk state | cut -f1)" -lt 40000 ]; }

@test "the state is made smaller when much of it is forgotten, and the rest is still there" {
	scheduler --state "$PWD/state"
	node n1 --cpus 2
	seq 100 | psubmit async -a - --node n2 echo
	seq 62 | psubmit async -a - sh -c 'head -c 1000000 /dev/zero'
	run -0 psubmit wait 2
	psubmit forget 2
	seq 8 | psubmit async -a - sh -c 'yes "$0" | head -c 1000000'
	run -0 psubmit wait 3
	wait_for 10 small
	kill -KILL "$sched"
	wait "$sched" || true
	scheduler --state "$PWD/state"
	psubmit get 3 | cmp - <(for n in $(seq 8); do yes "$n" | head -c 1000000; done)
	node n2
	[ "$(psubmit get 1)" = "$(seq 100)" ]
}

@test "a node that is killed loses its jobs to another one, and one that is not wanted does not spin" {
	scheduler
	node n1 --cpus 1
	first=$node
	make_await
	psubmit async sh -c ": >$PWD/marks/\$PCORE_NODE; $PWD/await $PWD/marks/go; echo \$PCORE_NODE" >id
	wait_for 10 exists marks/n1
	node n2 --cpus 1
	kill -KILL "$first"
	wait_for 15 exists marks/n2
	: >marks/go
	[ "$(psubmit get "$(cat id)")" = n2 ]
	# another key
	PCORE_KEY=$PWD/other pnode keygen
	PCORE_KEY=$PWD/other pnode serve "${as_node[@]}" --name n3 --scheduler "127.0.0.1:$port" >n3.out 2>n3.log </dev/null 3>&- &
	running+=("$!")
	wait_for 10 log_has n3 "it is tried again"
	[ "$(wc -l <n3.log)" = 1 ]
	run -77 env PCORE_KEY="$PWD/other" psubmit list
}

@test "a scheduler that is stopped begins nothing, and one that drains ends with its last job" {
	local job="until [ -e $scratch/marks/go ]; do sleep 0.02; done; echo" map attached
	scheduler --state "$scratch/state"
	node n1 --cpus 2
	pnode stop scheduler
	[[ "$(pnode status scheduler)" == "scheduler: "*", stopped; 2 of 2 CPUs; "* ]]
	psubmit async echo first
	run -0 psubmit explain 1
	[[ "$output" == "1: queued
of 1 nodes
  the scheduler is stopped" ]]
	pnode start scheduler
	[ "$(psubmit get 1)" = first ]
	run -125 pnode cpus 2 scheduler
	[ "$output" = "pnode: node 'scheduler': this is a scheduler: ask its nodes" ]

	psubmit async sh -c "echo begun; $job last"
	psubmit attach 2 >attached.out &
	attached=$!
	wait_for 10 test -s attached.out
	psubmit map sh -c "$job {}" ::: a b >map.out 2>map.err &
	map=$!
	wait_for 10 has_jobs 3
	pnode drain scheduler
	[[ "$(pnode status scheduler)" == "scheduler: "*", draining; "* ]]
	wait_for 10 grep -q "^psubmit: the scheduler 'scheduler' takes no new jobs: it is draining$" map.err
	run -75 psubmit async true
	[ "$output" = "psubmit: this scheduler is draining: it takes no new jobs" ]
	touch marks/go
	ends 0 $map || { cat map.err; false; }
	[ "$(cat map.out)" = $'a\nb' ]
	ends 0 $attached
	[ "$(cat attached.out)" = $'begun\nlast' ]
	ends 0 "$sched"
	log_has s '^pnode: drained$'
	scheduler --state "$scratch/state"
	[[ "$(pnode status scheduler)" == "scheduler: "*", serving; "* ]]
	[ "$(psubmit get 2)" = $'begun\nlast' ]
}
has_jobs() { [ "$(pnode status --json scheduler | jq '.running + .queued')" = "$1" ]; }

@test "a scheduler connects to the nodes that a file names" {
	local name
	for name in n1 n2; do
		pnode serve "${as_node[@]}" --name $name --listen 127.0.0.1:0 >$name.out 2>$name.log </dev/null 3>&- &
		running+=($!)
		wait_for 10 grep -q '^listening on 127' $name.out || { cat $name.log; return 1; }
	done
	printf '# ours\n%s # the first\n\n%s' "$(sed -n 's/^listening on //p' n1.out)" "$(sed -n 's/^listening on //p' n2.out)" >list
	scheduler --nodes ./list
	wait_for 10 log_has s "node 'n1' is there"
	wait_for 10 log_has s "node 'n2' is there"
	[ "$(psubmit apply --node n2 echo yes)" = yes ]
}

@test "bad options of a scheduler are refused" {
	run -125 pnode scheduler --policy random
	[[ "$output" == *"'random'"*"--policy"* ]]
	run -125 pnode scheduler --keep soon
	[[ "$output" == *"'soon'"*"--keep"* ]]
	run -125 pnode scheduler --max-output many
	[[ "$output" == *"'many'"*"--max-output"* ]]
	run -125 pnode scheduler --nodes ,
	[[ "$output" == *"','"*"--nodes"* ]]
	run -125 pnode scheduler --nodes ./none
	[ "$output" = "pnode: cannot open './none': No such file or directory" ]
	run -125 pnode scheduler --nodes ./marks
	[ "$output" = "pnode: cannot read './marks': Is a directory" ]
	printf '# nobody\n\n' >list
	run -125 pnode scheduler --nodes ./list
	[[ "$output" == *"'./list'"*"--nodes"*"there is no address in it"* ]]
	printf '127.0.0.1:1 127.0.0.1:2\n' >list
	run -125 pnode scheduler --nodes ./list
	[ "$output" = "pnode: cannot use the addresses in './list': '127.0.0.1:2' is a second one in a line" ]
	printf '127.0.0.1:1 # one\r\n\tnowhere\n' >list
	run -125 pnode scheduler "${as_node[@]}" --nodes ./list
	[[ "$output" == *"'nowhere'"*"--nodes"* ]]
	run -125 pnode scheduler --grace -1
	run -125 pnode scheduler "${as_node[@]}" --state /proc/none
	[[ "$output" == *"cannot make the directory"* ]]
	run -125 pnode scheduler "${as_node[@]}" --nodes 127.0.0.1:1,nowhere
	[[ "$output" == *"'nowhere'"*"--nodes"* ]]
	run -125 pnode serve "${as_node[@]}" --name n1 --scheduler nowhere
	[[ "$output" == *"'nowhere'"*"--scheduler"* ]]
	run -125 env PCORE_KEY= HOME=/nonexistent pnode serve "${as_node[@]}" --name n1 --scheduler 127.0.0.1:1
	[[ "$output" == *"there is no key"* ]]
}

@test "when the disk is full submits are refused, nothing is lost, and it goes on when there is room" {
	mkdir small
	mount -t tmpfs -o size=4M,mode=1777 none small 2>/dev/null || skip "needs to mount a tmpfs"
	full_disk || { umount -l small; return 1; }
	kill "$sched"
	wait_for 5 gone "$sched"
	umount small
}
full_disk() {
	scheduler --state "$PWD/small/state" || return 1
	node n1 --cpus 2 || return 1
	[ "$(psubmit async echo first)" = 1 ] || return 1
	[ "$(psubmit get 1)" = first ] || return 1
	dd if=/dev/zero of=small/fill bs=64k 2>/dev/null
	refused || { psubmit list; return 1; }
	rm small/fill
	wait_for 10 accepted || return 1
	[ "$(psubmit get 1)" = first ]
}
refused() { # there may be room for a few
	for _ in {1..20}; do
		seq 100000 | psubmit async -a - --node nowhere true >/dev/null 2>refused || { grep -q "No space left" refused; return; }
	done
	return 1
}
accepted() { psubmit async true >/dev/null 2>&1; }
