/* SPDX-License-Identifier: MIT */
/*
 * oracle.c - what must hold, whatever happens: no job is lost, none is told twice, no attempt runs twice, a job that may run at
 * most once does, a success was one, everything ends, clients get their shares, and nothing begins beside a job of an exclusive one.
 */
#include "tests/sim/sim.h"

struct submitted {
	uint64_t first;
	uint32_t n, n_told;
	size_t chunk; /* of the journal that has to be kept for it to count */
	unsigned client;
	bool at_most_once;
	bool gone;	 /* it does not count: its client has gone, or it was lost with the end of the journal */
	uint32_t n_sent; /* and not taken back */
	uint32_t n_over; /* of these, whether they are told or not */
	const struct step *step;
	unsigned char *told, *begun;
};

struct run {
	uint64_t id, cookie;
	uint32_t attempt, index;
	unsigned node;
	bool running, success, told;
};

struct oracle {
	struct sim *w;
	struct submitted *submits;
	size_t n_submits, submits_cap;
	struct run *runs;
	size_t n_runs, runs_cap;
	size_t n_left;
	bool started[SIM_CLIENTS]; /* in this turn */
};

struct oracle *oracle_new(struct sim *w)
{
	struct oracle *o = calloc(1, sizeof(*o));

	assert(o);
	o->w = w;
	return o;
}

void oracle_free(struct oracle *o)
{
	for (size_t i = 0; i < o->n_submits; i++) {
		free(o->submits[i].told);
		free(o->submits[i].begun);
	}
	free(o->submits);
	free(o->runs);
	free(o);
}

uint64_t oracle_next_cookie(const struct oracle *o)
{
	return o->n_submits;
}

void oracle_submitted(struct oracle *o, uint64_t first, const struct pcore_sched_jobs *jobs, const struct step *step, size_t chunk)
{
	struct submitted s = {
		.first = first,
		.n = jobs->n,
		.chunk = chunk,
		.client = step->who,
		.at_most_once = jobs->at_most_once,
		.step = step,
		.told = calloc(jobs->n, 1),
		.begun = calloc(jobs->n, 1),
	};

	assert(s.told);
	assert(s.begun);
	sim_trace(o->w, "submit %ju..%ju for client %u%s%s", (uintmax_t)first, (uintmax_t)(first + jobs->n - 1), step->who,
		jobs->at_most_once ? ", at most once" : "", jobs->n_after ? ", after another" : "");
	o->submits = sim_grow(o->submits, &o->submits_cap, o->n_submits + 1, sizeof(s));
	o->submits[o->n_submits++] = s;
	o->n_left += jobs->n;
}

static void drop(struct oracle *o, struct submitted *s)
{
	if (!s->gone)
		o->n_left -= s->n - s->n_told;
	s->gone = true;
}

void oracle_client_gone(struct oracle *o, unsigned client)
{
	for (size_t i = 0; i < o->n_submits; i++)
		if (o->submits[i].client == client)
			drop(o, &o->submits[i]);
}

void oracle_lost_after(struct oracle *o, size_t n_chunks)
{
	for (size_t i = 0; i < o->n_submits; i++) {
		struct submitted *s = &o->submits[i];

		if (s->gone || s->chunk <= n_chunks)
			continue;
		drop(o, s); /* and the client, who was not told that it was taken, tries again */
		sim_event(o->w, o->w->now + sim_draw(&o->w->random_host, 3000) * NS_PER_MS, EV_RESUBMIT, 0)->step = s->step;
	}
}

const struct step *oracle_step(const struct oracle *o, uint64_t cookie)
{
	assert(cookie < o->n_submits);
	return o->submits[cookie].step;
}

uint64_t oracle_pick(const struct oracle *o, unsigned draw, uint32_t *ret_n)
{
	for (size_t k = 0; k < o->n_submits; k++) {
		const struct submitted *s = &o->submits[(k + draw) % o->n_submits];

		if (s->gone || s->n_told == s->n)
			continue;
		*ret_n = s->n;
		return s->first;
	}
	return 0;
}

