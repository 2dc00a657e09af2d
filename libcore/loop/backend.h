/* SPDX-License-Identifier: MIT */
/*
 * backend.h - what loop.c and its two backends know of each other. Nobody else includes it.
 *
 * A backend embeds struct pcore_loop as its first member and does the kernel's part: it starts one
 * operation, waits, and reports what came of it with pcore_loop_complete(). States, timers, the
 * ready list and the kinds that are built from a poll (exit, wall, wake: readable means that there
 * is something to fetch) belong to loop.c.
 */
#ifndef PCORE_LOOP_BACKEND_H
#define PCORE_LOOP_BACKEND_H

#include <pthread.h>

#include "libcore/loop/loop.h"

struct pcore_backend {
	const char *name;

	/* Make a zeroed loop with the backend's part set up. -errno when the kernel refuses. */
	int (*make)(struct pcore_loop **ret);
	void (*destroy)(struct pcore_loop *lp);

	/* Start op, which is PENDING; every kind but timer comes here. < 0: not started. */
	int (*start)(struct pcore_loop *lp, struct pcore_op *op);

	/* See to it that a pending op completes soon. */
	void (*cancel)(struct pcore_loop *lp, struct pcore_op *op);

	/* Complete what the kernel has done; with block wait until there is something or a timer is
	 * due. It may return early (a signal, an internal completion). 0 or -errno. */
	int (*wait)(struct pcore_loop *lp, bool block);

	/* NULL, or as pcore_loop_fd(). */
	int (*descriptor)(struct pcore_loop *lp);
};

struct pcore_loop {
	const struct pcore_backend *backend;
	struct pcore_list ready;
	struct pcore_heap timers[PCORE_CLOCK_COUNT];
	size_t live; /* ops pending or ready, the wake op excepted */
	struct pcore_op *wake;
	int wake_fd;
	int64_t now;
	pthread_t owner;
	bool stop;
	bool delivering;
	bool sigpipe_unblock; /* it was not blocked when the loop was made */
	bool sigpipe_pending; /* one was pending then */
};

extern const clockid_t pcore_loop_clocks[PCORE_CLOCK_COUNT];

extern const struct pcore_backend pcore_backend_uring;
extern const struct pcore_backend pcore_backend_epoll;

/* Take the kernel's word that op has ended with res, and make it ready for delivery (an exit op may
 * stay pending). */
void pcore_loop_complete(struct pcore_loop *lp, struct pcore_op *op, int res);

/* A read or write op's call, made here and now: with len bytes whatever happens, or only if poll(2) says that it will not
 * block (else -EAGAIN). The result or -errno. */
int pcore_loop_rw_plain(const struct pcore_op *op, size_t len);
int pcore_loop_rw_polled(const struct pcore_op *op);

/* The earliest deadline on clock, INT64_MAX when there is none. */
int64_t pcore_loop_deadline(const struct pcore_loop *lp, enum pcore_clock clock);

#endif
