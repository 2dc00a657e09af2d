/* SPDX-License-Identifier: MIT */
/*
 * raw_child.c - the child between clone and exec, and the clone that makes it.
 *
 * The child runs in its parent's memory while the parent sleeps (CLONE_VM|CLONE_VFORK), on a stack of its own, with all
 * signals blocked. It leaves by exec, or by exit_group after writing down which step failed.
 */
#include "libcore/proc/raw.h"

#include <asm/ioctls.h>
#include <linux/close_range.h>
#include <sys/prctl.h>

#define CHILD_LIMIT_MAX 65536

static int fail(struct raw_child *c, enum pcore_step step, size_t index, long code)
{
	c->step = step;
	c->index = index;
	c->code = (int)code;
	return c->code;
}

/* Only SIG_IGN survives exec, but a handler must be gone before the mask is emptied. */
static int reset_signals(struct raw_child *c)
{
	static const struct raw_sigaction dfl;
	struct raw_sigaction old;

	for (int sig = 1; sig <= RAW_NSIG; sig++) {
		if (sig == SIGKILL || sig == SIGSTOP)
			continue;
		if (raw4(SYS_rt_sigaction, sig, NULL, &old, sizeof(uint64_t)) < 0)
			continue;
		if (old.handler == SIG_DFL)
			continue;
		if (old.handler == SIG_IGN && (c->keep_ignored & raw_sigbit(sig)))
			continue;
		long r = raw4(SYS_rt_sigaction, sig, &dfl, NULL, sizeof(uint64_t));
		if (r < 0)
			return fail(c, PCORE_STEP_SIGNALS, (size_t)sig, r);
	}
	return 0;
}

