/* SPDX-License-Identifier: MIT */
/*
 * verb.c - the first word of tools that have verbs.
 */
#include "tools/cli/verb.h"

#include <stdio.h>
#include <string.h>

const struct cli_verb *cli_verb_find(const struct cli_verb *verbs, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

int cli_verb_unknown(const char *(*verb)(size_t i, const char **ret_summary), const char *word)
{
	const char *name, *summary;
	char list[256] = "";
	size_t len = 0;

	for (size_t i = 0; len < sizeof(list) && (name = verb(i, &summary)); i++)
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", i > 0 ? ", " : "", name);
	return cli_usage("unknown verb '%s': must be one of %s", word, list);
}

int cli_verb_none(const struct cli_opts *help, int argc, char **argv)
{
	static const struct cli_opt *const tables[] = { NULL };
	static void *const targets[] = { NULL };
	struct cli_opts spec = *help;
	int operand = 0, r;

	spec.tables = tables;
	spec.targets = targets;
	r = cli_opts_parse(&spec, argc, argv, &operand);
	return r == CLI_GO ? cli_usage("options come after the verb") : r;
}
