/* SPDX-License-Identifier: MIT */
/*
 * aside.c - controllers for the cgroups below ours. Except in the root the kernel takes most of them (memory, io) only while no
 * process is in ours itself. Where nobody is but we, as in a scope or a service that was made for us, we step aside into a child.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcore/base/base.h"
#include "libcore/proc/private.h"

enum { PROCESSES_MAX = 512 };

/* The processes of a cgroup; -E2BIG when there are more than that. */
static int processes(int dir_fd, pid_t pids[PROCESSES_MAX])
{
	int fd = openat(dir_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	int n = 0;
	pid_t pid;

	if (!f) {
		(void)pcore_fd_close(fd);
		return -ENOENT;
	}
	while (n >= 0 && fscanf(f, "%d", &pid) == 1) {
		if (n < PROCESSES_MAX)
			pids[n++] = pid;
		else
			n = -E2BIG;
	}
	(void)fclose(f);
	return n;
}

static int move(int dir_fd, pid_t pid)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%d", pid);
	return pcore_file_write(dir_fd, "cgroup.procs", text);
}

/* What is in there goes to the other one, also what it has forked meanwhile. */
static void move_all(int from_fd, int to_fd)
{
	pid_t pids[PROCESSES_MAX];
	int n;

	for (int tries = 0; tries < 100 && (n = processes(from_fd, pids)) != 0; tries++)
		for (int i = 0; i < n; i++)
			(void)move(to_fd, pids[i]);
}

/* Nobody is in our cgroup but we and our helper. */
static bool alone(int base_fd, pid_t helper)
{
	pid_t pids[PROCESSES_MAX];
	int n = processes(base_fd, pids);

	for (int i = 0; i < n; i++)
		if (pids[i] != getpid() && pids[i] != helper)
			return false;
	return n > 0;
}

static int step_aside(struct pcore_aside *a, pid_t helper)
{
	assert(a->fd < 0);

	if (!alone(a->base_fd, helper))
		return -EBUSY;
	if (mkdirat(a->base_fd, a->name, 0755) < 0)
		return -errno;
	a->fd = openat(a->base_fd, a->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (a->fd < 0) {
		(void)unlinkat(a->base_fd, a->name, AT_REMOVEDIR);
		return -EBUSY;
	}
	/* locked, or another tool takes it for one whose owner has died */
	if (flock(a->fd, LOCK_EX | LOCK_NB) < 0 || move(a->fd, getpid()) < 0 || move(a->fd, helper) < 0) {
		pcore_aside_back(a);
		return -EBUSY;
	}
	return 0;
}

void pcore_aside_enable(struct pcore_aside *a, pid_t helper, const char *controller)
{
	char word[24];
	size_t used = strlen(a->enabled);
	int r;

	(void)snprintf(word, sizeof(word), "+%s", controller);
	r = pcore_file_write(a->base_fd, "cgroup.subtree_control", word);
	if (r == -EBUSY && a->fd < 0 && step_aside(a, helper) == 0)
		r = pcore_file_write(a->base_fd, "cgroup.subtree_control", word);
	if (r >= 0)
		(void)snprintf(a->enabled + used, sizeof(a->enabled) - used, "-%s ", controller);
}

void pcore_aside_back(struct pcore_aside *a)
{
	if (a->fd < 0)
		return;

	/* no process may enter a cgroup that hands controllers on */
	(void)pcore_file_write(a->base_fd, "cgroup.subtree_control", a->enabled);
	move_all(a->fd, a->base_fd);
	a->fd = pcore_fd_close(a->fd);
	(void)unlinkat(a->base_fd, a->name, AT_REMOVEDIR);
}
