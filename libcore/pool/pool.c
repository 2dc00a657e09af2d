/* SPDX-License-Identifier: MIT */
/*
 * pool.c - the dispatcher.
 *
 * A job is in exactly one place: with its owner, in `ready` (to be started, ahead of new ones), in the heap `retries`, or
 * in `active` (running or exited). dispatch() is the only place where jobs start; it runs from the loop, never from within
 * a callback of an executor, because those only note that there is something to do.
 */
#include "libcore/pool/pool.h"

#include <string.h>
#include <sys/wait.h>

/* How long a pool with nothing running waits before it tries again to start a job that it was too short for. */
#define SHORTAGE_FIRST_NS (10 * NS_PER_MS)
#define SHORTAGE_GIVE_UP_NS (10 * NS_PER_S)

/* After this many finished jobs a lowered limit is raised by one. */
enum { RAISE_AFTER = 32 };

struct pcore_pool {
	struct pcore_loop *loop;
	struct pcore_pool_spec spec;
	struct pcore_pool_owner owner;
	void *ctx;
	struct pcore_executor *ex;

	struct pcore_list ready, active;
	struct pcore_heap retries;
	struct pcore_pool_counts counts;
	uint64_t next_seq;
	uint64_t *slots; /* a bit a slot, set: taken */
	size_t n_slot_words;

	unsigned limit;		/* running at a time: spec.jobs, lowered by shortages */
	unsigned since_lowered; /* jobs finished since */
	int64_t shortage_ns;	/* how long nothing could be started, with nothing running */
	int64_t next_start;	/* monotonic: not before */

	enum pcore_pool_stop stopping;
	bool held, source_dry, idle;
	int halt_status;

	struct pcore_op work_op; /* dispatch soon, or at a time */
	bool kicked;
};

static void dispatch(struct pcore_pool *p);

/* ---- results ---- */

bool pcore_job_succeeded(const struct pcore_job *job)
{
	const struct pcore_job_result *r = &job->result;

	return r->error.code == 0 && !r->timed_out && !r->lost && r->exit.code == CLD_EXITED && r->exit.status == 0;
}

int pcore_job_status(const struct pcore_job *job)
{
	const struct pcore_job_result *r = &job->result;

	if (r->error.code == 0 && r->timed_out)
		return 124;
	if (r->error.code == 0 && r->lost && r->exit.code == CLD_EXITED && r->exit.status == 0)
		return 1;
	if (r->error.code == 0)
		return pcore_exit_status(&r->exit);
	if (r->error.step != PCORE_STEP_EXEC)
		return 125;
	return r->error.code == -ENOENT || r->error.code == -ENOTDIR ? 127 : 126;
}

static bool is_shortage(int error)
{
	return error == -EAGAIN || error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOSPC;
}

/* ---- when to work ---- */

/* The next moment at which something may start, INT64_MAX for none. */
static int64_t next_work(const struct pcore_pool *p)
{
	const struct pcore_heap_node *top = pcore_heap_top(&p->retries);
	int64_t at = top ? top->key : INT64_MAX;

	if (p->kicked)
		return 0;
	if (p->next_start && p->next_start < at)
		at = p->next_start;
	return at;
}

static void schedule(struct pcore_pool *p)
{
	int64_t at = next_work(p);

	if (pcore_op_live(&p->work_op))
		pcore_op_cancel(p->loop, &p->work_op); /* comes home and is set anew */
	else if (at != INT64_MAX)
		(void)pcore_op_timer(p->loop, &p->work_op, PCORE_CLOCK_MONOTONIC, at);
}

static void work_due(struct pcore_op *op, int res)
{
	struct pcore_pool *p = container_of(op, struct pcore_pool, work_op);

	(void)res;
	dispatch(p);
}

void pcore_pool_kick(struct pcore_pool *p)
{
	if (p->kicked)
		return;
	p->kicked = true;
	schedule(p);
}

/* ---- slots ---- */

