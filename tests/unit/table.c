/* SPDX-License-Identifier: MIT */
/*
 * table.c - tests of the jobs of a named pool: their queue, and what waits for what. What is over is written down: "1d" job
 * 1 is done, f: failed, c: cancelled.
 */
#include "tools/ppool/table.c"
#include "tools/ppool/wire.c"

#include "tests/unit/support.h"

static struct table t;
static char log_[65536];

static void on_over(void *ctx, struct job *job)
{
	size_t len = strlen(log_);

	(void)ctx;
	snprintf(log_ + len, sizeof(log_) - len, "%s%lu%c", len ? " " : "", job->id,
		job->state == JOB_DONE ? 'd' : job->state == JOB_FAILED ? 'f' : 'c');
}

static void on_over_quiet(void *ctx, struct job *job)
{
	(void)ctx;
	assert_int_equal(job->state, JOB_CANCELLED);
}

static void expect_over(const char *text)
{
	assert_string_equal(log_, text);
	log_[0] = '\0';
}

static void begin_table(uint64_t waiting_max)
{
	table_init(&t, waiting_max);
	t.over = on_over;
	log_[0] = '\0';
}

static int try_add(struct job **ret, size_t n_after, const uint64_t *after)
{
	static char *const argv[] = { (char *)"true", NULL };
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct shared *env = shared_get(&t, "A=1", 4), *dir = shared_get(&t, "/", 2);
	struct wire_submit s = { .flags = 0 };
	struct cli_frame f;
	size_t used;
	uint64_t unknown = 0;
	int r;

	assert_int_equal(wire_put_submit(&b, &s, after, n_after, argv), 0);
	assert_int_equal(cli_frame_next(b.data, b.len, &f, &used), 1);
	assert_int_equal(wire_get_submit(&f, &s), 0);
	r = table_add(&t, &s, env, dir, 022, ret, &unknown);
	if (r == -ENOENT)
		assert_int_equal(unknown, 99);
	shared_put(&t, env);
	shared_put(&t, dir);
	pcore_buf_done(&b);
	return r;
}

static struct job *add(size_t n_after, const uint64_t *after)
{
	struct job *job = NULL;

	assert_int_equal(try_add(&job, n_after, after), 0);
	assert_non_null(job);
	return job;
}

static struct job *add_after(uint64_t a, uint64_t b)
{
	return add(b ? 2 : 1, (uint64_t[]){ a, b });
}

static void jobs_come_in_the_order_they_were_added(void **state)
{
	(void)state;
	begin_table(100);
	for (int i = 0; i < 5; i++)
		(void)add(0, NULL);
	assert_int_equal(t.n_waiting, 5);
	for (uint64_t i = 1; i <= 5; i++)
		assert_int_equal(table_next(&t)->id, i);
	assert_null(table_next(&t));
	assert_int_equal(t.n_running, 5);
	assert_int_equal(t.n_waiting, 0);
	assert_null(table_find(&t, 6));
	table_done(&t);
}

static void a_full_table_says_so_and_counts_what_waits_for_others(void **state)
{
	(void)state;
	begin_table(2);
	(void)add(0, NULL);
	assert_false(table_is_full(&t));
	(void)add_after(1, 0);
	assert_true(table_is_full(&t));
	(void)table_next(&t);
	assert_false(table_is_full(&t));
	table_done(&t);
}

static void what_is_equal_is_held_once(void **state)
{
	struct job *a, *b;

	(void)state;
	begin_table(100);
	a = add(0, NULL);
	b = add(0, NULL);
	assert_ptr_equal(a->env, b->env);
	assert_ptr_not_equal(a->env, a->dir);
	assert_int_equal(a->env->refs, 2);
	table_cancel(&t, a);
	table_drop(&t, a);
	assert_int_equal(b->env->refs, 1);
	assert_int_equal(t.shared.len, 2);
	table_cancel(&t, b);
	table_drop(&t, b);
	assert_int_equal(t.shared.len, 0);
	table_done(&t);
}

