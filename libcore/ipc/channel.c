/* SPDX-License-Identifier: MIT */
/*
 * channel.c - a named duplex channel over a stream socket.
 */
#include "libcore/ipc/ipc.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { FIRST, SECOND, OPENING }; /* the bytes that are locked */
enum { HEAD = 8, FDS_A_BYTE = 253 };

struct pcore_channel {
	int fd;
	int lock; /* holds the lock on our byte */
	enum pcore_channel_mode mode;
	unsigned char head[HEAD]; /* of a message that is not received yet */
	size_t head_len;
};

/* ---- waiting ---- */

/* 0 when the events (or the end) are there, -EAGAIN, -ETIMEDOUT, -errno. */
static int wait_for(int fd, short events, int64_t deadline_ns)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		int64_t left = deadline_ns == 0 ? 0 : deadline_ns - pcore_now_ns();
		struct timespec ts = { 0 };
		int n;

		if (left > 0)
			ts = (struct timespec){ left / NS_PER_S, left % NS_PER_S };
		n = ppoll(&p, 1, deadline_ns == INT64_MAX ? NULL : &ts, NULL);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0 && left <= 0)
			return deadline_ns == 0 ? -EAGAIN : -ETIMEDOUT;
	}
}

/* ---- messages ---- */

/* One sendmsg or recvmsg, waiting for it. The number of bytes; 0 is the end for a receiver. */
static ssize_t transfer(int fd, struct msghdr *m, bool out, int64_t deadline_ns)
{
	for (;;) {
		ssize_t n = out ? sendmsg(fd, m, MSG_NOSIGNAL) : recvmsg(fd, m, MSG_CMSG_CLOEXEC);
		int r;

		if (n >= 0)
			return n;
		/* Who closes an end with something unread in it makes the other one see ECONNRESET once, before
		 * what it has sent. */
		if (errno == EINTR || (errno == ECONNRESET && !out))
			continue;
		if (errno != EAGAIN)
			return errno == ECONNRESET ? -EPIPE : -errno;
		r = wait_for(fd, out ? POLLOUT : POLLIN, deadline_ns);
		if (r < 0)
			return r;
	}
}

static int send_all(int fd, struct iovec *iov, size_t n, int64_t deadline_ns)
{
	while (n > 0) {
		struct msghdr m = { .msg_iov = iov, .msg_iovlen = n };
		ssize_t sent = transfer(fd, &m, true, deadline_ns);

		if (sent < 0)
			return (int)sent;
		deadline_ns = INT64_MAX; /* it has begun */
		for (; n > 0 && (size_t)sent >= iov->iov_len; iov++, n--)
			sent -= (ssize_t)iov->iov_len;
		if (n > 0) {
			iov->iov_base = (char *)iov->iov_base + sent;
			iov->iov_len -= (size_t)sent;
		}
	}
	return 0;
}

/* 0, or the end (-ENODATA). */
static int recv_all(int fd, void *data, size_t len, size_t *have, int64_t deadline_ns)
{
	while (*have < len) {
		struct iovec iov = { (char *)data + *have, len - *have };
		struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
		ssize_t n = transfer(fd, &m, false, deadline_ns);

		if (n <= 0)
			return n == 0 ? -ENODATA : (int)n;
		*have += (size_t)n;
		deadline_ns = INT64_MAX;
	}
	return 0;
}

union control {
	struct cmsghdr align;
	char space[CMSG_SPACE(sizeof(int) * FDS_A_BYTE)];
};

static int send_fds(int fd, const int *fds, size_t n)
{
	for (size_t at = 0; at < n; at += FDS_A_BYTE) {
		size_t some = n - at < FDS_A_BYTE ? n - at : FDS_A_BYTE;
		union control control = { .space = { 0 } };
		struct iovec iov = { (char[]){ 0 }, 1 };
		struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(sizeof(int) * some) };
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		ssize_t sent;

		*c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int) * some) };
		memcpy(CMSG_DATA(c), fds + at, sizeof(int) * some);
		sent = transfer(fd, &m, true, INT64_MAX);
		if (sent < 0)
			return (int)sent;
	}
	return 0;
}

static void close_all(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		(void)pcore_fd_close(fds[i]);
}

/* What has come is closed when not all comes. */
static int recv_fds(int fd, int *fds, size_t n)
{
	size_t have = 0;

	while (have < n) {
		union control control;
		char byte;
		struct iovec iov = { &byte, 1 };
		struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
		ssize_t got = transfer(fd, &m, false, INT64_MAX);
		struct cmsghdr *c = got > 0 ? CMSG_FIRSTHDR(&m) : NULL;
		size_t some = 0;

		if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			some = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (some > 0 && some <= n - have)
			memcpy(fds + have, CMSG_DATA(c), sizeof(int) * some);
		/* Fewer than were sent: there was no room for more descriptors here. */
		if (some == 0 || some > n - have || (m.msg_flags & MSG_CTRUNC)) {
			close_all(fds, have + (some <= n - have ? some : 0));
			return got < 0 ? (int)got : got == 0 ? -EBADMSG : -EMFILE;
		}
		have += some;
	}
	return 0;
}

