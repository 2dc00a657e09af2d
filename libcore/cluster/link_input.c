/* SPDX-License-Identifier: MIT */
/*
 * link_input.c - the standard input of jobs on its way to a node, piece by piece as its owner has them and the node has room.
 */
#include <string.h>
#include <unistd.h>

#include "libcore/cluster/link_private.h"

enum { CHUNK = 64 * 1024 };

/* A part of a file, in memory. */
static int read_range(struct link *l, const struct pcore_piece *p, uint64_t at, size_t n)
{
	int r;

	pcore_buf_clear(&l->range);
	r = pcore_buf_reserve(&l->range, n);
	while (r == 0 && l->range.len < n) {
		ssize_t got = pread(p->fd, l->range.data + l->range.len, n - l->range.len, p->offset + (int64_t)(at + l->range.len));

		if (got > 0)
			l->range.len += (size_t)got;
		else if (got == 0 || errno != EINTR)
			r = got < 0 ? -errno : -ESTALE;
	}
	return r;
}

static int send_input(struct link *l, struct link_job *j, size_t n, bool last)
{
	struct link_input *in = &j->in;
	struct pcore_wire_chunk c = { .attempt = j->attempt, .stream = PCORE_WIRE_STDIN, .last = last, .offset = in->sent, .len = n };
	uint64_t at = in->sent - in->start;
	int r = n > 0 && !in->piece.data ? read_range(l, &in->piece, at, n) : 0;

	if (r < 0)
		return r;
	c.data = n == 0 ? NULL : in->piece.data ? in->piece.data + at : l->range.data;
	pcore_buf_clear(&l->buf);
	r = pcore_wire_put_chunk(&l->buf, &c);
	if (r < 0)
		return r;
	link_send(l, PCORE_WIRE_INPUT, j->id, l->buf.data, l->buf.len);
	in->sent += n;
	return 0;
}

/* The next piece, when this one is sent. 1, or as input() says. */
static int next_piece(struct link *l, struct link_job *j)
{
	struct link_input *in = &j->in;
	int r = 1;

	while (r > 0 && in->sent >= in->start + in->piece.len) {
		struct pcore_piece p = { .len = 0 };

		if (in->in_turn && in->taken < in->sent)
			return 0;
		r = l->host->ops->input(l, j, &p);
		in->waiting = r == 0;
		if (r <= 0)
			return r;
		in->start += in->piece.len;
		in->piece = p;
	}
	return r;
}

void link_feed(struct link_job *j)
{
	struct link_input *in = &j->in;
	struct link *l = j->on;
	int r = 0;

	while (r == 0 && in->open && !in->held && l && l->joined) {
		uint64_t n;

		r = next_piece(l, j);
		if (r == -ENODATA) {
			in->open = false;
			r = send_input(l, j, 0, true);
			break;
		}
		if (r <= 0)
			return;
		n = in->start + in->piece.len - in->sent;
		n = n < in->limit - in->sent ? n : in->limit - in->sent;
		if (n == 0)
			return;
		r = send_input(l, j, n < CHUNK ? (size_t)n : CHUNK, false);
	}
	if (r < 0) {
		in->open = false;
		l->host->ops->input_over(l, j, r);
	}
}

void link_input_feed(struct link *l)
{
	struct pcore_list *node;

	while ((node = pcore_list_pop(&l->to_feed)))
		link_feed(container_of(node, struct link_job, in.link));
}

int link_input_resume(struct link *l, struct link_job *j, const struct pcore_wire_adopt *a)
{
	struct link_input *in = &j->in;

	if (in->limit == 0 || in->over || a->state == PCORE_WIRE_JOB_DONE)
		return 0;
	if (a->input < in->taken || a->input > in->sent)
		return -EPROTO;
	if (a->input < in->start) {
		l->host->ops->input_again(l, j);
		in->start = 0;
		in->piece.len = 0;
	}
	in->sent = a->input;
	in->limit = in->limit > in->sent ? in->limit : in->sent;
	in->open = true;
	in->held = in->in_turn && a->state != PCORE_WIRE_JOB_RUNNING;
	pcore_list_del(&in->link);
	pcore_list_add_tail(&l->to_feed, &in->link);
	return 0;
}

void link_input_begin(struct link *l, struct link_job *j)
{
	bool in_turn = j->in.in_turn;

	pcore_list_del(&j->in.link);
	j->in = (struct link_input){ .open = true, .in_turn = in_turn, .held = in_turn, .limit = PCORE_WIRE_CREDIT };
	pcore_list_init(&j->in.link);
	pcore_list_add_tail(&l->to_feed, &j->in.link);
}

void link_input_credit(struct link *l, const struct pcore_wire_credit *c)
{
	struct link_job *j = link_job_of(l, c->job, c->attempt);
	struct link_input *in = j ? &j->in : NULL;

	if (!j || c->stream != PCORE_WIRE_STDIN || in->limit == 0)
		return;
	in->limit = c->limit > in->limit ? c->limit : in->limit;
	in->taken = in->limit - PCORE_WIRE_CREDIT;
	if (l->host->ops->input_taken)
		l->host->ops->input_taken(l, j);
	if (c->closed && !in->over) {
		in->over = true;
		in->open = false;
		l->host->ops->input_over(l, j, 0);
	}
	link_feed(j);
}
