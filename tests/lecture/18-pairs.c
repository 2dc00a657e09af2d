/* SPDX-License-Identifier: MIT */
#include <pcore/thread.h>
#include <stdio.h>

static int64_t multiply(void *item)
{
	return ((int *)item)[0] * ((int *)item)[1];
}

int main(void)
{
	int pairs[][2] = { { 2, 5 }, { 3, 2 }, { 10, 3 } };
	struct pcore_threads_spec spec = { .size = sizeof(spec), .threads = 2 };
	struct pcore_threads *pool;
	struct pcore_mapping *map;
	int64_t result;
	size_t i;

	if (pcore_threads_new(&pool, &spec) < 0 || pcore_threads_map(&map, pool, multiply, pairs, sizeof(*pairs), 3, 0, PCORE_FOREVER) < 0)
		return 1;
	while (pcore_mapping_next(map, &i, &result) == 1)
		printf("%d * %d = %d\n", pairs[i][0], pairs[i][1], (int)result);
	pcore_mapping_free(map);
	pcore_threads_free(pool);
	return 0;
}
