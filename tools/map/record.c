/* SPDX-License-Identifier: MIT */
/*
 * record.c - what a run leaves behind.
 */
#include "tools/map/record.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/cli/joblog.h"
#include "tools/map/onerror.h"
#include "tools/map/map.h"

#define AT(member) offsetof(struct record_opts, member)

struct record {
	struct record_spec spec;
	const struct record_opts *opts;
	struct cli_joblog_set before; /* what the log says of earlier runs */
	struct file {
		const char *name;
		int fd; /* -EBADF: not asked for, or given up */
		bool keep;
		int64_t size; /* of what is kept */
	} log, json;
	struct results *results;
	struct on_error *on_error;
	struct pcore_buf line, command;
	int ended_by;
	bool failed, result_lost;
};

/* ---- options ---- */

const struct cli_opt record_table[] = {
	{ .name = "Record", .kind = CLI_OPT_HEADING },
	{ .name = "log", .kind = CLI_OPT_STRING, .arg = "FILE", .offset = AT(log), .help = "a line a job, as GNU parallel's --joblog; +FILE: add to it" },
	{ .name = "log-json", .kind = CLI_OPT_STRING, .arg = "FILE", .offset = AT(log_json), .help = "a JSON object a job; +FILE: add to it" },
	{ .name = "resume", .kind = CLI_OPT_FLAG, .offset = AT(resume), .help = "leave out the jobs that --log has" },
	{ .name = "resume-failed", .kind = CLI_OPT_FLAG, .offset = AT(resume_failed), .help = "leave out those that --log has as successful" },
	{ .name = "results", .kind = CLI_OPT_STRING, .arg = "DIR|FILE", .offset = AT(results), .help = "keep output in DIR/N/, FILE.json or FILE.csv" },
	{ .name = "on-error", .kind = CLI_OPT_STRING, .arg = "CMD", .offset = AT(on_error), .help = "sh -c CMD for each failed job; $1 is its item" },
	{ .name = NULL },
};

static bool resuming(const struct record_opts *o)
{
	return o->resume || o->resume_failed;
}

int record_check(const struct map_opts *o)
{
	const struct record_opts *r = &o->record;

	if (resuming(r) && !r->log)
		return cli_usage("%s needs --log, which says what was done", r->resume ? "--resume" : "--resume-failed");
	if (o->dry_run && (r->log || r->log_json || r->results || r->on_error))
		return cli_usage("--dry-run runs nothing, so that --log, --log-json, --results and --on-error have nothing to do");
	if (r->results && (o->raw || o->live || o->tag || o->unordered))
		return cli_usage("--results prints no output: --raw, --live, --tag and --unordered do not go with it");
	if (r->on_error && !*r->on_error)
		return cli_opt_bad("on-error", r->on_error, "must be a command");
	if (r->results && !*r->results)
		return cli_opt_bad("results", r->results, "must be a directory, or a file that ends in .json or .csv");
	return CLI_GO;
}

void record_fds(const struct record_opts *o, size_t *ours, size_t *a_job)
{
	*ours = 3; /* two logs, and the directory or file of the results */
	if (o->on_error)
		*ours += 6 * ON_ERROR_JOBS;
	*a_job = o->results ? 2 : 0;
}

/* ---- opening ---- */

static int cannot(const char *what, const char *name, int error)
{
	return cli_error("cannot %s '%s': %s", what, name, strerror(-error));
}

static int read_lines(struct record *r, FILE *f, char **line, size_t *cap)
{
	ssize_t len;

	for (uint64_t n = 1; (len = getline(line, cap, f)) > 0; n++) {
		struct cli_joblog_entry e = { .seq = 0 };
		int error;

		if ((*line)[len - 1] == '\n')
			(*line)[--len] = '\0';
		error = cli_joblog_parse(*line, (size_t)len, &e);
		if (error < 0)
			return cli_error("cannot resume: line %" PRIu64 " of '%s' is no line of a job log", n, r->log.name);
		if (error > 0 && cli_joblog_set_add(&r->before, &e) < 0)
			return cli_error("out of memory");
	}
	return ferror(f) ? cannot("read", r->log.name, -errno) : CLI_GO;
}

