/* SPDX-License-Identifier: MIT */
/*
 * onerror.h - a command that is run for each job that has failed for good.
 *
 * A pool of its own runs them, a few at a time, beside the jobs. What they write goes to our stderr, by whole lines.
 */
#ifndef PCORE_MAP_ONERROR_H
#define PCORE_MAP_ONERROR_H

#include "libcore/pool/pool.h"
#include "tools/cli/template.h"

enum { ON_ERROR_JOBS = 4 };

struct on_error;

struct on_error_spec {
	struct pcore_loop *loop;
	struct pcore_keeper *keeper; /* not owned */
	const char *command;	     /* for sh -c; the items are its arguments from $1 on */
	const char *tmpdir;
	void *ctx;
	void (*room)(void *ctx);	 /* look at on_error_has_room() again */
	void (*idle)(void *ctx);	 /* after on_error_close(): all have ended; once */
	void (*before_write)(void *ctx); /* something is about to be written to stderr */
};

/* CLI_GO, or a status after a message. */
int on_error_new(struct on_error **ret, const struct on_error_spec *spec);
void on_error_free(struct on_error *e); /* NULL is fine */

/* Should another job start, or do too many failed ones wait for their command? */
bool on_error_has_room(const struct on_error *e);

/* Run it, soon, with PCORE_SEQ and PCORE_EXIT set to these. 0, -ENOMEM. */
int on_error_add(struct on_error *e, uint64_t seq, int status, const struct cli_item *items, size_t n_items);

/* No more will be added. True: none is left; else idle() will say so. */
bool on_error_close(struct on_error *e);

/* Pass a signal on and start none that still waits; a second time: kill. */
void on_error_signal(struct on_error *e, int sig, bool again);

#endif
