/* SPDX-License-Identifier: MIT */
/*
 * queue.c - queues, whatever is behind them.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcore/queue/ops.h"

static bool is_directory(int dfd, const char *name)
{
	struct stat st;

	return fstatat(dfd, name, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

int pcore_queue_create(int dfd, const char *name, const struct pcore_queue_config *spec)
{
	return spec->durable ? pcore_queue_durable_create(dfd, name, spec) : pcore_queue_memory_create(dfd, name, spec);
}

static int open_there(struct pcore_queue **ret, int dfd, const char *name)
{
	int r = is_directory(dfd, name) ? -EBADMSG : pcore_queue_memory_open(ret, dfd, name);

	/* it may have been made meanwhile */
	return r == -EBADMSG && is_directory(dfd, name) ? pcore_queue_durable_open(ret, dfd, name) : r;
}

int pcore_queue_open_at(struct pcore_queue **ret, int dfd, const char *name, const struct pcore_queue_config *spec)
{
	int r = open_there(ret, dfd, name);

	/* Whoever is quicker makes it; whoever removes it meanwhile makes us make it anew. */
	while (r == -ENOENT && spec) {
		r = pcore_queue_create(dfd, name, spec);
		if (r == 0 || r == -EEXIST)
			r = open_there(ret, dfd, name);
		else
			return r;
	}
	return r;
}

void pcore_queue_free(struct pcore_queue *q)
{
	if (q)
		q->ops->free(q);
}

/* The name goes first: who comes later makes a new queue, who is there already sees the end of this one. */
static int remove_memory(int dfd, const char *name)
{
	struct pcore_queue *q = NULL;
	int r = pcore_queue_memory_open(&q, dfd, name);

	if (r < 0 && r != -ESTALE)
		return r;
	r = unlinkat(dfd, name, 0) < 0 ? -errno : 0;
	if (r == 0 && q)
		(void)pcore_queue_close(q, true);
	pcore_queue_free(q);
	return r;
}

int pcore_queue_remove_at(int dfd, const char *name)
{
	return is_directory(dfd, name) ? pcore_queue_durable_remove(dfd, name) : remove_memory(dfd, name);
}

void pcore_queue_found(const struct pcore_queue *q, struct pcore_queue_found *ret)
{
	*ret = (struct pcore_queue_found){ 0 };
	if (q->ops->found)
		q->ops->found(q, ret);
}

int pcore_queue_put_until(struct pcore_queue *q, struct pcore_item *items, size_t n, bool replace, int64_t deadline_ns)
{
	return q->ops->put(q, items, n, replace, deadline_ns);
}

int64_t pcore_queue_deadline(int64_t wait_ns)
{
	return wait_ns == 0 ? 0 : pcore_ns_add(pcore_now_ns(), wait_ns);
}

int pcore_queue_put_all(struct pcore_queue *q, struct pcore_item *items, size_t n, bool replace, int64_t wait_ns, size_t *ret_done)
{
	int r = 0;

	*ret_done = 0;
	while (*ret_done < n && r >= 0) {
		r = pcore_queue_put_until(q, items + *ret_done, n - *ret_done, replace, pcore_queue_deadline(wait_ns));
		if (r > 0)
			*ret_done += (size_t)r;
	}
	return r < 0 ? r : 0;
}

int pcore_queue_get_until(struct pcore_queue *q, struct pcore_item *items, size_t n, const struct pcore_take *how, struct pcore_buf *buf,
	int64_t deadline_ns)
{
	return q->ops->get(q, items, n, how, buf, deadline_ns);
}

int pcore_queue_peek_into(struct pcore_queue *q, struct pcore_item *item, struct pcore_buf *buf)
{
	return q->ops->peek(q, item, buf);
}

int pcore_queue_ack(struct pcore_queue *q, uint64_t id, uint32_t attempt)
{
	return q->ops->ack(q, id, attempt);
}

int pcore_queue_nack(struct pcore_queue *q, uint64_t id, uint32_t attempt, int64_t delay_ns)
{
	return q->ops->nack(q, id, attempt, delay_ns);
}

int pcore_queue_touch(struct pcore_queue *q, uint64_t id, uint32_t attempt, int64_t lease_ns)
{
	return q->ops->touch(q, id, attempt, lease_ns);
}

int pcore_queue_untake(struct pcore_queue *q, uint64_t id, uint32_t attempt)
{
	return q->ops->untake(q, id, attempt);
}

int pcore_queue_bury(struct pcore_queue *q, uint64_t id, uint32_t attempt, const char *reason, size_t len)
{
	return q->ops->bury(q, id, attempt, reason, len < PCORE_REASON_MAX ? len : PCORE_REASON_MAX);
}

int pcore_queue_dead_into(struct pcore_queue *q, uint64_t after, struct pcore_dead *ret, struct pcore_buf *buf)
{
	return q->ops->dead(q, after, ret, buf);
}

int pcore_queue_revive(struct pcore_queue *q, uint64_t id)
{
	return q->ops->revive(q, id);
}

int pcore_queue_discard(struct pcore_queue *q, uint64_t id)
{
	return q->ops->discard(q, id);
}

int pcore_queue_close(struct pcore_queue *q, bool drop)
{
	return q->ops->close(q, drop);
}

int pcore_queue_join_until(struct pcore_queue *q, int64_t deadline_ns)
{
	return q->ops->join(q, deadline_ns);
}

int pcore_queue_poll_until(struct pcore_queue *q, int64_t deadline_ns)
{
	return q->ops->poll(q, NULL, deadline_ns);
}

int pcore_queue_state(struct pcore_queue *q, struct pcore_queue_state *ret)
{
	return q->ops->stat(q, ret);
}
