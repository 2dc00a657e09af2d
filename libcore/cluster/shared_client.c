/* SPDX-License-Identifier: MIT */
/*
 * shared_client.c - clients: what they are heard to say, and how long what they want is kept.
 *
 * One whose jobs end with it speaks as a scheduler does to a node, and may be away for as long: then its jobs are cancelled
 * everywhere.
 */
#include <string.h>

#include "libcore/cluster/shared_private.h"

static struct shared_job *find_job(const struct shared_client *c, uint64_t id, uint32_t attempt)
{
	const struct {
		uint64_t id, attempt;
	} key = { id, attempt };
	struct pcore_map_node *node = pcore_map_find(&c->jobs, &key, sizeof(key));

	return node ? container_of(node, struct shared_job, by_key) : NULL;
}

static struct shared_number *find_number(const struct pcore_map *map, uint64_t id)
{
	struct pcore_map_node *node = pcore_map_find(map, &id, sizeof(id));

	return node ? container_of(node, struct shared_number, node) : NULL;
}

/* ---- jobs ---- */

void shared_job_free(struct shared_job *j)
{
	struct shared_client *c = j->client;
	struct pcore_shared *s = c->shared;

	assert(!j->part);
	shared_job_stopped(s, j);
	if (j->listed)
		pcore_map_remove(&s->jobs, &j->by_id);
	pcore_map_remove(&c->jobs, &j->by_key);
	pcore_list_del(&j->to_start);
	pcore_list_del(&j->to_tell);
	pcore_list_del(&j->busy);
	link_job_forget(&j->at);
	shared_input_done(j);
	c->bodies -= j->size;
	shared_template_put(s, j->template);
	for (int i = 0; i < 2; i++)
		pcore_buf_done(&j->out[i].buf);
	free(j->texts);
	free(j->record);
	free(j);
}

/* The scheduler knows it no more: its end is to be told. */
static void unlist(struct shared_job *j)
{
	pcore_map_remove(&j->client->shared->jobs, &j->by_id);
	j->listed = false;
	j->state = SHARED_DONE;
	shared_input_done(j);
	if (pcore_list_empty(&j->to_tell))
		pcore_list_add_tail(&j->client->to_tell, &j->to_tell);
	shared_say_soon(j->client);
}

void shared_job_over(struct shared_job *j, const struct pcore_sched_news *n)
{
	bool began = j->state == SHARED_RUNS || j->at.ended;

	shared_job_stopped(j->client->shared, j);
	if (!j->at.ended && n->outcome == PCORE_SCHED_CANCELLED) { /* as a node says it of one that it has not begun */
		j->at.ended = true;
		j->at.done = (struct pcore_wire_done){ .flags = PCORE_WIRE_CANCELLED };
		for (int i = 0; i < 2; i++)
			j->at.done.bytes[i] = j->at.done.sent[i] = j->at.received[i];
	}
	j->lost = !j->at.ended;
	j->began = began;
	unlist(j);
}

/* Whether there is another attempt is the client's affair. */
void shared_job_lost(struct shared_job *j)
{
	shared_job_stopped(j->client->shared, j);
	j->at.ended = false;
	j->at.on = NULL;
	j->lost = j->began = true;
	unlist(j);
}

void shared_job_again(struct shared_job *j)
{
	struct pcore_shared *s = j->client->shared;

	(void)pcore_sched_cancel(s->host.sched, shared_now(s), j->at.id, 1, PCORE_SCHED_KILL);
	shared_job_lost(j);
}

static int copy_record(struct shared_job *j)
{
	const struct pcore_wire_assign *a = &j->as;

	j->record = malloc(a->args.len + a->input.len + 1);
	if (!j->record)
		return -ENOMEM;
	if (a->args.len > 0)
		memcpy(j->record, a->args.data, a->args.len);
	if (a->input.len > 0)
		memcpy(j->record + a->args.len, a->input.data, a->input.len);
	j->as.args.data = j->record;
	j->as.input.data = j->record + a->args.len;
	return 0;
}

static int submit(struct shared_job *j, const struct pcore_wire_assign *a)
{
	struct shared_client *c = j->client;
	struct pcore_shared *s = c->shared;
	struct pcore_sched_jobs jobs = { .priority = a->priority, .time_limit_ns = a->timeout };
	unsigned flags = PCORE_SCHED_PRIVATE | (j->template->t.exclusive ? PCORE_SCHED_EXCLUSIVE : 0U);
	int r;

	r = c->id ? 0 : pcore_sched_client_join(s->host.sched, shared_now(s), flags, 1, &c->id);
	if (r == 0)
		r = shared_template_submit(s, j->template, c->id, &jobs, &j->at.id);
	if (r == 0) {
		r = pcore_map_insert(&s->jobs, &j->by_id, &j->at.id, sizeof(j->at.id));
		j->listed = r == 0;
		if (r < 0)
			(void)pcore_sched_cancel(s->host.sched, shared_now(s), j->at.id, 1, PCORE_SCHED_KILL);
	}
	return r == -EAGAIN ? -ENOBUFS : r == -EINVAL ? -EPROTO : r;
}

