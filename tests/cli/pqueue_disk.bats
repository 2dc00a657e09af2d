# SPDX-License-Identifier: MIT
# pqueue_disk.bats - durable queues: what is on the disk, what is told of it, and what goes wrong there. That they do all
# else as queues in memory do is tested by pqueue_durable.bats.
# shellcheck shell=bash disable=SC2016,SC2154,SC2030,SC2031,SC2119,SC2120

load support
load queues

setup() {
	common_setup
	export PCORE_RUNTIME_DIR=$PWD/run
	log=d/seg-0000000000000001.log
}

teardown() { common_teardown; }

# damage FILE TEXT: change a byte of the last place where the text is.
damage() {
	local at
	at=$(grep -obUaF "$2" "$1" | tail -n 1 | cut -d: -f1)
	[ -n "$at" ]
	printf '\377' | dd of="$1" bs=1 seek="$at" conv=notrunc status=none
}

@test "a durable queue is a directory that only its owner can read" {
	pqueue create --durable ./d
	[ "$(stat -c %a d)" = 700 ]
	[ -f $log ]
	pqueue put ./d a
	[ "$(pqueue get "$PWD/d")" = a ]
	run -1 --separate-stderr pqueue create --durable ./d
	[ "$stderr" = "pqueue: the queue './d' exists" ]
	run -1 pqueue create ./d
	run -125 pqueue create --durable ./none/d
	run -125 --separate-stderr pqueue create --durable --max-bytes 10 --max-item 11 ./e
	[[ "${stderr_lines[0]}" == *--max-item* ]]
	[ ! -e e ]
	pqueue rm ./d
	[ ! -e d ]
}

@test "put makes a queue in memory, and puts into a durable one that is there" {
	pqueue create --durable ./d
	pqueue put ./d a
	pqueue put ./m a
	[ "$(field ./d durability)" = always ]
	[ "$(field ./m durability)" = none ]
	[ -f m ]
}

@test "a durable queue has no limit but those that are given" {
	pqueue create --durable ./d
	[ "$(pqueue stat --json ./d | jq -c '[.max, .max_bytes, .max_item]')" = "[null,null,67108864]" ]
	[[ "$(pqueue stat ./d)" == *$'\nmax none\nmax_bytes none\n'* ]]
	pqueue create --durable --max 2 --max-bytes 100 ./e
	[ "$(pqueue stat --json ./e | jq -c '[.max, .max_bytes, .max_item]')" = "[2,100,100]" ]
	run -75 pqueue put --nowait ./e a b c
}

@test "stat tells how the queue syncs" {
	pqueue create --durable --sync always ./a
	pqueue create --durable --sync interval=50ms ./i
	pqueue create --durable --sync none ./n
	for q in a i n; do
		seq 1000 | pqueue put ./$q
		[ "$(pqueue get -n 1000 ./$q)" = "$(seq 1000)" ]
	done
	[ "$(field ./a durability) $(field ./i durability) $(field ./n durability)" = "always interval unsynced" ]
}

@test "names can be durable queues, and list shows both kinds" {
	pqueue create --durable disk
	pqueue create memory
	pqueue put disk a
	run -0 pqueue list
	[ "$output" = $'disk\t1\t0\t0\t0\topen\talways\nmemory\t0\t0\t0\t0\topen\tnone' ]
	pqueue rm disk
	[ "$(pqueue list | cut -f1)" = memory ]
}

@test "a lease lasts when nobody has the queue open" {
	pqueue create --durable ./d
	pqueue put ./d a b
	[ "$(pqueue get --lease 1h ./d)" = $'1.1\ta' ]
	[ "$(pqueue get ./d)" = b ]
	run -1 pqueue get --nowait ./d
	pqueue touch --lease 2h ./d 1.1
	pqueue ack ./d 1.1
	[ "$(field ./d acks)" = 1 ]
}

@test "all that is known of items survives those who use the queue" {
	pqueue create --durable --order priority ./d
	pqueue put --priority 2 ./d low
	pqueue put --priority 1 --key k ./d high
	pqueue put --delay 1h ./d late
	[ "$(pqueue get --lease 1h ./d)" = $'2.1\thigh' ]
	pqueue nack ./d 2.1
	run -75 pqueue put --key k ./d other
	[ "$(pqueue get --lease 1h ./d)" = $'2.2\thigh' ]
	pqueue nack --delay 1h ./d 2.2
	run -1 pqueue work --once --attempts 1 ./d false
	pqueue close ./d
	[ "$(pqueue stat --json ./d | jq -c '[.state, .ready, .leased, .delayed, .dead, .puts]')" = '["closed",0,0,2,1,3]' ]
	[ "$(pqueue dead list --items ./d | cut -f1,4,5)" = $'1\texit 1\tlow' ]
	run -3 pqueue put ./d x
}

