/* SPDX-License-Identifier: MIT */
/*
 * result.h - what a job of a named pool wrote and how it ended, until somebody fetches it.
 *
 * Output is held in memory as long as all that is held is within a limit; what is written beyond goes to unnamed files in
 * $TMPDIR. No job is started beyond the limit either, so there are never more of these files than jobs at a time, twice.
 */
#ifndef PCORE_PPOOL_RESULT_H
#define PCORE_PPOOL_RESULT_H

#include "libcore/base/base.h"

/* What all results of a pool hold. */
struct keeping {
	uint64_t bytes;	 /* all that counts: output, wherever it is, and the records of finished jobs */
	uint64_t memory; /* of these, output in memory */
	uint64_t max;
};

struct result {
	struct keeping *keeping;
	struct {
		struct pcore_buf head;
		int fd; /* of what follows */
		uint64_t rest;
	} streams[2];

	uint8_t status; /* as a shell has it */
	bool signalled, timed_out;
	uint8_t exit;	   /* status or signal */
	int error;	   /* an errno: it could not be run */
	enum pcore_step step;
	char *subject;	   /* malloc'd or NULL */
	uint32_t attempts;
	int64_t start_ns, wall_ns;
};

struct result *result_new(struct keeping *k); /* NULL without memory */
void result_free(struct result *r);	      /* NULL is fine */

int result_add(struct result *r, int stream, const char *data, size_t len); /* 0 or -errno */
void result_forget(struct result *r); /* the output: the job is tried again */
uint64_t result_size(const struct result *r, int stream);

/* Up to size bytes from offset on: how many (0 only at the end), or -errno. */
ssize_t result_read(const struct result *r, int stream, uint64_t offset, char *buf, size_t size);

#endif
