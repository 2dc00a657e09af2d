/* SPDX-License-Identifier: MIT */
/*
 * wait.c - what threads wait for: events, semaphores, barriers and bounded queues. Each is a few numbers under a lock.
 */
#include <limits.h>

#include "libcore/thread/private.h"

static void unlock(pthread_mutex_t **m)
{
	(void)pthread_mutex_unlock(*m);
}

/* Held to the end of the scope. */
#define LOCKED(m)                                                \
	_cleanup_(unlock) pthread_mutex_t *locked_ = &(m)->lock; \
	(void)pthread_mutex_lock(locked_)

/* ---- event ---- */

struct pcore_event {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool set;
	uint64_t times; /* it was set */
};

int pcore_event_new(struct pcore_event **ret)
{
	struct pcore_event *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;

	(void)pthread_mutex_init(&e->lock, NULL);
	(void)pthread_cond_init(&e->changed, NULL);
	*ret = e;
	return 0;
}

void pcore_event_free(struct pcore_event *e)
{
	if (!e)
		return;

	(void)pthread_cond_destroy(&e->changed);
	(void)pthread_mutex_destroy(&e->lock);
	free(e);
}

void pcore_event_set(struct pcore_event *e)
{
	LOCKED(e);
	if (e->set)
		return;
	e->set = true;
	e->times++;
	(void)pthread_cond_broadcast(&e->changed);
}

void pcore_event_clear(struct pcore_event *e)
{
	LOCKED(e);
	e->set = false;
}

int pcore_event_is_set(struct pcore_event *e)
{
	LOCKED(e);
	return e->set;
}

int pcore_event_wait(struct pcore_event *e, int64_t timeout)
{
	int64_t deadline = deadline_of(timeout);
	uint64_t times;
	int r = 0;

	LOCKED(e);
	times = e->times;
	while (!e->set && e->times == times && r == 0)
		r = wait_until(&e->changed, &e->lock, deadline);
	return e->set || e->times != times ? 0 : -r;
}

/* ---- semaphore ---- */

struct pcore_thread_sem {
	pthread_mutex_t lock;
	pthread_cond_t released;
	unsigned value, max;
};

int pcore_thread_sem_new(struct pcore_thread_sem **ret, unsigned value, unsigned max)
{
	struct pcore_thread_sem *s;

	if (max == 0 || value > max)
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;

	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_cond_init(&s->released, NULL);
	s->value = value;
	s->max = max;
	*ret = s;
	return 0;
}

