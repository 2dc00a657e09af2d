/* SPDX-License-Identifier: MIT */
/*
 * text.c - names of signals, and foreign bytes made safe to print.
 */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "libcore/base/parse.h"
#include "libcore/base/text.h"
#include "libcore/base/util.h"

char *pcore_signal_name(int sig, char buf[static PCORE_SIGNAL_NAME_MAX])
{
	const char *abbrev = sig > 0 ? sigabbrev_np(sig) : NULL;

	if (abbrev)
		snprintf(buf, PCORE_SIGNAL_NAME_MAX, "SIG%s", abbrev);
	else if (sig == SIGRTMIN)
		snprintf(buf, PCORE_SIGNAL_NAME_MAX, "SIGRTMIN");
	else if (sig > SIGRTMIN && sig <= SIGRTMAX)
		snprintf(buf, PCORE_SIGNAL_NAME_MAX, "SIGRTMIN+%d", sig - SIGRTMIN);
	else
		snprintf(buf, PCORE_SIGNAL_NAME_MAX, "SIG%d", sig);
	return buf;
}

/* "RTMIN", "RTMIN+N", "RTMAX", "RTMAX-N" */
static int parse_realtime(const char *s)
{
	bool from_min = strncasecmp(s, "RTMIN", 5) == 0;
	uint64_t n = 0;

	if (!from_min && strncasecmp(s, "RTMAX", 5) != 0)
		return -EINVAL;
	s += 5;
	if (*s == (from_min ? '+' : '-')) {
		if (pcore_parse_u64(s + 1, 0, (uint64_t)(SIGRTMAX - SIGRTMIN), &n) < 0)
			return -EINVAL;
	} else if (*s != '\0') {
		return -EINVAL;
	}
	return from_min ? SIGRTMIN + (int)n : SIGRTMAX - (int)n;
}

int pcore_signal_parse(const char *s)
{
	static const struct {
		const char *name;
		int sig;
	} aliases[] = { { "CLD", SIGCHLD }, { "IO", SIGIO }, { "IOT", SIGABRT },
		{ "POLL", SIGPOLL } };
	uint64_t n;

	if (pcore_parse_u64(s, 1, (uint64_t)SIGRTMAX, &n) == 0)
		return (int)n;
	if (strncasecmp(s, "SIG", 3) == 0)
		s += 3;
	for (int sig = 1; sig < SIGRTMIN; sig++) {
		const char *abbrev = sigabbrev_np(sig);
		if (abbrev && strcasecmp(s, abbrev) == 0)
			return sig;
	}
	for (size_t i = 0; i < ARRAY_SIZE(aliases); i++)
		if (strcasecmp(s, aliases[i].name) == 0)
			return aliases[i].sig;
	return parse_realtime(s);
}

/* Write c's printable form and return its length, 1 to 4. */
static size_t escape_byte(char out[4], unsigned char c)
{
	static const char from[] = "\n\t\r\\", to[] = "ntr\\", hex[] = "0123456789abcdef";
	const char *p = c ? strchr(from, c) : NULL;

	if (p) {
		memcpy(out, (char[]){ '\\', to[p - from] }, 2);
		return 2;
	}
	if (c >= 0x20 && c != 0x7f) {
		out[0] = (char)c;
		return 1;
	}
	memcpy(out, (char[]){ '\\', 'x', hex[c >> 4], hex[c & 15] }, 4);
	return 4;
}

size_t pcore_escape(char *dst, size_t size, const void *src, size_t len)
{
	const unsigned char *p = src;
	size_t used = 0;

	assert(size > 0);

	for (size_t i = 0; i < len; i++) {
		char piece[4];
		size_t n = escape_byte(piece, p[i]);
		if (n >= size - used)
			break;
		memcpy(dst + used, piece, n);
		used += n;
	}
	dst[used] = '\0';
	return used;
}
