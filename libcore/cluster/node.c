/* SPDX-License-Identifier: MIT */
/*
 * node.c - what runs on a node, and when: the jobs of all sessions in one queue, and a pool that takes those that fit.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "libcore/cluster/node_private.h"

#define TRASH "trash" /* in the workdir; no job's directory is called so */

enum { TRASH_BUDGET = 256 }; /* files that are removed in one turn of the loop */

static unsigned cpus_of(const struct node_job *j)
{
	uint64_t n = j->template->t.spec.cpus;

	return n == 0 ? 1 : n < UINT16_MAX ? (unsigned)n : UINT16_MAX;
}

/* A job that is larger than the node runs when nothing else does: the number of CPUs may have been lowered meanwhile. */
static bool has_room(const struct pcore_node *n, const struct node_job *j)
{
	return n->cpus > 0 && (n->cpus_used == 0 || n->cpus_used + cpus_of(j) <= n->cpus) && j->session->held < NODE_BYTES_MAX;
}

/* ---- what the pool asks and tells ---- */

/* The first that fits. Who waits for memory or resources leaves its CPUs to others, but not these to those that came later. */
static struct node_job *choose(struct pcore_node *n)
{
	struct node_job *chosen = NULL;
	struct pcore_list *end = n->queue.next;

	for (; end != &n->queue && !chosen; end = end->next) {
		struct node_job *j = container_of(end, struct node_job, link);

		if (!has_room(n, j))
			continue;
		if (node_stock_has(n, j->template, &j->as.ids, false))
			chosen = j;
		else
			node_stock_claim(n, j->template, &j->as.ids, true);
	}
	for (struct pcore_list *node = n->queue.next; node != end; node = node->next) {
		struct node_job *j = container_of(node, struct node_job, link);

		if (j != chosen && has_room(n, j))
			node_stock_claim(n, j->template, &j->as.ids, false);
	}
	return chosen;
}

static int next(void *ctx, struct pcore_job **ret)
{
	struct pcore_node *n = ctx;
	struct node_job *j = n->stopped ? NULL : choose(n);

	if (!j)
		return 0;
	pcore_list_del(&j->link);
	n->n_queued--;
	n->n_running++;
	n->cpus_used += cpus_of(j);
	node_stock_take(n, j->template, j->as.ids, (char *)j->ids.data);
	j->asked = true;
	j->job.seq = 0;
	*ret = &j->job;
	return 1;
}

static void started(void *ctx, struct pcore_job *job)
{
	struct node_job *j = container_of(job, struct node_job, job);

	(void)ctx;
	j->state = NODE_RUNNING;
	node_input_started(j);
	node_session_tell_started(j);
}

bool node_job_output(void *ctx, struct pcore_job *job, enum pcore_job_stream stream, const char *data, size_t len)
{
	struct node_job *j = container_of(job, struct node_job, job);
	struct node_output *o = &j->out[stream];
	uint64_t room = len, max = j->template->t.spec.max_output;

	(void)ctx;
	if (o->total >= max)
		room = 0;
	else if (len > max - o->total)
		room = max - o->total;
	o->total += len;
	if (room < len)
		j->cut |= stream == PCORE_JOB_STDOUT ? PCORE_WIRE_CUT_STDOUT : PCORE_WIRE_CUT_STDERR;
	if (o->closed || j->session->over || room == 0)
		return true;
	if (pcore_buf_add(&o->buf, data, room) < 0) { /* then it is lost, and the job with it */
		(void)pcore_err_set(&job->result.error, -ENOMEM, PCORE_STEP_READ, "");
		node_cancel(j, PCORE_WIRE_END_IT, 0);
		return true;
	}
	j->session->held += room;
	node_session_output(j);
	return o->buf.len < NODE_HELD;
}

static void again(void *ctx, struct pcore_job *job)
{
	(void)ctx;
	(void)job;
	assert(!"the pool of a node tries nothing again");
}

/* What it had of the node is free, though some of its output may not be read yet. */
static void exited(void *ctx, struct pcore_job *job)
{
	struct pcore_node *n = ctx;
	struct node_job *j = container_of(job, struct node_job, job);

	assert(n->n_running > 0 && n->cpus_used >= cpus_of(j) && !j->exited);

	j->exited = true;
	node_input_ended(j);
	n->n_running--;
	n->cpus_used -= cpus_of(j);
	node_stock_give(n, j->template, &j->ids);
	node_workers_kick(n);
}

