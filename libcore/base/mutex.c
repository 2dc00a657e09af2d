/* SPDX-License-Identifier: MIT */
/*
 * mutex.c - a lock for processes that share memory.
 */
#include "libcore/base/mutex.h"

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
