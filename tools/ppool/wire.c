/* SPDX-License-Identifier: MIT */
/*
 * wire.c - the frames between clients and server of a named pool.
 */
#include "tools/ppool/wire.h"

#include <endian.h>
#include <string.h>

#define HELLO_MAGIC UINT32_C(0x70706f6c) /* "ppol" */

enum { UMASK_MAX = 0777 };

/* ---- reading ---- */

static struct wire_ids take_ids(struct cli_cursor *c)
{
	struct wire_ids ids = { .n = cli_take_u32(c) };

	ids.data = ids.n <= c->left / sizeof(uint64_t) ? cli_take(c, ids.n * sizeof(uint64_t)) : NULL;
	if (!ids.data) {
		c->bad = true;
		ids.n = 0;
	}
	return ids;
}

uint64_t wire_id(const struct wire_ids *ids, size_t i)
{
	uint64_t v;

	assert(i < ids->n);

	memcpy(&v, ids->data + i * sizeof(v), sizeof(v));
	return be64toh(v);
}

int wire_get_nothing(const struct cli_frame *f)
{
	return f->len > 0 ? -EPROTO : 0;
}

int wire_get_hello(const struct cli_frame *f, uint32_t *ret_version)
{
	struct cli_cursor c = cli_frame_read(f);
	uint32_t magic = cli_take_u32(&c), version = cli_take_u32(&c);

	if (c.bad || magic != HELLO_MAGIC)
		return -EPROTO;
	*ret_version = version; /* what follows belongs to that version */
	return version == WIRE_VERSION ? cli_frame_end(&c) : 0;
}

int wire_get_setup(const struct cli_frame *f, struct wire_setup *ret)
{
	struct cli_cursor c = cli_frame_read(f);
	struct wire_setup s = { .umask = cli_take_u32(&c) };
	struct cli_words dir = cli_take_words(&c);

	s.env = cli_take_words(&c);
	if (cli_frame_end(&c) < 0 || s.umask > UMASK_MAX || dir.n != 1 || dir.data[0] != '/')
		return -EPROTO;
	s.dir = dir.data;
	*ret = s;
	return 0;
}

int wire_get_submit(const struct cli_frame *f, struct wire_submit *ret)
{
	struct cli_cursor c = cli_frame_read(f);
	struct wire_submit s = { .flags = cli_take_flags(&c, WIRE_SUBMIT_ALL) };

	s.timeout = cli_take_ns(&c);
	s.retries = cli_take_u64(&c);
	s.after = take_ids(&c);
	s.argv = cli_take_words(&c);
	if (cli_frame_end(&c) < 0 || s.argv.n < 1)
		return -EPROTO;
	*ret = s;
	return 0;
}

int wire_get_ref(const struct cli_frame *f, struct wire_ref *ret)
{
	struct cli_cursor c = cli_frame_read(f);
	struct wire_ref ref = { .flags = cli_take_flags(&c, WIRE_REF_FLAG) };

	ref.id = cli_take_u64(&c);
	if (cli_frame_end(&c) < 0)
		return -EPROTO;
	*ret = ref;
	return 0;
}

int wire_get_wait(const struct cli_frame *f, struct wire_wait *ret)
{
	struct cli_cursor c = cli_frame_read(f);
	struct wire_wait w = { .flags = cli_take_flags(&c, WIRE_WAIT_ANY) };

	w.ids = take_ids(&c);
	if (cli_frame_end(&c) < 0)
		return -EPROTO;
	*ret = w;
	return 0;
}

int wire_get_resize(const struct cli_frame *f, uint32_t *ret_jobs)
{
	struct cli_cursor c = cli_frame_read(f);
	uint32_t jobs = cli_take_u32(&c);

	if (cli_frame_end(&c) < 0)
		return -EPROTO;
	*ret_jobs = jobs;
	return 0;
}

