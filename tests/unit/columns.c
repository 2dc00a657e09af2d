/* SPDX-License-Identifier: MIT */
/*
 * columns.c - tests of tools/cli/columns.c.
 */
#include "tests/unit/support.h"
#include "tools/cli/columns.h"

static struct cli_columns c;

static void start(const char *sep, bool csv)
{
	char why[CLI_COLUMNS_WHY];

	assert_int_equal(cli_columns_init(&c, sep, csv, why), 0);
}

/* The columns of a line as "[a][b]". */
static const char *split_bytes(const char *line, size_t len)
{
	static char text[512];
	struct cli_item item = { line, len };
	size_t n = 0;

	assert_int_equal(cli_columns_split(&c, &item, 1), 0);
	assert_true(c.n > 0);
	text[0] = '\0';
	for (size_t i = 0; i < c.n; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "[%.*s]", (int)c.list[i].len, c.list[i].data);
	return text;
}

static const char *split(const char *line)
{
	return split_bytes(line, strlen(line));
}

static void a_byte_separates_as_itself_and_nothing_is_trimmed(void **state)
{
	(void)state;
	start(NULL, false);
	assert_string_equal(split("a\tb c\t d "), "[a][b c][ d ]");
	assert_string_equal(split(""), "[]");
	assert_string_equal(split("\t"), "[][]");
	assert_string_equal(split("\ta\t\t"), "[][a][][]");
	assert_string_equal(split("a,b"), "[a,b]");
	cli_columns_done(&c);

	start(".", false);
	assert_string_equal(split("a.b|c"), "[a][b|c]");
	cli_columns_done(&c);
	start("\\x7c", false);
	assert_string_equal(split("a.b|c"), "[a.b][c]");
	cli_columns_done(&c);
	start("\\\\", false);
	assert_string_equal(split("a\\b"), "[a][b]");
	cli_columns_done(&c);
	start("\xff", false);
	assert_string_equal(split("a\xff\xfe"), "[a][\xfe]");
	cli_columns_done(&c);
}

static void a_nul_can_separate(void **state)
{
	(void)state;
	start("\\0", false);
	assert_string_equal(split_bytes("a\0b\0", 4), "[a][b][]");
	cli_columns_done(&c);
}

static void anything_longer_is_a_pattern(void **state)
{
	(void)state;
	start("[0-9]+", false);
	assert_string_equal(split("a1b22c"), "[a][b][c]");
	assert_string_equal(split("1a1"), "[][a][]");
	assert_string_equal(split("abc"), "[abc]");
	assert_string_equal(split(""), "[]");
	cli_columns_done(&c);

	start(", |;", false);
	assert_string_equal(split("a, b;c,d"), "[a][b][c,d]");
	cli_columns_done(&c);
	start("->", false);
	assert_string_equal(split("a->b->"), "[a][b][]");
	cli_columns_done(&c);
	start("\xe2\x86\x92", false); /* a character of several bytes */
	assert_string_equal(split("a\xe2\x86\x92" "b"), "[a][b]");
	cli_columns_done(&c);
}

static void an_anchor_matches_at_the_ends_of_the_line_only(void **state)
{
	(void)state;
	start("^x|y$", false);
	assert_string_equal(split("xaxbyxy"), "[][axbyx][]");
	cli_columns_done(&c);
}

static void a_match_of_nothing_separates_nothing(void **state)
{
	(void)state;
	start("\\b|,", false);
	assert_string_equal(split("ab,cd"), "[ab][cd]");
	cli_columns_done(&c);
	start("\\<", false);
	assert_string_equal(split("ab cd"), "[ab cd]");
	cli_columns_done(&c);
}

static void a_pattern_ends_with_its_line(void **state)
{
	(void)state;
	start("::", false);
	assert_string_equal(split_bytes("a::b::c", 4), "[a][b]");
	assert_string_equal(split_bytes("a:::", 2), "[a:]");
	cli_columns_done(&c);
}

