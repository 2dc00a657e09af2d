/* SPDX-License-Identifier: MIT */
/* pool_threads.c - the thread executor. */
#include <stdatomic.h>

#include <pcore/thread.h>

#include "libcore/pool/pool.h"

#include "tests/unit/support.h"

enum { JOBS = 500, THREADS = 3, MORE_THREADS = 5 };

#define CEILING (60 * NS_PER_S)

struct square {
	struct pcore_job job;
	int64_t n, result;
	char text[32];
	size_t len;
	int tries;
};

struct fixture {
	struct pcore_loop *lp;
	struct pcore_pool *pool;
	struct square jobs[JOBS];
	int next, done, idle;
	atomic_int running, most;
	struct pcore_barrier *barrier; /* NULL: jobs do not wait for each other */
};

static int next(void *ctx, struct pcore_job **ret)
{
	struct fixture *f = ctx;

	if (f->next == JOBS)
		return -ENODATA;
	f->jobs[f->next].n = f->next;
	*ret = &f->jobs[f->next++].job;
	return 1;
}

static bool output(void *ctx, struct pcore_job *job, enum pcore_job_stream stream, const char *data, size_t len)
{
	struct square *s = container_of(job, struct square, job);

	(void)ctx;
	assert_int_equal(stream, PCORE_JOB_STDOUT);
	assert_true(len < sizeof(s->text));
	memcpy(s->text, data, len);
	s->len = len;
	return true;
}

static void again(void *ctx, struct pcore_job *job)
{
	(void)ctx;
	container_of(job, struct square, job)->len = 0;
}

static void done(void *ctx, struct pcore_job *job)
{
	((struct fixture *)ctx)->done += job->state == PCORE_JOB_DONE;
}

static void idle(void *ctx)
{
	((struct fixture *)ctx)->idle++;
}

/* Number 5 fails at first, number 7 always. */
static int run(void *ctx, struct pcore_job *job, struct pcore_buf *out)
{
	struct fixture *f = ctx;
	struct square *s = container_of(job, struct square, job);
	int running = atomic_fetch_add(&f->running, 1) + 1, most = atomic_load(&f->most);

	while (running > most && !atomic_compare_exchange_strong(&f->most, &most, running))
		;
	if (f->barrier && pcore_barrier_wait(f->barrier, CEILING) < 0)
		return 1;
	s->tries++;
	s->result = s->n * s->n;
	(void)pcore_buf_addf(out, "%lld", (long long)s->result);
	atomic_fetch_sub(&f->running, 1);
	return (s->n == 5 && s->tries == 1) || s->n == 7 ? 9 : 0;
}

static void open_pool(struct fixture *f, const struct pcore_pool_spec *spec)
{
	static const struct pcore_pool_owner owner = { .next = next, .output = output, .again = again, .done = done, .idle = idle };
	struct pcore_threaded_spec threads = { .threads = THREADS, .output_max = 31, .run = run, .ctx = f };
	struct pcore_executor *ex = NULL;

	assert_int_equal(pcore_loop_new(&f->lp, PCORE_LOOP_AUTO), 0);
	assert_int_equal(pcore_threaded_new(&ex, f->lp, &threads), 0);
	assert_int_equal(pcore_pool_new(&f->pool, f->lp, spec, &owner, f, ex), 0);
	pcore_pool_kick(f->pool);
}

static void close_pool(struct fixture *f)
{
	assert_int_equal(f->idle, 1);
	pcore_pool_free(f->pool);
	pcore_loop_free(f->lp);
}

static void threads_run_all_jobs_and_retry_those_that_fail(void **state)
{
	static struct fixture f;
	struct pcore_pool_spec spec = { .jobs = THREADS, .retries = 1 };

	(void)state;
	f = (struct fixture){ .idle = 0 };
	open_pool(&f, &spec);
	assert_int_equal(pcore_loop_run(f.lp), 0);
	assert_int_equal(f.done, JOBS);
	assert_in_range(f.most, 1, THREADS);
	for (int i = 0; i < JOBS; i++) {
		const struct square *s = &f.jobs[i];

		assert_int_equal(s->tries, i == 5 || i == 7 ? 2 : 1);
		assert_int_equal(pcore_job_status(&s->job), i == 7 ? 9 : 0);
		assert_int_equal(strtol(s->text, NULL, 10), i * i);
		assert_true(s->job.result.start_ns > 0);
		assert_true(s->job.result.wall_ns >= 0);
	}
	close_pool(&f);
}

static void a_halt_ends_what_has_not_begun(void **state)
{
	static struct fixture f;
	struct pcore_pool_spec spec = { .jobs = THREADS, .halt = { .when = PCORE_HALT_NOW, .n = 2 } };

	(void)state;
	f = (struct fixture){ .idle = 0 };
	open_pool(&f, &spec);
	assert_int_equal(pcore_loop_run(f.lp), 0);
	assert_int_equal(pcore_pool_halt_status(f.pool), 9);
	assert_in_range(f.done, 8, JOBS); /* a slow one may be the second that fails */
	assert_int_equal(f.done, f.next);
	close_pool(&f);
}

/* So many at a time, or they would wait for each other in vain. */
static void more_jobs_at_a_time_have_more_threads(void **state)
{
	static struct fixture f;
	struct pcore_pool_spec spec = { .jobs = THREADS };

	(void)state;
	f = (struct fixture){ .idle = 0 };
	assert_int_equal(pcore_barrier_new(&f.barrier, MORE_THREADS, NULL, NULL), 0);
	open_pool(&f, &spec);
	assert_int_equal(pcore_pool_set_jobs(f.pool, MORE_THREADS), 0);
	assert_int_equal(pcore_loop_run(f.lp), 0);
	assert_int_equal(f.done, JOBS);
	for (int i = 0; i < JOBS; i++)
		assert_int_equal(f.jobs[i].tries, 1);
	close_pool(&f);
	pcore_barrier_free(f.barrier);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(threads_run_all_jobs_and_retry_those_that_fail),
		TEST(a_halt_ends_what_has_not_begun),
		TEST(more_jobs_at_a_time_have_more_threads),
	};

	return RUN_TESTS(tests);
}
