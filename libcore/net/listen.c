/* SPDX-License-Identifier: MIT */
/*
 * listen.c - listeners: who is let in, and how many at a time.
 *
 * One accept is pending while there is room for another connection that has not proven itself. Without descriptors accept() fails
 * and the connection stays in the kernel's queue, so that the next accept() fails at once: a spare descriptor is given up to take
 * it out and close it, and nothing is accepted for a while.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libcore/net/private.h"

#define PAUSE_NS (100 * NS_PER_MS)

enum { TOLD_MAX = 5 /* a second */, WINDOWS = 10 /* in a second */ };

struct pcore_net_listener {
	struct pcore_net *net;
	const struct pcore_net_listener_ops *ops;
	void *ctx;
	struct pcore_net_addr addr;
	int fd, dir_fd, spare_fd;
	bool stopped;
	struct pcore_op accept_op, pause_op;
	struct pcore_list link; /* net->listeners */
	int64_t told_since;
	unsigned told;
	uint64_t untold;
	int64_t window; /* of PAUSE_NS, and how many were accepted in it */
	unsigned n_window;
};

static int spare(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -EBADF : fd;
}

static void listener_free(struct pcore_net_listener *l)
{
	if (pcore_op_live(&l->accept_op) || pcore_op_live(&l->pause_op))
		return; /* the last of them comes here again */
	pcore_list_del(&l->link);
	l->fd = pcore_fd_close(l->fd);
	l->dir_fd = pcore_fd_close(l->dir_fd);
	l->spare_fd = pcore_fd_close(l->spare_fd);
	free(l);
}

static void rest(struct pcore_net_listener *l)
{
	if (!pcore_op_live(&l->pause_op))
		(void)pcore_op_timer(l->net->loop, &l->pause_op, PCORE_CLOCK_MONOTONIC, pcore_ns_add(pcore_now_ns(), PAUSE_NS));
}

/* A handshake costs a tenth of a millisecond: strangers must not be able to ask for as many as they like. */
static bool too_fast(struct pcore_net_listener *l)
{
	unsigned most = l->net->limits.accept_rate / WINDOWS;
	int64_t now = pcore_now_ns();

	if (now - l->window >= PAUSE_NS) {
		l->window = now;
		l->n_window = 0;
	}
	return l->n_window >= (most ? most : 1);
}

static void listener_accept(struct pcore_net_listener *l)
{
	if (l->stopped || pcore_op_live(&l->accept_op) || pcore_op_live(&l->pause_op) || l->net->preauth >= l->net->limits.preauth_max)
		return;
	if (too_fast(l) || pcore_op_accept(l->net->loop, &l->accept_op, l->fd) < 0)
		rest(l);
}

void net_listener_room(struct pcore_net *net)
{
	PCORE_LIST_FOREACH_SAFE(node, &net->listeners)
		listener_accept(container_of(node, struct pcore_net_listener, link));
}

void net_listener_opened(struct pcore_net_listener *l, struct pcore_net_conn *c)
{
	l->ops->accepted(l, l->ctx, c);
}

void net_listener_refused(struct pcore_net_listener *l, const char *address, const struct pcore_net_error *e)
{
	int64_t now = pcore_now_ns();

	l->net->stats.refused++;
	if (!l->ops->refused)
		return;
	if (now - l->told_since >= NS_PER_S) {
		l->told_since = now;
		l->told = 0;
	}
	if (l->told == TOLD_MAX) {
		l->untold++;
		return;
	}
	l->told++;
	l->ops->refused(l, l->ctx, address, e, l->untold);
	l->untold = 0;
}

static void turn_away(struct pcore_net_listener *l, int fd, const char *address, const struct pcore_net_error *e)
{
	net_listener_refused(l, address, e);
	(void)pcore_fd_close(fd);
}

