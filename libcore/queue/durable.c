/* SPDX-License-Identifier: MIT */
/*
 * durable.c - items put into a durable queue and taken from it.
 */
#include "libcore/queue/durable.h"

enum { BATCH_BYTES = 4 << 20 }; /* a put of more is cut in two */

/* ---- put ---- */

struct put {
	struct pcore_item *items;
	size_t n;
	bool replace;
	uint64_t seq;
	uint32_t slots[PCORE_RING_TAKE_MAX], old[PCORE_RING_TAKE_MAX];
};

/* The item with this key: 1, 0 when there is none, -EAGAIN when it is put by the same call. */
static int find_key(struct durable *d, const struct pcore_item *item, uint32_t hash, uint32_t *ret)
{
	int found = 0;

	for (uint32_t slot = dq_key_next(d, hash, 0); slot; slot = dq_key_next(d, hash, slot)) {
		struct dq_put put;
		int r = dq_entry(d, slot)->at == 0 ? -EAGAIN : dq_read_put(d, slot, &put);

		if (r < 0)
			return r;
		if (put.key_len == item->key_len && memcmp(put.key, item->key, put.key_len) == 0) {
			*ret = slot;
			found = 1; /* and on: the newest ones may come behind */
		}
	}
	return found;
}

static int may_put(struct durable *d, const struct put *p, const struct pcore_item *item, uint32_t hash, uint32_t *ret_old)
{
	const struct pcore_queue_config *spec = &d->meta.spec;
	uint64_t bytes = (uint64_t)item->len + item->key_len;
	int r;

	assert(item->key_len <= PCORE_KEY_MAX);
	assert(item->delay_ns >= 0);

	if (item->len > spec->max_item || (spec->max_bytes && bytes > spec->max_bytes))
		return -EMSGSIZE;
	if (spec->max_items && d->h->n_items >= spec->max_items)
		return -EAGAIN;
	if (spec->max_bytes && d->h->bytes + bytes > spec->max_bytes)
		return -EAGAIN;
	*ret_old = 0;
	r = item->key_len ? find_key(d, item, hash, ret_old) : 0;
	return r == 1 ? (p->replace ? 0 : -EEXIST) : r;
}

/* The item's record, to be appended, and its place in the index. */
static int stage(struct durable *d, struct pcore_item *item, uint32_t hash, uint32_t old, uint32_t *ret)
{
	struct dq_put put = { .id = d->h->next_id, .priority = item->priority, .key = item->key, .key_len = item->key_len,
		.data = item->data, .len = item->len };
	size_t from = d->out.len;
	int r = dq_room(d, item->key_len > 0);

	if (r == 0 && item->delay_ns > 0)
		r = dq_time_room(d, 1);
	if (r < 0)
		return r;
	if (old)
		put.replaces = dq_entry(d, old)->id;
	if (item->delay_ns > 0)
		put.due_ns = pcore_ns_add(pcore_clock_ns(CLOCK_REALTIME), item->delay_ns);
	r = dq_encode_put(&d->out, &put);
	if (r == 0)
		r = dq_add_record(d, DQ_PUT, 0, from);
	if (r < 0)
		return r;
	item->id = d->h->next_id++;
	item->attempt = item->tries = 0;
	*ret = dq_add(d, &(struct dq_new){ .id = item->id, .size = (uint32_t)(item->len + item->key_len),
			.priority = item->priority, .keyed = item->key_len > 0, .key_hash = hash });
	if (item->delay_ns > 0)
		dq_delay(d, *ret, pcore_ns_add(pcore_now_ns(), item->delay_ns));
	else
		dq_ready(d, *ret, true);
	return 0;
}

