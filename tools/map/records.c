/* SPDX-License-Identifier: MIT */
/*
 * records.c - what a record is, and where in a run of bytes one ends.
 */
#include "tools/map/records.h"

#include <string.h>

/*
 * A regular expression is matched within a window, because a match costs memory for each byte that it may look at; and one
 * that ends close to the last byte known might be longer, or none, with the next. So a match is at most this long.
 */
enum { WINDOW = 16 * 1024, MATCH_MAX = 1024 };

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

/* The byte that an escape (behind its backslash) stands for, with how many characters it has; -1 when it is none. */
static int escaped(const char *s, size_t *ret_len)
{
	*ret_len = 1;
	switch (*s) {
	case 'n':
		return '\n';
	case 't':
		return '\t';
	case 'r':
		return '\r';
	case '0':
		return '\0';
	case '\\':
		return '\\';
	case 'x':
		*ret_len = 3;
		if (hex_digit(s[1]) < 0 || hex_digit(s[2]) < 0)
			return -1;
		return hex_digit(s[1]) * 16 + hex_digit(s[2]);
	default:
		return -1;
	}
}

static int add_text(struct pcore_buf *b, const char *s)
{
	int r = 0;

	while (*s && r == 0) {
		size_t len = 1;
		int c = (unsigned char)*s++;

		if (c == '\\') {
			c = escaped(s, &len);
			if (c < 0)
				return -EINVAL;
			s += len;
		}
		r = pcore_buf_addc(b, (char)c);
	}
	return r;
}

/* Escapes that regcomp() does not know become the byte they stand for, as an ordinary character; all others are its own. */
static int add_pattern(struct pcore_buf *b, const char *s)
{
	int r = 0;

	while (*s && r == 0) {
		size_t len = 1;
		int c = *s == '\\' && s[1] != '\\' ? escaped(s + 1, &len) : -1;

		if (c == 0)
			return -EINVAL; /* it would end the pattern */
		if (c > 0) {
			r = strchr(".[]()*+?{}|^$\\", c) ? pcore_buf_addc(b, '\\') : 0;
			s += 1 + len;
		} else {
			c = *s++;
			if (c == '\\' && *s) {
				r = pcore_buf_addc(b, '\\');
				c = *s++;
			}
		}
		if (r == 0)
			r = pcore_buf_addc(b, (char)c);
	}
	return r;
}

int records_init_text(struct records *r, const char *end, const char *start)
{
	int error;

	r->kind = RECORDS_TEXT;
	error = add_text(&r->needle, end);
	r->end_len = r->needle.len;
	if (error == 0)
		error = add_text(&r->needle, start);
	if (error == 0 && r->needle.len == 0)
		error = -EINVAL;
	return error;
}

/* "(END)(START)": a record ends with the first group, or if there is no END where the match begins. */
int records_init_pattern(struct records *r, const char *end, const char *start)
{
	int error;

	r->kind = RECORDS_PATTERN;
	error = pcore_buf_addc(&r->needle, '(');
	if (error == 0)
		error = add_pattern(&r->needle, end);
	r->end_len = r->needle.len - 1;
	if (error == 0)
		error = pcore_buf_adds(&r->needle, *end && *start ? ")(" : "");
	if (error == 0)
		error = add_pattern(&r->needle, start);
	if (error == 0)
		error = pcore_buf_addc(&r->needle, ')');
	if (error == 0)
		error = pcore_buf_terminate(&r->needle);
	if (error < 0)
		return error;
	r->regex = calloc(1, sizeof(*r->regex));
	if (!r->regex)
		return -ENOMEM;
	if ((*end || *start) && regcomp(r->regex, r->needle.data, REG_EXTENDED | REG_NEWLINE) == 0) {
		r->regex->regs_allocated = REGS_FIXED; /* search() has them on its stack */
		return 0;
	}
	free(TAKE_PTR(r->regex));
	return -EINVAL;
}

void records_init_csv(struct records *r, char separator)
{
	r->kind = RECORDS_CSV;
	r->separator = separator;
}

void records_done(struct records *r)
{
	if (r->regex)
		regfree(r->regex);
	free(TAKE_PTR(r->regex));
	pcore_buf_done(&r->needle);
}

