/* SPDX-License-Identifier: MIT */
/*
 * jobs.c - ticks as runs of commands. A tick that is not skipped is in one of three places: in its timer's list `waiting' as
 * long as jobs before it run, in `ready' until the dispatcher takes it, then there.
 */
#include "tools/ptimer/jobs.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/cli/command.h"

enum { READ_SIZE_SMALL = 16 * 1024 };

struct tick_job {
	struct pcore_job job;
	struct pcore_list link;	 /* in waiting or started */
	struct pcore_list ready; /* in ready */
	struct timer_jobs *of;
	uint64_t n;
	bool replaced;
	struct cli_output *output; /* since it has written something */
	bool mid_line[2];
};

static struct tick_job *tick_of(struct pcore_list *node)
{
	return container_of(node, struct tick_job, link);
}

/* Where there are several timers a message says which one it is about. */
__attribute__((format(printf, 2, 3))) static void tell(const struct timer_jobs *of, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (*of->name)
		cli_warn("'%s': %s", of->name, text);
	else
		cli_warn("%s", text);
}

/* ---- output ---- */

static bool output(void *ctx, struct pcore_job *job, enum pcore_job_stream stream, const char *data, size_t len)
{
	struct tick_job *t = container_of(job, struct tick_job, job);
	struct jobs *j = ctx;

	if (!j->collator)
		return true; /* they write by themselves */
	if (!t->output)
		t->output = cli_output_new(j->collator, t, NULL);
	if (!t->output) {
		cli_warn("out of memory: the output of a job is lost");
		return true;
	}
	t->mid_line[stream] = data[len - 1] != '\n';
	return cli_output_add(t->output, (int)stream, data, len);
}

/* A line that the job did not end is ended here: what other jobs write begins a line of its own. */
static void finish_output(struct tick_job *t)
{
	if (!t->output)
		return;
	for (int i = 0; i < 2; i++) {
		if (t->mid_line[i])
			(void)cli_output_add(t->output, i, "\n", 1);
		t->mid_line[i] = false;
	}
	cli_output_finish(t->output);
	t->output = NULL;
}

void jobs_resume(struct jobs *j, void *owner)
{
	struct tick_job *t = owner;

	pcore_pool_resume(j->pool, &t->job);
}

/* ---- the dispatcher's questions ---- */

static int next(void *ctx, struct pcore_job **ret)
{
	struct jobs *j = ctx;
	struct pcore_list *node = pcore_list_pop(&j->ready);

	if (!node)
		return j->drained ? -ENODATA : 0;
	*ret = &container_of(node, struct tick_job, ready)->job;
	return 1;
}

static char **make_env(const struct timer_jobs *of, size_t extra, size_t *ret_n)
{
	char **env;

	if (!of->place)
		return cli_job_env(&of->opts->job, extra, ret_n);
	env = calloc(of->place->n_env + extra + 1, sizeof(*env));
	if (env)
		memcpy(env, of->place->env, of->place->n_env * sizeof(*env));
	*ret_n = of->place->n_env;
	return env;
}

/* The job gets the limit of descriptors that we were started with, unless it has one of its own. */
static void restore_limit(struct jobs *j, struct pcore_proc_spec *spec)
{
	for (size_t i = 0; i < spec->n_limits; i++)
		j->limits[i] = spec->limits[i];
	if (j->fds.rlim_cur > 0)
		cli_limits_default(j->limits, &spec->n_limits, RLIMIT_NOFILE, j->fds);
	spec->limits = j->limits;
}

static void describe(void *ctx, struct pcore_job *job, struct pcore_proc_spec *spec)
{
	static char *nothing[] = { (char *)"", NULL };
	const struct tick_job *t = container_of(job, struct tick_job, job);
	struct jobs *j = ctx;
	size_t n = 0;

	free(j->env);
	j->env = make_env(t->of, ARRAY_SIZE(j->env_text), &n);
	(void)snprintf(j->env_text[0], sizeof(j->env_text[0]), "PCORE_SEQ=%" PRIu64, t->n);
	(void)snprintf(j->env_text[1], sizeof(j->env_text[1]), "PCORE_SLOT=%u", job->slot);
	(void)snprintf(j->env_text[2], sizeof(j->env_text[2]), "PCORE_ATTEMPT=%u", job->attempt);
	for (size_t i = 0; j->env && i < ARRAY_SIZE(j->env_text); i++)
		j->env[n + i] = j->env_text[i];
	cli_job_spec(&t->of->opts->job, spec);
	restore_limit(j, spec);
	spec->argv = j->env ? t->of->opts->command : nothing; /* without memory the start fails */
	spec->envp = j->env ? j->env : nothing + 1;
	spec->file = t->of->file;
	if (t->of->place) {
		spec->chdir = t->of->place->dir;
		spec->set_umask = true;
		spec->umask = t->of->place->umask;
	}
}

