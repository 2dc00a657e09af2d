/* SPDX-License-Identifier: MIT */
/*
 * worker.h - one worker, and all of them: what worker.c, workers.c, worker_proc.c and worker_job.c share.
 *
 * Each slot holds a worker: what it is (its seat), and the jobs it was sent, oldest first; the next answer is the first
 * one's. Everything that happens to it goes through worker_step():
 *
 *   state     worker_up()  answer     exit       time is up   end()      last job, or its own last (items_max, idle)
 *   EMPTY     SERVING      -          -          -            -          -
 *   STARTING  SERVING      -          DEAD       -            ENDING     ENDING, unless an item waits for it
 *   SERVING   -            SERVING*   DEAD**     ENDING***    ENDING     CLOSING
 *   CLOSING   -            CLOSING*   DEAD**     ENDING***    ENDING     -
 *   ENDING    -            -          DEAD**     -            -          -
 *   DEAD      -            -          -          -            -          -    EMPTY when nothing is left of it
 *
 *   *: more than was asked for: ENDING   **: when its output is read to the end; its first job has failed, the others are
 *   handed back; lost with its machine: it may be handed back, too   ***: where more time does not help; else it is told that it is slow
 */
#ifndef PCORE_POOL_WORKER_H
#define PCORE_POOL_WORKER_H

#include "libcore/pool/answers.h"

enum worker_state { EMPTY, STARTING, SERVING, CLOSING, ENDING, DEAD };
enum worker_event { ANSWERS, EXITED, TIME_IS_UP, CLOSE, STOP };
enum cause { NOTHING, LATE, SURPLUS, SILENT, STUCK, STOPPED };

struct worker;
struct workers;

/* What a worker is. */
struct worker_seat {
	int (*begin)(struct workers *l); /* once for all of them: 0, -ENOMEM */
	void (*finish)(struct workers *l);
	int (*make)(struct worker *w, struct pcore_err *err); /* once for a slot: 0, -errno */
	void (*unmake)(struct worker *w);
	int (*start)(struct worker *w, struct pcore_err *err); /* 0 with worker_up(), or STARTING and it follows; -errno */
	void (*pump)(struct worker *w); /* send what is in w->in, and after it the end if it is CLOSING */
	void (*drop)(struct worker *w); /* send nothing more: it is DEAD */
	void (*end)(struct worker *w);	/* ask it to, and kill it after the grace */
	void (*kill)(struct worker *w);
	void (*pass_on)(struct worker *w, int sig); /* a signal, to all its processes */
	void (*pause)(struct worker *w); /* its output is not wanted */
	void (*resume)(struct worker *w);
	void (*resume_errors)(struct worker *w);
	bool (*waits)(const struct worker *w);	  /* for input */
	bool (*has_read)(const struct worker *w); /* some of its input, as far as is known */
	bool (*is_over)(const struct worker *w);  /* it has ended, and all that it wrote was taken */
	bool (*is_gone)(const struct worker *w);  /* and nothing is left of it */
};

extern const struct worker_seat worker_proc; /* a process of this machine */
extern const struct worker_seat worker_job;  /* a job of another executor */

struct worker {
	const struct worker_seat *seat;
	struct workers *pool;
	struct pcore_list roomy, unsent;
	unsigned slot;
	enum worker_state state;
	enum cause cause; /* of ENDING */
	unsigned number; /* what it is called */
	pid_t pid;
	const char *node; /* where it is; NULL: here */
	struct pcore_exit exit; /* when it has exited */
	struct pcore_op timer_op;
	int64_t timer_at, closed_at, silent_at;
	struct pcore_buf in; /* to be sent */

	/* a process */
	struct pcore_proc proc;
	struct pcore_tree *tree;
	struct pcore_reader out, err;
	struct pcore_op in_op;
	int in_fd;
	size_t sent; /* of what is in there */
	uint64_t sent_total;
	bool gone; /* all of its tree is */

	/* a job */
	struct pcore_job job;
	struct pcore_list wanted; /* until its pool has asked for it */
	struct pcore_job *parked; /* an item that waits for it; then it is in the pool's list of these by roomy */
	struct pcore_buf going;	  /* given and not taken yet */
	uint64_t given;
	struct pcore_err error; /* why it could not be started */
	bool asked;    /* for more input, when there was none */
	bool has_read, unread; /* when it has ended; as was told */
	bool paused, over;
	bool lost; /* with the machine it was on */

	struct pcore_job **jobs; /* a ring */
	unsigned first, n, cap;
	struct pcore_answers answers;
	bool init_due, refused, told_slow, told_cut;
	uint64_t written; /* of the answer so far */
	bool exited;
	uint64_t n_items, n_answers, last_seq;

	unsigned ahead;	    /* how many it may have */
	unsigned block;	    /* and so many at least, as it answers in blocks */
	bool filling;	    /* up to that; then not before half of them are answered, so that it is sent many at once */
	int64_t since;	    /* the first job is the first */
	int64_t slow_since; /* it was told (or began) */
	int64_t hungry_at, hungry_after; /* when to look whether it wants more, and how long that was after the last time */
	int64_t mark;	    /* answers were counted from here */
	int64_t service;    /* ns an answer takes */
};

struct workers {
	struct pcore_executor ex; /* first */
	struct pcore_loop *loop;
	struct pcore_worker_spec spec;
	const struct worker_seat *seat; /* of all of them */
	struct worker **slots;
	unsigned n_slots, jobs, live, busy;
	struct pcore_list roomy;  /* can take an item; the idle ones first */
	struct pcore_list unsent; /* have something to write */
	unsigned unfit;		  /* in a row */
	bool given_up;
	int64_t real_offset; /* of the realtime clock to the loop's */
	char *buf; /* that processes are read into */

	/* jobs */
	struct pcore_pool *home;
	struct pcore_list wanted, parked;
	unsigned room; /* as it was when its executor asked last */
	bool home_idle; /* no worker will be wanted, and there is none */
};

/* An empty one: its operations and readers know it. */
void worker_init(struct worker *w);

/* All that happens to it. */
void worker_step(struct worker *w, enum worker_event ev);

struct pcore_job *worker_first_job(const struct worker *w); /* or NULL */
bool worker_is_idle(const struct worker *w);
int worker_make_place(struct worker *w); /* for a job more: 0, -ENOMEM */
void worker_add_job(struct worker *w, struct pcore_job *job);

/* Its item that waits goes back to the dispatcher. */
void worker_unpark(struct worker *w);

/* As many as there may be now. */
unsigned workers_max(const struct workers *l);

/* It was STARTING, and runs. */
void workers_up(struct worker *w);

/* Items that wait for a worker to start go to those that have room. */
void workers_hand_out(struct workers *l);

/* Send it this, when it is pumped next. 0, -ENOMEM. */
int worker_put(struct worker *w, const char *data, size_t len);

/* From its seat: it runs; this is what it wrote (refused and begun: no more until resume()); it has closed its input or output. */
void worker_up(struct worker *w);
void worker_wrote(struct worker *w, const char *data, size_t len);
void worker_fell_silent(struct worker *w);

/* It has items and reads on: it answers in blocks. */
void worker_wants_more(struct worker *w);

/* After something that bears on it: the next answer (or item) is waited for from now on; whether it can take an item; when
 * it has to be looked at. */
void worker_begin_wait(struct worker *w, int64_t now);
void worker_place(struct worker *w);
void worker_set_timer(struct worker *w);

#endif
