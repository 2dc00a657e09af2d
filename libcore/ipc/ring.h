/* SPDX-License-Identifier: MIT */
/*
 * ring.h - items in shared memory, put and taken by any number of processes, none of which has to live on.
 *
 * A ring is a file that every user maps: a header, a pool of cells of 128 bytes, one 64-bit state word and one link for each
 * cell, and indexes. An item is a cell that begins with what is known about it and the first 64 bytes of what it holds; the
 * rest is in more cells, chained by their links. It is called a ring because what it does most is what a ring does; the
 * cells are a pool, so that an item which is kept (by a lease, by a delay) stands in nobody's way.
 *
 * The algorithm
 *   1. Everything is read and written under one process-shared robust lock.
 *   2. The truth is: the state words, next_id and closed, and for each item whose state word says that it is there the cell
 *      that word belongs to (of a dead one the reason too, which stands behind its bytes). All else - free cells, order, keys, due times, counters - is derived from these.
 *   3. Each change of the truth is one store of 64 bits, and comes after everything it makes visible has been written: a
 *      put writes the item into free cells, then stores its state word. Two items change at once only when one replaces the
 *      other: the new one's state word names the old one's cell, and whoever sees that finishes the work.
 *   4. A process that dies with the lock leaves the truth before or after such a store, and the derived parts anyhow. The
 *      kernel hands the lock to the next one with EOWNERDEAD, who derives everything anew, wakes all sleepers and goes on.
 *      What a put had returned for is there, what it had not may be or not, but never in part.
 *   5. Whoever has to wait says so in the gate's `waiting` under the lock, remembers the gate's epoch, unlocks and sleeps in
 *      FUTEX_WAIT on that epoch. Whoever changes what is waited for raises the epoch and wakes BEFORE the store that commits
 *      the change, and that before the unlock. A waker that dies after its commit has woken everybody: they meet at the lock,
 *      which the kernel hands on. One that dies before has committed nothing, and the next one wakes all (4.).
 *   6. Of all who wait to put, or to get, one is woken at a time. A robust lock of its own, the gate's turn, is held by the
 *      one that sleeps at the gate; the others wait for the turn. Whoever gets it looks again before it sleeps, so that one
 *      wake-up for many items goes from hand to hand, also over those that die with it.
 *
 * There is no condition variable and nothing without the lock but hints, which only say when trying again makes sense.
 * tests/model/ring.pml is the model of 3. to 6. that is checked with spin; tests/fault/ kills for real.
 *
 * A handle may be used by several threads at once. deadline_ns is on CLOCK_MONOTONIC; 0: do not wait, INT64_MAX: for ever.
 */
#ifndef PCORE_IPC_RING_H
#define PCORE_IPC_RING_H

#include "libcore/base/base.h"

struct pcore_ring;

enum pcore_order { PCORE_FIFO, PCORE_LIFO, PCORE_PRIORITY };

enum {
	PCORE_KEY_MAX = 1024,
	PCORE_REASON_MAX = 255, /* bytes of why an item is dead */
	PCORE_RING_TAKE_MAX = 4096, /* items that one call puts or takes at most */
};

/* One item, to be put or as it was taken. */
struct pcore_item {
	const void *data;
	size_t len;
	const void *key; /* put: NULL for none */
	size_t key_len;	 /* 0 to PCORE_KEY_MAX */
	uint64_t id;	 /* from 1, in the order of the puts; set by put and get */
	uint32_t priority; /* lower comes first where the order is by priority */
	uint32_t attempt;  /* how often it has been leased, the current lease included: a lease is known by it */
	uint32_t tries;	   /* how often since it was put or, when it had died, revived */
	int64_t delay_ns;  /* put: not to be had before that much time has passed */
};

/* A dead item: nobody gets it until it is revived. Valid as long as the buffer it was read into. */
struct pcore_dead {
	struct pcore_item item;
	const char *reason;
	size_t reason_len;
	int64_t died_ns; /* realtime */
};

/* 0 takes the default. */
struct pcore_ring_spec {
	enum pcore_order order;
	uint64_t max_bytes; /* of all items together, keys included (8 MiB) */
	uint64_t max_items; /* (one for each 256 bytes of max_bytes, at least 64) */
	uint64_t max_item;  /* bytes of one item (64 MiB, and never more than max_bytes) */
};

struct pcore_ring_stat {
	struct pcore_ring_spec spec; /* as it is in force */
	uint64_t ready, leased, delayed, dead;
	uint64_t bytes;
	uint64_t puts, gets, acks, returns; /* so far; returns: leases that ended by anything but ack */
	uint64_t recoveries;		    /* times that somebody died with the lock */
	int64_t age_ns;
	bool closed;
};

/* Make the file `name' below dfd with mode 0600; it is there whole or not at all. -EEXIST, -EINVAL for limits that are too
 * large or contradict each other, -ENOSPC, -errno. */
int pcore_ring_create(int dfd, const char *name, const struct pcore_ring_spec *spec);

