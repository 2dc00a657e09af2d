/* SPDX-License-Identifier: MIT */
/*
 * limits.c - limits of the whole tree: by its cgroup where that has the controller, else by the process limit that comes
 * nearest, else not at all, and that is said.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/prun/run.h"

static int cannot(const struct run *r, const char *option, const char *why)
{
	if (r->opts->best_effort) {
		cli_warn("cannot set --%s: %s, ignoring", option, why);
		return CLI_GO;
	}
	return cli_error("cannot set --%s: %s (--best-effort goes on without it)", option, why);
}

/* 0; -EOPNOTSUPP where the cgroup cannot; any other -errno. Both commands of a --connect have the same limits. */
static int in_cgroup(struct run *r, const char *file, const char *value)
{
	int error = pcore_tree_limit(r->sides[0].tree, file, value);

	if (error == 0 && r->sides[1].used)
		error = pcore_tree_limit(r->sides[1].tree, file, value);
	return error;
}

static int limit_memory(struct run *r)
{
	char text[24];
	int error;

	if (!r->opts->memory)
		return CLI_GO;
	(void)snprintf(text, sizeof(text), "%" PRIu64, r->opts->memory);
	error = in_cgroup(r, "memory.max", text);
	if (error == 0) {
		(void)in_cgroup(r, "memory.swap.max", "0");
		(void)in_cgroup(r, "memory.oom.group", "1");
		r->memory_limit = "cgroup";
		return CLI_GO;
	}
	if (error != -EOPNOTSUPP)
		return cannot(r, "memory", strerror(-error));
	cli_limits_default(r->limits, &r->n_limits, RLIMIT_AS, (struct rlimit){ r->opts->memory, r->opts->memory });
	r->memory_limit = "rlimit";
	return CLI_GO;
}

static int limit_tasks(struct run *r)
{
	char text[24];
	int error;

	if (!r->opts->tasks)
		return CLI_GO;
	(void)snprintf(text, sizeof(text), "%" PRIu64, r->opts->tasks);
	error = in_cgroup(r, "pids.max", text);
	if (error == 0)
		return CLI_GO;
	if (error != -EOPNOTSUPP)
		return cannot(r, "tasks", strerror(-error));
	/* The process limit counts all that the user runs, and does not hold root: it bounds something else. */
	return cannot(r, "tasks", "no cgroup with the pids controller can be made here (--limit nproc=N counts all processes of a user)");
}

static int limit_other(struct run *r, const char *option, const char *file, const char *value)
{
	int error = in_cgroup(r, file, value);

	if (error == 0)
		return CLI_GO;
	return cannot(r, option, error == -EOPNOTSUPP ? "no cgroup with that controller can be made here" : strerror(-error));
}

int run_set_limits(struct run *r)
{
	const struct prun_opts *o = r->opts;
	char text[48];
	int status;

	r->n_limits = cli_job_limits(&o->job, r->limits);
	status = limit_memory(r);
	if (status == CLI_GO)
		status = limit_tasks(r);
	if (status == CLI_GO && o->cpu) {
		(void)snprintf(text, sizeof(text), "%" PRIu64 " 100000", o->cpu * 1000);
		status = limit_other(r, "cpu", "cpu.max", text);
	}
	if (status == CLI_GO && o->io_weight) {
		(void)snprintf(text, sizeof(text), "%" PRIu64, o->io_weight);
		status = limit_other(r, "io-weight", "io.weight", text);
	}
	return status;
}
