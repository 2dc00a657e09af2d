/* SPDX-License-Identifier: MIT */
/*
 * rows.h - what is printed of submissions, jobs and nodes: rows of tables, and JSON objects of a line each. 0, -ENOMEM. Pure.
 */
#ifndef PCORE_PSUBMIT_ROWS_H
#define PCORE_PSUBMIT_ROWS_H

#include "libcore/cluster/cluster.h"

int rows_submission_heading(struct pcore_buf *b);
int rows_submission(struct pcore_buf *b, const struct pcore_wire_submission *s);
int rows_submission_json(struct pcore_buf *b, const struct pcore_wire_submission *s);

/* name: "17.3". node may be empty. */
int rows_done_heading(struct pcore_buf *b);
int rows_done(struct pcore_buf *b, const char *name, const char *node, const struct pcore_wire_done *d);
int rows_done_json(struct pcore_buf *b, const char *name, const char *node, const struct pcore_wire_done *d);

/* Of one that has not ended; node may be NULL. */
int rows_state(struct pcore_buf *b, const char *name, const char *state, const char *node);
int rows_state_json(struct pcore_buf *b, const char *name, const char *state, const char *node);

/* What a node has done. */
struct rows_node {
	const char *name;
	uint32_t cpus; /* 0: not known */
	uint64_t jobs;
	int64_t job_ns;
	uint64_t sent, received;
};

int rows_node_heading(struct pcore_buf *b);
int rows_node(struct pcore_buf *b, const struct rows_node *n);
int rows_node_json(struct pcore_buf *b, const struct rows_node *n);

/* All together, and how much faster that is than one after the other. */
int rows_total(struct pcore_buf *b, int64_t job_ns, int64_t wall_ns);
int rows_total_json(struct pcore_buf *b, int64_t job_ns, int64_t wall_ns);

void rows_number(struct pcore_json *j, const char *key, uint64_t value);
void rows_time(struct pcore_json *j, const char *key, bool known, int64_t ns); /* realtime; null when it is not known */

#endif
