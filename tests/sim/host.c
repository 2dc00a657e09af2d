/* SPDX-License-Identifier: MIT */
/*
 * host.c - whoever hosts the scheduler: feeds it, writes its journal, sends and tells what it says, and restarts it.
 *
 * What a turn makes is a chunk of the journal. A commit makes all chunks durable that there are; what has to wait for that is
 * told and sent then. A restart keeps the durable ones, and some of those after them.
 */
#include "tests/sim/sim.h"

#define LOST_AFTER_NS (5 * NS_PER_S)

/* Call the scheduler; when it is short of memory, once more. */
#define CALL(w, call)                                                                        \
	({                                                                                   \
		__typeof__(call) r_;                                                         \
		do {                                                                         \
			memory_fails((w)->plan->memory_fails ? &(w)->random_memory : NULL);  \
			r_ = (call);                                                         \
			memory_fails(NULL);                                                  \
		} while (r_ == -ENOMEM);                                                     \
		r_;                                                                          \
	})

static void check(struct sim *w, const char *what, int r)
{
	if (r < 0)
		sim_fail(w, "the scheduler refuses %s: %s", what, strerror(-r));
}

static void make(struct sim *w)
{
	struct pcore_sched_spec spec = {
		.policy = w->plan->policy, .persist = w->plan->persist, .lost_after_ns = LOST_AFTER_NS, .client_entries_max = 6, .crash_max = 2
	};

	check(w, "its start", CALL(w, pcore_sched_new(&w->sched, &spec)));
}

static void client_join(struct sim *w, unsigned i)
{
	struct sim_client *c = &w->clients[i];
	bool new = c->id == 0;
	unsigned flags = (c->private ? PCORE_SCHED_PRIVATE : 0U) | (c->exclusive ? PCORE_SCHED_EXCLUSIVE : 0U);
	int r = CALL(w, pcore_sched_client_join(w->sched, w->now, flags, c->weight, &c->id));

	if (new)
		c->chunk = w->n_chunks + 1;
	c->full = false;
	c->present = r == 0;
	if (r == -ENOENT) {
		c->id = 0;
		client_join(w, i);
	} else {
		check(w, "a client", r);
	}
}

void host_start(struct sim *w)
{
	make(w);
	for (unsigned i = 0; i < w->plan->n_clients; i++) {
		w->clients[i].private = i % 2 && !w->plan->fair_only;
		w->clients[i].exclusive = w->plan->exclusive >> i & 1;
		w->clients[i].weight = 1 + i;
		client_join(w, i);
	}
	host_turn(w);
	host_commit(w);
}

void host_done(struct sim *w)
{
	pcore_sched_free(w->sched);
	pcore_buf_done(&w->journal);
	free(w->chunks);
	free(w->told);
	free(w->held);
}

/* ---- what comes out ---- */

static void deliver(struct sim *w, size_t end)
{
	for (; w->n_delivered < end; w->n_delivered++) {
		const struct pcore_sched_news *n = &w->told[w->n_delivered];

		for (unsigned i = 0; i < w->plan->n_clients; i++)
			if (n->kind == PCORE_SCHED_ROOM && w->clients[i].id == n->client)
				w->clients[i].full = false;
		oracle_delivered(w->oracle, n);
	}
}

/* Send what may be sent: in its order for each node. */
static void send_held(struct sim *w)
{
	bool waits[SIM_NODES] = { false };
	size_t kept = 0;

	for (size_t i = 0; i < w->n_held; i++) {
		struct held_action *h = &w->held[i];
		bool durable = w->plan->persist && h->message.action.durable;

		if (h->connection != w->nodes[h->node].heard)
			continue; /* that connection is over */
		if (waits[h->node] || (durable && h->chunk > w->n_durable)) {
			waits[h->node] = true;
			w->held[kept++] = *h;
		} else if (h->connection == w->nodes[h->node].connection) {
			link_down(w, h->node, &h->message);
		}
	}
	w->n_held = kept;
}

static void take_batches(struct sim *w)
{
	struct pcore_sched_batch b;

	while (pcore_sched_next_batch(w->sched, &b)) {
		unsigned node = (unsigned)(uintptr_t)b.ctx;

		if (b.node != w->nodes[node].handle)
			sim_fail(w, "actions for a node that is not connected");
		for (size_t i = 0; i < b.n; i++) {
			struct held_action h = { .node = node, .connection = w->nodes[node].heard, .chunk = w->n_chunks };

			h.message = (struct message){ .kind = TELL_ACTION, .action = b.actions[i] };
			assert(b.actions[i].n_ids <= SIM_IDS);
			for (size_t k = 0; k < b.actions[i].n_ids; k++)
				h.message.ids[k] = b.ids[b.actions[i].ids + k];
			if (b.actions[i].verb == PCORE_SCHED_START) {
				if (w->stopped || w->nodes[node].draining)
					sim_fail(w, "stopped: job %ju is sent to n%u", (uintmax_t)b.actions[i].job, node);
				oracle_sent(w->oracle, b.actions[i].cookie);
			}
			w->held = sim_grow(w->held, &w->held_cap, w->n_held + 1, sizeof(*w->held));
			w->held[w->n_held++] = h;
		}
	}
}

