/* SPDX-License-Identifier: MIT */
/*
 * lines.c - ticks as lines on standard output.
 */
#include "tools/ptimer/lines.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

static void reader_event(struct pcore_op *op, int res)
{
	struct lines *l = container_of(op, struct lines, reader_op);

	if (res > 0 && (res & (POLLERR | POLLHUP)))
		l->failed(l->ctx, -EPIPE);
}

static void write_more(struct lines *l)
{
	int r = pcore_op_write(l->loop, &l->write_op, STDOUT_FILENO, l->text + l->sent, l->len - l->sent, -1);

	if (r < 0)
		l->failed(l->ctx, r);
}

static void write_done(struct pcore_op *op, int res)
{
	struct lines *l = container_of(op, struct lines, write_op);

	if (res == -ECANCELED)
		return;
	if (res < 0) {
		l->failed(l->ctx, res);
		return;
	}
	l->sent += (size_t)res;
	if (l->sent < l->len)
		write_more(l);
	else
		l->written(l->ctx);
}

void lines_start(struct lines *l, struct pcore_loop *lp)
{
	struct stat st;

	l->loop = lp;
	l->write_op.done = write_done;
	l->reader_op.done = reader_event;
	if (fstat(STDOUT_FILENO, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)))
		(void)pcore_op_poll(lp, &l->reader_op, STDOUT_FILENO, POLLERR);
}

void lines_stop(struct lines *l)
{
	pcore_op_cancel(l->loop, &l->write_op);
	pcore_op_cancel(l->loop, &l->reader_op);
}

bool lines_busy(const struct lines *l)
{
	return pcore_op_live(&l->write_op);
}

void lines_write(struct lines *l)
{
	assert(!lines_busy(l));
	assert(l->len <= sizeof(l->text));

	l->sent = 0;
	write_more(l);
}
