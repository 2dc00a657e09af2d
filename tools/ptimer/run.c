/* SPDX-License-Identifier: MIT */
/*
 * run.c - wait, and make the ticks of one timer or of many.
 *
 * A timer that has a tick to come is in the agenda, or, when it is due but the reader of its lines is slow, in `parked'. After
 * its tick it is entered again for the next one, however late that is: so late ticks of several timers come in order, too.
 */
#include "tools/ptimer/runner.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "tools/ptimer/background.h"

/* Ticks that are missed by less than that are not worth a message. */
#define MISSED_TOLD_NS NS_PER_S

/* So many ticks a turn of the loop, that signals and others are seen between. */
enum { TICKS_A_TURN = 64, COLLATOR_BUFFER = 1 << 20, JOBS_DEFAULT = 1000 };

static void advance(struct runner *r);

/* ---- the end ---- */

static void stop_all(struct runner *r)
{
	r->stopped = true;
	agenda_stop(&r->agenda);
	pcore_op_cancel(r->loop, &r->turn_op);
	if (r->uses_lines)
		lines_stop(&r->lines);
	if (r->signals.fd >= 0)
		cli_signals_stop(&r->signals);
	localtime_stop(&r->localtime);
	control_stop(&r->control);
	if (r->opts->state)
		state_stop(&r->state);
}

/* No more ticks. */
static void end_ticks(struct runner *r)
{
	r->ending = true;
	agenda_stop(&r->agenda);
	PCORE_LIST_FOREACH_SAFE(node, &r->timers) {
		struct timer *t = container_of(node, struct timer, link);

		agenda_remove(&r->agenda, &t->item);
		pcore_list_del(&t->parked);
		if (r->uses_jobs)
			jobs_forget(&r->jobs, &t->jobs);
	}
	if (r->uses_jobs)
		jobs_drain(&r->jobs);
	runner_turn_soon(r);
}

static void end_jobs(struct runner *r)
{
	if (r->collator && r->jobs.ending) /* they are killed: nobody waits for a slow reader either */
		cli_collator_drop(r->collator);
	if (r->uses_jobs)
		jobs_end(&r->jobs);
}

/* Is it time to end? */
static void look_at_end(struct runner *r)
{
	if (r->stopped || (!r->ending && (r->n_pending > 0 || r->opts->keep)))
		return;
	if (r->uses_jobs && !r->jobs.over) {
		if (!r->ending && r->jobs.n == 0 && !r->jobs.drained)
			jobs_drain(&r->jobs);
		return;
	}
	if (r->uses_lines && lines_busy(&r->lines) && !r->ending)
		return;
	if (r->collator && !cli_collator_empty(r->collator))
		return;
	stop_all(r);
}

static void jobs_idle(void *ctx)
{
	runner_turn_soon(ctx);
}

void runner_fail(struct runner *r, const char *what, int error)
{
	if (!r->failed)
		(void)cli_error("%s: %s", what, strerror(-error));
	r->failed = true;
	end_ticks(r);
}

static void agenda_failed(void *ctx, int error)
{
	runner_fail(ctx, "cannot wait", error);
}

/* ---- ticks ---- */

static void tell_missed(struct runner *r, const struct timer *t)
{
	const struct schedule *s = &t->schedule;
	char first[PCORE_WALL_TEXT_MAX], last[PCORE_WALL_TEXT_MAX];
	bool named = *t->name;

	if (!s->missed_first || agenda_now(t->item.clock) - s->missed_first < MISSED_TOLD_NS)
		return;
	timer_text(t, timer_wall(t, &r->clocks, s->missed_first), first);
	timer_text(t, timer_wall(t, &r->clocks, s->missed_last), last);
	cli_warn("%s%s%sticks due from %s to %s are missed", named ? "'" : "", t->name, named ? "': " : "", first, last);
}

static bool makes_line(const struct timer *t)
{
	return !t->opts->command && t->opts->verb != PTIMER_SLEEP;
}

static bool reader_is_slow(const struct runner *r)
{
	return r->uses_lines ? lines_busy(&r->lines) : r->collator && !cli_collator_has_room(r->collator);
}

