/* SPDX-License-Identifier: MIT */
/*
 * sched_assign.c - which job next, and where.
 *
 * Between events nothing that waits fits a node, so that an event needs only to look at the lanes it has put something
 * into (touched) and the nodes it has freed something on (freed).
 */
#include "libcore/cluster/sched_private.h"

/* ---- the order ---- */

/* Is a node kept for somebody else? More urgent jobs take it all the same. */
bool sched_reserved_from(const struct pcore_sched *s, const struct node *n, const struct lane *l)
{
	return s->reserved == n && s->reserver != l && l->turn->level->key >= s->reserver->turn->level->key;
}

static bool before(const struct lane *a, const struct lane *b)
{
	return a->priority != b->priority ? a->priority < b->priority : sched_lane_first(a) < sched_lane_first(b);
}

static bool less_served(const struct client *a, const struct client *b)
{
	return a->cpus * b->weight < b->cpus * a->weight;
}

/* What is found on the way through the order: the lane that goes first, and one that it overtakes. */
struct search {
	struct pcore_sched *s;
	const struct node *node;
	enum wanted wanted;
	struct lane *best, *passed;
};

static void search_turn(struct search *f, const struct turn *t)
{
	struct lane *best = NULL, *passed = NULL;

	PCORE_LIST_FOREACH_SAFE(link, &t->lanes)
	{
		struct lane *l = container_of(link, struct lane, link);

		if (!sched_admits(l->class, f->node) || sched_kept_out(f->s, l->client, f->node) || sched_reserved_from(f->s, f->node, l))
			continue;
		if (f->wanted == TO_SEND_AHEAD || sched_fits(l->class, f->node))
			best = !best || before(l, best) ? l : best;
		else
			passed = !passed || before(l, passed) ? l : passed;
	}
	if (passed && best && before(best, passed))
		passed = NULL;
	if (!f->passed || (f->s->spec.policy == PCORE_SCHED_FAIR && passed && less_served(passed->client, f->passed->client)))
		f->passed = passed;
	if (best && (!f->best || less_served(best->client, f->best->client)))
		f->best = best;
}

static void reserve(struct pcore_sched *s, struct lane *l);

struct lane *sched_choose(struct pcore_sched *s, const struct node *n, enum wanted wanted)
{
	struct search f = { .s = s, .node = n, .wanted = wanted };

	for (size_t i = 0; i < s->n_levels && !f.best; i++) {
		PCORE_LIST_FOREACH_SAFE(link, &s->levels[i]->turns)
		{
			search_turn(&f, container_of(link, struct turn, link));
			if (f.best && s->spec.policy != PCORE_SCHED_FAIR)
				break;
		}
	}
	if (!f.best || !f.passed || wanted == TO_SEND_AHEAD)
		return f.best;
	if (s->spec.policy == PCORE_SCHED_FAIR && less_served(f.best->client, f.passed->client))
		return f.best;
	if (++f.passed->overtaken > s->spec.overtake_max && !s->reserved)
		reserve(s, f.passed);
	return f.best && sched_reserved_from(s, n, f.best) ? NULL : f.best;
}

/* ---- where ---- */

/* The resource that c takes the greatest share of, of all there is: 0 CPUs, 1 memory, from 2 on its needs. */
static uint32_t dominant(const struct pcore_sched *s, const struct class *c)
{
	unsigned __int128 share = c->cpus, total = s->cpus_total;
	uint32_t which = 0;

	/* a / b > share / total */
	if (c->memory * total > share * s->memory_total)
		which = 1, share = c->memory, total = s->memory_total;
	for (uint32_t i = 0; i < c->n_needs; i++) {
		uint64_t all = s->totals[c->needs[i].res];

		if (c->needs[i].n * total > share * all)
			which = i + 2, share = c->needs[i].n, total = all;
	}
	return which;
}

static int64_t free_of(const struct class *c, const struct node *n, uint32_t which)
{
	if (which < 2)
		return which == 0 ? n->cpus_free : n->memory_free;
	for (uint32_t i = 0; i < n->n_stock; i++)
		if (n->stock[i].res == c->needs[which - 2].res)
			return n->stock[i].free;
	return 0;
}

/* The next non-empty bucket from b on, or BUCKETS. */
static uint32_t next_bucket(const struct pcore_sched *s, uint32_t b)
{
	while (b < BUCKETS) {
		uint64_t left = s->nonempty[b / 64] >> b % 64;

		if (left)
			return b + (uint32_t)__builtin_ctzll(left);
		b = (b / 64 + 1) * 64;
	}
	return BUCKETS;
}

/* The node on which c leaves least of its dominant resource; of equal ones that with the least free CPUs. */
static struct node *best_node(struct pcore_sched *s, const struct lane *l)
{
	const struct class *c = l->class;
	uint32_t from = c->cpus < BUCKETS - 1 ? c->cpus : BUCKETS - 1, which = c->n_admits ? dominant(s, c) : 0;
	struct node *best = NULL;

	if (c->n_admits == 0)
		return NULL;
	for (uint32_t b = next_bucket(s, from); b < BUCKETS; b = next_bucket(s, b + 1)) {
		PCORE_LIST_FOREACH_SAFE(link, &s->buckets[b])
		{
			struct node *n = container_of(link, struct node, bucket);

			if (!sched_admits(c, n) || n->n_ahead > 0 || !sched_fits(c, n) || sched_kept_out(s, l->client, n) ||
				sched_reserved_from(s, n, l))
				continue;
			if (which == 0 && b < BUCKETS - 1)
				return n;
			if (!best || free_of(c, n, which) < free_of(c, best, which))
				best = n;
		}
	}
	return best;
}

/* ---- reservations ---- */

