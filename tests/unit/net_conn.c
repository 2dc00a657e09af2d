/* SPDX-License-Identifier: MIT */
/*
 * net_conn.c - tests of connections, plain and with TLS, over pairs of sockets.
 */
#include <poll.h>

#include "tests/unit/net_relay.h"

/* ---- a peer that is only a socket ---- */

struct stub {
	int fd;
	struct end e; /* ours, at the other end */
	struct side s;
};

static const unsigned char stub_hello[16] = { 'P', 'C', 'O', 'R', 1, 0, 1, 0, PCORE_NET_NODE, 0, 0, 0, 9, 9, 9, 9 };

static struct stub *stub_new(const struct pcore_net_limits *limits)
{
	struct stub *t = calloc(1, sizeof(*t));
	struct pcore_net_error e;
	int fds[2];

	assert_non_null(t);
	t->s = side_with(NULL, &(struct pcore_net_spec){ .role = PCORE_NET_SCHEDULER, .limits = *limits });
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	t->fd = fds[0];
	assert_int_equal(pcore_net_adopt(&t->e.c, t->s.net, fds[1], PCORE_NET_PLAIN, &end_ops, &t->e, &e), 0);
	return t;
}

static void stub_write(struct stub *t, const void *p, size_t len)
{
	assert_int_equal(send(t->fd, p, len, MSG_NOSIGNAL), len);
}

/* A header, and as much of a body as is given. */
static void stub_frame(struct stub *t, uint32_t len, uint16_t type, uint16_t flags, const void *body, size_t body_len)
{
	unsigned char h[16] = { (unsigned char)len, (unsigned char)(len >> 8), (unsigned char)(len >> 16), (unsigned char)(len >> 24),
		(unsigned char)type, (unsigned char)(type >> 8), (unsigned char)flags, (unsigned char)(flags >> 8), 5 };

	stub_write(t, h, sizeof(h));
	if (body_len > 0)
		stub_write(t, body, body_len);
}

/* Everything that it has been sent, until it is closed. */
static size_t stub_drain(struct stub *t, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while ((n = recv(t->fd, buf + len, size - len, 0)) > 0)
		len += (size_t)n;
	return len;
}

static void stub_done(struct stub *t)
{
	t->fd = pcore_fd_close(t->fd);
	UNTIL(!t->e.c);
	side_done(&t->s);
	free(t);
}

/* ---- open ---- */

static void both_sides_open_and_know_each_other(void **state)
{
	(void)state;
	for (int tls = 0; tls < 2; tls++) {
		struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A), c = side_of(PCORE_NET_NODE, KEY_A);
		struct end a = { 0 }, b = { 0 };

		join_open(&c, &a, &s, &b, tls);
		assert_int_equal(a.peer.role, PCORE_NET_SCHEDULER);
		assert_int_equal(b.peer.role, PCORE_NET_NODE);
		assert_int_equal(a.peer.instance, pcore_net_instance(s.net));
		assert_int_equal(b.peer.instance, pcore_net_instance(c.net));
		assert_int_equal(a.peer.version, 1);
		assert_string_equal(b.peer.name, tls ? "a" : "");
		ends_done(&a, &b);
		assert_int_equal(a.error.code, 0);
		assert_int_equal(b.error.code, 0);
		side_done(&c);
		side_done(&s);
	}
}

/* How two sides with these versions end, or the version that both took. */
static int meet(uint16_t min_a, uint16_t max_a, uint16_t min_b, uint16_t max_b, struct end *a, struct end *b)
{
	struct side c = side_with(KEY_A, &(struct pcore_net_spec){ .role = PCORE_NET_NODE, .version_min = min_a, .version_max = max_a });
	struct side s = side_with(KEY_A, &(struct pcore_net_spec){ .role = PCORE_NET_SCHEDULER, .version_min = min_b, .version_max = max_b });
	int version;

	*a = *b = (struct end){ 0 };
	join(&c, a, &s, b, true);
	UNTIL((a->opened && b->opened) || (a->closed && b->closed));
	if (a->opened)
		assert_int_equal(a->peer.version, b->peer.version);
	version = a->opened ? a->peer.version : a->error.code;
	ends_done(a, b);
	side_done(&c);
	side_done(&s);
	return version;
}

