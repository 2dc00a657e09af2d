/* SPDX-License-Identifier: MIT */
/*
 * ring_index.c - what a ring derives from its items: free cells, order, due times, keys and ids.
 *
 * Items that are ready stand in a list as they were put (a queue or a stack, no search at all) or, when they came back, were
 * delayed or have priorities, in a heap; the top is the better one of the two. Dead ones are in a list as well. Nothing here is needed to tell what is in the
 * ring, so nothing here has to be right after a death.
 */
#include <string.h>

#include "libcore/ipc/ring_private.h"

enum { ARITY = 4 };

/* ---- cells ---- */

uint32_t ring_cell_alloc(struct pcore_ring *r)
{
	struct ring_header *h = r->h;
	uint32_t i = h->free;

	if (i != 0 && i < r->n_cells) {
		h->free = r->link[i];
		return i;
	}
	return h->fresh < r->n_cells ? (uint32_t)h->fresh++ : 0;
}

static void free_cell(struct pcore_ring *r, uint32_t i)
{
	r->link[i] = r->h->free;
	r->h->free = i;
}

static uint64_t stored(const struct ring_head *head)
{
	return (uint64_t)head->key_len + head->len + head->reason_len;
}

static uint32_t cells_after_head(const struct ring_head *head)
{
	uint64_t bytes = stored(head);

	return bytes <= RING_INLINE ? 0 : (uint32_t)((bytes - RING_INLINE + RING_CELL - 1) / RING_CELL);
}

/* Free n cells of a chain. */
static void chain_free(struct pcore_ring *r, uint32_t part, uint32_t n)
{
	for (; n > 0 && part != 0 && part < r->n_cells; n--) {
		uint32_t next = r->link[part];

		free_cell(r, part);
		part = next;
	}
}

static void cells_free(struct pcore_ring *r, uint32_t i)
{
	chain_free(r, ring_head(r, i)->first, cells_after_head(ring_head(r, i)));
	free_cell(r, i);
}

int ring_bytes_read(const struct pcore_ring *r, uint32_t i, size_t skip, void *dst, size_t len)
{
	const unsigned char *from = r->cell[i].bytes;
	uint32_t *link = &ring_head(r, i)->first;
	size_t room = RING_INLINE;
	unsigned char *to = dst;

	for (;;) {
		size_t from_here = skip < room ? room - skip : 0;

		from_here = from_here < len ? from_here : len;
		if (from_here > 0)
			memcpy(to, from + skip, from_here);
		to += from_here;
		len -= from_here;
		if (len == 0)
			return 0;
		skip -= skip < room ? skip : room;
		i = *link;
		if (i == 0 || i >= r->n_cells)
			return -EBADMSG;
		from = r->cell[i].more;
		link = &r->link[i];
		room = RING_CELL;
	}
}

/* Where the next byte goes. */
struct writer {
	unsigned char *at;
	size_t room;
	uint32_t *link;
};

static int write_bytes(struct pcore_ring *r, struct writer *w, const unsigned char *src, size_t len)
{
	while (len > 0) {
		size_t n;

		if (w->room == 0) {
			uint32_t i = ring_cell_alloc(r);

			*w->link = i;
			if (i == 0)
				return -EBADMSG;
			*w = (struct writer){ r->cell[i].more, RING_CELL, &r->link[i] };
		}
		n = w->room < len ? w->room : len;
		memcpy(w->at, src, n);
		w->at += n;
		w->room -= n;
		src += n;
		len -= n;
	}
	return 0;
}

int ring_bytes_write(struct pcore_ring *r, uint32_t i, const struct pcore_item *item)
{
	struct writer w = { r->cell[i].bytes, RING_INLINE, &ring_head(r, i)->first };
	int n;

	ring_head(r, i)->first = 0;
	n = write_bytes(r, &w, item->key, item->key_len);
	if (n == 0)
		n = write_bytes(r, &w, item->data, item->len);
	if (w.link != &ring_head(r, i)->first)
		*w.link = 0;
	return n;
}

/* What a death on the way leaves is no part of a leased item, and its cells are free when all is derived. */
int ring_reason_write(struct pcore_ring *r, uint32_t i, const char *reason, size_t len)
{
	struct ring_head *head = ring_head(r, i);
	struct writer w = { r->cell[i].bytes, RING_INLINE, &head->first };
	uint64_t skip = stored(head);
	int n;

	while (skip > w.room) {
		uint32_t part = *w.link;

		if (part == 0 || part >= r->n_cells)
			return -EBADMSG;
		skip -= w.room;
		w = (struct writer){ r->cell[part].more, RING_CELL, &r->link[part] };
	}
	w.at += skip;
	w.room -= skip;
	n = write_bytes(r, &w, (const unsigned char *)reason, len);
	head->reason_len = (uint8_t)len;
	return n;
}

