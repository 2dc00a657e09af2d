/* SPDX-License-Identifier: MIT */
/*
 * signals.c - signals as events of the loop, by a signalfd.
 */
#include "tools/cli/signals.h"

#include <signal.h>

#include "tools/cli/cli.h"

static int wait_signal(struct cli_signals *s)
{
	return pcore_op_read(s->loop, &s->op, s->fd, &s->info, sizeof(s->info), -1);
}

static void signal_read(struct pcore_op *op, int res)
{
	struct cli_signals *s = container_of(op, struct cli_signals, op);

	if (res != (int)sizeof(s->info))
		return;
	s->received(s, (int)s->info.ssi_signo, s->info.ssi_code <= 0);
	if (!s->stopped)
		(void)wait_signal(s);
}

int cli_signals_start(struct cli_signals *s, struct pcore_loop *lp, const int *list)
{
	sigset_t mask;
	int r;

	assert(s->received);

	(void)sigemptyset(&mask);
	for (; *list; list++)
		if (!sigismember(&cli_inherited.ignored, *list))
			(void)sigaddset(&mask, *list);
	(void)sigprocmask(SIG_BLOCK, &mask, NULL);
	s->loop = lp;
	s->stopped = false;
	s->op = (struct pcore_op){ .done = signal_read };
	s->fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->fd < 0)
		return -errno;

	r = wait_signal(s);
	if (r < 0)
		s->fd = pcore_fd_close(s->fd);
	return r;
}

void cli_signals_stop(struct cli_signals *s)
{
	s->stopped = true;
	pcore_op_cancel(s->loop, &s->op);
}

void cli_signals_done(struct cli_signals *s)
{
	assert(!pcore_op_live(&s->op));

	s->fd = pcore_fd_close(s->fd);
}
