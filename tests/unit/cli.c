/* SPDX-License-Identifier: MIT */
/*
 * cli.c - tests of tools/cli/cli.c. What changes or ends the process runs in a child.
 */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/unit/capture.h"
#include "tests/unit/support.h"
#include "tools/cli/cli.h"

#define expect_message(text, call)               \
	do {                                     \
		const char *got_;                \
		capture_begin(STDERR_FILENO);    \
		(void)(call);                    \
		got_ = capture_end();            \
		assert_string_equal(got_, text); \
	} while (0)

/* The wait status of fn() run in a child that then leaves with what it returned. */
static int in_child(int (*fn)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void expect_exit(int (*fn)(void), int status)
{
	int got = in_child(fn);

	assert_true(WIFEXITED(got));
	assert_int_equal(WEXITSTATUS(got), status);
}

static void a_message_is_one_line_with_control_characters_escaped(void **state)
{
	(void)state;
	expect_message("pcore: cannot open 'a\\nb\\x1b[1m': why\n",
		cli_error("cannot open '%s': why", "a\nb\x1b[1m"));
	expect_message("pcore: x, ignoring\n", (cli_warn("x, ignoring"), 0));
	expect_message("pcore: \xc3\xa9 \xff\n", cli_error("\xc3\xa9 \xff"));
	expect_message("pcore: bad\ntry 'pcore --help'\n", cli_usage("bad"));
}

static void take_message(void *ctx, const char *line, size_t len)
{
	struct pcore_buf *b = ctx;

	assert_int_equal(pcore_buf_add(b, line, len), 0);
}

static void messages_go_where_they_are_sent(void **state)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);

	(void)state;
	cli_messages_to(take_message, &b);
	expect_message("", (cli_warn("one"), cli_usage("two")));
	cli_messages_to(NULL, NULL);
	expect_message("pcore: three\n", (cli_warn("three"), 0));
	assert_int_equal(pcore_buf_terminate(&b), 0);
	assert_string_equal(b.data, "pcore: one\npcore: two\ntry 'pcore --help'\n");
	pcore_buf_done(&b);
}

static void messages_keep_errno_and_give_the_failure_status(void **state)
{
	int r;

	(void)state;
	capture_begin(STDERR_FILENO);
	errno = ENOTTY;
	r = cli_error("%s", "x");
	assert_int_equal(errno, ENOTTY);
	assert_int_equal(r, CLI_FAILURE);
	assert_int_equal(cli_usage("x"), CLI_FAILURE);
	capture_end();
}

static void a_long_message_is_cut_and_says_so(void **state)
{
	static char big[10000];
	static const char fills[] = { 'x', '\n', '\x01' };
	const char *text;
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fills); i++) {
		memset(big, fills[i], sizeof(big) - 1);
		capture_begin(STDERR_FILENO);
		cli_error("%s", big);
		text = capture_end();
		len = strlen(text);
		assert_true(len <= 4096);
		assert_true(len > 4080);
		assert_string_equal(text + len - 4, "...\n");
	}
}

static int stderr_closed(void)
{
	close(STDERR_FILENO);
	return cli_error("unseen") == CLI_FAILURE ? 0 : 1;
}

static void diverted_messages_are_kept_instead_of_written(void **state)
{
	char text[16] = "";

	(void)state;
	cli_divert(text, sizeof(text));
	errno = ENOTTY;
	expect_message("", cli_usage("bad '%s'", "a\nb"));
	assert_int_equal(errno, ENOTTY);
	assert_string_equal(text, "bad 'a\\nb'");
	expect_message("", cli_error("0123456789abcdefgh"));
	assert_string_equal(text, "0123456789abcde");
	cli_divert(NULL, 0);
	expect_message("pcore: bad\ntry 'pcore --help'\n", cli_usage("bad"));
	assert_string_equal(text, "0123456789abcde");
}

static void a_message_nobody_can_read_changes_nothing(void **state)
{
	(void)state;
	expect_exit(stderr_closed, 0);
}

static bool is_null_device(int fd, int mode)
{
	struct stat null, st;
	int flags = fcntl(fd, F_GETFL);

	return stat("/dev/null", &null) == 0 && fstat(fd, &st) == 0 && st.st_rdev == null.st_rdev &&
	       (flags & O_ACCMODE) == mode && fcntl(fd, F_GETFD) == FD_CLOEXEC;
}

/* All eight combinations of closed and open, one child for each. */
static int closed_mask;

static int start_with_closed(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (closed_mask & 1 << fd)
			close(fd);
	cli_start("prun");
	for (int fd = 0; fd < 3; fd++) {
		bool closed = closed_mask & 1 << fd;

		if (cli_inherited.closed[fd] != closed)
			return 1;
		if (closed && !is_null_device(fd, fd == 0 ? O_WRONLY : O_RDONLY))
			return 2;
	}
	return 0;
}

