/* SPDX-License-Identifier: MIT */
/* thread_future.c - pools of threads, futures and mappings. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include <pcore/thread.h>

#include "tests/unit/support.h"

#define MS INT64_C(1000000)

static struct pcore_threads *pool(unsigned threads, size_t queue_max)
{
	struct pcore_threads_spec spec = { .size = sizeof(spec), .threads = threads, .queue_max = queue_max, .name = "pool" };
	struct pcore_threads *t = NULL;

	assert_int_equal(pcore_threads_new(&t, &spec), 0);
	return t;
}

static struct pcore_future *submit(struct pcore_threads *t, int64_t (*fn)(void *), void *arg)
{
	struct pcore_future *f = NULL;

	assert_int_equal(pcore_threads_submit(t, fn, arg, PCORE_FOREVER, &f), 0);
	return f;
}

/* A function that is in the midst of it until it is let go. */
struct gate {
	struct pcore_event *begun, *go;
	atomic_int runs;
	int64_t result;
};

static void gate_init(struct gate *g, int64_t result)
{
	*g = (struct gate){ .result = result };
	assert_int_equal(pcore_event_new(&g->begun), 0);
	assert_int_equal(pcore_event_new(&g->go), 0);
}

static void gate_done(struct gate *g)
{
	pcore_event_free(g->begun);
	pcore_event_free(g->go);
}

static int64_t pass(void *arg)
{
	struct gate *g = arg;

	atomic_fetch_add(&g->runs, 1);
	pcore_event_set(g->begun);
	(void)pcore_event_wait(g->go, PCORE_FOREVER);
	return g->result;
}

static int64_t square(void *arg)
{
	int64_t n = *(int64_t *)arg;

	return n * n;
}

static int64_t refuse(void *arg)
{
	(void)arg;
	return -EDOM;
}

static int64_t count(void *arg)
{
	return atomic_fetch_add((atomic_int *)arg, 1);
}

static void a_future_is_cancelled_only_while_it_waits(void **state)
{
	struct pcore_threads *t = pool(1, 0);
	struct pcore_future *running, *waiting, *failing;
	atomic_int n = 0;
	struct gate g;
	int64_t result = 0;

	(void)state;
	gate_init(&g, 42);
	running = submit(t, pass, &g);
	waiting = submit(t, count, &n);
	failing = submit(t, refuse, NULL);
	assert_int_equal(pcore_event_wait(g.begun, PCORE_FOREVER), 0);
	assert_int_equal(pcore_future_running(running), 1);
	assert_int_equal(pcore_future_cancel(running), -EBUSY);
	assert_int_equal(pcore_future_result(running, 0, &result), -ETIMEDOUT);
	assert_int_equal(pcore_future_result(running, 5 * MS, &result), -ETIMEDOUT);
	assert_int_equal(pcore_future_done(waiting), 0);
	assert_int_equal(pcore_future_cancel(waiting), 0);
	assert_int_equal(pcore_future_cancel(waiting), 0);
	assert_int_equal(pcore_future_done(waiting), 1);
	assert_int_equal(pcore_future_result(waiting, PCORE_FOREVER, &result), -ECANCELED);
	pcore_event_set(g.go);
	assert_int_equal(pcore_future_result(running, PCORE_FOREVER, &result), 0);
	assert_int_equal(result, 42);
	assert_int_equal(pcore_future_cancel(running), -EALREADY);
	assert_int_equal(pcore_future_result(failing, PCORE_FOREVER, &result), 0);
	assert_int_equal(result, -EDOM);
	pcore_threads_free(t);
	assert_int_equal(n, 0);
	assert_int_equal(pcore_future_result(running, 0, &result), 0); /* it outlives the threads */
	pcore_future_free(running);
	pcore_future_free(waiting);
	pcore_future_free(failing);
	pcore_future_free(NULL);
	gate_done(&g);
}

struct calls {
	char text[16];
	size_t n;
};

static void call_a(struct pcore_future *f, void *arg)
{
	struct calls *c = arg;

	assert_int_equal(pcore_future_done(f), 1);
	c->text[c->n++] = 'a';
}

static void call_b(struct pcore_future *f, void *arg)
{
	struct calls *c = arg;

	assert_int_equal(pcore_future_done(f), 1);
	c->text[c->n++] = 'b';
}

