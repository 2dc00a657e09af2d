/* SPDX-License-Identifier: MIT */
/*
 * net_conn.c - tests of connections, plain and with TLS, over pairs of sockets.
 */
#include "tests/unit/net_support.h"

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

static const struct CMUnitTest tests[] = {
	NET_TEST(both_sides_open_and_know_each_other),
	NET_TEST(frames_arrive_whole_and_in_order),
};

int main(void)
{
	return RUN_TESTS(tests);
}
