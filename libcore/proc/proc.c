/* SPDX-License-Identifier: MIT */
/*
 * proc.c - one command from its start to the end of the last process that came from it.
 *
 * All transitions are in step(); proc.h draws the table.
 */
#include "libcore/proc/private.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* While a tree is being killed its emptiness is looked at this often, should a notice be lost. */
#define RECHECK_NS (20 * NS_PER_MS)

enum proc_input { IN_EXIT, IN_TIMER, IN_EMPTY, IN_END, IN_KILL };

static void step(struct pcore_proc *p, enum proc_input in, int arg);

static void exit_done(struct pcore_op *op, int res)
{
	step(container_of(op, struct pcore_proc, exit_op), IN_EXIT, res);
}

static void timer_done(struct pcore_op *op, int res)
{
	step(container_of(op, struct pcore_proc, timer_op), IN_TIMER, res);
}

static void empty_done(struct pcore_op *op, int res)
{
	step(container_of(op, struct pcore_proc, empty_op), IN_EMPTY, res);
}

/* How long the present state may last. */
static int64_t patience(const struct pcore_proc *p)
{
	switch (p->state) {
	case PCORE_PROC_RUNNING:
		return p->times.timeout;
	case PCORE_PROC_ENDING:
	case PCORE_PROC_STRAYS_ENDING:
		return p->times.kill_after;
	case PCORE_PROC_KILLING:
	case PCORE_PROC_STRAYS_KILLING:
		return RECHECK_NS;
	case PCORE_PROC_LINGERING:
		return p->times.linger;
	case PCORE_PROC_NEW:
	case PCORE_PROC_DONE:
		break;
	}
	return INT64_MAX;
}

/* Set the timer for the present state. One that is live is cancelled, and set anew when it has come home. */
static void arm(struct pcore_proc *p)
{
	int64_t after = patience(p);

	if (pcore_op_live(&p->timer_op))
		pcore_op_cancel(p->loop, &p->timer_op);
	else if (after != INT64_MAX)
		(void)pcore_op_timer(p->loop, &p->timer_op, PCORE_CLOCK_MONOTONIC, pcore_ns_add(pcore_now_ns(), after));
}

static void read_io(struct pcore_proc *p)
{
	char path[48], buf[512];
	const char *line;

	(void)snprintf(path, sizeof(path), "/proc/%d/io", p->pid);
	if (pcore_file_read(AT_FDCWD, path, buf, sizeof(buf)) < 0)
		return;
	line = strstr(buf, "\nread_bytes: ");
	if (line)
		p->io.read_bytes = strtoull(line + 13, NULL, 10);
	line = strstr(buf, "\nwrite_bytes: ");
	if (line)
		p->io.write_bytes = strtoull(line + 14, NULL, 10);
}

static int reap_own(struct pcore_proc *p)
{
	siginfo_t si = { .si_pid = 0 };
	long r = raw5(SYS_waitid, P_PIDFD, p->pidfd, &si, WEXITED | __WALL, &p->exit.usage);

	if (r < 0)
		return (int)r;

	p->exit.code = si.si_code;
	p->exit.status = si.si_status;
	return 0;
}

/* There is no way to watch the command: it must not live unwatched. */
static void abandon(struct pcore_proc *p)
{
	(void)pcore_tree_kill(p->tree);
	if (pcore_tree_own_child(p->tree))
		(void)reap_own(p);
}

static void reap(struct pcore_proc *p, int res)
{
	p->ended_ns = pcore_now_ns();
	if (p->want_io)
		read_io(p);
	if (res == 0 && p->want_io)
		res = reap_own(p);
	else if (res == -ECHILD && !pcore_tree_own_child(p->tree))
		res = pcore_tree_reap(p->tree, &p->exit);
	else if (res < 0 && res != -ECHILD)
		abandon(p);
	if (res == -ECHILD)
		res = pcore_pidfd_status(p->pidfd, &p->exit);
	p->exit_error = res;
	p->pidfd = pcore_fd_close(p->pidfd);
}

