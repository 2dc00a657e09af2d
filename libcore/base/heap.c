/* SPDX-License-Identifier: MIT */
/*
 * heap.c - an intrusive 4-ary min-heap.
 *
 * nodes[i]->index == i + 1 for every i < len; no node comes before its parent (i - 1) / 4.
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
	free(h->nodes);
	*h = (struct pcore_heap){ 0 };
}

static bool before(const struct pcore_heap_node *a, const struct pcore_heap_node *b)
{
	return a->key != b->key ? a->key < b->key : a->seq < b->seq;
}

static void place(struct pcore_heap *h, size_t i, struct pcore_heap_node *node)
{
	h->nodes[i] = node;
	node->index = i + 1;
}

static size_t least_child(const struct pcore_heap *h, size_t i)
{
	size_t first = i * ARITY + 1;
	size_t least = first;

	for (size_t c = first + 1; c < first + ARITY && c < h->len; c++)
		if (before(h->nodes[c], h->nodes[least]))
			least = c;
	return least;
}

/* Put node where it belongs, starting from the hole at i. */
static void sift(struct pcore_heap *h, size_t i, struct pcore_heap_node *node)
{
	while (i > 0 && before(node, h->nodes[(i - 1) / ARITY])) {
		place(h, i, h->nodes[(i - 1) / ARITY]);
		i = (i - 1) / ARITY;
	}
	for (;;) {
		size_t c = least_child(h, i);
		if (c >= h->len || !before(h->nodes[c], node))
			break;
		place(h, i, h->nodes[c]);
		i = c;
	}
	place(h, i, node);
}

int pcore_heap_insert_ranked(struct pcore_heap *h, struct pcore_heap_node *node, uint64_t rank)
{
	assert(!pcore_heap_linked(node));

	if (h->len == h->cap) {
		size_t cap = h->cap ? h->cap * 2 : CAP_MIN;
		struct pcore_heap_node **nodes = reallocarray(h->nodes, cap, sizeof(*nodes));
		if (!nodes)
			return -ENOMEM;
		h->nodes = nodes;
		h->cap = cap;
	}
	node->seq = rank;
	h->len++;
	place(h, h->len - 1, node);
	sift(h, h->len - 1, node);
	return 0;
}

int pcore_heap_insert(struct pcore_heap *h, struct pcore_heap_node *node)
{
	return pcore_heap_insert_ranked(h, node, h->next_seq++);
}

void pcore_heap_remove(struct pcore_heap *h, struct pcore_heap_node *node)
{
	struct pcore_heap_node *last;
	size_t i;

	if (!pcore_heap_linked(node))
		return;
	i = node->index - 1;
	assert(i < h->len);
	assert(h->nodes[i] == node);

	last = h->nodes[--h->len];
	node->index = 0;
	if (last != node)
		sift(h, i, last);
}
