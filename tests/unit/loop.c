/* SPDX-License-Identifier: MIT */
/*
 * loop.c - tests of the loop: every test runs on both backends, and none may leak a descriptor.
 */
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "libcore/loop/loop.h"

enum { TEST_SECONDS_MAX = 300 };

struct fixture {
	enum pcore_loop_backend backend;
	struct pcore_loop *lp;
	int fds;
};

/* An op that remembers what it was told. */
struct probe {
	struct pcore_op op;
	int res;
	int calls;
};

static void probe_done(struct pcore_op *op, int res)
{
	struct probe *p = container_of(op, struct probe, op);

	p->res = res;
	p->calls++;
}

#define PROBE ((struct probe){ .op.done = probe_done })

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static int setup(void **state)
{
	struct fixture *f = *state;

	alarm(TEST_SECONDS_MAX);
	f->fds = count_fds();
	assert_int_equal(pcore_loop_new(&f->lp, f->backend), 0);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pcore_loop_free(f->lp);
	f->lp = NULL;
	assert_int_equal(count_fds(), f->fds);
	alarm(0);
	return 0;
}

static struct pcore_loop *loop_of(void **state)
{
	return ((struct fixture *)*state)->lp;
}

static int finish(struct pcore_loop *lp, struct probe *p)
{
	int calls = p->calls;

	while (p->calls == calls)
		assert_true(pcore_loop_turn(lp, true) > 0);
	assert_false(pcore_op_live(&p->op));
	return p->res;
}

static void close_pair(int fds[2])
{
	pcore_fd_close(fds[0]);
	pcore_fd_close(fds[1]);
}

static void make_pipe(int fds[2])
{
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
}

static int temp_file(void)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fd;
}

static int pidfd_open_(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	assert_true(fd >= 0);
	return fd;
}

/* reading and writing */

static void a_read_of_a_pipe_gets_what_a_write_put_in(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct probe r = PROBE, w = PROBE;
	char buf[16] = "";
	int fds[2];

	make_pipe(fds);
	assert_int_equal(pcore_op_read(lp, &r.op, fds[0], buf, sizeof(buf), -1), 0);
	assert_int_equal(r.calls, 0);
	assert_int_equal(pcore_op_write(lp, &w.op, fds[1], "hello", 5, -1), 0);
	assert_int_equal(w.calls, 0);
	assert_int_equal(pcore_loop_run(lp), 0);
	assert_int_equal(w.res, 5);
	assert_int_equal(r.res, 5);
	assert_string_equal(buf, "hello");
	close_pair(fds);
}

static void end_of_file_is_a_read_of_zero(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct probe r = PROBE;
	char buf[16];
	int fds[2];

	make_pipe(fds);
	assert_int_equal(pcore_op_read(lp, &r.op, fds[0], buf, sizeof(buf), -1), 0);
	assert_int_equal(pcore_loop_turn(lp, false), 0);
	fds[1] = pcore_fd_close(fds[1]);
	assert_int_equal(finish(lp, &r), 0);
	close_pair(fds);
}

static void a_broken_pipe_is_an_error_and_no_signal(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct probe w = PROBE;
	int fds[2], pair[2];

	make_pipe(fds);
	fds[0] = pcore_fd_close(fds[0]);
	assert_int_equal(pcore_op_write(lp, &w.op, fds[1], "x", 1, -1), 0);
	assert_int_equal(finish(lp, &w), -EPIPE);
	close_pair(fds);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	pair[0] = pcore_fd_close(pair[0]);
	assert_int_equal(pcore_op_write(lp, &w.op, pair[1], "x", 1, -1), 0);
	assert_int_equal(finish(lp, &w), -EPIPE);
	close_pair(pair);
}

static void sigpipe_is_as_before_when_the_loop_is_gone(void **state)
{
	struct fixture *f = *state;
	struct pcore_loop *lp;
	struct probe w = PROBE;
	sigset_t set;
	int fds[2];

	pcore_loop_free(f->lp);
	assert_int_equal(pcore_loop_new(&lp, f->backend), 0);
	sigemptyset(&set);
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	assert_int_equal(sigismember(&set, SIGPIPE), 1);
	make_pipe(fds);
	fds[0] = pcore_fd_close(fds[0]);
	assert_int_equal(pcore_op_write(lp, &w.op, fds[1], "x", 1, -1), 0);
	assert_int_equal(finish(lp, &w), -EPIPE);
	close_pair(fds);
	pcore_loop_free(lp); /* a pending SIGPIPE would end this process here */
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	assert_int_equal(sigismember(&set, SIGPIPE), 0);
	assert_int_equal(pcore_loop_new(&f->lp, f->backend), 0);
}

static void offsets_of_a_regular_file_are_kept(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct probe p = PROBE;
	char buf[16] = "";
	int fd = temp_file();

	assert_int_equal(pcore_op_write(lp, &p.op, fd, "abcdef", 6, -1), 0);
	assert_int_equal(finish(lp, &p), 6);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 6);
	assert_int_equal(pcore_op_write(lp, &p.op, fd, "XY", 2, 1), 0);
	assert_int_equal(finish(lp, &p), 2);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 6);
	assert_int_equal(pcore_op_read(lp, &p.op, fd, buf, sizeof(buf), 0), 0);
	assert_int_equal(finish(lp, &p), 6);
	assert_string_equal(buf, "aXYdef");
	assert_int_equal(lseek(fd, 2, SEEK_SET), 2);
	assert_int_equal(pcore_op_read(lp, &p.op, fd, buf, 3, -1), 0);
	assert_int_equal(finish(lp, &p), 3);
	assert_memory_equal(buf, "Yde", 3);
	assert_int_equal(pcore_op_read(lp, &p.op, fd, buf, 3, -1), 0);
	assert_int_equal(finish(lp, &p), 1);
	assert_int_equal(pcore_op_read(lp, &p.op, fd, buf, 3, -1), 0);
	assert_int_equal(finish(lp, &p), 0);
	pcore_fd_close(fd);
}

static void files_without_readiness_are_read_and_written(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct probe p = PROBE;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), dir = open("/", O_RDONLY | O_CLOEXEC);
	char buf[64];

	assert_int_equal(pcore_op_read(lp, &p.op, null, buf, sizeof(buf), -1), 0);
	assert_int_equal(finish(lp, &p), 0);
	assert_int_equal(pcore_op_write(lp, &p.op, null, buf, sizeof(buf), -1), 0);
	assert_int_equal(finish(lp, &p), sizeof(buf));
	assert_int_equal(pcore_op_poll(lp, &p.op, null, POLLIN), 0);
	assert_int_equal(finish(lp, &p), POLLIN);
	assert_int_equal(pcore_op_read(lp, &p.op, dir, buf, sizeof(buf), -1), 0);
	assert_int_equal(finish(lp, &p), -EISDIR);
	pcore_fd_close(null);
	pcore_fd_close(dir);
}

