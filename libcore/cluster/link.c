/* SPDX-License-Identifier: MIT */
/*
 * link.c - the connection to a node: what it says becomes events of the scheduler, what the scheduler wants becomes frames.
 */
#include <signal.h>
#include <string.h>
#include <sys/random.h>

#include "libcore/cluster/link_private.h"
#include "libcore/cluster/wire_client.h"

enum { RTT_NS = 500 * 1000, LASTED_NS = 1000 * 1000 * 1000, AHEAD_FIRST = 256 };

static int64_t now_of(const struct link *l)
{
	return pcore_loop_now(l->host->loop);
}

struct link_job *link_job_of(struct link *l, uint64_t job, uint32_t attempt)
{
	struct link_job *j = l->host->ops->find(l, job);

	return j && j->on == l && j->attempt == attempt ? j : NULL;
}

/* ---- what the scheduler wants ---- */

/* Frames of one type after the other, as the actions come. */
struct link_writer {
	struct link *link;
	struct pcore_wire_out out;
	enum pcore_wire_type type;
	bool open;
};

static void end_frame(struct link_writer *w)
{
	bool open = w->open;

	w->open = false;
	if (open && pcore_wire_end(&w->out, false) > 0)
		link_send(w->link, w->type, 0, w->link->buf.data, w->link->buf.len);
}

/* What was written before comes first: it may need what is now replaced. */
void link_send(struct link *l, enum pcore_wire_type type, uint64_t id, const void *body, size_t len)
{
	uint16_t flags = pcore_wire_body_max(type) > PCORE_WIRE_CONTROL_MAX ? PCORE_NET_DATA : 0;

	if (l->acting)
		end_frame(l->acting);
	if (l->conn)
		(void)pcore_net_send(l->conn, (uint16_t)type, flags, id, body, len);
}

static int begin(struct link_writer *w, enum pcore_wire_type type)
{
	if (w->open && w->type == type)
		return 0;
	end_frame(w);
	pcore_buf_clear(&w->link->buf);
	w->type = type;
	w->open = pcore_wire_begin(&w->out, &w->link->buf, type) == 0;
	return w->open ? 0 : -ENOMEM;
}

static int begin_another(struct link_writer *w)
{
	end_frame(w);
	return begin(w, w->type);
}

static int put_start(struct link_writer *w, const struct pcore_sched_batch *b, const struct pcore_sched_action *a)
{
	_cleanup_(pcore_buf_done) struct pcore_buf ids = PCORE_BUF_INIT(0);
	struct pcore_wire_assign m = { .flags = 0 };
	struct link_job *j = NULL;
	int r = w->link->host->ops->assign(w->link, a, &j, &m);

	if (r < 0 || !j)
		return r;
	r = begin(w, PCORE_WIRE_ASSIGN_N);
	j->attempt = a->attempt;
	j->on = w->link;
	if (m.flags & PCORE_WIRE_STREAM)
		link_input_begin(w->link, j);
	m.flags |= a->ahead ? PCORE_WIRE_AHEAD : 0;
	j->n_ids = a->n_ids < LINK_IDS ? a->n_ids : LINK_IDS;
	for (uint16_t i = 0; i < j->n_ids; i++) {
		j->ids[i] = b->ids[a->ids + i];
		r = r < 0 ? r : pcore_wire_add_u16(&ids, j->ids[i]);
	}
	m.job = a->job;
	m.attempt = a->attempt;
	m.timeout = a->time_limit_ns;
	m.priority = a->priority;
	m.ids = (struct pcore_wire_bytes){ ids.data, ids.len };
	r = r < 0 ? r : pcore_wire_add_assign(&w->out, &m);
	if (r == -EMSGSIZE && begin_another(w) == 0)
		r = pcore_wire_add_assign(&w->out, &m);
	return r;
}

