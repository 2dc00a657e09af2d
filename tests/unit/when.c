/* SPDX-License-Identifier: MIT */
/*
 * when.c - tests of calendar and cron expressions, of points in time, and of the next run.
 */
#include "tests/unit/support.h"

#include <unistd.h>

#include "libcore/when/when.h"

#define NEVER "never"

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

static int64_t instant_of(const char *text)
{
	struct pcore_zone *utc = zone_of("UTC");
	struct pcore_time t;
	int64_t at;

	assert_int_equal(pcore_time_parse(text, &t, NULL), 0);
	at = pcore_time_resolve(&t, utc, 0);
	pcore_zone_free(utc);
	return at;
}

/* An expression is cron's when it begins with "cron ". */
static void parse(const char *text, struct pcore_when *ret)
{
	struct pcore_when_error error;
	bool cron = strncmp(text, "cron ", 5) == 0;
	int r = cron ? pcore_cron_parse(text + 5, ret, &error) : pcore_calendar_parse(text, ret, &error);

	if (r < 0)
		fail_msg("'%s' is refused: column %zu: %s", text, error.column, error.why);
}

/* The runs after from, "NEVER" behind the last one where there are no more. Each is a wall time with its offset. */
struct runs {
	const char *expression, *zone, *from;
	enum pcore_dst dst;
	const char *runs[6];
};

static void check_runs(const struct runs *table, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct runs *c = &table[i];
		int64_t at = instant_of(c->from);
		struct pcore_zone *z = zone_of(c->zone);
		struct pcore_when w;

		parse(c->expression, &w);
		for (size_t j = 0; j < ARRAY_SIZE(c->runs) && c->runs[j]; j++) {
			char text[PCORE_WALL_TEXT_MAX] = NEVER;

			if (pcore_when_next(&w, z, c->dst, at, &at) == 0)
				pcore_wall_text(text, pcore_zone_wall(z, at), pcore_zone_at(z, at).offset_ns);
			if (strncmp(text, c->runs[j], strlen(c->runs[j])) != 0)
				fail_msg("'%s' in %s after %s: run %zu is %s, not %s", c->expression, c->zone, c->from, j + 1, text, c->runs[j]);
		}
		pcore_zone_free(z);
	}
}

