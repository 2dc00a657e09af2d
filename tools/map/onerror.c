/* SPDX-License-Identifier: MIT */
/*
 * onerror.c - a command that is run for each job that has failed for good.
 */
#include "tools/map/onerror.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "tools/cli/collate.h"
#include "tools/cli/jobopts.h"

enum { WAITING_MAX = 64, ENV_EXTRA = 2, OUTPUT_BUFFER = 1 << 20 };

/* One failed job's command. */
struct handler {
	struct pcore_job job;
	uint64_t seq; /* of the failed one */
	int status;
	struct cli_output *output;
	char *argv[]; /* and the items' bytes behind it */
};

struct on_error {
	struct on_error_spec spec;
	struct cli_job_opts opts;
	struct pcore_proc_limit limit;
	size_t n_limits;
	struct pcore_pool *pool;
	struct cli_collator *collator;
	struct pcore_list waiting;
	size_t n_waiting;
	char **env;
	size_t env_n;
	char env_text[ENV_EXTRA][40];
	bool closed, idle, ended;
};

static void handler_free(struct handler *h)
{
	if (h->output)
		cli_output_finish(h->output);
	free(h);
}

/* ---- what the pool asks and tells ---- */

static int next(void *ctx, struct pcore_job **ret)
{
	struct on_error *e = ctx;
	struct pcore_list *node = pcore_list_pop(&e->waiting);
	struct handler *h;

	if (!node)
		return e->closed ? -ENODATA : 0;

	h = container_of(container_of(node, struct pcore_job, link), struct handler, job);
	h->output = cli_output_new(e->collator, h, NULL);
	if (!h->output) {
		pcore_list_add_head(&e->waiting, node);
		return 0; /* it is asked again when a job ends */
	}
	if (e->n_waiting-- == WAITING_MAX)
		e->spec.room(e->spec.ctx);
	*ret = &h->job;
	return 1;
}

static void describe(void *ctx, struct pcore_job *job, struct pcore_proc_spec *spec)
{
	struct on_error *e = ctx;
	struct handler *h = container_of(job, struct handler, job);

	cli_job_spec(&e->opts, spec);
	spec->limits = &e->limit;
	spec->n_limits = e->n_limits;
	(void)snprintf(e->env_text[0], sizeof(e->env_text[0]), "PCORE_SEQ=%" PRIu64, h->seq);
	(void)snprintf(e->env_text[1], sizeof(e->env_text[1]), "PCORE_EXIT=%d", h->status);
	for (size_t i = 0; i < ENV_EXTRA; i++)
		e->env[e->env_n + i] = e->env_text[i];
	e->env[e->env_n + ENV_EXTRA] = NULL;
	spec->argv = h->argv;
	spec->envp = e->env;
}

static bool output(void *ctx, struct pcore_job *job, enum pcore_job_stream stream, const char *data, size_t len)
{
	(void)ctx;
	(void)stream;
	return cli_output_add(container_of(job, struct handler, job)->output, PCORE_JOB_STDERR, data, len);
}

static void again(void *ctx, struct pcore_job *job)
{
	(void)ctx;
	(void)job;
}

static void done(void *ctx, struct pcore_job *job)
{
	struct on_error *e = ctx;
	struct handler *h = container_of(job, struct handler, job);

	if (job->state == PCORE_JOB_DONE && !pcore_job_succeeded(job) && !e->ended) {
		e->spec.before_write(e->spec.ctx);
		if (job->result.error.code < 0)
			(void)cli_spawn_error(&job->result.error, h->argv[0]);
		cli_warn("the --on-error command of job %" PRIu64 " failed with status %d", h->seq, pcore_job_status(job));
	}
	handler_free(h);
}

static void idle(void *ctx)
{
	struct on_error *e = ctx;

	e->idle = true;
	if (e->closed)
		e->spec.idle(e->spec.ctx);
}

/* ---- what the collator tells ---- */

static void resume(void *ctx, void *owner)
{
	struct on_error *e = ctx;

	pcore_pool_resume(e->pool, &((struct handler *)owner)->job);
}

static void room(void *ctx)
{
	pcore_pool_kick(((struct on_error *)ctx)->pool);
}

/* Nobody reads our stderr: there is nobody to tell, either. */
static void write_failed(void *ctx, int fd, int error)
{
	(void)ctx;
	(void)fd;
	(void)error;
}

static void before_write(void *ctx)
{
	struct on_error *e = ctx;

	e->spec.before_write(e->spec.ctx);
}

