/* SPDX-License-Identifier: MIT */
/*
 * wire.h - what the clients of a named pool and its server say to each other, in frames (frame.h); pcore-wire(7) has the layout.
 *
 * Pure: wire_put_*() append one whole frame to a buffer, wire_get_*() read the body of one. A reader takes nothing that is too
 * long, too short or holds what it may not, and points into the body instead of copying.
 */
#ifndef PCORE_PPOOL_WIRE_H
#define PCORE_PPOOL_WIRE_H

#include "tools/cli/frame.h"

enum { WIRE_VERSION = 1 };

enum wire_type {
	/* from a client */
	WIRE_HELLO = 1,	   /* first of all: the version */
	WIRE_SETUP,	   /* directory, umask and environment of the jobs that follow */
	WIRE_SUBMIT,	   /* a job */
	WIRE_END,	   /* of the job that is applied: end it */
	WIRE_GET,	   /* a result, when it is there */
	WIRE_DROP,	   /* the result that was got: it has arrived */
	WIRE_READY,	   /* is a result there? */
	WIRE_WAIT,	   /* tell which jobs finish */
	WIRE_LIST,	   /* all jobs */
	WIRE_CANCEL,	   /* a job */
	WIRE_RESIZE,
	WIRE_PAUSE,
	WIRE_RESUME,
	WIRE_CLOSE,
	WIRE_TERMINATE,
	WIRE_JOIN,
	WIRE_INFO,	   /* what about the pool? */
	/* from the server */
	WIRE_ANSWER = 64,  /* to a request: a status, a number, and why */
	WIRE_OUTPUT,	   /* of a job */
	WIRE_ENDED,	   /* how it ended */
	WIRE_FINISHED,	   /* this job has (WAIT) */
	WIRE_JOB,	   /* one of the list */
	WIRE_POOL,	   /* about the pool */
};

struct wire_ids {
	const char *data; /* unaligned, big-endian */
	size_t n;
};

struct wire_setup {
	uint32_t umask;
	const char *dir;
	struct cli_words env;
};

enum { WIRE_SUBMIT_APPLY = 1, WIRE_SUBMIT_NOWAIT = 2, WIRE_SUBMIT_ALL = 3 };

struct wire_submit {
	uint8_t flags;
	int64_t timeout;  /* ns; 0: the pool's */
	uint64_t retries; /* UINT64_MAX: the pool's */
	struct wire_ids after;
	struct cli_words argv; /* at least one */
};

/* GET, DROP, READY and CANCEL. */
enum { WIRE_REF_FLAG = 1 }; /* CANCEL: a running one too */

struct wire_ref {
	uint8_t flags;
	uint64_t id;
};

enum { WIRE_WAIT_ANY = 1 };

struct wire_wait {
	uint8_t flags;
	struct wire_ids ids; /* none: all that are there */
};

struct wire_answer {
	uint8_t status;
	uint64_t value;
	const char *text; /* not NUL-terminated */
	size_t text_len;
};

struct wire_output {
	uint8_t stream; /* 0 or 1 */
	const char *data;
	size_t len;
};

struct wire_ended {
	uint64_t id;
	uint8_t status;	   /* as a shell has it */
	uint32_t error;	   /* an errno: it could not be run */
	const char *step;  /* where that happened, by name, */
	const char *subject; /* and with what */
};

enum wire_state { WIRE_QUEUED, WIRE_PAUSED, WIRE_RUNNING, WIRE_DONE, WIRE_FAILED, WIRE_CANCELLED, WIRE_STATES };

enum { WIRE_JOB_ENDED = 1, WIRE_JOB_SIGNALLED = 2, WIRE_JOB_TIMED_OUT = 4, WIRE_JOB_ALL = 7 };

struct wire_job {
	uint64_t id;
	uint8_t state;
	uint8_t flags;
	uint8_t exit;	   /* status, or signal number with SIGNALLED */
	uint32_t attempts; /* made so far */
	int64_t start_ns;  /* realtime, 0: not started */
	int64_t wall_ns;
	struct cli_words argv;
};

enum { WIRE_POOL_PAUSED = 1, WIRE_POOL_CLOSED = 2, WIRE_POOL_ALL = 3 };

struct wire_pool {
	uint32_t pid, jobs;
	uint8_t flags;
	uint64_t queued, running, finished, kept; /* kept: bytes */
};

uint64_t wire_id(const struct wire_ids *ids, size_t i);

/* Each appends a frame: 0, -ENOMEM, or -EMSGSIZE for one that is longer than a frame may be (nothing is appended). */
int wire_put(struct pcore_buf *b, enum wire_type type); /* one without a body */
int wire_put_hello(struct pcore_buf *b, uint32_t version);
int wire_put_setup(struct pcore_buf *b, uint32_t umask, const char *dir, char *const *env);
int wire_put_submit(struct pcore_buf *b, const struct wire_submit *s, const uint64_t *after, size_t n_after, char *const *argv);
int wire_put_ref(struct pcore_buf *b, enum wire_type type, uint8_t flags, uint64_t id);
int wire_put_wait(struct pcore_buf *b, uint8_t flags, const uint64_t *ids, size_t n);
int wire_put_resize(struct pcore_buf *b, uint32_t jobs);
int wire_put_answer(struct pcore_buf *b, uint8_t status, uint64_t value, const char *text);
int wire_put_output(struct pcore_buf *b, uint8_t stream, const char *data, size_t len);
int wire_put_ended(struct pcore_buf *b, const struct wire_ended *e);
int wire_put_finished(struct pcore_buf *b, uint64_t id);
int wire_put_job(struct pcore_buf *b, const struct wire_job *j);
int wire_put_pool(struct pcore_buf *b, const struct wire_pool *p);

/* Each reads the body of a frame of its type: 0 or -EPROTO. */
int wire_get_nothing(const struct cli_frame *f);
int wire_get_hello(const struct cli_frame *f, uint32_t *ret_version);
int wire_get_setup(const struct cli_frame *f, struct wire_setup *ret);
int wire_get_submit(const struct cli_frame *f, struct wire_submit *ret);
int wire_get_ref(const struct cli_frame *f, struct wire_ref *ret);
int wire_get_wait(const struct cli_frame *f, struct wire_wait *ret);
int wire_get_resize(const struct cli_frame *f, uint32_t *ret_jobs);
int wire_get_answer(const struct cli_frame *f, struct wire_answer *ret);
int wire_get_output(const struct cli_frame *f, struct wire_output *ret);
int wire_get_ended(const struct cli_frame *f, struct wire_ended *ret);
int wire_get_finished(const struct cli_frame *f, uint64_t *ret_id);
int wire_get_job(const struct cli_frame *f, struct wire_job *ret);
int wire_get_pool(const struct cli_frame *f, struct wire_pool *ret);

#endif
