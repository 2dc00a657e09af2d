/* SPDX-License-Identifier: MIT */
/*
 * channel.c - tests of libcore/ipc/channel: messages between two ends, and descriptors along with them.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcore/ipc/ipc.h"
#include "tests/unit/support.h"

static char dir[] = "/tmp/pcore-channel.XXXXXX";
static int dfd;

static int64_t in_ms(int64_t ms)
{
	return pcore_now_ns() + ms * NS_PER_MS;
}

static int send_text(struct pcore_channel *c, const char *s)
{
	return pcore_channel_send_until(c, s, strlen(s), NULL, 0, in_ms(10000));
}

/* The next message as text, or NULL with *ret_error. */
static const char *recv_text(struct pcore_channel *c, size_t max, int *ret_error)
{
	static char text[256];
	struct pcore_buf buf = PCORE_BUF_INIT(0);

	*ret_error = pcore_channel_recv_until(c, &buf, max, NULL, NULL, in_ms(10000));
	snprintf(text, sizeof(text), "%.*s", (int)buf.len, buf.data ? buf.data : "");
	pcore_buf_done(&buf);
	return *ret_error == 1 ? text : "none";
}

static void messages_keep_their_bounds_both_ways(void **state)
{
	struct pcore_channel *c[2];
	int e;

	(void)state;
	assert_int_equal(pcore_channel_pair(c), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pcore_channel_poll_until(c[!i], 0), -EAGAIN);
		assert_int_equal(send_text(c[i], "one"), 0);
		assert_int_equal(send_text(c[i], ""), 0);
		assert_int_equal(send_text(c[i], "three"), 0);
		assert_int_equal(pcore_channel_poll_until(c[!i], in_ms(10000)), 1);
		assert_string_equal(recv_text(c[!i], 100, &e), "one");
		assert_string_equal(recv_text(c[!i], 100, &e), "");
		assert_string_equal(recv_text(c[!i], 100, &e), "three");
	}
	pcore_channel_free(c[0]);
	assert_int_equal(pcore_channel_poll_until(c[1], 0), 1);
	recv_text(c[1], 100, &e);
	assert_int_equal(e, 0);
	assert_int_equal(send_text(c[1], "x"), -EPIPE);
	pcore_channel_free(c[1]);
}

static void what_was_sent_before_a_close_is_received(void **state)
{
	struct pcore_channel *c[2];
	int e;

	(void)state;
	assert_int_equal(pcore_channel_pair(c), 0);
	assert_int_equal(send_text(c[1], "unread"), 0);
	assert_int_equal(send_text(c[0], "last"), 0);
	pcore_channel_free(c[0]); /* with something unread in it */
	assert_string_equal(recv_text(c[1], 100, &e), "last");
	recv_text(c[1], 100, &e);
	assert_int_equal(e, 0);
	pcore_channel_free(c[1]);
}

static void a_message_that_is_too_long_is_kept(void **state)
{
	struct pcore_channel *c[2];
	int e;

	(void)state;
	assert_int_equal(pcore_channel_pair(c), 0);
	assert_int_equal(send_text(c[0], "123456"), 0);
	for (int i = 0; i < 2; i++) {
		recv_text(c[1], 5, &e);
		assert_int_equal(e, -EMSGSIZE);
		assert_int_equal(pcore_channel_poll_until(c[1], 0), 1);
	}
	assert_string_equal(recv_text(c[1], 6, &e), "123456");
	pcore_channel_free(c[0]);
	pcore_channel_free(c[1]);
}

static void an_end_in_the_middle_of_a_message_is_told(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} cut[] = { { "\5\0\0", 3 }, { "\5\0\0\0\0\0\0\0", 8 }, { "\5\0\0\0\0\0\0\0ab", 10 }, { "\0\0\0\0\xff\xff\xff\xff", 8 } };
	struct pcore_channel *c[2];
	int e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cut); i++) {
		assert_int_equal(pcore_channel_pair(c), 0);
		assert_int_equal(send(pcore_channel_fd(c[0]), cut[i].bytes, cut[i].len, 0), cut[i].len);
		pcore_channel_free(c[0]);
		recv_text(c[1], 100, &e);
		assert_int_equal(e, -EBADMSG);
		pcore_channel_free(c[1]);
	}
}

static void *send_large(void *arg)
{
	size_t len = 4 << 20;
	char *data = malloc(len);
	int e;

	memset(data, 'x', len);
	data[len - 1] = 'y';
	e = pcore_channel_send_until(arg, data, len, NULL, 0, in_ms(10000));
	free(data);
	return (void *)(intptr_t)e;
}