static void a_large_write_to_a_file_is_done_in_large_pieces(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct probe p = PROBE;
	size_t size = 1 << 20, done = 0;
	char *data = calloc(1, size);
	int fd = temp_file(), pieces = 0;

	assert_non_null(data);
	for (; done < size; pieces++) {
		assert_int_equal(pcore_op_write(lp, &p.op, fd, data, size - done, -1), 0);
		assert_true(finish(lp, &p) > 0);
		done += (size_t)p.res;
	}
	assert_in_range(pieces, 1, 16);
	free(data);
	pcore_fd_close(fd);
}

static void a_bad_descriptor_is_a_result(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct probe p = PROBE;
	const int closed = 200;
	char c;

	assert_int_equal(pcore_op_read(lp, &p.op, closed, &c, 1, -1), 0);
	assert_int_equal(finish(lp, &p), -EBADF);
	assert_int_equal(pcore_op_write(lp, &p.op, -EBADF, "x", 1, -1), 0);
	assert_int_equal(finish(lp, &p), -EBADF);
	assert_int_equal(pcore_op_poll(lp, &p.op, closed, POLLIN), 0);
	assert_int_equal(finish(lp, &p), -EBADF);
	assert_int_equal(pcore_op_fsync(lp, &p.op, closed, false), 0);
	assert_int_equal(finish(lp, &p), -EBADF);
}

static void the_wrong_end_of_a_pipe_is_an_error(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct probe p = PROBE;
	int fds[2];
	char c;

	make_pipe(fds);
	assert_int_equal(pcore_op_write(lp, &p.op, fds[0], "x", 1, -1), 0);
	assert_int_equal(finish(lp, &p), -EBADF);
	assert_int_equal(pcore_op_read(lp, &p.op, fds[1], &c, 1, -1), 0);
	assert_int_equal(finish(lp, &p), -EBADF);
	close_pair(fds);
}

static void nothing_read_is_zero_at_once(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct probe p = PROBE;
	int fds[2];
	char c;

	make_pipe(fds);
	assert_int_equal(pcore_op_read(lp, &p.op, fds[0], &c, 0, -1), 0);
	assert_int_equal(finish(lp, &p), 0);
	assert_int_equal(pcore_op_write(lp, &p.op, fds[1], &c, 0, -1), 0);
	assert_int_equal(finish(lp, &p), 0);
	close_pair(fds);
}

static void one_descriptor_serves_both_directions(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct probe in = PROBE, out = PROBE, peer = PROBE;
	static char big[1 << 20], buf[1 << 16];
	char c = 0;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	do { /* until the socket is full and the write stays pending */
		assert_int_equal(pcore_op_write(lp, &out.op, pair[0], big, sizeof(big), -1), 0);
	} while (pcore_loop_turn(lp, false) > 0);
	assert_int_equal(pcore_op_read(lp, &in.op, pair[0], &c, 1, -1), 0);
	assert_int_equal(pcore_loop_turn(lp, false), 0);

	assert_int_equal(pcore_op_write(lp, &peer.op, pair[1], "z", 1, -1), 0);
	assert_int_equal(finish(lp, &peer), 1);
	if (in.calls == 0)
		finish(lp, &in);
	assert_int_equal(in.res, 1);
	assert_int_equal(c, 'z');
	assert_true(pcore_op_live(&out.op));
	while (pcore_op_live(&out.op)) {
		assert_int_equal(pcore_op_read(lp, &peer.op, pair[1], buf, sizeof(buf), -1), 0);
		assert_true(finish(lp, &peer) > 0);
	}
	assert_true(out.res > 0);
	close_pair(pair);
}

static void two_reads_of_one_pipe_each_get_a_message(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct probe a = PROBE, b = PROBE;
	char x = 0, y = 0;
	int fds[2];

	make_pipe(fds);
	assert_int_equal(pcore_op_read(lp, &a.op, fds[0], &x, 1, -1), 0);
	assert_int_equal(pcore_op_read(lp, &b.op, fds[0], &y, 1, -1), 0);
	assert_int_equal(write(fds[1], "1", 1), 1);
	while (a.calls + b.calls == 0)
		pcore_loop_turn(lp, true);
	assert_int_equal(pcore_loop_turn(lp, false), 0);
	assert_int_equal(a.calls + b.calls, 1);
	assert_int_equal(write(fds[1], "2", 1), 1);
	assert_int_equal(pcore_loop_run(lp), 0);
	assert_int_equal(a.calls + b.calls, 2);
	assert_int_equal(x + y, '1' + '2');
	close_pair(fds);
}

/* All that is written has been read: then a write ends that the kernel does not cut short. */
static void read_all_of(struct pcore_loop *lp, int fd, struct probe *w, char *buf, size_t size)
{
	struct probe r = PROBE;

	for (size_t got = 0; got < size; got += (size_t)r.res) {
		assert_int_equal(pcore_op_read(lp, &r.op, fd, buf, 8192, -1), 0);
		assert_in_range(finish(lp, &r), 1, 8192);
	}
	if (pcore_op_live(&w->op))
		finish(lp, w);
	assert_int_equal(w->res, size);
}

static void a_full_pipe_in_blocking_mode_does_not_block_the_loop(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct probe w = PROBE, t = PROBE, r = PROBE;
	static char buf[1 << 17];
	int fds[2], total = 0;

	make_pipe(fds);
	do { /* the pipe takes 64 KiB, the last write has to wait for room */
		total += w.res;
		assert_int_equal(pcore_op_write(lp, &w.op, fds[1], buf, sizeof(buf), -1), 0);
		pcore_loop_turn(lp, false);
	} while (!pcore_op_live(&w.op));
	if (total > 0) /* before Linux 6.4 io_uring waits until all is written */
		assert_int_equal(total, 1 << 16);
	assert_int_equal(
		pcore_op_timer(lp, &t.op, PCORE_CLOCK_MONOTONIC, pcore_now_ns() + 5 * NS_PER_MS),
		0);
	assert_int_equal(finish(lp, &t), -ETIME);
	assert_true(pcore_op_live(&w.op));
	assert_false(fcntl(fds[1], F_GETFL) & O_NONBLOCK);

	if (total == 0) {
		read_all_of(lp, fds[0], &w, buf, sizeof(buf));
	} else {
		assert_int_equal(pcore_op_read(lp, &r.op, fds[0], buf, 8192, -1), 0);
		assert_int_equal(finish(lp, &r), 8192);
		if (pcore_op_live(&w.op))
			finish(lp, &w);
		assert_in_range(w.res, 4096, 8192);
	}
	close_pair(fds);
}

