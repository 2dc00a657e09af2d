/* SPDX-License-Identifier: MIT */
/*
 * parse.c - tests of numbers, durations and sizes.
 */
#include "tests/unit/support.h"

#include "libcore/base/base.h"

#define S NS_PER_S
#define MS NS_PER_MS

static void whole_numbers_are_read(void **state)
{
	uint64_t v;

	(void)state;
	assert_int_equal(pcore_parse_u64("0", 0, 10, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(pcore_parse_u64("007", 0, 10, &v), 0);
	assert_int_equal(v, 7);
	assert_int_equal(pcore_parse_u64("18446744073709551615", 0, UINT64_MAX, &v), 0);
	assert_true(v == UINT64_MAX);
}

static void numbers_out_of_range_are_told_from_junk(void **state)
{
	static const char *const junk[] = { "", " ", " 1", "1 ", "+1", "-1", "0x10", "1e3", "1.0",
		"nan", "inf", "1\n", "99999999999999999999999x", "--1", "one" };
	uint64_t v = 42;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(junk); i++)
		assert_int_equal(pcore_parse_u64(junk[i], 0, UINT64_MAX, &v), -EINVAL);
	assert_int_equal(pcore_parse_u64("18446744073709551616", 0, UINT64_MAX, &v), -ERANGE);
	assert_int_equal(pcore_parse_u64("99999999999999999999999", 0, UINT64_MAX, &v), -ERANGE);
	assert_int_equal(pcore_parse_u64("11", 0, 10, &v), -ERANGE);
	assert_int_equal(pcore_parse_u64("1", 2, 10, &v), -ERANGE);
	assert_int_equal(v, 42);
}

static void signed_numbers_reach_both_ends(void **state)
{
	int64_t v;

	(void)state;
	assert_int_equal(pcore_parse_i64("-20", -20, 19, &v), 0);
	assert_int_equal(v, -20);
	assert_int_equal(pcore_parse_i64("-0", -20, 19, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(pcore_parse_i64("-9223372036854775808", INT64_MIN, INT64_MAX, &v), 0);
	assert_true(v == INT64_MIN);
	assert_int_equal(pcore_parse_i64("9223372036854775807", INT64_MIN, INT64_MAX, &v), 0);
	assert_true(v == INT64_MAX);
	assert_int_equal(pcore_parse_i64("9223372036854775808", INT64_MIN, INT64_MAX, &v), -ERANGE);
	assert_int_equal(
		pcore_parse_i64("-9223372036854775809", INT64_MIN, INT64_MAX, &v), -ERANGE);
	assert_int_equal(pcore_parse_i64("-21", -20, 19, &v), -ERANGE);
	assert_int_equal(pcore_parse_i64("+1", -20, 19, &v), -EINVAL);
	assert_int_equal(pcore_parse_i64("--1", -20, 19, &v), -EINVAL);
	assert_int_equal(pcore_parse_i64("-", -20, 19, &v), -EINVAL);
}

static void decimals_are_plain(void **state)
{
	static const char *const junk[] = { "", ".", "1.", "-1", "+1", "1e3", "nan", "inf", "0x1p3",
		"1,5", "1.5.2", " 1" };
	double v;

	(void)state;
	assert_int_equal(pcore_parse_decimal("1.5", &v), 0);
	assert_true(v == 1.5);
	assert_int_equal(pcore_parse_decimal(".25", &v), 0);
	assert_true(v == 0.25);
	assert_int_equal(pcore_parse_decimal("2", &v), 0);
	assert_true(v == 2.0);
	assert_int_equal(pcore_parse_decimal("0.1", &v), 0);
	assert_true(v == 0.1);
	for (size_t i = 0; i < ARRAY_SIZE(junk); i++)
		assert_int_equal(pcore_parse_decimal(junk[i], &v), -EINVAL);
	assert_int_equal(pcore_parse_decimal("99999999999999999999", &v), -ERANGE);
}

static void durations_have_units(void **state)
{
	static const struct {
		const char *text;
		int64_t ns;
	} good[] = {
		{ "90", 90 * S },
		{ "0", 0 },
		{ "1.5", 1500 * MS },
		{ ".2", 200 * MS },
		{ "1.5s", 1500 * MS },
		{ "200ms", 200 * MS },
		{ "10us", 10000 },
		{ "5ns", 5 },
		{ "2m", 120 * S },
		{ "3h", 10800 * S },
		{ "1d", 86400 * S },
		{ "1h30m", 5400 * S },
		{ "1d2h3m4s5ms6us7ns", 93784 * S + 5006007 },
		{ "1m1.5s", 61500 * MS },
		{ "1m500ms", 60500 * MS },
		{ "inf", INT64_MAX },
		{ "0.0000000001", 1 },
		{ "9223372036s", 9223372036 * S },
	};
	int64_t ns;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(pcore_parse_duration(good[i].text, &ns), 0);
		assert_int_equal(ns, good[i].ns);
	}
}

static void durations_that_are_none_are_refused(void **state)
{
	static const char *const junk[] = { "", "s", "-1", "+1", "1 s", "1x", "1S", "1M", "nan",
		"infinity", "0x1", "1e3", "1h30", "30m1h", "1h1h", "1.5h30m", "1.s", "1..5s", "1sm",
		"1mss", "1h ", "1,5s", "1h-1m" };
	int64_t ns = 42;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(junk); i++)
		assert_int_equal(pcore_parse_duration(junk[i], &ns), -EINVAL);
	assert_int_equal(pcore_parse_duration("9223372037s", &ns), -ERANGE);
	assert_int_equal(pcore_parse_duration("106752d", &ns), -ERANGE);
	assert_int_equal(pcore_parse_duration("99999999999999999999999d", &ns), -ERANGE);
	assert_int_equal(pcore_parse_duration("18446744073709551615d1h", &ns), -ERANGE);
	assert_int_equal(ns, 42);
}

static void sizes_have_letters_of_1024(void **state)
{
	static const char *const junk[] = { "", "K", "-1", "1KB", "1KiB", "1B", "1P", "1.5", "1 K",
		"0x10", "1e3", "inf", "1.K" };
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 },
		{ "100", 100 },
		{ "64K", 65536 },
		{ "64k", 65536 },
		{ "1.5G", UINT64_C(1610612736) },
		{ "0.3K", 307 },
		{ "1T", UINT64_C(1) << 40 },
		{ "3m", 3 << 20 },
		{ "18446744073709551615", UINT64_MAX },
	};
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(pcore_parse_size(good[i].text, &v), 0);
		assert_true(v == good[i].bytes);
	}
	for (size_t i = 0; i < ARRAY_SIZE(junk); i++)
		assert_int_equal(pcore_parse_size(junk[i], &v), -EINVAL);
	assert_int_equal(pcore_parse_size("16777216T", &v), -ERANGE);
	assert_int_equal(pcore_parse_size("18446744073709551616", &v), -ERANGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(whole_numbers_are_read),
		TEST(numbers_out_of_range_are_told_from_junk),
		TEST(signed_numbers_reach_both_ends),
		TEST(decimals_are_plain),
		TEST(durations_have_units),
		TEST(durations_that_are_none_are_refused),
		TEST(sizes_have_letters_of_1024),
	};

	return RUN_TESTS(tests);
}
