/* SPDX-License-Identifier: MIT */
/*
 * process.h - start a command or a function as a process, talk to it, wait for it, end it.
 *
 * Times are int64_t nanoseconds; PCORE_FOREVER waits without a limit, 0 does not wait. A process may be waited for, polled and
 * signalled by several threads at once; one thread at a time may communicate with it, and nobody may use it while it is
 * freed. Commands are made with a copy of no more than what the description says: descriptors 0, 1 and 2 and those in
 * pass, no signal blocked, ignored or handled. pcore_process(3) has the details.
 */
#ifndef PCORE_INCLUDE_PROCESS_H
#define PCORE_INCLUDE_PROCESS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <pcore/error.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define PCORE_FOREVER INT64_MAX

struct pcore_process;

/* What a standard descriptor is connected to. */
enum {
	PCORE_PROCESS_INHERIT, /* ours */
	PCORE_PROCESS_NULL,    /* /dev/null */
	PCORE_PROCESS_PIPE,    /* a pipe to us */
	PCORE_PROCESS_FD,      /* our descriptor fd, which stays ours */
	PCORE_PROCESS_FILE,    /* path: read, or made anew and written */
	PCORE_PROCESS_APPEND,  /* path: made if it is not there, written at its end */
	PCORE_PROCESS_STDOUT,  /* of stderr: what stdout is */
};

struct pcore_process_stdio {
	int how;
	int fd;
	const char *path;
};

/* The command's descriptor target is our fd. */
struct pcore_process_pass {
	int target, fd;
};

struct pcore_process_limit {
	int resource; /* RLIMIT_* */
	struct rlimit limit;
};

enum {
	PCORE_PROCESS_TREE = 1 << 0,	  /* keep all that comes from it together, so that it can be ended as a whole */
	PCORE_PROCESS_SESSION = 1 << 1,	  /* in a session of its own */
	PCORE_PROCESS_GROUP = 1 << 2,	  /* in a process group of its own */
	PCORE_PROCESS_SET_UMASK = 1 << 3, /* umask counts */
	PCORE_PROCESS_SET_GROUPS = 1 << 4,
	PCORE_PROCESS_SET_GID = 1 << 5,
	PCORE_PROCESS_SET_UID = 1 << 6,
};

struct pcore_process_spec {
	size_t size;	   /* sizeof(struct pcore_process_spec) */
	char *const *argv; /* NULL-terminated */
	char *const *envp; /* NULL: ours */
	const char *file;  /* run this; NULL: argv[0]. Searched in envp's PATH unless it holds a slash */
	const char *chdir;
	struct pcore_process_stdio in, out, err;
	const struct pcore_process_pass *pass; /* further descriptors, at most 61: distinct targets from 3 on */
	size_t n_pass;
	const struct pcore_process_limit *limits; /* at most 16 */
	size_t n_limits;
	unsigned flags;	  /* PCORE_PROCESS_* */
	mode_t umask;
	int nice;	  /* added to ours */
	int death_signal; /* sent to it when the thread that made it ends; 0: none */
	const gid_t *groups;
	size_t n_groups;
	gid_t gid;
	uid_t uid;

	/* For pcore_process_run() and commands of a pool. */
	const void *input; /* written to its standard input, if in is a pipe */
	size_t input_size;
	size_t output_max;  /* of stdout and of stderr; 0: as much as there is memory */
	int64_t timeout;    /* ns; 0: none */
	int64_t kill_after; /* ns from the signal that asks it to end to the one that makes it; 0: 5 s */
};

/* How it ended, and what it wrote. */
struct pcore_process_result {
	size_t size; /* sizeof(struct pcore_process_result), set by the caller */
	int status;  /* as a shell has it: its exit status, or 128 + the signal; 124 when its time was up */
	int exit;    /* its exit status, -1 when a signal ended it */
	int signal;  /* that signal, or 0 */
	int core;    /* 1: it left a core */
	int timed_out;
	int lost; /* 1: the host reaps children by itself, and what it used is not known */
	struct rusage usage;
	int64_t wall; /* ns */
	char *out;    /* ended by a NUL that is not counted, or NULL; free() them, or pcore_process_result_done() */
	size_t out_size;
	char *err;
	size_t err_size;
};

