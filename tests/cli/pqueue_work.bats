# SPDX-License-Identifier: MIT
# pqueue_work.bats - pqueue work and the dead items it leaves, as the manual page describes them. pqueue_work_durable.bats is a
# link to this file: under that name the queues are durable.
# shellcheck shell=bash disable=SC2016,SC2154,SC2030,SC2031,SC2119,SC2120

load support
load queues

setup() {
	common_setup
	export PCORE_RUNTIME_DIR=$PWD/run
	make_await
	choose_kind
}

teardown() { common_teardown; }

# A command that says that it runs and waits for the file `go': `busy NAME`.
make_busy() {
	cat >busy <<-'SCRIPT'
	#!/bin/sh
	: >"runs.$1"
	exec await go
	SCRIPT
	chmod +x busy
}

# ---- usage

@test "bad values of work and dead name option and value" {
	refuses pqueue work q -- --jobs 0 -1 x 0% 65537
	refuses pqueue work q -- --attempts 0 -1 x 1000001
	refuses pqueue work q -- --backoff -1 x 1..x 2..1 ''
	refuses pqueue work q -- --lease 0 -1 x
	refuses pqueue work q -- --buffer x -1
	refuses pqueue work q -- --timeout -1 x
	run -125 --separate-stderr pqueue work q
	[[ "${stderr_lines[0]}" == *"no command given"* ]]
	run -125 --separate-stderr pqueue work q ''
	[[ "${stderr_lines[0]}" == *"the command is empty"* ]]
	run -125 --separate-stderr pqueue dead bury q
	[[ "${stderr_lines[0]}" == *"dead bury"* ]]
	run -125 pqueue dead list q 1
	run -125 pqueue dead list --all q
	run -125 pqueue dead drop q
	run -125 pqueue dead retry --all q 1
	run -125 pqueue dead retry --json q 1
	for id in 0 x 1.1; do
		run -125 --separate-stderr pqueue dead retry q $id
		[[ "${stderr_lines[0]}" == *"'$id' is no id"* ]]
	done
	[ "$durability" != none ] || [ ! -e run/queues/q ]
}

@test "options of work stand before or after the name, and end at the command" {
	pqueue put q a b
	run -0 pqueue work --once -j 1 q echo --once
	[ "$output" = $'--once\n--once' ]
	pqueue put q a
	run -0 pqueue work q --once -j 1 echo {}
	[ "$output" = a ]
}

# ---- items and commands

@test "a command runs for each item until the queue is closed and drained" {
	seq 20 | pqueue put --close q
	pqueue work -j 3 q echo 'got {}.' >out 2>err
	sort -V out | cmp - <(seq -f 'got %.0f.' 20)
	[ ! -s err ]
	[ "$(field q acks)" = 20 ]
	pqueue join --timeout 5 q
}

@test "parts of the item can be used" {
	pqueue put --close q a/b.c
	run -0 pqueue work q echo "{.}" "{/}" "{//}" "{/.}" "{#}" "{%}" "{x}"
	[ "$output" = "a/b b.c a b 1 1 {x}" ]
}

@test "without a placeholder the item is the standard input, byte for byte" {
	printf 'a\nb\0c' >item
	pqueue put --whole q <item
	: | pqueue put --whole q
	head -c 3M /dev/urandom >big
	pqueue put --whole q <big
	pqueue close q
	pqueue work -j 1 q cat >out
	cat item big | cmp - out
}

@test "a command need not read the item, and has no other standard input with {}" {
	head -c 1M /dev/zero | pqueue put --whole --close q
	run -0 pqueue work q true
	pqueue put --close r x
	[ "$(echo nothing | pqueue work r sh -c 'cat; echo {}')" = x ]
}

@test "with --shell the command is a text for sh and the item is quoted" {
	pqueue put --close q "it's \$HOME; false"
	run -0 pqueue work --shell q 'echo {} | tr a-z A-Z'
	[ "$output" = "IT'S \$HOME; FALSE" ]
}

@test "a command knows the item, the attempt, its number and its slot" {
	pqueue put q a b
	pqueue get q
	run -0 pqueue work --once q sh -c 'echo $PCORE_JOB $PCORE_ATTEMPT $PCORE_SEQ $PCORE_SLOT'
	[ "$output" = "2 1 1 1" ]
}

