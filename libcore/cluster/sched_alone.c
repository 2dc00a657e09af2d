/* SPDX-License-Identifier: MIT */
/*
 * sched_alone.c - who may have jobs begun: clients that have the nodes for themselves, one after the other; nobody, as long as all
 * is stopped.
 *
 * An exclusive client gets its place in the line with its first job that waits for no other one. It leaves the line when it has
 * no such job left; a private one that has no job at all stays until it goes. The first of the line is the holder, unless
 * no node could do anything for it: then whoever comes after it is, and as long as nobody is all clients are served.
 */
#include "libcore/cluster/sched_private.h"

void sched_ready(struct pcore_sched *s, struct client *c)
{
	c->n_ready++;
	if (c->exclusive && pcore_list_empty(&c->in_line))
		pcore_list_add_tail(&s->line, &c->in_line);
}

bool sched_kept_out(const struct pcore_sched *s, const struct client *c, const struct node *n)
{
	return s->stopped || (s->holder && (s->holder != c || n->n_foreign > 0));
}

static void count_foreign(const struct pcore_sched *s, struct node *n)
{
	const struct pcore_list *lists[] = { &n->jobs, &n->ahead };

	n->n_foreign = 0;
	for (size_t i = 0; i < ARRAY_SIZE(lists) && s->holder; i++) {
		PCORE_LIST_FOREACH_SAFE(link, lists[i])
		{
			n->n_foreign += container_of(link, struct job, link)->array->client != s->holder;
		}
	}
}

void sched_set_holder(struct pcore_sched *s, struct client *c)
{
	s->holder = c;
	if (c && s->reserver && s->reserver->client != c)
		sched_unreserve(s);
	PCORE_LIST_FOREACH_SAFE(link, &s->all_nodes)
	{
		struct node *n = container_of(link, struct node, link);

		count_foreign(s, n);
		if (n->n_foreign > 0)
			sched_retract_all(s, n);
		sched_freed(s, n);
	}
}

void pcore_sched_stop(struct pcore_sched *s, int64_t now_ns, bool stop)
{
	s->now_ns = now_ns;
	s->stopped = stop;
	PCORE_LIST_FOREACH_SAFE(link, &s->all_nodes)
	{
		struct node *n = container_of(link, struct node, link);

		if (stop)
			sched_retract_all(s, n);
		sched_freed(s, n);
	}
	sched_settle(s);
}

static bool has_left(const struct client *c)
{
	bool idle = c->private && c->present && c->n_arrays == 0;

	return c->n_ready == 0 && !idle;
}

/* It has nothing on a node, and no node there is for what waits. */
static bool is_stuck(const struct client *c)
{
	bool waits = false;

	PCORE_LIST_FOREACH_SAFE(link, &c->lanes)
	{
		const struct lane *l = container_of(link, struct lane, by_client);

		if (sched_lane_empty(l))
			continue;
		if (l->class->n_admits > 0)
			return false;
		waits = true;
	}
	return waits && c->cpus == 0;
}

void sched_choose_holder(struct pcore_sched *s)
{
	struct client *first = NULL;

	PCORE_LIST_FOREACH_SAFE(link, &s->line)
	{
		struct client *c = container_of(link, struct client, in_line);

		if (has_left(c))
			pcore_list_del(&c->in_line);
		else if (!first && !is_stuck(c))
			first = c;
	}
	if (first != s->holder)
		sched_set_holder(s, first);
}
