/* SPDX-License-Identifier: MIT */
/*
 * answers.c - where one answer of a worker ends and the next begins.
 */
#include "libcore/pool/answers.h"

#include <string.h>

static void begin_next(struct pcore_answers *a)
{
	*a = (struct pcore_answers){ .form = a->form, .last_status = a->status };
}

static size_t feed_lines(struct pcore_answers *a, const char *data, size_t len, pcore_answer_emit *emit, void *ctx, bool *end)
{
	const char *p = data, *nl;

	while (a->lines < a->form.n_lines && (nl = memchr(p, '\n', len - (size_t)(p - data)))) {
		a->lines++;
		p = nl + 1;
	}
	*end = a->lines == a->form.n_lines;
	if (*end)
		len = (size_t)(p - data);
	emit(ctx, data, len);
	return len;
}

/* One line, or what there is of it. Bytes that may be the end's text are held back; they need no copy, being the same. */
static size_t feed_line(struct pcore_answers *a, const char *data, size_t len, pcore_answer_emit *emit, void *ctx, bool *end)
{
	const char *nl = memchr(data, '\n', len);
	size_t text = nl ? (size_t)(nl - data) : len;

	if (!a->differs && text <= a->form.len - a->matched && memcmp(data, a->form.text + a->matched, text) == 0) {
		a->matched += text;
		if (!nl)
			return len;
		*end = a->matched == a->form.len;
		if (*end)
			return text + 1;
		emit(ctx, a->form.text, a->matched); /* a line that is only a beginning of the text */
		emit(ctx, nl, 1);
		a->matched = 0;
		return text + 1;
	}
	if (a->matched > 0)
		emit(ctx, a->form.text, a->matched);
	a->matched = 0;
	a->differs = !nl;
	len = nl ? text + 1 : len;
	emit(ctx, data, len);
	return len;
}

static size_t feed_until(struct pcore_answers *a, const char *data, size_t len, pcore_answer_emit *emit, void *ctx, bool *end)
{
	size_t used = 0;

	while (used < len && !*end)
		used += feed_line(a, data + used, len - used, emit, ctx, end);
	return used;
}

static size_t feed_frame(struct pcore_answers *a, const char *data, size_t len, pcore_answer_emit *emit, void *ctx, bool *end)
{
	size_t used = 0, n;

	while (a->n_head < 4 && used < len) {
		a->left = a->left << 8 | (unsigned char)data[used++];
		a->n_head++;
	}
	if (a->form.keep_length && used > 0)
		emit(ctx, data, used);
	if (a->n_head < 4)
		return used;
	if (a->form.status && !a->has_status && a->left > 0 && used < len) {
		a->status = (unsigned char)data[used++];
		a->has_status = true;
		a->left--;
	}
	n = a->left < len - used ? a->left : len - used;
	if (n > 0)
		emit(ctx, data + used, n);
	a->left -= (uint32_t)n;
	*end = a->left == 0;
	return used + n;
}

size_t pcore_answers_feed(struct pcore_answers *a, const char *data, size_t len, pcore_answer_emit *emit, void *ctx, bool *ret_end)
{
	size_t used = 0;

	assert(len > 0);

	*ret_end = false;
	a->begun = true;
	switch (a->form.kind) {
	case PCORE_ANSWER_LINES:
		used = feed_lines(a, data, len, emit, ctx, ret_end);
		break;
	case PCORE_ANSWER_UNTIL:
		used = feed_until(a, data, len, emit, ctx, ret_end);
		break;
	case PCORE_ANSWER_FRAMES:
		used = feed_frame(a, data, len, emit, ctx, ret_end);
		break;
	}
	if (*ret_end)
		begin_next(a);
	return used;
}
