/* SPDX-License-Identifier: MIT */
/*
 * client_private.h - what the parts of a private cluster share: client.c (the executor and its scheduler), client_node.c (what
 * nodes say and are told).
 */
#ifndef PCORE_CLUSTER_CLIENT_PRIVATE_H
#define PCORE_CLUSTER_CLIENT_PRIVATE_H

#include "libcore/cluster/client.h"
#include "libcore/cluster/link.h"

struct cluster;

/* The name of a node, and what that has done. It lives as long as the executor, as results point to it. */
struct cluster_name {
	struct pcore_list link;
	bool member; /* not a scheduler */
	uint64_t jobs;
	int64_t job_ns;
	uint64_t sent, received;
	unsigned running;
	char text[];
};

/* A job of the pool, from start() to its end. */
struct cluster_run {
	struct cluster *cluster;
	struct pcore_job *job;
	struct pcore_cluster_kind *kind; /* NULL: all are of one */
	struct link_job at;
	struct pcore_list all;
	char **args; /* in one block */
	unsigned slot;
	struct cluster_name *where; /* it was said to run; or NULL */
	bool cancelled;
	bool fed;	 /* its input has begun, and is not over */
	int input_error; /* what was to be read cannot be */
};

/* A worker that has written to standard error. */
struct cluster_worker {
	struct pcore_list link;
	struct link *on;
	uint64_t id;
	unsigned number;
};

struct cluster {
	struct pcore_executor ex; /* first */
	struct link_host host;
	struct pcore_cluster_spec spec;
	uint64_t client; /* the scheduler's name for us */
	struct pcore_list links, runs, names, workers;
	struct pcore_spare spare; /* for runs */
	unsigned n_workers; /* numbers that were given out */
	struct cluster_name **numbers; /* as the scheduler calls them */
	size_t n_numbers;
	struct pcore_buf env, template; /* bodies, for each node */
	bool described;
	struct pcore_op tick, pump, hungry;
	unsigned under_way, running, n_links_up;
	uint64_t capacity; /* jobs that may be under way */
	bool *slots;	   /* taken ones */
	size_t n_slots;
	int64_t alone_since; /* no node since then; INT64_MAX: there is one */
	bool given_up, told_no_node, node_came;
	bool dry; /* no new job comes */
};

/* ---- client.c ---- */

/* The one there is, or a new one; NULL without memory. */
struct cluster_name *cluster_name(struct cluster *c, const char *name);
struct cluster_run *cluster_find(struct cluster *c, uint64_t id);
void cluster_pump_soon(struct cluster *c);
void cluster_count_nodes(struct cluster *c);
void cluster_look_for_hope(struct cluster *c); /* one node less will ever come: give up if it was the last */
void cluster_tell(struct cluster *c, enum pcore_cluster_event ev, const char *name, const char *why, int code, const struct pcore_job *job);

/* It was said to run there; NULL: not any more. */
void cluster_begun(struct cluster_run *run, struct cluster_name *where);

void cluster_kill_run(struct cluster_run *run);

/* ---- client_node.c ---- */

/* As the end of the run wants it: with the workers that it has. */
void cluster_close_link(struct link *l, bool now);
void cluster_end_workers(struct link *l); /* there are no more items for them */
void cluster_forget_workers(struct link *l);

/* Nobody reads the input of the attempt any more. */
void cluster_input_over(struct cluster_run *run);

extern const struct link_ops cluster_link_ops;

#endif
