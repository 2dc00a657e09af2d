/* SPDX-License-Identifier: MIT */
/*
 * lock.c - <pcore/lock.h> over libcore/ipc.
 */
#include <fcntl.h>

#include "libcore/api/api.h"
#include "libcore/ipc/ipc.h"

int pcore_lock_open(struct pcore_lock **ret, const char *path, const struct pcore_lock_spec *spec)
{
	struct pcore_lock_spec s = { .kind = PCORE_LOCK_NAMED };
	int r = spec ? pcore_sized_in(&s, sizeof(s), spec) : 0;

	if (r < 0)
		return r;
	if (!ret || !path || s.kind < PCORE_LOCK_FILE || s.kind > PCORE_LOCK_SEMAPHORE)
		return -EINVAL;
	if ((s.kind == PCORE_LOCK_SEMAPHORE) != (s.holders > 0))
		return -EINVAL;
	r = pcore_lock_open_at(ret, (enum pcore_lock_kind)s.kind, AT_FDCWD, path);
	if (r == 0)
		pcore_lock_set_holders(*ret, s.holders);
	return r;
}

int pcore_lock_acquire(struct pcore_lock *l, int flags, int64_t timeout)
{
	if (flags & ~PCORE_LOCK_SHARED)
		return -EINVAL;
	return pcore_lock_acquire_until(l, flags & PCORE_LOCK_SHARED, 0, pcore_deadline(timeout));
}
