/* SPDX-License-Identifier: MIT */
/*
 * raw_supervisor.c - the two processes that see to it that a tree ends, whatever becomes of their maker.
 *
 * The supervisor is the command's parent and the subreaper of all that comes from it: orphans become its children, so
 * that it can find and signal every descendant. It shares memory and descriptors with its maker, takes one request at a
 * time and acts by itself when the maker dies: it kills all it has and leaves. With a PID namespace of its own it is
 * that namespace's init.
 *
 * The watchdog serves trees that are cgroups: it shares memory only, waits for its maker's death, then kills the cgroup
 * and removes it.
 */
#include "libcore/proc/raw.h"

#include <limits.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <time.h>

enum { WALK_MAX = (int)ARRAY_SIZE(((struct raw_sup *)0)->list) };
#define RAW_P_ALL 0
#define RAW_P_PID 1

static void sleep_ms(long ms)
{
	struct timespec ts = { .tv_nsec = ms * 1000000 };

	(void)raw2(SYS_nanosleep, &ts, NULL);
}

/* Poll without a libc call; ms < 0 waits for ever. */
static long raw_poll(struct pollfd *fds, size_t n, long ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	return raw5(SYS_ppoll, fds, n, ms < 0 ? NULL : &ts, NULL, sizeof(uint64_t));
}

static _Noreturn void leave(void)
{
	for (;;)
		(void)raw1(SYS_exit_group, 0);
}

/* Reap all that has died but the command, which waits for its own request. */
static void reap_strangers(struct raw_sup *s)
{
	for (;;) {
		siginfo_t si = { .si_pid = 0 };

		if (raw5(SYS_waitid, RAW_P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT | __WALL, NULL) < 0 ||
			si.si_pid == 0 || si.si_pid == s->job)
			return;
		(void)raw5(SYS_waitid, RAW_P_PID, si.si_pid, NULL, WEXITED | WNOHANG | __WALL, NULL);
	}
}

static bool has_children(void)
{
	siginfo_t si;

	return raw5(SYS_waitid, RAW_P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT | __WALL, NULL) != -ECHILD;
}

