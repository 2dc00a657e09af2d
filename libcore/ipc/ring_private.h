/* SPDX-License-Identifier: MIT */
/*
 * ring_private.h - how the file of a ring is laid out, and the parts that ring.c is made of.
 *
 *   header | state words | links | ready heap | due heap | key buckets | id buckets | cells
 *
 * Cells are numbered from 1 and 0 is none, so that a file of zeros is an empty ring. Where a comment says "truth" it is
 * what counts after a death, all else is derived (ring.h).
 */
#ifndef PCORE_IPC_RING_PRIVATE_H
#define PCORE_IPC_RING_PRIVATE_H

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>

#include "libcore/ipc/gate.h"
#include "libcore/ipc/ring.h"

#define RING_MAGIC "PCORERNG"

enum {
	RING_VERSION = 3,
	RING_CELL = 128,
	RING_INLINE = 64,
	RING_ITEM_LIMIT = INT32_MAX, /* bytes of one item, key included */
};

/* A state word: kind | attempt << 8 | the cell of the item it replaces << 32. */
enum ring_kind {
	RING_FREE,    /* also: part of an item */
	RING_READY,
	RING_DELAYED, /* until due */
	RING_LEASED,  /* until due */
	RING_DEAD,
	RING_MARK,    /* a part of an item, while all is derived anew */
};

enum ring_place { RING_NOWHERE, RING_IN_LIST, RING_IN_READY, RING_IN_DUE, RING_IN_DEAD };

/* Truth of an item: id, forgiven, due, lease_ns, holder, len, key_len, reason_len, priority, first and the bytes. */
struct ring_head {
	uint64_t id : 48;
	uint64_t forgiven : 16; /* attempts it had behind it when it was revived */
	int64_t due;	  /* DELAYED, LEASED: until then; READY: of no meaning */
	int64_t lease_ns; /* LEASED: what it was given last */
	uint64_t holder;  /* LEASED: start time << 22 | pid, or 0; DEAD: the (real) time of that */
	uint32_t len;	  /* without the key, which comes first in the bytes */
	uint32_t priority;
	uint32_t first; /* the second cell of the bytes */
	uint32_t next;	/* in a list */
	uint32_t prev;	/* in a list; in a heap: the position */
	uint32_t key_next, id_next;
	uint16_t key_len;
	uint8_t reason_len; /* DEAD: it comes last in the bytes */
	uint8_t place;
};

struct ring_cell {
	union {
		struct {
			struct ring_head head;
			unsigned char bytes[RING_INLINE];
		};
		unsigned char more[RING_CELL];
	};
};

_Static_assert(sizeof(struct ring_head) == RING_CELL - RING_INLINE, "a head fills half a cell");
_Static_assert(sizeof(struct ring_cell) == RING_CELL, "cells have no gaps");

enum ring_gate { RING_GET, RING_PUT, RING_POLL, RING_JOIN, RING_GATES };

struct ring_counts {
	uint64_t puts, gets, acks, returns, recoveries;
};

struct ring_list {
	uint32_t first, last;
};

struct ring_header {
	char magic[8];
	uint32_t version, header_size;
	uint64_t file_size;
	uint64_t order, max_items, max_bytes, max_item;
	int64_t created_ns; /* CLOCK_MONOTONIC */
	char boot_id[40];   /* locks and times mean nothing after a reboot */

	alignas(RING_CELL) pthread_mutex_t lock; /* robust */
	_Atomic uint64_t next_id;		 /* truth */
	_Atomic uint64_t closed;		 /* truth: 0, RING_CLOSED or RING_DROPPED */
	/* hints for those that have not the lock */
	alignas(RING_CELL) _Atomic uint64_t n_ready;
	_Atomic uint64_t n_items; /* ready, delayed, leased and dead */
	_Atomic uint64_t bytes;
	uint64_t n_leased, n_held; /* held: leased with a holder */
	uint64_t n_dead;
	uint64_t fresh;		   /* cells from here on have never been used; never goes down */
	uint32_t free;		   /* used before; chained by their links */
	struct ring_list list, dead;
	uint32_t n_heap, n_due;
	struct ring_counts counts;
	alignas(RING_CELL) struct pcore_gate gate[RING_GATES];
};

enum { RING_CLOSED = 1, RING_DROPPED = 2 };

/* Where everything is, in bytes from the start of the file. */
struct ring_layout {
	uint64_t n_cells, n_buckets;
	uint64_t links, ready, due, keys, ids, cells, size;
};

