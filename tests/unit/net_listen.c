/* SPDX-License-Identifier: MIT */
/*
 * net_listen.c - tests of listeners and of connecting to them: who is let in, how many, and what strangers cost.
 */
#include <arpa/inet.h>
#include <malloc.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/unit/net_support.h"

static char dir[64];

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/pcore-net_listen.XXXXXX");
	return net_before(state) < 0 || !mkdtemp(dir) ? -1 : 0;
}

static int remove_dir(void **state)
{
	return net_after(state) < 0 || rmdir(dir) < 0 ? -1 : 0;
}

#define DIR_TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

static struct pcore_net_addr parse(const char *text)
{
	struct pcore_net_addr addr;
	struct pcore_net_error e;

	assert_int_equal(pcore_net_addr_parse(&addr, 1, text, false, &e), 1);
	return addr;
}

static void connect_to(struct side *s, struct end *e, const struct pcore_net_addr *addr)
{
	struct pcore_net_error error = { 0 };

	if (pcore_net_connect(&e->c, s->net, addr, &end_ops, e, &error) < 0)
		print_error("# %s\n", error.why);
	assert_non_null(e->c);
}

/* A socket of a stranger, from 127.0.0.HOST. */
static int stranger(const struct side *s, unsigned host)
{
	struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000000 + host) };
	const struct pcore_net_addr *to = pcore_net_listener_addr(s->l);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(fd, &to->sa, to->len), 0);
	return fd;
}

static bool hung_up(int fd)
{
	char buf[256];
	ssize_t n;

	do {
		n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
	} while (n > 0);
	return n == 0 || errno != EAGAIN;
}

/* ---- the ordinary way ---- */

static void connections_over_tcp_are_made(void **state)
{
	static const char *const at[] = { "127.0.0.1:0", "[::1]:0" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A), c = side_of(PCORE_NET_NODE, KEY_A);
		struct end a = { 0 }, b = { 0 };
		char text[PCORE_NET_ADDR_MAX];

		listen_at(&s, &b, at[i]);
		connect_to(&c, &a, pcore_net_listener_addr(s.l));
		UNTIL((a.opened && b.opened) || a.closed);
		assert_int_equal(a.opened, 1);
		assert_string_equal(a.peer.address, pcore_net_addr_text(pcore_net_listener_addr(s.l), text));
		assert_memory_equal(b.peer.address, at[i], strlen(at[i]) - 1);
		assert_int_equal(pcore_net_send(b.c, 256, 0, 1, "hi", 2), 0);
		UNTIL(a.n_frames == 1);
		assert_int_equal(pcore_net_stats(s.net)->accepted, 1);
		assert_int_equal(pcore_net_stats(s.net)->opened, 1);
		ends_done(&a, &b);
		side_done(&c);
		side_done(&s);
	}
}

/* Find the only TCP socket that is connected to port, and tell what it is set to. */
static int option_of(uint16_t port, int level, int name)
{
	for (int fd = 3; fd < 64; fd++) {
		struct sockaddr_in peer;
		socklen_t len = sizeof(peer);
		int value = -1;

		if (getpeername(fd, (struct sockaddr *)&peer, &len) < 0 || peer.sin_family != AF_INET || ntohs(peer.sin_port) != port)
			continue;
		len = sizeof(value);
		assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
		return value;
	}
	return -1;
}

static void a_dead_link_is_found_by_the_kernel_too(void **state)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A), c = side_of(PCORE_NET_NODE, KEY_A);
	struct end a = { 0 }, b = { 0 };
	uint16_t port;

	(void)state;
	listen_at(&s, &b, "127.0.0.1:0");
	port = ntohs(pcore_net_listener_addr(s.l)->in.sin_port);
	connect_to(&c, &a, pcore_net_listener_addr(s.l));
	UNTIL(a.opened && b.opened);
	for (int side = 0; side < 2; side++) {
		if (side == 1) /* the accepted one */
			port = (uint16_t)strtoul(strchr(b.peer.address, ':') + 1, NULL, 10);
		assert_int_equal(option_of(port, SOL_SOCKET, SO_KEEPALIVE), 1);
		assert_int_equal(option_of(port, IPPROTO_TCP, TCP_USER_TIMEOUT), 30000);
		assert_int_equal(option_of(port, IPPROTO_TCP, TCP_KEEPIDLE), 5);
		assert_int_equal(option_of(port, IPPROTO_TCP, TCP_KEEPINTVL), 5);
		assert_int_equal(option_of(port, IPPROTO_TCP, TCP_NODELAY), 1);
	}
	ends_done(&a, &b);
	side_done(&c);
	side_done(&s);
}

