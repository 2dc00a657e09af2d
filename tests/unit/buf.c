/* SPDX-License-Identifier: MIT */
/*
 * buf.c - tests of the growable byte buffer.
 */
#include "tests/unit/support.h"

#include "libcore/base/base.h"

static void what_is_added_is_there_in_order(void **state)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);

	(void)state;
	assert_int_equal(pcore_buf_add(&b, "a\0b", 3), 0);
	assert_int_equal(pcore_buf_addc(&b, '-'), 0);
	assert_int_equal(pcore_buf_adds(&b, "text"), 0);
	assert_int_equal(pcore_buf_addf(&b, "%d/%s", 42, "x"), 0);
	assert_int_equal(b.len, 12);
	assert_memory_equal(b.data, "a\0b-text42/x", 12);
	pcore_buf_done(&b);
	assert_null(b.data);
}

static void it_grows_and_keeps_its_contents(void **state)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);

	(void)state;
	for (int i = 0; i < 100000; i++)
		assert_int_equal(pcore_buf_addc(&b, (char)(i % 251)), 0);
	assert_int_equal(b.len, 100000);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(b.data[i], (char)(i % 251));
	pcore_buf_done(&b);
}

static void over_the_limit_nothing_changes(void **state)
{
	struct pcore_buf b = PCORE_BUF_INIT(10);

	(void)state;
	assert_int_equal(pcore_buf_adds(&b, "12345678"), 0);
	assert_int_equal(pcore_buf_adds(&b, "abc"), -ENOBUFS);
	assert_int_equal(pcore_buf_addf(&b, "%s", "abc"), -ENOBUFS);
	assert_int_equal(pcore_buf_reserve(&b, 3), -ENOBUFS);
	assert_int_equal(pcore_buf_reserve(&b, SIZE_MAX), -ENOBUFS);
	assert_int_equal(b.len, 8);
	assert_memory_equal(b.data, "12345678", 8);
	pcore_buf_done(&b);
}

static void it_can_be_filled_to_the_limit_and_terminated(void **state)
{
	struct pcore_buf b = PCORE_BUF_INIT(5);

	(void)state;
	assert_int_equal(pcore_buf_addf(&b, "%s", "12345"), 0);
	assert_int_equal(pcore_buf_addc(&b, '6'), -ENOBUFS);
	assert_int_equal(pcore_buf_terminate(&b), 0);
	assert_int_equal(b.len, 5);
	assert_true(b.cap <= 5);
	assert_string_equal(b.data, "12345");
	pcore_buf_done(&b);
}

static void an_empty_buffer_terminates_to_an_empty_string(void **state)
{
	struct pcore_buf b = { 0 };

	(void)state;
	assert_int_equal(pcore_buf_add(&b, NULL, 0), 0);
	assert_int_equal(pcore_buf_terminate(&b), 0);
	assert_string_equal(b.data, "");
	pcore_buf_done(&b);
	pcore_buf_done(&b);
	pcore_buf_done(NULL);
}

static void consuming_drops_the_front(void **state)
{
	struct pcore_buf b = { 0 };

	(void)state;
	pcore_buf_consume(&b, 0);
	assert_int_equal(pcore_buf_adds(&b, "abcdef"), 0);
	pcore_buf_consume(&b, 2);
	assert_int_equal(b.len, 4);
	assert_memory_equal(b.data, "cdef", 4);
	pcore_buf_consume(&b, 4);
	assert_int_equal(b.len, 0);
	pcore_buf_done(&b);
}

static void without_a_limit_an_impossible_size_is_no_memory(void **state)
{
	struct pcore_buf b = { 0 };

	(void)state;
	assert_int_equal(pcore_buf_adds(&b, "x"), 0);
	assert_int_equal(pcore_buf_reserve(&b, SIZE_MAX), -ENOMEM);
	assert_int_equal(pcore_buf_reserve(&b, SIZE_MAX - 1), -ENOMEM);
	b.max = SIZE_MAX;
	assert_int_equal(pcore_buf_reserve(&b, SIZE_MAX - 1), -ENOMEM);
	assert_memory_equal(b.data, "x", 1);
	pcore_buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_added_is_there_in_order),
		TEST(it_grows_and_keeps_its_contents),
		TEST(over_the_limit_nothing_changes),
		TEST(it_can_be_filled_to_the_limit_and_terminated),
		TEST(an_empty_buffer_terminates_to_an_empty_string),
		TEST(consuming_drops_the_front),
		TEST(without_a_limit_an_impossible_size_is_no_memory),
	};

	return RUN_TESTS(tests);
}
