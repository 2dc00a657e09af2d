/* SPDX-License-Identifier: MIT */
/*
 * pool_hired.c - tests of workers that are jobs of another executor: here of the local one.
 */
#include "libcore/pool/pool.h"

#include "tests/unit/running.h"

enum { ITEMS = 200 };

static struct {
	struct pcore_job job;
	char out[16];
	bool done, over;
} items[ITEMS];

static struct {
	struct pcore_pool *pool;
	struct pcore_executor *home;
	const char *command;
	unsigned n, made, started;
	unsigned room; /* for workers */
	enum pcore_worker_event events[8];
	unsigned n_events;
	bool idle, over_early;
} w;

static int number(const struct pcore_job *job)
{
	return (int)((const char *)job - (const char *)&items[0].job) / (int)sizeof(items[0]);
}

static int next(void *ctx, struct pcore_job **ret)
{
	(void)ctx;
	if (w.made == w.n)
		return -ENODATA;
	*ret = &items[w.made++].job;
	return 1;
}

static bool output(void *ctx, struct pcore_job *job, enum pcore_job_stream stream, const char *data, size_t len)
{
	(void)ctx;
	(void)stream;
	strncat(items[number(job)].out, data, len < 8 ? len : 8);
	return true;
}

static void again(void *ctx, struct pcore_job *job)
{
	(void)ctx;
	items[number(job)].out[0] = '\0';
}

static void done(void *ctx, struct pcore_job *job)
{
	(void)ctx;
	items[number(job)].done = true;
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
	if (w.over_early)
		pcore_worker_input_over(NULL, job, 0);
	argv[0] = sh;
	argv[1] = c;
	argv[2] = (char *)(uintptr_t)w.command;
	spec->argv = argv;
	spec->envp = environ;
	w.started++;
}

static int item(void *ctx, const struct pcore_job *job, const char **ret, size_t *ret_len)
{
	static char text[16];

	(void)ctx;
	*ret = text;
	*ret_len = (size_t)snprintf(text, sizeof(text), "%d", number(job));
	return 0;
}

static bool errors(void *ctx, unsigned slot, const char *data, size_t len)
{
	(void)ctx;
	(void)slot;
	(void)data;
	(void)len;
	return true;
}

static void news(void *ctx, const struct pcore_worker_news *n)
{
	(void)ctx;
	if (w.n_events < ARRAY_SIZE(w.events))
		w.events[w.n_events++] = n->event;
	if (n->event == PCORE_WORKER_GIVEN_UP)
		pcore_pool_stop(w.pool, PCORE_POOL_END);
}

static unsigned room(const struct pcore_executor *ex)
{
	assert(ex == w.home);
	return w.room;
}

static bool lost(void *ctx, struct pcore_job *job)
{
	(void)ctx;
	(void)job;
	return true;
}

static void cut(void *ctx, const struct pcore_job *job)
{
	(void)ctx;
	items[number(job)].over = true;
}

static void input_over(void *ctx, struct pcore_job *job, uint64_t left)
{
	if (pcore_local_unread(job))
		pcore_worker_unread(job);
	pcore_worker_input_over(ctx, job, left);
}

static void start(const char *command, unsigned n, uint64_t answer_max, uint64_t items_max)
{
	static const struct pcore_pool_owner owner = {
		.next = next, .output = output, .again = again, .done = done, .idle = idle
	};
	const struct pcore_local_spec local = {
		.keeper = world.keeper,
		.times = NO_TIMES,
		.describe = describe,
		.input = pcore_worker_input,
		.input_over = input_over,
	};
	struct pcore_worker_spec spec = {
		.home = { .feed = pcore_local_feed, .room = room, .lost = lost, .answer_max = answer_max, .cut = cut },
		.jobs = 4,
		.window = 64,
		.form = { .kind = PCORE_ANSWER_LINES, .n_lines = 1 },
		.items_max = items_max,
		.idle_timeout = INT64_MAX,
		.answer_timeout = INT64_MAX,
		.slow_after = 10 * NS_PER_S,
		.item = item,
		.errors = errors,
		.news = news,
	};
	const struct pcore_pool_spec pool = { .jobs = 4 };
	struct pcore_executor *ex;
	struct pcore_err err;

	memset(items, 0, sizeof(items));
	memset(&w, 0, sizeof(w));
	w.command = command;
	w.n = n;
	w.room = 2;
	assert_int_equal(pcore_local_new(&w.home, world.lp, &local, &err), 0);
	spec.home.ex = w.home;
	assert_int_equal(pcore_worker_new(&ex, world.lp, &spec, &err), 0);
	assert_int_equal(pcore_pool_new(&w.pool, world.lp, &pool, &owner, NULL, ex), 0);
	pcore_pool_kick(w.pool);
}

