/* SPDX-License-Identifier: MIT */
/*
 * node_say.c - what a node says to a scheduler.
 *
 * It is noted in lists of jobs, and gathered into as few frames as can be once a turn of the loop.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcore/cluster/node_private.h"

enum { CHUNK = 64 * 1024 };

void node_say_soon(struct node_session *s)
{
	if (!pcore_op_live(&s->flush))
		(void)pcore_op_timer(s->node->loop, &s->flush, PCORE_CLOCK_MONOTONIC, 0);
}

/* Send the body in buf. When more has piled up than is good, the peer has to read before it is listened to again. */
void node_say_body(struct node_session *s, enum pcore_wire_type type, uint64_t id)
{
	uint16_t flags = pcore_wire_body_max(type) > PCORE_WIRE_CONTROL_MAX ? PCORE_NET_DATA : 0;
	int r = s->conn ? pcore_net_send(s->conn, (uint16_t)type, flags, id, s->buf.data, s->buf.len) : 0;

	pcore_buf_clear(&s->buf);
	if (r > 0 && !s->full) {
		s->full = true;
		pcore_net_pause(s->conn);
	} else if (r < 0 && r != -ENOTCONN) {
		pcore_net_abort(s->conn); /* it is told again after a reconnect */
	}
}

int node_say_begin(struct node_session *s, struct pcore_wire_out *o, enum pcore_wire_type type)
{
	pcore_buf_clear(&s->buf); /* of what could not be said */
	return pcore_wire_begin(o, &s->buf, type);
}

static int add_started(struct pcore_wire_out *o, const struct node_job *j)
{
	const struct pcore_wire_started started = {
		.job = j->id,
		.attempt = j->attempt,
		.slot = j->job.slot,
		.pid = (uint32_t)j->job.result.pid,
		.start_ns = j->job.result.start_ns,
	};

	return pcore_wire_add_started(o, &started);
}

static int add_done(struct pcore_wire_out *o, const struct node_job *j)
{
	struct pcore_wire_done done;

	node_result(j, &done);
	return pcore_wire_add_done(o, &done);
}

/* One record into the frame of its type that is being written; a full one is ended and another begun. */
static int add(struct pcore_wire_out *o, enum pcore_wire_type type, struct node_session *s, const struct node_job *j)
{
	for (int i = 0; i < 2; i++) {
		int r = type == PCORE_WIRE_STARTED_N ? add_started(o, j) : add_done(o, j);

		if (r != -EMSGSIZE)
			return r;
		(void)pcore_wire_end(o, false);
		node_say_body(s, type, 0);
		r = node_say_begin(s, o, type);
		if (r < 0)
			return r;
	}
	return -EMSGSIZE;
}

static int say_started(struct node_session *s)
{
	struct pcore_wire_out o;
	struct pcore_list *node;
	int r;

	if (pcore_list_empty(&s->started))
		return 0;
	r = node_say_begin(s, &o, PCORE_WIRE_STARTED_N);
	while (r == 0 && (node = pcore_list_pop(&s->started)))
		r = add(&o, PCORE_WIRE_STARTED_N, s, container_of(node, struct node_job, started));
	if (r == 0 && pcore_wire_end(&o, false) > 0)
		node_say_body(s, PCORE_WIRE_STARTED_N, 0);
	return r;
}

static int say_done(struct node_session *s)
{
	struct pcore_wire_out o;
	struct pcore_list *node;
	int r;

	if (pcore_list_empty(&s->to_tell))
		return 0;
	r = node_say_begin(s, &o, PCORE_WIRE_DONE_N);
	while (r == 0 && (node = pcore_list_pop(&s->to_tell)))
		r = add(&o, PCORE_WIRE_DONE_N, s, container_of(node, struct node_job, link));
	if (r == 0 && pcore_wire_end(&o, false) > 0)
		node_say_body(s, PCORE_WIRE_DONE_N, 0);
	return r;
}

static int add_credit(struct node_session *s, struct pcore_wire_out *o, const struct pcore_wire_credit *c)
{
	int r = pcore_wire_add_credit(o, c);

	if (r != -EMSGSIZE)
		return r;
	(void)pcore_wire_end(o, false);
	node_say_body(s, PCORE_WIRE_CREDIT_N, 0);
	r = node_say_begin(s, o, PCORE_WIRE_CREDIT_N);
	return r < 0 ? r : pcore_wire_add_credit(o, c);
}

/* What jobs have taken of their input, and whether they read on. */
static int say_credits(struct node_session *s)
{
	struct pcore_wire_out o;
	struct pcore_list *node;
	int r;

	if (pcore_list_empty(&s->to_credit))
		return 0;
	r = node_say_begin(s, &o, PCORE_WIRE_CREDIT_N);
	while (r == 0 && (node = pcore_list_pop(&s->to_credit))) {
		const struct node_job *j = container_of(node, struct node_job, in.to_credit);
		const struct pcore_wire_credit c = {
			.job = j->id,
			.attempt = j->attempt,
			.stream = PCORE_WIRE_STDIN,
			.closed = j->in.over,
			.received = j->in.received,
			.limit = j->in.granted > j->in.received ? j->in.granted : j->in.received,
		};

		r = add_credit(s, &o, &c);
	}
	if (r == 0 && pcore_wire_end(&o, false) > 0)
		node_say_body(s, PCORE_WIRE_CREDIT_N, 0);
	return r;
}

