/* SPDX-License-Identifier: MIT */
/*
 * ring_gate.c - a ring's lock, and how one waits for what others do under it.
 */
#include "libcore/ipc/ring_private.h"

#define LOCK_LOOK_NS (20 * NS_PER_MS)

enum { LOCK_SPIN = 1000, SPIN_MAX = 1000, SPIN_PROBE = 32, SPIN_TRIES = 16 };

static inline void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/*
 * An unlock of an ordinary mutex wakes one waiter, who then has to take it. If that one is killed and somebody else was
 * quicker, nobody is left who knows of the other waiters. The lock is an ordinary one all the same, because handing it over
 * each time would cost a switch each time; who waits for it looks again now and then (it is never held for long, so this is
 * no way of waiting).
 */
int ring_locks_init(struct ring_header *h)
{
	int r = pcore_robust_mutex_init(&h->lock, false);

	for (size_t i = 0; r == 0 && i < RING_GATES; i++)
		r = pcore_gate_init(&h->gate[i]);
	return r;
}

/* Whoever holds the lock holds it for some microseconds at most, unless it moves megabytes or does not run; to sleep and to be
 * woken takes longer. */
static int lock_or_spin(pthread_mutex_t *lock, unsigned rounds)
{
	for (unsigned i = 0; i <= rounds; i++) {
		int e = pthread_mutex_trylock(lock);

		if (e != EBUSY)
			return e;
		for (unsigned k = 0; k < 4; k++)
			cpu_relax();
	}
	for (;;) {
		int e = pcore_mutex_lock_until(lock, pcore_now_ns() + LOCK_LOOK_NS);

		if (e != ETIMEDOUT)
			return e;
	}
}

/* Only when all is derived does the lock become consistent: who dies in here leaves the work to the next one. A ring that
 * makes no sense is never locked again by anybody. */
int ring_lock(struct pcore_ring *r)
{
	int e = lock_or_spin(&r->h->lock, r->one_cpu ? 0 : LOCK_SPIN);

	if (e == ENOTRECOVERABLE)
		return -EBADMSG;
	if (e != EOWNERDEAD)
		return -e;

	e = ring_derive(r);
	pcore_gate_wake_all(r->h->gate, RING_GATES);
	if (e < 0) {
		ring_unlock(r);
		return e;
	}
	r->h->counts.recoveries++;
	(void)pthread_mutex_consistent(&r->h->lock);
	return 0;
}

void ring_unlock(struct pcore_ring *r)
{
	(void)pthread_mutex_unlock(&r->h->lock);
}

static int try_once(struct pcore_ring *r, const struct ring_try *t)
{
	int n = ring_lock(r);

	if (n == 0) {
		n = t->now(r, t->arg);
		ring_unlock(r);
	}
	return n;
}

/*
 * Others may be about to do what is waited for, on another CPU; a sleep and a wake-up cost more than a while of looking.
 * How long is learnt: twice as long as it took when it was worth it, half of it when it was not, and when that has come
 * down to nothing a short look now and then.
 */
static bool spin(struct pcore_ring *r, const struct ring_try *t)
{
	_Atomic unsigned *learnt = &r->spin[t->gate == RING_PUT];
	unsigned max = atomic_load_explicit(learnt, memory_order_relaxed), rounds = max;

	if (r->one_cpu)
		return false;
	if (max < SPIN_PROBE)
		rounds = max == 0 ? 100 : 0; /* counts up to the next look */
	for (unsigned i = 0; i < rounds; i++) {
		if (t->hint(r, t->arg)) {
			max = i < SPIN_MAX / 2 - SPIN_PROBE ? 2 * (i + SPIN_PROBE) : SPIN_MAX;
			atomic_store_explicit(learnt, max, memory_order_relaxed);
			return true;
		}
		cpu_relax();
	}
	if (max >= SPIN_PROBE)
		max = max / 2 >= SPIN_PROBE ? max / 2 : 1;
	else
		max = (max + 1) % SPIN_PROBE;
	atomic_store_explicit(learnt, max, memory_order_relaxed);
	return false;
}

/* When the sleeper has to look by itself: an item is due, or a holder may have died. Neither makes room. */
static int64_t own_alarm(struct pcore_ring *r, enum ring_gate gate, int64_t deadline_ns)
{
	uint32_t top = ring_due_top(r);
	int64_t alarm = deadline_ns;

	if (gate == RING_PUT)
		return alarm;
	if (top && ring_head(r, top)->due < alarm)
		alarm = ring_head(r, top)->due;
	if (r->h->n_held > 0 && deadline_ns - NS_PER_S > pcore_now_ns()) {
		int64_t look = pcore_ns_add(pcore_now_ns(), NS_PER_S);

		alarm = look < alarm ? look : alarm;
	}
	return alarm;
}

/* One who waits, as the gate sees it. */
struct waiter {
	struct pcore_ring *r;
	const struct ring_try *t;
};

static int waiter_lock(void *arg)
{
	return ring_lock(((struct waiter *)arg)->r);
}

static void waiter_unlock(void *arg)
{
	ring_unlock(((struct waiter *)arg)->r);
}

static int waiter_now(void *arg)
{
	struct waiter *w = arg;

	return w->t->now(w->r, w->t->arg);
}

static int64_t waiter_alarm(void *arg, int64_t deadline_ns)
{
	struct waiter *w = arg;

	return own_alarm(w->r, w->t->gate, deadline_ns);
}

int ring_do(struct pcore_ring *r, const struct ring_try *t, int64_t deadline_ns)
{
	struct waiter w = { r, t };
	int n = try_once(r, t);

	for (unsigned i = 0; n == -EAGAIN && deadline_ns != 0 && i < SPIN_TRIES && t->hint && spin(r, t); i++)
		n = try_once(r, t);
	if (n != -EAGAIN || deadline_ns == 0)
		return n;

	return pcore_gate_wait(&r->h->gate[t->gate],
		&(struct pcore_gate_try){ waiter_lock, waiter_unlock, waiter_now, waiter_alarm, &w, t->turns }, deadline_ns);
}
