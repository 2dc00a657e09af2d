/* SPDX-License-Identifier: MIT */
/*
 * wire.c - the frames between clients and server of a named pool.
 *
 * Reading goes through a cursor whose take_*() give zeroes once something was not there; end() says whether all was. A
 * frame is written with its length left open, which finish() fills in.
 */
#include "tools/ppool/wire.h"

#include <endian.h>
#include <string.h>

#define HELLO_MAGIC UINT32_C(0x70706f6c) /* "ppol" */

enum { UMASK_MAX = 0777 };

/* ---- reading ---- */

struct cursor {
	const char *p;
	size_t left;
	bool bad;
};

static struct cursor begin(const struct wire_frame *f)
{
	return (struct cursor){ .p = f->body, .left = f->len };
}

static const char *take(struct cursor *c, size_t n)
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

static uint8_t take_u8(struct cursor *c)
{
	const char *p = take(c, 1);

	return p ? (uint8_t)*p : 0;
}

static uint32_t take_u32(struct cursor *c)
{
	const char *p = take(c, sizeof(uint32_t));
	uint32_t v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static uint64_t take_u64(struct cursor *c)
{
	const char *p = take(c, sizeof(uint64_t));
	uint64_t v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

/* A time or a span: never negative. */
static int64_t take_ns(struct cursor *c)
{
	uint64_t v = take_u64(c);

	if (v > INT64_MAX)
		c->bad = true;
	return c->bad ? 0 : (int64_t)v;
}

static uint8_t take_flags(struct cursor *c, uint8_t known)
{
	uint8_t v = take_u8(c);

	if (v & ~known)
		c->bad = true;
	return v;
}

static struct wire_words take_words(struct cursor *c)
{
	struct wire_words w = { .len = take_u32(c) };

	w.data = take(c, w.len);
	if (!w.data || (w.len > 0 && w.data[w.len - 1] != '\0')) {
		c->bad = true;
		return (struct wire_words){ 0 };
	}
	for (size_t i = 0; i < w.len; i++)
		w.n += w.data[i] == '\0';
	return w;
}

static struct wire_ids take_ids(struct cursor *c)
{
	struct wire_ids ids = { .n = take_u32(c) };

	ids.data = ids.n <= c->left / sizeof(uint64_t) ? take(c, ids.n * sizeof(uint64_t)) : NULL;
	if (!ids.data) {
		c->bad = true;
		ids.n = 0;
	}
	return ids;
}

static const char *take_rest(struct cursor *c, size_t *ret_len)
{
	*ret_len = c->left;
	return take(c, c->left);
}

static int end(const struct cursor *c)
{
	return c->bad || c->left > 0 ? -EPROTO : 0;
}

int wire_next(const char *data, size_t len, struct wire_frame *ret, size_t *ret_used)
{
	uint32_t size;

	if (len < sizeof(size))
		return 0;
	memcpy(&size, data, sizeof(size));
	size = be32toh(size);
	if (size < 1 || size > WIRE_FRAME_MAX)
		return -EPROTO;
	if (len - sizeof(size) < size)
		return 0;

	*ret = (struct wire_frame){ (unsigned char)data[sizeof(size)], data + WIRE_HEADER, size - 1 };
	*ret_used = sizeof(size) + size;
	return 1;
}

uint64_t wire_id(const struct wire_ids *ids, size_t i)
{
	uint64_t v;

	assert(i < ids->n);

	memcpy(&v, ids->data + i * sizeof(v), sizeof(v));
	return be64toh(v);
}

const char *wire_word(struct wire_words *w)
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

int wire_get_nothing(const struct wire_frame *f)
{
	return f->len > 0 ? -EPROTO : 0;
}

int wire_get_hello(const struct wire_frame *f, uint32_t *ret_version)
{
	struct cursor c = begin(f);
	uint32_t magic = take_u32(&c), version = take_u32(&c);

	if (c.bad || magic != HELLO_MAGIC)
		return -EPROTO;
	*ret_version = version; /* what follows belongs to that version */
	return version == WIRE_VERSION ? end(&c) : 0;
}

int wire_get_setup(const struct wire_frame *f, struct wire_setup *ret)
{
	struct cursor c = begin(f);
	struct wire_setup s = { .umask = take_u32(&c) };
	struct wire_words dir = take_words(&c);

	s.env = take_words(&c);
	if (end(&c) < 0 || s.umask > UMASK_MAX || dir.n != 1 || dir.data[0] != '/')
		return -EPROTO;
	s.dir = dir.data;
	*ret = s;
	return 0;
}

int wire_get_submit(const struct wire_frame *f, struct wire_submit *ret)
{
	struct cursor c = begin(f);
	struct wire_submit s = { .flags = take_flags(&c, WIRE_SUBMIT_ALL) };

	s.timeout = take_ns(&c);
	s.retries = take_u64(&c);
	s.after = take_ids(&c);
	s.argv = take_words(&c);
	if (end(&c) < 0 || s.argv.n < 1)
		return -EPROTO;
	*ret = s;
	return 0;
}

int wire_get_ref(const struct wire_frame *f, struct wire_ref *ret)
{
	struct cursor c = begin(f);
	struct wire_ref ref = { .flags = take_flags(&c, WIRE_REF_FLAG) };

	ref.id = take_u64(&c);
	if (end(&c) < 0)
		return -EPROTO;
	*ret = ref;
	return 0;
}

int wire_get_wait(const struct wire_frame *f, struct wire_wait *ret)
{
	struct cursor c = begin(f);
	struct wire_wait w = { .flags = take_flags(&c, WIRE_WAIT_ANY) };

	w.ids = take_ids(&c);
	if (end(&c) < 0)
		return -EPROTO;
	*ret = w;
	return 0;
}

int wire_get_resize(const struct wire_frame *f, uint32_t *ret_jobs)
{
	struct cursor c = begin(f);
	uint32_t jobs = take_u32(&c);

	if (end(&c) < 0)
		return -EPROTO;
	*ret_jobs = jobs;
	return 0;
}

int wire_get_answer(const struct wire_frame *f, struct wire_answer *ret)
{
	struct cursor c = begin(f);
	struct wire_answer a = { .status = take_u8(&c) };

	a.value = take_u64(&c);
	a.text = take_rest(&c, &a.text_len);
	if (end(&c) < 0)
		return -EPROTO;
	*ret = a;
	return 0;
}

int wire_get_output(const struct wire_frame *f, struct wire_output *ret)
{
	struct cursor c = begin(f);
	struct wire_output o = { .stream = take_flags(&c, 1) };

	o.data = take_rest(&c, &o.len);
	if (end(&c) < 0)
		return -EPROTO;
	*ret = o;
	return 0;
}

int wire_get_ended(const struct wire_frame *f, struct wire_ended *ret)
{
	struct cursor c = begin(f);
	struct wire_ended e = { .id = take_u64(&c) };
	struct wire_words where;

	e.status = take_u8(&c);
	e.error = take_u32(&c);
	where = take_words(&c);
	if (end(&c) < 0 || e.error > INT32_MAX || where.n != 2)
		return -EPROTO;
	e.step = wire_word(&where);
	e.subject = wire_word(&where);
	*ret = e;
	return 0;
}

int wire_get_finished(const struct wire_frame *f, uint64_t *ret_id)
{
	struct cursor c = begin(f);
	uint64_t id = take_u64(&c);

	if (end(&c) < 0)
		return -EPROTO;
	*ret_id = id;
	return 0;
}

int wire_get_job(const struct wire_frame *f, struct wire_job *ret)
{
	struct cursor c = begin(f);
	struct wire_job j = { .id = take_u64(&c) };

	j.state = take_u8(&c);
	j.flags = take_flags(&c, WIRE_JOB_ALL);
	j.exit = take_u8(&c);
	j.attempts = take_u32(&c);
	j.start_ns = take_ns(&c);
	j.wall_ns = take_ns(&c);
	j.argv = take_words(&c);
	if (end(&c) < 0 || j.state >= WIRE_STATES || j.argv.n < 1)
		return -EPROTO;
	*ret = j;
	return 0;
}

int wire_get_pool(const struct wire_frame *f, struct wire_pool *ret)
{
	struct cursor c = begin(f);
	struct wire_pool p = { .pid = take_u32(&c) };

	p.jobs = take_u32(&c);
	p.flags = take_flags(&c, WIRE_POOL_ALL);
	p.queued = take_u64(&c);
	p.running = take_u64(&c);
	p.finished = take_u64(&c);
	p.kept = take_u64(&c);
	if (end(&c) < 0)
		return -EPROTO;
	*ret = p;
	return 0;
}

/* ---- writing ---- */

struct writer {
	struct pcore_buf *b;
	size_t start;
	int error;
};

static void put(struct writer *w, const void *data, size_t n)
{
	if (w->error == 0)
		w->error = pcore_buf_add(w->b, data, n);
}

static void put_u8(struct writer *w, uint8_t v)
{
	put(w, &v, 1);
}

static void put_u32(struct writer *w, size_t v)
{
	uint32_t be = htobe32((uint32_t)v);

	if (v > UINT32_MAX)
		w->error = -EMSGSIZE;
	put(w, &be, sizeof(be));
}

static void put_u64(struct writer *w, uint64_t v)
{
	uint64_t be = htobe64(v);

	put(w, &be, sizeof(be));
}

static void put_words(struct writer *w, char *const *words)
{
	size_t len = 0;

	for (size_t i = 0; words[i]; i++)
		len += strlen(words[i]) + 1;
	put_u32(w, len);
	for (size_t i = 0; words[i]; i++)
		put(w, words[i], strlen(words[i]) + 1);
}

static void put_ids(struct writer *w, const uint64_t *ids, size_t n)
{
	put_u32(w, n);
	for (size_t i = 0; i < n; i++)
		put_u64(w, ids[i]);
}

static struct writer start(struct pcore_buf *b, enum wire_type type)
{
	struct writer w = { .b = b, .start = b->len };

	put_u32(&w, 0);
	put_u8(&w, (uint8_t)type);
	return w;
}

static int finish(struct writer *w)
{
	size_t len = w->b->len - w->start;
	uint32_t be;

	if (w->error == 0 && len - sizeof(be) > WIRE_FRAME_MAX)
		w->error = -EMSGSIZE;
	if (w->error < 0) {
		w->b->len = w->start;
		return w->error;
	}
	be = htobe32((uint32_t)(len - sizeof(be)));
	memcpy(w->b->data + w->start, &be, sizeof(be));
	return 0;
}

int wire_put(struct pcore_buf *b, enum wire_type type)
{
	struct writer w = start(b, type);

	return finish(&w);
}

int wire_put_hello(struct pcore_buf *b, uint32_t version)
{
	struct writer w = start(b, WIRE_HELLO);

	put_u32(&w, HELLO_MAGIC);
	put_u32(&w, version);
	return finish(&w);
}

int wire_put_setup(struct pcore_buf *b, uint32_t umask, const char *dir, char *const *env)
{
	struct writer w = start(b, WIRE_SETUP);

	put_u32(&w, umask);
	put_words(&w, (char *const[]){ (char *)dir, NULL });
	put_words(&w, env);
	return finish(&w);
}

int wire_put_submit(struct pcore_buf *b, const struct wire_submit *s, const uint64_t *after, size_t n_after, char *const *argv)
{
	struct writer w = start(b, WIRE_SUBMIT);

	put_u8(&w, s->flags);
	put_u64(&w, (uint64_t)s->timeout);
	put_u64(&w, s->retries);
	put_ids(&w, after, n_after);
	put_words(&w, argv);
	return finish(&w);
}

int wire_put_ref(struct pcore_buf *b, enum wire_type type, uint8_t flags, uint64_t id)
{
	struct writer w = start(b, type);

	put_u8(&w, flags);
	put_u64(&w, id);
	return finish(&w);
}

int wire_put_wait(struct pcore_buf *b, uint8_t flags, const uint64_t *ids, size_t n)
{
	struct writer w = start(b, WIRE_WAIT);

	put_u8(&w, flags);
	put_ids(&w, ids, n);
	return finish(&w);
}

int wire_put_resize(struct pcore_buf *b, uint32_t jobs)
{
	struct writer w = start(b, WIRE_RESIZE);

	put_u32(&w, jobs);
	return finish(&w);
}

int wire_put_answer(struct pcore_buf *b, uint8_t status, uint64_t value, const char *text)
{
	struct writer w = start(b, WIRE_ANSWER);

	put_u8(&w, status);
	put_u64(&w, value);
	put(&w, text, strlen(text));
	return finish(&w);
}

int wire_put_output(struct pcore_buf *b, uint8_t stream, const char *data, size_t len)
{
	struct writer w = start(b, WIRE_OUTPUT);

	put_u8(&w, stream);
	put(&w, data, len);
	return finish(&w);
}

int wire_put_ended(struct pcore_buf *b, const struct wire_ended *e)
{
	struct writer w = start(b, WIRE_ENDED);

	put_u64(&w, e->id);
	put_u8(&w, e->status);
	put_u32(&w, e->error);
	put_words(&w, (char *const[]){ (char *)e->step, (char *)e->subject, NULL });
	return finish(&w);
}

int wire_put_finished(struct pcore_buf *b, uint64_t id)
{
	struct writer w = start(b, WIRE_FINISHED);

	put_u64(&w, id);
	return finish(&w);
}

int wire_put_job(struct pcore_buf *b, const struct wire_job *j)
{
	struct writer w = start(b, WIRE_JOB);

	put_u64(&w, j->id);
	put_u8(&w, j->state);
	put_u8(&w, j->flags);
	put_u8(&w, j->exit);
	put_u32(&w, j->attempts);
	put_u64(&w, (uint64_t)j->start_ns);
	put_u64(&w, (uint64_t)j->wall_ns);
	put_u32(&w, j->argv.len);
	put(&w, j->argv.data, j->argv.len);
	return finish(&w);
}

int wire_put_pool(struct pcore_buf *b, const struct wire_pool *p)
{
	struct writer w = start(b, WIRE_POOL);

	put_u32(&w, p->pid);
	put_u32(&w, p->jobs);
	put_u8(&w, p->flags);
	put_u64(&w, p->queued);
	put_u64(&w, p->running);
	put_u64(&w, p->finished);
	put_u64(&w, p->kept);
	return finish(&w);
}
