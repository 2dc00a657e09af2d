/* SPDX-License-Identifier: MIT */
/*
 * map.h - an intrusive hash map from byte strings to the objects that embed its nodes.
 *
 * The map owns its table and never the nodes or their keys: a key must stay as it is while its node is linked.
 * The hash is SipHash-1-3 (Aumasson, Bernstein) under a key drawn per map, so that keys which come from others
 * cannot be chosen to collide.
 */
#ifndef PCORE_BASE_MAP_H
#define PCORE_BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

struct pcore_map_node {
	struct pcore_map_node *next;
	const void *key;
	size_t key_len;
	uint64_t hash;
};

struct pcore_map {
	struct pcore_map_node **buckets;
	size_t n_buckets; /* a power of two, 0 before the first insertion */
	size_t len;
	uint64_t seed[2];
};

void pcore_map_done(struct pcore_map *m);

/* Link node under key. 0, -EEXIST when the key is there already, -ENOMEM. */
int pcore_map_insert(struct pcore_map *m, struct pcore_map_node *node, const void *key, size_t key_len);
struct pcore_map_node *pcore_map_find(const struct pcore_map *m, const void *key, size_t key_len);

/* Unlink a node that is linked in m. */
void pcore_map_remove(struct pcore_map *m, struct pcore_map_node *node);

#endif
