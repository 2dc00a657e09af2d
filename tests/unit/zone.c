/* SPDX-License-Identifier: MIT */
/*
 * zone.c - tests of dates and time zones. Those that need the zones of this system compare with what the C library says.
 */
#include "tests/unit/support.h"

#include <time.h>
#include <unistd.h>

#include "libcore/when/when.h"

#define S NS_PER_S

static void need_zones(void)
{
	if (access("/usr/share/zoneinfo/Europe/Berlin", R_OK) == 0)
		return;
	print_message("# SKIP: /usr/share/zoneinfo has no zones (package tzdata)\n");
	skip();
}

static struct pcore_zone *zone_of(const char *name)
{
	struct pcore_zone *z = NULL;

	assert_int_equal(pcore_zone_open(&z, name), 0);
	return z;
}

static void days_and_dates_are_each_others_inverse(void **state)
{
	int64_t days = pcore_days_of(1600, 1, 1);

	(void)state;
	assert_int_equal(pcore_days_of(1970, 1, 1), 0);
	assert_int_equal(pcore_days_of(2000, 3, 1), 11017);
	assert_int_equal(pcore_days_of(2026, 3, 0), pcore_days_of(2026, 2, 28));
	for (; days < pcore_days_of(2401, 1, 1); days++) {
		struct pcore_date d = pcore_date_of(days);
		time_t t = days * 86400;
		struct tm tm;

		gmtime_r(&t, &tm);
		assert_int_equal(d.year, tm.tm_year + 1900);
		assert_int_equal(d.month, tm.tm_mon + 1);
		assert_int_equal(d.day, tm.tm_mday);
		assert_int_equal(pcore_weekday(days), tm.tm_wday);
		assert_int_equal(pcore_days_of(d.year, d.month, d.day), days);
		assert_true(d.day <= pcore_month_days(d.year, d.month));
	}
}

static void assert_wall(const char *zone, int64_t t, const char *expected)
{
	struct pcore_zone *z = zone_of(zone);
	char text[PCORE_WALL_TEXT_MAX];
	int64_t offset = pcore_zone_at(z, t * S).offset_ns;

	assert_string_equal(pcore_wall_text(text, t * S + offset, offset), expected);
	pcore_zone_free(z);
}

static void an_instant_is_written_with_its_offset(void **state)
{
	(void)state;
	need_zones();
	assert_wall("UTC", 0, "1970-01-01T00:00:00.000000+00:00");
	assert_wall("America/New_York", 1772953200, "2026-03-08T03:00:00.000000-04:00");
	assert_wall("America/New_York", 1772953199, "2026-03-08T01:59:59.000000-05:00");
	assert_wall("Asia/Kolkata", 1772953200, "2026-03-08T12:30:00.000000+05:30");
	assert_wall("-03:30", 0, "1969-12-31T20:30:00.000000-03:30");
	assert_wall("Europe/Berlin", -3000000000, "1874-12-07T19:33:28.000000+00:53:28");
}

/* Around every change of offset that the C library knows of, and at many instants besides. */
static void compare_with_libc(const char *name, int64_t from)
{
	struct pcore_zone *z = zone_of(name);

	setenv("TZ", name, 1);
	tzset();
	for (int64_t t = from; t < 7258118400; t += 1299709) {
		struct pcore_zone_span s = pcore_zone_at(z, t * S);
		const int64_t probes[] = { t, s.start_ns / S, s.start_ns / S - 1, s.end_ns / S - 1 };

		for (size_t i = 0; i < ARRAY_SIZE(probes); i++) {
			time_t probe = probes[i];
			struct tm tm;

			if (probe < from || probe >= 7258118400)
				continue;
			localtime_r(&probe, &tm);
			if (pcore_zone_at(z, probe * S).offset_ns != tm.tm_gmtoff * S)
				fail_msg("%s at %lld: %lld, not %ld", name, (long long)probe,
					(long long)(pcore_zone_at(z, probe * S).offset_ns / S), tm.tm_gmtoff);
		}
	}
	pcore_zone_free(z);
}

