/* SPDX-License-Identifier: MIT */
/*
 * kinds.c - what both kinds of queue do alike: each test runs on a memory queue and on a durable one.
 */
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcore/queue/queue.h"
#include "tests/unit/support.h"

/* in memory where there is such a place: syncs are what takes the time */
static char shm[] = "/dev/shm/pcore-kinds.XXXXXX", tmp[] = "/tmp/pcore-kinds.XXXXXX";
static int dfd;
static bool durable;
static struct pcore_queue *q;
static struct pcore_buf buf;

static const struct pcore_take gone = { 0 }, leased = { .lease = true, .lease_ns = INT64_MAX };

static void make(struct pcore_queue_config spec)
{
	spec.durable = durable;
	assert_int_equal(pcore_queue_open_at(&q, dfd, "q", &spec), 0);
	buf = PCORE_BUF_INIT(0);
}

static void end(void)
{
	pcore_buf_done(&buf);
	pcore_queue_free(q);
	assert_int_equal(pcore_queue_remove_at(dfd, "q"), 0);
}

static int put_item(struct pcore_item item, const char *s, bool replace, uint64_t *ret_id)
{
	int r;

	item.data = s;
	item.len = strlen(s);
	r = pcore_queue_put_until(q, &item, 1, replace, 0);
	if (ret_id)
		*ret_id = item.id;
	return r;
}

static void put(const char *s)
{
	assert_int_equal(put_item((struct pcore_item){ 0 }, s, false, NULL), 1);
}

static int put_key(const char *key, const char *s, bool replace)
{
	return put_item((struct pcore_item){ .key = key, .key_len = strlen(key) }, s, replace, NULL);
}

/* One item, as text; NULL when there is none. */
static const char *get(const struct pcore_take *how, struct pcore_item *ret)
{
	struct pcore_item item;
	int r;

	buf.len = 0;
	r = pcore_queue_get_until(q, &item, 1, how, &buf, 0);
	if (r < 0)
		assert_true(r == -EAGAIN || r == -ESHUTDOWN);
	if (ret)
		*ret = item;
	return r == 1 ? item.data : NULL;
}

static const char *take(void)
{
	const char *s = get(&gone, NULL);

	return s ? s : "nothing";
}

static struct pcore_queue_state stat_now(void)
{
	struct pcore_queue_state s;

	assert_int_equal(pcore_queue_state(q, &s), 0);
	return s;
}

static void items_come_in_the_order_of_the_queue(void **state)
{
	(void)state;
	make((struct pcore_queue_config){ .order = PCORE_FIFO });
	put("a");
	put("b");
	put("");
	assert_string_equal(take(), "a");
	assert_string_equal(take(), "b");
	assert_string_equal(take(), "");
	assert_string_equal(take(), "nothing");
	end();
	make((struct pcore_queue_config){ .order = PCORE_LIFO });
	put("a");
	put("b");
	assert_string_equal(take(), "b");
	put("c");
	assert_string_equal(take(), "c");
	assert_string_equal(take(), "a");
	end();
	make((struct pcore_queue_config){ .order = PCORE_PRIORITY });
	assert_int_equal(put_item((struct pcore_item){ .priority = 7 }, "late", false, NULL), 1);
	assert_int_equal(put_item((struct pcore_item){ .priority = 1 }, "early", false, NULL), 1);
	assert_int_equal(put_item((struct pcore_item){ .priority = 1 }, "early too", false, NULL), 1);
	assert_string_equal(take(), "early");
	assert_string_equal(take(), "early too");
	assert_string_equal(take(), "late");
	end();
}

static void ids_count_the_puts_and_priorities_are_told(void **state)
{
	struct pcore_item items[3] = { { .data = "a", .len = 1 }, { .data = "bb", .len = 2, .priority = 9 }, { .data = "c", .len = 1 } };

	(void)state;
	make((struct pcore_queue_config){ .order = PCORE_FIFO });
	assert_int_equal(pcore_queue_put_until(q, items, 3, false, 0), 3);
	assert_int_equal(items[0].id, 1);
	assert_int_equal(items[2].id, 3);
	assert_int_equal(pcore_queue_get_until(q, items, 3, &gone, &buf, 0), 3);
	assert_int_equal(items[1].id, 2);
	assert_int_equal(items[1].priority, 9);
	assert_int_equal(items[1].len, 2);
	assert_string_equal(items[1].data, "bb");
	end();
}

