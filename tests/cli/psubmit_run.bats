# SPDX-License-Identifier: MIT
# psubmit_run.bats - runs over nodes that something happens to: signals, failures, nodes that fall silent, peers of other kinds,
# and too few descriptors.
# shellcheck shell=bash disable=SC2016,SC1083,SC2154

load support
load nodes

setup() { nodes_setup; }
teardown() { nodes_teardown; }

# A job that says when it runs, what it got, and ends when it may: `job DIR N'
make_job() {
	cat >job <<-'SCRIPT'
	#!/bin/sh
	trap 'echo term $2; exit 1' TERM
	trap 'echo int $2; exit 1' INT
	echo start "$2"
	touch "$1/began.$2"
	i=0
	while [ ! -e "$1/end.$2" ] && [ $i -lt 3000 ]; do sleep 0.02; i=$((i + 1)); done
	echo end "$2"
	SCRIPT
	chmod 755 job
}
# begin N ITEMS...: such jobs in the background, N of which begin; $client
begin() {
	local n=$1
	shift
	make_job
	# in the background INT is ignored
	(exec env --default-signal=INT,QUIT,HUP psubmit map --nodes "127.0.0.1:$port" --log log "$scratch/job" "$TMPDIR" {} ::: "$@") >out 2>err 3>&- &
	client=$!
	others+=("$client")
	wait_for 20 began "$n" || { cat err; false; }
}
began() { [ "$(find "$TMPDIR" -maxdepth 1 -name 'began.*' | wc -l)" = "$1" ]; }
end() { touch "${@/#/$TMPDIR/end.}"; }

@test "^C is passed on, what is finished is printed, and what was done is told" {
	serve n --cpus 2
	begin 2 1 2 3 4
	end 1
	wait_for 10 began 3
	kill -INT "$client"
	ends 130 "$client"
	[ "$(cat out)" = $'start 1\nend 1\nstart 2\nint 2\nstart 3\nint 3' ]
	[ "$(cat err)" = 'psubmit: ended by SIGINT: 1 jobs succeeded, 2 failed' ]
	[ "$(sed 1d log | cut -f1)" = 1 ] # the others are for a run that resumes
	is n .running 0
	is n .queued 0
	began 3
}

@test "a second ^C kills what does not care for the first" {
	serve n --cpus 2
	(exec env --default-signal=INT psubmit map --nodes "127.0.0.1:$port" sh -c 'trap "" INT; touch "$0/began.$1"; sleep 77; sleep 77' "$TMPDIR" {} ::: 1 2 3) >out 2>err 3>&- &
	client=$!
	others+=("$client")
	wait_for 20 began 2
	kill -INT "$client"
	wait_for 5 none_pending "$client"
	sleep 0.3 # it goes to the jobs, who ignore it
	is n .running 2
	kill -INT "$client"
	ends 130 "$client"
	[ "$(cat err)" = 'psubmit: ended by SIGINT: 0 jobs succeeded, 2 failed' ]
	wait_for 5 is n .running 0
	began 2
}

@test "HUP starts no more jobs and lets those that run finish" {
	serve n --cpus 1
	begin 1 1 2 3
	kill -HUP "$client"
	wait_for 10 none_pending "$client"
	wait_for 10 is n .queued 0
	end 1 2 3
	ends 129 "$client"
	[ "$(cat err)" = "psubmit: ended by SIGHUP: 1 jobs succeeded, 0 failed" ]
	[ "$(cat out)" = $'start 1\nend 1' ]
	began 1
}

@test "USR1 and USR2 change how many jobs run on all nodes together" {
	serve n --cpus 4
	make_job
	submit -j1 "$scratch/job" "$TMPDIR" {} ::: 1 2 3 4 5 6 >out 2>err 3>&- &
	client=$!
	others+=("$client")
	wait_for 20 began 1
	kill -USR1 "$client"
	wait_for 10 began 2
	kill -USR1 "$client"
	wait_for 10 began 3
	kill -USR2 "$client"
	wait_for 5 none_pending "$client"
	end 1
	wait_for 10 is n .succeeded 1
	end 2
	wait_for 10 began 4 # two of them run
	wait_for 10 is n .running 2
	end 3 4 5 6
	ends 0 "$client"
	[ "$(grep -c end out)" = 6 ]
	[ ! -s err ]
}