static int put_ref(struct link_writer *w, const struct pcore_sched_action *a)
{
	struct pcore_wire_ref ref = { .job = a->job, .attempt = a->attempt };
	enum pcore_wire_type type = PCORE_WIRE_ACK_N;
	int r;

	if (a->verb == PCORE_SCHED_CANCEL) {
		type = PCORE_WIRE_CANCEL_N;
		ref.how = a->how == PCORE_SCHED_KILL ? PCORE_WIRE_KILL_IT : PCORE_WIRE_END_IT;
	} else if (a->verb == PCORE_SCHED_RETRACT) {
		type = PCORE_WIRE_RETRACT_N;
	}
	r = begin(w, type);
	if (r == 0)
		r = pcore_wire_add_ref(&w->out, &ref);
	if (r == -EMSGSIZE && begin_another(w) == 0)
		r = pcore_wire_add_ref(&w->out, &ref);
	return r;
}

void link_act(struct link *l, const struct pcore_sched_batch *b)
{
	const struct link_ops *ops = l->host->ops;
	struct link_writer w = { .link = l };
	int r = 0;

	l->acting = &w;
	for (size_t i = 0; i < b->n && r == 0; i++) {
		const struct pcore_sched_action *a = &b->actions[i];

		if (a->verb == PCORE_SCHED_START)
			r = put_start(&w, b, a);
		else if (a->verb != PCORE_SCHED_ACK || !ops->ack || ops->ack(l, a))
			r = put_ref(&w, a);
	}
	end_frame(&w);
	l->acting = NULL;
	link_input_feed(l);
	if (r < 0 && l->conn) /* what it was not told it does not claim, and so it is assigned again */
		pcore_net_abort(l->conn);
}

static void say_ref(struct link *l, enum pcore_wire_type type, const struct pcore_wire_ref *ref)
{
	struct link_writer w = { .link = l };

	if (begin(&w, type) < 0)
		return;
	(void)pcore_wire_add_ref(&w.out, ref);
	end_frame(&w);
}

void link_ack(struct link *l, uint64_t job, uint32_t attempt)
{
	const struct pcore_wire_ref ref = { .job = job, .attempt = attempt };

	say_ref(l, PCORE_WIRE_ACK_N, &ref);
}

void link_signal(struct link_job *j, int sig)
{
	const struct pcore_wire_ref ref = { .job = j->id, .attempt = j->attempt, .how = PCORE_WIRE_SIGNAL_IT, .signal = (uint8_t)sig };

	if (j->on)
		say_ref(j->on, PCORE_WIRE_CANCEL_N, &ref);
}

void link_credit(struct link_job *j)
{
	struct link *l = j->on;
	struct link_writer w = { .link = l };

	if (!l || !l->joined)
		return;
	for (int i = 0; i < 2; i++) {
		struct pcore_wire_credit c = {
			.job = j->id,
			.attempt = j->attempt,
			.stream = (enum pcore_wire_stream)i,
			.received = j->received[i],
			.limit = j->received[i] + PCORE_WIRE_CREDIT,
		};
		bool last = j->ended && j->received[i] == j->done.sent[i] && j->done.sent[i] > 0;

		if (j->refused[i] || (!last && c.limit < j->granted[i] + PCORE_WIRE_CREDIT / 2))
			continue;
		j->granted[i] = c.limit;
		if (begin(&w, PCORE_WIRE_CREDIT_N) == 0)
			(void)pcore_wire_add_credit(&w.out, &c);
	}
	end_frame(&w);
}

void link_resume(struct link_job *j)
{
	j->refused[0] = j->refused[1] = false;
	link_credit(j);
}

/* ---- attempts ---- */

void link_job_forget(struct link_job *j)
{
	j->attempt = 0;
	j->on = NULL;
	j->ended = false;
	if (j->in.link.next) /* else it is new */
		pcore_list_del(&j->in.link);
	j->in = (struct link_input){ .in_turn = j->in.in_turn };
	pcore_list_init(&j->in.link);
	for (int i = 0; i < 2; i++) {
		j->received[i] = 0;
		j->granted[i] = PCORE_WIRE_CREDIT;
		j->refused[i] = false;
	}
}

bool link_job_succeeded(const struct link_job *j)
{
	const struct pcore_wire_done *d = &j->done;

	return j->ended && d->error == 0 && !(d->flags & (PCORE_WIRE_TIMED_OUT | PCORE_WIRE_LOST)) && d->code == CLD_EXITED && d->status == 0;
}

