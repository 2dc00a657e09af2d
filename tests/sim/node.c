/* SPDX-License-Identifier: MIT */
/*
 * node.c - a simulated node: it does what it is told, and what nodes do.
 */
#include "tests/sim/sim.h"

static struct sim_job *job_of(struct sim_node *n, uint64_t id, uint32_t attempt)
{
	for (size_t i = 0; i < n->n_jobs; i++)
		if (n->jobs[i].id == id && n->jobs[i].attempt == attempt)
			return &n->jobs[i];
	return NULL;
}

static void forget(struct sim_node *n, struct sim_job *j)
{
	size_t i = (size_t)(j - n->jobs);

	memmove(&n->jobs[i], &n->jobs[i + 1], (--n->n_jobs - i) * sizeof(*n->jobs));
}

/* CPUs of what runs; without those that are being ended, if so asked. */
static uint32_t cpus_used(const struct sim_node *n, bool all)
{
	uint32_t used = 0;

	for (size_t i = 0; i < n->n_jobs; i++)
		used += n->jobs[i].state == SIM_RUNS && (all || !n->jobs[i].cancelled) ? n->jobs[i].cpus : 0;
	return used;
}

/* One of j's GPUs that runs something else, or -1. */
static int busy_gpu(const struct sim_node *n, const struct sim_job *j, bool all)
{
	for (size_t k = 0; k < n->n_jobs; k++) {
		const struct sim_job *other = &n->jobs[k];

		if (other->state != SIM_RUNS || (other->cancelled && !all))
			continue;
		for (size_t a = 0; a < other->n_ids; a++)
			for (size_t b = 0; b < j->n_ids; b++)
				if (other->ids[a] == j->ids[b])
					return j->ids[b];
	}
	return -1;
}

static void say(struct sim *w, unsigned i, enum message_kind kind, const struct sim_job *j, bool yes)
{
	struct message m = { .kind = kind, .job = j->id, .attempt = j->attempt, .yes = yes };

	if (kind == SAY_DONE)
		m.result = (struct pcore_sched_result){
			.success = j->success,
			.cancelled = j->cancelled && !j->success,
			.status = j->success ? 0 : 1,
			.wall_ns = j->wall_ns,
			.tag = j->run,
		};
	link_up(w, i, &m);
}

static void plan_end(struct sim *w, unsigned i, const struct sim_job *j, int64_t at)
{
	struct event *e = sim_event(w, at, EV_END, i);

	e->life = w->nodes[i].life;
	e->job = j->id;
	e->attempt = j->attempt;
}

static void begin(struct sim *w, unsigned i, struct sim_job *j)
{
	struct sim_node *n = &w->nodes[i];
	const struct step *step = oracle_step(w->oracle, j->kind);

	for (size_t k = 0; k < n->n_jobs; k++)
		if (n->jobs[k].state == SIM_RUNS && !n->jobs[k].cancelled)
			oracle_beside(w->oracle, i, j, &n->jobs[k]);
	j->state = SIM_RUNS;
	j->wall_ns = plan_duration(step, &n->random);
	j->success = sim_draw(&n->random, 10) != 0;
	j->run = oracle_begun(w->oracle, i, j);
	sim_trace(w, "n%u begins %ju.%x", i, (uintmax_t)j->id, j->attempt);
	say(w, i, SAY_STARTED, j, true);
	plan_end(w, i, j, w->now + j->wall_ns);
}

/* What waits begins in its order, when there is room for the first. */
static void begin_waiting(struct sim *w, unsigned i)
{
	struct sim_node *n = &w->nodes[i];

	for (size_t k = 0; k < n->n_jobs && !n->stopped; k++) {
		if (n->jobs[k].state != SIM_WAITS)
			continue;
		if (cpus_used(n, true) + n->jobs[k].cpus > (n->jobs[k].ahead ? n->cpus : n->cpus_max) ||
			busy_gpu(n, &n->jobs[k], true) >= 0)
			return;
		begin(w, i, &n->jobs[k]);
	}
}

/* What is sent to begin at once must find room, but for jobs that are being ended. */
static void check_room(struct sim *w, unsigned i, const struct sim_job *j)
{
	struct sim_node *n = &w->nodes[i];
	unsigned licences = plan_kind(oracle_step(w->oracle, j->kind)) == 4;

	if (cpus_used(n, false) + j->cpus > n->cpus_max)
		sim_fail(w, "overbooked: n%u has %u CPUs and %u in use, and is sent job %ju", i, n->cpus_max, cpus_used(n, false),
			(uintmax_t)j->id);
	if (busy_gpu(n, j, false) >= 0)
		sim_fail(w, "overbooked: gpu %d of n%u is given to job %ju", busy_gpu(n, j, false), i, (uintmax_t)j->id);
	for (size_t k = 0; k < n->n_jobs; k++)
		licences += n->jobs[k].state == SIM_RUNS && !n->jobs[k].cancelled &&
			plan_kind(oracle_step(w->oracle, n->jobs[k].kind)) == 4;
	if (licences > 3)
		sim_fail(w, "overbooked: %u licences of n%u are in use", licences, i);
}

