/* SPDX-License-Identifier: MIT */
/*
 * work.c - pqueue work: the queue, the pool and the collator, tied together.
 *
 * The pool asks for a job when a slot is free; only then an item is taken. When there is none a watch tells once there may
 * be one. Whatever ends the run only tells the pool; when it is idle all else is cancelled and the loop runs out of work.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/cli/command.h"
#include "tools/cli/cpus.h"
#include "tools/pqueue/work.h"

/* Descriptors: of a job with its standard input, and of ours. */
enum { FDS_A_JOB = 8, FDS_OURS = 32, LINGERING = 16 };

/* ---- what the executor asks ---- */

static int expand(struct work *w, const struct work_job *j)
{
	struct cli_item item = { j->data, j->len };
	struct cli_template_args args = { .items = &item, .n_items = 1, .seq = j->job.seq, .slot = j->job.slot };

	if (!cli_template_has_item(w->template))
		args.n_items = 0; /* it would be appended */
	free(w->argv);
	w->argv = NULL;
	return cli_template_expand(w->template, &args, &w->argv);
}

static void describe(void *ctx, struct pcore_job *job, struct pcore_proc_spec *spec)
{
	static char *nothing[] = { (char *)"", NULL };
	struct work *w = ctx;
	struct work_job *j = container_of(job, struct work_job, job);

	j->fed = false;
	cli_job_spec(&w->opts->job, spec);
	spec->argv = expand(w, j) == 0 ? w->argv : nothing; /* the start then fails */
	spec->file = w->file;
	spec->limits = w->limits;
	spec->n_limits = w->n_limits;
	spec->envp = w->env;
	(void)snprintf(w->env_text[0], sizeof(w->env_text[0]), "PCORE_JOB=%" PRIu64, j->id);
	(void)snprintf(w->env_text[1], sizeof(w->env_text[1]), "PCORE_ATTEMPT=%" PRIu32, j->tries);
	(void)snprintf(w->env_text[2], sizeof(w->env_text[2]), "PCORE_SEQ=%" PRIu64, job->seq);
	(void)snprintf(w->env_text[3], sizeof(w->env_text[3]), "PCORE_SLOT=%u", job->slot);
	for (size_t i = 0; i < WORK_ENV; i++)
		w->env[w->env_n + i] = w->env_text[i];
	w->env[w->env_n + WORK_ENV] = NULL;
}

/* The item is the standard input: one piece. */
static int input(void *ctx, struct pcore_job *job, struct pcore_piece *ret)
{
	struct work_job *j = container_of(job, struct work_job, job);

	(void)ctx;
	if (j->fed || j->len == 0)
		return -ENODATA;
	j->fed = true;
	*ret = (struct pcore_piece){ .data = j->data, .len = j->len };
	return 1;
}

static void input_over(void *ctx, struct pcore_job *job, uint64_t left)
{
	(void)ctx;
	(void)job;
	(void)left; /* a command may leave as much as it likes */
}

/* ---- leases ---- */

static void touch_due(struct pcore_op *op, int res);

/* Renew the leases three times while they last. */
static void arm_touch(struct work *w)
{
	w->touch_op.done = touch_due;
	if (w->over || w->opts->lease == INT64_MAX || pcore_list_empty(&w->held) || pcore_op_live(&w->touch_op))
		return;
	(void)pcore_op_timer(w->loop, &w->touch_op, PCORE_CLOCK_MONOTONIC, pcore_ns_add(pcore_now_ns(), w->opts->lease / 3));
}

static void touch_due(struct pcore_op *op, int res)
{
	struct work *w = container_of(op, struct work, touch_op);

	(void)res;
	PCORE_LIST_FOREACH_SAFE(node, &w->held) {
		struct work_job *j = container_of(node, struct work_job, link);

		if (!w->over && !j->lost)
			j->lost = pcore_queue_touch(w->queue, j->id, j->attempt, 0) < 0; /* the end of the lease tells more */
	}
	arm_touch(w);
}

/* ---- the next item ---- */

static void ready(struct pcore_queue_watch *watch, int res)
{
	struct work *w = container_of(watch, struct work, watch);

	w->watch_armed = false;
	if (res < 0)
		work_fail(w, "wait for", res);
	pcore_pool_kick(w->pool);
}

