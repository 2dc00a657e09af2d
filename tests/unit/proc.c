/* SPDX-License-Identifier: MIT */
/*
 * proc.c - tests of a command's life: how it ends, how it is ended, and that nothing of its tree
 * is left. As root they run a second time as an ordinary user, where a supervisor keeps the tree.
 */
#include "tests/unit/running.h"

#include <inttypes.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* A session of its own, a daemon and an ordinary child; all hold stdout. */
#define TREE "setsid sleep 77 & (sleep 77 &) ; sleep 77 & "
enum { TREE_SIZE = 3 };

static struct run the, other;

/* ---- exit statuses and signals ---- */

static void every_exit_status_comes_through(void **state)
{
	char command[32];

	(void)state;
	for (int i = 0; i < 256; i++) {
		snprintf(command, sizeof(command), "exit %d", i);
		assert_int_equal(run_sh(&the, command), i);
		assert_int_equal(the.proc.exit.code, CLD_EXITED);
		assert_int_equal(the.proc.exit_error, 0);
		assert_int_equal(the.proc.killed_by, PCORE_KILLED_NO);
		assert_int_equal(the.proc.survivors, 0);
	}
}

static void a_signal_that_kills_the_command_is_told(void **state)
{
	const int signals[] = { SIGTERM, SIGKILL, SIGSEGV, SIGABRT, SIGUSR1, SIGHUP, SIGRTMIN + 1 };
	struct pcore_proc_limit no_core = { .resource = RLIMIT_CORE };
	char command[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		snprintf(command, sizeof(command), "kill -%d $$; sleep 9", signals[i]);
		run_init(&the, command);
		the.spec.limits = &no_core;
		the.spec.n_limits = 1;
		run_start(&the);
		run_finish(&the);
		assert_int_not_equal(the.proc.exit.code, CLD_EXITED);
		assert_int_equal(the.proc.exit.status, signals[i]);
		assert_int_equal(pcore_exit_status(&the.proc.exit), 128 + signals[i]);
		assert_int_equal(the.proc.killed_by, PCORE_KILLED_NO);
	}
}

/* What the program does when it is its own test's command: say what time it is and be gone. */
static int tell_the_time(void)
{
	char text[32];
	int n;

	usleep(5000);
	n = snprintf(text, sizeof(text), "%" PRId64, pcore_now_ns());
	_exit(write(STDOUT_FILENO, text, (size_t)n) == n ? 0 : 1);
}

static int compare_times(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void an_exit_is_noticed_at_once(void **state)
{
	static char self[] = "/proc/self/exe", word[] = "time";
	const int64_t late_max = 50 * NS_PER_MS; /* not when somebody looks again; how soon it is, exitlag measures */
	int64_t late[15];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(late); i++) {
		run_init(&the, "");
		run_captured(&the);
		the.argv[0] = self;
		the.argv[1] = word;
		run_start(&the);
		run_finish(&the);
		assert_int_equal(the.proc.exit.status, 0);
		late[i] = the.proc.ended_ns - strtoll(the.out[0].text, NULL, 10);
	}
	qsort(late, ARRAY_SIZE(late), sizeof(late[0]), compare_times);
	assert_true(late[0] > 0);
	assert_true(late[2] < late_max); /* others may keep the CPUs busy */
}

static void a_status_that_somebody_else_took_is_an_error_not_a_lie(void **state)
{
	(void)state;
	signal(SIGCHLD, SIG_IGN);
	run_init(&the, "exit 7");
	run_start(&the);
	run_finish(&the);
	signal(SIGCHLD, SIG_DFL);
	if (the.proc.exit_error == 0) /* a supervisor of its own is not bothered */
		assert_int_equal(the.proc.exit.status, 7);
	else
		assert_int_equal(the.proc.exit_error, -ECHILD);
}

static void a_stopped_command_has_not_exited(void **state)
{
	(void)state;
	run_init(&the, "echo ready; kill -STOP $$; exit 5");
	run_captured(&the);
	run_start(&the);
	run_wait_ready(&the);
	for (int64_t t = pcore_now_ns(); seconds_since(t) < 0.1;) {
		pcore_loop_turn(world.lp, false);
		assert_int_equal(the.exited, 0);
		usleep(10000);
	}
	assert_int_equal(pcore_proc_signal(&the.proc, SIGCONT), 0);
	run_finish(&the);
	assert_int_equal(the.proc.exit.status, 5);
}

