/* SPDX-License-Identifier: MIT */
/*
 * wire_client.h - what clients say to a scheduler that serves many, and what it answers; pcore-wire(7) has the layout.
 *
 * Each message from a client has a number of the client's as its frame's id. What answers it has the same, and ends with
 * ANSWER (of a SUBMIT: is ANSWER or SUBMITTED). All bodies are fields, as wire.h has them. A client whose jobs end with it says
 * nothing of this: it speaks as a scheduler does to a node.
 */
#ifndef PCORE_CLUSTER_WIRE_CLIENT_H
#define PCORE_CLUSTER_WIRE_CLIENT_H

#include "libcore/cluster/wire.h"

enum {
	PCORE_WIRE_TOKEN = 16,	      /* bytes of a submit's token */
	PCORE_WIRE_SUBMIT_MAX = 1 << 30, /* jobs of a submission */
	PCORE_WIRE_AFTER_MAX = 64,    /* submissions that one waits for */
};

/* Job numbers up to the end of a submission. */
#define PCORE_WIRE_TO_END UINT64_MAX

enum {
	PCORE_WIRE_SUBMIT_TOKEN = 1,
	PCORE_WIRE_SUBMIT_PART,
	PCORE_WIRE_SUBMIT_MORE,
	PCORE_WIRE_SUBMIT_COUNT,
	PCORE_WIRE_SUBMIT_WORDS,
	PCORE_WIRE_SUBMIT_ARGS,
	PCORE_WIRE_SUBMIT_ENV,
	PCORE_WIRE_SUBMIT_TEMPLATE,
	PCORE_WIRE_SUBMIT_INPUT,
	PCORE_WIRE_SUBMIT_PRIORITY,
	PCORE_WIRE_SUBMIT_AFTER,
	PCORE_WIRE_SUBMIT_RETRIES,
	PCORE_WIRE_SUBMIT_BACKOFF,
	PCORE_WIRE_SUBMIT_RETRY_LOST,
	PCORE_WIRE_SUBMIT_AT_MOST_ONCE,
};

/*
 * Jobs for good: a submission, or a part of one. The jobs of all its parts are numbered from 1. env, template and what comes
 * after them are of the whole and belong to part 0, where env and template are required; token and count are everywhere.
 * The same part said again (after a reconnect) is answered as before.
 */
struct pcore_wire_submit {
	uint64_t has;
	struct pcore_wire_bytes token; /* drawn by the client: stands for this submission until it has a number */
	uint64_t part, more;	       /* which, from 0; 1: another follows */
	uint64_t count;		       /* jobs of this part */
	uint64_t words;		       /* arguments of each, */
	struct pcore_wire_words args;  /* and all of them */
	struct pcore_wire_bytes env, template; /* bodies of ENV and TEMPLATE; the template's env means nothing */
	struct pcore_wire_bytes input;	       /* standard input of each job */
	int64_t priority;		       /* lower first */
	struct pcore_wire_bytes after;	       /* pcore_wire_u64(): submissions that have to succeed first */
	uint64_t retries;		       /* of a job that failed */
	int64_t backoff;		       /* before the first of them, doubled for each further one; ns */
	uint64_t retry_lost;		       /* of one that was lost with its node */
	uint64_t at_most_once;		       /* 1: such a one is not run again */
};

enum {
	PCORE_WIRE_WATCH_SUBMISSION = 1,
	PCORE_WIRE_WATCH_FROM,
	PCORE_WIRE_WATCH_TO,
	PCORE_WIRE_WATCH_FLAGS,
	PCORE_WIRE_WATCH_ATTEMPT,
	PCORE_WIRE_WATCH_STDOUT,
	PCORE_WIRE_WATCH_STDERR,
};

enum {
	PCORE_WIRE_WATCH_RESULTS = 1, /* DONE_N */
	PCORE_WIRE_WATCH_OUTPUT = 2,  /* OUTPUT */
	PCORE_WIRE_WATCH_WAIT = 4,    /* until they have ended, else what is there already */
	PCORE_WIRE_WATCH_ALL = 7,
};

/*
 * What jobs do, in the order of their numbers: for each STARTED_N (when its output is asked for, and there is an attempt), OUTPUT,
 * and DONE_N when it has ended, all with the watch's id; job is the number in the submission, and OUTPUT is of the job that
 * STARTED_N named last. Another STARTED_N of the same job: another attempt, and what came of the one before does not count.
 * Without WAIT those that have not ended are passed over, after the output that there is.
 *
 * CREDIT_N with the watch's id as its job, attempt 0 and stream 0 is about all bytes of both streams since the watch began. attempt and
 * the two offsets: of the first job, what has arrived already by an earlier watch.
 */
struct pcore_wire_watch {
	uint64_t has;
	uint64_t submission;
	uint64_t from, to; /* jobs; to may be beyond the last */
	uint64_t flags;
	uint64_t attempt, received[2];
};

