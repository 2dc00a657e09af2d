/* SPDX-License-Identifier: MIT */
/*
 * shared_watch.c - what became of jobs for good, told to whoever asks, job after job, as it is in the store.
 *
 * A result that is told is safe. A watch that has told all there is goes on when more is safe, and when its client has read.
 */
#include <string.h>

#include "libcore/cluster/shared_private.h"

enum { RESULTS = 256 }; /* in one frame */

static void watch_free(struct shared_watch *w)
{
	pcore_list_del(&w->link);
	free(w);
}

/* Results that are told together. */
struct results {
	struct shared_watch *watch;
	struct pcore_wire_out out;
	unsigned n;
};

static int flush(struct results *r)
{
	if (r->n > 0 && pcore_wire_end(&r->out, false) > 0)
		shared_say(r->watch->client, PCORE_WIRE_DONE_N, r->watch->id, &r->watch->client->buf);
	r->n = 0;
	return 0;
}

static int put(struct results *r, const struct pcore_wire_done *d)
{
	if (r->n == RESULTS)
		flush(r);
	for (int i = 0; i < 2; i++) {
		int e;

		if (r->n == 0) {
			pcore_buf_clear(&r->watch->client->buf);
			e = pcore_wire_begin(&r->out, &r->watch->client->buf, PCORE_WIRE_DONE_N);
			if (e < 0)
				return e;
		}
		e = pcore_wire_add_done(&r->out, d);
		r->n += e == 0;
		if (e != -EMSGSIZE)
			return e;
		flush(r);
	}
	return -EMSGSIZE;
}

/* How a job ended that has no result of its own. */
static struct pcore_wire_done without_result(uint64_t seq, uint64_t outcome)
{
	struct pcore_wire_done d = { .job = seq, .step = "", .subject = "" };

	switch ((enum pcore_sched_outcome)outcome) {
	case PCORE_SCHED_CANCELLED:
		d.flags = PCORE_WIRE_CANCELLED;
		break;
	case PCORE_SCHED_CRASHED:
		d.reason = PCORE_WIRE_REASON_CRASHED;
		break;
	case PCORE_SCHED_DEPENDENCY:
		d.reason = PCORE_WIRE_REASON_DEPENDENCY;
		break;
	case PCORE_SCHED_SUCCEEDED:
	case PCORE_SCHED_FAILED:
	case PCORE_SCHED_LOST:
		d.reason = PCORE_WIRE_REASON_LOST;
		break;
	}
	return d;
}

static void tell_number(struct shared_client *c, uint32_t number)
{
	PCORE_LIST_FOREACH_SAFE(node, &c->shared->nodes) {
		const struct shared_node *n = container_of(node, struct shared_node, link);

		if (n->number == number)
			shared_say_number(c, n);
	}
}

static int tell_result(struct results *r, uint64_t seq, uint64_t at)
{
	struct pcore_shared *s = r->watch->client->shared;
	struct pcore_wire_done d = without_result(seq, at & ~SHARED_NO_RESULT);
	struct pcore_wire_frame f = { .type = PCORE_WIRE_DONE_N };
	struct pcore_record rec;
	struct pcore_wire_in in;
	int e;

	if (at & SHARED_NO_RESULT)
		return put(r, &d);
	e = pcore_store_read(s->journal.store, at, &s->buf, &rec);
	if (e < 0 || rec.type != SHARED_RESULT || rec.len <= sizeof(struct shared_result_head))
		return e < 0 ? e : -EBADMSG;
	f.body = (const char *)rec.data + sizeof(struct shared_result_head);
	f.len = rec.len - sizeof(struct shared_result_head);
	if (pcore_wire_open(&f, &in) < 0 || !pcore_wire_next_done(&in, &d))
		return -EBADMSG;
	if (d.node && !(d.node / 64 < r->watch->client->n_numbers && r->watch->client->numbers[d.node / 64] >> d.node % 64 & 1)) {
		flush(r);
		tell_number(r->watch->client, d.node);
	}
	return put(r, &d);
}

static int tell_started(struct shared_watch *w, struct shared_job *j, uint32_t attempt)
{
	struct pcore_wire_started m = j && j->at.attempt == attempt ? j->started : (struct pcore_wire_started){ 0 };
	struct pcore_buf *b = &w->client->buf;
	struct pcore_wire_out out;
	int r;

	m.job = w->seq;
	m.attempt = attempt;
	m.slot = m.slot ? m.slot : 1;
	if (m.node)
		tell_number(w->client, m.node);
	pcore_buf_clear(b);
	r = pcore_wire_begin(&out, b, PCORE_WIRE_STARTED_N);
	r = r < 0 ? r : pcore_wire_add_started(&out, &m);
	if (r < 0)
		return r;
	(void)pcore_wire_end(&out, false);
	shared_say(w->client, PCORE_WIRE_STARTED_N, w->id, b);
	return 0;
}