static void a_signal_after_the_exit_is_no_error(void **state)
{
	(void)state;
	run_init(&the, "exit 0");
	run_start(&the);
	usleep(50000); /* dead, and not noticed yet */
	assert_int_equal(pcore_proc_signal(&the.proc, SIGTERM), 0);
	run_finish(&the);
	assert_int_equal(pcore_proc_signal(&the.proc, SIGTERM), 0);
	pcore_proc_signal_tree(&the.proc, SIGTERM);
	assert_int_equal(the.proc.exit.status, 0);
	assert_int_equal(the.proc.exit.code, CLD_EXITED);
}

/* ---- time ---- */

static void a_time_out_ends_the_whole_tree(void **state)
{
	int64_t began = pcore_now_ns();

	(void)state;
	run_init(&the, TREE "echo ready; sleep 77");
	run_captured(&the);
	the.times.timeout = 300 * NS_PER_MS;
	run_start(&the);
	run_finish(&the);
	assert_true(seconds_since(began) >= 0.3);
	assert_true(seconds_since(began) < 1.0);
	assert_int_equal(the.proc.killed_by, PCORE_KILLED_TIMEOUT);
	assert_int_equal(the.proc.exit.status, SIGTERM);
	assert_string_equal(the.out[0].text, "ready\n");
	assert_int_equal(the.proc.survivors, 0);
}

static void what_ignores_the_signal_is_killed_after_the_grace(void **state)
{
	int64_t began = pcore_now_ns();

	(void)state;
	run_init(&the, "trap '' TERM; " TREE "sleep 77; sleep 77");
	run_captured(&the);
	the.times.timeout = 200 * NS_PER_MS;
	the.times.kill_after = 200 * NS_PER_MS;
	run_start(&the);
	run_finish(&the);
	assert_true(seconds_since(began) >= 0.4);
	assert_true(seconds_since(began) < 1.2);
	assert_int_equal(the.proc.killed_by, PCORE_KILLED_TIMEOUT);
	assert_int_equal(the.proc.exit.status, SIGKILL);
}

static void strays_that_ignore_the_signal_are_killed_as_well(void **state)
{
	(void)state;
	run_init(&the, "(trap '' TERM; echo ready; sleep 77; sleep 77) & sleep 77");
	run_captured(&the);
	the.times.timeout = 200 * NS_PER_MS;
	the.times.kill_after = 200 * NS_PER_MS;
	run_start(&the);
	run_finish(&the);
	assert_int_equal(the.proc.exit.status, SIGTERM);
	assert_true(the.proc.ended_ns - the.proc.started_ns < 390 * NS_PER_MS);
	assert_true(seconds_since(the.proc.started_ns) >= 0.4);
}

static void the_chosen_signal_is_the_one_that_is_sent(void **state)
{
	(void)state;
	run_init(&the, "trap 'exit 9' USR1; echo ready; while :; do sleep 0.01; done");
	run_captured(&the);
	the.times.timeout = 200 * NS_PER_MS;
	the.times.signal = SIGUSR1;
	run_start(&the);
	run_finish(&the);
	assert_int_equal(the.proc.exit.code, CLD_EXITED);
	assert_int_equal(the.proc.exit.status, 9);
	assert_int_equal(the.proc.killed_by, PCORE_KILLED_TIMEOUT);
}

static void a_stopped_command_is_ended_by_term_at_once(void **state)
{
	(void)state;
	run_init(&the, "echo ready; kill -STOP $$; sleep 77");
	run_captured(&the);
	run_start(&the);
	run_wait_ready(&the);
	usleep(50000);
	pcore_proc_end(&the.proc, SIGTERM, PCORE_KILLED_CANCEL);
	run_finish(&the);
	assert_int_equal(the.proc.exit.status, SIGTERM);
	assert_true(the.proc.ended_ns - the.proc.started_ns < NS_PER_S);
}

static void an_exit_before_the_time_is_up_is_no_time_out(void **state)
{
	(void)state;
	run_init(&the, "exit 3");
	the.times.timeout = 5 * NS_PER_S;
	run_start(&the);
	run_finish(&the);
	assert_int_equal(the.proc.killed_by, PCORE_KILLED_NO);
	assert_int_equal(the.proc.exit.status, 3);
	assert_true(seconds_since(the.proc.started_ns) < 2);
}

/* ---- what is left running ---- */

