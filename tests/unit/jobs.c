/* SPDX-License-Identifier: MIT */
/*
 * jobs.c - tests of tools/cli/jobs.c: the registry of what runs in the background.
 */
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/unit/capture.h"
#include "tests/unit/support.h"
#include "tools/cli/cli.h"
#include "tools/cli/jobs.h"

static char base[] = "/tmp/pcore-jobs.XXXXXX";

/* What becomes of a job: it is made here, and its supervisor, if it has one, is a child. */
struct job {
	char *name;
	int dfd, lock;
	pid_t supervisor;
};

static void create(struct job *j, const char *name)
{
	*j = (struct job){ .dfd = -EBADF, .lock = -EBADF };
	assert_int_equal(cli_job_create(CLI_JOB_COMMAND, name, &j->name, &j->dfd, &j->lock), CLI_GO);
	if (name)
		assert_string_equal(j->name, name);
}

static void leave(struct job *j)
{
	j->dfd = pcore_fd_close(j->dfd);
	j->lock = pcore_fd_close(j->lock);
}

static void forget(struct job *j)
{
	leave(j);
	assert_int_equal(cli_job_forget(CLI_JOB_COMMAND, j->name), 0);
	free(j->name);
}

static _Noreturn void supervise(struct job *j, int ready)
{
	static char *const argv[] = { (char *)"cmd", (char *)"two words", (char *)"\n\xff", NULL };
	sigset_t set;
	siginfo_t info;
	int sig;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGRTMIN);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)cli_job_write_meta(j->dfd, argv);
	(void)!write(ready, "x", 1);
	sig = sigwaitinfo(&set, &info);
	(void)cli_job_write(j->dfd, "status",
		sig == SIGTERM                       ? "143\n"
		: info.si_value.sival_int == SIGUSR1 ? "10\n"
						     : "1\n",
		sig == SIGTERM                       ? 4
		: info.si_value.sival_int == SIGUSR1 ? 3
						     : 2);
	_exit(0);
}

static void start(struct job *j, const char *name)
{
	int ends[2];
	char c;

	create(j, name);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	j->supervisor = fork();
	if (j->supervisor == 0)
		supervise(j, ends[1]);
	assert_int_equal(read(ends[0], &c, 1), 1);
	close(ends[0]);
	close(ends[1]);
	leave(j);
}

static void look(const char *name, struct cli_job_info *i)
{
	int dfd = -EBADF;

	assert_int_equal(cli_job_find(CLI_JOB_COMMAND, name, i, &dfd), CLI_GO);
	pcore_fd_close(dfd);
}

static enum cli_job_state state_of(const char *name)
{
	struct cli_job_info i;

	look(name, &i);
	cli_job_info_done(&i);
	return i.state;
}

static int wait_one(const char *name, int64_t ns)
{
	char *const names[] = { (char *)name, NULL };

	return cli_job_wait_any(CLI_JOB_COMMAND, names, 1, pcore_ns_add(pcore_now_ns(), ns));
}

static int kill_job(struct job *j, int sig)
{
	struct cli_job_info i;
	int r;

	look(j->name, &i);
	r = cli_job_signal(&i, sig);
	cli_job_info_done(&i);
	return r;
}

static void a_job_runs_then_is_done(void **state)
{
	struct cli_job_info i;
	struct job j;

	(void)state;
	start(&j, "a");
	look("a", &i);
	assert_int_equal(i.state, CLI_JOB_RUNNING);
	assert_int_equal(i.supervisor, j.supervisor);
	assert_int_equal(i.status, -1);
	assert_int_equal(i.pid, 0);
	assert_true(i.start_ns > 0);
	assert_string_equal(i.argv_json, "[\"cmd\",\"two words\",\"\\n\\udcff\"]");
	assert_string_equal(i.command, "cmd two words \\n\xff");
	assert_null(i.report);
	cli_job_info_done(&i);
	assert_int_equal(wait_one("a", 10 * NS_PER_MS), -ETIMEDOUT);
	assert_int_equal(kill_job(&j, SIGTERM), 0);
	assert_int_equal(wait_one("a", 5 * NS_PER_S), 0);
	look("a", &i);
	assert_int_equal(i.state, CLI_JOB_DONE);
	assert_int_equal(i.status, 143);
	cli_job_info_done(&i);
	assert_int_equal(waitpid(j.supervisor, NULL, 0), j.supervisor);
	assert_int_equal(kill_job(&j, SIGTERM), -ESRCH);
	forget(&j);
}

