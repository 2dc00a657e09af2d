/* SPDX-License-Identifier: MIT */
/*
 * table.c - any text as a timer table. Includes are mistakes here.
 */
#include "tests/fuzz/fuzz.h"
#include "tools/ptimer/table.h"

struct seen {
	const uint8_t *data;
	size_t size;
	int mistakes;
};

/* A mistake is at a place in the text, or just behind it. */
static void tell(void *ctx, const char *file, unsigned line, unsigned column, const char *what)
{
	struct seen *seen = ctx;
	const uint8_t *p = seen->data, *end = p + seen->size;

	assert(strcmp(file, "table") == 0);
	assert(*what);
	assert(line >= 1);
	for (unsigned i = 1; i < line; i++) {
		p = memchr(p, '\n', (size_t)(end - p));
		assert(p);
		p++;
	}
	assert(column >= 1);
	assert(column - 1 <= (size_t)(end - p));
	assert(!memchr(p, '\n', column - 1));
	seen->mistakes++;
}

/* The same words in a table's spelling. */
static void spell(struct pcore_buf *b, const struct ptimer_timer *t)
{
	(void)pcore_buf_adds(b, t->name);
	(void)pcore_buf_adds(b, ":");
	for (char **w = t->words + 1; *w; w++) {
		(void)pcore_buf_adds(b, " ");
		(void)ptimer_table_quote(b, *w);
	}
	(void)pcore_buf_adds(b, "\n");
}

/* What is written as it was read is read as it was. */
static void read_again(const struct ptimer_table *t, struct ptimer_zones *zones)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct ptimer_table again = { 0 };
	struct seen seen = { 0 };

	for (size_t i = 0; i < t->n; i++)
		spell(&b, t->timers[i]);
	seen.data = (const uint8_t *)b.data;
	seen.size = b.len;
	if (b.len > 0)
		assert(ptimer_table_parse(&again, "table", b.data, b.len, zones, tell, &seen) == 0);
	assert(again.n == t->n);
	for (size_t i = 0; i < t->n; i++)
		assert(ptimer_timer_equal(t->timers[i], again.timers[i]));
	ptimer_table_done(&again);
	pcore_buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct seen seen = { .data = data, .size = size };
	struct ptimer_zones zones = { 0 };
	struct ptimer_table t = { 0 };
	int r;

	if (!text)
		return 0;
	r = ptimer_table_parse(&t, "table", text, size, &zones, tell, &seen);
	assert(r == -ENOMEM || r == seen.mistakes);
	read_again(&t, &zones);
	for (size_t i = 0; i < t.n; i++)
		assert(ptimer_table_find(&t, t.timers[i]->name) == t.timers[i]);
	ptimer_table_done(&t);
	ptimer_zones_done(&zones);
	free(text);
	return 0;
}
