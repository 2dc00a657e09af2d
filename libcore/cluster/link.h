/* SPDX-License-Identifier: MIT */
/*
 * link.h - a scheduler's side of the connection to a node: what the node says becomes events of the scheduler, what the scheduler
 * wants becomes frames.
 *
 * Whoever has the scheduler is the host: the private cluster of a pool (client.c), or a shared one. It describes jobs when they
 * are assigned, and is told what became of them. A link connects to its node again and again, or was accepted: then whoever has
 * it decides what its end means.
 */
#ifndef PCORE_CLUSTER_LINK_H
#define PCORE_CLUSTER_LINK_H

#include "libcore/cluster/scheduler.h"
#include "libcore/cluster/wire.h"
#include "libcore/net/net.h"
#include "libcore/pool/pool.h"

enum { LINK_ADDRS = 8, LINK_IDS = 64 };

struct link;
struct link_job;

struct link_ops {
	/* The job of this id that an attempt may be under way of; or NULL. */
	struct link_job *(*find)(struct link *l, uint64_t id);

	/* The node has an attempt: the job as it is known to have been assigned, or not. May be NULL: then find() is asked. */
	struct link_job *(*claimed)(struct link *l, const struct pcore_wire_adopt *a);

	/* START: whose attempt it is, and what is in m but id, attempt, time-out, priority, AHEAD and ids. What m refers to has been
	 * sent by link_send() when it returns. NULL: nothing is known of such a job, and nothing is sent. 0, -errno: the
	 * connection is given up. */
	int (*assign)(struct link *l, const struct pcore_sched_action *a, struct link_job **ret, struct pcore_wire_assign *m);

	/* ACK: false when it is sent later, by link_ack(). May be NULL. */
	bool (*ack)(struct link *l, const struct pcore_sched_action *a);

	/* Its peer is a scheduler, which calls a node by this number. May be NULL. 0, -ENOMEM. */
	int (*number)(struct link *l, uint32_t number, const char *name);

	void (*started)(struct link *l, struct link_job *j, const struct pcore_wire_started *s);
	/* The input of a job that was assigned with STREAM, piece by piece, from the beginning after input_again(): 1 with the next,
	 * which has to last until then, 0 when there is none now (link_feed() when there is), -ENODATA at its end. */
	int (*input)(struct link *l, struct link_job *j, struct pcore_piece *ret);
	void (*input_again)(struct link *l, struct link_job *j);
	void (*input_taken)(struct link *l, struct link_job *j); /* j->in.taken bytes, as the node says. May be NULL. */
	void (*input_over)(struct link *l, struct link_job *j, int error); /* it reads no more, or there is no more to be had of a piece */
	void (*quiet)(struct link *l, struct link_job *j, enum pcore_wire_quiet what); /* may be NULL */
	bool (*output)(struct link *l, struct link_job *j, enum pcore_wire_stream stream, const char *data, size_t len); /* false: no more until link_resume() */
	void (*ended)(struct link *l, struct link_job *j, const struct pcore_wire_done *d); /* d is j->done with its texts, which are valid now */

	/* What its workers write to standard error: false: no more until link_resume_errors(); and what becomes of them. Both may be
	 * NULL where there are none. w's texts and numbers are the node's. */
	bool (*errors)(struct link *l, uint64_t worker, const char *data, size_t len);
	void (*worker)(struct link *l, const struct pcore_wire_worker *w);

	/* It is there, and what it has is known. l->name has to be set: 0, -ENOMEM. */
	int (*joined)(struct link *l);
	uint32_t (*cpus)(struct link *l, uint32_t offered); /* how many of them to count on; NULL: all */
	void (*changed)(struct link *l); /* what it said of itself, or that it is not there any more */
	void (*gone)(struct link *l, const struct pcore_net_error *e); /* it had joined */
	void (*unreachable)(struct link *l, const struct pcore_net_error *e); /* and is tried again */
	void (*refused)(struct link *l, const struct pcore_net_error *e); /* it will never do */
	void (*closed)(struct link *l); /* and is not connected to again: link_free() is allowed */
	void (*pump)(struct link *l); /* the scheduler has something to say */
};

/* Part of the host. */
struct link_host {
	const struct link_ops *ops;
	struct pcore_loop *loop;
	struct pcore_net *net;
	struct pcore_sched *sched;
	bool closing; /* nothing is connected to again */
	bool stays;   /* it is started again as the same, and has its jobs then */
	uint32_t ahead_max; /* jobs that a node may be sent ahead, if not as it says; and within which time they end */
	int64_t ahead_ns;
};

