/* SPDX-License-Identifier: MIT */
/*
 * sched_submit.c - arrays come, wait for others, are cancelled, and are over.
 */
#include "libcore/cluster/sched_private.h"

/* ---- dependencies ---- */

static void edge_free(struct edge *e)
{
	pcore_list_del(&e->of_waiter);
	pcore_list_del(&e->of_target);
	free(e);
}

int sched_array_after(struct pcore_sched *s, struct array *a, const uint64_t *after, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct array *target = sched_array_find(s, after[i]);
		struct edge *e;

		if (!target || target->first != after[i])
			return -ENOENT;
		e = calloc(1, sizeof(*e));
		if (!e)
			return -ENOMEM;
		*e = (struct edge){ .waiter = a, .target = target };
		pcore_list_init(&e->of_waiter);
		pcore_list_init(&e->of_target);
		pcore_list_add_tail(&a->afters, &e->of_waiter);
		pcore_list_add_tail(&target->dependents, &e->of_target);
		a->n_after++;
	}
	return 0;
}

static void resolve_dependents(struct pcore_sched *s, struct array *a)
{
	while (!pcore_list_empty(&a->dependents)) {
		struct edge *e = container_of(a->dependents.next, struct edge, of_target);
		struct array *waiter = e->waiter;

		edge_free(e);
		if (a->n_bad > 0) {
			if (pcore_list_empty(&waiter->link))
				pcore_list_add_tail(&s->failed, &waiter->link);
			continue;
		}
		if (!pcore_list_empty(&waiter->link))
			continue; /* it has failed already */
		if (--waiter->n_after > 0)
			continue;
		s->counts.waiting -= sched_array_left(waiter);
		s->counts.queued += sched_array_left(waiter);
		sched_ready(s, waiter->client);
		sched_lane_add(s, waiter);
	}
}

/* Arrays that waited for one that did not succeed are set aside. Short of memory, the next event goes on. */
void sched_work_failed(struct pcore_sched *s)
{
	while (!pcore_list_empty(&s->failed)) {
		struct array *a = container_of(s->failed.next, struct array, link);

		if (sched_cancel_queued(s, a, 0, a->n, PCORE_SCHED_DEPENDENCY) < 0) {
			s->short_of_memory = true;
			return;
		}
		sched_array_over(s, a);
	}
}

/* ---- coming and going ---- */

void sched_array_free(struct pcore_sched *s, struct array *a)
{
	while (!pcore_list_empty(&a->afters))
		edge_free(container_of(a->afters.next, struct edge, of_waiter));
	while (!pcore_list_empty(&a->dependents))
		edge_free(container_of(a->dependents.next, struct edge, of_target));
	pcore_list_del(&a->link);
	pcore_list_del(&a->by_client);
	if (a->lane)
		sched_lane_unref(s, a->lane);
	free(a);
}

/* Room is told when there is some more than for one. */
static bool has_room(size_t n, uint32_t max)
{
	return n < max - max / 4;
}

void sched_tell_room(struct pcore_sched *s)
{
	if (!has_room(s->n_arrays, s->spec.entries_max))
		return;
	PCORE_LIST_FOREACH_SAFE(link, &s->wait_for_room)
	{
		struct client *c = container_of(link, struct client, waits_for_room);

		if (!has_room(c->n_arrays, s->spec.client_entries_max))
			continue;
		if (sched_reserve(s, 1, 0) < 0) {
			s->short_of_memory = true;
			return;
		}
		pcore_list_del(&c->waits_for_room);
		sched_tell(s, PCORE_SCHED_ROOM, c);
	}
}

/* When nothing is left of it, it is forgotten, and what waited for it goes on. */
void sched_array_over(struct pcore_sched *s, struct array *a)
{
	struct client *c = a->client;

	if (a->live > 0 || sched_array_left(a) > 0)
		return;
	assert(a->next == a->end);
	sched_array_forget(s, a);
	resolve_dependents(s, a);
	c->n_arrays--;
	c->n_ready -= a->n_after == 0;
	s->counts.arrays--;
	sched_array_free(s, a);
	sched_tell_room(s);
	sched_client_release(s, c);
}

struct array *sched_array_new(const struct pcore_sched_jobs *jobs, uint64_t first, uint32_t epoch)
{
	struct array *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->first = first;
	a->epoch = (uint16_t)epoch;
	a->n = a->end = jobs->n ? jobs->n : 1;
	a->cookie = jobs->cookie;
	a->time_limit_ns = jobs->time_limit_ns;
	a->backoff_ns = jobs->backoff_ns;
	a->backoff_max_ns = jobs->backoff_max_ns;
	a->at_most_once = jobs->at_most_once;
	a->retry_lost = jobs->retry_lost;
	a->restarts = jobs->restarts;
	a->reschedules = jobs->reschedules;
	pcore_list_init(&a->link);
	pcore_list_init(&a->by_client);
	pcore_list_init(&a->afters);
	pcore_list_init(&a->dependents);
	return a;
}

