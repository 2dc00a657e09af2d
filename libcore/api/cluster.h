/* SPDX-License-Identifier: MIT */
/*
 * cluster.h - between cluster.c, which has the nodes of a handle, cluster_jobs.c, which has its jobs, cluster_kind.c, which has what
 * these have in common, and cluster_net.c, which has connections.
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

enum { CLUSTER_ADDRS = 8 };

/* What a program proves itself with. Strings are the caller's. */
struct cluster_proof {
	const char *key_file, *tls_cert, *tls_key, *tls_ca;
	struct pcore_net_keys *keys; /* ours, or NULL */
};

/* Jobs have one each, and the handle one for those that want nothing of their own. */
struct cluster_kind {
	struct pcore_cluster_kind kind;
	struct pcore_map_node node; /* by key */
	struct pcore_buf key;
	size_t refs;
};

struct pcore_cluster_client {
	pthread_t owner;
	bool busy; /* a function waits */
	struct pcore_loop *loop;
	struct pcore_net *net, *node_net; /* as a scheduler, or one's client; as the node of this machine */
	struct cluster_proof proof;
	struct pcore_node *node;
	struct pcore_executor *ex;
	struct pcore_pool *pool;
	struct pcore_op limit; /* of the present wait */
	bool timed_out, up, gave_up, idle;
	int refused; /* the last -errno of a node that will never do */

	/* From the spec, copied. */
	struct pcore_cluster_client_spec spec;
	char **nodes, **env, *dir, *scheduler;
	char **node_env; /* of the node of this machine */
	char hostname[PCORE_NET_NAME_MAX + 1];

	struct pcore_heap queue; /* by priority */
	struct pcore_list begun, ended;
	struct pcore_list mapped, map_ended; /* of a map: all that were not told, by map_link; those that have ended, by link */
	size_t n_ended;			     /* jobs in ended */
	struct pcore_map by_id;
	uint64_t last_id;

	struct pcore_map kinds;
	struct cluster_kind *plain;
	uint64_t last_kind;
};

enum cluster_work_state { CLUSTER_QUEUED, CLUSTER_BEGUN, CLUSTER_ENDED };

struct cluster_work {
	struct pcore_job job;
	struct pcore_heap_node order; /* while it is queued: its priority */
	struct pcore_list link, map_link;
	struct pcore_map_node node;
	struct cluster_kind *kind;
	uint64_t id;
	size_t index; /* in its map */
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
struct pcore_cluster_kind *pcore_cc_kind(void *ctx, const struct pcore_job *job, int32_t *ret_priority);

void pcore_cc_cut(const struct pcore_job *job); /* its node left out what was too much */

/* No job will be run any more: those that wait have ended. */
void pcore_cc_give_up(struct pcore_cluster_client *c);
void pcore_cc_free_works(struct pcore_cluster_client *c);

/* A NULL-terminated list in one block, second (or NULL) following first. NULL without memory. */
char **pcore_cc_copy(char *const *first, char *const *second);

/* The kind of a job, with one more reference. -EINVAL, -E2BIG, -ENOMEM. */
int pcore_cc_kind_get(struct pcore_cluster_client *c, const struct pcore_cluster_client_job *j, struct cluster_kind **ret);
void pcore_cc_kind_put(struct pcore_cluster_client *c, struct cluster_kind *k); /* NULL is fine */
int pcore_cc_check_env(char *const *env);					/* 0, -EINVAL */

/* Fill in error (may be NULL). code. */
int pcore_cc_say(struct pcore_error *error, int code, const char *step, const char *subject);

bool pcore_cc_is_near(const char *address); /* it needs no proof */

/* The keys, if far (or a file) asks for them; free them. 0, -EINVAL, -errno with error. */
int pcore_cc_proof_load(struct cluster_proof *p, bool far, struct pcore_error *error);
int pcore_cc_net_new(struct pcore_net **ret, struct pcore_loop *lp, enum pcore_net_role role, const struct cluster_proof *p,
	struct pcore_error *error);

/* How many addresses text has, with names looked up: -errno with error, -ENOKEY where it has to be proven what cannot be. */
int pcore_cc_addresses(
	struct pcore_net_addr *ret, size_t max, const char *text, const struct cluster_proof *p, const char *step, struct pcore_error *error);

enum pcore_cluster_state pcore_cc_state(enum pcore_wire_state state);

/* One call at a time, of the owner's thread. 0, -EINVAL, -EPERM, -EBUSY. */
int pcore_cc_enter(struct pcore_cluster_client *c);
int pcore_cc_leave(struct pcore_cluster_client *c, int r); /* r */

/* Turn the loop until is(c, arg). 0, -ETIMEDOUT, -errno. */
int pcore_cc_until(struct pcore_cluster_client *c, int64_t timeout, bool (*is)(struct pcore_cluster_client *c, void *arg), void *arg);

#endif
