/* SPDX-License-Identifier: MIT */
/*
 * proc.h - processes: made from a description, watched by pidfd, ended as whole trees.
 *
 *   struct pcore_keeper   decides once how trees are kept, and outlives every tree
 *   struct pcore_tree     one place where a command and all that comes from it live; reused for one command after another
 *   struct pcore_proc     one command in its tree, from start to the end of its last descendant
 *   struct pcore_reader, struct pcore_feeder   the other ends of its pipes
 *
 * How a tree is kept (the method), best first:
 *   cgroup         a leaf below our own cgroup: nothing escapes it. A watchdog process kills it when we die.
 *   pid-namespace  only when asked for: the namespace's init is ours, and all dies with it.
 *   supervisor     a process of ours is the command's parent and the subreaper, and walks its descendants: best effort
 *                  against what forks faster than it walks.
 *
 * All of it belongs to one thread, the loop's. Making a process blocks until its exec is done.
 */
#ifndef PCORE_PROC_H
#define PCORE_PROC_H

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

#include "libcore/base/base.h"
#include "libcore/loop/loop.h"
#include "libcore/sandbox/sandbox.h"

/* ---- what is to run ---- */

enum pcore_fd_source {
	PCORE_FD_OURS,	   /* our descriptor fd, which stays ours */
	PCORE_FD_SAME,	   /* what the child's descriptor fd is in the end (2 the same as 1) */
	PCORE_FD_FILE,	   /* path, opened with flags and mode before the child's chdir */
	PCORE_FD_NULL,	   /* /dev/null, read-write */
	PCORE_FD_PIPE_IN,  /* the child reads what we write to fd */
	PCORE_FD_PIPE_OUT, /* we read from fd what the child writes */
	PCORE_FD_CLOSED,
};

/* One descriptor of the child. Targets 0, 1, 2 that no entry names are inherited; all others are closed. */
struct pcore_proc_fd {
	int target;
	enum pcore_fd_source source;
	int fd; /* for pipes a result: our end, close-on-exec and non-blocking, ours to close */
	const char *path;
	int flags;
	mode_t mode;
};

struct pcore_proc_limit {
	int resource; /* RLIMIT_* */
	struct rlimit limit;
};

enum { PCORE_PROC_FDS_MAX = 64, PCORE_PROC_LIMITS_MAX = 16 };

/* Zero means: as the parent has it. Everything is borrowed until pcore_proc_start() returns. */
struct pcore_proc_spec {
	size_t size; /* sizeof(struct pcore_proc_spec) */
	char *const *argv;
	char *const *envp;
	const char *file; /* run this; NULL: argv[0]. Searched in envp's PATH unless it holds a slash */
	const char *chdir;
	struct pcore_proc_fd *fds; /* distinct targets */
	size_t n_fds;
	const struct pcore_proc_limit *limits;
	size_t n_limits;
	const cpu_set_t *affinity;
	uint64_t keep_ignored; /* signals (bit N-1) that stay ignored if they are; all others are reset */
	bool new_session;
	bool set_ctty; /* with new_session: its descriptor 0 becomes the controlling terminal */
	bool set_pgroup; /* to pgroup, 0 being its own */
	bool set_umask;
	pid_t pgroup;
	mode_t umask;
	int nice;      /* added to ours */
	bool set_sched, set_ionice, set_oom_adj;
	int sched_policy, sched_priority; /* SCHED_* */
	int ioprio;			  /* class << 13 | level */
	int oom_adj;			  /* -1000..1000 */
	bool set_groups, set_gid, set_uid; /* in this order, and for good */
	const gid_t *groups;
	size_t n_groups;
	gid_t gid;
	uid_t uid;
	int pdeathsig; /* sent to the command when the process that made it dies */
	const struct pcore_sandbox *sandbox; /* NULL: none; a strict one needs a keeper with PID namespaces */
};

/* The limit's number by its name ("nofile"), or -EINVAL; its name, or NULL. */
int pcore_limit_by_name(const char *name);
const char *pcore_limit_name(int resource);

/* Is the value a number of bytes (so that size suffixes make sense)? */
bool pcore_limit_is_size(int resource);

/* ---- where it runs ---- */

enum pcore_tree_method { PCORE_TREE_CGROUP, PCORE_TREE_PIDNS, PCORE_TREE_SUPERVISOR };

struct pcore_keeper;
struct pcore_tree;

/* Choose the method: the best that works here, or the PID namespace when asked for. cgroup leaves of ours whose maker
 * is dead are swept. single: there will be one tree at a time, which is cheaper. */
int pcore_keeper_new(struct pcore_keeper **ret, bool single, bool pid_namespace, struct pcore_err *err);
void pcore_keeper_free(struct pcore_keeper *k); /* all trees are freed before */

/* Our own cgroup's directory in the cgroup2 mount, or -errno (-ENOENT where there is none). The caller closes it. */
int pcore_cgroup_open(void);