static void limits_hold(void **state)
{
	struct pcore_queue_state s;

	(void)state;
	make((struct pcore_queue_config){ .max_items = 2, .max_bytes = 10, .max_item = 6 });
	assert_int_equal(put_item((struct pcore_item){ 0 }, "1234567", false, NULL), -EMSGSIZE);
	assert_int_equal(put_item((struct pcore_item){ 0 }, "123456", false, NULL), 1);
	assert_int_equal(put_item((struct pcore_item){ 0 }, "12345", false, NULL), -EAGAIN);
	put("1234");
	s = stat_now();
	assert_int_equal(s.bytes, 10);
	assert_int_equal(s.ready, 2);
	assert_string_equal(take(), "123456");
	put("x");
	assert_int_equal(put_item((struct pcore_item){ 0 }, "y", false, NULL), -EAGAIN);
	end();
	assert_int_equal(pcore_queue_create(dfd, "q",
				 &(struct pcore_queue_config){ .durable = durable, .max_item = 11, .max_bytes = 10 }), -EINVAL);
}

static void a_get_takes_no_more_than_it_may(void **state)
{
	struct pcore_take how = { .bytes_max = 5 };
	struct pcore_item items[8];

	(void)state;
	make((struct pcore_queue_config){ 0 });
	put("1234567");
	put("12");
	put("34");
	put("56");
	buf.len = 0;
	assert_int_equal(pcore_queue_get_until(q, items, 8, &how, &buf, 0), 1);
	buf.len = 0;
	assert_int_equal(pcore_queue_get_until(q, items, 8, &how, &buf, 0), 1);
	buf.len = 0;
	assert_int_equal(pcore_queue_get_until(q, items, 8, &gone, &buf, 0), 2);
	assert_string_equal(items[1].data, "56");
	end();
}

static void a_live_key_is_refused_or_replaced(void **state)
{
	(void)state;
	make((struct pcore_queue_config){ 0 });
	assert_int_equal(put_key("k", "1", false), 1);
	assert_int_equal(put_key("k", "2", false), -EEXIST);
	assert_int_equal(put_key("l", "3", false), 1);
	assert_int_equal(put_key("k", "4", true), 1);
	assert_int_equal(stat_now().ready, 2);
	assert_string_equal(take(), "3");
	assert_string_equal(take(), "4");
	assert_int_equal(put_key("k", "5", false), 1);
	assert_string_equal(take(), "5");
	end();
}

static void a_key_that_comes_twice_in_one_put_is_one_item(void **state)
{
	struct pcore_item items[3] = { { .data = "1", .len = 1, .key = "k", .key_len = 1 },
		{ .data = "2", .len = 1, .key = "k", .key_len = 1 }, { .data = "3", .len = 1, .key = "k", .key_len = 1 } };
	size_t done;

	(void)state;
	make((struct pcore_queue_config){ 0 });
	assert_int_equal(pcore_queue_put_all(q, items, 3, false, 0, &done), -EEXIST);
	assert_int_equal(done, 1);
	assert_int_equal(pcore_queue_put_all(q, items, 3, true, 0, &done), 0);
	assert_int_equal(done, 3);
	assert_int_equal(stat_now().ready, 1);
	assert_string_equal(take(), "3");
	end();
}

static void many_keys_are_told_apart(void **state)
{
	char key[16];

	(void)state;
	make((struct pcore_queue_config){ .max_bytes = 1 << 20 });
	for (int i = 0; i < 500; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(put_key(key, key, false), 1);
	}
	for (int i = 0; i < 500; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(put_key(key, key, false), -EEXIST);
	}
	for (int i = 0; i < 250; i++)
		assert_true(strcmp(take(), "nothing") != 0);
	for (int i = 0; i < 500; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(put_key(key, key, false), i < 250 ? 1 : -EEXIST);
	}
	end();
}

/* Wait for the one item that will be there. */
static void wait_for(const char *text, const struct pcore_take *how, struct pcore_item *ret)
{
	buf.len = 0;
	assert_int_equal(pcore_queue_get_until(q, ret, 1, how, &buf, pcore_now_ns() + 20 * NS_PER_S), 1);
	assert_string_equal(ret->data, text);
}

