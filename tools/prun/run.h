/* SPDX-License-Identifier: MIT */
/*
 * run.h - a run of prun: what its files share.
 */
#ifndef PCORE_PRUN_RUN_H
#define PCORE_PRUN_RUN_H

#include "libcore/ipc/ipc.h"
#include "tools/cli/report.h"
#include "tools/cli/signals.h"
#include "tools/prun/output.h"
#include "tools/prun/prun.h"
#include "tools/prun/pty.h"

struct run;

/* One of the commands: the first, or the one that --connect joins to it. */
struct side {
	struct run *run;
	char *const *argv;
	const char *file; /* or NULL: argv[0] */
	struct pcore_tree *tree;
	struct pcore_proc proc;
	struct cli_attempt attempt;
	bool used; /* there is such a side in this run */
	bool closed;
	bool out_of_memory; /* the kernel has killed for want of it */
};

struct run {
	const struct prun_opts *opts;
	const struct prun_background *background; /* NULL: in the foreground */
	struct pcore_loop *loop;
	struct pcore_keeper *keeper;
	struct pcore_sandbox *sandbox; /* or NULL */
	struct pcore_lock *lock;
	char **env;
	struct pcore_proc_limit limits[PCORE_PROC_LIMITS_MAX];
	size_t n_limits;
	const char *memory_limit; /* how --memory is kept: "cgroup", "rlimit" or NULL */
	int report_fd, tee_fd;

	struct cli_signals signals;
	struct side sides[2];
	char *connect_argv[5];
	char **argv0; /* the command's argv with --argv0 */
	struct pcore_feeder feeder;
	struct output output;
	bool use_output;
	struct pty pty;
	struct cli_log logs[2];
	struct pcore_op retry_timer, ready_timer;
	bool feeding;

	struct pcore_reader ready_reader; /* of --notify-ready FD */
	char ready_buf[64];
	bool reading_ready;
	bool told; /* the prun that waits for us has been */

	struct pcore_buf attempts; /* of struct cli_attempt, the first side's */
	int64_t retry_delay;
	struct pcore_err err;
	int last_signal; /* received from a process or the terminal */
	int enders;	 /* how many INT and TERM a process sent */
	bool over;	 /* decided: the loop runs out */
	bool failed;	 /* we did: 125 */
	bool not_ready;	 /* in time */
	int status;
	int die_of; /* the signal that the command, or our waiting for another try, died of */
};

/* fds.c: what the commands get as descriptors. Puts the table into fds (of PCORE_PROC_FDS_MAX) and its length into *ret_n. */
void run_describe_fds(const struct run *r, const struct side *s, const int pipes[4], struct pcore_proc_fd *fds, size_t *ret_n);
int run_notify_fd(const struct prun_opts *o); /* -1: by a line, or not at all */

/* limits.c: set what the tree's cgroup can keep, and put the rest among the process limits. CLI_GO or a status. */
int run_set_limits(struct run *r);

/* report.c */
int run_write_report(struct run *r);

/* lock.c: CLI_GO or a status after a message. */
int run_take_lock(struct run *r);

#endif
