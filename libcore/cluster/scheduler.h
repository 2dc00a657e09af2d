/* SPDX-License-Identifier: MIT */
/*
 * scheduler.h - which job runs on which node: a pure state machine. Events go in, actions come out.
 *
 * It does no I/O, reads no clock (each event brings its now_ns, which never falls), has no global state, and the same events
 * give the same actions, on every machine. One thread uses it. The host (psubmit for a private cluster, `pnode scheduler` for
 * a shared one, a test) turns what comes over the wire into events and, once a turn of its loop, takes out
 *
 *   records   what has to be in the journal (none without spec.persist)
 *   batches   for each node its actions: start, cancel, retract, acknowledge
 *   news      for whoever owns the jobs: a job is over, tried again, has no node; there is room again; a node has drained
 *
 * A decision is made by the event that makes it possible, not by a tick. After each event no waiting job fits a node with
 * room for it, unless that room is reserved.
 *
 * Jobs. A submit of n jobs is one array: its jobs have the ids first .. first + n - 1, and cost one entry until they are
 * split off one by one as they are assigned. Ids rise and are never used again. An attempt's number is its fence: the epoch of
 * the scheduler (one more after each restore) in the upper 16 bits, the count of the job's assignments in the lower. Whatever
 * a node says about another attempt than the current one is dropped and counted.
 *
 *   state     where it is                     leaves it by
 *   WAITING   in its array, --after others    the others succeed: QUEUED; one fails: over (DEPENDENCY)
 *   QUEUED    in its array, or by itself      assigned: HELD, or AHEAD; cancel: over
 *             after an attempt
 *   HELD      sent, with resources            started: RUNNING; done; retracted (the node gives it back): QUEUED
 *   AHEAD     sent without resources: the     resources become free on its node: HELD; started: RUNNING; retracted: QUEUED
 *             node begins it when it has room
 *   RUNNING   the node said so                done: over, or failed and to be tried again: BACKOFF; node lost: QUEUED or over
 *   BACKOFF   until its time                  tick: QUEUED; cancel: over
 *   over      forgotten; told by news         a dependency on it is resolved at that moment
 *
 * A cancel of a job in HELD, AHEAD or RUNNING is sent to its node, and the job is over when the node says so or is lost.
 *
 *   node      meaning                         leaves it by
 *   UP        connected                       gone: GONE; dead: removed
 *   GONE      connection lost, its jobs wait  join with the same name and instance: UP, and what it reports is adopted;
 *                                             lost_after_ns over, dead, or join with another instance: removed
 *   removed   its jobs are lost               -
 *
 * A node may be draining in both. A lost job is queued again under a higher attempt, unless it is at-most-once (LOST), lost more
 * than retry_lost times (LOST), or has been running on crash_max nodes that died (CRASHED). A node died when it is said
 * to be dead or comes back as another instance; one that stays away is lost, which is no crash.
 *
 * Order. Lower priority numbers first. PRIORITY: within a priority clients take turns, and each has its jobs started in the
 * order it submitted them. FIFO: the same without turns. FAIR: the client goes first that has the least CPUs for its weight,
 * and priorities order its own jobs only. A job that does not fit now is passed by smaller ones, but only spec.overtake_max
 * times: then the node that lacks least for it is reserved until it starts.
 * Among the nodes that fit, the one with least left of the resource that the request takes the greatest share of (of all
 * there is in the cluster) is taken.
 *
 * Exclusive clients. One that has jobs has the nodes for itself: while it holds them no job of another client is begun, and on a node
 * that still has one of another's none of its own is. Several hold them one after the other, in the order in which each had a
 * first job that waits for no other one. It gives them back with its last such job, a private one when it goes; one for all of whose
 * jobs there is no node lets others pass.
 *
 * Ahead. A node is sent more than it can run: as much as its jobs end in two round trips, at most 2048 and what it allows, none
 * when they last more than 100 round trips, only jobs without named resources, and only of one kind at a time. The node begins
 * these in their order. They are taken back, as far as it has not begun them, for a node that has nothing to do,
 * for a job of a better priority, and when it drains.
 *
 * What a node owes: to begin a START that is not ahead at once, or as soon as jobs that it was told to end leave room;
 * those ahead in their order, each when it fits; to answer each START by one done() (or hand it back by retracted()), and each
 * RETRACT; to keep a result until it is acknowledged, and say it again when it has connected again; to send all that in order.
 *
 * Memory. The caller owns what it passes; everything is copied. Cookies and contexts come back and are not looked at. What the
 * take functions give is valid until the next call with an event. An event that fails with -ENOMEM has changed
 * nothing; an assignment that memory is short for is made by a later event. Strings are at most PCORE_SCHED_NAME_MAX long.
 *
 * Cost. L: classes x clients x priorities of what waits, N: nodes, C: classes, J: a node's jobs.
 *   done, started, retracted   O(1), and O(L) in the worst case: when nothing of L fits
 *   submit                     O(1) when jobs of its kind wait already, else O(L + N)
 *   node joins, leaves         O(C + J + L)
 *   cancel                     O(log arrays), O(n) for jobs out of the middle of what is queued
 *   restart, snapshot          O(records), O(jobs of arrays that have begun)
 *   memory                     a class N / 8 bytes, an array some 200 bytes, a job split from it 56 and its place in a table
 */
