/* SPDX-License-Identifier: MIT */
/*
 * answers.h - where one answer of a worker ends and the next begins. Pure.
 */
#ifndef PCORE_POOL_ANSWERS_H
#define PCORE_POOL_ANSWERS_H

#include "libcore/pool/pool.h"

struct pcore_answers {
	struct pcore_answer_form form;
	bool begun;	 /* some of an answer was seen */
	uint64_t lines;	 /* LINES: of it */
	bool differs;	 /* UNTIL: the line that begins here is not the text ... */
	size_t matched;	 /* ... or has begun as it does, for so many bytes, which are held back */
	unsigned n_head; /* FRAMES: bytes of the length seen */
	uint32_t left;	 /* and of the frame to come */
	bool has_status;
	unsigned char status, last_status; /* last: of the answer that ended last */
};

typedef void pcore_answer_emit(void *ctx, const char *data, size_t len);

/* Take bytes up to the end of one answer, give those that belong to it to emit(), in one call or several. How many were
 * taken: all, or fewer when the answer ended (*ret_end; it may end with the last byte too). */
size_t pcore_answers_feed(struct pcore_answers *a, const char *data, size_t len, pcore_answer_emit *emit, void *ctx, bool *ret_end);

#endif
