/* SPDX-License-Identifier: MIT */
/*
 * parse.c - numbers, durations and sizes as users write them.
 *
 * Everything is cut from the front of the string by cut_digits() and cut_number(); the functions
 * that are called check that nothing is left. A number too large is read to its end first, so that
 * junk behind it is still -EINVAL.
 */
#include <errno.h>
#include <string.h>

#include "libcore/base/parse.h"
#include "libcore/base/util.h"

/* whole + frac / scale. */
struct number {
	uint64_t whole;
	uint64_t frac, scale;
	bool overflow;
};

enum { FRAC_DIGITS_MAX = 18 }; /* further ones are read and dropped */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Sets *overflow when the number does not fit. 0, or -EINVAL without a digit. */
static int cut_digits(const char **s, uint64_t *ret, bool *overflow)
{
	const char *p = *s;
	uint64_t v = 0;

	if (!is_digit(*p))
		return -EINVAL;
	for (; is_digit(*p); p++)
		if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
			__builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			*overflow = true;
	*s = p;
	*ret = v;
	return 0;
}

/* "2", "1.5", ".5" */
static int cut_number(const char **s, struct number *ret)
{
	struct number n = { .scale = 1 };
	const char *p = *s;

	if (*p != '.' && cut_digits(&p, &n.whole, &n.overflow) < 0)
		return -EINVAL;
	if (*p == '.') {
		p++;
		if (!is_digit(*p))
			return -EINVAL;
		for (int i = 0; is_digit(*p); p++, i++) {
			if (i >= FRAC_DIGITS_MAX)
				continue;
			n.frac = n.frac * 10 + (uint64_t)(*p - '0');
			n.scale *= 10;
		}
	}
	*s = p;
	*ret = n;
	return 0;
}

int pcore_parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
	bool overflow = false;
	uint64_t v;

	if (cut_digits(&s, &v, &overflow) < 0 || *s != '\0')
		return -EINVAL;
	if (overflow || v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

int pcore_parse_i64(const char *s, int64_t min, int64_t max, int64_t *ret)
{
	bool negative = *s == '-';
	uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : INT64_MAX;
	uint64_t magnitude;
	int64_t v;
	int r;

	r = pcore_parse_u64(s + negative, 0, limit, &magnitude);
	if (r < 0)
		return r;

	v = (int64_t)(negative ? 0 - magnitude : magnitude);
	if (v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

int pcore_parse_decimal(const char *s, double *ret)
{
	struct number n;

	if (cut_number(&s, &n) < 0 || *s != '\0')
		return -EINVAL;
	if (n.overflow)
		return -ERANGE;
	*ret = (double)n.whole + (double)n.frac / (double)n.scale;
	return 0;
}

/* *ret is n * unit rounded down; true when that lost something. */
static bool scaled(const struct number *n, uint64_t unit, unsigned __int128 *ret)
{
	unsigned __int128 frac = (unsigned __int128)n->frac * unit;

	*ret = (unsigned __int128)n->whole * unit + frac / n->scale;
	return frac % n->scale != 0;
}

static const struct {
	char name[4];
	int64_t ns;
} units[] = {
	{ "d", 86400 * NS_PER_S },
	{ "h", 3600 * NS_PER_S },
	{ "m", 60 * NS_PER_S },
	{ "s", NS_PER_S },
	{ "ms", NS_PER_MS },
	{ "us", NS_PER_US },
	{ "ns", 1 },
};

enum { UNIT_SECONDS = 3 };

/* The unit's index, or -EINVAL. */
static int cut_unit(const char **s)
{
	size_t len = strspn(*s, "dhmnsu");

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strlen(units[i].name) != len || memcmp(units[i].name, *s, len) != 0)
			continue;
		*s += len;
		return (int)i;
	}
	return -EINVAL;
}

int pcore_parse_duration(const char *s, int64_t *ret_ns)
{
	unsigned __int128 total = 0, part;
	bool overflow = false;
	int last = -1;

	if (strcmp(s, "inf") == 0) {
		*ret_ns = INT64_MAX;
		return 0;
	}
	do {
		struct number n;
		if (cut_number(&s, &n) < 0)
			return -EINVAL;

		bool bare = last < 0 && *s == '\0';
		int unit = bare ? UNIT_SECONDS : cut_unit(&s);
		if (unit <= last || (n.scale > 1 && *s != '\0'))
			return -EINVAL;

		/* Rounded up, because a limit of almost nothing must not become 0, which is no
		 * limit. */
		if (scaled(&n, (uint64_t)units[unit].ns, &part))
			part++;
		total += part;
		overflow = overflow || n.overflow || total > INT64_MAX;
		last = unit;
	} while (*s != '\0');

	if (overflow)
		return -ERANGE;
	*ret_ns = (int64_t)total;
	return 0;
}

int pcore_parse_size(const char *s, uint64_t *ret)
{
	static const char letters[] = "KMGTkmgt";
	const char *letter;
	unsigned __int128 v;
	unsigned shift = 0;
	struct number n;

	if (cut_number(&s, &n) < 0)
		return -EINVAL;
	letter = *s != '\0' ? strchr(letters, *s) : NULL;
	if (letter) {
		shift = (unsigned)((letter - letters) % 4 + 1) * 10;
		s++;
	} else if (n.scale > 1) {
		return -EINVAL;
	}
	if (*s != '\0')
		return -EINVAL;

	scaled(&n, UINT64_C(1) << shift, &v);
	if (n.overflow || v > UINT64_MAX)
		return -ERANGE;
	*ret = (uint64_t)v;
	return 0;
}