static void a_message_larger_than_the_socket_passes(void **state)
{
	struct pcore_channel *c[2];
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	pthread_t t;
	void *e;

	(void)state;
	assert_int_equal(pcore_channel_pair(c), 0);
	assert_int_equal(pthread_create(&t, NULL, send_large, c[0]), 0);
	assert_int_equal(pcore_channel_recv_until(c[1], &buf, 4 << 20, NULL, NULL, in_ms(10000)), 1);
	pthread_join(t, &e);
	assert_null(e);
	assert_int_equal(buf.len, 4 << 20);
	assert_int_equal(buf.data[buf.len - 1], 'y');
	pcore_buf_done(&buf);
	pcore_channel_free(c[0]);
	pcore_channel_free(c[1]);
}

static void hundreds_of_descriptors_pass(void **state)
{
	struct rlimit limit, more;
	struct pcore_channel *c[2];
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	int fds[601], got[601];
	size_t n = 600, none = 0;
	struct stat a, b;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	more = limit;
	more.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
	if (more.rlim_cur < 1300)
		skip();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &more), 0);
	assert_int_equal(pcore_channel_pair(c), 0);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = open(i % 2 ? "/dev/null" : "/dev/zero", O_RDONLY | O_CLOEXEC);
	assert_int_equal(pcore_channel_send_until(c[0], "many", 4, fds, 601, in_ms(10000)), 0);
	assert_int_equal(pcore_channel_recv_until(c[1], &buf, 100, got, &n, in_ms(10000)), -EMSGSIZE); /* kept */
	n = 601;
	assert_int_equal(pcore_channel_recv_until(c[1], &buf, 100, got, &n, in_ms(10000)), 1);
	assert_int_equal(n, 601);
	assert_int_equal(buf.len, 4);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(fstat(fds[i], &a), 0);
		assert_int_equal(fstat(got[i], &b), 0);
		assert_int_equal(a.st_rdev, b.st_rdev);
		assert_int_equal(fcntl(got[i], F_GETFD), FD_CLOEXEC);
		close(got[i]);
	}
	close(fds[600]);
	assert_int_equal(pcore_channel_send_until(c[0], "", 0, fds, 601, 0), -EBADF);
	assert_int_equal(pcore_channel_recv_until(c[1], &buf, 100, NULL, &none, 0), -EAGAIN); /* nothing was sent */
	for (size_t i = 0; i < 600; i++)
		close(fds[i]);
	pcore_buf_done(&buf);
	pcore_channel_free(c[0]);
	pcore_channel_free(c[1]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void deadlines_are_kept(void **state)
{
	struct pcore_channel *c[2];
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	int64_t from = pcore_now_ns();
	int e = 0;

	(void)state;
	assert_int_equal(pcore_channel_open_at(c, dfd, "c", PCORE_CHANNEL_DUPLEX, 0), -EAGAIN);
	assert_int_equal(pcore_channel_open_at(c, dfd, "c", PCORE_CHANNEL_DUPLEX, in_ms(20)), -ETIMEDOUT);
	assert_true(pcore_now_ns() - from >= 20 * NS_PER_MS);
	assert_int_equal(unlinkat(dfd, "c", 0), 0);

	assert_int_equal(pcore_channel_pair(c), 0);
	assert_int_equal(pcore_channel_recv_until(c[0], &buf, 100, NULL, NULL, 0), -EAGAIN);
	assert_int_equal(pcore_channel_recv_until(c[0], &buf, 100, NULL, NULL, in_ms(20)), -ETIMEDOUT);
	assert_int_equal(pcore_channel_poll_until(c[0], in_ms(20)), -ETIMEDOUT);
	while (e == 0)
		e = pcore_channel_send_until(c[0], "0123456789", 10, NULL, 0, 0);
	assert_int_equal(e, -EAGAIN);
	assert_int_equal(pcore_channel_send_until(c[0], "x", 1, NULL, 0, in_ms(20)), -ETIMEDOUT);
	pcore_channel_free(c[0]);
	pcore_channel_free(c[1]);
}

struct opener {
	enum pcore_channel_mode mode;
	struct pcore_channel *c;
	int result;
	pthread_t thread;
};

static void *open_end(void *arg)
{
	struct opener *o = arg;

	o->result = pcore_channel_open_at(&o->c, dfd, "c", o->mode, in_ms(10000));
	return NULL;
}

static void open_both(struct opener o[2])
{
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&o[i].thread, NULL, open_end, &o[i]), 0);
	for (int i = 0; i < 2; i++) {
		pthread_join(o[i].thread, NULL);
		assert_int_equal(o[i].result, 0);
	}
}

