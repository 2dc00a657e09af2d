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
	for verb in create put get peek ack nack touch work dead join len stat list close rm send recv pipe; do
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
	for verb in create put get peek work dead join len stat close rm send recv pipe; do
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

# ---- put and get

@test "items come out as they went in" {
	seq 1000 | pqueue put q
	[ "$(pqueue len q)" = 1000 ]
	pqueue get q -n 1000 | cmp - <(seq 1000)
	[ "$(pqueue len q)" = 0 ]
}

@test "the last line needs no newline, and an empty line is an empty item" {
	printf 'a\n\nb' | pqueue put q
	run -0 pqueue get --all q
	[ "$output" = $'a\n\nb' ]
	pqueue put q </dev/null
	[ "$(pqueue len q)" = 0 ]
}

@test "items are kept byte for byte, newlines and NUL bytes included" {
	head -c 100000 /dev/urandom >bytes
	pqueue put --whole q <bytes
	pqueue get -d '\0' q | head -c -1 | cmp - bytes
	printf 'a\nb\0\0c\0' | pqueue put -0 q
	[ "$(pqueue len q)" = 3 ]
	pqueue get --all -0 q | cmp - <(printf 'a\nb\0\0c\0')
	printf 'a\0b\n' | pqueue put q
	pqueue get q | cmp - <(printf 'a\0b\n')
	printf 'a:b\n:c' | pqueue put -d : q
	[ "$(pqueue len q)" = 3 ]
	pqueue get --all -d : q | cmp - <(printf 'a:b\n:c:')
	: | pqueue put --whole q
	[ "$(pqueue len q)" = 1 ]
}

@test "frames carry anything, and one that is cut off is told" {
	printf '\3\0\0\0a\nb\0\0\0\0\1\0\0\0\0' >frames
	pqueue put --frames q <frames
	[ "$(pqueue len q)" = 3 ]
	pqueue get --all --frames q | cmp - frames
	printf '\1\0\0\0x\3\0\0\0ab' >frames
	run -65 --separate-stderr pqueue put --frames q <frames
	[[ "$stderr" == *"inside item 2"* ]]
	[ "$(pqueue get --all q)" = x ]
}

@test "an item of 64 MiB passes whole" {
	pqueue create q --max-bytes 64M
	head -c 64M /dev/urandom >big
	pqueue put --whole q <big
	pqueue get -d '\0' q | head -c -1 | cmp - big
}

@test "an item that is too large is refused, those before it are in" {
	pqueue create q --max-item 3
	run -1 --separate-stderr pqueue put q <<<$'a\nabcd\nb'
	[[ "$stderr" == *"item 2 is too large"* ]]
	[ "$(pqueue len q)" = 1 ]
	run -1 pqueue put q abcd
	run -1 pqueue put --whole q <<<abc
	pqueue put --whole q < <(printf abc)
}

@test "a bounded queue is full after so many items, and a get makes room" {
	pqueue create q --max 6
	seq 6 | pqueue put --nowait q
	run -75 --separate-stderr pqueue put --nowait q 7
	[ "$stderr" = "pqueue: the queue 'q' is full" ]
	from=$(now_ms)
	run -124 pqueue put --timeout 0.2 q 7
	took "$from" 200 1500
	started pid pqueue put q 7
	wait_for 5 waits $pid
	[ "$(pqueue get q)" = 1 ]
	ends 0 $pid
	[ "$(pqueue get --all q)" = "$(seq 2 7)" ]
}

@test "a bound on the bytes is exact" {
	pqueue create q --max-bytes 10
	pqueue put --nowait q 123456
	run -75 pqueue put --nowait q 12345
	pqueue put --nowait q 1234 ''
	[ "$(field q bytes)" = 10 ]
}

@test "put --nowait leaves in what had room" {
	pqueue create q --max 3
	run -75 --separate-stderr pqueue put --nowait --ids q a b c d e
	[ "$output" = $'1\n2\n3' ]
	[ "$(pqueue len q)" = 3 ]
}

@test "an empty queue says so, or waits as long as it is told" {
	pqueue create q
	run -1 --separate-stderr pqueue get --nowait q
	[ -z "$output$stderr" ]
	from=$(now_ms)
	run -124 pqueue get --timeout 0.2 q
	took "$from" 200 1500
	started pid pqueue get q >out
	wait_for 5 waits $pid
	pqueue put q x
	ends 0 $pid
	[ "$(cat out)" = x ]
}

@test "waiting costs no CPU" {
	pqueue create q
	started pid pqueue get q
	wait_for 5 waits $pid
	before=$(awk '{ print $14 + $15 }' /proc/$pid/stat)
	run -124 pqueue get --timeout 1.5 q
	[ "$(awk '{ print $14 + $15 }' /proc/$pid/stat)" -le $((before + 1)) ]
	pqueue put q x
	ends 0 $pid
}

