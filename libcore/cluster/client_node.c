/* SPDX-License-Identifier: MIT */
/*
 * client_node.c - a private cluster and its nodes: what they are told of a job, and what becomes of what they say.
 */
#include <string.h>

#include "libcore/cluster/client_private.h"
#include "libcore/cluster/spec.h"

enum { NUMBERS_MAX = 1 << 20 };

static struct cluster *cluster_of(const struct link *l)
{
	return container_of(l->host, struct cluster, host);
}

static struct cluster_run *run_of(struct link_job *j)
{
	return container_of(j, struct cluster_run, at);
}

static struct link_job *find(struct link *l, uint64_t id)
{
	struct cluster_run *run = cluster_find(cluster_of(l), id);

	return run ? &run->at : NULL;
}

static int put_item(const struct cluster *c, const struct cluster_run *run, struct pcore_wire_assign *m)
{
	const struct pcore_worker_spec *w = c->spec.worker;

	return w->item(w->ctx, run->job, &m->input.data, &m->input.len);
}

/* The serials of the kinds that it has been told of are the link's, by their numbers. */
static int tell_kind(struct link *l, const struct pcore_cluster_kind *k)
{
	uint32_t number = pcore_cluster_number(k->serial);
	uint64_t *told = l->owner ? l->owner : calloc(PCORE_CLUSTER_KINDS + 1, sizeof(*told));

	if (!told)
		return -ENOMEM;
	if (!l->prepared)
		memset(told, 0, (PCORE_CLUSTER_KINDS + 1) * sizeof(*told));
	l->owner = told;
	l->prepared = true;
	if (told[number] == k->serial)
		return 0;
	if (told[number]) {
		link_send(l, PCORE_WIRE_TEMPLATE_DROP, number, NULL, 0);
		link_send(l, PCORE_WIRE_ENV_DROP, number, NULL, 0);
	}
	link_send(l, PCORE_WIRE_ENV, number, k->env.data, k->env.len);
	link_send(l, PCORE_WIRE_TEMPLATE, number, k->template.data, k->template.len);
	told[number] = k->serial;
	return 0;
}

static void tell_template(struct link *l)
{
	const struct cluster *c = cluster_of(l);

	if (l->prepared)
		return;
	if (l->numbers == 0)
		link_send(l, PCORE_WIRE_ENV, PCORE_CLUSTER_ENV, c->env.data, c->env.len);
	link_send(l, PCORE_WIRE_TEMPLATE, ++l->numbers, c->template.data, c->template.len);
	l->prepared = true;
}

static int assign(struct link *l, const struct pcore_sched_action *a, struct link_job **ret, struct pcore_wire_assign *m)
{
	struct cluster_run *run = (struct cluster_run *)(uintptr_t)a->cookie;
	const struct cluster *c = cluster_of(l);

	if (run->kind && tell_kind(l, run->kind) < 0)
		return -ENOMEM;
	if (!run->kind)
		tell_template(l);
	if (c->spec.input) {
		cluster_input_over(run);
		run->at.in.in_turn = c->spec.in_turn;
		run->fed = true;
		c->spec.input_begin(c->spec.ctx, run->job);
		m->flags |= PCORE_WIRE_STREAM;
	}
	m->template = run->kind ? pcore_cluster_number(run->kind->serial) : l->numbers;
	m->seq = run->job->seq;
	m->tries = m->seq > 0 ? run->job->attempt : 0; /* a worker has neither */
	m->args.list = run->args;
	*ret = &run->at;
	return c->spec.worker ? put_item(c, run, m) : 0;
}

static int number(struct link *l, uint32_t n, const char *name)
{
	struct cluster *c = cluster_of(l);

	if (n >= NUMBERS_MAX)
		return -EPROTO;
	if (n >= c->n_numbers) {
		struct cluster_name **numbers = reallocarray(c->numbers, n + 16, sizeof(struct cluster_name *));

		if (!numbers)
			return -ENOMEM;
		memset(numbers + c->n_numbers, 0, (n + 16 - c->n_numbers) * sizeof(struct cluster_name *));
		c->numbers = numbers;
		c->n_numbers = n + 16;
	}
	c->numbers[n] = cluster_name(c, name);
	if (!c->numbers[n])
		return -ENOMEM;
	c->numbers[n]->member = true;
	return 0;
}

/* Where it is: the node itself, or the one that the scheduler means. */
static struct cluster_name *where(struct link *l, uint32_t n)
{
	struct cluster *c = cluster_of(l);

