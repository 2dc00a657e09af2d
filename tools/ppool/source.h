/* SPDX-License-Identifier: MIT */
/*
 * source.h - where items come from: a descriptor that is read as it comes, or the words of the command line. Items are
 * handed out in groups, one a job.
 */
#ifndef PCORE_PPOOL_SOURCE_H
#define PCORE_PPOOL_SOURCE_H

#include "libcore/loop/loop.h"
#include "tools/cli/items.h"
#include "tools/cli/opts.h"
#include "tools/cli/template.h"

/* What the user says about items. Strings are borrowed from argv. */
struct source_opts {
	bool null;
	const char *delimiter, *file;
	char **args; /* the items after `:::', or NULL */
	size_t n_args;
	uint64_t per_job;
};

extern const struct cli_opt source_table[]; /* for a struct source_opts */

/* Do the options go together? CLI_GO, or the status to leave with after a message. */
int source_opts_check(const struct source_opts *o);

struct source {
	struct pcore_loop *loop;
	struct pcore_op op;
	int fd;		  /* -EBADF: the words */
	const char *name; /* of the file, for messages; NULL: standard input */
	char **words;
	size_t n_words, next_word;
	struct cli_items items;
	size_t per_job;
	bool ended;
	uint64_t refused; /* items that no command can be given */
	int error;	  /* what ended the input too early; told already */

	struct pcore_buf group; /* the items of the job to come, each with a NUL behind it */
	struct pcore_buf ends;	/* of size_t: where each ends */

	void *ctx;
	void (*more)(void *ctx); /* something came, or the end */
};

/* fd is taken. words or fd. */
void source_init(struct source *s, struct pcore_loop *lp, unsigned char delim, size_t per_job);

/* The same as the options say, with the file opened. ctx and more are set before. CLI_GO, or the status to leave with
 * after a message. */
int source_open(struct source *s, struct pcore_loop *lp, const struct source_opts *o);
void source_done(struct source *s);

/* The items of the next job: 1 with *ret and *ret_n, malloc'd in one block with their bytes; 0: more() will be called;
 * -ENODATA at the end; -ENOMEM. */
int source_next(struct source *s, struct cli_item **ret, size_t *ret_n);

/* Read no more. */
void source_stop(struct source *s);

#endif
