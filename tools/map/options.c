/* SPDX-License-Identifier: MIT */
/*
 * options.c - what map and starmap are asked to do, and whether it makes sense.
 */
#include <stdio.h>
#include <string.h>

#include "tools/map/map.h"

#define AT(member) offsetof(struct map_opts, member)

static int set_jobs(void *opts, const char *name, const char *value)
{
	struct map_opts *o = opts;

	o->govern.jobs_file = strchr(value, '/') ? value : NULL;
	return o->govern.jobs_file ? 0 : cli_opt_jobs(name, value, &o->jobs);
}

static int set_progress(void *opts, const char *name, const char *value)
{
	struct map_opts *o = opts;

	if (value && strcmp(value, "bar") != 0 && strcmp(value, "json") != 0)
		return cli_opt_bad(name, value, "must be bar or json");
	o->progress = true;
	o->progress_style = !value ? CLI_PROGRESS_LINE : *value == 'b' ? CLI_PROGRESS_BAR : CLI_PROGRESS_JSON;
	return 0;
}

static const char *skip(const char *s, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(s, prefix, len) == 0 ? s + len : NULL;
}

static bool parse_halt(const char *s, struct pcore_pool_halt *ret)
{
	struct pcore_pool_halt h = { .when = PCORE_HALT_SOON };
	const char *rest = skip(s, "soon,");
	char word[24];
	size_t len;

	if (!rest) {
		h.when = PCORE_HALT_NOW;
		rest = skip(s, "now,");
	}
	if (!rest)
		return false;
	s = skip(rest, "fail=");
	if (!s) {
		h.on_success = true;
		s = skip(rest, "success=");
	}
	len = s ? strlen(s) : 0;
	if (len == 0 || len >= sizeof(word))
		return false;
	strcpy(word, s);
	h.percent = word[len - 1] == '%';
	if (h.percent)
		word[len - 1] = '\0';
	if (pcore_parse_u64(word, 1, h.percent ? 100 : UINT64_MAX, &h.n) < 0)
		return false;
	*ret = h;
	return true;
}

static int set_halt(void *opts, const char *name, const char *value)
{
	struct map_opts *o = opts;

	if (strcmp(value, "never") == 0)
		o->halt = (struct pcore_pool_halt){ .when = PCORE_HALT_NEVER };
	else if (!parse_halt(value, &o->halt))
		return cli_opt_bad(name, value, "must be never, or soon or now, then ,fail=N or ,success=N (or N%)");
	return 0;
}

static int set_fail_fast(void *opts, const char *name, const char *value)
{
	struct map_opts *o = opts;

	(void)name;
	(void)value;
	o->halt = (struct pcore_pool_halt){ .when = PCORE_HALT_NOW, .n = 1 };
	return 0;
}

static const struct cli_opt jobs_table[] = {
	{ .name = "Jobs", .kind = CLI_OPT_HEADING },
	{ .name = "jobs", .letter = 'j', .kind = CLI_OPT_CALL, .arg = "N|N%|+N|FILE", .set = set_jobs, .help = "so many at a time (one for each CPU); a word with a /\nis a file that holds the number" },
	{ .name = "shell", .kind = CLI_OPT_FLAG, .offset = AT(shell), .help = "COMMAND is a text for sh; items are quoted" },
	{ .name = "delay", .kind = CLI_OPT_DURATION, .arg = "D", .offset = AT(delay), .help = "at least D between two starts" },
	{ .name = "halt", .kind = CLI_OPT_CALL, .arg = "WHEN", .set = set_halt, .help = "never, soon,fail=N, now,fail=N, soon,success=N,\nnow,success=N; N may be a percentage" },
	{ .name = "fail-fast", .kind = CLI_OPT_CALL, .set = set_fail_fast, .help = "end at the first failure: --halt now,fail=1" },
	{ .name = "dry-run", .kind = CLI_OPT_FLAG, .offset = AT(dry_run), .help = "print the command lines and run nothing" },
	{ .name = "verbose", .letter = 'v', .kind = CLI_OPT_FLAG, .offset = AT(verbose), .help = "print each command line as its job starts" },
	{ .name = NULL },
};

static const struct cli_opt output_table[] = {
	{ .name = "Output", .kind = CLI_OPT_HEADING },
	{ .name = "unordered", .kind = CLI_OPT_FLAG, .offset = AT(unordered), .help = "print outputs as jobs finish" },
	{ .name = "live", .kind = CLI_OPT_FLAG, .offset = AT(live), .help = "print each line when it is complete" },
	{ .name = "raw", .kind = CLI_OPT_FLAG, .offset = AT(raw), .help = "let the jobs write by themselves" },
	{ .name = "tag", .kind = CLI_OPT_FLAG, .offset = AT(tag), .help = "begin each line with its item and a tab" },
	{ .name = "buffer", .kind = CLI_OPT_SIZE, .arg = "SIZE", .offset = AT(buffer), .help = "hold so much in memory, then a file (64M)" },
	{ .name = "progress", .kind = CLI_OPT_CALL, .arg = "[=bar|json]", .set = set_progress, .help = "show how far it is, on stderr" },
	{ .name = NULL },
};

