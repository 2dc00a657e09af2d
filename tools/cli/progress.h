/* SPDX-License-Identifier: MIT */
/*
 * progress.h - one line on stderr that says how far a run is.
 */
#ifndef PCORE_CLI_PROGRESS_H
#define PCORE_CLI_PROGRESS_H

#include "libcore/loop/loop.h"

struct cli_progress_state {
	uint64_t done, failed, total; /* total 0: not known */
	unsigned running;
};

struct cli_progress {
	struct pcore_loop *loop;
	struct pcore_op timer;
	int64_t started_ns, drawn_ns;
	bool bar, colour, terminal;
	bool shown; /* the line is on the screen */
	bool stopped;
	void *ctx;
	struct cli_progress_state (*state)(void *ctx);
};

/* Draw the line now and then until it is stopped. */
void cli_progress_start(struct cli_progress *p, struct pcore_loop *lp);

/* Take the line off the screen: something else is to be written there. It comes back by itself. */
void cli_progress_clear(struct cli_progress *p);

/* Draw it a last time and leave it there (on a terminal: take it away). */
void cli_progress_stop(struct cli_progress *p);

/* The line without control characters: "12/40 done, 2 running, 1 failed, 3.4/s, 8s left". Pure. */
void cli_progress_text(char *buf, size_t size, const struct cli_progress_state *s, int64_t elapsed_ns, bool bar);

#endif
