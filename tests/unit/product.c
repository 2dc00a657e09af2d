/* SPDX-License-Identifier: MIT */
/*
 * product.c - tests of the combinations of lists of words.
 */
#include "tools/map/product.c"

#include "tests/unit/support.h"

#define WORDS(...) ((char **)(const char *[]){ __VA_ARGS__, NULL })

/* All combinations as "a1 a2 b1 b2". */
static const char *all(const struct product *p)
{
	static char text[256];
	struct cli_item words[8];
	uint64_t n = 0;
	size_t len = 0;

	assert_int_equal(product_count(p, &n), 0);
	text[0] = '\0';
	for (uint64_t i = 0; i < n; i++) {
		product_get(p, i, words);
		if (i > 0)
			text[len++] = ' ';
		for (size_t k = 0; k < p->n_lists; k++)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s", words[k].data);
	}
	return text;
}

static const char *product(char *const *words)
{
	struct product p;
	const char *text;

	assert_int_equal(product_init(&p, words), 0);
	text = all(&p);
	product_done(&p);
	return text;
}

static void one_list_is_itself(void **state)
{
	(void)state;
	assert_string_equal(product(WORDS(":::", "a", "b", "c")), "a b c");
	assert_string_equal(product(WORDS(":::", "::", ":::-", "::::")), ":: :::- ::::");
	assert_string_equal(product(WORDS(":::")), "");
}

static void the_last_list_varies_fastest(void **state)
{
	(void)state;
	assert_string_equal(product(WORDS(":::", "a", "b", ":::", "1", "2", "3")), "a1 a2 a3 b1 b2 b3");
	assert_string_equal(product(WORDS(":::", "a", "b", ":::", "1", ":::", "x", "y")), "a1x a1y b1x b1y");
}

static void a_linked_list_goes_along_and_the_shorter_ends_it(void **state)
{
	(void)state;
	assert_string_equal(product(WORDS(":::", "a", "b", ":::+", "1", "2")), "a1 b2");
	assert_string_equal(product(WORDS(":::", "a", "b", "c", ":::+", "1", "2")), "a1 b2");
	assert_string_equal(product(WORDS(":::", "a", ":::+", "1", "2")), "a1");
	assert_string_equal(product(WORDS(":::", "a", "b", ":::+", "1", "2", ":::+", "x", "y", "z")), "a1x b2y");
	assert_string_equal(product(WORDS(":::", "a", "b", ":::+", "1", "2", ":::", "x", "y")), "a1x a1y b2x b2y");
	assert_string_equal(product(WORDS(":::", "x", "y", ":::", "a", "b", ":::+", "1", "2", "3")), "xa1 xb2 ya1 yb2");
}

static void an_empty_list_leaves_no_combination(void **state)
{
	(void)state;
	assert_string_equal(product(WORDS(":::", "a", "b", ":::")), "");
	assert_string_equal(product(WORDS(":::", ":::", "a")), "");
	assert_string_equal(product(WORDS(":::", "a", ":::+")), "");
}

static void words_can_be_skipped_in_each_list(void **state)
{
	struct product p;

	(void)state;
	assert_int_equal(product_init(&p, WORDS(":::", "A", "a", "b", ":::", "B", "1", "2", ":::+", "C", "x", "y", "z")), 0);
	product_skip(&p, 1);
	assert_string_equal(all(&p), "a1x a2y b1x b2y");
	product_skip(&p, 2);
	assert_string_equal(all(&p), "");
	product_skip(&p, 99);
	assert_string_equal(all(&p), "");
	product_done(&p);
	product_done(&p);
}

static void too_many_combinations_are_told(void **state)
{
	struct product_list lists[3] = { { .n = SIZE_MAX / 2 }, { .n = 2 }, { .n = 2 } };
	struct product p = { lists, 2 };
	uint64_t n = 0;

	(void)state;
	assert_int_equal(product_count(&p, &n), 0);
	assert_true(n == SIZE_MAX - 1);
	p.n_lists = 3;
	assert_int_equal(product_count(&p, &n), -ERANGE);
	lists[0].n = 0;
	assert_int_equal(product_count(&p, &n), 0);
	assert_int_equal(n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_list_is_itself),
		TEST(the_last_list_varies_fastest),
		TEST(a_linked_list_goes_along_and_the_shorter_ends_it),
		TEST(an_empty_list_leaves_no_combination),
		TEST(words_can_be_skipped_in_each_list),
		TEST(too_many_combinations_are_told),
	};

	return RUN_TESTS(tests);
}
