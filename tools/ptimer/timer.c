/* SPDX-License-Identifier: MIT */
/*
 * timer.c - one timer: from its options to what is due.
 */
#include "tools/ptimer/timer.h"

#include <string.h>

#define MAX_LATE_DEFAULT_NS (60 * NS_PER_S)

/* ---- zones ---- */

int timer_zone(struct timer_zones *z, const struct ptimer_opts *o, const struct pcore_zone **ret, bool *ret_common)
{
	const char *own = ptimer_own_zone(o), *name = *own ? own : o->tz;
	int status;

	*ret_common = !name;
	if (name)
		return ptimer_zones_open(&z->named, name, ret);
	status = z->common ? CLI_GO : ptimer_zone(o, NULL, &z->common, &z->is_local);
	*ret = z->common;
	return status;
}

void timer_zones_done(struct timer_zones *z)
{
	ptimer_zones_done(&z->named);
	pcore_zone_free(z->common);
}

void timer_set_zone(struct timer *t, const struct pcore_zone *zone)
{
	t->zone = t->schedule.zone = zone;
	if (t->opts->verb == PTIMER_AT || t->opts->verb == PTIMER_SLEEP)
		t->schedule.first = pcore_time_resolve(&t->opts->time, zone, t->schedule.began);
}

/* ---- clocks ---- */

/* The distance between the clocks changes only where the wall clock is set; what differs by less is how long it takes to look at
 * both. */
int64_t timer_wall(const struct timer *t, struct timer_clocks *clocks, int64_t time)
{
	enum agenda_clock clock = t->item.clock;
	int64_t *known = &clocks->offset[clock];
	int64_t before, wall, after, offset;

	if (clock == AGENDA_WALL)
		return time;
	before = agenda_now(clock);
	wall = agenda_now(AGENDA_WALL);
	after = agenda_now(clock);
	offset = wall - before - (after - before) / 2;
	if (!*known || (llabs(offset - *known) > NS_PER_MS && after - before < NS_PER_MS))
		*known = offset;
	return time + *known;
}

const char *timer_text(const struct timer *t, int64_t wall, char buf[static PCORE_WALL_TEXT_MAX])
{
	int64_t offset = pcore_zone_at(t->zone, wall).offset_ns;

	return pcore_wall_text(buf, wall + offset, offset);
}

/* ---- beginning ---- */

static int begin_once(struct timer *t, int64_t first)
{
	t->schedule.kind = SCHEDULE_ONCE;
	t->schedule.first = first;
	t->schedule.max_late = INT64_MAX;
	return CLI_GO;
}

static int begin_at(struct timer *t)
{
	const struct ptimer_opts *o = t->opts;
	int64_t first = pcore_time_resolve(&o->time, t->zone, t->schedule.began);

	if (o->verb == PTIMER_AT && t->schedule.began - first > (o->max_late < 0 ? 0 : o->max_late))
		return cli_error("'%s' has passed", o->expression);
	(void)begin_once(t, first);
	if (o->max_late >= 0)
		t->schedule.max_late = o->max_late;
	return CLI_GO;
}

static int begin_repeated(struct timer *t, struct timer_clocks *clocks)
{
	const struct ptimer_opts *o = t->opts;
	struct schedule *s = &t->schedule;
	int64_t until, due;
	int status;

	s->count = o->count;
	s->all = o->catchup == PTIMER_ALL;
	s->max_late = o->catchup == PTIMER_NONE ? MAX_LATE_DEFAULT_NS : INT64_MAX;
	if (o->max_late >= 0)
		s->max_late = o->max_late;
	if (o->verb == PTIMER_EVERY) {
		s->kind = SCHEDULE_EVERY;
		s->period = o->duration;
		s->first = pcore_ns_add(agenda_now(t->item.clock), o->phase >= 0 ? o->phase : o->duration);
	} else {
		s->kind = SCHEDULE_WHEN;
		s->handled = s->began;
		if (schedule_next(s, s->handled, &due) < 0)
			return ptimer_never(o->expression);
	}
	if (o->until) {
		status = ptimer_time(o, o->until, s->began, &until);
		if (status != CLI_GO)
			return status;
		s->until = until - timer_wall(t, clocks, 0);
	}
	return CLI_GO;
}

int timer_begin(struct timer *t, struct timer_clocks *clocks)
{
	const struct ptimer_opts *o = t->opts;

	t->schedule = (struct schedule){ .when = &o->when, .zone = t->zone, .dst = o->dst, .until = INT64_MAX, .handled = INT64_MIN,
		.began = agenda_now(AGENDA_WALL) };
	t->item.clock = o->monotonic ? AGENDA_MONOTONIC : AGENDA_BOOTTIME;
	switch (o->verb) {
	case PTIMER_SLEEP:
	case PTIMER_AFTER:
		if (!o->sleep_until)
			return begin_once(t, pcore_ns_add(agenda_now(t->item.clock), o->duration));
		__attribute__((fallthrough));
	case PTIMER_AT:
		t->item.clock = AGENDA_WALL;
		return begin_at(t);
	case PTIMER_ON:
	case PTIMER_CRON:
		t->item.clock = AGENDA_WALL;
		break;
	case PTIMER_EVERY:
		break;
	}
	return begin_repeated(t, clocks);
}

int timer_next(const struct timer *t, int64_t *ret_due)
{
	const struct schedule *s = &t->schedule;

	if (s->count && s->ticks == s->count)
		return -ENOENT;
	return schedule_next(s, s->handled, ret_due);
}