static void a_delayed_item_comes_when_it_is_due(void **state)
{
	int64_t start = pcore_now_ns();
	struct pcore_item item;

	(void)state;
	make((struct pcore_queue_config){ 0 });
	assert_int_equal(put_item((struct pcore_item){ .delay_ns = INT64_MAX }, "never", false, NULL), 1);
	put("now");
	assert_int_equal(stat_now().delayed, 1);
	assert_string_equal(take(), "now");
	assert_string_equal(take(), "nothing");
	assert_int_equal(put_item((struct pcore_item){ .delay_ns = 30 * NS_PER_MS }, "later", false, NULL), 1);
	wait_for("later", &gone, &item);
	assert_true(pcore_now_ns() - start >= 30 * NS_PER_MS);
	assert_int_equal(stat_now().delayed, 1);
	end();
}

static void a_lease_ends_by_ack_nack_or_time(void **state)
{
	struct pcore_take how = { .lease = true, .lease_ns = 20 * NS_PER_MS };
	struct pcore_item item, again;

	(void)state;
	make((struct pcore_queue_config){ 0 });
	put("a");
	assert_string_equal(get(&leased, &item), "a");
	assert_int_equal(item.attempt, 1);
	assert_int_equal(stat_now().leased, 1);
	assert_string_equal(take(), "nothing");
	assert_int_equal(pcore_queue_ack(q, item.id, 2), -ESTALE);
	assert_int_equal(pcore_queue_ack(q, item.id + 1, 1), -ENOENT);
	assert_int_equal(pcore_queue_nack(q, item.id, 1, 0), 0);
	assert_int_equal(pcore_queue_ack(q, item.id, 1), -ENOENT);
	assert_string_equal(get(&how, &again), "a");
	assert_int_equal(again.attempt, 2);
	buf.len = 0;
	assert_int_equal(pcore_queue_get_until(q, &again, 1, &leased, &buf, pcore_now_ns() + 10 * NS_PER_S), 1);
	assert_int_equal(again.attempt, 3);
	assert_int_equal(pcore_queue_ack(q, again.id, 2), -ESTALE);
	assert_int_equal(pcore_queue_ack(q, again.id, 3), 0);
	assert_int_equal(pcore_queue_join_until(q, 0), 0);
	assert_int_equal(stat_now().acks, 1);
	end();
}

static void an_untaken_item_was_never_leased(void **state)
{
	struct pcore_item item;

	(void)state;
	make((struct pcore_queue_config){ .order = PCORE_FIFO });
	put("a");
	put("b");
	for (unsigned i = 0; i < 3; i++) {
		assert_string_equal(get(&leased, &item), "a");
		assert_int_equal(item.attempt, 1);
		assert_int_equal(pcore_queue_untake(q, item.id, item.attempt), 0);
	}
	assert_int_equal(pcore_queue_untake(q, item.id, item.attempt), -ENOENT);
	assert_int_equal(stat_now().ready, 2);
	assert_int_equal(stat_now().leased, 0);
	end();
}

static void a_touched_lease_lasts_as_long_as_it_says(void **state)
{
	struct pcore_item item;
	int64_t start;

	(void)state;
	make((struct pcore_queue_config){ 0 });
	put("a");
	assert_string_equal(get(&leased, &item), "a");
	assert_int_equal(pcore_queue_touch(q, item.id, 7, 0), -ESTALE);
	assert_int_equal(pcore_queue_touch(q, item.id, 1, 0), 0);
	assert_string_equal(take(), "nothing");
	start = pcore_now_ns();
	assert_int_equal(pcore_queue_touch(q, item.id, 1, 50 * NS_PER_MS), 0);
	wait_for("a", &gone, &item);
	assert_true(pcore_now_ns() - start >= 50 * NS_PER_MS);
	end();
}

static void an_item_given_back_with_a_delay_waits(void **state)
{
	struct pcore_item item;
	int64_t start;

	(void)state;
	make((struct pcore_queue_config){ 0 });
	put("a");
	assert_string_equal(get(&leased, &item), "a");
	start = pcore_now_ns();
	assert_int_equal(pcore_queue_nack(q, item.id, 1, 30 * NS_PER_MS), 0);
	wait_for("a", &leased, &item);
	assert_true(pcore_now_ns() - start >= 30 * NS_PER_MS);
	assert_int_equal(item.attempt, 2);
	end();
}

