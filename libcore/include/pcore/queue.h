/* SPDX-License-Identifier: MIT */
/*
 * queue.h - queues of items between processes: put, get, lease, acknowledge, join, close.
 *
 * A queue is known by its path. A memory queue is a file in shared memory that is lost at reboot; a durable one is a directory
 * with a log. They are those of pqueue(1). Whoever uses a queue may be killed at any moment, and it goes on for the others.
 * Times are int64_t nanoseconds, counted from the call: PCORE_FOREVER waits without a limit, 0 does not wait.
 * A handle may be used by several threads at once; not while it is freed. pcore_queue(3) has the details.
 */
#ifndef PCORE_API_QUEUE_H
#define PCORE_API_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define PCORE_FOREVER INT64_MAX

struct pcore_queue;

enum { PCORE_QUEUE_FIFO, PCORE_QUEUE_LIFO, PCORE_QUEUE_PRIORITY };

/* When what was put is on disk: when the call returns, an interval later, or when the kernel writes it. */
enum pcore_queue_sync { PCORE_QUEUE_ALWAYS, PCORE_QUEUE_INTERVAL, PCORE_QUEUE_NONE };

struct pcore_queue_spec {
	size_t size; /* sizeof(struct pcore_queue_spec) */
	int order;
	int durable; /* 1: a directory on disk */
	int sync;    /* of a durable one: enum pcore_queue_sync */
	int64_t interval; /* of PCORE_QUEUE_INTERVAL, ns */
	uint64_t max_bytes; /* of all items. 0: 8 MiB; no limit when durable */
	uint64_t max_items; /* 0: as many as there is room for */
	uint64_t max_item;  /* bytes of one item. 0: 64 MiB, and never more than max_bytes */
};

/* Open the queue at path. With spec it is made if it is missing (one that is there keeps what it was made with). 0; -ENOENT:
 * there is none, and no spec; -EINVAL (limits that contradict each other), -EOVERFLOW (that are too high for memory), -E2BIG;
 * -EBADMSG: it is damaged, or no queue; -EPROTONOSUPPORT: of another version; -ESTALE: a memory queue from before a reboot;
 * -EPERM: another user's; -EOPNOTSUPP: durable on NFS; -ENOSPC, -ENOMEM, -errno of open(2). */
int pcore_queue_open(struct pcore_queue **ret, const char *path, const struct pcore_queue_spec *spec);
void pcore_queue_free(struct pcore_queue *q); /* NULL is fine. What is in it stays */

/* End the queue at path for all who have it open (who get -ESHUTDOWN), and remove it. 0; -ENOENT, -EBADMSG: no queue; -ENOTEMPTY:
 * something else is in its directory. */
int pcore_queue_remove(const char *path);

/* ---- put ---- */

/* Put an item. 0; -EAGAIN: the queue is full (timeout 0), -ETIMEDOUT: it stayed so; -ESHUTDOWN: it is closed; -EMSGSIZE: the item
 * is over the limits; of a durable queue as well -ENOSPC, -EDQUOT, -EFBIG (nothing was done), -EIO, -ENOTRECOVERABLE (a sync has
 * failed: nobody knows what is on disk until all have closed it). Any call may return -EBADMSG: damage. */
int pcore_queue_put(struct pcore_queue *q, const void *data, size_t size, int64_t timeout);

struct pcore_queue_put {
	size_t size; /* sizeof(struct pcore_queue_put) */
	const void *data;
	size_t data_size;
	const void *key; /* NULL: none. At most 1024 bytes; no two items of a queue have the same */
	size_t key_size;
	int64_t delay;	   /* ns before which nobody gets it */
	uint32_t priority; /* lower comes first, where the order is by priority */
	int replace;	   /* 1: an item of the same key goes, instead of -EEXIST */
};

/* The same with all that an item can have. ret_id (may be NULL): its number in the queue, from 1. -EEXIST, -EINVAL, -E2BIG. */
int pcore_queue_put_item(struct pcore_queue *q, const struct pcore_queue_put *item, int64_t timeout, uint64_t *ret_id);

/* Put the first of n items, as many as there is room for, up to 256, and wait until there is room for one. How many, at least 1;
 * or as pcore_queue_put(). */
int pcore_queue_put_many(struct pcore_queue *q, const struct iovec *items, size_t n, int64_t timeout);

