/* SPDX-License-Identifier: MIT */
/*
 * background.c - timers that have a name.
 */
#include "tools/ptimer/background.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/cli/detach.h"
#include "tools/cli/rundir.h"
#include "tools/ptimer/runner.h"

/* They are in memory, where the runtime directory usually is. */
enum { LOG_MAX = 1 << 20 };

int background_log(void *ctx, int fd, const char *data, size_t len)
{
	struct runner *r = ctx;

	return cli_log_write(&r->background->logs[fd - 1], data, len);
}

static void log_message(void *ctx, const char *line, size_t len)
{
	struct background *b = ctx;

	(void)cli_log_write(&b->logs[1], line, len);
}

static void let_go(struct background *b)
{
	cli_detach_let_go(-EBADF, NULL, NULL);
	cli_messages_to(log_message, b);
}

void background_ready(struct background *b, int status)
{
	if (!b->detached)
		return;
	if (status == CLI_GO)
		let_go(b);
	cli_detach_tell(b->ready_fd, status);
	b->ready_fd = pcore_fd_close(b->ready_fd);
}

void background_end(struct background *b, struct runner *r, int status)
{
	_cleanup_(pcore_buf_done) struct pcore_buf list = PCORE_BUF_INIT(0);
	char text[16];

	if (!b->detached)
		return;
	if (control_put_list(&list, r, true) == 0)
		(void)cli_job_write(b->dfd, "list", list.data, list.len);
	(void)snprintf(text, sizeof(text), "%d\n", status);
	(void)cli_job_write(b->dfd, "status", text, strlen(text));
}

/* One that is over gives its name to the next. */
static void forget_over(const char *name)
{
	struct cli_job_info i;
	char path[80];
	int timers = cli_rundir_open("timers"), dfd;

	if (timers < 0)
		return;
	(void)snprintf(path, sizeof(path), "%s/lock", name);
	if (faccessat(timers, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0 && cli_job_find(CLI_JOB_TIMER, name, &i, &dfd) == CLI_GO) {
		if (i.state != CLI_JOB_RUNNING)
			(void)cli_job_forget(CLI_JOB_TIMER, name);
		cli_job_info_done(&i);
		(void)pcore_fd_close(dfd);
	}
	(void)pcore_fd_close(timers);
}

static int run_here(struct background *b, const struct ptimer_opts *o, int *ret_die_of)
{
	static const char *const names[] = { "stdout", "stderr" };
	int e = cli_job_write_meta(b->dfd, o->words);

	for (int i = 0; b->detached && i < 2 && e == 0; i++)
		e = cli_log_open(&b->logs[i], b->dfd, names[i], LOG_MAX);
	if (e < 0) {
		int status = cli_error("cannot write the record of '%s': %s", b->name, strerror(-e));

		background_ready(b, status);
		return status;
	}
	return ptimer_run_in(o, b, ret_die_of);
}

/* Give the name back. Whoever has a copy of the lock's descriptor has the lock no more. */
static void leave(struct background *b)
{
	struct flock all = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	(void)fcntl(b->lock_fd, F_OFD_SETLK, &all);
	b->lock_fd = pcore_fd_close(b->lock_fd);
	(void)cli_job_forget(CLI_JOB_TIMER, b->name);
}

static int detach(struct background *b, const struct ptimer_opts *o)
{
	char line[80];
	int die_of = 0, status;
	pid_t pid = cli_detach(&b->ready_fd);

	if (pid < 0) {
		leave(b);
		return cli_error("cannot create a process: %s", strerror(-(int)pid));
	}
	if (pid == 0) {
		b->detached = true;
		status = run_here(b, o, &die_of);
		if (die_of)
			cli_die_of(die_of);
		cli_exit(status);
	}
	status = cli_detach_wait(b->ready_fd);
	b->ready_fd = pcore_fd_close(b->ready_fd);
	if (status == CLI_GO) {
		(void)snprintf(line, sizeof(line), "%s\n", b->name);
		return cli_print(line);
	}
	(void)waitpid(pid, NULL, 0);
	leave(b); /* the name is free when it is gone */
	return status == -ESRCH ? cli_error("'%s' died", b->name) : status;
}

int background_run(const struct ptimer_opts *o, int *ret_die_of)
{
	struct background b = { .dfd = -EBADF, .lock_fd = -EBADF, .ready_fd = -EBADF, .logs = { { .fd = -EBADF }, { .fd = -EBADF } } };
	int status;

	if (o->name)
		forget_over(o->name);
	status = cli_job_create(CLI_JOB_TIMER, o->name, &b.name, &b.dfd, &b.lock_fd);
	if (status != CLI_GO)
		return status;
	if (o->detach) {
		status = detach(&b, o);
	} else {
		status = run_here(&b, o, ret_die_of);
		leave(&b);
	}
	b.lock_fd = pcore_fd_close(b.lock_fd);
	b.dfd = pcore_fd_close(b.dfd);
	free(b.name);
	return status;
}
