/* SPDX-License-Identifier: MIT */
/*
 * addrs.h - lists of addresses, as values of options: A,B, or a file that has one a line.
 */
#ifndef PCORE_CLI_ADDRS_H
#define PCORE_CLI_ADDRS_H

#include <stddef.h>

/* The words live as long as the program; what they are is for others to check. */
struct cli_addrs {
	const char **words; /* NULL behind the last one */
	size_t n, max;	    /* max: the most there may be */
};

/* Add those of a value. One with a slash that is not unix:PATH is a file, in which # begins a comment. 0, or a status after a
 * message: there is none in it, too many, or the file cannot be read. */
int cli_addrs_add(struct cli_addrs *a, const char *name, const char *value);

#endif
