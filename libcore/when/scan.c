/* SPDX-License-Identifier: MIT */
/*
 * scan.c - a text that is read from the left.
 */
#include "libcore/when/scan.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

const char *const scan_weekdays[7] = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday" };
const char *const scan_months[12] = { "January", "February", "March", "April", "May", "June", "July", "August", "September",
	"October", "November", "December" };

int scan_fail_at(struct scan *s, const char *at, const char *why)
{
	assert(at >= s->text);

	if (s->error)
		*s->error = (struct pcore_when_error){ (size_t)(at - s->text) + 1, why };
	return -EINVAL;
}

int scan_fail(struct scan *s, const char *why)
{
	return scan_fail_at(s, s->p, why);
}

bool scan_char(struct scan *s, char c)
{
	if (*s->p != c || !c)
		return false;
	s->p++;
	return true;
}

bool scan_word(struct scan *s, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(s->p, word, len) != 0)
		return false;
	s->p += len;
	return true;
}

bool scan_blanks(struct scan *s)
{
	size_t len = strspn(s->p, " \t");

	s->p += len;
	return len > 0;
}

bool scan_at_digit(const struct scan *s)
{
	return isdigit((unsigned char)*s->p);
}

int scan_number(struct scan *s, int *ret)
{
	const char *p = s->p;
	int v = 0;

	for (; isdigit((unsigned char)*p); p++) {
		if (p - s->p == 9)
			return -EINVAL;
		v = v * 10 + (*p - '0');
	}
	if (p == s->p)
		return -EINVAL;
	s->p = p;
	*ret = v;
	return 0;
}

int scan_seconds(struct scan *s, int64_t *ret_ns)
{
	int64_t unit = NS_PER_S, ns;
	int whole;

	if (scan_number(s, &whole) < 0)
		return -EINVAL;
	ns = whole * NS_PER_S;
	if (s->p[0] == '.' && isdigit((unsigned char)s->p[1])) {
		for (s->p++; isdigit((unsigned char)*s->p); s->p++) {
			unit /= 10;
			ns += (*s->p - '0') * unit;
		}
	}
	*ret_ns = ns;
	return 0;
}

int scan_name(struct scan *s, const char *const *names, size_t n)
{
	size_t len = 0;

	while (isalpha((unsigned char)s->p[len]))
		len++;
	for (size_t i = 0; i < n; i++) {
		if ((len == 3 || len == strlen(names[i])) && strncasecmp(s->p, names[i], len) == 0) {
			s->p += len;
			return (int)i;
		}
	}
	return -EINVAL;
}

/* A value, without a check of its bounds. */
static int any_value(struct scan *s, const struct scan_field *f, int *ret)
{
	int i = f->names ? scan_name(s, f->names, f->n_names) : -EINVAL;

	if (i < 0)
		return scan_number(s, ret);
	*ret = i + f->min;
	return 0;
}

int scan_value(struct scan *s, const struct scan_field *f, int *ret)
{
	const char *at = s->p;
	int v;

	if (any_value(s, f, &v) < 0 || v < f->min || v > f->max)
		return scan_fail_at(s, at, f->why);
	*ret = v;
	return 0;
}

int scan_step(struct scan *s, const struct scan_field *f, int *ret_step)
{
	const char *at;

	*ret_step = 0;
	if (!scan_char(s, '/'))
		return 0;
	at = s->p;
	if (scan_number(s, ret_step) < 0 || *ret_step == 0)
		return scan_fail_at(s, at, "a step must be a whole number from 1");
	if (*ret_step > f->max - f->min)
		return scan_fail_at(s, at, "the step is larger than the field");
	return 0;
}

int scan_item(struct scan *s, const struct scan_field *f, uint64_t *bits, bool *ret_every)
{
	int first = f->min, last = f->max, step;
	bool star = scan_char(s, '*'), range = false;
	const char *at = s->p;

	if (!star) {
		if (scan_value(s, f, &first) < 0)
			return -EINVAL;
		range = scan_word(s, f->range);
		if (range && scan_value(s, f, &last) < 0)
			return -EINVAL;
		/* Sunday is a week's last day as well, where the field has a number for that */
		if (range && f->names == scan_weekdays && last == 0 && f->max == 7)
			last = 7;
		if (range && last < first)
			return scan_fail_at(s, at, "a range must ascend");
	}
	if (scan_step(s, f, &step) < 0)
		return -EINVAL;
	if (!star && !range && step == 0)
		last = first;
	for (int v = first; v <= last; v += step ? step : 1)
		bits[(v - f->min) / 64] |= UINT64_C(1) << (v - f->min) % 64;
	*ret_every = star || (!range && step > 0 && first == f->min);
	return 0;
}

int scan_list(struct scan *s, const struct scan_field *f, uint64_t *bits, bool *ret_every)
{
	size_t n = 0;
	bool every;

	do {
		if (scan_item(s, f, bits, &every) < 0)
			return -EINVAL;
		n++;
	} while (scan_char(s, ','));
	*ret_every = every && n == 1;
	return 0;
}
