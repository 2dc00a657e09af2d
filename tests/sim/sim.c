/* SPDX-License-Identifier: MIT */
/*
 * sim.c - the events, in the order of virtual time.
 */
#include "tests/sim/sim.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>

/* After the last fault everything has to end within this time. */
#define SETTLE_NS (3600 * NS_PER_S)
#define FAULTS_END_NS (61 * NS_PER_S)

enum { EVENTS_MAX = 2000000 };

void sim_fail(struct sim *w, const char *fmt, ...)
{
	va_list ap;

	if (w->failed)
		return;
	w->failed = true;
	va_start(ap, fmt);
	vsnprintf(w->failure, SIM_FAILURE, fmt, ap);
	va_end(ap);
	sim_trace(w, "FAILED %s", w->failure);
}

void sim_trace(struct sim *w, const char *fmt, ...)
{
	va_list ap;

	if (!w->trace)
		return;
	fprintf(w->trace, "#   %10.6f  ", (double)w->now / 1e9);
	va_start(ap, fmt);
	vfprintf(w->trace, fmt, ap);
	va_end(ap);
	fputc('\n', w->trace);
}

/* xorshift64*, by Vigna */
unsigned sim_draw(uint64_t *state, unsigned n)
{
	*state = *state ? *state : 88172645463325252u;
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return n ? (unsigned)((*state * UINT64_C(2685821657736338717)) >> 33) % n : 0;
}

void *sim_grow(void *array, size_t *cap, size_t n, size_t size)
{
	void *larger;

	if (n <= *cap)
		return array;
	*cap = *cap ? *cap * 2 : 32;
	larger = reallocarray(array, *cap, size);
	assert(larger);
	return larger;
}

struct event *sim_event(struct sim *w, int64_t at_ns, enum event_kind kind, unsigned who)
{
	struct event *e = calloc(1, sizeof(*e));
	int r;

	assert(e);
	e->at.key = at_ns;
	e->kind = kind;
	e->who = who;
	r = pcore_heap_insert(&w->events, &e->at);
	assert(r == 0);
	return e;
}

/* ---- a node connects ---- */

static void connect_node(struct sim *w, unsigned i)
{
	struct sim_node *n = &w->nodes[i];
	struct event *e;

	if (n->connection)
		return;
	n->connection = ++w->connections;
	n->last_up = n->last_down = 0;
	e = sim_event(w, w->now + (1 + sim_draw(&n->random, 20)) * NS_PER_MS, EV_JOINED, i);
	n->last_up = e->at.key;
	e->connection = n->connection;
	e->n_claims = n->n_jobs;
	e->claims = calloc(n->n_jobs + 1, sizeof(*e->claims));
	e->claim_ids = calloc(n->n_jobs + 1, sizeof(n->jobs->ids));
	assert(e->claims);
	assert(e->claim_ids);
	for (size_t k = 0; k < n->n_jobs; k++) {
		const struct sim_job *j = &n->jobs[k];

		memcpy(e->claim_ids + k * SIM_IDS, j->ids, sizeof(j->ids));
		e->claims[k] = (struct pcore_sched_claim){
			.job = j->id,
			.attempt = j->attempt,
			.begun = j->state != SIM_WAITS,
			.finished = j->state == SIM_FINISHED,
			.ids = e->claim_ids + k * SIM_IDS,
			.n_ids = j->n_ids,
		};
	}
}

/* Results that were not acknowledged are said again. */
static void say_again(struct sim *w, unsigned i)
{
	struct sim_node *n = &w->nodes[i];

	for (size_t k = 0; k < n->n_jobs; k++) {
		const struct sim_job *j = &n->jobs[k];
		struct message m = { .kind = SAY_DONE, .job = j->id, .attempt = j->attempt };

		m.result = (struct pcore_sched_result){
			.success = j->success,
			.cancelled = j->cancelled && !j->success,
			.status = j->success ? 0 : 1,
			.wall_ns = j->wall_ns,
			.tag = j->run,
		};
		if (j->state == SIM_FINISHED)
			link_up(w, i, &m);
	}
}

/* ---- the end ---- */

/* No more faults: every node is there, takes jobs, and answers; and every client listens. */
static void settle(struct sim *w)
{
	bool all = !w->down;

	for (unsigned i = 0; i < w->plan->n_nodes; i++)
		all = all && w->nodes[i].connection && w->nodes[i].heard == w->nodes[i].connection;
	if (!all) {
		sim_event(w, w->now + NS_PER_S, EV_SETTLED, 0);
		return;
	}
	w->settled = true;
	host_start_again(w);
	for (unsigned i = 0; i < w->plan->n_nodes; i++) {
		struct step open = { .kind = STEP_OPEN, .who = i }, cpus = { .kind = STEP_CPUS, .who = i };
		struct pcore_sched_node spec;

		plan_node(w->plan, i, &spec);
		cpus.what = spec.cpus;
		node_stop(w, i, false);
		host_step(w, &open);
		host_step(w, &cpus);
	}
	host_settled(w);
}

static bool ended(struct sim *w)
{
	struct pcore_sched_counts c;

	if (!w->settled || oracle_left(w->oracle) > 0)
		return false;
	for (unsigned i = 0; i < w->plan->n_nodes; i++)
		if (!w->nodes[i].alive || w->nodes[i].n_jobs > 0)
			return false;
	c = pcore_sched_counts(w->sched);
	return c.arrays == 0;
}

