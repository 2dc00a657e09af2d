/* SPDX-License-Identifier: MIT */
/*
 * background.c - prun --detach, and what can be asked of what runs there: --list, --join, --status, --logs, --kill,
 * --forget.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/cli/detach.h"
#include "tools/cli/jobs.h"
#include "tools/prun/prun.h"

/* ---- starting ---- */

/* A further attempt may need what is passed on. */
static bool is_passed(const void *ctx, int fd)
{
	const struct prun_opts *o = ctx;

	for (size_t i = 0; i < o->n_pass_fds; i++)
		if (o->pass_fds[i].ours == fd)
			return true;
	return false;
}

/* The caller's terminal, pipes and files are none of ours from here on. Messages go to the job's log. */
void prun_let_go(const struct prun_opts *opts, int dfd)
{
	_cleanup_(fd_closep) int log = openat(dfd, "log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	cli_detach_let_go(log, is_passed, opts);
}

static void write_status(int dfd, int status)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%d\n", status);
	(void)cli_job_write(dfd, "status", text, strlen(text));
}

/* In the supervisor. The caller's stderr stays ours until the command has started, so that what goes wrong is read. */
static int supervise(struct prun_opts *opts, const char *name, int dfd, int ready_fd)
{
	struct prun_background background = { .dfd = dfd, .ready_fd = ready_fd };
	int status = cli_job_write_meta(dfd, opts->argv);

	if (status < 0) {
		status = cli_error("cannot write the record of '%s': %s", name, strerror(-status));
		cli_detach_tell(ready_fd, status);
		return status;
	}
	status = prun(opts, &background);
	write_status(dfd, status);
	return status;
}

/* The supervisor inherits the job's lock and holds it as long as it lives. */
static int start_supervisor(struct prun_opts *opts, const char *name, int dfd, pid_t *ret_pid, int *ret_ready_fd)
{
	pid_t pid = cli_detach(ret_ready_fd);

	if (pid == 0)
		cli_exit(supervise(opts, name, dfd, *ret_ready_fd));
	if (pid < 0)
		return cli_error("cannot create a process: %s", strerror(-pid));
	*ret_pid = pid;
	return CLI_GO;
}

static int wait_started(const char *name, int ready_fd)
{
	int status = cli_detach_wait(ready_fd);

	return status == -ESRCH ? cli_error("the supervisor of '%s' died", name) : status;
}

/* Where the command never ran there is nothing to ask for later, and the name is free again. */
static void forget_unstarted(const char *name, int dfd, pid_t supervisor)
{
	if (faccessat(dfd, "pid", F_OK, 0) == 0)
		return;
	if (supervisor > 0)
		(void)waitpid(supervisor, NULL, 0);
	(void)cli_job_forget(CLI_JOB_COMMAND, name);
}

int prun_detach(struct prun_opts *opts)
{
	_cleanup_(fd_closep) int dfd = -EBADF;
	_cleanup_(fd_closep) int lock_fd = -EBADF;
	_cleanup_(fd_closep) int ready_fd = -EBADF;
	_cleanup_(freep) char *name = NULL;
	pid_t supervisor = 0;
	char line[80];
	int r = cli_job_create(CLI_JOB_COMMAND, opts->name, &name, &dfd, &lock_fd);

	if (r != CLI_GO)
		return r;
	r = start_supervisor(opts, name, dfd, &supervisor, &ready_fd);
	lock_fd = pcore_fd_close(lock_fd);
	if (r == CLI_GO)
		r = wait_started(name, ready_fd);
	if (r != CLI_GO) {
		forget_unstarted(name, dfd, supervisor);
		return r;
	}
	(void)snprintf(line, sizeof(line), "%s\n", name);
	return cli_print(line);
}

/* ---- asking ---- */

static void add_record(struct pcore_buf *b, const struct cli_job_info *i)
{
	char time[PCORE_ISO8601_MAX];
	struct pcore_json j = PCORE_JSON_INIT(b);

	pcore_json_object(&j);
	pcore_json_key(&j, "name");
	pcore_json_str(&j, i->name);
	pcore_json_key(&j, "state");
	pcore_json_str(&j, cli_job_state_name(i->state));
	pcore_json_key(&j, "pid");
	if (i->pid)
		pcore_json_i64(&j, i->pid);
	else
		pcore_json_null(&j);
	pcore_json_key(&j, "status");
	if (i->status >= 0)
		pcore_json_i64(&j, i->status);
	else
		pcore_json_null(&j);
	pcore_json_key(&j, "start");
	pcore_json_str(&j, i->start_ns ? pcore_iso8601_utc(time, i->start_ns) : NULL);
	(void)pcore_buf_addf(b, ",\"argv\":%s", i->argv_json ? i->argv_json : "null");
	if (i->report)
		(void)pcore_buf_addf(b, ",\"report\":%.*s", (int)strcspn(i->report, "\n"), i->report);
	pcore_json_object_end(&j);
	(void)pcore_buf_addc(b, '\n');
}

static void add_row(struct pcore_buf *b, const struct cli_job_info *i)
{
	char status[16] = "-", time[PCORE_ISO8601_MAX] = "-";

	if (i->status >= 0)
		(void)snprintf(status, sizeof(status), "%d", i->status);
	if (i->start_ns)
		(void)pcore_iso8601_utc(time, i->start_ns);
	(void)pcore_buf_addf(b, "%-16s %-8s %7d %6s  %.19sZ  %s\n", i->name, cli_job_state_name(i->state), i->pid, status, time,
		i->command ? i->command : "-");
}