static int assign(struct shared_client *c, const struct pcore_wire_assign *a)
{
	struct shared_number *t = find_number(&c->templates, a->template);
	size_t size = sizeof(struct shared_job) + a->args.len + a->input.len;
	struct shared_job *j;
	int r;

	if (!t)
		return -EPROTO;
	if (find_job(c, a->job, a->attempt)) /* said twice */
		return 0;
	if (c->jobs.len >= SHARED_JOBS_MAX || size > SHARED_BODIES_MAX - c->bodies)
		return -ENOBUFS;
	j = calloc(1, sizeof(*j));
	if (!j)
		return -ENOMEM;

	j->client = c;
	j->key.id = a->job;
	j->key.attempt = a->attempt;
	j->as = *a;
	pcore_list_init(&j->to_start);
	pcore_list_init(&j->to_tell);
	pcore_list_init(&j->busy);
	pcore_list_init(&j->unsafe);
	shared_job_forget(c->shared, j);
	r = shared_input_begin(j);
	if (r == 0)
		r = copy_record(j);
	if (r == 0)
		r = pcore_map_insert(&c->jobs, &j->by_key, &j->key, sizeof(j->key));
	if (r < 0) {
		shared_input_done(j);
		free(j->record);
		free(j);
		return r;
	}
	j->size = size;
	c->bodies += size;
	j->template = t->template;
	j->template->refs++;
	r = submit(j, a);
	if (r < 0)
		shared_job_free(j);
	return r;
}

/* ---- hearing ---- */

static int hear_assign(struct shared_client *c, struct pcore_wire_in *in)
{
	struct pcore_wire_assign a;
	int r = 0;

	while (r == 0 && pcore_wire_next_assign(in, &a))
		r = assign(c, &a);
	shared_pump_soon(c->shared);
	return r;
}

static int hear_credits(struct shared_client *c, struct pcore_wire_in *in)
{
	struct pcore_wire_credit credit;

	while (pcore_wire_next_credit(in, &credit)) {
		struct shared_job *j = find_job(c, credit.job, credit.attempt);
		struct shared_output *o;

		if (!j && credit.attempt == 0 && shared_watch_credit(c, &credit))
			continue;
		if (!j || credit.stream >= PCORE_WIRE_STDIN)
			continue;
		o = &j->out[credit.stream];
		if (!o->closed && credit.received > o->first + o->buf.len)
			return -EPROTO;
		if (credit.closed || o->closed) {
			o->closed = true;
			pcore_buf_clear(&o->buf);
		} else if (credit.received > o->first) {
			pcore_buf_consume(&o->buf, credit.received - o->first);
			o->first = credit.received;
			o->sent = o->sent > o->first ? o->sent : o->first;
		}
		o->limit = credit.limit > o->limit ? credit.limit : o->limit;
		if (o->buf.len > 0 && pcore_list_empty(&j->busy))
			pcore_list_add_tail(&c->busy, &j->busy);
		if (j->out[0].buf.len < SHARED_HELD && j->out[1].buf.len < SHARED_HELD && (j->at.refused[0] || j->at.refused[1]))
			link_resume(&j->at);
		shared_say_soon(c);
	}
	return 0;
}

static void cancel(struct shared_job *j, const struct pcore_wire_ref *ref)
{
	struct pcore_shared *s = j->client->shared;

	if (!j->listed)
		return;
	if (ref->how == PCORE_WIRE_SIGNAL_IT) {
		if (j->state == SHARED_RUNS)
			link_signal(&j->at, ref->signal);
		return;
	}
	(void)pcore_sched_cancel(
		s->host.sched, shared_now(s), j->at.id, 1, ref->how == PCORE_WIRE_KILL_IT ? PCORE_SCHED_KILL : PCORE_SCHED_END);
	for (int i = 0; i < 2; i++) /* whoever does not read any more waits for the end */
		j->at.refused[i] = false;
	link_credit(&j->at);
}

