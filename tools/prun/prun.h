/* SPDX-License-Identifier: MIT */
/*
 * prun.h - what prun is asked to do.
 */
#ifndef PCORE_PRUN_H
#define PCORE_PRUN_H

#include "tools/cli/jobopts.h"

/* Strings are borrowed from argv. */
struct prun_opts {
	struct cli_job_opts job;
	char **argv; /* the command */
	const char *in, *in_data, *out, *error;
	bool append;
	bool new_session, pid_namespace;
	const char *report;
};

/* Run it. The status to exit with; where the command died of a signal, this does too. */
int prun(struct prun_opts *opts);

#endif