static int collate_line(struct runner *r, const char *text, size_t len)
{
	struct cli_output *o = cli_output_new(r->collator, NULL, NULL);

	if (!o)
		return -ENOMEM;
	(void)cli_output_add(o, 0, text, len);
	cli_output_finish(o);
	return 0;
}

/* Of several timers a line says which one it is. */
static int write_line(struct runner *r, const struct timer *t, int64_t due)
{
	char due_text[PCORE_WALL_TEXT_MAX], now_text[PCORE_WALL_TEXT_MAX], *text = r->lines.text;
	int64_t now = agenda_now(AGENDA_WALL);

	timer_text(t, due, due_text);
	timer_text(t, now, now_text);
	r->lines.len = (size_t)snprintf(text, sizeof(r->lines.text), "%s%s%" PRIu64 "\t%s\t%s\n", t->name, *t->name ? "\t" : "", t->n,
		due_text, now_text);
	if (!r->uses_lines)
		return collate_line(r, text, r->lines.len);
	lines_write(&r->lines);
	return 0;
}

/* 1, 0 when there is no job for it, -errno. due is a wall-clock time. */
static int make_tick(struct runner *r, struct timer *t, int64_t due)
{
	int e = 1;

	t->n++;
	if (makes_line(t))
		e = write_line(r, t, due) < 0 ? -ENOMEM : 1;
	else if (t->opts->command)
		e = jobs_tick(&r->jobs, &t->jobs, t->n);
	if (e < 0)
		runner_fail(r, t->opts->command ? "cannot start a job" : "cannot write a line", e);
	return e;
}

/* The next tick, or none. */
static void plan(struct runner *r, struct timer *t)
{
	int64_t due;

	if (timer_next(t, &due) < 0) {
		t->over = true;
		r->n_pending--;
	} else if (agenda_add(&r->agenda, &t->item, pcore_ns_add(due, t->jitter)) < 0) {
		runner_fail(r, "cannot set a timer", -ENOMEM);
	}
}

void runner_tick(struct runner *r, struct timer *t, int64_t due)
{
	(void)make_tick(r, t, due);
	t->jitter = keep_jitter(r, t);
	if (!r->ending)
		plan(r, t);
}

/* It is due: make the tick, unless its reader is slow. */
static void fire(struct runner *r, struct timer *t)
{
	int64_t due = 0;
	int got;

	if (makes_line(t) && reader_is_slow(r)) {
		pcore_list_add_tail(&r->parked, &t->parked);
		return;
	}
	got = schedule_step(&t->schedule, agenda_now(t->item.clock) - t->jitter, &due);
	tell_missed(r, t);
	if (got > 0)
		keep_tick(r, t, timer_wall(t, &r->clocks, due));
	else
		plan(r, t);
}

/* The reader has taken what there was. */
static void unpark(struct runner *r)
{
	struct pcore_list *node;

	if (pcore_list_empty(&r->parked) || reader_is_slow(r))
		return;
	while ((node = pcore_list_pop(&r->parked)))
		plan(r, container_of(node, struct timer, parked));
}

static void sweep(struct runner *r);

/* Make the ticks that are due, and wait for the next. */
static void advance(struct runner *r)
{
	struct agenda_item *item;

	if (!r->ending)
		unpark(r);
	for (int i = 0; i < TICKS_A_TURN && !r->ending && (item = agenda_take(&r->agenda)); i++)
		fire(r, container_of(item, struct timer, item));
	sweep(r);
	if (!r->ending)
		agenda_wait(&r->agenda);
	look_at_end(r);
}

static void due(void *ctx)
{
	advance(ctx);
}

static void turn_due(struct pcore_op *op, int res)
{
	(void)res;
	advance(container_of(op, struct runner, turn_op));
}

void runner_turn_soon(struct runner *r)
{
	if (!r->stopped && !pcore_op_live(&r->turn_op))
		(void)pcore_op_timer(r->loop, &r->turn_op, PCORE_CLOCK_MONOTONIC, 0);
}

/* ---- timers ---- */

static void timer_free(struct timer *t)
{
	if (!t)
		return;
	timer_jobs_done(&t->jobs);
	if (t->free_owner)
		t->free_owner(t->owner);
	free(t->key);
	free(t);
}

