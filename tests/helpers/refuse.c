/* SPDX-License-Identifier: MIT */
/*
 * refuse - runs a command where some system calls are refused, as under a container's seccomp
 * filter.
 * Usage: refuse [-e ERRNO] CALL... -- COMMAND [ARG...]. Each CALL fails with ENOSYS, or with ERRNO
 * ("EPERM"). Filters nest, so that calls may fail in different ways.
 */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "tests/helpers/helper.h"

#if defined(__x86_64__)
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCH AUDIT_ARCH_AARCH64
#else
#error "which AUDIT_ARCH is this?"
#endif

#define CALL(name) { #name, SYS_##name }
static const struct {
	const char *name;
	unsigned nr;
} calls[] = {
	CALL(clone), CALL(clone3), CALL(close_range), CALL(dup3), CALL(epoll_create1),
	CALL(eventfd2), CALL(io_uring_enter), CALL(io_uring_register), CALL(io_uring_setup),
	CALL(memfd_create), CALL(mkdirat), CALL(openat2), CALL(pidfd_open), CALL(pidfd_send_signal),
	CALL(pipe2), CALL(prctl), CALL(prlimit64), CALL(setpgid), CALL(setsid), CALL(signalfd4),
	CALL(splice), CALL(timerfd_create), CALL(unshare), CALL(waitid),
	CALL(capset), CALL(landlock_create_ruleset), CALL(landlock_restrict_self), CALL(mount), CALL(mount_setattr),
	CALL(move_mount), CALL(open_tree), CALL(seccomp),
#ifdef SYS_mkdir
	CALL(mkdir),
#endif
};

enum { CALLS_MAX = sizeof(calls) / sizeof(calls[0]), FILTER_MAX = 2 * CALLS_MAX + 8 };

static struct sock_filter filter[FILTER_MAX];
static unsigned short len;

static void add(unsigned code, unsigned k, unsigned jump_true, unsigned jump_false)
{
	if (len == FILTER_MAX) {
		errno = E2BIG;
		die("refuse");
	}
	filter[len++] = (struct sock_filter){
		(unsigned short)code, (unsigned char)jump_true, (unsigned char)jump_false, k
	};
}

static unsigned call_nr(const char *name)
{
	for (size_t i = 0; i < CALLS_MAX; i++)
		if (!strcmp(calls[i].name, name))
			return calls[i].nr;
	errno = ENOSYS;
	die(name);
}

static unsigned errno_of(const char *name)
{
	for (int e = 1; e < 134; e++)
		if (strerrorname_np(e) && !strcmp(strerrorname_np(e), name))
			return (unsigned)e;
	errno = EINVAL;
	die(name);
}

int main(int argc, char **argv)
{
	unsigned error = ENOSYS;
	int i = 1;

	if (argc > 2 && !strcmp(argv[1], "-e")) {
		error = errno_of(argv[2]);
		i = 3;
	}
	add(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
	add(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCH, 1, 0);
	add(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
	add(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
	for (; i < argc && strcmp(argv[i], "--"); i++) {
		add(BPF_JMP | BPF_JEQ | BPF_K, call_nr(argv[i]), 0, 1);
		add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error, 0, 0);
	}
	add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
	if (i + 1 >= argc)
		return 125;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &(struct sock_fprog){ len, filter }))
		die("seccomp");
	execvp(argv[i + 1], argv + i + 1);
	die(argv[i + 1]);
}