static bool shares_out_slots(const struct pcore_pool *p)
{
	return !p->ex->ops->has_room;
}

static unsigned take_slot(struct pcore_pool *p)
{
	if (!shares_out_slots(p))
		return 0;
	for (unsigned i = 0;; i++) {
		assert(i < p->n_slot_words);
		if (p->slots[i] != UINT64_MAX) {
			unsigned bit = (unsigned)__builtin_ctzll(~p->slots[i]);

			p->slots[i] |= UINT64_C(1) << bit;
			return i * 64 + bit + 1;
		}
	}
}

static void give_slot(struct pcore_pool *p, unsigned slot)
{
	if (!shares_out_slots(p))
		return;
	assert(slot > 0);
	p->slots[(slot - 1) / 64] &= ~(UINT64_C(1) << ((slot - 1) % 64));
}

/* ---- halt ---- */

static bool halt_reached(const struct pcore_pool *p)
{
	const struct pcore_pool_halt *h = &p->spec.halt;
	uint64_t ended = p->counts.succeeded + p->counts.failed;
	uint64_t n = h->on_success ? p->counts.succeeded : p->counts.failed;

	if (!h->percent)
		return n >= h->n;
	return ended >= 3 && n * 100 >= h->n * ended; /* a share of fewer says nothing */
}

static void check_halt(struct pcore_pool *p, const struct pcore_job *job, bool success)
{
	const struct pcore_pool_halt *h = &p->spec.halt;

	if (h->when == PCORE_HALT_NEVER || p->halt_status >= 0 || success != h->on_success || !halt_reached(p))
		return;
	p->halt_status = pcore_job_status(job);
	pcore_pool_stop(p, h->when == PCORE_HALT_NOW ? PCORE_POOL_END : PCORE_POOL_DRAIN);
}

/* ---- the life of a job ---- */

static void deliver(struct pcore_pool *p, struct pcore_job *job)
{
	bool success = pcore_job_succeeded(job);

	job->state = PCORE_JOB_DONE;
	if (success)
		p->counts.succeeded++;
	else
		p->counts.failed++;
	check_halt(p, job, success);
	p->owner.done(p->ctx, job);
}

static bool may_retry(const struct pcore_pool *p, const struct pcore_job *job)
{
	if (p->stopping != PCORE_POOL_RUN || job->given_up || job->attempt > p->spec.retries + job->retries)
		return false;
	return job->result.error.code == 0; /* what cannot be run will not run the next time */
}

/* An attempt is over. */
static void conclude(struct pcore_pool *p, struct pcore_job *job)
{
	if (pcore_job_succeeded(job) || !may_retry(p, job)) {
		deliver(p, job);
		return;
	}
	p->owner.again(p->ctx, job);
	job->state = PCORE_JOB_NEW;
	job->retry.key = pcore_ns_add(pcore_now_ns(), pcore_ns_add(p->spec.retry_delay, job->retry_delay));
	if (pcore_heap_insert(&p->retries, &job->retry) < 0)
		deliver(p, job);
	else
		p->counts.waiting++;
}

static void lower_limit(struct pcore_pool *p, int error)
{
	unsigned limit = p->counts.running ? p->counts.running : 1;

	if (!shares_out_slots(p))
		return;
	if (limit < p->limit && p->owner.limited)
		p->owner.limited(p->ctx, limit, error);
	p->limit = limit < p->limit ? limit : p->limit;
	p->since_lowered = 0;
}

/* Short of processes, descriptors or memory. False: for too long, and nothing of ours will make room. */
static bool wait_for_room(struct pcore_pool *p, int error)
{
	lower_limit(p, error);
	if (p->counts.running || p->counts.exited)
		return true;
	if (error == -EMFILE && !p->spec.shares_fds) /* our own limit, and nothing of ours will be closed */
		return false;
	p->shortage_ns = p->shortage_ns ? p->shortage_ns * 2 : SHORTAGE_FIRST_NS;
	if (p->shortage_ns >= SHORTAGE_GIVE_UP_NS) {
		p->shortage_ns = SHORTAGE_GIVE_UP_NS;
		return false;
	}
	p->next_start = pcore_ns_add(pcore_now_ns(), p->shortage_ns);
	return true;
}