/* ---- the jobs of a timer ---- */

static size_t most(const struct ptimer_opts *o)
{
	return o->overlap == PTIMER_ALLOW ? (size_t)o->overlap_max : 1;
}

/* Those that wait become ready, as many as may run. */
static void advance(struct jobs *j, struct timer_jobs *of)
{
	struct pcore_list *node;

	while (of->n_started < most(of->opts) && (node = pcore_list_pop(&of->waiting))) {
		of->n_waiting--;
		of->n_started++;
		pcore_list_add_tail(&of->started, node);
		pcore_list_add_tail(&j->ready, &tick_of(node)->ready);
		pcore_pool_kick(j->pool);
	}
}

static void drop(struct jobs *j, struct tick_job *t)
{
	finish_output(t);
	pcore_list_del(&t->link);
	pcore_list_del(&t->ready);
	j->n--;
	free(t);
}

static void note_end(struct jobs *j, const struct tick_job *t)
{
	const struct pcore_job_result *r = &t->job.result;
	struct timer_jobs *of = t->of;

	if (r->error.code < 0)
		(void)cli_spawn_error(&r->error, of->opts->command[0]);
	of->runs++;
	of->status = pcore_job_status(&t->job);
	of->signal = r->error.code == 0 && r->exit.code != CLD_EXITED ? r->exit.status : 0;
	if (!pcore_job_succeeded(&t->job) && !t->replaced && !j->ending) {
		of->failures++;
		j->failed = true;
	}
}

static void job_done(void *ctx, struct pcore_job *job)
{
	struct tick_job *t = container_of(job, struct tick_job, job);
	struct timer_jobs *of = t->of;
	struct jobs *j = ctx;

	if (job->state == PCORE_JOB_DONE)
		note_end(j, t);
	of->n_started--;
	drop(j, t);
	advance(j, of);
	j->job_over(j->ctx, of);
}

/* Another attempt follows. Its lines are its own. */
static void again(void *ctx, struct pcore_job *job)
{
	(void)ctx;
	finish_output(container_of(job, struct tick_job, job));
}

static void limited(void *ctx, unsigned n, int error)
{
	(void)ctx;
	cli_warn("cannot start another job: %s; running %u at a time", strerror(-error), n);
}

static void pool_idle(void *ctx)
{
	struct jobs *j = ctx;

	j->over = true;
	j->idle(j->ctx);
}

void jobs_forget(struct jobs *j, struct timer_jobs *of)
{
	PCORE_LIST_FOREACH_SAFE(node, &of->waiting)
		drop(j, tick_of(node));
	of->n_waiting = 0;
	PCORE_LIST_FOREACH_SAFE(node, &of->started) {
		if (pcore_list_empty(&tick_of(node)->ready))
			continue;
		of->n_started--;
		drop(j, tick_of(node));
	}
}

static bool has_begun(const struct tick_job *t)
{
	return pcore_list_empty(&t->ready);
}

/* End those that have begun; by: the tick that replaces them, 0: there is none. */
static void end_started(struct jobs *j, struct timer_jobs *of, uint64_t by)
{
	/* From the end, for one that does not run yet is given back at once, and what follows it in the list may not be there any more. */
	for (struct pcore_list *node = of->started.prev, *before; node != &of->started; node = before) {
		struct tick_job *t = tick_of(node);

		before = node->prev;
		if (t->replaced || !has_begun(t))
			continue;
		t->replaced = true;
		if (by)
			tell(of, "the job of tick %" PRIu64 " is ended: tick %" PRIu64 " replaces it", t->n, by);
		pcore_pool_end(j->pool, &t->job); /* t may be gone */
	}
}

void jobs_end_timer(struct jobs *j, struct timer_jobs *of)
{
	jobs_forget(j, of);
	end_started(j, of, 0);
}

static void replace(struct jobs *j, struct timer_jobs *of, uint64_t n)
{
	PCORE_LIST_FOREACH_SAFE(node, &of->waiting) {
		tell(of, "tick %" PRIu64 " is replaced by tick %" PRIu64 " before it ran", tick_of(node)->n, n);
	}
	PCORE_LIST_FOREACH_SAFE(node, &of->started) {
		if (!has_begun(tick_of(node)))
			tell(of, "tick %" PRIu64 " is replaced by tick %" PRIu64 " before it ran", tick_of(node)->n, n);
	}
	jobs_forget(j, of);
	end_started(j, of, n);
}

