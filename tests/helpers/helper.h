/* SPDX-License-Identifier: MIT */
/*
 * helper.h - what the test programs share: failing, and a ceiling on how long any of them lives.
 */
#ifndef PCORE_TEST_HELPER_H
#define PCORE_TEST_HELPER_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CEILING_S = 60 };

_Noreturn static inline void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(125);
}

/* A whole number from min to max, or the program ends. */
static inline unsigned number(const char *s, unsigned min, unsigned max)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(s, &end, 10);
	if (errno || end == s || *end || v < min || v > max) {
		errno = EINVAL;
		die(s);
	}
	return (unsigned)v;
}

static inline unsigned seconds(const char *s)
{
	return number(s, 0, CEILING_S);
}

#endif
