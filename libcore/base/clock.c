/* SPDX-License-Identifier: MIT */
/*
 * clock.c - time as int64_t nanoseconds, and as text.
 */
#include <assert.h>
#include <stdio.h>

#include "libcore/base/clock.h"
#include "libcore/base/util.h"

int64_t pcore_clock_ns(clockid_t clk)
{
	struct timespec ts;

	int r = clock_gettime(clk, &ts);
	assert(r == 0);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

char *pcore_iso8601_utc(char buf[static PCORE_ISO8601_MAX], int64_t realtime_ns)
{
	int64_t ns = realtime_ns % NS_PER_S;
	time_t s = realtime_ns / NS_PER_S;
	struct tm tm;
	size_t n;

	if (ns < 0) {
		ns += NS_PER_S;
		s--;
	}
	/* 64 bits of nanoseconds end in the year 2262, so this cannot fail. */
	gmtime_r(&s, &tm);
	n = strftime(buf, PCORE_ISO8601_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + n, PCORE_ISO8601_MAX - n, ".%06dZ", (int)(ns / NS_PER_US));
	return buf;
}