#ifndef PCORE_CLUSTER_SCHEDULER_H
#define PCORE_CLUSTER_SCHEDULER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcore/base/base.h"

struct pcore_sched;

enum {
	PCORE_SCHED_NAME_MAX = 255,
	PCORE_SCHED_PARTS_MAX = 64,	/* named resources, or labels, of a request or a node; dependencies of a submit */
	PCORE_SCHED_IDS_MAX = 1024,	/* of one resource of a node */
	PCORE_SCHED_CPUS_MAX = 1 << 20,
	PCORE_SCHED_AHEAD_MAX = 2048,
	PCORE_SCHED_NODES_MAX = 1 << 20,
	PCORE_SCHED_JOBS_MAX = 1 << 30, /* of one array */
};

enum pcore_sched_policy { PCORE_SCHED_PRIORITY, PCORE_SCHED_FAIR, PCORE_SCHED_FIFO };

/* 0 takes the default. */
struct pcore_sched_spec {
	enum pcore_sched_policy policy;
	bool persist;		     /* make records */
	bool forget_private;	     /* none of private clients: they and their jobs are gone after a restart */
	uint32_t entries_max;	     /* arrays and single jobs known at a time: 1,048,576 */
	uint32_t client_entries_max; /* of one client: the same */
	int64_t lost_after_ns;	     /* how long a node may be gone before its jobs are lost: 30 s */
	uint32_t overtake_max;	     /* 16 */
	uint32_t crash_max;	     /* 3; at most 255 */
};

/* 0, -EINVAL, -ENOMEM. */
int pcore_sched_new(struct pcore_sched **ret, const struct pcore_sched_spec *spec);
void pcore_sched_free(struct pcore_sched *s); /* NULL is fine */

/* ---- clients ---- */

enum {
	PCORE_SCHED_PRIVATE = 1,   /* its jobs end with it */
	PCORE_SCHED_EXCLUSIVE = 2, /* while it has jobs it has the nodes for itself */
};

/* A client comes: *id 0 makes a new one and says its id (which it may be told when the records are durable), else the one of
 * that id is back (-ENOENT when it is not known any more), as it was. weight 0 is 1; it counts with PCORE_SCHED_FAIR. 0, -ENOMEM. */
int pcore_sched_client_join(struct pcore_sched *s, int64_t now_ns, unsigned flags, uint32_t weight, uint64_t *id);

/* Its connection is lost. The jobs of a private client are cancelled on all nodes and nothing of them is told any more. Those
 * of another go on. 0, -ENOENT, -ENOMEM. */
int pcore_sched_client_gone(struct pcore_sched *s, int64_t now_ns, uint64_t id);

/* ---- jobs ---- */

struct pcore_sched_need {
	const char *name;
	uint32_t n;
};

struct pcore_sched_label {
	const char *key, *value;
	bool differs; /* in a request: the node has no such label, or with another value */
};

struct pcore_sched_request {
	uint32_t cpus;	 /* 0 is 1 */
	uint64_t memory; /* bytes; 0: it does not matter */
	const struct pcore_sched_need *needs;
	size_t n_needs;
	const struct pcore_sched_label *labels; /* all of them must hold */
	size_t n_labels;
	const char *node; /* only on the node of this name; or NULL */
};

