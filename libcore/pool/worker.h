/* SPDX-License-Identifier: MIT */
/*
 * worker.h - one worker, and all of them: what worker.c and workers.c share.
 *
 * Each slot holds a worker: its process, the pipes (or the terminal) to it, and the jobs it was sent, oldest first; the
 * next answer is the first one's. Everything that happens to it goes through worker_step():
 *
 *   state     answer     exit       time is up          end()      last job, or its own last (items_max, idle)
 *   EMPTY     -          -          -                   -          -
 *   SERVING   SERVING*   DEAD**     ENDING***           ENDING     CLOSING
 *   CLOSING   CLOSING*   DEAD**     ENDING***           ENDING     -
 *   ENDING    -          DEAD**     -                   -          -
 *   DEAD      -          -          -                   -          -    EMPTY when nothing is left of it
 *
 *   *: more than was asked for: ENDING   **: when its output is read to the end; its first job has failed, the others are
 *   handed back   ***: where more time does not help; else it is told that it is slow
 */
#ifndef PCORE_POOL_WORKER_H
#define PCORE_POOL_WORKER_H

#include "libcore/pool/answers.h"

enum worker_state { EMPTY, SERVING, CLOSING, ENDING, DEAD };
enum worker_event { ANSWERS, EXITED, TIME_IS_UP, CLOSE, STOP };
enum cause { NOTHING, LATE, SURPLUS, SILENT, STUCK, STOPPED };

struct worker {
	struct pcore_proc proc;
	struct pcore_reader out, err;
	struct workers *pool;
	struct pcore_tree *tree;
	struct pcore_list roomy, unsent;
	unsigned slot;
	enum worker_state state;
	enum cause cause; /* of ENDING */

	int in_fd;
	struct pcore_op in_op, timer_op;
	struct pcore_buf in;
	size_t sent;	     /* of what is in there */
	uint64_t sent_total;
	int64_t timer_at, closed_at, silent_at;

	struct pcore_job **jobs; /* a ring */
	unsigned first, n, cap;
	struct pcore_answers answers;
	bool init_due, refused, told_slow;
	bool exited, gone; /* the command is; all of its tree is */
	uint64_t n_items, n_answers, last_seq;

	unsigned ahead;	    /* how many it may have */
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
	struct worker **slots;
	unsigned n_slots, jobs, live, busy;
	struct pcore_list roomy;  /* can take an item; the idle ones first */
	struct pcore_list unsent; /* have something to write */
	unsigned unfit;		  /* in a row */
	bool given_up;
	int64_t real_offset; /* of the realtime clock to the loop's */
	char *buf;
};

/* An empty one: its operations and readers know it. */
void worker_init(struct worker *w);

/* All that happens to it. */
void worker_step(struct worker *w, enum worker_event ev);

struct pcore_job *worker_first_job(const struct worker *w); /* or NULL */
bool worker_is_idle(const struct worker *w);
int worker_make_place(struct worker *w); /* for a job more: 0, -ENOMEM */
void worker_add_job(struct worker *w, struct pcore_job *job);

/* Send it this, with worker_pump(). 0, -ENOMEM. */
int worker_put(struct worker *w, const char *data, size_t len);
void worker_pump(struct worker *w);

/* After something that bears on it: the next answer (or item) is waited for from now on; whether it can take an item; when
 * it has to be looked at. */
void worker_begin_wait(struct worker *w, int64_t now);
void worker_place(struct worker *w);
void worker_set_timer(struct worker *w);

#endif
