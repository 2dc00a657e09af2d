/* SPDX-License-Identifier: MIT */
/*
 * sched_stock.c - what a node has: taken by a job when it gets a place, and given back.
 */
#include "libcore/cluster/sched_private.h"

static struct stock *stock_of(const struct node *n, uint32_t res)
{
	for (uint32_t i = 0; i < n->n_stock; i++)
		if (n->stock[i].res == res)
			return &n->stock[i];
	return NULL;
}

bool sched_fits(const struct class *c, const struct node *n)
{
	if (c->cpus > n->cpus_free || (int64_t)c->memory > n->memory_free)
		return false;
	for (uint32_t i = 0; i < c->n_needs; i++) {
		const struct stock *k = stock_of(n, c->needs[i].res);

		if (!k || k->free < c->needs[i].n)
			return false;
	}
	return true;
}

void sched_unbucket(struct pcore_sched *s, struct node *n)
{
	pcore_list_del(&n->bucket);
	if (pcore_list_empty(&s->buckets[n->bucket_of]))
		s->nonempty[n->bucket_of / 64] &= ~(UINT64_C(1) << n->bucket_of % 64);
}

void sched_bucket(struct pcore_sched *s, struct node *n)
{
	uint32_t b = n->cpus_free <= 0 ? 0 : n->cpus_free >= BUCKETS ? BUCKETS - 1 : (uint32_t)n->cpus_free;

	if (b == n->bucket_of && !pcore_list_empty(&n->bucket))
		return;
	sched_unbucket(s, n);
	n->bucket_of = b;
	pcore_list_add_tail(&s->buckets[b], &n->bucket);
	s->nonempty[b / 64] |= UINT64_C(1) << b % 64;
}

static void account(struct pcore_sched *s, const struct class *c, struct node *n, int sign)
{
	n->cpus_free -= sign * (int64_t)c->cpus;
	n->memory_free -= sign * (int64_t)c->memory;
	for (uint32_t i = 0; i < c->n_needs; i++) {
		struct stock *k = stock_of(n, c->needs[i].res);

		if (k)
			k->free -= sign * (int64_t)c->needs[i].n;
	}
	sched_bucket(s, n);
}

/* The lowest numbers that are free. */
void sched_take(struct pcore_sched *s, struct job *j, struct node *n)
{
	const struct class *c = j->array->lane->class;

	for (uint32_t i = 0; i < c->n_needs; i++) {
		struct stock *k = stock_of(n, c->needs[i].res);
		uint32_t left = k && k->owners ? c->needs[i].n : 0;

		for (uint32_t id = 0; left > 0; id++) {
			assert(id < k->n);
			if (k->owners[id])
				continue;
			k->owners[id] = j;
			left--;
		}
	}
	account(s, c, n, 1);
}

static void disown(const struct class *c, struct node *n, const struct job *j)
{
	for (uint32_t i = 0; i < c->n_needs; i++) {
		struct stock *k = stock_of(n, c->needs[i].res);

		for (uint32_t id = 0; k && k->owners && id < k->n; id++)
			if (k->owners[id] == j)
				k->owners[id] = NULL;
	}
}

int sched_take_ids(struct pcore_sched *s, struct job *j, struct node *n, const uint16_t *ids, size_t n_ids)
{
	const struct class *c = j->array->lane->class;
	size_t at = 0;

	for (uint32_t i = 0; i < c->n_needs; i++) {
		struct stock *k = stock_of(n, c->needs[i].res);
		uint32_t want = k && k->owners ? c->needs[i].n : 0;
		bool ok = k && want <= n_ids - at;

		for (uint32_t x = 0; x < want && ok; x++, at++) {
			ok = ids[at] < k->n && !k->owners[ids[at]];
			if (ok)
				k->owners[ids[at]] = j;
		}
		if (!ok) {
			disown(c, n, j);
			return -EINVAL;
		}
	}
	if (at != n_ids) {
		disown(c, n, j);
		return -EINVAL;
	}
	account(s, c, n, 1);
	return 0;
}

void sched_give(struct pcore_sched *s, struct job *j, struct node *n)
{
	const struct class *c = j->array->lane->class;

	disown(c, n, j);
	account(s, c, n, -1);
}

size_t sched_put_ids(const struct job *j, const struct node *n, uint16_t *ids)
{
	const struct class *c = j->array->lane->class;
	size_t at = 0;

	for (uint32_t i = 0; i < c->n_needs; i++) {
		const struct stock *k = stock_of(n, c->needs[i].res);

		for (uint32_t id = 0; k && k->owners && id < k->n; id++)
			if (k->owners[id] == j)
				ids[at++] = (uint16_t)id;
	}
	return at;
}
