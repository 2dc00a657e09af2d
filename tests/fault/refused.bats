#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sanitizers: no
# The tools where the kernel's newer calls are refused, as under a container's seccomp filter: the same results.

bats_require_minimum_version 1.5.0
load ../cli/support

setup() {
	common_setup
	[ "${PCORE_LOOP-}" != uring ] || unset PCORE_LOOP # it cannot be had here
	PATH="$PCORE_BUILD/helpers:$PATH"
}

teardown() { common_teardown; }

# As Docker does it: io_uring is forbidden, clone3 is unknown; and close_range is unknown as well, as on old kernels.
# A hang is a status of 137.
refused() {
	refuse -e EPERM io_uring_setup -- refuse clone3 close_range -- timeout --foreground -s KILL 20 "$@"
}

@test "the filter really refuses: the io_uring loop cannot be had by name" {
	PCORE_LOOP=uring run -125 --separate-stderr refused ppool map true ::: a
	[[ $stderr == "ppool: "*uring* ]]
	[ -z "$output" ]
}

@test "refused: prun passes the command's status on" {
	for status in 0 1 7 124 255; do
		run "-$status" refused prun sh -c "exit $status"
		[ -z "$output" ]
	done
}

@test "refused: prun exits 127 and 126 and names the command" {
	run -127 refused prun no-such-command
	[ "$output" = "prun: cannot run 'no-such-command': No such file or directory" ]
	: >plain
	run -126 refused prun ./plain
	[ "$output" = "prun: cannot run './plain': Permission denied" ]
}

@test "refused: prun dies of its command's signal" {
	run -143 refused prun sh -c 'kill -TERM $$'
	run -137 refused prun sh -c 'kill -KILL $$'
}

@test "refused: a directory that is missing is named, with 125" {
	run -125 refused prun --chdir no-such-dir true
	[[ $output == *"no-such-dir"*"No such file or directory"* ]]
}

@test "refused: the command's environment, directory and input are as asked" {
	mkdir there
	run -0 refused prun --chdir there --env A=1 --clean-env --stdin-data 'in' \
		/bin/sh -c 'pwd; echo "$A-$B"; cat'
	[ "$output" = "$PWD/there"$'\n'"1-"$'\n'"in" ]
}

@test "refused: the command has 0, 1 and 2 and no other descriptor" {
	run -0 refused prun showfds 7</dev/null 9</dev/null 700</dev/null
	[ "$(cut -d' ' -f1 <<<"$output" | xargs)" = "0 1 2" ]
	run -0 refused ppool map showfds ::: a 7</dev/null 700</dev/null
	[ "$(cut -d' ' -f1 <<<"$output" | xargs)" = "0 1 2" ]
}

@test "refused: the command's signals are clean" {
	(
		trap '' PIPE USR1
		run -0 refused prun showsig
		[[ $output == *"SigBlk 0000000000000000"* ]]
		[[ $output == *"SigIgn 0000000000000000"* ]]
	)
}

# timed_out OPTIONS... -- COMMAND...: prun gives it up, but not before it has said that it is ready. On a busy machine that takes
# longer than the time-out that is good elsewhere.
timed_out() {
	local options=() limit
	while [ "$1" != -- ]; do options+=("$1"); shift; done
	shift
	for limit in 0.5 3 15; do
		rm -f pids
		run -124 refused prun --timeout "$limit" "${options[@]}" "$@"
		[ "$output" != ready ] || return 0
	done
	return 1
}

@test "refused: a time-out ends the whole tree with 124" {
	timed_out -- tree -d 2 -w 2 -f pids 60
	[ "$(wc -l <pids)" -eq 7 ]
	wait_for 2 nothing_left
}

@test "refused: a command that ignores TERM is killed" {
	timed_out --kill-after 0.2 -- ignterm 60
}

