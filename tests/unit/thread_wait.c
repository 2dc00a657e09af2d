/* SPDX-License-Identifier: MIT */
/* thread_wait.c - events, semaphores, barriers and bounded queues of threads. */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include <pcore/thread.h>

#include "tests/unit/support.h"

#define MS INT64_C(1000000)

enum { PARTIES = 5, ROUNDS = 1000 };

static struct pcore_thread *start(int64_t (*fn)(void *), void *arg)
{
	struct pcore_thread_spec spec = { .size = sizeof(spec), .fn = fn, .arg = arg };
	struct pcore_thread *t = NULL;

	assert_int_equal(pcore_thread_new(&t, &spec), 0);
	assert_int_equal(pcore_thread_start(t), 0);
	return t;
}

static int64_t finish(struct pcore_thread *t)
{
	int64_t result = -1;

	assert_int_equal(pcore_thread_join(t, PCORE_FOREVER, &result), 0);
	pcore_thread_free(t);
	return result;
}

static int64_t wait_event(void *arg)
{
	return pcore_event_wait(arg, PCORE_FOREVER);
}

static void an_event_is_set_cleared_and_waited_for(void **state)
{
	struct pcore_thread *t[PARTIES];
	struct pcore_event *e = NULL;

	(void)state;
	assert_int_equal(pcore_event_new(&e), 0);
	assert_int_equal(pcore_event_is_set(e), 0);
	assert_int_equal(pcore_event_wait(e, 0), -ETIMEDOUT);
	assert_int_equal(pcore_event_wait(e, 5 * MS), -ETIMEDOUT);
	for (int i = 0; i < PARTIES; i++)
		t[i] = start(wait_event, e);
	pcore_event_set(e);
	for (int i = 0; i < PARTIES; i++)
		assert_int_equal(finish(t[i]), 0);
	assert_int_equal(pcore_event_is_set(e), 1);
	assert_int_equal(pcore_event_wait(e, 0), 0);
	pcore_event_clear(e);
	assert_int_equal(pcore_event_wait(e, 0), -ETIMEDOUT);
	pcore_event_free(e);
}

static int64_t acquire(void *arg)
{
	return pcore_thread_sem_acquire(arg, PCORE_FOREVER);
}

