/* SPDX-License-Identifier: MIT */
/*
 * prun.c - one command, as many attempts as it may have, and what became of it.
 *
 * An attempt begins with attempt() and ends with settle(), when its last process and the feeder are gone. Between two
 * attempts the retry timer runs. finish() stops the loop.
 */
#include "tools/prun/prun.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/cli/report.h"
#include "tools/cli/signals.h"

struct run {
	const struct prun_opts *opts;
	struct pcore_loop *loop;
	struct pcore_keeper *keeper;
	struct pcore_tree *tree;
	char **env;
	int report_fd;

	struct cli_signals signals;
	struct pcore_proc proc;
	struct pcore_feeder feeder;
	struct pcore_op retry_timer;
	bool feeding, closed;

	struct pcore_buf attempts; /* of struct cli_attempt */
	struct pcore_err err;
	int last_signal; /* received from a process or the terminal */
	int enders;	 /* how many INT and TERM a process sent */
	int status;
	int die_of; /* the signal that the command, or our waiting for another try, died of */
};

static void attempt(struct run *r);

static struct cli_attempt *last_attempt(struct run *r)
{
	if (r->attempts.len == 0)
		return NULL;
	return (struct cli_attempt *)(void *)(r->attempts.data + r->attempts.len) - 1;
}

static void finish(struct run *r, int status)
{
	r->status = status;
	cli_signals_stop(&r->signals);
	pcore_op_cancel(r->loop, &r->retry_timer);
}

static size_t attempts_made(const struct run *r)
{
	return r->attempts.len / sizeof(struct cli_attempt);
}

static bool failed(const struct cli_attempt *a)
{
	return a->timed_out || a->exit.code != CLD_EXITED || a->exit.status != 0;
}

/* The attempt is over and nothing of it is left. */
static void settle(struct run *r)
{
	const struct cli_attempt *a = last_attempt(r);
	int64_t at;

	if (!r->closed || r->feeding)
		return;

	if (r->proc.exit_error < 0) {
		finish(r, cli_error("lost the status of '%s': %s", r->opts->argv[0], strerror(-r->proc.exit_error)));
		return;
	}
	if (failed(a) && attempts_made(r) <= r->opts->job.retry && !r->last_signal) {
		at = pcore_ns_add(pcore_now_ns(), r->opts->job.retry_delay);
		if (pcore_op_timer(r->loop, &r->retry_timer, PCORE_CLOCK_MONOTONIC, at) == 0)
			return;
	}
	if (!a->timed_out && a->exit.code != CLD_EXITED) /* killed by the second INT or TERM: we end by that */
		r->die_of = r->proc.killed_by == PCORE_KILLED_CANCEL ? r->last_signal : a->exit.status;
	finish(r, a->timed_out ? CLI_TIMEOUT : pcore_exit_status(&a->exit));
}

static void retry_due(struct pcore_op *op, int res)
{
	struct run *r = container_of(op, struct run, retry_timer);

	if (res == -ETIME)
		attempt(r);
}