@test "refused: no process survives a prun that is killed" {
	refused prun tree -d 2 -w 2 -f pids 20 >out 3>&- &
	wait_for 5 nonempty out
	pkill -KILL -P "$(pgrep -P $! -x timeout || echo $!)" -x prun
	wait || :
	wait_for 3 nothing_left
}

@test "refused: without a cgroup to make, the supervisor ends the tree" {
	run -124 refuse -e EROFS mkdirat -- refuse -e EROFS mkdir -- refuse -e EPERM io_uring_setup -- \
		timeout --foreground -s KILL 20 prun --timeout 0.5 --report report tree -d 2 -w 2 -f pids 20
	[[ $(cat report) == *'"method":"supervisor"'* ]]
	wait_for 2 nothing_left
}

@test "refused: a report tells the end and the method" {
	run -3 refused prun --report report sh -c 'exit 3'
	[ "$(jq -r '[.exit, .signal, .timed_out, .survivors] | map(tostring) | join(" ")' report)" = \
		"3 null false 0" ]
	[ "$(jq -r .method report)" != null ]
}

@test "refused: a pipe that a stray holds open does not hold prun" {
	start=$(now_ms)
	run -0 refused prun holdpipe 15 hi
	[ "$output" = hi ]
	took "$start" 0 12000
}

@test "refused: ppool keeps the order of the items" {
	run -0 refused ppool map -j4 sh -c 'sleep 0.$1; echo $1' sh ::: 3 1 2 0 4
	[ "${lines[*]}" = "3 1 2 0 4" ]
}

@test "refused: ppool maps many items and loses none" {
	seq 400 >items
	refused ppool map -j4 echo <items >out
	cmp items out
}

@test "refused: ppool keeps stdout and stderr apart, byte for byte" {
	run -0 --separate-stderr refused ppool map --shell 'printf "a\0b" | od -An -c; echo err {} >&2' ::: x y
	[ "${#lines[@]}" -eq 2 ]
	[ "$stderr" = $'err x\nerr y' ]
	refused ppool map sh -c 'head -c 1000000 /dev/zero; printf "\377"' ::: a b | wc -c >size
	[ "$(tr -d ' ' <size)" = 2000002 ]
}

@test "refused: ppool's status is 1 when a job fails, and the others run" {
	run -1 refused ppool map sh -c '[ $1 != 2 ] && echo $1' sh ::: 1 2 3
	[ "${lines[*]}" = "1 3" ]
	run -3 refused ppool map --halt now,fail=1 sh -c 'exit $1' sh ::: 3
	run -127 refused ppool map no-such-command ::: a
}

@test "refused: ppool ends a job whose time is up" {
	start=$(now_ms)
	run -1 refused ppool map -j2 --timeout 2 --shell 'sleep {}; echo {}' ::: 0.1 60
	[[ $output == 0.1* ]]
	took "$start" 2000 30000
}

@test "refused: output that waits goes to a file and comes back whole" {
	refused ppool map -j4 --buffer 64K --shell 'sleep 0.{}; yes {} | head -c 300000' ::: 5 1 2 3 >out
	for i in 5 1 2 3; do yes $i | head -c 300000; done | cmp - out
}

@test "refused: a reader that leaves ends ppool quietly" {
	run -0 --separate-stderr bash -c 'set -o pipefail
		yes a | "$@" | head -n 1 || [ ${PIPESTATUS[1]} -eq 141 ]' bash \
		refuse -e EPERM io_uring_setup -- refuse clone3 close_range -- \
		timeout --foreground -s KILL 20 ppool map -j2 echo
	[ "$output" = a ]
	[ -z "$stderr" ]
}

@test "refused: no process survives a ppool that is killed" {
	refused ppool map -j2 tree -d 1 -w 2 -f pids 20 ::: a b 3>&- &
	wait_for 5 lines_are pids 6
	pkill -KILL -P "$(pgrep -P $! -x timeout || echo $!)" -x ppool
	wait || :
	wait_for 3 nothing_left
}
