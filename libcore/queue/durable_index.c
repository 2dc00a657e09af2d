/* SPDX-License-Identifier: MIT */
/*
 * durable_index.c - what a durable queue derives from its log: which items there are, their order, due times, keys and ids.
 *
 * Items that are ready stand in a list as they were put or, when they came back, were delayed or have priorities, in a heap; the
 * top is the better one of the two. Ids and keys are found by linear hashing (Litwin, 1980): the tables grow by a bucket at a
 * time, so nobody ever waits until all of a table has been moved, and no more memory is taken than is used.
 */
#include "libcore/queue/durable.h"

enum { ARITY = 4, IDS_A_BUCKET = 2 };

void dq_drop(struct durable *d)
{
	struct dq_header *h = d->h;

	h->n_items = h->n_ready = h->n_leased = h->n_held = h->n_keyed = 0;
	h->bytes = h->log_live = 0;
	h->fresh = 1;
	h->free = h->first = h->last = 0;
	h->n_heap = h->n_timed = h->n_dead = 0;
	h->n_ids = h->n_key_buckets = 0;
}

void dq_clear(struct durable *d)
{
	dq_drop(d);
	d->h->next_id = 1;
	d->h->closed = 0;
	d->h->counts = (struct dq_counts){ .recoveries = d->h->counts.recoveries };
}

/* ---- hash tables ---- */

enum table { BY_ID, BY_KEY };

static struct dq_key *key_of(const struct durable *d, uint32_t slot)
{
	return dq_at(d, DQ_KEYS, slot, sizeof(struct dq_key));
}

static uint32_t *bucket_at(const struct durable *d, enum table t, uint32_t i)
{
	return dq_at(d, t == BY_ID ? DQ_IDS : DQ_KEY_BUCKETS, i, sizeof(uint32_t));
}

static uint32_t *link_of(const struct durable *d, enum table t, uint32_t slot)
{
	return t == BY_ID ? &dq_entry(d, slot)->id_next : &key_of(d, slot)->next;
}

static uint32_t hash_of(const struct durable *d, enum table t, uint32_t slot)
{
	return t == BY_ID ? (uint32_t)dq_entry(d, slot)->id : key_of(d, slot)->hash;
}

/* The smallest power of two that is not below n. */
static uint64_t power_of_two(uint64_t n)
{
	return n <= 1 ? 1 : UINT64_C(1) << (64 - __builtin_clzll(n - 1));
}

static uint32_t *bucket_of(const struct durable *d, enum table t, uint32_t hash)
{
	uint64_t n = t == BY_ID ? d->h->n_ids : d->h->n_key_buckets, size = power_of_two(n), b = hash & (size - 1);

	return bucket_at(d, t, (uint32_t)(b < n ? b : b - size / 2));
}

/* One bucket more: what belongs there moves over from the one that had it until now. */
static void split(struct durable *d, enum table t)
{
	uint32_t *count = t == BY_ID ? &d->h->n_ids : &d->h->n_key_buckets, n = *count;
	uint64_t mask = power_of_two((uint64_t)n + 1) - 1;
	uint32_t *to = bucket_at(d, t, n), *from;

	*to = 0;
	*count = n + 1;
	if (n == 0)
		return;
	from = bucket_at(d, t, (uint32_t)(n - (mask + 1) / 2));
	while (*from) {
		uint32_t slot = *from;

		if ((hash_of(d, t, slot) & mask) != n) {
			from = link_of(d, t, slot);
			continue;
		}
		*from = *link_of(d, t, slot);
		*link_of(d, t, slot) = *to;
		*to = slot;
	}
}

static void table_add(struct durable *d, enum table t, uint32_t slot)
{
	uint32_t *bucket = bucket_of(d, t, hash_of(d, t, slot));

	*link_of(d, t, slot) = *bucket;
	*bucket = slot;
}

static void table_remove(struct durable *d, enum table t, uint32_t slot)
{
	uint32_t *at = bucket_of(d, t, hash_of(d, t, slot));

	while (*at != slot) {
		assert(*at != 0);
		at = link_of(d, t, *at);
	}
	*at = *link_of(d, t, slot);
}

uint32_t dq_find(const struct durable *d, uint64_t id)
{
	uint32_t slot = d->h->n_ids ? *bucket_of(d, BY_ID, (uint32_t)id) : 0;

	while (slot && dq_entry(d, slot)->id != id)
		slot = dq_entry(d, slot)->id_next;
	return slot;
}

uint32_t dq_key_hash(const void *key, size_t len)
{
	const unsigned char *p = key;
	uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
	return (uint32_t)(hash ^ hash >> 32);
}

