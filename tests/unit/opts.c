/* SPDX-License-Identifier: MIT */
/*
 * opts.c - tests of tools/cli/opts.c.
 */
#include <signal.h>

#include "tests/unit/capture.h"
#include "tests/unit/support.h"
#include "tools/cli/opts.h"
#include "tools/cli/version.h"

struct options {
	bool quiet, quick;
	const char *name, *called, *color;
	uint64_t jobs, buffer, any;
	int64_t timeout;
	int signal;
};

struct more {
	uint64_t nice;
};

static int set_called(void *opts, const char *name, const char *value)
{
	struct options *o = opts;

	if (value && strcmp(value, "bad") == 0)
		return cli_opt_bad(name, value, "not wanted");
	o->called = value ? value : "(none)";
	return 0;
}

static const struct cli_opt table[] = {
	{ .name = "Options:", .kind = CLI_OPT_HEADING },
	{ .name = "quiet",
		.letter = 'q',
		.kind = CLI_OPT_FLAG,
		.offset = offsetof(struct options, quiet),
		.help = "say nothing" },
	{ .name = "quick", .kind = CLI_OPT_FLAG, .offset = offsetof(struct options, quick) },
	{ .name = "name",
		.letter = 'n',
		.kind = CLI_OPT_STRING,
		.arg = "NAME",
		.offset = offsetof(struct options, name),
		.help = "a name,\non two lines" },
	{ .name = "jobs",
		.letter = 'j',
		.kind = CLI_OPT_U64,
		.arg = "N",
		.min = 1,
		.max = 1000,
		.offset = offsetof(struct options, jobs),
		.help = "how many" },
	{ .name = "any", .kind = CLI_OPT_U64, .arg = "N", .offset = offsetof(struct options, any) },
	{ .name = "timeout",
		.kind = CLI_OPT_DURATION,
		.arg = "DURATION",
		.offset = offsetof(struct options, timeout),
		.help = "how long" },
	{ .name = "buffer",
		.kind = CLI_OPT_SIZE,
		.arg = "A-RATHER-LONG-SIZE",
		.min = 1024,
		.offset = offsetof(struct options, buffer),
		.help = "how much" },
	{ .name = "signal",
		.kind = CLI_OPT_SIGNAL,
		.arg = "SIG",
		.offset = offsetof(struct options, signal),
		.help = "which" },
	{ .name = "call",
		.letter = 'c',
		.kind = CLI_OPT_CALL,
		.arg = "[=WHAT]",
		.set = set_called,
		.help = "do it" },
	{ .name = NULL },
};

static const struct cli_opt more_table[] = {
	{ .name = "More:", .kind = CLI_OPT_HEADING },
	{ .name = "nice",
		.kind = CLI_OPT_U64,
		.arg = "N",
		.max = 19,
		.offset = offsetof(struct more, nice),
		.help = "be nice" },
	{ .name = NULL },
};

/* One run of the parser. */
struct run {
	struct options opts;
	struct more more;
	char *argv[24]; /* getopt_long() moves words but never writes into them */
	int argc, operand, status;
	const char *message, *at;
	bool bare;
};

static int parse_words(struct run *run, bool stop_at_operand)
{
	struct cli_opts o = {
		.usage = "tool [options] COMMAND\ntool --other",
		.summary = "Does things.",
		.tables = (const struct cli_opt *const[]){ table, more_table, NULL },
		.targets = (void *const[]){ &run->opts, &run->more },
		.stop_at_operand = stop_at_operand,
		.footer = "See tool(1).",
		.bare = run->bare,
		.ret_at = &run->at,
	};

	return cli_opts_parse(&o, run->argc, run->argv, &run->operand);
}

static void parse(struct run *run, bool stop_at_operand, const char *const *words)
{
	*run = (struct run){ .argv = { (char *)"tool" }, .argc = 1, .operand = -1 };
	for (; words[run->argc - 1]; run->argc++)
		run->argv[run->argc] = (char *)words[run->argc - 1];
	capture_begin(STDERR_FILENO);
	run->status = parse_words(run, stop_at_operand);
	run->message = capture_end();
}

