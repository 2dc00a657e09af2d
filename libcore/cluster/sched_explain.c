/* SPDX-License-Identifier: MIT */
/*
 * sched_explain.c - why a job does not run, and whether everything agrees.
 */
#include <string.h>

#include "libcore/cluster/sched_private.h"

/* ---- explain ---- */

static const enum pcore_sched_state state_of[] = {
	[JOB_GAP] = PCORE_SCHED_NONE,
	[JOB_NEW] = PCORE_SCHED_NONE,
	[JOB_QUEUED] = PCORE_SCHED_QUEUED,
	[JOB_HELD] = PCORE_SCHED_HELD,
	[JOB_AHEAD] = PCORE_SCHED_AHEAD,
	[JOB_RUNNING] = PCORE_SCHED_RUNNING,
	[JOB_BACKOFF] = PCORE_SCHED_BACKOFF,
};

static void explain_node(const struct pcore_sched *s, const struct lane *l, const struct node *n, struct pcore_sched_why *why)
{
	why->n_nodes++;
	if (n->gone) {
		why->gone++;
		return;
	}
	if (n->draining) {
		why->draining++;
		return;
	}
	switch (sched_refusal(l->class, n)) {
	case NOT_PINNED:
		why->pinned++;
		return;
	case BAD_LABELS:
		why->labels++;
		return;
	case FEW_CPUS:
		why->cpus++;
		return;
	case LITTLE_MEMORY:
		why->memory++;
		return;
	case FEW_RESOURCES:
		why->resources++;
		return;
	case AVOIDED:
		if (!sched_admits(l->class, n)) {
			why->avoided++;
			return;
		}
		break;
	case FITS:
		break;
	}
	if (s->stopped)
		why->stopped = true;
	else if (s->holder && s->holder != l->client)
		why->exclusive++;
	else if (sched_reserved_from(s, n, l))
		why->reserved++;
	else if (!sched_fits(l->class, n) || sched_kept_out(s, l->client, n))
		why->busy++;
	else
		why->room++;
}

uint64_t pcore_sched_cookie(const struct pcore_sched *s, uint64_t job)
{
	const struct job *j = sched_job_find(s, job);

	return j && j->state != JOB_GAP ? j->array->cookie : 0;
}

int pcore_sched_explain(const struct pcore_sched *s, uint64_t job, struct pcore_sched_why *ret)
{
	const struct array *a = sched_array_find(s, job);
	const struct job *j = sched_job_find(s, job);
	const struct lane *l = a ? a->lane : NULL;
	struct pcore_sched_why why = { 0 };

	if (!a || (j && j->state == JOB_GAP) || (!j && (job - a->first < a->next || job - a->first >= a->end)))
		return -ENOENT;
	why.state = j ? state_of[j->state] : a->n_after ? PCORE_SCHED_WAITING : PCORE_SCHED_QUEUED;
	if (j) {
		why.cancelled = j->cancel != 0;
		why.node = job_on_node(j) ? j->node->handle : 0;
		why.until_ns = j->state == JOB_BACKOFF ? j->retry.key : 0;
		l = j->state == JOB_QUEUED ? j->lane : l;
	} else if (!pcore_list_empty(&a->afters)) {
		why.after = container_of(a->afters.next, struct edge, of_waiter)->target->first;
	}
	PCORE_LIST_FOREACH_SAFE(link, &s->all_nodes)
	{
		explain_node(s, l, container_of(link, struct node, link), &why);
	}
	*ret = why;
	return 0;
}

/* ---- check ---- */