int wire_get_answer(const struct cli_frame *f, struct wire_answer *ret)
{
	struct cli_cursor c = cli_frame_read(f);
	struct wire_answer a = { .status = cli_take_u8(&c) };

	a.value = cli_take_u64(&c);
	a.text = cli_take_rest(&c, &a.text_len);
	if (cli_frame_end(&c) < 0)
		return -EPROTO;
	*ret = a;
	return 0;
}

int wire_get_output(const struct cli_frame *f, struct wire_output *ret)
{
	struct cli_cursor c = cli_frame_read(f);
	struct wire_output o = { .stream = cli_take_flags(&c, 1) };

	o.data = cli_take_rest(&c, &o.len);
	if (cli_frame_end(&c) < 0)
		return -EPROTO;
	*ret = o;
	return 0;
}

int wire_get_ended(const struct cli_frame *f, struct wire_ended *ret)
{
	struct cli_cursor c = cli_frame_read(f);
	struct wire_ended e = { .id = cli_take_u64(&c) };
	struct cli_words where;

	e.status = cli_take_u8(&c);
	e.error = cli_take_u32(&c);
	where = cli_take_words(&c);
	if (cli_frame_end(&c) < 0 || e.error > INT32_MAX || where.n != 2)
		return -EPROTO;
	e.step = cli_word(&where);
	e.subject = cli_word(&where);
	*ret = e;
	return 0;
}

int wire_get_finished(const struct cli_frame *f, uint64_t *ret_id)
{
	struct cli_cursor c = cli_frame_read(f);
	uint64_t id = cli_take_u64(&c);

	if (cli_frame_end(&c) < 0)
		return -EPROTO;
	*ret_id = id;
	return 0;
}

int wire_get_job(const struct cli_frame *f, struct wire_job *ret)
{
	struct cli_cursor c = cli_frame_read(f);
	struct wire_job j = { .id = cli_take_u64(&c) };

	j.state = cli_take_u8(&c);
	j.flags = cli_take_flags(&c, WIRE_JOB_ALL);
	j.exit = cli_take_u8(&c);
	j.attempts = cli_take_u32(&c);
	j.start_ns = cli_take_ns(&c);
	j.wall_ns = cli_take_ns(&c);
	j.argv = cli_take_words(&c);
	if (cli_frame_end(&c) < 0 || j.state >= WIRE_STATES || j.argv.n < 1)
		return -EPROTO;
	*ret = j;
	return 0;
}

int wire_get_pool(const struct cli_frame *f, struct wire_pool *ret)
{
	struct cli_cursor c = cli_frame_read(f);
	struct wire_pool p = { .pid = cli_take_u32(&c) };

	p.jobs = cli_take_u32(&c);
	p.flags = cli_take_flags(&c, WIRE_POOL_ALL);
	p.queued = cli_take_u64(&c);
	p.running = cli_take_u64(&c);
	p.finished = cli_take_u64(&c);
	p.kept = cli_take_u64(&c);
	if (cli_frame_end(&c) < 0)
		return -EPROTO;
	*ret = p;
	return 0;
}

/* ---- writing ---- */

static void put_ids(struct cli_writer *w, const uint64_t *ids, size_t n)
{
	cli_put_u32(w, n);
	for (size_t i = 0; i < n; i++)
		cli_put_u64(w, ids[i]);
}

int wire_put(struct pcore_buf *b, enum wire_type type)
{
	struct cli_writer w = cli_frame_start(b, type);

	return cli_frame_finish(&w);
}

int wire_put_hello(struct pcore_buf *b, uint32_t version)
{
	struct cli_writer w = cli_frame_start(b, WIRE_HELLO);

	cli_put_u32(&w, HELLO_MAGIC);
	cli_put_u32(&w, version);
	return cli_frame_finish(&w);
}

int wire_put_setup(struct pcore_buf *b, uint32_t umask, const char *dir, char *const *env)
{
	struct cli_writer w = cli_frame_start(b, WIRE_SETUP);

	cli_put_u32(&w, umask);
	cli_put_words(&w, (char *const[]){ (char *)dir, NULL });
	cli_put_words(&w, env);
	return cli_frame_finish(&w);
}

