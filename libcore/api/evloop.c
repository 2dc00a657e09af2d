/* SPDX-License-Identifier: MIT */
/*
 * evloop.c - the loop that users see: watches of descriptors that last, and runs that can be stopped from anywhere.
 *
 * A source (a watch or a timer) is freed when it is stopped and neither its op nor its callback is under way.
 */
#include "libcore/api/evloop.h"

#include <poll.h>

enum { FLAGS = PCORE_EVLOOP_EMBED | PCORE_EVLOOP_EPOLL | PCORE_EVLOOP_URING };
enum { EVENTS = POLLIN | POLLOUT | POLLPRI };

struct pcore_watch {
	struct evsource source; /* first */
	int fd;
	unsigned events;
	pcore_watch_fn fn;
	void *arg;
};

/* ---- sources ---- */

int pcore_evloop_enter(const struct pcore_evloop *lp)
{
	return pthread_equal(lp->owner, pthread_self()) ? 0 : -EPERM;
}

void pcore_evloop_add(struct pcore_evloop *lp, struct evsource *s)
{
	s->lp = lp;
	pcore_list_init(&s->link);
	pcore_list_add_tail(&lp->sources, &s->link);
	s->active = true;
	lp->n_active++;
}

void pcore_evloop_rest(struct evsource *s)
{
	if (s->active)
		s->lp->n_active--;
	s->active = false;
}

static bool free_if_over(struct evsource *s)
{
	if (!s->stopped || s->calling || pcore_op_live(&s->op))
		return false;
	pcore_list_del(&s->link);
	free(s);
	return true;
}

void pcore_evloop_call(struct evsource *s)
{
	s->lp->called++;
	s->calling = true;
}

bool pcore_evloop_called(struct evsource *s)
{
	s->calling = false;
	return !free_if_over(s) && !s->stopped;
}

bool pcore_evloop_home(struct evsource *s)
{
	return !free_if_over(s) && !s->stopped;
}

void pcore_evloop_drop(struct evsource *s)
{
	pcore_evloop_rest(s);
	s->stopped = true;
	if (!free_if_over(s))
		pcore_op_cancel(s->lp->loop, &s->op);
}

void pcore_evloop_news(struct pcore_evloop *lp)
{
	if (lp->embed && !lp->running)
		(void)pcore_loop_fd(lp->loop);
}

/* ---- the loop ---- */

static void woken(struct pcore_op *op, int res)
{
	(void)op, (void)res;
}

int pcore_evloop_new(struct pcore_evloop **ret, unsigned flags)
{
	enum pcore_loop_backend backend = flags & PCORE_EVLOOP_URING			     ? PCORE_LOOP_URING
					  : flags & (PCORE_EVLOOP_EPOLL | PCORE_EVLOOP_EMBED) ? PCORE_LOOP_EPOLL
											     : PCORE_LOOP_AUTO;
	struct pcore_evloop *lp;
	int r;

	if (!ret || flags & ~(unsigned)FLAGS ||
		(flags & PCORE_EVLOOP_URING && flags & (PCORE_EVLOOP_EPOLL | PCORE_EVLOOP_EMBED)))
		return -EINVAL;
	lp = calloc(1, sizeof(*lp));
	if (!lp)
		return -ENOMEM;
	r = pcore_loop_new(&lp->loop, backend);
	if (r < 0) {
		free(lp);
		return r;
	}
	lp->owner = pthread_self();
	lp->embed = flags & PCORE_EVLOOP_EMBED;
	lp->wake.done = lp->limit.done = woken;
	pcore_list_init(&lp->sources);
	r = pcore_op_wake(lp->loop, &lp->wake);
	if (r < 0) {
		pcore_loop_free(lp->loop);
		free(lp);
		return r;
	}
	*ret = lp;
	return 0;
}

void pcore_evloop_free(struct pcore_evloop *lp)
{
	if (!lp || pcore_evloop_enter(lp) < 0 || lp->running)
		return;
	PCORE_LIST_FOREACH_SAFE(node, &lp->sources)
		pcore_evloop_drop(container_of(node, struct evsource, link));
	pcore_op_cancel(lp->loop, &lp->limit);
	(void)pcore_loop_run(lp->loop); /* what was cancelled comes home */
	pcore_loop_free(lp->loop);
	free(lp);
}

