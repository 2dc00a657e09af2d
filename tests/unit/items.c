/* SPDX-License-Identifier: MIT */
/*
 * items.c - tests of tools/cli/items.c.
 */
#include "tools/cli/items.h"
#include "tests/unit/support.h"

/* Put len bytes in, step at a time. */
static void feed(struct cli_items *it, const char *data, size_t len, size_t step)
{
	while (len > 0) {
		size_t n = len < step ? len : step, room = 0;
		char *space = cli_items_space(it, n, &room);

		assert_non_null(space);
		assert_true(room >= n);
		memcpy(space, data, n);
		cli_items_filled(it, n);
		data += n;
		len -= n;
	}
}

static void expect_item(struct cli_items *it, const char *data, size_t len)
{
	const char *item = NULL;
	size_t item_len = 0;

	assert_int_equal(cli_items_next(it, &item, &item_len), 1);
	assert_int_equal(item_len, len);
	assert_memory_equal(item, data, len);
	assert_int_equal(item[len], '\0');
}

static void expect(struct cli_items *it, const char *text)
{
	expect_item(it, text, strlen(text));
}

static void expect_result(struct cli_items *it, int result)
{
	const char *item = NULL;
	size_t len = 0;

	assert_int_equal(cli_items_next(it, &item, &len), result);
	assert_null(item);
}

static struct cli_items whole(const char *data, size_t len, unsigned char delim, size_t max)
{
	struct cli_items it;

	cli_items_init(&it, delim, max);
	feed(&it, data, len, len ? len : 1);
	cli_items_eof(&it);
	return it;
}

#define WHOLE(text, delim) whole(text, sizeof(text) - 1, delim, CLI_ITEM_MAX)

static void no_input_holds_no_item(void **state)
{
	struct cli_items it = WHOLE("", '\n');

	(void)state;
	expect_result(&it, -ENODATA);
	expect_result(&it, -ENODATA);
	assert_int_equal(it.count, 0);
	cli_items_done(&it);
}

static void blank_lines_are_items_and_the_last_needs_no_newline(void **state)
{
	struct cli_items it = WHOLE("a\n\nb  c\r\nlast", '\n');

	(void)state;
	expect(&it, "a");
	expect(&it, "");
	expect(&it, "b  c\r");
	expect(&it, "last");
	expect_result(&it, -ENODATA);
	assert_int_equal(it.count, 4);
	cli_items_done(&it);
}

static void a_final_newline_begins_no_further_item(void **state)
{
	struct cli_items it = WHOLE("a\n", '\n');

	(void)state;
	expect(&it, "a");
	expect_result(&it, -ENODATA);
	cli_items_done(&it);
}

static void nul_delimited_items_keep_newlines(void **state)
{
	struct cli_items it = WHOLE("a\nb\0c\0", '\0');

	(void)state;
	expect(&it, "a\nb");
	expect(&it, "c");
	expect_result(&it, -ENODATA);
	cli_items_done(&it);
}

static void a_lone_nul_is_one_empty_item(void **state)
{
	struct cli_items it = WHOLE("\0", '\0');

	(void)state;
	expect(&it, "");
	expect_result(&it, -ENODATA);
	cli_items_done(&it);
}

static void bytes_that_are_no_text_pass_unchanged(void **state)
{
	struct cli_items it = WHOLE("\xff\xfe x\n\xc3\n\x01\x7f\n", '\n');

	(void)state;
	expect(&it, "\xff\xfe x");
	expect(&it, "\xc3");
	expect(&it, "\x01\x7f");
	cli_items_done(&it);
}

static void any_byte_can_be_the_delimiter(void **state)
{
	struct cli_items it = WHOLE("a\nb\xff:\xff", 0xff);

	(void)state;
	expect(&it, "a\nb");
	expect(&it, ":");
	expect_result(&it, -ENODATA);
	cli_items_done(&it);
}

static void a_nul_in_a_line_fails_that_item_only(void **state)
{
	struct cli_items it = WHOLE("one\na\0b\nc\0\nfour\nz\0", '\n');

	(void)state;
	expect(&it, "one");
	expect_result(&it, -EBADMSG);
	assert_int_equal(it.count + 1, 2);
	expect_result(&it, -EBADMSG);
	assert_int_equal(it.count + 1, 3);
	expect(&it, "four");
	assert_int_equal(it.count, 4);
	expect_result(&it, -EBADMSG);
	assert_int_equal(it.count + 1, 5);
	expect_result(&it, -ENODATA);
	cli_items_done(&it);
}