void ring_reason_free(struct pcore_ring *r, uint32_t i)
{
	struct ring_head *head = ring_head(r, i);
	uint32_t n = cells_after_head(head), kept, part = head->first;

	ring_add(&r->h->bytes, -(uint64_t)head->reason_len);
	head->reason_len = 0;
	kept = cells_after_head(head);
	for (uint32_t k = 0; k < kept && part != 0 && part < r->n_cells; k++)
		part = r->link[part];
	chain_free(r, part, n - kept);
}

/* ---- heaps ---- */

struct heap {
	uint32_t *at, *len;
	bool (*before)(const struct pcore_ring *r, uint32_t a, uint32_t b);
};

static bool comes_first(const struct pcore_ring *r, uint32_t a, uint32_t b)
{
	const struct ring_head *x = ring_head(r, a), *y = ring_head(r, b);

	switch (r->order) {
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

static bool due_first(const struct pcore_ring *r, uint32_t a, uint32_t b)
{
	return ring_head(r, a)->due < ring_head(r, b)->due;
}

static struct heap ready_heap(const struct pcore_ring *r)
{
	return (struct heap){ r->ready, &r->h->n_heap, comes_first };
}

static struct heap due_heap(const struct pcore_ring *r)
{
	return (struct heap){ r->due, &r->h->n_due, due_first };
}

static void heap_set(struct pcore_ring *r, struct heap p, uint32_t pos, uint32_t i)
{
	p.at[pos] = i;
	ring_head(r, i)->prev = pos;
}

static void sift_up(struct pcore_ring *r, struct heap p, uint32_t pos, uint32_t i)
{
	while (pos > 0) {
		uint32_t parent = (pos - 1) / ARITY;

		if (!p.before(r, i, p.at[parent]))
			break;
		heap_set(r, p, pos, p.at[parent]);
		pos = parent;
	}
	heap_set(r, p, pos, i);
}

static void sift_down(struct pcore_ring *r, struct heap p, uint32_t pos, uint32_t i)
{
	for (;;) {
		uint64_t child = (uint64_t)pos * ARITY + 1, best = child;

		if (child >= *p.len)
			break;
		for (uint64_t c = child + 1; c < child + ARITY && c < *p.len; c++)
			if (p.before(r, p.at[c], p.at[best]))
				best = c;
		if (!p.before(r, p.at[best], i))
			break;
		heap_set(r, p, pos, p.at[best]);
		pos = (uint32_t)best;
	}
	heap_set(r, p, pos, i);
}

static void heap_insert(struct pcore_ring *r, struct heap p, uint32_t i)
{
	assert(*p.len < r->max_items);

	sift_up(r, p, (*p.len)++, i);
}

static void heap_remove(struct pcore_ring *r, struct heap p, uint32_t i)
{
	uint32_t pos = ring_head(r, i)->prev, last = p.at[--*p.len];

	if (last == i)
		return;
	if (pos > 0 && p.before(r, last, p.at[(pos - 1) / ARITY]))
		sift_up(r, p, pos, last);
	else
		sift_down(r, p, pos, last);
}

/* ---- order ---- */

static void list_append(struct pcore_ring *r, struct ring_list *list, uint32_t i)
{
	ring_head(r, i)->next = 0;
	ring_head(r, i)->prev = list->last;
	if (list->last)
		ring_head(r, list->last)->next = i;
	else
		list->first = i;
	list->last = i;
}

static void list_remove(struct pcore_ring *r, struct ring_list *list, uint32_t i)
{
	struct ring_head *head = ring_head(r, i);

	*(head->prev ? &ring_head(r, head->prev)->next : &list->first) = head->next;
	*(head->next ? &ring_head(r, head->next)->prev : &list->last) = head->prev;
}

void ring_ready_insert(struct pcore_ring *r, uint32_t i, bool newest)
{
	bool list = newest && r->order != PCORE_PRIORITY;

	if (list)
		list_append(r, &r->h->list, i);
	else
		heap_insert(r, ready_heap(r), i);
	ring_head(r, i)->place = list ? RING_IN_LIST : RING_IN_READY;
	ring_add(&r->h->n_ready, 1);
}

uint32_t ring_ready_top(const struct pcore_ring *r)
{
	uint32_t from_list = r->order == PCORE_LIFO ? r->h->list.last : r->h->list.first;
	uint32_t from_heap = r->h->n_heap ? r->ready[0] : 0;

	if (!from_list || !from_heap)
		return from_list | from_heap;
	return comes_first(r, from_heap, from_list) ? from_heap : from_list;
}

void ring_due_insert(struct pcore_ring *r, uint32_t i)
{
	heap_insert(r, due_heap(r), i);
	ring_head(r, i)->place = RING_IN_DUE;
}

void ring_dead_insert(struct pcore_ring *r, uint32_t i)
{
	list_append(r, &r->h->dead, i);
	ring_id_insert(r, i);
	ring_head(r, i)->place = RING_IN_DEAD;
	r->h->n_dead++;
}

void ring_unplace(struct pcore_ring *r, uint32_t i)
{
	switch ((enum ring_place)ring_head(r, i)->place) {
	case RING_IN_LIST:
		list_remove(r, &r->h->list, i);
		ring_add(&r->h->n_ready, UINT64_MAX);
		break;
	case RING_IN_READY:
		heap_remove(r, ready_heap(r), i);
		ring_add(&r->h->n_ready, UINT64_MAX);
		break;
	case RING_IN_DUE:
		heap_remove(r, due_heap(r), i);
		break;
	case RING_IN_DEAD:
		list_remove(r, &r->h->dead, i);
		ring_id_remove(r, i);
		r->h->n_dead--;
		break;
	case RING_NOWHERE:
		break;
	}
	ring_head(r, i)->place = RING_NOWHERE;
}

/* ---- keys and ids ---- */

static uint32_t *key_bucket(const struct pcore_ring *r, const unsigned char *key, size_t len)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ key[i]) * UINT64_C(0x100000001b3);
	return &r->keys[(hash ^ hash >> 32) & r->bucket_mask];
}

