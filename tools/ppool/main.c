/* SPDX-License-Identifier: MIT */
/*
 * ppool - a pool of jobs: options, then one call.
 */
#include <string.h>

#include "tools/cli/verb.h"
#include "tools/map/map.h"
#include "tools/ppool/named.h"

static const char *verb_at(size_t i, const char **ret_summary);

static const struct map_face face = {
	.tool = "ppool",
	.usage = "ppool map [options] COMMAND [ARG...] [::: ITEM...]...\n"
		 "ppool starmap [options] COMMAND [ARG...] [::: ITEM...]...\n"
		 "ppool call [options] LIB.so:SYMBOL [::: ITEM...]...\n"
		 "ppool open|apply|async|after|get|ready|wait|list|cancel|resize|pause|resume|close|\n"
		 "      terminate|join [options] NAME ...         (named pools; each has its own --help)",
	.summary = "Map COMMAND over items, lines of stdin or the words after `:::', several at a time; print\n"
		   "what the jobs write in the order of the items. Options end at COMMAND. `starmap' splits\n"
		   "each line into columns; several `:::' give all combinations, and `:::+' goes along with\n"
		   "the one before it.",
	.verb = verb_at,
	.footer = "Placeholders: {} the item, {.} without extension, {/} last component, {//} directory, {/.} both,\n"
		  "{#} job number, {%} slot; {1} {2} {-1} {name} columns, {1.} {1/} {1//} {1/.} parts of these.\n"
		  "Without one the item, or each column, is appended. The exit status is 0 when all jobs\n"
		  "succeeded, 1 when some failed, 125 when ppool did, 126 or 127 when COMMAND cannot be run.\n",
};

static const struct map_face call_face = {
	.tool = "ppool",
	.usage = "ppool call [--threads|--processes] [options] LIB.so:SYMBOL [::: ITEM...]...",
	.summary = "Call a C function for each item, several at a time; print what the calls give in the order of the\n"
		   "items. ppool(1) shows such a function: int f(const void *item, size_t size, struct pcore_out *out).",
	.footer = "The exit status is 0 when all calls returned 0, 1 when some did not, 125 when ppool failed, 126\n"
		  "or 127 when the function cannot be loaded or is not there.\n",
	.calls = true,
};

static int call(int argc, char **argv)
{
	return map_main(&call_face, argc, argv);
}

static int map(int argc, char **argv)
{
	return map_main(&face, argc, argv);
}

static const struct cli_verb verbs[] = {
	{ "map", map },
	{ "starmap", map },
	{ "call", call },
	{ "open", ppool_open },
	{ "apply", ppool_apply },
	{ "async", ppool_async },
	{ "after", ppool_after },
	{ "get", ppool_get },
	{ "ready", ppool_ready },
	{ "wait", ppool_wait },
	{ "list", ppool_list },
	{ "cancel", ppool_cancel },
	{ "resize", ppool_resize },
	{ "pause", ppool_pause },
	{ "resume", ppool_resume },
	{ "close", ppool_close },
	{ "terminate", ppool_terminate },
	{ "join", ppool_join },
};

static const char *verb_at(size_t i, const char **ret_summary)
{
	*ret_summary = NULL;
	return i < ARRAY_SIZE(verbs) ? verbs[i].name : NULL;
}

static int run(int argc, char **argv)
{
	const struct cli_verb *v;

	if (argc < 2)
		return cli_usage("no verb given: ppool map COMMAND");
	if (argv[1][0] == '-')
		return map_help(&face, argc, argv); /* --help and --version work without a verb: they are map's */
	if (strcmp(argv[1], "call-worker") == 0) /* what `call --processes' runs */
		return call_worker(argc - 1, argv + 1);
	v = cli_verb_find(verbs, ARRAY_SIZE(verbs), argv[1]);
	return v ? v->run(argc - 1, argv + 1) : cli_verb_unknown(verb_at, argv[1]);
}

int main(int argc, char **argv)
{
	cli_start("ppool");
	cli_exit(run(argc, argv));
}