static void callbacks_come_in_order_and_at_once_when_it_is_done(void **state)
{
	struct pcore_threads *t = pool(1, 0);
	struct pcore_future *f, *cancelled;
	struct calls c = { .n = 0 }, d = { .n = 0 };
	struct gate g;

	(void)state;
	gate_init(&g, 0);
	f = submit(t, pass, &g);
	cancelled = submit(t, refuse, NULL);
	assert_int_equal(pcore_future_then(f, call_a, &c), 0);
	assert_int_equal(pcore_future_then(f, call_b, &c), 0);
	assert_int_equal(pcore_future_then(f, call_a, &c), 0);
	assert_int_equal(pcore_future_then(cancelled, call_b, &d), 0);
	assert_int_equal(pcore_future_cancel(cancelled), 0);
	assert_string_equal(d.text, "b");
	pcore_event_set(g.go);
	assert_int_equal(pcore_threads_shutdown(t, 0, PCORE_FOREVER), 0); /* else they may still be under way */
	assert_string_equal(c.text, "aba");
	assert_int_equal(pcore_future_then(f, call_b, &c), 0);
	assert_string_equal(c.text, "abab");
	pcore_future_free(f);
	pcore_future_free(cancelled);
	pcore_threads_free(t);
	gate_done(&g);
}

static void waiting_is_for_the_first_the_first_error_or_all(void **state)
{
	struct pcore_threads *t = pool(2, 0), *other = pool(1, 0);
	struct pcore_future *f[4], *next = NULL, *twice[3];
	int64_t five = 5, result = 0;
	struct gate g, h;

	(void)state;
	gate_init(&g, 1);
	gate_init(&h, 1);
	f[0] = submit(t, pass, &g);
	f[1] = NULL;
	f[2] = submit(other, pass, &h);
	f[3] = submit(t, square, &five);
	assert_int_equal(pcore_futures_wait(f, 4, 9, 0), -EINVAL);
	assert_int_equal(pcore_futures_wait(f, 0, PCORE_WAIT_ALL, 0), 0);
	assert_int_equal(pcore_futures_wait(f, 4, PCORE_WAIT_FIRST, PCORE_FOREVER), 0);
	assert_int_equal(pcore_future_result(f[3], 0, &result), 0);
	assert_int_equal(result, 25);
	assert_int_equal(pcore_futures_wait(f, 4, PCORE_WAIT_ALL, 5 * MS), -ETIMEDOUT);
	assert_int_equal(pcore_futures_wait(f, 4, PCORE_WAIT_FIRST_ERROR, 0), -ETIMEDOUT);
	pcore_future_free(f[3]);
	f[3] = submit(t, refuse, NULL);
	assert_int_equal(pcore_futures_wait(f, 4, PCORE_WAIT_FIRST_ERROR, PCORE_FOREVER), 0);
	assert_int_equal(pcore_future_done(f[0]) + pcore_future_done(f[2]), 0);

	twice[0] = f[2];
	twice[1] = twice[2] = f[0];
	assert_int_equal(pcore_futures_next(twice, 3, 0, &next), -ETIMEDOUT);
	pcore_event_set(g.go);
	assert_int_equal(pcore_futures_next(twice, 3, PCORE_FOREVER, &next), 1);
	assert_ptr_equal(next, f[0]);
	assert_ptr_equal(twice[0], f[2]);
	assert_null(twice[1]);
	assert_null(twice[2]);
	pcore_event_set(h.go);
	assert_int_equal(pcore_futures_next(twice, 3, PCORE_FOREVER, &next), 1);
	assert_ptr_equal(next, f[2]);
	assert_int_equal(pcore_futures_next(twice, 3, PCORE_FOREVER, &next), 0);
	assert_int_equal(pcore_futures_wait(f, 4, PCORE_WAIT_ALL, PCORE_FOREVER), 0);
	assert_int_equal(pcore_futures_wait(f, 4, PCORE_WAIT_FIRST_ERROR, 0), 0);
	for (int i = 0; i < 4; i++)
		pcore_future_free(f[i]);
	pcore_threads_free(t);
	pcore_threads_free(other);
	gate_done(&g);
	gate_done(&h);
}

