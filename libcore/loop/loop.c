/* SPDX-License-Identifier: MIT */
/*
 * loop.c - the part of the loop that both backends share: the states of an op, timers, the ready
 * list and its delivery, SIGPIPE, and the kinds made of a poll and a system call (exit, wall,
 * wake).
 *
 * An op is counted in `live` from its start to its delivery. It is linked in at most one place: a
 * backend's list while it is pending, the ready list after that.
 */
#include "libcore/loop/loop.h"

#include <limits.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcore/loop/backend.h"

enum { RW_LEN_MAX = 1 << 30 };

/* So many expired timers are delivered in one go: more would have left the cache before their turn. */
enum { EXPIRED_MAX = 256 };

/*
 * How long until the next attempt where nothing tells when one would succeed: to reap a dead child
 * that a tracer has not released yet (its pidfd is readable all the while), and to connect to a
 * Unix socket whose backlog is full.
 */
static const int64_t RETRY_NS = NS_PER_MS;

const clockid_t pcore_loop_clocks[PCORE_CLOCK_COUNT] = {
	[PCORE_CLOCK_MONOTONIC] = CLOCK_MONOTONIC,
	[PCORE_CLOCK_BOOTTIME] = CLOCK_BOOTTIME,
};

static int backend_make(struct pcore_loop **ret, enum pcore_loop_backend backend)
{
	const struct pcore_backend *be = &pcore_backend_uring;
	int r = -ENOSYS;

	if (backend != PCORE_LOOP_EPOLL)
		r = be->make(ret);
	if (backend == PCORE_LOOP_EPOLL || (backend == PCORE_LOOP_AUTO && r < 0)) {
		be = &pcore_backend_epoll;
		r = be->make(ret);
	}
	if (r < 0)
		return r;

	(*ret)->backend = be;
	return 0;
}

static sigset_t sigpipe_set(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	return set;
}

static void sigpipe_block(struct pcore_loop *lp)
{
	sigset_t set = sigpipe_set(), old, pending;

	sigpending(&pending);
	lp->sigpipe_pending = sigismember(&pending, SIGPIPE) == 1;
	pthread_sigmask(SIG_BLOCK, &set, &old);
	lp->sigpipe_unblock = sigismember(&old, SIGPIPE) == 0;
}

static void sigpipe_restore(const struct pcore_loop *lp)
{
	sigset_t set = sigpipe_set(), pending;
	const struct timespec zero = { 0 };

	sigpending(&pending);
	if (!lp->sigpipe_pending && sigismember(&pending, SIGPIPE) == 1)
		while (sigtimedwait(&set, NULL, &zero) > 0)
			;
	if (lp->sigpipe_unblock)
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int pcore_loop_new(struct pcore_loop **ret, enum pcore_loop_backend backend)
{
	_cleanup_(fd_closep) int wake_fd = -EBADF;
	struct pcore_loop *lp;
	int r;

	assert(ret);

	wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wake_fd < 0)
		return -errno;
	r = backend_make(&lp, backend);
	if (r < 0)
		return r;

	pcore_list_init(&lp->ready);
	lp->wake_fd = TAKE_FD(wake_fd);
	lp->now = pcore_now_ns();
	lp->owner = pthread_self();
	sigpipe_block(lp);
	*ret = lp;
	return 0;
}

void pcore_loop_free(struct pcore_loop *lp)
{
	if (!lp)
		return;
	assert(!lp->delivering);
	assert(lp->live == 0);

	if (lp->wake) {
		pcore_list_del(&lp->wake->link);
		lp->wake->state = PCORE_OP_IDLE;
	}
	assert(pcore_list_empty(&lp->ready));
	for (size_t i = 0; i < PCORE_CLOCK_COUNT; i++)
		pcore_heap_done(&lp->timers[i]);
	pcore_fd_close(lp->wake_fd);
	sigpipe_restore(lp);
	lp->backend->destroy(lp);
}