uint32_t dq_key_next(const struct durable *d, uint32_t hash, uint32_t after)
{
	uint32_t slot = 0;

	if (after)
		slot = key_of(d, after)->next;
	else if (d->h->n_key_buckets)
		slot = *bucket_of(d, BY_KEY, hash);
	while (slot && key_of(d, slot)->hash != hash)
		slot = key_of(d, slot)->next;
	return slot;
}

/* ---- what a revived item is forgiven ---- */

static uint16_t *forgiven_at(const struct durable *d, uint32_t slot)
{
	bool there = ((uint64_t)slot + 1) * sizeof(uint16_t) <= (uint64_t)d->n_chunks[DQ_FORGIVEN] * DQ_CHUNK;

	return there ? dq_at(d, DQ_FORGIVEN, slot, sizeof(uint16_t)) : NULL;
}

uint32_t dq_forgiven(const struct durable *d, uint32_t slot)
{
	const uint16_t *at = forgiven_at(d, slot);

	return at ? *at : 0;
}

int dq_forgive_room(struct durable *d, uint32_t slot)
{
	return dq_reserve(d, DQ_FORGIVEN, (uint64_t)slot + 1, sizeof(uint16_t));
}

void dq_forgive(struct durable *d, uint32_t slot)
{
	struct dq_entry *e = dq_entry(d, slot);

	if (e->attempt > DQ_ATTEMPT_MAX / 2)
		e->attempt = 0;
	*forgiven_at(d, slot) = e->attempt;
}

int dq_set_attempts(struct durable *d, uint32_t slot, uint32_t attempt, uint32_t forgiven)
{
	int r = forgiven > 0 ? dq_forgive_room(d, slot) : 0;

	if (r < 0)
		return r;
	dq_entry(d, slot)->attempt = attempt & DQ_ATTEMPT_MAX;
	if (forgiven_at(d, slot))
		*forgiven_at(d, slot) = (uint16_t)forgiven;
	return 0;
}

/* ---- items ---- */

int dq_room(struct durable *d, bool keyed)
{
	struct dq_header *h = d->h;
	uint64_t n = h->n_items + 1, keys = h->n_keyed + 1;
	uint64_t entries = h->free ? h->fresh : (uint64_t)h->fresh + 1;
	int r = dq_reserve(d, DQ_ENTRIES, entries, sizeof(struct dq_entry));

	if (r == 0)
		r = dq_reserve(d, DQ_IDS, n / IDS_A_BUCKET + 1, sizeof(uint32_t));
	if (r == 0)
		r = dq_reserve(d, DQ_READY, n, sizeof(uint32_t));
	/* the first chunk of these, so that a few thousand can be leased and buried when the disk is full */
	if (r == 0)
		r = dq_reserve(d, DQ_TIMED, 1, sizeof(struct dq_timed));
	if (r == 0)
		r = dq_reserve(d, DQ_BURIED, 1, sizeof(struct dq_dead));
	if (r == 0 && keyed)
		r = dq_reserve(d, DQ_KEYS, entries, sizeof(struct dq_key));
	if (r == 0 && keyed)
		r = dq_reserve(d, DQ_KEY_BUCKETS, keys, sizeof(uint32_t));
	return r;
}

/* Bytes of the log that an item's record takes. */
static uint64_t live_bytes(const struct dq_entry *e)
{
	return dq_record_size(DQ_PUT_SIZE + e->size);
}

uint32_t dq_add(struct durable *d, const struct dq_new *item)
{
	struct dq_header *h = d->h;
	uint32_t slot = h->free ? h->free : h->fresh;
	struct dq_entry *e = dq_entry(d, slot);

	if (h->free)
		h->free = e->id_next;
	else
		h->fresh++;
	*e = (struct dq_entry){
		.id = item->id & DQ_ID_MASK,
		.size = item->size & DQ_ITEM_LIMIT,
		.keyed = item->keyed,
		.kind = DQ_LOOSE,
	};
	if (d->meta.spec.order == PCORE_PRIORITY)
		e->priority = item->priority;
	(void)dq_set_attempts(d, slot, 0, 0); /* none is forgiven: that cannot fail */
	h->n_items++;
	h->bytes += item->size;
	h->log_live += live_bytes(e);
	if (h->n_ids == 0 || h->n_items > (uint64_t)h->n_ids * IDS_A_BUCKET)
		split(d, BY_ID);
	table_add(d, BY_ID, slot);
	if (item->keyed) {
		h->n_keyed++;
		if (h->n_keyed > h->n_key_buckets)
			split(d, BY_KEY);
		key_of(d, slot)->hash = item->key_hash;
		table_add(d, BY_KEY, slot);
	}
	return slot;
}

