/* SPDX-License-Identifier: MIT */
/*
 * template.h - a command with placeholders, compiled once and filled in for each job.
 *
 *   {}  the item        {.}  without its extension     {/}  its last path component    {//}  its directory
 *   {/.} last component without extension              {#}  the job's number           {%}  its slot
 *
 * A placeholder may stand anywhere in a word and any number of times; what is put in is never scanned again. With several
 * items a job, a word that is exactly a placeholder becomes one word an item; inside a longer word the items are joined
 * by blanks. With no item placeholder in any word the items are appended as words of their own. In shell mode the command's words, joined by blanks,
 * are a text for sh -c and items are put in single-quoted, so that the shell sees each as exactly one word's part.
 * Unknown braces ("{x}", "{", "{}}"'s last brace) are ordinary text. Pure: no I/O.
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
	uint64_t seq; /* {#} */
	unsigned slot; /* {%} */
};

/* The words are not copied and must outlive the template. 0 or -ENOMEM. */
int cli_template_new(struct cli_template **ret, char *const *words, size_t n_words, bool shell);
void cli_template_free(struct cli_template *t);

/* Is there a placeholder for the item, {} or a form of it? */
bool cli_template_has_item(const struct cli_template *t);

/* Does the command's first word hold a placeholder (so that it is not known before the first item)? */
bool cli_template_command_varies(const struct cli_template *t);

/* Build the argument vector of one job: NULL-terminated, in one malloc'd block (free it with free()).
 * In shell mode it is { "/bin/sh", "-c", text, NULL }. -ENOMEM. */
int cli_template_expand(const struct cli_template *t, const struct cli_template_args *args, char ***ret_argv);

/* Append argv to b as a line a shell would read back: words that need it are single-quoted, no newline is added.
 * For --dry-run, --verbose. 0 or as pcore_buf_add(). */
int cli_shell_words(struct pcore_buf *b, char *const *argv);

#endif
