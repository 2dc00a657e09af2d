/* SPDX-License-Identifier: MIT */
/*
 * threads.c - a pool of threads that run functions, in the order in which they were submitted.
 *
 * Everything is under the hub's lock. A thread that sleeps is counted as idle until somebody wakes it, so that a burst of
 * submissions wakes each of them once.
 */
#include <limits.h>
#include <sched.h>
#include <stdio.h>

#include "libcore/thread/future.h"

enum { NAME_MAX_LEN = 16 };

struct pcore_threads {
	struct pcore_threads_spec spec;
	char *name;
	struct hub *hub;
	pthread_cond_t work, room, changed; /* changed: one is ready, or has ended */
	struct pcore_list queue;
	size_t n_queued, n_waiting; /* n_waiting: wait for room */
	pthread_t *ids; /* of n threads */
	unsigned n, n_max, n_named, idle, live;
	bool stopping, joined;
	_Atomic bool cancelling;
};

/* Threads that somebody has begun and waits for. Under the hub's lock. */
struct batch {
	struct pcore_threads *threads;
	unsigned begun, ready;
	int error; /* what init of one of them said */
};

/* ---- a thread ---- */

static void set_name(const struct pcore_threads *t, unsigned number)
{
	char comm[NAME_MAX_LEN], suffix[12];
	int len = snprintf(suffix, sizeof(suffix), "-%u", number);

	if (!t->name)
		return;
	(void)snprintf(comm, sizeof(comm), "%.*s%s", (int)sizeof(comm) - 1 - len, t->name, suffix);
	(void)pthread_setname_np(pthread_self(), comm);
}

void threads_unqueue(struct pcore_threads *t, struct pcore_future *f)
{
	assert(t->n_queued > 0);

	pcore_list_del(&f->link);
	t->n_queued--;
	if (t->n_waiting > 0)
		(void)pthread_cond_signal(&t->room);
}

/* The next function, or NULL: no more will come. With the lock. */
static struct pcore_future *next(struct pcore_threads *t)
{
	struct pcore_future *f;

	while (pcore_list_empty(&t->queue)) {
		if (t->stopping)
			return NULL;
		if (t->idle < t->n)
			t->idle++;
		(void)pthread_cond_wait(&t->work, &t->hub->lock);
	}
	f = container_of(t->queue.next, struct pcore_future, link);
	threads_unqueue(t, f);
	atomic_store(&f->state, FUTURE_RUNNING);
	return f;
}

static void serve(struct pcore_threads *t)
{
	pthread_mutex_t *lock = &t->hub->lock;
	struct pcore_future *f;

	while ((f = next(t))) {
		int64_t result;
		bool call;

		(void)pthread_mutex_unlock(lock);
		result = f->fn(f->arg);
		(void)pthread_mutex_lock(lock);
		future_complete(f, result, FUTURE_DONE);
		call = f->callbacks;
		if (call) {
			(void)pthread_mutex_unlock(lock);
			future_call(f);
			(void)pthread_mutex_lock(lock);
		}
		future_unref_locked(f);
	}
}

static void *run(void *arg)
{
	struct batch *batch = arg; /* not after it was told of this one */
	struct pcore_threads *t = batch->threads;
	pthread_mutex_t *lock = &t->hub->lock;
	unsigned number;
	int r;

	(void)pthread_mutex_lock(lock);
	number = ++t->n_named;
	(void)pthread_mutex_unlock(lock);
	set_name(t, number);
	r = t->spec.init ? t->spec.init(t->spec.arg) : 0;
	(void)pthread_mutex_lock(lock);
	if (r != 0 && batch->error == 0)
		batch->error = r;
	batch->ready++;
	(void)pthread_cond_broadcast(&t->changed);
	if (r == 0)
		serve(t);
	t->live--;
	(void)pthread_cond_broadcast(&t->changed);
	(void)pthread_mutex_unlock(lock);
	return NULL;
}

/* ---- the pool ---- */

static unsigned usable_cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) < 0 ? 1 : (unsigned)CPU_COUNT(&set);
}

static void clear_away(struct pcore_threads *t)
{
	struct hub *h = t->hub;

	if (h) {
		(void)pthread_mutex_lock(&h->lock);
		h->pool = NULL;
		(void)pthread_mutex_unlock(&h->lock);
		hub_unref(h);
	}
	(void)pthread_cond_destroy(&t->work);
	(void)pthread_cond_destroy(&t->room);
	(void)pthread_cond_destroy(&t->changed);
	free(t->ids);
	free(t->name);
	free(t);
}

static int prepare(struct pcore_threads *t, const struct pcore_threads_spec *spec)
{
	int r = pcore_sized_in(&t->spec, sizeof(t->spec), spec);

	if (r < 0)
		return r;
	if (t->spec.threads == 0)
		t->spec.threads = usable_cpus();
	if (t->spec.queue_max == 0)
		t->spec.queue_max = SIZE_MAX;
	if (t->spec.name && !(t->name = strdup(t->spec.name)))
		return -ENOMEM;
	r = hub_new(&t->hub);
	if (r == 0)
		t->hub->pool = t;
	return r;
}

static void join_all(struct pcore_threads *t)
{
	for (unsigned i = 0; i < t->n; i++)
		(void)pthread_join(t->ids[i], NULL);
	t->n = 0;
}

/* With the lock. What has ended meanwhile is joined with the others. */
static int begin_one(struct batch *batch)
{
	struct pcore_threads *t = batch->threads;
	int r;

	if (t->n == t->n_max) {
		unsigned max = t->n_max > 0 ? 2 * t->n_max : t->spec.threads;
		pthread_t *ids = reallocarray(t->ids, max, sizeof(*ids));

		if (!ids)
			return -ENOMEM;
		t->ids = ids;
		t->n_max = max;
	}
	r = -pthread_create(&t->ids[t->n], NULL, run, batch);
	if (r < 0)
		return r;
	t->n++;
	t->live++;
	batch->begun++;
	return 0;
}

