/* SPDX-License-Identifier: MIT */
/*
 * queue.h - queues of items between programs: put, get, leases, join, close.
 *
 * A queue is known by its file. What is behind it is a table of operations (ops.h). There are two kinds: the memory queue, a
 * file, which is a ring (libcore/ipc/ring.h) and lost at reboot; and the durable queue, a directory, which is a log
 * (libcore/store/store.h) with an index in shared memory. Whoever uses a queue may be killed at any moment: an item that a
 * put has returned for stays in the queue until it is taken, acknowledged or dropped.
 *
 * A queue's handle may be used by several threads at once. Items, ways to take and their results are those of ring.h:
 * deadline_ns is on CLOCK_MONOTONIC, 0 does not wait (-EAGAIN), INT64_MAX waits for ever.
 *
 * What a durable queue promises. When put, ack, a get without lease, a nack with a delay, bury, revive, discard or close
 * returns, what it did is on disk as far as the queue's sync says: always; or at most an interval later, as long as anybody
 * puts, takes, waits or closes; or when the kernel sees fit. A crash of programs, whenever, loses nothing of it in any case.
 *   without a lease  an item is handed out at most once: that it is gone is on disk before the get returns, and a taker that
 *                    dies then has lost it
 *   with a lease     at least once: until its ack is on disk the item comes again, when the lease ends: by nack or time, with
 *                    its holder, or with a reboot; not when nobody has the queue open. Attempts are counted up to 32767; a lease is
 *                    written to the log, but not waited for, so a crash of the machine may forget one
 * An item is there for others as soon as it is put, before its putter knows that it is on disk.
 *
 * Any operation of a durable queue may also return -ENOTRECOVERABLE (a sync has failed, and nobody knows any more what is on
 * disk: everybody gets this until all have closed it, and who waits is woken), -ENOSPC, -EDQUOT or -EFBIG (nothing was
 * done; acks and gets keep their room in the log, for over a million items), -EBADMSG (damage: pcore_queue_repair()), -EIO.
 * On a full disk leases and delays work, but do not survive.
 */
#ifndef PCORE_QUEUE_H
#define PCORE_QUEUE_H

#include <pcore/queue.h>
#include <pthread.h>
#include <stdatomic.h>

#include "libcore/ipc/ipc.h"
#include "libcore/loop/loop.h"

/* What programs outside have is <pcore/queue.h>: time-outs for deadlines, paths for directories and names, and memory of its own
 * for each item. The calls that need none of these (free, ack, nack, untake, bury, touch, revive, discard, close) are declared
 * there alone and are the same for both. Of bury: dead items keep their place in the queue's limits and their key (in a memory
 * queue the reason counts in max_bytes as well); join does not wait for them, and a closed queue is drained in spite of them. */

/* 0 takes the default; a memory queue's are ring.h's, a durable one has no limit but max_item, 64 MiB. */
struct pcore_queue_config {
	enum pcore_order order;
	uint64_t max_bytes, max_items, max_item;
	bool durable;
	enum pcore_queue_sync sync; /* of a durable queue: when a put is on disk as it returns, as in store.h */
	int64_t interval_ns;
};

struct pcore_queue_state {
	struct pcore_queue_config spec; /* as it is in force */
	uint64_t ready, leased, delayed, dead, bytes;
	uint64_t puts, gets, acks, returns, recoveries;
	int64_t age_ns;
	bool closed;
	const char *durability; /* "none": lost at reboot; "always", "interval", "unsynced" */
};

/* What opening a durable queue found: the end of its log was torn by a crash, and cut off. */
struct pcore_queue_found {
	uint64_t cut_bytes;
	uint64_t cut_records; /* whole ones among them, behind one that is not */
};

/* Make a queue. -EEXIST, -EINVAL (limits that contradict each other), -ENOSPC, -errno. */
int pcore_queue_create(int dfd, const char *name, const struct pcore_queue_config *spec);

/* Open one; with spec it is made if it is missing. -ENOENT, -EBADMSG (damaged, or no queue), -EPROTONOSUPPORT, -ESTALE
 * (from before a reboot), -errno. */
