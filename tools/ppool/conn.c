/* SPDX-License-Identifier: MIT */
/*
 * conn.c - the connections of a named pool's server.
 *
 * One poll is pending for each; bytes are moved without blocking. No more is read while what has come is not dealt with, and
 * no more is made while what has been made is not sent, so that neither a fast writer nor a slow reader costs memory.
 */
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "tools/cli/cli.h"
#include "tools/ppool/server.h"

enum { IN_MAX = 256 * 1024, TEXT_MAX = 256 };

void conn_due(struct conn *c)
{
	c->again = true;
	if (!c->dead && pcore_list_empty(&c->due))
		pcore_list_add_tail(&c->server->due, &c->due);
	server_turn_soon(c->server);
}

static void conn_free(struct conn *c)
{
	struct server *s = c->server;

	pcore_list_del(&c->link);
	c->fd = pcore_fd_close(c->fd);
	s->n_conns--;
	server_accept(s);
	shared_put(&s->table, c->env);
	shared_put(&s->table, c->dir);
	pcore_buf_done(&c->in);
	pcore_buf_done(&c->out);
	free(c->ids);
	free(c);
}

void conn_free_dead(struct server *s)
{
	PCORE_LIST_FOREACH_SAFE(node, &s->dead) {
		struct conn *c = container_of(node, struct conn, due);

		if (!c->left)
			request_leave(c);
		c->left = true;
		if (pcore_op_live(&c->op))
			continue; /* comes home first */
		pcore_list_del(&c->due);
		conn_free(c);
	}
}

void conn_drop(struct conn *c)
{
	if (c->dead)
		return;
	c->dead = true;
	pcore_list_del(&c->due);
	pcore_list_add_tail(&c->server->dead, &c->due);
	pcore_op_cancel(c->server->loop, &c->op);
	server_turn_soon(c->server);
}

void conn_check(struct conn *c, int r)
{
	if (r < 0)
		conn_drop(c);
}

void conn_answer(struct conn *c, int status, uint64_t value, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	conn_check(c, wire_put_answer(&c->out, (uint8_t)status, value, text));
}

/* ---- bytes ---- */

static size_t unread(const struct conn *c)
{
	return c->in.len - c->in_pos;
}

/* More is wanted until there is enough to do, or one whole frame. */
static bool wants_more(const struct conn *c)
{
	struct cli_frame f;
	size_t used;

	if (c->state == CONN_CLOSING)
		return false;
	return unread(c) < IN_MAX || cli_frame_next(c->in.data + c->in_pos, unread(c), &f, &used) == 0;
}

/* 0, or -errno when there will be no more. */
static int read_some(struct conn *c)
{
	ssize_t n;

	pcore_buf_consume(&c->in, c->in_pos);
	c->in_pos = 0;
	if (pcore_buf_reserve(&c->in, PIECE) < 0)
		return -ENOMEM;
	n = recv(c->fd, c->in.data + c->in.len, PIECE, MSG_DONTWAIT);
	if (n > 0)
		c->in.len += (size_t)n;
	else if (n == 0)
		return -ECONNRESET;
	else if (errno != EAGAIN && errno != EINTR)
		return -errno;
	return 0;
}

bool conn_flush(struct conn *c)
{
	size_t sent = 0;
	ssize_t n = 0;

	while (sent < c->out.len && (n = send(c->fd, c->out.data + sent, c->out.len - sent, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
		sent += (size_t)n;
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		conn_drop(c);
		return false;
	}
	pcore_buf_consume(&c->out, sent);
	return c->out.len == 0;
}

/* ---- events ---- */

void conn_watch(struct conn *c)
{
	unsigned wanted = (wants_more(c) ? POLLIN : 0u) | (c->out.len > 0 ? POLLOUT : 0u);

	if (c->dead)
		return;
	if (!pcore_op_live(&c->op)) {
		c->interest = wanted;
		if (pcore_op_poll(c->server->loop, &c->op, c->fd, wanted) < 0)
			conn_drop(c);
	} else if (c->interest != wanted) {
		pcore_op_cancel(c->server->loop, &c->op); /* comes home and is set anew */
	}
}

static void conn_event(struct pcore_op *op, int res)
{
	struct conn *c = container_of(op, struct conn, op);
	struct server *s = c->server;

	if (!c->dead && res > 0) {
		int r = 0;

		if ((res & POLLIN) && wants_more(c))
			r = read_some(c);
		else if (res & (POLLHUP | POLLERR))
			r = -ECONNRESET;
		if (r < 0)
			conn_drop(c);
	} else if (!c->dead && res != -ECANCELED) {
		conn_drop(c);
	}
	if (!c->dead)
		conn_due(c);
	server_turn(s);
}

int conn_new(struct server *s, int fd)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c) {
		(void)pcore_fd_close(fd);
		return -ENOMEM;
	}
	c->server = s;
	c->fd = fd;
	c->op.done = conn_event;
	pcore_list_init(&c->link);
	pcore_list_init(&c->due);
	pcore_list_init(&c->parked);
	pcore_list_add_tail(&s->conns, &c->link);
	s->n_conns++;
	if (!cli_peer_is_ours(fd)) {
		conn_answer(c, CLI_AUTH, 0, "the pool '%s' belongs to another user", s->opts->name);
		c->state = CONN_CLOSING;
	}
	conn_due(c);
	return 0;
}
