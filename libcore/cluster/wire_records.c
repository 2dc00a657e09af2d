/* SPDX-License-Identifier: MIT */
/*
 * wire_records.c - messages of records: what is said all the time.
 */
#include "libcore/cluster/wire_private.h"

enum { RECORDS_MORE = 1, CREDIT_CLOSED = 1, ERRNO_MAX = 4095 };

static uint64_t take_job(struct cursor *c)
{
	uint64_t v = take_u64(c);

	c->bad |= v > WIRE_TIME_MAX;
	return v;
}

/* c is the record, rest what follows it. */
typedef void get_record(struct cursor *c, struct cursor *rest, void *ret);

static void get_ref(struct cursor *c, struct pcore_wire_ref *r)
{
	r->job = take_job(c);
	r->attempt = take_u32(c);
}

static void get_plain(struct cursor *c, struct cursor *rest, void *ret)
{
	struct pcore_wire_ref *r = ret;

	(void)rest;
	*r = (struct pcore_wire_ref){ .how = 0 };
	get_ref(c, r);
	(void)take_u32(c);
}

static void get_cancel(struct cursor *c, struct cursor *rest, void *ret)
{
	struct pcore_wire_ref *r = ret;

	(void)rest;
	get_ref(c, r);
	r->how = take_u8(c, PCORE_WIRE_HOWS - 1);
	r->signal = take_u8(c, WIRE_SIGNAL_MAX);
	(void)take_u16(c);
	c->bad |= (r->how == PCORE_WIRE_SIGNAL_IT) != (r->signal != 0);
}

static void get_how(struct cursor *c, struct pcore_wire_ref *r, uint8_t max)
{
	get_ref(c, r);
	r->how = take_u8(c, max);
	r->signal = 0;
	(void)take(c, 3);
}

static void get_retracted(struct cursor *c, struct cursor *rest, void *ret)
{
	(void)rest;
	get_how(c, ret, PCORE_WIRE_RETRACTED_HOWS - 1);
}

static void get_quiet(struct cursor *c, struct cursor *rest, void *ret)
{
	(void)rest;
	get_how(c, ret, PCORE_WIRE_QUIETS - 1);
}

static void get_credit(struct cursor *c, struct cursor *rest, void *ret)
{
	struct pcore_wire_credit *r = ret;

	(void)rest;
	r->job = take_u64(c);
	r->attempt = take_u32(c);
	r->stream = take_u8(c, PCORE_WIRE_STREAMS - 1);
	r->closed = take_u8(c, CREDIT_CLOSED);
	(void)take_u16(c);
	r->received = take_u64(c);
	r->limit = take_u64(c);
	c->bad |= r->received > r->limit;
	c->bad |= r->job > WIRE_TIME_MAX && (r->attempt != 0 || r->stream != PCORE_WIRE_STDERR);
}

static void get_started(struct cursor *c, struct cursor *rest, void *ret)
{
	struct pcore_wire_started *r = ret;

	(void)rest;
	r->job = take_job(c);
	r->attempt = take_u32(c);
	r->slot = take_u32(c);
	r->pid = take_u32(c);
	r->node = take_u32(c);
	r->start_ns = take_time(c);
	c->bad |= r->pid > WIRE_PID_MAX;
}

/* n numbers of 16 bits each. */
static struct pcore_wire_bytes take_ids(struct cursor *rest, size_t n)
{
	struct pcore_wire_bytes b = { .len = n * sizeof(uint16_t) };

	b.data = take(rest, b.len);
	return b;
}

static void get_adopt(struct cursor *c, struct cursor *rest, void *ret)
{
	struct pcore_wire_adopt *r = ret;

	r->job = take_job(c);
	r->attempt = take_u32(c);
	r->state = take_u8(c, PCORE_WIRE_JOB_STATES - 1);
	(void)take(c, 3);
	for (int i = 0; i < 2; i++)
		r->kept[i] = take_u64(c);
	for (int i = 0; i < 2; i++) {
		r->bytes[i] = take_u64(c);
		c->bad |= r->kept[i] > r->bytes[i];
	}
	r->input = take_u64(c);
	r->ids = take_ids(rest, take_u16(c));
	(void)take(c, 6);
}

