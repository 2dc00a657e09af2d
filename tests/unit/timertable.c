/* SPDX-License-Identifier: MIT */
/*
 * timertable.c - tests of the reader of timer tables. What is wrong is written down as "LINE:COLUMN what", one a line.
 */
#include "tools/ptimer/table.c"
#include "tools/ptimer/verbs.c"
#include "tools/ptimer/zones.c"

#include "tests/unit/support.h"

static struct ptimer_table table;
static struct ptimer_zones zones;
static char told[8192];
static char dir[64];

static void tell(void *ctx, const char *file, unsigned line, unsigned column, const char *what)
{
	size_t len = strlen(told);
	const char *slash = strrchr(file, '/');

	(void)ctx;
	if (strcmp(file, "t") != 0)
		len += (size_t)snprintf(told + len, sizeof(told) - len, "%s:", slash ? slash + 1 : file);
	snprintf(told + len, sizeof(told) - len, "%u:%u %s\n", line, column, what);
}

static void forget(void)
{
	ptimer_table_done(&table);
	told[0] = '\0';
}

static int read_bytes(const char *text, size_t len)
{
	forget();
	return ptimer_table_parse(&table, "t", text, len, &zones, tell, NULL);
}

static int read_string(const char *text)
{
	return read_bytes(text, strlen(text));
}

static int before(void **state)
{
	table = (struct ptimer_table){ 0 };
	zones = (struct ptimer_zones){ 0 };
	told[0] = '\0';
	strcpy(dir, "/tmp/timertable.XXXXXX");
	assert_non_null(mkdtemp(dir));
	return support_before(state);
}

static int after(void **state)
{
	ptimer_table_done(&table);
	ptimer_zones_done(&zones);
	assert_int_equal(rmdir(dir), 0);
	return support_after(state);
}

#define TABLE_TEST(f) cmocka_unit_test_setup_teardown(f, before, after)

/* The words of `a: on daily -- WORDS', as [x][y]. */
static void expect_words(const char *source, const char *words)
{
	char text[1024], got[1024] = "";

	snprintf(text, sizeof(text), "a: on daily -- %s", source);
	assert_int_equal(read_string(text), 0);
	assert_int_equal(table.n, 1);
	for (char **w = table.timers[0]->opts.command; *w; w++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "[%s]", *w);
	assert_string_equal(got, words);
}

static void expect_told(const char *text, const char *expected)
{
	int n = 0;

	for (const char *p = expected; *p; p++)
		n += *p == '\n';
	assert_int_equal(read_string(text), n);
	assert_string_equal(told, expected);
}

/* ---- what is right ---- */

static void a_line_is_a_timer_with_the_options_of_its_verb(void **state)
{
	const struct ptimer_timer *t;

	(void)state;
	assert_int_equal(read_string("# first\n\n  a.1: every 10s -n3 --phase 1s --priority -7 --overlap queue=2 -- echo hi\n"
				     "B-2: after 1h --monotonic\n"), 0);
	assert_int_equal(table.n, 2);
	t = table.timers[0];
	assert_string_equal(t->name, "a.1");
	assert_string_equal(t->place.file, "t");
	assert_int_equal(t->place.line, 3);
	assert_int_equal(t->priority, -7);
	assert_int_equal(t->opts.verb, PTIMER_EVERY);
	assert_int_equal(t->opts.duration, 10 * NS_PER_S);
	assert_int_equal(t->opts.phase, NS_PER_S);
	assert_int_equal(t->opts.count, 3);
	assert_int_equal(t->opts.overlap, PTIMER_QUEUE);
	assert_int_equal(t->opts.overlap_max, 2);
	assert_string_equal(t->opts.command[1], "hi");
	assert_null(t->opts.command[2]);
	t = table.timers[1];
	assert_string_equal(t->name, "B-2");
	assert_int_equal(t->place.line, 4);
	assert_int_equal(t->priority, 0);
	assert_null(t->opts.command);
	assert_true(t->opts.monotonic);
	assert_ptr_equal(ptimer_table_find(&table, "B-2"), t);
	assert_null(ptimer_table_find(&table, "B-3"));
}