/* Where close_range is refused: every number that /proc lists, or else every number there can be. */
static void cloexec_each(void)
{
	char buf[2048] __attribute__((aligned(8)));
	struct rlimit limit = { .rlim_cur = 1024 };
	long dir = raw3(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0) {
		(void)raw2(SYS_getrlimit, RLIMIT_NOFILE, &limit);
		for (long fd = 3; fd < CHILD_LIMIT_MAX && (rlim_t)fd < limit.rlim_cur; fd++)
			(void)raw3(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
		return;
	}
	for (;;) {
		long n = raw3(SYS_getdents64, dir, buf, sizeof(buf));

		if (n <= 0)
			break;
		for (long at = 0; at < n;) {
			struct raw_dirent *d = (struct raw_dirent *)(void *)(buf + at);
			long fd = 0;

			for (const char *p = d->name; *p >= '0' && *p <= '9'; p++)
				fd = fd * 10 + (*p - '0');
			if (d->name[0] != '.' && fd >= 3)
				(void)raw3(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
			at += d->reclen;
		}
	}
	(void)raw1(SYS_close, dir);
}

/* First every source that a target could overwrite is moved out of the way, then each is put where it belongs. */
static int place_fds(struct raw_child *c)
{
	long r;

	if (raw3(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		cloexec_each();
	for (size_t i = 0; i < c->n_dups; i++) {
		struct raw_dup *d = &c->dups[i];

		if (d->src < 0 || d->src == d->target || d->src >= c->dup_floor)
			continue;
		r = raw3(SYS_fcntl, d->src, F_DUPFD_CLOEXEC, c->dup_floor);
		if (r < 0)
			return fail(c, PCORE_STEP_DUP, i, r);
		d->src = (int)r;
	}
	for (size_t i = 0; i < c->n_dups; i++) {
		const struct raw_dup *d = &c->dups[i];

		if (d->src < 0) {
			(void)raw1(SYS_close, d->target);
			continue;
		}
		r = d->src == d->target ? raw3(SYS_fcntl, d->target, F_SETFD, 0)
					: raw3(SYS_dup3, d->src, d->target, 0);
		if (r < 0)
			return fail(c, PCORE_STEP_DUP, i, r);
	}
	return 0;
}

static int join_cgroup(struct raw_child *c)
{
	long fd, r;

	if (c->cgroup_fd < 0)
		return 0;

	fd = raw3(SYS_openat, c->cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return fail(c, PCORE_STEP_CGROUP, 0, fd);

	r = raw3(SYS_write, fd, "0", 1);
	(void)raw1(SYS_close, fd);
	return r < 0 ? fail(c, PCORE_STEP_CGROUP, 0, r) : 0;
}

static int set_place(struct raw_child *c)
{
	long r;

	if (c->new_session) {
		r = raw0(SYS_setsid);
		if (r < 0)
			return fail(c, PCORE_STEP_SESSION, 0, r);
	} else if (c->set_pgroup) {
		r = raw2(SYS_setpgid, 0, c->pgroup);
		if (r < 0)
			return fail(c, PCORE_STEP_PGROUP, 0, r);
	}
	return 0;
}

/*
 * A terminal may have sent its stop to the group that we were born in. Stopped before the exec, we would keep our parent
 * in its clone, and a group of our own is continued by nobody. Ignoring a signal for a moment takes back one that is pending.
 */
static int forget_stops(struct raw_child *c)
{
	static const struct raw_sigaction ignore = { .handler = SIG_IGN };
	static const int stops[] = { SIGTSTP, SIGTTIN, SIGTTOU };
	struct raw_sigaction old;

	for (size_t i = 0; i < ARRAY_SIZE(stops); i++) {
		long r = raw4(SYS_rt_sigaction, stops[i], &ignore, &old, sizeof(uint64_t));

		if (r == 0)
			r = raw4(SYS_rt_sigaction, stops[i], &old, NULL, sizeof(uint64_t));
		if (r < 0)
			return fail(c, PCORE_STEP_SIGNALS, (size_t)stops[i], r);
	}
	return 0;
}

static int write_oom_adj(struct raw_child *c)
{
	long fd = raw3(SYS_openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	long r;

	if (fd < 0)
		return fail(c, PCORE_STEP_OOM, 0, fd);
	r = raw3(SYS_write, fd, c->oom_adj, c->oom_adj_len);
	(void)raw1(SYS_close, fd);
	return r < 0 ? fail(c, PCORE_STEP_OOM, 0, r) : 0;
}

static int set_scheduling(struct raw_child *c)
{
	long r;

	if (c->set_sched) {
		r = raw3(SYS_sched_setscheduler, 0, c->sched_policy, &c->sched_priority);
		if (r < 0)
			return fail(c, PCORE_STEP_SCHED, 0, r);
	}
	if (c->set_ionice) {
		r = raw3(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, c->ioprio);
		if (r < 0)
			return fail(c, PCORE_STEP_IONICE, 0, r);
	}
	return c->set_oom_adj ? write_oom_adj(c) : 0;
}

/* Groups, then group, then user; and then see that there is no way back. */
static int set_identity(struct raw_child *c)
{
	long r;

	if (c->set_groups) {
		r = raw2(SYS_setgroups, c->n_groups, c->groups);
		if (r < 0)
			return fail(c, PCORE_STEP_GROUPS, 0, r);
	}
	if (c->set_gid) {
		r = raw3(SYS_setresgid, c->gid, c->gid, c->gid);
		if (r < 0)
			return fail(c, PCORE_STEP_GROUP, 0, r);
	}
	if (c->set_uid) {
		r = raw3(SYS_setresuid, c->uid, c->uid, c->uid);
		if (r == 0 && c->uid != 0 && raw3(SYS_setresuid, 0, 0, 0) == 0)
			r = -EPERM;
		if (r < 0)
			return fail(c, PCORE_STEP_USER, 0, r);
	}
	return 0;
}

static int set_resources(struct raw_child *c)
{
	long r;

	if (c->set_umask)
		(void)raw1(SYS_umask, c->umask);
	if (c->affinity) {
		r = raw3(SYS_sched_setaffinity, 0, sizeof(*c->affinity), c->affinity);
		if (r < 0)
			return fail(c, PCORE_STEP_AFFINITY, 0, r);
	}
	if (c->nice) {
		r = raw2(SYS_getpriority, PRIO_PROCESS, 0); /* 20 - nice */
		if (r >= 0)
			r = raw3(SYS_setpriority, PRIO_PROCESS, 0, 20 - r + c->nice);
		if (r < 0)
			return fail(c, PCORE_STEP_NICE, 0, r);
	}
	if (set_scheduling(c) < 0)
		return c->code;
	for (size_t i = 0; i < c->n_limits; i++) {
		r = raw4(SYS_prlimit64, 0, c->limits[i].resource, &c->limits[i].limit, NULL);
		if (r < 0)
			return fail(c, PCORE_STEP_RLIMIT, i, r);
	}
	return 0;
}

/* A parent that died before PDEATHSIG was set sends nothing: look whether it is still there. */
static int set_pdeathsig(struct raw_child *c)
{
	long r;

	if (!c->pdeathsig)
		return 0;

	r = raw2(SYS_prctl, PR_SET_PDEATHSIG, c->pdeathsig);
	if (r == 0 && raw0(SYS_getppid) != c->parent)
		r = -ESRCH;
	return r < 0 ? fail(c, PCORE_STEP_PDEATHSIG, 0, r) : 0;
}

/* As execvp(3): a missing file is passed over, a forbidden one is remembered, anything else ends the search. */
static int exec_command(struct raw_child *c)
{
	size_t denied = 0;
	bool any_denied = false;
	long r = -ENOENT;
	size_t i;

	for (i = 0; c->paths[i]; i++) {
		r = raw3(SYS_execve, c->paths[i], c->argv, c->envp);
		if (r == -EACCES && !any_denied) {
			any_denied = true;
			denied = i;
		}
		if (r != -EACCES && r != -ENOENT && r != -ENOTDIR && r != -ESTALE && r != -ENODEV)
			return fail(c, PCORE_STEP_EXEC, i, r);
	}
	if (any_denied)
		return fail(c, PCORE_STEP_EXEC, denied, -EACCES);
	return fail(c, PCORE_STEP_EXEC, i ? i - 1 : 0, r);
}

static int prepare(struct raw_child *c)
{
	long r;

	if (join_cgroup(c) < 0 || reset_signals(c) < 0 || set_place(c) < 0 || forget_stops(c) < 0)
		return c->code;
	if (c->sandbox && raw_sandbox_enter(c) < 0)
		return c->code;
	if (place_fds(c) < 0)
		return c->code;
	if (c->set_ctty) {
		r = raw3(SYS_ioctl, 0, TIOCSCTTY, 0);
		if (r < 0)
			return fail(c, PCORE_STEP_SESSION, 0, r);
	}
	if (c->chdir) {
		r = raw1(SYS_chdir, c->chdir);
		if (r < 0)
			return fail(c, PCORE_STEP_CHDIR, 0, r);
	}
	if (set_resources(c) < 0 || (c->sandbox && raw_sandbox_bound(c) < 0) || set_identity(c) < 0)
		return c->code;
	if (c->sandbox && raw_sandbox_restrict(c) < 0)
		return c->code;
	return set_pdeathsig(c);
}

static void child_main(void *arg)
{
	static const uint64_t none;
	struct raw_child *c = arg;

	c->began = true;
	if (prepare(c) == 0) {
		(void)raw4(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none));
		if (!c->sandbox || raw_sandbox_filter(c) == 0)
			(void)exec_command(c);
	}
	for (;;)
		(void)raw1(SYS_exit_group, 127);
}

static void discard_child(struct raw_spawn *s, long pid)
{
	(void)raw5(SYS_waitid, 1 /* P_PID */, pid, NULL, WEXITED | __WALL, NULL);
	(void)raw1(SYS_close, s->pidfd);
	s->pidfd = -EBADF;
}

static unsigned long namespaces_of(const struct raw_child *c)
{
	return c->sandbox ? c->sandbox->child_namespaces : 0;
}

static long clone_placed(struct raw_spawn *s)
{
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | namespaces_of(s->child),
		.pidfd = (uint64_t)(uintptr_t)&s->pidfd,
		.exit_signal = SIGCHLD,
		.stack = (uint64_t)(uintptr_t)s->stack,
		.stack_size = s->stack_size,
	};

	s->child->cgroup_fd = s->cgroup_fd;
	if (s->cgroup_fd >= 0 && !s->no_placing) {
		s->child->cgroup_fd = -1;
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (unsigned)s->cgroup_fd;
	}
	return pcore_clone3(&args, sizeof(args), child_main, s->child);
}

/* Linux compares how often the parent's cgroup was killed with how often the child's was, and kills a child placed in the
 * other one when they differ, before it has run (since 6.14 and the stable releases of early 2025). */
static long make_child(struct raw_spawn *s)
{
	struct raw_child *c = s->child;
	long r;

	if (!s->no_clone3) {
		r = clone_placed(s);
		if (r >= 0 && !c->began && s->cgroup_fd >= 0 && !s->no_placing) {
			discard_child(s, r);
			s->no_placing = true;
			r = clone_placed(s);
		}
		if (r != -ENOSYS && r != -EPERM)
			return r;
		s->no_clone3 = true;
	}
	c->cgroup_fd = s->cgroup_fd;
	return pcore_clone(CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD | namespaces_of(c),
		(char *)s->stack + s->stack_size, &s->pidfd, child_main, c);
}

int raw_spawn(struct raw_spawn *s)
{
	struct raw_child *c = s->child;
	long r;

	c->began = false;
	c->code = 0;
	c->step = PCORE_STEP_NONE;
	c->parent = (pid_t)raw0(SYS_getpid);
	r = make_child(s);
	if (r < 0)
		return fail(c, r == -EAGAIN || !namespaces_of(c) ? PCORE_STEP_CLONE : PCORE_STEP_NAMESPACE, 0, r);

	if (c->code < 0) {
		discard_child(s, r);
		return c->code;
	}
	s->pid = (pid_t)r;
	return 0;
}
