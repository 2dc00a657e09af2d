/* SPDX-License-Identifier: MIT */
/*
 * lock.h - locks and semaphores that processes share, known by the path of a file.
 *
 * The kernel lets go of a lock when its holder closes it, ends, or is killed; no lock is ever left behind. Times are int64_t
 * nanoseconds, counted from the call: PCORE_FOREVER waits without a limit, 0 does not wait. A handle is used by one thread at
 * a time; several handles of one path exclude each other, in one process as well. pcore_lock(3) has the details.
 */
#ifndef PCORE_API_LOCK_H
#define PCORE_API_LOCK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define PCORE_FOREVER INT64_MAX

struct pcore_lock;

enum pcore_lock_kind {
	PCORE_LOCK_FILE,      /* flock(2) on any file or directory, in no order: excludes flock(1) and `prun --lock ./FILE` */
	PCORE_LOCK_NAMED,     /* a file of its own; who asks first gets it first: `prun --lock NAME` */
	PCORE_LOCK_SEMAPHORE, /* a file of its own, held by up to so many at a time, first come first served: `prun --semaphore` */
};

struct pcore_lock_spec {
	size_t size;	  /* sizeof(struct pcore_lock_spec) */
	int kind;	  /* enum pcore_lock_kind */
	unsigned holders; /* of a semaphore: at least 1; else 0 */
};

enum { PCORE_LOCK_SHARED = 1 << 0 }; /* with others that share it; a semaphore's holders are all alike */

/* Open the lock at path, which is made if need be. spec NULL: PCORE_LOCK_NAMED. 0; -EINVAL (also: the file is no regular one),
 * -E2BIG, -ENOMEM, -errno of open(2). */
int pcore_lock_open(struct pcore_lock **ret, const char *path, const struct pcore_lock_spec *spec);

/* Take it. 0; -EBUSY: not without waiting (timeout 0); -ETIMEDOUT; -EALREADY: this handle has it; -EINVAL; -EBADMSG: the file
 * is not a lock's; -ENOLCK, -ENOMEM, -EAGAIN: the system has no more locks, memory or threads. */
int pcore_lock_acquire(struct pcore_lock *l, int flags, int64_t timeout);

/* Let go, and keep the handle. 0, -EPERM: this handle does not have it. */
int pcore_lock_release(struct pcore_lock *l);

/* Let go and close. NULL is fine. The file stays: removing it while somebody uses it would make two locks of one. */
void pcore_lock_free(struct pcore_lock *l);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
