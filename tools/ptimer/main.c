/* SPDX-License-Identifier: MIT */
/*
 * ptimer - commands and lines at the right time: which verb it is, then one call.
 */
#include "tools/cli/verb.h"
#include "tools/ptimer/ptimer.h"

static const char *verb_at(size_t i, const char **ret_summary)
{
	static const char *const verbs[] = { "after", "at", "every", "on", "cron", "sleep", "next", "run", "check", "import", "list", "cancel",
		"trigger", "enter", "log" };

	*ret_summary = NULL;
	return i < ARRAY_SIZE(verbs) ? verbs[i] : NULL;
}

/* Without a verb there is only --help and --version. */
static int no_verb(int argc, char **argv)
{
	static const struct cli_opts help = {
		.usage = "ptimer after DURATION [options] [-- COMMAND [ARG...]]\nptimer at TIME [options] [-- COMMAND [ARG...]]\n"
			 "ptimer every DURATION [options] [-- COMMAND [ARG...]]\nptimer on CALENDAR [options] [-- COMMAND [ARG...]]\n"
			 "ptimer cron EXPRESSION [options] [-- COMMAND [ARG...]]\nptimer sleep DURATION | until TIME [options]\n"
			 "ptimer next [on|cron|every|at] EXPRESSION [options]\nptimer run TABLE [options]\nptimer check TABLE...\n"
			 "ptimer import [--system] CRONTAB\n"
			 "ptimer list [--json] [NAME...]\nptimer cancel NAME[/TIMER]...\nptimer trigger NAME[/TIMER]\n"
			 "ptimer enter NAME DELAY PRIORITY COMMAND [ARG...]\nptimer log [-f] NAME",
		.summary = "Run commands, or print lines, at the right time. `ptimer VERB --help' tells the options of a verb.",
		.verb = verb_at,
		.footer = "A command's output goes where ptimer's goes. The exit status of after and at is that of COMMAND; else it\n"
			  "is 0, or 1 when a job failed; 125 when ptimer did, 126 or 127 when COMMAND cannot be run.\n",
	};

	if (argc < 2)
		return cli_usage("no verb given");
	return argv[1][0] == '-' ? cli_verb_none(&help, argc, argv) : cli_verb_unknown(verb_at, argv[1]);
}

/* Ticks, or a preview of them. */
static int make_ticks(int argc, char **argv)
{
	struct ptimer_fault fault;
	struct ptimer_opts opts;
	int r;

	ptimer_opts_init(&opts);
	r = cli_opts_defaults("ptimer", &argc, &argv) < 0 ? cli_error("out of memory") : ptimer_parse(&opts, argc, argv, NULL, &fault);
	opts.words = argv;
	if (r == CLI_GO)
		r = opts.next ? ptimer_next(&opts) : ptimer_run(&opts);
	ptimer_opts_done(&opts);
	return r;
}

static int run_verb(int argc, char **argv)
{
	static const struct cli_verb others[] = { { "run", ptimer_run_table }, { "check", ptimer_check }, { "import", ptimer_import }, { "list", ptimer_list }, { "cancel", ptimer_cancel },
		{ "trigger", ptimer_trigger }, { "enter", ptimer_enter }, { "log", ptimer_log } };
	const struct cli_verb *v = argc > 1 ? cli_verb_find(others, ARRAY_SIZE(others), argv[1]) : NULL;

	if (v)
		return v->run(argc - 1, argv + 1);
	return argc > 1 && ptimer_is_verb(argv[1]) ? make_ticks(argc - 1, argv + 1) : no_verb(argc, argv);
}

int main(int argc, char **argv)
{
	cli_start("ptimer");
	cli_exit(run_verb(argc, argv));
}
