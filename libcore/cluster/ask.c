/* SPDX-License-Identifier: MIT */
/*
 * ask.c - a client's connection to a scheduler: it is made again until there was none for too long.
 */
#include "libcore/cluster/ask.h"

#include <string.h>
#include <sys/random.h>

enum { NODES_MAX = 1 << 20 };

/* A scheduler that is started again is back within a second or so: who waits for it looks often. */
#define RETRY_MAX_NS NS_PER_S

struct pcore_ask {
	struct pcore_loop *loop;
	struct pcore_ask_spec spec;
	struct pcore_net_conn *conn; /* NULL: none */
	struct pcore_op retry;
	struct pcore_list calls;
	struct pcore_net_error why; /* of the last failure */
	char **names;		    /* by number */
	size_t n_names;
	size_t try;
	unsigned failures;
	int64_t alone_since; /* INT64_MAX: it is there */
	uint64_t next_id;
	bool open, told, over, paused;
};

static void connect_now(struct pcore_ask *a);

static void say(struct pcore_ask *a, struct pcore_ask_call *c)
{
	uint16_t flags = pcore_wire_body_max(c->type) > PCORE_WIRE_CONTROL_MAX ? PCORE_NET_DATA : 0;
	struct pcore_buf *b = pcore_net_send_begin(a->conn, (uint16_t)c->type, flags, c->id);
	int r = b ? 0 : -ENOMEM;

	if (b && c->put)
		r = c->put(c, b);
	else if (b)
		r = pcore_buf_add(b, c->body.data, c->body.len);
	if (b && r < 0)
		pcore_net_send_drop(a->conn);
	else if (b)
		r = pcore_net_send_end(a->conn);
	if (r < 0)
		pcore_net_abort(a->conn); /* it is said again in the next one */
	else if (c->said)
		c->said(c);
}

void pcore_ask_begin(struct pcore_ask *a, struct pcore_ask_call *c)
{
	assert(!c->ask);
	assert(c->heard);

	c->ask = a;
	c->id = ++a->next_id;
	pcore_list_init(&c->link);
	pcore_list_add_tail(&a->calls, &c->link);
	if (a->open)
		say(a, c);
}

void pcore_ask_end(struct pcore_ask_call *c)
{
	if (c->ask)
		pcore_list_del(&c->link);
	c->ask = NULL;
	pcore_buf_done(&c->body);
}

/* ---- what comes ---- */

static int hear_number(struct pcore_ask *a, const struct pcore_wire_frame *f)
{
	struct pcore_wire_number m;
	char *name, **names;
	int r = pcore_wire_get_number(f, &m);

	if (r < 0 || f->id >= NODES_MAX)
		return r < 0 ? r : -EPROTO;
	if (f->id >= a->n_names) {
		size_t n = (size_t)f->id + 16;

		names = reallocarray(a->names, n, sizeof(*names));
		if (!names)
			return -ENOMEM;
		memset(names + a->n_names, 0, (n - a->n_names) * sizeof(*names));
		a->names = names;
		a->n_names = n;
	}
	name = strdup(m.name);
	if (!name)
		return -ENOMEM;
	free(a->names[f->id]);
	a->names[f->id] = name;
	return 0;
}

const char *pcore_ask_node(const struct pcore_ask *a, uint32_t number)
{
	return number < a->n_names && a->names[number] ? a->names[number] : "";
}

/* What it says as a node would, it says to those whose jobs end with them. */
static int hear(struct pcore_ask *a, const struct pcore_wire_frame *f)
{
	if (f->type == PCORE_WIRE_NODE_NUMBER)
		return hear_number(a, f);
	PCORE_LIST_FOREACH_SAFE(node, &a->calls) {
		struct pcore_ask_call *c = container_of(node, struct pcore_ask_call, link);

		if (c->id == f->id)
			return c->heard(c, f);
	}
	return 0; /* of a call that is over */
}

static void frame(struct pcore_net_conn *conn, void *ctx, const struct pcore_net_frame *nf)
{
	const struct pcore_wire_frame f = { (enum pcore_wire_type)nf->type, nf->stream, nf->body, nf->len };
	int r = hear(ctx, &f);

	if (r == -ENOMEM)
		pcore_net_abort(conn);
	else if (r < 0 && !(nf->flags & PCORE_NET_OPTIONAL))
		pcore_net_refuse(conn, "a message that makes no sense here");
}

/* ---- the connection ---- */

static void opened(struct pcore_net_conn *c, void *ctx)
{
	struct pcore_ask *a = ctx;

	(void)c;
	a->open = true;
	a->told = false;
	a->failures = 0;
	a->alone_since = INT64_MAX;
	if (a->paused)
		pcore_net_pause(a->conn);
	PCORE_LIST_FOREACH_SAFE(node, &a->calls) {
		struct pcore_ask_call *call = container_of(node, struct pcore_ask_call, link);

		say(a, call);
	}
}

/* Its key, its version, and what it thinks of us will be the same the next time. */
static bool is_final(int code)
{
	return code == -EPROTONOSUPPORT || code == -EKEYREJECTED || code == -EACCES || code == -ELOOP || code == -ENOKEY ||
	       code == -EPROTO || code == -ECONNABORTED;
}

