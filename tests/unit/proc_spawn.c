/* SPDX-License-Identifier: MIT */
/*
 * proc_spawn.c - tests of how a command is started: what it gets, which file is run, and what is
 * said when a step fails. As root they run a second time as an ordinary user.
 */
#include "tests/unit/running.h"

#include <sys/resource.h>
#include <sys/stat.h>

static struct run the;

static const char *output_of(const char *command)
{
	run_init(&the, command);
	run_captured(&the);
	return the.out[0].text;
}

static void run_it(void)
{
	run_start(&the);
	run_finish(&the);
	assert_int_equal(pcore_exit_status(&the.proc.exit), 0);
}

/* ---- what a command gets ---- */

static void the_environment_is_the_one_that_is_given(void **state)
{
	static char a[] = "A=1", b[] = "B=", c[] = "C=\xff\n=";
	char *env[] = { a, b, c, NULL };
	static char cat[] = "/bin/cat", file[] = "/proc/self/environ";
	const char *text = output_of("");

	(void)state;
	the.argv[0] = cat;
	the.argv[1] = file;
	the.argv[2] = NULL;
	the.spec.envp = env;
	run_it();
	assert_int_equal(the.out[0].len, sizeof(a) + sizeof(b) + sizeof(c));
	assert_memory_equal(text, "A=1\0B=\0C=\xff\n=\0", the.out[0].len);
}

static void a_directory_a_mask_and_limits_are_set(void **state)
{
	const struct pcore_proc_limit limits[] = { { RLIMIT_NOFILE, { 64, 128 } },
		{ RLIMIT_CORE, { 0, 0 } } };
	const char *text = output_of("pwd; umask; ulimit -Sn; ulimit -Hn; ulimit -c");

	(void)state;
	the.spec.chdir = "/usr";
	the.spec.set_umask = true;
	the.spec.umask = 027;
	the.spec.limits = limits;
	the.spec.n_limits = ARRAY_SIZE(limits);
	run_it();
	assert_string_equal(text, "/usr\n0027\n64\n128\n0\n");
}

static void niceness_and_affinity_are_set(void **state)
{
	cpu_set_t one, all;
	unsigned first = 0;
	char expected[64];
	const char *text = output_of(
		"cut -d' ' -f19 /proc/self/stat; grep Cpus_allowed_list /proc/self/status");

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	while (!CPU_ISSET(first, &all))
		first++;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	the.spec.nice = 3;
	the.spec.affinity = &one;
	run_it();
	snprintf(expected, sizeof(expected), "%d\nCpus_allowed_list:\t%u\n",
		getpriority(PRIO_PROCESS, 0) + 3, first);
	assert_string_equal(text, expected);
}

/* pid, process group and session of the command */
static void get_place(pid_t place[3])
{
	assert_int_equal(sscanf(the.out[0].text, "%d %d %d", &place[0], &place[1], &place[2]), 3);
	assert_int_equal(place[0], the.proc.pid);
}

#define PLACE "cut -d' ' -f1,5,6 /proc/$$/stat"

static void a_command_is_in_our_group_or_one_of_its_own_or_a_new_session(void **state)
{
	pid_t place[3];

	(void)state;
	output_of(PLACE);
	run_it();
	get_place(place);
	assert_int_equal(place[1], getpgrp());
	assert_int_equal(place[2], getsid(0));

	output_of(PLACE);
	the.spec.set_pgroup = true;
	run_it();
	get_place(place);
	assert_int_equal(place[1], place[0]);
	assert_int_equal(place[2], getsid(0));

	output_of(PLACE);
	the.spec.new_session = true;
	run_it();
	get_place(place);
	assert_int_equal(place[2], place[0]);
}

/* The hexadecimal mask behind a name in /proc/PID/status. */
static uint64_t signals(const char *name)
{
	const char *line = strstr(the.out[0].text, name);

	assert_non_null(line);
	return strtoull(line + strlen(name), NULL, 16);
}

