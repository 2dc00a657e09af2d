/* SPDX-License-Identifier: MIT */
/*
 * ring.c - what can be done with a ring: put, get, leases, close, and waiting for it.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libcore/ipc/ring_private.h"

#define NEVER INT64_MAX

static bool closed(struct pcore_ring *r)
{
	return ring_read(&r->h->closed) != 0;
}

/* Items that somebody may wait for: all but the dead ones. */
static uint64_t alive(struct pcore_ring *r)
{
	return ring_read(&r->h->n_items) - r->h->n_dead;
}

/* Nothing is in it, and nothing will be. */
static bool over(struct pcore_ring *r)
{
	return closed(r) && alive(r) == 0;
}

/* Items were added, or the end has come: tell who waits to get. Before the commit. */
static void wake_getters(struct pcore_ring *r)
{
	ring_wake(r, RING_GET);
	ring_wake(r, RING_POLL);
}

/* n items are about to go or to die: tell who waits for the last one to be gone, for the end. Before the commit. */
static void wake_at_end(struct pcore_ring *r, uint64_t n)
{
	if (alive(r) > n)
		return;
	ring_wake(r, RING_JOIN);
	if (closed(r))
		wake_getters(r);
}

/* n items are about to go: tell who waits for room, too. */
static void wake_for_gone(struct pcore_ring *r, uint64_t n)
{
	ring_wake(r, RING_PUT);
	wake_at_end(r, n);
}

/* An item becomes due earlier than any other: who sleeps until something is due has to know. Before the commit. */
static void add_due(struct pcore_ring *r, uint32_t i)
{
	ring_due_insert(r, i);
	if (ring_due_top(r) == i && ring_head(r, i)->due != NEVER) {
		wake_getters(r);
		ring_wake(r, RING_JOIN);
	}
}

static void gone(struct pcore_ring *r, uint32_t i)
{
	enum ring_kind was = ring_kind(ring_state(r, i));

	ring_commit(r, i, RING_FREE, 0, 0);
	ring_forget(r, i, was);
}

static void end_lease(struct pcore_ring *r, uint32_t i)
{
	ring_id_remove(r, i);
	r->h->n_leased--;
	r->h->n_held -= ring_head(r, i)->holder != 0;
	r->h->counts.returns++;
}

/* Back to the ready ones, or there for the first time: at its place by order. */
static void make_ready_as(struct pcore_ring *r, uint32_t i, uint32_t attempt)
{
	ring_unplace(r, i);
	if (ring_kind(ring_state(r, i)) == RING_LEASED)
		end_lease(r, i);
	ring_ready_insert(r, i, false);
	ring_commit(r, i, RING_READY, attempt, 0);
}

static void make_ready(struct pcore_ring *r, uint32_t i)
{
	make_ready_as(r, i, ring_attempt(ring_state(r, i)));
}

/* Whoever sleeps until an item is due wakes by itself, so nobody has to be told here. */
static void mature(struct pcore_ring *r)
{
	uint32_t i = ring_due_top(r);
	int64_t now;

	if (!i)
		return;
	now = pcore_now_ns();
	for (; i && ring_head(r, i)->due <= now; i = ring_due_top(r))
		make_ready(r, i);
}

/* ---- holders ---- */

enum { PID_BITS = 22 };

/* The start time of a process in clock ticks, 0 when there is none. */
static uint64_t start_time(pid_t pid)
{
	char path[32], stat[1024];
	const char *p;
	uint64_t ticks;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	n = pcore_file_read(AT_FDCWD, path, stat, sizeof(stat));
	p = n > 0 ? strrchr(stat, ')') : NULL; /* the name may hold anything */
	if (!p || p[1] != ' ' || strchr("ZX", p[2]))
		return 0;
	for (unsigned field = 2; field < 22 && p; field++)
		p = strchr(p + 1, ' ');
	return p && sscanf(p, "%" SCNu64, &ticks) == 1 ? ticks : 0;
}

static uint64_t holder_of(pid_t pid)
{
	uint64_t ticks = start_time(pid);

	return ticks ? ticks << PID_BITS | (uint64_t)pid : 0;
}

