/* SPDX-License-Identifier: MIT */
/*
 * epoll.c - the loop on epoll: wait until a descriptor is ready, then make the system call.
 *
 * A descriptor is armed once (EPOLLONESHOT) for all ops that wait on it, and taken out of the epoll
 * set when the last of them is cancelled, so that no event of a file can arrive after its number
 * was given to another one. Descriptors are never made non-blocking (a connecting socket excepted:
 * it is the caller's own), so a call that could block is made with RWF_NOWAIT or MSG_DONTWAIT, or
 * after poll() has said that it will not. What epoll refuses (EPERM: regular files) is done at
 * once. fsync has a thread of its own, which only touches an op under its lock.
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "libcore/loop/backend.h"

enum { EVENTS_MAX = 64, SLOTS_MIN = 32 };

/* Event data: a descriptor, or one of these. */
enum { TAG_SYNC = -1, TAG_TIMER = -2 }; /* the timer of clock c is TAG_TIMER - c */

/* Calls that do not block, best first; a file that does not know one gets the next. */
enum method { METHOD_NOWAIT, METHOD_SOCKET, METHOD_POLLED };

struct slot {
	struct pcore_list waiting;
	uint32_t armed; /* 0 when nothing waits */
	bool added;     /* to the epoll set, as far as we know: a close takes it out */
	enum method method;
	int mode; /* O_ACCMODE of the file that was added */
};

/* Where an op is with the helper thread; kept in op->scratch. */
enum sync_state { SYNC_QUEUED, SYNC_RUNNING };

struct sync_helper {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct pcore_list queue, finished;
	int done_fd; /* an eventfd, readable when finished is not empty; -EBADF before the first use
		      */
	bool quit;
};

struct epoll {
	struct pcore_loop lp;
	int fd;
	struct slot **slots; /* by descriptor; made on first use */
	size_t n_slots;
	int timer_fds[PCORE_CLOCK_COUNT]; /* made on first use, but for the monotonic one */
	int64_t timers_armed[PCORE_CLOCK_COUNT];
	struct sync_helper sync;
};

static struct epoll *epoll_of(struct pcore_loop *lp)
{
	return container_of(lp, struct epoll, lp);
}

static void sync_stop(struct sync_helper *s)
{
	if (s->done_fd < 0)
		return;
	pthread_mutex_lock(&s->lock);
	s->quit = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	pcore_fd_close(s->done_fd);
}

static void epoll_destroy(struct pcore_loop *lp)
{
	struct epoll *ep = epoll_of(lp);

	sync_stop(&ep->sync);
	for (size_t i = 0; i < PCORE_CLOCK_COUNT; i++)
		pcore_fd_close(ep->timer_fds[i]);
	for (size_t i = 0; i < ep->n_slots; i++)
		free(ep->slots[i]);
	free(ep->slots);
	pcore_fd_close(ep->fd);
	free(ep);
}

