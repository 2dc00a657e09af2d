/* SPDX-License-Identifier: MIT */
/*
 * shared_node.c - a shared scheduler and its nodes: what they are told of a job, and what becomes of what they say.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "libcore/cluster/shared_private.h"

/* So long after its connection was reset a node may be away that lives: it connects again at once. */
#define RESET_NS (3 * NS_PER_S)

static struct pcore_shared *shared_of(const struct link *l)
{
	return container_of(l->host, struct pcore_shared, host);
}

static struct shared_job *job_of(struct link_job *j)
{
	return container_of(j, struct shared_job, at);
}

/* ---- who there is ---- */

struct shared_node *shared_node_find(struct pcore_shared *s, const char *name)
{
	PCORE_LIST_FOREACH_SAFE(node, &s->nodes)
		if (strcmp(container_of(node, struct shared_node, link)->name, name) == 0)
			return container_of(node, struct shared_node, link);
	return NULL;
}

const char *shared_node_name(struct pcore_shared *s, uint32_t number)
{
	PCORE_LIST_FOREACH_SAFE(node, &s->nodes)
		if (container_of(node, struct shared_node, link)->number == number)
			return container_of(node, struct shared_node, link)->name;
	return NULL;
}

struct shared_node *shared_node_make(struct pcore_shared *s, const char *name, uint32_t number)
{
	struct shared_node *n = calloc(1, sizeof(*n) + strlen(name) + 1);

	if (!n)
		return NULL;
	strcpy(n->name, name);
	n->number = number ? number : ++s->next_node;
	s->next_node = n->number > s->next_node ? n->number : s->next_node;
	n->dead_ns = INT64_MAX;
	pcore_list_init(&n->link);
	pcore_list_add_tail(&s->nodes, &n->link);
	return n;
}

/* A new one gets a number for good. */
static struct shared_node *node_for(struct pcore_shared *s, const char *name)
{
	struct shared_node *n = shared_node_find(s, name);

	if (n)
		return n;
	n = shared_node_make(s, name, 0);
	if (n && shared_journal_add(s, SHARED_NODE, &n->number, sizeof(n->number), name, strlen(name) + 1, false) < 0)
		s->short_of_memory = true;
	return n;
}

static struct shared_node *node_of(const struct link *l)
{
	return ((const struct shared_told *)l->owner)->node;
}

int64_t shared_node_next(const struct pcore_shared *s)
{
	int64_t next = INT64_MAX;

	for (const struct pcore_list *node = s->nodes.next; node != &s->nodes; node = node->next) {
		const struct shared_node *n = container_of(node, struct shared_node, link);

		next = n->dead_ns < next ? n->dead_ns : next;
	}
	return next;
}

void shared_node_tick(struct pcore_shared *s, int64_t now)
{
	PCORE_LIST_FOREACH_SAFE(node, &s->nodes) {
		struct shared_node *n = container_of(node, struct shared_node, link);

		if (n->dead_ns > now)
			continue;
		n->dead_ns = INT64_MAX;
		(void)pcore_sched_node_dead(s->host.sched, now, n->handle);
	}
}

/* ---- jobs ---- */

struct shared_job *shared_job_find(struct pcore_shared *s, uint64_t id)
{
	struct pcore_map_node *node = pcore_map_find(&s->jobs, &id, sizeof(id));

	return node ? container_of(node, struct shared_job, by_id) : NULL;
}

static void begun(struct pcore_shared *s, struct shared_job *j)
{
	if (j->state == SHARED_RUNS)
		return;
	j->state = SHARED_RUNS;
	j->ran->running++;
	if (j->part)
		j->part->sub->running++;
	if (s->running++ == 0)
		s->busy_since = shared_now(s);
}

void shared_job_stopped(struct pcore_shared *s, struct shared_job *j)
{
	if (j->state != SHARED_RUNS)
		return;
	j->state = SHARED_WAITS;
	j->ran->running--;
	if (j->part)
		j->part->sub->running--;
	if (--s->running == 0)
		s->busy_ns += shared_now(s) - s->busy_since;
}

