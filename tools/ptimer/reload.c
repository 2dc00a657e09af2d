/* SPDX-License-Identifier: MIT */
/*
 * reload.c - the timers of a table, and what becomes of them when it is read again: a line that says the same word for word keeps
 * its timer, with its phase, its count and its jobs; what is gone or different ends, but for its running jobs; what is new or
 * different begins.
 */
#include <string.h>

#include "tools/ptimer/background.h"
#include "tools/ptimer/runner.h"
#include "tools/ptimer/table.h"

static void free_line(void *owner)
{
	ptimer_timer_free(owner);
}

static void tell(void *ctx, const char *file, unsigned line, unsigned column, const char *what)
{
	const struct runner *r = ctx;

	if (r->background && r->background->detached && r->background->ready_fd < 0) /* nobody reads our stderr */
		cli_warn("%s:%u:%u: %s", file, line, column, what);
	else
		ptimer_tell_mistake(NULL, file, line, column, what);
}

/* CLI_GO, or a status after a message. */
static int read_table(struct runner *r, struct ptimer_table *t)
{
	int e = ptimer_table_read(t, r->opts->table, &r->zones.named, tell, r);

	if (e < 0)
		return cli_error("cannot read '%s': %s", r->opts->table, strerror(-e));
	return e > 0 ? cli_error("'%s' has %d mistake%s", r->opts->table, e, e == 1 ? "" : "s") : CLI_GO;
}

/* The line becomes the timer's. */
static int add_line(struct runner *r, struct ptimer_timer **line)
{
	struct timer *t;
	int status = runner_add(r, &(*line)->opts, (*line)->name, (int)(*line)->priority, true, &t);

	if (status != CLI_GO)
		return status;
	t->owner = *line;
	t->free_owner = free_line;
	*line = NULL;
	return CLI_GO;
}

int table_load(struct runner *r)
{
	struct ptimer_table table = { 0 };
	int status = read_table(r, &table);

	for (size_t i = 0; i < table.n && status == CLI_GO; i++)
		status = add_line(r, &table.timers[i]);
	ptimer_table_done(&table);
	return status;
}

/* Keep the timers of lines that are the same, take the others away. */
static void match_timers(struct runner *r, struct ptimer_table *table)
{
	PCORE_LIST_FOREACH_SAFE(node, &r->timers) {
		struct timer *t = container_of(node, struct timer, link);
		struct ptimer_timer *line = t->owner, *now;

		if (t->id) /* it was entered */
			continue;
		now = ptimer_table_find(table, t->name);
		if (!now || !ptimer_timer_equal(line, now))
			runner_remove(r, t);
	}
}

void table_reload(struct runner *r)
{
	struct ptimer_table table = { 0 };
	int status = strcmp(r->opts->table, "-") == 0 ? cli_error("cannot read standard input again") : read_table(r, &table);

	if (status != CLI_GO)
		cli_warn("the timers stay as they were");
	else
		match_timers(r, &table);
	for (size_t i = 0; i < table.n && status == CLI_GO; i++) {
		const struct timer *t = runner_find(r, table.timers[i]->name);

		if (!t) /* else it is kept */
			status = add_line(r, &table.timers[i]);
	}
	ptimer_table_done(&table);
}

int ptimer_run_table(int argc, char **argv)
{
	static const struct cli_opt run_table[] = {
		{ .name = "The timers", .kind = CLI_OPT_HEADING },
		{ .name = "jobs", .letter = 'j', .kind = CLI_OPT_U64, .arg = "N", .offset = offsetof(struct ptimer_opts, jobs), .min = 1,
			.max = 65536, .help = "at most N jobs at a time (1000)" },
		{ .name = "state", .kind = CLI_OPT_STRING, .arg = "FILE", .offset = offsetof(struct ptimer_opts, state),
			.help = "go on from what FILE says, and record there" },
		{ .name = "keep", .kind = CLI_OPT_FLAG, .offset = offsetof(struct ptimer_opts, keep), .help = "go on when nothing is left to do: events\nmay be entered" },
		{ .name = NULL },
	};
	struct ptimer_opts o;
	const struct cli_opt *const tables[] = { run_table, ptimer_background_table, NULL };
	void *const targets[] = { &o, &o };
	const struct cli_opts spec = {
		.usage = "ptimer run TABLE [options]",
		.summary = "Run all timers of TABLE (see ptimer check). HUP reads it again. - is standard input.",
		.tables = tables,
		.targets = targets,
	};
	int operand = 0, status;

	ptimer_opts_init(&o);
	o.words = argv;
	status = cli_opts_parse(&spec, argc, argv, &operand);
	if (status == CLI_GO && !argv[operand])
		status = cli_usage("run needs a table");
	if (status == CLI_GO && argv[operand + 1])
		status = cli_usage("one table is run at a time, not '%s' too", argv[operand + 1]);
	if (status == CLI_GO && o.state && !*o.state)
		status = cli_opt_bad("state", "", "must be the name of a file");
	if (status == CLI_GO) {
		o.table = argv[operand];
		status = ptimer_run(&o);
	}
	ptimer_opts_done(&o);
	return status;
}
