/* SPDX-License-Identifier: MIT */
/*
 * worker_proc.c - a worker that is a process of this machine, at the other end of pipes or of a terminal.
 */
#include "libcore/pool/worker.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum { TERMINAL_EOF = 4, READ_SIZE = 128 * 1024 };

/* ---- writing to it ---- */

/* The kernel knows as long as the pipe is ours. */
static bool has_read(const struct worker *w)
{
	int unread = 0;

	if (w->in_fd < 0 || w->pool->spec.pty || ioctl(w->in_fd, FIONREAD, &unread) < 0)
		return true;
	return (uint64_t)unread != w->sent_total;
}

static void close_in(struct worker *w)
{
	if (pcore_op_live(&w->in_op)) {
		pcore_op_cancel(w->pool->loop, &w->in_op); /* closed when it is home */
		return;
	}
	w->in_fd = pcore_fd_close(w->in_fd);
	pcore_buf_done(&w->in);
	w->sent = 0;
}

/* A terminal ends when it is told to at the beginning of a line. */
static void end_terminal(int fd)
{
	struct termios t;

	if (tcgetattr(fd, &t) < 0)
		return;
	t.c_cc[VEOF] = TERMINAL_EOF;
	if (tcsetattr(fd, TCSANOW, &t) == 0)
		(void)!write(fd, &t.c_cc[VEOF], 1);
}

/* The end of its input, once it was sent all there is (and has taken it from a terminal). */
static void close_when_sent(struct worker *w)
{
	bool pty = w->pool->spec.pty;

	if (w->state != CLOSING || w->in_fd < 0 || w->sent < w->in.len || (pty && !worker_is_idle(w)))
		return;
	w->closed_at = pcore_loop_now(w->pool->loop);
	if (pty)
		end_terminal(w->in_fd);
	close_in(w);
}

static void pump(struct worker *w)
{
	while (w->in_fd >= 0 && w->sent < w->in.len && !pcore_op_live(&w->in_op)) {
		ssize_t n = write(w->in_fd, w->in.data + w->sent, w->in.len - w->sent);
		int r = n < 0 ? -errno : 0;

		if (n > 0) {
			w->sent += (size_t)n;
			w->sent_total += (uint64_t)n;
		}
		if (r == -EAGAIN)
			r = pcore_op_poll(w->pool->loop, &w->in_op, w->in_fd, POLLOUT);
		if (r < 0 && r != -EINTR) { /* it does not read, and will end now; or it cannot be watched */
			worker_fell_silent(w);
			w->sent = w->in.len;
		}
	}
	if (w->sent == w->in.len)
		w->sent = w->in.len = 0;
	close_when_sent(w);
}

static void in_done(struct pcore_op *op, int res)
{
	struct worker *w = container_of(op, struct worker, in_op);

	(void)res;
	if (w->state == SERVING || w->state == CLOSING) {
		pump(w);
		worker_place(w);
		worker_set_timer(w);
		pcore_pool_kick(w->pool->ex.pool);
		return;
	}
	close_in(w);
	worker_step(w, EXITED);
}

static bool waits(const struct worker *w)
{
	return pcore_proc_reads(w->pid);
}

/* ---- what happens to it ---- */

static void proc_event(struct pcore_proc *p, enum pcore_proc_event ev)
{
	struct worker *w = container_of(p, struct worker, proc);

	switch (ev) {
	case PCORE_PROC_EXITED:
		w->exited = true;
		w->exit = p->exit;
		pcore_reader_finish(&w->out);
		break;
	case PCORE_PROC_CLOSED: /* who still holds its stderr was let live on purpose */
		w->gone = true;
		pcore_reader_finish(&w->err);
		break;
	}
	worker_step(w, EXITED);
}

static void out_data(struct pcore_reader *r, const char *data, ssize_t n)
{
	struct worker *w = container_of(r, struct worker, out);

	if (n > 0) {
		worker_wrote(w, data, (size_t)n);
		return;
	}
	if (!w->exited)
		worker_fell_silent(w);
	worker_set_timer(w);
	worker_step(w, EXITED);
}

static void err_data(struct pcore_reader *r, const char *data, ssize_t n)
{
	struct worker *w = container_of(r, struct worker, err);
	const struct pcore_worker_spec *s = &w->pool->spec;

	if (!s->errors(s->ctx, w->slot, n > 0 ? data : NULL, n > 0 ? (size_t)n : 0) && n > 0)
		pcore_reader_pause(r);
	if (n <= 0)
		worker_step(w, EXITED);
}

static bool is_over(const struct worker *w)
{
	return w->exited && w->out.state == PCORE_READER_CLOSED;
}

static bool is_gone(const struct worker *w)
{
	return w->gone && w->err.state == PCORE_READER_CLOSED && !pcore_op_live(&w->in_op);
}

static void end(struct worker *w)
{
	pcore_proc_end(&w->proc, w->pool->spec.times.signal, PCORE_KILLED_CANCEL);
}

static void kill_it(struct worker *w)
{
	pcore_proc_kill(&w->proc, PCORE_KILLED_CANCEL);
}

static void pass_on(struct worker *w, int sig)
{
	pcore_proc_signal_tree(&w->proc, sig);
}

