/* SPDX-License-Identifier: MIT */
/*
 * jobwire.h - the options that say how a command is run, for commands that are run by a node.
 *
 * here: the node is our own, on this machine. Its jobs begin where a local command would: in our directory, with our umask and our
 * environment. Elsewhere only what the options name is carried over.
 */
#ifndef PCORE_CLI_JOBWIRE_H
#define PCORE_CLI_JOBWIRE_H

#include <limits.h>

#include "libcore/cluster/cluster.h"
#include "tools/cli/jobopts.h"

/* Fill in what the options say. dir has to stay as long as *ret is used. CLI_GO, or CLI_FAILURE after a message. */
int cli_jobspec(const struct cli_job_opts *o, bool here, char dir[static PATH_MAX], struct pcore_jobspec *ret);

/* Append the body of an ENV. 0, or as pcore_wire_put_env(). */
int cli_jobenv_put(struct pcore_buf *b, const struct cli_job_opts *o, bool here);

#endif
