/* SPDX-License-Identifier: MIT */
/*
 * source.c - tests of where ppool's items come from.
 */
#include "tools/map/source.c"
#include "tools/map/product.c"
#include "tools/map/shuffle.c"

#include "tests/unit/capture.h"
#include "tests/unit/running.h"

static struct source s;
static struct pcore_loop *lp;
static int n_more, writer;
static char named[256];

static void on_more(void *ctx)
{
	(void)ctx;
	n_more++;
}

/* What the options say, without standard input. */
static struct source_opts opts;

static int on_named(void *ctx, const struct cli_item *names, size_t n)
{
	(void)ctx;
	for (size_t i = 0; i < n; i++) {
		if (names[i].len == 3 && memcmp(names[i].data, "bad", 3) == 0)
			return -ENOENT;
		strncat(named, "<", 2);
		strncat(named, names[i].data, names[i].len);
		strncat(named, ">", 2);
	}
	return 0;
}

static int open_with(char **args)
{
	opts.args = args;
	named[0] = '\0';
	n_more = 0;
	s = (struct source){ .more = on_more, .named = on_named };
	return source_open(&s, lp, &opts);
}

static void start_words(char **args, size_t per_job)
{
	opts.per_job = per_job;
	assert_int_equal(open_with(args), CLI_GO);
}

static void start_pipe(char delim, size_t per_job)
{
	const char delimiter[] = { delim, '\0' };
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	writer = ends[1];
	opts.per_job = per_job;
	opts.null = delim == '\0';
	opts.delimiter = delim && delim != '\n' ? delimiter : NULL;
	assert_int_equal(open_with(NULL), CLI_GO);
	s.fd = ends[0];
}

static int before(void **state)
{
	support_before(state);
	opts = SOURCE_OPTS_DEFAULT;
	return pcore_loop_new(&lp, wanted_backend());
}

static int after(void **state)
{
	source_done(&s);
	pcore_fault_set("");
	pcore_loop_free(lp);
	return support_after(state);
}

#define WORDS(...) ((char **)(const char *[]){ __VA_ARGS__, NULL })
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
	(void)state;
	start_words(WORDS(":::", "a b", "", "--help", "x\ny"), 0);
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
	start_words(WORDS(":::"), 0);
	assert_string_equal(next(), "ENODATA");
}

