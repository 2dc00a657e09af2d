/* SPDX-License-Identifier: MIT */
/*
 * pty.c - a terminal for the command.
 */
#include "tools/prun/pty.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void in_done(struct pcore_op *op, int res);
static void out_done(struct pcore_op *op, int res);

/* The size of our terminal, wherever we have one. */
static void copy_size(int master)
{
	struct winsize size = { .ws_row = 24, .ws_col = 80 };

	for (int fd = 0; fd <= 2; fd++)
		if (ioctl(fd, TIOCGWINSZ, &size) == 0)
			break;
	(void)ioctl(master, TIOCSWINSZ, &size);
}

static int set_up_slave(struct pty *p)
{
	struct termios t;

	if (p->is_tty) {
		t = p->saved;
	} else {
		if (tcgetattr(p->slave, &t) < 0)
			return -errno;
		t.c_lflag &= ~(tcflag_t)ECHO; /* nobody types: what comes in is not to come out again */
	}
	return tcsetattr(p->slave, TCSANOW, &t) < 0 ? -errno : 0;
}

int pty_open(struct pty *p)
{
	p->slave = -EBADF;
	p->is_tty = tcgetattr(STDIN_FILENO, &p->saved) == 0;
	p->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (p->master < 0) {
		p->master = -EBADF;
		return -errno;
	}
	if (grantpt(p->master) < 0 || unlockpt(p->master) < 0)
		return -errno;
	return fcntl(p->master, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

void pty_resume(struct pty *p)
{
	struct termios raw = p->saved;

	if (!p->is_tty || p->raw || tcgetpgrp(STDIN_FILENO) != getpgrp())
		return; /* in the background the terminal is another's */
	cfmakeraw(&raw);
	p->raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

int pty_renew(struct pty *p)
{
	int r;

	assert(!pty_busy(p));

	if (p->slave < 0)
		p->slave = ioctl(p->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (p->slave < 0) {
		p->slave = -EBADF;
		return -errno;
	}
	p->ended = p->mid_line = false;
	copy_size(p->master);
	r = set_up_slave(p);
	if (r == 0)
		pty_resume(p);
	return r;
}

bool pty_busy(const struct pty *p)
{
	return pcore_op_live(&p->in_op) || pcore_op_live(&p->out_op);
}

static void suspend(struct pty *p)
{
	if (p->raw)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &p->saved);
	p->raw = false;
}

void pty_resize(struct pty *p)
{
	copy_size(p->master);
}

void pty_stop_us(void)
{
	sigset_t tstp;

	(void)sigemptyset(&tstp);
	(void)sigaddset(&tstp, SIGTSTP);
	(void)sigprocmask(SIG_UNBLOCK, &tstp, NULL);
	(void)raise(SIGTSTP);
	(void)sigprocmask(SIG_BLOCK, &tstp, NULL);
}

void pty_stop(struct pty *p)
{
	pcore_proc_signal_tree(p->proc, SIGSTOP);
	suspend(p);
	pty_stop_us();
	pty_resume(p);
	pty_resize(p);
	pcore_proc_signal_tree(p->proc, SIGCONT);
}

bool pty_signal(struct pty *p, int sig)
{
	return (sig == SIGINT || sig == SIGQUIT) && ioctl(p->master, TIOCSIG, sig) == 0;
}

static int read_more(struct pty *p)
{
	return pcore_op_read(p->loop, &p->in_op, STDIN_FILENO, p->buf, sizeof(p->buf), -1);
}

int pty_start(struct pty *p, struct pcore_loop *lp, struct pcore_proc *proc)
{
	p->loop = lp;
	p->proc = proc;
	p->in_op.done = in_done;
	p->out_op.done = out_done;
	return read_more(p);
}

void pty_started(struct pty *p)
{
	p->slave = pcore_fd_close(p->slave);
}

static int write_more(struct pty *p)
{
	return pcore_op_poll(p->loop, &p->out_op, p->master, POLLOUT);
}

static void went_home(struct pty *p)
{
	if (!pty_busy(p))
		p->idle(p->ctx);
}

static void out_done(struct pcore_op *op, int res)
{
	struct pty *p = container_of(op, struct pty, out_op);
	ssize_t n;

	if (p->ended) {
		went_home(p);
		return;
	}
	if (res < 0)
		return;
	n = write(p->master, p->buf + p->start, p->len);
	if (n > 0) {
		p->mid_line = p->buf[p->start + (size_t)n - 1] != '\n';
		p->start += (size_t)n;
		p->len -= (size_t)n;
	} else if (n < 0 && errno != EAGAIN) {
		p->ended = true; /* the other end is gone: its exit tells the rest */
		return;
	}
	if (p->len > 0)
		(void)write_more(p);
	else if (!pcore_op_live(&p->in_op))
		(void)read_more(p);
}

/* The end of the input as a terminal says it: ^D, twice in the middle of a line. */
static void send_eof(struct pty *p)
{
	struct termios t;
	char eof = 4;

	if (tcgetattr(p->master, &t) == 0)
		eof = (char)t.c_cc[VEOF];
	p->buf[0] = p->buf[1] = eof;
	p->start = 0;
	p->len = p->mid_line ? 2 : 1;
	p->mid_line = false;
	(void)write_more(p);
}

/* As a shell does that waits at its prompt. */
static bool ignores_suspend(pid_t pid)
{
	char path[32], text[4096];
	const char *line;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (pcore_file_read(AT_FDCWD, path, text, sizeof(text)) < 0)
		return false;
	line = strstr(text, "\nSigIgn:");
	return line && (strtoull(line + strlen("\nSigIgn:"), NULL, 16) >> (SIGTSTP - 1) & 1);
}

/* Is there a key among the input that stops the command, which cannot be stopped from within its session? */
static char *find_suspend(struct pty *p, size_t len)
{
	struct termios t;
	char *key;

	if (!p->raw || tcgetattr(p->master, &t) < 0 || !(t.c_lflag & ISIG) || t.c_cc[VSUSP] == _POSIX_VDISABLE)
		return NULL;
	key = memchr(p->buf, t.c_cc[VSUSP], len);
	return key && tcgetpgrp(p->master) == p->proc->pid && !ignores_suspend(p->proc->pid) ? key : NULL;
}

static void in_done(struct pcore_op *op, int res)
{
	struct pty *p = container_of(op, struct pty, in_op);
	char *key;

	if (p->ended) {
		went_home(p);
		return;
	}
	if (res <= 0) {
		send_eof(p);
		return;
	}
	p->start = 0;
	p->len = (size_t)res;
	key = find_suspend(p, p->len);
	if (key) {
		memmove(key, key + 1, p->len - (size_t)(key - p->buf) - 1);
		p->len--;
		pty_stop(p);
	}
	(void)(p->len > 0 ? write_more(p) : read_more(p));
}

void pty_end(struct pty *p)
{
	p->ended = true;
	suspend(p);
	if (pcore_op_live(&p->in_op))
		pcore_op_cancel(p->loop, &p->in_op);
	if (pcore_op_live(&p->out_op))
		pcore_op_cancel(p->loop, &p->out_op);
}

void pty_done(struct pty *p)
{
	suspend(p);
	p->slave = pcore_fd_close(p->slave);
	p->master = pcore_fd_close(p->master);
}