/* Start a command; it returns when the command has been executed, and nothing of spec is needed any more. 0, or -errno with error
 * (may be NULL) filled in. */
int pcore_process_spawn(struct pcore_process **ret, const struct pcore_process_spec *spec, struct pcore_error *error);

/* Start a copy of this process, without its signal handlers and with no signal blocked, that runs fn(arg), whose result is its
 * exit status. Streams of stdio are flushed before. -EAGAIN, -ENOMEM, -EMFILE. */
int pcore_process_fork(struct pcore_process **ret, int (*fn)(void *arg), void *arg);

/* Free it. One that still runs is killed, and with PCORE_PROCESS_TREE all that came from it. NULL is fine. */
void pcore_process_free(struct pcore_process *p);

/* Run a command to its end: input in, output out; with PCORE_PROCESS_TREE what it leaves is ended. 0 when it could be run, whatever
 * came of it: see the result (may be NULL). -EMSGSIZE: it wrote more than output_max, and was killed. */
int pcore_process_run(const struct pcore_process_spec *spec, struct pcore_process_result *ret, struct pcore_error *error);
void pcore_process_result_done(struct pcore_process_result *r); /* frees out and err */

pid_t pcore_process_pid(const struct pcore_process *p);

/* A descriptor that is readable when it has ended (poll it, do not read it). It stays p's. */
int pcore_process_fd(const struct pcore_process *p);

/* Our ends of its pipes, or -EBADF. They are non-blocking and stay p's; the second closes one (0, 1 or 2) for good. */
int pcore_process_pipe(const struct pcore_process *p, int which);
int pcore_process_close(struct pcore_process *p, int which);

/* Write all of data to its standard input, waiting while its pipe is full. 0, -EPIPE (SIGPIPE is not raised), -ETIMEDOUT (some
 * of it may be written), -EBADF. */
int pcore_process_write(struct pcore_process *p, const void *data, size_t size, int64_t timeout);

/* Read what is there of its standard output (1) or error (2), waiting for the first byte. How much, 0 at the end, -ETIMEDOUT. */
ssize_t pcore_process_read(struct pcore_process *p, int which, void *buf, size_t size, int64_t timeout);

/* Write input (may be NULL) to it, close that, read all its output and wait for its end. -ETIMEDOUT: call it again (input is
 * then ignored) to go on, nothing is lost. -EMSGSIZE: it wrote more than output_max. */
int pcore_process_communicate(
	struct pcore_process *p, const void *input, size_t size, int64_t timeout, struct pcore_process_result *ret);

/* Has it ended? 0 and *ret (may be NULL) filled in, as often as it is asked; -EAGAIN: no. -ECHILD: it has, but its status is
 * lost because this program ignores SIGCHLD or waits for any child, and the kernel does not keep it (before 6.15). */
int pcore_process_poll(struct pcore_process *p, struct pcore_process_result *ret);
int pcore_process_wait(struct pcore_process *p, int64_t timeout, struct pcore_process_result *ret); /* or -ETIMEDOUT */

/* Wait until one of n has ended, and tell which: the first of those that have. 0, -ETIMEDOUT, -EINVAL for none. */
int pcore_process_wait_any(struct pcore_process *const *ps, size_t n, int64_t timeout, size_t *ret_index);

/* Send sig to the command alone. 0 also when it has ended: nobody else gets it. -EINVAL, -EPERM (it is another user's by now). */
int pcore_process_signal(struct pcore_process *p, int sig);

/* Send sig to it, and after grace ns KILL; with PCORE_PROCESS_TREE to all that came from it. Returns when nothing is left. */
int pcore_process_terminate(struct pcore_process *p, int sig, int64_t grace);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
