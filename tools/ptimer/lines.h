/* SPDX-License-Identifier: MIT */
/*
 * lines.h - ticks as lines on standard output, one write at a time.
 */
#ifndef PCORE_PTIMER_LINES_H
#define PCORE_PTIMER_LINES_H

#include "libcore/loop/loop.h"

enum { LINE_MAX_SIZE = 240 };

struct lines {
	struct pcore_loop *loop;
	struct pcore_op write_op, reader_op;
	char text[LINE_MAX_SIZE];
	size_t len, sent;
	void *ctx;
	void (*written)(void *ctx);		/* the line is out */
	void (*failed)(void *ctx, int error);	/* -EPIPE: nobody reads */
};

/* Set ctx and the functions before. Tells, too, when a pipe's reader goes away while nothing is written. */
void lines_start(struct lines *l, struct pcore_loop *lp);
void lines_stop(struct lines *l); /* the ops come home */

/* Is a line on its way? */
bool lines_busy(const struct lines *l);

/* Write l->text, of l->len bytes. Not while busy. */
void lines_write(struct lines *l);

#endif
