/* SPDX-License-Identifier: MIT */
/*
 * net_frame.c - tests of what goes over the wire, of addresses, and of waiting: all that is pure.
 */
#include "tests/unit/support.h"

#include "libcore/net/private.h"

static const struct pcore_net_limits limits = { .control_max = 1024 * 1024, .data_max = 16 * 1024 * 1024 };

static void a_hello_has_its_layout(void **state)
{
	static const uint8_t wire[NET_HELLO] = { 'P', 'C', 'O', 'R', 0x02, 0x01, 0x04, 0x03, 3, 0, 0, 0, 0x44, 0x33, 0x22, 0x11 };
	struct net_hello h = { .min = 0x102, .max = 0x304, .role = PCORE_NET_SCHEDULER, .instance = 0x11223344 }, back;
	uint8_t p[NET_HELLO];

	(void)state;
	net_hello_encode(p, &h);
	assert_memory_equal(p, wire, sizeof(wire));
	assert_int_equal(net_hello_decode(p, &back), 0);
	assert_int_equal(back.min, h.min);
	assert_int_equal(back.max, h.max);
	assert_int_equal(back.role, h.role);
	assert_int_equal(back.instance, h.instance);
}

static void a_hello_of_something_else_is_none(void **state)
{
	struct net_hello h = { .min = 2, .max = 3, .role = 1 }, back;
	uint8_t p[NET_HELLO];

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		net_hello_encode(p, &h);
		p[i] ^= 0x20;
		assert_int_equal(net_hello_decode(p, &back), -EPROTO);
	}
	h.min = 4;
	net_hello_encode(p, &h);
	assert_int_equal(net_hello_decode(p, &back), -EPROTO);
	h.min = 0;
	net_hello_encode(p, &h);
	assert_int_equal(net_hello_decode(p, &back), -EPROTO);
}

static void the_rest_of_a_hello_is_for_later(void **state)
{
	struct net_hello h = { .min = 2, .max = 3, .role = 1 }, back;
	uint8_t p[NET_HELLO];

	(void)state;
	net_hello_encode(p, &h);
	p[9] = p[10] = p[11] = 0xff;
	assert_int_equal(net_hello_decode(p, &back), 0);
	assert_int_equal(back.role, 1);
}

static void a_header_has_its_layout(void **state)
{
	static const uint8_t wire[NET_HEADER] = { 0x04, 0x03, 0x02, 0x00, 0x06, 0x05, 0x02, 0x00, 8, 7, 6, 5, 4, 3, 2, 1 };
	struct pcore_net_frame f = { .len = 0x20304, .type = 0x506, .flags = PCORE_NET_DATA, .stream = 0x102030405060708 }, back;
	uint8_t p[NET_HEADER];

	(void)state;
	net_header_encode(p, &f);
	assert_memory_equal(p, wire, sizeof(wire));
	assert_int_equal(net_header_decode(p, &limits, &back), 0);
	assert_int_equal(back.len, f.len);
	assert_int_equal(back.type, f.type);
	assert_int_equal(back.flags, f.flags);
	assert_true(back.stream == f.stream);
}

static int decode(uint32_t len, uint16_t type, uint16_t flags)
{
	struct pcore_net_frame f = { .len = len, .type = type, .flags = flags };
	uint8_t p[NET_HEADER];

	net_header_encode(p, &f);
	return net_header_decode(p, &limits, &f);
}

static void lengths_are_limited_by_their_kind(void **state)
{
	(void)state;
	assert_int_equal(decode(0, 256, 0), 0);
	assert_int_equal(decode(1024 * 1024, 256, 0), 0);
	assert_int_equal(decode(1024 * 1024 + 1, 256, 0), -EMSGSIZE);
	assert_int_equal(decode(16 * 1024 * 1024, 256, PCORE_NET_DATA), 0);
	assert_int_equal(decode(16 * 1024 * 1024 + 1, 256, PCORE_NET_DATA | PCORE_NET_OPTIONAL), -EMSGSIZE);
	assert_int_equal(decode(UINT32_MAX, 256, 0xffff), -EMSGSIZE);
	assert_int_equal(decode(0, 0, 0), -EPROTO);
}

