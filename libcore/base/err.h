/* SPDX-License-Identifier: MIT */
/*
 * err.h - what went wrong, where a bare errno would lose the story: at which step, and with what.
 *
 * An error is filled in by the function that fails and is left alone on success. It holds no pointer and is
 * never allocated, so a child between clone and exec can fill it in as well.
 */
#ifndef PCORE_BASE_ERR_H
#define PCORE_BASE_ERR_H

enum pcore_step {
	PCORE_STEP_NONE,
	PCORE_STEP_OPEN,	/* opening a file for the child; subject: the path */
	PCORE_STEP_PIPE,	/* making a pipe */
	PCORE_STEP_READ,	/* reading the output */
	PCORE_STEP_INPUT,	/* writing the input */
	PCORE_STEP_CGROUP,	/* making or entering a cgroup leaf; subject: its path */
	PCORE_STEP_SUPERVISOR,	/* starting the supervisor process */
	PCORE_STEP_NAMESPACE,	/* making namespaces, mounting the PID namespace's /proc */
	PCORE_STEP_CLONE,	/* creating the process */
	PCORE_STEP_SIGNALS,
	PCORE_STEP_SESSION,	/* setsid */
	PCORE_STEP_PGROUP,	/* setpgid */
	PCORE_STEP_DUP,		/* placing a descriptor; subject: its number in the child */
	PCORE_STEP_CHDIR,	/* subject: the directory */
	PCORE_STEP_UMASK,
	PCORE_STEP_AFFINITY,
	PCORE_STEP_NICE,
	PCORE_STEP_SCHED,	/* scheduling policy */
	PCORE_STEP_IONICE,
	PCORE_STEP_OOM,		/* writing oom_score_adj */
	PCORE_STEP_RLIMIT,	/* subject: the limit's name */
	PCORE_STEP_LIMIT,	/* a cgroup's limit; subject: its file */
	PCORE_STEP_GROUPS,	/* setgroups */
	PCORE_STEP_GROUP,	/* setresgid */
	PCORE_STEP_USER,	/* setresuid, or it could be undone */
	PCORE_STEP_PDEATHSIG,
	PCORE_STEP_MOUNT,	/* subject: where */
	PCORE_STEP_CAPS,	/* subject: the capability that cannot be had, or "" */
	PCORE_STEP_NO_NEW_PRIVS,
	PCORE_STEP_LANDLOCK,	/* subject: the path, or "" */
	PCORE_STEP_SECCOMP,	/* the system call filter */
	PCORE_STEP_EXEC,	/* subject: the command */
	PCORE_STEP_COUNT,
};

enum { PCORE_ERR_SUBJECT_MAX = 256 };

struct pcore_err {
	int code; /* a negative errno, 0 when there is no error */
	enum pcore_step step;
	char subject[PCORE_ERR_SUBJECT_MAX]; /* cut to fit, always NUL-terminated */
};

/* Fill err in (err may be NULL) and return code, so that a caller can `return pcore_err_set(...)`. */
int pcore_err_set(struct pcore_err *err, int code, enum pcore_step step, const char *subject);

/* The step's name as reports print it: "open", "chdir", "exec", ... */
const char *pcore_step_name(enum pcore_step step);

/* The step of that name; PCORE_STEP_NONE for one that is not known. */
enum pcore_step pcore_step_by_name(const char *name);

#endif