@test "get -n waits for each of its items and --all takes what is there" {
	pqueue put q 1 2
	started pid pqueue get -n 3 q >out
	wait_for 5 lines_are out 2
	pqueue put q 3 4
	ends 0 $pid
	[ "$(cat out)" = $'1\n2\n3' ]
	[ "$(pqueue get --all q)" = 4 ]
	run -0 pqueue get --all q
	[ -z "$output" ]
	pqueue put q 5
	run -1 pqueue get --nowait -n 2 q
	[ "$output" = 5 ]
}

@test "len is exact as soon as a put has returned" {
	for i in 1 2 3 4 5 6 7 8 9 10; do
		pqueue put q $i
		[ "$(pqueue len q)" = $i ]
	done
	pqueue get q -n 10
	[ "$(pqueue len q)" = 0 ]
}

@test "put makes a missing queue unless told otherwise, get does not" {
	run -1 --separate-stderr pqueue put --no-create q x
	[ "$stderr" = "pqueue: there is no queue 'q'" ]
	for verb in get peek join len stat close rm; do
		run -1 --separate-stderr pqueue $verb q
		[ "$stderr" = "pqueue: there is no queue 'q'" ]
	done
	pqueue put q x
	[ "$(pqueue get q)" = x ]
	started pid pqueue get --follow late >out
	wait_for 5 waits $pid
	pqueue put --close late y
	ends 0 $pid
	[ "$(cat out)" = y ]
}

@test "creating a queue twice is told" {
	pqueue create q
	run -1 --separate-stderr pqueue create q
	[ "$stderr" = "pqueue: the queue 'q' exists" ]
}

@test "four producers and four consumers pass each item once, in order for each producer" {
	pqueue create --max 500 q
	for c in 1 2 3 4; do
		started "consumer$c" pqueue get --follow q >"out$c"
	done
	for p in 1 2 3 4; do
		started "producer$p" pqueue put q < <(seq -f "$p %.0f" 10000)
	done
	for p in producer1 producer2 producer3 producer4; do ends 0 "${!p}"; done
	pqueue close q
	for c in consumer1 consumer2 consumer3 consumer4; do ends 0 "${!c}"; done
	sort -k1,1n -k2,2n out? | cmp - <(for p in 1 2 3 4; do seq -f "$p %.0f" 10000; done)
	for c in 1 2 3 4; do
		for p in 1 2 3 4; do
			grep "^$p " "out$c" | sort -c -k2,2n
		done
	done
}

@test "a million lines pass through a pipeline" {
	pqueue create q
	started pid pqueue put --close q < <(seq 1000000)
	pqueue get --follow q | cmp - <(seq 1000000)
	ends 0 $pid
}

@test "putting and getting from pipes makes few system calls" {
	command -v strace >/dev/null || skip "needs strace"
	seq 30000 >lines
	export ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 # that cannot be done while it is traced
	strace -f -c -o puts pqueue put q <lines
	strace -f -c -o gets pqueue get --all q >/dev/null
	[ "$(awk '$NF == "total" { print $(NF - 1) == "total" ? 0 : $4 }' puts)" -lt 400 ]
	[ "$(awk '$NF == "total" { print $(NF - 1) == "total" ? 0 : $4 }' gets)" -lt 400 ]
}

# ---- order, delay, keys

@test "the newest comes first from a stack, the lowest number from a queue by priority" {
	pqueue create --order lifo stack
	seq 5 | pqueue put stack
	[ "$(pqueue get --all stack | paste -sd' ')" = "5 4 3 2 1" ]
	pqueue create --order priority p
	pqueue put --priority 2 p c1 c2
	pqueue put --priority 1 p b1 b2
	pqueue put --priority 2 p c3
	pqueue put p a
	[ "$(pqueue get --all p | paste -sd' ')" = "a b1 b2 c1 c2 c3" ]
}

@test "a delayed item comes when it is due" {
	from=$(now_ms)
	pqueue put --delay 1.5 q late
	[ "$(pqueue len q)" = 0 ]
	[ "$(field q delayed)" = 1 ]
	run -1 pqueue get --nowait q
	[ "$(pqueue get --timeout 5 q)" = late ]
	took "$from" 1500 4000
}

@test "a getter that waits already gets a delayed item in time" {
	pqueue create q
	from=$(now_ms)
	started pid pqueue get --timeout 10 q >out
	wait_for 5 waits $pid
	pqueue put --delay 0.3 q late
	ends 0 $pid
	[ "$(cat out)" = late ]
	took "$from" 300 3000
}

