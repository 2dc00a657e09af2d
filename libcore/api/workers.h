/* SPDX-License-Identifier: MIT */
/*
 * workers.h - one process of a pool, and what it and the pool say to each other.
 *
 * Requests and answers are frames on a socket, all of them a multiple of 16 bytes, so that what is in them is aligned in
 * any buffer. Answers are sent many at a time. Those that were not sent yet stand in memory that both share, and so does the
 * number of the item at hand: a process that dies loses neither what it has done nor the name of what killed it.
 */
#ifndef PCORE_API_WORKERS_H
#define PCORE_API_WORKERS_H

#include <pcore/pool.h>

#include "libcore/api/api.h"

enum { FRAME_ALIGN = 16, SHARED_SIZE = 64 * 1024, RECEIVE_SIZE = 256 * 1024 };

struct request {
	uint64_t seq; /* from 1, a process's own */
	uint64_t size;
	pcore_pool_fn fn;	    /* or */
	pcore_pool_star_fn star_fn; /* its item: the number of arguments, their sizes, and their bytes */
};

struct answer {
	uint64_t seq; /* 0: the process is ready, or unfit */
	uint64_t size;
	int64_t status;
	uint64_t unused;
};

_Static_assert(sizeof(struct request) % FRAME_ALIGN == 0 && sizeof(struct answer) % FRAME_ALIGN == 0, "aligned");

struct shared {
	uint64_t begun; /* the request at hand, or the last one */
	uint64_t len;	/* of the answers that may not be sent yet */
	char answers[SHARED_SIZE];
};

struct worker_process {
	int fd;
	pid_t pid;
	int pidfd;
	struct shared *shared;
	struct pcore_list tasks; /* unanswered, oldest first */
	unsigned n;
	uint64_t given, answered; /* requests */
	struct pcore_buf out, in;
	size_t sent; /* of out */
	bool ready, closing, filling;
	unsigned ahead;	   /* how many it may have */
	int64_t since;	   /* when it began with the first of these, or answered the one before */
	int64_t service;   /* ns a call takes */
};

struct worker_start {
	int (*init)(void *arg);
	void *arg;
	int parent_pidfd;
	const int *close_fds; /* other processes' */
	size_t n_close;
};

/* Start one, in a zeroed struct. 0, -errno. */
int pcore_worker_process_start(struct worker_process *w, const struct worker_start *start);

/* It is dead, or killed here, and reaped: how it ended. */
void pcore_worker_process_end(struct worker_process *w, bool kill, struct pcore_exit *ret);
void pcore_worker_process_done(struct worker_process *w);

static inline size_t frame_padded(size_t n)
{
	return (n + FRAME_ALIGN - 1) & ~(size_t)(FRAME_ALIGN - 1);
}

#endif
