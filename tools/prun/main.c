/* SPDX-License-Identifier: MIT */
/*
 * prun - run one command under control: options, then one call.
 */
#include <string.h>

#include "tools/prun/prun.h"

#define AT(member) offsetof(struct prun_opts, member)

static const struct cli_opt stdio_table[] = {
	{ .name = "Standard input, output and error", .kind = CLI_OPT_HEADING },
	{ .name = "stdin", .kind = CLI_OPT_STRING, .arg = "FILE|null", .offset = AT(in), .help = "read from FILE, or from /dev/null" },
	{ .name = "stdin-data", .kind = CLI_OPT_STRING, .arg = "TEXT", .offset = AT(in_data), .help = "read exactly TEXT" },
	{ .name = "stdout", .kind = CLI_OPT_STRING, .arg = "FILE", .offset = AT(out), .help = "write output to FILE" },
	{ .name = "stderr", .kind = CLI_OPT_STRING, .arg = "FILE|stdout", .offset = AT(error), .help = "write errors to FILE, or where output goes" },
	{ .name = "append", .kind = CLI_OPT_FLAG, .offset = AT(append), .help = "add to these files instead of emptying them" },
	{ .name = NULL },
};

static const struct cli_opt tree_table[] = {
	{ .name = "new-session", .kind = CLI_OPT_FLAG, .offset = AT(new_session), .help = "run in a session of its own" },
	{ .name = "pid-namespace", .kind = CLI_OPT_FLAG, .offset = AT(pid_namespace), .help = "run in a PID namespace of its own" },
	{ .name = "report", .kind = CLI_OPT_STRING, .arg = "FILE|fd:N", .offset = AT(report), .help = "append what happened as a line of JSON" },
	{ .name = NULL },
};

static const struct cli_opt other_heading[] = {
	{ .name = "Other options", .kind = CLI_OPT_HEADING },
	{ .name = NULL },
};

static int check(const struct prun_opts *o)
{
	if (o->in && o->in_data)
		return cli_usage("--stdin and --stdin-data exclude each other");
	if (o->append && !o->out && (!o->error || strcmp(o->error, "stdout") == 0))
		return cli_usage("--append needs --stdout or --stderr with a file");
	if (o->pid_namespace && o->job.leave)
		return cli_usage("--pid-namespace and --leave exclude each other: a namespace ends as a whole");
	return CLI_GO;
}

static int parse_options(struct prun_opts *o, int argc, char **argv)
{
	const struct cli_opt *tables[] = { stdio_table, cli_job_place_table, cli_job_time_table, tree_table, other_heading, NULL };
	void *targets[] = { o, &o->job, &o->job, o, o };
	struct cli_opts spec = {
		.usage = "prun [options] COMMAND [ARG...]",
		.summary = "Run one command under control; options end at COMMAND.",
		.tables = tables,
		.targets = targets,
		.stop_at_operand = true,
		.footer = "Durations: 90, 1.5s, 200ms, 2m, 1h30m. The exit status is the command's own; 124 when its time\n"
			  "was up, 125 when prun failed, 126 or 127 when the command cannot be run or is not there.\n",
	};
	int operand = 0, r;

	if (cli_opts_defaults("prun", &argc, &argv) < 0)
		return cli_error("out of memory");

	r = cli_opts_parse(&spec, argc, argv, &operand);
	if (r != CLI_GO)
		return r;
	if (!argv[operand] || !argv[operand][0])
		return cli_usage(argv[operand] ? "the command is empty" : "no command given");

	o->argv = argv + operand;
	return check(o);
}

int main(int argc, char **argv)
{
	struct prun_opts opts = { .report = NULL };
	int r;

	cli_start("prun");
	cli_job_opts_init(&opts.job);
	r = parse_options(&opts, argc, argv);
	if (r == CLI_GO)
		r = prun(&opts);
	cli_job_opts_done(&opts.job);
	cli_exit(r);
}