/* Does --overlap let the tick have a job? */
static bool admit(struct jobs *j, struct timer_jobs *of, uint64_t n)
{
	const struct ptimer_opts *o = of->opts;

	switch (o->overlap) {
	case PTIMER_SKIP:
		if (of->n_started + of->n_waiting == 0)
			return true;
		tell(of, "tick %" PRIu64 " is skipped: the job before it still runs", n);
		return false;
	case PTIMER_QUEUE:
		if (of->n_waiting < o->overlap_max + (of->n_started == 0))
			return true;
		tell(of, "tick %" PRIu64 " is skipped: %" PRIu64 " wait already", n, o->overlap_max);
		return false;
	case PTIMER_ALLOW:
		if (of->n_started + of->n_waiting < o->overlap_max)
			return true;
		tell(of, "tick %" PRIu64 " is skipped: %" PRIu64 " jobs run already", n, o->overlap_max);
		return false;
	case PTIMER_REPLACE:
		replace(j, of, n);
		break;
	}
	return true;
}

int jobs_tick(struct jobs *j, struct timer_jobs *of, uint64_t n)
{
	struct tick_job *t;

	if (!admit(j, of, n))
		return 0;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->n = n;
	t->of = of;
	t->job.retries = of->opts->job.retry;
	t->job.retry_delay = of->opts->job.retry_delay;
	t->job.times = &of->times;
	pcore_list_init(&t->link);
	pcore_list_init(&t->ready);
	pcore_list_add_tail(&of->waiting, &t->link);
	of->n_waiting++;
	j->n++;
	advance(j, of);
	return 1;
}

void timer_jobs_init(struct timer_jobs *of, const struct ptimer_opts *opts, const char *name)
{
	*of = (struct timer_jobs){ .opts = opts, .name = name, .times = cli_job_times(&opts->job), .status = -1 };
	pcore_list_init(&of->waiting);
	pcore_list_init(&of->started);
}

void timer_jobs_done(struct timer_jobs *of)
{
	assert(pcore_list_empty(&of->waiting));
	assert(pcore_list_empty(&of->started));

	free(of->file);
}

int timer_jobs_find(struct timer_jobs *of)
{
	const struct ptimer_opts *o = of->opts;
	_cleanup_(freep) char **env = NULL;
	struct pcore_err err;
	size_t n;

	env = cli_job_env(&o->job, 0, &n);
	if (!env)
		return cli_error("out of memory");
	if (o->job.chdir && access(o->job.chdir, X_OK) < 0)
		return cli_error("cannot change directory to '%s': %s", o->job.chdir, strerror(errno));
	if (cli_command_find(o->command[0], o->job.chdir, env, &of->file, &err) < 0)
		return cli_spawn_error(&err, o->command[0]);
	return CLI_GO;
}

/* ---- all of them ---- */

void jobs_drain(struct jobs *j)
{
	j->drained = true;
	pcore_pool_kick(j->pool);
}

void jobs_end(struct jobs *j)
{
	pcore_pool_stop(j->pool, j->ending ? PCORE_POOL_KILL : PCORE_POOL_END);
	j->ending = true;
}

/* Many jobs whose output is read take many descriptors: have as many as we may. */
static void raise_limit(struct jobs *j)
{
	struct rlimit most;

	if (getrlimit(RLIMIT_NOFILE, &j->fds) < 0)
		return;
	most = (struct rlimit){ j->fds.rlim_max, j->fds.rlim_max };
	if (setrlimit(RLIMIT_NOFILE, &most) < 0)
		j->fds.rlim_cur = 0;
}

int jobs_start(struct jobs *j, struct pcore_loop *lp, unsigned max)
{
	static const struct pcore_pool_owner owner = {
		.next = next,
		.output = output,
		.again = again,
		.done = job_done,
		.limited = limited,
		.idle = pool_idle,
	};
	struct pcore_pool_spec spec = { .jobs = max, .lingering = max };
	struct pcore_local_spec local = { .inherit = !j->collator, .read_size = j->small ? READ_SIZE_SMALL : 0,
		.describe = describe, .ctx = j };
	struct pcore_err err;
	int r = pcore_keeper_new(&j->keeper, false, false, &err);

	pcore_list_init(&j->ready);
	if (j->collator)
		raise_limit(j);
	local.keeper = j->keeper;
	if (r == 0)
		r = pcore_local_new(&j->ex, lp, &local, &err);
	if (r < 0)
		return cli_spawn_error(&err, NULL);
	if (pcore_pool_new(&j->pool, lp, &spec, &owner, j, j->ex) < 0) {
		j->ex->ops->free(j->ex);
		return cli_error("out of memory");
	}
	return CLI_GO;
}

void jobs_done(struct jobs *j)
{
	pcore_pool_free(j->pool);
	pcore_keeper_free(j->keeper);
	free(j->env);
}
