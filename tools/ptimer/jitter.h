/* SPDX-License-Identifier: MIT */
/*
 * jitter.h - by how much a tick is made later. Pure functions; the longest time is a possible one.
 */
#ifndef PCORE_PTIMER_JITTER_H
#define PCORE_PTIMER_JITTER_H

#include <stdint.h>

/* Another one each time: *random is what was drawn last, at first any number. */
int64_t jitter_draw(uint64_t *random, int64_t max);

/* Always the same for a timer of a machine, and for others another one, so that many machines do not do the same at once. */
int64_t jitter_fixed(const char *machine, const char *timer, int64_t max);

enum { JITTER_MACHINE_SIZE = 256 };

/* What this machine is called: its id, /etc/machine-id, else the name of the host. Returns buf. */
const char *jitter_machine(char buf[static JITTER_MACHINE_SIZE]);

#endif
