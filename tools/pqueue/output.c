/* SPDX-License-Identifier: MIT */
/*
 * output.c - items to standard output.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/pqueue/pqueue.h"

void pqueue_output_init(struct pqueue_output *out, const struct pqueue_opts *o)
{
	*out = (struct pqueue_output){ .fd = STDOUT_FILENO, .frames = o->frames, .delim = o->null ? '\0' : o->delim };
}

void pqueue_output_done(struct pqueue_output *out)
{
	pcore_buf_done(&out->buf);
}

/* Standard output may have been made non-blocking by whoever shares it. A reader that is gone is no news. */
int pqueue_output_bytes(int fd, const void *data, size_t len)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };
	const char *p = data;

	while (len > 0) {
		ssize_t n;
		int r = pcore_fault("write", NULL);

		n = r < 0 ? -1 : write(fd, p, len);
		errno = r < 0 ? -r : errno;
		if (n >= 0) {
			p += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN) {
			(void)poll(&pfd, 1, -1);
		} else if (errno == EPIPE) {
			return CLI_FAILURE;
		} else if (errno != EINTR) {
			return cli_error("cannot write to standard output: %s", strerror(errno));
		}
	}
	return CLI_GO;
}

static int add_frame(struct pcore_buf *b, const void *data, size_t len)
{
	unsigned char head[4] = { (unsigned char)len, (unsigned char)(len >> 8), (unsigned char)(len >> 16), (unsigned char)(len >> 24) };
	int r = pcore_buf_add(b, head, sizeof(head));

	return r == 0 ? pcore_buf_add(b, data, len) : r;
}

/* In the forms that need more than a byte behind each item. */
static int add_item(struct pqueue_output *out, const struct pcore_item *item, bool id)
{
	struct pcore_buf *b = &out->buf;
	char name[48];
	int len = snprintf(name, sizeof(name), "%" PRIu64 ".%u", item->id, item->attempt), r = 0;

	if (id && out->frames)
		r = add_frame(b, name, (size_t)len);
	else if (id)
		r = pcore_buf_addf(b, "%s\t", name);
	if (r == 0)
		r = out->frames ? add_frame(b, item->data, item->len) : pcore_buf_add(b, item->data, item->len);
	return r == 0 && !out->frames ? pcore_buf_addc(b, (char)out->delim) : r;
}

int pqueue_output_items(struct pqueue_output *out, struct pcore_buf *buf, size_t at, const struct pcore_item *items, size_t n, bool id)
{
	int r = 0;

	if (!out->frames && !id) {
		for (size_t i = 0, end = at; i < n; i++, end++) {
			end += items[i].len;
			buf->data[end] = (char)out->delim;
		}
		return pqueue_output_bytes(out->fd, buf->data + at, buf->len - at);
	}
	pcore_buf_clear(&out->buf);
	for (size_t i = 0; i < n && r == 0; i++)
		r = add_item(out, &items[i], id);
	return r < 0 ? cli_error("out of memory") : pqueue_output_bytes(out->fd, out->buf.data, out->buf.len);
}
