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

static int check_table(const char *path, struct ptimer_zones *zones)
{
	struct ptimer_table t = { 0 };
	int r = ptimer_table_read(&t, path, zones, ptimer_tell_mistake, NULL);

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
		.summary = "Tell every mistake in tables of timers. - is standard input.",
		.tables = tables,
		.targets = targets,
	};
	struct ptimer_zones zones = { 0 };
	int status = CLI_OK, operand, r = cli_opts_parse(&spec, argc, argv, &operand);

	if (r != CLI_GO)
		return r;
	if (operand == argc)
		return cli_usage("check needs a table");
	for (; operand < argc; operand++) {
		r = check_table(argv[operand], &zones);
		status = r > status ? r : status;
	}
	ptimer_zones_done(&zones);
	return status;
}
