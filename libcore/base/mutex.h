/* SPDX-License-Identifier: MIT */
/*
 * mutex.h - a lock for processes that share memory, any of which may die with it.
 */
#ifndef PCORE_BASE_MUTEX_H
#define PCORE_BASE_MUTEX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Process-shared and robust (the next one gets EOWNERDEAD), and with priority inheritance where asked for, which makes the
 * kernel hand it over. 0 or -errno. */
int pcore_robust_mutex_init(pthread_mutex_t *m, bool inherit);

/* Lock it until deadline_ns on CLOCK_MONOTONIC. What pthread_mutex_lock() says, or ETIMEDOUT. */
int pcore_mutex_lock_until(pthread_mutex_t *m, int64_t deadline_ns);

#endif
