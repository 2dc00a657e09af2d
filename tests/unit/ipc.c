/* SPDX-License-Identifier: MIT */
/*
 * ipc.c - tests of libcore/ipc: locks and semaphores that are files.
 *
 * Two locks in one process are two open files, so they exclude each other as two processes' do.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcore/ipc/ipc.h"
#include "tests/unit/support.h"

static char dir[] = "/tmp/pcore-ipc.XXXXXX";
static int dfd;

static struct pcore_lock *open_lock(enum pcore_lock_kind kind, const char *name)
{
	struct pcore_lock *l = NULL;

	assert_int_equal(pcore_lock_open_at(&l, kind, dfd, name), 0);
	assert_non_null(l);
	return l;
}

static struct pcore_lock *take(enum pcore_lock_kind kind, const char *name, bool shared)
{
	struct pcore_lock *l = open_lock(kind, name);

	assert_int_equal(pcore_lock_acquire_until(l, shared, 1, 0), 0);
	return l;
}

static int try(enum pcore_lock_kind kind, const char *name, bool shared, unsigned n)
{
	struct pcore_lock *l = open_lock(kind, name);
	int r = pcore_lock_acquire_until(l, shared, n, 0);

	pcore_lock_free(l);
	return r;
}

static const enum pcore_lock_kind kinds[] = { PCORE_LOCK_FILE, PCORE_LOCK_NAMED,
	PCORE_LOCK_SEMAPHORE };
static const char *const names[] = { "f", "n", "s" };

static void a_lock_excludes_and_is_free_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct pcore_lock *l = take(kinds[i], names[i], false);

		assert_int_equal(try(kinds[i], names[i], false, 1), -EBUSY);
		assert_int_equal(try(kinds[i], "another", false, 1), 0);
		assert_int_equal(pcore_lock_acquire_until(l, false, 1, 0), -EALREADY);
		pcore_lock_free(l);
		assert_int_equal(try(kinds[i], names[i], false, 1), 0);
		assert_int_equal(unlinkat(dfd, "another", 0), 0);
	}
}

static void shared_holders_exclude_the_others_only(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct pcore_lock *a = take(kinds[i], names[i], true),
				  *b = take(kinds[i], names[i], true);

		assert_int_equal(try(kinds[i], names[i], false, 1), -EBUSY);
		pcore_lock_free(a);
		assert_int_equal(try(kinds[i], names[i], false, 1), -EBUSY);
		pcore_lock_free(b);
		a = take(kinds[i], names[i], false);
		assert_int_equal(try(kinds[i], names[i], true, 1), -EBUSY);
		pcore_lock_free(a);
	}
}

static void a_deadline_is_kept(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct pcore_lock *l = take(kinds[i], names[i], false),
				  *m = open_lock(kinds[i], names[i]);
		int64_t from = pcore_now_ns(), took;

		assert_int_equal(
			pcore_lock_acquire_until(m, false, 1, from + 50 * NS_PER_MS), -ETIMEDOUT);
		took = pcore_now_ns() - from;
		assert_true(took >= 50 * NS_PER_MS);
		assert_true(took < 20 * NS_PER_S);
		pcore_lock_free(l);
		assert_int_equal(pcore_lock_acquire_until(m, false, 1, pcore_now_ns() + NS_PER_S), 0);
		pcore_lock_free(m);
	}
}

static void a_deadline_that_is_over_is_no_wait(void **state)
{
	struct pcore_lock *l, *m;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		l = take(kinds[i], names[i], false);
		m = open_lock(kinds[i], names[i]);
		assert_int_equal(pcore_lock_acquire_until(m, false, 1, 1), -ETIMEDOUT);
		pcore_lock_free(l);
		assert_int_equal(pcore_lock_acquire_until(m, false, 1, 1), 0);
		pcore_lock_free(m);
	}
}

struct waiter {
	enum pcore_lock_kind kind;
	int result;
	pthread_t thread;
};

static void *wait_for_it(void *arg)
{
	struct waiter *w = arg;
	struct pcore_lock *l = open_lock(w->kind, names[w->kind]);

	w->result = pcore_lock_acquire_until(l, false, 1, INT64_MAX);
	pcore_lock_free(l);
	return NULL;
}

static void who_waits_for_ever_gets_it_when_it_is_free(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct pcore_lock *l = take(kinds[i], names[i], false);
		struct waiter w = { .kind = kinds[i], .result = 1 };

		assert_int_equal(pthread_create(&w.thread, NULL, wait_for_it, &w), 0);
		usleep(20000);
		assert_int_equal(w.result, 1);
		pcore_lock_free(l);
		assert_int_equal(pthread_join(w.thread, NULL), 0);
		assert_int_equal(w.result, 0);
	}
}

static void a_semaphore_has_n_places(void **state)
{
	struct pcore_lock *held[3];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(held); i++) {
		held[i] = open_lock(PCORE_LOCK_SEMAPHORE, "s");
		assert_int_equal(pcore_lock_acquire_until(held[i], false, 3, 0), 0);
	}
	assert_int_equal(try(PCORE_LOCK_SEMAPHORE, "s", false, 3), -EBUSY);
	assert_int_equal(try(PCORE_LOCK_SEMAPHORE, "s", false, 4), 0);
	pcore_lock_free(held[1]);
	assert_int_equal(try(PCORE_LOCK_SEMAPHORE, "s", false, 3), 0);
	pcore_lock_free(held[0]);
	pcore_lock_free(held[2]);
}

static void a_holder_that_is_killed_lets_go(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		int ends[2];
		char c;
		pid_t pid;

		assert_int_equal(pipe(ends), 0);
		pid = fork();
		if (pid == 0) {
			(void)take(kinds[i], names[i], false);
			(void)!write(ends[1], "x", 1);
			pause();
		}
		assert_int_equal(read(ends[0], &c, 1), 1);
		assert_int_equal(try(kinds[i], names[i], false, 1), -EBUSY);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		assert_int_equal(try(kinds[i], names[i], false, 1), 0);
		close(ends[0]);
		close(ends[1]);
	}
}

static void a_file_lock_is_that_of_flock(void **state)
{
	struct pcore_lock *l = take(PCORE_LOCK_FILE, "f", false);
	int fd = openat(dfd, "f", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), -1);
	pcore_lock_free(l);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(try(PCORE_LOCK_FILE, "f", false, 1), -EBUSY);
	close(fd);
}

static void write_file(const char *name, const void *data, size_t len)
{
	int fd = openat(dfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	close(fd);
}

static void a_counter_that_is_no_counter_is_told(void **state)
{
	(void)state;
	for (size_t i = 1; i < ARRAY_SIZE(kinds); i++) {
		write_file("bad", "1234567", 7);
		assert_int_equal(try(kinds[i], "bad", false, 1), -EBADMSG);
		write_file("bad", "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
		assert_int_equal(try(kinds[i], "bad", false, 1), -EBADMSG);
		write_file("bad", "\xff\xff\xff\xff\xff\xff\xff\x7f", 8);
		assert_int_equal(try(kinds[i], "bad", false, 1), -EBADMSG);
		write_file("bad", "", 0);
		assert_int_equal(try(kinds[i], "bad", false, 1), 0);
	}
	assert_int_equal(unlinkat(dfd, "bad", 0), 0);
}

static void what_cannot_be_opened_is_told(void **state)
{
	struct pcore_lock *l = NULL;

	(void)state;
	assert_int_equal(pcore_lock_open_at(&l, PCORE_LOCK_FILE, dfd, "no/f"), -ENOENT);
	assert_int_equal(pcore_lock_open_at(&l, PCORE_LOCK_NAMED, dfd, "."), -EISDIR);
	assert_int_equal(symlinkat("f", dfd, "link"), 0);
	assert_int_equal(pcore_lock_open_at(&l, PCORE_LOCK_NAMED, dfd, "link"), -ELOOP);
	assert_int_equal(mkfifoat(dfd, "fifo", 0600), 0);
	assert_int_equal(pcore_lock_open_at(&l, PCORE_LOCK_NAMED, dfd, "fifo"), -EINVAL);
	assert_null(l);
	pcore_lock_free(NULL);
	assert_int_equal(try(PCORE_LOCK_FILE, "link", false, 1), 0);
	assert_int_equal(try(PCORE_LOCK_FILE, "fifo", false, 1), 0);
	assert_int_equal(try(PCORE_LOCK_FILE, ".", false, 1), 0);
	assert_int_equal(unlinkat(dfd, "link", 0), 0);
	assert_int_equal(unlinkat(dfd, "fifo", 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_lock_excludes_and_is_free_again),
		TEST(shared_holders_exclude_the_others_only),
		TEST(a_deadline_is_kept),
		TEST(a_deadline_that_is_over_is_no_wait),
		TEST(who_waits_for_ever_gets_it_when_it_is_free),
		TEST(a_semaphore_has_n_places),
		TEST(a_holder_that_is_killed_lets_go),
		TEST(a_file_lock_is_that_of_flock),
		TEST(a_counter_that_is_no_counter_is_told),
		TEST(what_cannot_be_opened_is_told),
	};
	int r;

	dfd = mkdtemp(dir) ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (dfd < 0)
		return 99;
	r = RUN_TESTS(tests);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		(void)unlinkat(dfd, names[i], 0);
	close(dfd);
	(void)rmdir(dir);
	return r;
}
