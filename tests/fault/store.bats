#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sanitizers: no
# A store when its users are killed, the disk is full and the power fails. What the Nth failing operation does is a unit test's;
# `make check-fault` does more rounds of these.

bats_require_minimum_version 1.5.0
load ../cli/support

setup() {
	common_setup
	PATH="$PCORE_BUILD/helpers:$PATH"
	command -v storekill storecut >/dev/null
	rounds=${PCORE_ROUNDS:-1}
}

teardown() { common_teardown; }

# Mounts of its own, which end with the script: own_mounts SCRIPT
own_mounts() {
	need_root
	unshare --mount --propagation private true 2>/dev/null || skip 'needs to mount file systems'
	timeout --foreground -s KILL 120 unshare --mount --propagation private bash -euc "$1"
}

need_ext4() {
	command -v mkfs.ext4 >/dev/null || skip 'needs mkfs.ext4'
	own_mounts 'truncate -s 64M disk; mkfs.ext4 -q -F disk; mkdir -p mnt; mount -o loop disk mnt && storecut cut mnt' ||
		skip 'needs ext4 on a loop device'
}

@test "a store survives the death of any of its users at any moment" {
	# in memory where there is such a place: more happens between two deaths
	scratch=$(mktemp -d /dev/shm/pcore-test.XXXXXX || mktemp -d /tmp/pcore-test.XXXXXX)
	run -0 storekill "$scratch/store" $((40 * rounds))
	[ ! -e "$scratch/store" ]
}

@test "a full disk fails a put and leaves room for what was promised it" {
	own_mounts 'mkdir mnt; mount -t tmpfs -o size=1M tmpfs mnt
		read -r n error < <(storecut fill mnt/store)
		[ "$error" = ENOSPC ]; [ "$n" -gt 500 ]
		[ "$(storecut read mnt/store)" = "$n" ]
		umount mnt'
}

@test "a limit on the size of files fails a put and does not kill" {
	run -0 prlimit --fsize=200000 storecut fill store
	[[ $output == *' EFBIG' ]]
	n=${output% *}
	[ "$n" -gt 100 ]
	run -0 storecut read store
	[ "$output" = "$n" ]
}

@test "what was synced is there after a power cut, and what was not is missing" {
	need_ext4
	for ((i = 0; i < rounds; i++)); do
		own_mounts 'mkfs.ext4 -q -F disk; mount -o loop disk mnt
			[ "$(storecut put mnt/synced always 100)" = 100 ]
			[ "$(storecut put mnt/last last 3000)" = 3000 ]
			[ "$(storecut put mnt/unsynced none 300)" = 300 ]
			storecut cut mnt; umount mnt; mount -o loop disk mnt
			[ "$(storecut read mnt/synced)" = 100 ]
			[ "$(storecut read mnt/last)" = 3000 ]
			n=$(storecut read mnt/unsynced) || n=0
			[ "$n" -lt 300 ]
			umount mnt'
	done
}

@test "a file that was replaced is the new one after a power cut" {
	need_ext4
	own_mounts 'mkfs.ext4 -q -F disk; mount -o loop disk mnt
		(cd mnt && storecut replace file old new)
		storecut cut mnt; umount mnt; mount -o loop disk mnt
		[ "$(cat mnt/file)" = new ]
		umount mnt'
}

@test "a power cut while records are put loses none that was acknowledged" {
	[ -n "${PCORE_ROUNDS-}" ] || skip 'a race with ext4 itself: make check-fault runs it'
	need_ext4
	for ((i = 0; i < rounds; i++)); do
		own_mounts 'mkfs.ext4 -q -F disk; mount -o loop disk mnt
			storecut put mnt/store always 1000000 >acked 2>err &
			n=0
			until grep -aqs LPRC mnt/store/seg-0000000000000001.log || [ $n -gt 500 ]; do sleep 0.01; n=$((n + 1)); done
			sleep 0.$((RANDOM % 5))$((RANDOM % 10))
			before=$(cat acked) # what ext4 says while the power fails is no promise
			storecut cut mnt
			status=0; wait $! || status=$?
			[ "$status" = 1 ] || { echo "put: status $status"; cat err; false; }
			grep -q "^storecut: put: " err
			umount mnt; mount -o loop disk mnt
			n=$(storecut read mnt/store)
			[ "$n" -ge "${before:-0}" ] || { echo "$before acknowledged, $n there"; false; }
			umount mnt'
	done
}
