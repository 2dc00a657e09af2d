/* SPDX-License-Identifier: MIT */
/*
 * verbs.c - the words of a verb, on the command line or in a line of a table.
 */
#include <string.h>

#include "tools/cli/rundir.h"
#include "tools/ptimer/ptimer.h"

#define AT(member) offsetof(struct ptimer_opts, member)

enum { TABLES_MAX = 16, OVERLAP_MAX = 65536, ALLOW_DEFAULT = 100 };

/* ---- options ---- */

static int set_dst(void *opts, const char *name, const char *value)
{
	static const char *const words[] = { "run", "skip", "both" };
	struct ptimer_opts *o = opts;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(value, words[i]) == 0) {
			o->dst = (enum pcore_dst)i;
			return 0;
		}
	}
	return cli_opt_bad(name, value, "must be run, skip or both");
}

static int set_catchup(void *opts, const char *name, const char *value)
{
	static const char *const words[] = { "none", "once", "all" };
	struct ptimer_opts *o = opts;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(value, words[i]) == 0) {
			o->catchup = (enum ptimer_catchup)i;
			o->catchup_given = true;
			return 0;
		}
	}
	return cli_opt_bad(name, value, "must be none, once or all");
}

/* "queue", "queue=5" */
static int set_overlap(void *opts, const char *name, const char *value)
{
	static const struct {
		const char *word;
		uint64_t max; /* 0: it takes no number */
	} policies[] = { [PTIMER_SKIP] = { "skip", 0 }, [PTIMER_QUEUE] = { "queue", 1 }, [PTIMER_ALLOW] = { "allow", ALLOW_DEFAULT },
		[PTIMER_REPLACE] = { "replace", 0 } };
	struct ptimer_opts *o = opts;
	size_t len = strcspn(value, "=");

	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		if (strlen(policies[i].word) != len || strncmp(value, policies[i].word, len) != 0)
			continue;
		o->overlap_max = policies[i].max;
		if (value[len] && (!policies[i].max || pcore_parse_u64(value + len + 1, 1, OVERLAP_MAX, &o->overlap_max) < 0))
			break;
		o->overlap = (enum ptimer_overlap)i;
		o->overlap_given = true;
		return 0;
	}
	return cli_opt_bad(name, value, "must be skip, queue[=N], allow[=N] or replace, N from 1 to 65536");
}

static int set_now(void *opts, const char *name, const char *value)
{
	(void)name;
	(void)value;
	((struct ptimer_opts *)opts)->phase = 0;
	return 0;
}

static int set_clock(void *opts, const char *name, const char *value)
{
	struct ptimer_opts *o = opts;

	(void)value;
	o->monotonic = strcmp(name, "monotonic") == 0;
	o->clock_given = true;
	return 0;
}

static int set_name(void *opts, const char *name, const char *value)
{
	struct ptimer_opts *o = opts;

	if (strcmp(name, "detach") == 0)
		o->detach = true;
	if (value && !cli_is_name(value))
		return cli_opt_bad(name, value, "must be letters, digits, and . _ - inside, at most 64");
	o->name = value ? value : o->name;
	return 0;
}

const struct cli_opt ptimer_background_table[] = {
	{ .name = "In the background", .kind = CLI_OPT_HEADING },
	{ .name = "detach", .kind = CLI_OPT_CALL, .arg = "[=NAME]", .set = set_name, .help = "go there and print the name" },
	{ .name = "name", .kind = CLI_OPT_CALL, .arg = "NAME", .set = set_name, .help = "be known as NAME to list, cancel, trigger, enter" },
	{ .name = NULL },
};

static const struct cli_opt when_table[] = {
	{ .name = "When", .kind = CLI_OPT_HEADING },
	{ .name = NULL },
};

static const struct cli_opt count_table[] = {
	{ .name = "count", .letter = 'n', .kind = CLI_OPT_U64, .arg = "N", .offset = AT(count), .min = 1, .help = "end after N ticks" },
	{ .name = "until", .kind = CLI_OPT_STRING, .arg = "TIME", .offset = AT(until), .help = "end at TIME" },
	{ .name = NULL },
};