static void words_are_quoted_in_three_ways(void **state)
{
	(void)state;
	expect_words("a b\tc  \t d", "[a][b][c][d]");
	expect_words("'a b' \"c d\" e\\ f", "[a b][c d][e f]");
	expect_words("'a\"\\b' \"c'd\"", "[a\"\\b][c'd]");
	expect_words("\"a\\\"b\\\\c\\d\"", "[a\"b\\c\\d]");
	expect_words("\\a\\'\\\"\\\\", "[a'\"\\]");
	expect_words("a'b'\"c\"d ''", "[abcd][]");
	expect_words("a '' \"\"''", "[a][][]");
	expect_words("$HOME *.c `x` $(y) ~", "[$HOME][*.c][`x`][$(y)][~]");
	expect_words("'\t'", "[\t]");
	expect_words("\xc3\xa9\xff", "[\xc3\xa9\xff]");
}

static void a_comment_begins_with_a_word(void **state)
{
	(void)state;
	expect_words("a#b # c\\\n", "[a#b]");
	expect_words("a '# b' \\# \"#\" #", "[a][# b][#][#]");
	assert_int_equal(read_string(" # c \\\na: after 0\n#\001"), 0);
	assert_int_equal(table.n, 1);
}

static void a_backslash_at_the_end_of_a_line_joins_the_next(void **state)
{
	(void)state;
	expect_words("a\\\nb \\\n  c", "[ab][c]");
	expect_words("\"a\\\nb\"", "[ab]");
	expect_words("a \\\n# b", "[a]");
	expect_words("a \\\n\\\n\\\n b", "[a][b]");
	assert_int_equal(read_string("a: \\\n\\\nafter 0\n\nb: after 0"), 0);
	assert_int_equal(table.timers[0]->place.line, 1);
	assert_int_equal(table.timers[1]->place.line, 5);
}

static void a_zone_is_opened_once(void **state)
{
	(void)state;
	assert_int_equal(read_string("a: on 'daily AAA-1'\nb: on daily --tz AAA-1\nc: on 'daily BBB-2' --tz AAA-1\nd: on daily\n"
				     "e: every 1 --until '14:30 BBB-2'\nf: cron @daily --tz +05:30\n"), 0);
	assert_non_null(table.timers[0]->zone);
	assert_ptr_equal(table.timers[0]->zone, table.timers[1]->zone);
	assert_ptr_not_equal(table.timers[0]->zone, table.timers[2]->zone);
	assert_int_equal(pcore_zone_at(table.timers[2]->zone, 0).offset_ns, 7200 * NS_PER_S);
	assert_null(table.timers[3]->zone);
	assert_int_equal(zones.by_name.len, 3);
}

static void equal_timers_have_the_same_words(void **state)
{
	(void)state;
	assert_int_equal(read_string("a: on daily --nice 1 -- x y\n"), 0);
	{
		struct ptimer_table old = table;
		struct ptimer_timer *t = old.timers[0];

		table = (struct ptimer_table){ 0 };
		assert_int_equal(read_string("# moved\na:  on 'daily' --nice \\\n 1 -- \"x\" y\n"), 0);
		assert_true(ptimer_timer_equal(t, table.timers[0]));
		assert_int_equal(read_string("a: on daily --nice 1 -- x y z\n"), 0);
		assert_false(ptimer_timer_equal(t, table.timers[0]));
		assert_false(ptimer_timer_equal(table.timers[0], t));
		assert_int_equal(read_string("a: on daily --nice 1 -- x 'y z'\n"), 0);
		assert_false(ptimer_timer_equal(t, table.timers[0]));
		old.timers[0] = NULL;
		ptimer_table_done(&old);
		ptimer_timer_free(t);
	}
}

/* ---- what is wrong, and where ---- */

static void a_mistake_in_an_expression_has_its_very_column(void **state)
{
	(void)state;
	expect_told("a: on 'Mon..Fri 25:00' -- x", "1:17 the hour must be from 0 to 23\n");
	expect_told("a: on Mon..Fri\\ 25:00 -- x", "1:17 the hour must be from 0 to 23\n");
	expect_told("a: on \\\n\"Mon.\"'.Fri '2\\\n5:00", "2:14 the hour must be from 0 to 23\n");
	expect_told("\n\na:\ton 25:00", "3:7 the hour must be from 0 to 23\n");
	expect_told("a: on '25:00'", "1:7 the hour must be from 0 to 23\n"); /* a word begins with its quote */
	expect_told("a: cron '* * 32 * *'", "1:14 the day must be from 1 to 31, L, L-N, NW or LW\n");
	expect_told("a: at 2026-02-30", "1:15 there is no such day\n");
	expect_told("a: every 1s --until '2026-02-30'", "1:30 there is no such day\n");
	expect_told("a: every x", "1:10 invalid duration 'x': must be one such as 90, 1.5s, 200ms, 2m, 3h or 1d\n");
	expect_told("a: on daily daily", "1:13 unexpected 'daily': a command comes after --\n");
}

