/* SPDX-License-Identifier: MIT */
/*
 * work.h - pqueue work: items are leased, a command runs for each, and what becomes of it becomes of the item.
 *
 *   queue -- take, when a slot is free --> job --> pool --> local executor
 *   queue <-- ack, nack, untake, bury ---- settle <-- done
 */
#ifndef PCORE_PQUEUE_WORK_H
#define PCORE_PQUEUE_WORK_H

#include "libcore/pool/pool.h"
#include "tools/cli/collate.h"
#include "tools/cli/jobopts.h"
#include "tools/cli/signals.h"
#include "tools/cli/template.h"
#include "tools/pqueue/pqueue.h"

enum { WORK_ENV = 4 };

/* Strings are borrowed from argv. */
struct work_opts {
	struct cli_job_opts job;
	const char *name;
	char **words; /* COMMAND and its arguments */
	size_t n_words;

	bool once, shell;
	uint64_t jobs, attempts, buffer;
	int64_t backoff, backoff_max, lease;
};

/* An item while we have its lease. */
struct work_job {
	struct pcore_job job;
	struct pcore_list link;
	struct cli_output *output;
	uint64_t id;
	uint32_t attempt; /* of the lease */
	uint32_t tries;
	bool fed;  /* its standard input was given out */
	bool lost; /* the lease has ended */
	size_t len;
	char data[]; /* with a NUL behind */
};

struct work {
	const struct work_opts *opts;
	struct pcore_queue *queue;
	struct pcore_loop *loop;
	struct pcore_keeper *keeper;
	struct pcore_pool *pool;
	struct cli_collator *collator;
	struct cli_template *template;
	struct cli_signals signals;
	struct pcore_queue_watch watch;
	struct pcore_op touch_op, reader_op;
	struct pcore_err err;

	char *file; /* the command's path, when it is known */
	char **env;
	size_t env_n;
	char env_text[WORK_ENV][40];
	char **argv; /* of the attempt that is being started */
	struct pcore_proc_limit limits[PCORE_PROC_LIMITS_MAX + 1];
	size_t n_limits;
	unsigned jobs;

	uint64_t holder;
	struct pcore_buf buf; /* where an item is read into */
	struct pcore_list held; /* all jobs */
	uint64_t died, returned; /* items that we buried; whose commands failed and that went back */
	bool watch_started, watch_armed;
	bool over; /* no job is left, and none will come */
	bool reader_gone;
	int ended_by; /* INT, TERM or QUIT */
	int status;   /* why we failed, or CLI_GO */
};

/* ---- settle.c: the end of a lease ---- */

/* An item that was taken more often than may be died with its workers: bury it. True: it is gone. */
bool work_taken_too_often(struct work *w, const struct work_job *j);

/* An item that no command can be run with dies at once. */
void work_refuse(struct work *w, const struct work_job *j, const char *reason);

/* Its job is over, or was never begun. */
void work_settle(struct work *w, const struct work_job *j);

/* How long to keep an item back after this attempt (from 1): random is any number. Pure. */
int64_t work_backoff(int64_t first, int64_t max, uint32_t attempt, uint64_t random);

/* Why an attempt failed, in words. */
enum { WORK_REASON_MAX = 1024 };
void work_reason(char buf[static WORK_REASON_MAX], const struct pcore_job_result *r, int64_t timeout, const char *command);

/* The queue itself is of no use any more: say so, and stop. */
void work_fail(struct work *w, const char *what, int error);

/* ---- work.c ---- */

int work_run(const struct work_opts *o);

#endif