#define PARSE(run, ...) parse(run, true, (const char *[]){ __VA_ARGS__, NULL })
#define PERMUTE(run, ...) parse(run, false, (const char *[]){ __VA_ARGS__, NULL })

#define expect_go(run)                                   \
	do {                                             \
		assert_string_equal((run)->message, ""); \
		assert_int_equal((run)->status, CLI_GO); \
	} while (0)

#define expect_bad(text, ...)                                                               \
	do {                                                                                \
		struct run bad_;                                                            \
		PARSE(&bad_, __VA_ARGS__);                                                  \
		assert_int_equal(bad_.status, CLI_FAILURE);                                 \
		assert_int_equal(bad_.operand, -1);                                         \
		assert_string_equal(bad_.message, "pcore: " text "\ntry 'pcore --help'\n"); \
	} while (0)

static void each_kind_is_stored(void **state)
{
	struct run run;

	(void)state;
	PARSE(&run, "-q", "--quick", "--name", "x", "-j4", "--any=18446744073709551615",
		"--timeout=1.5s", "--buffer", "64K", "--signal", "INT", "--nice", "19", "cmd");
	expect_go(&run);
	assert_true(run.opts.quiet);
	assert_true(run.opts.quick);
	assert_string_equal(run.opts.name, "x");
	assert_int_equal(run.opts.jobs, 4);
	assert_true(run.opts.any == UINT64_MAX);
	assert_int_equal(run.opts.timeout, 1500 * NS_PER_MS);
	assert_int_equal(run.opts.buffer, 65536);
	assert_int_equal(run.opts.signal, SIGINT);
	assert_int_equal(run.more.nice, 19);
	assert_string_equal(run.argv[run.operand], "cmd");
}

static void a_value_may_begin_with_a_dash_or_be_empty(void **state)
{
	struct run run;

	(void)state;
	PARSE(&run, "-n", "--jobs", "-j", "2", "--name=");
	expect_go(&run);
	assert_string_equal(run.opts.name, "");
	assert_int_equal(run.opts.jobs, 2);
	PARSE(&run, "--name", "--", "x");
	assert_string_equal(run.opts.name, "--");
	assert_string_equal(run.argv[run.operand], "x");
}

static void the_last_of_repeated_options_wins(void **state)
{
	struct run run;

	(void)state;
	PARSE(&run, "-j1", "-j", "2", "--jobs=3", "--timeout", "inf");
	expect_go(&run);
	assert_int_equal(run.opts.jobs, 3);
	assert_true(run.opts.timeout == INT64_MAX);
	assert_int_equal(run.operand, run.argc);
}

static void options_end_at_the_command(void **state)
{
	struct run run;

	(void)state;
	PARSE(&run, "-q", "cmd", "--quick", "-j", "x", "--");
	expect_go(&run);
	assert_int_equal(run.operand, 2);
	assert_false(run.opts.quick);
	assert_string_equal(run.argv[6], "--");
	PARSE(&run, "-q", "--", "-j", "x");
	expect_go(&run);
	assert_string_equal(run.argv[run.operand], "-j");
	PARSE(&run, "-", "-q");
	expect_go(&run);
	assert_string_equal(run.argv[run.operand], "-");
}

static void options_may_follow_operands_where_no_command_is_taken(void **state)
{
	struct run run;

	(void)state;
	PERMUTE(&run, "a", "-q", "b", "--jobs", "5", "c", "--", "-x", "--quick");
	expect_go(&run);
	assert_true(run.opts.quiet);
	assert_false(run.opts.quick);
	assert_int_equal(run.opts.jobs, 5);
	assert_int_equal(run.argc - run.operand, 5);
	assert_string_equal(run.argv[run.operand], "a");
	assert_string_equal(run.argv[run.operand + 2], "c");
	assert_string_equal(run.argv[run.operand + 3], "-x");
	assert_string_equal(run.argv[run.operand + 4], "--quick");
}

