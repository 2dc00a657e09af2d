/* SPDX-License-Identifier: MIT */
#include <pcore/pool.h>
#include <stdio.h>

static int sum(const struct pcore_arg *args, size_t n, struct pcore_out *out)
{
	int result = *(const int *)args[0].data + *(const int *)args[1].data;

	return n == 2 ? pcore_out_write(out, &result, sizeof(result)) : 1;
}

int main(void)
{
	int numbers[] = { 1, 2, 7, -4, 9, 3 }, sums[3];
	struct pcore_arg args[6];
	struct pcore_workers *pool;

	for (int i = 0; i < 6; i++)
		args[i] = (struct pcore_arg){ &numbers[i], sizeof(int) };
	if (pcore_pool_open(&pool, NULL) < 0)
		return 1;
	if (pcore_pool_starmap(pool, sum, args, 3, 2, sums, sizeof(int), NULL) == 0)
		printf("%d\n%d\n%d\n", sums[0], sums[1], sums[2]);
	pcore_pool_close(pool);
	return 0;
}
