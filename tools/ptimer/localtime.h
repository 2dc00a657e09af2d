/* SPDX-License-Identifier: MIT */
/*
 * localtime.h - tells when /etc/localtime is another file.
 */
#ifndef PCORE_PTIMER_LOCALTIME_H
#define PCORE_PTIMER_LOCALTIME_H

#include "libcore/loop/loop.h"

struct localtime {
	struct pcore_loop *loop;
	struct pcore_op op;
	int fd; /* -EBADF: it is not watched */
	bool stopped;
	void *ctx;
	void (*changed)(void *ctx);
	char buf[4096] __attribute__((aligned(8)));
};

int localtime_start(struct localtime *l, struct pcore_loop *lp); /* set ctx, changed and fd before; 0 or -errno */
void localtime_stop(struct localtime *l);			 /* the op comes home */
void localtime_done(struct localtime *l);

#endif