void dq_forget(struct durable *d, uint32_t slot)
{
	struct dq_header *h = d->h;
	struct dq_entry *e = dq_entry(d, slot);

	dq_unplace(d, slot);
	table_remove(d, BY_ID, slot);
	if (e->keyed) {
		table_remove(d, BY_KEY, slot);
		h->n_keyed--;
	}
	h->n_items--;
	h->bytes -= e->size;
	h->log_live -= live_bytes(e);
	e->kind = DQ_FREE;
	e->id_next = h->free;
	h->free = slot;
}

/* ---- who is ready ---- */

static bool comes_first(const struct durable *d, uint32_t a, uint32_t b)
{
	const struct dq_entry *x = dq_entry(d, a), *y = dq_entry(d, b);

	switch (d->meta.spec.order) {
	case PCORE_FIFO:
		break;
	case PCORE_LIFO:
		return x->id > y->id;
	case PCORE_PRIORITY:
		if (x->priority != y->priority)
			return x->priority < y->priority;
		break;
	}
	return x->id < y->id;
}

static uint32_t *ready_at(const struct durable *d, uint32_t pos)
{
	return dq_at(d, DQ_READY, pos, sizeof(uint32_t));
}

static void ready_set(struct durable *d, uint32_t pos, uint32_t slot)
{
	*ready_at(d, pos) = slot;
	dq_entry(d, slot)->prev = pos;
}

static void ready_up(struct durable *d, uint32_t pos, uint32_t slot)
{
	for (uint32_t parent; pos > 0 && comes_first(d, slot, *ready_at(d, parent = (pos - 1) / ARITY)); pos = parent)
		ready_set(d, pos, *ready_at(d, parent));
	ready_set(d, pos, slot);
}

static void ready_down(struct durable *d, uint32_t pos, uint32_t slot)
{
	for (;;) {
		uint64_t child = (uint64_t)pos * ARITY + 1, best = child;

		if (child >= d->h->n_heap)
			break;
		for (uint64_t c = child + 1; c < child + ARITY && c < d->h->n_heap; c++)
			if (comes_first(d, *ready_at(d, (uint32_t)c), *ready_at(d, (uint32_t)best)))
				best = c;
		if (!comes_first(d, *ready_at(d, (uint32_t)best), slot))
			break;
		ready_set(d, pos, *ready_at(d, (uint32_t)best));
		pos = (uint32_t)best;
	}
	ready_set(d, pos, slot);
}

static void ready_remove(struct durable *d, uint32_t pos)
{
	uint32_t last = *ready_at(d, --d->h->n_heap);

	if (pos == d->h->n_heap)
		return;
	if (pos > 0 && comes_first(d, last, *ready_at(d, (pos - 1) / ARITY)))
		ready_up(d, pos, last);
	else
		ready_down(d, pos, last);
}

static void list_append(struct durable *d, uint32_t slot)
{
	struct dq_header *h = d->h;

	dq_entry(d, slot)->next = 0;
	dq_entry(d, slot)->prev = h->last;
	*(h->last ? &dq_entry(d, h->last)->next : &h->first) = slot;
	h->last = slot;
}

static void list_remove(struct durable *d, const struct dq_entry *e)
{
	*(e->prev ? &dq_entry(d, e->prev)->next : &d->h->first) = e->next;
	*(e->next ? &dq_entry(d, e->next)->prev : &d->h->last) = e->prev;
}

void dq_ready(struct durable *d, uint32_t slot, bool newest)
{
	struct dq_entry *e = dq_entry(d, slot);
	bool list = newest && d->meta.spec.order != PCORE_PRIORITY;

	assert(e->kind == DQ_LOOSE);

	if (list)
		list_append(d, slot);
	else
		ready_up(d, d->h->n_heap++, slot);
	e->kind = list ? DQ_LISTED : DQ_HEAPED;
	d->h->n_ready++;
}

uint32_t dq_ready_top(const struct durable *d)
{
	uint32_t from_list = d->meta.spec.order == PCORE_LIFO ? d->h->last : d->h->first;
	uint32_t from_heap = d->h->n_heap ? *ready_at(d, 0) : 0;

	if (!from_list || !from_heap)
		return from_list | from_heap;
	return comes_first(d, from_heap, from_list) ? from_heap : from_list;
}

/* ---- who has a time ---- */

static void timed_set(struct durable *d, uint32_t pos, const struct dq_timed *t)
{
	*dq_timed(d, pos) = *t;
	dq_entry(d, t->slot)->prev = pos;
}

static void timed_up(struct durable *d, uint32_t pos, struct dq_timed t)
{
	for (uint32_t parent; pos > 0 && t.due_ns < dq_timed(d, parent = (pos - 1) / ARITY)->due_ns; pos = parent)
		timed_set(d, pos, dq_timed(d, parent));
	timed_set(d, pos, &t);
}

