/* SPDX-License-Identifier: MIT */
/*
 * workers.c - the executor that sends items to processes that stay: which worker gets an item, and how one is started.
 */
#include "libcore/pool/worker.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum { TERMINAL_LINE_MAX = 4094, READ_SIZE = 128 * 1024 };

static struct workers *workers_of(const struct pcore_executor *ex)
{
	return container_of(ex, struct workers, ex);
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

static struct worker *worker_alloc(struct workers *l, unsigned slot, struct pcore_err *err)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;

	w->pool = l;
	w->slot = slot;
	worker_init(w);
	w->out.buf = w->err.buf = l->buf;
	w->out.buf_size = w->err.buf_size = READ_SIZE;
	if (pcore_tree_new(&w->tree, l->spec.keeper, err) < 0) {
		free(w);
		return NULL;
	}
	return w;
}

static int find_slot(struct workers *l, struct worker **ret, struct pcore_err *err)
{
	for (unsigned i = 0; i < l->jobs; i++) {
		if (!l->slots[i]) {
			(void)pcore_err_set(err, -ENOMEM, PCORE_STEP_CLONE, "");
			l->slots[i] = worker_alloc(l, i + 1, err);
			if (!l->slots[i])
				return err->code;
			err->code = 0;
		}
		*ret = l->slots[i];
		if ((*ret)->state == EMPTY)
			return 0;
	}
	return -EAGAIN;
}

static int start_worker(struct workers *l, struct worker **ret, struct pcore_err *err)
{
	struct worker *w = NULL;
	int fds[3], r = find_slot(l, &w, err);

	if (r < 0)
		return r;
	r = spawn(w, fds, err);
	if (r < 0)
		return r;

	w->state = SERVING;
	w->cause = NOTHING;
	w->answers = (struct pcore_answers){ .form = l->spec.form };
	w->in = PCORE_BUF_INIT(0);
	w->sent = w->sent_total = 0;
	w->n_items = w->n_answers = w->last_seq = 0;
	w->closed_at = w->silent_at = 0;
	w->exited = w->gone = w->told_slow = false;
	w->ahead = 1;
	w->mark = pcore_loop_now(l->loop);
	worker_begin_wait(w, w->mark);
	w->service = INT64_MAX;
	w->init_due = l->spec.init && worker_put(w, l->spec.init, l->spec.init_len) == 0;
	l->live++;
	watch(w, fds);
	*ret = w;
	return 0;
}

/* An idle worker, else a new one, else the one that was sent something longest ago. What was tried before gets a new one. */
static int choose(struct workers *l, const struct pcore_job *job, struct worker **ret, struct pcore_err *err)
{
	struct worker *w = pcore_list_empty(&l->roomy) ? NULL : container_of(l->roomy.next, struct worker, roomy);
	int r = 0;

	if (l->live < l->jobs && !l->given_up && !(w && worker_is_idle(w) && job->attempt == 1 && !job->fresh))
		r = start_worker(l, ret, err);
	else if (!w)
		return -EAGAIN;
	else
		*ret = w;
	if (r < 0 && w) {
		*ret = w;
		r = 0;
	}
	return r;
}

/* ---- the dispatcher's side ---- */

int pcore_worker_check(const struct pcore_worker_spec *spec, const char *item, size_t len)
{
	if (spec->form.kind != PCORE_ANSWER_FRAMES && len > 0 && memchr(item, '\n', len))
		return -EBADMSG;
	return spec->pty && len > TERMINAL_LINE_MAX ? -EMSGSIZE : 0;
}

static int workers_start(struct pcore_executor *ex, struct pcore_job *job, struct pcore_err *err)
{
	struct workers *l = workers_of(ex);
	struct worker *w = NULL;
	const char *item;
	size_t len;
	int r = l->spec.item(l->spec.ctx, job, &item, &len);

	if (r == 0)
		r = pcore_worker_check(&l->spec, item, len);
	if (r < 0)
		return pcore_err_set(err, r, PCORE_STEP_NONE, "");
	r = choose(l, job, &w, err);
	if (r < 0)
		return r;
	r = worker_make_place(w);
	if (r == 0)
		r = worker_put(w, item, len);
	if (r < 0)
		return pcore_err_set(err, r, PCORE_STEP_NONE, "");

	if (worker_is_idle(w)) {
		w->mark = pcore_loop_now(l->loop);
		worker_begin_wait(w, w->mark);
	}
	worker_add_job(w, job);
	if (++w->n_items == l->spec.items_max)
		worker_step(w, CLOSE);
	worker_place(w);
	return 0;
}

static bool workers_have_room(const struct pcore_executor *ex)
{
	const struct workers *l = workers_of(ex);

	return !l->given_up && (!pcore_list_empty(&l->roomy) || l->live < l->jobs);
}

