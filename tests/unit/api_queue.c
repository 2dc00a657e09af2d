/* SPDX-License-Identifier: MIT */
/*
 * api_queue.c - tests of <pcore/queue.h>, on both kinds of queues.
 */
#include <pcore/queue.h>

#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/support.h"

static char dir[] = "/tmp/pcore-api-queue.XXXXXX";

static const int64_t soon = 50 * INT64_C(1000000), minute = 60 * INT64_C(1000000000);

/* A new queue; kind 1 is durable. */
static struct pcore_queue *make(int kind, int order, uint64_t max_items)
{
	const struct pcore_queue_spec spec = { .size = sizeof(spec), .order = order, .durable = kind, .sync = PCORE_QUEUE_NONE, .max_items = max_items };
	struct pcore_queue *q = NULL;

	assert_int_equal(pcore_queue_open(&q, "queue", &spec), 0);
	return q;
}

static void end(struct pcore_queue *q)
{
	pcore_queue_free(q);
	assert_int_equal(pcore_queue_remove("queue"), 0);
	assert_int_equal(pcore_queue_remove("queue"), -ENOENT);
}

static void put(struct pcore_queue *q, const char *text)
{
	assert_int_equal(pcore_queue_put(q, text, strlen(text), PCORE_FOREVER), 0);
}

static void expect(struct pcore_queue *q, const char *text)
{
	char *data = NULL;
	size_t size;

	assert_int_equal(pcore_queue_get(q, &data, &size, PCORE_FOREVER), 0);
	assert_int_equal(size, strlen(text));
	assert_string_equal(data, text);
	free(data);
}

static void items_come_in_order_until_it_is_closed(void **state)
{
	char *data = NULL;

	(void)state;
	for (int kind = 0; kind < 2; kind++) {
		struct pcore_queue *q = make(kind, PCORE_QUEUE_FIFO, 2), *other = NULL;

		assert_int_equal(pcore_queue_open(&other, "queue", NULL), 0);
		assert_int_equal(pcore_queue_get(q, &data, NULL, 0), -EAGAIN);
		assert_int_equal(pcore_queue_get(q, &data, NULL, soon), -ETIMEDOUT);
		assert_int_equal(pcore_queue_poll(q, 0), -EAGAIN);
		put(q, "one");
		put(other, "");
		assert_int_equal(pcore_queue_put(q, "x", 1, 0), -EAGAIN);
		assert_int_equal(pcore_queue_put(q, "x", 1, soon), -ETIMEDOUT);
		assert_int_equal(pcore_queue_size(q), 2);
		assert_int_equal(pcore_queue_poll(q, 0), 0);
		expect(other, "one");
		assert_int_equal(pcore_queue_close(q, false), 0);
		assert_int_equal(pcore_queue_put(other, "x", 1, 0), -ESHUTDOWN);
		assert_int_equal(pcore_queue_join(q, 0), -EAGAIN);
		expect(other, "");
		assert_int_equal(pcore_queue_join(q, PCORE_FOREVER), 0);
		assert_int_equal(pcore_queue_get(other, &data, NULL, PCORE_FOREVER), -ESHUTDOWN);
		assert_null(data);
		pcore_queue_free(other);
		end(q);
	}
	pcore_queue_free(NULL);
}

static void a_lease_ends_in_all_ways(void **state)
{
	struct pcore_queue_item i = { .size = sizeof(i) };
	uint64_t id = 0;

	(void)state;
	for (int kind = 0; kind < 2; kind++) {
		const struct pcore_queue_put what = { .size = sizeof(what), .data = "work", .data_size = 4, .key = "k", .key_size = 1 };
		struct pcore_queue *q = make(kind, PCORE_QUEUE_FIFO, 0);

		assert_int_equal(pcore_queue_put_item(q, &what, 0, &id), 0);
		assert_int_equal(pcore_queue_put_item(q, &what, 0, NULL), -EEXIST);
		assert_int_equal(pcore_queue_lease(q, minute, &i, 0), 0);
		assert_string_equal(i.data, "work");
		assert_true(i.id == id && i.attempt == 1 && i.data_size == 4);
		free(i.data);
		assert_int_equal(pcore_queue_lease(q, minute, &i, 0), -EAGAIN);
		assert_int_equal(pcore_queue_touch(q, id, 1, minute), 0);
		assert_int_equal(pcore_queue_nack(q, id, 1, 0), 0);
		assert_int_equal(pcore_queue_ack(q, id, 1), -ENOENT);
		assert_int_equal(pcore_queue_lease(q, PCORE_FOREVER, &i, 0), 0);
		free(i.data);
		assert_int_equal(i.attempt, 2);
		assert_int_equal(pcore_queue_ack(q, id, 1), -ESTALE);
		assert_int_equal(pcore_queue_untake(q, id, 2), 0);
		assert_int_equal(pcore_queue_lease(q, PCORE_FOREVER, &i, 0), 0);
		free(i.data);
		assert_int_equal(i.attempt, 2);
		assert_int_equal(pcore_queue_bury(q, id, 2, "broken", 6), 0);
		assert_int_equal(pcore_queue_dead(q, 0, &i), 1);
		assert_string_equal(i.data, "work");
		assert_string_equal(i.reason, "broken");
		assert_true(i.died > 0);
		free(i.data);
		assert_int_equal(pcore_queue_dead(q, id, &i), 0);
		assert_int_equal(pcore_queue_revive(q, id), 0);
		assert_int_equal(pcore_queue_discard(q, id), -ENOENT);
		assert_int_equal(pcore_queue_lease(q, 1, &i, 0), 0); /* for a nanosecond */
		free(i.data);
		assert_int_equal(pcore_queue_lease(q, minute, &i, PCORE_FOREVER), 0);
		assert_true(i.attempt == 4 && i.tries == 2);
		free(i.data);
		assert_int_equal(pcore_queue_ack(q, id, 4), 0);
		assert_int_equal(pcore_queue_join(q, 0), 0);
		end(q);
	}
}