static void timed_down(struct durable *d, uint32_t pos, struct dq_timed t)
{
	for (;;) {
		uint64_t child = (uint64_t)pos * ARITY + 1, best = child;

		if (child >= d->h->n_timed)
			break;
		for (uint64_t c = child + 1; c < child + ARITY && c < d->h->n_timed; c++)
			if (dq_timed(d, (uint32_t)c)->due_ns < dq_timed(d, (uint32_t)best)->due_ns)
				best = c;
		if (dq_timed(d, (uint32_t)best)->due_ns >= t.due_ns)
			break;
		timed_set(d, pos, dq_timed(d, (uint32_t)best));
		pos = (uint32_t)best;
	}
	timed_set(d, pos, &t);
}

/* Put t at this place, or where it belongs above or below. */
static void timed_settle(struct durable *d, uint32_t pos, struct dq_timed t)
{
	if (pos > 0 && t.due_ns < dq_timed(d, (pos - 1) / ARITY)->due_ns)
		timed_up(d, pos, t);
	else
		timed_down(d, pos, t);
}

int dq_time_room(struct durable *d, uint64_t n)
{
	return dq_reserve(d, DQ_TIMED, d->h->n_timed + n, sizeof(struct dq_timed));
}

static void timed_add(struct durable *d, uint32_t slot, enum dq_kind kind, struct dq_timed t)
{
	assert(dq_entry(d, slot)->kind == DQ_LOOSE);

	t.slot = slot;
	timed_up(d, d->h->n_timed++, t);
	dq_entry(d, slot)->kind = kind & 7;
}

void dq_delay(struct durable *d, uint32_t slot, int64_t due_ns)
{
	timed_add(d, slot, DQ_DELAYED, (struct dq_timed){ .due_ns = due_ns });
}

void dq_lease(struct durable *d, uint32_t slot, const struct dq_timed *t)
{
	timed_add(d, slot, DQ_LEASED, *t);
	d->h->n_leased++;
	d->h->n_held += t->holder != 0;
}

void dq_due_at(struct durable *d, uint32_t slot, int64_t due_ns, int64_t lease_ns)
{
	uint32_t pos = dq_entry(d, slot)->prev;
	struct dq_timed t = *dq_timed(d, pos);

	t.due_ns = due_ns;
	t.lease_ns = lease_ns;
	timed_settle(d, pos, t);
}

static void timed_remove(struct durable *d, uint32_t pos)
{
	struct dq_timed last = *dq_timed(d, --d->h->n_timed);

	if (pos < d->h->n_timed)
		timed_settle(d, pos, last);
}

/* ---- the dead ---- */

uint32_t dq_dead_from(const struct durable *d, uint64_t id)
{
	uint32_t low = 0, high = d->h->n_dead;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (dq_entry(d, dq_dead(d, middle)->slot)->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int dq_bury_room(struct durable *d)
{
	return dq_reserve(d, DQ_BURIED, (uint64_t)d->h->n_dead + 1, sizeof(struct dq_dead));
}

void dq_bury(struct durable *d, uint32_t slot, uint64_t at, uint64_t seq)
{
	uint32_t place = dq_dead_from(d, dq_entry(d, slot)->id);

	assert(dq_entry(d, slot)->kind == DQ_LOOSE);

	for (uint32_t i = d->h->n_dead++; i > place; i--)
		*dq_dead(d, i) = *dq_dead(d, i - 1);
	*dq_dead(d, place) = (struct dq_dead){ .at = at, .seq = seq, .slot = slot };
	dq_entry(d, slot)->kind = DQ_DEAD;
}

static void dead_remove(struct durable *d, uint32_t place)
{
	d->h->n_dead--;
	for (uint32_t i = place; i < d->h->n_dead; i++)
		*dq_dead(d, i) = *dq_dead(d, i + 1);
}

/* ---- all of them ---- */

void dq_unplace(struct durable *d, uint32_t slot)
{
	struct dq_entry *e = dq_entry(d, slot);
	struct dq_header *h = d->h;

	switch ((enum dq_kind)e->kind) {
	case DQ_FREE:
		assert(false);
		return;
	case DQ_LOOSE:
		return;
	case DQ_LISTED:
		list_remove(d, e);
		h->n_ready--;
		break;
	case DQ_HEAPED:
		ready_remove(d, e->prev);
		h->n_ready--;
		break;
	case DQ_LEASED:
		h->n_leased--;
		h->n_held -= dq_timed(d, e->prev)->holder != 0;
		timed_remove(d, e->prev);
		break;
	case DQ_DELAYED:
		timed_remove(d, e->prev);
		break;
	case DQ_DEAD:
		dead_remove(d, dq_dead_from(d, e->id));
		break;
	}
	e->kind = DQ_LOOSE;
}
