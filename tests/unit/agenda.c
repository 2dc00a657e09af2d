/* SPDX-License-Identifier: MIT */
/*
 * agenda.c - tests of what is due first.
 */
#include "tests/unit/support.h"

#include "tools/ptimer/agenda.c"

static struct {
	struct pcore_loop *lp;
	struct agenda agenda;
	int n_due, n_failed;
} t;

static void on_due(void *ctx)
{
	(void)ctx;
	t.n_due++;
}

static void on_failed(void *ctx, int error)
{
	(void)ctx;
	(void)error;
	t.n_failed++;
}

static int before(void **state)
{
	(void)support_before(state);
	memset(&t, 0, sizeof(t));
	t.agenda.due = on_due;
	t.agenda.failed = on_failed;
	if (pcore_loop_new(&t.lp, PCORE_LOOP_EPOLL) < 0)
		return -1;
	agenda_init(&t.agenda, t.lp);
	return 0;
}

static int after(void **state)
{
	agenda_stop(&t.agenda);
	(void)pcore_loop_run(t.lp);
	agenda_done(&t.agenda);
	pcore_loop_free(t.lp);
	return t.n_failed > 0 ? -1 : support_after(state);
}

#define AGENDA_TEST(f) cmocka_unit_test_setup_teardown(f, before, after)

static struct agenda_item item(enum agenda_clock clock, int priority, uint32_t entry)
{
	return (struct agenda_item){ .clock = clock, .priority = priority, .entry = entry };
}

static void add(struct agenda_item *i, int64_t at)
{
	assert_int_equal(agenda_add(&t.agenda, i, at), 0);
}

#define expect_next(i) assert_ptr_equal(agenda_take(&t.agenda), i)

static void events_come_by_time_then_priority_then_entry(void **state)
{
	struct agenda_item late = item(AGENDA_BOOTTIME, -5, 1), second = item(AGENDA_BOOTTIME, 0, 2), first = item(AGENDA_BOOTTIME, -1, 3),
			   third = item(AGENDA_BOOTTIME, 0, 4), fourth = item(AGENDA_BOOTTIME, INT32_MAX, 5), least = item(AGENDA_BOOTTIME, INT32_MIN, 6);

	(void)state;
	add(&late, 20);
	add(&third, 10);
	add(&fourth, 10);
	add(&second, 10);
	add(&first, 10);
	add(&least, 10);
	expect_next(&least);
	expect_next(&first);
	expect_next(&second);
	expect_next(&third);
	expect_next(&fourth);
	expect_next(&late);
	expect_next(NULL);
}

static void the_order_of_entry_is_kept_by_those_that_come_again(void **state)
{
	struct agenda_item a = item(AGENDA_MONOTONIC, 0, 1), b = item(AGENDA_MONOTONIC, 0, 2);

	(void)state;
	for (int i = 1; i < 4; i++) {
		add(&b, i);
		add(&a, i);
		expect_next(&a);
		expect_next(&b);
	}
}

static void one_of_two_equal_events_can_be_taken_away(void **state)
{
	struct agenda_item a = item(AGENDA_BOOTTIME, 3, 1), b = item(AGENDA_BOOTTIME, 3, 2);

	(void)state;
	add(&a, 10);
	add(&b, 10);
	agenda_remove(&t.agenda, &a);
	assert_false(agenda_has(&a));
	assert_true(agenda_has(&b));
	agenda_remove(&t.agenda, &a);
	expect_next(&b);
	expect_next(NULL);
}

static void what_is_to_come_is_not_due(void **state)
{
	struct agenda_item a[AGENDA_CLOCKS] = { item(AGENDA_WALL, 0, 1), item(AGENDA_BOOTTIME, 0, 2), item(AGENDA_MONOTONIC, 0, 3) };

	(void)state;
	for (int i = 0; i < AGENDA_CLOCKS; i++)
		add(&a[i], agenda_now(a[i].clock) + 3600 * NS_PER_S);
	expect_next(NULL);
	for (int i = 0; i < AGENDA_CLOCKS; i++)
		agenda_remove(&t.agenda, &a[i]);
}

static void over_the_clocks_the_later_one_comes_first(void **state)
{
	struct agenda_item wall = item(AGENDA_WALL, 0, 1), boot = item(AGENDA_BOOTTIME, 0, 2), mono = item(AGENDA_MONOTONIC, 0, 3);

	(void)state;
	add(&wall, agenda_now(AGENDA_WALL) - 10 * NS_PER_S);
	add(&boot, agenda_now(AGENDA_BOOTTIME) - 30 * NS_PER_S);
	add(&mono, agenda_now(AGENDA_MONOTONIC) - 20 * NS_PER_S);
	expect_next(&boot);
	expect_next(&mono);
	expect_next(&wall);
}

static void an_earlier_event_shortens_the_wait(void **state)
{
	struct agenda_item far = item(AGENDA_BOOTTIME, 0, 1), near = item(AGENDA_BOOTTIME, 0, 2);

	(void)state;
	add(&far, agenda_now(AGENDA_BOOTTIME) + 3600 * NS_PER_S);
	agenda_wait(&t.agenda);
	add(&near, agenda_now(AGENDA_BOOTTIME) + 10 * NS_PER_MS);
	agenda_wait(&t.agenda);
	while (agenda_take(&t.agenda) != &near) {
		assert_true(pcore_loop_turn(t.lp, true) >= 0);
		agenda_wait(&t.agenda);
	}
	assert_true(t.n_due >= 2); /* the first came home */
	agenda_remove(&t.agenda, &far);
	agenda_wait(&t.agenda);
	assert_int_equal(pcore_loop_run(t.lp), 0); /* nothing is waited for any more */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		AGENDA_TEST(events_come_by_time_then_priority_then_entry),
		AGENDA_TEST(the_order_of_entry_is_kept_by_those_that_come_again),
		AGENDA_TEST(one_of_two_equal_events_can_be_taken_away),
		AGENDA_TEST(what_is_to_come_is_not_due),
		AGENDA_TEST(over_the_clocks_the_later_one_comes_first),
		AGENDA_TEST(an_earlier_event_shortens_the_wait),
	};

	return RUN_TESTS(tests);
}
