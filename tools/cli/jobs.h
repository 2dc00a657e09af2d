/* SPDX-License-Identifier: MIT */
/*
 * jobs.h - what runs in the background: a registry in the runtime directory, one directory a job. Each kind has its own: jobs/
 * is that of prun's commands, timers/ that of ptimer, nodes/ that of pnode.
 *
 *   jobs/NAME/  lock     locked by the job's supervisor as long as it lives: nothing else tells that it does
 *               meta     "key value" lines, written once: supervisor, start, argv (JSON), command (for people)
 *               pid      of the command, when it runs
 *               stdout, stderr, and their .old: the bounded logs
 *               report   the JSON report, written when the command is over
 *               status   the status to exit with, written last
 *
 * A job whose lock is free and that has no status is lost: its supervisor was killed. Files are written beside their place
 * and renamed into it, so that a reader never sees half of one.
 */
#ifndef PCORE_CLI_JOBS_H
#define PCORE_CLI_JOBS_H

#include "libcore/base/base.h"

enum cli_job_kind { CLI_JOB_COMMAND, CLI_JOB_TIMER, CLI_JOB_NODE };

enum cli_job_state { CLI_JOB_RUNNING, CLI_JOB_DONE, CLI_JOB_LOST };

struct cli_job_info {
	char name[65];
	enum cli_job_kind kind;
	enum cli_job_state state;
	pid_t supervisor, pid; /* 0: not known */
	int64_t start_ns;      /* realtime */
	int status;	       /* -1: none yet */
	char *argv_json;       /* malloc'd, NULL when not known */
	char *command;
	char *report;
};

const char *cli_job_state_name(enum cli_job_state s);

/* ---- the supervisor's side ---- */

/* Make the job's directory and lock it; CLI_BUSY when there is one. name NULL: one is made up (and put into *ret_name, malloc'd). *ret_dfd keeps the
 * lock as long as it, or a copy of it in a child, is open. A status after a message, or CLI_GO. */
int cli_job_create(enum cli_job_kind kind, const char *name, char **ret_name, int *ret_dfd, int *ret_lock_fd);
int cli_job_write(int dfd, const char *file, const char *data, size_t len); /* replace a file; 0 or -errno */
int cli_job_write_meta(int dfd, char *const *argv);

/* A log of at most max bytes: two files that take turns. */
struct cli_log {
	int dfd, fd;
	const char *name;
	uint64_t size, max;
};

int cli_log_open(struct cli_log *l, int dfd, const char *name, uint64_t max); /* 0 or -errno; dfd is borrowed */
int cli_log_write(struct cli_log *l, const char *data, size_t len);	       /* 0 or -errno */
void cli_log_close(struct cli_log *l);

/* ---- everybody's side ---- */

/* Look a job up. CLI_GO, CLI_NO after a message when there is none of that name, CLI_FAILURE. */
int cli_job_find(enum cli_job_kind kind, const char *name, struct cli_job_info *ret, int *ret_dfd);
void cli_job_info_done(struct cli_job_info *i);

/* All names, sorted; malloc'd strings in a malloc'd NULL-terminated array. CLI_GO or a status after a message. */
int cli_job_names(enum cli_job_kind kind, char ***ret);
void cli_job_names_free(char **names);

/* Wait until one of the jobs is over: its lock is free. The index, -ETIMEDOUT, -errno. */
int cli_job_wait_any(enum cli_job_kind kind, char *const *names, size_t n, int64_t deadline_ns);

/* Copy a log (with what is left of its older half) to fd. 0 or -errno. */
int cli_log_copy(int dfd, const char *name, int fd);

/* Copy the job's logs to stdout and stderr, one after the other; follow: what is added too, as it comes, until it is over.
 * 0 or -errno. */
int cli_job_print_logs(const struct cli_job_info *i, int dfd, bool follow);

/* Signal the supervisor: SIGTERM ends the tree; other signals go to every process of the tree. */
int cli_job_signal(const struct cli_job_info *i, int sig);

/* Remove all traces of a job that does not run. 0, -EBUSY, -errno. */
int cli_job_forget(enum cli_job_kind kind, const char *name);

#endif
