/* SPDX-License-Identifier: MIT */
/*
 * lock.c - locks and semaphores that are files.
 */
#include "libcore/ipc/ipc.h"

#include <endian.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define TICKETS (INT64_C(1) << 40)
#define SLOTS (INT64_C(1) << 32)
#define COUNTER 0

struct pcore_lock {
	enum pcore_lock_kind kind;
	int fd;
	unsigned holders; /* of a semaphore, or 0 */
	bool held;
};

/* One blocking call, in a form that a thread can run. */
struct wait {
	int fd;
	bool whole; /* flock(2), with operation; else a record lock, with range */
	int operation;
	struct flock range;
};

static int lock_range(int fd, short type, int64_t start, int64_t len, bool block)
{
	struct flock range = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };
	int r;

	do
		r = fcntl(fd, block ? F_OFD_SETLKW : F_OFD_SETLK, &range) < 0 ? -errno : 0;
	while (r == -EINTR);
	return r == -EACCES ? -EAGAIN : r;
}

static int wait_once(const struct wait *w, bool block)
{
	int r;

	if (!w->whole)
		return lock_range(w->fd, w->range.l_type, w->range.l_start, w->range.l_len, block);
	do
		r = flock(w->fd, w->operation | (block ? 0 : LOCK_NB)) < 0 ? -errno : 0;
	while (r == -EINTR);
	return r;
}

static void *wait_thread(void *arg)
{
	int old;

	/* It does nothing but the one system call and owns nothing: it may be cancelled anywhere. */
	(void)pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
	return (void *)(intptr_t)wait_once(arg, true);
}

/* Neither call has a time limit of its own: wait in a thread that can be given up. */
static int wait_until(struct wait *w, int64_t deadline_ns)
{
	struct timespec ts = { .tv_sec = deadline_ns / NS_PER_S, .tv_nsec = deadline_ns % NS_PER_S };
	void *result = NULL;
	sigset_t all, before;
	pthread_t thread;
	int r;

	/* No signal of the program is handled by this thread. */
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&thread, NULL, wait_thread, w);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r != 0)
		return -r;
	if (pthread_clockjoin_np(thread, &result, CLOCK_MONOTONIC, &ts) == 0)
		return (int)(intptr_t)result;
	(void)pthread_cancel(thread);
	(void)pthread_join(thread, &result);
	if (result == PTHREAD_CANCELED)
		return -ETIMEDOUT;
	return (int)(intptr_t)result; /* it came through at the last moment */
}

static int wait_for(struct wait *w, int64_t deadline_ns)
{
	int r = wait_once(w, false);

	if (r != -EAGAIN)
		return r;
	if (deadline_ns == 0)
		return -EBUSY;
	return deadline_ns == INT64_MAX ? wait_once(w, true) : wait_until(w, deadline_ns);
}

/* Draw a ticket and lock its byte. Numbers begin at 1. */
static int draw_ticket(struct pcore_lock *l, short type, int64_t *ret)
{
	uint64_t counter = 0;
	int64_t ticket = 0;
	ssize_t n;
	int r = lock_range(l->fd, F_WRLCK, COUNTER, 1, true);

	if (r < 0)
		return r;

	n = pread(l->fd, &counter, sizeof(counter), 0);
	if (n < 0)
		r = -errno;
	else if (n != 0 && n != (ssize_t)sizeof(counter))
		r = -EBADMSG;
	if (r == 0) {
		counter = le64toh(counter);
		if (counter >= (uint64_t)(INT64_MAX - TICKETS - 1)) /* no number of ours */
			r = -EBADMSG;
	}
	if (r == 0) {
		ticket = (int64_t)counter + 1;
		counter = htole64((uint64_t)ticket);
		n = pwrite(l->fd, &counter, sizeof(counter), 0);
		if (n != (ssize_t)sizeof(counter))
			r = n < 0 ? -errno : -EIO;
	}
	if (r == 0)
		r = lock_range(l->fd, type, TICKETS + ticket, 1, false);
	(void)lock_range(l->fd, F_UNLCK, COUNTER, 1, false);
	if (r == 0)
		*ret = ticket;
	return r;
}

/* Wait until all who came before are gone. Shared holders only wait for exclusive ones. */
static int queue_up(struct pcore_lock *l, bool shared, int64_t deadline_ns, int64_t *ret_ticket)
{
	short type = shared ? F_RDLCK : F_WRLCK;
	int64_t ticket = 0;
	int r = draw_ticket(l, type, &ticket);

	if (r < 0)
		return r;

	*ret_ticket = ticket;
	if (ticket > 1) {
		struct wait w = { .fd = l->fd,
			.range = { .l_type = type, .l_whence = SEEK_SET, .l_start = TICKETS + 1, .l_len = ticket - 1 } };

		r = wait_for(&w, deadline_ns);
	}
	if (r < 0)
		(void)lock_range(l->fd, F_UNLCK, TICKETS, 0, false);
	return r;
}

