/* SPDX-License-Identifier: MIT */
/*
 * sched_restore.c - records are read: the state that they make, and what has to be waited for after a restart.
 */
#include <string.h>

#include "libcore/cluster/sched_private.h"

static int read_meta(struct pcore_sched *s, const unsigned char *p)
{
	uint32_t epoch = (uint32_t)sched_pick(&p, 4), serial = (uint32_t)sched_pick(&p, 4);
	uint64_t client = sched_pick(&p, 8), job = sched_pick(&p, 8);

	s->epoch = epoch > s->epoch ? epoch : s->epoch;
	s->next_serial = serial > s->next_serial ? serial : s->next_serial;
	s->next_client = client > s->next_client ? client : s->next_client;
	s->next_job = job > s->next_job ? job : s->next_job;
	return 0;
}

static int read_client(struct pcore_sched *s, const unsigned char *p)
{
	uint64_t id = sched_pick(&p, 8);
	uint32_t weight = (uint32_t)sched_pick(&p, 4);
	unsigned flags = (unsigned)sched_pick(&p, 1);
	struct client *c;
	int r;

	if (id == 0 || sched_client_find(s, id))
		return -EBADMSG;
	r = sched_client_make(s, id, flags, weight, &c);
	if (r == 0)
		c->present = c->private;
	return r;
}

static int read_client_gone(struct pcore_sched *s, const unsigned char *p)
{
	struct client *c = sched_client_find(s, sched_pick(&p, 8));

	if (!c || c->n_arrays > 0)
		return -EBADMSG;
	sched_client_forget(s, c);
	return 0;
}

static int read_node(struct pcore_sched *s, const unsigned char *p, size_t len)
{
	uint32_t serial = (uint32_t)sched_pick(&p, 4);
	uint64_t instance = sched_pick(&p, 8);
	const char *name = (const char *)p;
	struct node *n;

	len -= NODE_LEN;
	if (len < 2 || name[len - 1] != '\0' || strlen(name) != len - 1 || sched_node_of_serial(s, serial) || sched_node_named(s, name))
		return -EBADMSG;
	s->next_serial = s->next_serial > serial ? s->next_serial : serial + 1;
	return sched_node_make(s, name, instance, serial, &n);
}

static int read_node_gone(struct pcore_sched *s, const unsigned char *p)
{
	struct node *n = sched_node_of_serial(s, (uint32_t)sched_pick(&p, 4));

	if (!n || n->n_jobs + n->n_ahead > 0)
		return -EBADMSG;
	sched_node_forget(s, n);
	return 0;
}