static void the_highest_common_version_is_taken(void **state)
{
	struct end a, b;

	(void)state;
	assert_int_equal(meet(1, 1, 1, 1, &a, &b), 1);
	assert_int_equal(meet(1, 4, 2, 3, &a, &b), 3);
	assert_int_equal(meet(3, 9, 1, 3, &a, &b), 3);
	assert_int_equal(meet(65535, 65535, 1, 65535, &a, &b), 65535);
}

static void no_common_version_is_told_to_both_with_the_ranges(void **state)
{
	struct end a, b;

	(void)state;
	assert_int_equal(meet(1, 2, 3, 4, &a, &b), -EPROTONOSUPPORT);
	assert_string_equal(a.error.why, "no version in common: one side speaks 1 to 2, the other 3 to 4");
	assert_int_equal(b.error.code, -EPROTONOSUPPORT);
	assert_string_equal(b.error.why, "no version in common: one side speaks 3 to 4, the other 1 to 2");
	assert_int_equal(b.opened, 0);
}

static void a_role_that_is_not_wanted_is_told_so(void **state)
{
	(void)state;
	for (int tls = 0; tls < 2; tls++) {
		struct side s = side_with(KEY_A, &(struct pcore_net_spec){ .role = PCORE_NET_SCHEDULER, .peers = PCORE_NET_ROLE_BIT(PCORE_NET_NODE) });
		struct side c = side_of(PCORE_NET_CLIENT, KEY_A);
		struct end a = { 0 }, b = { 0 };

		join(&c, &a, &s, &b, tls);
		UNTIL(a.closed && b.closed);
		assert_int_equal(b.opened, 0);
		assert_int_equal(b.error.code, -EACCES);
		assert_string_equal(b.error.why, "a peer with the role client is not wanted here");
		assert_int_equal(a.error.code, -EACCES);
		assert_string_equal(a.error.why, "the peer refuses: a peer with the role client is not wanted here");
		side_done(&c);
		side_done(&s);
	}
}

static void nobody_talks_to_himself(void **state)
{
	(void)state;
	for (int tls = 0; tls < 2; tls++) {
		struct side s = side_of(PCORE_NET_NODE, KEY_A);
		struct end a = { 0 }, b = { 0 };

		join(&s, &a, &s, &b, tls);
		UNTIL(a.closed && b.closed);
		assert_int_equal(a.error.code, -ELOOP);
		assert_int_equal(b.error.code, -ELOOP);
		assert_int_equal(a.opened + b.opened, 0);
		side_done(&s);
	}
}

static void bad_hellos_are_refused(void **state)
{
	static const struct {
		size_t at;
		unsigned char value;
		int code;
	} bad[] = {
		{ 0, 'X', -EPROTO }, { 4, 0, -EPROTO }, { 4, 2, -EPROTO }, /* lowest above highest */
		{ 8, 0, -EACCES }, { 8, 5, -EACCES }, { 8, 255, -EACCES },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct stub *t = stub_new(&(struct pcore_net_limits){ 0 });
		unsigned char hello[16];

		memcpy(hello, stub_hello, sizeof(hello));
		hello[bad[i].at] = bad[i].value;
		stub_write(t, hello, sizeof(hello));
		assert_int_equal(shutdown(t->fd, SHUT_WR), 0);
		UNTIL(t->e.closed);
		assert_int_equal(t->e.opened, 0);
		assert_int_equal(t->e.error.code, bad[i].code);
		stub_done(t);
	}
}

/* ---- frames ---- */