static void what_comes_back_comes_before_what_was_put_later(void **state)
{
	struct pcore_item a, b;

	(void)state;
	make((struct pcore_queue_config){ 0 });
	put("a");
	put("b");
	put("c");
	assert_string_equal(get(&leased, &a), "a");
	assert_string_equal(get(&leased, &b), "b");
	assert_int_equal(pcore_queue_nack(q, b.id, 1, 0), 0);
	assert_int_equal(pcore_queue_nack(q, a.id, 1, 0), 0);
	assert_string_equal(take(), "a");
	assert_string_equal(take(), "b");
	assert_string_equal(take(), "c");
	end();
}

static void a_look_takes_nothing(void **state)
{
	struct pcore_item item;

	(void)state;
	make((struct pcore_queue_config){ 0 });
	assert_int_equal(pcore_queue_peek_into(q, &item, &buf), -EAGAIN);
	put("a");
	assert_int_equal(pcore_queue_peek_into(q, &item, &buf), 1);
	assert_string_equal(item.data, "a");
	assert_string_equal(take(), "a");
	assert_int_equal(pcore_queue_close(q, false), 0);
	assert_int_equal(pcore_queue_peek_into(q, &item, &buf), -ESHUTDOWN);
	end();
}

static void a_closed_queue_is_drained(void **state)
{
	struct pcore_item item;

	(void)state;
	make((struct pcore_queue_config){ 0 });
	put("a");
	assert_int_equal(pcore_queue_close(q, false), 0);
	assert_int_equal(put_item((struct pcore_item){ 0 }, "b", false, NULL), -ESHUTDOWN);
	assert_string_equal(get(&leased, &item), "a");
	buf.len = 0;
	assert_int_equal(pcore_queue_get_until(q, &item, 1, &gone, &buf, 0), -EAGAIN); /* it could come back */
	assert_int_equal(pcore_queue_join_until(q, 0), -EAGAIN);
	assert_int_equal(pcore_queue_nack(q, 1, 1, 0), 0);
	assert_string_equal(take(), "a");
	assert_int_equal(pcore_queue_get_until(q, &item, 1, &gone, &buf, INT64_MAX), -ESHUTDOWN);
	assert_int_equal(pcore_queue_join_until(q, 0), 0);
	assert_true(stat_now().closed);
	end();
}

static void a_close_that_drops_leaves_nothing(void **state)
{
	struct pcore_item item;

	(void)state;
	make((struct pcore_queue_config){ 0 });
	put("a");
	put("b");
	assert_string_equal(get(&leased, &item), "a");
	assert_int_equal(put_item((struct pcore_item){ .delay_ns = INT64_MAX }, "c", false, NULL), 1);
	assert_int_equal(pcore_queue_close(q, true), 0);
	assert_int_equal(pcore_queue_ack(q, item.id, 1), -ENOENT);
	assert_int_equal(pcore_queue_get_until(q, &item, 1, &gone, &buf, INT64_MAX), -ESHUTDOWN);
	assert_int_equal(stat_now().bytes, 0);
	end();
}

static void waiting_ends_at_the_deadline(void **state)
{
	struct pcore_item item = { .data = "b", .len = 1 };

	(void)state;
	make((struct pcore_queue_config){ .max_items = 1 });
	assert_int_equal(pcore_queue_get_until(q, &item, 1, &gone, &buf, pcore_now_ns() + NS_PER_MS), -ETIMEDOUT);
	assert_int_equal(pcore_queue_poll_until(q, 0), -EAGAIN);
	put("a");
	assert_int_equal(pcore_queue_poll_until(q, 0), 0);
	item = (struct pcore_item){ .data = "b", .len = 1 };
	assert_int_equal(pcore_queue_put_until(q, &item, 1, false, pcore_now_ns() + NS_PER_MS), -ETIMEDOUT);
	assert_int_equal(pcore_queue_join_until(q, pcore_now_ns() + NS_PER_MS), -ETIMEDOUT);
	end();
}

/* A child that does something to the queue a little later, or not: the parent waits either way. */
static pid_t in_a_child(void (*fn)(void))
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		q = NULL;
		if (pcore_queue_open_at(&q, dfd, "q", NULL) < 0)
			_exit(1);
		fn();
		pcore_queue_free(q);
		_exit(0);
	}
	return pid;
}

