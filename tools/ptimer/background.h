/* SPDX-License-Identifier: MIT */
/*
 * background.h - timers that have a name: their directory timers/NAME/ in the runtime directory (tools/cli/jobs.h), and the
 * process that keeps them, in the background or in the foreground.
 *
 *   socket   where control.c listens
 *   list     what it would answer when asked for the list, written at the end
 */
#ifndef PCORE_PTIMER_BACKGROUND_H
#define PCORE_PTIMER_BACKGROUND_H

#include "tools/cli/jobs.h"
#include "tools/ptimer/ptimer.h"

struct runner;

struct background {
	char *name; /* owned */
	int dfd, lock_fd;
	int ready_fd; /* where the caller waits; -EBADF in the foreground */
	bool detached;
	struct cli_log logs[2]; /* stdout and stderr, when detached */
};

/* Run under o's name, or one that is made up, and there where o says. The status to leave with; *ret_die_of: or the signal. */
int background_run(const struct ptimer_opts *o, int *ret_die_of);

/* All is set up, or is not: in the background let go of the caller and tell it. */
void background_ready(struct background *b, int status);

/* The end: leave word of it. */
void background_end(struct background *b, struct runner *r, int status);

/* A sink of the collator, ctx being the runner: into the log. */
int background_log(void *ctx, int fd, const char *data, size_t len);

#endif
