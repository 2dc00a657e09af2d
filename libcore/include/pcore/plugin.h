/* SPDX-License-Identifier: MIT */
/*
 * plugin.h - what a C function that is called for an item sees: the item's bytes, and where its result goes.
 *
 *   int f(const void *item, size_t size, struct pcore_out *out);
 *
 * 0 is success; anything else is a failure, and 1 to 255 its status. The item and out are there until f returns. f may be called
 * by several threads at once. A shared object that holds such functions needs no library for this.
 */
#ifndef PCORE_PLUGIN_H
#define PCORE_PLUGIN_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Made by the caller of the function, which may read more behind it. */
struct pcore_out {
	size_t size; /* of this struct, at least */
	int (*write)(struct pcore_out *out, const void *data, size_t size);
};

/* Append to the item's result. 0, -ENOMEM, -EMSGSIZE: too much altogether (the item then fails in any case). */
static inline int pcore_out_write(struct pcore_out *out, const void *data, size_t size)
{
	return out->write(out, data, size);
}

/* The same as printf() has it, for up to 1023 bytes. -7 (E2BIG): it would be more. */
static inline int
#ifdef __GNUC__
	__attribute__((format(printf, 2, 3), unused))
#endif
	pcore_out_printf(struct pcore_out *out, const char *format, ...)
{
	char text[1024];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text))
		return -7;
	return pcore_out_write(out, text, (size_t)n);
}

#ifdef __cplusplus
}
#endif

#endif
