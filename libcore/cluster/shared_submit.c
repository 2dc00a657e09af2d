/* SPDX-License-Identifier: MIT */
/*
 * shared_submit.c - jobs for good: submissions come, in parts, and are there until they are forgotten.
 *
 * A part is in the store, as it came, before it is confirmed. Its jobs cost a few bytes each until they are assigned.
 */
#include <string.h>

#include "libcore/cluster/shared_private.h"

enum {
	KEEP = 1 << 20, /* bytes of the disk that a submit leaves for what is to be noted of jobs, and */
	KEEP_JOB = 512, /* for each job that has not ended, */
	KEEP_MAX = 16 << 20, /* but not more: then what ends waits */
};

struct shared_submission *shared_submission_find(struct pcore_shared *s, uint64_t number)
{
	struct pcore_map_node *node = pcore_map_find(&s->by_number, &number, sizeof(number));

	return node ? container_of(node, struct shared_submission, by_number) : NULL;
}

struct shared_part *shared_part_of(struct shared_submission *sub, uint64_t seq, uint32_t *index)
{
	size_t low = 0, high = sub->n_parts;

	if (seq == 0 || seq > sub->n)
		return NULL;
	while (high - low > 1) {
		size_t mid = (low + high) / 2;

		if (sub->parts[mid]->before < seq)
			low = mid;
		else
			high = mid;
	}
	*index = (uint32_t)(seq - 1 - sub->parts[low]->before);
	return sub->parts[low];
}

struct shared_part *shared_part_of_id(struct pcore_shared *s, uint64_t id, uint32_t *index)
{
	size_t low = 0, high = s->n_parts;

	while (high - low > 1) {
		size_t mid = (low + high) / 2;

		if (s->parts[mid]->first <= id)
			low = mid;
		else
			high = mid;
	}
	if (high == 0 || id < s->parts[low]->first || id - s->parts[low]->first >= s->parts[low]->n)
		return NULL;
	*index = (uint32_t)(id - s->parts[low]->first);
	return s->parts[low];
}

uint64_t shared_submission_over(const struct shared_submission *sub)
{
	return sub->succeeded + sub->failed + sub->cancelled + sub->lost;
}

/* ---- memory ---- */

static void part_free(struct shared_part *p)
{
	if (!p)
		return;
	for (uint32_t i = 0; p->results && i < p->n; i++)
		shared_stored_free(p->results[i].stored);
	free(p->results);
	free(p->offsets);
	free(p->args);
	free(p);
}

void shared_submission_free(struct pcore_shared *s, struct shared_submission *sub)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_parts; i++)
		if (s->parts[i]->sub != sub)
			s->parts[n++] = s->parts[i];
	s->n_parts = n;
	for (size_t i = 0; i < sub->n_parts; i++)
		part_free(sub->parts[i]);
	if (sub->how.at_most_once && s->n_at_most_once > 0)
		s->n_at_most_once--;
	pcore_map_remove(&s->by_number, &sub->by_number);
	pcore_map_remove(&s->by_token, &sub->by_token);
	pcore_list_del(&sub->link);
	shared_template_put(s, sub->template);
	free(sub->parts);
	free(sub->after);
	free(sub->input);
	free(sub->owner);
	free(sub);
}

/* Parts come with rising ids, but for one that is submitted anew after a crash. */
static int enter_part(struct pcore_shared *s, struct shared_part *p)
{
	size_t i;

	if (s->n_parts == s->parts_cap) {
		size_t cap = s->parts_cap ? 2 * s->parts_cap : 64;
		struct shared_part **larger = reallocarray(s->parts, cap, sizeof(struct shared_part *));

		if (!larger)
			return -ENOMEM;
		s->parts = larger;
		s->parts_cap = cap;
	}
	for (i = s->n_parts; i > 0 && s->parts[i - 1]->first > p->first; i--)
		s->parts[i] = s->parts[i - 1];
	s->parts[i] = p;
	s->n_parts++;
	return 0;
}

static void leave_part(struct pcore_shared *s, const struct shared_part *p)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_parts; i++)
		if (s->parts[i] != p)
			s->parts[n++] = s->parts[i];
	s->n_parts = n;
}

