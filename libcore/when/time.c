/* SPDX-License-Identifier: MIT */
/*
 * time.c - one point in time.
 */
#include "libcore/when/time.h"

#include <ctype.h>
#include <string.h>

#include "libcore/when/scan.h"

static const struct {
	const char *word;
	int days;
} words[] = { { "today", 0 }, { "tomorrow", 1 }, { "yesterday", -1 } };

/* Exactly n digits. */
static int parse_digits(struct scan *s, int n, int max, const char *why, int *ret)
{
	const char *at = s->p;

	if (!scan_at_digit(s) || scan_number(s, ret) < 0 || s->p - at != n || *ret > max)
		return scan_fail_at(s, at, why);
	return 0;
}

/* HH:MM[:SS[.FRACTION]] */
static int parse_clock(struct scan *s, int64_t *ret_ns)
{
	int64_t ns = 0;
	int hour, minute;

	if (parse_digits(s, 2, 23, "the hour must be from 00 to 23", &hour) < 0)
		return -EINVAL;
	if (!scan_char(s, ':'))
		return scan_fail(s, "a time is HH:MM or HH:MM:SS");
	if (parse_digits(s, 2, 59, "the minute must be from 00 to 59", &minute) < 0)
		return -EINVAL;
	if (scan_char(s, ':')) {
		const char *at = s->p;

		if (!isdigit((unsigned char)at[0]) || !isdigit((unsigned char)at[1]) || isdigit((unsigned char)at[2]) ||
			scan_seconds(s, &ns) < 0 || ns >= 60 * NS_PER_S)
			return scan_fail_at(s, at, "the second must be from 00 to 59");
	}
	*ret_ns = (hour * 60 + minute) * 60 * NS_PER_S + ns;
	return 0;
}

static int parse_date(struct scan *s, struct pcore_time *t)
{
	int year, month, day;
	const char *at = s->p;
	int64_t clock = 0;

	t->day = PCORE_TIME_DATE;
	if (parse_digits(s, 4, PCORE_WHEN_END_YEAR - 1, "the year must be from 1970 to 2199", &year) < 0)
		return -EINVAL;
	if (year < PCORE_WHEN_FIRST_YEAR)
		return scan_fail_at(s, at, "the year must be from 1970 to 2199");
	if (!scan_char(s, '-'))
		return scan_fail(s, "a date is YYYY-MM-DD");
	if (parse_digits(s, 2, 12, "the month must be from 01 to 12", &month) < 0)
		return -EINVAL;
	if (!scan_char(s, '-'))
		return scan_fail(s, "a date is YYYY-MM-DD");
	at = s->p;
	if (parse_digits(s, 2, 31, "the day must be from 01 to 31", &day) < 0)
		return -EINVAL;
	if (month == 0 || day == 0 || (unsigned)day > pcore_month_days(year, (unsigned)month))
		return scan_fail_at(s, at, "there is no such day");
	if (scan_char(s, 'T') || (s->p[0] == ' ' && isdigit((unsigned char)s->p[1]) && scan_blanks(s))) {
		if (parse_clock(s, &clock) < 0)
			return -EINVAL;
		t->has_offset = scan_char(s, 'Z') || pcore_zone_scan_offset(&s->p, &t->offset_s) == 0;
	}
	t->ns = pcore_days_of(year, (unsigned)month, day) * PCORE_NS_PER_DAY + clock;
	return 0;
}

/* "tomorrow 08:00" */
static int parse_word(struct scan *s, struct pcore_time *t)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		const char *at = s->p;

		if (!scan_word(s, words[i].word) || isalpha((unsigned char)*s->p)) {
			s->p = at;
			continue;
		}
		t->day = PCORE_TIME_TODAY;
		t->days = words[i].days;
		if (s->p[0] == ' ' && isdigit((unsigned char)s->p[1]) && scan_blanks(s) && parse_clock(s, &t->ns) < 0)
			return -EINVAL;
		return 0;
	}
	return scan_fail(s, "must be a date, a time, today, tomorrow, yesterday or @SECONDS");
}

static int parse_epoch(struct scan *s, struct pcore_time *t)
{
	const char *at = s->p;
	uint64_t whole;
	char digits[12];
	size_t len = strspn(s->p, "0123456789");
	int64_t unit = NS_PER_S;

	t->day = PCORE_TIME_EPOCH;
	if (len == 0 || len >= sizeof(digits))
		return scan_fail(s, "after @ come the seconds since 1970");
	memcpy(digits, s->p, len);
	digits[len] = '\0';
	if (pcore_parse_u64(digits, 0, (uint64_t)(pcore_days_of(PCORE_WHEN_END_YEAR, 1, 1) * 86400 - 1), &whole) < 0)
		return scan_fail_at(s, at, "the year must be from 1970 to 2199");
	s->p += len;
	t->ns = (int64_t)whole * NS_PER_S;
	if (scan_char(s, '.')) {
		if (!scan_at_digit(s))
			return scan_fail(s, "a digit must follow the point");
		for (; scan_at_digit(s); s->p++) {
			unit /= 10;
			t->ns += (*s->p - '0') * unit;
		}
	}
	return 0;
}

static int parse_zone(struct scan *s, struct pcore_time *t)
{
	size_t len;

	if (!scan_blanks(s))
		return scan_fail(s, "unexpected text");
	len = strcspn(s->p, " \t");
	if (t->has_offset || t->day == PCORE_TIME_EPOCH || !isalpha((unsigned char)*s->p))
		return scan_fail(s, "unexpected text");
	if (len > PCORE_ZONE_NAME_MAX)
		return scan_fail(s, "the name of the zone is too long");
	memcpy(t->zone, s->p, len);
	s->p += len;
	return *s->p ? scan_fail(s, "unexpected text") : 0;
}

int pcore_time_parse(const char *text, struct pcore_time *ret, struct pcore_when_error *error)
{
	struct scan s = { text, text, error };
	struct pcore_time t = { .day = PCORE_TIME_NEXT };
	int r = 0;

	if (scan_char(&s, '@'))
		r = parse_epoch(&s, &t);
	else if (scan_at_digit(&s) && text[strspn(text, "0123456789")] == '-')
		r = parse_date(&s, &t);
	else if (scan_at_digit(&s))
		r = parse_clock(&s, &t.ns);
	else
		r = parse_word(&s, &t);
	if (r < 0)
		return r;
	if (*s.p && parse_zone(&s, &t) < 0)
		return -EINVAL;
	*ret = t;
	return 0;
}

int64_t pcore_time_resolve(const struct pcore_time *t, const struct pcore_zone *z, int64_t now_ns)
{
	int64_t today = pcore_floor_div(pcore_zone_wall(z, now_ns), PCORE_NS_PER_DAY), at;

	switch (t->day) {
	case PCORE_TIME_EPOCH:
		return t->ns;
	case PCORE_TIME_DATE:
		return t->has_offset ? t->ns - t->offset_s * NS_PER_S : pcore_zone_instant(z, t->ns, NULL);
	case PCORE_TIME_TODAY:
		return pcore_zone_instant(z, (today + t->days) * PCORE_NS_PER_DAY + t->ns, NULL);
	case PCORE_TIME_NEXT:
		break;
	}
	at = pcore_zone_instant(z, today * PCORE_NS_PER_DAY + t->ns, NULL);
	return at > now_ns ? at : pcore_zone_instant(z, (today + 1) * PCORE_NS_PER_DAY + t->ns, NULL);
}
