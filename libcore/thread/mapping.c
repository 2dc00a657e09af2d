/* SPDX-License-Identifier: MIT */
/*
 * mapping.c - a function over many items in a pool of threads, results in order or as they come.
 *
 * What is submitted is not the items but as many runners as there are threads. Each takes one item after the other until there are
 * no more: an item costs a few atomic operations, and who waits is woken only for the result that is waited for.
 */
#include "libcore/thread/future.h"

struct pcore_mapping {
	struct pcore_threads *threads;
	int64_t (*fn)(void *item);
	char *items;
	size_t item_size, n;
	int64_t deadline;
	bool as_completed;
	int64_t *results;	/* of the items */
	_Atomic size_t *places; /* in the order of telling: an item's index and 1; 0 as long as it is not known or not done */
	_Atomic size_t n_taken, n_done;
	_Atomic size_t wanted; /* the place that is waited for; n: none */
	size_t n_told;

	struct pcore_future **runners;
	size_t n_runners;
	_Atomic size_t n_left; /* runners that have not ended, and who submits them */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool over; /* nobody touches it any more; under the lock */
};

/* ---- runners ---- */

static void wake(struct pcore_mapping *m, bool over)
{
	(void)pthread_mutex_lock(&m->lock);
	m->over = over;
	(void)pthread_cond_signal(&m->changed);
	(void)pthread_mutex_unlock(&m->lock);
}

static bool take(struct pcore_mapping *m, size_t *ret)
{
	*ret = atomic_fetch_add(&m->n_taken, 1);
	return *ret < m->n;
}

static void note(struct pcore_mapping *m, size_t i, int64_t result)
{
	size_t place = m->as_completed ? atomic_fetch_add(&m->n_done, 1) : i;

	m->results[i] = result;
	atomic_store(&m->places[place], i + 1);
	if (atomic_load(&m->wanted) == place)
		wake(m, false);
}

static int64_t run_items(void *arg)
{
	struct pcore_mapping *m = arg;
	size_t i;

	while (!threads_cancelling(m->threads) && take(m, &i))
		note(m, i, m->fn(m->items + i * m->item_size));
	return 0;
}

/* The last one finds items if the pool of threads was shut down before they were begun. */
static void leave(struct pcore_mapping *m)
{
	size_t i;

	if (atomic_fetch_sub(&m->n_left, 1) > 1)
		return;
	while (take(m, &i))
		note(m, i, -ECANCELED);
	wake(m, true);
}

static void runner_ended(struct pcore_future *f, void *arg)
{
	(void)f;
	leave(arg);
}

static int64_t left(const struct pcore_mapping *m)
{
	int64_t now = pcore_now_ns();

	if (m->deadline == INT64_MAX)
		return PCORE_FOREVER;
	return m->deadline > now ? m->deadline - now : 0;
}

static int submit_one(struct pcore_mapping *m)
{
	struct pcore_future *f;
	int r = pcore_threads_submit(m->threads, run_items, m, left(m), &f);

	if (r < 0)
		return r;
	atomic_fetch_add(&m->n_left, 1);
	r = pcore_future_then(f, runner_ended, m);
	if (r == 0) {
		m->runners[m->n_runners++] = f;
		return 0;
	}
	if (pcore_future_cancel(f) < 0) /* nobody else would wait for it */
		(void)pcore_future_result(f, PCORE_FOREVER, NULL);
	pcore_future_free(f);
	leave(m);
	return r;
}

/* ---- the mapping ---- */

static int prepare(struct pcore_mapping *m)
{
	size_t n = m->n ? m->n : 1, threads = threads_count(m->threads), n_runners;
	int r = 0;

	threads = threads ? threads : 1; /* they have all ended: submitting says so */
	n_runners = m->n < threads ? m->n : threads;
	m->results = calloc(n, sizeof(*m->results));
	m->places = calloc(n, sizeof(*m->places));
	m->runners = calloc(threads, sizeof(struct pcore_future *));
	if (!m->results || !m->places || !m->runners)
		r = -ENOMEM;
	for (size_t i = 0; i < n_runners && r == 0; i++)
		r = submit_one(m);
	if (r < 0)
		atomic_store(&m->n_taken, m->n);
	leave(m);
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
	m->threads = t;
	m->fn = fn;
	m->items = items;
	m->item_size = item_size;
	m->n = n;
	m->deadline = deadline_of(timeout);
	m->as_completed = flags & PCORE_MAPPING_AS_COMPLETED;
	atomic_init(&m->wanted, n);
	atomic_init(&m->n_left, 1);
	r = prepare(m);
	if (r < 0) {
		pcore_mapping_free(m);
		return r;
	}
	*ret = m;
	return 0;
}

static int wait_for_place(struct pcore_mapping *m, size_t place)
{
	int r = 0;

	(void)pthread_mutex_lock(&m->lock);
	atomic_store(&m->wanted, place);
	while (atomic_load(&m->places[place]) == 0 && r == 0)
		r = wait_until(&m->changed, &m->lock, m->deadline);
	atomic_store(&m->wanted, m->n);
	(void)pthread_mutex_unlock(&m->lock);
	return atomic_load(&m->places[place]) == 0 ? -r : 0;
}

int pcore_mapping_next(struct pcore_mapping *m, size_t *ret_index, int64_t *ret_result)
{
	size_t place = m->n_told, i;
	int r = 0;

	if (place == m->n)
		return 0;
	if (atomic_load(&m->places[place]) == 0)
		r = wait_for_place(m, place);
	if (r < 0)
		return r;
	i = atomic_load(&m->places[place]) - 1;
	m->n_told++;
	if (ret_index)
		*ret_index = i;
	if (ret_result)
		*ret_result = m->results[i];
	return 1;
}

void pcore_mapping_free(struct pcore_mapping *m)
{
	if (!m)
		return;

	atomic_store(&m->n_taken, m->n);
	for (size_t i = 0; i < m->n_runners; i++)
		(void)pcore_future_cancel(m->runners[i]);
	(void)pthread_mutex_lock(&m->lock);
	while (!m->over)
		(void)pthread_cond_wait(&m->changed, &m->lock);
	(void)pthread_mutex_unlock(&m->lock);
	for (size_t i = 0; i < m->n_runners; i++)
		pcore_future_free(m->runners[i]);
	(void)pthread_cond_destroy(&m->changed);
	(void)pthread_mutex_destroy(&m->lock);
	free(m->runners);
	free((void *)m->places);
	free(m->results);
	free(m);
}
