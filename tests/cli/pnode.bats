# SPDX-License-Identifier: MIT
# pnode.bats - what users see of a node: its key, its verbs, its console, and what strangers and the dead do to it.
# shellcheck shell=bash disable=SC2016,SC2154

load support
load nodes

setup() { nodes_setup; }
teardown() { nodes_teardown; }

# ---- keys

@test "keygen makes a key of mode 600 in a directory of its own, and never over another" {
	export PCORE_KEY=
	mkdir home
	run -0 env -u XDG_CONFIG_HOME HOME="$PWD/home" pnode keygen "$PWD/home/a/b/c.key"
	[ -z "$output" ]
	[ "$(stat -c %a home/a/b/c.key)" = 600 ]
	cp home/a/b/c.key before
	run -125 pnode keygen "$PWD/home/a/b/c.key"
	[[ "$output" == "pnode: cannot make the key file '$PWD/home/a/b/c.key': "* ]]
	cmp before home/a/b/c.key
	ln -s nowhere dangling
	run -125 pnode keygen "$PWD/dangling"
	[ ! -e nowhere ]
	pnode keygen "$PWD/other"
	run -1 cmp -s before other
}

@test "the key's place is PCORE_KEY, then the user's configuration" {
	mkdir home xdg
	PCORE_KEY=$PWD/k1 HOME=$PWD/home pnode keygen
	[ -s k1 ]
	if [ "$(id -u)" != 0 ]; then
		env -u PCORE_KEY HOME="$PWD/home" XDG_CONFIG_HOME="$PWD/xdg" pnode keygen
		[ -s xdg/pcore/cluster.key ]
		env -u PCORE_KEY -u XDG_CONFIG_HOME HOME="$PWD/home" pnode keygen
		[ -s home/.config/pcore/cluster.key ]
		run -125 env -u PCORE_KEY -u XDG_CONFIG_HOME -u HOME pnode keygen
		[[ "$output" == *"there is no place for a key"* ]]
	fi
}

@test "a key file that is not closed, no file, short or empty is refused with the reason" {
	pnode keygen good
	cp good open && chmod 644 open
	ln -s good link
	: >empty && chmod 600 empty
	echo a:all:AAAA >short && chmod 600 short
	mkdir dir
	for key in open link empty short dir missing; do
		export PCORE_KEY=$PWD/$key
		run -77 timeout 60 pnode serve "${as_node[@]}" --name n --listen 127.0.0.1:0
		[[ "$output" == "pnode: cannot use the key file '$PWD/$key': "* ]]
		run -77 timeout 60 pnode status 127.0.0.1:1
	done
	[ "$(find rt/nodes -mindepth 1 | wc -l)" = 0 ]
}

@test "a key file of another user is refused" {
	need_root
	pnode keygen good
	chown 1234 good
	PCORE_KEY=$PWD/good run -77 timeout 60 pnode serve "${as_node[@]}" --name n --listen 127.0.0.1:0
	[[ "$output" == *"cannot use the key file"* ]]
}

@test "without a key there is no TCP, on loopback neither, and the node's own socket works" {
	export PCORE_KEY=
	export HOME=$PWD XDG_CONFIG_HOME=$PWD
	[ ! -e /etc/pcore/cluster.key ] || [ "$(id -u)" != 0 ] || skip "this machine has a key of root"
	run -125 timeout 60 pnode serve "${as_node[@]}" --name n --listen 127.0.0.1:0
	[ "${lines[-1]}" = "pnode: cannot listen on '127.0.0.1:0': there is no key; make one with \`pnode keygen'" ]
	run -0 timeout 60 pnode serve "${as_node[@]}" --name n --detach
	[ "$output" = n ]
	nodes+=("$(sed -n 's/^supervisor //p' rt/nodes/n/meta)")
	run -0 pnode status
	[[ "$output" == "n: "*" serving; "* ]]
	run -125 pnode status 127.0.0.1:1
	[[ "$output" == *"there is no key"* ]]
}

@test "a node is never root" {
	need_root
	run -125 timeout 60 pnode serve --name n
	[ "$output" = "pnode: a node does not run as root: say --user NAME" ]
	run -125 timeout 60 pnode serve --name n --user root
	[[ "$output" == *"'root'"*"does not run as root"* ]]
	run -125 timeout 60 pnode serve --name n --user no-such-user
	[[ "$output" == *"'no-such-user'"* ]]
	serve n
	[ "$(stat -c %U "/proc/$pid")" = root ] || [ "$(awk '/^Uid:/ { print $2, $3, $4, $5 }' "/proc/$pid/status")" = "65534 65534 65534 65534" ]
	[ "$(awk '/^Groups:/ { print $2 }' "/proc/$pid/status")" = "" ]
	run -0 run_jobs sh -c 'id -u' ::: 1
	[ "$output" = 65534 ]
}

