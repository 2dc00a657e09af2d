/* SPDX-License-Identifier: MIT */
/*
 * node_workers.c - the workers of a node: for each template that has some, a pool of its own, whose jobs are items.
 *
 * Workers are started as items come, up to as many as the scheduler has seen room for (items that are not ahead), and stay until
 * the template is dropped or its session ends. Where a template needs resources with names, each set of them that items come with has a worker of its own, for a worker
 * keeps what it was started with. An item waits here until a worker wants it: till then it can be taken back.
 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "libcore/cluster/node_private.h"

/* One worker after the other. */
struct place {
	struct node_output errors; /* what they write to standard error */
	bool full;		   /* they are to be held back */
	uint64_t last_seq;	   /* of the item that was answered last */
	char dir[48];
};

struct node_workers {
	struct pcore_list link, of_template;
	struct node_session *session;
	struct node_template *template;
	struct pcore_executor *ex;
	struct pcore_pool *pool;
	struct pcore_list queue; /* of struct node_job */
	char *ids;
	size_t ids_len;
	uint64_t serial;
	unsigned jobs, held; /* workers there may be; items that are not over for which there was room */
	unsigned max, base; /* of them; before the first, in the template's count of slots */
	unsigned busy;	    /* workers that are accounted for */
	bool unnamed;	    /* the connection that had the template's number is no more */
	bool over;	    /* all have ended */
	struct place *places;
};

static struct node_workers *of_link(struct pcore_list *node)
{
	return container_of(node, struct node_workers, link);
}

static unsigned cpus_of(const struct node_template *t)
{
	uint64_t n = t->t.spec.cpus;

	return n == 0 ? 1 : n < UINT16_MAX ? (unsigned)n : UINT16_MAX;
}

/* ---- CPUs ---- */

void node_workers_kick(struct pcore_node *n)
{
	PCORE_LIST_FOREACH_SAFE(node, &n->workers) {
		struct node_workers *g = of_link(node);

		if (!pcore_list_empty(&g->queue))
			pcore_pool_kick(g->pool);
	}
}

static struct pcore_wire_bytes ids_of(const struct node_workers *g)
{
	return (struct pcore_wire_bytes){ g->ids, g->ids_len };
}

/* Those that are busy have them, and memory and resources. */
static void account(struct node_workers *g)
{
	struct pcore_node *n = g->session->node;
	unsigned now = pcore_worker_busy(g->ex), before = g->busy;
	struct pcore_wire_bytes ids = ids_of(g);

	n->cpus_used = n->cpus_used - before * cpus_of(g->template) + now * cpus_of(g->template);
	for (; g->busy < now; g->busy++)
		node_stock_take(n, g->template, ids, g->ids);
	for (; g->busy > now; g->busy--)
		node_stock_give(n, g->template, &ids);
	if (now < before) {
		pcore_pool_kick(n->pool);
		node_workers_kick(n);
	}
}

/* All of them are busy, or there is room for one more. */
static bool fits(const struct node_workers *g)
{
	struct pcore_node *n = g->session->node;
	struct pcore_wire_bytes ids = ids_of(g);

	if (n->cpus == 0 || g->session->held >= NODE_BYTES_MAX)
		return false;
	if (pcore_worker_busy(g->ex) >= g->jobs)
		return true;
	return (n->cpus_used == 0 || n->cpus_used + cpus_of(g->template) <= n->cpus) && node_stock_has(n, g->template, &ids, true);
}

/* ---- what the pool asks and tells ---- */

static int next(void *ctx, struct pcore_job **ret)
{
	struct node_workers *g = ctx;
	struct pcore_node *n = g->session->node;
	struct pcore_list *node;
	struct node_job *j;

	account(g);
	if (g->template->dropped && pcore_list_empty(&g->queue))
		return -ENODATA;
	if (n->stopped || !fits(g))
		return 0;
	node = pcore_list_pop(&g->queue);
	if (!node)
		return 0;
	j = container_of(node, struct node_job, link);
	n->n_queued--;
	j->asked = true;
	j->job.seq = 0;
	*ret = &j->job;
	return 1;
}

static void started(void *ctx, struct pcore_job *job)
{
	(void)ctx;
	container_of(job, struct node_job, job)->state = NODE_RUNNING;
}

static void done(void *ctx, struct pcore_job *job)
{
	struct node_workers *g = ctx;
	struct node_job *j = container_of(job, struct node_job, job);

	pcore_list_del(&j->started);
	if (job->slot > 0 && pcore_job_succeeded(job))
		g->places[job->slot - 1].last_seq = j->as.seq;
	job->slot += job->slot > 0 ? g->base : 0;
	node_workers_forget(j);
	node_job_over(j);
	account(g);
}