static void calendar_expressions_say_what_systemd_means(void **state)
{
	static const struct runs table[] = {
		{ "daily", "UTC", "2026-11-26", 0, { "2026-11-27T00:00:00", "2026-11-28T00:00:00" } },
		{ "hourly", "UTC", "2026-11-26", 0, { "2026-11-26T01:00:00", "2026-11-26T02:00:00" } },
		{ "minutely", "UTC", "2026-11-26", 0, { "2026-11-26T00:01:00" } },
		{ "weekly", "UTC", "2026-11-26", 0, { "2026-11-30T00:00:00", "2026-12-07T00:00:00" } },
		{ "monthly", "UTC", "2026-11-26", 0, { "2026-12-01T00:00:00", "2027-01-01T00:00:00" } },
		{ "quarterly", "UTC", "2026-11-26", 0, { "2027-01-01T00:00:00", "2027-04-01T00:00:00" } },
		{ "semiannually", "UTC", "2026-11-26", 0, { "2027-01-01T00:00:00", "2027-07-01T00:00:00" } },
		{ "yearly", "UTC", "2026-11-26", 0, { "2027-01-01T00:00:00", "2028-01-01T00:00:00" } },
		{ "Mon..Fri 08:00", "UTC", "2026-11-26T08:00", 0, { "2026-11-27T08:00:00", "2026-11-30T08:00:00" } },
		{ "Sat,Sun *-*-* 10:00", "UTC", "2026-11-26", 0, { "2026-11-28T10:00", "2026-11-29T10:00", "2026-12-05T10:00" } },
		{ "Mon-Wed,Sun", "UTC", "2026-11-26", 0, { "2026-11-29T00:00", "2026-11-30T00:00", "2026-12-01", "2026-12-02", "2026-12-06" } },
		{ "sunday 12:00", "UTC", "2026-11-26", 0, { "2026-11-29T12:00" } },
		{ "*-*-1/5", "UTC", "2026-11-26", 0, { "2026-12-01T00:00", "2026-12-06T00:00", "2026-12-11", "2026-12-16" } },
		{ "*-*-1/5", "UTC", "2026-12-30", 0, { "2026-12-31T00:00", "2027-01-01T00:00", "2027-01-06" } },
		{ "*-02~01", "UTC", "2026-11-26", 0, { "2027-02-28T00:00", "2028-02-29T00:00", "2029-02-28" } },
		{ "*-02~03", "UTC", "2026-11-26", 0, { "2027-02-26T00:00", "2028-02-27T00:00" } },
		{ "Mon *-05~07/1", "UTC", "2026-11-26", 0, { "2027-05-31T00:00", "2028-05-29T00:00" } },
		{ "*-*~3..1", "UTC", "2026-11-26", 0, { "2026-11-28", "2026-11-29", "2026-11-30", "2026-12-29" } },
		{ "Mon *-02-29", "UTC", "2026-11-26", 0, { "2044-02-29T00:00", "2072-02-29T00:00", "2112-02-29", "2140-02-29" } },
		{ "2027..2029/2-06-15 12:00", "UTC", "2026-11-26", 0, { "2027-06-15T12:00", "2029-06-15T12:00", NEVER } },
		{ "27-6-5 1:2", "UTC", "2026-11-26", 0, { "2027-06-05T01:02:00", NEVER } },
		{ "*-*-* *:*:0/20", "UTC", "2026-11-26", 0, { "2026-11-26T00:00:20", "2026-11-26T00:00:40", "2026-11-26T00:01:00" } },
		{ "*:*:5..7.5", "UTC", "2026-11-26", 0, { "2026-11-26T00:00:05", "2026-11-26T00:00:06", "2026-11-26T00:00:07.000000", "2026-11-26T00:01:05" } },
		{ "*:*:0.25/0.5", "UTC", "2026-11-26", 0, { "2026-11-26T00:00:00.250000", "2026-11-26T00:00:00.750000", "2026-11-26T00:00:01.250000" } },
		{ "*:*:50..59/4,0.5,3,59", "UTC", "2026-11-26", 0,
			{ "2026-11-26T00:00:00.500000", "2026-11-26T00:00:03", "2026-11-26T00:00:50", "2026-11-26T00:00:54", "2026-11-26T00:00:58",
				"2026-11-26T00:00:59" } },
		{ "*:*:0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0,1,2,3,4,5,6,7,8", "UTC", "2026-11-26", 0, { "2026-11-26T00:00:00.100000" } },
		{ "8..18/2:30", "UTC", "2026-11-26T15:00", 0, { "2026-11-26T16:30", "2026-11-26T18:30", "2026-11-27T08:30" } },
		{ "2026-11-26T23:59:59", "UTC", "2026-11-26", 0, { "2026-11-26T23:59:59", NEVER } },
		{ "*-*-31", "UTC", "2026-11-26", 0, { "2026-12-31", "2027-01-31", "2027-03-31", "2027-05-31" } },
		{ "Fri *-*-13 00:00", "UTC", "2026-11-26", 0, { "2027-08-13", "2028-10-13" } },
		{ "*-02-30", "UTC", "2026-11-26", 0, { NEVER } },
		{ "1999-*-*", "UTC", "2026-11-26", 0, { NEVER } },
		{ "2199-12-31 23:59:59", "UTC", "2026-11-26", 0, { "2199-12-31T23:59:59", NEVER } },
	};

	(void)state;
	check_runs(table, ARRAY_SIZE(table));
}

