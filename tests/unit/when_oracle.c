/* SPDX-License-Identifier: MIT */
/*
 * when_oracle.c - the next run against an oracle that walks through the years minute by minute.
 *
 * The oracle has wall-clock times from the C library, days from a walk over the days, and decides by what clocks show from
 * one minute to the next; it shares no code with libcore/when. Expressions are made from a seed, in both grammars; the set
 * of values behind each is what the oracle knows of it. A sample runs by default; with PCORE_SIM=full, as `make check-sim`
 * sets it, two hundred expressions in more than thirty zones, for ten years in which days were left out and rules changed,
 * and for ten more.
 */
#include "tests/unit/support.h"

#include <time.h>
#include <unistd.h>

#include "libcore/when/when.h"

enum { DAY_MINUTES = 1440, FIRST_YEAR = 2006, SECOND_YEAR = 2018, YEARS_FULL = 10, YEARS_SAMPLE = 6, LAST = 0, NONE = -1 };

static const char *const zones[] = { "America/New_York", "Europe/Dublin", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca",
	"Asia/Tehran", "Etc/UTC", "Etc/GMT+12", "Etc/GMT-14", "Europe/Berlin", "Europe/London", "Europe/Moscow", "Europe/Istanbul",
	"America/Sao_Paulo", "America/Havana", "America/St_Johns", "America/Caracas", "America/Santiago", "Africa/Cairo", "Asia/Gaza",
	"Asia/Amman", "Asia/Kolkata", "Asia/Kathmandu", "Asia/Tokyo", "Asia/Pyongyang", "Australia/Sydney", "Pacific/Auckland",
	"Pacific/Chatham", "Pacific/Kiritimati", "Antarctica/Troll", "<+0545>-05:45", "IST-1GMT0,M10.5.0,M3.5.0/1" };

struct expression {
	bool cron, interval, either;
	uint64_t minutes;
	uint32_t hours, days, days_from_end;
	uint16_t months;
	uint8_t weekdays;
	int near;    /* the Monday to Friday nearest to this day, or to the LAST; NONE */
	int of_them; /* of such weekdays in the month only that one, or the LAST; NONE: all */
	char text[256];
	struct pcore_when when;
};

/* ---- expressions ---- */

static uint64_t seed;

/* xorshift64*, by Vigna */
static unsigned draw(unsigned n)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return (unsigned)((seed * UINT64_C(2685821657736338717)) >> 33) % n;
}

/* A field of the grammar: writes its text and returns its values. star: how many in ten are stars. */
static uint64_t draw_field(char *text, bool cron, unsigned min, unsigned max, unsigned star, bool *ret_star)
{
	unsigned span = max - min + 1, kind = draw(10), a = min + draw(span), b = min + draw(span), step = 1 + draw(span / 2);
	const char *dots = cron ? "-" : "..";
	uint64_t bits = 0;

	*ret_star = false;
	if (kind < star) {
		*ret_star = true;
		sprintf(text, "*");
		a = min, b = max, step = 1;
	} else if (kind == star) {
		*ret_star = true;
		sprintf(text, "*/%u", step);
		a = min, b = max;
	} else if (kind == star + 1 || kind == star + 2) {
		unsigned low = a < b ? a : b;

		b = a < b ? b : a;
		a = low;
		sprintf(text, kind == star + 1 ? "%u%s%u" : "%u%s%u/%u", a, dots, b, step);
		step = kind == star + 1 ? 1 : step;
	} else if (kind == star + 3) {
		sprintf(text, "%u,%u", a, b);
		return UINT64_C(1) << a | UINT64_C(1) << b;
	} else {
		sprintf(text, "%u", a);
		b = a;
	}
	for (; a <= b; a += step)
		bits |= UINT64_C(1) << a;
	return bits;
}

/* What only cron has: "15W", "LW", "FriL" (as 5L), "Fri#3". */
static void draw_specials(struct expression *e, char *day, char *weekday, bool *any_day, bool *any_weekday)
{
	unsigned n = draw(7), kind = draw(8);

	if (kind < 2) {
		e->near = kind == 0 ? (int)(1 + draw(31)) : LAST;
		e->days = e->days_from_end = 0;
		*any_day = false;
		if (e->near == LAST)
			sprintf(day, "LW");
		else
			sprintf(day, "%dW", e->near);
	} else if (kind < 4) {
		e->of_them = kind == 2 ? (int)(1 + draw(5)) : LAST;
		e->weekdays = (uint8_t)(1 << n);
		*any_weekday = false;
		if (e->of_them == LAST)
			sprintf(weekday, "%uL", n);
		else
			sprintf(weekday, "%u#%d", n, e->of_them);
	}
}

