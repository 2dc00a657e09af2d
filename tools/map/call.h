/* SPDX-License-Identifier: MIT */
/*
 * call.h - `call': jobs are calls of a C function, in threads of ours or in processes that stay.
 *
 * Processes are workers (workers.h) that run ourselves as `call-worker', which answers each item with a frame. In threads a job
 * is an item too, or, where nothing needs to know of each one, a block of items that are there already: so many as take
 * about BATCH_NS, by what the last ones took. A function that takes long gets one at a time.
 */
#ifndef PCORE_MAP_CALL_H
#define PCORE_MAP_CALL_H

#include <pcore/plugin.h>

#include "libcore/pool/pool.h"
#include "tools/cli/opts.h"
#include "tools/map/source.h"

struct map_opts;

enum { CALL_OUTPUT_MAX = 64 << 20, CALL_READ = 64 * 1024 }; /* bytes of an item, or a block; read at once */

struct call_opts {
	bool call; /* the verb is call */
	bool threads, processes;
};

extern const struct cli_opt call_table[];

/* Of a job that is a block of items. Zeroed; owns the bytes. */
struct call_job {
	char *block;
	size_t len, n;
	int64_t ns; /* what it took, or 0 */
};

struct call {
	int (*fn)(const void *item, size_t size, struct pcore_out *out);
	void *handle;
	char *path, *symbol;
	char *argv[5]; /* of a process */
	bool threads, batched;
	unsigned char delim;
	double item_ns; /* what an item takes; 0: not known yet */
	size_t n;	/* items in a block, at most */
};

/* Do the options go together? Fills in those of workers. CLI_GO or a status. */
int call_check(struct map_opts *o);

/* Load the function that the word LIB.so:SYMBOL names. CLI_GO, or a status after a message. */
int call_open(struct call *c, const struct map_opts *o);
void call_done(struct call *c);

/* The function for one item: the status of the item. */
int call_one(const struct call *c, const char *item, size_t size, struct pcore_buf *out);

/* The next block for a job, as source_next(). */
int call_next(struct call *c, struct source *s, struct call_job *j);
/* All of a block: the status of the first item that failed, or 0. In any thread. */
int call_block(const struct call *c, struct call_job *j, struct pcore_buf *out);
void call_learn(struct call *c, const struct call_job *j);

/* What a process does: call-worker PATH SYMBOL. */
int call_worker(int argc, char **argv);

#endif