/* "cgroup", "pid-namespace", "supervisor" */
const char *pcore_tree_method_name(const struct pcore_tree *t);

int pcore_tree_new(struct pcore_tree **ret, struct pcore_keeper *k, struct pcore_err *err);

/* Write a limit of the tree's cgroup, e.g. "memory.max", before its command is started; the controller is switched on where
 * that is allowed. -EOPNOTSUPP: the tree is no cgroup, or the controller is not to be had here. */
int pcore_tree_limit(struct pcore_tree *t, const char *file, const char *value);

/* How often the kernel has killed something in the tree for want of memory. */
uint64_t pcore_tree_oom_kills(struct pcore_tree *t);

/* Free a tree whose command is done. What --leave left alive in it lives on. */
void pcore_tree_free(struct pcore_tree *t);

/* ---- running ---- */

enum pcore_proc_state {
	PCORE_PROC_NEW,
	PCORE_PROC_RUNNING,
	PCORE_PROC_ENDING,	   /* the tree was signalled; KILL follows after the grace */
	PCORE_PROC_KILLING,	   /* the tree was killed; the command is not reaped yet */
	PCORE_PROC_LINGERING,	   /* the command is dead, others of its tree live and may go on for linger */
	PCORE_PROC_STRAYS_ENDING,  /* these were sent TERM */
	PCORE_PROC_STRAYS_KILLING, /* these were killed */
	PCORE_PROC_DONE,
};

enum pcore_proc_event {
	PCORE_PROC_EXITED, /* the command is dead and exit is filled in; others of its tree may live */
	PCORE_PROC_CLOSED, /* nothing is left (or it was left alive on purpose); the struct may be reused */
};

/* Why we ended it, if we did. */
enum pcore_killed_by { PCORE_KILLED_NO, PCORE_KILLED_TIMEOUT, PCORE_KILLED_CANCEL };

/* How long things may take: ns, INT64_MAX for ever. */
struct pcore_proc_times {
	int64_t timeout;
	int64_t kill_after;
	int64_t linger;
	int signal; /* sent to the tree when the time is up */
	bool leave; /* what outlives the command is left alone */
};

struct pcore_proc_io {
	uint64_t read_bytes, write_bytes;
};

/*
 *  state            exit               timer                  empty   end()            kill()
 *  RUNNING          reap, LINGERING*   signal tree, ENDING    -       signal, ENDING   kill tree, KILLING
 *  ENDING           reap, STRAYS_END*  kill tree, KILLING     -       -                kill tree, KILLING
 *  KILLING          reap, STRAYS_KILL* kill again             -       -                kill again
 *  LINGERING        -                  TERM, STRAYS_ENDING**  DONE    as timer         kill tree, STRAYS_KILLING
 *  STRAYS_ENDING    -                  kill, STRAYS_KILLING   DONE    -                kill tree, STRAYS_KILLING
 *  STRAYS_KILLING   -                  kill again             DONE    -                kill again
 *  *: DONE at once when the tree is empty   **: DONE with leave
 */
struct pcore_proc {
	struct pcore_loop *loop;
	struct pcore_tree *tree;
	struct pcore_proc_times times;
	void (*event)(struct pcore_proc *p, enum pcore_proc_event ev);

	enum pcore_proc_state state;
	pid_t pid; /* as our /proc has it */
	int pidfd;
	int64_t started_ns, ended_ns; /* monotonic */
	struct pcore_exit exit;
	int exit_error; /* -ECHILD: somebody else reaped it, the status is lost */
	struct pcore_proc_io io;
	enum pcore_killed_by killed_by;
	bool want_io;	    /* fill io in (set before the start) */
	unsigned survivors; /* ended after the command's own exit */

	/* private */
	struct pcore_op exit_op, timer_op, empty_op;
	bool leaving; /* DONE waits for ops to come home */
};

/* Start a command in an idle tree. event() is called from the loop: EXITED once, then CLOSED once. On failure nothing is
 * left behind and err tells the step; -EAGAIN and the like from PCORE_STEP_CLONE mean the system is short of processes. */
int pcore_proc_start(struct pcore_proc *p, struct pcore_loop *lp, struct pcore_tree *tree, const struct pcore_proc_spec *spec,
	const struct pcore_proc_times *times, struct pcore_err *err);

/* Send sig to the command alone. 0 also when it is dead already. */
int pcore_proc_signal(struct pcore_proc *p, int sig);

/* Send sig to every process of the tree, the command included. */
void pcore_proc_signal_tree(struct pcore_proc *p, int sig);

/* End the whole tree: sig now, KILL after times.kill_after. killed_by is noted if the command still lives. */
void pcore_proc_end(struct pcore_proc *p, int sig, enum pcore_killed_by by);
void pcore_proc_kill(struct pcore_proc *p, enum pcore_killed_by by);