static void shutting_down_runs_or_cancels_what_waits(void **state)
{
	(void)state;
	for (int cancel = 0; cancel < 2; cancel++) {
		struct pcore_threads *t = pool(1, 0);
		struct pcore_future *f[3];
		atomic_int n = 0;
		struct gate g;

		gate_init(&g, 0);
		f[0] = submit(t, pass, &g);
		f[1] = submit(t, count, &n);
		f[2] = submit(t, count, &n);
		assert_int_equal(pcore_event_wait(g.begun, PCORE_FOREVER), 0);
		assert_int_equal(pcore_threads_shutdown(t, cancel, 0), -ETIMEDOUT);
		assert_int_equal(pcore_threads_submit(t, count, &n, PCORE_FOREVER, NULL), -ESHUTDOWN);
		assert_int_equal(pcore_threads_shutdown(t, 0, 5 * MS), -ETIMEDOUT);
		pcore_event_set(g.go);
		assert_int_equal(pcore_threads_shutdown(t, 0, PCORE_FOREVER), 0);
		assert_int_equal(pcore_threads_shutdown(t, 0, PCORE_FOREVER), 0);
		assert_int_equal(n, cancel ? 0 : 2);
		assert_int_equal(pcore_future_result(f[2], 0, NULL), cancel ? -ECANCELED : 0);
		pcore_threads_free(t);
		for (int i = 0; i < 3; i++)
			pcore_future_free(f[i]);
		gate_done(&g);
	}
}

static int64_t shut_down(void *arg)
{
	return pcore_threads_shutdown(arg, 0, PCORE_FOREVER);
}

static void a_bounded_pool_refuses_and_none_waits_for_itself(void **state)
{
	struct pcore_threads *t = pool(1, 1);
	struct pcore_future *f, *g2;
	atomic_int n = 0;
	int64_t result = 0;
	struct gate g;

	(void)state;
	gate_init(&g, 0);
	f = submit(t, pass, &g);
	assert_int_equal(pcore_event_wait(g.begun, PCORE_FOREVER), 0);
	g2 = submit(t, count, &n);
	assert_int_equal(pcore_threads_submit(t, count, &n, 0, NULL), -ETIMEDOUT);
	assert_int_equal(pcore_threads_submit(t, count, &n, 5 * MS, NULL), -ETIMEDOUT);
	assert_int_equal(pcore_future_cancel(g2), 0); /* makes room */
	pcore_future_free(g2);
	g2 = submit(t, shut_down, t);
	pcore_event_set(g.go);
	assert_int_equal(pcore_future_result(g2, PCORE_FOREVER, &result), 0);
	assert_int_equal(result, -EDEADLK);
	assert_int_equal(n, 0);
	pcore_threads_free(t);
	pcore_future_free(f);
	pcore_future_free(g2);
	gate_done(&g);
}

static int init_one(void *arg)
{
	atomic_int *n = arg;

	return atomic_fetch_add(n, 1) == 2 ? -EACCES : 0;
}

static int64_t name_of(void *arg)
{
	char *name = arg;

	return pthread_getname_np(pthread_self(), name, 16);
}

static void each_thread_is_initialised_once(void **state)
{
	atomic_int n = 0;
	struct pcore_threads_spec spec = { .size = sizeof(spec), .threads = 2, .init = init_one, .arg = &n, .name = "a long name of it" };
	struct pcore_threads *t = NULL;
	char name[16] = "";
	struct pcore_future *f;

	(void)state;
	assert_int_equal(pcore_threads_new(&t, &spec), 0);
	assert_int_equal(n, 2);
	f = submit(t, name_of, name);
	assert_int_equal(pcore_future_result(f, PCORE_FOREVER, NULL), 0);
	assert_true(strcmp(name, "a long name o-1") == 0 || strcmp(name, "a long name o-2") == 0);
	pcore_future_free(f);
	pcore_threads_free(t);
	assert_int_equal(pcore_threads_new(&t, &spec), -EACCES);
	assert_int_equal(n, 4);
	spec.size = 0;
	assert_int_equal(pcore_threads_new(&t, &spec), -EINVAL);
}