static int copy(char **ret, const void *data, size_t len)
{
	*ret = malloc(len + 1);
	if (!*ret)
		return -ENOMEM;
	if (len > 0)
		memcpy(*ret, data, len);
	(*ret)[len] = '\0';
	return 0;
}

/* Its jobs' arguments, and where each one's begin. */
static int fill_part(struct shared_part *p, const struct pcore_wire_submit *m)
{
	struct pcore_wire_words words = m->args;
	uint32_t at = 0;

	if (m->count == 0 || m->count > PCORE_WIRE_SUBMIT_MAX || m->words > UINT32_MAX || m->args.n != m->count * m->words)
		return -EINVAL;
	p->n = (uint32_t)m->count;
	p->words = (uint32_t)m->words;
	p->results = calloc(p->n, sizeof(*p->results));
	p->offsets = p->words > 0 ? calloc((size_t)p->n + 1, sizeof(*p->offsets)) : NULL;
	if (!p->results || (p->words > 0 && !p->offsets) || copy(&p->args, m->args.data, m->args.len) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < p->n && p->words > 0; i++) {
		p->offsets[i] = at;
		for (uint32_t k = 0; k < p->words; k++)
			at += (uint32_t)strlen(pcore_wire_word(&words)) + 1;
	}
	if (p->words > 0)
		p->offsets[p->n] = at;
	return 0;
}

static int part_new(struct shared_part **ret, struct shared_submission *sub, const struct pcore_wire_submit *m)
{
	struct shared_part *p = calloc(1, sizeof(*p)), **larger;
	int r = p ? fill_part(p, m) : -ENOMEM;

	if (r == 0 && (sub->n_parts & (sub->n_parts - 1)) == 0) {
		larger = reallocarray(sub->parts, sub->n_parts ? 2 * sub->n_parts : 1, sizeof(struct shared_part *));
		if (larger)
			sub->parts = larger;
		else
			r = -ENOMEM;
	}
	if (r < 0) {
		part_free(p);
		return r;
	}
	p->sub = sub;
	p->number = (uint32_t)sub->n_parts;
	p->before = sub->n;
	*ret = p;
	return 0;
}

static void add_part(struct shared_submission *sub, struct shared_part *p, bool more)
{
	sub->parts[sub->n_parts++] = p;
	sub->n += p->n;
	sub->more = more;
}

/* What part 0 says of all. */
static int fill_submission(struct pcore_shared *s, struct shared_submission *sub, const struct pcore_wire_submit *m)
{
	struct shared_env *env;
	uint64_t has = m->has;
	int r;

	sub->how = (struct pcore_sched_jobs){
		.priority = (int32_t)(has & PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_PRIORITY) ? m->priority : 0),
		.at_most_once = has & PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_AT_MOST_ONCE) && m->at_most_once,
		.retry_lost = (uint8_t)(has & PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_RETRY_LOST) ? m->retry_lost : 3),
		.reschedules = (uint8_t)(has & PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_RETRIES) ? m->retries : 0),
		.backoff_ns = has & PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_BACKOFF) ? m->backoff : 0,
	};
	if ((has & PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_RETRY_LOST) && m->retry_lost > UINT8_MAX) ||
		(has & PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_RETRIES) && m->retries > UINT8_MAX))
		return -EINVAL;
	sub->n_after = pcore_wire_u64s(&m->after);
	sub->after = calloc(sub->n_after + 1, sizeof(*sub->after));
	if (!sub->after)
		return -ENOMEM;
	for (size_t i = 0; i < sub->n_after; i++)
		sub->after[i] = pcore_wire_u64(&m->after, i);
	r = copy(&sub->input, m->input.data, m->input.len);
	sub->input_len = m->input.len;
	if (r == 0)
		r = shared_env_get(s, &env, m->env.data, m->env.len);
	if (r < 0)
		return r;
	r = shared_template_get(s, &sub->template, env, m->template.data, m->template.len, s->spec.max_output);
	shared_env_put(s, env);
	return r;
}

