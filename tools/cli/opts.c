/* SPDX-License-Identifier: MIT */
/*
 * opts.c - option tables on top of getopt_long(3), which finds the options while we say what is
 * wrong with them.
 *
 * The tables are flattened into one list of entries. An entry's number, shifted past the letters,
 * is what getopt_long returns for its long name.
 */
#include <ctype.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/cli/opts.h"
#include "tools/cli/version.h"

enum { OPTS_MAX = 128, LONG_BASE = 256, HELP_COLUMN = 28, HELP_MAX = 1 << 16 };

struct entry {
	const struct cli_opt *opt;
	void *target;
};

struct parser {
	struct entry entries[OPTS_MAX];
	struct option longs[OPTS_MAX + 1];
	char shorts[3 * OPTS_MAX + 3];
	size_t n_entries, n_shorts;
};

static const struct cli_opt common[] = {
	{ .name = "help", .letter = 'h', .kind = CLI_OPT_FLAG, .help = "print this help" },
	{ .name = "version", .letter = 'V', .kind = CLI_OPT_FLAG, .help = "print the version" },
	{ .name = NULL },
};

/* Of its long name: --help=table is for programs and not told to people. */
static int has_arg(const struct cli_opt *opt)
{
	if (opt == &common[0])
		return optional_argument;
	if (!opt->arg)
		return no_argument;
	return opt->arg[0] == '[' ? optional_argument : required_argument;
}

static void add_option(struct parser *p, const struct cli_opt *opt, void *target)
{
	size_t i = p->n_entries++;

	assert(i < OPTS_MAX);

	p->entries[i] = (struct entry){ opt, target };
	p->longs[i] = (struct option){ opt->name, has_arg(opt), NULL, LONG_BASE + (int)i };
	if (!opt->letter)
		return;
	p->shorts[p->n_shorts++] = opt->letter;
	for (int colons = opt->arg ? has_arg(opt) : 0; colons > 0; colons--)
		p->shorts[p->n_shorts++] = ':';
}

static void add_table(struct parser *p, const struct cli_opt *table, void *target)
{
	for (const struct cli_opt *opt = table; opt->name; opt++)
		if (opt->kind != CLI_OPT_HEADING)
			add_option(p, opt, target);
}

static void parser_init(struct parser *p, const struct cli_opts *o)
{
	*p = (struct parser){ 0 };
	if (o->stop_at_operand)
		p->shorts[p->n_shorts++] = '+';
	p->shorts[p->n_shorts++] = ':';
	for (size_t i = 0; o->tables[i]; i++)
		add_table(p, o->tables[i], o->targets[i]);
	if (!o->bare)
		add_table(p, common, NULL);
}

/* The entry getopt_long means by c, or NULL. */
static const struct entry *find_entry(const struct parser *p, int c)
{
	if (c >= LONG_BASE)
		return &p->entries[c - LONG_BASE];
	for (size_t i = 0; i < p->n_entries; i++)
		if (p->entries[i].opt->letter && p->entries[i].opt->letter == c)
			return &p->entries[i];
	return NULL;
}

int cli_opt_bad(const char *name, const char *value, const char *why)
{
	return cli_usage("invalid value '%s' for '--%s': %s", value, name, why);
}

/* getopt_long does not tell an unknown long option from an ambiguous one. */
static int bad_long(const struct parser *p, const char *word)
{
	size_t len = strcspn(word, "="), matches = 0;

	for (size_t i = 0; i < p->n_entries; i++)
		if (strncmp(p->entries[i].opt->name, word + 2, len - 2) == 0)
			matches++;
	return cli_usage("%s '%.*s'%s", matches > 1 ? "option" : "unknown option", (int)len, word,
		matches > 1 ? " is ambiguous" : "");
}

static int bad_option(const struct parser *p, int c, const char *word)
{
	if (c == ':' || optopt >= LONG_BASE) {
		const struct entry *e = find_entry(p, optopt);

		assert(e);
		assert(e->opt);
		return cli_usage("option '--%s' %s", e->opt->name,
			c == ':' ? "needs a value" : "takes no value");
	}
	if (optopt != 0)
		return cli_usage("unknown option '-%c'", optopt);
	return bad_long(p, word);
}

static int store_number(const struct cli_opt *opt, const char *value, uint64_t *member)
{
	uint64_t max = opt->max ? opt->max : UINT64_MAX, v = 0;
	char why[80];
	int64_t negative;
	int r;

	if (opt->kind == CLI_OPT_SIZE) {
		r = pcore_parse_size(value, &v);
		if (r == 0 && (v < opt->min || v > max))
			r = -ERANGE;
	} else {
		r = pcore_parse_u64(value, opt->min, max, &v);
		if (r == -EINVAL && pcore_parse_i64(value, INT64_MIN, -1, &negative) == 0)
			r = -ERANGE;
	}
	if (r == -ERANGE) {
		snprintf(why, sizeof(why), "must be from %" PRIu64 " to %" PRIu64, opt->min, max);
		return cli_opt_bad(opt->name, value, why);
	}
	if (r < 0)
		return cli_opt_bad(opt->name, value,
			opt->kind == CLI_OPT_SIZE ? "not a size (bytes, or with K M G T)"
						  : "not a whole number");
	*member = v;
	return 0;
}