/* Have us told when there is an item, or the end. 0 or -errno. */
static int watch(struct work *w)
{
	int r = 0;

	if (w->watch_armed)
		return 0;
	w->watch.ready = ready;
	r = w->watch_started ? pcore_queue_watch_again(&w->watch) : pcore_queue_watch_start(&w->watch, w->loop, w->queue);
	w->watch_started = w->watch_started || r == 0;
	w->watch_armed = r == 0;
	return r;
}

static void job_free(struct work_job *j)
{
	cli_output_finish(j->output);
	free(j);
}

/* Lease an item, if there is one now: 1 or as pcore_queue_get_until(). */
static int take(struct work *w, struct work_job **ret)
{
	struct pcore_take how = { .lease = true, .lease_ns = w->opts->lease, .holder = w->holder };
	struct pcore_item item;
	struct work_job *j;
	int r;

	pcore_buf_clear(&w->buf);
	r = pcore_queue_get_until(w->queue, &item, 1, &how, &w->buf, 0);
	if (r < 0)
		return r;
	j = calloc(1, sizeof(*j) + item.len + 1);
	if (j)
		j->output = cli_output_new(w->collator, j, NULL);
	if (!j || !j->output) {
		(void)pcore_queue_untake(w->queue, item.id, item.attempt);
		free(j);
		return -ENOMEM;
	}
	pcore_list_init(&j->link);
	j->id = item.id;
	j->attempt = item.attempt;
	j->tries = item.tries;
	j->len = item.len;
	memcpy(j->data, item.data, item.len);
	*ret = j;
	return 1;
}

/* Is there something to run with it? If not, it has been buried. */
static bool can_run(struct work *w, const struct work_job *j)
{
	if (work_taken_too_often(w, j))
		return false;
	if (!cli_template_has_item(w->template) || !memchr(j->data, '\0', j->len))
		return true;
	work_refuse(w, j, "it holds a NUL byte, which no argument can");
	return false;
}

static int nothing_now(struct work *w)
{
	int r;

	if (w->opts->once && pcore_list_empty(&w->held))
		return -ENODATA;
	r = watch(w);
	if (r == 0)
		return 0;
	work_fail(w, "wait for", r);
	return -ENODATA;
}

static int next(void *ctx, struct pcore_job **ret)
{
	struct work *w = ctx;
	struct work_job *j = NULL;
	int r = 0;

	if (!cli_collator_has_room(w->collator))
		return 0;
	while (w->status == CLI_GO && (r = take(w, &j)) > 0 && !can_run(w, j))
		job_free(j);
	if (w->status != CLI_GO || r == -ESHUTDOWN)
		return -ENODATA;
	if (r == -EAGAIN)
		return nothing_now(w);
	if (r > 0) {
		pcore_list_add_tail(&w->held, &j->link);
		arm_touch(w);
		*ret = &j->job;
		return 1;
	}
	work_fail(w, "get from", r);
	return -ENODATA;
}

/* ---- what the pool tells ---- */

static bool output(void *ctx, struct pcore_job *job, enum pcore_job_stream stream, const char *data, size_t len)
{
	struct work_job *j = container_of(job, struct work_job, job);

	(void)ctx;
	return cli_output_add(j->output, (int)stream, data, len);
}

static void again(void *ctx, struct pcore_job *job)
{
	(void)ctx;
	cli_output_forget(container_of(job, struct work_job, job)->output);
}

static void done(void *ctx, struct pcore_job *job)
{
	struct work *w = ctx;
	struct work_job *j = container_of(job, struct work_job, job);

	pcore_list_del(&j->link);
	work_settle(w, j);
	job_free(j);
}

static void limited(void *ctx, unsigned jobs, int error)
{
	(void)ctx;
	cli_warn("cannot start another command: %s; running %u at a time", strerror(-error), jobs);
}

/* Signals are heeded until all is written. */
static void stop_signals(struct work *w)
{
	if (w->over && !w->signals.stopped && cli_collator_empty(w->collator))
		cli_signals_stop(&w->signals);
}

static void idle(void *ctx)
{
	struct work *w = ctx;

	w->over = true;
	if (w->watch_started)
		pcore_queue_watch_stop(&w->watch);
	pcore_op_cancel(w->loop, &w->touch_op);
	pcore_op_cancel(w->loop, &w->reader_op);
	stop_signals(w);
}

/* ---- what the collator tells ---- */

static void resume(void *ctx, void *owner)
{
	pcore_pool_resume(((struct work *)ctx)->pool, &((struct work_job *)owner)->job);
}