/* Those that were taken away and have no job any more. Not earlier, for a callback of theirs may still be under way. */
static void sweep(struct runner *r)
{
	PCORE_LIST_FOREACH_SAFE(node, &r->retired) {
		struct timer *t = container_of(node, struct timer, link);

		if (t->jobs.n_started + t->jobs.n_waiting > 0 || t->recording)
			continue;
		pcore_list_del(&t->link);
		timer_free(t);
	}
}

static void job_over(void *ctx, struct timer_jobs *of)
{
	struct timer *t = container_of(of, struct timer, jobs);

	if (t->id && t->over && of->n_started + of->n_waiting == 0)
		runner_remove(ctx, t);
	runner_turn_soon(ctx);
}

int runner_add(struct runner *r, const struct ptimer_opts *opts, const char *name, int priority, bool lenient, struct timer **ret)
{
	struct timer *t = calloc(1, sizeof(*t));
	int status;

	if (!t)
		return cli_error("out of memory");
	t->opts = opts;
	t->name = name;
	t->item.priority = priority;
	t->item.entry = ++r->entries;
	pcore_list_init(&t->link);
	pcore_list_init(&t->parked);
	timer_jobs_init(&t->jobs, opts, name);
	status = timer_zone(&r->zones, opts, &t->zone, &t->common_zone);
	if (status == CLI_GO)
		status = keep_find(r, t);
	if (status == CLI_GO) {
		status = timer_begin(t, &r->clocks);
		t->over = status != CLI_GO;
		status = lenient ? CLI_GO : status;
	}
	if (status == CLI_GO && !t->over)
		status = keep_begin(r, t);
	if (status == CLI_GO && pcore_map_insert(&r->by_name, &t->by_name, name, strlen(name)) < 0)
		status = cli_error("out of memory");
	if (status != CLI_GO) {
		timer_free(t);
		return status;
	}
	pcore_list_add_tail(&r->timers, &t->link);
	t->jitter = keep_jitter(r, t);
	if (!t->over) {
		r->n_pending++;
		plan(r, t);
	}
	*ret = t;
	return CLI_GO;
}

void runner_remove(struct runner *r, struct timer *t)
{
	if (t->retired)
		return;
	agenda_remove(&r->agenda, &t->item);
	pcore_list_del(&t->parked);
	pcore_map_remove(&r->by_name, &t->by_name);
	if (!t->over)
		r->n_pending--;
	if (r->uses_jobs)
		jobs_forget(&r->jobs, &t->jobs);
	t->over = t->retired = true;
	pcore_list_del(&t->link);
	pcore_list_add_tail(&r->retired, &t->link);
	runner_turn_soon(r);
}

struct timer *runner_find(const struct runner *r, const char *name)
{
	struct pcore_map_node *node = pcore_map_find(&r->by_name, name, strlen(name));

	return node ? container_of(node, struct timer, by_name) : NULL;
}

int runner_trigger(struct runner *r, struct timer *t)
{
	if (makes_line(t) && reader_is_slow(r))
		return -EAGAIN;
	return make_tick(r, t, agenda_now(AGENDA_WALL));
}

/* ---- what lines, signals and the system tell ---- */

static void line_written(void *ctx)
{
	advance(ctx);
}

/* Nobody reads, or what was written is lost. */
static void output_failed(void *ctx, int error)
{
	struct runner *r = ctx;

	if (error == -EPIPE)
		r->die_of = r->die_of ? r->die_of : SIGPIPE;
	else if (!r->ending)
		runner_fail(r, "cannot write to standard output", error);
	end_ticks(r);
	end_jobs(r);
}

static void collator_failed(void *ctx, int fd, int error)
{
	struct runner *r = ctx;

	if (fd == STDOUT_FILENO) /* else there is no other place to say so */
		output_failed(r, error);
}

static void collator_resume(void *ctx, void *owner)
{
	struct runner *r = ctx;

	if (owner)
		jobs_resume(&r->jobs, owner);
}

static void collator_room(void *ctx)
{
	runner_turn_soon(ctx);
}

static void end_by_signal(struct runner *r, int sig)
{
	const struct timer *first = pcore_list_empty(&r->timers) ? NULL : container_of(r->timers.next, struct timer, link);

	if (sig != SIGTERM)
		r->die_of = sig;
	else if (!r->opts->table && first && timer_is_once(first) && first->n == 0)
		r->cancelled = true;
	end_ticks(r);
	end_jobs(r);
}