void pcore_thread_sem_free(struct pcore_thread_sem *s)
{
	if (!s)
		return;

	(void)pthread_cond_destroy(&s->released);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

int pcore_thread_sem_acquire(struct pcore_thread_sem *s, int64_t timeout)
{
	int64_t deadline = deadline_of(timeout);
	int r = 0;

	LOCKED(s);
	while (s->value == 0 && r == 0)
		r = wait_until(&s->released, &s->lock, deadline);
	if (s->value == 0)
		return -r;
	s->value--;
	return 0;
}

int pcore_thread_sem_release(struct pcore_thread_sem *s, unsigned n)
{
	LOCKED(s);
	if (n > s->max - s->value)
		return -EOVERFLOW;
	s->value += n;
	for (unsigned i = 0; i < n; i++)
		(void)pthread_cond_signal(&s->released);
	return 0;
}

unsigned pcore_thread_sem_value(struct pcore_thread_sem *s)
{
	LOCKED(s);
	return s->value;
}

/* ---- barrier ---- */

/* FILLING until all are there, then DRAINING (or RESETTING) until all have left; who comes meanwhile waits. */
enum barrier_state { BARRIER_FILLING, BARRIER_DRAINING, BARRIER_RESETTING, BARRIER_BROKEN };

struct pcore_barrier {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned parties, count;
	enum barrier_state state;
	int (*action)(void *arg);
	void *arg;
};

int pcore_barrier_new(struct pcore_barrier **ret, unsigned parties, int (*action)(void *arg), void *arg)
{
	struct pcore_barrier *b;

	if (parties == 0 || parties > INT_MAX)
		return -EINVAL;
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;

	(void)pthread_mutex_init(&b->lock, NULL);
	(void)pthread_cond_init(&b->changed, NULL);
	b->parties = parties;
	b->action = action;
	b->arg = arg;
	*ret = b;
	return 0;
}

void pcore_barrier_free(struct pcore_barrier *b)
{
	if (!b)
		return;

	(void)pthread_cond_destroy(&b->changed);
	(void)pthread_mutex_destroy(&b->lock);
	free(b);
}

static void barrier_enter(struct pcore_barrier *b, enum barrier_state state)
{
	b->state = state;
	(void)pthread_cond_broadcast(&b->changed);
}

/* All are there, or some are not in time. */
static void barrier_fill(struct pcore_barrier *b, int64_t deadline)
{
	int r = 0;

	if (b->count == b->parties) {
		barrier_enter(b, b->action && b->action(b->arg) != 0 ? BARRIER_BROKEN : BARRIER_DRAINING);
		return;
	}
	while (b->state == BARRIER_FILLING && r == 0)
		r = wait_until(&b->changed, &b->lock, deadline);
	if (b->state == BARRIER_FILLING)
		barrier_enter(b, BARRIER_BROKEN);
}

int pcore_barrier_wait(struct pcore_barrier *b, int64_t timeout)
{
	int64_t deadline = deadline_of(timeout);
	int index, r;

	LOCKED(b);
	while (b->state == BARRIER_DRAINING || b->state == BARRIER_RESETTING) /* they are on their way out */
		(void)pthread_cond_wait(&b->changed, &b->lock);
	if (b->state == BARRIER_BROKEN)
		return -EPIPE;

	index = (int)b->count++;
	barrier_fill(b, deadline);
	r = b->state == BARRIER_DRAINING ? index : -EPIPE;
	if (--b->count == 0 && b->state != BARRIER_BROKEN)
		barrier_enter(b, BARRIER_FILLING);
	return r;
}

void pcore_barrier_abort(struct pcore_barrier *b)
{
	LOCKED(b);
	barrier_enter(b, BARRIER_BROKEN);
}

void pcore_barrier_reset(struct pcore_barrier *b)
{
	LOCKED(b);
	if (b->state != BARRIER_DRAINING)
		barrier_enter(b, b->count > 0 ? BARRIER_RESETTING : BARRIER_FILLING);
}

int pcore_barrier_broken(struct pcore_barrier *b)
{
	LOCKED(b);
	return b->state == BARRIER_BROKEN;
}

/* ---- queue ---- */

struct pcore_workqueue {
	pthread_mutex_t lock;
	pthread_cond_t filled, emptied, all_done;
	size_t max, first, n;
	uint64_t open, taken; /* put and not done; taken and not done */
	bool closed;
	void *items[];
};

int pcore_workqueue_new(struct pcore_workqueue **ret, size_t max)
{
	struct pcore_workqueue *q;

	if (max == 0 || max > SIZE_MAX / 16)
		return -EINVAL;
	q = calloc(1, sizeof(*q) + max * sizeof(q->items[0]));
	if (!q)
		return -ENOMEM;

	(void)pthread_mutex_init(&q->lock, NULL);
	(void)pthread_cond_init(&q->filled, NULL);
	(void)pthread_cond_init(&q->emptied, NULL);
	(void)pthread_cond_init(&q->all_done, NULL);
	q->max = max;
	*ret = q;
	return 0;
}

void pcore_workqueue_free(struct pcore_workqueue *q)
{
	if (!q)
		return;

	(void)pthread_cond_destroy(&q->all_done);
	(void)pthread_cond_destroy(&q->emptied);
	(void)pthread_cond_destroy(&q->filled);
	(void)pthread_mutex_destroy(&q->lock);
	free(q);
}

int pcore_workqueue_put(struct pcore_workqueue *q, void *item, int64_t timeout)
{
	int64_t deadline = deadline_of(timeout);
	int r = 0;

	LOCKED(q);
	while (q->n == q->max && !q->closed && r == 0)
		r = wait_until(&q->emptied, &q->lock, deadline);
	if (q->closed)
		return -EPIPE;
	if (q->n == q->max)
		return -r;
	q->items[(q->first + q->n++) % q->max] = item;
	q->open++;
	(void)pthread_cond_signal(&q->filled);
	return 0;
}

int pcore_workqueue_get(struct pcore_workqueue *q, void **ret, int64_t timeout)
{
	int64_t deadline = deadline_of(timeout);
	int r = 0;

	LOCKED(q);
	while (q->n == 0 && !q->closed && r == 0)
		r = wait_until(&q->filled, &q->lock, deadline);
	if (q->n == 0)
		return q->closed ? -ENODATA : -r;
	*ret = q->items[q->first];
	q->first = (q->first + 1) % q->max;
	q->n--;
	q->taken++;
	(void)pthread_cond_signal(&q->emptied);
	return 0;
}

void pcore_workqueue_close(struct pcore_workqueue *q)
{
	LOCKED(q);
	q->closed = true;
	(void)pthread_cond_broadcast(&q->filled);
	(void)pthread_cond_broadcast(&q->emptied);
}

size_t pcore_workqueue_count(struct pcore_workqueue *q)
{
	LOCKED(q);
	return q->n;
}

int pcore_workqueue_done(struct pcore_workqueue *q)
{
	LOCKED(q);
	if (q->taken == 0)
		return -EINVAL;
	q->taken--;
	if (--q->open == 0)
		(void)pthread_cond_broadcast(&q->all_done);
	return 0;
}

int pcore_workqueue_join(struct pcore_workqueue *q, int64_t timeout)
{
	int64_t deadline = deadline_of(timeout);
	int r = 0;

	LOCKED(q);
	while (q->open > 0 && r == 0)
		r = wait_until(&q->all_done, &q->lock, deadline);
	return q->open == 0 ? 0 : -r;
}