/* ---- get ---- */

/* Take an item. 0, and *ret is its bytes (how many: *ret_size, or NULL), with a NUL behind them that is not counted, to be freed
 * with free(). -EAGAIN: there is none (timeout 0), -ETIMEDOUT: none came; -ESHUTDOWN: closed and drained; -ENOMEM. */
int pcore_queue_get(struct pcore_queue *q, char **ret, size_t *ret_size, int64_t timeout);

/* Take up to n items, at most 256, wait for the first. How many; or as pcore_queue_get(). All bytes are in one piece of memory
 * that begins at ret[0].iov_base: free() that, and nothing else. */
int pcore_queue_get_many(struct pcore_queue *q, struct iovec *ret, size_t n, int64_t timeout);

struct pcore_queue_item {
	size_t size; /* sizeof(struct pcore_queue_item), set by the caller */
	char *data;  /* as pcore_queue_get() has it */
	size_t data_size;
	uint64_t id;
	uint32_t priority;
	uint32_t attempt;   /* how often it has been leased, this time included: a lease is known by it */
	const char *reason; /* of a dead item: why; freed with data */
	int64_t died;	    /* of a dead item: when, ns since 1970 */
	uint32_t tries;	    /* how often it has been leased since it was put or, when it had died, revived */
};

/* Lease an item: it is kept for us until we acknowledge it, and comes again when we do not within lease ns (PCORE_FOREVER: no
 * limit), when we give it back, or when this process ends. lease 0: take it. As pcore_queue_get(). */
int pcore_queue_lease(struct pcore_queue *q, int64_t lease, struct pcore_queue_item *ret, int64_t timeout);

/* Look at the item that a get would take. As pcore_queue_get() with a timeout of 0. */
int pcore_queue_peek(struct pcore_queue *q, struct pcore_queue_item *ret);

/* End a lease: the item is done; it comes again, after a delay; it never was leased; it is set aside among the dead, for a reason
 * (cut at 255 bytes). Or give it lease ns from now on (0: as many as before). 0; -ENOENT: no item with this id is leased;
 * -ESTALE: it is, by somebody who had it later. */
int pcore_queue_ack(struct pcore_queue *q, uint64_t id, uint32_t attempt);
int pcore_queue_nack(struct pcore_queue *q, uint64_t id, uint32_t attempt, int64_t delay);
int pcore_queue_untake(struct pcore_queue *q, uint64_t id, uint32_t attempt);
int pcore_queue_bury(struct pcore_queue *q, uint64_t id, uint32_t attempt, const char *reason, size_t size);
int pcore_queue_touch(struct pcore_queue *q, uint64_t id, uint32_t attempt, int64_t lease);

/* The dead item with the smallest id above after: 1; 0: there is none. Make one ready again, drop one: 0, -ENOENT. */
int pcore_queue_dead(struct pcore_queue *q, uint64_t after, struct pcore_queue_item *ret);
int pcore_queue_revive(struct pcore_queue *q, uint64_t id);
int pcore_queue_discard(struct pcore_queue *q, uint64_t id);

/* ---- the queue as a whole ---- */

/* No more puts; with drop, no more gets either. 0, -errno. */
int pcore_queue_close(struct pcore_queue *q, bool drop);

/* Wait until no item is left but dead ones; until a get would not wait. 0, -EAGAIN (timeout 0), -ETIMEDOUT. */
int pcore_queue_join(struct pcore_queue *q, int64_t timeout);
int pcore_queue_poll(struct pcore_queue *q, int64_t timeout);

/* How many items can be taken now, or -errno. By the time you look it may be another number. */
int64_t pcore_queue_size(struct pcore_queue *q);

struct pcore_queue_stat {
	size_t size; /* sizeof(struct pcore_queue_stat), set by the caller */
	uint64_t ready, leased, delayed, dead; /* items */
	uint64_t bytes;
	uint64_t puts, gets, acks, returns; /* so far; returns: leases that ended otherwise than by ack */
	uint64_t recoveries;		    /* how often somebody died in the midst of a change */
	uint64_t max_bytes, max_items, max_item;
	int64_t age; /* ns since it was made */
	int order, durable, sync, closed;
};

int pcore_queue_stat(struct pcore_queue *q, struct pcore_queue_stat *ret); /* 0, -EINVAL, -errno */

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
