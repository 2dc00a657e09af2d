/* SPDX-License-Identifier: MIT */
/*
 * client.c - the executor that runs a pool's jobs on nodes.
 *
 * Whatever happens is told to the scheduler where it happens; what the scheduler then wants is carried out by pump(), once a
 * turn of the loop, so that many assignments make one frame.
 */
#include <inttypes.h>
#include <stdio.h>
#include <signal.h>
#include <string.h>

#include "libcore/cluster/client_private.h"

enum { SPARE_MAX = 1 << 12 }; /* runs that are over whose memory is kept for the next ones */

/* Jobs that have input are not many ahead: each holds a block of it. */
enum { CAPACITY_MIN = 64, AHEAD = 64, FED_MIN = 4, FED_AHEAD = 4, HUNGRY = 5 };

/* Of jobs that need different things, those that cannot run keep others waiting only when they are so many. */
enum { KINDS_AHEAD = 1 << 14 };

/* A node has so much to do for its workers. */
#define ITEMS_AHEAD_NS (20 * NS_PER_MS)

/* Workers that have not answered an item for so long, HUNGRY times, may write in blocks, and wait for more of them. */
#define HUNGRY_NS (20 * NS_PER_MS)

static struct cluster *cluster_of(const struct pcore_executor *ex)
{
	return container_of(ex, struct cluster, ex);
}

struct cluster_name *cluster_name(struct cluster *c, const char *name)
{
	struct cluster_name *n;

	PCORE_LIST_FOREACH_SAFE(node, &c->names) {
		n = container_of(node, struct cluster_name, link);
		if (strcmp(n->text, name) == 0)
			return n;
	}
	n = calloc(1, sizeof(*n) + strlen(name) + 1);
	if (!n)
		return NULL;
	strcpy(n->text, name);
	pcore_list_init(&n->link);
	pcore_list_add_tail(&c->names, &n->link);
	return n;
}

struct cluster_run *cluster_find(struct cluster *c, uint64_t id)
{
	return (struct cluster_run *)(uintptr_t)pcore_sched_cookie(c->host.sched, id);
}

void cluster_tell(struct cluster *c, enum pcore_cluster_event ev, const char *name, const char *why, int code, const struct pcore_job *job)
{
	const struct pcore_cluster_news n = { .event = ev, .name = name, .why = why, .code = code, .job = job };

	c->spec.news(c->spec.ctx, &n);
}

/* ---- slots ---- */

static bool grow_slots(struct cluster *c)
{
	size_t n = c->n_slots > 0 ? 2 * c->n_slots : 64;
	bool *slots = realloc(c->slots, n * sizeof(*slots));

	if (!slots)
		return false;
	memset(slots + c->n_slots, 0, (n - c->n_slots) * sizeof(*slots));
	c->slots = slots;
	c->n_slots = n;
	return true;
}

/* The lowest free one, from 1; 0 without memory. */
static unsigned take_slot(struct cluster *c)
{
	const bool *free_one = c->n_slots > 0 ? memchr(c->slots, false, c->n_slots) : NULL;
	size_t i = free_one ? (size_t)(free_one - c->slots) : c->n_slots;

	if (i == c->n_slots && !grow_slots(c))
		return 0;
	c->slots[i] = true;
	return (unsigned)i + 1;
}

/* ---- runs ---- */

static struct cluster_run *run_new(struct cluster *c, struct pcore_job *job)
{
	struct cluster_run *run = pcore_spare_new(&c->spare);

	if (!run)
		return NULL;
	*run = (struct cluster_run){ .cluster = c, .job = job };
	pcore_list_init(&run->all);
	pcore_list_add_tail(&c->runs, &run->all);
	link_job_forget(&run->at);
	c->under_way++;
	return run;
}

static void run_free(struct cluster_run *run)
{
	struct cluster *c = run->cluster;

	pcore_list_del(&run->all);
	link_job_forget(&run->at);
	cluster_begun(run, NULL);
	if (run->slot > 0)
		c->slots[run->slot - 1] = false;
	c->under_way--;
	free(run->args);
	pcore_spare_free(&c->spare, run);
}

void cluster_begun(struct cluster_run *run, struct cluster_name *where)
{
	if (run->where) {
		run->cluster->running--;
		run->where->running--;
	}
	run->where = where;
	if (where) {
		run->cluster->running++;
		where->running++;
	}
}

static void forget_attempt(struct cluster_run *run)
{
	cluster_begun(run, NULL);
	link_job_forget(&run->at);
}

