/* SPDX-License-Identifier: MIT */
/*
 * workers.c - the executor that sends items to processes that stay: which worker gets an item, and how one is started.
 */
#include "libcore/pool/worker.h"

#include <string.h>

enum { TERMINAL_LINE_MAX = 4094 };

static struct workers *workers_of(const struct pcore_executor *ex)
{
	return container_of(ex, struct workers, ex);
}

/* ---- starting one ---- */

static struct worker *worker_alloc(struct workers *l, unsigned slot, struct pcore_err *err)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;

	w->pool = l;
	w->seat = l->seat;
	w->slot = slot;
	worker_init(w);
	if (w->seat->make(w, err) < 0) {
		free(w);
		return NULL;
	}
	return w;
}

static int find_slot(struct workers *l, struct worker **ret, struct pcore_err *err)
{
	for (unsigned i = 0; i < l->jobs; i++) {
		if (!l->slots[i]) {
			(void)pcore_err_set(err, -ENOMEM, PCORE_STEP_CLONE, "");
			l->slots[i] = worker_alloc(l, i + 1, err);
			if (!l->slots[i])
				return err->code;
			err->code = 0;
		}
		*ret = l->slots[i];
		if ((*ret)->state == EMPTY)
			return 0;
	}
	return -EAGAIN;
}

static int start_worker(struct workers *l, struct worker **ret, struct pcore_err *err)
{
	struct worker *w = NULL;
	int r = find_slot(l, &w, err);

	if (r < 0)
		return r;
	w->cause = NOTHING;
	w->answers = (struct pcore_answers){ .form = l->spec.form };
	w->in = PCORE_BUF_INIT(0);
	w->n_items = w->n_answers = w->last_seq = 0;
	w->closed_at = w->silent_at = 0;
	w->exited = w->told_slow = w->told_cut = w->init_due = false;
	w->written = 0;
	r = w->seat->start(w, err);
	if (r < 0)
		return r;
	l->live++;
	*ret = w;
	return 0;
}

/* What was tried before waits for a fresh one, for that is to come; or for an idle one, where that may have to wait itself. */
static bool suits(const struct worker *w, const struct pcore_job *job)
{
	return w->n_items == 0 || (job->attempt == 1 && !job->fresh) || (w->pool->home && worker_is_idle(w));
}

/* An idle worker that suits it, else a new one, else the one that was sent something longest ago. */
static int choose(struct workers *l, const struct pcore_job *job, struct worker **ret, struct pcore_err *err)
{
	struct worker *w = pcore_list_empty(&l->roomy) ? NULL : container_of(l->roomy.next, struct worker, roomy);
	int r = 0;

	if (l->live < workers_max(l) && !l->given_up && !(w && worker_is_idle(w) && suits(w, job)))
		r = start_worker(l, ret, err);
	else if (!w)
		return -EAGAIN;
	else
		*ret = w;
	if (r < 0 && w) {
		*ret = w;
		r = 0;
	}
	return r;
}

/* ---- the dispatcher's side ---- */

int pcore_worker_check(const struct pcore_worker_spec *spec, const char *item, size_t len)
{
	if (spec->form.kind != PCORE_ANSWER_FRAMES && len > 0 && memchr(item, '\n', len))
		return -EBADMSG;
	return spec->pty && len > TERMINAL_LINE_MAX ? -EMSGSIZE : 0;
}

static int send_to(struct worker *w, struct pcore_job *job)
{
	struct workers *l = w->pool;
	const char *item;
	size_t len;
	int r = l->spec.item(l->spec.ctx, job, &item, &len);

	if (r == 0)
		r = worker_make_place(w);
	if (r == 0)
		r = worker_put(w, item, len);
	if (r < 0)
		return r;
	if (worker_is_idle(w)) {
		w->mark = pcore_loop_now(l->loop);
		worker_begin_wait(w, w->mark);
	}
	worker_add_job(w, job);
	if (++w->n_items == l->spec.items_max)
		worker_step(w, CLOSE);
	worker_place(w);
	return 0;
}