static void draw_expression(struct expression *e, bool cron)
{
	static const char *const names[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	char minute[32], hour[32], day[32], month[32], weekday[32] = "*";
	bool star, any_day, any_weekday = true;

	*e = (struct expression){ .cron = cron, .weekdays = 0x7f, .near = NONE, .of_them = NONE };
	e->minutes = draw_field(minute, cron, 0, 59, 0, &star);
	e->hours = (uint32_t)draw_field(hour, cron, 0, 23, 2, &e->interval);
	if (!e->interval && draw(3) > 0) { /* when clocks are changed */
		unsigned a = draw(4), b = draw(4);

		e->hours = UINT32_C(1) << a | UINT32_C(1) << b;
		sprintf(hour, "%u,%u", a, b);
	}
	e->months = (uint16_t)draw_field(month, cron, 1, 12, 6, &star);
	e->days = (uint32_t)draw_field(day, cron, 1, 31, 5, &any_day);
	if (draw(8) == 0) {
		unsigned n = 1 + draw(28);

		any_day = false;
		e->days = 0;
		e->days_from_end = UINT32_C(1) << n;
		sprintf(day, cron ? "L-%u" : "~%u", cron ? n - 1 : n);
	}
	if (draw(3) == 0) {
		unsigned n = draw(7);

		any_weekday = false;
		e->weekdays = (uint8_t)(1 << n);
		sprintf(weekday, "%s", names[n]);
	}
	if (cron)
		draw_specials(e, day, weekday, &any_day, &any_weekday);
	e->either = cron && !any_day && !any_weekday;
	if (cron)
		sprintf(e->text, "%s %s %s %s %s", minute, hour, day, month, weekday);
	else
		sprintf(e->text, "%s %s%s%s %s:%s", any_weekday ? "" : weekday, month, day[0] == '~' ? "" : "-", day, hour, minute);
	if ((cron ? pcore_cron_parse(e->text, &e->when, NULL) : pcore_calendar_parse(e->text, &e->when, NULL)) < 0)
		fail_msg("'%s' is refused", e->text);
}

/* ---- what clocks show ---- */

struct clocks {
	int64_t start;	/* minutes since the epoch */
	size_t n;
	int32_t *walls; /* minutes since the first wall-clock day */
	int64_t first_day;
	size_t n_days;
	bool *days; /* of the expression at hand: does it match? */
};

static void show(struct clocks *c, const char *zone, int year, int years)
{
	int64_t end = pcore_days_of(year + years, 1, 1) * DAY_MINUTES;

	setenv("TZ", zone, 1);
	tzset();
	c->start = pcore_days_of(year, 1, 1) * DAY_MINUTES;
	c->n = (size_t)(end - c->start);
	c->first_day = c->start / DAY_MINUTES - 2;
	c->n_days = c->n / DAY_MINUTES + 5;
	c->walls = malloc(c->n * sizeof(*c->walls));
	c->days = malloc(c->n_days * sizeof(*c->days));
	assert_non_null(c->walls);
	assert_non_null(c->days);
	for (size_t i = 0; i < c->n; i++) {
		time_t t = (c->start + (int64_t)i) * 60;
		struct tm tm;

		localtime_r(&t, &tm);
		c->walls[i] = (int32_t)((t + tm.tm_gmtoff) / 60 - c->first_day * DAY_MINUTES);
	}
}

static void hide(struct clocks *c)
{
	free(c->walls);
	free(c->days);
}

/* tm is a day of a month that has `len' of them. Nearer days are looked at first, of two that are as near the one before. */
static bool is_nearest(const struct tm *tm, int len, int near)
{
	static const int nearer[] = { 0, -1, 1, 2, -2 };
	int to = near == LAST ? len : near;

	for (size_t i = 0; i < ARRAY_SIZE(nearer) && to <= len; i++) {
		int day = to + nearer[i], weekday = (tm->tm_wday + day - tm->tm_mday + 70) % 7;

		if (day >= 1 && day <= len && weekday >= 1 && weekday <= 5)
			return day == tm->tm_mday;
	}
	return false;
}

static bool is_of_them(const struct tm *tm, int len, int of_them)
{
	int before = 0;

	if (of_them == LAST)
		return tm->tm_mday + 7 > len;
	for (int day = tm->tm_mday; day >= 1; day -= 7)
		before++;
	return before == of_them;
}

static void match_days(struct clocks *c, const struct expression *e)
{
	for (size_t i = 0; i < c->n_days; i++) {
		time_t t = (c->first_day + (int64_t)i) * 86400, later;
		bool by_date, by_weekday;
		unsigned left = 0; /* days of the month from this one on */
		struct tm tm, other;

		gmtime_r(&t, &tm);
		do {
			later = t + (time_t)++left * 86400;
			gmtime_r(&later, &other);
		} while (other.tm_mon == tm.tm_mon);
		by_date = e->days >> tm.tm_mday & 1 || e->days_from_end >> left & 1;
		by_weekday = e->weekdays >> tm.tm_wday & 1;
		if (e->near != NONE)
			by_date = is_nearest(&tm, tm.tm_mday + (int)left - 1, e->near);
		if (e->of_them != NONE)
			by_weekday = by_weekday && is_of_them(&tm, tm.tm_mday + (int)left - 1, e->of_them);
		c->days[i] = (e->months >> (tm.tm_mon + 1) & 1) && (e->either ? by_date || by_weekday : by_date && by_weekday);
	}
}

static bool matches(const struct clocks *c, const struct expression *e, int32_t wall)
{
	int in_day = wall % DAY_MINUTES;

	return c->days[wall / DAY_MINUTES] && e->hours >> in_day / 60 & 1 && e->minutes >> in_day % 60 & 1;
}

/* ---- the comparison ---- */

static void expect(const struct expression *e, const char *zone, const struct pcore_zone *z, enum pcore_dst dst, int64_t after_ns, int64_t at_ns)
{
	char expected[PCORE_WALL_TEXT_MAX], text[PCORE_WALL_TEXT_MAX];
	int64_t got = 0;

	(void)pcore_when_next(&e->when, z, dst, after_ns, &got);
	if (got == at_ns)
		return;
	fail_msg("'%s' in %s, dst %d, after %lld: %s, not %s", e->text, zone, dst, (long long)(after_ns / NS_PER_S),
		pcore_wall_text(text, pcore_zone_wall(z, got), pcore_zone_at(z, got).offset_ns),
		pcore_wall_text(expected, pcore_zone_wall(z, at_ns), pcore_zone_at(z, at_ns).offset_ns));
}

static void walk(const struct clocks *c, const struct expression *e, const char *zone, const struct pcore_zone *z, enum pcore_dst dst)
{
	int32_t high = c->walls[0]; /* the latest that clocks have shown */
	int64_t last = c->start * 60 * NS_PER_S, repeated[8] = { 0 };
	size_t n_repeated = 0; /* instants of repeated hours since the last run: what follows them? */

	for (size_t i = 1; i < c->n; i++) {
		int32_t wall = c->walls[i];
		bool match = matches(c, e, wall), due = match;
		int64_t at;

		if (!e->interval) {
			due = match && (wall > high || dst == PCORE_DST_BOTH);
			for (int32_t skipped = high + 1; skipped < wall && !due && dst != PCORE_DST_SKIP; skipped++)
				due = matches(c, e, skipped);
		}
		at = (c->start + (int64_t)i) * 60 * NS_PER_S;
		if (wall <= high && i % 8 == 0 && !due)
			repeated[n_repeated++ % ARRAY_SIZE(repeated)] = at;
		high = wall > high ? wall : high;
		if (!due)
			continue;
		for (size_t j = 0; j < n_repeated && j < ARRAY_SIZE(repeated); j++)
			expect(e, zone, z, dst, repeated[j], at);
		n_repeated = 0;
		expect(e, zone, z, dst, last, at);
		expect(e, zone, z, dst, last + (int64_t)((uint64_t)(at - last) / 256 * draw(256)), at);
		expect(e, zone, z, dst, at - 1, at);
		last = at;
	}
}

static void compare(size_t n_zones, int year, int years, unsigned n_expressions)
{
	for (size_t i = 0; i < n_zones; i++) {
		struct pcore_zone *z = NULL;
		struct clocks c;

		assert_int_equal(pcore_zone_open(&z, zones[i]), 0);
		show(&c, zones[i], year, years);
		seed = UINT64_C(88172645463325252);
		for (unsigned n = 0; n < n_expressions; n++) {
			struct expression e;

			draw_expression(&e, n % 2);
			match_days(&c, &e);
			walk(&c, &e, zones[i], z, e.interval ? PCORE_DST_RUN : n / 2 % 3);
		}
		hide(&c);
		pcore_zone_free(z);
	}
}

static void every_run_is_the_one_that_clocks_show(void **state)
{
	const char *sim = getenv("PCORE_SIM");
	bool full = sim && strcmp(sim, "full") == 0;

	(void)state;
	if (access("/usr/share/zoneinfo/Pacific/Apia", R_OK) < 0) {
		print_message("# SKIP: /usr/share/zoneinfo has no zones (package tzdata)\n");
		skip();
	}
	if (full) {
		compare(ARRAY_SIZE(zones), FIRST_YEAR, YEARS_FULL, 200);
		compare(ARRAY_SIZE(zones), SECOND_YEAR, YEARS_FULL, 200);
	} else {
		compare(6, FIRST_YEAR, YEARS_SAMPLE, 16);
	}
	setenv("TZ", "UTC", 1);
	tzset();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_run_is_the_one_that_clocks_show),
	};

	return RUN_TESTS(tests);
}