static int store_duration(const struct cli_opt *opt, const char *value, int64_t *member)
{
	int r = pcore_parse_duration(value, member);

	if (r < 0)
		return cli_opt_bad(opt->name, value,
			r == -ERANGE ? "too long" : "not a duration (90, 1.5s, 200ms, 2m, 3h, 1d)");
	return 0;
}

static int store_signal(const struct cli_opt *opt, const char *value, int *member)
{
	int sig = pcore_signal_parse(value);

	if (sig < 0)
		return cli_opt_bad(opt->name, value, "not a signal");
	*member = sig;
	return 0;
}

/* 0, or a status after a message. */
static int store(const struct entry *e, const char *value)
{
	const struct cli_opt *opt = e->opt;
	void *member = (char *)e->target + opt->offset;

	switch (opt->kind) {
	case CLI_OPT_FLAG:
		*(bool *)member = true;
		return 0;
	case CLI_OPT_STRING:
		*(const char **)member = value;
		return 0;
	case CLI_OPT_U64:
	case CLI_OPT_SIZE:
		return store_number(opt, value, member);
	case CLI_OPT_DURATION:
		return store_duration(opt, value, member);
	case CLI_OPT_SIGNAL:
		return store_signal(opt, value, member);
	case CLI_OPT_CALL:
		return opt->set(e->target, opt->name, value);
	case CLI_OPT_HEADING:
		break;
	}
	assert(opt->kind != CLI_OPT_HEADING);
	return CLI_FAILURE;
}

/* Text whose lines after the first begin at column. */
static void add_lines(struct pcore_buf *b, const char *text, int column)
{
	for (;;) {
		size_t len = strcspn(text, "\n");

		(void)pcore_buf_addf(b, "%.*s\n", (int)len, text);
		if (!text[len])
			return;
		(void)pcore_buf_addf(b, "%*s", column, "");
		text += len + 1;
	}
}

static void add_option_help(struct pcore_buf *b, const struct cli_opt *opt)
{
	char left[128], letter[8] = "    ";
	int len;

	if (opt->letter)
		snprintf(letter, sizeof(letter), "-%c, ", opt->letter);
	len = snprintf(left, sizeof(left), "  %s--%s%s%s", letter, opt->name,
		has_arg(opt) == required_argument ? " " : "", opt->arg ? opt->arg : "");
	if (!opt->help) {
		(void)pcore_buf_addf(b, "%s\n", left);
		return;
	}
	if (len + 2 > HELP_COLUMN)
		(void)pcore_buf_addf(b, "%s\n%*s", left, HELP_COLUMN, "");
	else
		(void)pcore_buf_addf(b, "%-*s", HELP_COLUMN, left);
	add_lines(b, opt->help, HELP_COLUMN);
}

/* A heading has an empty line before it. */
static void add_table_help(struct pcore_buf *b, const struct cli_opt *table)
{
	for (const struct cli_opt *opt = table; opt->name; opt++) {
		if (opt->kind == CLI_OPT_HEADING)
			(void)pcore_buf_addf(b, "\n%s\n", opt->name);
		else
			add_option_help(b, opt);
	}
}

/* The verbs that have a summary. */
static void add_verbs_help(struct pcore_buf *b, const struct cli_opts *o)
{
	const char *name, *summary = NULL;

	for (size_t i = 0; (name = o->verb(i, &summary)) && summary; i++) {
		if (i == 0)
			(void)pcore_buf_addf(b, "\nverbs (%s VERB --help tells more):\n", cli_tool());
		(void)pcore_buf_addf(b, "    %-8s%s\n", name, summary);
	}
}

/* 0, or a status after a message. */
static int print_buf(struct pcore_buf *b)
{
	int r = pcore_buf_terminate(b);

	r = r < 0 ? cli_error("cannot print the help: %s", strerror(-r)) : cli_print(b->data);
	pcore_buf_done(b);
	return r;
}

static int print_help(const struct cli_opts *o)
{
	struct pcore_buf b = PCORE_BUF_INIT(HELP_MAX);

	(void)pcore_buf_adds(&b, "usage: ");
	add_lines(&b, o->usage, (int)strlen("usage: "));
	(void)pcore_buf_addf(&b, "\n%s\n", o->summary);
	if (o->tables[0] && o->tables[0]->kind != CLI_OPT_HEADING)
		(void)pcore_buf_addc(&b, '\n');
	for (size_t i = 0; o->tables[i]; i++)
		add_table_help(&b, o->tables[i]);
	(void)pcore_buf_addc(&b, '\n');
	add_table_help(&b, common);
	if (o->verb)
		add_verbs_help(&b, o);
	if (o->footer)
		(void)pcore_buf_addf(&b, "\n%s\n", o->footer);
	return print_buf(&b);
}

