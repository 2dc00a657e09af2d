/* SPDX-License-Identifier: MIT */
/*
 * time.h - one point in time, as people write it.
 *
 *   @EPOCH                                              seconds, with decimals
 *   YYYY-MM-DD[THH:MM[:SS[.FRACTION]]][Z|+HH:MM]        a blank does for the T
 *   HH:MM[:SS[.FRACTION]]                               the next one: today or tomorrow
 *   today | tomorrow | yesterday [HH:MM[:SS[.FRACTION]]]
 *
 * All but the first may end with a blank and the name of a zone. A date alone is its midnight. A time that clocks show twice is
 * the first of the two; one that they skip is the instant at which they do so.
 */
#ifndef PCORE_WHEN_TIME_H
#define PCORE_WHEN_TIME_H

#include "libcore/when/next.h"

enum pcore_time_day {
	PCORE_TIME_EPOCH, /* ns is the instant */
	PCORE_TIME_DATE,  /* the wall-clock time ns */
	PCORE_TIME_NEXT,  /* the time of the day ns, today or tomorrow */
	PCORE_TIME_TODAY, /* days from today, at the time of the day ns */
};

struct pcore_time {
	enum pcore_time_day day;
	int64_t ns;
	int days;
	bool has_offset;
	int offset_s;
	char zone[PCORE_ZONE_NAME_MAX + 1]; /* that the text names, or "" */
};

/* 0, or -EINVAL with error (may be NULL) filled in. Whether there is such a zone is not looked at. */
int pcore_time_parse(const char *text, struct pcore_time *ret, struct pcore_when_error *error);

/* The instant, now being now_ns. z is the zone that it names, else the one that is meant where none is named. */
int64_t pcore_time_resolve(const struct pcore_time *t, const struct pcore_zone *z, int64_t now_ns);

#endif