static void a_goodbye_carries_its_reason(void **state)
{
	uint8_t body[4 + NET_BYE_TEXT_MAX];
	struct pcore_net_error e;
	char long_text[NET_BYE_TEXT_MAX + 50];

	(void)state;
	net_bye_decode(body, net_bye_encode(body, NET_BYE_VERSION, "too old"), &e);
	assert_int_equal(e.code, -EPROTONOSUPPORT);
	assert_string_equal(e.why, "the peer refuses: too old");
	net_bye_decode(body, net_bye_encode(body, NET_BYE_DONE, ""), &e);
	assert_int_equal(e.code, 0);
	assert_string_equal(e.why, "the peer has said goodbye");
	memset(long_text, 'x', sizeof(long_text));
	long_text[sizeof(long_text) - 1] = '\0';
	assert_int_equal(net_bye_encode(body, NET_BYE_OWNER, long_text), sizeof(body));
}

static void a_goodbye_of_any_bytes_is_safe(void **state)
{
	struct pcore_net_error e;
	uint8_t body[2000];

	(void)state;
	net_bye_decode(NULL, 0, &e);
	assert_int_equal(e.code, -EPROTO);
	assert_string_equal(e.why, "the peer refuses: it does not say why");
	memset(body, '\n', sizeof(body));
	net_bye_decode(body, sizeof(body), &e);
	assert_int_equal(e.code, -ECONNABORTED);
	assert_null(strchr(e.why, '\n'));
	assert_true(strlen(e.why) < sizeof(e.why));
}

static void roles_have_names(void **state)
{
	(void)state;
	for (int role = PCORE_NET_CLIENT; role < PCORE_NET_ROLE_COUNT; role++)
		assert_int_equal(pcore_net_role_parse(pcore_net_role_name((enum pcore_net_role)role)), role);
	assert_int_equal(pcore_net_role_parse("nobody"), -EINVAL);
	assert_int_equal(pcore_net_role_parse(""), -EINVAL);
	assert_int_equal(pcore_net_role_parse("Client"), -EINVAL);
	assert_string_equal(pcore_net_role_name((enum pcore_net_role)77), "nobody");
}

static void identities_are_read_as_they_are_printed(void **state)
{
	char text[NET_IDENTITY_MAX], kid[PCORE_NET_KID_MAX + 1];
	enum pcore_net_role role;
	int len = net_identity_print(text, "k-1.x_Y", PCORE_NET_SCHEDULER);

	(void)state;
	assert_string_equal(text, "p1:k-1.x_Y:scheduler");
	assert_int_equal(net_identity_parse(text, (size_t)len, kid, &role), 0);
	assert_string_equal(kid, "k-1.x_Y");
	assert_int_equal(role, PCORE_NET_SCHEDULER);
	assert_int_equal(net_identity_parse(text, (size_t)len - 1, kid, &role), -EINVAL);
	assert_int_equal(net_identity_parse("p1:k:node\0", 10, kid, &role), -EINVAL); /* a NUL too many */
	assert_int_equal(net_identity_parse("p1:k:node", 9, kid, &role), 0);
	assert_int_equal(net_identity_parse("", 0, kid, &role), -EINVAL);
}

static void waiting_grows_to_half_a_minute_and_is_random(void **state)
{
	int64_t most[] = { 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(most); i++) {
		int64_t ns = most[i] * NS_PER_MS;

		assert_true(pcore_net_backoff(i + 1, (uint64_t)ns) == ns);
		assert_true(pcore_net_backoff(i + 1, (uint64_t)ns + 1) == 0);
		assert_true(pcore_net_backoff(i + 1, (uint64_t)ns / 2) == ns / 2);
		assert_true(pcore_net_backoff(i + 1, UINT64_MAX) <= ns);
	}
	assert_true(pcore_net_backoff(UINT32_MAX, UINT64_MAX / 3) <= 30 * NS_PER_S);
	assert_true(pcore_net_backoff(0, 199) == 199);
}

/* ---- addresses ---- */

static void addresses_are_printed_as_they_are_read(void **state)
{
	static const char *const good[] = { "127.0.0.1:80", "0.0.0.0:0", "[::1]:65535", "[2001:db8::7]:7", "unix:/run/pnode/socket", "unix:x" };
	struct pcore_net_addr addr;
	struct pcore_net_error e;
	char text[PCORE_NET_ADDR_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(pcore_net_addr_parse(&addr, 1, good[i], false, &e), 1);
		assert_string_equal(pcore_net_addr_text(&addr, text), good[i]);
		assert_int_equal(addr.path != NULL, strncmp(good[i], "unix:", 5) == 0);
	}
}

