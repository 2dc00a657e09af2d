#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The tools when an operation fails that hardly ever does: they say so and end, or recover; they never hang, lose
# output without a word, or leave a process. PCORE_BUILD is a build with the fault seam (-DPCORE_FAULTS).

bats_require_minimum_version 1.5.0
load ../cli/support

setup() {
	common_setup
	PATH="$PCORE_BUILD/helpers:$PATH"
	seq 20 >items
}

teardown() { common_teardown; }

# with_fault SPEC TOOL ARG...: a hang is a status of 137.
with_fault() {
	PCORE_FAULT=$1 timeout --foreground -s KILL 10 "${@:2}"
}

# sweep KIND ERRNO TOOL...: fail the 1st, 2nd, 3rd ... operation of a kind. The tool reads `items`; its output must be
# `expected`, or it must say why it is not.
sweep() {
	local kind=$1 error=$2 status nth
	shift 2
	for nth in 1 2 3 5 8 11; do
		status=0
		with_fault "$kind:$nth:$error" "$@" <items >out 2>err || status=$?
		check_outcome "$status" || {
			echo "$kind:$nth:$error $*: status $status"
			cat err
			return 1
		}
	done
}

check_outcome() {
	case $1 in
	0) cmp -s expected out || said_why ;;
	1 | 125 | 126) said_why ;;
	*) false ;;
	esac
}

said_why() { grep -q '^\(prun\|ppool\): ' err; }

@test "the build has the fault seam" {
	run ! with_fault 'nonsense' ppool map true ::: a
}

@test "ppool says that stdout failed and exits 125" {
	run -125 --separate-stderr with_fault write:1+:ENOSPC ppool map echo ::: a b
	[ "$stderr" = "ppool: cannot write to standard output: No space left on device" ]
	[ -z "$output" ]
}

@test "ppool ends with 125 when stdout fails in the middle" {
	run -125 --separate-stderr with_fault write:3+:EIO ppool map -j1 sh -c 'echo $1; sleep 0.05' sh ::: 1 2 3 4 5 6
	[[ $stderr == "ppool: "*"Input/output error" ]]
}

@test "ppool goes on after short writes and short reads" {
	with_fault 'write:1+:short=1,read:1+:short=3' ppool map -j2 echo <items >out
	cmp items out
}

@test "ppool says that its input failed" {
	run -125 --separate-stderr with_fault read:1+:EIO ppool map echo <items
	[[ $stderr == "ppool: "*"Input/output error"* ]]
}

@test "ppool lowers its concurrency when a process cannot be made, and does all items" {
	for error in EAGAIN ENOMEM EMFILE; do
		with_fault "spawn:2:$error" ppool map -j4 echo <items >out
		cmp items out
	done
}

@test "ppool does all items when processes fail to start again and again" {
	with_fault spawn:2:EAGAIN,spawn:4:EAGAIN,spawn:5:EAGAIN,spawn:9:EAGAIN ppool map -j4 echo <items >out
	cmp items out
}

@test "ppool does all items when a pipe cannot be made once" {
	with_fault pipe:3:EMFILE ppool map -j4 echo <items >out
	cmp items out
}

@test "ppool says so and waits when no process can be made, and TERM ends it" {
	run -143 --separate-stderr with_fault spawn:1+:EAGAIN \
		timeout --foreground --preserve-status -s TERM 1 ppool map -j2 echo ::: a b
	[ -z "$output" ]
	[[ $stderr == "ppool: "*"Resource temporarily unavailable"* ]]
}

@test "prun exits 125 and says that it cannot make a process" {
	run -125 with_fault spawn:1:EAGAIN prun true
	[ "$output" = "prun: cannot create a process: Resource temporarily unavailable" ]
	run -125 with_fault spawn:1:ENOMEM prun true
	[[ $output == "prun: "*"Cannot allocate memory" ]]
}

@test "prun tries again when --retry is given and the first start fails" {
	run with_fault spawn:1:EAGAIN prun --retry 1 --retry-delay 0.1 echo hi
	[ "$status" -eq 0 ] || [ "$status" -eq 125 ]
	[[ $output == hi || $output == "prun: "* ]]
}