static void a_long_name_may_be_cut_where_it_stays_unique(void **state)
{
	struct run run;

	(void)state;
	PARSE(&run, "--quie", "--jo", "3", "--t=1");
	expect_go(&run);
	assert_true(run.opts.quiet);
	assert_int_equal(run.opts.jobs, 3);
	assert_int_equal(run.opts.timeout, NS_PER_S);
}

static void an_optional_value_is_taken_only_with_an_equals_sign(void **state)
{
	struct run run;

	(void)state;
	PARSE(&run, "--call", "x");
	expect_go(&run);
	assert_string_equal(run.opts.called, "(none)");
	assert_string_equal(run.argv[run.operand], "x");
	PARSE(&run, "--call=y");
	assert_string_equal(run.opts.called, "y");
	PARSE(&run, "-cz");
	assert_string_equal(run.opts.called, "z");
}

static void a_wrong_option_is_named(void **state)
{
	(void)state;
	expect_bad("unknown option '--x'", "--x");
	expect_bad("unknown option '--quiet-not'", "--quiet-not=4");
	expect_bad("unknown option '-x'", "-qx");
	expect_bad("unknown option '-:'", "-:");
	expect_bad("unknown option '--\\x1b[1m\\n'", "--\x1b[1m\n");
	expect_bad("option '--qui' is ambiguous", "--qui");
	expect_bad("option '--n' is ambiguous", "--n=4");
	expect_bad("option '--jobs' needs a value", "-q", "--jobs");
	expect_bad("option '--jobs' needs a value", "-qj");
	expect_bad("option '--quiet' takes no value", "--quiet=yes");
	expect_bad("option '--help' takes no value", "--help=x");
}

static void a_wrong_value_is_named_with_its_option(void **state)
{
	(void)state;
	expect_bad("invalid value '0' for '--jobs': must be from 1 to 1000", "-j0");
	expect_bad("invalid value '1001' for '--jobs': must be from 1 to 1000", "--jobs", "1001");
	expect_bad("invalid value '-3' for '--jobs': must be from 1 to 1000", "-j", "-3");
	expect_bad("invalid value '99999999999999999999' for '--jobs': must be from 1 to 1000",
		"-j", "99999999999999999999");
	expect_bad("invalid value '4x' for '--jobs': not a whole number", "-j", "4x");
	expect_bad("invalid value '' for '--jobs': not a whole number", "-j", "");
	expect_bad("invalid value ' 4' for '--jobs': not a whole number", "-j", " 4");
	expect_bad("invalid value '0x4' for '--jobs': not a whole number", "-j", "0x4");
	expect_bad("invalid value '20' for '--nice': must be from 0 to 19", "--nice", "20");
	expect_bad(
		"invalid value '1x' for '--timeout': not a duration (90, 1.5s, 200ms, 2m, 3h, 1d)",
		"--timeout=1x");
	expect_bad(
		"invalid value '-1s' for '--timeout': not a duration (90, 1.5s, 200ms, 2m, 3h, 1d)",
		"--timeout", "-1s");
	expect_bad("invalid value '999999999999d' for '--timeout': too long", "--timeout",
		"999999999999d");
	expect_bad("invalid value '5X' for '--buffer': not a size (bytes, or with K M G T)",
		"--buffer=5X");
	expect_bad("invalid value '1023' for '--buffer': must be from 1024 to 18446744073709551615",
		"--buffer=1023");
	expect_bad("invalid value 'NONE' for '--signal': not a signal", "--signal=NONE");
	expect_bad("invalid value '-9' for '--signal': not a signal", "--signal", "-9");
	expect_bad("invalid value 'bad' for '--call': not wanted", "--call=bad");
}

/* Which words, of those given, and from which byte on. */
#define expect_at(word, offset, ...)                                                     \
	do {                                                                             \
		struct run at_;                                                          \
		const char *words_[] = { __VA_ARGS__, NULL };                            \
		parse(&at_, false, words_);                                              \
		assert_int_equal(at_.status, CLI_FAILURE);                               \
		assert_ptr_equal(at_.at, words_[word] + (offset));                       \
	} while (0)

