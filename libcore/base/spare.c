/* SPDX-License-Identifier: MIT */
/*
 * spare.c - memory of objects of one size, used again and again.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "libcore/base/spare.h"

/* Spare memory is not to be touched, but for the pointer at its beginning. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, size) ((void)(p), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(p, size) ((void)(p), (void)(size))
#endif

void *pcore_spare_new(struct pcore_spare *s)
{
	void *p = s->first;

	assert(s->size >= sizeof(p));

	if (!p)
		return malloc(s->size);
	memcpy(&s->first, p, sizeof(p));
	s->n--;
	ASAN_UNPOISON_MEMORY_REGION((char *)p + sizeof(p), s->size - sizeof(p));
	return p;
}

void pcore_spare_free(struct pcore_spare *s, void *p)
{
	if (s->n >= s->max) {
		free(p);
		return;
	}
	memcpy(p, &s->first, sizeof(p));
	ASAN_POISON_MEMORY_REGION((char *)p + sizeof(p), s->size - sizeof(p));
	s->first = p;
	s->n++;
}

void pcore_spare_done(struct pcore_spare *s)
{
	while (s->first)
		free(pcore_spare_new(s));
	assert(s->n == 0);
}
