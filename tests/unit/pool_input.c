/* SPDX-License-Identifier: MIT */
/*
 * pool_input.c - tests of what the local executor's jobs read from their standard input.
 */
#include "libcore/pool/pool.h"

#include "tests/unit/running.h"

enum { JOBS = 4 };

static struct {
	struct pcore_job job;
	char out[64];
	int status, steps, overs;
	uint64_t left;
} jobs[JOBS];

static struct {
	struct pcore_pool *pool;
	const char *const *commands;
	const char *pieces[4]; /* of every job; NULL: the end */
	unsigned n, made;
	bool hold, idle;
} w;

static int job_number(const struct pcore_job *job)
{
	return (int)((const char *)job - (const char *)&jobs[0].job) / (int)sizeof(jobs[0]);
}

static int next(void *ctx, struct pcore_job **ret)
{
	(void)ctx;
	if (w.made == w.n)
		return -ENODATA;
	*ret = &jobs[w.made++].job;
	return 1;
}

static bool output(void *ctx, struct pcore_job *job, enum pcore_job_stream stream, const char *data, size_t len)
{
	(void)ctx;
	(void)stream;
	strncat(jobs[job_number(job)].out, data, len < 30 ? len : 30);
	return true;
}

static void again(void *ctx, struct pcore_job *job)
{
	(void)ctx;
	assert(jobs[job_number(job)].overs == (int)job->attempt);
}

static void done(void *ctx, struct pcore_job *job)
{
	int i = job_number(job);

	(void)ctx;
	assert(jobs[i].overs == (int)job->attempt);
	jobs[i].status = pcore_job_status(job);
}

static void idle(void *ctx)
{
	(void)ctx;
	w.idle = true;
}

static void describe(void *ctx, struct pcore_job *job, struct pcore_proc_spec *spec)
{
	static char sh[] = "/bin/sh", c[] = "-c";
	static char *argv[4];

	(void)ctx;
	argv[0] = sh;
	argv[1] = c;
	argv[2] = (char *)(uintptr_t)w.commands[job_number(job)];
	spec->argv = argv;
	spec->envp = environ;
	jobs[job_number(job)].steps = 0;
}

static int input(void *ctx, struct pcore_job *job, struct pcore_piece *ret)
{
	int i = job_number(job);
	const char *s = w.pieces[jobs[i].steps];

	(void)ctx;
	if (!s)
		return -ENODATA;
	if (w.hold)
		return 0;
	*ret = (struct pcore_piece){ .data = s, .len = strlen(s) };
	jobs[i].steps++;
	return 1;
}

static void input_over(void *ctx, struct pcore_job *job, uint64_t left)
{
	(void)ctx;
	jobs[job_number(job)].overs++;
	jobs[job_number(job)].left = left;
}

static void start(const char *const *commands, unsigned n, uint64_t retries)
{
	static const struct pcore_pool_owner owner = {
		.next = next, .output = output, .again = again, .done = done, .idle = idle
	};
	struct pcore_local_spec local = {
		.keeper = world.keeper,
		.times = NO_TIMES,
		.describe = describe,
		.input = input,
		.input_over = input_over,
		.pipe_size = 1 << 20,
	};
	struct pcore_pool_spec spec = { .jobs = 2, .lingering = 2, .retries = retries };
	struct pcore_executor *ex;
	struct pcore_err err;

	memset(jobs, 0, sizeof(jobs));
	memset(&w, 0, sizeof(w));
	w.commands = commands;
	w.n = n;
	w.pieces[0] = "one ";
	w.pieces[1] = "two\n";
	local.times.kill_after = 200 * NS_PER_MS;
	assert_int_equal(pcore_local_new(&ex, world.lp, &local, &err), 0);
	assert_int_equal(pcore_pool_new(&w.pool, world.lp, &spec, &owner, NULL, ex), 0);
	pcore_pool_kick(w.pool);
}

static void finish(void)
{
	assert_int_equal(pcore_loop_run(world.lp), 0);
	assert_true(w.idle);
	pcore_pool_free(w.pool);
}