static void end_if_drained(struct sim *w)
{
	static const struct step again = { .kind = STEP_RESTART, .for_ns = NS_PER_S };

	if (!w->closed || !w->plan->persist || pcore_sched_counts(w->sched).arrays > 0)
		return;
	w->closed = false;
	sim_event(w, w->now, EV_STEP, 0)->step = &again;
}

static void turn(struct sim *w, bool commit)
{
	struct pcore_buf *records = pcore_sched_records(w->sched);
	struct pcore_sched_news news;
	size_t news_before = w->n_told;
	int r;

	pcore_sched_check(w->sched);
	while (pcore_sched_next_news(w->sched, &news)) {
		w->told = sim_grow(w->told, &w->told_cap, w->n_told + 1, sizeof(*w->told));
		w->told[w->n_told++] = news;
		oracle_freed(w->oracle, &news);
	}
	if (records->len > 0 || w->n_told > news_before) {
		r = pcore_buf_add(&w->journal, records->data, records->len);
		assert(r == 0);
		pcore_buf_clear(records);
		w->chunks = sim_grow(w->chunks, &w->chunks_cap, w->n_chunks + 1, sizeof(*w->chunks));
		w->chunks[w->n_chunks++] = (struct chunk){ w->journal.len, w->n_told };
	}
	take_batches(w);
	end_if_drained(w);
	oracle_shares(w->oracle);
	if (commit || !w->plan->persist)
		host_commit(w);
	else if (w->n_durable < w->n_chunks && !w->commit_planned)
		sim_event(w, w->now + sim_draw(&w->random_host, (unsigned)w->plan->commit_ns), EV_COMMIT, 0), w->commit_planned = true;
	send_held(w);
}

void host_turn(struct sim *w)
{
	turn(w, false);
}

void host_commit(struct sim *w)
{
	w->commit_planned = false;
	w->n_durable = w->n_chunks;
	deliver(w, w->n_told);
	send_held(w);
}

/* ---- what comes in ---- */

void host_hear(struct sim *w, unsigned i, const struct message *m)
{
	uint64_t node = w->nodes[i].handle;
	int r = 0;

	switch (m->kind) {
	case SAY_STARTED:
		r = CALL(w, pcore_sched_started(w->sched, w->now, node, m->job, m->attempt));
		break;
	case SAY_DONE:
		r = CALL(w, pcore_sched_done(w->sched, w->now, node, m->job, m->attempt, &m->result));
		break;
	case SAY_RETRACTED:
		r = CALL(w, pcore_sched_retracted(w->sched, w->now, node, m->job, m->attempt, m->yes));
		if (r > 0 && m->yes)
			oracle_unsent(w->oracle, m->job);
		break;
	case SAY_CPUS:
		r = CALL(w, pcore_sched_node_cpus(w->sched, w->now, node, m->attempt));
		break;
	case TELL_ACTION:
		assert(false);
	}
	check(w, "a message", r);
	host_turn(w);
}

void host_joined(struct sim *w, struct event *e)
{
	struct sim_node *n = &w->nodes[e->who];
	struct pcore_sched_node spec;
	int r = -ECONNREFUSED;

	plan_node(w->plan, e->who, &spec);
	spec.instance = n->life;
	spec.cpus = n->cpus;
	spec.draining = n->draining;
	spec.ctx = (void *)(uintptr_t)e->who;
	if (!w->down)
		r = CALL(w, pcore_sched_node_join(w->sched, w->now, &spec, e->claims, e->n_claims, &n->handle));
	sim_trace(w, "n%u joins with %zu jobs: %s", e->who, e->n_claims, r ? strerror(-r) : "welcome");
	if (r == 0) {
		n->heard = n->connection;
		host_turn(w);
	} else if (r == -EEXIST || r == -ECONNREFUSED) {
		n->connection = 0;
		node_join(w, e->who);
	} else {
		check(w, "a node", r);
	}
}

void host_noticed(struct sim *w, unsigned i, uint64_t connection)
{
	struct sim_node *n = &w->nodes[i];
	int r;

	if (w->down || n->heard != connection)
		return;
	sim_trace(w, "n%u is %s", i, n->alive ? "gone" : "dead");
	if (n->alive)
		r = CALL(w, pcore_sched_node_gone(w->sched, w->now, n->handle));
	else
		r = CALL(w, pcore_sched_node_dead(w->sched, w->now, n->handle));
	n->heard = 0;
	check(w, "the end of a node", r);
	host_turn(w);
}

