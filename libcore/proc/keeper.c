/* SPDX-License-Identifier: MIT */
/*
 * keeper.c - the keeper of trees: it says where commands run, and sees to it that nothing of them outlives us.
 *
 * With cgroups it makes one directory below our own cgroup, pcore.PID.N, holds a flock on it and starts the watchdog, which
 * shares that lock; a directory whose lock can be taken belongs to nobody and is swept.
 */
#include "libcore/proc/tree.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { SWEEP_MAX = 16, LEAVES_MAX = 4096, NAME_TRIES = 64 };

/* ---- its cgroup ---- */

/* Call fn for the directories below dir_fd whose names begin with prefix, at most left of them. */
static void each_child(int dir_fd, const char *prefix, int left, void (*fn)(int dir_fd, const char *name))
{
	char buf[4096] __attribute__((aligned(8)));
	_cleanup_(fd_closep) int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ssize_t n;

	while (fd >= 0 && (n = getdents64(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct dirent64 *d = (const void *)(buf + at);

			if (d->d_type == DT_DIR && d->d_name[0] != '.' && strncmp(d->d_name, prefix, strlen(prefix)) == 0 && left-- > 0)
				fn(dir_fd, d->d_name);
			at += d->d_reclen;
		}
	}
}

static void remove_leaf(int run_fd, const char *name)
{
	(void)pcore_cgroup_remove(run_fd, name, 20);
}

static void sweep_one(int base_fd, const char *name)
{
	_cleanup_(fd_closep) int fd = openat(base_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return;

	(void)pcore_file_write(fd, "cgroup.kill", "1");
	each_child(fd, "", LEAVES_MAX, remove_leaf);
	(void)pcore_cgroup_remove(base_fd, name, 20);
}

static void sweep(int base_fd)
{
	struct stat st;

	if (fstat(base_fd, &st) == 0 && st.st_nlink == 2)
		return; /* no cgroup below ours at all */
	each_child(base_fd, "pcore.", SWEEP_MAX, sweep_one);
}

/* Make and lock pcore.PID.N. A sweeper may take it between the two: then the next name does. */
static int make_run_dir(struct pcore_keeper *k)
{
	for (int i = 0; i < NAME_TRIES; i++) {
		(void)snprintf(k->run_name, sizeof(k->run_name), "pcore.%d.%d", getpid(), i);
		if (mkdirat(k->base_fd, k->run_name, 0755) < 0) {
			if (errno == EEXIST)
				continue;
			return -errno;
		}
		k->run_fd = openat(k->base_fd, k->run_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (k->run_fd >= 0 && flock(k->run_fd, LOCK_EX | LOCK_NB) == 0 &&
			faccessat(k->run_fd, "cgroup.kill", W_OK, 0) == 0)
			return 0;
		k->run_fd = pcore_fd_close(k->run_fd);
		(void)unlinkat(k->base_fd, k->run_name, AT_REMOVEDIR);
	}
	return -EEXIST;
}

static int compare_int(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static int start_watchdog(struct pcore_keeper *k)
{
	k->dog = (struct raw_watchdog){
		.fds = { k->parent_pidfd, k->base_fd, k->run_fd },
		.parent_pidfd = k->parent_pidfd,
		.base_fd = k->base_fd,
		.run_fd = k->run_fd,
		.run_name = k->run_name,
	};
	qsort(k->dog.fds, 3, sizeof(int), compare_int);
	k->dog_stack = pcore_stack_new();
	if (!k->dog_stack)
		return -ENOMEM;

	k->dog_pidfd = pcore_helper_start(0, k->dog_stack, raw_watchdog, &k->dog);
	return k->dog_pidfd < 0 ? k->dog_pidfd : 0;
}

static void stop_watchdog(struct pcore_keeper *k)
{
	if (k->dog_pidfd >= 0) {
		(void)raw4(SYS_pidfd_send_signal, k->dog_pidfd, SIGKILL, NULL, 0);
		(void)pcore_helper_wait(k->dog_pidfd);
	}
	k->dog_pidfd = pcore_fd_close(k->dog_pidfd);
	pcore_stack_free(k->dog_stack);
	k->dog_stack = NULL;
}

static void close_cgroup(struct pcore_keeper *k)
{
	if (k->run_fd >= 0)
		(void)pcore_cgroup_remove(k->base_fd, k->run_name, 1000);
	pcore_aside_back(&k->aside);
	stop_watchdog(k);
	k->run_fd = pcore_fd_close(k->run_fd);
	k->base_fd = pcore_fd_close(k->base_fd);
}

static int open_cgroup(struct pcore_keeper *k)
{
	int r;

	k->base_fd = pcore_cgroup_open();
	if (k->base_fd < 0)
		return k->base_fd;

	r = faccessat(k->base_fd, "cgroup.procs", W_OK, 0) < 0 ? -errno : 0;
	if (r == 0) {
		sweep(k->base_fd);
		r = make_run_dir(k);
	}
	if (r == 0)
		r = start_watchdog(k);
	if (r < 0)
		close_cgroup(k);
	return r;
}

/* ---- the keeper ---- */

int pcore_keeper_new(struct pcore_keeper **ret, bool single, bool pid_namespace, struct pcore_err *err)
{
	static const char children[] = "/proc/thread-self/children"; /* without it a supervisor finds nobody */
	struct pcore_keeper *k = calloc(1, sizeof(*k));

	if (!k)
		return pcore_err_set(err, -ENOMEM, PCORE_STEP_SUPERVISOR, "");

	k->single = single;
	k->base_fd = k->run_fd = k->dog_pidfd = k->aside.fd = -EBADF;
	k->parent_pidfd = (int)raw2(SYS_pidfd_open, getpid(), 0);
	k->stack = pcore_stack_new();
	if (k->parent_pidfd < 0 || !k->stack) {
		int r = k->parent_pidfd < 0 ? k->parent_pidfd : -ENOMEM;

		pcore_keeper_free(k);
		return pcore_err_set(err, r, PCORE_STEP_SUPERVISOR, "");
	}
	k->method = pid_namespace ? PCORE_TREE_PIDNS : PCORE_TREE_SUPERVISOR;
	if (!pid_namespace && open_cgroup(k) == 0)
		k->method = PCORE_TREE_CGROUP;
	if (k->method == PCORE_TREE_SUPERVISOR && access(children, R_OK) < 0) {
		int r = -errno;

		pcore_keeper_free(k);
		return pcore_err_set(err, r, PCORE_STEP_SUPERVISOR, children);
	}
	*ret = k;
	return 0;
}

void pcore_keeper_free(struct pcore_keeper *k)
{
	if (!k)
		return;

	assert(k->n_trees == 0);

	if (k->method == PCORE_TREE_CGROUP)
		close_cgroup(k);
	k->parent_pidfd = pcore_fd_close(k->parent_pidfd);
	pcore_stack_free(k->stack);
	free(k);
}
