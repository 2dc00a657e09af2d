/* SPDX-License-Identifier: MIT */
/*
 * scheduler.c - events in the order of their times, for any thread that wants to run them.
 */
#include <pcore/sched.h>

#include <pthread.h>
#include <string.h>

#include "libcore/base/base.h"

struct event {
	struct pcore_heap_node node; /* its key is the time */
	struct pcore_scheduler_event event;
};

struct pcore_scheduler {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* there may be another first event */
	struct pcore_heap events;
	uint64_t last_id;
};

static struct event *first(const struct pcore_scheduler *s)
{
	struct pcore_heap_node *top = pcore_heap_top(&s->events);

	return top ? container_of(top, struct event, node) : NULL;
}

int pcore_scheduler_new(struct pcore_scheduler **ret)
{
	struct pcore_scheduler *s = ret ? calloc(1, sizeof(*s)) : NULL;

	if (!s)
		return ret ? -ENOMEM : -EINVAL;
	if (pthread_mutex_init(&s->lock, NULL) != 0) {
		free(s);
		return -ENOMEM;
	}
	if (pthread_cond_init(&s->changed, NULL) != 0) {
		pthread_mutex_destroy(&s->lock);
		free(s);
		return -ENOMEM;
	}
	*ret = s;
	return 0;
}

void pcore_scheduler_free(struct pcore_scheduler *s)
{
	struct event *e;

	if (!s)
		return;
	while ((e = first(s))) {
		pcore_heap_remove(&s->events, &e->node);
		free(e);
	}
	pcore_heap_done(&s->events);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

int pcore_scheduler_enter(
	struct pcore_scheduler *s, int64_t delay, int priority, pcore_scheduler_fn fn, void *arg, uint64_t *ret_id)
{
	if (delay < 0)
		return -EINVAL;
	return pcore_scheduler_enterabs(s, pcore_ns_add(pcore_now_ns(), delay), priority, fn, arg, ret_id);
}

int pcore_scheduler_enterabs(
	struct pcore_scheduler *s, int64_t when, int priority, pcore_scheduler_fn fn, void *arg, uint64_t *ret_id)
{
	struct event *e;
	uint64_t rank;
	int r;

	if (!s || !fn || when < 0)
		return -EINVAL;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;

	pthread_mutex_lock(&s->lock);
	e->event = (struct pcore_scheduler_event){ ++s->last_id, when, priority, fn, arg };
	e->node.key = when;
	rank = (uint64_t)((int64_t)priority - INT32_MIN) << 32 | (s->last_id & UINT32_MAX);
	r = pcore_heap_insert_ranked(&s->events, &e->node, rank);
	if (r == 0 && ret_id)
		*ret_id = e->event.id;
	if (r == 0 && first(s) == e)
		pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	if (r < 0)
		free(e);
	return r;
}

int pcore_scheduler_cancel(struct pcore_scheduler *s, uint64_t id)
{
	struct event *e = NULL;
	int r = -ENOENT;

	if (!s)
		return -EINVAL;
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->events.len && !e; i++) {
		e = container_of(s->events.slots[i].node, struct event, node);
		if (e->event.id != id)
			e = NULL;
	}
	if (e) {
		pcore_heap_remove(&s->events, &e->node);
		pthread_cond_broadcast(&s->changed);
		r = 0;
	}
	pthread_mutex_unlock(&s->lock);
	free(e);
	return r;
}

/* Run the first event, which is due. The lock is not held meanwhile. */
static int run_first(struct pcore_scheduler *s)
{
	struct event *e = first(s);
	int r;

	pcore_heap_remove(&s->events, &e->node);
	pthread_mutex_unlock(&s->lock);
	r = e->event.fn(e->event.arg);
	free(e);
	pthread_mutex_lock(&s->lock);
	return r;
}

static void wait_until(struct pcore_scheduler *s, int64_t when)
{
	struct timespec ts = { .tv_sec = when / NS_PER_S, .tv_nsec = when % NS_PER_S };

	(void)pthread_cond_clockwait(&s->changed, &s->lock, CLOCK_MONOTONIC, &ts);
}

int pcore_scheduler_run(struct pcore_scheduler *s)
{
	const struct event *e;
	int r = 0;

	if (!s)
		return -EINVAL;
	pthread_mutex_lock(&s->lock);
	while (r == 0 && (e = first(s))) {
		if (e->event.when > pcore_now_ns())
			wait_until(s, e->event.when);
		else
			r = run_first(s);
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

int pcore_scheduler_run_due(struct pcore_scheduler *s, int64_t *ret_delay)
{
	const struct event *e;
	int64_t delay = INT64_MAX;
	int r = 0;

	if (!s)
		return -EINVAL;
	pthread_mutex_lock(&s->lock);
	while (r == 0 && (e = first(s)) && e->event.when <= pcore_now_ns())
		r = run_first(s);
	e = first(s);
	if (e)
		delay = e->event.when - pcore_now_ns();
	pthread_mutex_unlock(&s->lock);
	if (r == 0 && ret_delay)
		*ret_delay = delay > 0 ? delay : 0;
	return r;
}

int pcore_scheduler_next(struct pcore_scheduler *s, struct pcore_scheduler_event *ret)
{
	const struct event *e;

	if (!s || !ret)
		return -EINVAL;
	pthread_mutex_lock(&s->lock);
	e = first(s);
	if (e)
		*ret = e->event;
	pthread_mutex_unlock(&s->lock);
	return e ? 0 : -ENODATA;
}

static int compare(const void *a, const void *b)
{
	const struct pcore_scheduler_event *x = a, *y = b;

	if (x->when != y->when)
		return x->when < y->when ? -1 : 1;
	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	return x->id < y->id ? -1 : 1;
}

ssize_t pcore_scheduler_list(struct pcore_scheduler *s, struct pcore_scheduler_event *events, size_t max)
{
	_cleanup_(freep) struct pcore_scheduler_event *all = NULL;
	size_t n;

	if (!s || (!events && max > 0))
		return -EINVAL;
	pthread_mutex_lock(&s->lock);
	n = s->events.len;
	all = calloc(n ? n : 1, sizeof(*all));
	for (size_t i = 0; all && i < n; i++)
		all[i] = container_of(s->events.slots[i].node, struct event, node)->event;
	pthread_mutex_unlock(&s->lock);
	if (!all)
		return -ENOMEM;
	qsort(all, n, sizeof(*all), compare);
	if (max > 0)
		memcpy(events, all, (n < max ? n : max) * sizeof(*all));
	return (ssize_t)n;
}