static void reserve(struct pcore_sched *s, struct lane *l)
{
	uint32_t which = dominant(s, l->class);
	struct node *best = NULL;

	for (uint32_t i = 0; i < s->n_slots; i++) {
		struct node *n = s->nodes[i];

		if (!n || !sched_admits(l->class, n))
			continue;
		if (!best || free_of(l->class, n, which) > free_of(l->class, best, which))
			best = n;
	}
	assert(best);
	s->reserver = l;
	s->reserved = best;
	sched_retract_all(s, best);
}

void sched_unreserve(struct pcore_sched *s)
{
	if (!s->reserved)
		return;
	s->reserver->overtaken = 0;
	sched_freed(s, s->reserved);
	s->reserver = NULL;
	s->reserved = NULL;
}

/* ---- assigning ---- */

static void add_start(struct pcore_sched *s, struct job *j, struct node *n)
{
	struct array *a = j->array;
	struct pcore_sched_action *act = sched_act(s, n, PCORE_SCHED_START, job_id(j), j->attempt);
	size_t n_ids = a->lane->class->n_needs ? sched_put_ids(j, n, n->ids + n->n_ids) : 0;

	act->cookie = a->cookie;
	act->index = j->index;
	act->time_limit_ns = a->time_limit_ns;
	act->priority = a->lane->priority;
	act->cpus = a->lane->class->cpus;
	act->ahead = j->state == JOB_AHEAD;
	act->durable = a->at_most_once && s->spec.persist;
	act->ids = (uint32_t)n->n_ids;
	act->n_ids = (uint16_t)n_ids;
	n->n_ids += n_ids;
}

/* The job that is next in l, with room for its action and its record. */
static int take_next(struct pcore_sched *s, struct lane *l, struct node *n, struct job **ret)
{
	size_t n_ids = 0;
	int r;

	for (uint32_t i = 0; i < l->class->n_needs; i++)
		n_ids += l->class->needs[i].n;
	r = sched_reserve(s, 0, 1);
	if (r == 0)
		r = sched_node_reserve(n, 1, n_ids);
	return r < 0 ? r : sched_lane_pop(s, l, ret);
}

bool sched_assign(struct pcore_sched *s, struct lane *l, struct node *n, enum job_state state)
{
	struct turn *t = l->turn;
	struct job *j;
	bool ok;

	l->refs++;
	ok = take_next(s, l, n, &j) == 0;
	if (ok) {
		l->overtaken = 0;
		if (s->reserver == l)
			sched_unreserve(s);
		j->attempt = s->epoch << EPOCH_SHIFT | ((j->attempt & TRIES_MAX) + 1);
		j->ended = 0;
		if (state == JOB_HELD)
			sched_take(s, j, n);
		sched_node_put(s, j, n, state);
		add_start(s, j, n);
		sched_record_job(s, j);
		s->counts.assigned++;
		if (!pcore_list_empty(&t->link)) { /* the next one's turn */
			pcore_list_del(&t->link);
			pcore_list_add_tail(&t->level->turns, &t->link);
		}
	}
	s->short_of_memory |= !ok;
	sched_lane_unref(s, l);
	return ok;
}

/* Start the next job that n has room for. */
static bool start_one(struct pcore_sched *s, struct node *n)
{
	struct lane *l = n->cpus_free > 0 && n->n_ahead == 0 ? sched_choose(s, n, TO_START) : NULL;

	return l && sched_assign(s, l, n, JOB_HELD);
}

static void place(struct pcore_sched *s, struct lane *l)
{
	struct node *n;

	if (s->stopped || (s->holder && s->holder != l->client))
		return; /* all nodes are looked at when that is over */
	l->refs++;
	while (!sched_lane_empty(l)) {
		n = best_node(s, l);
		if (!n || (!start_one(s, n) && !sched_reserved_from(s, n, l)))
			break; /* else it has been reserved just now, and there may be another */
	}
	if (!sched_lane_empty(l)) {
		sched_spread_ahead(s, l);
		sched_displace(s, l);
	}
	sched_lane_unref(s, l);
}

static void fill(struct pcore_sched *s, struct node *n)
{
	sched_promote(s, n);
	while (start_one(s, n))
		;
	sched_fill_ahead(s, n);
	sched_steal(s, n);
	sched_node_quiet(s, n);
}

void sched_touch(struct pcore_sched *s, struct lane *l)
{
	if (pcore_list_empty(&l->touch))
		pcore_list_add_tail(&s->touched, &l->touch);
}

void sched_freed(struct pcore_sched *s, struct node *n)
{
	if (pcore_list_empty(&n->freed))
		pcore_list_add_tail(&s->freed, &n->freed);
}

/* Memory was short: look at everything that could not be done. */
static void catch_up(struct pcore_sched *s)
{
	s->short_of_memory = false;
	sched_tell_room(s);
	PCORE_LIST_FOREACH_SAFE(link, &s->all_clients)
	{
		sched_client_release(s, container_of(link, struct client, link));
	}
	PCORE_LIST_FOREACH_SAFE(link, &s->all_nodes)
	{
		sched_freed(s, container_of(link, struct node, link));
	}
}

void sched_settle(struct pcore_sched *s)
{
	struct pcore_list *link;

	if (s->restoring)
		return;
	if (s->short_of_memory)
		catch_up(s);
	sched_work_failed(s);
	sched_choose_holder(s);
	while (!s->short_of_memory) {
		link = pcore_list_pop(&s->touched);
		if (link) {
			place(s, container_of(link, struct lane, touch));
			continue;
		}
		link = pcore_list_pop(&s->freed);
		if (!link)
			break;
		fill(s, container_of(link, struct node, freed));
	}
}
