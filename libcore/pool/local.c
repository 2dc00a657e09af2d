/* SPDX-License-Identifier: MIT */
/*
 * local.c - the executor that runs jobs as processes of this machine.
 *
 * A run holds one attempt of one job: its process, the readers of its pipes, and the tree it lives in. Runs and their
 * trees are kept for the next job. The attempt has finished when the process is closed and both readers are.
 */
#include "libcore/pool/pool.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { READ_SIZE = 128 * 1024 };

struct run {
	struct pcore_proc proc;
	struct pcore_reader readers[2];
	struct pcore_feeder feeder;
	struct local *local;
	struct pcore_job *job; /* NULL: idle */
	struct pcore_tree *tree;
	struct pcore_list link; /* in idle or all */
	bool closed, feeding;
};

struct local {
	struct pcore_executor ex; /* first */
	struct pcore_loop *loop;
	struct pcore_local_spec spec;
	struct pcore_list idle;
	int null_fd;
	char *buf; /* of all readers */
};

static struct local *local_of(struct pcore_executor *ex)
{
	return container_of(ex, struct local, ex);
}

static void settle(struct run *run)
{
	struct pcore_job *job = run->job;

	if (!run->closed || run->feeding)
		return;
	if (run->readers[0].state != PCORE_READER_CLOSED || run->readers[1].state != PCORE_READER_CLOSED)
		return;

	run->job = NULL;
	job->run = NULL;
	pcore_list_add_tail(&run->local->idle, &run->link);
	pcore_pool_finished(run->local->ex.pool, job);
}

static void exited(struct run *run)
{
	struct pcore_job_result *r = &run->job->result;
	const struct pcore_proc *p = &run->proc;

	r->exit = p->exit;
	r->pid = p->pid;
	r->wall_ns = p->ended_ns - p->started_ns;
	r->timed_out = p->killed_by == PCORE_KILLED_TIMEOUT;
	r->cancelled = p->killed_by == PCORE_KILLED_CANCEL;
	if (p->exit_error < 0)
		(void)pcore_err_set(&r->error, p->exit_error, PCORE_STEP_CLONE, "");
	pcore_pool_exited(run->local->ex.pool, run->job);
}

/* ---- standard input ---- */

static int next_piece(struct pcore_feeder *f, struct pcore_piece *ret)
{
	struct run *run = container_of(f, struct run, feeder);

	return run->local->spec.input(run->local->spec.ctx, run->job, ret);
}

static void feeder_done(struct pcore_feeder *f, int res)
{
	struct run *run = container_of(f, struct run, feeder);

	if (res < 0)
		(void)pcore_err_set(&run->job->result.error, res, PCORE_STEP_INPUT, "");
	run->feeding = false;
	run->local->spec.input_over(run->local->spec.ctx, run->job, f->piece.len);
	settle(run);
}

/* The command is dead: if there is nothing to tell us that nobody reads, nobody does. */
static void stop_waiting(struct run *run)
{
	if (run->feeding && run->feeder.waiting)
		pcore_feeder_stop(&run->feeder);
}

void pcore_local_feed(struct pcore_job *job)
{
	struct run *run = job->run;

	if (run && run->feeding)
		pcore_feeder_go_on(&run->feeder);
}

bool pcore_local_silent(const struct pcore_job *job)
{
	const struct run *run = job->run;

	return run->readers[PCORE_JOB_STDOUT].state == PCORE_READER_CLOSED;
}

bool pcore_local_unread(const struct pcore_job *job)
{
	const struct run *run = job->run;

	return run->feeder.unread;
}

/* ---- what happens ---- */

static void proc_event(struct pcore_proc *p, enum pcore_proc_event ev)
{
	struct run *run = container_of(p, struct run, proc);

	switch (ev) {
	case PCORE_PROC_EXITED:
		exited(run);
		stop_waiting(run);
		break;
	case PCORE_PROC_CLOSED:
		run->job->result.survivors = p->survivors;
		/* Whoever still holds a pipe open is none of ours, or was let live on purpose. */
		run->closed = true;
		pcore_reader_finish(&run->readers[0]);
		if (run->job)
			pcore_reader_finish(&run->readers[1]);
		if (run->job && run->feeding)
			pcore_feeder_stop(&run->feeder);
		if (run->job)
			settle(run);
		break;
	}
}