static void again(void *ctx, struct pcore_job *job)
{
	(void)ctx;
	(void)job;
	assert(!"the pool of a node tries nothing again");
}

static void idle(void *ctx)
{
	struct node_workers *g = ctx;

	account(g);
	g->over = true;
	node_say_soon(g->session); /* what is left of it */
}

/* ---- what the executor asks and tells ---- */

static void describe(void *ctx, unsigned slot, struct pcore_proc_spec *spec)
{
	struct node_workers *g = ctx;
	struct place *p = &g->places[slot - 1];
	struct node_job j = {
		.session = g->session,
		.template = g->template,
		.id = UINT64_C(1) << 63 | g->serial << 16 | slot,
		.ids = ids_of(g),
		.job.slot = g->base + slot,
	};

	memcpy(j.dir, p->dir, sizeof(j.dir));
	node_describe(g->session->node, &j.job, spec);
	memcpy(p->dir, j.dir, sizeof(p->dir));
}

static int item(void *ctx, const struct pcore_job *job, const char **ret, size_t *ret_len)
{
	const struct node_job *j = container_of(job, struct node_job, job);

	(void)ctx;
	*ret = j->as.input.data;
	*ret_len = j->as.input.len;
	return 0;
}

static bool errors(void *ctx, unsigned slot, const char *data, size_t len)
{
	struct node_workers *g = ctx;
	struct place *p = &g->places[slot - 1];

	if (!data || p->errors.closed || g->session->over || pcore_buf_add(&p->errors.buf, data, len) < 0)
		return true;
	g->session->held += len;
	node_say_soon(g->session);
	p->full = p->errors.buf.len >= NODE_HELD;
	return !p->full;
}

static void news(void *ctx, const struct pcore_worker_news *n)
{
	struct node_workers *g = ctx;
	struct pcore_wire_worker w = { .template = g->template->id, .slot = g->base + n->slot, .event = n->event, .pid = (uint64_t)n->pid };
	const struct node_job *j = n->job ? container_of(n->job, struct node_job, job) : NULL;

	w.has = PCORE_WIRE_HAS(PCORE_WIRE_WORKER_PID);
	if (g->unnamed)
		return;
	w.seq = j ? j->as.seq : n->seq ? g->places[n->slot - 1].last_seq : 0;
	if (w.seq)
		w.has |= PCORE_WIRE_HAS(PCORE_WIRE_WORKER_SEQ);
	if (j) {
		w.job = j->id;
		w.attempt = j->attempt;
		w.has |= PCORE_WIRE_HAS(PCORE_WIRE_WORKER_JOB) | PCORE_WIRE_HAS(PCORE_WIRE_WORKER_ATTEMPT);
	}
	if (n->exit) {
		w.code = (uint64_t)n->exit->code;
		w.status = (uint64_t)n->exit->status;
		w.has |= PCORE_WIRE_HAS(PCORE_WIRE_WORKER_CODE) | PCORE_WIRE_HAS(PCORE_WIRE_WORKER_STATUS);
	}
	node_say_worker(g->session, &w);
}

/* ---- life ---- */

static void free_workers(struct node_workers *g)
{
	struct node_session *s = g->session;

	for (unsigned i = 0; i < g->max && g->places; i++) {
		struct place *p = &g->places[i];

		s->held -= p->errors.buf.len;
		pcore_buf_done(&p->errors.buf);
		if (p->dir[0])
			node_trash(s->node, p->dir);
	}
	if (g->pool)
		pcore_pool_free(g->pool);
	else if (g->ex)
		g->ex->ops->free(g->ex);
	pcore_list_del(&g->link);
	pcore_list_del(&g->of_template);
	free(g->places);
	free(g->ids);
	free(g);
}

static int make_pool(struct node_workers *g, struct pcore_err *err)
{
	static const struct pcore_pool_owner owner = {
		.next = next, .started = started, .output = node_job_output, .again = again, .exited = NULL, .done = done, .idle = idle
	};
	const struct pcore_pool_spec pool = { .jobs = g->jobs, .shares_fds = true };
	struct pcore_worker_spec spec = *g->template->t.spec.worker;
	int r;

	spec.keeper = g->session->node->keeper;
	spec.times = g->template->t.spec.times;
	spec.times.timeout = INT64_MAX; /* that of an answer counts */
	spec.jobs = g->jobs;
	spec.describe = describe;
	spec.item = item;
	spec.errors = errors;
	spec.news = news;
	spec.ctx = g;
	r = pcore_worker_new(&g->ex, g->session->node->loop, &spec, err);
	return r < 0 ? r : pcore_pool_new(&g->pool, g->session->node->loop, &pool, &owner, g, g->ex);
}

