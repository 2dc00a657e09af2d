/* SPDX-License-Identifier: MIT */
/*
 * govern.c - tests of what holds new jobs back. The kernel's figures are files of the test.
 */
#include "tools/map/govern.c"

#include "tests/unit/capture.h"
#include "tests/unit/running.h"

static char dir[] = "/tmp/pcore-unit-govern.XXXXXX";
static struct govern_opts opts;
static struct govern g;
static struct {
	int holds, releases, messages;
	bool waiting;
	uint64_t jobs;
} owner;

static const char *in_dir(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(in_dir(name), "we");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void put_figures(void)
{
	put("meminfo", "MemTotal:       4096000 kB\nMemFree:         100 kB\nMemAvailable:   1258292 kB\nBuffers: 1 kB\n");
	put("loadavg", "0.10 0.20 9.30 5/321 4711\n");
	put("pressure/cpu", "some avg10=12.50 avg60=0.00 avg300=0.00 total=1\nfull avg10=99.00 avg60=0.00 avg300=0.00 total=0\n");
	put("pressure/memory", "some avg10=0.00 avg60=9.00 avg300=9.00 total=1\n");
	put("pressure/io", "some avg10=100.00 avg60=9.00 avg300=9.00 total=1\n");
}

/* ---- the owner ---- */

static void on_hold(void *ctx, bool hold)
{
	(void)ctx;
	if (hold)
		owner.holds++;
	else
		owner.releases++;
}

static bool on_kept_waiting(void *ctx)
{
	(void)ctx;
	return owner.waiting;
}

static void on_jobs_changed(void *ctx, uint64_t jobs)
{
	(void)ctx;
	owner.jobs = jobs;
}

static void on_message(void *ctx)
{
	(void)ctx;
	owner.messages++;
}

static int before(void **state)
{
	support_before(state);
	memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
	assert_non_null(mkdtemp(dir));
	assert_int_equal(mkdir(in_dir("pressure"), 0700), 0);
	put_figures();
	memset(&owner, 0, sizeof(owner));
	opts = (struct govern_opts){ 0 };
	g = (struct govern){
		.proc = dir,
		.opts = &opts,
		.hold = on_hold,
		.kept_waiting = on_kept_waiting,
		.jobs_changed = on_jobs_changed,
		.before_message = on_message,
	};
	return 0;
}

static int after(void **state)
{
	static const char *const names[] = { "meminfo", "loadavg", "pressure/cpu", "pressure/memory", "pressure/io", "jobs" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		(void)unlink(in_dir(names[i]));
	assert_int_equal(rmdir(in_dir("pressure")), 0);
	assert_int_equal(rmdir(dir), 0);
	return support_after(state);
}

#define GOVERN_TEST(f) cmocka_unit_test_setup_teardown(f, before, after)

/* ---- words ---- */

static void a_number_of_jobs_is_a_number_a_share_or_so_many_more(void **state)
{
	static const char *const bad[] = { "", "%", "+", "x", "4x", " 4", "-1", "1.5", "++1", "+5%", "123456789012345678901234" };
	uint64_t n = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(cli_parse_jobs(bad[i], 4, &n), -EINVAL);
	assert_int_equal(cli_parse_jobs("0", 4, &n), -ERANGE);
	assert_int_equal(cli_parse_jobs("0%", 4, &n), -ERANGE);
	assert_int_equal(cli_parse_jobs("1000000001", 4, &n), -ERANGE);
	assert_int_equal(n, 7);
	assert_int_equal(cli_parse_jobs("3", 4, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(cli_parse_jobs("150%", 4, &n), 0);
	assert_int_equal(n, 6);
	assert_int_equal(cli_parse_jobs("1%", 4, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(cli_parse_jobs("+0", 4, &n), 0);
	assert_int_equal(n, 4);
	assert_int_equal(cli_parse_jobs("+2", 4, &n), 0);
	assert_int_equal(n, 6);
}

static void pressure_names_a_resource_and_a_percentage(void **state)
{
	static const char *const bad[] = { "", "cpu", "cpu=", "=5", "cp=5", "cpus=5", "memory=-1", "io=100.1", "io=5%", "io=nan" };

	(void)state;
	assert_int_equal(set_pressure(&opts, "pressure", "io=12.5"), 0);
	assert_int_equal(set_pressure(&opts, "pressure", "memory=0"), 0);
	assert_false(opts.pressure[GOVERN_CPU].given);
	assert_true(opts.pressure[GOVERN_MEMORY].given);
	assert_true(opts.pressure[GOVERN_IO].given);
	assert_true(opts.pressure[GOVERN_IO].percent == 12.5);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		capture_begin(STDERR_FILENO);
		assert_int_equal(set_pressure(&opts, "pressure", bad[i]), CLI_FAILURE);
		assert_non_null(strstr(capture_end(), "--pressure"));
	}
}

static void expect_size(uint64_t bytes, const char *expected)
{
	char text[SIZE_TEXT_MAX];

	size_text(text, bytes);
	assert_string_equal(text, expected);
}

static void a_size_has_a_fitting_unit_and_is_never_rounded_up(void **state)
{
	(void)state;
	expect_size(0, "0");
	expect_size(1023, "1023");
	expect_size(1024, "1K");
	expect_size(1536, "1.5K");
	expect_size((UINT64_C(2) << 30) - 1, "1.9G");
	expect_size(UINT64_C(2) << 30, "2G");
	expect_size(UINT64_C(1000) << 40, "1000T");
	expect_size(UINT64_C(1) << 60, "1048576T");
}

/* ---- figures ---- */

/* Why jobs have to wait, "" when not. */
static const char *reason(void)
{
	static char why[WHY_MAX];

	return look(&g, why) == 0 ? "" : why;
}

static void memory_below_the_limit_holds_jobs_back(void **state)
{
	(void)state;
	opts.memfree = UINT64_C(2) << 30;
	assert_string_equal(reason(), "memory available 1.2G is below 2G");
	opts.memfree = UINT64_C(1258292) * 1024;
	assert_string_equal(reason(), "");
	opts.memfree++;
	assert_string_equal(reason(), "memory available 1.2G is below 1.2G");
}

static void as_many_runnable_threads_as_the_limit_hold_jobs_back(void **state)
{
	(void)state;
	opts.load = 5;
	assert_string_equal(reason(), ""); /* 4 and we who look */
	opts.load = 4;
	assert_string_equal(reason(), "load 4 is not below 4");
	put("loadavg", "9.99 9.99 9.99 1/321 4711\n");
	opts.load = 1;
	assert_string_equal(reason(), "");
	put("loadavg", "9.99 9.99 9.99 0/321 4711\n");
	assert_string_equal(reason(), "");
}

static void pressure_above_the_limit_holds_jobs_back(void **state)
{
	(void)state;
	opts.pressure[GOVERN_MEMORY].given = true;
	assert_string_equal(reason(), ""); /* 0 is not above 0 */
	opts.pressure[GOVERN_IO].given = true;
	opts.pressure[GOVERN_IO].percent = 100;
	assert_string_equal(reason(), "");
	opts.pressure[GOVERN_CPU].given = true;
	opts.pressure[GOVERN_CPU].percent = 12.5;
	assert_string_equal(reason(), "");
	opts.pressure[GOVERN_CPU].percent = 12.49;
	assert_string_equal(reason(), "cpu pressure 12.50% is above 12.49%");
}

static void the_first_of_several_reasons_is_told(void **state)
{
	(void)state;
	opts.load = 1;
	opts.pressure[GOVERN_CPU].given = true;
	assert_string_equal(reason(), "load 4 is not below 1");
	opts.memfree = UINT64_MAX;
	assert_int_equal(strncmp(reason(), "memory available 1.2G", 21), 0);
}

static void expect_no_figure(const char *name, const char *why)
{
	uint64_t jobs = 0;
	const char *text;

	capture_begin(STDERR_FILENO);
	assert_int_equal(govern_prepare(&g, &jobs), CLI_FAILURE);
	text = capture_end();
	assert_non_null(strstr(text, name));
	assert_non_null(strstr(text, why));
}

static void a_figure_that_cannot_be_read_is_an_error_at_the_start(void **state)
{
	(void)state;
	opts.memfree = 1;
	put("meminfo", "MemTotal: 1 kB\n");
	expect_no_figure("/meminfo'", strerror(EBADMSG));
	put_figures();
	opts.load = 100;
	put("loadavg", "\n");
	expect_no_figure("/loadavg'", strerror(EBADMSG));
	put_figures();
	opts.pressure[GOVERN_IO].given = true;
	opts.pressure[GOVERN_IO].percent = 100;
	put("pressure/io", "full avg10=1\n");
	expect_no_figure("/pressure/io'", strerror(EBADMSG));
	assert_int_equal(unlink(in_dir("pressure/io")), 0);
	expect_no_figure("/pressure/io'", strerror(ENOENT));
}

/* ---- the hold ---- */

static void a_hold_is_told_once_after_a_second(void **state)
{
	(void)state;
	owner.waiting = true;
	hold_step(&g, false, "", 0);
	assert_int_equal(owner.holds, 0);
	hold_step(&g, true, "a", 5 * NS_PER_S);
	assert_int_equal(owner.holds, 1);
	capture_begin(STDERR_FILENO);
	hold_step(&g, true, "b", 6 * NS_PER_S - 1);
	assert_string_equal(capture_end(), "");
	capture_begin(STDERR_FILENO);
	hold_step(&g, true, "c", 6 * NS_PER_S);
	hold_step(&g, true, "d", 60 * NS_PER_S);
	assert_non_null(strstr(capture_end(), "holding back new jobs: c\n"));
	assert_int_equal(owner.messages, 1);
	assert_int_equal(owner.holds, 1);
	hold_step(&g, false, "", 61 * NS_PER_S);
	assert_int_equal(owner.releases, 1);
	assert_int_equal(g.state, GOVERN_FREE);
}

static void a_hold_that_is_too_short_is_not_told(void **state)
{
	(void)state;
	owner.waiting = true;
	for (int i = 0; i < 10; i++) {
		hold_step(&g, true, "x", i * NS_PER_S);
		hold_step(&g, true, "x", i * NS_PER_S + NS_PER_S - 1);
		hold_step(&g, false, "", i * NS_PER_S + NS_PER_S - 1);
	}
	assert_int_equal(owner.holds, 10);
	assert_int_equal(owner.releases, 10);
	assert_int_equal(owner.messages, 0);
}

static void a_hold_that_keeps_no_job_waiting_is_not_told(void **state)
{
	(void)state;
	hold_step(&g, true, "x", 0);
	hold_step(&g, true, "x", 9 * NS_PER_S);
	owner.waiting = true;
	hold_step(&g, true, "x", 9 * NS_PER_S + NS_PER_S / 2);
	assert_int_equal(owner.messages, 0);
	capture_begin(STDERR_FILENO);
	hold_step(&g, true, "y", 10 * NS_PER_S);
	assert_non_null(strstr(capture_end(), "y\n"));
}

/* ---- over time ---- */

static struct pcore_loop *lp;

static void begin(void)
{
	uint64_t jobs = 0;

	assert_int_equal(pcore_loop_new(&lp, wanted_backend()), 0);
	assert_int_equal(govern_prepare(&g, &jobs), CLI_GO);
	govern_start(&g, lp);
}

static void end(void)
{
	govern_stop(&g);
	govern_stop(&g);
	govern_look(&g);
	assert_int_equal(pcore_loop_run(lp), 0);
	pcore_loop_free(lp);
}

static void with_nothing_to_govern_nobody_is_woken(void **state)
{
	(void)state;
	begin();
	assert_int_equal(lp->live, 0);
	govern_look(&g);
	end();
	assert_int_equal(owner.holds, 0);
}

static void a_hold_begins_at_the_start_and_ends_within_a_second(void **state)
{
	(void)state;
	opts.load = 2;
	begin();
	assert_int_equal(owner.holds, 1);
	assert_int_equal(pcore_loop_turn(lp, true), 1);
	assert_int_equal(owner.releases, 0);
	put("loadavg", "9.99 9.99 9.99 2/321 4711\n");
	assert_int_equal(pcore_loop_turn(lp, true), 1);
	assert_int_equal(owner.releases, 1);
	put_figures();
	g.looked_ns = pcore_now_ns();
	govern_look(&g); /* a job has started, but that was looked at just now */
	assert_int_equal(owner.holds, 1);
	g.looked_ns -= NS_PER_MS;
	govern_look(&g);
	assert_int_equal(owner.holds, 2);
	end();
	assert_int_equal(owner.releases, 1);
}

static void a_figure_that_vanishes_ends_the_hold(void **state)
{
	(void)state;
	opts.load = 2;
	begin();
	assert_int_equal(owner.holds, 1);
	assert_int_equal(unlink(in_dir("loadavg")), 0);
	assert_int_equal(pcore_loop_turn(lp, true), 1);
	assert_int_equal(owner.releases, 1);
	end();
}

/* ---- the file ---- */

static char jobs_path[PATH_MAX];

static int prepare_file(const char *text, uint64_t *ret)
{
	strcpy(jobs_path, in_dir("jobs"));
	opts.jobs_file = jobs_path;
	if (text)
		put("jobs", text);
	return govern_prepare(&g, ret);
}

static void the_file_holds_one_word(void **state)
{
	uint64_t jobs = 0;

	(void)state;
	assert_int_equal(prepare_file("3", &jobs), CLI_GO);
	assert_int_equal(jobs, 3);
	assert_int_equal(prepare_file("12 \r\n\n", &jobs), CLI_GO);
	assert_int_equal(jobs, 12);
	assert_int_equal(prepare_file("+0\n", &jobs), CLI_GO);
	assert_int_equal(jobs, cli_cpus());
}

static void expect_bad_file(const char *text, const char *why)
{
	const char *said;
	uint64_t jobs = 7;

	capture_begin(STDERR_FILENO);
	assert_int_equal(prepare_file(text, &jobs), CLI_FAILURE);
	said = capture_end();
	assert_non_null(strstr(said, jobs_path));
	assert_non_null(strstr(said, why));
	assert_int_equal(jobs, 7);
}

static void a_file_that_is_wrong_is_an_error_at_the_start(void **state)
{
	(void)state;
	expect_bad_file(NULL, strerror(ENOENT));
	expect_bad_file("", "must hold");
	expect_bad_file("\n", "must hold");
	expect_bad_file("3 4\n", "must hold");
	expect_bad_file("3\nmore\n", "must hold");
	expect_bad_file("3                           ", "must hold");
	expect_bad_file("0\n", "out of range");
	assert_int_equal(unlink(jobs_path), 0);
	assert_int_equal(mkfifo(jobs_path, 0600), 0);
	expect_bad_file(NULL, "not a regular file");
}

static void a_file_that_changes_changes_the_jobs(void **state)
{
	uint64_t jobs = 0;

	(void)state;
	assert_int_equal(prepare_file("3\n", &jobs), CLI_GO);
	look_at_file(&g);
	assert_int_equal(owner.jobs, 0); /* the same as before */
	put("jobs", "5\n");
	look_at_file(&g);
	assert_int_equal(owner.jobs, 5);
	put("meminfo", "6\n");
	assert_int_equal(rename(in_dir("meminfo"), jobs_path), 0);
	look_at_file(&g);
	assert_int_equal(owner.jobs, 6);
}

static void a_file_that_stays_wrong_is_told_once_and_changes_nothing(void **state)
{
	uint64_t jobs = 0;

	(void)state;
	assert_int_equal(prepare_file("3\n", &jobs), CLI_GO);
	put("jobs", "");
	look_at_file(&g);
	put("jobs", "3\n");
	look_at_file(&g);
	assert_int_equal(owner.messages, 0); /* somebody was writing it */
	put("jobs", "many\n");
	look_at_file(&g);
	assert_int_equal(owner.messages, 0);
	capture_begin(STDERR_FILENO);
	look_at_file(&g);
	look_at_file(&g);
	assert_non_null(strstr(capture_end(), "jobs': must hold N, N% or +N, ignoring\n"));
	assert_int_equal(owner.messages, 1);
	assert_int_equal(unlink(jobs_path), 0);
	look_at_file(&g);
	capture_begin(STDERR_FILENO);
	look_at_file(&g);
	assert_non_null(strstr(capture_end(), strerror(ENOENT)));
	assert_int_equal(owner.messages, 2);
	assert_int_equal(owner.jobs, 0);
	put("jobs", "4\n");
	look_at_file(&g);
	assert_int_equal(owner.jobs, 4);
}

static void the_file_is_looked_at_by_a_timer(void **state)
{
	uint64_t jobs = 0;

	(void)state;
	assert_int_equal(prepare_file("3\n", &jobs), CLI_GO);
	begin();
	put("jobs", "2\n");
	assert_int_equal(pcore_loop_turn(lp, true), 1);
	assert_int_equal(owner.jobs, 2);
	end();
	assert_int_equal(owner.holds, 0);
}

static const struct CMUnitTest tests[] = {
	GOVERN_TEST(a_number_of_jobs_is_a_number_a_share_or_so_many_more),
	GOVERN_TEST(pressure_names_a_resource_and_a_percentage),
	GOVERN_TEST(a_size_has_a_fitting_unit_and_is_never_rounded_up),
	GOVERN_TEST(memory_below_the_limit_holds_jobs_back),
	GOVERN_TEST(as_many_runnable_threads_as_the_limit_hold_jobs_back),
	GOVERN_TEST(pressure_above_the_limit_holds_jobs_back),
	GOVERN_TEST(the_first_of_several_reasons_is_told),
	GOVERN_TEST(a_figure_that_cannot_be_read_is_an_error_at_the_start),
	GOVERN_TEST(a_hold_is_told_once_after_a_second),
	GOVERN_TEST(a_hold_that_is_too_short_is_not_told),
	GOVERN_TEST(a_hold_that_keeps_no_job_waiting_is_not_told),
	GOVERN_TEST(with_nothing_to_govern_nobody_is_woken),
	GOVERN_TEST(a_hold_begins_at_the_start_and_ends_within_a_second),
	GOVERN_TEST(a_figure_that_vanishes_ends_the_hold),
	GOVERN_TEST(the_file_holds_one_word),
	GOVERN_TEST(a_file_that_is_wrong_is_an_error_at_the_start),
	GOVERN_TEST(a_file_that_changes_changes_the_jobs),
	GOVERN_TEST(a_file_that_stays_wrong_is_told_once_and_changes_nothing),
	GOVERN_TEST(the_file_is_looked_at_by_a_timer),
};

int main(void)
{
	return RUN_TESTS(tests);
}
