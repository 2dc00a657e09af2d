/* SPDX-License-Identifier: MIT */
/*
 * node_session.c - what a node hears from schedulers and admins, and how long it keeps what they want.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcore/cluster/node_private.h"

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

/* ---- hearing ---- */

/* All before received has arrived: it is forgotten. */
void node_output_take(struct node_session *s, struct node_output *o, uint64_t received, bool closed)
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
	s->held -= before - o->buf.len;
}

/* What it writes is read again. */
static void resume(struct node_job *j)
{
	if (j->workers)
		node_workers_resume(j);
	else
		pcore_pool_resume(j->session->node->pool, &j->job);
}

/* A pipe that was left alone is read again. That is said for both outputs at a time. */
static void read_on(struct node_job *j, const struct node_output *o)
{
	const struct node_output *other = &j->out[o == &j->out[0]];

	if (j->state == NODE_RUNNING && o->buf.len < NODE_HELD && other->buf.len < NODE_HELD_MAX)
		resume(j);
}

static void credit_worker(struct node_session *s, const struct pcore_wire_credit *c)
{
	struct node_template *t = find_template(s, c->job << 1 >> 17);

	if (t)
		node_workers_credit(s, t, (unsigned)(c->job & UINT16_MAX), c);
}

static int hear_credits(struct node_session *s, struct pcore_wire_in *in)
{
	bool was_full = s->held >= NODE_BYTES_MAX;
	struct pcore_wire_credit c;

	while (pcore_wire_next_credit(in, &c)) {
		struct node_job *j = find_job(s, c.job, c.attempt);
		struct node_output *o;

		if (c.job >> 63 && c.stream == PCORE_WIRE_STDERR)
			credit_worker(s, &c);
		if (!j || c.stream >= PCORE_WIRE_STDIN)
			continue;
		o = &j->out[c.stream];
		if (!o->closed && c.received > o->first + o->buf.len)
			return -EPROTO;
		node_output_take(s, o, c.received, c.closed || o->closed);
		o->limit = c.limit > o->limit ? c.limit : o->limit;
		node_session_output(j);
		read_on(j, o);
	}
	if (was_full && s->held < NODE_BYTES_MAX) {
		pcore_pool_kick(s->node->pool);
		node_workers_kick(s->node);
	}
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
	size_t at = 0, item = j->template->t.spec.worker ? a->input.len : 0; /* other input is not needed any longer than until it was read */

	j->record = malloc(a->args.len + 2 * a->ids.len + item + 1);
	if (!j->record)
		return -ENOMEM;

	j->as.args.data = keep(j, &at, a->args.data, a->args.len);
	j->as.ids.data = keep(j, &at, a->ids.data, a->ids.len);
	j->ids = (struct pcore_wire_bytes){ keep(j, &at, a->ids.data, a->ids.len), a->ids.len };
	j->as.input.data = keep(j, &at, a->input.data, item);
	j->as.input.len = item;
	return 0;
}

