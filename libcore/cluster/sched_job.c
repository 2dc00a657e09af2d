/* SPDX-License-Identifier: MIT */
/*
 * sched_job.c - what becomes of an attempt: it begins, ends, is taken back, is lost; and what becomes of the job then.
 */
#include "libcore/cluster/sched_private.h"

/* ---- again ---- */

/* The class for the next attempt of a failed job: on its node, or on another; NULL: its own. With a reference. */
static struct class *class_after_failure(struct pcore_sched *s, const struct job *j)
{
	const struct array *a = j->array;
	struct class *c = NULL;
	bool here = j->failures <= a->restarts;

	if (j->failures == 0 || !sched_node_of_serial(s, j->last))
		return NULL;
	if (sched_class_derive(s, a->lane->class, here ? j->last : 0, here ? 0 : j->last, &c) < 0)
		return NULL;
	if (c->n_admits > 0)
		return c;
	sched_class_unref(s, c);
	return NULL;
}

void sched_job_again(struct pcore_sched *s, struct job *j, struct class *class)
{
	struct array *a = j->array;
	struct lane *l;

	assert(j->state == JOB_NEW);
	j->evicted = 0;
	if ((j->attempt & TRIES_MAX) == TRIES_MAX && j->attempt >> EPOCH_SHIFT == s->epoch) {
		sched_job_over(s, j, PCORE_SCHED_LOST, NULL, NULL);
		return;
	}
	sched_record_job(s, j);
	if (class && sched_lane_get(s, a->client, a->lane->priority, class, &l) == 0) {
		sched_queue(s, j, l);
		sched_lane_unref(s, l);
	} else {
		sched_queue(s, j, a->lane);
	}
}

/* Its time has come. */
void sched_job_retry(struct pcore_sched *s, struct job *j)
{
	struct class *c = class_after_failure(s, j);

	pcore_heap_remove(&s->retries, &j->retry);
	pcore_list_init(&j->link);
	j->state = JOB_NEW;
	s->counts.backoff--;
	sched_job_again(s, j, c);
	if (c)
		sched_class_unref(s, c);
}

static void tell_again(struct pcore_sched *s, const struct job *j, const struct pcore_sched_result *r)
{
	struct pcore_sched_news *news = sched_tell(s, PCORE_SCHED_AGAIN, j->array->client);

	if (!news)
		return;
	news->job = job_id(j);
	news->cookie = j->array->cookie;
	news->index = j->index;
	news->attempt = j->attempt;
	news->n = 1;
	if (r) {
		news->outcome = r->cancelled ? PCORE_SCHED_CANCELLED : PCORE_SCHED_FAILED;
		news->status = r->status;
		news->tag = r->tag;
	} else {
		news->outcome = PCORE_SCHED_LOST;
	}
}

static void job_failed(struct pcore_sched *s, struct job *j, const struct pcore_sched_result *r, struct node *n)
{
	const struct array *a = j->array;
	int64_t delay = a->backoff_ns;
	unsigned times = j->failures < 10 ? j->failures : 10;

	s->counts.failed++;
	if (j->failures >= a->restarts + a->reschedules) {
		sched_job_over(s, j, PCORE_SCHED_FAILED, r, n);
		return;
	}
	j->failures++;
	tell_again(s, j, r);
	delay = delay > INT64_MAX >> 11 ? INT64_MAX >> 1 : delay << times;
	if (a->backoff_max_ns && delay > a->backoff_max_ns)
		delay = a->backoff_max_ns;
	if (delay > 0) {
		j->retry = (struct pcore_heap_node){ .key = s->now_ns > INT64_MAX - delay ? INT64_MAX : s->now_ns + delay };
		if (pcore_heap_insert(&s->retries, &j->retry) == 0) {
			j->state = JOB_BACKOFF;
			s->counts.backoff++;
			sched_record_job(s, j);
			return;
		}
		pcore_list_init(&j->link);
	}
	s->counts.backoff++;
	j->retry = (struct pcore_heap_node){ 0 };
	sched_job_retry(s, j);
}

/* Its node is lost. counts: it may have run there. */
void sched_job_lost(struct pcore_sched *s, struct job *j, bool died, bool counts)
{
	const struct array *a = j->array;

	s->counts.lost++;
	if (counts && j->losses < UINT8_MAX)
		j->losses++;
	if (died && j->crashes < UINT8_MAX)
		j->crashes++;
	if (j->cancel) {
		sched_job_over(s, j, PCORE_SCHED_CANCELLED, NULL, NULL);
	} else if (a->at_most_once && counts) {
		sched_job_over(s, j, PCORE_SCHED_LOST, NULL, NULL);
	} else if (j->crashes >= s->spec.crash_max) {
		sched_job_over(s, j, PCORE_SCHED_CRASHED, NULL, NULL);
	} else if (j->losses > a->retry_lost) {
		sched_job_over(s, j, PCORE_SCHED_LOST, NULL, NULL);
	} else {
		tell_again(s, j, NULL);
		sched_job_again(s, j, NULL);
	}
}

/* ---- over ---- */

void sched_job_over(struct pcore_sched *s, struct job *j, enum pcore_sched_outcome outcome, const struct pcore_sched_result *r,
	struct node *n)
{
	struct array *a = j->array;
	struct pcore_sched_news *news = sched_tell(s, PCORE_SCHED_OVER, a->client);