static void a_supervisor_that_is_killed_makes_a_job_lost(void **state)
{
	struct job j;

	(void)state;
	start(&j, "a");
	assert_int_equal(kill(j.supervisor, SIGKILL), 0);
	assert_int_equal(wait_one("a", 5 * NS_PER_S), 0);
	assert_int_equal(waitpid(j.supervisor, NULL, 0), j.supervisor);
	assert_int_equal(state_of("a"), CLI_JOB_LOST);
	forget(&j);
}

static void a_job_is_over_only_when_its_helpers_have_gone_too(void **state)
{
	struct job j;
	int copy;

	(void)state;
	create(&j, "a");
	copy = fcntl(j.lock, F_DUPFD_CLOEXEC, 3); /* as a helper has it */
	leave(&j);
	assert_int_equal(state_of("a"), CLI_JOB_RUNNING);
	assert_int_equal(wait_one("a", 30 * NS_PER_MS), -ETIMEDOUT);
	pcore_fd_close(copy);
	assert_int_equal(wait_one("a", 30 * NS_PER_MS), 0);
	assert_int_equal(state_of("a"), CLI_JOB_LOST);
	forget(&j);
}

static void another_signal_comes_with_its_number(void **state)
{
	struct cli_job_info i;
	struct job j;

	(void)state;
	start(&j, "a");
	assert_int_equal(kill_job(&j, SIGUSR1), 0);
	assert_int_equal(wait_one("a", 5 * NS_PER_S), 0);
	look("a", &i);
	assert_int_equal(i.status, 10);
	cli_job_info_done(&i);
	assert_int_equal(waitpid(j.supervisor, NULL, 0), j.supervisor);
	forget(&j);
}

static void the_first_of_many_that_ends_is_found(void **state)
{
	char *const names[] = { (char *)"a", (char *)"b", (char *)"c", NULL };
	struct job a, b, c;

	(void)state;
	start(&a, "a");
	start(&b, "b");
	start(&c, "c");
	assert_int_equal(cli_job_wait_any(CLI_JOB_COMMAND, names, 3, pcore_now_ns() + 10 * NS_PER_MS), -ETIMEDOUT);
	assert_int_equal(kill_job(&b, SIGTERM), 0);
	assert_int_equal(cli_job_wait_any(CLI_JOB_COMMAND, names, 3, INT64_MAX), 1);
	assert_int_equal(kill_job(&a, SIGTERM), 0);
	assert_int_equal(kill_job(&c, SIGTERM), 0);
	while (waitpid(-1, NULL, 0) > 0)
		;
	forget(&a);
	forget(&b);
	forget(&c);
}

static void a_name_is_given_once(void **state)
{
	struct job j, other = { .dfd = -EBADF };
	const char *message;
	int r;

	(void)state;
	create(&j, "a");
	capture_begin(STDERR_FILENO);
	r = cli_job_create(CLI_JOB_COMMAND, "a", &other.name, &other.dfd, &other.lock);
	message = capture_end();
	assert_int_equal(r, CLI_BUSY);
	assert_string_equal(message,
		"pcore: there is a 'a' already (prun --forget removes one that is done)\n");
	forget(&j);
}

static void names_are_made_up_and_listed_in_order(void **state)
{
	struct job jobs[11];
	char **names;
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
		create(&jobs[i], NULL);
	assert_int_equal(cli_job_names(CLI_JOB_COMMAND, &names), CLI_GO);
	while (names[n])
		n++;
	assert_int_equal(n, ARRAY_SIZE(jobs));
	assert_string_equal(names[1], "p2");
	assert_string_equal(names[10], "p11");
	cli_job_names_free(names);
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
		forget(&jobs[i]);
}

static void asking_does_not_take_the_lock(void **state)
{
	struct job j;

	(void)state;
	create(&j, "a");
	assert_int_equal(state_of("a"), CLI_JOB_RUNNING);
	assert_int_equal(cli_job_forget(CLI_JOB_COMMAND, "a"), -EBUSY);
	assert_int_equal(state_of("a"), CLI_JOB_RUNNING);
	leave(&j);
	assert_int_equal(state_of("a"), CLI_JOB_LOST);
	forget(&j);
	assert_int_equal(cli_job_forget(CLI_JOB_COMMAND, "a"), -ENOENT);
}

