/* SPDX-License-Identifier: MIT */
/*
 * prun - run one command under control: options, then one call.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "tools/cli/rundir.h"
#include "tools/prun/prun.h"

#define AT(member) offsetof(struct prun_opts, member)

bool prun_has_status(const struct prun_statuses *s, int status)
{
	return status >= 0 && status < 256 && (s->bits[status / 64] >> (status % 64) & 1);
}

static int parse_number(const char *s, size_t len, uint64_t max, uint64_t *ret)
{
	char word[24];

	if (len >= sizeof(word))
		return -ERANGE;
	memcpy(word, s, len);
	word[len] = '\0';
	return pcore_parse_u64(word, 0, max, ret);
}

/* "0,3-5,75" */
static int parse_statuses(struct prun_statuses *set, const char *name, const char *value)
{
	*set = (struct prun_statuses){ .given = true };
	for (const char *p = value;; p++) {
		size_t len = strcspn(p, ","), first_len = strcspn(p, "-,");
		uint64_t first, last;

		if (parse_number(p, first_len, 255, &first) < 0)
			return cli_opt_bad(name, value, "not a list of statuses such as 0,3-5");
		last = first;
		if (first_len < len && parse_number(p + first_len + 1, len - first_len - 1, 255, &last) < 0)
			return cli_opt_bad(name, value, "not a list of statuses such as 0,3-5");
		if (last < first)
			return cli_opt_bad(name, value, "a range must ascend");
		for (uint64_t i = first; i <= last; i++)
			set->bits[i / 64] |= UINT64_C(1) << (i % 64);
		p += len;
		if (!*p)
			return 0;
	}
}

static int set_retry_on(void *opts, const char *name, const char *value)
{
	return parse_statuses(&((struct prun_opts *)opts)->retry_on, name, value);
}

static int set_expect(void *opts, const char *name, const char *value)
{
	return parse_statuses(&((struct prun_opts *)opts)->expect, name, value);
}

static int set_pass_fd(void *opts, const char *name, const char *value)
{
	struct prun_opts *o = opts;
	size_t len = strcspn(value, "=");
	uint64_t ours, theirs;

	if (parse_number(value, len, INT32_MAX, &ours) < 0)
		return cli_opt_bad(name, value, "must be N or N=M");
	theirs = ours;
	if (value[len] && parse_number(value + len + 1, strlen(value + len + 1), 1023, &theirs) < 0)
		return cli_opt_bad(name, value, "must be N or N=M, M up to 1023");
	if (theirs > 1023)
		return cli_opt_bad(name, value, "the command's number may be up to 1023 (N=M)");
	if ((ours <= 2 && cli_inherited.closed[ours]) || fcntl((int)ours, F_GETFD) < 0)
		return cli_opt_bad(name, value, "this descriptor is not open");
	if (o->n_pass_fds == PRUN_PASS_FDS_MAX)
		return cli_opt_bad(name, value, "too many of these");
	for (size_t i = 0; i < o->n_pass_fds; i++)
		if (o->pass_fds[i].theirs == (int)theirs)
			return cli_opt_bad(name, value, "two of these for the same descriptor of the command");
	o->pass_fds[o->n_pass_fds++] = (struct prun_pass_fd){ (int)ours, (int)theirs };
	return 0;
}

static int set_backoff(void *opts, const char *name, const char *value)
{
	struct prun_opts *o = opts;

	if (pcore_parse_decimal(value, &o->backoff) < 0 || o->backoff < 1 || o->backoff > 1000)
		return cli_opt_bad(name, value, "must be a number from 1 to 1000");
	return 0;
}

static int set_notify(void *opts, const char *name, const char *value)
{
	struct prun_opts *o = opts;
	uint64_t fd;

	if (strncmp(value, "line:", 5) == 0 ? !value[5] : pcore_parse_u64(value, 3, 1023, &fd) < 0)
		return cli_opt_bad(name, value, "must be a descriptor from 3 to 1023, or line:TEXT");
	o->notify_ready = value;
	return 0;
}

static int set_detach(void *opts, const char *name, const char *value)
{
	struct prun_opts *o = opts;

	if (value && !cli_is_name(value))
		return cli_opt_bad(name, value, "not a name: letters, digits, and . _ - inside, at most 64");
	o->detach = true;
	o->name = value;
	return 0;
}

