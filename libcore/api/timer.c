/* SPDX-License-Identifier: MIT */
/*
 * timer.c - timers on a loop, and such as have a thread.
 */
#include "libcore/api/evloop.h"

#include <signal.h>

/* How often a timer that was due at due, and every so often after that, is due now; and when it is the next time. */
static uint64_t count_due(int64_t due, int64_t every, int64_t now, int64_t *ret_next)
{
	uint64_t n = 1;

	if (every > 0 && now > due)
		n += (uint64_t)((now - due) / every);
	if (every > 0) {
		int64_t ahead;

		*ret_next = __builtin_mul_overflow((int64_t)n, every, &ahead) ? INT64_MAX : pcore_ns_add(due, ahead);
	}
	return n;
}

/* ---- on a loop ---- */

struct pcore_timer {
	struct evsource source; /* first */
	int64_t due, every;
	pcore_timer_fn fn;
	void *arg;
};

static void due(struct pcore_op *op, int res)
{
	struct evsource *s = container_of(op, struct evsource, op);
	struct pcore_timer *t = container_of(s, struct pcore_timer, source);
	uint64_t n;

	if (!pcore_evloop_home(s) || res != -ETIME)
		return;
	n = count_due(t->due, t->every, pcore_now_ns(), &t->due);
	if (t->every == 0)
		pcore_evloop_rest(s);
	pcore_evloop_call(s);
	t->fn(t, n, t->arg);
	if (!pcore_evloop_called(s) || !s->active)
		return;
	if (pcore_op_timer(s->lp->loop, op, PCORE_CLOCK_MONOTONIC, t->due) < 0)
		pcore_evloop_rest(s);
}

int pcore_timer_start(
	struct pcore_timer **ret, struct pcore_evloop *lp, int64_t after, int64_t every, pcore_timer_fn fn, void *arg)
{
	int r = ret && lp && fn && after >= 0 && every >= 0 ? pcore_evloop_enter(lp) : -EINVAL;
	struct pcore_timer *t;

	if (r < 0)
		return r;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	*t = (struct pcore_timer){
		.due = pcore_ns_add(pcore_now_ns(), after), .every = every, .fn = fn, .arg = arg, .source.op.done = due
	};
	r = pcore_op_timer(lp->loop, &t->source.op, PCORE_CLOCK_MONOTONIC, t->due);
	if (r < 0) {
		free(t);
		return r;
	}
	pcore_evloop_add(lp, &t->source);
	pcore_evloop_news(lp);
	*ret = t;
	return 0;
}

void pcore_timer_stop(struct pcore_timer *timer)
{
	struct pcore_evloop *lp = timer ? timer->source.lp : NULL;

	if (!timer || pcore_evloop_enter(lp) < 0)
		return;
	pcore_evloop_drop(&timer->source);
	pcore_evloop_news(lp);
}

/* ---- in a thread ---- */

struct pcore_alarm {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int64_t due, every;
	void (*fn)(void *arg);
	void *arg;
	bool cancelled, last, over, freed; /* last: fn is called, or was, for the last time; over: nothing happens any more */
};

static void alarm_destroy(struct pcore_alarm *a)
{
	pthread_cond_destroy(&a->changed);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

static void wait_changed(struct pcore_alarm *a, int64_t until)
{
	struct timespec ts = { .tv_sec = until / NS_PER_S, .tv_nsec = until % NS_PER_S };

	if (until == INT64_MAX)
		pthread_cond_wait(&a->changed, &a->lock);
	else
		pthread_cond_clockwait(&a->changed, &a->lock, CLOCK_MONOTONIC, &ts);
}

static void *alarm_main(void *arg)
{
	struct pcore_alarm *a = arg;
	bool freed;

	pthread_mutex_lock(&a->lock);
	while (!a->cancelled && !a->last) {
		int64_t now = pcore_now_ns();

		if (now < a->due) {
			wait_changed(a, a->due);
			continue;
		}
		(void)count_due(a->due, a->every, now, &a->due);
		a->last = a->every == 0;
		pthread_mutex_unlock(&a->lock);
		a->fn(a->arg);
		pthread_mutex_lock(&a->lock);
	}
	a->over = true;
	freed = a->freed;
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->lock);
	if (freed) { /* by fn */
		pthread_detach(pthread_self());
		alarm_destroy(a);
	}
	return NULL;
}

static int start_thread(struct pcore_alarm *a)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&a->thread, NULL, alarm_main, a);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

int pcore_alarm_start(struct pcore_alarm **ret, int64_t after, int64_t every, void (*fn)(void *arg), void *arg)
{
	struct pcore_alarm *a;
	int r;

	if (!ret || !fn || after < 0 || every < 0)
		return -EINVAL;
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->due = pcore_ns_add(pcore_now_ns(), after);
	a->every = every;
	a->fn = fn;
	a->arg = arg;
	r = -pthread_mutex_init(&a->lock, NULL);
	if (r == 0)
		r = -pthread_cond_init(&a->changed, NULL);
	if (r < 0) {
		free(a);
		return r;
	}
	pthread_mutex_lock(&a->lock); /* fn may look at it, so it is told before */
	r = start_thread(a);
	if (r == 0)
		*ret = a;
	pthread_mutex_unlock(&a->lock);
	if (r < 0)
		alarm_destroy(a);
	return r;
}

int pcore_alarm_cancel(struct pcore_alarm *alarm)
{
	int r;

	if (!alarm)
		return -EINVAL;
	pthread_mutex_lock(&alarm->lock);
	r = alarm->last ? -EALREADY : 0;
	if (r == 0)
		alarm->cancelled = true;
	pthread_cond_broadcast(&alarm->changed);
	pthread_mutex_unlock(&alarm->lock);
	return r;
}

int pcore_alarm_wait(struct pcore_alarm *alarm, int64_t timeout)
{
	int64_t deadline = pcore_ns_add(pcore_now_ns(), timeout > 0 ? timeout : 0);
	int r;

	if (!alarm)
		return -EINVAL;
	if (pthread_equal(alarm->thread, pthread_self()))
		return -EDEADLK;
	pthread_mutex_lock(&alarm->lock);
	while (!alarm->over && pcore_now_ns() < deadline)
		wait_changed(alarm, deadline);
	r = alarm->over ? 0 : -ETIMEDOUT;
	pthread_mutex_unlock(&alarm->lock);
	return r;
}

void pcore_alarm_free(struct pcore_alarm *alarm)
{
	if (!alarm)
		return;
	pthread_mutex_lock(&alarm->lock);
	alarm->cancelled = true;
	alarm->freed = pthread_equal(alarm->thread, pthread_self());
	pthread_cond_broadcast(&alarm->changed);
	if (alarm->freed) { /* its thread does it when fn has returned */
		pthread_mutex_unlock(&alarm->lock);
		return;
	}
	pthread_mutex_unlock(&alarm->lock);
	pthread_join(alarm->thread, NULL);
	alarm_destroy(alarm);
}
