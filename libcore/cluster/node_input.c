/* SPDX-License-Identifier: MIT */
/*
 * node_input.c - the standard input of a node's jobs: from what was assigned and from INPUT, through here, into their pipes.
 *
 * A piece is kept from when it arrives until the job has taken it, and credit is given as it takes them: what waits here is never
 * more than the credit of a stream.
 */
#include <string.h>

#include "libcore/cluster/node_private.h"

struct node_piece {
	struct node_piece *next;
	size_t len;
	char data[];
};

static int keep(struct node_job *j, const char *data, size_t len)
{
	struct node_session *s = j->session;
	struct node_input *in = &j->in;
	struct node_piece *p;

	if (len > NODE_BODIES_MAX - s->bodies)
		return -ENOBUFS;
	p = malloc(sizeof(*p) + len);
	if (!p)
		return -ENOMEM;
	p->next = NULL;
	p->len = len;
	memcpy(p->data, data, len);
	*(in->first ? &in->end->next : &in->first) = p;
	in->end = p;
	in->received += len;
	s->bodies += len;
	return 0;
}

static void drop_first(struct node_job *j)
{
	struct node_piece *p = j->in.first;

	j->in.first = p->next;
	j->session->bodies -= p->len;
	free(p);
}

/* Tell how much was taken: when it is worth a message, and when the other side may wait for it. */
static void tell(struct node_job *j, bool now)
{
	struct node_input *in = &j->in;
	uint64_t limit = in->taken + PCORE_WIRE_CREDIT;

	if (j->session->over || (in->last && !in->over && !now))
		return;
	if (!now && in->first && limit < in->granted + PCORE_WIRE_CREDIT / 2)
		return;
	in->granted = limit;
	if (pcore_list_empty(&in->to_credit))
		pcore_list_add_tail(&j->session->to_credit, &in->to_credit);
	node_say_soon(j->session);
}

/* ---- what is not seen in their streams ---- */

/* Jobs are looked at so often; what lasts is told again after so many times. */
#define LOOK_NS (40 * NS_PER_MS)
enum { LOOKS = 25 };

static bool is_silent(const struct node_job *j)
{
	return pcore_local_silent(&j->job) || (j->in.over && j->in.taken < j->in.received);
}

static void look_at(struct node_job *j)
{
	struct node_input *in = &j->in;
	const struct node_output *out = &j->out[PCORE_WIRE_STDOUT];
	bool told_all = out->closed || out->sent == out->first + out->buf.len; /* else it would overtake that */
	bool silent = told_all && is_silent(j);
	bool quiet = told_all && in->seen == in->received && !in->first && !in->last && !in->over;

	in->looks = silent || quiet ? in->looks + 1 : 0;
	in->seen = in->received;
	if (in->looks % LOOKS != 1)
		return;
	if (silent)
		node_say_quiet(j, PCORE_WIRE_SILENT);
	else if (pcore_proc_reads(j->job.result.pid))
		node_say_quiet(j, PCORE_WIRE_WAITS);
	else
		in->looks = 0;
}

void node_input_look(struct pcore_op *op, int res)
{
	struct pcore_node *n = container_of(op, struct pcore_node, look);

	if (res == -ETIME)
		PCORE_LIST_FOREACH_SAFE(node, &n->streams)
			look_at(container_of(node, struct node_job, in.to_look));
	if (!pcore_list_empty(&n->streams))
		(void)pcore_op_timer(n->loop, &n->look, PCORE_CLOCK_MONOTONIC, pcore_ns_add(pcore_loop_now(n->loop), LOOK_NS));
	node_check_idle(n);
}

void node_input_started(struct node_job *j)
{
	struct pcore_node *n = j->session->node;

	if (!(j->as.flags & PCORE_WIRE_STREAM))
		return;
	pcore_list_add_tail(&n->streams, &j->in.to_look);
	if (!pcore_op_live(&n->look))
		(void)pcore_op_timer(n->loop, &n->look, PCORE_CLOCK_MONOTONIC, pcore_ns_add(pcore_loop_now(n->loop), LOOK_NS));
}

void node_input_ended(struct node_job *j)
{
	struct pcore_node *n = j->session->node;

	pcore_list_del(&j->in.to_look);
	if (pcore_list_empty(&n->streams))
		pcore_op_cancel(n->loop, &n->look);
}

int node_input_begin(struct node_job *j, const struct pcore_wire_assign *a)
{
	struct node_input *in = &j->in;

	pcore_list_init(&in->to_credit);
	in->granted = PCORE_WIRE_CREDIT;
	in->last = !(a->flags & PCORE_WIRE_STREAM);
	in->wanted = !in->last || a->input.len > 0;
	j->job.no_input = !in->wanted;
	j->job.pipe_size = j->template->t.spec.pipe_size;
	return a->input.len > 0 ? keep(j, a->input.data, a->input.len) : 0;
}

void node_input_done(struct node_job *j)
{
	while (j->in.first)
		drop_first(j);
	pcore_list_del(&j->in.to_credit);
	pcore_list_del(&j->in.to_look);
}

void node_input_again(struct node_job *j)
{
	if (j->in.wanted && j->state != NODE_DONE)
		tell(j, true);
}

int node_input_hear(struct node_job *j, const struct pcore_wire_chunk *c)
{
	struct node_input *in = &j->in;
	uint64_t known = in->received, end = c->offset + c->len;
	int r = 0;

	if (!in->wanted || c->offset > known || (in->last && end > known) || end > in->taken + PCORE_WIRE_CREDIT + in->left)
		return -EPROTO;
	if (in->over || j->state == NODE_DONE)
		in->received = end > known ? end : known;
	else if (end > known)
		r = keep(j, c->data + (known - c->offset), end - known);
	if (r < 0)
		return r;
	in->last |= c->last && end == in->received;
	if (j->state == NODE_RUNNING && !in->over)
		pcore_local_feed(&j->job);
	return 0;
}

/* ---- what the pool's executor asks ---- */

int node_input(void *ctx, struct pcore_job *job, struct pcore_piece *ret)
{
	struct node_job *j = container_of(job, struct node_job, job);
	struct node_input *in = &j->in;

	(void)ctx;
	if (in->feeding) {
		in->taken += in->first->len;
		drop_first(j);
		in->feeding = false;
		tell(j, false);
	}
	if (!in->first)
		return in->last ? -ENODATA : 0;
	in->feeding = true;
	*ret = (struct pcore_piece){ .data = in->first->data, .len = in->first->len };
	return 1;
}

void node_input_over(void *ctx, struct pcore_job *job, uint64_t left)
{
	struct node_job *j = container_of(job, struct node_job, job);
	struct node_input *in = &j->in;
	bool all = in->last && !(in->feeding ? in->first->next : in->first) && left == 0;

	(void)ctx;
	if (in->feeding)
		in->taken += in->first->len - left;
	in->feeding = false;
	in->left = PCORE_WIRE_CREDIT; /* more may be on its way */
	in->over = true;
	while (in->first)
		drop_first(j);
	if (!all && pcore_local_unread(job))
		node_say_quiet(j, PCORE_WIRE_UNREAD);
	if (!all)
		tell(j, true);
}
