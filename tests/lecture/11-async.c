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
	struct pcore_workers_spec spec = { .size = sizeof(spec), .workers = 3 };
	const char *cities[] = { "Lyon", "Nice", "Brest" };
	struct pcore_workers *pool;
	struct pcore_task *task[3];
	size_t n;
	if (pcore_pool_open(&pool, &spec) < 0)
		return 1;
	for (int i = 0; i < 3; i++)
		pcore_pool_async(pool, weather, cities[i], strlen(cities[i]), NULL, &task[i]);
	puts("all launched");
	for (int i = 0; i < 3 && pcore_task_wait(task[i], PCORE_FOREVER) == 0; i++)
		printf("%.*s\n", (int)(pcore_task_result(task[i], &n) ? n : 0), (const char *)pcore_task_result(task[i], &n));
}