static void give_up(struct pcore_ask *a)
{
	a->over = true;
	a->spec.failed(a->spec.ctx, &a->why);
}

/* At once when it was there, then ever more rarely, and a last time when the time is up. */
static void wait_a_little(struct pcore_ask *a, bool was_open)
{
	int64_t now = pcore_now_ns(), end = pcore_ns_add(a->alone_since, a->spec.wait_ns), at;
	uint64_t random = 0;

	if (getrandom(&random, sizeof(random), 0) < 0)
		random = (uint64_t)now;
	at = was_open ? now : pcore_net_backoff(++a->failures, random);
	at = was_open ? at : pcore_ns_add(now, at < RETRY_MAX_NS ? at : RETRY_MAX_NS);
	(void)pcore_op_timer(a->loop, &a->retry, PCORE_CLOCK_MONOTONIC, at < end ? at : end);
}

static void failed(struct pcore_ask *a, const struct pcore_net_error *e)
{
	bool was_open = a->open;

	a->open = false;
	a->conn = NULL;
	a->why = *e;
	if (a->over)
		return;
	if (a->alone_since == INT64_MAX)
		a->alone_since = pcore_now_ns();
	if (is_final(e->code) || pcore_now_ns() >= pcore_ns_add(a->alone_since, a->spec.wait_ns)) {
		give_up(a);
		return;
	}
	if (!a->told && !was_open) {
		a->told = true;
		a->spec.lost(a->spec.ctx, e);
	}
	a->try = (a->try + 1) % a->spec.n_addrs;
	wait_a_little(a, was_open);
}

static void closed(struct pcore_net_conn *c, void *ctx, const struct pcore_net_error *e)
{
	(void)c;
	failed(ctx, e);
}

static void connect_now(struct pcore_ask *a)
{
	static const struct pcore_net_ops ops = { .opened = opened, .frame = frame, .closed = closed };
	struct pcore_net_error e;

	if (pcore_net_connect(&a->conn, a->spec.net, &a->spec.addrs[a->try], &ops, a, &e) < 0)
		failed(a, &e);
}

static void retry_due(struct pcore_op *op, int res)
{
	struct pcore_ask *a = container_of(op, struct pcore_ask, retry);

	if (res == -ETIME && !a->over)
		connect_now(a);
}

int pcore_ask_new(struct pcore_ask **ret, struct pcore_loop *lp, const struct pcore_ask_spec *spec)
{
	struct pcore_ask *a = calloc(1, sizeof(*a));

	assert(spec->n_addrs > 0);

	if (!a)
		return -ENOMEM;
	a->loop = lp;
	a->spec = *spec;
	a->retry.done = retry_due;
	a->alone_since = pcore_now_ns();
	pcore_list_init(&a->calls);
	if (pcore_op_timer(lp, &a->retry, PCORE_CLOCK_MONOTONIC, pcore_now_ns()) < 0) {
		free(a);
		return -ENOMEM;
	}
	*ret = a;
	return 0;
}

void pcore_ask_pause(struct pcore_ask *a)
{
	a->paused = true;
	if (a->open)
		pcore_net_pause(a->conn);
}

void pcore_ask_resume(struct pcore_ask *a)
{
	a->paused = false;
	if (a->open)
		pcore_net_resume(a->conn);
}

void pcore_ask_close(struct pcore_ask *a)
{
	a->over = true;
	pcore_op_cancel(a->loop, &a->retry);
	if (a->conn)
		pcore_net_close(a->conn);
}

void pcore_ask_free(struct pcore_ask *a)
{
	if (!a)
		return;

	assert(!a->conn);
	assert(!pcore_op_live(&a->retry));
	assert(pcore_list_empty(&a->calls));

	for (size_t i = 0; i < a->n_names; i++)
		free(a->names[i]);
	free(a->names);
	free(a);
}

/* ---- what becomes of jobs ---- */

static struct pcore_watch *watch_of(struct pcore_ask_call *c)
{
	return container_of(c, struct pcore_watch, call);
}

/* As much as fits into the window may come, beyond what the owner has still to take. */
static uint64_t limit_of(const struct pcore_watch *w)
{
	return w->heard + (w->pending < PCORE_ASK_WINDOW ? PCORE_ASK_WINDOW - w->pending : 0);
}

static int send_credit(struct pcore_watch *w)
{
	struct pcore_wire_credit credit = { .job = w->call.id, .received = w->heard, .limit = limit_of(w) };
	struct pcore_ask *a = w->call.ask;
	struct pcore_wire_out out;
	struct pcore_buf *b;
	int r;

	w->granted = credit.limit;
	b = pcore_net_send_begin(a->conn, PCORE_WIRE_CREDIT_N, 0, 0);
	r = b ? pcore_wire_begin(&out, b, PCORE_WIRE_CREDIT_N) : -ENOMEM;
	if (r == 0)
		r = pcore_wire_add_credit(&out, &credit);
	if (b && r < 0)
		pcore_net_send_drop(a->conn);
	if (r < 0)
		return r;
	(void)pcore_wire_end(&out, false);
	return pcore_net_send_end(a->conn) < 0 ? -ENOMEM : 0;
}