uint64_t pcore_ring_holder(void)
{
	return holder_of(getpid());
}

bool pcore_ring_holder_is_dead(uint64_t holder)
{
	return holder_of((pid_t)(holder & ((1U << PID_BITS) - 1))) != holder;
}

/* Give back what dead holders leave. That is looked for when there is nothing else to be had, once a second. */
static void reap(struct pcore_ring *r)
{
	uint64_t alive = 0;
	int64_t now;

	if (r->h->n_held == 0)
		return;
	now = pcore_now_ns();
	if (now - atomic_load(&r->reaped_ns) < NS_PER_S)
		return;
	atomic_store(&r->reaped_ns, now);
	for (uint32_t pos = 0; pos < r->h->n_due;) {
		uint32_t i = r->due[pos];
		uint64_t holder = ring_kind(ring_state(r, i)) == RING_LEASED ? ring_head(r, i)->holder : 0;

		if (holder == 0 || holder == alive) {
			pos++;
		} else if (pcore_ring_holder_is_dead(holder)) {
			wake_getters(r);
			make_ready(r, i);
			pos = 0; /* the heap has changed */
		} else {
			alive = holder;
			pos++;
		}
	}
}

/* ---- put ---- */

struct put {
	struct pcore_item *items;
	size_t n;
	bool replace;
	uint32_t cells[PCORE_RING_TAKE_MAX], old[PCORE_RING_TAKE_MAX];
};

static int may_put(struct pcore_ring *r, const struct put *p, const struct pcore_item *item, uint32_t *ret_old)
{
	uint64_t bytes = (uint64_t)item->len + item->key_len;

	assert(item->key_len <= PCORE_KEY_MAX);
	assert(item->delay_ns >= 0);

	if (item->len > r->max_item || bytes > r->max_bytes)
		return -EMSGSIZE;
	if (ring_read(&r->h->n_items) >= r->max_items || ring_read(&r->h->bytes) + bytes > r->max_bytes)
		return -EAGAIN;
	*ret_old = item->key_len ? ring_key_find(r, item->key, item->key_len) : 0;
	return *ret_old && !p->replace ? -EEXIST : 0;
}

/* Write an item and put it in its place: all but the commit. */
static int stage(struct pcore_ring *r, struct pcore_item *item, uint32_t *ret)
{
	uint32_t i = ring_cell_alloc(r);
	struct ring_head *head = ring_head(r, i);

	if (i == 0)
		return -EBADMSG;
	item->id = ring_read(&r->h->next_id);
	item->attempt = item->tries = 0;
	ring_add(&r->h->next_id, 1);
	head->id = item->id & ((UINT64_C(1) << 48) - 1);
	head->forgiven = 0;
	head->len = (uint32_t)item->len;
	head->key_len = (uint16_t)item->key_len;
	head->reason_len = 0;
	head->priority = item->priority;
	if (ring_bytes_write(r, i, item) < 0)
		return -EBADMSG;
	if (item->delay_ns > 0) {
		head->due = pcore_ns_add(pcore_now_ns(), item->delay_ns);
		add_due(r, i);
	} else {
		ring_ready_insert(r, i, true);
	}
	ring_key_insert(r, i);
	ring_add(&r->h->n_items, 1);
	ring_add(&r->h->bytes, item->len + item->key_len);
	*ret = i;
	return 0;
}

static void commit_put(struct pcore_ring *r, uint32_t i, bool delayed, uint32_t old)
{
	enum ring_kind kind = delayed ? RING_DELAYED : RING_READY;

	ring_commit(r, i, kind, 0, old);
	if (old) {
		gone(r, old);
		ring_commit(r, i, kind, 0, 0);
	}
	r->h->counts.puts++;
}

