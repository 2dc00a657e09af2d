/* SPDX-License-Identifier: MIT */
/*
 * schedule.h - the ticks of a timer: what is due, what is made now, what is missed. A pure state machine, it reads no clock.
 *
 * Times are ns of the clock that the caller uses throughout: the wall clock for SCHEDULE_WHEN, any for the others.
 */
#ifndef PCORE_PTIMER_SCHEDULE_H
#define PCORE_PTIMER_SCHEDULE_H

#include "libcore/when/when.h"

enum schedule_kind {
	SCHEDULE_ONCE,	/* at `first' */
	SCHEDULE_EVERY, /* at `first', and each period after it */
	SCHEDULE_WHEN,	/* whenever the expression says */
};

struct schedule {
	enum schedule_kind kind;
	int64_t first, period;
	const struct pcore_when *when;
	const struct pcore_zone *zone;
	enum pcore_dst dst;
	int64_t until;	/* nothing is due later */
	uint64_t count; /* ticks to make; 0: no limit */
	bool all;	/* make each tick that is due, not only the latest */
	int64_t max_late;
	int64_t began; /* on the wall clock */

	int64_t handled; /* everything due up to here is made or missed; starts as the time after which ticks are due */
	uint64_t ticks;	 /* made */
	int64_t missed_first, missed_last; /* due times, of the last schedule_step(); first 0: none was missed */
};

/* The first time later than `after' that is due, whatever was made. 0, or -ENOENT. */
int schedule_next(const struct schedule *s, int64_t after, int64_t *ret_due);

/* At the time now: 1 for a tick that is to be made now, due at *ret_due; 0 when nothing is due before *ret_due; -ENOENT when
 * no tick will come any more. */
int schedule_step(struct schedule *s, int64_t now, int64_t *ret_due);

#endif
