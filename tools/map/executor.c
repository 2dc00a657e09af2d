/* SPDX-License-Identifier: MIT */
/*
 * executor.c - what runs the jobs of map, and what it asks of them: commands, workers or threads here, or machines elsewhere.
 */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "tools/map/run.h"

void map_show_command(struct map *m)
{
	_cleanup_(pcore_buf_done) struct pcore_buf line = PCORE_BUF_INIT(0);

	if (!m->opts->verbose || !m->argv)
		return;
	if (cli_shell_words(&line, m->argv) < 0 || pcore_buf_addc(&line, '\n') < 0)
		return;
	cli_progress_clear(&m->progress);
	(void)pcore_fd_write_all(STDERR_FILENO, line.data, line.len);
}

/* ---- what it asks ---- */

/* All but the environment. The command's words are in m->argv. */
static void describe_command(struct map *m, struct pcore_proc_spec *spec)
{
	static char *nothing[] = { (char *)"", NULL };

	cli_job_spec(&m->opts->job, spec);
	spec->argv = m->argv ? m->argv : nothing; /* the start then fails */
	spec->file = m->file;
	spec->limits = m->limits;
	spec->n_limits = m->n_limits;
	spec->envp = m->env;
}

static int input(void *ctx, struct pcore_job *job, struct pcore_piece *ret)
{
	struct map *m = ctx;
	struct map_job *j = container_of(job, struct map_job, job);
	int r = feed_input(&m->feed, &j->feed, ret);

	if (r > 0)
		j->record.sent += ret->len;
	return r;
}

static void input_over(void *ctx, struct pcore_job *job, uint64_t left)
{
	struct map *m = ctx;
	struct map_job *j = container_of(job, struct map_job, job);

	j->record.sent -= left;
	feed_input_over(&m->feed, &j->feed, left);
}

static void input_begin(void *ctx, struct pcore_job *job)
{
	struct map_job *j = container_of(job, struct map_job, job);

	(void)ctx;
	feed_again(&j->feed);
	j->record.sent = 0;
}

static void describe(void *ctx, struct pcore_job *job, struct pcore_proc_spec *spec)
{
	struct map *m = ctx;
	struct map_job *j = container_of(job, struct map_job, job);
	size_t n = m->env_n;

	input_begin(m, job);
	if (map_expand(m, j, job->seq, job->slot) < 0)
		m->argv = NULL;
	describe_command(m, spec);
	(void)snprintf(m->env_text[0], sizeof(m->env_text[0]), "PCORE_SEQ=%" PRIu64, job->seq);
	(void)snprintf(m->env_text[1], sizeof(m->env_text[1]), "PCORE_SLOT=%u", job->slot);
	(void)snprintf(m->env_text[2], sizeof(m->env_text[2]), "PCORE_ATTEMPT=%u", job->attempt);
	for (size_t i = 0; i < ENV_EXTRA; i++)
		m->env[n + i] = m->env_text[i];
	m->env[n + ENV_EXTRA] = NULL;
}

static void describe_worker(void *ctx, unsigned slot, struct pcore_proc_spec *spec)
{
	static const struct map_job none;
	struct map *m = ctx;

	if (map_expand(m, &none, 0, slot) < 0)
		m->argv = NULL;
	describe_command(m, spec);
	if (m->opts->call.call) {
		spec->argv = m->call.argv;
		spec->file = "/proc/self/exe";
	}
	(void)snprintf(m->env_text[0], sizeof(m->env_text[0]), "PCORE_SLOT=%u", slot);
	m->env[m->env_n] = m->env_text[0];
	m->env[m->env_n + 1] = NULL;
	map_show_command(m);
}

static int item_of(void *ctx, const struct pcore_job *job, const char **ret, size_t *ret_len)
{
	const struct map_job *j = container_of(job, struct map_job, job);

	(void)ctx;
	*ret = j->items[0].data;
	*ret_len = j->items[0].len;
	return 0;
}

/* In a thread. */
static int call_job(void *ctx, struct pcore_job *job, struct pcore_buf *out)
{
	struct map *m = ctx;
	struct map_job *j = container_of(job, struct map_job, job);

	if (m->call.batched)
		return call_block(&m->call, &j->call, out);
	return call_one(&m->call, j->items[0].data, j->items[0].len, out);
}

static void give_up(void *ctx)
{
	pcore_pool_stop(((struct map *)ctx)->pool, PCORE_POOL_END);
}