/* One piece, or as much of it as there is credit for: 1 when there is no more credit. */
static int tell_piece(struct shared_watch *w, const struct shared_piece *p)
{
	struct pcore_shared *s = w->client->shared;
	uint64_t *sent = &w->sent[p->stream], skip = *sent > p->offset ? *sent - p->offset : 0, room = w->limit - w->total;
	struct pcore_wire_chunk c = { .attempt = w->attempt, .stream = (enum pcore_wire_stream)p->stream };
	struct pcore_record rec;
	int r;

	if (skip >= p->len)
		return 0;
	if (room == 0 || p->at == 0)
		return 1;
	r = pcore_store_read(s->journal.store, p->at, &s->buf, &rec);
	if (r < 0 || rec.len != sizeof(struct shared_output_head) + p->len)
		return r < 0 ? r : -EBADMSG;
	c.offset = p->offset + skip;
	c.data = (const char *)rec.data + sizeof(struct shared_output_head) + skip;
	c.len = p->len - skip < room ? p->len - skip : room;
	pcore_buf_clear(&w->client->buf);
	r = pcore_wire_put_chunk(&w->client->buf, &c);
	if (r < 0)
		return r;
	shared_say(w->client, PCORE_WIRE_OUTPUT, w->id, &w->client->buf);
	*sent = c.offset + c.len;
	w->total += c.len;
	return *sent < p->offset + p->len;
}

/* What there is of its output: 1 when it cannot all be said now. */
static int tell_output(struct results *res, struct shared_part *p, uint32_t index)
{
	struct shared_watch *w = res->watch;
	struct shared_job *j = shared_job_find(w->client->shared, p->first + index);
	const struct shared_stored *o = p->results[index].stored;
	uint32_t attempt = o && o->n > 0 ? o->attempt : j && !j->client && j->state == SHARED_RUNS ? j->at.attempt : 0;
	int r = 0;

	if (attempt == 0)
		return 0;
	flush(res);
	if (attempt != w->attempt || !w->told) {
		if (attempt != w->attempt)
			w->sent[0] = w->sent[1] = 0;
		w->attempt = attempt;
		w->piece = 0;
		w->told = true;
		r = tell_started(w, j, attempt);
	}
	while (r == 0 && o && w->piece < o->n) {
		if (w->client->full)
			return 1;
		r = tell_piece(w, &o->pieces[w->piece]);
		w->piece += r == 0;
	}
	return r;
}

static void next_job(struct shared_watch *w)
{
	w->seq++;
	w->attempt = 0;
	w->sent[0] = w->sent[1] = 0;
	w->piece = 0;
	w->told = false;
}

/* 0: the end, 1: later, -errno. */
static int step(struct results *res, struct shared_submission *sub)
{
	struct shared_watch *w = res->watch;
	int r = 0;

	while (w->seq <= w->to && !w->client->full) {
		uint32_t index = 0;
		struct shared_part *p = shared_part_of(sub, w->seq, &index);
		uint64_t at;

		if (!p)
			return sub->more && w->flags & PCORE_WIRE_WATCH_WAIT;
		at = p->results[index].at;
		if (w->flags & PCORE_WIRE_WATCH_OUTPUT)
			r = tell_output(res, p, index);
		if (r != 0)
			return r;
		if (!at && w->flags & PCORE_WIRE_WATCH_WAIT)
			return 1;
		if (at && w->flags & PCORE_WIRE_WATCH_RESULTS)
			r = tell_result(res, w->seq, at);
		if (r < 0)
			return r;
		next_job(w);
	}
	return w->seq <= w->to;
}

static void go_on(struct shared_watch *w)
{
	struct shared_client *c = w->client;
	struct shared_submission *sub = shared_submission_find(c->shared, w->number);
	struct results res = { .watch = w };
	uint64_t id = w->id;
	int r = sub ? step(&res, sub) : 0;

	flush(&res);
	if (r > 0)
		return;
	watch_free(w);
	if (c->shared->draining)
		shared_pump_soon(c->shared);
	shared_say_answer(c, id, r < 0 ? 125 : sub ? 0 : 1, r < 0 ? strerror(-r) : sub ? NULL : "it is not known any more");
}

void shared_watch_go_on(struct shared_client *c)
{
	if (c->shared->journal.blocked)
		return;
	PCORE_LIST_FOREACH_SAFE(node, &c->watches)
		if (!c->full && c->conn)
			go_on(container_of(node, struct shared_watch, link));
}

void shared_watch_drop(struct shared_client *c)
{
	PCORE_LIST_FOREACH_SAFE(node, &c->watches)
		watch_free(container_of(node, struct shared_watch, link));
}

bool shared_watch_credit(struct shared_client *c, const struct pcore_wire_credit *credit)
{
	PCORE_LIST_FOREACH_SAFE(node, &c->watches) {
		struct shared_watch *w = container_of(node, struct shared_watch, link);

		if (w->id != credit->job)
			continue;
		w->limit = credit->limit > w->limit ? credit->limit : w->limit;
		shared_say_soon(c);
		return true;
	}
	return false;
}

int shared_watch(struct shared_client *c, const struct pcore_wire_frame *f)
{
	struct pcore_wire_watch m;
	struct shared_watch *w;
	int r = pcore_wire_get_watch(f, &m);

	if (r < 0)
		return r;
	if (!shared_submission_find(c->shared, m.submission)) {
		shared_say_answer(c, f->id, 1, "there is no such submission");
		return 0;
	}
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->client = c;
	w->id = f->id;
	w->number = m.submission;
	w->seq = m.from ? m.from : 1;
	w->to = m.to;
	w->flags = (unsigned)m.flags;
	w->limit = PCORE_WIRE_CREDIT;
	if (m.has & PCORE_WIRE_HAS(PCORE_WIRE_WATCH_ATTEMPT)) {
		w->attempt = (uint32_t)m.attempt;
		w->sent[0] = m.received[0];
		w->sent[1] = m.received[1];
	}
	pcore_list_init(&w->link);
	pcore_list_add_tail(&c->watches, &w->link);
	shared_pump_soon(c->shared); /* what is not safe yet is not told */
	return 0;
}
