/* SPDX-License-Identifier: MIT */
/*
 * clock.h - time as int64_t nanoseconds, and as text.
 */
#ifndef PCORE_BASE_CLOCK_H
#define PCORE_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Now on clk (CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME). */
int64_t pcore_clock_ns(clockid_t clk);

static inline int64_t pcore_now_ns(void)
{
	return pcore_clock_ns(CLOCK_MONOTONIC);
}

/* a + b, both >= 0, INT64_MAX instead of an overflow: "for ever" plus anything stays for ever. */
static inline int64_t pcore_ns_add(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

enum { PCORE_ISO8601_MAX = 40 };

/* "2026-11-25T23:28:04.123456Z": realtime_ns since the epoch, UTC, microseconds. Returns buf. */
char *pcore_iso8601_utc(char buf[static PCORE_ISO8601_MAX], int64_t realtime_ns);

#endif
