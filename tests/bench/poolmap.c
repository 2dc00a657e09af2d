/* SPDX-License-Identifier: MIT */
/*
 * poolmap.c - how many items a second pcore_pool_map() gives to a function that does next to nothing, in two processes.
 * Usage: poolmap ITEMS
 */
#include "tests/bench/bench.h"

#include <pcore/pool.h>

static int square(const void *item, size_t size, struct pcore_out *out)
{
	int x = *(const int *)item & 0xfff;

	(void)size;
	x *= x;
	return pcore_out_write(out, &x, sizeof(x));
}

int main(int argc, char **argv)
{
	struct pcore_workers_spec spec = { .size = sizeof(spec), .workers = 2 };
	unsigned n = argc > 1 ? number(argv[1], 100000000) : 1000000;
	int *items = calloc(n, sizeof(*items)), *results = calloc(n, sizeof(*results));
	struct pcore_workers *pool;
	int64_t start;

	if (!items || !results || pcore_pool_open(&pool, &spec) < 0)
		die("poolmap");
	for (unsigned i = 0; i < n; i++)
		items[i] = (int)i;
	start = now_ns();
	if (pcore_pool_map(pool, square, items, n, sizeof(*items), results, sizeof(*results), NULL) < 0)
		die("poolmap");
	printf("%.0f\n", n / ((double)(now_ns() - start) / 1e9));
	pcore_pool_close(pool);
	free(items);
	free(results);
	return 0;
}
