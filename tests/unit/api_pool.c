/* SPDX-License-Identifier: MIT */
/*
 * api_pool.c - tests of <pcore/pool.h>: functions in processes that stay.
 */
#include "tests/unit/support.h"

#include <errno.h>
#include <pcore/pool.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libcore/base/base.h"

#define FOREVER PCORE_FOREVER

static struct pcore_workers *opened(unsigned n, uint64_t tasks_max)
{
	struct pcore_workers_spec spec = { .size = sizeof(spec), .workers = n, .tasks_max = tasks_max };
	struct pcore_workers *w = NULL;

	assert_int_equal(pcore_pool_open(&w, &spec), 0);
	return w;
}

static int square(const void *item, size_t size, struct pcore_out *out)
{
	int x = *(const int *)item;

	x *= x;
	return size == sizeof(x) ? pcore_out_write(out, &x, sizeof(x)) : -EINVAL;
}

static int echo(const void *item, size_t size, struct pcore_out *out)
{
	return pcore_out_write(out, item, size);
}

static int pid_of_worker(const void *item, size_t size, struct pcore_out *out)
{
	pid_t pid = getpid();

	(void)item, (void)size;
	return pcore_out_write(out, &pid, sizeof(pid));
}

/* Negative: by a signal; 100 and more: an exit; else a status. */
static int behave(const void *item, size_t size, struct pcore_out *out)
{
	int x = *(const int *)item;
	struct rlimit no_core = { 0, 0 };

	(void)size, (void)out;
	setrlimit(RLIMIT_CORE, &no_core);
	if (x < 0)
		(void)raise(-x);
	if (x >= 100)
		_exit(x);
	return x;
}

static int sum(const struct pcore_arg *args, size_t n, struct pcore_out *out)
{
	int total = 0;

	for (size_t i = 0; i < n; i++)
		total += *(const int *)args[i].data;
	return pcore_out_write(out, &total, sizeof(total));
}

/* ---- many ---- */

static void a_map_keeps_the_order(void **state)
{
	enum { N = 20000 };
	static int items[N], results[N], statuses[N];
	struct pcore_workers *w = opened(3, 0);

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < N; i++) {
			items[i] = i - round;
			results[i] = -1;
			statuses[i] = -1;
		}
		assert_int_equal(pcore_pool_map(w, square, items, N, sizeof(int), results, sizeof(int), statuses), 0);
		for (int i = 0; i < N; i++) {
			assert_int_equal(results[i], (i - round) * (i - round));
			assert_int_equal(statuses[i], 0);
		}
	}
	assert_int_equal(pcore_pool_map(w, square, NULL, 0, sizeof(int), NULL, 0, NULL), 0);
	assert_int_equal(pcore_pool_map(w, square, items, N, sizeof(int), NULL, 0, NULL), 0);
	assert_int_equal(pcore_pool_map(w, square, items, 2, sizeof(int), results, 2, statuses), -EREMOTEIO);
	assert_int_equal(statuses[1], -EMSGSIZE);
	pcore_pool_close(w);
}

static void a_starmap_passes_arguments(void **state)
{
	int n[] = { 1, 2, 7, -4, 9, 3 }, results[3];
	struct pcore_arg args[6];
	struct pcore_workers *w = opened(2, 0);

	(void)state;
	for (int i = 0; i < 6; i++)
		args[i] = (struct pcore_arg){ &n[i], sizeof(n[i]) };
	assert_int_equal(pcore_pool_starmap(w, sum, args, 3, 2, results, sizeof(int), NULL), 0);
	assert_int_equal(results[0], 3);
	assert_int_equal(results[1], 3);
	assert_int_equal(results[2], 12);
	assert_int_equal(pcore_pool_starmap(w, sum, args, 1, 0, results, sizeof(int), NULL), 0);
	assert_int_equal(results[0], 0);
	assert_int_equal(pcore_pool_starmap(w, sum, args, 1, 65, results, sizeof(int), NULL), -EINVAL);
	pcore_pool_close(w);
}

