/* SPDX-License-Identifier: MIT */
/*
 * showfds - prints its open descriptors, one `NUMBER TARGET` a line in ascending order, less the
 * one it looks with.
 */
#include <dirent.h>

#include "tests/helpers/helper.h"

enum { FDS_MAX = 65536 };

static int by_number(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

static void show(int fd)
{
	char path[64], target[4096];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target));
	if (n >= 0)
		printf("%d %.*s\n", fd, (int)n, target);
}

int main(void)
{
	static int fds[FDS_MAX];
	size_t n = 0;
	struct dirent *e;
	DIR *d = opendir("/proc/self/fd");

	if (!d)
		die("/proc/self/fd");
	while ((e = readdir(d)) && n < FDS_MAX) {
		if (e->d_name[0] == '.')
			continue;
		fds[n] = (int)number(e->d_name, 0, 1u << 30);
		if (fds[n] != dirfd(d))
			n++;
	}
	closedir(d);
	qsort(fds, n, sizeof(fds[0]), by_number);
	for (size_t i = 0; i < n; i++)
		show(fds[i]);
	return fflush(stdout) ? 1 : 0;
}