static int assign(struct node_session *s, const struct pcore_wire_assign *a)
{
	struct node_template *t = find_template(s, a->template);
	struct node_job *j;
	size_t size = sizeof(*j) + a->args.len + a->ids.len + (t && t->t.spec.worker ? a->input.len : 0);
	int r;

	if (!t || (t->t.spec.worker && a->flags & PCORE_WIRE_STREAM))
		return -EPROTO;
	if (s->jobs.len >= NODE_JOBS_MAX || size > NODE_BODIES_MAX - s->bodies)
		return -ENOBUFS;
	j = pcore_spare_new(&s->node->spare);
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
	pcore_list_init(&j->in.to_credit);
	pcore_list_init(&j->in.to_look);
	j->job.times = &t->t.spec.times;
	j->job.timeout = a->timeout;
	r = copy_record(j, a);
	if (r == 0 && !t->t.spec.worker)
		r = node_input_begin(j, a);
	if (r == 0)
		r = pcore_map_insert(&s->jobs, &j->node, &j->key, sizeof(j->key));
	if (r < 0) {
		node_input_done(j);
		free(j->record);
		pcore_spare_free(&s->node->spare, j);
		return r == -EEXIST ? 0 : r; /* said twice */
	}
	t->jobs++;
	s->bodies += size;
	r = t->t.spec.worker ? node_workers_enqueue(j) : 0;
	if (r < 0)
		node_job_free(j);
	else if (!t->t.spec.worker)
		node_enqueue(j);
	return r;
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
	int r = in->type == PCORE_WIRE_RETRACT_N ? node_say_begin(s, &o, PCORE_WIRE_RETRACTED_N) : 0;

	while (r == 0 && pcore_wire_next_ref(in, &ref)) {
		struct node_job *j = find_job(s, ref.job, ref.attempt);

		if (in->type == PCORE_WIRE_RETRACT_N) {
			struct pcore_wire_ref told = { .job = ref.job, .attempt = ref.attempt, .how = j && node_retract(j) };

			r = node_add_retracted(s, &o, &told);
			if (told.how)
				node_job_free(j);
		} else if (j && in->type == PCORE_WIRE_CANCEL_N) {
			node_cancel(j, (enum pcore_wire_how)ref.how, ref.signal);
		} else if (j && j->state == NODE_DONE) {
			node_job_free(j);
		}
	}
	if (r == 0 && in->type == PCORE_WIRE_RETRACT_N && pcore_wire_end(&o, false) > 0)
		node_say_body(s, PCORE_WIRE_RETRACTED_N, 0);
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

void node_template_settle(struct node_template *t, struct node_session *s)
{
	struct node_env *e = t->env;

	const struct pcore_wire_worker gone = { .template = t->id, .event = PCORE_WIRE_WORKERS_GONE };

	if (!t->dropped)
		return;
	node_workers_look(t);
	if (t->jobs > 0 || !pcore_list_empty(&t->workers))
		return;
	if (t->tell_end)
		node_say_worker(s, &gone);
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
	node_template_settle(t, s);
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

	node_workers_unname(s);
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
	if (e) {
		forget_env(s, e);
	} else {
		t->tell_end = t->t.spec.worker != NULL;
		forget_template(s, t);
	}
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
			node_say_body(s, PCORE_WIRE_STATUS, f->id);
		return r;
	}
	r = pcore_wire_get_control(f, &c);
	if (r < 0)
		return r;
	if (c.what == PCORE_WIRE_QUIT) /* then there is nobody to say it */
		node_say_answer(s, f->id, 0, NULL);
	r = pcore_node_control(s->node, (enum pcore_wire_control_what)c.what, c.n);
	if (c.what != PCORE_WIRE_QUIT)
		node_say_answer(s, f->id, r < 0 ? 125 : 0, r == -EINVAL ? "it cannot offer so many CPUs" : r < 0 ? strerror(-r) : NULL);
	return 0;
}

static int hear_input(struct node_session *s, const struct pcore_wire_frame *f)
{
	struct pcore_wire_chunk c;
	struct node_job *j;
	int r = pcore_wire_get_chunk(f, &c);

	if (r < 0)
		return r;
	j = find_job(s, f->id, c.attempt);
	return j ? node_input_hear(j, &c) : 0; /* it may have been acknowledged, or cancelled, meanwhile */
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
	case PCORE_WIRE_STAY:
		s->stays = true;
		return pcore_wire_get_nothing(f);
	case PCORE_WIRE_INPUT:
		return hear_input(s, f);
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
	node_say_soon(s);
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
	node_input_done(j);
	pcore_map_remove(&s->jobs, &j->node);
	s->bodies -= j->size;
	s->held -= j->out[0].buf.len + j->out[1].buf.len;
	pcore_buf_done(&j->out[0].buf);
	pcore_buf_done(&j->out[1].buf);
	free(j->record);
	pcore_spare_free(&s->node->spare, j);
	t->jobs--;
	node_template_settle(t, s);
}