static void a_wrong_option_has_the_column_of_its_word(void **state)
{
	(void)state;
	expect_told("a: on daily --frob -- x", "1:13 unknown option '--frob'\n");
	expect_told("a: on daily --o=1 -- x", "1:13 option '--o' is ambiguous\n");
	expect_told("a: on daily -n3 -x -- x", "1:17 unknown option '-x'\n");
	expect_told("a: on daily --nice 1 -xn3 -- x", "1:22 unknown option '-x'\n");
	expect_told("a: on daily --count x -- x", "1:21 invalid value 'x' for '--count': not a whole number\n");
	expect_told("a: on daily '--count=x'", "1:22 invalid value 'x' for '--count': not a whole number\n");
	expect_told("a: on daily -n 'x'", "1:16 invalid value 'x' for '--count': not a whole number\n");
	expect_told("a: on daily -nx", "1:15 invalid value 'x' for '--count': not a whole number\n");
	expect_told("a: on daily --count", "1:13 option '--count' needs a value\n");
	expect_told("a: on --count -- daily", "1:7 option '--count' needs a value\n");
	expect_told("a: on daily --leave=1 -- x", "1:13 option '--leave' takes no value\n");
	expect_told("a: on daily --priority x", "1:24 invalid value 'x' for '--priority': must be a whole number from -2147483648 to 2147483647\n");
	expect_told("a: on daily --priority=2147483648", "1:24 invalid value '2147483648' for '--priority': must be a whole number from -2147483648 to 2147483647\n");
	expect_told("a: on daily --overlap skip", "1:4 --overlap needs a command\n");
	expect_told("a: on daily --nice 3", "1:4 the options of jobs need a command\n");
	expect_told("a: on daily --", "1:13 no command given after --\n");
	expect_told("a: on daily -- ''", "1:16 the command is empty\n");
}

static void what_concerns_a_process_is_no_option_of_a_timer(void **state)
{
	(void)state;
	expect_told("a: on daily --help", "1:13 unknown option '--help'\n");
	expect_told("a: on daily -V", "1:13 unknown option '-V'\n");
	expect_told("a: sleep 1\nb: next daily\n", "1:4 unknown verb 'sleep': must be after, at, every, on or cron\n"
						     "2:4 unknown verb 'next': must be after, at, every, on or cron\n");
}

static void an_unknown_zone_has_the_column_of_its_name(void **state)
{
	(void)state;
	expect_told("a: on 'daily No/Where'", "1:14 unknown time zone 'No/Where'\n");
	expect_told("a: on daily --tz=No/Where", "1:18 unknown time zone 'No/Where'\n");
	expect_told("a: at '14:30 No/Where' --tz 'No/One'", "1:29 unknown time zone 'No/One'\n1:14 unknown time zone 'No/Where'\n");
	expect_told("a: every 1 --until '14:30 No/Where'", "1:27 unknown time zone 'No/Where'\n");
}

static void a_name_is_checked_and_there_once(void **state)
{
	char text[256];

	(void)state;
	expect_told("-a: after 0", "1:1 '-a' is no name: it must be 1 to 64 letters, digits and . _ -, a letter or digit first\n");
	expect_told(": after 0", "1:1 '' is no name: it must be 1 to 64 letters, digits and . _ -, a letter or digit first\n");
	expect_told("a/b: after x", "1:1 'a/b' is no name: it must be 1 to 64 letters, digits and . _ -, a letter or digit first\n"
				     "1:12 invalid duration 'x': must be one such as 90, 1.5s, 200ms, 2m, 3h or 1d\n");
	expect_told("a after 0", "1:1 'a' is no name with a colon: a line is `NAME: VERB WHEN ...' or `include FILE'\n");
	expect_told("a:", "1:1 'a' needs a verb: after, at, every, on or cron\n");
	expect_told("a: after 0\n\n  a: after 1", "3:3 'a' is there already, in 't' on line 1\n");
	assert_int_equal(table.n, 1);
	snprintf(text, sizeof(text), "%064d: after 0\n%065d: after 0\n", 1, 2);
	assert_int_equal(read_string(text), 1);
	assert_int_equal(table.n, 1);
	assert_memory_equal(told, "2:1 ", 4);
}

