/* SPDX-License-Identifier: MIT */
/*
 * util.h - the few macros and inline helpers everything uses.
 *
 * A variable that holds a file descriptor holds a valid one or -EBADF. Ownership moves with
 * TAKE_FD and TAKE_PTR, and _cleanup_ frees what was not taken.
 */
#ifndef PCORE_BASE_UTIL_H
#define PCORE_BASE_UTIL_H

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define TAKE_FD(fd)                  \
	({                           \
		int taken_ = (fd);   \
		(fd) = -EBADF;       \
		taken_;              \
	})

#define TAKE_PTR(p)                          \
	({                                   \
		__typeof__(p) taken_ = (p);  \
		(p) = NULL;                  \
		taken_;                      \
	})

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

/* Close fd unless it is negative; a close that says EBADF is our bug. Returns -EBADF, to be assigned. */
int pcore_fd_close(int fd);

static inline void fd_closep(int *fd)
{
	*fd = pcore_fd_close(*fd);
}

static inline void freep(void *p)
{
	free(*(void **)p);
}

/* Write all of buf to a blocking fd, through EINTR and short writes. 0 or -errno. */
int pcore_fd_write_all(int fd, const void *buf, size_t len);

/* Read a small file (relative to dfd) into buf and end it with a NUL. Returns its length, -E2BIG when it has
 * size bytes or more, or -errno. */
ssize_t pcore_file_read(int dfd, const char *path, char *buf, size_t size);

/* Write text to an existing file in one write(2). 0 or -errno. */
int pcore_file_write(int dfd, const char *path, const char *text);

#endif