static void put_u32(unsigned char *p, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (unsigned char)(v >> 8 * i);
}

static uint32_t get_u32(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

int pcore_channel_send_until(struct pcore_channel *c, const void *data, size_t len, const int *fds, size_t n_fds, int64_t deadline_ns)
{
	unsigned char head[HEAD];
	struct iovec iov[2] = { { head, HEAD }, { (void *)(uintptr_t)data, len } };
	int r;

	if (c->mode == PCORE_CHANNEL_RECV)
		return -EPERM;
	if (len > UINT32_MAX || n_fds > PCORE_CHANNEL_FDS_MAX)
		return -EMSGSIZE;
	for (size_t i = 0; i < n_fds; i++)
		if (fcntl(fds[i], F_GETFD) < 0)
			return -EBADF;

	put_u32(head, (uint32_t)len);
	put_u32(head + 4, (uint32_t)n_fds);
	if (n_fds == 0)
		return send_all(c->fd, iov, 2, deadline_ns);
	r = send_all(c->fd, iov, 1, deadline_ns);
	if (r == 0)
		r = send_fds(c->fd, fds, n_fds);
	return r == 0 ? send_all(c->fd, iov + 1, 1, INT64_MAX) : r;
}

int pcore_channel_recv_until(struct pcore_channel *c, struct pcore_buf *buf, size_t max, int *fds, size_t *n_fds, int64_t deadline_ns)
{
	size_t len, count, have = 0;
	int r;

	if (c->mode == PCORE_CHANNEL_SEND)
		return -EPERM;

	r = recv_all(c->fd, c->head, HEAD, &c->head_len, deadline_ns);
	if (r == -ENODATA)
		return c->head_len == 0 ? 0 : -EBADMSG;
	if (r < 0)
		return r;
	len = get_u32(c->head);
	count = get_u32(c->head + 4);
	if (count > PCORE_CHANNEL_FDS_MAX)
		return -EBADMSG;
	if (len > max || count > (fds ? *n_fds : 0))
		return -EMSGSIZE;
	r = pcore_buf_reserve(buf, len + 1); /* and a NUL, if somebody wants one */
	if (r < 0)
		return r;
	r = count > 0 ? recv_fds(c->fd, fds, count) : 0;
	if (r < 0)
		return r;
	c->head_len = 0;
	r = recv_all(c->fd, buf->data + buf->len, len, &have, INT64_MAX);
	if (r < 0) {
		close_all(fds, count);
		return r == -ENODATA ? -EBADMSG : r;
	}
	buf->len += len;
	if (n_fds)
		*n_fds = count;
	return 1;
}

int pcore_channel_poll_until(struct pcore_channel *c, int64_t deadline_ns)
{
	int r = c->head_len == HEAD ? 0 : wait_for(c->fd, POLLIN, deadline_ns);

	return r < 0 ? r : 1;
}

int pcore_channel_finish(struct pcore_channel *c)
{
	return shutdown(c->fd, SHUT_WR) < 0 && errno != ENOTCONN ? -errno : 0;
}

int pcore_channel_join_until(struct pcore_channel *c, int64_t deadline_ns)
{
	return wait_for(c->fd, 0, deadline_ns); /* POLLHUP needs no asking */
}

int pcore_channel_fd(const struct pcore_channel *c)
{
	return c->fd;
}

/* ---- opening ---- */

static int lock_byte(int fd, int byte, short type, bool wait)
{
	struct flock range = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
	int r;

	do
		r = fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &range) < 0 ? -errno : 0;
	while (r == -EINTR);
	return r == -EACCES ? -EAGAIN : r;
}

/* Where the socket is: not below a path that may be too long for it. */
struct place {
	int dir, lock;
	char socket[300];
	struct sockaddr_un addr;
};

