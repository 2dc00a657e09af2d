/* SPDX-License-Identifier: MIT */
/*
 * conn.c - one connection, from its socket to its end.
 *
 * conn_step() has all transitions:
 *
 *                connected  readable              writable  timer             turn (end of the loop's turn)
 *   CONNECTING   HANDSHAKE                                  DEAD
 *   HANDSHAKE               HELLO when TLS is     send      DEAD              send
 *   HELLO                   OPEN or CLOSING       send      DEAD              send
 *   OPEN                    frames; a BYE:        send      PING; DEAD when   frames that a pause left, send, room()
 *                           CLOSING                         nothing is heard
 *   CLOSING                 thrown away; DEAD     send      DEAD              send the rest, then shut down our side
 *                           at the peer's end
 *   DEAD                                                                      closed() once no operation is pending
 *
 * Any error leads to DEAD, through CLOSING where the peer should still be told. Nothing is sent and no owner is called but from a
 * turn or a completion, so a function that the owner calls never calls it back.
 *
 * Bytes: what comes is appended to `in', decrypted, and whole frames are taken off its front. What goes is appended to `out';
 * with TLS it moves from there into the session's own queue, never more than WIRE_MAX at a time.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libcore/net/private.h"

enum { WIRE_MAX = 256 * 1024, RECORD_MAX = 16 * 1024, OUT_FIRST = 4096 };

enum conn_state { CONN_CONNECTING, CONN_HANDSHAKE, CONN_HELLO, CONN_OPEN, CONN_CLOSING, CONN_DEAD };
enum conn_event { EV_CONNECTED, EV_READABLE, EV_WRITABLE, EV_TIMER, EV_TURN };

struct pcore_net_conn {
	struct pcore_net *net;
	struct pcore_net_listener *listener; /* that has not been told of it yet; not owned */
	const struct pcore_net_ops *ops;     /* NULL before somebody owns it */
	void *ctx;
	enum conn_state state;
	struct pcore_net_peer peer;
	struct pcore_net_error error; /* what closed() will say */
	struct net_tls *tls;	      /* NULL: plain */
	int fd, dir_fd;		      /* the latter of a Unix socket, until it is connected */
	bool server;
	bool preauth; /* counted in net->preauth */
	bool paused;
	bool ended;    /* the peer has closed the TLS session; frames may be left */
	bool notified; /* it has been told that we close it */
	bool full;     /* the owner waits for room() */
	bool shut;     /* our side of the socket */
	bool heard;    /* something came since the last PING was due */
	bool taken;    /* the kernel took something of ours since then */
	bool in_frame; /* between begin and end */
	unsigned missed;
	int64_t deadline, stalled_ns;
	size_t received; /* counted until it is open */
	struct net_bytes in, out;
	size_t frame_at; /* where the frame that is being made begins in out */
	struct pcore_op in_op, out_op, timer_op;
	struct pcore_list link; /* net->conns */
	struct pcore_list due;	/* net->due */
	struct sockaddr_storage to;
};

static void be_due(struct pcore_net_conn *c)
{
	struct pcore_net *net = c->net;

	if (pcore_list_empty(&c->due))
		pcore_list_add_tail(&net->due, &c->due);
	if (!pcore_op_live(&net->turn_op))
		(void)pcore_op_timer(net->loop, &net->turn_op, PCORE_CLOCK_MONOTONIC, 0);
}

/* ---- ends ---- */

static void not_preauth(struct pcore_net_conn *c)
{
	if (!c->preauth)
		return;
	c->preauth = false;
	c->net->preauth--;
	net_listener_room(c->net);
}

static void dead(struct pcore_net_conn *c)
{
	if (c->state == CONN_DEAD)
		return;
	c->state = CONN_DEAD;
	pcore_op_cancel(c->net->loop, &c->in_op);
	pcore_op_cancel(c->net->loop, &c->out_op);
	pcore_op_cancel(c->net->loop, &c->timer_op);
	be_due(c);
}

