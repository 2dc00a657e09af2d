/* SPDX-License-Identifier: MIT */
/*
 * future.h - a function that was submitted, as the threads and those who wait for it share it.
 *
 *   PENDING --begin--> RUNNING --complete--> DONE
 *           --cancel--> CANCELLED
 *
 * All futures of a pool of threads change under one lock, that of their hub, which lives as long as any of them: a thread
 * completes one and takes the next with a single lock. States may be read without it.
 */
#ifndef PCORE_THREAD_FUTURE_H
#define PCORE_THREAD_FUTURE_H

#include <stdatomic.h>

#include "libcore/thread/private.h"

enum { SPARE_MAX = 1024 };
enum future_state { FUTURE_PENDING, FUTURE_RUNNING, FUTURE_DONE, FUTURE_CANCELLED };

struct hub {
	pthread_mutex_t lock;
	_Atomic size_t refs; /* futures, and the pool */
	struct pcore_list spare; /* futures that nobody has */
	unsigned n_spare;
	struct pcore_threads *pool; /* as long as it takes */
};

struct callback {
	struct callback *next;
	void (*fn)(struct pcore_future *f, void *arg);
	void *arg;
};

struct pcore_future {
	struct hub *hub;
	struct pcore_list link; /* PENDING: in the queue */
	int64_t (*fn)(void *arg);
	void *arg;
	int64_t result;
	_Atomic int state;
	_Atomic unsigned refs;
	struct pcore_list watchers; /* of struct watcher */
	struct callback *callbacks, **last_callback;
};

int hub_new(struct hub **ret);
void hub_unref(struct hub *h);

/* With refs references. NULL without memory. Called with the lock. */
struct pcore_future *future_new(struct hub *h, int64_t (*fn)(void *), void *arg, unsigned refs);

/* It is over; called with the lock, which future_call() must follow without. */
void future_complete(struct pcore_future *f, int64_t result, enum future_state state);
void future_call(struct pcore_future *f);

/* After the last reference it is spare. Called with the lock. */
void future_unref_locked(struct pcore_future *f);

/* A pending one leaves the queue. Called with the lock. */
void threads_unqueue(struct pcore_threads *t, struct pcore_future *f);

/* Whether what waits in a pool of threads is to be cancelled; how many threads there are. */
bool threads_cancelling(const struct pcore_threads *t);
unsigned threads_count(const struct pcore_threads *t);

static inline bool future_over(const struct pcore_future *f)
{
	int state = atomic_load(&f->state);

	return state == FUTURE_DONE || state == FUTURE_CANCELLED;
}

#endif
