/* SPDX-License-Identifier: MIT */
/*
 * source.c - tests of where ppool's items come from.
 */
#include "tools/ppool/source.c"

#include "tests/unit/capture.h"
#include "tests/unit/running.h"

static struct source s;
static struct pcore_loop *lp;
static int n_more, writer;

static void on_more(void *ctx)
{
	(void)ctx;
	n_more++;
}

static void start_words(char **words, size_t n, size_t per_job)
{
	s = (struct source){ .fd = -EBADF, .words = words, .n_words = n, .more = on_more };
	source_init(&s, lp, '\n', per_job);
}

static void start_pipe(unsigned char delim, size_t per_job)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	writer = ends[1];
	n_more = 0;
	s = (struct source){ .fd = ends[0], .more = on_more };
	source_init(&s, lp, delim, per_job);
}

static int before(void **state)
{
	support_before(state);
	return pcore_loop_new(&lp, wanted_backend());
}

static int after(void **state)
{
	source_done(&s);
	pcore_fault_set("");
	pcore_loop_free(lp);
	return support_after(state);
}

#define SOURCE_TEST(f) cmocka_unit_test_setup_teardown(f, before, after)

static void feed(const char *text, size_t len)
{
	assert_int_equal(write(writer, text, len), len);
}

/* The next group as "[a][b]", or the number that says why there is none. */
static const char *next(void)
{
	static char text[256];
	struct cli_item *items = NULL;
	size_t n = 0, len = 0;
	int r = source_next(&s, &items, &n);

	if (r <= 0) {
		snprintf(text, sizeof(text), "%s", r == 0 ? "0" : strerrorname_np(-r));
		return text;
	}
	assert_true(n > 0);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(items[i].data[items[i].len], '\0');
		len += (size_t)snprintf(
			text + len, sizeof(text) - len, "[%.*s]", (int)items[i].len, items[i].data);
	}
	free(items);
	return text;
}

static void wait_more(void)
{
	int seen = n_more;

	while (n_more == seen)
		assert_true(pcore_loop_turn(lp, true) > 0);
}

static void words_are_items_byte_for_byte(void **state)
{
	static char a[] = "a b", b[] = "", c[] = "--help", d[] = "x\ny";
	char *words[] = { a, b, c, d };

	(void)state;
	start_words(words, 4, 1);
	assert_string_equal(next(), "[a b]");
	assert_string_equal(next(), "[]");
	assert_string_equal(next(), "[--help]");
	assert_string_equal(next(), "[x\ny]");
	assert_string_equal(next(), "ENODATA");
	assert_string_equal(next(), "ENODATA");
}

static void no_words_are_no_items(void **state)
{
	(void)state;
	start_words(NULL, 0, 1);
	assert_string_equal(next(), "ENODATA");
}

static void a_job_may_have_several_items(void **state)
{
	static char a[] = "a", b[] = "b", c[] = "c", d[] = "d", e[] = "e";
	char *words[] = { a, b, c, d, e };

	(void)state;
	start_words(words, 5, 2);
	assert_string_equal(next(), "[a][b]");
	assert_string_equal(next(), "[c][d]");
	assert_string_equal(next(), "[e]");
	assert_string_equal(next(), "ENODATA");
}

static void an_item_is_there_as_soon_as_it_has_been_read(void **state)
{
	(void)state;
	start_pipe('\n', 1);
	assert_string_equal(next(), "0");
	assert_string_equal(next(), "0"); /* one read is enough */
	feed("one\ntw", 6);
	wait_more();
	assert_string_equal(next(), "[one]");
	assert_string_equal(next(), "0");
	feed("o\n", 2);
	wait_more();
	assert_string_equal(next(), "[two]");
	assert_string_equal(next(), "0");
	feed("last", 4);
	close(writer);
	wait_more();
	assert_string_equal(next(), "0");
	wait_more();
	assert_string_equal(next(), "[last]"); /* it needs no newline */
	assert_string_equal(next(), "ENODATA");
	assert_int_equal(s.error, 0);
	assert_int_equal(pcore_loop_run(lp), 0);
}

static void a_group_waits_for_its_last_item_or_the_end(void **state)
{
	(void)state;
	start_pipe('\0', 3);
	assert_string_equal(next(), "0");
	feed("a\0b\0", 4);
	wait_more();
	assert_string_equal(next(), "0");
	feed("c\0d\0", 4);
	wait_more();
	assert_string_equal(next(), "[a][b][c]");
	assert_string_equal(next(), "0");
	close(writer);
	wait_more();
	assert_string_equal(next(), "[d]");
	assert_string_equal(next(), "ENODATA");
}

static void an_empty_input_has_no_item(void **state)
{
	(void)state;
	start_pipe('\n', 1);
	close(writer);
	assert_string_equal(next(), "0");
	wait_more();
	assert_string_equal(next(), "ENODATA");
}