/* It belongs to c and waits in class. A reference of class is not taken over. */
int sched_array_enter(struct pcore_sched *s, struct array *a, struct client *c, struct class *class, int32_t priority)
{
	int r = sched_lane_get(s, c, priority, class, &a->lane);

	if (r == 0)
		r = sched_array_add(s, a);
	if (r < 0)
		return r;
	a->client = c;
	pcore_list_add_tail(&c->arrays, &a->by_client);
	c->n_arrays++;
	s->counts.arrays++;
	if (a->n_after) {
		s->counts.waiting += sched_array_left(a);
	} else {
		s->counts.queued += sched_array_left(a);
		sched_ready(s, c);
	}
	s->next_job = s->next_job > a->first + a->n ? s->next_job : a->first + a->n;
	return 0;
}

static int admission(struct pcore_sched *s, struct client *c)
{
	if (s->n_arrays < s->spec.entries_max && c->n_arrays < s->spec.client_entries_max)
		return 0;
	if (pcore_list_empty(&c->waits_for_room))
		pcore_list_add_tail(&s->wait_for_room, &c->waits_for_room);
	return -EAGAIN;
}

static int check_jobs(const struct pcore_sched_jobs *jobs)
{
	if (jobs->n > PCORE_SCHED_JOBS_MAX || jobs->time_limit_ns < 0 || jobs->backoff_ns < 0 || jobs->backoff_max_ns < 0 ||
		jobs->n_after > PCORE_SCHED_PARTS_MAX)
		return -EINVAL;
	return 0;
}

int pcore_sched_submit(
	struct pcore_sched *s, int64_t now_ns, uint64_t client, const struct pcore_sched_jobs *jobs, uint64_t *ret_first)
{
	struct client *c = sched_client_find(s, client);
	struct pcore_sched_news *news;
	struct class *class = NULL;
	struct array *a;
	int r = check_jobs(jobs);

	assert(!s->restoring);
	if (!c || !c->present)
		return -ENOENT;
	if (r == 0)
		r = admission(s, c);
	if (r < 0)
		return r;
	a = sched_array_new(jobs, s->next_job, s->epoch);
	r = a ? sched_reserve(s, 1, 0) : -ENOMEM;
	if (r == 0)
		r = sched_class_of(s, &jobs->request, &class);
	if (r == 0)
		r = sched_array_after(s, a, jobs->after, jobs->n_after);
	if (r == 0)
		r = sched_array_enter(s, a, c, class, jobs->priority);
	if (class)
		sched_class_unref(s, class);
	if (r == 0 && !sched_record_skips(s, c)) {
		r = sched_record_array(&s->records, a);
		if (r < 0)
			sched_array_withdraw(s, a);
	}
	if (r < 0) {
		if (a)
			sched_array_free(s, a);
		return r;
	}
	s->now_ns = now_ns;
	s->counts.submitted += a->n;
	*ret_first = a->first;
	if (a->lane->class->n_admits == 0) {
		news = sched_tell(s, PCORE_SCHED_NO_NODE, c);
		assert(news);
		news->job = a->first;
		news->cookie = a->cookie;
		news->n = a->n;
	}
	if (a->n_after == 0)
		sched_lane_add(s, a);
	sched_settle(s);
	return 0;
}

/* Undo sched_array_enter(). */
void sched_array_withdraw(struct pcore_sched *s, struct array *a)
{
	sched_array_forget(s, a);
	s->next_job = a->first;
	a->client->n_arrays--;
	a->client->n_ready -= a->n_after == 0;
	s->counts.arrays--;
	if (a->n_after)
		s->counts.waiting -= sched_array_left(a);
	else
		s->counts.queued -= sched_array_left(a);
}

/* ---- cancelling ---- */

/* The first run of jobs from *index on, before end, that are not split off: its length, 0: there is none. */
static uint32_t next_run(const struct pcore_sched *s, const struct array *a, uint32_t *index, uint32_t end)
{
	uint32_t from = *index > a->next ? *index : a->next, to;

	end = end < a->end ? end : a->end;
	if (a->n_out > 0)
		while (from < end && sched_job_find(s, a->first + from))
			from++;
	if (from >= end)
		return 0;
	to = end;
	if (a->n_out > 0)
		for (to = from + 1; to < end && !sched_job_find(s, a->first + to);)
			to++;
	*index = from;
	return to - from;
}