static void ended_well(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

enum { MANY = 300 };

static void put_many(void)
{
	char s[16];

	for (int i = 0; i < MANY; i++) {
		struct pcore_item item = { .data = s };

		item.len = (size_t)snprintf(s, sizeof(s), "%d", i);
		if (pcore_queue_put_until(q, &item, 1, false, INT64_MAX) != 1)
			_exit(2);
	}
}

static void processes_wait_for_each_other(void **state)
{
	struct pcore_item item;
	pid_t pid;

	(void)state;
	make((struct pcore_queue_config){ .max_items = 2 });
	pid = in_a_child(put_many);
	for (int i = 0; i < MANY; i++) {
		buf.len = 0;
		assert_int_equal(pcore_queue_get_until(q, &item, 1, &gone, &buf, pcore_now_ns() + 20 * NS_PER_S), 1);
		assert_int_equal(atoi(item.data), i);
	}
	ended_well(pid);
	end();
}

static void join_child(void)
{
	if (pcore_queue_join_until(q, pcore_now_ns() + 20 * NS_PER_S) != 0)
		_exit(2);
}

static void a_join_ends_with_the_last_ack(void **state)
{
	struct pcore_item item;
	pid_t pid;

	(void)state;
	make((struct pcore_queue_config){ 0 });
	put("a");
	put("b");
	pid = in_a_child(join_child);
	assert_string_equal(take(), "a");
	assert_string_equal(get(&leased, &item), "b");
	assert_int_equal(pcore_queue_ack(q, item.id, item.attempt), 0);
	ended_well(pid);
	end();
}

static void get_the_end(void)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct pcore_item item;

	if (pcore_queue_get_until(q, &item, 1, &gone, &b, pcore_now_ns() + 20 * NS_PER_S) != -ESHUTDOWN)
		_exit(2);
}

static void who_waits_sees_the_end(void **state)
{
	pid_t pid[3];

	(void)state;
	make((struct pcore_queue_config){ 0 });
	for (size_t i = 0; i < 3; i++)
		pid[i] = in_a_child(get_the_end);
	assert_int_equal(pcore_queue_close(q, false), 0);
	for (size_t i = 0; i < 3; i++)
		ended_well(pid[i]);
	end();
}

enum { THREADS = 4, PER_THREAD = 500 };

static _Atomic uint64_t sum;

static void *put_from_a_thread(void *arg)
{
	for (uint32_t i = 0; i < PER_THREAD; i++) {
		uint32_t number = *(uint32_t *)arg * PER_THREAD + i;
		struct pcore_item item = { .data = &number, .len = sizeof(number) };

		if (pcore_queue_put_until(q, &item, 1, false, INT64_MAX) != 1)
			return arg;
	}
	return NULL;
}

static void *take_in_a_thread(void *arg)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct pcore_item items[4];
	int n;

	while ((n = pcore_queue_get_until(q, items, 4, *(uint32_t *)arg % 2 ? &gone : &leased, &b, INT64_MAX)) > 0) {
		for (int i = 0; i < n; i++) {
			uint32_t number;

			memcpy(&number, items[i].data, sizeof(number));
			atomic_fetch_add(&sum, number + 1);
			if (*(uint32_t *)arg % 2 == 0 && pcore_queue_ack(q, items[i].id, items[i].attempt) != 0)
				n = 0;
		}
		b.len = 0;
	}
	pcore_buf_done(&b);
	return n == -ESHUTDOWN ? NULL : arg;
}

static void threads_share_a_handle(void **state)
{
	uint64_t all = (uint64_t)THREADS * PER_THREAD;
	pthread_t putter[THREADS], taker[THREADS];
	uint32_t number[THREADS];
	void *failed;

	(void)state;
	make((struct pcore_queue_config){ .max_items = 50 });
	atomic_store(&sum, 0);
	for (uint32_t i = 0; i < THREADS; i++) {
		number[i] = i;
		assert_int_equal(pthread_create(&putter[i], NULL, put_from_a_thread, &number[i]), 0);
		assert_int_equal(pthread_create(&taker[i], NULL, take_in_a_thread, &number[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(putter[i], &failed), 0);
		assert_null(failed);
	}
	assert_int_equal(pcore_queue_close(q, false), 0);
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(taker[i], &failed), 0);
		assert_null(failed);
	}
	assert_int_equal(atomic_load(&sum), all * (all + 1) / 2);
	end();
}

