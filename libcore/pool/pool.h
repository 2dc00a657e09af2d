/* SPDX-License-Identifier: MIT */
/*
 * pool.h - the dispatcher: jobs from a source, a bounded number of them running in an executor, results to their owner.
 *
 *   source -- next() --> dispatcher -- start() --> executor -- output(), exited(), finished() --> dispatcher --> owner
 *
 * The owner (a tool) makes jobs one at a time when next() asks for one, and gets each back once by done(). The dispatcher
 * decides when a job starts, whether it is tried again and when no more start. The executor (local processes here, other
 * machines elsewhere) runs it. All three live on the loop's thread.
 *
 *   job:  NEW --start--> RUNNING --exited--> EXITED --finished--> DONE, or back to NEW when it is to be tried again
 *
 * An exited job no longer counts as running, but its output is not complete until it has finished.
 */
#ifndef PCORE_POOL_H
#define PCORE_POOL_H

#include "libcore/base/base.h"
#include "libcore/loop/loop.h"
#include "libcore/proc/proc.h"

struct pcore_pool;
struct pcore_job;
struct pcore_executor;

enum pcore_job_state { PCORE_JOB_NEW, PCORE_JOB_RUNNING, PCORE_JOB_EXITED, PCORE_JOB_DONE };

/* How an attempt ended. */
struct pcore_job_result {
	struct pcore_err error; /* code < 0: it could not be started */
	struct pcore_exit exit;
	bool timed_out;
	bool cancelled; /* ended by us, not by the time limit */
	bool lost;	/* the process that had the job ended without an answer */
	int64_t start_ns; /* realtime */
	int64_t wall_ns;
	pid_t pid;	    /* 0: there was no process, or not for this job alone */
	unsigned survivors; /* processes it left behind, which were ended */
	const char *node;   /* where it ran, as long as the executor is there; NULL: here */
};

/* Embedded in the owner's job. The owner zeroes it and may set the first seven; the dispatcher numbers it, unless the owner did. */
struct pcore_job {
	uint64_t retries;    /* further attempts, beyond the pool's */
	int64_t retry_delay; /* ns, beyond the pool's */
	int64_t timeout;     /* ns; 0: that of times */
	const struct pcore_proc_times *times; /* borrowed as long as it runs; NULL: the executor's */
	bool fresh;	    /* a worker that has not been sent anything, if one can be started at once */
	bool no_input;	    /* /dev/null, where the executor feeds others */
	unsigned pipe_size; /* of its input; 0: the executor's */
	uint64_t seq;	  /* from 1, rising in the order of next() unless the owner numbers its jobs otherwise */
	unsigned slot;	  /* from 1: no two running jobs have the same, unless the executor shares slots out by itself */
	unsigned attempt; /* from 1 */
	enum pcore_job_state state;
	struct pcore_job_result result;
	bool given_up; /* by pcore_pool_end() */
	unsigned lost; /* how often it was handed back because it was lost with a machine; the owner's */
	void *run; /* the executor's */
	struct pcore_list link;
	struct pcore_heap_node retry;
};

/* Did the attempt succeed? And its status as a shell has it: the command's own, 128 + signal, 124 after a time-out; 126 or
 * 127 when it could not be run, 125 when something else failed. */
bool pcore_job_succeeded(const struct pcore_job *job);
int pcore_job_status(const struct pcore_job *job);

enum pcore_pool_stop {
	PCORE_POOL_RUN,
	PCORE_POOL_DRAIN, /* start no more, let the running ones finish; failed ones are not tried again */
	PCORE_POOL_END,	  /* and ask the running ones to end */
	PCORE_POOL_KILL,  /* and kill them */
};

enum pcore_job_stream { PCORE_JOB_STDOUT, PCORE_JOB_STDERR };

/* What the executor does for the dispatcher. */
struct pcore_executor_ops {
	/* Start an attempt. -EAGAIN, -EMFILE, -ENFILE, -ENOMEM, -ENOSPC: short of something, try again when others have ended.
	 * Any other error fails the attempt. */
	int (*start)(struct pcore_executor *ex, struct pcore_job *job, struct pcore_err *err);
	void (*signal)(struct pcore_executor *ex, struct pcore_job *job, int sig); /* to all its processes */
	void (*end)(struct pcore_executor *ex, struct pcore_job *job);	   /* ask, then kill after the grace */
	void (*kill)(struct pcore_executor *ex, struct pcore_job *job);
	void (*resume)(struct pcore_executor *ex, struct pcore_job *job);  /* its output was refused; there is room again */
	void (*free)(struct pcore_executor *ex); /* with no job in it */