/* It has not left us yet: it never will. */
static bool retract(struct shared_job *j)
{
	struct pcore_shared *s = j->client->shared;

	if (!j->listed || j->at.attempt != 0)
		return false;
	(void)pcore_sched_cancel(s->host.sched, shared_now(s), j->at.id, 1, PCORE_SCHED_KILL);
	shared_job_free(j);
	return true;
}

static int hear_refs(struct shared_client *c, struct pcore_wire_in *in)
{
	bool asked = in->type == PCORE_WIRE_RETRACT_N;
	struct pcore_wire_ref ref;
	int r = 0;

	while (r == 0 && pcore_wire_next_ref(in, &ref)) {
		struct shared_job *j = find_job(c, ref.job, ref.attempt);

		if (asked) {
			struct pcore_wire_ref told = { .job = ref.job, .attempt = ref.attempt };

			told.how = j && retract(j) ? PCORE_WIRE_IS_RETRACTED : PCORE_WIRE_NOT_RETRACTED;
			r = shared_say_retracted(c, &told);
		} else if (j && in->type == PCORE_WIRE_CANCEL_N) {
			cancel(j, &ref);
		} else if (j && j->state == SHARED_DONE) {
			shared_job_free(j);
		}
	}
	shared_pump_soon(c->shared);
	return r;
}

static int hear_records(struct shared_client *c, const struct pcore_wire_frame *f)
{
	struct pcore_wire_in in;
	int r = pcore_wire_open(f, &in);

	if (r < 0)
		return r;
	switch ((unsigned)f->type) {
	case PCORE_WIRE_ASSIGN_N:
		return hear_assign(c, &in);
	case PCORE_WIRE_CREDIT_N:
		return hear_credits(c, &in);
	default:
		return hear_refs(c, &in);
	}
}

static int hear_input(struct shared_client *c, const struct pcore_wire_frame *f)
{
	struct pcore_wire_chunk chunk;
	struct shared_job *j;
	int r = pcore_wire_get_chunk(f, &chunk);

	if (r < 0)
		return r;
	j = find_job(c, f->id, chunk.attempt);
	return j ? shared_input_hear(j, &chunk) : 0; /* it may have ended meanwhile */
}

static int hear_number(struct shared_client *c, const struct pcore_wire_frame *f)
{
	bool is_env = f->type == PCORE_WIRE_ENV;
	struct pcore_map *map = is_env ? &c->envs : &c->templates;
	struct pcore_wire_template m;
	struct shared_number *n, *env;
	int r = 0;

	if (find_number(map, f->id))
		return -EPROTO;
	if (map->len >= SHARED_NUMBERS_MAX || f->len > SHARED_BODIES_MAX - c->bodies)
		return -ENOBUFS;
	n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	n->id = f->id;
	if (is_env) {
		r = shared_env_get(c->shared, &n->env, f->body, f->len);
	} else {
		r = pcore_wire_get_template(f, &m);
		env = r == 0 ? find_number(&c->envs, m.env) : NULL;
		r = env ? shared_template_get(c->shared, &n->template, env->env, f->body, f->len, 0) : -EPROTO;
	}
	if (r == 0)
		r = pcore_map_insert(map, &n->node, &n->id, sizeof(n->id));
	if (r < 0) {
		shared_env_put(c->shared, n->env);
		shared_template_put(c->shared, n->template);
		free(n);
		return r;
	}
	n->size = f->len;
	c->bodies += n->size;
	return 0;
}

static void forget_number(struct shared_client *c, struct pcore_map *map, struct shared_number *n)
{
	pcore_map_remove(map, &n->node);
	c->bodies -= n->size;
	shared_env_put(c->shared, n->env);
	shared_template_put(c->shared, n->template);
	free(n);
}

static int hear_drop(struct shared_client *c, const struct pcore_wire_frame *f)
{
	struct pcore_map *map = f->type == PCORE_WIRE_ENV_DROP ? &c->envs : &c->templates;
	struct shared_number *n = find_number(map, f->id);

	if (pcore_wire_get_nothing(f) < 0 || !n)
		return -EPROTO;
	forget_number(c, map, n);
	return 0;
}