uint64_t oracle_begun(struct oracle *o, unsigned node, const struct sim_job *j)
{
	struct submitted *s = &o->submits[j->kind];

	for (size_t i = 0; i < o->n_runs; i++)
		if (o->runs[i].id == j->id && o->runs[i].attempt == j->attempt && o->runs[i].cookie == j->kind)
			sim_fail(o->w, "fence: attempt %x of job %ju has begun on n%u and on n%u", j->attempt, (uintmax_t)j->id,
				o->runs[i].node, node);
	if (s->at_most_once && s->begun[j->index])
		sim_fail(o->w, "at most once: job %ju has begun twice", (uintmax_t)j->id);
	s->begun[j->index] = 1;
	o->runs = sim_grow(o->runs, &o->runs_cap, o->n_runs + 1, sizeof(*o->runs));
	o->runs[o->n_runs] = (struct run){
		.id = j->id, .cookie = j->kind, .attempt = j->attempt, .index = j->index, .node = node, .running = true
	};
	return o->n_runs++;
}

/* Nothing begins beside the job of a client that has the nodes for itself, but for its own. */
void oracle_beside(struct oracle *o, unsigned node, const struct sim_job *j, const struct sim_job *other)
{
	unsigned a = o->submits[j->kind].client, b = o->submits[other->kind].client;

	if (a != b && (o->w->clients[a].exclusive || o->w->clients[b].exclusive))
		sim_fail(o->w, "exclusive: job %ju of client %u begins on n%u beside %ju of client %u", (uintmax_t)j->id, a, node,
			(uintmax_t)other->id, b);
}

void oracle_ended(struct oracle *o, uint64_t run, bool success)
{
	o->runs[run].running = false;
	o->runs[run].success = success;
}

/* The result of a run counts once. */
static void used(struct oracle *o, struct run *r)
{
	if (r->told)
		sim_fail(o->w, "twice: the result of attempt %x of job %ju counts again", r->attempt, (uintmax_t)r->id);
	r->told = true;
}

static void told_over(struct oracle *o, const struct pcore_sched_news *n)
{
	struct submitted *s = &o->submits[n->cookie];

	if (n->cookie >= o->n_submits || n->job != s->first + n->index || n->index + n->n > s->n) {
		sim_fail(o->w, "told: job %ju is over, which never was", (uintmax_t)n->job);
		return;
	}
	if (n->outcome == PCORE_SCHED_SUCCEEDED || n->outcome == PCORE_SCHED_FAILED) {
		struct run *r = &o->runs[n->tag];

		if (n->tag >= o->n_runs || r->id != n->job || r->cookie != n->cookie || r->attempt != n->attempt || r->running ||
			r->success != (n->outcome == PCORE_SCHED_SUCCEEDED))
			sim_fail(o->w, "told: the result of job %ju is not that of its attempt", (uintmax_t)n->job);
		else
			used(o, r);
	}
	if (s->gone)
		return;
	for (uint32_t i = n->index; i < n->index + n->n; i++) {
		if (s->told[i])
			sim_fail(o->w, "twice: job %ju is told to be over again", (uintmax_t)(s->first + i));
		s->told[i] = 1;
		s->n_told++;
		o->n_left--;
	}
}

void oracle_delivered(struct oracle *o, const struct pcore_sched_news *n)
{
	static const char *const outcomes[] = { "succeeded", "failed", "cancelled", "lost", "crashed", "dependency" };

	if (n->kind == PCORE_SCHED_AGAIN && n->outcome == PCORE_SCHED_FAILED && n->status) {
		assert(n->tag < o->n_runs);
		used(o, &o->runs[n->tag]);
	} else if (n->kind == PCORE_SCHED_OVER) {
		sim_trace(o->w, "told: %ju..%ju %s", (uintmax_t)n->job, (uintmax_t)(n->job + n->n - 1), outcomes[n->outcome]);
		told_over(o, n);
	}
}

