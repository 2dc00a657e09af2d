/* SPDX-License-Identifier: MIT */
/*
 * net_relay.h - a relay between the two ends of a connection, on the tests' loop: it counts, keeps, changes and cuts what passes.
 */
#ifndef PCORE_TEST_NET_RELAY_H
#define PCORE_TEST_NET_RELAY_H

#include <poll.h>

#include "tests/unit/net_support.h"

enum { RELAY_KEEP = 64 * 1024 };

struct relay;

/* One direction. */
struct relay_way {
	struct relay *relay;
	int from, to;
	struct pcore_op op;
	uint64_t passed;
	uint64_t flip;	       /* the byte at this place, from 1, gets another bit */
	bool slow;	       /* a byte at a time */
	char kept[RELAY_KEEP]; /* what has passed */
};

struct relay {
	int fd[2];
	struct relay_way way[2]; /* from the client, from the server */
	uint64_t passed, cut;	 /* cut both when so many bytes have passed in all */
	bool cutting, dead;
};

static inline void relay_cut(struct relay *r)
{
	r->dead = true;
	for (int i = 0; i < 2; i++) {
		pcore_op_cancel(lp, &r->way[i].op);
		r->fd[i] = pcore_fd_close(r->fd[i]);
	}
}

static inline void relay_more(struct pcore_op *op, int res)
{
	struct relay_way *w = container_of(op, struct relay_way, op);
	struct relay *r = w->relay;
	char buf[16 * 1024];
	size_t len = w->slow ? 1 : sizeof(buf);
	ssize_t n;

	if (r->dead || res < 0)
		return;
	if (r->cutting && len > r->cut - r->passed)
		len = (size_t)(r->cut - r->passed);
	n = len > 0 ? recv(w->from, buf, len, MSG_DONTWAIT) : 0;
	if (n <= 0 && len > 0) {
		(void)shutdown(w->to, SHUT_WR);
		return;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (++w->passed == w->flip)
			buf[i] ^= 0x10;
		if (w->passed <= RELAY_KEEP)
			w->kept[w->passed - 1] = buf[i];
	}
	r->passed += (uint64_t)n;
	if (n > 0)
		(void)send(w->to, buf, (size_t)n, MSG_NOSIGNAL);
	if (r->cutting && r->passed >= r->cut)
		relay_cut(r);
	else
		assert_int_equal(pcore_op_poll(lp, op, w->from, POLLIN), 0);
}

static inline void relay_start(struct relay *r)
{
	for (int i = 0; i < 2; i++) {
		struct relay_way *w = &r->way[i];

		w->relay = r;
		w->from = r->fd[i];
		w->to = r->fd[!i];
		w->op.done = relay_more;
		assert_int_equal(pcore_op_poll(lp, &w->op, w->from, POLLIN), 0);
	}
}

static inline void relay_done(struct relay *r)
{
	if (!r->dead)
		relay_cut(r);
	UNTIL(!pcore_op_live(&r->way[0].op) && !pcore_op_live(&r->way[1].op));
	free(r);
}

/* Two ends with a relay between them; set it up further before the next turn. */
static inline struct relay *relay_join(struct side *client, struct end *a, struct side *server, struct end *b, bool tls)
{
	struct relay *r = calloc(1, sizeof(*r));
	struct pcore_net_error e;
	int one[2], two[2];

	assert_non_null(r);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, one), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, two), 0);
	assert_int_equal(pcore_net_adopt(&a->c, client->net, one[0], tls ? PCORE_NET_TLS_CLIENT : PCORE_NET_PLAIN, &end_ops, a, &e), 0);
	assert_int_equal(pcore_net_adopt(&b->c, server->net, two[0], tls ? PCORE_NET_TLS_SERVER : PCORE_NET_PLAIN, &end_ops, b, &e), 0);
	r->fd[0] = one[1];
	r->fd[1] = two[1];
	relay_start(r);
	return r;
}

#endif
