/* SPDX-License-Identifier: MIT */
/*
 * saypeer - a server that says one thing to everybody: the bytes of FILE, and nothing more.
 * Usage: saypeer unix:PATH|tcp FILE
 *
 * Prints its address, then takes connections until it is killed, at most for two minutes. What they say is thrown away; one
 * that its peer has closed is closed.
 */
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/helpers/helper.h"

enum { PEERS = 64, SAY_MAX = 1 << 16 };

static int listen_unix(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (void *)&un, sizeof(un)) < 0 || listen(fd, 64) < 0)
		die(path);
	printf("unix:%s\n", path);
	return fd;
}

static int listen_tcp(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (void *)&in, len) < 0 || listen(fd, 64) < 0 || getsockname(fd, (void *)&in, &len) < 0)
		die("listen");
	printf("127.0.0.1:%u\n", ntohs(in.sin_port));
	return fd;
}

static size_t read_file(const char *path, char *to)
{
	FILE *f = fopen(path, "r");
	size_t n;

	if (!f)
		die(path);
	n = fread(to, 1, SAY_MAX, f);
	fclose(f);
	return n;
}

int main(int argc, char **argv)
{
	static char say[SAY_MAX], heard[SAY_MAX];
	struct pollfd polls[1 + PEERS];
	size_t len;

	if (argc != 3)
		return 125;
	len = read_file(argv[2], say);
	alarm(2 * CEILING_S);
	polls[0].fd = strncmp(argv[1], "unix:", 5) == 0 ? listen_unix(argv[1] + 5) : listen_tcp();
	fflush(stdout);
	for (unsigned i = 0; i <= PEERS; i++) {
		polls[i].events = POLLIN;
		polls[i].fd = i == 0 ? polls[0].fd : -1;
	}
	for (unsigned next = 1;; ) {
		if (poll(polls, 1 + PEERS, -1) < 0)
			die("poll");
		for (unsigned i = 1; i <= PEERS; i++) {
			if (!polls[i].revents || recv(polls[i].fd, heard, sizeof(heard), 0) > 0)
				continue;
			close(polls[i].fd);
			polls[i].fd = -1;
		}
		if (!polls[0].revents)
			continue;
		if (polls[next].fd >= 0)
			close(polls[next].fd);
		polls[next].fd = accept(polls[0].fd, NULL, NULL);
		if (polls[next].fd >= 0)
			(void)send(polls[next].fd, say, len, MSG_NOSIGNAL);
		next = next % PEERS + 1;
	}
}
