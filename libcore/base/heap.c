/* SPDX-License-Identifier: MIT */
/*
 * heap.c - an intrusive 4-ary min-heap.
 *
 * slots[i].node->index == i + 1 for every i < len; no slot comes before its parent (i - 1) / 4.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "libcore/base/heap.h"

enum { ARITY = 4, CAP_MIN = 16 };

void pcore_heap_done(struct pcore_heap *h)
{
	if (!h)
		return;
	free(h->slots);
	*h = (struct pcore_heap){ 0 };
}

static bool before(const struct pcore_heap_slot *a, const struct pcore_heap_slot *b)
{
	return a->key != b->key ? a->key < b->key : a->node->seq < b->node->seq;
}

static void place(struct pcore_heap *h, size_t i, struct pcore_heap_slot slot)
{
	h->slots[i] = slot;
	slot.node->index = i + 1;
}

static size_t least_child(const struct pcore_heap *h, size_t i)
{
	size_t first = i * ARITY + 1;
	size_t least = first;

	for (size_t c = first + 1; c < first + ARITY && c < h->len; c++)
		if (before(&h->slots[c], &h->slots[least]))
			least = c;
	return least;
}

/* Put the slot where it belongs, starting from the hole at i. */
static void sift(struct pcore_heap *h, size_t i, struct pcore_heap_slot slot)
{
	while (i > 0 && before(&slot, &h->slots[(i - 1) / ARITY])) {
		place(h, i, h->slots[(i - 1) / ARITY]);
		i = (i - 1) / ARITY;
	}
	for (;;) {
		size_t c = least_child(h, i);
		if (c >= h->len || !before(&h->slots[c], &slot))
			break;
		place(h, i, h->slots[c]);
		i = c;
	}
	place(h, i, slot);
}

int pcore_heap_insert_ranked(struct pcore_heap *h, struct pcore_heap_node *node, uint64_t rank)
{
	assert(!pcore_heap_linked(node));

	if (h->len == h->cap) {
		size_t cap = h->cap ? h->cap * 2 : CAP_MIN;
		struct pcore_heap_slot *slots = reallocarray(h->slots, cap, sizeof(*slots));
		if (!slots)
			return -ENOMEM;
		h->slots = slots;
		h->cap = cap;
	}
	node->seq = rank;
	h->len++;
	sift(h, h->len - 1, (struct pcore_heap_slot){ node->key, node });
	return 0;
}

int pcore_heap_insert(struct pcore_heap *h, struct pcore_heap_node *node)
{
	return pcore_heap_insert_ranked(h, node, h->next_seq++);
}

void pcore_heap_remove(struct pcore_heap *h, struct pcore_heap_node *node)
{
	struct pcore_heap_slot last;
	size_t i;

	if (!pcore_heap_linked(node))
		return;
	i = node->index - 1;
	assert(i < h->len);
	assert(h->slots[i].node == node);

	last = h->slots[--h->len];
	node->index = 0;
	if (last.node != node)
		sift(h, i, last);
}