static uint32_t *key_bucket_of(const struct pcore_ring *r, uint32_t i)
{
	unsigned char key[PCORE_KEY_MAX];
	size_t len = ring_head(r, i)->key_len;

	return ring_bytes_read(r, i, 0, key, len) == 0 ? key_bucket(r, key, len) : NULL;
}

void ring_key_insert(struct pcore_ring *r, uint32_t i)
{
	uint32_t *bucket = ring_head(r, i)->key_len ? key_bucket_of(r, i) : NULL;

	if (!bucket)
		return;
	ring_head(r, i)->key_next = *bucket;
	*bucket = i;
}

static void key_remove(struct pcore_ring *r, uint32_t i)
{
	uint32_t *at = ring_head(r, i)->key_len ? key_bucket_of(r, i) : NULL;

	while (at && *at && *at != i)
		at = &ring_head(r, *at)->key_next;
	if (at && *at)
		*at = ring_head(r, i)->key_next;
}

uint32_t ring_key_find(const struct pcore_ring *r, const void *key, size_t len)
{
	unsigned char other[PCORE_KEY_MAX];
	uint32_t i = *key_bucket(r, key, len);

	for (; i; i = ring_head(r, i)->key_next)
		if (ring_head(r, i)->key_len == len && ring_bytes_read(r, i, 0, other, len) == 0 && memcmp(key, other, len) == 0)
			break;
	return i;
}

static uint32_t *id_bucket(const struct pcore_ring *r, uint64_t id)
{
	return &r->ids[(uint32_t)id & r->bucket_mask];
}

void ring_id_insert(struct pcore_ring *r, uint32_t i)
{
	uint32_t *bucket = id_bucket(r, ring_head(r, i)->id);

	ring_head(r, i)->id_next = *bucket;
	*bucket = i;
}

void ring_id_remove(struct pcore_ring *r, uint32_t i)
{
	uint32_t *at = id_bucket(r, ring_head(r, i)->id);

	while (*at && *at != i)
		at = &ring_head(r, *at)->id_next;
	if (*at)
		*at = ring_head(r, i)->id_next;
}

uint32_t ring_id_find(const struct pcore_ring *r, uint64_t id)
{
	uint32_t i = *id_bucket(r, id);

	while (i && ring_head(r, i)->id != id)
		i = ring_head(r, i)->id_next;
	return i;
}

/* ---- all of an item, all of the ring ---- */