void link_job_settle(struct link_job *j)
{
	const struct pcore_wire_done *d = &j->done;
	struct pcore_sched_result result = { .wall_ns = d->wall_ns, .success = link_job_succeeded(j) };
	struct link *l = j->on;

	if (!l || !j->ended || j->received[0] < d->sent[0] || j->received[1] < d->sent[1])
		return;
	l->jobs++;
	l->job_ns += d->wall_ns;
	(void)pcore_sched_done(l->host->sched, now_of(l), l->handle, j->id, j->attempt, &result);
	l->host->ops->pump(l);
}

/* ---- from the node ---- */

/* One that can be shown, and stand in a log. */
static bool is_name(const char *name)
{
	if (!*name)
		return false;
	for (; *name; name++)
		if ((unsigned char)*name <= ' ' || *name == 127)
			return false;
	return true;
}

static uint32_t cpus_of(struct link *l)
{
	const struct link_ops *ops = l->host->ops;
	uint32_t offered = (uint32_t)(l->node.state == PCORE_WIRE_STOPPED ? 0 : l->node.cpus);

	l->cpus = ops->cpus ? ops->cpus(l, offered) : offered;
	return l->cpus;
}

void link_count_cpus(struct link *l)
{
	uint32_t before = l->cpus;

	if (l->joined && cpus_of(l) != before)
		(void)pcore_sched_node_cpus(l->host->sched, now_of(l), l->handle, l->cpus);
}

static int hear_node(struct link *l, const struct pcore_wire_frame *f)
{
	struct pcore_wire_frame copy = *f;
	char *body = malloc(f->len + 1);
	struct pcore_wire_node m;
	int r;

	if (!body)
		return -ENOMEM;
	memcpy(body, f->body, f->len);
	copy.body = body;
	r = pcore_wire_get_node(&copy, &m);
	if (r == 0 && !is_name(m.name))
		r = -EPROTO;
	if (r == 0 && l->joined && (strcmp(m.name, l->name) != 0 || m.instance != l->node.instance))
		r = -EPROTO;
	if (r < 0) {
		free(body);
		return r;
	}
	free(l->node_body);
	l->node_body = body;
	l->node = m;
	if (!l->joined)
		return 0;
	link_count_cpus(l);
	(void)pcore_sched_node_drain(
		l->host->sched, now_of(l), l->handle, m.state == PCORE_WIRE_DRAINING ? PCORE_SCHED_DRAIN : PCORE_SCHED_OPEN);
	l->host->ops->changed(l);
	return 0;
}

static size_t take_labels(const struct pcore_wire_node *m, struct pcore_sched_label *ret, char *text, size_t size)
{
	struct pcore_wire_words w = m->labels;
	const char *word;
	size_t n = 0, at = 0;

	while (n < PCORE_SCHED_PARTS_MAX && (word = pcore_wire_word(&w))) {
		size_t len = strlen(word) + 1;
		char *equals;

		if (len > size - at)
			break;
		memcpy(text + at, word, len);
		equals = strchr(text + at, '=');
		if (equals) {
			*equals = '\0';
			ret[n++] = (struct pcore_sched_label){ text + at, equals + 1, false };
		}
		at += len;
	}
	return n;
}

static size_t take_resources(const struct pcore_wire_node *m, struct pcore_sched_resource *ret)
{
	struct pcore_wire_list list = m->resources;
	struct pcore_wire_resource r;
	size_t n = 0;

	while (n < PCORE_SCHED_PARTS_MAX && pcore_wire_next_resource(&list, &r))
		ret[n++] = (struct pcore_sched_resource){ r.name, (uint32_t)r.count, r.has & PCORE_WIRE_HAS(PCORE_WIRE_RESOURCE_IDS) };
	return n;
}

/* What lasts a round trip where the next one comes each microsecond, and not much more: with 2048 at a time, which fit into no
 * cache, a job takes twice the time (measured). */
