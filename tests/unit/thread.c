/* SPDX-License-Identifier: MIT */
/* thread.c - threads, mutexes and conditions. */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include <pcore/thread.h>

#include "tests/unit/support.h"

#define MS INT64_C(1000000)

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

/* ---- threads ---- */

static int64_t wait_for_event(void *arg)
{
	return pcore_event_wait(arg, PCORE_FOREVER) == 0 ? 7 : -1;
}

static void a_thread_has_a_name_and_is_joined_with_a_time_out(void **state)
{
	struct pcore_thread_spec spec = { .size = sizeof(spec), .fn = wait_for_event, .name = "a name of 20 bytes  " };
	struct pcore_thread *t = NULL;
	struct pcore_event *e = NULL;
	char path[64], comm[32] = "";
	int64_t result = 0;
	FILE *f;

	(void)state;
	assert_int_equal(pcore_event_new(&e), 0);
	spec.arg = e;
	assert_int_equal(pcore_thread_new(&t, &spec), 0);
	assert_int_equal(pcore_thread_join(t, 0, NULL), -EINVAL);
	assert_int_equal(pcore_thread_alive(t), 0);
	assert_int_equal(pcore_thread_id(t), 0);
	assert_int_equal(pcore_thread_start(t), 0);
	assert_int_equal(pcore_thread_start(t), -EALREADY);
	assert_int_equal(pcore_thread_alive(t), 1);
	assert_string_equal(pcore_thread_name(t), "a name of 20 bytes  ");

	snprintf(path, sizeof(path), "/proc/self/task/%d/comm", pcore_thread_id(t));
	f = fopen(path, "re");
	assert_non_null(f);
	assert_non_null(fgets(comm, sizeof(comm), f));
	fclose(f);
	assert_string_equal(comm, "a name of 20 by\n");

	assert_int_equal(pcore_thread_join(t, 0, &result), -ETIMEDOUT);
	assert_int_equal(pcore_thread_join(t, 5 * MS, &result), -ETIMEDOUT);
	pcore_event_set(e);
	assert_int_equal(pcore_thread_join(t, PCORE_FOREVER, &result), 0);
	assert_int_equal(result, 7);
	assert_int_equal(pcore_thread_join(t, 0, NULL), 0);
	assert_int_equal(pcore_thread_alive(t), 0);
	assert_int_equal(pcore_thread_start(t), -EALREADY);
	pcore_thread_free(t);
	pcore_event_free(e);
}

static int64_t join_itself(void *arg)
{
	return pcore_thread_join(*(struct pcore_thread **)arg, PCORE_FOREVER, NULL);
}

static void a_thread_cannot_join_itself(void **state)
{
	struct pcore_thread *t = NULL;
	struct pcore_thread_spec spec = { .size = sizeof(spec), .fn = join_itself, .arg = &t };

	(void)state;
	assert_int_equal(pcore_thread_new(&t, &spec), 0);
	assert_int_equal(pcore_thread_start(t), 0);
	assert_int_equal(finish(t), -EDEADLK);
}

static void a_spec_of_another_size_is_understood_or_refused(void **state)
{
	struct {
		struct pcore_thread_spec spec;
		char more[8];
	} newer = { .spec = { .size = sizeof(newer), .fn = wait_for_event } };
	struct pcore_thread *t = NULL;

	(void)state;
	assert_int_equal(pcore_thread_new(&t, &newer.spec), 0);
	pcore_thread_free(t);
	newer.more[3] = 1;
	assert_int_equal(pcore_thread_new(&t, &newer.spec), -E2BIG);
	newer.spec.size = offsetof(struct pcore_thread_spec, stack_size);
	assert_int_equal(pcore_thread_new(&t, &newer.spec), 0);
	pcore_thread_free(t);
	newer.spec.size = 1;
	assert_int_equal(pcore_thread_new(&t, &newer.spec), -EINVAL);
	newer.spec = (struct pcore_thread_spec){ .size = sizeof(newer.spec) };
	assert_int_equal(pcore_thread_new(&t, &newer.spec), -EINVAL);
	pcore_thread_free(NULL);
}

static int64_t set_event(void *arg)
{
	pcore_event_set(arg);
	return 0;
}

static void a_thread_that_nobody_joins_goes_on(void **state)
{
	static struct pcore_event *e; /* it may still be at it when we are done */

	(void)state;
	assert_int_equal(pcore_event_new(&e), 0);
	pcore_thread_free(start(set_event, e));
	assert_int_equal(pcore_event_wait(e, PCORE_FOREVER), 0);
}

/* ---- mutex ---- */

struct locked {
	struct pcore_mutex *m;
	struct pcore_cond *c;
	struct pcore_event *go;
	unsigned waiting, woken;
	int64_t counter;
	int64_t timeout;
};

static int64_t try_lock(void *arg)
{
	return pcore_mutex_lock(((struct locked *)arg)->m, ((struct locked *)arg)->timeout);
}

