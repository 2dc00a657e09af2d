#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# ptimer_state.bats - what ptimer knows of what it did before: --state, and what is made up for.

load support

setup() {
	common_setup
	export TZ=UTC
}
teardown() { common_teardown; }

# The CRC-32C of a text, in hex.
crc32c() {
	local crc=$((0xffffffff)) byte i j
	for ((i = 0; i < ${#1}; i++)); do
		printf -v byte %d "'${1:i:1}"
		crc=$((crc ^ byte))
		for ((j = 0; j < 8; j++)); do
			crc=$((crc >> 1 ^ (crc & 1) * 0x82f63b78))
		done
	done
	printf '%08x\n' $((crc ^ 0xffffffff))
}

# state SECONDS KEY [SECONDS KEY]...: the file `state`, with each KEY dealt with up to then.
state() {
	local text
	echo 'ptimer-state 1' >state
	while [ $# -gt 0 ]; do
		text="$(($1 * 1000000000)) $2"
		echo "$(crc32c "$text") $text" >>state
		shift 2
	done
}

# The time that is recorded last, in seconds with decimals.
recorded() { tail -n1 state | cut -d' ' -f2 | sed -E 's/(.{9})$/.\1/'; }

# The due times of the lines in FILE, in microseconds.
dues() { cut -f2 "$1" | sed -E 's/\.([0-9]{6})\+00:00$/ \1/; s/T/ /' | while read -r day time us; do echo "$(date -d "$day $time" +%s)$us"; done; }

at_time() { date -u -d "@$1" +%Y-%m-%dT%H:%M:%S.000000+00:00; }

need_strace() {
	strace -o /dev/null true 2>/dev/null || skip "needs strace, and the right to trace"
	export ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 # that needs to trace, too
}

# near A B: are both the same microsecond? Each process reads the clocks anew, one after the other.
near() { (($1 - $2 < 500 && $2 - $1 < 500)) || { echo "$1, not $2"; return 1; }; }

has_lines() { [ "$(wc -l <"$1" 2>/dev/null || echo 0)" -ge "$2" ]; }

# ---- usage ----

@test "ptimer refuses wrong uses of --state and --jitter-fixed" {
	local long
	run -125 --separate-stderr ptimer every 1 --state ''
	[ "${stderr_lines[0]}" = "ptimer: invalid value '' for '--state': must be the name of a file" ]
	run -125 --separate-stderr ptimer after 1 --state f
	[ "${stderr_lines[0]}" = "ptimer: unknown option '--state'" ]
	run -125 --separate-stderr ptimer every 1 --jitter-fixed
	[ "${stderr_lines[0]}" = 'ptimer: --jitter-fixed needs --jitter' ]
	run -125 --separate-stderr ptimer every 1 --state nowhere/f
	[ "$stderr" = "ptimer: cannot open 'nowhere/f': No such file or directory" ]
	run -125 --separate-stderr ptimer every 1 --state "$PWD/"
	[[ $stderr == "ptimer: cannot open '$PWD/': "* ]]
	mkfifo fifo
	run -125 --separate-stderr ptimer every 1 --state fifo
	[ "$stderr" = "ptimer: cannot open 'fifo': not a regular file" ]
	printf -v long '%1100s' hourly
	run -125 --separate-stderr ptimer on "$long" --state f
	[[ $stderr == *'is too long to be kept' ]]
	echo 'a: every 1s --state f -- true' >table
	run -1 ptimer check table
	[[ $output == "table:1:13: unknown option '--state'"* ]]
	run -125 --separate-stderr ptimer run table --state ''
	[ "${stderr_lines[0]}" = "ptimer: invalid value '' for '--state': must be the name of a file" ]
}

@test "a state that is damaged is status 65, names the line, and stays as it is" {
	state 1700000000 'every 1' 1700000000 'every 2' 1700000000 'every 3'
	sed -i '3s/1700/1800/' state
	cp state before
	run -65 --separate-stderr ptimer every 1 --state state
	[ "$stderr" = "ptimer: 'state' is damaged: line 3" ]
	cmp state before
	echo 'something else' >state
	run -65 --separate-stderr ptimer every 1 --state state
	[ "$stderr" = "ptimer: 'state' is damaged: line 1" ]
	[ "$(<state)" = 'something else' ]
}

@test "a state is used by one process at a time: the other has status 75" {
	ptimer every 20ms --state state >out &
	wait_for 10 nonempty out
	run -75 --separate-stderr ptimer every 20ms --state state
	[ "$stderr" = "ptimer: 'state' is used by another process" ]
	kill -KILL $!
	ends 137 $!
	run -0 ptimer every 20ms -n1 --state state
}

# ---- what was due while nobody was there ----

# An hour and a minute of the day that was half an hour ago; the state knows of the day before yesterday.
half_an_hour_ago() {
	due=$(($(date +%s) / 60 * 60 - 1800))
	key="on $(date -u -d "@$due" +%H:%M)"
	state $((due - 2 * 86400)) "$key"
}

@test "a state is used in the background, too" {
	local PCORE_RUNTIME_DIR=$PWD/run
	export PCORE_RUNTIME_DIR
	mkdir -m 700 run
	run -0 ptimer every 20ms --state state --detach=one
	run -75 --separate-stderr ptimer every 20ms --state state --detach=two
	[ "$stderr" = "ptimer: 'state' is used by another process" ]
	wait_for 10 has_lines state 4
	run -0 ptimer cancel one
}

@test "what was due while ptimer did not run is made up once, and the rest is told (69)" {
	local due key
	half_an_hour_ago
	ptimer on "${key#on }" -n1 --state state >out 2>err
	[ "$(cut -f1,2 out)" = "1"$'\t'"$(at_time "$due")" ]
	[ "$(<err)" = "ptimer: ticks due from $(at_time $((due - 86400))) to $(at_time $((due - 86400))) are missed" ]
	[ "$(recorded)" = "$due.000000000" ]
	# and not again
	run -0 --separate-stderr ptimer on "${key#on }" --state state --until "@$(($(date +%s) + 1))"
	[ -z "$output$stderr" ]
}

@test "all of it, or none, or what is not too late is made up on request (69)" {
	local due key
	half_an_hour_ago
	cp state before
	run -0 --separate-stderr ptimer on "${key#on }" -n2 --state state --catchup all --overlap queue=9 -- sh -c 'echo $PCORE_SEQ'
	[ "$output$stderr" = "1
2" ]
	[ "$(recorded)" = "$due.000000000" ]
	cp before state
	run -0 --separate-stderr ptimer on "${key#on }" --state state --catchup none --until "@$(($(date +%s) + 1))"
	[ -z "$output" ]
	[ "$stderr" = "ptimer: ticks due from $(at_time $((due - 86400))) to $(at_time "$due") are missed" ]
	cp before state
	run -0 --separate-stderr ptimer on "${key#on }" --state state --max-late 10m --until "@$(($(date +%s) + 1))"
	[ -z "$output" ]
	cp before state
	run -0 --separate-stderr ptimer on "${key#on }" -n1 --state state --catchup all --max-late 3h
	[[ $output == "1"$'\t'"$(at_time "$due")"* ]]
}

@test "a time that was the only one is made up, too" {
	local day
	day=$(date -u -d '-2 days' +%Y-%m-%d)
	state $(($(date -u -d "$day" +%s) - 10)) "on $day 00:00"
	run -0 ptimer on "$day 00:00" --state state
	[[ $output == "1"$'\t'"${day}T00:00:00"* ]]
	run -1 ptimer on "$day 00:00" --state state
	[[ $output == "ptimer: '$day 00:00' never comes"* ]]
}

@test "nothing is missed before the first start, nor for another expression" {
	local e
	for e in '*-01-01' '*-01-02' 'Mon..Sun 2199-*-*'; do
		run -0 --separate-stderr ptimer on "$e" --until "@$(($(date +%s) + 1))" --state state
		[ -z "$output$stderr" ]
	done
	[ "$(sed -n 's/^[0-9a-f]\{8\} [0-9]* //p' state)" = $'on *-01-01\non *-01-02\non Mon..Sun 2199-*-*' ]
}

@test "what begins with the first start is missed from then on, also when no tick was made" {
	local due
	ptimer every 1h --state state &
	wait_for 10 has_lines state 2
	kill -KILL $!
	ends 137 $!
	# as if it had been two hours ago
	due=$(recorded)
	state $((${due%.*} - 7200)) 'every 1h'
	ptimer every 1h --state state -n1 >out 2>err
	[[ $(<out) == "1"$'\t'* ]]
	[[ $(<err) == *'are missed' ]]
}

@test "every goes on in its phase" {
	local first other
	ptimer every 70ms --phase 11ms -n2 --state state >out
	ptimer every 70ms -n3 --state state >>out
	ptimer every 70ms --now -n2 --state state >>out
	read -r first < <(dues out)
	while read -r other; do
		near $(((other - first + 35000) % 70000)) 35000
	done < <(dues out)
}

@test "a state of a time to come is told, and waited for" {
	local day
	state $(($(date +%s) + 3600)) 'on *:*:*'
	run -0 --separate-stderr ptimer on '*:*:*' --state state --until "@$(($(date +%s) + 2))"
	[ -z "$output" ]
	[[ $stderr == "ptimer: 'on *:*:*' is dealt with up to "*' already: the clock was set back' ]]
}

@test "the timers of a table are kept by their names, and times that were missed are made up" {
	local now
	now=$(date +%s)
	state $((now - 7200)) one $((now - 7200)) two $((now - 7200)) late $((now - 10)) made
	cat >table <<-EOF
	one: every 1h -n1 -- echo one
	two: on '*:*:*' -n1 --catchup none -- echo two
	late: at @$((now - 3600)) -- echo late
	made: at @$((now - 3600)) -- echo again
	new: on '*:*:*' -n1 -- echo new
	EOF
	run -0 --separate-stderr ptimer run table --state state
	[ "$(sort <<<"$output" | xargs)" = 'late new one two' ]
	sed -n 's/^[0-9a-f]\{8\} [0-9]* //p' state | sort -u >keys
	[ "$(xargs <keys)" = 'late made new one two' ]
}

# ---- killed ----

@test "a tick that was not recorded when ptimer was killed is made by the next one" {
	local due
	need_strace
	export PCORE_LOOP=epoll
	ptimer every 300ms -n1 --state state >out
	due=$(recorded)
	# before the record of the tick is written
	strace -f -o trace -P "$PWD/state" -e inject=write:signal=KILL:when=1 ptimer every 300ms --catchup all --state state >killed || true
	[ ! -s killed ]
	[ "$(recorded)" = "$due" ]
	ptimer every 300ms -n1 --catchup all --state state >next
	near "$(dues next)" "$(($(dues out) + 300000))"
}

@test "a tick that was recorded when ptimer was killed is not made again" {
	need_strace
	export PCORE_LOOP=epoll
	ptimer every 300ms -n1 --state state >out
	# before the record is on the disk
	strace -f -o trace -e inject=fdatasync:signal=KILL:when=1 ptimer every 300ms --catchup all --state state >killed || true
	[ ! -s killed ]
	ptimer every 300ms -n1 --catchup all --state state >next
	near "$(dues next)" "$(($(dues out) + 600000))"
	# a job, too
	strace -f -o trace -e inject=fdatasync:signal=KILL:when=1 ptimer every 300ms --catchup all --state state -- touch ran || true
	[ ! -e ran ]
	ptimer every 300ms -n1 --catchup all --state state >next
	near "$(dues next)" "$(($(dues out) + 1200000))"
}

@test "however often ptimer is killed, no tick is made twice, and each time at most one is lost" {
	local i pid before='' due lost=0 kills=12
	for ((i = 0; i < kills; i++)); do
		ptimer every 30ms --catchup all --state state >>out &
		pid=$!
		wait_for 10 has_lines out $((i * 3 + RANDOM % 3 + 1))
		kill -KILL $pid
		ends 137 $pid
	done
	ptimer every 30ms -n3 --catchup all --state state >>out
	for due in $(dues out); do
		if [ -n "$before" ]; then
			((due - before > 29000)) || { echo "$due comes after $before"; return 1; }
			lost=$((lost + (due - before + 1000) / 30000 - 1))
		fi
		before=$due
	done
	((lost <= kills)) || { echo "$lost ticks are lost"; return 1; }
}

# ---- the same time always ----

# What timerfds are set to, beyond the whole second, in nanoseconds.
set_to() { sed -nE 's/.*timerfd_settime\([0-9]+, TFD_TIMER_ABSTIME\|TFD_TIMER_CANCEL_ON_SET, .*it_value=\{tv_sec=[0-9]+, tv_nsec=([0-9]+)\}.*/\1/p' "$1"; }

@test "a fixed jitter is the same each time, and another for another expression (69)" {
	local first
	need_strace
	export PCORE_LOOP=epoll
	for i in 1 2; do
		strace -f -o trace.$i -e trace=timerfd_settime ptimer on '*:*:*' --jitter 0.4 --jitter-fixed -n 2 >/dev/null
		set_to trace.$i
	done >all
	strace -f -o trace.3 -e trace=timerfd_settime ptimer on '*:*:0/1' --jitter 0.4 --jitter-fixed -n 1 >/dev/null
	read -r first <all
	[ "$(wc -l <all)" -ge 2 ]
	[ "$(sort -u all)" = "$first" ]
	((first > 0 && first <= 400000000))
	[ "$(set_to trace.3 | head -n1)" != "$first" ]
}
