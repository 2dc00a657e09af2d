/* SPDX-License-Identifier: MIT */
/*
 * durable_log.c - a durable queue's log: appended to, read to make the index anew, compacted.
 */
#include "libcore/queue/durable.h"

/* An item is removed by a record of this size at worst. So much room is kept for each item, up to a limit: beyond it, what is
 * removed already makes room by compaction. */
enum { REMOVAL = DQ_RECORD_HEADER + 8, SNAPSHOT_BATCH = 1024 };
#define KEEP_MAX (UINT64_C(64) << 20)

/* ---- the lock ---- */

int dq_lock(struct durable *d)
{
	int r;

	(void)pthread_mutex_lock(&d->mutex);
	r = pcore_store_begin(d->log);
	if (r < 0) {
		if (d->h) /* it may be that nobody ever gets the lock again */
			pcore_gate_wake_all(d->h->gate, DQ_GATES);
		(void)pthread_mutex_unlock(&d->mutex);
		return r;
	}
	if (d->h)
		r = dq_memory_follow(d);
	if (r == 0 && d->h && atomic_load(&d->h->generation) != pcore_store_generation(d->log))
		r = dq_rebuild(d);
	if (r < 0)
		dq_unlock(d);
	return r;
}

void dq_unlock(struct durable *d)
{
	pcore_store_end(d->log);
	(void)pthread_mutex_unlock(&d->mutex);
}

/* ---- appending ---- */

void dq_begin_records(struct durable *d)
{
	pcore_buf_clear(&d->out);
	d->n_recs = 0;
}

/* Where a record begins is kept in `at' and becomes a pointer when the buffer does not move any more. */
int dq_add_record(struct durable *d, enum dq_type type, uint8_t flags, size_t from)
{
	if (d->n_recs == d->recs_cap) {
		size_t cap = d->recs_cap ? 2 * d->recs_cap : 16;
		struct pcore_record *more = realloc(d->recs, cap * sizeof(*more));

		if (!more)
			return -ENOMEM;
		d->recs = more;
		d->recs_cap = cap;
	}
	d->recs[d->n_recs++] = (struct pcore_record){ .type = (uint8_t)type, .flags = flags, .at = from, .len = d->out.len - from };
	return 0;
}

static uint64_t room_for_removals(const struct durable *d)
{
	return d->h->n_items < KEEP_MAX / REMOVAL ? d->h->n_items * REMOVAL : KEEP_MAX;
}

int dq_append(struct durable *d, bool keep)
{
	int r;

	for (size_t i = 0; i < d->n_recs; i++)
		d->recs[i].data = d->out.data + d->recs[i].at;
	r = pcore_store_append(d->log, d->recs, d->n_recs, keep ? room_for_removals(d) : 0);
	if (r < 0) {
		pcore_gate_wake_all(d->h->gate, DQ_GATES); /* it may have been a sync that failed */
		return r;
	}
	for (size_t i = 0; i < d->n_recs; i++)
		d->h->log_all += dq_record_size(d->recs[i].len);
	return 0;
}

int dq_commit(struct durable *d, uint64_t seq)
{
	int r = pcore_store_commit(d->sync, seq);

	if (r < 0)
		pcore_gate_wake_all(d->h->gate, DQ_GATES);
	return r;
}

int dq_read_put(struct durable *d, uint32_t slot, struct dq_put *ret)
{
	struct pcore_record rec;
	int r = pcore_store_read(d->log, dq_entry(d, slot)->at, &d->in, &rec);

	if (r == 0)
		r = dq_decode_put(&rec, ret);
	if (r == 0 && ret->id != dq_entry(d, slot)->id)
		r = -EBADMSG;
	return r == -ESTALE ? -EBADMSG : r; /* the index said that it is there */
}

/* ---- the index, made anew ---- */

