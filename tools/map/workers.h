/* SPDX-License-Identifier: MIT */
/*
 * workers.h - map --worker: the options, the executor they ask for, and what there is to tell of it.
 */
#ifndef PCORE_MAP_WORKERS_H
#define PCORE_MAP_WORKERS_H

#include "libcore/pool/pool.h"
#include "tools/cli/collate.h"
#include "tools/cli/opts.h"

/* Strings are borrowed from argv. */
struct workers_opts {
	bool worker, pty;
	bool frames, frames_out;
	bool status; /* frames begin with the item's status: no option, but how `call' talks to its processes */
	uint64_t n_lines; /* 0: not given */
	const char *until, *init;
	uint64_t max_items, window; /* 0: not given */
	int64_t idle_timeout, answer_timeout;
};

extern const struct cli_opt workers_table[];

void workers_opts_init(struct workers_opts *o);

/* Do the options go together? CLI_GO, or CLI_FAILURE after a message. */
int workers_check(const struct workers_opts *o);

/* How many unanswered items each may have. */
unsigned workers_window(const struct workers_opts *o);

struct workers {
	const struct workers_opts *opts;
	struct pcore_executor *ex;   /* the pool's */
	struct cli_collator *errors; /* what they write to stderr, line by line */
	struct cli_output **outputs; /* a slot's, or NULL */
	unsigned n_outputs;
	int64_t answer_timeout; /* what holds of --answer-timeout and --timeout */
	bool failed;	   /* one did, besides its items */
	bool told_slow;
	bool elsewhere; /* they are on other machines, whose names are told */
	int ended_by; /* the signal that ended us and was passed on to them: that one is no news */
	void *ctx;
	void (*before_message)(void *ctx);
	void (*give_up)(void *ctx);
	void (*all_told)(void *ctx); /* look at workers_all_told() again */
	void (*describe)(void *ctx, unsigned slot, struct pcore_proc_spec *spec);
	int (*item)(void *ctx, const struct pcore_job *job, const char **ret, size_t *ret_len);
	void (*resume_errors)(struct pcore_executor *ex, unsigned worker);
};

/* What an executor has to know; what the callbacks above say is filled in. 0, -ENOMEM. */
int workers_prepare(struct workers *w, struct pcore_loop *lp, const struct pcore_proc_times *times, const char *tmpdir,
	struct pcore_worker_spec *ret);

/* And make one, for this machine. 0, or -errno with err. */
int workers_start(struct workers *w, struct pcore_loop *lp, struct pcore_keeper *keeper, unsigned jobs,
	const struct pcore_proc_times *times, const char *tmpdir, struct pcore_err *err);
bool workers_all_told(const struct workers *w); /* is all written that they wrote to stderr? */
void workers_drop(struct workers *w);		  /* forget what is not */
void workers_done(struct workers *w);

/* An item could not be sent, for the reason in its result. Says why. */
void workers_refused(const struct pcore_job *job);

#endif
