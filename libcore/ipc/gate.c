/* SPDX-License-Identifier: MIT */
/*
 * gate.c - waiting for what others do under a lock.
 */
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "libcore/ipc/gate.h"

int pcore_gate_init(struct pcore_gate *g)
{
	return pcore_robust_mutex_init(&g->turn, true);
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

void pcore_gate_wake(struct pcore_gate *g)
{
	if (!g->waiting)
		return;
	g->waiting = 0;
	pcore_gate_wake_all(g, 1);
}

void pcore_gate_wake_all(struct pcore_gate *gates, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		atomic_fetch_add(&gates[i].epoch, 1);
		futex_wake(&gates[i].epoch);
	}
}

static int take_turn(pthread_mutex_t *turn, int64_t deadline_ns)
{
	int e = deadline_ns == INT64_MAX ? pthread_mutex_lock(turn) : pcore_mutex_lock_until(turn, deadline_ns);

	if (e == EOWNERDEAD) /* it guards nothing but itself */
		e = pthread_mutex_consistent(turn);
	return -e;
}

static int sleep_until_done(struct pcore_gate *g, const struct pcore_gate_try *t, int64_t deadline_ns)
{
	for (bool last = false;;) {
		/* before anything is looked at: who wakes without the lock has changed something first */
		uint32_t epoch = atomic_load(&g->epoch);
		int64_t alarm;
		int n = t->lock(t->arg);

		if (n < 0)
			return n;
		n = t->now(t->arg);
		g->waiting = n == -EAGAIN ? 1 : g->waiting;
		alarm = t->alarm(t->arg, deadline_ns);
		t->unlock(t->arg);
		if (n != -EAGAIN)
			return n;
		if (last)
			return -ETIMEDOUT;
		futex_wait(&g->epoch, epoch, alarm);
		last = deadline_ns != INT64_MAX && pcore_now_ns() >= deadline_ns;
	}
}

int pcore_gate_wait(struct pcore_gate *g, const struct pcore_gate_try *t, int64_t deadline_ns)
{
	int n = t->turns ? take_turn(&g->turn, deadline_ns) : 0;

	if (n < 0)
		return n;
	n = sleep_until_done(g, t, deadline_ns);
	if (t->turns)
		(void)pthread_mutex_unlock(&g->turn);
	return n;
}
