/* SPDX-License-Identifier: MIT */
/*
 * proc_fds.c - tests of a command's descriptors and of our ends of its pipes. As root they run
 * again as an ordinary user, and again where close_range() is refused.
 */
#include "tests/unit/running.h"

#include <sys/mman.h>
#include <sys/socket.h>

enum { MIB = 1 << 20, MANY_FDS = 5000, HIGH_FD = 40 };

static struct run the;
static char zeros[4 * MIB];

/* ---- our own 0, 1 and 2 ---- */

static int saved[3];

static void save_stdio(void)
{
	fflush(NULL);
	for (int fd = 0; fd < 3; fd++) {
		saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 100);
		assert_true(saved[fd] >= 0);
	}
}

static void restore_stdio(void)
{
	for (int fd = 0; fd < 3; fd++) {
		dup2(saved[fd], fd);
		close(saved[fd]);
	}
}

static int memory_file(void)
{
	int fd = memfd_create("proc", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static int high_memory_file(void)
{
	int low = memory_file(), fd = fcntl(low, F_DUPFD_CLOEXEC, HIGH_FD);

	close(low);
	assert_true(fd >= 0);
	return fd;
}

static const char *contents(int fd, char buf[static 64])
{
	ssize_t n = pread(fd, buf, 63, 0);

	buf[n < 0 ? 0 : n] = '\0';
	return buf;
}

/* The files that our 0, 1 and 2 are put on; a closed one's is opened by its path instead. */
struct shuffle {
	int files[3];
	char paths[3][32];
	char got[3][64];
	int error, status;
};

static void shuffle_start(struct shuffle *s, const int order[3], unsigned open)
{
	for (int fd = 0; fd < 3; fd++) {
		if (open & (1U << fd))
			dup3(s->files[fd], fd, O_CLOEXEC);
		else
			close(fd);
	}
	for (int target = 0; target < 3; target++) {
		int from = order[target];

		the.fds[the.spec.n_fds++] = (struct pcore_proc_fd){
			.target = target,
			.source = open & (1U << from) ? PCORE_FD_OURS : PCORE_FD_FILE,
			.fd = from,
			.path = s->paths[from],
			.flags = O_RDWR,
		};
	}
	s->error = run_try(&the);
	if (s->error == 0)
		s->error = pcore_loop_run(world.lp);
	s->status = pcore_exit_status(&the.proc.exit);
}

static void shuffle(struct shuffle *s, const int order[3], unsigned open)
{
	for (int i = 0; i < 3; i++) {
		s->files[i] = high_memory_file();
		snprintf(s->paths[i], sizeof(s->paths[i]), "/proc/%d/fd/%d", getpid(), s->files[i]);
	}
	run_init(&the, "printf 0 >&0; printf 1 >&1; printf 2 >&2");
	save_stdio();
	shuffle_start(s, order, open);
	restore_stdio();
	for (int i = 0; i < 3; i++) {
		contents(s->files[i], s->got[i]);
		close(s->files[i]);
	}
}

static void all_orders_of_0_1_2_work_with_ours_open_or_closed(void **state)
{
	static const int orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 },
		{ 2, 0, 1 }, { 2, 1, 0 } };
	struct shuffle s;

	(void)state;
	for (unsigned open = 0; open < 8; open++) {
		for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
			shuffle(&s, orders[i], open);
			assert_int_equal(s.error, 0);
			assert_int_equal(s.status, 0);
			for (int target = 0; target < 3; target++) {
				char expected[2] = { (char)('0' + target), '\0' };

				assert_string_equal(s.got[orders[i][target]], expected);
			}
		}
	}
}

static void start_with_closed(unsigned open)
{
	run_init(&the, "cat; echo wrong >&2; exit 3");
	run_fd(&the, 0, PCORE_FD_PIPE_IN, -1);
	run_captured(&the);
	save_stdio();
	for (int fd = 0; fd < 3; fd++)
		if (!(open & (1U << fd)))
			close(fd);
	if (run_try(&the) == 0 &&
		pcore_feeder_start(&the.feeder, world.lp, the.fds[0].fd, "right\n", 6) == 0)
		(void)pcore_loop_run(world.lp);
	restore_stdio();
}

