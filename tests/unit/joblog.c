/* SPDX-License-Identifier: MIT */
/*
 * joblog.c - tests of the lines of a job log.
 */
#include "tools/cli/joblog.h"

#include "tests/unit/support.h"

static void expect_command(bool shell, const char *expected, ...)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);
	char *argv[8] = { NULL };
	va_list ap;

	va_start(ap, expected);
	for (size_t i = 0; i < 7; i++) {
		argv[i] = va_arg(ap, char *);
		if (!argv[i])
			break;
	}
	va_end(ap);
	assert_int_equal(cli_joblog_command(&b, argv, shell), 0);
	assert_int_equal(pcore_buf_terminate(&b), 0);
	assert_string_equal(b.data, expected);
	pcore_buf_done(&b);
}

static void a_command_is_quoted_for_a_shell_where_it_has_to_be(void **state)
{
	(void)state;
	expect_command(false, "echo plain 'a b' 'it'\\''s' ''", "echo", "plain", "a b", "it's", "", NULL);
}

static void a_word_with_a_control_character_is_still_on_one_line(void **state)
{
	(void)state;
	expect_command(false, "echo $'a\\nb\\tc' 'x y'", "echo", "a\nb\tc", "x y", NULL);
	expect_command(false, "echo $'\\'\\\\\\0331\\177'", "echo", "'\\\x1b"
									"1\x7f",
		NULL);
}

static void a_shell_text_is_what_the_shell_was_given(void **state)
{
	(void)state;
	expect_command(true, "zcat 'a b' | wc", "/bin/sh", "-c", "zcat 'a b' | wc", NULL);
	expect_command(true, "/bin/sh -c $'echo \\'a\\nb\\''", "/bin/sh", "-c", "echo 'a\nb'", NULL);
}

static void expect_line(const struct cli_joblog_line *l, const char *command, const char *expected)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);

	assert_int_equal(cli_joblog_add(&b, l, command, strlen(command)), 0);
	assert_int_equal(pcore_buf_terminate(&b), 0);
	assert_string_equal(b.data, expected);
	pcore_buf_done(&b);
}

static void a_line_has_the_nine_fields_of_gnu_parallel(void **state)
{
	(void)state;
	expect_line(&(struct cli_joblog_line){ .seq = 1,
			    .start_ns = INT64_C(1795661536515999999),
			    .wall_ns = INT64_C(12001000000),
			    .received = 5,
			    .signal = 11 },
		"sleep 12", "1\t:\t1795661536.515\t    12.001\t0\t5\t0\t11\tsleep 12\n");
	expect_line(&(struct cli_joblog_line){ .seq = UINT64_MAX, .wall_ns = 1234567 * NS_PER_S, .sent = 7, .exit = -1 }, "",
		"18446744073709551615\t:\t0.000\t1234567.000\t7\t0\t-1\t0\t\n");
}

/* ---- reading ---- */

static int parse(const char *text, size_t len, struct cli_joblog_entry *ret)
{
	char line[256];

	assert_true(len < sizeof(line));
	memcpy(line, text, len);
	line[len] = '\0';
	return cli_joblog_parse(line, len, ret);
}

static void expect_entry(const char *text, uint64_t seq, const char *command, bool failed)
{
	struct cli_joblog_entry e = { .seq = 0 };

	assert_int_equal(parse(text, strlen(text), &e), 1);
	assert_int_equal(e.seq, seq);
	assert_int_equal(e.failed, failed);
	assert_true(e.hash == cli_joblog_hash(command, strlen(command)));
}

static void a_line_is_read_back_with_its_outcome(void **state)
{
	(void)state;
	expect_entry("3\t:\t1795661536.515\t     0.001\t0\t5\t0\t0\techo a", 3, "echo a", false);
	expect_entry("3\t:\t1795661536.515\t     0.001\t0\t5\t7\t0\techo a", 3, "echo a", true);
	expect_entry("3\t:\t1795661536.515\t     0.001\t0\t5\t0\t9\techo a", 3, "echo a", true);
	expect_entry("3\t:\t1795661536.515\t     0.001\t0\t5\t-1\t15\techo a", 3, "echo a", true);
}

static void a_line_of_gnu_parallel_may_have_tabs_and_nuls_in_its_command(void **state)
{
	static const char line[] = "3\thost.example\t1795661536.515\t     0.001\t0\t5\t0\t0\techo 'a\tb\0c'";
	static const char command[] = "echo 'a\tb\0c'";
	struct cli_joblog_entry e = { .seq = 0 };

	(void)state;
	assert_int_equal(parse(line, sizeof(line) - 1, &e), 1);
	assert_true(e.hash == cli_joblog_hash(command, sizeof(command) - 1));
}

