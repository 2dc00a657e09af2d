/* SPDX-License-Identifier: MIT */
/*
 * agenda.h - what is due next, on three clocks. What is due at the same time comes by priority, the lowest number first, then in
 * the order of entry.
 */
#ifndef PCORE_PTIMER_AGENDA_H
#define PCORE_PTIMER_AGENDA_H

#include "libcore/loop/loop.h"

enum agenda_clock { AGENDA_WALL, AGENDA_BOOTTIME, AGENDA_MONOTONIC, AGENDA_CLOCKS };

/* Embedded in what is due. */
struct agenda_item {
	struct pcore_heap_node node;
	enum agenda_clock clock;
	int priority;
	uint32_t entry; /* from 1 */
};

struct agenda_side {
	struct pcore_heap heap;
	struct pcore_op op;
	int64_t armed; /* the time that op waits for */
	struct agenda *agenda;
};

struct agenda {
	struct pcore_loop *loop;
	struct agenda_side sides[AGENDA_CLOCKS];
	void *ctx;
	void (*due)(void *ctx);		       /* something may be */
	void (*failed)(void *ctx, int error);  /* no timer can be set */
};

/* Set ctx and the functions before. */
void agenda_init(struct agenda *a, struct pcore_loop *lp);
void agenda_done(struct agenda *a);

int64_t agenda_now(enum agenda_clock clock);

/* The time is on item->clock. 0, -ENOMEM. */
int agenda_add(struct agenda *a, struct agenda_item *item, int64_t at);
void agenda_remove(struct agenda *a, struct agenda_item *item); /* also one that is not there */

static inline bool agenda_has(const struct agenda_item *item)
{
	return pcore_heap_linked(&item->node);
}

/* Take the first that is due, or NULL. Over the clocks, the one that is later by more comes first. */
struct agenda_item *agenda_take(struct agenda *a);

/* Wait for what comes first: due() follows. Nothing is waited for when there is nothing. */
void agenda_wait(struct agenda *a);

void agenda_stop(struct agenda *a); /* the ops come home */

#endif