/* ---- making it ---- */

static int make_workers(struct map *m, const struct pcore_proc_times *times)
{
	int r;

	m->workers = (struct workers){
		.opts = &m->opts->workers,
		.ctx = m,
		.before_message = map_before_message,
		.give_up = give_up,
		.all_told = map_stop_signals,
		.describe = describe_worker,
		.item = item_of,
		.resume_errors = pcore_worker_resume_errors,
	};
	r = workers_start(&m->workers, m->loop, m->keeper, m->jobs, times, map_tmpdir(), &m->err);
	m->ex = m->workers.ex;
	return r;
}

static int prepare_remote_workers(struct map *m)
{
	const struct pcore_proc_times times = cli_job_times(&m->opts->job);

	m->workers = (struct workers){
		.opts = &m->opts->workers,
		.elsewhere = m->opts->elsewhere,
		.ctx = m,
		.before_message = map_before_message,
		.give_up = give_up,
		.all_told = map_stop_signals,
		.item = item_of,
		.resume_errors = m->opts->face->resume_errors,
	};
	m->remote.worker = &m->worker_spec;
	return workers_prepare(&m->workers, m->loop, &times, map_tmpdir(), &m->worker_spec) < 0 ? cli_error("out of memory") : CLI_GO;
}

static int remote_args(void *ctx, struct pcore_job *job, bool whole, char ***ret)
{
	struct map *m = ctx;
	const struct map_job *j = container_of(job, struct map_job, job);
	struct cli_template_args args = { .items = j->items, .n_items = j->n_items, .seq = job->seq, .slot = job->slot };
	int r = source_columns(&m->source, j->items, j->n_items, &args);

	if (r < 0)
		return r;
	return whole ? cli_template_expand(m->template, &args, ret) : cli_template_arguments(m->template, m->remote.many, &args, ret);
}

static void remote_gave_up(void *ctx)
{
	struct map *m = ctx;

	m->failed = true;
	pcore_pool_stop(m->pool, PCORE_POOL_END);
}

int map_make_remote(struct map *m)
{
	int r = CLI_GO;

	m->remote = (struct map_remote){
		.loop = m->loop,
		.opts = m->opts,
		.jobs = m->jobs,
		.file = m->file,
		.template = m->template,
		.many = m->source.per_job > 1 || m->source.n_parts > 1 || m->opts->source.fill,
		.pipe_size = feed_pipe_size(&m->opts->feed),
		.input_begin = input_begin,
		.input = m->opts->feed.pipe ? input : NULL,
		.input_over = input_over,
		.in_turn = m->opts->feed.round_robin,
		.args = remote_args,
		.before_message = map_before_message,
		.give_up = remote_gave_up,
		.ctx = m,
	};
	if (m->opts->record.on_error && pcore_keeper_new(&m->keeper, false, false, &m->err) < 0) /* its commands run here */
		return cli_spawn_error(&m->err, m->opts->record.on_error);
	if (m->opts->workers.worker)
		r = prepare_remote_workers(m);
	if (r == CLI_GO)
		r = m->opts->face->executor(&m->ex, &m->remote);
	m->workers.ex = m->ex;
	return r;
}

int map_make_executor(struct map *m)
{
	struct pcore_local_spec local = {
		.times = cli_job_times(&m->opts->job),
		.inherit = m->opts->raw,
		.describe = describe,
		.input = m->opts->feed.pipe ? input : NULL,
		.input_over = input_over,
		.pipe_size = feed_pipe_size(&m->opts->feed),
		.ctx = m,
	};
	struct pcore_threaded_spec threads = { .threads = m->jobs, .name = "call", .output_max = CALL_OUTPUT_MAX, .run = call_job, .ctx = m };
	bool commands = !m->call.threads || m->opts->record.on_error;
	int r = commands ? pcore_keeper_new(&m->keeper, false, false, &m->err) : 0;

	if (r < 0)
		return r;
	if (m->call.threads) {
		r = pcore_threaded_new(&m->ex, m->loop, &threads);
		return r < 0 ? pcore_err_set(&m->err, r, PCORE_STEP_CLONE, "") : 0;
	}
	if (m->opts->workers.worker)
		return make_workers(m, &local.times);
	local.keeper = m->keeper;
	return pcore_local_new(&m->ex, m->loop, &local, &m->err);
}