static int take_slot(struct pcore_lock *l, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		int r = lock_range(l->fd, F_WRLCK, SLOTS + i, 1, false);

		if (r != -EAGAIN)
			return r;
	}
	return -EAGAIN;
}

/* Milliseconds until the deadline, for poll(2); at most a second, should a notice be lost. */
static int poll_ms(int64_t deadline_ns)
{
	int64_t left = deadline_ns == INT64_MAX ? NS_PER_S : deadline_ns - pcore_now_ns();

	if (left <= 0)
		return 0;
	return left >= NS_PER_S ? 1000 : (int)((left + NS_PER_MS - 1) / NS_PER_MS);
}

/* First in line: wait for a slot. Whoever holds one closes the file when it is done or dead, and that can be watched. The
 * notice comes just before the lock is gone, hence the short second look. */
static int wait_slot(struct pcore_lock *l, unsigned n, int64_t deadline_ns)
{
	_cleanup_(fd_closep) int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char path[40], events[4096];
	int r;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", l->fd);
	if (watch >= 0 && inotify_add_watch(watch, path, IN_CLOSE_WRITE) < 0)
		watch = pcore_fd_close(watch);
	while ((r = take_slot(l, n)) == -EAGAIN) {
		struct pollfd fd = { .fd = watch, .events = POLLIN };

		if (deadline_ns == 0)
			return -EBUSY;
		if (deadline_ns != INT64_MAX && pcore_now_ns() >= deadline_ns)
			return -ETIMEDOUT;
		if (poll(&fd, 1, watch < 0 ? 10 : poll_ms(deadline_ns)) > 0) {
			while (read(watch, events, sizeof(events)) > 0)
				;
			if (take_slot(l, n) == 0)
				return 0;
			(void)poll(NULL, 0, 1);
		}
	}
	return r;
}

static int acquire_semaphore(struct pcore_lock *l, unsigned n, int64_t deadline_ns)
{
	int64_t ticket = 0;
	int r = queue_up(l, false, deadline_ns, &ticket);

	if (r == 0) {
		r = wait_slot(l, n, deadline_ns);
		(void)lock_range(l->fd, F_UNLCK, TICKETS, 0, false); /* let the next one come to the front */
	}
	return r;
}

int pcore_lock_acquire_until(struct pcore_lock *l, bool shared, unsigned n, int64_t deadline_ns)
{
	struct wait whole = { .fd = l->fd, .whole = true, .operation = shared ? LOCK_SH : LOCK_EX };
	int64_t ticket = 0;
	int r = -EINVAL;

	if (l->held)
		return -EALREADY;

	switch (l->kind) {
	case PCORE_LOCK_FILE:
		r = wait_for(&whole, deadline_ns);
		if (r == -ETIMEDOUT) /* it may have come through just before the wait was given up */
			(void)flock(l->fd, LOCK_UN);
		break;
	case PCORE_LOCK_NAMED:
		r = queue_up(l, shared, deadline_ns, &ticket);
		break;
	case PCORE_LOCK_SEMAPHORE:
		n = n ? n : l->holders;
		assert(n > 0);
		r = acquire_semaphore(l, n, deadline_ns);
		break;
	}
	l->held = r == 0;
	return r;
}

void pcore_lock_set_holders(struct pcore_lock *l, unsigned n)
{
	l->holders = n;
}

/* flock(2) needs no right to write; the others do. */
static int open_lock_file(enum pcore_lock_kind kind, int dfd, const char *path)
{
	int fd;

	if (kind != PCORE_LOCK_FILE) {
		struct stat st;

		fd = openat(dfd, path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
		if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
			(void)pcore_fd_close(fd);
			return -EINVAL;
		}
		return fd < 0 ? -errno : fd;
	}
	fd = openat(dfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		fd = openat(dfd, path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
	return fd < 0 ? -errno : fd;
}

int pcore_lock_open_at(struct pcore_lock **ret, enum pcore_lock_kind kind, int dfd, const char *path)
{
	struct pcore_lock *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;

	l->kind = kind;
	l->fd = open_lock_file(kind, dfd, path);
	if (l->fd < 0) {
		int r = l->fd;

		free(l);
		return r;
	}
	*ret = l;
	return 0;
}

/* Those who wait for a slot watch the file being closed: close it, and go on with a new descriptor. Without one they find out
 * by looking (wait_slot). */
static void reopen(struct pcore_lock *l)
{
	char path[40];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", l->fd);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (fd >= 0) {
		(void)pcore_fd_close(l->fd);
		l->fd = fd;
	}
}

int pcore_lock_release(struct pcore_lock *l)
{
	int r;

	if (!l->held)
		return -EPERM;

	l->held = false;
	if (l->kind == PCORE_LOCK_FILE)
		return flock(l->fd, LOCK_UN) < 0 ? -errno : 0;
	r = lock_range(l->fd, F_UNLCK, 0, 0, false);
	if (l->kind == PCORE_LOCK_SEMAPHORE)
		reopen(l);
	return r;
}

void pcore_lock_free(struct pcore_lock *l)
{
	if (!l)
		return;

	l->fd = pcore_fd_close(l->fd);
	free(l);
}
