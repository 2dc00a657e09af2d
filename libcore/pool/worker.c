/* SPDX-License-Identifier: MIT */
/*
 * worker.c - the life of one worker: what it is sent, what it answers, and how it ends.
 */
#include "libcore/pool/worker.h"

#include <string.h>
#include <sys/wait.h>

enum { AHEAD_BYTES = 128 * 1024, UNFIT_MAX = 3 };

/* A busy worker is sent what it will be done with in this time. */
#define AHEAD_NS (2 * NS_PER_MS)

/* One that has not answered for this long may hold its answers back until it is sent more; then twice as long, and so on. */
#define HUNGRY_NS (40 * NS_PER_MS)

/* How long one may live on that has closed its output. */
#define SILENT_NS NS_PER_S

static void tell(struct worker *w, enum pcore_worker_event event, uint64_t seq, const struct pcore_job *job)
{
	struct pcore_worker_news n = {
		.event = event,
		.slot = w->number,
		.pid = w->pid,
		.node = w->node,
		.seq = seq,
		.job = job,
		.exit = w->exited ? &w->exit : NULL,
	};

	w->pool->spec.news(w->pool->spec.ctx, &n);
}

/* ---- the jobs of a worker ---- */

struct pcore_job *worker_first_job(const struct worker *w)
{
	return w->n > 0 ? w->jobs[w->first] : NULL;
}

bool worker_is_idle(const struct worker *w)
{
	return w->n == 0 && !w->init_due;
}

int worker_make_place(struct worker *w)
{
	unsigned cap = w->cap ? w->cap * 2 : 8;
	struct pcore_job **jobs;

	if (w->n < w->cap)
		return 0;
	jobs = malloc(cap * sizeof(*jobs));
	if (!jobs)
		return -ENOMEM;
	for (unsigned i = 0; i < w->n; i++)
		jobs[i] = w->jobs[(w->first + i) & (w->cap - 1)];
	free(w->jobs);
	w->jobs = jobs;
	w->cap = cap;
	w->first = 0;
	return 0;
}

void worker_add_job(struct worker *w, struct pcore_job *job)
{
	assert(w->n < w->cap);

	if (w->n == 0)
		w->pool->busy++;
	w->jobs[(w->first + w->n++) & (w->cap - 1)] = job;
	job->run = w;
	job->slot = w->number;
}

static struct pcore_job *drop_job(struct worker *w, bool last)
{
	struct pcore_job *job = w->jobs[(w->first + (last ? w->n - 1 : 0)) & (w->cap - 1)];

	assert(w->n > 0);

	if (!last)
		w->first = (w->first + 1) & (w->cap - 1);
	if (--w->n == 0)
		w->pool->busy--;
	job->run = NULL;
	return job;
}

/* The next answer is waited for, or the next item, from now on. */
void worker_begin_wait(struct worker *w, int64_t now)
{
	w->since = w->slow_since = now;
	w->hungry_after = HUNGRY_NS;
	w->hungry_at = now + HUNGRY_NS;
}

/* The first job is over. */
static void conclude(struct worker *w, struct pcore_job *job, int64_t now)
{
	job->result.start_ns = w->pool->real_offset + w->since;
	job->result.wall_ns = now - w->since;
	job->result.node = w->node;
	worker_begin_wait(w, now);
	pcore_pool_exited(w->pool->ex.pool, job);
	pcore_pool_finished(w->pool->ex.pool, job);
}

/* ---- who may be sent something ---- */

/* Note whether it can take an item, after anything that bears on that. */
void worker_place(struct worker *w)
{
	struct workers *l = w->pool;
	bool roomy = w->state == SERVING && !l->given_up && w->in.len - w->sent < AHEAD_BYTES;

	w->filling = w->n < w->ahead && (w->filling || w->n <= w->ahead / 2);
	roomy = roomy && w->filling;
	pcore_list_del(&w->roomy);
	if (!roomy)
		return;
	if (worker_is_idle(w))
		pcore_list_add_head(&l->roomy, &w->roomy);
	else
		pcore_list_add_tail(&l->roomy, &w->roomy);
}

