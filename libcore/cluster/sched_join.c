/* SPDX-License-Identifier: MIT */
/*
 * sched_join.c - nodes come, claim what they have, go, drain and die.
 *
 * A node that comes back gives up all its jobs, and gets those back that it claims.
 */
#include "libcore/cluster/sched_private.h"

/* ---- claims ---- */

/* May a node have this attempt of a job that is on no node? An attempt of this epoch must be the last one given out; those of
 * earlier epochs may be unknown here, when the end of the journal was lost. */
static bool claimable(const struct pcore_sched *s, const struct array *a, const struct job *j, uint64_t id, uint32_t attempt)
{
	uint32_t last = j ? j->attempt : 0;

	if (a->n_after > 0 || attempt == 0 || attempt < last || attempt >> EPOCH_SHIFT < a->epoch)
		return false;
	if (attempt > last && attempt >> EPOCH_SHIFT >= s->epoch)
		return false;
	if (j)
		return (j->state == JOB_QUEUED || j->state == JOB_BACKOFF) && (attempt > last || !j->ended);
	return id - a->first >= a->next && id - a->first < a->end;
}

/* The claimed job, on no list, or NULL: it is not to be had. */
static struct job *claim_job(struct pcore_sched *s, const struct pcore_sched_claim *claim)
{
	struct array *a = sched_array_find(s, claim->job);
	struct job *j = sched_job_find(s, claim->job);

	if (!a || (j && j->state == JOB_GAP))
		return NULL;
	if (j && job_on_node(j)) {
		if (j->node || j->attempt != claim->attempt)
			return NULL;
		pcore_list_del(&j->link); /* of those to be claimed */
		j->state = JOB_NEW;
		return j;
	}
	if (!claimable(s, a, j, claim->job, claim->attempt))
		return NULL;
	if (!j) {
		if (sched_job_split(s, a, (uint32_t)(claim->job - a->first), &j) < 0)
			return NULL; /* never: it was reserved */
	} else if (j->state == JOB_BACKOFF) {
		pcore_heap_remove(&s->retries, &j->retry);
		pcore_list_init(&j->link);
		s->counts.backoff--;
		j->state = JOB_NEW;
	} else {
		sched_unqueue(s, j);
	}
	return j;
}

static void adopt(struct pcore_sched *s, struct node *n, const struct pcore_sched_claim *claim)
{
	bool was_ahead = false, begun = claim->begun || claim->finished;
	struct job *j = sched_job_find(s, claim->job);
	struct pcore_sched_action *act;

	if (j)
		was_ahead = j->state == JOB_AHEAD;
	j = claim_job(s, claim);
	if (j) {
		j->attempt = claim->attempt;
		if (was_ahead && !begun) {
			sched_node_put(s, j, n, JOB_AHEAD);
		} else if (sched_take_ids(s, j, n, claim->ids, claim->n_ids) == 0) {
			sched_node_put(s, j, n, begun ? JOB_RUNNING : JOB_HELD);
		} else { /* these numbers cannot be: it will be ended */
			j->ended = 1;
			if (j->array->at_most_once)
				sched_job_over(s, j, PCORE_SCHED_LOST, NULL, NULL);
			else
				sched_job_again(s, j, NULL);
			j = NULL;
		}
		if (j)
			sched_record_job(s, j);
	}
	if (!j) {
		s->counts.stale++;
		act = sched_act(s, n, claim->finished ? PCORE_SCHED_ACK : PCORE_SCHED_CANCEL, claim->job, claim->attempt);
		act->how = claim->finished ? 0 : PCORE_SCHED_KILL;
		act->durable = claim->finished && s->spec.persist;
	} else if ((j->cancel || j->evicted) && !claim->finished) {
		sched_act(s, n, PCORE_SCHED_CANCEL, claim->job, claim->attempt)->how = j->evicted ? PCORE_SCHED_KILL : j->cancel;
	}
}

/* Take all jobs off n. They keep their state and have no node, and are on the list. */
static void unload(struct pcore_sched *s, struct node *n, struct pcore_list *left)
{
	struct pcore_list *lists[] = { &n->jobs, &n->ahead };

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		while (!pcore_list_empty(lists[i])) {
			struct job *j = container_of(lists[i]->next, struct job, link);
			enum job_state state = j->state;

			sched_node_pull(s, j);
			j->state = state;
			pcore_list_add_tail(left, &j->link);
		}
	}
}

