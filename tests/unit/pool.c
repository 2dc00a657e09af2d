/* SPDX-License-Identifier: MIT */
/*
 * pool.c - tests of the dispatcher with an executor that does what the test says, and of the
 * local executor with real processes.
 *
 * The first kind writes down what happens: n1 next() made job 1, s1 its attempt started, a1 it
 * will be tried again, d1=0 it is done with that status, d1- it was handed back undone, L2 the
 * limit was lowered to 2, e1 and k1 it was told to end or was killed, idle.
 */
#include "libcore/pool/pool.c"

#include "tests/unit/running.h"

enum { JOBS_MAX = 400 };

struct fake {
	struct pcore_executor ex;
	int start_error;   /* of the next starts */
	unsigned n_errors; /* how many of them fail */
	bool freed;
};

struct owner_log {
	struct pcore_job jobs[JOBS_MAX + 1];
	uint64_t n_jobs, made;
	bool pausing;     /* next() gives 0 */
	bool kick_always; /* from every callback */
	int idle;
	char text[4096];
	size_t len;
	unsigned running_max, running;
	uint64_t slots; /* of running jobs */
};

static struct owner_log log_;
static struct fake fake;
static struct pcore_pool *pool;

static void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *fmt, ...)
{
	va_list ap;

	assert(log_.idle == 0);
	va_start(ap, fmt);
	if (log_.len + 32 < sizeof(log_.text)) {
		if (log_.len > 0)
			log_.text[log_.len++] = ' ';
		log_.len += (size_t)vsnprintf(log_.text + log_.len, 32, fmt, ap);
	}
	va_end(ap);
	if (log_.kick_always)
		pcore_pool_kick(pool);
}

static void expect_log(const char *expected)
{
	assert_string_equal(log_.text, expected);
	log_.len = 0;
	log_.text[0] = '\0';
}

/* ---- the executor ---- */

static int fake_start(struct pcore_executor *ex, struct pcore_job *job, struct pcore_err *err)
{
	struct fake *f = container_of(ex, struct fake, ex);

	if (f->n_errors > 0) {
		f->n_errors--;
		return pcore_err_set(err, f->start_error, PCORE_STEP_EXEC, "it");
	}
	assert(job->slot >= 1 && job->slot <= 64);
	assert(!(log_.slots & UINT64_C(1) << (job->slot - 1)));
	log_.slots |= UINT64_C(1) << (job->slot - 1);
	log_.running++;
	if (log_.running > log_.running_max)
		log_.running_max = log_.running;
	return 0;
}

static void fake_signal(struct pcore_executor *ex, struct pcore_job *job, int sig)
{
	(void)ex;
	note("g%lu:%d", job->seq, sig);
}

static void fake_end(struct pcore_executor *ex, struct pcore_job *job)
{
	(void)ex;
	note("e%lu", job->seq);
}

static void fake_kill(struct pcore_executor *ex, struct pcore_job *job)
{
	(void)ex;
	note("k%lu", job->seq);
}

static void fake_resume(struct pcore_executor *ex, struct pcore_job *job)
{
	(void)ex;
	note("r%lu", job->seq);
}

static void fake_free(struct pcore_executor *ex)
{
	container_of(ex, struct fake, ex)->freed = true;
}

static void exits(uint64_t seq, int status)
{
	struct pcore_job *job = &log_.jobs[seq];

	job->result.exit.code = CLD_EXITED;
	job->result.exit.status = status;
	log_.slots &= ~(UINT64_C(1) << (job->slot - 1));
	log_.running--;
	pcore_pool_exited(pool, job);
}

static void finishes(uint64_t seq)
{
	pcore_pool_finished(pool, &log_.jobs[seq]);
}

static void ends(uint64_t seq, int status)
{
	exits(seq, status);
	finishes(seq);
}

/* ---- the owner ---- */

static int owner_next(void *ctx, struct pcore_job **ret)
{
	(void)ctx;
	if (log_.pausing)
		return 0;
	if (log_.made == log_.n_jobs)
		return -ENODATA;
	*ret = &log_.jobs[++log_.made];
	note("n%lu", log_.made);
	return 1;
}

static void owner_started(void *ctx, struct pcore_job *job)
{
	(void)ctx;
	if (job->attempt > 1)
		note("s%lu#%u", job->seq, job->attempt);
	else
		note("s%lu", job->seq);
}

static bool owner_output(void *ctx, struct pcore_job *job, enum pcore_job_stream stream,
	const char *data, size_t len)
{
	(void)ctx;
	note("o%lu/%d:%.*s", job->seq, (int)stream, (int)len, data);
	return true;
}

static void owner_again(void *ctx, struct pcore_job *job)
{
	(void)ctx;
	note("a%lu", job->seq);
}

static void owner_done(void *ctx, struct pcore_job *job)
{
	(void)ctx;
	if (job->state == PCORE_JOB_DONE)
		note("d%lu=%d", job->seq, pcore_job_status(job));
	else
		note("d%lu-", job->seq);
}

static void owner_limited(void *ctx, unsigned jobs, int error)
{
	(void)ctx;
	assert(error < 0);
	note("L%u", jobs);
}

static void owner_idle(void *ctx)
{
	(void)ctx;
	note("idle");
	log_.idle++;
}

static const struct pcore_pool_owner owner = {
	.next = owner_next,
	.started = owner_started,
	.output = owner_output,
	.again = owner_again,
	.done = owner_done,
	.limited = owner_limited,
	.idle = owner_idle,
};

static void make_pool(uint64_t n_jobs, const struct pcore_pool_spec *spec)
{
	static const struct pcore_executor_ops ops = {
		.start = fake_start,
		.signal = fake_signal,
		.end = fake_end,
		.kill = fake_kill,
		.resume = fake_resume,
		.free = fake_free,
	};

	memset(&log_, 0, sizeof(log_));
	fake = (struct fake){ .ex.ops = &ops };
	log_.n_jobs = n_jobs;
	assert_int_equal(pcore_pool_new(&pool, world.lp, spec, &owner, NULL, &fake.ex), 0);
	pcore_pool_kick(pool);
}

/* Deliver all that is due now. */
static void settle_loop(void)
{
	while (pcore_loop_turn(world.lp, false) > 0)
		;
}

static void expect_after(const char *expected)
{
	settle_loop();
	expect_log(expected);
}