static const struct cli_opt phase_table[] = {
	{ .name = "phase", .kind = CLI_OPT_DURATION, .arg = "D", .offset = AT(phase), .help = "tick first D after the start (one period)" },
	{ .name = "now", .kind = CLI_OPT_CALL, .set = set_now, .help = "tick first at the start" },
	{ .name = NULL },
};

static const struct cli_opt clock_table[] = {
	{ .name = "across-suspend", .kind = CLI_OPT_CALL, .set = set_clock, .help = "count the time of a suspended system (default)" },
	{ .name = "monotonic", .kind = CLI_OPT_CALL, .set = set_clock, .help = "do not" },
	{ .name = NULL },
};

static const struct cli_opt catchup_table[] = {
	{ .name = "catchup", .kind = CLI_OPT_CALL, .arg = "none|once|all", .set = set_catchup, .help = "what to make of missed ticks\n(none; with --state: once)" },
	{ .name = NULL },
};

/* Of the process: a line of a table has it not. */
static const struct cli_opt state_table[] = {
	{ .name = "state", .kind = CLI_OPT_STRING, .arg = "FILE", .offset = AT(state), .help = "go on from what FILE says, and record there" },
	{ .name = NULL },
};

static const struct cli_opt late_table[] = {
	{ .name = "max-late", .kind = CLI_OPT_DURATION, .arg = "D", .offset = AT(max_late), .help = "a tick later than D is missed" },
	{ .name = NULL },
};

static const struct cli_opt jitter_table[] = {
	{ .name = "jitter", .kind = CLI_OPT_DURATION, .arg = "D", .offset = AT(jitter), .help = "be late by a random time up to D" },
	{ .name = "jitter-fixed", .kind = CLI_OPT_FLAG, .offset = AT(jitter_fixed), .help = "always by the same" },
	{ .name = NULL },
};

static const struct cli_opt dst_table[] = {
	{ .name = "dst", .kind = CLI_OPT_CALL, .arg = "run|skip|both", .set = set_dst, .help = "fixed times that clocks skip or repeat (run)" },
	{ .name = NULL },
};

static const struct cli_opt zone_table[] = {
	{ .name = "tz", .kind = CLI_OPT_STRING, .arg = "ZONE", .offset = AT(tz), .help = "the zone where none is named" },
	{ .name = NULL },
};

static const struct cli_opt next_table[] = {
	{ .name = "count", .letter = 'n', .kind = CLI_OPT_U64, .arg = "N", .offset = AT(count), .min = 1, .help = "print up to N times (1)" },
	{ .name = "from", .kind = CLI_OPT_STRING, .arg = "TIME", .offset = AT(from), .help = "those after TIME (now)" },
	{ .name = "json", .kind = CLI_OPT_FLAG, .offset = AT(json), .help = "as JSON objects" },
	{ .name = NULL },
};

static const struct cli_opt overlap_table[] = {
	{ .name = "Jobs", .kind = CLI_OPT_HEADING },
	{ .name = "overlap", .kind = CLI_OPT_CALL, .arg = "POLICY", .set = set_overlap, .help = "when the job before still runs: skip,\nqueue[=N], allow[=N] or replace" },
	{ .name = NULL },
};

static const struct verb {
	const char *name;
	enum ptimer_verb verb;
	bool next;
	bool jobs; /* it makes ticks, and may run a command for each */
	const char *usage, *summary;
	const struct cli_opt *tables[TABLES_MAX];
} verbs[] = {
	{ "after", PTIMER_AFTER, false, true, "ptimer after DURATION [options] [-- COMMAND [ARG...]]", "Run COMMAND, or print a line, after DURATION.",
		{ when_table, clock_table, jitter_table, zone_table } },
	{ "at", PTIMER_AT, false, true, "ptimer at TIME [options] [-- COMMAND [ARG...]]", "Run COMMAND, or print a line, at TIME.",
		{ when_table, late_table, jitter_table, zone_table } },
	{ "every", PTIMER_EVERY, false, true, "ptimer every DURATION [options] [-- COMMAND [ARG...]]", "Run COMMAND, or print a line, each DURATION.",
		{ when_table, count_table, phase_table, clock_table, catchup_table, late_table, state_table, jitter_table, zone_table, overlap_table } },
	{ "on", PTIMER_ON, false, true, "ptimer on CALENDAR [options] [-- COMMAND [ARG...]]", "Run COMMAND, or print a line, whenever CALENDAR says.",
		{ when_table, count_table, catchup_table, late_table, state_table, dst_table, jitter_table, zone_table, overlap_table } },
	{ "cron", PTIMER_CRON, false, true, "ptimer cron EXPRESSION [options] [-- COMMAND [ARG...]]", "Run COMMAND, or print a line, whenever cron would.",
		{ when_table, count_table, catchup_table, late_table, state_table, dst_table, jitter_table, zone_table, overlap_table } },
	{ "sleep", PTIMER_SLEEP, false, false, "ptimer sleep DURATION [options]\nptimer sleep until TIME [options]", "Do nothing.",
		{ when_table, clock_table, zone_table } },
	{ "next", PTIMER_ON, true, false, "ptimer next [on|cron|every|at] EXPRESSION [options]", "Print when EXPRESSION will be due, and do nothing.",
		{ when_table, next_table, dst_table, zone_table } },
};

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