static int put_now(struct pcore_ring *r, void *arg)
{
	struct put *p = arg;
	size_t n = 0;
	int e = 0;

	if (closed(r))
		return -ESHUTDOWN;

	for (; n < p->n; n++) {
		e = may_put(r, p, &p->items[n], &p->old[n]);
		if (e == 0)
			e = stage(r, &p->items[n], &p->cells[n]);
		if (e < 0)
			break;
	}
	if (n > 0)
		wake_getters(r);
	for (size_t i = 0; i < n; i++)
		if (p->old[i])
			ring_wake(r, RING_PUT);
	for (size_t i = 0; i < n; i++)
		commit_put(r, p->cells[i], p->items[i].delay_ns > 0, p->old[i]);
	return n > 0 ? (int)n : e;
}

static bool may_have_room(struct pcore_ring *r, void *arg)
{
	struct put *p = arg;

	return (ring_read(&r->h->n_items) < r->max_items && ring_read(&r->h->bytes) + p->items[0].len <= r->max_bytes) || closed(r);
}

int pcore_ring_put(struct pcore_ring *r, struct pcore_item *items, size_t n, bool replace, int64_t deadline_ns)
{
	struct put p;

	assert(n > 0);

	p.items = items;
	p.n = n < PCORE_RING_TAKE_MAX ? n : PCORE_RING_TAKE_MAX;
	p.replace = replace;
	return ring_do(r, &(struct ring_try){ put_now, may_have_room, &p, RING_PUT, true }, deadline_ns);
}

/* ---- get ---- */

struct get {
	struct pcore_item *items;
	size_t n;
	const struct pcore_take *how;
	struct pcore_buf *buf;
	size_t start; /* of our bytes in buf */
};

/* The item's bytes to the end of buf, with a NUL behind. */
static int copy_out(struct pcore_ring *r, uint32_t i, struct pcore_item *item, struct pcore_buf *buf)
{
	const struct ring_head *head = ring_head(r, i);
	int e;

	if (head->len > r->max_item)
		return -EBADMSG;
	e = pcore_buf_reserve(buf, (size_t)head->len + 1);
	if (e < 0)
		return e;
	e = ring_bytes_read(r, i, head->key_len, buf->data + buf->len, head->len);
	if (e < 0)
		return e;
	*item = (struct pcore_item){
		.data = NULL, /* the buffer may still move */
		.len = head->len,
		.id = head->id,
		.priority = head->priority,
		.attempt = ring_attempt(ring_state(r, i)),
		.tries = ring_attempt(ring_state(r, i)) - head->forgiven,
	};
	buf->data[buf->len + head->len] = '\0';
	buf->len += (size_t)head->len + 1;
	return 0;
}

static void lease(struct pcore_ring *r, uint32_t i, struct pcore_item *item, const struct pcore_take *how, int64_t now)
{
	struct ring_head *head = ring_head(r, i);

	if (item->attempt < UINT32_MAX >> 8) {
		item->attempt++;
		item->tries++;
	}
	head->lease_ns = how->lease_ns;
	head->due = pcore_ns_add(now, how->lease_ns);
	head->holder = how->holder;
	ring_id_insert(r, i);
	add_due(r, i);
	r->h->n_leased++;
	r->h->n_held += how->holder != 0;
	ring_commit(r, i, RING_LEASED, item->attempt, 0);
}

/* What was copied is taken off only when all of it is copied: a death before loses nothing. */
static void take_copied(struct pcore_ring *r, const struct get *g, const uint32_t *cells, size_t n)
{
	int64_t now = g->how->lease ? pcore_now_ns() : 0;

	r->h->counts.gets += n;
	if (!g->how->lease)
		wake_for_gone(r, n);
	for (size_t k = 0; k < n; k++) {
		if (g->how->lease)
			lease(r, cells[k], &g->items[k], g->how, now);
		else
			gone(r, cells[k]);
	}
}

static int get_now(struct pcore_ring *r, void *arg)
{
	struct get *g = arg;
	uint32_t cells[PCORE_RING_TAKE_MAX];
	size_t n = 0;
	int e = 0;

	mature(r);
	if (ring_read(&r->h->n_ready) == 0)
		reap(r);
	g->start = g->buf->len;
	for (; n < g->n; n++) {
		uint32_t i = ring_ready_top(r);

		__builtin_prefetch(&r->cell[ring_head(r, i)->next]); /* likely the next one */
		__builtin_prefetch(r->cell[ring_head(r, i)->next].bytes);
		if (!i || (n > 0 && g->how->bytes_max && g->buf->len - g->start + ring_head(r, i)->len >= g->how->bytes_max))
			break;
		e = copy_out(r, i, &g->items[n], g->buf);
		if (e < 0)
			break;
		ring_unplace(r, i);
		cells[n] = i;
	}
	if (n == 0)
		return e < 0 ? e : over(r) ? -ESHUTDOWN : -EAGAIN;
	take_copied(r, g, cells, n);
	return (int)n;
}