static uint32_t first_ahead(const struct link *l)
{
	const uint64_t n = AHEAD_FIRST + (uint64_t)pcore_net_rtt_ns(l->conn) / 1000, max = l->host->ahead_max;

	if (max == 0)
		return (uint32_t)l->node.prefetch;
	return (uint32_t)(n < max ? n : max);
}

void link_ahead_more(struct link *l)
{
	const uint32_t max = l->host->ahead_max;

	if (!l->joined || l->ahead >= max)
		return;
	l->ahead = l->ahead < max / 2 ? 2 * l->ahead : max;
	(void)pcore_sched_node_ahead(l->host->sched, now_of(l), l->handle, l->ahead);
	l->host->ops->changed(l);
}

/* It has said all that it has. */
static int join(struct link *l)
{
	struct link_host *h = l->host;
	const struct pcore_wire_node *m = &l->node;
	struct pcore_sched_label labels[PCORE_SCHED_PARTS_MAX];
	struct pcore_sched_resource resources[PCORE_SCHED_PARTS_MAX];
	char text[4096];
	struct pcore_sched_node node = {
		.name = m->name,
		.instance = m->instance,
		.cpus = cpus_of(l),
		.memory = m->memory,
		.resources = resources,
		.n_resources = take_resources(m, resources),
		.labels = labels,
		.n_labels = take_labels(m, labels, text, sizeof(text)),
		.ahead_max = first_ahead(l),
		.rtt_ns = h->ahead_ns > 0 ? h->ahead_ns / 2 : RTT_NS,
		.eager = h->ahead_ns > 0,
		.draining = m->state == PCORE_WIRE_DRAINING,
		.ctx = l,
	};
	int r;

	if (m->cpus > PCORE_SCHED_CPUS_MAX)
		return -EPROTO;
	l->ahead = node.ahead_max;
	r = pcore_sched_node_join(h->sched, now_of(l), &node, (const void *)l->claims.data, l->claims.len / sizeof(struct pcore_sched_claim), &l->handle);
	pcore_buf_clear(&l->claims);
	if (r == -EEXIST) {
		pcore_net_refuse(l->conn, "another node has this name");
		return 0;
	}
	if (r < 0)
		return r;
	l->joined = l->served = true;
	l->joined_ns = pcore_now_ns();
	if (h->stays)
		(void)pcore_net_send(l->conn, PCORE_WIRE_STAY, PCORE_NET_OPTIONAL, 0, NULL, 0);
	r = h->ops->joined(l);
	h->ops->changed(l);
	link_input_feed(l);
	return r;
}

static int hear_adopt(struct link *l, struct pcore_wire_in *in)
{
	const struct link_ops *ops = l->host->ops;
	struct pcore_wire_adopt a;
	int r = 0;

	while (r == 0 && pcore_wire_next_adopt(in, &a)) {
		struct link_job *j = ops->claimed ? ops->claimed(l, &a) : ops->find(l, a.job);
		struct pcore_sched_claim claim = {
			.job = a.job,
			.attempt = a.attempt,
			.begun = a.state != PCORE_WIRE_JOB_QUEUED,
			.finished = a.state == PCORE_WIRE_JOB_DONE,
		};

		if (j && j->attempt == a.attempt) {
			claim.ids = j->ids;
			claim.n_ids = j->n_ids;
			j->on = l;
			r = link_input_resume(l, j, &a);
		}
		if (r == 0)
			r = pcore_buf_add(&l->claims, &claim, sizeof(claim));
	}
	return r < 0 || in->more ? r : join(l);
}

/* ---- workers ---- */

struct worker {
	struct pcore_list link;
	uint64_t id, received, granted;
	bool refused;
};

static struct worker *find_worker(struct link *l, uint64_t id)
{
	struct worker *w;

	PCORE_LIST_FOREACH_SAFE(node, &l->workers)
		if (container_of(node, struct worker, link)->id == id)
			return container_of(node, struct worker, link);
	w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->id = id;
	w->granted = PCORE_WIRE_CREDIT;
	pcore_list_init(&w->link);
	pcore_list_add_tail(&l->workers, &w->link);
	return w;
}

