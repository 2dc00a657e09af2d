#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# ptimer_run.bats - many timers in one process, timers in the background, and what is asked of them by name.
# shellcheck shell=bash disable=SC2016,SC2154,SC2034

load support

setup() {
	common_setup
	export TZ=UTC PCORE_RUNTIME_DIR=$BATS_TEST_TMPDIR/rt
	make_await
}

teardown() {
	local pid
	for pid in $(sed -n 's/^supervisor //p' "$PCORE_RUNTIME_DIR"/timers/*/meta 2>/dev/null); do
		kill "$pid" 2>/dev/null || true # of a test that has failed
	done
	common_teardown
}

# fails STATUS MESSAGE ARGS...: nothing on stdout, and the first line on stderr is this.
fails() {
	local status=$1 message=$2
	shift 2
	run "-$status" --separate-stderr ptimer "$@"
	[ -z "$output" ] || { echo "printed: $output"; return 1; }
	[[ ${stderr_lines[0]} == "ptimer: $message"* ]] || { echo "said: ${stderr_lines[0]}, not: $message"; return 1; }
}

supervisor() { sed -n 's/^supervisor //p' "$PCORE_RUNTIME_DIR/timers/$1/meta"; }
# listed NAME EXPRESSION: what jq makes of NAME's line in the list
listed() { ptimer list --json "${1%%/*}" | jq -c "select(.name == \"$1\") | $2"; }
listed_is() { [ "$(listed "$1" "$2" 2>/dev/null)" = "$3" ]; }
known() { [ -S "$PCORE_RUNTIME_DIR/timers/$1/socket" ] && ptimer list "$1" >/dev/null 2>&1; }
says() { grep -qF -- "$2" "$1"; }
# those of one timer in the lines of `run'
lines_of() { awk -F '\t' -v name="$1" '$1 == name' "$2"; }
has_lines_of() { [ "$(lines_of "$1" "$2" | wc -l)" -ge "$3" ]; }

# in_phase STEP_US: do the due times of the lines on stdin lie whole steps apart, and do the numbers rise by one?
in_phase() {
	awk -F '\t' -v step="$1" '{ split($3, t, /[T:.+]/); us = ((t[2] * 60 + t[3]) * 60 + t[4]) * 1000000 + t[5] }
		NR > 1 && (($2 != n + 1) || ((us - last + 86400000000) % 86400000000) % step) { print "after " n ": " $0; bad = 1 }
		{ n = $2; last = us } END { exit bad || NR < 2 }'
}

# ---- usage

@test "the verbs name what is wrong with their words and exit 125" {
	local verb
	fails 125 "run needs a table" run
	fails 125 "one table is run at a time, not 'b' too" run a b
	fails 125 "cannot read 'nowhere': No such file or directory" run nowhere
	fails 125 "unknown option '--frob'" run --frob x
	fails 125 "something is missing: ptimer cancel" cancel
	fails 125 "something is missing: ptimer trigger" trigger
	fails 125 "something is missing: ptimer enter" enter a 1 0
	fails 125 "something is missing: ptimer log" log
	fails 125 "'b' is one word too many: ptimer trigger" trigger a b
	fails 125 "'b' is one word too many: ptimer log" log a b
	for verb in list cancel trigger enter log; do
		fails 125 "unknown option '--frob'" $verb --frob
	done
	for verb in cancel trigger; do
		fails 125 "invalid name '../x': must be NAME or NAME/TIMER" $verb ../x
		fails 125 "invalid name 'x/': must be NAME or NAME/TIMER" $verb x/
	done
	fails 125 "invalid name '-x'" log -- -x
	fails 125 "invalid name 'x/y'" list x/y
	fails 125 "invalid name 'x/y'" enter x/y 1 0 true
	fails 125 "invalid delay 'soon'" enter x soon 0 true
	fails 125 "invalid delay 'inf'" enter x inf 0 true
	fails 125 "invalid priority 'high'" enter x 1 high true
	fails 125 "invalid priority '2147483648'" enter x 1 2147483648 true
	fails 125 "the command is empty" enter x 1 0 ''
}

@test "--jobs, --name and --detach refuse wrong values" {
	: >t
	refuses ptimer run t -- --jobs 0 x -1 65537
	refuses ptimer every 1 -- --name '' a/b .a
	fails 125 "invalid value 'a/b' for '--detach'" every 1 --detach=a/b
	fails 125 "invalid value '' for '--detach'" run t --detach=
	[ ! -e rt/timers ]
	echo 'a: every 1s --detach' >t
	run -125 ptimer run t
	[[ ${lines[0]} == "t:1:13: unknown option '--detach'"* ]]
}

@test "a name that does not exist is status 1 for every verb" {
	local words
	for words in 'list x' 'cancel x' 'cancel x/y' 'trigger x' 'enter x 1 0 true' 'log x'; do
		# shellcheck disable=SC2086
		fails 1 "there is no 'x'" $words
	done
	run -0 ptimer list
	[ "${#lines[@]}" = 1 ]
	run -0 ptimer list --json
	[ -z "$output" ]
}

# ---- run

@test "run makes ticks in the order of time and ends when none is left (58)" {
	printf '%s\n' 'a: after 0.5' 'b: after 0.1' 'c: after 0.3' 'd: after 0.2' 'e: after 0.4' >t
	run -0 ptimer run t
	[ "$(cut -f1 <<<"$output" | xargs)" = 'b d c e a' ]
	[ "$(cut -f2 <<<"$output" | xargs)" = '1 1 1 1 1' ]
	run -0 ptimer run /dev/null
	[ -z "$output" ]
	run -0 ptimer run - <t
	[ "${#lines[@]}" = 5 ]
}

@test "what is due at the same time comes by priority, then in the order of the lines (58)" {
	local at=@$(($(date +%s) + 1))
	printf '%s\n' "a: at $at --max-late 1h" "b: at $at --max-late 1h --priority 3" "c: at $at --max-late 1h --priority -2" "d: at $at --max-late 1h" \
		"e: at $at --max-late 1h --priority -2" >t
	run -0 ptimer run t
	[ "$(cut -f1 <<<"$output" | xargs)" = 'c e a d b' ]
	sed "s/^\(.\).*/& -- sh -c 'echo \1 >>order'/" t >commands
	run -0 ptimer run commands -j1
	[ "$(xargs <order)" = 'c e a d b' ]
}

@test "a table with mistakes is not run" {
	printf '%s\n' 'a: after 0 -- touch ran' 'b: after' 'c: ever 1' >t
	run -125 --separate-stderr ptimer run t
	[[ ${stderr_lines[0]} == t:2:* ]]
	[[ ${stderr_lines[1]} == t:3:* ]]
	[ "${stderr_lines[2]}" = "ptimer: 't' has 2 mistakes" ]
	[ ! -e ran ]
}

@test "what has passed or never comes is told, and the others run" {
	printf '%s\n' 'old: at 2020-01-01' 'never: on "*-02-30"' 'now: after 0' >t
	run -0 --separate-stderr ptimer run t
	[ "$(cut -f1 <<<"$output")" = now ]
	[ "${stderr_lines[0]}" = "ptimer: '2020-01-01' has passed" ]
	[[ ${stderr_lines[1]} == "ptimer: '*-02-30' never comes"* ]]
}

@test "a job that fails makes the status of run 1, and leaves the rest intact (60)" {
	printf '%s\n' 'a: after 0 -- false' 'b: after 0.1 -- echo b' 'c: after 0.2 -- no-such-command' 'd: after 0.3 -- echo d' >t
	run -1 --separate-stderr ptimer run t
	[ "$output" = $'b\nd' ]
	[ "$stderr" = "ptimer: cannot run 'no-such-command': No such file or directory" ]
}

@test "lines of jobs are not mixed, and each has an end" {
	cat >t <<-'TABLE'
	a: after 0 -- sh -c 'printf 1; touch a; await b; echo 2; printf end-a'
	b: after 0 -- sh -c 'await a; printf 3; touch b; await a; echo 4; printf end-b'
	TABLE
	run -0 ptimer run t
	[ "$(sort <<<"$output" | xargs)" = '12 34 end-a end-b' ]
}

@test "the overlap of a timer is its own, and messages name it (62)" {
	cat >t <<-'TABLE'
	one: every 50ms -n3 -- sh -c 'echo one $PCORE_SEQ; until grep -q "one.: tick 3" err; do sleep 0.02; done'
	two: every 50ms -n3 --overlap queue=2 -- sh -c 'echo two $PCORE_SEQ'
	TABLE
	ptimer run t >out 2>err
	[ "$(sort out)" = $'one 1\ntwo 1\ntwo 2\ntwo 3' ]
	[ "$(<err)" = $'ptimer: \'one\': tick 2 is skipped: the job before it still runs\nptimer: \'one\': tick 3 is skipped: the job before it still runs' ]
}

@test "a time limit and a grace of one timer are not those of another (72)" {
	make_family
	cat >t <<-'TABLE'
	a: after 0 --timeout 0.2 --kill-after 0.1 -- family started
	b: after 0 -- sh -c 'await end; echo b'
	c: every 0.1 -n 3 -- true
	d: after 0 --retry 2 --retry-delay 0 -- sh -c 'echo d $PCORE_ATTEMPT; [ $PCORE_ATTEMPT = 3 ] && touch end'
	TABLE
	run -1 --separate-stderr ptimer run t
	[ "$(grep d <<<"$output" | xargs)" = 'd 1 d 2 d 3' ]
	[ "$(grep b <<<"$output")" = b ]
	leaves_nothing
}

@test "TERM ends the ticks and all jobs, after their grace by KILL, and is status 0 (71)" {
	cat >t <<-'TABLE'
	a: every 50ms --kill-after 0.2 -- sh -c 'trap "" TERM; echo x >>a; while :; do sleep 0.05; done'
	b: every 50ms -- sh -c 'echo x >>b; exec sleep 77'
	c: every 20ms
	TABLE
	ptimer run t >out 2>err &
	wait_for 5 nonempty a
	wait_for 5 nonempty b
	wait_for 5 nonempty out
	kill $!
	ends 0 $!
	[ "$(cat a b)" = $'x\nx' ]
	leaves_nothing
}

@test "INT ends run, which dies of it" {
	echo 'a: every 50ms -- sh -c "echo x >>a; exec sleep 77"' >t
	env --default-signal=INT ptimer run t 2>err &
	wait_for 5 nonempty a
	kill -INT $!
	ends 130 $!
	leaves_nothing
}

@test "a reader that goes away ends run, and output that cannot be written is 125" {
	printf '%s\n' 'a: every 20ms' 'b: every 20ms -- sh -c "echo x; exec sleep 77"' >t
	ptimer run t 2>err | head -n3 >out
	[ "${PIPESTATUS[0]}" = 141 ]
	leaves_nothing
	[ -w /dev/full ] || skip "needs /dev/full"
	run -125 --separate-stderr bash -c 'ptimer run t >/dev/full'
	[[ $stderr == *'ptimer: cannot write to standard output: No space left on device'* ]]
	run -125 --separate-stderr bash -c 'ptimer run t >&-'
	[[ $stderr == *'ptimer: cannot write to standard output: '* ]]
	leaves_nothing
}

# ---- HUP

@test "HUP reads the table again: unchanged timers keep phase and count, new ones begin (71)" {
	printf '%s\n' 'same: every 0.2' 'gone: every 0.1' 'other: every 0.1 --phase 0' >t
	ptimer run t >out 2>err &
	wait_for 5 has_lines_of same out 2
	wait_for 5 has_lines_of gone out 2
	printf '%s\n' 'new: after 0' 'same: every 0.2' 'other: every 0.1 --phase 0 --jitter 0' >t
	kill -HUP $!
	wait_for 5 has_lines_of new out 1
	gone=$(lines_of gone out | wc -l)
	wait_for 5 has_lines_of same out $(($(lines_of same out | wc -l) + 3))
	[ "$(lines_of gone out | wc -l)" = "$gone" ]
	kill $!
	ends 0 $!
	lines_of same out | in_phase 200000
	[ "$(lines_of other out | awk -F '\t' '$2 == 1' | wc -l)" = 2 ]
	[ "$(lines_of new out | wc -l)" = 1 ]
}

@test "HUP lets the jobs run of timers that are gone, and does not fire again what has fired" {
	printf '%s\n' 'once: after 0 -- sh -c "echo x >>once"' 'job: after 0 -- sh -c "touch job; await end; touch finished"' 'tick: every 20ms' >t
	ptimer run t >out 2>err &
	wait_for 5 nonempty once
	wait_for 5 exists job
	printf '%s\n' 'once: after 0 -- sh -c "echo x >>once"' 'last: after 0.3 -- touch last' >t
	kill -HUP $!
	wait_for 5 exists last
	[ ! -e finished ]
	touch end
	ends 0 $!
	[ -e finished ]
	[ "$(<once)" = x ]
}

@test "HUP with mistakes in the table changes nothing, and says so" {
	echo 'a: every 20ms' >t
	ptimer run t >out 2>err &
	wait_for 5 nonempty out
	printf '%s\n' 'a: every 1h' 'b: every' >t
	kill -HUP $!
	wait_for 5 says err 'ptimer: the timers stay as they were'
	[[ $(<err) == t:2:* ]]
	wait_for 5 has_lines_of a out $(($(wc -l <out) + 5))
	rm t
	kill -HUP $!
	wait_for 5 says err "ptimer: cannot read 't': No such file or directory"
	wait_for 5 has_lines_of a out $(($(wc -l <out) + 5))
	kill $!
	ends 0 $!
	ptimer run - >out2 2>err2 <<<'a: every 20ms' &
	wait_for 5 nonempty out2
	kill -HUP $!
	wait_for 5 says err2 'ptimer: cannot read standard input again'
	kill $!
	ends 0 $!
}

# For a second, it is not even woken.
does_nothing() {
	local before
	before=$(grep ctxt_switches "/proc/$1/status")
	sleep 1
	[ "$(grep ctxt_switches "/proc/$1/status")" = "$before" ]
}

@test "timers that wait cost no CPU" {
	seq 3000 | sed 's/.*/t&: every 1h --phase &h/' >t
	printf '%s\n' 'on: on 2199-01-01' 'mono: every 1h --monotonic' >>t
	run -0 ptimer run t --detach=idle
	wait_for 10 does_nothing "$(supervisor idle)"
	run -0 ptimer list --json idle
	[ "${#lines[@]}" = 3002 ]
	[ "$(jq -r .name <<<"${lines[0]}")" = idle/t1 ]
	run -0 ptimer cancel idle
}

# ---- in the background

@test "--detach prints the name and goes on, with nothing of the caller's" {
	run -0 timeout 10 bash -c 'exec 8>lockfile; flock 8; ptimer every 0.1 --detach=a -- sh -c "cat; readlink /proc/\$\$/fd/0; ps -o tty= -p \$\$" | cat'
	[ "$output" = a ]
	run -0 flock -n lockfile true
	wait_for 5 listed_is a '.runs > 1' true
	run -0 ptimer log a
	[ "${lines[0]}" = /dev/null ]
	[ "${lines[1]}" = '?' ]
	run -0 ptimer cancel a
	[ ! -e rt/timers/a ]
	leaves_nothing
}

@test "what is detached keeps directory, environment and file mode creation mask" {
	mkdir d
	run -0 sh -c 'cd d; umask 027; A=1 ptimer after 0 --detach=a -- sh -c "pwd; umask; echo \$A"'
	wait_for 5 listed_is a .state '"done"'
	run -0 ptimer log a
	[ "$output" = "$PWD/d"$'\n0027\n1' ]
}

@test "all verbs that wait can be detached" {
	run -0 ptimer after 0.1 --detach=after -- echo after
	run -0 ptimer at @1 --max-late inf --detach=at -- echo at
	run -0 ptimer every 0.1 -n2 --detach=every
	run -0 ptimer on '*:*:*' -n1 --detach=on
	run -0 ptimer cron '* * * * * *' -n1 --detach=cron -- echo cron
	echo 'x: after 0 -- echo x' >t
	run -0 ptimer run t --detach=run
	for name in after at every on cron run; do
		wait_for 5 gone "$(supervisor $name)"
		run -0 ptimer log $name
		[ -n "$output" ]
		run -0 ptimer list --json $name
		[ "$(jq -c '[.state, .next, .pid]' <<<"$output")" = '["done",null,null]' ]
	done
	[ "$(ptimer log cron)" = cron ]
	[ "$(ptimer log every | wc -l)" = 2 ]
	[ "$(ptimer list | wc -l)" = 7 ]
	run -125 ptimer sleep 1 --detach
}

@test "--detach makes up a name, refuses one that runs, and takes one that has ended" {
	run -0 ptimer every 1h --detach
	[ "$output" = t1 ]
	run -0 ptimer every 1h --detach
	[ "$output" = t2 ]
	run -75 --separate-stderr ptimer every 1h --detach=t1
	[[ $stderr == "ptimer: there is a 't1' already"* ]]
	run -75 ptimer every 1h --name t1 -- touch ran
	run -0 ptimer cancel t1 t2
	[ ! -e ran ]
	run -0 ptimer after 0 --detach=a -- echo one
	wait_for 5 gone "$(supervisor a)"
	[ "$(ptimer log a)" = one ]
	run -0 ptimer after 0 --detach=a -- echo two
	wait_for 5 gone "$(supervisor a)"
	[ "$(ptimer log a)" = two ]
	run -1 ptimer trigger a
	[ "$output" = "ptimer: 'a' does not run any more" ]
	run -0 ptimer cancel a
	run -1 ptimer log a
}

@test "--detach tells what is wrong, and keeps nothing" {
	fails 127 "cannot run 'no-such-command': No such file or directory" every 1 --detach=a -- no-such-command
	fails 125 "'2020-01-01' has passed" at 2020-01-01 --detach=a
	fails 1 "'*-02-30' never comes" on '*-02-30' --detach=a
	echo 'x: after' >t
	run -125 ptimer run t --detach=a
	[[ ${lines[0]} == t:1:* ]]
	[ "$(ls rt/timers)" = '' ]
}

@test "the list says all of each timer, the next one first" {
	printf '%s\n' 'late: after 2h -- echo late' 'soon: every 1h --phase 1h' 'fails: after 0 -- sh -c "exit 3"' "dies: after 0 -- sh -c 'kill \$\$'" \
		'zone: on "2100-01-01 12:00" --tz +05:30' 'runs: after 0 -- await end' >t
	run -0 ptimer run t --detach=x
	wait_for 5 listed_is x/fails '[.state, .next, .runs, .failures, .exit, .signal, .argv]' '["done",null,1,1,3,null,["sh","-c","exit 3"]]'
	wait_for 5 listed_is x/dies '[.state, .runs, .failures, .exit, .signal]' '["done",1,1,null,"SIGTERM"]'
	wait_for 5 listed_is x/runs '[.state, .next, .runs, .failures, .exit, .signal]' '["running",null,0,0,null,null]'
	[ "$(listed x/zone .next)" = '"2100-01-01T12:00:00.000000+05:30"' ]
	[ "$(listed x/late '[.state, .pid, .argv]')" = "[\"waiting\",$(supervisor x),[\"echo\",\"late\"]]" ]
	run -0 ptimer list --json
	[ "$(jq -r .name <<<"$output" | head -n3 | xargs)" = 'x/soon x/late x/zone' ]
	run -0 ptimer list
	[[ ${lines[0]} == 'NAME '*'STATE'*'NEXT'*'RUNS'*'FAILURES'*'EXIT'*'PID'*'COMMAND' ]]
	[[ ${lines[1]} == 'x/soon '*'waiting'* ]]
	[[ $output == *TERM* ]]
	touch end
	run -0 ptimer cancel x
}

@test "a process that was killed is listed as lost, and leaves nothing" {
	make_family
	run -0 ptimer after 0 --detach=a -- family f
	wait_for 5 lines_are f 3
	kill -KILL "$(supervisor a)"
	wait_for 5 listed_is a '[.state, .pid]' '["lost",null]'
	wait_for 3 nothing_left
	run -0 ptimer after 1h --detach=a -- true
	run -0 ptimer cancel a
}

@test "timers in the background cost at most 256 KiB of private memory" {
	[ "${PCORE_VARIANT:-release}" = release ] || skip "a sanitizer costs more"
	run -0 ptimer every 1h --now --detach=a -- sh -c 'seq 200000; touch ready; await end'
	wait_for 10 exists ready
	run -0 awk '/^Rss(Anon|Shmem):/ { n += $2 } END { print n }' "/proc/$(supervisor a)/status"
	touch end
	echo "$output KiB"
	[ "$output" -le 256 ]
	run -0 ptimer cancel a
}

# ---- log

@test "the log is bounded, has the messages, and can be followed" {
	run -0 ptimer every 20ms --detach=a -- sh -c 'echo out; echo err >&2; await end; seq 300000; touch full'
	wait_for 5 says rt/timers/a/stderr 'is skipped'
	wait_for 5 says rt/timers/a/stderr err
	wait_for 5 says rt/timers/a/stdout out
	run -0 --separate-stderr ptimer log a
	[ "$output" = out ]
	[ "$(grep -c '^err$' <<<"$stderr")" = 1 ]
	[ "$(grep -m1 '^ptimer' <<<"$stderr")" = 'ptimer: tick 2 is skipped: the job before it still runs' ]
	ptimer log -f a >followed 2>&1 &
	wait_for 5 nonempty followed
	touch end
	wait_for 20 exists full
	wait_for 5 listed_is a '.runs > 0' true
	run -0 ptimer cancel a
	ends 0 $!
	[ "$(head -n1 followed)" = out ]
	run -0 ptimer every 1h --now -n1 --detach=a -- seq 300000
	wait_for 10 gone "$(supervisor a)"
	[ "$(ptimer log a | wc -c)" -le 1048576 ]
	[ "$(ptimer log a | tail -n1)" = 300000 ]
}

# ---- cancel

@test "cancel ends a detached timer and its jobs, and waits for that" {
	make_family
	run -0 ptimer after 0 --detach=a -- family f
	wait_for 5 lines_are f 3
	run -0 ptimer cancel a
	leaves_nothing
	fails 1 "there is no 'a'" cancel a
}

@test "one that waits in the foreground is cancelled with 1 and a message, and never runs (57)" {
	ptimer after 1h --name w -- touch ran 2>err &
	wait_for 5 known w
	[ "$(listed w '[.state, .argv]')" = '["waiting",["touch","ran"]]' ]
	fails 1 "'w' has no log: it runs in the foreground" log w
	run -0 ptimer cancel w
	ends 1 $!
	[ "$(<err)" = 'ptimer: cancelled before it was due' ]
	[ ! -e ran ]
	[ "$(ls rt/timers)" = '' ]
	ptimer every 1h --name w 2>err &
	wait_for 5 known w
	run -0 ptimer cancel w
	ends 1 $!
	[ "$(<err)" = 'ptimer: cancelled' ]
}

@test "cancel after the command has begun gives its status (57)" {
	ptimer after 0 --name w -- sh -c 'trap "exit 9" TERM; echo x >started; while :; do sleep 0.02; done' 2>err &
	wait_for 5 nonempty started
	run -0 ptimer cancel w
	ends 9 $!
	[ "$(grep -c ptimer err)" = 0 ]
}

@test "cancel NAME/TIMER ends only that, and a name is free after TERM, too" {
	printf '%s\n' "a: every 20ms -- sh -c 'echo \$\$ >>a; exec sleep 77'" 'b: every 1h' >t
	ptimer run t --name x 2>err &
	wait_for 5 known x
	wait_for 5 nonempty a
	fails 1 "'x' has no timer 'c'" cancel x/c
	run -0 ptimer cancel x/a
	wait_for 5 listed_is x/b .state '"waiting"'
	[ -z "$(listed x/a .name)" ]
	wait_for 5 gone "$(<a)"
	kill $!
	ends 0 $!
	[ "$(ls rt/timers)" = '' ]
}

# ---- trigger

@test "trigger makes a tick now and does not change the schedule" {
	run -0 ptimer every 1h -n 3 --detach=a -- sh -c 'echo $PCORE_SEQ'
	next=$(listed a .next)
	run -0 ptimer trigger a
	wait_for 5 listed_is a .runs 1
	run -0 ptimer trigger a
	wait_for 5 listed_is a .runs 2
	[ "$(listed a .next)" = "$next" ]
	[ "$(ptimer log a)" = $'1\n2' ]
	run -0 ptimer cancel a
	run -0 ptimer every 1h --detach=a
	run -0 ptimer trigger a
	wait_for 5 says rt/timers/a/stdout $'1\t'
	run -0 ptimer cancel a
}

@test "trigger respects --overlap, and says so" {
	run -0 ptimer every 1h --detach=a -- await end
	run -0 ptimer trigger a
	wait_for 5 listed_is a .state '"running"'
	fails 1 "'a' still runs, and --overlap skips this run" trigger a
	touch end
	wait_for 5 listed_is a .runs 1
	run -0 ptimer cancel a
	run -0 ptimer every 1h --detach=a --overlap replace -- sh -c 'echo $PCORE_SEQ >>runs; [ $PCORE_SEQ = 2 ] || exec sleep 77'
	run -0 ptimer trigger a
	wait_for 5 nonempty runs
	run -0 ptimer trigger a
	wait_for 5 listed_is a '[.runs, .failures]' '[2,0]'
	run -0 ptimer cancel a
}

@test "trigger names a timer of a table" {
	printf '%s\n' 'a: every 1h -- echo a' 'b: every 1h -- echo b' >t
	run -0 ptimer run t --detach=x
	fails 1 "'x' has several timers: say which, as NAME/TIMER" trigger x
	fails 1 "'x' has no timer 'c'" trigger x/c
	run -0 ptimer trigger x/b
	wait_for 5 listed_is x/b .runs 1
	[ "$(ptimer log x)" = b ]
	run -0 ptimer cancel x
	run -0 ptimer run --keep /dev/null --detach=x
	fails 1 "'x' has no timer" trigger x
	run -0 ptimer cancel x
}

# ---- enter

@test "an event that is entered runs first where it is due first (60)" {
	run -0 ptimer every 1h --detach=a -- true
	run -0 ptimer enter a 0.2 0 sh -c 'echo second >>order'
	[ "$output" = a/+1 ]
	run -0 ptimer enter a 0 0 sh -c 'echo first >>order; ptimer enter a 0 0 sh -c "echo third >>more"'
	[ "$output" = a/+2 ]
	wait_for 5 lines_are order 2
	wait_for 5 nonempty more
	wait_for 5 listed_is a .state '"waiting"'
	[ "$(xargs <order)" = 'first second' ] || [ "$(sort order | xargs)" = 'first second' ]
	wait_for 5 only_one_listed
	run -0 ptimer cancel a
}

only_one_listed() { [ "$(ptimer list --json a | wc -l)" = 1 ]; }

@test "of two equal events cancel takes the one that is named (59)" {
	run -0 ptimer run /dev/null --keep --detach=q
	run -0 ptimer enter q 1h 5 sh -c 'echo event'
	[ "$output" = q/+1 ]
	run -0 ptimer enter q 1h 5 sh -c 'echo event'
	[ "$output" = q/+2 ]
	run -0 ptimer cancel q/+1
	fails 1 "'q' has no timer '+1'" cancel q/+1
	fails 1 "'q' has no timer '+9'" cancel q/+9
	[ "$(ptimer list --json q | jq -r .name)" = q/+2 ]
	run -0 ptimer trigger q/+2
	wait_for 5 listed_is q/+2 .runs 1
	run -0 ptimer cancel q/+2
	run -0 ptimer list --json q
	[ -z "$output" ]
	run -0 ptimer cancel q
}

@test "events that are due together come by priority, one at a time with -j 1 (58)" {
	run -0 ptimer run /dev/null --keep -j1 --detach=q
	ptimer enter q 0 0 await begin
	wait_for 5 listed_is q/+1 .state '"running"'
	for n in 3 1 2; do
		ptimer enter q 0 0 sh -c "echo $n >>order"
	done
	wait_for 5 all_running
	touch begin
	wait_for 5 lines_are order 3
	[ "$(xargs <order)" = '3 1 2' ]
	run -0 ptimer cancel q
}

all_running() { [ "$(ptimer list --json q | jq -r .state | sort | uniq -c | xargs)" = '4 running' ]; }

@test "an event runs where its client is, and its failure leaves the rest intact (60)" {
	mkdir d
	run -0 ptimer run /dev/null --keep --detach=q
	(cd d && umask 027 && A=1 PCORE_SEQ=9 ptimer enter q 0 0 sh -c 'pwd; umask; echo $A $PCORE_SEQ; exit 4')
	wait_for 5 no_events
	run -0 ptimer enter q 0 0 no-such-command
	wait_for 5 no_events
	run -0 ptimer enter q 0 0 echo after
	wait_for 5 no_events
	run -0 --separate-stderr ptimer log q
	[ "$output" = "$PWD/d"$'\n0027\n1 1\nafter' ]
	[ "$stderr" = "ptimer: cannot run 'no-such-command': No such file or directory" ]
	run -0 ptimer cancel q
}

no_events() { [ -z "$(ptimer list --json q)" ]; }

@test "events do not outlive the end, and a table waits for them" {
	echo 'a: after 0 -- await go' >t
	ptimer run t --name x >out &
	wait_for 5 known x
	ptimer enter x 0 0 sh -c 'await end; echo event'
	touch go
	wait_for 5 listed_is x/a .runs 1
	ptimer enter x 0 0 echo another
	touch end
	ends 0 $!
	[ "$(sort out | xargs)" = 'another event' ]
}

# ---- what goes wrong

@test "what is printed and cannot be written is 125" {
	[ -w /dev/full ] || skip "needs /dev/full"
	run -0 ptimer every 1h --now --detach=a -- echo x
	wait_for 5 listed_is a .runs 1
	for words in 'list' 'list --json' 'log a' 'enter a 1h 0 true'; do
		run -125 --separate-stderr bash -c "ptimer $words >/dev/full"
		[[ $stderr == *'No space left on device' ]]
		run -125 --separate-stderr bash -c "ptimer $words >&-"
		[[ $stderr == 'ptimer: '* ]]
	done
	run -125 bash -c 'ptimer every 1h --detach=b >/dev/full'
	run -0 ptimer cancel a b
}

@test "a runtime directory of others, or that others may enter, is refused by every verb" {
	local words
	echo 'a: after 0 -- touch ran' >t
	mkdir -m 755 rt
	for words in 'list' 'list x' 'cancel x' 'trigger x' 'enter x 1 0 true' 'log x' 'after 0 --detach -- touch ran' 'run t --name x'; do
		# shellcheck disable=SC2086
		fails 125 "will not use the runtime directory '$PWD/rt': it must be ours and closed to others (mode 0700)" $words
	done
	chmod 700 rt
	mkdir -m 750 rt/timers
	fails 125 "will not use the runtime directory" list
	[ ! -e ran ]
	need_root
	rmdir rt/timers
	chown 65534 rt
	for words in 'list' 'cancel x' 'run t --detach=x'; do
		# shellcheck disable=SC2086
		fails 125 "will not use the runtime directory" $words
	done
	[ ! -e ran ]
}

@test "an ordinary user has names of its own" {
	user_setup
	export PCORE_RUNTIME_DIR=$scratch/rt
	run -0 "${as_user[@]}" ptimer every 1h --detach=a -- true
	run -0 "${as_user[@]}" ptimer trigger a
	run -0 "${as_user[@]}" ptimer enter a 1h 0 true
	[ "$output" = a/+1 ]
	run -0 "${as_user[@]}" ptimer list --json a
	[ "${#lines[@]}" = 2 ]
	run -0 "${as_user[@]}" ptimer cancel a
	leaves_nothing
}

@test "nonsense, another version and another user are refused, and those who hang keep nobody waiting" {
	local hanging
	need_root
	scratch=$(mktemp -d /tmp/pcore-test.XXXXXX)
	chmod 755 "$scratch"
	export PCORE_RUNTIME_DIR=$scratch/rt
	socket=$scratch/rt/timers/a/socket
	PATH="$PCORE_BUILD/helpers:$PATH"
	run -0 ptimer every 1h --detach=a
	run -0 timeout 5 poolwire "$socket" '0000000a 01 00000001 00000001 00'
	[[ $output == *41000000000100 ]] # an answer of 0 without a text
	run -0 timeout 5 poolwire "$socket" '0000000a 01 00000002 00000001 00'
	[[ $output == ????????414c* ]] # 76
	run -0 timeout 5 poolwire "$socket" '00000005 04 00000001'
	[[ $output == ????????417d* ]] # 125
	run -0 timeout 5 poolwire "$socket" 'ffffffff'
	[ -z "$output" ]
	install -m 755 "$PCORE_BUILD/helpers/poolwire" "$scratch/"
	chmod 755 "$scratch"/rt "$scratch"/rt/timers "$scratch"/rt/timers/a
	chmod 777 "$socket"
	run -0 timeout 5 setpriv --reuid=65534 --regid=65534 --clear-groups "$scratch"/poolwire "$socket" '0000000a 01 00000001 00000001 00'
	[[ $output == ????????414d* ]] # 77
	chmod 700 "$scratch"/rt "$scratch"/rt/timers "$scratch"/rt/timers/a
	for _ in {1..40}; do poolwire -w "$socket" 0000 3>&- & done
	run -0 timeout 10 ptimer list --json a
	[ "${#lines[@]}" = 1 ]
	mapfile -t hanging < <(jobs -p)
	kill "${hanging[@]}"
	wait || true
	run -0 ptimer cancel a
}