static int set_verb(void *opts, const char *name, const char *value)
{
	static const char *const names[] = { "", "list", "join", "status", "logs", "kill", "forget" };
	struct prun_opts *o = opts;

	(void)value;
	if (o->verb != PRUN_RUN && strcmp(names[o->verb], name) != 0)
		return cli_usage("--%s and --%s exclude each other", names[o->verb], name);
	for (size_t i = 1; i < ARRAY_SIZE(names); i++)
		if (strcmp(names[i], name) == 0)
			o->verb = (enum prun_verb)i;
	return 0;
}

static int set_wait(void *opts, const char *name, const char *value)
{
	struct prun_opts *o = opts;

	if (pcore_parse_duration(value, &o->wait) < 0)
		return cli_opt_bad(name, value, "not a duration (90, 1.5s, 200ms, 2m, 3h, 1d)");
	o->wait_given = true;
	return 0;
}

static const struct cli_opt stdio_table[] = {
	{ .name = "Standard input, output and error", .kind = CLI_OPT_HEADING },
	{ .name = "stdin", .kind = CLI_OPT_STRING, .arg = "FILE|null", .offset = AT(in), .help = "read from FILE, or from /dev/null" },
	{ .name = "stdin-data", .kind = CLI_OPT_STRING, .arg = "TEXT", .offset = AT(in_data), .help = "read exactly TEXT" },
	{ .name = "stdout", .kind = CLI_OPT_STRING, .arg = "FILE", .offset = AT(out), .help = "write output to FILE" },
	{ .name = "stderr", .kind = CLI_OPT_STRING, .arg = "FILE|stdout", .offset = AT(error), .help = "write errors to FILE, or where output goes" },
	{ .name = "append", .kind = CLI_OPT_FLAG, .offset = AT(append), .help = "add to these files instead of emptying them" },
	{ .name = "capture", .kind = CLI_OPT_FLAG, .offset = AT(capture), .help = "keep output and errors, print them at the end" },
	{ .name = "quiet-success", .kind = CLI_OPT_FLAG, .offset = AT(quiet_success), .help = "capture, and print only when it failed" },
	{ .name = "buffer", .kind = CLI_OPT_SIZE, .arg = "SIZE", .offset = AT(buffer), .help = "keep so much in memory, then a file (64M)" },
	{ .name = "max-output", .kind = CLI_OPT_SIZE, .arg = "SIZE", .offset = AT(max_output), .help = "cut output and errors there, each" },
	{ .name = "tee", .kind = CLI_OPT_STRING, .arg = "FILE", .offset = AT(tee), .help = "write both to FILE as well" },
	{ .name = "timestamps", .kind = CLI_OPT_FLAG, .offset = AT(timestamps), .help = "begin each line with the time and a tab" },
	{ .name = "pty", .kind = CLI_OPT_FLAG, .offset = AT(pty), .help = "give it a terminal" },
	{ .name = "pass-fd", .kind = CLI_OPT_CALL, .arg = "N[=M]", .set = set_pass_fd, .help = "give it our descriptor N (as M)" },
	{ .name = "pipe-size", .kind = CLI_OPT_SIZE, .arg = "SIZE", .offset = AT(pipe_size), .min = 1, .max = 1u << 30, .help = "capacity of the pipes to it" },
	{ .name = "connect", .kind = CLI_OPT_STRING, .arg = "TEXT", .offset = AT(connect), .help = "join it with a second command (sh): the output\nof each is the input of the other" },
	{ .name = NULL },
};

static const struct cli_opt limits_table[] = {
	{ .name = "Limits of the whole tree", .kind = CLI_OPT_HEADING },
	{ .name = "memory", .kind = CLI_OPT_SIZE, .arg = "SIZE", .offset = AT(memory), .min = 1, .max = 1ull << 62, .help = "memory of all its processes together" },
	{ .name = "tasks", .kind = CLI_OPT_U64, .arg = "N", .offset = AT(tasks), .min = 1, .max = 4194304, .help = "processes and threads" },
	{ .name = "cpu", .kind = CLI_OPT_U64, .arg = "PERCENT", .offset = AT(cpu), .min = 1, .max = 100000, .help = "CPU time, 100 being one CPU" },
	{ .name = "io-weight", .kind = CLI_OPT_U64, .arg = "N", .offset = AT(io_weight), .min = 1, .max = 10000, .help = "share of the disk's time (100)" },
	{ .name = "best-effort", .kind = CLI_OPT_FLAG, .offset = AT(best_effort), .help = "go on, with a warning, without a limit that\ncannot be set here" },
	{ .name = NULL },
};

