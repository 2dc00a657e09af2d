/* SPDX-License-Identifier: MIT */
/*
 * shared_input.c - the standard input of a client's jobs on its way to a node.
 *
 * The node's credit is handed on to the client, so that what waits here is never more than the credit of a stream. It is kept until the
 * job has taken it: a node that was lost, or has given the job back before it began, has taken nothing, and another one gets all of it.
 */
#include <string.h>

#include "libcore/cluster/shared_private.h"

struct shared_chunk {
	struct shared_chunk *next;
	uint64_t end; /* in the stream */
	size_t len;
	char data[];
};

static struct shared_job *job_of(struct link_job *at)
{
	return container_of(at, struct shared_job, at);
}

static int keep(struct shared_job *j, const char *data, size_t len)
{
	struct shared_client *c = j->client;
	struct shared_input *in = &j->in;
	struct shared_chunk *k;

	if (sizeof(*k) + len > SHARED_BODIES_MAX - c->bodies)
		return -ENOBUFS;
	k = malloc(sizeof(*k) + len);
	if (!k)
		return -ENOMEM;
	in->received += len;
	k->next = NULL;
	k->end = in->received;
	k->len = len;
	memcpy(k->data, data, len);
	*(in->first ? &in->end->next : &in->first) = k;
	in->end = k;
	in->next = in->next ? in->next : k;
	c->bodies += sizeof(*k) + len;
	return 0;
}

static void drop_first(struct shared_job *j)
{
	struct shared_chunk *k = j->in.first;

	j->in.first = k->next;
	j->in.start = k->end;
	j->client->bodies -= sizeof(*k) + k->len;
	free(k);
}

int shared_input_begin(struct shared_job *j)
{
	struct shared_input *in = &j->in;
	struct pcore_wire_bytes first = j->as.input;

	pcore_list_init(&in->to_credit);
	in->wanted = j->as.flags & PCORE_WIRE_STREAM;
	in->granted = PCORE_WIRE_CREDIT;
	if (!in->wanted || first.len == 0)
		return 0;
	j->as.input.len = 0;
	return keep(j, first.data, first.len);
}

void shared_input_done(struct shared_job *j)
{
	while (j->in.first)
		drop_first(j);
	j->in.next = NULL;
	j->at.in.open = false;
	pcore_list_del(&j->in.to_credit);
}

void shared_input_tell(struct shared_job *j)
{
	if (!j->in.wanted || j->state == SHARED_DONE)
		return;
	if (pcore_list_empty(&j->in.to_credit))
		pcore_list_add_tail(&j->client->to_credit, &j->in.to_credit);
	shared_say_soon(j->client);
}

int shared_input_hear(struct shared_job *j, const struct pcore_wire_chunk *c)
{
	struct shared_input *in = &j->in;
	uint64_t known = in->received, end = c->offset + c->len;
	int r = 0;

	if (!in->wanted || c->offset > known || (in->last && end > known) || end > in->granted)
		return -EPROTO;
	if (in->over || j->state == SHARED_DONE)
		in->received = end > known ? end : known;
	else if (end > known)
		r = keep(j, c->data + (known - c->offset), end - known);
	if (r < 0)
		return r;
	in->last |= c->last && end == in->received;
	if (j->state != SHARED_DONE && j->at.in.waiting)
		link_feed(&j->at);
	return 0;
}

bool shared_input_whole(const struct shared_job *j)
{
	return j->in.start == 0 && !j->in.over;
}

/* ---- what the link asks ---- */

int shared_input_next(struct link *l, struct link_job *at, struct pcore_piece *ret)
{
	struct shared_input *in = &job_of(at)->in;

	(void)l;
	if (in->given < in->start) { /* what was taken is not here any more, and the node has it */
		*ret = (struct pcore_piece){ .data = "", .len = in->start - in->given };
		in->given = in->start;
		return 1;
	}
	if (!in->next)
		return in->last ? -ENODATA : 0;
	*ret = (struct pcore_piece){ .data = in->next->data, .len = in->next->len };
	in->given = in->next->end;
	in->next = in->next->next;
	return 1;
}

void shared_input_again(struct link *l, struct link_job *at)
{
	struct shared_input *in = &job_of(at)->in;

	(void)l;
	in->given = 0;
	in->next = in->first;
}

/* The piece that the link was given last is still being sent from. */
void shared_input_taken(struct link *l, struct link_job *at)
{
	struct shared_job *j = job_of(at);
	struct shared_input *in = &j->in;
	uint64_t taken = at->in.taken < at->in.sent ? at->in.taken : at->in.sent;

	(void)l;
	while (in->first && in->first->end <= taken && in->first->end < in->given)
		drop_first(j);
	if (taken + PCORE_WIRE_CREDIT <= in->granted)
		return;
	in->granted = taken + PCORE_WIRE_CREDIT;
	shared_input_tell(j);
}

void shared_input_over(struct link *l, struct link_job *at, int error)
{
	struct shared_job *j = job_of(at);

	if (error < 0) { /* memory is short: it is sent again after a reconnect */
		pcore_net_abort(l->conn);
		return;
	}
	j->in.over = true;
	shared_input_done(j);
	shared_input_tell(j);
}
