/* SPDX-License-Identifier: MIT */
/*
 * ipc.h - what processes that know nothing of each other share: rings of items (ring.h), channels (channel.h), and here named
 * locks and semaphores.
 *
 * A lock is a file and a lock on it, so it is released when its holder closes it or dies, by whatever signal; nothing has
 * to be cleaned up and nothing can be left behind. Three kinds:
 *
 *   file        flock(2) on any file: excludes flock(1) and whoever uses that call; in no particular order
 *   named       fair: granted in the order of arrival, shared holders in one go between exclusive ones
 *   semaphore   fair, up to N holders
 *
 * The file of the last two holds a counter of tickets, 8 bytes, little-endian. Whoever arrives draws a ticket t, keeps the
 * byte TICKETS + t locked (open file description locks) and waits until it can lock all bytes before it: until every
 * earlier arrival has finished or died. This is a ticket lock that survives its holders. A semaphore's first in line then
 * takes the first free one of the N bytes from SLOTS on.
 *
 * The functions block and may be called from any thread; one lock is used by one thread at a time.
 */
#ifndef PCORE_IPC_H
#define PCORE_IPC_H

#include <pcore/lock.h>

#include "libcore/base/base.h"
#include "libcore/ipc/channel.h"
#include "libcore/ipc/gate.h"
#include "libcore/ipc/ring.h"

/* What programs outside have is <pcore/lock.h>, with time-outs. release and free are declared there alone. */

/* Open the lock path below dfd (AT_FDCWD is fine), made if need be with mode 0666 less the umask (a file) or 0600. The
 * descriptor is close-on-exec. A directory may be locked as a file. -errno. */
int pcore_lock_open_at(struct pcore_lock **ret, enum pcore_lock_kind kind, int dfd, const char *path);

/* Wait for the lock until deadline_ns (CLOCK_MONOTONIC; 0: do not wait, INT64_MAX: for ever). n: holders of a semaphore, or
 * 0: as many as were set.
 * 0, -EBUSY when it is not to be had now (deadline 0), -ETIMEDOUT, -EALREADY when it is held, -errno. */
int pcore_lock_acquire_until(struct pcore_lock *l, bool shared, unsigned n, int64_t deadline_ns);
void pcore_lock_set_holders(struct pcore_lock *l, unsigned n);

#endif