int pcore_queue_open_at(struct pcore_queue **ret, int dfd, const char *name, const struct pcore_queue_config *spec);
void pcore_queue_found(const struct pcore_queue *q, struct pcore_queue_found *ret); /* by this open */

/* End the queue for everybody who has it open, as a close that drops, and remove its file. As pcore_queue_open_at(): what is
 * no queue stays. A directory in which there is anything else than a queue's files stays, too: -ENOTEMPTY. */
int pcore_queue_remove_at(int dfd, const char *name);

struct pcore_queue_repaired {
	uint64_t items;	     /* that the copy holds */
	uint64_t records;    /* of the log, copied */
	uint64_t missing;    /* that should be there and are not */
	uint64_t bad_bytes;  /* that belong to no whole record */
	uint64_t bad_places; /* so many pieces of them */
};

/* Copy what is whole of a damaged durable queue that nobody uses to a new one (-EEXIST). An item whose removal is among what is
 * missing is there again. */
int pcore_queue_repair(int from_dfd, const char *from, int to_dfd, const char *to, struct pcore_queue_repaired *ret);

/* As pcore_ring_put(), _get(), _peek(): the first of n, and how many. */
int pcore_queue_put_until(struct pcore_queue *q, struct pcore_item *items, size_t n, bool replace, int64_t deadline_ns);
int pcore_queue_get_until(struct pcore_queue *q, struct pcore_item *items, size_t n, const struct pcore_take *how, struct pcore_buf *buf,
	int64_t deadline_ns);
int pcore_queue_peek_into(struct pcore_queue *q, struct pcore_item *item, struct pcore_buf *buf);

/* Put all n, and wait at most wait_ns for each room (0: not at all, INT64_MAX: for ever). *ret_done says how many are in,
 * on failure too. 0, or as pcore_queue_put_until(). */
int pcore_queue_put_all(struct pcore_queue *q, struct pcore_item *items, size_t n, bool replace, int64_t wait_ns, size_t *ret_done);

/* The dead item with the smallest id above `after': 1, 0 when there is none, -errno. Its bytes are appended to buf. */
int pcore_queue_dead_into(struct pcore_queue *q, uint64_t after, struct pcore_dead *ret, struct pcore_buf *buf);

int pcore_queue_join_until(struct pcore_queue *q, int64_t deadline_ns);
int pcore_queue_poll_until(struct pcore_queue *q, int64_t deadline_ns);
int pcore_queue_state(struct pcore_queue *q, struct pcore_queue_state *ret);

/* The deadline for a wait of wait_ns from now on. */
int64_t pcore_queue_deadline(int64_t wait_ns);

/* ---- a waiting get in a loop ---- */

/*
 * A watch calls ready(w, 0) from the loop once a get would not wait, or (w, -errno) when that cannot be told; then it rests
 * until it is armed again. An item may be gone by the time of the call (somebody else was quicker), so take it with a
 * deadline of 0 and arm the watch again. A watch has a thread of its own that does the waiting: any number of queues can
 * be watched by one loop.
 */
struct pcore_queue_watch {
	void (*ready)(struct pcore_queue_watch *w, int res); /* set before the start */

	/* private */
	struct pcore_queue *queue;
	struct pcore_loop *loop;
	struct pcore_op op;
	pthread_t thread;
	int told, go; /* eventfds: thread to loop, loop to thread */
	uint64_t count;
	_Atomic int result;
	_Atomic bool stop;
};

/* Start it, armed. 0 or -errno. The queue must live until the stop. */
int pcore_queue_watch_start(struct pcore_queue_watch *w, struct pcore_loop *lp, struct pcore_queue *q);
int pcore_queue_watch_again(struct pcore_queue_watch *w); /* arm it: 0 or -errno */

/* Stop it; ready() is not called any more. The op comes home with a later turn of the loop. */
void pcore_queue_watch_stop(struct pcore_queue_watch *w);

#endif
