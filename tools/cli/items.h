/* SPDX-License-Identifier: MIT */
/*
 * items.h - items cut out of a stream of bytes: lines, NUL-ended or with any one-byte delimiter, or records of CSV.
 *
 * Pure: bytes are given in as they come, items are taken out. The last item needs no delimiter. An item is never
 * changed; a NUL inside an item is an error that names the item's number (the kernel cannot pass it on) unless NUL is
 * the delimiter. Items longer than the limit are an error too, so that memory is bounded.
 */
#ifndef PCORE_CLI_ITEMS_H
#define PCORE_CLI_ITEMS_H

#include "libcore/base/base.h"
#include "tools/cli/csv.h"

enum { CLI_ITEM_MAX = 1 << 20 };

struct cli_items {
	struct pcore_buf buf;
	size_t scanned; /* bytes of buf known to hold no delimiter */
	size_t start;	/* where the next item begins in buf */
	uint64_t count; /* items taken, and skipped ones once passed */
	size_t item_max;
	unsigned char delim;
	bool mark;   /* a UTF-8 byte order mark may come first, and is no data: set by the caller */
	bool nul_ok; /* may items hold NUL bytes? Set by the caller who can deal with them */
	bool csv;
	char csv_sep;
	enum cli_csv_state csv_state; /* where scanned is */
	bool eof;
	bool skipped; /* the item before start was skipped and is counted by the next call */
};

void cli_items_init(struct cli_items *it, unsigned char delim, size_t item_max);
void cli_items_done(struct cli_items *it);

/* What follows is records of CSV: they end at a newline (LF or CRLF) that is not in quotes, and an empty line is none.
 * Called between two items. */
void cli_items_csv(struct cli_items *it, char sep);

/* Room to read into: at least min bytes; *ret_room is how many there are. NULL without memory. Invalidates items taken. */
char *cli_items_space(struct cli_items *it, size_t min, size_t *ret_room);
void cli_items_filled(struct cli_items *it, size_t n); /* n bytes were put there */
void cli_items_eof(struct cli_items *it);

/* Take the next item: 1 with *ret and *ret_len (valid until cli_items_space(); a NUL follows the item's bytes in place of
 * the delimiter), 0 when more input is needed, -ENODATA at the end, -EBADMSG for a NUL inside item number count + 1 (the
 * item is skipped), -E2BIG when item count + 1 is over the limit (nothing more can be taken), -EILSEQ at the end of the
 * input when the last record has a quote that is not closed. */
int cli_items_next(struct cli_items *it, const char **ret, size_t *ret_len);

/* Take up to n_max next items at once, as they were read: the bytes of all, with a delimiter between two of them, up to about
 * len_max. How many, or 0: ask cli_items_next(). Not for CSV, and only where items may hold NUL bytes. */
size_t cli_items_block(struct cli_items *it, size_t n_max, size_t len_max, const char **ret, size_t *ret_len);

/* One delimiter as the user writes it: a single byte or an escape \n \t \r \0 \\ \xHH. 0 or -EINVAL. */
int cli_items_parse_delim(const char *s, unsigned char *ret);

#endif
