/* SPDX-License-Identifier: MIT */
/*
 * pqueue.h - what pqueue is asked to do, and who does it.
 */
#ifndef PCORE_PQUEUE_H
#define PCORE_PQUEUE_H

#include "libcore/queue/queue.h"
#include "tools/cli/cli.h"

/* Strings are borrowed from argv. Times are ns, INT64_MAX for ever. */
struct pqueue_opts {
	const char *name; /* the first operand */
	char **words;	  /* the operands after it */
	size_t n_words;

	/* how items are told apart, in and out */
	bool null, delimiter, frames, whole;
	unsigned char delim; /* with delimiter */

	struct pcore_queue_config spec; /* create */
	bool sync; /* it was given */
	const char *copy_to; /* repair */

	uint64_t priority; /* put */
	int64_t delay;	   /* put, nack */
	const char *key;
	bool replace, close, no_create, ids;

	bool nowait; /* put, get */
	int64_t timeout;

	uint64_t count; /* get */
	bool all, follow;
	int64_t lease; /* get, touch; 0: none given */

	bool json, now, items;

	int64_t poll; /* recv; negative: none given */
	uint64_t max;
};

/* Where a queue is: a name in the runtime directory, or a path. */
struct pqueue_place {
	int dir; /* AT_FDCWD for a path */
	char *path;
};

/* Each verb returns the status to exit with. */
int pqueue_create(struct pqueue_opts *o);
int pqueue_put(struct pqueue_opts *o);
int pqueue_get(struct pqueue_opts *o);
int pqueue_peek(struct pqueue_opts *o);
int pqueue_ack(struct pqueue_opts *o);
int pqueue_nack(struct pqueue_opts *o);
int pqueue_touch(struct pqueue_opts *o);
int pqueue_dead(struct pqueue_opts *o); /* the name is what to do, the words are a name and ids */
int pqueue_join(struct pqueue_opts *o);
int pqueue_len(struct pqueue_opts *o);
int pqueue_stat(struct pqueue_opts *o);
int pqueue_list(struct pqueue_opts *o);
int pqueue_close(struct pqueue_opts *o);
int pqueue_rm(struct pqueue_opts *o);
int pqueue_repair(struct pqueue_opts *o);
int pqueue_send(struct pqueue_opts *o);
int pqueue_recv(struct pqueue_opts *o);
int pqueue_pipe(struct pqueue_opts *o); /* the words are a command, if there are any */
int pqueue_work(int argc, char **argv); /* parses its own */

/* The value of an option: 0, or a status after a message. */
int pqueue_opt_duration(const char *name, const char *value, int64_t *ret);

/* ---- names (name.c) ---- */

/* CLI_GO, or a status after a message. sub: the directory of the runtime directory for plain names. */
int pqueue_locate(const char *name, const char *sub, struct pqueue_place *ret);
void pqueue_place_done(struct pqueue_place *p);

/* Open o->name, made with o->spec if it is missing and create is set. CLI_GO, or a status after a message. */
int pqueue_open(const struct pqueue_opts *o, bool create, struct pcore_queue **ret);

/* Say what the opening of a queue found, if that was something. */
void pqueue_tell_found(const char *name, const struct pcore_queue *q);

/* "cannot WHAT 'NAME': why", and the status for an error that no verb takes for an answer. */
int pqueue_error(const char *what, const char *name, int error);

/* ---- input (input.c) ---- */

/* Items as they come from a descriptor. */
struct pqueue_input {
	int fd;
	bool frames, whole, eof, given;
	unsigned char delim;
	size_t item_max;
	struct pcore_buf buf;
	size_t start, scanned; /* of the next item; no delimiter before scanned */
	uint64_t count;	       /* items given so far */
};

void pqueue_input_init(struct pqueue_input *in, const struct pqueue_opts *o, int fd, size_t item_max);
void pqueue_input_done(struct pqueue_input *in);

/* The next items, at most n: as many as are there, and a wait for the first only. They point into the input's buffer until
 * the next call. 0 at the end; -EMSGSIZE: item number count + 1 is over the limit; -EBADMSG: the last frame is not
 * complete; -errno. */
ssize_t pqueue_input_next(struct pqueue_input *in, struct pcore_item *items, size_t n);

/* ---- output (output.c) ---- */

struct pqueue_output {
	int fd;
	bool frames;
	unsigned char delim;
	struct pcore_buf buf;
};

/* To standard output, unless fd is set afterwards. */
void pqueue_output_init(struct pqueue_output *out, const struct pqueue_opts *o);
void pqueue_output_done(struct pqueue_output *out);

/* Write items that stand in buf one after the other from offset `at' on, with a byte behind each (as gets leave them). id:
 * print the lease's name before each. CLI_GO, or a status after a message. */
int pqueue_output_items(struct pqueue_output *out, struct pcore_buf *buf, size_t at, const struct pcore_item *items, size_t n, bool id);
int pqueue_output_bytes(int fd, const void *data, size_t len);

#endif