static void zones_agree_with_the_c_library(void **state)
{
	static const char *const names[] = { "America/New_York", "Europe/Dublin", "Australia/Lord_Howe", "Pacific/Apia",
		"Africa/Casablanca", "Asia/Tehran", "America/Sao_Paulo", "Antarctica/Troll", "America/Havana", "Asia/Gaza",
		"Africa/Cairo", "Europe/Moscow", "Asia/Pyongyang", "America/St_Johns", "Pacific/Chatham", "Etc/GMT+12",
		"America/Nuuk", "Africa/Monrovia", "Asia/Manila", "America/Caracas" };

	(void)state;
	need_zones();
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		compare_with_libc(names[i], -2000000000);
	setenv("TZ", "UTC", 1);
	tzset();
}

static void a_rule_is_read_as_the_c_library_does(void **state)
{
	static const char *const rules[] = { "CET-1CEST,M3.5.0,M10.5.0/3", "EST5EDT,M3.2.0,M11.1.0", "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
		"IST-1GMT0,M10.5.0,M3.5.0/1", "<-03>3<-02>,M3.5.0/-1,M10.5.0/0", "AAA3BBB,J60/0,J300", "AAA3BBB,59,299/25",
		"IST-2IDT,M3.4.4/26,M10.5.0", "UTC0", "NZST-12NZDT,M9.5.0,M4.1.0/3" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		compare_with_libc(rules[i], 86400 * 365); /* rules begin in 1970 */
	setenv("TZ", "UTC", 1);
	tzset();
}

static void what_is_no_rule_is_refused(void **state)
{
	static const char *const junk[] = { "", "E", "EST", "EST5EDT", "EST5EDT,", "EST5EDT,M3.2.0", "EST5EDT,M13.1.0,M11.1.0",
		"EST5EDT,M3.6.0,M11.1.0", "EST5EDT,M3.2.7,M11.1.0", "EST5EDT,J0,J3", "EST5EDT,366,3", "EST25", "EST5:60", "<A>5",
		"<ABC5", "EST5EDT,M3.2.0,M11.1.0x", "EST5EDT,M3.2.0/168,M11.1.0", "EST5EDT,M3.2.0/2:,M11.1.0", "5EST", "EST5555" };
	struct pcore_zone *z = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(junk); i++) {
		assert_int_equal(pcore_zone_parse_rule(&z, junk[i]), -EINVAL);
		assert_null(z);
	}
}

static void zones_are_found_by_name_offset_and_path(void **state)
{
	static const char *const missing[] = { "", "Mars/Olympus", "../../../etc/passwd", "Europe", "Europe/../Europe/Paris", "+25:00",
		"+1", "Europe/Berlin ", "/nowhere/zone" };
	struct pcore_zone *z = NULL;

	(void)state;
	need_zones();
	z = zone_of("/usr/share/zoneinfo/Europe/Berlin");
	assert_int_equal(pcore_zone_at(z, 1772953200 * S).offset_ns, 3600 * S);
	pcore_zone_free(z);
	z = zone_of("-0330");
	assert_int_equal(pcore_zone_at(z, 0).offset_ns, -12600 * S);
	pcore_zone_free(z);
	for (size_t i = 0; i < ARRAY_SIZE(missing); i++) {
		z = NULL;
		assert_int_equal(pcore_zone_open(&z, missing[i]), -ENOENT);
		assert_null(z);
	}
	assert_int_equal(pcore_zone_open(&z, "/usr/share/zoneinfo/zone.tab"), -EBADMSG);
	assert_int_equal(pcore_zone_open(&z, "zone.tab"), -EBADMSG);
	assert_int_equal(pcore_zone_open_local(&z), 0);
	pcore_zone_free(z);
}

static size_t read_tzif(const char *name, char data[static PCORE_ZONE_FILE_MAX])
{
	char path[128];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", name);
	f = fopen(path, "re");
	assert_non_null(f);
	n = fread(data, 1, PCORE_ZONE_FILE_MAX, f);
	fclose(f);
	return n;
}