void shared_job_forget(struct pcore_shared *s, struct shared_job *j)
{
	shared_job_stopped(s, j);
	link_job_forget(&j->at);
	shared_input_again(NULL, &j->at);
	free(TAKE_PTR(j->texts));
	for (int i = 0; i < 2; i++) {
		pcore_buf_clear(&j->out[i].buf);
		pcore_buf_clear(&j->pending[i]);
		j->out[i].first = j->out[i].sent = j->stored[i] = 0;
		j->out[i].closed = false;
		j->out[i].limit = PCORE_WIRE_CREDIT;
	}
	j->ran = NULL;
}

static struct link_job *find(struct link *l, uint64_t id)
{
	struct shared_job *j = shared_job_find(shared_of(l), id);

	return j ? &j->at : NULL;
}

/* START: of what a client waits for there is a job; of what is for good there is one from now on. */
static int assign(struct link *l, const struct pcore_sched_action *a, struct link_job **ret, struct pcore_wire_assign *m)
{
	struct pcore_shared *s = shared_of(l);
	struct shared_job *j = shared_job_find(s, a->job);
	int r;

	if (!j) {
		r = shared_good_job(s, a->job, &j);
		if (r < 0)
			return r;
	}
	if (j && !shared_input_whole(j)) { /* its node had begun it, whatever it said */
		shared_job_lost(j);
		j = NULL;
	}
	if (!j) { /* its client has gone, and it is cancelled by the next batch; or the end of the store was lost */
		const struct pcore_sched_claim unknown = { .job = a->job, .attempt = a->attempt };

		return pcore_buf_add(&s->unknown, &(struct shared_unknown){ unknown, l->handle }, sizeof(struct shared_unknown));
	}
	shared_job_forget(s, j);
	m->template = shared_template_tell(l, j->template);
	m->seq = j->as.seq;
	m->tries = j->client ? j->as.tries : a->attempt & 0xffff;
	m->args = j->as.args;
	m->input = j->as.input;
	m->flags = j->as.flags & PCORE_WIRE_STREAM;
	j->ran = node_of(l);
	j->ran->sent += m->args.len + m->input.len;
	*ret = &j->at;
	return 0;
}

/* What it has is a job of a client's, or one for good that was assigned before we were started again: then what is in the store of its
 * output has arrived. */
static struct link_job *claimed(struct link *l, const struct pcore_wire_adopt *a)
{
	struct pcore_shared *s = shared_of(l);
	struct shared_job *j = shared_job_find(s, a->job);
	const struct shared_stored *o;

	if (j || shared_good_job(s, a->job, &j) < 0 || !j)
		return j ? &j->at : NULL;
	j->at.attempt = a->attempt;
	j->at.on = l;
	for (size_t i = 0; i < pcore_wire_u16s(&a->ids) && i < LINK_IDS; i++)
		j->at.ids[j->at.n_ids++] = pcore_wire_u16(&a->ids, i);
	o = j->part->results[j->index].stored;
	for (size_t i = 0; o && o->attempt == a->attempt && i < o->n; i++)
		j->stored[o->pieces[i].stream] = o->pieces[i].offset + o->pieces[i].len;
	for (int i = 0; i < 2; i++) {
		j->at.received[i] = j->stored[i];
		j->at.granted[i] = j->stored[i] + PCORE_WIRE_CREDIT;
	}
	j->ran = node_for(s, l->node.name);
	if (j->ran && a->state != PCORE_WIRE_JOB_QUEUED)
		begun(s, j);
	return &j->at;
}

static void started(struct link *l, struct link_job *at, const struct pcore_wire_started *m)
{
	struct shared_job *j = job_of(at);

	j->started = *m;
	j->ran = node_of(l);
	begun(shared_of(l), j);
	j->started.node = j->ran->number;
	if (!j->client) {
		shared_note_start(j->part->sub, m->start_ns);
		shared_pump_soon(shared_of(l)); /* for those who look */
		return;
	}
	if (pcore_list_empty(&j->to_start))
		pcore_list_add_tail(&j->client->to_start, &j->to_start);
	shared_say_soon(j->client);
}

static bool output(struct link *l, struct link_job *at, enum pcore_wire_stream stream, const char *data, size_t len)
{
	struct shared_job *j = job_of(at);

	node_of(l)->received += len;
	return j->client ? shared_say_output(j, stream, data, len) : shared_good_output(shared_of(l), j, stream, data, len);
}