static int turn(struct pcore_evloop *lp, bool wait)
{
	int r;

	lp->running = true;
	r = pcore_loop_turn(lp->loop, wait);
	lp->running = false;
	pcore_evloop_news(lp);
	return r < 0 ? r : 0;
}

static bool stopped(struct pcore_evloop *lp)
{
	return __atomic_exchange_n(&lp->stop, false, __ATOMIC_SEQ_CST);
}

int pcore_evloop_run(struct pcore_evloop *lp)
{
	int r = lp ? pcore_evloop_enter(lp) : -EINVAL;

	if (r == 0 && lp->running)
		r = -EBUSY;
	while (r == 0 && !stopped(lp) && lp->n_active > 0)
		r = turn(lp, true);
	return r;
}

int pcore_evloop_run_once(struct pcore_evloop *lp, int64_t timeout)
{
	int64_t deadline = pcore_ns_add(pcore_now_ns(), timeout > 0 ? timeout : 0);
	int r = lp ? pcore_evloop_enter(lp) : -EINVAL;

	if (r == 0 && lp->running)
		r = -EBUSY;
	if (r < 0)
		return r;

	lp->called = 0;
	r = turn(lp, false);
	while (r == 0 && lp->called == 0 && lp->n_active > 0 && pcore_now_ns() < deadline && !stopped(lp)) {
		if (deadline != INT64_MAX && !pcore_op_live(&lp->limit))
			r = pcore_op_timer(lp->loop, &lp->limit, PCORE_CLOCK_MONOTONIC, deadline);
		if (r == 0)
			r = turn(lp, true);
	}
	pcore_op_cancel(lp->loop, &lp->limit);
	while (r == 0 && pcore_op_live(&lp->limit))
		r = turn(lp, false);
	return r < 0 ? r : (int)lp->called;
}

void pcore_evloop_stop(struct pcore_evloop *lp)
{
	__atomic_store_n(&lp->stop, true, __ATOMIC_SEQ_CST);
	pcore_loop_wake(lp->loop);
}

int pcore_evloop_fd(struct pcore_evloop *lp)
{
	int r = lp ? pcore_evloop_enter(lp) : -EINVAL;

	if (r < 0)
		return r;
	return lp->embed ? pcore_loop_fd(lp->loop) : -EOPNOTSUPP;
}

int64_t pcore_evloop_now(struct pcore_evloop *lp)
{
	return pcore_loop_now(lp->loop);
}

/* ---- watches ---- */

static void ready(struct pcore_op *op, int res)
{
	struct evsource *s = container_of(op, struct evsource, op);
	struct pcore_watch *w = container_of(s, struct pcore_watch, source);

	if (!pcore_evloop_home(s))
		return;
	if (res < 0)
		pcore_evloop_rest(s);
	pcore_evloop_call(s);
	w->fn(w, w->fd, res < 0 ? POLLNVAL : (unsigned)res, w->arg);
	if (!pcore_evloop_called(s) || !s->active)
		return;
	if (pcore_op_poll(s->lp->loop, op, w->fd, w->events) < 0)
		pcore_evloop_rest(s);
}

int pcore_watch_start(
	struct pcore_watch **ret, struct pcore_evloop *lp, int fd, unsigned events, pcore_watch_fn fn, void *arg)
{
	int r = ret && lp && fn && fd >= 0 && events && !(events & ~(unsigned)EVENTS) ? pcore_evloop_enter(lp) : -EINVAL;
	struct pcore_watch *w;

	if (r < 0)
		return r;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	*w = (struct pcore_watch){ .fd = fd, .events = events, .fn = fn, .arg = arg, .source.op.done = ready };
	r = pcore_op_poll(lp->loop, &w->source.op, fd, events);
	if (r < 0) {
		free(w);
		return r;
	}
	pcore_evloop_add(lp, &w->source);
	pcore_evloop_news(lp);
	*ret = w;
	return 0;
}

void pcore_watch_stop(struct pcore_watch *watch)
{
	struct pcore_evloop *lp = watch ? watch->source.lp : NULL;

	if (!watch || pcore_evloop_enter(lp) < 0)
		return;
	pcore_evloop_drop(&watch->source);
	pcore_evloop_news(lp);
}