static void credit_worker(struct link *l, struct worker *w)
{
	const struct pcore_wire_credit c = { .job = w->id, .stream = PCORE_WIRE_STDERR, .received = w->received, .limit = w->received + PCORE_WIRE_CREDIT };
	struct link_writer out = { .link = l };

	if (!l->joined || w->refused || c.limit < w->granted + PCORE_WIRE_CREDIT / 2 || begin(&out, PCORE_WIRE_CREDIT_N) < 0)
		return;
	w->granted = c.limit;
	(void)pcore_wire_add_credit(&out.out, &c);
	end_frame(&out);
}

void link_resume_errors(struct link *l, uint64_t id)
{
	struct worker *w = find_worker(l, id);

	if (!w)
		return;
	w->refused = false;
	credit_worker(l, w);
}

static int hear_errors(struct link *l, uint64_t id, const struct pcore_wire_chunk *c)
{
	struct worker *w = l->host->ops->errors ? find_worker(l, id) : NULL;

	if (!w)
		return l->host->ops->errors ? -ENOMEM : -EPROTO;
	if (c->offset != w->received)
		return -EPROTO;
	w->received += c->len;
	w->refused = !l->host->ops->errors(l, id, c->data, c->len);
	credit_worker(l, w);
	return 0;
}

/* What they are is known by numbers of the connection. */
static void forget_workers(struct link *l)
{
	struct pcore_list *node;

	while ((node = pcore_list_pop(&l->workers)))
		free(container_of(node, struct worker, link));
}

static int hear_worker(struct link *l, const struct pcore_wire_frame *f)
{
	struct pcore_wire_worker w;
	int r = pcore_wire_get_worker(f, &w);

	if (r == 0 && l->host->ops->worker)
		l->host->ops->worker(l, &w);
	return r;
}

static int hear_output(struct link *l, const struct pcore_wire_frame *f)
{
	struct pcore_wire_chunk chunk;
	struct link_job *j;
	uint64_t known;
	int r = pcore_wire_get_chunk(f, &chunk);

	if (r < 0 || chunk.stream >= PCORE_WIRE_STDIN)
		return r < 0 ? r : -EPROTO;
	if (f->id >> 63)
		return hear_errors(l, f->id, &chunk);
	j = link_job_of(l, f->id, chunk.attempt);
	if (!j)
		return 0;
	known = j->received[chunk.stream];
	if (chunk.offset > known)
		return -EPROTO;
	if (chunk.offset + chunk.len <= known)
		return 0; /* said again after a reconnect */
	chunk.data += known - chunk.offset;
	chunk.len -= known - chunk.offset;
	j->received[chunk.stream] += chunk.len;
	if (!l->host->ops->output(l, j, chunk.stream, chunk.data, chunk.len))
		j->refused[chunk.stream] = true;
	link_credit(j);
	link_job_settle(j);
	return 0;
}

static void hear_done(struct link *l, const struct pcore_wire_done *d)
{
	struct link_job *j = link_job_of(l, d->job, d->attempt);
	struct pcore_sched_result stale = { 0 };

	if (!j) { /* the scheduler has it acknowledged */
		(void)pcore_sched_done(l->host->sched, now_of(l), l->handle, d->job, d->attempt, &stale);
		return;
	}
	if (j->ended)
		return;
	j->ended = true;
	j->done = *d;
	l->host->ops->ended(l, j, d);
	j->done.step = j->done.subject = NULL;
	link_job_settle(j);
}

static void hear_retracted(struct link *l, const struct pcore_wire_ref *ref)
{
	struct pcore_sched *s = l->host->sched;

	if (ref->how == PCORE_WIRE_IS_LOST)
		(void)pcore_sched_lost(s, now_of(l), l->handle, ref->job, ref->attempt);
	else
		(void)pcore_sched_retracted(s, now_of(l), l->handle, ref->job, ref->attempt, ref->how == PCORE_WIRE_IS_RETRACTED);
}

