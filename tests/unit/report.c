/* SPDX-License-Identifier: MIT */
/*
 * report.c - tests of a command's report.
 */
#include "tools/cli/report.h"

#include <sys/stat.h>

#include "tests/unit/capture.h"
#include "tests/unit/support.h"
#include "tools/cli/cli.h"

#define START "\"start\":\"2026-01-02T03:04:05.000006Z\",\"wall_s\":1.250000"
#define NO_USAGE                                                                              \
	"\"user_s\":0.000000,\"sys_s\":0.000000,\"maxrss_kib\":0,\"vol_switches\":0,\"invol_" \
	"switches\":0,\"read_bytes\":null,\"write_bytes\":null,"

#define NO_OUTPUT "\"stdout_bytes\":null,\"stderr_bytes\":null,\"truncated\":false,"

static const int64_t start_ns = INT64_C(1767323045000006000);

static void expect_report(const struct cli_report *r, const char *expected)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);

	assert_int_equal(cli_report_write(&b, r), 0);
	assert_int_equal(pcore_buf_terminate(&b), 0);
	assert_string_equal(b.data, expected);
	pcore_buf_done(&b);
}

static void a_command_that_exited_is_told_with_all_it_used(void **state)
{
	static char sh[] = "sh", odd[] = "a \"b\"\n\xff\xc3\xa9";
	char *argv[] = { sh, odd, NULL };
	struct cli_attempt a = {
		.start_ns = start_ns,
		.wall_ns = 1250 * NS_PER_MS,
		.ran = true,
		.exit = {
			.code = CLD_EXITED,
			.status = 124,
			.usage = { .ru_utime = { 1, 500000 }, .ru_stime = { 0, 7 }, .ru_maxrss = 4096, .ru_nvcsw = 3, .ru_nivcsw = 4 },
		},
	};

	(void)state;
	expect_report(&(struct cli_report){ .argv = argv,
			      .pid = 42,
			      .method = "cgroup",
			      .survivors = 2,
			      .io = &(struct pcore_proc_io){ .read_bytes = 10, .write_bytes = 20 },
			      .attempts = &a,
			      .n_attempts = 1 },
		"{\"argv\":[\"sh\",\"a \\\"b\\\"\\n\\udcff\xc3\xa9\"],\"pid\":42,\"exit\":124,"
		"\"signal\":null,\"core\":false,"
		"\"timed_out\":false,\"killed_by\":null,\"setup_error\":null," START ","
		"\"user_s\":1.500000,\"sys_s\":0.000007,"
		"\"maxrss_kib\":4096,\"vol_switches\":3,\"invol_switches\":4,\"read_bytes\":10,"
		"\"write_bytes\":20," NO_OUTPUT "\"survivors\":2,"
		"\"memory_limit\":null,\"method\":\"cgroup\",\"attempts\":[{\"exit\":124,\"signal\":null,"
		"\"timed_out\":false," START "}]}\n");
}

static void a_signal_has_its_name_and_every_attempt_its_place(void **state)
{
	static char sh[] = "sh";
	char *argv[] = { sh, NULL };
	struct cli_attempt a[] = {
		{ .start_ns = start_ns,
			.wall_ns = 1250 * NS_PER_MS,
			.ran = true,
			.exit = { .code = CLD_EXITED, .status = 3 } },
		{ .start_ns = start_ns,
			.wall_ns = 1250 * NS_PER_MS,
			.ran = true,
			.timed_out = true,
			.exit = { .code = CLD_DUMPED, .status = SIGSEGV } },
	};

	(void)state;
	expect_report(&(struct cli_report){ .argv = argv,
			      .pid = 1,
			      .killed_by = "timeout",
			      .method = "supervisor",
			      .attempts = a,
			      .n_attempts = 2 },
		"{\"argv\":[\"sh\"],\"pid\":1,\"exit\":null,\"signal\":\"SIGSEGV\","
		"\"core\":true,\"timed_out\":true,\"killed_by\":\"timeout\","
		"\"setup_error\":null," START "," NO_USAGE NO_OUTPUT "\"survivors\":0,"
		"\"memory_limit\":null,\"method\":\"supervisor\",\"attempts\":["
		"{\"exit\":3,\"signal\":null,\"timed_out\":false," START "},"
		"{\"exit\":null,\"signal\":\"SIGSEGV\",\"timed_out\":true," START "}]}\n");
}

static void a_command_that_never_ran_has_a_step_an_errno_and_a_subject(void **state)
{
	static char nothing[] = "nothing";
	char *argv[] = { nothing, NULL };
	struct pcore_err err = { .code = -ENOENT, .step = PCORE_STEP_EXEC, .subject = "nothing" };
	struct cli_attempt a = { .start_ns = start_ns, .wall_ns = 1250 * NS_PER_MS };

	(void)state;
	expect_report(
		&(struct cli_report){
			.argv = argv, .setup_error = &err, .attempts = &a, .n_attempts = 1 },
		"{\"argv\":[\"nothing\"],\"pid\":null,\"exit\":null,\"signal\":null,"
		"\"core\":false,\"timed_out\":false,\"killed_by\":null,"
		"\"setup_error\":{\"step\":\"exec\",\"errno\":\"ENOENT\","
		"\"subject\":\"nothing\"}," START "," NO_USAGE
		NO_OUTPUT "\"survivors\":0,\"memory_limit\":null,\"method\":null,\"attempts\":[{\"exit\":null,\"signal\":null,"
		"\"timed_out\":false," START "}]}\n");
}

