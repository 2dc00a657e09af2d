/* SPDX-License-Identifier: MIT */
/*
 * shared_say.c - what is said to a client whose jobs end with it: as a node does, once a turn of the loop.
 */
#include <stdio.h>
#include <string.h>

#include "libcore/cluster/shared_private.h"

enum { CHUNK = 64 * 1024 };

void shared_say_soon(struct shared_client *c)
{
	if (c->conn && !pcore_op_live(&c->flush))
		(void)pcore_op_timer(c->shared->host.loop, &c->flush, PCORE_CLOCK_MONOTONIC, 0);
}

/* When more has piled up than is good, the peer has to read before it is listened to again. */
void shared_say(struct shared_client *c, enum pcore_wire_type type, uint64_t id, const struct pcore_buf *body)
{
	uint16_t flags = pcore_wire_body_max(type) > PCORE_WIRE_CONTROL_MAX ? PCORE_NET_DATA : 0;
	int r = c->conn ? pcore_net_send(c->conn, (uint16_t)type, flags, id, body->data, body->len) : 0;

	if (r > 0 && !c->full) {
		c->full = true;
		pcore_net_pause(c->conn);
	} else if (r < 0 && r != -ENOTCONN) {
		pcore_net_abort(c->conn); /* it is told again after a reconnect */
	}
}

/* ---- records ---- */

/* Frames of one type, as many as it takes. */
struct writer {
	struct shared_client *client;
	struct pcore_wire_out out;
	enum pcore_wire_type type;
};

static int begin(struct writer *w)
{
	pcore_buf_clear(&w->client->buf);
	return pcore_wire_begin(&w->out, &w->client->buf, w->type);
}

static void end(struct writer *w, bool more)
{
	if (pcore_wire_end(&w->out, more) > 0 || w->type == PCORE_WIRE_ADOPT_N)
		shared_say(w->client, w->type, 0, &w->client->buf);
}

static struct pcore_wire_started started_of(const struct shared_job *j)
{
	struct pcore_wire_started m = j->started;

	m.job = j->key.id;
	m.attempt = (uint32_t)j->key.attempt;
	return m;
}

static struct pcore_wire_done done_of(const struct shared_job *j)
{
	struct pcore_wire_done d = j->at.done;

	d.job = j->key.id;
	d.attempt = (uint32_t)j->key.attempt;
	d.node = j->ran ? j->ran->number : 0;
	d.step = j->texts ? j->texts : "";
	d.subject = j->texts ? j->texts + strlen(j->texts) + 1 : "";
	return d;
}

static struct pcore_wire_adopt adopt_of(const struct shared_job *j)
{
	struct pcore_wire_adopt a = {
		.job = j->key.id,
		.attempt = (uint32_t)j->key.attempt,
		.state = j->state == SHARED_DONE ? PCORE_WIRE_JOB_DONE : j->state == SHARED_RUNS ? PCORE_WIRE_JOB_RUNNING : PCORE_WIRE_JOB_QUEUED,
	};

	a.input = j->in.received;
	for (int i = 0; i < 2; i++) {
		a.kept[i] = j->out[i].first;
		a.bytes[i] = j->out[i].first + j->out[i].buf.len;
	}
	return a;
}

/* As the node gives it: what is here is what the job has not taken. */
static struct pcore_wire_credit credit_of(const struct shared_job *j)
{
	const struct shared_input *in = &j->in;

	return (struct pcore_wire_credit){
		.job = j->key.id,
		.attempt = (uint32_t)j->key.attempt,
		.stream = PCORE_WIRE_STDIN,
		.closed = in->over,
		.received = in->received,
		.limit = in->granted > in->received ? in->granted : in->received,
	};
}

static int put(struct writer *w, const struct shared_job *j)
{
	struct pcore_wire_started started = started_of(j);
	struct pcore_wire_done done = done_of(j);
	struct pcore_wire_adopt adopt = adopt_of(j);
	struct pcore_wire_credit credit = credit_of(j);

	if (w->type == PCORE_WIRE_STARTED_N)
		return pcore_wire_add_started(&w->out, &started);
	if (w->type == PCORE_WIRE_DONE_N)
		return pcore_wire_add_done(&w->out, &done);
	if (w->type == PCORE_WIRE_CREDIT_N)
		return pcore_wire_add_credit(&w->out, &credit);
	return pcore_wire_add_adopt(&w->out, &adopt);
}

static int add(struct writer *w, const struct shared_job *j)
{
	int r = put(w, j);

	if (r != -EMSGSIZE)
		return r;
	end(w, w->type == PCORE_WIRE_ADOPT_N);
	r = begin(w);
	return r < 0 ? r : put(w, j);
}

static void tell_numbers(struct shared_client *c, const struct pcore_list *jobs, bool done)
{
	for (const struct pcore_list *node = jobs->next; node != jobs; node = node->next) {
		const struct shared_job *j = done ? container_of(node, struct shared_job, to_tell) : container_of(node, struct shared_job, to_start);

		if (j->ran)
			shared_say_number(c, j->ran);
	}
}