/* A stream, as far as its credit goes and the connection takes it. */
int node_say_stream(struct node_session *s, uint64_t id, uint32_t attempt, enum pcore_wire_stream stream, struct node_output *o)
{
	uint64_t end = o->first + o->buf.len;

	end = end < o->limit ? end : o->limit;
	while (!o->closed && !s->full && o->sent < end) {
		struct pcore_wire_chunk c = {
			.attempt = attempt,
			.stream = stream,
			.offset = o->sent,
			.data = o->buf.data + (o->sent - o->first),
			.len = end - o->sent < CHUNK ? end - o->sent : CHUNK,
		};
		int r;

		pcore_buf_clear(&s->buf);
		r = pcore_wire_put_chunk(&s->buf, &c);
		if (r < 0)
			return r;
		node_say_body(s, PCORE_WIRE_OUTPUT, id);
		o->sent += c.len;
	}
	return 0;
}

/* What a job has written; room() goes on. */
static int say_outputs(struct node_session *s, struct node_job *j)
{
	int r = 0;

	for (int i = 0; i < 2 && r == 0; i++)
		r = node_say_stream(s, j->id, j->attempt, (enum pcore_wire_stream)i, &j->out[i]);
	if (s->full && pcore_list_empty(&j->busy))
		pcore_list_add_tail(&s->busy, &j->busy);
	return r;
}

void node_say_flush(struct pcore_op *op, int res)
{
	struct node_session *s = container_of(op, struct node_session, flush);
	struct pcore_list *node;
	int r;

	(void)res;
	if (!s->conn) {
		(void)node_workers_say(s);
		node_session_settle(s);
		return;
	}
	node_workers_tell_started(s);
	r = say_started(s);
	if (r == 0)
		r = say_credits(s);
	while (r == 0 && !s->full && (node = pcore_list_pop(&s->busy))) {
		r = say_outputs(s, container_of(node, struct node_job, busy));
	}
	if (r == 0)
		r = say_done(s);
	if (r == 0)
		r = node_workers_say(s);
	if (r < 0) /* memory is short: what was not said is said after a reconnect */
		pcore_net_abort(s->conn);
}

void node_say_quiet(struct node_job *j, enum pcore_wire_quiet what)
{
	const struct pcore_wire_ref ref = { .job = j->id, .attempt = j->attempt, .how = (uint8_t)what };
	struct node_session *s = j->session;
	struct pcore_wire_out o;

	if (!s->conn || node_say_begin(s, &o, PCORE_WIRE_QUIET_N) < 0)
		return;
	if (pcore_wire_add_ref(&o, &ref) == 0 && pcore_wire_end(&o, false) > 0)
		(void)pcore_net_send(s->conn, PCORE_WIRE_QUIET_N, PCORE_NET_OPTIONAL, 0, s->buf.data, s->buf.len);
	pcore_buf_clear(&s->buf);
}

void node_session_tell_started(struct node_job *j)
{
	pcore_list_add_tail(&j->session->started, &j->started);
	node_say_soon(j->session);
}

void node_session_tell_done(struct node_job *j)
{
	struct node_session *s = j->session;

	if (s->over) {
		node_job_free(j);
		node_session_settle(s);
		return;
	}
	pcore_list_add_tail(&s->to_tell, &j->link);
	node_say_soon(s);
}

void node_session_output(struct node_job *j)
{
	if (pcore_list_empty(&j->busy))
		pcore_list_add_tail(&j->session->busy, &j->busy);
	node_say_soon(j->session);
}

int node_put_node(struct node_session *s)
{
	const struct pcore_node *n = s->node;
	_cleanup_(pcore_buf_done) struct pcore_buf resources = PCORE_BUF_INIT(0);
	struct pcore_wire_node m = {
		.name = n->spec.name,
		.instance = n->instance,
		.state = n->draining ? PCORE_WIRE_DRAINING : n->stopped ? PCORE_WIRE_STOPPED : PCORE_WIRE_SERVING,
		.cpus = n->cpus,
		.memory = n->spec.memory,
		.slots = n->cpus,
		.prefetch = NODE_PREFETCH,
		.software = n->spec.software,
		.labels.list = n->spec.labels,
	};
	int r = 0;

	if (n->spec.labels)
		m.has |= PCORE_WIRE_HAS(PCORE_WIRE_NODE_LABELS);
	for (size_t i = 0; i < n->spec.n_resources && r == 0; i++) {
		const struct pcore_node_resource *res = &n->spec.resources[i];
		struct pcore_wire_resource w = { .name = res->name, .count = res->n, .ids.list = res->ids };

		if (res->ids)
			w.has |= PCORE_WIRE_HAS(PCORE_WIRE_RESOURCE_IDS);
		r = pcore_wire_add_resource(&resources, &w);
	}
	m.resources = (struct pcore_wire_list){ resources.data, resources.len, n->spec.n_resources };
	if (n->spec.n_resources > 0)
		m.has |= PCORE_WIRE_HAS(PCORE_WIRE_NODE_RESOURCES);
	return r < 0 ? r : pcore_wire_put_node(&s->buf, &m);
}