@test "outputs come whole, standard output first" {
	seq 4 | pqueue put --close q
	pqueue work -j 4 q sh -c 'for i in 1 2 3; do echo {}; done; echo {}e >&2' >out 2>&1
	[ "$(wc -l <out)" = 16 ]
	[ "$(uniq -c out | awk '{ print $1 }' | sort -n | uniq -c | awk '{ print $1 "x" $2 }' | paste -sd' ')" = "4x1 4x3" ]
}

@test "the options of jobs hold" {
	mkdir sub
	pqueue put --close q a
	run -0 pqueue work --chdir sub --env X=1 --limit nofile=77 --umask 077 q sh -c 'basename $PWD; echo $X; ulimit -n; umask'
	[ "$output" = $'sub\n1\n77\n0077' ]
	run -125 pqueue work --chdir none q true
}

@test "a command that is not found takes no item" {
	pqueue put q a
	run -127 --separate-stderr pqueue work --once q no-such-command
	[ "$stderr" = "pqueue: cannot run 'no-such-command': No such file or directory" ]
	[ "$(pqueue get --lease 1h q)" = $'1.1\ta' ]
}

@test "a missing queue is made and waited for" {
	started pid pqueue work q echo {} >out
	wait_for 10 exists run/queues/q
	pqueue put q a
	wait_for 10 nonempty out
	pqueue put q --close b
	ends 0 "$pid"
	[ "$(sort out)" = $'a\nb' ]
}

@test "work ends when the queue it waits for is closed or removed" {
	started one pqueue work q true
	started two pqueue work r true
	for q in q r; do
		pqueue put $q x
		wait_for 10 stat_is $q acks 1
	done
	pqueue close q
	pqueue rm r
	ends 0 "$one"
	ends 0 "$two"
}

@test "--once ends when no item is ready" {
	pqueue create q
	run -0 pqueue work --once q true
	pqueue put q a
	pqueue put --delay 1h q b
	run -0 pqueue work --once q echo {}
	[ "$output" = a ]
	[ "$(field q delayed)" = 1 ]
}

@test "an item is taken only when a slot is free" {
	make_busy
	pqueue put --close q 1 2 3 4 5
	started pid pqueue work -j 2 q ./busy {}
	wait_for 10 exists runs.1
	wait_for 10 exists runs.2
	[ "$(field q leased)" = 2 ]
	[ "$(pqueue len q)" = 3 ]
	touch go
	ends 0 "$pid"
}

@test "three workers share a queue, and each item is done once" {
	for i in 1 2 3; do started "w$i" pqueue work -j 2 q echo {} >"out$i"; done
	seq 60 | pqueue put --close q
	for w in w1 w2 w3; do ends 0 "${!w}"; done
	sort -n out? | cmp - <(seq 60)
}

@test "join waits for the commands" {
	make_busy
	pqueue put q a
	started worker pqueue work q ./busy {}
	wait_for 10 exists runs.a
	started joiner pqueue join q
	wait_for 10 waits "$joiner"
	run -124 pqueue join --timeout 0.1 q
	touch go
	ends 0 "$joiner"
	pqueue close q
	ends 0 "$worker"
}

# ---- failures

@test "an item that fails is tried again, then it is dead with the reason" {
	pqueue put --close q ok bad
	run -1 --separate-stderr pqueue work --backoff 10ms -j 1 q sh -c 'echo {} $PCORE_ATTEMPT; test {} = ok || exit 7'
	[ "$output" = $'ok 1\nbad 1\nbad 2\nbad 3' ]
	[ "$stderr" = "pqueue: item 2 of 'q' died after 3 attempts: exit 7" ]
	[ "$(pqueue dead list --items q | cut -f1,2,4,5)" = $'2\t3\texit 7\tbad' ]
	[ "$(field q dead)" = 1 ]
	pqueue join --timeout 5 q
}

@test "an item that succeeds in the end is done" {
	pqueue put --close q a
	run -0 --separate-stderr pqueue work --backoff 0 q sh -c 'test $PCORE_ATTEMPT = 3'
	[ -z "$stderr" ]
	[ "$(field q dead)" = 0 ]
}