/* The first reason is the one that counts: what happens while it is being closed changes nothing. */
static void note(struct pcore_net_conn *c, int code, const char *why)
{
	if (c->state < CONN_CLOSING)
		net_error(&c->error, code, "%s", why);
}

static void fail(struct pcore_net_conn *c, int code, const char *why)
{
	note(c, code, why);
	dead(c);
}

static void fail_system(struct pcore_net_conn *c, int code)
{
	fail(c, code, strerror(-code));
}

/* No operation is pending any more. */
static void settle(struct pcore_net_conn *c)
{
	if (pcore_op_live(&c->in_op) || pcore_op_live(&c->out_op) || pcore_op_live(&c->timer_op))
		return; /* the last of them comes here again */
	pcore_list_del(&c->link);
	c->fd = pcore_fd_close(c->fd);
	c->dir_fd = pcore_fd_close(c->dir_fd);
	not_preauth(c);
	if (c->listener)
		net_listener_refused(c->listener, c->peer.address, &c->error);
	else if (c->ops)
		c->ops->closed(c, c->ctx, &c->error);
	pcore_list_del(&c->due);
	net_tls_free(c->tls);
	pcore_buf_done(&c->in.buf);
	pcore_buf_done(&c->out.buf);
	free(c);
}

static void set_deadline(struct pcore_net_conn *c, int64_t after_ns)
{
	int r = 0;

	c->deadline = pcore_ns_add(pcore_now_ns(), after_ns);
	if (!pcore_op_live(&c->timer_op))
		r = pcore_op_timer(c->net->loop, &c->timer_op, PCORE_CLOCK_MONOTONIC, c->deadline);
	else if (c->timer_op.state == PCORE_OP_PENDING && c->timer_op.heap.key > c->deadline)
		pcore_op_cancel(c->net->loop, &c->timer_op); /* comes home and is set anew */
	if (r < 0)
		fail_system(c, r);
}

/* ---- frames out ---- */

static size_t queued(const struct pcore_net_conn *c)
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
	else if (queued(c) > limits->out_max)
		r = -ENOBUFS;
	if (r < 0) {
		out->len = c->frame_at;
		return r;
	}
	f.len = (uint32_t)len;
	net_header_encode(header, &f);
	be_due(c);
	return 0;
}

static int queue_frame(struct pcore_net_conn *c, uint16_t type, uint16_t flags, uint64_t stream, const void *body, size_t len)
{
	int r = frame_begin(c, type, flags, stream);

	if (r == 0 && pcore_buf_add(&c->out.buf, body, len) < 0) {
		pcore_net_send_drop(c);
		r = -ENOMEM;
	}
	return r < 0 ? r : frame_end(c);
}

static void queue_bye(struct pcore_net_conn *c, enum net_bye reason, const char *why)
{
	uint8_t body[4 + NET_BYE_TEXT_MAX];

	(void)queue_frame(c, NET_BYE, 0, 0, body, net_bye_encode(body, reason, why)); /* else it ends without */
}

static void begin_closing(struct pcore_net_conn *c)
{
	c->state = CONN_CLOSING;
	c->paused = false;
	be_due(c);
	set_deadline(c, c->net->limits.linger_ns);
}

/* The session is of no use any more, but for an alert that the peer should get. c->error says why. */
static void session_failed(struct pcore_net_conn *c)
{
	c->net->stats.refused += c->state == CONN_OPEN;
	c->ended = true;
	pcore_buf_done(&c->out.buf);
	c->out.pos = 0;
	begin_closing(c);
}

