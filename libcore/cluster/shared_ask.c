/* SPDX-License-Identifier: MIT */
/*
 * shared_ask.c - questions of clients, and what they want done to jobs for good.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcore/cluster/shared_private.h"

static int later(struct shared_client *c, uint64_t id, int status, uint64_t count)
{
	const struct shared_answer a = { .id = id, .count = count, .status = status };

	shared_pump_soon(c->shared);
	return pcore_buf_add(&c->answers, &a, sizeof(a));
}

static int cancel(struct shared_client *c, const struct pcore_wire_frame *f)
{
	struct pcore_shared *s = c->shared;
	struct shared_submission *sub;
	struct pcore_wire_cancel m;
	uint64_t n = 0;
	int r = pcore_wire_get_cancel(f, &m);

	if (r < 0)
		return r;
	sub = shared_submission_find(s, m.submission);
	for (size_t i = 0; sub && i < sub->n_parts; i++) {
		const struct shared_part *p = sub->parts[i];
		uint64_t from = m.from > p->before + 1 ? m.from : p->before + 1, to = m.to < p->before + p->n ? m.to : p->before + p->n;
		int64_t done;

		if (from > to)
			continue;
		done = pcore_sched_cancel(s->host.sched, shared_now(s), p->first + from - p->before - 1, (uint32_t)(to - from + 1),
			m.how == PCORE_WIRE_KILL_IT ? PCORE_SCHED_KILL : PCORE_SCHED_END);
		if (done == -ENOMEM)
			return -ENOMEM;
		n += done > 0 ? (uint64_t)done : 0;
	}
	if (sub)
		return later(c, f->id, n > 0 ? 0 : 1, n);
	shared_say_answer(c, f->id, 1, "there is no such submission");
	return 0;
}

static int forget(struct shared_client *c, const struct pcore_wire_frame *f)
{
	struct pcore_shared *s = c->shared;
	struct shared_submission *sub;
	struct pcore_wire_about m;
	int r = pcore_wire_get_about(f, &m);

	if (r < 0)
		return r;
	sub = shared_submission_find(s, m.submission);
	if (!sub || sub->more || shared_submission_over(sub) < sub->n) {
		shared_say_answer(c, f->id, sub ? 75 : 1, sub ? "it has jobs that have not ended" : "there is no such submission");
		return 0;
	}
	r = shared_journal_commit(s, 0); /* nothing waits that is about it */
	if (r == 0)
		r = shared_journal_add(s, SHARED_FORGET, &sub->number, sizeof(sub->number), NULL, 0, true);
	if (r < 0) {
		shared_say_answer(c, f->id, 125, strerror(-r));
		return 0;
	}
	shared_submission_free(s, sub);
	return later(c, f->id, 0, 0);
}

/* ---- submissions ---- */

/* The command, in which {} is what each job has of its own: words with a NUL each. */
static int put_argv(struct pcore_buf *b, struct pcore_wire_argv argv, size_t *n)
{
	struct pcore_wire_piece p;
	int r = 0;

	*n = 0;
	while (r == 0 && pcore_wire_next_piece(&argv, &p)) {
		switch (p.kind) {
		case PCORE_WIRE_END:
			(*n)++;
			r = pcore_buf_addc(b, '\0');
			break;
		case PCORE_WIRE_TEXT:
			r = pcore_buf_add(b, p.text, p.n);
			break;
		case PCORE_WIRE_ARG:
		case PCORE_WIRE_SPREAD:
			r = pcore_buf_adds(b, "{}");
			break;
		case PCORE_WIRE_SEQ:
			r = pcore_buf_adds(b, "{#}");
			break;
		case PCORE_WIRE_SLOT:
			r = pcore_buf_adds(b, "{%}");
			break;
		case PCORE_WIRE_PIECES:
			break;
		}
	}
	return r;
}

/* Whether what has not ended of it waits for others, as its first such job does. */
static bool waits(struct pcore_shared *s, const struct shared_submission *sub)
{
	for (size_t i = 0; i < sub->n_parts; i++) {
		const struct shared_part *p = sub->parts[i];
		struct pcore_sched_why why;

		if (pcore_sched_explain(s->host.sched, p->first + p->n - 1, &why) == 0)
			return why.state == PCORE_SCHED_WAITING || why.state == PCORE_SCHED_BACKOFF;
	}
	return false;
}

