/* SPDX-License-Identifier: MIT */
/*
 * schedule.c - the ticks of a timer.
 */
#include "tools/ptimer/schedule.h"

static int next_period(const struct schedule *s, int64_t after, int64_t *ret_due)
{
	int64_t n;

	assert(s->period > 0);

	if (after < s->first) {
		*ret_due = s->first;
		return 0;
	}
	n = (after - s->first) / s->period + 1;
	if (__builtin_mul_overflow(n, s->period, ret_due) || __builtin_add_overflow(*ret_due, s->first, ret_due))
		return -ENOENT;
	return 0;
}

int schedule_next(const struct schedule *s, int64_t after, int64_t *ret_due)
{
	int r = 0;

	switch (s->kind) {
	case SCHEDULE_ONCE:
		*ret_due = s->first;
		r = after < s->first ? 0 : -ENOENT;
		break;
	case SCHEDULE_EVERY:
		r = next_period(s, after, ret_due);
		break;
	case SCHEDULE_WHEN:
		r = pcore_when_next(s->when, s->zone, s->dst, after, ret_due);
		break;
	}
	return r == 0 && *ret_due <= s->until ? 0 : -ENOENT;
}

/* The latest due time up to now; due is one, not necessarily the latest. */
static int64_t latest(const struct schedule *s, int64_t due, int64_t now)
{
	int64_t next, back = NS_PER_MS;

	/* From further and further back, until there is one: not from due on, which may be years ago. */
	while (now - due > back && (schedule_next(s, now - back, &next) < 0 || next > now))
		back = back > INT64_MAX / 2 ? INT64_MAX : back * 2;
	if (now - due > back)
		due = next;
	while (schedule_next(s, due, &next) == 0 && next <= now)
		due = next;
	return due;
}

static void miss(struct schedule *s, int64_t first, int64_t last)
{
	s->missed_first = s->missed_first ? s->missed_first : first;
	s->missed_last = last;
	s->handled = last;
}

/* The tick to make of those that are due since first; false when they are all too late. */
static bool choose(struct schedule *s, int64_t first, int64_t now, int64_t *ret_due)
{
	int64_t due = s->all ? first : latest(s, first, now), oldest;

	if (now - due > s->max_late && s->all) {
		oldest = now - s->max_late;
		if (schedule_next(s, oldest - 1, &due) < 0 || due > now) { /* those that are late are all missed */
			miss(s, first, latest(s, first, now));
			return false;
		}
	} else if (now - due > s->max_late) {
		miss(s, first, due);
		return false;
	}
	if (due > first)
		miss(s, first, latest(s, first, due - 1));
	s->handled = *ret_due = due;
	return true;
}

int schedule_step(struct schedule *s, int64_t now, int64_t *ret_due)
{
	int64_t due;

	s->missed_first = s->missed_last = 0;
	for (;;) {
		if ((s->count && s->ticks == s->count) || schedule_next(s, s->handled, &due) < 0)
			return -ENOENT;
		if (due > now) {
			*ret_due = due;
			return 0;
		}
		if (choose(s, due, now, ret_due)) {
			s->ticks++;
			return 1;
		}
	}
}
