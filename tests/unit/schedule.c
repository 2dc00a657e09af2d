/* SPDX-License-Identifier: MIT */
/*
 * schedule.c - tests of ptimer's ticks, with clocks that do what the test says.
 */
#include "tests/unit/support.h"

#include "tools/ptimer/schedule.c"

#define S NS_PER_S
#define HOUR (3600 * S)

static struct pcore_when when;
static struct pcore_zone *utc;

static struct schedule every(int64_t first, int64_t period)
{
	return (struct schedule){ .kind = SCHEDULE_EVERY, .first = first, .period = period, .until = INT64_MAX, .max_late = 60 * S,
		.handled = INT64_MIN };
}

/* On 1970-01-02 at the hour given */
static int64_t at(int hour, int minute)
{
	return (24 + hour) * HOUR + minute * 60 * S;
}

static struct schedule on(const char *calendar, int64_t after)
{
	assert_int_equal(pcore_calendar_parse(calendar, &when, NULL), 0);
	return (struct schedule){ .kind = SCHEDULE_WHEN, .when = &when, .zone = utc, .until = INT64_MAX, .max_late = 60 * S,
		.handled = after };
}

static int before(void **state)
{
	(void)support_before(state);
	return pcore_zone_fixed(&utc, 0);
}

static int after(void **state)
{
	pcore_zone_free(utc);
	return support_after(state);
}

#define expect_tick(s, now, expected)                                 \
	do {                                                          \
		int64_t due_ = 0;                                     \
		assert_int_equal(schedule_step(s, now, &due_), 1);    \
		assert_int_equal(due_, expected);                     \
	} while (0)

#define expect_wait(s, now, expected)                                 \
	do {                                                          \
		int64_t due_ = 0;                                     \
		assert_int_equal(schedule_step(s, now, &due_), 0);    \
		assert_int_equal(due_, expected);                     \
	} while (0)

#define expect_end(s, now)                                                \
	do {                                                              \
		int64_t due_ = 0;                                         \
		assert_int_equal(schedule_step(s, now, &due_), -ENOENT);  \
	} while (0)

static void ticks_are_anchored_however_late_they_come(void **state)
{
	struct schedule s = every(10 * S, 2 * S);

	(void)state;
	expect_wait(&s, 8 * S, 10 * S);
	expect_tick(&s, 10 * S + 300, 10 * S);
	expect_wait(&s, 10 * S + 400, 12 * S);
	expect_tick(&s, 13 * S, 12 * S);
	expect_wait(&s, 13 * S, 14 * S);
	expect_tick(&s, 14 * S, 14 * S);
	assert_int_equal(s.ticks, 3);
	assert_int_equal(s.missed_first, 0);
}

static void a_tick_may_be_due_at_the_start(void **state)
{
	struct schedule s = every(10 * S, 2 * S);

	(void)state;
	expect_tick(&s, 10 * S, 10 * S);
	expect_wait(&s, 10 * S, 12 * S);
}

static void of_many_that_are_due_only_the_latest_is_made(void **state)
{
	struct schedule s = every(10 * S, S);

	(void)state;
	expect_tick(&s, 15 * S + 1, 15 * S);
	assert_int_equal(s.missed_first, 10 * S);
	assert_int_equal(s.missed_last, 14 * S);
	expect_wait(&s, 15 * S + 2, 16 * S);
	assert_int_equal(s.missed_first, 0);
}

static void all_that_are_due_are_made_when_asked_for(void **state)
{
	struct schedule s = every(10 * S, S);

	(void)state;
	s.all = true;
	s.max_late = INT64_MAX;
	for (int64_t i = 0; i < 6; i++)
		expect_tick(&s, 15 * S + 1, (10 + i) * S);
	expect_wait(&s, 15 * S + 1, 16 * S);
}

