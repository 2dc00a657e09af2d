/* SPDX-License-Identifier: MIT */
/*
 * api_process.c - tests of <pcore/process.h>: what a program sees of the processes it makes.
 */
#include "tests/unit/support.h"

#include <errno.h>
#include <fcntl.h>
#include <pcore/process.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcore/base/base.h"

#define FOREVER PCORE_FOREVER

static char sh[] = "/bin/sh", dash_c[] = "-c";
static char *argv[4] = { sh, dash_c };
static struct pcore_error error;

static struct pcore_process_spec shell(const char *command)
{
	argv[2] = (char *)(uintptr_t)command;
	return (struct pcore_process_spec){ .size = sizeof(struct pcore_process_spec), .argv = argv };
}

static struct pcore_process *spawned(const struct pcore_process_spec *spec)
{
	struct pcore_process *p = NULL;

	assert_int_equal(pcore_process_spawn(&p, spec, &error), 0);
	return p;
}

static struct pcore_process_result ran(const struct pcore_process_spec *spec)
{
	struct pcore_process_result r = { .size = sizeof(r) };

	assert_int_equal(pcore_process_run(spec, &r, &error), 0);
	return r;
}

/* ---- run ---- */

static void a_run_tells_how_the_command_ended(void **state)
{
	struct pcore_process_spec spec = shell("exit 7");
	struct pcore_process_result r = ran(&spec);

	(void)state;
	assert_int_equal(r.status, 7);
	assert_int_equal(r.exit, 7);
	assert_int_equal(r.signal, 0);
	assert_true(r.wall > 0);
	assert_true(r.usage.ru_maxrss > 0);
	assert_int_equal(r.lost, 0);
	spec = shell("kill -TERM $$; sleep 60");
	r = ran(&spec);
	assert_int_equal(r.status, 128 + SIGTERM);
	assert_int_equal(r.exit, -1);
	assert_int_equal(r.signal, SIGTERM);
	assert_int_equal(pcore_process_run(&spec, NULL, NULL), 0);
}

static void a_run_feeds_and_collects(void **state)
{
	static char big[1 << 20];
	struct pcore_process_spec spec = shell("cat >&2; echo done");
	struct pcore_process_result r;

	(void)state;
	memset(big, 'x', sizeof(big));
	spec.in.how = spec.out.how = spec.err.how = PCORE_PROCESS_PIPE;
	spec.input = big;
	spec.input_size = sizeof(big);
	r = ran(&spec);
	assert_string_equal(r.out, "done\n");
	assert_int_equal(r.out_size, 5);
	assert_int_equal(r.err_size, sizeof(big));
	assert_memory_equal(r.err, big, sizeof(big));
	pcore_process_result_done(&r);
	assert_null(r.out);

	argv[2] = (char *)(uintptr_t) "exec <&-; echo ok"; /* nobody reads */
	r = ran(&spec);
	assert_string_equal(r.out, "ok\n");
	pcore_process_result_done(&r);
	spec.output_max = 10;
	argv[2] = (char *)(uintptr_t) "yes";
	assert_int_equal(pcore_process_run(&spec, &r, &error), -EMSGSIZE);
}

/* With as much time as it takes this machine to say so much. */
static struct pcore_process_result ran_until_it_said(struct pcore_process_spec *spec, const char *text)
{
	for (spec->timeout = 50 * NS_PER_MS;; spec->timeout *= 2) {
		struct pcore_process_result r = ran(spec);

		assert_int_equal(r.status, 124);
		assert_int_equal(r.timed_out, 1);
		if (r.out && strncmp(r.out, text, strlen(text)) == 0)
			return r;
		pcore_process_result_done(&r);
	}
}

static void a_run_that_takes_too_long_is_ended(void **state)
{
	struct pcore_process_spec spec = shell("trap 'echo bye; exit 3' TERM; echo hello; while :; do sleep 0.01; done");
	struct pcore_process_result r;

	(void)state;
	spec.out.how = PCORE_PROCESS_PIPE;
	spec.kill_after = 60 * NS_PER_S;
	r = ran_until_it_said(&spec, "hello\n");
	assert_int_equal(r.exit, 3);
	assert_string_equal(r.out, "hello\nbye\n");
	pcore_process_result_done(&r);
	argv[2] = (char *)(uintptr_t) "trap '' TERM; echo hello; while :; do sleep 0.01; done";
	spec.kill_after = 1;
	r = ran_until_it_said(&spec, "hello\n");
	assert_int_equal(r.signal, SIGKILL);
	pcore_process_result_done(&r);
}

