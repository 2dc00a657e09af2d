/* SPDX-License-Identifier: MIT */
/*
 * trash.c - tests of removing trees bit by bit.
 */
#include "tests/unit/support.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcore/base/base.h"

static struct pcore_trash trash;
static char dir[] = "/tmp/trash.XXXXXX";
static int dfd;

static int before(void **state)
{
	(void)support_before(state);
	strcpy(dir, "/tmp/trash.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	dfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mkdirat(dfd, "trash", 0700) < 0)
		return -1;
	trash = (struct pcore_trash){ .fd = openat(dfd, "trash", O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
	return dfd < 0 || trash.fd < 0 ? -1 : 0;
}

static int after(void **state)
{
	int r = unlinkat(dfd, "trash", AT_REMOVEDIR);

	trash.fd = pcore_fd_close(trash.fd);
	dfd = pcore_fd_close(dfd);
	return rmdir(dir) < 0 || r < 0 ? -1 : support_after(state);
}

#define TRASH_TEST(f) cmocka_unit_test_setup_teardown(f, before, after)

static void make_file(int at, const char *name)
{
	int fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	(void)pcore_fd_close(fd);
}

static void empty(unsigned budget)
{
	int r, steps = 0;

	while ((r = pcore_trash_step(&trash, budget)) > 0)
		assert_true(++steps < 100000);
	assert_int_equal(r, 0);
}

static void what_is_not_there_is_no_error(void **state)
{
	(void)state;
	assert_int_equal(pcore_trash_put(&trash, dfd, "nothing"), 0);
	empty(1);
}

static void a_tree_deeper_than_any_path_goes_with_few_descriptors(void **state)
{
	enum { DEEP = 5000 };
	struct rlimit old, few = { 32, 32 };
	int at;

	(void)state;
	assert_int_equal(mkdirat(dfd, "top", 0700), 0);
	at = openat(dfd, "top", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < DEEP; i++) {
		int next;

		assert_int_equal(mkdirat(at, "a directory with a rather long name", 0700), 0);
		make_file(at, "file");
		next = openat(at, "a directory with a rather long name", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		(void)pcore_fd_close(at);
		at = next;
	}
	(void)pcore_fd_close(at);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(pcore_trash_put(&trash, dfd, "top"), 0);
	empty(64);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

static void a_wide_tree_goes_in_steps_of_the_budget(void **state)
{
	char name[16];
	int at;

	(void)state;
	assert_int_equal(mkdirat(dfd, "top", 0700), 0);
	at = openat(dfd, "top", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		make_file(at, name);
	}
	(void)pcore_fd_close(at);
	assert_int_equal(pcore_trash_put(&trash, dfd, "top"), 0);
	for (int i = 0; i < 9; i++)
		assert_int_equal(pcore_trash_step(&trash, 100), 1);
	empty(100);
}

static void links_are_removed_and_not_followed(void **state)
{
	int at;

	(void)state;
	assert_int_equal(mkdirat(dfd, "kept", 0700), 0);
	assert_int_equal(mkdirat(dfd, "top", 0700), 0);
	at = openat(dfd, "kept", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	make_file(at, "file");
	assert_int_equal(symlinkat("../kept", dfd, "top/link"), 0);
	assert_int_equal(symlinkat("kept", dfd, "link"), 0);
	assert_int_equal(pcore_trash_put(&trash, dfd, "top"), 0);
	assert_int_equal(pcore_trash_put(&trash, dfd, "link"), 0);
	empty(10);
	assert_int_equal(faccessat(at, "file", F_OK, 0), 0);
	assert_int_equal(unlinkat(at, "file", 0), 0);
	(void)pcore_fd_close(at);
	assert_int_equal(unlinkat(dfd, "kept", AT_REMOVEDIR), 0);
}

static void closed_directories_are_opened(void **state)
{
	(void)state;
	if (geteuid() == 0) { /* nothing is closed to root */
		assert_int_equal(fchown(dfd, 65534, 65534), 0);
		assert_int_equal(fchown(trash.fd, 65534, 65534), 0);
		assert_int_equal(seteuid(65534), 0);
	}
	assert_int_equal(mkdirat(dfd, "top", 0700), 0);
	assert_int_equal(mkdirat(dfd, "top/middle", 0700), 0);
	assert_int_equal(mkdirat(dfd, "top/middle/low", 0700), 0);
	assert_int_equal(fchmodat(dfd, "top/middle/low", 0, 0), 0);
	assert_int_equal(fchmodat(dfd, "top/middle", 0500, 0), 0);
	assert_int_equal(fchmodat(dfd, "top", 0, 0), 0);
	assert_int_equal(pcore_trash_put(&trash, dfd, "top"), 0);
	empty(10);
	assert_int_equal(seteuid(getuid()), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TRASH_TEST(what_is_not_there_is_no_error),
		TRASH_TEST(a_tree_deeper_than_any_path_goes_with_few_descriptors),
		TRASH_TEST(a_wide_tree_goes_in_steps_of_the_budget),
		TRASH_TEST(links_are_removed_and_not_followed),
		TRASH_TEST(closed_directories_are_opened),
	};

	return RUN_TESTS(tests);
}
