/* SPDX-License-Identifier: MIT */
/*
 * uring.c - the loop on io_uring: one io_uring_enter() a turn submits what was started and waits.
 *
 * The user data of a request is its op, or one of the tags below. Every request gives exactly one
 * completion. The earliest monotonic deadline is the wait's own timeout; the earliest one on the
 * boot-time clock is a request, which is only ever moved forward: one that turns out too early
 * wakes us for nothing, once.
 */
#include <sys/stat.h>
#include <unistd.h>
#include <liburing.h>
#include <poll.h>

#include "libcore/loop/backend.h"

enum { SQ_ENTRIES = 64, CQ_ENTRIES = 256 };

enum { TAG_NONE, TAG_BOOTTIME };

/* In op->scratch, above the position of the op's request: the op's descriptor is polled first. */
#define POLLING (UINT64_C(1) << 63)

struct uring {
	struct pcore_loop lp;
	struct io_uring ring;
	uint64_t prepared; /* requests taken from the ring so far; the next one's position */
	size_t inflight;   /* of these, without a completion yet */
	struct pcore_list cancels; /* ops to cancel that found the ring full */
	struct __kernel_timespec boottime;
	int64_t boottime_armed;
};

static struct uring *uring_of(struct pcore_loop *lp)
{
	return container_of(lp, struct uring, lp);
}

static int ring_init(struct io_uring *ring)
{
	static const unsigned flags[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL,
		0,
	};
	int r = -EINVAL;

	for (size_t i = 0; i < ARRAY_SIZE(flags) && r == -EINVAL; i++) {
		struct io_uring_params params = {
			.flags = flags[i] | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE,
			.cq_entries = CQ_ENTRIES,
		};

		r = io_uring_queue_init_params(SQ_ENTRIES, ring, &params);
	}
	if (r < 0)
		return r;
	if (!(ring->features & IORING_FEAT_EXT_ARG)) {
		io_uring_queue_exit(ring);
		return -ENOSYS;
	}
	return 0;
}

static int uring_make(struct pcore_loop **ret)
{
	struct uring *u = calloc(1, sizeof(*u));
	int r;

	if (!u)
		return -ENOMEM;
	r = ring_init(&u->ring);
	if (r < 0) {
		free(u);
		return r;
	}
	pcore_list_init(&u->cancels);
	u->boottime_armed = INT64_MAX;
	*ret = &u->lp;
	return 0;
}

static void uring_destroy(struct pcore_loop *lp)
{
	struct uring *u = uring_of(lp);

	io_uring_queue_exit(&u->ring);
	free(u);
}

static struct io_uring_sqe *take_sqe(struct uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (!sqe) {
		io_uring_submit(&u->ring);
		sqe = io_uring_get_sqe(&u->ring);
	}
	if (sqe) {
		u->prepared++;
		u->inflight++;
	}
	return sqe;
}

/* What a descriptor must be ready for before op can go on. */
static unsigned poll_events(const struct pcore_op *op)
{
	if (op->kind == PCORE_OP_POLL)
		return op->arg.events;
	return op->kind == PCORE_OP_WRITE ? POLLOUT : POLLIN;
}

