/* SPDX-License-Identifier: MIT */
/*
 * record.h - what a run leaves behind: the log, the results, the commands run for failures; and how a log is resumed.
 *
 * A job is written down when it has finished: its result first, and its line in the log when its output is written. A job that
 * was cut short, because the tool was ended or halted, is not: a resumed run does it again. All functions take NULL for a run that keeps no record.
 */
#ifndef PCORE_MAP_RECORD_H
#define PCORE_MAP_RECORD_H

#include "tools/cli/collate.h"
#include "tools/cli/opts.h"
#include "tools/cli/report.h"
#include "tools/map/results.h"

struct map_opts;
struct record;

/* Strings are borrowed from argv. */
struct record_opts {
	const char *log, *log_json, *results, *on_error;
	bool resume, resume_failed;
};

extern const struct cli_opt record_table[];

/* Do the options go together, these and those of the whole? CLI_GO or a status. */
int record_check(const struct map_opts *o);

/* How many descriptors are needed: as much more altogether, and for each job. */
void record_fds(const struct record_opts *o, size_t *ours, size_t *a_job);

struct record_spec {
	const struct map_opts *opts;
	struct pcore_loop *loop;
	struct pcore_keeper *keeper;
	const char *tmpdir;
	void *ctx;
	/* A job's command, with slot 0 the one that does not tell the slot; valid until the next call. NULL without memory. */
	char *const *(*argv)(void *ctx, struct pcore_job *job, unsigned slot);
	void (*before_message)(void *ctx);
	void (*lost)(void *ctx); /* a result cannot be kept: stop */
	void (*room)(void *ctx); /* look at record_has_room() again */
	void (*idle)(void *ctx); /* after record_close() said no */
};

/* What is kept of one job while it runs. Embedded in the owner's job. */
struct record_job {
	const struct cli_item *items; /* borrowed */
	size_t n_items;
	uint64_t sent;	   /* bytes of its stdin */
	uint64_t bytes[2]; /* of its output */
	struct results_job results;
	bool lost; /* its result is not complete */
	struct cli_attempt *attempts;
	size_t n_attempts;
};

/* Read the log of the run that is resumed, open what is written to. CLI_GO with *ret (NULL where nothing was asked for),
 * or a status after a message; then nothing has been changed that matters. */
int record_open(struct record **ret, const struct record_spec *spec);
void record_free(struct record *r);

/* The highest number that the log of the run to be resumed has: so far jobs have to be checked before any is started. */
uint64_t record_last(const struct record *r);

/* Is this job, numbered but not started, to be run? 1, 0: the log has it; < 0 after a message: it is another one there. */
int record_admit(struct record *r, struct pcore_job *job);

/* The input ended after so many jobs, and the log has more. */
void record_ends_early(struct record *r, uint64_t seq);

bool record_has_room(const struct record *r); /* for another job to start */

void record_job_init(struct record_job *j, const struct cli_item *items, size_t n_items);
void record_job_done(struct record_job *j);

void record_started(struct record *r, struct record_job *j, const struct pcore_job *job);
/* True: it is kept, and nothing is to be printed. */
bool record_output(struct record *r, struct record_job *j, enum pcore_job_stream stream, const char *data, size_t len);
void record_again(struct record *r, struct record_job *j, const struct pcore_job *job);
/* Its line of the log waits for the output (NULL: there is none), so that what the log has is never lost: record_written(). */
void record_done(struct record *r, struct record_job *j, struct pcore_job *job, struct cli_output *output);
void record_written(struct record *r, const char *lines, size_t len);

void record_signal(struct record *r, int sig, bool again); /* we are to end */

/* The pool is idle. True: so are we; else idle() will say so. */
bool record_close(struct record *r);

bool record_failed(const struct record *r); /* something could not be written down */

#endif
