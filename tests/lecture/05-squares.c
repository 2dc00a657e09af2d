/* SPDX-License-Identifier: MIT */
#include <pcore/pool.h>
#include <stdio.h>

static int square(const void *item, size_t size, struct pcore_out *out)
{
	int n = *(const int *)item, result = n * n;

	return size == sizeof(n) ? pcore_out_write(out, &result, sizeof(result)) : 1;
}

int main(void)
{
	int numbers[] = { 1, 7, 8, -2 }, squares[4];
	struct pcore_workers *pool;

	if (pcore_pool_open(&pool, NULL) < 0)
		return 1;
	if (pcore_pool_map(pool, square, numbers, 4, sizeof(int), squares, sizeof(int), NULL) == 0)
		printf("%d\n%d\n%d\n%d\n", squares[0], squares[1], squares[2], squares[3]);
	pcore_pool_close(pool);
	return 0;
}
