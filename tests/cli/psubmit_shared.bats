# SPDX-License-Identifier: MIT
# psubmit_shared.bats - psubmit with a scheduler that many share: the verbs for jobs that outlive it, and map.
# shellcheck shell=bash disable=SC1083,SC2016,SC2154,SC2030,SC2031

load support
load shared

setup() { shared_setup; }
teardown() { shared_teardown; }

# until_go: a command that says that it has begun, and ends when $marks/go is there.
until_go() { echo "echo \$\$ >$marks/pid; mv $marks/pid $marks/began; until [ -e $marks/go ]; do sleep 0.02; done"; }

logged() { [ "$(psubmit logs 1)" = "$1" ]; }
state_of() { [ "$(psubmit status "$1" | awk 'NR == 2 { print $2 }')" = "$2" ]; } # state_of ID STATE

@test "bad options and words of psubmit's verbs are named" {
	local verb word
	for verb in apply async get wait status cancel logs attach list forget explain nodes stats; do
		run -0 --separate-stderr psubmit "$verb" --help
		[[ "$output" == "usage: psubmit $verb"* ]]
		run -125 psubmit "$verb" --frob
		[[ "$output" == *"--frob"* ]]
		run -125 psubmit "$verb" --wait-nodes=x
		[[ "$output" == *"invalid value 'x' for '--wait-nodes'"* ]]
		run -125 psubmit "$verb" --tls-key x 1
		[[ "$output" == *"go together"* ]]
	done
	for verb in get wait status cancel logs attach forget explain; do
		run -125 psubmit "$verb"
		[[ "$output" == *"something is missing: psubmit $verb"* ]]
		for word in 0 x 1.0 1. .1 1.2-1 1.2-x -1 1.2.3 99999999999999999999 ''; do
			run -125 psubmit "$verb" --scheduler unix:/none -- "$word"
			[[ "$output" == *"invalid id '$word': must be N, N.M or N.M-L"* ]]
		done
		run -125 psubmit "$verb" 1
		[[ "$output" == *"no scheduler given: --scheduler ADDR, or PCORE_SCHEDULER"* ]]
	done
	run -125 psubmit forget 1.2
	[[ "$output" == *"'1.2' is a part"* ]]
	run -125 psubmit attach 1 2
	[[ "$output" == *"'2' is one word too many"* ]]
	run -125 psubmit list x
	[[ "$output" == *"'x' is one word too many"* ]]
	run -125 psubmit stats x
	run -125 psubmit wait --any --all 1
	[[ "$output" == *"--any and --all exclude each other"* ]]
	for verb in get wait; do
		run -125 psubmit "$verb" --timeout=x 1
		[[ "$output" == *"invalid value 'x' for '--timeout'"* ]]
	done
	for verb in apply async; do
		run -125 psubmit "$verb"
		[[ "$output" == *"no command given"* ]]
		run -125 psubmit "$verb" ''
		[[ "$output" == *"the command is empty"* ]]
		for word in --after=0 --after=x --after=1.2 --cpus=0 --memory=x --resource=gpu=0 --label=disk --priority=x --retry-lost=256 --max-output=0 \
			--timeout=x --retry=x; do
			run -125 psubmit "$verb" "$word" true
			[[ "$output" == *"invalid value '${word#*=}' for '${word%%=*}'"* ]]
		done
	done
	run -125 psubmit async -0 true
	[[ "$output" == *"--null and --delimiter say how the items"* ]]
	run -125 psubmit async -a - -0 -d x true
	run -125 psubmit async -a - -d xx true
	[[ "$output" == *"invalid value 'xx' for '--delimiter'"* ]]
	run -125 psubmit async -a ./none --scheduler unix:/none true
	[[ "$output" == *"cannot open './none'"* ]]
	run -125 psubmit map --scheduler unix:/none --local true ::: a
	[[ "$output" == *"--scheduler does not go with --local"* ]]
	run -125 psubmit map --scheduler unix:/none --nodes 127.0.0.1:1 true ::: a
	[[ "$output" == *"--scheduler does not go with --nodes"* ]]
}

