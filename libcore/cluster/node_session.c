/* SPDX-License-Identifier: MIT */
/*
 * node_session.c - what a node and a scheduler (or an admin) say to each other.
 *
 * What is to be said is noted in lists of jobs, and gathered into as few frames as can be once a turn of the loop.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcore/cluster/node_private.h"

enum { CHUNK = 64 * 1024 };

/* An attempt is what there is: a stale one may still be here when the scheduler assigns the job anew. */
static struct node_job *find_job(const struct node_session *s, uint64_t id, uint32_t attempt)
{
	const struct {
		uint64_t id, attempt;
	} key = { id, attempt };
	struct pcore_map_node *node = pcore_map_find(&s->jobs, &key, sizeof(key));

	return node ? container_of(node, struct node_job, node) : NULL;
}

static struct node_env *find_env(const struct node_session *s, uint64_t id)
{
	struct pcore_map_node *node = pcore_map_find(&s->envs, &id, sizeof(id));

	return node ? container_of(node, struct node_env, node) : NULL;
}

static struct node_template *find_template(const struct node_session *s, uint64_t id)
{
	struct pcore_map_node *node = pcore_map_find(&s->templates, &id, sizeof(id));

	return node ? container_of(node, struct node_template, node) : NULL;
}

/* ---- saying ---- */

static void flush_soon(struct node_session *s)
{
	if (s->conn && !pcore_op_live(&s->flush))
		(void)pcore_op_timer(s->node->loop, &s->flush, PCORE_CLOCK_MONOTONIC, 0);
}

/* Send the body in buf. When more has piled up than is good, the peer has to read before it is listened to again. */
static void send_body(struct node_session *s, enum pcore_wire_type type, uint64_t id)
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

static int begin(struct node_session *s, struct pcore_wire_out *o, enum pcore_wire_type type)
{
	pcore_buf_clear(&s->buf); /* of what could not be said */
	return pcore_wire_begin(o, &s->buf, type);
}

