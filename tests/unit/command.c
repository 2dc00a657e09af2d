/* SPDX-License-Identifier: MIT */
/*
 * command.c - tests of the question whether a command can be run.
 */
#include "tools/cli/command.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/support.h"

static char dir[] = "/tmp/pcore-command-XXXXXX";
static char path_var[128];
static char *env[] = { path_var, NULL };

static void make(const char *name, mode_t mode)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (S_ISDIR(mode)) {
		assert_int_equal(mkdir(path, 0755), 0);
	} else {
		int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, mode);

		assert_true(fd >= 0);
		close(fd);
	}
}

static int before(void **state)
{
	memcpy(dir + strlen(dir) - 6, "XXXXXX", 6);
	assert_non_null(mkdtemp(dir));
	make("a", S_IFDIR);
	make("b", S_IFDIR);
	make("a/tool", 0644);
	make("b/tool", 0755);
	make("a/data", 0644);
	make("b/thing", S_IFDIR);
	make("here", 0755);
	snprintf(path_var, sizeof(path_var), "PATH=/nowhere:%s/a/data:%s/a:%s/b", dir, dir, dir);
	return support_before(state);
}

static int after(void **state)
{
	static const char *const names[] = { "a/tool", "b/tool", "a/data", "b/thing", "here", "a",
		"b", "." };
	char path[64];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)remove(path);
	}
	rmdir(dir);
	return support_after(state);
}

#define COMMAND_TEST(f) cmocka_unit_test_setup_teardown(f, before, after)

static void expect(const char *name, const char *in, int error, const char *found)
{
	struct pcore_err err = { .code = 0 };
	char *path = NULL, whole[64];
	int r = cli_command_find(name, in, env, &path, &err);

	assert_int_equal(r, error);
	if (r < 0) {
		assert_int_equal(err.code, error);
		assert_int_equal(err.step, PCORE_STEP_EXEC);
		assert_string_equal(err.subject, name);
	}
	if (found) {
		snprintf(whole, sizeof(whole), "%s/%s", dir, found);
		assert_non_null(path);
		assert_string_equal(path, whole);
	} else {
		assert_null(path);
	}
	free(path);
}

static void the_first_in_the_path_that_can_be_run_is_found(void **state)
{
	(void)state;
	expect("tool", NULL, 0, "b/tool");
}

static void what_is_there_but_cannot_be_run_is_denied(void **state)
{
	(void)state;
	expect("data", NULL, -EACCES, NULL);
	expect("thing", NULL, -EACCES, NULL);
	expect("no-such-command", NULL, -ENOENT, NULL);
	expect("", NULL, -ENOENT, NULL);
}

static void a_name_with_a_slash_is_taken_as_it_is(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/b/tool", dir);
	expect(path, NULL, 0, NULL);
	snprintf(path, sizeof(path), "%s/a/tool", dir);
	expect(path, NULL, -EACCES, NULL);
	snprintf(path, sizeof(path), "%s/b/thing", dir);
	expect(path, NULL, -EACCES, NULL);
	snprintf(path, sizeof(path), "%s/none", dir);
	expect(path, NULL, -ENOENT, NULL);
	snprintf(path, sizeof(path), "%s/a/tool/x", dir);
	expect(path, NULL, -ENOTDIR, NULL);
}

static void what_is_relative_is_looked_up_in_the_directory(void **state)
{
	(void)state;
	expect("./here", dir, 0, NULL);
	expect("b/tool", dir, 0, NULL);
	expect("a/tool", dir, -EACCES, NULL);
	strcpy(path_var, "PATH=b:");
	expect("tool", dir, 0, NULL);
	expect("here", dir, 0, NULL); /* an empty entry */
	expect("here", "/", -ENOENT, NULL);
	strcpy(path_var, "PATH=");
	expect("here", dir, 0, NULL);
}

static void without_a_path_there_is_a_default(void **state)
{
	struct pcore_err err;
	char *path = NULL;

	(void)state;
	strcpy(path_var, "PATHS=/nowhere");
	assert_int_equal(cli_command_find("sh", NULL, env, &path, &err), 0);
	assert_string_equal(path, "/bin/sh");
	free(path);
}