static int hear(struct shared_client *c, const struct pcore_wire_frame *f)
{
	if (c->admin)
		return f->type == PCORE_WIRE_STATUS_GET || f->type == PCORE_WIRE_CONTROL ? shared_control(c, f) : -ENOSYS;
	switch ((unsigned)f->type) {
	case PCORE_WIRE_SUBMIT:
		return shared_submit(c, f);
	case PCORE_WIRE_WATCH:
		return shared_watch(c, f);
	case PCORE_WIRE_CANCEL:
	case PCORE_WIRE_LIST:
	case PCORE_WIRE_NODES:
	case PCORE_WIRE_EXPLAIN:
	case PCORE_WIRE_FORGET:
		return shared_ask(c, f);
	case PCORE_WIRE_ENV:
	case PCORE_WIRE_TEMPLATE:
		return hear_number(c, f);
	case PCORE_WIRE_ENV_DROP:
	case PCORE_WIRE_TEMPLATE_DROP:
		return hear_drop(c, f);
	case PCORE_WIRE_ASSIGN_N:
	case PCORE_WIRE_CANCEL_N:
	case PCORE_WIRE_RETRACT_N:
	case PCORE_WIRE_ACK_N:
	case PCORE_WIRE_CREDIT_N:
		return hear_records(c, f);
	case PCORE_WIRE_INPUT:
		return hear_input(c, f);
	default:
		return -ENOSYS;
	}
}

static void frame(struct pcore_net_conn *conn, void *ctx, const struct pcore_net_frame *nf)
{
	const struct pcore_wire_frame f = { (enum pcore_wire_type)nf->type, nf->stream, nf->body, nf->len };
	int r = hear(ctx, &f);

	if (r == -ENOMEM)
		pcore_net_abort(conn);
	else if (r == -ENOBUFS || r == -ENOSPC)
		pcore_net_refuse(conn, "more than this scheduler has room for");
	else if (r < 0 && !(r == -ENOSYS && nf->flags & PCORE_NET_OPTIONAL))
		pcore_net_refuse(conn, "a message that makes no sense here");
}

static void room(struct pcore_net_conn *conn, void *ctx)
{
	struct shared_client *c = ctx;

	c->full = false;
	pcore_net_resume(conn);
	shared_say_soon(c);
}

/* ---- life ---- */

/* The first node of a map, to empty it. */
static struct pcore_map_node *any(const struct pcore_map *m)
{
	for (size_t i = 0; m->len > 0 && i < m->n_buckets; i++)
		if (m->buckets[i])
			return m->buckets[i];
	return NULL;
}

static void forget_numbers(struct shared_client *c)
{
	struct pcore_map_node *node;

	while ((node = any(&c->templates)))
		forget_number(c, &c->templates, container_of(node, struct shared_number, node));
	while ((node = any(&c->envs)))
		forget_number(c, &c->envs, container_of(node, struct shared_number, node));
}

void shared_client_settle(struct shared_client *c)
{
	struct pcore_shared *s = c->shared;

	if (!c->over || c->conn || pcore_op_live(&c->flush) || pcore_op_live(&c->grace))
		return;

	assert(c->jobs.len == 0);
	forget_numbers(c);
	pcore_map_done(&c->jobs);
	pcore_map_done(&c->templates);
	pcore_map_done(&c->envs);
	pcore_buf_done(&c->buf);
	pcore_buf_done(&c->answers);
	free(c->numbers);
	pcore_list_del(&c->link);
	free(c);
	s->changed = true;
	shared_check_idle(s);
}

/* Its jobs end with it, on whatever node they are. */
void shared_client_end(struct shared_client *c)
{
	struct pcore_shared *s = c->shared;
	struct pcore_map_node *node;

	c->over = true;
	if (c->id)
		(void)pcore_sched_client_gone(s->host.sched, shared_now(s), c->id);
	c->id = 0;
	while ((node = any(&c->jobs)))
		shared_job_free(container_of(node, struct shared_job, by_key));
	if (c->conn)
		pcore_net_close(c->conn);
	pcore_op_cancel(s->host.loop, &c->grace);
	shared_pump_soon(s);
	shared_client_settle(c);
}

static void wait_for_return(struct shared_client *c);

/* It may be left from an earlier cut. */
static void grace_over(struct pcore_op *op, int res)
{
	struct shared_client *c = container_of(op, struct shared_client, grace);

	(void)res;
	if (c->over)
		shared_client_settle(c);
	else if (!c->conn)
		wait_for_return(c);
}

static void wait_for_return(struct shared_client *c)
{
	if (pcore_op_live(&c->grace)) /* it comes home and is set anew */
		pcore_op_cancel(c->shared->host.loop, &c->grace);
	else if (c->shared->stopping || pcore_now_ns() >= c->grace_until ||
		pcore_op_timer(c->shared->host.loop, &c->grace, PCORE_CLOCK_MONOTONIC, c->grace_until) < 0)
		shared_client_end(c);
}