static void get_assign(struct cursor *c, struct cursor *rest, void *ret)
{
	struct pcore_wire_assign *r = ret;
	size_t n_words, words, input;

	r->job = take_job(c);
	r->attempt = take_u32(c);
	r->template = take_u32(c);
	r->seq = take_u64(c);
	r->timeout = take_time(c);
	r->tries = take_u32(c);
	r->priority = (int32_t)take_u32(c);
	n_words = take_u32(c);
	words = take_u32(c);
	input = take_u32(c);
	r->ids = take_ids(rest, take_u16(c));
	r->flags = take_u8(c, PCORE_WIRE_ASSIGN_ALL);
	(void)take(c, 1);
	r->args = wire_take_words(rest, words);
	r->input = (struct pcore_wire_bytes){ take(rest, input), input };
	c->bad |= r->args.n != n_words;
}

static void get_usage(struct cursor *c, struct pcore_wire_done *r)
{
	r->user_ns = take_time(c);
	r->system_ns = take_time(c);
	r->maxrss_kib = take_u64(c);
	r->minor_faults = take_u64(c);
	r->major_faults = take_u64(c);
	r->in_blocks = take_u64(c);
	r->out_blocks = take_u64(c);
	r->vol_switches = take_u64(c);
	r->invol_switches = take_u64(c);
	r->read_bytes = take_u64(c);
	r->write_bytes = take_u64(c);
}

static void get_done(struct cursor *c, struct cursor *rest, void *ret)
{
	struct pcore_wire_done *r = ret;
	struct pcore_wire_words where;

	r->job = take_job(c);
	r->attempt = take_u32(c);
	r->pid = take_u32(c);
	r->slot = take_u32(c);
	r->survivors = take_u32(c);
	r->start_ns = take_time(c);
	r->wall_ns = take_time(c);
	r->code = take_u8(c, CLD_DUMPED);
	r->status = take_u8(c, 255);
	r->method = take_u8(c, 3);
	r->memory_limit = take_u8(c, 2);
	r->flags = take_u32(c);
	get_usage(c, r);
	for (int i = 0; i < 2; i++)
		r->bytes[i] = take_u64(c);
	for (int i = 0; i < 2; i++) {
		r->sent[i] = take_u64(c);
		c->bad |= r->sent[i] > r->bytes[i];
	}
	r->input = take_u64(c);
	r->error = take_u32(c);
	where = wire_take_words(rest, take_u32(c));
	r->node = take_u32(c);
	r->reason = take_u8(c, PCORE_WIRE_REASONS - 1);
	(void)take(c, 1);
	r->tries = take_u16(c);
	c->bad |= rest->bad || where.n != (r->error ? 2 : 0);
	c->bad |= r->error > ERRNO_MAX || r->pid > WIRE_PID_MAX || !wire_is_exit(r->code, r->status);
	c->bad |= (r->flags & ~(uint32_t)PCORE_WIRE_DONE_ALL) != 0;
	r->step = c->bad ? NULL : pcore_wire_word(&where);
	r->subject = c->bad ? NULL : pcore_wire_word(&where);
}

union record {
	struct pcore_wire_ref ref;
	struct pcore_wire_credit credit;
	struct pcore_wire_started started;
	struct pcore_wire_adopt adopt;
	struct pcore_wire_assign assign;
	struct pcore_wire_done done;
};