/* ---- restarts ---- */

/* A scheduler that reads all of the journal has the same state. */
static void check_restore(struct sim *w)
{
	_cleanup_(pcore_buf_done) struct pcore_buf now = { 0 }, then = { 0 };
	struct pcore_sched *old = w->sched;

	if (pcore_sched_snapshot(old, &now) < 0)
		abort();
	make(w);
	check(w, "its journal", pcore_sched_restore(w->sched, w->now, w->journal.data, w->journal.len));
	if (pcore_sched_snapshot(w->sched, &then) < 0)
		abort();
	if (now.len != then.len || memcmp(now.data, then.data, now.len) != 0)
		sim_fail(w, "restore: the state differs from what was written");
	pcore_sched_free(w->sched);
	make(w);
	check(w, "its snapshot", pcore_sched_restore(w->sched, w->now, now.data, now.len));
	pcore_buf_clear(&then);
	if (pcore_sched_snapshot(w->sched, &then) < 0)
		abort();
	if (now.len != then.len || memcmp(now.data, then.data, now.len) != 0)
		sim_fail(w, "restore: the state differs from its snapshot");
	pcore_sched_free(w->sched);
	w->sched = old;
}

static void restart(struct sim *w, int64_t for_ns)
{
	size_t kept = w->n_durable + sim_draw(&w->random_host, (unsigned)(w->n_chunks - w->n_durable) + 1);

	if (w->down)
		return;
	check_restore(w);
	sim_trace(w, "the scheduler dies, and keeps %zu of %zu chunks", kept, w->n_chunks);
	w->down = true;
	w->stopped = w->closed = false;
	pcore_sched_free(w->sched);
	w->sched = NULL;
	w->n_chunks = w->n_durable = kept;
	w->journal.len = kept ? w->chunks[kept - 1].records_end : 0;
	w->n_told = kept ? w->chunks[kept - 1].news_end : 0;
	deliver(w, w->n_told);
	oracle_lost_after(w->oracle, kept);
	for (unsigned i = 0; i < w->plan->n_clients; i++)
		if (w->clients[i].chunk > kept)
			w->clients[i].id = 0; /* it has not been told its id yet */
	w->n_held = 0;
	w->commit_planned = false;
	for (unsigned i = 0; i < w->plan->n_nodes; i++) {
		w->nodes[i].heard = w->nodes[i].handle = 0;
		node_cut(w, i, for_ns + sim_draw(&w->random_host, sim_draw(&w->random_host, 4) ? 50 : 3000) * NS_PER_MS);
	}
	sim_event(w, w->now + for_ns + NS_PER_MS, EV_RESTARTED, 0);
}

int host_tick(struct sim *w)
{
	return CALL(w, pcore_sched_tick(w->sched, w->now));
}

void host_restarted(struct sim *w)
{
	struct sim_client *c;

	make(w);
	w->down = false;
	check(w, "its journal", pcore_sched_restore(w->sched, w->now, w->journal.data, w->journal.len));
	check(w, "its restart", CALL(w, pcore_sched_restored(w->sched, w->now)));
	for (c = w->clients; c < w->clients + w->plan->n_clients; c++) {
		c->full = false;
		if (c->present && sim_draw(&w->random_host, 4))
			client_join(w, (unsigned)(c - w->clients));
		else if (c->present && c->private)
			oracle_client_gone(w->oracle, (unsigned)(c - w->clients)), c->present = false, c->id = 0;
		else
			c->present = false;
	}
	turn(w, true); /* the new epoch is durable before anything is sent */
}

/* ---- steps ---- */

static void submit(struct sim *w, const struct step *step)
{
	struct sim_client *c = &w->clients[step->who];
	struct pcore_sched_jobs jobs;
	uint64_t first, after;
	uint32_t n;
	int r;

	if (w->closed) {
		sim_event(w, w->now + 100 * NS_PER_MS, EV_RESUBMIT, 0)->step = step;
		return;
	}
	if (!c->present)
		client_join(w, step->who);
	plan_jobs(step, oracle_next_cookie(w->oracle), &jobs);
	after = step->what >> 16 & 1 ? oracle_pick(w->oracle, step->what, &n) : 0;
	if (after) {
		jobs.after = &after;
		jobs.n_after = 1;
	}
	r = CALL(w, pcore_sched_submit(w->sched, w->now, c->id, &jobs, &first));
	if (r == -ENOENT && after) {
		jobs.n_after = 0; /* it is over, but that is not durable yet */
		r = CALL(w, pcore_sched_submit(w->sched, w->now, c->id, &jobs, &first));
	}
	if (r == -EAGAIN) {
		c->full = true;
		sim_event(w, w->now + 100 * NS_PER_MS, EV_RESUBMIT, 0)->step = step;
		return;
	}
	check(w, "a submit", r);
	if (r == 0)
		oracle_submitted(w->oracle, first, &jobs, step, w->n_chunks + 1);
}

