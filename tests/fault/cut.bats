# SPDX-License-Identifier: MIT
# cut.bats - connections between psubmit and a node that are cut at any byte: each result comes once, in order, and the run ends
# well. `make check-fault` cuts at every one.
# shellcheck shell=bash disable=SC2016,SC2154

load ../cli/support
load ../cli/nodes

setup() {
	nodes_setup
	serve n --cpus 8 --sandbox none
	socket=unix:rt/nodes/n/socket
	seq 3 >expected
	make_session
}

teardown() { nodes_teardown; }

# session ADDRESS HOW CUTS BYTES: one run whose first connections are cut. What it says is kept if it is not as it should be.
make_session() {
	cat >session <<-'SCRIPT'
	#!/bin/sh
	me=$2.$3.$4
	cutconn -m "$2" -k "$3" -n "$4" -c "$me.count" "$1" psubmit map --nodes {} --wait-nodes 60 \
		sh -c 'echo $0; echo $0 >&2' ::: 1 2 3 >"$me.out" 2>"$me.err" </dev/null
	status=$?
	[ $status = 0 ] && cmp -s "$me.out" expected && exec rm "$me.out" "$me.err" "$me.count"
	echo "$*: status $status"
	cat "$me.out" "$me.err" "$me.count"
	exit 1
	SCRIPT
	chmod +x session
}

# total ADDRESS: how many bytes a session is that nobody cuts.
total() {
	cutconn -c count "$1" psubmit map --nodes {} sh -c 'echo $0; echo $0 >&2' ::: 1 2 3 >out 2>err
	cmp out expected
	[ "$(cut -d' ' -f2 count)" = 1 ]
	total=$(cut -d' ' -f1 count)
	((total > 500))
}

# cuts ADDRESS HOW CUTS N: at N places, evenly from the first byte to the last; in `make check-fault' at each byte, or with TLS,
# where every frame is a record with 17 bytes more, at every third.
cuts() {
	local step=$((total / $4))
	[ -z "${PCORE_ROUNDS-}" ] || case $2$3 in fin1) step=1 ;; rst1) step=3 ;; esac
	[ -z "${PCORE_ROUNDS-}" ] || echo "# $(((total + 20) / step + 1)) cuts of $total bytes ($2, $3)" >&3
	seq 0 "$step" $((total + 20)) | timeout -k 1 1800 ppool map -j8 --unordered ./session "$1" "$2" "$3" {}
}

@test "a connection that is cut at any byte loses nothing and doubles nothing" {
	total "$socket"
	cuts "$socket" fin 1 30
}

@test "one over TLS that is reset likewise" {
	total "$port"
	cuts "$port" rst 1 20
}

@test "three that are cut one after the other likewise" {
	total "$socket"
	cuts "$socket" fin 3 8
}

@test "one that stays and carries nothing any more likewise" {
	total "$port"
	cuts "$port" stall 1 4
}

@test "one that is cut whenever it is made is made again later each time" {
	run -124 timeout 2 cutconn -k 32 -n 400 "$socket" psubmit map --nodes {} sleep ::: 60 # it has room for 32
}