static void the_place_of_a_mistake_is_told(void **state)
{
	(void)state;
	expect_at(0, 0, "--frob", "x");
	expect_at(2, 0, "x", "y", "--frob", "-q");
	expect_at(1, 0, "x", "--qui", "--jobs=0"); /* ambiguous */
	expect_at(2, 0, "-q", "x", "-x");
	expect_at(1, 0, "-q", "-xq", "y");
	expect_at(1, 0, "-q", "-qxq", "y");
	expect_at(0, 0, "-qqx", "y");
	expect_at(1, 0, "x", "--quiet=1");
	expect_at(1, 0, "x", "--jobs");
	expect_at(1, 0, "x", "-qj");
	expect_at(1, 0, "--jobs", "many", "x");
	expect_at(1, 7, "x", "--jobs=many", "x");
	expect_at(1, 2, "x", "-jmany", "x");
	expect_at(0, 7, "--call=bad");
}

static void a_bare_parser_has_no_help_and_no_version(void **state)
{
	static const char *const words[] = { "--help", "-h", "--version", "-V" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		struct run run = { .argv = { (char *)"tool", (char *)words[i] }, .argc = 2, .bare = true };

		capture_begin(STDERR_FILENO);
		run.status = parse_words(&run, false);
		run.message = capture_end();
		assert_int_equal(run.status, CLI_FAILURE);
		assert_non_null(strstr(run.message, "unknown option '"));
		assert_ptr_equal(run.at, words[i]);
	}
}

static void a_failed_parse_leaves_the_value_as_it_was(void **state)
{
	struct run run;

	(void)state;
	PARSE(&run, "-j5", "--jobs=x");
	assert_int_equal(run.status, CLI_FAILURE);
	assert_int_equal(run.opts.jobs, 5);
}

static void help_is_the_table_in_two_columns(void **state)
{
	static const char expected[] = "usage: tool [options] COMMAND\n"
				       "       tool --other\n"
				       "\n"
				       "Does things.\n"
				       "\n"
				       "Options:\n"
				       "  -q, --quiet               say nothing\n"
				       "      --quick\n"
				       "  -n, --name NAME           a name,\n"
				       "                            on two lines\n"
				       "  -j, --jobs N              how many\n"
				       "      --any N\n"
				       "      --timeout DURATION    how long\n"
				       "      --buffer A-RATHER-LONG-SIZE\n"
				       "                            how much\n"
				       "      --signal SIG          which\n"
				       "  -c, --call[=WHAT]         do it\n"
				       "\n"
				       "More:\n"
				       "      --nice N              be nice\n"
				       "\n"
				       "  -h, --help                print this help\n"
				       "  -V, --version             print the version\n"
				       "\n"
				       "See tool(1).\n";
	static const char *const options[] = { "--help", "-h" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		struct run run = { .argv = { (char *)"tool", (char *)options[i], (char *)"--bad" },
			.argc = 3 };
		const char *text;

		capture_begin(STDOUT_FILENO);
		run.status = parse_words(&run, true);
		text = capture_end();
		assert_string_equal(text, expected);
		assert_int_equal(run.status, CLI_OK);
	}
}

static void version_names_tool_and_package(void **state)
{
	static const struct cli_opt none[] = { { .name = NULL } };
	struct cli_opts o = {
		.usage = "tool",
		.summary = "Nothing.",
		.tables = (const struct cli_opt *const[]){ none, NULL },
		.targets = (void *const[]){ NULL },
	};
	char *argv[] = { (char *)"tool", (char *)"-V", NULL };
	int operand, status;
	const char *text;

	(void)state;
	capture_begin(STDOUT_FILENO);
	status = cli_opts_parse(&o, 2, argv, &operand);
	text = capture_end();
	assert_int_equal(status, CLI_OK);
	assert_string_equal(text, "pcore (pcore) " PCORE_VERSION "\n");
}

static const char *test_verb(size_t i, const char **ret_summary)
{
	*ret_summary = "Do it.";
	return i == 0 ? "do" : NULL;
}