	/* For executors whose processes outlive a job and take jobs in advance; all or none, but resize, which others may have,
	 * too. These set job->slot. */
	bool (*has_room)(const struct pcore_executor *ex);	/* for one job more: this decides, not the number running */
	void (*flush)(struct pcore_executor *ex);		/* no more are started for the moment */
	void (*close)(struct pcore_executor *ex, enum pcore_pool_stop how); /* no job comes any more; may be said again */
	bool (*busy)(const struct pcore_executor *ex);		/* something lives on without a job: not idle yet */
	int (*resize)(struct pcore_executor *ex, unsigned jobs); /* 0, -errno */
};

/* Embedded first in an executor. */
struct pcore_executor {
	const struct pcore_executor_ops *ops;
	struct pcore_pool *pool; /* set by pcore_pool_new() */
};

/* What the dispatcher asks of and tells the owner. */
struct pcore_pool_owner {
	/* The next job: 1; 0 when there is none now (pcore_pool_kick() when there is); -ENODATA when there will be none. With
	 * job->seq 0 it gets the next number; the owner may leave numbers out by setting a greater one, or number its jobs as it
	 * likes, none twice. */
	int (*next)(void *ctx, struct pcore_job **ret);
	void (*started)(void *ctx, struct pcore_job *job); /* an attempt; may be NULL */
	/* Output as it comes. False: the bytes were taken, but no more now; pcore_pool_resume() when there is room. */
	bool (*output)(void *ctx, struct pcore_job *job, enum pcore_job_stream stream, const char *data, size_t len);
	void (*again)(void *ctx, struct pcore_job *job); /* the attempt failed, another will follow: forget its output */
	void (*exited)(void *ctx, struct pcore_job *job); /* an attempt: it does not run any more; may be NULL */
	void (*done)(void *ctx, struct pcore_job *job);	 /* the job is the owner's again */
	void (*limited)(void *ctx, unsigned jobs, int error); /* short of something: this many at a time; may be NULL */
	void (*idle)(void *ctx); /* no job is left and none will come; once */
};

/* When to stop by the number (or the percentage of those that ended) of failures or successes. */
struct pcore_pool_halt {
	enum { PCORE_HALT_NEVER, PCORE_HALT_SOON, PCORE_HALT_NOW } when;
	bool on_success;
	bool percent;
	uint64_t n;
};

struct pcore_pool_spec {
	unsigned jobs;	      /* running at a time, > 0 */
	unsigned lingering;   /* exited but not finished at a time beyond that, before no more are started */
	bool shares_fds;      /* others of this process give descriptors back, too: a lack of them may pass */
	uint64_t retries;     /* further attempts of a failed job */
	int64_t retry_delay;  /* ns */
	int64_t delay;	      /* ns between two starts, at least */
	struct pcore_pool_halt halt;
};

struct pcore_pool_counts {
	uint64_t submitted, succeeded, failed;
	unsigned running, exited; /* exited: not finished yet */
	uint64_t waiting;	  /* for another attempt */
};

/* The executor becomes the pool's. 0, -ENOMEM. */
int pcore_pool_new(struct pcore_pool **ret, struct pcore_loop *lp, const struct pcore_pool_spec *spec,
	const struct pcore_pool_owner *owner, void *ctx, struct pcore_executor *ex);
void pcore_pool_free(struct pcore_pool *p); /* after idle(), or before the first kick, at rest */
bool pcore_pool_at_rest(const struct pcore_pool *p); /* nothing of it is left in the loop: soon after idle() */

/* Start what can be started. From the loop or before it runs. */
void pcore_pool_kick(struct pcore_pool *p);

/* Change how many run at a time; 0: none is started. What runs goes on. 0; -errno: it is as before. */
int pcore_pool_set_jobs(struct pcore_pool *p, unsigned jobs);

/* Start nothing as long as it is held. A source without a job is still found out. */
void pcore_pool_hold(struct pcore_pool *p, bool hold);

/* A job whose output was refused may go on. */
void pcore_pool_resume(struct pcore_pool *p, struct pcore_job *job);

/* Stop; never back to a milder one. Jobs that were not started yet are handed back undone (state NEW); those that wait for
 * another attempt have failed. */
void pcore_pool_stop(struct pcore_pool *p, enum pcore_pool_stop how);

/* End one job that next() gave and done() did not give back. It is not tried again. One that runs is asked to end and killed
 * after the grace; done() follows when it has ended. One that does not run is given back from within this call. */
void pcore_pool_end(struct pcore_pool *p, struct pcore_job *job);

/* Send sig to all running jobs. */
void pcore_pool_signal(struct pcore_pool *p, int sig);

enum pcore_pool_stop pcore_pool_stopping(const struct pcore_pool *p);
struct pcore_pool_counts pcore_pool_counts(const struct pcore_pool *p);