static void unknown_and_bad_names_are_told(void **state)
{
	struct cli_job_info i;
	const char *message;
	int dfd, r;

	(void)state;
	capture_begin(STDERR_FILENO);
	r = cli_job_find(CLI_JOB_COMMAND, "nobody", &i, &dfd);
	message = capture_end();
	assert_int_equal(r, CLI_NO);
	assert_string_equal(message, "pcore: there is no 'nobody'\n");
	capture_begin(STDERR_FILENO);
	r = cli_job_find(CLI_JOB_COMMAND, "../x", &i, &dfd);
	message = capture_end();
	assert_int_equal(r, CLI_FAILURE);
	assert_non_null(strstr(message, "invalid name '../x'"));
}

static void a_record_of_rubbish_is_survived(void **state)
{
	struct cli_job_info i;
	struct job j;

	(void)state;
	create(&j, "a");
	assert_int_equal(cli_job_write(j.dfd, "meta", "argv\n\nsupervisor\nstart x\n", 25), 0);
	assert_int_equal(cli_job_write(j.dfd, "pid", "", 0), 0);
	assert_int_equal(cli_job_write(j.dfd, "status", "\0\0", 2), 0);
	leave(&j);
	look("a", &i);
	assert_int_equal(i.supervisor, 0);
	assert_int_equal(i.start_ns, 0);
	assert_null(i.argv_json);
	assert_null(i.command);
	cli_job_info_done(&i);
	assert_int_equal(wait_one("a", NS_PER_S), 0);
	forget(&j);
}

static const char *copied(int dfd)
{
	capture_begin(STDOUT_FILENO);
	assert_int_equal(cli_log_copy(dfd, "stdout", STDOUT_FILENO), 0);
	return capture_end();
}

static void a_log_keeps_the_newest_half_at_least(void **state)
{
	struct cli_log log;
	struct job j;

	(void)state;
	create(&j, "a");
	assert_string_equal(copied(j.dfd), "");
	assert_int_equal(cli_log_open(&log, j.dfd, "stdout", 8), 0);
	assert_int_equal(cli_log_write(&log, "abc", 3), 0);
	assert_string_equal(copied(j.dfd), "abc");
	assert_int_equal(cli_log_write(&log, "defgh", 5), 0);
	assert_string_equal(copied(j.dfd), "abcdefgh");
	assert_int_equal(cli_log_write(&log, "i", 1), 0);
	assert_string_equal(copied(j.dfd), "efghi");
	assert_int_equal(cli_log_write(&log, "0123456789012345", 16), 0);
	assert_string_equal(copied(j.dfd), "12345");
	cli_log_close(&log);
	forget(&j);
}

static void forgetting_removes_what_a_crash_left(void **state)
{
	struct job j;

	(void)state;
	create(&j, "a");
	assert_int_equal(
		close(openat(j.dfd, ".meta.new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
	forget(&j);
	create(&j, "a");
	forget(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_job_runs_then_is_done),
		TEST(a_supervisor_that_is_killed_makes_a_job_lost),
		TEST(a_job_is_over_only_when_its_helpers_have_gone_too),
		TEST(another_signal_comes_with_its_number),
		TEST(the_first_of_many_that_ends_is_found),
		TEST(a_name_is_given_once),
		TEST(names_are_made_up_and_listed_in_order),
		TEST(asking_does_not_take_the_lock),
		TEST(unknown_and_bad_names_are_told),
		TEST(a_record_of_rubbish_is_survived),
		TEST(a_log_keeps_the_newest_half_at_least),
		TEST(forgetting_removes_what_a_crash_left),
	};
	char jobs[sizeof(base) + 8];
	int r;

	if (!mkdtemp(base) || setenv("PCORE_RUNTIME_DIR", base, 1) < 0)
		return 99;
	r = RUN_TESTS(tests);
	snprintf(jobs, sizeof(jobs), "%s/jobs", base);
	(void)rmdir(jobs);
	(void)rmdir(base);
	return r;
}
