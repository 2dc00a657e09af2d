# SPDX-License-Identifier: MIT
# shared.bash - what tests of a scheduler for many share: a place, a scheduler, and nodes that connect to it.
# shellcheck shell=bash disable=SC2034,SC2154

# Everything is in a directory that the scheduler's user can enter: as root it becomes nobody.
shared_setup() {
	common_setup
	umask 022
	scratch=$(mktemp -d /tmp/pcore-test.XXXXXX)
	chmod 755 "$scratch"
	cd "$scratch" || return 1
	as_node=()
	[ "$(id -u)" != 0 ] || as_node=(--user nobody)
	export PCORE_RUNTIME_DIR=$scratch/rt PCORE_KEY=$scratch/key TMPDIR=$scratch/tmp
	mkdir -m 700 "$PCORE_RUNTIME_DIR"
	mkdir -m 1777 "$TMPDIR" marks
	unset PCORE_SCHEDULER
	marks=$scratch/marks
	running=()
}

shared_teardown() {
	local pid
	touch "$marks/go" # for jobs that wait for it
	for pid in "${running[@]}"; do kill "$pid" 2>/dev/null || true; done
	for pid in "${running[@]}"; do
		wait_for 10 gone "$pid" || { echo "process $pid does not end"; kill -KILL "$pid"; }
	done
	common_teardown
}

# scheduler OPTIONS...: in the background, at $port (which stays when it is started again), its pid in $sched; PCORE_SCHEDULER is it.
scheduler() {
	[ -e "$PCORE_KEY" ] || pnode keygen
	: >s.out
	pnode scheduler "${as_node[@]}" --listen "127.0.0.1:${port:-0}" "$@" >s.out 2>>s.log </dev/null 3>&- &
	sched=$!
	running+=("$sched")
	wait_for 10 grep -q '^listening on 127' s.out || { cat s.log; return 1; }
	port=$(sed -n 's/^listening on 127.0.0.1:\([0-9]*\)$/\1/p' s.out)
	export PCORE_SCHEDULER=127.0.0.1:$port
}

# node NAME OPTIONS...: one that connects to the scheduler; its pid in $node.
node() {
	local name=$1
	shift
	pnode serve "${as_node[@]}" --name "$name" --scheduler "127.0.0.1:$port" --sandbox none "$@" >"$name.out" 2>"$name.log" </dev/null 3>&- &
	node=$!
	running+=("$node")
	wait_for 10 there "$name" || { cat "$name.log"; return 1; }
}
there() { psubmit nodes | grep -q "^$1 *serving"; }