static void cron_expressions_say_what_cron_means(void **state)
{
	static const struct runs table[] = {
		{ "cron 30 4 * * *", "UTC", "2026-11-26", 0, { "2026-11-26T04:30", "2026-11-27T04:30" } },
		{ "cron */15 * * * *", "UTC", "2026-11-26", 0, { "2026-11-26T00:15", "2026-11-26T00:30" } },
		{ "cron 0 0 13 * 5", "UTC", "2026-11-26", 0, { "2026-11-27", "2026-12-04", "2026-12-11", "2026-12-13", "2026-12-18" } },
		{ "cron 0 0 13 * *", "UTC", "2026-11-26", 0, { "2026-12-13", "2027-01-13" } },
		{ "cron 0 0 * * 5", "UTC", "2026-11-26", 0, { "2026-11-27", "2026-12-04" } },
		{ "cron 0 0 */7 * *", "UTC", "2026-11-26", 0, { "2026-11-29", "2026-12-01", "2026-12-08" } },
		{ "cron 0 0 */2 * 1", "UTC", "2026-11-26", 0, { "2026-12-07", "2026-12-21" } },
		{ "cron 0 0 ? * sun", "UTC", "2026-11-26", 0, { "2026-11-29", "2026-12-06" } },
		{ "cron 0 0 * * 7", "UTC", "2026-11-26", 0, { "2026-11-29", "2026-12-06" } },
		{ "cron 0 0 * * 0", "UTC", "2026-11-26", 0, { "2026-11-29", "2026-12-06" } },
		{ "cron 0 0 * * fri-sun", "UTC", "2026-11-26", 0, { "2026-11-27", "2026-11-28", "2026-11-29", "2026-12-04" } },
		{ "cron 0 0 * * 5-7", "UTC", "2026-11-26", 0, { "2026-11-27", "2026-11-28", "2026-11-29", "2026-12-04" } },
		{ "cron 0 0 1 jan,Jul-SEP *", "UTC", "2026-11-26", 0, { "2027-01-01", "2027-07-01", "2027-08-01", "2027-09-01" } },
		{ "cron 0 12 L * *", "UTC", "2027-01-15", 0, { "2027-01-31T12:00", "2027-02-28T12:00", "2027-03-31T12:00" } },
		{ "cron 0 12 L-3 * *", "UTC", "2027-01-15", 0, { "2027-01-28T12:00", "2027-02-25T12:00" } },
		{ "cron 0 0 15W * *", "UTC", "2026-11-26", 0, { "2026-12-15", "2027-01-15", "2027-02-15", "2027-03-15", "2027-04-15", "2027-05-14" } },
		{ "cron 0 0 15W 8 *", "UTC", "2026-11-26", 0, { "2027-08-16" } },
		{ "cron 0 0 1W * *", "UTC", "2027-04-15", 0, { "2027-05-03", "2027-06-01", "2027-07-01", "2027-08-02" } },
		{ "cron 0 0 31W * *", "UTC", "2026-12-26", 0, { "2026-12-31", "2027-01-29", "2027-03-31", "2027-05-31" } },
		{ "cron 0 0 LW * *", "UTC", "2027-01-01", 0, { "2027-01-29", "2027-02-26", "2027-03-31", "2027-04-30" } },
		{ "cron 0 0 * * 5L", "UTC", "2026-11-28", 0, { "2026-12-25", "2027-01-29" } },
		{ "cron 0 0 * * fri#3", "UTC", "2026-11-26", 0, { "2026-12-18", "2027-01-15" } },
		{ "cron 0 0 * * 1#5", "UTC", "2026-11-26", 0, { "2026-11-30", "2027-03-29" } },
		{ "cron 10,50 30 4 * * *", "UTC", "2026-11-26", 0, { "2026-11-26T04:30:10", "2026-11-26T04:30:50", "2026-11-27T04:30:10" } },
		{ "cron 0 30 4 29 2 ? 2028-2032", "UTC", "2026-11-26", 0, { "2028-02-29T04:30", "2032-02-29T04:30", NEVER } },
		{ "cron 0 0 29 2 *", "UTC", "2026-11-26", 0, { "2028-02-29", "2032-02-29" } },
		{ "cron 0 0 30 2 *", "UTC", "2026-11-26", 0, { NEVER } },
		{ "cron 5/20 3 * * *", "UTC", "2026-11-26", 0, { "2026-11-26T03:05", "2026-11-26T03:25", "2026-11-26T03:45", "2026-11-27T03:05" } },
		{ "cron @daily", "UTC", "2026-11-26", 0, { "2026-11-27" } },
		{ "cron @hourly", "UTC", "2026-11-26", 0, { "2026-11-26T01:00" } },
		{ "cron @weekly", "UTC", "2026-11-26", 0, { "2026-11-29" } },
		{ "cron @monthly", "UTC", "2026-11-26", 0, { "2026-12-01" } },
		{ "cron @yearly", "UTC", "2026-11-26", 0, { "2027-01-01" } },
	};

	(void)state;
	check_runs(table, ARRAY_SIZE(table));
}

