/* SPDX-License-Identifier: MIT */
/*
 * keep.c - what outlives this process: which ticks are dealt with, and how each timer is known.
 */
#include <stdio.h>
#include <string.h>

#include "tools/ptimer/jitter.h"
#include "tools/ptimer/runner.h"

static void recorded(void *ctx, struct state_wait *w, int error)
{
	struct timer *t = container_of(w, struct timer, wait);
	struct runner *r = ctx;

	t->recording = false;
	if (error < 0)
		runner_fail(r, "cannot record a tick", error);
	else if (!r->ending && !t->retired)
		runner_tick(r, t, t->recording_wall);
	runner_turn_soon(r);
}

int keep_open(struct runner *r)
{
	const char *path = r->opts->state;
	int e = path ? state_open(&r->state, path) : 0;

	switch (e) {
	case 0:
		break;
	case -EBUSY:
		(void)cli_error("'%s' is used by another process", path);
		return CLI_BUSY;
	case -EBADMSG:
		(void)cli_error("'%s' is damaged: line %zu", path, r->state.bad_line);
		return CLI_CORRUPT;
	case -EINVAL:
		return cli_error("cannot open '%s': not a regular file", path);
	default:
		return cli_error("cannot open '%s': %s", path, strerror(-e));
	}
	if (path) {
		r->state.ctx = r;
		r->state.recorded = recorded;
		state_start(&r->state, r->loop);
	}
	return CLI_GO;
}

static bool is_kept(const struct runner *r, const struct ptimer_opts *o)
{
	return r->opts->state && (o->verb == PTIMER_EVERY || o->verb == PTIMER_ON || o->verb == PTIMER_CRON || o->verb == PTIMER_AT);
}

int keep_find(struct runner *r, struct timer *t)
{
	int e;

	t->kept = is_kept(r, t->opts);
	if (!t->kept && !t->opts->jitter_fixed)
		return CLI_GO;
	e = timer_make_key(t);
	if (e < 0)
		return e == -ENOMEM ? cli_error("out of memory") : cli_error("'%s' is too long to be kept", t->opts->expression);
	t->resumed = t->kept && state_find(&r->state, t->key, &t->resume_wall);
	return CLI_GO;
}

int keep_begin(struct runner *r, const struct timer *t)
{
	char text[PCORE_WALL_TEXT_MAX];
	int e;

	if (t->resumed && t->resume_wall > t->schedule.began && !timer_is_once(t))
		cli_warn("'%s' is dealt with up to %s already: the clock was set back", t->key, timer_text(t, t->resume_wall, text));
	if (!t->kept || t->resumed)
		return CLI_GO;
	e = state_add(&r->state, t->key, timer_begun_wall(t, &r->clocks), NULL);
	return e < 0 ? cli_error("cannot write '%s': %s", r->opts->state, strerror(-e)) : CLI_GO;
}

void keep_tick(struct runner *r, struct timer *t, int64_t due)
{
	int e;

	assert(!t->recording);

	if (!t->kept) {
		runner_tick(r, t, due);
		return;
	}
	t->recording_wall = due;
	t->recording = true;
	e = state_add(&r->state, t->key, due, &t->wait);
	if (e < 0) {
		t->recording = false;
		runner_fail(r, "cannot record a tick", e);
	}
}

int64_t keep_jitter(struct runner *r, const struct timer *t)
{
	const struct ptimer_opts *o = t->opts;

	if (!o->jitter_fixed)
		return jitter_draw(&r->random, o->jitter);
	if (!r->machine[0])
		(void)jitter_machine(r->machine);
	return jitter_fixed(r->machine, t->key, o->jitter);
}