@test "prun exits 125 and says that it has no pipe for the command's input" {
	run -125 with_fault pipe:1+:EMFILE prun --stdin-data x cat
	[[ $output == "prun: "*"Too many open files" ]]
}

@test "ppool survives or reports every kind of failure" {
	cp items expected
	for kind in read write poll exit timer spawn pipe fsync; do
		sweep "$kind" EIO ppool map -j3 --timeout 8 echo
	done
}

@test "ppool with retries and spill survives or reports every kind of failure" {
	for i in $(seq 20); do yes "$i" | head -n 5000; done >expected
	for kind in read write poll exit timer pipe; do
		sweep "$kind" EIO ppool map -j3 --buffer 16K --retry 1 --retry-delay 0.05 --shell 'yes {} | head -n 5000'
	done
}

@test "a log whose disk fills up half way is told once, has whole lines only, and no output is lost" {
	run -125 --separate-stderr with_fault log:6:ENOSPC ppool map -j1 --log log echo <items
	[ "$output" = "$(cat items)" ]
	[ "$stderr" = "ppool: cannot write to the log 'log': No space left on device; no more is written to it" ]
	[ "$(cut -f 1 log | xargs)" = "Seq 1 2 3 4" ]
	run -0 ppool map --log log --resume echo <items
	[ "$output" = "$(seq 5 20)" ]
}

@test "prun survives or reports every kind of failure" {
	echo hi >expected
	for kind in read write poll exit timer spawn pipe fsync; do
		sweep "$kind" EIO prun --timeout 8 --stdin-data hi$'\n' cat
	done
}

@test "out of memory in the loop ends ppool with a message" {
	cp items expected
	for kind in read poll exit timer; do
		sweep "$kind" ENOMEM ppool map -j2 echo
	done
}

@test "blocks are whole after short reads, writes and splices" {
	with_fault 'write:1+:short=1,read:1+:short=3' ppool map --pipe --block 9 -j2 cat < <(cat items) >out
	cmp items out
	with_fault 'splice:1+:short=2' ppool map --pipe --block 9 -j2 cat <items >out
	cmp items out
}

@test "a block that cannot be passed on fails its job and says so" {
	run -1 --separate-stderr with_fault splice:1:EIO ppool map --pipe --block 30 -j1 cat <items
	[ "$stderr" = "ppool: cannot write the input of a job: Input/output error" ]
	[ "$output" = "$(tail -c +31 items)" ]
}

@test "consumers that cannot be started are done without" {
	run -0 sh -c 'cat items | PCORE_FAULT=spawn:2:EAGAIN ppool map --pipe --round-robin --records 1 -j3 cat 2>err | sort -n | cmp - items'
	grep -q 'running 1 at a time' err
}

@test "when the input fails, whole records that came before are used" {
	local nth
	for nth in 1 2 3 4; do # the first reads may be of something else
		run --separate-stderr sh -c 'printf "a\nb\n" | PCORE_FAULT=read:$1:EIO,read:1+:short=3 ppool map --pipe -j1 --raw cat' sh $nth
		[ "$status" = 125 ] || [ "$output" = $'a\nb' ]
		[ "$status" = 0 ] || [ "$stderr" = "ppool: cannot read standard input: Input/output error" ]
		[ "$output" != a ] || return 0
	done
	false
}

@test "ptimer makes no tick that it cannot record, and says so" {
	local kind
	for kind in fsync:1:EIO fsync:3:ENOSPC; do
		rm -f state
		run -125 --separate-stderr with_fault $kind ptimer every 20ms -n 9 --state state
		[ "${#lines[@]}" = $((${kind:6:1} - 1)) ]
		[[ $stderr == "ptimer: cannot record a tick: "* ]]
	done
	rm -f state
	run -125 --separate-stderr with_fault fsync:1:EIO ptimer every 20ms -n 9 --state state -- touch ran
	[ ! -e ran ]
	for kind in store-sync:1:EIO store-write:1:ENOSPC store-rename:1:EIO store-open:1:EMFILE; do
		run -125 --separate-stderr with_fault $kind ptimer every 20ms -n 9 --state state
		[ -z "$output" ]
		[[ $stderr == "ptimer: cannot open 'state': "* ]]
		[ ! -e state.new ]
	done
}
