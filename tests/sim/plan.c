/* SPDX-License-Identifier: MIT */
/*
 * plan.c - plans from seeds, and the shortest part of one that still fails.
 */
#include "tests/sim/sim.h"

enum { SUBMITS_MAX = 40, FAULTS_MAX = 40 };

static const char *const step_names[] = {
	[STEP_SUBMIT] = "submit",
	[STEP_CANCEL] = "cancel",
	[STEP_CLIENT_GONE] = "client gone",
	[STEP_CLIENT_BACK] = "client back",
	[STEP_CPUS] = "cpus",
	[STEP_DRAIN] = "drain",
	[STEP_EVICT] = "evict",
	[STEP_OPEN] = "open",
	[STEP_STOP] = "stop",
	[STEP_CLOSE] = "close",
	[STEP_STOP_NODE] = "stop node",
	[STEP_CUT] = "cut",
	[STEP_HANG] = "hang",
	[STEP_CRASH] = "crash",
	[STEP_RESTART] = "restart",
};

/* ---- requests, nodes and jobs ---- */

static const struct pcore_sched_need two_gpus[] = { { "gpu", 2 } }, a_licence[] = { { "licence", 1 }, { "gpu", 1 } };
static const struct pcore_sched_label fast[] = { { "disk", "fast", false } };
static const struct pcore_sched_label not_slow[] = { { "disk", "slow", true }, { "disk", "fast", false } };

static const struct pcore_sched_request requests[SIM_KINDS] = {
	{ .cpus = 1 },
	{ .cpus = 1, .memory = 3 << 19 },
	{ .cpus = 4 },
	{ .cpus = 1, .needs = two_gpus, .n_needs = 1 },
	{ .cpus = 1, .needs = a_licence, .n_needs = 2, .labels = not_slow, .n_labels = 2 },
	{ .cpus = 2, .labels = fast, .n_labels = 1 },
	{ .cpus = 1, .node = "n0" },
};

void plan_request(unsigned kind, struct pcore_sched_request *ret)
{
	*ret = requests[kind];
}

/* Node 0 can run everything, so that all queues drain in the end. */
void plan_node(const struct plan *p, unsigned i, struct pcore_sched_node *ret)
{
	static const char *const names[SIM_NODES] = { "n0", "n1", "n2", "n3", "n4", "n5" };
	static const struct pcore_sched_resource all[] = { { "gpu", 4, true }, { "licence", 3, false } };
	static const struct pcore_sched_resource gpus[] = { { "gpu", 2, true } };
	static const struct pcore_sched_label slow[] = { { "disk", "slow", false } };

	*ret = (struct pcore_sched_node){ .name = names[i], .memory = 4 << 20, .ahead_max = 64, .rtt_ns = 2 * NS_PER_MS };
	if (i == 0) {
		ret->cpus = 4;
		ret->resources = all;
		ret->n_resources = ARRAY_SIZE(all);
		ret->labels = fast;
		ret->n_labels = 1;
		return;
	}
	ret->cpus = 1 + (unsigned)(p->seed >> i) % 4;
	if (i % 2) {
		ret->resources = gpus;
		ret->n_resources = 1;
	} else {
		ret->labels = slow;
		ret->n_labels = 1;
	}
}

/* what, from the lowest bit: 3 kind of request, 2 duration, 2 priority, 1 at most once, 2 restarts and times it may be lost, 2
 * reschedules, 1 backoff, 2 no restarts, 2 no reschedules; the highest: after another one */
unsigned plan_kind(const struct step *step)
{
	return step->what % 8 % SIM_KINDS;
}

void plan_jobs(const struct step *step, uint64_t cookie, struct pcore_sched_jobs *ret)
{
	unsigned what = step->what;

	*ret = (struct pcore_sched_jobs){
		.n = step->count,
		.cookie = cookie,
		.priority = (int32_t)(what >> 5 & 3) - 1,
		.at_most_once = what >> 7 & 1,
		.retry_lost = what >> 8 & 3,
		.restarts = what >> 8 & 3 & what >> 13,
		.reschedules = what >> 10 & 3 & what >> 14,
		.backoff_ns = what >> 12 & 1 ? 50 * NS_PER_MS : 0,
		.backoff_max_ns = NS_PER_S,
	};
	if (ret->at_most_once)
		ret->restarts = ret->reschedules = 0; /* these would begin it again, as they are asked to */
	plan_request(plan_kind(step), &ret->request);
}

int64_t plan_duration(const struct step *step, uint64_t *random)
{
	static const unsigned us[] = { 300, 3000, 100000, 4000000 };
	unsigned mean = us[step->what >> 3 & 3];

	return (mean / 2 + sim_draw(random, mean)) * NS_PER_US;
}

/* ---- making a plan ---- */

static void add(struct plan *p, struct step step)
{
	assert(p->n_steps < SIM_STEPS);
	p->steps[p->n_steps++] = step;
}

static void add_submits(struct plan *p, uint64_t *random, unsigned span_ms)
{
	unsigned n = 1 + sim_draw(random, SUBMITS_MAX);

	for (unsigned i = 0; i < n; i++) {
		static const unsigned counts[] = { 1, 1, 3, 10, 40 };
		unsigned count = counts[sim_draw(random, ARRAY_SIZE(counts))];
		struct step step = {
			.at_ns = (int64_t)sim_draw(random, span_ms) * NS_PER_MS,
			.kind = STEP_SUBMIT,
			.who = sim_draw(random, p->n_clients),
			.what = sim_draw(random, 1 << 17),
			.count = 1 + sim_draw(random, count),
		};

		if (p->fair_only) {
			step.what = 2 << 3;
			step.at_ns %= 2 * NS_PER_S;
			step.count = 20 + sim_draw(random, 20);
		}
		add(p, step);
	}
}

