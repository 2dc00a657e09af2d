/* SPDX-License-Identifier: MIT */
/*
 * rundir.c - the runtime directory.
 */
#include "tools/cli/rundir.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/cli/cli.h"

static char path[PATH_MAX];

bool cli_is_name(const char *s)
{
	static const char alnum[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	size_t len = strlen(s);

	if (len < 1 || len > 64 || !strchr(alnum, s[0]))
		return false;
	for (size_t i = 1; i < len; i++)
		if (!strchr(alnum, s[i]) && !strchr("._-", s[i]))
			return false;
	return true;
}

/* Ours and closed to everybody else? */
static bool is_private(const char *dir)
{
	struct stat st;

	return lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 077) == 0;
}

static bool try_path(const char *dir, const char *rest)
{
	return (size_t)snprintf(path, sizeof(path), "%s%s", dir, rest) < sizeof(path);
}

const char *cli_rundir_path(void)
{
	const char *own = getenv("PCORE_RUNTIME_DIR"), *xdg = getenv("XDG_RUNTIME_DIR"), *tmp = getenv("TMPDIR");
	char dir[64];

	if (path[0])
		return path;
	if (own && *own && try_path(own, ""))
		return path;
	if (geteuid() == 0 && try_path("/run/pcore", ""))
		return path;
	if (xdg && *xdg && is_private(xdg) && try_path(xdg, "/pcore"))
		return path;
	(void)snprintf(dir, sizeof(dir), "/run/user/%u", geteuid());
	if (is_private(dir) && try_path(dir, "/pcore"))
		return path;
	if (snprintf(path, sizeof(path), "%s/pcore-%u", tmp && *tmp ? tmp : "/tmp", geteuid()) >= (int)sizeof(path))
		path[0] = '\0';
	return path;
}

static int open_private(int dfd, const char *name)
{
	struct stat st;
	int fd;

	if (mkdirat(dfd, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(dfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 077) != 0) {
		(void)pcore_fd_close(fd);
		return -EPERM;
	}
	return fd;
}

int cli_rundir_open(const char *sub)
{
	const char *dir = cli_rundir_path();
	_cleanup_(fd_closep) int fd = open_private(AT_FDCWD, dir);
	int r = fd;

	if (fd >= 0)
		r = open_private(fd, sub);
	if (r == -EPERM)
		(void)cli_error("will not use the runtime directory '%s': it must be ours and closed to others (mode 0700)", dir);
	else if (r < 0)
		(void)cli_error("cannot open the runtime directory '%s': %s", dir, strerror(-r));
	return r;
}
