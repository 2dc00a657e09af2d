/* SPDX-License-Identifier: MIT */
/*
 * shared.c - the life of a shared scheduler, and the order in which things are done.
 *
 * Whatever happens is told to the scheduler where it happens. pump(), once a turn of the loop, hears what came of it, makes it safe,
 * and only then says it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libcore/cluster/shared_private.h"

enum { LINE = 512 };

#define LOOK_NS (60 * NS_PER_S)

void shared_log(struct pcore_shared *s, const char *fmt, ...)
{
	char line[LINE];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	s->spec.log(s->spec.ctx, line);
}

void shared_pump_soon(struct pcore_shared *s)
{
	if (!pcore_op_live(&s->pump))
		(void)pcore_op_timer(s->host.loop, &s->pump, PCORE_CLOCK_MONOTONIC, 0);
}

/* ---- what the scheduler says ---- */

static void count(struct pcore_shared *s, const struct pcore_sched_news *n)
{
	if (n->outcome == PCORE_SCHED_SUCCEEDED)
		s->succeeded++;
	else
		s->failed += n->n;
}

static void hear_news(struct pcore_shared *s, const struct pcore_sched_news *n)
{
	struct shared_job *j = n->kind == PCORE_SCHED_OVER || n->kind == PCORE_SCHED_AGAIN ? shared_job_find(s, n->job) : NULL;

	switch (n->kind) {
	case PCORE_SCHED_OVER:
		count(s, n);
		if (j && j->client)
			shared_job_over(j, n);
		else
			shared_good_over(s, n);
		break;
	case PCORE_SCHED_AGAIN:
		if (j && j->client)
			shared_job_again(j);
		else
			shared_good_again(s, n);
		break;
	case PCORE_SCHED_NO_NODE:
	case PCORE_SCHED_ROOM:
	case PCORE_SCHED_DRAINED:
		break;
	}
}

static void schedule_tick(struct pcore_shared *s)
{
	int64_t at = pcore_sched_next_ns(s->host.sched), node = shared_node_next(s);

	at = s->look_ns < at ? s->look_ns : at;
	at = node < at ? node : at;
	if (s->stopping || s->journal.blocked)
		at = INT64_MAX;
	if (pcore_op_live(&s->tick))
		pcore_op_cancel(s->host.loop, &s->tick);
	else if (at < INT64_MAX)
		(void)pcore_op_timer(s->host.loop, &s->tick, PCORE_CLOCK_MONOTONIC, at);
}

/* Nodes have come or gone, or offer something else: clients see the sum. */
static void count_nodes(struct pcore_shared *s)
{
	uint64_t cpus = 0;

	s->changed = false;
	PCORE_LIST_FOREACH_SAFE(node, &s->links) {
		const struct link *l = container_of(node, struct link, link);

		if (l->joined && l->node.state == PCORE_WIRE_SERVING)
			cpus += l->node.cpus;
	}
	cpus = cpus < PCORE_SCHED_CPUS_MAX ? cpus : PCORE_SCHED_CPUS_MAX;
	if (cpus == s->cpus)
		return;
	s->cpus = (uint32_t)cpus;
	PCORE_LIST_FOREACH_SAFE(node, &s->clients) {
		struct shared_client *c = container_of(node, struct shared_client, link);

		if (c->conn && !c->admin)
			shared_say_node(c);
	}
}

/* It can only end: its node knows nothing of it either. */
static void end_unknown(struct pcore_shared *s)
{
	const struct pcore_sched_result result = { .cancelled = true };
	const struct shared_unknown *u = (const void *)s->unknown.data;

	for (size_t i = 0; i < s->unknown.len / sizeof(*u); i++) {
		(void)pcore_sched_cancel(s->host.sched, shared_now(s), u[i].claim.job, 1, PCORE_SCHED_KILL);
		(void)pcore_sched_done(s->host.sched, shared_now(s), u[i].node, u[i].claim.job, u[i].claim.attempt, &result);
	}
	pcore_buf_clear(&s->unknown);
}

/* What was said so far becomes safe: 0, or it has to wait. */
static int make_safe(struct pcore_shared *s)
{
	int r = 0;

	PCORE_LIST_FOREACH_SAFE(node, &s->unsafe)
		r = r < 0 ? r : shared_good_flush(s, container_of(node, struct shared_job, unsafe));
	if (r == 0)
		r = shared_journal_commit(s, 0);
	return r;
}

/* Outputs that are safe are not needed by nodes any more. */
static void give_credit(struct pcore_shared *s)
{
	struct pcore_list *node;

	while (!s->journal.unsynced && (node = pcore_list_pop(&s->unsafe)))
		link_resume(&container_of(node, struct shared_job, unsafe)->at);
}

static void say_all(struct pcore_shared *s)
{
	PCORE_LIST_FOREACH_SAFE(node, &s->clients) {
		struct shared_client *c = container_of(node, struct shared_client, link);

		if (c->answers.len > 0)
			shared_say_answers(c);
		if (!pcore_list_empty(&c->watches))
			shared_say_soon(c);
	}
}

