# SPDX-License-Identifier: MIT
# pqueue.bats - pqueue as its manual page describes it.
# shellcheck shell=bash disable=SC2016,SC2154,SC2030,SC2031,SC2119,SC2120

load support
load queues

setup() {
	common_setup
	export PCORE_RUNTIME_DIR=$PWD/run
}

teardown() { common_teardown; }

# ---- usage

@test "pqueue --help goes to stdout, for each verb too" {
	run -0 --separate-stderr pqueue --help
	[[ "$output" == "usage: pqueue VERB "* ]]
	[ -z "$stderr" ]
	for verb in create put get peek ack nack touch work dead join len stat list close rm repair send recv pipe; do
		run -0 --separate-stderr pqueue $verb --help
		[[ "$output" == "usage: pqueue $verb"* ]]
		[ -z "$stderr" ]
	done
}

@test "pqueue --version names tool, package and version" {
	run -0 pqueue --version
	[[ "$output" == "pqueue (pcore) "[0-9]* ]]
}

@test "pqueue without a verb, or with an unknown one, is a usage error" {
	run -125 --separate-stderr pqueue
	[[ "$stderr" == *"try 'pqueue --help'"* ]]
	run -125 --separate-stderr pqueue nope q
	[[ "${stderr_lines[0]}" == *nope* ]]
	run -125 --separate-stderr pqueue --nowait get q
	[[ "${stderr_lines[0]}" == *nowait* ]]
}

@test "each verb counts its operands" {
	for verb in create put get peek work dead join len stat close rm repair send recv pipe; do
		run -125 --separate-stderr pqueue $verb </dev/null
		[[ "${stderr_lines[0]}" == *"no name given"* ]]
	done
	for verb in create get peek join len stat close rm recv; do
		run -125 --separate-stderr pqueue $verb q superfluous
		[[ "${stderr_lines[0]}" == *superfluous* ]]
	done
	for verb in ack nack touch; do
		run -125 pqueue $verb q
	done
	run -125 pqueue list q
}

@test "a name is checked" {
	for name in '' .hidden -- 'a b' "$(printf '%065d' 0)" $'a\nb'; do
		run -125 --separate-stderr pqueue put -- "$name" x
		[[ "${stderr_lines[0]}" == *"not a name"* ]]
	done
	run -0 pqueue put "$(printf '%064d' 0)" x
	[ "$(pqueue get "$(printf '%064d' 0)")" = x ]
}

@test "a path names the file of a queue" {
	pqueue create ./here
	[ -f here ]
	[ "$(stat -c %a here)" = 600 ]
	pqueue put "$PWD/here" x
	[ "$(pqueue get ./here)" = x ]
	run -125 pqueue create ./no/such/directory
	pqueue rm ./here
	[ ! -e here ]
}

@test "bad values name option and value" {
	refuses pqueue create q -- --max 0 -1 x 1.5 99999999999
	refuses pqueue create q -- --max-bytes x -1 0 1X
	refuses pqueue create q -- --max-item x 0 -1 3G
	refuses pqueue create q -- --order newest ''
	refuses pqueue put q -- --priority -1 x 4294967296
	refuses pqueue put q -- --delay -1 x
	refuses pqueue put q -- --timeout -1 x nan 5x
	refuses pqueue get q -- --count 0 -1 x
	refuses pqueue get q -- --timeout -1 x nan
	refuses pqueue get q -- --lease 0 -1 x
	refuses pqueue nack q 1.1 -- --delay -1 x
	refuses pqueue touch q 1.1 -- --lease 0 -1 x
	refuses pqueue join q -- --timeout -1 x
	refuses pqueue send q -- --timeout -1 x
	refuses pqueue pipe q -- --timeout -1 x
	refuses pqueue pipe q -- --max 0 x 5G
	refuses pqueue recv q -- --count 0 x
	refuses pqueue recv q -- --poll -1 x
	refuses pqueue recv q -- --max 0 x 5G
	for verb in put get peek send recv pipe; do
		refuses pqueue $verb q -- --delimiter ab '' '\q' '\x1'
	done
	run -125 --separate-stderr pqueue put q --key '' x
	[[ "${stderr_lines[0]}" == *--key* ]]
	run -125 pqueue put q --key "$(printf '%01025d' 0)" x
	run -125 pqueue put q --durable x
	refuses pqueue create --durable q -- --sync often '' interval= interval=0 interval=-1 interval=x
}