static void fill_in_result(struct cluster_run *run, const struct pcore_sched_news *n)
{
	struct pcore_job *job = run->job;

	if (run->at.ended) { /* then the result is there */
		job->slot = run->at.done.slot;
		if (run->input_error < 0)
			(void)pcore_err_set(&job->result.error, run->input_error, PCORE_STEP_INPUT, "");
		return;
	}
	job->result.cancelled = n->outcome == PCORE_SCHED_CANCELLED;
	job->result.lost = !job->result.cancelled;
}

/* ---- what the scheduler wants ---- */

/* Nothing of it ever ran, and nothing is to run any more. */
static bool never_began(const struct cluster_run *run, const struct pcore_sched_news *n)
{
	bool there = run->at.ended && (run->at.done.code != 0 || run->at.done.error != 0);

	return n->outcome == PCORE_SCHED_CANCELLED && !run->where && !there && !run->job->given_up &&
	       pcore_pool_stopping(run->cluster->ex.pool) != PCORE_POOL_RUN;
}

static void tell_over(const struct cluster_run *run, enum pcore_sched_outcome outcome)
{
	if (outcome == PCORE_SCHED_LOST)
		cluster_tell(run->cluster, PCORE_CLUSTER_LOST, "", "lost with its node, and not run again", 0, run->job);
	else if (outcome == PCORE_SCHED_CRASHED)
		cluster_tell(run->cluster, PCORE_CLUSTER_LOST, "", "set aside: every node it ran on died", 0, run->job);
	if (run->at.ended && run->at.done.flags & (PCORE_WIRE_CUT_STDOUT | PCORE_WIRE_CUT_STDERR))
		cluster_tell(run->cluster, PCORE_CLUSTER_CUT, "", "", 0, run->job);
}

static void over(struct cluster_run *run, const struct pcore_sched_news *n)
{
	struct pcore_pool *p = run->cluster->ex.pool;
	struct pcore_job *job = run->job;
	bool handed_back = never_began(run, n);

	cluster_input_over(run);
	tell_over(run, n->outcome);
	fill_in_result(run, n);
	job->run = NULL;
	run_free(run);
	if (handed_back) {
		pcore_pool_handed_back(p, job);
		return;
	}
	pcore_pool_exited(p, job);
	pcore_pool_finished(p, job);
}

static void again(struct cluster_run *run)
{
	struct pcore_job_result *result = &run->job->result;
	bool begun = run->where != NULL;

	cluster_input_over(run);
	if (run->at.ended) /* but not all of its output was there */
		*result = (struct pcore_job_result){ .start_ns = result->start_ns, .pid = result->pid, .node = result->node };
	forget_attempt(run);
	if (!begun)
		return;
	pcore_pool_lost(run->cluster->ex.pool, run->job);
	cluster_tell(run->cluster, PCORE_CLUSTER_LOST, "", "lost with its node, and run again", 0, run->job);
}

/* Why no node could run it, for people. */
static void no_node(struct cluster_run *run)
{
	struct cluster *c = run->cluster;
	bool *told = run->kind ? &run->kind->told_no_node : &c->told_no_node;
	struct pcore_sched_why w;
	char why[160];

	if (*told || run->at.attempt > 0 || pcore_sched_explain(c->host.sched, run->at.id, &w) < 0 || w.n_nodes == 0 ||
		w.pinned + w.labels + w.cpus + w.memory + w.resources < w.n_nodes)
		return; /* none at all is told as such */
	*told = true;
	(void)snprintf(why, sizeof(why), "of %" PRIu32 " nodes %" PRIu32 " have too few CPUs, %" PRIu32 " too little memory, %" PRIu32
		" not the resources, %" PRIu32 " not the labels, %" PRIu32 " another name", w.n_nodes, w.cpus, w.memory, w.resources, w.labels, w.pinned);
	cluster_tell(c, PCORE_CLUSTER_NO_NODE, "", why, 0, run->job);
}

static void hear_news(struct cluster *c, const struct pcore_sched_news *n)
{
	struct cluster_run *run = (struct cluster_run *)(uintptr_t)n->cookie;

	switch (n->kind) {
	case PCORE_SCHED_OVER:
		over(run, n);
		break;
	case PCORE_SCHED_AGAIN:
		again(run);
		break;
	case PCORE_SCHED_NO_NODE:
		no_node(run);
		break;
	case PCORE_SCHED_ROOM:
	case PCORE_SCHED_DRAINED:
		pcore_pool_kick(c->ex.pool);
		break;
	}
}