struct link {
	struct pcore_list link;
	struct link_host *host;
	struct pcore_net_conn *conn; /* NULL: none */
	char *address;		     /* NULL: it came by itself, and is not connected to again */
	struct pcore_net_addr addrs[LINK_ADDRS];
	size_t n_addrs, try;	/* try: which of them is next */
	unsigned failures;	/* in a row: connections that were not made, or did not last */
	int64_t joined_ns;
	struct pcore_op retry;	/* when to connect again */
	bool told_draining; /* the host's */
	bool served, joined, told, refused; /* served: it has joined since it was connected to */
	bool returns;		/* it came by itself, and will again when it is cut off */
	bool handle_gone;	/* the scheduler waits for it */
	bool lasts;		/* what it has survives its process */
	char *node_body;	/* what it said of itself */
	struct pcore_wire_node node;
	uint32_t cpus;	  /* that the scheduler counts on */
	uint32_t ahead;	  /* jobs that it is sent ahead */
	const char *name; /* NULL: not known yet; the host's */
	uint64_t handle;	/* the scheduler's */
	struct pcore_buf claims; /* of struct pcore_sched_claim */
	struct pcore_buf buf;	/* frames to be sent */
	struct link_writer *acting; /* writes what the scheduler wants, or NULL */
	struct pcore_buf range;	/* a part of a file that is to be sent */
	struct pcore_list workers; /* that have written to standard error */
	struct pcore_list to_feed; /* jobs with input that were just assigned, or adopted */
	uint64_t jobs;	    /* that have ended there */
	uint64_t jobs_seen; /* the host's: of these, */
	unsigned hungry;    /* and how often it was seen that there was none more */
	int64_t job_ns;
	/* The host's: what the node has been sent, false and 0 when it joins. */
	bool prepared;
	uint32_t numbers; /* of templates, that were given out */
	unsigned dropped; /* templates whose workers are waited for */
	void *owner;   /* the host's */
};

/* The input of an attempt. */
struct link_input {
	bool open, over;    /* over: the job reads no more */
	bool waiting;	    /* for another piece */
	bool in_turn;	    /* the host's: nothing is sent before the job runs, and no piece before the one before was taken */
	bool held;	    /* it does not run yet */
	struct pcore_piece piece;
	uint64_t start;	      /* of the piece, in the stream */
	uint64_t sent, limit; /* up to limit may be sent */
	uint64_t taken;	      /* by the job, as far as was said */
	struct pcore_list link; /* in to_feed */
};

/* The attempt of a job that is under way. */
struct link_job {
	uint64_t id;
	uint32_t attempt; /* assigned last; 0: never */
	struct link *on;  /* NULL: nowhere */
	uint16_t ids[LINK_IDS];
	uint16_t n_ids;
	uint64_t received[2], granted[2];
	struct link_input in;
	bool refused[2]; /* there is no room for it: no more credit until link_resume() */
	bool ended;	 /* done is filled in; all of the output may not be here yet */
	struct pcore_wire_done done; /* without step and subject */
};

/* It is sent more ahead from now on, if it may. */
void link_ahead_more(struct link *l);

/* Its attempt is no more; before its end, and for a new one, zeroed. */
void link_job_forget(struct link_job *j);

/* All that it has written is here: tell the scheduler of its end, once. */
void link_job_settle(struct link_job *j);

/* It was successful, as far as its node can say. */
bool link_job_succeeded(const struct link_job *j);

/* There is a piece of its input. */
void link_feed(struct link_job *j);

/* Let its node send more of what it writes; resume: also of what was refused. */
void link_credit(struct link_job *j);
void link_resume(struct link_job *j);
void link_signal(struct link_job *j, int sig);

void link_count_cpus(struct link *l); /* anew */
void link_resume_errors(struct link *l, uint64_t worker);

/* Not yet connected; in no list. */
struct link *link_new(struct link_host *h);
int link_set_address(struct link *l, const char *text, const struct pcore_net_addr *addrs, size_t n); /* 0, -ENOMEM */
void link_connect(struct link *l);
void link_accept(struct link *l, struct pcore_net_conn *c); /* open, or about to be */
void link_close(struct link *l);
void link_free(struct link *l);

/* Carry out what the scheduler wants of its node. */
void link_act(struct link *l, const struct pcore_sched_batch *b);
void link_ack(struct link *l, uint64_t job, uint32_t attempt);

/* Send a body of the host's. A peer that does not take it is found out by net. */
void link_send(struct link *l, enum pcore_wire_type type, uint64_t id, const void *body, size_t len);

#endif
