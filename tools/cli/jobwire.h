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
#include "tools/cli/template.h"

/* Fill in what the options say. dir has to stay as long as *ret is used. CLI_GO, or CLI_FAILURE after a message. */
int cli_jobspec(const struct cli_job_opts *o, bool here, char dir[static PATH_MAX], struct pcore_jobspec *ret);

/* Append the body of an ENV. 0, or as pcore_wire_put_env(). */
int cli_jobenv_put(struct pcore_buf *b, const struct cli_job_opts *o, bool here);

/* Append pieces to what becomes the argv of a TEMPLATE, whose jobs then have cli_template_arguments(). 0, -ENOMEM, or -EOPNOTSUPP as
 * cli_template_parts(): then pcore_argv_put_args(), and jobs have cli_template_expand(), which has no slot to put in. */
int cli_argv_put(struct pcore_buf *b, const struct cli_template *t, bool many);

/* The same for a command that stays, and has no arguments but its own. 0, -ENOMEM. */
int cli_argv_put_alone(struct pcore_buf *b, const struct cli_template *t);

#endif
