/* SPDX-License-Identifier: MIT */
/*
 * pool.h - C functions over many items in processes that stay, and many commands at a time.
 *
 * A pool's processes are copies of the program as it was when the pool was opened: functions that they call have to be in the
 * program or in a library that was loaded before, and what happens in their memory stays there. A process that crashes costs
 * the item it was at and nothing else. A pool is opened before the program starts threads that hold locks, and is used by one
 * thread at a time (-EBUSY otherwise). pcore_pool(3) has the details.
 */
#ifndef PCORE_INCLUDE_POOL_H
#define PCORE_INCLUDE_POOL_H

#include <stddef.h>
#include <stdint.h>

#include <pcore/plugin.h>
#include <pcore/process.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct pcore_workers; /* the processes of a pool */
struct pcore_task;    /* one call that was begun */

/* What a process calls: its result is the item's status, 0 being success; what it writes to out is the item's result. item is
 * aligned for any type. */
typedef int (*pcore_pool_fn)(const void *item, size_t size, struct pcore_out *out);

/* One of several arguments, and what is called with them. */
struct pcore_arg {
	const void *data;
	size_t size;
};

typedef int (*pcore_pool_star_fn)(const struct pcore_arg *args, size_t n_args, struct pcore_out *out);

enum { PCORE_POOL_ARGS_MAX = 64 };

struct pcore_workers_spec {
	size_t size;	      /* sizeof(struct pcore_workers_spec) */
	unsigned workers;     /* up to 4096; 0: one for each CPU this thread may use */
	uint64_t tasks_max;   /* calls a process serves before another takes its place; 0: no limit */
	int (*init)(void *arg); /* called first in each process; anything but 0 makes it unfit */
	void *arg;
};

/* Start the processes (spec may be NULL). 0; -EAGAIN, -ENOMEM, -EMFILE; what init said if that is an error, else -ECANCELED;
 * -EINVAL, -E2BIG. */
int pcore_pool_open(struct pcore_workers **ret, const struct pcore_workers_spec *spec);

/* Finish what was begun, end the processes and free the pool (NULL is fine). Its tasks are freed before or after. */
void pcore_pool_close(struct pcore_workers *w);
void pcore_pool_terminate(struct pcore_workers *w); /* the same at once: what was not finished is -ECANCELED */

/*
 * Call fn with each of n items of item_size bytes, an array, and put what it writes in the array results (which may be NULL), in
 * order: result_size bytes each, the rest of a shorter one zeroed; a longer one is that item's -EMSGSIZE. statuses (or NULL)
 * gets each item's: what fn returned, or -EOWNERDEAD where its process died of it.
 * 0; -EREMOTEIO when an item has failed, all others were done nevertheless; -ENOMEM; -ENOTRECOVERABLE: no process can be had;
 * -EINVAL; -EBUSY: another thread uses the pool, which any call may say.
 */
int pcore_pool_map(struct pcore_workers *w, pcore_pool_fn fn, const void *items, size_t n, size_t item_size, void *results,
	size_t result_size, int *statuses);

/* The same with n_args arguments a call, args being those of all calls one after the other. */
int pcore_pool_starmap(struct pcore_workers *w, pcore_pool_star_fn fn, const struct pcore_arg *args, size_t n, size_t n_args,
	void *results, size_t result_size, int *statuses);

/* One call, waited for. At most result_max bytes of its result (-EMSGSIZE), how many in *ret_size (or NULL). Its status. */
int pcore_pool_apply(struct pcore_workers *w, pcore_pool_fn fn, const void *item, size_t size, void *result, size_t result_max,
	size_t *ret_size);

/* Begin a call; the item is copied. It goes on while this thread waits for any task of the pool (or maps). 0 and *ret, to be freed by
 * pcore_task_free() before the pool or after it; -ENOMEM, -EINVAL. */
int pcore_pool_async(
	struct pcore_workers *w, pcore_pool_fn fn, const void *item, size_t size, void *tag, struct pcore_task **ret);

/* The next task that has ended, whichever it is; each is told once. 0, -ETIMEDOUT, -ENODATA: there is none. */
int pcore_pool_next(struct pcore_workers *w, int64_t timeout, struct pcore_task **ret);

int pcore_task_wait(struct pcore_task *t, int64_t timeout); /* 0 when it has ended, -ETIMEDOUT */

/* Of one that has ended: its status, its result (of *ret_size bytes, aligned, until it is freed), what killed its process (or 0).
 * Before: -EAGAIN, NULL, 0. */
int pcore_task_status(const struct pcore_task *t);
const void *pcore_task_result(const struct pcore_task *t, size_t *ret_size);
int pcore_task_signal(const struct pcore_task *t);
void *pcore_task_tag(const struct pcore_task *t);
void pcore_task_free(struct pcore_task *t); /* one that was not begun yet is dropped; NULL is fine */

/* ---- commands ---- */

struct pcore_commands {
	size_t size;   /* sizeof(struct pcore_commands) */
	unsigned jobs; /* at a time, up to 65536; 0: one for each CPU this thread may use */
	int unordered; /* tell of them as they end, not in their order */
	void *ctx;

	/* Describe command number i (from 0) in *spec, which is all zero but for its size; what it points to has to last until this
	 * is called again, and input until done. 0; -ENODATA: there are no more; anything else ends it all. */
	int (*next)(void *ctx, uint64_t i, struct pcore_process_spec *spec);

	/* One has ended; or (r NULL) could not be started: error says why. Output is r's until this returns. Anything but 0 ends it
	 * all: those that run are ended. */
	int (*done)(void *ctx, uint64_t i, const struct pcore_process_result *r, const struct pcore_error *error);
};

/* Run commands, so many at a time, until there are no more. 0, what next or done said, -EINVAL, -E2BIG, -errno. Any thread. */
int pcore_pool_commands(const struct pcore_commands *c);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
