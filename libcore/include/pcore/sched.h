/* SPDX-License-Identifier: MIT */
/*
 * sched.h - events that are run in the order of their times by whichever thread runs the scheduler.
 *
 * Any thread may enter and cancel events at any time, an action as well: one that is due earlier than what is waited for is
 * run in its time. Times are ns on CLOCK_MONOTONIC.
 */
#ifndef PCORE_INCLUDE_SCHED_H
#define PCORE_INCLUDE_SCHED_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct pcore_scheduler;

/* 0; anything else makes the run that called it return that. */
typedef int (*pcore_scheduler_fn)(void *arg);

struct pcore_scheduler_event {
	uint64_t id; /* from 1, never the same again */
	int64_t when; /* CLOCK_MONOTONIC, ns */
	int priority; /* of events that are due at the same time the lowest is the first; of the same, the one entered first */
	pcore_scheduler_fn fn;
	void *arg;
};

/* 0, -ENOMEM. It is freed when no thread is in there, with the events that were not run; NULL is fine. */
int pcore_scheduler_new(struct pcore_scheduler **ret);
void pcore_scheduler_free(struct pcore_scheduler *s);

/* Let fn(arg) be called after delay ns, or at a time. *ret_id (or NULL) is for cancelling it. 0; -EINVAL (also less than 0), -ENOMEM. */
int pcore_scheduler_enter(
	struct pcore_scheduler *s, int64_t delay, int priority, pcore_scheduler_fn fn, void *arg, uint64_t *ret_id);
int pcore_scheduler_enterabs(
	struct pcore_scheduler *s, int64_t when, int priority, pcore_scheduler_fn fn, void *arg, uint64_t *ret_id);

/* 0, -ENOENT: it has been run, or cancelled, or never was. */
int pcore_scheduler_cancel(struct pcore_scheduler *s, uint64_t id);

/* Run events, each in its time, until there are none. 0, or what an action said: the other events are still there. */
int pcore_scheduler_run(struct pcore_scheduler *s);

/* Run those that are due, and do not wait. 0, and *ret_delay (or NULL) is ns until the next one, INT64_MAX for none; or what an action
 * said. */
int pcore_scheduler_run_due(struct pcore_scheduler *s, int64_t *ret_delay);

/* The next event. 0, -ENODATA. */
int pcore_scheduler_next(struct pcore_scheduler *s, struct pcore_scheduler_event *ret);

/* Copy the first max events in the order they will be run. How many there are altogether, -ENOMEM. */
ssize_t pcore_scheduler_list(struct pcore_scheduler *s, struct pcore_scheduler_event *events, size_t max);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