void runner_cancel(struct runner *r)
{
	const struct timer *first = pcore_list_empty(&r->timers) ? NULL : container_of(r->timers.next, struct timer, link);

	r->cancelled = r->opts->table || !first || !timer_is_once(first) || first->n == 0;
	end_ticks(r);
	end_jobs(r);
}

/* As soon as a timer uses the zone of this system. */
static void watch_localtime(struct runner *r)
{
	int e;

	if (!r->zones.is_local || r->localtime.fd >= 0)
		return;
	e = localtime_start(&r->localtime, r->loop);
	if (e < 0)
		cli_warn("cannot watch '/etc/localtime': %s, ignoring", strerror(-e));
}

static void received(struct cli_signals *s, int sig, bool by_process)
{
	struct runner *r = container_of(s, struct runner, signals);

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
	case SIGHUP:
		if (r->opts->table && !r->ending) {
			table_reload(r);
			watch_localtime(r);
			advance(r);
			break;
		}
		__attribute__((fallthrough));
	default:
		end_by_signal(r, sig);
		break;
	}
}

/* /etc/localtime is another: what is due may be, too. */
static void zone_changed(void *ctx)
{
	struct runner *r = ctx;
	struct pcore_zone *zone = NULL;
	int e = pcore_zone_open_local(&zone);

	if (e < 0) {
		cli_warn("cannot read time zone '/etc/localtime': %s, ignoring", strerror(-e));
		return;
	}
	for (struct pcore_list *lists[] = { &r->timers, &r->retired }, **list = lists; list < lists + 2; list++) {
		PCORE_LIST_FOREACH_SAFE(node, *list) {
			struct timer *t = container_of(node, struct timer, link);

			if (!t->common_zone)
				continue;
			timer_set_zone(t, zone);
			if (!agenda_has(&t->item))
				continue;
			agenda_remove(&r->agenda, &t->item);
			plan(r, t);
		}
	}
	pcore_zone_free(r->zones.common);
	r->zones.common = zone;
	advance(r);
}

/* ---- setting up ---- */

/* Where lines of several timers and jobs come together, in the background in the logs. */
static int make_collator(struct runner *r)
{
	const char *tmp = getenv("TMPDIR");
	struct cli_collator_spec spec = {
		.loop = r->loop,
		.mode = CLI_LIVE,
		.buffer = COLLATOR_BUFFER,
		.window = SIZE_MAX,
		.tmpdir = tmp && *tmp ? tmp : "/tmp",
		.ctx = r,
		.resume = collator_resume,
		.room = collator_room,
		.failed = collator_failed,
		.sink = r->background && r->background->detached ? background_log : NULL,
	};

	return cli_collator_new(&r->collator, &spec) < 0 ? cli_error("out of memory") : CLI_GO;
}

static int start_output(struct runner *r)
{
	const struct ptimer_opts *o = r->opts;
	bool many = o->table || r->background;
	unsigned most = o->overlap == PTIMER_ALLOW ? (unsigned)o->overlap_max : 1;
	int status = CLI_GO;

	if (many)
		status = make_collator(r);
	if (status == CLI_GO && (many || o->command)) {
		r->jobs.collator = r->collator;
		r->jobs.small = r->background && r->background->detached;
		status = jobs_start(&r->jobs, r->loop, !many ? most : o->jobs ? (unsigned)o->jobs : JOBS_DEFAULT);
		r->uses_jobs = status == CLI_GO;
	}
	if (status == CLI_GO && !many && !o->command) {
		lines_start(&r->lines, r->loop);
		r->uses_lines = true;
	}
	return status;
}

static int add_timers(struct runner *r)
{
	const struct ptimer_opts *o = r->opts;
	struct timer *t;
	int status;

	if (o->table)
		return table_load(r);
	status = runner_add(r, o, "", 0, false, &t);
	return status == CLI_GO && o->command ? timer_jobs_find(&t->jobs) : status;
}

