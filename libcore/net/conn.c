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
 * Bytes: what comes is appended to `in', decrypted, and whole frames are taken off its front.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "libcore/net/conn.h"

enum { RECORD_MAX = 16 * 1024 };

enum conn_event { EV_CONNECTED, EV_READABLE, EV_WRITABLE, EV_TIMER, EV_TURN };

void net_conn_due(struct pcore_net_conn *c)
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
	net_conn_due(c);
}

/* The first reason is the one that counts: what happens while it is being closed changes nothing. */
static void fail(struct pcore_net_conn *c, int code, const char *why)
{
	if (c->state < CONN_CLOSING)
		net_error(&c->error, code, "%s", why);
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

static void queue_bye(struct pcore_net_conn *c, enum net_bye reason, const char *why)
{
	uint8_t body[4 + NET_BYE_TEXT_MAX];

	(void)net_out_frame(c, NET_BYE, 0, 0, body, net_bye_encode(body, reason, why)); /* else it ends without */
}

static void begin_closing(struct pcore_net_conn *c)
{
	c->state = CONN_CLOSING;
	c->paused = false;
	net_conn_due(c);
	set_deadline(c, c->net->limits.linger_ns);
}

/* The session is of no use any more, but for an alert that the peer should get. c->error says why. */
static void session_failed(struct pcore_net_conn *c)
{
	c->net->stats.refused += c->state == CONN_OPEN;
	c->ended = true;
	net_out_forget(c);
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

static void flush(struct pcore_net_conn *c)
{
	struct pcore_net_error why;
	int r = net_out_flush(c, &why);

	if (r < 0)
		fail(c, r, why.why);
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
		net_conn_due(c);
}

static void handshake(struct pcore_net_conn *c)
{
	int r = net_tls_handshake(c->tls, &c->error);

	net_conn_due(c);
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
	assert(c->ops || c->state != CONN_OPEN);
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
		if (pcore_net_queued(c) == 0) /* else there is proof enough on its way */
			(void)net_out_frame(c, NET_PONG, 0, f->stream, NULL, 0);
		break;
	case NET_PONG:
		break;
	case NET_BYE:
		net_bye_decode(f->body, f->len, &said);
		c->error = said;
		net_out_forget(c);
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
	c->stalled_ns = c->taken || pcore_net_queued(c) == 0 ? 0 : c->stalled_ns + limits->heartbeat_ns;
	c->heard = c->taken = false;
	if (c->missed >= limits->missed_max) {
		fail(c, -ETIMEDOUT, "the peer does not answer any more");
	} else if (c->stalled_ns >= limits->stall_ns) {
		fail(c, -ETIMEDOUT, "the peer does not read what it is sent");
	} else {
		if (pcore_net_queued(c) == 0)
			(void)net_out_frame(c, NET_PING, 0, 0, NULL, 0);
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
		net_conn_due(c);
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
		net_out_room(c);
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
		net_out_room(c);
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

int net_conn_new(struct pcore_net_conn **ret, struct pcore_net *net, bool tls, bool server)
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

void net_conn_discard(struct pcore_net_conn *c)
{
	net_tls_free(c->tls);
	c->fd = pcore_fd_close(c->fd);
	c->dir_fd = pcore_fd_close(c->dir_fd);
	free(c);
}

void net_conn_begin(struct pcore_net_conn *c)
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

/* ---- for the owner ---- */

void pcore_net_own(struct pcore_net_conn *c, const struct pcore_net_ops *ops, void *ctx)
{
	assert(ops && ops->frame && ops->closed);

	c->ops = ops;
	c->ctx = ctx;
}

void pcore_net_disown(struct pcore_net_conn *c)
{
	c->ops = NULL;
	c->ctx = NULL;
}

const struct pcore_net_peer *pcore_net_peer(const struct pcore_net_conn *c)
{
	return &c->peer;
}

int64_t pcore_net_rtt_ns(const struct pcore_net_conn *c)
{
	return net_socket_rtt_ns(c->fd);
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
	net_conn_due(c);
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