static void pipes_work_with_ours_open_or_closed(void **state)
{
	(void)state;
	for (unsigned open = 0; open < 8; open++) {
		start_with_closed(open);
		assert_int_equal(the.closed, 1);
		assert_int_equal(pcore_exit_status(&the.proc.exit), 3);
		assert_string_equal(the.out[0].text, "right\n");
		assert_string_equal(the.out[1].text, "wrong\n");
		assert_int_equal(the.feed_result, 0);
	}
}

static void all_works_with_a_keeper_made_while_ours_were_closed(void **state)
{
	int error;

	(void)state;
	world_unmake();
	save_stdio();
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	error = pcore_keeper_new(&world.keeper, false, false, &the.err);
	if (error == 0)
		error = pcore_tree_new(&world.tree, world.keeper, &the.err);
	run_init(&the, "cat; echo wrong >&2; exit 3");
	run_fd(&the, 0, PCORE_FD_PIPE_IN, -1);
	run_captured(&the);
	if (error == 0)
		error = run_try(&the);
	if (error == 0)
		error = pcore_feeder_start(&the.feeder, world.lp, the.fds[0].fd, "right\n", 6);
	if (error == 0)
		error = pcore_loop_run(world.lp);
	world_unmake();
	restore_stdio();
	world_make(false);
	assert_int_equal(error, 0);
	assert_int_equal(pcore_exit_status(&the.proc.exit), 3);
	assert_string_equal(the.out[0].text, "right\n");
	assert_string_equal(the.out[1].text, "wrong\n");
}

/* ---- where a descriptor comes from ---- */

static void stdout_and_stderr_may_be_one(void **state)
{
	char text[64];
	int file = memory_file();

	(void)state;
	run_init(&the, "echo a; echo b >&2; echo c; echo d >&2");
	run_fd(&the, 1, PCORE_FD_PIPE_OUT, -1);
	run_fd(&the, 2, PCORE_FD_SAME, 1);
	run_start(&the);
	run_finish(&the);
	assert_string_equal(the.out[0].text, "a\nb\nc\nd\n");

	run_init(&the, "echo a; echo b >&2; echo c");
	run_fd(&the, 1, PCORE_FD_SAME, 2);
	run_fd(&the, 2, PCORE_FD_OURS, file);
	run_start(&the);
	run_finish(&the);
	assert_string_equal(contents(file, text), "a\nb\nc\n");
	close(file);
}

static void same_as_one_that_is_inherited_is_that_one(void **state)
{
	char text[64];
	int file = memory_file();

	(void)state;
	save_stdio();
	dup3(file, 1, O_CLOEXEC); /* an inherited one is open in the command all the same */
	run_init(&the, "echo a; echo b >&2");
	run_fd(&the, 2, PCORE_FD_SAME, 1);
	run_fd(&the, 1, PCORE_FD_OURS, 1);
	if (run_try(&the) == 0)
		(void)pcore_loop_run(world.lp);
	dup2(file, 1);
	run_init(&the, "echo c; echo d >&2");
	run_fd(&the, 2, PCORE_FD_SAME, 1);
	if (run_try(&the) == 0)
		(void)pcore_loop_run(world.lp);
	restore_stdio();
	assert_string_equal(contents(file, text), "a\nb\nc\nd\n");
	close(file);
}

static void one_socket_may_be_stdin_and_stdout(void **state)
{
	char text[8] = "";
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	run_init(&the, "read line; echo got $line");
	run_fd(&the, 0, PCORE_FD_OURS, ends[1]);
	run_fd(&the, 1, PCORE_FD_OURS, ends[1]);
	run_start(&the);
	assert_int_equal(write(ends[0], "it\n", 3), 3);
	run_finish(&the);
	assert_int_equal(read(ends[0], text, sizeof(text)), 7);
	assert_memory_equal(text, "got it\n", 7);
	close(ends[0]);
	close(ends[1]);
}