static void an_empty_line_is_an_item(void **state)
{
	(void)state;
	start_pipe('\n', 1);
	feed("\na\n\n", 4);
	close(writer);
	assert_string_equal(next(), "0");
	wait_more();
	assert_string_equal(next(), "[]");
	assert_string_equal(next(), "[a]");
	assert_string_equal(next(), "[]");
	assert_string_equal(next(), "0");
	wait_more();
	assert_string_equal(next(), "ENODATA");
}

static void an_item_with_a_nul_is_refused_and_the_rest_goes_on(void **state)
{
	const char *text;

	(void)state;
	start_pipe('\n', 1);
	feed("a\nb\0c\nd\n", 8);
	close(writer);
	assert_string_equal(next(), "0");
	wait_more();
	assert_string_equal(next(), "[a]");
	capture_begin(STDERR_FILENO);
	text = next();
	assert_string_equal(capture_end(), "pcore: item 2 holds a NUL byte, which no argument can "
					   "(items that end with NUL need -0)\n");
	assert_string_equal(text, "[d]");
	assert_int_equal(s.refused, 1);
	assert_int_equal(s.error, 0);
	assert_string_equal(next(), "0");
	wait_more();
	assert_string_equal(next(), "ENODATA");
}

static void an_item_that_is_far_too_long_ends_the_input(void **state)
{
	static char big[64 * 1024];
	const char *text = "0";

	(void)state;
	memset(big, 'x', sizeof(big));
	start_pipe('\n', 2);
	feed("a\n", 2);
	assert_string_equal(next(), "0");
	wait_more();
	fcntl(writer, F_SETFL, O_NONBLOCK);
	capture_begin(STDERR_FILENO);
	for (int i = 0; i < 1000 && !s.ended; i++) {
		(void)!write(writer, big, sizeof(big)); /* as much as fits */
		text = next();
		if (!s.ended)
			pcore_loop_turn(lp, true);
	}
	assert_string_equal(
		capture_end(), "pcore: item 2 is longer than 1048576 bytes; the input ends here\n");
	assert_string_equal(text, "[a]");
	assert_string_equal(next(), "ENODATA");
	assert_int_equal(s.error, -E2BIG);
	close(writer);
	assert_int_equal(pcore_loop_run(lp), 0);
}

static void a_read_that_fails_keeps_whole_items_and_drops_the_part_of_one(void **state)
{
	(void)state;
	start_pipe('\n', 1);
	pcore_fault_set("read:2:EIO");
	feed("whole\npar", 9);
	assert_string_equal(next(), "0");
	wait_more();
	assert_string_equal(next(), "[whole]");
	assert_string_equal(next(), "0");
	capture_begin(STDERR_FILENO);
	wait_more();
	assert_string_equal(
		capture_end(), "pcore: cannot read standard input: Input/output error\n");
	assert_string_equal(next(), "ENODATA");
	assert_int_equal(s.error, -EIO);
	close(writer);
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
	(void)state;
	s = (struct source){
		.fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), .name = "/", .more = on_more
	};
	source_init(&s, lp, '\n', 1);
	assert_string_equal(next(), "0");
	capture_begin(STDERR_FILENO);
	wait_more();
	assert_string_equal(capture_end(), "pcore: cannot read '/': Is a directory\n");
	assert_string_equal(next(), "ENODATA");
	assert_int_equal(s.error, -EISDIR);
}

static void a_stop_ends_it_even_while_it_reads(void **state)
{
	(void)state;
	start_pipe('\n', 1);
	assert_string_equal(next(), "0");
	source_stop(&s);
	assert_int_equal(pcore_loop_run(lp), 0);
	assert_int_equal(n_more, 0);
	assert_string_equal(next(), "ENODATA");
	close(writer);
}

static const struct CMUnitTest tests[] = {
	SOURCE_TEST(words_are_items_byte_for_byte),
	SOURCE_TEST(no_words_are_no_items),
	SOURCE_TEST(a_job_may_have_several_items),
	SOURCE_TEST(an_item_is_there_as_soon_as_it_has_been_read),
	SOURCE_TEST(a_group_waits_for_its_last_item_or_the_end),
	SOURCE_TEST(an_empty_input_has_no_item),
	SOURCE_TEST(an_empty_line_is_an_item),
	SOURCE_TEST(an_item_with_a_nul_is_refused_and_the_rest_goes_on),
	SOURCE_TEST(an_item_that_is_far_too_long_ends_the_input),
	SOURCE_TEST(a_read_that_fails_keeps_whole_items_and_drops_the_part_of_one),
	SOURCE_TEST(a_file_that_cannot_be_read_is_named),
	SOURCE_TEST(a_stop_ends_it_even_while_it_reads),
};

int main(void)
{
	return RUN_TESTS(tests);
}
