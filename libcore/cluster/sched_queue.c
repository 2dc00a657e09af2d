/* SPDX-License-Identifier: MIT */
/*
 * sched_queue.c - the order in which jobs wait: levels of turns of lanes.
 *
 * A lane is in its turn's list, and a turn in its level's, exactly while something waits in it.
 */
#include <string.h>

#include "libcore/cluster/sched_private.h"

static int level_get(struct pcore_sched *s, int64_t key, struct level **ret)
{
	size_t at = 0;
	struct level *l;

	while (at < s->n_levels && s->levels[at]->key < key)
		at++;
	if (at == s->n_levels || s->levels[at]->key != key) {
		if (s->n_levels == s->levels_cap) {
			size_t cap = s->levels_cap ? s->levels_cap * 2 : 8;
			struct level **levels = reallocarray(s->levels, cap, sizeof(struct level *));

			if (!levels)
				return -ENOMEM;
			s->levels = levels;
			s->levels_cap = cap;
		}
		l = calloc(1, sizeof(*l));
		if (!l)
			return -ENOMEM;
		l->key = key;
		pcore_list_init(&l->turns);
		memmove(&s->levels[at + 1], &s->levels[at], (s->n_levels - at) * sizeof(struct level *));
		s->levels[at] = l;
		s->n_levels++;
	}
	*ret = s->levels[at];
	(*ret)->refs++;
	return 0;
}

static void level_unref(struct pcore_sched *s, struct level *l)
{
	size_t at = 0;

	if (--l->refs > 0)
		return;
	while (s->levels[at] != l)
		at++;
	s->n_levels--;
	memmove(&s->levels[at], &s->levels[at + 1], (s->n_levels - at) * sizeof(struct level *));
	free(l);
}

static struct turn *turn_find(const struct pcore_sched *s, const struct level *l, struct client *c)
{
	if (s->spec.policy == PCORE_SCHED_FIFO)
		return l->all;
	PCORE_LIST_FOREACH_SAFE(link, &c->turns)
	{
		struct turn *t = container_of(link, struct turn, by_client);

		if (t->level == l)
			return t;
	}
	return NULL;
}

static int turn_get(struct pcore_sched *s, struct client *c, int32_t priority, struct turn **ret)
{
	struct level *l;
	struct turn *t;
	int r = level_get(s, s->spec.policy == PCORE_SCHED_FAIR ? 0 : priority, &l);

	if (r < 0)
		return r;
	t = turn_find(s, l, c);
	if (!t) {
		t = calloc(1, sizeof(*t));
		if (!t) {
			level_unref(s, l);
			return -ENOMEM;
		}
		*t = (struct turn){ .level = l };
		pcore_list_init(&t->lanes);
		pcore_list_init(&t->link);
		pcore_list_init(&t->by_client);
		if (s->spec.policy == PCORE_SCHED_FIFO) {
			l->all = t;
		} else {
			t->client = c;
			pcore_list_add_tail(&c->turns, &t->by_client);
		}
	} else {
		level_unref(s, l); /* a turn has one reference */
	}
	t->refs++;
	*ret = t;
	return 0;
}

static void turn_unref(struct pcore_sched *s, struct turn *t)
{
	if (--t->refs > 0)
		return;
	assert(pcore_list_empty(&t->lanes));
	pcore_list_del(&t->link);
	pcore_list_del(&t->by_client);
	if (t->level->all == t)
		t->level->all = NULL;
	level_unref(s, t->level);
	free(t);
}

int sched_lane_get(struct pcore_sched *s, struct client *c, int32_t priority, struct class *class, struct lane **ret)
{
	struct lane *l;
	struct turn *t;
	int r;

	PCORE_LIST_FOREACH_SAFE(link, &c->lanes)
	{
		l = container_of(link, struct lane, by_client);
		if (l->class != class || l->priority != priority)
			continue;
		l->refs++;
		*ret = l;
		return 0;
	}
	r = turn_get(s, c, priority, &t);
	if (r < 0)
		return r;
	l = calloc(1, sizeof(*l));
	if (!l) {
		turn_unref(s, t);
		return -ENOMEM;
	}
	*l = (struct lane){ .turn = t, .class = class, .client = c, .priority = priority, .refs = 1 };
	class->refs++;
	pcore_list_init(&l->jobs);
	pcore_list_init(&l->arrays);
	pcore_list_init(&l->link);
	pcore_list_init(&l->by_class);
	pcore_list_init(&l->by_client);
	pcore_list_init(&l->touch);
	pcore_list_add_tail(&class->lanes, &l->by_class);
	pcore_list_add_head(&c->lanes, &l->by_client);
	*ret = l;
	return 0;
}

