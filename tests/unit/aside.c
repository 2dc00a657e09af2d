/* SPDX-License-Identifier: MIT */
/*
 * aside.c - tests of limits in a control group that is not the root: whoever is alone there steps aside while they are kept.
 */
#include "tests/unit/support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcore/base/base.h"
#include "libcore/proc/proc.h"

static int base_fd = -EBADF; /* our own group */
static int group_fd = -EBADF;
static char group[32];
static const char *limit; /* a file of a controller that is there */

/* In the child: the end of its path. */
static bool is_in(const char *end)
{
	char text[4096];
	ssize_t n = pcore_file_read(AT_FDCWD, "/proc/self/cgroup", text, sizeof(text));
	char *line = n < 0 ? NULL : strstr(text, "0::"), *newline = line ? strchr(line, '\n') : NULL;

	if (!newline)
		return false;
	*newline = '\0';
	return strlen(line) >= strlen(end) && strcmp(newline - strlen(end), end) == 0;
}

static bool group_is_as_it_was(void)
{
	char text[64];
	struct stat st;

	return pcore_file_read(group_fd, "cgroup.subtree_control", text, sizeof(text)) >= 0 && strspn(text, "\n") == strlen(text) &&
		fstat(group_fd, &st) == 0 && st.st_nlink == 2;
}

/* In the child: a tree with a limit; the number of the line that was wrong. */
static int keep_limit(bool alone)
{
	struct pcore_keeper *k;
	struct pcore_tree *t;
	struct pcore_err err;
	int r;

	if (!is_in(group) || pcore_keeper_new(&k, true, false, &err) < 0 || pcore_tree_new(&t, k, &err) < 0)
		return __LINE__;

	r = pcore_tree_limit(t, limit, "max");
	if (r != (alone ? 0 : -EOPNOTSUPP))
		return __LINE__;
	if (!is_in(alone ? ".self" : group))
		return __LINE__;
	if (alone && pcore_tree_limit(t, limit, "max") != 0)
		return __LINE__;
	pcore_tree_free(t);
	pcore_keeper_free(k);
	return is_in(group) && group_is_as_it_was() ? 0 : __LINE__;
}

static int in_group(bool alone)
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(pcore_file_write(group_fd, "cgroup.procs", "0") < 0 ? __LINE__ : keep_limit(alone));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void a_process_that_is_alone_steps_aside_and_comes_back(void **state)
{
	(void)state;
	if (!limit)
		skip();
	assert_int_equal(in_group(true), 0);
	assert_int_equal(in_group(true), 0);
}

static void a_process_with_others_stays_and_has_no_limit(void **state)
{
	pid_t other;

	(void)state;
	if (!limit)
		skip();
	other = fork();
	assert_true(other >= 0);
	if (other == 0) {
		if (pcore_file_write(group_fd, "cgroup.procs", "0") == 0)
			(void)raise(SIGSTOP);
		_exit(0);
	}
	assert_int_equal(waitpid(other, NULL, WUNTRACED), other);
	assert_int_equal(in_group(false), 0);
	assert_int_equal(kill(other, SIGKILL), 0);
	assert_int_equal(waitpid(other, NULL, 0), other);
}

/* A group below ours, and a controller that it has: here and there that is only hugetlb. */
static void find_group(void)
{
	static const char *const files[] = { "memory.max", "hugetlb.2MB.max" };

	base_fd = pcore_cgroup_open();
	(void)snprintf(group, sizeof(group), "test-aside.%d", getpid());
	if (base_fd < 0 || mkdirat(base_fd, group, 0755) < 0)
		return;
	group_fd = openat(base_fd, group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < ARRAY_SIZE(files) && !limit; i++) {
		char word[16];

		(void)snprintf(word, sizeof(word), "+%.*s", (int)strcspn(files[i], "."), files[i]);
		(void)pcore_file_write(base_fd, "cgroup.subtree_control", word);
		if (faccessat(group_fd, files[i], W_OK, 0) == 0)
			limit = files[i];
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_process_that_is_alone_steps_aside_and_comes_back),
		TEST(a_process_with_others_stays_and_has_no_limit),
	};
	int r;

	find_group();
	r = RUN_TESTS(tests);
	group_fd = pcore_fd_close(group_fd);
	if (base_fd >= 0)
		(void)unlinkat(base_fd, group, AT_REMOVEDIR);
	base_fd = pcore_fd_close(base_fd);
	return r;
}
