/* SPDX-License-Identifier: MIT */
/*
 * map.c - map: items from a source become jobs, the pool runs them, the collator prints what they write.
 *
 * The three are tied together here and nowhere else; prepare.c, executor.c and next.c know one of them each. Whatever ends
 * the run (the last job, a signal, a reader that left) only tells the pool; when the pool is idle everything else is cancelled
 * and the loop runs out of work by itself.
 */
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/map/run.h"

/* REMOTE_JOBS: at a time, where others decide how many they take. SPARE_MAX: that are over, whose memory is kept. */
enum { FDS_OURS = 20, FDS_A_JOB = 6, REMOTE_JOBS = 1024, SPARE_MAX = 1 << 12 };

/* ---- what the pool tells ---- */

static void started(void *ctx, struct pcore_job *job)
{
	struct map *m = ctx;
	struct map_job *j = container_of(job, struct map_job, job);

	record_started(m->record, &j->record, job);
	govern_look(&m->govern);
	if (m->call.threads && m->opts->verbose) /* the executor needs no command */
		(void)map_expand(m, j, job->seq, job->slot);
	if (!m->opts->workers.worker)
		map_show_command(m);
}

static bool output(void *ctx, struct pcore_job *job, enum pcore_job_stream stream, const char *data, size_t len)
{
	struct map *m = ctx;
	struct map_job *j = container_of(job, struct map_job, job);

	if (record_output(m->record, &j->record, stream, data, len))
		return true;
	return cli_output_add(j->output, (int)stream, data, len);
}

static void again(void *ctx, struct pcore_job *job)
{
	struct map *m = ctx;
	struct map_job *j = container_of(job, struct map_job, job);

	record_again(m->record, &j->record, job);
	if (j->output)
		cli_output_forget(j->output);
	govern_look(&m->govern);
}

/* Consumers that run have to be told when the pool starts no more jobs. */
static void end_input(struct map *m)
{
	if (m->opts->feed.pipe && pcore_pool_stopping(m->pool) != PCORE_POOL_RUN)
		feed_end(&m->feed);
}

/* The command's name, for messages. */
static const char *command_of(struct map *m, const struct map_job *j)
{
	if (m->opts->face->executor) /* many are on their way */
		(void)map_expand(m, j, j->job.seq, j->job.slot);
	return m->argv && m->argv[0] ? m->argv[0] : m->opts->words[0];
}

static bool answered(const struct pcore_job *job)
{
	return job->result.error.code == 0 && !job->result.lost;
}

static void done(void *ctx, struct pcore_job *job)
{
	struct map *m = ctx;
	struct map_job *j = container_of(job, struct map_job, job);

	if (job->state == PCORE_JOB_DONE && job->result.error.code < 0) {
		cli_progress_clear(&m->progress);
		if (job->result.error.step == PCORE_STEP_NONE)
			workers_refused(job);
		else
			(void)cli_spawn_error(&job->result.error, command_of(m, j));
	}
	record_done(m->record, &j->record, job, j->output);
	call_learn(&m->call, &j->call);
	if (j->output && m->opts->workers.worker && !pcore_job_succeeded(job) && !(m->opts->call.call && answered(job)))
		cli_output_forget(j->output); /* no answer, or a part of one */
	if (j->output)
		cli_output_finish(j->output);
	map_job_free(m, j);
	end_input(m);
	govern_look(&m->govern);
}

static void limited(void *ctx, unsigned jobs, int error)
{
	struct map *m = ctx;

	cli_progress_clear(&m->progress);
	cli_warn("cannot start another job: %s; running %u at a time", strerror(-error), jobs);
	if (m->opts->feed.pipe)
		feed_limited(&m->feed);
}

void map_stop_signals(void *ctx)
{
	struct map *m = ctx;

	if (m->over && !m->signals.stopped && cli_collator_empty(m->collator) && workers_all_told(&m->workers))
		cli_signals_stop(&m->signals);
}