@test "each way to fail has its reason" {
	pqueue put q kill 'exit 3'
	run -1 pqueue work --once --attempts 1 -j 1 q sh -c 'case "{}" in kill) kill -KILL $$ ;; *) {} ;; esac'
	pqueue put q 60
	run -1 pqueue work --once --attempts 1 --timeout 0.25 q sleep {}
	echo 'no program' >data
	chmod +x data
	pqueue put q ./data ./none
	run -1 pqueue work --once --attempts 1 -j 1 q {}
	run -0 pqueue dead list q
	[ "$(cut -f4 <<<"$output" | head -n 3)" = $'SIGKILL\nexit 3\ntimed out after 0.25s' ]
	[[ "${lines[3]}" == *"cannot run './data': Exec format error"* ]]
	[[ "${lines[4]}" == *$'\tcannot run \'./none\': No such file or directory' ]]
}

@test "an item that no argument can hold is dead at once" {
	printf 'a\0b' | pqueue put --whole q
	pqueue close q
	run -1 pqueue work q echo {}
	run -0 pqueue dead list --items q
	[[ "$output" == *$'holds a NUL byte, which no argument can\ta\\x00b' ]]
}

@test "a failed item is kept back for a while" {
	pqueue put q a
	run -1 --separate-stderr pqueue work --once --backoff 1h q false
	[ -z "$stderr" ]
	[ "$(field q delayed)" = 1 ]
	run -0 pqueue work --once q true
}

@test "--retry tries at once and is no attempt of its own" {
	pqueue put --close q a
	run -0 pqueue work --retry 2 --retry-delay 0 --attempts 1 q sh -c 'echo x >>tries; echo $PCORE_ATTEMPT; test "$(wc -l <tries)" = 3'
	[ "$output" = 1 ]
	[ "$(field q gets)" = 1 ]
}

# ---- the end of a worker

@test "the item of a worker that is killed comes back, and is dead when that happens too often" {
	make_busy
	pqueue put q a
	for _ in 1 2; do
		started pid pqueue work --lease inf --attempts 2 q ./busy a
		wait_for 10 exists runs.a
		kill -KILL "$pid"
		ends 137 "$pid" 2>/dev/null
		rm runs.a
	done
	run -1 --separate-stderr pqueue work --once --attempts 2 q ./busy a
	[ "$stderr" = "pqueue: item 1 of 'q' died after 2 attempts: its worker died, or its lease ended" ]
	[ ! -e runs.a ]
}

@test "join waits for the item of a worker that died until another has done it" {
	make_busy
	pqueue put q a
	started pid pqueue work --lease inf q ./busy a
	wait_for 10 exists runs.a
	started joiner pqueue join q
	kill -KILL "$pid"
	ends 137 "$pid" 2>/dev/null
	run -124 pqueue join --timeout 0.1 q
	run -0 pqueue work --once q true
	ends 0 "$joiner"
}

@test "TERM gives the items back as if they had not been taken" {
	make_busy
	pqueue put q a b
	started pid pqueue work -j 1 q ./busy {}
	wait_for 10 exists runs.a
	kill -TERM "$pid"
	ends 143 "$pid" 2>/dev/null
	[ "$(pqueue get -n 2 --lease 1h q)" = $'1.1\ta\n2.1\tb' ]
}

@test "HUP lets the commands finish and takes no more" {
	make_busy
	pqueue put q a b
	started pid pqueue work -j 1 q ./busy {}
	wait_for 10 exists runs.a
	kill -HUP "$pid"
	wait_for 10 none_pending "$pid"
	touch go
	ends 0 "$pid"
	[ "$(pqueue get q)" = b ]
}

@test "TERM ends a worker that waits" {
	started pid pqueue work q true
	wait_for 10 exists run/queues/q
	pqueue put q a
	wait_for 10 stat_is q acks 1
	kill -TERM "$pid"
	ends 143 "$pid" 2>/dev/null
}

@test "a lease is renewed as long as the command runs" {
	make_busy
	pqueue put q a
	started pid pqueue work --lease 3 q ./busy a
	wait_for 10 exists runs.a
	run -124 pqueue get --timeout 4 q
	touch go
	wait_for 10 stat_is q acks 1
	pqueue close q
	ends 0 "$pid"
}

