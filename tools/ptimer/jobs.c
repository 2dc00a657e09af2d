/* SPDX-License-Identifier: MIT */
/*
 * jobs.c - ticks as runs of a command. Each tick that is not skipped becomes a job, which waits here until the pool takes it.
 */
#include "tools/ptimer/jobs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/cli/command.h"

struct tick_job {
	struct pcore_job job;
	struct pcore_list link; /* in waiting or started */
	uint64_t n;
	bool replaced;
};

static int next(void *ctx, struct pcore_job **ret)
{
	struct jobs *j = ctx;
	struct pcore_list *node = pcore_list_pop(&j->waiting);

	if (!node)
		return j->drained ? -ENODATA : 0;
	j->n_waiting--;
	j->n_started++;
	pcore_list_add_tail(&j->started, node);
	*ret = &container_of(node, struct tick_job, link)->job;
	return 1;
}

static void describe(void *ctx, struct pcore_job *job, struct pcore_proc_spec *spec)
{
	struct jobs *j = ctx;
	size_t n = j->env_n;

	cli_job_spec(&j->opts->job, spec);
	spec->argv = j->opts->command;
	spec->file = j->file;
	(void)snprintf(j->env_text[0], sizeof(j->env_text[0]), "PCORE_SEQ=%" PRIu64, container_of(job, struct tick_job, job)->n);
	(void)snprintf(j->env_text[1], sizeof(j->env_text[1]), "PCORE_SLOT=%u", job->slot);
	(void)snprintf(j->env_text[2], sizeof(j->env_text[2]), "PCORE_ATTEMPT=%u", job->attempt);
	for (size_t i = 0; i < ARRAY_SIZE(j->env_text); i++)
		j->env[n + i] = j->env_text[i];
	j->env[n + ARRAY_SIZE(j->env_text)] = NULL;
	spec->envp = j->env;
}

static bool output(void *ctx, struct pcore_job *job, enum pcore_job_stream stream, const char *data, size_t len)
{
	(void)ctx;
	(void)job;
	(void)stream;
	(void)data;
	(void)len;
	return true; /* the jobs write by themselves */
}

static void again(void *ctx, struct pcore_job *job)
{
	(void)ctx;
	(void)job;
}

static void job_over(void *ctx, struct pcore_job *job)
{
	struct jobs *j = ctx;
	struct tick_job *t = container_of(job, struct tick_job, job);

	if (job->state == PCORE_JOB_DONE) {
		if (job->result.error.code < 0)
			(void)cli_spawn_error(&job->result.error, j->opts->command[0]);
		j->status = pcore_job_status(job);
		if (!pcore_job_succeeded(job) && !t->replaced && !j->ending)
			j->failed = true;
	}
	pcore_list_del(&t->link);
	j->n_started--;
	free(t);
}

static void limited(void *ctx, unsigned jobs, int error)
{
	(void)ctx;
	cli_warn("cannot start another job: %s; running %u at a time", strerror(-error), jobs);
}

static void idle(void *ctx)
{
	struct jobs *j = ctx;

	j->idle(j->ctx);
}

static void forget_waiting(struct jobs *j)
{
	struct pcore_list *node;

	while ((node = pcore_list_pop(&j->waiting)))
		free(container_of(node, struct tick_job, link));
	j->n_waiting = 0;
}

static void replace(struct jobs *j, uint64_t n)
{
	PCORE_LIST_FOREACH_SAFE(node, &j->waiting) {
		cli_warn("tick %" PRIu64 " is replaced by tick %" PRIu64 " before it ran", container_of(node, struct tick_job, link)->n, n);
	}
	forget_waiting(j);
	PCORE_LIST_FOREACH_SAFE(node, &j->started) {
		struct tick_job *t = container_of(node, struct tick_job, link);

		if (t->replaced)
			continue;
		t->replaced = true;
		cli_warn("the job of tick %" PRIu64 " is ended: tick %" PRIu64 " replaces it", t->n, n);
		pcore_pool_end(j->pool, &t->job); /* t may be gone */
	}
}

/* Does --overlap let the tick have a job? */
static bool admit(struct jobs *j, uint64_t n)
{
	const struct ptimer_opts *o = j->opts;

	switch (o->overlap) {
	case PTIMER_SKIP:
		if (j->n_started + j->n_waiting == 0)
			return true;
		cli_warn("tick %" PRIu64 " is skipped: the job before it still runs", n);
		return false;
	case PTIMER_QUEUE:
		if (j->n_waiting < o->overlap_max + (j->n_started == 0))
			return true;
		cli_warn("tick %" PRIu64 " is skipped: %" PRIu64 " wait already", n, o->overlap_max);
		return false;
	case PTIMER_ALLOW:
		if (j->n_started + j->n_waiting < o->overlap_max)
			return true;
		cli_warn("tick %" PRIu64 " is skipped: %" PRIu64 " jobs run already", n, o->overlap_max);
		return false;
	case PTIMER_REPLACE:
		replace(j, n);
		break;
	}
	return true;
}

int jobs_tick(struct jobs *j, uint64_t n)
{
	struct tick_job *t;

	if (!admit(j, n))
		return 0;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->n = n;
	pcore_list_init(&t->link);
	pcore_list_add_tail(&j->waiting, &t->link);
	j->n_waiting++;
	pcore_pool_kick(j->pool);
	return 0;
}

void jobs_drain(struct jobs *j)
{
	j->drained = true;
	pcore_pool_kick(j->pool);
}

void jobs_end(struct jobs *j)
{
	forget_waiting(j);
	pcore_pool_stop(j->pool, j->ending ? PCORE_POOL_KILL : PCORE_POOL_END);
	j->ending = true;
}

/* ---- setting up ---- */

static int find_command(struct jobs *j)
{
	const struct ptimer_opts *o = j->opts;
	struct pcore_err err;

	j->env = cli_job_env(&o->job, ARRAY_SIZE(j->env_text), &j->env_n);
	if (!j->env)
		return cli_error("out of memory");
	if (o->job.chdir && access(o->job.chdir, X_OK) < 0)
		return cli_error("cannot change directory to '%s': %s", o->job.chdir, strerror(errno));
	if (cli_command_find(o->command[0], o->job.chdir, j->env, &j->file, &err) < 0)
		return cli_spawn_error(&err, o->command[0]);
	return CLI_GO;
}

int jobs_start(struct jobs *j, struct pcore_loop *lp)
{
	static const struct pcore_pool_owner owner = {
		.next = next,
		.output = output,
		.again = again,
		.done = job_over,
		.limited = limited,
		.idle = idle,
	};
	const struct ptimer_opts *o = j->opts;
	struct pcore_pool_spec spec = {
		.jobs = o->overlap == PTIMER_ALLOW ? (unsigned)o->overlap_max : 1,
		.lingering = o->overlap == PTIMER_ALLOW ? 16 : 0,
		.retries = o->job.retry,
		.retry_delay = o->job.retry_delay,
	};
	struct pcore_local_spec local = { .times = cli_job_times(&o->job), .inherit = true, .describe = describe, .ctx = j };
	struct pcore_err err;
	int r;

	pcore_list_init(&j->waiting);
	pcore_list_init(&j->started);
	j->status = -1;
	r = find_command(j);
	if (r != CLI_GO)
		return r;
	r = pcore_keeper_new(&j->keeper, false, false, &err);
	local.keeper = j->keeper;
	if (r == 0)
		r = pcore_local_new(&j->ex, lp, &local, &err);
	if (r < 0)
		return cli_spawn_error(&err, o->command[0]);
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
	free(j->file);
}
