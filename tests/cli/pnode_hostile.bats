# SPDX-License-Identifier: MIT
# pnode_hostile.bats - what strangers, replays, floods and sudden deaths do to a cluster. Each is something that another cluster
# for ordinary programs, dispy, gets wrong: it opens what strangers send before it checks who they are, takes a secret that was
# seen once for ever, does not see the death of a job for an hour, and leaves the jobs of a dead node running.
# shellcheck shell=bash disable=SC2016,SC2154

load support
load nodes

setup() { nodes_setup; }
teardown() { nodes_teardown; }

# stranger FILE: say this to the node and hear what it answers to the end
stranger() {
	timeout 60 bash -c 'exec 9<>"/dev/tcp/127.0.0.1/$0"; cat >&9; cat <&9 >/dev/null' "$port" <"$1" 2>/dev/null || true
}

@test "a session that was recorded is of no use to who plays it back" {
	serve n
	run -0 cutconn -w said "$port" psubmit map --nodes {} sh -c 'echo >>"$0"' "$TMPDIR/ran" ::: a
	[ "$(wc -l <"$TMPDIR/ran")" = 1 ]
	(($(wc -c <said) > 500))
	stranger said
	stranger said
	wait_for 10 lines_are n.log 2
	[ "$(grep -c '^pnode: 127.0.0.1:[0-9]*: ' n.log)" = 2 ]
	[ "$(wc -l <n.log)" = 2 ]
	[ "$(wc -l <"$TMPDIR/ran")" = 1 ]
	is n .succeeded 1
	run -0 run_jobs echo ::: still
	[ "$output" = still ]
}

@test "a stranger that sends a byte now and then is hung up on in seconds, and disturbs nobody" {
	serve n
	printf '\026\003\001\001\000' >hello # a record of TLS begins so
	bash -c 'exec 9<>"/dev/tcp/127.0.0.1/$0"; cat hello >&9; for i in $(seq 300); do sleep 0.1; printf "\0" >&9 || exit 0; done' "$port" 2>/dev/null 3>&- &
	local slow=$!
	others+=("$slow")
	run -0 run_jobs echo ::: a b
	wait_for 20 log_has n 'the peer has not said hello in time'
	[ "$(wc -l <n.log)" = 1 ]
	wait_for 20 gone "$slow"
	run -0 run_jobs echo ::: a
}

@test "a node that is refused for its name is not connected to again and again" {
	serve n
	local first=$port
	export PCORE_RUNTIME_DIR=$scratch/rt2
	mkdir -m 700 "$PCORE_RUNTIME_DIR"
	mv n.out n1.out
	serve n
	run -0 cutconn -c count "$port" psubmit map --nodes "127.0.0.1:$first" --nodes {} sleep ::: 1
	read -r _ connections <count
	((connections >= 1 && connections < 10))
}

@test "a flood of connections leaves those that are there alone" {
	serve n --cpus 1
	submit sh -c 'touch "$0/begun.$1"; until [ -e "$0/end" ]; do sleep 0.02; done; echo $1' "$TMPDIR" ::: 1 2 3 >out 2>err 3>&- &
	local client=$!
	others+=("$client")
	wait_for 10 exists "$TMPDIR/begun.1"
	bash -c 'trap "" PIPE; for i in $(seq 300); do exec {fd}<>"/dev/tcp/127.0.0.1/$0" || :; printf "%0100d" $i >&$fd || :; done; touch flooded; exec sleep 60' "$port" 2>/dev/null 3>&- &
	others+=($!)
	wait_for 60 exists flooded
	touch "$TMPDIR/end"
	ends 0 "$client"
	[ "$(cat out)" = $'1\n2\n3' ]
	[ ! -s err ]
	(($(wc -l <n.log) <= 100)) # at most five a second
	kill -KILL "${others[-1]}"
}

@test "a node has no door but its sockets: nothing is heard by UDP, on no other port, on no other address" {
	command -v ss >/dev/null || skip 'needs ss'
	serve n
	[ "$(ss -Htulnp 2>/dev/null | grep -c "pid=$pid,")" -le 1 ]
	[ -z "$(ss -Hulnp 2>/dev/null | grep "pid=$pid,")" ]
	[ -z "$(ss -Htlnp 2>/dev/null | grep "pid=$pid," | grep -v "127.0.0.1:$port")" ]
}

@test "the death of a job is known at once, with what it died of" {
	serve n --cpus 2
	from=$(now_ms)
	run -1 run_jobs --log-json json sh -c 'case $0 in exit) exit 3 ;; *) kill -"$0" $$; sleep 77 ;; esac' ::: SEGV KILL exit ABRT
	took "$from" 0 20000
	[ "$(jq -r '[.seq, .signal, .exit] | map(tostring) | join(" ")' json | sort)" = $'1 SIGSEGV null\n2 SIGKILL null\n3 null 3\n4 SIGABRT null' ]
	run -0 run_jobs echo ::: next
}

@test "with a node that is killed its jobs die, so that none runs twice" {
	serve one --cpus 1
	local first=$port victim=$pid
	serve two --cpus 1
	psubmit map --nodes "127.0.0.1:$first,127.0.0.1:$port" sh -c 'echo $$ >>"$0/$PCORE_NODE.$1"; [ $PCORE_NODE = two ] || exec sleep 77; sleep 0.1; echo $1' \
		"$TMPDIR" ::: 1 2 3 4 >out 2>err 3>&- &
	local client=$!
	others+=("$client")
	wait_for 20 on_one
	local job
	job=$(cat "$TMPDIR"/one.*)
	kill -KILL "$victim"
	wait_for 5 gone "$job"
	ends 0 "$client"
	[ "$(cat out)" = $'1\n2\n3\n4' ]
	[ "$(cat "$TMPDIR"/one.* | wc -l)" = 1 ]
	[ "$(cat "$TMPDIR"/two.* | wc -l)" = 4 ]
}
on_one() { compgen -G "$TMPDIR/one.*" >/dev/null && cat "$TMPDIR"/one.* | grep -q .; }

@test "jobs that are over before anybody looks are all done, each once" {
	serve n --cpus 2
	seq 400 >items
	run_jobs -a items echo >out
	cmp out items
	is n .succeeded 400
	is n .failed 0
}