static void a_descriptor_in_non_blocking_mode_is_waited_for(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct probe r = PROBE;
	int fds[2], pair[2];
	char c;

	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(pcore_op_read(lp, &r.op, fds[0], &c, 1, -1), 0);
	assert_int_equal(pcore_loop_turn(lp, false), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(finish(lp, &r), 1);
	assert_int_equal(pcore_op_read(lp, &r.op, pair[0], &c, 1, -1), 0);
	assert_int_equal(pcore_loop_turn(lp, false), 0);
	assert_int_equal(write(pair[1], "x", 1), 1);
	assert_int_equal(finish(lp, &r), 1);
	close_pair(fds);
	close_pair(pair);
}

static void terminals_are_read_and_written(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
	struct probe r = PROBE, w = PROBE;
	char buf[16] = "", name[64];

	assert_true(master >= 0);
	assert_int_equal(grantpt(master) + unlockpt(master), 0);
	assert_int_equal(ptsname_r(master, name, sizeof(name)), 0);
	for (int mode = 0; mode <= O_NONBLOCK; mode += O_NONBLOCK) {
		slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC | mode);
		assert_true(slave >= 0);
		assert_int_equal(pcore_op_read(lp, &r.op, slave, buf, sizeof(buf), -1), 0);
		assert_int_equal(pcore_loop_turn(lp, false), 0);
		assert_int_equal(pcore_op_write(lp, &w.op, master, "line\n", 5, -1), 0);
		assert_int_equal(pcore_loop_run(lp), 0);
		assert_int_equal(w.res, 5);
		assert_int_equal(r.res, 5);
		pcore_fd_close(slave);
	}
	pcore_fd_close(master);
}