static void no_signal_is_blocked_or_ignored_but_those_that_are_to_be(void **state)
{
	const uint64_t kept = UINT64_C(1) << (SIGHUP - 1);
	sigset_t all, old;

	(void)state;
	sigfillset(&all);
	output_of("exec grep '^Sig' /proc/self/status");
	the.spec.keep_ignored = kept | UINT64_C(1) << (SIGQUIT - 1);
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &all, &old);
	if (run_try(&the) == 0)
		pcore_loop_run(world.lp);
	sigprocmask(SIG_SETMASK, &old, NULL);
	signal(SIGHUP, SIG_DFL);
	signal(SIGUSR1, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	assert_int_equal(the.closed, 1);
	assert_int_equal(signals("SigBlk:"), 0);
	assert_int_equal(signals("SigIgn:"), kept);
}

static void our_signal_mask_is_as_it_was(void **state)
{
	sigset_t before, after;

	(void)state;
	sigprocmask(SIG_BLOCK, NULL, &before);
	run_sh(&the, "exit 0");
	sigprocmask(SIG_BLOCK, NULL, &after);
	assert_memory_equal(&before, &after, sizeof(uint64_t));
}

static void the_parent_death_signal_is_set(void **state)
{
	(void)state;
	output_of("exit 0");
	the.spec.pdeathsig = SIGKILL;
	run_it();
}

/* ---- which file is run ---- */

static char dir[] = "/tmp/pcore-spawn-XXXXXX";

static void make_file(const char *name, const char *text, mode_t mode)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	assert_true(fd >= 0);
	assert_int_equal(pcore_fd_write_all(fd, text, strlen(text)), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void make_dir(void)
{
	char path[128];

	memcpy(dir + strlen(dir) - 6, "XXXXXX", 6);
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/first", dir);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/second", dir);
	assert_int_equal(mkdir(path, 0755), 0);
}

static void remove_dir(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	assert_int_equal(run_sh(&the, command), 0);
}

/* Start argv[0] alone, found in first:second of dir. */
static int run_named(char *name)
{
	static char path[128];
	static char *env[] = { path, NULL };

	snprintf(path, sizeof(path), "PATH=%s/first:%s/second", dir, dir);
	run_init(&the, "");
	run_captured(&the);
	the.argv[0] = name;
	the.argv[1] = NULL;
	the.spec.envp = env;
	return run_try(&the);
}

static void expect_failure(int error, enum pcore_step step, const char *subject)
{
	assert_int_equal(the.err.code, error);
	assert_string_equal(pcore_step_name(the.err.step), pcore_step_name(step));
	assert_string_equal(the.err.subject, subject);
	assert_int_equal(the.exited, 0);
	assert_int_equal(pcore_loop_turn(world.lp, false), 0);
}

static void a_command_is_searched_in_the_path_that_it_gets(void **state)
{
	static char one[] = "one", two[] = "two", both[] = "both";

	(void)state;
	make_dir();
	make_file("first/one", "#!/bin/sh\necho one\n", 0755);
	make_file("second/two", "#!/bin/sh\necho two\n", 0755);
	make_file("first/both", "#!/bin/sh\necho hidden\n", 0644); /* passed over */
	make_file("second/both", "#!/bin/sh\necho both\n", 0755);
	assert_int_equal(run_named(one), 0);
	run_finish(&the);
	assert_string_equal(the.out[0].text, "one\n");
	assert_int_equal(run_named(two), 0);
	run_finish(&the);
	assert_string_equal(the.out[0].text, "two\n");
	assert_int_equal(run_named(both), 0);
	run_finish(&the);
	assert_string_equal(the.out[0].text, "both\n");
	remove_dir();
}