static void a_pipe_held_open_by_a_stray_is_read_for_the_linger_only(void **state)
{
	int64_t began = pcore_now_ns();

	(void)state;
	run_init(&the, TREE "echo hi");
	run_captured(&the);
	the.times.linger = 150 * NS_PER_MS;
	run_start(&the);
	run_finish(&the);
	assert_true(seconds_since(began) >= 0.15);
	assert_true(seconds_since(began) < 1.0);
	assert_string_equal(the.out[0].text, "hi\n");
	assert_int_equal(the.proc.exit.status, 0);
	assert_int_equal(the.proc.survivors, TREE_SIZE);
	assert_int_equal(the.proc.killed_by, PCORE_KILLED_NO);
}

static void what_ends_within_the_linger_is_no_survivor(void **state)
{
	(void)state;
	run_init(&the, "(sleep 0.1; echo late) & echo hi");
	run_captured(&the);
	the.times.linger = 20 * NS_PER_S;
	run_start(&the);
	run_finish(&the);
	assert_string_equal(the.out[0].text, "hi\nlate\n");
	assert_int_equal(the.proc.survivors, 0);
	assert_true(seconds_since(the.proc.started_ns) < 5);
}

static void strays_that_ignore_term_are_killed_after_the_grace(void **state)
{
	(void)state;
	run_init(&the, "(trap '' TERM; sleep 77; sleep 77) & sleep 0.1; exit 4");
	the.times.linger = 0;
	the.times.kill_after = 100 * NS_PER_MS;
	run_start(&the);
	run_finish(&the);
	assert_int_equal(the.proc.exit.status, 4);
	assert_true(the.proc.survivors >= 1);
	assert_true(seconds_since(the.proc.started_ns) >= 0.2);
	assert_true(seconds_since(the.proc.started_ns) < 2);
}

static void leave_lets_the_strays_live(void **state)
{
	pid_t stray;

	(void)state;
	run_init(&the, "exec >/dev/null; sleep 77 & echo $! >&2");
	run_captured(&the);
	the.times.leave = true;
	the.times.linger = 50 * NS_PER_MS;
	run_start(&the);
	run_finish(&the);
	assert_int_equal(the.proc.survivors, 0);
	world_unmake(); /* not even then */
	stray = (pid_t)strtol(the.out[1].text, NULL, 10);
	assert_true(stray > 0);
	assert_int_equal(kill(stray, 0), 0);
	kill(stray, SIGKILL);
	world_make(false);
}

static void a_stray_that_is_left_alive_and_never_stops_writing_ends_nothing_late(void **state)
{
	int64_t began = pcore_now_ns();

	(void)state;
	run_init(&the, "yes & echo $! >&2");
	run_captured(&the);
	the.times.leave = true;
	the.times.linger = 50 * NS_PER_MS;
	run_start(&the);
	run_finish(&the);
	assert_true(seconds_since(began) < 2);
	kill((pid_t)strtol(the.out[1].text, NULL, 10), SIGKILL);
}

/* ---- end() and kill() in each state ---- */

static void end_of_a_running_command_signals_its_tree(void **state)
{
	(void)state;
	run_init(&the, TREE "echo ready; sleep 77");
	run_captured(&the);
	run_start(&the);
	run_wait_ready(&the);
	the.proc.times.kill_after = 200 * NS_PER_MS; /* INT is ignored in the background */
	pcore_proc_end(&the.proc, SIGINT, PCORE_KILLED_CANCEL);
	assert_int_equal(the.proc.state, PCORE_PROC_ENDING);
	run_finish(&the);
	assert_int_equal(the.proc.killed_by, PCORE_KILLED_CANCEL);
	assert_true(seconds_since(the.proc.started_ns) < 4);
}

static void end_comes_once(void **state)
{
	(void)state;
	run_init(&the, "trap 'echo once' TERM; echo ready; while :; do sleep 0.01; done");
	run_captured(&the);
	the.times.kill_after = 300 * NS_PER_MS;
	run_start(&the);
	run_wait_ready(&the);
	pcore_proc_end(&the.proc, SIGTERM, PCORE_KILLED_CANCEL);
	turn_until(strstr(the.out[0].text, "once"));
	pcore_proc_end(&the.proc, SIGTERM, PCORE_KILLED_TIMEOUT);
	assert_int_equal(the.proc.state, PCORE_PROC_ENDING);
	run_finish(&the);
	assert_string_equal(the.out[0].text, "ready\nonce\n");
	assert_int_equal(the.proc.exit.status, SIGKILL);
	assert_int_equal(the.proc.killed_by, PCORE_KILLED_CANCEL);
}