static void pause_it(struct worker *w)
{
	pcore_reader_pause(&w->out);
}

static void resume(struct worker *w)
{
	pcore_reader_resume(&w->out);
}

static void resume_errors(struct worker *w)
{
	pcore_reader_resume(&w->err);
}

/* ---- starting one ---- */

static void close_fds(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fds[i] >= 0)
			fds[i] = pcore_fd_close(fds[i]);
}

/* A terminal that passes lines as they are, whatever bytes are in them; both ends of it and a second descriptor for ours.
 * In non-canonical mode a reader that waits could not be told of the end. */
static int open_pty(int fds[static 3])
{
	struct termios t;

	fds[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (fds[0] < 0)
		return -errno;
	if (grantpt(fds[0]) < 0 || unlockpt(fds[0]) < 0)
		return -errno;
	fds[1] = ioctl(fds[0], TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	fds[2] = fcntl(fds[0], F_DUPFD_CLOEXEC, 3);
	if (fds[1] < 0 || fds[2] < 0 || tcgetattr(fds[1], &t) < 0)
		return -errno;
	cfmakeraw(&t);
	t.c_lflag |= ICANON;
	memset(t.c_cc, _POSIX_VDISABLE, sizeof(t.c_cc));
	return tcsetattr(fds[1], TCSANOW, &t) < 0 ? -errno : 0;
}

static int spawn(struct worker *w, int ret[static 3], struct pcore_err *err)
{
	const struct pcore_worker_spec *s = &w->pool->spec;
	int pty[3] = { -EBADF, -EBADF, -EBADF };
	struct pcore_proc_fd fds[3] = {
		{ .target = 0, .source = s->pty ? PCORE_FD_OURS : PCORE_FD_PIPE_IN },
		{ .target = 1, .source = s->pty ? PCORE_FD_OURS : PCORE_FD_PIPE_OUT },
		{ .target = 2, .source = PCORE_FD_PIPE_OUT },
	};
	struct pcore_proc_spec spec = { .size = sizeof(spec) };
	int r = s->pty ? open_pty(pty) : 0;

	if (r < 0) {
		close_fds(pty, ARRAY_SIZE(pty));
		return pcore_err_set(err, r, PCORE_STEP_OPEN, "/dev/ptmx");
	}
	if (s->pty)
		fds[0].fd = fds[1].fd = pty[1];
	s->describe(s->ctx, w->slot, &spec);
	spec.set_pgroup = !spec.new_session;
	spec.pgroup = 0;
	spec.fds = fds;
	spec.n_fds = ARRAY_SIZE(fds);
	r = pcore_proc_start(&w->proc, w->pool->loop, w->tree, &spec, &s->times, err);
	if (r < 0) {
		close_fds(pty, ARRAY_SIZE(pty));
		return r;
	}
	close_fds(&pty[1], 1);
	ret[0] = s->pty ? pty[0] : fds[0].fd;
	ret[1] = s->pty ? pty[2] : fds[1].fd;
	ret[2] = fds[2].fd;
	return 0;
}

/* Watch its pipes. What cannot be watched is closed, and it is ended for its silence. */
static void watch(struct worker *w, const int fds[static 3])
{
	w->in_fd = fds[0];
	if (pcore_reader_start(&w->out, w->pool->loop, fds[1]) < 0) {
		(void)pcore_fd_close(fds[1]);
		w->silent_at = pcore_loop_now(w->pool->loop);
	}
	if (pcore_reader_start(&w->err, w->pool->loop, fds[2]) < 0)
		(void)pcore_fd_close(fds[2]);
}

static int start(struct worker *w, struct pcore_err *err)
{
	int fds[3], r = spawn(w, fds, err);

	if (r < 0)
		return r;
	w->pid = w->proc.pid;
	w->number = w->slot;
	w->sent = 0;
	w->sent_total = 0;
	w->gone = false;
	worker_up(w);
	watch(w, fds);
	return 0;
}

static int make(struct worker *w, struct pcore_err *err)
{
	w->in_fd = -EBADF;
	w->proc.event = proc_event;
	w->in_op.done = in_done;
	w->out.data = out_data;
	w->err.data = err_data;
	w->out.buf = w->err.buf = w->pool->buf;
	w->out.buf_size = w->err.buf_size = READ_SIZE;
	return pcore_tree_new(&w->tree, w->pool->spec.keeper, err);
}

static void unmake(struct worker *w)
{
	pcore_tree_free(w->tree);
}

static int begin(struct workers *l)
{
	l->buf = malloc(READ_SIZE);
	return l->buf ? 0 : -ENOMEM;
}

static void finish(struct workers *l)
{
	free(l->buf);
}

const struct worker_seat worker_proc = {
	.begin = begin,
	.finish = finish,
	.make = make,
	.unmake = unmake,
	.start = start,
	.pump = pump,
	.drop = close_in,
	.end = end,
	.kill = kill_it,
	.pass_on = pass_on,
	.pause = pause_it,
	.resume = resume,
	.resume_errors = resume_errors,
	.waits = waits,
	.has_read = has_read,
	.is_over = is_over,
	.is_gone = is_gone,
};