/* n items are staged: they are in when the log says so. */
static int put_staged(struct durable *d, struct put *p, size_t n)
{
	int r;

	dq_wake_getters(d);
	for (size_t i = 0; i < n; i++)
		if (p->old[i])
			dq_wake(d, DQ_ROOM);
	r = dq_append(d, true);
	if (r < 0) {
		d->h->next_id -= n;
		while (n > 0)
			dq_forget(d, p->slots[--n]);
		return r;
	}
	for (size_t i = 0; i < n; i++) {
		dq_entry(d, p->slots[i])->at = d->recs[i].at;
		if (p->old[i])
			dq_forget(d, p->old[i]);
	}
	d->h->counts.puts += n;
	p->seq = d->recs[n - 1].seq;
	return (int)n;
}

static int put_now(struct durable *d, void *arg)
{
	struct put *p = arg;
	size_t n = 0;
	int r = 0;

	if (d->h->closed)
		return -ESHUTDOWN;
	dq_begin_records(d);
	for (; n < p->n && (n == 0 || d->out.len + p->items[n].len < BATCH_BYTES); n++) {
		uint32_t hash = dq_key_hash(p->items[n].key, p->items[n].key_len);

		r = may_put(d, p, &p->items[n], hash, &p->old[n]);
		if (r == 0)
			r = stage(d, &p->items[n], hash, p->old[n], &p->slots[n]);
		if (r < 0)
			break;
	}
	d->out.len = n > 0 ? d->recs[n - 1].at + d->recs[n - 1].len : 0;
	d->n_recs = n;
	return n > 0 ? put_staged(d, p, n) : r;
}

static int durable_put(struct pcore_queue *q, struct pcore_item *items, size_t n, bool replace, int64_t deadline_ns)
{
	struct durable *d = durable_of(q);
	struct put p;
	int r;

	assert(n > 0);

	p.items = items;
	p.n = n < PCORE_RING_TAKE_MAX ? n : PCORE_RING_TAKE_MAX;
	p.replace = replace;
	p.seq = 0;
	n = (size_t)(r = dq_do(&(struct dq_try){ d, put_now, &p, DQ_ROOM }, deadline_ns));
	if (r > 0)
		r = dq_settle(d, p.seq, false);
	return r < 0 ? r : (int)n;
}

/* ---- get ---- */

struct get {
	struct pcore_item *items;
	size_t n;
	const struct pcore_take *how;
	struct pcore_buf *buf;
	size_t start; /* of our bytes in buf */
	uint64_t seq;
	bool compact;
};

/* The item's bytes to the end of buf, with a NUL behind. */
static int copy_out(struct durable *d, uint32_t slot, struct pcore_item *item, struct pcore_buf *buf)
{
	struct dq_put put;
	int r = dq_read_put(d, slot, &put);

	if (r == 0)
		r = pcore_buf_reserve(buf, put.len + 1);
	if (r < 0)
		return r;
	memcpy(buf->data + buf->len, put.data, put.len);
	buf->data[buf->len + put.len] = '\0';
	buf->len += put.len + 1;
	*item = (struct pcore_item){
		.data = NULL, /* the buffer may still move */
		.len = put.len,
		.id = put.id,
		.priority = put.priority,
		.attempt = dq_entry(d, slot)->attempt,
		.tries = dq_entry(d, slot)->attempt - dq_forgiven(d, slot),
	};
	return 0;
}

static int take(struct durable *d, struct get *g, const uint32_t *slots, size_t n)
{
	uint64_t seq = 0;
	int r = 0;

	dq_begin_records(d);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = dq_encode_id(&d->out, g->items[i].id);
	dq_wake(d, DQ_ROOM);
	dq_wake_for_finished(d, n);
	if (r == 0)
		r = dq_append_one(d, DQ_GONE, DQ_TAKEN, &seq);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		dq_forget(d, slots[i]);
	g->seq = seq;
	g->compact = dq_worth_compacting(d);
	return 0;
}