static int64_t unlock_others(void *arg)
{
	return pcore_mutex_unlock(((struct locked *)arg)->m);
}

static void a_plain_mutex_tells_its_owner_and_others_what_is_wrong(void **state)
{
	struct locked l = { .timeout = 0 };

	(void)state;
	assert_int_equal(pcore_mutex_new(&l.m, 4), -EINVAL);
	assert_int_equal(pcore_mutex_new(&l.m, 0), 0);
	assert_int_equal(pcore_mutex_unlock(l.m), -EPERM);
	assert_int_equal(pcore_mutex_lock(l.m, PCORE_FOREVER), 0);
	assert_int_equal(pcore_mutex_held(l.m), 1);
	assert_int_equal(pcore_mutex_lock(l.m, PCORE_FOREVER), -EDEADLK);
	assert_int_equal(pcore_mutex_lock(l.m, 0), -EDEADLK);
	assert_int_equal(pcore_mutex_lock(l.m, MS), -EDEADLK);
	assert_int_equal(finish(start(unlock_others, &l)), -EPERM);
	assert_int_equal(finish(start(try_lock, &l)), -ETIMEDOUT);
	l.timeout = 5 * MS;
	assert_int_equal(finish(start(try_lock, &l)), -ETIMEDOUT);
	assert_int_equal(pcore_mutex_unlock(l.m), 0);
	assert_int_equal(pcore_mutex_held(l.m), 0);
	assert_int_equal(pcore_mutex_unlock(l.m), -EPERM);
	pcore_mutex_free(l.m);
	pcore_mutex_free(NULL);
}

static void a_recursive_mutex_is_unlocked_as_often_as_locked(void **state)
{
	struct locked l = { .timeout = 0 };

	(void)state;
	assert_int_equal(pcore_mutex_new(&l.m, PCORE_MUTEX_RECURSIVE), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pcore_mutex_lock(l.m, i == 1 ? 0 : PCORE_FOREVER), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(finish(start(try_lock, &l)), -ETIMEDOUT);
		assert_int_equal(pcore_mutex_unlock(l.m), 0);
	}
	assert_int_equal(pcore_mutex_unlock(l.m), -EPERM);
	assert_int_equal(pcore_mutex_lock(l.m, 0), 0);
	assert_int_equal(pcore_mutex_unlock(l.m), 0);
	pcore_mutex_free(l.m);
}

static void a_robust_mutex_outlives_its_owner(void **state)
{
	(void)state;
	for (unsigned extra = 0; extra < 2; extra++) {
		struct locked l = { .timeout = PCORE_FOREVER };

		assert_int_equal(pcore_mutex_new(&l.m, PCORE_MUTEX_ROBUST | (extra ? PCORE_MUTEX_RECURSIVE : 0)), 0);
		assert_int_equal(finish(start(try_lock, &l)), 0); /* and ends with it */
		assert_int_equal(finish(start(try_lock, &l)), 1); /* a thread of the same stack, perhaps */
		assert_int_equal(pcore_mutex_lock(l.m, PCORE_FOREVER), 1);
		assert_int_equal(pcore_mutex_lock(l.m, 0), extra ? 0 : -EDEADLK);
		for (unsigned i = 0; i <= extra; i++)
			assert_int_equal(pcore_mutex_unlock(l.m), 0);
		assert_int_equal(pcore_mutex_lock(l.m, MS), 0);
		assert_int_equal(pcore_mutex_unlock(l.m), 0);
		pcore_mutex_free(l.m);
	}
}

enum { THREADS = 5, TURNS = 20000 };

static int64_t count(void *arg)
{
	struct locked *l = arg;

	for (int i = 0; i < TURNS; i++) {
		if (pcore_mutex_lock(l->m, i % 2 ? PCORE_FOREVER : 1000 * 1000 * MS) != 0)
			return -1;
		l->counter++;
		if (pcore_mutex_unlock(l->m) != 0)
			return -1;
	}
	return 0;
}

static void no_update_under_a_mutex_is_lost(void **state)
{
	struct locked l = { .counter = 0 };
	struct pcore_thread *t[THREADS];

	(void)state;
	assert_int_equal(pcore_mutex_new(&l.m, 0), 0);
	for (int i = 0; i < THREADS; i++)
		t[i] = start(count, &l);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(finish(t[i]), 0);
	assert_int_equal(l.counter, THREADS * TURNS);
	pcore_mutex_free(l.m);
}

/* ---- condition ---- */

static void make(struct locked *l, unsigned flags)
{
	assert_int_equal(pcore_mutex_new(&l->m, flags), 0);
	assert_int_equal(pcore_cond_new(&l->c, l->m), 0);
}

static void unmake(struct locked *l)
{
	pcore_cond_free(l->c);
	pcore_mutex_free(l->m);
}

