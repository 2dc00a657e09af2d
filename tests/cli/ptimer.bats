#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# ptimer.bats - what users see of ptimer. Lateness is not measured here: only that nothing comes too early, and in order.

load support

setup() {
	common_setup
	export TZ=UTC
}
teardown() { common_teardown; }

need_zones() { [ -r /usr/share/zoneinfo/America/New_York ] || skip "needs time zones (package tzdata)"; }

# next_is ZONE FROM OPTIONS... -- EXPRESSION EXPECTED...: exactly these come next, as prefixes of ISO 8601.
next_is() {
	local zone=$1 from=$2 options=() at=0 expected
	shift 2
	while [ "$1" != -- ]; do options+=("$1"); shift; done
	shift
	local expression=$1
	shift
	run -0 ptimer next "${options[@]}" --tz "$zone" --from "$from" -n $# "$expression"
	[ "${#lines[@]}" = $# ] || { echo "'$expression': ${#lines[@]} lines, not $#: $output"; return 1; }
	for expected; do
		[[ ${lines[at]} == "$expected"* ]] || { echo "'$expression' $((at + 1)): ${lines[at]}, not $expected"; return 1; }
		at=$((at + 1))
	done
}

# fails STATUS MESSAGE ARGS...: nothing on stdout, and the first line on stderr is this.
fails() {
	local status=$1 message=$2
	shift 2
	run "-$status" --separate-stderr ptimer "$@"
	[ -z "$output" ] || { echo "printed: $output"; return 1; }
	[[ ${stderr_lines[0]} == "ptimer: $message"* ]] || { echo "said: ${stderr_lines[0]}, not: $message"; return 1; }
}

# The due times, in microseconds, of the lines in FILE.
dues() {
	local due
	cut -f2 "$1" | while read -r due; do
		echo "$(date -d "${due%.*}${due: -6}" +%s)$(cut -d. -f2 <<<"$due" | cut -c1-6)"
	done
}

# distances STEP FILE [exact]: are the due times multiples of STEP microseconds apart? A machine that stands still for longer
# than a period misses ticks; exact: none is missing.
distances() {
	local before='' due d
	for due in $(dues "$2"); do
		d=$((due - ${before:-($due - $1)}))
		((d > 0 && d % $1 == 0)) && [[ -z ${3-} || $d = "$1" ]] || { echo "$d us after $before"; return 1; }
		before=$due
	done
	[ -n "$before" ]
}

# ---- usage ----

@test "ptimer names a wrong verb, option or operand and exits 125" {
	fails 125 "no verb given"
	fails 125 "unknown verb 'sometimes'" sometimes
	fails 125 "unknown option '--frob'" every 1 --frob
	fails 125 "after needs a word that says when" after
	fails 125 "unexpected 'echo': a command comes after --" after 1 echo
	fails 125 "unexpected 'hourly': must be on, cron, every or at" next hourly daily
	fails 125 "unexpected 'after': must be on, cron, every or at" next after 1
	fails 125 "no command given after --" after 1 --
	fails 125 "the command is empty" after 1 -- ''
	fails 125 "sleep takes no command" sleep 0 -- true
	fails 125 "next takes no command" next daily -- true
	[[ ${stderr_lines[1]} == "try 'ptimer --help'" ]]
}

@test "ptimer refuses durations that are none" {
	local d
	for d in x '' inf 5x 1e3 nan; do
		fails 125 "invalid duration '$d'" after "$d"
		fails 125 "invalid duration '$d'" every "$d"
		fails 125 "invalid duration '$d'" sleep "$d"
	done
	fails 125 "unknown option '-1'" after -1
	fails 125 "invalid duration '0': a period must be longer" every 0
}

@test "ptimer names the column of a mistake in an expression" {
	fails 125 "'Mon..Fri 25:00': column 10: the hour must be from 0 to 23" on 'Mon..Fri 25:00'
	fails 125 "'* * 32 * *': column 5: the day must be from 1 to 31" cron '* * 32 * *'
	fails 125 "'2026-02-30': column 9: there is no such day" at 2026-02-30
	fails 125 "'25:00': column 1: the hour must be from 00 to 23" sleep until 25:00
	fails 125 "'soon': column 1: must be a date" next daily --from soon
	fails 125 "'soon': column 1: must be a date" every 1 --until soon
}

@test "ptimer refuses wrong values of every option" {
	local o
	refuses ptimer every 1 -- --count 0 x -1
	refuses ptimer every 1 -- --phase x
	refuses ptimer every 1 -- --jitter x
	fails 125 "invalid value 'inf' for '--phase': must end" every 1 --phase inf
	fails 125 "invalid value 'inf' for '--jitter': must end" every 1 --jitter inf
	refuses ptimer every 1 -- --max-late x
	refuses ptimer every 1 -- --catchup x ''
	refuses ptimer every 1 -- --overlap x skip=1 queue=0 queue=x allow= allow=65537 replace=2
	refuses ptimer on daily -- --dst x ''
	refuses ptimer next daily -- --count 0 x
	fails 125 "unknown time zone 'Mars/Olympus'" next daily --tz Mars/Olympus
	fails 125 "unknown time zone 'Mars/Olympus'" next 'daily Mars/Olympus'
	fails 125 "unknown time zone 'Mars/Olympus'" at '14:30 Mars/Olympus'
	TZ=Mars/Olympus fails 125 "unknown time zone 'Mars/Olympus'" next daily
	for o in --overlap=skip --timeout=1 --nice=1; do
		run -125 ptimer every 1 "$o"
		[[ $output == *"need"*"a command"* ]]
	done
	fails 125 "--monotonic and --across-suspend need a duration" sleep until 14:30 --monotonic
}

@test "ptimer takes options around the operand, and from the environment" {
	run -0 ptimer next -n2 --from 2026-01-01 daily --tz UTC
	[ "${#lines[@]}" = 2 ]
	PCORE_OPTIONS_PTIMER='-n 3' run -0 ptimer next daily
	[ "${#lines[@]}" = 3 ]
	run -0 ptimer --version
	[[ $output == 'ptimer (pcore) '* ]]
}

# ---- next ----

@test "next shows how a fixed time is run where clocks go forward (63)" {
	need_zones
	next_is America/New_York 2026-03-07T12:00 -- 02:30 2026-03-08T03:00:00.000000-04:00 2026-03-09T02:30:00.000000-04:00
	next_is America/New_York 2026-03-07T12:00 --dst skip -- 02:30 2026-03-09T02:30 2026-03-10T02:30
	next_is America/New_York 2026-03-07T12:00 --dst both -- 02:30 2026-03-08T03:00 2026-03-09T02:30
}

@test "next shows a fixed time once and an interval twice where clocks go back (64)" {
	need_zones
	next_is America/New_York 2026-10-31T12:00 -- 01:30 2026-11-01T01:30:00.000000-04:00 2026-11-02T01:30
	next_is America/New_York 2026-10-31T12:00 --dst both -- 01:30 2026-11-01T01:30:00.000000-04:00 2026-11-01T01:30:00.000000-05:00
	next_is America/New_York 2026-11-01T00:30 -- hourly 2026-11-01T01:00:00.000000-04:00 2026-11-01T01:00:00.000000-05:00 2026-11-01T02:00
	next_is America/New_York 2026-11-01T01:20 -- '*:0/20' 2026-11-01T01:40:00.000000-04:00 2026-11-01T01:00:00.000000-05:00 \
		2026-11-01T01:20:00.000000-05:00 2026-11-01T01:40:00.000000-05:00 2026-11-01T02:00
}

@test "next knows odd clocks: negative, of half an hour, and a day that never was (65)" {
	need_zones
	next_is Europe/Dublin 2026-03-28T12:00 -- 01:30 2026-03-29T02:00:00.000000+01:00 2026-03-30T01:30
	next_is Australia/Lord_Howe 2026-10-03T12:00 -- 02:15 2026-10-04T02:30:00.000000+11:00 2026-10-05T02:15
	next_is Pacific/Apia 2011-12-29T12:00 -- 08:00 2011-12-31T00:00:00.000000+14:00 2011-12-31T08:00
	next_is Pacific/Apia 2011-12-29T12:00 --dst skip -- 08:00 2011-12-31T08:00 2012-01-01T08:00
}

@test "next reads cron expressions by cron's rules (66)" {
	run -0 ptimer next cron '0 0 13 * 5' -n4 --from 2026-11-26
	[ "$(cut -c1-10 <<<"$output" | xargs)" = '2026-11-27 2026-12-04 2026-12-11 2026-12-13' ]
	run -0 ptimer next on 'Fri *-*-13' -n2 --from 2026-11-26
	[ "$(cut -c1-10 <<<"$output" | xargs)" = '2027-08-13 2028-10-13' ]
	run -0 ptimer next cron '0 0 LW jan-mar *' -n3 --from 2026-11-26
	[ "$(cut -c1-10 <<<"$output" | xargs)" = '2027-01-29 2027-02-26 2027-03-31' ]
	run -0 ptimer next cron '30 */15 9 * * fri#3 2027' -n2 --from 2026-11-26
	[ "$(cut -c1-19 <<<"$output" | xargs)" = '2027-01-15T09:00:30 2027-01-15T09:15:30' ]
	run -0 ptimer next cron @weekly --from 2026-11-26
	[[ $output == 2026-11-29T00:00:00* ]]
}

@test "what never comes is status 1, and said" {
	fails 1 "'*-02-30' never comes: there is no such time before the year 2200" next '*-02-30'
	fails 1 "'0 0 30 2 *' never comes" next cron '0 0 30 2 *'
	fails 1 "'2020-*-* 12:00' never comes" on '2020-*-* 12:00' -- true
	fails 125 "'@1' has passed" next at @1
}

@test "next crosses the end of the month on the first (67)" {
	next_is UTC 2026-11-27 -- '*-*-1/5' 2026-12-01T00:00 2026-12-06T00:00 2026-12-11T00:00 2026-12-16T00:00 2026-12-21T00:00
}

@test "next excludes the time it begins with, and takes every and at as well" {
	next_is UTC 2026-11-26T12:00 -- '*:0/15' 2026-11-26T12:15 2026-11-26T12:30
	run -0 ptimer next every 90 -n2 --from 2026-11-26T12:00Z
	[ "$output" = $'2026-11-26T12:01:30.000000+00:00\n2026-11-26T12:03:00.000000+00:00' ]
	run -0 ptimer next at 'tomorrow 08:00' --from 2026-11-26T12:00Z
	[ "$output" = 2026-11-27T08:00:00.000000+00:00 ]
}

@test "the zone is that of the expression, else of --tz, else of TZ" {
	need_zones
	export TZ=Asia/Tokyo
	run -0 ptimer next '12:00 Europe/Berlin' --tz America/New_York --from 2026-01-01
	[ "$output" = 2026-01-01T12:00:00.000000+01:00 ]
	run -0 ptimer next 12:00 --tz America/New_York --from 2026-01-01
	[ "$output" = 2026-01-01T12:00:00.000000-05:00 ]
	run -0 ptimer next 12:00 --from 2026-01-01
	[ "$output" = 2026-01-01T12:00:00.000000+09:00 ]
	TZ=:Europe/Berlin run -0 ptimer next 12:00 --from 2026-01-01
	[ "$output" = 2026-01-01T12:00:00.000000+01:00 ]
	TZ='' run -0 ptimer next 12:00 --from 2026-01-01
	[ "$output" = 2026-01-01T12:00:00.000000+00:00 ]
	TZ=EST5EDT,M3.2.0,M11.1.0 run -0 ptimer next 02:30 --from 2026-03-08
	[ "$output" = 2026-03-08T03:00:00.000000-04:00 ]
}

@test "next stops where there is no more, and can print JSON" {
	run -0 ptimer next '2027-*-1/20 12:00:00.5' -n 1000 --from 2027-11-15
	[ "$(cut -c1-10 <<<"$output" | xargs)" = '2027-11-21 2027-12-01 2027-12-21' ]
	run -0 ptimer next daily -n2 --from 2026-11-26 --json
	[ "$(jq -c '[.n, .due, .epoch_us]' <<<"$output" | xargs)" = \
		'[1,2026-11-27T00:00:00.000000+00:00,1795737600000000] [2,2026-11-28T00:00:00.000000+00:00,1795824000000000]' ]
}

# The files systemd and ours: what both say comes next for each expression, in UTC. Behind -n N --from TIME: ptimer's options.
both_say() {
	local options=(-n "$2" --from "$4") n=$2 from=$4 e
	shift 4
	while [ "$1" != -- ]; do options+=("$1"); shift; done
	shift
	TZ=${TZ:-UTC} systemd-analyze calendar --iterations="$n" --base-time="$from" "$@" |
		sed -nE 's/ *Normalized form: .*/=/p; s/.*(Next elapse|Iter[^:]*[0-9]|\(in UTC\)): ... (....-..-..) (..:..:..) UTC.*/\2T\3/p' >systemd
	for e; do
		echo '='
		ptimer next "$e" "${options[@]}" --json 2>/dev/null || [ $? = 1 ]
	done | jq -Rr 'fromjson? // "=" | if type == "object" then .epoch_us / 1000000 | floor | strftime("%Y-%m-%dT%H:%M:%S") else . end' >ours
}

need_systemd() {
	command -v systemd-analyze >/dev/null || skip "needs systemd-analyze (package systemd)"
	[ -z "${1-}" ] || [[ $(systemd-analyze --version | head -n1) == "systemd $1 "* ]] || skip "needs systemd $1"
}

@test "next agrees with systemd where no clock is changed" {
	local expressions=(minutely hourly daily weekly monthly quarterly semiannually yearly 'Mon..Fri 08:00' 'Sat,Sun 20:00'
		'Mon,Wed..Fri *-*-* 10:00' '*-*-1/5' '*-*-15..20/2 06:30' '*-02-29' '*-02~01' '*-*~03' '*-*~07/1 12:00' 'Mon *-05~07/1'
		'Mon *-02-29' '2028..2032/2-06-15 12:00' '*:0/20' '8..18/2:30' '*-*-* 00/6:15' '*:*:0/15' '*:*:5,35' '10:00:30' '12-24 18:00'
		'Fri *-*-13' '*-01,07-01' '*-*-31 23:59:59' '27-06-05 01:02' 'Sun 2026-*-*' '*-*-* *:30..45/5:00' '*-6..9-1')
	need_systemd
	need_zones
	for TZ in UTC America/New_York Europe/Dublin Australia/Lord_Howe Asia/Kolkata; do
		both_say -n 5 --from '2026-06-15 12:34:56' -- "${expressions[@]}"
		diff systemd ours || { echo "in $TZ"; return 1; }
		[ "$(grep -c T systemd)" -gt 100 ]
	done
}

@test "next differs from systemd 252 where clocks are changed as the manual says, and with --dst skip not for fixed times" {
	local fixed=(02:30 01:30 '02..03:30' '02:15,45' '*-*-* 02:00' 'Sun 01:00' daily '00:15' '01:30:30' '02:20')
	need_systemd 252
	need_zones
	for TZ in America/New_York Europe/Dublin Australia/Lord_Howe America/Sao_Paulo Pacific/Apia; do
		both_say -n 800 --from '2011-03-01 12:00:00' --dst skip -- "${fixed[@]}"
		diff systemd ours || { echo "in $TZ"; return 1; }
	done
	TZ=America/New_York
	both_say -n 1 --from '2026-03-07 12:00:00' -- 02:30
	[ "$(cat systemd ours | xargs)" = '= 2026-03-09T06:30:00 = 2026-03-08T07:00:00' ]
	both_say -n 2 --from '2026-11-01 00:30:00' -- hourly
	[ "$(cat systemd ours | xargs)" = '= 2026-11-01T05:00:00 2026-11-01T07:00:00 = 2026-11-01T05:00:00 2026-11-01T06:00:00' ]
}

# ---- after, at, sleep ----

@test "after runs its command once, not too early, and exits with its status (57)" {
	local from
	from=$(now_ms)
	run -7 ptimer after 0.3 -- sh -c 'echo ran; exit 7'
	took "$from" 300 5000
	[ "$output" = ran ]
	run -143 ptimer after 0 -- sh -c 'kill -TERM $$'
	run -124 ptimer after 0 --timeout 0.1 -- sleep 20
	run -127 ptimer after 20 -- no-such-command
	[[ $output == "ptimer: cannot run 'no-such-command': No such file or directory" ]]
	touch plain
	run -126 ptimer after 20 -- ./plain
	run -125 ptimer after 20 --chdir /nowhere -- true
}

@test "after that is ended before its time runs nothing and exits 1 (57)" {
	ptimer after 20 -- touch ran 2>err &
	wait_for 5 state_is $! S
	wait_for 5 sleeps_with_signals $!
	kill $!
	ends 1 $!
	[ "$(<err)" = 'ptimer: cancelled before it was due' ]
	[ ! -e ran ]
}

# TERM is blocked: it has set up its signals.
sleeps_with_signals() { ((0x$(sed -n 's/^SigBlk:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null || echo 0) & 0x4000)); }

@test "at takes what is to come, and what has passed only with --max-late" {
	local past
	run -0 ptimer at "@$(($(date +%s) + 3))" -- echo now
	[ "$output" = now ]
	fails 125 "'2020-01-01' has passed" at 2020-01-01 -- touch ran
	past=$(($(date +%s) - 100))
	fails 125 "'@$past' has passed" at "@$past" --max-late 10 -- touch ran
	[ ! -e ran ]
	run -0 ptimer at "@$(($(date +%s) - 10))" --max-late 1h -- echo late
	[ "$output" = late ]
}

@test "sleep waits for a time or until one, and dies of a signal" {
	local from
	from=$(now_ms)
	run -0 ptimer sleep 0.25
	took "$from" 250 5000
	[ -z "$output" ]
	run -0 ptimer sleep until "@$(($(date +%s) + 3))"
	run -0 ptimer sleep until @1
	ptimer sleep 20 --monotonic &
	wait_for 5 is_ptimer $!
	kill $!
	ends 143 $!
}

is_ptimer() { [ "$(cat "/proc/$1/comm")" = ptimer ]; }

# ---- every, on, cron ----

@test "every ticks at exact distances, first after one period (61)" {
	local from
	from=$(now_ms)
	ptimer every 50ms -n 12 >out
	took "$from" 600 10000
	[ "$(cut -f1 out | xargs)" = '1 2 3 4 5 6 7 8 9 10 11 12' ]
	distances 50000 out
	awk -F '\t' '$3 < $2 { exit 1 }' out
}

@test "every --now and --phase say when the first tick is due" {
	local from
	from=$(now_ms)
	ptimer every 20 --now -n1 >out
	took "$from" 0 5000
	from=$(now_ms)
	ptimer every 20 --phase 0.2 -n1 >out
	took "$from" 200 5000
	ptimer every 20 -n1 --until "@$(($(date +%s) + 10))" >out
	[ ! -s out ]
}

@test "every ends with --until" {
	run -0 ptimer every 0.2 --until "@$(($(date +%s) + 2))" -n 100
	((${#lines[@]} >= 1 && ${#lines[@]} <= 10))
}

@test "every can be late by a random time, but its ticks stay where they are" {
	ptimer every 0.2 --jitter 0.1 -n3 >out
	distances 200000 out
	awk -F '\t' '$3 < $2 { exit 1 }' out
}

@test "on and cron tick when the wall clock says so" {
	run -0 ptimer on '*:*:*' -n2
	[[ ${lines[0]} =~ ^1$'\t'.*T..:..:..\.000000\+00:00$'\t'.*\+00:00$ ]]
	[[ ${lines[1]} =~ ^2$'\t' ]]
	run -0 ptimer cron '* * * * * *' -n1 --tz +05:30
	[[ $output == *.000000+05:30$'\t'*+05:30 ]]
	run -0 ptimer on '*:*:0/0.25' -n4 -- sh -c 'echo $PCORE_SEQ $PCORE_SLOT $PCORE_ATTEMPT'
	[ "${lines[0]}" = '1 1 1' ]
}

@test "a reader that goes away ends it, also while nothing is due" {
	ptimer every 0.1 | head -n1 >out
	[ "${PIPESTATUS[0]}" = 141 ]
	lines_are out 1
	ptimer every 20 | true
	[ "${PIPESTATUS[0]}" = 141 ]
}

@test "output that cannot be written is status 125" {
	[ -w /dev/full ] || skip "needs /dev/full"
	run -125 --separate-stderr bash -c 'ptimer every 10ms >/dev/full'
	[ "$stderr" = 'ptimer: cannot write to standard output: No space left on device' ]
	run -125 --separate-stderr bash -c 'ptimer every 10ms >&-'
	[[ $stderr == 'ptimer: cannot write to standard output: '* ]]
	run -125 --separate-stderr bash -c 'ptimer next daily >/dev/full'
	[ "$stderr" = 'ptimer: cannot write to standard output: No space left on device' ]
}

@test "a slow reader makes ticks late, and the latest ones come" {
	mkfifo fifo
	# the pipe holds less than a thousand lines
	ptimer every 1ms -n 1200 >fifo &
	{ sleep 1.5; cat >out; } <fifo
	ends 0 $!
	[ "$(wc -l <out)" = 1200 ]
	awk -F '\t' '$1 != NR || $3 < $2 { exit 1 }' out
	ptimer every 100us -n 1200 --catchup all >fifo &
	{ sleep 0.5; cat >out; } <fifo
	ends 0 $!
	cut -f2 out | cut -d. -f2 | awk '{ us = substr($0, 1, 6); if (NR > 1 && (us - last + 1000000) % 1000000 != 100) exit 1; last = us } END { exit NR != 1200 }'
}

# A program to wait for in jobs: `await_line TEXT FILE`, at most ten seconds.
make_await_line() {
	cat >await_line <<-'SCRIPT'
	#!/bin/sh
	i=0
	until grep -q "$1" "$2" || [ $i -gt 500 ]; do sleep 0.02; i=$((i + 1)); done
	SCRIPT
	chmod +x await_line
	PATH="$PWD:$PATH"
}

# ---- jobs ----

@test "a job has an empty stdin, its tick in the environment, and the options of prun's jobs" {
	echo input | ptimer every 10ms -n2 --env A=b --chdir / --overlap queue=10 -- sh -c 'cat; echo "$PCORE_SEQ $A $PWD"' >out
	[ "$(<out)" = $'1 b /\n2 b /' ]
	run -0 ptimer every 10ms -n1 --nice 3 -- nice
	[ "$output" = 3 ]
}

@test "a job that fails makes the status 1, the others run" {
	run -1 ptimer every 20ms -n3 --overlap queue=10 -- sh -c 'echo $PCORE_SEQ; [ $PCORE_SEQ != 2 ]'
	[ "$output" = $'1\n2\n3' ]
	run -0 ptimer every 20ms -n1 --retry 2 --retry-delay 0 -- sh -c 'echo $PCORE_ATTEMPT; [ $PCORE_ATTEMPT = 3 ]'
	[ "$output" = $'1\n2\n3' ]
}

@test "a tick whose predecessor runs is skipped (62)" {
	make_await_line
	ptimer every 50ms -n 4 -- sh -c 'echo start $PCORE_SEQ; await_line "tick 4" err' >out 2>err
	[ "$(<out)" = 'start 1' ]
	[ "$(head -n1 err)" = 'ptimer: tick 2 is skipped: the job before it still runs' ]
	[ "$(wc -l <err)" = 3 ]
}

@test "ticks wait in a queue, as many as it holds (62)" {
	make_await_line
	ptimer every 50ms -n 5 --overlap queue=2 -- sh -c 'echo start $PCORE_SEQ; await_line "tick 5" err' >out 2>err
	[ "$(<out)" = $'start 1\nstart 2\nstart 3' ]
	[ "$(<err)" = $'ptimer: tick 4 is skipped: 2 wait already\nptimer: tick 5 is skipped: 2 wait already' ]
}

@test "jobs run at the same time where that is allowed (62)" {
	make_await
	run -0 --separate-stderr ptimer every 50ms -n 4 --overlap allow=3 -- \
		sh -c 'echo $PCORE_SLOT; touch started.$PCORE_SEQ; await started.3'
	[ "$(head -n3 <<<"$output" | sort | xargs)" = '1 2 3' ]
}

@test "a tick replaces the job before it, with all that it started (62)" {
	make_family
	run -0 --separate-stderr ptimer every 0.5 -n 3 --overlap replace -- \
		sh -c '[ $PCORE_SEQ != 3 ] || { echo last; exit 0; }; exec family started.$PCORE_SEQ'
	[ "$output" = last ]
	[ "${stderr_lines[0]}" = 'ptimer: the job of tick 1 is ended: tick 2 replaces it' ]
	leaves_nothing
}

@test "a job that is replaced is not tried again" {
	run -0 --separate-stderr ptimer every 1 -n 2 --overlap replace --retry 5 --retry-delay 20 -- \
		sh -c 'echo $PCORE_SEQ $PCORE_ATTEMPT; [ $PCORE_SEQ = 2 ]'
	[ "$output" = $'1 1\n2 1' ]
}

@test "a job that does not end is killed as a tree, and the next tick comes (72)" {
	make_family
	run -1 ptimer every 2 -n 2 --timeout 1 --kill-after 0.1 -- sh -c '[ $PCORE_SEQ = 1 ] || { echo next; exit 0; }; exec family started'
	[ "$output" = next ]
	leaves_nothing
}

@test "TERM ends the ticks and the jobs, after their grace by KILL, and is status 0 (71)" {
	ptimer every 50ms --kill-after 0.2 -- sh -c 'trap "" TERM; echo x >>started; while :; do sleep 0.05; done' 2>err &
	wait_for 5 nonempty started
	kill $!
	ends 0 $!
	[ "$(<started)" = x ]
	leaves_nothing
	ptimer every 50ms >out &
	wait_for 5 nonempty out
	kill $!
	ends 0 $!
}

@test "INT ends the jobs, and ptimer dies of it" {
	local pid
	# a background command of a script ignores INT: env resets it
	env --default-signal=INT ptimer every 50ms -- sh -c 'echo x >>started; exec sleep 20' 2>err &
	pid=$!
	wait_for 5 nonempty started
	kill -INT $pid
	ends 130 $pid
	leaves_nothing
}

@test "TERM while the command of after runs gives that command's status" {
	ptimer after 0 -- sh -c 'trap "exit 9" TERM; echo x >started; while :; do sleep 0.02; done' &
	wait_for 5 nonempty started
	kill $!
	ends 9 $!
}

@test "a process that was stopped makes the latest tick, and says what was missed" {
	ptimer every 0.2 -n 6 >out 2>err &
	wait_for 5 nonempty out
	kill -STOP $!
	wait_for 5 state_is $! T
	sleep 1.5
	kill -CONT $!
	ends 0 $!
	[ "$(wc -l <out)" = 6 ]
	[[ $(<err) == 'ptimer: ticks due from '*' are missed' ]]
	: >out
	ptimer every 0.2 -n 8 --catchup all >out 2>err &
	wait_for 5 nonempty out
	kill -STOP $!
	wait_for 5 state_is $! T
	sleep 1
	kill -CONT $!
	ends 0 $!
	distances 200000 out exact
	[ ! -s err ]
}

@test "another /etc/localtime is seen at once" {
	need_root
	need_zones
	unshare -m true 2>/dev/null || skip "needs mount namespaces"
	mkdir etc
	ln -s /usr/share/zoneinfo/UTC etc/localtime
	make_await
	unset TZ
	unshare -m sh -c 'mount --bind etc /etc && { ptimer on "*:*:*" -n 30 >out & } && wait_line() { i=0; until grep -q "$1" out || [ $i -gt 200 ]; do sleep 0.05; i=$((i + 1)); done; }
		wait_line 000+00:00; ln -sfT /usr/share/zoneinfo/Asia/Kolkata /etc/new && mv -T /etc/new /etc/localtime; wait_line 000+05:30; kill $!; wait' &
	ends 0 $!
	grep -q '+05:30' out
}