/* Check the file and map it. -ENOENT; -EBADMSG for a file that is no ring or a damaged one, -EPROTONOSUPPORT for one of
 * another version, -ESTALE for one that was made before the system was started, -EPERM for one that is not ours, -errno. */
int pcore_ring_open(struct pcore_ring **ret, int dfd, const char *name);
void pcore_ring_free(struct pcore_ring *r); /* NULL is fine */

/* Put the first items of n, as many as there is room for, and wait until there is room for one. Each is whole. The number
 * (>= 1; the ids are filled in), or -EAGAIN (full, deadline 0), -ETIMEDOUT, -ESHUTDOWN (closed), -EMSGSIZE (the first one is
 * over the limits), -EEXIST (its key is in use and replace is not set), -EBADMSG. A replaced item counts until the new one
 * is in. */
int pcore_ring_put(struct pcore_ring *r, struct pcore_item *items, size_t n, bool replace, int64_t deadline_ns);

/* How to take items. Without a lease they are gone from the ring; with one they are kept for their taker, who ends the lease
 * by ack (gone) or nack (back), and are back when the time is up or the holder is dead. */
struct pcore_take {
	bool lease;
	int64_t lease_ns; /* INT64_MAX: no time limit */
	uint64_t holder;  /* from pcore_ring_holder(), or 0 */
	size_t bytes_max; /* take no more than this in one go, but at least one item; 0: no limit */
};

/* Take up to n items and wait for the first. Their bytes are appended to buf, one after the other with a NUL behind each
 * (which is not counted); items[] points there until buf changes. The number (>= 1), or -EAGAIN (empty, deadline 0),
 * -ETIMEDOUT, -ESHUTDOWN (closed, and no item is left that could come back by itself), -ENOMEM, -ENOBUFS (over buf's limit), -EBADMSG. */
int pcore_ring_get(struct pcore_ring *r, struct pcore_item *items, size_t n, const struct pcore_take *how, struct pcore_buf *buf,
	int64_t deadline_ns);

/* Copy the item that a get would take: 1, or as pcore_ring_get() with a deadline of 0. */
int pcore_ring_peek(struct pcore_ring *r, struct pcore_item *item, struct pcore_buf *buf);

/* End a lease, or give it more time (lease_ns 0: what it was given last). -ENOENT: no item with this id is leased;
 * -ESTALE: it is, by a later attempt. */
int pcore_ring_ack(struct pcore_ring *r, uint64_t id, uint32_t attempt);
int pcore_ring_nack(struct pcore_ring *r, uint64_t id, uint32_t attempt, int64_t delay_ns);
int pcore_ring_touch(struct pcore_ring *r, uint64_t id, uint32_t attempt, int64_t lease_ns);

/* End a lease as if it had never been: the item is ready again and has one attempt less behind it. Only for the holder, who
 * did nothing with the item: whoever takes it next has a lease of the same name. As ack. */
int pcore_ring_untake(struct pcore_ring *r, uint64_t id, uint32_t attempt);

/* End a lease by setting the item aside, among the dead, with a reason (cut at PCORE_REASON_MAX bytes). A dead item has its
 * place and its key in the ring as before, and its reason counts in max_bytes (it is cut where there is no room); but nobody
 * waits for it: to join, and to the getters of a closed ring, it is not there. As ack. */
int pcore_ring_bury(struct pcore_ring *r, uint64_t id, uint32_t attempt, const char *reason, size_t len);

/* The dead item with the smallest id above `after': 1, 0 when there is none, -EBADMSG or as pcore_buf_add(). Its bytes and
 * its reason are appended to buf, with a NUL behind each. */
int pcore_ring_dead(struct pcore_ring *r, uint64_t after, struct pcore_dead *ret, struct pcore_buf *buf);

/* Make a dead item ready, with no try behind it, also in a closed ring; drop one. -ENOENT: no item with this id is dead. */
int pcore_ring_revive(struct pcore_ring *r, uint64_t id);
int pcore_ring_discard(struct pcore_ring *r, uint64_t id);

/* No more puts. drop: no more of what is in it either, leased and dead items included. */
int pcore_ring_close(struct pcore_ring *r, bool drop);

/* Wait until no item is left but dead ones: 0, -EAGAIN, -ETIMEDOUT, -EBADMSG. */
int pcore_ring_join(struct pcore_ring *r, int64_t deadline_ns);

/* Wait until a get would not: 0, -EAGAIN, -ETIMEDOUT, -EBADMSG; -ECANCELED after pcore_ring_cancel() with the same stop. */
int pcore_ring_poll(struct pcore_ring *r, const _Atomic bool *stop, int64_t deadline_ns);
void pcore_ring_cancel(struct pcore_ring *r, _Atomic bool *stop);

int pcore_ring_stat(struct pcore_ring *r, struct pcore_ring_stat *ret);

/* Who we are, as the holder of leases: pid and start time. 0 when /proc does not tell. */
uint64_t pcore_ring_holder(void);
bool pcore_ring_holder_is_dead(uint64_t holder);

#endif