static void a_semaphore_is_not_released_beyond_its_bound(void **state)
{
	struct pcore_thread_sem *s = NULL;
	struct pcore_thread *t[2];

	(void)state;
	assert_int_equal(pcore_thread_sem_new(&s, 3, 2), -EINVAL);
	assert_int_equal(pcore_thread_sem_new(&s, 0, 0), -EINVAL);
	assert_int_equal(pcore_thread_sem_new(&s, 2, 3), 0);
	assert_int_equal(pcore_thread_sem_release(s, 2), -EOVERFLOW);
	assert_int_equal(pcore_thread_sem_value(s), 2);
	assert_int_equal(pcore_thread_sem_release(s, 1), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pcore_thread_sem_acquire(s, 0), 0);
	assert_int_equal(pcore_thread_sem_acquire(s, 0), -ETIMEDOUT);
	assert_int_equal(pcore_thread_sem_acquire(s, 5 * MS), -ETIMEDOUT);
	for (int i = 0; i < 2; i++)
		t[i] = start(acquire, s);
	assert_int_equal(pcore_thread_sem_release(s, 3), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(finish(t[i]), 0);
	assert_int_equal(pcore_thread_sem_value(s), 1);
	pcore_thread_sem_free(s);
}

/* ---- barrier ---- */

struct meeting {
	struct pcore_barrier *b;
	struct pcore_event *begun;
	atomic_int inside, actions, first, wrong;
	int fail;
	int64_t timeout;
};

static int action(void *arg)
{
	struct meeting *m = arg;

	atomic_fetch_add(&m->actions, 1);
	if (atomic_exchange(&m->inside, 0) != PARTIES)
		atomic_fetch_add(&m->wrong, 1);
	return m->fail;
}

static int64_t meet_often(void *arg)
{
	struct meeting *m = arg;

	for (int round = 1; round <= ROUNDS; round++) {
		int r;

		atomic_fetch_add(&m->inside, 1);
		r = pcore_barrier_wait(m->b, PCORE_FOREVER);
		if (r < 0 || atomic_load(&m->actions) < round)
			return -1;
		atomic_fetch_add(&m->first, r == 0);
	}
	return 0;
}

static int64_t meet(void *arg)
{
	struct meeting *m = arg;

	atomic_fetch_add(&m->inside, 1);
	return pcore_barrier_wait(m->b, m->timeout);
}

static void parties_meet_a_thousand_times(void **state)
{
	struct meeting m = { .fail = 0 };
	struct pcore_thread *t[PARTIES];

	(void)state;
	assert_int_equal(pcore_barrier_new(&m.b, 0, NULL, NULL), -EINVAL);
	assert_int_equal(pcore_barrier_new(&m.b, PARTIES, action, &m), 0);
	for (int i = 0; i < PARTIES; i++)
		t[i] = start(meet_often, &m);
	for (int i = 0; i < PARTIES; i++)
		assert_int_equal(finish(t[i]), 0);
	assert_int_equal(m.actions, ROUNDS);
	assert_int_equal(m.first, ROUNDS);
	assert_int_equal(m.wrong, 0);
	pcore_barrier_free(m.b);
}

static void start_all_but_one(struct meeting *m, struct pcore_thread **t)
{
	m->inside = 0;
	for (int i = 0; i < PARTIES - 1; i++)
		t[i] = start(meet, m);
	while (atomic_load(&m->inside) < PARTIES - 1)
		usleep(500);
}

static void finish_broken(struct pcore_thread **t)
{
	for (int i = 0; i < PARTIES - 1; i++)
		assert_int_equal(finish(t[i]), -EPIPE);
}

static void a_barrier_breaks_for_all_and_is_reset(void **state)
{
	struct meeting m = { .timeout = PCORE_FOREVER };
	struct pcore_thread *t[PARTIES];

	(void)state;
	assert_int_equal(pcore_barrier_new(&m.b, PARTIES, action, &m), 0);
	start_all_but_one(&m, t);
	pcore_barrier_abort(m.b);
	finish_broken(t);
	assert_int_equal(pcore_barrier_broken(m.b), 1);
	assert_int_equal(pcore_barrier_wait(m.b, PCORE_FOREVER), -EPIPE);
	pcore_barrier_reset(m.b);
	assert_int_equal(pcore_barrier_broken(m.b), 0);

	m.timeout = 20 * MS;
	start_all_but_one(&m, t);
	finish_broken(t);
	assert_int_equal(pcore_barrier_broken(m.b), 1);
	pcore_barrier_reset(m.b);

	m.fail = 1;
	m.timeout = PCORE_FOREVER;
	start_all_but_one(&m, t);
	atomic_fetch_add(&m.inside, 1);
	assert_int_equal(pcore_barrier_wait(m.b, PCORE_FOREVER), -EPIPE);
	finish_broken(t);
	assert_int_equal(m.actions, 1);
	m.fail = 0;
	pcore_barrier_reset(m.b);
	m.inside = m.actions = 0;
	for (int i = 0; i < PARTIES; i++)
		t[i] = start(meet_often, &m);
	for (int i = 0; i < PARTIES; i++)
		assert_int_equal(finish(t[i]), 0);
	pcore_barrier_free(m.b);
}


/* Threads that are about to wait when a barrier is reset are of the next round: reset until all have left. */
static void a_reset_releases_those_who_wait(void **state)
{
	struct meeting m = { .timeout = PCORE_FOREVER };
	struct pcore_thread *t[PARTIES];
	int left = PARTIES - 1;

	(void)state;
	assert_int_equal(pcore_barrier_new(&m.b, PARTIES, NULL, NULL), 0);
	for (int i = 0; i < left; i++)
		t[i] = start(meet, &m);
	while (left > 0) {
		int64_t result = 0;

		pcore_barrier_reset(m.b);
		if (pcore_thread_join(t[left - 1], MS, &result) < 0)
			continue;
		assert_int_equal(result, -EPIPE);
		pcore_thread_free(t[--left]);
	}
	assert_int_equal(pcore_barrier_broken(m.b), 0);
	pcore_barrier_free(m.b);
}

/* ---- queue ---- */

static int64_t take_all(void *arg)
{
	int64_t sum = 0;
	void *item = NULL;
	int r;

	while ((r = pcore_workqueue_get(arg, &item, PCORE_FOREVER)) == 0) {
		sum += (intptr_t)item;
		if (pcore_workqueue_done(arg) < 0)
			return -1;
	}
	return r == -ENODATA ? sum : r;
}

static void a_queue_is_bounded_joined_and_closed(void **state)
{
	struct pcore_workqueue *q = NULL;
	struct pcore_thread *t[2];
	void *item = NULL;

	(void)state;
	assert_int_equal(pcore_workqueue_new(&q, 0), -EINVAL);
	assert_int_equal(pcore_workqueue_new(&q, 2), 0);
	assert_int_equal(pcore_workqueue_get(q, &item, 0), -ETIMEDOUT);
	assert_int_equal(pcore_workqueue_get(q, &item, 5 * MS), -ETIMEDOUT);
	assert_int_equal(pcore_workqueue_put(q, (void *)1, 0), 0);
	assert_int_equal(pcore_workqueue_put(q, (void *)2, 0), 0);
	assert_int_equal(pcore_workqueue_put(q, (void *)3, 0), -ETIMEDOUT);
	assert_int_equal(pcore_workqueue_put(q, (void *)3, 5 * MS), -ETIMEDOUT);
	assert_int_equal(pcore_workqueue_count(q), 2);
	assert_int_equal(pcore_workqueue_done(q), -EINVAL);
	assert_int_equal(pcore_workqueue_join(q, 0), -ETIMEDOUT);
	assert_int_equal(pcore_workqueue_get(q, &item, 0), 0);
	assert_ptr_equal(item, (void *)1);
	assert_int_equal(pcore_workqueue_done(q), 0);
	assert_int_equal(pcore_workqueue_join(q, 5 * MS), -ETIMEDOUT);

	for (int i = 0; i < 2; i++)
		t[i] = start(take_all, q);
	for (intptr_t i = 3; i <= 1000; i++)
		assert_int_equal(pcore_workqueue_put(q, (void *)i, PCORE_FOREVER), 0);
	assert_int_equal(pcore_workqueue_join(q, PCORE_FOREVER), 0);
	assert_int_equal(pcore_workqueue_count(q), 0);
	pcore_workqueue_close(q);
	assert_int_equal(pcore_workqueue_put(q, (void *)1, PCORE_FOREVER), -EPIPE);
	assert_int_equal(finish(t[0]) + finish(t[1]), 1000 * 1001 / 2 - 1);
	pcore_workqueue_free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_event_is_set_cleared_and_waited_for),
		TEST(a_semaphore_is_not_released_beyond_its_bound),
		TEST(parties_meet_a_thousand_times),
		TEST(a_barrier_breaks_for_all_and_is_reset),
		TEST(a_reset_releases_those_who_wait),
		TEST(a_queue_is_bounded_joined_and_closed),
	};

	return RUN_TESTS(tests);
}
