/* SPDX-License-Identifier: MIT */
/*
 * civil.c - dates of the Gregorian calendar and the days since 1970-01-01.
 */
#include "libcore/when/civil.h"

#include <stdio.h>

enum { DAYS_TO_1970 = 719162, DAYS_A_400_YEARS = 146097 }; /* from 0001-01-01 */

bool pcore_leap_year(int year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Days of the year before the month, and of all of it as month 13. */
static int days_before(int year, unsigned month)
{
	static const short before[] = { 0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365 };

	assert(month >= 1);
	assert(month < ARRAY_SIZE(before));

	return before[month] + (month > 2 && pcore_leap_year(year));
}

unsigned pcore_month_days(int year, unsigned month)
{
	return (unsigned)(days_before(year, month + 1) - days_before(year, month));
}

int64_t pcore_days_of(int year, unsigned month, int64_t day)
{
	int64_t past = year - 1;

	return past * 365 + past / 4 - past / 100 + past / 400 + days_before(year, month) + day - 1 - DAYS_TO_1970;
}

struct pcore_date pcore_date_of(int64_t days)
{
	struct pcore_date d = { .month = 1 };
	int64_t since = days + DAYS_TO_1970;

	d.year = (int)(since * 400 / DAYS_A_400_YEARS) + 1; /* right, or one too many or too few */
	while (pcore_days_of(d.year, 1, 1) > days)
		d.year--;
	while (pcore_days_of(d.year + 1, 1, 1) <= days)
		d.year++;
	since = days - pcore_days_of(d.year, 1, 1);
	while (days_before(d.year, d.month + 1) <= since)
		d.month++;
	d.day = (unsigned)(since - days_before(d.year, d.month)) + 1;
	return d;
}

unsigned pcore_weekday(int64_t days)
{
	return (unsigned)pcore_floor_mod(days + 4, 7); /* 1970-01-01 was a Thursday */
}

char *pcore_wall_text(char buf[static PCORE_WALL_TEXT_MAX], int64_t wall_ns, int64_t offset_ns)
{
	struct pcore_date d = pcore_date_of(pcore_floor_div(wall_ns, PCORE_NS_PER_DAY));
	int64_t us = pcore_floor_mod(wall_ns, PCORE_NS_PER_DAY) / NS_PER_US;
	int s = (int)(us / 1000000), offset = (int)((offset_ns < 0 ? -offset_ns : offset_ns) / NS_PER_S);
	size_t len;

	len = (size_t)snprintf(buf, PCORE_WALL_TEXT_MAX, "%04d-%02u-%02uT%02d:%02d:%02d.%06d%c%02d:%02d", d.year, d.month, d.day,
		s / 3600, s / 60 % 60, s % 60, (int)(us % 1000000), offset_ns < 0 ? '-' : '+', offset / 3600, offset / 60 % 60);
	if (offset % 60)
		(void)snprintf(buf + len, PCORE_WALL_TEXT_MAX - len, ":%02d", offset % 60);
	return buf;
}