/* ---- events ---- */

static void on_node(struct sim *w, struct event *e)
{
	struct sim_node *n = &w->nodes[e->who];

	switch (e->kind) {
	case EV_MESSAGE_UP:
		if (!w->down && n->heard == e->connection)
			host_hear(w, e->who, &e->message);
		break;
	case EV_MESSAGE_DOWN:
		if (n->alive && n->connection == e->connection)
			node_hear(w, e->who, &e->message);
		break;
	case EV_JOIN:
		if (n->alive && n->life == e->life)
			connect_node(w, e->who);
		break;
	case EV_JOINED:
		if (n->connection != e->connection)
			break;
		host_joined(w, e);
		if (n->connection)
			say_again(w, e->who);
		break;
	case EV_NOTICED:
		host_noticed(w, e->who, e->connection);
		break;
	case EV_END:
		if (n->alive && n->life == e->life)
			node_end(w, e->who, e->job, e->attempt);
		break;
	case EV_BACK:
		node_start(w, e->who);
		break;
	case EV_STEP:
	case EV_COMMIT:
	case EV_RESTARTED:
	case EV_RESUBMIT:
	case EV_START:
	case EV_SETTLED:
		break;
	}
}

static void on_event(struct sim *w, struct event *e)
{
	if (e->kind == EV_STEP)
		host_step(w, e->step);
	else if (e->kind == EV_COMMIT && !w->down)
		host_commit(w);
	else if (e->kind == EV_RESTARTED)
		host_restarted(w);
	else if (e->kind == EV_RESUBMIT)
		host_resubmit(w, e->step);
	else if (e->kind == EV_START && e->who == SIM_NODES)
		host_start_again(w);
	else if (e->kind == EV_START)
		node_stop(w, e->who, false);
	else if (e->kind == EV_SETTLED)
		settle(w);
	else
		on_node(w, e);
}

static void event_free(struct event *e)
{
	free(e->claims);
	free(e->claim_ids);
	free(e);
}

static void tick(struct sim *w)
{
	if (host_tick(w) < 0)
		sim_fail(w, "the scheduler refuses a tick");
	host_turn(w);
}

static void run(struct sim *w)
{
	size_t n = 0;

	while (!w->failed && !ended(w)) {
		struct pcore_heap_node *top = pcore_heap_top(&w->events);
		int64_t due = w->sched ? pcore_sched_next_ns(w->sched) : INT64_MAX, next = top ? top->key : INT64_MAX;
		struct event *e;

		next = next < due ? next : due;
		if (next > FAULTS_END_NS + SETTLE_NS || n++ > EVENTS_MAX) {
			oracle_settled(w->oracle);
			sim_fail(w, "stuck: something does not end");
			return;
		}
		w->now = next > w->now ? next : w->now;
		if (due <= w->now) {
			tick(w);
			continue;
		}
		e = container_of(top, struct event, at);
		pcore_heap_remove(&w->events, top);
		on_event(w, e);
		event_free(e);
	}
	if (!w->failed)
		oracle_settled(w->oracle);
}

/* An assertion that does not hold is a failure of the run, so that its plan can be made shorter. */
static sigjmp_buf aborted;

static void on_abort(int sig)
{
	(void)sig;
	siglongjmp(aborted, 1);
}

static void done(struct sim *w)
{
	struct pcore_heap_node *top;

	while ((top = pcore_heap_top(&w->events))) {
		pcore_heap_remove(&w->events, top);
		event_free(container_of(top, struct event, at));
	}
	pcore_heap_done(&w->events);
	host_done(w);
	oracle_free(w->oracle);
	for (unsigned i = 0; i < SIM_NODES; i++)
		free(w->nodes[i].jobs);
}

bool sim_run(const struct plan *p, FILE *trace, char failure[SIM_FAILURE])
{
	struct sigaction catch = { .sa_handler = on_abort, .sa_flags = SA_NODEFER }, old;
	struct sim *w = calloc(1, sizeof(*w));
	bool ok;

	assert(w);
	w->plan = p;
	w->trace = trace;
	w->failure = failure;
	*failure = '\0';
	w->random_host = p->seed + 77;
	w->random_memory = p->seed + 99;
	w->oracle = oracle_new(w);
	memory_fails(NULL);
	sigaction(SIGABRT, &catch, &old);
	if (sigsetjmp(aborted, 1) == 0) {
		host_start(w);
		for (unsigned i = 0; i < p->n_nodes; i++) {
			w->nodes[i].random = p->seed * 31 + i + 1;
			node_start(w, i);
		}
		for (size_t i = 0; i < p->n_steps; i++)
			sim_event(w, p->steps[i].at_ns, EV_STEP, 0)->step = &p->steps[i];
		sim_event(w, FAULTS_END_NS, EV_SETTLED, 0);
		run(w);
		sigaction(SIGABRT, &old, NULL);
		done(w);
	} else {
		sigaction(SIGABRT, &old, NULL);
		sim_fail(w, "assertion");
		/* what it had is in no state to be freed */
	}
	ok = !w->failed;
	free(w);
	return ok;
}
