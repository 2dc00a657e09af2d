/* SPDX-License-Identifier: MIT */
/*
 * durable_lease.c - how a lease of a durable queue ends, and what becomes of dead items.
 */
#include "libcore/queue/durable.h"

/* Take the lock and find the item that this lease is of: -ENOENT when it is not leased, -ESTALE when another lease of it runs. */
static int lock_lease(struct durable *d, uint64_t id, uint32_t attempt, uint32_t *ret)
{
	int r = dq_lock(d);

	if (r < 0)
		return r;
	dq_mature(d);
	*ret = dq_find(d, id);
	if (!*ret || dq_entry(d, *ret)->kind != DQ_LEASED)
		r = -ENOENT;
	else if (dq_entry(d, *ret)->attempt != attempt)
		r = -ESTALE;
	if (r < 0)
		dq_unlock(d);
	return r;
}

int dq_ack(struct pcore_queue *q, uint64_t id, uint32_t attempt)
{
	struct durable *d = durable_of(q);
	bool compact = false;
	uint64_t seq = 0;
	uint32_t slot;
	int r = lock_lease(d, id, attempt, &slot);

	if (r < 0)
		return r;
	dq_wake(d, DQ_ROOM);
	dq_wake_for_finished(d, 1);
	r = dq_append_id(d, DQ_GONE, DQ_ACKED, id, &seq);
	if (r == 0) {
		dq_forget(d, slot);
		d->h->counts.acks++;
		compact = dq_worth_compacting(d);
	}
	dq_unlock(d);
	return r < 0 ? r : dq_settle(d, seq, compact);
}

/* counted: the attempts that the item has behind it then. */
static int give_back(struct pcore_queue *q, uint64_t id, uint32_t attempt, uint32_t counted, int64_t delay_ns)
{
	struct durable *d = durable_of(q);
	struct dq_nack n = { .id = id, .attempt = counted };
	int64_t due_ns = pcore_ns_add(pcore_now_ns(), delay_ns);
	uint64_t seq = 0;
	uint32_t slot;
	int r;

	assert(delay_ns >= 0);

	r = lock_lease(d, id, attempt, &slot);
	if (r < 0)
		return r;
	n.forgiven = dq_forgiven(d, slot);
	if (delay_ns > 0)
		n.due_ns = pcore_ns_add(pcore_clock_ns(CLOCK_REALTIME), delay_ns);
	if (delay_ns == 0)
		dq_wake_getters(d);
	else
		dq_wake_for_due(d, due_ns);
	dq_begin_records(d);
	r = dq_encode_nack(&d->out, &n);
	if (r == 0)
		r = dq_append_one(d, DQ_NACK, 0, &seq);
	if (r == 0) {
		dq_give_back(d, slot);
		dq_entry(d, slot)->attempt = counted & DQ_ATTEMPT_MAX;
		if (delay_ns > 0) {
			dq_unplace(d, slot);
			dq_delay(d, slot, due_ns);
		}
	}
	dq_unlock(d);
	return r < 0 || delay_ns == 0 ? r : dq_settle(d, seq, false);
}

int dq_nack(struct pcore_queue *q, uint64_t id, uint32_t attempt, int64_t delay_ns)
{
	return give_back(q, id, attempt, attempt, delay_ns);
}

int dq_untake(struct pcore_queue *q, uint64_t id, uint32_t attempt)
{
	return give_back(q, id, attempt, attempt - 1, 0);
}

int dq_touch(struct pcore_queue *q, uint64_t id, uint32_t attempt, int64_t lease_ns)
{
	struct durable *d = durable_of(q);
	struct dq_lease l = { .boot = d->boot };
	uint64_t seq;
	uint32_t slot;
	int r;

	assert(lease_ns >= 0);

	r = lock_lease(d, id, attempt, &slot);
	if (r < 0)
		return r;
	l.holder = dq_timed(d, dq_entry(d, slot)->prev)->holder;
	l.lease_ns = lease_ns > 0 ? lease_ns : dq_timed(d, dq_entry(d, slot)->prev)->lease_ns;
	l.due_ns = pcore_ns_add(pcore_now_ns(), l.lease_ns);
	dq_wake_for_due(d, l.due_ns);
	dq_begin_records(d);
	r = dq_encode_lease(&d->out, &l);
	if (r == 0)
		r = dq_encode_leased(&d->out, &(struct dq_leased){ .id = id, .attempt = attempt, .forgiven = dq_forgiven(d, slot) });
	if (r == 0)
		r = dq_append_one(d, DQ_LEASE, DQ_AGAIN, &seq);
	if (r == 0)
		dq_due_at(d, slot, l.due_ns, l.lease_ns);
	dq_unlock(d);
	return r;
}