/* Those of n jobs from index on that were not split off are over. How many, or -ENOMEM. The array stays. */
int64_t sched_cancel_queued(struct pcore_sched *s, struct array *a, uint32_t index, uint32_t n, enum pcore_sched_outcome outcome)
{
	uint32_t end = index + n, len;
	int64_t total = 0;
	int r = sched_reserve(s, a->n_out + 1, a->n_out + 1);

	if (r < 0)
		return r;
	while ((len = next_run(s, a, &index, end)) > 0) {
		r = sched_array_cut(s, a, index, len);
		if (r < 0)
			return r;
		sched_range_over(s, a, index, len, outcome);
		total += len;
		index += len;
	}
	return total;
}

/* Call f for the array's jobs in the table with an index from low to before high; it may free its job. The sum of what it
 * returns, or the first error. */
static int64_t each_split(struct pcore_sched *s, struct array *a, uint32_t low, uint32_t high,
	int (*f)(struct pcore_sched *s, struct job *j, enum pcore_sched_how how), enum pcore_sched_how how)
{
	int64_t sum = 0;
	int r = 0;

	if (high - low <= s->table_size) {
		for (uint32_t i = low; i < high && r >= 0; i++, sum += r) {
			struct job *j = sched_job_find(s, a->first + i);

			r = j && j->state != JOB_GAP ? f(s, j, how) : 0;
		}
		return r < 0 ? r : sum;
	}
	for (size_t i = 0; i < s->table_size && r >= 0; i++) {
		for (struct job *j = s->table[i], *next; j && r >= 0; j = next, sum += r) {
			next = j->hash_next;
			r = 0;
			if (j->array == a && j->state != JOB_GAP && j->index >= low && j->index < high)
				r = f(s, j, how);
		}
	}
	return r < 0 ? r : sum;
}

static int make_room(struct pcore_sched *s, struct job *j, enum pcore_sched_how how)
{
	(void)s;
	(void)how;
	if (!job_on_node(j) || j->node->gone)
		return 0;
	return sched_node_reserve(j->node, j->node->n_jobs + j->node->n_ahead, 0);
}

static int cancel_split(struct pcore_sched *s, struct job *j, enum pcore_sched_how how)
{
	if (job_on_node(j)) {
		if (j->cancel >= how)
			return 1;
		j->cancel = (unsigned)how & 3U;
		sched_record_job(s, j);
		if (!j->node->gone)
			sched_act(s, j->node, PCORE_SCHED_CANCEL, job_id(j), j->attempt)->how = (unsigned)how & 3U;
		return 1;
	}
	if (j->state == JOB_BACKOFF) {
		pcore_heap_remove(&s->retries, &j->retry);
		pcore_list_init(&j->link);
		s->counts.backoff--;
		j->state = JOB_NEW;
	} else {
		sched_unqueue(s, j);
	}
	sched_job_over(s, j, PCORE_SCHED_CANCELLED, NULL, NULL);
	return 1;
}

int64_t sched_cancel_range(struct pcore_sched *s, struct array *a, uint32_t index, uint32_t n, enum pcore_sched_how how)
{
	uint32_t end = index + n;
	size_t over = (size_t)a->n_out + a->live + 1;
	int64_t r = sched_reserve(s, over, over), n_queued;

	if (r == 0)
		r = each_split(s, a, index, end, make_room, how);
	if (r < 0)
		return r;
	n_queued = sched_cancel_queued(s, a, index, n, PCORE_SCHED_CANCELLED);
	if (n_queued < 0)
		return n_queued;
	a->live++; /* it is not over before we are */
	r = each_split(s, a, index, end, cancel_split, how);
	assert(r >= 0);
	a->live--;
	sched_array_over(s, a);
	return n_queued + r;
}

int64_t pcore_sched_cancel(struct pcore_sched *s, int64_t now_ns, uint64_t id, uint32_t n, enum pcore_sched_how how)
{
	struct array *a = sched_array_find(s, id);
	uint32_t index = a ? (uint32_t)(id - a->first) : 0;
	int64_t r;

	if (!a)
		return -ENOENT;
	s->now_ns = now_ns;
	if (n > a->n - index)
		n = a->n - index;
	r = sched_cancel_range(s, a, index, n, how);
	if (r >= 0)
		sched_settle(s);
	return r > 0 ? r : r < 0 ? r : -ENOENT;
}
