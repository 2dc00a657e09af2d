/* SPDX-License-Identifier: MIT */
/*
 * ring_gate.c - a ring's lock, and how one waits for what others do under it.
 */
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

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
 * quicker, nobody is left who knows of the other waiters. Hence the two kinds:
 *   lock   ordinary, because handing it over each time would cost a switch each time; who waits for it looks again now and
 *          then (it is never held for long, so this is no way of waiting)
 *   turn   with priority inheritance, because that makes the kernel hand it over, from a dead one too
 */
int ring_locks_init(struct ring_header *h)
{
	int r = pcore_robust_mutex_init(&h->lock, false);

	for (size_t i = 0; r == 0 && i < RING_GATES; i++)
		r = pcore_robust_mutex_init(&h->wait[i].turn, true);
	return r;
}

static void futex_wake(_Atomic uint32_t *word)
{
	(void)syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Sleep while *word is value, until the deadline at most. May return early. */
static void futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t deadline_ns)
{
	struct timespec ts = { .tv_sec = deadline_ns / NS_PER_S, .tv_nsec = deadline_ns % NS_PER_S };

	(void)syscall(SYS_futex, word, FUTEX_WAIT_BITSET, value, deadline_ns == INT64_MAX ? NULL : &ts, NULL,
		FUTEX_BITSET_MATCH_ANY);
}

static void wake_all(struct pcore_ring *r)
{
	for (size_t i = 0; i < RING_GATES; i++) {
		atomic_fetch_add(&r->h->wait[i].epoch, 1);
		futex_wake(&r->h->wait[i].epoch);
	}
}

#ifdef __SANITIZE_THREAD__ /* it knows the other call only */
static int lock_until(pthread_mutex_t *lock, int64_t deadline_ns)
{
	int64_t wall = pcore_clock_ns(CLOCK_REALTIME) + deadline_ns - pcore_now_ns();

	return pthread_mutex_timedlock(lock, &(struct timespec){ wall / NS_PER_S, wall % NS_PER_S });
}
#else
static int lock_until(pthread_mutex_t *lock, int64_t deadline_ns)
{
	return pthread_mutex_clocklock(lock, CLOCK_MONOTONIC, &(struct timespec){ deadline_ns / NS_PER_S, deadline_ns % NS_PER_S });
}
#endif

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
		int e = lock_until(lock, pcore_now_ns() + LOCK_LOOK_NS);

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
	wake_all(r);
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

void ring_wake(struct pcore_ring *r, enum ring_gate gate)
{
	struct ring_wait *w = &r->h->wait[gate];

	if (!w->waiting)
		return;
	w->waiting = 0;
	atomic_fetch_add(&w->epoch, 1);
	futex_wake(&w->epoch);
}

static int take_turn(pthread_mutex_t *turn, int64_t deadline_ns)
{
	int e = deadline_ns == INT64_MAX ? pthread_mutex_lock(turn) : lock_until(turn, deadline_ns);

	if (e == EOWNERDEAD) /* it guards nothing but itself */
		e = pthread_mutex_consistent(turn);
	return -e;
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

static int sleep_until_done(struct pcore_ring *r, const struct ring_try *t, int64_t deadline_ns)
{
	struct ring_wait *w = &r->h->wait[t->gate];

	for (bool last = false;;) {
		int64_t alarm;
		uint32_t epoch;
		int n = ring_lock(r);

		if (n < 0)
			return n;
		n = t->now(r, t->arg);
		w->waiting = n == -EAGAIN ? 1 : w->waiting;
		epoch = atomic_load(&w->epoch);
		alarm = own_alarm(r, t->gate, deadline_ns);
		ring_unlock(r);
		if (n != -EAGAIN)
			return n;
		if (last)
			return -ETIMEDOUT;
		futex_wait(&w->epoch, epoch, alarm);
		last = deadline_ns != INT64_MAX && pcore_now_ns() >= deadline_ns;
	}
}

int ring_do(struct pcore_ring *r, const struct ring_try *t, int64_t deadline_ns)
{
	struct ring_wait *w = &r->h->wait[t->gate];
	int n = try_once(r, t);

	for (unsigned i = 0; n == -EAGAIN && deadline_ns != 0 && i < SPIN_TRIES && t->hint && spin(r, t); i++)
		n = try_once(r, t);
	if (n != -EAGAIN || deadline_ns == 0)
		return n;

	n = t->turns ? take_turn(&w->turn, deadline_ns) : 0;
	if (n < 0)
		return n;
	n = sleep_until_done(r, t, deadline_ns);
	if (t->turns)
		(void)pthread_mutex_unlock(&w->turn);
	return n;
}