int dq_set_aside(struct pcore_queue *q, uint64_t id, uint32_t attempt, const char *reason, size_t len)
{
	struct durable *d = durable_of(q);
	struct dq_bury b = { .id = id, .attempt = attempt, .reason = reason, .reason_len = len };
	uint64_t seq = 0;
	uint32_t slot;
	int r = lock_lease(d, id, attempt, &slot);

	if (r < 0)
		return r;
	b.died_ns = pcore_clock_ns(CLOCK_REALTIME);
	b.forgiven = dq_forgiven(d, slot);
	dq_wake_for_finished(d, 1);
	dq_begin_records(d);
	r = dq_bury_room(d);
	if (r == 0)
		r = dq_encode_bury(&d->out, &b);
	if (r == 0)
		r = dq_append_one(d, DQ_BURY, 0, &seq);
	if (r == 0) {
		dq_unplace(d, slot);
		dq_bury(d, slot, d->recs[0].at, seq);
	}
	dq_unlock(d);
	return r < 0 ? r : dq_settle(d, seq, false);
}

/* ---- the dead ---- */

/* The item's bytes and then the reason, each with a NUL behind. */
static int copy_dead(struct durable *d, const struct dq_dead *dead, struct pcore_dead *ret, struct pcore_buf *buf)
{
	size_t start = buf->len;
	struct pcore_record rec;
	struct dq_put put = { 0 };
	struct dq_bury b = { 0 };
	int r = dq_read_put(d, dead->slot, &put);

	if (r == 0)
		r = pcore_buf_reserve(buf, put.len + 1 + PCORE_REASON_MAX + 1);
	if (r < 0)
		return r;
	memcpy(buf->data + start, put.data, put.len);
	buf->data[start + put.len] = '\0';
	r = pcore_store_read(d->log, dead->at, &d->in, &rec);
	if (r == 0)
		r = dq_decode_bury(&rec, &b);
	if (r < 0)
		return r == -ESTALE ? -EBADMSG : r;
	memcpy(buf->data + start + put.len + 1, b.reason, b.reason_len);
	buf->data[start + put.len + 1 + b.reason_len] = '\0';
	buf->len += put.len + 1 + b.reason_len + 1;
	*ret = (struct pcore_dead){
		.item = { .data = buf->data + start, .len = put.len, .id = put.id, .priority = put.priority,
			.attempt = dq_entry(d, dead->slot)->attempt, .tries = dq_entry(d, dead->slot)->attempt - dq_forgiven(d, dead->slot) },
		.reason = buf->data + start + put.len + 1,
		.reason_len = b.reason_len,
		.died_ns = b.died_ns,
	};
	return 1;
}

int dq_show_dead(struct pcore_queue *q, uint64_t after, struct pcore_dead *ret, struct pcore_buf *buf)
{
	struct durable *d = durable_of(q);
	uint32_t i;
	int r = dq_lock(d);

	if (r < 0)
		return r;
	i = after < DQ_ID_MASK ? dq_dead_from(d, after + 1) : d->h->n_dead;
	if (i < d->h->n_dead)
		r = copy_dead(d, dq_dead(d, i), ret, buf);
	dq_unlock(d);
	return r;
}

static int lock_dead(struct durable *d, uint64_t id, uint32_t *ret)
{
	int r = dq_lock(d);

	if (r < 0)
		return r;
	*ret = dq_find(d, id);
	if (*ret && dq_entry(d, *ret)->kind == DQ_DEAD)
		return 0;
	dq_unlock(d);
	return -ENOENT;
}

int dq_revive(struct pcore_queue *q, uint64_t id)
{
	struct durable *d = durable_of(q);
	uint64_t seq = 0;
	uint32_t slot;
	int r = lock_dead(d, id, &slot);

	if (r < 0)
		return r;
	dq_wake_getters(d);
	r = dq_forgive_room(d, slot);
	if (r == 0)
		r = dq_append_id(d, DQ_REVIVE, 0, id, &seq);
	if (r == 0) {
		dq_unplace(d, slot);
		dq_forgive(d, slot);
		dq_ready(d, slot, false);
	}
	dq_unlock(d);
	return r < 0 ? r : dq_settle(d, seq, false);
}

int dq_discard(struct pcore_queue *q, uint64_t id)
{
	struct durable *d = durable_of(q);
	bool compact = false;
	uint64_t seq = 0;
	uint32_t slot;
	int r = lock_dead(d, id, &slot);

	if (r < 0)
		return r;
	dq_wake(d, DQ_ROOM);
	r = dq_append_id(d, DQ_GONE, DQ_DISCARDED, id, &seq);
	if (r == 0) {
		dq_forget(d, slot);
		compact = dq_worth_compacting(d);
	}
	dq_unlock(d);
	return r < 0 ? r : dq_settle(d, seq, compact);
}