static void kill_of_a_running_command_kills_its_tree(void **state)
{
	(void)state;
	run_init(&the, "trap '' TERM; " TREE "echo ready; sleep 77");
	run_captured(&the);
	run_start(&the);
	run_wait_ready(&the);
	pcore_proc_kill(&the.proc, PCORE_KILLED_CANCEL);
	assert_int_equal(the.proc.state, PCORE_PROC_KILLING);
	pcore_proc_kill(&the.proc, PCORE_KILLED_CANCEL);
	pcore_proc_end(&the.proc, SIGTERM, PCORE_KILLED_CANCEL);
	assert_int_equal(the.proc.state, PCORE_PROC_KILLING);
	run_finish(&the);
	assert_int_equal(the.proc.exit.status, SIGKILL);
	assert_int_equal(the.proc.killed_by, PCORE_KILLED_CANCEL);
	assert_true(seconds_since(the.proc.started_ns) < 2);
}

static void kill_cuts_the_grace_short(void **state)
{
	(void)state;
	run_init(&the, "trap '' TERM; " TREE "echo ready; sleep 77; sleep 77");
	run_captured(&the);
	the.times.kill_after = INT64_MAX;
	run_start(&the);
	run_wait_ready(&the);
	pcore_proc_end(&the.proc, SIGTERM, PCORE_KILLED_TIMEOUT);
	pcore_proc_kill(&the.proc, PCORE_KILLED_CANCEL);
	assert_int_equal(the.proc.state, PCORE_PROC_KILLING);
	run_finish(&the);
	assert_int_equal(the.proc.killed_by, PCORE_KILLED_TIMEOUT);
	assert_true(seconds_since(the.proc.started_ns) < 2);
}

/* Run until the command is dead and its strays linger for ever. */
static void start_lingering(const char *command)
{
	run_init(&the, command);
	run_captured(&the);
	the.times.linger = INT64_MAX;
	the.times.kill_after = INT64_MAX;
	run_start(&the);
	turn_until(the.exited);
	assert_int_equal(the.proc.state, PCORE_PROC_LINGERING);
}

static void end_cuts_the_linger_short(void **state)
{
	(void)state;
	start_lingering(TREE "exit 2");
	pcore_proc_end(&the.proc, SIGTERM, PCORE_KILLED_CANCEL);
	assert_int_equal(the.proc.state, PCORE_PROC_STRAYS_ENDING);
	run_finish(&the);
	assert_int_equal(the.proc.survivors, TREE_SIZE);
	assert_int_equal(the.proc.killed_by, PCORE_KILLED_NO);
	assert_int_equal(the.proc.exit.status, 2);
}

static void kill_cuts_the_linger_short(void **state)
{
	(void)state;
	start_lingering(TREE "exit 2");
	pcore_proc_kill(&the.proc, PCORE_KILLED_CANCEL);
	assert_true(the.proc.state >= PCORE_PROC_STRAYS_KILLING); /* DONE if they died at once */
	pcore_proc_end(&the.proc, SIGTERM, PCORE_KILLED_CANCEL);
	run_finish(&the);
	assert_int_equal(the.proc.survivors, TREE_SIZE);
	assert_int_equal(the.proc.killed_by, PCORE_KILLED_NO);
}

static void kill_ends_strays_that_ignore_term(void **state)
{
	(void)state;
	start_lingering("(trap '' TERM; sleep 77; sleep 77) & sleep 0.1");
	pcore_proc_end(&the.proc, SIGTERM, PCORE_KILLED_CANCEL);
	pcore_proc_end(&the.proc, SIGTERM, PCORE_KILLED_CANCEL);
	assert_int_equal(the.proc.state, PCORE_PROC_STRAYS_ENDING);
	pcore_proc_kill(&the.proc, PCORE_KILLED_CANCEL);
	assert_true(the.proc.state >= PCORE_PROC_STRAYS_KILLING); /* DONE if they died at once */
	run_finish(&the);
}

static void nothing_is_done_to_a_tree_that_is_done(void **state)
{
	(void)state;
	assert_int_equal(run_sh(&the, "exit 1"), 1);
	pcore_proc_end(&the.proc, SIGTERM, PCORE_KILLED_CANCEL);
	pcore_proc_kill(&the.proc, PCORE_KILLED_CANCEL);
	assert_int_equal(the.closed, 1);
	assert_int_equal(the.proc.killed_by, PCORE_KILLED_NO);
	assert_int_equal(pcore_loop_turn(world.lp, false), 0);
}

/* ---- trees ---- */