static void a_holder_that_dies_gives_back(void **state)
{
	(void)state;
	for (int kind = 0; kind < 2; kind++) {
		struct pcore_queue *q = make(kind, PCORE_QUEUE_FIFO, 0);
		struct pcore_queue_item i = { .size = sizeof(i) };
		int status;
		pid_t pid;

		put(q, "work");
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			_exit(pcore_queue_lease(q, PCORE_FOREVER, &i, 0) == 0 ? 0 : 1);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		assert_int_equal(pcore_queue_lease(q, minute, &i, PCORE_FOREVER), 0);
		assert_int_equal(i.attempt, 2);
		free(i.data);
		end(q);
	}
}

static void many_go_at_once_and_by_priority(void **state)
{
	(void)state;
	for (int kind = 0; kind < 2; kind++) {
		struct pcore_queue *q = make(kind, PCORE_QUEUE_PRIORITY, 0);
		char words[][4] = { "a", "bb", "ccc" };
		struct iovec v[4] = { { words[0], 1 }, { words[1], 2 }, { words[2], 3 } };
		const struct pcore_queue_put first = { .size = sizeof(first), .data = "1", .data_size = 1 };
		struct pcore_queue_put late = { .size = sizeof(late), .data = "2", .data_size = 1, .delay = 3600 * INT64_C(1000000000), .priority = 7 };
		struct pcore_queue_stat s = { .size = sizeof(s) };
		struct pcore_queue_item i = { .size = sizeof(i) };

		assert_int_equal(pcore_queue_put_item(q, &late, 0, NULL), 0);
		assert_int_equal(pcore_queue_put_many(q, v, 3, 0), 3);
		assert_int_equal(pcore_queue_put_item(q, &first, 0, NULL), 0);
		assert_int_equal(pcore_queue_stat(q, &s), 0);
		assert_true(s.ready == 4 && s.delayed == 1 && s.puts == 5 && s.bytes == 8 && s.order == PCORE_QUEUE_PRIORITY);
		assert_true(s.durable == kind && !s.closed && s.age >= 0 && s.leased == 0 && s.dead == 0);
		assert_int_equal(pcore_queue_peek(q, &i), 0);
		free(i.data);
		assert_int_equal(pcore_queue_get_many(q, v, 4, 0), 4);
		assert_int_equal(v[3].iov_len + v[0].iov_len + v[1].iov_len + v[2].iov_len, 7);
		free(v[0].iov_base);
		assert_int_equal(pcore_queue_get_many(q, v, 4, 0), -EAGAIN);
		assert_int_equal(pcore_queue_put_many(q, v, 0, 0), -EINVAL);
		assert_int_equal(pcore_queue_get_many(q, v, 0, 0), -EINVAL);
		end(q);
	}
}

static void a_mistake_is_told(void **state)
{
	struct {
		struct pcore_queue_spec spec;
		uint64_t more;
	} later = { .spec = { .size = sizeof(later) }, .more = 1 };
	struct pcore_queue_spec bad[] = { { .size = 0 }, { .size = sizeof(bad[0]), .order = 3 }, { .size = sizeof(bad[0]), .sync = 3 },
		{ .size = sizeof(bad[0]), .interval = -1 }, { .size = sizeof(bad[0]), .max_bytes = 1, .max_item = 2 } };
	const struct pcore_queue_put early = { .size = sizeof(early), .delay = -1 }, keyed = { .size = sizeof(keyed), .key = "k", .key_size = 1025 };
	struct pcore_queue_item item = { .size = sizeof(item) - 1 };
	struct pcore_queue *q = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(pcore_queue_open(&q, "bad", &bad[i]), -EINVAL);
	assert_int_equal(pcore_queue_open(&q, "bad", &later.spec), -E2BIG);
	assert_int_equal(pcore_queue_open(&q, "bad", NULL), -ENOENT);
	assert_int_equal(pcore_queue_open(&q, NULL, NULL), -EINVAL);
	assert_null(q);
	assert_int_equal(access("bad", F_OK), -1);
	later.more = 0;
	assert_int_equal(pcore_queue_open(&q, "queue", &later.spec), 0);
	assert_int_equal(pcore_queue_put_item(q, &early, 0, NULL), -EINVAL);
	assert_int_equal(pcore_queue_put_item(q, &keyed, 0, NULL), -EINVAL);
	assert_int_equal(pcore_queue_put_item(q, NULL, 0, NULL), -EINVAL);
	put(q, "x");
	assert_int_equal(pcore_queue_lease(q, 1, &item, 0), -EINVAL);
	assert_int_equal(pcore_queue_peek(q, &item), -EINVAL);
	item.size = sizeof(item);
	assert_int_equal(pcore_queue_lease(q, -1, &item, 0), -EINVAL);
	assert_int_equal(pcore_queue_size(q), 1);
	end(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(items_come_in_order_until_it_is_closed),
		TEST(a_lease_ends_in_all_ways),
		TEST(a_holder_that_dies_gives_back),
		TEST(many_go_at_once_and_by_priority),
		TEST(a_mistake_is_told),
	};
	int r;

	if (!mkdtemp(dir) || chdir(dir) < 0)
		return 1;
	r = RUN_TESTS(tests);
	return system("rm -rf \"$PWD\"") == 0 ? r : 1;
}
