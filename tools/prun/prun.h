/* SPDX-License-Identifier: MIT */
/*
 * prun.h - what prun is asked to do.
 */
#ifndef PCORE_PRUN_H
#define PCORE_PRUN_H

#include "tools/cli/jobopts.h"

enum prun_verb {
	PRUN_RUN,
	PRUN_LIST,
	PRUN_JOIN,
	PRUN_STATUS,
	PRUN_LOGS,
	PRUN_KILL,
	PRUN_FORGET,
};

/* Exit statuses 0..255 as a set. */
struct prun_statuses {
	bool given;
	uint64_t bits[4];
};

struct prun_pass_fd {
	int ours, theirs;
};

enum { PRUN_PASS_FDS_MAX = 32 };

struct prun_sandbox {
	struct pcore_sandbox_spec spec;
	const char *ro[PCORE_SANDBOX_PATHS_MAX], *rw[PCORE_SANDBOX_PATHS_MAX];
	bool report;
};

/* Strings are borrowed from argv. */
struct prun_opts {
	struct cli_job_opts job;
	enum prun_verb verb;
	char **argv; /* the command; with a verb the names */

	const char *in, *in_data, *out, *error, *argv0;
	bool append;
	struct prun_pass_fd pass_fds[PRUN_PASS_FDS_MAX];
	size_t n_pass_fds;
	uint64_t pipe_size;
	const char *connect; /* an sh text whose stdin and stdout are joined with the command's */

	bool capture, quiet_success, timestamps;
	uint64_t buffer, max_output;
	const char *tee;

	struct prun_statuses retry_on, expect;
	double backoff;
	bool until_success;

	const char *notify_ready;
	int64_t ready_timeout;
	bool detach;
	const char *name; /* of --detach=NAME */
	bool json, any, follow;

	const char *lock, *semaphore;
	bool shared, wait_given;
	int64_t wait;
	uint64_t busy_status;

	uint64_t memory, tasks, cpu, io_weight; /* 0: not limited */
	bool best_effort;

	struct prun_sandbox sandbox;
	bool new_session, pid_namespace, pty;
	const char *report;
};

/* Where a run in the background leaves what it has to say. */
struct prun_background {
	int dfd;      /* of the job's directory */
	int ready_fd; /* to the prun that waits for us: one int, CLI_GO or the status to leave with */
};

/* Run it. The status to exit with; where the command died of a signal, this does too. background is NULL in the
 * foreground. */
int prun(struct prun_opts *opts, const struct prun_background *background);

/* Start it in the background and say its name. */
int prun_detach(struct prun_opts *opts);

/* Of the caller's descriptors, when the command has started. dfd: the job's directory. */
void prun_let_go(const struct prun_opts *opts, int dfd);

/* --list, --join, ... */
int prun_verb(struct prun_opts *opts);

/* sandbox.c: its options; why they do not go together, or NULL; and the object they describe, NULL where none is needed.
 * CLI_GO, or a status after a message. */
extern const struct cli_opt prun_sandbox_table[];
const char *prun_sandbox_conflict(const struct prun_opts *o);
int prun_sandbox_make(const struct prun_opts *o, struct pcore_sandbox **ret);

/* --sandbox-report without a command: print to standard output what would be in force. */
int prun_sandbox_print(const struct prun_opts *o);

bool prun_has_status(const struct prun_statuses *s, int status);

/* Does the command's output pass through us? */
bool prun_reads_output(const struct prun_opts *o);

/* Is each descriptor of the command given by one option only? CLI_GO, or a usage error. */
int prun_check_fds(const struct prun_opts *o);

#endif
