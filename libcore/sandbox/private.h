/* SPDX-License-Identifier: MIT */
/*
 * private.h - between the files of sandbox/.
 */
#ifndef PCORE_SANDBOX_PRIVATE_H
#define PCORE_SANDBOX_PRIVATE_H

#include "libcore/sandbox/sandbox.h"

/* caps.c: fill in the capability sets. new_user: the command has a user namespace of its own and
 * all of them there. */
int pcore_sandbox_set_caps(struct pcore_sandbox *b, const struct pcore_sandbox_spec *spec,
	bool new_user, struct pcore_err *err);

/* paths.c: fresh file systems, paths and the working directory. */
int pcore_sandbox_set_paths(
	struct pcore_sandbox *b, const struct pcore_sandbox_spec *spec, struct pcore_err *err);

/* landlock.c: make the rules of b's level and paths, and say what is allowed below each fresh file
 * system. */
int pcore_sandbox_set_landlock(struct pcore_sandbox *b, struct pcore_err *err);

#endif
