/* SPDX-License-Identifier: MIT */
/*
 * support.h - what the unit tests share: cmocka itself, and a check that a test leaves no
 * descriptor open and no child behind.
 *
 * A test is listed as TEST(name) and a program ends with `return RUN_TESTS(tests);`. A test that
 * needs state of its own makes it itself.
 */
#ifndef PCORE_TEST_SUPPORT_H
#define PCORE_TEST_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEST(f) cmocka_unit_test_setup_teardown(f, support_before, support_after)
#define RUN_TESTS(tests) cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL)

struct support_counts {
	int fds;
	int children;
};

static struct support_counts support_counts;

static inline int support_count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = -1; /* dir's own */

	assert_non_null(dir);
	for (struct dirent *e = readdir(dir); e; e = readdir(dir))
		if (e->d_name[0] != '.')
			n++;
	closedir(dir);
	return n;
}

/* Children of one thread, dead ones that were not waited for included. */
static inline int support_count_children_of(const char *tid)
{
	char path[64];
	int n = 0, pid;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%.16s/children", tid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (fscanf(f, "%d", &pid) == 1)
		n++;
	fclose(f);
	return n;
}

static inline int support_count_children(void)
{
	DIR *dir = opendir("/proc/self/task");
	int n = 0;

	assert_non_null(dir);
	for (struct dirent *e = readdir(dir); e; e = readdir(dir))
		if (e->d_name[0] != '.')
			n += support_count_children_of(e->d_name);
	closedir(dir);
	return n;
}

static inline int support_before(void **state)
{
	(void)state;
	support_counts.fds = support_count_fds();
	support_counts.children = support_count_children();
	return 0;
}

static inline int support_after(void **state)
{
	struct support_counts before = support_counts;

	support_before(state);
	if (support_counts.fds == before.fds && support_counts.children == before.children)
		return 0;
	print_error("# leak: %d descriptors before, %d after; %d children before, %d after\n",
		before.fds, support_counts.fds, before.children, support_counts.children);
	return -1;
}

#endif