static void ready(struct pcore_queue_watch *w, int res)
{
	assert_int_equal(res, 0);
	pcore_queue_watch_stop(w);
}

static void a_loop_waits_for_it(void **state)
{
	struct pcore_queue_watch w = { .ready = ready };
	struct pcore_loop *lp = NULL;

	(void)state;
	make((struct pcore_queue_config){ 0 });
	assert_int_equal(pcore_loop_new(&lp, PCORE_LOOP_AUTO), 0);
	assert_int_equal(pcore_queue_watch_start(&w, lp, q), 0);
	put("a");
	assert_int_equal(pcore_loop_run(lp), 0);
	assert_string_equal(take(), "a");
	for (int i = 0; i < 20; i++) { /* and need not wait to the end */
		assert_int_equal(pcore_queue_watch_start(&w, lp, q), 0);
		pcore_queue_watch_stop(&w);
		assert_int_equal(pcore_loop_run(lp), 0);
	}
	pcore_loop_free(lp);
	end();
}

/* ---- the dead ---- */

static void bury_one(const char *text, const char *reason, struct pcore_item *ret)
{
	assert_string_equal(get(&leased, ret), text);
	assert_int_equal(pcore_queue_bury(q, ret->id, ret->attempt, reason, strlen(reason)), 0);
}

static void a_dead_item_is_set_aside_with_its_reason(void **state)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct pcore_dead dead;
	struct pcore_item item;

	(void)state;
	make((struct pcore_queue_config){ 0 });
	put("a");
	put("b");
	assert_string_equal(get(&leased, &item), "a");
	assert_int_equal(pcore_queue_bury(q, item.id, 9, "x", 1), -ESTALE);
	assert_int_equal(pcore_queue_nack(q, item.id, 1, 0), 0);
	assert_int_equal(pcore_queue_bury(q, item.id, 1, "x", 1), -ENOENT);
	bury_one("a", "exit 1", &item);
	bury_one("b", "", &item);
	assert_int_equal(stat_now().dead, 2);
	assert_int_equal(stat_now().bytes, durable ? 2 : 2 + strlen("exit 1"));
	assert_int_equal(stat_now().ready + stat_now().leased + stat_now().delayed, 0);
	assert_string_equal(take(), "nothing");
	assert_int_equal(pcore_queue_join_until(q, 0), 0);

	assert_int_equal(pcore_queue_dead_into(q, 0, &dead, &b), 1);
	assert_int_equal(dead.item.id, 1);
	assert_int_equal(dead.item.attempt, 2);
	assert_string_equal(dead.item.data, "a");
	assert_string_equal(dead.reason, "exit 1");
	assert_int_equal(dead.reason_len, 6);
	assert_true(pcore_clock_ns(CLOCK_REALTIME) - dead.died_ns < 3600 * NS_PER_S);
	assert_int_equal(pcore_queue_dead_into(q, 1, &dead, &b), 1);
	assert_int_equal(dead.item.id, 2);
	assert_string_equal(dead.reason, "");
	assert_int_equal(pcore_queue_dead_into(q, 2, &dead, &b), 0);
	pcore_buf_done(&b);
	end();
}

static void a_dead_item_is_revived_or_discarded(void **state)
{
	struct pcore_item item;

	(void)state;
	make((struct pcore_queue_config){ .max_items = 2 });
	assert_int_equal(put_key("k", "a", false), 1);
	put("b");
	bury_one("a", "why", &item);
	assert_int_equal(put_key("k", "again", false), -EAGAIN); /* it keeps its place */
	bury_one("b", "why", &item);
	assert_int_equal(pcore_queue_close(q, false), 0);
	assert_int_equal(pcore_queue_get_until(q, &item, 1, &gone, &buf, INT64_MAX), -ESHUTDOWN);
	assert_int_equal(pcore_queue_revive(q, 3), -ENOENT);
	assert_int_equal(pcore_queue_revive(q, 1), 0);
	assert_int_equal(pcore_queue_revive(q, 1), -ENOENT);
	assert_int_equal(pcore_queue_discard(q, 1), -ENOENT);
	assert_string_equal(get(&leased, &item), "a");
	assert_int_equal(item.tries, 1);
	assert_int_equal(pcore_queue_ack(q, item.id, 2), 0);
	assert_int_equal(pcore_queue_discard(q, 2), 0);
	assert_int_equal(stat_now().dead, 0);
	assert_int_equal(stat_now().bytes, 0);
	end();
}

