/* SPDX-License-Identifier: MIT */
/*
 * prun.c - one command (or two that are connected), as many attempts as it may have, and what became of it.
 *
 * An attempt begins with attempt() and ends with settle(), when the last process, the feeder and the readers are gone.
 * Between two attempts the retry timer runs. finish() lets the loop run out.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/prun/run.h"

static void attempt(struct run *r);

static struct cli_attempt *last_attempt(const struct run *r)
{
	return (struct cli_attempt *)(void *)(r->attempts.data + r->attempts.len) - 1;
}

static size_t attempts_made(const struct run *r)
{
	return r->attempts.len / sizeof(struct cli_attempt);
}

/* ---- success and failure ---- */

static int status_of(const struct cli_attempt *a)
{
	return a->timed_out ? CLI_TIMEOUT : pcore_exit_status(&a->exit);
}

static bool succeeded(const struct run *r, const struct cli_attempt *a)
{
	if (a->timed_out || a->exit.code != CLD_EXITED)
		return false;
	return r->opts->expect.given ? prun_has_status(&r->opts->expect, a->exit.status) : a->exit.status == 0;
}

/* The attempt that decides: the first command's, or the second's if that one failed and the first did not. */
static const struct cli_attempt *verdict(const struct run *r)
{
	const struct cli_attempt *first = last_attempt(r), *second = &r->sides[1].attempt;

	return r->sides[1].used && succeeded(r, first) && !succeeded(r, second) ? second : first;
}

static bool try_again(const struct run *r, const struct cli_attempt *a)
{
	const struct prun_opts *o = r->opts;

	if (succeeded(r, a) || r->last_signal || r->failed || r->not_ready || r->output.dropped)
		return false;
	if (!o->until_success && attempts_made(r) > o->job.retry)
		return false;
	return !o->retry_on.given || prun_has_status(&o->retry_on, status_of(a));
}

/* ---- the end ---- */

/* Say to the prun that waits for us what has become of the start. */
static void tell(struct run *r, int status)
{
	if (!r->background || r->told)
		return;
	r->told = true;
	if (status == CLI_GO)
		prun_let_go(r->opts, r->background->dfd);
	(void)pcore_fd_write_all(r->background->ready_fd, &status, sizeof(status));
}

static void finish(struct run *r, int status)
{
	r->over = true;
	r->status = status;
	cli_signals_stop(&r->signals);
	pcore_op_cancel(r->loop, &r->retry_timer);
	pcore_op_cancel(r->loop, &r->ready_timer);
}

static void conclude(struct run *r, const struct cli_attempt *a)
{
	bool success = succeeded(r, a);

	for (int i = 0; r->use_output && i < 2; i++)
		if (r->output.streams[i].truncated)
			cli_warn("cut the standard %s of '%s' at %" PRIu64 " bytes", i ? "error" : "output", r->opts->argv[0],
				r->opts->max_output);
	if (r->use_output)
		output_end(&r->output, !(r->opts->quiet_success && success));
	if (!a->timed_out && !r->not_ready && a->exit.code != CLD_EXITED) /* by the KILL of a second INT or TERM: we end by that */
		r->die_of = r->enders > 1 && r->last_signal ? r->last_signal : a->exit.status;
	if (r->not_ready)
		finish(r, CLI_TIMEOUT);
	else if (success)
		finish(r, CLI_OK);
	else
		finish(r, status_of(a) ? status_of(a) : CLI_NO); /* 0 may be none of --expect */
}

/* The attempt is over and nothing of it is left. */
static void settle(struct run *r)
{
	const struct cli_attempt *a;
	int64_t at;

	if (r->over || !r->sides[0].closed || (r->sides[1].used && !r->sides[1].closed) || r->feeding || r->reading_ready ||
		(r->use_output && output_open(&r->output)) || (r->opts->pty && pty_busy(&r->pty)))
		return;

	if (r->sides[0].proc.exit_error < 0) {
		finish(r, cli_error("lost the status of '%s': %s", r->opts->argv[0], strerror(-r->sides[0].proc.exit_error)));
		return;
	}
	a = verdict(r);
	if (try_again(r, a)) {
		if (r->use_output && r->output.spec.capture)
			output_forget(&r->output);
		at = pcore_ns_add(pcore_now_ns(), r->retry_delay);
		r->retry_delay = (double)r->retry_delay * r->opts->backoff < (double)INT64_MAX / 2
					 ? (int64_t)((double)r->retry_delay * r->opts->backoff)
					 : INT64_MAX;
		if (pcore_op_timer(r->loop, &r->retry_timer, PCORE_CLOCK_MONOTONIC, at) == 0)
			return;
	}
	conclude(r, a);
}