static int lease(struct durable *d, struct get *g, const uint32_t *slots, size_t n)
{
	struct dq_timed t = { .due_ns = pcore_ns_add(pcore_now_ns(), g->how->lease_ns), .lease_ns = g->how->lease_ns,
		.holder = g->how->holder };
	struct dq_lease l = { .boot = d->boot, .due_ns = t.due_ns, .lease_ns = t.lease_ns, .holder = t.holder };
	uint64_t seq;
	int r = dq_time_room(d, n);

	dq_begin_records(d);
	if (r == 0)
		r = dq_encode_lease(&d->out, &l);
	for (size_t i = 0; r == 0 && i < n; i++) {
		bool counts = g->items[i].attempt < DQ_ATTEMPT_MAX;

		g->items[i].attempt += counts;
		g->items[i].tries += counts;
		r = dq_encode_leased(&d->out, &(struct dq_leased){ .id = g->items[i].id, .attempt = g->items[i].attempt,
			.forgiven = dq_forgiven(d, slots[i]) });
	}
	dq_wake_for_due(d, t.due_ns);
	if (r == 0)
		r = dq_append_one(d, DQ_LEASE, 0, &seq);
	for (size_t i = 0; r == 0 && i < n; i++) {
		dq_entry(d, slots[i])->attempt = g->items[i].attempt & DQ_ATTEMPT_MAX;
		dq_lease(d, slots[i], &t);
	}
	return r;
}

static int get_now(struct durable *d, void *arg)
{
	uint32_t slots[PCORE_RING_TAKE_MAX];
	struct get *g = arg;
	size_t n = 0;
	int r = 0;

	dq_mature(d);
	if (d->h->n_ready == 0)
		dq_reap(d);
	g->start = g->buf->len;
	for (; n < g->n; n++) {
		uint32_t slot = dq_ready_top(d);

		if (!slot || (n > 0 && g->how->bytes_max && g->buf->len - g->start + dq_entry(d, slot)->size >= g->how->bytes_max))
			break;
		r = copy_out(d, slot, &g->items[n], g->buf);
		if (r < 0)
			break;
		dq_unplace(d, slot);
		slots[n] = slot;
	}
	if (n == 0)
		return r < 0 ? r : dq_over(d) ? -ESHUTDOWN : -EAGAIN;
	r = g->how->lease ? lease(d, g, slots, n) : take(d, g, slots, n);
	if (r < 0) {
		for (size_t i = 0; i < n; i++)
			dq_ready(d, slots[i], false);
		g->buf->len = g->start;
		return r;
	}
	d->h->counts.gets += n;
	return (int)n;
}

/* Where the bytes are is known when the last of them are there. */
static void point_to_data(struct pcore_item *items, size_t n, const struct pcore_buf *buf, size_t at)
{
	for (size_t i = 0; i < n; i++) {
		items[i].data = buf->data + at;
		at += items[i].len + 1;
	}
}

static int durable_get(struct pcore_queue *q, struct pcore_item *items, size_t n, const struct pcore_take *how, struct pcore_buf *buf,
	int64_t deadline_ns)
{
	struct get g = { .items = items, .n = n < PCORE_RING_TAKE_MAX ? n : PCORE_RING_TAKE_MAX, .how = how, .buf = buf };
	struct durable *d = durable_of(q);
	int r, got;

	assert(n > 0);

	got = r = dq_do(&(struct dq_try){ d, get_now, &g, DQ_GET }, deadline_ns);
	if (r > 0)
		r = dq_settle(d, g.seq, g.compact);
	if (r < 0)
		return r;
	point_to_data(items, (size_t)got, buf, g.start);
	return got;
}

static int peek_now(struct durable *d, void *arg)
{
	struct get *g = arg;
	uint32_t slot;
	int r;

	dq_mature(d);
	slot = dq_ready_top(d);
	if (!slot)
		return dq_over(d) ? -ESHUTDOWN : -EAGAIN;
	g->start = g->buf->len;
	r = copy_out(d, slot, g->items, g->buf);
	return r < 0 ? r : 1;
}

static int durable_peek(struct pcore_queue *q, struct pcore_item *item, struct pcore_buf *buf)
{
	struct get g = { .items = item, .buf = buf };
	int r = dq_do(&(struct dq_try){ durable_of(q), peek_now, &g, DQ_GET }, 0);

	if (r > 0)
		point_to_data(item, 1, buf, g.start);
	return r;
}

/* ---- the queue as a whole ---- */

