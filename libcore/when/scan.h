/* SPDX-License-Identifier: MIT */
/*
 * scan.h - between the parsers of when/: a text that is read from the left, and where it went wrong.
 */
#ifndef PCORE_WHEN_SCAN_H
#define PCORE_WHEN_SCAN_H

#include "libcore/when/next.h"

struct scan {
	const char *text, *p;
	struct pcore_when_error *error; /* or NULL */
};

/* Say what is wrong at the place reached, or at `at'. Returns -EINVAL. */
int scan_fail(struct scan *s, const char *why);
int scan_fail_at(struct scan *s, const char *at, const char *why);

bool scan_char(struct scan *s, char c); /* take it if it is there */
bool scan_word(struct scan *s, const char *word);
bool scan_blanks(struct scan *s); /* false: there is none */

/* The next character begins a number? */
bool scan_at_digit(const struct scan *s);

/* A whole number of at most nine digits: 0, or -EINVAL without telling why. */
int scan_number(struct scan *s, int *ret);

/* "8", "8.5": seconds with up to nine decimals, as ns; without decimals also values beyond a minute. As scan_number(). */
int scan_seconds(struct scan *s, int64_t *ret_ns);

/* A name, whole or its first three letters, in any case: its index, or -EINVAL. No letter may follow. */
int scan_name(struct scan *s, const char *const *names, size_t n);
extern const char *const scan_weekdays[7]; /* Sunday first */
extern const char *const scan_months[12];

/* A field of whole numbers: what it may hold, and the words of its messages. */
struct scan_field {
	int min, max;
	const char *why;	  /* "the hour must be from 0 to 23" */
	const char *range;	  /* what stands between the ends of a range: ".." or "-" */
	const char *const *names; /* also taken for numbers: the first is min (weekdays: 0); or NULL */
	size_t n_names;
};

/* One value of the field. 0, or -EINVAL with the reason told. */
int scan_value(struct scan *s, const struct scan_field *f, int *ret);

/* "/N" if there is one: *ret_step, else 0. 0, or -EINVAL with the reason told. */
int scan_step(struct scan *s, const struct scan_field *f, int *ret_step);

/* One item of a list: a value, a range or a star, each with an optional step. Sets bits (of value - f->min, in words of 64);
 * *ret_every: it is `*' or `*' with a step, or begins at the least value with a step. 0, or -EINVAL with the reason told. */
int scan_item(struct scan *s, const struct scan_field *f, uint64_t *bits, bool *ret_every);

/* The items of a list that commas separate. *ret_every: there is just one, and it is such. */
int scan_list(struct scan *s, const struct scan_field *f, uint64_t *bits, bool *ret_every);

#endif
