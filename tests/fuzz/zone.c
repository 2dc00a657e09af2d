/* SPDX-License-Identifier: MIT */
/*
 * zone.c - any bytes as a TZif file. Every instant lies in one span, and expressions have their runs in it.
 */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const expressions[] = { "*-02~01 *:15", "Mon 02:30", "*:*:0/20" };
	struct pcore_zone *z = NULL;
	struct pcore_when w;
	int64_t at = INT64_MIN;

	if (pcore_zone_parse(&z, data, size) < 0) {
		assert(!z);
		return 0;
	}
	for (int i = 0; i < 10000 && at != INT64_MAX; i++) {
		struct pcore_zone_span s = pcore_zone_at(z, at);

		assert(s.start_ns <= at);
		assert(s.end_ns > at);
		at = s.end_ns;
	}
	for (size_t i = 0; i < ARRAY_SIZE(expressions); i++)
		if (pcore_calendar_parse(expressions[i], &w, NULL) == 0)
			fuzz_runs(&w, z);
	pcore_zone_free(z);
	return 0;
}
