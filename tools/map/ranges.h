/* SPDX-License-Identifier: MIT */
/*
 * ranges.h - a regular file cut into ranges of whole records. Only what stands around the end of each is read.
 *
 * The records' ends are texts. A range ends at the last record's end within size bytes; a record that is longer is a range of
 * its own. What is appended to the file meanwhile is seen at its end.
 */
#ifndef PCORE_MAP_RANGES_H
#define PCORE_MAP_RANGES_H

#include "tools/map/records.h"

struct ranges {
	const struct records *records; /* borrowed */
	int fd;			       /* too */
	uint64_t size, at;	       /* at: where the next range begins */
	char *window;
	size_t window_size;
};

int ranges_init(struct ranges *r, const struct records *records, int fd, uint64_t at, uint64_t size); /* 0, -ENOMEM */
void ranges_done(struct ranges *r);

/* The next range, or the next record: 1 with *ret_at and *ret_len, -ENODATA at the end of the file, -errno. */
int ranges_next(struct ranges *r, uint64_t *ret_at, uint64_t *ret_len);
int ranges_record(struct ranges *r, uint64_t *ret_at, uint64_t *ret_len);

#endif