/* A client that was refused tries again only when it is told that there is room. */
void host_resubmit(struct sim *w, const struct step *step)
{
	if (w->down || (w->clients[step->who].full && w->clients[step->who].present)) {
		sim_event(w, w->now + 100 * NS_PER_MS, EV_RESUBMIT, 0)->step = step;
		return;
	}
	submit(w, step);
	host_turn(w);
}

static void client_gone(struct sim *w, unsigned i)
{
	struct sim_client *c = &w->clients[i];

	if (!c->present)
		return;
	check(w, "the end of a client", CALL(w, pcore_sched_client_gone(w->sched, w->now, c->id)));
	if (c->private)
		oracle_client_gone(w->oracle, i);
	c->present = false;
	c->full = false;
	if (c->private)
		c->id = 0;
}

/* In the end whoever would keep the nodes although it has no jobs goes, and comes as one that does not. */
void host_settled(struct sim *w)
{
	for (unsigned i = 0; i < w->plan->n_clients; i++) {
		if (!w->clients[i].private || !w->clients[i].exclusive)
			continue;
		client_gone(w, i);
		w->clients[i].exclusive = false;
	}
	host_turn(w);
}

static void cancel(struct sim *w, const struct step *step)
{
	uint32_t n = 0, from;
	uint64_t first = oracle_pick(w->oracle, step->what, &n);
	int64_t r;

	if (!first)
		return;
	from = step->what / 16 % 4 ? 0 : step->what % n;
	r = CALL(w, pcore_sched_cancel(w->sched, w->now, first + from, 1 + step->what / 64 % n, 1 + step->what % 2));
	if (r < 0 && r != -ENOENT)
		check(w, "a cancel", (int)r);
}

static void drain(struct sim *w, unsigned i, enum pcore_sched_drain how)
{
	int r = CALL(w, pcore_sched_node_drain(w->sched, w->now, w->nodes[i].handle, how));

	w->nodes[i].draining = how != PCORE_SCHED_OPEN; /* and says so when it connects again */
	if (r < 0 && r != -ESTALE)
		check(w, "a drain", r);
}

static void stop(struct sim *w, bool yes)
{
	w->stopped = yes;
	CALL(w, (pcore_sched_stop(w->sched, w->now, yes), 0));
}

void host_start_again(struct sim *w)
{
	w->closed = false;
	if (w->down || !w->stopped)
		return;
	stop(w, false);
	host_turn(w);
}

void host_step(struct sim *w, const struct step *step)
{
	static const struct pcore_sched_node none;
	struct pcore_sched_node spec = none;

	if (w->down && step->kind < STEP_CUT) {
		if (step->kind == STEP_SUBMIT)
			sim_event(w, w->now + NS_PER_S, EV_STEP, 0)->step = step;
		return;
	}
	switch (step->kind) {
	case STEP_SUBMIT:
		submit(w, step);
		break;
	case STEP_CANCEL:
		cancel(w, step);
		break;
	case STEP_CLIENT_GONE:
		client_gone(w, step->who);
		break;
	case STEP_CLIENT_BACK:
		client_join(w, step->who);
		break;
	case STEP_CPUS:
		plan_node(w->plan, step->who, &spec);
		node_set_cpus(w, step->who, step->what % (spec.cpus + 2));
		break;
	case STEP_DRAIN:
		drain(w, step->who, PCORE_SCHED_DRAIN);
		break;
	case STEP_EVICT:
		drain(w, step->who, PCORE_SCHED_EVICT);
		break;
	case STEP_OPEN:
		drain(w, step->who, PCORE_SCHED_OPEN);
		break;
	case STEP_STOP:
		stop(w, true);
		sim_event(w, w->now + step->for_ns, EV_START, SIM_NODES);
		break;
	case STEP_CLOSE:
		w->closed = true;
		sim_event(w, w->now + step->for_ns, EV_START, SIM_NODES);
		break;
	case STEP_STOP_NODE:
		node_stop(w, step->who, true);
		sim_event(w, w->now + step->for_ns, EV_START, step->who);
		return;
	case STEP_CUT:
		node_cut(w, step->who, step->for_ns);
		return;
	case STEP_HANG:
		w->nodes[step->who].hung_until = w->now + step->for_ns;
		return;
	case STEP_CRASH:
		node_crash(w, step->who, step->for_ns);
		return;
	case STEP_RESTART:
		restart(w, step->for_ns);
		return;
	}
	host_turn(w);
}