@test "options that contradict each other are refused" {
	run -125 pqueue put q -0 --frames </dev/null
	run -125 pqueue put q -0 x
	run -125 pqueue put q --whole x
	run -125 pqueue put q --replace x
	run -125 pqueue put q --key k x y
	run -125 pqueue put q --key k </dev/null
	run -125 pqueue put q --nowait --timeout 1 x
	run -125 pqueue get q --all --follow
	run -125 pqueue get q -n 2 --all
	run -125 pqueue get q --nowait --follow
	run -125 --separate-stderr pqueue create q --sync always
	[[ "${stderr_lines[0]}" == *--durable* ]]
	run -125 pqueue repair q
	for o in '--max-bytes 1024T' '--max 4294967295'; do
		# shellcheck disable=SC2086
		run -125 --separate-stderr pqueue create q $o
		[[ "${stderr_lines[0]}" == "pqueue: --max or --max-bytes is more than a queue in memory can hold: "* ]]
	done
	run -125 --separate-stderr pqueue create q --max-bytes 10 --max-item 11
	[[ "${stderr_lines[0]}" == *--max-item* ]]
}

@test "PCORE_OPTIONS_PQUEUE gives default options" {
	PCORE_OPTIONS_PQUEUE=--ids run -0 pqueue put q x
	[ "$output" = 1 ]
}

@test "options may follow the operands" {
	run -0 pqueue put q x y --ids
	[ "$output" = $'1\n2' ]
	run -0 pqueue get q -n 2
	[ "$output" = $'x\ny' ]
	pqueue put q -- --ids
	[ "$(pqueue get q)" = --ids ]
}

# ---- in memory

@test "putting and getting from pipes makes few system calls" {
	command -v strace >/dev/null || skip "needs strace"
	seq 30000 >lines
	export ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 # that cannot be done while it is traced
	strace -f -c -o puts pqueue put q <lines
	strace -f -c -o gets pqueue get --all q >/dev/null
	[ "$(awk '$NF == "total" { print $(NF - 1) == "total" ? 0 : $4 }' puts)" -lt 400 ]
	[ "$(awk '$NF == "total" { print $(NF - 1) == "total" ? 0 : $4 }' gets)" -lt 400 ]
}

@test "list names the queues, damaged ones too" {
	[ -z "$(pqueue list)" ]
	pqueue put b x
	pqueue create a
	echo nonsense >run/queues/c
	run -0 pqueue list
	[ "$output" = $'a\t0\t0\t0\t0\topen\tnone\nb\t1\t0\t0\t0\topen\tnone\nc\t-\t-\t-\t-\tdamaged\t-' ]
}

@test "what is no queue is not used, but can be removed" {
	pqueue create q
	echo nonsense >run/queues/bad
	head -c 1000000 run/queues/q >run/queues/short
	: >run/queues/empty
	for q in bad short empty; do
		for verb in put get len close; do
			run -65 --separate-stderr pqueue $verb $q </dev/null
			[[ "$stderr" == *"'$q': it is damaged, or no queue" ]]
		done
		pqueue rm $q
		[ ! -e run/queues/$q ]
	done
	printf '\377' | dd of=run/queues/q bs=1 seek=8 conv=notrunc status=none
	run -76 pqueue len q
	pqueue rm q
	pqueue create ./old
	printf xxxx | dd of=old bs=1 seek=64 conv=notrunc status=none
	run -65 --separate-stderr pqueue get ./old
	[[ "$stderr" == *"from before the system was started"* ]]
	pqueue rm ./old
	[ ! -e old ]
	echo precious >file
	run -65 pqueue rm ./file
	[ "$(cat file)" = precious ]
}

@test "a queue that does not fit on the disk is not there" {
	need_root
	mkdir small
	mount -t tmpfs -o size=1M none small || skip "needs to mount a tmpfs"
	run -125 --separate-stderr pqueue create small/q
	left=$(ls small)
	umount small
	[ "$stderr" = "pqueue: cannot create 'small/q': No space left on device" ]
	[ -z "$left" ]
}

# ---- channels

