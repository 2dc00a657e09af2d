/* SPDX-License-Identifier: MIT */
/*
 * thread.h - threads, what they wait for, and a pool of them that runs functions.
 *
 * A thin layer on pthreads. Times are int64_t nanoseconds on CLOCK_MONOTONIC, counted from the call: PCORE_FOREVER waits
 * without a limit, 0 does not wait. A call that waited in vain returns -ETIMEDOUT. What *_new() makes is freed by *_free(),
 * which takes NULL, and which nobody else may be in the midst of. Any thread may call any function with any object;
 * exceptions are said. The functions of mutexes, conditions and so on that can only succeed return void.
 * Every struct that a caller fills in begins with its size; a smaller one is an older one, and what it lacks is zero. A new
 * thread blocks the signals that its starter blocks. pcore_thread(3) has the details.
 */
#ifndef PCORE_THREAD_H
#define PCORE_THREAD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define PCORE_FOREVER INT64_MAX

/* ---- threads ---- */

struct pcore_thread;

struct pcore_thread_spec {
	size_t size;		   /* sizeof(struct pcore_thread_spec) */
	int64_t (*fn)(void *arg); /* what it runs; what this returns is for those who join it */
	void *arg;
	const char *name;  /* is copied; /proc shows its first 15 bytes. NULL: that of the program */
	size_t stack_size; /* bytes; 0: the usual */
};

/* 0, -EINVAL (no function, a size that no library knows), -E2BIG (it says what this library does not know), -ENOMEM. */
int pcore_thread_new(struct pcore_thread **ret, const struct pcore_thread_spec *spec);

/* Free the handle, once. A thread that runs goes on by itself and is cleared away when it ends. */
void pcore_thread_free(struct pcore_thread *t);

/* Once. When it returns, the thread runs and has its name. -EALREADY: it was started before; -EAGAIN: no more threads; -EINVAL: the
 * stack is too small. */
int pcore_thread_start(struct pcore_thread *t);

/* Wait for its end, as often as you like. *ret (may be NULL) is what its function returned. -ETIMEDOUT; -EINVAL: it was not
 * started; -EDEADLK: it is the caller. */
int pcore_thread_join(struct pcore_thread *t, int64_t timeout, int64_t *ret);

int pcore_thread_alive(const struct pcore_thread *t); /* 1: started and not ended */
pid_t pcore_thread_id(const struct pcore_thread *t);  /* the kernel's (gettid), or 0 before the start */
const char *pcore_thread_name(const struct pcore_thread *t); /* "" without one; it stays t's */

/* ---- mutex ---- */

struct pcore_mutex;

enum {
	PCORE_MUTEX_RECURSIVE = 1 << 0, /* its owner may lock it again, and unlocks it as often */
	PCORE_MUTEX_ROBUST = 1 << 1,	/* the end of its owner unlocks it */
};

/* 0, -EINVAL (flags), -ENOMEM. It is freed unlocked. */
int pcore_mutex_new(struct pcore_mutex **ret, unsigned flags);
void pcore_mutex_free(struct pcore_mutex *m);

/* 0; 1: it is locked, but its last owner ended with it, and what it guards may be half done (ROBUST only). -ETIMEDOUT: another
 * has it; -EDEADLK: the caller has it and it is not recursive; -EAGAIN: too often. */
int pcore_mutex_lock(struct pcore_mutex *m, int64_t timeout);
int pcore_mutex_unlock(struct pcore_mutex *m);	   /* 0, -EPERM: the caller does not have it */
int pcore_mutex_held(const struct pcore_mutex *m); /* 1: by the caller */

/* ---- condition ---- */

struct pcore_cond;

/* To be used with m locked. 0, -ENOMEM. It is freed before m, when nobody waits. */
int pcore_cond_new(struct pcore_cond **ret, struct pcore_mutex *m);
void pcore_cond_free(struct pcore_cond *c);

/* Unlock m (a recursive one as often as it takes), wait to be notified, and lock it as it was, in any case. There are no wake-ups
 * without a reason. 0 or 1 as from pcore_mutex_lock(), -ETIMEDOUT, -EPERM: m is not the caller's. */
int pcore_cond_wait(struct pcore_cond *c, int64_t timeout);

