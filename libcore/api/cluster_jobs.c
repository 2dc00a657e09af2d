/* SPDX-License-Identifier: MIT */
/*
 * cluster_jobs.c - the jobs of a handle: submitted, waited for, cancelled, mapped.
 */
#include "libcore/api/cluster.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
	ARGS_MAX = 8 << 20, /* bytes of a job's words: what a node can be told has to fit twice */
	MAP_WINDOW = 4096,  /* jobs of a map that are there at a time */
};

/* What a result has had from the beginning. */
#define RESULT_LEAST (offsetof(struct pcore_cluster_client_result, err_size) + sizeof(size_t))

/* ---- a job ---- */

char **pcore_cc_copy(char *const *first, char *const *second)
{
	char *const *lists[] = { first, second };
	size_t n = 0, len = 0, at = 0;
	char **ret, *text;

	for (size_t k = 0; k < ARRAY_SIZE(lists); k++)
		for (size_t i = 0; lists[k] && lists[k][i]; i++, n++)
			len += strlen(lists[k][i]) + 1;
	ret = malloc((n + 1) * sizeof(*ret) + len);
	if (!ret)
		return NULL;
	text = (char *)(ret + n + 1);
	for (size_t k = 0; k < ARRAY_SIZE(lists); k++)
		for (size_t i = 0; lists[k] && lists[k][i]; i++) {
			ret[at++] = text;
			text = stpcpy(text, lists[k][i]) + 1;
		}
	ret[at] = NULL;
	return ret;
}

static int check_words(char *const *words, size_t *len)
{
	for (size_t i = 0; words && words[i]; i++)
		*len += strlen(words[i]) + 1;
	return *len > ARGS_MAX ? -E2BIG : 0;
}

static void work_free(struct pcore_cluster_client *c, struct cluster_work *w)
{
	if (w->state == CLUSTER_ENDED && pcore_list_empty(&w->map_link))
		c->n_ended--;
	pcore_map_remove(&c->by_id, &w->node);
	pcore_heap_remove(&c->queue, &w->order);
	pcore_cc_kind_put(c, w->kind);
	pcore_list_del(&w->link);
	pcore_list_del(&w->map_link);
	pcore_buf_done(&w->out[0]);
	pcore_buf_done(&w->out[1]);
	free(w->argv);
	free(w);
}

static int enqueue(struct pcore_cluster_client *c, struct cluster_work *w, int priority)
{
	int r;

	w->id = c->last_id + 1;
	w->order.key = priority;
	r = pcore_map_insert(&c->by_id, &w->node, &w->id, sizeof(w->id));
	if (r < 0)
		return r;
	r = pcore_heap_insert(&c->queue, &w->order);
	if (r < 0) {
		pcore_map_remove(&c->by_id, &w->node);
		return r;
	}
	w->job.seq = c->last_id = w->id;
	return 0;
}

static int submit(struct pcore_cluster_client *c, char *const *argv, char *const *more, struct cluster_kind *kind, int priority,
	struct cluster_work **ret)
{
	struct cluster_work *w;
	size_t len = 0;
	int r;

	if (c->gave_up)
		return -EHOSTUNREACH;
	r = check_words(argv, &len);
	if (r == 0)
		r = check_words(more, &len);
	if (r < 0)
		return r;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	pcore_list_init(&w->link);
	pcore_list_init(&w->map_link);
	w->attempt = 1;
	w->argv = pcore_cc_copy(argv, more);
	r = w->argv ? enqueue(c, w, priority) : -ENOMEM;
	if (r < 0) {
		free(w->argv);
		free(w);
		return r;
	}
	w->kind = kind;
	kind->refs++;
	pcore_pool_kick(c->pool);
	*ret = w;
	return 0;
}

static void work_ended(struct pcore_cluster_client *c, struct cluster_work *w, int error)
{
	bool mapped = !pcore_list_empty(&w->map_link);

	pcore_heap_remove(&c->queue, &w->order);
	pcore_list_del(&w->link);
	w->state = CLUSTER_ENDED;
	w->error = w->error < 0 ? w->error : error;
	pcore_list_add_tail(mapped ? &c->map_ended : &c->ended, &w->link);
	c->n_ended += !mapped;
}

static struct cluster_work *first_queued(const struct pcore_cluster_client *c)
{
	struct pcore_heap_node *top = pcore_heap_top(&c->queue);

	return top ? container_of(top, struct cluster_work, order) : NULL;
}

void pcore_cc_give_up(struct pcore_cluster_client *c)
{
	struct cluster_work *w;

	while ((w = first_queued(c)))
		work_ended(c, w, -EHOSTUNREACH);
}