struct pcore_ring {
	struct ring_header *h;
	_Atomic uint64_t *state;
	uint32_t *link, *ready, *due, *keys, *ids;
	struct ring_cell *cell;
	struct ring_layout layout;
	uint32_t n_cells;	/* cells 1 to n_cells - 1 */
	uint32_t bucket_mask;
	enum pcore_order order; /* as checked when it was opened */
	uint64_t max_items, max_bytes, max_item;
	bool one_cpu;		  /* spinning only keeps others from what is waited for */
	_Atomic unsigned spin[2]; /* how long it has been worth to spin for items, for room */
	_Atomic int64_t reaped_ns; /* when dead holders were last looked for */
};

static inline struct ring_head *ring_head(const struct pcore_ring *r, uint32_t i)
{
	return &r->cell[i].head;
}

static inline uint64_t ring_state(const struct pcore_ring *r, uint32_t i)
{
	return atomic_load_explicit(&r->state[i], memory_order_relaxed);
}

static inline enum ring_kind ring_kind(uint64_t state)
{
	return (enum ring_kind)(state & 0xff);
}

static inline uint32_t ring_attempt(uint64_t state)
{
	return (uint32_t)state >> 8;
}

/* THE store: what the program writes before it is there when it is, and what it writes after it is not there earlier. A kill
 * cuts the thread between two instructions, as a signal does, so it is the compiler that has to keep this order. */
static inline void ring_commit(struct pcore_ring *r, uint32_t i, enum ring_kind kind, uint32_t attempt, uint32_t replaces)
{
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(&r->state[i], (uint64_t)replaces << 32 | (uint64_t)attempt << 8 | kind, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
}

/* Counters that hints read are written under the lock only. */
static inline uint64_t ring_read(_Atomic uint64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

static inline void ring_add(_Atomic uint64_t *c, uint64_t n)
{
	atomic_store_explicit(c, ring_read(c) + n, memory_order_relaxed);
}

/* ---- ring_gate.c: the lock, and waiting ---- */

int ring_locks_init(struct ring_header *h);
int ring_lock(struct pcore_ring *r); /* 0; -EBADMSG: what a dead one left makes no sense */
void ring_unlock(struct pcore_ring *r);

static inline void ring_wake(struct pcore_ring *r, enum ring_gate gate)
{
	pcore_gate_wake(&r->h->gate[gate]);
}

/* Do something under the lock, and wait until it can be done. */
struct ring_try {
	int (*now)(struct pcore_ring *r, void *arg); /* with the lock; -EAGAIN: not now */
	bool (*hint)(struct pcore_ring *r, void *arg); /* without it: is it worth to try again? NULL: do not spin */
	void *arg;
	enum ring_gate gate;
	bool turns; /* one at a time is woken */
};

int ring_do(struct pcore_ring *r, const struct ring_try *t, int64_t deadline_ns);

/* ---- ring_index.c: what is derived; all with the lock ---- */

uint32_t ring_cell_alloc(struct pcore_ring *r); /* 0: there is none, though there has to be */

void ring_ready_insert(struct pcore_ring *r, uint32_t i, bool newest); /* newest: no ready item was put later */
uint32_t ring_ready_top(const struct pcore_ring *r);
void ring_due_insert(struct pcore_ring *r, uint32_t i);
static inline uint32_t ring_due_top(const struct pcore_ring *r)
{
	return r->h->n_due ? r->due[0] : 0;
}
void ring_dead_insert(struct pcore_ring *r, uint32_t i);
void ring_unplace(struct pcore_ring *r, uint32_t i); /* from the list or heap it is in */

void ring_key_insert(struct pcore_ring *r, uint32_t i);
uint32_t ring_key_find(const struct pcore_ring *r, const void *key, size_t len);
void ring_id_insert(struct pcore_ring *r, uint32_t i);
void ring_id_remove(struct pcore_ring *r, uint32_t i);
uint32_t ring_id_find(const struct pcore_ring *r, uint64_t id);

/* The item's bytes from `skip' on (the key comes first). 0 or -EBADMSG. */
int ring_bytes_read(const struct pcore_ring *r, uint32_t i, size_t skip, void *dst, size_t len);
int ring_bytes_write(struct pcore_ring *r, uint32_t i, const struct pcore_item *item);

/* The reason behind the bytes of an item, before the commit that makes it dead. 0 or -EBADMSG. Its cells free again, after
 * the commit that made it ready. */
int ring_reason_write(struct pcore_ring *r, uint32_t i, const char *reason, size_t len);
void ring_reason_free(struct pcore_ring *r, uint32_t i);

/* After the commit that made an item of this kind go: out of all indexes, its cells free. */
void ring_forget(struct pcore_ring *r, uint32_t i, enum ring_kind was);

int ring_derive(struct pcore_ring *r); /* all of it anew. 0 or -EBADMSG */

#endif