static int watch(struct runner *r)
{
	static const int caught[] = { SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGTSTP, SIGCONT, 0 };
	int e = cli_signals_start(&r->signals, r->loop, caught);

	if (e < 0)
		return cli_error("cannot watch signals: %s", strerror(-e));
	watch_localtime(r);
	return r->background ? control_start(&r->control, r) : CLI_GO;
}

static int set_up(struct runner *r)
{
	const struct ptimer_opts *o = r->opts;
	bool lasting = o->verb == PTIMER_EVERY || o->verb == PTIMER_ON || o->verb == PTIMER_CRON || o->table;
	bool detached = r->background && r->background->detached;
	int status = cli_loop_new(&r->loop, lasting && !detached ? PCORE_LOOP_AUTO : PCORE_LOOP_EPOLL);

	if (status != CLI_GO)
		return status;
	if (getrandom(&r->random, sizeof(r->random), 0) < 0)
		return cli_error("cannot draw a random number: %s", strerror(errno));
	agenda_init(&r->agenda, r->loop);
	status = keep_open(r);
	if (status == CLI_GO)
		status = add_timers(r);
	if (status == CLI_GO && o->verb != PTIMER_SLEEP) /* any signal ends that */
		status = start_output(r);
	if (status == CLI_GO && o->verb != PTIMER_SLEEP)
		status = watch(r);
	return status;
}

static void tear_down(struct runner *r)
{
	struct pcore_list *node;

	control_done(&r->control);
	jobs_done(&r->jobs);
	pcore_list_splice_tail(&r->timers, &r->retired);
	while ((node = pcore_list_pop(&r->timers)))
		timer_free(container_of(node, struct timer, link));
	pcore_map_done(&r->by_name);
	cli_collator_free(r->collator);
	cli_signals_done(&r->signals);
	localtime_done(&r->localtime);
	agenda_done(&r->agenda);
	state_done(&r->state);
	timer_zones_done(&r->zones);
	pcore_loop_free(r->loop);
}

static int final_status(struct runner *r)
{
	const struct timer *first = pcore_list_empty(&r->timers) ? NULL : container_of(r->timers.next, struct timer, link);
	bool once = !r->opts->table && first && timer_is_once(first);

	if (r->failed)
		return CLI_FAILURE;
	if (r->cancelled) {
		(void)cli_error(once ? "cancelled before it was due" : "cancelled");
		return CLI_NO;
	}
	if (once && r->uses_jobs && first->jobs.status >= 0)
		return first->jobs.status;
	if (once && first->n == 0) /* missed */
		return CLI_NO;
	return r->uses_jobs && r->jobs.failed ? CLI_NO : CLI_OK;
}

int ptimer_run_in(const struct ptimer_opts *o, struct background *background, int *ret_die_of)
{
	struct runner r = {
		.opts = o,
		.background = background,
		.agenda = { .ctx = &r, .due = due, .failed = agenda_failed },
		.signals = { .fd = -EBADF, .received = received },
		.localtime = { .fd = -EBADF, .ctx = &r, .changed = zone_changed },
		.lines = { .ctx = &r, .written = line_written, .failed = output_failed },
		.jobs = { .ctx = &r, .job_over = job_over, .idle = jobs_idle },
		.control = { .listen_fd = -EBADF },
		.turn_op = { .done = turn_due },
	};
	int status, e;

	pcore_list_init(&r.timers);
	pcore_list_init(&r.retired);
	pcore_list_init(&r.parked);
	status = set_up(&r);
	if (background)
		background_ready(background, status);
	if (status != CLI_GO && r.loop) { /* what was begun comes home */
		stop_all(&r);
		(void)pcore_loop_run(r.loop);
	}
	if (status == CLI_GO) {
		advance(&r);
		e = pcore_loop_run(r.loop);
		status = e < 0 ? cli_error("the event loop failed: %s", strerror(-e)) : final_status(&r);
		if (background)
			background_end(background, &r, status);
	}
	tear_down(&r);
	*ret_die_of = r.die_of;
	return status;
}

int ptimer_run(const struct ptimer_opts *o)
{
	int die_of = 0, status = o->name || o->detach ? background_run(o, &die_of) : ptimer_run_in(o, NULL, &die_of);

	if (die_of)
		cli_die_of(die_of);
	return status;
}