static void proc_event(struct pcore_proc *p, enum pcore_proc_event ev)
{
	struct run *r = container_of(p, struct run, proc);
	struct cli_attempt *a = last_attempt(r);

	switch (ev) {
	case PCORE_PROC_EXITED:
		a->wall_ns = p->ended_ns - p->started_ns;
		a->exit = p->exit;
		a->ran = p->exit_error == 0;
		a->timed_out = p->killed_by == PCORE_KILLED_TIMEOUT;
		if (r->feeding)
			pcore_feeder_stop(&r->feeder);
		break;
	case PCORE_PROC_CLOSED:
		r->closed = true;
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

/* ---- signals ---- */

static void stop_ourselves(void)
{
	(void)raise(SIGSTOP);
}

static void pass_on(struct run *r, int sig)
{
	if (pcore_proc_alive(&r->proc))
		(void)pcore_proc_signal(&r->proc, sig);
}

static bool ends_us(int sig)
{
	return sig == SIGINT || sig == SIGTERM || sig == SIGHUP || sig == SIGQUIT;
}

/* What the terminal sent has reached the command too, unless that has a session of its own. */
static void received(struct cli_signals *s, int sig, bool by_process)
{
	struct run *r = container_of(s, struct run, signals);

	if (ends_us(sig))
		r->last_signal = sig;
	if (by_process && (sig == SIGINT || sig == SIGTERM) && ++r->enders > 1) {
		if (r->proc.state != PCORE_PROC_NEW)
			pcore_proc_kill(&r->proc, PCORE_KILLED_CANCEL);
	} else if (by_process || r->opts->new_session) {
		pass_on(r, sig);
	}
	if (ends_us(sig) && pcore_op_live(&r->retry_timer)) { /* between two attempts */
		r->die_of = sig;
		finish(r, CLI_SIGNALLED + sig);
	}
	if (sig == SIGTSTP)
		stop_ourselves();
}

/* ---- one attempt ---- */

static int output_flags(const struct run *r)
{
	bool first = attempts_made(r) <= 1;

	return O_WRONLY | O_CREAT | (r->opts->append || !first ? O_APPEND : O_TRUNC);
}

static void add_fd(struct pcore_proc_spec *spec, struct pcore_proc_fd fd)
{
	spec->fds[spec->n_fds++] = fd;
}

static void describe_fds(const struct run *r, struct pcore_proc_spec *spec)
{
	const struct prun_opts *o = r->opts;
	int flags = output_flags(r);

	if (o->in_data)
		add_fd(spec, (struct pcore_proc_fd){ .target = 0, .source = PCORE_FD_PIPE_IN });
	else if (o->in && strcmp(o->in, "null") == 0)
		add_fd(spec, (struct pcore_proc_fd){ .target = 0, .source = PCORE_FD_NULL });
	else if (o->in)
		add_fd(spec, (struct pcore_proc_fd){ .target = 0, .source = PCORE_FD_FILE, .path = o->in, .flags = O_RDONLY });
	if (o->out)
		add_fd(spec, (struct pcore_proc_fd){ .target = 1, .source = PCORE_FD_FILE, .path = o->out, .flags = flags, .mode = 0666 });
	if (o->error && (strcmp(o->error, "stdout") == 0 || (o->out && strcmp(o->error, o->out) == 0)))
		add_fd(spec, (struct pcore_proc_fd){ .target = 2, .source = PCORE_FD_SAME, .fd = 1 });
	else if (o->error)
		add_fd(spec, (struct pcore_proc_fd){ .target = 2, .source = PCORE_FD_FILE, .path = o->error, .flags = flags, .mode = 0666 });
}

static int start(struct run *r)
{
	struct pcore_proc_fd fds[3] = { { .target = 0 } };
	struct pcore_proc_times times = cli_job_times(&r->opts->job);
	struct pcore_proc_spec spec;
	int error;

	cli_job_spec(&r->opts->job, &spec);
	spec.argv = r->opts->argv;
	spec.envp = r->env;
	spec.new_session = r->opts->new_session;
	spec.fds = fds;
	describe_fds(r, &spec);
	error = pcore_proc_start(&r->proc, r->loop, r->tree, &spec, &times, &r->err);
	if (error < 0 || !r->opts->in_data)
		return error;

	error = pcore_feeder_start(&r->feeder, r->loop, fds[0].fd, r->opts->in_data, strlen(r->opts->in_data));
	if (error < 0) {
		(void)pcore_fd_close(fds[0].fd);
		pcore_proc_kill(&r->proc, PCORE_KILLED_CANCEL);
		return 0;
	}
	r->feeding = true;
	return 0;
}

static void attempt(struct run *r)
{
	struct cli_attempt a = { .start_ns = pcore_clock_ns(CLOCK_REALTIME) };

	if (pcore_buf_add(&r->attempts, &a, sizeof(a)) < 0) {
		finish(r, cli_error("out of memory"));
		return;
	}
	r->closed = false;
	if (start(r) < 0)
		finish(r, cli_spawn_error(&r->err, r->opts->argv[0]));
}

/* ---- the whole ---- */

static const char *killed_by(struct run *r, char *buf, size_t size)
{
	const struct cli_attempt *a = last_attempt(r);
	char name[PCORE_SIGNAL_NAME_MAX];

	if (a->timed_out)
		return "timeout";
	if (r->proc.killed_by == PCORE_KILLED_CANCEL)
		return "cancel";
	if (!a->ran || a->exit.code == CLD_EXITED || a->exit.status != r->last_signal)
		return NULL;
	(void)snprintf(buf, size, "signal:%s", pcore_signal_name(r->last_signal, name));
	return buf;
}

static int write_report(struct run *r)
{
	_cleanup_(pcore_buf_done) struct pcore_buf line = PCORE_BUF_INIT(0);
	char by[32];
	struct cli_report report = {
		.argv = r->opts->argv,
		.pid = r->proc.pid,
		.killed_by = killed_by(r, by, sizeof(by)),
		.method = pcore_tree_method_name(r->tree),
		.setup_error = r->err.code ? &r->err : NULL,
		.io = r->proc.io,
		.survivors = r->proc.survivors,
		.attempts = (const struct cli_attempt *)(void *)r->attempts.data,
		.n_attempts = attempts_made(r),
	};
	int error = cli_report_write(&line, &report);

	if (error == 0)
		error = pcore_fd_write_all(r->report_fd, line.data, line.len);
	if (error < 0)
		return cli_error("cannot write the report '%s': %s", r->opts->report, strerror(-error));
	return r->status;
}

static int set_up(struct run *r)
{
	static const int caught[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT, SIGTSTP, 0 };
	size_t n;
	int error;

	if (r->opts->report) {
		error = cli_report_open(r->opts->report, &r->report_fd);
		if (error != CLI_GO)
			return error;
	}
	r->env = cli_job_env(&r->opts->job, 0, &n);
	if (!r->env)
		return cli_error("out of memory");
	error = cli_loop_new(&r->loop, PCORE_LOOP_EPOLL);
	if (error != CLI_GO)
		return error;
	error = cli_signals_start(&r->signals, r->loop, caught);
	if (error < 0)
		return cli_error("cannot watch signals: %s", strerror(-error));
	error = pcore_keeper_new(&r->keeper, true, r->opts->pid_namespace, &r->err);
	if (error == 0)
		error = pcore_tree_new(&r->tree, r->keeper, &r->err);
	if (error < 0)
		return cli_spawn_error(&r->err, r->opts->argv[0]);
	return CLI_GO;
}

static void tear_down(struct run *r)
{
	pcore_tree_free(r->tree);
	pcore_keeper_free(r->keeper);
	if (r->loop && pcore_op_live(&r->signals.op)) {
		cli_signals_stop(&r->signals);
		(void)pcore_loop_run(r->loop);
	}
	cli_signals_done(&r->signals);
	pcore_loop_free(r->loop);
	r->report_fd = pcore_fd_close(r->report_fd);
	pcore_buf_done(&r->attempts);
	free(r->env);
}

int prun(struct prun_opts *opts)
{
	struct run r = {
		.opts = opts,
		.report_fd = -EBADF,
		.signals = { .fd = -EBADF, .received = received },
		.proc = { .event = proc_event, .want_io = opts->report != NULL, .pidfd = -EBADF },
		.feeder = { .done = fed },
		.retry_timer = { .done = retry_due },
	};
	int status = set_up(&r);

	if (status == CLI_GO) {
		attempt(&r);
		status = pcore_loop_run(r.loop);
		status = status < 0 ? cli_error("the event loop failed: %s", strerror(-status)) : r.status;
		if (opts->report)
			status = write_report(&r);
	}
	tear_down(&r);
	if (r.die_of && status != CLI_FAILURE)
		cli_die_of(r.die_of);
	return status;
}
