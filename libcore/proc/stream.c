/* SPDX-License-Identifier: MIT */
/*
 * stream.c - our ends of a command's pipes: readers that can be held back, and a feeder.
 */
#include "libcore/proc/private.h"

#include <poll.h>
#include <sys/ioctl.h>

/* How often one reader is read from before others have their turn, and how much one splice moves. */
enum { READS_A_TURN = 8, SPLICE_MAX = 1 << 20 };

static void end_reader(struct pcore_reader *r, ssize_t res)
{
	r->state = PCORE_READER_CLOSED;
	r->fd = pcore_fd_close(r->fd);
	r->data(r, NULL, res);
}

/* One read and its delivery. What read(2) says: 0 at the end of file, -EAGAIN when there is nothing now. */
static ssize_t read_once(struct pcore_reader *r)
{
	size_t want = r->buf_size;
	ssize_t n = pcore_fault("read", &want);

	if (n == 0) {
		n = read(r->fd, r->buf, want);
		if (n < 0)
			n = -errno;
	}
	if (n > 0)
		r->data(r, r->buf, n);
	return n;
}

static void readable(struct pcore_op *op, int res)
{
	struct pcore_reader *r = container_of(op, struct pcore_reader, op);
	ssize_t n = 1;

	if (r->state == PCORE_READER_FINISHING) {
		end_reader(r, r->error);
		return;
	}
	if (res == -ECANCELED)
		return;

	for (int i = 0; i < READS_A_TURN && n > 0 && r->state == PCORE_READER_OPEN; i++) {
		n = read_once(r);
		if (n > 0 && (size_t)n < r->buf_size / 2)
			break;
	}
	if (n <= 0 && n != -EAGAIN && n != -EINTR)
		end_reader(r, n);
	else if (r->state == PCORE_READER_FINISHING && !pcore_op_live(op))
		end_reader(r, r->error);
	else if (r->state == PCORE_READER_OPEN && !pcore_op_live(op)) {
		n = pcore_op_poll(r->loop, op, r->fd, POLLIN);
		if (n < 0)
			end_reader(r, n);
	}
}

int pcore_reader_start(struct pcore_reader *r, struct pcore_loop *lp, int fd)
{
	int error;

	assert(r->data);
	assert(r->buf && r->buf_size > 0);
	assert(!pcore_op_live(&r->op));

	r->op = (struct pcore_op){ .done = readable };
	r->loop = lp;
	r->fd = fd;
	r->state = PCORE_READER_OPEN;
	r->error = 0;
	error = pcore_op_poll(lp, &r->op, fd, POLLIN);
	if (error < 0) {
		r->fd = -EBADF;
		r->state = PCORE_READER_CLOSED;
	}
	return error;
}

void pcore_reader_pause(struct pcore_reader *r)
{
	if (r->state == PCORE_READER_OPEN)
		r->state = PCORE_READER_PAUSED;
}

void pcore_reader_resume(struct pcore_reader *r)
{
	int error;

	if (r->state != PCORE_READER_PAUSED)
		return;

	r->state = PCORE_READER_OPEN;
	if (pcore_op_live(&r->op))
		return;
	error = pcore_op_poll(r->loop, &r->op, r->fd, POLLIN);
	if (error < 0)
		end_reader(r, error);
}

void pcore_reader_finish(struct pcore_reader *r)
{
	int there = 0;
	ssize_t n = 1;

	if (r->state == PCORE_READER_CLOSED || r->state == PCORE_READER_FINISHING)
		return;

	r->state = PCORE_READER_FINISHING;
	(void)ioctl(r->fd, FIONREAD, &there); /* a writer who lives may never stop */
	for (; there > 0 && n > 0; there -= (int)n) {
		do
			n = read_once(r);
		while (n == -EINTR);
	}
	r->error = n < 0 && n != -EAGAIN ? (int)n : 0;
	if (pcore_op_live(&r->op))
		pcore_op_cancel(r->loop, &r->op);
	else
		end_reader(r, r->error);
}

static void finish_feeder(struct pcore_feeder *f, int res)
{
	int unread = 0;

	f->unread = ioctl(f->fd, FIONREAD, &unread) == 0 && (uint64_t)unread == f->written;
	f->fd = pcore_fd_close(f->fd);
	f->waiting = false;
	f->done(f, res == -EPIPE || res == -ECANCELED || res == -ENODATA ? 0 : res);
}

static bool is_range(const struct pcore_feeder *f)
{
	return f->piece.len > 0 && !f->piece.data;
}

/* As much of the range as the pipe takes now. How much that was. */
static ssize_t pass_on(struct pcore_feeder *f)
{
	size_t want = f->piece.len < SPLICE_MAX ? (size_t)f->piece.len : SPLICE_MAX;
	loff_t offset = f->piece.offset;
	ssize_t n = pcore_fault("splice", &want);

	if (n == 0)
		n = splice(f->piece.fd, &offset, f->fd, NULL, want, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	else
		errno = (int)-n;
	if (n > 0)
		return n;
	if (n == 0)
		return -ESTALE; /* it has become shorter */
	return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

/* Go on with the piece at hand or the next one. */
static void feed(struct pcore_feeder *f)
{
	int r = 1;

	while (r > 0 && f->piece.len == 0)
		r = f->next ? f->next(f, &f->piece) : -ENODATA;
	f->waiting = r == 0;
	if (r > 0 && is_range(f))
		r = pcore_op_poll(f->loop, &f->op, f->fd, POLLOUT);
	else if (r > 0)
		r = pcore_op_write(f->loop, &f->op, f->fd, f->piece.data, f->piece.len, -1);
	if (r < 0)
		finish_feeder(f, r);
}

static void fed(struct pcore_op *op, int res)
{
	struct pcore_feeder *f = container_of(op, struct pcore_feeder, op);
	ssize_t n = res == -ETIME ? 0 : res; /* the start */

	if (n > 0 && is_range(f))
		n = pass_on(f);
	if (n > 0 && f->piece.data)
		f->piece.data += n;
	else if (n > 0)
		f->piece.offset += n;
	if (n > 0) {
		f->piece.len -= (uint64_t)n;
		f->written += (uint64_t)n;
	}
	if (n < 0 || f->stopped)
		finish_feeder(f, n < 0 ? (int)n : 0);
	else
		feed(f);
}

/* The first write is done from the loop as well, so that done() is. */
int pcore_feeder_start(struct pcore_feeder *f, struct pcore_loop *lp, int fd, const void *data, size_t len)
{
	int r;

	assert(f->done);

	*f = (struct pcore_feeder){
		.loop = lp,
		.fd = fd,
		.piece = { .data = data, .len = len },
		.next = f->next,
		.done = f->done,
		.op = { .done = fed },
	};
	if (len > 0)
		r = pcore_op_write(lp, &f->op, fd, data, len, -1);
	else
		r = pcore_op_timer(lp, &f->op, PCORE_CLOCK_MONOTONIC, 0);
	if (r < 0)
		f->fd = -EBADF;
	return r;
}

void pcore_feeder_go_on(struct pcore_feeder *f)
{
	if (f->waiting)
		feed(f);
}

void pcore_feeder_stop(struct pcore_feeder *f)
{
	f->stopped = true;
	if (f->waiting)
		finish_feeder(f, 0);
	else
		pcore_op_cancel(f->loop, &f->op);
}
