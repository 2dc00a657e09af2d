/* SPDX-License-Identifier: MIT */
/*
 * ask.h - a client's connection to a scheduler that serves many: calls and what answers them.
 *
 * The connection is made again whenever it breaks, and then every call that is not over is said again: a submit has a token,
 * so that it counts once, and a watch goes on where it was. When there was no connection for wait_ns, or the scheduler
 * will never have us, failed() is called once and nothing more happens.
 *
 * One thread, the loop's. Callbacks come from the loop, never from within a function that the owner calls.
 */
#ifndef PCORE_CLUSTER_ASK_H
#define PCORE_CLUSTER_ASK_H

#include "libcore/cluster/wire_client.h"
#include "libcore/loop/loop.h"
#include "libcore/net/net.h"

struct pcore_ask;

enum { PCORE_ASK_ADDRS = 8 };

/* addrs and their text are borrowed for its life. */
struct pcore_ask_spec {
	struct pcore_net *net; /* our end, as a client */
	const struct pcore_net_addr *addrs; /* of the scheduler: any of them */
	size_t n_addrs;
	int64_t wait_ns; /* INT64_MAX: for ever */
	void (*lost)(void *ctx, const struct pcore_net_error *e); /* it is tried again; told once until it is back */
	void (*failed)(void *ctx, const struct pcore_net_error *e);
	void *ctx;
};

/* 0, -ENOMEM. It connects at once. */
int pcore_ask_new(struct pcore_ask **ret, struct pcore_loop *lp, const struct pcore_ask_spec *spec);

/* End the connection, when what was said has been sent. The loop has to turn until it runs out of operations. */
void pcore_ask_close(struct pcore_ask *a);
void pcore_ask_free(struct pcore_ask *a); /* NULL is fine */

/* The name of a node that the scheduler has numbered; "" for 0 and for one that is not known. */
const char *pcore_ask_node(const struct pcore_ask *a, uint32_t number);

/* Leave in the socket what comes, and go on. */
void pcore_ask_pause(struct pcore_ask *a);
void pcore_ask_resume(struct pcore_ask *a);

/*
 * A call, the owner's, from pcore_ask_begin() to pcore_ask_end(). body is what it says; put (or NULL) makes it anew for each
 * connection instead. heard() is given whatever comes with its id, and may end it.
 */
struct pcore_ask_call {
	struct pcore_list link;
	struct pcore_ask *ask; /* NULL: it is none */
	uint64_t id;
	enum pcore_wire_type type;
	struct pcore_buf body;
	int (*put)(struct pcore_ask_call *c, struct pcore_buf *body);
	void (*said)(struct pcore_ask_call *c); /* or NULL */
	int (*heard)(struct pcore_ask_call *c, const struct pcore_wire_frame *f); /* 0; -EPROTO: what makes no sense */
};

/* Say it now, or when there is a connection. */
void pcore_ask_begin(struct pcore_ask *a, struct pcore_ask_call *c);

/* It is over; its body is freed. Fine for one that has not begun. */
void pcore_ask_end(struct pcore_ask_call *c);

/* ---- what becomes of jobs ---- */

enum { PCORE_ASK_WINDOW = 1 << 20 };

struct pcore_watch;

/* started: another attempt of a job, or its first. over: the watch has ended. All but output and over may be NULL. */
struct pcore_watch_ops {
	void (*started)(struct pcore_watch *w, uint64_t seq, const struct pcore_wire_started *s);
	void (*output)(struct pcore_watch *w, uint64_t seq, enum pcore_wire_stream stream, const char *data, size_t len);
	void (*done)(struct pcore_watch *w, const struct pcore_wire_done *d); /* d->job: its number in the submission */
	void (*over)(struct pcore_watch *w, const struct pcore_wire_answer *a);
};

/* The owner's. Fill in what stands before the line, the rest with zeros. */
struct pcore_watch {
	const struct pcore_watch_ops *ops;
	uint64_t submission, from, to;
	unsigned flags; /* PCORE_WIRE_WATCH_RESULTS ... */
	/* ---- */
	struct pcore_ask_call call;
	uint64_t seq; /* of the job that outputs belong to */
	uint32_t attempt;
	uint64_t received[2];
	uint64_t heard, granted; /* bytes of outputs in this connection */
	size_t pending;		 /* bytes that the owner has not taken yet */
};

void pcore_watch_begin(struct pcore_ask *a, struct pcore_watch *w);

/* n more bytes of what output() was given are not needed any more: so many more may come. */
void pcore_watch_took(struct pcore_watch *w, size_t n);
void pcore_watch_end(struct pcore_watch *w); /* fine for one that has not begun, or is over */

#endif
