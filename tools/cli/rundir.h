/* SPDX-License-Identifier: MIT */
/*
 * rundir.h - the runtime directory: where locks, background processes and pools of one user live. CLI.md's rules.
 */
#ifndef PCORE_CLI_RUNDIR_H
#define PCORE_CLI_RUNDIR_H

#include "libcore/base/base.h"

/* Is s a NAME: [A-Za-z0-9][A-Za-z0-9._-]{0,63}? */
bool cli_is_name(const char *s);

/* Open the directory `sub' of the runtime directory (made 0700 where it is missing, both checked: ours, and closed to
 * others). The descriptor or -errno, after a message. */
int cli_rundir_open(const char *sub);

/* Where it is, for messages. */
const char *cli_rundir_path(void);

#endif