struct pcore_sched_jobs {
	struct pcore_sched_request request;
	uint32_t n;	       /* how many; 0 is 1 */
	int32_t priority;      /* lower first */
	uint64_t cookie;       /* the owner's: comes back with each action and each piece of news */
	int64_t time_limit_ns; /* passed to the node; 0: none */
	bool at_most_once;     /* when it may have begun and is lost, or evicted, it is LOST and not run again */
	uint8_t retry_lost;    /* how often a lost one is run again */
	uint8_t restarts;      /* how often a failed one is tried again on its node, */
	uint8_t reschedules;   /* and then on another, if there is one for it */
	int64_t backoff_ns;    /* before the second attempt, doubled for each further one */
	int64_t backoff_max_ns; /* 0: no limit but ten doublings */
	const uint64_t *after; /* first ids of arrays all of whose jobs have to succeed first */
	size_t n_after;
};

/* Queue jobs. -EAGAIN when there is no room: PCORE_SCHED_ROOM follows when there is. -ENOENT: no such client, or one of after
 * is over or never was (the host knows how it ended). -EINVAL, -ENOMEM. *ret_first is the id of the first. */
int pcore_sched_submit(
	struct pcore_sched *s, int64_t now_ns, uint64_t client, const struct pcore_sched_jobs *jobs, uint64_t *ret_first);

enum pcore_sched_how { PCORE_SCHED_END = 1, PCORE_SCHED_KILL };

/* Cancel n jobs of one array (n is cut at its end) from id on. The number of jobs that were not over yet, -ENOENT, -ENOMEM. */
int64_t pcore_sched_cancel(struct pcore_sched *s, int64_t now_ns, uint64_t id, uint32_t n, enum pcore_sched_how how);

/* ---- nodes ---- */

struct pcore_sched_resource {
	const char *name;
	uint32_t n;
	bool ids; /* each of the n has a number from 0, and a job is told which it has */
};

struct pcore_sched_node {
	const char *name;
	uint64_t instance; /* another one each time the node is started */
	uint32_t cpus;
	uint64_t memory;
	const struct pcore_sched_resource *resources;
	size_t n_resources;
	const struct pcore_sched_label *labels;
	size_t n_labels;
	uint32_t ahead_max;
	int64_t rtt_ns; /* 0: not known yet, then nothing is sent ahead */
	bool eager;	/* send ahead what nothing is known of, too */
	bool draining;	/* as pcore_sched_node_drain() can change it */
	void *ctx;	/* comes back with each batch */
};

/* What a node has when it connects. */
struct pcore_sched_claim {
	uint64_t job;
	uint32_t attempt;
	bool begun;	       /* else it waits in the node */
	bool finished;	       /* its result waits to be acknowledged, and done() will follow */
	const uint16_t *ids;   /* the numbers of its named resources, as START had them */
	uint16_t n_ids;
};

/* A node connects. What it claims and may keep stays with it; other claims are answered by cancel (running) or acknowledge
 * (finished). What it should have and does not claim is queued again. The handle is for this connection: events with that of
 * an earlier one are refused with -ESTALE. -EEXIST: a node of that name and another instance is connected. -EINVAL, -ENOSPC
 * (too many nodes), -ENOMEM. */
int pcore_sched_node_join(struct pcore_sched *s, int64_t now_ns, const struct pcore_sched_node *node,
	const struct pcore_sched_claim *claims, size_t n_claims, uint64_t *ret_node);

/* Its connection is lost: its jobs wait for it. Its batch is dropped. */
int pcore_sched_node_gone(struct pcore_sched *s, int64_t now_ns, uint64_t node);

/* It is known to be dead (the node died), or leaves for good. Its jobs are lost. Also after node_gone(), as long as it has not
 * come back: it was silent, and now its machine says that it is no more. */
int pcore_sched_node_dead(struct pcore_sched *s, int64_t now_ns, uint64_t node);

enum pcore_sched_drain {
	PCORE_SCHED_OPEN,  /* take jobs again */
	PCORE_SCHED_DRAIN, /* no more jobs; PCORE_SCHED_DRAINED follows when the last one is over */
	PCORE_SCHED_EVICT, /* and cancel those it has: they run elsewhere, and this counts as no attempt of theirs */
};