static void threads_are_added_one_by_one(void **state)
{
	atomic_int n = 0;
	struct pcore_threads_spec spec = { .size = sizeof(spec), .threads = 1, .init = init_one, .arg = &n, .name = "pool" };
	struct pcore_threads *t = NULL;
	struct pcore_future *f[2];
	struct gate g[2];

	(void)state;
	assert_int_equal(pcore_threads_new(&t, &spec), 0);
	assert_int_equal(pcore_threads_add(t), 0);
	assert_int_equal(n, 2);
	for (int i = 0; i < 2; i++) {
		gate_init(&g[i], i);
		f[i] = submit(t, pass, &g[i]);
	}
	for (int i = 0; i < 2; i++) /* at the same time */
		assert_int_equal(pcore_event_wait(g[i].begun, PCORE_FOREVER), 0);
	assert_int_equal(pcore_threads_add(t), -EACCES);
	for (int i = 0; i < 2; i++) {
		pcore_event_set(g[i].go);
		assert_int_equal(pcore_future_result(f[i], PCORE_FOREVER, NULL), 0);
		pcore_future_free(f[i]);
		gate_done(&g[i]);
	}
	assert_int_equal(pcore_threads_add(t), 0);
	assert_int_equal(n, 4);
	assert_int_equal(pcore_threads_shutdown(t, 0, PCORE_FOREVER), 0);
	assert_int_equal(pcore_threads_add(t), -ESHUTDOWN);
	pcore_threads_free(t);
}

static void a_mapping_gives_results_in_order(void **state)
{
	struct pcore_threads *t = pool(3, 2);
	int64_t items[100], result = 0;
	struct pcore_mapping *m = NULL;
	size_t index = 0;

	(void)state;
	for (int64_t i = 0; i < 100; i++)
		items[i] = i;
	assert_int_equal(pcore_threads_map(&m, t, square, items, sizeof(items[0]), 100, 6, PCORE_FOREVER), -EINVAL);
	assert_int_equal(pcore_threads_map(&m, t, square, items, sizeof(items[0]), 100, 0, PCORE_FOREVER), 0);
	for (int64_t i = 0; i < 100; i++) {
		assert_int_equal(pcore_mapping_next(m, &index, &result), 1);
		assert_int_equal(index, i);
		assert_int_equal(result, i * i);
	}
	assert_int_equal(pcore_mapping_next(m, NULL, NULL), 0);
	pcore_mapping_free(m);
	assert_int_equal(pcore_threads_map(&m, t, square, NULL, 0, 0, 0, 0), 0);
	assert_int_equal(pcore_mapping_next(m, NULL, NULL), 0);
	pcore_mapping_free(m);
	pcore_mapping_free(NULL);
	assert_int_equal(pcore_threads_shutdown(t, 0, PCORE_FOREVER), 0);
	assert_int_equal(pcore_threads_map(&m, t, square, items, sizeof(items[0]), 1, 0, PCORE_FOREVER), -ESHUTDOWN);
	pcore_threads_free(t);
}

static void a_mapping_gives_results_as_they_come_within_one_time(void **state)
{
	struct pcore_threads *t = pool(2, 0);
	struct pcore_mapping *m = NULL;
	struct gate g[3];
	int64_t result = 0;
	size_t index = 9;

	(void)state;
	for (int i = 0; i < 3; i++)
		gate_init(&g[i], i);
	assert_int_equal(pcore_threads_map(&m, t, pass, g, sizeof(g[0]), 3, PCORE_MAPPING_AS_COMPLETED, PCORE_FOREVER), 0);
	for (int i = 1; i < 4; i++) {
		pcore_event_set(g[i % 3].go);
		assert_int_equal(pcore_mapping_next(m, &index, &result), 1);
		assert_int_equal(index, i % 3);
		assert_int_equal(result, i % 3);
	}
	assert_int_equal(pcore_mapping_next(m, &index, &result), 0);
	pcore_mapping_free(m);

	for (int i = 0; i < 3; i++) {
		pcore_event_clear(g[i].go);
		pcore_event_clear(g[i].begun);
		g[i].runs = 0;
	}
	assert_int_equal(pcore_threads_map(&m, t, pass, g, sizeof(g[0]), 3, 0, 5 * MS), 0);
	assert_int_equal(pcore_event_wait(g[0].begun, PCORE_FOREVER), 0);
	assert_int_equal(pcore_event_wait(g[1].begun, PCORE_FOREVER), 0);
	assert_int_equal(pcore_mapping_next(m, NULL, NULL), -ETIMEDOUT);
	pcore_event_set(g[0].go);
	pcore_event_set(g[1].go);
	pcore_event_set(g[2].go);
	pcore_mapping_free(m);
	assert_in_range(g[0].runs + g[1].runs + g[2].runs, 2, 3); /* the third may have found a thread in the end */
	pcore_threads_free(t);
	for (int i = 0; i < 3; i++)
		gate_done(&g[i]);
}

