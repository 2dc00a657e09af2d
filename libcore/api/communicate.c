/* SPDX-License-Identifier: MIT */
/*
 * communicate.c - both ends of a process's pipes at once, and the run of a command from its start to its end.
 *
 * What is read is kept in the handle until all is there, so that a time-out loses nothing. Whoever holds a pipe open after
 * the command has ended has LINGER_NS to say something: nobody waits for a daemon.
 */
#include "libcore/api/api.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LINGER_NS (100 * NS_PER_MS)

enum { READ_SIZE = 64 * 1024 };

int pcore_process_pipe(const struct pcore_process *p, int which)
{
	return which < 0 || which > 2 ? -EBADF : p->pipes[which];
}

int pcore_process_close(struct pcore_process *p, int which)
{
	if (which < 0 || which > 2 || p->pipes[which] < 0)
		return -EBADF;
	p->pipes[which] = pcore_fd_close(p->pipes[which]);
	return 0;
}

/* As much as the pipe takes. How much, 0 when it is full, -errno. */
static ssize_t write_some(int fd, const void *data, size_t size)
{
	ssize_t n = write(fd, data, size);

	if (n >= 0)
		return n;
	return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

static int write_all(int fd, const char *data, size_t size, int64_t deadline)
{
	while (size > 0) {
		struct pollfd room = { .fd = fd, .events = POLLOUT };
		ssize_t n = write_some(fd, data, size);

		if (n < 0)
			return (int)n;
		data += n;
		size -= (size_t)n;
		if (n > 0)
			continue;
		n = pcore_poll_until(&room, 1, deadline);
		if (n <= 0)
			return n < 0 ? (int)n : -ETIMEDOUT;
	}
	return 0;
}

int pcore_process_write(struct pcore_process *p, const void *data, size_t size, int64_t timeout)
{
	struct pcore_sigpipe held;
	int r;

	if (!p || (!data && size > 0))
		return -EINVAL;
	if (p->pipes[0] < 0)
		return -EBADF;

	pcore_sigpipe_hold(&held);
	r = write_all(p->pipes[0], data, size, pcore_deadline(timeout));
	pcore_sigpipe_let(&held);
	return r;
}

ssize_t pcore_process_read(struct pcore_process *p, int which, void *buf, size_t size, int64_t timeout)
{
	int64_t deadline = pcore_deadline(timeout);

	if (!p || !buf || which < 1 || which > 2)
		return -EINVAL;
	if (p->pipes[which] < 0)
		return -EBADF;
	for (;;) {
		struct pollfd there = { .fd = p->pipes[which], .events = POLLIN };
		ssize_t n = read(p->pipes[which], buf, size);

		if (n >= 0)
			return n;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		n = pcore_poll_until(&there, 1, deadline);
		if (n <= 0)
			return n < 0 ? n : -ETIMEDOUT;
	}
}

/* ---- all three at once ---- */

static void feed(struct pcore_process *p)
{
	ssize_t n = p->input_size > 0 ? write_some(p->pipes[0], p->input, p->input_size) : 0;

	if (n > 0) {
		p->input += n;
		p->input_size -= (size_t)n;
	}
	if (n < 0 || p->input_size == 0) /* who does not read his input does not want it */
		(void)pcore_process_close(p, 0);
}

/* One read. 0 also when there is nothing now, -EMSGSIZE, -errno. */
static int drink(struct pcore_process *p, int which, size_t at_most)
{
	struct pcore_buf *b = &p->output[which - 1];
	int r = pcore_buf_reserve(b, at_most);
	ssize_t n;

	if (r < 0)
		return r;
	n = read(p->pipes[which], b->data + b->len, at_most);
	if (n > 0)
		b->len += (size_t)n;
	if (p->output_max > 0 && b->len > p->output_max)
		return -EMSGSIZE;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		r = n < 0 ? -errno : 0;
		(void)pcore_process_close(p, which);
	}
	return r;
}

/* Nobody waits any longer for those who hold it: what is there is taken. */
static int finish(struct pcore_process *p, int which)
{
	int there = 0, r = 0;

	if (p->pipes[which] < 0)
		return 0;
	(void)ioctl(p->pipes[which], FIONREAD, &there);
	if (there > 0)
		r = drink(p, which, (size_t)there);
	(void)pcore_process_close(p, which);
	return r;
}

int pcore_talk_poll(struct pcore_process *p, struct pollfd fds[static TALK_FDS], int64_t *until)
{
	bool ended = pcore_process_reap(p) != -EAGAIN;
	int r = 0;

	if (ended && p->pipes[0] >= 0)
		(void)pcore_process_close(p, 0);
	if (ended && p->linger_until == 0)
		p->linger_until = pcore_now_ns() + LINGER_NS;
	if (ended && pcore_now_ns() >= p->linger_until) {
		r = finish(p, 1);
		r = r < 0 ? r : finish(p, 2);
	}
	if (r < 0 || (ended && p->pipes[1] < 0 && p->pipes[2] < 0))
		return r < 0 ? r : 1;
	if (ended && p->linger_until < *until)
		*until = p->linger_until;
	fds[0] = (struct pollfd){ .fd = p->pipes[0], .events = POLLOUT };
	fds[1] = (struct pollfd){ .fd = p->pipes[1], .events = POLLIN };
	fds[2] = (struct pollfd){ .fd = p->pipes[2], .events = POLLIN };
	fds[3] = (struct pollfd){ .fd = ended ? -1 : p->pidfd, .events = POLLIN };
	return 0;
}

