/* SPDX-License-Identifier: MIT */
/*
 * nextrun.c - how long the library takes to find the next run: nextrun N ZONE EXPRESSION: the median of N, in microseconds.
 */
#include "tests/bench/bench.h"

#include "libcore/when/when.h"

int main(int argc, char **argv)
{
	unsigned n = argc == 4 ? number(argv[1], 1000000) : 0;
	int64_t *took = calloc(n ? n : 1, sizeof(*took)), at;
	struct pcore_zone *z = NULL;
	struct pcore_when w;

	if (!n || !took || pcore_zone_open(&z, argv[2]) < 0 || pcore_calendar_parse(argv[3], &w, NULL) < 0) {
		fprintf(stderr, "usage: nextrun N ZONE EXPRESSION\n");
		return 125;
	}
	for (unsigned i = 0; i < n; i++) {
		int64_t from = pcore_days_of(2072 + (int)(i % 3), 3, 1) * PCORE_NS_PER_DAY, t0 = now_ns();

		if (pcore_when_next(&w, z, PCORE_DST_RUN, from, &at) < 0)
			at = 0;
		took[i] = now_ns() - t0;
	}
	qsort(took, n, sizeof(*took), by_value);
	printf("%.3f\n", (double)took[n / 2] / 1000);
	pcore_zone_free(z);
	free(took);
	return 0;
}
