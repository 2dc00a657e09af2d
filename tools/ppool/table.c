/* SPDX-License-Identifier: MIT */
/*
 * table.c - the jobs of a named pool.
 */
#include "tools/ppool/table.h"

#include <string.h>

void table_init(struct table *t, uint64_t waiting_max)
{
	*t = (struct table){ .waiting_max = waiting_max };
	pcore_list_init(&t->all);
	pcore_list_init(&t->queue);
	pcore_list_init(&t->cancelled);
}

/* ---- what jobs share ---- */

struct shared *shared_get(struct table *t, const char *data, size_t len)
{
	struct pcore_map_node *node = pcore_map_find(&t->shared, data, len);
	struct shared *s = node ? container_of(node, struct shared, node) : malloc(sizeof(*s) + len);

	if (!s)
		return NULL;
	if (node) {
		s->refs++;
		return s;
	}
	s->refs = 1;
	s->len = len;
	memcpy(s->data, data, len);
	if (pcore_map_insert(&t->shared, &s->node, s->data, len) < 0) {
		free(s);
		return NULL;
	}
	return s;
}

void shared_put(struct table *t, struct shared *s)
{
	if (!s)
		return;

	assert(s->refs > 0);

	if (--s->refs > 0)
		return;
	pcore_map_remove(&t->shared, &s->node);
	free(s);
}

/* ---- one job ---- */

struct job *table_find(const struct table *t, uint64_t id)
{
	struct pcore_map_node *node = pcore_map_find(&t->by_id, &id, sizeof(id));

	return node ? container_of(node, struct job, node) : NULL;
}

static void leave_those_it_follows(struct job *job)
{
	for (uint32_t i = 0; i < job->n_edges; i++)
		pcore_list_del(&job->edges[i].link);
	free(job->edges);
	job->edges = NULL;
	job->n_edges = job->n_unmet = 0;
}

static void job_free(struct table *t, struct job *job)
{
	assert(pcore_list_empty(&job->dependents));

	leave_those_it_follows(job);
	pcore_list_del(&job->all);
	pcore_list_del(&job->queue);
	shared_put(t, job->env);
	shared_put(t, job->dir);
	free(job);
}

void table_done(struct table *t)
{
	struct pcore_list *node;

	PCORE_LIST_FOREACH_SAFE(n, &t->all)
		leave_those_it_follows(container_of(n, struct job, all));
	while ((node = pcore_list_pop(&t->all)))
		job_free(t, container_of(node, struct job, all));
	pcore_map_done(&t->by_id);
	pcore_map_done(&t->shared);
}

static struct job *job_new(const struct wire_submit *s)
{
	struct job *job = calloc(1, sizeof(*job) + s->argv.len);

	if (!job)
		return NULL;
	if (s->after.n > 0 && !(job->edges = calloc(s->after.n, sizeof(*job->edges)))) {
		free(job);
		return NULL;
	}
	pcore_list_init(&job->all);
	pcore_list_init(&job->queue);
	pcore_list_init(&job->dependents);
	job->timeout = s->timeout;
	job->retries = s->retries;
	job->n_words = s->argv.n;
	job->words_len = s->argv.len;
	memcpy(job->words, s->argv.data, s->argv.len);
	return job;
}

static void enqueue(struct table *t, struct job *job)
{
	job->state = JOB_QUEUED;
	pcore_list_add_tail(&t->queue, &job->queue);
}

/* Bind job to those that it is to follow. False: one of them has failed. */
static bool follow(const struct table *t, struct job *job, const struct wire_ids *after)
{
	for (size_t i = 0; i < after->n; i++) {
		struct job *other = table_find(t, wire_id(after, i));
		struct edge *edge = &job->edges[job->n_edges];

		if (other->state == JOB_FAILED || other->state == JOB_CANCELLED)
			return false;
		if (other->state == JOB_DONE)
			continue;
		edge->waiter = job;
		pcore_list_init(&edge->link);
		pcore_list_add_tail(&other->dependents, &edge->link);
		job->n_edges++;
		job->n_unmet++;
	}
	return true;
}

int table_add(struct table *t, const struct wire_submit *s, struct shared *env, struct shared *dir, mode_t umask,
	struct job **ret, uint64_t *ret_unknown)
{
	struct job *job;

	for (size_t i = 0; i < s->after.n; i++)
		if (!table_find(t, wire_id(&s->after, i))) {
			*ret_unknown = wire_id(&s->after, i);
			return -ENOENT;
		}
	job = job_new(s);
	if (!job)
		return -ENOMEM;