void ring_forget(struct pcore_ring *r, uint32_t i, enum ring_kind was)
{
	struct ring_head *head = ring_head(r, i);

	assert(ring_kind(ring_state(r, i)) == RING_FREE);

	if (was == RING_LEASED) {
		ring_id_remove(r, i);
		r->h->n_leased--;
		r->h->n_held -= head->holder != 0;
	}
	ring_unplace(r, i);
	key_remove(r, i);
	ring_add(&r->h->n_items, UINT64_MAX);
	ring_add(&r->h->bytes, -stored(head));
	cells_free(r, i);
}

static bool is_item(enum ring_kind kind)
{
	return kind == RING_READY || kind == RING_DELAYED || kind == RING_LEASED || kind == RING_DEAD;
}

/* Finish what was half done: a replaced item goes when its successor is there, all items go when the ring was dropped. */
static void finish_commits(struct pcore_ring *r)
{
	bool dropped = ring_read(&r->h->closed) == RING_DROPPED;

	for (uint32_t i = 1; i < r->h->fresh; i++) {
		uint64_t s = ring_state(r, i);
		uint32_t old = (uint32_t)(s >> 32);

		if (!is_item(ring_kind(s)) || dropped) {
			ring_commit(r, i, RING_FREE, 0, 0);
			continue;
		}
		if (old == 0)
			continue;
		if (old < r->n_cells && is_item(ring_kind(ring_state(r, old))) && ring_head(r, old)->id < ring_head(r, i)->id)
			ring_commit(r, old, RING_FREE, 0, 0);
		ring_commit(r, i, ring_kind(s), ring_attempt(s), 0);
	}
}

/* Mark the cells that an item is made of. */
static int mark_parts(struct pcore_ring *r, uint32_t i)
{
	struct ring_head *head = ring_head(r, i);
	uint32_t part = head->first;

	if (ring_kind(ring_state(r, i)) != RING_DEAD)
		head->reason_len = 0;
	if (head->len > RING_ITEM_LIMIT || head->key_len > PCORE_KEY_MAX || stored(head) > r->max_bytes)
		return -EBADMSG;
	for (uint32_t n = cells_after_head(head); n > 0; n--) {
		if (part == 0 || part >= r->h->fresh || ring_kind(ring_state(r, part)) != RING_FREE)
			return -EBADMSG;
		ring_commit(r, part, RING_MARK, 0, 0);
		part = r->link[part];
	}
	return 0;
}

static void derive_item(struct pcore_ring *r, uint32_t i)
{
	struct ring_head *head = ring_head(r, i);
	enum ring_kind kind = ring_kind(ring_state(r, i));

	if (kind == RING_READY)
		ring_ready_insert(r, i, false);
	else if (kind == RING_DEAD)
		ring_dead_insert(r, i);
	else
		ring_due_insert(r, i);
	if (kind == RING_LEASED) {
		ring_id_insert(r, i);
		r->h->n_leased++;
		r->h->n_held += head->holder != 0;
	}
	ring_key_insert(r, i);
	ring_add(&r->h->n_items, 1);
	ring_add(&r->h->bytes, stored(head));
	if (head->id >= ring_read(&r->h->next_id))
		atomic_store(&r->h->next_id, head->id + 1);
}

static void forget_all(struct pcore_ring *r)
{
	struct ring_header *h = r->h;
	size_t size = sizeof(uint32_t) * r->layout.n_buckets;

	atomic_store(&h->n_ready, 0);
	atomic_store(&h->n_items, 0);
	atomic_store(&h->bytes, 0);
	h->n_leased = h->n_held = h->n_dead = 0;
	h->free = h->n_heap = h->n_due = 0;
	h->list = h->dead = (struct ring_list){ 0 };
	memset(r->keys, 0, size);
	memset(r->ids, 0, size);
}

int ring_derive(struct pcore_ring *r)
{
	uint64_t fresh = r->h->fresh;
	int n = 0;

	if (fresh < 1 || fresh > r->n_cells)
		return -EBADMSG;

	finish_commits(r);
	forget_all(r);
	for (uint32_t i = 1; i < fresh && n == 0; i++)
		if (is_item(ring_kind(ring_state(r, i))))
			n = mark_parts(r, i);
	for (uint32_t i = (uint32_t)fresh - 1; i > 0 && n == 0; i--) {
		enum ring_kind kind = ring_kind(ring_state(r, i));

		if (is_item(kind) && ring_read(&r->h->n_items) < r->max_items)
			derive_item(r, i);
		else if (is_item(kind))
			n = -EBADMSG;
		else if (kind == RING_MARK)
			ring_commit(r, i, RING_FREE, 0, 0);
		else
			free_cell(r, i);
	}
	return n;
}
