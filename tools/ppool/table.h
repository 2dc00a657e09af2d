/* SPDX-License-Identifier: MIT */
/*
 * table.h - the jobs of a named pool: which waits for which, which is next, and what became of them.
 *
 *   AFTER --the others succeeded--> QUEUED --table_next()--> RUNNING --table_finish()--> DONE, FAILED, CANCELLED
 *     \--one of them failed--> CANCELLED <--table_cancel()--/
 *
 * Pure: it starts nothing and asks nobody. A job is one block of memory; what many have in common (environments,
 * directories) is held once. The last CANCELLED_MAX cancelled jobs are remembered, for whoever asks what became of them.
 */
#ifndef PCORE_PPOOL_TABLE_H
#define PCORE_PPOOL_TABLE_H

#include "libcore/base/base.h"
#include "tools/ppool/wire.h"

enum { CANCELLED_MAX = 1024 };

/* Bytes that any number of jobs refer to. */
struct shared {
	struct pcore_map_node node;
	size_t refs, len;
	char data[];
};

enum job_state { JOB_AFTER, JOB_QUEUED, JOB_RUNNING, JOB_DONE, JOB_FAILED, JOB_CANCELLED };

/* That waiter waits for the job in whose dependents this is. */
struct edge {
	struct pcore_list link;
	struct job *waiter;
};

struct job {
	struct pcore_map_node node;
	struct pcore_list all;	      /* in the order of ids */
	struct pcore_list queue;      /* QUEUED: in it; CANCELLED: in the list of these */
	struct pcore_list dependents; /* of struct edge */
	struct edge *edges;	      /* to those that it waits for; owned */
	uint32_t n_edges, n_unmet;
	uint64_t id; /* from 1 */
	enum job_state state;
	mode_t umask;
	struct shared *env, *dir; /* references */
	int64_t timeout;
	uint64_t retries;
	bool apply, cancelling;	     /* the server's, like what follows */
	int spoilt;		     /* -errno: its output could not be kept */
	void *client;		     /* the connection that applies it or fetches its result */
	void *run, *result;
	size_t words_len, n_words;
	char words[]; /* each with its NUL */
};

struct table {
	struct pcore_map by_id, shared;
	struct pcore_list all, queue, cancelled;
	uint64_t last_id, waiting_max;
	uint64_t n_waiting, n_running, n_over, n_cancelled; /* waiting: AFTER and QUEUED; over: DONE and FAILED */
	void *ctx;
	void (*over)(void *ctx, struct job *job); /* its state is DONE, FAILED or CANCELLED from now on */
};

void table_init(struct table *t, uint64_t waiting_max);
void table_done(struct table *t); /* frees the jobs; what the server's pointers mean is gone already */

/* The shared bytes that equal data, with one more reference; NULL without memory. */
struct shared *shared_get(struct table *t, const char *data, size_t len);
void shared_put(struct table *t, struct shared *s); /* NULL is fine */

static inline bool table_is_full(const struct table *t)
{
	return t->n_waiting >= t->waiting_max;
}

/* Add a job that is QUEUED, AFTER, or CANCELLED if one of those it is to follow has failed. References to env and dir are
 * taken. -ENOENT with *ret_unknown where one of them is not there; -ENOMEM. */
int table_add(struct table *t, const struct wire_submit *s, struct shared *env, struct shared *dir, mode_t umask,
	struct job **ret, uint64_t *ret_unknown);

struct job *table_find(const struct table *t, uint64_t id);

/* The first in the queue, RUNNING from now on, or NULL. */
struct job *table_next(struct table *t);

/* A running job is DONE, FAILED or CANCELLED; those that wait for it are queued or cancelled. */
void table_finish(struct table *t, struct job *job, enum job_state how);

/* Cancel a job that waits, and those that wait for it; or all that wait. */
void table_cancel(struct table *t, struct job *job);
void table_cancel_all(struct table *t);

/* Forget a job that is DONE, FAILED or CANCELLED. */
void table_drop(struct table *t, struct job *job);

static inline bool job_is_over(const struct job *job)
{
	return job->state >= JOB_DONE;
}

#endif