static void room(void *ctx)
{
	struct work *w = ctx;

	if (w->pool)
		pcore_pool_kick(w->pool);
	stop_signals(w);
}

static void lose_reader(struct work *w)
{
	w->reader_gone = true;
	pcore_pool_stop(w->pool, PCORE_POOL_END);
	cli_collator_drop(w->collator);
}

static void write_failed(void *ctx, int fd, int error)
{
	struct work *w = ctx;

	if (error == -EPIPE && fd == STDOUT_FILENO)
		lose_reader(w);
	if (error == -EPIPE)
		return;
	w->status = cli_error("cannot write to standard %s: %s", fd == STDOUT_FILENO ? "output" : "error", strerror(-error));
	pcore_pool_stop(w->pool, PCORE_POOL_END);
	cli_collator_drop(w->collator);
}

/* ---- other events ---- */

static void reader_event(struct pcore_op *op, int res)
{
	if (res > 0 && (res & (POLLERR | POLLHUP)))
		lose_reader(container_of(op, struct work, reader_op));
}

static void watch_reader(struct work *w)
{
	struct stat st;

	w->reader_op.done = reader_event;
	if (fstat(STDOUT_FILENO, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)))
		(void)pcore_op_poll(w->loop, &w->reader_op, STDOUT_FILENO, POLLERR);
}

static void end_by_signal(struct work *w, int sig)
{
	bool killed = pcore_pool_stopping(w->pool) == PCORE_POOL_KILL;

	if (w->ended_by) {
		pcore_pool_stop(w->pool, PCORE_POOL_KILL);
		if (killed) /* it is the reader of our output that keeps us */
			cli_collator_drop(w->collator);
		return;
	}
	w->ended_by = sig;
	pcore_pool_stop(w->pool, PCORE_POOL_DRAIN);
	pcore_pool_signal(w->pool, sig);
}

static void change_jobs(struct work *w, unsigned jobs)
{
	if (jobs > 0 && jobs <= CLI_JOBS_MAX && pcore_pool_set_jobs(w->pool, jobs) == 0)
		w->jobs = jobs;
}

static void received(struct cli_signals *s, int sig, bool by_process)
{
	struct work *w = container_of(s, struct work, signals);

	(void)by_process; /* the commands have groups of their own */
	switch (sig) {
	case SIGHUP:
		pcore_pool_stop(w->pool, PCORE_POOL_DRAIN);
		break;
	case SIGUSR1:
		change_jobs(w, w->jobs + 1);
		break;
	case SIGUSR2:
		change_jobs(w, w->jobs - 1);
		break;
	case SIGTSTP:
		pcore_pool_signal(w->pool, SIGTSTP);
		(void)raise(SIGSTOP);
		break;
	case SIGCONT:
		pcore_pool_signal(w->pool, SIGCONT);
		break;
	default:
		end_by_signal(w, sig);
		break;
	}
}

/* ---- setting up ---- */

static int prepare_command(struct work *w)
{
	const struct work_opts *o = w->opts;
	int r;

	w->env = cli_job_env(&o->job, WORK_ENV, &w->env_n);
	r = w->env ? cli_template_new(&w->template, o->words, o->n_words, o->shell ? CLI_TEMPLATE_SHELL : 0) : -ENOMEM;
	if (r < 0)
		return cli_error("out of memory");
	if (o->job.chdir && access(o->job.chdir, X_OK) < 0)
		return cli_error("cannot change directory to '%s': %s", o->job.chdir, strerror(errno));
	if (o->shell || cli_template_command_varies(w->template))
		return CLI_GO;
	r = cli_command_find(o->words[0], o->job.chdir, w->env, &w->file, &w->err);
	return r < 0 ? cli_spawn_error(&w->err, o->words[0]) : CLI_GO;
}

/* Have as many descriptors as the commands that run at a time need, if that is allowed; what they themselves get is what we
 * were started with. Where it is not enough the pool finds out. */
static void raise_descriptors(struct work *w)
{
	uint64_t needed = (uint64_t)(2 * w->jobs + LINGERING) * FDS_A_JOB + FDS_OURS;
	struct rlimit fds, raised;

	w->n_limits = cli_job_limits(&w->opts->job, w->limits);
	if (getrlimit(RLIMIT_NOFILE, &fds) < 0 || needed <= fds.rlim_cur)
		return;
	raised = (struct rlimit){ fds.rlim_max, fds.rlim_max };
	if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
		cli_limits_default(w->limits, &w->n_limits, RLIMIT_NOFILE, fds);
}

