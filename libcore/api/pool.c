/* SPDX-License-Identifier: MIT */
/*
 * pool.c - the pool that users see: opened and closed, mapped over, asked for single calls.
 */
#include "libcore/api/calls.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WORKERS_MAX = 4096 };

unsigned pcore_cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) < 0 ? 1 : (unsigned)CPU_COUNT(&set);
}

/* ---- the pool ---- */

static void detach(struct pcore_list *tasks)
{
	struct pcore_list *node;

	while ((node = pcore_list_pop(tasks)))
		container_of(node, struct pcore_task, link)->pool = NULL;
}

/* Its processes end when their sockets do. */
static void pool_free(struct pcore_workers *w)
{
	struct pcore_list *node;

	for (unsigned i = 0; w->procs && i < w->n; i++)
		w->procs[i].fd = pcore_fd_close(w->procs[i].fd);
	for (unsigned i = 0; w->procs && i < w->n; i++) {
		struct pcore_exit e;

		if (w->procs[i].pidfd >= 0)
			pcore_worker_process_end(&w->procs[i], false, &e);
		pcore_worker_process_done(&w->procs[i]);
	}
	detach(&w->done);
	detach(&w->told);
	while ((node = pcore_list_pop(&w->spare)))
		free(container_of(node, struct pcore_task, link));
	(void)pcore_fd_close(w->parent_pidfd);
	free(w->procs);
	free(w->polls);
	free(w->fds);
	free(w);
}

