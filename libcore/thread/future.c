/* SPDX-License-Identifier: MIT */
/*
 * future.c - what comes of functions that were submitted: results, cancelling, callbacks, and waiting for any or all.
 *
 * Who waits is in the list of each future it waits for. It has a lock of its own, which is taken last, because the futures may be
 * of several pools.
 */
#include "libcore/thread/future.h"

struct waiting {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	size_t left; /* to be done until it is over */
	bool any, any_error;
};

struct watcher {
	struct pcore_list link;
	struct waiting *waiting;
};

/* ---- the hub ---- */

int hub_new(struct hub **ret)
{
	struct hub *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;

	(void)pthread_mutex_init(&h->lock, NULL);
	atomic_store(&h->refs, 1);
	pcore_list_init(&h->spare);
	*ret = h;
	return 0;
}

void hub_unref(struct hub *h)
{
	struct pcore_list *node;

	if (atomic_fetch_sub(&h->refs, 1) > 1)
		return;
	while ((node = pcore_list_pop(&h->spare)))
		free(container_of(node, struct pcore_future, link));
	(void)pthread_mutex_destroy(&h->lock);
	free(h);
}

struct pcore_future *future_new(struct hub *h, int64_t (*fn)(void *), void *arg, unsigned refs)
{
	struct pcore_list *node = pcore_list_pop(&h->spare);
	struct pcore_future *f = node ? container_of(node, struct pcore_future, link) : malloc(sizeof(*f));

	if (!f)
		return NULL;
	if (node)
		h->n_spare--;
	f->hub = h;
	f->fn = fn;
	f->arg = arg;
	f->result = 0;
	atomic_init(&f->state, FUTURE_PENDING);
	atomic_init(&f->refs, refs);
	pcore_list_init(&f->link);
	pcore_list_init(&f->watchers);
	f->callbacks = NULL;
	f->last_callback = &f->callbacks;
	atomic_fetch_add(&h->refs, 1);
	return f;
}

/* Spare ones do not keep the hub: the pool does as long as it is there, and then there is no use for them. */
void future_unref_locked(struct pcore_future *f)
{
	struct hub *h = f->hub;

	if (atomic_fetch_sub(&f->refs, 1) > 1)
		return;
	if (h->pool && h->n_spare < SPARE_MAX) {
		pcore_list_add_tail(&h->spare, &f->link);
		h->n_spare++;
	} else {
		free(f);
	}
	atomic_fetch_sub(&h->refs, 1); /* the caller has one */
}

void pcore_future_free(struct pcore_future *f)
{
	struct hub *h;

	if (!f || atomic_fetch_sub(&f->refs, 1) > 1)
		return;
	h = f->hub;
	free(f);
	hub_unref(h);
}

/* ---- the end of one ---- */

static bool failed(const struct pcore_future *f)
{
	return atomic_load(&f->state) == FUTURE_CANCELLED || f->result < 0;
}

static void tell(struct waiting *w, bool error)
{
	(void)pthread_mutex_lock(&w->lock);
	if (w->left > 0)
		w->left--;
	if (w->any || (w->any_error && error))
		w->left = 0;
	if (w->left == 0)
		(void)pthread_cond_signal(&w->cond);
	(void)pthread_mutex_unlock(&w->lock);
}

void future_complete(struct pcore_future *f, int64_t result, enum future_state state)
{
	struct pcore_list *node;

	f->result = result;
	atomic_store(&f->state, state);
	while ((node = pcore_list_pop(&f->watchers)))
		tell(container_of(node, struct watcher, link)->waiting, failed(f));
}

void future_call(struct pcore_future *f)
{
	struct callback *c = f->callbacks;

	while (c) { /* nobody adds any more */
		struct callback *next = c->next;

		c->fn(f, c->arg);
		free(c);
		c = next;
	}
}

int pcore_future_then(struct pcore_future *f, void (*fn)(struct pcore_future *f, void *arg), void *arg)
{
	struct callback *c = malloc(sizeof(*c));
	bool over;

	if (!c)
		return -ENOMEM;

	*c = (struct callback){ .fn = fn, .arg = arg };
	(void)pthread_mutex_lock(&f->hub->lock);
	over = future_over(f);
	if (!over) {
		*f->last_callback = c;
		f->last_callback = &c->next;
	}
	(void)pthread_mutex_unlock(&f->hub->lock);
	if (over) {
		free(c);
		fn(f, arg);
	}
	return 0;
}