static void schedule_tick(struct cluster *c)
{
	int64_t at = pcore_sched_next_ns(c->host.sched), alone;

	alone = c->alone_since == INT64_MAX || c->given_up || c->host.closing ? INT64_MAX : pcore_ns_add(c->alone_since, c->spec.wait_nodes_ns);
	at = alone < at ? alone : at;
	if (c->host.closing)
		at = INT64_MAX;
	if (pcore_op_live(&c->tick))
		pcore_op_cancel(c->host.loop, &c->tick);
	else if (at < INT64_MAX)
		(void)pcore_op_timer(c->host.loop, &c->tick, PCORE_CLOCK_MONOTONIC, at);
}

/* A node has come: is it clear now that the job that has waited longest will never run? */
static void look_for_stuck(struct cluster *c)
{
	if (pcore_list_empty(&c->runs) || c->n_links_up == 0)
		return;
	no_node(container_of(c->runs.next, struct cluster_run, all));
}

/* Workers may wait for more before they answer: as long as nothing has to be done again, there is no more. */
static void all_assigned(struct cluster *c)
{
	struct pcore_sched_counts n = pcore_sched_counts(c->host.sched);

	if (!c->spec.worker || !c->dry || n.waiting + n.queued + n.backoff > 0)
		return;
	PCORE_LIST_FOREACH_SAFE(node, &c->links)
		cluster_end_workers(container_of(node, struct link, link));
}

static void pump(struct pcore_op *op, int res)
{
	struct cluster *c = container_of(op, struct cluster, pump);
	struct pcore_sched_batch b;
	struct pcore_sched_news n;
	bool more = true;

	(void)res;
	while (more) {
		more = false;
		while (pcore_sched_next_news(c->host.sched, &n)) { /* first: that an attempt is lost comes before the next one */
			hear_news(c, &n);
			more = true;
		}
		while (pcore_sched_next_batch(c->host.sched, &b)) {
			link_act(b.ctx, &b);
			more = true;
		}
	}
	if (c->node_came)
		look_for_stuck(c);
	c->node_came = false;
	all_assigned(c);
	schedule_tick(c);
}

void cluster_pump_soon(struct cluster *c)
{
	if (!pcore_op_live(&c->pump))
		(void)pcore_op_timer(c->host.loop, &c->pump, PCORE_CLOCK_MONOTONIC, 0);
}

static void give_up(struct cluster *c)
{
	if (c->given_up || c->host.closing)
		return;
	c->given_up = true;
	cluster_tell(c, PCORE_CLUSTER_GIVE_UP, "", "", 0, NULL);
}

void cluster_look_for_hope(struct cluster *c)
{
	PCORE_LIST_FOREACH_SAFE(node, &c->links)
		if (!container_of(node, struct link, link)->refused)
			return;
	give_up(c);
}

static void tick(struct pcore_op *op, int res)
{
	struct cluster *c = container_of(op, struct cluster, tick);
	int64_t now = pcore_loop_now(c->host.loop);

	if (res == -ETIME) {
		(void)pcore_sched_tick(c->host.sched, now);
		if (c->alone_since != INT64_MAX && now >= pcore_ns_add(c->alone_since, c->spec.wait_nodes_ns))
			give_up(c);
	}
	if (!c->host.closing)
		cluster_pump_soon(c);
}

/* As many jobs as the nodes run and take ahead; before the first has come a few, to have something for it. */
void cluster_count_nodes(struct cluster *c)
{
	const uint64_t least = c->spec.input ? FED_MIN : CAPACITY_MIN;
	const uint64_t ahead = c->spec.input ? FED_AHEAD : c->spec.kind ? KINDS_AHEAD : AHEAD;
	uint64_t capacity = 0;
	unsigned up = 0;

	PCORE_LIST_FOREACH_SAFE(node, &c->links) {
		const struct link *l = container_of(node, struct link, link);

		if (!l->joined)
			continue;
		up++;
		capacity += 2 * l->node.cpus + (c->spec.worker ? 2 * l->ahead : ahead);
	}
	c->n_links_up = up;
	c->capacity = capacity > least ? capacity : least;
	if (c->spec.in_turn) /* all of them, for they share what there is */
		c->capacity = UINT64_MAX;
	if (c->spec.jobs_max > 0 && !c->spec.worker && c->capacity > c->spec.jobs_max)
		c->capacity = c->spec.jobs_max;
	if (up > 0)
		c->alone_since = INT64_MAX;
	else if (c->alone_since == INT64_MAX)
		c->alone_since = pcore_now_ns();
	if (c->ex.pool)
		pcore_pool_kick(c->ex.pool);
	cluster_pump_soon(c);
}

