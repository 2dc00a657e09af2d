/* SPDX-License-Identifier: MIT */
/*
 * blocks.c - tests of records, of the blocks that a stream is cut into and of the ranges that a file is.
 *
 * What is expected comes from a second, simple reading of the definitions, which sees the whole input at once. The stream
 * is then given in every way that matters: cut in two at each byte, byte by byte, and all at once.
 */
#include "tools/map/blocks.c"
#include "tools/map/ranges.c"
#include "tools/map/records.c"

#include <sys/mman.h>

#include "tests/unit/support.h"

enum { INPUT_MAX = 400 * 1024 };

/* One way to cut an input. */
struct cut {
	const char *end, *start; /* of records; end NULL: CSV */
	bool regex;
	uint64_t size, per_block;
	bool header;
};

static struct records records;
static size_t least; /* bytes of a chunk; 0: as usual */

/* ---- the second reading ---- */

static bool text_ends_at(const char *data, size_t len, size_t from, size_t at, const struct cut *c)
{
	size_t end = strlen(c->end), start = strlen(c->start);

	return at > from && at - from >= end && memcmp(data + at - end, c->end, end) == 0 && len - at >= start &&
	       memcmp(data + at, c->start, start) == 0;
}

static size_t row_end(const char *data, size_t len, size_t i)
{
	while (i < len) {
		if (data[i] == '"') {
			for (i++; i < len && (data[i] != '"' || (i + 1 < len && data[i + 1] == '"')); i++)
				i += data[i] == '"';
			i++;
		}
		while (i < len && data[i] != ',' && data[i] != '\n')
			i++;
		if (i < len && data[i++] == '\n')
			return i;
	}
	return len;
}

static size_t match_end(const char *data, size_t len, size_t from)
{
	for (size_t at = from; at < len; at++) {
		regmatch_t m[2] = { { .rm_so = 0, .rm_eo = (regoff_t)(len - at) } };
		size_t end;

		if (regexec(records.regex, data + at, 2, m,
			    REG_STARTEND | (at > from && data[at - 1] != '\n' ? REG_NOTBOL : 0)) != 0)
			return len;
		end = at + (size_t)(records.end_len > 0 ? m[1].rm_eo : m[0].rm_so);
		if (end > from)
			return end;
	}
	return len;
}

/* Where the record that begins at from ends; len also where it has no end. */
static size_t record_end(const char *data, size_t len, size_t from, const struct cut *c)
{
	if (!c->end)
		return row_end(data, len, from);
	if (c->regex)
		return match_end(data, len, from);
	for (size_t at = from + 1; at <= len; at++)
		if (text_ends_at(data, len, from, at, c))
			return at;
	return len;
}

static size_t end_by_size(const char *data, size_t len, size_t from, const struct cut *c)
{
	size_t at = from + c->size;

	if (len - from < c->size)
		return len;
	while (at > from && !text_ends_at(data, len, from, at, c))
		at--;
	for (at = at > from ? at : from + c->size + 1; at < len && !text_ends_at(data, len, from, at, c);)
		at++;
	return at < len ? at : len;
}

static size_t end_by_record(const char *data, size_t len, size_t from, const struct cut *c)
{
	size_t at = from, end;

	for (uint64_t n = 0; at < len && (c->per_block == 0 || n < c->per_block); n++) {
		end = record_end(data, len, at, c);
		if (c->size > 0 && n > 0 && end - from > c->size)
			break;
		at = end;
		if (c->size > 0 && at - from >= c->size)
			break;
	}
	return at;
}

static size_t expected_end(const char *data, size_t len, size_t from, const struct cut *c)
{
	if (c->header && from == 0)
		return record_end(data, len, 0, c);
	if (c->end && !c->regex && c->per_block == 0)
		return end_by_size(data, len, from, c);
	return end_by_record(data, len, from, c);
}

/* ---- comparing ---- */

static void make_records(const struct cut *c)
{
	records_done(&records);
	records = (struct records){ .kind = RECORDS_TEXT };
	if (!c->end)
		records_init_csv(&records, ',');
	else
		assert_int_equal((c->regex ? records_init_pattern : records_init_text)(&records, c->end, c->start), 0);
}

static void fail_with(const char *data, size_t len, size_t from, size_t got, size_t want)
{
	print_error("# of %zu bytes '%.*s' the block at %zu has %zu bytes, not %zu\n", len, (int)(len < 60 ? len : 60),
		data, from, got, want);
	fail();
}

