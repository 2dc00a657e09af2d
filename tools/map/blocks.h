/* SPDX-License-Identifier: MIT */
/*
 * blocks.h - a stream of bytes cut into blocks of whole records.
 *
 * Bytes are read into a chunk, and blocks are parts of it: nothing is copied but what follows the last block of a chunk to
 * the beginning of the next. A chunk lives as long as one of its blocks, and is then used again. Pure: bytes are given in
 * as they come, and where the blocks end does not depend on how they came.
 *
 * A block ends at the last record's end within size bytes, or after per_block records, whichever comes first. A record that
 * is longer than size is a block of its own. The blocks (and the header before them) are together what was put in.
 */
#ifndef PCORE_MAP_BLOCKS_H
#define PCORE_MAP_BLOCKS_H

#include "tools/map/records.h"

struct chunk;

struct block {
	struct chunk *chunk; /* held by the block; NULL: there is no block */
	const char *data;
	size_t len;
};

struct blocks {
	const struct records *records; /* borrowed */
	uint64_t size, per_block;      /* 0: no limit; not both */
	bool header_wanted;	       /* the first record is no block's, but kept in header */
	struct pcore_buf header;
	bool header_alone; /* no block came after it */
	bool eof, torn;

	struct chunk *chunk; /* that is read into */
	size_t start, end;   /* in it: what is not given out yet */
	size_t least;	     /* bytes in a chunk */
	size_t whole;	     /* of the block to come: its whole records, */
	uint64_t n;	     /* how many they are, */
	struct records_scan scan; /* and what was seen of the next */
	bool too_long;	     /* its first record is longer than size */
	struct pcore_list spare;
};

void blocks_init(struct blocks *b, const struct records *records, uint64_t size, uint64_t per_block, bool header);
void blocks_done(struct blocks *b); /* when all blocks are done */

/* Room to read into, *ret_room bytes, at least one. NULL without memory. */
char *blocks_space(struct blocks *b, size_t *ret_room);
void blocks_filled(struct blocks *b, size_t n);

/* There is no more; torn: something is missing, so that what follows the last whole record is dropped. */
void blocks_eof(struct blocks *b, bool torn);

/* The next block: 1, 0 when more is needed, -ENODATA at the end, -EBADMSG when the input ends within quotes. Where there
 * is a header and nothing else, one empty block is given. */
int blocks_next(struct blocks *b, struct block *ret);
void block_done(struct blocks *b, struct block *block);

#endif