static void a_job_follows_when_all_it_waits_for_have_succeeded(void **state)
{
	struct job *one, *two, *three;

	(void)state;
	begin_table(100);
	one = add(0, NULL);
	two = add(0, NULL);
	three = add(3, (uint64_t[]){ 1, 2, 1 });
	assert_int_equal(three->state, JOB_AFTER);
	assert_ptr_equal(table_next(&t), one);
	assert_ptr_equal(table_next(&t), two);
	assert_null(table_next(&t));
	table_finish(&t, one, JOB_DONE);
	assert_int_equal(three->state, JOB_AFTER);
	table_finish(&t, two, JOB_DONE);
	assert_ptr_equal(table_next(&t), three);
	expect_over("1d 2d");
	table_drop(&t, one);
	table_finish(&t, three, JOB_FAILED);
	expect_over("3f");
	assert_int_equal(add_after(2, 0)->state, JOB_QUEUED);
	assert_int_equal(add_after(3, 0)->state, JOB_CANCELLED);
	assert_int_equal(add_after(2, 3)->state, JOB_CANCELLED);
	table_done(&t);
}

static void a_failure_cancels_all_that_follows_once(void **state)
{
	struct job *one;

	(void)state;
	begin_table(100);
	one = add(0, NULL);
	(void)add(0, NULL);	 /* 2 */
	(void)add_after(1, 2); /* 3 */
	(void)add_after(3, 1); /* 4 */
	(void)add_after(4, 3); /* 5 */
	(void)add_after(2, 0); /* 6 */
	assert_ptr_equal(table_next(&t), one);
	table_finish(&t, one, JOB_FAILED);
	expect_over("1f 3c 4c 5c");
	assert_int_equal(t.n_waiting, 2);
	assert_int_equal(t.n_cancelled, 3);
	table_cancel(&t, table_find(&t, 2));
	expect_over("2c 6c");
	assert_int_equal(t.n_waiting, 0);
	assert_null(table_next(&t));
	table_done(&t);
}

static void an_unknown_job_cannot_be_followed(void **state)
{
	struct job *job = NULL;

	(void)state;
	begin_table(100);
	(void)add(0, NULL);
	assert_int_equal(try_add(&job, 2, (uint64_t[]){ 1, 99 }), -ENOENT);
	assert_null(job);
	assert_int_equal(t.n_waiting, 1);
	assert_int_equal(add(0, NULL)->id, 2);
	table_done(&t);
}

static void a_long_chain_is_cancelled_without_recursion_and_only_so_many_are_remembered(void **state)
{
	enum { N = 100000 };

	(void)state;
	begin_table(2 * N);
	t.over = on_over_quiet;
	(void)add(0, NULL);
	for (uint64_t i = 1; i < N; i++)
		(void)add_after(i, 0);
	table_cancel(&t, table_find(&t, 1));
	assert_int_equal(t.n_waiting, 0);
	assert_int_equal(t.n_cancelled, CANCELLED_MAX);
	assert_null(table_find(&t, 1));
	assert_non_null(table_find(&t, N));
	table_done(&t);
}

static void all_that_waits_can_be_cancelled_at_once(void **state)
{
	struct job *one;

	(void)state;
	begin_table(100);
	one = add(0, NULL);
	(void)add_after(1, 0);
	(void)add_after(2, 0);
	(void)add(0, NULL);
	assert_ptr_equal(table_next(&t), one);
	table_cancel_all(&t);
	expect_over("2c 3c 4c");
	table_finish(&t, one, JOB_DONE);
	expect_over("1d");
	assert_null(table_next(&t));
	table_done(&t);
}

static void a_record_is_small(void **state)
{
	(void)state;
	assert_true(sizeof(struct job) <= 256);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(jobs_come_in_the_order_they_were_added),
		TEST(a_full_table_says_so_and_counts_what_waits_for_others),
		TEST(what_is_equal_is_held_once),
		TEST(a_job_follows_when_all_it_waits_for_have_succeeded),
		TEST(a_failure_cancels_all_that_follows_once),
		TEST(an_unknown_job_cannot_be_followed),
		TEST(a_long_chain_is_cancelled_without_recursion_and_only_so_many_are_remembered),
		TEST(all_that_waits_can_be_cancelled_at_once),
		TEST(a_record_is_small),
	};

	return RUN_TESTS(tests);
}
