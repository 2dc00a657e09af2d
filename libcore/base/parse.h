/* SPDX-License-Identifier: MIT */
/*
 * parse.h - numbers, durations and sizes as users write them, checked whole.
 *
 * Every function takes the whole string: no leading or trailing blanks, no sign where none is said, decimal only.
 * 0 on success; -EINVAL for what is no such thing, -ERANGE for one that does not fit. *ret is written on success only.
 */
#ifndef PCORE_BASE_PARSE_H
#define PCORE_BASE_PARSE_H

#include <stdint.h>

int pcore_parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret);
int pcore_parse_i64(const char *s, int64_t min, int64_t max, int64_t *ret); /* a leading '-' is fine, '+' is not */

/* A number with decimals, plain notation ("1.5", "0.25", "2"): no exponent, no sign, no nan or inf. */
int pcore_parse_decimal(const char *s, double *ret);

/* "90", "1.5s", "200ms", "10us", "5ns", "2m", "3h", "1d", "1h30m" (units descend, decimals in the last part only);
 * a bare number is seconds; "inf" is INT64_MAX. */
int pcore_parse_duration(const char *s, int64_t *ret_ns);

/* Bytes, or with K M G T (powers of 1024; lower case too, an optional "iB" or "B" after the letter is not accepted).
 * "1.5G" is fine and rounds down. */
int pcore_parse_size(const char *s, uint64_t *ret);

#endif
