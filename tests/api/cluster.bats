#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sanitizers: no
# <pcore/cluster.h> with the cluster's other programs: a scheduler that many share, and nodes that want a certificate.
# shellcheck disable=SC2016 # variables of jobs
bats_require_minimum_version 1.5.0
load install.bash

setup_file() {
	install_library
}

# Where a scheduler and a node, which as root are nobody, can go too.
setup() {
	use_library
	umask 022
	scratch=$(mktemp -d /tmp/pcore-test.XXXXXX)
	chmod 755 "$scratch"
	cd "$scratch" || return
	mkdir -m 700 rt
	mkdir -m 1777 tmp
	export PCORE_RUNTIME_DIR=$scratch/rt PCORE_KEY=$scratch/key TMPDIR=$scratch/tmp
	unset PCORE_SCHEDULER
	as_nobody=() running=()
	[ "$(id -u)" -ne 0 ] || as_nobody=(--user nobody)
}

teardown() {
	for pid in "${running[@]}"; do
		kill "$pid" 2>/dev/null || :
		wait "$pid" || :
	done
	cd "$top" && { rm -rf "$scratch" || rm -rf "$scratch"; }
}

# wait_for COMMAND...: until it succeeds
wait_for() {
	local end=$((SECONDS + 20))
	until "$@" 2>/dev/null; do
		((SECONDS < end)) || return 1
		sleep 0.02
	done
}

# listens VERB OPTIONS...: pnode in the background, at $address
listens() {
	: >"$1.out"
	pnode "$1" "${as_nobody[@]}" --listen 127.0.0.1:0 "${@:2}" >"$1.out" 2>"$1.log" </dev/null 3>&- &
	running+=("$!")
	wait_for grep -q '^listening on 127' "$1.out" || { cat "$1.log"; return 1; }
	address=$(sed -n 's/^listening on \(127.*\)$/\1/p' "$1.out")
}

# A client of $1, or of $PCORE_SCHEDULER, that runs one job and prints what it says and what is known of its node.
client() {
	cat >client.c <<-'END'
		#include <pcore/cluster.h>
		#include <stdio.h>
		#include <stdlib.h>
		#include <string.h>

		int main(int argc, char **argv)
		{
			char *command[] = { "sh", "-c", "echo $PCORE_NODE $A $PCORE_RESOURCE_GPU", NULL }, *env[] = { "A=b", NULL };
			const char *nodes[] = { argc > 1 ? argv[1] : NULL, NULL }, *resources[] = { "gpu", NULL };
			struct pcore_cluster_client_spec spec = { .size = sizeof(spec), .exclusive = getenv("EXCLUSIVE") != NULL };
			struct pcore_cluster_client_job job = { .size = sizeof(job), .argv = command, .env = env, .labels = "disk=ssd",
				.resources = resources, .cpus = 2, .priority = 7, .dir = "/", .timeout = 60000000000 };
			struct pcore_cluster_client_result result = { .size = sizeof(result) };
			struct pcore_cluster_client_node node = { .size = sizeof(node) };
			struct pcore_cluster_client *cluster;
			struct pcore_error error;
			uint64_t id;

			if (argc > 4) {
				spec.nodes = nodes;
				spec.tls_cert = argv[2];
				spec.tls_key = argv[3];
				spec.tls_ca = argv[4];
			}
			if (pcore_cluster_client_open(&cluster, &spec, &error) < 0) {
				printf("%s: %s: %s\n", error.step, error.subject, strerror(-error.code));
				return 1;
			}
			pcore_cluster_client_submit_job(cluster, &job, &id);
			pcore_cluster_client_wait(cluster, id, PCORE_FOREVER, &result);
			printf("%s", result.out);
			for (size_t i = 0; pcore_cluster_client_node(cluster, i, &node) == 0; i++)
				printf("%s %d %u %d\n", node.name, node.state == PCORE_CLUSTER_UNKNOWN, node.cpus, (int)node.done);
			pcore_cluster_client_result_done(&result);
			pcore_cluster_client_close(cluster);
			return 0;
		}
	END
	compile client.c
}

# A scheduler, which PCORE_SCHEDULER names, and a node of it.
shared_cluster() {
	pnode keygen
	listens scheduler
	export PCORE_SCHEDULER=$address
	pnode serve "${as_nobody[@]}" --name n1 --cpus 2 --label disk=ssd --resource 'gpu=[x,y]' --sandbox none --scheduler "$address" \
		>serve.out 2>serve.log </dev/null 3>&- &
	running+=("$!")
}

@test "a handle is a client of a scheduler that many share" {
	client
	shared_cluster
	run -0 timeout 60 ./client
	[[ "$output" == $'n1 b '[xy]$'\nn1 1 0 1' ]] || { echo "$output"; false; }
	PCORE_KEY=$scratch/other run -1 timeout 60 ./client
	[ "$output" = "key: $scratch/other: No such file or directory" ]
	mkdir broken
	seq 1000 >broken/libssl.so.3
	LD_LIBRARY_PATH=$scratch/broken:${LD_LIBRARY_PATH-} run -1 timeout 60 ./client
	[[ "$output" == "tls: cannot load 'libssl.so.3': $scratch/broken/libssl.so.3: "* ]]
}

@test "a handle has the nodes of a scheduler for itself" {
	client
	shared_cluster
	psubmit async sh -c "until [ -e $scratch/go ]; do sleep 0.02; done" >first
	EXCLUSIVE=1 timeout 60 ./client >out 3>&- &
	local alone=$!
	wait_for sh -c 'psubmit async echo later >id; psubmit explain "$(cat id)" | grep -q "another client has for itself"'
	[ ! -s out ]
	touch go
	wait "$alone"
	[[ "$(cat out)" == $'n1 b '[xy]$'\nn1 1 0 1' ]] || { cat out; false; }
	[ "$(psubmit get "$(cat id)")" = later ]
}

@test "a handle proves itself with a certificate" {
	command -v openssl >/dev/null || skip 'needs the openssl command'
	openssl req -x509 -newkey ed25519 -nodes -keyout ca.key -out ca.pem -subj /CN=ca -days 2 2>/dev/null
	for role in node scheduler; do
		openssl req -newkey ed25519 -nodes -keyout $role.key -out $role.csr -subj /CN=$role 2>/dev/null
		echo "subjectAltName=URI:pnode:$role:$role" >ext
		openssl x509 -req -in $role.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out $role.pem 2>/dev/null
	done
	client
	listens serve --name n1 --cpus 2 --label disk=ssd --resource 'gpu=[x,y]' --sandbox none --tls-cert node.pem --tls-key node.key --tls-ca ca.pem
	run -0 timeout 60 ./client "$address" scheduler.pem scheduler.key ca.pem
	[[ "$output" == $'n1 b '[xy]$'\nn1 0 2 1' ]] || { echo "$output"; false; }
	run -1 timeout 60 ./client "$address" node.pem node.key ca.pem # of another role
	[[ "$output" == "node: $address: "* ]]
}