void node_session_settle(struct node_session *s)
{
	struct pcore_node *n = s->node;

	if (!s->over || s->ending || s->conn || s->jobs.len > 0 || node_workers_of(s) || pcore_op_live(&s->flush) || pcore_op_live(&s->grace))
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
				node_output_take(s, &j->out[0], 0, true);
				node_output_take(s, &j->out[1], 0, true);
				resume(j);
			}
			if (find_job(s, id, attempt))
				node_cancel(j, how, 0);
		}
	}
	node_workers_end(s, how);
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
		return s->stays || grace < NODE_GRACE_RESET_NS ? grace : NODE_GRACE_RESET_NS;
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
	if (s->dial)
		node_dial_lost(TAKE_PTR(s->dial), e->code == -EPROTO || e->code == -ECONNABORTED);
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
	s->flush.done = node_say_flush;
	s->grace.done = grace_over;
	pcore_list_init(&s->link);
	pcore_list_init(&s->started);
	pcore_list_init(&s->to_tell);
	pcore_list_init(&s->busy);
	pcore_list_init(&s->to_credit);
	pcore_list_add_tail(&n->sessions, &s->link);
	return s;
}

/* It may have missed all that was sent: outputs begin again at what it has acknowledged, results are told again. Numbers are
 * those of one connection. */
static void begin_again(struct node_session *s)
{
	forget_numbers(s);
	s->full = s->draining = s->stays = false;
	for (size_t i = 0; i < s->jobs.n_buckets; i++) {
		for (struct pcore_map_node *node = s->jobs.buckets[i]; node; node = node->next) {
			struct node_job *j = container_of(node, struct node_job, node);

			j->out[0].sent = j->out[0].first;
			j->out[1].sent = j->out[1].first;
			if (j->out[0].buf.len + j->out[1].buf.len > 0)
				node_session_output(j);
			if (j->state == NODE_DONE && pcore_list_empty(&j->link))
				pcore_list_add_tail(&s->to_tell, &j->link);
			node_input_again(j);
		}
	}
	node_say_soon(s);
}

/* Everything there is. */
static int introduce(struct node_session *s)
{
	int r;

	pcore_buf_clear(&s->buf);
	r = node_put_node(s);
	if (r < 0)
		return r;
	node_say_body(s, PCORE_WIRE_NODE, 0);
	return node_put_adopt(s);
}

void node_session_serve(struct pcore_node *n, struct pcore_net_conn *c, struct node_dial *d)
{
	const struct pcore_net_peer *peer = pcore_net_peer(c);
	struct node_session *s = peer->role == PCORE_NET_ADMIN ? NULL : find_session(n, peer);

	if (s && s->conn) { /* it has noticed before us that the old connection is broken */
		pcore_net_disown(s->conn);
		pcore_net_abort(s->conn);
		s->conn = NULL;
		if (s->dial)
			node_dial_lost(TAKE_PTR(s->dial), true);
	}
	if (!s && !n->down)
		s = session_new(n, peer);
	if (!s) {
		pcore_net_disown(c);
		pcore_net_refuse(c, n->down ? "this node is about to end" : "too many have connected to this node");
		if (d)
			node_dial_lost(d, true);
		return;
	}
	s->conn = c;
	s->dial = d;
	pcore_net_own(c, &conn_ops, s);
	if (s->admin)
		return;
	begin_again(s);
	if (introduce(s) < 0)
		pcore_net_abort(c);
	else if (n->draining)
		node_session_give_back(s);
}

void pcore_node_serve(struct pcore_node *n, struct pcore_net_conn *c)
{
	node_session_serve(n, c, NULL);
}

int node_session_list(struct node_session *s, struct pcore_buf *jobs, size_t *n)
{
	_cleanup_(pcore_buf_done) struct pcore_buf argv = PCORE_BUF_INIT(0);
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
			r = node_argv(j, &argv, &w.argv.n);
			w.argv.data = argv.data;
			w.argv.len = argv.len;
			w.has |= PCORE_WIRE_HAS(PCORE_WIRE_JOB_ARGV);
			if (r == 0)
				r = pcore_wire_add_job(jobs, &w);
			(*n)++;
		}
	}
	return r;
}
