/* SPDX-License-Identifier: MIT */
/*
 * connect.c - how a connection begins: we connect to somebody, adopt a socket, or a listener accepts one.
 */
#include <stdio.h>
#include <string.h>

#include "libcore/net/conn.h"

static int needs_key(struct pcore_net_error *err)
{
	return net_error(err, -ENOKEY, "there is no connection over TCP without a key or a certificate");
}

int pcore_net_connect(struct pcore_net_conn **ret, struct pcore_net *net, const struct pcore_net_addr *addr,
	const struct pcore_net_ops *ops, void *ctx, struct pcore_net_error *err)
{
	struct pcore_net_conn *c;
	socklen_t len;
	int r;

	if (!addr->path && !net->tls)
		return needs_key(err);
	r = net_conn_new(&c, net, !addr->path, false);
	if (r < 0)
		return net_error(err, r, "%s", strerror(-r));
	pcore_net_addr_text(addr, c->peer.address);
	r = net_socket_new(addr, &c->fd, &c->dir_fd, &c->to, &len, err);
	if (r == 0) {
		if (!addr->path)
			net_socket_options(c->fd, &net->limits);
		r = pcore_op_connect(net->loop, &c->in_op, c->fd, (const struct sockaddr *)&c->to, len);
		if (r < 0)
			(void)net_error(err, r, "%s", strerror(-r));
	}
	if (r < 0) {
		net_conn_discard(c);
		return r;
	}
	pcore_net_own(c, ops, ctx);
	net_conn_begin(c);
	*ret = c;
	return 0;
}

int pcore_net_adopt(struct pcore_net_conn **ret, struct pcore_net *net, int fd, enum pcore_net_mode mode,
	const struct pcore_net_ops *ops, void *ctx, struct pcore_net_error *err)
{
	_cleanup_(fd_closep) int taken = fd;
	struct pcore_net_conn *c;
	int r;

	if (mode != PCORE_NET_PLAIN && !net->tls)
		return net_error(err, -ENOKEY, "there is no TLS without a key or a certificate");
	r = net_conn_new(&c, net, mode != PCORE_NET_PLAIN, mode == PCORE_NET_TLS_SERVER);
	if (r < 0)
		return net_error(err, r, "%s", strerror(-r));
	c->fd = TAKE_FD(taken);
	c->state = CONN_HANDSHAKE;
	strcpy(c->peer.address, "a socket");
	pcore_net_own(c, ops, ctx);
	net_conn_begin(c);
	*ret = c;
	return 0;
}

int net_conn_accept(struct pcore_net_listener *l, struct pcore_net *net, int fd, bool tls, const char *address)
{
	struct pcore_net_conn *c;
	int r = net_conn_new(&c, net, tls, true);

	if (r < 0) {
		(void)pcore_fd_close(fd);
		return r;
	}
	c->fd = fd;
	c->listener = l;
	c->state = CONN_HANDSHAKE;
	c->preauth = true;
	net->preauth++;
	(void)snprintf(c->peer.address, sizeof(c->peer.address), "%s", address);
	if (tls)
		net_socket_options(fd, &net->limits);
	net_conn_begin(c);
	return 0;
}

static size_t host_len(const char *address)
{
	const char *colon = strrchr(address, ':');

	return colon ? (size_t)(colon - address) : strlen(address);
}

/* They are few, and the last ones that came: those that are open may be thousands. */
unsigned net_conn_preauth_from(const struct pcore_net *net, const char *address)
{
	size_t len = host_len(address);
	unsigned n = 0, left = net->preauth;

	for (const struct pcore_list *node = net->conns.prev; left > 0 && node != &net->conns; node = node->prev) {
		const struct pcore_net_conn *c = container_of(node, struct pcore_net_conn, link);

		left -= c->preauth;
		n += c->preauth && host_len(c->peer.address) == len && memcmp(c->peer.address, address, len) == 0;
	}
	return n;
}

void net_conn_forget_listener(struct pcore_net *net, struct pcore_net_listener *l)
{
	for (struct pcore_list *node = net->conns.next; node != &net->conns; node = node->next) {
		struct pcore_net_conn *c = container_of(node, struct pcore_net_conn, link);

		if (c->listener != l)
			continue;
		c->listener = NULL;
		pcore_net_abort(c);
	}
}