static void wind_up(void *ctx)
{
	struct map *m = ctx;

	m->over = true;
	map_stop_signals(m);
	cli_progress_stop(&m->progress);
	if (m->opts->face->ended)
		m->opts->face->ended(m->ex);
	govern_stop(&m->govern);
	pcore_op_cancel(m->loop, &m->reader_op);
}

static void idle(void *ctx)
{
	struct map *m = ctx;

	if (m->opts->feed.pipe)
		feed_end(&m->feed);
	else
		source_stop(&m->source);
	if (record_close(m->record))
		wind_up(m);
}

/* ---- what the record asks and tells ---- */

static char *const *argv_of(void *ctx, struct pcore_job *job, unsigned slot)
{
	struct map *m = ctx;

	return map_expand(m, container_of(job, struct map_job, job), job->seq, slot) == 0 ? m->argv : NULL;
}

void map_before_message(void *ctx)
{
	cli_progress_clear(&((struct map *)ctx)->progress);
}

static void result_lost(void *ctx)
{
	struct map *m = ctx;

	pcore_pool_stop(m->pool, PCORE_POOL_END);
	end_input(m);
}

/* ---- what the collator tells ---- */

static void resume(void *ctx, void *owner)
{
	struct map *m = ctx;

	pcore_pool_resume(m->pool, &((struct map_job *)owner)->job);
}

static void room(void *ctx)
{
	struct map *m = ctx;

	if (m->pool)
		pcore_pool_kick(m->pool);
	map_stop_signals(m);
}

static void lose_reader(struct map *m)
{
	m->reader_gone = true;
	pcore_pool_stop(m->pool, PCORE_POOL_END);
	cli_collator_drop(m->collator);
}

static void noted(void *ctx, const char *notes, size_t len)
{
	record_written(((struct map *)ctx)->record, notes, len);
}

static void write_failed(void *ctx, int fd, int error)
{
	struct map *m = ctx;

	if (fd == STDERR_FILENO && error == -EPIPE)
		return; /* nobody wants to know */
	if (error == -EPIPE) {
		lose_reader(m);
		return;
	}
	cli_progress_clear(&m->progress);
	(void)cli_error("cannot write to %s: %s", fd == STDOUT_FILENO ? "standard output" : "standard error", strerror(-error));
	m->failed = true;
	pcore_pool_stop(m->pool, PCORE_POOL_END);
	cli_collator_drop(m->collator);
}

/* ---- how many jobs there may be ---- */

static void hold(void *ctx, bool on)
{
	pcore_pool_hold(((struct map *)ctx)->pool, on);
}

/* A job that was taken from the source and is neither running nor to be tried again later: the pool has it ready. */
static bool kept_waiting(void *ctx)
{
	struct pcore_pool_counts c = pcore_pool_counts(((struct map *)ctx)->pool);

	return c.submitted > c.succeeded + c.failed + c.running + c.exited + c.waiting;
}

/* Those that run go on; fewer only means that none is started for a while. */
static void change_jobs(struct map *m, uint64_t wanted, bool tell)
{
	unsigned jobs = m->opts->face->executor ? fit_remote(m, wanted) : fit_limits(m, wanted, tell);

	if (pcore_pool_set_jobs(m->pool, jobs) < 0)
		return;
	m->jobs = jobs;
	m->jobs_said = true;
	if (m->opts->feed.pipe)
		feed_resize(&m->feed, jobs);
}

/* At a time: as many as was said, or as there is room for on the nodes. */
static unsigned jobs_now(const struct map *m)
{
	return m->opts->face->executor && !m->jobs_said ? m->opts->face->cpus(m->ex) : m->jobs;
}

static void jobs_changed(void *ctx, uint64_t jobs)
{
	change_jobs(ctx, jobs, true);
}

/* ---- other events ---- */

void map_more_items(void *ctx)
{
	pcore_pool_kick(((struct map *)ctx)->pool);
}

/* A pipe with no reader, or a socket without a peer. Found out even if no job writes anything. */
static void reader_event(struct pcore_op *op, int res)
{
	struct map *m = container_of(op, struct map, reader_op);

	if (res > 0 && (res & (POLLERR | POLLHUP)))
		lose_reader(m);
}