static void there_is_no_tcp_without_a_key(void **state)
{
	struct side s = side_of(PCORE_NET_NODE, NULL);
	struct pcore_net_addr addr = parse("127.0.0.1:7");
	struct pcore_net_listener *l;
	struct pcore_net_conn *conn;
	struct pcore_net_error e;
	struct end a = { 0 };

	(void)state;
	assert_int_equal(pcore_net_listen(&l, s.net, &addr, &side_ops, &s, &e), -ENOKEY);
	assert_string_equal(e.why, "TCP needs a key or a certificate, on loopback too; without, listen on unix:PATH");
	assert_int_equal(pcore_net_connect(&conn, s.net, &addr, &end_ops, &a, &e), -ENOKEY);
	side_done(&s);
}

static void a_refused_connection_is_told(void **state)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A), c = side_of(PCORE_NET_NODE, KEY_A);
	struct end a = { 0 };
	struct pcore_net_addr addr;

	(void)state;
	listen_at(&s, NULL, "127.0.0.1:0");
	addr = *pcore_net_listener_addr(s.l);
	side_done(&s); /* nobody is there any more */
	connect_to(&c, &a, &addr);
	UNTIL(a.closed);
	assert_int_equal(a.opened, 0);
	assert_int_equal(a.error.code, -ECONNREFUSED);
	assert_string_equal(a.error.why, "Connection refused");
	side_done(&c);
}

static void a_port_that_is_taken_is_told(void **state)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A);
	struct pcore_net_listener *l;
	struct pcore_net_error e;

	(void)state;
	listen_at(&s, NULL, "127.0.0.1:0");
	assert_int_equal(pcore_net_listen(&l, s.net, pcore_net_listener_addr(s.l), &side_ops, &s, &e), -EADDRINUSE);
	assert_string_equal(e.why, "Address already in use");
	side_done(&s);
}

static void nobody_who_answers_is_waited_for_only_so_long(void **state)
{
	struct side c = side_with(KEY_A, &(struct pcore_net_spec){ .role = PCORE_NET_NODE, .limits.handshake_ns = 50 * NS_PER_MS });
	struct pcore_net_addr addr = parse("127.0.0.1:0");
	struct end a = { 0 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_int_equal(bind(fd, &addr.sa, addr.len), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, &addr.sa, &addr.len), 0);
	connect_to(&c, &a, &addr);
	UNTIL(a.closed);
	assert_int_equal(a.error.code, -ETIMEDOUT);
	assert_string_equal(a.error.why, "the peer has not said hello in time");
	pcore_fd_close(fd);
	side_done(&c);
}

/* ---- strangers ---- */

static void a_stranger_that_says_nothing_is_hung_up_on(void **state)
{
	struct side s = side_with(KEY_A, &(struct pcore_net_spec){ .role = PCORE_NET_SCHEDULER, .limits.handshake_ns = 50 * NS_PER_MS });
	int fd;

	(void)state;
	listen_at(&s, NULL, "127.0.0.1:0");
	fd = stranger(&s, 1);
	UNTIL(s.n_refused == 1);
	assert_int_equal(s.refused.code, -ETIMEDOUT);
	assert_true(hung_up(fd));
	pcore_fd_close(fd);
	side_done(&s);
}