static int add_internal(struct epoll *ep, int fd, int tag)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.fd = tag };

	return epoll_ctl(ep->fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

static int make_timer(struct epoll *ep, enum pcore_clock clock)
{
	_cleanup_(fd_closep) int fd = timerfd_create(pcore_loop_clocks[clock], TFD_CLOEXEC | TFD_NONBLOCK);
	int r;

	if (fd < 0)
		return -errno;
	r = add_internal(ep, fd, TAG_TIMER - (int)clock);
	if (r < 0)
		return r;
	ep->timer_fds[clock] = TAKE_FD(fd);
	return 0;
}

static int epoll_make(struct pcore_loop **ret)
{
	struct epoll *ep = calloc(1, sizeof(*ep));
	int r;

	if (!ep)
		return -ENOMEM;
	ep->fd = epoll_create1(EPOLL_CLOEXEC);
	if (ep->fd < 0) {
		r = -errno;
		free(ep);
		return r;
	}
	for (size_t i = 0; i < PCORE_CLOCK_COUNT; i++) {
		ep->timer_fds[i] = -EBADF;
		ep->timers_armed[i] = INT64_MAX;
	}
	ep->sync.done_fd = -EBADF;
	r = make_timer(ep, PCORE_CLOCK_MONOTONIC); /* a loop that waits cannot do without it when descriptors run out */
	if (r < 0) {
		epoll_destroy(&ep->lp);
		return r;
	}
	*ret = &ep->lp;
	return 0;
}

/* fsync */

static void *sync_main(void *arg)
{
	struct sync_helper *s = arg;
	const uint64_t one = 1;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		struct pcore_list *node = pcore_list_pop(&s->queue);
		struct pcore_op *op;
		int r;

		if (!node && s->quit)
			break;
		if (!node) {
			pthread_cond_wait(&s->wake, &s->lock);
			continue;
		}
		op = container_of(node, struct pcore_op, link);
		op->scratch = SYNC_RUNNING;
		pthread_mutex_unlock(&s->lock);
		r = (op->arg.datasync ? fdatasync(op->fd) : fsync(op->fd)) < 0 ? -errno : 0;
		pthread_mutex_lock(&s->lock);
		op->res = r;
		pcore_list_add_tail(&s->finished, node);
		(void)!write(s->done_fd, &one, sizeof(one));
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static int thread_without_signals(pthread_t *ret, void *(*fn)(void *), void *arg)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(ret, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

static int sync_begin(struct epoll *ep)
{
	struct sync_helper *s = &ep->sync;
	_cleanup_(fd_closep) int fd = -EBADF;
	int r;

	if (s->done_fd >= 0)
		return 0;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	r = add_internal(ep, fd, TAG_SYNC);
	if (r < 0)
		return r;

	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->wake, NULL);
	pcore_list_init(&s->queue);
	pcore_list_init(&s->finished);
	s->done_fd = fd;
	r = thread_without_signals(&s->thread, sync_main, s);
	if (r < 0) {
		s->done_fd = -EBADF;
		return r;
	}
	TAKE_FD(fd);
	return 0;
}

static int sync_start(struct epoll *ep, struct pcore_op *op)
{
	struct sync_helper *s = &ep->sync;
	int r;

	r = sync_begin(ep);
	if (r < 0)
		return r;

	pthread_mutex_lock(&s->lock);
	op->scratch = SYNC_QUEUED;
	pcore_list_add_tail(&s->queue, &op->link);
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

static void sync_cancel(struct epoll *ep, struct pcore_op *op)
{
	struct sync_helper *s = &ep->sync;
	bool queued;

	pthread_mutex_lock(&s->lock);
	queued = op->scratch == SYNC_QUEUED;
	if (queued)
		pcore_list_del(&op->link);
	pthread_mutex_unlock(&s->lock);
	if (queued)
		pcore_loop_complete(&ep->lp, op, -ECANCELED);
}

static void sync_collect(struct epoll *ep)
{
	struct sync_helper *s = &ep->sync;
	struct pcore_list finished = PCORE_LIST_INIT(finished);

	pthread_mutex_lock(&s->lock);
	pcore_list_splice_tail(&finished, &s->finished);
	pthread_mutex_unlock(&s->lock);
	PCORE_LIST_FOREACH_SAFE(node, &finished) {
		struct pcore_op *op = container_of(node, struct pcore_op, link);

		pcore_loop_complete(&ep->lp, op, op->res);
	}
}

/* Descriptors */

static int slot_get(struct epoll *ep, int fd, struct slot **ret)
{
	size_t index = (size_t)fd;

	if (index >= ep->n_slots) {
		size_t n = ep->n_slots ? ep->n_slots : SLOTS_MIN;
		struct slot **slots;

		while (n <= index)
			n *= 2;
		slots = reallocarray(ep->slots, n, sizeof(*slots));
		if (!slots)
			return -ENOMEM;
		memset(slots + ep->n_slots, 0, (n - ep->n_slots) * sizeof(*slots));
		ep->slots = slots;
		ep->n_slots = n;
	}
	if (!ep->slots[index]) {
		ep->slots[index] = calloc(1, sizeof(struct slot));
		if (!ep->slots[index])
			return -ENOMEM;
		pcore_list_init(&ep->slots[index]->waiting);
	}
	*ret = ep->slots[index];
	return 0;
}

static uint32_t wanted_events(const struct pcore_op *op)
{
	switch (op->kind) {
	case PCORE_OP_POLL:
		return op->arg.events;
	case PCORE_OP_WRITE:
	case PCORE_OP_CONNECT:
		return EPOLLOUT;
	case PCORE_OP_READ:
	case PCORE_OP_ACCEPT:
	case PCORE_OP_EXIT:
	case PCORE_OP_WALL:
	case PCORE_OP_WAKE:
		return EPOLLIN;
	case PCORE_OP_NONE:
	case PCORE_OP_FSYNC:
	case PCORE_OP_TIMER:
		break;
	}
	assert(false); /* these wait for no descriptor */
}

static int slot_control(struct epoll *ep, struct slot *slot, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events | EPOLLONESHOT, .data.fd = fd };
	int op = slot->added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	int r = epoll_ctl(ep->fd, op, fd, &ev);

	/* The number was closed and given to another file since, or the other way round. */
	if (r < 0 && op == EPOLL_CTL_MOD && errno == ENOENT) {
		op = EPOLL_CTL_ADD;
		r = epoll_ctl(ep->fd, op, fd, &ev);
	} else if (r < 0 && op == EPOLL_CTL_ADD && errno == EEXIST) {
		r = epoll_ctl(ep->fd, EPOLL_CTL_MOD, fd, &ev);
	}
	if (r < 0) {
		slot->added = false;
		return -errno;
	}
	if (op == EPOLL_CTL_ADD) {
		slot->method = METHOD_NOWAIT;
		slot->mode = fcntl(fd, F_GETFL) & O_ACCMODE;
	}
	slot->added = true;
	slot->armed = events;
	return 0;
}

static int slot_arm(struct epoll *ep, struct slot *slot, int fd)
{
	uint32_t events = 0;

	PCORE_LIST_FOREACH_SAFE(node, &slot->waiting) {
		events |= wanted_events(container_of(node, struct pcore_op, link)) | EPOLLERR;
	}
	if (events == slot->armed)
		return 0;
	return slot_control(ep, slot, fd, events);
}

/* Calls on a descriptor: -EAGAIN means wait (on) */

static bool is_ready(int fd, unsigned events)
{
	struct pollfd p = { .fd = fd, .events = (short)events };

	return poll(&p, 1, 0) > 0;
}

static int rw_nowait(const struct pcore_op *op)
{
	struct iovec iov = { op->arg.rw.buf, op->arg.rw.len };
	off_t offset = op->arg.rw.offset;
	ssize_t n;

	if (op->kind == PCORE_OP_READ)
		n = preadv2(op->fd, &iov, 1, offset, RWF_NOWAIT);
	else
		n = pwritev2(op->fd, &iov, 1, offset, RWF_NOWAIT);
	return n < 0 ? -errno : (int)n;
}

static int rw_socket(const struct pcore_op *op)
{
	ssize_t n;

	if (op->kind == PCORE_OP_READ)
		n = recv(op->fd, op->arg.rw.buf, op->arg.rw.len, MSG_DONTWAIT);
	else
		n = send(op->fd, op->arg.rw.buf, op->arg.rw.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	return n < 0 ? -errno : (int)n;
}

static int transfer(struct slot *slot, struct pcore_op *op, bool signalled)
{
	int r;

	if (slot->method == METHOD_NOWAIT) {
		r = rw_nowait(op);
		if (r == -ESPIPE) { /* as io_uring does: an offset means nothing here */
			op->arg.rw.offset = -1;
			r = rw_nowait(op);
		}
		if (r != -EOPNOTSUPP)
			return r;
		slot->method = METHOD_SOCKET;
	}
	if (slot->method == METHOD_SOCKET) {
		r = rw_socket(op);
		if (r != -ENOTSOCK)
			return r;
		slot->method = METHOD_POLLED;
	}
	return signalled ? pcore_loop_rw_polled(op) : -EAGAIN;
}

static int accept_now(int fd)
{
	int r;

	if (!is_ready(fd, POLLIN))
		return -EAGAIN;
	r = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	return r < 0 ? -errno : r;
}

static int connect_begin(const struct pcore_op *op)
{
	int flags = fcntl(op->fd, F_GETFL);

	if (flags < 0)
		return -errno;
	if (!(flags & O_NONBLOCK) && fcntl(op->fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return connect(op->fd, op->arg.connect.addr, op->arg.connect.len) < 0 ? -errno : 0;
}

static int connect_result(int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

/* What epoll refuses to watch never blocks for long. */
static int perform_unwatched(const struct pcore_op *op)
{
	struct pollfd p = { .fd = op->fd, .events = POLLIN };

	switch (op->kind) {
	case PCORE_OP_READ:
	case PCORE_OP_WRITE:
		return pcore_loop_rw_plain(op, op->arg.rw.len);
	case PCORE_OP_POLL:
		p.events = (short)op->arg.events;
		if (poll(&p, 1, 0) < 0)
			return -errno;
		return p.revents;
	case PCORE_OP_ACCEPT:
	case PCORE_OP_CONNECT:
		return -ENOTSOCK;
	case PCORE_OP_NONE:
	case PCORE_OP_FSYNC:
	case PCORE_OP_EXIT:
	case PCORE_OP_TIMER:
	case PCORE_OP_WALL:
	case PCORE_OP_WAKE:
		break;
	}
	return POLLIN;
}

static int perform(struct slot *slot, struct pcore_op *op, uint32_t events)
{
	switch (op->kind) {
	case PCORE_OP_READ:
	case PCORE_OP_WRITE:
		return transfer(slot, op, true);
	case PCORE_OP_ACCEPT:
		return accept_now(op->fd);
	case PCORE_OP_CONNECT:
		return connect_result(op->fd);
	case PCORE_OP_NONE:
	case PCORE_OP_POLL:
	case PCORE_OP_FSYNC:
	case PCORE_OP_EXIT:
	case PCORE_OP_TIMER:
	case PCORE_OP_WALL:
	case PCORE_OP_WAKE:
		break;
	}
	return (int)(events & (wanted_events(op) | EPOLLERR | EPOLLHUP));
}

/* A first attempt, before any waiting: false when there is none or it has to wait. A read waits
 * first, since most often it would come too early; one of nothing never has to. */
static bool perform_at_once(struct slot *slot, struct pcore_op *op, int *ret_res)
{
	int r = -EAGAIN;

	if (op->kind == PCORE_OP_CONNECT) {
		*ret_res = connect_begin(op);
		return *ret_res != -EINPROGRESS;
	}
	if (op->kind == PCORE_OP_WRITE && pcore_list_empty(&slot->waiting))
		r = transfer(slot, op, false);
	else if (op->kind == PCORE_OP_READ && op->arg.rw.len == 0)
		r = pcore_loop_rw_plain(op, 0);
	*ret_res = r;
	return r != -EAGAIN;
}

static void slot_leave(struct epoll *ep, struct slot *slot, struct pcore_op *op)
{
	pcore_list_del(&op->link);
	if (!pcore_list_empty(&slot->waiting) || !slot->armed)
		return;
	epoll_ctl(ep->fd, EPOLL_CTL_DEL, op->fd, NULL);
	slot->added = false;
	slot->armed = 0;
}

/* The wrong end of a pipe would never be ready. */
static bool mode_forbids(const struct slot *slot, const struct pcore_op *op)
{
	return (op->kind == PCORE_OP_READ && slot->mode == O_WRONLY) ||
	       (op->kind == PCORE_OP_WRITE && slot->mode == O_RDONLY);
}

static int wait_for(struct epoll *ep, struct slot *slot, struct pcore_op *op)
{
	int r;

	pcore_list_add_tail(&slot->waiting, &op->link);
	r = slot_arm(ep, slot, op->fd);
	if (r == 0 && mode_forbids(slot, op))
		r = -EBADF;
	if (r == 0)
		return 0;
	slot_leave(ep, slot, op);
	if (r == -ENOMEM || r == -ENOSPC)
		return r;

	pcore_loop_complete(&ep->lp, op, r == -EPERM ? perform_unwatched(op) : r);
	return 0;
}

static int epoll_start(struct pcore_loop *lp, struct pcore_op *op)
{
	struct epoll *ep = epoll_of(lp);
	struct slot *slot;
	int res, r;

	if (op->kind == PCORE_OP_FSYNC)
		return sync_start(ep, op);
	if (op->fd < 0) {
		pcore_loop_complete(lp, op, -EBADF);
		return 0;
	}
	r = slot_get(ep, op->fd, &slot);
	if (r < 0)
		return r;
	if (!perform_at_once(slot, op, &res))
		return wait_for(ep, slot, op);
	pcore_loop_complete(lp, op, res);
	return 0;
}

static void epoll_cancel(struct pcore_loop *lp, struct pcore_op *op)
{
	struct epoll *ep = epoll_of(lp);

	if (op->kind == PCORE_OP_FSYNC) {
		sync_cancel(ep, op);
		return;
	}
	slot_leave(ep, ep->slots[op->fd], op);
	pcore_loop_complete(lp, op, -ECANCELED);
}

static void on_descriptor(struct epoll *ep, int fd, uint32_t events)
{
	struct slot *slot = ep->slots[fd];
	int r;

	slot->armed = 0;
	PCORE_LIST_FOREACH_SAFE(node, &slot->waiting) {
		struct pcore_op *op = container_of(node, struct pcore_op, link);

		if (!(events & (wanted_events(op) | EPOLLERR | EPOLLHUP)))
			continue;
		r = perform(slot, op, events);
		if (r != -EAGAIN)
			pcore_loop_complete(&ep->lp, op, r);
	}
	r = slot_arm(ep, slot, fd);
	if (r == 0)
		return;
	PCORE_LIST_FOREACH_SAFE(node, &slot->waiting) {
		pcore_loop_complete(&ep->lp, container_of(node, struct pcore_op, link), r);
	}
}

static int arm_timer(struct epoll *ep, enum pcore_clock clock)
{
	int64_t deadline = pcore_loop_deadline(&ep->lp, clock);
	struct itimerspec when = { 0 };
	int r;

	if (deadline >= ep->timers_armed[clock])
		return 0;
	r = ep->timer_fds[clock] < 0 ? make_timer(ep, clock) : 0;
	if (r < 0)
		return r;
	when.it_value.tv_sec = deadline / NS_PER_S;
	when.it_value.tv_nsec = deadline % NS_PER_S;
	if (timerfd_settime(ep->timer_fds[clock], TFD_TIMER_ABSTIME, &when, NULL) < 0)
		return -errno;
	ep->timers_armed[clock] = deadline;
	return 0;
}

static int arm_timers(struct epoll *ep)
{
	int r = 0;

	for (enum pcore_clock c = 0; c < PCORE_CLOCK_COUNT && r == 0; c++)
		r = arm_timer(ep, c);
	return r;
}

/* What is ready already is a timer that is over. */
static int epoll_descriptor(struct pcore_loop *lp)
{
	struct itimerspec at_once = { .it_value.tv_nsec = 1 };
	struct epoll *ep = epoll_of(lp);
	int r = arm_timers(ep);

	if (r < 0)
		return r;
	if (!pcore_list_empty(&lp->ready)) {
		if (timerfd_settime(ep->timer_fds[PCORE_CLOCK_MONOTONIC], 0, &at_once, NULL) < 0)
			return -errno;
		ep->timers_armed[PCORE_CLOCK_MONOTONIC] = 0;
	}
	return ep->fd;
}

static int epoll_wait_turn(struct pcore_loop *lp, bool block)
{
	struct epoll *ep = epoll_of(lp);
	struct epoll_event events[EVENTS_MAX];
	int n, r = 0;

	if (block)
		r = arm_timers(ep);
	if (r < 0)
		return r;
	n = epoll_wait(ep->fd, events, EVENTS_MAX, block ? -1 : 0);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;

	for (int i = 0; i < n; i++) {
		int tag = events[i].data.fd;

		if (tag >= 0)
			on_descriptor(ep, tag, events[i].events);
		else if (tag == TAG_SYNC)
			sync_collect(ep);
		else
			ep->timers_armed[TAG_TIMER - tag] = INT64_MAX;
	}
	return 0;
}

const struct pcore_backend pcore_backend_epoll = {
	.name = "epoll",
	.make = epoll_make,
	.destroy = epoll_destroy,
	.start = epoll_start,
	.cancel = epoll_cancel,
	.wait = epoll_wait_turn,
	.descriptor = epoll_descriptor,
};
