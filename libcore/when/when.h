/* SPDX-License-Identifier: MIT */
/*
 * when.h - level 2: when something is due. Zones, calendar and cron expressions, points in time as people write them, and
 * the next run. Pure functions: nothing here reads a clock, `now' is always an argument.
 *
 * Instants are nanoseconds since the epoch. Wall-clock times are too, as if the clock showed UTC: 1970-01-01 00:00 is 0.
 */
#ifndef PCORE_WHEN_H
#define PCORE_WHEN_H

#include "libcore/when/calendar.h"
#include "libcore/when/civil.h"
#include "libcore/when/cron.h"
#include "libcore/when/next.h"
#include "libcore/when/time.h"
#include "libcore/when/zone.h"

#endif