static void null_reads_nothing_and_takes_everything(void **state)
{
	(void)state;
	run_init(&the, "cat; echo lost >&2; echo kept");
	run_fd(&the, 0, PCORE_FD_NULL, -1);
	run_fd(&the, 1, PCORE_FD_PIPE_OUT, -1);
	run_fd(&the, 2, PCORE_FD_NULL, -1);
	run_start(&the);
	run_finish(&the);
	assert_string_equal(the.out[0].text, "kept\n");
}

static void a_descriptor_can_be_closed(void **state)
{
	(void)state;
	run_init(&the,
		"(echo x) 2>/dev/null; echo $? >&2; (read x <&0) 2>/dev/null || echo none >&2");
	run_fd(&the, 0, PCORE_FD_CLOSED, -1);
	run_fd(&the, 1, PCORE_FD_CLOSED, -1);
	run_fd(&the, 2, PCORE_FD_PIPE_OUT, -1);
	run_start(&the);
	run_finish(&the);
	assert_string_not_equal(the.out[1].text, "0\nnone\n");
	assert_non_null(strstr(the.out[1].text, "\nnone\n"));
}

static void a_file_is_opened_with_its_flags_and_mode(void **state)
{
	char dir[] = "/tmp/pcore-fds-XXXXXX", path[64], text[64];
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/out", dir);
	for (int i = 0; i < 2; i++) {
		run_init(&the, "echo line");
		the.fds[the.spec.n_fds++] = (struct pcore_proc_fd){
			.target = 1,
			.source = PCORE_FD_FILE,
			.path = path,
			.flags = O_WRONLY | O_CREAT | O_APPEND,
			.mode = 0600,
		};
		run_start(&the);
		run_finish(&the);
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_string_equal(contents(fd, text), "line\nline\n");
	close(fd);
	unlink(path);
	rmdir(dir);
}

/* ---- which are open ---- */

#define LIST_FDS "for f in /proc/self/fd/*; do [ -e $f ] && printf '%s ' ${f##*/}; done"

static void only_what_is_named_is_open(void **state)
{
	int file = high_memory_file(), plain;

	(void)state;
	plain = fcntl(file, F_DUPFD, 60); /* not close-on-exec */
	run_init(&the, LIST_FDS);
	run_fd(&the, 1, PCORE_FD_PIPE_OUT, -1);
	run_fd(&the, 7, PCORE_FD_OURS, file);
	run_fd(&the, 9, PCORE_FD_OURS, plain);
	run_start(&the);
	run_finish(&the);
	assert_string_equal(the.out[0].text, "0 1 2 7 9 ");
	assert_int_equal(fcntl(file, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(plain, F_GETFD), 0);
	close(file);
	close(plain);
}

static void a_descriptor_may_keep_its_number(void **state)
{
	int file = high_memory_file();

	(void)state;
	run_init(&the, LIST_FDS);
	run_fd(&the, 1, PCORE_FD_PIPE_OUT, -1);
	run_fd(&the, file, PCORE_FD_OURS, file);
	run_start(&the);
	run_finish(&the);
	assert_int_equal(fcntl(file, F_GETFD), FD_CLOEXEC);
	close(file);
	assert_string_equal(the.out[0].text, "0 1 2 40 ");
}

static void descriptors_that_are_each_others_targets_are_exchanged(void **state)
{
	char text[64];
	int low = high_memory_file(), high = high_memory_file();

	(void)state;
	assert_int_equal(high, low + 1);
	run_init(&the, "printf low >&40; printf high >&41");
	if (low != HIGH_FD)
		skip();
	run_fd(&the, low, PCORE_FD_OURS, high);
	run_fd(&the, high, PCORE_FD_OURS, low);
	the.argv[0] = (char *)(uintptr_t) "/bin/bash"; /* dash knows one digit */
	run_start(&the);
	run_finish(&the);
	assert_string_equal(contents(high, text), "low");
	assert_string_equal(contents(low, text), "high");
	close(low);
	close(high);
}

static void thousands_of_open_descriptors_above_a_lowered_limit_stay_ours(void **state)
{
	static int many[MANY_FDS];
	struct rlimit old, lowered;
	int last = high_memory_file(), n = 0;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	lowered = (struct rlimit){ .rlim_cur = old.rlim_max, .rlim_max = old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &lowered), 0);
	for (; n < MANY_FDS && (rlim_t)last + 64 < lowered.rlim_cur; n++) {
		many[n] = last;
		last = fcntl(last, F_DUPFD, last + 1);
	}
	run_init(&the, LIST_FDS);
	run_fd(&the, 1, PCORE_FD_PIPE_OUT, -1);
	run_fd(&the, 7, PCORE_FD_OURS, last);
	lowered.rlim_cur = 200;
	setrlimit(RLIMIT_NOFILE, &lowered);
	if (run_try(&the) == 0)
		(void)pcore_loop_run(world.lp);
	setrlimit(RLIMIT_NOFILE, &old);
	while (n-- > 0)
		close(many[n]);
	close(last);
	assert_true(last > 200);
	assert_int_equal(the.closed, 1);
	assert_string_equal(the.out[0].text, "0 1 2 7 ");
}

/* ---- pipes ---- */

static void large_data_goes_all_ways_at_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(zeros); i++)
		zeros[i] = (char)(i * 31 >> 4);
	run_init(&the, "head -c 4194304 /dev/zero; head -c 4194304 /dev/zero >&2; cat");
	run_fd(&the, 0, PCORE_FD_PIPE_IN, -1);
	run_captured(&the);
	run_start(&the);
	assert_int_equal(
		pcore_feeder_start(&the.feeder, world.lp, the.fds[0].fd, zeros, sizeof(zeros)), 0);
	run_finish(&the);
	assert_int_equal(the.fed, 1);
	assert_int_equal(the.feed_result, 0);
	assert_int_equal(the.out[0].len, 2 * sizeof(zeros));
	assert_int_equal(the.out[1].len, sizeof(zeros));
	for (size_t i = 0; i < sizeof(zeros); i++)
		the.out[0].sum -= (unsigned char)zeros[i];
	assert_int_equal(the.out[0].sum, 0);
}