static const char *peer_address(const struct pcore_net_listener *l, int fd, char buf[static PCORE_NET_ADDR_MAX])
{
	struct pcore_net_addr addr = { .len = sizeof(addr.in6) };
	struct ucred peer = { .pid = 0 };
	socklen_t len = sizeof(peer);

	if (!l->addr.path)
		return getpeername(fd, &addr.sa, &addr.len) < 0 ? "?" : pcore_net_addr_text(&addr, buf);
	(void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	(void)snprintf(buf, PCORE_NET_ADDR_MAX, "process %d", peer.pid);
	return buf;
}

static void take_in(struct pcore_net_listener *l, int fd)
{
	char buf[PCORE_NET_ADDR_MAX];
	const char *address = peer_address(l, fd, buf);
	struct pcore_net *net = l->net;
	struct pcore_net_error e;
	int r;

	net->stats.accepted++;
	l->n_window++;
	if (l->addr.path && net_socket_is_ours(fd, true, &e) < 0) {
		turn_away(l, fd, address, &e);
	} else if (!l->addr.path && net_conn_preauth_from(net, address) >= net->limits.preauth_same) {
		net->stats.throttled++;
		(void)net_error(&e, -EBUSY, "too many connections from there have not said hello yet");
		turn_away(l, fd, address, &e);
	} else {
		r = net_conn_accept(l, net, fd, !l->addr.path, address);
		if (r < 0) {
			(void)net_error(&e, r, "%s", strerror(-r));
			net_listener_refused(l, address, &e);
		}
	}
}

/* accept() has failed for want of a descriptor. io_uring says so before anybody connects. */
static void throw_out_one(struct pcore_net_listener *l, int why)
{
	char buf[PCORE_NET_ADDR_MAX];
	struct pcore_net_error e;
	int fd;

	l->spare_fd = pcore_fd_close(l->spare_fd);
	fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0) {
		l->net->stats.throttled++;
		(void)net_error(&e, why, "%s", strerror(-why));
		turn_away(l, fd, peer_address(l, fd, buf), &e);
	}
	l->spare_fd = spare();
}

static void accepted(struct pcore_op *op, int res)
{
	struct pcore_net_listener *l = container_of(op, struct pcore_net_listener, accept_op);

	if (l->stopped) {
		if (res >= 0)
			(void)pcore_fd_close(res);
		listener_free(l);
		return;
	}
	if (res >= 0) {
		take_in(l, res);
	} else if (res != -ECONNABORTED && res != -EINTR && res != -EAGAIN) {
		if (res == -EMFILE || res == -ENFILE)
			throw_out_one(l, res);
		rest(l);
	}
	listener_accept(l);
}

static void rested(struct pcore_op *op, int res)
{
	struct pcore_net_listener *l = container_of(op, struct pcore_net_listener, pause_op);

	(void)res;
	if (l->stopped)
		listener_free(l);
	else
		listener_accept(l);
}

int pcore_net_listen(struct pcore_net_listener **ret, struct pcore_net *net, const struct pcore_net_addr *addr,
	const struct pcore_net_listener_ops *ops, void *ctx, struct pcore_net_error *err)
{
	_cleanup_(freep) struct pcore_net_listener *l = NULL;
	int r;

	assert(ops && ops->accepted);

	if (!addr->path && !net->tls)
		return net_error(err, -ENOKEY, "TCP needs a key or a certificate, on loopback too; without, listen on unix:PATH");
	l = calloc(1, sizeof(*l));
	if (!l)
		return net_error(err, -ENOMEM, "%s", strerror(ENOMEM));
	*l = (struct pcore_net_listener){ .net = net, .ops = ops, .ctx = ctx, .addr = *addr, .fd = -EBADF, .dir_fd = -EBADF,
		.accept_op.done = accepted, .pause_op.done = rested };
	l->spare_fd = spare();
	if (l->spare_fd < 0)
		return net_error(err, -errno, "%s", strerror(errno));
	r = net_socket_listen(&l->addr, &l->fd, &l->dir_fd, err);
	if (r < 0) {
		l->spare_fd = pcore_fd_close(l->spare_fd);
		return r;
	}
	pcore_list_init(&l->link);
	pcore_list_add_tail(&net->listeners, &l->link);
	listener_accept(l);
	*ret = TAKE_PTR(l);
	return 0;
}

const struct pcore_net_addr *pcore_net_listener_addr(const struct pcore_net_listener *l)
{
	return &l->addr;
}

void pcore_net_listener_stop(struct pcore_net_listener *l)
{
	if (!l || l->stopped)
		return;
	l->stopped = true;
	net_socket_unlink(&l->addr, l->dir_fd);
	net_conn_forget_listener(l->net, l);
	pcore_op_cancel(l->net->loop, &l->accept_op);
	pcore_op_cancel(l->net->loop, &l->pause_op);
	listener_free(l);
}
