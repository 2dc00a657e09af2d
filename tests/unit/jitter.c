/* SPDX-License-Identifier: MIT */
/*
 * jitter.c - tests of the times by which ticks are made later.
 */
#include "tests/unit/support.h"

#include "tools/ptimer/jitter.c"

enum { MANY = 10000, PARTS = 10 };

static void it_stays_within_its_bounds_and_reaches_both(void **state)
{
	uint64_t random = 7;
	bool seen[3] = { false };

	(void)state;
	for (int i = 0; i < 200; i++) {
		int64_t v = jitter_draw(&random, 2);

		assert_in_range(v, 0, 2);
		seen[v] = true;
		assert_in_range(jitter_draw(&random, INT64_MAX - 1), 0, INT64_MAX - 1);
		assert_int_equal(jitter_draw(&random, 0), 0);
	}
	assert_true(seen[0] && seen[1] && seen[2]);
	assert_int_equal(jitter_fixed("m", "t", 0), 0);
}

static void a_fixed_one_is_the_same_each_time(void **state)
{
	(void)state;
	/* What it is must not change between versions: jobs would move. */
	assert_int_equal(jitter_fixed("0123456789abcdef0123456789abcdef", "on daily", 3600 * NS_PER_S), INT64_C(2241948508045));
	assert_int_equal(jitter_fixed("a", "b", NS_PER_S), jitter_fixed("a", "b", NS_PER_S));
	assert_int_not_equal(jitter_fixed("a", "bc", NS_PER_S), jitter_fixed("ab", "c", NS_PER_S));
}

/* Machines whose names differ in a digit, and timers of one machine, are spread evenly. */
static void fixed_ones_are_spread(void **state)
{
	unsigned machines[PARTS] = { 0 }, timers[PARTS] = { 0 };
	char name[32];

	(void)state;
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "node%d", i);
		machines[jitter_fixed(name, "backup", PARTS - 1)]++;
		timers[jitter_fixed("node", name, PARTS - 1)]++;
	}
	for (int i = 0; i < PARTS; i++) {
		assert_in_range(machines[i], MANY / PARTS * 8 / 10, MANY / PARTS * 12 / 10);
		assert_in_range(timers[i], MANY / PARTS * 8 / 10, MANY / PARTS * 12 / 10);
	}
}

static void a_machine_is_called_something(void **state)
{
	char one[JITTER_MACHINE_SIZE], two[JITTER_MACHINE_SIZE];

	(void)state;
	assert_true(strlen(jitter_machine(one)) > 0);
	assert_null(strchr(one, '\n'));
	assert_string_equal(one, jitter_machine(two));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_stays_within_its_bounds_and_reaches_both),
		TEST(a_fixed_one_is_the_same_each_time),
		TEST(fixed_ones_are_spread),
		TEST(a_machine_is_called_something),
	};

	return RUN_TESTS(tests);
}
