/* SPDX-License-Identifier: MIT */
/*
 * shared_good.c - jobs for good while a node has them: what they write and how they end goes to the store.
 *
 * A node may forget an output when it is safe here, and a result too. Until then it gets no more credit.
 */
#include <string.h>

#include "libcore/cluster/shared_private.h"

/* ---- what is known of those that no node has ---- */

void shared_stored_free(struct shared_stored *o)
{
	if (!o)
		return;
	free(o->pieces);
	free(o);
}

int shared_note_piece(struct shared_part *p, uint32_t index, uint32_t attempt, const struct shared_piece *piece)
{
	struct shared_result *r = &p->results[index];
	struct shared_stored *o = r->stored;

	if (!o) {
		o = r->stored = calloc(1, sizeof(*o));
		if (!o)
			return -ENOMEM;
	}
	if (o->attempt != attempt) { /* what the one before has written does not count */
		o->attempt = attempt;
		o->n = 0;
	}
	if (o->n == o->cap) {
		size_t cap = o->cap ? 2 * o->cap : 1;
		struct shared_piece *larger = reallocarray(o->pieces, cap, sizeof(*larger));

		if (!larger)
			return -ENOMEM;
		o->pieces = larger;
		o->cap = cap;
	}
	o->pieces[o->n] = *piece;
	return (int)o->n++;
}

void shared_note_result(struct shared_part *p, uint32_t index, uint32_t n, enum pcore_sched_outcome outcome, int64_t end_ns)
{
	struct shared_submission *sub = p->sub;

	for (uint32_t i = index; i < index + n; i++)
		p->results[i].at = SHARED_NO_RESULT | outcome;
	switch (outcome) {
	case PCORE_SCHED_SUCCEEDED:
		sub->succeeded += n;
		break;
	case PCORE_SCHED_FAILED:
		sub->failed += n;
		break;
	case PCORE_SCHED_CANCELLED:
		sub->cancelled += n;
		break;
	case PCORE_SCHED_LOST:
	case PCORE_SCHED_CRASHED:
	case PCORE_SCHED_DEPENDENCY:
		sub->lost += n;
		break;
	}
	sub->end_ns = end_ns > sub->end_ns ? end_ns : sub->end_ns;
}

void shared_note_start(struct shared_submission *sub, int64_t start_ns)
{
	if (start_ns > 0 && (sub->start_ns == 0 || start_ns < sub->start_ns))
		sub->start_ns = start_ns;
}

/* ---- jobs ---- */

static void describe(struct shared_job *j)
{
	const struct shared_part *p = j->part;
	const struct shared_submission *sub = p->sub;

	j->as = (struct pcore_wire_assign){
		.seq = p->before + j->index + 1,
		.tries = 1,
		.input = { sub->input, sub->input_len },
	};
	if (p->words > 0)
		j->as.args = (struct pcore_wire_words){
			.data = p->args + p->offsets[j->index],
			.len = p->offsets[j->index + 1] - p->offsets[j->index],
			.n = p->words,
		};
}

int shared_good_job(struct pcore_shared *s, uint64_t id, struct shared_job **ret)
{
	struct shared_part *p;
	struct shared_job *j;
	uint32_t index = 0;
	int r;

	*ret = NULL;
	p = shared_part_of_id(s, id, &index);
	if (!p || p->results[index].at)
		return 0;
	j = calloc(1, sizeof(*j));
	if (!j)
		return -ENOMEM;
	j->at.id = id;
	j->part = p;
	j->index = index;
	pcore_list_init(&j->to_start);
	pcore_list_init(&j->to_tell);
	pcore_list_init(&j->busy);
	pcore_list_init(&j->unsafe);
	r = pcore_map_insert(&s->jobs, &j->by_id, &j->at.id, sizeof(j->at.id));
	if (r < 0) {
		free(j);
		return r;
	}
	j->listed = true;
	j->template = p->sub->template;
	j->template->refs++;
	describe(j);
	shared_job_forget(s, j);
	*ret = j;
	return 0;
}

static void job_free(struct pcore_shared *s, struct shared_job *j)
{
	shared_job_stopped(s, j);
	pcore_map_remove(&s->jobs, &j->by_id);
	pcore_list_del(&j->unsafe);
	shared_template_put(s, j->template);
	for (int i = 0; i < 2; i++)
		pcore_buf_done(&j->pending[i]);
	free(j->texts);
	free(j);
}

