/* SPDX-License-Identifier: MIT */
/*
 * scheduler_sim.c - the scheduler in tests/sim, for many seeds: 200 by default, 10,000 with PCORE_SIM=full as `make check-sim`
 * sets it. PCORE_SIM=SEED runs one, and prints what happens. A seed that fails prints its shortest story.
 */
#include "tests/unit/support.h"

#include "tests/sim/sim.h"

enum { SEEDS = 1000, SEEDS_FULL = 10000 };

static bool one(uint64_t seed, bool loud)
{
	char failure[SIM_FAILURE];
	struct plan plan;

	plan_make(&plan, seed);
	if (loud)
		plan_print(&plan, stdout);
	if (sim_run(&plan, loud ? stdout : NULL, failure))
		return true;
	printf("# seed %ju: %s\n", (uintmax_t)seed, failure);
	plan_shrink(&plan, failure);
	printf("# the shortest story:\n");
	plan_print(&plan, stdout);
	sim_run(&plan, stdout, failure);
	printf("# %s\n", failure);
	return false;
}

static void whatever_happens_no_job_is_lost_or_told_twice(void **state)
{
	const char *sim = getenv("PCORE_SIM");
	uint64_t first = 1, n = SEEDS;

	(void)state;
	if (sim && strcmp(sim, "full") == 0) {
		n = SEEDS_FULL;
	} else if (sim && *sim) {
		assert_int_equal(pcore_parse_u64(sim, 1, UINT64_MAX / 2, &first), 0);
		n = 1;
	}
	for (uint64_t seed = first; seed < first + n; seed++)
		assert_true(one(seed, n == 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(whatever_happens_no_job_is_lost_or_told_twice),
	};

	return RUN_TESTS(tests);
}
