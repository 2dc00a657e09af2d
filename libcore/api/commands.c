/* SPDX-License-Identifier: MIT */
/*
 * commands.c - many commands, so many at a time, with their results in order or as they come.
 *
 *   TALKING --its time is up--> ENDING (asked to) --kill_after--> KILLING;   each --all is said and it has ended--> ENDED
 */
#include <pcore/pool.h>

#include "libcore/api/api.h"


enum { JOBS_MAX = 65536 };

enum state { TALKING, ENDING, KILLING, ENDED };

struct command {
	struct pcore_list link; /* running, or waiting for those before it */
	uint64_t i;
	enum state state;
	struct pcore_process *p; /* NULL: it could not be started */
	int64_t deadline, kill_after;
	bool timed_out;
	struct pcore_error error;
	int code; /* of the talk */
};

struct commands {
	struct pcore_commands spec;
	struct pcore_list running, waiting;
	size_t n_running;
	uint64_t n_begun, n_told;
	bool last; /* there are no more */
	int result;
	struct pollfd *polls;
};

static void command_free(struct command *c)
{
	pcore_list_del(&c->link);
	pcore_process_free(c->p);
	free(c);
}

/* ---- telling ---- */

static void tell(struct commands *cs, struct command *c)
{
	struct pcore_process_result r = { .size = sizeof(r) };
	int code = c->p ? c->code : c->error.code;

	if (code == 0)
		code = pcore_talk_end(c->p, c->timed_out, &r);
	if (code < 0 && c->p)
		(void)pcore_error_plain(&c->error, code, "");
	cs->n_told++;
	code = cs->spec.done(cs->spec.ctx, c->i, code < 0 ? NULL : &r, code < 0 ? &c->error : NULL);
	if (code != 0 && cs->result == 0)
		cs->result = code;
	pcore_process_result_done(&r);
	command_free(c);
}

/* In order: it may be the turn of some. */
static void tell_waiting(struct commands *cs)
{
	bool found = true;

	while (found && cs->result == 0) {
		found = false;
		PCORE_LIST_FOREACH_SAFE(node, &cs->waiting) {
			struct command *c = container_of(node, struct command, link);

			if (!cs->spec.unordered && c->i != cs->n_told)
				continue;
			tell(cs, c);
			found = true;
			break;
		}
	}
}

static void ended(struct commands *cs, struct command *c, int code)
{
	c->state = ENDED;
	c->code = code < 0 ? code : 0;
	if (c->p && code < 0)
		(void)pcore_process_terminate(c->p, SIGKILL, 0);
	pcore_list_del(&c->link);
	pcore_list_add_tail(&cs->waiting, &c->link);
}

/* ---- starting ---- */

static void start(struct commands *cs, struct command *c, const struct pcore_process_spec *spec)
{
	pcore_list_add_tail(&cs->running, &c->link);
	if (pcore_process_spawn(&c->p, spec, &c->error) < 0) {
		ended(cs, c, c->error.code);
		return;
	}
	c->kill_after = spec->kill_after > 0 ? spec->kill_after : PCORE_KILL_AFTER_NS;
	c->deadline = spec->timeout > 0 ? pcore_ns_add(pcore_now_ns(), spec->timeout) : INT64_MAX;
	pcore_talk_begin(c->p, spec->input, spec->input_size);
	cs->n_running++;
}

/* One more. 0, -ENODATA: there is none, or no more are wanted. */
static int start_next(struct commands *cs)
{
	struct pcore_process_spec spec = { .size = sizeof(spec) };
	struct command *c;
	int r = cs->spec.next(cs->spec.ctx, cs->n_begun, &spec);

	if (r == 0) {
		c = calloc(1, sizeof(*c));
		r = c ? 0 : -ENOMEM;
	}
	if (r != 0) {
		cs->last = true;
		if (r != -ENODATA)
			cs->result = r;
		return -ENODATA;
	}
	c->i = cs->n_begun++;
	pcore_list_init(&c->link);
	start(cs, c, &spec);
	return 0;
}

/* ---- running ---- */

static void time_up(struct command *c)
{
	c->timed_out = true;
	c->state = c->state == TALKING ? ENDING : KILLING;
	c->deadline = c->state == ENDING ? pcore_ns_add(pcore_now_ns(), c->kill_after) : INT64_MAX;
	(void)pcore_process_signal_all(c->p, c->state == ENDING ? SIGTERM : SIGKILL);
}

/* Fill in what all of them wait for; those that have nothing to wait for have ended. */
static int64_t prepare(struct commands *cs, size_t *ret_n)
{
	int64_t until = INT64_MAX;

	*ret_n = 0;
	PCORE_LIST_FOREACH_SAFE(node, &cs->running) {
		struct command *c = container_of(node, struct command, link);
		int r;

		if (c->deadline <= pcore_now_ns())
			time_up(c);
		until = c->deadline < until ? c->deadline : until;
		r = pcore_talk_poll(c->p, cs->polls + *ret_n * TALK_FDS, &until);
		if (r == 0) {
			++*ret_n;
			continue;
		}
		cs->n_running--;
		ended(cs, c, r);
	}
	return until;
}

static void step_all(struct commands *cs)
{
	const struct pollfd *fds = cs->polls;

	PCORE_LIST_FOREACH_SAFE(node, &cs->running) {
		struct command *c = container_of(node, struct command, link);
		int r = pcore_talk_step(c->p, fds);

		fds += TALK_FDS;
		if (r == 0)
			continue;
		cs->n_running--;
		ended(cs, c, r);
	}
}

static int turn(struct commands *cs)
{
	size_t n, before, waiting = cs->n_begun - cs->n_told - cs->n_running;
	int64_t until;
	int r;

	/* in order, those that wait for a slow one are not to become ever more */
	while (!cs->last && cs->n_running < cs->spec.jobs && waiting <= 4 * (size_t)cs->spec.jobs) {
		if (start_next(cs) < 0)
			break;
		waiting = cs->n_begun - cs->n_told - cs->n_running;
	}
	if (cs->result != 0)
		return cs->result;
	before = cs->n_running;
	until = prepare(cs, &n);
	tell_waiting(cs);
	if (cs->result != 0 || n < before || n == 0) /* others can be started */
		return cs->result;
	r = pcore_poll_until(cs->polls, n * TALK_FDS, until);
	if (r > 0)
		step_all(cs);
	return r < 0 ? r : 0;
}

int pcore_pool_commands(const struct pcore_commands *spec)
{
	struct commands cs = { .n_running = 0 };
	struct pcore_sigpipe held;
	int r = pcore_sized_in(&cs.spec, sizeof(cs.spec), spec);

	if (r == 0 && (!cs.spec.next || !cs.spec.done || cs.spec.jobs > JOBS_MAX))
		r = -EINVAL;
	if (r < 0)
		return r;
	if (cs.spec.jobs == 0)
		cs.spec.jobs = pcore_cpus();
	cs.polls = calloc(cs.spec.jobs, TALK_FDS * sizeof(*cs.polls));
	if (!cs.polls)
		return -ENOMEM;

	pcore_list_init(&cs.running);
	pcore_list_init(&cs.waiting);
	pcore_sigpipe_hold(&held);
	do
		r = turn(&cs);
	while (r == 0 && (!cs.last || cs.n_told < cs.n_begun));
	pcore_sigpipe_let(&held);
	while (!pcore_list_empty(&cs.running))
		command_free(container_of(cs.running.next, struct command, link));
	while (!pcore_list_empty(&cs.waiting))
		command_free(container_of(cs.waiting.next, struct command, link));
	free(cs.polls);
	return r;
}
