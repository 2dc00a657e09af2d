#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# pqueue when the disk under a durable queue fails. PCORE_BUILD is a build with the fault seam (-DPCORE_FAULTS).

bats_require_minimum_version 1.5.0
load ../cli/support
load ../cli/queues

setup() {
	common_setup
	export PCORE_RUNTIME_DIR=$PWD/run
}

teardown() { common_teardown; }

@test "a put whose sync fails says so, and the next one to open the queue finds what is there" {
	pqueue create --durable ./d
	pqueue put ./d a
	PCORE_FAULT=store-sync:1:EIO run -125 --separate-stderr pqueue put ./d b
	[ "$stderr" = "pqueue: cannot put into './d': Input/output error" ]
	pqueue put ./d c
	[ "$(pqueue get ./d)" = a ]
}

@test "when a sync has failed, everybody who has the queue open is told" {
	pqueue create --durable ./d
	started pid pqueue get --follow ./d 2>err
	wait_for 10 waits $pid
	kill -STOP $pid # it could sync what is put before the one that puts it does
	wait_for 10 state_is $pid T
	PCORE_FAULT=store-sync:1:EIO run -125 pqueue put ./d a
	kill -CONT $pid
	ends 125 $pid
	[ "$(cat err)" = "pqueue: cannot get from './d': a sync to its disk has failed; what is there is known when all have closed it" ]
}

@test "work stops when a sync has failed" {
	pqueue create --durable ./d
	pqueue put ./d a b
	PCORE_FAULT=store-sync:1:EIO run -125 --separate-stderr pqueue work -j 1 ./d echo {}
	[ "$output" = a ]
	[ "$stderr" = "pqueue: cannot use './d': Input/output error" ]
}

@test "a queue that cannot be made leaves nothing" {
	PCORE_FAULT=store-sync:1:EIO run -125 --separate-stderr pqueue create --durable ./d
	[ "$stderr" = "pqueue: cannot create './d': Input/output error" ]
	[ -z "$(ls -d d* 2>/dev/null)" ]
}
