/* SPDX-License-Identifier: MIT */
/*
 * cron.h - cron expressions.
 *
 *   [SECOND] MINUTE HOUR DAY MONTH WEEKDAY [YEAR]      five fields; six with seconds first; seven with the year last as well
 *   @yearly @annually @monthly @weekly @daily @midnight @hourly
 *
 * A field is a star or a list of values, ranges (1-5) and steps; months and weekdays have names, 0 and 7 are Sunday. In DAY, L
 * is the last day, L-3 three days before it, 15W the weekday nearest to the 15th, LW the last weekday. In WEEKDAY, 5L is the
 * month's last Friday and 5#3 its third one. Where both DAY and WEEKDAY are restricted, a day has to match one of them.
 */
#ifndef PCORE_WHEN_CRON_H
#define PCORE_WHEN_CRON_H

#include "libcore/when/next.h"

/* 0, or -EINVAL with error (may be NULL) filled in. */
int pcore_cron_parse(const char *text, struct pcore_when *ret, struct pcore_when_error *error);

#endif