static void a_file_that_is_cut_or_changed_anywhere_is_refused_or_read(void **state)
{
	static char data[PCORE_ZONE_FILE_MAX];
	struct pcore_zone *z = NULL;
	size_t n;

	(void)state;
	need_zones();
	n = read_tzif("America/New_York", data);
	assert_int_equal(pcore_zone_parse(&z, data, n), 0);
	pcore_zone_free(z);
	for (size_t i = 0; i < n; i++) {
		char *cut = malloc(i + 1); /* so that a sanitizer sees a read past its end */

		assert_non_null(cut);
		memcpy(cut, data, i);
		assert_int_equal(pcore_zone_parse(&z, cut, i), -EBADMSG);
		free(cut);
	}
	for (size_t i = 0; i < n; i++) {
		char saved = data[i];

		for (int bit = 0; bit < 8; bit++) {
			data[i] = (char)(saved ^ (1 << bit));
			z = NULL;
			if (pcore_zone_parse(&z, data, n) == 0) {
				struct pcore_zone_span s = pcore_zone_at(z, 0);

				assert_true(s.start_ns <= 0 && s.end_ns > 0);
				pcore_zone_free(z);
			}
		}
		data[i] = saved;
	}
}

static void files_without_64_bit_data_or_with_leap_seconds_are_refused(void **state)
{
	static char data[PCORE_ZONE_FILE_MAX];
	struct pcore_zone *z = NULL;
	size_t n;

	(void)state;
	need_zones();
	n = read_tzif("Etc/UTC", data);
	data[4] = '\0';
	assert_int_equal(pcore_zone_parse(&z, data, n), -EBADMSG);
	if (access("/usr/share/zoneinfo/right/UTC", R_OK) == 0)
		assert_int_equal(pcore_zone_open(&z, "right/UTC"), -EOPNOTSUPP);
	assert_null(z);
}

static void a_wall_time_has_its_first_instant(void **state)
{
	struct pcore_zone *z;
	bool skipped;

	(void)state;
	need_zones();
	z = zone_of("America/New_York");
	/* 2026-11-01 01:30 comes twice: -04:00 is the first */
	assert_int_equal(pcore_zone_instant(z, 1793496600 * S, &skipped) / S, 1793511000);
	assert_false(skipped);
	/* 2026-03-08 02:30 does not come: 03:00 -04:00 */
	assert_int_equal(pcore_zone_instant(z, 1772937000 * S, &skipped) / S, 1772953200);
	assert_true(skipped);
	pcore_zone_free(z);
	z = zone_of("Pacific/Apia");
	/* 2011-12-30 12:00 does not come: midnight of the 31st, +14:00 */
	assert_int_equal(pcore_zone_instant(z, 1325246400 * S, &skipped) / S, 1325239200);
	assert_true(skipped);
	pcore_zone_free(z);
}

static void what_clocks_have_shown_is_not_unseen(void **state)
{
	struct pcore_zone *z;

	(void)state;
	need_zones();
	z = zone_of("America/New_York");
	/* 01:30 -05:00, the second one: everything before 02:00 has been seen */
	assert_int_equal(pcore_zone_unseen(z, 1793514600 * S) / S, 1793498400);
	/* 01:30 -04:00, the first one */
	assert_true(pcore_zone_unseen(z, 1793511000 * S) == 1793496600 * S + 1);
	pcore_zone_free(z);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(days_and_dates_are_each_others_inverse),
		TEST(an_instant_is_written_with_its_offset),
		TEST(zones_agree_with_the_c_library),
		TEST(a_rule_is_read_as_the_c_library_does),
		TEST(what_is_no_rule_is_refused),
		TEST(zones_are_found_by_name_offset_and_path),
		TEST(a_file_that_is_cut_or_changed_anywhere_is_refused_or_read),
		TEST(files_without_64_bit_data_or_with_leap_seconds_are_refused),
		TEST(a_wall_time_has_its_first_instant),
		TEST(what_clocks_have_shown_is_not_unseen),
	};

	return RUN_TESTS(tests);
}