static size_t next_text(const struct records *r, struct records_scan *scan, const char *data, size_t len)
{
	size_t from = r->end_len == 0 && scan->at == 0 ? 1 : scan->at;
	const char *found = NULL;

	if (from < len && r->needle.len == 1)
		found = memchr(data + from, r->needle.data[0], len - from);
	else if (from < len)
		found = memmem(data + from, len - from, r->needle.data, r->needle.len);
	if (found)
		return (size_t)(found - data) + r->end_len;
	if (len >= from + r->needle.len)
		scan->at = len - r->needle.len + 1;
	return 0;
}

/* The first match in from..to (and its first group), as offsets from data. re_search() is given lengths: regexec() would need
 * a string. It sees the byte before from, for ^ and the like. */
static bool search(const struct records *r, const char *data, size_t from, size_t to, size_t ret_begin[2], size_t ret_end[2])
{
	size_t base = from > 0 ? from - 1 : 0;
	regoff_t begin[2], end[2];
	struct re_registers regs = { .num_regs = 2, .start = begin, .end = end };

	if (re_search(r->regex, data + base, (regoff_t)(to - base), (regoff_t)(from - base), (regoff_t)(to - from), &regs) < 0)
		return false;
	for (int i = 0; i < 2; i++) {
		ret_begin[i] = base + (size_t)begin[i];
		ret_end[i] = base + (size_t)end[i];
	}
	return true;
}

static size_t next_match(const struct records *r, struct records_scan *scan, const char *data, size_t len, bool eof)
{
	while (scan->at < len) {
		size_t to = len - scan->at < WINDOW ? len : scan->at + WINDOW, begin[2], end[2];
		bool last = to == len;

		if (!search(r, data, scan->at, to, begin, end)) {
			size_t keep = last && eof ? 0 : MATCH_MAX;

			if (to > scan->at + keep)
				scan->at = to - keep;
			if (last)
				return 0;
			continue;
		}
		if (!(last && eof) && end[0] + MATCH_MAX > to && (last || begin[0] > scan->at)) {
			scan->at = begin[0]; /* look again with more behind it */
			if (last)
				return 0;
			continue;
		}
		if (r->end_len > 0 && end[1] > 0)
			return end[1];
		if (r->end_len == 0 && begin[0] > 0)
			return begin[0];
		scan->at++; /* what ends here would be empty */
	}
	return 0;
}

/* The first field begins behind a byte order mark. */
static size_t next_row(const struct records *r, struct records_scan *scan, const char *data, size_t len)
{
	static const char mark[] = { '\xef', '\xbb', '\xbf' };

	for (; scan->at < len; scan->at++) {
		char c = data[scan->at];

		if (scan->at == sizeof(mark) && memcmp(data, mark, sizeof(mark)) == 0)
			scan->csv = CSV_FIELD;
		if (scan->csv == CSV_QUOTED) {
			if (c == '"')
				scan->csv = CSV_QUOTE;
		} else if (c == '"' && scan->csv != CSV_PLAIN) {
			scan->csv = CSV_QUOTED; /* it opens the field, or is the second of a pair */
		} else if (c == '\n') {
			return scan->at + 1;
		} else {
			scan->csv = c == r->separator ? CSV_FIELD : CSV_PLAIN;
		}
	}
	return 0;
}

size_t records_next(const struct records *r, struct records_scan *scan, const char *data, size_t len, bool eof)
{
	switch (r->kind) {
	case RECORDS_TEXT:
		return next_text(r, scan, data, len);
	case RECORDS_PATTERN:
		return next_match(r, scan, data, len, eof);
	case RECORDS_CSV:
		break;
	}
	return next_row(r, scan, data, len);
}

size_t records_last(const struct records *r, const char *data, size_t len, size_t limit)
{
	const char *needle = r->needle.data;
	size_t before; /* the needle begins before here */

	assert(r->kind == RECORDS_TEXT);
	assert(limit <= len);

	if (limit < r->end_len || len < r->needle.len)
		return 0;
	before = limit - r->end_len + 1;
	if (before > len - r->needle.len + 1)
		before = len - r->needle.len + 1;
	while (before > 0) {
		const char *found = memrchr(data, needle[0], before);

		if (!found)
			break;
		before = (size_t)(found - data);
		if (memcmp(found, needle, r->needle.len) == 0 && before + r->end_len > 0)
			return before + r->end_len;
	}
	return 0;
}