/* True: go on with the next one. */
static bool start(struct pcore_pool *p, struct pcore_job *job)
{
	struct pcore_job_result before = job->result;
	struct pcore_err err = { .code = 0 };
	int r;

	job->attempt++;
	job->slot = take_slot(p);
	job->result = (struct pcore_job_result){ .start_ns = 0 };
	job->state = PCORE_JOB_RUNNING;
	r = p->ex->ops->start(p->ex, job, &err);
	if (r == 0) {
		p->counts.running++;
		p->shortage_ns = 0;
		pcore_list_add_tail(&p->active, &job->link);
		if (p->owner.started)
			p->owner.started(p->ctx, job);
		p->next_start = p->spec.delay ? pcore_ns_add(pcore_now_ns(), p->spec.delay) : 0;
		return true;
	}
	give_slot(p, job->slot);
	job->state = PCORE_JOB_NEW;
	if (is_shortage(r) && wait_for_room(p, r)) {
		job->attempt--;
		job->result = before;
		pcore_list_add_head(&p->ready, &job->link);
		return false;
	}
	job->result.error = err;
	job->result.error.code = r;
	conclude(p, job);
	return true;
}

/* ---- dispatching ---- */

static bool has_room(const struct pcore_pool *p)
{
	if (p->stopping != PCORE_POOL_RUN)
		return false;
	if (p->ex->ops->has_room)
		return p->ex->ops->has_room(p->ex);
	return p->counts.running < p->limit && p->counts.running + p->counts.exited < p->spec.jobs + p->spec.lingering;
}

static void ripen(struct pcore_pool *p, int64_t now)
{
	struct pcore_heap_node *top;

	while ((top = pcore_heap_top(&p->retries)) && top->key <= now) {
		struct pcore_job *job = container_of(top, struct pcore_job, retry);

		pcore_heap_remove(&p->retries, top);
		p->counts.waiting--;
		pcore_list_add_tail(&p->ready, &job->link);
	}
}

static struct pcore_job *next_job(struct pcore_pool *p)
{
	struct pcore_list *node = pcore_list_pop(&p->ready);
	struct pcore_job *job;
	int r;

	if (node)
		return container_of(node, struct pcore_job, link);
	if (p->source_dry)
		return NULL;

	r = p->owner.next(p->ctx, &job);
	if (r == -ENODATA)
		p->source_dry = true;
	if (r <= 0)
		return NULL;

	if (job->seq == 0)
		job->seq = p->next_seq + 1;
	if (job->seq > p->next_seq)
		p->next_seq = job->seq;
	job->attempt = 0;
	job->state = PCORE_JOB_NEW;
	pcore_list_init(&job->link);
	job->retry.index = 0;
	job->given_up = false;
	p->counts.submitted++;
	return job;
}

static bool no_more_jobs(const struct pcore_pool *p)
{
	return p->stopping != PCORE_POOL_RUN || (p->source_dry && pcore_list_empty(&p->ready));
}

static bool nothing_left(const struct pcore_pool *p)
{
	return no_more_jobs(p) && !p->counts.running && !p->counts.exited && !p->counts.waiting &&
	       !(p->ex->ops->busy && p->ex->ops->busy(p->ex));
}

static void dispatch(struct pcore_pool *p)
{
	const struct pcore_executor_ops *ops = p->ex->ops;
	int64_t now = pcore_now_ns();
	struct pcore_job *job;

	if (p->idle)
		return;

	p->kicked = false;
	ripen(p, now);
	if (p->next_start && p->next_start <= now)
		p->next_start = 0;
	while (has_room(p) && (job = next_job(p))) {
		if (p->held || p->next_start) { /* it has to wait; but now we know that there is one */
			pcore_list_add_head(&p->ready, &job->link);
			break;
		}
		if (!start(p, job))
			break;
	}
	if (ops->flush)
		ops->flush(p->ex);
	if (ops->close && no_more_jobs(p))
		ops->close(p->ex, p->stopping);
	if (nothing_left(p)) {
		p->idle = true;
		if (pcore_op_live(&p->work_op))
			pcore_op_cancel(p->loop, &p->work_op);
		p->owner.idle(p->ctx);
		return;
	}
	schedule(p);
}

