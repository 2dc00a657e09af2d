/* SPDX-License-Identifier: MIT */
/*
 * map.h - the verbs map and starmap, which ppool and psubmit have in common: a command over items, in order.
 */
#ifndef PCORE_MAP_H
#define PCORE_MAP_H

#include "libcore/pool/pool.h"
#include "tools/cli/collate.h"
#include "tools/cli/cpus.h"
#include "tools/cli/jobopts.h"
#include "tools/cli/progress.h"
#include "tools/map/feed.h"
#include "tools/map/govern.h"
#include "tools/map/record.h"
#include "tools/map/source.h"
#include "tools/map/workers.h"

/* The tool that maps. */
struct map_face {
	const char *tool; /* its name */
	const char *usage, *summary, *footer; /* of --help */
};

/* Strings are borrowed from argv. */
struct map_opts {
	const struct map_face *face;
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

/* The verb argv[0] with the options and operands behind it. The status to exit with; dies of a signal itself where that is due. */
int map_main(const struct map_face *face, int argc, char **argv);

/* The same without a verb: --help and --version. */
int map_help(const struct map_face *face, int argc, char **argv);

/* Map the command over the items, as map_main() does when the options are read. */
int map_run(struct map_opts *opts);

#endif
