/* SPDX-License-Identifier: MIT */
/*
 * ppool.h - what ppool is asked to do.
 */
#ifndef PCORE_PPOOL_H
#define PCORE_PPOOL_H

#include "libcore/pool/pool.h"
#include "tools/cli/collate.h"
#include "tools/cli/jobopts.h"
#include "tools/cli/progress.h"
#include "tools/ppool/feed.h"
#include "tools/ppool/govern.h"
#include "tools/ppool/record.h"
#include "tools/ppool/source.h"
#include "tools/ppool/workers.h"

enum { JOBS_MAX = 65536 };

/* Strings are borrowed from argv. */
struct map_opts {
	struct cli_job_opts job;
	struct govern_opts govern;
	struct record_opts record;
	struct source_opts source;
	struct workers_opts workers;
	struct feed_opts feed;
	char **words; /* COMMAND and its arguments */
	size_t n_words;

	bool shell, unordered, live, raw, tag, dry_run, verbose;
	bool progress;
	enum cli_progress_style progress_style;
	uint64_t jobs, buffer;
	int64_t delay;
	struct pcore_pool_halt halt;
};

/* Map the command over the items. The status to exit with; dies of a signal itself where that is due. */
int ppool_map(struct map_opts *opts);

/* How many CPUs this process may use: the affinity mask, and the CPU quota of its cgroups. At least 1. */
unsigned ppool_cpus(void);

/* A number of jobs at a time: N, N% of the CPUs, or +N more than these. 0, or a status after a message that names option and
 * value. */
int ppool_parse_jobs(const char *name, const char *value, uint64_t *ret);

#endif