/* As a node has it for a scheduler. */
static int64_t grace_of(const struct shared_client *c, int code)
{
	int64_t grace = c->shared->spec.grace_ns;

	switch (code) {
	case 0:
	case -EPROTO:
	case -ECONNABORTED:
		return 0;
	case -ECONNRESET:
	case -EPIPE:
		return grace < NS_PER_S ? grace : NS_PER_S;
	default:
		return grace;
	}
}

static void closed(struct pcore_net_conn *conn, void *ctx, const struct pcore_net_error *e)
{
	struct shared_client *c = ctx;
	int64_t grace = c->jobs.len > 0 ? grace_of(c, e->code) : 0;

	if (e->code < 0 && !c->over && !c->shared->stopping && (c->jobs.len > 0 || e->code != -ECONNRESET))
		shared_log(c->shared, "%s: %s", pcore_net_peer(conn)->address, e->why);
	c->conn = NULL;
	shared_watch_drop(c);
	pcore_buf_clear(&c->answers);
	if (c->over) {
		shared_client_settle(c);
	} else if (grace == 0) {
		shared_client_end(c);
	} else {
		c->grace_until = pcore_ns_add(pcore_now_ns(), grace);
		wait_for_return(c);
	}
}

static const struct pcore_net_ops conn_ops = { .frame = frame, .room = room, .closed = closed };

/* Who was cut off, and is back; how many there are. */
static struct shared_client *find_client(struct pcore_shared *s, const struct pcore_net_peer *peer, size_t *n)
{
	struct shared_client *found = NULL;

	*n = 0;
	PCORE_LIST_FOREACH_SAFE(node, &s->clients) {
		struct shared_client *c = container_of(node, struct shared_client, link);

		(*n)++;
		if (!c->admin && !c->over && c->jobs.len > 0 && c->instance == peer->instance && strcmp(c->name, peer->name) == 0)
			found = c;
	}
	return found;
}

static struct shared_client *client_new(struct pcore_shared *s, const struct pcore_net_peer *peer)
{
	struct shared_client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->shared = s;
	c->instance = peer->instance;
	strcpy(c->name, peer->name);
	c->admin = peer->role == PCORE_NET_ADMIN;
	c->flush.done = shared_say_flush;
	c->grace.done = grace_over;
	pcore_list_init(&c->link);
	pcore_list_init(&c->to_start);
	pcore_list_init(&c->to_tell);
	pcore_list_init(&c->busy);
	pcore_list_init(&c->to_credit);
	pcore_list_init(&c->watches);
	pcore_list_add_tail(&s->clients, &c->link);
	s->changed = true;
	return c;
}

/* It may have missed all that was sent. Numbers are those of one connection. */
static void begin_again(struct shared_client *c)
{
	forget_numbers(c);
	c->full = false;
	if (c->n_numbers > 0)
		memset(c->numbers, 0, c->n_numbers * sizeof(*c->numbers));
	for (size_t i = 0; i < c->jobs.n_buckets; i++) {
		for (struct pcore_map_node *node = c->jobs.buckets[i]; node; node = node->next) {
			struct shared_job *j = container_of(node, struct shared_job, by_key);

			j->out[0].sent = j->out[0].first;
			j->out[1].sent = j->out[1].first;
			if (j->out[0].buf.len + j->out[1].buf.len > 0 && pcore_list_empty(&j->busy))
				pcore_list_add_tail(&c->busy, &j->busy);
			if (j->state == SHARED_DONE && pcore_list_empty(&j->to_tell))
				pcore_list_add_tail(&c->to_tell, &j->to_tell);
			shared_input_tell(j);
		}
	}
	shared_say_soon(c);
}

void shared_client_accept(struct pcore_shared *s, struct pcore_net_conn *conn)
{
	const struct pcore_net_peer *peer = pcore_net_peer(conn);
	size_t n;
	struct shared_client *c = find_client(s, peer, &n);

	if (c && c->conn) { /* it has noticed before us that the old connection is broken */
		shared_watch_drop(c);
		pcore_buf_clear(&c->answers);
		pcore_net_disown(c->conn);
		pcore_net_abort(c->conn);
		c->conn = NULL;
	}
	if (!c && n < SHARED_CLIENTS_MAX && !s->stopping)
		c = client_new(s, peer);
	if (!c) {
		pcore_net_disown(conn);
		pcore_net_refuse(conn, s->stopping ? "this scheduler is about to end" : "too many have connected to this scheduler");
		return;
	}
	c->conn = conn;
	pcore_net_own(conn, &conn_ops, c);
	if (c->admin)
		return;
	begin_again(c);
	if (shared_say_introduce(c) < 0)
		pcore_net_abort(conn);
}
