/* SPDX-License-Identifier: MIT */
/*
 * sim.h - the scheduler in a simulated cluster, in virtual time, from a seed.
 *
 *   plan.c    what happens from outside, made from the seed: submits, cancels, faults; and the shortest story of a failure
 *   node.c    nodes: they run jobs, answer, crash, hang, come back with old results
 *   link.c    connections, whose messages take time, and are lost when it is cut
 *   host.c    the scheduler with its journal: it restarts, and loses what was not durable
 *   memory.c  allocations that fail
 *   oracle.c  what must hold, whatever happens
 *   sim.c     the events, one after the other
 *
 * A plan is a list of steps, so that a failing one can be made shorter by leaving steps out. All that is not in the plan (how long
 * a message takes) comes from generators of their own, one for each kind of thing, so that a plan without a step stays much
 * the same.
 */
#ifndef PCORE_TEST_SIM_H
#define PCORE_TEST_SIM_H

#include <stdio.h>
#include <string.h>

#include "libcore/cluster/scheduler.h"

enum {
	SIM_NODES = 6,
	SIM_CLIENTS = 4,
	SIM_STEPS = 80,
	SIM_KINDS = 7, /* of requests */
	SIM_IDS = 8,
};

enum step_kind {
	STEP_SUBMIT,
	STEP_CANCEL,
	STEP_CLIENT_GONE,
	STEP_CLIENT_BACK,
	STEP_CPUS,
	STEP_DRAIN,
	STEP_EVICT,
	STEP_OPEN,
	STEP_STOP,  /* the scheduler: nothing begins for a while */
	STEP_CLOSE, /* it takes no jobs for a while, and when it has none it ends, and is started again */
	STEP_STOP_NODE,
	STEP_CUT,
	STEP_HANG,
	STEP_CRASH,
	STEP_RESTART, /* of the scheduler */
};

struct step {
	int64_t at_ns;
	enum step_kind kind;
	unsigned who;	      /* client or node */
	unsigned what, count; /* see plan.c */
	int64_t for_ns;
};

struct plan {
	uint64_t seed;
	unsigned n_nodes, n_clients;
	bool persist, fair_only, memory_fails;
	int64_t commit_ns; /* how long one may take */
	enum pcore_sched_policy policy;
	unsigned exclusive; /* a bit for each client that has the nodes for itself */
	size_t n_steps;
	struct step steps[SIM_STEPS];
};

void plan_make(struct plan *p, uint64_t seed);
void plan_print(const struct plan *p, FILE *out);
/* Leave out what is not needed for the same failure. */
void plan_shrink(struct plan *p, const char *failure);

/* Run it. True: all held; else `failure` says what did not. With a trace, what happens goes there. */
enum { SIM_FAILURE = 256 };
bool sim_run(const struct plan *p, FILE *trace, char failure[SIM_FAILURE]);

/* ---- inside ---- */

struct sim;

enum message_kind { SAY_STARTED, SAY_DONE, SAY_RETRACTED, SAY_CPUS, TELL_ACTION };

struct sim_job {
	uint64_t id;
	uint32_t attempt, index, cpus;
	uint64_t kind; /* of request, from the cookie */
	enum { SIM_WAITS, SIM_RUNS, SIM_FINISHED } state;
	bool ahead, success, cancelled;
	uint64_t run; /* of the oracle */
	int64_t wall_ns;
	uint16_t ids[SIM_IDS], n_ids;
};

struct message {
	enum message_kind kind;
	struct pcore_sched_action action;
	uint16_t ids[SIM_IDS];
	uint64_t job;
	uint32_t attempt;
	bool yes;
	struct pcore_sched_result result;
};

/* An event to come; it belongs to a node's life or connection, and is dropped when that is over. */
enum event_kind {
	EV_STEP,
	EV_MESSAGE_UP,	 /* to the scheduler */
	EV_MESSAGE_DOWN, /* to the node */
	EV_JOIN,	 /* the node connects */
	EV_JOINED,	 /* the scheduler hears it */
	EV_NOTICED,	 /* the scheduler sees that a connection is lost */
	EV_END,		 /* a job on a node */
	EV_BACK,	 /* a node starts again */
	EV_COMMIT,
	EV_RESTARTED,
	EV_RESUBMIT,
	EV_START,	 /* who: a node that was stopped, or SIM_NODES: the scheduler */
	EV_SETTLED,	 /* no more faults */
};

struct event {
	struct pcore_heap_node at;
	enum event_kind kind;
	unsigned who;
	uint64_t life, connection;
	uint64_t job;
	uint32_t attempt;
	const struct step *step;
	struct message message;
	struct pcore_sched_claim *claims;
	uint16_t *claim_ids;
	size_t n_claims;
};

struct sim_node {
	uint64_t life;	     /* its instance; another one each time it starts */
	bool alive;
	bool stopped;	     /* it begins nothing */
	bool draining;	     /* it is to be sent nothing */
	uint64_t connection; /* as it sees it; 0: none */
	uint64_t heard;	     /* the connection that the scheduler has with it, and */
	uint64_t handle;     /* its name for it */
	int64_t hung_until;
	uint32_t cpus, cpus_max;
	struct sim_job *jobs;
	size_t n_jobs, jobs_cap;
	int64_t last_up, last_down; /* when the last message of each direction arrives */
	uint64_t random;
};