static void watch_reader(struct map *m)
{
	struct stat st;

	m->reader_op.done = reader_event;
	if (fstat(STDOUT_FILENO, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)))
		(void)pcore_op_poll(m->loop, &m->reader_op, STDOUT_FILENO, POLLERR);
}

static void end_by_signal(struct map *m, int sig)
{
	bool killed = pcore_pool_stopping(m->pool) == PCORE_POOL_KILL;

	if (!m->over)
		record_signal(m->record, sig, m->ended_by != 0);
	if (m->ended_by && m->call.threads)
		cli_die_of(sig); /* a function cannot be ended in another way */
	if (m->ended_by) {
		pcore_pool_stop(m->pool, PCORE_POOL_KILL);
		if (killed) { /* it is the reader of our output that keeps us */
			cli_collator_drop(m->collator);
			workers_drop(&m->workers);
		}
		return;
	}
	m->ended_by = m->workers.ended_by = sig;
	pcore_pool_stop(m->pool, PCORE_POOL_DRAIN);
	pcore_pool_signal(m->pool, sig);
	end_input(m);
}

/* Is there more to do than what has been begun, as far as can be told? */
static bool input_left(const struct map *m)
{
	uint64_t jobs = source_jobs(&m->source);

	if (m->source.ended || m->feed.ended)
		return false;
	return jobs == 0 || pcore_pool_counts(m->pool).submitted < jobs - m->skipped;
}

static void received(struct cli_signals *s, int sig, bool by_process)
{
	struct map *m = container_of(s, struct map, signals);

	(void)by_process; /* the jobs have groups of their own: the terminal's signals do not reach them */
	switch (sig) {
	case SIGHUP:
		m->left = m->hung_up ? m->left : input_left(m);
		m->hung_up = true;
		pcore_pool_stop(m->pool, PCORE_POOL_DRAIN);
		end_input(m);
		break;
	case SIGUSR1:
		change_jobs(m, (uint64_t)jobs_now(m) + 1, false);
		break;
	case SIGUSR2:
		change_jobs(m, jobs_now(m) > 1 ? jobs_now(m) - 1 : 1, false);
		break;
	case SIGTSTP:
		pcore_pool_signal(m->pool, SIGTSTP);
		cli_progress_clear(&m->progress);
		(void)raise(SIGSTOP);
		break;
	case SIGCONT:
		pcore_pool_signal(m->pool, SIGCONT);
		break;
	default:
		end_by_signal(m, sig);
		break;
	}
}

static struct cli_progress_state progress_state(void *ctx)
{
	struct map *m = ctx;
	struct pcore_pool_counts c = pcore_pool_counts(m->pool);
	struct cli_progress_state s = {
		.done = c.succeeded + c.failed,
		.failed = c.failed + m->source.refused,
		.running = m->opts->face->executor ? m->opts->face->running(m->ex)
			: m->opts->workers.worker ? pcore_worker_busy(m->ex) : c.running,
	};

	s.total = m->source.ended || m->feed.ended ? c.submitted : source_jobs(&m->source);
	s.total -= s.total > 0 && !m->source.ended ? m->skipped : 0;
	s.total_known = m->source.ended || m->feed.ended || s.total > 0;
	return s;
}

static bool output_writing(void *ctx)
{
	const struct map *m = ctx;

	return cli_collator_writing(m->collator) || (m->workers.errors && cli_collator_writing(m->workers.errors));
}

/* ---- setting up ---- */

/* -j, or what the file says, or one for each CPU. */
static int count_jobs(struct map *m)
{
	uint64_t wanted = m->opts->jobs;
	int r;

	m->govern = (struct govern){
		.proc = "/proc",
		.opts = &m->opts->govern,
		.ctx = m,
		.hold = hold,
		.kept_waiting = kept_waiting,
		.jobs_changed = jobs_changed,
		.before_message = map_before_message,
	};
	r = govern_prepare(&m->govern, &wanted);
	if (r != CLI_GO)
		return r;
	record_fds(&m->opts->record, &m->fds_ours, &m->fds_a_job);
	m->fds_a_result = m->fds_a_job;
	m->fds_ours += FDS_OURS;
	m->fds_a_job += m->opts->feed.pipe ? FDS_A_JOB + 2 : FDS_A_JOB;
	m->n_limits = cli_job_limits(&m->opts->job, m->limits);
	if (m->opts->face->executor)
		m->jobs = fit_remote(m, wanted ? wanted : REMOTE_JOBS);
	else
		m->jobs = fit_limits(m, wanted ? wanted : cli_cpus(), true);
	m->jobs_said = wanted > 0;
	return CLI_GO;
}