/* ---- operands ---- */

static int bad_expression(struct ptimer_fault *f, const char *text, const struct pcore_when_error *error)
{
	f->at = text + error->column - 1;
	f->why = error->why;
	return cli_usage("'%s': column %zu: %s", text, error->column, error->why);
}

static int parse_expression(struct ptimer_opts *o, const char *text, struct ptimer_fault *f)
{
	struct pcore_when_error error;
	int r = 0;

	f->at = o->expression = text;
	switch (o->verb) {
	case PTIMER_ON:
		r = pcore_calendar_parse(text, &o->when, &error);
		break;
	case PTIMER_CRON:
		r = pcore_cron_parse(text, &o->when, &error);
		break;
	case PTIMER_AT:
		r = pcore_time_parse(text, &o->time, &error);
		break;
	case PTIMER_SLEEP:
		if (o->sleep_until) {
			r = pcore_time_parse(text, &o->time, &error);
			break;
		}
		__attribute__((fallthrough));
	case PTIMER_AFTER:
	case PTIMER_EVERY:
		r = pcore_parse_duration(text, &o->duration);
		if (r < 0 || o->duration == INT64_MAX)
			return cli_usage("invalid duration '%s': must be one such as 90, 1.5s, 200ms, 2m, 3h or 1d", text);
		if (o->verb == PTIMER_EVERY && o->duration == 0)
			return cli_usage("invalid duration '%s': a period must be longer", text);
		break;
	}
	return r < 0 ? bad_expression(f, text, &error) : CLI_GO;
}

/* For next, the verb that is meant may come first. */
static int parse_operands(struct ptimer_opts *o, const char *verb, char **words, size_t n, struct ptimer_fault *f)
{
	f->at = n == 2 ? words[0] : verb;
	if (n == 2 && o->next) {
		const struct verb *v = find_verb(words[0]);

		if (!v || v->next || v->verb == PTIMER_AFTER || v->verb == PTIMER_SLEEP)
			return cli_usage("unexpected '%s': must be on, cron, every or at", words[0]);
		o->verb = v->verb;
	} else if (n == 2 && o->verb == PTIMER_SLEEP && strcmp(words[0], "until") == 0) {
		o->sleep_until = true;
	} else if (n > 1) {
		f->at = words[1];
		return cli_usage("unexpected '%s': a command comes after --", words[1]);
	} else if (n == 0) {
		return cli_usage("%s needs a word that says when", verb);
	}
	return parse_expression(o, words[n - 1], f);
}

