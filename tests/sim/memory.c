/* SPDX-License-Identifier: MIT */
/*
 * memory.c - allocations that fail now and then, as long as the scheduler is called. The linker puts these functions before
 * the library's.
 */
#include "tests/sim/sim.h"

enum { FAILS_ONE_IN = 64 };

static uint64_t *random_memory; /* NULL: none fails */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);

void memory_fails(uint64_t *random)
{
	random_memory = random;
}

static bool fails(void)
{
	return random_memory && sim_draw(random_memory, FAILS_ONE_IN) == 0;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fails() ? NULL : __real_reallocarray(p, n, size);
}