/* Take what blocks there are and compare each. True: the input is over. */
static bool take_blocks(struct blocks *b, const char *data, size_t len, const struct cut *c, size_t *at)
{
	struct block block = { .chunk = NULL };
	int r;

	while ((r = blocks_next(b, &block)) > 0) {
		size_t want;

		if (*at == 0)
			*at = b->header.len;
		want = expected_end(data, len, *at, c) - *at;
		if (block.len != want || memcmp(block.data, data + *at, want) != 0)
			fail_with(data, len, *at, block.len, want);
		*at += want;
		block_done(b, &block);
	}
	return r != 0;
}

static void put(struct blocks *b, const char *data, size_t len)
{
	while (len > 0) {
		size_t room = 0;
		char *space = blocks_space(b, &room);

		assert_non_null(space);
		assert_true(room > 0);
		room = room < len ? room : len;
		memcpy(space, data, room);
		blocks_filled(b, room);
		data += room;
		len -= room;
	}
}

/* Give the input in two parts, or with step > 0 in many. */
static void stream_is_cut_right(const char *data, size_t len, const struct cut *c, size_t first, size_t step)
{
	struct blocks b;
	size_t at = 0, given = 0;
	bool over = false;

	blocks_init(&b, &records, c->size, c->per_block, c->header);
	if (least > 0)
		b.least = least;
	while (given < len) {
		size_t n = given == 0 ? first : step > 0 ? step : len;

		n = n < len - given ? n : len - given;
		put(&b, data + given, n);
		given += n;
		assert_false(take_blocks(&b, data, len, c, &at));
	}
	blocks_eof(&b, false);
	over = take_blocks(&b, data, len, c, &at);
	assert_true(over);
	if (b.header.len > 0)
		assert_memory_equal(b.header.data, data, expected_end(data, len, 0, c));
	assert_int_equal(at > 0 ? at : b.header.len, len);
	blocks_done(&b);
}