bool shared_good_output(struct pcore_shared *s, struct shared_job *j, enum pcore_wire_stream stream, const char *data, size_t len)
{
	if (pcore_buf_add(&j->pending[stream], data, len) < 0) {
		j->at.received[stream] -= len; /* it is said again */
		pcore_net_abort(j->at.on->conn);
		return true;
	}
	if (pcore_list_empty(&j->unsafe))
		pcore_list_add_tail(&s->unsafe, &j->unsafe);
	shared_pump_soon(s);
	return false;
}

int shared_good_flush(struct pcore_shared *s, struct shared_job *j)
{
	int r = 0;

	for (unsigned i = 0; i < 2 && r >= 0; i++) {
		struct pcore_buf *b = &j->pending[i];
		const struct shared_output_head h = {
			.number = j->part->sub->number,
			.seq = j->part->before + j->index + 1,
			.offset = j->stored[i],
			.attempt = j->at.attempt,
			.stream = i,
		};
		const struct shared_piece piece = { .offset = h.offset, .len = (uint32_t)b->len, .stream = (uint8_t)i };
		/* Safe at once when the node would have to wait for it soon. */
		bool sync = j->at.ended || j->at.granted[i] - j->at.received[i] < PCORE_WIRE_CREDIT / 2;

		if (b->len == 0)
			continue;
		r = shared_journal_add(s, SHARED_OUTPUT, &h, sizeof(h), b->data, b->len, sync);
		if (r == 0) {
			r = shared_note_piece(j->part, j->index, h.attempt, &piece);
			if (r < 0)
				shared_journal_drop_last(s);
		}
		if (r < 0)
			return r;
		shared_journal_about(s, j->part, j->index, (uint32_t)r);
		j->stored[i] += b->len;
		pcore_buf_clear(b);
	}
	return 0;
}

/* ---- their ends ---- */

static int put_done(struct pcore_buf *b, const struct shared_job *j)
{
	struct pcore_wire_done d = j->at.done;
	struct pcore_wire_out out;
	int r = pcore_wire_begin(&out, b, PCORE_WIRE_DONE_N);

	d.job = j->part->before + j->index + 1;
	d.attempt = j->at.attempt;
	d.node = j->ran ? j->ran->number : 0;
	d.tries = (uint16_t)(j->at.attempt & 0xffff);
	d.step = j->texts ? j->texts : "";
	d.subject = j->texts ? j->texts + strlen(j->texts) + 1 : "";
	r = r < 0 ? r : pcore_wire_add_done(&out, &d);
	(void)pcore_wire_end(&out, false);
	return r;
}

void shared_good_over(struct pcore_shared *s, const struct pcore_sched_news *n)
{
	_cleanup_(pcore_buf_done) struct pcore_buf body = PCORE_BUF_INIT(0);
	struct shared_job *j = shared_job_find(s, n->job);
	struct shared_result_head h = { .n = n->n, .outcome = n->outcome, .end_ns = pcore_clock_ns(CLOCK_REALTIME) };
	uint32_t index = 0;
	struct shared_part *p = shared_part_of_id(s, n->job, &index);
	int r = 0;

	if (!p) /* it was not taken after all */
		return;
	h.number = p->sub->number;
	h.seq = p->before + index + 1;
	if (!p->results[index].at) {
		if (j && j->at.ended)
			r = put_done(&body, j);
		if (r == 0 && j)
			r = shared_good_flush(s, j);
		if (r == 0)
			r = shared_journal_add(s, SHARED_RESULT, &h, sizeof(h), body.data, body.len, true);
		if (r < 0)
			s->short_of_memory = true; /* its end is found out after the next start */
		shared_note_result(p, index, n->n, n->outcome, h.end_ns);
		if (j && j->at.ended)
			shared_note_start(p->sub, j->at.done.start_ns);
		if (r == 0 && body.len > 0)
			shared_journal_about(s, p, index, 0);
	}
	if (j)
		job_free(s, j);
}

/* What it has written counts no more. */
void shared_good_again(struct pcore_shared *s, const struct pcore_sched_news *n)
{
	struct shared_job *j = shared_job_find(s, n->job);

	if (!j)
		return;
	if (j->part->results[j->index].stored)
		j->part->results[j->index].stored->n = 0;
	job_free(s, j);
}

void shared_good_free_all(struct pcore_shared *s)
{
	for (size_t i = 0; i < s->jobs.n_buckets; i++)
		while (s->jobs.buckets[i])
			job_free(s, container_of(s->jobs.buckets[i], struct shared_job, by_id));
}
