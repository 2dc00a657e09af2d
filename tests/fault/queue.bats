#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sanitizers: no
# A durable queue when its users are killed and the disk is full. What the Nth failing operation does is a unit test's;
# `make check-fault` kills more.

bats_require_minimum_version 1.5.0
load ../cli/support

setup() {
	common_setup
	PATH="$PCORE_BUILD/helpers:$PATH"
	command -v queuekill queuefill >/dev/null
	kills=$((70 * ${PCORE_ROUNDS:-1}))
	# in memory where there is such a place: more happens between two deaths
	scratch=$(mktemp -d /dev/shm/pcore-test.XXXXXX || mktemp -d /tmp/pcore-test.XXXXXX)
}

teardown() {
	rm -rf "${scratch:?}"
	common_teardown
}

@test "a durable queue survives the death of any of its users at any moment" {
	run -0 queuekill "$scratch/queue" "$kills" fifo take
	[ ! -e "$scratch/queue" ]
	run -0 queuekill "$scratch/queue" "$kills" fifo lease
}

@test "a durable stack survives the death of any of its users at any moment" {
	run -0 queuekill "$scratch/queue" "$kills" lifo lease
}

@test "a durable queue by priority survives the death of any of its users at any moment" {
	run -0 queuekill "$scratch/queue" "$kills" priority lease
}

@test "a full disk fails a put, and all that is in the durable queue can be acknowledged" {
	need_root
	unshare --mount --propagation private true 2>/dev/null || skip 'needs to mount file systems'
	run -0 timeout --foreground -s KILL 120 unshare --mount --propagation private bash -euc '
		mkdir mnt; mount -t tmpfs -o size=4M tmpfs mnt
		queuefill mnt/queue
		umount mnt'
	[[ $output == *' ENOSPC' ]]
	[ "${output% *}" -gt 3000 ]
}

@test "a limit on the size of files fails a put to a durable queue and does not kill" {
	run -0 prlimit --fsize=1000000 queuefill queue
	[[ $output == *' EFBIG' ]]
	[ "${output% *}" -gt 3000 ]
}