static bool may_have_items(struct pcore_ring *r, void *arg)
{
	(void)arg;
	return ring_read(&r->h->n_ready) > 0 || closed(r);
}

/* Where the bytes are is known when the last of them are there. */
static void point_to_data(struct pcore_item *items, size_t n, const struct pcore_buf *buf, size_t at)
{
	for (size_t i = 0; i < n; i++) {
		items[i].data = buf->data + at;
		at += items[i].len + 1;
	}
}

int pcore_ring_get(struct pcore_ring *r, struct pcore_item *items, size_t n, const struct pcore_take *how, struct pcore_buf *buf,
	int64_t deadline_ns)
{
	struct get g = { .items = items, .n = n < PCORE_RING_TAKE_MAX ? n : PCORE_RING_TAKE_MAX, .how = how, .buf = buf };
	int e;

	assert(n > 0);

	e = ring_do(r, &(struct ring_try){ get_now, may_have_items, &g, RING_GET, true }, deadline_ns);
	if (e > 0)
		point_to_data(items, (size_t)e, buf, g.start);
	return e;
}

static int peek_now(struct pcore_ring *r, void *arg)
{
	struct get *g = arg;
	uint32_t i;
	int e;

	mature(r);
	i = ring_ready_top(r);
	if (!i)
		return over(r) ? -ESHUTDOWN : -EAGAIN;
	g->start = g->buf->len;
	e = copy_out(r, i, g->items, g->buf);
	return e < 0 ? e : 1;
}

int pcore_ring_peek(struct pcore_ring *r, struct pcore_item *item, struct pcore_buf *buf)
{
	struct get g = { .items = item, .buf = buf };
	int e = ring_do(r, &(struct ring_try){ peek_now, NULL, &g, RING_GET, false }, 0);

	if (e > 0)
		point_to_data(item, 1, buf, g.start);
	return e;
}

/* ---- leases ---- */

/* The item that this lease is of: -ENOENT when it is not leased, -ESTALE when another lease of it runs. */
static int find_lease(struct pcore_ring *r, uint64_t id, uint32_t attempt, uint32_t *ret)
{
	uint32_t i;

	mature(r);
	i = ring_id_find(r, id);
	if (!i || ring_kind(ring_state(r, i)) != RING_LEASED)
		return -ENOENT;
	if (ring_attempt(ring_state(r, i)) != attempt)
		return -ESTALE;
	*ret = i;
	return 0;
}

int pcore_ring_ack(struct pcore_ring *r, uint64_t id, uint32_t attempt)
{
	uint32_t i;
	int e = ring_lock(r);

	if (e < 0)
		return e;

	e = find_lease(r, id, attempt, &i);
	if (e == 0) {
		wake_for_gone(r, 1);
		r->h->counts.acks++;
		gone(r, i);
	}
	ring_unlock(r);
	return e;
}

int pcore_ring_nack(struct pcore_ring *r, uint64_t id, uint32_t attempt, int64_t delay_ns)
{
	uint32_t i;
	int e;

	assert(delay_ns >= 0);

	e = ring_lock(r);
	if (e < 0)
		return e;

	e = find_lease(r, id, attempt, &i);
	if (e == 0 && delay_ns == 0) {
		wake_getters(r);
		make_ready(r, i);
	} else if (e == 0) {
		ring_unplace(r, i);
		end_lease(r, i);
		ring_head(r, i)->due = pcore_ns_add(pcore_now_ns(), delay_ns); /* a death here: the lease ends then */
		add_due(r, i);
		ring_commit(r, i, RING_DELAYED, attempt, 0);
	}
	ring_unlock(r);
	return e;
}