/* The log is open, and has whole lines only. */
static int read_log(struct record *r)
{
	_cleanup_(freep) char *line = NULL;
	size_t cap = 0;
	struct stat st;
	FILE *f;
	int status;

	if (fstat(r->log.fd, &st) < 0 || !S_ISREG(st.st_mode))
		return cli_error("cannot resume: '%s' is no ordinary file", r->log.name);
	f = fopen(r->log.name, "re");
	if (!f)
		return cannot("read", r->log.name, -errno);
	status = read_lines(r, f, &line, &cap);
	(void)fclose(f);
	cli_joblog_set_sort(&r->before);
	return status;
}

/* "+FILE" is added to, as is every file of a run that is resumed. What was torn when a line was written goes. */
static int open_file(struct file *f, const char *word, bool keep)
{
	int error = 0;

	f->name = word[0] == '+' ? word + 1 : word;
	f->keep = keep || word[0] == '+';
	f->fd = open(f->name, (f->keep ? O_RDWR : O_WRONLY) | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
	if (f->fd < 0)
		return cannot("open", f->name, -errno);
	if (f->keep)
		error = results_cut_torn(f->fd, false, &f->size);
	return error < 0 ? cannot("add to", f->name, error) : CLI_GO;
}

/* Nothing can be refused any more: what an earlier run has left may go. A device cannot be emptied. */
static int begin_file(struct file *f)
{
	if (f->fd >= 0 && !f->keep && ftruncate(f->fd, 0) < 0 && errno != EINVAL)
		return cannot("empty", f->name, -errno);
	return CLI_GO;
}

static void write_lines(struct record *r, struct file *f, const char *lines, size_t len)
{
	int error = pcore_fault("log", NULL);

	if (f->fd < 0)
		return;
	if (error == 0)
		error = pcore_fd_write_all(f->fd, lines, len);
	if (error == 0)
		return;
	/* What follows would be glued to a part of a line, and a log with holes says less than one that ends. */
	r->spec.before_message(r->spec.ctx);
	(void)cli_error("cannot write to the log '%s': %s; no more is written to it", f->name, strerror(-error));
	f->fd = pcore_fd_close(f->fd);
	r->failed = true;
}

static int open_logs(struct record *r)
{
	const struct record_opts *o = r->opts;
	int status = CLI_GO;

	if (o->log)
		status = open_file(&r->log, o->log, resuming(o));
	if (status == CLI_GO && resuming(o))
		status = read_log(r);
	if (status == CLI_GO && o->log_json)
		status = open_file(&r->json, o->log_json, resuming(o));
	return status;
}

static int begin_logs(struct record *r)
{
	int status = begin_file(&r->log);

	if (status == CLI_GO)
		status = begin_file(&r->json);
	if (status != CLI_GO || r->log.fd < 0 || r->log.size > 0)
		return status;
	pcore_buf_clear(&r->line);
	if (pcore_buf_adds(&r->line, CLI_JOBLOG_HEADER) < 0)
		return cli_error("out of memory");
	write_lines(r, &r->log, r->line.data, r->line.len);
	return CLI_GO;
}

int record_open(struct record **ret, const struct record_spec *spec)
{
	const struct record_opts *o = &spec->opts->record;
	struct record *r;
	int status = CLI_GO;

	*ret = NULL;
	if (!o->log && !o->log_json && !o->results && !o->on_error)
		return CLI_GO;
	r = calloc(1, sizeof(*r));
	if (!r)
		return cli_error("out of memory");

	r->spec = *spec;
	r->opts = o;
	r->log.fd = r->json.fd = -EBADF;
	if (o->on_error) {
		struct on_error_spec on_error = {
			.loop = spec->loop,
			.keeper = spec->keeper,
			.command = o->on_error,
			.tmpdir = spec->tmpdir,
			.ctx = spec->ctx,
			.room = spec->room,
			.idle = spec->idle,
			.before_write = spec->before_message,
		};

		status = on_error_new(&r->on_error, &on_error);
	}
	if (status == CLI_GO)
		status = open_logs(r);
	if (status == CLI_GO && o->results)
		status = results_open(&r->results, o->results, resuming(o), spec->tmpdir);
	if (status == CLI_GO)
		status = begin_logs(r);
	if (status == CLI_GO)
		*ret = r;
	else
		record_free(r);
	return status;
}

void record_free(struct record *r)
{
	if (!r)
		return;

	on_error_free(r->on_error);
	results_close(r->results);
	r->log.fd = pcore_fd_close(r->log.fd);
	r->json.fd = pcore_fd_close(r->json.fd);
	cli_joblog_set_done(&r->before);
	pcore_buf_done(&r->line);
	pcore_buf_done(&r->command);
	free(r);
}

/* ---- resuming ---- */

uint64_t record_last(const struct record *r)
{
	return r ? cli_joblog_set_last(&r->before) : 0;
}

/* The Command column: 0, -ENOMEM. */
static int make_command(struct record *r, struct pcore_job *job)
{
	char *const *argv = r->spec.argv(r->spec.ctx, job, 0);

	pcore_buf_clear(&r->command);
	if (!argv || cli_joblog_command(&r->command, argv, r->spec.opts->shell) < 0)
		return -ENOMEM;
	return pcore_buf_terminate(&r->command);
}

int record_admit(struct record *r, struct pcore_job *job)
{
	const struct cli_joblog_entry *e = cli_joblog_set_find(&r->before, job->seq);
	int error;

	if (!e)
		return 1;
	error = make_command(r, job);
	if (error < 0) {
		(void)cli_error("out of memory");
		return error;
	}
	if (cli_joblog_hash(r->command.data, r->command.len) != e->hash) {
		(void)cli_error("cannot resume: job %" PRIu64 " is not the one that '%s' has by that number: %.*s", job->seq,
			r->log.name, r->command.len < 200 ? (int)r->command.len : 200, r->command.data);
		return -EINVAL;
	}
	return e->failed && r->opts->resume_failed;
}

void record_ends_early(struct record *r, uint64_t seq)
{
	(void)cli_error("cannot resume: '%s' has a job %" PRIu64 ", but the input ends after %" PRIu64, r->log.name,
		record_last(r), seq);
}

/* ---- a job ---- */

void record_job_init(struct record_job *j, const struct cli_item *items, size_t n_items)
{
	*j = (struct record_job){ .items = items, .n_items = n_items };
	results_job_init(&j->results);
}

void record_job_done(struct record_job *j)
{
	results_job_done(&j->results);
	free(j->attempts);
}

bool record_has_room(const struct record *r)
{
	return !r || !r->on_error || on_error_has_room(r->on_error);
}

/* Told once: the run ends here. What goes to one file is held in TMPDIR until the job is over. */
static void lose_result(struct record *r, struct record_job *j, int error, bool over)
{
	bool held = !over && results_is_file(r->opts->results);

	j->lost = true;
	if (r->result_lost)
		return;
	r->result_lost = r->failed = true;
	r->spec.before_message(r->spec.ctx);
	(void)cli_error("cannot %s '%s': %s", held ? "hold results in" : "write results to", held ? r->spec.tmpdir : r->opts->results,
		strerror(-error));
	r->spec.lost(r->spec.ctx);
}

static void begin_result(struct record *r, struct record_job *j, const struct pcore_job *job)
{
	int error = r->results && !j->lost ? results_begin(r->results, &j->results, job->seq, j->items, j->n_items) : 0;

	if (error < 0)
		lose_result(r, j, error, false);
}

void record_started(struct record *r, struct record_job *j, const struct pcore_job *job)
{
	if (r)
		begin_result(r, j, job);
}

bool record_output(struct record *r, struct record_job *j, enum pcore_job_stream stream, const char *data, size_t len)
{
	int error = 0;

	if (!r)
		return false;
	j->bytes[stream] += len;
	if (r->results && !j->lost)
		error = results_add(&j->results, stream, data, len);
	if (error < 0)
		lose_result(r, j, error, false);
	return r->results != NULL;
}

static void note_attempt(struct record_job *j, const struct pcore_job_result *res)
{
	struct cli_attempt *attempts = reallocarray(j->attempts, j->n_attempts + 1, sizeof(*attempts));

	if (!attempts)
		return;
	attempts[j->n_attempts++] = (struct cli_attempt){
		.start_ns = res->start_ns,
		.wall_ns = res->wall_ns,
		.exit = res->exit,
		.ran = res->error.code == 0,
		.timed_out = res->timed_out,
	};
	j->attempts = attempts;
}

void record_again(struct record *r, struct record_job *j, const struct pcore_job *job)
{
	int error = 0;

	if (!r)
		return;
	j->bytes[0] = j->bytes[1] = 0;
	if (r->json.fd >= 0)
		note_attempt(j, &job->result);
	if (r->results && !j->lost)
		error = results_forget(&j->results);
	if (error < 0)
		lose_result(r, j, error, false);
}

/* ---- when a job has finished ---- */

static bool died(const struct pcore_job_result *res)
{
	return res->error.code == 0 && res->exit.code != CLD_EXITED;
}

static void write_log(struct record *r, const struct record_job *j, struct pcore_job *job, struct cli_output *output)
{
	const struct pcore_job_result *res = &job->result;
	struct cli_joblog_line l = {
		.seq = job->seq,
		.start_ns = res->start_ns,
		.wall_ns = res->wall_ns,
		.sent = j->sent,
		.received = j->bytes[PCORE_JOB_STDOUT],
		.host = res->node,
		.exit = res->timed_out ? -1 : died(res) ? 0 : pcore_job_status(job),
		.signal = died(res) ? res->exit.status : res->timed_out ? r->spec.opts->job.signal : 0,
	};
	int error = make_command(r, job);

	pcore_buf_clear(&r->line);
	if (error == 0)
		error = cli_joblog_add(&r->line, &l, r->command.data, r->command.len);
	if (error == 0 && output)
		error = cli_output_note(output, r->line.data, r->line.len);
	else if (error == 0)
		write_lines(r, &r->log, r->line.data, r->line.len);
	if (error == 0)
		return;
	r->failed = true;
	(void)cli_error("cannot write job %" PRIu64 " to the log '%s': %s", job->seq, r->log.name, strerror(-error));
}

static const char *killed_by(const struct record *r, const struct pcore_job *job, char buf[static 32])
{
	const struct pcore_job_result *res = &job->result;
	char name[PCORE_SIGNAL_NAME_MAX];

	if (res->timed_out)
		return "timeout";
	if (res->cancelled)
		return "cancel";
	if (!r->ended_by || !died(res) || res->exit.status != r->ended_by)
		return NULL;
	(void)snprintf(buf, 32, "signal:%s", pcore_signal_name(r->ended_by, name));
	return buf;
}

static void write_json(struct record *r, struct record_job *j, struct pcore_job *job)
{
	const struct pcore_job_result *res = &job->result;
	char by[32];
	struct cli_report report = {
		.seq = job->seq,
		.slot = job->slot,
		.node = res->node,
		.argv = r->spec.argv(r->spec.ctx, job, job->slot),
		.pid = res->pid,
		.killed_by = killed_by(r, job, by),
		.setup_error = res->error.code < 0 ? &res->error : NULL,
		.survivors = res->survivors,
		.output_bytes = r->spec.opts->raw ? NULL : j->bytes,
	};
	int error = report.argv ? 0 : -ENOMEM;

	note_attempt(j, res);
	report.attempts = j->attempts;
	report.n_attempts = j->n_attempts;
	pcore_buf_clear(&r->line);
	if (error == 0)
		error = cli_report_write(&r->line, &report);
	if (error == 0) {
		write_lines(r, &r->json, r->line.data, r->line.len);
		return;
	}
	r->failed = true;
	(void)cli_error("cannot write job %" PRIu64 " to the log '%s': %s", job->seq, r->json.name, strerror(-error));
}

void record_written(struct record *r, const char *lines, size_t len)
{
	write_lines(r, &r->log, lines, len);
}

void record_done(struct record *r, struct record_job *j, struct pcore_job *job, struct cli_output *output)
{
	bool success = pcore_job_succeeded(job);
	bool cut_short = !success && (job->result.cancelled || (r && r->ended_by));
	int error = 0;

	if (!r || job->state != PCORE_JOB_DONE)
		return;
	if (r->results && !cut_short) {
		begin_result(r, j, job);
		if (!j->lost)
			error = results_finish(r->results, &j->results, job, j->items, j->n_items);
		if (error < 0)
			lose_result(r, j, error, true);
	}
	if (r->json.fd >= 0)
		write_json(r, j, job);
	if (r->log.fd >= 0 && !cut_short && !j->lost)
		write_log(r, j, job, output);
	if (r->on_error && !success && !cut_short &&
		on_error_add(r->on_error, job->seq, pcore_job_status(job), j->items, j->n_items) < 0) {
		r->failed = true;
		(void)cli_error("out of memory; the --on-error command of job %" PRIu64 " is not run", job->seq);
	}
}

/* ---- the end ---- */

void record_signal(struct record *r, int sig, bool again)
{
	if (!r)
		return;
	if (!again)
		r->ended_by = sig;
	if (r->on_error)
		on_error_signal(r->on_error, sig, again);
}

bool record_close(struct record *r)
{
	return !r || !r->on_error || on_error_close(r->on_error);
}

bool record_failed(const struct record *r)
{
	return r && r->failed;
}
