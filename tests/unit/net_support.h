/* SPDX-License-Identifier: MIT */
/*
 * net_support.h - what the tests of libcore/net share: a loop, two sides with keys, and ends of connections that remember what
 * they were told.
 */
#ifndef PCORE_TEST_NET_SUPPORT_H
#define PCORE_TEST_NET_SUPPORT_H

#include "tests/unit/support.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libcore/loop/backend.h"
#include "libcore/net/private.h"

enum { NET_TEST_SECONDS = 300, NET_TEST_FRAMES = 64 };

#define KEY_A "a:all:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_A_OTHER "a:all:ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
#define KEY_B "b:all:QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8="
#define KEY_A_CLIENTS "a:client:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

/* One end of a connection. */
struct end {
	struct pcore_net_conn *c; /* NULL when it is closed */
	unsigned opened, closed, rooms, n_frames;
	struct pcore_net_error error;
	struct pcore_net_peer peer;
	struct {
		uint16_t type, flags;
		uint64_t stream;
		uint32_t len;
		char head[16];
	} frame[NET_TEST_FRAMES]; /* the last ones, by number */
	uint64_t bytes, sum;
	void (*on_frame)(struct end *e, const struct pcore_net_frame *f);
	void *arg;
};

struct side {
	struct pcore_net *net;
	struct pcore_net_keys *keys;
	struct pcore_net_listener *l;
	struct end *next; /* where accepted connections go, this and the following */
	unsigned n_accepted, n_refused;
	uint64_t untold;
	struct pcore_net_error refused; /* the last */
};

static struct pcore_loop *lp;

static inline void end_opened(struct pcore_net_conn *c, void *ctx)
{
	struct end *e = ctx;

	e->opened++;
	e->peer = *pcore_net_peer(c);
}

static inline void end_frame(struct pcore_net_conn *c, void *ctx, const struct pcore_net_frame *f)
{
	struct end *e = ctx;
	unsigned at = e->n_frames++ % NET_TEST_FRAMES;
	const unsigned char *body = f->body;

	(void)c;
	e->frame[at].type = f->type;
	e->frame[at].flags = f->flags;
	e->frame[at].stream = f->stream;
	e->frame[at].len = f->len;
	memset(e->frame[at].head, 0, sizeof(e->frame[at].head));
	memcpy(e->frame[at].head, body, f->len < sizeof(e->frame[at].head) ? f->len : sizeof(e->frame[at].head));
	for (size_t i = 0; i < f->len; i++)
		e->sum = e->sum * 31 + body[i];
	e->bytes += f->len;
	if (e->on_frame)
		e->on_frame(e, f);
}

static inline void end_room(struct pcore_net_conn *c, void *ctx)
{
	(void)c;
	((struct end *)ctx)->rooms++;
}

static inline void end_closed(struct pcore_net_conn *c, void *ctx, const struct pcore_net_error *error)
{
	struct end *e = ctx;

	(void)c;
	e->closed++;
	e->error = *error;
	e->c = NULL;
}

static const struct pcore_net_ops end_ops = { end_opened, end_frame, end_room, end_closed };

static inline void side_accepted(struct pcore_net_listener *l, void *ctx, struct pcore_net_conn *c)
{
	struct side *s = ctx;
	struct end *e = s->next++;

	(void)l;
	s->n_accepted++;
	pcore_net_own(c, &end_ops, e);
	e->c = c;
	end_opened(c, e);
}

static inline void side_refused(struct pcore_net_listener *l, void *ctx, const char *address, const struct pcore_net_error *error,
	uint64_t untold)
{
	struct side *s = ctx;

	(void)l;
	assert_non_null(address);
	s->n_refused++;
	s->untold += untold;
	s->refused = *error;
}

static const struct pcore_net_listener_ops side_ops = { side_accepted, side_refused };

static inline struct pcore_net_keys *keys_of(const char *text)
{
	char *copy = strdup(text);
	struct pcore_net_error e = { 0 };
	struct pcore_net_keys *keys = NULL;
	int r = pcore_net_keys_parse(&keys, copy, strlen(copy), &e);

	if (r < 0)
		print_error("# %s\n", e.why);
	assert_int_equal(r, 0);
	free(copy);
	return keys;
}

/* keys NULL: a side without TLS, unless the specification has certificates. Times that a test does not name are so long that no
 * load of the machine makes them matter. */