static int apply_put(struct durable *d, const struct pcore_record *rec)
{
	struct dq_put p;
	uint32_t slot, old;
	int r = dq_decode_put(rec, &p);

	if (r == 0 && p.id < d->h->next_id)
		r = -EBADMSG;
	if (r == 0)
		r = dq_room(d, p.key_len > 0);
	if (r == 0 && p.due_ns)
		r = dq_time_room(d, 1);
	if (r < 0)
		return r;
	old = p.replaces ? dq_find(d, p.replaces) : 0;
	if (old)
		dq_forget(d, old);
	slot = dq_add(d, &(struct dq_new){ .id = p.id, .size = (uint32_t)(p.key_len + p.len), .priority = p.priority,
			.keyed = p.key_len > 0, .key_hash = dq_key_hash(p.key, p.key_len) });
	dq_entry(d, slot)->at = rec->at;
	if (p.due_ns)
		dq_delay(d, slot, p.due_ns - d->wall_ns);
	else
		dq_ready(d, slot, true);
	d->h->next_id = p.id + 1;
	d->h->counts.puts++;
	return 0;
}

static int apply_gone(struct durable *d, const struct pcore_record *rec)
{
	size_t n;
	int r = dq_decode_ids(rec, &n);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		uint32_t slot = dq_find(d, dq_decode_id(rec, i));

		if (slot)
			dq_forget(d, slot);
	}
	if (rec->flags == DQ_TAKEN)
		d->h->counts.gets += n;
	else if (rec->flags == DQ_ACKED)
		d->h->counts.acks += n;
	return 0;
}

/* A lease of before a reboot only counts as an attempt. */
static int apply_lease(struct durable *d, const struct pcore_record *rec)
{
	struct dq_lease l;
	bool goes_on;
	int r = dq_decode_lease(rec, &l);

	if (r == 0)
		r = dq_time_room(d, l.n);
	if (r < 0)
		return r;
	goes_on = l.boot != 0 && l.boot == d->boot;
	for (size_t i = 0; i < l.n; i++) {
		struct dq_leased each = dq_decode_leased(&l, i);
		uint32_t slot = dq_find(d, each.id);

		if (!slot)
			continue;
		r = dq_set_attempts(d, slot, each.attempt, each.forgiven);
		if (r < 0)
			return r;
		if (goes_on || dq_entry(d, slot)->kind == DQ_DELAYED)
			dq_unplace(d, slot);
		if (goes_on)
			dq_lease(d, slot, &(struct dq_timed){ .due_ns = l.due_ns, .lease_ns = l.lease_ns, .holder = l.holder });
		else if (dq_entry(d, slot)->kind == DQ_LOOSE)
			dq_ready(d, slot, false);
	}
	if (!(rec->flags & DQ_AGAIN))
		d->h->counts.gets += l.n;
	return 0;
}

static int apply_nack(struct durable *d, const struct pcore_record *rec)
{
	struct dq_nack n;
	uint32_t slot = 0;
	int r = dq_decode_nack(rec, &n);

	if (r == 0)
		r = dq_time_room(d, 1);
	if (r == 0)
		slot = dq_find(d, n.id);
	if (slot)
		r = dq_set_attempts(d, slot, n.attempt, n.forgiven);
	if (r == 0 && slot) {
		dq_unplace(d, slot);
		if (n.due_ns)
			dq_delay(d, slot, n.due_ns - d->wall_ns);
		else
			dq_ready(d, slot, false);
	}
	if (r == 0 && !(rec->flags & DQ_AGAIN))
		d->h->counts.returns++;
	return r;
}

static int apply_bury(struct durable *d, const struct pcore_record *rec)
{
	struct dq_bury b;
	uint32_t slot;
	int r = dq_decode_bury(rec, &b);

	if (r == 0)
		r = dq_bury_room(d);
	if (r < 0)
		return r;
	slot = dq_find(d, b.id);
	if (slot)
		r = dq_set_attempts(d, slot, b.attempt, b.forgiven);
	if (r == 0 && slot) {
		dq_unplace(d, slot);
		dq_bury(d, slot, rec->at, rec->seq);
	}
	return r;
}

static int apply_revive(struct durable *d, const struct pcore_record *rec)
{
	size_t n;
	int r = dq_decode_ids(rec, &n);
	uint32_t slot = r == 0 ? dq_find(d, dq_decode_id(rec, 0)) : 0;

	if (slot)
		r = dq_forgive_room(d, slot);
	if (r == 0 && slot) {
		dq_unplace(d, slot);
		dq_forgive(d, slot);
		dq_ready(d, slot, false);
	}
	return r;
}

static void apply_close(struct durable *d, const struct pcore_record *rec)
{
	if (rec->flags & DQ_DROP)
		dq_drop(d);
	d->h->closed = 1;
}

