/* SPDX-License-Identifier: MIT */
/*
 * conn_out.c - what a connection sends: frames are made and queued, encrypted, and given to the socket.
 *
 * What goes is appended to `out'; with TLS it moves from there into the session's own queue, never more than WIRE_MAX at a time.
 * Nothing is sent but by net_out_flush(), which the state machine calls: a frame that is queued only makes its connection due.
 */
#include <poll.h>
#include <string.h>

#include "libcore/net/conn.h"

enum { WIRE_MAX = 256 * 1024, OUT_FIRST = 4096 };

/* ---- frames ---- */

size_t pcore_net_queued(const struct pcore_net_conn *c)
{
	return net_bytes_len(&c->out) + (c->tls ? net_bytes_len(net_tls_queue(c->tls)) : 0);
}

static int frame_begin(struct pcore_net_conn *c, uint16_t type, uint16_t flags, uint64_t stream)
{
	struct pcore_buf *out = &c->out.buf;
	struct pcore_net_frame f = { .type = type, .flags = flags, .stream = stream };
	uint8_t header[NET_HEADER];

	assert(!c->in_frame);

	if (!out->data && pcore_buf_reserve(out, OUT_FIRST) < 0)
		return -ENOMEM;
	c->frame_at = out->len;
	net_header_encode(header, &f);
	if (pcore_buf_add(out, header, sizeof(header)) < 0)
		return -ENOMEM;
	c->in_frame = true;
	return 0;
}

static int frame_end(struct pcore_net_conn *c)
{
	const struct pcore_net_limits *limits = &c->net->limits;
	struct pcore_buf *out = &c->out.buf;
	uint8_t *header = (uint8_t *)out->data + c->frame_at;
	size_t len = out->len - c->frame_at - NET_HEADER;
	struct pcore_net_frame f;
	int r;

	assert(c->in_frame);

	c->in_frame = false;
	r = net_header_decode(header, limits, &f);
	assert(r == 0);
	if (len > (f.flags & PCORE_NET_DATA ? limits->data_max : limits->control_max))
		r = -EMSGSIZE;
	else if (pcore_net_queued(c) > limits->out_max)
		r = -ENOBUFS;
	if (r < 0) {
		out->len = c->frame_at;
		return r;
	}
	f.len = (uint32_t)len;
	net_header_encode(header, &f);
	net_conn_due(c);
	return 0;
}

int net_out_frame(struct pcore_net_conn *c, uint16_t type, uint16_t flags, uint64_t stream, const void *body, size_t len)
{
	int r = frame_begin(c, type, flags, stream);

	if (r == 0 && pcore_buf_add(&c->out.buf, body, len) < 0) {
		pcore_net_send_drop(c);
		r = -ENOMEM;
	}
	return r < 0 ? r : frame_end(c);
}

void net_out_forget(struct pcore_net_conn *c)
{
	pcore_buf_done(&c->out.buf);
	c->out.pos = 0;
}

/* ---- bytes ---- */

/* Plaintext into the session, not more than the socket should have to wait for. */
static int encrypt(struct pcore_net_conn *c, struct pcore_net_error *err)
{
	struct net_bytes *wire = net_tls_queue(c->tls);
	size_t len = net_bytes_len(&c->out);
	int r;

	if (c->state == CONN_HANDSHAKE || net_bytes_len(wire) >= WIRE_MAX || len == 0)
		return 0;
	if (len > WIRE_MAX)
		len = WIRE_MAX;
	r = net_tls_write(c->tls, net_bytes_data(&c->out), len, pcore_loop_now(c->net->loop), err);
	if (r == 0)
		net_bytes_consume(&c->out, len);
	return r;
}

/* All is sent: tell the peer that nothing will follow. True when that makes more to send. */
static bool shut_down(struct pcore_net_conn *c)
{
	if (c->state != CONN_CLOSING || c->shut)
		return false;
	if (c->tls && !c->ended && !c->notified) {
		c->notified = true;
		net_tls_close(c->tls);
		if (net_bytes_len(net_tls_queue(c->tls)) > 0)
			return true;
	}
	c->shut = true;
	(void)shutdown(c->fd, SHUT_WR);
	return false;
}

static int wait_for_socket(struct pcore_net_conn *c, struct pcore_net_error *err)
{
	int r = pcore_op_live(&c->out_op) ? 0 : pcore_op_poll(c->net->loop, &c->out_op, c->fd, POLLOUT);

	return r < 0 ? net_error(err, r, "%s", strerror(-r)) : 0;
}

/* 1: go on, 0: wait for the socket, < 0. */
static int send_some(struct pcore_net_conn *c, struct pcore_net_error *err)
{
	struct net_bytes *q = &c->out;
	size_t len;
	ssize_t n;
	int r = c->tls ? encrypt(c, err) : 0;

	if (r < 0)
		return r;
	if (c->tls)
		q = net_tls_queue(c->tls);
	len = net_bytes_len(q);
	if (len == 0)
		return shut_down(c);
	r = pcore_fault("send", &len);
	n = r < 0 ? r : send(c->fd, net_bytes_data(q), len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n == -1)
		n = -errno;
	if (n == -EINTR)
		return 1;
	if (n == -EAGAIN)
		return wait_for_socket(c, err);
	if (n == -EPIPE || n == -ECONNRESET)
		return net_error(err, -ECONNRESET, "the peer has cut the connection");
	if (n < 0)
		return net_error(err, (int)n, "%s", strerror((int)-n));
	net_bytes_consume(q, (size_t)n);
	c->taken = true;
	return 1;
}

int net_out_flush(struct pcore_net_conn *c, struct pcore_net_error *err)
{
	int r;

	do {
		r = send_some(c, err);
	} while (r > 0);
	return r;
}

void net_out_room(struct pcore_net_conn *c)
{
	if (c->state != CONN_OPEN || !c->full || pcore_net_queued(c) > c->net->limits.out_low)
		return;
	c->full = false;
	if (c->ops->room)
		c->ops->room(c, c->ctx);
}

/* ---- for the owner ---- */

static int after_send(struct pcore_net_conn *c, int r)
{
	if (r < 0 || pcore_net_queued(c) <= c->net->limits.out_high)
		return r;
	c->full = true;
	return 1;
}

int pcore_net_send(struct pcore_net_conn *c, uint16_t type, uint16_t flags, uint64_t stream, const void *body, size_t len)
{
	assert(type >= PCORE_NET_TYPE_MIN);

	if (c->state != CONN_OPEN)
		return -ENOTCONN;
	return after_send(c, net_out_frame(c, type, flags, stream, body, len));
}

struct pcore_buf *pcore_net_send_begin(struct pcore_net_conn *c, uint16_t type, uint16_t flags, uint64_t stream)
{
	assert(type >= PCORE_NET_TYPE_MIN);

	return c->state == CONN_OPEN && frame_begin(c, type, flags, stream) == 0 ? &c->out.buf : NULL;
}

void pcore_net_send_drop(struct pcore_net_conn *c)
{
	assert(c->in_frame);

	c->out.buf.len = c->frame_at;
	c->in_frame = false;
}

int pcore_net_send_end(struct pcore_net_conn *c)
{
	return after_send(c, frame_end(c));
}
