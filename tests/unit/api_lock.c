/* SPDX-License-Identifier: MIT */
/*
 * api_lock.c - tests of <pcore/lock.h>.
 */
#include <pcore/lock.h>

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "tests/unit/support.h"

static char dir[] = "/tmp/pcore-api-lock.XXXXXX";

static const int64_t soon = 100 * INT64_C(1000000);

static const struct pcore_lock_spec specs[] = {
	{ .size = sizeof(struct pcore_lock_spec), .kind = PCORE_LOCK_FILE },
	{ .size = sizeof(struct pcore_lock_spec), .kind = PCORE_LOCK_NAMED },
	{ .size = sizeof(struct pcore_lock_spec), .kind = PCORE_LOCK_SEMAPHORE, .holders = 1 },
};
static const char *const names[] = { "file", "named", "semaphore" };

static struct pcore_lock *open_lock(const char *name, const struct pcore_lock_spec *spec)
{
	struct pcore_lock *l = NULL;

	assert_int_equal(pcore_lock_open(&l, name, spec), 0);
	return l;
}

static void a_lock_is_taken_released_and_taken_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct pcore_lock *a = open_lock(names[i], &specs[i]), *b = open_lock(names[i], &specs[i]);

		for (int round = 0; round < 3; round++) {
			assert_int_equal(pcore_lock_release(a), -EPERM);
			assert_int_equal(pcore_lock_acquire(a, 0, 0), 0);
			assert_int_equal(pcore_lock_acquire(a, 0, 0), -EALREADY);
			assert_int_equal(pcore_lock_acquire(b, 0, 0), -EBUSY);
			assert_int_equal(pcore_lock_acquire(b, 0, soon), -ETIMEDOUT);
			assert_int_equal(pcore_lock_release(a), 0);
			assert_int_equal(pcore_lock_acquire(b, 0, PCORE_FOREVER), 0);
			assert_int_equal(pcore_lock_acquire(a, 0, 0), -EBUSY);
			assert_int_equal(pcore_lock_release(b), 0);
		}
		assert_int_equal(pcore_lock_acquire(a, 0, 0), 0);
		pcore_lock_free(a);
		assert_int_equal(pcore_lock_acquire(b, 0, 0), 0);
		pcore_lock_free(b);
	}
	pcore_lock_free(NULL);
}

static void *acquire(void *lock)
{
	return (void *)(intptr_t)pcore_lock_acquire(lock, 0, PCORE_FOREVER);
}

static void who_waits_gets_it_by_a_release(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct pcore_lock *a = open_lock(names[i], &specs[i]), *b = open_lock(names[i], &specs[i]);
		pthread_t thread;
		void *result;

		assert_int_equal(pcore_lock_acquire(a, 0, 0), 0);
		assert_int_equal(pthread_create(&thread, NULL, acquire, b), 0);
		usleep(20000); /* for the better case; either order has to work */
		assert_int_equal(pcore_lock_release(a), 0);
		assert_int_equal(pthread_join(thread, &result), 0);
		assert_int_equal((intptr_t)result, 0);
		pcore_lock_free(a);
		pcore_lock_free(b);
	}
}

static void shared_holders_are_together(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct pcore_lock *a = open_lock(names[i], &specs[i]), *b = open_lock(names[i], &specs[i]), *c = open_lock(names[i], &specs[i]);

		assert_int_equal(pcore_lock_acquire(a, PCORE_LOCK_SHARED, 0), 0);
		assert_int_equal(pcore_lock_acquire(b, PCORE_LOCK_SHARED, 0), 0);
		assert_int_equal(pcore_lock_acquire(c, 0, 0), -EBUSY);
		assert_int_equal(pcore_lock_release(a), 0);
		assert_int_equal(pcore_lock_acquire(c, 0, 0), -EBUSY);
		assert_int_equal(pcore_lock_release(b), 0);
		assert_int_equal(pcore_lock_acquire(c, 0, 0), 0);
		pcore_lock_free(a);
		pcore_lock_free(b);
		pcore_lock_free(c);
	}
}

static void a_semaphore_has_as_many_places_as_are_said(void **state)
{
	const struct pcore_lock_spec spec = { .size = sizeof(spec), .kind = PCORE_LOCK_SEMAPHORE, .holders = 3 };
	struct pcore_lock *l[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		l[i] = open_lock("places", &spec);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pcore_lock_acquire(l[i], 0, 0), 0);
	assert_int_equal(pcore_lock_acquire(l[3], 0, 0), -EBUSY);
	assert_int_equal(pcore_lock_release(l[1]), 0);
	assert_int_equal(pcore_lock_acquire(l[3], 0, 0), 0);
	for (int i = 0; i < 4; i++)
		pcore_lock_free(l[i]);
}

static void a_mistake_is_told(void **state)
{
	struct {
		struct pcore_lock_spec spec;
		uint64_t more;
	} later = { .spec = { .size = sizeof(later), .kind = PCORE_LOCK_NAMED } };
	const struct pcore_lock_spec bad[] = { { .size = 0 }, { .size = 4 }, { .size = sizeof(bad[0]), .kind = 3 }, { .size = sizeof(bad[0]), .kind = -1 },
		{ .size = sizeof(bad[0]), .kind = PCORE_LOCK_SEMAPHORE }, { .size = sizeof(bad[0]), .kind = PCORE_LOCK_FILE, .holders = 1 } };
	struct pcore_lock *l = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(pcore_lock_open(&l, "bad", &bad[i]), -EINVAL);
	assert_int_equal(pcore_lock_open(&l, NULL, NULL), -EINVAL);
	assert_int_equal(pcore_lock_open(NULL, "bad", NULL), -EINVAL);
	assert_int_equal(pcore_lock_open(&l, "none/bad", NULL), -ENOENT);
	later.more = 1;
	assert_int_equal(pcore_lock_open(&l, "bad", &later.spec), -E2BIG);
	assert_null(l);
	assert_int_equal(access("bad", F_OK), -1);
	later.more = 0;
	assert_int_equal(pcore_lock_open(&l, "later", &later.spec), 0);
	assert_int_equal(pcore_lock_acquire(l, 2, 0), -EINVAL);
	assert_int_equal(pcore_lock_acquire(l, 0, -1), 0); /* no wait */
	pcore_lock_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_lock_is_taken_released_and_taken_again),
		TEST(who_waits_gets_it_by_a_release),
		TEST(shared_holders_are_together),
		TEST(a_semaphore_has_as_many_places_as_are_said),
		TEST(a_mistake_is_told),
	};
	int r;

	if (!mkdtemp(dir) || chdir(dir) < 0)
		return 1;
	r = RUN_TESTS(tests);
	return system("rm -rf \"$PWD\"") == 0 ? r : 1;
}