/* One record into the frame of its type that is being written; a full one is ended and another begun. */
static int add(struct pcore_wire_out *o, enum pcore_wire_type type, struct node_session *s, struct node_job *j)
{
	const struct pcore_wire_started started = {
		.job = j->id,
		.attempt = j->attempt,
		.slot = j->job.slot,
		.pid = (uint32_t)j->job.result.pid,
		.start_ns = j->job.result.start_ns,
	};

	for (int i = 0; i < 2; i++) {
		int r = type == PCORE_WIRE_STARTED_N ? pcore_wire_add_started(o, &started) : pcore_wire_add_done(o, &j->done);

		if (r != -EMSGSIZE)
			return r;
		(void)pcore_wire_end(o, false);
		send_body(s, type, 0);
		r = begin(s, o, type);
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
	r = begin(s, &o, PCORE_WIRE_STARTED_N);
	while (r == 0 && (node = pcore_list_pop(&s->started)))
		r = add(&o, PCORE_WIRE_STARTED_N, s, container_of(node, struct node_job, started));
	if (r == 0 && pcore_wire_end(&o, false) > 0)
		send_body(s, PCORE_WIRE_STARTED_N, 0);
	return r;
}

static int say_done(struct node_session *s)
{
	struct pcore_wire_out o;
	struct pcore_list *node;
	int r;

	if (pcore_list_empty(&s->to_tell))
		return 0;
	r = begin(s, &o, PCORE_WIRE_DONE_N);
	while (r == 0 && (node = pcore_list_pop(&s->to_tell)))
		r = add(&o, PCORE_WIRE_DONE_N, s, container_of(node, struct node_job, link));
	if (r == 0 && pcore_wire_end(&o, false) > 0)
		send_body(s, PCORE_WIRE_DONE_N, 0);
	return r;
}

/* What a job has written, as far as its credit goes. */
static int say_output(struct node_session *s, struct node_job *j, enum pcore_wire_stream stream)
{
	struct node_output *o = &j->out[stream];
	uint64_t end = o->first + o->buf.len;

	if (o->closed)
		return 0;
	end = end < o->limit ? end : o->limit;
	while (o->sent < end) {
		struct pcore_wire_chunk c = {
			.attempt = j->attempt,
			.stream = stream,
			.offset = o->sent,
			.data = o->buf.data + (o->sent - o->first),
			.len = end - o->sent < CHUNK ? end - o->sent : CHUNK,
		};
		int r;

		if (s->full) { /* room() goes on */
			if (pcore_list_empty(&j->busy))
				pcore_list_add_tail(&s->busy, &j->busy);
			return 0;
		}
		pcore_buf_clear(&s->buf);
		r = pcore_wire_put_chunk(&s->buf, &c);
		if (r < 0)
			return r;
		send_body(s, PCORE_WIRE_OUTPUT, j->id);
		o->sent += c.len;
	}
	return 0;
}

static void flush(struct pcore_op *op, int res)
{
	struct node_session *s = container_of(op, struct node_session, flush);
	struct pcore_list *node;
	int r;

	(void)res;
	if (!s->conn) {
		node_session_settle(s);
		return;
	}
	r = say_started(s);
	while (r == 0 && !s->full && (node = pcore_list_pop(&s->busy))) {
		struct node_job *j = container_of(node, struct node_job, busy);

		r = say_output(s, j, PCORE_WIRE_STDOUT);
		if (r == 0)
			r = say_output(s, j, PCORE_WIRE_STDERR);
	}
	if (r == 0)
		r = say_done(s);
	if (r < 0) /* memory is short: what was not said is said after a reconnect */
		pcore_net_abort(s->conn);
}

void node_session_tell_started(struct node_job *j)
{
	pcore_list_add_tail(&j->session->started, &j->started);
	flush_soon(j->session);
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
	flush_soon(s);
}

void node_session_output(struct node_job *j)
{
	if (pcore_list_empty(&j->busy))
		pcore_list_add_tail(&j->session->busy, &j->busy);
	flush_soon(j->session);
}

static int put_node(struct node_session *s)
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
	if (put_node(s) < 0)
		pcore_net_abort(s->conn);
	else
		send_body(s, PCORE_WIRE_NODE, 0);
}

/* One record of RETRACTED_N. A body that is full is sent, and another begun. */
static int add_retracted(struct node_session *s, struct pcore_wire_out *o, const struct pcore_wire_ref *ref)
{
	int r = pcore_wire_add_ref(o, ref);

	if (r != -EMSGSIZE)
		return r;
	(void)pcore_wire_end(o, false);
	send_body(s, PCORE_WIRE_RETRACTED_N, 0);
	r = begin(s, o, PCORE_WIRE_RETRACTED_N);
	return r < 0 ? r : pcore_wire_add_ref(o, ref);
}

/* While there is no connection the jobs stay where they are, and are given back when there is one. */
void node_session_give_back(struct node_session *s)
{
	struct pcore_wire_out o;
	int r;

	if (!s->conn || s->over)
		return;
	r = begin(s, &o, PCORE_WIRE_RETRACTED_N);
	PCORE_LIST_FOREACH_SAFE(node, &s->node->queue) {
		struct node_job *j = container_of(node, struct node_job, link);
		const struct pcore_wire_ref told = { .job = j->id, .attempt = j->attempt, .how = 1 };

		if (r < 0 || j->session != s || !node_retract(j))
			continue;
		r = add_retracted(s, &o, &told);
		node_job_free(j);
	}
	if (r < 0)
		pcore_net_abort(s->conn);
	else if (pcore_wire_end(&o, false) > 0)
		send_body(s, PCORE_WIRE_RETRACTED_N, 0);
}

