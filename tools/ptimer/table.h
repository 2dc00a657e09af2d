/* SPDX-License-Identifier: MIT */
/*
 * table.h - timer tables: text that describes timers, one a line.
 *
 *   NAME: VERB WHEN [options] [-- COMMAND [ARG...]]      VERB is after, at, every, on or cron, with its options and --priority N
 *   include FILE                                         relative to the file that this line stands in
 *   # comment                                            at the beginning of any word, too
 *
 * Words are separated by blanks. Inside '...' every byte means itself; inside "..." a backslash quotes a quote and a backslash,
 * elsewhere any byte; one at the end of a line, but inside '...', joins the next line. Nothing is expanded. A word has no
 * control characters but tabs.
 *
 * Reading has no effect but on memory, and tells every mistake, not only the first.
 */
#ifndef PCORE_PTIMER_TABLE_H
#define PCORE_PTIMER_TABLE_H

#include "tools/ptimer/ptimer.h"

enum { PTIMER_TABLE_FILE_MAX = 16 << 20, PTIMER_TABLE_LINE_MAX = 64 << 10, PTIMER_TABLE_DEPTH_MAX = 16 };

/* Where a name stands. */
struct ptimer_place {
	struct pcore_map_node by_name;
	struct ptimer_place *next; /* names_only: that the table owns */
	const char *file;	   /* lives as long as the table */
	unsigned line;
};

struct ptimer_timer {
	struct ptimer_place place;
	char **words; /* the line's, NULL-terminated, one block with their text: the name, the verb, ... */
	const char *name;
	int64_t priority; /* of timers that are due at the same time, the lowest comes first, then the one that was entered first */
	struct ptimer_opts opts;	/* borrows from words */
	const struct pcore_zone *zone; /* of its expression, or that of --tz; NULL: the line names none. Of the struct ptimer_zones */
};

struct ptimer_table {
	struct ptimer_timer **timers; /* in the order of their lines; one that is taken out leaves NULL */
	size_t n, cap;
	struct pcore_map names;
	/* May be set before the table is read: a timer is let go when it was looked at, and only its name stays. */
	bool names_only;
	struct ptimer_place *places;
	/* May be set before the table is read: says what is doubtful about a timer, or NULL; ctx is that of the mistakes. It is told
	 * as one with "warning: " in front, but does not count. */
	const char *(*doubt)(void *ctx, const struct ptimer_timer *timer);
	struct ptimer_file {
		char *path;
		dev_t dev;
		ino_t ino;
	} *files; /* that were read: the table itself comes first */
	size_t n_files;
};

/* A mistake. Lines and columns (bytes) count from 1; what has its control characters escaped, file has not. */
typedef void ptimer_table_mistake(void *ctx, const char *file, unsigned line, unsigned column, const char *what);

/* One that writes `FILE:LINE:COLUMN: what' to stderr. */
ptimer_table_mistake ptimer_tell_mistake;

/* Read the table at path ("-": standard input) into t, which is zeroed but for names_only and doubt, and the zones that it names into zones, which has to live longer.
 * Returns the number of mistakes, each of which was told; the timers of all other lines are there. -errno when the table itself
 * cannot be read (-EFBIG: it is larger than PTIMER_TABLE_FILE_MAX), or -ENOMEM. In any case ptimer_table_done() is due. */
int ptimer_table_read(struct ptimer_table *t, const char *path, struct ptimer_zones *zones, ptimer_table_mistake *tell, void *ctx);

/* The same with text that is there already; file is its name. It must not include any. */
int ptimer_table_parse(struct ptimer_table *t, const char *file, const char *text, size_t len, struct ptimer_zones *zones,
	ptimer_table_mistake *tell, void *ctx);

/* Read fd to its end. 0, -EFBIG when that is more than b's limit, or -errno. */
int ptimer_table_load(int fd, struct pcore_buf *b);

void ptimer_table_done(struct ptimer_table *t);
void ptimer_timer_free(struct ptimer_timer *timer); /* one that was taken out; then there is only ptimer_table_done() to do */

struct ptimer_timer *ptimer_table_find(const struct ptimer_table *t, const char *name);

/* Do both say the same, word for word? */
bool ptimer_timer_equal(const struct ptimer_timer *a, const struct ptimer_timer *b);

/* Add word to b as a table has to spell it, quoted where it must be. 0 or as pcore_buf_add(). */
int ptimer_table_quote(struct pcore_buf *b, const char *word);

#endif
