/* SPDX-License-Identifier: MIT */
/*
 * psubmit.h - what psubmit is asked beyond what every map is.
 */
#ifndef PCORE_PSUBMIT_H
#define PCORE_PSUBMIT_H

#include "libcore/cluster/cluster.h"
#include "tools/cli/addrs.h"
#include "tools/map/map.h"

enum { PSUBMIT_PARTS_MAX = 32, PSUBMIT_NODES_MAX = 1024 };

/* Strings are borrowed from argv, or live as long as the program. */
struct psubmit_opts {
	struct cli_addrs nodes;
	bool local;
	uint64_t local_cpus; /* 0: as many as there are */
	struct pcore_sched_need needs[PSUBMIT_PARTS_MAX];
	size_t n_needs;
	struct pcore_sched_label labels[PSUBMIT_PARTS_MAX];
	size_t n_labels;
	uint64_t cpus, memory, max_output; /* 0: not given */
	const char *node;
	int32_t priority;
	bool at_most_once, exclusive, stats;
	uint64_t retry_lost;
	int64_t wait_nodes;
	const char *scheduler; /* its address, or NULL */
	const char *tls_cert, *tls_key, *tls_ca;
};

extern struct psubmit_opts psubmit_opts;
extern const struct cli_opt psubmit_table[];

/* How the scheduler, or nodes, are reached; and what a job needs. */
extern const struct cli_opt psubmit_tie_table[], psubmit_need_table[];

/* What goes together, and PCORE_SCHEDULER. CLI_GO, or a status after a message. */
int psubmit_check_tie(void);

/* ---- net.c ---- */

/* Keys, where they are needed and no certificate is there. CLI_GO, or a status after a message. */
int psubmit_load_keys(void);
bool psubmit_have_keys(void); /* or a certificate */
void psubmit_free_keys(void);
int psubmit_net(struct pcore_net **ret, struct pcore_loop *lp, enum pcore_net_role role, bool with_keys);

struct psubmit_addrs {
	struct pcore_net_addr addrs[PCORE_ASK_ADDRS];
	size_t n;
};

/* The scheduler's; with NULL only whether it is one. CLI_GO, or a status after a message. */
int psubmit_scheduler(struct psubmit_addrs *ret);

/* ---- cluster.c ---- */

/* Append the body of a TEMPLATE with what the options say that a job needs. */
int psubmit_put_template(struct pcore_buf *b, struct pcore_jobspec *jobs, uint32_t env, const struct pcore_wire_argv *argv);
int psubmit_check(struct map_opts *o);
int psubmit_executor(struct pcore_executor **ret, const struct map_remote *m);
void psubmit_ended(struct pcore_executor *ex);

/* Of the executor, which for workers behind a scheduler is not that of their jobs. */
unsigned psubmit_running(const struct pcore_executor *ex);
unsigned psubmit_cpus(const struct pcore_executor *ex);
void psubmit_resume_errors(struct pcore_executor *ex, unsigned worker);
void psubmit_over(void);
int psubmit_status(void);

#endif
