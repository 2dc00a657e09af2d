/* SPDX-License-Identifier: MIT */
/*
 * watch.c - a queue as a source of events for a loop.
 *
 * The thread waits in two places: for `go', and in the queue for an item. It is asked to stop in both.
 */
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "libcore/queue/ops.h"

static void post(int efd)
{
	const uint64_t one = 1;

	(void)pcore_fd_write_all(efd, &one, sizeof(one));
}

static void *wait_for_items(void *arg)
{
	struct pcore_queue_watch *w = arg;
	uint64_t count;

	while (!atomic_load(&w->stop)) {
		ssize_t n = read(w->go, &count, sizeof(count));

		if (n != (ssize_t)sizeof(count) || atomic_load(&w->stop))
			continue;
		atomic_store(&w->result, w->queue->ops->poll(w->queue, &w->stop, INT64_MAX));
		post(w->told);
	}
	return NULL;
}

static void watch_told(struct pcore_op *op, int res)
{
	struct pcore_queue_watch *w = container_of(op, struct pcore_queue_watch, op);

	if (!atomic_load(&w->stop))
		w->ready(w, res < 0 ? res : atomic_load(&w->result));
}

int pcore_queue_watch_again(struct pcore_queue_watch *w)
{
	int r = pcore_op_read(w->loop, &w->op, w->told, &w->count, sizeof(w->count), -1);

	if (r == 0)
		post(w->go);
	return r;
}

/* No signal of the program is handled by this thread. */
static int start_thread(struct pcore_queue_watch *w)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(&w->thread, NULL, wait_for_items, w);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

int pcore_queue_watch_start(struct pcore_queue_watch *w, struct pcore_loop *lp, struct pcore_queue *q)
{
	int r;

	assert(w->ready);

	w->queue = q;
	w->loop = lp;
	w->op = (struct pcore_op){ .done = watch_told };
	atomic_store(&w->stop, false);
	w->told = eventfd(0, EFD_CLOEXEC);
	w->go = eventfd(0, EFD_CLOEXEC);
	r = w->told < 0 || w->go < 0 ? -errno : start_thread(w);
	if (r < 0) {
		w->told = pcore_fd_close(w->told);
		w->go = pcore_fd_close(w->go);
		return r;
	}
	r = pcore_queue_watch_again(w);
	if (r < 0)
		pcore_queue_watch_stop(w);
	return r;
}

void pcore_queue_watch_stop(struct pcore_queue_watch *w)
{
	w->queue->ops->cancel(w->queue, &w->stop);
	post(w->go);
	(void)pthread_join(w->thread, NULL);
	pcore_op_cancel(w->loop, &w->op);
	w->told = pcore_fd_close(w->told);
	w->go = pcore_fd_close(w->go);
}
