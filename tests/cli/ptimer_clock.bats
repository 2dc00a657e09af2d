#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# ptimer_clock.bats - ptimer while the wall clock is set. The clock is that of a preloaded library, which says it all the time: the
# kernel's word that a clock was set is not tested here.

load support

setup() {
	common_setup
	export TZ=UTC SHIFTCLOCK=$PWD/shift
	[ -e "$PCORE_BUILD/helpers/shiftclock.so" ] || skip "needs helpers/shiftclock.so"
}
teardown() { common_teardown; }

# shifted COMMAND...: with the other clock, in this shell's place
shifted() {
	export ASAN_OPTIONS=${ASAN_OPTIONS-}:verify_asan_link_order=0
	LD_PRELOAD=$PCORE_BUILD/helpers/shiftclock.so exec "$@"
}

# set_clock TIME: it is that time now
set_clock() {
	echo $(($(date -u -d "$1" +%s) - $(date +%s))) >shift.new
	mv shift.new shift
}

# It has read its options and the clock: signals are what it sets up last.
has_begun() { ((0x$(sed -n 's/^SigBlk:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null || echo 0) & 0x4000)); }

# looks_again PID: it has slept some more, and so looked at the clock
looks_again() {
	local before
	before=$(voluntary_switches "$1")
	wait_for 10 has_slept "$1" $((before + 5))
}
has_slept() { [ "$(voluntary_switches "$1")" -gt "$2" ]; }
voluntary_switches() { sed -n 's/^voluntary_ctxt_switches:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null || echo 0; }

# What `ptimer on hourly` with these options prints and says when it is 12:30 and the clock is set to 14:30.
two_hours_on() {
	set_clock '2026-05-05 12:30'
	shifted ptimer on hourly "$@" >out 2>err &
	pid=$!
	wait_for 10 has_begun $pid
	set_clock '2026-05-05 14:30'
}

lines_of() { cut -f1,2 "$1" | sed -E 's/\t2026-05-05T/ /; s/\.000000\+00:00//' | xargs; }

@test "a clock that is set forward: the latest tick is made, and what is missed is told (68)" {
	local pid
	two_hours_on -n1 --catchup once
	ends 0 $pid
	[ "$(lines_of out)" = '1 14:00:00' ]
	[ "$(<err)" = 'ptimer: ticks due from 2026-05-05T13:00:00.000000+00:00 to 2026-05-05T13:00:00.000000+00:00 are missed' ]
}

@test "a clock that is set forward: every tick is made, each once, on request (68)" {
	local pid
	two_hours_on -n2 --catchup all
	ends 0 $pid
	[ "$(lines_of out)" = '1 13:00:00 2 14:00:00' ]
	[ ! -s err ]
}

@test "a clock that is set forward: what is too late is not made (68)" {
	local pid
	two_hours_on -n1
	wait_for 10 nonempty err
	[ "$(<err)" = 'ptimer: ticks due from 2026-05-05T13:00:00.000000+00:00 to 2026-05-05T14:00:00.000000+00:00 are missed' ]
	[ ! -s out ]
	set_clock '2026-05-05 15:00'
	ends 0 $pid
	[ "$(lines_of out)" = '1 15:00:00' ]
}

@test "a clock that is set back: no time is run again, and what comes after the last one is (68)" {
	local pid
	set_clock '2026-05-05 12:50'
	shifted ptimer on '*:0/20' -n2 >out 2>err &
	pid=$!
	wait_for 10 has_begun $pid
	set_clock '2026-05-05 13:00'
	wait_for 10 nonempty out
	set_clock '2026-05-05 10:59:59'
	looks_again $pid
	set_clock '2026-05-05 12:59:59'
	looks_again $pid
	[ "$(lines_of out)" = '1 13:00:00' ]
	set_clock '2026-05-05 13:20:00'
	ends 0 $pid
	[ "$(lines_of out)" = '1 13:00:00 2 13:20:00' ]
	[ ! -s err ]
}

@test "at sees the clock, after and every do not (68)" {
	local pids=()
	set_clock '2026-05-05 12:30'
	shifted ptimer at 14:00 -- echo made >at.out &
	pids+=($!)
	shifted ptimer after 1h -- echo made >after.out &
	pids+=($!)
	shifted ptimer every 20ms -n 50 >every.out 2>err &
	pids+=($!)
	wait_for 10 has_begun "${pids[0]}"
	wait_for 10 has_begun "${pids[1]}"
	wait_for 10 nonempty every.out
	set_clock '2026-05-05 14:30'
	ends 0 "${pids[0]}"
	[ "$(<at.out)" = made ]
	set_clock '2026-05-05 10:30'
	ends 0 "${pids[2]}"
	[ "$(wc -l <every.out)" = 50 ]
	[ ! -s after.out ]
	kill "${pids[1]}"
	ends 1 "${pids[1]}"
}
