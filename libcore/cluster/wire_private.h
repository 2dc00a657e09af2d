/* SPDX-License-Identifier: MIT */
/*
 * wire_private.h - what the files of the wire share: the one place that looks whether bytes are there, and how they are put.
 *
 * Reading goes through a cursor whose take_*() give zeroes once something was not there or out of range; bad says whether. A
 * writer keeps the first error, and take_back() undoes what it has put.
 */
#ifndef PCORE_CLUSTER_WIRE_PRIVATE_H
#define PCORE_CLUSTER_WIRE_PRIVATE_H

#include <endian.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "libcore/cluster/wire_client.h"

#define WIRE_TIME_MAX ((uint64_t)INT64_MAX)

enum { WIRE_ALIGN = 8, WIRE_SIGNAL_MAX = 64, WIRE_PID_MAX = INT32_MAX };

/* ---- reading ---- */

struct cursor {
	const char *p;
	size_t left;
	bool bad;
};

static inline const char *take(struct cursor *c, size_t n)
{
	const char *p = c->p;

	if (c->bad || n > c->left) {
		c->bad = true;
		return NULL;
	}
	c->p += n;
	c->left -= n;
	return p;
}

static inline uint64_t take_uint(struct cursor *c, size_t n)
{
	const char *p = take(c, n);
	uint64_t v = 0;

	if (p)
		memcpy(&v, p, n);
	return le64toh(v);
}

static inline uint8_t take_u8(struct cursor *c, unsigned max)
{
	uint8_t v = (uint8_t)take_uint(c, 1);

	c->bad |= v > max;
	return v;
}

static inline uint16_t take_u16(struct cursor *c)
{
	return (uint16_t)take_uint(c, 2);
}

static inline uint32_t take_u32(struct cursor *c)
{
	return (uint32_t)take_uint(c, 4);
}

static inline uint64_t take_u64(struct cursor *c)
{
	return take_uint(c, 8);
}

static inline int64_t take_time(struct cursor *c)
{
	uint64_t v = take_u64(c);

	c->bad |= v > WIRE_TIME_MAX;
	return c->bad ? 0 : (int64_t)v;
}

/* The zeros up to a multiple of WIRE_ALIGN, when n bytes were taken. */
static inline void take_pad(struct cursor *c, size_t n)
{
	(void)take(c, -n % WIRE_ALIGN);
}

/* n bytes as words. */
struct pcore_wire_words wire_take_words(struct cursor *c, size_t n);

/* An exit code and status as proc/ has them; 0 and 0: none. */
bool wire_is_exit(uint64_t code, uint64_t status);

/* Are these pieces of whole words, and at least one? */
bool wire_is_argv(const char *data, size_t len);

/* ---- writing ---- */

struct writer {
	struct pcore_buf *b;
	size_t start;
	int error;
};

static inline struct writer writer(struct pcore_buf *b)
{
	return (struct writer){ .b = b, .start = b->len };
}

/* Where there is room already it is a move of a few bytes: a record has up to 30 parts. */
static inline void put(struct writer *w, const void *data, size_t n)
{
	struct pcore_buf *b = w->b;

	if (w->error == 0 && n > 0 && n <= b->cap - b->len) {
		memcpy(b->data + b->len, data, n);
		b->len += n;
	} else if (w->error == 0) {
		w->error = pcore_buf_add(b, data, n);
	}
}

static inline void put_uint(struct writer *w, uint64_t v, size_t n)
{
	uint64_t le = htole64(v);

	put(w, &le, n);
}

static inline void put_u8(struct writer *w, uint8_t v)
{
	put_uint(w, v, 1);
}

static inline void put_u16(struct writer *w, uint16_t v)
{
	put_uint(w, v, 2);
}

/* Lengths too: */
static inline void put_u32(struct writer *w, uint64_t v)
{
	if (v > UINT32_MAX && w->error == 0)
		w->error = -EMSGSIZE;
	put_uint(w, v, 4);
}

static inline void put_u64(struct writer *w, uint64_t v)
{
	put_uint(w, v, 8);
}

static inline void put_time(struct writer *w, int64_t v)
{
	put_uint(w, (uint64_t)v, 8);
}

static inline void put_pad(struct writer *w, size_t n)
{
	put_uint(w, 0, -n % WIRE_ALIGN);
}

/* All that was put is kept, or with an error nothing. */
static inline int take_back(struct writer *w)
{
	if (w->error < 0)
		w->b->len = w->start;
	return w->error;
}

size_t wire_words_len(const struct pcore_wire_words *w);
size_t wire_words_count(const struct pcore_wire_words *w);
void wire_put_words(struct writer *w, const struct pcore_wire_words *words);

/* ---- messages of fields ---- */

enum kind { NUMBER, SIGNED, TEXT, WORDS, BYTES, LIST, ARGV };

struct message;

/* Of a number the range; of a text and of bytes that of its length, of words of their number. The tag is the place in the
 * table, from 1. */
struct field {
	size_t offset;
	enum kind kind;
	uint64_t max;
	int64_t min;
	const struct message *element; /* of a list */
	size_t unit;		       /* of bytes: what their length is a multiple of */
};

/* has is the first member of every struct. */
struct message {
	const struct field *fields;
	size_t n;
	uint64_t required;
	bool (*check)(const void *m); /* what the fields do not say by themselves, or NULL */
};

/* Any of them: what a table reads into. */
union fields {
	uint64_t has;
	struct pcore_wire_answer answer;
	struct pcore_wire_node node;
	struct pcore_wire_resource resource;
	struct pcore_wire_env env;
	struct pcore_wire_template template;
	struct pcore_wire_shutdown shutdown;
	struct pcore_wire_control control;
	struct pcore_wire_worker worker;
	struct pcore_wire_status status;
	struct pcore_wire_job job;
	struct pcore_wire_submit submit;
	struct pcore_wire_watch watch;
	struct pcore_wire_about about;
	struct pcore_wire_submitted submitted;
	struct pcore_wire_number number;
	struct pcore_wire_cancel cancel;
	struct pcore_wire_submission submission;
	struct pcore_wire_member member;
	struct pcore_wire_total total;
	struct pcore_wire_why why;
};

#define FIELDS(name, need, checked) \
	static const struct message name = { name##_fields, ARRAY_SIZE(name##_fields), need, checked }
#define SHARED_FIELDS(name, need, checked) \
	const struct message wire_##name = { name##_fields, ARRAY_SIZE(name##_fields), need, checked }
#define REQUIRED(first, last) ((UINT64_C(2) << (last)) - (UINT64_C(1) << (first)))

/* Those that are in others. */
extern const struct message wire_env, wire_template, wire_resource;

/* Is each word "K=V"? */
bool wire_are_pairs(struct pcore_wire_words w);

/* Read the fields of a message; those that are not there are zero. 0, -EPROTO. */
int wire_read_fields(const struct message *m, const char *data, size_t len, union fields *ret);

/* The same from a frame into one of the structs, of that size. */
int wire_get(const struct message *m, const struct pcore_wire_frame *f, void *ret, size_t size);

/* Append a body: as pcore_wire_put_*(). */
int wire_put(struct pcore_buf *b, enum pcore_wire_type type, const struct message *m, const void *msg);

#endif
