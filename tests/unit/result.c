/* SPDX-License-Identifier: MIT */
/*
 * result.c - tests of what a named pool keeps of its jobs.
 */
#include "tools/ppool/result.c"

#include "tests/unit/support.h"

static void check_read(const struct result *r, int stream, const char *expected)
{
	char buf[64];
	uint64_t at = 0;
	ssize_t n;
	size_t len = strlen(expected);

	while ((n = result_read(r, stream, at, buf, 3)) > 0) {
		assert_true(at + (uint64_t)n <= len);
		assert_memory_equal(buf, expected + at, (size_t)n);
		at += (uint64_t)n;
	}
	assert_int_equal(n, 0);
	assert_int_equal(at, len);
	assert_int_equal(result_size(r, stream), len);
}

static void output_is_kept_in_memory_then_in_a_file(void **state)
{
	struct keeping k = { .max = 8 };
	struct result *r = result_new(&k);

	(void)state;
	assert_non_null(r);
	assert_int_equal(result_add(r, 0, "hello", 5), 0);
	assert_int_equal(r->streams[0].fd, -EBADF);
	assert_int_equal(result_add(r, 0, " world", 6), 0);
	assert_true(r->streams[0].fd >= 0);
	assert_int_equal(result_add(r, 0, "!", 1), 0); /* behind what is in the file */
	assert_int_equal(result_add(r, 1, "err", 3), 0);
	check_read(r, 0, "hello world!");
	check_read(r, 1, "err");
	assert_int_equal(k.bytes, 15);
	assert_int_equal(k.memory, 8);
	result_forget(r);
	assert_int_equal(k.bytes, 0);
	assert_int_equal(k.memory, 0);
	assert_int_equal(result_add(r, 0, "again", 5), 0);
	check_read(r, 0, "again");
	result_free(r);
	assert_int_equal(k.bytes, 0);
}

static void without_a_place_for_the_file_the_error_is_told(void **state)
{
	struct keeping k = { .max = 4 };
	struct result *r = result_new(&k);
	const char *tmpdir = getenv("TMPDIR");
	char *old = tmpdir ? strdup(tmpdir) : NULL;

	(void)state;
	assert_non_null(r);
	setenv("TMPDIR", "/nowhere", 1);
	assert_int_equal(result_add(r, 0, "abcd", 4), 0);
	assert_int_equal(result_add(r, 0, "e", 1), -ENOENT);
	check_read(r, 0, "abcd");
	result_free(r);
	if (old)
		setenv("TMPDIR", old, 1);
	else
		unsetenv("TMPDIR");
	free(old);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(output_is_kept_in_memory_then_in_a_file),
		TEST(without_a_place_for_the_file_the_error_is_told),
	};

	return RUN_TESTS(tests);
}