/* Everything there is, to a scheduler that has just connected: new, or back. */
static int put_adopt(struct node_session *s)
{
	struct pcore_wire_out o;
	int r = begin(s, &o, PCORE_WIRE_ADOPT_N);

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
				.ids = j->as.ids,
			};

			r = pcore_wire_add_adopt(&o, &a);
			if (r == -EMSGSIZE) {
				(void)pcore_wire_end(&o, true);
				send_body(s, PCORE_WIRE_ADOPT_N, 0);
				r = begin(s, &o, PCORE_WIRE_ADOPT_N);
				if (r == 0)
					r = pcore_wire_add_adopt(&o, &a);
			}
		}
	}
	if (r == 0) {
		(void)pcore_wire_end(&o, false);
		send_body(s, PCORE_WIRE_ADOPT_N, 0);
	}
	return r;
}

static void answer(struct node_session *s, uint64_t id, int status, const char *text)
{
	struct pcore_wire_answer a = { .status = (uint64_t)status, .text = text };

	pcore_buf_clear(&s->buf);
	if (text)
		a.has |= PCORE_WIRE_HAS(PCORE_WIRE_ANSWER_TEXT);
	if (pcore_wire_put_answer(&s->buf, &a) == 0)
		send_body(s, PCORE_WIRE_ANSWER, id);
}

/* ---- hearing ---- */

/* All before received has arrived: it is forgotten. */
static void take(struct node_job *j, struct node_output *o, uint64_t received, bool closed)
{
	size_t before = o->buf.len;

	if (closed) {
		o->closed = true;
		pcore_buf_clear(&o->buf);
	} else if (received > o->first) {
		pcore_buf_consume(&o->buf, received - o->first);
		o->first = received;
		o->sent = o->sent > received ? o->sent : received; /* it may have come by a connection before this one */
	}
	j->session->held -= before - o->buf.len;
}

/* A pipe that was left alone is read again. That is said for both outputs at a time. */
static void read_on(struct node_job *j, const struct node_output *o)
{
	const struct node_output *other = &j->out[o == &j->out[0]];

	if (j->state == NODE_RUNNING && o->buf.len < NODE_HELD && other->buf.len < NODE_HELD_MAX)
		pcore_pool_resume(j->session->node->pool, &j->job);
}

static int hear_credits(struct node_session *s, struct pcore_wire_in *in)
{
	bool was_full = s->held >= NODE_BYTES_MAX;
	struct pcore_wire_credit c;

	while (pcore_wire_next_credit(in, &c)) {
		struct node_job *j = find_job(s, c.job, c.attempt);
		struct node_output *o;

		if (!j || c.stream >= PCORE_WIRE_STDIN)
			continue;
		o = &j->out[c.stream];
		if (!o->closed && c.received > o->first + o->buf.len)
			return -EPROTO;
		take(j, o, c.received, c.closed || o->closed);
		o->limit = c.limit > o->limit ? c.limit : o->limit;
		node_session_output(j);
		read_on(j, o);
	}
	if (was_full && s->held < NODE_BYTES_MAX)
		pcore_pool_kick(s->node->pool);
	return 0;
}

static const char *keep(struct node_job *j, size_t *at, const char *data, size_t len)
{
	const char *start = j->record + *at;

	if (len > 0)
		memcpy(j->record + *at, data, len);
	*at += len;
	return start;
}

static int copy_record(struct node_job *j, const struct pcore_wire_assign *a)
{
	size_t at = 0;

	j->record = malloc(a->args.len + a->ids.len + a->input.len + 1);
	if (!j->record)
		return -ENOMEM;

	j->as.args.data = keep(j, &at, a->args.data, a->args.len);
	j->as.ids.data = keep(j, &at, a->ids.data, a->ids.len);
	j->as.input.data = keep(j, &at, a->input.data, a->input.len);
	return 0;
}