static void a_job_may_have_several_items(void **state)
{
	(void)state;
	start_words(WORDS(":::", "a", "b", "c", "d", "e"), 2);
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
	opts.file = "/";
	assert_int_equal(open_with(NULL), CLI_GO);
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

/* ---- lists of words ---- */

static void lists_of_words_give_their_combinations(void **state)
{
	(void)state;
	start_words(WORDS(":::", "a", "b", ":::", "1", "2", ":::+", "x", "y"), 0);
	assert_int_equal(source_jobs(&s), 4);
	assert_string_equal(next(), "[a][1][x]");
	assert_string_equal(next(), "[a][2][y]");
	assert_string_equal(next(), "[b][1][x]");
	assert_string_equal(next(), "[b][2][y]");
	assert_string_equal(next(), "ENODATA");
}

static void a_combination_is_empty_when_all_its_words_are(void **state)
{
	(void)state;
	opts.skip_empty = true;
	start_words(WORDS(":::", "", "a", ":::", "", "1"), 0);
	assert_string_equal(next(), "[][1]");
	assert_string_equal(next(), "[a][]");
	assert_string_equal(next(), "[a][1]");
	assert_string_equal(next(), "ENODATA");
}

static void the_first_words_of_lists_name_the_columns(void **state)
{
	(void)state;
	opts.header = true;
	opts.skip_lines = 1;
	start_words(WORDS(":::", "skipped", "X", "a", "b", ":::", "skipped", "Y", "1"), 0);
	assert_string_equal(named, "<X><Y>");
	assert_int_equal(source_jobs(&s), 2);
	assert_string_equal(next(), "[a][1]");
	assert_string_equal(next(), "[b][1]");
	assert_string_equal(next(), "ENODATA");
}

static void a_bad_name_among_words_is_found_at_once(void **state)
{
	(void)state;
	opts.header = true;
	assert_int_equal(open_with(WORDS(":::", "bad", "a")), CLI_FAILURE);
}

static void records_among_words_must_be_whole(void **state)
{
	(void)state;
	opts.csv = true;
	capture_begin(STDERR_FILENO);
	assert_int_equal(open_with(WORDS(":::", "a", "b,\"c")), CLI_FAILURE);
	assert_string_equal(capture_end(), "pcore: item 'b,\"c' has a quote that is not closed\n");
	source_done(&s);
	assert_int_equal(open_with(WORDS(":::", "a", "", "b,\"c\n\"")), CLI_GO);
	assert_string_equal(next(), "[a]");
	assert_string_equal(next(), "[b,\"c\n\"]");
	assert_string_equal(next(), "ENODATA");
}

/* ---- which items are used ---- */

static void items_beyond_the_maximum_are_not_used(void **state)
{
	(void)state;
	opts.max = 3;
	start_words(WORDS(":::", "a", "b", "c", "d"), 2);
	assert_int_equal(source_jobs(&s), 2);
	assert_string_equal(next(), "[a][b]");
	assert_string_equal(next(), "[c]");
	assert_string_equal(next(), "ENODATA");
	source_done(&s);
	opts.max = 0;
	start_words(WORDS(":::", "a"), 1);
	assert_string_equal(next(), "ENODATA");
}

static void the_last_item_of_the_maximum_does_not_wait_for_more_input(void **state)
{
	(void)state;
	opts.max = 1;
	start_pipe('\n', 2);
	feed("a\n", 2);
	assert_string_equal(next(), "0");
	wait_more();
	assert_string_equal(next(), "[a]");
	assert_string_equal(next(), "ENODATA");
	close(writer);
}

static void lines_are_skipped_before_empty_ones_and_the_header(void **state)
{
	(void)state;
	opts.skip_lines = 2;
	opts.skip_empty = true;
	opts.header = true;
	start_pipe('\n', 1);
	feed("\nb\0d\n\nN\tM\n\nx\ty\n", 15);
	close(writer);
	assert_string_equal(next(), "0");
	wait_more();
	assert_string_equal(next(), "[x\ty]");
	assert_string_equal(named, "<N><M>");
	assert_int_equal(s.refused, 0); /* what is skipped needs not be good */
	assert_string_equal(next(), "0");
	wait_more();
	assert_string_equal(next(), "ENODATA");
}

static void a_bad_header_ends_the_input(void **state)
{
	(void)state;
	opts.header = true;
	start_pipe('\n', 1);
	feed("x\tbad\n1\t2\n", 10);
	close(writer);
	assert_string_equal(next(), "0");
	wait_more();
	assert_string_equal(next(), "ENODATA");
	assert_int_equal(s.error, -ENOENT);
	assert_int_equal(pcore_loop_run(lp), 0);
}

static void skipped_lines_are_no_csv(void **state)
{
	(void)state;
	opts.csv = true;
	opts.skip_lines = 1;
	start_pipe('\n', 1);
	feed("5\" junk, \"\n\"a\nb\",c\r\n", 20);
	close(writer);
	assert_string_equal(next(), "0");
	wait_more();
	assert_string_equal(next(), "[\"a\nb\",c]");
	assert_string_equal(next(), "0");
	wait_more();
	assert_string_equal(next(), "ENODATA");
	assert_int_equal(s.error, 0);
}

static void an_open_quote_ends_the_input_with_an_error(void **state)
{
	const char *text;

	(void)state;
	opts.csv = true;
	start_pipe('\n', 1);
	feed("a\n\"b\nc\n", 8);
	close(writer);
	assert_string_equal(next(), "0");
	wait_more();
	assert_string_equal(next(), "[a]");
	assert_string_equal(next(), "0");
	wait_more();
	capture_begin(STDERR_FILENO);
	text = next();
	assert_string_equal(capture_end(), "pcore: item 2 has a quote that is not closed\n");
	assert_string_equal(text, "ENODATA");
	assert_int_equal(s.error, -EILSEQ);
}

/* ---- shuffling ---- */

static void shuffled_items_all_come_once_and_wait_for_the_end(void **state)
{
	char seen[4] = "";

	(void)state;
	opts.shuffle = true;
	opts.seed = 1;
	start_pipe('\n', 1);
	feed("a\nb\nc", 5);
	assert_string_equal(next(), "0");
	wait_more();
	assert_string_equal(next(), "0");
	close(writer);
	wait_more();
	for (int i = 0; i < 3; i++) {
		const char *text = next();

		assert_int_equal(strlen(text), 3);
		assert_null(strchr(seen, text[1]));
		seen[i] = text[1];
	}
	assert_string_equal(next(), "ENODATA");
	assert_int_equal(source_jobs(&s), 3);
}

static void one_seed_shuffles_lines_and_words_alike(void **state)
{
	(void)state;
	opts.shuffle = true;
	opts.seed = 1;
	start_words(WORDS(":::", "0", "1", "2", "3", "4"), 5);
	assert_string_equal(next(), "[2][1][4][3][0]");
	assert_string_equal(next(), "ENODATA");
	source_done(&s);
	start_pipe('\n', 5);
	feed("0\n1\n2\n3\n4\n", 10);
	close(writer);
	assert_string_equal(next(), "0");
	wait_more();
	assert_string_equal(next(), "0");
	wait_more();
	assert_string_equal(next(), "[2][1][4][3][0]");
	assert_string_equal(next(), "ENODATA");
}

/* ---- filling ---- */

static size_t room;

static bool on_fits(void *ctx, struct cli_item item, bool first)
{
	static size_t used;

	(void)ctx;
	if (first)
		used = 0;
	if (used + item.len > room)
		return false;
	used += item.len;
	return true;
}

static void a_group_is_handed_out_when_it_is_full(void **state)
{
	(void)state;
	opts.fill = true;
	room = 4;
	start_words(WORDS(":::", "aa", "bb", "c", "dd", "e", "too long", "f", "gggg", ""), 0);
	s.fits = on_fits;
	assert_string_equal(next(), "[aa][bb]");
	assert_string_equal(next(), "[c][dd][e]");
	assert_string_equal(next(), "[too long]"); /* its job fails alone */
	assert_string_equal(next(), "[f]");
	assert_string_equal(next(), "[gggg][]");
	assert_string_equal(next(), "ENODATA");
	assert_int_equal(source_jobs(&s), 0);
}

static void an_item_too_long_comes_first_or_last(void **state)
{
	(void)state;
	opts.fill = true;
	room = 4;
	start_words(WORDS(":::", "too long", "longer still"), 0);
	s.fits = on_fits;
	assert_string_equal(next(), "[too long]");
	assert_string_equal(next(), "[longer still]");
	assert_string_equal(next(), "ENODATA");
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
	SOURCE_TEST(lists_of_words_give_their_combinations),
	SOURCE_TEST(a_combination_is_empty_when_all_its_words_are),
	SOURCE_TEST(the_first_words_of_lists_name_the_columns),
	SOURCE_TEST(a_bad_name_among_words_is_found_at_once),
	SOURCE_TEST(records_among_words_must_be_whole),
	SOURCE_TEST(items_beyond_the_maximum_are_not_used),
	SOURCE_TEST(the_last_item_of_the_maximum_does_not_wait_for_more_input),
	SOURCE_TEST(lines_are_skipped_before_empty_ones_and_the_header),
	SOURCE_TEST(a_bad_header_ends_the_input),
	SOURCE_TEST(skipped_lines_are_no_csv),
	SOURCE_TEST(an_open_quote_ends_the_input_with_an_error),
	SOURCE_TEST(shuffled_items_all_come_once_and_wait_for_the_end),
	SOURCE_TEST(one_seed_shuffles_lines_and_words_alike),
	SOURCE_TEST(a_group_is_handed_out_when_it_is_full),
	SOURCE_TEST(an_item_too_long_comes_first_or_last),
};

int main(void)
{
	return RUN_TESTS(tests);
}