static void a_signal_reaches_every_process_of_the_tree(void **state)
{
	(void)state;
	run_init(&the, "trap 'echo got; exit' USR1; "
		       "setsid sh -c 'trap \"echo got; exit\" USR1; echo up; while :; do sleep "
		       "0.01; done' & "
		       "while :; do sleep 0.01; done");
	run_captured(&the);
	run_start(&the);
	turn_until(strstr(the.out[0].text, "up"));
	/* The sleeps are not to die before their shells; these are to go on after it. */
	pcore_proc_signal_tree(&the.proc, SIGUSR1);
	run_finish(&the);
	assert_string_equal(the.out[0].text, "up\ngot\ngot\n");
}

static void a_tree_serves_one_command_after_another(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		assert_int_equal(run_sh(&the, TREE "kill -9 $$"), 128 + SIGKILL);
		assert_int_equal(run_sh(&the, "echo next; exit 1"), 1);
		assert_string_equal(the.out[0].text, "next\n");
		assert_int_equal(the.proc.survivors, 0);
		if (i == 1) /* the rest without the wait for strays */
			break;
	}
}

static void a_tree_that_was_killed_serves_the_next_command(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		run_init(&the, "trap '' TERM; " TREE "sleep 77; sleep 77");
		the.times.timeout = 400 * NS_PER_MS; /* the shell is to have come to its trap */
		the.times.kill_after = 50 * NS_PER_MS;
		run_start(&the);
		run_finish(&the);
		assert_int_equal(the.proc.exit.status, SIGKILL);
		assert_int_equal(run_sh(&the, "exit 5"), 5);
	}
}

static void a_single_tree_that_was_killed_serves_the_next_command(void **state)
{
	struct pcore_err err;

	world_unmake();
	assert_int_equal(pcore_keeper_new(&world.keeper, true, false, &err), 0);
	assert_int_equal(pcore_tree_new(&world.tree, world.keeper, &err), 0);
	a_tree_that_was_killed_serves_the_next_command(state);
	world_unmake();
	world_make(false);
}

/* Enter a cgroup whose processes were all killed at some time before, and run a command. */
static int run_where_all_were_killed(int base)
{
	struct pcore_err err;
	int fd = openat(base, "pcore-test", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || pcore_file_write(fd, "cgroup.kill", "1") < 0 ||
		pcore_file_write(fd, "cgroup.procs", "0") < 0)
		return 99;
	if (pcore_loop_new(&world.lp, wanted_backend()) < 0 ||
		pcore_keeper_new(&world.keeper, false, false, &err) < 0 ||
		pcore_tree_new(&world.tree, world.keeper, &err) < 0)
		return 98;
	run_init(&the, "exit 5");
	if (run_try(&the) < 0 || pcore_loop_run(world.lp) < 0)
		return 97;
	world_unmake();
	return pcore_exit_status(&the.proc.exit);
}

static void a_cgroup_that_was_killed_before_we_came_does_no_harm(void **state)
{
	int base = pcore_cgroup_open(), status = 0;
	pid_t pid;

	(void)state;
	if (!tree_is_cgroup() || mkdirat(base, "pcore-test", 0755) < 0) {
		if (base >= 0)
			pcore_fd_close(base);
		skip();
	}
	pid = fork();
	if (pid == 0)
		_exit(run_where_all_were_killed(base));
	waitpid(pid, &status, 0);
	assert_int_equal(unlinkat(base, "pcore-test", AT_REMOVEDIR), 0);
	pcore_fd_close(base);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 5);
}

static void two_trees_do_not_touch_each_other(void **state)
{
	struct pcore_tree *first = world.tree, *second;

	(void)state;
	assert_int_equal(pcore_tree_new(&second, world.keeper, &the.err), 0);
	run_init(&the, TREE "echo ready; sleep 77");
	run_captured(&the);
	run_start(&the);
	run_wait_ready(&the);
	world.tree = second;
	run_init(&other, TREE "echo ready; sleep 77");
	run_captured(&other);
	run_start(&other);
	run_wait_ready(&other);
	pcore_proc_kill(&the.proc, PCORE_KILLED_CANCEL);
	turn_until(the.closed);
	assert_int_equal(other.exited, 0);
	pcore_proc_end(&other.proc, SIGTERM, PCORE_KILLED_CANCEL);
	run_finish(&other);
	assert_int_equal(other.proc.exit.status, SIGTERM);
	pcore_tree_free(second);
	world.tree = first;
}

