/* SPDX-License-Identifier: MIT */
/*
 * input.c - items cut out of standard input, many at a time and without copying them.
 */
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "tools/pqueue/pqueue.h"

enum { READ_MIN = 1 << 16, FRAME_HEAD = 4 };

void pqueue_input_init(struct pqueue_input *in, const struct pqueue_opts *o, int fd, size_t item_max)
{
	*in = (struct pqueue_input){
		.fd = fd,
		.frames = o->frames,
		.whole = o->whole,
		.delim = o->null ? '\0' : o->delim,
		.item_max = item_max,
	};
}

void pqueue_input_done(struct pqueue_input *in)
{
	pcore_buf_done(&in->buf);
}

static void give(struct pqueue_input *in, struct pcore_item *item, size_t skip, size_t len, size_t behind)
{
	*item = (struct pcore_item){ .data = in->buf.data + in->start + skip, .len = len };
	in->start += skip + len + behind;
	in->scanned = in->start;
	in->count++;
}

/* Each cuts one item: 1, 0 when there is not enough, -EMSGSIZE, -EBADMSG. */
static int cut_delimited(struct pqueue_input *in, struct pcore_item *item)
{
	size_t end = in->buf.len;
	char *at = in->scanned < end ? memchr(in->buf.data + in->scanned, in->delim, end - in->scanned) : NULL;

	if (at)
		end = (size_t)(at - in->buf.data);
	if (end - in->start > in->item_max)
		return -EMSGSIZE;
	in->scanned = end;
	if (!at && (!in->eof || end == in->start))
		return 0;
	give(in, item, 0, end - in->start, at ? 1 : 0);
	return 1;
}

static int cut_frame(struct pqueue_input *in, struct pcore_item *item)
{
	size_t left = in->buf.len - in->start, len;
	const unsigned char *head;

	if (left == 0)
		return 0;
	if (left < FRAME_HEAD)
		return in->eof ? -EBADMSG : 0;
	head = (const unsigned char *)in->buf.data + in->start;
	len = (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
	if (len > in->item_max)
		return -EMSGSIZE;
	if (left - FRAME_HEAD < len)
		return in->eof ? -EBADMSG : 0;
	give(in, item, FRAME_HEAD, len, 0);
	return 1;
}

static int cut_whole(struct pqueue_input *in, struct pcore_item *item)
{
	if (in->buf.len > in->item_max)
		return -EMSGSIZE;
	if (!in->eof || in->given)
		return 0;
	in->given = true;
	give(in, item, 0, in->buf.len, 0);
	return 1;
}

static int cut(struct pqueue_input *in, struct pcore_item *item)
{
	if (in->whole)
		return cut_whole(in, item);
	return in->frames ? cut_frame(in, item) : cut_delimited(in, item);
}

/* Read once. What was given is dropped first when it is the greater part, so that a byte is moved once on average. */
static int read_more(struct pqueue_input *in)
{
	ssize_t n;
	int r;

	if (in->start > 0 && in->start >= in->buf.len - in->start) {
		pcore_buf_consume(&in->buf, in->start);
		in->scanned -= in->start;
		in->start = 0;
	}
	r = pcore_buf_reserve(&in->buf, READ_MIN);
	if (r < 0)
		return r;
	do {
		n = read(in->fd, in->buf.data + in->buf.len, in->buf.cap - in->buf.len);
		if (n < 0 && errno == EAGAIN) /* whoever shares it has made it non-blocking */
			(void)poll(&(struct pollfd){ .fd = in->fd, .events = POLLIN }, 1, -1);
	} while (n < 0 && (errno == EINTR || errno == EAGAIN));
	if (n < 0)
		return -errno;
	in->eof = n == 0;
	in->buf.len += (size_t)n;
	return 0;
}

ssize_t pqueue_input_next(struct pqueue_input *in, struct pcore_item *items, size_t n)
{
	size_t got = 0;
	int r = 0;

	for (;;) {
		while (got < n && (r = cut(in, &items[got])) > 0)
			got++;
		if (got > 0)
			return (ssize_t)got;
		if (r < 0 || in->eof)
			return r;
		r = read_more(in);
		if (r < 0)
			return r;
	}
}