static void a_line_that_cannot_be_split_is_told_and_left_out(void **state)
{
	(void)state;
	expect_told("a: on 'daily\nb: after 0\nc: on \"x\\\"\n", "1:7 the quote does not end on this line\n3:7 the quote does not end on this line\n");
	assert_int_equal(table.n, 1);
	assert_string_equal(table.timers[0]->name, "b");
	expect_told("a: on 'daily\\\nb: after 0'\nc: after 0", "1:7 the quote does not end on this line\n");
	expect_told("a: after 0\\", "1:11 nothing follows the backslash\n");
	expect_told("a: after 0 x\ry\\\n z\nb: after 0", "1:13 a word has no control characters\n");
	assert_int_equal(table.n, 1);
	expect_told("a: after '\x7f'", "1:11 a word has no control characters\n");
	expect_told("a: after \\\001", "1:10 a word has no control characters\n");
	assert_int_equal(read_bytes("a: after \0 0", 12), 1);
	assert_string_equal(told, "1:10 a word has no control characters\n");
}

static void a_line_has_a_limit(void **state)
{
	char *text = malloc(2 * PTIMER_TABLE_LINE_MAX);
	size_t head = strlen("a: after 0 -- ");

	(void)state;
	assert_non_null(text);
	memset(text, 'x', 2 * PTIMER_TABLE_LINE_MAX);
	memcpy(text, "a: after 0 -- ", head);
	assert_int_equal(read_bytes(text, PTIMER_TABLE_LINE_MAX - 1), 0);
	assert_int_equal(strlen(table.timers[0]->opts.command[0]), PTIMER_TABLE_LINE_MAX - 1 - head);
	assert_int_equal(read_bytes(text, PTIMER_TABLE_LINE_MAX), 1);
	assert_string_equal(told, "1:65537 the line is too long\n");
	free(text);
}

static const char *doubt_of_after(void *ctx, const struct ptimer_timer *t)
{
	(void)ctx;
	return t->opts.verb == PTIMER_AFTER ? "who knows" : NULL;
}

static void a_doubt_is_told_at_the_expression_and_does_not_count(void **state)
{
	(void)state;
	table.doubt = doubt_of_after;
	assert_int_equal(ptimer_table_parse(&table, "t", "a: after 0\nb: every 1\nc: after x", 32, &zones, tell, NULL), 1);
	assert_string_equal(told, "1:10 warning: who knows\n3:10 invalid duration 'x': must be one such as 90, 1.5s, 200ms, 2m, 3h or 1d\n");
}

static void only_names_stay_of_a_table_that_is_looked_at(void **state)
{
	(void)state;
	table.names_only = true;
	assert_int_equal(ptimer_table_parse(&table, "t", "a: after 0\nb: every 1\na: after 1", 32, &zones, tell, NULL), 1);
	assert_string_equal(told, "3:1 'a' is there already, in 't' on line 1\n");
	assert_int_equal(table.n, 0);
	assert_int_equal(table.names.len, 2);
}

/* ---- files ---- */