int pcore_ring_touch(struct pcore_ring *r, uint64_t id, uint32_t attempt, int64_t lease_ns)
{
	uint32_t i;
	int e;

	assert(lease_ns >= 0);

	e = ring_lock(r);
	if (e < 0)
		return e;

	e = find_lease(r, id, attempt, &i);
	if (e == 0) {
		struct ring_head *head = ring_head(r, i);

		if (lease_ns > 0)
			head->lease_ns = lease_ns;
		ring_unplace(r, i);
		head->due = pcore_ns_add(pcore_now_ns(), head->lease_ns);
		add_due(r, i);
	}
	ring_unlock(r);
	return e;
}

int pcore_ring_untake(struct pcore_ring *r, uint64_t id, uint32_t attempt)
{
	uint32_t i;
	int e = ring_lock(r);

	if (e < 0)
		return e;

	e = find_lease(r, id, attempt, &i);
	if (e == 0) {
		wake_getters(r);
		make_ready_as(r, i, attempt - 1);
	}
	ring_unlock(r);
	return e;
}

/* ---- dead items ---- */

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

int pcore_ring_bury(struct pcore_ring *r, uint64_t id, uint32_t attempt, const char *reason, size_t len)
{
	struct ring_head *head;
	uint32_t i;
	int e = ring_lock(r);

	if (e < 0)
		return e;

	e = find_lease(r, id, attempt, &i);
	if (e == 0) {
		len = least(least(len, PCORE_REASON_MAX), r->max_bytes - ring_read(&r->h->bytes));
		e = ring_reason_write(r, i, reason, len);
	}
	if (e == 0) {
		head = ring_head(r, i);
		ring_add(&r->h->bytes, len);
		ring_unplace(r, i);
		end_lease(r, i);
		head->holder = (uint64_t)pcore_clock_ns(CLOCK_REALTIME); /* a death here: a holder that is not there */
		wake_at_end(r, 1);
		ring_dead_insert(r, i);
		ring_commit(r, i, RING_DEAD, attempt, 0);
	}
	ring_unlock(r);
	return e;
}

static uint32_t dead_after(const struct pcore_ring *r, uint64_t after)
{
	uint32_t best = 0;

	for (uint32_t i = r->h->dead.first; i; i = ring_head(r, i)->next)
		if (ring_head(r, i)->id > after && (!best || ring_head(r, i)->id < ring_head(r, best)->id))
			best = i;
	return best;
}

static int copy_dead(struct pcore_ring *r, uint32_t i, struct pcore_dead *ret, struct pcore_buf *buf)
{
	const struct ring_head *head = ring_head(r, i);
	int e = copy_out(r, i, &ret->item, buf);

	if (e == 0)
		e = pcore_buf_reserve(buf, (size_t)head->reason_len + 1);
	if (e == 0)
		e = ring_bytes_read(r, i, (size_t)head->key_len + head->len, buf->data + buf->len, head->reason_len);
	if (e < 0)
		return e;
	buf->data[buf->len + head->reason_len] = '\0';
	buf->len += (size_t)head->reason_len + 1;
	ret->reason_len = head->reason_len;
	ret->died_ns = (int64_t)head->holder;
	return 1;
}

int pcore_ring_dead(struct pcore_ring *r, uint64_t after, struct pcore_dead *ret, struct pcore_buf *buf)
{
	size_t start = buf->len;
	uint32_t i;
	int e = ring_lock(r);

	if (e < 0)
		return e;

	i = dead_after(r, after);
	if (i)
		e = copy_dead(r, i, ret, buf);
	ring_unlock(r);
	if (e > 0) {
		ret->item.data = buf->data + start;
		ret->reason = buf->data + start + ret->item.len + 1;
	}
	return e;
}

static int find_dead(struct pcore_ring *r, uint64_t id, uint32_t *ret)
{
	*ret = ring_id_find(r, id);
	return *ret && ring_kind(ring_state(r, *ret)) == RING_DEAD ? 0 : -ENOENT;
}

