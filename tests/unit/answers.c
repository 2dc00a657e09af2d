/* SPDX-License-Identifier: MIT */
/*
 * answers.c - tests of libcore/pool/answers.c: every answer is found whole, however its bytes come in.
 */
#include "libcore/pool/answers.h"
#include "tests/unit/support.h"

/* What came out: the answers, each ended by a '|'. */
static char got[512];
static size_t got_len;

static void emit(void *ctx, const char *data, size_t len)
{
	(void)ctx;
	assert_true(got_len + len < sizeof(got));
	memcpy(got + got_len, data, len);
	got_len += len;
}

static void feed(struct pcore_answers *a, const char *data, size_t len)
{
	while (len > 0) {
		bool end = false;
		size_t used = pcore_answers_feed(a, data, len, emit, NULL, &end);

		assert_true(used <= len);
		assert_true(end || used == len);
		assert_int_equal(a->begun, !end);
		if (end)
			emit(NULL, "|", 1);
		data += used;
		len -= used;
	}
}

/* At every way to cut the bytes in three. */
static void expect(struct pcore_answer_form form, const char *data, size_t len, const char *expected, size_t expected_len)
{
	for (size_t i = 0; i <= len; i++) {
		for (size_t k = i; k <= len; k++) {
			struct pcore_answers a = { .form = form };

			got_len = 0;
			feed(&a, data, i);
			feed(&a, data + i, k - i);
			feed(&a, data + k, len - k);
			assert_int_equal(got_len, expected_len);
			assert_memory_equal(got, expected, expected_len);
		}
	}
}

#define EXPECT(form, data, expected) expect(form, data, sizeof(data) - 1, expected, sizeof(expected) - 1)
#define LINES(n) ((struct pcore_answer_form){ .kind = PCORE_ANSWER_LINES, .n_lines = (n) })
#define UNTIL(s) ((struct pcore_answer_form){ .kind = PCORE_ANSWER_UNTIL, .text = (s), .len = sizeof(s) - 1 })
#define FRAMES(keep) ((struct pcore_answer_form){ .kind = PCORE_ANSWER_FRAMES, .keep_length = (keep) })

static void an_answer_is_a_line(void **state)
{
	(void)state;
	EXPECT(LINES(1), "a\n", "a\n|");
	EXPECT(LINES(1), "one\n\ntwo\nrest", "one\n|\n|two\n|rest");
	EXPECT(LINES(1), "\n", "\n|");
}

static void or_a_number_of_lines(void **state)
{
	(void)state;
	EXPECT(LINES(2), "a\nb\nc\n\n", "a\nb\n|c\n\n|");
	EXPECT(LINES(3), "\n\n\nx\n", "\n\n\n|x\n");
}

static void or_all_lines_up_to_one_that_is_left_out(void **state)
{
	(void)state;
	EXPECT(UNTIL("END"), "END\n", "|");
	EXPECT(UNTIL("END"), "a\nb\nEND\nc\nEND\n", "a\nb\n|c\n|");
	EXPECT(UNTIL("END"), "EN\nEND \n END\nENDEND\nEND\n", "EN\nEND \n END\nENDEND\n|");
	EXPECT(UNTIL("END"), "\nE\nEEND\nEND\n", "\nE\nEEND\n|");
	EXPECT(UNTIL(""), "a\n\n\nb\n", "a\n||b\n");
}

static void a_beginning_of_the_end_is_held_back_only_as_long_as_it_may_be_one(void **state)
{
	struct pcore_answers a = { .form = UNTIL("END") };

	(void)state;
	got_len = 0;
	feed(&a, "EN", 2);
	assert_int_equal(got_len, 0);
	feed(&a, "X", 1);
	assert_int_equal(got_len, 3);
	assert_memory_equal(got, "ENX", 3);
	feed(&a, "END", 3); /* not at the beginning of a line */
	assert_int_equal(got_len, 6);
}

static void or_a_frame(void **state)
{
	(void)state;
	EXPECT(FRAMES(false), "\0\0\0\3a\nb\0\0\0\0\0\0\0\1\0", "a\nb||\0|");
	EXPECT(FRAMES(true), "\0\0\0\2hi\0\0\0\0", "\0\0\0\2hi|\0\0\0\0|");
}

static void a_frame_may_begin_with_a_status(void **state)
{
	struct pcore_answer_form form = { .kind = PCORE_ANSWER_FRAMES, .status = true };
	struct pcore_answers a = { .form = form };

	(void)state;
	EXPECT(form, "\0\0\0\4\0a\nb\0\0\0\1\7\0\0\0\2\1\0", "a\nb||\0|");
	got_len = 0;
	feed(&a, "\0\0\0\2\7x", 6);
	assert_int_equal(a.last_status, 7);
	feed(&a, "\0\0\0\1\0", 5);
	assert_int_equal(a.last_status, 0);
}

static void a_frame_s_length_counts_the_highest_byte_first(void **state)
{
	struct pcore_answers a = { .form = FRAMES(false) };

	(void)state;
	got_len = 0;
	feed(&a, "\1\2\3\4x", 5);
	assert_int_equal(a.left, 0x01020303);
	assert_int_equal(got_len, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_answer_is_a_line),
		TEST(or_a_number_of_lines),
		TEST(or_all_lines_up_to_one_that_is_left_out),
		TEST(a_beginning_of_the_end_is_held_back_only_as_long_as_it_may_be_one),
		TEST(or_a_frame),
		TEST(a_frame_may_begin_with_a_status),
		TEST(a_frame_s_length_counts_the_highest_byte_first),
	};

	return RUN_TESTS(tests);
}