	if (n > 0 && n < c->n_numbers && c->numbers[n])
		return c->numbers[n];
	return cluster_name(c, l->name);
}

static void started(struct link *l, struct link_job *j, const struct pcore_wire_started *s)
{
	struct cluster_run *run = run_of(j);

	cluster_begun(run, where(l, s->node));
	run->job->slot = s->slot;
	run->job->result.pid = (pid_t)s->pid;
	run->job->result.node = run->where->text;
}

static int input(struct link *l, struct link_job *j, struct pcore_piece *ret)
{
	const struct cluster *c = cluster_of(l);

	return run_of(j)->fed ? c->spec.input(c->spec.ctx, run_of(j)->job, ret) : -ENODATA;
}

static void input_again(struct link *l, struct link_job *j)
{
	const struct cluster *c = cluster_of(l);

	c->spec.input_begin(c->spec.ctx, run_of(j)->job);
}

static void input_over(struct link *l, struct link_job *j, int error)
{
	struct cluster_run *run = run_of(j);

	(void)l;
	cluster_input_over(run);
	if (error < 0) {
		run->input_error = error;
		cluster_kill_run(run);
	}
}

/* What it did not take: its node has said that with its result, or before. */
void cluster_input_over(struct cluster_run *run)
{
	const struct link_input *in = &run->at.in;
	const struct cluster *c = run->cluster;
	uint64_t taken = run->at.ended ? run->at.done.input : in->taken;

	if (!run->fed)
		return;
	run->fed = false;
	c->spec.input_over(c->spec.ctx, run->job, in->start + in->piece.len > taken ? in->start + in->piece.len - taken : 0);
}

static void quiet(struct link *l, struct link_job *j, enum pcore_wire_quiet what)
{
	const struct cluster *c = cluster_of(l);

	if (c->spec.quiet)
		c->spec.quiet(c->spec.ctx, run_of(j)->job, what);
}

static bool output(struct link *l, struct link_job *j, enum pcore_wire_stream stream, const char *data, size_t len)
{
	return pcore_pool_output(cluster_of(l)->ex.pool, run_of(j)->job, (enum pcore_job_stream)stream, data, len);
}

static void ended(struct link *l, struct link_job *j, const struct pcore_wire_done *d)
{
	struct cluster_run *run = run_of(j);
	struct pcore_job_result *result = &run->job->result;
	struct cluster_name *name = where(l, d->node);

	pcore_result_of_done(result, d);
	result->node = name->text;
	name->jobs++;
	name->job_ns += d->wall_ns;
	name->received += d->sent[0] + d->sent[1];
	for (char **arg = run->args; arg && *arg; arg++)
		name->sent += strlen(*arg) + 1;
}

/* ---- workers ---- */

static struct cluster_worker *worker_of(struct link *l, uint64_t id)
{
	struct cluster *c = cluster_of(l);
	struct cluster_worker *w;

	PCORE_LIST_FOREACH_SAFE(node, &c->workers) {
		w = container_of(node, struct cluster_worker, link);
		if (w->on == l && w->id == id)
			return w;
	}
	w = malloc(sizeof(*w));
	if (!w)
		return NULL;
	*w = (struct cluster_worker){ .on = l, .id = id, .number = ++c->n_workers };
	pcore_list_init(&w->link);
	pcore_list_add_tail(&c->workers, &w->link);
	return w;
}

static bool errors(struct link *l, uint64_t id, const char *data, size_t len)
{
	const struct pcore_worker_spec *spec = cluster_of(l)->spec.worker;
	const struct cluster_worker *w = spec ? worker_of(l, id) : NULL;

	return !w || len == 0 || spec->errors(spec->ctx, w->number, data, len);
}

void cluster_forget_workers(struct link *l)
{
	struct cluster *c = cluster_of(l);

	PCORE_LIST_FOREACH_SAFE(node, &c->workers) {
		struct cluster_worker *w = container_of(node, struct cluster_worker, link);

		if (w->on != l)
			continue;
		(void)c->spec.worker->errors(c->spec.worker->ctx, w->number, NULL, 0);
		pcore_list_del(&w->link);
		free(w);
	}
}

void pcore_cluster_resume_errors(struct pcore_executor *ex, unsigned worker)
{
	struct cluster *c = container_of(ex, struct cluster, ex);

	PCORE_LIST_FOREACH_SAFE(node, &c->workers) {
		struct cluster_worker *w = container_of(node, struct cluster_worker, link);

		if (w->number == worker)
			link_resume_errors(w->on, w->id);
	}
}

