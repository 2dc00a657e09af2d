/* SPDX-License-Identifier: MIT */
/*
 * text.h - names of signals and errors, and foreign bytes made safe to print.
 */
#ifndef PCORE_BASE_TEXT_H
#define PCORE_BASE_TEXT_H

#include <stddef.h>

enum { PCORE_SIGNAL_NAME_MAX = 16 };

/* "SIGTERM", "SIGRTMIN+1"; for a number that is no signal "SIG<n>". Returns buf. */
char *pcore_signal_name(int sig, char buf[static PCORE_SIGNAL_NAME_MAX]);

/* "TERM", "SIGTERM", "term", "15", "RTMIN+1", "RTMAX-2". The signal's number, or -EINVAL. 0 is no signal. */
int pcore_signal_parse(const char *s);

/* Copy len bytes of src as text that cannot drive a terminal or break a line: newline, tab and carriage return as
 * \n \t \r, a backslash as \\, every other control character (0x7f too) as \xHH. Bytes from 0x80 on pass. Ends with a NUL; what does not fit in size is cut at a whole escape. Returns the length written. */
size_t pcore_escape(char *dst, size_t size, const void *src, size_t len);

#endif