static int read_array(struct pcore_sched *s, const unsigned char *p, size_t len)
{
	struct pcore_sched_jobs jobs = { 0 };
	uint64_t after[PCORE_SCHED_PARTS_MAX], first = sched_pick(&p, 8);
	uint32_t next, end, n_bad;
	struct class *class = NULL;
	struct client *c;
	struct array *a;
	uint16_t epoch;
	uint8_t flags;
	int r;

	jobs.n = (uint32_t)sched_pick(&p, 4);
	next = (uint32_t)sched_pick(&p, 4);
	end = (uint32_t)sched_pick(&p, 4);
	n_bad = (uint32_t)sched_pick(&p, 4);
	c = sched_client_find(s, sched_pick(&p, 8));
	jobs.priority = (int32_t)(uint32_t)sched_pick(&p, 4);
	jobs.cookie = sched_pick(&p, 8);
	jobs.time_limit_ns = (int64_t)sched_pick(&p, 8);
	jobs.backoff_ns = (int64_t)sched_pick(&p, 8);
	jobs.backoff_max_ns = (int64_t)sched_pick(&p, 8);
	flags = (uint8_t)sched_pick(&p, 1);
	jobs.at_most_once = flags & 1;
	jobs.retry_lost = (uint8_t)sched_pick(&p, 1);
	jobs.restarts = (uint8_t)sched_pick(&p, 1);
	jobs.reschedules = (uint8_t)sched_pick(&p, 1);
	epoch = (uint16_t)sched_pick(&p, 2);
	jobs.n_after = (uint32_t)sched_pick(&p, 4);
	if (!c || jobs.n == 0 || jobs.n > PCORE_SCHED_JOBS_MAX || next > end || end > jobs.n || first == 0 ||
		(s->n_array_slots && s->arrays[s->n_array_slots - 1].first >= first) || jobs.n_after > ARRAY_SIZE(after) ||
		len < SUBMIT_LEN + jobs.n_after * 8)
		return -EBADMSG;
	for (size_t i = 0; i < jobs.n_after; i++)
		after[i] = sched_pick(&p, 8);
	a = sched_array_new(&jobs, first, epoch);
	if (!a)
		return -ENOMEM;
	a->next = next;
	a->end = end;
	a->n_bad = n_bad;
	r = sched_class_of_key(s, p, len - SUBMIT_LEN - jobs.n_after * 8, &class);
	if (r == 0)
		r = sched_array_after(s, a, after, jobs.n_after);
	a->n_after += (flags & 2) != 0;
	if (r == 0)
		r = sched_array_enter(s, a, c, class, jobs.priority);
	if (class)
		sched_class_unref(s, class);
	if (r < 0) {
		sched_array_free(s, a);
		return r == -ENOENT ? -EBADMSG : r;
	}
	if (flags & 2)
		pcore_list_add_tail(&s->failed, &a->link);
	else if (a->n_after == 0)
		sched_lane_add(s, a);
	return 0;
}

/* The job, on no list; it is made if it is not there. */
static int detached(struct pcore_sched *s, struct array *a, uint32_t index, struct job **ret)
{
	struct job *j = sched_job_find(s, a->first + index);
	int r;

	if (!j && index >= a->next && index < a->end)
		return sched_job_split(s, a, index, ret);
	if (!j) {
		r = sched_job_new(s, a, index, ret);
		if (r == 0) {
			(*ret)->state = JOB_NEW;
			a->live++;
		}
		return r;
	}
	if (j->state == JOB_GAP)
		return -EBADMSG;
	if (job_on_node(j))
		sched_node_pull(s, j);
	else
		sched_unqueue(s, j);
	*ret = j;
	return 0;
}

static int read_job(struct pcore_sched *s, const unsigned char *p)
{
	uint64_t id = sched_pick(&p, 8);
	uint32_t attempt = (uint32_t)sched_pick(&p, 4), serial = (uint32_t)sched_pick(&p, 4), index;
	struct node *n = serial ? sched_node_of_serial(s, serial) : NULL;
	struct array *a = sched_array_find(s, id);
	struct job *j;
	int r;

	if (!a || (serial && !n))
		return -EBADMSG;
	index = (uint32_t)(id - a->first);
	if (p[4] & 2)
		return index < a->next || index >= a->end || sched_job_find(s, id) ? -EBADMSG : sched_array_cut(s, a, index, 1);
	if (a->n_after > 0)
		return -EBADMSG;
	r = detached(s, a, index, &j);
	if (r < 0)
		return r;
	j->attempt = attempt;
	j->failures = *p++;
	j->losses = *p++;
	j->crashes = *p++;
	j->cancel = *p++ & 3U;
	j->ended = *p & 1U;
	if (n)
		sched_node_put(s, j, n, JOB_HELD);
	else
		sched_queue(s, j, a->lane);
	return 0;
}

static int read_over(struct pcore_sched *s, const unsigned char *p)
{
	uint64_t id = sched_pick(&p, 8);
	uint32_t n = (uint32_t)sched_pick(&p, 4);
	bool success = sched_pick(&p, 1);
	struct array *a = sched_array_find(s, id);
	uint32_t index = a ? (uint32_t)(id - a->first) : 0;
	struct job *j;
	int64_t r;

	if (!a || n == 0 || n > a->n - index)
		return -EBADMSG;
	if (n == 1 && sched_job_find(s, id)) {
		r = detached(s, a, index, &j);
		if (r == 0)
			sched_job_over(s, j, success ? PCORE_SCHED_SUCCEEDED : PCORE_SCHED_FAILED, NULL, NULL);
		return (int)r;
	}
	r = sched_cancel_queued(s, a, index, n, PCORE_SCHED_FAILED);
	if (r >= 0)
		sched_array_over(s, a);
	return r < 0 ? (int)r : 0;
}

