/* SPDX-License-Identifier: MIT */
/*
 * client_private.h - what the parts of a private cluster share: client.c (the executor and its scheduler), client_link.c (the
 * nodes' connections).
 */
#ifndef PCORE_CLUSTER_CLIENT_PRIVATE_H
#define PCORE_CLUSTER_CLIENT_PRIVATE_H

#include "libcore/cluster/client.h"

enum { CLIENT_ADDRS = 8, CLIENT_IDS = 64 };

struct cluster;

/* A node, and how it is reached. */
struct link {
	struct pcore_list link;
	struct cluster *cluster;
	struct pcore_net_conn *conn; /* NULL: none */
	char *address;		     /* NULL: it came by itself, and is not connected to again */
	struct pcore_net_addr addrs[CLIENT_ADDRS];
	size_t n_addrs, try;	/* try: which of them is next */
	unsigned failures;	/* in a row */
	struct pcore_op retry;	/* when to connect again */
	bool opened, joined, told, refused;
	bool handle_gone;	/* the scheduler waits for it */
	char *node_body;	/* what it said of itself */
	struct pcore_wire_node node;
	const char *name; /* NULL: not known yet */
	uint64_t handle;	/* the scheduler's */
	struct pcore_buf claims; /* of struct pcore_sched_claim */
	struct pcore_buf buf;	/* frames to be sent */
	bool prepared;		/* it has the environment and the template */
	uint64_t jobs;
	int64_t job_ns;
};

/* A job of the pool, from start() to its end. */
struct cluster_run {
	struct cluster *cluster;
	struct pcore_job *job;
	struct pcore_map_node node; /* by id */
	struct pcore_list all;
	uint64_t id;
	uint32_t attempt; /* assigned last; 0: never */
	struct link *on;  /* NULL: nowhere */
	char **args; /* in one block */
	unsigned slot;
	uint16_t ids[CLIENT_IDS];
	uint16_t n_ids;
	uint64_t received[2], granted[2];
	bool refused[2]; /* the owner has no room: no more credit until resume() */
	bool begun;	 /* it was said to run */
	bool cancelled;
	bool ended;	 /* done is filled in; all of the output may not be here yet */
	struct pcore_wire_done done; /* without step and subject */
	struct pcore_job_result result;
};

struct cluster {
	struct pcore_executor ex; /* first */
	struct pcore_loop *loop;
	struct pcore_cluster_spec spec;
	struct pcore_sched *sched;
	uint64_t client; /* the scheduler's name for us */
	struct pcore_list links, runs, names;
	struct pcore_map by_id;
	struct pcore_buf env, template; /* bodies, for each node */
	bool described;
	struct pcore_op tick, pump;
	unsigned under_way, running, n_links_up;
	uint64_t capacity; /* jobs that may be under way */
	bool *slots;	   /* taken ones */
	size_t n_slots;
	int64_t alone_since; /* no node since then; INT64_MAX: there is one */
	bool closing, given_up, told_no_node, node_came;
};

/* ---- client.c ---- */

/* A copy of the name that lives as long as the executor; NULL without memory. */
const char *cluster_name(struct cluster *c, const char *name);
struct cluster_run *cluster_find(struct cluster *c, uint64_t id);
void cluster_pump_soon(struct cluster *c);
void cluster_count_nodes(struct cluster *c);
void cluster_look_for_hope(struct cluster *c); /* one node less will ever come: give up if it was the last */
void cluster_tell(struct cluster *c, enum pcore_cluster_event ev, const char *name, const char *why, int code, const struct pcore_job *job);

/* It was said to run, or not to any more. */
void cluster_begun(struct cluster_run *run, bool begun);

/* All that a run has written is here: tell the scheduler of its end. */
void cluster_settle(struct cluster_run *run);

/* ---- client_link.c ---- */

void link_act(struct link *l, const struct pcore_sched_batch *b);
void link_credit(struct cluster_run *run);
void link_signal(struct cluster_run *run, int sig);
void link_connect(struct link *l);
void link_close(struct link *l);
void link_free(struct link *l);
extern const struct pcore_net_ops link_ops;

#endif