static int file_with(const char *data, size_t len)
{
	int fd = memfd_create("input", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	return fd;
}

static void file_is_cut_right(const char *data, size_t len, const struct cut *c)
{
	int fd = file_with(data, len);
	uint64_t at = 0, from = 0, n = 0;
	struct ranges r;
	int more;

	assert_int_equal(ranges_init(&r, &records, fd, 0, c->size), 0);
	while ((more = ranges_next(&r, &from, &n)) > 0) {
		assert_int_equal(from, at);
		at = expected_end(data, len, from, c);
		if (n != at - from)
			fail_with(data, len, from, n, at - from);
	}
	assert_int_equal(more, -ENODATA);
	assert_int_equal(at, len);
	ranges_done(&r);
	close(fd);
}

/* Every input of up to len bytes of the alphabet, given in every way. */
static void all_inputs_are_cut_right(const char *alphabet, size_t len, const struct cut *c)
{
	size_t letters = strlen(alphabet), n = 1;
	char data[16] = "";

	make_records(c);
	for (size_t l = 0; l <= len; l++, n *= letters) {
		for (size_t k = 0; k < n; k++) {
			size_t rest = k;

			for (size_t i = 0; i < l; i++, rest /= letters)
				data[i] = alphabet[rest % letters];
			for (size_t first = 1; first < l; first++)
				stream_is_cut_right(data, l, c, first, 0);
			stream_is_cut_right(data, l, c, 1, 1);
			stream_is_cut_right(data, l, c, l, 0);
			if (records_are_texts(&records) && c->per_block == 0 && !c->header)
				file_is_cut_right(data, l, c);
		}
	}
}

static int after(void **state)
{
	records_done(&records);
	least = 0;
	return support_after(state);
}

#define BLOCK_TEST(f) cmocka_unit_test_setup_teardown(f, support_before, after)

/* ---- tests ---- */

static void lines_are_cut_by_size(void **state)
{
	(void)state;
	for (uint64_t size = 1; size < 10; size++)
		for (least = 1; least < 12; least += 5)
			all_inputs_are_cut_right("a\n", 8, &(struct cut){ .end = "\n", .start = "", .size = size });
}

static void any_end_and_start_are_found(void **state)
{
	static const char *texts[][2] = { { "ab", "" }, { "", "b" }, { "b", "a" }, { "", "ab" }, { "aa", "" }, { "a", "ab" },
		{ "ba", "ba" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		for (uint64_t size = 1; size < 8; size += 2)
			for (least = 2; least < 12; least += 9)
				all_inputs_are_cut_right("abc", 6,
					&(struct cut){ .end = texts[i][0], .start = texts[i][1], .size = size });
}

static void records_are_counted_and_measured(void **state)
{
	(void)state;
	for (uint64_t size = 0; size < 7; size++)
		for (uint64_t n = 1; n < 4; n++)
			for (least = 1; least < 12; least += 7)
				all_inputs_are_cut_right("a\n", 8,
					&(struct cut){ .end = "\n", .start = "", .size = size, .per_block = n });
	for (uint64_t n = 1; n < 3; n++)
		all_inputs_are_cut_right("ab", 7, &(struct cut){ .end = "", .start = "ab", .per_block = n });
}

static void patterns_end_records(void **state)
{
	static const char *patterns[][2] = { { "b+", "" }, { "a*", "b" }, { "", "^a" }, { "b|ab", "a" }, { "(b)(a)?", "" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++)
		for (uint64_t size = 0; size < 6; size += 3)
			all_inputs_are_cut_right("ab\n", 5,
				&(struct cut){ .end = patterns[i][0], .start = patterns[i][1], .regex = true, .size = size, .per_block = 2 });
}

static void the_first_record_is_the_header(void **state)
{
	(void)state;
	for (uint64_t size = 1; size < 5; size += 3)
		all_inputs_are_cut_right("a\n", 7, &(struct cut){ .end = "\n", .start = "", .size = size, .header = true });
	all_inputs_are_cut_right("a\n", 7, &(struct cut){ .end = "\n", .start = "", .per_block = 1, .header = true });
}

static void quotes_hide_newlines_in_csv(void **state)
{
	const struct cut cuts[] = { { .size = 3 }, { .per_block = 1 }, { .size = 4, .per_block = 2 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
		make_records(&cuts[i]);
		stream_is_cut_right("a,\"b\nc\"\n\"\"\"\n\",d\n", 17, &cuts[i], 17, 0);
		stream_is_cut_right("a\"\n\"b\"\n,\"\",\n\"x\" \"\ny\n", 20, &cuts[i], 1, 1);
		for (size_t first = 1; first < 14; first++)
			stream_is_cut_right("\"\n\"\n,\"\n\n\"\"\",\n", 14, &cuts[i], first, 0);
	}
	all_inputs_are_cut_right("a,\n", 6, &cuts[1]);
}

static void quotes_that_are_not_closed_are_told(void **state)
{
	static const char text[] = "a\n\"b\n\nc\n";
	struct blocks b;
	struct block block;

	(void)state;
	make_records(&(struct cut){ .per_block = 1 });
	blocks_init(&b, &records, 0, 5, false);
	put(&b, text, sizeof(text) - 1);
	assert_int_equal(blocks_next(&b, &block), 0);
	blocks_eof(&b, false);
	assert_int_equal(blocks_next(&b, &block), 1);
	assert_int_equal(block.len, 2);
	block_done(&b, &block);
	assert_int_equal(blocks_next(&b, &block), -EBADMSG);
	blocks_done(&b);
}

static void of_a_torn_input_only_whole_records_are_given(void **state)
{
	struct block block;
	struct blocks b;

	(void)state;
	make_records(&(struct cut){ .end = "\n", .start = "" });
	for (uint64_t n = 0; n < 2; n++) {
		blocks_init(&b, &records, n ? 0 : 100, n * 5, false);
		put(&b, "a\nb\nc", 5);
		assert_int_equal(blocks_next(&b, &block), 0);
		blocks_eof(&b, true);
		assert_int_equal(blocks_next(&b, &block), 1);
		assert_int_equal(block.len, 4);
		block_done(&b, &block);
		assert_int_equal(blocks_next(&b, &block), -ENODATA);
		blocks_done(&b);
	}
}

static void a_header_alone_comes_with_an_empty_block(void **state)
{
	struct block block;
	struct blocks b;

	(void)state;
	make_records(&(struct cut){ .end = "\n", .start = "" });
	blocks_init(&b, &records, 100, 0, true);
	put(&b, "head\n", 5);
	blocks_eof(&b, false);
	assert_int_equal(blocks_next(&b, &block), 1);
	assert_int_equal(block.len, 0);
	assert_int_equal(b.header.len, 5);
	block_done(&b, &block);
	assert_int_equal(blocks_next(&b, &block), -ENODATA);
	blocks_done(&b);
}

/* A long input with records of all lengths, some of them longer than a block and than any window. */
static size_t make_long(char *data, size_t size, const char *end)
{
	size_t len = 0, end_len = strlen(end);
	uint64_t seed = 1;

	while (len + 40000 + end_len < size) {
		size_t n;

		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
		n = (seed >> 60) == 0 ? 39000 : (seed >> 33) % ((seed >> 62) ? 40 : 9000);
		for (size_t i = 0; i < n; i++)
			data[len++] = "\0ABCDEFGHIJKLMNO"[(seed >> (i % 50)) & 15];
		memcpy(data + len, end, end_len);
		len += end_len;
	}
	data[len] = '\0';
	return len;
}

static void long_inputs_are_cut_right(void **state)
{
	static const char *texts[][2] = { { "\n", "" }, { "<end>", "" }, { "<end", ">" }, { "", "<end>" } };
	static const uint64_t sizes[] = { 100, 5000, 65536, 100000 };
	char *data = malloc(INPUT_MAX);

	(void)state;
	assert_non_null(data);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		size_t len = make_long(data, INPUT_MAX, i == 0 ? "\n" : "<end>");

		for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
			struct cut c = { .end = texts[i][0], .start = texts[i][1], .size = sizes[k] };

			make_records(&c);
			stream_is_cut_right(data, len, &c, 1000, 4096);
			stream_is_cut_right(data, len, &c, len, 0);
			file_is_cut_right(data, len, &c);
		}
		stream_is_cut_right(data, len, &(struct cut){ .end = texts[i][0], .start = texts[i][1], .per_block = 3 }, 7, 10007);
	}
	for (size_t i = 0; i < 2; i++) {
		struct cut c = { .end = "<en?d>", .start = i ? "[A-O]" : "", .regex = true, .size = 7000 };
		size_t len = make_long(data, INPUT_MAX, "<end>");

		make_records(&c);
		stream_is_cut_right(data, len, &c, 100, 3000);
	}
	free(data);
}

/* Two blocks are held at a time while a third is read, so there are never more than three chunks. */
static void chunks_are_used_again(void **state)
{
	struct block block[2] = { { .chunk = NULL } };
	struct blocks b;
	size_t at = 0, chunks = 0;

	(void)state;
	make_records(&(struct cut){ .end = "\n", .start = "" });
	blocks_init(&b, &records, 120 * 1024, 0, false);
	for (unsigned n = 0; n < 30;) {
		size_t room = 0;
		char *space = blocks_space(&b, &room);

		assert_non_null(space);
		for (size_t i = 0; i < room; i++, at++)
			space[i] = at % 50000 == 49999 ? '\n' : 'x';
		blocks_filled(&b, room);
		block_done(&b, &block[n % 2]);
		n += (unsigned)blocks_next(&b, &block[n % 2]);
	}
	block_done(&b, &block[0]);
	block_done(&b, &block[1]);
	PCORE_LIST_FOREACH_SAFE(node, &b.spare)
		chunks++;
	assert_in_range(chunks, 1, 2); /* and the one that is read into */
	assert_int_equal(b.chunk->cap, b.least);
	blocks_done(&b);
}

static void what_is_no_text_or_pattern_is_refused(void **state)
{
	static const char *texts[] = { "\\q", "\\", "\\x1", "\\xgg", "" }, *patterns[] = { "(", "\\0", "a\\x00", "[", "" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		records_done(&records);
		records = (struct records){ .kind = RECORDS_TEXT };
		assert_int_equal(records_init_text(&records, texts[i], ""), -EINVAL);
	}
	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		records_done(&records);
		records = (struct records){ .kind = RECORDS_TEXT };
		assert_int_equal(records_init_pattern(&records, patterns[i], ""), -EINVAL);
	}
}

static void escapes_stand_for_bytes(void **state)
{
	(void)state;
	records = (struct records){ .kind = RECORDS_TEXT };
	assert_int_equal(records_init_text(&records, "\\n\\t\\r\\0\\\\\\x7f", "\\xfF"), 0);
	assert_int_equal(records.needle.len, 7);
	assert_memory_equal(records.needle.data, "\n\t\r\0\\\x7f\xff", 7);
	assert_int_equal(records.end_len, 6);
	make_records(&(struct cut){ .end = "\\x2e\\n|\\.\\t", .start = "", .regex = true });
	assert_int_equal(records_next(&records, &(struct records_scan){ .at = 0 }, "x\n.\tx.\n", 7, true), 4);
	assert_int_equal(records_next(&records, &(struct records_scan){ .at = 0 }, "x\n.\n", 4, true), 4);
}

static const struct CMUnitTest tests[] = {
	BLOCK_TEST(lines_are_cut_by_size),
	BLOCK_TEST(any_end_and_start_are_found),
	BLOCK_TEST(records_are_counted_and_measured),
	BLOCK_TEST(patterns_end_records),
	BLOCK_TEST(the_first_record_is_the_header),
	BLOCK_TEST(quotes_hide_newlines_in_csv),
	BLOCK_TEST(quotes_that_are_not_closed_are_told),
	BLOCK_TEST(of_a_torn_input_only_whole_records_are_given),
	BLOCK_TEST(a_header_alone_comes_with_an_empty_block),
	BLOCK_TEST(long_inputs_are_cut_right),
	BLOCK_TEST(chunks_are_used_again),
	BLOCK_TEST(what_is_no_text_or_pattern_is_refused),
	BLOCK_TEST(escapes_stand_for_bytes),
};

int main(void)
{
	return RUN_TESTS(tests);
}
