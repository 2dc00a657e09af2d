/* SPDX-License-Identifier: MIT */
/*
 * control.h - what is asked of timers that have a name, over the socket in their directory.
 *
 * A client sends one frame (frame.h) and gets any number of TIMER frames, then an ANSWER; pcore-wire(7) has the layout. Only our own
 * user may ask.
 */
#ifndef PCORE_PTIMER_CONTROL_H
#define PCORE_PTIMER_CONTROL_H

#include "libcore/loop/loop.h"
#include "tools/cli/frame.h"

enum { CONTROL_VERSION = 1 };

enum control_type {
	CONTROL_LIST = 1,
	CONTROL_CANCEL,	 /* a timer, or all */
	CONTROL_TRIGGER,
	CONTROL_ENTER,
	CONTROL_TIMER = 64,
	CONTROL_ANSWER,
};

enum control_state { CONTROL_WAITING, CONTROL_RUNNING, CONTROL_DONE, CONTROL_STATES };

/* One of the list. */
struct control_timer {
	const char *name; /* "": the only one */
	uint8_t state;
	int64_t next_ns; /* realtime, 0: nothing is due */
	int32_t offset_s; /* of its zone, then */
	uint64_t runs, failures;
	bool has_run;	/* a job of it is over: */
	uint8_t status; /* as a shell has it */
	uint8_t signal; /* that it died of, 0: none */
	struct cli_words argv; /* none: its ticks are lines */
};

/* An event to come. */
struct control_event {
	int64_t delay_ns;
	int32_t priority;
	uint32_t umask;
	const char *dir;
	struct cli_words env, argv;
};

struct control_answer {
	uint8_t status;
	const char *text; /* with CLI_OK: what to print, or ""; else why not */
};

/* Each appends a frame: 0, -ENOMEM, -EMSGSIZE. */
int control_put_name(struct pcore_buf *b, enum control_type type, const char *name); /* LIST, CANCEL, TRIGGER; "": all of them */
int control_put_event(struct pcore_buf *b, const struct control_event *e, char *const *env, char *const *argv);
int control_put_timer(struct pcore_buf *b, const struct control_timer *t, char *const *argv);
int control_put_answer(struct pcore_buf *b, uint8_t status, const char *text);

/* Each reads the body of a frame: 0, -EPROTO; of a request -EPROTONOSUPPORT when it is of another version. */
int control_get_name(const struct cli_frame *f, const char **ret);
int control_get_event(const struct cli_frame *f, struct control_event *ret);
int control_get_timer(const struct cli_frame *f, struct control_timer *ret);
int control_get_answer(const struct cli_frame *f, struct control_answer *ret);

/* ---- the server ---- */

struct runner;

struct control {
	struct runner *runner;
	int listen_fd;
	struct pcore_op accept_op, again_op;
	struct pcore_list conns, places;
	unsigned n_conns;
	bool stopped;
};

int control_start(struct control *c, struct runner *r); /* CLI_GO, or a status after a message */
void control_stop(struct control *c);			 /* the ops come home */
void control_done(struct control *c);

/* Append a TIMER frame for each timer, in the order in which they are due. 0, -ENOMEM. */
int control_put_list(struct pcore_buf *b, struct runner *r, bool over);

#endif