static int assign(struct node_session *s, const struct pcore_wire_assign *a)
{
	struct node_template *t = find_template(s, a->template);
	struct node_job *j;
	size_t size = sizeof(*j) + a->args.len + a->ids.len + a->input.len;
	int r;

	if (!t)
		return -EPROTO;
	if (find_job(s, a->job, a->attempt)) /* said twice */
		return 0;
	if (s->jobs.len >= NODE_JOBS_MAX || size > NODE_BODIES_MAX - s->bodies)
		return -ENOBUFS;
	j = calloc(1, sizeof(*j));
	if (!j)
		return -ENOMEM;

	*j = (struct node_job){
		.session = s,
		.template = t,
		.id = a->job,
		.attempt = a->attempt,
		.key = { a->job, a->attempt },
		.size = size,
		.as = *a,
		.out = { { .limit = PCORE_WIRE_CREDIT }, { .limit = PCORE_WIRE_CREDIT } },
	};
	pcore_list_init(&j->link);
	pcore_list_init(&j->started);
	pcore_list_init(&j->busy);
	pcore_list_init(&j->job.link);
	j->job.times = &t->t.spec.times;
	j->job.timeout = a->timeout;
	r = copy_record(j, a);
	if (r == 0)
		r = pcore_map_insert(&s->jobs, &j->node, &j->key, sizeof(j->key));
	if (r < 0) {
		free(j->record);
		free(j);
		return r;
	}
	t->jobs++;
	s->bodies += size;
	node_enqueue(j);
	return 0;
}

static int hear_assign(struct node_session *s, struct pcore_wire_in *in)
{
	struct pcore_wire_assign a;
	int r = 0;

	while (r == 0 && pcore_wire_next_assign(in, &a))
		r = assign(s, &a);
	if (s->draining || s->node->draining) /* it has crossed what the scheduler was told, or has said */
		node_session_give_back(s);
	return r;
}

static int hear_refs(struct node_session *s, struct pcore_wire_in *in)
{
	struct pcore_wire_out o;
	struct pcore_wire_ref ref;
	int r = in->type == PCORE_WIRE_RETRACT_N ? begin(s, &o, PCORE_WIRE_RETRACTED_N) : 0;

	while (r == 0 && pcore_wire_next_ref(in, &ref)) {
		struct node_job *j = find_job(s, ref.job, ref.attempt);

		if (in->type == PCORE_WIRE_RETRACT_N) {
			struct pcore_wire_ref told = { .job = ref.job, .attempt = ref.attempt, .how = j && node_retract(j) };

			r = add_retracted(s, &o, &told);
			if (told.how)
				node_job_free(j);
		} else if (j && in->type == PCORE_WIRE_CANCEL_N) {
			node_cancel(j, (enum pcore_wire_how)ref.how, ref.signal);
		} else if (j && j->state == NODE_DONE) {
			node_job_free(j);
		}
	}
	if (r == 0 && in->type == PCORE_WIRE_RETRACT_N && pcore_wire_end(&o, false) > 0)
		send_body(s, PCORE_WIRE_RETRACTED_N, 0);
	return r;
}

static int hear_records(struct node_session *s, const struct pcore_wire_frame *f)
{
	struct pcore_wire_in in;
	int r = pcore_wire_open(f, &in);

	if (r < 0)
		return r;
	switch ((unsigned)f->type) {
	case PCORE_WIRE_ASSIGN_N:
		return hear_assign(s, &in);
	case PCORE_WIRE_CREDIT_N:
		return hear_credits(s, &in);
	default:
		return hear_refs(s, &in);
	}
}

/* ---- environments and templates ---- */

static void drop_env(struct node_env *e, struct node_session *s)
{
	if (!e->dropped || e->templates > 0)
		return;
	s->bodies -= e->size;
	node_env_free(e);
}

static void drop_template(struct node_template *t, struct node_session *s)
{
	struct node_env *e = t->env;

	if (!t->dropped || t->jobs > 0)
		return;
	s->bodies -= t->size;
	node_template_free(t);
	e->templates--;
	drop_env(e, s);
}

/* Its number is free; it stays as long as something uses it. */
static void forget_env(struct node_session *s, struct node_env *e)
{
	pcore_map_remove(&s->envs, &e->node);
	e->dropped = true;
	drop_env(e, s);
}

static void forget_template(struct node_session *s, struct node_template *t)
{
	pcore_map_remove(&s->templates, &t->node);
	t->dropped = true;
	drop_template(t, s);
}

