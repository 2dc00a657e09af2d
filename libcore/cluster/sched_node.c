/* SPDX-License-Identifier: MIT */
/*
 * sched_node.c - nodes: they join, go, come back with what they have, drain, die.
 */
#include <string.h>

#include "libcore/cluster/sched_private.h"

/* ---- finding them ---- */

struct node *sched_node_find(const struct pcore_sched *s, uint64_t handle)
{
	uint32_t slot = (uint32_t)handle;

	if (handle == 0 || slot >= s->n_slots || !s->nodes[slot] || s->nodes[slot]->handle != handle)
		return NULL;
	return s->nodes[slot];
}

struct node *sched_node_of_serial(const struct pcore_sched *s, uint32_t serial)
{
	for (uint32_t i = 0; i < s->n_slots; i++)
		if (s->nodes[i] && s->nodes[i]->serial == serial)
			return s->nodes[i];
	return NULL;
}

struct node *sched_node_named(const struct pcore_sched *s, const char *name)
{
	struct pcore_map_node *node = pcore_map_find(&s->nodes_by_name, name, strlen(name));

	return node ? container_of(node, struct node, by_name) : NULL;
}

/* ---- the jobs of a node ---- */

static uint64_t *count_of(struct pcore_sched *s, enum job_state state)
{
	return state == JOB_AHEAD ? &s->counts.ahead : state == JOB_HELD ? &s->counts.held : &s->counts.running;
}

/* Resources were taken by the caller, unless it is AHEAD. */
void sched_node_put(struct pcore_sched *s, struct job *j, struct node *n, enum job_state state)
{
	struct array *a = j->array;

	assert(j->state == JOB_NEW);
	j->state = state;
	j->node = n;
	j->last = n->serial;
	n->told_drained = false;
	++*count_of(s, state);
	n->n_foreign += s->holder && a->client != s->holder;
	a->client->cpus += a->lane->class->cpus;
	if (state != JOB_AHEAD) {
		pcore_list_add_tail(&n->jobs, &j->link);
		n->n_jobs++;
		return;
	}
	pcore_list_add_tail(&n->ahead, &j->link);
	n->ahead_class = a->lane->class;
	if (n->n_ahead++ == 0)
		pcore_list_add_tail(&s->with_ahead, &n->with_ahead);
}

/* Off its node, with what it had there. */
void sched_node_pull(struct pcore_sched *s, struct job *j)
{
	struct node *n = j->node;

	assert(job_on_node(j));
	pcore_list_del(&j->link);
	--*count_of(s, j->state);
	n->n_foreign -= s->holder && j->array->client != s->holder;
	j->array->client->cpus -= j->array->lane->class->cpus;
	if (j->retracting) {
		j->retracting = 0;
		n->n_retracting--;
		s->n_retracting--;
	}
	if (j->state != JOB_AHEAD) {
		n->n_jobs--;
		sched_give(s, j, n);
	} else if (--n->n_ahead == 0) {
		n->ahead_class = NULL;
		pcore_list_del(&n->with_ahead);
	}
	j->state = JOB_NEW;
	j->node = NULL;
}

void sched_node_quiet(struct pcore_sched *s, struct node *n)
{
	struct pcore_sched_news *news;

	if (!n->draining || n->gone || n->told_drained || n->n_jobs + n->n_ahead > 0 || sched_reserve(s, 1, 0) < 0)
		return;
	n->told_drained = true;
	news = sched_tell(s, PCORE_SCHED_DRAINED, NULL);
	if (news)
		news->node = n->handle;
}

/* ---- making and freeing ---- */

void sched_node_strip(struct node *n)
{
	for (uint32_t i = 0; i < n->n_stock; i++)
		free(n->stock[i].owners);
	free(n->stock);
	free(n->labels);
	free(n->text);
}

void sched_node_free(struct pcore_sched *s, struct node *n)
{
	if (!n)
		return;
	sched_unbucket(s, n);
	sched_node_strip(n);
	free(n->actions);
	free(n->ids);
	free(n->name);
	free(n);
}

static int free_slot(struct pcore_sched *s, uint32_t *ret)
{
	uint32_t slot = s->n_slots, cap = s->slots_cap ? s->slots_cap * 2 : 64;
	struct node **nodes;

	if (s->n_nodes < s->n_slots)
		for (slot = 0; s->nodes[slot]; slot++)
			;
	if (slot == s->slots_cap) {
		if (slot >= PCORE_SCHED_NODES_MAX)
			return -ENOSPC;
		if (sched_classes_widen(s, cap) < 0)
			return -ENOMEM;
		nodes = reallocarray(s->nodes, cap, sizeof(struct node *));
		if (!nodes)
			return -ENOMEM;
		memset(nodes + s->slots_cap, 0, (cap - s->slots_cap) * sizeof(struct node *));
		s->nodes = nodes;
		s->slots_cap = cap;
	}
	*ret = slot;
	return 0;
}

static void node_init(struct node *n)
{
	pcore_list_init(&n->jobs);
	pcore_list_init(&n->ahead);
	pcore_list_init(&n->link);
	pcore_list_init(&n->bucket);
	pcore_list_init(&n->freed);
	pcore_list_init(&n->with_ahead);
	pcore_list_init(&n->with_actions);
}

