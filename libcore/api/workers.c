/* SPDX-License-Identifier: MIT */
/*
 * workers.c - one process of a pool: its start, its life in the child, its end.
 */
#include "libcore/api/workers.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* Answers are not kept back longer than this while calls go on. */
#define ANSWER_NS (200 * NS_PER_US)

/* ---- in the child ---- */

struct child {
	const struct worker_start *start;
	struct shared *shared;
	int fd, parent_fd;
	char *in; /* requests: from at to len */
	size_t at, len, cap;
	int64_t sent_ns;
};

struct output {
	struct pcore_out out; /* first */
	struct pcore_buf buf;
};

static int output_write(struct pcore_out *out, const void *data, size_t size)
{
	struct output *o = container_of(out, struct output, out);

	return size > 0 ? pcore_buf_add(&o->buf, data, size) : 0;
}

static bool send_all(int fd, const void *data, size_t size)
{
	const char *p = data;

	while (size > 0) {
		ssize_t n = send(fd, p, size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		p += n;
		size -= (size_t)n;
	}
	return true;
}

static bool send_answers(struct child *c)
{
	struct shared *s = c->shared;
	bool ok = send_all(c->fd, s->answers, s->len);

	__atomic_store_n(&s->len, 0, __ATOMIC_SEQ_CST);
	c->sent_ns = pcore_now_ns();
	return ok;
}

static bool answer(struct child *c, uint64_t seq, int status, const struct pcore_buf *result)
{
	static const char padding[FRAME_ALIGN];
	struct answer a = { .seq = seq, .size = result->len, .status = status };
	size_t padded = frame_padded(result->len), len = c->shared->len;
	char *p;

	if (padded > SHARED_SIZE - sizeof(a)) /* it goes out by itself */
		return send_answers(c) && send_all(c->fd, &a, sizeof(a)) && send_all(c->fd, result->data, result->len) &&
		       send_all(c->fd, padding, padded - result->len);
	if (SHARED_SIZE - len < sizeof(a) + padded) {
		if (!send_answers(c))
			return false;
		len = 0;
	}
	p = mempcpy(c->shared->answers + len, &a, sizeof(a));
	if (result->len > 0)
		memcpy(p, result->data, result->len);
	__atomic_store_n(&c->shared->len, len + sizeof(a) + padded, __ATOMIC_SEQ_CST);
	return true;
}

static bool make_room(struct child *c, size_t size)
{
	char *in;

	memmove(c->in, c->in + c->at, c->len - c->at);
	c->len -= c->at;
	c->at = 0;
	if (size <= c->cap)
		return true;
	in = realloc(c->in, size);
	if (!in)
		return false;
	c->in = in;
	c->cap = size;
	return true;
}

/* Have so many bytes at c->at. What was answered goes out before it waits. */
static bool have(struct child *c, size_t size)
{
	while (c->len - c->at < size) {
		struct pollfd fds[] = { { .fd = c->fd, .events = POLLIN }, { .fd = c->start->parent_pidfd, .events = POLLIN } };
		ssize_t n;

		if (c->cap - c->at < size && !make_room(c, size))
			return false;
		if (c->shared->len > 0 && !send_answers(c))
			return false;
		n = recv(c->fd, c->in + c->len, c->cap - c->len, MSG_DONTWAIT);
		if (n > 0)
			c->len += (size_t)n;
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			return false;
		else if (poll(fds, 2, -1) > 0 && fds[1].revents && !fds[0].revents)
			return false; /* our parent is dead */
	}
	return true;
}

static int call_star(pcore_pool_star_fn fn, const char *item, struct pcore_out *out)
{
	struct pcore_arg args[PCORE_POOL_ARGS_MAX];
	uint64_t n, size;
	const char *sizes = item + sizeof(n), *data;

	memcpy(&n, item, sizeof(n));
	data = item + frame_padded((n + 1) * sizeof(n));
	for (size_t i = 0; i < n; i++) {
		memcpy(&size, sizes + i * sizeof(size), sizeof(size));
		args[i] = (struct pcore_arg){ data, size };
		data += frame_padded(size);
	}
	return fn(args, n, out);
}

static void serve(struct child *c)
{
	struct output o = { .out = { .size = sizeof(o.out), .write = output_write } };
	struct request q;

	while (have(c, sizeof(q))) {
		const char *item;
		int status;

		memcpy(&q, c->in + c->at, sizeof(q));
		if (!have(c, sizeof(q) + frame_padded(q.size)))
			break;
		item = c->in + c->at + sizeof(q);
		o.buf.len = 0;
		__atomic_store_n(&c->shared->begun, q.seq, __ATOMIC_SEQ_CST);
		status = q.fn ? q.fn(item, q.size, &o.out) : call_star(q.star_fn, item, &o.out);
		c->at += sizeof(q) + frame_padded(q.size);
		if (!answer(c, q.seq, status, &o.buf))
			break;
		if (c->shared->len > SHARED_SIZE / 2 || pcore_now_ns() - c->sent_ns > ANSWER_NS)
			if (!send_answers(c))
				break;
	}
	pcore_buf_done(&o.buf);
}

static int child_main(void *arg)
{
	struct child *c = arg;
	static const struct pcore_buf nothing;
	int status;

	(void)pcore_fd_close(c->parent_fd);
	for (size_t i = 0; i < c->start->n_close; i++)
		(void)pcore_fd_close(c->start->close_fds[i]);
	c->cap = RECEIVE_SIZE;
	c->in = malloc(c->cap);
	if (!c->in)
		return 1;
	status = c->start->init ? c->start->init(c->start->arg) : 0;
	if (answer(c, 0, status, &nothing) && send_answers(c) && status == 0)
		serve(c);
	free(c->in);
	return status != 0;
}

/* ---- in the parent ---- */

int pcore_worker_process_start(struct worker_process *w, const struct worker_start *start)
{
	struct child c = { .start = start };
	int fds[2], r;

	*w = (struct worker_process){ .fd = -EBADF, .pidfd = -EBADF, .ahead = 1 };
	pcore_list_init(&w->tasks);
	w->shared = mmap(NULL, sizeof(*w->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (w->shared == MAP_FAILED) {
		w->shared = NULL;
		return -ENOMEM;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
		r = -errno;
		pcore_worker_process_done(w);
		return r;
	}
	w->fd = c.parent_fd = fds[0];
	c.fd = fds[1];
	c.shared = w->shared;
	r = pcore_child_fork(child_main, &c, &w->pid, &w->pidfd);
	(void)pcore_fd_close(fds[1]);
	if (r < 0)
		pcore_worker_process_done(w);
	return r;
}

void pcore_worker_process_end(struct worker_process *w, bool kill, struct pcore_exit *ret)
{
	struct pollfd ended = { .fd = w->pidfd, .events = POLLIN };

	*ret = (struct pcore_exit){ .code = 0 };
	if (kill)
		(void)pcore_child_signal(w->pidfd, SIGKILL);
	while (pcore_child_reap(NULL, w->pidfd, ret) == -EAGAIN)
		(void)pcore_poll_until(&ended, 1, INT64_MAX);
}

void pcore_worker_process_done(struct worker_process *w)
{
	if (w->shared)
		(void)munmap(w->shared, sizeof(*w->shared));
	w->shared = NULL;
	w->fd = pcore_fd_close(w->fd);
	w->pidfd = pcore_fd_close(w->pidfd);
	pcore_buf_done(&w->out);
	pcore_buf_done(&w->in);
}