static void retry_due(struct pcore_op *op, int res)
{
	if (res == -ETIME)
		attempt(container_of(op, struct run, retry_timer));
}

/* ---- events of an attempt ---- */

static void proc_event(struct pcore_proc *p, enum pcore_proc_event ev)
{
	struct side *s = container_of(p, struct side, proc);
	struct run *r = s->run;

	switch (ev) {
	case PCORE_PROC_EXITED:
		s->attempt.wall_ns = p->ended_ns - p->started_ns;
		s->attempt.exit = p->exit;
		s->attempt.ran = p->exit_error == 0;
		s->attempt.timed_out = p->killed_by == PCORE_KILLED_TIMEOUT;
		s->out_of_memory = pcore_tree_oom_kills(s->tree) > 0;
		if (s == &r->sides[0]) {
			*last_attempt(r) = s->attempt;
			if (r->feeding)
				pcore_feeder_stop(&r->feeder);
		}
		break;
	case PCORE_PROC_CLOSED:
		s->closed = true;
		if (r->opts->pty)
			pty_end(&r->pty);
		if (s == &r->sides[0] && r->use_output)
			output_finish(&r->output);
		if (s == &r->sides[0] && r->reading_ready)
			pcore_reader_finish(&r->ready_reader);
		settle(r);
		break;
	}
}

static void fed(struct pcore_feeder *f, int res)
{
	struct run *r = container_of(f, struct run, feeder);

	if (res < 0)
		cli_warn("cannot write to the standard input of '%s': %s", r->opts->argv[0], strerror(-res));
	r->feeding = false;
	settle(r);
}

static void end_sides(struct run *r)
{
	for (int i = 0; i < 2; i++)
		if (r->sides[i].used && pcore_proc_alive(&r->sides[i].proc))
			pcore_proc_end(&r->sides[i].proc, SIGTERM, PCORE_KILLED_CANCEL);
}

static void part_ended(void *ctx)
{
	settle(ctx);
}

static void output_failed(void *ctx, int fd, int error)
{
	struct run *r = ctx;
	const char *why = strerror(-error);

	if (error != -EPIPE || fd > STDERR_FILENO) { /* a reader that left is told nothing */
		r->failed = true;
		if (fd <= STDERR_FILENO)
			(void)cli_error("cannot write to standard %s: %s", fd == STDOUT_FILENO ? "output" : "error", why);
		else if (r->opts->tee)
			(void)cli_error("cannot write to '%s': %s", r->opts->tee, why);
		else
			(void)cli_error("cannot write to the log: %s", why);
	}
	end_sides(r);
}

static void is_ready(struct run *r)
{
	pcore_op_cancel(r->loop, &r->ready_timer);
	tell(r, CLI_GO);
}

static void output_ready(void *ctx)
{
	is_ready(ctx);
}

static void ready_data(struct pcore_reader *reader, const char *data, ssize_t n)
{
	struct run *r = container_of(reader, struct run, ready_reader);

	if (n > 0) {
		if (memchr(data, '\n', (size_t)n))
			is_ready(r);
		return;
	}
	r->reading_ready = false;
	settle(r);
}

static void ready_overdue(struct pcore_op *op, int res)
{
	struct run *r = container_of(op, struct run, ready_timer);

	if (res != -ETIME)
		return;
	r->not_ready = true;
	(void)cli_error("'%s' is not ready in time", r->opts->argv[0]);
	tell(r, CLI_TIMEOUT);
	end_sides(r);
}

/* ---- signals ---- */

static void pass_on(struct run *r, int sig)
{
	for (int i = 0; i < 2; i++)
		if (r->sides[i].used && pcore_proc_alive(&r->sides[i].proc))
			(void)pcore_proc_signal(&r->sides[i].proc, sig);
}