static void free_pool(void)
{
	struct pcore_pool_counts c = pcore_pool_counts(pool);

	assert_int_equal(log_.idle, 1);
	assert_int_equal(c.running, 0);
	assert_int_equal(c.exited, 0);
	assert_int_equal(c.waiting, 0);
	assert_int_equal(log_.running, 0);
	assert_int_equal(pcore_loop_run(world.lp), 0);
	pcore_pool_free(pool);
	assert_true(fake.freed);
}

/* ---- starting ---- */

static void jobs_start_in_order_and_no_more_than_allowed(void **state)
{
	(void)state;
	make_pool(4, &(struct pcore_pool_spec){ .jobs = 2, .lingering = 8 });
	expect_log("");
	expect_after("n1 s1 n2 s2");
	ends(2, 0);
	expect_after("d2=0 n3 s3");
	ends(3, 7);
	expect_after("d3=7 n4 s4");
	ends(1, 0);
	ends(4, 0);
	expect_after("d1=0 d4=0 idle");
	assert_int_equal(pcore_pool_counts(pool).submitted, 4);
	assert_int_equal(pcore_pool_counts(pool).succeeded, 3);
	assert_int_equal(pcore_pool_counts(pool).failed, 1);
	assert_int_equal(pcore_pool_halt_status(pool), -1);
	free_pool();
}

static void an_empty_source_is_idle_at_once(void **state)
{
	(void)state;
	make_pool(0, &(struct pcore_pool_spec){ .jobs = 3 });
	expect_after("idle");
	free_pool();
}

static void a_pool_that_was_never_kicked_can_be_freed(void **state)
{
	(void)state;
	make_pool(0, &(struct pcore_pool_spec){ .jobs = 3 });
	expect_after("idle");
	free_pool();
	fake.freed = false;
	assert_int_equal(pcore_pool_new(&pool, world.lp, &(struct pcore_pool_spec){ .jobs = 1 },
				 &owner, NULL, &fake.ex),
		0);
	pcore_pool_free(pool);
	assert_true(fake.freed);
	pcore_pool_free(NULL);
}

static void an_exited_job_makes_room_but_only_so_many_linger(void **state)
{
	(void)state;
	make_pool(9, &(struct pcore_pool_spec){ .jobs = 1, .lingering = 2 });
	expect_after("n1 s1");
	exits(1, 0);
	expect_after("n2 s2");
	exits(2, 0);
	expect_after("n3 s3");
	exits(3, 0);
	expect_after("");
	finishes(2);
	expect_after("d2=0 n4 s4");
	finishes(1);
	finishes(3);
	expect_after("d1=0 d3=0");
	pcore_pool_stop(pool, PCORE_POOL_DRAIN);
	ends(4, 0);
	expect_after("d4=0 idle");
	free_pool();
}

static void a_source_that_has_nothing_now_is_asked_again_when_kicked(void **state)
{
	(void)state;
	make_pool(1, &(struct pcore_pool_spec){ .jobs = 2 });
	log_.pausing = true;
	expect_after("");
	log_.pausing = false;
	expect_after("");
	pcore_pool_kick(pool);
	pcore_pool_kick(pool);
	expect_log("");
	expect_after("n1 s1");
	ends(1, 0);
	expect_after("d1=0 idle");
	free_pool();
}

static void a_kick_from_any_callback_is_harmless(void **state)
{
	(void)state;
	make_pool(3, &(struct pcore_pool_spec){ .jobs = 1, .lingering = 1, .retries = 1 });
	log_.kick_always = true;
	expect_after("n1 s1");
	ends(1, 1);
	expect_after("a1 s1#2");
	ends(1, 0);
	expect_after("d1=0 n2 s2");
	ends(2, 0);
	expect_after("d2=0 n3 s3");
	ends(3, 0);
	expect_after("d3=0 idle");
	pcore_pool_kick(pool);
	expect_after("");
	free_pool();
}

static void no_two_running_jobs_share_a_slot(void **state)
{
	unsigned seed = 1;

	(void)state;
	make_pool(JOBS_MAX, &(struct pcore_pool_spec){ .jobs = 64, .lingering = 64 });
	while (!log_.idle) {
		uint64_t running[64], n = 0;

		settle_loop();
		for (uint64_t i = 1; i <= log_.made; i++)
			if (log_.jobs[i].state == PCORE_JOB_RUNNING)
				running[n++] = i;
		seed = seed * 1103515245 + 12345;
		if (n > 0)
			ends(running[(seed >> 16) % n], 0);
	}
	assert_int_equal(log_.running_max, 64);
	assert_int_equal(log_.slots, 0);
	assert_int_equal(pcore_pool_counts(pool).succeeded, JOBS_MAX);
	free_pool();
}

static void output_and_resume_are_passed_on(void **state)
{
	(void)state;
	make_pool(1, &(struct pcore_pool_spec){ .jobs = 1 });
	expect_after("n1 s1");
	assert_true(pcore_pool_output(pool, &log_.jobs[1], PCORE_JOB_STDERR, "x", 1));
	pcore_pool_resume(pool, &log_.jobs[1]);
	pcore_pool_signal(pool, 15);
	exits(1, 0);
	assert_true(pcore_pool_output(pool, &log_.jobs[1], PCORE_JOB_STDOUT, "y", 1));
	pcore_pool_resume(pool, &log_.jobs[1]);
	finishes(1);
	pcore_pool_resume(pool, &log_.jobs[1]); /* too late: nothing */
	expect_after("o1/1:x r1 g1:15 o1/0:y r1 d1=0 idle");
	free_pool();
}

static void two_starts_are_a_delay_apart(void **state)
{
	int64_t began = pcore_now_ns(), between;

	(void)state;
	make_pool(3, &(struct pcore_pool_spec){ .jobs = 3, .delay = 60 * NS_PER_MS });
	expect_after("n1 s1 n2");
	while (log_.running < 3)
		pcore_loop_turn(world.lp, true);
	between = pcore_now_ns() - began;
	expect_log("s2 n3 s3");
	assert_true(between >= 120 * NS_PER_MS);
	assert_true(between < 1000 * NS_PER_MS);
	for (uint64_t i = 1; i <= 3; i++)
		ends(i, 0);
	expect_after("d1=0 d2=0 d3=0 idle");
	free_pool();
}

/* ---- while it runs ---- */

