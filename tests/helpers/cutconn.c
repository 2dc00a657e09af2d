/* SPDX-License-Identifier: MIT */
/*
 * cutconn - run a command whose connections to ADDRESS go through us, and cut the first of them after so many bytes.
 * Usage: cutconn [-m fin|rst|stall] [-k CONNECTIONS] [-n BYTES] [-c FILE] [-w FILE] unix:PATH|PORT COMMAND...
 *
 * A word {} of COMMAND becomes our address: a port of loopback, or a socket in the current directory. Bytes of both directions
 * count, as they come. The first CONNECTIONS (1) are cut, each after BYTES of its own; without -n none is. Then both sides see an
 * end (fin), a reset (rst, TCP only), or nothing any more though they are still connected (stall). FILE gets a line: the bytes of
 * the first connection, and how many connections there were. With -w what COMMAND said in its first connection is written to a
 * file. The status is that of COMMAND.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/helpers/helper.h"

extern char **environ;

enum { PAIRS = 32, CHUNK = 4096 };
enum how { FIN, RST, STALL };

struct pair {
	int fd[2]; /* the command's, and ADDRESS's; -1: none */
	bool ended[2];
	bool cut;
	size_t left; /* bytes until it is cut */
};

static struct pair pairs[PAIRS];
static enum how how;
static unsigned n_pairs, n_cuts = 1;
static size_t cut_after = SIZE_MAX, first_bytes;
static struct sockaddr_storage target;
static socklen_t target_len;
static int family, said_fd = -1;

static void set_unix(struct sockaddr_storage *ss, socklen_t *len, const char *path)
{
	struct sockaddr_un *un = (struct sockaddr_un *)ss;

	un->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(un->sun_path)) {
		errno = ENAMETOOLONG;
		die(path);
	}
	strcpy(un->sun_path, path);
	*len = sizeof(*un);
}

static void set_tcp(struct sockaddr_storage *ss, socklen_t *len, unsigned port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ss;

	in->sin_family = AF_INET;
	in->sin_port = htons((uint16_t)port);
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*len = sizeof(*in);
}

/* Our own address, as the command is told. */
static int listen_there(char *text, size_t size)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len;
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(text, size, "cut.%d", (int)getpid());
	if (family == AF_UNIX)
		set_unix(&ss, &len, text);
	else
		set_tcp(&ss, &len, 0);
	if (fd < 0 || bind(fd, (void *)&ss, len) < 0 || listen(fd, 64) < 0)
		die("listen");
	if (family == AF_UNIX) {
		snprintf(text, size, "unix:cut.%d", (int)getpid());
		return fd;
	}
	if (getsockname(fd, (void *)&ss, &len) < 0)
		die("getsockname");
	snprintf(text, size, "127.0.0.1:%u", ntohs(((struct sockaddr_in *)&ss)->sin_port));
	return fd;
}

