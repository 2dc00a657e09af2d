# SPDX-License-Identifier: MIT
# pqueue_kinds.bats - what queues in memory and durable ones do alike. pqueue_durable.bats is a link to this file: under that
# name the queues are durable.
# shellcheck shell=bash disable=SC2016,SC2154,SC2030,SC2031,SC2119,SC2120

load support
load queues

setup() {
	common_setup
	export PCORE_RUNTIME_DIR=$PWD/run
	choose_kind
}

teardown() { common_teardown; }

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
	took "$from" 200 5000
	started pid pqueue put q 7
	wait_for 10 waits $pid
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
	took "$from" 200 5000
	started pid pqueue get q >out
	wait_for 10 waits $pid
	pqueue put q x
	ends 0 $pid
	[ "$(cat out)" = x ]
}

@test "waiting costs no CPU" {
	pqueue create q
	started pid pqueue get q
	wait_for 10 waits $pid
	before=$(awk '{ print $14 + $15 }' /proc/$pid/stat)
	run -124 pqueue get --timeout 1.5 q
	[ "$(awk '{ print $14 + $15 }' /proc/$pid/stat)" -le $((before + 1)) ]
	pqueue put q x
	ends 0 $pid
}

@test "get -n waits for each of its items and --all takes what is there" {
	pqueue put q 1 2
	started pid pqueue get -n 3 q >out
	wait_for 10 lines_are out 2
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
	run -125 --separate-stderr pqueue put ./none/q x # not its directory
	[ "$stderr" = "pqueue: cannot create './none/q': No such file or directory" ]
	run -1 --separate-stderr pqueue put --no-create q x
	[ "$stderr" = "pqueue: there is no queue 'q'" ]
	for verb in get peek join len stat close rm; do
		run -1 --separate-stderr pqueue $verb q
		[ "$stderr" = "pqueue: there is no queue 'q'" ]
	done
	pqueue put q x
	[ "$(pqueue get q)" = x ]
	started pid pqueue get --follow late >out
	wait_for 10 waits $pid
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

@test "many lines pass through a pipeline" {
	pqueue create q
	started pid pqueue put --close q < <(seq "$many")
	pqueue get --follow q | cmp - <(seq "$many")
	ends 0 $pid
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
	pqueue put --delay 1h q late
	[ "$(pqueue len q)" = 0 ]
	[ "$(field q delayed)" = 1 ]
	run -1 pqueue get --nowait q
	from=$(now_ms)
	pqueue put --delay 1 q soon
	[ "$(pqueue get --timeout 20 q)" = soon ]
	took "$from" 1000 15000
}

@test "a getter that waits already gets a delayed item in time" {
	pqueue create q
	from=$(now_ms)
	started pid pqueue get --timeout 30 q >out
	wait_for 10 waits $pid
	pqueue put --delay 0.3 q late
	ends 0 $pid
	[ "$(cat out)" = late ]
	took "$from" 300 20000
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
	pqueue nack --delay 1h q 1.2
	[ "$(pqueue get q)" = b ]
	run -1 pqueue get --nowait q
	pqueue put q c
	pqueue get --lease 30 q
	from=$(now_ms)
	pqueue nack --delay 0.3 q 3.1
	[ "$(pqueue get --timeout 20 q)" = c ]
	took "$from" 300 15000
}

@test "a lease ends when its time is up and the old one is refused" {
	pqueue put q a
	from=$(now_ms)
	pqueue get --lease 0.3 q
	run -0 pqueue get --timeout 20 --lease 30 q
	[ "$output" = $'1.2\ta' ]
	took "$from" 300 15000
	run -1 --separate-stderr pqueue ack q 1.1
	[[ "$stderr" == *"to somebody else"* ]]
	pqueue ack q 1.2
}

@test "a touch extends a lease" {
	pqueue put q a
	pqueue get --lease 3 q
	pqueue touch --lease 1m q 1.1
	run -124 pqueue get --timeout 3.2 q
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
	wait_for 10 waits $pid
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
	for p in g1 g2 g3 follower; do wait_for 10 waits "${!p}"; done
	pqueue close q
	for p in g1 g2 g3; do ends 3 "${!p}"; done
	ends 0 "$follower"
	pqueue put --nowait r x
	pqueue create --max 1 full
	pqueue put full x
	for i in 1 2 3; do started "p$i" pqueue put full y; done
	for p in p1 p2 p3; do wait_for 10 waits "${!p}"; done
	pqueue close full
	for p in p1 p2 p3; do ends 3 "${!p}" 2>/dev/null; done
}

@test "those who get see the end of a closed queue only when nothing can come back" {
	pqueue put --close q a
	pqueue get --lease 30 q
	started pid pqueue get --follow q >out
	wait_for 10 waits $pid
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
	wait_for 10 waits $pid
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
		"[\"q\",\"open\",\"priority\",\"$durability\",1,1,1,9,4,2,0,7,100,50]" ]
	jq -e '.puts_per_s > 0 and .gets_per_s > 0 and .gets_per_s < .puts_per_s and .age_s > 0' <<<"$output"
	run -0 pqueue stat q
	[[ "$output" == *$'\nready 1\nleased 1\ndelayed 1\ndead 0\nbytes 9\n'* ]]
}

# ---- what goes wrong

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
	wait_for 10 nonempty out
	pqueue put q 4
	wait_for 10 gone $pid
	ends 141 $pid
	[ ! -s err ]
}

@test "a consumer that is killed while it waits harms nobody" {
	pqueue create q
	started dead pqueue get q
	started other pqueue get q >out
	wait_for 10 waits "$dead"
	wait_for 10 waits "$other"
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
