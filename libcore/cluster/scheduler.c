/* SPDX-License-Identifier: MIT */
/*
 * scheduler.c - the scheduler as a whole: clients, time, counts.
 */
#include <string.h>

#include "libcore/cluster/sched_private.h"

enum { ENTRIES_MAX = 1 << 20, OVERTAKE_MAX = 16, CRASH_MAX = 3 };

#define LOST_AFTER_NS (30 * NS_PER_S)
#define SHORTAGE_NS (10 * NS_PER_MS) /* after which assigning is tried again when memory was short */

int pcore_sched_new(struct pcore_sched **ret, const struct pcore_sched_spec *spec)
{
	struct pcore_sched *s;

	if (spec->lost_after_ns < 0 || spec->crash_max > UINT8_MAX)
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->spec = *spec;
	if (!s->spec.entries_max)
		s->spec.entries_max = ENTRIES_MAX;
	if (!s->spec.client_entries_max)
		s->spec.client_entries_max = s->spec.entries_max;
	if (!s->spec.lost_after_ns)
		s->spec.lost_after_ns = LOST_AFTER_NS;
	if (!s->spec.overtake_max)
		s->spec.overtake_max = OVERTAKE_MAX;
	if (!s->spec.crash_max)
		s->spec.crash_max = CRASH_MAX;
	s->next_client = s->next_job = 1;
	s->next_serial = 1;
	pcore_list_init(&s->all_clients);
	pcore_list_init(&s->all_nodes);
	pcore_list_init(&s->classes);
	pcore_list_init(&s->touched);
	pcore_list_init(&s->freed);
	pcore_list_init(&s->with_ahead);
	pcore_list_init(&s->with_actions);
	pcore_list_init(&s->failed);
	pcore_list_init(&s->wait_for_room);
	pcore_list_init(&s->line);
	for (size_t i = 0; i < BUCKETS; i++)
		pcore_list_init(&s->buckets[i]);
	*ret = s;
	return 0;
}

static struct pcore_map_node *any_node(const struct pcore_map *m)
{
	size_t i = 0;

	if (m->len == 0)
		return NULL;
	while (!m->buckets[i])
		i++;
	return m->buckets[i];
}

static void free_jobs(struct pcore_sched *s)
{
	for (size_t i = 0; i < s->table_size; i++) {
		for (struct job *j = s->table[i]; j; j = j->hash_next) {
			if (j->state == JOB_QUEUED)
				pcore_list_del(&j->link), sched_lane_unref(s, j->lane);
		}
	}
	free(s->table);
	while (s->chunks) {
		struct job_chunk *next = s->chunks->next;

		free(s->chunks);
		s->chunks = next;
	}
}

void pcore_sched_free(struct pcore_sched *s)
{
	if (!s)
		return;
	sched_unreserve(s);
	free_jobs(s);
	for (size_t i = 0; i < s->n_array_slots; i++)
		if (s->arrays[i].array)
			sched_array_free(s, s->arrays[i].array);
	free(s->arrays);
	for (uint32_t i = 0; i < s->n_slots; i++)
		sched_node_free(s, s->nodes[i]);
	free(s->nodes);
	for (struct pcore_map_node *m; (m = any_node(&s->clients));) {
		pcore_map_remove(&s->clients, m);
		free(container_of(m, struct client, by_id));
	}
	for (struct pcore_map_node *m; (m = any_node(&s->resources));) {
		pcore_map_remove(&s->resources, m);
		free(container_of(m, struct resource_name, by_name));
	}
	pcore_map_done(&s->clients);
	pcore_map_done(&s->resources);
	pcore_map_done(&s->nodes_by_name);
	pcore_map_done(&s->classes_by_key);
	pcore_heap_done(&s->retries);
	pcore_heap_done(&s->node_graces);
	pcore_heap_done(&s->client_graces);
	pcore_buf_done(&s->records);
	pcore_buf_done(&s->key);
	free(s->totals);
	free(s->levels);
	free(s->news);
	free(s);
}

/* ---- clients ---- */

struct client *sched_client_find(const struct pcore_sched *s, uint64_t id)
{
	struct pcore_map_node *node = pcore_map_find(&s->clients, &id, sizeof(id));

	return node ? container_of(node, struct client, by_id) : NULL;
}

int sched_client_make(struct pcore_sched *s, uint64_t id, unsigned flags, uint32_t weight, struct client **ret)
{
	struct client *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->id = id;
	c->private = flags & PCORE_SCHED_PRIVATE;
	c->exclusive = flags & PCORE_SCHED_EXCLUSIVE;
	c->weight = weight ? weight : 1;
	pcore_list_init(&c->link);
	pcore_list_init(&c->arrays);
	pcore_list_init(&c->lanes);
	pcore_list_init(&c->turns);
	pcore_list_init(&c->waits_for_room);
	pcore_list_init(&c->in_line);
	r = pcore_map_insert(&s->clients, &c->by_id, &c->id, sizeof(c->id));
	if (r < 0) {
		free(c);
		return r;
	}
	pcore_list_add_tail(&s->all_clients, &c->link);
	s->next_client = s->next_client > id ? s->next_client : id + 1;
	*ret = c;
	return 0;
}

