/* SPDX-License-Identifier: MIT */
/*
 * wire.c - the parts that messages are made of, and the pieces of streams. What was written is read once before it counts:
 * there is one set of checks, and nothing is sent that the peer would refuse.
 */
#include "libcore/cluster/wire_private.h"

enum { LIMIT_SIZE = 24, CHUNK_LAST = 1 };

size_t pcore_wire_body_max(enum pcore_wire_type type)
{
	bool data = type == PCORE_WIRE_ENV || type == PCORE_WIRE_TEMPLATE || type == PCORE_WIRE_ASSIGN_N ||
		    type == PCORE_WIRE_INPUT || type == PCORE_WIRE_OUTPUT || type == PCORE_WIRE_SUBMIT;

	return data ? PCORE_WIRE_DATA_MAX : PCORE_WIRE_CONTROL_MAX;
}

int pcore_wire_get_nothing(const struct pcore_wire_frame *f)
{
	return f->len > 0 ? -EPROTO : 0;
}

bool wire_is_exit(uint64_t code, uint64_t status)
{
	switch (code) {
	case 0: return status == 0;
	case CLD_EXITED: return status <= 255;
	case CLD_KILLED:
	case CLD_DUMPED: return status >= 1 && status <= WIRE_SIGNAL_MAX;
	default: return false;
	}
}

/* ---- words ---- */

struct pcore_wire_words wire_take_words(struct cursor *c, size_t n)
{
	struct pcore_wire_words w = { .data = take(c, n), .len = n };

	if (!w.data || (n > 0 && w.data[n - 1] != '\0')) {
		c->bad = true;
		return (struct pcore_wire_words){ .n = 0 };
	}
	for (const char *p = w.data, *end = p + n; p < end; w.n++)
		p = (const char *)memchr(p, '\0', (size_t)(end - p)) + 1;
	return w;
}

const char *pcore_wire_word(struct pcore_wire_words *w)
{
	const char *word = w->data;
	size_t size;

	if (w->n == 0)
		return NULL;
	size = strlen(word) + 1;
	w->data += size;
	w->len -= size;
	w->n--;
	return word;
}

size_t wire_words_len(const struct pcore_wire_words *w)
{
	size_t len = 0;

	if (!w->list)
		return w->len;
	for (size_t i = 0; w->list[i]; i++)
		len += strlen(w->list[i]) + 1;
	return len;
}

size_t wire_words_count(const struct pcore_wire_words *w)
{
	size_t n = 0;

	if (!w->list)
		return w->n;
	while (w->list[n])
		n++;
	return n;
}

void wire_put_words(struct writer *w, const struct pcore_wire_words *words)
{
	if (!words->list)
		put(w, words->data, words->len);
	for (size_t i = 0; words->list && words->list[i]; i++)
		put(w, words->list[i], strlen(words->list[i]) + 1);
}

/* ---- pieces of a command ---- */

static struct pcore_wire_piece take_piece(struct cursor *c)
{
	struct pcore_wire_piece p = { .kind = take_u8(c, PCORE_WIRE_PIECES - 1) };

	(void)take(c, 3);
	p.n = take_u32(c);
	if (p.kind != PCORE_WIRE_TEXT)
		return p;
	p.text = take(c, p.n);
	take_pad(c, p.n);
	c->bad |= p.text && memchr(p.text, '\0', p.n);
	return p;
}

bool wire_is_argv(const char *data, size_t len)
{
	struct cursor c = { .p = data, .left = len };
	size_t in_word = 0;
	bool spread = false;

	while (c.left > 0 && !c.bad) {
		struct pcore_wire_piece p = take_piece(&c);

		if (p.kind == PCORE_WIRE_END) {
			c.bad |= spread && in_word > 1;
			in_word = 0;
			spread = false;
			continue;
		}
		spread |= p.kind == PCORE_WIRE_SPREAD;
		in_word++;
	}
	return !c.bad && len > 0 && in_word == 0;
}

bool pcore_wire_next_piece(struct pcore_wire_argv *a, struct pcore_wire_piece *ret)
{
	struct cursor c = { .p = a->data, .left = a->len };

	if (a->len == 0)
		return false;
	*ret = take_piece(&c);
	assert(!c.bad);
	*a = (struct pcore_wire_argv){ .data = c.p, .len = c.left };
	return true;
}

int pcore_wire_add_piece(struct pcore_buf *b, const struct pcore_wire_piece *p)
{
	struct writer w = writer(b);

	assert(p->kind < PCORE_WIRE_PIECES);

	put_u32(&w, p->kind);
	put_u32(&w, p->n);
	if (p->kind == PCORE_WIRE_TEXT) {
		put(&w, p->text, p->n);
		put_pad(&w, p->n);
	}
	return take_back(&w);
}

/* ---- arrays in bytes ---- */

