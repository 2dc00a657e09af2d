/* SPDX-License-Identifier: MIT */
/*
 * api.h - between the files of api/, which put the modules below behind the headers that are installed.
 *
 * A mistake of the caller is -EINVAL here and never an assertion: the modules below take their callers for ours.
 */
#ifndef PCORE_API_API_H
#define PCORE_API_API_H

#include <pcore/error.h>
#include <pcore/process.h>

#include <poll.h>
#include <pthread.h>

#include "libcore/base/base.h"
#include "libcore/proc/proc.h"

/* ---- errors ---- */

int pcore_error_from(struct pcore_error *error, const struct pcore_err *err); /* error may be NULL. Its code */
int pcore_error_plain(struct pcore_error *error, int code, const char *subject);

/* ---- time ---- */

/* The time of day on CLOCK_MONOTONIC at which a time-out (0 and more) has passed. */
int64_t pcore_deadline(int64_t timeout);

/* poll(2) until a deadline, through EINTR. How many are ready, 0 when it has passed, -errno. */
int pcore_poll_until(struct pollfd *fds, size_t n, int64_t deadline);

unsigned pcore_cpus(void); /* this thread may use */

/* ---- processes ---- */

struct pcore_process {
	pthread_mutex_t lock; /* of what follows up to the pipes, and of the tree */
	struct pcore_keeper *keeper;
	struct pcore_tree *tree; /* NULL: none is kept */
	bool reaped, lost;
	int error; /* instead of a status */
	struct pcore_exit exit;
	int64_t started_ns, ended_ns;

	pid_t pid;
	int pidfd;
	int pipes[3]; /* or -EBADF */

	/* communicate() */
	const char *input; /* borrowed */
	size_t input_size;
	size_t output_max;
	struct pcore_buf output[2];
	int64_t linger_until; /* 0 until it has ended */
	bool talking;
};

/* What pcore_child_start() takes, from what the user says. */
struct pcore_process_plan {
	struct pcore_process_spec in;
	struct pcore_proc_spec spec;
	struct pcore_proc_fd fds[PCORE_PROC_FDS_MAX];
	struct pcore_proc_limit limits[PCORE_PROC_LIMITS_MAX];
};

/* 0, -EINVAL, -E2BIG. */
int pcore_process_plan(struct pcore_process_plan *plan, const struct pcore_process_spec *spec);

/* Has it ended? 0, -EAGAIN, -ECHILD: for ever the same once it is not -EAGAIN. */
int pcore_process_reap(struct pcore_process *p);

/* Send sig to it, or to its whole tree. */
int pcore_process_signal_all(struct pcore_process *p, int sig);

/* How it ended, as a result; nothing of its output. */
void pcore_process_describe(const struct pcore_exit *e, struct pcore_process_result *ret);

/* What is known of p once it is reaped, into r (whose output and timed_out count) and so to the caller's ret (or NULL). */
int pcore_process_tell(const struct pcore_process *p, struct pcore_process_result *r, struct pcore_process_result *ret);

/* What a result has had from the beginning. */
#define PCORE_RESULT_LEAST (offsetof(struct pcore_process_result, err_size) + sizeof(size_t))

/* Talking to it: begin() once, then poll() and step() until poll() says 1, with SIGPIPE held; end() tells the result. */
enum { TALK_FDS = 4 };
#define PCORE_KILL_AFTER_NS (5 * NS_PER_S) /* by default */

void pcore_talk_begin(struct pcore_process *p, const void *input, size_t size);

/* What to poll, and no longer than *until, which may be lowered: 0; 1 when all is said and it has ended; -errno. */
int pcore_talk_poll(struct pcore_process *p, struct pollfd fds[static TALK_FDS], int64_t *until);
int pcore_talk_step(struct pcore_process *p, const struct pollfd fds[static TALK_FDS]); /* 0, -EMSGSIZE, -errno */
int pcore_talk_end(struct pcore_process *p, bool timed_out, struct pcore_process_result *ret);

/* SIGPIPE is not raised in this thread between the two. */
struct pcore_sigpipe {
	bool unblock, pending;
};
void pcore_sigpipe_hold(struct pcore_sigpipe *s);
void pcore_sigpipe_let(const struct pcore_sigpipe *s);

#endif
