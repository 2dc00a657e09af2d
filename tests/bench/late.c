/* SPDX-License-Identifier: MIT */
/*
 * late - how late a timer wakes its sleeper. Usage: late floor|loop|boottime MICROSECONDS N
 *
 *   floor     io_uring alone: a timeout at an absolute time of the monotonic clock
 *   loop      a timer of the library's loop, on that clock
 *   boottime  the same on the boot-time clock, which is what ptimer's are
 *
 * Sleeps N times to times that lie so many microseconds apart, and prints the median, the 99th percentile and the maximum of
 * how much later it was then, in microseconds.
 */
#include <liburing.h>

#include "libcore/loop/loop.h"
#include "tests/bench/bench.h"

static int64_t *late;
static unsigned n_late, n_wanted;
static int64_t due, period;

/* It is so late. False: that was the last one. */
static bool woken(int64_t now)
{
	late[n_late++] = now - due;
	while (due <= now)
		due += period;
	return n_late < n_wanted;
}

static void sleep_in_ring(void)
{
	struct __kernel_timespec ts;
	struct io_uring_cqe *cqe;
	struct io_uring ring;

	errno = -io_uring_queue_init(8, &ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	if (errno)
		die("io_uring_queue_init");
	due = now_ns() + period;
	do {
		ts.tv_sec = due / 1000000000;
		ts.tv_nsec = due % 1000000000;
		io_uring_prep_timeout(io_uring_get_sqe(&ring), &ts, 0, IORING_TIMEOUT_ABS);
		io_uring_submit_and_wait(&ring, 1);
		errno = -io_uring_wait_cqe(&ring, &cqe);
		if (errno)
			die("io_uring_wait_cqe");
		io_uring_cqe_seen(&ring, cqe);
	} while (woken(now_ns()));
	io_uring_queue_exit(&ring);
}

static struct pcore_loop *loop;
static enum pcore_clock clock_id;

static int64_t now_of(void)
{
	return pcore_clock_ns(clock_id == PCORE_CLOCK_MONOTONIC ? CLOCK_MONOTONIC : CLOCK_BOOTTIME);
}

static void fired(struct pcore_op *op, int res)
{
	int64_t now = now_of();

	if (res == -ETIME && woken(now) && pcore_op_timer(loop, op, clock_id, due) < 0)
		die("pcore_op_timer");
}

static void sleep_in_loop(void)
{
	struct pcore_op op = { .done = fired };

	if (pcore_loop_new(&loop, PCORE_LOOP_AUTO) < 0)
		die("pcore_loop_new");
	due = now_of() + period;
	if (pcore_op_timer(loop, &op, clock_id, due) < 0 || pcore_loop_run(loop) < 0)
		die("pcore_loop_run");
	pcore_loop_free(loop);
}

int main(int argc, char **argv)
{
	const char *how = argc == 4 ? argv[1] : "";

	if (argc != 4 || (strcmp(how, "floor") != 0 && strcmp(how, "loop") != 0 && strcmp(how, "boottime") != 0)) {
		fprintf(stderr, "usage: late floor|loop|boottime MICROSECONDS N\n");
		return 125;
	}
	period = (int64_t)number(argv[2], 10000000) * 1000;
	n_wanted = number(argv[3], 1000000);
	late = calloc(n_wanted, sizeof(*late));
	if (!late)
		die("calloc");
	clock_id = how[0] == 'b' ? PCORE_CLOCK_BOOTTIME : PCORE_CLOCK_MONOTONIC;
	if (how[0] == 'f')
		sleep_in_ring();
	else
		sleep_in_loop();
	qsort(late, n_wanted, sizeof(*late), by_value);
	printf("%.3f %.3f %.3f\n", (double)late[n_wanted / 2] / 1000, (double)late[(size_t)n_wanted * 99 / 100] / 1000,
		(double)late[n_wanted - 1] / 1000);
	free(late);
	return 0;
}
