/* SPDX-License-Identifier: MIT */
/*
 * worker_job.c - a worker that is a job of another executor: its items are the input of that job, its answers the output.
 *
 * It waits there until there is room for it, and the item that it was started for waits with it, unless another worker
 * has room before. That it runs is known when it asks for input.
 *
 * What it was given lies in w->going until it has taken all of it, and what comes meanwhile in w->in.
 */
#include "libcore/pool/worker.h"

#include <string.h>

static struct worker *worker_of(struct pcore_job *job)
{
	return container_of(job, struct worker, job);
}

/* ---- its input ---- */

static void up(struct worker *w)
{
	const struct pcore_job_result *r = &w->job.result;

	w->pid = r->pid;
	w->node = r->node;
	w->number = w->job.slot;
	workers_up(w);
}

int pcore_worker_input(void *ctx, struct pcore_job *job, struct pcore_piece *ret)
{
	struct worker *w = worker_of(job);
	struct pcore_buf taken = w->going;

	(void)ctx;
	if (w->state == STARTING)
		up(w);
	pcore_buf_clear(&taken);
	w->going = w->in;
	w->in = taken;
	w->asked = w->going.len == 0;
	worker_place(w);
	pcore_pool_kick(w->pool->ex.pool);
	if (w->asked && w->state == CLOSING) {
		w->closed_at = pcore_loop_now(w->pool->loop);
		worker_set_timer(w);
		return -ENODATA;
	}
	if (w->asked)
		return 0;
	w->given += w->going.len;
	*ret = (struct pcore_piece){ .data = w->going.data, .len = w->going.len };
	return 1;
}

void pcore_worker_input_over(void *ctx, struct pcore_job *job, uint64_t left)
{
	struct worker *w = worker_of(job);

	(void)ctx;
	w->asked = false;
	w->has_read = w->given > left && !w->unread;
}

void pcore_worker_waits(struct pcore_job *job)
{
	struct worker *w = worker_of(job);

	if (w->state == SERVING && w->n > 0 && w->asked && w->in.len == 0 && !w->paused)
		worker_wants_more(w);
}

void pcore_worker_silent(struct pcore_job *job)
{
	struct worker *w = worker_of(job);

	if (w->paused)
		return;
	worker_fell_silent(w);
	worker_set_timer(w);
}

void pcore_worker_unread(struct pcore_job *job)
{
	worker_of(job)->unread = true;
}

static void pump(struct worker *w)
{
	if (!w->asked || w->closed_at || (w->in.len == 0 && w->state != CLOSING))
		return;
	w->asked = false;
	w->pool->spec.home.feed(&w->job);
}

static bool has_read(const struct worker *w)
{
	return w->has_read;
}

/* Whether it does is known where it is, and told. */
static bool waits(const struct worker *w)
{
	(void)w;
	return false;
}

static void drop(struct worker *w)
{
	w->asked = false;
	pcore_buf_done(&w->in);
	pcore_buf_done(&w->going);
}

/* ---- what the pool of the workers asks and tells ---- */

static int next(void *ctx, struct pcore_job **ret)
{
	struct workers *l = ctx;
	struct pcore_list *node = pcore_list_pop(&l->wanted);
	unsigned room = workers_max(l);

	if (room != l->room)
		pcore_pool_kick(l->ex.pool);
	l->room = room;
	if (!node)
		return 0;
	*ret = &container_of(node, struct worker, wanted)->job;
	return 1;
}

/* Its number is nothing that it should know: items have numbers. */
static void started(void *ctx, struct pcore_job *job)
{
	(void)ctx;
	job->seq = 0;
}

static bool output(void *ctx, struct pcore_job *job, enum pcore_job_stream stream, const char *data, size_t len)
{
	const struct workers *l = ctx;
	struct worker *w = worker_of(job);

	if (stream == PCORE_JOB_STDERR)
		return l->spec.errors(l->spec.ctx, w->slot, data, len);
	w->paused = false;
	w->silent_at = 0; /* it is told again */
	worker_wrote(w, data, len);
	return !w->paused;
}

static void again(void *ctx, struct pcore_job *job)
{
	(void)ctx;
	(void)job;
	assert(!"a worker that has begun is not run again");
}

static void over(struct worker *w)
{
	w->over = true;
	worker_step(w, EXITED);
}

static void done(void *ctx, struct pcore_job *job)
{
	const struct workers *l = ctx;
	struct worker *w = worker_of(job);

	w->exit = job->result.exit;
	w->exited = w->exit.code != 0;
	w->lost = job->result.lost;
	w->error = job->result.error;
	(void)l->spec.errors(l->spec.ctx, w->slot, NULL, 0);
	over(w);
}

static void idle(void *ctx)
{
	struct workers *l = ctx;

	l->home_idle = true;
	pcore_pool_kick(l->ex.pool);
}

/* ---- its life ---- */

static bool runs(const struct worker *w)
{
	return w->job.state == PCORE_JOB_RUNNING || w->job.state == PCORE_JOB_EXITED;
}

static int start(struct worker *w, struct pcore_err *err)
{
	struct workers *l = w->pool;

	(void)err;
	w->job = (struct pcore_job){ .seq = 0 };
	w->going = PCORE_BUF_INIT(0);
	w->pid = 0;
	w->node = NULL;
	w->number = w->slot;
	w->given = 0;
	w->asked = w->has_read = w->unread = w->paused = w->over = w->lost = false;
	w->error.code = 0;
	w->state = STARTING;
	pcore_list_add_tail(&l->wanted, &w->wanted);
	pcore_pool_kick(l->home);
	return 0;
}

static void end(struct worker *w)
{
	if (pcore_list_empty(&w->wanted)) {
		pcore_pool_end(w->pool->home, &w->job);
		return;
	}
	pcore_list_del(&w->wanted);
	over(w);
}

static void kill_it(struct worker *w)
{
	struct pcore_executor *ex = w->pool->spec.home.ex;

	if (runs(w))
		ex->ops->kill(ex, &w->job);
}

static void pass_on(struct worker *w, int sig)
{
	const struct pcore_worker_home *h = &w->pool->spec.home;

	if (runs(w))
		h->ex->ops->signal(h->ex, &w->job, sig);
}

static void pause_it(struct worker *w)
{
	w->paused = true;
}

static void resume(struct worker *w)
{
	w->paused = false;
	pcore_pool_resume(w->pool->home, &w->job);
}

static bool is_over(const struct worker *w)
{
	return w->over;
}

static int make(struct worker *w, struct pcore_err *err)
{
	(void)err;
	pcore_list_init(&w->wanted);
	return 0;
}

static void unmake(struct worker *w)
{
	pcore_buf_done(&w->going);
}

static int begin(struct workers *l)
{
	static const struct pcore_pool_owner owner = {
		.next = next, .started = started, .output = output, .again = again, .done = done, .idle = idle
	};
	const struct pcore_pool_spec spec = { .jobs = l->spec.jobs };

	return pcore_pool_new(&l->home, l->loop, &spec, &owner, l, l->spec.home.ex);
}

static void finish(struct workers *l)
{
	pcore_pool_free(l->home);
}

const struct worker_seat worker_job = {
	.begin = begin,
	.finish = finish,
	.make = make,
	.unmake = unmake,
	.start = start,
	.pump = pump,
	.drop = drop,
	.end = end,
	.kill = kill_it,
	.pass_on = pass_on,
	.pause = pause_it,
	.resume = resume,
	.resume_errors = resume,
	.waits = waits,
	.has_read = has_read,
	.is_over = is_over,
	.is_gone = is_over,
};