# opened NAME: somebody waits for the other end
opened() { [ -S "run/channels/.$1.socket" ]; }

@test "messages pass from one program to another with their bounds" {
	started pid pqueue recv c >out
	wait_for 5 opened c
	printf 'a\n\nb c\n' | pqueue send c
	ends 0 $pid
	cmp out <(printf 'a\n\nb c\n')
	started pid pqueue send c one two
	run -0 pqueue recv c
	[ "$output" = $'one\ntwo' ]
	ends 0 $pid
	head -c 3M /dev/urandom >big
	started pid pqueue send --whole c <big
	pqueue recv --frames c | tail -c +5 | cmp - big
	ends 0 $pid
}

@test "messages may hold anything" {
	started pid pqueue recv -0 c >out
	wait_for 5 opened c
	printf 'a\nb\0\0' | pqueue send -0 c
	ends 0 $pid
	cmp out <(printf 'a\nb\0\0')
}

@test "the end of a channel, a message that is too long and nobody there are three things" {
	started pid pqueue send c </dev/null
	run -3 --separate-stderr pqueue recv c
	[ -z "$output$stderr" ]
	ends 0 $pid
	started pid pqueue send c 12345
	run -1 --separate-stderr pqueue recv --max 4 c
	[ "$stderr" = "pqueue: a message in the channel 'c' is too long" ]
	wait $pid || true
	from=$(now_ms)
	run -124 pqueue recv --poll 0.2 c
	took "$from" 200 20000
	run -1 pqueue recv --poll 0 c
	run -124 pqueue send --timeout 0.2 c x
	run -124 pqueue pipe --timeout 0.2 c
}

@test "recv -n takes so many messages, and says when there were fewer" {
	started pid pqueue send c a b c
	run -0 pqueue recv -n 2 c
	[ "$output" = $'a\nb' ]
	wait $pid || true
	started pid pqueue send c a
	run -3 pqueue recv -n 2 c
	[ "$output" = a ]
	ends 0 $pid
}

@test "a third program is refused while a channel is in use" {
	started sender pqueue send c < <(echo x; until [ -e go ]; do sleep 0.02; done)
	started receiver pqueue recv c >out
	wait_for 5 nonempty out
	for verb in send recv pipe; do
		run -75 --separate-stderr pqueue $verb c </dev/null
		[ "$stderr" = "pqueue: both ends of the channel 'c' are taken" ]
	done
	touch go
	ends 0 "$sender"
	ends 0 "$receiver"
	run -124 pqueue recv --poll 0.1 c
}

@test "an end that dies in the middle of a message is told from one that closes" {
	started pid pqueue recv c
	wait_for 5 opened c
	python3 - <<-'SCRIPT'
	import fcntl, socket, struct
	lock = open("run/channels/c", "r+b")
	fcntl.lockf(lock, fcntl.LOCK_EX, 1, 1)
	end = socket.socket(socket.AF_UNIX)
	end.connect("run/channels/.c.socket")
	end.sendall(struct.pack("<II", 10, 0) + b"half")
	SCRIPT
	ends 65 $pid 2>err
}

@test "an end that is killed while it waits leaves the name free" {
	started pid pqueue recv c
	wait_for 5 opened c
	kill -KILL $pid
	ends 137 $pid
	started pid pqueue recv c >out
	wait_for 5 pqueue send --timeout 5 c x
	ends 0 $pid
	[ "$(cat out)" = x ]
}

@test "pipe sends and receives at the same time" {
	started pid pqueue pipe c < <(seq 20000) >out1
	pqueue pipe c < <(seq 20001 40000) >out2
	ends 0 $pid
	cmp out1 <(seq 20001 40000)
	cmp out2 <(seq 20000)
}

@test "pipe gives a command both directions, and exits with its status" {
	started pid pqueue pipe c -- tr a-z A-Z
	run -0 pqueue pipe c < <(printf 'abc\ndef\n')
	[ "$output" = $'ABC\nDEF' ]
	ends 0 $pid
	started pid pqueue pipe c -- sh -c 'read -r x; echo "got $x"; exit 7'
	run -0 pqueue pipe c < <(echo hello)
	[ "$output" = "got hello" ]
	ends 7 $pid
	started pid pqueue recv c
	run -127 pqueue pipe c -- no-such-command
	ends 3 $pid
}