static void start_job(struct sim *w, unsigned i, const struct message *m)
{
	struct sim_node *n = &w->nodes[i];
	struct sim_job j = {
		.id = m->action.job,
		.attempt = m->action.attempt,
		.index = m->action.index,
		.cpus = m->action.cpus,
		.kind = m->action.cookie,
		.n_ids = m->action.n_ids,
		.ahead = m->action.ahead,
	};

	if (job_of(n, j.id, j.attempt)) {
		sim_fail(w, "fence: attempt %x of job %ju is sent to n%u again", j.attempt, (uintmax_t)j.id, i);
		return;
	}
	memcpy(j.ids, m->ids, sizeof(j.ids));
	if (!m->action.ahead)
		check_room(w, i, &j);
	n->jobs = sim_grow(n->jobs, &n->jobs_cap, n->n_jobs + 1, sizeof(*n->jobs));
	n->jobs[n->n_jobs++] = j;
	begin_waiting(w, i);
}

static void cancel_job(struct sim *w, unsigned i, struct sim_job *j)
{
	if (!j || j->state == SIM_FINISHED)
		return;
	j->cancelled = true;
	plan_end(w, i, j, w->now + (j->state == SIM_RUNS ? 5 * NS_PER_MS : 0));
}

void node_hear(struct sim *w, unsigned i, const struct message *m)
{
	struct sim_node *n = &w->nodes[i];
	struct sim_job *j = job_of(n, m->action.job, m->action.attempt);
	bool yes;

	switch ((enum pcore_sched_verb)m->action.verb) {
	case PCORE_SCHED_START:
		start_job(w, i, m);
		break;
	case PCORE_SCHED_CANCEL:
		cancel_job(w, i, j);
		break;
	case PCORE_SCHED_RETRACT:
		if (!j)
			break;
		yes = j->state == SIM_WAITS && !j->cancelled;
		say(w, i, SAY_RETRACTED, j, yes);
		if (yes) {
			forget(n, j);
			begin_waiting(w, i);
		}
		break;
	case PCORE_SCHED_ACK:
		if (j && j->state != SIM_FINISHED)
			sim_fail(w, "fence: n%u is told that attempt %x of job %ju is over, but runs it", i, j->attempt, (uintmax_t)j->id);
		else if (j)
			forget(n, j);
		break;
	}
}

/* A job ends by itself, or after a cancel. */
void node_end(struct sim *w, unsigned i, uint64_t job, uint32_t attempt)
{
	struct sim_node *n = &w->nodes[i];
	struct sim_job *j = job_of(n, job, attempt);

	if (!j || j->state == SIM_FINISHED)
		return;
	if (j->cancelled)
		j->success = false;
	if (j->state == SIM_RUNS)
		oracle_ended(w->oracle, j->run, j->success);
	j->state = SIM_FINISHED;
	sim_trace(w, "n%u ends %ju.%x: %s", i, (uintmax_t)job, attempt, j->success ? "success" : "failure");
	say(w, i, SAY_DONE, j, true);
	begin_waiting(w, i);
}

/* Somebody says so at the node, which begins what there is room for now, and tells the scheduler. */
void node_set_cpus(struct sim *w, unsigned i, uint32_t cpus)
{
	struct sim_node *n = &w->nodes[i];
	struct message m = { .kind = SAY_CPUS, .attempt = cpus };

	n->cpus = cpus;
	n->cpus_max = cpus > n->cpus_max ? cpus : n->cpus_max;
	link_up(w, i, &m);
	if (n->alive)
		begin_waiting(w, i);
}

/* Somebody says so at the node, which keeps it to itself. */
void node_stop(struct sim *w, unsigned i, bool stop)
{
	w->nodes[i].stopped = stop;
	if (w->nodes[i].alive)
		begin_waiting(w, i);
}

/* ---- its life ---- */

void node_start(struct sim *w, unsigned i)
{
	struct sim_node *n = &w->nodes[i];
	struct pcore_sched_node spec;

	plan_node(w->plan, i, &spec);
	n->life = ++w->connections;
	n->alive = true;
	n->stopped = n->draining = false;
	n->cpus = n->cpus_max = spec.cpus;
	node_join(w, i);
}

void node_join(struct sim *w, unsigned i)
{
	struct event *e = sim_event(w, w->now + (1 + sim_draw(&w->nodes[i].random, 20)) * NS_PER_MS, EV_JOIN, i);

	e->life = w->nodes[i].life;
}

void node_cut(struct sim *w, unsigned i, int64_t for_ns)
{
	struct sim_node *n = &w->nodes[i];
	struct event *e;

	if (n->connection) {
		e = sim_event(w, w->now + sim_draw(&n->random, 6000) * NS_PER_MS, EV_NOTICED, i);
		e->connection = n->connection;
	}
	n->connection = 0;
	if (!n->alive)
		return;
	e = sim_event(w, w->now + for_ns + (1 + sim_draw(&n->random, 20)) * NS_PER_MS, EV_JOIN, i);
	e->life = n->life;
}

void node_crash(struct sim *w, unsigned i, int64_t for_ns)
{
	struct sim_node *n = &w->nodes[i];

	if (!n->alive)
		return;
	n->alive = false;
	node_cut(w, i, 0);
	for (size_t k = 0; k < n->n_jobs; k++)
		if (n->jobs[k].state == SIM_RUNS)
			oracle_ended(w->oracle, n->jobs[k].run, false);
	n->n_jobs = 0;
	sim_event(w, w->now + for_ns, EV_BACK, i);
}
