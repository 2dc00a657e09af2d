/* SPDX-License-Identifier: MIT */
/*
 * node_stock.c - the memory and the resources of a node, of which several schedulers may give away the same.
 *
 * Each scheduler counts its own jobs only, so that what two of them have sent may need more than there is. Here it is counted
 * once for all, and a job waits until there is enough. A named resource that another one's job has is replaced by one that is free:
 * which one it is the scheduler need not know.
 */
#include <string.h>

#include "libcore/cluster/node_private.h"

/* What a job needs of one resource, and where in its ids the numbers of these are. */
struct need {
	struct node_stock *stock;
	const struct pcore_node_resource *res;
	uint64_t count;
	size_t first;
};

struct needs {
	struct pcore_node *node;
	struct pcore_wire_list list;
	size_t n_ids, at;
};

static struct needs needs_of(struct pcore_node *n, const struct node_template *t, const struct pcore_wire_bytes *ids)
{
	return (struct needs){ .node = n, .list = t->t.spec.resources, .n_ids = pcore_wire_u16s(ids) };
}

/* Those that we have. One with fewer ids than it needs ends it: such a job fails when it is to begin. */
static bool next_need(struct needs *all, struct need *ret)
{
	struct pcore_wire_resource need;

	while (pcore_wire_next_resource(&all->list, &need)) {
		const struct pcore_node_spec *spec = &all->node->spec;
		size_t i = 0;

		while (i < spec->n_resources && strcmp(spec->resources[i].name, need.name) != 0)
			i++;
		if (i == spec->n_resources)
			continue;
		*ret = (struct need){ .stock = &all->node->stock[i], .res = &spec->resources[i], .count = need.count, .first = all->at };
		if (!ret->res->ids)
			return true;
		if (need.count > all->n_ids - all->at)
			return false;
		all->at += need.count;
		return true;
	}
	return false;
}

int node_stock_new(struct pcore_node *n)
{
	n->stock = calloc(n->spec.n_resources + 1, sizeof(*n->stock));
	if (!n->stock)
		return -ENOMEM;
	for (size_t i = 0; i < n->spec.n_resources; i++) {
		const struct pcore_node_resource *r = &n->spec.resources[i];

		n->stock[i].taken = r->ids ? calloc(r->n + 1, sizeof(bool)) : NULL;
		if (r->ids && !n->stock[i].taken)
			return -ENOMEM;
	}
	return 0;
}

void node_stock_free(struct pcore_node *n)
{
	for (size_t i = 0; n->stock && i < n->spec.n_resources; i++)
		free(n->stock[i].taken);
	free(n->stock);
}

/* Like CPUs: what is more than there is can be had when nobody has any. */
static bool is_left(uint64_t used, uint64_t more, uint64_t all)
{
	return more == 0 || used == 0 || (used <= all && more <= all - used);
}

bool node_stock_has(struct pcore_node *n, const struct node_template *t, const struct pcore_wire_bytes *ids, bool these)
{
	struct needs all = needs_of(n, t, ids);
	struct need need;

	if (!is_left(n->memory_used, t->t.spec.memory, n->spec.memory))
		return false;
	while (next_need(&all, &need)) {
		if (!is_left(need.stock->used, need.count, need.res->n))
			return false;
		for (uint64_t i = 0; these && need.res->ids && i < need.count; i++) {
			uint16_t id = pcore_wire_u16(ids, need.first + i);

			if (id < need.res->n && need.stock->taken[id])
				return false;
		}
	}
	return true;
}

void node_stock_claim(struct pcore_node *n, const struct node_template *t, const struct pcore_wire_bytes *ids, bool claim)
{
	struct needs all = needs_of(n, t, ids);
	struct need need;

	assert(claim || n->memory_used >= t->t.spec.memory);

	n->memory_used += claim ? t->t.spec.memory : -t->t.spec.memory;
	while (next_need(&all, &need)) {
		assert(claim || need.stock->used >= need.count);
		need.stock->used += claim ? need.count : -need.count;
	}
}

/* The one that is asked for if it is free, else the first that is. */
static uint32_t choose(const struct need *need, uint32_t id)
{
	if (id >= need->res->n || !need->stock->taken[id])
		return id;
	for (uint32_t other = 0; other < need->res->n; other++)
		if (!need->stock->taken[other])
			return other;
	return id;
}

void node_stock_take(struct pcore_node *n, const struct node_template *t, struct pcore_wire_bytes ids, char *chosen)
{
	struct needs all = needs_of(n, t, &ids);
	struct need need;

	node_stock_claim(n, t, &ids, true);
	while (next_need(&all, &need)) {
		for (uint64_t i = 0; need.res->ids && i < need.count; i++) {
			uint32_t id = choose(&need, pcore_wire_u16(&ids, need.first + i));

			if (id >= need.res->n)
				continue;
			need.stock->taken[id] = true;
			pcore_put16(chosen + (need.first + i) * sizeof(uint16_t), (uint16_t)id);
		}
	}
}

void node_stock_give(struct pcore_node *n, const struct node_template *t, const struct pcore_wire_bytes *ids)
{
	struct needs all = needs_of(n, t, ids);
	struct need need;

	node_stock_claim(n, t, ids, false);
	while (next_need(&all, &need)) {
		for (uint64_t i = 0; need.res->ids && i < need.count; i++) {
			uint16_t id = pcore_wire_u16(ids, need.first + i);

			if (id < need.res->n)
				need.stock->taken[id] = false;
		}
	}
}
