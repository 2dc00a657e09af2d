/* SPDX-License-Identifier: MIT */
/*
 * loop.h - the completion loop: a caller starts an operation and is told of its result.
 *
 * An operation is a struct pcore_op that lives inside the object it serves. From its start until its done() is called
 * the op and everything it points to belongs to the loop (the kernel may read or write it at any time), so the object
 * that embeds it must not be freed. Completions are collected first and delivered afterwards, from pcore_loop_turn()
 * only: done() is never called from within a pcore_op_*() function, and it may start any operation, the same op included.
 *
 * Two backends do the work, io_uring and epoll; only uring.c and epoll.c know which. Timers are kept in heaps here and
 * cost the kernel one timeout for the earliest. A loop belongs to the thread that made it; pcore_loop_wake() is the only
 * function that another thread may call. While a loop exists SIGPIPE is blocked in its thread.
 *
 * States of an op:  IDLE -start-> PENDING -result-> READY -done()-> IDLE; a cancelled op goes through READY as well.
 */
#ifndef PCORE_LOOP_H
#define PCORE_LOOP_H

#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "libcore/base/base.h"

struct pcore_loop;
struct pcore_op;

enum pcore_loop_backend { PCORE_LOOP_AUTO, PCORE_LOOP_URING, PCORE_LOOP_EPOLL };

enum pcore_op_kind {
	PCORE_OP_NONE,
	PCORE_OP_READ,
	PCORE_OP_WRITE,
	PCORE_OP_POLL,
	PCORE_OP_ACCEPT,
	PCORE_OP_CONNECT,
	PCORE_OP_FSYNC,
	PCORE_OP_EXIT,
	PCORE_OP_TIMER,
	PCORE_OP_WALL,
	PCORE_OP_WAKE,
};

enum pcore_op_state { PCORE_OP_IDLE, PCORE_OP_PENDING, PCORE_OP_READY };

/* Timers of these two clocks; wall-clock time has pcore_op_wall(). */
enum pcore_clock { PCORE_CLOCK_MONOTONIC, PCORE_CLOCK_BOOTTIME, PCORE_CLOCK_COUNT };

/* How a process ended: what waitid() says (code is CLD_EXITED, CLD_KILLED or CLD_DUMPED) and what it used. */
struct pcore_exit {
	int code;
	int status;
	struct rusage usage;
};

typedef void pcore_op_done_fn(struct pcore_op *op, int res);

/* Zero it (or `{ .done = f }`) before the first use. Everything but done is the loop's. */
struct pcore_op {
	pcore_op_done_fn *done;

	enum pcore_op_kind kind;
	enum pcore_op_state state;
	int fd;
	int res;
	bool cancelled;
	struct pcore_list link;	     /* in the loop's ready list, or in a backend's list of waiting ops */
	struct pcore_heap_node heap; /* timers */
	union {
		struct {
			void *buf;
			size_t len;
			int64_t offset;
		} rw;
		unsigned events; /* poll */
		struct {
			const struct sockaddr *addr;
			socklen_t len;
		} connect;
		bool datasync;
		struct {
			struct pcore_exit *ret;
			bool keep;
		} exit;
		enum pcore_clock clock;
	} arg;
	uint64_t scratch; /* a timerfd's or eventfd's count */
};

/* Make a loop. AUTO takes io_uring where the kernel grants it, else epoll; a backend asked for by name is taken or
 * fails with the kernel's -errno. -EMFILE, -ENOMEM. */
int pcore_loop_new(struct pcore_loop **ret, enum pcore_loop_backend backend);

/* Free a loop with no op pending or ready (asserted; the wake op excepted). NULL is fine. */
void pcore_loop_free(struct pcore_loop *lp);

/* "uring" or "epoll". */
const char *pcore_loop_name(const struct pcore_loop *lp);

/* Wait for at least one completion and deliver what there is. With wait false: deliver what is there already.
 * The number delivered, or -errno when the kernel refuses to go on. Returns 0 at once when no op is live. */
