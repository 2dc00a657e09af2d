/* SPDX-License-Identifier: MIT */
/*
 * run.h - a run of map, as those who run it share it.
 */
#ifndef PCORE_MAP_RUN_H
#define PCORE_MAP_RUN_H

#include "tools/cli/signals.h"
#include "tools/cli/template.h"
#include "tools/map/map.h"

enum { ENV_EXTRA = 3 };

struct map_job {
	struct pcore_job job;
	struct feed_job feed; /* with --pipe; there are no items then */
	struct call_job call; /* with call, and a block: none either */
	struct cli_item *items;
	size_t n_items;
	struct cli_output *output; /* NULL with --raw and --results */
	struct record_job record;
};

struct map {
	const struct map_opts *opts;
	struct pcore_loop *loop;
	struct pcore_keeper *keeper;
	struct pcore_executor *ex;
	struct pcore_pool *pool;
	struct cli_collator *collator;
	struct cli_template *template;
	struct cli_fill *fill;
	struct map_remote remote;
	struct source source;
	struct workers workers;
	struct pcore_worker_spec worker_spec; /* of those elsewhere */
	struct feed feed;
	struct call call;
	struct cli_signals signals;
	struct cli_progress progress;
	struct govern govern;
	struct pcore_op reader_op; /* tells when nobody reads our stdout any more */
	struct pcore_err err;

	char *file; /* the command's path, when it is known */
	char **env;
	size_t env_n;
	char env_text[ENV_EXTRA][40];
	char **argv; /* of the attempt that is being started */
	struct pcore_proc_limit limits[PCORE_PROC_LIMITS_MAX + 1];
	size_t n_limits;
	size_t fds_ours, fds_a_job, fds_a_result;
	unsigned jobs;
	bool jobs_said;	/* by the user, not by what there is */
	uint64_t seq;		/* of the last job that was made */
	struct record *record;
	struct pcore_spare spare; /* for jobs */
	struct pcore_list held; /* jobs to be run once all that the log has are checked */
	uint64_t held_bytes, skipped;

	bool over;	   /* no job is left, and none will come */
	bool failed;	   /* we did: 125 */
	bool reader_gone;
	bool hung_up;	   /* HUP came */
	bool left;	   /* and there was input that no job had got */
	int ended_by;	   /* INT, TERM or QUIT; in the end HUP, when something was left undone */
};

/* Find the command, and open the source or the feed: CLI_GO, or a status after a message. */
int map_prepare_command(struct map *m);
int map_open_source(struct map *m);

/* Make m->ex, for jobs here (0, or -errno and m->err) or elsewhere (CLI_GO, or a status after a message; it is there all the same
 * when it has begun). */
int map_make_executor(struct map *m);
int map_make_remote(struct map *m);
void map_show_command(struct map *m); /* with --verbose */

/* What happens to a run, for those who tell it; ctx is a struct map. */
void map_more_items(void *ctx);
void map_before_message(void *ctx); /* something is going to be written to stderr */
/* Signals are heeded as long as somebody may have enough of waiting for us: until all is written. */
void map_stop_signals(void *ctx);

const char *map_tmpdir(void);

/* Fill the command in for a job: m->argv. 0, -ENOMEM. */
int map_expand(struct map *m, const struct map_job *j, uint64_t seq, unsigned slot);

/* How many jobs at a time: as descriptors and processes here allow (tell: say so if they are fewer), with jobs elsewhere; and how
 * many more may have exited without being over. */
unsigned fit_limits(struct map *m, uint64_t wanted, bool tell);
unsigned fit_remote(const struct map *m, uint64_t wanted);
unsigned fit_lingering(const struct map *m);

/* The next job, as the pool asks for it (ctx is a struct map), and the end of one. */
int map_next(void *ctx, struct pcore_job **ret);
void map_job_free(struct map *m, struct map_job *j);

#endif