static void a_fixed_time_runs_once_and_an_interval_keeps_its_period(void **state)
{
	static const struct runs table[] = {
		/* spring: 02:00 to 03:00 do not come */
		{ "02:30", "America/New_York", "2026-03-07T12:00", 0, { "2026-03-08T03:00:00.000000-04:00", "2026-03-09T02:30:00.000000-04:00" } },
		{ "02:30", "America/New_York", "2026-03-07T12:00", PCORE_DST_SKIP, { "2026-03-09T02:30" } },
		{ "02:30", "America/New_York", "2026-03-07T12:00", PCORE_DST_BOTH, { "2026-03-08T03:00", "2026-03-09T02:30" } },
		{ "02:15,45", "America/New_York", "2026-03-08T06:00", 0, { "2026-03-08T03:00", "2026-03-09T02:15", "2026-03-09T02:45" } },
		{ "2,3:00", "America/New_York", "2026-03-08T06:00", 0, { "2026-03-08T03:00", "2026-03-09T02:00" } },
		{ "2,3:00", "America/New_York", "2026-03-08T06:00", PCORE_DST_SKIP, { "2026-03-08T03:00", "2026-03-09T02:00" } },
		{ "cron 30 2 * * *", "America/New_York", "2026-03-07T12:00", 0, { "2026-03-08T03:00", "2026-03-09T02:30" } },
		{ "hourly", "America/New_York", "2026-03-08T05:30", 0, { "2026-03-08T01:00:00.000000-05:00", "2026-03-08T03:00:00.000000-04:00" } },
		{ "*:30", "America/New_York", "2026-03-08T06:00", 0, { "2026-03-08T01:30", "2026-03-08T03:30" } },
		/* autumn: 01:00 to 02:00 come twice */
		{ "01:30", "America/New_York", "2026-10-31T12:00", 0, { "2026-11-01T01:30:00.000000-04:00", "2026-11-02T01:30" } },
		{ "01:30", "America/New_York", "2026-10-31T12:00", PCORE_DST_SKIP, { "2026-11-01T01:30:00.000000-04:00", "2026-11-02T01:30" } },
		{ "01:30", "America/New_York", "2026-10-31T12:00", PCORE_DST_BOTH,
			{ "2026-11-01T01:30:00.000000-04:00", "2026-11-01T01:30:00.000000-05:00", "2026-11-02T01:30" } },
		{ "01:30", "America/New_York", "2026-11-01T06:15", 0, { "2026-11-02T01:30" } },
		{ "hourly", "America/New_York", "2026-11-01T04:30", 0, { "2026-11-01T01:00:00.000000-04:00", "2026-11-01T01:00:00.000000-05:00", "2026-11-01T02:00" } },
		{ "*:0/20", "America/New_York", "2026-11-01T05:20", 0,
			{ "2026-11-01T01:40:00.000000-04:00", "2026-11-01T01:00:00.000000-05:00", "2026-11-01T01:20", "2026-11-01T01:40", "2026-11-01T02:00" } },
		{ "cron 0 */1 * * *", "America/New_York", "2026-11-01T05:00", 0, { "2026-11-01T01:00:00.000000-05:00", "2026-11-01T02:00" } },
		{ "0/2:00", "America/New_York", "2026-11-01T03:00", 0, { "2026-11-01T00:00", "2026-11-01T02:00:00.000000-05:00", "2026-11-01T04:00" } },
		/* clocks of other sorts */
		{ "02:15", "Australia/Lord_Howe", "2026-10-02T00:00", 0, { "2026-10-03T02:15", "2026-10-04T02:30:00.000000+11:00", "2026-10-05T02:15" } },
		{ "01:45", "Australia/Lord_Howe", "2026-04-04T00:00", 0, { "2026-04-05T01:45:00.000000+11:00", "2026-04-06T01:45:00.000000+10:30" } },
		{ "01:30", "Europe/Dublin", "2026-10-24T12:00", 0, { "2026-10-25T01:30:00.000000+01:00", "2026-10-26T01:30" } },
		{ "01:30", "Europe/Dublin", "2026-03-28T12:00", 0, { "2026-03-29T02:00:00.000000+01:00", "2026-03-30T01:30" } },
		{ "08:00", "Pacific/Apia", "2011-12-29T12:00", 0, { "2011-12-29T08:00:00.000000-10:00", "2011-12-31T00:00:00.000000+14:00", "2011-12-31T08:00" } },
		{ "daily", "Pacific/Apia", "2011-12-29T12:00", 0, { "2011-12-31T00:00", "2012-01-01T00:00" } },
		{ "*-*-30 08:00", "Pacific/Apia", "2011-12-01", 0, { "2011-12-31T00:00", "2012-01-30T08:00" } },
		{ "*-*-30 08:00", "Pacific/Apia", "2011-12-01", PCORE_DST_SKIP, { "2012-01-30T08:00" } },
		{ "hourly", "Pacific/Apia", "2011-12-30T09:00", 0, { "2011-12-31T00:00:00.000000+14:00" } },
		{ "daily", "America/Havana", "2026-03-07T12:00", 0, { "2026-03-08T01:00:00.000000-04:00", "2026-03-09T00:00" } },
		{ "daily", "America/Havana", "2026-10-31T12:00", 0, { "2026-11-01T00:00:00.000000-04:00", "2026-11-02T00:00:00.000000-05:00" } },
	};

	(void)state;
	need_zones();
	check_runs(table, ARRAY_SIZE(table));
}

