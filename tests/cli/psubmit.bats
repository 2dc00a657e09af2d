# SPDX-License-Identifier: MIT
# psubmit.bats - psubmit as its manual page describes it: on this machine, and on nodes over TLS.
# shellcheck shell=bash disable=SC2016,SC1083,SC2154,SC2119,SC2120,SC2030,SC2031

load support
load nodes

setup() {
	common_setup
	make_args
	nodes=()
	export PCORE_RUNTIME_DIR=$BATS_TEST_TMPDIR/run PCORE_KEY=$BATS_TEST_TMPDIR/key
}

teardown() {
	end_nodes
	common_teardown
}

# ---- usage

@test "psubmit --help goes to stdout and exits 0" {
	run -0 --separate-stderr psubmit --help
	[[ "$output" == "usage: psubmit map "* ]]
	[ -z "$stderr" ]
	run -0 psubmit map --help
	run -0 psubmit --version
	[[ "$output" == "psubmit (pcore) "[0-9]* ]]
}

@test "psubmit without a verb, or with an unknown one, is a usage error" {
	run -125 psubmit
	[[ "$output" == *"no verb given"*"try 'psubmit --help'"* ]]
	run -125 psubmit frob
	[[ "$output" == *"unknown verb 'frob'"* ]]
	run -125 psubmit map
	[[ "$output" == *"no command given"* ]]
}

@test "bad values of psubmit's options are named" {
	local word
	for word in --local=0 --local=x --cpus=0 --cpus=65536 --memory=x --memory=0 --resource=gpu=0 --resource==2 --resource= --label=disk --label==x --label= --label=a=b,c --nodes= '--nodes=,' \
		--priority=x --retry-lost=256 --retry-lost=-1 --wait-nodes=x --max-output=x --max-output=0; do
		run -125 psubmit map "$word" true ::: a
		[[ "$output" == "psubmit: "*"${word%%=*}"* ]]
	done
	run -125 psubmit map --nodes ./none true ::: a
	[ "$output" = "psubmit: cannot open './none': No such file or directory" ]
	printf '# none\n' >list
	run -125 psubmit map --nodes ./list true ::: a
	[[ "${lines[0]}" == "psubmit: invalid value './list' for '--nodes': there is no address in it" ]]
	run -125 psubmit map --nodes nonsense true ::: a
	[[ "$output" == *"'nonsense' is not the address of a node"* ]]
	run -125 psubmit map --tls-cert x true ::: a
	[[ "$output" == *"--tls-cert, --tls-key and --tls-ca go together"* ]]
}

@test "what cannot be done elsewhere is refused" {
	run -125 psubmit map --raw true ::: a
	[[ "$output" == *"--raw does not go with psubmit"* ]]
}

# ---- this machine

@test "without nodes this machine is one: outputs come in the order of the items" {
	run -0 psubmit map --local=4 sh -c 'while [ -e hold.$1 ]; do sleep 0.02; done; rm -f hold.$((3 - $1)); echo $1' sh ::: 1 2
	[ "$output" = $'1\n2' ]
	seq 2000 | psubmit map echo n >out
	seq 2000 | sed 's/^/n /' | cmp - out
}