# ---- options

@test "bad values of options are usage errors that name both" {
	pnode keygen
	for pair in listen:nonsense listen:127.0.0.1:99999 listen:: cpus:0 cpus:x cpus:-0 cpus:99999999 memory:x memory:0 resource:gpu \
		resource:=1 resource:gpu=0 resource:gpu=x resource:gpu=[] 'resource:gpu=[a' label:x label:=x sandbox:soft name:../x name: \
		grace:-1 grace:x; do
		run -125 timeout 60 pnode serve "${as_node[@]}" "--${pair%%:*}" "${pair#*:}"
		[[ "$output" == *"${pair%%:*}"* ]] || { echo "$pair: $output"; return 1; }
	done
	run -125 timeout 60 pnode serve "${as_node[@]}" --tls-cert x
	[[ "$output" == *"go together"* ]]
	run -125 timeout 60 pnode serve "${as_node[@]}" --workdir "$PWD/none"
	[[ "$output" == *"'$PWD/none'"* ]]
	run -125 timeout 60 pnode serve operand
	run -125 timeout 60 pnode status --watch=0
	[[ "$output" == *"'watch'"* || "$output" == *"--watch"* ]]
	run -125 timeout 60 pnode status --timeout x n
	run -125 timeout 60 pnode cpus
	run -125 timeout 60 pnode cpus x n
	run -125 timeout 60 pnode nonsense
	[ "${lines[0]}" = "pnode: unknown verb 'nonsense': must be one of serve, scheduler, status, stop, start, drain, cpus, check, keygen" ]
	run -125 timeout 60 pnode
	run -125 timeout 60 pnode status 'a/b'
	[ "$(find rt -type s | wc -l)" = 0 ]
}

# ---- verbs

@test "stop, start, drain and cpus control a node, and status tells" {
	serve n --cpus 2 --label K=V --resource gpu=2
	run -0 pnode status --json n
	[ "$(jq -r '[.name, .state, .cpus, .running, .queued, .succeeded, .failed] | join(" ")' <<<"$output")" = "n serving 2 0 0 0 0" ]
	pnode stop n
	is n .state stopped
	pnode start
	is n .state serving
	pnode drain "127.0.0.1:$port"
	is n .state draining
	pnode start "unix:$PCORE_RUNTIME_DIR/nodes/n/socket"
	pnode cpus 7
	is n .cpus 7
	pnode cpus 0 n
	is n .cpus 0
	run -125 pnode cpus -- -60000 n
	[ "$output" = "pnode: node 'n': it cannot offer so many CPUs" ]
	pnode cpus 1 n
	run -0 run_jobs echo ::: a b
	[ "${#lines[@]}" = 2 ]
	is n .succeeded 2
	run_jobs --jobs 1 false ::: a || true
	is n .failed 1
}

# until_go N: a command that notes which GPU it has, and ends when $scratch/marks/goN is there.
until_go() { echo "cd $scratch/marks; echo \$PCORE_RESOURCE_GPU >new$1; mv new$1 $1; until [ -e go$1 ]; do sleep 0.02; done"; }

@test "jobs of a node can all have strict sandboxes" {
	prun "${as_node[@]}" --sandbox strict true 2>/dev/null || skip 'namespaces cannot be made here'
	serve n --sandbox strict
	run -0 run_jobs sh -c 'echo $$; touch here && ls; [ ! -e "$0" ]' "$PWD/n.out" ::: ''
	[ "${lines[0]}" = 2 ] # its own PIDs, its own directory, and not ours
	[ "${lines[1]}" = here ]
	run pnode check "${as_node[@]}" --sandbox strict
	[[ $output = *'yes  sandbox  strict'* ]]
}

