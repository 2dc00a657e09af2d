/* SPDX-License-Identifier: MIT */
/*
 * ranges.c - a regular file cut into ranges of whole records.
 */
#include "tools/map/ranges.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Most records' ends are near: look at little first. */
enum { LOOK_FIRST = 4096, LOOK_MAX = 64 * 1024 };

int ranges_init(struct ranges *r, const struct records *records, int fd, uint64_t at, uint64_t size)
{
	assert(records_are_texts(records));
	assert(size > 0);

	*r = (struct ranges){ .records = records, .fd = fd, .at = at, .size = size };
	r->window_size = LOOK_MAX + 2 * records->needle.len;
	r->window = malloc(r->window_size);
	return r->window ? 0 : -ENOMEM;
}

void ranges_done(struct ranges *r)
{
	free(TAKE_PTR(r->window));
}

/* Read the file from..to into the window, or what there is of it. */
static ssize_t look(struct ranges *r, uint64_t from, uint64_t to)
{
	size_t len = to - from < r->window_size ? (size_t)(to - from) : r->window_size, have = 0;

	while (have < len) {
		ssize_t n = pread(r->fd, r->window + have, len - have, (off_t)(from + have));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

/* The last record's end behind at, up to limit: backwards from there, in windows that overlap by what an end may be cut by.
 * 1 with *ret, 0 when there is none, -errno. */
static int last_end(struct ranges *r, uint64_t limit, uint64_t *ret)
{
	size_t end_len = r->records->end_len, ahead = records_lookahead(r->records);
	uint64_t step = LOOK_FIRST > 2 * end_len ? LOOK_FIRST : 2 * end_len;

	for (uint64_t high = limit;;) {
		uint64_t low = high - r->at > step ? high - step : r->at;
		ssize_t n = look(r, low, high + ahead);
		size_t end;

		if (n < 0)
			return (int)n;
		end = records_last(r->records, r->window, (size_t)n, (size_t)n < high - low ? (size_t)n : high - low);
		if (end > 0) {
			*ret = low + end;
			return 1;
		}
		if (low == r->at)
			return 0;
		high = low + (end_len > 0 ? end_len - 1 : 0);
		step = LOOK_MAX;
	}
}

/* The first record's end at a needle that begins at from or later, or the end of the file: forwards, in windows that overlap
 * by the needle. 1 with *ret, -errno. */
static int first_end(struct ranges *r, uint64_t from, uint64_t *ret)
{
	size_t overlap = r->records->needle.len, want = LOOK_FIRST + overlap;

	for (;;) {
		struct records_scan scan = { .at = 0 };
		ssize_t n = look(r, from, from + want);
		size_t end;

		if (n < 0)
			return (int)n;
		end = n > 0 ? records_next(r->records, &scan, r->window, (size_t)n, true) : 0;
		if (end > 0 || (size_t)n < want) {
			*ret = from + (end > 0 ? end : (size_t)n);
			return 1;
		}
		from += (size_t)n - overlap;
		want = LOOK_MAX + overlap;
	}
}

/* The size of the file now, or -errno. */
static int64_t size_now(const struct ranges *r)
{
	struct stat st;

	return fstat(r->fd, &st) < 0 ? -errno : st.st_size;
}

static int give(struct ranges *r, uint64_t end, uint64_t *ret_at, uint64_t *ret_len)
{
	*ret_at = r->at;
	*ret_len = end - r->at;
	r->at = end;
	return 1;
}

int ranges_record(struct ranges *r, uint64_t *ret_at, uint64_t *ret_len)
{
	uint64_t end = 0;
	int error = first_end(r, r->at, &end);

	if (error < 0)
		return error;
	return end == r->at ? -ENODATA : give(r, end, ret_at, ret_len);
}

int ranges_next(struct ranges *r, uint64_t *ret_at, uint64_t *ret_len)
{
	int64_t size = size_now(r);
	uint64_t limit, end = 0;
	int error;

	if (size < 0)
		return (int)size;
	if ((uint64_t)size <= r->at)
		return -ENODATA;
	if ((uint64_t)size - r->at < r->size)
		return give(r, (uint64_t)size, ret_at, ret_len);

	limit = r->at + r->size;
	error = last_end(r, limit, &end);
	if (error == 0)
		error = first_end(r, r->size > r->records->needle.len ? limit - r->records->needle.len : r->at, &end);
	return error < 0 ? error : give(r, end, ret_at, ret_len);
}