static void workers_flush(struct pcore_executor *ex)
{
	struct workers *l = workers_of(ex);
	struct pcore_list *node;

	while ((node = pcore_list_pop(&l->unsent))) {
		struct worker *w = container_of(node, struct worker, unsent);

		worker_pump(w);
		worker_place(w);
		worker_set_timer(w);
	}
}

static void workers_close(struct pcore_executor *ex, enum pcore_pool_stop how)
{
	struct workers *l = workers_of(ex);

	for (unsigned i = 0; l->live > 0 && i < l->n_slots; i++) {
		struct worker *w = l->slots[i];

		if (!w || w->state == EMPTY || w->state == DEAD)
			continue;
		worker_step(w, how >= PCORE_POOL_END ? STOP : CLOSE);
		if (how == PCORE_POOL_KILL)
			pcore_proc_kill(&w->proc, PCORE_KILLED_CANCEL);
	}
}

static bool workers_busy(const struct pcore_executor *ex)
{
	return workers_of(ex)->live > 0;
}

static int workers_resize(struct pcore_executor *ex, unsigned jobs)
{
	struct workers *l = workers_of(ex);

	if (jobs > l->n_slots) {
		struct worker **slots = realloc(l->slots, jobs * sizeof(struct worker *));

		if (!slots)
			return -ENOMEM;
		memset(slots + l->n_slots, 0, (jobs - l->n_slots) * sizeof(struct worker *));
		l->slots = slots;
		l->n_slots = jobs;
	}
	l->jobs = jobs;
	for (unsigned i = jobs; i < l->n_slots; i++)
		if (l->slots[i])
			worker_step(l->slots[i], CLOSE);
	return 0;
}

static void workers_signal(struct pcore_executor *ex, struct pcore_job *job, int sig)
{
	struct worker *w = job->run;

	(void)ex;
	if (worker_first_job(w) == job) /* one signal for all of its jobs */
		pcore_proc_signal_tree(&w->proc, sig);
}

static void workers_end(struct pcore_executor *ex, struct pcore_job *job)
{
	(void)ex;
	worker_step(job->run, STOP);
}

static void workers_kill(struct pcore_executor *ex, struct pcore_job *job)
{
	struct worker *w = job->run;

	(void)ex;
	worker_step(w, STOP);
	if (worker_first_job(w) == job && w->state == ENDING)
		pcore_proc_kill(&w->proc, PCORE_KILLED_CANCEL);
}

static void workers_go_on(struct pcore_executor *ex, struct pcore_job *job)
{
	struct worker *w = job->run;

	(void)ex;
	pcore_reader_resume(&w->out);
}

void pcore_worker_resume_errors(struct pcore_executor *ex, unsigned slot)
{
	pcore_reader_resume(&workers_of(ex)->slots[slot - 1]->err);
}

struct pcore_job *pcore_worker_job(const struct pcore_executor *ex, unsigned slot)
{
	const struct workers *l = workers_of(ex);

	return slot > 0 && slot <= l->n_slots && l->slots[slot - 1] ? worker_first_job(l->slots[slot - 1]) : NULL;
}

unsigned pcore_worker_busy(const struct pcore_executor *ex)
{
	return workers_of(ex)->busy;
}

static void workers_free(struct pcore_executor *ex)
{
	struct workers *l = workers_of(ex);

	for (unsigned i = 0; i < l->n_slots; i++) {
		struct worker *w = l->slots[i];

		if (!w)
			continue;
		assert(w->state == EMPTY);
		pcore_tree_free(w->tree);
		pcore_buf_done(&w->in);
		free(w->jobs);
		free(w);
	}
	free(l->slots);
	free(l->buf);
	free(l);
}

int pcore_worker_new(struct pcore_executor **ret, struct pcore_loop *lp, const struct pcore_worker_spec *spec, struct pcore_err *err)
{
	static const struct pcore_executor_ops ops = {
		.start = workers_start,
		.signal = workers_signal,
		.end = workers_end,
		.kill = workers_kill,
		.resume = workers_go_on,
		.free = workers_free,
		.has_room = workers_have_room,
		.flush = workers_flush,
		.close = workers_close,
		.busy = workers_busy,
		.resize = workers_resize,
	};
	struct workers *l = calloc(1, sizeof(*l));

	assert(spec->jobs > 0 && spec->window > 0);

	if (!l)
		return pcore_err_set(err, -ENOMEM, PCORE_STEP_CLONE, "");

	l->ex.ops = &ops;
	l->loop = lp;
	l->spec = *spec;
	pcore_list_init(&l->roomy);
	pcore_list_init(&l->unsent);
	l->buf = malloc(READ_SIZE);
	if (!l->buf || workers_resize(&l->ex, spec->jobs) < 0) {
		workers_free(&l->ex);
		return pcore_err_set(err, -ENOMEM, PCORE_STEP_CLONE, "");
	}
	*ret = &l->ex;
	return 0;
}
