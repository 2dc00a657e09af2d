/* SPDX-License-Identifier: MIT */
/*
 * running.h - what the tests of processes share: a loop, a keeper and a tree for each test, a
 * command whose output is collected, and groups of tests that run once more under other
 * circumstances.
 *
 * A test is listed as TREE_TEST(name): besides descriptors and children it may leave no cgroup
 * behind. $PCORE_LOOP says which backend the loop has.
 */
#ifndef PCORE_TEST_RUNNING_H
#define PCORE_TEST_RUNNING_H

#include "tests/unit/support.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcore/base/base.h"
#include "libcore/loop/backend.h"
#include "libcore/proc/proc.h"

enum { TEST_CEILING_S = 300, NOBODY = 65534, KEPT_MAX = 256 };

#define TREE_TEST(f) cmocka_unit_test_setup_teardown(f, world_before, world_after)
#define NO_TIMES                                          \
	((struct pcore_proc_times){ .timeout = INT64_MAX, \
		.kill_after = 2 * NS_PER_S,               \
		.linger = 100 * NS_PER_MS,                \
		.signal = SIGTERM })

static struct {
	struct pcore_loop *lp;
	struct pcore_keeper *keeper;
	struct pcore_tree *tree;
	int leaves;
} world;

/* The cgroups that a process has made and not removed. */
static inline int count_leaves(pid_t pid)
{
	int fd = pcore_cgroup_open(), n = 0;
	char prefix[32];
	DIR *dir;

	if (fd < 0)
		return 0;
	dir = fdopendir(fd);
	assert_non_null(dir);
	snprintf(prefix, sizeof(prefix), "pcore.%d.", pid);
	for (struct dirent *e = readdir(dir); e; e = readdir(dir))
		n += strncmp(e->d_name, prefix, strlen(prefix)) == 0;
	closedir(dir);
	return n;
}

static inline enum pcore_loop_backend wanted_backend(void)
{
	const char *name = getenv("PCORE_LOOP");

	if (name && strcmp(name, "uring") == 0)
		return PCORE_LOOP_URING;
	return name && strcmp(name, "epoll") == 0 ? PCORE_LOOP_EPOLL : PCORE_LOOP_AUTO;
}

static inline void world_make(bool pid_namespace)
{
	struct pcore_err err;

	assert_int_equal(pcore_keeper_new(&world.keeper, false, pid_namespace, &err), 0);
	assert_int_equal(pcore_tree_new(&world.tree, world.keeper, &err), 0);
}

static inline void world_unmake(void)
{
	pcore_tree_free(world.tree);
	pcore_keeper_free(world.keeper);
	world.tree = NULL;
	world.keeper = NULL;
}

static inline int world_before(void **state)
{
	support_before(state);
	alarm(TEST_CEILING_S);
	world.leaves = count_leaves(getpid());
	assert_int_equal(pcore_loop_new(&world.lp, wanted_backend()), 0);
	world_make(false);
	return 0;
}

static inline int world_after(void **state)
{
	int leaves;

	alarm(0);
	if (world.lp->live > 0) { /* a test that failed half-way; freeing these would abort */
		print_error("# operations are pending\n");
		return -1;
	}
	world_unmake();
	pcore_loop_free(world.lp);
	leaves = count_leaves(getpid());
	if (leaves != world.leaves) {
		print_error("# %d cgroups before, %d after\n", world.leaves, leaves);
		return -1;
	}
	return support_after(state);
}

static inline bool tree_is_cgroup(void)
{
	return strcmp(pcore_tree_method_name(world.tree), "cgroup") == 0;
}

/* ---- a command ---- */

struct output {
	struct pcore_reader reader;
	char space[64 * 1024];
	char text[KEPT_MAX]; /* the beginning, as a string */
	size_t len;
	uint64_t sum; /* of all bytes */
	bool ended;
};

struct run {
	struct pcore_proc proc;
	struct pcore_proc_spec spec;
	struct pcore_proc_times times;
	struct pcore_proc_fd fds[8];
	struct pcore_err err;
	struct output out[2];
	struct pcore_feeder feeder;
	int fed, feed_result;
	int exited, closed;
	char *argv[4];
};

static inline void run_data(struct pcore_reader *r, const char *data, ssize_t n)
{
	struct output *o = container_of(r, struct output, reader);

	o->ended = n <= 0;
	for (ssize_t i = 0; i < n; i++) {
		if (o->len + 1 < sizeof(o->text))
			o->text[o->len] = data[i];
		o->len++;
		o->sum += (unsigned char)data[i];
	}
}

