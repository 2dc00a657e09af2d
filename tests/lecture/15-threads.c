/* SPDX-License-Identifier: MIT */
#include <pcore/thread.h>
#include <stdio.h>

static int64_t square(void *item)
{
	return *(int *)item * *(int *)item;
}

int main(void)
{
	struct pcore_threads_spec spec = { .size = sizeof(spec), .threads = 3 };
	int numbers[] = { 1, 2, 3, 4, 5 };
	struct pcore_threads *pool;
	struct pcore_mapping *map;
	int64_t result;

	if (pcore_threads_new(&pool, &spec) < 0 || pcore_threads_map(&map, pool, square, numbers, sizeof(int), 5, 0, PCORE_FOREVER) < 0)
		return 1;
	while (pcore_mapping_next(map, NULL, &result) == 1)
		printf("%d\n", (int)result);
	pcore_mapping_free(map);
	pcore_threads_free(pool);
	return 0;
}