/* A node with nothing, GONE. */
int sched_node_make(struct pcore_sched *s, const char *name, uint64_t instance, uint32_t serial, struct node **ret)
{
	struct node *n = calloc(1, sizeof(*n));
	int r = n ? free_slot(s, &n->slot) : -ENOMEM;

	if (r < 0) {
		free(n);
		return r;
	}
	node_init(n);
	n->gone = true;
	n->instance = instance;
	n->serial = serial;
	n->name = strdup(name);
	r = n->name ? pcore_map_insert(&s->nodes_by_name, &n->by_name, n->name, strlen(n->name)) : -ENOMEM;
	if (r < 0) {
		sched_node_free(s, n);
		return r;
	}
	sched_bucket(s, n);
	pcore_list_add_tail(&s->all_nodes, &n->link);
	s->nodes[n->slot] = n;
	s->n_slots = s->n_slots > n->slot ? s->n_slots : n->slot + 1;
	s->n_nodes++;
	*ret = n;
	return 0;
}

/* ---- what it has ---- */

int sched_node_check(const struct pcore_sched_node *spec)
{
	if (!spec->name || !*spec->name || strlen(spec->name) > PCORE_SCHED_NAME_MAX || spec->cpus > PCORE_SCHED_CPUS_MAX ||
		spec->memory > INT64_MAX || spec->n_resources > PCORE_SCHED_PARTS_MAX ||
		spec->n_labels > PCORE_SCHED_PARTS_MAX || spec->rtt_ns < 0)
		return -EINVAL;
	for (size_t i = 0; i < spec->n_resources; i++) {
		const struct pcore_sched_resource *res = &spec->resources[i];

		if (!res->name || strlen(res->name) > PCORE_SCHED_NAME_MAX || (res->ids && res->n > PCORE_SCHED_IDS_MAX))
			return -EINVAL;
		for (size_t k = 0; k < i; k++)
			if (strcmp(res->name, spec->resources[k].name) == 0)
				return -EINVAL;
	}
	for (size_t i = 0; i < spec->n_labels; i++) {
		const struct pcore_sched_label *label = &spec->labels[i];

		if (!label->key || !label->value || strlen(label->key) > PCORE_SCHED_NAME_MAX ||
			strlen(label->value) > PCORE_SCHED_NAME_MAX)
			return -EINVAL;
	}
	return 0;
}

static int copy_labels(struct node *n, const struct pcore_sched_node *spec)
{
	size_t len = 0;
	char *p;

	for (size_t i = 0; i < spec->n_labels; i++)
		len += strlen(spec->labels[i].key) + strlen(spec->labels[i].value) + 2;
	n->labels = calloc(spec->n_labels + 1, sizeof(*n->labels));
	n->text = malloc(len + 1);
	if (!n->labels || !n->text)
		return -ENOMEM;
	p = n->text;
	for (size_t i = 0; i < spec->n_labels; i++) {
		n->labels[i].key = p;
		p = stpcpy(p, spec->labels[i].key) + 1;
		n->labels[i].value = p;
		p = stpcpy(p, spec->labels[i].value) + 1;
	}
	n->n_labels = (uint32_t)spec->n_labels;
	return 0;
}

static int copy_stock(struct pcore_sched *s, struct node *n, const struct pcore_sched_node *spec)
{
	n->stock = calloc(spec->n_resources + 1, sizeof(*n->stock));
	if (!n->stock)
		return -ENOMEM;
	for (size_t i = 0; i < spec->n_resources; i++) {
		const struct pcore_sched_resource *res = &spec->resources[i];
		struct stock *k = &n->stock[n->n_stock];
		int r = sched_resource_number(s, res->name, &k->res);

		if (r < 0)
			return r;
		k->n = res->n;
		k->free = res->n;
		k->owners = res->ids ? calloc(res->n + 1, sizeof(struct job *)) : NULL;
		if (res->ids && !k->owners)
			return -ENOMEM;
		n->n_stock++;
	}
	return 0;
}

/* What spec says a node has, into an empty one. */
int sched_node_equip(struct pcore_sched *s, struct node *fresh, const struct pcore_sched_node *spec)
{
	int r = copy_labels(fresh, spec);

	fresh->cpus = spec->cpus;
	fresh->memory = (int64_t)spec->memory;
	fresh->ahead_max = spec->ahead_max;
	fresh->rtt_ns = spec->rtt_ns;
	fresh->eager = spec->eager;
	fresh->draining = spec->draining;
	fresh->ctx = spec->ctx;
	return r < 0 ? r : copy_stock(s, fresh, spec);
}

/* A node that holds no job gets what the other one has. */
void sched_node_swap(struct node *n, struct node *fresh)
{
	struct node old = *n;

	n->stock = fresh->stock;
	n->n_stock = fresh->n_stock;
	n->labels = fresh->labels;
	n->n_labels = fresh->n_labels;
	n->text = fresh->text;
	n->cpus = n->cpus_free = fresh->cpus;
	n->memory = n->memory_free = fresh->memory;
	n->ahead_max = fresh->ahead_max;
	n->rtt_ns = fresh->rtt_ns;
	n->eager = fresh->eager;
	n->draining = fresh->draining;
	n->told_drained = false;
	n->ctx = fresh->ctx;
	fresh->stock = old.stock;
	fresh->n_stock = old.n_stock;
	fresh->labels = old.labels;
	fresh->text = old.text;
}

/* All nodes' resources together, for dominant shares: with this one, or without it. */
void sched_node_total(struct pcore_sched *s, const struct node *n, bool in)
{
	uint64_t sign = in ? 1 : UINT64_MAX;

	s->cpus_total += sign * (uint64_t)n->cpus;
	s->memory_total += sign * (uint64_t)n->memory;
	for (uint32_t i = 0; i < n->n_stock; i++)
		s->totals[n->stock[i].res] += sign * n->stock[i].n;
}