@test "the item of a worker that is stopped goes to others when its lease ends" {
	make_busy
	pqueue put q a
	started pid pqueue work --lease 1.5 q ./busy a 2>err
	wait_for 10 exists runs.a
	kill -STOP "$pid"
	[ "$(pqueue get --timeout 20 q)" = a ]
	touch go
	pqueue close q
	kill -CONT "$pid"
	ends 0 "$pid"
	[ "$(cat err)" = "pqueue: the lease of item 1 of 'q' ended before its command did" ]
}

@test "when nobody reads the output, the items that run go back and work dies without a word" {
	seq 1000 | pqueue put q
	started pid pqueue work -j 1 q echo {} > >(head -n 1 >out) 2>err
	ends 141 "$pid"
	[ ! -s err ]
	[ "$(cat out)" = 1 ]
	[ "$(field q leased)" = 0 ]
}

@test "output that cannot be written is an error" {
	pqueue put --close q a
	run -125 --separate-stderr bash -c 'pqueue work q echo {} >/dev/full'
	[ "$stderr" = "pqueue: cannot write to standard output: No space left on device" ]
}

# ---- the dead

@test "dead items are listed, retried and dropped" {
	pqueue put --close q a $'b\tc\n' d
	run -1 pqueue work --attempts 1 -j 1 q false
	run -0 pqueue dead list --items q
	[ "$(cut -f1,2,4- <<<"$output")" = $'1\t1\texit 1\ta\n2\t1\texit 1\tb\\tc\\n\n3\t1\texit 1\td' ]
	[ "$(pqueue dead list q | cut -f4-)" = $'exit 1\nexit 1\nexit 1' ]
	[ "$(pqueue dead list --json q | jq -rc '[.id, .attempt, .reason, .item]' | head -n 2)" = $'[1,1,"exit 1","a"]\n[2,1,"exit 1","b\\tc\\n"]' ]
	[[ "$(pqueue dead list q | head -n 1 | cut -f3)" =~ ^20[0-9-]{8}T[0-9:]{8}\.[0-9]{6}Z$ ]]
	run -3 pqueue get q
	pqueue dead drop q 1
	run -1 --separate-stderr pqueue dead drop q 1 2
	[ "$stderr" = "pqueue: the queue 'q' has no dead item 1" ]
	pqueue dead retry q 3
	run -1 pqueue dead retry q 3
	run -1 --separate-stderr pqueue work --once --attempts 2 --backoff 0 q sh -c 'echo $PCORE_ATTEMPT; false'
	[ "$output" = $'1\n2' ]
	[ "$stderr" = "pqueue: item 3 of 'q' died after 2 attempts: exit 1" ]
	[ "$(pqueue dead list --json q | jq .attempt)" = 2 ]
	pqueue dead retry q 3
	[ "$(pqueue get --lease 1h q)" = $'3.4\td' ] # no lease of before has this name
	run -0 pqueue dead list q
	[ -z "$output" ]
	run -1 pqueue dead list none
}

@test "all dead items are retried or dropped at once" {
	seq 100 | pqueue put q
	run -1 pqueue work --once --attempts 1 --backoff 0 q false
	[ "$(field q dead)" = 100 ]
	pqueue dead retry --all q
	[ "$(field q dead)" = 0 ]
	[ "$(pqueue len q)" = 100 ]
	[ "$(pqueue get --all q)" = "$(seq 100)" ]
	seq 3 | pqueue put q
	run -1 pqueue work --once --attempts 1 q false
	pqueue dead drop --all q
	pqueue put --nowait q x
	[ "$(pqueue get q)" = x ]
}

@test "a dead item takes room and holds its key" {
	pqueue create --max 1 q
	pqueue put --key k q a
	run -1 pqueue work --once --attempts 1 q false
	run -75 pqueue put --nowait q b
	pqueue dead drop q 1
	pqueue put --nowait --key k q b
	run -1 pqueue work --once --attempts 1 q false
	run -75 pqueue put --nowait --key k q c
}

@test "list and stat count the dead" {
	pqueue put q a b
	run -1 pqueue work --once --attempts 1 q test {} = a
	run -0 pqueue list
	[ "$output" = $'q\t0\t0\t0\t1\topen\t'"$durability" ]
	run -0 pqueue stat q
	[[ "$output" == *$'\ndead 1\n'* ]]
}