static void check_node(const struct pcore_sched *s, const struct node *n)
{
	const struct pcore_list *lists[] = { &n->jobs, &n->ahead };
	int64_t cpus = 0, memory = 0;
	uint32_t counts[2] = { 0 }, retracting = 0, foreign = 0;

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		PCORE_LIST_FOREACH_SAFE(link, lists[i])
		{
			const struct job *j = container_of(link, struct job, link);

			assert(j->node == n);
			assert(job_on_node(j));
			assert((j->state == JOB_AHEAD) == (i == 1));
			counts[i]++;
			retracting += j->retracting;
			foreign += s->holder && j->array->client != s->holder;
			cpus += i == 0 ? j->array->lane->class->cpus : 0;
			memory += i == 0 ? (int64_t)j->array->lane->class->memory : 0;
		}
	}
	assert(counts[0] == n->n_jobs);
	assert(counts[1] == n->n_ahead);
	assert(retracting == n->n_retracting);
	assert(foreign == n->n_foreign);
	assert(pcore_list_empty(&n->with_ahead) == (n->n_ahead == 0));
	assert(n->gone == (n->handle == 0));
	if (n->gone)
		return;
	assert(n->cpus_free == n->cpus - cpus);
	assert(n->memory_free == n->memory - memory);
	for (uint32_t i = 0; i < n->n_stock; i++) {
		const struct stock *k = &n->stock[i];
		int64_t unused = k->n;

		for (uint32_t id = 0; k->owners && id < k->n; id++) {
			assert(!k->owners[id] || k->owners[id]->node == n);
			unused -= k->owners[id] ? 1 : 0;
		}
		assert(!k->owners || k->free == unused);
		assert(!k->owners || k->free >= 0);
	}
	assert(s->nodes[n->slot] == n);
}

/* Nothing that waits fits a node with room. */
static void check_idle(const struct pcore_sched *s, const struct node *n)
{
	for (size_t i = 0; i < s->n_levels && n->n_ahead == 0 && !s->short_of_memory; i++) {
		PCORE_LIST_FOREACH_SAFE(turn, &s->levels[i]->turns)
		{
			PCORE_LIST_FOREACH_SAFE(link, &container_of(turn, struct turn, link)->lanes)
			{
				const struct lane *l = container_of(link, struct lane, link);

				assert(!sched_lane_empty(l));
				assert(!sched_admits(l->class, n) || !sched_fits(l->class, n) || sched_kept_out(s, l->client, n) ||
					sched_reserved_from(s, n, l));
			}
		}
	}
}

static void check_class(const struct pcore_sched *s, const struct class *c)
{
	uint32_t n_admits = 0;

	for (uint32_t i = 0; i < s->slots_cap; i++) {
		bool admits = c->admits[i / 64] >> i % 64 & 1;
		const struct node *n = i < s->n_slots ? s->nodes[i] : NULL;

		n_admits += admits;
		assert(!admits || n);
		if (n && c->avoid != n->serial)
			assert(admits == (!n->gone && !n->draining && n->cpus > 0 && sched_refusal(c, n) == FITS));
	}
	assert(n_admits == c->n_admits);
}

void pcore_sched_check(const struct pcore_sched *s)
{
	uint64_t states[JOB_BACKOFF + 1] = { 0 }, queued = 0, waiting = 0;
	uint32_t n_arrays = 0, retracting = 0, n_live = 0, live = 0;

	for (size_t i = 0; i < s->n_array_slots; i++) {
		const struct array *a = s->arrays[i].array;

		if (!a)
			continue;
		assert(a->next <= a->end);
		assert(a->live > 0 || sched_array_left(a) > 0);
		n_arrays++;
		n_live += a->live;
		*(a->n_after ? &waiting : &queued) += sched_array_left(a);
	}
	for (size_t i = 0; i < s->table_size; i++) {
		for (const struct job *j = s->table[i]; j; j = j->hash_next) {
			assert(j->state != JOB_NEW);
			states[j->state]++;
			live += j->state != JOB_GAP;
		}
	}
	assert(n_arrays == s->n_arrays);
	assert(n_live == live);
	assert(s->counts.queued == queued + states[JOB_QUEUED]);
	assert(s->counts.waiting == waiting);
	assert(s->counts.held == states[JOB_HELD]);
	assert(s->counts.ahead == states[JOB_AHEAD]);
	assert(s->counts.running == states[JOB_RUNNING]);
	assert(s->counts.backoff == states[JOB_BACKOFF]);
	PCORE_LIST_FOREACH_SAFE(link, &s->all_nodes)
	{
		const struct node *n = container_of(link, struct node, link);

		check_node(s, n);
		check_idle(s, n);
		retracting += n->n_retracting;
	}
	assert(retracting == s->n_retracting);
	assert(!s->reserved || (!sched_lane_empty(s->reserver) && sched_admits(s->reserver->class, s->reserved)));
	PCORE_LIST_FOREACH_SAFE(link, &s->classes)
	{
		check_class(s, container_of(link, struct class, link));
	}
	assert(pcore_list_empty(&s->touched) || s->short_of_memory);
	assert(pcore_list_empty(&s->freed) || s->short_of_memory);
}