/* Text as the last word of a line. */
static void add_joined(struct pcore_buf *b, const char *text)
{
	for (; *text; text++)
		(void)pcore_buf_addc(b, *text == '\n' ? ' ' : *text);
	(void)pcore_buf_addc(b, '\n');
}

static void add_option_row(struct pcore_buf *b, const struct cli_opt *opt)
{
	const char *kind = opt->kind == CLI_OPT_SIGNAL ? "signal" : opt->arg ? "value" : "flag";

	(void)pcore_buf_addf(b, "option\t%c\t%s\t%s\t%s\t", opt->letter ? opt->letter : '-', opt->name, kind, opt->arg ? opt->arg : "-");
	add_joined(b, opt->help ? opt->help : "");
}

static void add_table_rows(struct pcore_buf *b, const struct cli_opt *table)
{
	for (const struct cli_opt *opt = table; opt->name; opt++)
		if (opt->kind != CLI_OPT_HEADING)
			add_option_row(b, opt);
}

/* What opts.h says of --help=table. */
static int print_table(const struct cli_opts *o)
{
	struct pcore_buf b = PCORE_BUF_INIT(HELP_MAX);
	const char *name, *summary = NULL;

	for (const char *line = o->usage; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		(void)pcore_buf_addf(&b, "usage\t%.*s\n", (int)strcspn(line, "\n"), line);
	for (size_t i = 0; o->verb && (name = o->verb(i, &summary)); i++) {
		(void)pcore_buf_addf(&b, "verb\t%s\t", name);
		add_joined(&b, summary ? summary : "");
	}
	for (size_t i = 0; o->tables[i]; i++)
		add_table_rows(&b, o->tables[i]);
	add_table_rows(&b, common);
	return print_buf(&b);
}

static int help(const struct cli_opts *o, const char *value)
{
	if (!value)
		return print_help(o);
	return strcmp(value, "table") == 0 ? print_table(o) : cli_usage("option '--help' takes no value");
}

static int print_version(void)
{
	char text[128];

	snprintf(text, sizeof(text), "%.60s (pcore) " PCORE_VERSION "\n", cli_tool());
	return cli_print(text);
}

/* The word that getopt_long has just refused. It has gone past it only when that was the word's last letter. */
static const char *refused(char **argv, int c)
{
	const char *last = argv[optind - 1];

	if (c == '?' && optopt != 0 && optopt < LONG_BASE && !(last[0] == '-' && last[strlen(last) - 1] == optopt))
		return argv[optind];
	return last;
}

int cli_opts_parse(const struct cli_opts *o, int argc, char **argv, int *ret_operand)
{
	const struct entry *e;
	const char *at;
	struct parser p;
	int c, r;

	assert(o->tables);
	assert(o->targets);

	parser_init(&p, o);
	opterr = 0;
	optind = 0; /* glibc: begin anew */
	while ((c = getopt_long(argc, argv, p.shorts, p.longs, NULL)) != -1) {
		at = c == '?' || c == ':' ? refused(argv, c) : optarg ? optarg : argv[optind - 1];
		if (o->ret_at)
			*o->ret_at = at;
		if (c == '?' || c == ':')
			return bad_option(&p, c, at);
		e = find_entry(&p, c);
		assert(e);
		assert(e->opt);
		if (e->opt == &common[0])
			return help(o, optarg);
		if (e->opt == &common[1])
			return print_version();
		r = store(e, optarg);
		if (r != 0)
			return r;
	}
	*ret_operand = optind;
	return CLI_GO;
}

static const char *defaults_of(const char *tool)
{
	char name[80];
	int len = snprintf(name, sizeof(name), "PCORE_OPTIONS_%s", tool);

	assert(len < (int)sizeof(name));

	for (char *p = name; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	return getenv(name);
}

int cli_opts_defaults(const char *tool, int *argc, char ***argv)
{
	static char **volatile kept; /* options point into it as long as we live: no leak */
	const char *text = defaults_of(tool);
	size_t n_old = (size_t)*argc, n_words = 0, len;
	char **words, *copy, *word, *save;

	assert(*argc > 0);

	if (!text)
		return 0;
	/* One block: at most every second byte begins a word, then the old words and a NULL, then
	 * the text. */
	len = strlen(text);
	words = malloc((len / 2 + 1 + n_old + 1) * sizeof(*words) + len + 1);
	if (!words)
		return -ENOMEM;
	copy = memcpy(words + len / 2 + 1 + n_old + 1, text, len + 1);
	words[n_words++] = (*argv)[0];
	for (word = strtok_r(copy, " \t\n", &save); word; word = strtok_r(NULL, " \t\n", &save))
		words[n_words++] = word;
	memcpy(words + n_words, *argv + 1, n_old * sizeof(*words)); /* with the NULL */
	*argc = (int)(n_words + n_old - 1);
	*argv = kept = words;
	return 0;
}
