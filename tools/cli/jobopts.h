/* SPDX-License-Identifier: MIT */
/*
 * jobopts.h - the options that say how a command is run, the same in every tool that runs one.
 */
#ifndef PCORE_CLI_JOBOPTS_H
#define PCORE_CLI_JOBOPTS_H

#include "libcore/proc/proc.h"
#include "tools/cli/opts.h"

/* Strings are borrowed from argv. */
struct cli_job_opts {
	const char *chdir;
	bool clean_env;
	bool basic_env; /* begin with what a sandboxed command may know: PATH, HOME, the locale, ... */
	char **set, **unset; /* "K=V" and "K", in the order given */
	size_t n_set, n_unset;
	struct pcore_proc_limit *limits; /* malloc'd */
	size_t n_limits;
	int nice;
	bool set_umask;
	mode_t umask;
	cpu_set_t *affinity; /* malloc'd, or NULL */
	bool set_sched, set_ionice, set_oom_adj;
	int sched_policy, sched_priority, ioprio, oom_adj;
	bool set_groups, set_gid, set_uid;
	gid_t *groups; /* malloc'd */
	size_t n_groups;
	gid_t gid;
	uid_t uid;

	int64_t timeout; /* ns, INT64_MAX: none */
	int signal;
	int64_t kill_after;
	uint64_t retry; /* further tries */
	int64_t retry_delay;
	int64_t linger;
	bool leave;
};

void cli_job_opts_init(struct cli_job_opts *o);
void cli_job_opts_done(struct cli_job_opts *o);

/* Copy the limits to where there is room for PCORE_PROC_LIMITS_MAX, and add one for a resource that has none among them. */
size_t cli_job_limits(const struct cli_job_opts *o, struct pcore_proc_limit *to);
void cli_limits_default(struct pcore_proc_limit *limits, size_t *n, int resource, struct rlimit value);

extern const struct cli_opt cli_job_place_table[]; /* what it finds: --chdir to --umask */
extern const struct cli_opt cli_job_bounds_table[]; /* what it may use: --limit to --affinity; goes on under the last heading */
extern const struct cli_opt cli_job_identity_table[]; /* who it is and how it is scheduled: --user to --oom-adj */
extern const struct cli_opt cli_job_time_table[];  /* --timeout to --leave */

/* The environment of the commands: a NULL-terminated array with room for extra more variables, which the caller puts
 * where the NULL stands. Borrows all strings; free() it. NULL without memory. *ret_n: its length. */
char **cli_job_env(const struct cli_job_opts *o, size_t extra, size_t *ret_n);

/* Fill in what the options say; argv, fds and the rest are the caller's. */
void cli_job_spec(const struct cli_job_opts *o, struct pcore_proc_spec *spec);
struct pcore_proc_times cli_job_times(const struct cli_job_opts *o);

/* Make the loop that PCORE_LOOP asks for, else the one preferred. Making and closing a ring costs a tool that lives for a
 * millisecond more than it gains. CLI_GO, or CLI_FAILURE after a message. */
int cli_loop_new(struct pcore_loop **ret, enum pcore_loop_backend preferred);

#endif
