/* SPDX-License-Identifier: MIT */
/*
 * settle.c - tests of how long pqueue work keeps an item back, and of what it says of one that died.
 */
#include <sys/wait.h>

#include "tools/pqueue/name.c"
#include "tools/pqueue/settle.c"

#include "tests/unit/support.h"

static void each_delay_is_twice_the_one_before_up_to_the_longest(void **state)
{
	(void)state;
	assert_int_equal(work_backoff(1000, 5000, 1, 0), 1000);
	assert_int_equal(work_backoff(1000, 5000, 2, 0), 2000);
	assert_int_equal(work_backoff(1000, 5000, 3, 0), 4000);
	assert_int_equal(work_backoff(1000, 5000, 4, 0), 5000);
	assert_int_equal(work_backoff(1000, 5000, UINT32_MAX, 0), 5000);
	assert_int_equal(work_backoff(1, INT64_MAX, 200, 0), INT64_MAX);
	assert_int_equal(work_backoff(0, 5000, 7, 12345), 0);
}

static void a_delay_is_shortened_by_half_at_most(void **state)
{
	int64_t shortest = INT64_MAX, longest = 0;

	(void)state;
	for (uint64_t random = 0; random < 3000; random++) {
		int64_t delay = work_backoff(1000, 5000, 1, random);

		shortest = delay < shortest ? delay : shortest;
		longest = delay > longest ? delay : longest;
	}
	assert_int_equal(shortest, 500);
	assert_int_equal(longest, 1000);
	assert_int_equal(work_backoff(INT64_MAX, INT64_MAX, 1, UINT64_MAX) > INT64_MAX / 2 - 1, 1);
}

static const char *reason(struct pcore_job_result r, int64_t timeout)
{
	static char text[WORK_REASON_MAX];

	work_reason(text, &r, timeout, "cmd");
	return text;
}

static void a_reason_is_in_words(void **state)
{
	struct pcore_err missing = { .code = -ENOENT, .step = PCORE_STEP_EXEC, .subject = "cmd" };
	struct pcore_err limit = { .code = -EPERM, .step = PCORE_STEP_NICE };

	(void)state;
	assert_string_equal(reason((struct pcore_job_result){ .exit = { .code = CLD_EXITED, .status = 7 } }, 0), "exit 7");
	assert_string_equal(reason((struct pcore_job_result){ .exit = { .code = CLD_KILLED, .status = SIGKILL } }, 0), "SIGKILL");
	assert_string_equal(reason((struct pcore_job_result){ .exit = { .code = CLD_DUMPED, .status = SIGSEGV } }, 0),
		"SIGSEGV (core dumped)");
	assert_string_equal(reason((struct pcore_job_result){ .timed_out = true }, 5 * NS_PER_S), "timed out after 5s");
	assert_string_equal(reason((struct pcore_job_result){ .timed_out = true }, 250 * NS_PER_MS), "timed out after 0.25s");
	assert_string_equal(reason((struct pcore_job_result){ .timed_out = true }, 600 * NS_PER_S), "timed out after 600s");
	assert_string_equal(reason((struct pcore_job_result){ .error = missing }, 0), "cannot run 'cmd': No such file or directory");
	assert_string_equal(reason((struct pcore_job_result){ .error = limit }, 0), "cannot set the nice value: Operation not permitted");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_delay_is_twice_the_one_before_up_to_the_longest),
		TEST(a_delay_is_shortened_by_half_at_most),
		TEST(a_reason_is_in_words),
	};

	return RUN_TESTS(tests);
}