	assert(j->state == JOB_NEW);
	if (news) {
		news->outcome = outcome;
		news->job = job_id(j);
		news->cookie = a->cookie;
		news->index = j->index;
		news->attempt = j->attempt;
		news->n = 1;
		news->node = n ? n->handle : 0;
		news->status = r ? r->status : 0;
		news->tag = r ? r->tag : 0;
		news->durable = s->spec.persist;
	}
	sched_record_over(s, a, j->index, 1, outcome == PCORE_SCHED_SUCCEEDED);
	s->counts.over++;
	s->counts.succeeded += outcome == PCORE_SCHED_SUCCEEDED;
	a->n_bad += outcome != PCORE_SCHED_SUCCEEDED;
	a->live--;
	if (j->index >= a->next && j->index < a->end)
		*j = (struct job){ .hash_next = j->hash_next, .array = a, .index = j->index, .state = JOB_GAP };
	else
		sched_job_free(s, j);
	sched_array_over(s, a);
}

void sched_range_over(struct pcore_sched *s, struct array *a, uint32_t index, uint32_t n, enum pcore_sched_outcome outcome)
{
	struct pcore_sched_news *news = sched_tell(s, PCORE_SCHED_OVER, a->client);

	if (news) {
		news->outcome = outcome;
		news->job = a->first + index;
		news->cookie = a->cookie;
		news->index = index;
		news->n = n;
		news->durable = s->spec.persist;
	}
	sched_record_over(s, a, index, n, false);
	s->counts.over += n;
	a->n_bad += n;
}

/* ---- what nodes say ---- */

/* The job, if this is its current attempt and it is on n. */
static struct job *current(struct pcore_sched *s, const struct node *n, uint64_t job, uint32_t attempt)
{
	struct job *j = sched_job_find(s, job);

	if (j && job_on_node(j) && j->node == n && j->attempt == attempt)
		return j;
	s->counts.stale++;
	return NULL;
}

int pcore_sched_started(struct pcore_sched *s, int64_t now_ns, uint64_t node, uint64_t job, uint32_t attempt)
{
	struct node *n = sched_node_find(s, node);
	struct job *j = n ? current(s, n, job, attempt) : NULL;

	if (!n)
		return -ESTALE;
	if (!j)
		return 0;
	s->now_ns = now_ns;
	if (j->state == JOB_AHEAD)
		sched_hold(s, j);
	if (j->state == JOB_HELD) {
		j->state = JOB_RUNNING;
		s->counts.held--;
		s->counts.running++;
	}
	sched_settle(s);
	return 1;
}

int pcore_sched_done(
	struct pcore_sched *s, int64_t now_ns, uint64_t node, uint64_t job, uint32_t attempt, const struct pcore_sched_result *result)
{
	struct node *n = sched_node_find(s, node);
	struct class *c;
	struct job *j;
	int64_t wall;

	if (!n)
		return -ESTALE;
	if (sched_reserve(s, 1, 2) < 0 || sched_node_reserve(n, 1, 0) < 0)
		return -ENOMEM;
	s->now_ns = now_ns;
	sched_act(s, n, PCORE_SCHED_ACK, job, attempt)->durable = s->spec.persist;
	j = current(s, n, job, attempt);
	if (!j)
		return 0;
	c = j->array->lane->class;
	wall = result->wall_ns > 0 ? result->wall_ns : result->success; /* several may end at the same moment */
	if (wall > 0)
		c->wall_ns = c->wall_ns ? c->wall_ns - c->wall_ns / 8 + wall / 8 + 1 : wall;
	sched_node_pull(s, j);
	sched_freed(s, n);
	j->ended = 1;
	if (result->success)
		sched_job_over(s, j, PCORE_SCHED_SUCCEEDED, result, n);
	else if (j->cancel)
		sched_job_over(s, j, PCORE_SCHED_CANCELLED, result, n);
	else if (result->cancelled && j->array->at_most_once) /* by an eviction, or a cancel that a restart has forgotten */
		sched_job_over(s, j, PCORE_SCHED_LOST, result, n);
	else if (result->cancelled)
		tell_again(s, j, result), sched_job_again(s, j, NULL);
	else
		job_failed(s, j, result, n);
	sched_settle(s);
	return 1;
}

int pcore_sched_retracted(struct pcore_sched *s, int64_t now_ns, uint64_t node, uint64_t job, uint32_t attempt, bool yes)
{
	struct node *n = sched_node_find(s, node);
	struct job *j;

	if (!n)
		return -ESTALE;
	if (sched_reserve(s, 1, 1) < 0)
		return -ENOMEM;
	j = current(s, n, job, attempt);
	if (!j)
		return 0;
	s->now_ns = now_ns;
	if (yes) {
		s->counts.retracted++;
		sched_node_pull(s, j);
		sched_freed(s, n);
		j->ended = 1;
		if (j->cancel)
			sched_job_over(s, j, PCORE_SCHED_CANCELLED, NULL, n);
		else
			sched_job_again(s, j, NULL);
	} else if (j->retracting) {
		j->retracting = 0;
		n->n_retracting--;
		s->n_retracting--;
	}
	sched_settle(s);
	return 1;
}

int pcore_sched_lost(struct pcore_sched *s, int64_t now_ns, uint64_t node, uint64_t job, uint32_t attempt)
{
	struct node *n = sched_node_find(s, node);
	struct job *j;

	if (!n)
		return -ESTALE;
	if (sched_reserve(s, 1, 1) < 0)
		return -ENOMEM;
	j = current(s, n, job, attempt);
	if (!j)
		return 0;
	s->now_ns = now_ns;
	sched_node_pull(s, j);
	sched_freed(s, n);
	j->ended = 1;
	sched_job_lost(s, j, false, true);
	sched_settle(s);
	return 1;
}
