/* SPDX-License-Identifier: MIT */
/*
 * calendar.h - calendar expressions in the grammar of systemd.time(7), "CALENDAR EVENTS".
 *
 *   [WEEKDAYS] [[YEAR-]MONTH-DAY | [YEAR-]MONTH~DAY] [HOUR:MINUTE[:SECOND]] [ZONE]      or      WORD [ZONE]
 *
 * A field is `*' or a list of values, ranges (1..5) and steps (0/15, 8..18/2). `~' counts days from the month's end. WORD is
 * minutely, hourly, daily, weekly, monthly, quarterly, semiannually or yearly. Beyond systemd a star may have a step.
 */
#ifndef PCORE_WHEN_CALENDAR_H
#define PCORE_WHEN_CALENDAR_H

#include "libcore/when/next.h"

/* 0, or -EINVAL with error (may be NULL) filled in. Whether there is such a zone is not looked at. */
int pcore_calendar_parse(const char *text, struct pcore_when *ret, struct pcore_when_error *error);

#endif