static void a_single_tree_works_like_one_of_many(void **state)
{
	(void)state;
	world_unmake();
	assert_int_equal(pcore_keeper_new(&world.keeper, true, false, &the.err), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pcore_tree_new(&world.tree, world.keeper, &the.err), 0);
		assert_int_equal(run_sh(&the, TREE "exit 6"), 6);
		assert_int_equal(the.proc.survivors, TREE_SIZE);
		pcore_tree_free(world.tree);
	}
	world.tree = NULL;
	world_unmake();
	world_make(false);
}

static void a_fork_storm_dies_with_its_tree(void **state)
{
	(void)state;
	/* At most 40 at a time, each of which lives for a moment and is replaced. */
	run_init(&the, "echo ready; storm() { sleep 0.02; (storm &) ; }; "
		       "for i in 1 2 3 4 5 6 7 8 9 10; do storm & done; sleep 77");
	run_captured(&the);
	the.times.linger = 0;
	run_start(&the);
	run_wait_ready(&the);
	usleep(100000);
	pcore_proc_kill(&the.proc, PCORE_KILLED_CANCEL);
	run_finish(&the);
	assert_true(the.out[0].ended);
	assert_true(seconds_since(the.proc.started_ns) < 5);
}

static void the_method_is_the_best_that_there_is(void **state)
{
	const char *name = pcore_tree_method_name(world.tree);
	int fd = pcore_cgroup_open();
	bool writable = fd >= 0 && faccessat(fd, "cgroup.procs", W_OK, AT_EACCESS) == 0;

	(void)state;
	if (fd >= 0)
		pcore_fd_close(fd);
	assert_string_equal(name, writable ? "cgroup" : "supervisor");
}

static void cgroups_of_the_dead_are_swept(void **state)
{
	int fd = pcore_cgroup_open();

	(void)state;
	if (!tree_is_cgroup() || fd < 0) {
		if (fd >= 0)
			pcore_fd_close(fd);
		skip();
	}
	(void)mkdirat(fd, "pcore.4194999.0", 0755);
	assert_int_equal(mkdirat(fd, "pcore.4194999.0/0", 0755), 0);
	assert_int_equal(mkdirat(fd, "pcore.4194999.0/1", 0755), 0);
	(void)mkdirat(fd, "pcore.4194999.1", 0755);
	assert_int_equal(mkdirat(fd, "pcore.4194999.1/7", 0755), 0); /* leaves go in any order */
	world_unmake();
	world_make(false);
	assert_int_equal(count_leaves(4194999), 0);
	pcore_fd_close(fd);
	assert_int_equal(run_sh(&the, "exit 0"), 0);
}

static void a_pid_namespace_ends_with_its_command(void **state)
{
	(void)state;
	world_unmake();
	world_make(true);
	run_init(&the, TREE "echo $$; cat /proc/self/stat | cut -d' ' -f4; exit 8");
	run_captured(&the);
	if (run_try(&the) < 0 && the.err.step == PCORE_STEP_NAMESPACE) {
		world_unmake();
		world_make(false);
		skip();
	}
	run_finish(&the);
	assert_int_equal(pcore_exit_status(&the.proc.exit), 8);
	assert_string_equal(pcore_tree_method_name(world.tree), "pid-namespace");
	assert_int_equal(the.out[0].text[0], '2'); /* 1 is ours */
	assert_int_equal(the.proc.survivors, TREE_SIZE);
	assert_int_equal(run_sh(&the, "trap '' TERM; kill -9 $$"), 128 + SIGKILL);
	world_unmake();
	world_make(false);
}

static void a_time_out_ends_a_pid_namespace(void **state)
{
	(void)state;
	world_unmake();
	world_make(true);
	run_init(&the, "trap '' TERM; " TREE "sleep 77; sleep 77");
	run_captured(&the);
	the.times.timeout = the.times.kill_after = 100 * NS_PER_MS;
	if (run_try(&the) == 0) {
		run_finish(&the);
		assert_int_equal(the.proc.exit.status, SIGKILL);
		assert_int_equal(the.proc.killed_by, PCORE_KILLED_TIMEOUT);
	} else {
		assert_int_equal(the.err.step, PCORE_STEP_NAMESPACE);
	}
	world_unmake();
	world_make(false);
}

/* ---- our own death ---- */

