/* SPDX-License-Identifier: MIT */
/*
 * feed.h - map --pipe: the input is cut into blocks, which the jobs read from their standard input.
 *
 * A stream is read into memory, one block ahead of the jobs. Of a regular file only the bytes around the ends of blocks are
 * read, and the jobs get ranges of it. With --round-robin the jobs (consumers) stay and get one block after the other:
 *
 *   block -- feed_next() --> a new consumer, while there are fewer than jobs
 *         -- else ---------> the consumer that has waited longest; when none waits, the input has to
 *
 * A consumer that leaves gets no more; a block that it has not begun to read goes to another one.
 */
#ifndef PCORE_MAP_FEED_H
#define PCORE_MAP_FEED_H

#include "libcore/pool/pool.h"
#include "tools/cli/opts.h"
#include "tools/map/blocks.h"
#include "tools/map/ranges.h"

/* Strings are borrowed from argv. */
struct feed_opts {
	bool pipe, round_robin, regex, csv_header;
	bool csv; /* filled in by the owner, as is colsep: options that items have as well */
	const char *colsep;
	uint64_t block, records; /* 0: not given */
	const char *recstart, *recend;
};

extern const struct cli_opt feed_table[];

/* A block: in memory, or a range of the file. */
struct feed_block {
	struct block memory;
	uint64_t at, len;
	bool full; /* there is one */
};

/* What a job is fed. Embedded in the owner's job, zeroed. */
struct feed_job {
	struct pcore_job *job;
	struct feed_block block;
	enum { FEED_HEADER, FEED_BLOCK, FEED_MORE, FEED_END } step; /* what comes next */
	struct pcore_list waiting;				    /* for another block */
};

struct feed {
	const struct feed_opts *opts;
	struct pcore_loop *loop;
	struct pcore_op op;
	int fd;
	const char *name; /* of the file; NULL: standard input */
	struct records records;
	struct blocks blocks;
	struct ranges ranges;
	bool by_range;

	struct feed_block ahead;     /* nobody has it yet */
	struct feed_block *returned; /* by consumers that left without looking at them */
	size_t n_returned;
	struct pcore_list waiting; /* consumers */
	unsigned jobs, consumers;  /* so many may there be; were made so far */
	unsigned held;		   /* blocks with jobs */
	bool keep;		   /* a block until its job is done */
	bool ended, stopped;
	int error; /* what ended the input too early; told already */

	void *ctx;
	void (*more)(void *ctx); /* there is a block or its end, or room for one: ask again */
	void (*go_on)(struct pcore_job *job); /* there is a piece for a job that was told there is none, or its end */
};

/* Do the options go together? Open the input, cut as they say; fd is taken. CLI_GO, or a status after a message. delimiter:
 * of --delimiter or --null ("\\0"), or NULL. */
int feed_check(const struct feed_opts *o, const char *delimiter);
int feed_open(struct feed *f, const struct feed_opts *o, const char *delimiter, int fd, const char *name);

/* How large the jobs' pipes are best: for small blocks as they are (0). */
unsigned feed_pipe_size(const struct feed_opts *o);

/* Before the first job: so many run at a time; keep: a block that was read may be wanted again. 0, -ENOMEM. */
int feed_begin(struct feed *f, struct pcore_loop *lp, unsigned jobs, bool keep);
void feed_done(struct feed *f);

/* A block for a new job: 1; 0: none now, more() will be called; -ENODATA: there will be none. */
int feed_next(struct feed *f, struct feed_job *j, struct pcore_job *job);

/* For each attempt: it begins; the next piece of its input, and the end of that, as in struct pcore_local_spec. */
void feed_again(struct feed_job *j);
int feed_input(struct feed *f, struct feed_job *j, struct pcore_piece *ret);
void feed_input_over(struct feed *f, struct feed_job *j, uint64_t left);

/* The job is done with its block. */
void feed_forget(struct feed *f, struct feed_job *j);

/* No more consumers can be started: those that are there have to do. */
void feed_limited(struct feed *f);

/* So many run at a time from now on. Consumers that were started stay; once all were, there will be no more of them. */
void feed_resize(struct feed *f, unsigned jobs);

/* The input ends here and now. */
void feed_end(struct feed *f);

#endif