const char *pcore_loop_name(const struct pcore_loop *lp)
{
	return lp->backend->name;
}

int64_t pcore_loop_now(struct pcore_loop *lp)
{
	return lp->now;
}

int64_t pcore_loop_deadline(const struct pcore_loop *lp, enum pcore_clock clock)
{
	const struct pcore_heap_node *top = pcore_heap_top(&lp->timers[clock]);

	return top ? top->key : INT64_MAX;
}

static int timer_add(struct pcore_loop *lp, struct pcore_op *op, enum pcore_clock clock, int64_t ns)
{
	op->heap.key = ns;
	return pcore_heap_insert(&lp->timers[clock], &op->heap);
}

static int reap(const struct pcore_op *op)
{
	struct pcore_exit *ret = op->arg.exit.ret;
	bool keep = op->arg.exit.keep;
	int options = WEXITED | WNOHANG | __WALL | (keep ? WNOWAIT : 0);
	siginfo_t si = { 0 };

	/* glibc's waitid() has no rusage. */
	if (syscall(SYS_waitid, P_PIDFD, op->fd, &si, options, keep ? NULL : &ret->usage) < 0)
		return -errno;
	if (si.si_pid == 0)
		return -EAGAIN;

	ret->code = si.si_code;
	ret->status = si.si_status;
	return 0;
}

static int timerfd_result(int fd)
{
	uint64_t count;

	if (read(fd, &count, sizeof(count)) >= 0)
		return -ETIME;
	return errno == ECANCELED ? -ESTALE : -errno;
}

/* Fetch what a readable descriptor stands for. */
static int fetch(const struct pcore_loop *lp, const struct pcore_op *op, int res)
{
	uint64_t count;

	switch (op->kind) {
	case PCORE_OP_EXIT:
		return reap(op);
	case PCORE_OP_WALL:
		return timerfd_result(op->fd);
	case PCORE_OP_WAKE:
		return read(lp->wake_fd, &count, sizeof(count)) < 0 && errno != EAGAIN ? -errno : 0;
	case PCORE_OP_NONE:
	case PCORE_OP_READ:
	case PCORE_OP_WRITE:
	case PCORE_OP_POLL:
	case PCORE_OP_ACCEPT:
	case PCORE_OP_CONNECT:
	case PCORE_OP_FSYNC:
	case PCORE_OP_TIMER:
		break;
	}
	return res;
}

static bool is_retried(const struct pcore_op *op)
{
	return op->kind == PCORE_OP_EXIT || op->kind == PCORE_OP_CONNECT;
}

/* ---- calls that both backends make by themselves ---- */