void node_job_over(struct node_job *j)
{
	struct pcore_node *n = j->session->node;
	struct pcore_job *job = &j->job;
	const struct rusage *u = &job->result.exit.usage;

	if (job->state == PCORE_JOB_NEW) /* it was to end before it began */
		job->result.cancelled = true;
	if (job->state == PCORE_JOB_DONE && pcore_job_succeeded(job))
		n->succeeded++;
	else
		n->failed++;
	n->cpu_ns += (u->ru_utime.tv_sec + u->ru_stime.tv_sec) * NS_PER_S + (u->ru_utime.tv_usec + u->ru_stime.tv_usec) * NS_PER_US;
	node_dir_remove(j);
	j->state = NODE_DONE;
	node_session_tell_done(j);
	node_check_idle(n);
}

static void done(void *ctx, struct pcore_job *job)
{
	struct pcore_node *n = ctx;
	struct node_job *j = container_of(job, struct node_job, job);

	if (!j->exited)
		exited(n, job);
	pcore_pool_kick(n->pool);
	node_job_over(j);
}

static void limited(void *ctx, unsigned jobs, int error)
{
	struct pcore_node *n = ctx;
	char line[160];

	(void)snprintf(line, sizeof(line), "cannot start another job: %s; running %u at a time", strerror(-error), jobs);
	n->spec.log(n->spec.ctx, line);
}

static void pool_idle(void *ctx)
{
	(void)ctx; /* next() never says that there will be no more */
}

/* ---- what sessions ask ---- */

void node_enqueue(struct node_job *j)
{
	struct pcore_node *n = j->session->node;

	struct pcore_list *before = n->queue.prev;

	assert(j->state == NODE_QUEUED);

	while (before != &n->queue && container_of(before, struct node_job, link)->as.priority > j->as.priority)
		before = before->prev;
	pcore_list_add_head(before, &j->link);
	n->n_queued++;
	pcore_pool_kick(n->pool);
}

bool node_retract(struct node_job *j)
{
	if (j->asked || j->state != NODE_QUEUED)
		return false;

	pcore_list_del(&j->link);
	if (j->workers)
		node_workers_forget(j);
	j->session->node->n_queued--;
	return true;
}

void node_cancel(struct node_job *j, enum pcore_wire_how how, int sig)
{
	struct pcore_node *n = j->session->node;

	if (j->state == NODE_DONE || (how == PCORE_WIRE_SIGNAL_IT && j->state != NODE_RUNNING))
		return;
	if (node_retract(j)) {
		j->job.result.cancelled = true;
		j->state = NODE_DONE;
		node_session_tell_done(j);
		return;
	}
	if (j->workers) {
		node_workers_cancel(j, how, sig);
		return;
	}
	switch (how) {
	case PCORE_WIRE_SIGNAL_IT:
		n->ex->ops->signal(n->ex, &j->job, sig);
		break;
	case PCORE_WIRE_KILL_IT:
		if (j->job.state == PCORE_JOB_RUNNING || j->job.state == PCORE_JOB_EXITED)
			n->ex->ops->kill(n->ex, &j->job);
		else
			pcore_pool_end(n->pool, &j->job);
		break;
	case PCORE_WIRE_END_IT:
	case PCORE_WIRE_HOWS:
		pcore_pool_end(n->pool, &j->job);
		break;
	}
}

/* ---- what jobs leave ---- */

static void trash_due(struct pcore_op *op, int res)
{
	struct pcore_node *n = container_of(op, struct pcore_node, trash_op);
	int r = 0;

	if (res == -ETIME && !n->trash_left)
		r = pcore_trash_step(&n->trash, TRASH_BUDGET);
	if (r > 0)
		r = pcore_op_timer(n->loop, op, PCORE_CLOCK_MONOTONIC, 0);
	if (r < 0) {
		char line[160];

		(void)snprintf(line, sizeof(line), "cannot remove the files of a job: %s", strerror(-r));
		n->spec.log(n->spec.ctx, line);
	}
	node_check_idle(n);
}

