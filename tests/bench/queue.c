/* SPDX-License-Identifier: MIT */
/*
 * queue - how fast items of 64 bytes pass between processes through a memory queue, and the floors below it.
 * Usage: queue ring|batch|single|many|pingpong|futex [-a] [-n TOTAL]
 *
 *   ring      floor: one producer, one consumer, a ring without a lock; items a second
 *   batch     one producer, one consumer, 64 items at a time; items a second
 *   single    the same, one item at a time
 *   many      four producers, four consumers, 64 items at a time
 *   pingpong  two processes, a queue each way, one item at a time; microseconds for a round trip
 *   futex     floor: the same with a futex word each way
 *
 * -a puts both on one CPU. Every item is checked.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "libcore/queue/queue.h"
#include "tests/bench/bench.h"

enum { ITEM = 64, BATCH = 64, SLOTS = 1024, SPIN = 1000 };

struct slot {
	char bytes[ITEM];
};

struct shared {
	_Alignas(128) _Atomic uint64_t head;
	_Alignas(128) _Atomic uint64_t tail;
	_Alignas(128) _Atomic uint32_t asleep, word[2];
	_Atomic uint64_t sum, count;
	_Alignas(128) struct slot slots[SLOTS];
};

static struct shared *sh;
static char dir[] = "/dev/shm/pcore-bench.XXXXXX";
static int dfd;
static uint64_t total = 4000000;
static bool one_cpu;

static void pin(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(one_cpu ? 0 : cpu, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

static long futex(_Atomic uint32_t *word, int op, uint32_t value)
{
	return syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

static void must(int r, const char *what)
{
	if (r >= 0)
		return;
	errno = -r;
	die(what);
}

static struct pcore_queue *open_queue(const char *name)
{
	struct pcore_queue *q = NULL;

	must(pcore_queue_open_at(&q, dfd, name, &(struct pcore_queue_config){ .max_items = SLOTS }), "open");
	return q;
}

/* ---- the ring without a lock ---- */

static void ring_wait(_Atomic uint64_t *at, uint64_t not_below)
{
	while (atomic_load_explicit(at, memory_order_acquire) < not_below) {
		for (int i = 0; i < SPIN && atomic_load_explicit(at, memory_order_acquire) < not_below; i++)
			__asm__ volatile("" ::: "memory");
		if (atomic_load_explicit(at, memory_order_acquire) < not_below)
			sched_yield();
	}
}

static void ring_produce(uint64_t n)
{
	char item[ITEM] = { 0 };
	uint64_t seen = 0;

	for (uint64_t i = 0; i < n; i++) {
		if (i - seen >= SLOTS) {
			ring_wait(&sh->tail, i - SLOTS + 1);
			seen = atomic_load_explicit(&sh->tail, memory_order_acquire);
		}
		memcpy(item, &i, sizeof(i));
		memcpy(sh->slots[i % SLOTS].bytes, item, ITEM);
		atomic_store_explicit(&sh->head, i + 1, memory_order_release);
	}
}

static void ring_consume(uint64_t n)
{
	uint64_t seen = 0, sum = 0, v;
	char item[ITEM];

	for (uint64_t i = 0; i < n; i++) {
		if (i == seen) {
			ring_wait(&sh->head, i + 1);
			seen = atomic_load_explicit(&sh->head, memory_order_acquire);
		}
		memcpy(item, sh->slots[i % SLOTS].bytes, ITEM);
		atomic_store_explicit(&sh->tail, i + 1, memory_order_release);
		memcpy(&v, item, sizeof(v));
		sum += v;
	}
	atomic_fetch_add(&sh->sum, sum);
}

/* ---- the queue ---- */

/* Values first, first + step, ... below total. */
static void produce(uint64_t first, uint64_t step, size_t batch)
{
	struct pcore_queue *q = open_queue("q");
	static char bytes[BATCH][ITEM];
	struct pcore_item items[BATCH] = { { .len = 0 } };

	for (uint64_t v = first; v < total;) {
		size_t n = 0, done;

		for (; n < batch && v < total; n++, v += step) {
			memcpy(bytes[n], &v, sizeof(v));
			items[n].data = bytes[n];
			items[n].len = ITEM;
		}
		must(pcore_queue_put_all(q, items, n, false, INT64_MAX, &done), "put");
	}
}