static void whoever_holds_a_pipe_is_not_waited_for(void **state)
{
	struct pcore_process_spec spec = shell("sleep 300 & echo $!");
	struct pcore_process_result r;

	(void)state;
	spec.out.how = PCORE_PROCESS_PIPE;
	r = ran(&spec);
	assert_true(kill(atoi(r.out), SIGKILL) == 0);
	pcore_process_result_done(&r);
}

/* ---- what it is given ---- */

static void descriptors_go_where_they_are_sent(void **state)
{
	struct pcore_process_spec spec = shell("echo out; echo err >&2; echo nine >&9; ls /proc/self/fd | wc -l");
	struct pcore_process_result r;
	int pipe_fds[2];
	struct pcore_process_pass pass = { .target = 9 };
	char text[8] = "";

	(void)state;
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	pass.fd = pipe_fds[1];
	spec.in.how = PCORE_PROCESS_NULL;
	spec.out.how = PCORE_PROCESS_PIPE;
	spec.err.how = PCORE_PROCESS_STDOUT;
	spec.pass = &pass;
	spec.n_pass = 1;
	r = ran(&spec);
	assert_string_equal(r.out, "out\nerr\n5\n");
	pcore_process_result_done(&r);
	assert_int_equal(read(pipe_fds[0], text, sizeof(text) - 1), 5);
	assert_string_equal(text, "nine\n");
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void output_goes_to_files(void **state)
{
	char path[] = "/tmp/pcore-api-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);
	struct pcore_process_spec spec = shell("echo first");
	struct pcore_process_result r;

	(void)state;
	assert_true(fd >= 0);
	spec.out = (struct pcore_process_stdio){ .how = PCORE_PROCESS_FILE, .path = path };
	r = ran(&spec);
	argv[2] = (char *)(uintptr_t) "echo second";
	spec.out.how = PCORE_PROCESS_APPEND;
	r = ran(&spec);
	spec = shell("cat");
	spec.in = (struct pcore_process_stdio){ .how = PCORE_PROCESS_FILE, .path = path };
	spec.out.how = PCORE_PROCESS_PIPE;
	r = ran(&spec);
	assert_string_equal(r.out, "first\nsecond\n");
	pcore_process_result_done(&r);
	spec.in = (struct pcore_process_stdio){ .how = PCORE_PROCESS_FD, .fd = fd };
	spec.out = (struct pcore_process_stdio){ .how = PCORE_PROCESS_NULL };
	r = ran(&spec);
	assert_int_equal(r.status, 0);
	close(fd);
	unlink(path);
}

static void the_surroundings_are_the_described_ones(void **state)
{
	static char word[] = "WORD=x y";
	char *envp[] = { word, NULL };
	struct pcore_process_limit limit = { RLIMIT_NOFILE, { 40, 50 } };
	struct pcore_process_spec spec = shell("pwd; echo $WORD; umask; ulimit -n; ps() { read -r _ _ _ _ g s _ </proc/$$/stat; "
					       "[ $g = $$ ] && [ $s = $$ ] && echo leader; }; ps");
	struct pcore_process_result r;

	(void)state;
	spec.out.how = PCORE_PROCESS_PIPE;
	spec.chdir = "/usr";
	spec.envp = envp;
	spec.flags = PCORE_PROCESS_SET_UMASK | PCORE_PROCESS_SESSION;
	spec.umask = 027;
	spec.limits = &limit;
	spec.n_limits = 1;
	r = ran(&spec);
	assert_string_equal(r.out, "/usr\nx y\n0027\n40\nleader\n");
	pcore_process_result_done(&r);
}

/* ---- what fails ---- */

static void a_failure_names_its_step(void **state)
{
	struct pcore_process_spec spec = shell("true");
	struct pcore_process *p = NULL;
	char text[128];

	(void)state;
	spec.chdir = "/no/such";
	for (int i = 0; i < 50; i++) /* and leaves nothing */
		assert_int_equal(pcore_process_spawn(&p, &spec, &error), -ENOENT);
	assert_string_equal(error.step, "chdir");
	assert_string_equal(error.subject, "/no/such");
	assert_string_equal(pcore_error_text(&error, text, sizeof(text)), "chdir '/no/such': No such file or directory");
	spec.chdir = NULL;
	spec.flags = PCORE_PROCESS_TREE;
	spec.file = "no-such-command";
	assert_int_equal(pcore_process_spawn(&p, &spec, &error), -ENOENT);
	assert_string_equal(error.step, "exec");
	spec.in = (struct pcore_process_stdio){ .how = PCORE_PROCESS_FILE, .path = "/none" };
	assert_int_equal(pcore_process_run(&spec, NULL, &error), -ENOENT);
	assert_string_equal(error.step, "open");
	assert_string_equal(error.subject, "/none");
	assert_null(p);
}

static void mistakes_are_told(void **state)
{
	struct pcore_process_spec good = shell("exit 0"), spec = good;
	struct pcore_process_limit limit = { 99, { 0, 0 } };
	struct pcore_process_pass pass[2] = { { 5, 0 }, { 5, 1 } };
	struct pcore_process_result r = { .size = 8 };
	struct pcore_process *p;
	char *none[] = { NULL };
	struct {
		struct pcore_process_spec spec;
		uint64_t tail;
	} newer = { .spec = good };

	(void)state;
#define BAD(change)                                                              \
	do {                                                                     \
		spec = good;                                                     \
		change;                                                          \
		assert_int_equal(pcore_process_spawn(&p, &spec, &error), -EINVAL); \
	} while (0)
	BAD(spec.size = 0);
	BAD(spec.size = 7);
	BAD(spec.argv = NULL);
	BAD(spec.argv = none);
	BAD(spec.in.how = 77);
	BAD(spec.in.how = PCORE_PROCESS_STDOUT);
	BAD(spec.in.how = PCORE_PROCESS_APPEND);
	BAD(spec.out.how = PCORE_PROCESS_FILE);
	BAD((spec.out.how = PCORE_PROCESS_FD, spec.out.fd = -1));
	BAD((spec.pass = pass, spec.n_pass = 2));
	BAD(spec.n_pass = 1);
	BAD((spec.limits = &limit, spec.n_limits = 1));
	BAD((spec.limits = &limit, spec.n_limits = 1000));
	BAD(spec.flags = 1u << 30);
	BAD(spec.timeout = -1);
	BAD(spec.kill_after = -1);
	BAD(spec.death_signal = 1000);
	BAD(spec.input_size = 1);
	assert_int_equal(pcore_process_spawn(&p, NULL, NULL), -EINVAL);
	assert_int_equal(pcore_process_spawn(NULL, &good, NULL), -EINVAL);
	assert_int_equal(pcore_process_run(&good, &r, NULL), -EINVAL);

	newer.spec.size = sizeof(newer);
	assert_int_equal(pcore_process_run(&newer.spec, NULL, &error), 0);
	newer.tail = 1;
	assert_int_equal(pcore_process_run(&newer.spec, NULL, &error), -E2BIG);
	good.size = offsetof(struct pcore_process_spec, in); /* an older program's */
	good.in.how = 77;
	assert_int_equal(pcore_process_run(&good, NULL, &error), 0);
}

/* ---- one that lives ---- */

static void a_process_is_polled_and_waited_for(void **state)
{
	struct pcore_process_spec spec = shell("read x; exit 5");
	struct pcore_process_result r = { .size = sizeof(r) };
	struct pcore_process *p;

	(void)state;
	spec.in.how = PCORE_PROCESS_PIPE;
	p = spawned(&spec);
	assert_true(pcore_process_pid(p) > 0);
	assert_int_equal(pcore_process_poll(p, &r), -EAGAIN);
	assert_int_equal(pcore_process_wait(p, 20 * NS_PER_MS, &r), -ETIMEDOUT);
	assert_int_equal(pcore_process_wait(p, -1, &r), -ETIMEDOUT);
	assert_int_equal(pcore_process_signal(p, -1), -EINVAL);
	assert_int_equal(pcore_process_write(p, "\n", 1, FOREVER), 0);
	for (int i = 0; i < 2; i++) { /* as often as it is asked */
		assert_int_equal(pcore_process_wait(p, FOREVER, &r), 0);
		assert_int_equal(r.exit, 5);
		assert_int_equal(pcore_process_poll(p, &r), 0);
		assert_int_equal(pcore_process_signal(p, SIGTERM), 0);
	}
	assert_int_equal(pcore_process_write(p, "\n", 1, FOREVER), -EPIPE);
	assert_int_equal(pcore_process_close(p, 0), 0);
	assert_int_equal(pcore_process_close(p, 0), -EBADF);
	assert_int_equal(pcore_process_pipe(p, 0), -EBADF);
	pcore_process_free(p);
}

static void an_interpreter_is_talked_to(void **state)
{
	struct pcore_process_spec spec = shell("while read a b; do echo $((a + b)); done");
	struct pcore_process *p;
	char text[16];

	(void)state;
	spec.in.how = spec.out.how = PCORE_PROCESS_PIPE;
	p = spawned(&spec);
	assert_int_equal(pcore_process_write(p, "3 4\n", 4, FOREVER), 0);
	assert_int_equal(pcore_process_read(p, 1, text, sizeof(text), FOREVER), 2);
	assert_memory_equal(text, "7\n", 2);
	assert_int_equal(pcore_process_read(p, 1, text, sizeof(text), NS_PER_MS), -ETIMEDOUT);
	assert_int_equal(pcore_process_read(p, 2, text, sizeof(text), 0), -EBADF);
	assert_int_equal(pcore_process_close(p, 0), 0);
	assert_int_equal(pcore_process_read(p, 1, text, sizeof(text), FOREVER), 0);
	pcore_process_free(p);
}

static void communicate_goes_on_after_a_time_out(void **state)
{
	struct pcore_process_spec spec = shell("echo one; read x; echo two $x");
	struct pcore_process_result r = { .size = sizeof(r) };
	struct pcore_process *p;
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	spec.in = (struct pcore_process_stdio){ .how = PCORE_PROCESS_FD, .fd = fds[0] };
	spec.out.how = PCORE_PROCESS_PIPE;
	p = spawned(&spec);
	assert_int_equal(pcore_process_communicate(p, NULL, 0, 50 * NS_PER_MS, &r), -ETIMEDOUT);
	assert_int_equal(write(fds[1], "x\n", 2), 2);
	assert_int_equal(pcore_process_communicate(p, NULL, 0, FOREVER, &r), 0);
	assert_string_equal(r.out, "one\ntwo x\n");
	pcore_process_result_done(&r);
	pcore_process_free(p);
	close(fds[0]);
	close(fds[1]);
}

static void one_of_many_is_told(void **state)
{
	struct pcore_process_spec spec = shell("read x; exit 3");
	struct pcore_process *ps[3];
	size_t i = 9;

	(void)state;
	spec.in.how = PCORE_PROCESS_PIPE;
	for (int j = 0; j < 3; j++)
		ps[j] = spawned(&spec);
	assert_int_equal(pcore_process_wait_any(ps, 3, 0, &i), -ETIMEDOUT);
	assert_int_equal(pcore_process_wait_any(ps, 3, NS_PER_MS, &i), -ETIMEDOUT);
	assert_int_equal(pcore_process_wait_any(ps, 0, 0, &i), -EINVAL);
	assert_int_equal(pcore_process_close(ps[1], 0), 0);
	assert_int_equal(pcore_process_wait_any(ps, 3, FOREVER, &i), 0);
	assert_int_equal(i, 1);
	for (int j = 0; j < 3; j++)
		pcore_process_free(ps[j]); /* two of them live */
}

static void *waiter(void *arg)
{
	struct pcore_process_result r = { .size = sizeof(r) };

	return pcore_process_wait(arg, FOREVER, &r) == 0 && r.exit == 4 ? arg : NULL;
}

static void threads_wait_for_one_process(void **state)
{
	struct pcore_process_spec spec = shell("read x; exit 4");
	pthread_t threads[4];
	struct pcore_process *p;

	(void)state;
	spec.in.how = PCORE_PROCESS_PIPE;
	p = spawned(&spec);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, waiter, p), 0);
	assert_int_equal(pcore_process_close(p, 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		void *ret;

		assert_int_equal(pthread_join(threads[i], &ret), 0);
		assert_ptr_equal(ret, p);
	}
	pcore_process_free(p);
}