void pcore_cc_free_works(struct pcore_cluster_client *c)
{
	struct pcore_list *lists[] = { &c->begun, &c->ended, &c->map_ended };
	struct cluster_work *w;

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		PCORE_LIST_FOREACH_SAFE(node, lists[i])
			work_free(c, container_of(node, struct cluster_work, link));
	while ((w = first_queued(c)))
		work_free(c, w);
	pcore_heap_done(&c->queue);
	pcore_map_done(&c->by_id);
}

/* ---- what the pool and the executor ask and tell ---- */

static struct cluster_work *work_of(struct pcore_job *job)
{
	return container_of(job, struct cluster_work, job);
}

static int next(void *ctx, struct pcore_job **ret)
{
	struct pcore_cluster_client *c = ctx;
	struct cluster_work *w = first_queued(c);

	if (!w)
		return 0;
	pcore_heap_remove(&c->queue, &w->order);
	w->state = CLUSTER_BEGUN;
	pcore_list_add_tail(&c->begun, &w->link);
	*ret = &w->job;
	return 1;
}

int pcore_cc_args(void *ctx, struct pcore_job *job, char ***ret)
{
	(void)ctx;
	*ret = pcore_cc_copy(work_of(job)->argv, NULL);
	return *ret ? 0 : -ENOMEM;
}

struct pcore_cluster_kind *pcore_cc_kind(void *ctx, const struct pcore_job *job, int32_t *ret_priority)
{
	const struct cluster_work *w = container_of(job, struct cluster_work, job);

	(void)ctx;
	*ret_priority = (int32_t)w->order.key;
	return &w->kind->kind;
}

static bool output(void *ctx, struct pcore_job *job, enum pcore_job_stream stream, const char *data, size_t len)
{
	const struct pcore_cluster_client *c = ctx;
	struct cluster_work *w = work_of(job);
	struct pcore_buf *b = &w->out[stream == PCORE_JOB_STDERR];
	uint64_t room = c->spec.output_max - b->len;

	if (len > room) {
		len = (size_t)room;
		w->cut = true;
	}
	if (pcore_buf_add(b, data, len) < 0)
		w->error = -ENOMEM;
	return true;
}

static void again(void *ctx, struct pcore_job *job)
{
	struct cluster_work *w = work_of(job);

	(void)ctx;
	pcore_buf_clear(&w->out[0]);
	pcore_buf_clear(&w->out[1]);
	w->cut = false;
	w->error = 0;
	w->attempt++;
}

static void done(void *ctx, struct pcore_job *job)
{
	struct pcore_cluster_client *c = ctx;
	struct cluster_work *w = work_of(job);
	const struct pcore_job_result *r = &job->result;
	bool ran = job->state == PCORE_JOB_DONE && (r->error.code < 0 || r->exit.code != 0);

	if (r->node)
		(void)strncat(w->where, r->node, sizeof(w->where) - 1);
	if (ran)
		work_ended(c, w, 0);
	else if (w->cancelled)
		work_ended(c, w, -ECANCELED);
	else
		work_ended(c, w, c->gave_up ? -EHOSTUNREACH : -EOWNERDEAD);
}

void pcore_cc_cut(const struct pcore_job *job)
{
	work_of((struct pcore_job *)(uintptr_t)job)->cut = true;
}

static void idle(void *ctx)
{
	((struct pcore_cluster_client *)ctx)->idle = true;
}

const struct pcore_pool_owner pcore_cc_owner = { .next = next, .output = output, .again = again, .done = done, .idle = idle };

/* ---- telling ---- */

static void describe(struct cluster_work *w, struct pcore_cluster_client_result *r)
{
	const struct pcore_job_result *jr = &w->job.result;

	r->id = w->id;
	r->error = w->error < 0 ? w->error : jr->error.code;
	r->exit = -1;
	r->status = w->error < 0 ? 125 : pcore_job_status(&w->job);
	if (r->error == 0 && jr->exit.code == CLD_EXITED)
		r->exit = jr->exit.status;
	else if (r->error == 0)
		r->signal = jr->exit.status;
	r->timed_out = jr->timed_out;
	r->cancelled = w->cancelled;
	r->lost = w->error == -EOWNERDEAD;
	r->cut = w->cut;
	r->attempt = w->attempt;
	r->usage = jr->exit.usage;
	r->wall = jr->wall_ns;
	memcpy(r->node, w->where, sizeof(r->node));
	r->out = w->out[0].data;
	r->out_size = w->out[0].len;
	r->err = w->out[1].data;
	r->err_size = w->out[1].len;
}

_Static_assert(sizeof(((struct pcore_cluster_client_result *)0)->node) == sizeof(((struct cluster_work *)0)->where), "the same length");

/* The outputs become r's. -ENOMEM: nothing has happened. */
static int take_result(struct cluster_work *w, struct pcore_cluster_client_result *r)
{
	if (pcore_buf_terminate(&w->out[0]) < 0 || pcore_buf_terminate(&w->out[1]) < 0)
		return -ENOMEM;
	describe(w, r);
	w->out[0] = w->out[1] = PCORE_BUF_INIT(0);
	return 0;
}