/* With --pipe there are no items. */
static int check_pipe(const struct map_opts *o)
{
	const struct source_opts *src = &o->source;
	const struct {
		const char *name;
		bool given;
	} others[] = {
		{ ":::", src->args != NULL },
		{ "--max-args", src->per_job > 0 },
		{ "--fill", src->fill },
		{ "--skip-empty", src->skip_empty },
		{ "--skip-lines", src->skip_lines > 0 },
		{ "--shuffle", src->shuffle },
		{ "--max", src->max != UINT64_MAX },
		{ "--header", src->header },
		{ "--colsep", src->colsep && !src->csv },
		{ "--worker", o->workers.worker },
		{ "--tag", o->tag },
		{ "--dry-run", o->dry_run },
	};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (others[i].given)
			return cli_usage("--pipe and %s exclude each other: there are no items", others[i].name);
	if (o->feed.round_robin && o->job.retry > 0)
		return cli_usage("--round-robin and --retry exclude each other: what a consumer has read is not kept");
	if (o->feed.round_robin && (o->record.resume || o->record.resume_failed))
		return cli_usage("--round-robin cannot be resumed: which blocks a consumer had is not known");
	return feed_check(&o->feed, src->null ? "\\0" : src->delimiter);
}

static int check(const struct map_opts *o)
{
	int r = source_opts_check(&o->source);

	if (r != CLI_GO)
		return r;
	if (o->unordered + o->live + o->raw > 1)
		return cli_usage("--unordered, --live and --raw exclude each other");
	if (o->raw && o->tag)
		return cli_usage("--tag and --raw exclude each other: raw output does not pass through %s", o->face->tool);
	r = record_check(o);
	if (r != CLI_GO)
		return r;
	return o->feed.pipe ? check_pipe(o) : feed_check(&o->feed, NULL);
}

static int check_workers(const struct map_opts *o)
{
	const struct {
		const char *name;
		bool given;
	} others[] = {
		{ "--live", o->live },
		{ "--raw", o->raw },
		{ "--dry-run", o->dry_run },
		{ "-n", o->source.per_job > 1 },
		{ "--fill", o->source.fill },
		{ "--results", o->record.results != NULL },
		{ "--frames=out with --tag", o->workers.frames_out && o->tag },
	};

	for (size_t i = 0; i < ARRAY_SIZE(others) && o->workers.worker; i++)
		if (others[i].given)
			return cli_usage("%s does not go with %s", others[i].name, o->call.call ? "--processes" : "--worker");
	return workers_check(&o->workers);
}

/* COMMAND [ARG...] [::: ITEM...]... */
static int split_operands(struct map_opts *o, char **words)
{
	size_t n = 0;

	while (words[n] && !product_separator(words[n]))
		n++;
	if (n == 0)
		return cli_usage("no command given");
	if (!words[0][0])
		return cli_usage("the command is empty");
	o->words = words;
	o->n_words = n;
	if (!words[n])
		return CLI_GO;
	if (strcmp(words[n], ":::") != 0)
		return cli_usage("'%s' needs a ':::' before it", words[n]);
	o->source.args = words + n;
	return CLI_GO;
}

static int parse_options(struct map_opts *o, int argc, char **argv)
{
	const struct cli_opt *calls[] = { source_table, call_table, jobs_table, govern_table, output_table, record_table, cli_job_place_table,
		cli_job_bounds_table, cli_job_identity_table, cli_job_time_table, NULL };
	void *of_calls[] = { &o->source, &o->call, o, &o->govern, o, &o->record, &o->job, &o->job, &o->job, &o->job };
	const struct cli_opt *tables[] = { source_table, columns_table, jobs_table, workers_table, feed_table, govern_table, output_table, record_table,
		cli_job_place_table, cli_job_bounds_table, cli_job_identity_table, cli_job_time_table, o->face->table, NULL };
	void *targets[] = { &o->source, &o->source, o, &o->workers, &o->feed, &o->govern, o, &o->record, &o->job, &o->job, &o->job, &o->job,
		o->face->target };
	struct cli_opts spec = {
		.usage = o->face->usage,
		.summary = o->face->summary,
		.tables = o->call.call ? calls : tables,
		.targets = o->call.call ? of_calls : targets,
		.stop_at_operand = true,
		.verb = o->face->verb,
		.footer = o->face->footer,
	};
	int operand = 0, r;

	r = cli_opts_parse(&spec, argc, argv, &operand);
	if (r != CLI_GO)
		return r;
	o->feed.csv = o->feed.pipe && o->source.csv;
	o->feed.colsep = o->source.colsep;
	r = split_operands(o, argv + operand);
	if (r == CLI_GO)
		r = check(o);
	if (r == CLI_GO && o->call.call)
		r = call_check(o);
	if (r == CLI_GO)
		r = check_workers(o);
	return r == CLI_GO && o->face->check ? o->face->check(o) : r;
}

int map_main(const struct map_face *face, int argc, char **argv)
{
	struct map_opts opts = { .face = face, .source = SOURCE_OPTS_DEFAULT, .buffer = UINT64_C(64) << 20 };
	int r;

	if (cli_opts_defaults(face->tool, &argc, &argv) < 0)
		return cli_error("out of memory");
	opts.call.call = face->calls;
	opts.source.starmap = strcmp(argv[0], "starmap") == 0;
	cli_job_opts_init(&opts.job);
	workers_opts_init(&opts.workers);
	r = parse_options(&opts, argc, argv);
	if (r == CLI_GO)
		r = map_run(&opts);
	cli_job_opts_done(&opts.job);
	return r;
}

int map_help(const struct map_face *face, int argc, char **argv)
{
	struct map_opts opts = { .face = face };
	int r;

	cli_job_opts_init(&opts.job);
	r = parse_options(&opts, argc, argv);
	cli_job_opts_done(&opts.job);
	return r == CLI_GO ? cli_usage("options come after the verb: %s map [options] COMMAND", face->tool) : r;
}