static int submission_new(struct pcore_shared *s, struct shared_submission **ret, const struct pcore_wire_submit *m, uint64_t number, const char *owner)
{
	struct shared_submission *sub = calloc(1, sizeof(*sub));
	int r;

	if (!sub)
		return -ENOMEM;
	sub->number = number;
	memcpy(sub->token, m->token.data, PCORE_WIRE_TOKEN);
	pcore_list_init(&sub->link);
	r = copy(&sub->owner, owner, strlen(owner));
	if (r == 0)
		r = fill_submission(s, sub, m);
	if (r == 0)
		r = pcore_map_insert(&s->by_number, &sub->by_number, &sub->number, sizeof(sub->number));
	if (r == 0) {
		r = pcore_map_insert(&s->by_token, &sub->by_token, sub->token, sizeof(sub->token));
		if (r < 0)
			pcore_map_remove(&s->by_number, &sub->by_number);
	}
	if (r < 0) {
		shared_template_put(s, sub->template);
		free(sub->after);
		free(sub->input);
		free(sub->owner);
		free(sub);
		return r;
	}
	pcore_list_add_tail(&s->submissions, &sub->link);
	s->n_at_most_once += sub->how.at_most_once;
	*ret = sub;
	return 0;
}

/* ---- to the scheduler ---- */

/* The scheduler's client for all that comes with this key. */
static int owner_of(struct pcore_shared *s, const char *name, uint64_t *ret)
{
	struct shared_owner *o;
	int r;

	PCORE_LIST_FOREACH_SAFE(node, &s->owners) {
		o = container_of(node, struct shared_owner, link);
		*ret = o->id;
		if (strcmp(o->name, name) == 0 && pcore_sched_client_join(s->host.sched, shared_now(s), 0, 1, ret) == 0)
			return 0;
	}
	*ret = 0;
	r = pcore_sched_client_join(s->host.sched, shared_now(s), 0, 1, ret);
	o = r == 0 ? calloc(1, sizeof(*o) + strlen(name) + 1) : NULL;
	if (!o)
		return r < 0 ? r : -ENOMEM;
	o->id = *ret;
	strcpy(o->name, name);
	pcore_list_init(&o->link);
	pcore_list_add_tail(&s->owners, &o->link);
	return shared_journal_add(s, SHARED_CLIENT, &o->id, sizeof(o->id), name, strlen(name) + 1, false);
}

/* A submission that is exclusive has a client of its own, which is forgotten with its last job. */
static int client_of(struct pcore_shared *s, struct shared_submission *sub, uint64_t *ret)
{
	int r = -ENOENT;

	if (!sub->template->t.exclusive)
		return owner_of(s, sub->owner, ret);
	if (sub->client)
		r = pcore_sched_client_join(s->host.sched, shared_now(s), PCORE_SCHED_EXCLUSIVE, 1, &sub->client);
	if (r == -ENOENT) {
		sub->client = 0;
		r = pcore_sched_client_join(s->host.sched, shared_now(s), PCORE_SCHED_EXCLUSIVE, 1, &sub->client);
	}
	*ret = sub->client;
	return r;
}

/* The arrays of what it has to wait for, unless they are over. -ECANCELED: one did not succeed. */
static int resolve_after(struct pcore_shared *s, const struct shared_submission *sub, uint64_t *ids, size_t *n)
{
	*n = 0;
	for (size_t i = 0; i < sub->n_after; i++) {
		const struct shared_submission *other = shared_submission_find(s, sub->after[i]);

		if (!other)
			return -ENOENT;
		if (other->succeeded < shared_submission_over(other))
			return -ECANCELED;
		for (size_t k = 0; k < other->n_parts; k++) {
			struct pcore_sched_why why;
			bool over = true;

			for (uint32_t j = 0; over && j < other->parts[k]->n; j++)
				over = other->parts[k]->results[j].at != 0;
			if (over || pcore_sched_explain(s->host.sched, other->parts[k]->first + other->parts[k]->n - 1, &why) < 0)
				continue;
			if (*n == PCORE_SCHED_PARTS_MAX)
				return -E2BIG;
			ids[(*n)++] = other->parts[k]->first;
		}
	}
	return 0;
}

static int schedule(struct pcore_shared *s, struct shared_part *p)
{
	struct pcore_sched_jobs jobs = p->sub->how;
	uint64_t ids[PCORE_SCHED_PARTS_MAX], client;
	int r = resolve_after(s, p->sub, ids, &jobs.n_after);

	if (r == 0)
		r = client_of(s, p->sub, &client);
	if (r < 0)
		return r;
	jobs.after = ids;
	jobs.n = p->n;
	r = shared_template_submit(s, p->sub->template, client, &jobs, &p->first);
	if (p->sub->client)
		(void)pcore_sched_client_gone(s->host.sched, shared_now(s), p->sub->client);
	if (r == 0) {
		r = enter_part(s, p);
		if (r < 0)
			(void)pcore_sched_cancel(s->host.sched, shared_now(s), p->first, p->n, PCORE_SCHED_KILL);
	}
	return r;
}