static int tell(struct pcore_cluster_client *c, struct cluster_work *w, struct pcore_cluster_client_result *ret)
{
	struct pcore_cluster_client_result r = { .size = sizeof(r) };
	int code = ret ? take_result(w, &r) : 0;

	if (code < 0)
		return code;
	if (ret)
		(void)pcore_sized_out(ret, RESULT_LEAST, &r, sizeof(r));
	work_free(c, w);
	return 0;
}

void pcore_cluster_client_result_done(struct pcore_cluster_client_result *r)
{
	if (!r)
		return;
	free(r->out);
	free(r->err);
	r->out = r->err = NULL;
	r->out_size = r->err_size = 0;
}

/* ---- calls ---- */

static struct cluster_work *find(const struct pcore_cluster_client *c, uint64_t id)
{
	struct pcore_map_node *node = pcore_map_find(&c->by_id, &id, sizeof(id));

	return node ? container_of(node, struct cluster_work, node) : NULL;
}

static bool is_ended(struct pcore_cluster_client *c, void *arg)
{
	(void)c;
	return ((const struct cluster_work *)arg)->state == CLUSTER_ENDED;
}

static bool any_ended(struct pcore_cluster_client *c, void *arg)
{
	(void)arg;
	return !pcore_list_empty(&c->ended);
}

/* Whatever there is. */
static bool never(struct pcore_cluster_client *c, void *arg)
{
	(void)c, (void)arg;
	return false;
}

static int check_result(const struct pcore_cluster_client_result *ret)
{
	return ret ? pcore_sized_out((void *)ret, RESULT_LEAST, NULL, 0) : 0;
}

static bool is_command(char *const *argv)
{
	return argv && argv[0] && argv[0][0];
}

static int submit_job(struct pcore_cluster_client *c, const struct pcore_cluster_client_job *job, uint64_t *ret_id)
{
	struct pcore_cluster_client_job j;
	struct cluster_kind *kind = NULL;
	struct cluster_work *w;
	int r = pcore_sized_in(&j, sizeof(j), job);

	if (r == 0)
		r = is_command(j.argv) && ret_id ? pcore_cc_kind_get(c, &j, &kind) : -EINVAL;
	if (r == 0)
		r = submit(c, j.argv, NULL, kind, j.priority, &w);
	if (r == 0)
		*ret_id = w->id;
	pcore_cc_kind_put(c, kind);
	return r;
}

int pcore_cluster_client_submit(struct pcore_cluster_client *c, char *const *argv, uint64_t *ret_id)
{
	struct cluster_work *w;
	int r = pcore_cc_enter(c);

	if (r < 0)
		return r;
	r = is_command(argv) && ret_id ? submit(c, argv, NULL, c->plain, 0, &w) : -EINVAL;
	if (r == 0)
		*ret_id = w->id;
	return pcore_cc_leave(c, r);
}

int pcore_cluster_client_submit_job(struct pcore_cluster_client *c, const struct pcore_cluster_client_job *job, uint64_t *ret_id)
{
	int r = pcore_cc_enter(c);

	return r < 0 ? r : pcore_cc_leave(c, submit_job(c, job, ret_id));
}

int pcore_cluster_client_wait(
	struct pcore_cluster_client *c, uint64_t id, int64_t timeout, struct pcore_cluster_client_result *ret)
{
	struct cluster_work *w;
	int r = pcore_cc_enter(c);

	if (r < 0)
		return r;
	w = find(c, id);
	r = w ? check_result(ret) : -ENOENT;
	if (r == 0)
		r = pcore_cc_until(c, timeout, is_ended, w);
	if (r == 0)
		r = tell(c, w, ret);
	return pcore_cc_leave(c, r);
}

int pcore_cluster_client_next(struct pcore_cluster_client *c, int64_t timeout, struct pcore_cluster_client_result *ret)
{
	int r = pcore_cc_enter(c);

	if (r < 0)
		return r;
	r = c->by_id.len > 0 ? check_result(ret) : -ENODATA;
	if (r == 0)
		r = pcore_cc_until(c, timeout, any_ended, NULL);
	if (r == 0)
		r = tell(c, container_of(c->ended.next, struct cluster_work, link), ret);
	return pcore_cc_leave(c, r);
}

int pcore_cluster_client_run_once(struct pcore_cluster_client *c, int64_t timeout)
{
	int r = pcore_cc_enter(c);

	if (r < 0)
		return r;
	r = pcore_cc_until(c, 0, never, NULL);
	if (r == -ETIMEDOUT && c->n_ended == 0)
		r = pcore_cc_until(c, timeout, any_ended, NULL);
	if (r == 0 || r == -ETIMEDOUT)
		r = c->n_ended < INT_MAX ? (int)c->n_ended : INT_MAX;
	return pcore_cc_leave(c, r);
}