static void an_owner_may_leave_numbers_out(void **state)
{
	(void)state;
	make_pool(3, &(struct pcore_pool_spec){ .jobs = 1, .lingering = 1 });
	log_.jobs[2].seq = 7;
	expect_after("n1 s1");
	ends(1, 0);
	expect_after("d1=0 n2 s7");
	exits(2, 0);
	finishes(2);
	expect_after("d7=0 n3 s8");
	ends(3, 0);
	expect_after("d8=0 idle");
	free_pool();
}

static void more_jobs_run_when_the_number_is_raised_and_fewer_when_it_is_lowered(void **state)
{
	(void)state;
	make_pool(9, &(struct pcore_pool_spec){ .jobs = 1, .lingering = 8 });
	expect_after("n1 s1");
	assert_int_equal(pcore_pool_set_jobs(pool, 3), 0);
	expect_after("n2 s2 n3 s3");
	assert_int_equal(log_.jobs[3].slot, 3);
	assert_int_equal(pcore_pool_set_jobs(pool, 2), 0);
	ends(1, 0);
	expect_after("d1=0");
	ends(2, 0);
	expect_after("d2=0 n4 s4");
	assert_int_equal(log_.jobs[4].slot, 1);
	assert_int_equal(pcore_pool_set_jobs(pool, 0), 0);
	ends(3, 0);
	ends(4, 0);
	expect_after("d3=0 d4=0");
	assert_int_equal(pcore_pool_set_jobs(pool, 64), 0);
	expect_after("n5 s5 n6 s6 n7 s7 n8 s8 n9 s9");
	for (uint64_t i = 5; i <= 9; i++)
		ends(i, 0);
	expect_after("d5=0 d6=0 d7=0 d8=0 d9=0 idle");
	free_pool();
}

static void a_lowered_limit_is_not_raised_by_setting_the_number(void **state)
{
	(void)state;
	make_pool(4, &(struct pcore_pool_spec){ .jobs = 3, .lingering = 8 });
	fake.start_error = -EAGAIN;
	expect_after("n1 s1 n2 s2 n3 s3");
	ends(1, 0);
	fake.n_errors = 1;
	expect_after("d1=0 n4 L2");
	assert_int_equal(pcore_pool_set_jobs(pool, 5), 0);
	expect_after("");
	ends(2, 0);
	expect_after("d2=0 s4");
	ends(3, 0);
	ends(4, 0);
	expect_after("d3=0 d4=0 idle");
	free_pool();
}

static void a_held_pool_starts_nothing_but_finds_the_end(void **state)
{
	(void)state;
	make_pool(3, &(struct pcore_pool_spec){ .jobs = 2, .lingering = 2 });
	pcore_pool_hold(pool, true);
	expect_after("n1");
	pcore_pool_kick(pool);
	expect_after("");
	pcore_pool_hold(pool, false);
	expect_after("s1 n2 s2");
	pcore_pool_hold(pool, true);
	ends(1, 0);
	ends(2, 0);
	expect_after("d1=0 d2=0 n3");
	pcore_pool_stop(pool, PCORE_POOL_DRAIN);
	expect_after("d3- idle");
	free_pool();
	make_pool(0, &(struct pcore_pool_spec){ .jobs = 2 });
	pcore_pool_hold(pool, true);
	expect_after("idle");
	free_pool();
}

static void hands_back(uint64_t seq)
{
	log_.slots &= ~(UINT64_C(1) << (log_.jobs[seq].slot - 1));
	log_.running--;
	pcore_pool_handed_back(pool, &log_.jobs[seq]);
}

static void a_job_that_is_handed_back_is_started_again_as_the_same_attempt(void **state)
{
	(void)state;
	make_pool(3, &(struct pcore_pool_spec){ .jobs = 2, .lingering = 2 });
	expect_after("n1 s1 n2 s2");
	hands_back(2);
	hands_back(1);
	expect_after("s1 s2");
	assert_int_equal(log_.jobs[1].attempt, 1);
	ends(1, 0);
	expect_after("d1=0 n3 s3");
	pcore_pool_stop(pool, PCORE_POOL_DRAIN);
	hands_back(3);
	expect_after("d3-");
	ends(2, 0);
	expect_after("d2=0 idle");
	free_pool();
}

/* ---- retry ---- */

static void a_failed_job_is_tried_again_so_many_times(void **state)
{
	(void)state;
	make_pool(2, &(struct pcore_pool_spec){ .jobs = 1, .lingering = 1, .retries = 2 });
	expect_after("n1 s1");
	ends(1, 3);
	expect_after("a1 s1#2");
	assert_int_equal(pcore_pool_counts(pool).failed, 0);
	ends(1, 4);
	expect_after("a1 s1#3");
	ends(1, 5);
	expect_after("d1=5 n2 s2");
	ends(2, 1);
	expect_after("a2 s2#2");
	ends(2, 0);
	expect_after("d2=0 idle");
	assert_int_equal(pcore_pool_counts(pool).succeeded, 1);
	assert_int_equal(pcore_pool_counts(pool).failed, 1);
	assert_int_equal(log_.jobs[1].attempt, 3);
	free_pool();
}

static void a_job_may_have_further_tries_of_its_own(void **state)
{
	(void)state;
	make_pool(2, &(struct pcore_pool_spec){ .jobs = 1, .lingering = 1 });
	log_.jobs[1].retries = 1;
	expect_after("n1 s1");
	ends(1, 3);
	expect_after("a1 s1#2");
	ends(1, 3);
	expect_after("d1=3 n2 s2");
	ends(2, 3);
	expect_after("d2=3 idle");
	free_pool();
}

static void one_job_can_be_ended_and_is_not_tried_again(void **state)
{
	(void)state;
	make_pool(3, &(struct pcore_pool_spec){ .jobs = 1, .lingering = 1, .retries = 5, .retry_delay = 60 * NS_PER_S });
	expect_after("n1 s1");
	pcore_pool_end(pool, &log_.jobs[1]);
	expect_after("e1");
	ends(1, 3);
	expect_after("d1=3 n2 s2");
	ends(2, 4); /* waits for another try */
	expect_after("a2 n3 s3");
	pcore_pool_end(pool, &log_.jobs[2]);
	expect_log("d2=4");
	assert_int_equal(pcore_pool_counts(pool).waiting, 0);
	ends(3, 0);
	expect_after("d3=0 idle");
	free_pool();
}

