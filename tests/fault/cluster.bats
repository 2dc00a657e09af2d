# SPDX-License-Identifier: MIT
# cluster.bats - nodes in network namespaces, and networks that lose all packets, both ways or one way.
# shellcheck shell=bash disable=SC2016,SC2154

load ../cli/support

setup() {
	common_setup
	need_root
	command -v ip >/dev/null || skip "needs ip (package iproute2)"
	umask 022
	scratch=$(mktemp -d /tmp/pcore-test.XXXXXX)
	chmod 755 "$scratch"
	cd "$scratch" || return 1
	export PCORE_KEY=$scratch/key TMPDIR=$scratch/tmp
	mkdir -m 1777 "$TMPDIR"
	pnode keygen
	ns=pcore-$$-$BATS_TEST_NUMBER
	pids=()
	made=()
	add_host 0 || skip "needs network namespaces"
}

teardown() {
	local pid name
	for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
	for pid in "${pids[@]}"; do wait_for 5 gone "$pid"; done
	for name in "${made[@]}"; do ip netns del "$name"; done
	common_teardown
}

# add_host N: a namespace $ns-N; that of host 0 is where psubmit runs, and the others have a link to it.
add_host() {
	ip netns add "$ns-$1" || return 1
	made+=("$ns-$1")
	ip -n "$ns-$1" link set lo up
	[ "$1" != 0 ] || return 0
	ip link add "h$1" netns "$ns-0" type veth peer name uplink netns "$ns-$1"
	ip -n "$ns-0" addr add "10.77.$1.1/24" dev "h$1"
	ip -n "$ns-$1" addr add "10.77.$1.2/24" dev uplink
	ip -n "$ns-0" link set "h$1" up
	ip -n "$ns-$1" link set uplink up
}

on() { ip netns exec "$ns-$1" "${@:2}"; } # on N COMMAND...

# serve N OPTIONS...: a node on a host of its own.
serve() {
	local n=$1
	shift
	add_host "$n"
	mkdir -m 700 "rt$n"
	PCORE_RUNTIME_DIR=$scratch/rt$n ip netns exec "$ns-$n" pnode serve --user nobody --name "node$n" --listen "10.77.$n.2:7601" \
		"$@" >"node$n.out" 2>"node$n.log" </dev/null 3>&- &
	pids+=($!)
	wait_for 10 answers "$n"
}
answers() { on 0 pnode status "10.77.$1.2:7601" >/dev/null 2>&1; }
running() { [ "$(PCORE_RUNTIME_DIR=$scratch/rt$1 pnode status --json "node$1" | jq .running)" = "$2" ]; }

# drop N in|out|both, undrop N: what host N gets, or sends, is lost: it goes to an address that no card has.
drop() {
	[ "$2" = out ] || ip -n "$ns-0" neigh replace "10.77.$1.2" lladdr 02:00:00:00:00:77 dev "h$1" nud permanent
	[ "$2" = in ] || ip -n "$ns-$1" neigh replace "10.77.$1.1" lladdr 02:00:00:00:00:77 dev uplink nud permanent
}
undrop() {
	ip -n "$ns-0" neigh del "10.77.$1.2" dev "h$1" 2>/dev/null || true
	ip -n "$ns-$1" neigh del "10.77.$1.1" dev uplink 2>/dev/null || true
}
has_noticed() { grep -q . "node$1.log"; }

# survives_partition WAY: a partition that both sides notice, and that ends in time: nothing is lost, nothing comes twice.
survives_partition() {
	serve 1 --cpus 2 --grace 60s
	ip netns exec "$ns-0" psubmit map --nodes 10.77.1.2:7601 sh -c 'echo $1; until [ $1 = 1 ] || [ -e "$0/go" ]; do sleep 0.05; done; echo $1' \
		"$TMPDIR" ::: 1 2 3 4 5 6 >out 2>err 3>&- &
	pids+=($!)
	wait_for 10 nonempty out
	drop 1 "$1"
	wait_for 20 has_noticed 1
	touch "$TMPDIR/go" # what runs ends while nobody can be told
	undrop 1
	ends 0 "${pids[1]}"
	[ "$(sort out | tr '\n' ' ')" = "1 1 2 2 3 3 4 4 5 5 6 6 " ]
}

@test "a partition both ways that ends in time loses nothing and doubles nothing" {
	survives_partition both
}

@test "a partition one way, from the node, likewise" {
	survives_partition out
}

@test "a node that is cut off ends its jobs by itself after the grace" {
	serve 1 --cpus 1 --grace 1s
	ip netns exec "$ns-0" psubmit map --nodes 10.77.1.2:7601 sh -c 'touch "$0/begun"; exec sleep 77' "$TMPDIR" ::: 1 >out 2>err 3>&- &
	pids+=($!)
	wait_for 10 exists "$TMPDIR/begun"
	drop 1 both
	wait_for 30 running 1 0
}

@test "a job of a node that is cut off for good runs again on another, once" {
	serve 1 --cpus 1 --grace 1s
	serve 2 --cpus 1
	ip netns exec "$ns-0" psubmit map --nodes 10.77.1.2:7601,10.77.2.2:7601 \
		sh -c 'touch "$0/$PCORE_NODE"; [ $PCORE_NODE = node2 ] || sleep 77; echo "$1"' "$TMPDIR" ::: 1 2 3 >out 2>err 3>&- &
	pids+=($!)
	wait_for 10 exists "$TMPDIR/node1"
	drop 1 both
	ends 0 "${pids[2]}" || { cat err; false; }
	[ "$(sort out | tr '\n' ' ')" = "1 2 3 " ]
}