static int make_workers(struct node_session *s, struct node_template *t, const struct pcore_wire_bytes *ids, struct node_workers **ret)
{
	struct pcore_node *n = s->node;
	struct node_workers *g = calloc(1, sizeof(*g));
	struct pcore_err err;
	int r;

	if (!g)
		return -ENOMEM;
	*g = (struct node_workers){ .jobs = 1, .session = s, .template = t, .serial = ++n->workers_serial, .ids_len = ids->len };
	pcore_list_init(&g->link);
	pcore_list_init(&g->of_template);
	pcore_list_init(&g->queue);
	g->max = ids->len > 0 || n->cpus <= cpus_of(t) ? 1 : n->cpus / cpus_of(t);
	PCORE_LIST_FOREACH_SAFE(node, &t->workers)
		g->base += container_of(node, struct node_workers, of_template)->max;
	g->places = calloc(g->max, sizeof(*g->places));
	g->ids = malloc(ids->len + 1);
	r = g->places && g->ids ? make_pool(g, &err) : -ENOMEM;
	if (r < 0) {
		free_workers(g);
		return r;
	}
	if (ids->len > 0)
		memcpy(g->ids, ids->data, ids->len);
	for (unsigned i = 0; i < g->max; i++)
		g->places[i].errors.limit = PCORE_WIRE_CREDIT;
	pcore_list_add_tail(&n->workers, &g->link);
	pcore_list_add_tail(&t->workers, &g->of_template);
	*ret = g;
	return 0;
}

/* There is room for one item more at a time than there was. */
static void hold(struct node_workers *g)
{
	if (++g->held <= g->jobs || g->jobs >= g->max)
		return;
	if (pcore_pool_set_jobs(g->pool, g->jobs + 1) == 0)
		g->jobs++;
}

void node_workers_forget(struct node_job *j)
{
	struct node_workers *g = j->workers;

	if (!(j->as.flags & PCORE_WIRE_AHEAD) && j->state != NODE_DONE)
		g->held--;
}

int node_workers_enqueue(struct node_job *j)
{
	struct node_template *t = j->template;
	struct node_workers *g = NULL;
	struct pcore_list *before;

	PCORE_LIST_FOREACH_SAFE(node, &t->workers) {
		struct node_workers *other = container_of(node, struct node_workers, of_template);

		if (other->ids_len == j->as.ids.len && memcmp(other->ids, j->as.ids.data, other->ids_len) == 0)
			g = other;
	}
	if (!g) {
		int r = make_workers(j->session, t, &j->as.ids, &g);

		if (r < 0)
			return r;
	}
	j->workers = g;
	j->job.fresh = j->as.tries > 1;
	if (!(j->as.flags & PCORE_WIRE_AHEAD))
		hold(g);
	before = g->queue.prev;
	while (before != &g->queue && container_of(before, struct node_job, link)->as.priority > j->as.priority)
		before = before->prev;
	pcore_list_add_head(before, &j->link);
	j->session->node->n_queued++;
	pcore_pool_kick(g->pool);
	return 0;
}

/* Which one it is for is not known to anybody but the worker: only what it answers now can be ended without the others. */
void node_workers_cancel(struct node_job *j, enum pcore_wire_how how, int sig)
{
	struct node_workers *g = j->workers;

	if (how == PCORE_WIRE_SIGNAL_IT) {
		if (j->job.state == PCORE_JOB_RUNNING)
			g->ex->ops->signal(g->ex, &j->job, sig);
		return;
	}
	if (j->job.state != PCORE_JOB_RUNNING || how == PCORE_WIRE_KILL_IT || pcore_worker_job(g->ex, j->job.slot) == &j->job)
		pcore_pool_end(g->pool, &j->job);
	else
		j->job.given_up = true;
	if (how == PCORE_WIRE_KILL_IT && j->job.state == PCORE_JOB_RUNNING)
		g->ex->ops->kill(g->ex, &j->job);
}

void node_workers_resume(struct node_job *j)
{
	pcore_pool_resume(j->workers->pool, &j->job);
}

void node_workers_end(struct node_session *s, enum pcore_wire_how how)
{
	PCORE_LIST_FOREACH_SAFE(node, &s->node->workers) {
		struct node_workers *g = of_link(node);

		if (g->session != s)
			continue;
		pcore_pool_stop(g->pool, how == PCORE_WIRE_KILL_IT ? PCORE_POOL_KILL : PCORE_POOL_END);
		for (unsigned i = 0; i < g->max; i++) {
			if (!g->places[i].full)
				continue;
			g->places[i].full = false;
			pcore_worker_resume_errors(g->ex, i + 1);
		}
	}
}