static void a_job_that_waits_for_room_can_be_ended(void **state)
{
	(void)state;
	make_pool(2, &(struct pcore_pool_spec){ .jobs = 2, .lingering = 2 });
	fake.start_error = -EAGAIN;
	fake.n_errors = 1;
	expect_after("n1 L1");
	pcore_pool_end(pool, &log_.jobs[1]);
	expect_log("d1-");
	turn_until(log_.running == 1);
	expect_after("n2 s2");
	ends(2, 0);
	expect_after("d2=0 idle");
	free_pool();
}

static void others_run_while_a_failed_one_waits(void **state)
{
	int64_t failed;

	(void)state;
	make_pool(2,
		&(struct pcore_pool_spec){
			.jobs = 1, .lingering = 1, .retries = 1, .retry_delay = 100 * NS_PER_MS });
	expect_after("n1 s1");
	failed = pcore_now_ns();
	ends(1, 3);
	expect_after("a1 n2 s2");
	assert_int_equal(pcore_pool_counts(pool).waiting, 1);
	ends(2, 0);
	expect_after("d2=0");
	while (log_.len == 0)
		pcore_loop_turn(world.lp, true);
	assert_true(pcore_now_ns() - failed >= 100 * NS_PER_MS);
	expect_log("s1#2");
	assert_int_equal(pcore_pool_counts(pool).waiting, 0);
	ends(1, 0);
	expect_after("d1=0 idle");
	free_pool();
}

static void what_cannot_be_run_is_not_tried_again(void **state)
{
	(void)state;
	make_pool(3, &(struct pcore_pool_spec){ .jobs = 1, .retries = 5 });
	fake.n_errors = 2;
	fake.start_error = -ENOENT;
	expect_after("n1 d1=127 n2 d2=127 n3 s3");
	ends(3, 0);
	expect_after("d3=0 idle");
	assert_int_equal(pcore_pool_counts(pool).failed, 2);
	free_pool();
}

static void a_status_tells_how_an_attempt_ended(void **state)
{
	struct pcore_job job = { .result.exit = { .code = CLD_EXITED, .status = 3 } };

	(void)state;
	assert_int_equal(pcore_job_status(&job), 3);
	assert_false(pcore_job_succeeded(&job));
	job.result.exit.status = 0;
	assert_int_equal(pcore_job_status(&job), 0);
	assert_true(pcore_job_succeeded(&job));
	job.result.timed_out = true; /* a command that ends well all the same came too late */
	assert_int_equal(pcore_job_status(&job), 124);
	assert_false(pcore_job_succeeded(&job));
	job.result.timed_out = false;
	job.result.exit = (struct pcore_exit){ .code = CLD_KILLED, .status = SIGKILL };
	assert_int_equal(pcore_job_status(&job), 137);
	assert_false(pcore_job_succeeded(&job));
	job.result.error = (struct pcore_err){ .code = -E2BIG, .step = PCORE_STEP_EXEC };
	assert_int_equal(pcore_job_status(&job), 126);
	job.result.error.code = -ENOTDIR;
	assert_int_equal(pcore_job_status(&job), 127);
	job.result.error = (struct pcore_err){ .code = -ENOENT, .step = PCORE_STEP_CHDIR };
	assert_int_equal(pcore_job_status(&job), 125);
}

/* ---- halt ---- */

static void halt_soon_lets_the_running_ones_finish(void **state)
{
	(void)state;
	make_pool(9,
		&(struct pcore_pool_spec){
			.jobs = 2, .lingering = 2, .halt = { .when = PCORE_HALT_SOON, .n = 2 } });
	expect_after("n1 s1 n2 s2");
	ends(1, 4);
	expect_after("d1=4 n3 s3");
	ends(2, 5);
	expect_after("d2=5");
	assert_int_equal(pcore_pool_stopping(pool), PCORE_POOL_DRAIN);
	assert_int_equal(pcore_pool_halt_status(pool), 5);
	ends(3, 6);
	expect_after("d3=6 idle");
	assert_int_equal(pcore_pool_halt_status(pool), 5);
	free_pool();
}

static void halt_now_ends_the_running_ones(void **state)
{
	(void)state;
	make_pool(
		9, &(struct pcore_pool_spec){
			   .jobs = 3, .lingering = 3, .halt = { .when = PCORE_HALT_NOW, .n = 1 } });
	expect_after("n1 s1 n2 s2 n3 s3");
	exits(3, 0); /* it lingers */
	ends(1, 9);
	expect_after("e2 e3 d1=9");
	assert_int_equal(pcore_pool_halt_status(pool), 9);
	finishes(3);
	ends(2, 1);
	expect_after("d3=0 d2=1 idle");
	free_pool();
}

static void halt_may_count_successes(void **state)
{
	(void)state;
	make_pool(9, &(struct pcore_pool_spec){ .jobs = 2,
			     .lingering = 2,
			     .halt = { .when = PCORE_HALT_NOW, .n = 1, .on_success = true } });
	expect_after("n1 s1 n2 s2");
	ends(1, 9);
	expect_after("d1=9 n3 s3");
	ends(2, 0);
	expect_after("e3 d2=0");
	assert_int_equal(pcore_pool_halt_status(pool), 0);
	ends(3, 143);
	expect_after("d3=143 idle");
	free_pool();
}

static void halt_may_count_a_share_once_three_have_ended(void **state)
{
	(void)state;
	make_pool(9, &(struct pcore_pool_spec){ .jobs = 1,
			     .lingering = 1,
			     .halt = { .when = PCORE_HALT_SOON, .n = 50, .percent = true } });
	expect_after("n1 s1");
	ends(1, 1); /* 1 of 1 */
	expect_after("d1=1 n2 s2");
	ends(2, 0);
	expect_after("d2=0 n3 s3");
	ends(3, 0); /* 1 of 3 */
	expect_after("d3=0 n4 s4");
	ends(4, 0);
	expect_after("d4=0 n5 s5");
	ends(5, 2); /* 2 of 5 */
	expect_after("d5=2 n6 s6");
	ends(6, 3); /* 3 of 6 */
	expect_after("d6=3 idle");
	assert_int_equal(pcore_pool_halt_status(pool), 3);
	free_pool();
}

