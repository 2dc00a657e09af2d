/* SPDX-License-Identifier: MIT */
/*
 * loop.h - wait for many descriptors and timers in one thread, and be called back.
 *
 * A loop and what is on it belong to the thread that made it: other threads get -EPERM. pcore_evloop_stop() is for all of
 * them; to free or to stop something in another thread does nothing. Callbacks come from pcore_evloop_run() and
 * pcore_evloop_run_once() only; they may start and stop anything, but not run the loop (-EBUSY) nor free it. While a loop
 * exists SIGPIPE is blocked in its thread. pcore_loop(3) has the details.
 */
#ifndef PCORE_INCLUDE_LOOP_H
#define PCORE_INCLUDE_LOOP_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#ifndef PCORE_FOREVER
#define PCORE_FOREVER INT64_MAX
#endif

struct pcore_evloop;
struct pcore_watch;

enum {
	PCORE_EVLOOP_EMBED = 1 << 0, /* it has a descriptor, for another loop to wait on */
	PCORE_EVLOOP_EPOLL = 1 << 1, /* on epoll, which is what one that is embedded has anyway */
	PCORE_EVLOOP_URING = 1 << 2, /* on io_uring or not at all. With neither: on the better one that can be had */
};

/* 0; -EINVAL (also URING with one of the others), -EMFILE, -ENOMEM; with URING what the kernel says. */
int pcore_evloop_new(struct pcore_evloop **ret, unsigned flags);

/* Free it with all watches and timers that are on it. NULL is fine. */
void pcore_evloop_free(struct pcore_evloop *lp);

/* Wait and call back until pcore_evloop_stop(), or until nothing is left to wait for. 0, -EBUSY, -EPERM. */
int pcore_evloop_run(struct pcore_evloop *lp);

/* The same until something was called, or for timeout ns. How many were, 0 for none; -EBUSY, -EPERM. */
int pcore_evloop_run_once(struct pcore_evloop *lp, int64_t timeout);

/* Let run (the present one, or the next) return. From any thread, from callbacks and from signal handlers. */
void pcore_evloop_stop(struct pcore_evloop *lp);

/* With EMBED: a descriptor that is readable when pcore_evloop_run_once(lp, 0) has something to do. It stays the loop's. -EOPNOTSUPP
 * without. */
int pcore_evloop_fd(struct pcore_evloop *lp);

/* CLOCK_MONOTONIC in ns, as read before the callbacks of this turn. */
int64_t pcore_evloop_now(struct pcore_evloop *lp);

/* events: which of the watched ones fd is ready for; POLLERR and POLLHUP come unasked, POLLNVAL (it cannot be waited for) once. */
typedef void (*pcore_watch_fn)(struct pcore_watch *watch, int fd, unsigned events, void *arg);

/* Call fn whenever fd is ready for events (POLLIN, POLLOUT, POLLPRI), again and again as long as it is. The descriptor stays the
 * caller's, who stops the watch before closing it. -EINVAL, -EPERM, -ENOMEM. */
int pcore_watch_start(
	struct pcore_watch **ret, struct pcore_evloop *lp, int fd, unsigned events, pcore_watch_fn fn, void *arg);

/* Stop it and free it; fn is not called any more. From fn, too. NULL is fine. */
void pcore_watch_stop(struct pcore_watch *watch);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