static void a_search_from_either_end_of_time_is_answered(void **state)
{
	struct pcore_zone *z = zone_of("UTC");
	struct pcore_when w;
	int64_t at = 42;

	(void)state;
	parse("daily", &w);
	assert_int_equal(pcore_when_next(&w, z, PCORE_DST_RUN, INT64_MIN, &at), 0);
	assert_int_equal(at, 0);
	assert_int_equal(pcore_when_next(&w, z, PCORE_DST_RUN, -1, &at), 0);
	assert_int_equal(at, 0);
	at = 42;
	assert_int_equal(pcore_when_next(&w, z, PCORE_DST_BOTH, INT64_MAX, &at), -ENOENT);
	assert_int_equal(at, 42);
	pcore_zone_free(z);
}

static void the_zone_of_an_expression_is_its_last_word(void **state)
{
	static const struct {
		const char *text, *zone;
	} good[] = { { "daily", "" }, { "daily Europe/Berlin", "Europe/Berlin" }, { "Mon..Fri 08:00 America/New_York", "America/New_York" },
		{ "Mon UTC", "UTC" }, { "*-*-* UTC", "UTC" }, { "12:00 Etc/GMT+5", "Etc/GMT+5" }, { " 12:00  UTC ", "UTC" } };
	struct pcore_when w;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		parse(good[i].text, &w);
		assert_string_equal(w.zone, good[i].zone);
	}
}

struct refused {
	const char *text;
	size_t column;
};

static void check_refused(const struct refused *table, size_t n, int (*try)(const char *, struct pcore_when *, struct pcore_when_error *))
{
	for (size_t i = 0; i < n; i++) {
		struct pcore_when_error error = { 0 };
		struct pcore_when w;

		if (try(table[i].text, &w, NULL) == 0)
			fail_msg("'%s' is taken", table[i].text);
		assert_int_equal(try(table[i].text, &w, &error), -EINVAL);
		assert_non_null(error.why);
		if (error.column != table[i].column)
			fail_msg("'%s': column %zu, not %zu: %s", table[i].text, error.column, table[i].column, error.why);
	}
}