static void finish(struct pcore_proc *p)
{
	p->state = PCORE_PROC_DONE;
	pcore_op_cancel(p->loop, &p->timer_op);
	pcore_op_cancel(p->loop, &p->empty_op);
}

static void watch(struct pcore_proc *p)
{
	unsigned events = 0;
	int fd = pcore_tree_watch(p->tree, &events);

	if (fd < 0 || pcore_tree_empty(p->tree)) {
		finish(p);
		return;
	}
	if (!pcore_op_live(&p->empty_op))
		(void)pcore_op_poll(p->loop, &p->empty_op, fd, events);
}

static void signal_tree(struct pcore_proc *p, int sig)
{
	(void)pcore_tree_signal(p->tree, sig);
	if (sig != SIGKILL && sig != SIGSTOP && sig != SIGTSTP)
		(void)pcore_tree_signal(p->tree, SIGCONT); /* who is stopped does not see it otherwise */
}

/* The command is dead. What is left of its tree goes on for a while, or is on its way out already. */
static void exited(struct pcore_proc *p, int res)
{
	enum pcore_proc_state next = p->state == PCORE_PROC_RUNNING  ? PCORE_PROC_LINGERING
				     : p->state == PCORE_PROC_ENDING ? PCORE_PROC_STRAYS_ENDING
								     : PCORE_PROC_STRAYS_KILLING;

	reap(p, res);
	p->state = next;
	if (pcore_tree_empty(p->tree))
		finish(p);
	else
		watch(p);
	if (p->state == PCORE_PROC_LINGERING)
		arm(p);
	p->event(p, PCORE_PROC_EXITED);
}

static void kill_tree(struct pcore_proc *p)
{
	if (p->state == PCORE_PROC_LINGERING)
		p->survivors = pcore_tree_count(p->tree);
	(void)pcore_tree_kill(p->tree);
	p->state = pcore_proc_alive(p) ? PCORE_PROC_KILLING : PCORE_PROC_STRAYS_KILLING;
	if (p->state == PCORE_PROC_STRAYS_KILLING && pcore_tree_empty(p->tree))
		finish(p);
	else
		arm(p);
}

static void end_tree(struct pcore_proc *p, int sig)
{
	signal_tree(p, sig);
	p->state = p->state == PCORE_PROC_RUNNING ? PCORE_PROC_ENDING : PCORE_PROC_STRAYS_ENDING;
	arm(p);
}

static void linger_over(struct pcore_proc *p)
{
	unsigned n = pcore_tree_count(p->tree);

	if (n == 0 || p->times.leave) {
		if (n > 0)
			pcore_tree_release(p->tree);
		finish(p);
		return;
	}
	p->survivors = n;
	end_tree(p, SIGTERM);
}

static void time_up(struct pcore_proc *p)
{
	switch (p->state) {
	case PCORE_PROC_RUNNING:
		p->killed_by = PCORE_KILLED_TIMEOUT;
		end_tree(p, p->times.signal);
		break;
	case PCORE_PROC_LINGERING:
		linger_over(p);
		break;
	case PCORE_PROC_ENDING:
	case PCORE_PROC_STRAYS_ENDING:
	case PCORE_PROC_KILLING:
	case PCORE_PROC_STRAYS_KILLING:
		kill_tree(p);
		break;
	case PCORE_PROC_NEW:
	case PCORE_PROC_DONE:
		break;
	}
}