static void an_empty_entry_of_the_path_is_the_commands_directory(void **state)
{
	static char name[] = "here", path[] = "PATH=/nowhere:";
	char *env[] = { path, NULL };

	(void)state;
	make_dir();
	make_file("here", "#!/bin/sh\necho here\n", 0755);
	output_of("");
	the.argv[0] = name;
	the.argv[1] = NULL;
	the.spec.envp = env;
	the.spec.chdir = dir;
	run_it();
	assert_string_equal(the.out[0].text, "here\n");
	remove_dir();
}

static void a_relative_command_is_found_after_the_chdir(void **state)
{
	static char name[] = "first/it";

	(void)state;
	make_dir();
	make_file("first/it", "#!/bin/sh\npwd\n", 0755);
	output_of("");
	the.argv[0] = name;
	the.argv[1] = NULL;
	the.spec.chdir = dir;
	run_it();
	assert_int_equal(strncmp(the.out[0].text, dir, strlen(dir)), 0);
	remove_dir();
}

static void a_file_that_is_given_is_run_under_another_name(void **state)
{
	static char name[] = "another name";

	(void)state;
	output_of("echo $0");
	the.argv[0] = name;
	the.argv[2] = (char *)(uintptr_t) "cat /proc/$$/cmdline";
	the.spec.file = "/bin/sh";
	run_it();
	assert_string_equal(the.out[0].text, name);
}

static void a_command_that_cannot_be_run_is_told_with_its_name(void **state)
{
	static char missing[] = "no-such-command", denied[] = "denied", no_interpreter[] = "lost";
	static char nothing[] = "", in_file[] = "/etc/passwd/x", garbage[] = "garbage",
		    directory[] = "/usr";
	char path[128];

	(void)state;
	make_dir();
	make_file("first/denied", "#!/bin/sh\n", 0644);
	make_file("second/lost", "#!/no/such/interpreter\n", 0755);
	make_file("second/garbage", "what is this\n", 0755);
	assert_int_equal(run_named(missing), -ENOENT);
	expect_failure(-ENOENT, PCORE_STEP_EXEC, missing);
	assert_int_equal(run_named(nothing), -ENOENT);
	expect_failure(-ENOENT, PCORE_STEP_EXEC, "");
	assert_int_equal(run_named(in_file), -ENOTDIR);
	expect_failure(-ENOTDIR, PCORE_STEP_EXEC, in_file);
	assert_int_equal(run_named(directory), -EACCES);
	expect_failure(-EACCES, PCORE_STEP_EXEC, directory);
	assert_int_equal(run_named(denied), -EACCES);
	snprintf(path, sizeof(path), "%s/first/denied", dir);
	expect_failure(-EACCES, PCORE_STEP_EXEC, path);
	assert_int_equal(run_named(garbage), -ENOEXEC);
	snprintf(path, sizeof(path), "%s/second/garbage", dir);
	expect_failure(-ENOEXEC, PCORE_STEP_EXEC, path);
	assert_int_equal(run_named(no_interpreter), -ENOENT);
	snprintf(path, sizeof(path), "%s/second/lost", dir);
	assert_int_equal(run_named(path), -ENOENT);
	expect_failure(-ENOENT, PCORE_STEP_EXEC, path);
	remove_dir();
}

static void an_argument_that_is_too_long_fails_alone(void **state)
{
	static char big[200000];

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	output_of("exit 0");
	the.argv[3] = NULL;
	the.argv[2] = big;
	assert_int_equal(run_try(&the), -E2BIG);
	expect_failure(-E2BIG, PCORE_STEP_EXEC, "/bin/sh");
	assert_int_equal(run_sh(&the, "exit 4"), 4);
}

/* ---- steps that fail ---- */

static void expect_refused(int error, enum pcore_step step, const char *subject)
{
	int r = run_try(&the);

	if (r == 0)
		run_finish(&the);
	assert_int_equal(r, error);
	expect_failure(error, step, subject);
}