static void learn(struct worker *w, uint64_t answers, int64_t now)
{
	int64_t sample = (now - w->mark) / (int64_t)answers, ahead;

	if (w->n_answers == answers) /* the first ones tell how long it took to start */
		w->service = INT64_MAX;
	else if (w->service == INT64_MAX)
		w->service = sample;
	else
		w->service = sample < w->service ? (w->service + sample) / 2 : (w->service * 7 + sample) / 8;
	w->mark = now;
	ahead = w->service > 0 ? AHEAD_NS / w->service : w->pool->spec.window;
	if (ahead > 2 * (int64_t)w->ahead) /* carefully: what was sent cannot be taken back */
		ahead = 2 * (int64_t)w->ahead;
	w->ahead = ahead < w->block ? w->block : ahead > w->pool->spec.window ? w->pool->spec.window : (unsigned)ahead;
}

/* ---- time ---- */

static int64_t due_at(const struct worker *w)
{
	const struct pcore_worker_spec *s = &w->pool->spec;
	int64_t at = INT64_MAX, t;

	if (w->state != SERVING && w->state != CLOSING)
		return at;
	if (w->silent_at)
		at = w->silent_at;
	if (!worker_is_idle(w)) {
		t = pcore_ns_add(w->since, s->answer_timeout);
		at = t < at ? t : at;
		t = !w->filling || w->state == CLOSING ? pcore_ns_add(w->slow_since, s->slow_after) : at;
		if (w->state == SERVING && !w->filling && w->n < s->window && w->hungry_at < t)
			t = w->hungry_at;
	} else if (w->state == CLOSING) {
		t = w->closed_at ? pcore_ns_add(w->closed_at, s->slow_after) : at;
	} else {
		t = pcore_ns_add(w->since, s->idle_timeout);
	}
	return t < at ? t : at;
}

void worker_set_timer(struct worker *w)
{
	int64_t at = due_at(w);

	if (pcore_op_live(&w->timer_op)) {
		if (at < w->timer_at || w->state == DEAD)
			pcore_op_cancel(w->pool->loop, &w->timer_op); /* and set anew when it is home */
		return;
	}
	if (at == INT64_MAX)
		return;
	w->timer_at = at;
	(void)pcore_op_timer(w->pool->loop, &w->timer_op, PCORE_CLOCK_MONOTONIC, at);
}

/* ---- writing to it ---- */

void worker_up(struct worker *w)
{
	const struct pcore_worker_spec *s = &w->pool->spec;

	w->state = SERVING;
	w->ahead = w->block = 1;
	w->mark = pcore_loop_now(w->pool->loop);
	worker_begin_wait(w, w->mark);
	w->service = INT64_MAX;
	w->init_due = s->init && worker_put(w, s->init, s->init_len) == 0;
}

void worker_fell_silent(struct worker *w)
{
	if (!w->silent_at)
		w->silent_at = pcore_loop_now(w->pool->loop) + SILENT_NS;
}

int worker_put(struct worker *w, const char *data, size_t len)
{
	unsigned char head[4] = { (unsigned char)(len >> 24), (unsigned char)(len >> 16), (unsigned char)(len >> 8), (unsigned char)len };
	bool frames = w->pool->spec.form.kind == PCORE_ANSWER_FRAMES;
	int r = pcore_buf_reserve(&w->in, len + sizeof(head));

	if (r < 0)
		return r;
	if (frames)
		(void)pcore_buf_add(&w->in, head, sizeof(head));
	(void)pcore_buf_add(&w->in, data, len);
	if (!frames)
		(void)pcore_buf_addc(&w->in, '\n');
	if (pcore_list_empty(&w->unsent))
		pcore_list_add_tail(&w->pool->unsent, &w->unsent);
	return 0;
}

/* ---- its end ---- */

static void hand_back(struct worker *w)
{
	while (w->n > 0)
		pcore_pool_handed_back(w->pool->ex.pool, drop_job(w, true));
}

static void count_unfit(struct worker *w)
{
	struct workers *l = w->pool;

	tell(w, PCORE_WORKER_UNFIT, w->n > 0 ? worker_first_job(w)->seq : 0, NULL);
	if (++l->unfit < UNFIT_MAX || l->given_up)
		return;
	l->given_up = true;
	tell(w, PCORE_WORKER_GIVEN_UP, 0, NULL);
}

void worker_unpark(struct worker *w)
{
	struct pcore_job *job = w->parked;

	if (!job)
		return;
	w->parked = NULL;
	pcore_list_del(&w->roomy);
	job->run = NULL;
	pcore_pool_handed_back(w->pool->ex.pool, job);
}