@test "schedulers that share a node are not given the same memory or GPU, and wait for them in turn" {
	mkdir -m 777 marks
	serve n1 --cpus 4 --memory 1G --resource 'gpu=[a,b]' --sandbox none
	submit --resource gpu sh -c "$(until_go 1)" ::: x &
	others+=($!)
	wait_for 10 test -e marks/1
	submit --resource gpu sh -c "$(until_go 2)" ::: x &
	others+=($!)
	wait_for 10 test -e marks/2
	[ "$(cat marks/1 marks/2)" = $'a\nb' ] # its scheduler said the first
	submit --resource gpu=2 sh -c "$(until_go 3)" ::: x &
	others+=($!)
	wait_for 10 is n1 .queued 1
	submit --memory 800M sh -c "$(until_go 4)" ::: x &
	others+=($!)
	wait_for 10 test -e marks/4
	submit --memory 800M sh -c "$(until_go 5)" ::: x &
	others+=($!)
	wait_for 10 is n1 .queued 2
	[ "$(run_jobs echo ::: others)" = others ] # on the fourth CPU
	touch marks/go4
	wait_for 10 test -e marks/5
	touch marks/go1
	wait_for 10 is n1 .succeeded 3
	submit --resource gpu sh -c "$(until_go 6)" ::: x & # it came after the one that needs both
	local last=$!
	others+=("$last")
	wait_for 10 is n1 .queued 2
	run ! test -e marks/3
	touch marks/go2
	wait_for 10 test -e marks/3
	[ "$(cat marks/3)" = a,b ]
	run ! test -e marks/6
	touch marks/go3
	wait_for 10 test -e marks/6
	touch marks/go5 marks/go6
	ends 0 "$last"
}

@test "status tells about all nodes of this machine, and what runs now" {
	run -1 pnode status
	[ "$output" = "pnode: no node of ours runs on this machine" ]
	serve one --cpus 1
	serve two --cpus 1
	run -0 pnode status
	[ "${#lines[@]}" = 2 ]
	[[ "${lines[0]}" == "one: "* && "${lines[1]}" == "two: "* ]]
	run -125 pnode stop
	[[ "${lines[0]}" == *"say which"* ]]
	submit sh -c 'touch begun; exec sleep 77' ::: 1 >out 2>&1 3>&- &
	others+=($!)
	wait_for 10 is two .running 1
	run -0 pnode status two
	[[ "${lines[1]}" =~ ^"    job 1: pid "[1-9][0-9]*", since 20".*": sh -c touch begun; exec sleep 77 1"$ ]]
	is two '.jobs[0].argv | join("|")' 'sh|-c|touch begun; exec sleep 77|1'
	run -1 pnode status three
	[ "$output" = "pnode: cannot ask the node 'three': it does not run" ]
	run -1 pnode status two three
	[[ "$output" == *"two: "* ]]
}

@test "a command of any length and any bytes is shown as far as it goes" {
	serve n --cpus 1
	submit sh -c 'touch begun; exec sleep 77' $'\033[1m' "$(printf '%01000d' 0)" ::: 1 >out 2>&1 3>&- &
	others+=($!)
	wait_for 10 is n .running 1
	is n '.jobs[0].argv | length' 5
	is n '.jobs[0].argv | map(length) | add' 507 # and the NULs
	run -0 pnode status n
	[[ "${lines[1]}" == *'exec sleep 77 \x1b[1m 0000'* || "${lines[1]}" == *'exec sleep 77 \033[1m 0000'* ]]
}

@test "nodes of this machine are asked without a key, whatever becomes of its file" {
	serve n
	mv key gone
	run -0 pnode status n
	run -0 pnode status
	run -0 pnode stop "unix:$PCORE_RUNTIME_DIR/nodes/n/socket"
	run -0 psubmit map --nodes "unix:$PCORE_RUNTIME_DIR/nodes/n/socket" true </dev/null
	run -77 pnode status "127.0.0.1:$port"
	[ "$output" = "pnode: cannot use the key file '$PCORE_KEY': No such file or directory" ]
	run -77 pnode status n "127.0.0.1:$port"
}

@test "jobs of --user have its home, its names, and a PATH that it can use" {
	need_root
	mkdir -m 700 closed
	mkdir -m 755 open
	HOME=/root USER=root LOGNAME=root PATH=$PATH:$scratch/closed:relative::$scratch/open XDG_RUNTIME_DIR=/x BASH_ENV=/x LD_LIBRARY_PATH=/x serve n
	run -0 run_jobs sh -c 'echo $HOME $USER $LOGNAME; echo $PATH; env' ::: 1
	[ "${lines[0]}" = "$(getent passwd nobody | cut -d: -f6) nobody nobody" ]
	[[ ":${lines[1]}:" == *":$scratch/open:"* && ":${lines[1]}:" == *:/usr/bin:* ]]
	[[ "${lines[1]}" != *closed* && "${lines[1]}" != *relative* && "${lines[1]}" != *::* ]]
	[[ "$output" != *XDG_RUNTIME_DIR* && "$output" != *BASH_ENV* && "$output" != *LD_LIBRARY_PATH* && "$output" != *PCORE_KEY* ]]
}