/* Wait until ready(arg), which is called with m locked, is not 0. The time-out is that of the whole. */
int pcore_cond_wait_for(struct pcore_cond *c, int (*ready)(void *arg), void *arg, int64_t timeout);

/* Wake those up to n that have waited longest, and none that comes later. How many they are, -EPERM. */
int pcore_cond_notify(struct pcore_cond *c, unsigned n);
int pcore_cond_notify_all(struct pcore_cond *c);

/* ---- event ---- */

struct pcore_event;

int pcore_event_new(struct pcore_event **ret); /* clear. 0, -ENOMEM */
void pcore_event_free(struct pcore_event *e);
void pcore_event_set(struct pcore_event *e); /* all who wait go on, even if it is cleared at once */
void pcore_event_clear(struct pcore_event *e);
int pcore_event_is_set(struct pcore_event *e);
int pcore_event_wait(struct pcore_event *e, int64_t timeout); /* 0, -ETIMEDOUT */

/* ---- semaphore ---- */

struct pcore_thread_sem;

/* value of max are free. 0, -EINVAL (value above max, or max 0), -ENOMEM. */
int pcore_thread_sem_new(struct pcore_thread_sem **ret, unsigned value, unsigned max);
void pcore_thread_sem_free(struct pcore_thread_sem *s);
int pcore_thread_sem_acquire(struct pcore_thread_sem *s, int64_t timeout); /* one. 0, -ETIMEDOUT */
int pcore_thread_sem_release(struct pcore_thread_sem *s, unsigned n);	   /* 0, -EOVERFLOW: more than max; none is released */
unsigned pcore_thread_sem_value(struct pcore_thread_sem *s);

/* ---- barrier ---- */

struct pcore_barrier;

/* For so many threads. action (may be NULL) is run by one of them when all are there, before any goes on; it may not use
 * the barrier, and unless it returns 0 the barrier breaks. 0, -EINVAL, -ENOMEM. */
int pcore_barrier_new(struct pcore_barrier **ret, unsigned parties, int (*action)(void *arg), void *arg);
void pcore_barrier_free(struct pcore_barrier *b);

/* A number of its own for each of the parties, from 0. -EPIPE: it is broken, or broke meanwhile, which the time-out of one does,
 * too: for all. */
int pcore_barrier_wait(struct pcore_barrier *b, int64_t timeout);
void pcore_barrier_abort(struct pcore_barrier *b); /* break it */
void pcore_barrier_reset(struct pcore_barrier *b); /* who waits gets -EPIPE; then it is as new */
int pcore_barrier_broken(struct pcore_barrier *b);

/* ---- a bounded queue between threads ---- */

struct pcore_workqueue;

/* Of at most max pointers. 0, -EINVAL, -ENOMEM. What is in it when it is freed is the caller's problem. */
int pcore_workqueue_new(struct pcore_workqueue **ret, size_t max);
void pcore_workqueue_free(struct pcore_workqueue *q);
int pcore_workqueue_put(struct pcore_workqueue *q, void *item, int64_t timeout);	 /* 0, -ETIMEDOUT: full, -EPIPE: closed */
int pcore_workqueue_get(struct pcore_workqueue *q, void **ret, int64_t timeout); /* 0, -ETIMEDOUT: empty, -ENODATA: and closed */
void pcore_workqueue_close(struct pcore_workqueue *q);				 /* nothing more comes in */
size_t pcore_workqueue_count(struct pcore_workqueue *q);

/* An item that was taken is done with: 0, -EINVAL: more than were taken. Wait until all are that were ever put: 0, -ETIMEDOUT. */
int pcore_workqueue_done(struct pcore_workqueue *q);
int pcore_workqueue_join(struct pcore_workqueue *q, int64_t timeout);

/* ---- threads that run functions ---- */

struct pcore_threads;
struct pcore_future;

struct pcore_threads_spec {
	size_t size;	    /* sizeof(struct pcore_threads_spec) */
	unsigned threads;   /* 0: one for each CPU that this thread may use */
	size_t queue_max;   /* functions that may wait for a thread; 0: as many as there is memory */
	const char *name;   /* of the threads: NAME-1, ...; is copied; NULL: none */
	int (*init)(void *arg); /* run by each thread at first; may be NULL */
	void *arg;
};

