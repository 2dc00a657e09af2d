/* SPDX-License-Identifier: MIT */
/*
 * cluster.h - between cluster.c, which has the nodes of a handle, and cluster_jobs.c, which has its jobs.
 *
 *   job   QUEUED --the pool takes it--> BEGUN --done--> ENDED --told--> freed;   QUEUED --cancelled, or no node--> ENDED
 *
 * This is in the cluster's library: what api.h declares is in the other one, and not exported there.
 */
#ifndef PCORE_API_CLUSTER_H
#define PCORE_API_CLUSTER_H

#include <pcore/cluster.h>

#include <pthread.h>

#include "libcore/cluster/cluster.h"

struct pcore_cluster_client {
	pthread_t owner;
	bool busy; /* a function waits */
	struct pcore_loop *loop;
	struct pcore_net *net, *node_net; /* as a scheduler; as the node of this machine */
	struct pcore_net_keys *keys;
	struct pcore_node *node;
	struct pcore_executor *ex;
	struct pcore_pool *pool;
	struct pcore_op limit; /* of the present wait */
	bool timed_out, up, gave_up, idle;
	int refused; /* the last -errno of a node that will never do */

	/* From the spec, copied. */
	struct pcore_cluster_client_spec spec;
	char **nodes, **env, *dir;
	char **node_env; /* of the node of this machine */
	char hostname[PCORE_NET_NAME_MAX + 1];

	struct pcore_list queue, begun, ended, mapped; /* mapped: of a map, ended or not, by map_link */
	struct pcore_map by_id;
	uint64_t last_id;
};

enum cluster_work_state { CLUSTER_QUEUED, CLUSTER_BEGUN, CLUSTER_ENDED };

struct cluster_work {
	struct pcore_job job;
	struct pcore_list link, map_link;
	struct pcore_map_node node;
	uint64_t id;
	enum cluster_work_state state;
	int error; /* instead of what the job says */
	bool cancelled, cut;
	unsigned attempt;
	char **argv; /* in one block */
	struct pcore_buf out[2];
	char where[PCORE_NET_NAME_MAX + 1];
};

/* The calls of the pool and of the executor; ctx is the handle. */
extern const struct pcore_pool_owner pcore_cc_owner;
int pcore_cc_args(void *ctx, struct pcore_job *job, char ***ret);

void pcore_cc_cut(const struct pcore_job *job); /* its node left out what was too much */

/* No job will be run any more: those that wait have ended. */
void pcore_cc_give_up(struct pcore_cluster_client *c);
void pcore_cc_free_works(struct pcore_cluster_client *c);

/* A NULL-terminated list in one block, second (or NULL) following first. NULL without memory. */
char **pcore_cc_copy(char *const *first, char *const *second);

/* One call at a time, of the owner's thread. 0, -EINVAL, -EPERM, -EBUSY. */
int pcore_cc_enter(struct pcore_cluster_client *c);
int pcore_cc_leave(struct pcore_cluster_client *c, int r); /* r */

/* Turn the loop until is(c, arg). 0, -ETIMEDOUT, -errno. */
int pcore_cc_until(struct pcore_cluster_client *c, int64_t timeout, bool (*is)(struct pcore_cluster_client *c, void *arg), void *arg);

#endif
