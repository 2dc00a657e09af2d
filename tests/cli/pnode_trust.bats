# SPDX-License-Identifier: MIT
# pnode_trust.bats - whom nodes and schedulers believe: certificates with a role in them, and keys that change.
# shellcheck shell=bash disable=SC2016,SC2154

load support
load nodes

setup() {
	nodes_setup
	command -v openssl >/dev/null || skip 'needs the openssl command'
}

teardown() { nodes_teardown; }

# authority NAME: NAME.pem and NAME.key
authority() {
	openssl req -x509 -newkey ed25519 -nodes -keyout "$1.key" -out "$1.pem" -subj "/CN=$1" -days 2 2>/dev/null
}

# certify NAME ROLE [AUTHORITY [DAYS]]: NAME.pem and NAME.key, for this role.
certify() {
	openssl req -newkey ed25519 -nodes -keyout "$1.key" -out "$1.csr" -subj "/CN=$1" 2>/dev/null
	[ -z "$2" ] || echo "subjectAltName=URI:pnode:$2:$1" >"$1.ext"
	[ -n "$2" ] || echo 'subjectAltName=DNS:example.org' >"$1.ext"
	openssl x509 -req -in "$1.csr" -CA "${3:-ca}.pem" -CAkey "${3:-ca}.key" -CAcreateserial -days "${4:-2}" -extfile "$1.ext" -out "$1.pem" 2>/dev/null
}

# tls NAME [AUTHORITY]: the options in $tls
tls() { tls=(--tls-cert "$1.pem" --tls-key "$1.key" --tls-ca "${2:-ca}.pem"); }

# one_line STATUS REGEX: what was run has ended so, and said one line about why that has nothing else in it
told_once() {
	[ "$status" = "$1" ] || { echo "status $status: $output"; return 1; }
	[ "$(grep -c "$2" <<<"$output")" = 1 ] || { echo "$output"; return 1; }
}

@test "with certificates a cluster needs no key, and roles are kept apart" {
	authority ca
	certify node node
	certify sched scheduler
	certify boss admin
	tls node
	serve n "${tls[@]}"
	tls sched
	run -0 run_jobs "${tls[@]}" echo ::: a b
	[ "$output" = $'a\nb' ]
	tls boss
	run -0 pnode status "${tls[@]}" "127.0.0.1:$port"
	[[ "$output" == "n: "*" 2 succeeded"* ]]
	[ ! -s n.log ]
	# each role is good for what it is, and for nothing else
	tls boss
	run run_jobs "${tls[@]}" echo ::: a
	told_once 77 "^psubmit: the node '127.0.0.1:$port' is of no use: .*role"
	tls sched
	run pnode status "${tls[@]}" "127.0.0.1:$port"
	told_once 77 "^pnode: cannot ask the node '127.0.0.1:$port': .*role"
	tls node
	run run_jobs "${tls[@]}" echo ::: a
	told_once 77 "is of no use: .*role"
	wait_for 5 lines_are n.log 3
	[ "$(grep -c role n.log)" = 3 ]
	[ "$(wc -l <n.log)" = 3 ]
}

@test "a node that is none by its certificate gets no jobs" {
	authority ca
	certify impostor scheduler
	certify sched scheduler
	tls impostor
	serve n "${tls[@]}"
	tls sched
	run run_jobs "${tls[@]}" touch "$TMPDIR/ran" ::: a
	told_once 77 'is of no use: .*role'
	[ ! -e "$TMPDIR/ran" ]
}

@test "certificates of another authority, without a role, or past their time are refused, in one line each" {
	authority ca
	authority other
	certify node node
	certify stranger scheduler other
	certify norole ''
	certify old scheduler ca -1
	tls node
	serve n "${tls[@]}"
	tls stranger
	run run_jobs "${tls[@]}" echo ::: a
	told_once 77 "^psubmit: the node '127.0.0.1:$port' is of no use: authentication failed: .*certificate"
	tls norole
	run run_jobs "${tls[@]}" echo ::: a
	told_once 77 "is of no use: .*certificate"
	tls old
	run run_jobs "${tls[@]}" echo ::: a
	told_once 77 "is of no use: .*expired"
	certify sched scheduler
	tls sched other
	run run_jobs "${tls[@]}" echo ::: a
	told_once 77 "is of no use: authentication failed: the peer's certificate"
	wait_for 5 lines_are n.log 4
	[ "$(wc -l <n.log)" = 4 ]
	[ "$(grep -c '^pnode: 127.0.0.1:[0-9]*: .*certificate' n.log)" = 4 ]
}

@test "a node whose certificate is past its time is refused" {
	authority ca
	certify node node ca -1
	certify sched scheduler
	tls node
	serve n "${tls[@]}"
	tls sched
	run run_jobs "${tls[@]}" echo ::: a
	told_once 77 'is of no use: .*expired'
}

