/* SPDX-License-Identifier: MIT */
/*
 * sched_array.c - arrays, and the jobs that are split off them: both found by their id.
 */
#include "libcore/cluster/sched_private.h"

/* ---- arrays by id ---- */

/* The number of slots whose first id is at most id. */
static size_t slots_up_to(const struct pcore_sched *s, uint64_t id)
{
	size_t low = 0, high = s->n_array_slots;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->arrays[mid].first <= id)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct array *sched_array_find(const struct pcore_sched *s, uint64_t id)
{
	size_t n = slots_up_to(s, id);
	struct array *a = n ? s->arrays[n - 1].array : NULL;

	return a && id - a->first < a->n ? a : NULL;
}

int sched_array_add(struct pcore_sched *s, struct array *a)
{
	assert(s->n_array_slots == 0 || s->arrays[s->n_array_slots - 1].first < a->first);
	if (s->n_array_slots == s->arrays_cap) {
		size_t cap = s->arrays_cap ? s->arrays_cap * 2 : 64;
		struct array_slot *slots = reallocarray(s->arrays, cap, sizeof(*slots));

		if (!slots)
			return -ENOMEM;
		s->arrays = slots;
		s->arrays_cap = cap;
	}
	s->arrays[s->n_array_slots++] = (struct array_slot){ a->first, a };
	s->n_arrays++;
	return 0;
}

/* Places of what is over are closed up when they are half of all. */
void sched_array_forget(struct pcore_sched *s, struct array *a)
{
	size_t n = slots_up_to(s, a->first), kept = 0;

	assert(n > 0);
	assert(s->arrays[n - 1].array == a);
	s->arrays[n - 1].array = NULL;
	s->n_arrays--;
	while (s->n_array_slots > 0 && !s->arrays[s->n_array_slots - 1].array)
		s->n_array_slots--;
	if (s->n_array_slots <= 2 * s->n_arrays + 16)
		return;
	for (size_t i = 0; i < s->n_array_slots; i++)
		if (s->arrays[i].array)
			s->arrays[kept++] = s->arrays[i];
	s->n_array_slots = kept;
}

/* ---- jobs by id ---- */

/* Ids are ours and nobody can choose them to collide. There are one or two jobs a bucket. */
static struct job **bucket(const struct pcore_sched *s, uint64_t id)
{
	return &s->table[(id * UINT64_C(0x9e3779b97f4a7c15)) >> 20 & (s->table_size - 1)];
}

struct job *sched_job_find(const struct pcore_sched *s, uint64_t id)
{
	if (s->n_table == 0)
		return NULL;
	for (struct job *j = *bucket(s, id); j; j = j->hash_next)
		if (job_id(j) == id)
			return j;
	return NULL;
}

static int grow_table(struct pcore_sched *s)
{
	struct job **old = s->table;
	size_t n_old = s->table_size;

	s->table_size = n_old ? n_old * 2 : 64;
	s->table = calloc(s->table_size, sizeof(struct job *));
	if (!s->table) {
		s->table = old;
		s->table_size = n_old;
		return -ENOMEM;
	}
	for (size_t i = 0; i < n_old; i++) {
		while (old[i]) {
			struct job *j = old[i], **to = bucket(s, job_id(j));

			old[i] = j->hash_next;
			j->hash_next = *to;
			*to = j;
		}
	}
	free(old);
	return 0;
}

int sched_jobs_reserve(struct pcore_sched *s, size_t n)
{
	while (s->n_table + n > 2 * s->table_size)
		if (grow_table(s) < 0)
			return -ENOMEM;
	while (s->n_unused < n) {
		struct job_chunk *chunk = calloc(1, sizeof(*chunk));

		if (!chunk)
			return -ENOMEM;
		chunk->next = s->chunks;
		s->chunks = chunk;
		for (size_t i = 0; i < ARRAY_SIZE(chunk->jobs); i++) {
			chunk->jobs[i].hash_next = s->unused;
			s->unused = &chunk->jobs[i];
		}
		s->n_unused += ARRAY_SIZE(chunk->jobs);
	}
	return 0;
}

int sched_job_new(struct pcore_sched *s, struct array *a, uint32_t index, struct job **ret)
{
	struct job **to, *j;

	if (sched_jobs_reserve(s, 1) < 0)
		return -ENOMEM;
	j = s->unused;
	s->unused = j->hash_next;
	s->n_unused--;
	*j = (struct job){ .array = a, .index = index };
	pcore_list_init(&j->link);
	to = bucket(s, job_id(j));
	j->hash_next = *to;
	*to = j;
	s->n_table++;
	*ret = j;
	return 0;
}

void sched_job_free(struct pcore_sched *s, struct job *j)
{
	struct job **link = bucket(s, job_id(j));

	while (*link != j)
		link = &(*link)->hash_next;
	*link = j->hash_next;
	s->n_table--;
	j->hash_next = s->unused;
	s->unused = j;
	s->n_unused++;
}

uint32_t sched_array_left(const struct array *a)
{
	return a->end - a->next - a->n_out;
}

static uint64_t *waiting_count(struct pcore_sched *s, const struct array *a)
{
	return a->n_after ? &s->counts.waiting : &s->counts.queued;
}

/* A place that was taken out of the middle has been reached. */
static bool close_place(struct pcore_sched *s, struct array *a, uint32_t index)
{
	struct job *j = a->n_out ? sched_job_find(s, a->first + index) : NULL;

	if (!j)
		return false;
	a->n_out--;
	if (j->state == JOB_GAP)
		sched_job_free(s, j);
	return true;
}

static void close_places(struct pcore_sched *s, struct array *a)
{
	while (a->next < a->end && close_place(s, a, a->next))
		a->next++;
	while (a->next < a->end && close_place(s, a, a->end - 1))
		a->end--;
}

int sched_job_split(struct pcore_sched *s, struct array *a, uint32_t index, struct job **ret)
{
	int r;

	assert(index >= a->next);
	assert(index < a->end);
	r = sched_job_new(s, a, index, ret);
	if (r < 0)
		return r;
	(*ret)->state = JOB_NEW;
	if (index == a->next)
		a->next++;
	else
		a->n_out++;
	a->live++;
	--*waiting_count(s, a);
	close_places(s, a);
	if (sched_array_left(a) == 0)
		sched_lane_remove(s, a);
	return 0;
}

int sched_array_cut(struct pcore_sched *s, struct array *a, uint32_t index, uint32_t n)
{
	assert(n > 0);
	assert(index >= a->next);
	assert(index + n <= a->end);
	if (index == a->next) {
		a->next += n;
	} else if (index + n == a->end) {
		a->end -= n;
	} else {
		struct job *gap;

		if (sched_jobs_reserve(s, n) < 0)
			return -ENOMEM;
		for (uint32_t i = 0; i < n; i++)
			sched_job_new(s, a, index + i, &gap);
		a->n_out += n;
	}
	*waiting_count(s, a) -= n;
	close_places(s, a);
	if (sched_array_left(a) == 0)
		sched_lane_remove(s, a);
	return 0;
}