static char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void make_file(const char *name, const char *text)
{
	FILE *f = fopen(path_of(name), "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int read_path(const char *name)
{
	forget();
	return ptimer_table_read(&table, path_of(name), &zones, tell, NULL);
}

static void files_are_included_from_where_they_are(void **state)
{
	(void)state;
	assert_int_equal(mkdir(path_of("d"), 0700), 0);
	make_file("t", "a: after 0\ninclude d/u\nb: after 0\n");
	make_file("d/u", "c: after x\ninclude 'v w'");
	make_file("d/v w", "\nd: after 0\na: after 0\n");
	assert_int_equal(read_path("t"), 2);
	assert_int_equal(table.n, 3);
	assert_string_equal(table.timers[1]->name, "d");
	assert_string_equal(strrchr(table.timers[1]->place.file, '/'), "/v w");
	assert_int_equal(table.timers[1]->place.line, 2);
	assert_string_equal(table.timers[2]->name, "b");
	assert_int_equal(table.n_files, 3);
	assert_memory_equal(told, "u:1:10 invalid duration 'x'", 27);
	assert_non_null(strstr(told, "v w:3:1 'a' is there already, in '"));
	unlink(path_of("t"));
	unlink(path_of("d/u"));
	unlink(path_of("d/v w"));
	rmdir(path_of("d"));
}

static void a_file_is_read_once_and_not_too_deeply(void **state)
{
	char name[16], text[64];

	(void)state;
	make_file("t", "include t\n");
	assert_int_equal(read_path("t"), 1);
	assert_memory_equal(told, "t:1:9 '", 7);
	assert_non_null(strstr(told, "' is read already\n"));
	for (int i = 0; i <= PTIMER_TABLE_DEPTH_MAX; i++) {
		snprintf(name, sizeof(name), "%d", i);
		snprintf(text, sizeof(text), "include %d\n", i + 1);
		make_file(name, text);
	}
	assert_int_equal(read_path("0"), 1);
	assert_string_equal(told, "16:1:1 files are included more than 16 deep\n");
	for (int i = 0; i <= PTIMER_TABLE_DEPTH_MAX; i++) {
		snprintf(name, sizeof(name), "%d", i);
		unlink(path_of(name));
	}
	unlink(path_of("t"));
}

static void what_cannot_be_included_is_told_by_its_name(void **state)
{
	(void)state;
	make_file("t", "include  none\ninclude\ninclude a b\ninclude .\n");
	assert_int_equal(read_path("t"), 4);
	assert_memory_equal(told, "t:1:10 cannot read '", 20);
	assert_non_null(strstr(told, "/none': No such file or directory\nt:2:1 include takes one file\nt:3:11 include takes one file\n"));
	assert_non_null(strstr(told, "t:4:9 cannot read '"));
	unlink(path_of("t"));
	expect_told("include x\n", "1:1 files are included more than 16 deep\n");
}

static void a_table_that_cannot_be_read_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(read_path("none"), -ENOENT);
	assert_int_equal(read_path("."), -EISDIR);
	make_file("t", "");
	assert_int_equal(read_path("t"), 0);
	assert_int_equal(truncate(path_of("t"), PTIMER_TABLE_FILE_MAX + 1), 0);
	assert_int_equal(read_path("t"), -EFBIG);
	unlink(path_of("t"));
}

static void a_quoted_word_is_read_as_it_was(void **state)
{
	static const char *const words[] = { "", "a", "a b", "'", "\"", "\\", "it's", "a'\"\\b c", "#", "\t", "$x", "--", "a\\" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		struct pcore_buf b = PCORE_BUF_INIT(0);
		char expected[64];

		assert_int_equal(pcore_buf_adds(&b, "x "), 0);
		assert_int_equal(ptimer_table_quote(&b, words[i]), 0);
		assert_int_equal(pcore_buf_terminate(&b), 0);
		snprintf(expected, sizeof(expected), "[x][%s]", words[i]);
		expect_words(b.data, expected);
		pcore_buf_done(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TABLE_TEST(a_line_is_a_timer_with_the_options_of_its_verb),
		TABLE_TEST(words_are_quoted_in_three_ways),
		TABLE_TEST(a_comment_begins_with_a_word),
		TABLE_TEST(a_backslash_at_the_end_of_a_line_joins_the_next),
		TABLE_TEST(a_zone_is_opened_once),
		TABLE_TEST(equal_timers_have_the_same_words),
		TABLE_TEST(a_mistake_in_an_expression_has_its_very_column),
		TABLE_TEST(a_wrong_option_has_the_column_of_its_word),
		TABLE_TEST(what_concerns_a_process_is_no_option_of_a_timer),
		TABLE_TEST(an_unknown_zone_has_the_column_of_its_name),
		TABLE_TEST(a_name_is_checked_and_there_once),
		TABLE_TEST(a_line_that_cannot_be_split_is_told_and_left_out),
		TABLE_TEST(a_line_has_a_limit),
		TABLE_TEST(a_doubt_is_told_at_the_expression_and_does_not_count),
		TABLE_TEST(only_names_stay_of_a_table_that_is_looked_at),
		TABLE_TEST(files_are_included_from_where_they_are),
		TABLE_TEST(a_file_is_read_once_and_not_too_deeply),
		TABLE_TEST(what_cannot_be_included_is_told_by_its_name),
		TABLE_TEST(a_table_that_cannot_be_read_is_an_error),
		TABLE_TEST(a_quoted_word_is_read_as_it_was),
	};

	return RUN_TESTS(tests);
}