/* The letter that /proc has for it; Z when it is dead. */
static char state_of(const struct pcore_proc *p)
{
	char path[48], buf[512];
	const char *end;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", p->pid);
	if (!pcore_proc_alive(p) || pcore_file_read(AT_FDCWD, path, buf, sizeof(buf)) < 0)
		return 'Z';
	end = strrchr(buf, ')');
	return end && end[1] ? end[2] : 'Z';
}

/* How many of the commands are in one of these states? */
static int count_sides(const struct run *r, const char *states)
{
	int n = 0;

	for (int i = 0; i < 2; i++)
		n += r->sides[i].used && strchr(states, state_of(&r->sides[i].proc));
	return n;
}

/*
 * The command was sent TSTP and gets a moment to obey. It may have its reasons not to; but in a process group that no
 * shell watches the kernel does not even deliver TSTP, so where a process asked for the stop, STOP follows. Are we to
 * stop as well?
 */
static bool stop_sides(struct run *r, bool insist)
{
	const struct timespec moment = { .tv_nsec = 5 * NS_PER_MS };
	int sides = r->sides[1].used ? 2 : 1;

	for (int i = 0; i < 20; i++) {
		if (count_sides(r, "Z") == sides)
			return false; /* they are at their end, and so are we */
		if (count_sides(r, "TtZ") == sides)
			return true;
		(void)nanosleep(&moment, NULL);
	}
	if (insist)
		pass_on(r, SIGSTOP);
	return insist;
}

static bool ends_us(int sig)
{
	return sig == SIGINT || sig == SIGTERM || sig == SIGHUP || sig == SIGQUIT;
}

static void kill_sides(struct run *r)
{
	for (int i = 0; i < 2; i++)
		if (r->sides[i].used && r->sides[i].proc.state != PCORE_PROC_NEW)
			pcore_proc_kill(&r->sides[i].proc, PCORE_KILLED_CANCEL);
}

/* In the background prun --kill is the only one who speaks to us: TERM ends the tree, RTMIN carries another signal. */
static void received_in_background(struct run *r, int sig)
{
	if (sig == SIGRTMIN) {
		pcore_proc_signal_tree(&r->sides[0].proc, r->signals.info.ssi_int);
		return;
	}
	r->last_signal = sig;
	if (++r->enders > 1)
		kill_sides(r);
	else
		end_sides(r);
}

/* With a terminal of its own the command gets what ours sends by that one. */
static void received_for_pty(struct run *r, int sig, bool by_process)
{
	if (sig == SIGWINCH)
		pty_resize(&r->pty);
	else if (sig == SIGTSTP)
		pty_stop(&r->pty);
	else if (by_process || !pty_signal(&r->pty, sig))
		pass_on(r, sig);
	if (sig == SIGCONT)
		pty_resume(&r->pty); /* we may be in the foreground again */
}

/* What the terminal sent has reached the command too, unless that has a session of its own. */
static void received(struct cli_signals *s, int sig, bool by_process)
{
	struct run *r = container_of(s, struct run, signals);

	if (r->background)
		received_in_background(r, sig);
	else if (by_process && (sig == SIGINT || sig == SIGTERM) && ++r->enders > 1)
		kill_sides(r);
	else if (r->opts->pty)
		received_for_pty(r, sig, by_process);
	else if (by_process || r->opts->new_session)
		pass_on(r, sig);
	if (ends_us(sig)) {
		r->last_signal = sig;
		if (pcore_op_live(&r->retry_timer)) { /* between two attempts */
			r->die_of = sig;
			finish(r, CLI_SIGNALLED + sig);
		}
	}
	if (sig == SIGTSTP && !r->background && !r->opts->pty && stop_sides(r, by_process))
		(void)raise(SIGSTOP);
}

/* ---- one attempt ---- */

static int take_fd(struct pcore_proc_fd *fds, size_t n, int target)
{
	for (size_t i = 0; i < n; i++)
		if (fds[i].target == target && (fds[i].source == PCORE_FD_PIPE_IN || fds[i].source == PCORE_FD_PIPE_OUT))
			return TAKE_FD(fds[i].fd);
	return -EBADF;
}

static void size_pipe(const struct run *r, int fd)
{
	if (fd >= 0 && r->opts->pipe_size && fcntl(fd, F_SETPIPE_SZ, (int)r->opts->pipe_size) < 0)
		cli_warn("cannot make a pipe hold %d bytes: %s, ignoring", (int)r->opts->pipe_size, strerror(errno));
}

