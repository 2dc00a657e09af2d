/* SPDX-License-Identifier: MIT */
/*
 * poolwire.c - speaks to the socket of a named pool in bytes.
 *
 * poolwire SOCKET HEX...      send the bytes, say that no more come, and print all that is answered, in hex
 * poolwire -w SOCKET HEX...   send them and wait to be killed
 * poolwire -l SOCKET HEX...   be the pool: answer one client with the bytes, when it has said something
 */
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/helpers/helper.h"

static unsigned char bytes[4096];
static size_t n_bytes;

static void take_hex(const char *s)
{
	unsigned v;

	for (; *s; s++) {
		if (*s == ' ')
			continue;
		if (n_bytes == sizeof(bytes) || !s[1] || sscanf(s, "%2x", &v) != 1) {
			errno = EINVAL;
			die(s);
		}
		bytes[n_bytes++] = (unsigned char)v;
		s++;
	}
}

static int serve(int fd)
{
	char buf[4096];
	int client = listen(fd, 1) < 0 ? -1 : accept(fd, NULL, NULL);

	if (client < 0 || read(client, buf, sizeof(buf)) <= 0 || write(client, bytes, n_bytes) != (ssize_t)n_bytes)
		die("cannot serve");
	while (read(client, buf, sizeof(buf)) > 0)
		;
	return 0;
}

static int ask(int fd, int hang)
{
	unsigned char buf[4096];
	ssize_t n;

	if (send(fd, bytes, n_bytes, MSG_NOSIGNAL) < 0 && errno != EPIPE) /* refused already: the answer is there */
		die("cannot send");
	if (hang)
		pause();
	(void)shutdown(fd, SHUT_WR);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++)
			printf("%02x", buf[i]);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int listening = argc > 1 && strcmp(argv[1], "-l") == 0, hang = argc > 1 && strcmp(argv[1], "-w") == 0;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), first = 1 + (listening || hang), r;

	alarm(CEILING_S);
	if (argc < first + 2 || snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", argv[first]) >= (int)sizeof(addr.sun_path)) {
		errno = EINVAL;
		die("usage: poolwire [-l|-w] SOCKET HEX...");
	}
	for (int i = first + 1; i < argc; i++)
		take_hex(argv[i]);
	r = listening ? bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) : connect(fd, (const struct sockaddr *)&addr, sizeof(addr));
	if (r < 0)
		die(argv[first]);
	return listening ? serve(fd) : ask(fd, hang);
}
