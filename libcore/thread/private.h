/* SPDX-License-Identifier: MIT */
/*
 * private.h - what the files of this module share: deadlines, and structs of other sizes.
 */
#ifndef PCORE_THREAD_PRIVATE_H
#define PCORE_THREAD_PRIVATE_H

#include <pthread.h>
#include <string.h>

#include <pcore/thread.h>

#include "libcore/base/base.h"

/* On CLOCK_MONOTONIC; INT64_MAX for ever. */
static inline int64_t deadline_of(int64_t timeout)
{
	if (timeout == PCORE_FOREVER)
		return INT64_MAX;
	return timeout <= 0 ? 0 : pcore_ns_add(pcore_now_ns(), timeout);
}

/* As pthread_cond_wait(), or ETIMEDOUT. A deadline that is over is not waited for, and m is not unlocked then. */
static inline int wait_until(pthread_cond_t *c, pthread_mutex_t *m, int64_t deadline)
{
	if (deadline == INT64_MAX)
		return pthread_cond_wait(c, m);
	if (deadline == 0)
		return ETIMEDOUT;
	return pthread_cond_clockwait(c, m, CLOCK_MONOTONIC, &(struct timespec){ deadline / NS_PER_S, deadline % NS_PER_S });
}

#endif