static void frames_arrive_whole_and_in_order(void **state)
{
	(void)state;
	for (int tls = 0; tls < 2; tls++) {
		struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A), c = side_of(PCORE_NET_NODE, KEY_A);
		struct end a = { 0 }, b = { 0 };
		static char big[3 * 1024 * 1024];

		join_open(&c, &a, &s, &b, tls);
		assert_int_equal(pcore_net_send(a.c, 256, 0, 7, "hello", 5), 0);
		assert_int_equal(pcore_net_send(a.c, 300, PCORE_NET_OPTIONAL, UINT64_MAX, NULL, 0), 0);
		memset(big, 'x', sizeof(big));
		assert_int_equal(pcore_net_send(a.c, 301, PCORE_NET_DATA, 1, big, sizeof(big)), 1);
		UNTIL(b.n_frames == 3);
		assert_int_equal(b.frame[0].type, 256);
		assert_int_equal(b.frame[0].stream, 7);
		assert_int_equal(b.frame[0].len, 5);
		assert_string_equal(b.frame[0].head, "hello");
		assert_int_equal(b.frame[1].flags, PCORE_NET_OPTIONAL);
		assert_true(b.frame[1].stream == UINT64_MAX);
		assert_int_equal(b.frame[1].len, 0);
		assert_int_equal(b.frame[2].len, sizeof(big));
		UNTIL(a.rooms == 1);
		ends_done(&a, &b);
		side_done(&c);
		side_done(&s);
	}
}

static void a_frame_can_be_made_in_place_or_dropped(void **state)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, NULL), c = side_of(PCORE_NET_NODE, NULL);
	struct end a = { 0 }, b = { 0 };
	struct pcore_buf *buf;

	(void)state;
	join_open(&c, &a, &s, &b, false);
	buf = pcore_net_send_begin(a.c, 256, 0, 1);
	assert_non_null(buf);
	assert_int_equal(pcore_buf_adds(buf, "dropped"), 0);
	pcore_net_send_drop(a.c);
	assert_int_equal(pcore_net_queued(a.c), 0);
	buf = pcore_net_send_begin(a.c, 257, 0, 2);
	assert_int_equal(pcore_buf_adds(buf, "in place"), 0);
	assert_int_equal(pcore_net_send_end(a.c), 0);
	UNTIL(b.n_frames == 1);
	assert_int_equal(b.frame[0].type, 257);
	assert_string_equal(b.frame[0].head, "in place");
	ends_done(&a, &b);
	assert_int_equal(a.error.code, 0);
	side_done(&c);
	side_done(&s);
}

static void what_is_sent_in_one_turn_is_one_record(void **state)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A), c = side_of(PCORE_NET_NODE, KEY_A);
	struct end a = { 0 }, b = { 0 };
	struct relay *r = relay_join(&c, &a, &s, &b, true);
	uint64_t before;

	(void)state;
	UNTIL(a.opened && b.opened);
	before = r->way[0].passed;
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(pcore_net_send(a.c, 256, 0, i, "0123456789", 10), 0);
	UNTIL(b.n_frames == 100);
	assert_int_equal(r->way[0].passed - before, 100 * 26 + 22);
	ends_done(&a, &b);
	relay_done(r);
	side_done(&c);
	side_done(&s);
}

static void frames_over_the_limit_are_not_sent(void **state)
{
	struct pcore_net_limits limits = { .control_max = 100, .data_max = 1000, .out_max = 5000 };
	struct side s = side_with(NULL, &(struct pcore_net_spec){ .role = PCORE_NET_SCHEDULER, .limits = limits });
	struct side c = side_with(NULL, &(struct pcore_net_spec){ .role = PCORE_NET_NODE, .limits = limits });
	struct end a = { 0 }, b = { 0 };
	char body[1001] = "";
	unsigned n = 0;

	(void)state;
	join_open(&c, &a, &s, &b, false);
	assert_int_equal(pcore_net_send(a.c, 256, 0, 1, body, 101), -EMSGSIZE);
	assert_int_equal(pcore_net_send(a.c, 256, PCORE_NET_DATA, 1, body, 1001), -EMSGSIZE);
	assert_int_equal(pcore_net_queued(a.c), 0);
	while (pcore_net_send(a.c, 256, PCORE_NET_DATA, 1, body, 1000) == 0)
		n++;
	assert_int_equal(n, 4);
	assert_int_equal(pcore_net_send(a.c, 256, PCORE_NET_DATA, 1, body, 1000), -ENOBUFS);
	UNTIL(b.n_frames == 4);
	ends_done(&a, &b);
	side_done(&c);
	side_done(&s);
}