int pcore_future_cancel(struct pcore_future *f)
{
	struct hub *h = f->hub;
	int state;

	(void)pthread_mutex_lock(&h->lock);
	state = atomic_load(&f->state);
	if (state == FUTURE_PENDING) {
		threads_unqueue(h->pool, f);
		future_complete(f, -ECANCELED, FUTURE_CANCELLED);
	}
	(void)pthread_mutex_unlock(&h->lock);
	if (state == FUTURE_PENDING) {
		future_call(f);
		pcore_future_free(f); /* the queue's reference */
	}
	return state == FUTURE_RUNNING ? -EBUSY : state == FUTURE_DONE ? -EALREADY : 0;
}

int pcore_future_running(const struct pcore_future *f)
{
	return atomic_load(&f->state) == FUTURE_RUNNING;
}

int pcore_future_done(const struct pcore_future *f)
{
	return future_over(f);
}

/* ---- waiting ---- */

static void watch(struct pcore_future *f, struct watcher *watcher, struct waiting *w)
{
	bool over;

	watcher->waiting = w;
	pcore_list_init(&watcher->link);
	(void)pthread_mutex_lock(&f->hub->lock);
	over = future_over(f);
	if (!over)
		pcore_list_add_tail(&f->watchers, &watcher->link);
	(void)pthread_mutex_unlock(&f->hub->lock);
	if (over)
		tell(w, failed(f));
}

static void unwatch(struct pcore_future *f, struct watcher *watcher)
{
	(void)pthread_mutex_lock(&f->hub->lock);
	pcore_list_del(&watcher->link);
	(void)pthread_mutex_unlock(&f->hub->lock);
}

static int wait_with(struct watcher *watchers, struct pcore_future *const *f, size_t n, int how, int64_t deadline)
{
	struct waiting w = {
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.cond = PTHREAD_COND_INITIALIZER,
		.any = how == PCORE_WAIT_FIRST,
		.any_error = how == PCORE_WAIT_FIRST_ERROR,
	};
	int r = 0;

	for (size_t i = 0; i < n; i++)
		w.left += f[i] != NULL;
	for (size_t i = 0; i < n; i++)
		if (f[i])
			watch(f[i], &watchers[i], &w);
	(void)pthread_mutex_lock(&w.lock);
	while (w.left > 0 && r == 0)
		r = wait_until(&w.cond, &w.lock, deadline);
	if (w.left == 0)
		r = 0;
	(void)pthread_mutex_unlock(&w.lock);
	for (size_t i = 0; i < n; i++)
		if (f[i])
			unwatch(f[i], &watchers[i]);
	(void)pthread_cond_destroy(&w.cond);
	(void)pthread_mutex_destroy(&w.lock);
	return -r;
}

int pcore_futures_wait(struct pcore_future *const *f, size_t n, int how, int64_t timeout)
{
	int64_t deadline = deadline_of(timeout);
	struct watcher *watchers;
	int r;

	if (how < PCORE_WAIT_ALL || how > PCORE_WAIT_FIRST_ERROR)
		return -EINVAL;
	watchers = calloc(n ? n : 1, sizeof(*watchers));
	if (!watchers)
		return -ENOMEM;
	r = wait_with(watchers, f, n, how, deadline);
	free(watchers);
	return r;
}

int pcore_future_result(struct pcore_future *f, int64_t timeout, int64_t *ret)
{
	struct watcher watcher;
	int r = future_over(f) ? 0 : wait_with(&watcher, &f, 1, PCORE_WAIT_ALL, deadline_of(timeout));

	if (r < 0)
		return r;
	if (atomic_load(&f->state) == FUTURE_CANCELLED)
		return -ECANCELED;
	if (ret)
		*ret = f->result;
	return 0;
}

static struct pcore_future *take_done(struct pcore_future **f, size_t n, bool *ret_any)
{
	struct pcore_future *found = NULL;

	*ret_any = false;
	for (size_t i = 0; i < n; i++) {
		*ret_any = *ret_any || f[i];
		if (!found && f[i] && future_over(f[i]))
			found = f[i];
		if (found && f[i] == found)
			f[i] = NULL;
	}
	return found;
}

int pcore_futures_next(struct pcore_future **f, size_t n, int64_t timeout, struct pcore_future **ret)
{
	int64_t deadline = deadline_of(timeout);
	struct watcher *watchers;
	bool any;
	int r;

	if ((*ret = take_done(f, n, &any)) || !any)
		return any;
	watchers = calloc(n, sizeof(*watchers));
	if (!watchers)
		return -ENOMEM;
	r = wait_with(watchers, f, n, PCORE_WAIT_FIRST, deadline);
	free(watchers);
	if (r < 0)
		return r;
	*ret = take_done(f, n, &any);
	return 1;
}