static void halt_counts_what_cannot_be_run(void **state)
{
	(void)state;
	make_pool(9,
		&(struct pcore_pool_spec){ .jobs = 2, .halt = { .when = PCORE_HALT_NOW, .n = 1 } });
	fake.n_errors = 1;
	fake.start_error = -EACCES;
	expect_after("n1 d1=126 idle");
	assert_int_equal(pcore_pool_halt_status(pool), 126);
	free_pool();
}

static void halt_hands_back_what_waits_for_another_attempt(void **state)
{
	(void)state;
	make_pool(9, &(struct pcore_pool_spec){ .jobs = 2,
			     .lingering = 2,
			     .retries = 1,
			     .retry_delay = NS_PER_S,
			     .halt = { .when = PCORE_HALT_SOON, .n = 1 } });
	fake.start_error = -ENOENT;
	expect_after("n1 s1 n2 s2");
	fake.n_errors = 1;
	ends(1, 3);
	expect_after("a1 n3 d1=3 d3=127");
	ends(2, 4);
	expect_after("d2=4 idle");
	assert_int_equal(pcore_pool_halt_status(pool), 127);
	free_pool();
}

/* ---- shortage ---- */

static void a_shortage_lowers_the_limit_and_the_job_is_tried_again(void **state)
{
	(void)state;
	make_pool(9, &(struct pcore_pool_spec){ .jobs = 4, .lingering = 4 });
	log_.pausing = true;
	settle_loop();
	log_.pausing = false;
	log_.n_jobs = 2;
	pcore_pool_kick(pool);
	expect_after("n1 s1 n2 s2");
	pool->source_dry = false;
	log_.n_jobs = 5;
	fake.n_errors = 1;
	fake.start_error = -EAGAIN;
	pcore_pool_kick(pool);
	expect_after("n3 L2");
	pcore_pool_kick(pool);
	expect_after(""); /* not before one has ended */
	ends(1, 0);
	expect_after("d1=0 s3");
	assert_int_equal(log_.jobs[3].attempt, 1);
	ends(2, 0);
	expect_after("d2=0 n4 s4");
	ends(3, 0);
	ends(4, 0);
	expect_after("d3=0 d4=0 n5 s5");
	ends(5, 0);
	expect_after("d5=0 idle");
	assert_int_equal(pcore_pool_counts(pool).succeeded, 5);
	free_pool();
}

static void a_lowered_limit_rises_again(void **state)
{
	uint64_t first = 1;

	(void)state;
	make_pool(JOBS_MAX, &(struct pcore_pool_spec){ .jobs = 3, .lingering = 3 });
	fake.n_errors = 1;
	fake.start_error = -ENFILE;
	expect_after("n1 L1");
	while (log_.running == 0) /* it waits a moment: there is nothing that could end */
		pcore_loop_turn(world.lp, true);
	assert_int_equal(pool->limit, 1);
	log_.running_max = 0;
	for (; !log_.idle; settle_loop())
		for (uint64_t i = first; i <= log_.made; i++)
			if (log_.jobs[i].state == PCORE_JOB_RUNNING) {
				assert_true(log_.running <= 1 + i / RAISE_AFTER);
				ends(i, 0);
			}
	assert_int_equal(log_.running_max, 3);
	free_pool();
}

static void a_shortage_that_does_not_end_fails_the_job_after_a_while(void **state)
{
	int64_t began = pcore_now_ns();

	(void)state;
	make_pool(2, &(struct pcore_pool_spec){ .jobs = 4, .retries = 3 });
	fake.n_errors = UINT32_MAX;
	fake.start_error = -ENOMEM;
	expect_after("n1 L1");
	while (pool->shortage_ns < 80 * NS_PER_MS)
		pcore_loop_turn(world.lp, true);
	assert_true(pcore_now_ns() - began >= 70 * NS_PER_MS);
	expect_log("");
	assert_int_equal(log_.jobs[1].attempt, 0);
	pool->shortage_ns = SHORTAGE_GIVE_UP_NS / 2; /* as if it had waited for that long */
	while (!log_.idle)
		pcore_loop_turn(world.lp, true);
	/* error.step says exec here: what matters is that both have failed. */
	expect_log("d1=126 n2 d2=126 idle");
	free_pool();
}

static void a_shortage_of_our_own_descriptors_is_not_waited_out_alone(void **state)
{
	(void)state;
	make_pool(2, &(struct pcore_pool_spec){ .jobs = 2, .lingering = 2 });
	fake.n_errors = 1;
	fake.start_error = -EMFILE;
	expect_after("n1 L1 d1=126 n2 s2");
	ends(2, 0);
	expect_after("d2=0 idle");
	free_pool();
}

static void a_stop_ends_the_wait_for_room(void **state)
{
	(void)state;
	make_pool(2, &(struct pcore_pool_spec){ .jobs = 4 });
	fake.n_errors = UINT32_MAX;
	fake.start_error = -EAGAIN;
	expect_after("n1 L1");
	pcore_pool_stop(pool, PCORE_POOL_DRAIN);
	expect_after("d1- idle");
	free_pool();
}

static void a_shortage_keeps_the_result_of_the_attempt_before(void **state)
{
	(void)state;
	make_pool(1, &(struct pcore_pool_spec){ .jobs = 1, .lingering = 1, .retries = 1 });
	expect_after("n1 s1");
	fake.n_errors = UINT32_MAX;
	fake.start_error = -EAGAIN;
	ends(1, 7);
	expect_after("a1");
	pcore_pool_stop(pool, PCORE_POOL_DRAIN);
	expect_after("d1=7 idle");
	free_pool();
}

/* ---- stop ---- */

static void drain_starts_no_more(void **state)
{
	(void)state;
	make_pool(9, &(struct pcore_pool_spec){ .jobs = 2, .lingering = 2, .retries = 3 });
	expect_after("n1 s1 n2 s2");
	pcore_pool_stop(pool, PCORE_POOL_DRAIN);
	pcore_pool_stop(pool, PCORE_POOL_DRAIN);
	expect_after("");
	exits(1, 1);
	expect_after("");
	finishes(1); /* and it is not tried again */
	expect_after("d1=1");
	ends(2, 0);
	expect_after("d2=0 idle");
	free_pool();
}

