/* SPDX-License-Identifier: MIT */
/*
 * calendar.c - calendar expressions.
 *
 * Whether a word is a date or a time is told by its first separator.
 */
#include "libcore/when/calendar.h"

#include <ctype.h>
#include <string.h>

#include "libcore/when/scan.h"

static const struct scan_field month_field = { 1, 12, "the month must be from 1 to 12", "..", NULL, 0 };
static const struct scan_field day_field = { 1, 31, "the day must be from 1 to 31", "..", NULL, 0 };
static const struct scan_field hour_field = { 0, 23, "the hour must be from 0 to 23", "..", NULL, 0 };
static const struct scan_field minute_field = { 0, 59, "the minute must be from 0 to 59", "..", NULL, 0 };

enum { FROM_END_MAX = 28 }; /* further from the end there is no such day in every month */

static const struct {
	const char *word, *meaning;
} words[] = {
	{ "minutely", "*-*-* *:*:00" },
	{ "hourly", "*-*-* *:00:00" },
	{ "daily", "*-*-* 00:00:00" },
	{ "weekly", "Mon *-*-* 00:00:00" },
	{ "monthly", "*-*-01 00:00:00" },
	{ "quarterly", "*-01,04,07,10-01 00:00:00" },
	{ "semiannually", "*-01,07-01 00:00:00" },
	{ "semi-annually", "*-01,07-01 00:00:00" },
	{ "biannually", "*-01,07-01 00:00:00" },
	{ "bi-annually", "*-01,07-01 00:00:00" },
	{ "yearly", "*-01-01 00:00:00" },
	{ "annually", "*-01-01 00:00:00" },
};

static int parse_weekday(struct scan *s, int *ret)
{
	int i = scan_name(s, scan_weekdays, ARRAY_SIZE(scan_weekdays));

	if (i < 0)
		return scan_fail(s, "no such weekday or word");
	*ret = (i + 6) % 7; /* from Monday: that is how they are ordered here */
	return 0;
}

/* "Mon,Wed..Fri"; a dash does as well for the dots. */
static int parse_weekdays(struct scan *s, uint8_t *ret)
{
	const char *at;
	int first = 0, last;

	*ret = 0;
	do {
		at = s->p;
		if (parse_weekday(s, &first) < 0)
			return -EINVAL;
		last = first;
		if ((scan_word(s, "..") || scan_char(s, '-')) && parse_weekday(s, &last) < 0)
			return -EINVAL;
		if (last < first)
			return scan_fail_at(s, at, "a range must ascend, from Monday to Sunday");
		for (int i = first; i <= last; i++)
			*ret |= (uint8_t)(1 << (i + 1) % 7);
	} while (scan_char(s, ','));
	return 0;
}

/* Years of two digits are those from 1970 to 2069. */
static int parse_year(struct scan *s, int *ret)
{
	const char *at = s->p;
	int v;

	if (scan_number(s, &v) < 0)
		return scan_fail(s, "the year must be from 1970 to 2199");
	if (v < 100)
		v += v < 70 ? 2000 : 1900;
	if (v < PCORE_WHEN_FIRST_YEAR || v >= PCORE_WHEN_END_YEAR)
		return scan_fail_at(s, at, "the year must be from 1970 to 2199");
	*ret = v;
	return 0;
}

static int parse_years(struct scan *s, uint64_t years[4])
{
	static const struct scan_field step_field = { PCORE_WHEN_FIRST_YEAR, PCORE_WHEN_END_YEAR - 1, "", "..", NULL, 0 };

	memset(years, 0, 4 * sizeof(*years));
	do {
		int first = PCORE_WHEN_FIRST_YEAR, last = PCORE_WHEN_END_YEAR - 1, step;
		bool star = scan_char(s, '*'), range = false;
		const char *at = s->p;

		if (!star && parse_year(s, &first) < 0)
			return -EINVAL;
		range = !star && scan_word(s, "..");
		if (range && parse_year(s, &last) < 0)
			return -EINVAL;
		if (last < first)
			return scan_fail_at(s, at, "a range must ascend");
		if (scan_step(s, &step_field, &step) < 0)
			return -EINVAL;
		if (!star && !range && step == 0)
			last = first;
		for (int v = first; v <= last; v += step ? step : 1) {
			unsigned i = (unsigned)(v - PCORE_WHEN_FIRST_YEAR);

			years[i / 64] |= UINT64_C(1) << i % 64;
		}
	} while (scan_char(s, ','));
	return 0;
}