struct sim_client {
	uint64_t id;
	bool private, exclusive, present, full;
	uint32_t weight;
	size_t chunk; /* of the journal that has to be kept for its id to count */
};

/* What was written since the last commit, and what may be told only then. */
struct chunk {
	size_t records_end; /* in the journal */
	size_t news_end;    /* in told */
};

struct held_action {
	unsigned node;
	uint64_t connection;
	struct message message;
	uint64_t chunk; /* when it may go */
};

struct sim {
	const struct plan *plan;
	FILE *trace;
	char *failure;
	bool failed, settled, down;
	bool stopped, closed; /* the scheduler */
	int64_t now;
	uint64_t connections, random_host, random_memory;
	struct pcore_heap events;
	struct pcore_sched *sched;
	struct sim_node nodes[SIM_NODES];
	struct sim_client clients[SIM_CLIENTS];

	/* the journal: all records; durable ones up to chunk n_durable */
	struct pcore_buf journal;
	struct chunk *chunks;
	size_t n_chunks, n_durable, chunks_cap;
	struct pcore_sched_news *told;
	size_t n_told, told_cap, n_delivered;
	struct held_action *held;
	size_t n_held, held_cap;
	bool commit_planned;

	struct oracle *oracle;
};

/* sim.c */
void sim_fail(struct sim *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sim_trace(struct sim *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct event *sim_event(struct sim *w, int64_t at_ns, enum event_kind kind, unsigned who);
unsigned sim_draw(uint64_t *state, unsigned n); /* from 0 to n - 1 */
void *sim_grow(void *array, size_t *cap, size_t n, size_t size);

/* plan.c: the requests there are, and what a submit step stands for */
void plan_request(unsigned kind, struct pcore_sched_request *ret);
void plan_jobs(const struct step *step, uint64_t cookie, struct pcore_sched_jobs *ret);
void plan_node(const struct plan *p, unsigned i, struct pcore_sched_node *ret);
int64_t plan_duration(const struct step *step, uint64_t *random);
unsigned plan_kind(const struct step *step);

/* node.c */
void node_start(struct sim *w, unsigned i);
void node_crash(struct sim *w, unsigned i, int64_t for_ns);
void node_hear(struct sim *w, unsigned i, const struct message *m);
void node_end(struct sim *w, unsigned i, uint64_t job, uint32_t attempt);
void node_set_cpus(struct sim *w, unsigned i, uint32_t cpus);
void node_stop(struct sim *w, unsigned i, bool stop);
void node_join(struct sim *w, unsigned i);
void node_cut(struct sim *w, unsigned i, int64_t for_ns);

/* link.c */
void link_up(struct sim *w, unsigned i, const struct message *m);
void link_down(struct sim *w, unsigned i, const struct message *m);

/* host.c */
void host_start(struct sim *w);
void host_done(struct sim *w);
void host_step(struct sim *w, const struct step *step);
void host_hear(struct sim *w, unsigned i, const struct message *m);
void host_joined(struct sim *w, struct event *e);
void host_noticed(struct sim *w, unsigned i, uint64_t connection);
void host_turn(struct sim *w); /* take out what came out */
void host_commit(struct sim *w);
int host_tick(struct sim *w);
void host_restarted(struct sim *w);
void host_resubmit(struct sim *w, const struct step *step);
void host_settled(struct sim *w);
void host_start_again(struct sim *w);

/* memory.c: while the scheduler is called; NULL: no more */
void memory_fails(uint64_t *random);

/* oracle.c */
struct oracle *oracle_new(struct sim *w);
void oracle_free(struct oracle *o);
void oracle_submitted(struct oracle *o, uint64_t first, const struct pcore_sched_jobs *jobs, const struct step *step, size_t chunk);
void oracle_lost_after(struct oracle *o, size_t n_chunks); /* the scheduler restarted with so many chunks */
uint64_t oracle_begun(struct oracle *o, unsigned node, const struct sim_job *j);
void oracle_beside(struct oracle *o, unsigned node, const struct sim_job *j, const struct sim_job *other); /* they run at the same time */
void oracle_ended(struct oracle *o, uint64_t run, bool success);
void oracle_delivered(struct oracle *o, const struct pcore_sched_news *n);
void oracle_client_gone(struct oracle *o, unsigned client);
const struct step *oracle_step(const struct oracle *o, uint64_t cookie);
/* The first id of some array that is not over, or 0. */
uint64_t oracle_pick(const struct oracle *o, unsigned draw, uint32_t *ret_n);
uint64_t oracle_next_cookie(const struct oracle *o);
void oracle_sent(struct oracle *o, uint64_t cookie);
void oracle_freed(struct oracle *o, const struct pcore_sched_news *n); /* an OVER, as soon as it is said */
void oracle_unsent(struct oracle *o, uint64_t job);
size_t oracle_left(const struct oracle *o); /* jobs not delivered yet */
void oracle_settled(struct oracle *o);	    /* at the end: all is delivered */
void oracle_shares(struct oracle *o);

#endif