void node_session_announce(struct node_session *s)
{
	if (!s->conn || s->admin)
		return;
	pcore_buf_clear(&s->buf);
	if (node_put_node(s) < 0)
		pcore_net_abort(s->conn);
	else
		node_say_body(s, PCORE_WIRE_NODE, 0);
}

/* One record of RETRACTED_N. A body that is full is sent, and another begun. */
int node_add_retracted(struct node_session *s, struct pcore_wire_out *o, const struct pcore_wire_ref *ref)
{
	int r = pcore_wire_add_ref(o, ref);

	if (r != -EMSGSIZE)
		return r;
	(void)pcore_wire_end(o, false);
	node_say_body(s, PCORE_WIRE_RETRACTED_N, 0);
	r = node_say_begin(s, o, PCORE_WIRE_RETRACTED_N);
	return r < 0 ? r : pcore_wire_add_ref(o, ref);
}

struct back {
	struct pcore_wire_out out;
	int r;
};

static void give_back(void *ctx, struct node_job *j)
{
	const struct pcore_wire_ref told = { .job = j->id, .attempt = j->attempt, .how = 1 };
	struct back *b = ctx;

	if (b->r < 0 || !node_retract(j))
		return;
	b->r = node_add_retracted(j->session, &b->out, &told);
	node_job_free(j);
}

/* While there is no connection the jobs stay where they are, and are given back when there is one. */
void node_session_give_back(struct node_session *s)
{
	struct back b = { .r = 0 };

	if (!s->conn || s->over)
		return;
	b.r = node_say_begin(s, &b.out, PCORE_WIRE_RETRACTED_N);
	PCORE_LIST_FOREACH_SAFE(node, &s->node->queue) {
		struct node_job *j = container_of(node, struct node_job, link);

		if (j->session == s)
			give_back(&b, j);
	}
	node_workers_each_queued(s, give_back, &b);
	if (b.r < 0)
		pcore_net_abort(s->conn);
	else if (pcore_wire_end(&b.out, false) > 0)
		node_say_body(s, PCORE_WIRE_RETRACTED_N, 0);
}

/* Everything there is, to a scheduler that has just connected: new, or back. */
int node_put_adopt(struct node_session *s)
{
	struct pcore_wire_out o;
	int r = node_say_begin(s, &o, PCORE_WIRE_ADOPT_N);

	for (size_t i = 0; i < s->jobs.n_buckets && r == 0; i++) {
		for (struct pcore_map_node *node = s->jobs.buckets[i]; node && r == 0; node = node->next) {
			const struct node_job *j = container_of(node, struct node_job, node);
			struct pcore_wire_adopt a = {
				.job = j->id,
				.attempt = j->attempt,
				.state = j->state == NODE_QUEUED ? PCORE_WIRE_JOB_QUEUED
					: j->state == NODE_RUNNING ? PCORE_WIRE_JOB_RUNNING : PCORE_WIRE_JOB_DONE,
				.kept = { j->out[0].first, j->out[1].first },
				.bytes = { j->out[0].total, j->out[1].total },
				.input = j->in.received,
				.ids = j->as.ids,
			};

			r = pcore_wire_add_adopt(&o, &a);
			if (r == -EMSGSIZE) {
				(void)pcore_wire_end(&o, true);
				node_say_body(s, PCORE_WIRE_ADOPT_N, 0);
				r = node_say_begin(s, &o, PCORE_WIRE_ADOPT_N);
				if (r == 0)
					r = pcore_wire_add_adopt(&o, &a);
			}
		}
	}
	if (r == 0) {
		(void)pcore_wire_end(&o, false);
		node_say_body(s, PCORE_WIRE_ADOPT_N, 0);
	}
	return r;
}

void node_say_worker(struct node_session *s, const struct pcore_wire_worker *w)
{
	pcore_buf_clear(&s->buf);
	if (s->conn && pcore_wire_put_worker(&s->buf, w) == 0)
		node_say_body(s, PCORE_WIRE_WORKER, 0);
}

void node_say_answer(struct node_session *s, uint64_t id, int status, const char *text)
{
	struct pcore_wire_answer a = { .status = (uint64_t)status, .text = text };

	pcore_buf_clear(&s->buf);
	if (text)
		a.has |= PCORE_WIRE_HAS(PCORE_WIRE_ANSWER_TEXT);
	if (pcore_wire_put_answer(&s->buf, &a) == 0)
		node_say_body(s, PCORE_WIRE_ANSWER, id);
}