/* Its attempts go on: whoever still believes to have it must not end a lease of somebody else. Only after very many they begin
 * again. */
int pcore_ring_revive(struct pcore_ring *r, uint64_t id)
{
	uint32_t i, attempt;
	int e = ring_lock(r);

	if (e < 0)
		return e;

	e = find_dead(r, id, &i);
	if (e == 0) {
		wake_getters(r);
		ring_wake(r, RING_PUT); /* the room of the reason */
		attempt = ring_attempt(ring_state(r, i));
		attempt = attempt <= UINT16_MAX ? attempt : 0;
		ring_head(r, i)->forgiven = attempt & UINT16_MAX; /* a death here: only what the dead one's tries were is lost */
		make_ready_as(r, i, attempt);
		ring_reason_free(r, i);
	}
	ring_unlock(r);
	return e;
}

int pcore_ring_discard(struct pcore_ring *r, uint64_t id)
{
	uint32_t i;
	int e = ring_lock(r);

	if (e < 0)
		return e;

	e = find_dead(r, id, &i);
	if (e == 0) {
		ring_wake(r, RING_PUT);
		gone(r, i);
	}
	ring_unlock(r);
	return e;
}

/* ---- the ring as a whole ---- */

int pcore_ring_close(struct pcore_ring *r, bool drop)
{
	int e = ring_lock(r);

	if (e < 0)
		return e;

	if (!closed(r) || drop) {
		for (enum ring_gate g = RING_GET; g < RING_GATES; g++)
			ring_wake(r, g);
		atomic_store(&r->h->closed, drop ? RING_DROPPED : RING_CLOSED);
	}
	for (uint32_t i = 1; drop && i < r->h->fresh; i++) {
		enum ring_kind kind = ring_kind(ring_state(r, i));

		if (kind != RING_FREE)
			gone(r, i);
	}
	ring_unlock(r);
	return 0;
}

static int join_now(struct pcore_ring *r, void *arg)
{
	(void)arg;
	if (alive(r) == 0)
		return 0;
	mature(r);
	reap(r);
	return -EAGAIN;
}

int pcore_ring_join(struct pcore_ring *r, int64_t deadline_ns)
{
	return ring_do(r, &(struct ring_try){ join_now, NULL, NULL, RING_JOIN, false }, deadline_ns);
}

static int poll_now(struct pcore_ring *r, void *arg)
{
	const _Atomic bool *stop = arg;

	if (stop && atomic_load(stop))
		return -ECANCELED;
	mature(r);
	if (ring_read(&r->h->n_ready) == 0)
		reap(r);
	return ring_read(&r->h->n_ready) > 0 || over(r) ? 0 : -EAGAIN;
}

int pcore_ring_poll(struct pcore_ring *r, const _Atomic bool *stop, int64_t deadline_ns)
{
	return ring_do(r, &(struct ring_try){ poll_now, NULL, (void *)(uintptr_t)stop, RING_POLL, false }, deadline_ns);
}

void pcore_ring_cancel(struct pcore_ring *r, _Atomic bool *stop)
{
	atomic_store(stop, true);
	if (ring_lock(r) < 0)
		return;
	ring_wake(r, RING_POLL);
	ring_unlock(r);
}

int pcore_ring_stat(struct pcore_ring *r, struct pcore_ring_stat *ret)
{
	struct ring_header *h = r->h;
	int e = ring_lock(r);

	if (e < 0)
		return e;

	mature(r);
	*ret = (struct pcore_ring_stat){
		.spec = { r->order, r->max_bytes, r->max_items, r->max_item },
		.ready = ring_read(&h->n_ready),
		.leased = h->n_leased,
		.delayed = alive(r) - ring_read(&h->n_ready) - h->n_leased,
		.dead = h->n_dead,
		.bytes = ring_read(&h->bytes),
		.puts = h->counts.puts,
		.gets = h->counts.gets,
		.acks = h->counts.acks,
		.returns = h->counts.returns,
		.recoveries = h->counts.recoveries,
		.age_ns = pcore_now_ns() - h->created_ns,
		.closed = closed(r),
	};
	ring_unlock(r);
	return 0;
}
