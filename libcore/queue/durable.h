/* SPDX-License-Identifier: MIT */
/*
 * durable.h - the parts that the durable queue is made of.
 *
 * The truth is the log (libcore/store). Its records are in pcore-wire(7), "Durable queues": durable_record.c. What is derived
 * from it is an index in shared memory, the file `index' beside the log: durable_memory.c maps it and lets it grow,
 * durable_index.c keeps it. It is guarded by the store's lock, and good as long as the store's generation is the one that it
 * was made under; otherwise it is emptied and made anew from the log by whoever finds that: durable_log.c, which compacts the
 * log as well. durable.c has the operations, durable_open.c makes, opens and removes queues.
 *
 * An operation makes room in the index, wakes who waits for it, appends its record, and changes the index; then nothing
 * can fail any more. Whoever dies in between has changed the log or has not, and the next one reads it.
 *
 * Memory of an item, in bytes: 32 for its entry, 2 for the table of ids, 4 so that a place in the heap of those that came back
 * is there when it is needed. 32 more while it is delayed or leased, 32 while it is dead, 12 in a queue with keys.
 */
#ifndef PCORE_QUEUE_DURABLE_H
#define PCORE_QUEUE_DURABLE_H

#include "libcore/queue/ops.h"
#include "libcore/store/store.h"

/* ---- durable_record.c ---- */

enum dq_type { DQ_META = 1, DQ_PUT, DQ_GONE, DQ_LEASE, DQ_NACK, DQ_BURY, DQ_REVIVE, DQ_CLOSE, DQ_STATE };

/* Flags of a record's. */
enum {
	DQ_TAKEN = 0, DQ_ACKED = 1, DQ_DISCARDED = 2, /* GONE */
	DQ_AGAIN = 1,	/* LEASE, NACK: says again what is so already, nothing happened */
	DQ_DROP = 1,	/* CLOSE */
};

enum {
	DQ_META_SIZE = 56,
	DQ_PUT_SIZE = 32,
	DQ_LEASE_SIZE = 32,
	DQ_LEASE_EACH = 16,
	DQ_NACK_SIZE = 24,
	DQ_BURY_SIZE = 24,
	DQ_STATE_SIZE = 40,
	DQ_RECORD_HEADER = 32, /* of the store's */
};

/* Bytes on disk of a record with so much data. */
static inline uint64_t dq_record_size(uint64_t len)
{
	return (len + DQ_RECORD_HEADER + 7) & ~UINT64_C(7);
}

struct dq_meta {
	struct pcore_queue_config spec;
	int64_t created_ns; /* realtime */
};

/* key and data point into the record. */
struct dq_put {
	uint64_t id, replaces;
	int64_t due_ns; /* realtime, or 0 */
	uint32_t priority;
	const char *key, *data;
	size_t key_len, len;
};

struct dq_lease {
	uint64_t boot; /* the system's, as in struct durable: the times below and the holder mean nothing in another one */
	int64_t due_ns;	  /* monotonic */
	int64_t lease_ns;
	uint64_t holder;
	size_t n;
	const uint8_t *each; /* in the record */
};

struct dq_leased {
	uint64_t id;
	uint32_t attempt, forgiven;
};

struct dq_nack {
	uint64_t id;
	int64_t due_ns; /* realtime, or 0 */
	uint32_t attempt, forgiven;
};

struct dq_bury {
	uint64_t id;
	int64_t died_ns; /* realtime */
	uint32_t attempt, forgiven;
	const char *reason;
	size_t reason_len;
};

struct dq_counts {
	uint64_t puts, gets, acks, returns;
	uint64_t recoveries; /* not in the log */
};

struct dq_state {
	uint64_t next_id;
	struct dq_counts counts;
};

/* Encoding appends to out. 0 or -ENOMEM. */
int dq_encode_meta(struct pcore_buf *out, const struct dq_meta *m);
int dq_encode_put(struct pcore_buf *out, const struct dq_put *p);
int dq_encode_id(struct pcore_buf *out, uint64_t id); /* of GONE, which has any number of them, and REVIVE */
int dq_encode_lease(struct pcore_buf *out, const struct dq_lease *l); /* without the items */
int dq_encode_leased(struct pcore_buf *out, const struct dq_leased *l);
int dq_encode_nack(struct pcore_buf *out, const struct dq_nack *n);
int dq_encode_bury(struct pcore_buf *out, const struct dq_bury *b);
int dq_encode_state(struct pcore_buf *out, const struct dq_state *s);