static int apply_state(struct durable *d, const struct pcore_record *rec)
{
	struct dq_state s;
	int r = dq_decode_state(rec, &s);

	if (r < 0)
		return r;
	if (s.next_id > d->h->next_id)
		d->h->next_id = s.next_id;
	s.counts.recoveries = d->h->counts.recoveries; /* of this session */
	d->h->counts = s.counts;
	return 0;
}

/* A type that we do not know is a newer version's, which adds only what may be passed over. */
static int apply(void *arg, const struct pcore_record *rec)
{
	struct durable *d = arg;

	switch (rec->type) {
	case DQ_PUT:
		return apply_put(d, rec);
	case DQ_GONE:
		return apply_gone(d, rec);
	case DQ_LEASE:
		return apply_lease(d, rec);
	case DQ_NACK:
		return apply_nack(d, rec);
	case DQ_BURY:
		return apply_bury(d, rec);
	case DQ_REVIVE:
		return apply_revive(d, rec);
	case DQ_CLOSE:
		apply_close(d, rec);
		return 0;
	case DQ_STATE:
		return apply_state(d, rec);
	default:
		return 0;
	}
}

/* The bytes of the log, its last record not yet rounded up to what is allocated. */
static int measure(struct durable *d)
{
	struct pcore_store_stat s;
	int r = pcore_store_stat(d->log, &s);

	if (r == 0)
		d->h->log_all = s.bytes;
	return r;
}

int dq_rebuild(struct durable *d)
{
	uint64_t before = atomic_exchange(&d->h->generation, 0);
	struct pcore_store_found bad = { 0 };
	int r;

	dq_clear(d);
	d->wall_ns = pcore_clock_ns(CLOCK_REALTIME) - pcore_now_ns();
	r = pcore_store_each(d->log, 1, apply, d, &bad);
	if (r == -EBADMSG) {
		memcpy(d->found.bad_file, bad.bad_file, sizeof(bad.bad_file));
		d->found.bad_offset = bad.bad_offset;
	}
	if (r == 0)
		r = measure(d);
	pcore_gate_wake_all(d->h->gate, DQ_GATES);
	if (r < 0)
		return r;
	d->h->compact_at = 0;
	d->h->counts.recoveries += before != 0;
	atomic_store(&d->h->generation, pcore_store_generation(d->log));
	return 0;
}

/* ---- compaction ---- */

bool dq_worth_compacting(struct durable *d)
{
	struct dq_header *h = d->h;
	uint64_t useless = h->log_all > h->log_live ? h->log_all - h->log_live : 0;

	if (useless < d->compact_min || useless < h->log_live || h->log_all < h->compact_at)
		return false;
	h->compact_at = h->log_all + d->compact_min;
	return true;
}

/* What an item is beyond what its PUT says, in a record of its own. */
static int say_again(struct durable *d, uint32_t slot)
{
	const struct dq_entry *e = dq_entry(d, slot);
	size_t from = d->out.len;
	int64_t wall_ns = pcore_clock_ns(CLOCK_REALTIME) - pcore_now_ns();
	uint32_t forgiven = dq_forgiven(d, slot);
	struct dq_nack n = { .id = e->id, .attempt = e->attempt, .forgiven = forgiven };
	struct dq_lease l = { .boot = d->boot };
	int r;

	if (e->kind == DQ_LEASED) {
		const struct dq_timed *t = dq_timed(d, e->prev);

		l.due_ns = t->due_ns;
		l.lease_ns = t->lease_ns;
		l.holder = t->holder;
		r = dq_encode_lease(&d->out, &l);
		if (r == 0)
			r = dq_encode_leased(&d->out, &(struct dq_leased){ .id = e->id, .attempt = e->attempt, .forgiven = forgiven });
		return r < 0 ? r : dq_add_record(d, DQ_LEASE, DQ_AGAIN, from);
	}
	if (e->kind == DQ_DELAYED)
		n.due_ns = pcore_ns_add(dq_timed(d, e->prev)->due_ns, wall_ns);
	r = dq_encode_nack(&d->out, &n);
	return r < 0 ? r : dq_add_record(d, DQ_NACK, DQ_AGAIN, from);
}

