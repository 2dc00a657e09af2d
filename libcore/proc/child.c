/* SPDX-License-Identifier: MIT */
/*
 * child.c - processes without a loop: for a host that has threads, children and handlers of its own.
 *
 * The status of a child whose parent ignores SIGCHLD, or lets somebody else reap it, is asked of its pidfd, where the kernel
 * keeps it (since 6.15); else it is lost and said to be.
 */
#include "libcore/proc/private.h"

#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { STACK_SIZE = 64 * 1024 };

/* As linux/pidfd.h of 6.15 has it. */
struct pidfd_info {
	uint64_t mask, cgroup_id;
	uint32_t pid, tgid, ppid;
	uint32_t ids[8];
	int32_t exit_code;
};

enum { INFO_EXIT = 1 << 3, REAPED_MS = 1000 };
#define GET_INFO _IOWR(0xff, 11, struct pidfd_info)

_Static_assert(sizeof(struct pidfd_info) == 64, "the kernel's first version");

static int ask(int pidfd, struct pidfd_info *info)
{
	*info = (struct pidfd_info){ .mask = INFO_EXIT };
	if (ioctl(pidfd, GET_INFO, info) < 0)
		return -errno;
	return info->mask & INFO_EXIT ? 0 : -ESRCH;
}

int pcore_pidfd_status(int pidfd, struct pcore_exit *ret)
{
	struct pollfd gone = { .fd = pidfd }; /* POLLHUP: reaped */
	struct pidfd_info info;
	int r = ask(pidfd, &info);

	if (r == -ESRCH) { /* it may be on its way out */
		(void)poll(&gone, 1, REAPED_MS);
		r = ask(pidfd, &info);
	}
	if (r < 0)
		return -ECHILD;

	*ret = (struct pcore_exit){ .code = CLD_EXITED, .status = WEXITSTATUS(info.exit_code) };
	if (WIFSIGNALED(info.exit_code)) {
		ret->code = WCOREDUMP(info.exit_code) ? CLD_DUMPED : CLD_KILLED;
		ret->status = WTERMSIG(info.exit_code);
	}
	return 0;
}

int pcore_plain_spawn(struct raw_spawn *s)
{
	uint64_t mask;
	int r;

	s->stack_size = STACK_SIZE;
	s->stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (s->stack == MAP_FAILED) {
		s->child->step = PCORE_STEP_CLONE;
		return s->child->code = -ENOMEM;
	}
	mask = pcore_signals_block();
	r = raw_spawn(s);
	pcore_signals_restore(mask);
	(void)munmap(s->stack, STACK_SIZE);
	return r;
}

int pcore_child_start(
	struct pcore_tree *t, const struct pcore_proc_spec *spec, pid_t *ret_pid, int *ret_pidfd, struct pcore_err *err)
{
	return pcore_spawn(t, spec, ret_pid, ret_pidfd, err);
}

int pcore_child_reap(struct pcore_tree *t, int pidfd, struct pcore_exit *ret)
{
	siginfo_t si = { .si_pid = 0 };
	long r;

	if (t && !pcore_tree_own_child(t))
		r = pcore_tree_reap(t, ret);
	else
		r = raw5(SYS_waitid, P_PIDFD, pidfd, &si, WEXITED | WNOHANG | __WALL, &ret->usage);
	if (r == -ECHILD)
		return pcore_pidfd_status(pidfd, ret) < 0 ? -ECHILD : 1;
	if (r < 0 || (t && !pcore_tree_own_child(t)))
		return (int)r;
	if (si.si_pid == 0)
		return -EAGAIN;

	ret->code = si.si_code;
	ret->status = si.si_status;
	return 0;
}

int pcore_child_signal(int pidfd, int sig)
{
	long r = raw4(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);

	return r == -ESRCH ? 0 : (int)r;
}

/* The host's handlers are not made for a copy of it. All signals are blocked. */
static void reset_signals(void)
{
	static const struct raw_sigaction dfl;
	static const uint64_t none;
	struct raw_sigaction old;

	for (int sig = 1; sig <= RAW_NSIG; sig++)
		if (raw4(SYS_rt_sigaction, sig, NULL, &old, sizeof(uint64_t)) == 0 && old.handler != SIG_DFL && old.handler != SIG_IGN)
			(void)raw4(SYS_rt_sigaction, sig, &dfl, NULL, sizeof(uint64_t));
	(void)raw4(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none));
}

/* The child begins when we hold its pidfd, so that it cannot be gone before. */
static _Noreturn void child_main(const int barrier[2], int (*fn)(void *), void *arg)
{
	int status;
	char go;
	ssize_t n;

	reset_signals();
	(void)pcore_fd_close(barrier[1]);
	do
		n = read(barrier[0], &go, 1);
	while (n < 0 && errno == EINTR);
	(void)pcore_fd_close(barrier[0]);
	if (n != 1)
		_exit(127);
	status = fn(arg);
	(void)fflush(NULL);
	_exit(status);
}

static int open_child(pid_t pid, int go_fd)
{
	int pidfd = (int)raw2(SYS_pidfd_open, pid, 0);

	if (pidfd >= 0 && pcore_fd_write_all(go_fd, "", 1) == 0)
		return pidfd;
	(void)kill(pid, SIGKILL); /* it waits for us */
	(void)waitpid(pid, NULL, 0);
	if (pidfd < 0)
		return pidfd;
	(void)pcore_fd_close(pidfd);
	return -EIO;
}

int pcore_child_fork(int (*fn)(void *), void *arg, pid_t *ret_pid, int *ret_pidfd)
{
	int barrier[2], pidfd;
	uint64_t mask;
	pid_t pid;

	if (pipe2(barrier, O_CLOEXEC) < 0)
		return -errno;
	mask = pcore_signals_block();
	pid = fork();
	if (pid == 0)
		child_main(barrier, fn, arg);
	pcore_signals_restore(mask);
	pidfd = pid < 0 ? -errno : open_child(pid, barrier[1]);
	(void)pcore_fd_close(barrier[0]);
	(void)pcore_fd_close(barrier[1]);
	if (pidfd < 0)
		return pidfd;
	*ret_pid = pid;
	*ret_pidfd = pidfd;
	return 0;
}