void node_workers_look(struct node_template *t)
{
	PCORE_LIST_FOREACH_SAFE(node, &t->workers) {
		struct node_workers *g = container_of(node, struct node_workers, of_template);

		pcore_pool_kick(g->pool);
		if (t->jobs == 0) /* also where no worker could be kept running, so that none is asked for */
			pcore_pool_stop(g->pool, PCORE_POOL_DRAIN);
	}
}

void node_workers_unname(struct node_session *s)
{
	PCORE_LIST_FOREACH_SAFE(node, &s->node->workers) {
		struct node_workers *g = of_link(node);

		g->unnamed |= g->session == s;
		g->template->tell_end &= g->session != s;
	}
}

void node_workers_resize(struct pcore_node *n)
{
	PCORE_LIST_FOREACH_SAFE(node, &n->workers)
		pcore_pool_kick(of_link(node)->pool);
}

unsigned node_workers_busy(const struct pcore_node *n)
{
	unsigned busy = 0;

	PCORE_LIST_FOREACH_SAFE(node, (struct pcore_list *)&n->workers)
		busy += pcore_worker_busy(of_link(node)->ex);
	return busy;
}

bool node_workers_of(const struct node_session *s)
{
	PCORE_LIST_FOREACH_SAFE(node, (struct pcore_list *)&s->node->workers)
		if (of_link(node)->session == s)
			return true;
	return false;
}

/* ---- telling ---- */

/* An item is said to have begun when a worker is at it, and not before. */
void node_workers_tell_started(struct node_session *s)
{
	PCORE_LIST_FOREACH_SAFE(node, &s->node->workers) {
		struct node_workers *g = of_link(node);

		if (g->session != s)
			continue;
		for (unsigned i = 1; i <= g->max; i++) {
			struct pcore_job *job = pcore_worker_job(g->ex, i);
			struct node_job *j = job ? container_of(job, struct node_job, job) : NULL;

			if (!j || j->told_started)
				continue;
			j->told_started = true;
			j->job.result.start_ns = pcore_clock_ns(CLOCK_REALTIME);
			pcore_list_add_tail(&s->started, &j->started);
		}
	}
}

/* The streams of errors; those that have ended and have no more to say are over. */
int node_workers_say(struct node_session *s)
{
	int r = 0;

	PCORE_LIST_FOREACH_SAFE(node, &s->node->workers) {
		struct node_workers *g = of_link(node);
		bool left = false;

		if (g->session != s)
			continue;
		for (unsigned i = 0; i < g->max && r == 0; i++) {
			struct node_output *o = &g->places[i].errors;

			if (!g->unnamed && s->conn)
				r = node_say_stream(s, pcore_wire_worker_id((uint32_t)g->template->id, (uint16_t)(g->base + i + 1)), 0, PCORE_WIRE_STDERR, o);
			left |= !g->unnamed && !o->closed && !s->over && o->sent < o->first + o->buf.len;
		}
		if (g->over && !left && !pcore_pool_at_rest(g->pool)) {
			node_say_soon(s);
			continue;
		}
		if (r == 0 && g->over && !left) {
			struct node_template *t = g->template;

			free_workers(g);
			node_template_settle(t, s);
		}
	}
	return r;
}

void node_workers_credit(struct node_session *s, struct node_template *t, unsigned slot, const struct pcore_wire_credit *c)
{
	PCORE_LIST_FOREACH_SAFE(node, &t->workers) {
		struct node_workers *g = container_of(node, struct node_workers, of_template);
		struct place *p = slot > g->base && slot <= g->base + g->max ? &g->places[slot - g->base - 1] : NULL;

		if (!p || c->received > p->errors.first + p->errors.buf.len)
			continue;
		node_output_take(s, &p->errors, c->received, c->closed || p->errors.closed);
		p->errors.limit = c->limit > p->errors.limit ? c->limit : p->errors.limit;
		if (p->full && p->errors.buf.len < NODE_HELD && !g->over) {
			p->full = false;
			pcore_worker_resume_errors(g->ex, slot - g->base);
		}
		node_say_soon(s);
	}
}

/* What has not begun, one after the other, for as long as it is wanted. */
void node_workers_each_queued(struct node_session *s, void (*each)(void *ctx, struct node_job *j), void *ctx)
{
	PCORE_LIST_FOREACH_SAFE(node, &s->node->workers) {
		struct node_workers *g = of_link(node);

		if (g->session != s)
			continue;
		PCORE_LIST_FOREACH_SAFE(queued, &g->queue)
			each(ctx, container_of(queued, struct node_job, link));
	}
}
