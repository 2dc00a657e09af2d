/* SPDX-License-Identifier: MIT */
/*
 * shuffle.c - the shuffle of Fisher and Yates, with the generator SplitMix64.
 */
#include "tools/map/shuffle.h"

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* Below n. What is over the last multiple of n is thrown away: it would make small numbers likelier. */
static uint64_t random_below(uint64_t *state, uint64_t n)
{
	uint64_t r, surplus = (UINT64_MAX % n + 1) % n;

	do {
		r = next_random(state);
	} while (r > UINT64_MAX - surplus);
	return r % n;
}

void shuffle(uint64_t *list, size_t n, uint64_t seed)
{
	for (size_t i = n; i > 1; i--) {
		size_t k = random_below(&seed, i);
		uint64_t swapped = list[i - 1];

		list[i - 1] = list[k];
		list[k] = swapped;
	}
}
