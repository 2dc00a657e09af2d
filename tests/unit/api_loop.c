/* SPDX-License-Identifier: MIT */
/*
 * api_loop.c - tests of <pcore/loop.h> and of the timers on a loop, on both backends.
 */
#include "tests/unit/support.h"

#include <errno.h>
#include <pcore/timer.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libcore/base/base.h"

static struct pcore_evloop *lp;
static struct pcore_watch *watch, *other;
static struct pcore_timer *timer;
static int pair[2], other_pair[2], calls;
static uint64_t ticks;

static int before(void **state)
{
	const char *name = getenv("PCORE_LOOP");

	support_before(state);
	calls = 0;
	ticks = 0;
	assert_int_equal(pcore_evloop_new(&lp, name && strcmp(name, "uring") == 0 ? PCORE_EVLOOP_URING : PCORE_EVLOOP_EPOLL), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, other_pair), 0);
	return 0;
}

static int after(void **state)
{
	pcore_evloop_free(lp);
	for (int i = 0; i < 2; i++) {
		close(pair[i]);
		close(other_pair[i]);
	}
	return support_after(state);
}

#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, before, after)

static void read_one(struct pcore_watch *w, int fd, unsigned events, void *arg)
{
	char c;

	assert_ptr_equal(arg, &calls);
	assert_true(events & POLLIN);
	calls++;
	assert_true(read(fd, &c, 1) >= 0);
	if (c == 'q')
		pcore_watch_stop(w);
}

static void a_watch_lasts_until_it_is_stopped(void **state)
{
	(void)state;
	assert_int_equal(pcore_watch_start(&watch, lp, pair[0], POLLIN, read_one, &calls), 0);
	assert_int_equal(pcore_evloop_run_once(lp, 0), 0);
	assert_int_equal(pcore_evloop_run_once(lp, NS_PER_MS), 0);
	assert_int_equal(write(pair[1], "abcq", 4), 4);
	assert_int_equal(pcore_evloop_run(lp), 0); /* nothing is left */
	assert_int_equal(calls, 4);
	assert_int_equal(pcore_evloop_run_once(lp, PCORE_FOREVER), 0);
	assert_int_equal(pcore_watch_start(&watch, lp, pair[0], POLLIN, read_one, &calls), 0);
	pcore_watch_stop(watch); /* from outside */
	pcore_watch_stop(NULL);
	assert_int_equal(pcore_evloop_run(lp), 0);
	assert_int_equal(pcore_watch_start(&watch, lp, pair[0], POLLIN, read_one, &calls), 0); /* the loop frees it */
}

static void stop_both(struct pcore_watch *w, int fd, unsigned events, void *arg)
{
	(void)w, (void)fd, (void)events, (void)arg;
	calls++;
	pcore_watch_stop(watch);
	pcore_watch_stop(other);
	assert_int_equal(pcore_evloop_run(lp), -EBUSY);
	assert_int_equal(pcore_evloop_run_once(lp, 0), -EBUSY);
}

static void one_stopped_by_another_is_not_called(void **state)
{
	(void)state;
	assert_int_equal(pcore_watch_start(&watch, lp, pair[0], POLLOUT, stop_both, NULL), 0);
	assert_int_equal(pcore_watch_start(&other, lp, other_pair[0], POLLOUT, stop_both, NULL), 0);
	assert_int_equal(pcore_evloop_run(lp), 0);
	assert_int_equal(calls, 1);
}

static void hung_up(struct pcore_watch *w, int fd, unsigned events, void *arg)
{
	(void)fd, (void)arg;
	assert_true(events & POLLHUP);
	pcore_watch_stop(w);
}

static void a_hang_up_is_told(void **state)
{
	(void)state;
	assert_int_equal(shutdown(pair[1], SHUT_RDWR), 0);
	assert_int_equal(pcore_watch_start(&watch, lp, pair[0], POLLIN, hung_up, NULL), 0);
	assert_int_equal(pcore_evloop_run(lp), 0);
}

static void *stop_it(void *arg)
{
	struct pcore_watch *w;

	(void)arg;
	assert_int_equal(pcore_evloop_run(lp), -EPERM);
	assert_int_equal(pcore_watch_start(&w, lp, 0, POLLIN, read_one, NULL), -EPERM);
	pcore_evloop_stop(lp);
	return NULL;
}

