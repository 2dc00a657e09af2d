/* SPDX-License-Identifier: MIT */
/*
 * clock.c - tests of time in nanoseconds and as text.
 */
#include "tests/unit/support.h"

#include "libcore/base/base.h"

static void assert_iso8601(int64_t ns, const char *expected)
{
	char text[PCORE_ISO8601_MAX];

	assert_string_equal(pcore_iso8601_utc(text, ns), expected);
}

static void time_is_written_in_utc_with_microseconds(void **state)
{
	(void)state;
	setenv("TZ", "America/New_York", 1);
	assert_iso8601(0, "1970-01-01T00:00:00.000000Z");
	assert_iso8601(1795649284 * NS_PER_S + 123456789, "2026-11-25T23:28:04.123456Z");
	assert_iso8601(951782400 * NS_PER_S, "2000-02-29T00:00:00.000000Z");
	assert_iso8601(-1, "1969-12-31T23:59:59.999999Z");
	assert_iso8601(INT64_MAX, "2262-04-11T23:47:16.854775Z");
	assert_iso8601(INT64_MIN, "1677-09-21T00:12:43.145224Z");
}

static void the_monotonic_clock_does_not_go_back(void **state)
{
	int64_t last = pcore_now_ns();

	(void)state;
	for (int i = 0; i < 1000; i++) {
		int64_t now = pcore_now_ns();
		assert_true(now >= last);
		last = now;
	}
	assert_true(pcore_clock_ns(CLOCK_BOOTTIME) >= last);
	assert_true(pcore_clock_ns(CLOCK_REALTIME) > 1000000000 * NS_PER_S);
}

static void for_ever_plus_anything_stays_for_ever(void **state)
{
	(void)state;
	assert_int_equal(pcore_ns_add(1, 2), 3);
	assert_true(pcore_ns_add(INT64_MAX, 0) == INT64_MAX);
	assert_true(pcore_ns_add(INT64_MAX, INT64_MAX) == INT64_MAX);
	assert_true(pcore_ns_add(5, INT64_MAX - 4) == INT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(time_is_written_in_utc_with_microseconds),
		TEST(the_monotonic_clock_does_not_go_back),
		TEST(for_ever_plus_anything_stays_for_ever),
	};

	return RUN_TESTS(tests);
}