static int64_t wait_once(void *arg)
{
	struct locked *l = arg;
	int r = pcore_mutex_lock(l->m, PCORE_FOREVER);

	l->waiting++;
	r = pcore_cond_wait(l->c, PCORE_FOREVER);
	l->woken++;
	if (!pcore_mutex_held(l->m) || pcore_mutex_unlock(l->m) < 0)
		return -1;
	return r;
}

/* With the lock, look until so many wait. */
static void lock_when_waiting(struct locked *l, unsigned n)
{
	for (;;) {
		assert_int_equal(pcore_mutex_lock(l->m, PCORE_FOREVER), 0);
		if (l->waiting == n)
			return;
		assert_int_equal(pcore_mutex_unlock(l->m), 0);
		usleep(500);
	}
}

static void notify_wakes_as_many_as_it_says_and_none_that_comes_later(void **state)
{
	struct locked l = { .waiting = 0 };
	struct pcore_thread *t[THREADS];

	(void)state;
	make(&l, 0);
	assert_int_equal(pcore_cond_notify(l.c, 1), -EPERM);
	for (int i = 0; i < THREADS - 1; i++)
		t[i] = start(wait_once, &l);
	lock_when_waiting(&l, THREADS - 1);
	assert_int_equal(pcore_cond_notify(l.c, 3), 3);
	/* a later one, who comes before those have run */
	assert_int_equal(pcore_mutex_unlock(l.m), 0);
	t[THREADS - 1] = start(wait_once, &l);
	lock_when_waiting(&l, THREADS);
	while (l.woken < 3) {
		assert_int_equal(pcore_mutex_unlock(l.m), 0);
		usleep(500);
		assert_int_equal(pcore_mutex_lock(l.m, PCORE_FOREVER), 0);
	}
	assert_int_equal(l.woken, 3);
	assert_int_equal(pcore_cond_notify(l.c, 9), 2);
	assert_int_equal(pcore_cond_notify(l.c, 9), 0);
	assert_int_equal(pcore_mutex_unlock(l.m), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(finish(t[i]), 0);
	unmake(&l);
}

static int never(void *arg)
{
	(*(unsigned *)arg)++;
	return 0;
}

static int enough(void *arg)
{
	return ((struct locked *)arg)->counter >= 3;
}

static int64_t add_three(void *arg)
{
	struct locked *l = arg;

	for (int i = 0; i < 3; i++) {
		if (pcore_mutex_lock(l->m, PCORE_FOREVER) != 0)
			return -1;
		l->counter++;
		if (pcore_cond_notify_all(l->c) < 0 || pcore_mutex_unlock(l->m) != 0)
			return -1;
	}
	return 0;
}

static void a_condition_needs_its_lock_and_has_it_again_after_a_time_out(void **state)
{
	struct locked l = { .waiting = 0 };
	struct pcore_thread *t;
	unsigned asked = 0;

	(void)state;
	make(&l, PCORE_MUTEX_RECURSIVE);
	assert_int_equal(pcore_cond_wait(l.c, 0), -EPERM);
	assert_int_equal(pcore_cond_wait_for(l.c, never, &asked, 0), -EPERM);
	assert_int_equal(pcore_mutex_lock(l.m, PCORE_FOREVER), 0);
	assert_int_equal(pcore_mutex_lock(l.m, PCORE_FOREVER), 0);
	assert_int_equal(pcore_cond_wait(l.c, 0), -ETIMEDOUT);
	assert_int_equal(pcore_cond_wait(l.c, 5 * MS), -ETIMEDOUT);
	assert_int_equal(pcore_cond_wait_for(l.c, never, &asked, 5 * MS), -ETIMEDOUT);
	assert_int_equal(asked, 2);

	t = start(add_three, &l); /* it needs the lock, which was taken twice */
	assert_int_equal(pcore_cond_wait_for(l.c, enough, &l, PCORE_FOREVER), 0);
	assert_int_equal(pcore_mutex_unlock(l.m), 0);
	assert_int_equal(pcore_mutex_held(l.m), 1);
	assert_int_equal(pcore_mutex_unlock(l.m), 0);
	assert_int_equal(finish(t), 0);
	unmake(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_thread_has_a_name_and_is_joined_with_a_time_out),
		TEST(a_thread_cannot_join_itself),
		TEST(a_spec_of_another_size_is_understood_or_refused),
		TEST(a_thread_that_nobody_joins_goes_on),
		TEST(a_plain_mutex_tells_its_owner_and_others_what_is_wrong),
		TEST(a_recursive_mutex_is_unlocked_as_often_as_locked),
		TEST(a_robust_mutex_outlives_its_owner),
		TEST(no_update_under_a_mutex_is_lost),
		TEST(notify_wakes_as_many_as_it_says_and_none_that_comes_later),
		TEST(a_condition_needs_its_lock_and_has_it_again_after_a_time_out),
	};

	return RUN_TESTS(tests);
}