@test "a scheduler that is not there, or does not take us, is told" {
	PCORE_KEY=$scratch/none.conf/none run -125 psubmit list --scheduler nonsense
	[[ "$output" == *"'nonsense' is not the address of a scheduler"* ]]
	run -125 psubmit map --scheduler nonsense true ::: a
	[[ "$output" == *"'nonsense' is not the address of a scheduler"* ]]
	run -77 psubmit list --scheduler 127.0.0.1:1
	[[ "$output" == *"cannot use the key file"* ]]
	pnode keygen
	PCORE_SCHEDULER=unix:$scratch/sock/none run -125 psubmit list --wait-nodes 0.05
	[[ "$output" == *"cannot reach the scheduler 'unix:$scratch/sock/none'"*"trying again"*"no scheduler can be reached"* ]]
	PCORE_SCHEDULER=unix:$scratch/sock/none run -125 psubmit map --wait-nodes 0.05 true ::: a
	[[ "$output" == *"cannot reach the scheduler"*"no scheduler can be reached"* ]]
	scheduler
	PCORE_KEY=$scratch/other pnode keygen
	PCORE_KEY=$scratch/other run -77 psubmit list
	[[ "$output" == *"the scheduler '127.0.0.1:$port' is of no use"* ]]
	PCORE_KEY=$scratch/other run -77 psubmit map true ::: a
	[[ "$output" == *"the scheduler '127.0.0.1:$port' is of no use"* ]]
}

@test "what a scheduler cannot pass on is refused, whoever names it" {
	run -125 psubmit map --scheduler unix:/none --worker --pty cat </dev/null
	[[ "$output" == "psubmit: --pty does not go with --scheduler"* ]]
	PCORE_SCHEDULER=unix:/none run -125 psubmit map --worker --pty cat </dev/null
	[[ "$output" == "psubmit: --pty does not go with --scheduler"* ]]
	PCORE_SCHEDULER=unix:/none run -0 psubmit map --local --worker cat <<<a
	[ "$output" = a ]
}

