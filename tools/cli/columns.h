/* SPDX-License-Identifier: MIT */
/*
 * columns.h - lines split into columns: by a byte, by a pattern, or as CSV.
 *
 * Nothing is trimmed: "a::b" split by ":" has three columns, the second empty, and a line always has at least one. Pure.
 */
#ifndef PCORE_CLI_COLUMNS_H
#define PCORE_CLI_COLUMNS_H

#include <regex.h>

#include "tools/cli/template.h"

enum { CLI_COLUMNS_WHY = 128 };

struct cli_columns {
	bool csv, pattern;
	char sep; /* unless it is a pattern */
	regex_t re;
	struct cli_item *list; /* of the lines that were split last */
	size_t n, cap;
	struct pcore_buf text; /* the fields of CSV, without their quotes */
};

/* sep as the user writes it, NULL for a tab or the comma of CSV: one byte or an escape (\t, \0, \xHH ...) is that byte,
 * anything else a POSIX extended regular expression, which CSV does not allow. 0, or -EINVAL with the reason. */
int cli_columns_init(struct cli_columns *c, const char *sep, bool csv, char ret_why[static CLI_COLUMNS_WHY]);
void cli_columns_done(struct cli_columns *c); /* NULL and a zeroed one are fine */

/* Split lines: c->list has the columns of all of them, in order. They point into the lines or into c, and are valid
 * until the next call. 0, -EILSEQ when a quote is not closed, -ENOMEM. */
int cli_columns_split(struct cli_columns *c, const struct cli_item *lines, size_t n_lines);

/* Is every quote of this CSV record closed? */
bool cli_columns_closed(const struct cli_columns *c, struct cli_item line);

#endif