static void hear_quiet(struct link *l, const struct pcore_wire_ref *ref)
{
	struct link_job *j = link_job_of(l, ref->job, ref->attempt);

	if (j && !j->ended && l->host->ops->quiet)
		l->host->ops->quiet(l, j, (enum pcore_wire_quiet)ref->how);
}

static int hear_number(struct link *l, const struct pcore_wire_frame *f)
{
	struct pcore_wire_number m;
	int r = pcore_wire_get_number(f, &m);

	if (r == 0 && !is_name(m.name))
		r = -EPROTO;
	return r < 0 ? r : l->host->ops->number(l, (uint32_t)f->id, m.name);
}

static int hear_records(struct link *l, const struct pcore_wire_frame *f)
{
	struct pcore_sched *s = l->host->sched;
	struct pcore_wire_started started;
	struct pcore_wire_ref ref;
	struct pcore_wire_credit credit;
	struct pcore_wire_done done;
	struct pcore_wire_in in;
	int r = pcore_wire_open(f, &in);

	if (r < 0)
		return r;
	if (f->type == PCORE_WIRE_ADOPT_N)
		return l->joined ? -EPROTO : hear_adopt(l, &in);
	if (!l->joined)
		return -EPROTO;
	while (f->type == PCORE_WIRE_STARTED_N && pcore_wire_next_started(&in, &started)) {
		struct link_job *j = link_job_of(l, started.job, started.attempt);

		(void)pcore_sched_started(s, now_of(l), l->handle, started.job, started.attempt);
		if (!j)
			continue;
		l->host->ops->started(l, j, &started);
		j->in.held = false;
		link_feed(j);
	}
	while (f->type == PCORE_WIRE_DONE_N && pcore_wire_next_done(&in, &done))
		hear_done(l, &done);
	while (f->type == PCORE_WIRE_CREDIT_N && pcore_wire_next_credit(&in, &credit))
		link_input_credit(l, &credit);
	while (f->type == PCORE_WIRE_RETRACTED_N && pcore_wire_next_ref(&in, &ref))
		hear_retracted(l, &ref);
	while (f->type == PCORE_WIRE_QUIET_N && pcore_wire_next_ref(&in, &ref))
		hear_quiet(l, &ref);
	l->host->ops->pump(l);
	return 0;
}

static int hear(struct link *l, const struct pcore_wire_frame *f)
{
	switch ((unsigned)f->type) {
	case PCORE_WIRE_NODE:
		return hear_node(l, f);
	case PCORE_WIRE_OUTPUT:
		return hear_output(l, f);
	case PCORE_WIRE_WORKER:
		return l->joined ? hear_worker(l, f) : -EPROTO;
	case PCORE_WIRE_ADOPT_N:
	case PCORE_WIRE_STARTED_N:
	case PCORE_WIRE_DONE_N:
	case PCORE_WIRE_RETRACTED_N:
	case PCORE_WIRE_CREDIT_N:
	case PCORE_WIRE_QUIET_N:
		return l->node_body ? hear_records(l, f) : -EPROTO;
	case PCORE_WIRE_NODE_NUMBER:
		return l->host->ops->number ? hear_number(l, f) : -ENOSYS;
	default:
		return -ENOSYS;
	}
}

static void frame(struct pcore_net_conn *c, void *ctx, const struct pcore_net_frame *nf)
{
	const struct pcore_wire_frame f = { (enum pcore_wire_type)nf->type, nf->stream, nf->body, nf->len };
	int r = hear(ctx, &f);

	if (r == -ENOMEM)
		pcore_net_abort(c);
	else if (r < 0 && !(r == -ENOSYS && nf->flags & PCORE_NET_OPTIONAL))
		pcore_net_refuse(c, "a message that makes no sense here");
}

/* ---- connecting ---- */

/* A process that has gone refuses, or its machine says that nobody listens there. */
static bool is_dead(const struct link *l, const struct pcore_net_error *e)
{
	if (l->lasts)
		return false;
	return (!l->address && !l->returns) || e->code == 0 || e->code == -ECONNREFUSED || e->code == -ENOENT;
}

/* Its key, its version or its name will be the same the next time. */
static bool is_final(int code)
{
	return code == -EPROTONOSUPPORT || code == -EKEYREJECTED || code == -EACCES || code == -ELOOP;
}

