/* SPDX-License-Identifier: MIT */
/*
 * raw.h - system calls without libc, for code that shares its memory with the process that made it.
 *
 * Between clone and exec, in the supervisor and in the watchdog there is no errno of one's own (thread-local storage
 * is the maker's), no lock that may be taken and no allocation. Every function here returns the kernel's result,
 * -errno included, and touches nothing else. The raw_*.c files use these and nothing of libc; they are compiled
 * without sanitizers and without a stack protector.
 */
#ifndef PCORE_PROC_RAW_H
#define PCORE_PROC_RAW_H

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libcore/base/base.h"
#include "libcore/sandbox/sandbox.h"

#if defined(__x86_64__)
static inline long raw6(long n, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#elif defined(__aarch64__)
static inline long raw6(long n, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}
#else
/* Elsewhere through libc: errno is shared with the maker for the length of a failing call. */
static inline long raw6(long n, long a, long b, long c, long d, long e, long f)
{
	long ret = syscall(n, a, b, c, d, e, f);

	return ret < 0 ? -errno : ret;
}
#endif

#define RAW_ARG(x) ((long)(x))
#define raw0(n) raw6(n, 0, 0, 0, 0, 0, 0)
#define raw1(n, a) raw6(n, RAW_ARG(a), 0, 0, 0, 0, 0)
#define raw2(n, a, b) raw6(n, RAW_ARG(a), RAW_ARG(b), 0, 0, 0, 0)
#define raw3(n, a, b, c) raw6(n, RAW_ARG(a), RAW_ARG(b), RAW_ARG(c), 0, 0, 0)
#define raw4(n, a, b, c, d) raw6(n, RAW_ARG(a), RAW_ARG(b), RAW_ARG(c), RAW_ARG(d), 0, 0)
#define raw5(n, a, b, c, d, e) raw6(n, RAW_ARG(a), RAW_ARG(b), RAW_ARG(c), RAW_ARG(d), RAW_ARG(e), 0)

/* The kernel's own struct sigaction and signal set, which libc's are not. */
struct raw_sigaction {
	void (*handler)(int);
	unsigned long flags;
#ifdef __x86_64__
	void (*restorer)(void);
#endif
	uint64_t mask;
};

enum { RAW_NSIG = 64 };

static inline uint64_t raw_sigbit(int sig)
{
	return UINT64_C(1) << (sig - 1);
}

/* What getdents64 fills a buffer with. */
struct raw_dirent {
	uint64_t ino;
	int64_t off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

/* clone_*.S: make a process that runs fn(arg) on the given stack; fn never returns. The new pid or -errno. */
long pcore_clone3(struct clone_args *args, size_t size, void (*fn)(void *), void *arg);
long pcore_clone(unsigned long flags, void *stack_top, int *pidfd, void (*fn)(void *), void *arg);

/* One descriptor of the child: our src becomes its target; src -1 closes the target. */
struct raw_dup {
	int src, target;
};

struct raw_limit {
	int resource;
	struct rlimit limit;
};

/* All the child needs, prepared by the parent; and what it says when it fails. */
struct raw_child {
	const char *const *paths; /* tried in this order, NULL-terminated */
	char *const *argv, *const *envp;
	const char *chdir; /* or NULL */
	struct raw_dup *dups;
	size_t n_dups;
	int dup_floor; /* above every target */
	const struct raw_limit *limits;
	size_t n_limits;
	const cpu_set_t *affinity; /* or NULL */
	uint64_t keep_ignored;	   /* signals that stay ignored */
	bool new_session, set_ctty;
	bool set_pgroup, set_umask;
	pid_t pgroup; /* 0: its own */
	mode_t umask;
	int nice;
	bool set_sched, set_ionice, set_oom_adj;
	int sched_policy, sched_priority, ioprio;
	char oom_adj[8]; /* as text */
	size_t oom_adj_len;
	bool set_groups, set_gid, set_uid;
	const gid_t *groups;
	size_t n_groups;
	gid_t gid;
	uid_t uid;
	int pdeathsig;
	int cgroup_fd; /* the child was not placed there and writes itself in; -1 otherwise */
	pid_t parent;  /* set by raw_spawn */
	const struct pcore_sandbox *sandbox; /* or NULL */
	int ruleset_fd; /* its Landlock rules, above dup_floor */

	bool began; /* it has run at all */
	int code; /* 0, or the -errno of the step that failed */
	enum pcore_step step;
	size_t index; /* which dup, limit or path */
	const char *subject; /* of a step of the sandbox, or NULL */
};

/* How the child is to be made. */
struct raw_spawn {
	struct raw_child *child;
	void *stack;
	size_t stack_size;
	int cgroup_fd; /* -1: none */
	bool no_clone3; /* in and out: clone3 is refused here */
	bool no_placing; /* in and out: a child that clone3 places in the cgroup is killed */
	pid_t pid;     /* results */
	int pidfd;
};

/* Make the child and wait until it has executed its command or failed to; in the latter case it is reaped. 0, or the
 * -errno of the clone, or of child->step. All signals must be blocked. */
int raw_spawn(struct raw_spawn *s);

/* The child takes its sandbox on: new file systems, before anything is looked up in them; then, with limits and identity
 * set, fewer rights; the filter last. 0 or code. raw_sandbox.c */
int raw_sandbox_enter(struct raw_child *c);
int raw_sandbox_bound(struct raw_child *c);
int raw_sandbox_restrict(struct raw_child *c);
int raw_sandbox_filter(struct raw_child *c);

enum raw_sup_op {
	RAW_SUP_SPAWN,	/* spawn */
	RAW_SUP_REAP,	/* -> info, usage; -EAGAIN while the command lives */
	RAW_SUP_SIGNAL, /* sig, to every descendant */
	RAW_SUP_KILL,	/* every descendant, again and again until none is left */
	RAW_SUP_COUNT,	/* result: living descendants, as far as the walk sees them */
	RAW_SUP_EMPTY,	/* result: 1 when there is no descendant */
	RAW_SUP_WATCH,	/* tell by empty_fd when none is left */
	RAW_SUP_MOUNT,	/* a /proc for the namespace */
	RAW_SUP_QUIT,	/* leave without killing */
};

struct raw_member {
	pid_t pid, parent;
};

/* A supervisor, in memory it shares with its maker (and descriptors too). One request at a time: the maker fills it
 * in, sets state to ASKED, writes to request_fd and waits on state as a futex. */
enum raw_sup_state { RAW_SUP_IDLE, RAW_SUP_ASKED };

struct raw_sup {
	int parent_pidfd; /* our maker's */
	int request_fd;	  /* eventfd, maker to supervisor */
	int empty_fd;	  /* eventfd, supervisor to maker: no descendant is left (after WATCH) */
	bool pid_namespace;

	unsigned state;
	enum raw_sup_op op;
	long result;
	struct raw_spawn *spawn;
	int sig;
	siginfo_t info;
	struct rusage usage;

	pid_t job; /* the command: reaped on request only */
	bool watching, killing;
	int signal_fd;
	struct raw_member list[4096]; /* the walk's worklist */
};

void raw_supervisor(void *sup);

struct raw_watchdog {
	int fds[3]; /* ascending; all others are closed */
	int parent_pidfd, base_fd, run_fd;
	const char *run_name;
	unsigned n_leaves; /* named 0, 1, ...: grows while the watchdog waits */
};

void raw_watchdog(void *dog);

/* Small helpers that must not be libc's. */
static inline size_t raw_format_u64(char *dst, uint64_t v)
{
	char tmp[20];
	size_t n = 0, len;

	do {
		tmp[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	for (len = 0; n > 0; len++)
		dst[len] = tmp[--n];
	dst[len] = '\0';
	return len;
}

static inline size_t raw_copy(char *dst, const char *src)
{
	size_t n = 0;

	for (; src[n]; n++)
		dst[n] = src[n];
	dst[n] = '\0';
	return n;
}

#endif