static void step(struct pcore_proc *p, enum proc_input in, int arg)
{
	assert(p->state != PCORE_PROC_NEW);

	switch (in) {
	case IN_EXIT:
		exited(p, arg);
		break;
	case IN_TIMER:
		if (arg == -ETIME)
			time_up(p);
		else
			arm(p);
		break;
	case IN_EMPTY:
		if (p->state == PCORE_PROC_LINGERING || p->state == PCORE_PROC_STRAYS_ENDING ||
			p->state == PCORE_PROC_STRAYS_KILLING)
			watch(p);
		break;
	case IN_END:
		if (p->state == PCORE_PROC_RUNNING)
			end_tree(p, arg);
		else if (p->state == PCORE_PROC_LINGERING)
			linger_over(p);
		break;
	case IN_KILL:
		if (p->state != PCORE_PROC_DONE)
			kill_tree(p);
		break;
	}
	if (p->state == PCORE_PROC_DONE && !p->leaving && !pcore_op_live(&p->exit_op) &&
		!pcore_op_live(&p->timer_op) && !pcore_op_live(&p->empty_op)) {
		p->leaving = true;
		p->event(p, PCORE_PROC_CLOSED);
	}
}

int pcore_proc_start(struct pcore_proc *p, struct pcore_loop *lp, struct pcore_tree *tree, const struct pcore_proc_spec *spec,
	const struct pcore_proc_times *times, struct pcore_err *err)
{
	int r;

	assert(p->state == PCORE_PROC_NEW || p->state == PCORE_PROC_DONE);
	assert(p->event);

	*p = (struct pcore_proc){
		.loop = lp,
		.tree = tree,
		.times = *times,
		.event = p->event,
		.want_io = p->want_io,
		.pidfd = -EBADF,
		.exit_op = { .done = exit_done },
		.timer_op = { .done = timer_done },
		.empty_op = { .done = empty_done },
	};
	r = pcore_spawn(tree, spec, &p->pid, &p->pidfd, err);
	if (r < 0)
		return r;

	p->started_ns = pcore_now_ns();
	p->state = PCORE_PROC_RUNNING;
	r = pcore_op_exit(lp, &p->exit_op, p->pidfd, &p->exit, p->want_io);
	if (r == 0)
		arm(p);
	if (r < 0) {
		abandon(p);
		p->pidfd = pcore_fd_close(p->pidfd);
		p->state = PCORE_PROC_DONE;
		return pcore_err_set(err, r, PCORE_STEP_CLONE, "");
	}
	return 0;
}

int pcore_proc_signal(struct pcore_proc *p, int sig)
{
	long r;

	if (p->pidfd < 0)
		return 0;

	r = raw4(SYS_pidfd_send_signal, p->pidfd, sig, NULL, 0);
	return r == -ESRCH ? 0 : (int)r;
}

void pcore_proc_signal_tree(struct pcore_proc *p, int sig)
{
	if (p->state != PCORE_PROC_NEW && p->state != PCORE_PROC_DONE)
		(void)pcore_tree_signal(p->tree, sig);
}

void pcore_proc_end(struct pcore_proc *p, int sig, enum pcore_killed_by by)
{
	if (p->state == PCORE_PROC_RUNNING)
		p->killed_by = by;
	step(p, IN_END, sig);
}

void pcore_proc_kill(struct pcore_proc *p, enum pcore_killed_by by)
{
	if (pcore_proc_alive(p) && p->killed_by == PCORE_KILLED_NO)
		p->killed_by = by;
	step(p, IN_KILL, 0);
}

bool pcore_proc_reads(pid_t pid)
{
	char path[32], text[64];
	unsigned long call, fd;
	ssize_t n;
	int file;

	(void)snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	file = open(path, O_RDONLY | O_CLOEXEC);
	n = file < 0 ? -1 : read(file, text, sizeof(text) - 1);
	if (file >= 0)
		(void)pcore_fd_close(file);
	if (n <= 0)
		return false;
	text[n] = '\0'; /* "0 0x0 ..." */
	return sscanf(text, "%lu 0x%lx", &call, &fd) == 2 && call == SYS_read && fd == STDIN_FILENO;
}

int pcore_exit_status(const struct pcore_exit *e)
{
	return e->code == CLD_EXITED ? e->status : 128 + e->status;
}
