/* SPDX-License-Identifier: MIT */
/*
 * sized.h - structs of callers who may be older or younger than we are: their first member is a size_t with their size, as they
 * know them (as clone_args of clone3(2)).
 */
#ifndef PCORE_BASE_SIZED_H
#define PCORE_BASE_SIZED_H

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* Take src, which the caller has filled in, as a struct of size bytes, which then says so: what it does not have is zero. 0;
 * -EINVAL for none, or without a size; -E2BIG when it says something that is not known here. */
static inline int pcore_sized_in(void *dst, size_t size, const void *src)
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
	memcpy(dst, &size, sizeof(size));
	return 0;
}

/* Give what src (of size bytes) says to a caller whose struct is as large as its first member says. 0, or -EINVAL for none, or
 * when that is less than the least there ever was. Without src this is only looked at. */
static inline int pcore_sized_out(void *dst, size_t least, const void *src, size_t size)
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

#endif