static void a_descriptor_number_can_be_used_again(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct probe r = PROBE, w = PROBE;
	char c = 0;

	for (int i = 0; i < 6; i++) { /* pipes and sockets in turn, read to the end or cancelled */
		int fds[2], held;

		if (i % 2)
			assert_int_equal(
				socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
		else
			make_pipe(fds);
		held = fcntl(
			fds[0], F_DUPFD_CLOEXEC, 50); /* the file lives on under another number */
		assert_int_equal(pcore_op_read(lp, &r.op, fds[0], &c, 1, -1), 0);
		if (i % 3 == 2) {
			if (i > 2)
				assert_int_equal(pcore_loop_turn(lp, false), 0);
			pcore_op_cancel(lp, &r.op);
		} else {
			assert_int_equal(pcore_op_write(lp, &w.op, fds[1], "a", 1, -1), 0);
			finish(lp, &w);
		}
		if (i % 3 == 2)
			close_pair(fds); /* before the end of the op is known */
		if (pcore_op_live(&r.op))
			finish(lp, &r);
		assert_int_equal(r.res, i % 3 == 2 ? -ECANCELED : 1);
		if (i % 3 != 2)
			close_pair(fds);
		pcore_fd_close(held);
	}
}

static void a_cancelled_read_takes_nothing_from_the_next_file(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct probe r = PROBE;
	int fds[2], next[2];
	char c = 0;

	make_pipe(fds);
	assert_int_equal(pcore_op_read(lp, &r.op, fds[0], &c, 1, -1), 0);
	pcore_op_cancel(lp, &r.op);
	close_pair(fds);
	make_pipe(next);
	assert_int_equal(next[0], fds[0]);
	assert_int_equal(write(next[1], "x", 1), 1);
	assert_int_equal(finish(lp, &r), -ECANCELED);
	assert_int_equal(read(next[0], &c, 1), 1);
	close_pair(next);
}

/* cancelling */

static void pending_ops_of_each_kind_can_be_cancelled(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	int pair[2], fds[2], listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un any = { .sun_family = AF_UNIX };
	int self = pidfd_open_(getpid());
	struct pcore_exit ex;
	static char big[1 << 20];

	assert_int_equal(bind(listener, (struct sockaddr *)&any, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	make_pipe(fds);
	for (int turns = 0; turns < 2; turns++) { /* before and after the kernel has seen them */
		struct probe p[8];
		char c;
		struct probe filler = PROBE;

		for (size_t i = 0; i < ARRAY_SIZE(p); i++)
			p[i] = PROBE;
		while (!pcore_op_live(&filler.op)) { /* until a write stays pending */
			assert_int_equal(
				pcore_op_write(lp, &filler.op, pair[1], big, sizeof(big), -1), 0);
			pcore_loop_turn(lp, false);
		}
		assert_int_equal(pcore_op_read(lp, &p[0].op, fds[0], &c, 1, -1), 0);
		assert_int_equal(pcore_op_write(lp, &p[1].op, pair[1], big, sizeof(big), -1), 0);
		assert_int_equal(pcore_op_poll(lp, &p[2].op, fds[0], POLLIN), 0);
		assert_int_equal(pcore_op_accept(lp, &p[3].op, listener), 0);
		assert_int_equal(pcore_op_exit(lp, &p[4].op, self, &ex, false), 0);
		assert_int_equal(pcore_op_timer(lp, &p[5].op, PCORE_CLOCK_MONOTONIC, INT64_MAX), 0);
		assert_int_equal(pcore_op_timer(lp, &p[6].op, PCORE_CLOCK_BOOTTIME,
					 pcore_now_ns() + NS_PER_S * 3600),
			0);
		assert_int_equal(pcore_op_wall(lp, &p[7].op,
					 pcore_clock_ns(CLOCK_REALTIME) + NS_PER_S * 3600),
			0);
		if (turns)
			assert_int_equal(pcore_loop_turn(lp, false), 0);
		pcore_op_cancel(lp, &filler.op);
		for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
			pcore_op_cancel(lp, &p[i].op);
			pcore_op_cancel(lp, &p[i].op); /* twice is once */
			assert_int_equal(p[i].calls, 0);
		}
		assert_int_equal(pcore_loop_run(lp), 0);
		for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
			assert_int_equal(p[i].calls, 1);
			assert_int_equal(p[i].res, -ECANCELED);
			assert_false(pcore_op_live(&p[i].op));
			pcore_op_cancel(lp, &p[i].op); /* idle: nothing */
		}
	}
	close_pair(pair);
	close_pair(fds);
	pcore_fd_close(listener);
	pcore_fd_close(self);
}

struct sibling {
	struct probe p;
	struct sibling *other;
	struct pcore_loop *lp;
};

static void cancel_sibling(struct pcore_op *op, int res)
{
	struct sibling *s = container_of(op, struct sibling, p.op);

	probe_done(op, res);
	pcore_op_cancel(s->lp, &s->other->p.op);
}

static void a_result_that_has_arrived_survives_a_cancel(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct sibling a = { .p.op.done = cancel_sibling, .lp = lp };
	struct sibling b = { .p.op.done = cancel_sibling, .lp = lp, .other = &a };
	char x, y;
	int fds[2];

	a.other = &b;
	make_pipe(fds);
	assert_int_equal(write(fds[1], "12", 2), 2);
	assert_int_equal(pcore_op_read(lp, &a.p.op, fds[0], &x, 1, -1), 0);
	assert_int_equal(pcore_op_read(lp, &b.p.op, fds[0], &y, 1, -1), 0);
	assert_int_equal(pcore_loop_run(lp), 0);
	assert_int_equal(a.p.res, 1);
	assert_int_equal(b.p.res, 1);
	close_pair(fds);
}

static void cancelling_more_ops_than_the_ring_holds_works(void **state)
{
	enum { N = 300 };
	struct pcore_loop *lp = loop_of(state);
	static struct probe p[N];
	int fds[2];

	make_pipe(fds);
	for (int i = 0; i < N; i++) {
		p[i] = PROBE;
		assert_int_equal(pcore_op_poll(lp, &p[i].op, fds[0], POLLIN), 0);
	}
	assert_int_equal(pcore_loop_turn(lp, false), 0);
	for (int i = 0; i < N; i++)
		pcore_op_cancel(lp, &p[i].op);
	assert_int_equal(pcore_loop_run(lp), 0);
	for (int i = 0; i < N; i++)
		assert_int_equal(p[i].res, -ECANCELED);
	close_pair(fds);
}

static void more_completions_than_a_batch_all_arrive(void **state)
{
	enum { N = 2000 };
	struct pcore_loop *lp = loop_of(state);
	static struct probe p[N];
	int fds[2];

	make_pipe(fds);
	for (int i = 0; i < N; i++) {
		p[i] = PROBE;
		assert_int_equal(pcore_op_poll(lp, &p[i].op, fds[0], POLLIN), 0);
	}
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(pcore_loop_run(lp), 0);
	for (int i = 0; i < N; i++)
		assert_int_equal(p[i].res, POLLIN);
	close_pair(fds);
}

/* timers */

struct timed {
	struct pcore_op op;
	int64_t deadline, fired;
	int *order, n;
};

static int timed_count;
static struct timed *timed_last;

static void timed_done(struct pcore_op *op, int res)
{
	struct timed *t = container_of(op, struct timed, op);

	assert_int_equal(res, -ETIME);
	t->fired = pcore_now_ns();
	assert_true(t->fired >= t->deadline);
	if (timed_last)
		assert_true(t->deadline >= timed_last->deadline);
	timed_last = t;
	timed_count++;
}

static void a_thousand_timers_fire_in_order(void **state)
{
	enum { N = 1000 };
	struct pcore_loop *lp = loop_of(state);
	static struct timed t[N];
	int64_t now = pcore_now_ns();
	unsigned x = 7;

	timed_count = 0;
	timed_last = NULL;
	for (int i = 0; i < N; i++) {
		x = x * 1103515245 + 12345;
		t[i] = (struct timed){ .op.done = timed_done,
			.deadline = now + (x >> 8) % 30000000 };
		assert_int_equal(
			pcore_op_timer(lp, &t[i].op, PCORE_CLOCK_MONOTONIC, t[i].deadline), 0);
	}
	assert_int_equal(pcore_loop_run(lp), 0);
	assert_int_equal(timed_count, N);
}

static void a_timer_in_the_past_fires_in_the_next_turn(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct probe p = PROBE, q = PROBE, b = PROBE;

	assert_int_equal(pcore_op_timer(lp, &p.op, PCORE_CLOCK_MONOTONIC, 1), 0);
	assert_int_equal(pcore_op_timer(lp, &q.op, PCORE_CLOCK_MONOTONIC, -5), 0);
	assert_int_equal(pcore_op_timer(lp, &b.op, PCORE_CLOCK_BOOTTIME, 0), 0);
	assert_int_equal(p.calls, 0);
	assert_int_equal(pcore_loop_turn(lp, false), 3);
	assert_int_equal(p.res, -ETIME);
	assert_int_equal(q.res, -ETIME);
	assert_int_equal(b.res, -ETIME);
}

static void a_timer_that_is_never_due_does_not_disturb_others(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct probe never = PROBE, soon = PROBE;

	for (enum pcore_clock c = 0; c < PCORE_CLOCK_COUNT; c++) {
		clockid_t id = c == PCORE_CLOCK_MONOTONIC ? CLOCK_MONOTONIC : CLOCK_BOOTTIME;
		int64_t start = pcore_clock_ns(id);

		assert_int_equal(pcore_op_timer(lp, &never.op, c, INT64_MAX), 0);
		assert_int_equal(pcore_op_timer(lp, &soon.op, c, start + 3 * NS_PER_MS), 0);
		assert_int_equal(finish(lp, &soon), -ETIME);
		assert_true(pcore_clock_ns(id) >= start + 3 * NS_PER_MS);
		assert_int_equal(never.calls, (int)c);
		pcore_op_cancel(lp, &never.op);
		assert_int_equal(finish(lp, &never), -ECANCELED);
	}
}

static void boot_time_timers_move_forward_and_back(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct probe late = PROBE, later = PROBE, early = PROBE, r = PROBE;
	int64_t now = pcore_clock_ns(CLOCK_BOOTTIME);
	int fds[2];
	char c;

	make_pipe(fds);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(
		pcore_op_timer(lp, &late.op, PCORE_CLOCK_BOOTTIME, now + 3600 * NS_PER_S), 0);
	assert_int_equal(pcore_op_read(lp, &r.op, fds[0], &c, 1, -1), 0);
	assert_int_equal(pcore_loop_turn(lp, true), 1); /* the late one is armed now */
	assert_int_equal(
		pcore_op_timer(lp, &later.op, PCORE_CLOCK_BOOTTIME, now + 100 * NS_PER_MS), 0);
	assert_int_equal(
		pcore_op_timer(lp, &early.op, PCORE_CLOCK_BOOTTIME, now + 10 * NS_PER_MS), 0);
	assert_int_equal(finish(lp, &early), -ETIME);
	assert_true(pcore_clock_ns(CLOCK_BOOTTIME) >= now + 10 * NS_PER_MS);
	if (pcore_op_live(&later.op)) /* not on a machine that was away for so long */
		finish(lp, &later);
	assert_int_equal(later.res, -ETIME);
	assert_true(pcore_clock_ns(CLOCK_BOOTTIME) >= now + 100 * NS_PER_MS);

	pcore_op_cancel(lp, &late.op);
	now = pcore_clock_ns(CLOCK_BOOTTIME);
	assert_int_equal(
		pcore_op_timer(lp, &early.op, PCORE_CLOCK_BOOTTIME, now + 15 * NS_PER_MS), 0);
	assert_int_equal(pcore_loop_run(lp), 0);
	assert_int_equal(late.res, -ECANCELED);
	assert_int_equal(early.res, -ETIME);
	assert_true(pcore_clock_ns(CLOCK_BOOTTIME) >= now + 15 * NS_PER_MS);
	close_pair(fds);
}

static int64_t time_of_a_timer_beside_a_read(struct pcore_loop *lp, int64_t ns)
{
	struct probe r = PROBE, t = PROBE;
	int64_t start = pcore_now_ns(), took;
	int fds[2];
	char c;

	make_pipe(fds);
	assert_int_equal(pcore_op_read(lp, &r.op, fds[0], &c, 1, -1), 0);
	assert_int_equal(pcore_op_timer(lp, &t.op, PCORE_CLOCK_MONOTONIC, start + ns), 0);
	assert_int_equal(finish(lp, &t), -ETIME);
	took = pcore_now_ns() - start;
	pcore_op_cancel(lp, &r.op);
	assert_int_equal(finish(lp, &r), -ECANCELED);
	close_pair(fds);
	return took;
}

static void a_timer_is_not_doubled_by_what_is_started_with_it(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	int64_t took, least = INT64_MAX;

	/* a busy machine is late once, not each time */
	for (int i = 0; i < 20 && least >= 390 * NS_PER_MS; i++) {
		took = time_of_a_timer_beside_a_read(lp, 200 * NS_PER_MS);
		assert_true(took >= 200 * NS_PER_MS);
		least = took < least ? took : least;
	}
	assert_true(least < 390 * NS_PER_MS);
}

struct ticker {
	struct pcore_op op;
	struct pcore_loop *lp;
	int left;
	int64_t next;
};

static void tick(struct pcore_op *op, int res)
{
	struct ticker *t = container_of(op, struct ticker, op);

	assert_int_equal(res, -ETIME);
	assert_true(pcore_loop_now(t->lp) >= t->next);
	t->next += NS_PER_MS;
	if (--t->left > 0)
		assert_int_equal(pcore_op_timer(t->lp, op, PCORE_CLOCK_MONOTONIC, t->next), 0);
}

static void a_timer_can_be_started_again_in_its_callback(void **state)
{
	struct ticker t = { .op.done = tick, .lp = loop_of(state), .left = 20 };

	t.next = pcore_now_ns() + NS_PER_MS;
	assert_int_equal(pcore_op_timer(t.lp, &t.op, PCORE_CLOCK_MONOTONIC, t.next), 0);
	assert_int_equal(pcore_loop_run(t.lp), 0);
	assert_int_equal(t.left, 0);
}

static void wall_clock_timers_fire(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct probe past = PROBE, epoch = PROBE, soon = PROBE;
	int64_t now = pcore_clock_ns(CLOCK_REALTIME);

	assert_int_equal(pcore_op_wall(lp, &past.op, now - NS_PER_S), 0);
	assert_int_equal(pcore_op_wall(lp, &epoch.op, 0), 0);
	assert_int_equal(pcore_op_wall(lp, &soon.op, now + 50 * NS_PER_MS), 0);
	assert_int_equal(pcore_loop_run(lp), 0);
	assert_int_equal(past.res, -ETIME);
	assert_int_equal(epoch.res, -ETIME);
	assert_int_equal(soon.res, -ETIME);
	assert_true(pcore_clock_ns(CLOCK_REALTIME) >= now + 50 * NS_PER_MS);
}

/* poll, accept, connect */

static void poll_tells_the_events_that_are_ready(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct probe in = PROBE, out = PROBE, hup = PROBE;
	int fds[2];

	make_pipe(fds);
	assert_int_equal(pcore_op_poll(lp, &in.op, fds[0], POLLIN), 0);
	assert_int_equal(pcore_op_poll(lp, &out.op, fds[1], POLLOUT), 0);
	assert_int_equal(finish(lp, &out), POLLOUT);
	assert_int_equal(in.calls, 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(finish(lp, &in), POLLIN);
	assert_int_equal(pcore_op_poll(lp, &hup.op, fds[0], 0), 0);
	assert_int_equal(pcore_loop_turn(lp, false), 0);
	fds[1] = pcore_fd_close(fds[1]);
	assert_int_equal(finish(lp, &hup), POLLHUP);
	assert_int_equal(pcore_op_poll(lp, &in.op, fds[0], POLLIN), 0);
	assert_int_equal(finish(lp, &in), POLLIN | POLLHUP);
	fds[0] = pcore_fd_close(fds[0]);

	make_pipe(fds);
	fds[0] = pcore_fd_close(fds[0]);
	assert_int_equal(pcore_op_poll(lp, &out.op, fds[1], POLLOUT), 0);
	assert_int_equal(finish(lp, &out), POLLOUT | POLLERR);
	close_pair(fds);
}

static void talk(
	struct pcore_loop *lp, int listener, int client, const struct sockaddr *addr, socklen_t len)
{
	struct probe a = PROBE, c = PROBE, r = PROBE, w = PROBE;
	char buf[8] = "";

	assert_int_equal(pcore_op_accept(lp, &a.op, listener), 0);
	assert_int_equal(pcore_loop_turn(lp, false), 0);
	assert_int_equal(pcore_op_connect(lp, &c.op, client, addr, len), 0);
	assert_int_equal(pcore_loop_run(lp), 0);
	assert_int_equal(c.res, 0);
	assert_true(a.res >= 0);
	assert_true(fcntl(a.res, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(a.res, F_GETFL) & O_NONBLOCK);
	assert_int_equal(pcore_op_read(lp, &r.op, a.res, buf, sizeof(buf), -1), 0);
	assert_int_equal(pcore_op_write(lp, &w.op, client, "ping", 4, -1), 0);
	assert_int_equal(pcore_loop_run(lp), 0);
	assert_int_equal(r.res, 4);
	assert_string_equal(buf, "ping");
	pcore_fd_close(a.res);
}

static void connections_over_loopback_are_made(void **state)
{
	struct pcore_loop *lp = loop_of(state);

	for (int mode = 0; mode <= SOCK_NONBLOCK; mode += SOCK_NONBLOCK) {
		int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | mode, 0);
		int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | mode, 0);
		struct sockaddr_in addr = { .sin_family = AF_INET,
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		socklen_t len = sizeof(addr);

		assert_int_equal(bind(listener, (struct sockaddr *)&addr, len), 0);
		assert_int_equal(listen(listener, 8), 0);
		assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
		talk(lp, listener, client, (struct sockaddr *)&addr, len);
		pcore_fd_close(listener);
		pcore_fd_close(client);
	}
}

static void connections_over_unix_sockets_are_made(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(addr);

	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(listener, 8), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	talk(lp, listener, client, (struct sockaddr *)&addr, len);
	pcore_fd_close(listener);
	pcore_fd_close(client);
}

static void a_refused_connection_is_a_result(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	int holder = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in addr = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	struct probe p = PROBE;

	assert_int_equal(bind(holder, (struct sockaddr *)&addr, len), 0); /* bound, not listening */
	assert_int_equal(getsockname(holder, (struct sockaddr *)&addr, &len), 0);
	assert_int_equal(pcore_op_connect(lp, &p.op, client, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(finish(lp, &p), -ECONNREFUSED);
	pcore_fd_close(holder);
	pcore_fd_close(client);
}

static void a_connection_waits_for_room_in_the_backlog(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fds[3];
	socklen_t len = sizeof(addr);
	struct probe p = PROBE, t = PROBE;

	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	for (int i = 0; i < 3; i++) {
		fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_true(fds[i] >= 0);
	}
	assert_int_equal(connect(fds[0], (struct sockaddr *)&addr, len), 0);
	assert_int_equal(connect(fds[1], (struct sockaddr *)&addr, len), 0);
	for (int i = 0; i < 2; i++) { /* cancelled, then left to wait */
		int64_t soon = pcore_now_ns() + 5 * NS_PER_MS;

		assert_int_equal(
			pcore_op_connect(lp, &p.op, fds[2], (struct sockaddr *)&addr, len), 0);
		assert_int_equal(pcore_op_timer(lp, &t.op, PCORE_CLOCK_MONOTONIC, soon), 0);
		assert_int_equal(finish(lp, &t), -ETIME);
		assert_true(pcore_op_live(&p.op));
		if (i == 0) {
			pcore_op_cancel(lp, &p.op);
			assert_int_equal(finish(lp, &p), -ECANCELED);
		}
	}
	pcore_fd_close(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	assert_int_equal(finish(lp, &p), 0);
	for (int i = 0; i < 3; i++)
		pcore_fd_close(fds[i]);
	pcore_fd_close(listener);
}

static void no_socket_no_connection(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct probe p = PROBE;
	int fd = temp_file();

	assert_int_equal(pcore_op_accept(lp, &p.op, fd), 0);
	assert_int_equal(finish(lp, &p), -ENOTSOCK);
	assert_int_equal(
		pcore_op_connect(lp, &p.op, fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(finish(lp, &p), -ENOTSOCK);
	pcore_fd_close(fd);
}

/* processes */

/* A child that waits for the parent to close its pipe, then exits with status or kills itself with
 * it (below 0). */
static pid_t make_child(int status, int *ret_hold)
{
	int fds[2];
	pid_t pid;
	char c;

	make_pipe(fds);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(fds[1]);
		while (read(fds[0], &c, 1) > 0)
			;
		if (status < 0)
			kill(getpid(), -status);
		_exit(status);
	}
	pcore_fd_close(fds[0]);
	*ret_hold = fds[1];
	return pid;
}

static void the_exit_of_a_child_is_told(void **state)
{
	static const int statuses[] = { 0, 7, -SIGKILL };
	struct pcore_loop *lp = loop_of(state);

	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		struct pcore_exit ex = { 0 };
		struct probe p = PROBE;
		int hold, pidfd, status = statuses[i];
		pid_t pid = make_child(status, &hold);

		pidfd = pidfd_open_(pid);
		assert_int_equal(pcore_op_exit(lp, &p.op, pidfd, &ex, false), 0);
		assert_int_equal(pcore_loop_turn(lp, false), 0);
		pcore_fd_close(hold);
		assert_int_equal(finish(lp, &p), 0);
		assert_int_equal(ex.code, status < 0 ? CLD_KILLED : CLD_EXITED);
		assert_int_equal(ex.status, status < 0 ? -status : status);
		assert_true(ex.usage.ru_maxrss > 0);
		assert_int_equal(waitpid(pid, NULL, WNOHANG), -1);
		assert_int_equal(pcore_op_exit(lp, &p.op, pidfd, &ex, false), 0);
		assert_int_equal(finish(lp, &p), -ECHILD);
		pcore_fd_close(pidfd);
	}
}

static void a_kept_child_stays_a_zombie(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct pcore_exit ex = { 0 };
	struct probe p = PROBE;
	int hold, pidfd, status;
	pid_t pid = make_child(3, &hold);

	pidfd = pidfd_open_(pid);
	pcore_fd_close(hold);
	assert_int_equal(pcore_op_exit(lp, &p.op, pidfd, &ex, true), 0);
	assert_int_equal(finish(lp, &p), 0);
	assert_int_equal(ex.status, 3);
	assert_int_equal(waitpid(pid, &status, WNOHANG), pid);
	assert_int_equal(WEXITSTATUS(status), 3);
	pcore_fd_close(pidfd);
}

static void the_exit_of_a_stranger_is_no_child(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct pcore_exit ex;
	struct probe p = PROBE;
	int fds[2], status, pidfd;
	pid_t child, grandchild;

	make_pipe(fds);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		grandchild = fork();
		if (grandchild == 0)
			for (;;)
				pause();
		_exit(write(fds[1], &grandchild, sizeof(grandchild)) != sizeof(grandchild));
	}
	assert_int_equal(read(fds[0], &grandchild, sizeof(grandchild)), sizeof(grandchild));
	assert_int_equal(waitpid(child, &status, 0), child);
	pidfd = pidfd_open_(grandchild);
	assert_int_equal(pcore_op_exit(lp, &p.op, pidfd, &ex, false), 0);
	assert_int_equal(pcore_loop_turn(lp, false), 0);
	kill(grandchild, SIGKILL);
	assert_int_equal(finish(lp, &p), -ECHILD);
	pcore_fd_close(pidfd);
	close_pair(fds);
}

/* wake */

struct waker {
	struct probe p;
	struct pcore_loop *lp;
	bool stop;
};

static void on_wake(struct pcore_op *op, int res)
{
	struct waker *w = container_of(op, struct waker, p.op);

	probe_done(op, res);
	if (w->stop)
		pcore_loop_stop(w->lp);
}

static void *wake_thread(void *arg)
{
	usleep(5000);
	pcore_loop_wake(arg);
	return NULL;
}

static void another_thread_wakes_the_loop(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	static struct waker w; /* outlives the test: it is left to pcore_loop_free() */
	struct probe never = PROBE;
	pthread_t thread;

	w = (struct waker){ .p.op.done = on_wake, .lp = lp, .stop = true };
	assert_int_equal(pcore_op_wake(lp, &w.p.op), 0);
	assert_int_equal(pcore_loop_run(lp), 0); /* nothing but the wake op: no reason to stay */
	assert_int_equal(pcore_op_timer(lp, &never.op, PCORE_CLOCK_MONOTONIC, INT64_MAX), 0);
	for (int i = 1; i <= 3; i++) {
		assert_int_equal(pthread_create(&thread, NULL, wake_thread, lp), 0);
		assert_int_equal(pcore_loop_run(lp), 0);
		assert_int_equal(w.p.calls, i);
		assert_int_equal(w.p.res, 0);
		assert_true(pcore_op_live(&w.p.op));
		pthread_join(thread, NULL);
	}
	pcore_op_cancel(lp, &never.op);
	assert_int_equal(finish(lp, &never), -ECANCELED);
	assert_int_equal(w.p.calls, 3);
}

static void wakes_close_together_count_as_one(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	static struct waker w; /* outlives the test */

	w = (struct waker){ .p.op.done = on_wake, .lp = lp };
	assert_int_equal(pcore_op_wake(lp, &w.p.op), 0);
	for (int i = 0; i < 10; i++)
		pcore_loop_wake(lp);
	assert_int_equal(pcore_loop_turn(lp, true), 1);
	assert_int_equal(pcore_loop_turn(lp, false), 0);
	assert_int_equal(w.p.calls, 1);
	pcore_op_cancel(lp, &w.p.op);
	assert_int_equal(pcore_loop_turn(lp, true), 1);
	assert_int_equal(w.p.res, -ECANCELED);
	assert_false(pcore_op_live(&w.p.op));
	assert_int_equal(pcore_loop_turn(lp, true), 0);
	assert_int_equal(pcore_op_wake(lp, &w.p.op), 0);
	pcore_loop_wake(lp);
	assert_int_equal(pcore_loop_turn(lp, true), 1);
	assert_int_equal(w.p.res, 0);
}

/* fsync */

static void fsync_writes_a_file_out(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct probe p[3];
	int fd = temp_file(), fds[2];

	assert_int_equal(write(fd, "x", 1), 1);
	make_pipe(fds);
	for (int i = 0; i < 3; i++) {
		p[i] = PROBE;
		assert_int_equal(pcore_op_fsync(lp, &p[i].op, i == 2 ? fds[0] : fd, i == 1), 0);
	}
	assert_int_equal(pcore_loop_run(lp), 0);
	assert_int_equal(p[0].res, 0);
	assert_int_equal(p[1].res, 0);
	assert_int_equal(p[2].res, -EINVAL);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pcore_op_fsync(lp, &p[i].op, fd, false), 0);
		pcore_op_cancel(lp, &p[i].op); /* may come too late */
	}
	assert_int_equal(pcore_loop_run(lp), 0);
	for (int i = 0; i < 3; i++)
		assert_true(p[i].res == 0 || p[i].res == -ECANCELED);
	pcore_fd_close(fd);
	close_pair(fds);
}

/* turns */

static void a_loop_with_nothing_to_do_returns_at_once(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	const struct fixture *f = *state;

	assert_int_equal(pcore_loop_turn(lp, true), 0);
	assert_int_equal(pcore_loop_turn(lp, false), 0);
	assert_int_equal(pcore_loop_run(lp), 0);
	assert_string_equal(
		pcore_loop_name(lp), f->backend == PCORE_LOOP_URING ? "uring" : "epoll");
}

struct chain {
	struct pcore_op op;
	struct pcore_loop *lp;
	int fd, left;
};

static void chain_done(struct pcore_op *op, int res)
{
	struct chain *c = container_of(op, struct chain, op);

	assert_int_equal(res, 1);
	if (--c->left > 0)
		assert_int_equal(pcore_op_write(c->lp, op, c->fd, "x", 1, -1), 0);
}

static void what_a_callback_starts_ends_in_a_later_turn(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct chain c = { .op.done = chain_done, .lp = lp, .left = 3 };

	c.fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	assert_int_equal(pcore_op_write(lp, &c.op, c.fd, "x", 1, -1), 0);
	for (int left = 2; left >= 0; left--) {
		assert_int_equal(pcore_loop_turn(lp, true), 1);
		assert_int_equal(c.left, left);
	}
	pcore_fd_close(c.fd);
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void a_signal_handler_does_not_end_a_turn(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct sigaction sa = { .sa_handler = on_alarm }, old;
	struct itimerval every = { .it_interval.tv_usec = 2000, .it_value.tv_usec = 2000 };
	const struct itimerval off = { 0 };
	struct probe p = PROBE;

	alarm(0); /* the same timer */
	sigaction(SIGALRM, &sa, &old);
	setitimer(ITIMER_REAL, &every, NULL);
	assert_int_equal(
		pcore_op_timer(lp, &p.op, PCORE_CLOCK_MONOTONIC, pcore_now_ns() + 20 * NS_PER_MS),
		0);
	assert_int_equal(pcore_loop_turn(lp, true), 1);
	assert_int_equal(p.res, -ETIME);
	setitimer(ITIMER_REAL, &off, NULL);
	sigaction(SIGALRM, &old, NULL);
}

static long rss_pages(void)
{
	char buf[128];
	long size, rss;

	assert_true(pcore_file_read(AT_FDCWD, "/proc/self/statm", buf, sizeof(buf)) > 0);
	assert_int_equal(sscanf(buf, "%ld %ld", &size, &rss), 2);
	return rss;
}

static void many_round_trips_need_no_more_memory(void **state)
{
	enum { ROUNDS = 20000 }; /* so many that 16 bytes lost in each are seen */
	struct pcore_loop *lp = loop_of(state);
	struct probe r = PROBE, w = PROBE;
	long before = 0;
	char c = 0;
	int fds[2];

	make_pipe(fds);
	for (int i = 0; i < ROUNDS; i++) {
		assert_int_equal(pcore_op_read(lp, &r.op, fds[0], &c, 1, -1), 0);
		assert_int_equal(pcore_op_write(lp, &w.op, fds[1], "x", 1, -1), 0);
		while (pcore_op_live(&r.op) || pcore_op_live(&w.op))
			assert_true(pcore_loop_turn(lp, true) > 0);
		if (i == 1000)
			before = rss_pages();
	}
	assert_int_equal(r.calls, ROUNDS);
	assert_int_equal(w.calls, ROUNDS);
	assert_true(rss_pages() - before <= 64);
	close_pair(fds);
}

static void loops_come_and_go(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 50; i++) {
		struct pcore_loop *lp;
		struct probe p = PROBE;

		assert_int_equal(pcore_loop_new(&lp, i % 2 ? f->backend : PCORE_LOOP_AUTO), 0);
		assert_int_equal(pcore_op_timer(lp, &p.op, PCORE_CLOCK_MONOTONIC, 0), 0);
		assert_int_equal(pcore_loop_run(lp), 0);
		pcore_loop_free(lp);
	}
	pcore_loop_free(NULL);
}

#ifdef PCORE_FAULTS
static void faults_strike_each_kind(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct probe p[7];
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct pcore_exit ex;
	char c;

	assert_int_equal(pcore_fault_set("read:1:EIO,write:1:ENOSPC,poll:1:ENOMEM,accept:1:EMFILE,"
					 "connect:1:ETIMEDOUT,fsync:1:EIO,exit:1:ECHILD"),
		0);
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		p[i] = PROBE;
	assert_int_equal(pcore_op_read(lp, &p[0].op, 0, &c, 1, -1), 0);
	assert_int_equal(pcore_op_write(lp, &p[1].op, 0, &c, 1, -1), 0);
	assert_int_equal(pcore_op_poll(lp, &p[2].op, 0, POLLIN), 0);
	assert_int_equal(pcore_op_accept(lp, &p[3].op, 0), 0);
	assert_int_equal(
		pcore_op_connect(lp, &p[4].op, 0, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(pcore_op_fsync(lp, &p[5].op, 0, false), 0);
	assert_int_equal(pcore_op_exit(lp, &p[6].op, 0, &ex, false), 0);
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		assert_int_equal(p[i].calls, 0);
	assert_int_equal(pcore_loop_turn(lp, true), 7);
	assert_int_equal(p[0].res, -EIO);
	assert_int_equal(p[1].res, -ENOSPC);
	assert_int_equal(p[2].res, -ENOMEM);
	assert_int_equal(p[3].res, -EMFILE);
	assert_int_equal(p[4].res, -ETIMEDOUT);
	assert_int_equal(p[5].res, -EIO);
	assert_int_equal(p[6].res, -ECHILD);
	assert_int_equal(pcore_fault_set("timer:1:EINVAL"), 0);
	assert_int_equal(pcore_op_timer(lp, &p[0].op, PCORE_CLOCK_MONOTONIC, INT64_MAX), 0);
	assert_int_equal(finish(lp, &p[0]), -EINVAL);
	assert_int_equal(pcore_fault_set(""), 0);
}

static void a_fault_makes_the_second_write_short(void **state)
{
	struct pcore_loop *lp = loop_of(state);
	struct probe p = PROBE;
	char buf[32];
	int fds[2];

	make_pipe(fds);
	assert_int_equal(pcore_fault_set("write:2:short=3,read:1:short=2"), 0);
	assert_int_equal(pcore_op_write(lp, &p.op, fds[1], "0123456789", 10, -1), 0);
	assert_int_equal(finish(lp, &p), 10);
	assert_int_equal(pcore_op_write(lp, &p.op, fds[1], "0123456789", 10, -1), 0);
	assert_int_equal(finish(lp, &p), 3);
	assert_int_equal(pcore_op_read(lp, &p.op, fds[0], buf, sizeof(buf), -1), 0);
	assert_int_equal(finish(lp, &p), 2);
	assert_int_equal(pcore_op_read(lp, &p.op, fds[0], buf, sizeof(buf), -1), 0);
	assert_int_equal(finish(lp, &p), 11);
	assert_int_equal(pcore_fault_set(""), 0);
	close_pair(fds);
}
#endif

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_read_of_a_pipe_gets_what_a_write_put_in),
	cmocka_unit_test(end_of_file_is_a_read_of_zero),
	cmocka_unit_test(a_broken_pipe_is_an_error_and_no_signal),
	cmocka_unit_test(sigpipe_is_as_before_when_the_loop_is_gone),
	cmocka_unit_test(offsets_of_a_regular_file_are_kept),
	cmocka_unit_test(files_without_readiness_are_read_and_written),
	cmocka_unit_test(a_large_write_to_a_file_is_done_in_large_pieces),
	cmocka_unit_test(a_bad_descriptor_is_a_result),
	cmocka_unit_test(the_wrong_end_of_a_pipe_is_an_error),
	cmocka_unit_test(nothing_read_is_zero_at_once),
	cmocka_unit_test(one_descriptor_serves_both_directions),
	cmocka_unit_test(two_reads_of_one_pipe_each_get_a_message),
	cmocka_unit_test(a_full_pipe_in_blocking_mode_does_not_block_the_loop),
	cmocka_unit_test(a_descriptor_in_non_blocking_mode_is_waited_for),
	cmocka_unit_test(terminals_are_read_and_written),
	cmocka_unit_test(a_descriptor_number_can_be_used_again),
	cmocka_unit_test(a_cancelled_read_takes_nothing_from_the_next_file),
	cmocka_unit_test(pending_ops_of_each_kind_can_be_cancelled),
	cmocka_unit_test(a_result_that_has_arrived_survives_a_cancel),
	cmocka_unit_test(cancelling_more_ops_than_the_ring_holds_works),
	cmocka_unit_test(more_completions_than_a_batch_all_arrive),
	cmocka_unit_test(a_thousand_timers_fire_in_order),
	cmocka_unit_test(a_timer_in_the_past_fires_in_the_next_turn),
	cmocka_unit_test(a_timer_that_is_never_due_does_not_disturb_others),
	cmocka_unit_test(boot_time_timers_move_forward_and_back),
	cmocka_unit_test(a_timer_is_not_doubled_by_what_is_started_with_it),
	cmocka_unit_test(a_timer_can_be_started_again_in_its_callback),
	cmocka_unit_test(wall_clock_timers_fire),
	cmocka_unit_test(poll_tells_the_events_that_are_ready),
	cmocka_unit_test(connections_over_loopback_are_made),
	cmocka_unit_test(connections_over_unix_sockets_are_made),
	cmocka_unit_test(a_refused_connection_is_a_result),
	cmocka_unit_test(a_connection_waits_for_room_in_the_backlog),
	cmocka_unit_test(no_socket_no_connection),
	cmocka_unit_test(the_exit_of_a_child_is_told),
	cmocka_unit_test(a_kept_child_stays_a_zombie),
	cmocka_unit_test(the_exit_of_a_stranger_is_no_child),
	cmocka_unit_test(another_thread_wakes_the_loop),
	cmocka_unit_test(wakes_close_together_count_as_one),
	cmocka_unit_test(fsync_writes_a_file_out),
	cmocka_unit_test(a_loop_with_nothing_to_do_returns_at_once),
	cmocka_unit_test(what_a_callback_starts_ends_in_a_later_turn),
	cmocka_unit_test(a_signal_handler_does_not_end_a_turn),
	cmocka_unit_test(many_round_trips_need_no_more_memory),
	cmocka_unit_test(loops_come_and_go),
#ifdef PCORE_FAULTS
	cmocka_unit_test(faults_strike_each_kind),
	cmocka_unit_test(a_fault_makes_the_second_write_short),
#endif
};

static int run_on(enum pcore_loop_backend backend, const char *name)
{
	static struct CMUnitTest group[ARRAY_SIZE(tests)];
	static char names[ARRAY_SIZE(tests)][100];
	struct fixture f = { .backend = backend };

	for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
		snprintf(names[i], sizeof(names[i]), "%s: %s", name, tests[i].name);
		group[i] = (struct CMUnitTest){ names[i], tests[i].test_func, setup, teardown, &f };
	}
	return _cmocka_run_group_tests(name, group, ARRAY_SIZE(tests), NULL, NULL);
}

/* PCORE_LOOP limits the run to one backend. */
int main(void)
{
	const char *only = getenv("PCORE_LOOP");
	struct pcore_loop *lp = NULL;
	int failed = 0, r;

	if (!only || strcmp(only, "uring") == 0) {
		r = pcore_loop_new(&lp, PCORE_LOOP_URING);
		pcore_loop_free(lp);
		if (r == 0)
			failed += run_on(PCORE_LOOP_URING, "uring");
		else
			printf("# SKIP: uring: %s\n", strerror(-r));
	}
	if (!only || strcmp(only, "epoll") == 0)
		failed += run_on(PCORE_LOOP_EPOLL, "epoll");
	return failed != 0;
}
