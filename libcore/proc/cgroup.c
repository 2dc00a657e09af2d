/* SPDX-License-Identifier: MIT */
/*
 * cgroup.c - where our own cgroup is in the file system, and how one is removed.
 */
#include "libcore/proc/tree.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { MOUNTINFO_READ = 32 * 1024, MOUNTINFO_MAX = 16 * 1024 * 1024 };

/* Undo mountinfo's \ooo in place. */
static void unescape_octal(char *s)
{
	char *out = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*out++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = '\0';
}

/* "36 35 98:0 ROOT MOUNTPOINT options ... - cgroup2 source superoptions": the directory of cgroup path, if it is in there. */
static bool cgroup_dir_of_mount(char *line, const char *path, char *dst, size_t size)
{
	char *field[5], *save = NULL, *type = strstr(line, " - ");
	size_t root_len;

	if (!type || strncmp(type, " - cgroup2 ", 11) != 0)
		return false;
	for (size_t i = 0; i < 5; i++) {
		field[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!field[i])
			return false;
	}
	unescape_octal(field[3]);
	unescape_octal(field[4]);
	root_len = strcmp(field[3], "/") == 0 ? 0 : strlen(field[3]);
	if (strncmp(path, field[3], root_len) != 0 || (path[root_len] && path[root_len] != '/'))
		return false;
	return (size_t)snprintf(dst, size, "%s%s", field[4], path + root_len) < size;
}

static int own_cgroup_path(char *buf, size_t size)
{
	char *line;
	ssize_t n = pcore_file_read(AT_FDCWD, "/proc/self/cgroup", buf, size);

	if (n < 0)
		return (int)n;
	for (line = buf; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
		if (strncmp(line, "0::", 3) != 0)
			continue;
		line += 3;
		line[strcspn(line, "\n")] = '\0';
		memmove(buf, line, strlen(line) + 1);
		return 0;
	}
	return -ENOENT;
}

/* All of /proc/self/mountinfo; malloc'd. The kernel writes it anew for each read, so it is read in large pieces. */
static char *read_mountinfo(void)
{
	_cleanup_(pcore_buf_done) struct pcore_buf b = PCORE_BUF_INIT(MOUNTINFO_MAX);
	_cleanup_(fd_closep) int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	while (fd >= 0 && pcore_buf_reserve(&b, MOUNTINFO_READ) == 0 && (n = read(fd, b.data + b.len, MOUNTINFO_READ)) > 0)
		b.len += (size_t)n;
	return n == 0 && pcore_buf_terminate(&b) == 0 ? TAKE_PTR(b.data) : NULL;
}

int pcore_cgroup_open(void)
{
	char path[4096], dir[8192];
	_cleanup_(freep) char *mounts = NULL;
	char *save = NULL;
	int r = own_cgroup_path(path, sizeof(path));

	if (r < 0)
		return r;

	mounts = read_mountinfo();
	if (!mounts)
		return -ENOMEM;
	for (char *line = strtok_r(mounts, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (!cgroup_dir_of_mount(line, path, dir, sizeof(dir)))
			continue;
		r = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return r < 0 ? -errno : r;
	}
	return -ENOENT;
}

static void sleep_ms(long ms)
{
	struct timespec ts = { .tv_nsec = ms * NS_PER_MS };

	(void)nanosleep(&ts, NULL);
}

int pcore_cgroup_remove(int dfd, const char *name, int tries)
{
	for (int i = 0; i < tries; i++) {
		if (unlinkat(dfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
			return 0;
		if (errno != EBUSY)
			return -errno;
		if (i > 2)
			sleep_ms(1);
	}
	return -EBUSY;
}