/* It never ran: what cannot be run will not be the next time. */
static void fail_parked(struct worker *w)
{
	struct pcore_job *job = w->parked;

	if (w->error.code < 0 && job) {
		w->parked = NULL;
		pcore_list_del(&w->roomy);
		job->run = NULL;
		job->result.error = w->error;
		pcore_pool_exited(w->pool->ex.pool, job);
		pcore_pool_finished(w->pool->ex.pool, job);
	} else if (w->error.code == 0 && !w->lost) {
		count_unfit(w);
	}
	worker_unpark(w);
}

/* What it was sent goes to others, and what the first of these has answered so far is forgotten. */
static bool recover(struct worker *w)
{
	struct workers *l = w->pool;
	struct pcore_job *job = worker_first_job(w);

	if (!w->lost || w->cause != NOTHING || (job && !l->spec.home.lost(l->spec.ctx, job)))
		return false;
	if (job)
		pcore_pool_lost(l->ex.pool, job);
	hand_back(w);
	return true;
}

/* Its first job has failed, the others were not begun. */
static void fail_first(struct worker *w)
{
	struct pcore_job *job = worker_first_job(w);
	struct pcore_job_result *r = &job->result;

	r->exit = w->exit;
	r->timed_out = w->cause == LATE;
	r->cancelled = w->cause == STOPPED;
	r->lost = true;
	if (w->cause == NOTHING && !w->lost)
		tell(w, PCORE_WORKER_LOST, job->seq, job);
	while (w->n > 1)
		pcore_pool_handed_back(w->pool->ex.pool, drop_job(w, true));
	conclude(w, drop_job(w, false), pcore_loop_now(w->pool->loop));
}

static void bury(struct worker *w)
{
	bool unfit = w->cause == NOTHING && w->n_answers == 0 && (w->init_due || (w->n > 0 && !w->seat->has_read(w)));
	bool starting = w->state == STARTING;
	bool disorder = w->exit.code != CLD_EXITED || w->exit.status != 0;

	w->state = DEAD;
	worker_place(w);
	pcore_list_del(&w->unsent);
	w->seat->drop(w);
	worker_set_timer(w);
	if (starting) {
		fail_parked(w);
	} else if (recover(w)) {
		return;
	} else if (unfit) {
		count_unfit(w);
		hand_back(w);
	} else if (w->n > 0) {
		fail_first(w);
	} else if (w->cause == NOTHING && disorder) {
		tell(w, PCORE_WORKER_FAILED, w->last_seq, NULL);
	}
}

/* Is nothing left of it, so that the slot can have another? */
static void clear_away(struct worker *w)
{
	if (w->state != DEAD || !w->seat->is_gone(w) || pcore_op_live(&w->timer_op))
		return;
	w->state = EMPTY;
	w->pool->live--;
	pcore_pool_kick(w->pool->ex.pool);
}

static void end_for(struct worker *w, enum cause cause)
{
	static const enum pcore_worker_event events[] = {
		[LATE] = PCORE_WORKER_LATE,
		[SURPLUS] = PCORE_WORKER_SURPLUS,
		[SILENT] = PCORE_WORKER_SILENT,
		[STUCK] = PCORE_WORKER_STUCK,
	};
	const struct pcore_job *job = worker_first_job(w);

	worker_unpark(w);
	w->state = ENDING;
	w->cause = cause;
	worker_place(w);
	if (cause != STOPPED)
		tell(w, events[cause], job ? job->seq : w->last_seq, job);
	w->seat->end(w);
}

/* ---- what happens ---- */

void worker_wants_more(struct worker *w)
{
	unsigned window = w->pool->spec.window;

	w->hungry_at = pcore_loop_now(w->pool->loop) + HUNGRY_NS;
	w->ahead = w->block = w->ahead * 2 < window ? w->ahead * 2 : window;
	w->filling = true;
	worker_place(w);
	pcore_pool_kick(w->pool->ex.pool);
}

