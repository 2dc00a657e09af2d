/* SPDX-License-Identifier: MIT */
/*
 * results.c - tests of what jobs write, kept in files.
 */
#include "tools/map/results.c"

#include "tests/unit/support.h"

static int scratch(const char *text)
{
	int fd = cli_unnamed_file("/tmp");

	assert_true(fd >= 0);
	assert_int_equal(pcore_fd_write_all(fd, text, strlen(text)), 0);
	return fd;
}

static void expect_cut(const char *text, bool csv, size_t left)
{
	int fd = scratch(text);
	int64_t size = -1;
	struct stat st;

	assert_int_equal(results_cut_torn(fd, csv, &size), 0);
	assert_int_equal(size, left);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, left);
	close(fd);
}

static void what_follows_the_last_whole_line_is_cut_off(void **state)
{
	(void)state;
	expect_cut("", false, 0);
	expect_cut("torn", false, 0);
	expect_cut("one\n", false, 4);
	expect_cut("one\ntwo\nth", false, 8);
	expect_cut("one\n\"two\nth", false, 9);
}

static void a_newline_within_quotes_ends_no_record(void **state)
{
	(void)state;
	expect_cut("1,\"a\nb\"\r\n2,\"a\n", true, 9);
	expect_cut("1,\"a\"\"\nb\"\r\n", true, 11);
	expect_cut("1,\"a\"\"\nb", true, 0);
}

static void a_long_file_is_cut_at_its_last_line(void **state)
{
	static char text[10001];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[4095] = text[9000] = '\n';
	expect_cut(text, false, 9001);
	text[9000] = 'x';
	expect_cut(text, false, 4096);
}

static void a_piece_of_text_ends_with_a_whole_character(void **state)
{
	(void)state;
	assert_int_equal(whole_characters("abcd", 4), 4);
	assert_int_equal(whole_characters("abc\xc3", 4), 3);
	assert_int_equal(whole_characters("ab\xe2\x82", 4), 2);
	assert_int_equal(whole_characters("a\xf0\x9f\x98", 4), 1);
	assert_int_equal(whole_characters("\x80\x80\x80\x80", 4), 4); /* no character at all */
	assert_int_equal(whole_characters("\xc3", 1), 1);
}

/* The record of one job that wrote the file's bytes to stdout. */
static void make_record(int kind, const char *item, int out, const struct pcore_job *job, char *ret, size_t size)
{
	struct results *r = calloc(1, sizeof(*r));
	struct results_job j;
	ssize_t n;

	assert_non_null(r);
	r->kind = kind;
	r->fd = cli_unnamed_file("/tmp");
	results_job_init(&j);
	j.fds[0] = out;
	j.sizes[0] = lseek(out, 0, SEEK_END);
	assert_int_equal(results_finish(r, &j, job, &(struct cli_item){ item, strlen(item) }, 1), 0);
	n = pread(r->fd, ret, size - 1, 0);
	assert_true(n >= 0);
	ret[n] = '\0';
	results_job_done(&j);
	results_close(r);
}

static void a_record_tells_number_item_outcome_and_output(void **state)
{
	struct pcore_job job = { .seq = 7, .result = { .exit = { .code = CLD_EXITED, .status = 3 } } };
	char got[256];

	(void)state;
	make_record(RESULTS_JSON, "a\"b", scratch("x\n\xff\xc3\xa9"), &job, got, sizeof(got));
	assert_string_equal(got, "{\"seq\":7,\"item\":\"a\\\"b\",\"exit\":3,\"signal\":null,\"stdout\":\"x\\n\\udcff\xc3\xa9\",\"stderr\":\"\"}\n");
	make_record(RESULTS_CSV, "a\"b", scratch("x,\n\""), &job, got, sizeof(got));
	assert_string_equal(got, "7,\"a\"\"b\",3,,\"x,\n\"\"\",\"\"\r\n");
	job.result.exit = (struct pcore_exit){ .code = CLD_KILLED, .status = SIGKILL };
	make_record(RESULTS_JSON, "", scratch(""), &job, got, sizeof(got));
	assert_string_equal(got, "{\"seq\":7,\"item\":\"\",\"exit\":null,\"signal\":\"SIGKILL\",\"stdout\":\"\",\"stderr\":\"\"}\n");
	make_record(RESULTS_CSV, "", scratch(""), &job, got, sizeof(got));
	assert_string_equal(got, "7,\"\",,SIGKILL,\"\",\"\"\r\n");
	(void)pcore_err_set(&job.result.error, -ENOENT, PCORE_STEP_EXEC, "x");
	make_record(RESULTS_CSV, "", scratch(""), &job, got, sizeof(got));
	assert_string_equal(got, "7,\"\",127,,\"\",\"\"\r\n");
}

static void a_character_that_lies_across_pieces_is_kept(void **state)
{
	static char text[CHUNK + 3], got[CHUNK + 256];
	struct pcore_job job = { .seq = 1, .result = { .exit = { .code = CLD_EXITED } } };

	(void)state;
	memset(text, 'x', CHUNK - 1);
	strcpy(text + CHUNK - 1, "\xc3\xa9");
	make_record(RESULTS_JSON, "", scratch(text), &job, got, sizeof(got));
	assert_non_null(strstr(got, "x\xc3\xa9\",\"stderr\""));
	assert_null(strstr(got, "\\udc"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_follows_the_last_whole_line_is_cut_off),
		TEST(a_newline_within_quotes_ends_no_record),
		TEST(a_long_file_is_cut_at_its_last_line),
		TEST(a_piece_of_text_ends_with_a_whole_character),
		TEST(a_record_tells_number_item_outcome_and_output),
		TEST(a_character_that_lies_across_pieces_is_kept),
	};

	return RUN_TESTS(tests);
}
