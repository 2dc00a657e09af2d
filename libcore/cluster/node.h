/* SPDX-License-Identifier: MIT */
/*
 * node.h - a node: runs the jobs that schedulers assign to it over their connections.
 *
 * Each scheduler that connects has a session: the environments and templates it has sent, and its jobs. All sessions share the
 * node's CPUs; a job that does not fit waits here, those of a lower priority number ahead. A session outlives its
 * connection by grace_ns (by a second when it was reset: a scheduler that lives is back at once, unless it said STAY): whoever comes back as the
 * same instance in that time is told what there is (ADOPT_N) and goes on. Then its jobs are killed, at once if the
 * scheduler said goodbye or broke the rules.
 *
 *   job     QUEUED --a CPU is free--> RUNNING --ended, all output read--> DONE --acknowledged--> gone
 *             '--retracted--> gone      '--cancelled: as if it ended by itself--'
 *
 * A result is kept until the scheduler has acknowledged it, and output until it was taken. What a job writes is sent as
 * far as its credit goes; of the rest a little is held here, and then its pipe fills up. All that a scheduler can make
 * grow here has a limit (node_private.h); one that exceeds it is refused.
 *
 * An admin asks for the status and controls the node. One thread, the loop's.
 */
#ifndef PCORE_CLUSTER_NODE_H
#define PCORE_CLUSTER_NODE_H

#include "libcore/cluster/wire.h"
#include "libcore/net/net.h"
#include "libcore/pool/pool.h"

struct pcore_node;

struct pcore_node_resource {
	const char *name;
	uint32_t n;
	char *const *ids; /* n of them, or NULL: they have no names */
};

/* Everything is borrowed for the node's life. */
struct pcore_node_spec {
	const char *name, *software;
	unsigned cpus; /* jobs of one CPU that run at a time */
	unsigned cpus_here; /* that there are; 0: as many */
	uint64_t memory;
	char *const *labels; /* "K=V", ends with NULL; may be NULL */
	const struct pcore_node_resource *resources;
	size_t n_resources;
	/* Where each job gets a directory of its own, which goes with it. NULL: jobs run where we are. */
	const char *workdir;
	char *const *env; /* what the environment of jobs begins with; ends with NULL */
	enum pcore_sandbox_level sandbox; /* of every job, at least */
	int64_t grace_ns;

	void (*log)(void *ctx, const char *text); /* a line for people, without an end of line */
	void (*quit)(void *ctx);		  /* an admin said so; may be NULL */
	void (*idle)(void *ctx);		  /* after a shutdown: nothing is left; may be NULL */
	void *ctx;
};

/* 0, -errno with err. */
int pcore_node_new(struct pcore_node **ret, struct pcore_loop *lp, const struct pcore_node_spec *spec, struct pcore_err *err);
void pcore_node_free(struct pcore_node *n); /* after idle(); NULL is fine */

/* Take over an open connection: a scheduler's or an admin's. */
void pcore_node_serve(struct pcore_node *n, struct pcore_net_conn *c);

/* Keep a connection to this scheduler (the first address that answers). 0, -ENOMEM. */
int pcore_node_connect(struct pcore_node *n, struct pcore_net *net, const char *text, const struct pcore_net_addr *addrs, size_t n_addrs);

/* START, STOP, DRAIN_IT (what has not begun is given back), or CPUS n (which may be 0; -n: all but n): 0; -EINVAL, -ENOMEM. */
int pcore_node_control(struct pcore_node *n, enum pcore_wire_control_what what, int64_t value);

/* End everything: the jobs as how says, and the connections; idle() follows. Said again with KILL_IT it is quicker, and
 * files that jobs left may stay. */
void pcore_node_shutdown(struct pcore_node *n, enum pcore_wire_how how);

/* What there is to know; jobs is appended to the buffer the list is then in. 0, -ENOMEM. */
int pcore_node_status(struct pcore_node *n, struct pcore_wire_status *ret, struct pcore_buf *jobs);

#endif