static void each_job_reads_its_input(void **state)
{
	static const char *const commands[] = { "cat", "read a b; echo $b", "true", "exec 0<&-; echo x" };

	(void)state;
	start(commands, 4, 0);
	finish();
	assert_string_equal(jobs[0].out, "one two\n");
	assert_string_equal(jobs[1].out, "two\n");
	assert_string_equal(jobs[3].out, "x\n");
	for (int i = 0; i < JOBS; i++)
		assert_int_equal(jobs[i].status, 0);
}

static void a_second_attempt_reads_it_again(void **state)
{
	char file[] = "/tmp/pcore-pool-XXXXXX", command[128];
	const char *const commands[] = { command };
	int fd = mkostemp(file, O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	snprintf(command, sizeof(command), "cat >>%s; [ $(wc -l <%s) = 3 ] && cat %s", file, file, file);
	start(commands, 1, 5);
	finish();
	close(fd);
	unlink(file);
	assert_string_equal(jobs[0].out, "one two\none two\none two\n");
	assert_int_equal(jobs[0].job.attempt, 3);
}

static void a_job_that_ends_while_it_waits_for_input_is_done(void **state)
{
	static const char *const commands[] = { "read x y <&- ; exit 7", "sleep 0.1" };

	(void)state;
	start(commands, 2, 0);
	w.hold = true;
	finish();
	assert_int_equal(jobs[0].status, 7);
	assert_int_equal(jobs[1].status, 0);
}

static void input_that_was_not_there_can_be_given_later(void **state)
{
	static const char *const commands[] = { "echo up; cat" };

	(void)state;
	start(commands, 1, 0);
	w.hold = true;
	turn_until(strcmp(jobs[0].out, "up\n") == 0);
	pcore_local_feed(&jobs[0].job);
	w.hold = false;
	pcore_local_feed(&jobs[0].job);
	finish();
	pcore_local_feed(&jobs[0].job); /* nothing to feed */
	assert_string_equal(jobs[0].out, "up\none two\n");
}

static void what_is_left_holding_the_pipe_keeps_nobody_waiting(void **state)
{
	static char big[3 << 20];
	static const char *const commands[] = { "sleep 77 <&0 & exit 3", "(setsid sleep 77 <&0 &); exit 4" };
	int64_t began = pcore_now_ns();

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	start(commands, 2, 0);
	w.pieces[0] = big;
	finish();
	assert_true(seconds_since(began) < 60);
	assert_int_equal(jobs[0].status, 3);
	assert_int_equal(jobs[1].status, 4);
	assert_true(jobs[0].left > 0);
}

static void an_input_that_cannot_be_written_fails_its_job(void **state)
{
	static const char *const commands[] = { "cat >/dev/null", "cat" };

	(void)state;
	pcore_fault_set("write:1:EIO");
	start(commands, 2, 0);
	finish();
	pcore_fault_set("");
	assert_int_equal(jobs[0].status + jobs[1].status, 125);
	assert_int_equal(jobs[jobs[0].status == 125 ? 0 : 1].job.result.error.step, PCORE_STEP_INPUT);
}

static void jobs_that_wait_for_input_can_be_ended(void **state)
{
	static const char *const commands[] = { "echo up; cat", "trap '' TERM; echo up; cat; sleep 77" };

	(void)state;
	start(commands, 2, 0);
	w.hold = true;
	turn_until(jobs[0].out[0] && jobs[1].out[0]);
	pcore_pool_stop(w.pool, PCORE_POOL_END);
	finish();
	assert_int_equal(jobs[0].status, 143);
	assert_int_equal(jobs[1].status, 137);
}

static const struct CMUnitTest tests[] = {
	TREE_TEST(each_job_reads_its_input),
	TREE_TEST(a_second_attempt_reads_it_again),
	TREE_TEST(a_job_that_ends_while_it_waits_for_input_is_done),
	TREE_TEST(input_that_was_not_there_can_be_given_later),
	TREE_TEST(what_is_left_holding_the_pipe_keeps_nobody_waiting),
	TREE_TEST(an_input_that_cannot_be_written_fails_its_job),
	TREE_TEST(jobs_that_wait_for_input_can_be_ended),
};

int main(void)
{
	return RUN_TESTS(tests);
}