/* What a bad header brings; the reason goes to the peer before the end. */
static void expect_bad_frame(uint32_t len, uint16_t type, uint16_t flags, const char *why)
{
	struct stub *t = stub_new(&(struct pcore_net_limits){ 0 });
	char sent[256];
	size_t n;

	stub_write(t, stub_hello, sizeof(stub_hello));
	stub_frame(t, len, type, flags, NULL, 0);
	assert_int_equal(shutdown(t->fd, SHUT_WR), 0);
	UNTIL(t->e.closed);
	assert_int_equal(t->e.opened, 1);
	assert_int_equal(t->e.n_frames, 0);
	assert_int_equal(t->e.error.code, -EPROTO);
	assert_string_equal(t->e.error.why, why);
	assert_int_equal(pcore_net_stats(t->s.net)->refused, 1);
	n = stub_drain(t, sent, sizeof(sent));
	assert_int_equal(n, 16 + 16 + 4 + strlen(why));
	assert_memory_equal(sent + 36, why, strlen(why));
	stub_done(t);
}

static void bad_frames_end_a_connection_with_a_reason(void **state)
{
	(void)state;
	expect_bad_frame(UINT32_MAX, 256, 0, "a frame is longer than the limit");
	expect_bad_frame(0x80000000u, 256, PCORE_NET_DATA, "a frame is longer than the limit");
	expect_bad_frame(1024 * 1024 + 1, 256, 0, "a frame is longer than the limit");
	expect_bad_frame(16 * 1024 * 1024 + 1, 256, PCORE_NET_DATA, "a frame is longer than the limit");
	expect_bad_frame(UINT32_MAX, 1, 0, "a frame is longer than the limit");
	expect_bad_frame(0, 0, 0, "a frame has no type");
	expect_bad_frame(0, 17, 0, "a frame of type 17 is not known");
}

static void optional_frames_and_empty_ones_are_fine(void **state)
{
	struct stub *t = stub_new(&(struct pcore_net_limits){ 0 });

	(void)state;
	stub_write(t, stub_hello, sizeof(stub_hello));
	stub_frame(t, 3, 17, PCORE_NET_OPTIONAL, "abc", 3);
	stub_frame(t, 0, 256, 0, NULL, 0);
	UNTIL(t->e.n_frames == 1);
	assert_int_equal(t->e.frame[0].len, 0);
	assert_int_equal(t->e.frame[0].stream, 5);
	stub_done(t);
}

/* ---- backpressure ---- */

static void a_paused_end_holds_its_peer_back(void **state)
{
	(void)state;
	for (int tls = 0; tls < 2; tls++) {
		struct pcore_net_limits limits = { .out_high = 100000, .out_low = 50000, .out_max = 2000000 };
		struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A);
		struct side c = side_with(KEY_A, &(struct pcore_net_spec){ .role = PCORE_NET_NODE, .limits = limits });
		struct end a = { 0 }, b = { 0 };
		static char body[10000];
		unsigned sent = 0;
		int r = 0;

		join_open(&c, &a, &s, &b, tls);
		pcore_net_pause(b.c);
		while (r != -ENOBUFS) { /* also what the socket takes */
			r = pcore_net_send(a.c, 256, 0, sent, body, sizeof(body));
			sent += r >= 0;
			assert_true(r >= 0 || r == -ENOBUFS);
			assert_true(pcore_net_queued(a.c) <= limits.out_max);
			assert_true(pcore_loop_turn(lp, false) >= 0);
		}
		assert_int_equal(b.n_frames, 0);
		assert_true(sent >= 200);
		assert_int_equal(a.rooms, 0);
		pcore_net_resume(b.c);
		UNTIL(a.rooms == 1);
		assert_true(pcore_net_queued(a.c) <= limits.out_low);
		UNTIL(b.n_frames == sent);
		assert_int_equal(a.rooms, 1);
		ends_done(&a, &b);
		side_done(&c);
		side_done(&s);
	}
}

static void pause_at_second(struct end *e, const struct pcore_net_frame *f)
{
	(void)f;
	if (e->n_frames == 2)
		pcore_net_pause(e->c);
}