int pcore_loop_rw_plain(const struct pcore_op *op, size_t len)
{
	void *buf = op->arg.rw.buf;
	off_t offset = op->arg.rw.offset;
	ssize_t n;

	do {
		if (op->kind == PCORE_OP_READ)
			n = offset < 0 ? read(op->fd, buf, len) : pread(op->fd, buf, len, offset);
		else
			n = offset < 0 ? write(op->fd, buf, len) : pwrite(op->fd, buf, len, offset);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : (int)n;
}

/* Where nothing better is known, a pipe that has room takes PIPE_BUF bytes without blocking. */
int pcore_loop_rw_polled(const struct pcore_op *op)
{
	bool is_write = op->kind == PCORE_OP_WRITE;
	struct pollfd p = { .fd = op->fd, .events = is_write ? POLLOUT : POLLIN };
	size_t len = op->arg.rw.len;

	if (poll(&p, 1, 0) <= 0)
		return -EAGAIN;
	return pcore_loop_rw_plain(op, is_write && len > PIPE_BUF ? PIPE_BUF : len);
}

void pcore_loop_complete(struct pcore_loop *lp, struct pcore_op *op, int res)
{
	assert(op->state == PCORE_OP_PENDING);

	pcore_list_del(&op->link);
	if (res >= 0)
		res = fetch(lp, op, res);
	if (is_retried(op) && res == -EAGAIN && !op->cancelled) {
		res = timer_add(lp, op, PCORE_CLOCK_MONOTONIC, pcore_now_ns() + RETRY_NS);
		if (res == 0)
			return;
	}
	if (op->cancelled && (res == -EINTR || res == -EAGAIN))
		res = -ECANCELED;
	if (op->kind == PCORE_OP_WALL)
		op->fd = pcore_fd_close(op->fd);

	op->res = res;
	op->state = PCORE_OP_READY;
	pcore_list_add_tail(&lp->ready, &op->link);
}

static bool timers_due(const struct pcore_loop *lp)
{
	for (enum pcore_clock c = 0; c < PCORE_CLOCK_COUNT; c++) {
		int64_t deadline = pcore_loop_deadline(lp, c);

		if (deadline != INT64_MAX && deadline <= pcore_clock_ns(pcore_loop_clocks[c]))
			return true;
	}
	return false;
}

static void timer_expired(struct pcore_loop *lp, struct pcore_op *op)
{
	int r = -ETIME;

	if (is_retried(op))
		r = lp->backend->start(lp, op);
	if (r < 0)
		pcore_loop_complete(lp, op, r);
}

static void collect_timers(struct pcore_loop *lp)
{
	for (enum pcore_clock c = 0; c < PCORE_CLOCK_COUNT; c++) {
		struct pcore_heap *heap = &lp->timers[c];
		struct pcore_heap_node *top = pcore_heap_top(heap);
		int64_t now = lp->now;
		unsigned n = 0;

		if (top && c != PCORE_CLOCK_MONOTONIC)
			now = pcore_clock_ns(pcore_loop_clocks[c]);
		for (; top && top->key != INT64_MAX && top->key <= now && n < EXPIRED_MAX; top = pcore_heap_top(heap), n++) {
			struct pcore_op *op = container_of(top, struct pcore_op, heap);

			pcore_heap_remove(heap, top);
			timer_expired(lp, op);
		}
	}
}

/* A wake op goes on waiting before its done() is called, so that this may cancel it. */
static bool wake_again(struct pcore_loop *lp, struct pcore_op *op)
{
	int r;

	if (op->res != 0)
		return false;
	op->state = PCORE_OP_PENDING;
	r = lp->backend->start(lp, op);
	if (r < 0)
		op->res = r;
	return r == 0;
}

static void deliver_op(struct pcore_loop *lp, struct pcore_op *op)
{
	assert(op->state == PCORE_OP_READY);

	if (op != lp->wake) {
		lp->live--;
		op->state = PCORE_OP_IDLE;
	} else if (!wake_again(lp, op)) {
		lp->wake = NULL;
		op->state = PCORE_OP_IDLE;
	}
	op->done(op, op->res);
}

static int deliver(struct pcore_loop *lp)
{
	struct pcore_list batch = PCORE_LIST_INIT(batch);
	struct pcore_list *node;
	int n = 0;

	pcore_list_splice_tail(&batch, &lp->ready);
	lp->delivering = true;
	for (; (node = pcore_list_pop(&batch)); n++)
		deliver_op(lp, container_of(node, struct pcore_op, link));
	lp->delivering = false;
	return n;
}

int pcore_loop_turn(struct pcore_loop *lp, bool wait)
{
	int n = 0;

	assert(lp);
	assert(!lp->delivering);
	assert(pthread_equal(lp->owner, pthread_self()));

	while (n == 0 && (lp->live > 0 || lp->wake)) {
		bool block = wait && pcore_list_empty(&lp->ready) && !timers_due(lp);
		int r = lp->backend->wait(lp, block);

		lp->now = pcore_now_ns();
		collect_timers(lp);
		if (r < 0 && pcore_list_empty(&lp->ready))
			return r;
		n = deliver(lp);
		if (n > 0 && pcore_loop_deadline(lp, PCORE_CLOCK_MONOTONIC) <= lp->now) {
			collect_timers(lp); /* what they want done at once needs no kernel */
			n += deliver(lp);
		}
		if (!wait)
			break;
	}
	return n;
}

int pcore_loop_run(struct pcore_loop *lp)
{
	int r = 0;

	assert(lp);

	while (!lp->stop && lp->live > 0 && r >= 0)
		r = pcore_loop_turn(lp, true);
	lp->stop = false;
	return r < 0 ? r : 0;
}

int pcore_loop_fd(struct pcore_loop *lp)
{
	return lp->backend->descriptor ? lp->backend->descriptor(lp) : -EOPNOTSUPP;
}

void pcore_loop_stop(struct pcore_loop *lp)
{
	lp->stop = true;
}

void pcore_loop_wake(struct pcore_loop *lp)
{
	const uint64_t one = 1;
	ssize_t n;

	/* A full counter is a wake-up that has not been seen yet. */
	do {
		n = write(lp->wake_fd, &one, sizeof(one));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		assert(errno == EAGAIN);
}

static void op_init(struct pcore_loop *lp, struct pcore_op *op, enum pcore_op_kind kind, int fd)
{
	assert(pthread_equal(lp->owner, pthread_self()));
	assert(op->done);
	assert(op->state == PCORE_OP_IDLE);
	assert(!pcore_heap_linked(&op->heap));

	op->kind = kind;
	op->fd = fd;
	op->res = 0;
	op->cancelled = false;
	op->scratch = 0;
	pcore_list_init(&op->link);
}

/* fault is what pcore_fault() said: an error of its is the op's result, not the start's. */
static int op_start(struct pcore_loop *lp, struct pcore_op *op, int fault)
{
	int r = 0;

	op->state = PCORE_OP_PENDING;
	lp->live++;
	if (fault < 0)
		pcore_loop_complete(lp, op, fault);
	else
		r = lp->backend->start(lp, op);
	if (r < 0) {
		op->state = PCORE_OP_IDLE;
		lp->live--;
	}
	return r;
}

int pcore_op_read(
	struct pcore_loop *lp, struct pcore_op *op, int fd, void *buf, size_t len, int64_t offset)
{
	assert(buf || len == 0);
	assert(offset >= -1);

	op_init(lp, op, PCORE_OP_READ, fd);
	op->arg.rw.buf = buf;
	op->arg.rw.len = len < RW_LEN_MAX ? len : RW_LEN_MAX;
	op->arg.rw.offset = offset;
	return op_start(lp, op, pcore_fault("read", &op->arg.rw.len));
}

int pcore_op_write(struct pcore_loop *lp, struct pcore_op *op, int fd, const void *buf, size_t len,
	int64_t offset)
{
	assert(buf || len == 0);
	assert(offset >= -1);

	op_init(lp, op, PCORE_OP_WRITE, fd);
	op->arg.rw.buf = (void *)(uintptr_t)buf;
	op->arg.rw.len = len < RW_LEN_MAX ? len : RW_LEN_MAX;
	op->arg.rw.offset = offset;
	return op_start(lp, op, pcore_fault("write", &op->arg.rw.len));
}

int pcore_op_poll(struct pcore_loop *lp, struct pcore_op *op, int fd, unsigned events)
{
	op_init(lp, op, PCORE_OP_POLL, fd);
	op->arg.events = events;
	return op_start(lp, op, pcore_fault("poll", NULL));
}

int pcore_op_accept(struct pcore_loop *lp, struct pcore_op *op, int fd)
{
	op_init(lp, op, PCORE_OP_ACCEPT, fd);
	return op_start(lp, op, pcore_fault("accept", NULL));
}

int pcore_op_connect(struct pcore_loop *lp, struct pcore_op *op, int fd,
	const struct sockaddr *addr, socklen_t len)
{
	assert(addr);

	op_init(lp, op, PCORE_OP_CONNECT, fd);
	op->arg.connect.addr = addr;
	op->arg.connect.len = len;
	return op_start(lp, op, pcore_fault("connect", NULL));
}

int pcore_op_fsync(struct pcore_loop *lp, struct pcore_op *op, int fd, bool datasync)
{
	op_init(lp, op, PCORE_OP_FSYNC, fd);
	op->arg.datasync = datasync;
	return op_start(lp, op, pcore_fault("fsync", NULL));
}

int pcore_op_exit(
	struct pcore_loop *lp, struct pcore_op *op, int pidfd, struct pcore_exit *ret, bool keep)
{
	assert(ret);

	op_init(lp, op, PCORE_OP_EXIT, pidfd);
	op->arg.exit.ret = ret;
	op->arg.exit.keep = keep;
	return op_start(lp, op, pcore_fault("exit", NULL));
}

int pcore_op_timer(
	struct pcore_loop *lp, struct pcore_op *op, enum pcore_clock clock, int64_t deadline_ns)
{
	int fault, r;

	assert(clock < PCORE_CLOCK_COUNT);

	op_init(lp, op, PCORE_OP_TIMER, -EBADF);
	op->arg.clock = clock;
	fault = pcore_fault("timer", NULL);
	if (fault < 0)
		return op_start(lp, op, fault);
	r = timer_add(lp, op, clock, deadline_ns);
	if (r < 0)
		return r;

	op->state = PCORE_OP_PENDING;
	lp->live++;
	return 0;
}

int pcore_op_wall(struct pcore_loop *lp, struct pcore_op *op, int64_t realtime_ns)
{
	_cleanup_(fd_closep) int fd = -EBADF;
	struct itimerspec when = { 0 };
	int r;

	if (realtime_ns < 1) /* all zero would disarm it */
		realtime_ns = 1;
	when.it_value.tv_sec = realtime_ns / NS_PER_S;
	when.it_value.tv_nsec = realtime_ns % NS_PER_S;
	fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when, NULL) < 0)
		return -errno;

	op_init(lp, op, PCORE_OP_WALL, fd);
	r = op_start(lp, op, 0);
	if (r < 0)
		return r;
	TAKE_FD(fd);
	return 0;
}