static void what_an_item_does_is_its_own_affair(void **state)
{
	enum { N = 2000 };
	static int items[N], statuses[N];
	struct pcore_workers *w = opened(2, 0);

	(void)state;
	for (int i = 0; i < N; i++)
		items[i] = i % 100 == 7 ? -SIGKILL : i % 100 == 8 ? 101 : i % 100 == 50 ? 5 : 0;
	assert_int_equal(pcore_pool_map(w, behave, items, N, sizeof(int), NULL, 0, statuses), -EREMOTEIO);
	for (int i = 0; i < N; i++)
		assert_int_equal(statuses[i], items[i] == 0 ? 0 : items[i] == 5 ? 5 : -EOWNERDEAD);
	pcore_pool_close(w);
}

/* What a process has done before it died counts and is not done again. */
static int *counted;

static int count_or_die(const void *item, size_t size, struct pcore_out *out)
{
	int x = *(const int *)item;

	(void)size;
	__atomic_add_fetch(&counted[x], 1, __ATOMIC_SEQ_CST);
	if (x % 1000 == 999)
		(void)raise(SIGKILL);
	return pcore_out_write(out, &x, sizeof(x));
}

static void every_item_is_done_once_whoever_dies(void **state)
{
	enum { N = 20000 };
	static int items[N], results[N];
	struct pcore_workers *w;

	(void)state;
	counted = mmap(NULL, N * sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(counted, MAP_FAILED);
	for (int i = 0; i < N; i++)
		items[i] = i;
	w = opened(2, 0);
	assert_int_equal(pcore_pool_map(w, count_or_die, items, N, sizeof(int), results, sizeof(int), NULL), -EREMOTEIO);
	for (int i = 0; i < N; i++) {
		assert_int_equal(counted[i], 1);
		assert_int_equal(results[i], i % 1000 == 999 ? 0 : i);
	}
	pcore_pool_close(w);
	munmap(counted, N * sizeof(int));
}

static void processes_are_replaced_after_so_many_calls(void **state)
{
	static int items[100], pids[100];
	struct pcore_workers *w = opened(3, 10);
	int distinct = 0;

	(void)state;
	assert_int_equal(pcore_pool_map(w, pid_of_worker, items, 100, sizeof(int), pids, sizeof(int), NULL), 0);
	for (int i = 0; i < 100; i++) {
		int served = 0, first = 1;

		for (int j = 0; j < 100; j++) {
			served += pids[j] == pids[i];
			first &= j >= i || pids[j] != pids[i];
		}
		assert_true(served <= 10);
		distinct += first;
	}
	assert_true(distinct >= 10);
	pcore_pool_close(w);
}

/* ---- one ---- */

static void a_call_is_applied(void **state)
{
	struct pcore_workers *w = opened(1, 0);
	int x = 12, y = 0;
	size_t size = 0;

	(void)state;
	assert_int_equal(pcore_pool_apply(w, square, &x, sizeof(x), &y, sizeof(y), &size), 0);
	assert_int_equal(y, 144);
	assert_int_equal(size, sizeof(y));
	assert_int_equal(pcore_pool_apply(w, square, &x, sizeof(x), &y, 2, NULL), -EMSGSIZE);
	x = 3;
	assert_int_equal(pcore_pool_apply(w, behave, &x, sizeof(x), NULL, 0, NULL), 3);
	pcore_pool_close(w);
}

static void large_items_and_results_pass(void **state)
{
	enum { SIZE = 5 << 20 };
	char *item = malloc(SIZE);
	struct pcore_workers *w = opened(1, 0);
	struct pcore_task *t[3];

	(void)state;
	for (int i = 0; i < SIZE; i++)
		item[i] = (char)(i * 7);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pcore_pool_async(w, echo, item, (size_t)(SIZE - i), NULL, &t[i]), 0);
	for (int i = 2; i >= 0; i--) {
		size_t size = 0;
		const void *data;

		assert_int_equal(pcore_task_wait(t[i], FOREVER), 0);
		data = pcore_task_result(t[i], &size);
		assert_int_equal(size, SIZE - i);
		assert_memory_equal(data, item, size);
		pcore_task_free(t[i]);
	}
	pcore_pool_close(w);
	free(item);
}

