/* SPDX-License-Identifier: MIT */
/*
 * output.h - a command's output on its way through prun: cut, copied, stamped, captured, watched for a line.
 *
 *   pipe -> cut at --max-output -> look for the ready line -> time stamps -> --tee file -> stdout or stderr, at once or at
 *   the end
 *
 * One struct output serves all attempts of a run; the readers are new with each.
 */
#ifndef PCORE_PRUN_OUTPUT_H
#define PCORE_PRUN_OUTPUT_H

#include "libcore/proc/proc.h"
#include "tools/cli/collate.h"
#include "tools/cli/jobs.h"

struct output_spec {
	bool capture;		/* keep it all and print it when told to */
	bool timestamps;
	uint64_t buffer;	/* bytes kept in memory */
	uint64_t max;		/* of each stream; 0: no limit */
	struct cli_log *logs;	/* of stdout and stderr: what comes goes there and nowhere else; NULL */
	int tee_fd;		/* -EBADF: none */
	const char *tee_name;
	const char *ready_line; /* NULL: none is looked for */
	void *ctx;
	void (*closed)(void *ctx);		  /* all readers of the attempt have ended */
	void (*ready)(void *ctx);		  /* the line came */
	void (*failed)(void *ctx, int fd, int error); /* cannot write to 1, 2 or (fd 3) the --tee file */
};

struct output_stream {
	struct pcore_reader reader;
	struct output *output;
	bool open;
	bool mid_line;
	bool truncated;
	uint64_t bytes; /* that the command wrote */
	size_t matched; /* of the ready line; SIZE_MAX: this line is another */
};

struct output {
	struct output_spec spec;
	struct pcore_loop *loop;
	struct cli_collator *collator;
	struct cli_output *out;
	struct output_stream streams[2];
	struct pcore_buf stamped;
	char *buf;
	size_t buf_size;
	bool is_ready, dropped;
};

int output_init(struct output *o, struct pcore_loop *lp, const struct output_spec *spec); /* 0, -ENOMEM */
void output_done(struct output *o); /* when the loop has run out */

/* Read an attempt's pipes; -EBADF for a stream that is no pipe. Takes those it starts. 0 or -errno. */
int output_start(struct output *o, int out_fd, int err_fd);
bool output_open(const struct output *o);

/* The command's tree is gone: take what is left in the pipes. */
void output_finish(struct output *o);

/* The attempt will be followed by another: forget what was captured. */
void output_forget(struct output *o);

/* No more comes. What was captured is printed now, or forgotten. */
void output_end(struct output *o, bool print);

#endif