static void prepare(struct io_uring_sqe *sqe, const struct pcore_op *op)
{
	unsigned len = (unsigned)op->arg.rw.len;

	switch (op->kind) {
	case PCORE_OP_READ:
		io_uring_prep_read(sqe, op->fd, op->arg.rw.buf, len, (uint64_t)op->arg.rw.offset);
		break;
	case PCORE_OP_WRITE:
		io_uring_prep_write(sqe, op->fd, op->arg.rw.buf, len, (uint64_t)op->arg.rw.offset);
		break;
	case PCORE_OP_ACCEPT:
		io_uring_prep_accept(sqe, op->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		break;
	case PCORE_OP_CONNECT:
		io_uring_prep_connect(sqe, op->fd, op->arg.connect.addr, op->arg.connect.len);
		break;
	case PCORE_OP_FSYNC:
		io_uring_prep_fsync(sqe, op->fd, op->arg.datasync ? IORING_FSYNC_DATASYNC : 0);
		break;
	case PCORE_OP_POLL:
	case PCORE_OP_EXIT:
	case PCORE_OP_WALL:
	case PCORE_OP_WAKE:
		io_uring_prep_poll_add(sqe, op->fd, poll_events(op));
		break;
	case PCORE_OP_NONE:
	case PCORE_OP_TIMER:
		assert(false); /* these ask nothing of the kernel */
	}
}

static int submit(struct uring *u, struct pcore_op *op, bool poll)
{
	struct io_uring_sqe *sqe = take_sqe(u);

	if (!sqe)
		return -EBUSY;
	if (poll)
		io_uring_prep_poll_add(sqe, op->fd, poll_events(op));
	else
		prepare(sqe, op);
	io_uring_sqe_set_data(sqe, op);
	op->scratch = (u->prepared - 1) | (poll ? POLLING : 0);
	return 0;
}

/* Before 6.4 the kernel waits for a pipe even when there is nothing to read or write; the call itself never does. */
static int uring_start(struct pcore_loop *lp, struct pcore_op *op)
{
	if ((op->kind == PCORE_OP_READ || op->kind == PCORE_OP_WRITE) && op->arg.rw.len == 0) {
		pcore_loop_complete(lp, op, pcore_loop_rw_plain(op, 0));
		return 0;
	}
	return submit(uring_of(lp), op, false);
}

static int submit_cancel(struct uring *u, struct pcore_op *op)
{
	struct io_uring_sqe *sqe = take_sqe(u);

	if (!sqe)
		return -EBUSY;
	io_uring_prep_cancel64(sqe, (uint64_t)(uintptr_t)op, 0);
	io_uring_sqe_set_data64(sqe, TAG_NONE);
	return 0;
}

/*
 * A request that the kernel has not seen yet becomes an empty one: the caller may close the
 * descriptor as soon as it has cancelled, and the request must not find another file under that
 * number.
 */
static void uring_cancel(struct pcore_loop *lp, struct pcore_op *op)
{
	struct uring *u = uring_of(lp);
	uint64_t position = op->scratch & ~POLLING;

	if (position >= u->prepared - io_uring_sq_ready(&u->ring)) {
		struct io_uring_sqe *sqe = &u->ring.sq.sqes[position & *u->ring.sq.kring_mask];

		io_uring_prep_nop(sqe);
		io_uring_sqe_set_data64(sqe, TAG_NONE);
		pcore_loop_complete(lp, op, -ECANCELED);
		return;
	}
	if (submit_cancel(u, op) < 0)
		pcore_list_add_tail(&u->cancels, &op->link);
}

static void retry_cancels(struct uring *u)
{
	PCORE_LIST_FOREACH_SAFE(node, &u->cancels) {
		if (submit_cancel(u, container_of(node, struct pcore_op, link)) < 0)
			break;
		pcore_list_del(node);
	}
}

static int arm_boottime(struct uring *u)
{
	int64_t deadline = pcore_loop_deadline(&u->lp, PCORE_CLOCK_BOOTTIME);
	struct io_uring_sqe *sqe;

	if (deadline >= u->boottime_armed)
		return 0;
	sqe = take_sqe(u);
	if (!sqe)
		return -EBUSY;

	u->boottime.tv_sec = deadline / NS_PER_S;
	u->boottime.tv_nsec = deadline % NS_PER_S;
	if (u->boottime_armed == INT64_MAX) {
		io_uring_prep_timeout(
			sqe, &u->boottime, 0, IORING_TIMEOUT_ABS | IORING_TIMEOUT_BOOTTIME);
		io_uring_sqe_set_data64(sqe, TAG_BOOTTIME);
	} else {
		io_uring_prep_timeout_update(sqe, &u->boottime, TAG_BOOTTIME, IORING_TIMEOUT_ABS);
		io_uring_sqe_set_data64(sqe, TAG_NONE);
	}
	u->boottime_armed = deadline;
	return 0;
}

/*
 * The kernel hands what it cannot do at once to a thread. Where it cannot make one (RLIMIT_NPROC), it says ECANCELED,
 * which nobody has asked for: then the call is made here.
 */
static bool by_hand(struct uring *u, struct pcore_op *op, int *res)
{
	struct stat st;

	if (op->kind == PCORE_OP_FSYNC)
		*res = (op->arg.datasync ? fdatasync(op->fd) : fsync(op->fd)) < 0 ? -errno : 0;
	else if (fstat(op->fd, &st) == 0 && S_ISREG(st.st_mode))
		*res = pcore_loop_rw_plain(op, op->arg.rw.len);
	else
		*res = pcore_loop_rw_polled(op);
	return *res == -EAGAIN && submit(u, op, true) == 0;
}

static bool was_refused(const struct pcore_op *op, int res)
{
	return res == -ECANCELED && !op->cancelled &&
	       (op->kind == PCORE_OP_READ || op->kind == PCORE_OP_WRITE || op->kind == PCORE_OP_FSYNC);
}

/* Descriptors that others put into non-blocking mode can say EAGAIN even here. */
static bool goes_on(struct uring *u, struct pcore_op *op, int *res)
{
	bool polled = op->scratch & POLLING;
	bool again = *res == -EAGAIN && (op->kind == PCORE_OP_READ || op->kind == PCORE_OP_WRITE ||
						op->kind == PCORE_OP_ACCEPT);
	int r;

	if (was_refused(op, *res))
		return by_hand(u, op, res);
	if (op->cancelled || !(again || (polled && *res >= 0))) {
		if (polled && *res >= 0)
			*res = -ECANCELED;
		return false;
	}
	r = submit(u, op, !polled);
	if (r < 0)
		*res = r;
	return r == 0;
}

static void on_completion(struct uring *u, uint64_t data, int res)
{
	struct pcore_op *op;

	u->inflight--;
	if (data == TAG_NONE)
		return;
	if (data == TAG_BOOTTIME) {
		u->boottime_armed = INT64_MAX;
		return;
	}
	op = (struct pcore_op *)(uintptr_t)data;
	if (!goes_on(u, op, &res))
		pcore_loop_complete(&u->lp, op, res);
}

static unsigned reap_completions(struct uring *u)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	io_uring_for_each_cqe(&u->ring, head, cqe) {
		on_completion(u, cqe->user_data, cqe->res);
		n++;
	}
	io_uring_cq_advance(&u->ring, n);
	return n;
}

