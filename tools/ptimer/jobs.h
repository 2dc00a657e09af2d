/* SPDX-License-Identifier: MIT */
/*
 * jobs.h - ticks as runs of a command.
 */
#ifndef PCORE_PTIMER_JOBS_H
#define PCORE_PTIMER_JOBS_H

#include "libcore/pool/pool.h"
#include "tools/ptimer/ptimer.h"

struct jobs {
	const struct ptimer_opts *opts;
	struct pcore_keeper *keeper;
	struct pcore_executor *ex;
	struct pcore_pool *pool;
	struct pcore_list waiting; /* ticks that no job runs for yet */
	size_t n_waiting;
	struct pcore_list started; /* those that are in the pool */
	size_t n_started;
	bool drained; /* no more ticks come */
	bool ending;
	char *file;   /* the command's path, where it is known */
	char **env;
	size_t env_n;
	char env_text[3][40];

	bool failed; /* a job did, by itself */
	int status;  /* of the last job, -1: there was none */
	void *ctx;
	void (*idle)(void *ctx); /* after jobs_drain() or jobs_end(): the last job is over */
};

/* Set opts, ctx and idle before. CLI_GO, or a status after a message. */
int jobs_start(struct jobs *j, struct pcore_loop *lp);
void jobs_done(struct jobs *j);

/* Tick n: start a job, or what --overlap says. 0, -ENOMEM. */
int jobs_tick(struct jobs *j, uint64_t n);

/* No more ticks come. */
void jobs_drain(struct jobs *j);

/* No more jobs start, and those that run are asked to end (the second time: killed). */
void jobs_end(struct jobs *j);

#endif