/* With the lock: until init has been run by all of them. */
static int wait_for_ready(struct batch *batch)
{
	while (batch->ready < batch->begun)
		(void)pthread_cond_wait(&batch->threads->changed, &batch->threads->hub->lock);
	return batch->error;
}

static int start_all(struct pcore_threads *t)
{
	struct batch batch = { .threads = t };
	int r = 0, error;

	(void)pthread_mutex_lock(&t->hub->lock);
	while (r == 0 && t->n < t->spec.threads)
		r = begin_one(&batch);
	error = wait_for_ready(&batch);
	if (r == 0)
		r = error;
	if (r != 0) {
		t->stopping = true;
		(void)pthread_cond_broadcast(&t->work);
	}
	(void)pthread_mutex_unlock(&t->hub->lock);
	if (r != 0)
		join_all(t);
	return r;
}

int pcore_threads_new(struct pcore_threads **ret, const struct pcore_threads_spec *spec)
{
	struct pcore_threads *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;

	(void)pthread_cond_init(&t->work, NULL);
	(void)pthread_cond_init(&t->room, NULL);
	(void)pthread_cond_init(&t->changed, NULL);
	pcore_list_init(&t->queue);
	r = prepare(t, spec);
	if (r == 0)
		r = start_all(t);
	if (r != 0) {
		clear_away(t);
		return r;
	}
	*ret = t;
	return 0;
}

int pcore_threads_add(struct pcore_threads *t)
{
	struct batch batch = { .threads = t };
	int r;

	(void)pthread_mutex_lock(&t->hub->lock);
	r = t->stopping ? -ESHUTDOWN : begin_one(&batch);
	if (r == 0)
		r = wait_for_ready(&batch);
	(void)pthread_mutex_unlock(&t->hub->lock);
	return r;
}

void pcore_threads_free(struct pcore_threads *t)
{
	if (!t)
		return;

	(void)pcore_threads_shutdown(t, 0, PCORE_FOREVER);
	clear_away(t);
}

static int wait_for_room(struct pcore_threads *t, int64_t timeout)
{
	int64_t deadline = deadline_of(timeout);
	int r = 0;

	t->n_waiting++;
	while (t->n_queued >= t->spec.queue_max && !t->stopping && r == 0)
		r = wait_until(&t->room, &t->hub->lock, deadline);
	t->n_waiting--;
	return t->stopping ? -ESHUTDOWN : t->n_queued < t->spec.queue_max ? 0 : -r;
}

int pcore_threads_submit(struct pcore_threads *t, int64_t (*fn)(void *arg), void *arg, int64_t timeout, struct pcore_future **ret)
{
	struct hub *h = t->hub;
	struct pcore_future *f = NULL;
	bool wake = false;
	int r = 0;

	(void)pthread_mutex_lock(&h->lock);
	if (t->stopping)
		r = -ESHUTDOWN;
	else if (t->n_queued >= t->spec.queue_max)
		r = wait_for_room(t, timeout);
	if (r == 0 && !(f = future_new(h, fn, arg, ret ? 2 : 1)))
		r = -ENOMEM;
	if (r == 0) {
		pcore_list_add_tail(&t->queue, &f->link);
		t->n_queued++;
		wake = t->idle > 0;
		t->idle -= wake;
	}
	(void)pthread_mutex_unlock(&h->lock);
	if (wake)
		(void)pthread_cond_signal(&t->work);
	if (r == 0 && ret)
		*ret = f;
	return r;
}

bool threads_cancelling(const struct pcore_threads *t)
{
	return atomic_load(&t->cancelling);
}

unsigned threads_count(const struct pcore_threads *t)
{
	unsigned n;

	(void)pthread_mutex_lock(&t->hub->lock);
	n = t->n;
	(void)pthread_mutex_unlock(&t->hub->lock);
	return n;
}

static void cancel_queued(struct pcore_threads *t)
{
	pthread_mutex_t *lock = &t->hub->lock;

	atomic_store(&t->cancelling, true);
	(void)pthread_mutex_lock(lock);
	while (!pcore_list_empty(&t->queue)) {
		struct pcore_future *f = container_of(t->queue.next, struct pcore_future, link);

		threads_unqueue(t, f);
		future_complete(f, -ECANCELED, FUTURE_CANCELLED);
		(void)pthread_mutex_unlock(lock);
		future_call(f);
		pcore_future_free(f);
		(void)pthread_mutex_lock(lock);
	}
	(void)pthread_mutex_unlock(lock);
}

int pcore_threads_shutdown(struct pcore_threads *t, int cancel, int64_t timeout)
{
	pthread_mutex_t *lock = &t->hub->lock;
	int64_t deadline = deadline_of(timeout);
	bool join = false;
	int r = 0;

	(void)pthread_mutex_lock(lock);
	t->stopping = true;
	(void)pthread_cond_broadcast(&t->work);
	(void)pthread_cond_broadcast(&t->room);
	(void)pthread_mutex_unlock(lock);
	if (cancel)
		cancel_queued(t);
	(void)pthread_mutex_lock(lock);
	for (unsigned i = 0; i < t->n && !t->joined && timeout != 0; i++)
		if (pthread_equal(t->ids[i], pthread_self()))
			r = EDEADLK;
	while (t->live > 0 && r == 0)
		r = wait_until(&t->changed, lock, deadline);
	if (t->live == 0)
		r = 0;
	join = r == 0 && !t->joined;
	t->joined = t->joined || join;
	(void)pthread_mutex_unlock(lock);
	if (join)
		join_all(t);
	return -r;
}
