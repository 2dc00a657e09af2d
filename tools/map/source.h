/* SPDX-License-Identifier: MIT */
/*
 * source.h - where items come from: a descriptor that is read as it comes, or the words of the command line. Items are
 * handed out in groups, one a job.
 *
 * On their way they pass these, in this order: lines to skip, empty ones to leave out, the header, the shuffle, the
 * maximum, the group.
 */
#ifndef PCORE_MAP_SOURCE_H
#define PCORE_MAP_SOURCE_H

#include "libcore/loop/loop.h"
#include "tools/cli/columns.h"
#include "tools/cli/items.h"
#include "tools/cli/opts.h"
#include "tools/cli/template.h"
#include "tools/map/product.h"

/* What the user says about items. Strings are borrowed from argv. */
struct source_opts {
	bool null, fill, skip_empty, shuffle;
	const char *delimiter, *file;
	char **args; /* from the first `:::' on, or NULL */
	uint64_t per_job; /* 0: not given */
	uint64_t skip_lines, max, seed;

	bool starmap, csv, header;
	const char *colsep;
};

#define SOURCE_OPTS_DEFAULT ((struct source_opts){ .max = UINT64_MAX })

extern const struct cli_opt source_table[];  /* for a struct source_opts */
extern const struct cli_opt columns_table[]; /* for the same */

/* Do the options go together? CLI_GO, or the status to leave with after a message. */
int source_opts_check(const struct source_opts *o);

/* Have the placeholders {1} {2} ... a meaning: are there columns, several lists of words, or items that -n counts? */
bool source_opts_numbers(const struct source_opts *o);

struct source {
	struct pcore_loop *loop;
	struct pcore_op op;
	int fd;		  /* -EBADF: the words */
	const char *name; /* of the file, for messages; NULL: standard input */
	struct product words;
	uint64_t next, n; /* of combinations of words, or of what was shuffled */
	struct cli_items items;
	struct cli_columns columns;
	bool split;   /* each item has columns */
	bool numbers; /* or, without that, is one */

	size_t per_job;
	uint64_t skip_lines, seed;
	uint64_t used, max; /* items */
	bool skip_empty, shuffle;
	size_t read_least; /* room for a read; 0: what is usual */
	bool header; /* is still to come */
	bool ended;
	uint64_t refused; /* items that no command can be given */
	int error;	  /* what ended the input too early; told already */

	struct pcore_buf all;	/* with shuffle: what was read, each item after its length (a size_t) */
	struct pcore_buf order; /* of uint64_t: the shuffled numbers of combinations, or places in all */
	bool shuffled;

	struct cli_item *item; /* taken last: a text, or a word of each list */
	size_t n_parts;
	struct pcore_buf group; /* the items of the job to come, each with a NUL behind it */
	struct pcore_buf ends;	/* of size_t: where each ends */
	size_t n_grouped;
	bool full;

	void *ctx;
	void (*more)(void *ctx); /* something came, or the end */
	/* The header has come: the names of the columns. Nothing was handed out yet. 0, or an error after a message: then
	 * nothing will be. */
	int (*named)(void *ctx, const struct cli_item *names, size_t n);
	/* With --fill: does the job take this item too? first: it has none yet. */
	bool (*fits)(void *ctx, struct cli_item item, bool first);
};

/* Open what the options say. ctx and the callbacks are set before; named() may be called. CLI_GO, or the status to leave
 * with after a message. */
int source_open(struct source *s, struct pcore_loop *lp, const struct source_opts *o);
void source_done(struct source *s);

/* The items of the next job: 1 with *ret and *ret_n, malloc'd in one block with their bytes; 0: more() will be called;
 * -ENODATA at the end; -ENOMEM. */
int source_next(struct source *s, struct cli_item **ret, size_t *ret_n);

/* Instead: up to so many of the next items at once, as they were read, with a delimiter between two. Only of what is read, where
 * nothing is left out, counted or grouped, and items may hold NUL bytes. As source_next(); *ret is malloc'd. */
int source_block(struct source *s, size_t n_max, size_t len_max, char **ret, size_t *ret_len, size_t *ret_n);

/* The columns of a job's items, valid until the next call; NULL where there is no such thing. 0 or -ENOMEM. */
int source_columns(struct source *s, const struct cli_item *items, size_t n_items, struct cli_template_args *ret);

/* How many jobs there will be, 0 when that is not known yet, or the input is cut into blocks. */
uint64_t source_jobs(const struct source *s);

/* Read no more. */
void source_stop(struct source *s);

#endif