static int open_place(int dfd, const char *name, struct place *p)
{
	const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;
	_cleanup_(freep) char *dir = slash ? strndup(name, (size_t)(slash - name) + 1) : strdup(".");
	struct stat st;

	if (!dir)
		return -ENOMEM;
	if (!*base)
		return -EISDIR;
	p->dir = openat(dfd, dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (p->dir < 0)
		return -errno;
	if ((size_t)snprintf(p->socket, sizeof(p->socket), ".%s.socket", base) >= sizeof(p->socket))
		return -ENAMETOOLONG;
	p->addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if ((size_t)snprintf(p->addr.sun_path, sizeof(p->addr.sun_path), "/proc/self/fd/%d/%s", p->dir, p->socket) >=
		sizeof(p->addr.sun_path))
		return -ENAMETOOLONG;
	p->lock = openat(p->dir, base, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
	if (p->lock < 0 || fstat(p->lock, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	return st.st_uid == geteuid() ? 0 : -EPERM;
}

static int new_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

static int start_to_listen(struct place *p)
{
	int fd = new_socket(), r = 0;

	if (fd < 0)
		return fd;
	(void)unlinkat(p->dir, p->socket, 0); /* of one that was killed */
	if (bind(fd, (struct sockaddr *)&p->addr, sizeof(p->addr)) < 0 || listen(fd, 1) < 0)
		r = -errno;
	if (r < 0) {
		(void)pcore_fd_close(fd);
		return r;
	}
	return fd;
}

static bool is_ours(int fd)
{
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.uid == geteuid();
}

/* With OPENING locked: take the first end. It is unlocked while the second one is waited for. */
static int open_first(struct place *p, int64_t deadline_ns)
{
	int listener, fd = -EBADF, r;

	/* Is the second end of a channel still open whose first one is gone? */
	if (lock_byte(p->lock, SECOND, F_WRLCK, false) < 0)
		return -EBUSY;
	(void)lock_byte(p->lock, SECOND, F_UNLCK, false);
	listener = start_to_listen(p);
	if (listener < 0)
		return listener;

	(void)lock_byte(p->lock, OPENING, F_UNLCK, false);
	r = wait_for(listener, POLLIN, deadline_ns);
	(void)lock_byte(p->lock, OPENING, F_WRLCK, true);
	if (r < 0 && r != -EAGAIN && r != -ETIMEDOUT)
		goto out;
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK); /* it may have come just now */
	if (fd >= 0)
		r = is_ours(fd) ? 0 : -EPERM;
	else if (r == 0)
		r = -errno;
	if (r < 0)
		fd = pcore_fd_close(fd);
out:
	(void)unlinkat(p->dir, p->socket, 0);
	(void)pcore_fd_close(listener);
	return r < 0 ? r : fd;
}

static int open_second(struct place *p)
{
	int fd = new_socket(), r = 0;

	if (fd < 0)
		return fd;
	if (connect(fd, (struct sockaddr *)&p->addr, sizeof(p->addr)) < 0)
		r = errno == ENOENT || errno == ECONNREFUSED || errno == EAGAIN ? -EBUSY : -errno;
	else if (!is_ours(fd))
		r = -EPERM;
	if (r < 0) {
		(void)pcore_fd_close(fd);
		return r;
	}
	return fd;
}

static int make_end(struct pcore_channel **ret, int fd, int lock, enum pcore_channel_mode mode)
{
	struct pcore_channel *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->fd = fd;
	c->lock = lock;
	c->mode = mode;
	if (mode != PCORE_CHANNEL_DUPLEX)
		(void)shutdown(fd, mode == PCORE_CHANNEL_SEND ? SHUT_RD : SHUT_WR);
	*ret = c;
	return 0;
}

static int take_end(struct place *p, int64_t deadline_ns)
{
	int fd;

	if (lock_byte(p->lock, FIRST, F_WRLCK, false) == 0)
		fd = open_first(p, deadline_ns);
	else if (lock_byte(p->lock, SECOND, F_WRLCK, false) == 0)
		fd = open_second(p);
	else
		fd = -EBUSY;
	return fd;
}

int pcore_channel_open_at(struct pcore_channel **ret, int dfd, const char *name, enum pcore_channel_mode mode, int64_t deadline_ns)
{
	struct place p = { .dir = -EBADF, .lock = -EBADF };
	int r = open_place(dfd, name, &p), fd;

	if (r == 0)
		r = lock_byte(p.lock, OPENING, F_WRLCK, true);
	if (r == 0) {
		fd = take_end(&p, deadline_ns);
		(void)lock_byte(p.lock, OPENING, F_UNLCK, false);
		r = fd < 0 ? fd : make_end(ret, fd, p.lock, mode);
		if (fd >= 0 && r < 0)
			(void)pcore_fd_close(fd);
	}
	if (r < 0)
		p.lock = pcore_fd_close(p.lock); /* and its locks are gone */
	p.dir = pcore_fd_close(p.dir);
	return r;
}

int pcore_channel_pair(struct pcore_channel *ret[2])
{
	struct pcore_channel *ends[2];
	int fds[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return -errno;

	r = make_end(&ends[0], fds[0], -EBADF, PCORE_CHANNEL_DUPLEX);
	if (r < 0) {
		close_all(fds, 2);
		return r;
	}
	r = make_end(&ends[1], fds[1], -EBADF, PCORE_CHANNEL_DUPLEX);
	if (r < 0) {
		(void)pcore_fd_close(fds[1]);
		pcore_channel_free(ends[0]);
		return r;
	}
	ret[0] = ends[0];
	ret[1] = ends[1];
	return 0;
}

void pcore_channel_free(struct pcore_channel *c)
{
	if (!c)
		return;

	c->fd = pcore_fd_close(c->fd);
	c->lock = pcore_fd_close(c->lock);
	free(c);
}
