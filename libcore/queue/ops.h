/* SPDX-License-Identifier: MIT */
/*
 * ops.h - what a kind of queue has to be able to do. Each operation is that of queue.h.
 */
#ifndef PCORE_QUEUE_OPS_H
#define PCORE_QUEUE_OPS_H

#include "libcore/queue/queue.h"

struct pcore_queue_ops {
	void (*free)(struct pcore_queue *q);
	int (*put)(struct pcore_queue *q, struct pcore_item *items, size_t n, bool replace, int64_t deadline_ns);
	int (*get)(struct pcore_queue *q, struct pcore_item *items, size_t n, const struct pcore_take *how, struct pcore_buf *buf,
		int64_t deadline_ns);
	int (*peek)(struct pcore_queue *q, struct pcore_item *item, struct pcore_buf *buf);
	int (*ack)(struct pcore_queue *q, uint64_t id, uint32_t attempt);
	int (*nack)(struct pcore_queue *q, uint64_t id, uint32_t attempt, int64_t delay_ns);
	int (*touch)(struct pcore_queue *q, uint64_t id, uint32_t attempt, int64_t lease_ns);
	int (*untake)(struct pcore_queue *q, uint64_t id, uint32_t attempt);
	int (*bury)(struct pcore_queue *q, uint64_t id, uint32_t attempt, const char *reason, size_t len);
	int (*dead)(struct pcore_queue *q, uint64_t after, struct pcore_dead *ret, struct pcore_buf *buf);
	int (*revive)(struct pcore_queue *q, uint64_t id);
	int (*discard)(struct pcore_queue *q, uint64_t id);
	int (*close)(struct pcore_queue *q, bool drop);
	int (*join)(struct pcore_queue *q, int64_t deadline_ns);
	int (*poll)(struct pcore_queue *q, const _Atomic bool *stop, int64_t deadline_ns);
	void (*cancel)(struct pcore_queue *q, _Atomic bool *stop);
	int (*stat)(struct pcore_queue *q, struct pcore_queue_state *ret);
	void (*found)(const struct pcore_queue *q, struct pcore_queue_found *ret); /* NULL: nothing ever */
};

/* A kind's own struct begins with this. */
struct pcore_queue {
	const struct pcore_queue_ops *ops;
};

int pcore_queue_memory_create(int dfd, const char *name, const struct pcore_queue_config *spec);
int pcore_queue_memory_open(struct pcore_queue **ret, int dfd, const char *name);

int pcore_queue_durable_create(int dfd, const char *name, const struct pcore_queue_config *spec);
int pcore_queue_durable_open(struct pcore_queue **ret, int dfd, const char *name);
int pcore_queue_durable_remove(int dfd, const char *name);

#endif