/* 0, or -EBADMSG for what is none. */
int dq_decode_meta(const struct pcore_record *rec, struct dq_meta *ret); /* -EPROTONOSUPPORT */
int dq_decode_put(const struct pcore_record *rec, struct dq_put *ret);
int dq_decode_ids(const struct pcore_record *rec, size_t *ret_n);
uint64_t dq_decode_id(const struct pcore_record *rec, size_t i);
int dq_decode_lease(const struct pcore_record *rec, struct dq_lease *ret);
struct dq_leased dq_decode_leased(const struct dq_lease *l, size_t i);
int dq_decode_nack(const struct pcore_record *rec, struct dq_nack *ret);
int dq_decode_bury(const struct pcore_record *rec, struct dq_bury *ret);
int dq_decode_state(const struct pcore_record *rec, struct dq_state *ret);

/* ---- the index, as it is in memory ---- */

enum dq_kind { DQ_FREE, DQ_LOOSE, DQ_LISTED, DQ_HEAPED, DQ_DELAYED, DQ_LEASED, DQ_DEAD };

enum { DQ_ATTEMPT_MAX = (1 << 15) - 1, DQ_ITEM_LIMIT = (1 << 29) - 1 /* bytes of one item, key included */ };

#define DQ_ID_MASK ((UINT64_C(1) << 48) - 1)

/* An item. Entries are numbered from 1, and 0 is none. */
struct dq_entry {
	uint64_t at; /* of its record; 0: about to be written */
	uint64_t id : 48, attempt : 15, keyed : 1;
	uint32_t size : 29, kind : 3; /* size: of its bytes, key included */
	uint32_t prev; /* in the list; in a heap: the position */
	union {
		uint32_t next;	   /* in the list, where the order is not by priority */
		uint32_t priority; /* where it is */
	};
	uint32_t id_next; /* in its bucket; of those that are free */
};

/* An item that is delayed or leased. */
struct dq_timed {
	int64_t due_ns; /* monotonic */
	int64_t lease_ns;
	uint64_t holder;
	uint32_t slot, unused;
};

struct dq_dead {
	uint64_t at, seq; /* of the record that buried it */
	uint32_t slot, unused[3];
};

struct dq_key {
	uint32_t hash, next;
};

_Static_assert(sizeof(struct dq_entry) == 32, "an entry has 32 bytes");
_Static_assert(sizeof(struct dq_timed) == 32 && sizeof(struct dq_dead) == 32, "powers of two fill a chunk");

/* The index consists of areas that grow by chunks. Arrays, but for ENTRIES, KEYS and FORGIVEN (which go by
 * entry) without gaps. */
enum dq_area {
	DQ_ENTRIES,	/* struct dq_entry */
	DQ_IDS,		/* uint32_t: first entry of a bucket */
	DQ_READY,	/* uint32_t: heap of entries that are ready and not in the list */
	DQ_TIMED,	/* struct dq_timed: heap */
	DQ_BURIED,	/* struct dq_dead: by id */
	DQ_KEYS,	/* struct dq_key */
	DQ_KEY_BUCKETS, /* uint32_t */
	DQ_FORGIVEN,	/* uint16_t: attempts that an item had behind it when it was revived; no longer than it has to be */
	DQ_AREAS
};

enum { DQ_CHUNK = 1 << 16, DQ_EXTENTS = 4096 };

enum dq_gate { DQ_GET, DQ_ROOM, DQ_POLL, DQ_JOIN, DQ_GATES };

struct dq_header {
	char magic[8];
	uint32_t version, size;
	uint64_t session; /* of the store's; the file is of no use in another one */
	struct pcore_gate gate[DQ_GATES];
	_Atomic uint64_t generation; /* of the store's that all below is good for; 0: for none */
	uint64_t next_id;
	uint64_t n_items; /* all of them */
	uint64_t n_ready, n_leased, n_held; /* held: leased with a holder */
	uint64_t bytes;	   /* of all items, keys included */
	uint64_t log_live; /* bytes of the log that the records of these items take */
	uint64_t log_all;
	uint64_t compact_at; /* not before log_all is that large */
	struct dq_counts counts;
	uint32_t closed;
	uint32_t fresh;	      /* entries from here on have never been used */
	uint32_t free;	      /* used before; chained by id_next */
	uint32_t first, last; /* of the list */
	uint32_t n_heap, n_timed, n_dead;
	uint32_t n_ids, n_key_buckets; /* buckets */
	uint64_t n_keyed;

