/* SPDX-License-Identifier: MIT */
/*
 * spec.h - jobs as messages: what a command would be run with here becomes a TEMPLATE and an ENV, and these and an assignment
 * become, on a node, what it is run with there. The same for how it ended.
 *
 *   client   struct pcore_jobspec -- pcore_jobspec_put() --> TEMPLATE          result <-- pcore_result_of_done() -- DONE
 *   node     TEMPLATE, ENV -- *_read() --> kept for many jobs; an assignment -- pcore_job_words() --> argv and envp
 *
 * What is not carried, because it means something here only: inherited descriptors and files, ignored signals, process groups,
 * a controlling terminal, the signal for the death of a parent. pcore_jobspec_put() asserts that none of it is asked for, except
 * keep_ignored, which is the node's own affair.
 */
#ifndef PCORE_CLUSTER_SPEC_H
#define PCORE_CLUSTER_SPEC_H

#include "libcore/cluster/scheduler.h"
#include "libcore/cluster/wire.h"
#include "libcore/pool/pool.h"
#include "libcore/proc/proc.h"
#include "libcore/sandbox/sandbox.h"

/* What the jobs of a template have in common. 0 stands for what the node has, or for no limit. */
struct pcore_jobspec {
	struct pcore_proc_spec proc; /* without argv and envp */
	struct pcore_proc_times times;
	struct pcore_sandbox_spec sandbox; /* size 0: none of it */
	bool want_io;
	bool best_effort; /* do without the four that follow where they cannot be had */
	uint64_t memory_max, tasks_max, cpu_max, io_weight;
	uint64_t max_output; /* UINT64_MAX: no limit */
	unsigned pipe_size;
	uint64_t cpus, memory; /* that a job needs */
	struct pcore_wire_list resources;
	struct pcore_wire_words labels; /* of its node: for a scheduler that serves many */
	const char *node;
	bool exclusive; /* nodes run nothing else meanwhile: for such a scheduler, too */
	const struct pcore_worker_spec *worker; /* its form to slow_after and pty; NULL: jobs are commands */
};

/* Append the body of a TEMPLATE. Paths have to be absolute. 0, or as pcore_wire_put_template(). */
int pcore_jobspec_put(struct pcore_buf *b, const struct pcore_jobspec *s, uint32_t env, const struct pcore_wire_argv *argv);

/* Append pieces for words that are the same for each job; with all_args, for a command that is all of the job's arguments. */
int pcore_argv_put(struct pcore_buf *b, char *const *words);
int pcore_argv_put_args(struct pcore_buf *b);

/* A template that was read, with a copy of all that it points to. Not to be moved. */
struct pcore_template {
	struct pcore_jobspec spec; /* proc and sandbox are ready but for argv, envp, fds and keep_ignored */
	struct pcore_worker_spec worker;
	struct pcore_wire_argv argv;
	uint32_t env;
	struct pcore_proc_limit limits[PCORE_PROC_LIMITS_MAX];
	cpu_set_t affinity;
	gid_t *groups;
	const char *ro[PCORE_SANDBOX_PATHS_MAX], *rw[PCORE_SANDBOX_PATHS_MAX];
	char *body;
};

/* 0, -EPROTO, -ENOMEM. */
int pcore_template_read(struct pcore_template *ret, const struct pcore_wire_frame *f);
void pcore_template_done(struct pcore_template *t); /* a zeroed one is fine */

/* What a job of a template needs, for a scheduler. Not to be moved; it points to the template's body. */
struct pcore_needs {
	struct pcore_sched_request request;
	struct pcore_sched_need needs[PCORE_SCHED_PARTS_MAX];
	struct pcore_sched_label labels[PCORE_SCHED_PARTS_MAX];
	char *text; /* of the labels */
};

/* 0, -EPROTO (a label that is none), -ENOMEM. */
int pcore_needs_read(struct pcore_needs *ret, const struct pcore_wire_template *t);
void pcore_needs_done(struct pcore_needs *n); /* a zeroed one is fine */

/* An environment that was read: as it is for all jobs, without a NULL at its end. */
struct pcore_jobenv {
	char **vars; /* in the block at body, or ours */
	size_t n;
	char *body;
};

/* ours: the node's own environment, which has to stay. 0, -EPROTO, -ENOMEM. */
int pcore_jobenv_read(struct pcore_jobenv *ret, const struct pcore_wire_frame *f, char *const *ours);
void pcore_jobenv_done(struct pcore_jobenv *e);

/* Where a job runs. */
struct pcore_job_place {
	unsigned slot;
	const char *node;
	char *const *vars; /* more variables, such as those of its resources; NULL: none */
};

struct pcore_job_words {
	char **argv, **envp; /* in one block */
};

/* The command and the environment of a job: free() argv. They point to the template, the environment, the assignment and the
 * place. 0, -ENOMEM; -EPROTO when the template takes more arguments than the job has. */
int pcore_job_words(struct pcore_job_words *ret, const struct pcore_template *t, const struct pcore_jobenv *e,
	const struct pcore_wire_assign *a, const struct pcore_job_place *where);

/* How a job ended: all but job, attempt, slot, method, memory_limit, I/O, bytes, sent and input, which others know. d points to r. */
void pcore_done_of_result(struct pcore_wire_done *d, const struct pcore_job_result *r);
void pcore_result_of_done(struct pcore_job_result *r, const struct pcore_wire_done *d);

#endif
