/* SPDX-License-Identifier: MIT */
/*
 * gate.h - in shared memory, a place to wait at for what others do under a lock. Any of those who wait or wake may be killed.
 *
 * Whoever has to wait remembers the epoch, says so in `waiting' under the lock, unlocks and sleeps on that epoch. Whoever is
 * about to change what is waited for calls pcore_gate_wake() under the lock, BEFORE the change counts: when it is killed
 * afterwards it has woken everybody, and they meet at the lock, which the kernel hands on; when before, nothing has changed.
 *
 * Where one of those who wait is enough (they take turns), the others wait for a robust lock that the sleeper holds. Whoever
 * gets it looks again before it sleeps, so that one wake-up for many goes from hand to hand, also over those that die with it.
 */
#ifndef PCORE_IPC_GATE_H
#define PCORE_IPC_GATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "libcore/base/base.h"

struct pcore_gate {
	pthread_mutex_t turn; /* with priority inheritance, because that makes the kernel hand it over, from a dead one too */
	_Atomic uint32_t epoch;
	uint32_t waiting; /* somebody sleeps or is about to */
};

int pcore_gate_init(struct pcore_gate *g);

/* With the lock: wake who sleeps at the gate, if anybody does. */
void pcore_gate_wake(struct pcore_gate *g);

/* With or without it, after what they have to see: whoever sleeps at any of n gates looks again. */
void pcore_gate_wake_all(struct pcore_gate *gates, size_t n);

struct pcore_gate_try {
	int (*lock)(void *arg); /* 0 or -errno, which ends the wait */
	void (*unlock)(void *arg);
	int (*now)(void *arg); /* with the lock: -EAGAIN, or the wait is over and this its result */
	int64_t (*alarm)(void *arg, int64_t deadline_ns); /* with the lock: when to look again, the deadline at the latest */
	void *arg;
	bool turns;
};

/* Wait until now() says anything but -EAGAIN, and return that; -ETIMEDOUT after the deadline. */
int pcore_gate_wait(struct pcore_gate *g, const struct pcore_gate_try *t, int64_t deadline_ns);

#endif