static void finish(void)
{
	assert_int_equal(pcore_loop_run(world.lp), 0);
	assert_true(w.idle);
	pcore_pool_free(w.pool);
}

static void each_item_is_answered_by_as_many_workers_as_there_is_room_for(void **state)
{
	char text[16];

	(void)state;
	start("cat", ITEMS, 0, 0);
	finish();
	for (int i = 0; i < ITEMS; i++) {
		snprintf(text, sizeof(text), "%d\n", i);
		assert_string_equal(items[i].out, text);
		assert_true(pcore_job_succeeded(&items[i].job));
	}
	assert_int_equal(w.started, 2);
	assert_int_equal(w.n_events, 0);
}

static void without_items_no_worker_is_started(void **state)
{
	(void)state;
	start("cat", 0, 0, 0);
	finish();
	assert_int_equal(w.started, 0);
}

static void a_worker_that_dies_takes_one_item_with_it(void **state)
{
	unsigned failed = 0;

	(void)state;
	start("while read l; do [ $l != 3 ] || kill -KILL $$; echo $l; done", 10, 0, 0);
	finish();
	for (int i = 0; i < 10; i++)
		failed += !pcore_job_succeeded(&items[i].job);
	assert_int_equal(failed, 1);
	assert_true(items[3].job.result.lost);
	assert_int_equal(items[3].job.result.exit.status, SIGKILL);
	assert_int_equal(w.n_events, 1);
	assert_int_equal(w.events[0], PCORE_WORKER_LOST);
}

static void workers_that_end_before_they_read_are_given_up(void **state)
{
	(void)state;
	start("exit 3", 10, 0, 1000);
	finish();
	for (int i = 0; i < 10; i++)
		assert_false(pcore_job_succeeded(&items[i].job));
	assert_int_equal(w.events[w.n_events - 1], PCORE_WORKER_GIVEN_UP);
}

static void an_answer_is_cut_and_that_is_told_once(void **state)
{
	(void)state;
	start("cat", 12, 2, 0);
	finish();
	assert_string_equal(items[1].out, "1\n");
	assert_false(items[1].over);
	assert_string_equal(items[11].out, "11");
	assert_true(items[11].over);
}

static void a_worker_ends_after_its_items(void **state)
{
	(void)state;
	start("cat", 9, 0, 3);
	finish();
	for (int i = 0; i < 9; i++)
		assert_true(pcore_job_succeeded(&items[i].job));
	assert_in_range(w.started, 3, 4);
}

static void that_its_input_is_over_is_no_silence(void **state)
{
	(void)state;
	start("read l; sleep 1.2; echo $l", 1, 0, 0);
	w.over_early = true; /* as of an attempt that never began */
	finish();
	assert_true(pcore_job_succeeded(&items[0].job));
	assert_int_equal(w.n_events, 0);
}

static void a_run_that_is_stopped_gives_back_what_waits(void **state)
{
	(void)state;
	start("exec sleep 60", 5, 0, 0);
	pcore_pool_stop(w.pool, PCORE_POOL_KILL);
	finish();
	for (int i = 0; i < 5; i++)
		assert_false(pcore_job_succeeded(&items[i].job) && items[i].job.state == PCORE_JOB_DONE);
}

static const struct CMUnitTest tests[] = {
	TREE_TEST(each_item_is_answered_by_as_many_workers_as_there_is_room_for),
	TREE_TEST(without_items_no_worker_is_started),
	TREE_TEST(a_worker_that_dies_takes_one_item_with_it),
	TREE_TEST(workers_that_end_before_they_read_are_given_up),
	TREE_TEST(an_answer_is_cut_and_that_is_told_once),
	TREE_TEST(a_worker_ends_after_its_items),
	TREE_TEST(that_its_input_is_over_is_no_silence),
	TREE_TEST(a_run_that_is_stopped_gives_back_what_waits),
};

int main(void)
{
	return RUN_TESTS(tests);
}