/* The peer has failed us, and is told so. */
__attribute__((format(printf, 4, 5))) static void reject(struct pcore_net_conn *c, enum net_bye reason, int code, const char *fmt, ...)
{
	char why[PCORE_NET_WHY_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	net_error(&c->error, code, "%s", why);
	c->net->stats.refused += c->state == CONN_OPEN; /* others are counted by their listener */
	queue_bye(c, reason, why);
	begin_closing(c);
}

/* ---- bytes out ---- */

/* Plaintext into the session, not more than the socket should have to wait for. */
static int encrypt(struct pcore_net_conn *c)
{
	struct net_bytes *wire = net_tls_queue(c->tls);
	size_t len = net_bytes_len(&c->out);
	struct pcore_net_error e;
	int r;

	if (c->state == CONN_HANDSHAKE || net_bytes_len(wire) >= WIRE_MAX || len == 0)
		return 0;
	if (len > WIRE_MAX)
		len = WIRE_MAX;
	r = net_tls_write(c->tls, net_bytes_data(&c->out), len, pcore_loop_now(c->net->loop), &e);
	if (r == 0)
		net_bytes_consume(&c->out, len);
	else
		note(c, r, e.why);
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

/* 1: go on, 0: wait for the socket, < 0. */
static int send_some(struct pcore_net_conn *c)
{
	struct net_bytes *q = &c->out;
	size_t len;
	ssize_t n;
	int r = c->tls ? encrypt(c) : 0;

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
		return pcore_op_live(&c->out_op) ? 0 : pcore_op_poll(c->net->loop, &c->out_op, c->fd, POLLOUT);
	if (n == -EPIPE || n == -ECONNRESET) {
		note(c, -ECONNRESET, "the peer has cut the connection");
		return -ECONNRESET;
	}
	if (n < 0)
		return (int)n;
	net_bytes_consume(q, (size_t)n);
	c->taken = true;
	return 1;
}

static void flush(struct pcore_net_conn *c)
{
	int r;

	do {
		r = send_some(c);
	} while (r > 0);
	if (r == 0)
		return;
	if (c->error.code == 0)
		note(c, r, strerror(-r));
	dead(c);
}

static void tell_room(struct pcore_net_conn *c)
{
	if (c->state != CONN_OPEN || !c->full || queued(c) > c->net->limits.out_low)
		return;
	c->full = false;
	if (c->ops->room)
		c->ops->room(c, c->ctx);
}

/* ---- the hello ---- */

static void send_hello(struct pcore_net_conn *c)
{
	uint8_t hello[NET_HELLO];

	c->state = CONN_HELLO;
	net_hello_encode(hello, &c->net->hello);
	if (pcore_buf_add(&c->out.buf, hello, sizeof(hello)) < 0)
		fail_system(c, -ENOMEM);
	else
		be_due(c);
}

static void handshake(struct pcore_net_conn *c)
{
	int r = net_tls_handshake(c->tls, &c->error);

	be_due(c);
	if (r < 0)
		session_failed(c);
	else if (r > 0)
		send_hello(c);
}

/* Is this a peer for us? Else it has been rejected. */
static bool check_role(struct pcore_net_conn *c, const struct net_hello *h)
{
	const struct net_tls_peer *proven = c->tls ? net_tls_peer(c->tls) : NULL;
	const char *says = pcore_net_role_name(h->role);

	if (h->role == PCORE_NET_NOBODY || h->role >= PCORE_NET_ROLE_COUNT || !(c->net->peers & PCORE_NET_ROLE_BIT(h->role)))
		reject(c, NET_BYE_ROLE, -EACCES, "a peer with the role %s is not wanted here", says);
	else if (proven && proven->role != PCORE_NET_NOBODY && proven->role != h->role)
		reject(c, NET_BYE_ROLE, -EACCES, "a peer says that its role is %s, but has proven to be %s", says,
			pcore_net_role_name(proven->role));
	else
		return true;
	return false;
}

static void open_up(struct pcore_net_conn *c)
{
	struct pcore_net_listener *l = c->listener;

	c->state = CONN_OPEN;
	c->listener = NULL;
	c->heard = true;
	c->net->stats.opened++;
	not_preauth(c);
	set_deadline(c, c->net->limits.heartbeat_ns);
	if (l)
		net_listener_opened(l, c);
	else if (c->ops->opened)
		c->ops->opened(c, c->ctx);
	assert(c->ops);
}

static void take_hello(struct pcore_net_conn *c)
{
	const struct net_hello *ours = &c->net->hello;
	struct net_hello h;
	int version;

	if (net_hello_decode((const uint8_t *)net_bytes_data(&c->in), &h) < 0) {
		fail(c, -EPROTO, "the peer does not say hello");
		return;
	}
	net_bytes_consume(&c->in, NET_HELLO);
	version = net_version(ours, &h);
	if (version < 0) {
		reject(c, NET_BYE_VERSION, version, "no version in common: one side speaks %u to %u, the other %u to %u", ours->min,
			ours->max, h.min, h.max);
	} else if (h.instance == ours->instance) {
		reject(c, NET_BYE_SELF, -ELOOP, "this is a connection with itself");
	} else if (check_role(c, &h)) {
		c->peer.role = h.role;
		c->peer.instance = h.instance;
		c->peer.version = (uint16_t)version;
		if (c->tls)
			memcpy(c->peer.name, net_tls_peer(c->tls)->name, sizeof(c->peer.name));
		open_up(c);
	}
}

/* ---- frames in ---- */

static void take_own_frame(struct pcore_net_conn *c, const struct pcore_net_frame *f)
{
	struct pcore_net_error said;

	switch (f->type) {
	case NET_PING:
		if (queued(c) == 0) /* else there is proof enough on its way */
			(void)queue_frame(c, NET_PONG, 0, f->stream, NULL, 0);
		break;
	case NET_PONG:
		break;
	case NET_BYE:
		net_bye_decode(f->body, f->len, &said);
		c->error = said;
		pcore_buf_done(&c->out.buf); /* nobody reads it */
		c->out.pos = 0;
		c->full = false;
		break;
	default:
		if (!(f->flags & PCORE_NET_OPTIONAL))
			reject(c, NET_BYE_PROTOCOL, -EPROTO, "a frame of type %u is not known", f->type);
	}
}

/* The frame at the front of in. False: there is none yet, or an error. */
static bool take_frame(struct pcore_net_conn *c)
{
	size_t len = net_bytes_len(&c->in);
	struct pcore_net_frame f;
	int r;

	if (len < NET_HEADER)
		return false;
	r = net_header_decode((const uint8_t *)net_bytes_data(&c->in), &c->net->limits, &f);
	if (r < 0) {
		reject(c, NET_BYE_PROTOCOL, -EPROTO, r == -EMSGSIZE ? "a frame is longer than the limit" : "a frame has no type");
		return false;
	}
	if (len - NET_HEADER < f.len)
		return false;
	f.body = net_bytes_data(&c->in) + NET_HEADER;
	if (f.type >= PCORE_NET_TYPE_MIN)
		c->ops->frame(c, c->ctx, &f);
	else
		take_own_frame(c, &f);
	if (f.type == NET_BYE)
		begin_closing(c);
	else if (c->state == CONN_OPEN)
		net_bytes_consume(&c->in, NET_HEADER + f.len);
	return true;
}

static void take_frames(struct pcore_net_conn *c)
{
	if (c->state == CONN_HELLO && net_bytes_len(&c->in) >= NET_HELLO)
		take_hello(c);
	while (c->state == CONN_OPEN && !c->paused && take_frame(c))
		;
}

/* ---- bytes in ---- */

/* The peer will send nothing more. */
static void peer_ended(struct pcore_net_conn *c)
{
	switch (c->state) {
	case CONN_CLOSING:
		dead(c);
		break;
	case CONN_HANDSHAKE:
	case CONN_HELLO:
		fail(c, -ECONNRESET, "the peer has closed the connection before its hello");
		break;
	case CONN_OPEN:
		fail(c, -ECONNRESET, "the peer has gone without a goodbye");
		break;
	case CONN_CONNECTING:
	case CONN_DEAD:
		break;
	}
}

static int decrypt(struct pcore_net_conn *c)
{
	ssize_t n = 1;

	while (n > 0) {
		if (pcore_buf_reserve(&c->in.buf, RECORD_MAX) < 0)
			return net_error(&c->error, -ENOMEM, "%s", strerror(ENOMEM));
		n = net_tls_read(c->tls, c->in.buf.data + c->in.buf.len, RECORD_MAX, &c->error);
		if (n > 0)
			c->in.buf.len += (size_t)n;
	}
	net_bytes_consume(&c->in, 0); /* gives the memory back if nothing came */
	c->ended = n == -ENODATA;
	return n == -ENODATA ? 0 : (int)n;
}

/* Bytes read, 0 at the end, -errno. With TLS they have been decrypted as far as they go. */
static ssize_t receive(struct pcore_net_conn *c)
{
	bool direct = !c->tls && c->state != CONN_CLOSING;
	char *to = c->net->rx;
	size_t len = NET_RX;
	ssize_t n;
	int r = pcore_fault("recv", &len);

	if (r == 0 && direct)
		r = pcore_buf_reserve(&c->in.buf, NET_RX);
	if (r < 0)
		return r;
	if (direct)
		to = c->in.buf.data + c->in.buf.len;
	n = recv(c->fd, to, len, MSG_DONTWAIT);
	if (n < 0)
		n = -errno;
	if (n > 0 && direct)
		c->in.buf.len += (size_t)n;
	else if (n > 0 && c->state != CONN_CLOSING)
		net_tls_feed(c->tls, to, (size_t)n);
	return n;
}

static void readable(struct pcore_net_conn *c)
{
	ssize_t n;

	if (c->paused || (c->ended && c->state != CONN_CLOSING))
		return;
	n = receive(c);
	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n == 0 || n == -ECONNRESET) {
		peer_ended(c);
		return;
	}
	if (n < 0) {
		fail_system(c, (int)n);
		return;
	}
	c->heard = true;
	c->received += c->state == CONN_OPEN ? 0 : (size_t)n;
	if (c->received > c->net->limits.preauth_bytes && c->state < CONN_OPEN) {
		fail(c, -EPROTO, "the peer has sent too much before its hello");
		return;
	}
	if (c->state == CONN_HANDSHAKE)
		handshake(c);
	if (c->tls && (c->state == CONN_HELLO || c->state == CONN_OPEN) && decrypt(c) < 0)
		session_failed(c);
	take_frames(c);
	if (c->ended && !c->paused && c->state < CONN_CLOSING)
		peer_ended(c);
}

/* ---- time ---- */

static void beat(struct pcore_net_conn *c)
{
	const struct pcore_net_limits *limits = &c->net->limits;

	c->missed = c->heard || c->paused ? 0 : c->missed + 1;
	c->stalled_ns = c->taken || queued(c) == 0 ? 0 : c->stalled_ns + limits->heartbeat_ns;
	c->heard = c->taken = false;
	if (c->missed >= limits->missed_max) {
		fail(c, -ETIMEDOUT, "the peer does not answer any more");
	} else if (c->stalled_ns >= limits->stall_ns) {
		fail(c, -ETIMEDOUT, "the peer does not read what it is sent");
	} else {
		if (queued(c) == 0)
			(void)queue_frame(c, NET_PING, 0, 0, NULL, 0);
		set_deadline(c, limits->heartbeat_ns);
	}
}

static void time_is_up(struct pcore_net_conn *c)
{
	switch (c->state) {
	case CONN_CONNECTING:
		fail(c, -ETIMEDOUT, "there is no answer");
		break;
	case CONN_HANDSHAKE:
	case CONN_HELLO:
		fail(c, -ETIMEDOUT, "the peer has not said hello in time");
		break;
	case CONN_OPEN:
		beat(c);
		break;
	case CONN_CLOSING:
	case CONN_DEAD:
		dead(c);
		break;
	}
}

/* ---- events ---- */

static void start(struct pcore_net_conn *c)
{
	c->dir_fd = pcore_fd_close(c->dir_fd);
	if (!c->tls) {
		send_hello(c);
	} else {
		c->state = CONN_HANDSHAKE;
		handshake(c); /* a client's first flight; nothing for a server */
	}
}

static void connected(struct pcore_net_conn *c, int res)
{
	if (res < 0)
		fail_system(c, res);
	else if (c->to.ss_family != AF_UNIX || net_socket_is_ours(c->fd, false, &c->error) == 0)
		start(c);
	else
		dead(c);
}

/* Wait for what comes next. */
static void watch(struct pcore_net_conn *c)
{
	int r;

	if (c->state == CONN_CONNECTING || c->state == CONN_DEAD || c->paused || pcore_op_live(&c->in_op))
		return;
	r = pcore_op_poll(c->net->loop, &c->in_op, c->fd, POLLIN);
	if (r < 0)
		fail_system(c, r);
}

static void conn_step(struct pcore_net_conn *c, enum conn_event ev, int res)
{
	if (c->state == CONN_DEAD) { /* in every state the end wins */
		be_due(c);
		return;
	}
	if (res < 0 && ev != EV_CONNECTED) {
		fail_system(c, res);
		return;
	}
	switch (ev) {
	case EV_CONNECTED:
		assert(c->state == CONN_CONNECTING);
		connected(c, res);
		break;
	case EV_READABLE:
		readable(c);
		break;
	case EV_WRITABLE:
		flush(c);
		tell_room(c);
		break;
	case EV_TIMER:
		time_is_up(c);
		break;
	case EV_TURN:
		take_frames(c);
		if (c->ended && !c->paused && c->state < CONN_CLOSING)
			peer_ended(c);
		if (c->state != CONN_CONNECTING && c->state != CONN_DEAD)
			flush(c);
		tell_room(c);
		break;
	}
	watch(c);
}

static void in_done(struct pcore_op *op, int res)
{
	struct pcore_net_conn *c = container_of(op, struct pcore_net_conn, in_op);

	conn_step(c, c->state == CONN_CONNECTING ? EV_CONNECTED : EV_READABLE, res);
}

static void out_done(struct pcore_op *op, int res)
{
	conn_step(container_of(op, struct pcore_net_conn, out_op), EV_WRITABLE, res);
}

static void timer_done(struct pcore_op *op, int res)
{
	struct pcore_net_conn *c = container_of(op, struct pcore_net_conn, timer_op);
	int64_t now = pcore_now_ns();

	if (res != -ETIME && res != -ECANCELED)
		conn_step(c, EV_TIMER, res);
	else if (c->state == CONN_DEAD || now >= c->deadline)
		conn_step(c, EV_TIMER, 0);
	else
		set_deadline(c, c->deadline - now); /* it has been moved */
}

void net_conn_turn(struct pcore_net *net)
{
	struct pcore_list batch = PCORE_LIST_INIT(batch);
	struct pcore_list *node;

	pcore_list_splice_tail(&batch, &net->due);
	while ((node = pcore_list_pop(&batch))) {
		struct pcore_net_conn *c = container_of(node, struct pcore_net_conn, due);

		if (c->state == CONN_DEAD)
			settle(c);
		else
			conn_step(c, EV_TURN, 0);
	}
}

/* ---- making one ---- */

static int conn_new(struct pcore_net_conn **ret, struct pcore_net *net, bool tls, bool server)
{
	struct pcore_net_conn *c = calloc(1, sizeof(*c));
	int r = c ? 0 : -ENOMEM;

	if (r == 0 && tls)
		r = net_tls_new(&c->tls, net->tls, server, &net->limits);
	if (r < 0) {
		free(c);
		return r;
	}
	c->net = net;
	c->server = server;
	c->fd = c->dir_fd = -EBADF;
	c->in_op.done = in_done;
	c->out_op.done = out_done;
	c->timer_op.done = timer_done;
	pcore_list_init(&c->due);
	pcore_list_init(&c->link);
	*ret = c;
	return 0;
}

/* Undo conn_new() of one that has not begun. */
static void conn_discard(struct pcore_net_conn *c)
{
	net_tls_free(c->tls);
	c->fd = pcore_fd_close(c->fd);
	c->dir_fd = pcore_fd_close(c->dir_fd);
	free(c);
}

/* It is a connection from now on: whatever happens is told later. */
static void begin(struct pcore_net_conn *c)
{
	pcore_list_add_tail(&c->net->conns, &c->link);
	set_deadline(c, c->net->limits.handshake_ns);
	if (c->state == CONN_DEAD)
		return;
	if (c->state != CONN_CONNECTING) {
		start(c);
		watch(c);
	}
}

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
	r = conn_new(&c, net, !addr->path, false);
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
		conn_discard(c);
		return r;
	}
	pcore_net_own(c, ops, ctx);
	begin(c);
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
	r = conn_new(&c, net, mode != PCORE_NET_PLAIN, mode == PCORE_NET_TLS_SERVER);
	if (r < 0)
		return net_error(err, r, "%s", strerror(-r));
	c->fd = TAKE_FD(taken);
	c->state = CONN_HANDSHAKE;
	strcpy(c->peer.address, "a socket");
	pcore_net_own(c, ops, ctx);
	begin(c);
	*ret = c;
	return 0;
}