static void a_run_is_stopped_by_another_thread(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(pcore_watch_start(&watch, lp, pair[0], POLLIN, read_one, &calls), 0);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(pthread_create(&thread, NULL, stop_it, NULL), 0);
		assert_int_equal(pcore_evloop_run(lp), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
}

static void tick(struct pcore_timer *t, uint64_t n, void *arg)
{
	ticks += n;
	calls++;
	if (arg && calls == *(int *)arg)
		pcore_timer_stop(t);
}

static void timers_fire_once_or_periodically(void **state)
{
	int64_t start = pcore_now_ns();
	int four = 4;

	(void)state;
	assert_int_equal(pcore_timer_start(&timer, lp, 10 * NS_PER_MS, 0, tick, NULL), 0);
	assert_int_equal(pcore_evloop_run(lp), 0);
	assert_int_equal(calls, 1);
	assert_true(pcore_now_ns() - start >= 10 * NS_PER_MS);
	assert_true(pcore_evloop_now(lp) >= start);
	pcore_timer_stop(timer);
	calls = 0;
	ticks = 0;
	start = pcore_now_ns();
	assert_int_equal(pcore_timer_start(&timer, lp, 2 * NS_PER_MS, 3 * NS_PER_MS, tick, &four), 0);
	assert_int_equal(pcore_evloop_run(lp), 0);
	assert_int_equal(calls, 4);
	assert_true(ticks >= 4);
	assert_true(pcore_now_ns() - start >= 2 * NS_PER_MS + (int64_t)(ticks - 1) * 3 * NS_PER_MS); /* each in its time */

	assert_int_equal(pcore_timer_start(&timer, lp, 3600 * NS_PER_S, 0, tick, NULL), 0);
	pcore_timer_stop(timer);
	pcore_timer_stop(NULL);
	assert_int_equal(pcore_evloop_run(lp), 0);
	assert_int_equal(pcore_timer_start(&timer, lp, 0, INT64_MAX, tick, NULL), 0); /* the loop frees it */
	assert_int_equal(pcore_evloop_run_once(lp, PCORE_FOREVER), 1);
}

static void what_was_missed_is_counted(void **state)
{
	int one = 1;

	(void)state;
	assert_int_equal(pcore_timer_start(&timer, lp, 0, NS_PER_MS, tick, &one), 0);
	usleep(20000);
	assert_int_equal(pcore_evloop_run(lp), 0);
	assert_int_equal(calls, 1);
	assert_true(ticks >= 20);
}

static void a_loop_runs_inside_another_one(void **state)
{
	struct pcore_evloop *inner;
	struct pollfd outer = { .events = POLLIN };

	(void)state;
	assert_int_equal(pcore_evloop_fd(lp), -EOPNOTSUPP);
	assert_int_equal(pcore_evloop_new(&inner, PCORE_EVLOOP_EMBED), 0);
	outer.fd = pcore_evloop_fd(inner);
	assert_true(outer.fd >= 0);
	assert_int_equal(pcore_watch_start(&watch, inner, pair[0], POLLIN, read_one, &calls), 0);
	assert_int_equal(poll(&outer, 1, 0), 0);
	assert_int_equal(write(pair[1], "ab", 2), 2);
	for (int i = 1; i <= 2; i++) {
		assert_int_equal(poll(&outer, 1, -1), 1);
		while (pcore_evloop_run_once(inner, 0) == 0) /* a turn may have been for the loop itself */
			assert_int_equal(poll(&outer, 1, -1), 1);
		assert_int_equal(calls, i);
	}
	assert_int_equal(pcore_timer_start(&timer, inner, 5 * NS_PER_MS, 0, tick, NULL), 0);
	do
		assert_int_equal(poll(&outer, 1, -1), 1);
	while (pcore_evloop_run_once(inner, 0) == 0);
	assert_int_equal(ticks, 1);
	pcore_timer_stop(timer);
	pcore_evloop_free(inner);
}

static void mistakes_are_told(void **state)
{
	struct pcore_evloop *l;

	(void)state;
	assert_int_equal(pcore_evloop_new(NULL, 0), -EINVAL);
	assert_int_equal(pcore_evloop_new(&l, 1u << 20), -EINVAL);
	assert_int_equal(pcore_evloop_new(&l, PCORE_EVLOOP_URING | PCORE_EVLOOP_EMBED), -EINVAL);
	assert_int_equal(pcore_evloop_run_once(NULL, 0), -EINVAL);
	assert_int_equal(pcore_watch_start(&watch, lp, -1, POLLIN, read_one, NULL), -EINVAL);
	assert_int_equal(pcore_watch_start(&watch, lp, 0, 0, read_one, NULL), -EINVAL);
	assert_int_equal(pcore_watch_start(&watch, lp, 0, POLLHUP, read_one, NULL), -EINVAL);
	assert_int_equal(pcore_watch_start(&watch, lp, 0, POLLIN, NULL, NULL), -EINVAL);
	assert_int_equal(pcore_timer_start(&timer, lp, -1, 0, tick, NULL), -EINVAL);
	assert_int_equal(pcore_timer_start(&timer, lp, 0, -1, tick, NULL), -EINVAL);
	assert_int_equal(pcore_timer_start(&timer, NULL, 0, 0, tick, NULL), -EINVAL);
	pcore_evloop_free(NULL);
	assert_int_equal(pcore_evloop_new(&l, 0), 0);
	pcore_evloop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOOP_TEST(a_watch_lasts_until_it_is_stopped),
		LOOP_TEST(one_stopped_by_another_is_not_called),
		LOOP_TEST(a_hang_up_is_told),
		LOOP_TEST(a_run_is_stopped_by_another_thread),
		LOOP_TEST(timers_fire_once_or_periodically),
		LOOP_TEST(what_was_missed_is_counted),
		LOOP_TEST(a_loop_runs_inside_another_one),
		LOOP_TEST(mistakes_are_told),
	};

	alarm(60);
	return RUN_TESTS(tests);
}
