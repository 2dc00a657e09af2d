/* SPDX-License-Identifier: MIT */
/*
 * mutex.c - a lock for processes that share memory.
 */
#include "libcore/base/clock.h"
#include "libcore/base/mutex.h"
#include "libcore/base/util.h"

int pcore_robust_mutex_init(pthread_mutex_t *m, bool inherit)
{
	pthread_mutexattr_t attr;
	int r = pthread_mutexattr_init(&attr);

	if (r != 0)
		return -r;
	r = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	if (r == 0)
		r = pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	if (r == 0 && inherit)
		r = pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	if (r == 0)
		r = pthread_mutex_init(m, &attr);
	(void)pthread_mutexattr_destroy(&attr);
	return -r;
}

#ifdef __SANITIZE_THREAD__ /* it knows the other call only */
int pcore_mutex_lock_until(pthread_mutex_t *m, int64_t deadline_ns)
{
	int64_t wall = pcore_clock_ns(CLOCK_REALTIME) + deadline_ns - pcore_now_ns();

	return pthread_mutex_timedlock(m, &(struct timespec){ wall / NS_PER_S, wall % NS_PER_S });
}
#else
int pcore_mutex_lock_until(pthread_mutex_t *m, int64_t deadline_ns)
{
	return pthread_mutex_clocklock(m, CLOCK_MONOTONIC, &(struct timespec){ deadline_ns / NS_PER_S, deadline_ns % NS_PER_S });
}
#endif