static int say_started(struct shared_client *c)
{
	struct writer w = { .client = c, .type = PCORE_WIRE_STARTED_N };
	struct pcore_list *node;
	int r;

	if (pcore_list_empty(&c->to_start))
		return 0;
	tell_numbers(c, &c->to_start, false);
	r = begin(&w);
	while (r == 0 && (node = pcore_list_pop(&c->to_start)))
		r = add(&w, container_of(node, struct shared_job, to_start));
	end(&w, false);
	return r;
}

static int say_credits(struct shared_client *c)
{
	struct writer w = { .client = c, .type = PCORE_WIRE_CREDIT_N };
	struct pcore_list *node;
	int r;

	if (pcore_list_empty(&c->to_credit))
		return 0;
	r = begin(&w);
	while (r == 0 && (node = pcore_list_pop(&c->to_credit)))
		r = add(&w, container_of(node, struct shared_job, in.to_credit));
	end(&w, false);
	return r;
}

int shared_say_retracted(struct shared_client *c, const struct pcore_wire_ref *ref)
{
	struct writer w = { .client = c, .type = PCORE_WIRE_RETRACTED_N };
	int r = begin(&w);

	if (r == 0)
		r = pcore_wire_add_ref(&w.out, ref);
	end(&w, false);
	return r;
}

/* Not told again after a reconnect, nor when its output has got so far: its node says what lasts from time to time. */
void shared_say_quiet(struct link *l, struct link_job *at, enum pcore_wire_quiet what)
{
	const struct shared_job *j = container_of(at, struct shared_job, at);
	struct writer w = { .client = j->client, .type = PCORE_WIRE_QUIET_N };
	const struct pcore_wire_ref ref = { .job = j->key.id, .attempt = (uint32_t)j->key.attempt, .how = (uint8_t)what };
	const struct shared_output *out = &j->out[PCORE_WIRE_STDOUT];
	bool told_all = out->closed || out->sent == out->first + out->buf.len;

	(void)l;
	if (!j->client || !j->client->conn || (what != PCORE_WIRE_UNREAD && !told_all) || begin(&w) < 0)
		return;
	if (pcore_wire_add_ref(&w.out, &ref) == 0 && pcore_wire_end(&w.out, false) > 0)
		(void)pcore_net_send(j->client->conn, PCORE_WIRE_QUIET_N, PCORE_NET_OPTIONAL, 0, j->client->buf.data, j->client->buf.len);
}

/* One that was lost is not told again: nobody acknowledges it. */
static int say_lost(struct shared_job *j)
{
	const struct pcore_wire_ref ref = {
		.job = j->key.id,
		.attempt = (uint32_t)j->key.attempt,
		.how = j->began ? PCORE_WIRE_IS_LOST : PCORE_WIRE_IS_RETRACTED,
	};
	struct shared_client *c = j->client;

	shared_job_free(j);
	return shared_say_retracted(c, &ref);
}

/* DONE_N and RETRACTED_N: each in its own frames. */
static int say_done(struct shared_client *c)
{
	struct writer w = { .client = c, .type = PCORE_WIRE_DONE_N };
	struct pcore_list lost, *node;
	int r;

	if (pcore_list_empty(&c->to_tell))
		return 0;
	pcore_list_init(&lost);
	tell_numbers(c, &c->to_tell, true);
	r = begin(&w);
	while (r == 0 && (node = pcore_list_pop(&c->to_tell))) {
		struct shared_job *j = container_of(node, struct shared_job, to_tell);

		if (j->lost)
			pcore_list_add_tail(&lost, &j->to_tell);
		else
			r = add(&w, j);
	}
	end(&w, false);
	while ((node = pcore_list_pop(&lost))) {
		int told = say_lost(container_of(node, struct shared_job, to_tell));

		r = r < 0 ? r : told;
	}
	return r;
}

/* ---- output ---- */

bool shared_say_output(struct shared_job *j, enum pcore_wire_stream stream, const char *data, size_t len)
{
	struct shared_output *o = &j->out[stream];

	if (o->closed)
		return true;
	if (pcore_buf_add(&o->buf, data, len) < 0) {
		pcore_net_abort(j->at.on->conn); /* it says it again */
		j->at.received[stream] -= len;
		return true;
	}
	if (pcore_list_empty(&j->busy))
		pcore_list_add_tail(&j->client->busy, &j->busy);
	shared_say_soon(j->client);
	return o->buf.len < SHARED_HELD;
}