const char *map_tmpdir(void)
{
	const char *dir = getenv("TMPDIR");

	return dir && *dir ? dir : "/tmp";
}

/* How many outputs there may be while one is being written: some more than those of the jobs that can run. */
static size_t collator_window(const struct map *m)
{
	size_t running = m->opts->workers.worker ? (size_t)m->jobs * workers_window(&m->opts->workers) : m->jobs;

	return running * 4 > 64 ? running * 4 : 64;
}

static int make_collator(struct map *m)
{
	const struct map_opts *o = m->opts;
	struct cli_collator_spec spec = {
		.loop = m->loop,
		.mode = o->live ? CLI_LIVE : o->unordered ? CLI_UNORDERED : CLI_ORDERED,
		.buffer = o->buffer,
		.window = collator_window(m),
		.hold = o->job.retry > 0 || o->workers.worker || o->runs_again,
		.tmpdir = map_tmpdir(),
		.ctx = m,
		.resume = resume,
		.room = room,
		.failed = write_failed,
		.before_write = map_before_message,
		.noted = noted,
	};

	return cli_collator_new(&m->collator, &spec) < 0 ? cli_error("out of memory") : CLI_GO;
}

static int make_pool(struct map *m)
{
	const struct map_opts *o = m->opts;
	static const struct pcore_pool_owner owner = {
		.next = map_next,
		.started = started,
		.output = output,
		.again = again,
		.done = done,
		.limited = limited,
		.idle = idle,
	};
	struct pcore_pool_spec spec = {
		.jobs = m->jobs,
		.lingering = fit_lingering(m),
		.retries = o->job.retry,
		.retry_delay = o->job.retry_delay,
		.delay = o->delay,
		.halt = o->halt,
	};
	int r = o->face->executor ? map_make_remote(m) : map_make_executor(m);

	if (!o->face->executor && r < 0)
		return cli_spawn_error(&m->err, o->words[0]);
	if (!m->ex)
		return r;
	if (pcore_pool_new(&m->pool, m->loop, &spec, &owner, m, m->ex) < 0) {
		m->ex->ops->free(m->ex);
		return cli_error("out of memory");
	}
	return o->face->executor ? r : CLI_GO; /* an executor of others that failed has to be closed all the same */
}

static int open_record(struct map *m)
{
	struct record_spec spec = {
		.opts = m->opts,
		.loop = m->loop,
		.keeper = m->keeper,
		.tmpdir = map_tmpdir(),
		.ctx = m,
		.argv = argv_of,
		.before_message = map_before_message,
		.lost = result_lost,
		.room = map_more_items,
		.idle = wind_up,
	};

	return record_open(&m->record, &spec);
}

/* Without being asked: on a terminal, unless it would get between what is typed or printed there by others. */
static bool shows_progress(const struct map *m)
{
	const struct source_opts *o = &m->opts->source;
	bool typed = !o->args && !o->file && isatty(STDIN_FILENO);

	return isatty(STDERR_FILENO) && !typed && !m->opts->raw && !m->call.batched && !m->opts->dry_run;
}