/* The first node of a map, to empty it. */
static struct pcore_map_node *any(const struct pcore_map *m)
{
	for (size_t i = 0; i < m->n_buckets; i++)
		if (m->buckets[i])
			return m->buckets[i];
	return NULL;
}

static void forget_numbers(struct node_session *s)
{
	struct pcore_map_node *node;

	while ((node = any(&s->templates)))
		forget_template(s, container_of(node, struct node_template, node));
	while ((node = any(&s->envs)))
		forget_env(s, container_of(node, struct node_env, node));
}

/* What an environment or a template costs: its body, and what is made of it. */
static size_t cost(const struct pcore_wire_frame *f)
{
	return 4096 + 4 * f->len;
}

static int hear_env(struct node_session *s, const struct pcore_wire_frame *f)
{
	struct node_env *e;
	int r;

	if (find_env(s, f->id))
		return -EPROTO;
	if (cost(f) > NODE_BODIES_MAX - s->bodies)
		return -ENOBUFS;
	r = node_env_new(&e, s, f);
	if (r < 0)
		return r;
	r = pcore_map_insert(&s->envs, &e->node, &e->id, sizeof(e->id));
	if (r < 0) {
		node_env_free(e);
		return r;
	}
	e->size = cost(f);
	s->bodies += e->size;
	return 0;
}

static int hear_template(struct node_session *s, const struct pcore_wire_frame *f)
{
	struct node_template *t;
	struct pcore_err err;
	int r;

	if (find_template(s, f->id))
		return -EPROTO;
	if (cost(f) > NODE_BODIES_MAX - s->bodies)
		return -ENOBUFS;
	r = node_template_new(&t, s, f, &err);
	if (r < 0)
		return r;
	t->env = find_env(s, t->t.env);
	r = t->env ? pcore_map_insert(&s->templates, &t->node, &t->id, sizeof(t->id)) : -EPROTO;
	if (r < 0) {
		node_template_free(t);
		return r;
	}
	t->size = cost(f);
	t->env->templates++;
	s->bodies += t->size;
	return 0;
}

static int hear_drop(struct node_session *s, const struct pcore_wire_frame *f)
{
	struct node_env *e = f->type == PCORE_WIRE_ENV_DROP ? find_env(s, f->id) : NULL;
	struct node_template *t = f->type == PCORE_WIRE_TEMPLATE_DROP ? find_template(s, f->id) : NULL;

	if (pcore_wire_get_nothing(f) < 0 || (!e && !t))
		return -EPROTO;
	if (e)
		forget_env(s, e);
	else
		forget_template(s, t);
	return 0;
}

static int hear_admin(struct node_session *s, const struct pcore_wire_frame *f)
{
	_cleanup_(pcore_buf_done) struct pcore_buf jobs = PCORE_BUF_INIT(0);
	struct pcore_wire_status status;
	struct pcore_wire_control c;
	int r;

	if (f->type == PCORE_WIRE_STATUS_GET) {
		pcore_buf_clear(&s->buf);
		r = pcore_wire_get_nothing(f);
		if (r == 0)
			r = pcore_node_status(s->node, &status, &jobs);
		if (r == 0)
			r = pcore_wire_put_status(&s->buf, &status);
		if (r == 0)
			send_body(s, PCORE_WIRE_STATUS, f->id);
		return r;
	}
	r = pcore_wire_get_control(f, &c);
	if (r < 0)
		return r;
	if (c.what == PCORE_WIRE_QUIT) /* then there is nobody to say it */
		answer(s, f->id, 0, NULL);
	r = pcore_node_control(s->node, (enum pcore_wire_control_what)c.what, c.n);
	if (c.what != PCORE_WIRE_QUIT)
		answer(s, f->id, r < 0 ? 125 : 0, r == -EINVAL ? "it cannot offer so many CPUs" : r < 0 ? strerror(-r) : NULL);
	return 0;
}

