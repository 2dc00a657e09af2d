/* SPDX-License-Identifier: MIT */
/*
 * runner.h - the timers of this process and the one loop that they run in.
 *
 *   agenda.c   what is due next
 *   timer.c    one timer's schedule, zone and clock
 *   jobs.c     the runs of commands
 *   reload.c   the table that timers come from
 *   keep.c     what outlives the process: its state
 *   control.c  what others ask of timers that have a name
 *   run.c      what a tick does, signals, the end
 */
#ifndef PCORE_PTIMER_RUNNER_H
#define PCORE_PTIMER_RUNNER_H

#include "tools/cli/jobs.h"
#include "tools/cli/signals.h"
#include "tools/ptimer/control.h"
#include "tools/ptimer/jitter.h"
#include "tools/ptimer/lines.h"
#include "tools/ptimer/localtime.h"
#include "tools/ptimer/timer.h"

struct background;

struct runner {
	const struct ptimer_opts *opts;	/* of the command line */
	struct background *background;	/* NULL: nobody knows us by a name */
	struct pcore_loop *loop;
	struct agenda agenda;
	struct timer_zones zones;
	struct timer_clocks clocks;
	struct pcore_list timers; /* in the order of entry, with those that are over */
	struct pcore_list retired;
	struct pcore_list parked; /* due, but the reader of their lines is slow */
	struct pcore_map by_name;
	size_t n_pending;	  /* timers that have a tick to come */
	uint32_t entries;
	uint64_t last_id;	  /* that enter has given */
	uint64_t random;
	char machine[JITTER_MACHINE_SIZE]; /* once somebody has asked */
	struct state state;		   /* where opts->state */

	bool uses_lines, uses_jobs;
	struct lines lines;
	struct cli_collator *collator;
	struct jobs jobs;
	struct cli_signals signals;
	struct localtime localtime;
	struct control control;
	struct pcore_op turn_op; /* look at everything again, soon */

	bool ending;	/* no tick will be made any more */
	bool stopped;	/* and nothing is left to wait for */
	bool failed;	/* we did: 125 */
	bool cancelled;	/* by ptimer cancel, or before the only tick */
	int die_of;
};

/* A new timer, which begins now. CLI_GO, or a status after a message; lenient: one that has nothing to come is told and entered
 * all the same, and is over. */
int runner_add(struct runner *r, const struct ptimer_opts *opts, const char *name, int priority, bool lenient, struct timer **ret);

/* Take a timer away. What runs goes on. */
void runner_remove(struct runner *r, struct timer *t);

struct timer *runner_find(const struct runner *r, const char *name);

/* Make a tick now. 1, 0 when --overlap skips it, -errno. */
int runner_trigger(struct runner *r, struct timer *t);

/* End all, as by TERM; the status will say so. */
void runner_cancel(struct runner *r);

/* Make the tick that was due then, and plan the next. */
void runner_tick(struct runner *r, struct timer *t, int64_t due_wall);

/* Tell it once, and end: 125. */
void runner_fail(struct runner *r, const char *what, int error);

/* Something may be due, or over: look soon. */
void runner_turn_soon(struct runner *r);

/* keep.c: open the state, if there is one. CLI_GO, or a status after a message. */
int keep_open(struct runner *r);

/* What is known of the timer, before it begins; and that it begins. CLI_GO, or a status after a message. */
int keep_find(struct runner *r, struct timer *t);
int keep_begin(struct runner *r, const struct timer *t);

/* Record the tick; runner_tick() follows, for timers that are not kept at once. */
void keep_tick(struct runner *r, struct timer *t, int64_t due_wall);

/* By how much the next tick is made later. */
int64_t keep_jitter(struct runner *r, const struct timer *t);

/* reload.c: the timers of a table. CLI_GO, or a status after a message; and do it again, where mistakes change nothing. */
int table_load(struct runner *r);
void table_reload(struct runner *r);

#endif
