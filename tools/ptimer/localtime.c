/* SPDX-License-Identifier: MIT */
/*
 * localtime.c - tells when /etc/localtime is another file. The directory is watched: the file is usually a link, and what is
 * put in its place is a new one.
 */
#include "tools/ptimer/localtime.h"

#include <string.h>
#include <sys/inotify.h>

static int watch(struct localtime *l)
{
	return pcore_op_read(l->loop, &l->op, l->fd, l->buf, sizeof(l->buf), -1);
}

static bool is_about_us(const struct localtime *l, size_t len)
{
	const struct inotify_event *e;

	for (size_t at = 0; at + sizeof(*e) <= len; at += sizeof(*e) + e->len) {
		e = (const void *)(l->buf + at);
		if ((e->mask & IN_Q_OVERFLOW) || (e->len > 0 && strcmp(e->name, "localtime") == 0))
			return true;
	}
	return false;
}

static void event(struct pcore_op *op, int res)
{
	struct localtime *l = container_of(op, struct localtime, op);

	if (l->stopped || res <= 0)
		return;
	if (is_about_us(l, (size_t)res))
		l->changed(l->ctx);
	if (!l->stopped)
		(void)watch(l);
}

int localtime_start(struct localtime *l, struct pcore_loop *lp)
{
	int r;

	l->loop = lp;
	l->op.done = event;
	l->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (l->fd < 0)
		return -errno;
	if (inotify_add_watch(l->fd, "/etc", IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE | IN_ONLYDIR) < 0)
		r = -errno;
	else
		r = watch(l);
	if (r < 0)
		l->fd = pcore_fd_close(l->fd);
	return r;
}

void localtime_stop(struct localtime *l)
{
	l->stopped = true;
	if (l->fd >= 0)
		pcore_op_cancel(l->loop, &l->op);
}

void localtime_done(struct localtime *l)
{
	l->fd = pcore_fd_close(l->fd);
}
