/* SPDX-License-Identifier: MIT */
/*
 * addr.c - addresses as users write them.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "libcore/net/private.h"

enum { HOST_MAX = 256 };

/* Cut text into host and port: the host without brackets. */
static int split(const char *text, char host[static HOST_MAX], const char **ret_port, struct pcore_net_error *err)
{
	const char *colon = strrchr(text, ':'), *begin = text, *end = colon;

	if (!colon)
		return net_error(err, -EINVAL, "it has no port: it must be HOST:PORT, [V6]:PORT or unix:PATH");
	if (text[0] == '[') {
		begin = text + 1;
		end = strchr(text, ']');
		if (!end || end + 1 != colon)
			return net_error(err, -EINVAL, "the ']' before the port is missing");
	} else if (memchr(text, ':', (size_t)(colon - text))) {
		return net_error(err, -EINVAL, "an IPv6 address must be in brackets: [V6]:PORT");
	}
	if (end == begin)
		return net_error(err, -EINVAL, "it has no host");
	if (end - begin >= HOST_MAX)
		return net_error(err, -EINVAL, "the host's name is too long");
	memcpy(host, begin, (size_t)(end - begin));
	host[end - begin] = '\0';
	*ret_port = colon + 1;
	return 0;
}

static int parse_tcp(struct pcore_net_addr *ret, size_t max, const char *text, bool names, struct pcore_net_error *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | (names ? 0 : AI_NUMERICHOST) };
	struct addrinfo *list = NULL;
	char host[HOST_MAX];
	const char *port = NULL;
	uint64_t number;
	size_t n = 0;
	int r = split(text, host, &port, err);

	if (r < 0)
		return r;
	if (pcore_parse_u64(port, 0, UINT16_MAX, &number) < 0)
		return net_error(err, -EINVAL, "the port is not a number up to 65535");
	if (text[0] == '[')
		hints.ai_family = AF_INET6;
	r = getaddrinfo(host, port, &hints, &list);
	if (r != 0 && !names && r == EAI_NONAME)
		return net_error(err, -EINVAL, "the host is not an address in numbers");
	if (r != 0)
		return net_error(err, r == EAI_MEMORY ? -ENOMEM : -EHOSTUNREACH, "%s", gai_strerror(r));
	for (struct addrinfo *at = list; at && n < max; at = at->ai_next) {
		if (at->ai_addrlen > sizeof(ret->in6))
			continue;
		ret[n] = (struct pcore_net_addr){ .len = at->ai_addrlen };
		memcpy(&ret[n++].sa, at->ai_addr, at->ai_addrlen);
	}
	freeaddrinfo(list);
	return n > 0 ? (int)n : net_error(err, -EHOSTUNREACH, "the host has no address");
}

int pcore_net_addr_parse(struct pcore_net_addr *ret, size_t max, const char *text, bool names, struct pcore_net_error *err)
{
	assert(max > 0);

	if (strncmp(text, "unix:", 5) != 0)
		return parse_tcp(ret, max, text, names, err);
	if (text[5] == '\0' || text[strlen(text) - 1] == '/')
		return net_error(err, -EINVAL, "the path of the socket is missing");
	ret[0] = (struct pcore_net_addr){ .path = text + 5 };
	return 1;
}

char *pcore_net_addr_text(const struct pcore_net_addr *addr, char buf[static PCORE_NET_ADDR_MAX])
{
	char host[INET6_ADDRSTRLEN + IF_NAMESIZE], port[8];

	if (addr->path) {
		strcpy(buf, "unix:");
		(void)pcore_escape(buf + 5, PCORE_NET_ADDR_MAX - 5, addr->path, strlen(addr->path));
	} else if (getnameinfo(&addr->sa, addr->len, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
		strcpy(buf, "?");
	} else {
		(void)snprintf(buf, PCORE_NET_ADDR_MAX, addr->sa.sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
	}
	return buf;
}