drained() { [ "$(on 0 pnode status --json "10.77.$1.2:7601" | jq -r '[.state, .queued] | join(" ")')" = 'draining 0' ]; }
begun_on() { find "$TMPDIR" -name "begun.node$1.*" | wc -l; }

@test "three machines: from the key to the last file, with one taken out of service and one that dies" {
	local n before
	for n in 1 2 3; do serve $n --cpus 1; done
	mkdir -m 1777 share
	for n in $(seq 24); do seq "$n" 2000 >"share/$n.txt"; done
	touch share/hold
	find "$PWD/share" -name '*.txt' | sort -V >list
	# the first ones do not wait, so that all nodes have begun some
	ip netns exec "$ns-0" psubmit map --nodes 10.77.1.2:7601,10.77.2.2:7601 --nodes 10.77.3.2:7601 -a list --log log --env TMP="$TMPDIR" sh -c '
		touch "$TMP/begun.$PCORE_NODE.$PCORE_SEQ"
		while [ $PCORE_SEQ -gt 6 ] && [ -e "${1%/*}/hold" ]; do sleep 0.02; done
		gzip -c "$1" >"$1.gz" && echo "${1##*/}"' sh >out 2>err 3>&- &
	pids+=($!)
	for n in 1 2 3; do wait_for 30 compgen -G "$TMPDIR/begun.node$n.*"; done
	wait_for 30 gzipped 6
	for n in 1 2 3; do wait_for 30 running $n 1; done
	on 0 pnode drain 10.77.1.2:7601
	wait_for 10 drained 1
	before=$(begun_on 1)
	kill -KILL "${pids[1]}"
	wait_for 20 grep -q "node 'node2' has gone" err
	rm share/hold
	ends 0 "${pids[3]}" || { cat err; false; }
	sed 's|.*/||' list | cmp - out
	while read -r n; do gzip -dc "$n.gz" | cmp - "$n"; done <list
	[ "$(sed 1d log | wc -l)" = 24 ]
	[ "$(begun_on 1)" = "$before" ] # what it had begun, and nothing more
	grep -q 'lost with its node, and run again' err
}
gzipped() { [ "$(find share -name '*.gz' | wc -l)" -ge "$1" ]; }

# scheduler: for many, on host 0, with the nodes of hosts 1 to 3.
scheduler() {
	local n
	mkdir -m 700 rt0
	PCORE_RUNTIME_DIR=$scratch/rt0 ip netns exec "$ns-0" pnode scheduler --user nobody --listen 0.0.0.0:7600 --state "$scratch/state" \
		--nodes 10.77.1.2:7601,10.77.2.2:7601,10.77.3.2:7601 >sched.out 2>sched.log </dev/null 3>&- &
	pids+=($!)
	for n in 1 2 3; do wait_for 20 grep -q "node 'node$n' is there" sched.log; done
}

@test "three machines and a scheduler: a client comes, looks and goes, and another one gets all of it" {
	local n id
	for n in 1 2 3; do serve $n --cpus 1; done
	scheduler
	add_host 4
	add_host 5
	mkdir -m 1777 share
	for n in $(seq 12); do seq "$n" 2000 >"share/$n.txt"; done
	touch share/hold
	find "$PWD/share" -name '*.txt' | sort -V >list
	id=$(on 4 psubmit async --scheduler 10.77.4.1:7600 -a list sh -c '
		echo "begin ${1##*/}"
		while [ $PCORE_SEQ -gt 3 ] && [ -e "${1%/*}/hold" ]; do sleep 0.02; done
		gzip -c "$1" >"$1.gz" && echo "${1##*/}"' sh)
	: >first # the background is late to do so
	ip netns exec "$ns-4" psubmit attach --scheduler 10.77.4.1:7600 "$id" >first 2>first.err 3>&- &
	pids+=($!)
	wait_for 30 lines_are first 7
	for n in 1 2 3; do wait_for 30 running $n 1; done
	kill -KILL "${pids[4]}"
	on 0 pnode drain 10.77.1.2:7601
	wait_for 10 drained 1
	kill -KILL "${pids[1]}"
	wait_for 20 grep -q "node 'node2' has gone" sched.log
	rm share/hold
	on 5 psubmit attach --scheduler 10.77.5.1:7600 "$id" >second 2>second.err || { cat second.err; false; }
	sed 's|.*/\(.*\)|begin \1\n\1|' list | cmp - second
	head -n "$(wc -l <first)" second | cmp - first
	while read -r n; do gzip -dc "$n.gz" | cmp - "$n"; done <list
	[ "$(on 5 psubmit list --scheduler 10.77.5.1:7600 | awk 'NR == 2 { print $1, $2, $3, $4, $5 }')" = "$id done 12 12 0" ]
	on 5 psubmit forget --scheduler 10.77.5.1:7600 "$id"
	run -1 on 4 psubmit get --scheduler 10.77.4.1:7600 "$id"
}
