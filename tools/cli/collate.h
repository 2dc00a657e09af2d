/* SPDX-License-Identifier: MIT */
/*
 * collate.h - the outputs of jobs that run at the same time, written to stdout and stderr one after the other.
 *
 * Each job has a struct cli_output with two streams that are kept apart. What may not be written yet is held in memory up
 * to a limit, then in one unlinked file in $TMPDIR; when that file cannot take more, jobs are held back (add() says so).
 *
 *   ordered    in the order the outputs were made; the first one streams through as it comes
 *   unordered  in the order they finish
 *   live       every line when it is complete
 *   through    every byte as it comes
 *
 * In the first two a job's stdout is written first, then its stderr. One write is in flight at a time; nothing blocks.
 */
#ifndef PCORE_CLI_COLLATE_H
#define PCORE_CLI_COLLATE_H

#include "libcore/loop/loop.h"

enum cli_collate_mode { CLI_ORDERED, CLI_UNORDERED, CLI_LIVE, CLI_THROUGH };

struct cli_collator;
struct cli_output;

struct cli_collator_spec {
	struct pcore_loop *loop;
	enum cli_collate_mode mode;
	uint64_t buffer; /* bytes held in memory */
	size_t window;	 /* outputs that may wait while the reader is the one who is slow */
	bool hold;	 /* an output may yet be forgotten (retries): write none before it is finished */
	const char *tmpdir;
	void *ctx;
	void (*resume)(void *ctx, void *owner);	     /* an output that was refused may go on */
	void (*room)(void *ctx);		     /* an output has left, or all there was is written: look at has_room() again */
	void (*failed)(void *ctx, int fd, int error); /* cannot write to 1 or 2 (-EPIPE: nobody reads); what follows is dropped */
	void (*before_write)(void *ctx);	     /* may be NULL */
	void (*noted)(void *ctx, const char *notes, size_t len); /* of one or more outputs, see cli_output_note() */
	/* Where it goes instead of 1 and 2, at once; NULL. 0 or -errno. */
	int (*sink)(void *ctx, int fd, const char *data, size_t len);
};

int cli_collator_new(struct cli_collator **ret, const struct cli_collator_spec *spec);
void cli_collator_free(struct cli_collator *c); /* with no write in flight */

/* May another job start, or is enough waiting? */
bool cli_collator_has_room(const struct cli_collator *c);

/* Is everything written? */
bool cli_collator_empty(const struct cli_collator *c);

/* Is something on its way to the screen, which nothing may get between? */
bool cli_collator_writing(const struct cli_collator *c);

/* Forget all that is not written yet, and refuse nothing any more: the run is over. */
void cli_collator_drop(struct cli_collator *c);

/* A new output; with a tag, each of its lines begins with tag and a TAB. NULL without memory. */
struct cli_output *cli_output_new(struct cli_collator *c, void *owner, const char *tag);

/* Take bytes of stream 0 (stdout) or 1 (stderr). False: no more for now, resume() follows. */
bool cli_output_add(struct cli_output *o, int stream, const char *data, size_t len);
void cli_output_forget(struct cli_output *o); /* what was added, where it is not written yet */
void cli_output_finish(struct cli_output *o); /* there will be no more; o belongs to the collator */

/* What noted() gets when all of o is written, and never when its stdout could not be; when it has nothing to write, as soon as it
 * finishes. At most once, before it finishes. 0 or -ENOMEM. */
int cli_output_note(struct cli_output *o, const char *note, size_t len);

/* A new file in dir that has no name, for reading and writing; close-on-exec. The descriptor or -errno. */
int cli_unnamed_file(const char *dir);

/* Copy data to dst with prefix before each line that begins in it; *mid_line says whether the last byte of what came
 * before was no newline. 0 or as pcore_buf_add(). */
int cli_prefix_lines(struct pcore_buf *dst, bool *mid_line, const char *prefix, size_t prefix_len, const char *data, size_t len);

#endif