static void not_claimed(struct pcore_sched *s, struct pcore_list *left)
{
	while (!pcore_list_empty(left)) {
		struct job *j = container_of(left->next, struct job, link);
		bool ran = j->state == JOB_RUNNING;

		pcore_list_del(&j->link);
		j->state = JOB_NEW;
		if (ran) {
			sched_job_lost(s, j, false, true);
			continue;
		}
		j->ended = 1; /* it has not arrived */
		if (j->cancel)
			sched_job_over(s, j, PCORE_SCHED_CANCELLED, NULL, NULL);
		else
			sched_job_again(s, j, NULL);
	}
}

/* ---- joining ---- */

static int join_known(struct pcore_sched *s, struct node **n, const struct pcore_sched_node *spec)
{
	int r = 0;

	if ((*n)->instance != spec->instance) {
		if (!(*n)->gone)
			return -EEXIST;
		r = sched_node_lost(s, *n, true);
		if (r == 0)
			*n = NULL;
	} else if (!(*n)->gone) {
		r = sched_node_gone(s, *n);
	}
	return r;
}

static int check_claims(const struct pcore_sched_claim *claims, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (claims[i].n_ids > 0 && !claims[i].ids)
			return -EINVAL;
	return 0;
}

int pcore_sched_node_join(struct pcore_sched *s, int64_t now_ns, const struct pcore_sched_node *spec,
	const struct pcore_sched_claim *claims, size_t n_claims, uint64_t *ret_node)
{
	struct pcore_list left = PCORE_LIST_INIT(left);
	struct node *n, fresh = { 0 };
	bool new = false;
	size_t n_jobs;
	int r = sched_node_check(spec);

	assert(!s->restoring);
	s->now_ns = now_ns;
	if (r == 0)
		r = check_claims(claims, n_claims);
	if (r < 0)
		return r;
	n = sched_node_named(s, spec->name);
	if (n)
		r = join_known(s, &n, spec);
	if (r == 0 && !n) {
		r = sched_node_make(s, spec->name, spec->instance, s->next_serial, &n);
		new = r == 0;
	}
	if (r < 0)
		return r;
	n_jobs = n->n_jobs + n->n_ahead + n_claims;
	r = sched_reserve(s, n_jobs, 2 * n_jobs);
	if (r == 0)
		r = sched_node_reserve(n, n_claims, 0);
	if (r == 0)
		r = sched_jobs_reserve(s, n_claims);
	if (r == 0)
		r = sched_node_equip(s, &fresh, spec);
	if (r == 0 && new && s->spec.persist)
		r = sched_record_node(&s->records, n);
	if (r < 0)
		goto fail;
	s->next_serial += new;
	unload(s, n, &left);
	sched_node_swap(n, &fresh);
	pcore_heap_remove(&s->node_graces, &n->grace);
	n->gone = false;
	n->handle = n->last = ++s->connections << 32 | n->slot;
	for (size_t i = 0; i < n_claims; i++)
		adopt(s, n, &claims[i]);
	not_claimed(s, &left);
	sched_node_total(s, n, true);
	sched_bucket(s, n);
	sched_classes_see(s, n);
	sched_freed(s, n);
	sched_node_quiet(s, n);
	*ret_node = n->handle;
	sched_node_strip(&fresh);
	sched_settle(s);
	return 0;

fail:
	sched_node_strip(&fresh);
	if (new)
		sched_node_forget(s, n);
	sched_settle(s);
	return r;
}

/* ---- going ---- */

/* Its connection is lost. */
int sched_node_gone(struct pcore_sched *s, struct node *n)
{
	int r;

	n->grace = (struct pcore_heap_node){ .key = s->now_ns + s->spec.lost_after_ns };
	r = pcore_heap_insert(&s->node_graces, &n->grace);
	if (r < 0)
		return r;
	sched_drop_actions(n);
	sched_node_total(s, n, false);
	n->handle = 0;
	n->gone = true;
	sched_classes_see(s, n);
	return 0;
}

int pcore_sched_node_gone(struct pcore_sched *s, int64_t now_ns, uint64_t node)
{
	struct node *n = sched_node_find(s, node);
	int r;

	if (!n)
		return -ESTALE;
	s->now_ns = now_ns;
	r = sched_node_gone(s, n);
	sched_settle(s);
	return r;
}