/* ---- from the executor ---- */

/* Jobs that wait for another attempt will not have one: they failed. Those that never started go back as they are. */
static void give_back(struct pcore_pool *p)
{
	struct pcore_heap_node *top;
	struct pcore_list *node;

	while ((top = pcore_heap_top(&p->retries))) {
		pcore_heap_remove(&p->retries, top);
		p->counts.waiting--;
		deliver(p, container_of(top, struct pcore_job, retry));
	}
	while ((node = pcore_list_pop(&p->ready))) {
		struct pcore_job *job = container_of(node, struct pcore_job, link);

		if (job->attempt > 0)
			deliver(p, job);
		else
			p->owner.done(p->ctx, job);
	}
}

bool pcore_pool_output(struct pcore_pool *p, struct pcore_job *job, enum pcore_job_stream stream, const char *data, size_t len)
{
	assert(job->state == PCORE_JOB_RUNNING || job->state == PCORE_JOB_EXITED);

	return p->owner.output(p->ctx, job, stream, data, len);
}

void pcore_pool_exited(struct pcore_pool *p, struct pcore_job *job)
{
	assert(job->state == PCORE_JOB_RUNNING);
	assert(p->counts.running > 0);

	job->state = PCORE_JOB_EXITED;
	p->counts.running--;
	p->counts.exited++;
	give_slot(p, job->slot);
	if (p->owner.exited)
		p->owner.exited(p->ctx, job);
	pcore_pool_kick(p);
}

void pcore_pool_finished(struct pcore_pool *p, struct pcore_job *job)
{
	assert(job->state == PCORE_JOB_EXITED);
	assert(p->counts.exited > 0);

	p->counts.exited--;
	pcore_list_del(&job->link);
	if (p->limit < p->spec.jobs && ++p->since_lowered >= RAISE_AFTER) {
		p->limit++;
		p->since_lowered = 0;
	}
	conclude(p, job);
	pcore_pool_kick(p);
}

void pcore_pool_handed_back(struct pcore_pool *p, struct pcore_job *job)
{
	assert(job->state == PCORE_JOB_RUNNING);
	assert(p->counts.running > 0);

	p->counts.running--;
	pcore_list_del(&job->link);
	give_slot(p, job->slot);
	if (job->given_up) {
		job->result = (struct pcore_job_result){ .cancelled = true };
		deliver(p, job);
		pcore_pool_kick(p);
		return;
	}
	job->attempt--;
	job->state = PCORE_JOB_NEW;
	job->result = (struct pcore_job_result){ .start_ns = 0 };
	pcore_list_add_head(&p->ready, &job->link);
	if (p->stopping != PCORE_POOL_RUN)
		give_back(p);
	pcore_pool_kick(p);
}

void pcore_pool_lost(struct pcore_pool *p, struct pcore_job *job)
{
	assert(job->state == PCORE_JOB_RUNNING);

	p->owner.again(p->ctx, job);
}

/* ---- from the owner ---- */

void pcore_pool_resume(struct pcore_pool *p, struct pcore_job *job)
{
	if (job->state == PCORE_JOB_RUNNING || job->state == PCORE_JOB_EXITED)
		p->ex->ops->resume(p->ex, job);
}