@test "async submits, and get, wait, status, logs, list and forget are about it" {
	scheduler --listen "unix:$scratch/sock/s"
	node n1 --cpus 2
	export PCORE_SCHEDULER=unix:$scratch/sock/s
	run -0 psubmit async sh -c 'echo out; echo err >&2; exit 3'
	[ "$output" = 1 ]
	run -3 --separate-stderr psubmit get 1
	[ "$output" = out ]
	[ "$stderr" = err ]
	run -0 psubmit wait 1 1.1
	[ "$output" = "1
1.1" ]
	run -0 --separate-stderr psubmit logs 1
	[ "$output" = out ]
	[ "$stderr" = err ]
	run -0 psubmit status 1 1.1
	[[ "${lines[0]}" == *ID*STATE*JOBS*ENDED*FAILED*SECONDS*COMMAND ]]
	[[ "${lines[1]}" =~ ^\ +1\ failed\ +1\ +1\ +1\ +[0-9.]+\ \ sh\ -c ]]
	[[ "${lines[3]}" =~ ^\ +1\.1\ failed\ +3\ +[0-9.]+\ +1\ \ n1$ ]]
	run -0 psubmit status --json 1.1
	[[ "$output" == '{"id":"1.1","state":"failed","exit":3,"signal":null,"timed_out":false,"start":"20'*'"stdout_bytes":4,"stderr_bytes":4,"node":"n1","attempt":1}' ]]

	seq 1000 | psubmit async -a - echo >id
	[ "$(cat id)" = 2 ]
	[ "$(psubmit get 2)" = "$(seq 1000)" ]
	[ "$(psubmit get 2.7-9 2.1000)" = $'7\n8\n9\n1000' ]
	run -0 psubmit logs 2.7-9 # each of them once, and nothing is said of it
	[ "$output" = $'7\n8\n9' ]
	printf 'a b\0c\n' | psubmit async -a - -0 sh -c 'echo "<$1:$2>"' x {#} {}
	[ "$(psubmit get 3)" = $'<1:a b>\n<2:c\n>' ]
	[ -z "$(psubmit async -a /dev/null echo)" ] # nothing to do, nothing to ask for
	run -0 psubmit list
	[ "${#lines[@]}" = 4 ]
	[[ "${lines[2]}" =~ ^\ +2\ done\ +1000\ +1000\ +0\ .*\ echo\ \{\}$ ]]
	run -0 psubmit list --json
	[[ "${lines[1]}" == '{"id":2,"state":"done","argv":["echo","{}"],"jobs":1000,"waiting":0,"queued":0,"running":0,"succeeded":1000,"failed":0,'* ]]
	run -0 psubmit explain 2.5
	[ "$output" = "2.5: ended" ]
	run -0 psubmit forget 1 3
	run -1 psubmit get 1 2.1
	[ "$output" = "psubmit: 1: there is no such submission
1" ]
	for verb in get wait status cancel logs attach explain forget; do
		run -1 psubmit "$verb" 99
		[[ "$output" == "psubmit: 99: there is no such "* ]]
	done
}

@test "apply prints what its job writes and has its status" {
	scheduler
	node n1 --cpus 2
	run -7 --separate-stderr psubmit apply sh -c 'echo out; echo err >&2; exit 7'
	[ "$output" = out ]
	[ "$stderr" = err ]
	run -0 psubmit apply sh -c 'echo "$PCORE_SEQ $PCORE_NODE $PCORE_ATTEMPT $A"'
	[ "$output" = "1 n1 1 " ]
	run -0 psubmit apply --env A=b --clean-env --chdir / /bin/sh -c 'echo "$A $PWD"'
	[ "$output" = "b /" ]
	run -124 psubmit apply --timeout 0.05 sleep 60
	run -137 psubmit apply sh -c 'kill -KILL $$'
	run -127 psubmit apply "$scratch/no-such"
	[ "$output" = "psubmit: cannot run '$scratch/no-such': No such file or directory" ]
	run -126 psubmit apply /etc/passwd
	run -0 psubmit apply --retry 2 --retry-delay 0 sh -c '[ "$PCORE_ATTEMPT" = 3 ]'
	[ "$(psubmit list | wc -l)" = 1 ] # what apply has had is forgotten
	run -1 psubmit apply --priority -1 false >/dev/full
	run -0 psubmit apply head -c 3000000 /dev/zero
	[ "$(psubmit apply head -c 3000000 /dev/zero | wc -c)" = 3000000 ]

	psubmit apply sh -c "trap 'echo end; exit 9' TERM; $(until_go)" >out 2>err &
	wait_for 10 exists "$marks/began"
	kill -TERM $!
	ends 143 $!
	wait_for 10 gone "$(cat "$marks/began")"
}

@test "logs -f and attach are live, a signal ends attach and not the job" {
	scheduler
	node n1 --cpus 2
	psubmit async sh -c "echo one; $(until_go); echo two; exit 5" >id
	wait_for 10 exists "$marks/began"
	wait_for 10 state_of 1 running
	wait_for 10 logged one
	run -0 psubmit status 1.1
	[[ "${lines[1]}" =~ ^\ +1\.1\ running\ .*\ n1$ ]]
	run -75 psubmit forget 1
	run -124 psubmit wait --timeout 0.05 1
	run -124 psubmit get --timeout 0.05 1
	[[ "$output" == *"psubmit: not all of them have ended in time" ]]
	psubmit logs -f 1 >logs &
	local logs=$!
	psubmit attach 1 >attached &
	local attached=$!
	psubmit attach 1 >left &
	local left_early=$!
	psubmit wait --any 1 2>/dev/null >waited &
	local waited=$!
	wait_for 10 nonempty logs
	wait_for 10 nonempty attached
	wait_for 10 nonempty left
	kill -TERM $left_early
	ends 143 $left_early
	touch "$marks/go"
	ends 0 $logs
	ends 5 $attached
	ends 0 $waited
	[ "$(cat logs)" = $'one\ntwo' ]
	[ "$(cat attached)" = $'one\ntwo' ]
	[ "$(cat waited)" = 1 ]
}

@test "--after waits for success, cancel ends, and explain says why a job does not run" {
	scheduler
	run -0 psubmit async --cpus 2 sh -c "$(until_go)" # 1
	run -0 psubmit explain 1
	[[ "$output" == "1: queued"*"there is no node at all"* ]]
	node n1 --cpus 2 --label disk=ssd
	wait_for 10 exists "$marks/began"
	wait_for 10 state_of 1 running
	psubmit async --after 1 echo after # 2
	psubmit async --label disk=hdd true # 3
	psubmit async --node n9 true # 4
	psubmit async --cpus 9 true # 5
	psubmit async --priority 5 true # 6
	run -1 psubmit async --after 99 true
	[[ "$output" == "psubmit: "* ]]
	run -0 psubmit explain 1 2 3 4 5 6
	[[ "$output" == "1: running on n1
2: waiting for 1
3: queued
of 1 nodes
  1 without the labels
4: queued
of 1 nodes
  1 of another name
5: queued
of 1 nodes
  1 with too few CPUs
6: queued
of 1 nodes
  1 "* ]]
	wait_for 10 state_of 2 waiting
	run -0 psubmit cancel 3 4
	run -0 psubmit cancel --kill 5
	run -1 psubmit wait 3
	run -1 psubmit get 4
	[ "$output" = "psubmit: job 4.1 was cancelled" ]
	wait_for 10 state_of 5 cancelled
	run -1 psubmit cancel 5
	touch "$marks/go"
	[ "$(psubmit get 2)" = after ]
	rm "$marks"/*
	psubmit async sh -c "$(until_go); exit 1" >id
	psubmit async --after "$(cat id)" true >vain
	wait_for 10 exists "$marks/began"
	touch "$marks/go"
	run -1 psubmit get "$(cat vain)"
	[ "$output" = "psubmit: job $(cat vain).1 never ran: one that it had to wait for did not succeed" ]
	rm "$marks"/*
	psubmit async sh -c "$(until_go)" >id
	wait_for 10 exists "$marks/began"
	run -0 psubmit cancel --kill "$(cat id)"
	run -137 psubmit get "$(cat id)"
}

@test "--exclusive has the nodes for itself when what runs has ended, others wait, and explain says so" {
	run -125 psubmit map --exclusive true ::: a
	[[ "${lines[0]}" == "psubmit: --exclusive needs a --scheduler"* ]]
	run -125 psubmit apply --exclusive true
	[[ "${lines[0]}" == "psubmit: "*scheduler* ]]
	scheduler --state "$scratch/state"
	node n1 --cpus 2
	psubmit async sh -c "$(until_go)" # 1
	wait_for 30 exists "$marks/began"
	psubmit map --exclusive sh -c "mv $marks/began $marks/alone; until [ -e $marks/{} ]; do sleep 0.02; done" ::: on >map.out 2>&1 &
	local map=$!
	wait_for 30 sh -c 'psubmit async true >id; psubmit explain "$(cat id)" | grep -q "^  1 another client has for itself"'
	psubmit async --exclusive echo second >second
	psubmit async echo third >third
	run -0 psubmit explain "$(cat second)" "$(cat third)"
	[ "$(grep -c '^  1 another client has for itself$' <<<"$output")" = 2 ]
	run ! exists "$marks/alone"
	touch "$marks/go"
	wait_for 30 exists "$marks/alone"
	wait_for 30 state_of 1 "done"

	# a restart knows it
	kill -KILL "$sched"
	wait "$sched" || true
	scheduler --state "$scratch/state"
	wait_for 20 there n1
	touch "$marks/on"
	ends 0 $map || { cat map.out; false; }
	[ "$(psubmit get "$(cat second)")" = second ]
	[ "$(psubmit get "$(cat third)")" = third ]
}

@test "map through a scheduler is map: order, log, status, statistics; its jobs die with it, others do not" {
	scheduler
	node n1 --cpus 2
	run -0 --separate-stderr psubmit map --stats --log log.tsv -j 2 echo ::: c b a
	[ "$output" = $'c\nb\na' ]
	[[ "$stderr" == "NODE "*SEC/JOB*"n1 "*"job time "*"wall time "*"speed-up "* ]]
	[ "$(cut -f2 log.tsv | sort -u)" = $'Host\nn1' ]
	run -1 psubmit map sh -c 'exit {}' ::: 0 3
	run -0 psubmit starmap --colsep : echo '{2}{1}' ::: a:b
	[ "$output" = ba ]
	run -0 psubmit map --node n1 --cpus 2 --label 'disk!=hdd' echo '$PCORE_NODE' ::: a
	wait_for 10 sh -c 'psubmit stats | grep -q "^n1 .* 7  "' || psubmit stats
	run -0 psubmit stats --json
	[[ "${lines[0]}" == '{"node":"n1","cpus":2,"jobs":'*'"sent_bytes":'*'"received_bytes":'* ]]
	[[ "${lines[1]}" == '{"job_s":'*'"wall_s":'*'"speedup":'* ]]
	run -0 psubmit nodes --json
	[[ "$output" == '{"node":"n1","address":'*'"state":"serving"'*'"cpus":2,'*'"labels":[],"resources":{}}' ]]

	psubmit async sh -c "$(until_go); echo went on" >id
	wait_for 10 exists "$marks/began"
	mv "$marks/began" "$marks/kept"
	psubmit map sh -c "$(until_go)" ::: a >out 2>err &
	wait_for 10 exists "$marks/began"
	kill -KILL $!
	wait_for 20 gone "$(cat "$marks/began")"
	run ! gone "$(cat "$marks/kept")"
	touch "$marks/go"
	[ "$(psubmit get "$(cat id)")" = "went on" ]
}

@test "a scheduler that is killed and started again is waited for, and nothing is lost or comes twice" {
	scheduler --state "$scratch/state"
	node n1 --cpus 2
	psubmit async sh -c "echo one; $(until_go); echo two" >id
	wait_for 10 exists "$marks/began"
	psubmit attach 1 >attached 2>attached.err &
	local attached=$!
	wait_for 10 nonempty attached
	mv "$marks/began" "$marks/first"
	psubmit map sh -c "$(until_go); echo {}" ::: mapped >mapped 2>mapped.err &
	local mapped=$!
	wait_for 10 exists "$marks/began"
	kill -KILL "$sched"
	wait "$sched" || true
	psubmit async --wait-nodes 30 echo later >later &
	local later=$!
	scheduler --state "$scratch/state"
	ends 0 $later
	wait_for 20 there n1
	touch "$marks/go"
	ends 0 $attached || { cat attached.err; false; }
	ends 0 $mapped || { cat mapped.err; false; }
	[ "$(cat attached)" = $'one\ntwo' ]
	[ "$(cat mapped)" = mapped ]
	[ "$(psubmit get "$(cat later)")" = later ]
}