int pcore_sched_node_drain(struct pcore_sched *s, int64_t now_ns, uint64_t node, enum pcore_sched_drain drain);
int pcore_sched_node_cpus(struct pcore_sched *s, int64_t now_ns, uint64_t node, uint32_t cpus); /* what runs goes on */
int pcore_sched_node_rtt(struct pcore_sched *s, uint64_t node, int64_t rtt_ns);
/* Another ahead_max than it came with. What is ahead already stays. */
int pcore_sched_node_ahead(struct pcore_sched *s, int64_t now_ns, uint64_t node, uint32_t ahead_max);

/* ---- what nodes say: 1 when it was taken, 0 for another attempt than the current, -ESTALE, -ENOMEM ---- */

struct pcore_sched_result {
	bool success;
	bool cancelled;	 /* no success, because it was told to end */
	int32_t status;	 /* passed on */
	int64_t wall_ns; /* how long it ran */
	uint64_t tag;	 /* passed on: the host's name for the rest of the result */
};

int pcore_sched_started(struct pcore_sched *s, int64_t now_ns, uint64_t node, uint64_t job, uint32_t attempt);

/* An attempt has ended. It is answered by PCORE_SCHED_ACK, a stale one too. */
int pcore_sched_done(
	struct pcore_sched *s, int64_t now_ns, uint64_t node, uint64_t job, uint32_t attempt, const struct pcore_sched_result *result);

/* The answer to PCORE_SCHED_RETRACT; yes: it was not begun and will not be. Also unasked for what a node hands back. */
int pcore_sched_retracted(struct pcore_sched *s, int64_t now_ns, uint64_t node, uint64_t job, uint32_t attempt, bool yes);

/* The node is there, but it has lost what it had of this job, which may have run: a node that is itself a cluster says so. */
int pcore_sched_lost(struct pcore_sched *s, int64_t now_ns, uint64_t node, uint64_t job, uint32_t attempt);

/* ---- all of it ---- */

/* Begin nothing any more, until it is called with false; what nodes have and have not begun is taken back. All else goes on. */
void pcore_sched_stop(struct pcore_sched *s, int64_t now_ns, bool stop);

/* ---- time ---- */

/* When pcore_sched_tick() has something to do, INT64_MAX: never. */
int64_t pcore_sched_next_ns(const struct pcore_sched *s);
int pcore_sched_tick(struct pcore_sched *s, int64_t now_ns); /* 0, -ENOMEM: call it again */

/* ---- what comes out ---- */

enum pcore_sched_verb { PCORE_SCHED_START, PCORE_SCHED_CANCEL, PCORE_SCHED_RETRACT, PCORE_SCHED_ACK };

struct pcore_sched_action {
	uint64_t job, cookie;
	int64_t time_limit_ns;
	uint32_t attempt, index; /* index: of the job in its array */
	int32_t priority;
	uint32_t cpus;
	uint32_t ids; /* START: where its numbers are in the batch's ids, resource by resource in the order of their names */
	uint16_t n_ids;
	uint8_t verb;	      /* enum pcore_sched_verb */
	uint8_t how : 2;      /* CANCEL: enum pcore_sched_how */
	uint8_t ahead : 1;    /* START */
	uint8_t durable : 1;  /* only to be sent when all records up to now are durable; the others need not wait */
};

struct pcore_sched_batch {
	uint64_t node;
	void *ctx;
	const struct pcore_sched_action *actions;
	size_t n;
	const uint16_t *ids;
};

enum pcore_sched_kind {
	PCORE_SCHED_OVER,    /* n jobs from job on are over: outcome; with n > 1 none of them was ever assigned */
	PCORE_SCHED_AGAIN,   /* attempt FAILED, was LOST, or was CANCELLED by an eviction, and there will be another: forget its output */
	PCORE_SCHED_NO_NODE, /* no node that is there could ever run the job: pcore_sched_explain() says why */
	PCORE_SCHED_ROOM,    /* client may submit again */
	PCORE_SCHED_DRAINED, /* node has no job left */
};

enum pcore_sched_outcome {
	PCORE_SCHED_SUCCEEDED,
	PCORE_SCHED_FAILED,	/* and not to be tried again */
	PCORE_SCHED_CANCELLED,
	PCORE_SCHED_LOST,	/* with its node, and not to be run again */
	PCORE_SCHED_CRASHED,	/* set aside: crash_max nodes died while it ran on them */
	PCORE_SCHED_DEPENDENCY, /* set aside: a job it had to wait for did not succeed */
};