void sched_client_forget(struct pcore_sched *s, struct client *c)
{
	assert(c->n_arrays == 0);
	assert(c->cpus == 0);
	assert(c->n_ready == 0);
	if (s->holder == c)
		sched_set_holder(s, NULL);
	pcore_list_del(&c->in_line);
	pcore_list_del(&c->link);
	pcore_list_del(&c->waits_for_room);
	pcore_heap_remove(&s->client_graces, &c->grace);
	pcore_map_remove(&s->clients, &c->by_id);
	free(c);
}

void sched_client_release(struct pcore_sched *s, struct client *c)
{
	if (c->present || c->n_arrays > 0 || c->leaving || s->restoring)
		return;
	if (sched_reserve(s, 0, 1) < 0) {
		s->short_of_memory = true;
		return;
	}
	sched_record_client_gone(s, c);
	sched_client_forget(s, c);
}

int pcore_sched_client_join(struct pcore_sched *s, int64_t now_ns, unsigned flags, uint32_t weight, uint64_t *id)
{
	struct client *c;
	int r;

	s->now_ns = now_ns;
	if (*id) {
		c = sched_client_find(s, *id);
		if (!c || (c->private && !c->present))
			return -ENOENT;
		pcore_heap_remove(&s->client_graces, &c->grace);
		c->present = true;
		return 0;
	}
	r = sched_client_make(s, s->next_client, flags, weight, &c);
	if (r < 0)
		return r;
	if (!sched_record_skips(s, c))
		r = sched_record_client(&s->records, c);
	if (r < 0) {
		s->next_client = c->id;
		sched_client_forget(s, c);
		return r;
	}
	c->present = true;
	*id = c->id;
	return 0;
}

static int client_gone(struct pcore_sched *s, struct client *c)
{
	int64_t r = sched_reserve(s, 0, 1);

	if (r < 0)
		return (int)r;
	c->present = false;
	c->leaving = true;
	pcore_list_del(&c->waits_for_room);
	if (c->private) {
		PCORE_LIST_FOREACH_SAFE(link, &c->arrays)
		{
			struct array *a = container_of(link, struct array, by_client);

			r = sched_cancel_range(s, a, 0, a->n, PCORE_SCHED_KILL);
			if (r < 0)
				break;
		}
	}
	c->leaving = false;
	if (r < 0) {
		c->present = true;
		return (int)r;
	}
	pcore_heap_remove(&s->client_graces, &c->grace);
	sched_client_release(s, c);
	return 0;
}

int pcore_sched_client_gone(struct pcore_sched *s, int64_t now_ns, uint64_t id)
{
	struct client *c = sched_client_find(s, id);
	int r;

	if (!c)
		return -ENOENT;
	s->now_ns = now_ns;
	r = client_gone(s, c);
	sched_settle(s);
	return r;
}

/* ---- time ---- */

int64_t pcore_sched_next_ns(const struct pcore_sched *s)
{
	const struct pcore_heap *heaps[] = { &s->retries, &s->node_graces, &s->client_graces };
	int64_t next = s->short_of_memory ? s->now_ns + SHORTAGE_NS : INT64_MAX;

	for (size_t i = 0; i < ARRAY_SIZE(heaps); i++) {
		const struct pcore_heap_node *top = pcore_heap_top(heaps[i]);

		if (top && top->key < next)
			next = top->key;
	}
	return next;
}

static struct pcore_heap_node *due(const struct pcore_sched *s, const struct pcore_heap *h)
{
	struct pcore_heap_node *top = pcore_heap_top(h);

	return top && top->key <= s->now_ns ? top : NULL;
}

int pcore_sched_tick(struct pcore_sched *s, int64_t now_ns)
{
	struct pcore_heap_node *top;
	int r = 0;

	s->now_ns = now_ns;
	while (r == 0 && (top = due(s, &s->client_graces)))
		r = client_gone(s, container_of(top, struct client, grace));
	while (r == 0 && (top = due(s, &s->node_graces)))
		r = sched_node_lost(s, container_of(top, struct node, grace), false);
	while (r == 0 && (top = due(s, &s->retries))) {
		r = sched_reserve(s, 1, 1);
		if (r == 0)
			sched_job_retry(s, container_of(top, struct job, retry));
	}
	sched_settle(s);
	return r;
}

struct pcore_sched_counts pcore_sched_counts(const struct pcore_sched *s)
{
	struct pcore_sched_counts counts = s->counts;

	counts.nodes = s->n_nodes;
	counts.clients = (uint32_t)s->clients.len;
	return counts;
}
