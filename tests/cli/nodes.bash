# SPDX-License-Identifier: MIT
# nodes.bash - what tests of nodes share: a place, nodes in the background, and what they say of themselves.
# shellcheck shell=bash disable=SC2034,SC2154

# Everything is in a directory that the node's user can enter: as root nodes become nobody.
nodes_setup() {
	common_setup
	umask 022
	PATH="$PCORE_BUILD/helpers:$PATH"
	scratch=$(mktemp -d /tmp/pcore-test.XXXXXX)
	chmod 755 "$scratch"
	cd "$scratch" || return 1
	as_node=()
	[ "$(id -u)" != 0 ] || as_node=(--user nobody)
	export PCORE_RUNTIME_DIR=$scratch/rt PCORE_KEY=$scratch/key TMPDIR=$scratch/tmp
	mkdir -m 700 "$PCORE_RUNTIME_DIR"
	mkdir -m 1777 "$TMPDIR"
	nodes=()
	others=()
}

nodes_teardown() {
	local pid
	for pid in "${others[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
	for pid in "${nodes[@]}"; do kill -CONT "$pid" 2>/dev/null || true; kill "$pid" 2>/dev/null || true; done
	for pid in "${nodes[@]}"; do
		wait_for 10 gone "$pid" || { echo "node $pid does not end"; kill -KILL "$pid"; }
	done
	common_teardown
}

# serve NAME OPTIONS...: a node in the background, with a port; $pid and $port.
serve() {
	local name=$1
	shift
	[ -e "$PCORE_KEY" ] || pnode keygen
	pnode serve "${as_node[@]}" --name "$name" --listen 127.0.0.1:0 "$@" >"$name.out" 2>"$name.log" </dev/null 3>&- &
	pid=$!
	nodes+=("$pid")
	wait_for 10 listening "$name" || { cat "$name.log"; return 1; }
	port=$(sed -n 's/^listening on 127.0.0.1:\([0-9]*\)$/\1/p' "$name.out")
}
listening() { grep -q '^listening on .*:[0-9]' "$1.out" && pnode status "$1" >/dev/null 2>&1; }
told() { pnode status --json "$1" 2>/dev/null | jq -r "$2"; } # told NODE FILTER
is() { [ "$(told "$1" "$2")" = "$3" ]; } # is NODE FILTER VALUE
log_has() { grep -q "$2" "$1.log"; } # log_has NODE REGEX
run_jobs() { psubmit map --nodes "127.0.0.1:$port" "$@"; }
# submit ARGS... &: the same in the background, where $! is psubmit itself.
submit() { exec psubmit map --nodes "127.0.0.1:$port" "$@"; }

# node NAME OPTIONS...: a node on loopback, its address in $address and its pid in $node.
node() {
	local name=$1 user=()
	shift
	[ -e "$PCORE_KEY" ] || pnode keygen "$PCORE_KEY"
	if [ "$(id -u)" = 0 ]; then
		user=(--user nobody)
		chmod 755 . # jobs are somebody else's
		chmod 711 "${BATS_TEST_TMPDIR%/*}" "${BATS_RUN_TMPDIR:-.}"
	fi
	mkdir -p "$name.run" marks && chmod 700 "$name.run" && chmod 777 marks
	mkdir -p "$name.tmp" && chmod 1777 "$name.tmp" # one that is killed leaves its jobs' directories
	PCORE_RUNTIME_DIR=$PWD/$name.run TMPDIR=$PWD/$name.tmp pnode serve "${user[@]}" --name "$name" --listen 127.0.0.1:0 "$@" >"$name.out" 2>"$name.err" </dev/null 3>&- &
	node=$!
	nodes+=("$node")
	wait_for 10 grep -q '^listening on 127' "$name.out" || { cat "$name.err"; return 1; }
	address=$(sed -n 's/^listening on \(127.*\)/\1/p' "$name.out")
}

end_nodes() {
	local pid
	for pid in "${nodes[@]}"; do
		kill -TERM "$pid" 2>/dev/null
		wait "$pid"
	done
}
