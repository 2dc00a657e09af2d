/* SPDX-License-Identifier: MIT */
/*
 * records.h - what a record is, and where in a run of bytes one ends.
 *
 *   text     behind every place where the end text stands, if the start text follows it there
 *   pattern  the same with extended regular expressions, from left to right; ^ and $ match at newlines
 *   CSV      behind a newline that no quotes enclose (a quote opens them only where a field begins)
 *
 * A record is never empty, and the last one needs no end. Pure. Only ends that are texts can be found without having seen
 * what stands before: records_are_texts() says so.
 */
#ifndef PCORE_MAP_RECORDS_H
#define PCORE_MAP_RECORDS_H

#include <regex.h>

#include "libcore/base/base.h"

enum records_kind { RECORDS_TEXT, RECORDS_PATTERN, RECORDS_CSV };

struct records {
	enum records_kind kind;
	struct pcore_buf needle; /* the end text and the start text, or the two patterns */
	size_t end_len;		 /* of that, the end text */
	regex_t *regex;
	char separator; /* of CSV's fields */
};

/* How far the search for a record's end has come. Zero it at the record's beginning. */
struct records_scan {
	size_t at;
	enum { CSV_FIELD, CSV_PLAIN, CSV_QUOTED, CSV_QUOTE } csv;
};

/* Give a zeroed struct its kind. end and start are texts with the escapes \n \t \r \0 \\ \xHH, either may be empty but not
 * both. -EINVAL: an escape that is none, both empty, or a pattern that is none; -ENOMEM. records_done() in any case. */
int records_init_text(struct records *r, const char *end, const char *start);
int records_init_pattern(struct records *r, const char *end, const char *start);
void records_init_csv(struct records *r, char separator);
void records_done(struct records *r);

static inline bool records_are_texts(const struct records *r)
{
	return r->kind == RECORDS_TEXT;
}

/* How many bytes behind a text's end must be known to tell that it is one. */
static inline size_t records_lookahead(const struct records *r)
{
	return r->needle.len - r->end_len;
}

/* The end of the record that begins at data, 0 when it is not within len; with more bytes the search goes on where it was.
 * eof: no more will come. */
size_t records_next(const struct records *r, struct records_scan *scan, const char *data, size_t len, bool eof);

/* For texts: the last end within the first limit bytes of data (limit <= len), or 0. */
size_t records_last(const struct records *r, const char *data, size_t len, size_t limit);

#endif
