/* SPDX-License-Identifier: MIT */
/*
 * spare.c - tests of the memory that is kept for the next object.
 */
#include "tests/unit/support.h"

#include <string.h>

#include "libcore/base/base.h"

enum { SIZE = 100, MAX = 2 };

static void what_is_freed_is_given_out_again(void **state)
{
	struct pcore_spare s = PCORE_SPARE_INIT(SIZE, MAX);
	void *a = pcore_spare_new(&s), *b = pcore_spare_new(&s);

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
	assert_ptr_not_equal(a, b);
	pcore_spare_free(&s, a);
	pcore_spare_free(&s, b);
	assert_int_equal(s.n, 2);
	assert_ptr_equal(pcore_spare_new(&s), b);
	assert_ptr_equal(pcore_spare_new(&s), a);
	assert_int_equal(s.n, 0);
	pcore_spare_free(&s, a);
	pcore_spare_free(&s, b);
	pcore_spare_done(&s);
}

static void no_more_are_kept_than_asked_for(void **state)
{
	struct pcore_spare s = PCORE_SPARE_INIT(SIZE, MAX);
	void *all[MAX + 3];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		all[i] = pcore_spare_new(&s);
		assert_non_null(all[i]);
		memset(all[i], 0xff, SIZE);
	}
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		pcore_spare_free(&s, all[i]);
	assert_int_equal(s.n, MAX);
	pcore_spare_done(&s);
	assert_int_equal(s.n, 0);
	assert_null(s.first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_freed_is_given_out_again),
		TEST(no_more_are_kept_than_asked_for),
	};

	return RUN_TESTS(tests);
}
