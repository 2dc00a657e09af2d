/* SPDX-License-Identifier: MIT */
/*
 * cron.c - cron expressions.
 */
#include "libcore/when/cron.h"

#include <string.h>

#include "libcore/when/scan.h"

static const struct scan_field second_field = { 0, 59, "the second must be from 0 to 59", "-", NULL, 0 };
static const struct scan_field minute_field = { 0, 59, "the minute must be from 0 to 59", "-", NULL, 0 };
static const struct scan_field hour_field = { 0, 23, "the hour must be from 0 to 23", "-", NULL, 0 };
static const struct scan_field day_field = { 1, 31, "the day must be from 1 to 31, L, L-N, NW or LW", "-", NULL, 0 };
static const struct scan_field month_field = { 1, 12, "the month must be from 1 to 12 or a name", "-", scan_months, 12 };
static const struct scan_field weekday_field = { 0, 7, "the weekday must be from 0 to 7, a name, NL or N#K", "-", scan_weekdays, 7 };
static const struct scan_field year_field = { PCORE_WHEN_FIRST_YEAR, PCORE_WHEN_END_YEAR - 1,
	"the year must be from 1970 to 2199", "-", NULL, 0 };

static const struct {
	const char *word, *meaning;
} words[] = {
	{ "@yearly", "0 0 1 1 *" },
	{ "@annually", "0 0 1 1 *" },
	{ "@monthly", "0 0 1 * *" },
	{ "@weekly", "0 0 * * 0" },
	{ "@daily", "0 0 * * *" },
	{ "@midnight", "0 0 * * *" },
	{ "@hourly", "0 * * * *" },
};

/* A star, with a step or without, restricts no day by itself: that is what the rule of either day field asks for. */
static bool is_star(const struct scan *s)
{
	size_t len = strcspn(s->p, " \t");

	return (s->p[0] == '*' && !memchr(s->p, ',', len)) || (s->p[0] == '?' && len == 1);
}

/* One item of the day field that is no plain value, range or step: 1 when it was one. */
static int parse_special_day(struct scan *s, struct pcore_when *w)
{
	const char *at = s->p;
	int n = 0;

	if (scan_word(s, "LW")) {
		w->near_days |= 1;
		return 1;
	}
	if (scan_char(s, 'L')) {
		if (scan_char(s, '-') && (scan_number(s, &n) < 0 || n > 30))
			return scan_fail_at(s, at, "L-N is a day before the last one, N from 0 to 30");
		w->days_from_end |= UINT32_C(1) << (n + 1);
		return 1;
	}
	if (scan_number(s, &n) == 0 && scan_char(s, 'W')) {
		if (n < day_field.min || n > day_field.max)
			return scan_fail_at(s, at, day_field.why);
		w->near_days |= UINT32_C(1) << n;
		return 1;
	}
	s->p = at;
	return 0;
}

static int parse_days(struct scan *s, struct pcore_when *w)
{
	uint64_t bits = 0;
	bool every;

	w->days = w->days_from_end = w->near_days = 0;
	if (scan_char(s, '?')) {
		w->days = UINT32_MAX;
		return 0;
	}
	do {
		int r = parse_special_day(s, w);

		if (r == 0)
			r = scan_item(s, &day_field, &bits, &every);
		if (r < 0)
			return r;
	} while (scan_char(s, ','));
	w->days = (uint32_t)(bits << 1);
	return 0;
}

/* "5L" and "fri#3": 1 when it was one. */
static int parse_special_weekday(struct scan *s, struct pcore_when *w)
{
	const char *at = s->p;
	int day, n;

	day = scan_name(s, scan_weekdays, 7);
	if (day < 0 && (scan_number(s, &day) < 0 || day > 7)) {
		s->p = at;
		return 0;
	}
	if (scan_char(s, 'L')) {
		w->last_weekdays |= (uint8_t)(1 << day % 7);
		return 1;
	}
	if (scan_char(s, '#')) {
		if (scan_number(s, &n) < 0 || n < 1 || n > 5)
			return scan_fail_at(s, at, "a weekday comes up to five times in a month: N#1 to N#5");
		w->nth_weekdays[n - 1] |= (uint8_t)(1 << day % 7);
		return 1;
	}
	s->p = at;
	return 0;
}

static int parse_weekdays(struct scan *s, struct pcore_when *w)
{
	uint64_t bits = 0;
	bool every;

	w->weekdays = 0;
	if (scan_char(s, '?')) {
		w->weekdays = UINT8_MAX;
		return 0;
	}
	do {
		int r = parse_special_weekday(s, w);

		if (r == 0)
			r = scan_item(s, &weekday_field, &bits, &every);
		if (r < 0)
			return r;
	} while (scan_char(s, ','));
	w->weekdays = (uint8_t)((bits | bits >> 7) & 0x7f);
	return 0;
}

static int end_field(struct scan *s)
{
	if (*s->p && !scan_blanks(s))
		return scan_fail(s, "unexpected text in a field");
	return 0;
}

static int parse_fields(struct scan *s, struct pcore_when *w, size_t n_fields)
{
	uint64_t minutes = 0, hours = 0, months = 0;
	bool every, any_day, any_weekday;

	w->seconds = n_fields == 5;
	if (n_fields > 5 && (scan_list(s, &second_field, &w->seconds, &every) < 0 || end_field(s) < 0))
		return -EINVAL;
	if (scan_list(s, &minute_field, &minutes, &every) < 0 || end_field(s) < 0)
		return -EINVAL;
	if (scan_list(s, &hour_field, &hours, &w->interval) < 0 || end_field(s) < 0)
		return -EINVAL;
	any_day = is_star(s);
	if (parse_days(s, w) < 0 || end_field(s) < 0)
		return -EINVAL;
	if (scan_list(s, &month_field, &months, &every) < 0 || end_field(s) < 0)
		return -EINVAL;
	any_weekday = is_star(s);
	if (parse_weekdays(s, w) < 0 || end_field(s) < 0)
		return -EINVAL;
	if (n_fields > 6) {
		memset(w->years, 0, sizeof(w->years));
		if (scan_list(s, &year_field, w->years, &every) < 0 || end_field(s) < 0)
			return -EINVAL;
	}
	w->minutes = minutes;
	w->hours = (uint32_t)hours;
	w->months = (uint16_t)(months << 1);
	w->either = !any_day && !any_weekday;
	return 0;
}

static size_t count_fields(const char *p)
{
	size_t n = 0;

	while (*(p += strspn(p, " \t"))) {
		p += strcspn(p, " \t");
		n++;
	}
	return n;
}

int pcore_cron_parse(const char *text, struct pcore_when *ret, struct pcore_when_error *error)
{
	struct scan s = { text, text, error };
	struct pcore_when w;
	size_t n;

	scan_blanks(&s);
	n = count_fields(s.p);
	pcore_when_init(&w);
	if (*s.p == '@') {
		size_t len = strcspn(s.p, " \t"), i;

		for (i = 0; i < ARRAY_SIZE(words); i++)
			if (strlen(words[i].word) == len && strncmp(words[i].word, s.p, len) == 0)
				break;
		if (i == ARRAY_SIZE(words) || n != 1)
			return scan_fail(&s, "must be @hourly, @daily, @midnight, @weekly, @monthly, @yearly or @annually");
		return pcore_cron_parse(words[i].meaning, ret, NULL);
	}
	if (n < 5 || n > 7)
		return scan_fail(&s, "must have five fields, six with seconds, or seven with seconds and year");
	if (parse_fields(&s, &w, n) < 0)
		return -EINVAL;
	*ret = w;
	return 0;
}