/* Our ends of the first command's pipes begin to work. */
static int start_streams(struct run *r, struct pcore_proc_fd *fds, size_t n)
{
	const struct prun_opts *o = r->opts;
	int in = take_fd(fds, n, 0), out = take_fd(fds, n, 1), error = take_fd(fds, n, 2);
	int ready = run_notify_fd(o) < 0 ? -EBADF : take_fd(fds, n, run_notify_fd(o));
	int e = 0;

	size_pipe(r, in);
	size_pipe(r, out);
	size_pipe(r, error);
	if (o->pty) {
		pty_started(&r->pty);
		out = fcntl(r->pty.master, F_DUPFD_CLOEXEC, 3);
		e = out < 0 ? -errno : pty_start(&r->pty, r->loop, &r->sides[0].proc);
	}
	if (in >= 0) {
		e = pcore_feeder_start(&r->feeder, r->loop, in, o->in_data, strlen(o->in_data));
		r->feeding = e == 0;
	}
	if (e == 0 && r->use_output)
		e = output_start(&r->output, out, error);
	if (e == 0 && ready >= 0) {
		e = pcore_reader_start(&r->ready_reader, r->loop, ready);
		r->reading_ready = e == 0;
	}
	return e < 0 ? pcore_err_set(&r->err, e, PCORE_STEP_PIPE, "") : 0;
}

static int start_side(struct run *r, struct side *s, const int pipes[4])
{
	struct pcore_proc_fd fds[PCORE_PROC_FDS_MAX] = { { .target = 0 } };
	struct pcore_proc_times times = cli_job_times(&r->opts->job);
	struct pcore_proc_spec spec;
	int error;

	cli_job_spec(&r->opts->job, &spec);
	spec.argv = s->argv;
	spec.file = s->file;
	spec.limits = r->limits;
	spec.n_limits = r->n_limits;
	spec.envp = r->env;
	spec.sandbox = r->sandbox;
	spec.new_session = r->opts->new_session || r->opts->pty;
	spec.set_ctty = r->opts->pty;
	spec.fds = fds;
	error = r->opts->pty ? pty_renew(&r->pty) : 0;
	if (error < 0)
		return pcore_err_set(&r->err, error, PCORE_STEP_OPEN, "/dev/ptmx");
	run_describe_fds(r, s, pipes, fds, &spec.n_fds);
	s->closed = false;
	s->attempt = (struct cli_attempt){ .start_ns = pcore_clock_ns(CLOCK_REALTIME) };
	error = pcore_proc_start(&s->proc, r->loop, s->tree, &spec, &times, &r->err);
	if (error == 0 && s == &r->sides[0])
		error = start_streams(r, fds, spec.n_fds);
	return error;
}

static void started(struct run *r)
{
	char text[24];

	if (r->background) {
		(void)snprintf(text, sizeof(text), "%d\n", r->sides[0].proc.pid);
		(void)cli_job_write(r->background->dfd, "pid", text, strlen(text));
	}
	if (!r->opts->notify_ready)
		tell(r, CLI_GO);
	else if (!r->told && r->opts->ready_timeout != INT64_MAX && !pcore_op_live(&r->ready_timer))
		(void)pcore_op_timer(r->loop, &r->ready_timer, PCORE_CLOCK_MONOTONIC,
			pcore_ns_add(pcore_now_ns(), r->opts->ready_timeout));
}

static void close_pipes(int pipes[4])
{
	for (int i = 0; i < 4; i++)
		pipes[i] = pcore_fd_close(pipes[i]);
}

/* A side that could not be started takes the other one with it. */
static void start_failed(struct run *r, const struct side *s)
{
	int status;

	if (r->opts->pty)
		pty_end(&r->pty); /* before a message goes to our terminal */
	status = cli_spawn_error(&r->err, s->file ? s->file : s->argv[0]);
	r->sides[s - r->sides].closed = true;
	if (r->use_output)
		output_end(&r->output, false);
	r->failed = status == CLI_FAILURE;
	finish(r, status);
	kill_sides(r);
}

