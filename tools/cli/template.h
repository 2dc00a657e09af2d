/* SPDX-License-Identifier: MIT */
/*
 * template.h - a command with placeholders, compiled once and filled in for each job.
 *
 *   {}  the item        {.}  without its extension     {/}  its last path component    {//}  its directory
 *   {/.} last component without extension              {#}  the job's number           {%}  its slot
 *
 * With CLI_TEMPLATE_NUMBERS there are {1} {2} ... for the job's columns, {-1} for the last one, with CLI_TEMPLATE_NAMES
 * {name} too, and all of them with the path forms: {1.} {1/} {1//} {1/.}. A column that is not there is empty.
 *
 * A placeholder may stand anywhere in a word and any number of times; what is put in is never scanned again. With several
 * items a job, a word that is exactly {} or a form of it becomes one word an item; inside a longer word the items are
 * joined by blanks. With no placeholder for item or column in any word the columns, or the items where there are none,
 * are appended as words of their own. In shell mode the command's words, joined by blanks, are a text for sh -c and items
 * are put in single-quoted, so that the shell sees each as exactly one word's part. Unknown braces ("{x}", "{",
 * "{}}"'s last brace) are ordinary text. Pure: no I/O.
 *
 * Path forms work on bytes: {.} of "a/b.c/d.tar.gz" is "a/b.c/d.tar", of "dir.x/f" it is "dir.x/f", of ".hidden"
 * ".hidden" (a leading dot begins no extension); {//} of "f" is ".", of "/abs" "/"; all forms of an empty item are empty.
 */
#ifndef PCORE_CLI_TEMPLATE_H
#define PCORE_CLI_TEMPLATE_H

#include "libcore/base/base.h"

struct cli_template;

struct cli_item {
	const char *data;
	size_t len;
};

struct cli_template_args {
	const struct cli_item *items;
	size_t n_items;
	const struct cli_item *columns; /* NULL: there are none */
	size_t n_columns;
	uint64_t seq; /* {#} */
	unsigned slot; /* {%}, which stays as it is where this is 0: a log has to say the same the next time */
};

enum cli_template_flags {
	CLI_TEMPLATE_SHELL = 1,
	CLI_TEMPLATE_NUMBERS = 2,
	CLI_TEMPLATE_NAMES = 4, /* cli_template_bind() has to follow before anything is expanded */
};

/* The words are not copied and must outlive the template. 0, -ENOMEM, or -EDOM for a {0}: columns count from 1. */
int cli_template_new(struct cli_template **ret, char *const *words, size_t n_words, unsigned flags);
void cli_template_free(struct cli_template *t);

/* Say what the columns are called. A number that no column has may be a name. {word}, made of letters, digits, '_', '-',
 * '.' and '/', has to be a column; other braces that name none stay as they are. 0; with *ret_bad what stands in the
 * braces, -ENOENT when there is no such column, -ENOTUNIQ when there are several. */
int cli_template_bind(struct cli_template *t, const struct cli_item *names, size_t n_names, struct cli_item *ret_bad);

/* Is there a placeholder for the item or a column, so that nothing is appended? */
bool cli_template_takes_items(const struct cli_template *t);

/* Is there a placeholder for the item, {} or a form of it? */
bool cli_template_has_item(const struct cli_template *t);

/* Does the command's first word hold a placeholder (so that it is not known before the first item)? */
bool cli_template_command_varies(const struct cli_template *t);

/* Does a word hold a placeholder for the item, so that none is appended? */
bool cli_template_has_item(const struct cli_template *t);

/* Build the argument vector of one job: NULL-terminated, in one malloc'd block (free it with free()).
 * In shell mode it is { "/bin/sh", "-c", text, NULL }. -ENOMEM. */
int cli_template_expand(const struct cli_template *t, const struct cli_template_args *args, char ***ret_argv);

/*
 * A command cut where jobs differ, for those who put it together elsewhere: parts once, and for each job its arguments.
 *
 * many: jobs may have several items. Their words {} are then the REST, of which there can be one.
 */
enum cli_template_part {
	CLI_PART_TEXT, /* len bytes at text */
	CLI_PART_ARG,  /* the job's argument n */
	CLI_PART_SEQ,
	CLI_PART_SLOT,
	CLI_PART_REST, /* a word for each argument from n on */
	CLI_PART_END,  /* of a word; behind REST too */
};

/* Tell the parts in their order, until part() returns an error. 0, that error, or -EOPNOTSUPP when there are several REST: then
 * none was told, and each job has to be given its whole vector. */
int cli_template_parts(const struct cli_template *t, bool many,
	int (*part)(void *ctx, enum cli_template_part kind, size_t n, const char *text, size_t len), void *ctx);

/* The arguments of one job, as cli_template_expand() gives a vector. seq and slot do not matter. -ENOMEM. */
int cli_template_arguments(const struct cli_template *t, bool many, const struct cli_template_args *args, char ***ret_args);

/*
 * As many items as fit into one vector.
 *
 * cli_fill_add() says whether the vector with this item too takes at most room bytes, its pointers included, and none of
 * its strings more than string_max, with their NUL. Only then is the item counted in. For templates without columns.
 */
struct cli_fill;

int cli_fill_new(struct cli_fill **ret, const struct cli_template *t, size_t room, size_t string_max); /* 0, -ENOMEM */
void cli_fill_free(struct cli_fill *f);
void cli_fill_begin(struct cli_fill *f); /* with no item */
bool cli_fill_add(struct cli_fill *f, struct cli_item item);

/* Append argv to b as a line a shell would read back: words that need it are single-quoted, no newline is added.
 * For --dry-run, --verbose. 0 or as pcore_buf_add(). */
int cli_shell_words(struct pcore_buf *b, char *const *argv);

#endif