/* A process of ours that runs a tree whose every member holds the pipe open, until it is killed. */
static pid_t start_victim(int pipe_end, bool pid_namespace)
{
	pid_t pid = fork();
	struct pcore_err err;

	if (pid != 0)
		return pid;
	if (pcore_loop_new(&world.lp, wanted_backend()) < 0 || /* the other one is our maker's */
		pcore_keeper_new(&world.keeper, false, pid_namespace, &err) < 0 ||
		pcore_tree_new(&world.tree, world.keeper, &err) < 0)
		_exit(1);
	run_init(&the, "trap '' TERM; " TREE "echo ready >&2; sleep 77");
	run_fd(&the, 1, PCORE_FD_OURS, pipe_end);
	run_fd(&the, 2, PCORE_FD_OURS, pipe_end);
	if (pcore_proc_start(&the.proc, world.lp, world.tree, &the.spec, &the.times, &the.err) < 0)
		(void)!write(pipe_end, "failed", 6);
	for (;;)
		pause();
}

static void nothing_survives_our_own_death(bool pid_namespace)
{
	struct pollfd end;
	char text[16] = "";
	int pipe_ends[2];
	int64_t killed;
	pid_t victim;

	assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
	victim = start_victim(pipe_ends[1], pid_namespace);
	close(pipe_ends[1]);
	assert_true(read(pipe_ends[0], text, sizeof(text)) > 0);
	if (strncmp(text, "failed", 6) != 0)
		assert_string_equal(text, "ready\n");
	usleep(20000);

	kill(victim, SIGKILL);
	killed = pcore_now_ns();
	waitpid(victim, NULL, 0);
	end = (struct pollfd){ .fd = pipe_ends[0], .events = POLLIN };
	assert_int_equal(poll(&end, 1, 1000), 1);
	assert_int_equal(read(pipe_ends[0], text, 1), 0);
	close(pipe_ends[0]);
	while (count_leaves(victim) > 0 && seconds_since(killed) < 1)
		usleep(1000);
	assert_int_equal(count_leaves(victim), 0);
}

static void no_process_survives_ours(void **state)
{
	(void)state;
	nothing_survives_our_own_death(false);
}

static void no_process_of_a_pid_namespace_survives_ours(void **state)
{
	(void)state;
	nothing_survives_our_own_death(true);
}

/* ---- what it used ---- */

static void what_a_command_used_is_its_own(void **state)
{
	struct rusage ours;
	long big;

	(void)state;
	run_init(&the, "head -c 50000000 /dev/zero | tail -c 50000000 | wc -c; i=0; "
		       "while [ $i -lt 100000 ]; do i=$((i+1)); done");
	run_captured(&the);
	run_start(&the);
	run_finish(&the);
	assert_string_equal(the.out[0].text, "50000000\n");
	big = the.proc.exit.usage.ru_maxrss;
	assert_true(big > 40000);
	assert_true(the.proc.exit.usage.ru_utime.tv_sec * 1000000 +
			    the.proc.exit.usage.ru_utime.tv_usec >
		    10000);
	run_sh(&the, "exit 0");
	/* The kernel counts the memory that the child shared with us before its exec. */
	assert_int_equal(getrusage(RUSAGE_SELF, &ours), 0);
	assert_true(the.proc.exit.usage.ru_maxrss < big - 20000 ||
		    the.proc.exit.usage.ru_maxrss <= ours.ru_maxrss);
	assert_true(the.proc.exit.usage.ru_utime.tv_usec < 500000);
}

static void bytes_read_and_written_are_told_when_asked_for(void **state)
{
	char command[128], file[] = "/tmp/pcore-io-XXXXXX";
	int fd = mkostemp(file, O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	snprintf(command, sizeof(command), "exec head -c 409600 /dev/zero >%s", file);
	run_init(&the, command);
	the.proc.want_io = true;
	run_start(&the);
	run_finish(&the);
	close(fd);
	unlink(file);
	assert_int_equal(the.proc.exit_error, 0);
	assert_int_equal(the.proc.exit.status, 0);
	if (access("/proc/self/io", R_OK) != 0)
		skip();
	assert_true(
		the.proc.io.write_bytes >= 409600 || the.proc.io.write_bytes == 0); /* 0: tmpfs */
}

static long resident_kib(void)
{
	char buf[2048];
	const char *line;

	assert_true(pcore_file_read(AT_FDCWD, "/proc/self/status", buf, sizeof(buf)) > 0);
	line = strstr(buf, "VmRSS:");
	assert_non_null(line);
	return strtol(line + 6, NULL, 10);
}

static void thousands_of_commands_leave_nothing_behind(void **state)
{
	static char name[] = "/bin/true";
	long resident = 0;
#ifdef __SANITIZE_ADDRESS__ /* it keeps freed memory for a while */
	const long growth_max = 16384;
#else
	const long growth_max = 256;
#endif
	int fds = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		run_init(&the, "");
		the.argv[0] = name;
		the.argv[1] = NULL;
		run_captured(&the);
		run_start(&the);
		run_finish(&the);
		assert_int_equal(the.proc.exit.status, 0);
		if (i == 200) {
			resident = resident_kib();
			fds = support_count_fds();
		}
	}
	assert_int_equal(support_count_fds(), fds);
	assert_true(resident_kib() - resident < growth_max);
}