static const struct record_kind {
	enum pcore_wire_type type;
	uint16_t size;
	get_record *get;
} kinds[] = {
	{ PCORE_WIRE_ASSIGN_N, 56, get_assign },
	{ PCORE_WIRE_DONE_N, 192, get_done },
	{ PCORE_WIRE_STARTED_N, 32, get_started },
	{ PCORE_WIRE_ACK_N, 16, get_plain },
	{ PCORE_WIRE_CREDIT_N, 32, get_credit },
	{ PCORE_WIRE_CANCEL_N, 16, get_cancel },
	{ PCORE_WIRE_RETRACT_N, 16, get_plain },
	{ PCORE_WIRE_RETRACTED_N, 16, get_retracted },
	{ PCORE_WIRE_QUIET_N, 16, get_quiet },
	{ PCORE_WIRE_ADOPT_N, 64, get_adopt },
};

static const struct record_kind *kind_of(unsigned type)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].type == type)
			return &kinds[i];
	return NULL;
}

/* 1 with the record, 0 when there is none, -EPROTO. */
static int next_record(const struct record_kind *kind, struct pcore_wire_in *in, void *ret)
{
	struct cursor all = { .p = in->data, .left = in->len }, c = { .left = in->size };
	size_t left;

	if (in->n == 0)
		return 0;
	c.p = take(&all, in->size);
	if (!c.p)
		return -EPROTO;
	left = all.left;
	kind->get(&c, &all, ret);
	take_pad(&all, left - all.left);
	if (c.bad || all.bad)
		return -EPROTO;
	in->data = all.p;
	in->len = all.left;
	in->n--;
	return 1;
}

int pcore_wire_open(const struct pcore_wire_frame *f, struct pcore_wire_in *ret)
{
	const struct record_kind *kind = kind_of(f->type);
	struct cursor c = { .p = f->body, .left = f->len };
	struct pcore_wire_in in = { .n = take_u32(&c) }, all;
	unsigned flags;
	union record any;
	int r;

	assert(kind);

	in.size = take_u16(&c);
	flags = take_u16(&c);
	if (c.bad || in.size < kind->size || in.size % WIRE_ALIGN != 0 || in.n > c.left / in.size)
		return -EPROTO;
	if (flags & ~(f->type == PCORE_WIRE_ADOPT_N ? RECORDS_MORE : 0U))
		return -EPROTO;
	in.type = kind->type;
	in.more = flags & RECORDS_MORE;
	in.data = c.p;
	in.len = c.left;
	all = in;
	while ((r = next_record(kind, &all, &any)) > 0)
		;
	if (r < 0 || all.len > 0)
		return -EPROTO;
	*ret = in;
	return 0;
}

static bool next(struct pcore_wire_in *in, void *ret)
{
	const struct record_kind *kind = kind_of(in->type);
	int r;

	assert(kind);

	r = next_record(kind, in, ret);
	assert(r >= 0);
	return r > 0;
}

bool pcore_wire_next_ref(struct pcore_wire_in *in, struct pcore_wire_ref *ret)
{
	assert(in->type == PCORE_WIRE_CANCEL_N || in->type == PCORE_WIRE_RETRACT_N || in->type == PCORE_WIRE_ACK_N ||
		in->type == PCORE_WIRE_RETRACTED_N || in->type == PCORE_WIRE_QUIET_N);

	return next(in, ret);
}

bool pcore_wire_next_credit(struct pcore_wire_in *in, struct pcore_wire_credit *ret)
{
	assert(in->type == PCORE_WIRE_CREDIT_N);

	return next(in, ret);
}

bool pcore_wire_next_started(struct pcore_wire_in *in, struct pcore_wire_started *ret)
{
	assert(in->type == PCORE_WIRE_STARTED_N);

	return next(in, ret);
}

bool pcore_wire_next_adopt(struct pcore_wire_in *in, struct pcore_wire_adopt *ret)
{
	assert(in->type == PCORE_WIRE_ADOPT_N);

	return next(in, ret);
}

bool pcore_wire_next_assign(struct pcore_wire_in *in, struct pcore_wire_assign *ret)
{
	assert(in->type == PCORE_WIRE_ASSIGN_N);

	return next(in, ret);
}