static inline bool pcore_proc_alive(const struct pcore_proc *p)
{
	return p->state == PCORE_PROC_RUNNING || p->state == PCORE_PROC_ENDING || p->state == PCORE_PROC_KILLING;
}

/* Does it sleep in a read of its standard input? */
bool pcore_proc_reads(pid_t pid);

/* The status a shell would show: the exit status, or 128 + the signal. */
int pcore_exit_status(const struct pcore_exit *e);

/* ---- without a loop, and from any thread; calls that concern one tree are made one at a time ---- */

/* Start a command in an idle tree, or (t NULL) as a plain child. It returns when the command is executed; the pidfd is the
 * caller's. On failure nothing is left behind. */
int pcore_child_start(
	struct pcore_tree *t, const struct pcore_proc_spec *spec, pid_t *ret_pid, int *ret_pidfd, struct pcore_err *err);

/* A copy of this process, without its signal handlers and with no signal blocked, that runs fn(arg), flushes its streams and exits
 * with the result. 0, -errno. */
int pcore_child_fork(int (*fn)(void *), void *arg, pid_t *ret_pid, int *ret_pidfd);

/* Reap it: 0; 1 when somebody else has done that but its status is known (what it used is not); -EAGAIN while it lives; -ECHILD
 * when its status is lost (a kernel before 6.15 does not keep it). */
int pcore_child_reap(struct pcore_tree *t, int pidfd, struct pcore_exit *ret);

/* 0 also when it is dead already. */
int pcore_child_signal(int pidfd, int sig);

int pcore_tree_signal(struct pcore_tree *t, int sig);
int pcore_tree_kill(struct pcore_tree *t);
unsigned pcore_tree_count(struct pcore_tree *t);
bool pcore_tree_empty(struct pcore_tree *t);
void pcore_tree_release(struct pcore_tree *t); /* let what lives in it live on elsewhere */

/* A descriptor to poll for events that tells when the tree may have become empty. */
int pcore_tree_watch(struct pcore_tree *t, unsigned *ret_events);

/* ---- pipes ---- */

enum pcore_reader_state { PCORE_READER_CLOSED, PCORE_READER_OPEN, PCORE_READER_PAUSED, PCORE_READER_FINISHING };

/* Reads a pipe of ours until its end. data() gets what arrives, in buf (which any number of readers of a thread may
 * share: it is done with when data() returns); then data(r, NULL, 0) at the end of file, or data(r, NULL, -errno), after
 * which the reader is closed and may be freed. Set data, buf and buf_size before the start. */
struct pcore_reader {
	struct pcore_op op;
	struct pcore_loop *loop;
	int fd;
	enum pcore_reader_state state;
	int error; /* met while finishing */
	char *buf;
	size_t buf_size;
	void (*data)(struct pcore_reader *r, const char *data, ssize_t n);
};

int pcore_reader_start(struct pcore_reader *r, struct pcore_loop *lp, int fd); /* takes fd on success */
void pcore_reader_pause(struct pcore_reader *r);
void pcore_reader_resume(struct pcore_reader *r); /* where that fails, data() is told from here */

/* Take what is there (pause or not), then end: data(r, NULL, 0) follows even if others hold the pipe open. */
void pcore_reader_finish(struct pcore_reader *r);

/* Bytes in memory, or a range of a regular file, which goes into a pipe without a copy. */
struct pcore_piece {
	const char *data; /* NULL: a range of fd */
	uint64_t len;
	int fd;
	int64_t offset;
};

/* Writes to a pipe of ours and closes it. What is written are the bytes given at the start, then the pieces that next()
 * gives, one after the other. A piece has to last until the next one is asked for, or until done(f, res), which is called
 * once. res is 0 also when the reader left early (piece is then what it did not take); -ESTALE: a file ended before the
 * range did. Set done, and next if there are pieces, before the start. */
struct pcore_feeder {
	struct pcore_op op;
	struct pcore_loop *loop;
	int fd;			  /* -EBADF: over */
	struct pcore_piece piece; /* what is left of the present one */
	bool waiting, stopped;	  /* waiting: for a piece */
	uint64_t written;
	bool unread; /* when it is over: nothing of that was read, as far as can be known */
	/* 1 with the next piece; 0: none now, pcore_feeder_go_on() when there is; -ENODATA: there are no more. */
	int (*next)(struct pcore_feeder *f, struct pcore_piece *ret);
	void (*done)(struct pcore_feeder *f, int res);
};

int pcore_feeder_start(struct pcore_feeder *f, struct pcore_loop *lp, int fd, const void *data, size_t len); /* takes fd on success */
void pcore_feeder_go_on(struct pcore_feeder *f); /* ask for the piece that was not there; done() may be called from here */
void pcore_feeder_stop(struct pcore_feeder *f);	 /* and from here, when it waits for a piece */

#endif