static void attempt(struct run *r)
{
	int pipes[4] = { -EBADF, -EBADF, -EBADF, -EBADF };
	struct side *s = &r->sides[0];
	int error = 0;

	r->sides[0].attempt = (struct cli_attempt){ .start_ns = pcore_clock_ns(CLOCK_REALTIME) };
	if (pcore_buf_add(&r->attempts, &s->attempt, sizeof(s->attempt)) < 0) {
		finish(r, cli_error("out of memory"));
		return;
	}
	if (r->opts->connect && (pipe2(pipes, O_CLOEXEC) < 0 || pipe2(pipes + 2, O_CLOEXEC) < 0))
		error = pcore_err_set(&r->err, -errno, PCORE_STEP_PIPE, "");
	if (error == 0)
		error = start_side(r, s, pipes);
	if (error == 0 && r->sides[1].used) {
		s = &r->sides[1];
		error = start_side(r, s, pipes);
	}
	close_pipes(pipes);
	if (error < 0)
		start_failed(r, s);
	else
		started(r);
}

/* ---- the whole ---- */

static int set_up_output(struct run *r)
{
	const struct prun_opts *o = r->opts;
	struct output_spec spec = {
		.capture = o->capture || o->quiet_success,
		.timestamps = o->timestamps,
		.buffer = o->buffer,
		.max = o->max_output,
		.logs = r->background ? r->logs : NULL,
		.ready_line = o->notify_ready && run_notify_fd(o) < 0 ? o->notify_ready + strlen("line:") : NULL,
		.ctx = r,
		.closed = part_ended,
		.ready = output_ready,
		.failed = output_failed,
	};

	if (o->tee) {
		r->tee_fd = open(o->tee, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | (o->append ? O_APPEND : O_TRUNC), 0666);
		if (r->tee_fd < 0)
			return cli_error("cannot open '%s': %s", o->tee, strerror(errno));
	}
	spec.tee_fd = r->tee_fd;
	r->use_output = prun_reads_output(o);
	if (r->use_output && output_init(&r->output, r->loop, &spec) < 0)
		return cli_error("out of memory");
	return CLI_GO;
}

static int set_up_logs(struct run *r)
{
	static const char *const names[] = { "stdout", "stderr" };
	int error = 0;

	for (int i = 0; r->background && i < 2 && error == 0; i++)
		error = cli_log_open(&r->logs[i], r->background->dfd, names[i], UINT64_C(16) << 20);
	return error < 0 ? cli_error("cannot open the log: %s", strerror(-error)) : CLI_GO;
}

static int set_up_commands(struct run *r)
{
	const struct prun_opts *o = r->opts;
	size_t n = 0;

	r->sides[0].argv = o->argv;
	r->sides[0].used = true;
	if (o->argv0) {
		while (o->argv[n])
			n++;
		r->argv0 = calloc(n + 1, sizeof(*r->argv0));
		if (!r->argv0)
			return cli_error("out of memory");
		memcpy(r->argv0, o->argv, n * sizeof(*r->argv0));
		r->argv0[0] = (char *)o->argv0;
		r->sides[0].file = o->argv[0];
		r->sides[0].argv = r->argv0;
	}
	if (o->connect) {
		r->connect_argv[0] = (char *)"/bin/sh";
		r->connect_argv[1] = (char *)"-c";
		r->connect_argv[2] = (char *)"--"; /* what follows is no option, however it begins */
		r->connect_argv[3] = (char *)o->connect;
		r->sides[1].argv = r->connect_argv;
		r->sides[1].used = true;
	}
	return CLI_GO;
}

static int set_up_trees(struct run *r)
{
	bool namespace = r->opts->pid_namespace || (r->sandbox && r->sandbox->tree_namespaces);
	int error = pcore_keeper_new(&r->keeper, !r->opts->connect, namespace, &r->err);

	for (int i = 0; i < 2 && error == 0; i++)
		if (r->sides[i].used)
			error = pcore_tree_new(&r->sides[i].tree, r->keeper, &r->err);
	return error < 0 ? cli_spawn_error(&r->err, r->opts->argv[0]) : CLI_GO;
}

static int set_up_pty(struct run *r)
{
	int error = 0;

	if (r->opts->pty) {
		r->pty.ctx = r;
		r->pty.idle = part_ended;
		error = pty_open(&r->pty);
	}
	return error < 0 ? cli_error("cannot make a terminal: %s", strerror(-error)) : CLI_GO;
}

