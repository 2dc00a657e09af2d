/* SPDX-License-Identifier: MIT */
/*
 * util.c - descriptors closed, written and read whole.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "libcore/base/util.h"

int pcore_fd_close(int fd)
{
	int saved = errno;

	if (fd < 0)
		return -EBADF;
	/* Linux frees the number whatever close() says, so no other error is ours to handle. */
	if (close(fd) < 0)
		assert(errno != EBADF);
	errno = saved;
	return -EBADF;
}

int pcore_fd_write_all(int fd, const void *buf, size_t len)
{
	const char *p = buf;

	while (len > 0) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static ssize_t read_full(int fd, char *buf, size_t size)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, buf + len, size - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

ssize_t pcore_file_read(int dfd, const char *path, char *buf, size_t size)
{
	_cleanup_(fd_closep) int fd = -EBADF;

	assert(size > 0);

	fd = openat(dfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;

	ssize_t n = read_full(fd, buf, size);
	if (n < 0)
		return n;
	if ((size_t)n == size)
		return -E2BIG;
	buf[n] = '\0';
	return n;
}

int pcore_file_write(int dfd, const char *path, const char *text)
{
	_cleanup_(fd_closep) int fd = -EBADF;
	size_t len = strlen(text);
	ssize_t n;

	fd = openat(dfd, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;

	do
		n = write(fd, text, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}
