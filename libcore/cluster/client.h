/* SPDX-License-Identifier: MIT */
/*
 * client.h - a private cluster: the executor that runs a pool's jobs on nodes, with a scheduler of its own.
 *
 * Nodes are connected to by address, again and again, or handed over as open connections. The jobs of the pool go to the
 * scheduler; what it decides goes to the nodes; what they say comes back as the pool expects it of an executor. A job
 * that is lost with its node runs again on another, unless spec says otherwise: its output so far is forgotten.
 *
 * A connection that breaks is made anew at once, and then ever more rarely. A node that refuses it, or says goodbye, is dead;
 * one that is only silent has lost_after_ns to come back, and goes on with what it has.
 *
 * One thread, the loop's. Slots are numbered over the whole cluster: no two jobs under way have the same.
 */
#ifndef PCORE_CLUSTER_CLIENT_H
#define PCORE_CLUSTER_CLIENT_H

#include "libcore/cluster/scheduler.h"
#include "libcore/cluster/spec.h"
#include "libcore/cluster/wire.h"
#include "libcore/net/net.h"
#include "libcore/pool/pool.h"

enum pcore_cluster_event {
	PCORE_CLUSTER_UP,	   /* name is there */
	PCORE_CLUSTER_DRAINS,	   /* name takes no more jobs: why */
	PCORE_CLUSTER_GONE,	   /* name does not answer any more: why */
	PCORE_CLUSTER_UNREACHABLE, /* address, at the first try: why. It is tried again */
	PCORE_CLUSTER_REFUSED,	   /* address will never do: why (version, key); code is its -errno */
	PCORE_CLUSTER_NO_NODE,	   /* no node could ever run a job: why */
	PCORE_CLUSTER_LOST,	   /* a job was lost with a node: name; it is run again, or not: why */
	PCORE_CLUSTER_CUT,	   /* a job wrote more than it may: the rest is not there */
	PCORE_CLUSTER_GIVE_UP,	   /* no node for wait_nodes_ns: stop the pool */
};

struct pcore_cluster_news {
	enum pcore_cluster_event event;
	const char *name; /* of the node, or the address */
	const char *why;
	int code;
	const struct pcore_job *job; /* NO_NODE, LOST, CUT */
};

enum { PCORE_CLUSTER_ENV = 1, PCORE_CLUSTER_KINDS = 256 };

/*
 * What some jobs have in common, where not all have the same: the owner's, for longer than each of them. A node is told of it when
 * it gets the first; with each connection it has PCORE_CLUSTER_KINDS numbers, and what is told takes the place of what had
 * its number before.
 */
struct pcore_cluster_kind {
	uint64_t serial; /* from 1, of no other kind there ever was */
	struct pcore_buf env, template; /* bodies of an ENV and of a TEMPLATE that has it by pcore_cluster_number() */
	struct pcore_needs needs;	/* of the template */
	bool told_no_node;		/* the executor's, from false */
};

static inline uint32_t pcore_cluster_number(uint64_t serial)
{
	return (uint32_t)(serial % PCORE_CLUSTER_KINDS) + 1;
}

/* What is pointed to is borrowed for the executor's life. */
struct pcore_cluster_spec {
	struct pcore_net *net; /* our end, as a scheduler */
	struct pcore_sched_jobs jobs; /* of every job: the request, priority, what happens to a lost one; n and cookie are ours */
	unsigned jobs_max; /* under way at a time; 0: as many as the nodes take */
	int64_t wait_nodes_ns, lost_after_ns;
	bool shared; /* what is connected to is a scheduler for many, which survives its process, and knows where its jobs are */

	/* What all jobs have in common: append the bodies of an ENV, whose number is PCORE_CLUSTER_ENV, and of a TEMPLATE. Asked
	 * once, when there is a job. 0, -errno. */
	int (*describe)(void *ctx, struct pcore_buf *env, struct pcore_buf *template);
	/* Or NULL: jobs are of many kinds, and have their own priorities. It takes the place of describe() and of jobs.request. */
	struct pcore_cluster_kind *(*kind)(void *ctx, const struct pcore_job *job, int32_t *ret_priority);
	/* The arguments of a job's command, for the template: in one block, to be freed. 0, -errno. */
	int (*args)(void *ctx, struct pcore_job *job, char ***ret);
	/* The standard input of the jobs, or NULL: as struct pcore_local_spec has it. input_begin() before each attempt on a node:
	 * from the beginning. in_turn: what was read cannot be had again, so that a job is not run again which may have begun, and
	 * no piece is asked for before the one before was taken. */
	void (*input_begin)(void *ctx, struct pcore_job *job);
	int (*input)(void *ctx, struct pcore_job *job, struct pcore_piece *ret);
	void (*input_over)(void *ctx, struct pcore_job *job, uint64_t left);
	bool in_turn;
	void (*quiet)(void *ctx, struct pcore_job *job, enum pcore_wire_quiet what); /* of those that have begun; may be NULL */

	/* The jobs are items of workers, or NULL: the form of those, what an item is, and whom to tell of them. A worker's errors come
	 * with a number that no other has, on any node; pcore_cluster_resume_errors() takes it. */
	const struct pcore_worker_spec *worker;
	void (*news)(void *ctx, const struct pcore_cluster_news *n);
	void *ctx;
};

/* 0, -errno with err. Its first node is waited for from now on. */
int pcore_cluster_new(struct pcore_executor **ret, struct pcore_loop *lp, const struct pcore_cluster_spec *spec, struct pcore_err *err);

/* No pool is had for it: let go of what it has begun. When the loop has turned until it runs out of operations, its free() is due. */
void pcore_cluster_abandon(struct pcore_executor *ex);

/* Keep a connection to this node (the first address that answers). 0, -ENOMEM. */
int pcore_cluster_connect(struct pcore_executor *ex, const char *text, const struct pcore_net_addr *addrs, size_t n);

/* Take over a connection to a node, open or about to be. When it ends the node is dead. 0, -ENOMEM. */
int pcore_cluster_adopt(struct pcore_executor *ex, struct pcore_net_conn *c);

/* There is a piece of input for a job that was told there was none. It may be over at once. */
void pcore_cluster_feed(struct pcore_job *job);

void pcore_cluster_resume_errors(struct pcore_executor *ex, unsigned worker);

/* Who has done how much (cpus is 0 behind a scheduler for many), one by one from i = 0; false when there are no more. */
struct pcore_cluster_node {
	const char *name;
	uint32_t cpus;
	uint64_t jobs; /* that ended there */
	int64_t job_ns; /* for how long they ran, in all */
	uint64_t sent, received; /* bytes of arguments, and of outputs */
	unsigned running;
	bool up;
	enum pcore_wire_state state; /* as it said last, if it is up */
};
bool pcore_cluster_node(struct pcore_executor *ex, size_t i, struct pcore_cluster_node *ret);

/* How many jobs are running, as far as the nodes have said; and on how many CPUs they could. */
unsigned pcore_cluster_running(const struct pcore_executor *ex);
unsigned pcore_cluster_cpus(const struct pcore_executor *ex);

#endif
