/* SPDX-License-Identifier: MIT */
/*
 * jobs.h - ticks as runs of commands: those of all timers of this process go through one dispatcher, and each timer's
 * --overlap decides which of its ticks get a job and when.
 */
#ifndef PCORE_PTIMER_JOBS_H
#define PCORE_PTIMER_JOBS_H

#include "libcore/pool/pool.h"
#include "tools/cli/collate.h"
#include "tools/ptimer/ptimer.h"

/* Where a command runs when that is not where ptimer does: what a client has sent. */
struct place {
	struct pcore_list link;
	unsigned refs;
	mode_t umask;
	const char *dir; /* in words, as the environment */
	char **env;	 /* in the same block */
	size_t n_env;
	size_t len; /* of words */
	char *words;
};

/* The jobs of one timer. */
struct timer_jobs {
	const struct ptimer_opts *opts;
	const char *name;    /* for messages; "": there is only one timer */
	struct place *place; /* NULL: ours */
	char *file;	     /* the command's path, where it is known; ours */
	struct pcore_proc_times times;

	struct pcore_list waiting; /* ticks that have to wait for the jobs before them */
	struct pcore_list started; /* those that run, or will as soon as the dispatcher has room */
	size_t n_waiting, n_started;

	uint64_t runs, failures; /* jobs that are over */
	int status;		 /* of the last one as a shell has it, -1: there was none */
	int signal;		 /* that it died of, or 0 */
};

struct jobs {
	struct pcore_keeper *keeper;
	struct pcore_executor *ex;
	struct pcore_pool *pool;
	struct cli_collator *collator; /* NULL: the jobs write by themselves */
	bool small;		       /* memory counts more than speed */
	struct pcore_list ready;       /* to be started */
	size_t n;		       /* ticks that have a job, or wait for one */
	bool drained; /* no more ticks come */
	bool ending;
	bool over;   /* and the last job is */
	bool failed; /* a job did, by itself */
	char **env;  /* of the job that is being started */
	char env_text[3][40];
	struct pcore_proc_limit limits[PCORE_PROC_LIMITS_MAX + 1];
	struct rlimit fds; /* ours at the start, which the jobs get; rlim_cur 0: it was left alone */

	void *ctx;
	void (*job_over)(void *ctx, struct timer_jobs *of); /* of may be freed, if it has none any more */
	void (*idle)(void *ctx);			    /* after jobs_drain() or jobs_end(): the last job is over */
};

/* Set ctx, the functions and collator before; at most max run at a time. CLI_GO, or a status after a message. */
int jobs_start(struct jobs *j, struct pcore_loop *lp, unsigned max);
void jobs_done(struct jobs *j);

void timer_jobs_init(struct timer_jobs *of, const struct ptimer_opts *opts, const char *name);
void timer_jobs_done(struct timer_jobs *of); /* with none left */

/* Look the command up, so that one that cannot be run is known at once. CLI_GO, or a status after a message. */
int timer_jobs_find(struct timer_jobs *of);

/* Tick n: start a job, or what --overlap says. 1, 0 when it is skipped, -ENOMEM. */
int jobs_tick(struct jobs *j, struct timer_jobs *of, uint64_t n);

/* The timer is taken away: those of its ticks that wait are forgotten. What runs goes on. */
void jobs_forget(struct jobs *j, struct timer_jobs *of);

/* End what runs of the timer, too. */
void jobs_end_timer(struct jobs *j, struct timer_jobs *of);

/* No more ticks come. */
void jobs_drain(struct jobs *j);

/* No more jobs start, and those that run are asked to end (the second time: killed). */
void jobs_end(struct jobs *j);

/* A job whose output was refused may go on. */
void jobs_resume(struct jobs *j, void *owner);

#endif