static void a_byte_now_and_then_buys_no_time(void **state)
{
	struct side s = side_with(KEY_A, &(struct pcore_net_spec){ .role = PCORE_NET_SCHEDULER, .limits.handshake_ns = 200 * NS_PER_MS });
	static const char start[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
	int64_t begun = pcore_now_ns();
	unsigned n = 0;
	int fd;

	(void)state;
	listen_at(&s, NULL, "127.0.0.1:0");
	fd = stranger(&s, 1);
	while (s.n_refused == 0) {
		/* one more as soon as the last has been looked at, but the handshake is never whole */
		if (n < 500)
			(void)send(fd, n < sizeof(start) - 1 ? start + n : "x", 1, MSG_NOSIGNAL);
		n++;
		turn();
	}
	assert_int_equal(s.refused.code, -ETIMEDOUT);
	assert_true(pcore_now_ns() - begun >= 200 * NS_PER_MS);
	assert_true(hung_up(fd));
	pcore_fd_close(fd);
	side_done(&s);
}

static void too_many_bytes_before_the_hello_are_too_many(void **state)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, NULL);
	struct side t = side_with(KEY_A, &(struct pcore_net_spec){ .role = PCORE_NET_SCHEDULER, .limits.preauth_bytes = 1000 });
	static const char start[] = "\x16\x03\x01\x3f\xff\x01\x00\x3f\xfb\x03\x03"; /* of a long one */
	char bytes[1001] = "";
	int fd;

	(void)state;
	side_done(&s);
	listen_at(&t, NULL, "127.0.0.1:0");
	fd = stranger(&t, 1);
	memcpy(bytes, start, sizeof(start) - 1);
	assert_int_equal(send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL), sizeof(bytes));
	UNTIL(t.n_refused == 1);
	assert_int_equal(t.refused.code, -EPROTO);
	assert_string_equal(t.refused.why, "the peer has sent too much before its hello");
	assert_true(hung_up(fd));
	pcore_fd_close(fd);
	side_done(&t);
}

static void one_address_cannot_take_all_places(void **state)
{
	struct side s = side_with(KEY_A, &(struct pcore_net_spec){ .role = PCORE_NET_SCHEDULER,
						 .limits = { .preauth_max = 5, .preauth_same = 2 } });
	struct side c = side_of(PCORE_NET_NODE, KEY_A);
	struct end a = { 0 }, b = { 0 };
	int fd[3];

	(void)state;
	listen_at(&s, &b, "127.0.0.1:0");
	for (int i = 0; i < 3; i++)
		fd[i] = stranger(&s, 7);
	UNTIL(s.n_refused == 1);
	assert_int_equal(s.refused.code, -EBUSY);
	assert_int_equal(pcore_net_stats(s.net)->throttled, 1);
	assert_false(hung_up(fd[0]));
	assert_false(hung_up(fd[1]));
	assert_true(hung_up(fd[2]));
	connect_to(&c, &a, pcore_net_listener_addr(s.l));
	UNTIL(a.opened && b.opened);
	ends_done(&a, &b);
	for (int i = 0; i < 3; i++)
		pcore_fd_close(fd[i]);
	UNTIL(s.n_refused == 3);
	side_done(&c);
	side_done(&s);
}

/* Deliveries within so many milliseconds: what spins has thousands. */
struct alarm {
	struct pcore_op op;
	bool due;
};

static void alarm_done(struct pcore_op *op, int res)
{
	(void)res;
	container_of(op, struct alarm, op)->due = true;
}

static int deliveries_within(int64_t ms)
{
	struct alarm alarm = { .op.done = alarm_done };
	int n = 0;

	assert_int_equal(pcore_op_timer(lp, &alarm.op, PCORE_CLOCK_MONOTONIC, pcore_now_ns() + ms * NS_PER_MS), 0);
	while (!alarm.due)
		n += pcore_loop_turn(lp, true);
	return n;
}

static void no_more_are_let_in_than_so_many_a_second(void **state)
{
	struct side s = side_with(KEY_A, &(struct pcore_net_spec){ .role = PCORE_NET_SCHEDULER, .limits.accept_rate = 50 });
	int64_t begun = pcore_now_ns();

	(void)state;
	listen_at(&s, NULL, "127.0.0.1:0");
	for (unsigned i = 0; i < 21; i++)
		pcore_fd_close(stranger(&s, 1));
	UNTIL(pcore_net_stats(s.net)->refused == 21);
	assert_true(pcore_now_ns() - begun >= 400 * NS_PER_MS); /* five in each 100 ms */
	assert_true(deliveries_within(200) < 20);
	side_done(&s);
}