static int pool_new(struct pcore_workers **ret, const struct pcore_workers_spec *spec)
{
	struct pcore_workers *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->spec = *spec;
	w->n = spec->workers ? spec->workers : pcore_cpus();
	pcore_list_init(&w->queue);
	pcore_list_init(&w->done);
	pcore_list_init(&w->told);
	pcore_list_init(&w->spare);
	w->procs = calloc(w->n, sizeof(*w->procs));
	w->polls = calloc(w->n, sizeof(*w->polls));
	w->fds = calloc(w->n, sizeof(*w->fds));
	for (unsigned i = 0; w->procs && i < w->n; i++)
		w->procs[i].fd = w->procs[i].pidfd = -EBADF;
	w->parent_pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (w->parent_pidfd < 0 || !w->procs || !w->polls || !w->fds) {
		int r = w->parent_pidfd < 0 ? -errno : -ENOMEM;

		pool_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

/* All processes are started, or none will be. */
static int wait_ready(struct pcore_workers *w)
{
	for (unsigned i = 0; i < w->n; i++) {
		while (w->procs[i].fd >= 0 && !w->procs[i].ready) {
			int r = pcore_calls_turn(w, INT64_MAX);

			if (r < 0)
				return r;
		}
		if (!w->procs[i].ready)
			return w->unfit_status < 0 ? w->unfit_status : -ECANCELED;
	}
	return 0;
}

int pcore_pool_open(struct pcore_workers **ret, const struct pcore_workers_spec *spec)
{
	struct pcore_workers_spec in = { .size = sizeof(in) };
	struct pcore_workers *w = NULL;
	int r = spec ? pcore_sized_in(&in, sizeof(in), spec) : 0;

	if (r == 0 && (!ret || in.workers > WORKERS_MAX))
		r = -EINVAL;
	if (r == 0)
		r = pool_new(&w, &in);
	if (r < 0)
		return r;

	(void)fflush(NULL); /* or they would write it, too */
	r = pcore_calls_start(w);
	for (unsigned i = 0; r == 0 && i < w->n; i++)
		r = w->procs[i].fd < 0 ? -EAGAIN : 0;
	if (r == 0)
		r = wait_ready(w);
	if (r < 0) {
		pool_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

/* What cannot be done any more. */
static void give_up(struct pcore_workers *w, int status)
{
	pcore_calls_abort(w, NULL);
	while (!pcore_list_empty(&w->queue))
		pcore_calls_complete(w, container_of(w->queue.next, struct pcore_task, link), status, NULL, 0);
}

void pcore_pool_close(struct pcore_workers *w)
{
	int r = 0;

	if (!w)
		return;
	while (r == 0 && (!pcore_list_empty(&w->queue) || w->n_running > 0))
		r = pcore_calls_turn(w, INT64_MAX);
	give_up(w, r);
	pool_free(w);
}

void pcore_pool_terminate(struct pcore_workers *w)
{
	if (!w)
		return;
	for (unsigned i = 0; i < w->n; i++)
		if (w->procs[i].fd >= 0)
			(void)pcore_child_signal(w->procs[i].pidfd, SIGKILL);
	give_up(w, -ECANCELED);
	pool_free(w);
}

/* One thread at a time. */
static int enter(struct pcore_workers *w)
{
	if (!w)
		return -EINVAL;
	return __atomic_exchange_n(&w->busy, true, __ATOMIC_SEQ_CST) ? -EBUSY : 0;
}

static void leave(struct pcore_workers *w)
{
	__atomic_store_n(&w->busy, false, __ATOMIC_SEQ_CST);
}

/* ---- many ---- */

static int run_map(struct pcore_workers *w, struct map *m)
{
	int r = enter(w);

	if (r < 0)
		return r;
	w->map = m;
	while (r == 0 && m->finished < m->n)
		r = pcore_calls_turn(w, INT64_MAX);
	if (r < 0) {
		pcore_calls_abort(w, m);
		PCORE_LIST_FOREACH_SAFE(node, &w->queue) {
			struct pcore_task *t = container_of(node, struct pcore_task, link);

			if (t->map)
				pcore_calls_complete(w, t, r, NULL, 0);
		}
	}
	w->map = NULL;
	leave(w);
	if (r == 0 && m->failed)
		r = -EREMOTEIO;
	return r;
}

int pcore_pool_map(struct pcore_workers *w, pcore_pool_fn fn, const void *items, size_t n, size_t item_size, void *results,
	size_t result_size, int *statuses)
{
	struct map m = {
		.fn = fn,
		.items = items,
		.item_size = item_size,
		.n = n,
		.results = results,
		.result_size = result_size,
		.statuses = statuses,
	};

	if (!fn || (!items && n > 0 && item_size > 0))
		return -EINVAL;
	return run_map(w, &m);
}

int pcore_pool_starmap(struct pcore_workers *w, pcore_pool_star_fn fn, const struct pcore_arg *args, size_t n, size_t n_args,
	void *results, size_t result_size, int *statuses)
{
	struct map m = {
		.star_fn = fn,
		.args = args,
		.n_args = n_args,
		.n = n,
		.results = results,
		.result_size = result_size,
		.statuses = statuses,
	};

	if (!fn || n_args > PCORE_POOL_ARGS_MAX || (!args && n > 0 && n_args > 0))
		return -EINVAL;
	for (size_t i = 0; i < n * n_args; i++)
		if (!args[i].data && args[i].size > 0)
			return -EINVAL;
	return run_map(w, &m);
}

/* ---- one ---- */

static int submit(
	struct pcore_workers *w, pcore_pool_fn fn, const void *item, size_t size, void *tag, struct pcore_task **ret)
{
	struct pcore_task *t = malloc(sizeof(*t) + size);

	if (!t)
		return -ENOMEM;
	*t = (struct pcore_task){ .pool = w, .fn = fn, .item = t->copy, .size = size, .tag = tag };
	if (size > 0)
		memcpy(t->copy, item, size);
	pcore_list_init(&t->link);
	pcore_list_add_tail(&w->queue, &t->link);
	*ret = t;
	return 0;
}

int pcore_pool_async(
	struct pcore_workers *w, pcore_pool_fn fn, const void *item, size_t size, void *tag, struct pcore_task **ret)
{
	struct pcore_task *t;
	int r = !fn || !ret || (!item && size > 0) ? -EINVAL : enter(w);

	if (r < 0)
		return r;
	r = submit(w, fn, item, size, tag, &t);
	if (r == 0) {
		r = pcore_calls_turn(w, 0); /* it begins, if a process is free */
		if (r == -ETIMEDOUT || t->state != TASK_QUEUED)
			r = 0;
		if (r < 0)
			pcore_task_free(t);
	}
	leave(w);
	if (r == 0)
		*ret = t;
	return r;
}

static int wait_task(struct pcore_workers *w, const struct pcore_task *t, int64_t deadline)
{
	int r = 0;

	while (r == 0 && t->state != TASK_DONE)
		r = pcore_calls_turn(w, deadline);
	if (r == -ENOTRECOVERABLE) { /* it never will be */
		give_up(w, r);
		r = 0;
	}
	return r;
}

int pcore_task_wait(struct pcore_task *t, int64_t timeout)
{
	struct pcore_workers *w;
	int r;

	if (!t)
		return -EINVAL;
	w = t->pool;
	if (t->state == TASK_DONE)
		return 0;
	r = enter(w);
	if (r < 0)
		return r;
	r = wait_task(w, t, pcore_deadline(timeout));
	leave(w);
	return r;
}

int pcore_pool_next(struct pcore_workers *w, int64_t timeout, struct pcore_task **ret)
{
	int64_t deadline = pcore_deadline(timeout);
	int r = !ret ? -EINVAL : enter(w);

	if (r < 0)
		return r;
	while (r == 0 && pcore_list_empty(&w->done)) {
		if (pcore_list_empty(&w->queue) && w->n_running == 0)
			r = -ENODATA;
		else
			r = pcore_calls_turn(w, deadline);
		if (r == -ENOTRECOVERABLE) {
			give_up(w, r);
			r = 0;
		}
	}
	if (r == 0) {
		*ret = container_of(w->done.next, struct pcore_task, link);
		pcore_list_del(&(*ret)->link);
		pcore_list_add_tail(&w->told, &(*ret)->link);
	}
	leave(w);
	return r;
}

int pcore_pool_apply(struct pcore_workers *w, pcore_pool_fn fn, const void *item, size_t size, void *result, size_t result_max,
	size_t *ret_size)
{
	struct pcore_task *t;
	int r = !result && result_max > 0 ? -EINVAL : pcore_pool_async(w, fn, item, size, NULL, &t);

	if (r < 0)
		return r;
	r = pcore_task_wait(t, PCORE_FOREVER);
	if (r == 0)
		r = t->status;
	if (r == 0 && t->out_size > result_max)
		r = -EMSGSIZE;
	if (r == 0 && t->out_size > 0)
		memcpy(result, t->out, t->out_size);
	if (r == 0 && ret_size)
		*ret_size = t->out_size;
	pcore_task_free(t);
	return r;
}

int pcore_task_status(const struct pcore_task *t)
{
	return t->state == TASK_DONE ? t->status : -EAGAIN;
}

const void *pcore_task_result(const struct pcore_task *t, size_t *ret_size)
{
	if (ret_size)
		*ret_size = t->out_size;
	return t->out;
}

int pcore_task_signal(const struct pcore_task *t)
{
	return t->signal;
}

void *pcore_task_tag(const struct pcore_task *t)
{
	return t->tag;
}

void pcore_task_free(struct pcore_task *t)
{
	if (!t)
		return;
	if (t->state == TASK_RUNNING) { /* freed when it has ended */
		t->dropped = true;
		return;
	}
	pcore_list_del(&t->link);
	free(t->out);
	free(t);
}
