/* SPDX-License-Identifier: MIT */
/*
 * session.h - a verb of psubmit that speaks with a scheduler: the loop, the connection, what is printed, and the status.
 */
#ifndef PCORE_PSUBMIT_SESSION_H
#define PCORE_PSUBMIT_SESSION_H

#include "tools/cli/signals.h"
#include "tools/psubmit/psubmit.h"

struct session;

/* What goes to one of our outputs: one part is being written while the next one gathers. */
struct session_out {
	struct session *session;
	struct pcore_op op;
	int fd;
	struct pcore_buf gathers, goes;
	size_t gone;
	struct pcore_watch *of[2]; /* whose output gathers and goes; NULL: nobody's */
};

struct session {
	struct pcore_loop *loop;
	struct pcore_net *net;
	struct pcore_ask *ask;
	struct psubmit_addrs addrs;
	struct session_out out[2];
	struct pcore_op timer;
	bool over;
	int status;
	int fatal; /* what to leave with whatever the verb thinks; CLI_GO: nothing */
	const char *late; /* what to say when the time is up */
};

/* Connect to the scheduler that the options name. CLI_GO, or a status after a message. */
int session_open(struct session *s);

/* Print; text of a watch is taken from it (pcore_watch_took()) when it is written. A verb that prints much without a watch is
 * slowed by its connection. */
void session_print(struct session *s, enum pcore_wire_stream stream, struct pcore_watch *w, const char *data, size_t len);

/* The same from a buffer, which is emptied. */
void session_flush(struct session *s, struct pcore_buf *b);

/* End with 124 when it is not over by then. 0: no limit. */
void session_limit(struct session *s, int64_t timeout_ns);

/* The verb is done. The first status counts. */
void session_over(struct session *s, int status);

/* Until it is over and all is written; the status. */
int session_run(struct session *s);
void session_close(struct session *s); /* of one that could not be opened too */

/* ---- calls that are answered by rows and an ANSWER, or by one or the other ---- */

struct session_call {
	struct pcore_ask_call call;
	struct session *session;
	int (*row)(struct session_call *c, const struct pcore_wire_frame *f); /* NULL: there are none */
	void (*over)(struct session_call *c, const struct pcore_wire_answer *a);
};

/* Begin it; its body has been put. */
void session_call(struct session *s, struct session_call *c, enum pcore_wire_type type);

/* A refusal's message, about an id or (NULL) about nothing in particular; its status. CLI_OK is silent. */
int session_refused(const struct pcore_wire_answer *a, const char *id);

#endif