static void add_faults(struct plan *p, uint64_t *random, unsigned span_ms)
{
	unsigned n = sim_draw(random, FAULTS_MAX);

	for (unsigned i = 0; i < n; i++) {
		struct step step = {
			.at_ns = (int64_t)sim_draw(random, span_ms) * 2 * NS_PER_MS,
			.kind = STEP_CANCEL + sim_draw(random, STEP_RESTART - STEP_CANCEL + 1 + (p->persist ? 2 : 0)),
			.what = sim_draw(random, 1 << 16),
			.for_ns = (int64_t)sim_draw(random, 100) * sim_draw(random, 1u << sim_draw(random, 8)) * NS_PER_MS,
		};

		if (step.kind > STEP_RESTART)
			step.kind = STEP_RESTART;
		if (step.kind == STEP_CLIENT_GONE || step.kind == STEP_CLIENT_BACK)
			step.who = sim_draw(random, p->n_clients);
		else
			step.who = sim_draw(random, p->n_nodes);
		if (step.kind == STEP_RESTART && !p->persist)
			step.kind = STEP_CUT;
		add(p, step);
	}
}

static int by_time(const void *a, const void *b)
{
	const struct step *x = a, *y = b;

	return x->at_ns != y->at_ns ? (x->at_ns > y->at_ns) - (x->at_ns < y->at_ns) : (int)x->kind - (int)y->kind;
}

void plan_make(struct plan *p, uint64_t seed)
{
	uint64_t random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	unsigned span_ms;

	sim_draw(&random, 2);
	*p = (struct plan){ .seed = seed };
	p->n_nodes = 1 + sim_draw(&random, SIM_NODES);
	p->n_clients = 1 + sim_draw(&random, SIM_CLIENTS);
	p->persist = sim_draw(&random, 2);
	p->policy = (enum pcore_sched_policy)sim_draw(&random, 3);
	p->fair_only = sim_draw(&random, 8) == 0;
	if (p->fair_only)
		p->policy = PCORE_SCHED_FAIR;
	p->memory_fails = sim_draw(&random, 4) == 0;
	p->exclusive = p->fair_only || seed % 4 > 0 ? 0 : (unsigned)(seed / 4) % (1 << SIM_CLIENTS);
	p->commit_ns = NS_PER_MS << sim_draw(&random, 11);
	span_ms = 200u << sim_draw(&random, 8);
	add_submits(p, &random, span_ms);
	if (!p->fair_only)
		add_faults(p, &random, span_ms);
	qsort(p->steps, p->n_steps, sizeof(*p->steps), by_time);
}

void plan_print(const struct plan *p, FILE *out)
{
	static const char *const policies[] = { "priority", "fair", "fifo" };

	fprintf(out, "# seed %ju: %u nodes, %u clients (exclusive: %#x), %s%s%s\n", (uintmax_t)p->seed, p->n_nodes, p->n_clients,
		p->exclusive, policies[p->policy], p->persist ? ", with a journal" : "", p->memory_fails ? ", short of memory" : "");
	for (size_t i = 0; i < p->n_steps; i++) {
		const struct step *s = &p->steps[i];

		fprintf(out, "#   %7.3f s  %s %u", (double)s->at_ns / 1e9, step_names[s->kind], s->who);
		if (s->kind == STEP_SUBMIT)
			fprintf(out, ": %u of kind %u (%#x)", s->count, plan_kind(s), s->what);
		else if (s->for_ns)
			fprintf(out, " for %.3f s (%u)", (double)s->for_ns / 1e9, s->what);
		fputc('\n', out);
	}
}

/* ---- shrinking ---- */

static bool fails_as(const struct plan *p, const char *failure)
{
	char other[SIM_FAILURE];
	size_t word = strcspn(failure, "0123456789");

	return !sim_run(p, NULL, other) && strncmp(other, failure, word) == 0;
}

/* Try without each fault, or without each submit. */
static bool drop(struct plan *p, const char *failure, bool faults)
{
	bool dropped = false;

	for (size_t i = p->n_steps; i-- > 0;) {
		struct plan shorter = *p;

		if ((p->steps[i].kind != STEP_SUBMIT) != faults)
			continue;
		shorter.n_steps--;
		memmove(&shorter.steps[i], &shorter.steps[i + 1], (shorter.n_steps - i) * sizeof(*shorter.steps));
		if (!fails_as(&shorter, failure))
			continue;
		*p = shorter;
		dropped = true;
	}
	return dropped;
}

/* Fewer jobs of each submit. */
static bool lessen(struct plan *p, const char *failure)
{
	bool lessened = false;

	for (size_t i = 0; i < p->n_steps; i++) {
		while (p->steps[i].kind == STEP_SUBMIT && p->steps[i].count > 1) {
			struct plan shorter = *p;

			shorter.steps[i].count /= 2;
			if (!fails_as(&shorter, failure))
				break;
			*p = shorter;
			lessened = true;
		}
	}
	return lessened;
}

void plan_shrink(struct plan *p, const char *failure)
{
	while (drop(p, failure, true) || drop(p, failure, false) || lessen(p, failure))
		;
}