/* The status of the job that reached the halt's number, or -1. */
int pcore_pool_halt_status(const struct pcore_pool *p);

/* ---- for executors ---- */

bool pcore_pool_output(struct pcore_pool *p, struct pcore_job *job, enum pcore_job_stream stream, const char *data, size_t len);
void pcore_pool_exited(struct pcore_pool *p, struct pcore_job *job);   /* job->result is filled in */
void pcore_pool_finished(struct pcore_pool *p, struct pcore_job *job); /* nothing more comes of it */

/* A running job was not begun after all: it is started again, and this was no attempt, unless it was to end: then it is done,
 * cancelled. Of several, the last one first. */
void pcore_pool_handed_back(struct pcore_pool *p, struct pcore_job *job);

/* What a running job has written so far is not to count: it runs anew, as the same attempt. */
void pcore_pool_lost(struct pcore_pool *p, struct pcore_job *job);

/* ---- the local executor: processes of this machine ---- */

struct pcore_local_spec {
	struct pcore_keeper *keeper; /* not owned */
	struct pcore_proc_times times;
	bool inherit; /* stdout and stderr are ours: no capture */
	size_t read_size; /* how much of their output is read at a time; 0: 128 KiB */
	/* Fill in argv, envp and what else belongs to the command; what it points to must live until start() returns. */
	void (*describe)(void *ctx, struct pcore_job *job, struct pcore_proc_spec *spec);
	/* The standard input of the jobs; NULL: /dev/null. Asked for piece by piece, as each has been written: 1 with the next, 0
	 * when there is none now (pcore_local_feed() when there is), -ENODATA at its end. A piece has to last until then or
	 * until input_over(), which comes once for each attempt that was started, before it has finished: all is written,
	 * or nobody reads it any more and left bytes of the last piece are not. What cannot be written fails the attempt. */
	int (*input)(void *ctx, struct pcore_job *job, struct pcore_piece *ret);
	void (*input_over)(void *ctx, struct pcore_job *job, uint64_t left);
	unsigned pipe_size; /* what the input's pipe should hold, if that is allowed; 0: what it does */
	void *ctx;
};

/* There is a piece of input for a job that was told there was none. It may be over at once. */
void pcore_local_feed(struct pcore_job *job);

/* Of one that runs: its standard output is closed. Of one whose input is over: it read nothing of what was written. */
bool pcore_local_silent(const struct pcore_job *job);
bool pcore_local_unread(const struct pcore_job *job);

int pcore_local_new(struct pcore_executor **ret, struct pcore_loop *lp, const struct pcore_local_spec *spec, struct pcore_err *err);

/* ---- the worker executor: processes that stay, and answer one item after the other ---- */

enum pcore_answer_kind {
	PCORE_ANSWER_LINES,  /* n lines */
	PCORE_ANSWER_UNTIL,  /* lines up to one that equals text, which is no part of the answer */
	PCORE_ANSWER_FRAMES, /* a length of four bytes, the highest first, then as many bytes */
};

struct pcore_answer_form {
	enum pcore_answer_kind kind;
	uint64_t n_lines;
	const char *text;
	size_t len;
	bool keep_length; /* of a frame: it comes out before the bytes */
	bool status;	  /* the first byte of a frame is the status of its job */
};

/* What happens to workers beside their jobs. */
enum pcore_worker_event {
	PCORE_WORKER_LOST,     /* it ended before it had answered job, which failed (this try at least) */
	PCORE_WORKER_LATE,     /* it was ended for not answering job in time */
	PCORE_WORKER_SLOW,     /* it has not answered for a while and goes on; once a worker */
	PCORE_WORKER_SURPLUS,  /* it was ended: it wrote more than its answers. seq: the last item it answered, or 0 */
	PCORE_WORKER_SILENT,   /* it was ended: it had closed its output (or its input) */
	PCORE_WORKER_STUCK,    /* it was ended: it went on after the end of its input */
	PCORE_WORKER_FAILED,   /* it ended in disorder after its last answer */
	PCORE_WORKER_UNFIT,    /* it ended before it had read an item */
	PCORE_WORKER_GIVEN_UP, /* the third of these in a row: no further one is started, stop the pool */
};

struct pcore_worker_news {
	enum pcore_worker_event event;
	unsigned slot;
	pid_t pid;
	const char *node;	      /* where it is; NULL: here */
	uint64_t seq;		      /* of the item, 0: none */
	const struct pcore_job *job;  /* LOST, LATE, SLOW */
	const struct pcore_exit *exit; /* when it has ended; else NULL */
};

/* Where workers are jobs: of an executor that has an input for them, which asks here for it. One that has begun is not to be run
 * again by itself. */