/* Entries from *at on, some of them. What they are goes to the log. */
static int snapshot_some(struct durable *d, uint32_t *at, uint64_t *ret_first)
{
	int r = dq_lock(d);

	if (r < 0)
		return r;
	dq_begin_records(d);
	if (*at == 0) {
		r = dq_encode_state(&d->out, &(struct dq_state){ .next_id = d->h->next_id, .counts = d->h->counts });
		if (r == 0)
			r = dq_add_record(d, DQ_STATE, 0, 0);
		*at = 1;
	}
	for (uint32_t n = 0; r == 0 && n < SNAPSHOT_BATCH && *at < d->h->fresh; n++, ++*at) {
		const struct dq_entry *e = dq_entry(d, *at);

		if (e->kind == DQ_DELAYED || e->kind == DQ_LEASED || (e->attempt > 0 && (e->kind == DQ_LISTED || e->kind == DQ_HEAPED)))
			r = say_again(d, *at);
	}
	if (r == 0 && d->n_recs > 0)
		r = dq_append(d, true);
	if (r == 0 && d->n_recs > 0 && *ret_first == 0)
		*ret_first = d->recs[0].seq;
	if (r == 0)
		r = *at >= d->h->fresh ? 1 : 0;
	dq_unlock(d);
	return r;
}

struct compaction {
	struct durable *d;
	uint64_t snapshot; /* the number of its first record: it says all that records before it said, but PUT and BURY */
};

static int keep_put(struct durable *d, const struct pcore_record *rec)
{
	struct dq_put p;
	int r = dq_decode_put(rec, &p);

	return r < 0 ? r : dq_find(d, p.id) != 0;
}

/* The place of a record of a dead item among them, or n_dead. */
static uint32_t dead_of(struct durable *d, const struct pcore_record *rec)
{
	struct dq_bury b;
	uint32_t i = dq_decode_bury(rec, &b) == 0 ? dq_dead_from(d, b.id) : d->h->n_dead;

	return i < d->h->n_dead && dq_dead(d, i)->seq == rec->seq ? i : d->h->n_dead;
}

static int keep(void *arg, const struct pcore_record *rec)
{
	struct compaction *c = arg;
	struct durable *d = c->d;
	int r;

	if (rec->type == DQ_PUT || rec->type == DQ_BURY) {
		r = dq_lock(d);
		if (r < 0)
			return r;
		r = rec->type == DQ_PUT ? keep_put(d, rec) : dead_of(d, rec) < d->h->n_dead;
		dq_unlock(d);
		return r;
	}
	if (rec->type == DQ_GONE || rec->type == DQ_LEASE || rec->type == DQ_NACK || rec->type == DQ_REVIVE || rec->type == DQ_STATE)
		return rec->seq >= c->snapshot;
	return 1;
}

/* With the lock. When somebody has died with it, the index will be made anew from the log as it is now. */
static void moved(void *arg, const struct pcore_record *rec)
{
	struct compaction *c = arg;
	struct durable *d = c->d;
	struct dq_put p;
	uint32_t at;

	if (atomic_load(&d->h->generation) != pcore_store_generation(d->log))
		return;
	if (dq_memory_follow(d) < 0) {
		atomic_store(&d->h->generation, 0);
		return;
	}
	if (rec->type == DQ_PUT && dq_decode_put(rec, &p) == 0) {
		at = dq_find(d, p.id);
		if (at)
			dq_entry(d, at)->at = rec->at;
	} else if (rec->type == DQ_BURY) {
		at = dead_of(d, rec);
		if (at < d->h->n_dead)
			dq_dead(d, at)->at = rec->at;
	}
}

static int conclude(struct durable *d)
{
	int r = dq_lock(d);

	if (r < 0)
		return r;
	r = measure(d);
	d->h->compact_at = 0;
	dq_unlock(d);
	return r;
}

int dq_compact(struct durable *d)
{
	struct compaction c = { .d = d };
	uint32_t at = 0;
	int r = 0;

	while (r == 0)
		r = snapshot_some(d, &at, &c.snapshot);
	if (r < 0)
		return r;
	r = pcore_store_compact(d->log, &(struct pcore_store_compact){ .keep = keep, .moved = moved, .arg = &c });
	return r < 0 ? r : conclude(d);
}