static void a_reader_that_leaves_early_is_no_error(const char *command, const char *output)
{
	run_init(&the, command);
	run_fd(&the, 0, PCORE_FD_PIPE_IN, -1);
	run_captured(&the);
	run_start(&the);
	assert_int_equal(pcore_feeder_start(&the.feeder, world.lp, the.fds[0].fd, zeros, MIB), 0);
	run_finish(&the);
	assert_int_equal(the.fed, 1);
	assert_int_equal(the.feed_result, 0);
	assert_int_equal(the.proc.exit.status, 0);
	assert_string_equal(the.out[0].text, output);
}

static void a_command_that_closes_its_stdin_gets_along(void **state)
{
	(void)state;
	a_reader_that_leaves_early_is_no_error("exec 0<&-; sleep 0.1; echo ok", "ok\n");
}

static void a_command_that_exits_without_reading_gets_along(void **state)
{
	(void)state;
	a_reader_that_leaves_early_is_no_error("exit 0", "");
}

static void an_empty_input_is_the_end_of_file(void **state)
{
	(void)state;
	run_init(&the, "wc -c");
	run_fd(&the, 0, PCORE_FD_PIPE_IN, -1);
	run_captured(&the);
	run_start(&the);
	assert_int_equal(pcore_feeder_start(&the.feeder, world.lp, the.fds[0].fd, "", 0), 0);
	assert_int_equal(the.fed, 0);
	run_finish(&the);
	assert_int_equal(the.fed, 1);
	assert_string_equal(the.out[0].text, "0\n");
}

static void a_feeder_can_be_stopped(void **state)
{
	(void)state;
	run_init(&the, "sleep 77");
	run_fd(&the, 0, PCORE_FD_PIPE_IN, -1);
	run_start(&the);
	assert_int_equal(pcore_feeder_start(&the.feeder, world.lp, the.fds[0].fd, zeros, MIB), 0);
	pcore_loop_turn(world.lp, false);
	pcore_feeder_stop(&the.feeder);
	turn_until(the.fed);
	assert_int_equal(the.feed_result, 0);
	pcore_proc_kill(&the.proc, PCORE_KILLED_CANCEL);
	run_finish(&the);
}