int pcore_loop_turn(struct pcore_loop *lp, bool wait);

/* Turn until pcore_loop_stop() or until no op but the wake op is live. 0, or -errno as pcore_loop_turn(). */
int pcore_loop_run(struct pcore_loop *lp);
void pcore_loop_stop(struct pcore_loop *lp);

/* For a loop inside another one: a descriptor that is readable when a turn that does not wait has something to deliver. To be
 * called again after ops were started and after each turn. -EOPNOTSUPP but on epoll. */
int pcore_loop_fd(struct pcore_loop *lp);

/* The clock as read at the start of this turn's deliveries: one reading serves all callbacks of a turn. */
int64_t pcore_loop_now(struct pcore_loop *lp);

/*
 * Start an operation. Each returns 0, or -errno when it could not be started (done() is then not called): -EBUSY when
 * the kernel takes no more, -ENOMEM. The result arrives in done():
 *
 *   read, write   bytes moved (0 is end of file for read), -errno. offset -1 is the file's own position. Short counts
 *                 are normal. A descriptor that is in blocking mode is fine and never blocks the loop (regular files
 *                 excepted); it is never switched to non-blocking mode, because others may share it.
 *                 Writing to a broken pipe is -EPIPE and never raises SIGPIPE.
 *   poll          the events that are ready (POLLIN, POLLOUT, POLLPRI, POLLHUP, POLLERR); once
 *   accept        a new descriptor, close-on-exec and non-blocking
 *   connect       0; addr must live until done
 *   fsync         0; datasync: only what is needed to read the data back. On the epoll backend a helper thread does it.
 *   exit          0 when the process behind pidfd is dead, and *ret filled; the process is reaped unless keep is set,
 *                 with keep it stays a zombie and usage is not filled. -ECHILD when it is not our child (any more).
 *   timer         -ETIME at the deadline (ns on the clock; one in the past fires after the other deliveries of this turn,
 *                 or in the next), INT64_MAX never
 *   wall          -ETIME when CLOCK_REALTIME reaches the deadline, -ESTALE when the clock was set: read it and start again
 *
 * pcore_op_cancel() makes a live op complete with -ECANCELED, unless its result has arrived already; it may be called
 * in any state and does nothing to an idle op. done() is always called, in a later turn.
 */
int pcore_op_read(struct pcore_loop *lp, struct pcore_op *op, int fd, void *buf, size_t len, int64_t offset);
int pcore_op_write(struct pcore_loop *lp, struct pcore_op *op, int fd, const void *buf, size_t len, int64_t offset);
int pcore_op_poll(struct pcore_loop *lp, struct pcore_op *op, int fd, unsigned events);
int pcore_op_accept(struct pcore_loop *lp, struct pcore_op *op, int fd);
int pcore_op_connect(struct pcore_loop *lp, struct pcore_op *op, int fd, const struct sockaddr *addr, socklen_t len);
int pcore_op_fsync(struct pcore_loop *lp, struct pcore_op *op, int fd, bool datasync);
int pcore_op_exit(struct pcore_loop *lp, struct pcore_op *op, int pidfd, struct pcore_exit *ret, bool keep);
int pcore_op_timer(struct pcore_loop *lp, struct pcore_op *op, enum pcore_clock clock, int64_t deadline_ns);
int pcore_op_wall(struct pcore_loop *lp, struct pcore_op *op, int64_t realtime_ns);
void pcore_op_cancel(struct pcore_loop *lp, struct pcore_op *op);

/* Let op->done(op, 0) be called (any number of times, wake-ups that come close together count as one) after
 * pcore_loop_wake(). The op stays PENDING until it is cancelled and does not keep pcore_loop_run() going. One a loop. */
int pcore_op_wake(struct pcore_loop *lp, struct pcore_op *op);

/* Wake the loop from any thread. Never blocks. */
void pcore_loop_wake(struct pcore_loop *lp);

static inline bool pcore_op_live(const struct pcore_op *op)
{
	return op->state != PCORE_OP_IDLE;
}

#endif