static void stops_become_harder_never_milder(void **state)
{
	(void)state;
	make_pool(9, &(struct pcore_pool_spec){ .jobs = 2, .lingering = 2 });
	expect_after("n1 s1 n2 s2");
	exits(2, 0);
	expect_after("n3 s3");
	pcore_pool_stop(pool, PCORE_POOL_END);
	expect_log("e1 e2 e3");
	pcore_pool_stop(pool, PCORE_POOL_DRAIN);
	pcore_pool_stop(pool, PCORE_POOL_END);
	expect_after("");
	assert_int_equal(pcore_pool_stopping(pool), PCORE_POOL_END);
	pcore_pool_stop(pool, PCORE_POOL_KILL);
	pcore_pool_stop(pool, PCORE_POOL_KILL);
	expect_log("k1 k2 k3");
	finishes(2);
	ends(1, 1);
	ends(3, 1);
	expect_after("d2=0 d1=1 d3=1 idle");
	free_pool();
}

static void a_stop_before_anything_started_is_idle(void **state)
{
	(void)state;
	make_pool(9, &(struct pcore_pool_spec){ .jobs = 2 });
	pcore_pool_stop(pool, PCORE_POOL_KILL);
	expect_after("idle");
	pcore_pool_stop(pool, PCORE_POOL_KILL);
	expect_after("");
	free_pool();
}

static void a_stop_with_only_waiting_jobs_is_idle(void **state)
{
	(void)state;
	make_pool(
		1, &(struct pcore_pool_spec){
			   .jobs = 2, .lingering = 2, .retries = 1, .retry_delay = 60 * NS_PER_S });
	expect_after("n1 s1");
	ends(1, 5);
	expect_after("a1");
	pcore_pool_stop(pool, PCORE_POOL_END);
	expect_after("d1=5 idle");
	assert_int_equal(pcore_pool_counts(pool).failed, 1);
	free_pool();
}

static void a_stop_while_the_source_has_nothing_is_idle(void **state)
{
	(void)state;
	make_pool(1, &(struct pcore_pool_spec){ .jobs = 2 });
	log_.pausing = true;
	expect_after("");
	pcore_pool_stop(pool, PCORE_POOL_DRAIN);
	expect_after("idle");
	free_pool();
}

static void a_stop_within_the_delay_is_idle(void **state)
{
	(void)state;
	make_pool(
		9, &(struct pcore_pool_spec){ .jobs = 2, .lingering = 2, .delay = 60 * NS_PER_S });
	expect_after("n1 s1 n2");
	ends(1, 0);
	expect_after("d1=0");
	pcore_pool_stop(pool, PCORE_POOL_DRAIN);
	expect_after("d2- idle");
	free_pool();
}

static void no_delay_follows_the_last_job(void **state)
{
	(void)state;
	make_pool(
		1, &(struct pcore_pool_spec){ .jobs = 2, .lingering = 2, .delay = 60 * NS_PER_S });
	expect_after("n1 s1");
	ends(1, 0);
	expect_after("d1=0 idle");
	free_pool();
}

/* ---- with processes ---- */

struct real {
	const char *const *commands;
	struct pcore_job jobs[32];
	unsigned n, made, done, idle;
	int status[32];
	bool timed_out[32], cancelled[32];
	char out[32][2][64];
	uint64_t bytes;
	bool refuse; /* the next output */
	char *argv[4];
};

static struct real real;

static unsigned number_of(const struct pcore_job *job)
{
	return (unsigned)(job - real.jobs);
}

static int real_next(void *ctx, struct pcore_job **ret)
{
	(void)ctx;
	if (real.made == real.n)
		return -ENODATA;
	*ret = &real.jobs[real.made++];
	return 1;
}

static bool real_output(void *ctx, struct pcore_job *job, enum pcore_job_stream stream,
	const char *data, size_t len)
{
	char *out = real.out[number_of(job)][stream];
	size_t room = sizeof(real.out[0][0]) - 1 - strlen(out);
	bool refuse = real.refuse;

	(void)ctx;
	strncat(out, data, len < room ? len : room);
	real.bytes += len;
	real.refuse = false;
	return !refuse;
}

static void real_again(void *ctx, struct pcore_job *job)
{
	(void)ctx;
	real.out[number_of(job)][0][0] = real.out[number_of(job)][1][0] = '\0';
}

static void real_done(void *ctx, struct pcore_job *job)
{
	unsigned i = number_of(job);

	(void)ctx;
	real.status[i] = job->state == PCORE_JOB_DONE ? pcore_job_status(job) : -1;
	real.timed_out[i] = job->result.timed_out;
	real.cancelled[i] = job->result.cancelled;
	real.done++;
}

static void real_idle(void *ctx)
{
	(void)ctx;
	real.idle++;
}

static void real_describe(void *ctx, struct pcore_job *job, struct pcore_proc_spec *spec)
{
	static char sh[] = "/bin/sh", c[] = "-c";

	(void)ctx;
	real.argv[0] = sh;
	real.argv[1] = c;
	real.argv[2] = (char *)(uintptr_t)real.commands[number_of(job)];
	spec->argv = real.argv;
	spec->envp = environ;
}

static const struct pcore_pool_owner real_owner = { .next = real_next,
	.output = real_output,
	.again = real_again,
	.done = real_done,
	.idle = real_idle };

static void make_real(const char *const *commands, unsigned n, const struct pcore_pool_spec *spec,
	int64_t timeout)
{
	struct pcore_local_spec local = {
		.keeper = world.keeper, .times = NO_TIMES, .describe = real_describe
	};
	struct pcore_executor *ex;
	struct pcore_err err;

	memset(&real, 0, sizeof(real));
	real.commands = commands;
	real.n = n;
	local.times.timeout = timeout;
	local.times.kill_after = 200 * NS_PER_MS;
	assert_int_equal(pcore_local_new(&ex, world.lp, &local, &err), 0);
	assert_int_equal(pcore_pool_new(&pool, world.lp, spec, &real_owner, NULL, ex), 0);
	pcore_pool_kick(pool);
}

static void finish_real(void)
{
	assert_int_equal(pcore_loop_run(world.lp), 0);
	assert_int_equal(real.idle, 1);
	assert_int_equal(real.done, real.made);
	pcore_pool_free(pool);
}