static void a_whole_tree_is_terminated(void **state)
{
	struct pcore_process_spec spec = shell("setsid sh -c 'trap \"\" TERM; sleep 300' & (sleep 300 &); echo ready; sleep 300");
	struct pcore_process_result r = { .size = sizeof(r) };
	struct pcore_process *p;
	char text[8], c;
	ssize_t n;

	(void)state;
	spec.out.how = PCORE_PROCESS_PIPE;
	spec.flags = PCORE_PROCESS_TREE;
	p = spawned(&spec);
	assert_int_equal(pcore_process_read(p, 1, text, 6, FOREVER), 6);
	assert_int_equal(pcore_process_terminate(p, 0, 0), -EINVAL);
	assert_int_equal(pcore_process_terminate(p, SIGTERM, 50 * NS_PER_MS), 0);
	assert_int_equal(pcore_process_poll(p, &r), 0);
	assert_int_equal(r.signal, SIGTERM);
	n = pcore_process_read(p, 1, &c, 1, FOREVER); /* none holds it any more */
	assert_int_equal(n, 0);
	pcore_process_free(p);
	p = spawned(&spec);
	pcore_process_free(p);
}

static void a_stopped_command_has_not_ended(void **state)
{
	struct pcore_process_spec spec = shell("echo ready; sleep 300");
	struct pcore_process *p;
	char text[6];

	(void)state;
	spec.out.how = PCORE_PROCESS_PIPE;
	p = spawned(&spec);
	assert_int_equal(pcore_process_read(p, 1, text, 6, FOREVER), 6);
	assert_int_equal(pcore_process_signal(p, SIGSTOP), 0);
	assert_int_equal(pcore_process_wait(p, 20 * NS_PER_MS, NULL), -ETIMEDOUT);
	assert_int_equal(pcore_process_terminate(p, SIGTERM, 0), 0);
	pcore_process_free(p);
}