static void two_find_each_other_by_name_and_a_third_is_refused(void **state)
{
	struct opener o[2] = { { .mode = PCORE_CHANNEL_DUPLEX }, { .mode = PCORE_CHANNEL_DUPLEX } };
	struct pcore_channel *third;
	int e;

	(void)state;
	for (int first = 0; first < 2; first++) {
		open_both(o);
		assert_int_equal(send_text(o[0].c, "hello"), 0);
		assert_string_equal(recv_text(o[1].c, 100, &e), "hello");
		assert_int_equal(pcore_channel_open_at(&third, dfd, "c", PCORE_CHANNEL_DUPLEX, in_ms(1000)), -EBUSY);
		pcore_channel_free(o[first].c); /* one end is still open */
		assert_int_equal(pcore_channel_open_at(&third, dfd, "c", PCORE_CHANNEL_DUPLEX, in_ms(1000)), -EBUSY);
		pcore_channel_free(o[!first].c);
	}
	assert_int_equal(unlinkat(dfd, "c", 0), 0);
}

static void an_end_for_one_direction_keeps_to_it(void **state)
{
	struct opener o[2] = { { .mode = PCORE_CHANNEL_SEND }, { .mode = PCORE_CHANNEL_RECV } };
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	int e;

	(void)state;
	open_both(o);
	assert_int_equal(send_text(o[1].c, "x"), -EPERM);
	assert_int_equal(pcore_channel_recv_until(o[0].c, &buf, 100, NULL, NULL, 0), -EPERM);
	assert_int_equal(send_text(o[0].c, "x"), 0);
	pcore_channel_free(TAKE_PTR(o[0].c));
	assert_string_equal(recv_text(o[1].c, 100, &e), "x");
	recv_text(o[1].c, 100, &e);
	assert_int_equal(e, 0);
	pcore_channel_free(o[1].c);
	assert_int_equal(unlinkat(dfd, "c", 0), 0);
}

static void an_end_that_has_finished_still_receives(void **state)
{
	struct pcore_channel *c[2];
	int e;

	(void)state;
	assert_int_equal(pcore_channel_pair(c), 0);
	assert_int_equal(pcore_channel_finish(c[0]), 0);
	recv_text(c[1], 100, &e);
	assert_int_equal(e, 0);
	assert_int_equal(pcore_channel_join_until(c[1], in_ms(10)), -ETIMEDOUT);
	assert_int_equal(send_text(c[1], "x"), 0);
	assert_string_equal(recv_text(c[0], 100, &e), "x");
	assert_int_equal(pcore_channel_finish(c[1]), 0);
	assert_int_equal(pcore_channel_join_until(c[1], in_ms(10000)), 0);
	pcore_channel_free(c[0]);
	pcore_channel_free(c[1]);
}

static void what_is_no_file_is_no_name(void **state)
{
	struct pcore_channel *c;

	(void)state;
	assert_int_equal(mkdirat(dfd, "d", 0700), 0);
	assert_int_equal(pcore_channel_open_at(&c, dfd, "d", PCORE_CHANNEL_DUPLEX, 0), -EISDIR);
	assert_int_equal(unlinkat(dfd, "d", AT_REMOVEDIR), 0);
	assert_int_equal(symlinkat("/dev/null", dfd, "d"), 0);
	assert_int_equal(pcore_channel_open_at(&c, dfd, "d", PCORE_CHANNEL_DUPLEX, 0), -ELOOP);
	assert_int_equal(unlinkat(dfd, "d", 0), 0);
	assert_int_equal(pcore_channel_open_at(&c, dfd, "no/such", PCORE_CHANNEL_DUPLEX, 0), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(messages_keep_their_bounds_both_ways),
		TEST(what_was_sent_before_a_close_is_received),
		TEST(a_message_that_is_too_long_is_kept),
		TEST(an_end_in_the_middle_of_a_message_is_told),
		TEST(a_message_larger_than_the_socket_passes),
		TEST(hundreds_of_descriptors_pass),
		TEST(deadlines_are_kept),
		TEST(two_find_each_other_by_name_and_a_third_is_refused),
		TEST(an_end_for_one_direction_keeps_to_it),
		TEST(an_end_that_has_finished_still_receives),
		TEST(what_is_no_file_is_no_name),
	};
	int r;

	if (!mkdtemp(dir))
		return 1;
	dfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = RUN_TESTS(tests);
	close(dfd);
	return rmdir(dir) < 0 ? 1 : r;
}