static void a_pause_holds_for_the_next_frame(void **state)
{
	(void)state;
	for (int tls = 0; tls < 2; tls++) {
		struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A), c = side_of(PCORE_NET_NODE, KEY_A);
		struct end a = { 0 }, b = { .on_frame = pause_at_second };

		join_open(&c, &a, &s, &b, tls);
		for (unsigned i = 0; i < 5; i++)
			assert_int_equal(pcore_net_send(a.c, 256, 0, i, "x", 1), 0);
		pcore_net_close(a.c); /* the end, too, waits behind them */
		UNTIL(b.n_frames == 2);
		for (int i = 0; i < 5; i++)
			assert_true(pcore_loop_turn(lp, false) >= 0);
		assert_int_equal(b.n_frames, 2);
		assert_int_equal(b.closed, 0);
		pcore_net_resume(b.c);
		UNTIL(b.closed);
		assert_int_equal(b.n_frames, 5);
		assert_int_equal(b.error.code, 0);
		ends_done(&a, &b);
		side_done(&c);
		side_done(&s);
	}
}

static void a_peer_that_does_not_read_is_given_up(void **state)
{
	struct pcore_net_limits limits = { .heartbeat_ns = 50 * NS_PER_MS, .stall_ns = 250 * NS_PER_MS };
	struct side s = side_with(NULL, &(struct pcore_net_spec){ .role = PCORE_NET_SCHEDULER, .limits = limits });
	struct side c = side_with(NULL, &(struct pcore_net_spec){ .role = PCORE_NET_NODE, .limits = limits });
	struct end a = { 0 }, b = { 0 };
	static char body[1000000];

	(void)state;
	join_open(&c, &a, &s, &b, false);
	pcore_net_pause(b.c); /* its own PINGs go on */
	assert_true(pcore_net_send(a.c, 256, 0, 1, body, sizeof(body)) >= 0);
	UNTIL(a.closed);
	assert_int_equal(a.error.code, -ETIMEDOUT);
	assert_string_equal(a.error.why, "the peer does not read what it is sent");
	ends_done(&a, &b);
	side_done(&c);
	side_done(&s);
}

/* ---- the heartbeat ---- */

static void a_silent_peer_is_dead_after_three_beats(void **state)
{
	struct stub *t = stub_new(&(struct pcore_net_limits){ .heartbeat_ns = 30 * NS_PER_MS });
	int64_t begun = pcore_now_ns();
	char sent[256];

	(void)state;
	stub_write(t, stub_hello, sizeof(stub_hello));
	UNTIL(t->e.closed);
	assert_int_equal(t->e.error.code, -ETIMEDOUT);
	assert_string_equal(t->e.error.why, "the peer does not answer any more");
	assert_true(pcore_now_ns() - begun >= 4 * 30 * NS_PER_MS);
	assert_int_equal(stub_drain(t, sent, sizeof(sent)), 16 + 3 * 16);
	assert_memory_equal(sent + 16, "\0\0\0\0\1\0", 6); /* PING */
	stub_done(t);
}

static void an_idle_connection_stays(void **state)
{
	struct pcore_net_limits limits = { .heartbeat_ns = 100 * NS_PER_MS };
	struct side s = side_with(KEY_A, &(struct pcore_net_spec){ .role = PCORE_NET_SCHEDULER, .limits = limits });
	struct side c = side_with(KEY_A, &(struct pcore_net_spec){ .role = PCORE_NET_NODE, .limits = limits });
	struct end a = { 0 }, b = { 0 };
	struct relay *r = relay_join(&c, &a, &s, &b, true);

	(void)state;
	UNTIL(a.opened && b.opened);
	UNTIL(a.closed || b.closed || r->way[0].passed > 1000); /* PINGs and PONGs only */
	assert_int_equal(a.closed + b.closed, 0);
	assert_int_equal(a.n_frames + b.n_frames, 0);
	ends_done(&a, &b);
	relay_done(r);
	side_done(&c);
	side_done(&s);
}

