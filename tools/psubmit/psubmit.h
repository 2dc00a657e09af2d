/* SPDX-License-Identifier: MIT */
/*
 * psubmit.h - what psubmit is asked beyond what every map is.
 */
#ifndef PCORE_PSUBMIT_H
#define PCORE_PSUBMIT_H

#include "libcore/cluster/cluster.h"
#include "tools/map/map.h"

enum { PSUBMIT_PARTS_MAX = 32, PSUBMIT_NODES_MAX = 1024 };

/* Strings are borrowed from argv, or live as long as the program. */
struct psubmit_opts {
	const char *nodes[PSUBMIT_NODES_MAX];
	size_t n_nodes;
	bool local;
	uint64_t local_cpus; /* 0: as many as there are */
	struct pcore_sched_need needs[PSUBMIT_PARTS_MAX];
	size_t n_needs;
	struct pcore_sched_label labels[PSUBMIT_PARTS_MAX];
	size_t n_labels;
	uint64_t cpus, memory, max_output; /* 0: not given */
	const char *node;
	int32_t priority;
	bool at_most_once;
	uint64_t retry_lost;
	int64_t wait_nodes;
	const char *tls_cert, *tls_key, *tls_ca;
};

extern struct psubmit_opts psubmit_opts;
extern const struct cli_opt psubmit_table[];

int psubmit_check(struct map_opts *o);
int psubmit_executor(struct pcore_executor **ret, const struct map_remote *m);
void psubmit_over(void);
int psubmit_status(void);

#endif