static void processes_run_at_the_same_time_and_tell_all(void **state)
{
	static const char *const commands[] = {
		"sleep 0.3; echo a; echo x >&2",
		"sleep 0.3; echo b; exit 3",
		"sleep 0.3; kill -9 $$",
		"sleep 0.3; read x || echo end of file",
	};
	int64_t began = pcore_now_ns();

	(void)state;
	make_real(commands, 4, &(struct pcore_pool_spec){ .jobs = 4, .lingering = 4 }, INT64_MAX);
	finish_real();
	assert_true(seconds_since(began) < 1.1);
	assert_int_equal(real.status[0], 0);
	assert_int_equal(real.status[1], 3);
	assert_int_equal(real.status[2], 137);
	assert_int_equal(real.status[3], 0);
	assert_string_equal(real.out[0][0], "a\n");
	assert_string_equal(real.out[0][1], "x\n");
	assert_string_equal(real.out[1][0], "b\n");
	assert_string_equal(real.out[3][0], "end of file\n");
}

static void a_slot_is_used_again_after_its_job_was_killed(void **state)
{
	static const char *const commands[] = { "trap '' TERM; echo begun; sleep 77; sleep 77",
		"echo b", "trap '' TERM; sleep 77; sleep 77", "echo d; exit 4", "echo e" };

	(void)state;
	make_real(commands, 5, &(struct pcore_pool_spec){ .jobs = 1, .lingering = 1 },
		300 * NS_PER_MS);
	finish_real();
	assert_int_equal(real.status[0], 124);
	assert_true(real.timed_out[0]);
	assert_string_equal(real.out[0][0], "begun\n");
	assert_int_equal(real.status[1], 0);
	assert_int_equal(real.status[2], 124);
	assert_int_equal(real.status[3], 4);
	assert_int_equal(real.status[4], 0);
	assert_string_equal(real.out[4][0], "e\n");
}

