/* SPDX-License-Identifier: MIT */
/*
 * detach.c - going to the background.
 */
#include "tools/cli/detach.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tools/cli/cli.h"

pid_t cli_detach(int *ret_ready_fd)
{
	pid_t pid, waiting = getpid();
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0) {
		pid = -errno;
		(void)pcore_fd_close(ends[0]);
		(void)pcore_fd_close(ends[1]);
		return pid;
	}
	if (pid > 0) {
		(void)pcore_fd_close(ends[1]);
		*ret_ready_fd = ends[0];
		return pid;
	}
	(void)pcore_fd_close(ends[0]);
	(void)setsid();
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != waiting)
		cli_exit(CLI_FAILURE);
	*ret_ready_fd = ends[1];
	return 0;
}

static void close_inherited(bool (*keep)(const void *ctx, int fd), const void *ctx)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *d;
	uint64_t fd;

	while (dir && (d = readdir(dir))) {
		int flags = pcore_parse_u64(d->d_name, STDERR_FILENO + 1, INT32_MAX, &fd) == 0 ? fcntl((int)fd, F_GETFD) : -1;

		if (flags >= 0 && !(flags & FD_CLOEXEC) && !(keep && keep(ctx, (int)fd)))
			(void)pcore_fd_close((int)fd);
	}
	if (dir)
		(void)closedir(dir);
}

void cli_detach_let_go(int log_fd, bool (*keep)(const void *ctx, int fd), const void *ctx)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)prctl(PR_SET_PDEATHSIG, 0);
	if (null >= 0) {
		(void)dup3(null, STDIN_FILENO, 0);
		(void)dup3(null, STDOUT_FILENO, 0);
		(void)dup3(log_fd >= 0 ? log_fd : null, STDERR_FILENO, 0);
	}
	if (null > STDERR_FILENO)
		(void)pcore_fd_close(null);
	close_inherited(keep, ctx);
}

void cli_detach_tell(int ready_fd, int status)
{
	(void)pcore_fd_write_all(ready_fd, &status, sizeof(status));
}

int cli_detach_wait(int ready_fd)
{
	int status;
	ssize_t n;

	do
		n = read(ready_fd, &status, sizeof(status));
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(status) ? status : -ESRCH;
}