@test "of two that share a node the one with the lower --priority comes first" {
	serve n --cpus 1
	begin 1 1
	submit --priority 5 sh -c 'echo late >>"$0/order"' "$TMPDIR" ::: a >out5 2>&1 3>&- &
	others+=($!)
	local late=$!
	wait_for 10 is n .queued 1
	submit --priority -5 sh -c 'echo early >>"$0/order"' "$TMPDIR" ::: a >out6 2>&1 3>&- &
	others+=($!)
	local early=$!
	wait_for 10 is n .queued 2
	end 1
	ends 0 "$client"
	ends 0 "$late"
	ends 0 "$early"
	[ "$(tr '\n' ' ' <"$TMPDIR/order")" = 'early late ' ]
}

@test "--retry tries a failed job again, on whichever node" {
	serve one --cpus 1
	local first=$port
	serve two --cpus 1
	run -0 --separate-stderr psubmit map --nodes "127.0.0.1:$first,127.0.0.1:$port" --retry 2 --retry-delay 10ms --log-json json \
		sh -c 'echo "$1 try $PCORE_ATTEMPT"; [ $PCORE_ATTEMPT = 3 ] || [ $1 = 2 ]' sh ::: 1 2 3
	[ "$output" = $'1 try 3\n2 try 1\n3 try 3' ]
	[ "$(jq -r '.attempts | length' json | sort | tr '\n' ' ')" = '1 3 3 ' ]
	run -1 psubmit map --nodes "127.0.0.1:$first" --retry 1 --retry-delay 10ms --log-json json2 false ::: a
	[ "$(jq -r '.attempts | length' json2)" = 2 ]
}

@test "a node that is silent and comes back in time goes on with its jobs" {
	serve n --cpus 2 --grace 60s
	submit sh -c 'echo $1 >>"$0/ran"; touch "$0/began.$1"; until [ -e "$0/end.$1" ]; do sleep 0.02; done; echo $1' "$TMPDIR" {} ::: 1 2 >out 2>err 3>&- &
	client=$!
	others+=("$client")
	wait_for 20 began 2
	kill -STOP "$pid"
	wait_for 30 grep -q "node 'n' has gone: the peer does not answer any more" err
	end 1 2
	kill -CONT "$pid"
	ends 0 "$client" || { cat err; false; }
	[ "$(cat out)" = $'1\n2' ]
	[ "$(wc -l <"$TMPDIR/ran")" = 2 ] || { cat err; false; }
}

# ---- peers of other kinds

# peer ADDRESS BYTES: a server that says these bytes to all; $peer
peer() {
	# shellcheck disable=SC2059 # they are meant to be read
	printf "$2" >bytes
	: >peer # now: the background is late to do so
	saypeer "$1" bytes >peer 2>&1 3>&- &
	others+=($!)
	wait_for 10 nonempty peer
	peer=$(cat peer)
}

@test "a node of another version is of no use: 76, in one line with both ranges" {
	mkdir -m 700 sockets
	peer unix:sockets/p 'PCOR\007\000\011\000\002\000\000\000\001\002\003\004'
	run -76 psubmit map --nodes "$peer" echo ::: a
	[ "${lines[0]}" = "psubmit: the node '$peer' is of no use: no version in common: one side speaks 1 to 1, the other 7 to 9" ]
	[ "${lines[1]}" = 'psubmit: no node can be reached' ]
	[ "${#lines[@]}" = 2 ]
	run -76 pnode status "$peer"
	[ "$output" = "pnode: cannot ask the node '$peer': no version in common: one side speaks 1 to 1, the other 7 to 9" ]
}

@test "a server of another kind, or one that says nothing, is told in one line and gets no jobs" {
	pnode keygen
	peer tcp 'HTTP/1.0 400 Bad Request\r\n\r\n'
	run -125 psubmit map --nodes "$peer" --wait-nodes 2 echo ::: a
	[ "${lines[0]}" = "psubmit: cannot reach the node '$peer': the peer speaks HTTP; trying again" ]
	[ "${#lines[@]}" = 2 ]
	peer tcp '\377\376garbage\000\001\002'
	run -125 psubmit map --nodes "$peer" --wait-nodes 2 echo ::: a
	[[ "${lines[0]}" == "psubmit: cannot reach the node '$peer': no TLS handshake: "*"; trying again" ]]
	[ "${#lines[@]}" = 2 ]
	peer tcp ''
	run -125 psubmit map --nodes "$peer" --wait-nodes 0.5 echo ::: a
	[ "${lines[-1]}" = 'psubmit: no node can be reached' ]
	run -124 pnode status --timeout 0.5 "$peer"
}

