/* SPDX-License-Identifier: MIT */
/*
 * run.c - wait, and make the ticks.
 *
 * schedule.c says what is due; here it meets a clock, one timer, and what a tick does: a line, a job, or (sleep) nothing. The
 * timer is not armed while a line is on its way, so that a slow reader is just one more way to be late.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "tools/cli/signals.h"
#include "tools/ptimer/jobs.h"
#include "tools/ptimer/lines.h"
#include "tools/ptimer/localtime.h"
#include "tools/ptimer/ptimer.h"
#include "tools/ptimer/schedule.h"

#define MAX_LATE_DEFAULT_NS (60 * NS_PER_S)

/* Ticks that are missed by less than that are not worth a message. */
#define MISSED_TOLD_NS NS_PER_S

struct run {
	const struct ptimer_opts *opts;
	struct pcore_loop *loop;
	struct pcore_zone *zone;
	struct schedule schedule;
	bool wall;		/* the schedule's times are of the wall clock, else of `clock' */
	enum pcore_clock clock;
	int64_t wall_offset;	/* of the wall clock from that one */
	int64_t start_wall;
	struct pcore_op timer;
	int64_t jitter;		/* of the tick to come */
	uint64_t random;

	bool uses_lines, uses_jobs;
	struct lines lines;
	struct jobs jobs;
	struct cli_signals signals;
	struct localtime localtime;

	bool over;   /* no tick will be made any more */
	bool failed; /* we did: 125 */
	bool cancelled;
	int die_of;
};

/* ---- clocks ---- */

static int64_t now_of(const struct run *r)
{
	if (r->wall)
		return pcore_clock_ns(CLOCK_REALTIME);
	return pcore_clock_ns(r->clock == PCORE_CLOCK_MONOTONIC ? CLOCK_MONOTONIC : CLOCK_BOOTTIME);
}

/* The wall-clock time of a time of the schedule. The distance between the clocks changes only where the wall clock is set; what
 * differs by less is how long it takes to look at both. */
static int64_t wall_of(struct run *r, int64_t t)
{
	int64_t before, wall, after, offset;

	if (r->wall)
		return t;
	before = now_of(r);
	wall = pcore_clock_ns(CLOCK_REALTIME);
	after = now_of(r);
	offset = wall - before - (after - before) / 2;
	if (!r->wall_offset || (llabs(offset - r->wall_offset) > NS_PER_MS && after - before < NS_PER_MS))
		r->wall_offset = offset;
	return t + r->wall_offset;
}

/* splitmix64, by Steele, Lea and Flood */
static void draw_jitter(struct run *r)
{
	uint64_t v = r->random += UINT64_C(0x9e3779b97f4a7c15);

	v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
	v ^= v >> 31;
	r->jitter = (int64_t)((unsigned __int128)v * ((uint64_t)r->opts->jitter + 1) >> 64);
}

static const char *text_of(const struct run *r, int64_t wall_instant, char buf[static PCORE_WALL_TEXT_MAX])
{
	int64_t offset = pcore_zone_at(r->zone, wall_instant).offset_ns;

	return pcore_wall_text(buf, wall_instant + offset, offset);
}

/* ---- the end ---- */

static void stop_all(struct run *r)
{
	r->over = true;
	pcore_op_cancel(r->loop, &r->timer);
	if (r->uses_lines)
		lines_stop(&r->lines);
	if (r->signals.fd >= 0)
		cli_signals_stop(&r->signals);
	localtime_stop(&r->localtime);
}

static void finish(struct run *r)
{
	r->over = true;
	pcore_op_cancel(r->loop, &r->timer);
	if (r->uses_jobs)
		jobs_drain(&r->jobs);
	else
		stop_all(r);
}

static void jobs_idle(void *ctx)
{
	stop_all(ctx);
}

static void fail(struct run *r, const char *what, int error)
{
	(void)cli_error("%s: %s", what, strerror(-error));
	r->failed = true;
	finish(r);
}

/* ---- ticks ---- */

static void tell_missed(struct run *r)
{
	const struct schedule *s = &r->schedule;
	char first[PCORE_WALL_TEXT_MAX], last[PCORE_WALL_TEXT_MAX];

	if (!s->missed_first || now_of(r) - s->missed_first < MISSED_TOLD_NS)
		return;
	cli_warn("ticks due from %s to %s are missed", text_of(r, wall_of(r, s->missed_first), first),
		text_of(r, wall_of(r, s->missed_last), last));
}

static void tick(struct run *r, int64_t due)
{
	char due_text[PCORE_WALL_TEXT_MAX], now_text[PCORE_WALL_TEXT_MAX];
	uint64_t n = r->schedule.ticks;
	int e;

	if (r->uses_jobs) {
		e = jobs_tick(&r->jobs, n);
		if (e < 0)
			fail(r, "cannot start a job", e);
	} else if (r->uses_lines) {
		text_of(r, wall_of(r, due), due_text);
		text_of(r, pcore_clock_ns(CLOCK_REALTIME), now_text);
		r->lines.len = (size_t)snprintf(r->lines.text, sizeof(r->lines.text), "%" PRIu64 "\t%s\t%s\n", n, due_text, now_text);
		lines_write(&r->lines);
	}
	draw_jitter(r);
}