static void a_report_without_an_attempt_is_still_one(void **state)
{
	static char nothing[] = "x";
	char *argv[] = { nothing, NULL };

	(void)state;
	expect_report(&(struct cli_report){ .argv = argv },
		"{\"argv\":[\"x\"],\"pid\":null,\"exit\":null,\"signal\":null,\"core\":false,"
		"\"timed_out\":false,\"killed_by\":null,"
		"\"setup_error\":null,\"start\":null,"
		"\"wall_s\":0.000000," NO_USAGE NO_OUTPUT "\"survivors\":0,\"memory_limit\":null,\"method\":null,"
		"\"attempts\":[]}\n");
}

static void output_that_went_through_us_is_counted_and_a_cut_is_told(void **state)
{
	static char nothing[] = "x";
	char *argv[] = { nothing, NULL };
	const uint64_t bytes[2] = { 4, 5 };

	(void)state;
	expect_report(
		&(struct cli_report){ .argv = argv, .output_bytes = bytes, .truncated = true, .memory_limit = "rlimit" },
		"{\"argv\":[\"x\"],\"pid\":null,\"exit\":null,\"signal\":null,\"core\":false,"
		"\"timed_out\":false,\"killed_by\":null,\"setup_error\":null,\"start\":null,"
		"\"wall_s\":0.000000," NO_USAGE "\"stdout_bytes\":4,\"stderr_bytes\":5,\"truncated\":true,"
		"\"survivors\":0,\"memory_limit\":\"rlimit\",\"method\":null,\"attempts\":[]}\n");
}

static void a_job_of_a_pool_has_its_number_and_its_slot(void **state)
{
	static char nothing[] = "x";
	char *argv[] = { nothing, NULL };

	(void)state;
	expect_report(&(struct cli_report){ .seq = 3, .slot = 2, .argv = argv },
		"{\"seq\":3,\"slot\":2,\"argv\":[\"x\"],\"pid\":null,\"exit\":null,\"signal\":null,\"core\":false,"
		"\"timed_out\":false,\"killed_by\":null,"
		"\"setup_error\":null,\"start\":null,"
		"\"wall_s\":0.000000," NO_USAGE NO_OUTPUT "\"survivors\":0,\"memory_limit\":null,\"method\":null,"
		"\"attempts\":[]}\n");
}

static void a_buffer_that_is_too_small_is_an_error(void **state)
{
	static char nothing[] = "x";
	char *argv[] = { nothing, NULL };
	struct pcore_buf b = PCORE_BUF_INIT(100);

	(void)state;
	assert_int_equal(cli_report_write(&b, &(struct cli_report){ .argv = argv }), -ENOBUFS);
	pcore_buf_done(&b);
}

/* ---- where they go ---- */

static void expect_open(const char *where, int status, const char *message, int *ret_fd)
{
	const char *got;
	int r;

	capture_begin(STDERR_FILENO);
	r = cli_report_open(where, ret_fd);
	got = capture_end();
	assert_int_equal(r, status);
	assert_string_equal(got, message);
}

static void a_file_is_appended_to(void **state)
{
	char dir[] = "/tmp/pcore-report-XXXXXX", path[64], message[128];
	struct stat st;
	int fd = -EBADF;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/report", dir);
	for (int i = 0; i < 2; i++) {
		expect_open(path, CLI_GO, "", &fd);
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
		assert_int_equal(write(fd, "line\n", 5), 5);
		close(fd);
	}
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 10);
	unlink(path);
	rmdir(dir);
	snprintf(message, sizeof(message), "pcore: cannot open '%s': No such file or directory\n",
		path);
	expect_open(path, CLI_FAILURE, message, &fd);
}

static void a_descriptor_is_used_by_its_number(void **state)
{
	char where[16], message[80];
	int fd = -EBADF, ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	snprintf(where, sizeof(where), "fd:%d", ends[1]);
	expect_open(where, CLI_GO, "", &fd);
	assert_true(fd != ends[1] && fd > 2);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	snprintf(where, sizeof(where), "fd:%d", ends[0]);
	fd = -EBADF;
	snprintf(message, sizeof(message), "pcore: cannot write to '%s': Bad file descriptor\n",
		where);
	expect_open(where, CLI_FAILURE, message, &fd);
	close(ends[0]);
	close(ends[1]);
	expect_open("fd:999", CLI_FAILURE, "pcore: cannot write to 'fd:999': Bad file descriptor\n",
		&fd);
	assert_int_equal(fd, -EBADF);
	expect_open("fd:x", CLI_FAILURE,
		"pcore: invalid value 'fd:x' for '--report': must be FILE or fd:N\ntry 'pcore "
		"--help'\n",
		&fd);
}

static const struct CMUnitTest tests[] = {
	TEST(a_command_that_exited_is_told_with_all_it_used),
	TEST(a_signal_has_its_name_and_every_attempt_its_place),
	TEST(a_command_that_never_ran_has_a_step_an_errno_and_a_subject),
	TEST(a_report_without_an_attempt_is_still_one),
	TEST(output_that_went_through_us_is_counted_and_a_cut_is_told),
	TEST(a_job_of_a_pool_has_its_number_and_its_slot),
	TEST(a_buffer_that_is_too_small_is_an_error),
	TEST(a_file_is_appended_to),
	TEST(a_descriptor_is_used_by_its_number),
};

int main(void)
{
	setenv("TZ", "America/New_York", 1); /* reports are in UTC all the same */
	return RUN_TESTS(tests);
}