struct pcore_worker_home {
	struct pcore_executor *ex; /* NULL: they are processes of this machine */
	void (*feed)(struct pcore_job *job); /* as pcore_local_feed() */
	unsigned (*room)(const struct pcore_executor *ex); /* how many may run at a time; at least one is tried */
	/* A worker was lost with the machine it was on, and this item with it. True: it is sent to another one, as the same attempt;
	 * else it has failed. */
	bool (*lost)(void *ctx, struct pcore_job *item);
	uint64_t answer_max; /* bytes; the rest of an answer is dropped, and */
	void (*cut)(void *ctx, const struct pcore_job *item); /* is told. 0: no limit */
};

struct pcore_worker_spec {
	struct pcore_worker_home home;
	struct pcore_keeper *keeper;  /* not owned */
	struct pcore_proc_times times; /* of a process as a whole */
	unsigned jobs;		      /* workers at a time */
	unsigned window;	      /* items a worker may have unanswered, > 0 */
	struct pcore_answer_form form;
	const char *init; /* the first item of each worker, its answer is dropped; or NULL */
	size_t init_len;
	uint64_t items_max;    /* a worker; 0: no limit */
	int64_t idle_timeout;  /* ns without an item, then its input is closed; INT64_MAX: never */
	int64_t answer_timeout; /* ns for an answer, then it is ended and the item has timed out; INT64_MAX: no limit */
	int64_t slow_after;    /* ns without an answer: SLOW; it is then sent more, for that may help */
	bool pty;	       /* a terminal for its input and output, without echo; no frames, and lines of at most 4094 bytes */

	/* Fill in argv, envp and what else belongs to the command; what it points to must live until it has started. */
	void (*describe)(void *ctx, unsigned slot, struct pcore_proc_spec *spec);
	/* The item of a job. 0; -errno fails the job. The bytes are copied. With lines an item with a newline fails with
	 * -EBADMSG, on a terminal a long one with -EMSGSIZE, and PCORE_STEP_NONE. */
	int (*item)(void *ctx, const struct pcore_job *job, const char **ret, size_t *ret_len);
	/* What a worker writes to its stderr, NULL at the end. False: no more now, pcore_worker_resume_errors() follows. */
	bool (*errors)(void *ctx, unsigned slot, const char *data, size_t len);
	void (*news)(void *ctx, const struct pcore_worker_news *n);
	void *ctx;
};

/* The jobs of the pool are items: sent to workers that are started when an item finds none idle, as many as spec.jobs. An
 * idle worker has the first claim; a busy one is sent more ahead only as far as it answers fast (some 2 ms' worth, at most
 * window items). Output arrives as PCORE_JOB_STDOUT; a job that fails may have had some. */
int pcore_worker_new(struct pcore_executor **ret, struct pcore_loop *lp, const struct pcore_worker_spec *spec, struct pcore_err *err);

void pcore_worker_resume_errors(struct pcore_executor *ex, unsigned slot);

/* For an executor that is the home of workers: input() and input_over() of struct pcore_local_spec for these. */
int pcore_worker_input(void *ctx, struct pcore_job *job, struct pcore_piece *ret);
void pcore_worker_input_over(void *ctx, struct pcore_job *job, uint64_t left);

/* And from it, if it can know: the worker sleeps in a read and has read all that it was given; it has closed its output, or
 * its input before it had all of that; it has ended without having read any of it. */
void pcore_worker_waits(struct pcore_job *job);
void pcore_worker_silent(struct pcore_job *job);
void pcore_worker_unread(struct pcore_job *job);

/* Can this be sent to such a worker? 0, or why not: as item() says. */
int pcore_worker_check(const struct pcore_worker_spec *spec, const char *item, size_t len);

/* The job whose answer is due from the worker of a slot; NULL: none. */
struct pcore_job *pcore_worker_job(const struct pcore_executor *ex, unsigned slot);

/* How many workers have an item now. */
unsigned pcore_worker_busy(const struct pcore_executor *ex);

/* ---- the thread executor: a function of this process ---- */

struct pcore_threaded_spec {
	unsigned threads;  /* > 0; as many as the pool runs jobs, to begin with */
	const char *name;  /* of the threads, or NULL */
	size_t output_max; /* bytes of a job; 0: no limit but memory */
	/* Called in one of the threads, for several jobs at once: append the job's output to out and return its status, from
	 * 0 to 255. The job may be looked at, and what belongs to the owner in it written to. */
	int (*run)(void *ctx, struct pcore_job *job, struct pcore_buf *out);
	void *ctx;
};

/* Jobs cannot be ended: stopping the pool waits for those that run. Their output arrives when they are over. 0, -errno. */
int pcore_threaded_new(struct pcore_executor **ret, struct pcore_loop *lp, const struct pcore_threaded_spec *spec);

#endif