static void a_pause_is_no_death(void **state)
{
	struct pcore_net_limits limits = { .heartbeat_ns = 100 * NS_PER_MS };
	struct side s = side_with(NULL, &(struct pcore_net_spec){ .role = PCORE_NET_SCHEDULER, .limits = limits });
	struct side c = side_with(NULL, &(struct pcore_net_spec){ .role = PCORE_NET_NODE, .limits = limits });
	struct end a = { 0 }, b = { 0 };
	struct relay *r = relay_join(&c, &a, &s, &b, false);
	uint64_t before;

	(void)state;
	UNTIL(a.opened && b.opened);
	pcore_net_pause(a.c);
	before = r->way[0].passed;
	UNTIL(a.closed || b.closed || r->way[0].passed - before >= 10 * 16UL); /* ten PINGs of the paused one */
	assert_int_equal(a.closed + b.closed, 0);
	pcore_net_resume(a.c);
	assert_int_equal(pcore_net_send(b.c, 256, 0, 1, "x", 1), 0);
	UNTIL(a.n_frames == 1);
	ends_done(&a, &b);
	relay_done(r);
	side_done(&c);
	side_done(&s);
}

static void a_ping_is_answered(void **state)
{
	struct stub *t = stub_new(&(struct pcore_net_limits){ 0 });
	struct pollfd p = { .fd = t->fd, .events = POLLIN };
	unsigned char got[32];

	(void)state;
	stub_write(t, stub_hello, sizeof(stub_hello));
	UNTIL(t->e.opened);
	assert_int_equal(recv(t->fd, got, 16, 0), 16);
	stub_frame(t, 0, 1, 0, NULL, 0);
	while (poll(&p, 1, 0) == 0)
		assert_true(pcore_loop_turn(lp, false) >= 0);
	assert_int_equal(recv(t->fd, got, sizeof(got), 0), 16);
	assert_memory_equal(got, "\0\0\0\0\2\0\0\0\5\0\0\0\0\0\0\0", 16); /* PONG, the same stream */
	stub_done(t);
}

/* ---- ends ---- */

static void nothing_is_heard_of_a_connection_without_an_owner(void **state)
{
	(void)state;
	for (int abort = 0; abort < 2; abort++) {
		struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A), c = side_of(PCORE_NET_NODE, KEY_A);
		struct end a = { 0 }, b = { 0 };

		join_open(&c, &a, &s, &b, true);
		assert_true(pcore_net_send(b.c, 256, 0, 1, "x", 1) >= 0);
		pcore_net_disown(a.c);
		if (abort)
			pcore_net_abort(a.c);
		else
			pcore_net_refuse(a.c, "there are too many");
		UNTIL(b.closed);
		assert_int_equal(b.error.code, abort ? -ECONNRESET : -ECONNABORTED);
		side_done(&c);
		side_done(&s);
		assert_int_equal(a.n_frames + a.closed, 0);
	}
}

static void closing_sends_what_is_queued(void **state)
{
	(void)state;
	for (int tls = 0; tls < 2; tls++) {
		struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A), c = side_of(PCORE_NET_NODE, KEY_A);
		struct end a = { 0 }, b = { 0 };
		static char body[900000];

		join_open(&c, &a, &s, &b, tls);
		for (unsigned i = 0; i < 5; i++)
			assert_true(pcore_net_send(a.c, 256, 0, i, body, sizeof(body)) >= 0);
		pcore_net_close(a.c);
		assert_int_equal(pcore_net_send(a.c, 256, 0, 9, "x", 1), -ENOTCONN);
		assert_null(pcore_net_send_begin(a.c, 256, 0, 9));
		UNTIL(a.closed && b.closed);
		assert_int_equal(b.n_frames, 5);
		assert_int_equal(a.error.code, 0);
		assert_int_equal(b.error.code, 0);
		side_done(&c);
		side_done(&s);
	}
}

static void closing_does_not_wait_for_ever(void **state)
{
	struct pcore_net_limits limits = { .linger_ns = 50 * NS_PER_MS };
	struct side s = side_of(PCORE_NET_SCHEDULER, NULL);
	struct side c = side_with(NULL, &(struct pcore_net_spec){ .role = PCORE_NET_NODE, .limits = limits });
	struct end a = { 0 }, b = { 0 };
	static char body[1000000];

	(void)state;
	join_open(&c, &a, &s, &b, false);
	pcore_net_pause(b.c);
	assert_true(pcore_net_send(a.c, 256, 0, 1, body, sizeof(body)) >= 0);
	pcore_net_close(a.c);
	UNTIL(a.closed);
	assert_int_equal(b.closed, 0);
	pcore_net_resume(b.c);
	UNTIL(b.closed);
	assert_int_equal(b.error.code, -ECONNRESET);
	side_done(&c);
	side_done(&s);
}

