/* SPDX-License-Identifier: MIT */
/*
 * evloop.h - the loop that users see, between its files.
 */
#ifndef PCORE_API_EVLOOP_H
#define PCORE_API_EVLOOP_H

#include <pcore/timer.h>

#include <pthread.h>

#include "libcore/base/base.h"
#include "libcore/loop/loop.h"

struct pcore_evloop {
	struct pcore_loop *loop;
	pthread_t owner;
	struct pcore_list sources; /* watches and timers */
	struct pcore_op wake, limit;
	unsigned n_active; /* sources that something can come of */
	unsigned called;   /* callbacks of this turn */
	bool stop, running, embed;
};

/* What a watch and a timer have in common; embedded first. */
struct evsource {
	struct pcore_evloop *lp;
	struct pcore_list link;
	struct pcore_op op;
	bool active, stopped, calling;
};

/* May this thread do something with it? 0, -EPERM. */
int pcore_evloop_enter(const struct pcore_evloop *lp);

void pcore_evloop_add(struct pcore_evloop *lp, struct evsource *s);
void pcore_evloop_rest(struct evsource *s); /* nothing will come of it any more */

/* Before and after a callback. False: it was stopped meanwhile and is gone. */
void pcore_evloop_call(struct evsource *s);
bool pcore_evloop_called(struct evsource *s);

/* Its op has come home. False: it was stopped and is gone. */
bool pcore_evloop_home(struct evsource *s);

void pcore_evloop_drop(struct evsource *s); /* stop it; it is freed as soon as can be */

/* Something was started from outside a turn. */
void pcore_evloop_news(struct pcore_evloop *lp);

#endif
