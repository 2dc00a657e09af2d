/* SPDX-License-Identifier: MIT */
/*
 * signals.h - signals as events of the loop.
 */
#ifndef PCORE_CLI_SIGNALS_H
#define PCORE_CLI_SIGNALS_H

#include <sys/signalfd.h>

#include "libcore/loop/loop.h"

struct cli_signals {
	struct pcore_loop *loop;
	struct pcore_op op;
	int fd;
	bool stopped;
	struct signalfd_siginfo info;
	/* by_process: some process sent it; the terminal sends to the whole group by itself */
	void (*received)(struct cli_signals *s, int sig, bool by_process);
};

/* Block the signals (0-terminated list) and have them delivered to received() from the loop. Those of HUP, INT and QUIT
 * that were ignored at start are left alone. 0 or -errno. */
int cli_signals_start(struct cli_signals *s, struct pcore_loop *lp, const int *list);
void cli_signals_stop(struct cli_signals *s); /* the op comes home with a later turn */
void cli_signals_done(struct cli_signals *s);

#endif