static void an_item_comes_out_as_soon_as_its_delimiter_is_in(void **state)
{
	struct cli_items it;

	(void)state;
	cli_items_init(&it, '\n', CLI_ITEM_MAX);
	expect_result(&it, 0);
	feed(&it, "ab", 2, 1);
	expect_result(&it, 0);
	feed(&it, "c\nd", 3, 1);
	expect(&it, "abc");
	expect_result(&it, 0);
	cli_items_eof(&it);
	expect(&it, "d");
	expect_result(&it, -ENODATA);
	cli_items_done(&it);
}

static void an_item_at_the_limit_passes_and_one_over_it_does_not(void **state)
{
	struct cli_items it = whole("1234\n12345\nx\n", 13, '\n', 4);

	(void)state;
	expect(&it, "1234");
	expect_result(&it, -E2BIG);
	assert_int_equal(it.count + 1, 2);
	expect_result(&it, -E2BIG);
	cli_items_done(&it);
}

static void an_endless_line_is_refused_before_its_end(void **state)
{
	struct cli_items it;

	(void)state;
	cli_items_init(&it, '\n', 4);
	feed(&it, "1234", 4, 4);
	expect_result(&it, 0);
	feed(&it, "5", 1, 1);
	expect_result(&it, -E2BIG);
	feed(&it, "\nx\n", 3, 3);
	expect_result(&it, -E2BIG);
	cli_items_done(&it);
}

/* Steps of every size below cut the stream at every place; the buffer must not grow with the
 * stream. */
static void expect_block(struct cli_items *it, size_t n_max, size_t len_max, size_t n, const char *text)
{
	const char *data = NULL;
	size_t len = 0;

	assert_int_equal(cli_items_block(it, n_max, len_max, &data, &len), n);
	if (n == 0)
		return;
	assert_int_equal(len, strlen(text));
	assert_memory_equal(data, text, len);
}

static void several_items_are_taken_as_they_were_read(void **state)
{
	struct cli_items it;

	(void)state;
	cli_items_init(&it, '\n', 4);
	it.nul_ok = true;
	expect_block(&it, 9, 9, 0, NULL);
	feed(&it, "a\nbb\n\n\nccc\ndd", 13, 13);
	expect_block(&it, 1, 99, 1, "a");
	expect_block(&it, 2, 99, 2, "bb\n");
	expect_block(&it, 99, 1, 1, "");
	expect_block(&it, 99, 99, 1, "ccc");
	expect_block(&it, 99, 99, 0, NULL);
	expect_result(&it, 0);
	feed(&it, "\nlonger\nx\n", 10, 10);
	expect_block(&it, 99, 99, 1, "dd"); /* the next one is too long */
	expect_result(&it, -E2BIG);
	assert_int_equal(it.count, 6);
	cli_items_done(&it);
}

static void the_way_the_bytes_arrive_changes_nothing(void **state)
{
	(void)state;
	for (size_t step = 1; step <= 97; step += 3) {
		struct cli_items it;
		char line[32];

		cli_items_init(&it, '\n', CLI_ITEM_MAX);
		for (unsigned i = 0, next = 0; i < 2000; i++) {
			int n = snprintf(
				line, sizeof(line), "%u-%.*s\n", i, (int)(i % 11), "xxxxxxxxxxx");
			const char *item;
			size_t len;

			feed(&it, line, (size_t)n, step);
			if (i % 7 != 0)
				continue;
			while (cli_items_next(&it, &item, &len) == 1)
				assert_int_equal(strtoul(item, NULL, 10), next++);
			assert_int_equal(next, i + 1);
		}
		assert_true(it.buf.cap < 4096);
		cli_items_done(&it);
	}
}

static void a_long_item_in_small_pieces_arrives_whole(void **state)
{
	static char big[300000];
	struct cli_items it;

	(void)state;
	memset(big, 'x', sizeof(big));
	cli_items_init(&it, '\n', CLI_ITEM_MAX);
	for (size_t done = 0; done < sizeof(big); done += 1000) {
		feed(&it, big + done, 1000, 1000);
		expect_result(&it, 0);
	}
	cli_items_eof(&it);
	expect_item(&it, big, sizeof(big));
	cli_items_done(&it);
}

static struct cli_items csv(const char *data, size_t len, size_t step)
{
	struct cli_items it;

	cli_items_init(&it, '\n', CLI_ITEM_MAX);
	cli_items_csv(&it, ',');
	feed(&it, data, len, step);
	cli_items_eof(&it);
	return it;
}

