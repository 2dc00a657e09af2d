/* SPDX-License-Identifier: MIT */
/*
 * process.c - one process behind a handle: made, watched by its pidfd, signalled, ended.
 *
 * There is no loop: whoever waits polls the pidfd, which stays open as long as the handle does, so that any number of threads
 * may wait. The lock is held for the moment of a reap and for what is asked of the tree.
 */
#include "libcore/api/api.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A tree that is on its way out is looked at this often, should a notice be lost; and a dead command that a tracer holds. */
#define RECHECK_NS (20 * NS_PER_MS)

enum { TIMED_OUT = 124 };

static struct pcore_process *process_new(void)
{
	struct pcore_process *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	if (pthread_mutex_init(&p->lock, NULL) != 0) {
		free(p);
		return NULL;
	}
	p->pidfd = p->pipes[0] = p->pipes[1] = p->pipes[2] = -EBADF;
	return p;
}

static void process_done(struct pcore_process *p)
{
	pcore_tree_free(p->tree);
	pcore_keeper_free(p->keeper);
	for (int i = 0; i < 3; i++)
		(void)pcore_fd_close(p->pipes[i]);
	(void)pcore_fd_close(p->pidfd);
	pcore_buf_done(&p->output[0]);
	pcore_buf_done(&p->output[1]);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static int start(struct pcore_process *p, struct pcore_process_plan *plan, struct pcore_err *err)
{
	int r = 0;

	if (plan->in.flags & PCORE_PROCESS_TREE) {
		r = pcore_keeper_new(&p->keeper, true, false, err);
		if (r == 0)
			r = pcore_tree_new(&p->tree, p->keeper, err);
	}
	if (r == 0)
		r = pcore_child_start(p->tree, &plan->spec, &p->pid, &p->pidfd, err);
	if (r < 0)
		return r;

	p->started_ns = pcore_now_ns();
	p->output_max = plan->in.output_max;
	for (size_t i = 0; i < plan->spec.n_fds; i++)
		if (plan->fds[i].source == PCORE_FD_PIPE_IN || plan->fds[i].source == PCORE_FD_PIPE_OUT)
			p->pipes[plan->fds[i].target] = plan->fds[i].fd;
	return 0;
}

int pcore_process_spawn(struct pcore_process **ret, const struct pcore_process_spec *spec, struct pcore_error *error)
{
	struct pcore_process_plan plan;
	struct pcore_process *p;
	struct pcore_err err;
	int r = ret ? pcore_process_plan(&plan, spec) : -EINVAL;

	if (r < 0)
		return pcore_error_plain(error, r, "");
	p = process_new();
	if (!p)
		return pcore_error_plain(error, -ENOMEM, "");

	r = start(p, &plan, &err);
	if (r < 0) {
		process_done(p);
		return pcore_error_from(error, &err);
	}
	*ret = p;
	return 0;
}

int pcore_process_fork(struct pcore_process **ret, int (*fn)(void *arg), void *arg)
{
	struct pcore_process *p = ret && fn ? process_new() : NULL;
	int r;

	if (!p)
		return ret && fn ? -ENOMEM : -EINVAL;

	(void)fflush(NULL); /* or both would write what is buffered */
	r = pcore_child_fork(fn, arg, &p->pid, &p->pidfd);
	if (r < 0) {
		process_done(p);
		return r;
	}
	p->started_ns = pcore_now_ns();
	*ret = p;
	return 0;
}

void pcore_process_free(struct pcore_process *p)
{
	if (!p)
		return;
	if (p->tree || !p->reaped)
		(void)pcore_process_terminate(p, SIGKILL, 0);
	process_done(p);
}

pid_t pcore_process_pid(const struct pcore_process *p)
{
	return p->pid;
}

int pcore_process_fd(const struct pcore_process *p)
{
	return p->pidfd;
}

/* ---- how it ended ---- */

int pcore_process_reap(struct pcore_process *p)
{
	struct pcore_exit e = { .code = 0 };
	int r;

	pthread_mutex_lock(&p->lock);
	if (!p->reaped) {
		r = pcore_child_reap(p->tree, p->pidfd, &e);
		if (r != -EAGAIN && r != -EINTR) {
			p->reaped = true;
			p->error = r < 0 ? r : 0;
			p->lost = r > 0;
			p->exit = e;
			p->ended_ns = pcore_now_ns();
		}
	}
	r = p->reaped ? p->error : -EAGAIN;
	pthread_mutex_unlock(&p->lock);
	return r;
}

void pcore_process_describe(const struct pcore_exit *e, struct pcore_process_result *ret)
{
	ret->status = pcore_exit_status(e);
	ret->exit = e->code == CLD_EXITED ? e->status : -1;
	ret->signal = e->code == CLD_EXITED ? 0 : e->status;
	ret->core = e->code == CLD_DUMPED;
	ret->usage = e->usage;
}

int pcore_process_tell(const struct pcore_process *p, struct pcore_process_result *r, struct pcore_process_result *ret)
{
	if (!ret || p->error < 0)
		return p->error;
	pcore_process_describe(&p->exit, r);
	if (r->timed_out)
		r->status = TIMED_OUT;
	r->lost = p->lost;
	r->wall = p->ended_ns - p->started_ns;
	return pcore_sized_out(ret, PCORE_RESULT_LEAST, r, sizeof(*r));
}

int pcore_process_poll(struct pcore_process *p, struct pcore_process_result *ret)
{
	int r = pcore_process_wait(p, 0, ret);

	return r == -ETIMEDOUT ? -EAGAIN : r;
}

int pcore_process_wait(struct pcore_process *p, int64_t timeout, struct pcore_process_result *ret)
{
	struct pcore_process_result result = { .size = sizeof(result) };
	int64_t deadline = pcore_deadline(timeout);
	int r;

	if (!p || (ret && ret->size < PCORE_RESULT_LEAST))
		return -EINVAL;

	while ((r = pcore_process_reap(p)) == -EAGAIN) {
		struct pollfd ended = { .fd = p->pidfd, .events = POLLIN };

		r = pcore_poll_until(&ended, 1, deadline);
		if (r <= 0)
			return r < 0 ? r : -ETIMEDOUT;
		if (pcore_process_reap(p) != -EAGAIN)
			continue;
		if (timeout == 0)
			return -ETIMEDOUT;
		(void)pcore_poll_until(NULL, 0, pcore_deadline(NS_PER_MS)); /* a tracer has not released it yet */
	}
	return pcore_process_tell(p, &result, ret);
}

int pcore_process_wait_any(struct pcore_process *const *ps, size_t n, int64_t timeout, size_t *ret_index)
{
	_cleanup_(freep) struct pollfd *fds = NULL;
	int64_t deadline = pcore_deadline(timeout);

	if (n == 0 || !ps)
		return -EINVAL;
	fds = calloc(n, sizeof(*fds));
	if (!fds)
		return -ENOMEM;
	for (;;) {
		int r;

		for (size_t i = 0; i < n; i++) {
			if (!ps[i])
				return -EINVAL;
			fds[i] = (struct pollfd){ .fd = ps[i]->pidfd, .events = POLLIN };
			if (pcore_process_reap(ps[i]) == -EAGAIN)
				continue;
			if (ret_index)
				*ret_index = i;
			return 0;
		}
		r = pcore_poll_until(fds, n, deadline);
		if (r <= 0)
			return r < 0 ? r : -ETIMEDOUT;
	}
}

/* ---- ending it ---- */

int pcore_process_signal(struct pcore_process *p, int sig)
{
	if (!p || sig < 0 || sig > SIGRTMAX)
		return -EINVAL;
	return pcore_child_signal(p->pidfd, sig);
}

int pcore_process_signal_all(struct pcore_process *p, int sig)
{
	int r;

	if (!p->tree)
		return pcore_process_signal(p, sig);
	pthread_mutex_lock(&p->lock);
	r = sig == SIGKILL ? pcore_tree_kill(p->tree) : pcore_tree_signal(p->tree, sig);
	if (sig != SIGKILL && sig != SIGSTOP && sig != SIGTSTP)
		(void)pcore_tree_signal(p->tree, SIGCONT);
	pthread_mutex_unlock(&p->lock);
	return r == -ESRCH ? 0 : r;
}

static bool tree_empty(struct pcore_process *p, int *ret_fd, unsigned *ret_events)
{
	bool empty = true;

	*ret_fd = -1;
	*ret_events = 0;
	if (!p->tree)
		return true;
	pthread_mutex_lock(&p->lock);
	if (!pcore_tree_empty(p->tree)) {
		*ret_fd = pcore_tree_watch(p->tree, ret_events);
		empty = pcore_tree_empty(p->tree);
	}
	pthread_mutex_unlock(&p->lock);
	return empty;
}

/* Wait until it and its tree are no more. 0, -ETIMEDOUT. */
static int wait_gone(struct pcore_process *p, int64_t deadline)
{
	for (;;) {
		bool reaped = pcore_process_reap(p) != -EAGAIN;
		unsigned events;
		int fd, r;
		bool empty = tree_empty(p, &fd, &events);
		struct pollfd fds[2] = { { .fd = reaped ? -1 : p->pidfd, .events = POLLIN }, { .fd = fd, .events = (short)events } };
		int64_t recheck = p->tree ? pcore_now_ns() + RECHECK_NS : INT64_MAX;

		if (reaped && empty)
			return 0;
		r = pcore_poll_until(fds, 2, recheck < deadline ? recheck : deadline);
		if (r < 0)
			return r;
		if (r == 0 && deadline != INT64_MAX && pcore_now_ns() >= deadline)
			return -ETIMEDOUT;
	}
}

int pcore_process_terminate(struct pcore_process *p, int sig, int64_t grace)
{
	int r;

	if (!p || sig < 1 || sig > SIGRTMAX)
		return -EINVAL;

	r = pcore_process_signal_all(p, sig);
	if (r == 0 && sig != SIGKILL)
		r = wait_gone(p, pcore_deadline(grace));
	else if (r == 0)
		r = -ETIMEDOUT;
	while (r == -ETIMEDOUT) { /* what forks faster than it is found is killed again */
		r = pcore_process_signal_all(p, SIGKILL);
		if (r == 0)
			r = wait_gone(p, pcore_ns_add(pcore_now_ns(), p->tree ? RECHECK_NS : INT64_MAX));
	}
	return r;
}
