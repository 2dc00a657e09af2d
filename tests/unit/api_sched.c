/* SPDX-License-Identifier: MIT */
/*
 * api_sched.c - tests of <pcore/sched.h>, and of <pcore/timer.h> where a timer has a thread.
 */
#include "tests/unit/support.h"

#include <errno.h>
#include <pcore/sched.h>
#include <pcore/timer.h>
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#include "libcore/base/base.h"

static struct pcore_scheduler *s;
static char order[32];
static int n_run;

static int before(void **state)
{
	support_before(state);
	memset(order, 0, sizeof(order));
	n_run = 0;
	return pcore_scheduler_new(&s);
}

static int after(void **state)
{
	pcore_scheduler_free(s);
	return support_after(state);
}

#define SCHED_TEST(f) cmocka_unit_test_setup_teardown(f, before, after)

static int note(void *arg)
{
	order[n_run++] = *(const char *)arg;
	return 0;
}

static int note_and_fail(void *arg)
{
	(void)note(arg);
	return 42;
}

static uint64_t at(int64_t when, int priority, const char *name)
{
	uint64_t id = 0;

	assert_int_equal(pcore_scheduler_enterabs(s, when, priority, note, (void *)(uintptr_t)name, &id), 0);
	return id;
}

static void events_run_in_the_order_of_time_priority_and_entry(void **state)
{
	int64_t now = pcore_now_ns(), start = now;
	struct pcore_scheduler_event events[8];

	(void)state;
	at(now + 5 * NS_PER_MS, 0, "5");
	at(now + NS_PER_MS, 0, "1");
	at(now + 3 * NS_PER_MS, 2, "e");
	at(now + 3 * NS_PER_MS, 1, "c");
	at(now + 3 * NS_PER_MS, -1, "b");
	at(now + 3 * NS_PER_MS, 1, "d");
	at(now + 2 * NS_PER_MS, 100, "2");
	assert_int_equal(pcore_scheduler_list(s, NULL, 0), 7);
	assert_int_equal(pcore_scheduler_list(s, events, 8), 7);
	for (int i = 0; i < 7; i++)
		assert_int_equal(*(const char *)events[i].arg, "12bcde5"[i]);
	assert_int_equal(pcore_scheduler_next(s, &events[7]), 0);
	assert_int_equal(events[7].id, events[0].id);
	assert_int_equal(events[7].when, now + NS_PER_MS);
	assert_int_equal(pcore_scheduler_run(s), 0);
	assert_string_equal(order, "12bcde5");
	assert_true(pcore_now_ns() - start >= 5 * NS_PER_MS);
	assert_int_equal(pcore_scheduler_next(s, events), -ENODATA);
	assert_int_equal(pcore_scheduler_run(s), 0);
}

static void one_of_two_alike_is_cancelled(void **state)
{
	int64_t now = pcore_now_ns();
	uint64_t first = at(now, 1, "x"), second = at(now, 1, "x");

	(void)state;
	assert_true(first != second);
	assert_int_equal(pcore_scheduler_cancel(s, second), 0);
	assert_int_equal(pcore_scheduler_cancel(s, second), -ENOENT);
	assert_int_equal(pcore_scheduler_cancel(s, 999), -ENOENT);
	assert_int_equal(pcore_scheduler_run(s), 0);
	assert_string_equal(order, "x");
	assert_int_equal(pcore_scheduler_cancel(s, first), -ENOENT);
}

static void what_is_due_is_run_without_waiting(void **state)
{
	int64_t now = pcore_now_ns(), delay = 0;

	(void)state;
	at(now, 0, "a");
	at(now - 1, 0, "b");
	at(now + 3600 * NS_PER_S, 0, "c");
	assert_int_equal(pcore_scheduler_run_due(s, &delay), 0);
	assert_string_equal(order, "ba");
	assert_true(delay > 3500 * NS_PER_S && delay <= 3600 * NS_PER_S);
	assert_int_equal(pcore_scheduler_cancel(s, 3), 0);
	assert_int_equal(pcore_scheduler_run_due(s, &delay), 0);
	assert_true(delay == INT64_MAX);
}

static int enter_more(void *arg)
{
	(void)note(arg);
	return n_run < 5 ? pcore_scheduler_enter(s, 0, 0, enter_more, arg, NULL) : 0;
}

static void an_action_may_enter_and_fail(void **state)
{
	static char x[] = "x", f[] = "f";

	(void)state;
	assert_int_equal(pcore_scheduler_enter(s, 0, 0, enter_more, x, NULL), 0);
	assert_int_equal(pcore_scheduler_run(s), 0);
	assert_string_equal(order, "xxxxx");
	assert_int_equal(pcore_scheduler_enter(s, 0, 0, note_and_fail, f, NULL), 0);
	at(pcore_now_ns(), 1, "y");
	assert_int_equal(pcore_scheduler_run(s), 42);
	assert_string_equal(order, "xxxxxf");
	assert_int_equal(pcore_scheduler_run(s), 0);
	assert_string_equal(order, "xxxxxfy");
}

static void *runner(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)pcore_scheduler_run(s);
}

static sem_t noted;

static int note_and_post(void *arg)
{
	(void)note(arg);
	sem_post(&noted);
	return 0;
}