size_t oracle_left(const struct oracle *o)
{
	return o->n_left;
}

static void trace_why(struct oracle *o, const struct submitted *s)
{
	struct pcore_sched_why why;
	uint32_t i = 0;

	while (s->told[i])
		i++;
	if (!o->w->sched || pcore_sched_explain(o->w->sched, s->first + i, &why) < 0)
		return;
	sim_trace(o->w, "job %ju is in state %d%s, on %#jx, after %ju; of %u nodes %u gone, %u draining, %u pinned, %u labels, "
			"%u cpus, %u memory, %u resources, %u avoided, %u exclusive, %u reserved, %u busy, %u with room",
		(uintmax_t)(s->first + i), why.state, why.cancelled ? ", cancelled" : "", (uintmax_t)why.node, (uintmax_t)why.after,
		why.n_nodes, why.gone, why.draining, why.pinned, why.labels, why.cpus, why.memory, why.resources, why.avoided,
		why.exclusive, why.reserved, why.busy, why.room);
}

void oracle_settled(struct oracle *o)
{
	struct pcore_sched_counts c = pcore_sched_counts(o->w->sched);

	for (size_t i = 0; i < o->n_submits; i++) {
		const struct submitted *s = &o->submits[i];

		if (s->gone || s->n_told == s->n)
			continue;
		trace_why(o, s);
		sim_fail(o->w, "lost: %u of %u jobs from %ju on were never told to be over", s->n - s->n_told, s->n, (uintmax_t)s->first);
	}
	for (size_t i = 0; i < o->n_runs; i++)
		if (o->runs[i].running)
			sim_fail(o->w, "stuck: attempt %x of job %ju still runs on n%u", o->runs[i].attempt, (uintmax_t)o->runs[i].id,
				o->runs[i].node);
	if (c.waiting + c.queued + c.backoff + c.held + c.ahead + c.running + c.arrays > 0)
		sim_fail(o->w, "stuck: the scheduler has jobs that nobody knows");
	if (c.clients > o->w->plan->n_clients)
		sim_fail(o->w, "stuck: the scheduler has clients that have gone");
}

/* ---- shares, with one CPU a job and no faults ---- */

void oracle_sent(struct oracle *o, uint64_t cookie)
{
	o->submits[cookie].n_sent++;
	o->started[o->submits[cookie].client] = true;
}

void oracle_unsent(struct oracle *o, uint64_t job)
{
	for (size_t i = 0; i < o->n_submits; i++)
		if (!o->submits[i].gone && job - o->submits[i].first < o->submits[i].n)
			o->submits[i].n_sent--;
}

void oracle_freed(struct oracle *o, const struct pcore_sched_news *n)
{
	if (n->kind == PCORE_SCHED_OVER && n->attempt)
		o->submits[n->cookie].n_over++;
}

/* Who got a CPU in this turn had, before the last one, no more for its weight than anybody who still waits. */
void oracle_shares(struct oracle *o)
{
	int64_t has[SIM_CLIENTS] = { 0 };
	bool waits[SIM_CLIENTS] = { false };
	const struct sim_client *c = o->w->clients;

	for (size_t i = 0; i < o->n_submits && o->w->plan->fair_only; i++) {
		const struct submitted *s = &o->submits[i];

		has[s->client] += (int64_t)s->n_sent - s->n_over;
		waits[s->client] |= s->n_sent < s->n;
	}
	for (unsigned a = 0; a < SIM_CLIENTS; a++) {
		for (unsigned b = 0; b < SIM_CLIENTS && o->started[a]; b++)
			if (waits[b] && (has[a] - 1) * c[b].weight > has[b] * c[a].weight)
				sim_fail(o->w, "share: client %u has %jd CPUs and got one more before client %u with %jd", a, (intmax_t)has[a],
					b, (intmax_t)has[b]);
		o->started[a] = false;
	}
}