static void watch_hunger(struct cluster *c)
{
	if (c->spec.worker && !pcore_op_live(&c->hungry))
		(void)pcore_op_timer(c->host.loop, &c->hungry, PCORE_CLOCK_MONOTONIC, pcore_ns_add(pcore_loop_now(c->host.loop), HUNGRY_NS));
}

static void look_for_hungry(struct pcore_op *op, int res)
{
	struct cluster *c = container_of(op, struct cluster, hungry);

	if (res != -ETIME || c->host.closing || c->under_way == 0)
		return; /* the next item has it watched again */
	PCORE_LIST_FOREACH_SAFE(node, &c->links) {
		struct link *l = container_of(node, struct link, link);

		l->hungry = l->jobs == l->jobs_seen ? l->hungry + 1 : 0;
		l->jobs_seen = l->jobs;
		if (l->hungry < HUNGRY)
			continue;
		l->hungry = 0;
		link_ahead_more(l);
	}
	watch_hunger(c);
}

/* ---- what the pool wants ---- */

static int describe(struct cluster *c)
{
	int r;

	if (c->described || c->spec.kind)
		return 0;
	pcore_buf_clear(&c->env);
	pcore_buf_clear(&c->template);
	r = c->spec.describe(c->spec.ctx, &c->env, &c->template);
	c->described = r == 0;
	return r;
}

static int submit(struct cluster_run *run)
{
	struct cluster *c = run->cluster;
	struct pcore_sched_jobs jobs = c->spec.jobs;

	if (c->spec.kind) {
		run->kind = c->spec.kind(c->spec.ctx, run->job, &jobs.priority);
		if (!c->spec.shared) /* which takes it from the template */
			jobs.request = run->kind->needs.request;
	}
	jobs.n = 1;
	jobs.cookie = (uintptr_t)run;
	jobs.at_most_once |= c->spec.in_turn;
	return pcore_sched_submit(c->host.sched, pcore_loop_now(c->host.loop), c->client, &jobs, &run->at.id);
}

static int check_item(const struct cluster *c, const struct pcore_job *job)
{
	const struct pcore_worker_spec *w = c->spec.worker;
	const char *item;
	size_t len;
	int r = w->item(w->ctx, job, &item, &len);

	return r < 0 ? r : pcore_worker_check(w, item, len);
}

static int cluster_start(struct pcore_executor *ex, struct pcore_job *job, struct pcore_err *err)
{
	struct cluster *c = cluster_of(ex);
	int r = c->spec.worker ? check_item(c, job) : 0;
	struct cluster_run *run;

	if (r < 0)
		return pcore_err_set(err, r, PCORE_STEP_NONE, "");
	run = run_new(c, job);
	if (!run)
		return pcore_err_set(err, -ENOMEM, PCORE_STEP_CLONE, "");

	if (!c->spec.worker)
		run->slot = take_slot(c);
	job->slot = run->slot;
	job->result.start_ns = pcore_clock_ns(CLOCK_REALTIME);
	r = !c->spec.worker && run->slot == 0 ? -ENOMEM : describe(c);
	if (r == 0 && !c->spec.worker)
		r = c->spec.args(c->spec.ctx, job, &run->args);
	if (r == 0)
		r = submit(run);
	if (r < 0) {
		run_free(run);
		return pcore_err_set(err, r, PCORE_STEP_CLONE, "");
	}
	job->run = run;
	watch_hunger(c);
	return 0;
}

static void cancel(struct pcore_job *job, enum pcore_sched_how how)
{
	struct cluster_run *run = job->run;
	struct cluster *c = run->cluster;

	run->cancelled = true;
	(void)pcore_sched_cancel(c->host.sched, pcore_loop_now(c->host.loop), run->at.id, 1, how);
	link_resume(&run->at); /* whoever had no room may not want the rest at all */
	cluster_pump_soon(c);
}

void cluster_kill_run(struct cluster_run *run)
{
	cancel(run->job, PCORE_SCHED_KILL);
}