static void credit_if_due(struct pcore_watch *w)
{
	struct pcore_ask *a = w->call.ask;

	if (a && a->open && limit_of(w) >= w->granted + PCORE_ASK_WINDOW / 2 && send_credit(w) < 0)
		pcore_net_abort(a->conn);
}

static void watch_said(struct pcore_ask_call *c)
{
	credit_if_due(watch_of(c));
}

/* When only the answer had not come, all is passed over. */
static int put_watch(struct pcore_ask_call *c, struct pcore_buf *body)
{
	struct pcore_watch *w = watch_of(c);
	struct pcore_wire_watch m = {
		.submission = w->submission,
		.from = w->from <= w->to ? w->from : w->to,
		.to = w->to,
		.flags = w->from <= w->to ? w->flags : 0,
		.attempt = w->attempt,
		.received = { w->received[0], w->received[1] },
	};

	if (w->seq == w->from && w->attempt > 0)
		m.has = PCORE_WIRE_HAS(PCORE_WIRE_WATCH_ATTEMPT) | PCORE_WIRE_HAS(PCORE_WIRE_WATCH_STDOUT) | PCORE_WIRE_HAS(PCORE_WIRE_WATCH_STDERR);
	w->heard = 0;
	w->granted = PCORE_WIRE_CREDIT;
	return pcore_wire_put_watch(body, &m);
}

static int hear_started(struct pcore_watch *w, const struct pcore_wire_frame *f)
{
	struct pcore_wire_started s;
	struct pcore_wire_in in;

	if (pcore_wire_open(f, &in) < 0)
		return -EPROTO;
	while (pcore_wire_next_started(&in, &s)) {
		if (s.job < w->from || s.job > w->to)
			return -EPROTO;
		if (s.job == w->seq && s.attempt == w->attempt)
			continue; /* said again after a reconnect */
		w->from = w->seq = s.job;
		w->attempt = s.attempt;
		w->received[0] = w->received[1] = 0;
		if (w->ops->started)
			w->ops->started(w, s.job, &s);
	}
	return 0;
}

static int hear_output(struct pcore_watch *w, const struct pcore_wire_frame *f)
{
	struct pcore_wire_chunk chunk;
	uint64_t known;

	if (pcore_wire_get_chunk(f, &chunk) < 0)
		return -EPROTO;
	known = w->received[chunk.stream];
	if (w->seq == 0 || chunk.offset > known || w->heard + chunk.len > w->granted)
		return -EPROTO;
	w->heard += chunk.len;
	if (chunk.attempt != w->attempt || chunk.offset + chunk.len <= known) {
		credit_if_due(w);
		return 0;
	}
	chunk.data += known - chunk.offset;
	chunk.len -= known - chunk.offset;
	w->received[chunk.stream] += chunk.len;
	w->pending += chunk.len;
	w->ops->output(w, w->seq, chunk.stream, chunk.data, chunk.len);
	credit_if_due(w);
	return 0;
}

static int hear_done(struct pcore_watch *w, const struct pcore_wire_frame *f)
{
	struct pcore_wire_done d;
	struct pcore_wire_in in;

	if (pcore_wire_open(f, &in) < 0)
		return -EPROTO;
	while (w->call.ask && pcore_wire_next_done(&in, &d)) {
		if (d.job < w->from || d.job > w->to)
			return -EPROTO;
		w->seq = 0;
		w->attempt = 0;
		w->from = d.job + 1;
		if (w->ops->done)
			w->ops->done(w, &d);
	}
	return 0;
}

static int watch_heard(struct pcore_ask_call *c, const struct pcore_wire_frame *f)
{
	struct pcore_watch *w = watch_of(c);
	struct pcore_wire_answer a;

	switch ((unsigned)f->type) {
	case PCORE_WIRE_STARTED_N: return hear_started(w, f);
	case PCORE_WIRE_OUTPUT: return w->flags & PCORE_WIRE_WATCH_OUTPUT ? hear_output(w, f) : -EPROTO;
	case PCORE_WIRE_DONE_N: return hear_done(w, f);
	case PCORE_WIRE_ANSWER: break;
	default: return -EPROTO;
	}
	if (pcore_wire_get_answer(f, &a) < 0)
		return -EPROTO;
	pcore_ask_end(c);
	w->ops->over(w, &a);
	return 0;
}

void pcore_watch_begin(struct pcore_ask *a, struct pcore_watch *w)
{
	assert(w->from > 0 && w->from <= w->to);

	w->call.type = PCORE_WIRE_WATCH;
	w->call.put = put_watch;
	w->call.said = watch_said;
	w->call.heard = watch_heard;
	pcore_ask_begin(a, &w->call);
}

void pcore_watch_took(struct pcore_watch *w, size_t n)
{
	assert(n <= w->pending);

	w->pending -= n;
	credit_if_due(w);
}

void pcore_watch_end(struct pcore_watch *w)
{
	pcore_ask_end(&w->call);
}
