/* SPDX-License-Identifier: MIT */
/*
 * cron.c - any text as a cron expression.
 */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct pcore_when_error error = { 0 };
	struct pcore_zone *z = NULL;
	struct pcore_when w;

	if (!text)
		return 0;
	if (pcore_cron_parse(text, &w, &error) < 0) {
		fuzz_error(text, &error);
	} else if (pcore_zone_parse_rule(&z, "EST5EDT,M3.2.0,M11.1.0") == 0) {
		fuzz_runs(&w, z);
	}
	pcore_zone_free(z);
	free(text);
	return 0;
}