static void closed_standard_descriptors_are_occupied_the_wrong_way_round(void **state)
{
	(void)state;
	for (closed_mask = 0; closed_mask < 8; closed_mask++)
		expect_exit(start_with_closed, 0);
}

static int start_with_signals(void)
{
	signal(SIGCHLD, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_DFL);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	cli_start("ppool");
	if (strcmp(cli_tool(), "ppool") != 0)
		return 1;
	if (signal(SIGCHLD, SIG_DFL) != SIG_DFL)
		return 2;
	if (!sigismember(&cli_inherited.ignored, SIGINT) ||
		!sigismember(&cli_inherited.ignored, SIGQUIT))
		return 3;
	return sigismember(&cli_inherited.ignored, SIGHUP) ||
	       sigismember(&cli_inherited.ignored, SIGTERM);
}

static void signals_ignored_at_the_start_are_noted(void **state)
{
	(void)state;
	expect_exit(start_with_signals, 0);
}

static struct pcore_err err_of(int code, enum pcore_step step, const char *subject)
{
	struct pcore_err err;

	pcore_err_set(&err, code, step, subject);
	return err;
}

static void expect_spawn_error(struct pcore_err err, int status, const char *text)
{
	int r;

	capture_begin(STDERR_FILENO);
	r = cli_spawn_error(&err, "x");
	assert_string_equal(capture_end(), text);
	assert_int_equal(r, status);
	assert_int_equal(cli_spawn_status(&err), status);
}

static void each_failed_step_of_a_spawn_has_its_words(void **state)
{
	(void)state;
	expect_spawn_error(err_of(-ENOENT, PCORE_STEP_EXEC, "x"), CLI_NOT_FOUND,
		"pcore: cannot run 'x': No such file or directory\n");
	expect_spawn_error(err_of(-ENOTDIR, PCORE_STEP_EXEC, "/etc/passwd/x"), CLI_NOT_FOUND,
		"pcore: cannot run 'x': Not a directory\n");
	expect_spawn_error(err_of(-EACCES, PCORE_STEP_EXEC, "x"), CLI_CANNOT_RUN,
		"pcore: cannot run 'x': Permission denied\n");
	expect_spawn_error(err_of(-E2BIG, PCORE_STEP_EXEC, "x"), CLI_CANNOT_RUN,
		"pcore: cannot run 'x': Argument list too long\n");
	expect_spawn_error(err_of(-ENOEXEC, PCORE_STEP_EXEC, "x"), CLI_CANNOT_RUN,
		"pcore: cannot run 'x': Exec format error (a script needs a first line like "
		"#!/bin/sh)\n");
	expect_spawn_error(err_of(-ENOENT, PCORE_STEP_CHDIR, "d"), CLI_FAILURE,
		"pcore: cannot change directory to 'd': No such file or directory\n");
	expect_spawn_error(err_of(-EISDIR, PCORE_STEP_OPEN, "f\n"), CLI_FAILURE,
		"pcore: cannot open 'f\\n': Is a directory\n");
	expect_spawn_error(err_of(-EPERM, PCORE_STEP_RLIMIT, "nofile"), CLI_FAILURE,
		"pcore: cannot set limit 'nofile': Operation not permitted\n");
	expect_spawn_error(err_of(-EBADF, PCORE_STEP_DUP, "5"), CLI_FAILURE,
		"pcore: cannot place descriptor 5: Bad file descriptor\n");
	expect_spawn_error(err_of(-EAGAIN, PCORE_STEP_CLONE, NULL), CLI_FAILURE,
		"pcore: cannot create a process: Resource temporarily unavailable\n");
}

static void every_step_has_words_of_its_own(void **state)
{
	(void)state;
	for (int step = PCORE_STEP_NONE + 1; step < PCORE_STEP_EXEC; step++) {
		struct pcore_err err = err_of(-EIO, (enum pcore_step)step, "s");
		const char *text;

		capture_begin(STDERR_FILENO);
		cli_spawn_error(&err, "command");
		text = capture_end();
		assert_null(strstr(text, "cannot run"));
		assert_null(strstr(text, "(null)"));
		assert_non_null(strstr(text, "Input/output error\n"));
	}
}

/* A script in memory with this first line. */
static int script(const char *line, char path[static 32])
{
	int fd = memfd_create("script", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pcore_fd_write_all(fd, line, strlen(line)), 0);
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	return fd;
}

