/* SPDX-License-Identifier: MIT */
/*
 * socket.c - the sockets below a connection: made, bound, told apart, and given their options.
 *
 * A Unix socket is reached through a descriptor of its directory, so that the length of its path is no limit.
 */
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcore/net/private.h"

enum { BACKLOG = 128, KEEP_IDLE_S = 5, KEEP_INTERVAL_S = 5, KEEP_COUNT = 3 };

static int system_error(struct pcore_net_error *err, int r)
{
	return net_error(err, r, "%s", strerror(-r));
}

/* ---- places of Unix sockets ---- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Open the directory of path; with make, make it if it is missing. */
static int open_dir(const char *path, bool make)
{
	size_t len = (size_t)(base_name(path) - path);
	_cleanup_(freep) char *dir = len > 0 ? strndup(path, len) : strdup(".");
	int fd;

	if (!dir)
		return -ENOMEM;
	if (make && mkdir(dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int unix_address(const char *path, int dfd, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if ((size_t)snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", dfd, base_name(path)) >= sizeof(ret->sun_path))
		return -ENAMETOOLONG;
	return 0;
}

/* Is a socket there that nobody listens on? */
static bool is_stale(int dfd, const char *name, const struct sockaddr_un *at)
{
	_cleanup_(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (fd < 0 || fstatat(dfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	return connect(fd, (const struct sockaddr *)at, sizeof(*at)) < 0 && errno == ECONNREFUSED;
}

/* Two that find the same stale socket must not both remove what they find: the directory is locked meanwhile. */
static int bind_unix(int fd, int dfd, const char *name, const struct sockaddr_un *at)
{
	if (flock(dfd, LOCK_EX) < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)at, sizeof(*at)) == 0)
		return 0;
	if (errno != EADDRINUSE || !is_stale(dfd, name, at))
		return -errno;
	if (unlinkat(dfd, name, 0) < 0 || bind(fd, (const struct sockaddr *)at, sizeof(*at)) < 0)
		return -errno;
	return 0;
}

static int listen_unix(const struct pcore_net_addr *addr, int *ret_fd, int *ret_dfd, struct pcore_net_error *err)
{
	_cleanup_(fd_closep) int dfd = open_dir(addr->path, true), fd = -EBADF;
	struct sockaddr_un at;
	struct stat st;
	int r = dfd;

	if (r >= 0)
		r = unix_address(addr->path, dfd, &at);
	if (r < 0 || fstat(dfd, &st) < 0)
		return system_error(err, r < 0 ? r : -errno);
	if (st.st_uid != geteuid() || (st.st_mode & 077) != 0)
		return net_error(err, -EPERM, "its directory must be ours and closed to others (mode 0700)");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return system_error(err, -errno);
	r = bind_unix(fd, dfd, base_name(addr->path), &at);
	if (r == 0 && listen(fd, BACKLOG) < 0)
		r = -errno;
	(void)flock(dfd, LOCK_UN);
	if (r < 0)
		return system_error(err, r);
	*ret_fd = TAKE_FD(fd);
	*ret_dfd = TAKE_FD(dfd);
	return 0;
}

void net_socket_unlink(const struct pcore_net_addr *addr, int dfd)
{
	if (addr->path)
		(void)unlinkat(dfd, base_name(addr->path), 0);
}

/* ---- TCP ---- */

static void set_option(int fd, int level, int name, int value)
{
	(void)setsockopt(fd, level, name, &value, sizeof(value)); /* one that is not known is done without */
}

static int listen_tcp(struct pcore_net_addr *addr, int *ret_fd, struct pcore_net_error *err)
{
	_cleanup_(fd_closep) int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return system_error(err, -errno);
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (bind(fd, &addr->sa, addr->len) < 0 || listen(fd, BACKLOG) < 0 || getsockname(fd, &addr->sa, &addr->len) < 0)
		return system_error(err, -errno);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int net_socket_listen(struct pcore_net_addr *addr, int *ret_fd, int *ret_dfd, struct pcore_net_error *err)
{
	return addr->path ? listen_unix(addr, ret_fd, ret_dfd, err) : listen_tcp(addr, ret_fd, err);
}

int net_socket_new(const struct pcore_net_addr *addr, int *ret_fd, int *ret_dfd, struct sockaddr_storage *ret_to,
	socklen_t *ret_len, struct pcore_net_error *err)
{
	_cleanup_(fd_closep) int dfd = -EBADF, fd = -EBADF;
	int r = 0;

	if (addr->path) {
		dfd = open_dir(addr->path, false);
		r = dfd < 0 ? dfd : unix_address(addr->path, dfd, (struct sockaddr_un *)ret_to);
		*ret_len = sizeof(struct sockaddr_un);
	} else {
		memcpy(ret_to, &addr->sa, addr->len);
		*ret_len = addr->len;
	}
	if (r < 0)
		return system_error(err, r);
	fd = socket(ret_to->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return system_error(err, -errno);
	*ret_fd = TAKE_FD(fd);
	*ret_dfd = TAKE_FD(dfd);
	return 0;
}

/*
 * The heartbeat finds a dead peer first. These find it where no heartbeat is: before the hello, and while the owner does not
 * read. Keepalive sees a peer that is gone when nothing is in flight, the user timeout when something is; the latter also
 * counts while the peer's window is closed, and so must not be shorter than a peer may pause.
 */
void net_socket_options(int fd, const struct pcore_net_limits *limits)
{
	int64_t stall_ms = limits->stall_ns / NS_PER_MS;

	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S);
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEP_INTERVAL_S);
	set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEP_COUNT);
	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, stall_ms < INT_MAX ? (int)stall_ms : 0);
}

int64_t net_socket_rtt_ns(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ? 0 : info.tcpi_rtt * INT64_C(1000);
}

int net_socket_is_ours(int fd, bool we_serve, struct pcore_net_error *err)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return system_error(err, -errno);
	if (peer.uid == geteuid() || peer.uid == 0 || (!we_serve && geteuid() == 0))
		return 0;
	return net_error(err, -EACCES, "process %d of user %u is neither ours nor root's", peer.pid, peer.uid);
}