static void a_failed_process_is_tried_again(void **state)
{
	char file[] = "/tmp/pcore-pool-XXXXXX", command[128];
	const char *const commands[] = { command };
	int fd = mkostemp(file, O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	snprintf(command, sizeof(command), "echo x >>%s; wc -l <%s; [ $(wc -l <%s) -ge 3 ]", file,
		file, file);
	make_real(commands, 1, &(struct pcore_pool_spec){ .jobs = 1, .lingering = 1, .retries = 5 },
		INT64_MAX);
	finish_real();
	close(fd);
	unlink(file);
	assert_int_equal(real.status[0], 0);
	assert_string_equal(real.out[0][0], "3\n");
	assert_int_equal(real.jobs[0].attempt, 3);
}

static void a_job_may_have_a_time_limit_of_its_own(void **state)
{
	static const char *const commands[] = { "exec sleep 77", "sleep 0.3" };

	(void)state;
	make_real(commands, 2, &(struct pcore_pool_spec){ .jobs = 2, .lingering = 2 }, INT64_MAX);
	real.jobs[0].timeout = 50 * NS_PER_MS;
	finish_real();
	assert_int_equal(real.status[0], 124);
	assert_int_equal(real.status[1], 0);
}

static void a_job_may_have_a_signal_and_a_grace_of_its_own(void **state)
{
	static const char *const commands[] = { "trap 'exit 5' INT; while :; do sleep 0.02; done", "trap '' TERM; while :; do sleep 0.02; done" };
	static const struct pcore_proc_times by_int = { .timeout = 300 * NS_PER_MS, .kill_after = INT64_MAX, .signal = SIGINT },
					     soon = { .timeout = 300 * NS_PER_MS, .kill_after = 0, .signal = SIGTERM };

	(void)state;
	make_real(commands, 2, &(struct pcore_pool_spec){ .jobs = 2, .lingering = 2 }, INT64_MAX);
	real.jobs[0].times = &by_int; /* it ends by itself, however long it takes */
	real.jobs[1].times = &soon;
	finish_real();
	assert_true(real.timed_out[0]);
	assert_int_equal(real.jobs[0].result.exit.code, CLD_EXITED);
	assert_int_equal(real.jobs[0].result.exit.status, 5);
	assert_true(real.timed_out[1]);
	assert_int_equal(real.jobs[1].result.exit.status, SIGKILL);
}

static void a_job_may_have_a_delay_between_tries_of_its_own(void **state)
{
	static const char *const commands[] = { "exit 1", "exit 2" };
	int64_t began = pcore_now_ns();

	(void)state;
	make_real(commands, 2, &(struct pcore_pool_spec){ .jobs = 2, .lingering = 2, .retries = 1 }, INT64_MAX);
	real.jobs[0].retry_delay = 300 * NS_PER_MS;
	finish_real();
	assert_true(pcore_now_ns() - began >= 300 * NS_PER_MS);
	assert_int_equal(real.jobs[0].attempt, 2);
	assert_int_equal(real.jobs[1].attempt, 2);
	assert_true(real.jobs[1].result.start_ns < real.jobs[0].result.start_ns);
}

static void a_stray_that_holds_the_pipe_keeps_nobody_waiting(void **state)
{
	static const char *const commands[] = { "echo a; sleep 77 &", "echo b; (setsid sleep 77 &)",
		"echo c" };
	int64_t began = pcore_now_ns();

	(void)state;
	make_real(commands, 3, &(struct pcore_pool_spec){ .jobs = 1, .lingering = 4 }, INT64_MAX);
	finish_real();
	assert_true(seconds_since(began) < 1.5);
	assert_string_equal(real.out[0][0], "a\n");
	assert_string_equal(real.out[1][0], "b\n");
	assert_string_equal(real.out[2][0], "c\n");
}

static void refused_output_holds_the_process_back_until_it_is_resumed(void **state)
{
	static const char *const commands[] = { "head -c 1000000 /dev/zero" };

	(void)state;
	make_real(commands, 1, &(struct pcore_pool_spec){ .jobs = 1, .lingering = 1 }, INT64_MAX);
	real.refuse = true;
	turn_until(real.bytes > 0);
	for (int64_t t = pcore_now_ns(); seconds_since(t) < 0.1; usleep(5000))
		pcore_loop_turn(world.lp, false);
	assert_true(real.bytes < 1000000);
	assert_int_equal(real.done, 0);
	pcore_pool_resume(pool, &real.jobs[0]);
	finish_real();
	assert_int_equal(real.bytes, 1000000);
}

static void stop_while_processes_run(enum pcore_pool_stop how, int64_t at_most_ms)
{
	static const char *const commands[] = { "echo up; exec sleep 2",
		"trap '' TERM; echo up; sleep 2", "echo never" };
	int64_t began;

	make_real(commands, 3, &(struct pcore_pool_spec){ .jobs = 2, .lingering = 2 }, INT64_MAX);
	turn_until(real.bytes == 6);
	began = pcore_now_ns();
	pcore_pool_stop(pool, how);
	finish_real();
	assert_true(pcore_now_ns() - began < at_most_ms * NS_PER_MS);
	assert_int_equal(real.made, 2);
	assert_int_equal(real.cancelled[0], how != PCORE_POOL_DRAIN);
	assert_int_equal(real.cancelled[1], how != PCORE_POOL_DRAIN);
	assert_int_equal(real.status[0], how == PCORE_POOL_DRAIN ? 0
					 : how == PCORE_POOL_END ? 143
								 : 137);
}

static void processes_are_drained_ended_or_killed(void **state)
{
	(void)state;
	stop_while_processes_run(PCORE_POOL_DRAIN, 3000);
	stop_while_processes_run(PCORE_POOL_END, 1500);
	stop_while_processes_run(PCORE_POOL_KILL, 1000);
}

static void a_shortage_of_processes_is_waited_out(void **state)
{
	static const char *const commands[] = { "echo 0", "echo 1", "echo 2", "echo 3", "echo 4",
		"echo 5" };

	(void)state;
	pcore_fault_set("spawn:2:EAGAIN,spawn:4:EAGAIN");
	make_real(commands, 6, &(struct pcore_pool_spec){ .jobs = 3, .lingering = 3 }, INT64_MAX);
	finish_real();
	pcore_fault_set("");
	for (int i = 0; i < 6; i++) {
		char expected[16];

		snprintf(expected, sizeof(expected), "%d\n", i);
		assert_int_equal(real.status[i], 0);
		assert_string_equal(real.out[i][0], expected);
	}
}

static void a_pipe_that_cannot_be_read_fails_its_job(void **state)
{
	static const char *const commands[] = { "echo 0; sleep 0.1", "echo 1" };

	(void)state;
	pcore_fault_set("read:1:EIO");
	make_real(commands, 2, &(struct pcore_pool_spec){ .jobs = 1, .lingering = 1 }, INT64_MAX);
	finish_real();
	pcore_fault_set("");
	assert_int_not_equal(real.status[0], 0);
	assert_int_equal(real.status[1], 0);
}

static const struct CMUnitTest tests[] = {
	TREE_TEST(jobs_start_in_order_and_no_more_than_allowed),
	TREE_TEST(an_empty_source_is_idle_at_once),
	TREE_TEST(a_pool_that_was_never_kicked_can_be_freed),
	TREE_TEST(an_exited_job_makes_room_but_only_so_many_linger),
	TREE_TEST(a_source_that_has_nothing_now_is_asked_again_when_kicked),
	TREE_TEST(a_kick_from_any_callback_is_harmless),
	TREE_TEST(no_two_running_jobs_share_a_slot),
	TREE_TEST(output_and_resume_are_passed_on),
	TREE_TEST(two_starts_are_a_delay_apart),
	TREE_TEST(an_owner_may_leave_numbers_out),
	TREE_TEST(more_jobs_run_when_the_number_is_raised_and_fewer_when_it_is_lowered),
	TREE_TEST(a_lowered_limit_is_not_raised_by_setting_the_number),
	TREE_TEST(a_held_pool_starts_nothing_but_finds_the_end),
	TREE_TEST(a_job_that_is_handed_back_is_started_again_as_the_same_attempt),
	TREE_TEST(a_failed_job_is_tried_again_so_many_times),
	TREE_TEST(a_job_may_have_further_tries_of_its_own),
	TREE_TEST(one_job_can_be_ended_and_is_not_tried_again),
	TREE_TEST(a_job_that_waits_for_room_can_be_ended),
	TREE_TEST(others_run_while_a_failed_one_waits),
	TREE_TEST(what_cannot_be_run_is_not_tried_again),
	TREE_TEST(a_status_tells_how_an_attempt_ended),
	TREE_TEST(halt_soon_lets_the_running_ones_finish),
	TREE_TEST(halt_now_ends_the_running_ones),
	TREE_TEST(halt_may_count_successes),
	TREE_TEST(halt_may_count_a_share_once_three_have_ended),
	TREE_TEST(halt_counts_what_cannot_be_run),
	TREE_TEST(halt_hands_back_what_waits_for_another_attempt),
	TREE_TEST(a_shortage_lowers_the_limit_and_the_job_is_tried_again),
	TREE_TEST(a_lowered_limit_rises_again),
	TREE_TEST(a_shortage_that_does_not_end_fails_the_job_after_a_while),
	TREE_TEST(a_shortage_of_our_own_descriptors_is_not_waited_out_alone),
	TREE_TEST(a_stop_ends_the_wait_for_room),
	TREE_TEST(a_shortage_keeps_the_result_of_the_attempt_before),
	TREE_TEST(drain_starts_no_more),
	TREE_TEST(stops_become_harder_never_milder),
	TREE_TEST(a_stop_before_anything_started_is_idle),
	TREE_TEST(a_stop_with_only_waiting_jobs_is_idle),
	TREE_TEST(a_stop_while_the_source_has_nothing_is_idle),
	TREE_TEST(a_stop_within_the_delay_is_idle),
	TREE_TEST(no_delay_follows_the_last_job),
	TREE_TEST(processes_run_at_the_same_time_and_tell_all),
	TREE_TEST(a_slot_is_used_again_after_its_job_was_killed),
	TREE_TEST(a_failed_process_is_tried_again),
	TREE_TEST(a_job_may_have_a_time_limit_of_its_own),
	TREE_TEST(a_job_may_have_a_signal_and_a_grace_of_its_own),
	TREE_TEST(a_job_may_have_a_delay_between_tries_of_its_own),
	TREE_TEST(a_stray_that_holds_the_pipe_keeps_nobody_waiting),
	TREE_TEST(refused_output_holds_the_process_back_until_it_is_resumed),
	TREE_TEST(processes_are_drained_ended_or_killed),
	TREE_TEST(a_shortage_of_processes_is_waited_out),
	TREE_TEST(a_pipe_that_cannot_be_read_fails_its_job),
};

int main(void)
{
	return RUN_TESTS(tests);
}