static void consume(size_t batch)
{
	struct pcore_queue *q = open_queue("q");
	struct pcore_take how = { .lease = false };
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	struct pcore_item items[BATCH];
	uint64_t sum = 0, v;
	int n;

	while ((n = pcore_queue_get_until(q, items, batch, &how, &buf, INT64_MAX)) > 0) {
		for (int i = 0; i < n; i++) {
			memcpy(&v, items[i].data, sizeof(v));
			sum += v;
		}
		pcore_buf_clear(&buf);
		if (atomic_fetch_add(&sh->count, (uint64_t)n) + (uint64_t)n == total)
			must(pcore_queue_close(q, false), "close");
	}
	if (n != -ESHUTDOWN)
		must(n, "get");
	atomic_fetch_add(&sh->sum, sum);
}

static void spawn(int cpu, void (*fn)(void *), void *arg)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid > 0)
		return;
	if (cpu >= 0)
		pin((unsigned)cpu);
	fn(arg);
	_exit(0);
}

static void reap_all(void)
{
	int status;

	while (wait(&status) > 0)
		if (status != 0)
			exit(1);
}

struct part {
	uint64_t first, step;
	size_t batch;
	bool ring;
};

static void run_producer(void *arg)
{
	const struct part *p = arg;

	if (p->ring)
		ring_produce(total);
	else
		produce(p->first, p->step, p->batch);
}

static void run_consumer(void *arg)
{
	const struct part *p = arg;

	if (p->ring)
		ring_consume(total);
	else
		consume(p->batch);
}

static double pass(unsigned each, size_t batch, bool ring)
{
	struct part parts[4];
	int64_t from = now_ns();

	for (unsigned i = 0; i < each; i++) {
		parts[i] = (struct part){ i, each, batch, ring };
		spawn(each == 1 ? 0 : -1, run_producer, &parts[i]);
		spawn(each == 1 ? 1 : -1, run_consumer, &parts[i]);
	}
	reap_all();
	if (atomic_load(&sh->sum) != total * (total - 1) / 2) {
		fprintf(stderr, "queue: items were lost or came twice\n");
		exit(1);
	}
	return (double)total * 1e9 / (double)(now_ns() - from);
}

/* ---- ping-pong ---- */

static void queue_send(struct pcore_queue *q)
{
	struct pcore_item item = { .data = "x", .len = 1 };

	must(pcore_queue_put_until(q, &item, 1, false, INT64_MAX), "put");
}

static void queue_wait(struct pcore_queue *q, struct pcore_buf *buf)
{
	struct pcore_take how = { .lease = false };
	struct pcore_item item;

	must(pcore_queue_get_until(q, &item, 1, &how, buf, INT64_MAX), "get");
	pcore_buf_clear(buf);
}

static void play(bool use_queue, int side)
{
	struct pcore_queue *to = use_queue ? open_queue(side ? "a" : "b") : NULL;
	struct pcore_queue *from = use_queue ? open_queue(side ? "b" : "a") : NULL;
	struct pcore_buf buf = PCORE_BUF_INIT(0);

	for (uint64_t i = 0; i < total; i++)
		for (int turn = 0; turn < 2; turn++) {
			if (turn == side && use_queue) {
				queue_send(to);
			} else if (turn == side) {
				atomic_store(&sh->word[!side], 1);
				(void)futex(&sh->word[!side], FUTEX_WAKE, 1);
			} else if (use_queue) {
				queue_wait(from, &buf);
			} else {
				while (atomic_exchange(&sh->word[side], 0) == 0)
					(void)futex(&sh->word[side], FUTEX_WAIT, 0);
			}
		}
	pcore_buf_done(&buf);
}

static void play_other(void *arg)
{
	play(*(bool *)arg, 1);
}

static double ping_pong(bool use_queue)
{
	int64_t from = now_ns();

	spawn(1, play_other, &use_queue);
	pin(0);
	play(use_queue, 0);
	reap_all();
	return (double)(now_ns() - from) / 1e3 / (double)total;
}

static double measure(const char *what)
{
	if (strcmp(what, "ring") == 0)
		return pass(1, 1, true);
	if (strcmp(what, "batch") == 0)
		return pass(1, BATCH, false);
	if (strcmp(what, "single") == 0)
		return pass(1, 1, false);
	if (strcmp(what, "many") == 0)
		return pass(4, BATCH, false);
	return ping_pong(strcmp(what, "pingpong") == 0);
}

int main(int argc, char **argv)
{
	const char *names[] = { "q", "a", "b" };
	int opt;

	while ((opt = getopt(argc, argv, "an:")) != -1) {
		if (opt == 'n')
			total = number(optarg, 1000000000);
		else if (opt == 'a')
			one_cpu = true;
		else
			return 125;
	}
	if (!argv[optind])
		return 125;
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (sh == MAP_FAILED || !mkdtemp(dir))
		die("mmap");
	dfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	printf("%.2f\n", measure(argv[optind]));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		(void)unlinkat(dfd, names[i], 0);
	return rmdir(dir) < 0 ? 125 : 0;
}
