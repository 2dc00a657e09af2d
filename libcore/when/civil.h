/* SPDX-License-Identifier: MIT */
/*
 * civil.h - dates of the Gregorian calendar and the days since 1970-01-01.
 */
#ifndef PCORE_WHEN_CIVIL_H
#define PCORE_WHEN_CIVIL_H

#include "libcore/base/base.h"

#define PCORE_NS_PER_DAY (86400 * NS_PER_S)

struct pcore_date {
	int year;	     /* 1 to 9999 */
	unsigned month, day; /* from 1 */
};

bool pcore_leap_year(int year);
unsigned pcore_month_days(int year, unsigned month);

/* Days since 1970-01-01. The day may lie outside the month: 0 is the last day of the month before. */
int64_t pcore_days_of(int year, unsigned month, int64_t day);
struct pcore_date pcore_date_of(int64_t days);

/* 0 is Sunday. */
unsigned pcore_weekday(int64_t days);

/* a / b and a - b * floor(a / b), rounded towards the past for negative a too. */
static inline int64_t pcore_floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static inline int64_t pcore_floor_mod(int64_t a, int64_t b)
{
	return a % b + (a % b < 0 ? b : 0);
}

enum { PCORE_WALL_TEXT_MAX = 48 };

/* "2026-03-08T03:00:00.000000-04:00": wall_ns with the offset that it has from UTC (its seconds only where it has any).
 * Returns buf. */
char *pcore_wall_text(char buf[static PCORE_WALL_TEXT_MAX], int64_t wall_ns, int64_t offset_ns);

#endif