static void a_missing_interpreter_is_named(void **state)
{
	static const char plain[] = "pcore: cannot run 'x': No such file or directory\n";
	static const char *const cases[][2] = {
		{ "#!/nope\n",
			"pcore: cannot run 'x': interpreter '/nope': No such file or directory\n" },
		{ "#! \t/nope -x\n",
			"pcore: cannot run 'x': interpreter '/nope': No such file or directory\n" },
		{ "#!/nope\r\n", "pcore: cannot run 'x': interpreter '/nope\\r': No such file or "
				 "directory\n" },
		{ "#!/nope",
			"pcore: cannot run 'x': interpreter '/nope': No such file or directory\n" },
		{ "#!/bin/sh\n", plain },
		{ "#!\n", plain },
		{ "#", plain },
		{ "\x7f"
		  "ELF",
			plain },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char path[32];
		int fd = script(cases[i][0], path);

		expect_spawn_error(
			err_of(-ENOENT, PCORE_STEP_EXEC, path), CLI_NOT_FOUND, cases[i][1]);
		pcore_fd_close(fd);
	}
}

static void printed_text_arrives_whole(void **state)
{
	const char *text;
	int r;

	(void)state;
	capture_begin(STDOUT_FILENO);
	r = cli_print("usage: x\n");
	text = capture_end();
	assert_string_equal(text, "usage: x\n");
	assert_int_equal(r, CLI_OK);
}

static int print_to(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	if (dup3(fd, STDOUT_FILENO, 0) < 0)
		return 1;
	pcore_fd_close(fd);
	return cli_print("text\n");
}

static int print_to_full(void)
{
	return print_to("/dev/full", O_WRONLY);
}

static int print_to_unwritable(void)
{
	return print_to("/dev/null", O_RDONLY);
}

static int print_to_broken_pipe(void)
{
	int fds[2];

	signal(SIGPIPE, SIG_IGN);
	if (pipe2(fds, O_CLOEXEC) < 0 || dup3(fds[1], STDOUT_FILENO, 0) < 0)
		return 1;
	close(fds[0]);
	close(fds[1]);
	return cli_print("text\n");
}

static int print_too_much_for_a_pipe_at_once(void)
{
	static char big[100000];
	static char in[4096];
	size_t total = 0;
	int fds[2], status;
	pid_t pid;

	memset(big, 'x', sizeof(big) - 1);
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return 1;
	pid = fork();
	if (pid == 0) {
		if (dup3(fds[1], STDOUT_FILENO, 0) < 0)
			_exit(1);
		_exit(cli_print(big));
	}
	close(fds[1]);
	fcntl(fds[0], F_SETFL, 0);
	for (ssize_t n; (n = read(fds[0], in, sizeof(in))) > 0; total += (size_t)n)
		;
	if (waitpid(pid, &status, 0) != pid || status != 0)
		return 2;
	return total == sizeof(big) - 1 ? 0 : 3;
}

static void output_that_cannot_be_written_is_reported(void **state)
{
	(void)state;
	expect_message("pcore: cannot write to standard output: No space left on device\n",
		(expect_exit(print_to_full, CLI_FAILURE), 0));
	expect_message("pcore: cannot write to standard output: Bad file descriptor\n",
		(expect_exit(print_to_unwritable, CLI_FAILURE), 0));
	expect_message("", (expect_exit(print_to_broken_pipe, CLI_FAILURE), 0));
}

static void a_full_pipe_that_does_not_block_is_waited_for(void **state)
{
	(void)state;
	expect_exit(print_too_much_for_a_pipe_at_once, 0);
}

static int deadly_signal;

static int die(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	signal(deadly_signal, SIG_IGN);
	cli_die_of(deadly_signal);
}

static void a_tool_dies_of_a_signal_even_if_blocked_and_ignored(void **state)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGPIPE, SIGKILL, SIGSEGV, SIGABRT };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		int status;

		deadly_signal = signals[i];
		status = in_child(die);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), signals[i]);
		assert_false(WCOREDUMP(status));
	}
	deadly_signal = SIGCHLD;
	expect_exit(die, 128 + SIGCHLD);
}

static int leave(void)
{
	cli_exit(CLI_BUSY);
}

static void a_tool_leaves_with_its_status(void **state)
{
	(void)state;
	expect_exit(leave, CLI_BUSY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_message_is_one_line_with_control_characters_escaped),
		TEST(messages_go_where_they_are_sent),
		TEST(messages_keep_errno_and_give_the_failure_status),
		TEST(a_long_message_is_cut_and_says_so),
		TEST(diverted_messages_are_kept_instead_of_written),
		TEST(a_message_nobody_can_read_changes_nothing),
		TEST(closed_standard_descriptors_are_occupied_the_wrong_way_round),
		TEST(signals_ignored_at_the_start_are_noted),
		TEST(each_failed_step_of_a_spawn_has_its_words),
		TEST(every_step_has_words_of_its_own),
		TEST(a_missing_interpreter_is_named),
		TEST(printed_text_arrives_whole),
		TEST(output_that_cannot_be_written_is_reported),
		TEST(a_full_pipe_that_does_not_block_is_waited_for),
		TEST(a_tool_dies_of_a_signal_even_if_blocked_and_ignored),
		TEST(a_tool_leaves_with_its_status),
	};

	return RUN_TESTS(tests);
}