static const struct cli_opt again_table[] = {
	{ .name = "retry-on", .kind = CLI_OPT_CALL, .arg = "LIST", .set = set_retry_on, .help = "try again only after these statuses" },
	{ .name = "backoff", .kind = CLI_OPT_CALL, .arg = "X", .set = set_backoff, .help = "multiply the delay by X after each try" },
	{ .name = "until-success", .kind = CLI_OPT_FLAG, .offset = AT(until_success), .help = "try again without end" },
	{ .name = "expect", .kind = CLI_OPT_CALL, .arg = "LIST", .set = set_expect, .help = "these statuses are success" },
	{ .name = NULL },
};

static const struct cli_opt lock_table[] = {
	{ .name = "Locks", .kind = CLI_OPT_HEADING },
	{ .name = "lock", .kind = CLI_OPT_STRING, .arg = "NAME|FILE", .offset = AT(lock), .help = "hold a lock while it runs (FILE: has a slash)" },
	{ .name = "shared", .kind = CLI_OPT_FLAG, .offset = AT(shared), .help = "share the lock with others that do" },
	{ .name = "semaphore", .kind = CLI_OPT_STRING, .arg = "NAME:N", .offset = AT(semaphore), .help = "be one of at most N at a time" },
	{ .name = "wait", .kind = CLI_OPT_CALL, .arg = "D", .set = set_wait, .help = "wait so long for it (for ever), 0: not at all" },
	{ .name = "busy-status", .kind = CLI_OPT_U64, .arg = "N", .offset = AT(busy_status), .min = 0, .max = 255, .help = "status when it is not to be had (75)" },
	{ .name = NULL },
};

static const struct cli_opt background_table[] = {
	{ .name = "In the background", .kind = CLI_OPT_HEADING },
	{ .name = "detach", .kind = CLI_OPT_CALL, .arg = "[=NAME]", .set = set_detach, .help = "start it there and say its name" },
	{ .name = "notify-ready", .kind = CLI_OPT_CALL, .arg = "FD|line:TEXT", .set = set_notify, .help = "it is ready when it writes a newline to FD, or\nthe line TEXT" },
	{ .name = "ready-timeout", .kind = CLI_OPT_DURATION, .arg = "D", .offset = AT(ready_timeout), .help = "end it when it is not ready by then" },
	{ .name = "list", .kind = CLI_OPT_CALL, .set = set_verb, .help = "list what was detached" },
	{ .name = "join", .kind = CLI_OPT_CALL, .set = set_verb, .help = "wait for NAME..., print output, exit with status" },
	{ .name = "status", .kind = CLI_OPT_CALL, .set = set_verb, .help = "tell about NAME..." },
	{ .name = "logs", .kind = CLI_OPT_CALL, .set = set_verb, .help = "print the output of NAME so far" },
	{ .name = "kill", .kind = CLI_OPT_CALL, .set = set_verb, .help = "end NAME... (or send --signal)" },
	{ .name = "forget", .kind = CLI_OPT_CALL, .set = set_verb, .help = "remove what is kept of NAME..." },
	{ .name = "any", .kind = CLI_OPT_FLAG, .offset = AT(any), .help = "--join: the first that ends" },
	{ .name = "follow", .letter = 'f', .kind = CLI_OPT_FLAG, .offset = AT(follow), .help = "--logs: go on until it ends" },
	{ .name = "json", .kind = CLI_OPT_FLAG, .offset = AT(json), .help = "--list, --status: a JSON object a line;\n--sandbox-report: as one" },
	{ .name = NULL },
};

static const struct cli_opt tree_table[] = {
	{ .name = "Process and report", .kind = CLI_OPT_HEADING },
	{ .name = "argv0", .kind = CLI_OPT_STRING, .arg = "NAME", .offset = AT(argv0), .help = "what it sees as its own name" },
	{ .name = "new-session", .kind = CLI_OPT_FLAG, .offset = AT(new_session), .help = "run in a session of its own" },
	{ .name = "pid-namespace", .kind = CLI_OPT_FLAG, .offset = AT(pid_namespace), .help = "run in a PID namespace of its own" },
	{ .name = "report", .kind = CLI_OPT_STRING, .arg = "FILE|fd:N", .offset = AT(report), .help = "append what happened as a line of JSON" },
	{ .name = NULL },
};