static void bad_addresses_are_told(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{ "", "it has no port: it must be HOST:PORT, [V6]:PORT or unix:PATH" },
		{ "127.0.0.1", "it has no port: it must be HOST:PORT, [V6]:PORT or unix:PATH" },
		{ ":80", "it has no host" },
		{ "[]:80", "it has no host" },
		{ "127.0.0.1:", "the port is not a number up to 65535" },
		{ "127.0.0.1:65536", "the port is not a number up to 65535" },
		{ "127.0.0.1:-1", "the port is not a number up to 65535" },
		{ "127.0.0.1:80x", "the port is not a number up to 65535" },
		{ "127.0.0.1:http", "the port is not a number up to 65535" },
		{ "::1:80", "an IPv6 address must be in brackets: [V6]:PORT" },
		{ "[::1:80", "the ']' before the port is missing" },
		{ "[::1]80", "the ']' before the port is missing" },
		{ "[::1]x:80", "the ']' before the port is missing" },
		{ "example.org:80", "the host is not an address in numbers" },
		{ "256.0.0.1:80", "the host is not an address in numbers" },
		{ "unix:", "the path of the socket is missing" },
		{ "unix:/run/", "the path of the socket is missing" },
	};
	struct pcore_net_addr addr;
	struct pcore_net_error e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		e = (struct pcore_net_error){ 0 };
		assert_int_equal(pcore_net_addr_parse(&addr, 1, bad[i].text, false, &e), -EINVAL);
		assert_int_equal(e.code, -EINVAL);
		assert_string_equal(e.why, bad[i].why);
	}
	assert_int_equal(pcore_net_addr_parse(&addr, 1, "", false, NULL), -EINVAL);
}

static void names_are_looked_up_where_they_may(void **state)
{
	struct pcore_net_addr addr[4];
	struct pcore_net_error e;
	char text[PCORE_NET_ADDR_MAX];
	int n = pcore_net_addr_parse(addr, 4, "localhost:7", true, &e);

	(void)state;
	assert_true(n >= 1 && n <= 4);
	for (int i = 0; i < n; i++) {
		pcore_net_addr_text(&addr[i], text);
		assert_true(strcmp(text, "127.0.0.1:7") == 0 || strcmp(text, "[::1]:7") == 0);
	}
	assert_int_equal(pcore_net_addr_parse(addr, 4, "localhost:7", false, &e), -EINVAL);
	assert_int_equal(pcore_net_addr_parse(addr, 4, "a..b:7", true, &e), -EHOSTUNREACH);
}

static void a_long_path_is_cut_and_escaped_when_printed(void **state)
{
	char text[600] = "unix:/\n", buf[PCORE_NET_ADDR_MAX];
	struct pcore_net_addr addr;
	struct pcore_net_error e;

	(void)state;
	memset(text + 7, 'x', 500);
	assert_int_equal(pcore_net_addr_parse(&addr, 1, text, false, &e), 1);
	pcore_net_addr_text(&addr, buf);
	assert_true(strlen(buf) < sizeof(buf));
	assert_memory_equal(buf, "unix:/\\nxxx", 11);
}

static const struct CMUnitTest tests[] = {
	TEST(a_hello_has_its_layout),
	TEST(a_hello_of_something_else_is_none),
	TEST(the_rest_of_a_hello_is_for_later),
	TEST(a_header_has_its_layout),
	TEST(lengths_are_limited_by_their_kind),
	TEST(a_goodbye_carries_its_reason),
	TEST(a_goodbye_of_any_bytes_is_safe),
	TEST(roles_have_names),
	TEST(identities_are_read_as_they_are_printed),
	TEST(waiting_grows_to_half_a_minute_and_is_random),
	TEST(addresses_are_printed_as_they_are_read),
	TEST(bad_addresses_are_told),
	TEST(names_are_looked_up_where_they_may),
	TEST(a_long_path_is_cut_and_escaped_when_printed),
};

int main(void)
{
	return RUN_TESTS(tests);
}