static void csv_follows_its_table(void **state)
{
	static const struct {
		const char *line, *columns;
	} cases[] = {
		{ "a,b,c", "[a][b][c]" },
		{ "", "[]" },
		{ ",", "[][]" },
		{ "\"\"", "[]" },
		{ "\"a,b\",c", "[a,b][c]" },
		{ "\"a\nb\",c", "[a\nb][c]" },
		{ "\"a\r\nb\"", "[a\r\nb]" },
		{ "\"say \"\"hi\"\"\",x", "[say \"hi\"][x]" },
		{ "\"\"\"\"", "[\"]" },
		{ "\"\"\"\",\"\"", "[\"][]" },
		{ "a\"b,c\"", "[a\"b][c\"]" },	       /* a quote inside is a byte, as Python has it */
		{ "a\"b\"\"c", "[a\"b\"\"c]" },
		{ " \"a\",b", "[ \"a\"][b]" },	       /* nothing is trimmed */
		{ "\"a\"b,c", "[ab][c]" },	       /* what follows the quotes belongs to the field */
		{ "\"a\"b\"c,d", "[ab\"c][d]" },
		{ "\"a\" ,b", "[a ][b]" },
		{ "a\rb\r,c", "[a\rb\r][c]" },
		{ "\xff,\xc3\xa9", "[\xff][\xc3\xa9]" },
	};

	(void)state;
	start(NULL, true);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cli_item item = { cases[i].line, strlen(cases[i].line) };

		assert_string_equal(split(cases[i].line), cases[i].columns);
		assert_true(cli_columns_closed(&c, item));
	}
	cli_columns_done(&c);

	start(";", true);
	assert_string_equal(split("a,b;\"c;d\""), "[a,b][c;d]");
	cli_columns_done(&c);
}

static void a_quote_that_is_not_closed_is_told(void **state)
{
	static const char *const lines[] = { "\"", "a,\"b", "\"a\"\"", "\"a,b\n" };

	(void)state;
	start(NULL, true);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct cli_item item = { lines[i], strlen(lines[i]) };

		assert_int_equal(cli_columns_split(&c, &item, 1), -EILSEQ);
		assert_false(cli_columns_closed(&c, item));
	}
	cli_columns_done(&c);
}

static void the_columns_of_several_lines_follow_each_other(void **state)
{
	const struct cli_item lines[] = { { "a,\"b\"\"c\"", 8 }, { "", 0 }, { "\"d\",e", 5 } };
	static const char *const expected[] = { "a", "b\"c", "", "d", "e" };

	(void)state;
	start(NULL, true);
	assert_int_equal(cli_columns_split(&c, lines, 3), 0);
	assert_int_equal(c.n, 5);
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(c.list[i].len, strlen(expected[i]));
		assert_memory_equal(c.list[i].data, expected[i], c.list[i].len);
	}
	cli_columns_done(&c);
}

static void many_columns_are_no_problem(void **state)
{
	static char line[100000];
	struct cli_item item = { line, sizeof(line) };

	(void)state;
	memset(line, ',', sizeof(line));
	start(",", false);
	assert_int_equal(cli_columns_split(&c, &item, 1), 0);
	assert_int_equal(c.n, sizeof(line) + 1);
	cli_columns_done(&c);
}

static void a_bad_separator_is_refused_with_the_reason(void **state)
{
	static const struct {
		const char *sep;
		bool csv;
		const char *why;
	} cases[] = {
		{ "", false, "must not be empty" },
		{ "", true, "must not be empty" },
		{ "a(", false, "Unmatched ( or \\(" },
		{ "[[", false, "Unmatched [, [^, [:, [., or [=" },
		{ "x*", false, "the pattern matches empty text" },
		{ "^|,", false, "the pattern matches empty text" },
		{ "; ", true, "must be one byte with --csv" },
		{ "\"", true, "cannot separate columns of CSV" },
		{ "\\n", true, "cannot separate columns of CSV" },
		{ "\\0", true, "cannot separate columns of CSV" },
	};
	char why[CLI_COLUMNS_WHY];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(cli_columns_init(&c, cases[i].sep, cases[i].csv, why), -EINVAL);
		assert_string_equal(why, cases[i].why);
		cli_columns_done(&c);
	}
	cli_columns_done(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_byte_separates_as_itself_and_nothing_is_trimmed),
		TEST(a_nul_can_separate),
		TEST(anything_longer_is_a_pattern),
		TEST(an_anchor_matches_at_the_ends_of_the_line_only),
		TEST(a_match_of_nothing_separates_nothing),
		TEST(a_pattern_ends_with_its_line),
		TEST(csv_follows_its_table),
		TEST(a_quote_that_is_not_closed_is_told),
		TEST(the_columns_of_several_lines_follow_each_other),
		TEST(many_columns_are_no_problem),
		TEST(a_bad_separator_is_refused_with_the_reason),
	};

	return RUN_TESTS(tests);
}
