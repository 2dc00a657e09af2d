#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sanitizers: no
# The users of a ring killed at random moments: nothing torn, nothing lost, nobody stuck. `make check-fault` does the same
# some ten thousand times.

bats_require_minimum_version 1.5.0
load ../cli/support

setup() {
	common_setup
	PATH="$PCORE_BUILD/helpers:$PATH"
}

teardown() { common_teardown; }

@test "a queue survives the death of any of its users at any moment" {
	run -0 ringkill ./ring 100 fifo 3 take
	run -0 ringkill ./ring 100 fifo 1000 lease
}

@test "a stack survives the death of any of its users at any moment" {
	run -0 ringkill ./ring 100 lifo 40 lease
}

@test "a queue by priority survives the death of any of its users at any moment" {
	run -0 ringkill ./ring 100 priority 40 take
}

@test "pqueue says that there is no room for a queue" {
	export PCORE_RUNTIME_DIR=$PWD/run
	PCORE_FAULT=fallocate:1:ENOSPC run -125 pqueue create q
	[ "$output" = "pqueue: cannot create 'q': No space left on device" ]
	run -1 pqueue len q
	PCORE_FAULT=write:1:EIO run -125 pqueue put --ids q x
	[ "$output" = "pqueue: cannot write to standard output: Input/output error" ]
	[ "$(pqueue get q)" = x ]
}