static int parse_months(struct scan *s, uint16_t *ret)
{
	uint64_t bits = 0;
	bool every;

	if (scan_list(s, &month_field, &bits, &every) < 0)
		return -EINVAL;
	*ret = (uint16_t)(bits << 1);
	return 0;
}

static int parse_days(struct scan *s, struct pcore_when *w)
{
	uint64_t bits = 0;
	bool every;

	if (scan_list(s, &day_field, &bits, &every) < 0)
		return -EINVAL;
	w->days = (uint32_t)(bits << 1);
	return 0;
}

/* Days counted from the month's end: ranges and steps go towards it, from larger to smaller numbers. */
static int parse_days_from_end(struct scan *s, struct pcore_when *w)
{
	static const struct scan_field field = { 1, FROM_END_MAX, "a day from the end of the month must be from 1 to 28", "..", NULL, 0 };
	int first, last, step;

	w->days = 0;
	w->days_from_end = 0;
	if (scan_char(s, '*')) {
		w->days = UINT32_MAX;
		return 0;
	}
	do {
		const char *at = s->p;
		bool range;

		if (scan_value(s, &field, &first) < 0)
			return -EINVAL;
		range = scan_word(s, "..");
		if (range && scan_value(s, &field, &last) < 0)
			return -EINVAL;
		if (scan_step(s, &field, &step) < 0)
			return -EINVAL;
		if (!range)
			last = step ? 1 : first;
		if (last > first)
			return scan_fail_at(s, at, "a range from the month's end must descend");
		for (int v = first; v >= last; v -= step ? step : 1)
			w->days_from_end |= UINT32_C(1) << v;
	} while (scan_char(s, ','));
	return 0;
}

/* Two or three fields; the last separator may be `~'. */
static int parse_date(struct scan *s, struct pcore_when *w)
{
	size_t len = strcspn(s->p, " \tT");
	const char *first = memchr(s->p, '-', len);
	bool has_year = first && strcspn(first + 1, "-~") < (size_t)(s->p + len - first - 1);

	if (has_year) {
		if (parse_years(s, w->years) < 0)
			return -EINVAL;
		if (!scan_char(s, '-'))
			return scan_fail(s, "a date is YEAR-MONTH-DAY or MONTH-DAY");
	}
	if (parse_months(s, &w->months) < 0)
		return -EINVAL;
	if (scan_char(s, '~'))
		return parse_days_from_end(s, w);
	if (!scan_char(s, '-'))
		return scan_fail(s, "a date is YEAR-MONTH-DAY or MONTH-DAY");
	return parse_days(s, w);
}

/* One item of seconds, which may have decimals. */
static int parse_second(struct scan *s, struct pcore_when_seconds *ret)
{
	static const char why[] = "the seconds must be from 0 to 59.999999";
	struct pcore_when_seconds v = { 0, 60 * NS_PER_S - NS_PER_US, 0 };
	bool star = scan_char(s, '*'), range = false;
	const char *at = s->p;

	if (!star) {
		if (scan_seconds(s, &v.first) < 0 || v.first >= 60 * NS_PER_S)
			return scan_fail_at(s, at, why);
		range = scan_word(s, "..");
		if (range && (scan_seconds(s, &v.last) < 0 || v.last >= 60 * NS_PER_S))
			return scan_fail_at(s, at, why);
		if (v.last < v.first)
			return scan_fail_at(s, at, "a range must ascend");
	}
	if (scan_char(s, '/')) {
		at = s->p;
		if (scan_seconds(s, &v.step) < 0 || v.step < NS_PER_US || v.step >= 60 * NS_PER_S)
			return scan_fail_at(s, at, "a step of seconds must be from 0.000001 to 59.999999");
	} else if (!star && !range) {
		v.last = v.first;
	}
	if (v.step == 0)
		v.step = NS_PER_S;
	*ret = v;
	return 0;
}

