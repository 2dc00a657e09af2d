/* SPDX-License-Identifier: MIT */
/*
 * workopts.c - the command line of pqueue work.
 */
#include <stdio.h>
#include <string.h>

#include "tools/cli/cpus.h"
#include "tools/pqueue/work.h"

#define AT(member) offsetof(struct work_opts, member)

#define BACKOFF_MAX (300 * NS_PER_S)

static int set_jobs(void *opts, const char *name, const char *value)
{
	struct work_opts *o = opts;
	int r = cli_opt_jobs(name, value, &o->jobs);

	return r == 0 && o->jobs > CLI_JOBS_MAX ? cli_opt_bad(name, value, "out of range") : r;
}

/* D or D..MAX; MAX is five minutes, or D where that is longer. */
static int set_backoff(void *opts, const char *name, const char *value)
{
	struct work_opts *o = opts;
	const char *dots = strstr(value, "..");
	size_t len = dots ? (size_t)(dots - value) : strlen(value);
	char first[64];

	(void)snprintf(first, sizeof(first), "%.*s", (int)len, value);
	if (len >= sizeof(first) || pcore_parse_duration(first, &o->backoff) < 0)
		return cli_opt_bad(name, value, "must be D or D..MAX, durations as 1s..5m");
	o->backoff_max = o->backoff > BACKOFF_MAX ? o->backoff : BACKOFF_MAX;
	if (dots && (pcore_parse_duration(dots + 2, &o->backoff_max) < 0 || o->backoff_max < o->backoff))
		return cli_opt_bad(name, value, "must be D or D..MAX, durations as 1s..5m, the longer one last");
	return 0;
}

static int set_lease(void *opts, const char *name, const char *value)
{
	struct work_opts *o = opts;
	int r = pqueue_opt_duration(name, value, &o->lease);

	return r == 0 && o->lease < NS_PER_MS ? cli_opt_bad(name, value, "must be 1ms at least") : r;
}

static const struct cli_opt work_table[] = {
	{ .name = "Items", .kind = CLI_OPT_HEADING },
	{ .name = "jobs", .letter = 'j', .kind = CLI_OPT_CALL, .arg = "N|N%|+N", .set = set_jobs, .help = "so many at a time (one for each CPU)" },
	{ .name = "attempts", .kind = CLI_OPT_U64, .arg = "N", .offset = AT(attempts), .min = 1, .max = 1000000, .help = "an item that failed so often is dead (3)" },
	{ .name = "backoff", .kind = CLI_OPT_CALL, .arg = "D[..MAX]", .set = set_backoff, .help = "keep a failed item back for D, doubled each time,\nup to MAX (1s..5m)" },
	{ .name = "lease", .kind = CLI_OPT_CALL, .arg = "D", .set = set_lease, .help = "give an item up that long after we have stopped\nto move (1m)" },
	{ .name = "once", .kind = CLI_OPT_FLAG, .offset = AT(once), .help = "end when no item is ready" },
	{ .name = "shell", .kind = CLI_OPT_FLAG, .offset = AT(shell), .help = "COMMAND is a text for sh; items are quoted" },
	{ .name = "buffer", .kind = CLI_OPT_SIZE, .arg = "SIZE", .offset = AT(buffer), .help = "hold so much output in memory, then a file (64M)" },
	{ .name = NULL },
};

static int parse(const struct cli_opts *spec, struct work_opts *o, int argc, char **argv)
{
	int operand = 0, r = cli_opts_parse(spec, argc, argv, &operand);

	if (r != CLI_GO)
		return r;
	o->name = argv[operand];
	if (!o->name)
		return cli_usage("no name given: %s", spec->usage);
	argc -= operand;
	argv += operand;
	r = cli_opts_parse(spec, argc, argv, &operand); /* the options after the name */
	if (r != CLI_GO)
		return r;
	o->words = argv + operand;
	o->n_words = (size_t)(argc - operand);
	if (o->n_words == 0)
		return cli_usage("no command given: %s", spec->usage);
	return o->words[0][0] ? CLI_GO : cli_usage("the command is empty");
}

int pqueue_work(int argc, char **argv)
{
	struct work_opts o = {
		.attempts = 3,
		.backoff = NS_PER_S,
		.backoff_max = BACKOFF_MAX,
		.lease = 60 * NS_PER_S,
		.buffer = UINT64_C(64) << 20,
	};
	const struct cli_opt *tables[] = { work_table, cli_job_place_table, cli_job_bounds_table, cli_job_identity_table,
		cli_job_time_table, NULL };
	void *targets[] = { &o, &o.job, &o.job, &o.job, &o.job };
	struct cli_opts spec = {
		.usage = "pqueue work [options] NAME [options] COMMAND [ARG...]",
		.summary = "Run COMMAND for each item of a queue, several at a time, until the queue is closed and empty.\n"
			   "An item whose command fails comes back later, and is dead in the end (pqueue dead).",
		.tables = tables,
		.targets = targets,
		.stop_at_operand = true,
		.footer = "Placeholders: {} the item, {.} without extension, {/} last component, {//} directory, {/.} both,\n"
			  "{#} job number, {%} slot. Without one for the item it is the standard input of COMMAND.\n",
	};
	int r;

	cli_job_opts_init(&o.job);
	r = parse(&spec, &o, argc, argv);
	if (r == CLI_GO)
		r = work_run(&o);
	cli_job_opts_done(&o.job);
	return r;
}