static int hear_drain(struct node_session *s, const struct pcore_wire_frame *f)
{
	if (pcore_wire_get_nothing(f) < 0)
		return -EPROTO;
	s->draining = true;
	node_session_give_back(s);
	return 0;
}

static int hear(struct node_session *s, const struct pcore_wire_frame *f)
{
	if (s->admin)
		return f->type == PCORE_WIRE_STATUS_GET || f->type == PCORE_WIRE_CONTROL ? hear_admin(s, f) : -ENOSYS;
	switch ((unsigned)f->type) {
	case PCORE_WIRE_ENV:
		return hear_env(s, f);
	case PCORE_WIRE_TEMPLATE:
		return hear_template(s, f);
	case PCORE_WIRE_ENV_DROP:
	case PCORE_WIRE_TEMPLATE_DROP:
		return hear_drop(s, f);
	case PCORE_WIRE_DRAIN:
		return hear_drain(s, f);
	case PCORE_WIRE_ASSIGN_N:
	case PCORE_WIRE_CANCEL_N:
	case PCORE_WIRE_RETRACT_N:
	case PCORE_WIRE_ACK_N:
	case PCORE_WIRE_CREDIT_N:
		return hear_records(s, f);
	case PCORE_WIRE_SHUTDOWN: {
		struct pcore_wire_shutdown m;
		int r = pcore_wire_get_shutdown(f, &m);

		if (r == 0)
			node_session_end(s, (enum pcore_wire_how)m.how);
		return r;
	}
	default:
		return -ENOSYS;
	}
}

static void frame(struct pcore_net_conn *c, void *ctx, const struct pcore_net_frame *nf)
{
	const struct pcore_wire_frame f = { (enum pcore_wire_type)nf->type, nf->stream, nf->body, nf->len };
	struct node_session *s = ctx;
	int r = hear(s, &f);

	if (r == -ENOMEM)
		pcore_net_abort(c);
	else if (r == -ENOBUFS || r == -ENOSPC)
		pcore_net_refuse(c, "more than this node has room for");
	else if (r < 0 && !(r == -ENOSYS && nf->flags & PCORE_NET_OPTIONAL))
		pcore_net_refuse(c, "a message that makes no sense here");
}

/* The peer has read: it is listened to again, and told what could not be sent. */
static void room(struct pcore_net_conn *c, void *ctx)
{
	struct node_session *s = ctx;

	s->full = false;
	pcore_net_resume(c);
	flush_soon(s);
}

/* ---- life ---- */

void node_job_free(struct node_job *j)
{
	struct node_session *s = j->session;
	struct node_template *t = j->template;

	assert(j->state != NODE_RUNNING);
	assert(s->bodies >= j->size);

	pcore_list_del(&j->link);
	pcore_list_del(&j->started);
	pcore_list_del(&j->busy);
	pcore_map_remove(&s->jobs, &j->node);
	s->bodies -= j->size;
	s->held -= j->out[0].buf.len + j->out[1].buf.len;
	pcore_buf_done(&j->out[0].buf);
	pcore_buf_done(&j->out[1].buf);
	free(j->record);
	free(j);
	t->jobs--;
	drop_template(t, s);
}

void node_session_settle(struct node_session *s)
{
	struct pcore_node *n = s->node;

	if (!s->over || s->ending || s->conn || s->jobs.len > 0 || pcore_op_live(&s->flush) || pcore_op_live(&s->grace))
		return;

	forget_numbers(s);
	assert(s->bodies == 0);
	assert(s->held == 0);
	pcore_map_done(&s->jobs);
	pcore_map_done(&s->templates);
	pcore_map_done(&s->envs);
	pcore_buf_done(&s->buf);
	pcore_list_del(&s->link);
	free(s);
	node_check_idle(n);
}