static void of_all_those_that_are_too_late_are_missed(void **state)
{
	struct schedule s = every(10 * S, S);

	(void)state;
	s.all = true;
	s.max_late = 2 * S;
	expect_tick(&s, 15 * S, 13 * S);
	assert_int_equal(s.missed_first, 10 * S);
	assert_int_equal(s.missed_last, 12 * S);
	expect_tick(&s, 15 * S, 14 * S);
	expect_tick(&s, 15 * S, 15 * S);
	expect_wait(&s, 15 * S, 16 * S);
}

static void a_job_that_the_clock_jumps_over_is_missed(void **state)
{
	struct schedule s = on("08:00", at(7, 30));

	(void)state;
	expect_wait(&s, at(7, 30), at(8, 0));
	expect_wait(&s, at(9, 30), at(24 + 8, 0));
	assert_int_equal(s.missed_first, at(8, 0));
	assert_int_equal(s.missed_last, at(8, 0));
	assert_int_equal(s.ticks, 0);
}

static void a_job_that_the_clock_jumps_over_can_be_caught_up(void **state)
{
	struct schedule s = on("*:00", at(7, 30));

	(void)state;
	s.max_late = INT64_MAX;
	expect_tick(&s, at(10, 15), at(10, 0));
	assert_int_equal(s.missed_first, at(8, 0));
	assert_int_equal(s.missed_last, at(9, 0));
	expect_wait(&s, at(10, 15), at(11, 0));

	s = on("*:00", at(7, 30));
	s.max_late = INT64_MAX;
	s.all = true;
	expect_tick(&s, at(10, 15), at(8, 0));
	expect_tick(&s, at(10, 15), at(9, 0));
	expect_tick(&s, at(10, 15), at(10, 0));
	expect_wait(&s, at(10, 15), at(11, 0));
}

static void a_clock_that_jumps_back_repeats_no_time(void **state)
{
	struct schedule s = on("*:0/20", at(7, 50));

	(void)state;
	expect_tick(&s, at(8, 0), at(8, 0));
	expect_wait(&s, at(6, 0), at(8, 20));
	expect_wait(&s, at(7, 59), at(8, 20));
	expect_tick(&s, at(8, 20), at(8, 20));
	assert_int_equal(s.ticks, 2);
}

/* It is 10:15, and what is known is that everything up to 10:15 of the day before was dealt with. */
static void what_was_due_while_nobody_was_there_is_made_up_for(void **state)
{
	int64_t yesterday = at(10, 15) - 24 * HOUR;
	struct schedule s = on("*:00", yesterday);

	(void)state;
	s.max_late = INT64_MAX;
	expect_tick(&s, at(10, 15), at(10, 0));
	assert_int_equal(s.missed_first, at(11, 0) - 24 * HOUR);
	assert_int_equal(s.missed_last, at(9, 0));
	expect_wait(&s, at(10, 15), at(11, 0));

	s = on("*:00", yesterday);
	s.all = true;
	s.max_late = 2 * HOUR;
	expect_tick(&s, at(10, 15), at(9, 0));
	assert_int_equal(s.missed_first, at(11, 0) - 24 * HOUR);
	assert_int_equal(s.missed_last, at(8, 0));
	expect_tick(&s, at(10, 15), at(10, 0));
	expect_wait(&s, at(10, 15), at(11, 0));

	s = on("*:00", yesterday); /* up to a minute late */
	expect_wait(&s, at(10, 15), at(11, 0));
	assert_int_equal(s.missed_first, at(11, 0) - 24 * HOUR);
	assert_int_equal(s.missed_last, at(10, 0));
}