@test "a key does not open what wants a certificate, nor the other way round" {
	authority ca
	certify node node
	certify sched scheduler
	tls node
	serve n "${tls[@]}"
	run run_jobs echo ::: a
	told_once 77 'is of no use: authentication failed'
	serve k
	tls sched
	run run_jobs "${tls[@]}" echo ::: a
	told_once 77 'is of no use: authentication failed'
}

@test "files that do not do are named" {
	authority ca
	certify node node
	chmod 644 node.key
	tls node
	run -125 pnode serve "${as_node[@]}" --name n "${tls[@]}" --listen 127.0.0.1:0
	[[ "$output" == "pnode: cannot use the private key 'node.key': "* ]]
	run -125 psubmit map --nodes 127.0.0.1:1 "${tls[@]}" echo ::: a
	[[ "$output" == "psubmit: cannot use the private key 'node.key': "* ]]
	chmod 600 node.key
	echo nonsense >node.pem
	run -125 psubmit map --nodes 127.0.0.1:1 "${tls[@]}" echo ::: a
	[[ "$output" == "psubmit: cannot use the certificate 'node.pem': "* ]]
	tls none
	run -125 pnode status "${tls[@]}" 127.0.0.1:1
	[[ "$output" == "pnode: cannot use the certificate 'none.pem': "* ]]
}

# own_node KEYS: a node of an ordinary user, who can read the key file again; $pid and $port
own_node() {
	local as=()
	if [ "$(id -u)" = 0 ]; then
		as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
		install -m 755 "$PCORE_BUILD/pnode" pnode
	fi
	mkdir -m 700 own
	cat "$@" >own/key
	chmod 600 own/key
	[ "$(id -u)" != 0 ] || chown -R 65534:65534 own
	PATH=$scratch:$PATH PCORE_RUNTIME_DIR=$scratch/own PCORE_KEY=$scratch/own/key "${as[@]}" pnode serve --name n --listen 127.0.0.1:0 \
		>n.out 2>n.log </dev/null 3>&- &
	pid=$!
	nodes+=("$pid")
	wait_for 10 grep -q '^listening on' n.out || { cat n.log; return 1; }
	port=$(sed -n 's/^listening on 127.0.0.1:\([0-9]*\)$/\1/p' n.out)
}

# new_keys KEYS: HUP makes the node take these.
new_keys() {
	local before
	before=$(grep -c 'keys loaded' n.log) || true
	cat "$@" >own/key
	kill -HUP "$pid"
	wait_for 10 loaded $((before + 1))
}
loaded() { [ "$(grep -c 'keys loaded' n.log)" = "$1" ]; }

@test "keys are changed without a pause: both do, and then the new one alone" {
	pnode keygen old
	pnode keygen new
	own_node old
	PCORE_KEY=old submit sh -c 'touch "$0/begun"; until [ -e "$0/go" ]; do sleep 0.02; done; echo over' "$TMPDIR" ::: 1 >out 2>err 3>&- &
	local client=$!
	others+=("$client")
	wait_for 10 exists "$TMPDIR/begun"
	PCORE_KEY=new run -77 run_jobs echo ::: a
	new_keys old new
	PCORE_KEY=old run -0 run_jobs echo ::: a
	PCORE_KEY=new run -0 run_jobs echo ::: a
	cat new old >both && chmod 600 both
	PCORE_KEY=both run -0 run_jobs echo ::: a
	new_keys new
	PCORE_KEY=new run -0 run_jobs echo ::: a
	PCORE_KEY=old run -77 run_jobs echo ::: a
	[ "$(grep -c "of no use: authentication failed: the peer does not accept key '$(cut -d: -f1 old)'" <<<"$output")" = 1 ]
	touch "$TMPDIR/go" # whoever was there stays
	ends 0 "$client"
	[ "$(cat out)" = over ]
}

@test "a Unix socket of a node that root starts is its user's" {
	need_root
	local as=(setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups)
	install -m 755 "$PCORE_BUILD/pnode" "$PCORE_BUILD/psubmit" .
	chmod 755 "$scratch"
	serve n --listen "unix:$scratch/made/s"
	[ "$(stat -c '%U %a' made)" = 'nobody 700' ]
	run -0 "${as[@]}" env PCORE_RUNTIME_DIR= XDG_RUNTIME_DIR= ./psubmit map --nodes "unix:$scratch/made/s" echo ::: a
	[ "$output" = a ]
	kill "$pid"
	wait_for 10 gone "$pid"
	[ ! -e made/s ]

	mkdir -m 700 ours
	run -125 timeout 60 pnode serve "${as_node[@]}" --name m --listen "unix:$scratch/ours/s"
	[[ "${lines[0]}" == "pnode: cannot listen on 'unix:$scratch/ours/s': "* ]]
}