/* What runs ends; what does not is forgotten. */
void node_session_end(struct node_session *s, enum pcore_wire_how how)
{
	s->over = s->ending = true;
	for (size_t i = 0; i < s->jobs.n_buckets; i++) {
		for (struct pcore_map_node *node = s->jobs.buckets[i], *following; node; node = following) {
			struct node_job *j = container_of(node, struct node_job, node);
			const uint64_t id = j->id;
			const uint32_t attempt = j->attempt;

			following = node->next;
			if (j->state == NODE_DONE) {
				node_job_free(j);
				continue;
			}
			if (j->state == NODE_RUNNING) { /* nobody takes the rest of its outputs */
				take(j, &j->out[0], 0, true);
				take(j, &j->out[1], 0, true);
				pcore_pool_resume(s->node->pool, &j->job);
			}
			if (find_job(s, id, attempt))
				node_cancel(j, how, 0);
		}
	}
	s->ending = false;
	if (s->conn)
		pcore_net_close(s->conn);
	pcore_op_cancel(s->node->loop, &s->grace);
	node_session_settle(s);
}

static void wait_for_return(struct node_session *s);

/* It may be left from an earlier cut. */
static void grace_over(struct pcore_op *op, int res)
{
	struct node_session *s = container_of(op, struct node_session, grace);

	(void)res;
	if (s->over)
		node_session_settle(s);
	else if (!s->conn)
		wait_for_return(s);
}

static void wait_for_return(struct node_session *s)
{
	if (pcore_op_live(&s->grace)) /* it comes home and is set anew */
		pcore_op_cancel(s->node->loop, &s->grace);
	else if (pcore_now_ns() >= s->grace_until ||
		pcore_op_timer(s->node->loop, &s->grace, PCORE_CLOCK_MONOTONIC, s->grace_until) < 0)
		node_session_end(s, PCORE_WIRE_KILL_IT);
}

/* How long the other end of a connection may be away. A goodbye, and a breach of the rules by either side, are final. A reset
 * comes from the peer's machine: the process has ended, or it is back in no time. */
static int64_t grace_of(const struct node_session *s, int code)
{
	int64_t grace = s->node->spec.grace_ns;

	switch (code) {
	case 0:
	case -EPROTO:
	case -ECONNABORTED:
		return 0;
	case -ECONNRESET:
	case -EPIPE:
		return grace < NODE_GRACE_RESET_NS ? grace : NODE_GRACE_RESET_NS;
	default:
		return grace;
	}
}

static void closed(struct pcore_net_conn *c, void *ctx, const struct pcore_net_error *e)
{
	struct node_session *s = ctx;
	struct pcore_node *n = s->node;
	char line[PCORE_NET_WHY_MAX + PCORE_NET_ADDR_MAX + 8];
	int64_t grace = grace_of(s, e->code);

	if (e->code < 0 && !s->over && (s->jobs.len > 0 || e->code != -ECONNRESET)) { /* who has nothing here may go as it likes */
		(void)snprintf(line, sizeof(line), "%s: %s", pcore_net_peer(c)->address, e->why);
		n->spec.log(n->spec.ctx, line);
	}
	s->conn = NULL;
	if (s->over) { /* its jobs end as they were told */
		node_session_settle(s);
	} else if (s->admin || grace == 0) {
		node_session_end(s, PCORE_WIRE_KILL_IT);
	} else {
		s->grace_until = pcore_ns_add(pcore_now_ns(), grace);
		wait_for_return(s);
	}
}

static const struct pcore_net_ops conn_ops = { .frame = frame, .room = room, .closed = closed };

static void forgotten_frame(struct pcore_net_conn *c, void *ctx, const struct pcore_net_frame *f)
{
	(void)c;
	(void)ctx;
	(void)f;
}

static void forgotten_closed(struct pcore_net_conn *c, void *ctx, const struct pcore_net_error *e)
{
	(void)c;
	(void)ctx;
	(void)e;
}

static const struct pcore_net_ops forgotten_ops = { .frame = forgotten_frame, .closed = forgotten_closed };

static struct node_session *find_session(struct pcore_node *n, const struct pcore_net_peer *peer)
{
	PCORE_LIST_FOREACH_SAFE(node, &n->sessions) {
		struct node_session *s = container_of(node, struct node_session, link);

		if (!s->admin && !s->over && s->instance == peer->instance && strcmp(s->name, peer->name) == 0)
			return s;
	}
	return NULL;
}

