/* SPDX-License-Identifier: MIT */
/*
 * crontab.c - any text as a crontab. What is printed has its lines, and is a table without a mistake.
 */
#include "tools/ptimer/import.c"

#include "tests/fuzz/fuzz.h"

static unsigned n_lines;

void ptimer_tell_mistake(void *ctx, const char *file, unsigned line, unsigned column, const char *what)
{
	(void)ctx;
	(void)file;
	assert(line >= 1);
	assert(line <= n_lines);
	assert(column >= 1);
	assert(*what);
}

static unsigned count_lines(const char *text, size_t size)
{
	unsigned n = 0;

	for (size_t i = 0; i < size; i++)
		n += text[i] == '\n' || i + 1 == size;
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct import im = { .file = "crontab" };
	char *text;

	if (size == 0)
		return 0;
	im.system = data[0] & 1;
	text = fuzz_text(data + 1, --size);
	if (!text)
		return 0;
	n_lines = count_lines(text, size);
	import_lines(&im, text, size);
	assert(!im.failed);
	assert(count_lines(im.out.data, im.out.len) == n_lines);
	if (im.out.len > 0)
		assert(read_back(&im) == 0);
	pcore_buf_done(&im.out);
	free(text);
	return 0;
}