/* SOON is in the next turn of the loop. */
#define SOON INT64_C(0)

static void arm(struct run *r, int64_t at)
{
	int e;

	if (r->wall && at != SOON)
		e = pcore_op_wall(r->loop, &r->timer, at);
	else
		e = pcore_op_timer(r->loop, &r->timer, r->clock, at);
	if (e < 0)
		fail(r, "cannot set a timer", e);
}

/* Make the tick that is due, or wait for the next one. One tick a turn of the loop, so that signals are seen between. */
static void advance(struct run *r)
{
	int64_t due = 0;
	int got;

	if (r->over || pcore_op_live(&r->timer) || (r->uses_lines && lines_busy(&r->lines)))
		return;
	got = schedule_step(&r->schedule, now_of(r) - r->jitter, &due);
	tell_missed(r);
	if (got < 0) {
		finish(r);
		return;
	}
	if (got > 0)
		tick(r, due);
	if (got == 0)
		arm(r, pcore_ns_add(due, r->jitter));
	else if (!r->over && !(r->uses_lines && lines_busy(&r->lines)))
		arm(r, SOON);
}

static void timer_done(struct pcore_op *op, int res)
{
	struct run *r = container_of(op, struct run, timer);

	if (res == -ETIME || res == -ESTALE || res == -ECANCELED) /* look at the clock again */
		advance(r);
	else
		fail(r, "cannot wait", res);
}

/* ---- what lines, signals and the system tell ---- */

static void line_written(void *ctx)
{
	advance(ctx);
}

static void line_failed(void *ctx, int error)
{
	struct run *r = ctx;

	if (error == -EPIPE) {
		r->die_of = SIGPIPE;
		finish(r);
	} else if (!r->over) {
		fail(r, "cannot write to standard output", error);
	}
}

static void end_by_signal(struct run *r, int sig)
{
	bool once = r->schedule.kind == SCHEDULE_ONCE;

	r->over = true;
	pcore_op_cancel(r->loop, &r->timer);
	if (sig != SIGTERM)
		r->die_of = sig;
	else if (once && r->schedule.ticks == 0)
		r->cancelled = true;
	if (r->uses_jobs)
		jobs_end(&r->jobs);
	else
		stop_all(r);
}

static void received(struct cli_signals *s, int sig, bool by_process)
{
	struct run *r = container_of(s, struct run, signals);

	(void)by_process; /* the jobs have groups of their own: the terminal's signals do not reach them */
	switch (sig) {
	case SIGTSTP:
		if (r->uses_jobs)
			pcore_pool_signal(r->jobs.pool, SIGTSTP);
		(void)raise(SIGSTOP);
		break;
	case SIGCONT:
		if (r->uses_jobs)
			pcore_pool_signal(r->jobs.pool, SIGCONT);
		break;
	default:
		end_by_signal(r, sig);
		break;
	}
}

/* /etc/localtime is another: what is due may be, too. */
static void zone_changed(void *ctx)
{
	struct run *r = ctx;
	struct pcore_zone *z = NULL;
	int e = pcore_zone_open_local(&z);

	if (e < 0) {
		cli_warn("cannot read time zone '/etc/localtime': %s, ignoring", strerror(-e));
		return;
	}
	pcore_zone_free(r->zone);
	r->zone = z;
	r->schedule.zone = z;
	if (r->opts->verb == PTIMER_AT || r->opts->verb == PTIMER_SLEEP)
		r->schedule.first = pcore_time_resolve(&r->opts->time, z, r->start_wall);
	pcore_op_cancel(r->loop, &r->timer); /* it comes home, and is set anew */
}

/* ---- setting up ---- */

static int make_once(struct run *r, int64_t first)
{
	r->schedule.kind = SCHEDULE_ONCE;
	r->schedule.first = first;
	r->schedule.max_late = INT64_MAX;
	return CLI_GO;
}

static int make_at(struct run *r)
{
	const struct ptimer_opts *o = r->opts;
	int64_t first = pcore_time_resolve(&o->time, r->zone, r->start_wall);

	if (o->verb == PTIMER_AT && r->start_wall - first > (o->max_late < 0 ? 0 : o->max_late))
		return cli_error("'%s' has passed", o->expression);
	(void)make_once(r, first);
	if (o->max_late >= 0)
		r->schedule.max_late = o->max_late;
	return CLI_GO;
}