void node_trash(struct pcore_node *n, const char *name)
{
	int r = pcore_trash_put(&n->trash, n->workdir_fd, name);

	if (r == 0 && !pcore_op_live(&n->trash_op))
		(void)pcore_op_timer(n->loop, &n->trash_op, PCORE_CLOCK_MONOTONIC, 0);
}

/* ---- control ---- */

static int64_t cpus_here(const struct pcore_node *n)
{
	return n->spec.cpus_here > 0 ? n->spec.cpus_here : n->spec.cpus;
}

static void announce(struct pcore_node *n)
{
	PCORE_LIST_FOREACH_SAFE(node, &n->sessions)
		node_session_announce(container_of(node, struct node_session, link));
}

int pcore_node_control(struct pcore_node *n, enum pcore_wire_control_what what, int64_t value)
{
	switch (what) {
	case PCORE_WIRE_START:
		n->stopped = n->draining = false;
		break;
	case PCORE_WIRE_STOP:
		n->stopped = true;
		break;
	case PCORE_WIRE_DRAIN_IT:
		n->draining = true;
		PCORE_LIST_FOREACH_SAFE(node, &n->sessions)
			node_session_give_back(container_of(node, struct node_session, link));
		break;
	case PCORE_WIRE_CPUS:
		if (value < 0)
			value += cpus_here(n);
		if (value < 0 || value > UINT16_MAX)
			return -EINVAL;
		if (value > 0 && pcore_pool_set_jobs(n->pool, (unsigned)value) < 0)
			return -ENOMEM;
		n->cpus = (unsigned)value;
		break;
	case PCORE_WIRE_QUIT:
		if (n->spec.quit)
			n->spec.quit(n->spec.ctx);
		return 0;
	}
	pcore_pool_kick(n->pool);
	node_workers_resize(n);
	announce(n);
	return 0;
}

void node_check_idle(struct pcore_node *n)
{
	if (!n->down || n->told_idle || n->n_running > 0 || !pcore_list_empty(&n->sessions) || pcore_op_live(&n->trash_op) ||
		pcore_op_live(&n->look) || !node_dials_quiet(n))
		return;

	n->told_idle = true;
	pcore_pool_stop(n->pool, PCORE_POOL_KILL);
	if (n->spec.idle)
		n->spec.idle(n->spec.ctx);
}

/* Sessions end with their jobs. */
void pcore_node_shutdown(struct pcore_node *n, enum pcore_wire_how how)
{
	n->down = n->stopped = true;
	node_dials_stop(n);
	if (how == PCORE_WIRE_KILL_IT) {
		n->trash_left = true;
		pcore_op_cancel(n->loop, &n->trash_op);
	}
	PCORE_LIST_FOREACH_SAFE(node, &n->sessions) {
		struct node_session *s = container_of(node, struct node_session, link);

		node_session_end(s, how);
	}
	node_check_idle(n);
}

int pcore_node_status(struct pcore_node *n, struct pcore_wire_status *ret, struct pcore_buf *jobs)
{
	*ret = (struct pcore_wire_status){
		.name = n->spec.name,
		.software = n->spec.software,
		.state = n->draining ? PCORE_WIRE_DRAINING : n->stopped ? PCORE_WIRE_STOPPED : PCORE_WIRE_SERVING,
		.start_ns = n->start_ns,
		.cpus = n->cpus,
		.cpus_here = (uint64_t)cpus_here(n),
		.memory = n->spec.memory,
		.queued = n->n_queued,
		.running = n->n_running + node_workers_busy(n),
		.succeeded = n->succeeded,
		.failed = n->failed,
		.cpu_ns = n->cpu_ns,
	};
	PCORE_LIST_FOREACH_SAFE(node, &n->sessions) {
		struct node_session *s = container_of(node, struct node_session, link);
		int r = node_session_list(s, jobs, &ret->jobs.n);

		if (r < 0)
			return r;
	}
	ret->jobs.data = jobs->data;
	ret->jobs.len = jobs->len;
	if (ret->jobs.n > 0)
		ret->has |= PCORE_WIRE_HAS(PCORE_WIRE_STATUS_JOBS);
	return 0;
}