@test "OpenSSL is loaded for TLS, and for nothing else" {
	local watched=(env LD_DEBUG=files LD_DEBUG_OUTPUT="$scratch/loaded")
	serve n
	run -0 "${watched[@]}" psubmit map echo ::: a
	run -0 "${watched[@]}" pnode status n
	run -125 "${watched[@]}" psubmit list --scheduler "unix:$scratch/none" --wait-nodes 0.05
	run -0 grep -l 'libc\.' loaded.*
	run -1 grep -lE 'lib(ssl|crypto)' loaded.*
	run -0 "${watched[@]}" psubmit map --nodes "127.0.0.1:$port" echo ::: a
	run -0 grep -l 'libssl' loaded.*
}

@test "an OpenSSL that is broken is told in one line, and only TLS does without" {
	serve n
	mkdir broken
	seq 1000 >broken/libssl.so.3
	export LD_LIBRARY_PATH=$scratch/broken
	run -0 psubmit map echo ::: a
	[ "$output" = a ]
	run -125 run_jobs echo ::: a
	[ "$output" = "psubmit: cannot load 'libssl.so.3': $scratch/broken/libssl.so.3: invalid ELF header" ]
	run -125 pnode status "127.0.0.1:$port"
	[ "$output" = "pnode: cannot load 'libssl.so.3': $scratch/broken/libssl.so.3: invalid ELF header" ]
	run -125 pnode serve "${as_node[@]}" --name other --listen 127.0.0.1:0
	[ "$output" = "pnode: cannot load 'libssl.so.3': $scratch/broken/libssl.so.3: invalid ELF header" ]
	run -1 pnode check
	[[ "$output" == *"cannot load 'libssl.so.3': "* ]]

	cp "$PCORE_BUILD/helpers/shiftclock.so" broken/libssl.so.3
	run -125 run_jobs echo ::: a
	[[ "$output" == "psubmit: cannot load 'libssl.so.3': $scratch/broken/libssl.so.3: undefined symbol: "* ]]
}

@test "a rogue server that shows a certificate instead of the key gets no jobs" {
	command -v openssl >/dev/null || skip 'needs the openssl command'
	pnode keygen
	openssl req -x509 -newkey ed25519 -nodes -keyout rogue.key -out rogue.pem -subj /CN=n -days 2 2>/dev/null
	openssl s_server -accept 127.0.0.1:0 -tls1_3 -alpn pcore/1 -cert rogue.pem -key rogue.key >server 2>&1 </dev/zero 3>&- &
	others+=($!)
	wait_for 10 grep -q '^ACCEPT' server
	local address
	address=$(sed -n 's/^ACCEPT \(.*\)/\1/p' server)
	run -77 psubmit map --nodes "$address" touch "$TMPDIR/ran" ::: a
	[[ "${lines[0]}" == "psubmit: the node '$address' is of no use: authentication failed: "* ]]
	[ "${#lines[@]}" = 2 ]
	[ ! -e "$TMPDIR/ran" ]
}

# ---- what cannot begin

@test "with too few descriptors for this machine's node there is a message and a status" {
	for n in 6 9 11 13; do
		(ulimit -n $n; exec psubmit map --local=1 echo ::: a) >out 2>err && status=0 || status=$?
		[ "$status" = 125 ] || { echo "$n: $status"; cat err; return 1; }
		grep -q '^psubmit: .*: Too many open files$' err
		[ "$(wc -l <err)" = 1 ]
		[ ! -s out ]
	done
}

@test "a log that is not to be resumed from ends a run that had begun to connect" {
	echo nonsense >log
	run -125 psubmit map --log log --resume echo ::: a
	[ "$output" = "psubmit: cannot resume: line 1 of 'log' is no line of a job log" ]
	serve n
	run -125 run_jobs --log log --resume echo ::: a
	[ "$output" = "psubmit: cannot resume: line 1 of 'log' is no line of a job log" ]
	[ "$(cat log)" = nonsense ]
}