static void an_earlier_event_does_not_wait_for_a_later_one(void **state)
{
	static char e[] = "e";
	uint64_t far = at(pcore_now_ns() + 3600 * NS_PER_S, 0, "l");
	pthread_t thread;
	void *ret;

	(void)state;
	sem_init(&noted, 0, 0);
	assert_int_equal(pthread_create(&thread, NULL, runner, NULL), 0);
	assert_int_equal(pcore_scheduler_enter(s, NS_PER_MS, 0, note_and_post, e, NULL), 0);
	while (sem_wait(&noted) != 0)
		;
	assert_int_equal(pcore_scheduler_cancel(s, far), 0); /* so it ends */
	assert_int_equal(pthread_join(thread, &ret), 0);
	assert_int_equal((intptr_t)ret, 0);
	assert_string_equal(order, "e");
	sem_destroy(&noted);
}

static void mistakes_are_told(void **state)
{
	(void)state;
	assert_int_equal(pcore_scheduler_new(NULL), -EINVAL);
	assert_int_equal(pcore_scheduler_enter(s, -1, 0, note, NULL, NULL), -EINVAL);
	assert_int_equal(pcore_scheduler_enter(s, 0, 0, NULL, NULL, NULL), -EINVAL);
	assert_int_equal(pcore_scheduler_enterabs(NULL, 0, 0, note, NULL, NULL), -EINVAL);
	assert_int_equal(pcore_scheduler_run(NULL), -EINVAL);
	assert_int_equal(pcore_scheduler_list(s, NULL, 1), -EINVAL);
	at(INT64_MAX, 0, "z"); /* is freed with it */
}

/* ---- timers with a thread ---- */

static struct pcore_alarm *alarm_;
static int64_t fired_at;

static void fire(void *arg)
{
	fired_at = pcore_now_ns();
	__atomic_add_fetch(&n_run, 1, __ATOMIC_SEQ_CST);
	sem_post(arg);
}

static void free_itself(void *arg)
{
	assert_int_equal(pcore_alarm_wait(alarm_, 0), -EDEADLK);
	pcore_alarm_free(alarm_);
	sem_post(arg);
}

static void an_alarm_fires_while_the_program_goes_on(void **state)
{
	int64_t start = pcore_now_ns();

	(void)state;
	sem_init(&noted, 0, 0);
	assert_int_equal(pcore_alarm_start(&alarm_, 10 * NS_PER_MS, 0, fire, &noted), 0);
	assert_int_equal(pcore_alarm_wait(alarm_, PCORE_FOREVER), 0);
	assert_int_equal(n_run, 1);
	assert_true(fired_at - start >= 10 * NS_PER_MS);
	assert_int_equal(pcore_alarm_cancel(alarm_), -EALREADY);
	assert_int_equal(pcore_alarm_wait(alarm_, 0), 0);
	pcore_alarm_free(alarm_);

	assert_int_equal(pcore_alarm_start(&alarm_, 3600 * NS_PER_S, 0, fire, &noted), 0);
	assert_int_equal(pcore_alarm_wait(alarm_, NS_PER_MS), -ETIMEDOUT);
	assert_int_equal(pcore_alarm_cancel(alarm_), 0);
	assert_int_equal(pcore_alarm_wait(alarm_, PCORE_FOREVER), 0);
	assert_int_equal(n_run, 1);
	pcore_alarm_free(alarm_);
	assert_int_equal(pcore_alarm_start(&alarm_, INT64_MAX, 0, fire, &noted), 0);
	pcore_alarm_free(alarm_);
	sem_destroy(&noted);
}

static void an_alarm_fires_periodically_and_frees_itself(void **state)
{
	(void)state;
	sem_init(&noted, 0, 0);
	assert_int_equal(pcore_alarm_start(&alarm_, 0, NS_PER_MS, fire, &noted), 0);
	for (int i = 0; i < 5; i++)
		while (sem_wait(&noted) != 0)
			;
	assert_int_equal(pcore_alarm_cancel(alarm_), 0);
	pcore_alarm_free(alarm_);
	sem_destroy(&noted);
	sem_init(&noted, 0, 0);
	assert_int_equal(pcore_alarm_start(&alarm_, 0, NS_PER_MS, free_itself, &noted), 0);
	while (sem_wait(&noted) != 0)
		;
	assert_int_equal(pcore_alarm_start(&alarm_, -1, 0, fire, NULL), -EINVAL);
	assert_int_equal(pcore_alarm_start(&alarm_, 0, -1, fire, NULL), -EINVAL);
	assert_int_equal(pcore_alarm_start(&alarm_, 0, 0, NULL, NULL), -EINVAL);
	assert_int_equal(pcore_alarm_cancel(NULL), -EINVAL);
	pcore_alarm_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCHED_TEST(events_run_in_the_order_of_time_priority_and_entry),
		SCHED_TEST(one_of_two_alike_is_cancelled),
		SCHED_TEST(what_is_due_is_run_without_waiting),
		SCHED_TEST(an_action_may_enter_and_fail),
		SCHED_TEST(an_earlier_event_does_not_wait_for_a_later_one),
		SCHED_TEST(mistakes_are_told),
		SCHED_TEST(an_alarm_fires_while_the_program_goes_on),
		SCHED_TEST(an_alarm_fires_periodically_and_frees_itself),
	};

	alarm(60);
	return RUN_TESTS(tests);
}