void pcore_pool_end(struct pcore_pool *p, struct pcore_job *job)
{
	job->given_up = true;
	if (job->state == PCORE_JOB_RUNNING || job->state == PCORE_JOB_EXITED) {
		p->ex->ops->end(p->ex, job);
		return;
	}
	assert(job->state == PCORE_JOB_NEW);
	if (pcore_heap_linked(&job->retry)) {
		pcore_heap_remove(&p->retries, &job->retry);
		p->counts.waiting--;
	}
	pcore_list_del(&job->link);
	if (job->attempt > 0)
		deliver(p, job);
	else
		p->owner.done(p->ctx, job);
	pcore_pool_kick(p);
}

void pcore_pool_stop(struct pcore_pool *p, enum pcore_pool_stop how)
{
	bool first = p->stopping == PCORE_POOL_RUN;

	if (how <= p->stopping)
		return;

	p->stopping = how;
	if (first)
		give_back(p);
	if (how >= PCORE_POOL_END) {
		PCORE_LIST_FOREACH_SAFE(node, &p->active) {
			struct pcore_job *job = container_of(node, struct pcore_job, link);

			if (how == PCORE_POOL_KILL)
				p->ex->ops->kill(p->ex, job);
			else
				p->ex->ops->end(p->ex, job);
		}
	}
	pcore_pool_kick(p);
}

int pcore_pool_set_jobs(struct pcore_pool *p, unsigned jobs)
{
	size_t n = (jobs + 63) / 64;
	int r = p->ex->ops->resize ? p->ex->ops->resize(p->ex, jobs) : 0;

	if (r < 0)
		return r;
	if (n > p->n_slot_words) {
		uint64_t *slots = realloc(p->slots, n * sizeof(*slots));

		if (!slots)
			return -ENOMEM;
		memset(slots + p->n_slot_words, 0, (n - p->n_slot_words) * sizeof(*slots));
		p->slots = slots;
		p->n_slot_words = n;
	}
	if (p->limit == p->spec.jobs || p->limit > jobs) /* else a shortage lowered it, and it rises by itself */
		p->limit = jobs;
	p->spec.jobs = jobs;
	pcore_pool_kick(p);
	return 0;
}

void pcore_pool_hold(struct pcore_pool *p, bool hold)
{
	p->held = hold;
	if (!hold)
		pcore_pool_kick(p);
}

void pcore_pool_signal(struct pcore_pool *p, int sig)
{
	PCORE_LIST_FOREACH_SAFE(node, &p->active)
		p->ex->ops->signal(p->ex, container_of(node, struct pcore_job, link), sig);
}

enum pcore_pool_stop pcore_pool_stopping(const struct pcore_pool *p)
{
	return p->stopping;
}

struct pcore_pool_counts pcore_pool_counts(const struct pcore_pool *p)
{
	return p->counts;
}

int pcore_pool_halt_status(const struct pcore_pool *p)
{
	return p->halt_status;
}

int pcore_pool_new(struct pcore_pool **ret, struct pcore_loop *lp, const struct pcore_pool_spec *spec,
	const struct pcore_pool_owner *owner, void *ctx, struct pcore_executor *ex)
{
	struct pcore_pool *p;

	assert(spec->jobs > 0);

	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;

	p->n_slot_words = (spec->jobs + 63) / 64;
	p->slots = calloc(p->n_slot_words, sizeof(*p->slots));
	if (!p->slots) {
		free(p);
		return -ENOMEM;
	}
	p->loop = lp;
	p->spec = *spec;
	p->owner = *owner;
	p->ctx = ctx;
	p->ex = ex;
	p->limit = spec->jobs;
	p->halt_status = -1;
	p->work_op.done = work_due;
	pcore_list_init(&p->ready);
	pcore_list_init(&p->active);
	ex->pool = p;
	*ret = p;
	return 0;
}

bool pcore_pool_at_rest(const struct pcore_pool *p)
{
	return !pcore_op_live(&p->work_op);
}

void pcore_pool_free(struct pcore_pool *p)
{
	if (!p)
		return;

	assert(pcore_list_empty(&p->active));
	assert(!pcore_op_live(&p->work_op));

	p->ex->ops->free(p->ex);
	pcore_heap_done(&p->retries);
	free(p->slots);
	free(p);
}
