/* SPDX-License-Identifier: MIT */
/*
 * progress.h - a line on stderr that says how far a run is.
 */
#ifndef PCORE_CLI_PROGRESS_H
#define PCORE_CLI_PROGRESS_H

#include "libcore/loop/loop.h"

enum cli_progress_style { CLI_PROGRESS_LINE, CLI_PROGRESS_BAR, CLI_PROGRESS_JSON };

struct cli_progress_state {
	uint64_t done, failed, total;
	bool total_known;
	unsigned running;
};

struct cli_progress {
	struct pcore_loop *loop;
	struct pcore_op timer;
	int64_t started_ns, drawn_ns;
	enum cli_progress_style style;
	bool colour;
	bool in_place; /* on a terminal: each line takes the place of the one before */
	bool shown;    /* the line is on the screen */
	bool stopped;
	void *ctx;
	struct cli_progress_state (*state)(void *ctx);
	bool (*writing)(void *ctx); /* is other output on its way to the terminal? The line then comes later. May be NULL */
};

/* Draw the line now and then until it is stopped. */
void cli_progress_start(struct cli_progress *p, struct pcore_loop *lp);

/* Take the line off the screen: something else is to be written there. It comes back by itself. */
void cli_progress_clear(struct cli_progress *p);

/* Draw it a last time and leave it there (in place: take it away). */
void cli_progress_stop(struct cli_progress *p);

/* The line without control characters: "12/40 done, 2 running, 1 failed, 3.4/s, 8s left", with a bar before it, or
 * {"done":12,"failed":1,"running":2,"total":40,"rate":3.4,"eta_s":8.2,"elapsed_s":3.5}. A line that does not fit is
 * cut. Pure. */
void cli_progress_text(
	char *buf, size_t size, const struct cli_progress_state *s, int64_t elapsed_ns, enum cli_progress_style style);

#endif