enum { PCORE_WIRE_CANCEL_SUBMISSION = 1, PCORE_WIRE_CANCEL_FROM, PCORE_WIRE_CANCEL_TO, PCORE_WIRE_CANCEL_HOW };

/* ANSWER's text says how many had not ended yet; 1: none. */
struct pcore_wire_cancel {
	uint64_t has;
	uint64_t submission, from, to;
	uint64_t how; /* END_IT or KILL_IT */
};

enum { PCORE_WIRE_ABOUT_SUBMISSION = 1, PCORE_WIRE_ABOUT_SEQ };

/* LIST (of one, or all), EXPLAIN (both are required), FORGET (the first is): its results and outputs go, unless it has jobs that have not
 * ended. */
struct pcore_wire_about {
	uint64_t has;
	uint64_t submission, seq;
};

enum { PCORE_WIRE_SUBMITTED_SUBMISSION = 1, PCORE_WIRE_SUBMITTED_COUNT };

/* It is safe. Told for each part. */
struct pcore_wire_submitted {
	uint64_t has;
	uint64_t submission, count; /* its jobs so far */
};

enum {
	PCORE_WIRE_SUBMISSION_NUMBER = 1,
	PCORE_WIRE_SUBMISSION_COUNT,
	PCORE_WIRE_SUBMISSION_WAITING,
	PCORE_WIRE_SUBMISSION_QUEUED,
	PCORE_WIRE_SUBMISSION_RUNNING,
	PCORE_WIRE_SUBMISSION_SUCCEEDED,
	PCORE_WIRE_SUBMISSION_FAILED,
	PCORE_WIRE_SUBMISSION_CANCELLED,
	PCORE_WIRE_SUBMISSION_LOST,
	PCORE_WIRE_SUBMISSION_SUBMIT,
	PCORE_WIRE_SUBMISSION_PRIORITY,
	PCORE_WIRE_SUBMISSION_OWNER,
	PCORE_WIRE_SUBMISSION_ARGV,
	PCORE_WIRE_SUBMISSION_START,
	PCORE_WIRE_SUBMISSION_END,
};

/* All but the last three are required. The jobs of all states are count. */
struct pcore_wire_submission {
	uint64_t has;
	uint64_t number, count;
	uint64_t waiting;		       /* for other submissions, or to be tried again */
	uint64_t queued, running;	       /* queued: also what a node has and has not begun */
	uint64_t succeeded, failed, cancelled, lost; /* lost, set aside, or in vain for what they had to wait for */
	int64_t submit_ns;		       /* realtime */
	int64_t priority;
	const char *owner;	       /* the client's key or certificate, "" on a Unix socket */
	struct pcore_wire_words argv; /* the command, in which {} is an argument of the job's */
	int64_t start_ns, end_ns;      /* realtime: when its first began; when its last had ended */
};

enum {
	PCORE_WIRE_MEMBER_NAME = 1,
	PCORE_WIRE_MEMBER_ADDRESS,
	PCORE_WIRE_MEMBER_STATE,
	PCORE_WIRE_MEMBER_CPUS,
	PCORE_WIRE_MEMBER_MEMORY,
	PCORE_WIRE_MEMBER_RUNNING,
	PCORE_WIRE_MEMBER_JOBS,
	PCORE_WIRE_MEMBER_TIME,
	PCORE_WIRE_MEMBER_SENT,
	PCORE_WIRE_MEMBER_RECEIVED,
	PCORE_WIRE_MEMBER_SOFTWARE,
	PCORE_WIRE_MEMBER_LABELS,
	PCORE_WIRE_MEMBER_RESOURCES,
};

/* A node, and what it has done since the scheduler started. All but the last three are required. */
struct pcore_wire_member {
	uint64_t has;
	const char *name, *address;
	uint64_t state; /* enum pcore_wire_state, or PCORE_WIRE_STATES: it is gone */
	uint64_t cpus, memory;
	uint64_t running, jobs; /* now; that ended there */
	int64_t job_ns;		/* how long these ran, in all */
	uint64_t sent, received; /* bytes: arguments and inputs to it, outputs from it */
	const char *software;
	struct pcore_wire_words labels;
	struct pcore_wire_list resources;
};

enum {
	PCORE_WIRE_TOTAL_NAME = 1,
	PCORE_WIRE_TOTAL_SOFTWARE,
	PCORE_WIRE_TOTAL_START,
	PCORE_WIRE_TOTAL_POLICY,
	PCORE_WIRE_TOTAL_CLIENTS,
	PCORE_WIRE_TOTAL_SUBMISSIONS,
	PCORE_WIRE_TOTAL_WAITING,
	PCORE_WIRE_TOTAL_QUEUED,
	PCORE_WIRE_TOTAL_RUNNING,
	PCORE_WIRE_TOTAL_SUCCEEDED,
	PCORE_WIRE_TOTAL_FAILED,
	PCORE_WIRE_TOTAL_BUSY,
};