static void a_refusal_is_told_with_its_reason(void **state)
{
	(void)state;
	for (int tls = 0; tls < 2; tls++) {
		struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A), c = side_of(PCORE_NET_NODE, KEY_A);
		struct end a = { 0 }, b = { 0 };

		join_open(&c, &a, &s, &b, tls);
		pcore_net_refuse(b.c, "no such job\n\033[2J");
		UNTIL(a.closed && b.closed);
		assert_int_equal(a.error.code, -ECONNABORTED);
		assert_string_equal(a.error.why, "the peer refuses: no such job\\n\\x1b[2J");
		assert_int_equal(b.error.code, -EPROTO);
		side_done(&c);
		side_done(&s);
	}
}

static void close_in_frame(struct end *e, const struct pcore_net_frame *f)
{
	pcore_net_close(e->c);
	assert_memory_equal(f->body, "first", 5); /* it is still there */
}

static void abort_in_frame(struct end *e, const struct pcore_net_frame *f)
{
	pcore_net_abort(e->c);
	assert_memory_equal(f->body, "first", 5);
}

static void an_owner_may_end_it_in_its_frame(void **state)
{
	(void)state;
	for (int how = 0; how < 4; how++) {
		struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A), c = side_of(PCORE_NET_NODE, KEY_A);
		struct end a = { 0 }, b = { .on_frame = how % 2 ? close_in_frame : abort_in_frame };

		join_open(&c, &a, &s, &b, how / 2);
		assert_int_equal(pcore_net_send(a.c, 256, 0, 1, "first", 5), 0);
		assert_int_equal(pcore_net_send(a.c, 256, 0, 2, "second", 6), 0);
		UNTIL(a.closed && b.closed);
		assert_int_equal(b.n_frames, 1);
		assert_int_equal(a.error.code, how % 2 ? 0 : -ECONNRESET);
		side_done(&c);
		side_done(&s);
	}
}

static void a_connection_can_be_given_up_at_any_time(void **state)
{
	(void)state;
	for (int turns = 0; turns < 12; turns++) {
		struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A), c = side_of(PCORE_NET_NODE, KEY_A);
		struct end a = { 0 }, b = { 0 };

		join(&c, &a, &s, &b, true);
		for (int i = 0; i < turns; i++)
			assert_true(pcore_loop_turn(lp, false) >= 0);
		if (turns % 2)
			pcore_net_abort(a.c);
		else
			pcore_net_close(a.c);
		UNTIL(a.closed && b.closed);
		side_done(&c);
		side_done(&s);
	}
}

/* ---- cut anywhere ---- */

static void answer_third(struct end *e, const struct pcore_net_frame *f)
{
	(void)f;
	if (e->n_frames != 3)
		return;
	assert_int_equal(pcore_net_send(e->c, 300, 0, 1, "one", 3), 0);
	assert_int_equal(pcore_net_send(e->c, 300, 0, 2, "two", 3), 0);
}

static void close_at_second(struct end *e, const struct pcore_net_frame *f)
{
	(void)f;
	if (e->n_frames == 2)
		pcore_net_close(e->c);
}

/* One session: three frames there, two back, goodbye. The bytes that passed. */
static uint64_t scripted(bool tls, bool cutting, uint64_t cut)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A), c = side_of(PCORE_NET_NODE, KEY_A);
	struct end a = { .on_frame = close_at_second }, b = { .on_frame = answer_third };
	struct relay *r = relay_join(&c, &a, &s, &b, tls);
	uint64_t passed;

	r->cutting = cutting;
	r->cut = cut;
	UNTIL(a.opened || a.closed);
	for (unsigned i = 0; a.c && i < 3; i++)
		assert_int_equal(pcore_net_send(a.c, 256, 0, i, "abc", 3), 0);
	UNTIL(a.closed && b.closed);
	assert_true(a.error.code == 0 || a.error.code == -ECONNRESET);
	assert_true(b.error.code == 0 || b.error.code == -ECONNRESET);
	assert_true(a.n_frames <= 2 && b.n_frames <= 3 && (a.n_frames == 0 || b.n_frames == 3));
	if (a.error.code == 0) /* nobody believes in an end that was none */
		assert_int_equal(a.n_frames, 2);
	if (b.error.code == 0)
		assert_int_equal(a.n_frames, 2);
	assert_true(b.error.code == 0 || cutting);
	passed = r->passed;
	relay_done(r);
	side_done(&c);
	side_done(&s);
	return passed;
}