	uint64_t file_size;
	uint32_t n_extents;
	uint32_t extent[DQ_EXTENTS]; /* area << 28 | chunks, in the order of the file */
};

struct durable {
	struct pcore_queue queue;
	pthread_mutex_t mutex; /* of this process: guards all but what never changes, and sync */
	struct pcore_store *log;
	struct pcore_store *sync; /* for commits, which threads wait for together */
	int dfd, index_fd;
	struct dq_meta meta;
	struct pcore_store_found found; /* when this process opened it */
	struct dq_header *h;
	char **chunk[DQ_AREAS]; /* as far as mapped */
	uint32_t n_chunks[DQ_AREAS];
	uint32_t n_extents;
	uint64_t mapped; /* bytes of the file */
	struct pcore_buf in, out; /* the record that was read last; records on their way out */
	struct pcore_record *recs; /* the same */
	size_t n_recs, recs_cap;
	uint64_t boot; /* which one it is: the first half of the kernel's boot_id, 0 where it cannot be known */
	int64_t wall_ns; /* while the log is read: realtime less monotonic */
	uint64_t compact_min; /* so much of the log has to be of no use */
	_Atomic int64_t reaped_ns;
};

static inline struct durable *durable_of(struct pcore_queue *q)
{
	return container_of(q, struct durable, queue);
}

/* Element i of an area; size is a power of two. */
static inline void *dq_at(const struct durable *d, enum dq_area area, uint32_t i, size_t size)
{
	size_t offset = (size_t)i * size;

	return d->chunk[area][offset / DQ_CHUNK] + offset % DQ_CHUNK;
}

static inline struct dq_entry *dq_entry(const struct durable *d, uint32_t slot)
{
	return dq_at(d, DQ_ENTRIES, slot, sizeof(struct dq_entry));
}

static inline struct dq_timed *dq_timed(const struct durable *d, uint32_t pos)
{
	return dq_at(d, DQ_TIMED, pos, sizeof(struct dq_timed));
}

static inline struct dq_dead *dq_dead(const struct durable *d, uint32_t i)
{
	return dq_at(d, DQ_BURIED, i, sizeof(struct dq_dead));
}

/* Those that somebody still has to take or acknowledge. */
static inline uint64_t dq_unfinished(const struct durable *d)
{
	return d->h->n_items - d->h->n_dead;
}

/* ---- durable_memory.c ---- */

/* With the lock: map the index of this session, made empty if there is none. */
int dq_memory_open(struct durable *d);
void dq_memory_close(struct durable *d);
/* With the lock: map what others have added. */
int dq_memory_follow(struct durable *d);
/* With the lock: let an area have at least n elements. -ENOSPC, -errno. */
int dq_reserve(struct durable *d, enum dq_area area, uint64_t n, size_t size);

/* ---- durable_index.c: all with the lock ---- */

void dq_clear(struct durable *d); /* no item, nothing counted */
void dq_drop(struct durable *d);  /* no item, what was counted stays */

struct dq_new {
	uint64_t id;
	uint32_t size, priority;
	uint32_t key_hash;
	bool keyed;
};

/* Room for one more item, so that whatever becomes of it but a lease, a delay or a burial cannot fail. */
int dq_room(struct durable *d, bool keyed);
uint32_t dq_add(struct durable *d, const struct dq_new *item); /* after dq_room(); loose */
void dq_forget(struct durable *d, uint32_t slot); /* from all there is */

/* Of its attempts: those before it was revived. */
uint32_t dq_forgiven(const struct durable *d, uint32_t slot);
int dq_forgive_room(struct durable *d, uint32_t slot); /* -ENOSPC, -errno */
/* All that it has behind it, after dq_forgive_room(). Attempts go on from there: whoever still believes to have the item must not
 * end a lease of somebody else. After very many they begin again. */
void dq_forgive(struct durable *d, uint32_t slot);
int dq_set_attempts(struct durable *d, uint32_t slot, uint32_t attempt, uint32_t forgiven); /* as dq_forgive_room() */

uint32_t dq_find(const struct durable *d, uint64_t id);
uint32_t dq_key_hash(const void *key, size_t len);
/* The first item behind `after' (0: the first) in its bucket whose key has this hash. */
uint32_t dq_key_next(const struct durable *d, uint32_t hash, uint32_t after);