/* ---- a function ---- */

static int give(void *arg)
{
	return *(int *)arg;
}

static void a_function_is_run_as_a_process(void **state)
{
	struct pcore_process_result r = { .size = sizeof(r) };
	struct pcore_process *p;
	int seven = 7;

	(void)state;
	assert_int_equal(pcore_process_fork(&p, give, &seven), 0);
	assert_int_equal(pcore_process_wait(p, FOREVER, &r), 0);
	assert_int_equal(r.exit, 7);
	pcore_process_free(p);
	assert_int_equal(pcore_process_fork(&p, NULL, NULL), -EINVAL);
}

/* ---- hosts that reap ---- */

static void kept_or_said_to_be_lost(struct pcore_process *p, int status)
{
	struct pcore_process_result r = { .size = sizeof(r) };
	int error_code = pcore_process_wait(p, FOREVER, &r);

	if (error_code == -ECHILD) { /* Linux before 6.15 */
		print_message("# SKIPPED: this kernel does not keep the status of a process that was reaped\n");
		return;
	}
	assert_int_equal(error_code, 0);
	assert_int_equal(r.status, status);
	assert_int_equal(r.lost, 1);
}

static void a_status_is_kept_where_sigchld_is_ignored(void **state)
{
	struct pcore_process_spec spec = shell("exit 9");
	struct pcore_process *p;

	(void)state;
	signal(SIGCHLD, SIG_IGN);
	for (int i = 0; i < 20; i++) {
		p = spawned(&spec);
		kept_or_said_to_be_lost(p, 9);
		pcore_process_free(p);
	}
	argv[2] = (char *)(uintptr_t) "kill -KILL $$";
	p = spawned(&spec);
	kept_or_said_to_be_lost(p, 128 + SIGKILL);
	pcore_process_free(p);
	signal(SIGCHLD, SIG_DFL);
}