static int note_submit(struct pcore_shared *s, const struct shared_part *p, const char *body, size_t len)
{
	_cleanup_(pcore_buf_done) struct pcore_buf head = PCORE_BUF_INIT(0);
	const struct shared_submit_head h = {
		.number = p->sub->number,
		.first = p->first,
		.before = p->before,
		.submit_ns = p->sub->submit_ns,
		.owner = (uint32_t)strlen(p->sub->owner) + 1,
	};
	int r = pcore_buf_add(&head, &h, sizeof(h));

	r = r < 0 ? r : pcore_buf_add(&head, p->sub->owner, h.owner);
	return r < 0 ? r : shared_journal_add(s, SHARED_SUBMIT, head.data, head.len, body, len, true);
}

static uint64_t room_to_keep(const struct pcore_shared *s)
{
	struct pcore_sched_counts n = pcore_sched_counts(s->host.sched);

	uint64_t left = n.waiting + n.queued + n.backoff + n.held + n.ahead + n.running;

	return left < (KEEP_MAX - KEEP) / KEEP_JOB ? KEEP + KEEP_JOB * left : KEEP_MAX;
}

/* It is in the store, or it has not been here. */
static int take_part(struct pcore_shared *s, struct shared_part *p, const struct pcore_wire_frame *f)
{
	int r = s->journal.blocked ? -ENOSPC : schedule(s, p);

	if (r < 0)
		return r;
	r = shared_journal_take_core(s);
	if (r == 0)
		r = note_submit(s, p, f->body, f->len);
	if (r == 0) {
		r = shared_journal_commit(s, room_to_keep(s));
		if (r < 0)
			shared_journal_drop_last(s);
	}
	if (r < 0) { /* its end is heard of, and nobody knows it */
		leave_part(s, p);
		(void)pcore_sched_cancel(s->host.sched, shared_now(s), p->first, p->n, PCORE_SCHED_KILL);
	}
	return r;
}

static const char *why_not(int r)
{
	switch (r) {
	case -EBUSY:
		return "this scheduler is draining: it takes no new jobs";
	case -EAGAIN:
		return "too many submissions wait: try again later";
	case -ENOENT:
		return "there is no such submission to wait for";
	case -ECANCELED:
		return "a submission that it has to wait for did not succeed";
	case -E2BIG:
		return "it has to wait for too many others";
	case -EINVAL:
	case -EPROTO:
		return "a submit that makes no sense";
	default:
		return strerror(-r);
	}
}

static int answer(struct shared_client *c, uint64_t id, const struct shared_submission *sub, uint64_t count)
{
	const struct shared_answer a = { .id = id, .number = sub->number, .count = count, .status = -1 };

	shared_pump_soon(c->shared);
	return pcore_buf_add(&c->answers, &a, sizeof(a));
}

static int take(struct shared_client *c, struct shared_submission *sub, const struct pcore_wire_submit *m, const struct pcore_wire_frame *f)
{
	struct shared_part *p = NULL;
	int r = part_new(&p, sub, m);

	if (r == 0)
		r = take_part(c->shared, p, f);
	if (r < 0) {
		part_free(p);
		return r;
	}
	add_part(sub, p, m->has & PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_MORE) && m->more);
	return answer(c, f->id, sub, sub->n);
}