static int say_output(struct shared_client *c, struct shared_job *j, enum pcore_wire_stream stream)
{
	struct shared_output *o = &j->out[stream];
	uint64_t end = o->first + o->buf.len;

	if (o->closed)
		return 0;
	end = end < o->limit ? end : o->limit;
	while (o->sent < end) {
		struct pcore_wire_chunk chunk = {
			.attempt = (uint32_t)j->key.attempt,
			.stream = stream,
			.offset = o->sent,
			.data = o->buf.data + (o->sent - o->first),
			.len = end - o->sent < CHUNK ? end - o->sent : CHUNK,
		};
		int r;

		if (c->full) { /* room() goes on */
			if (pcore_list_empty(&j->busy))
				pcore_list_add_tail(&c->busy, &j->busy);
			return 0;
		}
		pcore_buf_clear(&c->buf);
		r = pcore_wire_put_chunk(&c->buf, &chunk);
		if (r < 0)
			return r;
		shared_say(c, PCORE_WIRE_OUTPUT, j->key.id, &c->buf);
		o->sent += chunk.len;
	}
	return 0;
}

void shared_say_flush(struct pcore_op *op, int res)
{
	struct shared_client *c = container_of(op, struct shared_client, flush);
	struct pcore_list *node;
	int r;

	(void)res;
	if (!c->conn) {
		shared_client_settle(c);
		return;
	}
	r = say_started(c);
	if (r == 0)
		r = say_credits(c);
	while (r == 0 && !c->full && (node = pcore_list_pop(&c->busy))) {
		struct shared_job *j = container_of(node, struct shared_job, busy);

		r = say_output(c, j, PCORE_WIRE_STDOUT);
		if (r == 0)
			r = say_output(c, j, PCORE_WIRE_STDERR);
	}
	if (r == 0)
		r = say_done(c);
	if (r == 0)
		shared_watch_go_on(c);
	if (r < 0) /* memory is short: what was not said is said after a reconnect */
		pcore_net_abort(c->conn);
}

/* ---- what there is ---- */

void shared_say_node(struct shared_client *c)
{
	const struct pcore_shared *s = c->shared;
	struct pcore_wire_node m = {
		.name = s->spec.name,
		.instance = pcore_shared_instance(s),
		.state = shared_state(s),
		.cpus = s->cpus,
		.slots = s->cpus,
		.prefetch = SHARED_PREFETCH,
		.software = s->spec.software,
	};

	pcore_buf_clear(&c->buf);
	if (pcore_wire_put_node(&c->buf, &m) == 0)
		shared_say(c, PCORE_WIRE_NODE, 0, &c->buf);
	else if (c->conn)
		pcore_net_abort(c->conn);
}

int shared_say_introduce(struct shared_client *c)
{
	struct writer w = { .client = c, .type = PCORE_WIRE_ADOPT_N };
	int r;

	shared_say_node(c);
	r = begin(&w);
	for (size_t i = 0; i < c->jobs.n_buckets && r == 0; i++)
		for (struct pcore_map_node *node = c->jobs.buckets[i]; node && r == 0; node = node->next)
			r = add(&w, container_of(node, struct shared_job, by_key));
	if (r == 0)
		end(&w, false);
	return r;
}

void shared_say_number(struct shared_client *c, const struct shared_node *n)
{
	const struct pcore_wire_number m = { .name = n->name };
	size_t word = n->number / 64;

	if (word >= c->n_numbers) {
		uint64_t *larger = realloc(c->numbers, (word + 1) * sizeof(*larger));

		if (!larger)
			return; /* its name is not known there */
		memset(larger + c->n_numbers, 0, (word + 1 - c->n_numbers) * sizeof(*larger));
		c->numbers = larger;
		c->n_numbers = word + 1;
	}
	if (c->numbers[word] >> n->number % 64 & 1)
		return;
	c->numbers[word] |= UINT64_C(1) << n->number % 64;
	pcore_buf_clear(&c->buf);
	if (pcore_wire_put_number(&c->buf, &m) == 0)
		(void)(c->conn ? pcore_net_send(c->conn, PCORE_WIRE_NODE_NUMBER, PCORE_NET_OPTIONAL, n->number, c->buf.data, c->buf.len) : 0);
}

void shared_say_answer(struct shared_client *c, uint64_t id, int status, const char *text)
{
	struct pcore_wire_answer a = { .status = (uint64_t)status, .text = text };

	if (text)
		a.has |= PCORE_WIRE_HAS(PCORE_WIRE_ANSWER_TEXT);
	pcore_buf_clear(&c->buf);
	if (pcore_wire_put_answer(&c->buf, &a) == 0)
		shared_say(c, PCORE_WIRE_ANSWER, id, &c->buf);
}

void shared_say_answers(struct shared_client *c)
{
	const struct shared_answer *a = (const void *)c->answers.data;
	size_t n = c->answers.len / sizeof(*a);
	char text[32];

	for (size_t i = 0; i < n; i++) {
		const struct pcore_wire_submitted m = { .submission = a[i].number, .count = a[i].count };

		if (a[i].status >= 0) {
			(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)a[i].count);
			shared_say_answer(c, a[i].id, a[i].status, text);
			continue;
		}
		pcore_buf_clear(&c->buf);
		if (pcore_wire_put_submitted(&c->buf, &m) == 0)
			shared_say(c, PCORE_WIRE_SUBMITTED, a[i].id, &c->buf);
	}
	pcore_buf_clear(&c->answers);
}