static void calendar_errors_name_their_column(void **state)
{
	static const struct refused table[] = { { "", 1 }, { "  ", 3 }, { "Moo", 1 }, { "Mon..", 6 }, { "Fri..Mon", 1 }, { "Mon,", 5 },
		{ "24:00", 1 }, { "12:60", 4 }, { "12", 3 }, { "12:00:60", 7 }, { "12:00:00:00", 9 }, { "*-13-01", 3 }, { "*-00-01", 3 },
		{ "*-*-32", 5 }, { "*-*-0", 5 }, { "1969-01-01", 1 }, { "2200-01-01", 1 }, { "*-*~29", 5 }, { "*-*~1..3", 5 }, { "*-*-5..2", 5 },
		{ "*:*:0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,1,0.9", 39 }, { "*:0/0", 5 }, { "*:0/60", 5 }, { "*:*:*/0", 7 }, { "daily daily daily", 13 }, { "*-*-* 12:00 UTC x", 17 }, { "*:00 -", 6 },
		{ "12:00x", 6 }, { "*-", 3 }, { "hourlyx", 1 }, { "*:1,", 5 }, { "*:0/99999999999", 5 }, { "2026-1-1-1", 9 },
		{ "12:00 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 7 } };

	(void)state;
	check_refused(table, ARRAY_SIZE(table), pcore_calendar_parse);
}

static void cron_errors_name_their_column(void **state)
{
	static const struct refused table[] = { { "", 1 }, { "* * * *", 1 }, { "* * * * * * * *", 1 }, { "60 * * * *", 1 }, { "* 24 * * *", 3 },
		{ "* * 0 * *", 5 }, { "* * 32 * *", 5 }, { "* * * 13 *", 7 }, { "* * * foo *", 7 }, { "* * * * 8", 9 }, { "* * * * mond", 9 },
		{ "5-2 * * * *", 1 }, { "*/0 * * * *", 3 }, { "*/60 * * * *", 3 }, { "1,,2 * * * *", 3 }, { "* * L-31 * *", 5 },
		{ "* * 32W * *", 5 }, { "* * 0W * *", 5 }, { "* * * * 5#6", 9 }, { "* * * * 5#0", 9 }, { "* * * * L", 9 },
		{ "* * 1L * *", 6 }, { "@reboot", 1 }, { "@daily x", 1 }, { "* * * * * * 1969", 13 }, { "1x * * * *", 2 }, { "-1 * * * *", 1 } };

	(void)state;
	check_refused(table, ARRAY_SIZE(table), pcore_cron_parse);
}

static void a_point_in_time_is_read_in_its_zone(void **state)
{
	static const struct {
		const char *text, *zone, *expected; /* now is 2026-11-26 12:00 UTC */
	} table[] = {
		{ "@0", "UTC", "1970-01-01T00:00:00.000000+00:00" },
		{ "@1795694400.25", "UTC", "2026-11-26T12:00:00.250000+00:00" },
		{ "2026-11-26", "Europe/Berlin", "2026-11-26T00:00:00.000000+01:00" },
		{ "2026-11-26T14:30", "Europe/Berlin", "2026-11-26T14:30:00.000000+01:00" },
		{ "2026-11-26 14:30:15.5", "Europe/Berlin", "2026-11-26T14:30:15.500000+01:00" },
		{ "2026-11-26T14:30:00Z", "Europe/Berlin", "2026-11-26T15:30:00.000000+01:00" },
		{ "2026-11-26T14:30+05:30", "UTC", "2026-11-26T09:00:00.000000+00:00" },
		{ "2026-11-26T14:30:00-0800", "UTC", "2026-11-26T22:30:00.000000+00:00" },
		{ "2026-11-26T14:30:00-08", "UTC", "2026-11-26T22:30:00.000000+00:00" },
		{ "14:30", "UTC", "2026-11-26T14:30:00.000000+00:00" },
		{ "12:00", "UTC", "2026-11-27T12:00:00.000000+00:00" },
		{ "09:00:01", "UTC", "2026-11-27T09:00:01.000000+00:00" },
		{ "today", "UTC", "2026-11-26T00:00:00.000000+00:00" },
		{ "today 09:00", "UTC", "2026-11-26T09:00:00.000000+00:00" },
		{ "tomorrow 08:00", "America/New_York", "2026-11-27T08:00:00.000000-05:00" },
		{ "tomorrow", "Pacific/Auckland", "2026-11-28T00:00:00.000000+13:00" },
		{ "yesterday 23:59:59", "UTC", "2026-11-25T23:59:59.000000+00:00" },
		{ "2026-03-08 02:30", "America/New_York", "2026-03-08T03:00:00.000000-04:00" },
		{ "2026-11-01 01:30", "America/New_York", "2026-11-01T01:30:00.000000-04:00" },
		{ "2011-12-30", "Pacific/Apia", "2011-12-31T00:00:00.000000+14:00" },
	};

	(void)state;
	need_zones();
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct pcore_zone *z = zone_of(table[i].zone);
		char text[PCORE_WALL_TEXT_MAX];
		struct pcore_time t;
		int64_t at;

		assert_int_equal(pcore_time_parse(table[i].text, &t, NULL), 0);
		at = pcore_time_resolve(&t, z, 1795694400 * NS_PER_S);
		assert_string_equal(pcore_wall_text(text, pcore_zone_wall(z, at), pcore_zone_at(z, at).offset_ns), table[i].expected);
		pcore_zone_free(z);
	}
}

static void a_point_in_time_may_name_its_zone(void **state)
{
	static const char *const good[] = { "14:30 Europe/Berlin", "2026-11-26 Europe/Berlin", "2026-11-26T14:30:00 Europe/Berlin",
		"tomorrow Europe/Berlin", "tomorrow 08:00 Europe/Berlin" };
	struct pcore_time t;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(pcore_time_parse(good[i], &t, NULL), 0);
		assert_string_equal(t.zone, "Europe/Berlin");
	}
}