static void reader_data(struct run *run, enum pcore_job_stream stream, const char *data, ssize_t n)
{
	if (n > 0) {
		if (!pcore_pool_output(run->local->ex.pool, run->job, stream, data, (size_t)n))
			pcore_reader_pause(&run->readers[stream]);
		return;
	}
	if (n < 0) /* what it wrote is lost */
		(void)pcore_err_set(&run->job->result.error, (int)n, PCORE_STEP_READ, "");
	settle(run);
}

static void stdout_data(struct pcore_reader *r, const char *data, ssize_t n)
{
	reader_data(container_of(r, struct run, readers[PCORE_JOB_STDOUT]), PCORE_JOB_STDOUT, data, n);
}

static void stderr_data(struct pcore_reader *r, const char *data, ssize_t n)
{
	reader_data(container_of(r, struct run, readers[PCORE_JOB_STDERR]), PCORE_JOB_STDERR, data, n);
}

static void run_free(struct run *run)
{
	pcore_tree_free(run->tree);
	free(run);
}

static int run_new(struct local *l, struct run **ret, struct pcore_err *err)
{
	struct run *run = calloc(1, sizeof(*run));
	int r;

	if (!run)
		return pcore_err_set(err, -ENOMEM, PCORE_STEP_CLONE, "");

	run->local = l;
	run->proc.event = proc_event;
	pcore_list_init(&run->link);
	for (int i = 0; i < 2; i++) {
		run->readers[i].buf = l->buf;
		run->readers[i].buf_size = l->spec.read_size;
		run->readers[i].data = i == PCORE_JOB_STDOUT ? stdout_data : stderr_data;
	}
	run->feeder.done = feeder_done;
	run->feeder.next = next_piece;
	r = pcore_tree_new(&run->tree, l->spec.keeper, err);
	if (r < 0) {
		run_free(run);
		return r;
	}
	*ret = run;
	return 0;
}

static int spawn(struct local *l, struct run *run, struct pcore_proc_fd fds[3], struct pcore_err *err)
{
	struct pcore_proc_spec spec = { .size = sizeof(spec) };
	struct pcore_proc_times times = run->job->times ? *run->job->times : l->spec.times;

	if (run->job->timeout)
		times.timeout = run->job->timeout;
	l->spec.describe(l->spec.ctx, run->job, &spec);
	spec.set_pgroup = !spec.new_session;
	spec.pgroup = 0;
	spec.fds = fds;
	spec.n_fds = l->spec.inherit ? 1 : 3;
	return pcore_proc_start(&run->proc, l->loop, run->tree, &spec, &times, err);
}

/* A pipe that cannot be watched is not read: the job goes on and its output there is lost, so it is ended as failed. */
static void start_reader(struct run *run, int i, int fd)
{
	int r = pcore_reader_start(&run->readers[i], run->local->loop, fd);

	if (r == 0)
		return;
	(void)pcore_fd_close(fd);
	(void)pcore_err_set(&run->job->result.error, r, PCORE_STEP_READ, "");
	pcore_proc_kill(&run->proc, PCORE_KILLED_CANCEL);
}

/* As start_reader(). */
static void start_feeder(struct run *run, int fd)
{
	struct local *l = run->local;
	unsigned size = run->job->pipe_size > 0 ? run->job->pipe_size : l->spec.pipe_size;
	int r;

	if (size > 0)
		(void)fcntl(fd, F_SETPIPE_SZ, size);
	r = pcore_feeder_start(&run->feeder, l->loop, fd, NULL, 0);
	run->feeding = r == 0;
	if (r == 0)
		return;
	(void)pcore_fd_close(fd);
	(void)pcore_err_set(&run->job->result.error, r, PCORE_STEP_INPUT, "");
	l->spec.input_over(l->spec.ctx, run->job, 0);
	pcore_proc_kill(&run->proc, PCORE_KILLED_CANCEL);
}

