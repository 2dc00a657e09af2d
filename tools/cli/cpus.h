/* SPDX-License-Identifier: MIT */
/*
 * cpus.h - how many CPUs there are for us, and numbers that refer to them.
 */
#ifndef PCORE_CLI_CPUS_H
#define PCORE_CLI_CPUS_H

#include "libcore/base/base.h"

enum { CLI_JOBS_MAX = 65536 }; /* at a time */

/* How many CPUs this process may use: the affinity mask, and the CPU quota of its cgroups. At least 1. */
unsigned cli_cpus(void);

/* "4", or "50%" of the CPUs (at least 1). 0, -EINVAL, -ERANGE. */
int cli_parse_share(const char *text, unsigned cpus, uint64_t *ret);

/* A number of jobs at a time: such a share, or "+2" more than there are CPUs. 0, -EINVAL, -ERANGE. */
int cli_parse_jobs(const char *text, unsigned cpus, uint64_t *ret);

/* The same as the value of an option: 0, or a status after a message that names option and value. */
int cli_opt_jobs(const char *name, const char *value, uint64_t *ret);

#endif
