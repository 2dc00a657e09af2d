/* SPDX-License-Identifier: MIT */
/*
 * argfile.h - `-a FILE': a job for each item of a file, where jobs are given to somebody else.
 */
#ifndef PCORE_CLI_ARGFILE_H
#define PCORE_CLI_ARGFILE_H

#include "tools/cli/items.h"
#include "tools/cli/opts.h"

/* Strings are borrowed from argv. */
struct cli_argfile {
	const char *file, *delimiter;
	bool null;
};

extern const struct cli_opt cli_argfile_table[];

/* Do the options go together? CLI_GO or a status after a message. */
int cli_argfile_check(const struct cli_argfile *a);

/* Open the file ("-": standard input) and initialise items for it. CLI_GO with *ret_fd, or a status after a message; in any case
 * cli_items_done() is due. */
int cli_argfile_open(const struct cli_argfile *a, struct cli_items *items, int *ret_fd);

/* Say what is wrong with the next item: CLI_NO for one that is passed over (-EBADMSG), CLI_FAILURE where the input ends (-E2BIG). */
int cli_argfile_bad(const struct cli_items *items, int error);

#endif