static void a_status_that_somebody_else_took_is_kept(void **state)
{
	struct pcore_process_spec spec = shell("exit 9");
	struct pcore_process *p = spawned(&spec);
	int status;

	(void)state;
	assert_int_equal(waitpid(-1, &status, 0), pcore_process_pid(p));
	kept_or_said_to_be_lost(p, 9);
	pcore_process_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_run_tells_how_the_command_ended),
		TEST(a_run_feeds_and_collects),
		TEST(a_run_that_takes_too_long_is_ended),
		TEST(whoever_holds_a_pipe_is_not_waited_for),
		TEST(descriptors_go_where_they_are_sent),
		TEST(output_goes_to_files),
		TEST(the_surroundings_are_the_described_ones),
		TEST(a_failure_names_its_step),
		TEST(mistakes_are_told),
		TEST(a_process_is_polled_and_waited_for),
		TEST(an_interpreter_is_talked_to),
		TEST(communicate_goes_on_after_a_time_out),
		TEST(one_of_many_is_told),
		TEST(threads_wait_for_one_process),
		TEST(a_whole_tree_is_terminated),
		TEST(a_stopped_command_has_not_ended),
		TEST(a_function_is_run_as_a_process),
		TEST(a_status_is_kept_where_sigchld_is_ignored),
		TEST(a_status_that_somebody_else_took_is_kept),
	};

	alarm(60);
	return RUN_TESTS(tests);
}
