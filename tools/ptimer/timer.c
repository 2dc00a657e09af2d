/* SPDX-License-Identifier: MIT */
/*
 * timer.c - one timer: from its options to what is due.
 */
#include "tools/ptimer/timer.h"

#include <stdio.h>
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

/* How far the wall clock is from that one. *ret_within: how long it took to look at both. */
static int64_t measure(enum agenda_clock clock, int64_t *ret_within)
{
	int64_t before = agenda_now(clock), wall = agenda_now(AGENDA_WALL);

	*ret_within = agenda_now(clock) - before;
	return wall - before - *ret_within / 2;
}

/* The distance between the clocks changes only where the wall clock is set; what differs by less is how long it takes to look at
 * both. At first it is measured until nothing comes between. */
int64_t timer_wall(const struct timer *t, struct timer_clocks *clocks, int64_t time)
{
	enum agenda_clock clock = t->item.clock;
	int64_t *known = &clocks->offset[clock];
	int64_t offset, within;

	if (clock == AGENDA_WALL)
		return time;
	offset = measure(clock, &within);
	for (int i = 0; i < 100 && !*known && within > 5 * NS_PER_US; i++)
		offset = measure(clock, &within);
	if (!*known || (llabs(offset - *known) > NS_PER_MS && within < NS_PER_MS))
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
	int64_t most = o->max_late >= 0 ? o->max_late : 0;

	if (t->resumed) {
		t->schedule.handled = t->resume_wall;
		if (first <= t->resume_wall || o->max_late < 0) /* it was made, or missed while nobody was there */
			most = INT64_MAX;
	}
	if (o->verb == PTIMER_AT && t->schedule.began > first && t->schedule.began - first > most)
		return cli_error("'%s' has passed", o->expression);
	(void)begin_once(t, first);
	if (o->max_late >= 0)
		t->schedule.max_late = o->max_late;
	return CLI_GO;
}

static int begin_repeated(struct timer *t, struct timer_clocks *clocks)
{
	const struct ptimer_opts *o = t->opts;
	enum ptimer_catchup catchup = t->kept && !o->catchup_given ? PTIMER_ONCE : o->catchup;
	struct schedule *s = &t->schedule;
	int64_t until, due;
	int status;

	s->count = o->count;
	s->all = catchup == PTIMER_ALL;
	s->max_late = catchup == PTIMER_NONE ? MAX_LATE_DEFAULT_NS : INT64_MAX;
	if (o->max_late >= 0)
		s->max_late = o->max_late;
	if (o->verb == PTIMER_EVERY) {
		s->kind = SCHEDULE_EVERY;
		s->period = o->duration;
		s->first = pcore_ns_add(agenda_now(t->item.clock), o->phase >= 0 ? o->phase : o->duration);
		if (t->resumed)
			s->first = s->handled = t->resume_wall - timer_wall(t, clocks, 0);
	} else {
		s->kind = SCHEDULE_WHEN;
		s->handled = t->resumed ? t->resume_wall : s->began;
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

int timer_make_key(struct timer *t)
{
	const struct ptimer_opts *o = t->opts;
	const char *verb = ptimer_verb_name(o->verb);

	if (*t->name)
		t->key = strdup(t->name);
	else if (asprintf(&t->key, "%s %s", verb, o->expression) < 0)
		t->key = NULL;
	if (!t->key)
		return -ENOMEM;
	return state_is_key(t->key) ? 0 : -EINVAL;
}

int64_t timer_begun_wall(const struct timer *t, struct timer_clocks *clocks)
{
	const struct schedule *s = &t->schedule;

	return s->kind == SCHEDULE_EVERY ? timer_wall(t, clocks, s->first) - s->period : s->began;
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
