/* SPDX-License-Identifier: MIT */
#include "libcore/base/trash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcore/base/util.h"

/* One pass over the trash. */
struct pass {
	struct pcore_trash *trash;
	unsigned budget;
	bool progress;
	int error; /* the first one */
};

static int note(struct pass *p, int r)
{
	p->budget -= p->budget > 0;
	if (r == 0)
		p->progress = true;
	else if (p->error == 0)
		p->error = r;
	return r;
}

/* A directory can be moved and read only if we may write and read it. By descriptor: whatever the name means by then, only a
 * directory is changed. */
static void open_up(int dfd, const char *name)
{
	_cleanup_(fd_closep) int fd = openat(dfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char path[32];

	if (fd < 0)
		return;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	(void)chmod(path, 0700);
}

int pcore_trash_put(struct pcore_trash *t, int dfd, const char *name)
{
	char to[24];

	(void)snprintf(to, sizeof(to), "%" PRIu64, t->serial++);
	if (renameat(dfd, name, t->fd, to) == 0 || errno == ENOENT)
		return 0;
	if (errno != EACCES)
		return -errno;
	open_up(dfd, name);
	return renameat(dfd, name, t->fd, to) == 0 ? 0 : -errno;
}

static int open_dir(int dfd, const char *name)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(dfd, name, flags);

	if (fd < 0 && errno == EACCES) {
		open_up(dfd, name);
		fd = openat(dfd, name, flags);
	}
	return fd < 0 ? -errno : fd;
}

/* For each name in the directory, while there is budget. How many there were, or -errno. */
static int each(int fd, struct pass *p, void (*f)(struct pass *p, int dfd, const char *name))
{
	char buf[4096] __attribute__((aligned(8)));
	int seen = 0;
	ssize_t n;

	while (p->budget > 0 && (n = getdents64(fd, buf, sizeof(buf))) != 0) {
		if (n < 0)
			return -errno;
		for (ssize_t at = 0; at < n && p->budget > 0;) {
			const struct dirent64 *d = (const void *)(buf + at);

			at += d->d_reclen;
			if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
				continue;
			seen++;
			f(p, fd, d->d_name);
		}
	}
	return seen;
}

/* 0, or 1 for a directory that has to be emptied first, -errno. */
static int remove_one(int dfd, const char *name)
{
	if (unlinkat(dfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if (unlinkat(dfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	return errno == ENOTEMPTY || errno == EEXIST ? 1 : -errno;
}

static void flatten(struct pass *p, int dfd, const char *name)
{
	int r = remove_one(dfd, name);

	if (r > 0)
		r = pcore_trash_put(p->trash, dfd, name);
	(void)note(p, r);
}

static void remove_entry(struct pass *p, int dfd, const char *name)
{
	_cleanup_(fd_closep) int fd = -EBADF;
	int r = remove_one(dfd, name);

	if (r <= 0) {
		(void)note(p, r);
		return;
	}
	fd = open_dir(dfd, name);
	if (fd < 0) {
		(void)note(p, fd);
		return;
	}
	open_up(dfd, name); /* what can be read may still not be written */
	r = each(fd, p, flatten);
	if (r < 0)
		(void)note(p, r);
	else if (unlinkat(dfd, name, AT_REMOVEDIR) == 0)
		p->progress = true;
}

int pcore_trash_step(struct pcore_trash *t, unsigned budget)
{
	struct pass p = { .trash = t, .budget = budget };
	_cleanup_(fd_closep) int fd = open_dir(t->fd, ".");
	int seen = fd < 0 ? fd : each(fd, &p, remove_entry);

	if (seen <= 0)
		return seen;
	return p.progress || p.error == 0 ? 1 : p.error;
}
