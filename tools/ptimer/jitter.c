/* SPDX-License-Identifier: MIT */
/*
 * jitter.c - by how much a tick is made later.
 */
#include "tools/ptimer/jitter.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "libcore/base/base.h"

/* splitmix64, by Steele, Lea and Flood */
static uint64_t mix(uint64_t v)
{
	v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
	return v ^ v >> 31;
}

static int64_t scale(uint64_t v, int64_t max)
{
	assert(max >= 0);

	return (int64_t)((unsigned __int128)v * ((uint64_t)max + 1) >> 64);
}

int64_t jitter_draw(uint64_t *random, int64_t max)
{
	*random += UINT64_C(0x9e3779b97f4a7c15);
	return scale(mix(*random), max);
}

/* FNV-1a, by Fowler, Noll and Vo, over the text and the NUL behind it */
static uint64_t hash(uint64_t h, const char *text)
{
	size_t len = strlen(text) + 1;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
	return h;
}

int64_t jitter_fixed(const char *machine, const char *timer, int64_t max)
{
	return scale(mix(hash(hash(UINT64_C(0xcbf29ce484222325), machine), timer)), max);
}

const char *jitter_machine(char buf[static JITTER_MACHINE_SIZE])
{
	ssize_t n = pcore_file_read(AT_FDCWD, "/etc/machine-id", buf, JITTER_MACHINE_SIZE);

	if (n > 0)
		buf[strcspn(buf, "\n")] = '\0';
	if (n > 0 && buf[0])
		return buf;
	buf[JITTER_MACHINE_SIZE - 1] = '\0';
	if (gethostname(buf, JITTER_MACHINE_SIZE - 1) < 0)
		buf[0] = '\0';
	return buf;
}
