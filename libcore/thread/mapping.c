/* SPDX-License-Identifier: MIT */
/*
 * mapping.c - a function over many items in a pool of threads, results in order or as they come.
 *
 * Each item is submitted by itself; what is called when it is done notes the result here, and the future is needed only to
 * cancel it.
 */
#include "libcore/thread/private.h"

struct mapped {
	struct pcore_mapping *mapping;
	struct pcore_future *future;
	int64_t result;
	bool done;
};

struct pcore_mapping {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct mapped *items;
	size_t *order; /* of those that are done, with AS_COMPLETED */
	size_t n, n_submitted, n_done, n_told;
	int64_t deadline;
	bool waiting;
};

static void note(struct pcore_future *f, void *arg)
{
	struct mapped *item = arg;
	struct pcore_mapping *m = item->mapping;
	int64_t result = 0;
	int r = pcore_future_result(f, 0, &result);

	(void)pthread_mutex_lock(&m->lock);
	item->result = r < 0 ? r : result;
	item->done = true;
	if (m->order)
		m->order[m->n_done] = (size_t)(item - m->items);
	m->n_done++;
	if (m->waiting)
		(void)pthread_cond_signal(&m->changed);
	(void)pthread_mutex_unlock(&m->lock);
}

static int64_t left(const struct pcore_mapping *m)
{
	int64_t now = pcore_now_ns();

	if (m->deadline == INT64_MAX)
		return PCORE_FOREVER;
	return m->deadline > now ? m->deadline - now : 0;
}

static int submit_all(struct pcore_mapping *m, struct pcore_threads *t, int64_t (*fn)(void *item), char *items, size_t item_size)
{
	int r = 0;

	for (size_t i = 0; i < m->n && r == 0; i++) {
		struct mapped *item = &m->items[i];

		item->mapping = m;
		r = pcore_threads_submit(t, fn, items + i * item_size, left(m), &item->future);
		if (r < 0)
			break;
		r = pcore_future_then(item->future, note, item);
		if (r == 0) {
			m->n_submitted++;
			continue;
		}
		if (pcore_future_cancel(item->future) < 0) /* nobody else would wait for it */
			(void)pcore_future_result(item->future, PCORE_FOREVER, NULL);
		pcore_future_free(TAKE_PTR(item->future));
	}
	return r;
}

int pcore_threads_map(struct pcore_mapping **ret, struct pcore_threads *t, int64_t (*fn)(void *item), void *items, size_t item_size,
	size_t n, unsigned flags, int64_t timeout)
{
	struct pcore_mapping *m;
	int r;

	if (flags & ~(unsigned)PCORE_MAPPING_AS_COMPLETED)
		return -EINVAL;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;

	(void)pthread_mutex_init(&m->lock, NULL);
	(void)pthread_cond_init(&m->changed, NULL);
	m->n = n;
	m->deadline = deadline_of(timeout);
	m->items = calloc(n ? n : 1, sizeof(*m->items));
	if (flags & PCORE_MAPPING_AS_COMPLETED)
		m->order = calloc(n ? n : 1, sizeof(*m->order));
	r = !m->items || (flags && !m->order) ? -ENOMEM : submit_all(m, t, fn, items, item_size);
	if (r < 0) {
		pcore_mapping_free(m);
		return r;
	}
	*ret = m;
	return 0;
}

/* Wait, with the lock, until the result number i is there (in order), or i + 1 of them are. */
static int wait_for_result(struct pcore_mapping *m, size_t i)
{
	int r = 0;

	m->waiting = true;
	while (!(m->order ? m->n_done > i : m->items[i].done) && r == 0)
		r = wait_until(&m->changed, &m->lock, m->deadline);
	m->waiting = false;
	return (m->order ? m->n_done > i : m->items[i].done) ? 0 : -r;
}

int pcore_mapping_next(struct pcore_mapping *m, size_t *ret_index, int64_t *ret_result)
{
	size_t i = m->n_told;
	int r;

	if (i == m->n)
		return 0;
	(void)pthread_mutex_lock(&m->lock);
	r = wait_for_result(m, i);
	if (r == 0) {
		i = m->order ? m->order[i] : i;
		m->n_told++;
		if (ret_index)
			*ret_index = i;
		if (ret_result)
			*ret_result = m->items[i].result;
	}
	(void)pthread_mutex_unlock(&m->lock);
	return r < 0 ? r : 1;
}

void pcore_mapping_free(struct pcore_mapping *m)
{
	if (!m)
		return;

	for (size_t i = m->n_submitted; i-- > 0;) /* from behind: nothing is begun meanwhile that was not */
		(void)pcore_future_cancel(m->items[i].future);
	(void)pthread_mutex_lock(&m->lock);
	m->waiting = true;
	while (m->n_done < m->n_submitted)
		(void)pthread_cond_wait(&m->changed, &m->lock);
	(void)pthread_mutex_unlock(&m->lock);
	for (size_t i = 0; i < m->n_submitted; i++)
		pcore_future_free(m->items[i].future);
	(void)pthread_cond_destroy(&m->changed);
	(void)pthread_mutex_destroy(&m->lock);
	free(m->order);
	free(m->items);
	free(m);
}