int net_conn_accept(struct pcore_net_listener *l, struct pcore_net *net, int fd, bool tls, const char *address)
{
	struct pcore_net_conn *c;
	int r = conn_new(&c, net, tls, true);

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
	begin(c);
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
		dead(c);
	}
}

/* ---- for the owner ---- */

void pcore_net_own(struct pcore_net_conn *c, const struct pcore_net_ops *ops, void *ctx)
{
	assert(ops && ops->frame && ops->closed);

	c->ops = ops;
	c->ctx = ctx;
}

const struct pcore_net_peer *pcore_net_peer(const struct pcore_net_conn *c)
{
	return &c->peer;
}

size_t pcore_net_queued(const struct pcore_net_conn *c)
{
	return queued(c);
}

int64_t pcore_net_rtt_ns(const struct pcore_net_conn *c)
{
	return net_socket_rtt_ns(c->fd);
}

static int after_send(struct pcore_net_conn *c, int r)
{
	if (r < 0 || queued(c) <= c->net->limits.out_high)
		return r;
	c->full = true;
	return 1;
}

int pcore_net_send(struct pcore_net_conn *c, uint16_t type, uint16_t flags, uint64_t stream, const void *body, size_t len)
{
	assert(type >= PCORE_NET_TYPE_MIN);

	if (c->state != CONN_OPEN)
		return -ENOTCONN;
	return after_send(c, queue_frame(c, type, flags, stream, body, len));
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

void pcore_net_pause(struct pcore_net_conn *c)
{
	if (c->state == CONN_OPEN)
		c->paused = true;
}

void pcore_net_resume(struct pcore_net_conn *c)
{
	if (!c->paused)
		return;
	c->paused = false;
	c->heard = true; /* whatever was missed meanwhile does not count */
	be_due(c);
}

void pcore_net_close(struct pcore_net_conn *c)
{
	if (c->state < CONN_OPEN) {
		dead(c);
	} else if (c->state == CONN_OPEN) {
		queue_bye(c, NET_BYE_DONE, "");
		begin_closing(c);
	}
}

void pcore_net_refuse(struct pcore_net_conn *c, const char *why)
{
	if (c->state == CONN_OPEN)
		reject(c, NET_BYE_OWNER, -EPROTO, "%s", why);
}

void pcore_net_abort(struct pcore_net_conn *c)
{
	dead(c);
}

int pcore_net_export(struct pcore_net_conn *c, uint8_t ret[static PCORE_NET_EXPORT])
{
	if (!c->tls)
		return -EOPNOTSUPP;
	return c->state == CONN_OPEN ? net_tls_export(c->tls, ret) : -ENOTCONN;
}
