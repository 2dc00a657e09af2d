/* SPDX-License-Identifier: MIT */
/*
 * list.h - an intrusive doubly linked list.
 *
 * A head and an unlinked node both point to themselves. Removing an unlinked node does nothing.
 */
#ifndef PCORE_BASE_LIST_H
#define PCORE_BASE_LIST_H

#include <stdbool.h>

#include "libcore/base/util.h"

struct pcore_list {
	struct pcore_list *next, *prev;
};

#define PCORE_LIST_INIT(name) ((struct pcore_list){ &(name), &(name) })

static inline void pcore_list_init(struct pcore_list *l)
{
	l->next = l->prev = l;
}

static inline bool pcore_list_empty(const struct pcore_list *l)
{
	return l->next == l;
}

static inline void pcore_list_add_tail(struct pcore_list *head, struct pcore_list *node)
{
	assert(pcore_list_empty(node));

	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

static inline void pcore_list_add_head(struct pcore_list *head, struct pcore_list *node)
{
	pcore_list_add_tail(head->next, node);
}

static inline void pcore_list_del(struct pcore_list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	pcore_list_init(node);
}

/* Take the first node off, or NULL. */
static inline struct pcore_list *pcore_list_pop(struct pcore_list *head)
{
	struct pcore_list *node = head->next;

	if (node == head)
		return NULL;
	pcore_list_del(node);
	return node;
}

/* Move all nodes of from to the end of to. */
static inline void pcore_list_splice_tail(struct pcore_list *to, struct pcore_list *from)
{
	if (pcore_list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	pcore_list_init(from);
}

#define PCORE_LIST_FOREACH_SAFE(node, head)                                                  \
	for (struct pcore_list *(node) = (head)->next, *next_##node = (node)->next;          \
	     (node) != (head); (node) = next_##node, next_##node = (node)->next)

#endif
