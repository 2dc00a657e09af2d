/* SPDX-License-Identifier: MIT */
/*
 * next.h - an expression in the form that is searched, and the next time that it says.
 *
 * An expression is a set of wall-clock times. How these become instants where a zone's clocks are changed depends on what it
 * means. An interval (its hour field is a star, or a star with a step) has an instant for each time that clocks show one of
 * its wall-clock times: both of a repeated hour, none of a skipped one. Every other expression is a fixed time, and has one
 * instant for each wall-clock time: the first of two; for a time that clocks skip the instant at which they do so.
 */
#ifndef PCORE_WHEN_NEXT_H
#define PCORE_WHEN_NEXT_H

#include "libcore/when/zone.h"

/* Years that are searched: nothing is due outside of them. */
enum { PCORE_WHEN_FIRST_YEAR = 1970, PCORE_WHEN_END_YEAR = 2200 };

enum { PCORE_WHEN_SECONDS_MAX = 8 };

/* What went wrong in a text, for a message. */
struct pcore_when_error {
	size_t column;	 /* from 1 */
	const char *why; /* static */
};

/* ns within the minute: first, first + step, ... up to last */
struct pcore_when_seconds {
	int64_t first, last, step;
};

/* Bit n of a set is the value n. Weekdays count from Sunday, 0. */
struct pcore_when {
	uint64_t years[4]; /* from 1970 */
	uint16_t months;
	uint32_t days;		 /* of the month */
	uint32_t days_from_end;	 /* 1 is the last day */
	uint32_t near_days;	 /* the weekday (Monday to Friday) nearest to this day, in its month; 0: to the last day */
	uint8_t weekdays;
	uint8_t nth_weekdays[5]; /* [0]: the first such weekday of the month */
	uint8_t last_weekdays;
	bool either; /* a day may match by its date or by its weekday; else it has to match by both */
	uint32_t hours;
	uint64_t minutes;
	uint64_t seconds;
	struct pcore_when_seconds parts[PCORE_WHEN_SECONDS_MAX]; /* of seconds: what has decimals */
	size_t n_parts;
	bool interval;
	char zone[PCORE_ZONE_NAME_MAX + 1]; /* that the expression itself names, or "" */
};

/* Every second of all days. */
void pcore_when_init(struct pcore_when *w);

enum pcore_dst {
	PCORE_DST_RUN,
	PCORE_DST_SKIP, /* a fixed time that clocks skip is left out */
	PCORE_DST_BOTH, /* a fixed time that clocks show twice has both instants */
};

/* The first instant of the expression that is later than after_ns. -ENOENT when there is none before the year 2200. */
int pcore_when_next(const struct pcore_when *w, const struct pcore_zone *z, enum pcore_dst dst, int64_t after_ns, int64_t *ret_ns);

#endif