static int set_up(struct map *m)
{
	static const int caught[] = { SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGTSTP, SIGCONT, SIGUSR1, SIGUSR2, 0 };
	int r = map_prepare_command(m);

	if (r == CLI_GO)
		r = cli_loop_new(&m->loop, PCORE_LOOP_AUTO);
	if (r == CLI_GO)
		r = map_open_source(m);
	if (r == CLI_GO)
		r = count_jobs(m);
	if (r == CLI_GO && m->opts->feed.pipe && feed_begin(&m->feed, m->loop, m->jobs, m->opts->job.retry > 0 || m->opts->runs_again) < 0)
		r = cli_error("out of memory");
	if (r == CLI_GO)
		r = make_collator(m);
	if (r == CLI_GO)
		r = make_pool(m);
	if (r == CLI_GO)
		r = open_record(m); /* the last step that can fail for the user's reasons: an old log is emptied */
	if (r != CLI_GO)
		return r;

	r = cli_signals_start(&m->signals, m->loop, caught);
	if (r < 0)
		return cli_error("cannot watch signals: %s", strerror(-r));
	if (!m->opts->record.results)
		watch_reader(m);
	if (!m->opts->dry_run)
		govern_start(&m->govern, m->loop);
	m->progress.style = m->opts->progress_style;
	m->progress.ctx = m;
	m->progress.state = progress_state;
	if (isatty(STDOUT_FILENO))
		m->progress.writing = output_writing;
	if (m->opts->progress || shows_progress(m))
		cli_progress_start(&m->progress, m->loop);
	return CLI_GO;
}

static void tear_down(struct map *m)
{
	struct pcore_list *node;

	pcore_pool_free(m->pool);
	if (m->opts->face->over)
		m->opts->face->over();
	while ((node = pcore_list_pop(&m->held)))
		map_job_free(m, container_of(container_of(node, struct pcore_job, link), struct map_job, job));
	pcore_spare_done(&m->spare);
	record_free(m->record);
	pcore_keeper_free(m->keeper);
	cli_collator_free(m->collator);
	workers_done(&m->workers);
	cli_template_free(m->template);
	cli_fill_free(m->fill);
	source_done(&m->source);
	feed_done(&m->feed);
	call_done(&m->call);
	cli_signals_done(&m->signals);
	pcore_loop_free(m->loop);
	free(m->argv);
	free(m->env);
	free(m->file);
}

static int final_status(const struct map *m)
{
	const struct pcore_pool_halt *h = &m->opts->halt;
	struct pcore_pool_counts c = pcore_pool_counts(m->pool);
	int halted = pcore_pool_halt_status(m->pool);

	if (m->failed && m->opts->face->status && m->opts->face->status())
		return m->opts->face->status();
	if (m->failed || m->source.error || m->feed.error || record_failed(m->record))
		return CLI_FAILURE;
	if (halted >= 0 && h->on_success)
		return CLI_OK;
	if (halted >= 0 && h->when == PCORE_HALT_NOW && h->n == 1 && !h->percent)
		return halted;
	return c.failed + m->source.refused > 0 || m->workers.failed ? CLI_NO : CLI_OK;
}

int map_run(struct map_opts *opts)
{
	struct pcore_pool_counts done;
	struct map m = { .opts = opts, .signals = { .fd = -EBADF, .stopped = true, .received = received }, .source = { .fd = -EBADF } };
	int die_of = 0;
	int status;

	m.spare = PCORE_SPARE_INIT(sizeof(struct map_job), SPARE_MAX);
	pcore_list_init(&m.held);
	status = set_up(&m);

	if (status == CLI_GO) {
		pcore_pool_kick(m.pool);
		status = pcore_loop_run(m.loop);
		status = status < 0 ? cli_error("the event loop failed: %s", strerror(-status)) : final_status(&m);
		done = pcore_pool_counts(m.pool);
		if (!m.ended_by && m.hung_up && (m.left || done.succeeded + done.failed < done.submitted))
			m.ended_by = SIGHUP;
		die_of = m.reader_gone ? SIGPIPE : m.ended_by;
		if (m.ended_by && opts->face->cut_short)
			opts->face->cut_short(m.ended_by, &done);
	} else if (m.pool && opts->face->executor) { /* what it had begun to connect to */
		pcore_pool_stop(m.pool, PCORE_POOL_KILL);
		(void)pcore_loop_run(m.loop);
	}
	tear_down(&m);
	if (die_of)
		cli_die_of(die_of);
	return status;
}