void pcore_cluster_feed(struct pcore_job *job)
{
	struct cluster_run *run = job->run;

	if (run && run->at.in.waiting)
		link_feed(&run->at);
}

static void cluster_end(struct pcore_executor *ex, struct pcore_job *job)
{
	(void)ex;
	cancel(job, PCORE_SCHED_END);
}

static void cluster_kill(struct pcore_executor *ex, struct pcore_job *job)
{
	(void)ex;
	cancel(job, PCORE_SCHED_KILL);
}

static void cluster_signal(struct pcore_executor *ex, struct pcore_job *job, int sig)
{
	struct cluster_run *run = job->run;

	(void)ex;
	if (run->where)
		link_signal(&run->at, sig);
	else if (sig == SIGINT || sig == SIGTERM || sig == SIGQUIT) /* it would begin after it was to end */
		cancel(job, PCORE_SCHED_END);
}

static void cluster_resume(struct pcore_executor *ex, struct pcore_job *job)
{
	struct cluster_run *run = job->run;

	(void)ex;
	link_resume(&run->at);
}

static bool cluster_has_room(const struct pcore_executor *ex)
{
	const struct cluster *c = cluster_of(ex);

	return c->under_way < c->capacity && !c->given_up;
}

static void cluster_flush(struct pcore_executor *ex)
{
	cluster_pump_soon(cluster_of(ex));
}

/* What no node has yet is not begun any more. */
static void give_back(struct cluster *c)
{
	PCORE_LIST_FOREACH_SAFE(node, &c->runs) {
		struct cluster_run *run = container_of(node, struct cluster_run, all);

		if (run->at.attempt == 0 && !run->cancelled)
			cancel(run->job, PCORE_SCHED_END);
	}
}

static void cluster_close(struct pcore_executor *ex, enum pcore_pool_stop how)
{
	struct cluster *c = cluster_of(ex);

	if (how == PCORE_POOL_DRAIN)
		give_back(c);
	if (c->under_way > 0 || pcore_pool_counts(ex->pool).waiting > 0) {
		c->dry = true;
		cluster_pump_soon(c);
		return; /* these need their nodes, or others */
	}
	if (c->host.closing && how != PCORE_POOL_KILL)
		return;
	c->host.closing = true;
	PCORE_LIST_FOREACH_SAFE(node, &c->links)
		cluster_close_link(container_of(node, struct link, link), how == PCORE_POOL_KILL);
	pcore_op_cancel(c->host.loop, &c->tick);
	pcore_op_cancel(c->host.loop, &c->hungry);
}

/* Until all connections have ended. */
static bool cluster_busy(const struct pcore_executor *ex)
{
	const struct cluster *c = cluster_of(ex);

	PCORE_LIST_FOREACH_SAFE(node, (struct pcore_list *)&c->links) {
		const struct link *l = container_of(node, struct link, link);

		if (l->conn || pcore_op_live(&l->retry))
			return true;
	}
	return c->under_way > 0;
}

static int cluster_resize(struct pcore_executor *ex, unsigned jobs)
{
	struct cluster *c = cluster_of(ex);

	c->spec.jobs_max = jobs;
	PCORE_LIST_FOREACH_SAFE(node, &c->links)
		link_count_cpus(container_of(node, struct link, link));
	cluster_count_nodes(c);
	return 0;
}

static void cluster_free(struct pcore_executor *ex)
{
	struct cluster *c = cluster_of(ex);
	struct pcore_list *node;

	assert(c->under_way == 0 && !pcore_op_live(&c->pump) && !pcore_op_live(&c->tick));
	assert(!pcore_op_live(&c->hungry));

	while ((node = pcore_list_pop(&c->links))) {
		struct link *l = container_of(node, struct link, link);

		free(l->owner);
		link_free(l);
	}
	while ((node = pcore_list_pop(&c->names)))
		free(container_of(node, struct cluster_name, link));
	free(c->numbers);
	pcore_sched_free(c->host.sched);
	pcore_spare_done(&c->spare);
	pcore_buf_done(&c->env);
	pcore_buf_done(&c->template);
	free(c->slots);
	free(c);
}