static void end_pair(struct pair *p)
{
	const struct linger now = { .l_onoff = 1 };

	for (int i = 0; i < 2; i++) {
		if (p->cut && how == RST)
			(void)setsockopt(p->fd[i], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		close(p->fd[i]);
		p->fd[i] = -1;
	}
}

/* Behind the last byte. An end is no more than that: what still comes is thrown away, as a close() with bytes unread is a reset. */
static void cut(struct pair *p)
{
	p->cut = true;
	if (how == RST) {
		end_pair(p);
		return;
	}
	for (int i = 0; i < 2 && how == FIN; i++)
		(void)shutdown(p->fd[i], SHUT_WR);
}

static void accept_one(int listener)
{
	struct pair *p = &pairs[n_pairs];

	if (n_pairs == PAIRS)
		die("too many connections");
	p->fd[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (p->fd[0] < 0)
		die("accept");
	p->fd[1] = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->fd[1] < 0 || connect(p->fd[1], (void *)&target, target_len) < 0)
		die("connect");
	p->left = n_pairs++ < n_cuts ? cut_after : SIZE_MAX;
	if (p->left == 0)
		cut(p);
}

static bool write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

/* What one side has sent, to the other. */
static void pass(struct pair *p, int from)
{
	char chunk[CHUNK];
	size_t max = p->left < CHUNK && !p->cut ? p->left : CHUNK;
	ssize_t n = recv(p->fd[from], chunk, max, 0);

	if (n > 0 && p->cut)
		return;
	if (n > 0 && write_all(p->fd[!from], chunk, (size_t)n)) {
		if (p == pairs && from == 0 && said_fd >= 0 && write(said_fd, chunk, (size_t)n) != n)
			die("write");
		first_bytes += p == pairs ? (size_t)n : 0;
		p->left -= p->left == SIZE_MAX ? 0 : (size_t)n;
		if (p->left == 0)
			cut(p);
		return;
	}
	p->ended[from] = true;
	if (!p->cut)
		(void)shutdown(p->fd[!from], SHUT_WR);
	if (p->ended[0] && p->ended[1])
		end_pair(p);
}

static void serve(int listener, int pidfd)
{
	struct pollfd polls[2 + 2 * PAIRS];

	for (;;) {
		polls[0] = (struct pollfd){ .fd = pidfd, .events = POLLIN };
		polls[1] = (struct pollfd){ .fd = listener, .events = POLLIN };
		for (unsigned i = 0; i < 2 * n_pairs; i++) {
			const struct pair *p = &pairs[i / 2];
			bool deaf = p->ended[i % 2] || (p->cut && how == STALL);

			polls[2 + i] = (struct pollfd){ .fd = deaf ? -1 : p->fd[i % 2], .events = POLLIN };
		}
		if (poll(polls, 2 + 2 * n_pairs, -1) < 0)
			die("poll");
		for (unsigned i = 2 * n_pairs; i-- > 0;)
			if (polls[2 + i].revents && pairs[i / 2].fd[i % 2] >= 0 && !(pairs[i / 2].cut && how == STALL))
				pass(&pairs[i / 2], (int)(i % 2));
		if (polls[1].revents)
			accept_one(listener);
		if (polls[0].revents)
			return;
	}
}

static pid_t start(char **argv, char *address)
{
	pid_t pid;

	for (char **a = argv; *a; a++)
		if (strcmp(*a, "{}") == 0)
			*a = address;
	errno = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
	if (errno)
		die(argv[0]);
	return pid;
}

static int create(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		die(path);
	return fd;
}

static void report(const char *file)
{
	FILE *f = fopen(file, "w");

	if (!f || fprintf(f, "%zu %u\n", first_bytes, n_pairs) < 0 || fclose(f) != 0)
		die(file);
}

int main(int argc, char **argv)
{
	static const char *const names[] = { [FIN] = "fin", [RST] = "rst", [STALL] = "stall" };
	const char *count_file = NULL;
	char address[64];
	int c, listener, status;
	pid_t pid;

	while ((c = getopt(argc, argv, "+m:k:n:c:w:")) != -1) {
		if (c == 'm')
			while (how < STALL && strcmp(optarg, names[how]) != 0)
				how++;
		else if (c == 'k')
			n_cuts = number(optarg, 0, PAIRS);
		else if (c == 'n')
			cut_after = number(optarg, 0, 1 << 30);
		else if (c == 'c')
			count_file = optarg;
		else if (c == 'w')
			said_fd = create(optarg);
		else
			return 125;
	}
	if (argc - optind < 2)
		return 125;
	family = strncmp(argv[optind], "unix:", 5) == 0 ? AF_UNIX : AF_INET;
	if (family == AF_UNIX)
		set_unix(&target, &target_len, argv[optind] + 5);
	else
		set_tcp(&target, &target_len, number(argv[optind], 1, 65535));
	alarm(2 * CEILING_S);
	listener = listen_there(address, sizeof(address));
	pid = start(argv + optind + 1, address);
	serve(listener, (int)syscall(SYS_pidfd_open, pid, 0));
	if (waitpid(pid, &status, 0) < 0)
		die("waitpid");
	if (family == AF_UNIX)
		(void)unlink(address + 5);
	if (count_file)
		report(count_file);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