@test "put --sync always syncs before it returns, with none it does not" {
	command -v strace >/dev/null || skip "needs strace"
	export ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 # that cannot be done while it is traced
	pqueue create --durable --sync always ./a
	pqueue create --durable --sync none ./n
	for q in a n; do
		pqueue put ./$q first
		strace -f -e trace=fdatasync,fsync,io_uring_enter -o trace.$q pqueue put ./$q x
	done
	grep -q fdatasync trace.a
	run -1 grep fdatasync trace.n
}

@test "the torn end of a log is cut off and told, once" {
	pqueue create --durable ./d
	pqueue put ./d first
	pqueue put ./d second-and-last
	damage $log second-and-last
	run -0 --separate-stderr pqueue len ./d
	[ "$output" = 1 ]
	[[ "$stderr" =~ ^"pqueue: the end of the queue './d' was torn by a crash: "[1-9][0-9]*" bytes cut off, 0 whole records among them"$ ]]
	run -0 --separate-stderr pqueue get --all ./d
	[ "$output" = first ]
	[ -z "$stderr" ]
	pqueue put ./d third
	[ "$(pqueue get ./d)" = third ]
}

@test "damage is refused, and repair copies what is whole" {
	pqueue create --durable --max 9 ./d
	pqueue put ./d x y one twotwo three
	pqueue get --lease 1h -n 2 ./d
	pqueue ack ./d 1.1 2.1 # the second record says that all before the first is on disk
	damage $log twotwo
	cp -r d before
	for verb in len get put close stat; do
		run -65 --separate-stderr pqueue $verb ./d </dev/null
		[ "$stderr" = "pqueue: cannot open './d': it is damaged, or no queue (pqueue repair copies what is whole)" ]
	done
	run -0 pqueue repair ./d --copy-to ./copy
	[[ "$output" == $'items 2\n'*$'\nmissing 1\nbad_bytes '[1-9]*$'\nbad_places 1' ]]
	[ "$(pqueue get --all ./copy | paste -sd' ')" = "one three" ]
	[ "$(field ./copy max)" = 9 ]
	run -1 --separate-stderr pqueue repair ./d --copy-to ./copy
	[ "$stderr" = "pqueue: cannot copy to './copy': it exists" ]
	cmp $log before/${log#d/}
	[ "$(pqueue repair --json ./d --copy-to ./again | jq -c '[.items, .missing, .bad_places]')" = "[2,1,1]" ]
	run -65 pqueue rm ./d
	[ -d d ]
	mkdir -m 700 run run/queues
	mv d run/queues/d
	[ "$(pqueue list)" = $'d\t-\t-\t-\t-\tdamaged\t-' ]
	run -65 pqueue rm d
	[ -d run/queues/d ]
}

@test "a directory that is no queue is refused and stays" {
	mkdir none
	echo precious >none/file
	for verb in put get len rm; do
		run -65 pqueue $verb ./none </dev/null
	done
	[ "$(cat none/file)" = precious ]
	pqueue create --durable ./d
	echo precious >d/file
	run -125 --separate-stderr pqueue rm ./d
	[ "$stderr" = "pqueue: cannot remove './d': Directory not empty" ]
	pqueue put ./d a
	[ "$(cat d/file)" = precious ]
}

@test "on a full disk nothing can be put, but items can be taken and acknowledged" {
	need_root
	mkdir small
	mount -t tmpfs -o size=4M none small || skip "needs to mount a tmpfs"
	pqueue create --durable small/q
	head -c 100000 /dev/zero | tr '\0' x >item
	n=0
	while pqueue put --whole small/q <item 2>err; do n=$((n + 1)); done
	lease=$(pqueue get --lease 1h small/q | cut -f1)
	pqueue ack small/q "$lease"
	left=$(pqueue len small/q)
	pqueue get -n "$left" small/q >out
	umount small
	[ "$(cat err)" = "pqueue: cannot put into 'small/q': No space left on device" ]
	[ "$n" -gt 10 ]
	[ "$left" = $((n - 1)) ]
	[ "$(wc -l <out)" = "$left" ]
}

@test "forty processes put at the same time, and each item is there once" {
	pqueue create --durable ./d
	pids=()
	for i in $(seq 40); do
		started pid pqueue put ./d "$i".{1..5}
		pids+=("$pid")
	done
	for pid in "${pids[@]}"; do ends 0 "$pid"; done
	[ "$(pqueue get --all ./d | sort)" = "$(for i in $(seq 40); do printf '%s\n' "$i".{1..5}; done | sort)" ]
}

@test "a put that has returned is there after its process and all others were killed" {
	pqueue create --durable ./d
	for round in 1 2 3 4 5; do
		started pid bash -c 'i=0; while :; do i=$((i + 1)); pqueue put ./d "$0.$i" && echo "$0.$i" >>acknowledged; done' $round
		wait_for 20 grep -q "^$round\.3$" acknowledged
		kill -KILL "$pid"
		ends 137 "$pid" 2>/dev/null
	done
	wait_for 10 leaves_nothing
	pqueue get --all ./d | sort >there
	sort acknowledged | comm -23 - there >lost
	[ ! -s lost ]
	[ "$(uniq -d there | wc -l)" = 0 ]
}