/* Wait for a byte of a pipe that its process has a copy of. */
static int gate[2];

static int wait_at_gate(const void *item, size_t size, struct pcore_out *out)
{
	char c;

	return read(gate[0], &c, 1) == 1 ? pcore_out_write(out, item, size) : -EIO;
}

static void asynchronous_calls_end_as_they_like(void **state)
{
	struct pcore_workers *w;
	struct pcore_task *slow, *fast, *t = NULL;
	int x = 5, tag;

	(void)state;
	assert_int_equal(pipe(gate), 0);
	w = opened(2, 0);
	assert_int_equal(pcore_pool_next(w, FOREVER, &t), -ENODATA);
	assert_int_equal(pcore_pool_async(w, wait_at_gate, &x, sizeof(x), NULL, &slow), 0);
	assert_int_equal(pcore_pool_async(w, square, &x, sizeof(x), &tag, &fast), 0);
	assert_int_equal(pcore_pool_next(w, FOREVER, &t), 0);
	assert_ptr_equal(t, fast);
	assert_ptr_equal(pcore_task_tag(t), &tag);
	assert_int_equal(*(const int *)pcore_task_result(t, NULL), 25);
	assert_int_equal(pcore_task_wait(slow, 10 * NS_PER_MS), -ETIMEDOUT);
	assert_int_equal(pcore_task_status(slow), -EAGAIN);
	assert_int_equal(pcore_pool_next(w, 0, &t), -ETIMEDOUT);
	assert_int_equal(pcore_task_wait(slow, -1), -ETIMEDOUT);
	assert_int_equal(write(gate[1], "x", 1), 1);
	assert_int_equal(pcore_task_wait(slow, FOREVER), 0);
	assert_int_equal(pcore_task_status(slow), 0);
	assert_int_equal(pcore_pool_next(w, FOREVER, &t), 0);
	assert_ptr_equal(t, slow);
	assert_int_equal(pcore_pool_next(w, FOREVER, &t), -ENODATA);
	pcore_task_free(fast);
	x = -SIGSEGV;
	assert_int_equal(pcore_pool_async(w, behave, &x, sizeof(x), NULL, &t), 0);
	assert_int_equal(pcore_task_wait(t, FOREVER), 0);
	assert_int_equal(pcore_task_status(t), -EOWNERDEAD);
	assert_int_equal(pcore_task_signal(t), SIGSEGV);
	pcore_task_free(t);
	pcore_pool_close(w);
	pcore_task_free(slow); /* after its pool */
	close(gate[0]);
	close(gate[1]);
}

static void a_pool_is_closed_or_terminated(void **state)
{
	struct pcore_workers *w;
	struct pcore_task *t[4];
	int x = 5;

	(void)state;
	assert_int_equal(pipe(gate), 0);
	w = opened(1, 0);
	assert_int_equal(pcore_pool_async(w, wait_at_gate, &x, sizeof(x), NULL, &t[0]), 0);
	for (int i = 1; i < 4; i++)
		assert_int_equal(pcore_pool_async(w, square, &x, sizeof(x), NULL, &t[i]), 0);
	pcore_task_free(t[0]); /* it runs, and nobody wants to know */
	pcore_task_free(t[1]);
	assert_int_equal(write(gate[1], "x", 1), 1);
	pcore_pool_close(w);
	assert_int_equal(pcore_task_status(t[2]), 0);
	assert_int_equal(pcore_task_status(t[3]), 0);
	pcore_task_free(t[2]);
	pcore_task_free(t[3]);

	w = opened(1, 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pcore_pool_async(w, wait_at_gate, &x, sizeof(x), NULL, &t[i]), 0);
	pcore_pool_terminate(w);
	assert_int_equal(pcore_task_status(t[0]), -ECANCELED);
	assert_int_equal(pcore_task_status(t[1]), -ECANCELED);
	pcore_task_free(t[0]);
	pcore_task_free(t[1]);
	pcore_pool_close(NULL);
	pcore_pool_terminate(NULL);
	close(gate[0]);
	close(gate[1]);
}

/* ---- what goes wrong ---- */

