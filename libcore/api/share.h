/* SPDX-License-Identifier: MIT */
/*
 * share.h - between queue.c, channel.c and lock.c.
 *
 * A mistake of the caller is -EINVAL here and never an assertion: the modules below take their callers for ours.
 */
#ifndef PCORE_API_SHARE_H
#define PCORE_API_SHARE_H

#include <string.h>

#include "libcore/base/base.h"

/* Take src, which begins with its size, as a struct of `size' bytes: what it does not have is zero. 0; -EINVAL without one or
 * when it is smaller than the size itself; -E2BIG when it says something that is not known here. */
static inline int share_in(void *dst, size_t size, const void *src)
{
	const char *bytes = src;
	size_t theirs;

	if (!src)
		return -EINVAL;
	memcpy(&theirs, src, sizeof(theirs));
	if (theirs < sizeof(theirs))
		return -EINVAL;
	for (size_t i = size; i < theirs; i++)
		if (bytes[i])
			return -E2BIG;
	memset(dst, 0, size);
	memcpy(dst, src, theirs < size ? theirs : size);
	return 0;
}

/* Give src to a caller whose struct is as large as its first member says. -EINVAL when that is less than `least'. Without src it
 * is only checked. */
static inline int share_out(void *dst, size_t least, const void *src, size_t size)
{
	size_t theirs, n;

	if (!dst)
		return -EINVAL;
	memcpy(&theirs, dst, sizeof(theirs));
	if (theirs < least)
		return -EINVAL;
	if (!src)
		return 0;
	n = theirs < size ? theirs : size;
	memcpy((char *)dst + sizeof(theirs), (const char *)src + sizeof(theirs), n - sizeof(theirs));
	memset((char *)dst + n, 0, theirs - n);
	return 0;
}

/* The deadline at which a time-out has passed. */
static inline int64_t share_deadline(int64_t timeout)
{
	return timeout <= 0 ? 0 : pcore_ns_add(pcore_now_ns(), timeout);
}

#endif
