/* SPDX-License-Identifier: MIT */
/*
 * durable_wait.c - what the operations of a durable queue have in common: waking and waiting, one record, the time.
 */
#include "libcore/queue/durable.h"

#define NEVER INT64_MAX

bool dq_over(const struct durable *d)
{
	return d->h->closed && dq_unfinished(d) == 0;
}

void dq_wake(struct durable *d, enum dq_gate gate)
{
	pcore_gate_wake(&d->h->gate[gate]);
}

void dq_wake_getters(struct durable *d)
{
	dq_wake(d, DQ_GET);
	dq_wake(d, DQ_POLL);
}

/* n items are about to be finished, or to die: tell who waits for the last one, for the end. */
void dq_wake_for_finished(struct durable *d, uint64_t n)
{
	if (dq_unfinished(d) > n)
		return;
	dq_wake(d, DQ_JOIN);
	if (d->h->closed)
		dq_wake_getters(d);
}

/* An item will be due: if that is earlier than any other, who sleeps until something is due has to know. */
void dq_wake_for_due(struct durable *d, int64_t due_ns)
{
	if (due_ns != NEVER && (d->h->n_timed == 0 || due_ns < dq_timed(d, 0)->due_ns))
		dq_wake_getters(d);
}

static bool disk_is_full(int r)
{
	return r == -ENOSPC || r == -EDQUOT || r == -EFBIG;
}

/* The one record that d->out holds. What leases and delays say is worth less than the removal of items, and on a full disk
 * it is left out: then they end with this session. *ret_seq: of the record, 0 when there is none. */
int dq_append_one(struct durable *d, enum dq_type type, uint8_t flags, uint64_t *ret_seq)
{
	bool removal = type == DQ_GONE || type == DQ_CLOSE;
	int r = dq_add_record(d, type, flags, 0);

	if (r == 0)
		r = dq_append(d, !removal);
	if (disk_is_full(r) && (type == DQ_LEASE || type == DQ_NACK)) {
		*ret_seq = 0;
		return 0;
	}
	if (r == 0)
		*ret_seq = d->recs[0].seq;
	return r;
}

int dq_append_id(struct durable *d, enum dq_type type, uint8_t flags, uint64_t id, uint64_t *ret_seq)
{
	int r;

	dq_begin_records(d);
	r = dq_encode_id(&d->out, id);
	return r < 0 ? r : dq_append_one(d, type, flags, ret_seq);
}

/* ---- time passes ---- */

void dq_give_back(struct durable *d, uint32_t slot)
{
	d->h->counts.returns += dq_entry(d, slot)->kind == DQ_LEASED;
	dq_unplace(d, slot);
	dq_ready(d, slot, false);
}

/* Whoever sleeps until an item is due wakes by itself, so nobody has to be told here. Nor has the log: it says when. */
void dq_mature(struct durable *d)
{
	int64_t now;

	if (d->h->n_timed == 0)
		return;
	now = pcore_now_ns();
	while (d->h->n_timed > 0 && dq_timed(d, 0)->due_ns <= now)
		dq_give_back(d, dq_timed(d, 0)->slot);
}

/* Give back what dead holders leave. That is looked for when there is nothing else to be had, once a second. */
void dq_reap(struct durable *d)
{
	uint64_t alive = 0;
	int64_t now;

	if (d->h->n_held == 0)
		return;
	now = pcore_now_ns();
	if (now - atomic_load(&d->reaped_ns) < NS_PER_S)
		return;
	atomic_store(&d->reaped_ns, now);
	for (uint32_t pos = 0; pos < d->h->n_timed;) {
		const struct dq_timed *t = dq_timed(d, pos);

		if (t->holder == 0 || t->holder == alive) {
			pos++;
		} else if (pcore_ring_holder_is_dead(t->holder)) {
			dq_wake_getters(d);
			dq_give_back(d, t->slot);
			pos = 0; /* the heap has changed */
		} else {
			alive = t->holder;
			pos++;
		}
	}
}

/* ---- waiting ---- */

static int attempt_lock(void *arg)
{
	return dq_lock(((struct dq_try *)arg)->d);
}

static int attempt_now(void *arg)
{
	struct dq_try *a = arg;

	return a->now(a->d, a->arg);
}

/* Who waits syncs what others have left unsynced when it is due. */
static void attempt_unlock(void *arg)
{
	struct durable *d = ((struct dq_try *)arg)->d;

	dq_unlock(d);
	if (pcore_store_due_ns(d->sync) <= pcore_now_ns())
		(void)dq_commit(d, UINT64_MAX); /* a failure shows at the next lock */
}

/* When the sleeper has to look by itself: an item is due, or a holder may have died. Neither makes room. */
static int64_t attempt_alarm(void *arg, int64_t deadline_ns)
{
	struct dq_try *a = arg;
	int64_t alarm = deadline_ns, due = pcore_store_due_ns(a->d->sync);

	alarm = due < alarm ? due : alarm;
	if (a->gate == DQ_ROOM)
		return alarm;
	if (a->d->h->n_timed > 0 && dq_timed(a->d, 0)->due_ns < alarm)
		alarm = dq_timed(a->d, 0)->due_ns;
	if (a->d->h->n_held > 0 && deadline_ns - NS_PER_S > pcore_now_ns()) {
		int64_t look = pcore_ns_add(pcore_now_ns(), NS_PER_S);

		alarm = look < alarm ? look : alarm;
	}
	return alarm > 0 ? alarm : 0;
}

int dq_do(struct dq_try *a, int64_t deadline_ns)
{
	bool turns = a->gate == DQ_GET || a->gate == DQ_ROOM;
	int n = dq_lock(a->d);

	if (n < 0)
		return n;
	n = a->now(a->d, a->arg);
	dq_unlock(a->d);
	if (n != -EAGAIN || deadline_ns == 0)
		return n;
	return pcore_gate_wait(&a->d->h->gate[a->gate],
		&(struct pcore_gate_try){ attempt_lock, attempt_unlock, attempt_now, attempt_alarm, a, turns }, deadline_ns);
}

/* After the lock: on disk as far as the queue promises, and the log not too long. Another handle compacts, for ours is for
 * all threads. */
int dq_settle(struct durable *d, uint64_t seq, bool compact)
{
	int r = seq ? dq_commit(d, seq) : 0;

	if (r == 0 && compact) {
		struct durable *other = NULL;

		if (dq_open(&other, d->dfd, ".") == 0)
			(void)dq_compact(other); /* it will be tried again */
		dq_free(other);
	}
	return r;
}