void sched_lane_unref(struct pcore_sched *s, struct lane *l)
{
	struct class *class = l->class;

	assert(l->refs > 0);
	if (--l->refs > 0)
		return;
	assert(sched_lane_empty(l));
	if (s->reserver == l)
		sched_unreserve(s);
	pcore_list_del(&l->link);
	pcore_list_del(&l->by_class);
	pcore_list_del(&l->by_client);
	pcore_list_del(&l->touch);
	turn_unref(s, l->turn);
	free(l);
	sched_class_unref(s, class);
}

bool sched_lane_empty(const struct lane *l)
{
	return pcore_list_empty(&l->jobs) && pcore_list_empty(&l->arrays);
}

/* Put the lane into the order, or take it out of it. */
void sched_lane_refresh(struct pcore_sched *s, struct lane *l)
{
	struct turn *t = l->turn;

	if (sched_lane_empty(l)) {
		if (s->reserver == l)
			sched_unreserve(s);
		pcore_list_del(&l->link);
		if (pcore_list_empty(&t->lanes))
			pcore_list_del(&t->link);
	} else if (pcore_list_empty(&l->link)) {
		if (pcore_list_empty(&t->lanes))
			pcore_list_add_tail(&t->level->turns, &t->link);
		pcore_list_add_tail(&t->lanes, &l->link);
		sched_touch(s, l);
	}
}

void sched_lane_add(struct pcore_sched *s, struct array *a)
{
	if (sched_array_left(a) == 0)
		return;
	pcore_list_add_tail(&a->lane->arrays, &a->link);
	sched_lane_refresh(s, a->lane);
}

void sched_lane_remove(struct pcore_sched *s, struct array *a)
{
	pcore_list_del(&a->link);
	sched_lane_refresh(s, a->lane);
}

void sched_queue(struct pcore_sched *s, struct job *j, struct lane *l)
{
	struct pcore_list *first = l->jobs.next;

	assert(j->state == JOB_NEW);
	j->state = JOB_QUEUED;
	j->lane = l;
	l->refs++;
	s->counts.queued++;
	/* what is taken back from a node comes last one first */
	if (first != &l->jobs && job_id(j) < job_id(container_of(first, struct job, link)))
		pcore_list_add_head(&l->jobs, &j->link);
	else
		pcore_list_add_tail(&l->jobs, &j->link);
	sched_lane_refresh(s, l);
}

void sched_unqueue(struct pcore_sched *s, struct job *j)
{
	struct lane *l = j->lane;

	assert(j->state == JOB_QUEUED);
	pcore_list_del(&j->link);
	j->state = JOB_NEW;
	j->lane = NULL;
	s->counts.queued--;
	sched_lane_refresh(s, l);
	sched_lane_unref(s, l);
}

int sched_lane_pop(struct pcore_sched *s, struct lane *l, struct job **ret)
{
	struct array *a;

	if (!pcore_list_empty(&l->jobs)) {
		*ret = container_of(l->jobs.next, struct job, link);
		sched_unqueue(s, *ret);
		return 0;
	}
	a = container_of(l->arrays.next, struct array, link);
	assert(sched_array_left(a) > 0);
	return sched_job_split(s, a, a->next, ret);
}

const struct array *sched_lane_head(const struct lane *l)
{
	if (!pcore_list_empty(&l->jobs))
		return container_of(l->jobs.next, struct job, link)->array;
	return container_of(l->arrays.next, struct array, link);
}

uint64_t sched_lane_first(const struct lane *l)
{
	const struct array *a;

	if (!pcore_list_empty(&l->jobs))
		return job_id(container_of(l->jobs.next, struct job, link));
	a = container_of(l->arrays.next, struct array, link);
	return a->first + a->next;
}