static void a_paused_reader_holds_the_command_back(void **state)
{
	size_t before;

	(void)state;
	run_init(&the, "head -c 1000000 /dev/zero");
	run_captured(&the);
	run_start(&the);
	pcore_reader_pause(&the.out[0].reader);
	for (int64_t began = pcore_now_ns(); seconds_since(began) < 0.1;) {
		pcore_loop_turn(world.lp, false);
		usleep(5000);
	}
	before = the.out[0].len;
	assert_true(before < 1000000);
	assert_int_equal(the.exited, 0);
	pcore_reader_resume(&the.out[0].reader);
	assert_int_equal(the.out[0].reader.state, PCORE_READER_OPEN);
	run_finish(&the);
	assert_int_equal(the.out[0].len, 1000000);
}

static void a_paused_reader_still_takes_all_when_it_is_finished(void **state)
{
	(void)state;
	run_init(&the, "head -c 50000 /dev/zero");
	run_captured(&the);
	run_start(&the);
	pcore_reader_pause(&the.out[0].reader);
	run_finish(&the);
	assert_int_equal(the.out[0].len, 50000);
	assert_true(the.out[0].ended);
}

static void a_read_that_fails_ends_the_reader(void **state)
{
	(void)state;
	pcore_fault_set("read:1:EIO");
	run_init(&the, "echo x");
	run_captured(&the);
	run_start(&the);
	run_finish(&the);
	pcore_fault_set("");
	assert_true(the.out[0].ended);
	assert_int_equal(the.out[0].len, 0);
}

static void short_reads_and_writes_lose_nothing(void **state)
{
	(void)state;
	pcore_fault_set("write:1+:short=7,read:1+:short=5");
	run_init(&the, "cat; echo end");
	run_fd(&the, 0, PCORE_FD_PIPE_IN, -1);
	run_captured(&the);
	run_start(&the);
	assert_int_equal(pcore_feeder_start(&the.feeder, world.lp, the.fds[0].fd,
				 "one two three four five\n", 24),
		0);
	run_finish(&the);
	pcore_fault_set("");
	assert_string_equal(the.out[0].text, "one two three four five\nend\n");
}

static const struct CMUnitTest tests[] = {
	TREE_TEST(all_orders_of_0_1_2_work_with_ours_open_or_closed),
	TREE_TEST(pipes_work_with_ours_open_or_closed),
	TREE_TEST(all_works_with_a_keeper_made_while_ours_were_closed),
	TREE_TEST(stdout_and_stderr_may_be_one),
	TREE_TEST(same_as_one_that_is_inherited_is_that_one),
	TREE_TEST(one_socket_may_be_stdin_and_stdout),
	TREE_TEST(null_reads_nothing_and_takes_everything),
	TREE_TEST(a_descriptor_can_be_closed),
	TREE_TEST(a_file_is_opened_with_its_flags_and_mode),
	TREE_TEST(only_what_is_named_is_open),
	TREE_TEST(a_descriptor_may_keep_its_number),
	TREE_TEST(descriptors_that_are_each_others_targets_are_exchanged),
	TREE_TEST(thousands_of_open_descriptors_above_a_lowered_limit_stay_ours),
	TREE_TEST(large_data_goes_all_ways_at_once),
	TREE_TEST(a_command_that_closes_its_stdin_gets_along),
	TREE_TEST(a_command_that_exits_without_reading_gets_along),
	TREE_TEST(an_empty_input_is_the_end_of_file),
	TREE_TEST(a_feeder_can_be_stopped),
	TREE_TEST(a_paused_reader_holds_the_command_back),
	TREE_TEST(a_paused_reader_still_takes_all_when_it_is_finished),
	TREE_TEST(a_read_that_fails_ends_the_reader),
	TREE_TEST(short_reads_and_writes_lose_nothing),
};

int main(void)
{
	int failed = cmocka_run_group_tests_name("proc_fds", tests, NULL, NULL);

	if (geteuid() == 0)
		failed += RUN_TESTS_AS(become_nobody, "proc_fds as an ordinary user", tests);
	failed += RUN_TESTS_AS(refuse_close_range, "proc_fds without close_range", tests);
	return failed;
}