int pcore_talk_step(struct pcore_process *p, const struct pollfd fds[static TALK_FDS])
{
	int r;

	if (fds[0].revents)
		feed(p);
	r = fds[1].revents ? drink(p, 1, READ_SIZE) : 0;
	return r == 0 && fds[2].revents ? drink(p, 2, READ_SIZE) : r;
}

/* Wait for something to do, and do it. 0, 1 when all is done, -ETIMEDOUT, -errno. */
static int talk(struct pcore_process *p, int64_t deadline)
{
	struct pollfd fds[TALK_FDS];
	int64_t until = deadline;
	int r = pcore_talk_poll(p, fds, &until);

	if (r != 0)
		return r;
	r = pcore_poll_until(fds, TALK_FDS, until);
	if (r < 0 || (r == 0 && until == deadline))
		return r < 0 ? r : -ETIMEDOUT;
	return pcore_talk_step(p, fds);
}

void pcore_talk_begin(struct pcore_process *p, const void *input, size_t size)
{
	if (p->talking)
		return;
	p->talking = true;
	p->input = input;
	p->input_size = size;
	if (p->pipes[0] >= 0 && size == 0)
		(void)pcore_process_close(p, 0);
}

static int talk_to_the_end(struct pcore_process *p, int64_t deadline)
{
	struct pcore_sigpipe held;
	int r = 0;

	pcore_sigpipe_hold(&held);
	while (r == 0)
		r = talk(p, deadline);
	pcore_sigpipe_let(&held);
	return r < 0 ? r : 0;
}

/* The output changes hands. */
static int take_output(struct pcore_process *p, struct pcore_process_result *r)
{
	for (int i = 0; i < 2; i++) {
		int error = p->output[i].data ? pcore_buf_terminate(&p->output[i]) : 0;

		if (error < 0)
			return error;
	}
	r->out_size = p->output[0].len;
	r->out = TAKE_PTR(p->output[0].data);
	r->err_size = p->output[1].len;
	r->err = TAKE_PTR(p->output[1].data);
	p->output[0] = p->output[1] = (struct pcore_buf){ .len = 0 };
	return 0;
}

int pcore_talk_end(struct pcore_process *p, bool timed_out, struct pcore_process_result *ret)
{
	struct pcore_process_result r = { .size = sizeof(r), .timed_out = timed_out };
	int error = take_output(p, &r);

	if (error == 0)
		error = pcore_process_tell(p, &r, ret);
	if (error < 0 || !ret)
		pcore_process_result_done(&r);
	return error;
}

int pcore_process_communicate(
	struct pcore_process *p, const void *input, size_t size, int64_t timeout, struct pcore_process_result *ret)
{
	int r;

	if (!p || (!input && size > 0) || (ret && ret->size < PCORE_RESULT_LEAST))
		return -EINVAL;

	pcore_talk_begin(p, input, size);
	r = talk_to_the_end(p, pcore_deadline(timeout));
	return r < 0 ? r : pcore_talk_end(p, false, ret);
}

void pcore_process_result_done(struct pcore_process_result *r)
{
	if (!r)
		return;
	free(r->out);
	free(r->err);
	r->out = r->err = NULL;
	r->out_size = r->err_size = 0;
}

/* ---- a command as a whole ---- */

/* Its time is up: it is asked to end, and made to; what it says meanwhile counts. */
static int end_talking(struct pcore_process *p, int64_t kill_after)
{
	int r = pcore_process_signal_all(p, SIGTERM);

	if (r == 0)
		r = talk_to_the_end(p, pcore_deadline(kill_after));
	if (r != -ETIMEDOUT)
		return r;
	r = pcore_process_signal_all(p, SIGKILL);
	return r < 0 ? r : talk_to_the_end(p, INT64_MAX);
}

int pcore_process_run(const struct pcore_process_spec *spec, struct pcore_process_result *ret, struct pcore_error *error)
{
	struct pcore_process_spec in;
	struct pcore_process *p;
	int64_t kill_after;
	bool timed_out;
	int r = ret && ret->size < PCORE_RESULT_LEAST ? -EINVAL : pcore_sized_in(&in, sizeof(in), spec);

	if (r < 0)
		return pcore_error_plain(error, r, "");
	r = pcore_process_spawn(&p, spec, error);
	if (r < 0)
		return r;

	kill_after = in.kill_after > 0 ? in.kill_after : PCORE_KILL_AFTER_NS;
	pcore_talk_begin(p, in.input, in.input_size);
	r = talk_to_the_end(p, in.timeout > 0 ? pcore_ns_add(pcore_now_ns(), in.timeout) : INT64_MAX);
	timed_out = r == -ETIMEDOUT;
	if (timed_out)
		r = end_talking(p, kill_after);
	if (r == 0 && p->tree)
		r = pcore_process_terminate(p, SIGTERM, kill_after);
	if (r == 0)
		r = pcore_talk_end(p, timed_out, ret);
	pcore_process_free(p);
	return r < 0 ? pcore_error_plain(error, r, "") : 0;
}
