/* SPDX-License-Identifier: MIT */
/*
 * sched_out.c - what comes out: the actions of each node, and the news.
 */
#include <string.h>

#include "libcore/cluster/sched_private.h"

/* Room for n more in an array that has len of cap. */
static int more(void **data, size_t len, size_t *cap, size_t n, size_t size)
{
	size_t want = *cap ? *cap : 16;
	void *larger;

	if (*cap - len >= n)
		return 0;
	while (want - len < n)
		want *= 2;
	larger = reallocarray(*data, want, size);
	if (!larger)
		return -ENOMEM;
	*data = larger;
	*cap = want;
	return 0;
}

int sched_reserve(struct pcore_sched *s, size_t n_news, size_t n_records)
{
	void *news = s->news;
	int r;

	if (s->restoring)
		return 0;
	r = more(&news, s->n_news, &s->news_cap, n_news, sizeof(*s->news));
	s->news = news;
	if (r < 0 || !s->spec.persist)
		return r;
	return pcore_buf_reserve(&s->records, n_records * RECORD_MAX);
}

int sched_node_reserve(struct node *n, size_t n_actions, size_t n_ids)
{
	void *actions = n->actions, *ids = n->ids;
	int r = more(&actions, n->n_actions, &n->actions_cap, n_actions, sizeof(*n->actions));

	n->actions = actions;
	if (r < 0 || n_ids == 0)
		return r;
	r = more(&ids, n->n_ids, &n->ids_cap, n_ids, sizeof(*n->ids));
	n->ids = ids;
	return r;
}

struct pcore_sched_action *sched_act(
	struct pcore_sched *s, struct node *n, enum pcore_sched_verb verb, uint64_t job, uint32_t attempt)
{
	struct pcore_sched_action *act;

	assert(!n->gone);
	assert(n->n_actions < n->actions_cap);
	act = &n->actions[n->n_actions++];
	*act = (struct pcore_sched_action){ .job = job, .attempt = attempt, .verb = (uint8_t)verb };
	if (pcore_list_empty(&n->with_actions))
		pcore_list_add_tail(&s->with_actions, &n->with_actions);
	return act;
}

void sched_drop_actions(struct node *n)
{
	n->n_actions = 0;
	n->n_ids = 0;
	pcore_list_del(&n->with_actions);
}

bool pcore_sched_next_batch(struct pcore_sched *s, struct pcore_sched_batch *ret)
{
	struct pcore_list *link = pcore_list_pop(&s->with_actions);
	struct node *n;

	if (!link)
		return false;
	n = container_of(link, struct node, with_actions);
	*ret = (struct pcore_sched_batch){
		.node = n->handle, .ctx = n->ctx, .actions = n->actions, .n = n->n_actions, .ids = n->ids
	};
	n->n_actions = 0;
	n->n_ids = 0;
	return true;
}

/* Room for it was reserved. Nothing is told while records are read, nor to a private client that has gone. */
struct pcore_sched_news *sched_tell(struct pcore_sched *s, enum pcore_sched_kind kind, struct client *c)
{
	struct pcore_sched_news *news;

	if (s->restoring || (c && c->private && !c->present))
		return NULL;
	assert(s->n_news < s->news_cap);
	news = &s->news[s->n_news++];
	*news = (struct pcore_sched_news){ .kind = kind, .client = c ? c->id : 0 };
	return news;
}

bool pcore_sched_next_news(struct pcore_sched *s, struct pcore_sched_news *ret)
{
	if (s->news_taken == s->n_news) {
		s->news_taken = s->n_news = 0;
		return false;
	}
	*ret = s->news[s->news_taken++];
	return true;
}

struct pcore_buf *pcore_sched_records(struct pcore_sched *s)
{
	return &s->records;
}
