/* SPDX-License-Identifier: MIT */
/*
 * capture.h - what a piece of code writes to a descriptor, caught in memory.
 *
 * capture_begin(2) ... capture_end() gives the text written between the two, valid until the next
 * one.
 */
#ifndef PCORE_TEST_CAPTURE_H
#define PCORE_TEST_CAPTURE_H

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libcore/base/base.h"

static struct {
	int fd, saved;
	char text[1 << 14];
} capture;

/* Put from in the place of fd and close it. */
static inline void capture_place(int from, int fd)
{
	int r = dup3(from, fd, 0);

	assert(r == fd);
	pcore_fd_close(from);
}

static inline void capture_begin(int fd)
{
	int mem = memfd_create("capture", MFD_CLOEXEC);

	assert(mem >= 0);
	capture.fd = fd;
	capture.saved = fcntl(fd, F_DUPFD_CLOEXEC, 10);
	assert(capture.saved >= 0);
	capture_place(mem, fd);
}

static inline const char *capture_end(void)
{
	ssize_t n = pread(capture.fd, capture.text, sizeof(capture.text) - 1, 0);

	assert(n >= 0);
	capture.text[n] = '\0';
	capture_place(capture.saved, capture.fd);
	return capture.text;
}

#endif
