/* SPDX-License-Identifier: MIT */
/*
 * opts.h - option tables: one table describes a tool's options, parses them and prints --help.
 *
 * A table is an array of struct cli_opt that ends with { .name = NULL }; a tool may have several (its own and the job
 * options that tools share), given as a list of tables. Long options may be abbreviated only when the abbreviation is
 * unique (as getopt_long does). Each kind checks its value whole and names option and value when it is wrong.
 *
 * The same tables are what completions in shells are made of (tools/completions): --help=table prints them as lines of
 * words with tabs between,
 *
 *	usage	one for each line of the synopsis
 *	verb	NAME	SUMMARY
 *	option	LETTER	NAME	KIND	VALUE	HELP
 *
 * where KIND is flag, value or signal, and - stands for a letter or a value that there is none of.
 */
#ifndef PCORE_CLI_OPTS_H
#define PCORE_CLI_OPTS_H

#include "tools/cli/cli.h"

enum cli_opt_kind {
	CLI_OPT_FLAG,	  /* bool: set to true */
	CLI_OPT_STRING,	  /* const char * */
	CLI_OPT_U64,	  /* uint64_t within min..max (max 0: no maximum) */
	CLI_OPT_DURATION, /* int64_t ns, "inf" is INT64_MAX */
	CLI_OPT_SIZE,	  /* uint64_t bytes within min..max (max 0: no maximum) */
	CLI_OPT_SIGNAL,	  /* int */
	CLI_OPT_CALL,	  /* set() does it all */
	CLI_OPT_HEADING,  /* no option: a heading in --help */
};

struct cli_opt {
	const char *name;	 /* long name without the dashes; for a heading its text */
	char letter;		 /* or 0 */
	enum cli_opt_kind kind;
	const char *arg;	 /* name of the value in --help, NULL: takes none; "[=X]": optional */
	size_t offset;		 /* of the member in the options struct */
	uint64_t min, max;
	int (*set)(void *opts, const char *name, const char *value); /* 0, or a status after a message */
	const char *help;	 /* one or more lines, '\n' separated */
};

struct cli_opts {
	const char *usage;		      /* the synopsis lines of --help, without "usage: " */
	const char *summary;		      /* one sentence */
	const struct cli_opt *const *tables;  /* NULL-terminated list of tables */
	void *const *targets;		      /* the options struct each table writes to, same order */
	bool stop_at_operand;		      /* options end at the first operand (verbs that take a COMMAND) */
	/* The name of verb i with what --help says of it (NULL: nothing), NULL behind the last one; NULL where there are none. */
	const char *(*verb)(size_t i, const char **ret_summary);
	const char *footer;		      /* printed last in --help, or NULL */
	bool bare;			      /* there is no --help and no --version */
	const char **ret_at;		      /* on an error: the place in a word of argv where it is; or NULL */
};

/* Parse argv[1..]. --help (-h) and --version (-V) are added unless bare. Returns CLI_GO with *ret_operand set to the
 * index of the first operand (operands are moved behind the options unless stop_at_operand; a "--" is taken off), or
 * the status to leave with. */
int cli_opts_parse(const struct cli_opts *o, int argc, char **argv, int *ret_operand);

/* Put the words of the environment variable PCORE_OPTIONS_<TOOL> (upper case) between argv[0] and argv[1]. Words are
 * separated by blanks; nothing quotes. The new array (one block with its words) lives as long as the program.
 * 0 (the variable may be unset) or -ENOMEM. */
int cli_opts_defaults(const char *tool, int *argc, char ***argv);

/* A message that names option and value: "invalid value 'x' for '--name': why". Returns CLI_FAILURE. */
int cli_opt_bad(const char *name, const char *value, const char *why);

#endif
