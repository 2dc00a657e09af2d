/* SPDX-License-Identifier: MIT */
/*
 * map.h - the verbs map and starmap, which ppool and psubmit have in common: a command over items, in order.
 */
#ifndef PCORE_MAP_H
#define PCORE_MAP_H

#include "libcore/pool/pool.h"
#include "tools/cli/collate.h"
#include "tools/cli/cpus.h"
#include "tools/cli/jobopts.h"
#include "tools/cli/progress.h"
#include "tools/cli/template.h"
#include "tools/map/call.h"
#include "tools/map/feed.h"
#include "tools/map/govern.h"
#include "tools/map/record.h"
#include "tools/map/source.h"
#include "tools/map/workers.h"

/* What an executor elsewhere has to know of a run. */
struct map_remote {
	struct pcore_loop *loop;
	const struct map_opts *opts;
	unsigned jobs; /* at a time; 0: not said */
	const char *file; /* where the command is; NULL: that is found out where it runs */
	const struct cli_template *template; /* complete when there is a job */
	bool many; /* a job may have several items */
	unsigned pipe_size; /* of the jobs' input; 0: as it is */
	/* The input of the jobs, or NULL: as struct pcore_cluster_spec has it. */
	void (*input_begin)(void *ctx, struct pcore_job *job);
	int (*input)(void *ctx, struct pcore_job *job, struct pcore_piece *ret);
	void (*input_over)(void *ctx, struct pcore_job *job, uint64_t left);
	bool in_turn;
	const struct pcore_worker_spec *worker; /* the jobs are items of these, or NULL */
	/* The arguments of a job for the template, or with whole all words of its command: to be freed. 0, -ENOMEM. */
	int (*args)(void *ctx, struct pcore_job *job, bool whole, char ***ret);
	void (*before_message)(void *ctx); /* something else is going to write to stderr */
	void (*give_up)(void *ctx);	   /* it cannot go on: 125, when what runs has ended */
	void *ctx;
};

/* The tool that maps. */
struct map_face {
	const char *tool; /* its name */
	const char *usage, *summary, *footer; /* of --help */
	const char *(*verb)(size_t i, const char **ret_summary); /* its verbs (opts.h) */
	bool calls; /* functions instead of commands: the verb call */

	/* Of one whose jobs run elsewhere, where their commands are looked for: */
	const struct cli_opt *table; /* its own options, or NULL */
	void *target;		     /* that they are written to */
	int (*check)(struct map_opts *o); /* CLI_GO, or a status after a message; fills in elsewhere and runs_again */
	/* Make the executor. CLI_GO, or a status after a message. m lives as long as it does. */
	int (*executor)(struct pcore_executor **ret, const struct map_remote *m);
	void (*ended)(struct pcore_executor *ex); /* its last job has ended; or NULL */
	void (*over)(void); /* it has been freed, and the loop has not */
	/* How many jobs run now, and how many could. */
	unsigned (*running)(const struct pcore_executor *ex);
	unsigned (*cpus)(const struct pcore_executor *ex);
	void (*feed)(struct pcore_job *job); /* as pcore_local_feed() */
	void (*resume_errors)(struct pcore_executor *ex, unsigned worker); /* as pcore_worker_resume_errors() */
	int (*status)(void); /* of a run that failed by itself; 0: none of its own */
	void (*cut_short)(int sig, const struct pcore_pool_counts *done); /* a signal has ended the run: say what was done. NULL: nothing */
};

/* Strings are borrowed from argv. */
struct map_opts {
	const struct map_face *face;
	struct cli_job_opts job;
	struct govern_opts govern;
	struct record_opts record;
	struct source_opts source;
	struct workers_opts workers;
	struct feed_opts feed;
	struct call_opts call;
	char **words; /* COMMAND and its arguments */
	size_t n_words;

	bool shell, unordered, live, raw, tag, dry_run, verbose;
	bool runs_again; /* a job may be lost where it runs, and run again: what it has written is held until then */
	bool elsewhere; /* jobs run on other machines: what is here means nothing to them */
	bool progress;
	enum cli_progress_style progress_style;
	uint64_t jobs, buffer;
	int64_t delay;
	struct pcore_pool_halt halt;
};

/* The verb argv[0] with the options and operands behind it. The status to exit with; dies of a signal itself where that is due. */
int map_main(const struct map_face *face, int argc, char **argv);

/* The same without a verb: --help and --version. */
int map_help(const struct map_face *face, int argc, char **argv);

/* Map the command over the items, as map_main() does when the options are read. */
int map_run(struct map_opts *opts);

#endif
