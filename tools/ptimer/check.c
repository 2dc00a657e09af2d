/* SPDX-License-Identifier: MIT */
/*
 * check.c - ptimer check: tells what is wrong with tables.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/ptimer/table.h"

/* One line in one write, as a compiler would say it. */
void ptimer_tell_mistake(void *ctx, const char *file, unsigned line, unsigned column, const char *what)
{
	char name[1024], text[2560];
	int len;

	(void)ctx;
	pcore_escape(name, sizeof(name), file, strlen(file));
	len = snprintf(text, sizeof(text), "%s:%u:%u: %s\n", name, line, column, what);
	(void)cli_write(STDERR_FILENO, text, (size_t)len);
}

struct check {
	struct ptimer_zones zones;
	struct pcore_zone *local; /* of what names no zone */
	int64_t now;
};

static const char *doubt(void *ctx, const struct ptimer_timer *t)
{
	const struct check *c = ctx;
	const struct ptimer_opts *o = &t->opts;
	const struct pcore_zone *z = t->zone ? t->zone : c->local;
	int64_t due;

	if ((o->verb == PTIMER_ON || o->verb == PTIMER_CRON) && pcore_when_next(&o->when, z, o->dst, c->now, &due) < 0)
		return "it never comes: there is no such time before the year 2200";
	if (o->verb == PTIMER_AT && c->now - pcore_time_resolve(&o->time, z, c->now) > (o->max_late < 0 ? 0 : o->max_late))
		return "it has passed";
	return NULL;
}

static int check_table(struct check *c, const char *path)
{
	struct ptimer_table t = { .names_only = true, .doubt = doubt };
	int r = ptimer_table_read(&t, path, &c->zones, ptimer_tell_mistake, c);

	ptimer_table_done(&t);
	if (r < 0)
		return cli_error("cannot read '%s': %s", path, strerror(-r));
	return r > 0 ? CLI_NO : CLI_OK;
}

int ptimer_check(int argc, char **argv)
{
	static const struct cli_opt *const tables[] = { NULL };
	static void *const targets[] = { NULL };
	const struct cli_opts spec = {
		.usage = "ptimer check TABLE...",
		.summary = "Tell what is wrong with tables of timers, as FILE:LINE:COLUMN: what. - is standard input.",
		.tables = tables,
		.targets = targets,
		.footer = "Each line of a table is NAME: VERB WHEN [options] [-- COMMAND [ARG...]]. It has the options of its verb\n"
			  "(see ptimer VERB --help), and one more:\n"
			  "  --priority N              who is first of those due at the same time: the lowest (0)\n\n"
			  "The exit status is 1 when something is wrong, 125 when a table cannot be read.\n",
	};
	struct check c = { .now = pcore_clock_ns(CLOCK_REALTIME) };
	const struct ptimer_opts defaults = { 0 };
	int status = CLI_OK, operand, r = cli_opts_parse(&spec, argc, argv, &operand);

	if (r != CLI_GO)
		return r;
	if (operand == argc)
		return cli_usage("check needs a table");
	r = ptimer_zone(&defaults, NULL, &c.local, NULL);
	if (r != CLI_GO)
		return r;
	for (; operand < argc; operand++) {
		r = check_table(&c, argv[operand]);
		status = r > status ? r : status;
	}
	pcore_zone_free(c.local);
	ptimer_zones_done(&c.zones);
	return status;
}
