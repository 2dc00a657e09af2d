/* SPDX-License-Identifier: MIT */
/*
 * timer.h - one timer: what schedule.c says is due, on the clock that it belongs to.
 */
#ifndef PCORE_PTIMER_TIMER_H
#define PCORE_PTIMER_TIMER_H

#include "tools/ptimer/agenda.h"
#include "tools/ptimer/jobs.h"
#include "tools/ptimer/schedule.h"
#include "tools/ptimer/state.h"

/* The zone of timers that name none, and those that they name. */
struct timer_zones {
	struct ptimer_zones named;
	struct pcore_zone *common; /* NULL: nobody has asked for it */
	bool is_local;		   /* it is that of the system, and may become another */
};

/* How far the wall clock is from the others. */
struct timer_clocks {
	int64_t offset[AGENDA_CLOCKS];
};

struct timer {
	const struct ptimer_opts *opts;
	const char *name; /* "": it is the only one */
	uint64_t id;	  /* that enter has given it, 0: none */
	void *owner;	  /* of opts and name, freed by */
	void (*free_owner)(void *owner);
	struct schedule schedule;
	const struct pcore_zone *zone;
	bool common_zone;
	bool over;    /* no tick is due any more */
	bool retired; /* taken away: it lasts only as long as its jobs run */
	uint64_t n;   /* ticks made, also those that were asked for */
	int64_t jitter; /* of the tick to come */
	char *key;	/* that it is known by from one process to the next; NULL: nobody asks for it */
	bool kept;	/* its ticks are recorded */
	bool resumed;	/* another process has dealt with what was due up to */
	int64_t resume_wall;
	bool recording; /* its tick is due, and will be made when the record is on the disk */
	int64_t recording_wall;
	struct state_wait wait;
	struct agenda_item item;
	struct pcore_list link;	  /* in the order of entry */
	struct pcore_list parked; /* in the list of those that wait for the reader of their lines */
	struct pcore_map_node by_name;
	struct timer_jobs jobs;
};

/* The zone for the options. CLI_GO, or a status after a message. */
int timer_zone(struct timer_zones *z, const struct ptimer_opts *o, const struct pcore_zone **ret, bool *ret_common);
void timer_zones_done(struct timer_zones *z);

/* Make its key: the name, or the verb with its operand. 0, -ENOMEM, -EINVAL when that can be none. */
int timer_make_key(struct timer *t);

/* Begin now. t is zeroed but for opts, name, zone, kept and what it is resumed from. CLI_GO, or a status after a message: CLI_NO when nothing will ever be due,
 * CLI_FAILURE when that has passed. */
int timer_begin(struct timer *t, struct timer_clocks *clocks);

/* The time on the timer's clock as wall-clock time. */
int64_t timer_wall(const struct timer *t, struct timer_clocks *clocks, int64_t time);

/* Another zone is meant. */
void timer_set_zone(struct timer *t, const struct pcore_zone *zone);

/* Up to when everything is dealt with that is due before the first tick: for timers that are kept. */
int64_t timer_begun_wall(const struct timer *t, struct timer_clocks *clocks);

/* When the next tick is due, on its clock. 0, or -ENOENT when there is none. */
int timer_next(const struct timer *t, int64_t *ret_due);

/* "2026-11-26T14:30:00.000000+01:00", in the timer's zone. */
const char *timer_text(const struct timer *t, int64_t wall, char buf[static PCORE_WALL_TEXT_MAX]);

static inline bool timer_is_once(const struct timer *t)
{
	return t->schedule.kind == SCHEDULE_ONCE;
}

#endif
