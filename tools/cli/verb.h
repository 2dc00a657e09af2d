/* SPDX-License-Identifier: MIT */
/*
 * verb.h - the first word of tools that have verbs.
 */
#ifndef PCORE_CLI_VERB_H
#define PCORE_CLI_VERB_H

#include "tools/cli/opts.h"

/* A verb parses what follows it, argv[0] being the verb itself, and returns the status to leave with. */
struct cli_verb {
	const char *name;
	int (*run)(int argc, char **argv);
};

/* Or NULL. */
const struct cli_verb *cli_verb_find(const struct cli_verb *verbs, size_t n, const char *name);

/* A message with the names of all that there are, verb being that of struct cli_opts. Returns CLI_FAILURE. */
int cli_verb_unknown(const char *(*verb)(size_t i, const char **ret_summary), const char *word);

/* Options where a verb should be: --help as help says, but for the tables, and --version. The status to leave with. */
int cli_verb_none(const struct cli_opts *help, int argc, char **argv);

#endif