static int read_record(struct pcore_sched *s, enum record_kind kind, const unsigned char *p, size_t len)
{
	switch (kind) {
	case META:
		return len == META_LEN ? read_meta(s, p) : -EBADMSG;
	case CLIENT:
		return len == CLIENT_LEN ? read_client(s, p) : -EBADMSG;
	case CLIENT_GONE:
		return len == 8 ? read_client_gone(s, p) : -EBADMSG;
	case NODE:
		return len > NODE_LEN ? read_node(s, p, len) : -EBADMSG;
	case NODE_GONE:
		return len == 4 ? read_node_gone(s, p) : -EBADMSG;
	case SUBMIT:
		return len > SUBMIT_LEN ? read_array(s, p, len) : -EBADMSG;
	case JOB:
		return len == JOB_LEN ? read_job(s, p) : -EBADMSG;
	case OVER:
		return len == OVER_LEN ? read_over(s, p) : -EBADMSG;
	}
	return -EBADMSG;
}

int pcore_sched_restore(struct pcore_sched *s, int64_t now_ns, const void *records, size_t len)
{
	const unsigned char *p = records, *end = p + len;

	s->now_ns = now_ns;
	s->restoring = true;
	while (p < end) {
		enum record_kind kind;
		size_t n;
		int r;

		if (end - p < RECORD_HEAD)
			return -EBADMSG;
		kind = (enum record_kind)sched_pick(&p, 1);
		n = sched_pick(&p, 4);
		if ((size_t)(end - p) < n)
			return -EBADMSG;
		r = read_record(s, kind, p, n);
		if (r < 0)
			return r;
		p += n;
	}
	return 0;
}

/* Wait for what has not come back yet. */
static int start_graces(struct pcore_sched *s)
{
	int r = 0;

	PCORE_LIST_FOREACH_SAFE(link, &s->all_nodes)
	{
		struct node *n = container_of(link, struct node, link);

		if (n->n_jobs + n->n_ahead == 0) {
			if (r == 0 && (r = sched_reserve(s, 0, 1)) == 0)
				sched_record_node_gone(s, n), sched_node_forget(s, n);
		} else if (r == 0 && !pcore_heap_linked(&n->grace)) {
			n->grace = (struct pcore_heap_node){ .key = s->now_ns + s->spec.lost_after_ns };
			r = pcore_heap_insert(&s->node_graces, &n->grace);
		}
	}
	PCORE_LIST_FOREACH_SAFE(link, &s->all_clients)
	{
		struct client *c = container_of(link, struct client, link);

		if (r == 0 && c->present && !pcore_heap_linked(&c->grace)) {
			c->grace = (struct pcore_heap_node){ .key = s->now_ns + s->spec.lost_after_ns };
			r = pcore_heap_insert(&s->client_graces, &c->grace);
		}
	}
	return r;
}

int pcore_sched_restored(struct pcore_sched *s, int64_t now_ns)
{
	int r;

	s->now_ns = now_ns;
	if (!s->restoring)
		return 0;
	if (s->epoch == UINT16_MAX)
		return -EOVERFLOW;
	s->restoring = false;
	r = start_graces(s);
	s->epoch++;
	if (r == 0 && s->spec.persist)
		r = sched_record_meta(&s->records, s);
	if (r < 0) {
		s->epoch--;
		s->restoring = true;
		return r;
	}
	PCORE_LIST_FOREACH_SAFE(link, &s->all_clients)
	{
		sched_client_release(s, container_of(link, struct client, link));
	}
	sched_settle(s);
	return 0;
}