static void a_watch_that_fails_leaves_no_command_unwatched(void **state)
{
	(void)state;
	pcore_fault_set("exit:1:ENOMEM");
	run_init(&the, TREE "sleep 77");
	run_start(&the);
	pcore_fault_set("");
	run_finish(&the);
	assert_int_equal(the.proc.exit_error, -ENOMEM);
	assert_int_equal(run_sh(&the, "exit 5"), 5);
}

static const struct CMUnitTest tests[] = {
	TREE_TEST(the_method_is_the_best_that_there_is),
	TREE_TEST(every_exit_status_comes_through),
	TREE_TEST(a_signal_that_kills_the_command_is_told),
	TREE_TEST(an_exit_is_noticed_at_once),
	TREE_TEST(a_status_that_somebody_else_took_is_an_error_not_a_lie),
	TREE_TEST(a_stopped_command_has_not_exited),
	TREE_TEST(a_signal_after_the_exit_is_no_error),
	TREE_TEST(a_time_out_ends_the_whole_tree),
	TREE_TEST(what_ignores_the_signal_is_killed_after_the_grace),
	TREE_TEST(strays_that_ignore_the_signal_are_killed_as_well),
	TREE_TEST(the_chosen_signal_is_the_one_that_is_sent),
	TREE_TEST(a_stopped_command_is_ended_by_term_at_once),
	TREE_TEST(an_exit_before_the_time_is_up_is_no_time_out),
	TREE_TEST(a_pipe_held_open_by_a_stray_is_read_for_the_linger_only),
	TREE_TEST(what_ends_within_the_linger_is_no_survivor),
	TREE_TEST(strays_that_ignore_term_are_killed_after_the_grace),
	TREE_TEST(leave_lets_the_strays_live),
	TREE_TEST(a_stray_that_is_left_alive_and_never_stops_writing_ends_nothing_late),
	TREE_TEST(end_of_a_running_command_signals_its_tree),
	TREE_TEST(end_comes_once),
	TREE_TEST(kill_of_a_running_command_kills_its_tree),
	TREE_TEST(kill_cuts_the_grace_short),
	TREE_TEST(end_cuts_the_linger_short),
	TREE_TEST(kill_cuts_the_linger_short),
	TREE_TEST(kill_ends_strays_that_ignore_term),
	TREE_TEST(nothing_is_done_to_a_tree_that_is_done),
	TREE_TEST(a_signal_reaches_every_process_of_the_tree),
	TREE_TEST(a_tree_serves_one_command_after_another),
	TREE_TEST(a_tree_that_was_killed_serves_the_next_command),
	TREE_TEST(a_single_tree_that_was_killed_serves_the_next_command),
	TREE_TEST(two_trees_do_not_touch_each_other),
	TREE_TEST(a_single_tree_works_like_one_of_many),
	TREE_TEST(a_fork_storm_dies_with_its_tree),
	TREE_TEST(a_pid_namespace_ends_with_its_command),
	TREE_TEST(a_time_out_ends_a_pid_namespace),
	TREE_TEST(no_process_survives_ours),
	TREE_TEST(no_process_of_a_pid_namespace_survives_ours),
	TREE_TEST(what_a_command_used_is_its_own),
	TREE_TEST(bytes_read_and_written_are_told_when_asked_for),
	TREE_TEST(thousands_of_commands_leave_nothing_behind),
	TREE_TEST(a_watch_that_fails_leaves_no_command_unwatched),
};

static const struct CMUnitTest cgroup_tests[] = {
	TREE_TEST(a_cgroup_that_was_killed_before_we_came_does_no_harm),
	TREE_TEST(cgroups_of_the_dead_are_swept),
};

int main(int argc, char **argv)
{
	int failed;

	(void)argv;
	if (argc > 1)
		return tell_the_time();
	failed = cmocka_run_group_tests_name("proc", tests, NULL, NULL);
	failed += cmocka_run_group_tests_name("proc with cgroups", cgroup_tests, NULL, NULL);
	if (geteuid() == 0)
		failed += RUN_TESTS_AS(become_nobody, "proc as an ordinary user", tests);
	return failed;
}
