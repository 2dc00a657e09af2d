/* SPDX-License-Identifier: MIT */
/*
 * client_node.c - a private cluster and its nodes: what they are told of a job, and what becomes of what they say.
 */
#include "libcore/cluster/client_private.h"
#include "libcore/cluster/spec.h"

enum { TEMPLATE = 1 };

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

static void started(struct link *l, struct link_job *j, const struct pcore_wire_started *s)
{
	struct cluster_run *run = run_of(j);

	cluster_begun(run, true);
	run->job->slot = s->slot;
	run->job->result.pid = (pid_t)s->pid;
	run->job->result.node = l->name;
}

static bool output(struct link *l, struct link_job *j, enum pcore_wire_stream stream, const char *data, size_t len)
{
	return pcore_pool_output(cluster_of(l)->ex.pool, run_of(j)->job, (enum pcore_job_stream)stream, data, len);
}

static void ended(struct link *l, struct link_job *j, const struct pcore_wire_done *d)
{
	struct cluster_run *run = run_of(j);

	pcore_result_of_done(&run->result, d);
	run->result.node = l->name;
}

static int joined(struct link *l)
{
	struct cluster *c = cluster_of(l);

	l->name = cluster_name(c, l->node.name);
	c->node_came = true;
	cluster_tell(c, PCORE_CLUSTER_UP, l->node.name, "", 0, NULL);
	return l->name ? 0 : -ENOMEM;
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