static void each_step_that_fails_is_told(void **state)
{
	const struct pcore_proc_limit bad_limit = { RLIMIT_NOFILE, { 100, 50 } };
	cpu_set_t none;

	(void)state;
	CPU_ZERO(&none);
	output_of("exit 0");
	the.spec.chdir = "/no/such/directory";
	expect_refused(-ENOENT, PCORE_STEP_CHDIR, "/no/such/directory");

	output_of("exit 0");
	the.fds[the.spec.n_fds++] = (struct pcore_proc_fd){
		.target = 0, .source = PCORE_FD_FILE, .path = "/no/such/file", .flags = O_RDONLY
	};
	expect_refused(-ENOENT, PCORE_STEP_OPEN, "/no/such/file");

	output_of("exit 0");
	run_fd(&the, 5, PCORE_FD_OURS, 999);
	expect_refused(-EBADF, PCORE_STEP_DUP, "5");

	output_of("exit 0");
	the.spec.limits = &bad_limit;
	the.spec.n_limits = 1;
	expect_refused(-EINVAL, PCORE_STEP_RLIMIT, "nofile");

	output_of("exit 0");
	the.spec.affinity = &none;
	expect_refused(-EINVAL, PCORE_STEP_AFFINITY, "");

	output_of("exit 0");
	the.spec.set_pgroup = true;
	the.spec.pgroup = 1;
	expect_refused(-EPERM, PCORE_STEP_PGROUP, "");

	output_of("exit 0");
	pcore_fault_set("pipe:2:EMFILE");
	expect_refused(-EMFILE, PCORE_STEP_PIPE, "");
	pcore_fault_set("spawn:1:EAGAIN");
	output_of("exit 0");
	expect_refused(-EAGAIN, PCORE_STEP_CLONE, "");
	pcore_fault_set("");
	assert_int_equal(run_sh(&the, "exit 4"), 4);
}

static void what_an_ordinary_user_may_not_do_is_told(void **state)
{
	struct pcore_proc_limit limit = { .resource = RLIMIT_NOFILE };

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit.limit), 0);
	limit.limit.rlim_max++;
	output_of("exit 0");
	the.spec.limits = &limit;
	the.spec.n_limits = 1;
	expect_refused(-EPERM, PCORE_STEP_RLIMIT, "nofile");

	output_of("exit 0");
	the.spec.nice = -5;
	expect_refused(-EACCES, PCORE_STEP_NICE, "");
}

/* The user has more processes than this already, if only ours. */
static void a_user_with_too_many_processes_is_told_so(void **state)
{
	struct rlimit old, none = { 0 };
	int r;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NPROC, &old), 0);
	none.rlim_max = old.rlim_max;
	output_of("exit 0");
	setrlimit(RLIMIT_NPROC, &none);
	r = run_try(&the);
	setrlimit(RLIMIT_NPROC, &old);
	assert_int_equal(r, -EAGAIN);
	expect_failure(-EAGAIN, tree_is_cgroup() ? PCORE_STEP_CLONE : PCORE_STEP_SUPERVISOR, "");
	assert_int_equal(run_sh(&the, "exit 4"), 4);
}

static void hundreds_of_failures_leave_nothing_behind(void **state)
{
	static char missing[] = "/no/such/command";

	(void)state;
	for (int i = 0; i < 200; i++) {
		output_of("");
		run_fd(&the, 0, PCORE_FD_PIPE_IN, -1);
		the.argv[0] = missing;
		expect_refused(-ENOENT, PCORE_STEP_EXEC, missing);
	}
}

static int highest_fd(void)
{
	int fd = fcntl(0, F_DUPFD_CLOEXEC, 3);

	assert_true(fd >= 0);
	close(fd);
	return fd;
}