static void those_beyond_the_limit_wait_and_cost_nothing(void **state)
{
	struct side s = side_with(KEY_A, &(struct pcore_net_spec){ .role = PCORE_NET_SCHEDULER,
						 .limits = { .preauth_max = 3, .preauth_same = 1 } });
	struct side c = side_of(PCORE_NET_NODE, KEY_A);
	struct end a[2] = { { 0 } }, b[2] = { { 0 } };
	int fd[3];

	(void)state;
	listen_at(&s, b, "127.0.0.1:0");
	connect_to(&c, &a[0], pcore_net_listener_addr(s.l));
	UNTIL(a[0].opened && b[0].opened);
	for (unsigned i = 0; i < 3; i++)
		fd[i] = stranger(&s, 10 + i);
	UNTIL(pcore_net_stats(s.net)->accepted == 4);
	connect_to(&c, &a[1], pcore_net_listener_addr(s.l)); /* has to wait */
	assert_true(deliveries_within(100) < 20);
	assert_int_equal(a[1].opened, 0);
	assert_int_equal(pcore_net_send(a[0].c, 256, 0, 1, "x", 1), 0); /* those who are in notice nothing */
	UNTIL(b[0].n_frames == 1);
	fd[0] = pcore_fd_close(fd[0]);
	UNTIL(a[1].opened && b[1].opened);
	ends_done(&a[0], &b[0]);
	ends_done(&a[1], &b[1]);
	pcore_fd_close(fd[1]);
	pcore_fd_close(fd[2]);
	UNTIL(s.n_refused == 3);
	side_done(&c);
	side_done(&s);
}

static void without_descriptors_strangers_are_hung_up_on_without_a_spin(void **state)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A), c = side_of(PCORE_NET_NODE, KEY_A);
	struct rlimit old, none;
	struct end a = { 0 }, b = { 0 };
	int fd;

	(void)state;
	listen_at(&s, &b, "127.0.0.1:0");
	fd = stranger(&s, 1);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = (rlim_t)fd + 1; /* the lowest that is free is above */
	for (int i = 0; i < fd; i++)
		assert_true(fcntl(i, F_GETFD) >= 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	UNTIL(s.n_refused == 1);
	assert_true(deliveries_within(250) < 30);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(s.refused.code, -EMFILE);
	assert_int_equal(pcore_net_stats(s.net)->throttled, 1);
	assert_true(hung_up(fd));
	pcore_fd_close(fd);
	connect_to(&c, &a, pcore_net_listener_addr(s.l));
	UNTIL(a.opened && b.opened);
	ends_done(&a, &b);
	side_done(&c);
	side_done(&s);
}

static void a_flood_fills_no_log(void **state)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A);
	unsigned n = 0;

	(void)state;
	listen_at(&s, NULL, "127.0.0.1:0");
	for (; n < 40; n++) {
		int fd = stranger(&s, 1 + n % 5);

		assert_int_equal(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 18);
		pcore_fd_close(fd);
		UNTIL(pcore_net_stats(s.net)->refused == n + 1);
	}
	assert_string_equal(s.refused.why, "the peer speaks HTTP");
	/* Five a second; what was left out is counted. */
	assert_true(deliveries_within(1000) >= 0);
	assert_true(s.n_refused < n);
	pcore_fd_close(stranger(&s, 1));
	UNTIL(s.n_refused + s.untold == n + 1);
	side_done(&s);
}

static void a_listener_can_stop_while_strangers_are_there(void **state)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A);
	int fd[2];

	(void)state;
	listen_at(&s, NULL, "127.0.0.1:0");
	fd[0] = stranger(&s, 1);
	UNTIL(pcore_net_stats(s.net)->accepted == 1);
	fd[1] = stranger(&s, 1); /* is not accepted yet */
	side_done(&s);
	for (int i = 0; i < 2; i++) {
		assert_true(hung_up(fd[i]));
		pcore_fd_close(fd[i]);
	}
}

/* ---- Unix sockets ---- */

static char *in_dir(const char *name)
{
	static char text[PATH_MAX];

	snprintf(text, sizeof(text), "unix:%s/%s", dir, name);
	return text;
}