static void the_header_is_no_job(void **state)
{
	struct cli_joblog_entry e = { .seq = 99 };

	(void)state;
	assert_int_equal(parse(CLI_JOBLOG_HEADER, strlen(CLI_JOBLOG_HEADER) - 1, &e), 0);
	assert_int_equal(e.seq, 99);
}

static void anything_else_is_no_line(void **state)
{
	static const char *const bad[] = {
		"",
		"echo a",
		"3\t:\t1795661536.515\t     0.001\t0\t5\t0\t0",
		"0\t:\t1795661536.515\t     0.001\t0\t5\t0\t0\tx",
		"-3\t:\t1795661536.515\t     0.001\t0\t5\t0\t0\tx",
		" 3\t:\t1795661536.515\t     0.001\t0\t5\t0\t0\tx",
		"18446744073709551616\t:\t1\t1\t0\t5\t0\t0\tx",
		"3\t\t1795661536.515\t     0.001\t0\t5\t0\t0\tx",
		"3\t:\tnow\t     0.001\t0\t5\t0\t0\tx",
		"3\t:\t1795661536.515\t     \t0\t5\t0\t0\tx",
		"3\t:\t1795661536.515\t     0.001\t0\t5\tno\t0\tx",
		"3\t:\t1795661536.515\t     0.001\t0\t5\t0\t-9\tx",
		"3\t:\t1795661536.515\t     0.001\t0\t5\t0\t\tx",
	};
	struct cli_joblog_entry e = { .seq = 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse(bad[i], strlen(bad[i]), &e), -EINVAL);
}

/* ---- the set ---- */

static void a_set_finds_its_entries_whatever_their_order(void **state)
{
	struct cli_joblog_set s = { 0 };

	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(cli_joblog_set_add(&s, &(struct cli_joblog_entry){ .seq = 2 * (i * 7 % 1000) + 1, .hash = i }), 0);
	cli_joblog_set_sort(&s);
	assert_int_equal(s.n, 1000);
	assert_int_equal(cli_joblog_set_last(&s), 1999);
	for (uint64_t i = 0; i < 1000; i++) {
		const struct cli_joblog_entry *e = cli_joblog_set_find(&s, 2 * (i * 7 % 1000) + 1);

		assert_non_null(e);
		assert_int_equal(e->hash, i);
		assert_null(cli_joblog_set_find(&s, 2 * i));
	}
	assert_null(cli_joblog_set_find(&s, 2001));
	cli_joblog_set_done(&s);
}

static void of_several_lines_with_one_number_the_last_counts(void **state)
{
	struct cli_joblog_set s = { 0 };

	(void)state;
	for (uint64_t i = 0; i < 90; i++)
		assert_int_equal(
			cli_joblog_set_add(&s, &(struct cli_joblog_entry){ .seq = 1 + i % 3, .hash = i, .failed = i < 87 }), 0);
	cli_joblog_set_sort(&s);
	assert_int_equal(s.n, 3);
	for (uint64_t i = 0; i < 3; i++) {
		assert_int_equal(cli_joblog_set_find(&s, 1 + i)->hash, 87 + i);
		assert_false(cli_joblog_set_find(&s, 1 + i)->failed);
	}
	cli_joblog_set_done(&s);
}

static void an_empty_set_has_nothing(void **state)
{
	struct cli_joblog_set s = { 0 };

	(void)state;
	cli_joblog_set_sort(&s);
	assert_null(cli_joblog_set_find(&s, 1));
	assert_int_equal(cli_joblog_set_last(&s), 0);
	cli_joblog_set_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_command_is_quoted_for_a_shell_where_it_has_to_be),
		TEST(a_word_with_a_control_character_is_still_on_one_line),
		TEST(a_shell_text_is_what_the_shell_was_given),
		TEST(a_line_has_the_nine_fields_of_gnu_parallel),
		TEST(a_line_is_read_back_with_its_outcome),
		TEST(a_line_of_gnu_parallel_may_have_tabs_and_nuls_in_its_command),
		TEST(the_header_is_no_job),
		TEST(anything_else_is_no_line),
		TEST(a_set_finds_its_entries_whatever_their_order),
		TEST(of_several_lines_with_one_number_the_last_counts),
		TEST(an_empty_set_has_nothing),
	};

	return RUN_TESTS(tests);
}