static void a_mapping_is_cancelled_item_by_item(void **state)
{
	enum { ITEMS = 6, THREADS = 2 };
	struct pcore_threads *t = pool(THREADS, 0);
	struct pcore_mapping *m = NULL;
	struct gate g[ITEMS];
	int64_t result = 0;

	(void)state;
	for (int i = 0; i < ITEMS; i++)
		gate_init(&g[i], i);
	assert_int_equal(pcore_threads_map(&m, t, pass, g, sizeof(g[0]), ITEMS, 0, PCORE_FOREVER), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pcore_event_wait(g[i].begun, PCORE_FOREVER), 0);
	assert_int_equal(pcore_threads_shutdown(t, 1, 0), -ETIMEDOUT);
	for (int i = 0; i < ITEMS; i++)
		pcore_event_set(g[i].go);
	for (int i = 0; i < ITEMS; i++) {
		assert_int_equal(pcore_mapping_next(m, NULL, &result), 1);
		assert_int_equal(result, i < THREADS ? i : -ECANCELED);
		assert_int_equal(g[i].runs, i < THREADS);
	}
	pcore_mapping_free(m);
	pcore_threads_free(t);
	for (int i = 0; i < ITEMS; i++)
		gate_done(&g[i]);
}

enum { MANY = 20000, AT_A_TIME = 64 };

static void a_mapping_of_many_tells_each_once(void **state)
{
	struct pcore_threads *t = pool(4, 2);
	int64_t *items = calloc(MANY, sizeof(*items)), result = 0;
	bool *seen = calloc(MANY, 1);
	struct pcore_mapping *m = NULL;
	size_t index = 0;

	(void)state;
	for (int64_t i = 0; i < MANY; i++)
		items[i] = i;
	for (unsigned flags = 0; flags <= PCORE_MAPPING_AS_COMPLETED; flags++) {
		assert_int_equal(pcore_threads_map(&m, t, square, items, sizeof(items[0]), MANY, flags, PCORE_FOREVER), 0);
		for (int64_t i = 0; i < MANY; i++) {
			assert_int_equal(pcore_mapping_next(m, &index, &result), 1);
			assert_int_equal(result, (int64_t)(index * index));
			assert_int_equal(seen[index], flags);
			seen[index] = !flags;
		}
		assert_int_equal(pcore_mapping_next(m, NULL, NULL), 0);
		pcore_mapping_free(m);
	}
	pcore_threads_free(t);
	free(items);
	free(seen);
}

static void many_are_run_once_each(void **state)
{
	struct pcore_threads *t = pool(4, 100);
	struct pcore_future *f[AT_A_TIME] = { NULL };
	atomic_int n = 0;
	bool *seen = calloc(MANY, 1);
	int64_t result = 0;

	(void)state;
	for (int i = 0; i < MANY + AT_A_TIME; i++) {
		struct pcore_future **slot = &f[i % AT_A_TIME];

		if (*slot) {
			assert_int_equal(pcore_future_result(*slot, PCORE_FOREVER, &result), 0);
			assert_false(seen[result]);
			seen[result] = true;
			pcore_future_free(*slot);
		}
		*slot = i < MANY ? submit(t, count, &n) : NULL;
	}
	assert_int_equal(n, MANY);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(pcore_threads_submit(t, count, &n, PCORE_FOREVER, NULL), 0);
	pcore_threads_free(t);
	assert_int_equal(n, MANY + 1000);
	free(seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_future_is_cancelled_only_while_it_waits),
		TEST(callbacks_come_in_order_and_at_once_when_it_is_done),
		TEST(waiting_is_for_the_first_the_first_error_or_all),
		TEST(shutting_down_runs_or_cancels_what_waits),
		TEST(a_bounded_pool_refuses_and_none_waits_for_itself),
		TEST(each_thread_is_initialised_once),
		TEST(threads_are_added_one_by_one),
		TEST(a_mapping_gives_results_in_order),
		TEST(a_mapping_gives_results_as_they_come_within_one_time),
		TEST(a_mapping_is_cancelled_item_by_item),
		TEST(a_mapping_of_many_tells_each_once),
		TEST(many_are_run_once_each),
	};

	return RUN_TESTS(tests);
}