static int parse_seconds(struct scan *s, struct pcore_when *w)
{
	struct pcore_when_seconds v;

	w->seconds = 0;
	do {
		const char *at = s->p;

		if (parse_second(s, &v) < 0)
			return -EINVAL;
		if (v.first % NS_PER_S == 0 && v.step % NS_PER_S == 0) {
			for (; v.first <= v.last; v.first += v.step)
				w->seconds |= UINT64_C(1) << v.first / NS_PER_S;
			continue;
		}
		if (w->n_parts == PCORE_WHEN_SECONDS_MAX)
			return scan_fail_at(s, at, "there are more than 8 seconds with decimals");
		w->parts[w->n_parts++] = v;
	} while (scan_char(s, ','));
	return 0;
}

static void whole_minutes(struct pcore_when *w)
{
	w->seconds = 1;
}

static int parse_time(struct scan *s, struct pcore_when *w)
{
	uint64_t hours = 0, minutes = 0;
	bool every;

	if (scan_list(s, &hour_field, &hours, &w->interval) < 0)
		return -EINVAL;
	if (!scan_char(s, ':'))
		return scan_fail(s, "a time is HOUR:MINUTE or HOUR:MINUTE:SECOND");
	if (scan_list(s, &minute_field, &minutes, &every) < 0)
		return -EINVAL;
	w->hours = (uint32_t)hours;
	w->minutes = minutes;
	whole_minutes(w);
	return scan_char(s, ':') ? parse_seconds(s, w) : 0;
}

static int parse_fields(struct scan *s, struct pcore_when *w)
{
	bool dated = false, timed = false;

	pcore_when_init(w);
	if (isalpha((unsigned char)*s->p)) {
		if (parse_weekdays(s, &w->weekdays) < 0)
			return -EINVAL;
		dated = true;
		scan_blanks(s);
	}
	if (memchr(s->p, '-', strcspn(s->p, " \t:~")) || memchr(s->p, '~', strcspn(s->p, " \t:"))) {
		if (!isalpha((unsigned char)*s->p)) {
			if (parse_date(s, w) < 0)
				return -EINVAL;
			dated = true;
			if (!scan_char(s, 'T'))
				scan_blanks(s);
		}
	}
	if (*s->p && !isalpha((unsigned char)*s->p)) {
		if (parse_time(s, w) < 0)
			return -EINVAL;
		timed = true;
	}
	if (!dated && !timed)
		return scan_fail(s, "the expression is empty");
	if (!timed) {
		w->hours = 1;
		w->minutes = 1;
		w->interval = false;
		whole_minutes(w);
	}
	return 0;
}

/* "daily" and the like: 1 when it was one. */
static int parse_word(struct scan *s, struct pcore_when *w)
{
	size_t len = strcspn(s->p, " \t");

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		struct scan meaning = { words[i].meaning, words[i].meaning, NULL };

		if (strlen(words[i].word) != len || strncmp(words[i].word, s->p, len) != 0)
			continue;
		s->p += len;
		return parse_fields(&meaning, w) < 0 ? -EINVAL : 1;
	}
	return 0;
}

static int parse_zone(struct scan *s, struct pcore_when *w)
{
	size_t len = strcspn(s->p, " \t");

	if (len > PCORE_ZONE_NAME_MAX)
		return scan_fail(s, "the name of the zone is too long");
	memcpy(w->zone, s->p, len);
	w->zone[len] = '\0';
	s->p += len;
	return 0;
}

int pcore_calendar_parse(const char *text, struct pcore_when *ret, struct pcore_when_error *error)
{
	struct scan s = { text, text, error };
	struct pcore_when w;
	int r;

	scan_blanks(&s);
	r = parse_word(&s, &w);
	if (r == 0)
		r = parse_fields(&s, &w);
	if (r < 0)
		return r;
	if (*s.p && *s.p != ' ' && *s.p != '\t' && s.p > text && s.p[-1] != ' ' && s.p[-1] != '\t')
		return scan_fail(&s, "unexpected text");
	scan_blanks(&s);
	if (isalpha((unsigned char)*s.p) && parse_zone(&s, &w) < 0)
		return -EINVAL;
	scan_blanks(&s);
	if (*s.p)
		return scan_fail(&s, "unexpected text");
	*ret = w;
	return 0;
}
