/* SPDX-License-Identifier: MIT */
/*
 * command.h - can a command be run? Asked before there is anything to run it for.
 */
#ifndef PCORE_CLI_COMMAND_H
#define PCORE_CLI_COMMAND_H

#include <sys/resource.h>

#include "libcore/base/base.h"

/* Look a command up as exec will: name with a slash as it is (from dir, if that is given), else in the PATH of env.
 * 0 with *ret_path the file if its path is absolute (malloc'd) or NULL; -errno with err filled in as for an exec. */
int cli_command_find(const char *name, const char *dir, char *const *env, char **ret_path, struct pcore_err *err);

/* How many bytes an exec grants the argument vector, pointers and NULs included, when the new program has this limit on
 * its stack and n_env variables of env_bytes (with their NULs). A little is kept back for what a script adds, its
 * interpreter and its own name, which is file or, where that is NULL, may be of any length. */
size_t cli_command_room(rlim_t stack, size_t n_env, size_t env_bytes, const char *file);

/* The longest string in it, with its NUL. */
size_t cli_command_string_max(void);

#endif