int pcore_op_wake(struct pcore_loop *lp, struct pcore_op *op)
{
	int r;

	assert(!lp->wake);

	op_init(lp, op, PCORE_OP_WAKE, lp->wake_fd);
	op->state = PCORE_OP_PENDING;
	r = lp->backend->start(lp, op);
	if (r < 0) {
		op->state = PCORE_OP_IDLE;
		return r;
	}
	lp->wake = op;
	return 0;
}

static void cancel_pending(struct pcore_loop *lp, struct pcore_op *op)
{
	enum pcore_clock clock = op->kind == PCORE_OP_TIMER ? op->arg.clock : PCORE_CLOCK_MONOTONIC;

	if (op->cancelled)
		return;
	op->cancelled = true;
	if (pcore_heap_linked(&op->heap)) { /* a timer, or what is_retried() */
		pcore_heap_remove(&lp->timers[clock], &op->heap);
		pcore_loop_complete(lp, op, -ECANCELED);
	} else {
		lp->backend->cancel(lp, op);
	}
}

void pcore_op_cancel(struct pcore_loop *lp, struct pcore_op *op)
{
	assert(pthread_equal(lp->owner, pthread_self()));

	switch (op->state) {
	case PCORE_OP_IDLE:
		break;
	case PCORE_OP_PENDING:
		cancel_pending(lp, op);
		break;
	case PCORE_OP_READY:
		if (op == lp->wake) /* else it would go on */
			op->res = -ECANCELED;
		break;
	}
}
