/* SPDX-License-Identifier: MIT */
/*
 * scheduler.c - the scheduler alone, without a clock or a connection. Times are of the CPU: it waits for nothing.
 *
 *   scheduler rate     decisions a second: a result comes in, the next job goes out; 10^6 jobs are queued, 1,000 nodes busy
 *   scheduler singles  the same, each job an array of its own
 *   scheduler array    bytes of a queued array of 10^6 jobs, as one of 160 in 16 classes
 *   scheduler job      bytes of a job that was split from an array
 *   scheduler single   bytes of a queued single job
 *   scheduler lost     milliseconds for the loss of a node that has 1,000 jobs, the next decisions included
 *   scheduler submit   submits a second, of single jobs
 */
#include "tests/bench/bench.h"

#include <malloc.h>

#include "libcore/cluster/scheduler.h"

enum { NODES = 1000, CPUS = 16, JOBS = 1000000, CLIENTS = 8, KINDS = 16 };

static struct pcore_sched *s;
static uint64_t client[CLIENTS], node[NODES];

/* What runs, in the order it began. */
static struct running {
	uint64_t job, node;
	uint32_t attempt;
} running[JOBS + NODES * CPUS];
static size_t n_running, n_ended;

static int64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void must(int r)
{
	if (r >= 0)
		return;
	errno = -r;
	die("scheduler");
}

static size_t memory(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static void take_out(void)
{
	struct pcore_sched_batch b;
	struct pcore_sched_news news;

	while (pcore_sched_next_batch(s, &b))
		for (size_t i = 0; i < b.n; i++)
			if (b.actions[i].verb == PCORE_SCHED_START)
				running[n_running++] = (struct running){ b.actions[i].job, b.node, b.actions[i].attempt };
	while (pcore_sched_next_news(s, &news))
		;
}

static void begin(uint32_t cpus)
{
	struct pcore_sched_spec spec = { .entries_max = 2 * JOBS };

	must(pcore_sched_new(&s, &spec));
	for (unsigned i = 0; i < CLIENTS; i++)
		must(pcore_sched_client_join(s, 1, 0, 1, &client[i]));
	for (unsigned i = 0; i < NODES; i++) {
		char name[16];
		struct pcore_sched_node n = { .name = name, .instance = 1, .cpus = cpus, .memory = 1 << 30 };

		snprintf(name, sizeof(name), "n%u", i);
		must(pcore_sched_node_join(s, 1, &n, NULL, 0, &node[i]));
	}
}

/* n jobs in arrays of size, of several clients, priorities and kinds. */
static void submit(unsigned n, unsigned size)
{
	for (unsigned i = 0; i < n / size; i++) {
		struct pcore_sched_jobs jobs = {
			.n = size, .priority = (int32_t)(i % 4), .request = { .cpus = 1, .memory = 1 + i % KINDS }, .retry_lost = 3
		};
		uint64_t first;

		must(pcore_sched_submit(s, 1, client[i % CLIENTS], &jobs, &first));
		if (i % 64 == 0)
			take_out();
	}
	take_out();
}

static double rate(unsigned size)
{
	struct pcore_sched_result ok = { .success = true, .wall_ns = 1000000 };
	size_t n = JOBS / 2;
	int64_t t;

	begin(CPUS);
	submit(JOBS, size);
	t = cpu_ns();
	for (size_t i = 0; i < n; i++) {
		const struct running *r = &running[n_ended++];

		if (pcore_sched_done(s, 1, r->node, r->job, r->attempt, &ok) != 1)
			abort();
		if (i % 64 == 63)
			take_out();
	}
	t = cpu_ns() - t;
	if (n_running < n + NODES * CPUS - 64)
		abort();
	return (double)n / (double)t * 1e9;
}

static double lost(void)
{
	int64_t t;

	begin(CPUS);
	must(pcore_sched_node_cpus(s, 1, node[7], 1000));
	submit(JOBS, 10000);
	t = cpu_ns();
	must(pcore_sched_node_dead(s, 1, node[7]));
	take_out();
	return (double)(cpu_ns() - t) / 1e6;
}

static double array_bytes(void)
{
	enum { ARRAYS = 160 };
	size_t before;

	begin(0);
	before = memory();
	submit(ARRAYS * JOBS, JOBS);
	return (double)(memory() - before) / ARRAYS;
}

static double single_bytes(void)
{
	size_t before;

	begin(0);
	before = memory();
	submit(JOBS, 1);
	return (double)(memory() - before) / JOBS;
}

/* CPU by CPU, so that the nodes' buffers of actions stay small and little but jobs is counted. */
static double job_bytes(void)
{
	enum { EACH = 500 };
	size_t before;

	begin(0);
	submit(JOBS, JOBS);
	before = memory();
	for (uint32_t cpus = 1; cpus <= EACH; cpus++) {
		for (unsigned i = 0; i < NODES; i++) {
			must(pcore_sched_node_cpus(s, 1, node[i], cpus));
			take_out();
		}
	}
	if (n_running != EACH * NODES)
		abort();
	return (double)(memory() - before) / (double)n_running;
}

static double submits(void)
{
	int64_t t;

	begin(CPUS);
	t = cpu_ns();
	submit(JOBS, 1);
	return JOBS / (double)(cpu_ns() - t) * 1e9;
}

int main(int argc, char **argv)
{
	const char *what = argc == 2 ? argv[1] : "";
	double figure;

	if (strcmp(what, "rate") == 0)
		figure = rate(10000);
	else if (strcmp(what, "singles") == 0)
		figure = rate(1);
	else if (strcmp(what, "array") == 0)
		figure = array_bytes();
	else if (strcmp(what, "single") == 0)
		figure = single_bytes();
	else if (strcmp(what, "job") == 0)
		figure = job_bytes();
	else if (strcmp(what, "lost") == 0)
		figure = lost();
	else if (strcmp(what, "submit") == 0)
		figure = submits();
	else {
		fprintf(stderr, "usage: scheduler rate|singles|array|single|job|lost|submit\n");
		return 125;
	}
	printf("%.3f\n", figure);
	pcore_sched_free(s);
	return 0;
}