bool pcore_wire_next_done(struct pcore_wire_in *in, struct pcore_wire_done *ret)
{
	assert(in->type == PCORE_WIRE_DONE_N);

	return next(in, ret);
}

int pcore_wire_begin(struct pcore_wire_out *o, struct pcore_buf *b, enum pcore_wire_type type)
{
	const struct record_kind *kind = kind_of(type);
	struct writer w = writer(b);

	assert(kind);

	put_u32(&w, 0);
	put_u16(&w, kind->size);
	put_u16(&w, 0);
	*o = (struct pcore_wire_out){ .buf = b, .type = type, .start = w.start };
	return take_back(&w);
}

/* Take the record back when it is too long, or is not what the peer would read. extra: the bytes that belong to it. */
static int end_record(struct pcore_wire_out *o, struct writer *w, size_t extra)
{
	const struct record_kind *kind = kind_of(o->type);
	struct pcore_wire_in in = { .n = 1, .size = kind->size };
	union record any;

	put_pad(w, extra);
	if (w->error == 0 && w->b->len - o->start > pcore_wire_body_max(o->type))
		w->error = -EMSGSIZE;
	if (w->error == 0) {
		in.data = w->b->data + w->start;
		in.len = w->b->len - w->start;
		w->error = next_record(kind, &in, &any) < 0 || in.len > 0 ? -EINVAL : 0;
	}
	if (w->error == 0)
		o->n++;
	return take_back(w);
}

int pcore_wire_add_ref(struct pcore_wire_out *o, const struct pcore_wire_ref *r)
{
	struct writer w = writer(o->buf);

	assert(o->type == PCORE_WIRE_CANCEL_N || o->type == PCORE_WIRE_RETRACT_N || o->type == PCORE_WIRE_ACK_N ||
		o->type == PCORE_WIRE_RETRACTED_N || o->type == PCORE_WIRE_QUIET_N);

	put_u64(&w, r->job);
	put_u32(&w, r->attempt);
	put_u8(&w, r->how);
	put_u8(&w, r->signal);
	put_u16(&w, 0);
	return end_record(o, &w, 0);
}

int pcore_wire_add_credit(struct pcore_wire_out *o, const struct pcore_wire_credit *r)
{
	struct writer w = writer(o->buf);

	assert(o->type == PCORE_WIRE_CREDIT_N);

	put_u64(&w, r->job);
	put_u32(&w, r->attempt);
	put_u8(&w, (uint8_t)r->stream);
	put_u8(&w, r->closed ? CREDIT_CLOSED : 0);
	put_u16(&w, 0);
	put_u64(&w, r->received);
	put_u64(&w, r->limit);
	return end_record(o, &w, 0);
}

int pcore_wire_add_started(struct pcore_wire_out *o, const struct pcore_wire_started *r)
{
	struct writer w = writer(o->buf);

	assert(o->type == PCORE_WIRE_STARTED_N);

	put_u64(&w, r->job);
	put_u32(&w, r->attempt);
	put_u32(&w, r->slot);
	put_u32(&w, r->pid);
	put_u32(&w, r->node);
	put_time(&w, r->start_ns);
	return end_record(o, &w, 0);
}

static void put_ids_count(struct writer *w, const struct pcore_wire_bytes *ids)
{
	if (pcore_wire_u16s(ids) > UINT16_MAX && w->error == 0)
		w->error = -EMSGSIZE;
	put_u16(w, (uint16_t)pcore_wire_u16s(ids));
}