/* What is wrong only when all words are known. */
static int check(const struct ptimer_opts *o, const struct cli_job_opts *untouched, struct ptimer_fault *f)
{
	struct pcore_when_error error;
	struct pcore_time t;

	if (o->sleep_until && o->clock_given)
		return cli_usage("--monotonic and --across-suspend need a duration");
	if (o->command && (o->verb == PTIMER_SLEEP || o->next))
		return cli_usage("%s takes no command", o->next ? "next" : "sleep");
	if (!o->command && o->overlap_given)
		return cli_usage("--overlap needs a command");
	if (!o->command && memcmp(&o->job, untouched, sizeof(*untouched)) != 0)
		return cli_usage("the options of jobs need a command");
	if (o->jitter == INT64_MAX)
		return cli_opt_bad("jitter", "inf", "must end");
	if (o->phase == INT64_MAX)
		return cli_opt_bad("phase", "inf", "must end");
	if (o->jitter_fixed && !o->jitter)
		return cli_usage("--jitter-fixed needs --jitter");
	if (o->state && !*o->state)
		return cli_opt_bad("state", "", "must be the name of a file");
	if (o->until && pcore_time_parse(o->until, &t, &error) < 0)
		return bad_expression(f, o->until, &error);
	if (o->from && pcore_time_parse(o->from, &t, &error) < 0)
		return bad_expression(f, o->from, &error);
	return CLI_GO;
}

/* All tables of the verb, with those of jobs where it has any, and those of a table's line. */
static void collect_tables(const struct verb *v, struct ptimer_opts *o, const struct ptimer_line *line, const struct cli_opt **tables, void **targets)
{
	static const struct cli_opt *const job_tables[] = { cli_job_place_table, cli_job_bounds_table, cli_job_identity_table, cli_job_time_table };
	size_t n = 0;

	for (size_t i = 0; v->tables[i]; i++) {
		if (line && v->tables[i] == state_table)
			continue;
		tables[n] = v->tables[i];
		targets[n++] = o;
	}
	for (size_t i = 0; v->jobs && i < ARRAY_SIZE(job_tables); i++, n++) {
		tables[n] = job_tables[i];
		targets[n] = &o->job;
	}
	if (line || v->jobs) {
		tables[n] = line ? line->table : ptimer_background_table;
		targets[n] = line ? line->target : o;
	}
}

static int parse_command(struct ptimer_opts *o, char **command, struct ptimer_fault *f)
{
	f->at = command[-1];
	if (!command[0])
		return cli_usage("no command given after --");
	f->at = command[0];
	if (!command[0][0])
		return cli_usage("the command is empty");
	o->command = command;
	return CLI_GO;
}

/* The options and the operand of a verb stand before the first `--', the command behind it. */
int ptimer_parse(struct ptimer_opts *o, int argc, char **argv, const struct ptimer_line *line, struct ptimer_fault *ret_fault)
{
	const struct verb *v = find_verb(argv[0]);
	const struct cli_opt *tables[TABLES_MAX] = { NULL };
	void *targets[TABLES_MAX] = { NULL };
	struct cli_opts spec = { .tables = tables, .targets = targets, .bare = line, .ret_at = &ret_fault->at };
	struct cli_job_opts untouched;
	int operand = 0, end = 1, r;

	assert(argc > 0);
	assert(v || line);

	*ret_fault = (struct ptimer_fault){ .at = argv[0] };
	if (!v || (line && !v->jobs))
		return cli_usage("unknown verb '%s': must be after, at, every, on or cron", argv[0]);

	spec.usage = v->usage;
	spec.summary = v->summary;
	memcpy(&untouched, &o->job, sizeof(untouched));
	collect_tables(v, o, line, tables, targets);
	while (end < argc && strcmp(argv[end], "--") != 0)
		end++;
	r = cli_opts_parse(&spec, end, argv, &operand);
	if (r == CLI_GO && end < argc)
		r = parse_command(o, argv + end + 1, ret_fault);
	if (r != CLI_GO)
		return r;
	o->verb = v->verb;
	o->next = v->next;
	r = parse_operands(o, argv[0], argv + operand, (size_t)(end - operand), ret_fault);
	ret_fault->at = r == CLI_GO ? argv[0] : ret_fault->at;
	return r == CLI_GO ? check(o, &untouched, ret_fault) : r;
}

const char *ptimer_verb_name(enum ptimer_verb verb)
{
	size_t i = 0;

	while (verbs[i].verb != verb)
		i++;
	return verbs[i].name;
}

bool ptimer_is_verb(const char *word)
{
	return find_verb(word) != NULL;
}

void ptimer_opts_init(struct ptimer_opts *o)
{
	*o = (struct ptimer_opts){ .phase = -1, .max_late = -1 };
	cli_job_opts_init(&o->job);
}

void ptimer_opts_done(struct ptimer_opts *o)
{
	cli_job_opts_done(&o->job);
}
