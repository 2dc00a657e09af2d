/* SPDX-License-Identifier: MIT */
/*
 * queue.c - <pcore/queue.h> over libcore/queue.
 *
 * What a get hands out is the memory of the buffer it was read into.
 */
#include <fcntl.h>

#include "libcore/api/api.h"
#include "libcore/queue/queue.h"

_Static_assert(PCORE_QUEUE_FIFO == (int)PCORE_FIFO && PCORE_QUEUE_LIFO == (int)PCORE_LIFO &&
	PCORE_QUEUE_PRIORITY == (int)PCORE_PRIORITY, "the orders are those of rings");

/* What these had from the beginning. */
#define ITEM_LEAST sizeof(struct pcore_queue_item)
#define STAT_LEAST sizeof(struct pcore_queue_stat)

int pcore_queue_open(struct pcore_queue **ret, const char *path, const struct pcore_queue_spec *spec)
{
	struct pcore_queue_config config = { 0 };
	struct pcore_queue_spec s;
	int r;

	if (!ret || !path)
		return -EINVAL;
	if (!spec)
		return pcore_queue_open_at(ret, AT_FDCWD, path, NULL);
	r = pcore_sized_in(&s, sizeof(s), spec);
	if (r < 0)
		return r;
	if (s.order < PCORE_QUEUE_FIFO || s.order > PCORE_QUEUE_PRIORITY || s.sync < PCORE_QUEUE_ALWAYS || s.sync > PCORE_QUEUE_NONE ||
		s.interval < 0)
		return -EINVAL;

	config.order = (enum pcore_order)s.order;
	config.durable = s.durable != 0;
	config.sync = (enum pcore_queue_sync)s.sync;
	config.interval_ns = s.interval;
	config.max_bytes = s.max_bytes;
	config.max_items = s.max_items;
	config.max_item = s.max_item;
	return pcore_queue_open_at(ret, AT_FDCWD, path, &config);
}

int pcore_queue_remove(const char *path)
{
	return path ? pcore_queue_remove_at(AT_FDCWD, path) : -EINVAL;
}

/* ---- put ---- */

int pcore_queue_put(struct pcore_queue *q, const void *data, size_t size, int64_t timeout)
{
	struct pcore_item item = { .data = data, .len = size };
	int r = pcore_queue_put_until(q, &item, 1, false, pcore_deadline(timeout));

	return r < 0 ? r : 0;
}

int pcore_queue_put_item(struct pcore_queue *q, const struct pcore_queue_put *what, int64_t timeout, uint64_t *ret_id)
{
	struct pcore_queue_put p;
	struct pcore_item item;
	int r = pcore_sized_in(&p, sizeof(p), what);

	if (r < 0)
		return r;
	if (p.delay < 0 || p.key_size > PCORE_KEY_MAX)
		return -EINVAL;

	item = (struct pcore_item){ .data = p.data,
		.len = p.data_size,
		.key = p.key,
		.key_len = p.key ? p.key_size : 0,
		.delay_ns = p.delay,
		.priority = p.priority };
	r = pcore_queue_put_until(q, &item, 1, p.replace != 0, pcore_deadline(timeout));
	if (r > 0 && ret_id)
		*ret_id = item.id;
	return r < 0 ? r : 0;
}

int pcore_queue_put_many(struct pcore_queue *q, const struct iovec *items, size_t n, int64_t timeout)
{
	struct pcore_item some[256];

	if (n == 0)
		return -EINVAL;
	n = n < ARRAY_SIZE(some) ? n : ARRAY_SIZE(some);
	for (size_t i = 0; i < n; i++)
		some[i] = (struct pcore_item){ .data = items[i].iov_base, .len = items[i].iov_len };
	return pcore_queue_put_until(q, some, n, false, pcore_deadline(timeout));
}

/* ---- get ---- */

int pcore_queue_get(struct pcore_queue *q, char **ret, size_t *ret_size, int64_t timeout)
{
	struct iovec item;
	int r;

	if (!ret)
		return -EINVAL;
	r = pcore_queue_get_many(q, &item, 1, timeout);
	if (r < 0)
		return r;
	*ret = item.iov_base;
	if (ret_size)
		*ret_size = item.iov_len;
	return 0;
}