static void what_is_no_point_in_time_is_refused(void **state)
{
	static const struct refused table[] = { { "", 1 }, { "soon", 1 }, { "24:00", 1 }, { "12:60", 4 }, { "12:00:60", 7 }, { "1:00", 1 },
		{ "12", 3 }, { "12:5", 4 }, { "2026-02-29", 9 }, { "2026-04-31", 9 }, { "2026-00-01", 9 }, { "2026-13-01", 6 },
		{ "1969-12-31", 1 }, { "2200-01-01", 1 }, { "26-11-26", 1 }, { "2026-11-26T", 12 }, { "2026-11-26T14:30:00Z UTC", 22 },
		{ "2026-11-26T14:30:00+25:00", 20 }, { "@", 2 }, { "@-1", 2 }, { "@1.", 4 }, { "@999999999999", 2 }, { "@7258118400", 2 },
		{ "@1 UTC", 4 }, { "tomorrowx", 1 }, { "tomorrow 25:00", 10 }, { "14:30 ", 7 }, { "14:30 UTC x", 10 }, { "14:30x", 6 },
		{ "12:00 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 7 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct pcore_when_error error = { 0 };
		struct pcore_time t;

		assert_int_equal(pcore_time_parse(table[i].text, &t, NULL), -EINVAL);
		assert_int_equal(pcore_time_parse(table[i].text, &t, &error), -EINVAL);
		assert_non_null(error.why);
		if (error.column != table[i].column)
			fail_msg("'%s': column %zu, not %zu: %s", table[i].text, error.column, table[i].column, error.why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(calendar_expressions_say_what_systemd_means),
		TEST(cron_expressions_say_what_cron_means),
		TEST(a_fixed_time_runs_once_and_an_interval_keeps_its_period),
		TEST(a_search_from_either_end_of_time_is_answered),
		TEST(the_zone_of_an_expression_is_its_last_word),
		TEST(calendar_errors_name_their_column),
		TEST(cron_errors_name_their_column),
		TEST(a_point_in_time_is_read_in_its_zone),
		TEST(a_point_in_time_may_name_its_zone),
		TEST(what_is_no_point_in_time_is_refused),
	};

	return RUN_TESTS(tests);
}
