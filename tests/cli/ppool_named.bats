# SPDX-License-Identifier: MIT
# ppool_named.bats - named pools: what a server keeps, and what its clients get.
# shellcheck shell=bash disable=SC2016,SC2154

load support

setup() {
	common_setup
	export PCORE_RUNTIME_DIR=$BATS_TEST_TMPDIR/rt
	PATH="$PCORE_BUILD/helpers:$PATH"
}

teardown() {
	local dir
	[ ! -d "$PCORE_RUNTIME_DIR/pools" ] || chmod -R go= "$PCORE_RUNTIME_DIR"
	for dir in "$PCORE_RUNTIME_DIR"/pools/*/; do
		[ ! -d "$dir" ] || timeout 10 ppool terminate "$(basename "$dir")" 2>/dev/null || true
	done
	common_teardown
}

until_file() { printf 'while [ ! -e %s ]; do sleep 0.02; done' "$1"; }
job() { ppool list --json "$1" | jq -c "select(.id == $2) | $3"; } # job NAME ID FILTER
has_state() { [ "$(job "$1" "$2" .state)" = "\"$3\"" ]; }
server() { ppool list --json | jq "select(.name == \"$1\") | .pid"; }
pool_is() { [ "$(ppool list --json | jq -r "select(.name == \"$1\") | $2")" = "$3" ]; } # pool_is NAME FILTER VALUE
is_idle() { pool_is "$1" '.queued + .running' 0; }
has_clients() { [ "$(find "/proc/$1/fd" -lname 'socket:*' | wc -l)" -eq $(($2 + 1)) ]; } # has_clients SERVER N

# ---- open

@test "open returns once apply works, prints nothing and lets go of what its caller has" {
	run -0 timeout 10 bash -c 'exec 8>lockfile; flock 8; ppool open -j2 p | cat'
	[ -z "$output" ]
	run -0 flock -n lockfile true
	run -0 ppool apply p echo yes
	[ "$output" = yes ]
	run -0 ps -o tty= -p "$(server p)"
	[ "$output" = '?' ]
}

@test "a name that is in use is 75, and its pool goes on" {
	ppool open p
	run -75 --separate-stderr ppool open p
	[ "$stderr" = "ppool: there is a pool 'p' already" ]
	run -0 ppool apply p true
}

@test "names and numbers of options are checked" {
	for name in '' .p p/q "$(printf 'x%.0s' {1..65})"; do
		run -125 --separate-stderr ppool open -- "$name"
		[ -n "$stderr" ]
		run -125 ppool apply -- "$name" true
	done
	refuses ppool open -- -j 0 x 1.5 -1 99999999999
	refuses ppool open -- --queue 0 x -1 99999999999
	refuses ppool open -- --keep 0 x -1
	refuses ppool open -- --idle-timeout x -1 1y
	run -125 --separate-stderr ppool open
	[ "${stderr_lines[0]}" = "ppool: no name given: ppool open NAME" ]
	run -125 ppool open a b
	[ ! -e rt/pools/a ]
}

@test "bad values of the clients' options are refused before anything is asked" {
	refuses ppool apply -- --timeout x -1
	refuses ppool async -- --retry x -1
	refuses ppool get -- --timeout x -1
	refuses ppool wait -- --timeout x -1
	run -125 ppool async p -d xx -a /dev/null true
	run -125 ppool async p -0 true
	run -125 ppool wait p --any --all
	run -125 ppool wait p 0
	run -125 ppool get p one
	run -125 ppool get p
	run -125 ppool ready p
	run -125 ppool ready p 1 2
	run -125 ppool cancel p
	run -125 ppool pause
	run -125 ppool pause p q
	run -125 ppool after p -- true
	run -125 ppool after p 1 true
	run -125 ppool apply p
	run -125 ppool apply p ''
	for jobs in 0 x 99999999 -1; do
		run -125 ppool resize p -- "$jobs"
	done
}

@test "a pool that is not there is 1 for every verb that needs one" {
	for verb in 'apply p true' 'async p true' 'after p 1 -- true' 'get p 1' 'ready p 1' 'wait p' 'list p' 'cancel p 1' 'resize p 1' \
		'pause p' 'resume p' 'close p' 'terminate p' 'join p'; do
		# shellcheck disable=SC2086
		run -1 --separate-stderr ppool $verb
		[ "$stderr" = "ppool: there is no pool 'p'" ]
	done
	run -0 ppool list --json
	[ -z "$output" ]
}

@test "what a dead pool has left is swept" {
	ppool open p
	kill -KILL "$(server p)"
	wait_for 5 ppool open p
	run -0 ppool apply p echo again
	[ "$output" = again ]
}

@test "a directory that is no pool's is not followed" {
	mkdir -m 700 rt rt/pools other
	ln -s "$PWD/other" rt/pools/p
	run -125 --separate-stderr ppool open p
	[[ $stderr == *"cannot make"* ]]
	run -1 ppool apply p true
	rm rt/pools/p
}

@test "a runtime directory that others may enter is refused" {
	mkdir -m 755 rt
	run -125 --separate-stderr ppool open p
	[[ $stderr == *"will not use the runtime directory"* ]]
	run -125 ppool apply p true
	chmod 700 rt
}

@test "the length of a path is no limit" {
	PCORE_RUNTIME_DIR=$BATS_TEST_TMPDIR/$(printf 'x%.0s' {1..200})
	ppool open p
	run -0 ppool apply p echo far
	[ "$output" = far ]
	ppool terminate p
}

# ---- apply

@test "apply passes on output, error and status of its job" {
	ppool open p
	run -7 --separate-stderr ppool apply p sh -c 'echo out; echo err >&2; exit 7'
	[ "$output" = out ]
	[ "$stderr" = err ]
	run -143 ppool apply p sh -c 'kill -TERM $$'
	run -0 ppool apply p head -c 3000000 /dev/zero
	ppool apply p head -c 3000000 /dev/zero | cmp - <(head -c 3000000 /dev/zero)
}

@test "a job has its client's directory, umask, environment and arguments, and /dev/null to read" {
	ppool open p
	mkdir 'a dir'
	cd 'a dir'
	umask 027
	A=1 PCORE_SEQ=77 run -0 ppool apply p sh -c 'pwd; umask; echo $A $PCORE_SEQ $PCORE_SLOT $PCORE_ATTEMPT; cat; printf "[%s]" "$@"' sh 'x  y' '' $'\n'
	[ "$output" = "$BATS_TEST_TMPDIR/a dir"$'\n0027\n1 1 1 1\n[x  y][][\n]' ]
	run -0 ppool apply --chdir .. --env B=2 --unset HOME --umask 077 p sh -c 'pwd; umask; echo $B ${HOME-none}'
	[ "$output" = "$BATS_TEST_TMPDIR"$'\n0077\n2 none' ]
	run -0 ppool apply p --clean-env --env X=1 /usr/bin/env
	[ "$(grep -c . <<<"$output")" = 4 ]
	run -0 ppool apply --chdir / p pwd
	[ "$output" = / ]
}

@test "a command that is missing is 127, one that cannot run 126, a missing directory 125" {
	ppool open p
	run -127 --separate-stderr ppool apply p no-such-command
	[ "$stderr" = "ppool: cannot run 'no-such-command': No such file or directory" ]
	run -126 --separate-stderr ppool apply p /
	[ "$stderr" = "ppool: cannot run '/': Permission denied" ]
	run -125 --separate-stderr ppool apply --chdir nowhere p true
	[ "$stderr" = "ppool: cannot change directory to '$PWD/nowhere': No such file or directory" ]
	id=$(ppool async p no-such-command)
	run -127 --separate-stderr ppool get p "$id"
	[ "$stderr" = "ppool: cannot run 'no-such-command': No such file or directory" ]
}

@test "the output of an applied job comes as it is written" {
	ppool open p
	ppool apply p sh -c "echo first; $(until_file go); echo second" >out 3>&- &
	wait_for 5 nonempty out
	[ "$(cat out)" = first ]
	touch go
	ends 0 $!
	[ "$(cat out)" = $'first\nsecond' ]
}

@test "a slow reader holds its own job back and nobody else, within bounded memory" {
	ppool open -j2 p
	mkfifo slow
	ppool apply p head -c 50000000 /dev/zero >slow 3>&- &
	exec 7<slow
	head -c 1 <&7 >/dev/null
	for _ in 1 2 3 4 5; do
		run -0 ppool apply p echo on
		[ "$output" = on ]
	done
	[ "${PCORE_VARIANT-release}" != release ] || [ "$(awk '/^RssAnon/ { print $2 }' "/proc/$(server p)/status")" -lt 4096 ]
	[ "$(wc -c <&7)" -ge 49900000 ]
	exec 7<&-
	ends 0 $!
}

@test "INT, TERM and HUP end an applied job, and its client then dies of the signal" {
	ppool open -j2 p
	for sig in INT TERM HUP; do
		rm -f started ended
		# in the background INT is ignored
		env --default-signal=INT ppool apply p sh -c 'trap "echo bye; : >ended; exit 3" TERM; : >started; while :; do sleep 0.02; done' >out 3>&- &
		wait_for 5 exists started
		kill -$sig $!
		ends $((128 + $(kill -l $sig))) $!
		[ "$(cat out)" = bye ]
		[ -e ended ]
	done
	wait_for 5 is_idle p
}

@test "a second signal to apply does not wait for the job" {
	ppool open --kill-after 3 p
	ppool apply p sh -c 'trap "" TERM; echo $$ >pid; while :; do sleep 0.02; done' 3>&- &
	wait_for 5 nonempty pid
	kill -TERM $!
	run -124 timeout 0.2 tail --pid=$! -f /dev/null
	kill -TERM $!
	ends 143 $!
	wait_for 10 gone "$(cat pid)"
}

@test "a client that is killed in apply ends its job, queued or running, and disturbs nobody" {
	ppool open -j1 p
	for _ in 1 2 3; do
		rm -f pid
		ppool apply p sh -c 'echo $$ >pid; exec sleep 77' 3>&- &
		first=$!
		wait_for 5 nonempty pid
		ppool apply p touch never 3>&- &
		second=$!
		wait_for 5 pool_is p .queued 1
		kill -KILL $second
		ends 137 $second
		wait_for 5 pool_is p .queued 0
		kill -KILL $first
		ends 137 $first
		wait_for 5 gone "$(cat pid)"
		run -0 ppool apply p echo fine
		[ "$output" = fine ]
	done
	[ ! -e never ]
	[ -z "$(ppool list --json p | jq -c 'select(.state != "cancelled")')" ]
}

@test "a reader that leaves ends apply and its job" {
	ppool open -j1 p
	run -0 timeout 10 bash -c 'ppool apply p yes | head -n 1; [ ${PIPESTATUS[0]} = 141 ]'
	[ "$output" = y ]
	wait_for 5 is_idle p
	run -125 --separate-stderr bash -c 'ppool apply p echo lost >/dev/full'
	[[ $stderr == *"cannot write to standard output"* ]]
}

@test "a job that is killed tells its signal, in a loop" {
	ppool open -j2 p
	for _ in 1 2 3 4 5; do
		run -137 ppool apply p sh -c 'kill -KILL $$'
	done
	run -0 ppool apply p true
}

@test "--timeout and --retry hold for one job, and those of open for all" {
	ppool open --timeout 0.2 --retry 1 --retry-delay 0.01 p
	run -124 ppool apply p sleep 77
	run -3 ppool apply --timeout 0 p sh -c 'echo $PCORE_ATTEMPT; exit 3'
	[ "$output" = 2 ]
	run -0 ppool apply --timeout 0 p sleep 0.5
	run -3 ppool apply --timeout 0 --retry 3 p sh -c 'echo $PCORE_ATTEMPT; exit 3'
	[ "$output" = 4 ]
	id=$(ppool async --timeout 0 --retry 0 p sh -c 'echo $PCORE_ATTEMPT; exit 3')
	run -3 ppool get p "$id"
	[ "$output" = 1 ]
	id=$(ppool async --timeout 0.1 --retry 0 p sleep 77)
	run -124 --separate-stderr ppool get p "$id"
	[ -z "$stderr" ]
}

@test "the options of open hold for all jobs" {
	ppool open --limit nofile=64 --nice 3 p
	run -0 ppool apply p sh -c 'ulimit -n; nice'
	[ "$output" = $'64\n3' ]
}

# ---- async, get, ready, wait

@test "async prints an id; get gives output, error and status, once" {
	ppool open p
	id=$(ppool async p sh -c 'echo out; echo err >&2; exit 5')
	[ "$id" = 1 ]
	run -5 --separate-stderr ppool get p "$id"
	[ "$output" = out ]
	[ "$stderr" = err ]
	run -1 --separate-stderr ppool get p "$id"
	[ "$stderr" = "ppool: there is no job 1 in the pool 'p', or its result was fetched" ]
	run -1 ppool get p 99
}

@test "get --keep-result leaves the result" {
	ppool open p
	id=$(ppool async p echo kept)
	run -0 ppool get --keep-result p "$id"
	[ "$output" = kept ]
	run -0 ppool get p "$id"
	[ "$output" = kept ]
	run -1 ppool get p "$id"
}

@test "get prints in the order asked, with the status of the first that failed" {
	ppool open -j2 p
	ppool async p sh -c "$(until_file go); echo 1"
	ppool async p sh -c 'echo 2; exit 4'
	ppool async p sh -c 'echo 3; exit 9'
	wait_for 5 has_state p 3 failed
	touch go
	run -9 ppool get p 3 1 2
	[ "$output" = $'3\n1\n2' ]
	ppool async p echo 4
	run -1 --separate-stderr ppool get p 1 4
	[ "$output" = 4 ]
}

@test "get stops when it cannot write, and the results it has not written stay" {
	[ -w /dev/full ] || skip "needs /dev/full"
	ppool open p
	for n in 1 2 3; do
		ppool async p sh -c "echo out$n; echo err$n >&2"
	done
	run -125 --separate-stderr bash -c 'ppool get p 1 2 3 >/dev/full'
	[ "$stderr" = "ppool: cannot write to standard output: No space left on device" ]
	run -0 --separate-stderr ppool get p 1 2 3
	[ "$output" = $'out1\nout2\nout3' ]
	[ "$stderr" = $'err1\nerr2\nerr3' ]
}

@test "get --timeout is 124 when a result is not ready in time, and the result stays" {
	ppool open -j2 p
	ppool async p sh -c "$(until_file go); echo late"
	ppool async p echo early
	wait_for 5 has_state p 2 "done"
	t=$(now_ms)
	run -124 --separate-stderr ppool get --timeout 0.2 p 2 1
	took "$t" 150 20000
	[ "$output" = early ]
	[ "$stderr" = "ppool: job 1 is not ready" ]
	touch go
	run -0 ppool get p 1
	[ "$output" = late ]
}

@test "get --timeout takes a job whose own time was up for what it is" {
	ppool open --timeout 0.1 p
	ppool async p sleep 77
	ppool async --timeout 0 p sh -c 'echo two'
	run -0 ppool wait p
	run -124 --separate-stderr ppool get --timeout 60 --keep-result p 1 2
	[ "$output" = two ]
	[ -z "$stderr" ]
}

# Does each of our background commands sleep with a socket?
all_hang() {
	local pid
	for pid in $(jobs -p); do
		{ state_is "$pid" S && [ -n "$(find "/proc/$pid/fd" -lname 'socket:*')" ]; } || return 1
	done
}

@test "a pool that is short of descriptors takes clients again when it has some" {
	bash -c 'ulimit -n 40; exec ppool open -j1 p'
	for _ in {1..40}; do poolwire -w rt/pools/p/socket 0000 3>&- & done
	wait_for 10 all_hang
	run -124 timeout 0.5 ppool apply p true
	mapfile -t hanging < <(jobs -p)
	kill "${hanging[@]}"
	wait || true
	run -0 timeout 10 ppool apply p echo again
	[ "$output" = again ]
}

@test "a result goes to one getter only, and one that dies loses nothing" {
	ppool open -j2 p
	id=$(ppool async p head -c 3000000 /dev/zero)
	wait_for 5 has_state p "$id" "done"
	mkfifo slow
	ppool get p "$id" >slow 3>&- &
	first=$!
	exec 7<slow
	head -c 1 <&7 >/dev/null
	ppool get p "$id" 3>&- | wc -c >n 3>&- &
	second=$!
	kill -KILL $first
	exec 7<&-
	ends 137 $first
	ends 0 $second
	[ "$(cat n)" -eq 3000000 ]
	run -1 ppool get p "$id"
	id=$(ppool async p sh -c "$(until_file go); echo one")
	for _ in 1 2 3 4; do ppool get p "$id" >>outs 2>/dev/null 3>&- & done
	touch go
	wait
	[ "$(cat outs)" = one ]
}

@test "ready is 0 when a job has ended and 1 when it has not" {
	ppool open p
	ppool async p sh -c "$(until_file go)"
	run -1 --separate-stderr ppool ready p 1
	[ -z "$stderr" ]
	touch go
	wait_for 5 ppool ready p 1
	run -0 ppool get p 1
	run -1 --separate-stderr ppool ready p 1
	[ -n "$stderr" ]
}

@test "wait prints the ids that finish: all of them, any of them, or those in time" {
	ppool open -j3 p
	ppool async p sh -c "$(until_file go1)"
	ppool async p false
	ppool async p sh -c "$(until_file go3)"
	run -0 ppool wait --any p
	[ "$output" = 2 ]
	run -124 ppool wait --timeout 0.1 p
	[ "$output" = 2 ]
	run -124 ppool wait --timeout 0.1 --any p 1 3
	[ -z "$output" ]
	ppool wait p 1 2 3 3 >out 3>&- &
	wait_for 5 nonempty out
	touch go3
	wait_for 5 lines_are out 2
	touch go1
	ends 0 $!
	[ "$(cat out)" = $'2\n3\n1' ]
	run -0 ppool get p 1 3
	run -1 --separate-stderr ppool wait p 1
	[[ $stderr == *"no job 1"* ]]
	run -0 ppool wait p
	[ "$output" = 2 ]
}

@test "a wait for nothing is over at once, and --any has nothing to tell" {
	ppool open p
	run -0 ppool wait p
	[ -z "$output" ]
	run -1 --separate-stderr ppool wait --any p
	[ "$stderr" = "ppool: the pool 'p' has no job to wait for" ]
}

@test "a wait for a job that is cancelled is over, with 1" {
	ppool open p
	ppool pause p
	ppool async p true
	ppool wait p 1 2>err 3>&- &
	wait_for 5 has_clients "$(server p)" 1
	ppool cancel p 1
	ends 1 $!
	[ "$(cat err)" = "ppool: job 1 was cancelled" ]
}

@test "async -a queues one job for each item and prints the ids in order" {
	ppool open -j2 p
	printf '%s\n' 'a b' '' '$x' "it's" >items
	run -0 ppool async p -a items printf '[%s]\n'
	[ "$output" = $'1\n2\n3\n4' ]
	run -0 ppool get p 1 2 3 4
	[ "$output" = $'[a b]\n[]\n[$x]\n[it\'s]' ]
	run -0 bash -c "printf '/x/y.c\0z\nq\0' | ppool async p -0 -a - echo '{/.}' '{#}'"
	[ "$output" = $'5\n6' ]
	run -0 ppool get p 5 6
	[ "$output" = $'y 1\nz\nq 2' ]
	run -0 ppool async p -a /dev/null echo
	[ -z "$output" ]
	run -125 --separate-stderr ppool async p -a nowhere echo
	[[ $stderr == *"cannot open 'nowhere'"* ]]
	run -1 --separate-stderr bash -c "printf 'a\0b\nc\n' | ppool async p -a - echo"
	[ "$output" = 7 ]
	[[ $stderr == *"item 1 holds a NUL byte"* ]]
	run -125 --separate-stderr ppool async p -a items echo '{%}'
	[[ ${stderr_lines[0]} == *PCORE_SLOT* ]]
}

@test "async -a takes items as they come" {
	ppool open p
	mkfifo in
	ppool async p -a in echo >ids 3>&- &
	exec 7>in
	echo one >&7
	wait_for 5 nonempty ids
	run -0 ppool get p 1
	[ "$output" = one ]
	echo two >&7
	wait_for 5 lines_are ids 2
	exec 7>&-
	ends 0 $!
}

@test "async -a ends with 125 at an item whose command is too long for the pool" {
	ppool open p
	{ echo short && head -c 1000000 /dev/zero | tr '\0' x && echo && echo never; } >in
	run -125 --separate-stderr timeout 10 ppool async p -a in true {} {} {} {} {} {} {} {} {}
	[ "$output" = 1 ]
	[ "$stderr" = "ppool: cannot queue item 2: Message too long" ]
}

@test "many clients at once each get their own" {
	ppool open -j4 p
	for i in {1..15}; do
		(id=$(ppool async p echo "async $i") && [ "$(ppool get p "$id")" = "async $i" ] && echo ok >>oks) 3>&- &
		([ "$(ppool apply p echo "apply $i")" = "apply $i" ] && echo ok >>oks) 3>&- &
	done
	wait
	[ "$(wc -l <oks)" = 30 ]
}

# ---- the queue

@test "a full queue makes clients wait, and is 75 with --nowait" {
	ppool open -j1 --queue 2 p
	ppool async p sh -c "$(until_file go)"
	wait_for 5 has_state p 1 running
	ppool async p true
	ppool async p true
	run -75 --separate-stderr ppool async --nowait p true
	[ "$stderr" = "ppool: the pool 'p' is full" ]
	run -75 ppool apply --nowait p true
	ppool async p true >id4 3>&- &
	four=$!
	ppool apply p echo five >out 3>&- &
	five=$!
	run -75 ppool async --nowait p true
	[ ! -s id4 ]
	touch go
	ends 0 $four
	ends 0 $five
	[ "$(cat out)" = five ]
	[ -s id4 ]
}

@test "a client that dies while it waits for room queues nothing" {
	ppool open -j1 --queue 1 p
	ppool pause p
	ppool async p true
	for _ in 1 2; do
		ppool apply p touch never 3>&- &
		pid=$!
		seq 20000 | ppool async p -a - touch never 3>&- >/dev/null &
		pid2=$!
		run -124 timeout 0.2 ppool async p touch never
		kill -KILL $pid $pid2
		wait $pid $pid2 || true
	done
	ppool resume p
	run -0 ppool get p 1
	run -0 ppool apply p echo free
	[ "$output" = free ]
	wait_for 5 is_idle p
	[ ! -e never ]
}

@test "more items than the queue holds go through, in order" {
	ppool open -j4 --queue 10 p
	seq 100 | ppool async p -a - echo >ids
	[ "$(cat ids)" = "$(seq 100)" ]
	# shellcheck disable=SC2046
	[ "$(ppool get p $(cat ids))" = "$(seq 100)" ]
}

@test "beyond --keep no job starts until a result is fetched, and nothing is dropped" {
	ppool open -j1 --keep 100K p
	ppool async p head -c 1000000 /dev/zero
	ppool async p echo second
	wait_for 5 has_state p 1 "done"
	ppool apply p echo third >out 3>&- &
	run -124 ppool get --timeout 0.2 p 2
	has_state p 2 queued
	[ ! -s out ]
	ppool get p 1 | cmp - <(head -c 1000000 /dev/zero)
	run -0 ppool get p 2
	[ "$output" = second ]
	ends 0 $!
	[ "$(cat out)" = third ]
}

@test "output that cannot be kept fails its job with a message" {
	[ -w /dev/full ] || skip "needs /dev/full"
	TMPDIR=/nowhere ppool open -j1 --keep 1K p
	ppool async p head -c 100000 /dev/zero
	run -125 --separate-stderr bash -c 'ppool get p 1 | wc -c >/dev/null; exit ${PIPESTATUS[0]}'
	[ "$stderr" = "ppool: cannot read the output of a job: No such file or directory" ]
	run -0 ppool apply p echo on
}

@test "pause starts no more, resume goes on, resize changes how many run" {
	ppool open -j1 p
	ppool pause p
	ppool async p true
	run -124 ppool get --timeout 0.1 p 1
	has_state p 1 paused
	pool_is p .state paused
	ppool resume p
	run -0 ppool get p 1
	for i in 1 2 3; do ppool async p sh -c ": >started$i; $(until_file go)" >/dev/null; done
	wait_for 5 exists started1
	run -124 timeout 0.2 bash -c "$(until_file started2)"
	ppool resize p 3
	wait_for 5 exists started2
	wait_for 5 exists started3
	ppool resize p 1
	ppool async p touch started4
	touch go
	run -0 ppool wait p
	[ -e started4 ]
	pool_is p .jobs 1
}

# ---- cancel, after

@test "a queued job that is cancelled never runs; a running one needs --running" {
	ppool open -j1 p
	ppool async p sh -c 'echo $$ >pid; exec sleep 77'
	wait_for 5 nonempty pid
	ppool async p touch ran
	run -0 ppool cancel p 2
	has_state p 2 cancelled
	run -1 --separate-stderr ppool cancel p 1
	[ "$stderr" = "ppool: job 1 runs already (--running ends it)" ]
	kill -0 "$(cat pid)"
	run -0 ppool cancel --running p 1
	gone "$(cat pid)"
	has_state p 1 cancelled
	run -1 --separate-stderr ppool get p 1
	[ "$stderr" = "ppool: job 1 was cancelled" ]
	run -1 ppool get p 2
	run -1 ppool ready p 2
	run -1 ppool cancel p 2
	run -1 ppool cancel p 99
	ppool async p true
	wait_for 5 has_state p 3 "done"
	run -1 --separate-stderr ppool cancel --running p 3
	[ "$stderr" = "ppool: job 3 has ended" ]
	[ ! -e ran ]
}

@test "cancel tells those who apply or get the job" {
	ppool open -j1 p
	ppool pause p
	ppool apply p true 2>err1 3>&- &
	one=$!
	wait_for 5 has_state p 1 paused
	ppool async p true
	ppool get p 2 2>err2 3>&- &
	two=$!
	wait_for 5 has_clients "$(server p)" 2
	run -0 ppool cancel p 1 2
	ends 1 $one
	ends 1 $two
	[ "$(cat err1)" = "ppool: job 1 was cancelled" ]
	[ "$(cat err2)" = "ppool: job 2 was cancelled" ]
}

@test "a job that waits for another try can be cancelled" {
	ppool open --retry 5 --retry-delay 77 p
	ppool async p sh -c ': >tried; exit 1'
	wait_for 5 exists tried
	run -0 ppool cancel --running p 1
	has_state p 1 cancelled
}

@test "after runs when its jobs have succeeded" {
	ppool open -j4 p
	ppool async p sh -c "$(until_file go1); echo one >>order"
	ppool async p sh -c "$(until_file go2); echo two >>order"
	run -0 ppool after p 1 2 -- sh -c 'echo three >>order'
	[ "$output" = 3 ]
	run -0 ppool after p 3 -- sh -c 'echo four >>order; echo "$1"' sh --opt
	[ "$output" = 4 ]
	has_state p 3 queued
	touch go2
	wait_for 5 has_state p 2 "done"
	has_state p 3 queued
	touch go1
	run -0 ppool get p 4
	[ "$output" = --opt ]
	[ "$(cat order)" = $'two\none\nthree\nfour' ]
	run -0 ppool after p 1 2 3 -- echo late
	run -0 ppool get p "$output"
	[ "$output" = late ]
	run -1 --separate-stderr ppool after p 99 -- true
	[[ $stderr == *"no job 99"* ]]
}

@test "after is cancelled with all that follows when one of its jobs fails or is cancelled" {
	ppool open -j1 p
	ppool async p sh -c "$(until_file go); exit 1"
	wait_for 5 has_state p 1 running
	ppool after p 1 -- touch ran
	ppool after p 2 -- touch ran
	ppool async p true
	ppool after p 4 -- touch ran
	ppool after p 5 3 -- touch ran
	ppool cancel p 4
	has_state p 5 cancelled
	has_state p 6 cancelled
	has_state p 3 queued
	touch go
	wait_for 5 has_state p 3 cancelled
	has_state p 2 cancelled
	run -0 ppool after p 1 -- touch ran
	has_state p 7 cancelled
	run -1 ppool get p 1
	[ ! -e ran ]
}

@test "a chain runs in order, and one whose begin is cancelled is cancelled to its end" {
	ppool open -j4 p
	ppool pause p
	ppool async p sh -c 'echo 1 >>order'
	for i in {2..10}; do ppool after p $((i - 1)) -- sh -c "echo $i >>order"; done >/dev/null
	for i in {11..20}; do ppool after p $((i == 11 ? 1 : i - 1)) -- sh -c "echo $i >>order2"; done >/dev/null
	ppool cancel p 11
	has_state p 20 cancelled
	ppool resume p
	run -0 ppool wait p 10
	[ "$(cat order)" = "$(seq 10)" ]
	[ ! -e order2 ]
}

@test "list shows the states, and --json the whole of each job" {
	ppool open -j1 p
	ppool async p sh -c 'exit 3'
	ppool async p sh -c 'kill -KILL $$'
	ppool async p true
	run -0 ppool wait p
	ppool async p sh -c "$(until_file go)" 'a b'
	wait_for 5 has_state p 4 running
	ppool async p $'x\ny'
	run -0 ppool list p
	[ "${#lines[@]}" = 6 ]
	[[ ${lines[0]} == *ID*STATE*EXIT*SECONDS*COMMAND* ]]
	[[ ${lines[1]} =~ ^\ *1\ failed\ +3\ +[0-9.]+\ +sh\ -c\ exit\ 3$ ]]
	[[ ${lines[2]} =~ ^\ *2\ failed\ +KILL ]]
	[[ ${lines[3]} =~ ^\ *3\ done\ +0 ]]
	[[ ${lines[4]} =~ ^\ *4\ running\ +-\ +-\ +sh ]]
	[[ ${lines[5]} =~ ^\ *5\ queued\ +-\ +-\ +x\\ny$ ]]
	[ "$(job p 2 '[.exit, .signal, .attempt]')" = '[null,"SIGKILL",1]' ]
	[ "$(job p 1 '[.exit, .signal, .timed_out, (.wall_s | type), (.start | type)]')" = '[3,null,false,"number","string"]' ]
	[ "$(job p 5 '[.argv, .exit, .start, .wall_s]')" = '[["x\ny"],null,null,null]' ]
	touch go
}

@test "list has no status for a job that could not be run" {
	ppool open p
	ppool async p /nowhere
	run -0 ppool wait p
	run -0 ppool list p
	[[ ${lines[1]} =~ ^\ *1\ failed\ +-\ +[0-9.]+\ +/nowhere$ ]]
	[ "$(job p 1 '[.exit, .signal]')" = '[null,null]' ]
}

# ---- the end

@test "close takes no more jobs, drains, and stays until every result is fetched" {
	ppool open -j1 p
	ppool async p sh -c "$(until_file go); echo one"
	ppool async p echo two
	ppool close p
	run -3 --separate-stderr ppool async p true
	[ "$stderr" = "ppool: the pool 'p' is closed" ]
	run -3 ppool apply p true
	run -3 ppool after p 1 -- true
	touch go
	run -0 ppool get p 1
	pid=$(server p)
	kill -0 "$pid"
	run -0 ppool get p 2
	[ "$output" = two ]
	wait_for 5 gone "$pid"
	run -3 --separate-stderr ppool apply p true
	[ "$stderr" = "ppool: the pool 'p' is closed and drained" ]
	run -3 ppool async p true
	run -1 ppool get p 1
	run -0 ppool list p
	run -0 ppool close p
	run -0 ppool join p
	[ ! -e rt/pools/p ]
	run -1 ppool async p true
	run -0 ppool open p
	run -0 ppool apply p true
	pid=$(server p)
	ppool close p
	wait_for 5 gone "$pid"
	[ -e rt/pools/p/closed ]
	run -0 ppool terminate p
	[ ! -e rt/pools/p ]
}

@test "a client that waits for room is told when the pool is closed" {
	ppool open -j1 --queue 1 p
	ppool pause p
	ppool async p true
	ppool apply p true 2>err 3>&- &
	one=$!
	ppool async p true 2>/dev/null 3>&- &
	two=$!
	run -124 timeout 0.1 ppool async p true
	ppool close p
	ends 3 $one
	ends 3 $two
	ppool resume p
	run -0 ppool get p 1
}

@test "close and join of an idle pool end it, and its name is free" {
	ppool open p
	pid=$(server p)
	ppool close p
	run -0 ppool join p
	[ ! -e rt/pools/p ] || [ ! -e rt/pools/p/socket ]
	wait_for 5 gone "$pid"
	for _ in 1 2 3 4 5; do
		run -0 ppool open p
		ppool close p
		run -0 ppool join p
	done
}

@test "join waits for all jobs, drops their results and frees the name; an open pool is 125" {
	ppool open p
	ppool async p sh -c "$(until_file go); : >ran"
	run -125 --separate-stderr ppool join p
	[ "$stderr" = "ppool: the pool 'p' is open (ppool close p comes first)" ]
	ppool close p
	server=$(server p)
	ppool join p 3>&- &
	one=$!
	ppool join p 3>&- &
	two=$!
	wait_for 5 has_clients "$server" 2
	[ ! -e ran ]
	touch go
	ends 0 $one
	ends 0 $two
	[ -e ran ]
	[ ! -e rt/pools/p ]
	run -0 ppool open p
}

@test "join is 1 when a job failed and nobody has fetched it" {
	ppool open p
	ppool async p false
	ppool close p
	run -1 --separate-stderr ppool join p
	[[ $stderr == *"failed"* ]]
}

@test "terminate ends jobs and pool, and tells those who wait" {
	ppool open -j1 p
	ppool async p sh -c 'echo $$ >pid; exec sleep 77'
	wait_for 5 nonempty pid
	ppool async p touch ran
	ppool get p 1 2>err1 3>&- &
	one=$!
	ppool wait p 2>err2 3>&- &
	two=$!
	ppool apply p touch ran 2>err3 3>&- &
	three=$!
	wait_for 5 pool_is p .queued 2
	server=$(server p)
	wait_for 5 has_clients "$server" 3
	run -0 ppool terminate p
	gone "$(cat pid)"
	ends 143 $one
	ends 1 $two
	ends 125 $three
	[ "$(cat err3)" = "ppool: the pool 'p' was terminated" ]
	wait_for 5 gone "$server"
	[ ! -e rt/pools/p ]
	[ ! -e ran ]
	run -1 ppool apply p true
	run -0 ppool open p
}

@test "terminate kills jobs that ignore TERM" {
	ppool open --kill-after 0.1 p
	ppool async p sh -c 'trap "" TERM; echo $$ >pid; while :; do sleep 0.02; done'
	wait_for 5 nonempty pid
	run -0 timeout 10 ppool terminate p
	gone "$(cat pid)"
}

@test "TERM to the server terminates the pool; INT and HUP do nothing" {
	ppool open p
	pid=$(server p)
	kill -INT "$pid"
	kill -HUP "$pid"
	run -0 ppool apply p true
	ppool async p sleep 77
	kill -TERM "$pid"
	wait_for 5 gone "$pid"
	[ ! -e rt/pools/p ]
}

@test "--idle-timeout ends a pool that nobody uses" {
	ppool open --idle-timeout 2 p
	pid=$(server p)
	ppool async p sleep 2.5
	run -0 ppool wait p
	wait_for 10 gone "$pid"
	[ ! -e rt/pools/p ]
	ppool open --idle-timeout 2 q
	pid=$(server q)
	ppool async q true
	ppool close q
	wait_for 10 gone "$pid"
	run -0 ppool join q
}

@test "a server that is killed takes its jobs along, and those who wait are told" {
	for _ in 1 2 3; do
		rm -f pid
		wait_for 5 ppool open -j2 p
		ppool apply p sh -c 'echo $$ >pid; exec sleep 77' 2>err1 3>&- &
		one=$!
		wait_for 5 nonempty pid
		ppool async p sleep 77
		ppool get p 2 2>err2 3>&- &
		two=$!
		ppool wait p 2>err3 3>&- &
		three=$!
		server=$(server p)
		wait_for 5 has_clients "$server" 3
		kill -KILL "$server"
		ends 125 $one
		ends 125 $two
		ends 125 $three
		[ "$(cat err1)" = "ppool: the pool 'p' has died" ]
		[ "$(cat err2)" = "ppool: the pool 'p' has died" ]
		wait_for 5 gone "$(cat pid)"
		run -1 ppool apply p true
	done
}

# ---- who may ask, and how

@test "another protocol version is 76, on either side" {
	ppool open p
	run -0 poolwire rt/pools/p/socket 0000000901 70706f6c 00000009
	[[ $output == ????????404c* ]] # an answer of 76
	run -0 ppool apply p true
	ppool terminate p
	mkdir -p rt/pools/p
	poolwire -l rt/pools/p/socket 0000000f40 4c 0000000000000009 6162636465 3>&- &
	wait_for 5 exists rt/pools/p/socket
	run -76 --separate-stderr ppool apply p true
	[ "$stderr" = "ppool: abcde" ]
	ends 0 $!
}

@test "garbage, torn frames and a client that stops in the middle disturb nobody" {
	ppool open p
	for bytes in 00 ffffffff 00000000 0000000101 0000000901deadbeef00000001 \
		'00000009 01 70706f6c 00000001 00000001 03' \
		'00000009 01 70706f6c 00000001 00000001 ff' \
		'00000009 01 70706f6c 00000001 00000005 02 00000000'; do
		# shellcheck disable=SC2086
		run -0 timeout 5 poolwire rt/pools/p/socket $bytes
		run -0 ppool apply p true
	done
}

@test "a job that is applied after one that has failed is cancelled at once" {
	ppool open p
	ppool async p false
	run -0 ppool wait p
	run -0 timeout 5 poolwire rt/pools/p/socket 00000009 01 70706f6c 00000001 0000000f 02 00000000 00000002 2f00 00000000 \
		00000027 03 01 0000000000000000 ffffffffffffffff 00000001 0000000000000001 00000005 7472756500
	[[ $output == ????????4001* ]] # an answer of 1
	run -0 ppool apply p true
}

@test "another user is refused, even where the directory lets him in" {
	need_root
	scratch=$(mktemp -d /tmp/pcore-test.XXXXXX)
	chmod 755 "$scratch"
	export PCORE_RUNTIME_DIR=$scratch/rt
	install -m 755 "$PCORE_BUILD/helpers/poolwire" "$PCORE_BUILD/ppool" "$scratch/"
	nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	ppool open p
	chmod 755 "$scratch"/rt "$scratch"/rt/pools "$scratch"/rt/pools/p
	chmod 777 "$scratch"/rt/pools/p/socket
	run -0 timeout 5 "${nobody[@]}" "$scratch"/poolwire "$scratch"/rt/pools/p/socket '00000009 01 70706f6c 00000001'
	[[ $output == ????????404d* ]] # an answer of 77
	run -125 --separate-stderr "${nobody[@]}" "$scratch"/ppool apply p true
	[[ $stderr == *"must be ours"* ]]
	chmod 700 "$scratch"/rt "$scratch"/rt/pools "$scratch"/rt/pools/p
	run -0 ppool apply p true
	ppool terminate p
}

@test "a pool with many clients that hang still serves others" {
	ppool open p
	for _ in {1..40}; do poolwire -w rt/pools/p/socket 0000 3>&- & done
	run -0 timeout 10 ppool apply p echo served
	[ "$output" = served ]
	mapfile -t hanging < <(jobs -p)
	kill "${hanging[@]}"
	wait || true
}

@test "a server costs at most 256 KiB of private memory" {
	[ "${PCORE_VARIANT-release}" = release ] || skip "sanitizers take memory of their own"
	ppool open p
	ppool apply p true
	run -0 awk '/^Private_Dirty/ { print $2 }' "/proc/$(server p)/smaps_rollup"
	[ "$output" -le 256 ] || { echo "$output KiB"; false; }
}

@test "100000 queued jobs take at most 64 MiB" {
	[ "${PCORE_VARIANT-release}" = release ] || skip "sanitizers take memory of their own"
	ppool open -j1 p
	ppool pause p
	seq 100000 | ppool async p -a - echo >ids
	[ "$(tail -n 1 ids)" = 100000 ]
	run -0 awk '/^RssAnon/ { print $2 }' "/proc/$(server p)/status"
	[ "$output" -le 65536 ] || { echo "$output KiB"; false; }
}
