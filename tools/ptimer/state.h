/* SPDX-License-Identifier: MIT */
/*
 * state.h - up to when each timer's ticks are dealt with, in a file that outlives the process.
 *
 * A tick is recorded first and made when the record is on the disk. So none is made twice; one that was recorded when the process
 * was killed, or the machine went down, is not made any more.
 *
 * The file is text. Its first line is "ptimer-state 1", each other one "CRC TIME KEY": what is due of the timer KEY up to TIME (ns
 * since the epoch) is dealt with. Of several lines with one key the last one counts. CRC is the CRC-32C, in hex, of what follows the
 * blank behind it. Lines are added at the end, and when there are too many the file is replaced. What follows the last newline was
 * being written when the machine went down: it is left out. Everything else that is not as it should be is damage.
 *
 * While a process uses the file it is locked with flock(2). Records that come while the disk is busy are written together.
 */
#ifndef PCORE_PTIMER_STATE_H
#define PCORE_PTIMER_STATE_H

#include "libcore/loop/loop.h"

enum { STATE_KEY_MAX = 1024, STATE_FILE_MAX = 64 << 20 };

/* Embedded in what waits for its record. */
struct state_wait {
	struct pcore_list link;
};

struct state {
	int dfd, fd;
	char *name; /* of the file in dfd */
	size_t bad_line;
	struct pcore_map entries;
	struct pcore_list all; /* of the entries */
	size_t size, compact_at; /* bytes: of the file, and when it is replaced */

	struct pcore_loop *loop;
	struct pcore_op sync_op;
	struct pcore_list added, syncing; /* of those that wait */
	bool stopped;
	void *ctx;
	void (*recorded)(void *ctx, struct state_wait *w, int error); /* it is on the disk, or cannot be */
};

/* Open the file at path, or make it, and read it. -EBUSY: another process has it. -EBADMSG: it is damaged, in s->bad_line. -EFBIG:
 * it is none of ours, being larger than STATE_FILE_MAX. Else -errno. In any case state_done() is due, which is also fine for one that is zeroed. */
int state_open(struct state *s, const char *path);
void state_done(struct state *s);

/* The loop that state_add() uses. Set ctx and recorded before, after state_open(). */
void state_start(struct state *s, struct pcore_loop *lp);
void state_stop(struct state *s); /* the op comes home; nobody who waits is told any more */

/* What is recorded of the key. False: nothing is. */
bool state_find(const struct state *s, const char *key, int64_t *ret_time);

/* Can it be a key? It has a length, but none beyond STATE_KEY_MAX, and no control characters. */
bool state_is_key(const char *key);

/* Record the time. recorded() follows for w (may be NULL: nobody waits), which until then belongs to s, in a later turn of the loop.
 * 0, or -errno: nothing is recorded, and w is not told. */
int state_add(struct state *s, const char *key, int64_t time, struct state_wait *w);

#endif