/* 2026-11-01 in New York: 01:00 to 02:00 is 05:00 to 06:00 UTC, and again 06:00 to 07:00. */
static void a_clock_that_is_set_back_into_a_repeated_hour_repeats_no_time(void **state)
{
	int64_t day = pcore_days_of(2026, 11, 1) * PCORE_NS_PER_DAY;
	struct pcore_zone *ny = NULL;
	struct schedule s;

	(void)state;
	assert_int_equal(pcore_zone_parse_rule(&ny, "EST5EDT,M3.2.0,M11.1.0"), 0);
	s = on("01:30", day);
	s.zone = ny;
	expect_tick(&s, day + 5 * HOUR + HOUR / 2, day + 5 * HOUR + HOUR / 2);
	expect_wait(&s, day + 4 * HOUR, day + 30 * HOUR + HOUR / 2);
	expect_wait(&s, day + 7 * HOUR, day + 30 * HOUR + HOUR / 2);

	s = on("hourly", day + 4 * HOUR);
	s.zone = ny;
	expect_tick(&s, day + 5 * HOUR, day + 5 * HOUR);
	expect_tick(&s, day + 6 * HOUR, day + 6 * HOUR);
	expect_wait(&s, day + 5 * HOUR + 1, day + 7 * HOUR);
	expect_tick(&s, day + 7 * HOUR, day + 7 * HOUR);
	pcore_zone_free(ny);
}

static void the_latest_of_years_is_found_at_once(void **state)
{
	struct schedule s = on("*:*:*", at(8, 0));
	int64_t now = 200 * 366 * 24 * HOUR + 1;

	(void)state;
	s.max_late = INT64_MAX;
	expect_tick(&s, now, now - 1);
	assert_int_equal(s.missed_first, at(8, 0) + S);
	assert_int_equal(s.missed_last, now - 1 - S);
}

static void a_count_or_a_time_ends_it(void **state)
{
	struct schedule s = every(10 * S, S);

	(void)state;
	s.count = 2;
	expect_tick(&s, 10 * S, 10 * S);
	expect_tick(&s, 11 * S, 11 * S);
	expect_end(&s, 11 * S);

	s = every(10 * S, S);
	s.until = 11 * S;
	expect_tick(&s, 10 * S, 10 * S);
	expect_tick(&s, 11 * S, 11 * S);
	expect_end(&s, 11 * S);
	expect_end(&s, 20 * S);
}

static void what_is_due_once_is_made_once(void **state)
{
	struct schedule s = { .kind = SCHEDULE_ONCE, .first = 5 * S, .until = INT64_MAX, .max_late = INT64_MAX, .handled = INT64_MIN };

	(void)state;
	expect_wait(&s, S, 5 * S);
	expect_tick(&s, 900 * S, 5 * S);
	expect_end(&s, 900 * S);

	s.handled = INT64_MIN;
	s.max_late = S;
	expect_end(&s, 900 * S);
	assert_int_equal(s.missed_first, 5 * S);
}

static void an_impossible_time_never_comes(void **state)
{
	struct schedule s = on("*-02-30", 0);

	(void)state;
	expect_end(&s, at(8, 0));
	s = every(10 * S, INT64_MAX - 10 * S);
	expect_tick(&s, 10 * S, 10 * S);
	expect_wait(&s, 10 * S, INT64_MAX);
}

#define SCHEDULE_TEST(f) cmocka_unit_test_setup_teardown(f, before, after)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCHEDULE_TEST(ticks_are_anchored_however_late_they_come),
		SCHEDULE_TEST(a_tick_may_be_due_at_the_start),
		SCHEDULE_TEST(of_many_that_are_due_only_the_latest_is_made),
		SCHEDULE_TEST(all_that_are_due_are_made_when_asked_for),
		SCHEDULE_TEST(of_all_those_that_are_too_late_are_missed),
		SCHEDULE_TEST(a_job_that_the_clock_jumps_over_is_missed),
		SCHEDULE_TEST(a_job_that_the_clock_jumps_over_can_be_caught_up),
		SCHEDULE_TEST(a_clock_that_jumps_back_repeats_no_time),
		SCHEDULE_TEST(what_was_due_while_nobody_was_there_is_made_up_for),
		SCHEDULE_TEST(a_clock_that_is_set_back_into_a_repeated_hour_repeats_no_time),
		SCHEDULE_TEST(the_latest_of_years_is_found_at_once),
		SCHEDULE_TEST(a_count_or_a_time_ends_it),
		SCHEDULE_TEST(what_is_due_once_is_made_once),
		SCHEDULE_TEST(an_impossible_time_never_comes),
	};

	return RUN_TESTS(tests);
}
