/* SPDX-License-Identifier: MIT */
/*
 * shuffle.c - tests of the random order.
 */
#include "tools/map/shuffle.c"

#include <stdbool.h>

#include "tests/unit/support.h"

enum { N = 1000 };

static void fill(uint64_t *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		list[i] = i;
}

static void the_same_seed_gives_the_same_order_everywhere(void **state)
{
	static const uint64_t expected[] = { 2, 1, 4, 3, 0 };
	uint64_t list[5];

	(void)state;
	fill(list, 5);
	shuffle(list, 5, 1);
	assert_memory_equal(list, expected, sizeof(list));
}

static void another_seed_gives_another_order(void **state)
{
	uint64_t a[N], b[N];

	(void)state;
	fill(a, N);
	fill(b, N);
	shuffle(a, N, 0);
	shuffle(b, N, UINT64_MAX);
	assert_true(memcmp(a, b, sizeof(a)) != 0);
}

static void every_number_stays_exactly_once(void **state)
{
	uint64_t list[N];
	bool seen[N] = { false };

	(void)state;
	fill(list, N);
	shuffle(list, N, 42);
	for (size_t i = 0; i < N; i++) {
		assert_true(list[i] < N);
		assert_false(seen[list[i]]);
		seen[list[i]] = true;
	}
}

static void all_orders_are_about_equally_likely(void **state)
{
	unsigned seen[3][3][3] = { 0 };

	(void)state;
	for (uint64_t seed = 0; seed < 6000; seed++) {
		uint64_t list[3] = { 0, 1, 2 };

		shuffle(list, 3, seed);
		seen[list[0]][list[1]][list[2]]++;
	}
	for (size_t i = 0; i < 27; i++) {
		size_t a = i / 9, b = i / 3 % 3, c = i % 3;

		if (a != b && b != c && a != c)
			assert_in_range(seen[a][b][c], 850, 1150);
		else
			assert_int_equal(seen[a][b][c], 0);
	}
}

static void nothing_and_one_stay_as_they_are(void **state)
{
	uint64_t one = 7;

	(void)state;
	shuffle(NULL, 0, 1);
	shuffle(&one, 1, 1);
	assert_int_equal(one, 7);
}

static void numbers_below_a_bound_are_not_biased(void **state)
{
	uint64_t seed = 1, bound = UINT64_MAX / 3 * 2, high = 0;

	(void)state;
	for (int i = 0; i < 3000; i++) {
		uint64_t r = random_below(&seed, bound);

		assert_true(r < bound);
		high += r >= bound / 2;
	}
	assert_in_range(high, 1350, 1650); /* a plain remainder has 1000 */
	assert_int_equal(random_below(&seed, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_same_seed_gives_the_same_order_everywhere),
		TEST(another_seed_gives_another_order),
		TEST(every_number_stays_exactly_once),
		TEST(all_orders_are_about_equally_likely),
		TEST(nothing_and_one_stay_as_they_are),
		TEST(numbers_below_a_bound_are_not_biased),
	};

	return RUN_TESTS(tests);
}