static size_t count_sessions(const struct pcore_node *n)
{
	size_t count = 0;

	PCORE_LIST_FOREACH_SAFE(node, &n->sessions)
		count++;
	return count;
}

static struct node_session *session_new(struct pcore_node *n, const struct pcore_net_peer *peer)
{
	struct node_session *s = count_sessions(n) < NODE_SESSIONS_MAX ? calloc(1, sizeof(*s)) : NULL;

	if (!s)
		return NULL;

	s->node = n;
	s->instance = peer->instance;
	strcpy(s->name, peer->name);
	s->admin = peer->role == PCORE_NET_ADMIN;
	s->flush.done = flush;
	s->grace.done = grace_over;
	pcore_list_init(&s->link);
	pcore_list_init(&s->started);
	pcore_list_init(&s->to_tell);
	pcore_list_init(&s->busy);
	pcore_list_add_tail(&n->sessions, &s->link);
	return s;
}

/* It may have missed all that was sent: outputs begin again at what it has acknowledged, results are told again. Numbers are
 * those of one connection. */
static void begin_again(struct node_session *s)
{
	forget_numbers(s);
	s->full = s->draining = false;
	for (size_t i = 0; i < s->jobs.n_buckets; i++) {
		for (struct pcore_map_node *node = s->jobs.buckets[i]; node; node = node->next) {
			struct node_job *j = container_of(node, struct node_job, node);

			j->out[0].sent = j->out[0].first;
			j->out[1].sent = j->out[1].first;
			if (j->out[0].buf.len + j->out[1].buf.len > 0)
				node_session_output(j);
			if (j->state == NODE_DONE && pcore_list_empty(&j->link))
				pcore_list_add_tail(&s->to_tell, &j->link);
		}
	}
	flush_soon(s);
}

/* Everything there is. */
static int introduce(struct node_session *s)
{
	int r;

	pcore_buf_clear(&s->buf);
	r = put_node(s);
	if (r < 0)
		return r;
	send_body(s, PCORE_WIRE_NODE, 0);
	return put_adopt(s);
}

void pcore_node_serve(struct pcore_node *n, struct pcore_net_conn *c)
{
	const struct pcore_net_peer *peer = pcore_net_peer(c);
	struct node_session *s = peer->role == PCORE_NET_ADMIN ? NULL : find_session(n, peer);

	if (s && s->conn) { /* it has noticed before us that the old connection is broken */
		pcore_net_own(s->conn, &forgotten_ops, NULL);
		pcore_net_abort(s->conn);
		s->conn = NULL;
	}
	if (!s && !n->down)
		s = session_new(n, peer);
	if (!s) {
		pcore_net_own(c, &forgotten_ops, NULL);
		pcore_net_refuse(c, n->down ? "this node is about to end" : "too many have connected to this node");
		return;
	}
	s->conn = c;
	pcore_net_own(c, &conn_ops, s);
	if (s->admin)
		return;
	begin_again(s);
	if (introduce(s) < 0)
		pcore_net_abort(c);
	else if (n->draining)
		node_session_give_back(s);
}

int node_session_list(struct node_session *s, struct pcore_buf *jobs, size_t *n)
{
	int r = 0;

	for (size_t i = 0; i < s->jobs.n_buckets && r == 0; i++) {
		for (struct pcore_map_node *node = s->jobs.buckets[i]; node && r == 0; node = node->next) {
			const struct node_job *j = container_of(node, struct node_job, node);
			struct pcore_wire_job w = {
				.job = j->id,
				.attempt = j->attempt,
				.seq = j->as.seq,
				.pid = (uint64_t)j->job.result.pid,
				.start_ns = j->job.result.start_ns,
			};

			if (j->state != NODE_RUNNING || *n >= NODE_LISTED_MAX)
				continue;
			r = pcore_wire_add_job(jobs, &w);
			(*n)++;
		}
	}
	return r;
}
