/* SPDX-License-Identifier: MIT */
/*
 * job.h - which jobs are meant, and what became of one, in the words of the command line.
 */
#ifndef PCORE_PSUBMIT_JOB_H
#define PCORE_PSUBMIT_JOB_H

#include "libcore/cluster/cluster.h"

/* `17', `17.3' or `17.3-9'. */
struct job_id {
	const char *word;
	uint64_t submission, from, to; /* to may be PCORE_WIRE_TO_END */
};

/* Words that end with NULL. CLI_GO with a malloc'd array, or a status after a message. */
int job_ids_parse(char *const *words, struct job_id **ret, size_t *ret_n);

/* "17.3", or "17" for all of it. */
enum { JOB_NAME_MAX = 48 };
char *job_name(char buf[static JOB_NAME_MAX], const struct job_id *id, uint64_t seq);

/* Its status for a shell; with a message when it could not be run, was lost, or was cancelled before it ran. */
int job_status(const struct pcore_wire_done *d, const char *name);

/* "done", "failed", "cancelled" or "lost". */
const char *job_state(const struct pcore_wire_done *d);

#endif
