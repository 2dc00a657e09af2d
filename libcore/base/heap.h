/* SPDX-License-Identifier: MIT */
/*
 * heap.h - an intrusive 4-ary min-heap whose elements know their index, so that any of them can be removed.
 *
 * The heap owns its array and never the elements. Equal keys come out in the order they went in
 * (each insertion takes the next sequence number).
 */
#ifndef PCORE_BASE_HEAP_H
#define PCORE_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pcore_heap_node {
	int64_t key;
	uint64_t seq;
	size_t index; /* position + 1; 0: in no heap */
};

/* The key stands beside the pointer, so that comparing does not fetch the elements. */
struct pcore_heap_slot {
	int64_t key;
	struct pcore_heap_node *node;
};

struct pcore_heap {
	struct pcore_heap_slot *slots;
	size_t len, cap;
	uint64_t next_seq;
};

void pcore_heap_done(struct pcore_heap *h);

/* Set node->key first. 0 or -ENOMEM (the node is then in no heap). */
int pcore_heap_insert(struct pcore_heap *h, struct pcore_heap_node *node);

/* The same, but among equal keys nodes come out by rank. A heap has ranked nodes only, or none. */
int pcore_heap_insert_ranked(struct pcore_heap *h, struct pcore_heap_node *node, uint64_t rank);

/* Does nothing to a node that is in no heap. Never allocates and never fails. */
void pcore_heap_remove(struct pcore_heap *h, struct pcore_heap_node *node);

/* The least element, or NULL. It stays in the heap. */
static inline struct pcore_heap_node *pcore_heap_top(const struct pcore_heap *h)
{
	return h->len ? h->slots[0].node : NULL;
}

static inline bool pcore_heap_linked(const struct pcore_heap_node *node)
{
	return node->index != 0;
}

#endif
