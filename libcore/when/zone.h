/* SPDX-License-Identifier: MIT */
/*
 * zone.h - time zones: offsets from UTC, read from TZif files (RFC 8536, version 2 or later, with its footer) or from the
 * rule that POSIX allows in TZ. As many zones at a time as one likes, and no global state.
 *
 * A zone is a table of the instants at which the offset changes; the footer's rule is written out to the year 2200. Only
 * offsets matter here: names and what is daylight saving time are skipped over.
 */
#ifndef PCORE_WHEN_ZONE_H
#define PCORE_WHEN_ZONE_H

#include "libcore/when/civil.h"

enum { PCORE_ZONE_NAME_MAX = 64, PCORE_ZONE_FILE_MAX = 64 * 1024 };

struct pcore_zone;

/* The bytes of a TZif file. -EBADMSG for what is none or has no 64-bit data, -EOPNOTSUPP for one that counts leap seconds. */
int pcore_zone_parse(struct pcore_zone **ret, const void *data, size_t len);

/* A POSIX rule such as "CET-1CEST,M3.5.0,M10.5.0/3". -EINVAL. */
int pcore_zone_parse_rule(struct pcore_zone **ret, const char *rule);

/* Seconds east of Greenwich, always. */
int pcore_zone_fixed(struct pcore_zone **ret, int offset_s);

/* A zone by what people call it: "UTC", a name below /usr/share/zoneinfo, the path of a file, "+05:30", or a POSIX rule.
 * -ENOENT when there is none such, else as above or as open(2). */
int pcore_zone_open(struct pcore_zone **ret, const char *name);

/* This system's own zone, /etc/localtime; UTC where that is missing. */
int pcore_zone_open_local(struct pcore_zone **ret);

void pcore_zone_free(struct pcore_zone *z);

/* From start_ns until before end_ns the offset is offset_ns. INT64_MIN and INT64_MAX are the ends of time. */
struct pcore_zone_span {
	int64_t start_ns, end_ns, offset_ns;
};

struct pcore_zone_span pcore_zone_at(const struct pcore_zone *z, int64_t instant_ns);

static inline int64_t pcore_zone_wall(const struct pcore_zone *z, int64_t instant_ns)
{
	return instant_ns + pcore_zone_at(z, instant_ns).offset_ns;
}

/* The first instant at which clocks in the zone show wall_ns. Where they never do, because they are put forward over it, the
 * instant of that change, and *ret_skipped (may be NULL) is true. */
int64_t pcore_zone_instant(const struct pcore_zone *z, int64_t wall_ns, bool *ret_skipped);

/* The first wall-clock time that clocks in the zone have neither shown nor skipped when instant_ns is over. That is not
 * always the one after wall(instant_ns): in a repeated hour everything up to that hour's end has been shown before. */
int64_t pcore_zone_unseen(const struct pcore_zone *z, int64_t instant_ns);

/* "+05:30", "-0330", "+02", "+01:02:03": an offset; *s moves behind it. Seconds, or -EINVAL without moving. */
int pcore_zone_scan_offset(const char **s, int *ret_s);

#endif
