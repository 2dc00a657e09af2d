/* SPDX-License-Identifier: MIT */
/*
 * pty.h - a terminal for the command, joined to ours or to whatever our standard input is.
 *
 * Our own terminal is put into raw mode while the command runs, so that every key reaches the command's terminal and acts
 * there: ^C sends INT to the command's foreground group. ^Z cannot stop a command that is alone in its session; where that
 * is what would be stopped, we stop it and ourselves, and both go on together.
 */
#ifndef PCORE_PRUN_PTY_H
#define PCORE_PRUN_PTY_H

#include <termios.h>

#include "libcore/proc/proc.h"

struct pty {
	struct pcore_loop *loop;
	struct pcore_proc *proc; /* the command */
	int master, slave;
	struct pcore_op in_op, out_op;
	bool is_tty;	/* our stdin */
	bool raw;	/* it is in raw mode */
	bool ended;	/* no more input comes, or is wanted */
	struct termios saved;
	size_t start, len; /* of what buf holds and master has not taken */
	bool mid_line;
	char buf[4096];
	void *ctx;
	void (*idle)(void *ctx); /* after pty_end(): the ops have come home */
};

/* Make the terminal. Zero the struct but for ctx and idle. 0 or -errno. */
int pty_open(struct pty *p);

/* Before each attempt: make the command's end, set up as ours is; then ours becomes raw. 0 or -errno. */
int pty_renew(struct pty *p);
bool pty_busy(const struct pty *p);

/* The command has started: what comes in goes to it. */
int pty_start(struct pty *p, struct pcore_loop *lp, struct pcore_proc *proc);
void pty_started(struct pty *p); /* the command has its end */
void pty_resize(struct pty *p);
void pty_resume(struct pty *p); /* our terminal becomes raw again, if it is ours now */
void pty_stop(struct pty *p);	/* stop the command's tree and ourselves, until we are continued */
void pty_stop_us(void);		/* ourselves, unless nobody could continue us (an orphaned process group) */
bool pty_signal(struct pty *p, int sig); /* to the foreground group, as a key does; false: no key sends this one */
void pty_end(struct pty *p); /* the command is over; the ops come home */
void pty_done(struct pty *p);

#endif
