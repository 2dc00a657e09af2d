/* SPDX-License-Identifier: MIT */
/*
 * buf.c - a growable byte buffer with a limit.
 *
 * data has cap + 1 bytes: the last one is room for a NUL, so that printing and terminating never
 * fail for want of it in a buffer that is exactly full.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcore/base/buf.h"

enum { CAP_MIN = 64 };

void pcore_buf_done(struct pcore_buf *b)
{
	if (!b)
		return;
	free(b->data);
	*b = (struct pcore_buf){ .max = b->max };
}

static int grow(struct pcore_buf *b, size_t cap)
{
	char *data = realloc(b->data, cap + 1);

	if (!data)
		return -ENOMEM;
	b->data = data;
	b->cap = cap;
	return 0;
}

int pcore_buf_reserve(struct pcore_buf *b, size_t n)
{
	size_t limit = b->max && b->max < SIZE_MAX / 2 ? b->max : SIZE_MAX / 2;
	size_t cap = b->cap < CAP_MIN ? CAP_MIN : b->cap * 2;

	assert(b->len <= b->cap);

	if (b->len > limit || n > limit - b->len)
		return limit == b->max ? -ENOBUFS : -ENOMEM;
	if (b->data && n <= b->cap - b->len)
		return 0;
	if (cap < b->len + n)
		cap = b->len + n;
	if (cap > limit)
		cap = limit;
	return grow(b, cap);
}

int pcore_buf_add(struct pcore_buf *b, const void *data, size_t n)
{
	int r;

	if (n == 0)
		return 0;
	r = pcore_buf_reserve(b, n);
	if (r < 0)
		return r;

	memcpy(b->data + b->len, data, n);
	b->len += n;
	return 0;
}

int pcore_buf_addc(struct pcore_buf *b, char c)
{
	return pcore_buf_add(b, &c, 1);
}

int pcore_buf_adds(struct pcore_buf *b, const char *s)
{
	return pcore_buf_add(b, s, strlen(s));
}

int pcore_buf_vaddf(struct pcore_buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n, r;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		return -ENOMEM;
	r = pcore_buf_reserve(b, (size_t)n);
	if (r < 0)
		return r;

	vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	b->len += (size_t)n;
	return 0;
}

int pcore_buf_addf(struct pcore_buf *b, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = pcore_buf_vaddf(b, fmt, ap);
	va_end(ap);
	return r;
}

int pcore_buf_terminate(struct pcore_buf *b)
{
	int r = pcore_buf_reserve(b, 0);

	if (r < 0)
		return r;
	b->data[b->len] = '\0';
	return 0;
}

void pcore_buf_consume(struct pcore_buf *b, size_t n)
{
	assert(n <= b->len);

	if (n == 0)
		return;
	b->len -= n;
	memmove(b->data, b->data + n, b->len);
}