/* ---- from outside ---- */

static int make_pool(struct on_error *e)
{
	static const struct pcore_pool_owner owner = {
		.next = next,
		.output = output,
		.again = again,
		.done = done,
		.idle = idle,
	};
	struct pcore_pool_spec spec = { .jobs = ON_ERROR_JOBS, .lingering = ON_ERROR_JOBS, .shares_fds = true };
	struct pcore_local_spec local = {
		.keeper = e->spec.keeper,
		.times = cli_job_times(&e->opts),
		.describe = describe,
		.ctx = e,
	};
	struct pcore_executor *ex;
	struct pcore_err err = { .code = 0 };

	if (pcore_local_new(&ex, e->spec.loop, &local, &err) < 0)
		return cli_spawn_error(&err, "/bin/sh");
	if (pcore_pool_new(&e->pool, e->spec.loop, &spec, &owner, e, ex) < 0) {
		ex->ops->free(ex);
		return cli_error("out of memory");
	}
	return CLI_GO;
}

int on_error_new(struct on_error **ret, const struct on_error_spec *spec)
{
	struct on_error *e = calloc(1, sizeof(*e));
	struct cli_collator_spec collator = {
		.loop = spec->loop,
		.mode = CLI_LIVE,
		.buffer = OUTPUT_BUFFER,
		.window = 2 * ON_ERROR_JOBS,
		.tmpdir = spec->tmpdir,
		.ctx = e,
		.resume = resume,
		.room = room,
		.failed = write_failed,
		.before_write = before_write,
	};
	struct rlimit fds;
	int r = CLI_GO;

	if (!e)
		return cli_error("out of memory");

	e->spec = *spec;
	pcore_list_init(&e->waiting);
	cli_job_opts_init(&e->opts);
	if (getrlimit(RLIMIT_NOFILE, &fds) == 0) /* ours may be raised later */
		cli_limits_default(&e->limit, &e->n_limits, RLIMIT_NOFILE, fds);
	e->env = cli_job_env(&e->opts, ENV_EXTRA, &e->env_n);
	if (!e->env || cli_collator_new(&e->collator, &collator) < 0)
		r = cli_error("out of memory");
	if (r == CLI_GO)
		r = make_pool(e);
	if (r == CLI_GO)
		*ret = e;
	else
		on_error_free(e);
	return r;
}

void on_error_free(struct on_error *e)
{
	struct pcore_list *node;

	if (!e)
		return;

	pcore_pool_free(e->pool);
	while ((node = pcore_list_pop(&e->waiting)))
		handler_free(container_of(container_of(node, struct pcore_job, link), struct handler, job));
	cli_collator_free(e->collator);
	cli_job_opts_done(&e->opts);
	free(e->env);
	free(e);
}

bool on_error_has_room(const struct on_error *e)
{
	return e->n_waiting < WAITING_MAX;
}

int on_error_add(struct on_error *e, uint64_t seq, int status, const struct cli_item *items, size_t n_items)
{
	const char *words[] = { "/bin/sh", "-c", e->spec.command, "sh" };
	size_t n = ARRAY_SIZE(words), bytes = 0;
	struct handler *h;
	char *text;

	for (size_t i = 0; i < n_items; i++)
		bytes += items[i].len + 1;
	h = calloc(1, sizeof(*h) + (n + n_items + 1) * sizeof(char *) + bytes);
	if (!h)
		return -ENOMEM;

	h->seq = seq;
	h->status = status;
	for (size_t i = 0; i < n; i++)
		h->argv[i] = (char *)words[i];
	text = (char *)&h->argv[n + n_items + 1];
	for (size_t i = 0; i < n_items; i++) {
		h->argv[n + i] = memcpy(text, items[i].data, items[i].len);
		text += items[i].len + 1;
	}
	pcore_list_init(&h->job.link);
	pcore_list_add_tail(&e->waiting, &h->job.link);
	e->n_waiting++;
	pcore_pool_kick(e->pool);
	return 0;
}

bool on_error_close(struct on_error *e)
{
	e->closed = true;
	if (!e->idle)
		pcore_pool_kick(e->pool);
	return e->idle;
}

void on_error_signal(struct on_error *e, int sig, bool again_)
{
	e->ended = true;
	pcore_pool_stop(e->pool, again_ ? PCORE_POOL_KILL : PCORE_POOL_DRAIN);
	if (!again_)
		pcore_pool_signal(e->pool, sig);
}