static void a_lease_from_before_a_revival_ends_no_other(void **state)
{
	struct pcore_item item;
	struct pcore_dead dead;

	(void)state;
	make((struct pcore_queue_config){ 0 });
	put("a");
	assert_string_equal(get(&leased, &item), "a");
	assert_int_equal(pcore_queue_nack(q, 1, 1, 0), 0); /* as if its time were up, and its holder does not know */
	for (uint32_t lives = 0; lives < 3; lives++) {
		bury_one("a", "why", &item);
		pcore_buf_clear(&buf);
		assert_int_equal(pcore_queue_dead_into(q, 0, &dead, &buf), 1);
		assert_int_equal(dead.item.attempt, 2 + lives);
		assert_int_equal(dead.item.tries, lives == 0 ? 2 : 1);
		assert_int_equal(pcore_queue_revive(q, 1), 0);
	}
	assert_string_equal(get(&leased, &item), "a");
	assert_int_equal(item.attempt, 5);
	assert_int_equal(item.tries, 1);
	for (uint32_t attempt = 1; attempt < 5; attempt++) {
		assert_int_equal(pcore_queue_ack(q, 1, attempt), -ESTALE);
		assert_int_equal(pcore_queue_bury(q, 1, attempt, "late", 4), -ESTALE);
	}
	assert_int_equal(pcore_queue_untake(q, 1, 5), 0);
	assert_int_equal(pcore_queue_peek_into(q, &item, &buf), 1);
	assert_int_equal(item.tries, 0);
	assert_string_equal(take(), "a");
	put("b"); /* where a was */
	assert_string_equal(get(&leased, &item), "b");
	assert_int_equal(item.tries, 1);
	end();
}

static void a_key_of_a_dead_item_is_in_use(void **state)
{
	struct pcore_item item;

	(void)state;
	make((struct pcore_queue_config){ 0 });
	assert_int_equal(put_key("k", "a", false), 1);
	bury_one("a", "why", &item);
	assert_int_equal(put_key("k", "b", false), -EEXIST);
	assert_int_equal(put_key("k", "b", true), 1);
	assert_int_equal(stat_now().dead, 0);
	assert_string_equal(take(), "b");
	end();
}

static int begin_memory(void **state)
{
	(void)state;
	durable = false;
	return 0;
}

static int begin_durable(void **state)
{
	(void)state;
	durable = true;
	return 0;
}

int main(void)
{
	const struct CMUnitTest alike[] = {
		TEST(items_come_in_the_order_of_the_queue),
		TEST(ids_count_the_puts_and_priorities_are_told),
		TEST(limits_hold),
		TEST(a_get_takes_no_more_than_it_may),
		TEST(a_live_key_is_refused_or_replaced),
		TEST(a_key_that_comes_twice_in_one_put_is_one_item),
		TEST(many_keys_are_told_apart),
		TEST(a_delayed_item_comes_when_it_is_due),
		TEST(a_lease_ends_by_ack_nack_or_time),
		TEST(an_untaken_item_was_never_leased),
		TEST(a_touched_lease_lasts_as_long_as_it_says),
		TEST(an_item_given_back_with_a_delay_waits),
		TEST(what_comes_back_comes_before_what_was_put_later),
		TEST(a_look_takes_nothing),
		TEST(a_closed_queue_is_drained),
		TEST(a_close_that_drops_leaves_nothing),
		TEST(waiting_ends_at_the_deadline),
		TEST(processes_wait_for_each_other),
		TEST(a_join_ends_with_the_last_ack),
		TEST(who_waits_sees_the_end),
		TEST(threads_share_a_handle),
		TEST(a_loop_waits_for_it),
		TEST(a_dead_item_is_set_aside_with_its_reason),
		TEST(a_dead_item_is_revived_or_discarded),
		TEST(a_lease_from_before_a_revival_ends_no_other),
		TEST(a_key_of_a_dead_item_is_in_use),
	};
	char *dir = mkdtemp(shm) ? shm : mkdtemp(tmp);
	int r;

	if (!dir)
		return 1;
	dfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = cmocka_run_group_tests_name("memory", alike, begin_memory, NULL);
	r += cmocka_run_group_tests_name("durable", alike, begin_durable, NULL);
	close(dfd);
	return rmdir(dir) < 0 ? 1 : r;
}