static void ended(struct link *l, struct link_job *at, const struct pcore_wire_done *d)
{
	struct shared_job *j = job_of(at);
	size_t step = d->step ? strlen(d->step) : 0, subject = d->subject ? strlen(d->subject) : 0;

	j->ran = node_of(l);
	j->ran->jobs++;
	j->ran->job_ns += d->wall_ns;
	j->texts = step + subject > 0 ? calloc(1, step + subject + 2) : NULL;
	if (!j->texts)
		return; /* then there is less to say */
	memcpy(j->texts, d->step ? d->step : "", step);
	memcpy(j->texts + step + 1, d->subject ? d->subject : "", subject);
}

/* ---- connections ---- */

/* What it has is claimed by the link that comes in its place. */
static void detach(struct pcore_shared *s, const struct link *l)
{
	for (size_t i = 0; i < s->jobs.n_buckets; i++) {
		for (struct pcore_map_node *node = s->jobs.buckets[i]; node; node = node->next) {
			struct shared_job *j = container_of(node, struct shared_job, by_id);

			if (j->at.on == l)
				j->at.on = NULL;
		}
	}
}

static int joined(struct link *l)
{
	struct pcore_shared *s = shared_of(l);
	struct shared_node *n = node_for(s, l->node.name);
	struct shared_told *told = l->owner;

	memset(told, 0, offsetof(struct shared_told, node));
	if (!n)
		return -ENOMEM;
	told->node = n;
	l->name = n->name;
	n->at = l;
	n->handle = l->handle;
	n->dead_ns = INT64_MAX;
	s->changed = true;
	shared_log(s, "node '%s' is there", n->name);
	return 0;
}

static void changed(struct link *l)
{
	shared_of(l)->changed = true;
	shared_pump_soon(shared_of(l));
}

static void gone(struct link *l, const struct pcore_net_error *e)
{
	struct pcore_shared *s = shared_of(l);
	struct shared_node *n = node_of(l);

	if (n && n->at == l) {
		n->at = NULL;
		if (l->returns && (e->code == -ECONNRESET || e->code == -EPIPE))
			n->dead_ns = pcore_ns_add(shared_now(s), RESET_NS);
	}
	if (!s->stopping)
		shared_log(s, "node '%s' has gone: %s", l->node.name, e->why);
}

static void unreachable(struct link *l, const struct pcore_net_error *e)
{
	shared_log(shared_of(l), "%s: %s", l->address, e->why);
}

/* It says no more, and is not asked again. */
static void closed(struct link *l)
{
	struct pcore_shared *s = shared_of(l);

	detach(s, l);
	free(l->owner);
	link_free(l);
	shared_check_idle(s);
}

static void pump(struct link *l)
{
	shared_pump_soon(shared_of(l));
}

const struct link_ops shared_link_ops = {
	.find = find,
	.claimed = claimed,
	.assign = assign,
	.started = started,
	.input = shared_input_next,
	.input_again = shared_input_again,
	.input_taken = shared_input_taken,
	.input_over = shared_input_over,
	.quiet = shared_say_quiet,
	.output = output,
	.ended = ended,
	.joined = joined,
	.changed = changed,
	.gone = gone,
	.unreachable = unreachable,
	.refused = unreachable,
	.closed = closed,
	.pump = pump,
};

static struct link *make(struct pcore_shared *s)
{
	struct link *l = link_new(&s->host);

	if (!l)
		return NULL;
	l->owner = calloc(1, sizeof(struct shared_told));
	if (!l->owner) {
		link_free(l);
		return NULL;
	}
	pcore_list_add_tail(&s->links, &l->link);
	return l;
}

void shared_node_accept(struct pcore_shared *s, struct pcore_net_conn *c)
{
	struct link *l = s->stopping ? NULL : make(s);

	if (!l) {
		pcore_net_disown(c);
		pcore_net_refuse(c, "this scheduler is about to end");
		return;
	}
	l->returns = true;
	strcpy(((struct shared_told *)l->owner)->address, pcore_net_peer(c)->address);
	link_accept(l, c);
}

int pcore_shared_connect(struct pcore_shared *s, const char *text, const struct pcore_net_addr *addrs, size_t n)
{
	struct link *l = make(s);

	if (!l || link_set_address(l, text, addrs, n) < 0)
		return -ENOMEM;
	(void)snprintf(((struct shared_told *)l->owner)->address, PCORE_NET_ADDR_MAX, "%s", text);
	link_connect(l);
	return 0;
}
