/* SPDX-License-Identifier: MIT */
/*
 * error.h - what went wrong, where the number alone would lose the story.
 *
 * Functions return 0 (or a count) or a negative errno. Those that start a process also say at which step it failed and with
 * what. Every struct that a caller fills in begins with its size, so that programs and libraries of different ages
 * understand each other: members that an old program does not know have their defaults (zero), and what an old library does
 * not know must be zero (-E2BIG).
 */
#ifndef PCORE_INCLUDE_ERROR_H
#define PCORE_INCLUDE_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* Filled in on failure only. It holds nothing to be freed. */
struct pcore_error {
	int code;	   /* a negative errno */
	const char *step;  /* "open", "chdir", "rlimit", "user", "exec", ...; "" when there is no step to name */
	char subject[256]; /* the path, command or number it was about, or "" */
};

/* "chdir '/none': No such file or directory": cut to fit, control characters escaped. Returns buf. */
const char *pcore_error_text(const struct pcore_error *error, char *buf, unsigned long size);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