/* What excludes or needs what. */
static int check(const struct prun_opts *o)
{
	const struct {
		bool wrong;
		const char *why;
	} rules[] = {
		{ o->in && o->in_data, "--stdin and --stdin-data exclude each other" },
		{ o->append && !o->out && !o->tee && (!o->error || strcmp(o->error, "stdout") == 0), "--append needs --stdout, --stderr or --tee with a file" },
		{ o->pid_namespace && o->job.leave, "--pid-namespace and --leave exclude each other: a namespace ends as a whole" },
		{ o->connect && (o->in || o->in_data || o->out), "--connect takes the command's standard input and output" },
		{ o->connect && (o->capture || o->quiet_success || o->tee || o->timestamps || o->max_output), "--connect and the options on output exclude each other" },
		{ o->connect && o->detach, "--connect and --detach exclude each other" },
		{ o->pty && (o->in || o->in_data || o->out || o->error), "--pty takes standard input, output and error" },
		{ o->pty && (o->connect || o->detach), "--pty excludes --connect and --detach" },
		{ o->connect && prun_reads_output(o), "--connect and --notify-ready line: exclude each other" },
		{ o->detach && (o->capture || o->quiet_success), "--detach keeps output by itself: no --capture" },
		{ o->ready_timeout != INT64_MAX && !o->notify_ready, "--ready-timeout needs --notify-ready" },
		{ o->notify_ready && !o->detach && o->ready_timeout == INT64_MAX, "--notify-ready needs --detach or --ready-timeout" },
		{ o->lock && o->semaphore, "--lock and --semaphore exclude each other" },
		{ o->shared && !o->lock, "--shared needs --lock" },
		{ o->wait_given && !o->lock && !o->semaphore, "--wait needs --lock or --semaphore" },
		{ o->until_success && o->job.retry > 0, "--until-success and --retry exclude each other" },
		{ o->any && o->verb != PRUN_JOIN, "--any needs --join" },
		{ o->follow && o->verb != PRUN_LOGS, "--follow needs --logs" },
		{ o->json && o->verb != PRUN_LIST && o->verb != PRUN_STATUS && !o->sandbox.report, "--json needs --list, --status or --sandbox-report" },
		{ prun_sandbox_conflict(o), prun_sandbox_conflict(o) },
		{ o->verb != PRUN_RUN && o->detach, "--detach starts a command: not with --list, --join, ..." },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (rules[i].wrong)
			return cli_usage("%s", rules[i].why);
	return prun_check_fds(o);
}

static int check_operands(struct prun_opts *o, char **words)
{
	o->argv = words;
	if (o->verb == PRUN_LIST)
		return words[0] ? cli_usage("--list takes no name") : CLI_GO;
	if (o->verb == PRUN_LOGS && words[0] && words[1])
		return cli_usage("--logs takes one name");
	if (o->verb != PRUN_RUN)
		return words[0] ? CLI_GO : cli_usage("no name given");
	if (!words[0] && o->sandbox.report)
		return CLI_GO;
	if (!words[0] || !words[0][0])
		return cli_usage(words[0] ? "the command is empty" : "no command given");
	return CLI_GO;
}

static int parse_options(struct prun_opts *o, int argc, char **argv)
{
	const struct cli_opt *tables[] = { stdio_table, cli_job_place_table, cli_job_bounds_table, cli_job_identity_table, limits_table,
		cli_job_time_table, again_table, lock_table, background_table, prun_sandbox_table, tree_table, NULL };
	void *targets[] = { o, &o->job, &o->job, &o->job, o, &o->job, o, o, o, o, o };
	struct cli_opts spec = {
		.usage = "prun [options] COMMAND [ARG...]\nprun --list | --join NAME... | --status NAME... | --logs NAME | --kill NAME... | --forget NAME...",
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
	if (r == CLI_GO)
		r = check_operands(o, argv + operand);
	return r == CLI_GO ? check(o) : r;
}

int main(int argc, char **argv)
{
	struct prun_opts opts = {
		.buffer = UINT64_C(64) << 20,
		.backoff = 1,
		.ready_timeout = INT64_MAX,
		.wait = INT64_MAX,
		.busy_status = CLI_BUSY,
	};
	int r;

	cli_start("prun");
	cli_job_opts_init(&opts.job);
	r = parse_options(&opts, argc, argv);
	if (r == CLI_GO && opts.verb != PRUN_RUN)
		r = prun_verb(&opts);
	else if (r == CLI_GO && !opts.argv[0])
		r = prun_sandbox_print(&opts);
	else if (r == CLI_GO)
		r = opts.detach ? prun_detach(&opts) : prun(&opts, NULL);
	cli_job_opts_done(&opts.job);
	cli_exit(r);
}
