/* SPDX-License-Identifier: MIT */
#include <pcore/pool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int weather(const void *city, size_t size, struct pcore_out *out)
{
	usleep((useconds_t)(1e6 * (getenv("LECTURE_WAIT") ? atof(getenv("LECTURE_WAIT")) : 1)));
	return pcore_out_printf(out, "%.*s: sunny", (int)size, (const char *)city);
}

int main(void)
{
	const char *cities[] = { "Lyon", "Nice", "Brest" };
	char text[3][64] = { "", "", "" };
	struct pcore_workers *pool;

	if (pcore_pool_open(&pool, NULL) < 0)
		return 1;
	for (int i = 0; i < 3 && pcore_pool_apply(pool, weather, cities[i], strlen(cities[i]), text[i], 63, NULL) == 0; i++)
		puts(text[i]);
	pcore_pool_close(pool);
	return 0;
}