void workers_up(struct worker *w)
{
	struct pcore_job *job = w->parked;

	pcore_list_del(&w->roomy);
	worker_up(w);
	if (job && send_to(w, job) == 0)
		w->parked = NULL;
	worker_unpark(w);
	worker_place(w);
	workers_hand_out(w->pool);
}

void workers_hand_out(struct workers *l)
{
	PCORE_LIST_FOREACH_SAFE(node, &l->parked) {
		struct worker *from = container_of(node, struct worker, roomy);
		struct worker *w = pcore_list_empty(&l->roomy) ? NULL : container_of(l->roomy.next, struct worker, roomy);
		struct pcore_job *job = from->parked;

		if (!w)
			return;
		if (!suits(w, job) || send_to(w, job) < 0)
			continue;
		from->parked = NULL;
		pcore_list_del(&from->roomy);
	}
}

static int workers_start(struct pcore_executor *ex, struct pcore_job *job, struct pcore_err *err)
{
	struct workers *l = workers_of(ex);
	struct worker *w = NULL;
	const char *item;
	size_t len;
	int r = l->spec.item(l->spec.ctx, job, &item, &len);

	if (r == 0)
		r = pcore_worker_check(&l->spec, item, len);
	if (r < 0)
		return pcore_err_set(err, r, PCORE_STEP_NONE, "");
	workers_hand_out(l);
	r = choose(l, job, &w, err);
	if (r < 0)
		return r;
	if (w->state == STARTING) {
		w->parked = job;
		job->run = w;
		pcore_list_add_tail(&l->parked, &w->roomy);
		return 0;
	}
	r = send_to(w, job);
	return r < 0 ? pcore_err_set(err, r, PCORE_STEP_NONE, "") : 0;
}

unsigned workers_max(const struct workers *l)
{
	const struct pcore_worker_home *h = &l->spec.home;
	unsigned room = h->ex ? h->room(h->ex) : l->jobs;

	room = room > 0 ? room : 1;
	return room < l->jobs ? room : l->jobs;
}

static bool workers_have_room(const struct pcore_executor *ex)
{
	const struct workers *l = workers_of(ex);

	return !l->given_up && (!pcore_list_empty(&l->roomy) || l->live < workers_max(l));
}

static void workers_flush(struct pcore_executor *ex)
{
	struct workers *l = workers_of(ex);
	struct pcore_list *node;

	workers_hand_out(l);
	while ((node = pcore_list_pop(&l->unsent))) {
		struct worker *w = container_of(node, struct worker, unsent);

		w->seat->pump(w);
		worker_place(w);
		worker_set_timer(w);
	}
}

/* Items that no worker was found for are not begun any more: of several, the last one goes back first. */
static void give_back(struct workers *l)
{
	while (!pcore_list_empty(&l->parked))
		worker_unpark(container_of(l->parked.prev, struct worker, roomy));
}

/* There is nothing left, and nothing will come: where workers are jobs, their executor is not needed any more. */
static void close_home(struct workers *l)
{
	struct pcore_pool_counts c = pcore_pool_counts(l->ex.pool);

	if (l->home && l->live == 0 && c.running + c.exited + c.waiting == 0)
		pcore_pool_stop(l->home, PCORE_POOL_DRAIN); /* which is told even where it has no room to ask for more */
}

static void workers_close(struct pcore_executor *ex, enum pcore_pool_stop how)
{
	struct workers *l = workers_of(ex);

	if (how >= PCORE_POOL_DRAIN)
		give_back(l);
	for (unsigned i = 0; l->live > 0 && i < l->n_slots; i++) {
		struct worker *w = l->slots[i];

		if (!w || w->state == EMPTY || w->state == DEAD)
			continue;
		worker_step(w, how >= PCORE_POOL_END ? STOP : CLOSE);
		if (how == PCORE_POOL_KILL)
			w->seat->kill(w);
	}
	close_home(l);
}

static bool workers_busy(const struct pcore_executor *ex)
{
	const struct workers *l = workers_of(ex);

	return l->live > 0 || (l->home && !l->home_idle);
}

