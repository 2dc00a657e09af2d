/* SPDX-License-Identifier: MIT */
/*
 * fault.h - the fault seam: in test builds the Nth operation of a kind fails or comes back short.
 *
 * PCORE_FAULT="write:3:ENOSPC,fsync:1:EIO,write:2:short=7,spawn:1+:EAGAIN": kind, which one (from 1; "N+" is the Nth
 * and all after it), and an errno name or short=BYTES. Without -DPCORE_FAULTS the functions compile to nothing and
 * the variable is not read. Not thread-safe: the loop's thread only.
 */
#ifndef PCORE_BASE_FAULT_H
#define PCORE_BASE_FAULT_H

#include <stddef.h>

#ifdef PCORE_FAULTS
/* Count one operation of kind. 0: go on; < 0: fail with this errno; *len (may be NULL) is lowered for a short one. */
int pcore_fault(const char *kind, size_t *len);
/* Read the specification again (tests set it themselves); NULL takes it from the environment. 0 or -EINVAL. */
int pcore_fault_set(const char *spec);
#else
static inline int pcore_fault(const char *kind, size_t *len)
{
	(void)kind;
	(void)len;
	return 0;
}
#endif

#endif