int pcore_wire_add_adopt(struct pcore_wire_out *o, const struct pcore_wire_adopt *r)
{
	struct writer w = writer(o->buf);

	assert(o->type == PCORE_WIRE_ADOPT_N);

	put_u64(&w, r->job);
	put_u32(&w, r->attempt);
	put_u32(&w, r->state);
	put_u64(&w, r->kept[0]);
	put_u64(&w, r->kept[1]);
	put_u64(&w, r->bytes[0]);
	put_u64(&w, r->bytes[1]);
	put_u64(&w, r->input);
	put_ids_count(&w, &r->ids);
	put_u16(&w, 0);
	put_u32(&w, 0);
	put(&w, r->ids.data, r->ids.len);
	return end_record(o, &w, r->ids.len);
}

int pcore_wire_add_assign(struct pcore_wire_out *o, const struct pcore_wire_assign *r)
{
	size_t words = wire_words_len(&r->args), extra = r->ids.len + words + r->input.len;
	struct writer w = writer(o->buf);

	assert(o->type == PCORE_WIRE_ASSIGN_N);

	put_u64(&w, r->job);
	put_u32(&w, r->attempt);
	put_u32(&w, r->template);
	put_u64(&w, r->seq);
	put_time(&w, r->timeout);
	put_u32(&w, r->tries);
	put_u32(&w, (uint32_t)r->priority);
	put_u32(&w, wire_words_count(&r->args));
	put_u32(&w, words);
	put_u32(&w, r->input.len);
	put_ids_count(&w, &r->ids);
	put_u8(&w, r->flags);
	put_u8(&w, 0);
	put(&w, r->ids.data, r->ids.len);
	wire_put_words(&w, &r->args);
	put(&w, r->input.data, r->input.len);
	return end_record(o, &w, extra);
}

static void put_usage(struct writer *w, const struct pcore_wire_done *r)
{
	put_time(w, r->user_ns);
	put_time(w, r->system_ns);
	put_u64(w, r->maxrss_kib);
	put_u64(w, r->minor_faults);
	put_u64(w, r->major_faults);
	put_u64(w, r->in_blocks);
	put_u64(w, r->out_blocks);
	put_u64(w, r->vol_switches);
	put_u64(w, r->invol_switches);
	put_u64(w, r->read_bytes);
	put_u64(w, r->write_bytes);
}

int pcore_wire_add_done(struct pcore_wire_out *o, const struct pcore_wire_done *r)
{
	struct pcore_wire_words where = { .list = (char *const[]){ (char *)r->step, (char *)r->subject, NULL } };
	size_t extra = r->error ? wire_words_len(&where) : 0;
	struct writer w = writer(o->buf);

	assert(o->type == PCORE_WIRE_DONE_N);
	assert(!r->error || (r->step && r->subject));

	put_u64(&w, r->job);
	put_u32(&w, r->attempt);
	put_u32(&w, r->pid);
	put_u32(&w, r->slot);
	put_u32(&w, r->survivors);
	put_time(&w, r->start_ns);
	put_time(&w, r->wall_ns);
	put_u8(&w, r->code);
	put_u8(&w, r->status);
	put_u8(&w, r->method);
	put_u8(&w, r->memory_limit);
	put_u32(&w, r->flags);
	put_usage(&w, r);
	put_u64(&w, r->bytes[0]);
	put_u64(&w, r->bytes[1]);
	put_u64(&w, r->sent[0]);
	put_u64(&w, r->sent[1]);
	put_u64(&w, r->input);
	put_u32(&w, r->error);
	put_u32(&w, extra);
	put_u32(&w, r->node);
	put_u8(&w, (uint8_t)r->reason);
	put_u8(&w, 0);
	put_u16(&w, r->tries);
	if (r->error)
		wire_put_words(&w, &where);
	return end_record(o, &w, extra);
}

uint32_t pcore_wire_end(struct pcore_wire_out *o, bool more)
{
	char *body = o->buf->data + o->start;
	uint16_t flags = htole16(more ? RECORDS_MORE : 0);
	uint32_t n = htole32(o->n);

	assert(!more || o->type == PCORE_WIRE_ADOPT_N);

	memcpy(body, &n, sizeof(n));
	memcpy(body + 6, &flags, sizeof(flags));
	return o->n;
}