int pcore_queue_get_many(struct pcore_queue *q, struct iovec *ret, size_t n, int64_t timeout)
{
	struct pcore_item some[256];
	struct pcore_buf buf = { 0 };
	int r;

	if (n == 0)
		return -EINVAL;
	n = n < ARRAY_SIZE(some) ? n : ARRAY_SIZE(some);
	r = pcore_queue_get_until(q, some, n, &(struct pcore_take){ .lease = false }, &buf, pcore_deadline(timeout));
	if (r < 0)
		pcore_buf_done(&buf);
	for (int i = 0; i < r; i++)
		ret[i] = (struct iovec){ .iov_base = (void *)(uintptr_t)some[i].data, .iov_len = some[i].len };
	return r;
}

static void give(struct pcore_queue_item *ret, const struct pcore_dead *dead, char *data)
{
	const struct pcore_item *item = &dead->item;
	const struct pcore_queue_item i = { .data = data,
		.data_size = item->len,
		.id = item->id,
		.priority = item->priority,
		.attempt = item->attempt,
		.reason = dead->reason,
		.died = dead->died_ns,
		.tries = item->tries };

	(void)pcore_sized_out(ret, ITEM_LEAST, &i, sizeof(i));
}

int pcore_queue_lease(struct pcore_queue *q, int64_t lease, struct pcore_queue_item *ret, int64_t timeout)
{
	struct pcore_take how = { .lease = lease > 0, .lease_ns = lease, .holder = lease > 0 ? pcore_ring_holder() : 0 };
	struct pcore_buf buf = { 0 };
	struct pcore_dead taken = { 0 };
	int r;

	if (pcore_sized_out(ret, ITEM_LEAST, NULL, 0) < 0 || lease < 0)
		return -EINVAL;
	r = pcore_queue_get_until(q, &taken.item, 1, &how, &buf, pcore_deadline(timeout));
	if (r < 0) {
		pcore_buf_done(&buf);
		return r;
	}
	give(ret, &taken, buf.data);
	return 0;
}

int pcore_queue_peek(struct pcore_queue *q, struct pcore_queue_item *ret)
{
	struct pcore_buf buf = { 0 };
	struct pcore_dead seen = { 0 };
	int r;

	if (pcore_sized_out(ret, ITEM_LEAST, NULL, 0) < 0)
		return -EINVAL;
	r = pcore_queue_peek_into(q, &seen.item, &buf);
	if (r < 0) {
		pcore_buf_done(&buf);
		return r;
	}
	give(ret, &seen, buf.data);
	return 0;
}

int pcore_queue_dead(struct pcore_queue *q, uint64_t after, struct pcore_queue_item *ret)
{
	struct pcore_buf buf = { 0 };
	struct pcore_dead dead;
	int r;

	if (pcore_sized_out(ret, ITEM_LEAST, NULL, 0) < 0)
		return -EINVAL;
	r = pcore_queue_dead_into(q, after, &dead, &buf);
	if (r <= 0) {
		pcore_buf_done(&buf);
		return r;
	}
	give(ret, &dead, buf.data);
	return 1;
}

/* ---- the queue as a whole ---- */

int pcore_queue_join(struct pcore_queue *q, int64_t timeout)
{
	return pcore_queue_join_until(q, pcore_deadline(timeout));
}

int pcore_queue_poll(struct pcore_queue *q, int64_t timeout)
{
	return pcore_queue_poll_until(q, pcore_deadline(timeout));
}

int64_t pcore_queue_size(struct pcore_queue *q)
{
	struct pcore_queue_state s;
	int r = pcore_queue_state(q, &s);

	return r < 0 ? r : (int64_t)s.ready;
}

int pcore_queue_stat(struct pcore_queue *q, struct pcore_queue_stat *ret)
{
	struct pcore_queue_state s;
	struct pcore_queue_stat out;
	int r = pcore_sized_out(ret, STAT_LEAST, NULL, 0);

	if (r == 0)
		r = pcore_queue_state(q, &s);
	if (r < 0)
		return r;
	out = (struct pcore_queue_stat){
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
		.max_bytes = s.spec.max_bytes,
		.max_items = s.spec.max_items,
		.max_item = s.spec.max_item,
		.age = s.age_ns,
		.order = (int)s.spec.order,
		.durable = s.spec.durable,
		.sync = (int)s.spec.sync,
		.closed = s.closed,
	};
	return pcore_sized_out(ret, STAT_LEAST, &out, sizeof(out));
}
