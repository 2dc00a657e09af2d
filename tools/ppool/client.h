/* SPDX-License-Identifier: MIT */
/*
 * client.h - the client's side of a named pool: one connection, requests out, frames in.
 *
 * It does no more than it must: no loop, no keeper; blocking reads, and a poll where there is a deadline.
 */
#ifndef PCORE_PPOOL_CLIENT_H
#define PCORE_PPOOL_CLIENT_H

#include "tools/cli/cli.h"
#include "tools/ppool/wire.h"

struct client {
	const char *name;
	int dfd, fd;
	struct pcore_buf in, out, text; /* text: for stdout, written before anything is waited for */
	size_t in_pos;
	int64_t deadline_ns; /* monotonic, INT64_MAX: none */
	bool lost;	     /* nothing more can be asked; told already */
	int watch_fd;	     /* client_frame() returns -EINTR when it is readable; -EBADF: none */
};

/* Connect to the pool and say hello; what is put into `out' next goes with it. CLI_GO; CLI_NO when there is no such pool,
 * CLI_DRAINED when it was closed and is drained (both without a message), CLI_FAILURE and the like after one. */
int client_open(struct client *c, const char *name);
void client_close(struct client *c);

/* The message that belongs to CLI_NO or CLI_DRAINED of client_open(); returns its argument. */
int client_no_pool(const char *name, int status);

/* Send all that is in `out'. 0 or -errno; a peer that does not listen any more is no error, for it may have said why. */
int client_send(struct client *c);

/* The next frame, valid until the next call: 0; -ETIMEDOUT, -EINTR, or -errno when the pool is lost. */
int client_frame(struct client *c, struct cli_frame *ret);

/* Bytes of the next frames without waiting: 1 with *ret, 0 when there is no whole one, -EPROTO. */
int client_parse(struct client *c, struct cli_frame *ret);
int client_receive(struct client *c, int flags); /* once; 0, -EAGAIN, -errno */

/* Write `text' to stdout. CLI_GO, or CLI_FAILURE after a message. */
int client_flush_text(struct client *c);

/* The connection has failed with r (from client_send() or client_frame()): say so. The status to leave with. */
int client_lost(struct client *c, int r);

/* Say why an answer is no. Returns its status. */
int client_refused(const struct wire_answer *a);

/* Send `out' and wait for the answer. CLI_GO with *ret_value, or the status to leave with after a message. */
int client_ask(struct client *c, uint64_t *ret_value);

/* A word of the command line that names a job. CLI_GO, or a usage error. */
int client_parse_id(const char *word, uint64_t *ret);
int client_parse_ids(char *const *words, uint64_t **ret, size_t *ret_n); /* malloc'd */

/* Take NAME (words[0]) and connect. CLI_GO, or the status to leave with after a message. */
int client_open_named(struct client *c, char *const *words, const char *usage);

/* Write a frame of output to where it belongs, and say how a job ended. CLI_GO or CLI_FAILURE; the job's status. */
int client_write_output(const struct cli_frame *f);
int client_job_status(const struct cli_frame *f, const char *command);

#endif