@test "status --watch goes on until it is ended" {
	serve n
	pnode status --watch=10ms >watched 2>&1 3>&- &
	others+=($!)
	wait_for 10 lines_are watched 5
	kill "${others[0]}"
	ends 143 "${others[0]}"
}

@test "a second node of the same name is refused, and a dead one gives its name to the next" {
	serve n
	run -75 timeout 60 pnode serve "${as_node[@]}" --name n
	[[ "$output" == "pnode: there is a 'n' already"* ]]
	kill -KILL "$pid"
	wait_for 5 gone "$pid"
	[ -S "$PCORE_RUNTIME_DIR/nodes/n/socket" ]
	run -1 pnode status
	wait_for 5 free_name n
	serve n
	is n .state serving
}
free_name() { flock -n "$PCORE_RUNTIME_DIR/nodes/$1/lock" true; }

@test "two nodes of one name in one cluster: the second is of no use" {
	serve n
	local first=$port
	PCORE_RUNTIME_DIR=$scratch/rt2
	mkdir -m 700 "$PCORE_RUNTIME_DIR"
	mv n.out n1.out
	serve n
	run -0 psubmit map --nodes "127.0.0.1:$first,127.0.0.1:$port" echo ::: a b c
	[[ "$output" == *a* && "$output" == *b* && "$output" == *c* ]]
}

@test "check says what is there, and what to do about each no" {
	run -1 pnode check "${as_node[@]}" --listen 127.0.0.1:0
	[[ "$output" == *"no   key"*"pnode keygen"* ]]
	pnode keygen
	run -0 pnode check "${as_node[@]}" --listen 127.0.0.1:0
	[[ "$output" == *"yes  key      1 in the file"* ]]
	serve n
	run -1 pnode check "${as_node[@]}" --listen "127.0.0.1:$port"
	[[ "$output" == *"no   listen   '127.0.0.1:$port' is in use"* ]]
	chmod 644 key
	run -1 pnode check "${as_node[@]}"
	[[ "$output" == *"no   key"* ]]
	run -1 pnode check "${as_node[@]}" --workdir "$PWD/none"
	[[ "$output" == *"no   workdir"* ]]
}

@test "HUP reads the key file again: the next connection needs a new key" {
	[ "$(id -u)" != 0 ] || skip "needs an ordinary user: root's key is not readable after --user"
	serve n
	cp key old
	rm key
	pnode keygen
	run -77 pnode status "127.0.0.1:$port"
	kill -HUP "$pid"
	wait_for 10 log_has n 'keys loaded'
	run -0 pnode status "127.0.0.1:$port"
	echo nonsense >key
	kill -HUP "$pid"
	wait_for 10 log_has n 'cannot use the key file'
	run -0 pnode status n
}

# ---- what ends it

@test "TERM ends the node's jobs, gently, and the node dies of it and leaves nothing" {
	serve n --cpus 2
	submit --wait-nodes 1 sh -c 'trap "echo x >>$0; exit" TERM; echo >>$0.begun; while :; do sleep 0.05; done' "$TMPDIR/ended" ::: 1 2 >out 2>&1 3>&- &
	others+=($!)
	wait_for 10 lines_are "$TMPDIR/ended.begun" 2
	kill "$pid"
	ends 143 "$pid"
	wait_for 5 lines_are "$TMPDIR/ended" 2
	wait_for 5 grep -q "^psubmit: node 'n' has gone: the peer has said goodbye$" out
	[ "$(find "$TMPDIR" -name 'pnode.*' | wc -l)" = 0 ]
}

