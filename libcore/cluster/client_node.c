/* SPDX-License-Identifier: MIT */
/*
 * client_node.c - a private cluster and its nodes: what they are told of a job, and what becomes of what they say.
 */
#include <string.h>

#include "libcore/cluster/client_private.h"
#include "libcore/cluster/spec.h"

enum { TEMPLATE = 1, NUMBERS_MAX = 1 << 20 };

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

static int assign(struct link *l, const struct pcore_sched_action *a, struct link_job **ret, struct pcore_wire_assign *m)
{
	struct cluster_run *run = (struct cluster_run *)(uintptr_t)a->cookie;
	const struct cluster *c = cluster_of(l);

	if (!l->prepared) {
		link_send(l, PCORE_WIRE_ENV, PCORE_CLUSTER_ENV, c->env.data, c->env.len);
		link_send(l, PCORE_WIRE_TEMPLATE, TEMPLATE, c->template.data, c->template.len);
		l->prepared = true;
	}
	m->template = TEMPLATE;
	m->seq = run->job->seq;
	m->tries = run->job->attempt;
	m->args.list = run->args;
	*ret = &run->at;
	return 0;
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

	cluster_begun(run, true);
	run->job->slot = s->slot;
	run->job->result.pid = (pid_t)s->pid;
	run->job->result.node = where(l, s->node)->text;
}

static bool output(struct link *l, struct link_job *j, enum pcore_wire_stream stream, const char *data, size_t len)
{
	return pcore_pool_output(cluster_of(l)->ex.pool, run_of(j)->job, (enum pcore_job_stream)stream, data, len);
}

static void ended(struct link *l, struct link_job *j, const struct pcore_wire_done *d)
{
	struct cluster_run *run = run_of(j);

	struct cluster_name *name = where(l, d->node);

	pcore_result_of_done(&run->result, d);
	run->result.node = name->text;
	name->jobs++;
	name->job_ns += d->wall_ns;
	name->received += d->sent[0] + d->sent[1];
	for (char **arg = run->args; arg && *arg; arg++)
		name->sent += strlen(*arg) + 1;
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

static void changed(struct link *l)
{
	cluster_count_nodes(cluster_of(l));
}

static void gone(struct link *l, const struct pcore_net_error *e)
{
	if (!l->host->closing)
		cluster_tell(cluster_of(l), PCORE_CLUSTER_GONE, l->name, e->why, e->code, NULL);
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
	.output = output,
	.ended = ended,
	.joined = joined,
	.changed = changed,
	.gone = gone,
	.unreachable = unreachable,
	.refused = refused,
	.closed = closed,
	.pump = pump,
};