static void tables_are_printed_for_completions(void **state)
{
	static const struct cli_opt tool_table[] = {
		{ .name = "A heading", .kind = CLI_OPT_HEADING },
		{ .name = "out", .letter = 'o', .kind = CLI_OPT_STRING, .arg = "FILE", .help = "write\nthere" },
		{ .name = "signal", .kind = CLI_OPT_SIGNAL, .arg = "SIG" },
		{ .name = NULL },
	};
	struct cli_opts o = {
		.usage = "tool\ntool VERB",
		.summary = "Nothing.",
		.tables = (const struct cli_opt *const[]){ tool_table, NULL },
		.targets = (void *const[]){ NULL },
		.verb = test_verb,
	};
	char *argv[] = { (char *)"tool", (char *)"--help=table", NULL };
	int operand, status;
	const char *text;

	(void)state;
	capture_begin(STDOUT_FILENO);
	status = cli_opts_parse(&o, 2, argv, &operand);
	text = capture_end();
	assert_int_equal(status, CLI_OK);
	assert_string_equal(text, "usage\ttool\nusage\ttool VERB\nverb\tdo\tDo it.\n"
				  "option\to\tout\tvalue\tFILE\twrite there\noption\t-\tsignal\tsignal\tSIG\t\n"
				  "option\th\thelp\tflag\t-\tprint this help\noption\tV\tversion\tflag\t-\tprint the version\n");
}

static void defaults_stand_before_the_words_of_the_command_line(void **state)
{
	static const char *const expected[] = { "tool", "-j", "4", "--name=a", "-q", "cmd" };
	char *old[] = { (char *)"tool", (char *)"-q", (char *)"cmd", NULL }, **argv = old;
	int argc = 3;

	(void)state;
	setenv("PCORE_OPTIONS_TOOL", " -j\t4  --name=a\n", 1);
	assert_int_equal(cli_opts_defaults("tool", &argc, &argv), 0);
	assert_int_equal(argc, 6);
	for (int i = 0; i < argc; i++)
		assert_string_equal(argv[i], expected[i]);
	assert_null(argv[argc]);
	free(argv);
	unsetenv("PCORE_OPTIONS_TOOL");
}

static void defaults_that_are_unset_or_blank_change_nothing(void **state)
{
	char *old[] = { (char *)"tool", (char *)"x", NULL }, **argv = old;
	int argc = 2;

	(void)state;
	unsetenv("PCORE_OPTIONS_TOOL");
	assert_int_equal(cli_opts_defaults("tool", &argc, &argv), 0);
	assert_ptr_equal(argv, old);
	for (const char *blank = "   "; *blank; blank++) {
		setenv("PCORE_OPTIONS_TOOL", blank + 1, 1);
		assert_int_equal(cli_opts_defaults("tool", &argc, &argv), 0);
		assert_int_equal(argc, 2);
		assert_string_equal(argv[1], "x");
		free(argv);
		argv = old;
	}
	setenv("PCORE_OPTIONS_TOOL", "a b c d e", 1);
	assert_int_equal(cli_opts_defaults("tool", &argc, &argv), 0);
	assert_int_equal(argc, 7);
	assert_string_equal(argv[5], "e");
	assert_string_equal(argv[6], "x");
	free(argv);
	unsetenv("PCORE_OPTIONS_TOOL");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_kind_is_stored),
		TEST(a_value_may_begin_with_a_dash_or_be_empty),
		TEST(the_last_of_repeated_options_wins),
		TEST(options_end_at_the_command),
		TEST(options_may_follow_operands_where_no_command_is_taken),
		TEST(a_long_name_may_be_cut_where_it_stays_unique),
		TEST(an_optional_value_is_taken_only_with_an_equals_sign),
		TEST(a_wrong_option_is_named),
		TEST(a_wrong_value_is_named_with_its_option),
		TEST(the_place_of_a_mistake_is_told),
		TEST(a_bare_parser_has_no_help_and_no_version),
		TEST(a_failed_parse_leaves_the_value_as_it_was),
		TEST(help_is_the_table_in_two_columns),
		TEST(version_names_tool_and_package),
		TEST(tables_are_printed_for_completions),
		TEST(defaults_stand_before_the_words_of_the_command_line),
		TEST(defaults_that_are_unset_or_blank_change_nothing),
	};

	return RUN_TESTS(tests);
}
