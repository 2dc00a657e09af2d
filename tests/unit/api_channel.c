/* SPDX-License-Identifier: MIT */
/*
 * api_channel.c - tests of <pcore/channel.h>.
 */
#include <pcore/channel.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "tests/unit/support.h"

static char dir[] = "/tmp/pcore-api-channel.XXXXXX";

static const int64_t soon = 50 * INT64_C(1000000);

static void expect(struct pcore_channel *c, const char *text)
{
	char *data = NULL;
	size_t size = 0;

	assert_int_equal(pcore_channel_recv(c, &data, &size, PCORE_FOREVER), 1);
	assert_int_equal(size, strlen(text));
	assert_string_equal(data, text);
	free(data);
}

static void messages_come_out_as_they_went_in(void **state)
{
	struct pcore_channel *c[2];
	char *data = NULL;

	(void)state;
	assert_int_equal(pcore_channel_pair(c), 0);
	assert_int_equal(pcore_channel_recv(c[1], &data, NULL, 0), -EAGAIN);
	assert_int_equal(pcore_channel_recv(c[1], &data, NULL, soon), -ETIMEDOUT);
	assert_int_equal(pcore_channel_poll(c[1], 0), -EAGAIN);
	assert_int_equal(pcore_channel_send(c[0], "one", 3, 0), 0);
	assert_int_equal(pcore_channel_send(c[0], "", 0, 0), 0);
	assert_int_equal(pcore_channel_send(c[1], "back", 4, PCORE_FOREVER), 0);
	assert_int_equal(pcore_channel_poll(c[1], PCORE_FOREVER), 1);
	assert_int_equal(poll(&(struct pollfd){ pcore_channel_fd(c[1]), POLLIN, 0 }, 1, 0), 1);
	expect(c[1], "one");
	expect(c[1], "");
	expect(c[0], "back");
	assert_int_equal(pcore_channel_finish(c[0]), 0);
	assert_int_equal(pcore_channel_recv(c[1], &data, NULL, PCORE_FOREVER), 0);
	assert_int_equal(pcore_channel_join(c[1], soon), -ETIMEDOUT);
	pcore_channel_free(c[0]);
	assert_int_equal(pcore_channel_join(c[1], PCORE_FOREVER), 0);
	assert_int_equal(pcore_channel_send(c[1], "x", 1, 0), -EPIPE);
	assert_null(data);
	pcore_channel_free(c[1]);
	pcore_channel_free(NULL);
}

static void a_message_that_is_too_large_is_kept(void **state)
{
	struct pcore_channel_message m = { .size = sizeof(m), .max_bytes = 4 };
	struct pcore_channel *c[2];

	(void)state;
	assert_int_equal(pcore_channel_pair(c), 0);
	assert_int_equal(pcore_channel_send(c[0], "large", 5, 0), 0);
	assert_int_equal(pcore_channel_recv_message(c[1], &m, 0), -EMSGSIZE);
	m.max_bytes = 5;
	assert_int_equal(pcore_channel_recv_message(c[1], &m, 0), 1);
	assert_string_equal(m.data, "large");
	assert_int_equal(m.n_fds, 0);
	free(m.data);
	m.size = sizeof(m) - 1;
	assert_int_equal(pcore_channel_recv_message(c[1], &m, 0), -EINVAL);
	assert_int_equal(pcore_channel_recv_message(c[1], NULL, 0), -EINVAL);
	pcore_channel_free(c[0]);
	pcore_channel_free(c[1]);
}

static void descriptors_go_along(void **state)
{
	int fds[2], got[3] = { -1, -1, -1 };
	struct pcore_channel_message m = { .size = sizeof(m), .fds = got, .max_fds = 3 };
	struct pcore_channel *c[2];
	char *data;

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(pcore_channel_pair(c), 0);
	assert_int_equal(pcore_channel_send_fds(c[0], "pipe", 4, fds, 2, 0), 0);
	assert_int_equal(pcore_channel_recv(c[1], &data, NULL, 0), -EMSGSIZE);
	assert_int_equal(pcore_channel_recv_message(c[1], &m, 0), 1);
	assert_string_equal(m.data, "pipe");
	assert_int_equal(m.n_fds, 2);
	assert_int_equal(fcntl(got[0], F_GETFD), FD_CLOEXEC);
	free(m.data);
	for (int i = 0; i < 2; i++) {
		close(fds[i]);
		close(got[i]);
	}
	assert_int_equal(pcore_channel_send_fds(c[0], "pipe", 4, fds, 2, 0), -EBADF);
	pcore_channel_free(c[0]);
	pcore_channel_free(c[1]);
}

static void *open_end(void *ret)
{
	return (void *)(intptr_t)pcore_channel_open(ret, "named", PCORE_CHANNEL_DUPLEX, PCORE_FOREVER);
}

static void a_name_brings_two_ends_together(void **state)
{
	struct pcore_channel *a = NULL, *b = NULL, *c = NULL;
	pthread_t thread;
	void *result;

	(void)state;
	assert_int_equal(pcore_channel_open(&a, "named", PCORE_CHANNEL_DUPLEX, 0), -EAGAIN);
	assert_int_equal(pcore_channel_open(&a, "named", PCORE_CHANNEL_DUPLEX, soon), -ETIMEDOUT);
	assert_int_equal(pthread_create(&thread, NULL, open_end, &b), 0);
	assert_int_equal(pcore_channel_open(&a, "named", PCORE_CHANNEL_DUPLEX, PCORE_FOREVER), 0);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_int_equal((intptr_t)result, 0);
	assert_int_equal(pcore_channel_open(&c, "named", PCORE_CHANNEL_DUPLEX, PCORE_FOREVER), -EBUSY);
	assert_int_equal(pcore_channel_send(a, "hello", 5, 0), 0);
	expect(b, "hello");
	pcore_channel_free(a);
	pcore_channel_free(b);
	assert_int_equal(pcore_channel_open(&c, "named", 3, 0), -EINVAL);
	assert_int_equal(pcore_channel_open(&c, NULL, 0, 0), -EINVAL);
	assert_int_equal(pcore_channel_open(&c, "none/named", 0, 0), -ENOENT);
	assert_null(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(messages_come_out_as_they_went_in),
		TEST(a_message_that_is_too_large_is_kept),
		TEST(descriptors_go_along),
		TEST(a_name_brings_two_ends_together),
	};
	int r;

	if (!mkdtemp(dir) || chdir(dir) < 0)
		return 1;
	r = RUN_TESTS(tests);
	return system("rm -rf \"$PWD\"") == 0 ? r : 1;
}