static void worker(struct link *l, const struct pcore_wire_worker *w)
{
	struct cluster *c = cluster_of(l);
	const struct cluster_run *run = w->job ? cluster_find(c, w->job) : NULL;
	struct pcore_exit end = { .code = (int)w->code, .status = (int)w->status };
	struct pcore_worker_news n = {
		.event = (enum pcore_worker_event)w->event,
		.slot = (unsigned)w->slot,
		.pid = (pid_t)w->pid,
		.node = l->name,
		.seq = w->seq,
		.job = run ? run->job : NULL,
		.exit = w->has & PCORE_WIRE_HAS(PCORE_WIRE_WORKER_CODE) ? &end : NULL,
	};

	if (w->event == PCORE_WIRE_WORKERS_GONE) {
		l->dropped -= l->dropped > 0;
		if (c->host.closing && l->dropped == 0)
			link_close(l);
		return;
	}
	if (c->spec.worker)
		c->spec.worker->news(c->spec.worker->ctx, &n);
}

void cluster_end_workers(struct link *l)
{
	if (!l->joined || !l->prepared || !cluster_of(l)->spec.worker)
		return;
	link_send(l, PCORE_WIRE_TEMPLATE_DROP, l->numbers, NULL, 0);
	l->prepared = false;
	l->dropped++;
}

/* They read what they were sent, and the end; the node then says that they are gone. */
void cluster_close_link(struct link *l, bool now)
{
	cluster_end_workers(l);
	if (now || l->dropped == 0)
		link_close(l);
}

static int joined(struct link *l)
{
	struct cluster *c = cluster_of(l);

	struct cluster_name *name = cluster_name(c, l->node.name);

	if (!name)
		return -ENOMEM;
	name->member |= !c->spec.shared;
	l->name = name->text;
	c->node_came = true;
	cluster_tell(c, PCORE_CLUSTER_UP, l->node.name, "", 0, NULL);
	return 0;
}

/* -j is about workers, not about items: nodes get a share of it as they come. */
static uint32_t cpus(struct link *l, uint32_t offered)
{
	const struct cluster *c = cluster_of(l);
	uint64_t each = c->spec.jobs.request.cpus ? c->spec.jobs.request.cpus : 1, left = c->spec.jobs_max * each;

	if (!c->spec.worker || c->spec.jobs_max == 0)
		return offered;
	PCORE_LIST_FOREACH_SAFE(node, (struct pcore_list *)&c->links) {
		const struct link *other = container_of(node, struct link, link);
		uint64_t has = other != l && other->joined ? other->cpus : 0;

		left -= has < left ? has : left;
	}
	return offered < left ? offered : (uint32_t)left;
}

static void changed(struct link *l)
{
	bool draining = l->joined && l->node.state == PCORE_WIRE_DRAINING;

	if (draining && !l->told_draining)
		cluster_tell(cluster_of(l), PCORE_CLUSTER_DRAINS, l->name, "it is draining", 0, NULL);
	l->told_draining = draining;
	cluster_count_nodes(cluster_of(l));
}

static void gone(struct link *l, const struct pcore_net_error *e)
{
	cluster_forget_workers(l);
	if (!l->host->closing) /* it has no name of ours when there was no memory for one */
		cluster_tell(cluster_of(l), PCORE_CLUSTER_GONE, l->node.name, e->why, e->code, NULL);
}

static void unreachable(struct link *l, const struct pcore_net_error *e)
{
	cluster_tell(cluster_of(l), PCORE_CLUSTER_UNREACHABLE, l->address, e->why, e->code, NULL);
}

static void refused(struct link *l, const struct pcore_net_error *e)
{
	cluster_tell(cluster_of(l), PCORE_CLUSTER_REFUSED, l->address ? l->address : l->name, e->why, e->code, NULL);
	cluster_look_for_hope(cluster_of(l));
}

static void closed(struct link *l)
{
	struct cluster *c = cluster_of(l);

	if (c->host.closing && c->ex.pool)
		pcore_pool_kick(c->ex.pool);
}

static void pump(struct link *l)
{
	cluster_pump_soon(cluster_of(l));
}

const struct link_ops cluster_link_ops = {
	.find = find,
	.assign = assign,
	.number = number,
	.started = started,
	.input = input,
	.input_again = input_again,
	.input_over = input_over,
	.quiet = quiet,
	.output = output,
	.errors = errors,
	.worker = worker,
	.ended = ended,
	.joined = joined,
	.cpus = cpus,
	.changed = changed,
	.gone = gone,
	.unreachable = unreachable,
	.refused = refused,
	.closed = closed,
	.pump = pump,
};