static void out_of_time(struct worker *w)
{
	const struct pcore_worker_spec *s = &w->pool->spec;
	int64_t now = pcore_loop_now(w->pool->loop);

	if (due_at(w) > now)
		return;
	if (w->silent_at && w->silent_at <= now) {
		end_for(w, SILENT);
	} else if (worker_is_idle(w) && w->state == CLOSING) {
		end_for(w, STUCK);
	} else if (worker_is_idle(w)) {
		worker_step(w, CLOSE);
	} else if (pcore_ns_add(w->since, s->answer_timeout) <= now) {
		end_for(w, LATE);
	} else if (pcore_ns_add(w->slow_since, s->slow_after) <= now) {
		if (!w->told_slow)
			tell(w, PCORE_WORKER_SLOW, worker_first_job(w) ? worker_first_job(w)->seq : 0, worker_first_job(w));
		w->told_slow = true;
		w->slow_since = now;
	} else if (w->seat->waits(w)) {
		worker_wants_more(w);
	} else {
		w->hungry_after = w->hungry_after < s->slow_after / 2 ? w->hungry_after * 2 : s->slow_after;
		w->hungry_at = now + w->hungry_after;
	}
}

void worker_step(struct worker *w, enum worker_event ev)
{
	bool active = w->state == SERVING || w->state == CLOSING;

	switch (ev) {
	case ANSWERS:
		worker_place(w);
		w->seat->pump(w);
		break;
	case EXITED: /* or something that had to come home before it is over */
		if (w->seat->is_over(w) && (active || w->state == STARTING || w->state == ENDING))
			bury(w);
		clear_away(w);
		return;
	case TIME_IS_UP:
		if (active)
			out_of_time(w);
		break;
	case CLOSE:
		if (w->state == STARTING && !w->parked) {
			end_for(w, STOPPED);
		} else if (w->state == SERVING) {
			w->state = CLOSING;
			worker_place(w);
			w->seat->pump(w);
		}
		break;
	case STOP:
		if (active || w->state == STARTING)
			end_for(w, STOPPED);
		break;
	}
	worker_set_timer(w);
}

static void timer_done(struct pcore_op *op, int res)
{
	struct worker *w = container_of(op, struct worker, timer_op);

	(void)res;
	if (w->state == DEAD)
		clear_away(w);
	else
		worker_step(w, TIME_IS_UP);
}

/* ---- reading from it ---- */

/* How much of it comes out. */
static size_t cut(struct worker *w, size_t len)
{
	const struct pcore_worker_home *h = &w->pool->spec.home;
	uint64_t room = h->answer_max - w->written;

	if (h->answer_max == 0 || w->init_due)
		return len;
	if (len > room && !w->told_cut)
		h->cut(w->pool->spec.ctx, worker_first_job(w));
	w->told_cut |= len > room;
	len = len < room ? len : (size_t)room;
	w->written += len;
	return len;
}

static void emit(void *ctx, const char *data, size_t len)
{
	struct worker *w = ctx;

	len = cut(w, len);
	if (!w->init_due && len > 0)
		w->refused = !pcore_pool_output(w->pool->ex.pool, worker_first_job(w), PCORE_JOB_STDOUT, data, len);
}

static void answered(struct worker *w, int64_t now)
{
	struct pcore_job *job;

	w->pool->unfit = 0;
	w->written = 0;
	w->told_cut = false;
	w->n_answers++;
	if (w->init_due) {
		w->init_due = false;
		worker_begin_wait(w, now);
		return;
	}
	job = drop_job(w, false);
	job->result.exit.code = CLD_EXITED;
	job->result.exit.status = w->answers.last_status;
	w->last_seq = job->seq;
	conclude(w, job, now);
}

void worker_wrote(struct worker *w, const char *data, size_t len)
{
	int64_t now = pcore_loop_now(w->pool->loop);
	uint64_t before = w->n_answers;
	bool end;

	w->pool->real_offset = pcore_clock_ns(CLOCK_REALTIME) - pcore_now_ns();
	w->refused = false;
	while (len > 0 && (w->state == SERVING || w->state == CLOSING)) {
		size_t used;

		if (worker_is_idle(w)) {
			end_for(w, SURPLUS);
			return;
		}
		used = pcore_answers_feed(&w->answers, data, len, emit, w, &end);
		data += used;
		len -= used;
		if (end)
			answered(w, now);
	}
	if (w->n_answers > before)
		learn(w, w->n_answers - before, now);
	if (w->refused && w->answers.begun) /* else it has no more to say for that job */
		w->seat->pause(w);
	worker_step(w, ANSWERS);
}

void worker_init(struct worker *w)
{
	w->timer_op.done = timer_done;
	pcore_list_init(&w->roomy);
	pcore_list_init(&w->unsent);
}