/* At once when it was there and stayed for a while; else, also when it answers and refuses, later each time. */
static void retry(struct link *l)
{
	int64_t now = pcore_now_ns(), wait_ns = 0;
	uint64_t random = 0;

	if (getrandom(&random, sizeof(random), 0) < 0)
		random = (uint64_t)now;
	if (l->served && now - l->joined_ns >= LASTED_NS)
		l->failures = 0;
	if (!l->served || l->failures > 0)
		wait_ns = pcore_net_backoff(l->failures + 1, random);
	l->served = false;
	l->failures++;
	l->try = (l->try + 1) % l->n_addrs;
	(void)pcore_op_timer(l->host->loop, &l->retry, PCORE_CLOCK_MONOTONIC, pcore_ns_add(now, wait_ns));
}

static void lost(struct link *l, const struct pcore_net_error *e)
{
	struct link_host *h = l->host;

	if (l->joined) {
		l->joined = l->prepared = false;
		l->numbers = l->dropped = 0;
		forget_workers(l);
		(void)pcore_sched_node_gone(h->sched, now_of(l), l->handle);
		l->handle_gone = true;
		h->ops->gone(l, e);
	}
	if (l->handle_gone && is_dead(l, e)) {
		(void)pcore_sched_node_dead(h->sched, now_of(l), l->handle);
		l->handle_gone = false;
	}
	h->ops->changed(l);
}

static void failed(struct link *l, const struct pcore_net_error *e)
{
	struct link_host *h = l->host;

	lost(l, e);
	if (!h->closing && is_final(e->code)) {
		l->refused = true;
		h->ops->refused(l, e);
	}
	if (h->closing || l->refused || !l->address) {
		h->ops->closed(l);
		return;
	}
	if (!l->name && !l->told)
		h->ops->unreachable(l, e);
	l->told = true;
	retry(l);
}

static void closed(struct pcore_net_conn *conn, void *ctx, const struct pcore_net_error *e)
{
	struct link *l = ctx;

	(void)conn;
	l->conn = NULL;
	failed(l, e);
}

static const struct pcore_net_ops conn_ops = { .frame = frame, .closed = closed };

static void retry_due(struct pcore_op *op, int res)
{
	struct link *l = container_of(op, struct link, retry);

	if (res == -ETIME && !l->host->closing)
		link_connect(l);
	else
		l->host->ops->closed(l);
}

void link_connect(struct link *l)
{
	struct pcore_net_error e;

	if (pcore_net_connect(&l->conn, l->host->net, &l->addrs[l->try], &conn_ops, l, &e) < 0) {
		l->conn = NULL;
		failed(l, &e);
	}
}

void link_accept(struct link *l, struct pcore_net_conn *c)
{
	l->conn = c;
	pcore_net_own(c, &conn_ops, l);
}

void link_close(struct link *l)
{
	pcore_op_cancel(l->host->loop, &l->retry);
	if (l->conn)
		pcore_net_close(l->conn);
}

struct link *link_new(struct link_host *h)
{
	struct link *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->host = h;
	l->retry.done = retry_due;
	pcore_list_init(&l->link);
	pcore_list_init(&l->to_feed);
	pcore_list_init(&l->workers);
	return l;
}

int link_set_address(struct link *l, const char *text, const struct pcore_net_addr *addrs, size_t n)
{
	l->address = strdup(text);
	if (!l->address)
		return -ENOMEM;
	l->n_addrs = n < LINK_ADDRS ? n : LINK_ADDRS;
	memcpy(l->addrs, addrs, l->n_addrs * sizeof(*addrs));
	return 0;
}

void link_free(struct link *l)
{
	assert(!l->conn && !pcore_op_live(&l->retry));

	while (pcore_list_pop(&l->to_feed))
		;
	pcore_list_del(&l->link);
	pcore_buf_done(&l->claims);
	pcore_buf_done(&l->buf);
	pcore_buf_done(&l->range);
	free(l->node_body);
	free(l->address);
	free(l);
}