static void a_session_can_be_cut_at_every_byte(void **state)
{
	(void)state;
	for (int tls = 0; tls < 2; tls++) {
		uint64_t all = scripted(tls, false, 0);

		assert_true(all > 100);
		for (uint64_t cut = 0; cut < all; cut++)
			(void)scripted(tls, true, cut);
	}
}

#ifdef PCORE_FAULTS
static void short_reads_and_writes_change_nothing(void **state)
{
	(void)state;
	for (int tls = 0; tls < 2; tls++) {
		assert_int_equal(pcore_fault_set("send:1+:short=7,recv:1+:short=5"), 0);
		(void)scripted(tls, false, 0);
		assert_int_equal(pcore_fault_set(""), 0);
	}
}

static void every_failing_call_ends_a_session_cleanly(void **state)
{
	static const struct {
		const char *kind, *error;
	} kinds[] = { { "send", "EPIPE" }, { "recv", "ECONNRESET" }, { "recv", "EIO" }, { "poll", "ENOMEM" }, { "timer", "ENOMEM" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		for (unsigned n = 1; n < 16; n++) {
			struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A), c = side_of(PCORE_NET_NODE, KEY_A);
			struct end a = { .on_frame = close_at_second }, b = { .on_frame = answer_third };
			char spec[64];

			snprintf(spec, sizeof(spec), "%s:%u:%s", kinds[i].kind, n, kinds[i].error);
			assert_int_equal(pcore_fault_set(spec), 0);
			join(&c, &a, &s, &b, true);
			UNTIL(a.opened || a.closed);
			for (unsigned k = 0; a.c && k < 3; k++)
				(void)pcore_net_send(a.c, 256, 0, k, "abc", 3);
			UNTIL(a.closed && b.closed);
			assert_int_equal(pcore_fault_set(""), 0);
			side_done(&c);
			side_done(&s);
		}
}
#endif

static const struct CMUnitTest tests[] = {
	NET_TEST(both_sides_open_and_know_each_other),
	NET_TEST(the_highest_common_version_is_taken),
	NET_TEST(no_common_version_is_told_to_both_with_the_ranges),
	NET_TEST(a_role_that_is_not_wanted_is_told_so),
	NET_TEST(nobody_talks_to_himself),
	NET_TEST(bad_hellos_are_refused),
	NET_TEST(frames_arrive_whole_and_in_order),
	NET_TEST(a_frame_can_be_made_in_place_or_dropped),
	NET_TEST(what_is_sent_in_one_turn_is_one_record),
	NET_TEST(frames_over_the_limit_are_not_sent),
	NET_TEST(bad_frames_end_a_connection_with_a_reason),
	NET_TEST(optional_frames_and_empty_ones_are_fine),
	NET_TEST(a_paused_end_holds_its_peer_back),
	NET_TEST(a_pause_holds_for_the_next_frame),
	NET_TEST(a_peer_that_does_not_read_is_given_up),
	NET_TEST(a_silent_peer_is_dead_after_three_beats),
	NET_TEST(an_idle_connection_stays),
	NET_TEST(a_pause_is_no_death),
	NET_TEST(a_ping_is_answered),
	NET_TEST(nothing_is_heard_of_a_connection_without_an_owner),
	NET_TEST(closing_sends_what_is_queued),
	NET_TEST(closing_does_not_wait_for_ever),
	NET_TEST(a_refusal_is_told_with_its_reason),
	NET_TEST(an_owner_may_end_it_in_its_frame),
	NET_TEST(a_connection_can_be_given_up_at_any_time),
	NET_TEST(a_session_can_be_cut_at_every_byte),
#ifdef PCORE_FAULTS
	NET_TEST(short_reads_and_writes_change_nothing),
	NET_TEST(every_failing_call_ends_a_session_cleanly),
#endif
};

int main(void)
{
	return RUN_TESTS(tests);
}
