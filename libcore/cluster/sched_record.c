/* SPDX-License-Identifier: MIT */
/*
 * sched_record.c - records are written: one for each change, or all that make the present state.
 */
#include <string.h>

#include "libcore/cluster/sched_private.h"

void sched_put(unsigned char **p, uint64_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		*(*p)++ = (unsigned char)(v >> (8 * i));
}

uint64_t sched_pick(const unsigned char **p, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)*(*p)++ << (8 * i);
	return v;
}

static unsigned char *begin(unsigned char *p, enum record_kind kind, size_t len)
{
	sched_put(&p, kind, 1);
	sched_put(&p, len, 4);
	return p;
}

/* Room for it was reserved. */
static void add(struct pcore_sched *s, const unsigned char *data, const unsigned char *end)
{
	int r;

	assert(end - data <= RECORD_MAX);
	r = pcore_buf_add(&s->records, data, (size_t)(end - data));
	assert(r == 0);
}

/* Nothing of it is recorded: its client is gone after a restart. */
bool sched_record_skips(const struct pcore_sched *s, const struct client *c)
{
	return !s->spec.persist || s->restoring || (s->spec.forget_private && c->private);
}

int sched_record_meta(struct pcore_buf *out, const struct pcore_sched *s)
{
	unsigned char data[RECORD_HEAD + META_LEN], *p = begin(data, META, META_LEN);

	sched_put(&p, s->epoch, 4);
	sched_put(&p, s->next_serial, 4);
	sched_put(&p, s->next_client, 8);
	sched_put(&p, s->next_job, 8);
	return pcore_buf_add(out, data, sizeof(data));
}

int sched_record_client(struct pcore_buf *out, const struct client *c)
{
	unsigned char data[RECORD_HEAD + CLIENT_LEN], *p = begin(data, CLIENT, CLIENT_LEN);

	sched_put(&p, c->id, 8);
	sched_put(&p, c->weight, 4);
	sched_put(&p, (c->private ? PCORE_SCHED_PRIVATE : 0U) | (c->exclusive ? PCORE_SCHED_EXCLUSIVE : 0U), 1);
	return pcore_buf_add(out, data, sizeof(data));
}

void sched_record_client_gone(struct pcore_sched *s, const struct client *c)
{
	unsigned char data[RECORD_MAX], *p = begin(data, CLIENT_GONE, 8);

	if (sched_record_skips(s, c))
		return;
	sched_put(&p, c->id, 8);
	add(s, data, p);
}

int sched_record_node(struct pcore_buf *out, const struct node *n)
{
	unsigned char data[RECORD_HEAD + NODE_LEN], *p;
	size_t len = strlen(n->name) + 1;
	int r = pcore_buf_reserve(out, sizeof(data) + len);

	if (r < 0)
		return r;
	p = begin(data, NODE, NODE_LEN + len);
	sched_put(&p, n->serial, 4);
	sched_put(&p, n->instance, 8);
	r = pcore_buf_add(out, data, sizeof(data));
	return r < 0 ? r : pcore_buf_add(out, n->name, len);
}

void sched_record_node_gone(struct pcore_sched *s, const struct node *n)
{
	unsigned char data[RECORD_MAX], *p = begin(data, NODE_GONE, 4);

	if (!s->spec.persist || s->restoring)
		return;
	sched_put(&p, n->serial, 4);
	add(s, data, p);
}