static int list(const struct prun_opts *opts, char *const *names)
{
	_cleanup_(pcore_buf_done) struct pcore_buf b = PCORE_BUF_INIT(0);
	int result = CLI_OK;

	if (!opts->json)
		(void)pcore_buf_addf(&b, "%-16s %-8s %7s %6s  %-20s  %s\n", "NAME", "STATE", "PID", "STATUS", "START", "COMMAND");
	for (; *names; names++) {
		struct cli_job_info i;
		int dfd, r = cli_job_find(CLI_JOB_COMMAND, *names, &i, &dfd);

		if (r != CLI_GO) {
			result = r;
			continue;
		}
		if (opts->json)
			add_record(&b, &i);
		else
			add_row(&b, &i);
		cli_job_info_done(&i);
		(void)pcore_fd_close(dfd);
	}
	if (pcore_buf_terminate(&b) < 0)
		return cli_error("out of memory");
	return cli_print(b.data) == CLI_OK ? result : CLI_FAILURE;
}

static int list_all(const struct prun_opts *opts)
{
	char **names = NULL;
	int r = cli_job_names(CLI_JOB_COMMAND, &names);

	if (r != CLI_GO)
		return r;
	r = list(opts, names);
	cli_job_names_free(names);
	return r;
}

/* Both logs, and the status; what a caller of join wants to see. */
static int print_result(const char *name)
{
	struct cli_job_info i;
	int dfd, r = cli_job_find(CLI_JOB_COMMAND, name, &i, &dfd);

	if (r != CLI_GO)
		return r;
	r = cli_log_copy(dfd, "stdout", STDOUT_FILENO);
	if (r < 0)
		r = cli_error("cannot print the output of '%s': %s", name, strerror(-r));
	else if ((r = cli_log_copy(dfd, "stderr", STDERR_FILENO)) == 0)
		r = i.status;
	if (i.status < 0)
		r = cli_error("'%s' is lost: its supervisor was killed", name);
	cli_job_info_done(&i);
	(void)pcore_fd_close(dfd);
	return r;
}

static int check_names(char *const *names)
{
	for (; *names; names++) {
		struct cli_job_info i;
		int dfd, r = cli_job_find(CLI_JOB_COMMAND, *names, &i, &dfd);

		if (r != CLI_GO)
			return r;
		cli_job_info_done(&i);
		(void)pcore_fd_close(dfd);
	}
	return CLI_GO;
}

static int join(const struct prun_opts *opts)
{
	int64_t deadline = opts->job.timeout == 0 ? INT64_MAX : pcore_ns_add(pcore_now_ns(), opts->job.timeout);
	size_t n = 0;
	int result = check_names(opts->argv);

	if (result != CLI_GO)
		return result;
	while (opts->argv[n])
		n++;
	result = CLI_OK;
	for (size_t i = 0; i < (opts->any ? 1 : n); i++) {
		int r = cli_job_wait_any(CLI_JOB_COMMAND, opts->any ? opts->argv : opts->argv + i, opts->any ? n : 1, deadline);

		if (r == -ETIMEDOUT) {
			(void)cli_error("'%s' still runs", opts->argv[i]);
			return CLI_TIMEOUT;
		}
		if (r < 0)
			return cli_error("cannot wait for '%s': %s", opts->argv[i], strerror(-r));
		r = print_result(opts->argv[opts->any ? (size_t)r : i]);
		if (result == CLI_OK)
			result = r;
	}
	return result;
}

static int logs(const struct prun_opts *opts)
{
	const char *name = opts->argv[0];
	struct cli_job_info i;
	int dfd, r = cli_job_find(CLI_JOB_COMMAND, name, &i, &dfd);

	if (r != CLI_GO)
		return r;
	r = cli_job_print_logs(&i, dfd, opts->follow);
	if (r < 0)
		r = cli_error("cannot print the output of '%s': %s", name, strerror(-r));
	cli_job_info_done(&i);
	(void)pcore_fd_close(dfd);
	return r;
}

static int each(const struct prun_opts *opts, int (*act)(const struct prun_opts *, const struct cli_job_info *))
{
	int result = CLI_OK;

	for (char *const *name = opts->argv; *name; name++) {
		struct cli_job_info i;
		int dfd, r = cli_job_find(CLI_JOB_COMMAND, *name, &i, &dfd);

		if (r == CLI_GO) {
			r = act(opts, &i);
			cli_job_info_done(&i);
			(void)pcore_fd_close(dfd);
		}
		if (result == CLI_OK)
			result = r;
	}
	return result;
}

static int kill_one(const struct prun_opts *opts, const struct cli_job_info *i)
{
	int r = cli_job_signal(i, opts->job.signal);

	if (r == -ESRCH) {
		(void)cli_error("'%s' does not run", i->name);
		return CLI_NO;
	}
	return r < 0 ? cli_error("cannot signal '%s': %s", i->name, strerror(-r)) : CLI_OK;
}

static int forget_one(const struct prun_opts *opts, const struct cli_job_info *i)
{
	int r = cli_job_forget(CLI_JOB_COMMAND, i->name);

	(void)opts;
	if (r == -EBUSY) {
		(void)cli_error("'%s' still runs (prun --kill ends it)", i->name);
		return CLI_BUSY;
	}
	return r < 0 ? cli_error("cannot forget '%s': %s", i->name, strerror(-r)) : CLI_OK;
}

int prun_verb(struct prun_opts *opts)
{
	switch (opts->verb) {
	case PRUN_LIST:
		return list_all(opts);
	case PRUN_JOIN:
		return join(opts);
	case PRUN_STATUS:
		return list(opts, opts->argv);
	case PRUN_LOGS:
		return logs(opts);
	case PRUN_KILL:
		return each(opts, kill_one);
	case PRUN_FORGET:
		return each(opts, forget_one);
	case PRUN_RUN:
		break;
	}
	return CLI_FAILURE;
}