int shared_submit(struct shared_client *c, const struct pcore_wire_frame *f)
{
	struct pcore_shared *s = c->shared;
	struct shared_submission *sub;
	struct pcore_wire_submit m;
	struct pcore_map_node *node;
	uint64_t part;
	int r = pcore_wire_get_submit(f, &m);

	if (r < 0)
		return r;
	part = m.has & PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_PART) ? m.part : 0;
	node = pcore_map_find(&s->by_token, m.token.data, PCORE_WIRE_TOKEN);
	sub = node ? container_of(node, struct shared_submission, by_token) : NULL;
	if (sub && part < sub->n_parts)
		return answer(c, f->id, sub, sub->parts[part]->before + sub->parts[part]->n);
	if (sub) {
		r = part > sub->n_parts || !sub->more ? -EINVAL : take(c, sub, &m, f);
	} else {
		r = part > 0 ? -EINVAL : s->draining ? -EBUSY : submission_new(s, &sub, &m, s->next_submission, c->name);
		if (r == 0) {
			sub->submit_ns = pcore_clock_ns(CLOCK_REALTIME);
			r = take(c, sub, &m, f);
			if (r < 0)
				shared_submission_free(s, sub);
			else
				s->next_submission++;
		}
	}
	if (r < 0)
		shared_say_answer(c, f->id, r == -EAGAIN || r == -EBUSY ? 75 : r == -ENOENT || r == -ECANCELED ? 1 : 125, why_not(r));
	return 0;
}

/* ---- after a restart ---- */

int shared_submit_restore(struct pcore_shared *s, const struct shared_submit_head *h, const char *rest, size_t len)
{
	struct pcore_wire_frame f = { .type = PCORE_WIRE_SUBMIT };
	struct shared_submission *sub;
	struct pcore_wire_submit m;
	struct shared_part *p;
	uint32_t index;
	int r;

	if (h->owner == 0 || h->owner > len || rest[h->owner - 1] != '\0')
		return -EBADMSG;
	f.body = rest + h->owner;
	f.len = len - h->owner;
	if (pcore_wire_get_submit(&f, &m) < 0)
		return -EBADMSG;
	sub = shared_submission_find(s, h->number);
	p = sub ? shared_part_of(sub, h->before + 1, &index) : NULL;
	if (p) { /* submitted anew after a crash */
		leave_part(s, p);
		p->first = h->first;
		return enter_part(s, p);
	}
	r = sub ? 0 : submission_new(s, &sub, &m, h->number, rest);
	if (r == 0)
		r = part_new(&p, sub, &m);
	if (r < 0)
		return r == -ENOMEM ? r : -EBADMSG;
	if (p->before != h->before) {
		part_free(p);
		return -EBADMSG;
	}
	sub->submit_ns = h->submit_ns;
	p->first = h->first;
	add_part(sub, p, m.has & PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_MORE) && m.more);
	s->next_submission = h->number < s->next_submission ? s->next_submission : h->number + 1;
	return enter_part(s, p);
}

/* The end of the log may have been lost: what the scheduler does not know of and what has not ended. */
int shared_submit_check(struct pcore_shared *s)
{
	PCORE_LIST_FOREACH_SAFE(node, &s->submissions) {
		struct shared_submission *sub = container_of(node, struct shared_submission, link);

		for (size_t i = 0; i < sub->n_parts && shared_submission_over(sub) < sub->n; i++) {
			const struct shared_part *p = sub->parts[i];
			struct pcore_sched_why why;

			for (uint32_t k = 0; k < p->n; k++) {
				const struct shared_result_head h = {
					.number = sub->number, .seq = p->before + k + 1, .n = 1, .outcome = PCORE_SCHED_LOST, .end_ns = pcore_clock_ns(CLOCK_REALTIME) };
				int r;

				if (p->results[k].at || pcore_sched_explain(s->host.sched, p->first + k, &why) == 0)
					continue;
				r = shared_journal_add(s, SHARED_RESULT, &h, sizeof(h), NULL, 0, true);
				if (r < 0)
					return r;
				shared_note_result(sub->parts[i], k, 1, PCORE_SCHED_LOST, h.end_ns);
			}
		}
	}
	return 0;
}

void shared_forget_old(struct pcore_shared *s)
{
	int64_t now = pcore_clock_ns(CLOCK_REALTIME);

	if (s->spec.keep_ns == INT64_MAX)
		return;
	PCORE_LIST_FOREACH_SAFE(node, &s->submissions) {
		struct shared_submission *sub = container_of(node, struct shared_submission, link);

		if (sub->more || shared_submission_over(sub) < sub->n || pcore_ns_add(sub->end_ns, s->spec.keep_ns) > now)
			continue;
		if (shared_journal_add(s, SHARED_FORGET, &sub->number, sizeof(sub->number), NULL, 0, false) == 0)
			shared_submission_free(s, sub);
	}
}
