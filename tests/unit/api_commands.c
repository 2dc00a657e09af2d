/* SPDX-License-Identifier: MIT */
/*
 * api_commands.c - tests of pcore_pool_commands(): many commands, so many at a time.
 */
#include "tests/unit/support.h"

#include <errno.h>
#include <pcore/pool.h>
#include <signal.h>
#include <unistd.h>

#include "libcore/base/base.h"

enum { N_MAX = 64 };

static struct {
	const char *command[N_MAX];
	uint64_t n, told[N_MAX], n_told;
	int status[N_MAX], code[N_MAX];
	char out[N_MAX][32];
	unsigned flags;
	int64_t timeout;
	uint64_t fail_next, fail_done;
	char *argv[4];
} all;

static int next(void *ctx, uint64_t i, struct pcore_process_spec *spec)
{
	static char sh[] = "/bin/sh", dash_c[] = "-c";

	(void)ctx;
	if (all.fail_next && i == all.fail_next)
		return -EDOM;
	if (i == all.n)
		return -ENODATA;
	all.argv[0] = sh;
	all.argv[1] = dash_c;
	all.argv[2] = (char *)(uintptr_t)all.command[i];
	spec->argv = all.argv;
	if (!all.command[i])
		spec->file = "/no/such";
	spec->in.how = spec->out.how = PCORE_PROCESS_PIPE;
	spec->input = "input";
	spec->input_size = 5;
	spec->flags = all.flags;
	spec->timeout = all.timeout;
	spec->kill_after = 1;
	return 0;
}

static int done(void *ctx, uint64_t i, const struct pcore_process_result *r, const struct pcore_error *error)
{
	(void)ctx;
	all.told[all.n_told++] = i;
	all.status[i] = r ? r->status : -1;
	all.code[i] = error ? error->code : 0;
	if (r)
		snprintf(all.out[i], sizeof(all.out[i]), "%s", r->out ? r->out : "");
	return all.fail_done && i == all.fail_done ? 77 : 0;
}

static int run(uint64_t n, unsigned jobs, int unordered)
{
	struct pcore_commands c = { .size = sizeof(c), .jobs = jobs, .unordered = unordered, .next = next, .done = done };

	all.n = n;
	all.n_told = 0;
	return pcore_pool_commands(&c);
}

static void results_come_in_order(void **state)
{
	(void)state;
	memset(&all, 0, sizeof(all));
	for (int i = 0; i < 40; i++)
		all.command[i] = i % 4 == 0 ? "sleep 0.02; cat; exit 3" : "cat; exit 4";
	all.command[5] = NULL;
	assert_int_equal(run(40, 3, 0), 0);
	assert_int_equal(all.n_told, 40);
	for (uint64_t i = 0; i < 40; i++) {
		assert_int_equal(all.told[i], i);
		assert_int_equal(all.status[i], i == 5 ? -1 : i % 4 == 0 ? 3 : 4);
		assert_int_equal(all.code[i], i == 5 ? -ENOENT : 0);
		assert_string_equal(all.out[i], i == 5 ? "" : "input");
	}
	assert_int_equal(run(0, 3, 0), 0);
	assert_int_equal(all.n_told, 0);
}

/* The first one ends when the second has. */
static void results_come_as_they_end(void **state)
{
	char path[] = "/tmp/pcore-api-XXXXXX", first[128], second[128];

	(void)state;
	memset(&all, 0, sizeof(all));
	assert_non_null(mkdtemp(path));
	snprintf(first, sizeof(first), "until rmdir %s/x 2>&-; do :; done; echo first", path);
	snprintf(second, sizeof(second), "mkdir %s/x; echo second", path);
	all.command[0] = first;
	all.command[1] = second;
	assert_int_equal(run(2, 2, 1), 0);
	assert_string_equal(all.out[0], "first\n");
	assert_string_equal(all.out[1], "second\n");
	assert_int_equal(rmdir(path), 0);
}

static void what_takes_too_long_is_ended(void **state)
{
	(void)state;
	memset(&all, 0, sizeof(all));
	all.timeout = 50 * NS_PER_MS;
	all.flags = PCORE_PROCESS_TREE;
	all.command[0] = "trap '' TERM; setsid sleep 300 & echo x; while :; do sleep 1; done";
	all.command[1] = "exec sleep 300";
	for (; strcmp(all.out[0], "x\n") != 0; all.timeout *= 2) { /* as long as it takes to say so */
		assert_int_equal(run(2, 2, 0), 0);
		assert_int_equal(all.status[0], 124);
		assert_int_equal(all.status[1], 124);
	}
}

static void it_can_be_ended(void **state)
{
	(void)state;
	memset(&all, 0, sizeof(all));
	all.command[0] = "exit 0";
	all.command[1] = "exit 1";
	all.command[2] = "exec sleep 300";
	all.fail_done = 1;
	assert_int_equal(run(3, 3, 1), 77);
	all.fail_done = 0;
	all.fail_next = 3;
	all.command[2] = "exit 2";
	assert_int_equal(run(4, 1, 1), -EDOM);
}

static void mistakes_are_told(void **state)
{
	struct pcore_commands c = { .size = sizeof(c), .next = next };

	(void)state;
	assert_int_equal(pcore_pool_commands(&c), -EINVAL);
	assert_int_equal(pcore_pool_commands(NULL), -EINVAL);
	c.done = done;
	c.jobs = 1000000;
	assert_int_equal(pcore_pool_commands(&c), -EINVAL);
	c.size = 3;
	assert_int_equal(pcore_pool_commands(&c), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(results_come_in_order),
		TEST(results_come_as_they_end),
		TEST(what_takes_too_long_is_ended),
		TEST(it_can_be_ended),
		TEST(mistakes_are_told),
	};

	alarm(60);
	return RUN_TESTS(tests);
}