static int set_up(struct run *r)
{
	static const int caught[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT, SIGTSTP, 0 };
	const int caught_in_background[] = { SIGTERM, SIGRTMIN, 0 };
	int error, status = run_take_lock(r);
	size_t n;

	if (status == CLI_GO && r->opts->report)
		status = cli_report_open(r->opts->report, &r->report_fd);
	if (status == CLI_GO)
		status = prun_sandbox_make(r->opts, &r->sandbox);
	if (status == CLI_GO)
		status = set_up_commands(r);
	if (status != CLI_GO)
		return status;

	r->env = cli_job_env(&r->opts->job, 0, &n);
	if (!r->env)
		return cli_error("out of memory");
	status = cli_loop_new(&r->loop, PCORE_LOOP_EPOLL);
	if (status == CLI_GO)
		status = set_up_logs(r);
	if (status == CLI_GO)
		status = set_up_pty(r);
	if (status == CLI_GO)
		status = set_up_output(r);
	if (status == CLI_GO)
		status = set_up_trees(r);
	if (status == CLI_GO)
		status = run_set_limits(r);
	if (status != CLI_GO)
		return status;

	error = cli_signals_start(&r->signals, r->loop, r->background ? caught_in_background : caught);
	return error < 0 ? cli_error("cannot watch signals: %s", strerror(-error)) : CLI_GO;
}

static void tear_down(struct run *r)
{
	for (int i = 0; i < 2; i++)
		pcore_tree_free(r->sides[i].tree);
	pcore_keeper_free(r->keeper);
	pcore_sandbox_free(r->sandbox);
	if (r->use_output)
		output_done(&r->output);
	if (r->opts->pty)
		pty_done(&r->pty);
	cli_signals_done(&r->signals);
	pcore_loop_free(r->loop);
	pcore_lock_free(r->lock);
	for (int i = 0; r->background && i < 2; i++)
		cli_log_close(&r->logs[i]);
	r->tee_fd = pcore_fd_close(r->tee_fd);
	r->report_fd = pcore_fd_close(r->report_fd);
	pcore_buf_done(&r->attempts);
	free(r->argv0);
	free(r->env);
}

int prun(struct prun_opts *opts, const struct prun_background *background)
{
	bool report = opts->report || background;
	struct run r = {
		.opts = opts,
		.background = background,
		.report_fd = -EBADF,
		.tee_fd = -EBADF,
		.pty = { .master = -EBADF, .slave = -EBADF },
		.signals = { .fd = -EBADF, .received = received },
		.feeder = { .done = fed },
		.retry_timer = { .done = retry_due },
		.ready_timer = { .done = ready_overdue },
		.retry_delay = opts->job.retry_delay,
		.logs = { { .fd = -EBADF }, { .fd = -EBADF } },
	};
	int status;

	for (int i = 0; i < 2; i++) {
		r.sides[i].run = &r;
		r.sides[i].proc = (struct pcore_proc){ .event = proc_event, .want_io = report, .pidfd = -EBADF };
	}
	r.ready_reader.data = ready_data;
	r.ready_reader.buf = r.ready_buf;
	r.ready_reader.buf_size = sizeof(r.ready_buf);
	status = set_up(&r);
	if (status == CLI_GO) {
		attempt(&r);
		status = pcore_loop_run(r.loop);
		if (r.failed)
			r.status = CLI_FAILURE;
		else if (r.output.dropped)
			r.die_of = SIGPIPE;
		status = status < 0 ? cli_error("the event loop failed: %s", strerror(-status)) : r.status;
		if (report)
			status = run_write_report(&r);
	} else if (r.err.code < 0 && r.report_fd >= 0) { /* there is no place for the command to run in */
		r.status = status;
		status = run_write_report(&r);
	}
	if (background && !r.told && opts->notify_ready && r.sides[0].proc.pid) {
		(void)cli_error("'%s' ended before it was ready", opts->argv[0]);
		status = status ? status : CLI_NO;
	}
	tell(&r, status);
	tear_down(&r);
	if (r.die_of && status != CLI_FAILURE && !background)
		cli_die_of(r.die_of);
	return status;
}