static inline void run_fed(struct pcore_feeder *f, int res)
{
	struct run *r = container_of(f, struct run, feeder);

	r->fed++;
	r->feed_result = res;
}

static inline void run_event(struct pcore_proc *p, enum pcore_proc_event ev)
{
	struct run *r = container_of(p, struct run, proc);

	if (ev == PCORE_PROC_EXITED) {
		assert(r->exited == 0 && r->closed == 0);
		r->exited++;
		return;
	}
	assert(r->exited == 1 && r->closed == 0);
	r->closed++;
	for (int i = 0; i < 2; i++)
		if (r->out[i].reader.state != PCORE_READER_CLOSED)
			pcore_reader_finish(&r->out[i].reader);
}

static inline void run_init(struct run *r, const char *command)
{
	static char sh[] = "/bin/sh", c[] = "-c";

	memset(r, 0, sizeof(*r));
	r->proc.event = run_event;
	r->proc.pidfd = -EBADF;
	r->argv[0] = sh;
	r->argv[1] = c;
	r->argv[2] = (char *)(uintptr_t)command;
	r->times = NO_TIMES;
	r->spec = (struct pcore_proc_spec){
		.size = sizeof(r->spec), .argv = r->argv, .envp = environ, .fds = r->fds
	};
	r->feeder.done = run_fed;
	for (int i = 0; i < 2; i++) {
		r->out[i].reader.data = run_data;
		r->out[i].reader.buf = r->out[i].space;
		r->out[i].reader.buf_size = sizeof(r->out[i].space);
	}
}

static inline void run_fd(struct run *r, int target, enum pcore_fd_source source, int fd)
{
	r->fds[r->spec.n_fds++] =
		(struct pcore_proc_fd){ .target = target, .source = source, .fd = fd };
}

/* Collect stdout and stderr. */
static inline void run_captured(struct run *r)
{
	run_fd(r, 1, PCORE_FD_PIPE_OUT, -1);
	run_fd(r, 2, PCORE_FD_PIPE_OUT, -1);
}

static inline int run_try(struct run *r)
{
	int error = pcore_proc_start(&r->proc, world.lp, world.tree, &r->spec, &r->times, &r->err);

	for (size_t i = 0; i < r->spec.n_fds && error == 0; i++)
		if (r->fds[i].source == PCORE_FD_PIPE_OUT)
			error = pcore_reader_start(
				&r->out[r->fds[i].target - 1].reader, world.lp, r->fds[i].fd);
	return error;
}

static inline void run_start(struct run *r)
{
	int error = run_try(r);

	if (error < 0)
		print_error("# %s: %s '%s'\n", strerror(-error), pcore_step_name(r->err.step),
			r->err.subject);
	assert_int_equal(error, 0);
}

/* Turn the loop until it has nothing to do any more. */
static inline void run_finish(struct run *r)
{
	assert_int_equal(pcore_loop_run(world.lp), 0);
	assert_int_equal(r->exited, 1);
	assert_int_equal(r->closed, 1);
	assert_int_equal(r->proc.state, PCORE_PROC_DONE);
}

#define turn_until(condition)                                             \
	do {                                                              \
		while (!(condition))                                      \
			assert_true(pcore_loop_turn(world.lp, true) > 0); \
	} while (0)

static inline void run_wait_ready(struct run *r)
{
	turn_until(strstr(r->out[0].text, "ready\n"));
}

/* Run a command to its end and give its shell status. */
static inline int run_sh(struct run *r, const char *command)
{
	run_init(r, command);
	run_captured(r);
	run_start(r);
	run_finish(r);
	return pcore_exit_status(&r->proc.exit);
}

static inline double seconds_since(int64_t ns)
{
	return (double)(pcore_now_ns() - ns) / (double)NS_PER_S;
}

/* ---- other circumstances ---- */

static inline bool become_nobody(void)
{
	return setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
	       setresuid(NOBODY, NOBODY, NOBODY) == 0 && prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0;
}

static inline bool refuse_close_range(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { ARRAY_SIZE(filter), filter };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* Run a group of tests in a child that has prepared itself. The number of failures. */
#define RUN_TESTS_AS(prepare, name, tests)                                                    \
	({                                                                                    \
		int status_ = 0;                                                              \
		pid_t pid_;                                                                   \
		fflush(NULL);                                                                 \
		pid_ = fork();                                                                \
		if (pid_ == 0)                                                                \
			exit(prepare() ? cmocka_run_group_tests_name(name, tests, NULL, NULL) \
				       : 99);                                                 \
		waitpid(pid_, &status_, 0);                                                   \
		WIFEXITED(status_) ? WEXITSTATUS(status_) : 99;                               \
	})

#endif