static void cancel(struct pcore_cluster_client *c, struct cluster_work *w)
{
	if (w->state == CLUSTER_ENDED || w->cancelled)
		return;
	w->cancelled = true;
	if (w->state == CLUSTER_QUEUED)
		work_ended(c, w, -ECANCELED);
	else
		pcore_pool_end(c->pool, &w->job);
}

int pcore_cluster_client_cancel(struct pcore_cluster_client *c, uint64_t id)
{
	struct cluster_work *w;
	int r = pcore_cc_enter(c);

	if (r < 0)
		return r;
	w = find(c, id);
	if (w)
		cancel(c, w);
	return pcore_cc_leave(c, w ? 0 : -ENOENT);
}

/* ---- a map ---- */

struct map {
	struct pcore_cluster_client_map in;
	struct cluster_kind *kind;
	int priority;
	size_t begun;
	bool failed;
};

static int fill(struct pcore_cluster_client *c, struct map *m, size_t told)
{
	struct cluster_work *w;

	while (m->begun < m->in.n && m->begun - told < MAP_WINDOW) {
		int r = submit(c, m->in.argv, m->in.args[m->begun], m->kind, m->priority, &w);

		if (r < 0)
			return r;
		pcore_list_add_tail(&c->mapped, &w->map_link);
		w->index = m->begun++;
	}
	return 0;
}

static int tell_one(struct pcore_cluster_client *c, struct map *m, struct cluster_work *w)
{
	struct pcore_cluster_client_result r = { .size = sizeof(r) };
	size_t i = w->index;
	int code = take_result(w, &r);

	if (code < 0)
		return code;
	m->failed |= r.error < 0 || r.status != 0;
	work_free(c, w);
	code = m->in.done ? m->in.done(m->in.ctx, i, &r) : 0;
	pcore_cluster_client_result_done(&r);
	return code;
}

static void forget_mapped(struct pcore_cluster_client *c)
{
	PCORE_LIST_FOREACH_SAFE(node, &c->mapped)
		cancel(c, container_of(node, struct cluster_work, map_link));
	while (!pcore_list_empty(&c->mapped)) {
		struct cluster_work *w = container_of(c->mapped.next, struct cluster_work, map_link);

		if (pcore_cc_until(c, PCORE_FOREVER, is_ended, w) < 0)
			return; /* the loop is at its end, and close() frees them */
		work_free(c, w);
	}
}

static bool any_mapped_ended(struct pcore_cluster_client *c, void *arg)
{
	(void)arg;
	return !pcore_list_empty(&c->map_ended);
}

/* The next one to be told of, when it has ended. */
static int wait_mapped(struct pcore_cluster_client *c, const struct map *m, struct cluster_work **ret)
{
	int r;

	if (m->in.unordered) {
		r = pcore_cc_until(c, PCORE_FOREVER, any_mapped_ended, NULL);
		*ret = r < 0 ? NULL : container_of(c->map_ended.next, struct cluster_work, link);
	} else {
		*ret = container_of(c->mapped.next, struct cluster_work, map_link);
		r = pcore_cc_until(c, PCORE_FOREVER, is_ended, *ret);
	}
	return r;
}

static int map(struct pcore_cluster_client *c, struct map *m)
{
	struct cluster_work *w;
	int r = 0;

	for (size_t told = 0; r == 0 && told < m->in.n; told++) {
		r = fill(c, m, told);
		if (r == 0)
			r = wait_mapped(c, m, &w);
		if (r == 0)
			r = tell_one(c, m, w);
	}
	if (r != 0)
		forget_mapped(c);
	return r == 0 && m->failed ? -EREMOTEIO : r;
}

static int map_kind(struct pcore_cluster_client *c, struct map *m)
{
	struct pcore_cluster_client_job j = { .size = sizeof(j) };
	int r = m->in.job ? pcore_sized_in(&j, sizeof(j), m->in.job) : 0;

	m->priority = j.priority;
	return r < 0 ? r : pcore_cc_kind_get(c, &j, &m->kind);
}

int pcore_cluster_client_map(struct pcore_cluster_client *c, const struct pcore_cluster_client_map *m)
{
	struct map run = { .kind = NULL };
	int r = pcore_cc_enter(c);

	if (r < 0)
		return r;
	r = pcore_sized_in(&run.in, sizeof(run.in), m);
	if (r == 0 && (!is_command(run.in.argv) || (run.in.n > 0 && !run.in.args)))
		r = -EINVAL;
	if (r == 0)
		r = map_kind(c, &run);
	if (r == 0)
		r = map(c, &run);
	pcore_cc_kind_put(c, run.kind);
	return pcore_cc_leave(c, r);
}
