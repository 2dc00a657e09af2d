/* SPDX-License-Identifier: MIT */
/*
 * sched_ahead.c - what a node is sent before it has room, so that it need not wait for a round trip, and what of it is taken
 * back.
 *
 * A node begins what it has ahead in the order it got it, as resources become free, and so does the account here. As long
 * as something is ahead nothing else is started on the node.
 */
#include "libcore/cluster/sched_private.h"

enum { LONG = 100 }; /* round trips that a job lasts for which sending ahead does not pay */

/* As many as end in two round trips. */
static uint32_t credits(const struct class *c, const struct node *n)
{
	uint32_t most = n->ahead_max < PCORE_SCHED_AHEAD_MAX ? n->ahead_max : PCORE_SCHED_AHEAD_MAX;
	int64_t slots = n->cpus / c->cpus, k;

	if (n->rtt_ns > 0 && c->wall_ns == 0 && n->eager)
		return most;
	if (n->rtt_ns == 0 || c->wall_ns == 0 || c->wall_ns / LONG > n->rtt_ns)
		return 0;
	if (n->rtt_ns > INT64_MAX / 4 / (slots + 1))
		return most;
	k = (2 * slots * n->rtt_ns + c->wall_ns - 1) / c->wall_ns;
	return k < most ? (uint32_t)k : most;
}

void sched_promote(struct pcore_sched *s, struct node *n)
{
	while (n->n_ahead > 0) {
		struct job *j = container_of(n->ahead.next, struct job, link);

		if (!sched_fits(j->array->lane->class, n))
			return;
		sched_hold(s, j);
	}
}

/* It has begun, or there is room for it. */
void sched_hold(struct pcore_sched *s, struct job *j)
{
	struct node *n = j->node;
	bool retracting = j->retracting;

	assert(j->state == JOB_AHEAD);
	sched_node_pull(s, j);
	sched_take(s, j, n);
	sched_node_put(s, j, n, JOB_HELD);
	if (retracting) {
		j->retracting = 1;
		n->n_retracting++;
		s->n_retracting++;
	}
}

void sched_fill_ahead(struct pcore_sched *s, struct node *n)
{
	if (n->rtt_ns == 0 || n->gone || n->draining || s->reserved == n || n->n_jobs == 0)
		return;
	for (;;) {
		struct lane *l = sched_choose(s, n, TO_SEND_AHEAD);

		if (!l || l->class->n_needs > 0 || sched_lane_head(l)->at_most_once || (n->ahead_class && n->ahead_class != l->class) ||
			n->n_ahead >= credits(l->class, n) || sched_fits(l->class, n) || !sched_assign(s, l, n, JOB_AHEAD))
			return;
	}
}

void sched_spread_ahead(struct pcore_sched *s, const struct lane *l)
{
	if (l->class->wall_ns == 0)
		return;
	for (uint32_t i = 0; i < s->n_slots; i++)
		if (s->nodes[i] && sched_admits(l->class, s->nodes[i]))
			sched_fill_ahead(s, s->nodes[i]);
}

/* ---- taking back ---- */

static bool retract(struct pcore_sched *s, struct job *j)
{
	struct node *n = j->node;

	if (j->retracting || j->cancel || j->evicted || n->gone || sched_node_reserve(n, 1, 0) < 0)
		return false;
	j->retracting = 1;
	n->n_retracting++;
	s->n_retracting++;
	sched_act(s, n, PCORE_SCHED_RETRACT, job_id(j), j->attempt);
	return true;
}

void sched_retract_all(struct pcore_sched *s, struct node *n)
{
	PCORE_LIST_FOREACH_SAFE(link, &n->ahead)
	{
		retract(s, container_of(link, struct job, link));
	}
}

/* The last one that m has ahead and is not asked back yet, or NULL. */
static struct job *last_ahead(const struct node *m)
{
	for (const struct pcore_list *link = m->ahead.prev; link != &m->ahead; link = link->prev) {
		struct job *j = container_of(link, struct job, link);

		if (!j->retracting)
			return j;
	}
	return NULL;
}

void sched_steal(struct pcore_sched *s, struct node *n)
{
	if (n->gone || n->draining || n->n_ahead > 0 || s->reserved == n)
		return;
	PCORE_LIST_FOREACH_SAFE(link, &s->with_ahead)
	{
		struct node *m = container_of(link, struct node, with_ahead);
		struct job *j;

		while ((int64_t)s->n_retracting < n->cpus_free && (j = last_ahead(m)) != NULL) {
			const struct class *c = j->array->lane->class;

			if (!sched_admits(c, n) || !sched_fits(c, n) || sched_kept_out(s, j->array->client, n) || !retract(s, j))
				break;
		}
	}
}

void sched_displace(struct pcore_sched *s, const struct lane *l)
{
	PCORE_LIST_FOREACH_SAFE(link, &s->with_ahead)
	{
		struct node *m = container_of(link, struct node, with_ahead);
		struct job *j;

		if (!sched_admits(l->class, m))
			continue;
		while ((j = last_ahead(m)) != NULL) {
			if (j->array->lane->turn->level->key <= l->turn->level->key || !retract(s, j))
				break;
		}
	}
}