#define CSV(text) csv(text, sizeof(text) - 1, sizeof(text))

static void records_of_csv_end_at_newlines_that_are_not_quoted(void **state)
{
	struct cli_items it = CSV("a,b\r\n\"x\ny\",1\n\"\"\"\n\",\"\"\r\n");

	(void)state;
	expect(&it, "a,b");
	expect(&it, "\"x\ny\",1");
	expect(&it, "\"\"\"\n\",\"\"");
	expect_result(&it, -ENODATA);
	assert_int_equal(it.count, 3);
	cli_items_done(&it);
}

static void an_empty_line_of_csv_is_no_record(void **state)
{
	struct cli_items it = CSV("\n\r\na\n\n\"\"\n\r\n");

	(void)state;
	expect(&it, "a");
	expect(&it, "\"\"");
	expect_result(&it, -ENODATA);
	assert_int_equal(it.count, 2);
	cli_items_done(&it);
}

static void quotes_inside_a_field_of_csv_are_bytes(void **state)
{
	struct cli_items it = CSV("5\" x,b\n \"c\nd,\"e\"f\"g\nh\n");

	(void)state;
	expect(&it, "5\" x,b");
	expect(&it, " \"c");
	expect(&it, "d,\"e\"f\"g");
	expect(&it, "h");
	expect_result(&it, -ENODATA);
	cli_items_done(&it);
}

static void only_a_carriage_return_before_the_newline_is_removed(void **state)
{
	struct cli_items it = CSV("a\rb\r\r\nc\r");

	(void)state;
	expect(&it, "a\rb\r");
	expect(&it, "c\r"); /* no newline follows it */
	expect_result(&it, -ENODATA);
	cli_items_done(&it);
}

static void the_last_record_needs_no_newline_but_its_quotes_closed(void **state)
{
	struct cli_items it = CSV("a\nb,\"c\"");

	(void)state;
	expect(&it, "a");
	expect(&it, "b,\"c\"");
	expect_result(&it, -ENODATA);
	cli_items_done(&it);

	it = CSV("a\nb,\"c\n\n");
	expect(&it, "a");
	expect_result(&it, -EILSEQ);
	expect_result(&it, -EILSEQ);
	cli_items_done(&it);
}

static void a_record_with_a_nul_is_skipped_unless_that_is_fine(void **state)
{
	struct cli_items it = CSV("\"a\0\nb\"\nc\n");

	(void)state;
	expect_result(&it, -EBADMSG);
	expect(&it, "c");
	assert_int_equal(it.count, 2);
	cli_items_done(&it);

	it = WHOLE("a\0b\nc\n", '\n');
	it.nul_ok = true;
	expect_item(&it, "a\0b", 3);
	expect(&it, "c");
	cli_items_done(&it);
}

static void the_way_the_bytes_of_csv_arrive_changes_nothing(void **state)
{
	static const char data[] = "a,\"b\"\"\r\n\",c\r\n\r\nd\"\n\"e\"\n\"\n\n\"";

	(void)state;
	for (size_t cut = 0; cut < sizeof(data) - 1; cut++) {
		struct cli_items it;
		const char *item;
		size_t len, n = 0;

		cli_items_init(&it, '\n', CLI_ITEM_MAX);
		cli_items_csv(&it, ',');
		feed(&it, data, cut, 1);
		while (cli_items_next(&it, &item, &len) == 1)
			n++; /* those that are complete are given */
		feed(&it, data + cut, sizeof(data) - 1 - cut, 2);
		cli_items_eof(&it);
		for (; cli_items_next(&it, &item, &len) == 1; n++)
			assert_string_equal(item, n == 0 ? "a,\"b\"\"\r\n\",c" : n == 1 ? "d\"" : n == 2 ? "\"e\"" : "\"\n\n\"");
		assert_int_equal(n, 4);
		cli_items_done(&it);
	}
}

static void a_byte_order_mark_is_no_data_where_there_may_be_one(void **state)
{
	static const char text[] = "\xef\xbb\xbf\"a\nb\"\n\xef\xbb\xbf\n";

	(void)state;
	for (size_t step = 1; step < sizeof(text); step++) {
		struct cli_items it;

		cli_items_init(&it, '\n', CLI_ITEM_MAX);
		cli_items_csv(&it, ',');
		it.mark = true;
		expect_result(&it, 0);
		feed(&it, text, 1, 1);
		expect_result(&it, 0);
		feed(&it, text + 1, sizeof(text) - 2, step);
		cli_items_eof(&it);
		expect(&it, "\"a\nb\"");
		expect(&it, "\xef\xbb\xbf");
		expect_result(&it, -ENODATA);
		cli_items_done(&it);
	}
}

