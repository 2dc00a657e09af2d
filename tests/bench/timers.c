/* SPDX-License-Identifier: MIT */
/*
 * timers - many timers in one process. Usage: timers heap|loop|spread|idle [-n N] [-s SECONDS]
 *
 *   heap    floor: a heap of four children on 64-bit deadlines that knows where each timer is; inserts and removals a second
 *   loop    the library's loop: timers that are due already are started and fire; starts and ends a second
 *   spread  the loop, timers due all over the seconds to come: the greatest lateness in ms, and the bytes of each timer
 *   idle    the loop, all timers due in an hour: how often the process was woken, and the CPU time in us, in those seconds
 *
 * Deadlines are at random. The order in which timers come is checked.
 */
#include <malloc.h>
#include <sys/resource.h>

#include "libcore/loop/loop.h"
#include "tests/bench/bench.h"

static unsigned n = 100000, seconds = 10;
static uint64_t seed = UINT64_C(88172645463325252);

/* xorshift, by Marsaglia */
static uint64_t draw(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void *need(size_t size)
{
	void *p = calloc(n, size);

	if (!p)
		die("calloc");
	return p;
}

static void check_order(int64_t *last, int64_t due)
{
	if (due >= *last) {
		*last = due;
		return;
	}
	fprintf(stderr, "timers: out of order\n");
	exit(125);
}

/* ---- the floor ---- */

struct timer {
	int64_t due;
	unsigned at;
};

static struct timer **heap;
static unsigned n_heap;

static void put(unsigned at, struct timer *t)
{
	heap[at] = t;
	t->at = at;
}

static void rise(unsigned at, struct timer *t)
{
	for (; at > 0 && heap[(at - 1) / 4]->due > t->due; at = (at - 1) / 4)
		put(at, heap[(at - 1) / 4]);
	put(at, t);
}

static void sink(struct timer *t)
{
	unsigned at = 0, least, first;

	while ((first = at * 4 + 1) < n_heap) {
		least = first;
		for (unsigned i = first + 1; i < first + 4 && i < n_heap; i++)
			if (heap[i]->due < heap[least]->due)
				least = i;
		if (heap[least]->due >= t->due)
			break;
		put(at, heap[least]);
		at = least;
	}
	put(at, t);
}

static void run_heap(void)
{
	struct timer *timers = need(sizeof(*timers));
	int64_t last = 0, t0;

	heap = need(sizeof(*heap));
	for (unsigned i = 0; i < n; i++)
		timers[i].due = (int64_t)(draw() % 10000000);
	t0 = now_ns();
	for (unsigned i = 0; i < n; i++)
		rise(n_heap++, &timers[i]);
	while (n_heap > 0) {
		check_order(&last, heap[0]->due);
		if (--n_heap > 0)
			sink(heap[n_heap]);
	}
	printf("%.0f\n", 2e9 * n / (double)(now_ns() - t0));
	free(heap);
	free(timers);
}

/* ---- the loop ---- */

static struct pcore_loop *loop;
static struct pcore_op *ops;
static unsigned n_fired;
static int64_t last_due, latest;

static void fired(struct pcore_op *op, int res)
{
	int64_t late = now_ns() - op->heap.key;

	if (res != -ETIME)
		return;
	check_order(&last_due, op->heap.key);
	latest = late > latest ? late : latest;
	n_fired++;
}

static void start(int64_t from, int64_t spread)
{
	for (unsigned i = 0; i < n; i++)
		if (pcore_op_timer(loop, &ops[i], PCORE_CLOCK_MONOTONIC, from + (int64_t)(draw() % (uint64_t)spread)) < 0)
			die("pcore_op_timer");
}

static void run_all(void)
{
	if (pcore_loop_run(loop) < 0 || n_fired != n)
		die("pcore_loop_run");
}

static void run_loop(void)
{
	int64_t t0 = now_ns();

	start(t0 - 10000000000, 10000000000);
	run_all();
	printf("%.0f\n", 2e9 * n / (double)(now_ns() - t0));
}

static void run_spread(size_t used_before)
{
	size_t used;

	start(now_ns() + 100000000, (int64_t)seconds * 1000000000);
	used = mallinfo2().uordblks + mallinfo2().hblkhd - used_before;
	run_all();
	printf("%.3f %.1f\n", (double)latest / 1e6, (double)used / n);
}

static int64_t cpu_us(const struct rusage *u)
{
	return (int64_t)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1000000 + u->ru_utime.tv_usec + u->ru_stime.tv_usec;
}

static void run_idle(void)
{
	struct pcore_op end = { .done = fired };
	struct rusage before, after;

	start(now_ns() + INT64_C(3600000000000), 1000000000);
	if (pcore_op_timer(loop, &end, PCORE_CLOCK_MONOTONIC, now_ns() + (int64_t)seconds * 1000000000) < 0)
		die("pcore_op_timer");
	getrusage(RUSAGE_SELF, &before);
	while (n_fired == 0)
		if (pcore_loop_turn(loop, true) < 0)
			die("pcore_loop_turn");
	getrusage(RUSAGE_SELF, &after);
	printf("%ld %lld\n", after.ru_nvcsw - before.ru_nvcsw - 1, (long long)(cpu_us(&after) - cpu_us(&before))); /* 1: the end */
	for (unsigned i = 0; i < n; i++)
		pcore_op_cancel(loop, &ops[i]);
	if (pcore_loop_run(loop) < 0)
		die("pcore_loop_run");
}

int main(int argc, char **argv)
{
	const char *what;
	size_t used_before;
	int opt;

	while ((opt = getopt(argc, argv, "n:s:")) != -1) {
		if (opt == 'n')
			n = number(optarg, 10000000);
		else if (opt == 's')
			seconds = number(optarg, 3600);
		else
			return 125;
	}
	what = optind < argc ? argv[optind] : "";
	if (strcmp(what, "heap") == 0) {
		run_heap();
		return 0;
	}
	if (pcore_loop_new(&loop, PCORE_LOOP_AUTO) < 0)
		die("pcore_loop_new");
	used_before = mallinfo2().uordblks + mallinfo2().hblkhd;
	ops = need(sizeof(*ops));
	for (unsigned i = 0; i < n; i++)
		ops[i].done = fired;
	if (strcmp(what, "loop") == 0) {
		run_loop();
	} else if (strcmp(what, "spread") == 0) {
		run_spread(used_before);
	} else if (strcmp(what, "idle") == 0) {
		run_idle();
	} else {
		fprintf(stderr, "usage: timers heap|loop|spread|idle [-n N] [-s SECONDS]\n");
		return 125;
	}
	pcore_loop_free(loop);
	free(ops);
	return 0;
}