int pcore_cluster_new(struct pcore_executor **ret, struct pcore_loop *lp, const struct pcore_cluster_spec *spec, struct pcore_err *err)
{
	static const struct pcore_executor_ops ops = {
		.start = cluster_start,
		.signal = cluster_signal,
		.end = cluster_end,
		.kill = cluster_kill,
		.resume = cluster_resume,
		.free = cluster_free,
		.has_room = cluster_has_room,
		.flush = cluster_flush,
		.close = cluster_close,
		.busy = cluster_busy,
		.resize = cluster_resize,
	};
	const struct pcore_sched_spec sched = { .lost_after_ns = spec->lost_after_ns };
	struct cluster *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return pcore_err_set(err, -ENOMEM, PCORE_STEP_CLONE, "");

	c->ex.ops = &ops;
	c->host = (struct link_host){ .ops = &cluster_link_ops, .loop = lp, .net = spec->net };
	if (spec->worker) {
		c->host.ahead_max = PCORE_SCHED_AHEAD_MAX;
		c->host.ahead_ns = ITEMS_AHEAD_NS;
	}
	c->spec = *spec;
	c->tick.done = tick;
	c->pump.done = pump;
	c->hungry.done = look_for_hungry;
	c->alone_since = pcore_now_ns();
	pcore_list_init(&c->links);
	pcore_list_init(&c->runs);
	c->spare = PCORE_SPARE_INIT(sizeof(struct cluster_run), SPARE_MAX);
	pcore_list_init(&c->names);
	pcore_list_init(&c->workers);
	r = pcore_sched_new(&c->host.sched, &sched);
	if (r == 0)
		r = pcore_sched_client_join(c->host.sched, pcore_now_ns(), PCORE_SCHED_PRIVATE, 1, &c->client);
	if (r < 0) {
		pcore_sched_free(c->host.sched);
		free(c);
		return pcore_err_set(err, r, PCORE_STEP_CLONE, "");
	}
	cluster_count_nodes(c);
	*ret = &c->ex;
	return 0;
}

void pcore_cluster_abandon(struct pcore_executor *ex)
{
	struct cluster *c = cluster_of(ex);

	assert(!ex->pool && pcore_list_empty(&c->links));

	c->host.closing = true;
	pcore_op_cancel(c->host.loop, &c->tick);
}

int pcore_cluster_connect(struct pcore_executor *ex, const char *text, const struct pcore_net_addr *addrs, size_t n)
{
	struct cluster *c = cluster_of(ex);
	struct link *l = link_new(&c->host);

	if (!l)
		return -ENOMEM;
	pcore_list_add_tail(&c->links, &l->link);
	l->lasts = c->spec.shared;
	if (link_set_address(l, text, addrs, n) < 0)
		return -ENOMEM;
	link_connect(l);
	return 0;
}

int pcore_cluster_adopt(struct pcore_executor *ex, struct pcore_net_conn *conn)
{
	struct cluster *c = cluster_of(ex);
	struct link *l = link_new(&c->host);

	if (!l)
		return -ENOMEM;
	pcore_list_add_tail(&c->links, &l->link);
	link_accept(l, conn);
	return 0;
}

/* That is connected to, or was. */
static void find_it(struct cluster *c, const char *name, struct pcore_cluster_node *ret)
{
	PCORE_LIST_FOREACH_SAFE(node, &c->links) {
		const struct link *l = container_of(node, struct link, link);

		if (l->name != name)
			continue;
		ret->cpus = (uint32_t)l->node.cpus;
		ret->up = l->joined;
		ret->state = (enum pcore_wire_state)l->node.state;
	}
}

bool pcore_cluster_node(struct pcore_executor *ex, size_t i, struct pcore_cluster_node *ret)
{
	PCORE_LIST_FOREACH_SAFE(node, &cluster_of(ex)->names) {
		const struct cluster_name *n = container_of(node, struct cluster_name, link);

		if (!n->member || i-- > 0)
			continue;
		*ret = (struct pcore_cluster_node){ .name = n->text, .jobs = n->jobs, .job_ns = n->job_ns, .sent = n->sent,
			.received = n->received, .running = n->running };
		find_it(cluster_of(ex), n->text, ret);
		return true;
	}
	return false;
}

unsigned pcore_cluster_running(const struct pcore_executor *ex)
{
	return cluster_of(ex)->running;
}

unsigned pcore_cluster_cpus(const struct pcore_executor *ex)
{
	uint64_t cpus = 0;

	PCORE_LIST_FOREACH_SAFE(node, (struct pcore_list *)&cluster_of(ex)->links) {
		const struct link *l = container_of(node, struct link, link);

		cpus += l->joined ? l->node.cpus : 0;
	}
	return cpus < UINT16_MAX ? (unsigned)cpus : UINT16_MAX;
}