static int workers_resize(struct pcore_executor *ex, unsigned jobs)
{
	struct workers *l = workers_of(ex);

	if (jobs > l->n_slots) {
		struct worker **slots = realloc(l->slots, jobs * sizeof(struct worker *));

		if (!slots)
			return -ENOMEM;
		memset(slots + l->n_slots, 0, (jobs - l->n_slots) * sizeof(struct worker *));
		l->slots = slots;
		l->n_slots = jobs;
	}
	l->jobs = jobs;
	for (unsigned i = jobs; i < l->n_slots; i++) {
		if (!l->slots[i])
			continue;
		worker_unpark(l->slots[i]);
		worker_step(l->slots[i], CLOSE);
	}
	return l->home ? pcore_pool_set_jobs(l->home, jobs) : 0;
}

static void workers_signal(struct pcore_executor *ex, struct pcore_job *job, int sig)
{
	struct worker *w = job->run;

	(void)ex;
	if (worker_first_job(w) == job) /* one signal for all of its jobs */
		w->seat->pass_on(w, sig);
}

static void workers_end(struct pcore_executor *ex, struct pcore_job *job)
{
	struct worker *w = job->run;

	(void)ex;
	if (w->parked == job)
		worker_unpark(w);
	else
		worker_step(w, STOP);
}

static void workers_kill(struct pcore_executor *ex, struct pcore_job *job)
{
	struct worker *w = job->run;

	workers_end(ex, job);
	if (worker_first_job(w) == job && w->state == ENDING)
		w->seat->kill(w);
}

static void workers_go_on(struct pcore_executor *ex, struct pcore_job *job)
{
	struct worker *w = job->run;

	(void)ex;
	w->seat->resume(w);
}

void pcore_worker_resume_errors(struct pcore_executor *ex, unsigned slot)
{
	struct worker *w = workers_of(ex)->slots[slot - 1];

	w->seat->resume_errors(w);
}

struct pcore_job *pcore_worker_job(const struct pcore_executor *ex, unsigned slot)
{
	const struct workers *l = workers_of(ex);

	return slot > 0 && slot <= l->n_slots && l->slots[slot - 1] ? worker_first_job(l->slots[slot - 1]) : NULL;
}

unsigned pcore_worker_busy(const struct pcore_executor *ex)
{
	return workers_of(ex)->busy;
}

static void workers_free(struct pcore_executor *ex)
{
	struct workers *l = workers_of(ex);

	for (unsigned i = 0; i < l->n_slots; i++) {
		struct worker *w = l->slots[i];

		if (!w)
			continue;
		assert(w->state == EMPTY);
		w->seat->unmake(w);
		pcore_buf_done(&w->in);
		free(w->jobs);
		free(w);
	}
	l->seat->finish(l);
	free(l->slots);
	free(l);
}

int pcore_worker_new(struct pcore_executor **ret, struct pcore_loop *lp, const struct pcore_worker_spec *spec, struct pcore_err *err)
{
	static const struct pcore_executor_ops ops = {
		.start = workers_start,
		.signal = workers_signal,
		.end = workers_end,
		.kill = workers_kill,
		.resume = workers_go_on,
		.free = workers_free,
		.has_room = workers_have_room,
		.flush = workers_flush,
		.close = workers_close,
		.busy = workers_busy,
		.resize = workers_resize,
	};
	struct workers *l = calloc(1, sizeof(*l));

	assert(spec->jobs > 0 && spec->window > 0);

	if (!l)
		return pcore_err_set(err, -ENOMEM, PCORE_STEP_CLONE, "");

	l->ex.ops = &ops;
	l->loop = lp;
	l->spec = *spec;
	pcore_list_init(&l->roomy);
	pcore_list_init(&l->unsent);
	pcore_list_init(&l->wanted);
	pcore_list_init(&l->parked);
	l->seat = spec->home.ex ? &worker_job : &worker_proc;
	if (workers_resize(&l->ex, spec->jobs) < 0 || l->seat->begin(l) < 0) {
		workers_free(&l->ex);
		return pcore_err_set(err, -ENOMEM, PCORE_STEP_CLONE, "");
	}
	*ret = &l->ex;
	return 0;
}
