/* SPDX-License-Identifier: MIT */
/*
 * timer.h - call a function later, or every so often: from a loop, or in a thread of its own.
 *
 * Times are ns on CLOCK_MONOTONIC. What is periodic is due at start + n * every, however late a call was: it does not drift,
 * and what was missed is counted and not caught up.
 */
#ifndef PCORE_INCLUDE_TIMER_H
#define PCORE_INCLUDE_TIMER_H

#include <pcore/loop.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ---- on a loop, as loop.h says ---- */

struct pcore_timer;

/* n: how often it was due since it was called last, 1 if it is in time. */
typedef void (*pcore_timer_fn)(struct pcore_timer *timer, uint64_t n, void *arg);

/* Call fn after so many ns, and then, unless every is 0, every so many. 0; -EINVAL (less than 0), -EPERM, -ENOMEM. */
int pcore_timer_start(
	struct pcore_timer **ret, struct pcore_evloop *lp, int64_t after, int64_t every, pcore_timer_fn fn, void *arg);

/* Stop it and free it, whether it has fired or not; fn is not called any more. From fn, too. NULL is fine. */
void pcore_timer_stop(struct pcore_timer *timer);

/* ---- in a thread of its own; any thread may call these ---- */

struct pcore_alarm;

/* The same, but fn is called by a thread that does nothing else and in which all signals are blocked; what was missed is not told. 0;
 * -EINVAL, -EAGAIN, -ENOMEM. */
int pcore_alarm_start(struct pcore_alarm **ret, int64_t after, int64_t every, void (*fn)(void *arg), void *arg);

/* Let it not fire any more. 0; -EALREADY when it has fired for the last time, or does so now. Returns at once: fn of a periodic one
 * may be running. */
int pcore_alarm_cancel(struct pcore_alarm *alarm);

/* Wait until it has fired for the last time (and fn has returned) or was cancelled. 0, -ETIMEDOUT; -EDEADLK from fn. */
int pcore_alarm_wait(struct pcore_alarm *alarm, int64_t timeout);

/* Cancel it, wait for fn if it is running (unless this is fn), and free it. NULL is fine. */
void pcore_alarm_free(struct pcore_alarm *alarm);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