static int tell_submission(struct shared_client *c, uint64_t id, const struct shared_submission *sub)
{
	_cleanup_(pcore_buf_done) struct pcore_buf argv = PCORE_BUF_INIT(0);
	uint64_t left = sub->n - shared_submission_over(sub);
	struct pcore_wire_submission m = {
		.has = PCORE_WIRE_HAS(PCORE_WIRE_SUBMISSION_ARGV),
		.number = sub->number,
		.count = sub->n,
		.running = sub->running < left ? sub->running : left,
		.succeeded = sub->succeeded,
		.failed = sub->failed,
		.cancelled = sub->cancelled,
		.lost = sub->lost,
		.submit_ns = sub->submit_ns,
		.priority = sub->how.priority,
		.owner = sub->owner,
	};
	int r = put_argv(&argv, sub->template->t.argv, &m.argv.n);

	left -= m.running;
	if (left > 0 && waits(c->shared, sub))
		m.waiting = left;
	else
		m.queued = left;
	m.argv.data = argv.data;
	m.argv.len = argv.len;
	if (sub->start_ns > 0) {
		m.has |= PCORE_WIRE_HAS(PCORE_WIRE_SUBMISSION_START);
		m.start_ns = sub->start_ns;
	}
	if (sub->end_ns > 0 && shared_submission_over(sub) == sub->n && !sub->more) {
		m.has |= PCORE_WIRE_HAS(PCORE_WIRE_SUBMISSION_END);
		m.end_ns = sub->end_ns;
	}
	pcore_buf_clear(&c->buf);
	r = r < 0 ? r : pcore_wire_put_submission(&c->buf, &m);
	if (r == 0)
		shared_say(c, PCORE_WIRE_SUBMISSION, id, &c->buf);
	return r == -EMSGSIZE ? 0 : r;
}

static int list(struct shared_client *c, const struct pcore_wire_frame *f)
{
	struct pcore_wire_about m;
	bool one, found = false;
	int r = pcore_wire_get_about(f, &m);

	one = m.has & PCORE_WIRE_HAS(PCORE_WIRE_ABOUT_SUBMISSION) && m.submission != 0;
	PCORE_LIST_FOREACH_SAFE(node, &c->shared->submissions) {
		const struct shared_submission *sub = container_of(node, struct shared_submission, link);

		if (r < 0 || (one && sub->number != m.submission))
			continue;
		found = true;
		r = tell_submission(c, f->id, sub);
	}
	if (r == 0)
		shared_say_answer(c, f->id, one && !found ? 1 : 0, one && !found ? "there is no such submission" : NULL);
	return r;
}

/* ---- nodes ---- */

static int tell_total(struct shared_client *c, uint64_t id)
{
	struct pcore_shared *s = c->shared;
	struct pcore_sched_counts n = pcore_sched_counts(s->host.sched);
	struct pcore_wire_total m = {
		.name = s->spec.name,
		.software = s->spec.software,
		.start_ns = s->start_ns,
		.policy = s->spec.policy,
		.submissions = s->by_number.len,
		.waiting = n.waiting + n.backoff,
		.queued = n.queued + n.held + n.ahead,
		.running = n.running,
		.succeeded = s->succeeded,
		.failed = s->failed,
		.busy_ns = s->busy_ns + (s->running > 0 ? shared_now(s) - s->busy_since : 0),
	};
	int r;

	PCORE_LIST_FOREACH_SAFE(node, &s->clients)
		m.clients += !container_of(node, struct shared_client, link)->admin;
	pcore_buf_clear(&c->buf);
	r = pcore_wire_put_total(&c->buf, &m);
	if (r == 0)
		shared_say(c, PCORE_WIRE_TOTAL, id, &c->buf);
	return r;
}

static int tell_member(struct shared_client *c, uint64_t id, const struct shared_node *n)
{
	struct pcore_wire_member m = {
		.name = n->name,
		.address = "",
		.state = PCORE_WIRE_STATES,
		.running = n->running,
		.jobs = n->jobs,
		.job_ns = n->job_ns,
		.sent = n->sent,
		.received = n->received,
	};
	int r;

	if (n->at) {
		const struct pcore_wire_node *w = &n->at->node;

		m.address = ((const struct shared_told *)n->at->owner)->address;
		m.state = w->state;
		m.cpus = w->cpus;
		m.memory = w->memory;
		m.software = w->software;
		m.labels = w->labels;
		m.resources = w->resources;
		m.has = w->software ? PCORE_WIRE_HAS(PCORE_WIRE_MEMBER_SOFTWARE) : 0;
		m.has |= w->has & PCORE_WIRE_HAS(PCORE_WIRE_NODE_LABELS) ? PCORE_WIRE_HAS(PCORE_WIRE_MEMBER_LABELS) : 0;
		m.has |= w->has & PCORE_WIRE_HAS(PCORE_WIRE_NODE_RESOURCES) ? PCORE_WIRE_HAS(PCORE_WIRE_MEMBER_RESOURCES) : 0;
	}
	pcore_buf_clear(&c->buf);
	r = pcore_wire_put_member(&c->buf, &m);
	if (r == 0)
		shared_say(c, PCORE_WIRE_MEMBER, id, &c->buf);
	return r == -EMSGSIZE ? 0 : r;
}