static void a_directory_that_is_missing_is_named(void **state)
{
	struct pcore_err err;
	char *path = NULL;

	(void)state;
	assert_int_equal(cli_command_find("sh", "/no/such/dir", env, &path, &err), -ENOENT);
	assert_int_equal(err.step, PCORE_STEP_CHDIR);
	assert_string_equal(err.subject, "/no/such/dir");
	assert_int_equal(cli_command_find("sh", "/etc/passwd", env, &path, &err), -ENOTDIR);
	assert_int_equal(err.step, PCORE_STEP_CHDIR);
}

static void the_room_for_arguments_is_a_quarter_of_the_stack_within_bounds(void **state)
{
	const size_t kept = 2048 + 2 * sizeof("/bin/x");

	(void)state;
	assert_int_equal(cli_command_room(8 << 20, 0, 0, "/bin/x"), (2 << 20) - kept);
	assert_int_equal(cli_command_room(RLIM_INFINITY, 0, 0, "/bin/x"), (6 << 20) - kept);
	assert_int_equal(cli_command_room(64 << 20, 0, 0, "/bin/x"), (6 << 20) - kept);
	assert_int_equal(cli_command_room(4096, 0, 0, "/bin/x"), (128 << 10) - kept);
	assert_int_equal(cli_command_room(0, 0, 0, "/bin/x"), (128 << 10) - kept);
}

static void variables_and_a_name_that_is_not_known_take_from_the_room(void **state)
{
	size_t room = cli_command_room(8 << 20, 0, 0, "x");

	(void)state;
	assert_int_equal(cli_command_room(8 << 20, 3, 100, "x"), room - 100 - 3 * sizeof(char *));
	assert_int_equal(cli_command_room(8 << 20, 0, 0, NULL), room - 2 * (PATH_MAX - 2));
	assert_int_equal(cli_command_room(0, 100, 1 << 20, "x"), 0);
}

/* What exec says about n bytes of arguments with their pointers, and one more that is as long as said. */
static int try_exec(size_t n, size_t longest)
{
	size_t n_strings = n / (1000 + sizeof(char *));
	char **argv = calloc(n_strings + 3, sizeof(*argv)), *text = calloc(1, longest + 1001);
	int status = 0;
	pid_t pid;

	assert_true(argv && text);
	memset(text, 'x', longest + 1000);
	for (size_t i = 0; i < n_strings; i++)
		argv[i] = text + longest + 1; /* 999 and the NUL */
	if (longest > 0)
		argv[n_strings] = text + 1000;
	pid = fork();
	if (pid == 0) {
		char *no_env[] = { NULL };

		execve("/bin/true", argv, no_env);
		_exit(errno == E2BIG ? 99 : 98);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	free(argv);
	free(text);
	return WEXITSTATUS(status);
}

static void the_kernel_agrees(void **state)
{
	struct rlimit stack;
	size_t room;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_STACK, &stack), 0);
	room = cli_command_room(stack.rlim_cur, 0, 0, "/bin/true");
	assert_int_equal(try_exec(room, 0), 0);
	assert_int_equal(try_exec(room + 4096, 0), 99);
	assert_int_equal(try_exec(0, cli_command_string_max() - 1), 0);
	assert_int_equal(try_exec(0, cli_command_string_max()), 99);
}

static const struct CMUnitTest tests[] = {
	COMMAND_TEST(the_first_in_the_path_that_can_be_run_is_found),
	COMMAND_TEST(what_is_there_but_cannot_be_run_is_denied),
	COMMAND_TEST(a_name_with_a_slash_is_taken_as_it_is),
	COMMAND_TEST(what_is_relative_is_looked_up_in_the_directory),
	COMMAND_TEST(without_a_path_there_is_a_default),
	COMMAND_TEST(a_directory_that_is_missing_is_named),
	COMMAND_TEST(the_room_for_arguments_is_a_quarter_of_the_stack_within_bounds),
	COMMAND_TEST(variables_and_a_name_that_is_not_known_take_from_the_room),
	COMMAND_TEST(the_kernel_agrees),
};

int main(void)
{
	return RUN_TESTS(tests);
}