static int make_collator(struct work *w)
{
	const char *dir = getenv("TMPDIR");
	struct cli_collator_spec spec = {
		.loop = w->loop,
		.mode = CLI_UNORDERED,
		.buffer = w->opts->buffer,
		.window = w->jobs * 4 > 64 ? w->jobs * 4 : 64,
		.hold = w->opts->job.retry > 0,
		.tmpdir = dir && *dir ? dir : "/tmp",
		.ctx = w,
		.resume = resume,
		.room = room,
		.failed = write_failed,
	};

	return cli_collator_new(&w->collator, &spec) < 0 ? cli_error("out of memory") : CLI_GO;
}

static int make_pool(struct work *w)
{
	const struct work_opts *o = w->opts;
	static const struct pcore_pool_owner owner = {
		.next = next, .output = output, .again = again, .done = done, .limited = limited, .idle = idle,
	};
	struct pcore_pool_spec spec = {
		.jobs = w->jobs,
		.lingering = w->jobs + LINGERING,
		.retries = o->job.retry,
		.retry_delay = o->job.retry_delay,
	};
	struct pcore_local_spec local = {
		.times = cli_job_times(&o->job),
		.describe = describe,
		.input = cli_template_has_item(w->template) ? NULL : input,
		.input_over = input_over,
		.ctx = w,
	};
	struct pcore_executor *ex = NULL;
	int r = pcore_keeper_new(&w->keeper, false, false, &w->err);

	local.keeper = w->keeper;
	if (r == 0)
		r = pcore_local_new(&ex, w->loop, &local, &w->err);
	if (r < 0)
		return cli_spawn_error(&w->err, o->words[0]);
	if (pcore_pool_new(&w->pool, w->loop, &spec, &owner, w, ex) < 0) {
		ex->ops->free(ex);
		return cli_error("out of memory");
	}
	return CLI_GO;
}

static int open_queue(struct work *w)
{
	struct pqueue_opts queue = { .name = w->opts->name };
	int r = pqueue_open(&queue, true, &w->queue);

	w->holder = pcore_ring_holder();
	return r;
}

static int set_up(struct work *w)
{
	static const int caught[] = { SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGTSTP, SIGCONT, SIGUSR1, SIGUSR2, 0 };
	int r = prepare_command(w);

	w->jobs = (unsigned)(w->opts->jobs ? w->opts->jobs : cli_cpus());
	raise_descriptors(w);
	if (r == CLI_GO)
		r = open_queue(w);
	if (r == CLI_GO)
		r = cli_loop_new(&w->loop, PCORE_LOOP_AUTO);
	if (r == CLI_GO)
		r = make_collator(w);
	if (r == CLI_GO)
		r = make_pool(w);
	if (r != CLI_GO)
		return r;

	r = cli_signals_start(&w->signals, w->loop, caught);
	if (r < 0)
		return cli_error("cannot watch signals: %s", strerror(-r));
	watch_reader(w);
	return CLI_GO;
}

static void tear_down(struct work *w)
{
	pcore_pool_free(w->pool);
	pcore_keeper_free(w->keeper);
	cli_collator_free(w->collator);
	cli_template_free(w->template);
	cli_signals_done(&w->signals);
	pcore_loop_free(w->loop);
	pcore_queue_free(w->queue);
	pcore_buf_done(&w->buf);
	free(w->argv);
	free(w->env);
	free(w->file);
}

static int final_status(const struct work *w)
{
	if (w->status != CLI_GO)
		return w->status;
	return w->died > 0 || (w->opts->once && w->returned > 0) ? CLI_NO : CLI_OK;
}

int work_run(const struct work_opts *o)
{
	struct work w = { .opts = o, .signals = { .fd = -EBADF, .received = received }, .buf = PCORE_BUF_INIT(0), .status = CLI_GO };
	int die_of = 0, status;

	pcore_list_init(&w.held);
	status = set_up(&w);
	if (status == CLI_GO) {
		pcore_pool_kick(w.pool);
		status = pcore_loop_run(w.loop);
		status = status < 0 ? cli_error("the event loop failed: %s", strerror(-status)) : final_status(&w);
		die_of = w.reader_gone ? SIGPIPE : w.ended_by;
	}
	tear_down(&w);
	if (die_of)
		cli_die_of(die_of);
	return status;
}