void sched_node_forget(struct pcore_sched *s, struct node *n)
{
	assert(n->n_jobs + n->n_ahead == 0);
	if (!n->gone)
		sched_node_total(s, n, false);
	n->handle = 0;
	n->gone = true;
	n->told_drained = true;
	sched_classes_see(s, n);
	sched_drop_actions(n);
	pcore_heap_remove(&s->node_graces, &n->grace);
	pcore_list_del(&n->link);
	pcore_list_del(&n->freed);
	pcore_map_remove(&s->nodes_by_name, &n->by_name);
	s->nodes[n->slot] = NULL;
	s->n_nodes--;
	while (s->n_slots > 0 && !s->nodes[s->n_slots - 1])
		s->n_slots--;
	sched_node_free(s, n);
}

/* All it has is lost, and it is forgotten. */
int sched_node_lost(struct pcore_sched *s, struct node *n, bool died)
{
	struct pcore_list left = PCORE_LIST_INIT(left);
	int r = sched_reserve(s, n->n_jobs + n->n_ahead, n->n_jobs + n->n_ahead + 1);

	if (r < 0)
		return r;
	unload(s, n, &left);
	while (!pcore_list_empty(&left)) {
		struct job *j = container_of(left.next, struct job, link);
		enum job_state state = j->state;

		pcore_list_del(&j->link);
		j->state = JOB_NEW;
		sched_job_lost(s, j, died && state == JOB_RUNNING, state != JOB_AHEAD);
	}
	sched_record_node_gone(s, n);
	sched_node_forget(s, n);
	return 0;
}

int pcore_sched_node_dead(struct pcore_sched *s, int64_t now_ns, uint64_t node)
{
	uint32_t slot = (uint32_t)node;
	struct node *n = slot < s->n_slots ? s->nodes[slot] : NULL;
	int r;

	if (!n || n->last != node)
		return -ESTALE;
	s->now_ns = now_ns;
	r = sched_node_lost(s, n, true);
	sched_settle(s);
	return r;
}

/* ---- changes ---- */

static void evict(struct pcore_sched *s, struct pcore_list *jobs, struct node *n)
{
	PCORE_LIST_FOREACH_SAFE(link, jobs)
	{
		struct job *j = container_of(link, struct job, link);

		if (j->evicted)
			continue;
		j->evicted = 1;
		sched_act(s, n, PCORE_SCHED_CANCEL, job_id(j), j->attempt)->how = PCORE_SCHED_KILL;
	}
}

int pcore_sched_node_drain(struct pcore_sched *s, int64_t now_ns, uint64_t node, enum pcore_sched_drain drain)
{
	struct node *n = sched_node_find(s, node);

	if (!n)
		return -ESTALE;
	if (drain == PCORE_SCHED_EVICT && sched_node_reserve(n, n->n_jobs + n->n_ahead, 0) < 0)
		return -ENOMEM;
	s->now_ns = now_ns;
	n->draining = drain != PCORE_SCHED_OPEN;
	n->told_drained = false;
	sched_classes_see(s, n);
	if (drain == PCORE_SCHED_OPEN) {
		sched_freed(s, n);
	} else if (drain == PCORE_SCHED_DRAIN) {
		sched_retract_all(s, n);
	} else {
		evict(s, &n->jobs, n);
		evict(s, &n->ahead, n);
	}
	sched_node_quiet(s, n);
	sched_settle(s);
	return 0;
}

int pcore_sched_node_cpus(struct pcore_sched *s, int64_t now_ns, uint64_t node, uint32_t cpus)
{
	struct node *n = sched_node_find(s, node);

	if (!n)
		return -ESTALE;
	if (cpus > PCORE_SCHED_CPUS_MAX)
		return -EINVAL;
	s->now_ns = now_ns;
	sched_node_total(s, n, false);
	n->cpus_free += (int64_t)cpus - n->cpus;
	n->cpus = cpus;
	sched_node_total(s, n, true);
	sched_bucket(s, n);
	sched_classes_see(s, n);
	if (cpus == 0 || n->cpus_free < 0)
		sched_retract_all(s, n);
	sched_freed(s, n);
	sched_settle(s);
	return 0;
}

int pcore_sched_node_rtt(struct pcore_sched *s, uint64_t node, int64_t rtt_ns)
{
	struct node *n = sched_node_find(s, node);

	if (!n)
		return -ESTALE;
	if (rtt_ns < 0)
		return -EINVAL;
	n->rtt_ns = rtt_ns;
	return 0;
}

int pcore_sched_node_ahead(struct pcore_sched *s, int64_t now_ns, uint64_t node, uint32_t ahead_max)
{
	struct node *n = sched_node_find(s, node);

	if (!n)
		return -ESTALE;
	s->now_ns = now_ns;
	n->ahead_max = ahead_max;
	sched_freed(s, n);
	sched_settle(s);
	return 0;
}
