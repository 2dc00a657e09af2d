/* SPDX-License-Identifier: MIT */
/*
 * command.h - can a command be run? Asked before there is anything to run it for.
 */
#ifndef PCORE_CLI_COMMAND_H
#define PCORE_CLI_COMMAND_H

#include "libcore/base/base.h"

/* Look a command up as exec will: name with a slash as it is (from dir, if that is given), else in the PATH of env.
 * 0 with *ret_path the file if its path is absolute (malloc'd) or NULL; -errno with err filled in as for an exec. */
int cli_command_find(const char *name, const char *dir, char *const *env, char **ret_path, struct pcore_err *err);

#endif