static void connections_over_unix_sockets_are_made_without_tls(void **state)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, NULL), c = side_of(PCORE_NET_NODE, NULL);
	struct end a = { 0 }, b = { 0 };
	char process[96], *at = in_dir("run/socket");
	struct stat st;

	(void)state;
	listen_at(&s, &b, at);
	snprintf(process, sizeof(process), "%s/run", dir);
	assert_int_equal(stat(process, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	connect_to(&c, &a, pcore_net_listener_addr(s.l));
	UNTIL(a.opened && b.opened);
	assert_string_equal(a.peer.address, at);
	snprintf(process, sizeof(process), "process %d", getpid());
	assert_string_equal(b.peer.address, process);
	assert_int_equal(pcore_net_send(a.c, 256, 0, 1, "x", 1), 0);
	UNTIL(b.n_frames == 1);
	ends_done(&a, &b);
	side_done(&c);
	side_done(&s);
	assert_int_equal(access(at + 5, F_OK), -1); /* it is removed with its listener */
	snprintf(process, sizeof(process), "%s/run", dir);
	assert_int_equal(rmdir(process), 0);
}

static void the_length_of_a_path_is_no_limit(void **state)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, NULL), c = side_of(PCORE_NET_NODE, NULL);
	struct end a = { 0 }, b = { 0 };
	char name[240] = "", path[320], *at;

	(void)state;
	memset(name, 'd', 200);
	strcat(name, "/socket");
	at = in_dir(name);
	listen_at(&s, &b, at);
	connect_to(&c, &a, pcore_net_listener_addr(s.l));
	UNTIL(a.opened && b.opened);
	ends_done(&a, &b);
	side_done(&c);
	side_done(&s);
	snprintf(path, sizeof(path), "%s/%.200s", dir, name);
	assert_int_equal(rmdir(path), 0);
}

static void expect_no_listener(const char *at, int code, const char *why)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, NULL);
	struct pcore_net_addr addr = parse(at);
	struct pcore_net_listener *l;
	struct pcore_net_error e;

	assert_int_equal(pcore_net_listen(&l, s.net, &addr, &side_ops, &s, &e), code);
	assert_string_equal(e.why, why);
	side_done(&s);
}

static void a_directory_open_to_others_is_refused(void **state)
{
	(void)state;
	assert_int_equal(chmod(dir, 0711), 0);
	expect_no_listener(in_dir("socket"), -EPERM, "its directory must be ours and closed to others (mode 0700)");
	assert_int_equal(chmod(dir, 0700), 0);
	expect_no_listener("unix:/tmp/pcore-never", -EPERM, "its directory must be ours and closed to others (mode 0700)");
	expect_no_listener(in_dir("no/such/socket"), -ENOENT, "No such file or directory");
}

static void what_is_there_already_is_left_alone(void **state)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, NULL);
	char path[80], at[80];
	int fd;

	(void)state;
	snprintf(at, sizeof(at), "%.70s", in_dir("socket"));
	listen_at(&s, NULL, at); /* somebody listens */
	expect_no_listener(in_dir("socket"), -EADDRINUSE, "Address already in use");
	snprintf(path, sizeof(path), "%s/link", dir);
	assert_int_equal(symlink("socket", path), 0);
	expect_no_listener(in_dir("link"), -EADDRINUSE, "Address already in use");
	assert_int_equal(unlink(path), 0);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	pcore_fd_close(fd);
	expect_no_listener(in_dir("link"), -EADDRINUSE, "Address already in use");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("nowhere", path), 0);
	expect_no_listener(in_dir("link"), -EADDRINUSE, "Address already in use");
	assert_int_equal(unlink(path), 0);
	side_done(&s);
}

static void a_socket_that_is_left_over_is_replaced(void **state)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, NULL), c = side_of(PCORE_NET_NODE, NULL);
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct end a = { 0 }, b = { 0 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	snprintf(at.sun_path, sizeof(at.sun_path), "%s/socket", dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 1), 0);
	pcore_fd_close(fd);
	listen_at(&s, &b, in_dir("socket"));
	connect_to(&c, &a, pcore_net_listener_addr(s.l));
	UNTIL(a.opened && b.opened);
	ends_done(&a, &b);
	side_done(&c);
	side_done(&s);
}

static void nobody_there_is_told(void **state)
{
	struct side c = side_of(PCORE_NET_NODE, NULL);
	struct pcore_net_addr addr = parse(in_dir("socket"));
	struct pcore_net_conn *conn;
	struct pcore_net_error e;
	struct end a = { 0 };

	(void)state;
	connect_to(&c, &a, &addr);
	UNTIL(a.closed);
	assert_int_equal(a.error.code, -ENOENT);
	addr = parse(in_dir("no/socket"));
	assert_int_equal(pcore_net_connect(&conn, c.net, &addr, &end_ops, &a, &e), -ENOENT);
	side_done(&c);
}