/* Returns when all threads are there. What init returned, where it was not 0 (a negative errno by custom): then there are no
 * threads. -EINVAL, -E2BIG (see pcore_thread_new()), -EAGAIN, -ENOMEM. */
int pcore_threads_new(struct pcore_threads **ret, const struct pcore_threads_spec *spec);

/* One thread more, which is there when it returns. What init returned in it, where it was not 0: then it has ended. -ESHUTDOWN,
 * -EAGAIN, -ENOMEM. */
int pcore_threads_add(struct pcore_threads *t);

/* Run all that was submitted, then end. Not from one of its threads. Futures outlive it. */
void pcore_threads_free(struct pcore_threads *t);

/* Have fn(arg) run by the next thread that is free, in the order of submission. By custom a negative result is an error. *ret
 * is to be freed by pcore_future_free(); ret may be NULL. -ETIMEDOUT: the queue is full; -ESHUTDOWN, -ENOMEM. */
int pcore_threads_submit(
	struct pcore_threads *t, int64_t (*fn)(void *arg), void *arg, int64_t timeout, struct pcore_future **ret);

/* Take no more. With cancel, cancel what waits. Then wait until all threads have ended: 0; -ETIMEDOUT: call it again to go on
 * waiting; -EDEADLK: one of them is the caller (who may say 0, which does not wait). */
int pcore_threads_shutdown(struct pcore_threads *t, int cancel, int64_t timeout);

/* ---- what comes of it ---- */

void pcore_future_free(struct pcore_future *f); /* fn is run all the same */

/* 0, and *ret (may be NULL) is what fn returned. -ETIMEDOUT: it has not yet; -ECANCELED. */
int pcore_future_result(struct pcore_future *f, int64_t timeout, int64_t *ret);

/* Have it never run. 0; -EBUSY: it runs; -EALREADY: it did. */
int pcore_future_cancel(struct pcore_future *f);
int pcore_future_running(const struct pcore_future *f);
int pcore_future_done(const struct pcore_future *f); /* or cancelled */

/* Call fn when it is done or cancelled, by the thread that ran or cancelled it, in the order in which they were added; at once if
 * it is done already. f is valid in fn. 0, -ENOMEM. */
int pcore_future_then(struct pcore_future *f, void (*fn)(struct pcore_future *f, void *arg), void *arg);

enum {
	PCORE_WAIT_ALL,
	PCORE_WAIT_FIRST,	/* until one is done */
	PCORE_WAIT_FIRST_ERROR, /* until one has a negative result or was cancelled, or all are done */
};

/* Wait for these. 0, -ETIMEDOUT, -EINVAL, -ENOMEM. NULLs among them count for nothing. */
int pcore_futures_wait(struct pcore_future *const *f, size_t n, int how, int64_t timeout);

/* The next one that is done: it is in *ret and is replaced by NULL wherever it stands in f. 1; 0: there are only NULLs;
 * -ETIMEDOUT, -ENOMEM. */
int pcore_futures_next(struct pcore_future **f, size_t n, int64_t timeout, struct pcore_future **ret);

/* ---- a function over many ---- */

struct pcore_mapping;

enum { PCORE_MAPPING_AS_COMPLETED = 1 << 0 }; /* else in order */

/* Run fn for each of n things of item_size bytes that begin at items, which have to last until the mapping is freed. The time-out
 * is that of all of it. Threads that are added later take no part. 0, -ETIMEDOUT (a bounded queue), -EINVAL, -ESHUTDOWN, -ENOMEM. */
int pcore_threads_map(struct pcore_mapping **ret, struct pcore_threads *t, int64_t (*fn)(void *item), void *items, size_t item_size,
	size_t n, unsigned flags, int64_t timeout);

/* 1: the next result, and which item it is of, from 0 (both may be NULL; -ECANCELED is the result of a cancelled one). 0: there are
 * no more; -ETIMEDOUT. For one thread at a time. */
int pcore_mapping_next(struct pcore_mapping *m, size_t *ret_index, int64_t *ret_result);

/* Cancel what was not begun and wait for what was. */
void pcore_mapping_free(struct pcore_mapping *m);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
