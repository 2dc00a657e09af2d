/* SPDX-License-Identifier: MIT */
/*
 * calls.h - the calls of a pool, between the file that shares them out and the one that users see.
 *
 *   task: QUEUED --given to a process--> RUNNING --answered, or the process died of it--> DONE
 */
#ifndef PCORE_API_CALLS_H
#define PCORE_API_CALLS_H

#include "libcore/api/workers.h"

enum task_state { TASK_QUEUED, TASK_RUNNING, TASK_DONE };

struct pcore_task {
	struct pcore_list link;
	struct pcore_workers *pool; /* NULL: it is gone */
	enum task_state state;
	bool dropped; /* freed by its owner while it ran */
	pcore_pool_fn fn;
	pcore_pool_star_fn star_fn;
	const void *item; /* of star_fn: its arguments */
	size_t size;	  /* of star_fn: and how many */
	struct map *map;  /* NULL: asynchronous */
	size_t index;
	void *tag;
	int status, signal;
	char *out;
	size_t out_size;
	_Alignas(FRAME_ALIGN) char copy[]; /* of an asynchronous one's item */
};

/* One call over many items, of which few are tasks at a time. */
struct map {
	pcore_pool_fn fn;
	pcore_pool_star_fn star_fn;
	const char *items;
	size_t item_size;
	const struct pcore_arg *args;
	size_t n_args;
	size_t n, next, finished;
	char *results;
	size_t result_size;
	int *statuses;
	bool failed;
};

struct pcore_workers {
	struct pcore_workers_spec spec;
	unsigned n;
	struct worker_process *procs; /* fd -EBADF: none */
	struct pollfd *polls;
	int *fds; /* of those that live, for a new one to close */
	int parent_pidfd;
	struct pcore_list queue; /* not begun, in order */
	struct pcore_list done;	 /* asynchronous ones that nobody was told of */
	struct pcore_list told;
	struct pcore_list spare; /* of a map */
	size_t n_running;
	struct map *map;
	unsigned unfit; /* in a row */
	int unfit_status;
	bool busy;
};

/* Start the processes that are missing. 0, -errno when none could be. */
int pcore_calls_start(struct pcore_workers *w);

/* Give out what there is to do, wait for something to happen, and deal with it. 0, -ETIMEDOUT, -errno. */
int pcore_calls_turn(struct pcore_workers *w, int64_t deadline);

/* Kill the processes that have tasks of m (NULL: any), all of which are then in the queue. */
void pcore_calls_abort(struct pcore_workers *w, const struct map *m);

/* It has ended. */
void pcore_calls_complete(struct pcore_workers *w, struct pcore_task *t, int status, const char *data, size_t size);

#endif
