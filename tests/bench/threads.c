/* SPDX-License-Identifier: MIT */
/*
 * threads - what the library's threads cost.  Usage: threads KIND [N]
 * submit: submit N functions to two threads and take their results, 1024 on their way; floor: N functions through a queue of
 * 4096 under a mutex, with futexes, to two threads, and wait for the last; mutex, pthread: lock and unlock N times; there is
 * another thread (without one, nobody needs it and glibc takes no lock), which does nothing.
 * Prints how many a second.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>

#include <pcore/thread.h>

#include "tests/bench/bench.h"

enum { THREADS = 2, QUEUE = 4096, AHEAD = 1024 };

static int64_t nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void submit(unsigned n)
{
	struct pcore_threads_spec spec = { .size = sizeof(spec), .threads = THREADS };
	static struct pcore_future *f[AHEAD];
	struct pcore_threads *t = NULL;

	if ((errno = -pcore_threads_new(&t, &spec)))
		die("threads");
	for (unsigned i = 0; i < n + AHEAD; i++) {
		struct pcore_future **slot = &f[i % AHEAD];

		if (*slot && pcore_future_result(*slot, PCORE_FOREVER, NULL) < 0)
			die("result");
		pcore_future_free(*slot);
		*slot = NULL;
		if (i < n && (errno = -pcore_threads_submit(t, nothing, NULL, PCORE_FOREVER, slot)))
			die("submit");
	}
	pcore_threads_free(t);
}

/* ---- the floor ---- */

static struct {
	pthread_mutex_t lock;
	int64_t (*fn[QUEUE])(void *);
	unsigned head, tail, idle;
	bool stop, full;
	_Atomic uint32_t work, room, done;
} q = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void sleep_on(_Atomic uint32_t *w, uint32_t value)
{
	(void)pthread_mutex_unlock(&q.lock);
	syscall(SYS_futex, w, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
	(void)pthread_mutex_lock(&q.lock);
}

static void wake(_Atomic uint32_t *w, int n)
{
	atomic_fetch_add(w, 1);
	syscall(SYS_futex, w, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

static void *serve(void *arg)
{
	(void)pthread_mutex_lock(&q.lock);
	for (;;) {
		int64_t (*fn)(void *);
		bool was_full;

		while (q.head == q.tail && !q.stop) {
			q.idle++;
			sleep_on(&q.work, atomic_load(&q.work));
			q.idle--;
		}
		if (q.head == q.tail)
			break;
		fn = q.fn[q.tail++ % QUEUE];
		was_full = q.full && q.head - q.tail <= QUEUE / 2;
		q.full = q.full && !was_full;
		(void)pthread_mutex_unlock(&q.lock);
		if (was_full)
			wake(&q.room, 1);
		(void)fn(arg);
		(void)pthread_mutex_lock(&q.lock);
	}
	(void)pthread_mutex_unlock(&q.lock);
	return NULL;
}

static void floor_(unsigned n)
{
	pthread_t t[THREADS];

	for (int i = 0; i < THREADS; i++)
		if ((errno = pthread_create(&t[i], NULL, serve, NULL)))
			die("pthread_create");
	for (unsigned i = 0; i < n; i++) {
		bool idle;

		(void)pthread_mutex_lock(&q.lock);
		while (q.head - q.tail == QUEUE) {
			q.full = true;
			sleep_on(&q.room, atomic_load(&q.room));
		}
		q.fn[q.head++ % QUEUE] = nothing;
		idle = q.idle > 0;
		(void)pthread_mutex_unlock(&q.lock);
		if (idle)
			wake(&q.work, 1);
	}
	(void)pthread_mutex_lock(&q.lock);
	q.stop = true;
	(void)pthread_mutex_unlock(&q.lock);
	wake(&q.work, THREADS); /* who looks once more finds it stopped */
	for (int i = 0; i < THREADS; i++)
		(void)pthread_join(t[i], NULL);
}

static void *idle(void *arg)
{
	for (;;)
		(void)pause();
	return arg;
}

static void start_idle(void)
{
	pthread_t t;

	if ((errno = pthread_create(&t, NULL, idle, NULL)))
		die("pthread_create");
}

static void mutex(unsigned n)
{
	struct pcore_mutex *m = NULL;

	start_idle();
	if ((errno = -pcore_mutex_new(&m, 0)))
		die("mutex");
	for (unsigned i = 0; i < n; i++)
		if (pcore_mutex_lock(m, PCORE_FOREVER) != 0 || pcore_mutex_unlock(m) != 0)
			die("lock");
	pcore_mutex_free(m);
}

static void pthread(unsigned n)
{
	static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;

	start_idle();
	for (unsigned i = 0; i < n; i++)
		if (pthread_mutex_lock(&m) != 0 || pthread_mutex_unlock(&m) != 0)
			die("lock");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(unsigned n);
	} kinds[] = { { "submit", submit }, { "floor", floor_ }, { "mutex", mutex }, { "pthread", pthread } };
	unsigned n = argc > 2 ? number(argv[2], 1000000000) : 1000000;

	for (size_t i = 0; argc > 1 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		int64_t t0;

		if (strcmp(argv[1], kinds[i].name) != 0)
			continue;
		t0 = now_ns();
		kinds[i].run(n);
		printf("%.0f\n", (double)n * 1e9 / (double)(now_ns() - t0));
		return 0;
	}
	errno = EINVAL;
	die("usage: threads submit|floor|mutex|pthread [N]");
}
