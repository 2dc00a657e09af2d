/* SPDX-License-Identifier: MIT */
/*
 * mutex.c - a mutex that knows its owner, and conditions on it.
 *
 * The pthread mutex inside is locked once however often a recursive one is, so that a condition can give it up as a whole. Who
 * owns it is noted beside it: only the caller's own note is ever compared, so that it needs no order. pthread's error-checking
 * kind would know as well, but costs twice the time of the usual one; it is taken for robust ones only.
 *
 * Each waiter of a condition has a pthread condition of its own, in a list in the order of their coming: a notification is for
 * those that are in it, and no other.
 */
#include <limits.h>
#include <stdatomic.h>

#include "libcore/thread/private.h"

struct pcore_mutex {
	pthread_mutex_t native;
	_Atomic uintptr_t owner; /* its self(), or 0 */
	unsigned depth;		 /* beyond the first; the owner's */
	unsigned flags;
};

struct pcore_cond {
	struct pcore_mutex *mutex;
	struct pcore_list waiters; /* under the mutex */
};

struct cond_waiter {
	struct pcore_list link;
	pthread_cond_t cond;
	bool woken;
};

/* Of each living thread another one, and cheaper than pthread_self(), which is a call. */
static uintptr_t self(void)
{
	return (uintptr_t)__builtin_thread_pointer();
}

static bool held(const struct pcore_mutex *m)
{
	return atomic_load_explicit(&m->owner, memory_order_relaxed) == self();
}

static void note_owner(struct pcore_mutex *m, uintptr_t owner)
{
	atomic_store_explicit(&m->owner, owner, memory_order_relaxed);
}

int pcore_mutex_new(struct pcore_mutex **ret, unsigned flags)
{
	struct pcore_mutex *m;
	pthread_mutexattr_t attr;
	int r;

	if (flags & ~(unsigned)(PCORE_MUTEX_RECURSIVE | PCORE_MUTEX_ROBUST))
		return -EINVAL;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;

	m->flags = flags;
	r = pthread_mutexattr_init(&attr);
	if (r == 0) {
		if (flags & PCORE_MUTEX_ROBUST) {
			(void)pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
			(void)pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
		}
		r = pthread_mutex_init(&m->native, &attr);
		(void)pthread_mutexattr_destroy(&attr);
	}
	if (r != 0) {
		free(m);
		return -r;
	}
	*ret = m;
	return 0;
}

void pcore_mutex_free(struct pcore_mutex *m)
{
	if (!m)
		return;

	(void)pthread_mutex_destroy(&m->native);
	free(m);
}

static int lock_again(struct pcore_mutex *m)
{
	if (!(m->flags & PCORE_MUTEX_RECURSIVE))
		return -EDEADLK;
	if (m->depth == UINT_MAX)
		return -EAGAIN;
	m->depth++;
	return 0;
}

static int lock_native(struct pcore_mutex *m, int64_t timeout)
{
	if (timeout == PCORE_FOREVER)
		return pthread_mutex_lock(&m->native);
	if (timeout <= 0)
		return pthread_mutex_trylock(&m->native);
	return pcore_mutex_lock_until(&m->native, deadline_of(timeout));
}

/* All but the plain case, which is to cost little more than pthread's own. */
static __attribute__((noinline)) int lock_slowly(struct pcore_mutex *m, int64_t timeout)
{
	int r;

	/* A thread may be taken for a dead one that had the same stack: where that matters, pthread's own check decides. */
	if (!(m->flags & PCORE_MUTEX_ROBUST) && held(m))
		return lock_again(m);
	r = lock_native(m, timeout);
	if (r == EDEADLK || (r == EBUSY && held(m)))
		return lock_again(m);
	if (r == EOWNERDEAD) {
		(void)pthread_mutex_consistent(&m->native);
		m->depth = 0;
	} else if (r != 0) {
		return r == EBUSY ? -ETIMEDOUT : -r;
	}
	note_owner(m, self());
	return r == EOWNERDEAD;
}

int pcore_mutex_lock(struct pcore_mutex *m, int64_t timeout)
{
	if (timeout != PCORE_FOREVER || (m->flags & PCORE_MUTEX_ROBUST) || held(m) || pthread_mutex_lock(&m->native) != 0)
		return lock_slowly(m, timeout);
	note_owner(m, self());
	return 0;
}

int pcore_mutex_unlock(struct pcore_mutex *m)
{
	if (!held(m))
		return -EPERM;
	if (m->depth > 0) {
		m->depth--;
		return 0;
	}
	note_owner(m, 0);
	(void)pthread_mutex_unlock(&m->native);
	return 0;
}

int pcore_mutex_held(const struct pcore_mutex *m)
{
	return held(m);
}

/* ---- condition ---- */

int pcore_cond_new(struct pcore_cond **ret, struct pcore_mutex *m)
{
	struct pcore_cond *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;

	c->mutex = m;
	pcore_list_init(&c->waiters);
	*ret = c;
	return 0;
}

void pcore_cond_free(struct pcore_cond *c)
{
	if (!c)
		return;

	assert(pcore_list_empty(&c->waiters));

	free(c);
}

static int wait_to(struct pcore_cond *c, int64_t deadline)
{
	struct cond_waiter w = { .cond = PTHREAD_COND_INITIALIZER };
	struct pcore_mutex *m = c->mutex;
	unsigned depth;
	bool died = false;
	int r = 0;

	if (!held(m))
		return -EPERM;
	depth = m->depth;
	m->depth = 0;
	pcore_list_init(&w.link);
	pcore_list_add_tail(&c->waiters, &w.link);
	note_owner(m, 0);
	while (!w.woken && r == 0) {
		r = wait_until(&w.cond, &m->native, deadline);
		if (r == EOWNERDEAD) {
			(void)pthread_mutex_consistent(&m->native);
			died = true;
			r = 0;
		}
	}
	note_owner(m, self());
	m->depth = depth;
	pcore_list_del(&w.link);
	(void)pthread_cond_destroy(&w.cond);
	return w.woken ? died : -r;
}

int pcore_cond_wait(struct pcore_cond *c, int64_t timeout)
{
	return wait_to(c, deadline_of(timeout));
}

int pcore_cond_wait_for(struct pcore_cond *c, int (*ready)(void *arg), void *arg, int64_t timeout)
{
	int64_t deadline = deadline_of(timeout);
	int died = 0, r = 0;

	if (!held(c->mutex))
		return -EPERM;
	while (!ready(arg)) {
		if (r < 0)
			return r;
		r = wait_to(c, deadline);
		died |= r == 1;
	}
	return died;
}

int pcore_cond_notify(struct pcore_cond *c, unsigned n)
{
	struct pcore_list *node;
	int woken = 0;

	if (!held(c->mutex))
		return -EPERM;
	while (n-- > 0 && (node = pcore_list_pop(&c->waiters))) {
		struct cond_waiter *w = container_of(node, struct cond_waiter, link);

		w->woken = true;
		(void)pthread_cond_signal(&w->cond);
		woken++;
	}
	return woken;
}

int pcore_cond_notify_all(struct pcore_cond *c)
{
	return pcore_cond_notify(c, UINT_MAX);
}
