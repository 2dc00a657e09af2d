/* SPDX-License-Identifier: MIT */
/*
 * govern.h - what holds new jobs back, and a file that says how many may run.
 *
 * The governor compares figures of the kernel with what it was asked to keep, and tells its owner when to hold new jobs
 * and when to go on. It does so four times a second, and whenever govern_look() is called; it looks at the file in the
 * same rhythm, because that is right for whatever happens to the file: another one renamed over it, a link that is moved, a
 * directory of another machine. With nothing to govern it has no timer.
 *
 *   FREE  -busy->  HELD  -a job was kept waiting for a second->  TOLD  -not busy->  FREE
 */
#ifndef PCORE_MAP_GOVERN_H
#define PCORE_MAP_GOVERN_H

#include "libcore/loop/loop.h"
#include "tools/cli/opts.h"

enum govern_resource { GOVERN_CPU, GOVERN_MEMORY, GOVERN_IO, GOVERN_RESOURCES };

struct govern_opts {
	uint64_t memfree; /* bytes that have to be available; 0: any number will do */
	uint64_t load;	  /* fewer threads than this have to be runnable; 0: any number will do */
	struct {
		bool given;
		double percent; /* not more than this */
	} pressure[GOVERN_RESOURCES];
	const char *jobs_file; /* holds the number of jobs; NULL: none */
};

extern const struct cli_opt govern_table[];

enum govern_state { GOVERN_FREE, GOVERN_HELD, GOVERN_TOLD };

/* Fill in proc to before_message and zero the rest. */
struct govern {
	const char *proc; /* where the kernel's figures are: /proc */
	const struct govern_opts *opts;
	void *ctx;
	void (*hold)(void *ctx, bool hold);
	bool (*kept_waiting)(void *ctx); /* is there a job that would have been started if it were not for hold()? */
	void (*jobs_changed)(void *ctx, uint64_t jobs); /* the file has another number now */
	void (*before_message)(void *ctx);

	struct pcore_loop *loop; /* NULL: not started, or stopped */
	struct pcore_op timer;
	enum govern_state state;
	int64_t looked_ns;
	int64_t since_ns; /* how long a job was kept waiting by this hold */
	unsigned cpus;	  /* what % and + in the file refer to */
	uint64_t file_jobs;
	int file_error; /* what was wrong with the file last time, 0 or -errno */
	bool file_error_told;
};

/* Before the start: read the file for the first time, into *ret, when there is one, and every figure that is asked for.
 * CLI_GO, or a status after a message. */
int govern_prepare(struct govern *g, uint64_t *ret_jobs);

/* Begin. hold() may be called before it returns. */
void govern_start(struct govern *g, struct pcore_loop *lp);

/* No more calls to the owner. The timer comes home with a later turn. Does nothing to one that was not started. */
void govern_stop(struct govern *g);

/* A job started or ended: look at the figures now, unless that was done just before. */
void govern_look(struct govern *g);

#endif