int wire_put_submit(struct pcore_buf *b, const struct wire_submit *s, const uint64_t *after, size_t n_after, char *const *argv)
{
	struct cli_writer w = cli_frame_start(b, WIRE_SUBMIT);

	cli_put_u8(&w, s->flags);
	cli_put_u64(&w, (uint64_t)s->timeout);
	cli_put_u64(&w, s->retries);
	put_ids(&w, after, n_after);
	cli_put_words(&w, argv);
	return cli_frame_finish(&w);
}

int wire_put_ref(struct pcore_buf *b, enum wire_type type, uint8_t flags, uint64_t id)
{
	struct cli_writer w = cli_frame_start(b, type);

	cli_put_u8(&w, flags);
	cli_put_u64(&w, id);
	return cli_frame_finish(&w);
}

int wire_put_wait(struct pcore_buf *b, uint8_t flags, const uint64_t *ids, size_t n)
{
	struct cli_writer w = cli_frame_start(b, WIRE_WAIT);

	cli_put_u8(&w, flags);
	put_ids(&w, ids, n);
	return cli_frame_finish(&w);
}

int wire_put_resize(struct pcore_buf *b, uint32_t jobs)
{
	struct cli_writer w = cli_frame_start(b, WIRE_RESIZE);

	cli_put_u32(&w, jobs);
	return cli_frame_finish(&w);
}

int wire_put_answer(struct pcore_buf *b, uint8_t status, uint64_t value, const char *text)
{
	struct cli_writer w = cli_frame_start(b, WIRE_ANSWER);

	cli_put_u8(&w, status);
	cli_put_u64(&w, value);
	cli_put(&w, text, strlen(text));
	return cli_frame_finish(&w);
}

int wire_put_output(struct pcore_buf *b, uint8_t stream, const char *data, size_t len)
{
	struct cli_writer w = cli_frame_start(b, WIRE_OUTPUT);

	cli_put_u8(&w, stream);
	cli_put(&w, data, len);
	return cli_frame_finish(&w);
}

int wire_put_ended(struct pcore_buf *b, const struct wire_ended *e)
{
	struct cli_writer w = cli_frame_start(b, WIRE_ENDED);

	cli_put_u64(&w, e->id);
	cli_put_u8(&w, e->status);
	cli_put_u32(&w, e->error);
	cli_put_words(&w, (char *const[]){ (char *)e->step, (char *)e->subject, NULL });
	return cli_frame_finish(&w);
}

int wire_put_finished(struct pcore_buf *b, uint64_t id)
{
	struct cli_writer w = cli_frame_start(b, WIRE_FINISHED);

	cli_put_u64(&w, id);
	return cli_frame_finish(&w);
}

int wire_put_job(struct pcore_buf *b, const struct wire_job *j)
{
	struct cli_writer w = cli_frame_start(b, WIRE_JOB);

	cli_put_u64(&w, j->id);
	cli_put_u8(&w, j->state);
	cli_put_u8(&w, j->flags);
	cli_put_u8(&w, j->exit);
	cli_put_u32(&w, j->attempts);
	cli_put_u64(&w, (uint64_t)j->start_ns);
	cli_put_u64(&w, (uint64_t)j->wall_ns);
	cli_put_u32(&w, j->argv.len);
	cli_put(&w, j->argv.data, j->argv.len);
	return cli_frame_finish(&w);
}

int wire_put_pool(struct pcore_buf *b, const struct wire_pool *p)
{
	struct cli_writer w = cli_frame_start(b, WIRE_POOL);

	cli_put_u32(&w, p->pid);
	cli_put_u32(&w, p->jobs);
	cli_put_u8(&w, p->flags);
	cli_put_u64(&w, p->queued);
	cli_put_u64(&w, p->running);
	cli_put_u64(&w, p->finished);
	cli_put_u64(&w, p->kept);
	return cli_frame_finish(&w);
}