@test "a second TERM kills" {
	serve n --cpus 1
	submit --wait-nodes 1 sh -c 'trap "" TERM; touch $0; while :; do sleep 0.05; done' "$TMPDIR/begun" ::: 1 >out 2>&1 3>&- &
	others+=($!)
	wait_for 10 exists "$TMPDIR/begun"
	kill "$pid"
	wait_for 5 none_pending "$pid"
	wait_for 5 refuses_connections "$port"
	kill "$pid"
	ends 143 "$pid"
	rm -rf "$TMPDIR"/pnode.*
}
refuses_connections() { ! (exec 9<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

@test "kill -9 of psubmit ends its jobs on the node, which is free again" {
	serve n --cpus 1
	submit sh -c 'echo $$ >$0; exec sleep 77' "$TMPDIR/job" ::: 1 >out 2>&1 3>&- &
	others+=($!)
	wait_for 10 nonempty "$TMPDIR/job"
	kill -KILL $!
	wait_for 5 gone "$(cat "$TMPDIR/job")"
	wait_for 5 is n .running 0
	run -0 run_jobs echo ::: again
	[ "$output" = again ]
}

@test "a psubmit that is stopped for a while goes on, and so does a node" {
	serve n --cpus 1
	submit sh -c 'sleep 0.05; echo $0' ::: 1 2 3 4 5 6 7 8 >out 2>err 3>&- &
	local client=$! from short=
	others+=("$client")
	wait_for 10 nonempty out
	from=$(now_ms)
	kill -STOP "$client"
	wait_for 20 is n .queued 0
	kill -STOP "$pid"
	kill -CONT "$client"
	kill -CONT "$pid"
	(($(now_ms) - from > 4000)) || short=yes # nobody has missed three heartbeats
	ends 0 "$client"
	[ "$(sort out | tr '\n' ' ')" = "1 2 3 4 5 6 7 8 " ]
	[ -z "$short" ] || [ ! -s err ]
}

# ---- strangers

@test "garbage, HTTP and an old TLS are a line each, and the node goes on" {
	serve n
	printf 'GET / HTTP/1.0\r\n\r\n' | timeout 10 bash -c 'exec 9<>"/dev/tcp/127.0.0.1/$0"; cat >&9; cat <&9 >/dev/null' "$port" || true
	head -c 3000 /dev/urandom | timeout 10 bash -c 'exec 9<>"/dev/tcp/127.0.0.1/$0"; cat >&9; cat <&9 >/dev/null' "$port" || true
	timeout 10 openssl s_client -tls1_2 -connect "127.0.0.1:$port" </dev/null >/dev/null 2>&1 || true
	timeout 10 openssl s_client -tls1_3 -connect "127.0.0.1:$port" </dev/null >/dev/null 2>&1 || true
	wait_for 10 lines_are n.log 4
	run -0 run_jobs echo ::: still
	[ "$output" = still ]
	[ "$(wc -l <n.log)" -le 6 ]
	[ "$(grep -cv '^pnode: 127.0.0.1:' n.log)" = 0 ]
}

@test "another key is refused with 77, and told once" {
	serve n
	pnode keygen "$PWD/other"
	PCORE_KEY=$PWD/other run -77 timeout 60 pnode status "127.0.0.1:$port"
	wait_for 5 nonempty n.log
	[ "$(wc -l <n.log)" = 1 ]
	run -0 pnode status "127.0.0.1:$port"
}

@test "idle connections of strangers leave room for others" {
	serve n
	bash -c 'for i in $(seq 200); do exec {fd}<>"/dev/tcp/127.0.0.1/$0" || :; done; touch full; exec sleep 60' "$port" 2>/dev/null 3>&- &
	others+=($!)
	wait_for 20 exists full
	run -0 timeout 60 pnode status n
	wait_for 30 answers_by_tcp
	run -0 run_jobs echo ::: yes
	[ "$output" = yes ]
	kill -KILL "${others[0]}"
}
answers_by_tcp() { pnode status --timeout 10 "127.0.0.1:$port" >/dev/null 2>&1; }

# ---- the console

@test "on a terminal the node is a console" {
	pnode keygen
	mkfifo keys
	script -qec "pnode serve ${as_node[*]} --name n" typescript <keys >screen 2>&1 3>&- &
	others+=($!)
	exec 8>keys
	wait_for 10 is n .state serving
	echo stop >&8
	wait_for 10 is n .state stopped
	echo start >&8
	wait_for 10 is n .state serving
	echo cpus 9 >&8
	wait_for 10 is n .cpus 9
	echo drain >&8
	wait_for 10 is n .state draining
	echo hello >&8
	wait_for 10 grep -q 'n: .*draining; 9 of' screen
	echo quit >&8
	ends 0 "${others[0]}"
	exec 8>&-
}

# ---- jobs

@test "each job has a directory of its own, which is its TMPDIR and goes with it" {
	serve n --cpus 1
	run -0 run_jobs sh -c 'pwd; echo $TMPDIR; stat -c %a .; touch left; mkdir -p a/b; chmod 0 a' ::: 1
	[ "${lines[0]}" = "${lines[1]}" ]
	[ "${lines[2]}" = 700 ]
	[[ "${lines[0]}" == "$TMPDIR/pnode."* ]]
	[ ! -e "${lines[0]}" ]
}

@test "jobs are told which resources with names they have" {
	serve n --cpus 2 --resource 'gpu=[a0,a1]' --resource disk=3
	run -0 run_jobs --resource gpu=2 sh -c 'echo $PCORE_RESOURCE_GPU $CUDA_VISIBLE_DEVICES $PCORE_NODE' ::: 1
	[ "$output" = "a0,a1 a0,a1 n" ]
}