static void pump(struct pcore_op *op, int res)
{
	struct pcore_shared *s = container_of(op, struct pcore_shared, pump);
	struct pcore_sched_batch b;
	struct pcore_sched_news n;
	bool more = true;

	(void)res;
	while (more) {
		more = false;
		end_unknown(s);
		while (pcore_sched_next_news(s->host.sched, &n)) { /* first: that an attempt is lost comes before the next one */
			hear_news(s, &n);
			more = true;
		}
		if (make_safe(s) < 0)
			break;
		while (pcore_sched_next_batch(s->host.sched, &b)) {
			link_act(b.ctx, &b);
			more = true;
		}
	}
	if (!s->journal.blocked && !s->failed_once) {
		give_credit(s);
		say_all(s);
		shared_journal_compact(s);
	}
	if (s->changed)
		count_nodes(s);
	schedule_tick(s);
	shared_check_drained(s);
	shared_check_idle(s);
}

static void tick(struct pcore_op *op, int res)
{
	struct pcore_shared *s = container_of(op, struct pcore_shared, tick);

	if (res == -ETIME) {
		(void)pcore_sched_tick(s->host.sched, shared_now(s));
		shared_node_tick(s, shared_now(s));
		if (shared_now(s) >= s->look_ns) {
			shared_forget_old(s);
			s->look_ns = pcore_ns_add(shared_now(s), LOOK_NS);
		}
	}
	if (!s->stopping)
		shared_pump_soon(s);
	else
		shared_check_idle(s);
}

/* ---- life ---- */

uint32_t pcore_shared_instance(const struct pcore_shared *s)
{
	return s->instance;
}

int pcore_shared_new(struct pcore_shared **ret, struct pcore_loop *lp, const struct pcore_shared_spec *spec)
{
	struct pcore_shared *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;

	s->spec = *spec;
	s->sched_spec = (struct pcore_sched_spec){ .policy = spec->policy, .persist = true, .forget_private = true, .lost_after_ns = spec->grace_ns };
	s->host = (struct link_host){ .ops = &shared_link_ops, .loop = lp, .stays = spec->durable };
	s->next_submission = 1;
	s->journal.lock_fd = -EBADF;
	s->pump.done = pump;
	s->tick.done = tick;
	s->start_ns = pcore_clock_ns(CLOCK_REALTIME);
	pcore_list_init(&s->links);
	pcore_list_init(&s->nodes);
	pcore_list_init(&s->clients);
	pcore_list_init(&s->submissions);
	pcore_list_init(&s->owners);
	pcore_list_init(&s->unsafe);
	r = pcore_sched_new(&s->host.sched, &s->sched_spec);
	if (r == 0)
		r = shared_journal_open(s);
	if (r < 0) {
		pcore_shared_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

int pcore_shared_start(struct pcore_shared *s, struct pcore_net *net)
{
	s->host.net = net;
	s->look_ns = pcore_ns_add(pcore_now_ns(), LOOK_NS);
	shared_pump_soon(s);
	return 0;
}

void pcore_shared_accept(struct pcore_shared *s, struct pcore_net_conn *c)
{
	if (pcore_net_peer(c)->role == PCORE_NET_NODE)
		shared_node_accept(s, c);
	else
		shared_client_accept(s, c);
}

void shared_check_idle(struct pcore_shared *s)
{
	if (!s->stopping || s->told_idle || !pcore_list_empty(&s->links) || !pcore_list_empty(&s->clients) || pcore_op_live(&s->pump) ||
		pcore_op_live(&s->tick) || pcore_op_live(&s->journal.retry))
		return;
	s->told_idle = true;
	s->spec.idle(s->spec.ctx);
}

void pcore_shared_stop(struct pcore_shared *s)
{
	s->stopping = s->host.closing = true;
	PCORE_LIST_FOREACH_SAFE(node, &s->clients)
		shared_client_end(container_of(node, struct shared_client, link));
	PCORE_LIST_FOREACH_SAFE(node, &s->links) {
		struct link *l = container_of(node, struct link, link);

		if (l->conn && s->spec.durable) /* a goodbye would end what it runs */
			pcore_net_abort(l->conn);
		link_close(l);
	}
	pcore_op_cancel(s->host.loop, &s->tick);
	pcore_op_cancel(s->host.loop, &s->journal.retry);
	shared_pump_soon(s); /* what is known is kept */
}

void pcore_shared_free(struct pcore_shared *s)
{
	struct pcore_list *node;

	if (!s)
		return;

	assert(pcore_list_empty(&s->links) && pcore_list_empty(&s->clients));
	assert(!pcore_op_live(&s->pump) && !pcore_op_live(&s->tick));

	shared_good_free_all(s);
	while (!pcore_list_empty(&s->submissions))
		shared_submission_free(s, container_of(s->submissions.next, struct shared_submission, link));
	while ((node = pcore_list_pop(&s->nodes)))
		free(container_of(node, struct shared_node, link));
	while ((node = pcore_list_pop(&s->owners)))
		free(container_of(node, struct shared_owner, link));
	shared_journal_close(s);
	pcore_sched_free(s->host.sched);
	pcore_map_done(&s->jobs);
	pcore_map_done(&s->envs);
	pcore_map_done(&s->templates);
	pcore_map_done(&s->by_number);
	pcore_map_done(&s->by_token);
	pcore_buf_done(&s->unknown);
	pcore_buf_done(&s->buf);
	free(s->parts);
	free(s);
}
