/* SPDX-License-Identifier: MIT */
/*
 * buf.h - a growable byte buffer with a limit.
 *
 * The buffer owns its memory. It never grows beyond max, it is never reallocated by anything but the functions
 * here, and a failed call leaves its contents as they were.
 */
#ifndef PCORE_BASE_BUF_H
#define PCORE_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

struct pcore_buf {
	char *data; /* NULL until something is put in */
	size_t len;
	size_t cap;
	size_t max; /* 0: no limit but memory */
};

#define PCORE_BUF_INIT(limit) ((struct pcore_buf){ .max = (limit) })

void pcore_buf_done(struct pcore_buf *b); /* frees the memory; NULL and a zeroed buffer are fine */

/* Make room for n more bytes. 0, -ENOBUFS over the limit, -ENOMEM. */
int pcore_buf_reserve(struct pcore_buf *b, size_t n);

/* Each appends all or nothing. 0, -ENOBUFS, -ENOMEM. */
int pcore_buf_add(struct pcore_buf *b, const void *data, size_t n);
int pcore_buf_addc(struct pcore_buf *b, char c);
int pcore_buf_adds(struct pcore_buf *b, const char *s);
int pcore_buf_addf(struct pcore_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int pcore_buf_vaddf(struct pcore_buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

/* A NUL after the contents (not counted in len). 0 or as above. */
int pcore_buf_terminate(struct pcore_buf *b);

/* Drop the first n bytes (n <= len). */
void pcore_buf_consume(struct pcore_buf *b, size_t n);

static inline void pcore_buf_clear(struct pcore_buf *b)
{
	b->len = 0;
}

#endif
