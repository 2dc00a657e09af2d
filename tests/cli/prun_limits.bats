#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# prun_limits.bats - who the command is, how it is scheduled, and the limits of its tree.

bats_require_minimum_version 1.5.0
load support

setup() { common_setup; }
teardown() { common_teardown; }

@test "--user takes the user's primary group and no others" {
	need_root
	run -0 prun --user nobody id
	[ "$output" = "$(setpriv --reuid=nobody --regid=nogroup --clear-groups id)" ]
	run -0 prun --user 4711 --group 12 --groups 5,6 sh -c 'id -u; id -g; id -G'
	[ "$output" = $'4711\n12\n12 5 6' ]
	run -0 prun --user nobody --groups '' id -G
	[ "$output" = "$(id -g nobody)" ]
}

@test "a user or group that is not there, or that may not be taken, is an error that names the option" {
	run -125 --separate-stderr prun --user no-such-user true
	[[ $stderr == *"'no-such-user' for '--user': no such user"* ]]
	run -125 --separate-stderr prun --group no-such-group true
	[[ $stderr == *"'--group': no such group"* ]]
	run -125 --separate-stderr prun --groups 1,x true
	[[ $stderr == *"'x' for '--groups': no such group"* ]]
	need_root
	user_setup
	run -125 --separate-stderr "${as_user[@]}" prun --user root true
	[[ $stderr == *"cannot set the groups for --user or --groups: Operation not permitted"* ]]
	run -125 --separate-stderr "${as_user[@]}" prun --group 0 true
	[[ $stderr == *"cannot set --group: Operation not permitted"* ]]
}

@test "there is no way back from --user" {
	need_root
	run -0 prun --user nobody grep -E '^(Uid|Gid):' /proc/self/status
	[[ $output != *$'\t0'* ]]
}

@test "--sched, --ionice and --oom-adj hold for the command and not for prun" {
	local before
	before=$(cat /proc/self/oom_score_adj)
	run -0 prun --sched batch --ionice best-effort:6 --oom-adj 500 sh -c 'chrt -p $$; ionice -p $$; cat /proc/self/oom_score_adj'
	[[ ${lines[0]} == *SCHED_BATCH ]]
	[ "${lines[2]}" = "best-effort: prio 6" ]
	[ "${lines[3]}" = 500 ]
	[ "$(cat /proc/self/oom_score_adj)" = "$before" ]
	run -0 prun --sched idle --ionice idle sh -c 'chrt -p $$ | head -n 1; ionice -p $$'
	[[ ${lines[0]} == *SCHED_IDLE ]]
	[ "${lines[1]}" = idle ]
}

@test "bad values of --sched, --ionice and --oom-adj are told" {
	for bad in '' fast fifo fifo: fifo:0 fifo:100 batch:1 idle:; do
		run -125 --separate-stderr prun --sched "$bad" true
		[[ $stderr == *"'--sched'"* ]]
	done
	for bad in '' none best-effort:8 idle:1 realtime:x; do
		run -125 --separate-stderr prun --ionice "$bad" true
		[[ $stderr == *"'--ionice'"* ]]
	done
	for bad in '' 1001 -1001 1x 0x1; do
		run -125 --separate-stderr prun --oom-adj "$bad" true
		[[ $stderr == *"'--oom-adj'"* ]]
	done
	need_root
	user_setup
	run -125 --separate-stderr "${as_user[@]}" prun --sched fifo:10 true
	[[ $stderr == *"cannot set --sched: Operation not permitted"* ]]
}

@test "--memory holds, by the cgroup or by the address space, and the report says which" {
	run -0 prun --memory 100M --report r true
	by=$(jq -r .memory_limit r)
	[ "$by" = cgroup ] || [ "$by" = rlimit ]
	run ! prun --memory 100M --report r2 python3 -c 'x = bytearray(300 * 1024 * 1024)'
	[ "$by" = rlimit ] || [ "$(jq -r .killed_by r2)" = memory ]
}

@test "--tasks, --cpu and --io-weight are set, or are an error that --best-effort turns into a warning" {
	for option in '--tasks 50' '--cpu 50' '--io-weight 200'; do
		status=0
		# shellcheck disable=SC2086
		run --separate-stderr prun $option true
		[ "$status" = 0 ] || [ "$status" = 125 ]
		[ "$status" = 0 ] || [[ $stderr == "prun: cannot set ${option% *}: "* ]]
		# shellcheck disable=SC2086
		run -0 --separate-stderr prun $option --best-effort echo ran
		[ "$output" = ran ]
	done
}

@test "bad values of the limits are told" {
	for bad in '' 0 -1 1x 99999999999999999999; do
		for option in --tasks --cpu --io-weight --memory; do
			run -125 --separate-stderr prun "$option" "$bad" true
			[[ $stderr == *"'$option'"* ]]
		done
	done
}

@test "ppool's jobs take the same options" {
	need_root
	run -0 ppool map --user nobody --sched idle sh -c 'id -un; chrt -p $$ | head -n 1' ::: x
	[ "${lines[0]}" = nobody ]
	[[ ${lines[1]} == *SCHED_IDLE ]]
}