static long read_file(const char *path, char *buf, size_t size)
{
	long fd = raw3(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	long n, total = 0;

	if (fd < 0)
		return fd;
	while ((size_t)total < size - 1) {
		n = raw3(SYS_read, fd, buf + total, size - 1 - (size_t)total);
		if (n <= 0)
			break;
		total += n;
	}
	(void)raw1(SYS_close, fd);
	buf[total] = '\0';
	return total;
}

static void proc_path(char *dst, pid_t pid, const char *rest)
{
	size_t n = raw_copy(dst, "/proc/");

	n += raw_format_u64(dst + n, (uint64_t)pid);
	(void)raw_copy(dst + n, rest);
}

/* The parent of pid and whether it is a zombie, from "pid (any) name) S ppid ..."; -1 when it is gone. */
static pid_t parent_of(pid_t pid, bool *zombie)
{
	char path[64], buf[512];
	const char *p = NULL;
	pid_t ppid = 0;

	proc_path(path, pid, "/stat");
	if (read_file(path, buf, sizeof(buf)) <= 0)
		return -1;
	for (const char *q = buf; *q; q++)
		if (*q == ')')
			p = q;
	if (!p || !p[1] || !p[2] || !p[3])
		return -1;
	*zombie = p[2] == 'Z' || p[2] == 'X';
	for (p += 4; *p >= '0' && *p <= '9'; p++)
		ppid = ppid * 10 + (*p - '0');
	return ppid;
}

/* Append the children of one thread to the worklist. */
static size_t add_children(struct raw_sup *s, size_t n, pid_t pid, pid_t tid)
{
	char path[64], buf[8192];
	size_t at;
	pid_t child = 0;

	proc_path(path, pid, "/task/");
	for (at = 0; path[at]; at++)
		;
	at += raw_format_u64(path + at, (uint64_t)tid);
	(void)raw_copy(path + at, "/children");
	if (read_file(path, buf, sizeof(buf)) <= 0)
		return n;
	for (const char *p = buf; *p; p++) {
		if (*p >= '0' && *p <= '9') {
			child = child * 10 + (*p - '0');
			continue;
		}
		if (child > 0 && n < WALK_MAX)
			s->list[n++] = (struct raw_member){ child, pid };
		child = 0;
	}
	return n;
}

static size_t add_all_children(struct raw_sup *s, size_t n, pid_t pid)
{
	char path[64], buf[1024] __attribute__((aligned(8)));
	long dir, got;

	proc_path(path, pid, "/task");
	dir = raw3(SYS_openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return n;
	while ((got = raw3(SYS_getdents64, dir, buf, sizeof(buf))) > 0) {
		for (long at = 0; at < got;) {
			struct raw_dirent *d = (struct raw_dirent *)(void *)(buf + at);
			pid_t tid = 0;

			for (const char *p = d->name; *p >= '0' && *p <= '9'; p++)
				tid = tid * 10 + (*p - '0');
			if (tid > 0)
				n = add_children(s, n, pid, tid);
			at += d->reclen;
		}
	}
	(void)raw1(SYS_close, dir);
	return n;
}

/* A pid seen in a list may have died since and have been given to another: hold it by a pidfd, then look again
 * whether it is ours. */
static bool signal_checked(struct raw_member m, pid_t self, int sig)
{
	long fd = raw2(SYS_pidfd_open, m.pid, 0);
	bool zombie = false, alive;
	pid_t ppid;

	if (fd < 0)
		return false;
	ppid = parent_of(m.pid, &zombie);
	alive = (ppid == m.parent || ppid == self) && !zombie;
	if (alive && sig > 0)
		(void)raw4(SYS_pidfd_send_signal, fd, sig, NULL, 0);
	(void)raw1(SYS_close, fd);
	return alive;
}

/* Signal every descendant there is, or count them (sig 0). New ones may appear behind the walk's back. */
static long walk(struct raw_sup *s, int sig)
{
	pid_t self = (pid_t)raw0(SYS_getpid);
	size_t n = add_children(s, 0, self, self);
	long count = 0;

	for (size_t i = 0; i < n; i++) {
		n = add_all_children(s, n, s->list[i].pid); /* before its death hands them to us */
		count += signal_checked(s->list[i], self, sig);
	}
	return count;
}

static long signal_all(struct raw_sup *s, int sig)
{
	if (s->pid_namespace && sig > 0) {
		(void)raw2(SYS_kill, -1, sig); /* all of the namespace but us, its init */
		return 0;
	}
	return walk(s, sig);
}

/* One pass: whoever forks faster than we walk is stopped first, so that the second walk finds it. */
static void kill_pass(struct raw_sup *s)
{
	if (!s->pid_namespace)
		(void)walk(s, SIGSTOP);
	(void)signal_all(s, SIGKILL);
	reap_strangers(s);
}

static _Noreturn void kill_all_and_leave(struct raw_sup *s)
{
	s->job = 0; /* nobody asks for it any more */
	for (int i = 0; has_children() && i < 30000; i++) {
		kill_pass(s);
		if (has_children())
			sleep_ms(1);
	}
	leave();
}

static long reap_job(struct raw_sup *s)
{
	long r = raw5(SYS_waitid, RAW_P_PID, s->job, &s->info, WEXITED | WNOHANG | __WALL, &s->usage);

	if (r == 0 && s->info.si_pid == 0)
		r = -EAGAIN;
	if (r == 0)
		s->job = 0;
	return r;
}

static long mount_proc(void)
{
	long r = raw5(SYS_mount, "none", "/", NULL, MS_REC | MS_PRIVATE, NULL);

	if (r < 0)
		return r;
	return raw5(SYS_mount, "proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

static long serve(struct raw_sup *s)
{
	long r;

	switch (s->op) {
	case RAW_SUP_SPAWN:
		s->killing = s->watching = false;
		r = raw_spawn(s->spawn);
		if (r == 0)
			s->job = s->spawn->pid;
		return r;
	case RAW_SUP_REAP:
		return reap_job(s);
	case RAW_SUP_SIGNAL:
		return signal_all(s, s->sig);
	case RAW_SUP_KILL:
		s->killing = true;
		kill_pass(s);
		return 0;
	case RAW_SUP_COUNT:
		reap_strangers(s);
		return has_children() ? walk(s, 0) : 0;
	case RAW_SUP_EMPTY: /* orphans become our children: no child, no descendant, however fast they fork */
		reap_strangers(s);
		return !has_children();
	case RAW_SUP_WATCH:
		s->watching = true;
		return 0;
	case RAW_SUP_MOUNT:
		return mount_proc();
	case RAW_SUP_QUIT:
		return 0;
	}
	return -EINVAL;
}

static void answer(struct raw_sup *s, long result)
{
	s->result = result;
	__atomic_store_n(&s->state, RAW_SUP_IDLE, __ATOMIC_SEQ_CST);
	(void)raw6(SYS_futex, RAW_ARG(&s->state), FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
}

static void tell_empty(struct raw_sup *s)
{
	static const uint64_t one = 1;

	s->watching = s->killing = false;
	(void)raw3(SYS_write, s->empty_fd, &one, sizeof(one));
}

static void drain(long fd)
{
	char buf[2048];

	while (raw3(SYS_read, fd, buf, sizeof(buf)) > 0)
		;
}

static void supervise(struct raw_sup *s, struct pollfd fds[3])
{
	for (;;) {
		fds[0].revents = fds[1].revents = fds[2].revents = 0;
		(void)raw_poll(fds, 3, s->killing ? 1 : -1);
		if (fds[0].revents)
			kill_all_and_leave(s);
		if (fds[1].revents)
			drain(s->signal_fd);
		if (fds[2].revents)
			drain(s->request_fd);
		reap_strangers(s);
		if (__atomic_load_n(&s->state, __ATOMIC_SEQ_CST) == RAW_SUP_ASKED) {
			enum raw_sup_op op = s->op;

			answer(s, serve(s));
			if (op == RAW_SUP_QUIT)
				leave();
		}
		if (s->killing)
			kill_pass(s);
		if ((s->watching || s->killing) && s->job == 0 && !has_children())
			tell_empty(s);
	}
}

void raw_supervisor(void *arg)
{
	struct raw_sup *s = arg;
	uint64_t chld = raw_sigbit(SIGCHLD);
	struct pollfd fds[3] = {
		{ .fd = s->parent_pidfd, .events = POLLIN },
		{ .fd = -1, .events = POLLIN },
		{ .fd = s->request_fd, .events = POLLIN },
	};

	(void)raw2(SYS_prctl, PR_SET_NAME, "pcore-super");
	(void)raw2(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1);
	/* A group of its own: what is sent to the maker's group is not for us. */
	if (!s->pid_namespace)
		(void)raw2(SYS_setpgid, 0, 0);
	s->signal_fd = (int)raw4(SYS_signalfd4, -1, &chld, sizeof(chld), SFD_NONBLOCK | SFD_CLOEXEC);
	fds[1].fd = s->signal_fd;
	supervise(s, fds);
}

/* Keep three descriptors and close all others, stdio too. */
static void close_others(const int keep[3])
{
	int from = 0;

	for (int i = 0; i <= 3; i++) {
		unsigned to = i < 3 ? (unsigned)keep[i] : UINT_MAX;

		if (i == 3 || keep[i] > from) {
			if (raw3(SYS_close_range, from, i < 3 ? to - 1 : to, 0) < 0)
				for (unsigned fd = (unsigned)from; fd < to && fd < 65536; fd++)
					(void)raw1(SYS_close, fd);
		}
		if (i < 3)
			from = keep[i] + 1;
	}
}

void raw_watchdog(void *arg)
{
	const struct raw_watchdog *w = arg;
	struct pollfd fd = { .fd = w->parent_pidfd, .events = POLLIN };
	char name[24];
	long kill_fd;

	(void)raw2(SYS_prctl, PR_SET_NAME, "pcore-watchdog");
	(void)raw0(SYS_setsid);
	close_others(w->fds);
	while (!fd.revents)
		(void)raw_poll(&fd, 1, -1);

	for (int i = 0; i < 10000; i++) {
		kill_fd = raw3(SYS_openat, w->run_fd, "cgroup.kill", O_WRONLY | O_CLOEXEC);
		if (kill_fd >= 0) {
			(void)raw3(SYS_write, kill_fd, "1", 1);
			(void)raw1(SYS_close, kill_fd);
		}
		for (unsigned leaf = 0; leaf < w->n_leaves; leaf++) {
			(void)raw_format_u64(name, leaf);
			(void)raw3(SYS_unlinkat, w->run_fd, name, AT_REMOVEDIR);
		}
		if (raw3(SYS_unlinkat, w->base_fd, w->run_name, AT_REMOVEDIR) == 0)
			break;
		sleep_ms(1);
	}
	leave();
}