	job->id = t->last_id + 1;
	if (pcore_map_insert(&t->by_id, &job->node, &job->id, sizeof(job->id)) < 0) {
		free(job->edges);
		free(job);
		return -ENOMEM;
	}
	t->last_id++;
	job->env = env;
	job->dir = dir;
	env->refs++;
	dir->refs++;
	job->umask = umask;
	pcore_list_add_tail(&t->all, &job->all);
	t->n_waiting++;
	job->state = JOB_AFTER;
	*ret = job;
	if (!follow(t, job, &s->after))
		table_cancel(t, job);
	else if (job->n_unmet == 0)
		enqueue(t, job);
	return 0;
}

struct job *table_next(struct table *t)
{
	struct pcore_list *node = pcore_list_pop(&t->queue);
	struct job *job;

	if (!node)
		return NULL;
	job = container_of(node, struct job, queue);

	assert(job->state == JOB_QUEUED);

	job->state = JOB_RUNNING;
	t->n_waiting--;
	t->n_running++;
	return job;
}

void table_drop(struct table *t, struct job *job)
{
	assert(job_is_over(job));

	if (job->state == JOB_CANCELLED)
		t->n_cancelled--;
	else
		t->n_over--;
	pcore_map_remove(&t->by_id, &job->node);
	job_free(t, job);
}

/* ---- ends, and what follows from them ---- */

static void remember_cancelled(struct table *t, struct job *job)
{
	job->state = JOB_CANCELLED;
	pcore_list_add_tail(&t->cancelled, &job->queue);
	t->n_cancelled++;
	t->over(t->ctx, job);
}

/* Move all that waits for job to list, where it waits to be cancelled. */
static void doom_dependents(struct job *job, struct pcore_list *list)
{
	while (!pcore_list_empty(&job->dependents)) {
		struct job *waiter = container_of(job->dependents.next, struct edge, link)->waiter;

		leave_those_it_follows(waiter); /* this edge is one of those */
		pcore_list_add_tail(list, &waiter->queue);
	}
}

/* One after the other, not by recursion: a chain may be as long as the queue. */
static void cancel_list(struct table *t, struct pcore_list *list)
{
	struct pcore_list *node;

	while ((node = pcore_list_pop(list))) {
		struct job *job = container_of(node, struct job, queue);

		doom_dependents(job, list);
		t->n_waiting--;
		remember_cancelled(t, job);
	}
}

static void forget_old_cancelled(struct table *t)
{
	while (t->n_cancelled > CANCELLED_MAX)
		table_drop(t, container_of(t->cancelled.next, struct job, queue));
}

void table_cancel(struct table *t, struct job *job)
{
	struct pcore_list list = PCORE_LIST_INIT(list);

	assert(job->state == JOB_AFTER || job->state == JOB_QUEUED);

	leave_those_it_follows(job);
	pcore_list_del(&job->queue);
	pcore_list_add_tail(&list, &job->queue);
	cancel_list(t, &list);
	forget_old_cancelled(t);
}

void table_cancel_all(struct table *t)
{
	struct pcore_list list = PCORE_LIST_INIT(list);

	PCORE_LIST_FOREACH_SAFE(node, &t->all) {
		struct job *job = container_of(node, struct job, all);

		if (job->state != JOB_AFTER && job->state != JOB_QUEUED)
			continue;
		leave_those_it_follows(job);
		pcore_list_del(&job->queue);
		pcore_list_add_tail(&list, &job->queue);
	}
	cancel_list(t, &list);
	forget_old_cancelled(t);
}

static void release_dependents(struct table *t, struct job *job)
{
	struct pcore_list *node;

	while ((node = pcore_list_pop(&job->dependents))) {
		struct job *waiter = container_of(node, struct edge, link)->waiter;

		if (--waiter->n_unmet > 0)
			continue;
		leave_those_it_follows(waiter);
		enqueue(t, waiter);
	}
}

void table_finish(struct table *t, struct job *job, enum job_state how)
{
	struct pcore_list list = PCORE_LIST_INIT(list);

	assert(job->state == JOB_RUNNING);
	assert(how >= JOB_DONE);

	t->n_running--;
	if (how == JOB_DONE)
		release_dependents(t, job);
	else
		doom_dependents(job, &list);
	if (how == JOB_CANCELLED) {
		remember_cancelled(t, job);
	} else {
		job->state = how;
		t->n_over++;
		t->over(t->ctx, job);
	}
	cancel_list(t, &list);
	forget_old_cancelled(t);
}