struct pcore_sched_news {
	enum pcore_sched_kind kind;
	enum pcore_sched_outcome outcome;
	uint64_t client, job, cookie, node, tag;
	uint32_t n, index, attempt;
	int32_t status;
	bool durable; /* only to be told when all records up to now are durable */
};

/* The next node's actions, or the next piece of news. False: there is none (left). */
bool pcore_sched_next_batch(struct pcore_sched *s, struct pcore_sched_batch *ret);
bool pcore_sched_next_news(struct pcore_sched *s, struct pcore_sched_news *ret);

/* The records made since they were last cleared (pcore_buf_clear). */
struct pcore_buf *pcore_sched_records(struct pcore_sched *s);

/* ---- restart ---- */

/*
 * Records are bytes that go to the journal in their order. After a restart they are fed to a new scheduler, in pieces that end
 * where records end, and pcore_sched_restored() ends that (with an empty journal neither call is needed): nodes that had jobs
 * are GONE, private clients are waited for as long as for a node, jobs in BACKOFF are QUEUED, and attempts have a new
 * epoch. The records it makes have to be durable before any batch is sent. If the end of the journal was lost, what had been
 * started by it is adopted from the nodes that claim it, and results that had not been acknowledged come again. A
 * submit may be confirmed to its client when its record is durable; before that its ids may be given out again by a restart.
 */
int pcore_sched_restore(struct pcore_sched *s, int64_t now_ns, const void *records, size_t len); /* 0, -EBADMSG, -ENOMEM */
int pcore_sched_restored(struct pcore_sched *s, int64_t now_ns); /* 0, -ENOMEM, -EOVERFLOW: 65,535 restarts */

/* Records that make the same state: what a journal is replaced by when it has grown. 0, -ENOMEM. */
int pcore_sched_snapshot(const struct pcore_sched *s, struct pcore_buf *out);

/* ---- what there is to know ---- */

enum pcore_sched_state {
	PCORE_SCHED_NONE,
	PCORE_SCHED_WAITING,
	PCORE_SCHED_QUEUED,
	PCORE_SCHED_HELD,
	PCORE_SCHED_AHEAD,
	PCORE_SCHED_RUNNING,
	PCORE_SCHED_BACKOFF,
};

/* Why a job does not run: where it is, and how many nodes would not have it, each counted once, by the first reason. */
struct pcore_sched_why {
	enum pcore_sched_state state;
	bool cancelled;
	bool stopped;	     /* pcore_sched_stop(): nodes that would take it are not counted */
	uint64_t node;	     /* where it is, or 0 */
	uint64_t after;	     /* WAITING: on this, and perhaps others */
	int64_t until_ns;    /* BACKOFF */
	uint32_t n_nodes;    /* all of them: 0 is "no node at all" */
	uint32_t gone, draining;
	uint32_t pinned;     /* another node than the one asked for */
	uint32_t labels;
	uint32_t cpus, memory, resources; /* has less than is asked for, even when idle */
	uint32_t avoided;    /* the job failed there */
	uint32_t exclusive;  /* another client has them for itself */
	uint32_t reserved;   /* for a bigger one that waits longer */
	uint32_t busy;
	uint32_t room;	     /* would take it: jobs before it come first */
};

int pcore_sched_explain(const struct pcore_sched *s, uint64_t job, struct pcore_sched_why *ret); /* 0, -ENOENT */

/* The owner's name for a job that has been assigned, and is not over. 0: it has not, or it is. */
uint64_t pcore_sched_cookie(const struct pcore_sched *s, uint64_t job);

struct pcore_sched_counts {
	uint64_t waiting, queued, backoff, held, ahead, running; /* jobs now; their sum is what is not over */
	uint64_t submitted, over, succeeded, assigned;
	uint64_t stale;		  /* messages about another attempt than the current */
	uint64_t lost, retracted, failed; /* attempts */
	uint32_t nodes, clients, classes, arrays;
};

struct pcore_sched_counts pcore_sched_counts(const struct pcore_sched *s);

/* Check that everything agrees with everything else, by assertions: for tests, it takes long. */
void pcore_sched_check(const struct pcore_sched *s);

#endif
