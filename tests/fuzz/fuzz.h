/* SPDX-License-Identifier: MIT */
/*
 * fuzz.h - what the fuzz targets share. Each is a program of libFuzzer's that asserts what must hold for any input.
 */
#ifndef PCORE_FUZZ_H
#define PCORE_FUZZ_H

#include <string.h>

#include "libcore/when/when.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input as a string, or NULL. free() it. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (!text)
		return NULL;
	memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

/* Runs come later and later, and each is found again from just before it. */
static inline void fuzz_runs(const struct pcore_when *w, const struct pcore_zone *z)
{
	for (int dst = PCORE_DST_RUN; dst <= PCORE_DST_BOTH; dst++) {
		int64_t at = INT64_C(1795694400) * NS_PER_S, next, again;

		for (int i = 0; i < 3 && pcore_when_next(w, z, (enum pcore_dst)dst, at, &next) == 0; i++) {
			assert(next > at);
			assert(pcore_when_next(w, z, (enum pcore_dst)dst, next - 1, &again) == 0);
			assert(again == next);
			at = next;
		}
	}
}

static inline void fuzz_error(const char *text, const struct pcore_when_error *e)
{
	assert(e->why);
	assert(e->column >= 1);
	assert(e->column <= strlen(text) + 1);
}

#endif