static inline struct side side_with(const char *keys, const struct pcore_net_spec *spec)
{
	struct pcore_net_spec full = *spec;
	struct pcore_net_error e = { 0 };
	struct side s = { 0 };

	if (keys)
		full.keys = s.keys = keys_of(keys);
	if (full.version_min == 0)
		full.version_min = full.version_max = 1;
	if (full.peers == 0)
		full.peers = PCORE_NET_ANY_ROLE;
	if (full.limits.handshake_ns == 0)
		full.limits.handshake_ns = 10 * NET_TEST_SECONDS * NS_PER_S;
	if (full.limits.heartbeat_ns == 0)
		full.limits.heartbeat_ns = 10 * NET_TEST_SECONDS * NS_PER_S;
	if (full.limits.linger_ns == 0)
		full.limits.linger_ns = 10 * NET_TEST_SECONDS * NS_PER_S;
	if (pcore_net_new(&s.net, lp, &full, &e) < 0)
		print_error("# %s\n", e.why);
	assert_non_null(s.net);
	return s;
}

static inline struct side side_of(enum pcore_net_role role, const char *keys)
{
	return side_with(keys, &(struct pcore_net_spec){ .role = role });
}

static inline void turn(void)
{
	assert_true(pcore_loop_turn(lp, true) >= 0);
}

/* Turn until a condition holds; alarm() is the ceiling. */
#define UNTIL(condition) \
	while (!(condition)) \
	turn()

static inline void side_done(struct side *s)
{
	pcore_net_listener_stop(s->l);
	UNTIL(pcore_list_empty(&s->net->listeners) && pcore_list_empty(&s->net->conns) && !pcore_op_live(&s->net->turn_op));
	pcore_net_free(s->net);
	pcore_net_keys_free(s->keys);
	*s = (struct side){ 0 };
}

/* Close both ends and let the loop run out. */
static inline void ends_done(struct end *a, struct end *b)
{
	if (a->c)
		pcore_net_close(a->c);
	if (b && b->c)
		pcore_net_close(b->c);
	UNTIL(!a->c && (!b || !b->c));
}

/* A connection between two sides over a pair of sockets. */
static inline void join(struct side *client, struct end *a, struct side *server, struct end *b, bool tls)
{
	struct pcore_net_error e = { 0 };
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(pcore_net_adopt(&a->c, client->net, fds[0], tls ? PCORE_NET_TLS_CLIENT : PCORE_NET_PLAIN, &end_ops, a, &e), 0);
	assert_int_equal(pcore_net_adopt(&b->c, server->net, fds[1], tls ? PCORE_NET_TLS_SERVER : PCORE_NET_PLAIN, &end_ops, b, &e), 0);
}

static inline void join_open(struct side *client, struct end *a, struct side *server, struct end *b, bool tls)
{
	join(client, a, server, b, tls);
	UNTIL((a->opened && b->opened) || a->closed || b->closed);
	if (a->closed || b->closed)
		print_error("# '%s', '%s'\n", a->error.why, b->error.why);
	assert_int_equal(a->opened, 1);
	assert_int_equal(b->opened, 1);
}

static inline void listen_at(struct side *s, struct end *ends, const char *text)
{
	struct pcore_net_error e = { 0 };
	struct pcore_net_addr addr;

	assert_int_equal(pcore_net_addr_parse(&addr, 1, text, false, &e), 1);
	s->next = ends;
	if (pcore_net_listen(&s->l, s->net, &addr, &side_ops, s, &e) < 0)
		print_error("# %s\n", e.why);
	assert_non_null(s->l);
}

static inline int net_before(void **state)
{
	const char *name = getenv("PCORE_LOOP");
	enum pcore_loop_backend backend = name && strcmp(name, "epoll") == 0 ? PCORE_LOOP_EPOLL : PCORE_LOOP_AUTO;

	alarm(NET_TEST_SECONDS);
	(void)support_before(state);
	return pcore_loop_new(&lp, backend);
}

static inline int net_after(void **state)
{
	alarm(0);
	if (lp->live > 0) /* a test that failed half way */
		return -1;
	pcore_loop_free(lp);
	lp = NULL;
	return support_after(state);
}

#define NET_TEST(f) cmocka_unit_test_setup_teardown(f, net_before, net_after)

#endif
