/* SPDX-License-Identifier: MIT */
/*
 * time.c - any text as a point in time.
 */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const int64_t now = INT64_C(1795694400) * NS_PER_S;
	char *text = fuzz_text(data, size);
	struct pcore_when_error error = { 0 };
	struct pcore_zone *z = NULL;
	struct pcore_time t;

	if (!text)
		return 0;
	if (pcore_time_parse(text, &t, &error) < 0) {
		fuzz_error(text, &error);
	} else if (pcore_zone_parse_rule(&z, "EST5EDT,M3.2.0,M11.1.0") == 0) {
		int64_t at = pcore_time_resolve(&t, z, now);

		assert(at >= -2 * PCORE_NS_PER_DAY);
		assert(t.day != PCORE_TIME_NEXT || (at > now && at < now + 2 * PCORE_NS_PER_DAY));
	}
	pcore_zone_free(z);
	free(text);
	return 0;
}
