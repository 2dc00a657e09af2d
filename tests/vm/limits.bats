#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# limits.bats - the limits of a whole tree where its control group has all controllers: here they must hold, nothing stands in.

bats_require_minimum_version 1.5.0
load ../cli/support

setup() { common_setup; }
teardown() { common_teardown; }

@test "trees are held together by a control group" {
	run -0 prun --report r true
	[ "$(jq -r .method r)" = cgroup ]
}

@test "--memory is kept by the control group, for all processes together" {
	run -0 prun --memory 200M --report r python3 -c 'x = bytearray(20 << 20)'
	[ "$(jq -r .memory_limit r)" = cgroup ]
	[ "$(jq -r .killed_by r)" = null ]
	run -137 prun --memory 200M --report r2 python3 -c 'x = bytearray(300 << 20)'
	[ "$(jq -r .killed_by r2)" = memory ]
	# neither of the two wants too much, both do
	run -137 prun --memory 200M --report r3 sh -c '
		for i in 1 2; do python3 -c "import time; x = bytearray(130 << 20); time.sleep(600)" & done; wait'
	[ "$(jq -r .killed_by r3)" = memory ]
}

# in_group COMMAND...: alone in a control group of its own, $group
in_group() { (echo "$BASHPID" >"$group/cgroup.procs" && exec "$@"); }

@test "alone in a control group that is not the root prun keeps --memory, too, and leaves the group as it was" {
	group=/sys/fs/cgroup/test.$$
	mkdir "$group"
	run -137 in_group prun --memory 200M --report r python3 -c 'x = bytearray(300 << 20)'
	[ "$(jq -r .killed_by r)" = memory ]
	run -0 in_group prun --memory 200M --tasks 50 --leave --report r2 sh -c 'sleep 600 >/dev/null 2>&1 & echo $!; cat /proc/$PPID/cgroup'
	[ "$(jq -r .memory_limit r2)" = cgroup ]
	[[ ${lines[1]} == 0::/test.*/pcore.*.self ]]
	[ "$(cat "$group/cgroup.procs")" = "${lines[0]}" ]
	kill "${lines[0]}"
	[ "$(cat "$group/cgroup.subtree_control")" = '' ]
	[ "$(find "$group" -mindepth 1 -type d)" = '' ]
	# with somebody else there it stays where it is
	run -0 in_group sh -c 'prun --memory 200M --report r3 cat /proc/$PPID/cgroup; exit'
	[ "$(jq -r .memory_limit r3)" = rlimit ]
	wait_for 60 rmdir "$group"
}

@test "when prun is killed, what it has made in the group is swept by the next one" {
	group=/sys/fs/cgroup/test.$$
	mkdir "$group"
	in_group prun --memory 200M sh -c 'echo $PPID >pid; sleep 600' &
	wait_for 60 nonempty pid
	kill -KILL "$(cat pid)"
	wait_for 60 grep -q 'populated 0' "$group/cgroup.events"
	echo -memory >"$group/cgroup.subtree_control"
	run -0 in_group prun true
	[ "$(find "$group" -mindepth 1 -type d)" = '' ]
	rmdir "$group"
}

@test "a service of an ordinary user keeps --memory, and what --leave leaves lives on" {
	scratch=$(mktemp -d /tmp/pcore-test.XXXXXX)
	chown nobody "$scratch"
	prun=$(realpath "$(command -v prun)") # by a path that nobody can use
	run -0 systemd-run -q --pipe --wait -p User=nobody -p Delegate=yes -p WorkingDirectory="$scratch" \
		"$prun" --memory 200M --leave --report r sh -c 'sleep 600 & cat /proc/self/cgroup'
	[ "$(jq -r .memory_limit "$scratch/r")" = cgroup ]
	[ "$(jq -r .method "$scratch/r")" = cgroup ]
	[[ $output == 0::*.service/pcore.* ]]
}

@test "--memory does not keep address space that is not used" {
	run -0 prun --memory 50M --report r python3 -c 'import mmap; x = mmap.mmap(-1, 1 << 30)'
	[ "$(jq -r .killed_by r)" = null ]
}

@test "--tasks is kept" {
	run prun --tasks 3 sh -c 'sleep 600 & sleep 600 & sleep 600 & echo four'
	[ "$status" != 0 ]
	[[ $output != *four* ]]
	run -0 prun --tasks 4 sh -c 'for i in 1 2 3; do sleep 600 & p="$p $!"; done; echo four; kill $p'
	[ "$output" = four ]
}

@test "--cpu is kept" {
	run -0 prun --cpu 10 --report r python3 -c '
import time
while time.process_time() < 0.5: pass'
	jq -e '.wall_s > 4 * (.user_s + .sys_s)' r
}

@test "--cpu and --io-weight are written to the control group" {
	run -0 prun --cpu 150 --io-weight 300 sh -c 'cd /sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup) && cat cpu.max io.weight'
	[[ ${lines[0]} == "150000 100000" ]]
	[[ ${lines[1]} == "default 300" ]]
}