int pcore_wire_add_limit(struct pcore_buf *b, const struct pcore_wire_limit *m)
{
	struct writer w = writer(b);

	put_u32(&w, (uint32_t)m->resource);
	put_u32(&w, 0);
	put_u64(&w, m->soft);
	put_u64(&w, m->hard);
	return take_back(&w);
}

int pcore_wire_add_u32(struct pcore_buf *b, uint32_t v)
{
	struct writer w = writer(b);

	put_u32(&w, v);
	return take_back(&w);
}

int pcore_wire_add_u16(struct pcore_buf *b, uint16_t v)
{
	struct writer w = writer(b);

	put_u16(&w, v);
	return take_back(&w);
}

int pcore_wire_add_u64(struct pcore_buf *b, uint64_t v)
{
	struct writer w = writer(b);

	put_u64(&w, v);
	return take_back(&w);
}

size_t pcore_wire_limits(const struct pcore_wire_bytes *b)
{
	return b->len / LIMIT_SIZE;
}

size_t pcore_wire_u32s(const struct pcore_wire_bytes *b)
{
	return b->len / sizeof(uint32_t);
}

size_t pcore_wire_u16s(const struct pcore_wire_bytes *b)
{
	return b->len / sizeof(uint16_t);
}

size_t pcore_wire_u64s(const struct pcore_wire_bytes *b)
{
	return b->len / sizeof(uint64_t);
}

static struct cursor element_at(const struct pcore_wire_bytes *b, size_t i, size_t size)
{
	assert(i < b->len / size);

	return (struct cursor){ .p = b->data + i * size, .left = size };
}

struct pcore_wire_limit pcore_wire_limit(const struct pcore_wire_bytes *b, size_t i)
{
	struct cursor c = element_at(b, i, LIMIT_SIZE);
	struct pcore_wire_limit l = { .resource = (int)take_u32(&c) };

	(void)take_u32(&c);
	l.soft = take_u64(&c);
	l.hard = take_u64(&c);
	return l;
}

uint32_t pcore_wire_u32(const struct pcore_wire_bytes *b, size_t i)
{
	struct cursor c = element_at(b, i, sizeof(uint32_t));

	return take_u32(&c);
}

uint16_t pcore_wire_u16(const struct pcore_wire_bytes *b, size_t i)
{
	struct cursor c = element_at(b, i, sizeof(uint16_t));

	return take_u16(&c);
}

uint64_t pcore_wire_u64(const struct pcore_wire_bytes *b, size_t i)
{
	struct cursor c = element_at(b, i, sizeof(uint64_t));

	return take_u64(&c);
}

/* ---- streams ---- */

static int get_chunk(bool input, const char *body, size_t len, struct pcore_wire_chunk *ret)
{
	struct cursor c = { .p = body, .left = len };
	struct pcore_wire_chunk chunk = { .attempt = take_u32(&c) };

	chunk.stream = take_u8(&c, PCORE_WIRE_STREAMS - 1);
	chunk.last = take_u8(&c, input ? CHUNK_LAST : 0);
	(void)take_u16(&c);
	chunk.offset = take_u64(&c);
	chunk.len = c.left;
	chunk.data = take(&c, c.left);
	if (c.bad || input != (chunk.stream == PCORE_WIRE_STDIN) || chunk.len > UINT64_MAX - chunk.offset)
		return -EPROTO;
	*ret = chunk;
	return 0;
}

int pcore_wire_get_chunk(const struct pcore_wire_frame *f, struct pcore_wire_chunk *ret)
{
	bool input = f->type == PCORE_WIRE_INPUT;
	struct pcore_wire_chunk chunk;

	assert(input || f->type == PCORE_WIRE_OUTPUT);

	if (get_chunk(input, f->body, f->len, &chunk) < 0)
		return -EPROTO;
	if (f->id > WIRE_TIME_MAX && (input || chunk.attempt != 0 || chunk.stream != PCORE_WIRE_STDERR))
		return -EPROTO;
	*ret = chunk;
	return 0;
}

int pcore_wire_put_chunk(struct pcore_buf *b, const struct pcore_wire_chunk *c)
{
	bool input = c->stream == PCORE_WIRE_STDIN;
	struct writer w = writer(b);
	struct pcore_wire_chunk same;

	put_u32(&w, c->attempt);
	put_u8(&w, (uint8_t)c->stream);
	put_u8(&w, c->last ? CHUNK_LAST : 0);
	put_u16(&w, 0);
	put_u64(&w, c->offset);
	put(&w, c->data, c->len);
	if (w.error == 0 && b->len - w.start > PCORE_WIRE_DATA_MAX)
		w.error = -EMSGSIZE;
	if (w.error == 0 && get_chunk(input, b->data + w.start, b->len - w.start, &same) < 0)
		w.error = -EINVAL;
	return take_back(&w);
}