static void what_only_begins_as_a_byte_order_mark_is_data(void **state)
{
	struct cli_items it = WHOLE("\xef\xbb", '\n');

	(void)state;
	it.mark = true;
	expect(&it, "\xef\xbb");
	expect_result(&it, -ENODATA);
	cli_items_done(&it);
	it = WHOLE("\xef\xbb\xbf", '\n');
	it.mark = true;
	expect_result(&it, -ENODATA);
	cli_items_done(&it);
}

static void csv_may_begin_after_lines_that_are_none(void **state)
{
	struct cli_items it = WHOLE("not \"csv\n\"a\nb\"\n", '\n');

	(void)state;
	expect(&it, "not \"csv");
	cli_items_csv(&it, ',');
	expect(&it, "\"a\nb\"");
	expect_result(&it, -ENODATA);
	cli_items_done(&it);
}

static void an_endless_quote_is_refused_at_the_limit(void **state)
{
	struct cli_items it;

	(void)state;
	cli_items_init(&it, '\n', 100);
	cli_items_csv(&it, ',');
	feed(&it, "a\n\"", 3, 3);
	expect(&it, "a");
	for (int i = 0; i < 50; i++) {
		expect_result(&it, 0);
		feed(&it, "b\n", 2, 2);
	}
	expect_result(&it, -E2BIG);
	cli_items_done(&it);
}

static void delimiters_are_read_as_users_write_them(void **state)
{
	static const struct {
		const char *text;
		int result;
		unsigned char delim;
	} cases[] = {
		{ ",", 0, ',' },
		{ "\\n", 0, '\n' },
		{ "\\t", 0, '\t' },
		{ "\\r", 0, '\r' },
		{ "\\0", 0, '\0' },
		{ "\\\\", 0, '\\' },
		{ "\\", 0, '\\' },
		{ "\\x41", 0, 'A' },
		{ "\\xfF", 0, 0xff },
		{ "\n", 0, '\n' },
		{ "\xff", 0, 0xff },
		{ "", -EINVAL, 0 },
		{ "ab", -EINVAL, 0 },
		{ "\\q", -EINVAL, 0 },
		{ "\\x4", -EINVAL, 0 },
		{ "\\x4g", -EINVAL, 0 },
		{ "\\x411", -EINVAL, 0 },
		{ "\xc3\xa9", -EINVAL, 0 },
		{ "\\nn", -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned char delim = 0;

		assert_int_equal(cli_items_parse_delim(cases[i].text, &delim), cases[i].result);
		assert_int_equal(delim, cases[i].delim);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_input_holds_no_item),
		TEST(blank_lines_are_items_and_the_last_needs_no_newline),
		TEST(a_final_newline_begins_no_further_item),
		TEST(nul_delimited_items_keep_newlines),
		TEST(a_lone_nul_is_one_empty_item),
		TEST(bytes_that_are_no_text_pass_unchanged),
		TEST(any_byte_can_be_the_delimiter),
		TEST(a_nul_in_a_line_fails_that_item_only),
		TEST(an_item_comes_out_as_soon_as_its_delimiter_is_in),
		TEST(an_item_at_the_limit_passes_and_one_over_it_does_not),
		TEST(an_endless_line_is_refused_before_its_end),
		TEST(several_items_are_taken_as_they_were_read),
		TEST(the_way_the_bytes_arrive_changes_nothing),
		TEST(a_long_item_in_small_pieces_arrives_whole),
		TEST(records_of_csv_end_at_newlines_that_are_not_quoted),
		TEST(an_empty_line_of_csv_is_no_record),
		TEST(quotes_inside_a_field_of_csv_are_bytes),
		TEST(only_a_carriage_return_before_the_newline_is_removed),
		TEST(the_last_record_needs_no_newline_but_its_quotes_closed),
		TEST(a_record_with_a_nul_is_skipped_unless_that_is_fine),
		TEST(the_way_the_bytes_of_csv_arrive_changes_nothing),
		TEST(a_byte_order_mark_is_no_data_where_there_may_be_one),
		TEST(what_only_begins_as_a_byte_order_mark_is_data),
		TEST(csv_may_begin_after_lines_that_are_none),
		TEST(an_endless_quote_is_refused_at_the_limit),
		TEST(delimiters_are_read_as_users_write_them),
	};

	return RUN_TESTS(tests);
}
