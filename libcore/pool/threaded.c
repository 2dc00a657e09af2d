/* SPDX-License-Identifier: MIT */
/*
 * threaded.c - the thread executor: jobs are a function of ours, run by threads.
 *
 * A thread that is done with a job puts it in a list and, if that was empty, writes to an eventfd; everything else
 * happens on the loop's thread.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pcore/thread.h>

#include "libcore/pool/pool.h"

struct threaded {
	struct pcore_executor ex; /* first */
	struct pcore_loop *loop;
	struct pcore_threaded_spec spec;
	struct pcore_threads *threads;
	struct pcore_op op;
	int fd;
	unsigned n_threads, in_flight;
	pthread_mutex_t lock;
	struct pcore_list done; /* of struct task, under the lock */
};

struct task {
	struct threaded *owner;
	struct pcore_job *job;
	struct pcore_buf out;
	struct pcore_list link;
	int64_t begun, ended;
	int status;
};

static struct threaded *threaded_of(const struct pcore_executor *ex)
{
	return container_of(ex, struct threaded, ex);
}

/* ---- in a thread ---- */

static int64_t run(void *arg)
{
	struct task *task = arg;
	struct threaded *t = task->owner;
	bool first;

	task->begun = pcore_now_ns();
	task->status = t->spec.run(t->spec.ctx, task->job, &task->out);
	task->ended = pcore_now_ns();
	(void)pthread_mutex_lock(&t->lock);
	first = pcore_list_empty(&t->done);
	pcore_list_add_tail(&t->done, &task->link);
	if (first) /* with the lock: who takes the list closes the descriptor perhaps */
		(void)!write(t->fd, &(uint64_t){ 1 }, sizeof(uint64_t));
	(void)pthread_mutex_unlock(&t->lock);
	return 0;
}

/* ---- on the loop ---- */

static void finish(struct threaded *t, struct task *task)
{
	struct pcore_job *job = task->job;
	struct pcore_job_result *r = &job->result;

	t->in_flight--;
	r->start_ns = pcore_clock_ns(CLOCK_REALTIME) - (pcore_now_ns() - task->begun);
	r->wall_ns = task->ended - task->begun;
	r->exit.code = CLD_EXITED;
	r->exit.status = task->status;
	job->run = NULL;
	if (task->out.len > 0) /* it has been made anyway: if there is no room, none is made */
		(void)pcore_pool_output(t->ex.pool, job, PCORE_JOB_STDOUT, task->out.data, task->out.len);
	pcore_buf_done(&task->out);
	free(task);
	pcore_pool_exited(t->ex.pool, job);
	pcore_pool_finished(t->ex.pool, job);
}

static void watch(struct threaded *t)
{
	if (t->in_flight > 0 && !pcore_op_live(&t->op))
		(void)pcore_op_poll(t->loop, &t->op, t->fd, POLLIN);
}

static void some_are_done(struct pcore_op *op, int res)
{
	struct threaded *t = container_of(op, struct threaded, op);
	struct pcore_list done = PCORE_LIST_INIT(done), *node;
	uint64_t n;

	(void)res;
	(void)pthread_mutex_lock(&t->lock);
	(void)!read(t->fd, &n, sizeof(n));
	pcore_list_splice_tail(&done, &t->done);
	(void)pthread_mutex_unlock(&t->lock);
	while ((node = pcore_list_pop(&done)))
		finish(t, container_of(node, struct task, link));
	watch(t);
}

static int threaded_start(struct pcore_executor *ex, struct pcore_job *job, struct pcore_err *err)
{
	struct threaded *t = threaded_of(ex);
	struct task *task = calloc(1, sizeof(*task));
	int r;

	if (!task)
		return pcore_err_set(err, -ENOMEM, PCORE_STEP_NONE, "");

	task->owner = t;
	task->job = job;
	task->out = PCORE_BUF_INIT(t->spec.output_max);
	pcore_list_init(&task->link);
	r = pcore_threads_submit(t->threads, run, task, PCORE_FOREVER, NULL);
	if (r < 0) {
		free(task);
		return pcore_err_set(err, r, PCORE_STEP_NONE, "");
	}
	job->run = task;
	t->in_flight++;
	watch(t);
	return 0;
}

/* A function cannot be ended from outside. */
static void threaded_signal(struct pcore_executor *ex, struct pcore_job *job, int sig)
{
	(void)ex;
	(void)job;
	(void)sig;
}

static void threaded_nothing(struct pcore_executor *ex, struct pcore_job *job)
{
	(void)ex;
	(void)job;
}

static void threaded_free(struct pcore_executor *ex)
{
	struct threaded *t = threaded_of(ex);

	assert(t->in_flight == 0);

	pcore_threads_free(t->threads);
	t->fd = pcore_fd_close(t->fd);
	(void)pthread_mutex_destroy(&t->lock);
	free(t);
}

/* Signals are for the thread that has the loop, not for those that this one starts. */
static void block_signals(sigset_t *ret_before)
{
	sigset_t all;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, ret_before);
}

static void restore_signals(const sigset_t *before)
{
	(void)pthread_sigmask(SIG_SETMASK, before, NULL);
}

static int start_threads(struct threaded *t)
{
	struct pcore_threads_spec spec = { .size = sizeof(spec), .threads = t->spec.threads, .name = t->spec.name };
	sigset_t before;
	int r;

	block_signals(&before);
	r = pcore_threads_new(&t->threads, &spec);
	restore_signals(&before);
	t->n_threads = spec.threads;
	return r;
}

/* Of fewer jobs the pool takes care. */
static int threaded_resize(struct pcore_executor *ex, unsigned jobs)
{
	struct threaded *t = threaded_of(ex);
	sigset_t before;
	int r = 0;

	block_signals(&before);
	while (t->n_threads < jobs && r == 0) {
		r = pcore_threads_add(t->threads);
		t->n_threads += r == 0;
	}
	restore_signals(&before);
	return r;
}

int pcore_threaded_new(struct pcore_executor **ret, struct pcore_loop *lp, const struct pcore_threaded_spec *spec)
{
	static const struct pcore_executor_ops ops = {
		.start = threaded_start,
		.signal = threaded_signal,
		.end = threaded_nothing,
		.kill = threaded_nothing,
		.resume = threaded_nothing,
		.free = threaded_free,
		.resize = threaded_resize,
	};
	struct threaded *t = calloc(1, sizeof(*t));
	int r;

	assert(spec->threads > 0);

	if (!t)
		return -ENOMEM;

	t->ex.ops = &ops;
	t->loop = lp;
	t->spec = *spec;
	t->op.done = some_are_done;
	pcore_list_init(&t->done);
	(void)pthread_mutex_init(&t->lock, NULL);
	t->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = t->fd < 0 ? -errno : start_threads(t);
	if (r < 0) {
		threaded_free(&t->ex);
		return r;
	}
	*ret = &t->ex;
	return 0;
}
