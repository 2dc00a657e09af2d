/* SPDX-License-Identifier: MIT */
/*
 * blocks.c - a stream of bytes cut into blocks of whole records.
 */
#include "tools/map/blocks.h"

#include <string.h>

/* A chunk has room for a block, within these. Longer records make it grow. */
enum { CHUNK_MIN = 64 * 1024, CHUNK_MAX = 16 * 1024 * 1024, CHUNK_OF_RECORDS = 256 * 1024 };

struct chunk {
	struct pcore_list link; /* in spare */
	size_t refs, cap;
	char data[];
};

void blocks_init(struct blocks *b, const struct records *records, uint64_t size, uint64_t per_block, bool header)
{
	uint64_t least = size > 0 ? size + records_lookahead(records) : CHUNK_OF_RECORDS;

	assert(size > 0 || per_block > 0);

	*b = (struct blocks){
		.records = records,
		.size = size,
		.per_block = per_block,
		.header_wanted = header,
		.least = least < CHUNK_MIN ? CHUNK_MIN : least > CHUNK_MAX ? CHUNK_MAX : (size_t)least,
	};
	pcore_list_init(&b->spare);
}

/* ---- chunks ---- */

static struct chunk *chunk_new(struct blocks *b, size_t cap)
{
	struct pcore_list *node = cap == b->least ? pcore_list_pop(&b->spare) : NULL;
	struct chunk *c = node ? container_of(node, struct chunk, link) : malloc(sizeof(*c) + cap);

	if (!c)
		return NULL;

	pcore_list_init(&c->link);
	c->refs = 1;
	c->cap = cap;
	return c;
}

static void chunk_unref(struct blocks *b, struct chunk *c)
{
	if (!c || --c->refs > 0)
		return;
	if (c->cap == b->least)
		pcore_list_add_head(&b->spare, &c->link);
	else
		free(c);
}

void blocks_done(struct blocks *b)
{
	struct pcore_list *node;

	if (!b->records)
		return;
	chunk_unref(b, b->chunk);
	while ((node = pcore_list_pop(&b->spare)))
		free(container_of(node, struct chunk, link));
	pcore_buf_done(&b->header);
}

/* Nobody else has a part of the chunk, and what it holds begins with it. */
static int enlarge(struct blocks *b)
{
	struct chunk *c = b->chunk->cap <= SIZE_MAX / 4 ? realloc(b->chunk, sizeof(*c) + b->chunk->cap * 2) : NULL;

	if (!c)
		return -ENOMEM;
	pcore_list_init(&c->link);
	c->cap *= 2;
	b->chunk = c;
	return 0;
}

/* Go on in another chunk, with what is left of this one. */
static int move_on(struct blocks *b)
{
	size_t left = b->end - b->start;
	struct chunk *c = chunk_new(b, left < b->least ? b->least : left * 2);

	if (!c)
		return -ENOMEM;
	if (left > 0)
		memcpy(c->data, b->chunk->data + b->start, left);
	chunk_unref(b, b->chunk);
	b->chunk = c;
	b->start = 0;
	b->end = left;
	return 0;
}

/* Will the block to come fit in its chunk? */
static bool fits(const struct blocks *b)
{
	if (b->end == b->chunk->cap)
		return false;
	return b->start == 0 || b->size == 0 || b->too_long || b->chunk->cap - b->start >= b->least;
}

char *blocks_space(struct blocks *b, size_t *ret_room)
{
	int r = 0;

	if (!b->chunk || !fits(b))
		r = b->chunk && b->start == 0 && b->chunk->refs == 1 ? enlarge(b) : move_on(b);
	if (r < 0)
		return NULL;
	*ret_room = b->chunk->cap - b->end;
	return b->chunk->data + b->end;
}

void blocks_filled(struct blocks *b, size_t n)
{
	assert(n <= b->chunk->cap - b->end);

	b->end += n;
}

void blocks_eof(struct blocks *b, bool torn)
{
	b->eof = true;
	b->torn = torn;
}

/* ---- where a block ends: its length, 0 when that cannot be told yet or, at the end of the input, when nothing is left ---- */

static bool within_quotes(const struct blocks *b)
{
	return b->records->kind == RECORDS_CSV && b->scan.csv == CSV_QUOTED && b->eof && !b->torn;
}

static size_t cut_by_size(struct blocks *b, const char *data, size_t len)
{
	size_t end = 0;

	if (!b->eof && len < b->size + records_lookahead(b->records))
		return 0;
	if (b->eof && !b->torn && len < b->size)
		return len;
	if (!b->too_long)
		end = records_last(b->records, data, len, len < b->size ? len : b->size);
	if (end > 0)
		return end;
	b->too_long = true;
	end = records_next(b->records, &b->scan, data, len, b->eof);
	return end > 0 || !b->eof || b->torn ? end : len;
}

static size_t cut_by_record(struct blocks *b, const char *data, size_t len)
{
	for (;;) {
		size_t rest = len - b->whole;
		size_t end = rest > 0 ? records_next(b->records, &b->scan, data + b->whole, rest, b->eof) : 0;
		size_t least = end > 0 ? end : b->eof ? rest : b->scan.at; /* the record's length */
		bool over = b->size > 0 && b->n > 0 && b->whole + least > b->size;

		if (over || (end == 0 && b->eof && (b->torn || within_quotes(b))))
			return b->whole; /* what was seen of the next will be looked at again */
		if (end == 0)
			return b->eof ? len : 0;
		b->whole += end;
		b->n++;
		b->scan = (struct records_scan){ .at = 0 };
		if (b->n == b->per_block || (b->size > 0 && b->whole >= b->size))
			return b->whole;
	}
}

static size_t cut_header(struct blocks *b, const char *data, size_t len)
{
	size_t end = len > 0 ? records_next(b->records, &b->scan, data, len, b->eof) : 0;

	return end > 0 || !b->eof || b->torn || within_quotes(b) ? end : len;
}

/* ---- blocks ---- */

static void advance(struct blocks *b, size_t len)
{
	b->start += len;
	b->whole = 0;
	b->n = 0;
	b->scan = (struct records_scan){ .at = 0 };
	b->too_long = false;
}

static int take_header(struct blocks *b, const char *data, size_t len)
{
	size_t end = cut_header(b, data, len);
	int r;

	if (end == 0)
		return b->eof ? (within_quotes(b) ? -EBADMSG : -ENODATA) : 0;
	r = pcore_buf_add(&b->header, data, end);
	if (r < 0)
		return r;
	advance(b, end);
	b->header_wanted = false;
	b->header_alone = true;
	return 1;
}

int blocks_next(struct blocks *b, struct block *ret)
{
	size_t len = b->end - b->start, n;
	const char *data = b->chunk ? b->chunk->data + b->start : NULL;

	if (b->header_wanted) {
		int r = take_header(b, data, len);

		return r <= 0 ? r : blocks_next(b, ret);
	}
	if (b->per_block > 0 || !records_are_texts(b->records))
		n = cut_by_record(b, data, len);
	else
		n = len > 0 ? cut_by_size(b, data, len) : 0;
	if (n == 0 && !b->eof)
		return 0;
	if (n == 0 && within_quotes(b))
		return -EBADMSG;
	if (n == 0 && !b->header_alone)
		return -ENODATA;
	b->header_alone = false;
	b->chunk->refs++;
	*ret = (struct block){ .chunk = b->chunk, .data = data, .len = n };
	advance(b, n);
	return 1;
}

void block_done(struct blocks *b, struct block *block)
{
	chunk_unref(b, block->chunk);
	*block = (struct block){ .chunk = NULL };
}
