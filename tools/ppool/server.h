/* SPDX-License-Identifier: MIT */
/*
 * server.h - the server of a named pool: one process, one loop.
 *
 *   conn.c     connections: bytes in, frames out, backpressure both ways
 *   request.c  what a client asks for, and when it gets it
 *   server.c   jobs that run, and how long the server lives
 *
 * A callback only notes what has happened: connections that have something to do are `due', and server_turn() runs them, so
 * nothing is freed under anybody's feet. All of it belongs to the loop's thread.
 */
#ifndef PCORE_PPOOL_SERVER_H
#define PCORE_PPOOL_SERVER_H

#include "libcore/pool/pool.h"
#include "tools/cli/jobs.h"
#include "tools/cli/signals.h"
#include "tools/ppool/named.h"
#include "tools/ppool/result.h"
#include "tools/ppool/table.h"

enum {
	ENV_EXTRA = 3,
	OUT_MAX = 256 * 1024, /* bytes for a slow reader, before what makes them is held back */
	PIECE = 64 * 1024,    /* at a time, in and out */
};

enum conn_state {
	CONN_IDLE,
	CONN_QUEUEING,	  /* its SUBMIT, first in `in', waits for room */
	CONN_APPLYING,	  /* its job waits or runs */
	CONN_GETTING,	  /* a result that is not there yet */
	CONN_SENDING,	  /* a result */
	CONN_WAITING,
	CONN_LISTING,
	CONN_CANCELLING,  /* a running job, which has to end */
	CONN_JOINING,
	CONN_TERMINATING,
	CONN_CLOSING,	  /* when all is sent */
};

struct conn {
	struct server *server;
	struct pcore_op op; /* the poll of fd */
	struct pcore_list link, due, parked;
	int fd;
	enum conn_state state;
	unsigned interest; /* of the poll that is pending */
	struct pcore_buf in, out;
	size_t in_pos; /* what stands before is done with */
	bool greeted;
	bool again; /* something has happened since it was last run */
	bool dead, left; /* in the server's list of dead ones; and what it had under way is cleared away */

	struct shared *env, *dir; /* of SETUP: references */
	mode_t umask;
	struct job *job;    /* its own that is applied, or whose result it was sent and may drop */
	uint64_t id;	    /* GETTING, CANCELLING */
	int stream;	    /* SENDING: from here on */
	uint64_t offset;
	uint64_t *ids;	    /* WAITING: sorted; LISTING: from pos on */
	size_t n_ids, pos, n_left;
	bool any;
	uint64_t missed; /* WAITING: one that was cancelled */
};

struct server {
	const struct server_opts *opts;
	struct pool_dir *dir;
	struct pcore_loop *loop;
	struct pcore_keeper *keeper;
	struct pcore_executor *ex;
	struct pcore_pool *pool;
	struct pcore_err err;
	struct cli_signals signals;
	struct cli_log log;
	int listen_fd;
	struct pcore_op accept_op, accept_again_op, turn_op, idle_op, end_op;

	struct table table;
	struct keeping keeping;
	struct pcore_list conns, due, dead, parked;
	unsigned n_conns, conns_max;
	uint64_t n_fetching; /* results that are being sent, or were and may yet be dropped */
	unsigned jobs;
	bool paused, closed, terminating, ending, pool_idle;

	struct pcore_proc_limit limits[PCORE_PROC_LIMITS_MAX + 1];
	size_t n_limits;
	char **argv, **envp; /* of the job that is being started */
	char env_text[ENV_EXTRA][40];
};

/* conn.c */
int conn_new(struct server *s, int fd); /* takes fd */
void conn_drop(struct conn *c);		/* from anywhere: only noted, freed later */
void conn_due(struct conn *c);
bool conn_flush(struct conn *c); /* send what can be sent; false: something is left, or the peer is gone */
void conn_watch(struct conn *c);
void conn_free_dead(struct server *s);
/* Each appends a frame; without memory the connection is dropped. */
void conn_answer(struct conn *c, int status, uint64_t value, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void conn_check(struct conn *c, int r); /* what wire_put_*() has returned */

/* request.c */
bool request_advance(struct conn *c); /* one step: a request, a piece of an answer; false: nothing to do now */
void request_leave(struct conn *c);   /* the connection ends: what it had under way */
void request_job_over(struct server *s, struct job *job);
void request_job_output(struct conn *c, int stream, const char *data, size_t len);
void request_end_all(struct server *s);	    /* the server ends: answers for those who wait */
void request_answer_joiners(struct server *s, bool failed);

/* server.c */
void server_turn(struct server *s);
void server_turn_soon(struct server *s);
void server_accept(struct server *s);
void server_terminate(struct server *s);
void server_room(struct server *s); /* the queue may have room for whoever waits for it */
void server_forget(struct server *s, struct job *job); /* with its result */
void server_log(struct server *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