/* ---- life ---- */

static int make_pool(struct pcore_node *n, struct pcore_err *err)
{
	static const struct pcore_pool_owner owner = {
		.next = next,
		.started = started,
		.output = node_job_output,
		.again = again,
		.exited = exited,
		.done = done,
		.limited = limited,
		.idle = pool_idle,
	};
	const struct pcore_local_spec local = {
		.keeper = n->keeper,
		.times = { .timeout = INT64_MAX, .kill_after = NS_PER_S, .linger = INT64_MAX, .signal = SIGTERM },
		.describe = node_describe,
		.input = node_input,
		.input_over = node_input_over,
		.ctx = n,
	};
	struct pcore_pool_spec spec = { .jobs = n->cpus > 0 ? n->cpus : 1, .lingering = 1024, .shares_fds = true };
	int r = pcore_local_new(&n->ex, n->loop, &local, err);

	if (r < 0)
		return r;
	r = pcore_pool_new(&n->pool, n->loop, &spec, &owner, n, n->ex);
	if (r < 0) {
		n->ex->ops->free(n->ex);
		return pcore_err_set(err, r, PCORE_STEP_CLONE, "");
	}
	return 0;
}

static int open_workdir(struct pcore_node *n, struct pcore_err *err)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

	n->workdir_fd = open(n->spec.workdir, flags);
	if (n->workdir_fd < 0 || (mkdirat(n->workdir_fd, TRASH, 0700) < 0 && errno != EEXIST))
		return pcore_err_set(err, -errno, PCORE_STEP_OPEN, n->spec.workdir);
	n->trash.fd = openat(n->workdir_fd, TRASH, flags);
	return n->trash.fd < 0 ? pcore_err_set(err, -errno, PCORE_STEP_OPEN, n->spec.workdir) : 0;
}

int pcore_node_new(struct pcore_node **ret, struct pcore_loop *lp, const struct pcore_node_spec *spec, struct pcore_err *err)
{
	struct pcore_node *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return pcore_err_set(err, -ENOMEM, PCORE_STEP_CLONE, "");

	n->spec = *spec;
	n->loop = lp;
	n->cpus = spec->cpus;
	n->workdir_fd = n->trash.fd = -EBADF;
	n->trash_op.done = trash_due;
	n->look.done = node_input_look;
	pcore_list_init(&n->streams);
	n->start_ns = pcore_clock_ns(CLOCK_REALTIME);
	pcore_list_init(&n->sessions);
	pcore_list_init(&n->dials);
	pcore_list_init(&n->queue);
	pcore_list_init(&n->workers);
	n->spare = PCORE_SPARE_INIT(sizeof(struct node_job), NODE_SPARE_MAX);
	r = getrandom(&n->instance, sizeof(n->instance), 0) < 0 ? pcore_err_set(err, -errno, PCORE_STEP_OPEN, "random numbers") : 0;
	if (r == 0 && node_stock_new(n) < 0)
		r = pcore_err_set(err, -ENOMEM, PCORE_STEP_CLONE, "");
	if (r == 0 && spec->workdir)
		r = open_workdir(n, err);
	if (r == 0)
		r = pcore_keeper_new(&n->keeper, false, spec->sandbox == PCORE_SANDBOX_STRICT, err);
	if (r == 0)
		r = make_pool(n, err);
	if (r < 0) {
		pcore_node_free(n);
		return r;
	}
	*ret = n;
	return 0;
}

void pcore_node_free(struct pcore_node *n)
{
	if (!n)
		return;

	assert(pcore_list_empty(&n->sessions));
	assert(pcore_list_empty(&n->queue));
	assert(pcore_list_empty(&n->workers));
	assert(!pcore_op_live(&n->trash_op) && !pcore_op_live(&n->look));

	node_dials_free(n);
	pcore_pool_free(n->pool);
	pcore_keeper_free(n->keeper);
	n->trash.fd = pcore_fd_close(n->trash.fd);
	n->workdir_fd = pcore_fd_close(n->workdir_fd);
	node_stock_free(n);
	pcore_spare_done(&n->spare);
	free(n->words.argv);
	free(n->vars_list);
	pcore_buf_done(&n->vars);
	free(n);
}
