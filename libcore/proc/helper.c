/* SPDX-License-Identifier: MIT */
/*
 * helper.c - processes of our own that share our memory, and that our caller never sees as children.
 */
#include "libcore/proc/tree.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

char *pcore_stack_new(void)
{
	char *p = mmap(NULL, PCORE_STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

void pcore_stack_free(char *p)
{
	if (p)
		(void)munmap(p, PCORE_STACK_SIZE);
}

int pcore_helper_start(unsigned long flags, char *stack, void (*fn)(void *), void *arg)
{
	int pidfd = -EBADF;
	uint64_t mask = pcore_signals_block();
	long r = pcore_clone(flags | CLONE_VM | CLONE_PIDFD, stack + PCORE_STACK_SIZE, &pidfd, fn, arg);

	pcore_signals_restore(mask);
	return r < 0 ? (int)r : pidfd;
}

int pcore_helper_wait(int pidfd)
{
	int r;

	do
		r = (int)raw5(SYS_waitid, P_PIDFD, pidfd, NULL, WEXITED | __WALL, NULL);
	while (r == -EINTR);
	return r;
}

pid_t pcore_pidfd_pid(int pidfd)
{
	char path[48], buf[512];
	const char *p;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	n = pcore_file_read(AT_FDCWD, path, buf, sizeof(buf));
	if (n < 0)
		return (pid_t)n;

	p = strstr(buf, "\nPid:");
	return p ? (pid_t)strtol(p + 5, NULL, 10) : -ESRCH;
}