void dq_ready(struct durable *d, uint32_t slot, bool newest); /* a loose one; newest: no ready item was put later */
uint32_t dq_ready_top(const struct durable *d);
int dq_time_room(struct durable *d, uint64_t n);
void dq_delay(struct durable *d, uint32_t slot, int64_t due_ns);
void dq_lease(struct durable *d, uint32_t slot, const struct dq_timed *t);
void dq_due_at(struct durable *d, uint32_t slot, int64_t due_ns, int64_t lease_ns); /* a leased one */
int dq_bury_room(struct durable *d);
void dq_bury(struct durable *d, uint32_t slot, uint64_t at, uint64_t seq);
void dq_unplace(struct durable *d, uint32_t slot); /* out of list, heap or the dead: loose */
/* The place of the dead with the smallest id from `id' on. */
uint32_t dq_dead_from(const struct durable *d, uint64_t id);

/* ---- durable_log.c ---- */

/* Take the lock, with an index that is good. */
int dq_lock(struct durable *d);
void dq_unlock(struct durable *d);

/* With the lock: append records. Each is encoded to the end of d->out and then added; dq_append() appends them all, or none.
 * keep: leave room for the removal of every item. Afterwards d->recs[] have seq and at. */
void dq_begin_records(struct durable *d);
int dq_add_record(struct durable *d, enum dq_type type, uint8_t flags, size_t from); /* d->out from there on is one */
int dq_append(struct durable *d, bool keep);

/* Without it: as the queue's sync says. A failure wakes everybody. */
int dq_commit(struct durable *d, uint64_t seq);

/* With the lock: read the record of an item. */
int dq_read_put(struct durable *d, uint32_t slot, struct dq_put *ret);

int dq_rebuild(struct durable *d);
bool dq_worth_compacting(struct durable *d); /* with the lock: says so to one, until the log has grown again */
int dq_compact(struct durable *d); /* without; -EBUSY */

/* ---- durable_wait.c ---- */

/* With the lock. */
bool dq_over(const struct durable *d); /* nothing is in it to be finished, and nothing will be */
void dq_wake(struct durable *d, enum dq_gate gate); /* before what they wait for: gate.h */
void dq_wake_getters(struct durable *d);
void dq_wake_for_finished(struct durable *d, uint64_t n); /* n items are about to be finished, or to die */
void dq_wake_for_due(struct durable *d, int64_t due_ns); /* an item will be due */
/* The one record that d->out holds. On a full disk, leases and delays do without theirs (then they end with this session):
 * *ret_seq is 0. */
int dq_append_one(struct durable *d, enum dq_type type, uint8_t flags, uint64_t *ret_seq);
int dq_append_id(struct durable *d, enum dq_type type, uint8_t flags, uint64_t id, uint64_t *ret_seq);
void dq_give_back(struct durable *d, uint32_t slot); /* ready */
void dq_mature(struct durable *d);
void dq_reap(struct durable *d);

/* Something to do under the lock. */
struct dq_try {
	struct durable *d;
	int (*now)(struct durable *d, void *arg); /* -EAGAIN: not now */
	void *arg;
	enum dq_gate gate;
};
int dq_do(struct dq_try *t, int64_t deadline_ns);

/* After the lock: wait until the log up to seq (0: nothing) is on disk as the queue promises, and compact it if it shall be. */
int dq_settle(struct durable *d, uint64_t seq, bool compact);

/* ---- durable_lease.c ---- */

int dq_ack(struct pcore_queue *q, uint64_t id, uint32_t attempt);
int dq_nack(struct pcore_queue *q, uint64_t id, uint32_t attempt, int64_t delay_ns);
int dq_untake(struct pcore_queue *q, uint64_t id, uint32_t attempt);
int dq_touch(struct pcore_queue *q, uint64_t id, uint32_t attempt, int64_t lease_ns);
int dq_set_aside(struct pcore_queue *q, uint64_t id, uint32_t attempt, const char *reason, size_t len);
int dq_show_dead(struct pcore_queue *q, uint64_t after, struct pcore_dead *ret, struct pcore_buf *buf);
int dq_revive(struct pcore_queue *q, uint64_t id);
int dq_discard(struct pcore_queue *q, uint64_t id);

/* ---- durable_open.c ---- */

int dq_open(struct durable **ret, int dfd, const char *name);
void dq_free(struct durable *d);

extern const struct pcore_queue_ops dq_ops; /* durable.c */

#endif