static int local_start(struct pcore_executor *ex, struct pcore_job *job, struct pcore_err *err)
{
	struct local *l = local_of(ex);
	struct pcore_proc_fd fds[3] = {
		{ .target = 0, .source = PCORE_FD_OURS, .fd = l->null_fd },
		{ .target = 1, .source = PCORE_FD_PIPE_OUT },
		{ .target = 2, .source = PCORE_FD_PIPE_OUT },
	};
	struct pcore_list *node = pcore_list_pop(&l->idle);
	struct run *run = node ? container_of(node, struct run, link) : NULL;
	bool fed = l->spec.input && !job->no_input;
	int r;

	r = run ? 0 : run_new(l, &run, err);
	if (r < 0)
		return r;
	if (fed)
		fds[0].source = PCORE_FD_PIPE_IN;

	run->job = job;
	run->closed = false;
	job->result.start_ns = pcore_clock_ns(CLOCK_REALTIME);
	r = spawn(l, run, fds, err);
	if (r < 0) {
		run->job = NULL;
		pcore_list_add_tail(&l->idle, &run->link);
		return r;
	}
	job->run = run;
	job->result.pid = run->proc.pid;
	if (fed)
		start_feeder(run, fds[0].fd);
	if (!l->spec.inherit) {
		start_reader(run, PCORE_JOB_STDOUT, fds[1].fd);
		start_reader(run, PCORE_JOB_STDERR, fds[2].fd);
	}
	return 0;
}

static void local_signal(struct pcore_executor *ex, struct pcore_job *job, int sig)
{
	struct run *run = job->run;

	(void)ex;
	pcore_proc_signal_tree(&run->proc, sig);
}

static void local_end(struct pcore_executor *ex, struct pcore_job *job)
{
	struct run *run = job->run;

	(void)ex;
	pcore_proc_end(&run->proc, run->proc.times.signal, PCORE_KILLED_CANCEL);
}

static void local_kill(struct pcore_executor *ex, struct pcore_job *job)
{
	struct run *run = job->run;

	(void)ex;
	pcore_proc_kill(&run->proc, PCORE_KILLED_CANCEL);
}

static void local_resume(struct pcore_executor *ex, struct pcore_job *job)
{
	struct run *run = job->run;

	(void)ex;
	pcore_reader_resume(&run->readers[0]);
	if (run->job == job) /* it may have ended just now */
		pcore_reader_resume(&run->readers[1]);
}

static void local_free(struct pcore_executor *ex)
{
	struct local *l = local_of(ex);
	struct pcore_list *node;

	while ((node = pcore_list_pop(&l->idle)))
		run_free(container_of(node, struct run, link));
	l->null_fd = pcore_fd_close(l->null_fd);
	free(l->buf);
	free(l);
}

int pcore_local_new(struct pcore_executor **ret, struct pcore_loop *lp, const struct pcore_local_spec *spec, struct pcore_err *err)
{
	static const struct pcore_executor_ops ops = {
		.start = local_start,
		.signal = local_signal,
		.end = local_end,
		.kill = local_kill,
		.resume = local_resume,
		.free = local_free,
	};
	struct local *l = calloc(1, sizeof(*l));

	if (!l)
		return pcore_err_set(err, -ENOMEM, PCORE_STEP_CLONE, "");

	l->ex.ops = &ops;
	l->loop = lp;
	l->spec = *spec;
	pcore_list_init(&l->idle);
	l->null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (l->spec.read_size == 0)
		l->spec.read_size = READ_SIZE;
	l->buf = malloc(l->spec.read_size);
	if (l->null_fd < 0 || !l->buf) {
		int r = l->buf ? -errno : -ENOMEM;

		local_free(&l->ex);
		return pcore_err_set(err, r, PCORE_STEP_OPEN, "/dev/null");
	}
	*ret = &l->ex;
	return 0;
}