@test "a key is refused while its item lives, or replaces it" {
	pqueue put --key k q one
	run -75 --separate-stderr pqueue put --key k q two
	[[ "$stderr" == *"the key 'k'"* ]]
	pqueue put --key k --replace q three
	pqueue put --key other q four
	[ "$(pqueue get --all q | paste -sd' ')" = "three four" ]
	pqueue put --key k q five
	lease=$(pqueue get --lease 10 q | cut -f1)
	run -75 pqueue put --key k q six
	pqueue ack q "$lease"
	pqueue put --key k q six
}

# ---- leases

@test "a leased item is kept until its ack" {
	pqueue put q a b
	run -0 pqueue get --lease 30 q
	[ "$output" = $'1.1\ta' ]
	[ "$(field q leased)" = 1 ]
	[ "$(pqueue get q)" = b ]
	run -1 pqueue get --nowait q
	pqueue ack q 1.1
	run -1 --separate-stderr pqueue ack q 1.1
	[ "$stderr" = "pqueue: the queue 'q' knows no lease '1.1' (any more)" ]
	[ "$(field q acks)" = 1 ]
}

@test "a nack gives an item back, at its place, at once or later" {
	pqueue put q a b
	pqueue get --lease 30 q
	pqueue nack q 1.1
	run -0 pqueue get --lease 30 q
	[ "$output" = $'1.2\ta' ]
	run -1 pqueue ack q 1.1
	from=$(now_ms)
	pqueue nack --delay 0.3 q 1.2
	[ "$(pqueue get q)" = b ]
	[ "$(pqueue get --timeout 5 q)" = a ]
	took "$from" 300 3000
}

@test "a lease ends when its time is up and the old one is refused" {
	pqueue put q a
	from=$(now_ms)
	pqueue get --lease 0.3 q
	run -0 pqueue get --timeout 5 --lease 30 q
	[ "$output" = $'1.2\ta' ]
	took "$from" 300 3000
	run -1 --separate-stderr pqueue ack q 1.1
	[[ "$stderr" == *"to somebody else"* ]]
	pqueue ack q 1.2
}

@test "a touch extends a lease" {
	pqueue put q a
	pqueue get --lease 1 q
	pqueue touch --lease 30 q 1.1
	run -124 pqueue get --timeout 1.2 q
	pqueue touch q 1.1
	pqueue ack q 1.1
	run -1 pqueue touch q 1.1
}

@test "leases are checked before any is ended" {
	pqueue put q a
	pqueue get --lease 30 q
	for word in 1 1. .1 1.x x 1.0 0.1 1.1.1; do
		run -125 --separate-stderr pqueue ack q 1.1 $word
		[[ "${stderr_lines[0]}" == *"'$word'"* ]]
	done
	run -1 pqueue ack q 7.1 1.1
	[ "$(field q acks)" = 1 ]
}

@test "leases in frames and with other delimiters keep their form" {
	pqueue put q a b
	pqueue get --lease 30 -0 q | cmp - <(printf '1.1\ta\0')
	pqueue get --lease 30 --frames q | cmp - <(printf '\3\0\0\0002.1\1\0\0\0b')
}

@test "join waits for the last ack" {
	pqueue create q
	pqueue join q
	pqueue put q a b
	started pid pqueue join q
	wait_for 5 waits $pid
	[ "$(pqueue get q)" = a ]
	pqueue get --lease 30 q
	run -124 pqueue join --timeout 0.2 q
	[ -e /proc/$pid ]
	pqueue ack q 2.1
	ends 0 $pid
}

# ---- close, rm

@test "a closed queue refuses puts and drains" {
	pqueue put --close q a b
	run -3 --separate-stderr pqueue put q c
	[ "$stderr" = "pqueue: the queue 'q' is closed" ]
	[ "$(pqueue get q)" = a ]
	[ "$(pqueue peek q)" = b ]
	run -3 pqueue get -n 2 q
	[ "$output" = b ]
	run -3 pqueue get q
	run -3 pqueue peek q
	run -0 pqueue get --all q
	run -0 pqueue get --follow q
	[ "$(pqueue list | cut -f1,6)" = $'q\tclosed' ]
}

@test "a close wakes all who wait" {
	pqueue create --max 1 q
	for i in 1 2 3; do started "g$i" pqueue get q; done
	started follower pqueue get --follow q
	for p in g1 g2 g3 follower; do wait_for 5 waits "${!p}"; done
	pqueue close q
	for p in g1 g2 g3; do ends 3 "${!p}"; done
	ends 0 "$follower"
	pqueue put --nowait r x
	pqueue create --max 1 full
	pqueue put full x
	for i in 1 2 3; do started "p$i" pqueue put full y; done
	for p in p1 p2 p3; do wait_for 5 waits "${!p}"; done
	pqueue close full
	for p in p1 p2 p3; do ends 3 "${!p}" 2>/dev/null; done
}