/* The scheduler itself. All are required. */
struct pcore_wire_total {
	uint64_t has;
	const char *name, *software;
	int64_t start_ns; /* realtime */
	uint64_t policy;  /* enum pcore_sched_policy */
	uint64_t clients, submissions;
	uint64_t waiting, queued, running, succeeded, failed; /* jobs */
	int64_t busy_ns;				      /* so long since the start at least one job was running */
};

enum {
	PCORE_WIRE_WHY_STATE = 1,
	PCORE_WIRE_WHY_NODES,
	PCORE_WIRE_WHY_GONE,
	PCORE_WIRE_WHY_DRAINING,
	PCORE_WIRE_WHY_PINNED,
	PCORE_WIRE_WHY_LABELS,
	PCORE_WIRE_WHY_CPUS,
	PCORE_WIRE_WHY_MEMORY,
	PCORE_WIRE_WHY_RESOURCES,
	PCORE_WIRE_WHY_AVOIDED,
	PCORE_WIRE_WHY_RESERVED,
	PCORE_WIRE_WHY_BUSY,
	PCORE_WIRE_WHY_ROOM,
	PCORE_WIRE_WHY_CANCELLED,
	PCORE_WIRE_WHY_NODE,
	PCORE_WIRE_WHY_AFTER,
	PCORE_WIRE_WHY_UNTIL,
	PCORE_WIRE_WHY_EXCLUSIVE,
	PCORE_WIRE_WHY_STOPPED,
};

/* As struct pcore_sched_why. All but the last five are required. */
struct pcore_wire_why {
	uint64_t has;
	uint64_t state; /* enum pcore_sched_state; 0: it has ended */
	uint64_t nodes, gone, draining, pinned, labels, cpus, memory, resources, avoided, reserved, busy, room;
	uint64_t cancelled;
	const char *node; /* where it is */
	uint64_t after;	  /* a submission that it waits for */
	int64_t until_ns; /* realtime: it is tried again then */
	uint64_t exclusive; /* nodes, as those above */
	uint64_t stopped;
};

enum { PCORE_WIRE_NUMBER_NAME = 1 };

/* NODE_NUMBER: the frame's id is the number, below 2^32 and not 0. Comes before the number is used. */
struct pcore_wire_number {
	uint64_t has;
	const char *name;
};

/* As those in wire.h. */
int pcore_wire_put_submit(struct pcore_buf *b, const struct pcore_wire_submit *m);
int pcore_wire_put_watch(struct pcore_buf *b, const struct pcore_wire_watch *m);
int pcore_wire_put_cancel(struct pcore_buf *b, const struct pcore_wire_cancel *m);
int pcore_wire_put_about(struct pcore_buf *b, enum pcore_wire_type type, const struct pcore_wire_about *m);
int pcore_wire_put_submitted(struct pcore_buf *b, const struct pcore_wire_submitted *m);
int pcore_wire_put_submission(struct pcore_buf *b, const struct pcore_wire_submission *m);
int pcore_wire_put_member(struct pcore_buf *b, const struct pcore_wire_member *m);
int pcore_wire_put_total(struct pcore_buf *b, const struct pcore_wire_total *m);
int pcore_wire_put_why(struct pcore_buf *b, const struct pcore_wire_why *m);
int pcore_wire_put_number(struct pcore_buf *b, const struct pcore_wire_number *m);

int pcore_wire_get_submit(const struct pcore_wire_frame *f, struct pcore_wire_submit *ret);
int pcore_wire_get_watch(const struct pcore_wire_frame *f, struct pcore_wire_watch *ret);
int pcore_wire_get_cancel(const struct pcore_wire_frame *f, struct pcore_wire_cancel *ret);
int pcore_wire_get_about(const struct pcore_wire_frame *f, struct pcore_wire_about *ret);
int pcore_wire_get_submitted(const struct pcore_wire_frame *f, struct pcore_wire_submitted *ret);
int pcore_wire_get_submission(const struct pcore_wire_frame *f, struct pcore_wire_submission *ret);
int pcore_wire_get_member(const struct pcore_wire_frame *f, struct pcore_wire_member *ret);
int pcore_wire_get_total(const struct pcore_wire_frame *f, struct pcore_wire_total *ret);
int pcore_wire_get_why(const struct pcore_wire_frame *f, struct pcore_wire_why *ret);
int pcore_wire_get_number(const struct pcore_wire_frame *f, struct pcore_wire_number *ret);

/* Of submissions to wait for. */
int pcore_wire_add_u64(struct pcore_buf *b, uint64_t v);
size_t pcore_wire_u64s(const struct pcore_wire_bytes *b);
uint64_t pcore_wire_u64(const struct pcore_wire_bytes *b, size_t i);

#endif