static int durable_close(struct pcore_queue *q, bool drop)
{
	struct durable *d = durable_of(q);
	uint64_t seq = 0;
	int r = dq_lock(d);

	if (r < 0)
		return r;
	if (!d->h->closed || drop) {
		dq_begin_records(d);
		pcore_gate_wake_all(d->h->gate, DQ_GATES);
		r = dq_append_one(d, DQ_CLOSE, drop ? DQ_DROP : 0, &seq);
	}
	if (r == 0)
		d->h->closed = 1;
	if (r == 0 && drop)
		dq_drop(d);
	dq_unlock(d);
	return r < 0 ? r : dq_settle(d, seq, false);
}

static int join_now(struct durable *d, void *arg)
{
	(void)arg;
	if (dq_unfinished(d) == 0)
		return 0;
	dq_mature(d);
	dq_reap(d);
	return -EAGAIN;
}

static int durable_join(struct pcore_queue *q, int64_t deadline_ns)
{
	return dq_do(&(struct dq_try){ durable_of(q), join_now, NULL, DQ_JOIN }, deadline_ns);
}

static int poll_now(struct durable *d, void *arg)
{
	const _Atomic bool *stop = arg;

	if (stop && atomic_load(stop))
		return -ECANCELED;
	dq_mature(d);
	if (d->h->n_ready == 0)
		dq_reap(d);
	return d->h->n_ready > 0 || dq_over(d) ? 0 : -EAGAIN;
}

static int durable_poll(struct pcore_queue *q, const _Atomic bool *stop, int64_t deadline_ns)
{
	return dq_do(&(struct dq_try){ durable_of(q), poll_now, (void *)(uintptr_t)stop, DQ_POLL }, deadline_ns);
}

static void durable_cancel(struct pcore_queue *q, _Atomic bool *stop)
{
	atomic_store(stop, true);
	pcore_gate_wake_all(&durable_of(q)->h->gate[DQ_POLL], 1);
}

static int durable_stat(struct pcore_queue *q, struct pcore_queue_state *ret)
{
	static const char *const durability[] = { [PCORE_QUEUE_ALWAYS] = "always", [PCORE_QUEUE_INTERVAL] = "interval",
		[PCORE_QUEUE_NONE] = "unsynced" };
	struct durable *d = durable_of(q);
	const struct dq_header *h = d->h;
	int r = dq_lock(d);

	if (r < 0)
		return r;
	dq_mature(d);
	*ret = (struct pcore_queue_state){
		.spec = d->meta.spec,
		.ready = h->n_ready,
		.leased = h->n_leased,
		.delayed = h->n_timed - h->n_leased,
		.dead = h->n_dead,
		.bytes = h->bytes,
		.puts = h->counts.puts,
		.gets = h->counts.gets,
		.acks = h->counts.acks,
		.returns = h->counts.returns,
		.recoveries = h->counts.recoveries,
		.age_ns = pcore_clock_ns(CLOCK_REALTIME) - d->meta.created_ns,
		.closed = h->closed,
		.durability = durability[d->meta.spec.sync],
	};
	dq_unlock(d);
	return 0;
}

static void durable_found(const struct pcore_queue *q, struct pcore_queue_found *ret)
{
	const struct durable *d = container_of(q, const struct durable, queue);

	*ret = (struct pcore_queue_found){ d->found.cut_bytes, d->found.cut_records };
}

static void durable_free(struct pcore_queue *q)
{
	dq_free(durable_of(q));
}

const struct pcore_queue_ops dq_ops = {
	.free = durable_free,
	.put = durable_put,
	.get = durable_get,
	.peek = durable_peek,
	.ack = dq_ack,
	.nack = dq_nack,
	.touch = dq_touch,
	.untake = dq_untake,
	.bury = dq_set_aside,
	.dead = dq_show_dead,
	.revive = dq_revive,
	.discard = dq_discard,
	.close = durable_close,
	.join = durable_join,
	.poll = durable_poll,
	.cancel = durable_cancel,
	.stat = durable_stat,
	.found = durable_found,
};