static int nodes(struct shared_client *c, const struct pcore_wire_frame *f)
{
	int r = pcore_wire_get_nothing(f);

	if (r == 0)
		r = tell_total(c, f->id);
	PCORE_LIST_FOREACH_SAFE(node, &c->shared->nodes)
		r = r < 0 ? r : tell_member(c, f->id, container_of(node, struct shared_node, link));
	if (r == 0)
		shared_say_answer(c, f->id, 0, NULL);
	return r;
}

/* ---- why ---- */

static int tell_why(struct shared_client *c, uint64_t id, const struct pcore_sched_why *why)
{
	struct pcore_shared *s = c->shared;
	struct pcore_wire_why m = {
		.state = why->state, .nodes = why->n_nodes, .gone = why->gone, .draining = why->draining, .pinned = why->pinned,
		.labels = why->labels, .cpus = why->cpus, .memory = why->memory, .resources = why->resources, .avoided = why->avoided,
		.reserved = why->reserved, .busy = why->busy, .room = why->room, .cancelled = why->cancelled,
		.has = PCORE_WIRE_HAS(PCORE_WIRE_WHY_EXCLUSIVE) | PCORE_WIRE_HAS(PCORE_WIRE_WHY_STOPPED),
		.exclusive = why->exclusive, .stopped = why->stopped,
	};
	struct shared_part *p;
	uint32_t index = 0;
	int r;

	PCORE_LIST_FOREACH_SAFE(node, &s->links) {
		const struct link *l = container_of(node, struct link, link);

		if (why->node && l->joined && l->handle == why->node) {
			m.node = l->name;
			m.has |= PCORE_WIRE_HAS(PCORE_WIRE_WHY_NODE);
		}
	}
	p = why->after ? shared_part_of_id(s, why->after, &index) : NULL;
	if (p) {
		m.after = p->sub->number;
		m.has |= PCORE_WIRE_HAS(PCORE_WIRE_WHY_AFTER);
	}
	if (why->state == PCORE_SCHED_BACKOFF) {
		m.until_ns = pcore_clock_ns(CLOCK_REALTIME) + (why->until_ns - shared_now(s));
		m.has |= PCORE_WIRE_HAS(PCORE_WIRE_WHY_UNTIL);
	}
	pcore_buf_clear(&c->buf);
	r = pcore_wire_put_why(&c->buf, &m);
	if (r == 0)
		shared_say(c, PCORE_WIRE_WHY, id, &c->buf);
	return r;
}

static int explain(struct shared_client *c, const struct pcore_wire_frame *f)
{
	struct pcore_shared *s = c->shared;
	struct pcore_sched_why why = { 0 };
	struct shared_submission *sub;
	struct pcore_wire_about m;
	struct shared_part *p;
	uint32_t index = 0;
	int r = pcore_wire_get_about(f, &m);

	if (r < 0)
		return r;
	sub = shared_submission_find(s, m.submission);
	p = sub ? shared_part_of(sub, m.seq, &index) : NULL;
	if (!p) {
		shared_say_answer(c, f->id, 1, "there is no such job");
		return 0;
	}
	if (pcore_sched_explain(s->host.sched, p->first + index, &why) < 0)
		why = (struct pcore_sched_why){ 0 };
	r = tell_why(c, f->id, &why);
	if (r == 0)
		shared_say_answer(c, f->id, 0, NULL);
	return r;
}

int shared_ask(struct shared_client *c, const struct pcore_wire_frame *f)
{
	switch ((unsigned)f->type) {
	case PCORE_WIRE_CANCEL:
		return cancel(c, f);
	case PCORE_WIRE_LIST:
		return list(c, f);
	case PCORE_WIRE_NODES:
		return nodes(c, f);
	case PCORE_WIRE_EXPLAIN:
		return explain(c, f);
	default:
		return forget(c, f);
	}
}