@test "those who get see the end of a closed queue only when nothing can come back" {
	pqueue put --close q a
	pqueue get --lease 30 q
	started pid pqueue get --follow q >out
	wait_for 5 waits $pid
	pqueue nack q 1.1
	ends 0 $pid
	[ "$(cat out)" = a ]
}

@test "close --now drops what is left" {
	pqueue put q a b
	pqueue get --lease 30 q
	pqueue close --now q
	run -3 pqueue get q
	run -1 pqueue ack q 1.1
	pqueue join q
	[ "$(field q ready)" = 0 ]
}

@test "rm removes a queue and ends those who use it" {
	pqueue create q
	started pid pqueue get --follow q
	wait_for 5 waits $pid
	pqueue rm q
	ends 0 $pid
	run -1 pqueue len q
	pqueue put q new
	[ "$(pqueue get q)" = new ]
}

# ---- looking

@test "peek shows what get would take and leaves it" {
	pqueue create q
	run -1 pqueue peek q
	pqueue put q a b
	[ "$(pqueue peek q)" = a ]
	pqueue peek --frames q | cmp - <(printf '\1\0\0\0a')
	[ "$(pqueue len q)" = 2 ]
}

@test "stat tells all there is to know, for eyes and for programs" {
	pqueue create --order priority --max 7 --max-bytes 100 --max-item 50 q
	pqueue put q a bb ccc
	pqueue put --delay 1h q later
	pqueue get --lease 30 q
	[ "$(pqueue get q)" = bb ]
	run -0 pqueue stat --json q
	[ "$(jq -c '[.name,.state,.order,.durability,.ready,.leased,.delayed,.bytes,.puts,.gets,.acks,.max,.max_bytes,.max_item]' <<<"$output")" = \
		'["q","open","priority","none",1,1,1,9,4,2,0,7,100,50]' ]
	jq -e '.puts_per_s > 0 and .gets_per_s > 0 and .gets_per_s < .puts_per_s and .age_s > 0' <<<"$output"
	run -0 pqueue stat q
	[[ "$output" == *$'\nready 1\nleased 1\ndelayed 1\nbytes 9\n'* ]]
}

@test "list names the queues, damaged ones too" {
	[ -z "$(pqueue list)" ]
	pqueue put b x
	pqueue create a
	echo nonsense >run/queues/c
	run -0 pqueue list
	[ "$output" = $'a\t0\t0\t0\t0\topen\nb\t1\t0\t0\t0\topen\nc\t-\t-\t-\t-\tdamaged' ]
}

# ---- what goes wrong

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

@test "output that cannot be written is an error" {
	pqueue put q a
	run -125 --separate-stderr bash -c 'pqueue get q >/dev/full'
	[ "$stderr" = "pqueue: cannot write to standard output: No space left on device" ]
	run -125 --separate-stderr bash -c 'pqueue len q >&-'
	[[ "$stderr" == "pqueue: cannot write to standard output: "* ]]
}

@test "a reader that leaves ends a get without a word" {
	pqueue put q 1 2 3
	started pid pqueue get --follow q > >(head -n 1 >out) 2>err
	wait_for 5 nonempty out
	pqueue put q 4
	wait_for 5 gone $pid
	ends 141 $pid
	[ ! -s err ]
}

@test "a consumer that is killed while it waits harms nobody" {
	pqueue create q
	started dead pqueue get q
	started other pqueue get q >out
	wait_for 5 waits "$dead"
	wait_for 5 waits "$other"
	kill -KILL "$dead"
	ends 137 "$dead"
	pqueue put q x
	ends 0 "$other"
	[ "$(cat out)" = x ]
	pqueue put q y
	[ "$(pqueue get q)" = y ]
}

@test "a producer that is killed in the middle of a large item leaves no part of it" {
	pqueue create --max-bytes 64M q
	head -c 16M /dev/zero | tr '\0' x >big
	for delay in 0.001 0.003 0.005 0.008 0.012 0.016 0.02 0.03; do
		started pid pqueue put --whole q <big
		sleep $delay # a moment somewhere in it
		kill -KILL $pid
		wait $pid || true
		n=$(pqueue len q)
		[ "$n" -le 1 ]
		[ "$n" = 0 ] || pqueue get q | cmp -n 16777216 - big
		pqueue put q after
		[ "$(pqueue get q)" = after ]
	done
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
	took "$from" 200 1500
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