static int unfit(void *arg)
{
	return *(int *)arg;
}

static void processes_can_be_unfit(void **state)
{
	int status = -EDOM;
	struct pcore_workers_spec spec = { .size = sizeof(spec), .workers = 2, .init = unfit, .arg = &status };
	struct pcore_workers *w;

	(void)state;
	assert_int_equal(pcore_pool_open(&w, &spec), -EDOM);
	status = 1;
	assert_int_equal(pcore_pool_open(&w, &spec), -ECANCELED);
	status = 0;
	spec.tasks_max = 1;
	assert_int_equal(pcore_pool_open(&w, &spec), 0);
	status = -EDOM; /* of those that come later */
	assert_int_equal(pcore_pool_map(w, square, (int[]){ 1, 2, 3 }, 3, sizeof(int), NULL, 0, NULL), -ENOTRECOVERABLE);
	assert_int_equal(pcore_pool_apply(w, square, &status, sizeof(status), NULL, 0, NULL), -ENOTRECOVERABLE);
	pcore_pool_close(w);
}

/* Say so and wait. */
static int begun[2];

static int say_and_wait(const void *item, size_t size, struct pcore_out *out)
{
	return write(begun[1], "x", 1) == 1 ? wait_at_gate(item, size, out) : -EIO;
}

static void *map_thread(void *arg)
{
	int x = 1;

	return (void *)(intptr_t)pcore_pool_map(arg, say_and_wait, &x, 1, sizeof(x), &x, sizeof(x), NULL);
}

static void mistakes_are_told(void **state)
{
	struct pcore_workers_spec spec = { .size = sizeof(spec), .workers = 1000000 };
	struct pcore_workers *w;
	struct pcore_task *t;
	pthread_t thread;
	void *ret;
	int x = 1;
	char c;

	(void)state;
	assert_int_equal(pcore_pool_open(&w, &spec), -EINVAL);
	spec.size = 0;
	assert_int_equal(pcore_pool_open(&w, &spec), -EINVAL);
	assert_int_equal(pcore_pool_open(NULL, NULL), -EINVAL);
	assert_int_equal(pipe(gate), 0);
	assert_int_equal(pipe(begun), 0);
	w = opened(1, 0);
	assert_int_equal(pcore_pool_map(w, NULL, &x, 1, 4, NULL, 0, NULL), -EINVAL);
	assert_int_equal(pcore_pool_map(w, square, NULL, 1, 4, NULL, 0, NULL), -EINVAL);
	assert_int_equal(pcore_pool_map(NULL, square, &x, 1, 4, NULL, 0, NULL), -EINVAL);
	assert_int_equal(pcore_pool_starmap(w, sum, NULL, 1, 1, NULL, 0, NULL), -EINVAL);
	assert_int_equal(pcore_pool_apply(w, square, NULL, 1, NULL, 0, NULL), -EINVAL);

	assert_int_equal(pthread_create(&thread, NULL, map_thread, w), 0);
	assert_int_equal(read(begun[0], &c, 1), 1); /* it is in there now */
	assert_int_equal(pcore_pool_async(w, square, &x, sizeof(x), NULL, &t), -EBUSY);
	assert_int_equal(pcore_pool_next(w, 0, &t), -EBUSY);
	assert_int_equal(write(gate[1], "x", 1), 1);
	assert_int_equal(pthread_join(thread, &ret), 0);
	assert_int_equal((intptr_t)ret, 0);
	pcore_pool_close(w);
	close(gate[0]);
	close(gate[1]);
	close(begun[0]);
	close(begun[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_map_keeps_the_order),
		TEST(a_starmap_passes_arguments),
		TEST(what_an_item_does_is_its_own_affair),
		TEST(every_item_is_done_once_whoever_dies),
		TEST(processes_are_replaced_after_so_many_calls),
		TEST(a_call_is_applied),
		TEST(large_items_and_results_pass),
		TEST(asynchronous_calls_end_as_they_like),
		TEST(a_pool_is_closed_or_terminated),
		TEST(processes_can_be_unfit),
		TEST(mistakes_are_told),
	};

	alarm(120);
	return RUN_TESTS(tests);
}
