/* SPDX-License-Identifier: MIT */
/*
 * memory.c - the memory queue: a ring.
 */
#include "libcore/queue/ops.h"

struct memory {
	struct pcore_queue queue;
	struct pcore_ring *ring;
};

static struct pcore_ring *ring_of(struct pcore_queue *q)
{
	return container_of(q, struct memory, queue)->ring;
}

static void memory_free(struct pcore_queue *q)
{
	pcore_ring_free(ring_of(q));
	free(container_of(q, struct memory, queue));
}

static int memory_put(struct pcore_queue *q, struct pcore_item *items, size_t n, bool replace, int64_t deadline_ns)
{
	return pcore_ring_put(ring_of(q), items, n, replace, deadline_ns);
}

static int memory_get(struct pcore_queue *q, struct pcore_item *items, size_t n, const struct pcore_take *how, struct pcore_buf *buf,
	int64_t deadline_ns)
{
	return pcore_ring_get(ring_of(q), items, n, how, buf, deadline_ns);
}

static int memory_peek(struct pcore_queue *q, struct pcore_item *item, struct pcore_buf *buf)
{
	return pcore_ring_peek(ring_of(q), item, buf);
}

static int memory_ack(struct pcore_queue *q, uint64_t id, uint32_t attempt)
{
	return pcore_ring_ack(ring_of(q), id, attempt);
}

static int memory_nack(struct pcore_queue *q, uint64_t id, uint32_t attempt, int64_t delay_ns)
{
	return pcore_ring_nack(ring_of(q), id, attempt, delay_ns);
}

static int memory_touch(struct pcore_queue *q, uint64_t id, uint32_t attempt, int64_t lease_ns)
{
	return pcore_ring_touch(ring_of(q), id, attempt, lease_ns);
}

static int memory_untake(struct pcore_queue *q, uint64_t id, uint32_t attempt)
{
	return pcore_ring_untake(ring_of(q), id, attempt);
}

static int memory_bury(struct pcore_queue *q, uint64_t id, uint32_t attempt, const char *reason, size_t len)
{
	return pcore_ring_bury(ring_of(q), id, attempt, reason, len);
}

static int memory_dead(struct pcore_queue *q, uint64_t after, struct pcore_dead *ret, struct pcore_buf *buf)
{
	return pcore_ring_dead(ring_of(q), after, ret, buf);
}

static int memory_revive(struct pcore_queue *q, uint64_t id)
{
	return pcore_ring_revive(ring_of(q), id);
}

static int memory_discard(struct pcore_queue *q, uint64_t id)
{
	return pcore_ring_discard(ring_of(q), id);
}

static int memory_close(struct pcore_queue *q, bool drop)
{
	return pcore_ring_close(ring_of(q), drop);
}

static int memory_join(struct pcore_queue *q, int64_t deadline_ns)
{
	return pcore_ring_join(ring_of(q), deadline_ns);
}

static int memory_poll(struct pcore_queue *q, const _Atomic bool *stop, int64_t deadline_ns)
{
	return pcore_ring_poll(ring_of(q), stop, deadline_ns);
}

static void memory_cancel(struct pcore_queue *q, _Atomic bool *stop)
{
	pcore_ring_cancel(ring_of(q), stop);
}

static int memory_stat(struct pcore_queue *q, struct pcore_queue_state *ret)
{
	struct pcore_ring_stat s;
	int r = pcore_ring_stat(ring_of(q), &s);

	if (r < 0)
		return r;

	*ret = (struct pcore_queue_state){
		.spec = { s.spec.order, s.spec.max_bytes, s.spec.max_items, s.spec.max_item },
		.ready = s.ready,
		.leased = s.leased,
		.delayed = s.delayed,
		.dead = s.dead,
		.bytes = s.bytes,
		.puts = s.puts,
		.gets = s.gets,
		.acks = s.acks,
		.returns = s.returns,
		.recoveries = s.recoveries,
		.age_ns = s.age_ns,
		.closed = s.closed,
		.durability = "none",
	};
	return 0;
}

static const struct pcore_queue_ops memory_ops = {
	.free = memory_free,
	.put = memory_put,
	.get = memory_get,
	.peek = memory_peek,
	.ack = memory_ack,
	.nack = memory_nack,
	.touch = memory_touch,
	.untake = memory_untake,
	.bury = memory_bury,
	.dead = memory_dead,
	.revive = memory_revive,
	.discard = memory_discard,
	.close = memory_close,
	.join = memory_join,
	.poll = memory_poll,
	.cancel = memory_cancel,
	.stat = memory_stat,
};

int pcore_queue_memory_create(int dfd, const char *name, const struct pcore_queue_config *spec)
{
	struct pcore_ring_spec s = { spec->order, spec->max_bytes, spec->max_items, spec->max_item };

	return pcore_ring_create(dfd, name, &s);
}

int pcore_queue_memory_open(struct pcore_queue **ret, int dfd, const char *name)
{
	struct memory *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;

	m->queue.ops = &memory_ops;
	r = pcore_ring_open(&m->ring, dfd, name);
	if (r < 0) {
		free(m);
		return r;
	}
	*ret = &m->queue;
	return 0;
}
