/* SPDX-License-Identifier: MIT */
/*
 * psubmit - map a command over many machines: ppool's map with another executor.
 */
#include <inttypes.h>
#include <string.h>

#include "tools/cli/verb.h"
#include "tools/psubmit/verbs.h"

static void cut_short(int sig, const struct pcore_pool_counts *done)
{
	cli_warn("ended by SIG%s: %" PRIu64 " jobs succeeded, %" PRIu64 " failed", sigabbrev_np(sig), done->succeeded, done->failed);
}

static const char *verb_at(size_t i, const char **ret_summary);

static const struct map_face face = {
	.tool = "psubmit",
	.usage = "psubmit map [options] COMMAND [ARG...] [::: ITEM...]...\n"
		 "psubmit starmap [options] COMMAND [ARG...] [::: ITEM...]...\n"
		 "psubmit apply|async|get|wait|status|cancel|logs|attach|list|forget|explain|nodes|stats ...\n"
		 "      (with a scheduler; each has its own --help)",
	.summary = "Map COMMAND over items, lines of stdin or the words after `:::', on the nodes of a cluster; print\n"
		   "what the jobs write in the order of the items: what works with ppool works with psubmit. Without\n"
		   "--nodes or --scheduler this machine is the only node.",
	.footer = "Placeholders are those of ppool map. The exit status is 0 when all jobs succeeded, 1 when some failed or\n"
		  "were lost, 76 or 77 when no node speaks our version or takes our key, 125 when psubmit failed.\n",
	.verb = verb_at,
	.table = psubmit_table,
	.target = &psubmit_opts,
	.check = psubmit_check,
	.executor = psubmit_executor,
	.ended = psubmit_ended,
	.over = psubmit_over,
	.running = psubmit_running,
	.cpus = psubmit_cpus,
	.feed = pcore_cluster_feed,
	.resume_errors = psubmit_resume_errors,
	.status = psubmit_status,
	.cut_short = cut_short,
};

static int map(int argc, char **argv)
{
	return map_main(&face, argc, argv);
}

static const struct cli_verb verbs[] = {
	{ "map", map },
	{ "starmap", map },
	{ "apply", psubmit_apply },
	{ "async", psubmit_async },
	{ "get", psubmit_get },
	{ "wait", psubmit_wait },
	{ "status", psubmit_status_verb },
	{ "cancel", psubmit_cancel },
	{ "logs", psubmit_logs },
	{ "attach", psubmit_attach },
	{ "list", psubmit_list },
	{ "forget", psubmit_forget },
	{ "explain", psubmit_explain },
	{ "nodes", psubmit_nodes },
	{ "stats", psubmit_stats },
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
		return cli_usage("no verb given: psubmit map COMMAND");
	if (argv[1][0] == '-')
		return map_help(&face, argc, argv);
	v = cli_verb_find(verbs, ARRAY_SIZE(verbs), argv[1]);
	return v ? v->run(argc - 1, argv + 1) : cli_verb_unknown(verb_at, argv[1]);
}

int main(int argc, char **argv)
{
	cli_start("psubmit");
	cli_exit(run(argc, argv));
}