@test "placeholders, columns and several items a job are ppool's" {
	local o
	printf 'a b,c\nd,e.f\n' >in
	for o in 'map args x{}y {#}' 'map args {.} {/} --' 'map --csv args {2} {1}' 'map -n2 args {} - z{}' 'map -n2 args {} {}' 'map --fill args' \
		'map --shell echo {}' 'starmap --colsep , args' 'map --csv --header args {d}'; do
		# shellcheck disable=SC2086
		ppool $o <in >expected 2>&1 && rc=0 || rc=$?
		# shellcheck disable=SC2086
		psubmit $o <in >got 2>&1 && rc2=0 || rc2=$?
		[ "$rc" = "$rc2" ]
		diff <(sed s/^ppool/psubmit/ expected) got
	done
	run -0 psubmit map args {2}{1} {#} ::: a b ::: c d
	[ "$output" = "$(ppool map args {2}{1} {#} ::: a b ::: c d)" ]
}

@test "a job has the caller's directory, environment and umask, and its own numbers" {
	umask 027
	export OURS=yes
	run -0 psubmit map --local=1 sh -c 'pwd; umask; echo $OURS $PCORE_SEQ {#} $PCORE_SLOT {%} $PCORE_ATTEMPT; [ -n "$PCORE_NODE" ]' ::: a
	[ "$output" = "$PWD"$'\n0027\nyes 1 1 1 1 1' ]
}

@test "job options are heeded by the node" {
	mkdir d
	run -0 psubmit map --chdir d --env A=1 --env A=2 --unset HOME --umask 077 --limit nofile=33 --nice 3 \
		sh -c 'pwd; echo $A,$HOME; umask; ulimit -n; nice' ::: a
	[ "$output" = "$PWD/d"$'\n2,\n0077\n33\n'"$(($(nice) + 3))" ]
	run -0 psubmit map --clean-env --env B=3 /usr/bin/env ::: B=3
	[[ "$output" == *B=3* && "$output" != *PATH=* ]]
}

@test "the exit status says whether jobs failed" {
	run -1 psubmit map sh -c 'exit {}' ::: 0 1 0
	run -0 psubmit map sh -c 'exit {}' ::: 0 0
	run -0 psubmit map false </dev/null
	run -3 psubmit map --local=1 --fail-fast sh -c 'exit {}' ::: 0 3 0
	run -1 psubmit map sh -c 'kill -KILL $$' ::: a
	run -127 psubmit map no-such-command ::: a
	[ "$output" = "psubmit: cannot run 'no-such-command': No such file or directory" ]
	run -126 psubmit map /dev/null ::: a
}

@test "failed jobs are tried again, and time limits end jobs" {
	run -0 psubmit map --retry 2 sh -c 'echo try $PCORE_ATTEMPT; [ $PCORE_ATTEMPT = 3 ]' ::: a
	[ "$output" = "try 3" ]
	run -1 psubmit map --timeout 0.1 --log-json log sh -c 'exec sleep 60' ::: a
	grep -q '"timed_out":true' log
}

@test "the log has each job with its node, and a run is resumed from it" {
	run -1 psubmit map --log log --log-json json sh -c 'echo x; exit {}' ::: 0 1 0
	[ "$(awk -F'\t' '$2 == ":" || $2 == ""' log)" = "" ]
	[ "$(wc -l <log)" = 4 ]
	[ "$(grep -c '"node":"' json)" = 3 ]
	run -0 psubmit map --log log --resume sh -c 'echo x; exit {}' ::: 0 1 0
	[ -z "$output" ]
	run -1 psubmit map --log log --resume-failed sh -c 'echo x; exit {}' ::: 0 1 0
	[ "$output" = x ]
}

@test "--on-error runs its command here" {
	run -1 psubmit map --on-error 'echo "failed $1" >>told' sh -c 'exit $0' ::: 0 3
	[ "$(cat told)" = 'failed 3' ]
}

@test "--tag, --dry-run, --unordered, --live and --results work as with ppool" {
	run -0 psubmit map --tag echo x ::: a
	[ "$output" = $'a\tx a' ]
	run -0 psubmit map --dry-run rm -r {} {%} ::: 'a b'
	[ "$output" = "rm -r 'a b' 1" ]
	run -0 psubmit map --unordered echo ::: a
	run -0 psubmit map --live echo ::: a
	[ "$output" = a ]
	run -0 psubmit map --results r echo ::: a b
	[ "$(cat r/2/stdout)" = b ]
}

@test "a large output passes through a small buffer, whole" {
	psubmit map --local=2 --buffer 64K sh -c 'yes {} | head -c 33554432' ::: a b | (sleep 0.2; cksum) >got
	(yes a | head -c 33554432; yes b | head -c 33554432) | cksum >expected
	cmp got expected
}

@test "errors of the reader end the run" {
	psubmit map yes ::: a 2>err | head -n1 >out
	[ "$(cat out)" = a ]
	run -125 --separate-stderr bash -c 'psubmit map echo ::: a >/dev/full'
	[[ "$stderr" == "psubmit: cannot write to standard output: No space left on device" ]]
}

@test "more than --max-output is cut, and that is said" {
	run -0 --separate-stderr psubmit map --max-output 4 printf '123456%s' ::: a
	[ "$output" = 1234 ]
	[ "$stderr" = "psubmit: job 1 wrote more than --max-output; the rest is cut" ]
}

@test "TERM ends what runs, and what was not begun is not in the log" {
	psubmit map --local=1 --log log --log-json json sh -c 'touch began.$1; exec sleep 60' sh ::: 1 2 3 </dev/null 3>&- &
	wait_for 10 exists began.1
	kill -TERM $!
	ends 143 $!
	[ ! -e began.2 ]
	[ "$(wc -l <log)" = 1 ]
	[ "$(wc -l <json)" = 1 ]
}

@test "a job that no node can run is told, with numbers, and waits" {
	psubmit map --cpus 9999 true ::: a </dev/null >out 2>err 3>&- &
	wait_for 10 nonempty err
	grep -q '^psubmit: no node can run job 1: of 1 nodes 1 have too few CPUs' err
	kill -TERM $!
	ends 143 $!
}

# ---- nodes

@test "a node that is not there is named at once, and none at all ends the run" {
	pnode keygen "$PCORE_KEY"
	run -125 psubmit map --nodes 127.0.0.1:1 --wait-nodes 0.3 true ::: a
	[ "${lines[0]}" = "psubmit: cannot reach the node '127.0.0.1:1': Connection refused; trying again" ]
	[ "${lines[1]}" = "psubmit: no node can be reached" ]
	rm "$PCORE_KEY"
	run -77 psubmit map --nodes 127.0.0.1:1 true ::: a
	[[ "$output" == "psubmit: cannot use the key file '$PCORE_KEY': "* ]]
}

@test "jobs run on two nodes over TLS, in directories of their own" {
	node one --cpus 1
	a=$address
	node two --cpus 1
	printf '%s # the first\n\n%s\n' "$a" "$address" >list
	# the first jobs wait until both nodes have one
	seq 300 | psubmit map --nodes ./list --log log --env MARKS="$PWD/marks" sh -c '
		touch "$MARKS/$PCORE_NODE"
		until [ -e "$MARKS/one" ] && [ -e "$MARKS/two" ]; do sleep 0.02; done
		echo $1; touch here; ls' sh >out
	seq 300 | sed 's/$/\nhere/' | cmp - out
	[ "$(cut -f2 log | sort -u | grep -c -e '^one$' -e '^two$')" = 2 ]
	run -0 psubmit map --nodes "$a" --node one --env X=1 sh -c 'echo $PCORE_NODE $X' ::: a
	[ "$output" = "one 1" ]
}

@test "resources and labels decide where a job runs, and it is told what it has" {
	node one --cpus 2 --resource 'gpu=[a,b]' --label disk=ssd
	run -0 psubmit map --nodes "$address" --resource gpu=2 --label disk=ssd,disk!=hdd sh -c 'echo $CUDA_VISIBLE_DEVICES $PCORE_RESOURCE_GPU' ::: 1 2
	[ "$output" = $'a,b a,b\na,b a,b' ]
}

@test "another key is refused at once, with status 77" {
	node one
	pnode keygen other
	PCORE_KEY=other run -77 psubmit map --nodes "$address" true ::: a
	[[ "${lines[0]}" == "psubmit: the node '$address' is of no use: authentication failed"* ]]
}

@test "jobs of a node that dies run on another, and their output comes once" {
	node one --cpus 2
	a=$address victim=$node
	node two --cpus 1
	psubmit map --nodes "$a,$address" --env MARKS="$PWD/marks" sh -c 'echo {}; touch "$MARKS/$PCORE_NODE"
		[ $PCORE_NODE = two ] || exec sleep 60; until [ -e "$MARKS/one" ]; do sleep 0.02; done' \
		::: $(seq 20) >out 2>err </dev/null 3>&- &
	wait_for 10 exists marks/one
	kill -KILL "$victim"
	ends 0 $! || { cat err out; false; }
	seq 20 | cmp - out
	grep -q "node 'one' has gone" err
	grep -q 'lost with its node, and run again' err
}

@test "--at-most-once: a job that is lost has failed" {
	node one --cpus 1
	psubmit map --at-most-once --nodes "$address" sh -c 'touch '"$PWD"'/marks/began; exec sleep 60' ::: a >out 2>err </dev/null 3>&- &
	wait_for 10 exists marks/began || { cat err; false; }
	kill -KILL "$node"
	ends 1 $! || { cat err; false; }
	grep -q 'job 1 was lost with its node, and not run again' err
}
