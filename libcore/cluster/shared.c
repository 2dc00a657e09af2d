/* SPDX-License-Identifier: MIT */
/*
 * shared.c - the life of a shared scheduler, and the order in which things are done.
 *
 * Whatever happens is told to the scheduler where it happens. pump(), once a turn of the loop, hears what came of it, makes it safe,
 * and only then says it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libcore/cluster/shared_private.h"

enum { LINE = 512 };

void shared_log(struct pcore_shared *s, const char *fmt, ...)
{
	char line[LINE];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	s->spec.log(s->spec.ctx, line);
}

void shared_pump_soon(struct pcore_shared *s)
{
	if (!pcore_op_live(&s->pump))
		(void)pcore_op_timer(s->host.loop, &s->pump, PCORE_CLOCK_MONOTONIC, 0);
}

/* ---- what the scheduler says ---- */

static void count(struct pcore_shared *s, const struct pcore_sched_news *n)
{
	if (n->outcome == PCORE_SCHED_SUCCEEDED)
		s->succeeded++;
	else
		s->failed += n->n;
}

static void hear_news(struct pcore_shared *s, const struct pcore_sched_news *n)
{
	struct shared_job *j = n->kind == PCORE_SCHED_OVER || n->kind == PCORE_SCHED_AGAIN ? shared_job_find(s, n->job) : NULL;

	switch (n->kind) {
	case PCORE_SCHED_OVER:
		count(s, n);
		if (j && j->client)
			shared_job_over(j, n);
		break;
	case PCORE_SCHED_AGAIN:
		if (j && j->client)
			shared_job_again(j);
		break;
	case PCORE_SCHED_NO_NODE:
	case PCORE_SCHED_ROOM:
	case PCORE_SCHED_DRAINED:
		break;
	}
}

static void schedule_tick(struct pcore_shared *s)
{
	int64_t at = s->stopping ? INT64_MAX : pcore_sched_next_ns(s->host.sched);

	if (pcore_op_live(&s->tick))
		pcore_op_cancel(s->host.loop, &s->tick);
	else if (at < INT64_MAX)
		(void)pcore_op_timer(s->host.loop, &s->tick, PCORE_CLOCK_MONOTONIC, at);
}

/* Nodes have come or gone, or offer something else: clients see the sum. */
static void count_nodes(struct pcore_shared *s)
{
	uint64_t cpus = 0;

	s->changed = false;
	PCORE_LIST_FOREACH_SAFE(node, &s->links) {
		const struct link *l = container_of(node, struct link, link);

		if (l->joined && l->node.state == PCORE_WIRE_SERVING)
			cpus += l->node.cpus;
	}
	cpus = cpus < PCORE_SCHED_CPUS_MAX ? cpus : PCORE_SCHED_CPUS_MAX;
	if (cpus == s->cpus)
		return;
	s->cpus = (uint32_t)cpus;
	PCORE_LIST_FOREACH_SAFE(node, &s->clients) {
		struct shared_client *c = container_of(node, struct shared_client, link);

		if (c->conn && !c->admin)
			shared_say_node(c);
	}
}

static void pump(struct pcore_op *op, int res)
{
	struct pcore_shared *s = container_of(op, struct pcore_shared, pump);
	struct pcore_sched_batch b;
	struct pcore_sched_news n;
	bool more = true;

	(void)res;
	while (more) {
		more = false;
		while (pcore_sched_next_news(s->host.sched, &n)) { /* first: that an attempt is lost comes before the next one */
			hear_news(s, &n);
			more = true;
		}
		while (pcore_sched_next_batch(s->host.sched, &b)) {
			link_act(b.ctx, &b);
			more = true;
		}
	}
	if (s->changed)
		count_nodes(s);
	schedule_tick(s);
	shared_check_idle(s);
}

static void tick(struct pcore_op *op, int res)
{
	struct pcore_shared *s = container_of(op, struct pcore_shared, tick);

	if (res == -ETIME)
		(void)pcore_sched_tick(s->host.sched, shared_now(s));
	if (!s->stopping)
		shared_pump_soon(s);
	else
		shared_check_idle(s);
}

/* ---- life ---- */

uint32_t pcore_shared_instance(const struct pcore_shared *s)
{
	return s->instance;
}

int pcore_shared_new(struct pcore_shared **ret, struct pcore_loop *lp, const struct pcore_shared_spec *spec)
{
	const struct pcore_sched_spec sched = { .policy = spec->policy, .lost_after_ns = spec->grace_ns };
	struct pcore_shared *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;

	s->spec = *spec;
	s->host = (struct link_host){ .ops = &shared_link_ops, .loop = lp };
	s->pump.done = pump;
	s->tick.done = tick;
	s->start_ns = pcore_clock_ns(CLOCK_REALTIME);
	pcore_list_init(&s->links);
	pcore_list_init(&s->nodes);
	pcore_list_init(&s->clients);
	r = pcore_sched_new(&s->host.sched, &sched);
	if (r < 0) {
		pcore_shared_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

int pcore_shared_start(struct pcore_shared *s, struct pcore_net *net)
{
	s->host.net = net;
	shared_pump_soon(s);
	return 0;
}

void pcore_shared_accept(struct pcore_shared *s, struct pcore_net_conn *c)
{
	if (pcore_net_peer(c)->role == PCORE_NET_NODE)
		shared_node_accept(s, c);
	else
		shared_client_accept(s, c);
}

void shared_check_idle(struct pcore_shared *s)
{
	if (!s->stopping || s->told_idle || !pcore_list_empty(&s->links) || !pcore_list_empty(&s->clients) || pcore_op_live(&s->pump) ||
		pcore_op_live(&s->tick))
		return;
	s->told_idle = true;
	s->spec.idle(s->spec.ctx);
}

void pcore_shared_stop(struct pcore_shared *s)
{
	s->stopping = s->host.closing = true;
	PCORE_LIST_FOREACH_SAFE(node, &s->clients)
		shared_client_end(container_of(node, struct shared_client, link));
	PCORE_LIST_FOREACH_SAFE(node, &s->links) {
		struct link *l = container_of(node, struct link, link);

		if (l->conn && s->spec.durable) /* a goodbye would end what it runs */
			pcore_net_abort(l->conn);
		link_close(l);
	}
	pcore_op_cancel(s->host.loop, &s->tick);
	shared_check_idle(s);
}

void pcore_shared_free(struct pcore_shared *s)
{
	struct pcore_list *node;

	if (!s)
		return;

	assert(pcore_list_empty(&s->links) && pcore_list_empty(&s->clients));
	assert(!pcore_op_live(&s->pump) && !pcore_op_live(&s->tick));

	while ((node = pcore_list_pop(&s->nodes)))
		free(container_of(node, struct shared_node, link));
	pcore_sched_free(s->host.sched);
	pcore_map_done(&s->jobs);
	pcore_map_done(&s->envs);
	pcore_map_done(&s->templates);
	pcore_buf_done(&s->buf);
	free(s);
}