static void descriptors_may_run_out_at_any_step(void **state)
{
	struct rlimit old, tight;
	int failures = 0, error = -1, fds;

	(void)state;
	assert_int_equal(run_sh(&the, "exit 4"), 4); /* what is made once has been made */
	fds = support_count_fds();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	tight = old;
	for (int more = 0; error < 0 && more < 32; more++) {
		tight.rlim_cur = (rlim_t)(highest_fd() + more);
		output_of("exit 4");
		run_fd(&the, 0, PCORE_FD_PIPE_IN, -1);
		setrlimit(RLIMIT_NOFILE, &tight);
		error = run_try(&the);
		setrlimit(RLIMIT_NOFILE, &old);
		if (error == 0)
			break;
		failures++;
		assert_int_equal(error, -EMFILE);
		assert_int_equal(support_count_fds(), fds);
	}
	close(the.fds[2].fd);
	run_finish(&the);
	assert_int_equal(pcore_exit_status(&the.proc.exit), 4);
	assert_true(failures >= 6);
}

static void a_supervisor_that_is_killed_is_replaced(void **state)
{
	char path[64], text[32] = "";
	pid_t supervisor = 0;
	FILE *f;

	(void)state;
	if (tree_is_cgroup())
		skip();
	assert_int_equal(run_sh(&the, "echo $PPID"), 0);
	supervisor = (pid_t)strtol(the.out[0].text, NULL, 10);
	snprintf(path, sizeof(path), "/proc/%d/comm", supervisor);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	assert_string_equal(text, "pcore-super\n");
	kill(supervisor, SIGKILL);
	usleep(20000);
	assert_int_equal(run_sh(&the, "exit 4"), 4);
}

static void limits_have_names(void **state)
{
	(void)state;
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		const char *name = pcore_limit_name(i);

		assert_non_null(name);
		assert_int_equal(pcore_limit_by_name(name), i);
	}
	assert_int_equal(pcore_limit_by_name("nofiles"), -EINVAL);
	assert_int_equal(pcore_limit_by_name(""), -EINVAL);
	assert_null(pcore_limit_name(RLIM_NLIMITS));
	assert_true(pcore_limit_is_size(RLIMIT_AS));
	assert_false(pcore_limit_is_size(RLIMIT_NOFILE));
}

static const struct CMUnitTest tests[] = {
	TREE_TEST(the_environment_is_the_one_that_is_given),
	TREE_TEST(a_directory_a_mask_and_limits_are_set),
	TREE_TEST(niceness_and_affinity_are_set),
	TREE_TEST(a_command_is_in_our_group_or_one_of_its_own_or_a_new_session),
	TREE_TEST(no_signal_is_blocked_or_ignored_but_those_that_are_to_be),
	TREE_TEST(our_signal_mask_is_as_it_was),
	TREE_TEST(the_parent_death_signal_is_set),
	TREE_TEST(a_command_is_searched_in_the_path_that_it_gets),
	TREE_TEST(an_empty_entry_of_the_path_is_the_commands_directory),
	TREE_TEST(a_relative_command_is_found_after_the_chdir),
	TREE_TEST(a_file_that_is_given_is_run_under_another_name),
	TREE_TEST(a_command_that_cannot_be_run_is_told_with_its_name),
	TREE_TEST(an_argument_that_is_too_long_fails_alone),
	TREE_TEST(each_step_that_fails_is_told),
	TREE_TEST(hundreds_of_failures_leave_nothing_behind),
	TREE_TEST(descriptors_may_run_out_at_any_step),
	TREE_TEST(limits_have_names),
};

static const struct CMUnitTest user_tests[] = {
	TREE_TEST(what_an_ordinary_user_may_not_do_is_told),
	TREE_TEST(a_user_with_too_many_processes_is_told_so),
	TREE_TEST(a_supervisor_that_is_killed_is_replaced),
};

int main(void)
{
	int failed = cmocka_run_group_tests_name("proc_spawn", tests, NULL, NULL);

	if (geteuid() != 0)
		return failed +
		       cmocka_run_group_tests_name("proc_spawn of a user", user_tests, NULL, NULL);
	failed += RUN_TESTS_AS(become_nobody, "proc_spawn as an ordinary user", tests);
	failed += RUN_TESTS_AS(become_nobody, "proc_spawn of an ordinary user", user_tests);
	return failed;
}