static int submit_and_wait(struct uring *u)
{
	int64_t deadline = pcore_loop_deadline(&u->lp, PCORE_CLOCK_MONOTONIC);
	struct __kernel_timespec ts;
	struct io_uring_cqe *cqe;
	int64_t left;

	if (deadline == INT64_MAX)
		return io_uring_submit_and_wait(&u->ring, 1);
	left = deadline - pcore_now_ns();
	if (left < 0)
		left = 0;
	ts.tv_sec = left / NS_PER_S;
	ts.tv_nsec = left % NS_PER_S;
	return io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &ts, NULL);
}

static int uring_wait(struct pcore_loop *lp, bool block)
{
	struct uring *u = uring_of(lp);
	int r = 0;

	retry_cancels(u);
	if (block)
		r = arm_boottime(u);
	if (r < 0)
		return r;
	if (block)
		r = submit_and_wait(u);
	else if (u->inflight > 0)
		r = io_uring_submit_and_get_events(&u->ring);

	if (reap_completions(u) > 0 || r == -EINTR || r == -ETIME)
		return 0;
	return r < 0 ? r : 0;
}

const struct pcore_backend pcore_backend_uring = {
	.name = "uring",
	.make = uring_make,
	.destroy = uring_destroy,
	.start = uring_start,
	.cancel = uring_cancel,
	.wait = uring_wait,
};