int sched_record_array(struct pcore_buf *out, const struct array *a)
{
	const struct class *c = a->lane->class;
	unsigned char data[RECORD_HEAD + SUBMIT_LEN], *p;
	uint32_t n_after = 0;
	int r;

	PCORE_LIST_FOREACH_SAFE(link, &a->afters)
	{
		n_after++;
	}
	r = pcore_buf_reserve(out, sizeof(data) + n_after * 8 + c->key_len);
	if (r < 0)
		return r;
	p = begin(data, SUBMIT, SUBMIT_LEN + n_after * 8 + c->key_len);
	sched_put(&p, a->first, 8);
	sched_put(&p, a->n, 4);
	sched_put(&p, a->next, 4);
	sched_put(&p, a->end, 4);
	sched_put(&p, a->n_bad, 4);
	sched_put(&p, a->client->id, 8);
	sched_put(&p, (uint32_t)a->lane->priority, 4);
	sched_put(&p, a->cookie, 8);
	sched_put(&p, (uint64_t)a->time_limit_ns, 8);
	sched_put(&p, (uint64_t)a->backoff_ns, 8);
	sched_put(&p, (uint64_t)a->backoff_max_ns, 8);
	sched_put(&p, a->at_most_once | (a->n_after && !pcore_list_empty(&a->link) ? 2 : 0), 1);
	sched_put(&p, a->retry_lost, 1);
	sched_put(&p, a->restarts, 1);
	sched_put(&p, a->reschedules, 1);
	sched_put(&p, a->epoch, 2);
	sched_put(&p, n_after, 4);
	assert(p == data + sizeof(data));
	r = pcore_buf_add(out, data, sizeof(data));
	PCORE_LIST_FOREACH_SAFE(link, &a->afters)
	{
		p = data;
		sched_put(&p, container_of(link, struct edge, of_waiter)->target->first, 8);
		r = r < 0 ? r : pcore_buf_add(out, data, 8);
	}
	return r < 0 ? r : pcore_buf_add(out, c->key, c->key_len);
}

static unsigned char *put_job(unsigned char *p, const struct job *j)
{
	p = begin(p, JOB, JOB_LEN);
	sched_put(&p, job_id(j), 8);
	sched_put(&p, j->attempt, 4);
	sched_put(&p, job_on_node(j) ? j->last : 0, 4);
	sched_put(&p, j->failures, 1);
	sched_put(&p, j->losses, 1);
	sched_put(&p, j->crashes, 1);
	sched_put(&p, j->cancel, 1);
	sched_put(&p, j->ended | (j->state == JOB_GAP ? 2 : 0), 1);
	return p;
}

void sched_record_job(struct pcore_sched *s, const struct job *j)
{
	unsigned char data[RECORD_MAX];

	if (!sched_record_skips(s, j->array->client))
		add(s, data, put_job(data, j));
}

void sched_record_over(struct pcore_sched *s, const struct array *a, uint32_t index, uint32_t n, bool success)
{
	unsigned char data[RECORD_MAX], *p = begin(data, OVER, OVER_LEN);

	if (sched_record_skips(s, a->client))
		return;
	sched_put(&p, a->first + index, 8);
	sched_put(&p, n, 4);
	sched_put(&p, success, 1);
	add(s, data, p);
}

static int snapshot_jobs(const struct pcore_sched *s, struct pcore_buf *out)
{
	unsigned char data[RECORD_MAX];

	for (size_t i = 0; i < s->n_array_slots; i++) {
		const struct array *a = s->arrays[i].array;

		if (a && s->spec.forget_private && a->client->private)
			continue;
		for (uint32_t k = 0; a && k < a->n && a->live + a->n_out > 0; k++) {
			const struct job *j = sched_job_find(s, a->first + k);
			int r = j ? pcore_buf_add(out, data, (size_t)(put_job(data, j) - data)) : 0;

			if (r < 0)
				return r;
		}
	}
	return 0;
}

int pcore_sched_snapshot(const struct pcore_sched *s, struct pcore_buf *out)
{
	int r = sched_record_meta(out, s);

	PCORE_LIST_FOREACH_SAFE(link, &s->all_clients)
	{
		const struct client *c = container_of(link, struct client, link);

		if (r == 0 && !(s->spec.forget_private && c->private))
			r = sched_record_client(out, c);
	}
	PCORE_LIST_FOREACH_SAFE(link, &s->all_nodes)
	{
		const struct node *n = container_of(link, struct node, link);

		if (r == 0 && n->n_jobs + n->n_ahead > 0)
			r = sched_record_node(out, n);
	}
	for (size_t i = 0; i < s->n_array_slots && r == 0; i++)
		if (s->arrays[i].array && !(s->spec.forget_private && s->arrays[i].array->client->private))
			r = sched_record_array(out, s->arrays[i].array);
	return r < 0 ? r : snapshot_jobs(s, out);
}