/* A child that becomes somebody else, connects, and ends when it is hung up on. */
static pid_t connect_as_nobody(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	pid_t pid = fork();
	char byte;
	int fd;

	if (pid != 0)
		return pid;
	snprintf(at.sun_path, sizeof(at.sun_path), "%.100s", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (setresuid(65534, 65534, 65534) < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		_exit(1);
	_exit(recv(fd, &byte, 1, 0) <= 0 ? 0 : 2);
}

static void other_users_do_not_get_through(void **state)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, NULL);
	char *at = in_dir("socket");
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip(); /* needs root, to become somebody else */
	listen_at(&s, NULL, at);
	assert_int_equal(chmod(dir, 0711), 0);
	assert_int_equal(chmod(at + 5, 0666), 0);
	pid = connect_as_nobody(at + 5);
	assert_true(pid > 0);
	UNTIL(s.n_refused == 1);
	assert_int_equal(s.refused.code, -EACCES);
	assert_non_null(strstr(s.refused.why, "of user 65534 is neither ours nor root's"));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(chmod(dir, 0700), 0);
	side_done(&s);
}

/* ---- many ---- */

enum { MANY = 1000 };

static void allow_descriptors(rlim_t n)
{
	struct rlimit fds;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &fds), 0);
	if (fds.rlim_cur >= n)
		return;
	fds.rlim_cur = fds.rlim_max < n ? fds.rlim_max : n;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &fds), 0);
}

static void a_thousand_idle_connections_need_little_memory(void **state)
{
	struct pcore_net_limits limits = { .preauth_same = 64 };
	struct side s = side_with(KEY_A, &(struct pcore_net_spec){ .role = PCORE_NET_SCHEDULER, .limits = limits });
	struct side c = side_of(PCORE_NET_NODE, KEY_A);
	struct end *a = calloc(MANY, sizeof(*a)), *b = calloc(MANY, sizeof(*b));
	size_t before, each;

	(void)state;
	allow_descriptors(2 * MANY + 100);
	listen_at(&s, b, "127.0.0.1:0");
	before = mallinfo2().uordblks;
	for (unsigned i = 0; i < MANY; i++) {
		connect_to(&c, &a[i], pcore_net_listener_addr(s.l));
		UNTIL(a[i].opened && b[i].opened);
	}
	each = (mallinfo2().uordblks - before) / (2 * MANY);
	print_message("# %zu bytes for one side of a connection\n", each);
#ifndef __SANITIZE_ADDRESS__
	assert_true(each > 1000);
	assert_true(each < 24 * 1024);
#endif
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(pcore_net_send(b[i].c, 256, 0, i, "x", 1), 0);
	for (unsigned i = 0; i < MANY; i++)
		UNTIL(a[i].n_frames == 1);
	for (unsigned i = 0; i < MANY; i++)
		pcore_net_close(a[i].c);
	for (unsigned i = 0; i < MANY; i++)
		UNTIL(a[i].closed && b[i].closed);
	side_done(&c);
	side_done(&s);
	free(a);
	free(b);
}

static const struct CMUnitTest tests[] = {
	NET_TEST(connections_over_tcp_are_made),
	NET_TEST(a_dead_link_is_found_by_the_kernel_too),
	NET_TEST(there_is_no_tcp_without_a_key),
	NET_TEST(a_refused_connection_is_told),
	NET_TEST(a_port_that_is_taken_is_told),
	NET_TEST(nobody_who_answers_is_waited_for_only_so_long),
	NET_TEST(a_stranger_that_says_nothing_is_hung_up_on),
	NET_TEST(a_byte_now_and_then_buys_no_time),
	NET_TEST(too_many_bytes_before_the_hello_are_too_many),
	NET_TEST(one_address_cannot_take_all_places),
	NET_TEST(no_more_are_let_in_than_so_many_a_second),
	NET_TEST(those_beyond_the_limit_wait_and_cost_nothing),
	NET_TEST(without_descriptors_strangers_are_hung_up_on_without_a_spin),
	NET_TEST(a_flood_fills_no_log),
	NET_TEST(a_listener_can_stop_while_strangers_are_there),
	DIR_TEST(connections_over_unix_sockets_are_made_without_tls),
	DIR_TEST(the_length_of_a_path_is_no_limit),
	DIR_TEST(a_directory_open_to_others_is_refused),
	DIR_TEST(what_is_there_already_is_left_alone),
	DIR_TEST(a_socket_that_is_left_over_is_replaced),
	DIR_TEST(nobody_there_is_told),
	DIR_TEST(other_users_do_not_get_through),
	NET_TEST(a_thousand_idle_connections_need_little_memory),
};

int main(void)
{
	return RUN_TESTS(tests);
}