static int make_repeated(struct run *r)
{
	const struct ptimer_opts *o = r->opts;
	struct schedule *s = &r->schedule;
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
		s->first = pcore_ns_add(now_of(r), o->phase >= 0 ? o->phase : o->duration);
	} else {
		s->kind = SCHEDULE_WHEN;
		s->handled = r->start_wall;
		if (schedule_next(s, s->handled, &due) < 0)
			return ptimer_never(o->expression);
	}
	if (o->until) {
		status = ptimer_time(o, o->until, r->start_wall, &until);
		if (status != CLI_GO)
			return status;
		s->until = until - wall_of(r, 0);
	}
	return CLI_GO;
}

static int make_schedule(struct run *r)
{
	const struct ptimer_opts *o = r->opts;

	r->schedule = (struct schedule){ .when = &o->when, .zone = r->zone, .dst = o->dst, .until = INT64_MAX, .handled = INT64_MIN };
	r->clock = o->monotonic ? PCORE_CLOCK_MONOTONIC : PCORE_CLOCK_BOOTTIME;
	r->start_wall = pcore_clock_ns(CLOCK_REALTIME);
	switch (o->verb) {
	case PTIMER_SLEEP:
	case PTIMER_AFTER:
		if (!o->sleep_until)
			return make_once(r, pcore_ns_add(now_of(r), o->duration));
		__attribute__((fallthrough));
	case PTIMER_AT:
		r->wall = true;
		return make_at(r);
	case PTIMER_ON:
	case PTIMER_CRON:
		r->wall = true;
		break;
	case PTIMER_EVERY:
		break;
	}
	return make_repeated(r);
}

static int start_ticks(struct run *r)
{
	static const int caught[] = { SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGTSTP, SIGCONT, 0 };
	int e;

	if (r->opts->verb == PTIMER_SLEEP) /* any signal ends it */
		return CLI_GO;
	if (r->opts->command) {
		int status = jobs_start(&r->jobs, r->loop);

		if (status != CLI_GO)
			return status;
		r->uses_jobs = true;
	}
	e = cli_signals_start(&r->signals, r->loop, caught);
	if (e < 0)
		return cli_error("cannot watch signals: %s", strerror(-e));
	if (!r->opts->command) {
		lines_start(&r->lines, r->loop);
		r->uses_lines = true;
	}
	return CLI_GO;
}

static int set_up(struct run *r)
{
	const struct ptimer_opts *o = r->opts;
	bool is_local, lasting = o->verb == PTIMER_EVERY || o->verb == PTIMER_ON || o->verb == PTIMER_CRON;
	int status = ptimer_zone(o, ptimer_own_zone(o), &r->zone, &is_local), e;

	if (status == CLI_GO)
		status = make_schedule(r);
	if (status == CLI_GO)
		status = cli_loop_new(&r->loop, lasting ? PCORE_LOOP_AUTO : PCORE_LOOP_EPOLL);
	if (status != CLI_GO)
		return status;

	if (o->jitter > 0 && getrandom(&r->random, sizeof(r->random), 0) < 0)
		return cli_error("cannot draw a random number: %s", strerror(errno));
	draw_jitter(r);
	status = start_ticks(r);
	if (status == CLI_GO && is_local && r->wall) {
		e = localtime_start(&r->localtime, r->loop);
		if (e < 0)
			cli_warn("cannot watch '/etc/localtime': %s, ignoring", strerror(-e));
	}
	return status;
}

static void tear_down(struct run *r)
{
	if (r->opts->command)
		jobs_done(&r->jobs);
	cli_signals_done(&r->signals);
	localtime_done(&r->localtime);
	pcore_loop_free(r->loop);
	pcore_zone_free(r->zone);
}

static int final_status(struct run *r)
{
	bool once = r->schedule.kind == SCHEDULE_ONCE;

	if (r->failed)
		return CLI_FAILURE;
	if (r->cancelled) {
		(void)cli_error("cancelled before it was due");
		return CLI_NO;
	}
	if (once && r->uses_jobs && r->jobs.status >= 0)
		return r->jobs.status;
	if (once && r->schedule.ticks == 0) /* missed */
		return CLI_NO;
	return r->uses_jobs && r->jobs.failed ? CLI_NO : CLI_OK;
}

int ptimer_run(const struct ptimer_opts *o)
{
	struct run r = {
		.opts = o,
		.timer = { .done = timer_done },
		.signals = { .fd = -EBADF, .received = received },
		.localtime = { .fd = -EBADF, .ctx = &r, .changed = zone_changed },
		.lines = { .ctx = &r, .written = line_written, .failed = line_failed },
		.jobs = { .opts = o, .ctx = &r, .idle = jobs_idle },
	};
	int status = set_up(&r), e;

	if (status == CLI_GO) {
		advance(&r);
		e = pcore_loop_run(r.loop);
		status = e < 0 ? cli_error("the event loop failed: %s", strerror(-e)) : final_status(&r);
	}
	tear_down(&r);
	if (r.die_of)
		cli_die_of(r.die_of);
	return status;
}
