/* SPDX-License-Identifier: MIT */
/*
 * cluster.c - the nodes that psubmit's jobs run on: those it connects to, and this machine.
 *
 * The node of this machine is in our own process, at the other end of a socket pair: it speaks as all others do.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "tools/cli/jobwire.h"
#include "tools/cli/version.h"
#include "tools/psubmit/psubmit.h"
#include "tools/psubmit/rows.h"

enum { ADDRS = 8 };

static struct {
	const struct map_remote *map;
	struct pcore_executor *ex; /* of jobs on nodes */
	bool hires; /* workers are jobs of it, and items theirs */
	struct pcore_net *net, *node_net; /* as a scheduler, and as the node of this machine */
	struct pcore_node *node;
	struct pcore_jobspec jobs;
	char dir[PATH_MAX]; /* that they begin in */
	char **env;	    /* what a job has of the embedded node's, where it has not ours */
	bool whole;	    /* a job is given all words of its command */
	bool gave_up;
	int64_t begun_ns;
	int refused; /* the last -errno of a node that will never do */
	char hostname[65];
} cluster;

/* ---- what there is to tell ---- */

static void news(void *ctx, const struct pcore_cluster_news *n)
{
	const char *what = psubmit_opts.scheduler ? "scheduler" : "node";

	(void)ctx;
	if (n->event == PCORE_CLUSTER_UP || (n->event == PCORE_CLUSTER_DRAINS && !psubmit_opts.scheduler))
		return;
	cluster.map->before_message(cluster.map->ctx);
	switch (n->event) {
	case PCORE_CLUSTER_UP:
		break;
	case PCORE_CLUSTER_DRAINS:
		cli_warn("the scheduler '%s' takes no new jobs: %s", n->name, n->why);
		break;
	case PCORE_CLUSTER_GONE:
		cli_warn("%s '%s' has gone: %s", what, n->name, n->why);
		break;
	case PCORE_CLUSTER_UNREACHABLE:
		cli_warn("cannot reach the %s '%s': %s; trying again", what, n->name, n->why);
		break;
	case PCORE_CLUSTER_REFUSED:
		cli_warn("the %s '%s' is of no use: %s", what, n->name, n->why);
		cluster.refused = n->code;
		break;
	case PCORE_CLUSTER_NO_NODE:
		if (cluster.hires)
			cli_warn("no node can run a worker: %s", n->why);
		else
			cli_warn("no node can run job %llu: %s", (unsigned long long)n->job->seq, n->why);
		break;
	case PCORE_CLUSTER_LOST:
		if (!cluster.hires) /* else it is an item that is lost, or none */
			cli_warn("job %llu was %s", (unsigned long long)n->job->seq, n->why);
		break;
	case PCORE_CLUSTER_CUT:
		cli_warn("job %llu wrote more than --max-output; the rest is cut", (unsigned long long)n->job->seq);
		break;
	case PCORE_CLUSTER_GIVE_UP:
		cluster.gave_up = true;
		(void)cli_error("no %s can be reached", what);
		cluster.map->give_up(cluster.map->ctx);
		break;
	}
}

/* ---- what jobs have in common ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct pcore_sched_need *)a)->name, ((const struct pcore_sched_need *)b)->name);
}

/* In the order of their names: so are the numbers that a node is told with each job. */
static int put_needs(struct pcore_buf *b)
{
	struct psubmit_opts *o = &psubmit_opts;
	int r = 0;

	qsort(o->needs, o->n_needs, sizeof(o->needs[0]), by_name);
	for (size_t i = 0; i < o->n_needs && r == 0; i++) {
		const struct pcore_wire_resource need = { .name = o->needs[i].name, .count = o->needs[i].n };

		r = pcore_wire_add_resource(b, &need);
	}
	return r;
}

static int put_labels(struct pcore_buf *b)
{
	const struct psubmit_opts *o = &psubmit_opts;
	int r = 0;

	for (size_t i = 0; i < o->n_labels && r == 0; i++) {
		r = pcore_buf_addf(b, "%s%s=%s", o->labels[i].key, o->labels[i].differs ? "!" : "", o->labels[i].value);
		if (r == 0)
			r = pcore_buf_addc(b, '\0');
	}
	return r;
}

int psubmit_put_template(struct pcore_buf *b, struct pcore_jobspec *jobs, uint32_t env, const struct pcore_wire_argv *argv)
{
	_cleanup_(pcore_buf_done) struct pcore_buf needs = PCORE_BUF_INIT(0), labels = PCORE_BUF_INIT(0);
	const struct psubmit_opts *o = &psubmit_opts;
	int r = put_needs(&needs);

	if (r == 0)
		r = put_labels(&labels);
	if (r < 0)
		return r;
	jobs->cpus = o->cpus;
	jobs->memory = o->memory;
	jobs->max_output = o->max_output && !cluster.hires ? o->max_output : UINT64_MAX;
	jobs->resources = (struct pcore_wire_list){ needs.data, needs.len, o->n_needs };
	jobs->labels = (struct pcore_wire_words){ .data = labels.data, .len = labels.len, .n = o->n_labels };
	jobs->node = o->node;
	jobs->exclusive = o->exclusive;
	r = pcore_jobspec_put(b, jobs, env, argv);
	jobs->resources = (struct pcore_wire_list){ .n = 0 };
	jobs->labels = (struct pcore_wire_words){ .n = 0 };
	return r;
}

static int put_argv(struct pcore_buf *argv)
{
	int r = cluster.map->worker ? cli_argv_put_alone(argv, cluster.map->template) : cli_argv_put(argv, cluster.map->template, cluster.map->many);

	cluster.whole = r == -EOPNOTSUPP;
	return cluster.whole ? pcore_argv_put_args(argv) : r;
}

static int describe(void *ctx, struct pcore_buf *env, struct pcore_buf *template)
{
	_cleanup_(pcore_buf_done) struct pcore_buf argv = PCORE_BUF_INIT(0);
	struct pcore_wire_argv pieces;
	int r = put_argv(&argv);

	(void)ctx;
	if (r < 0)
		return r;
	pieces = (struct pcore_wire_argv){ argv.data, argv.len };
	r = psubmit_put_template(template, &cluster.jobs, PCORE_CLUSTER_ENV, &pieces);
	return r < 0 ? r : cli_jobenv_put(env, &cluster.map->opts->job, !cluster.map->opts->elsewhere);
}

static int args(void *ctx, struct pcore_job *job, char ***ret)
{
	if (cluster.hires) { /* an item is no argument */
		*ret = calloc(1, sizeof(**ret));
		return *ret ? 0 : -ENOMEM;
	}
	return cluster.map->args(ctx, job, cluster.whole, ret);
}

static int make_jobs(void)
{
	struct pcore_jobspec *s = &cluster.jobs;
	int r = cli_jobspec(&cluster.map->opts->job, !cluster.map->opts->elsewhere, cluster.dir, s);

	s->proc.file = cluster.map->file;
	s->worker = cluster.hires ? NULL : cluster.map->worker;
	if (cluster.map->worker)
		s->times.timeout = INT64_MAX; /* it is an item's */
	s->pipe_size = cluster.map->input ? cluster.map->pipe_size : 0;
	return r;
}

/* ---- nodes ---- */

static int check_addresses(void)
{
	struct pcore_net_addr addrs[ADDRS];
	struct pcore_net_error err;

	for (size_t i = 0; i < psubmit_opts.nodes.n; i++)
		if (pcore_net_addr_parse(addrs, ADDRS, psubmit_opts.nodes.words[i], true, &err) == -EINVAL)
			return cli_usage("'%s' is not the address of a node: %s", psubmit_opts.nodes.words[i], err.why);
	return psubmit_opts.scheduler ? psubmit_scheduler(NULL) : CLI_GO;
}

static int connect_to(struct pcore_executor *ex, const char *text)
{
	struct pcore_net_addr addrs[ADDRS];
	struct pcore_net_error err;
	int n = pcore_net_addr_parse(addrs, ADDRS, text, true, &err);
	const char *what = psubmit_opts.scheduler ? "scheduler" : "node";

	if (n < 0) {
		cli_warn("cannot reach the %s '%s': %s", what, text, err.why);
		return CLI_GO;
	}
	if (!addrs[0].path && !psubmit_have_keys())
		return cli_error("cannot connect to the %s '%s': there is no key; see `pnode keygen'", what, text);
	return pcore_cluster_connect(ex, text, addrs, (size_t)n) < 0 ? cli_error("out of memory") : CLI_GO;
}

static void node_log(void *ctx, const char *text)
{
	(void)ctx;
	cluster.map->before_message(cluster.map->ctx);
	cli_warn("%s", text);
}

static void node_opened(struct pcore_net_conn *c, void *ctx)
{
	(void)ctx;
	pcore_node_serve(cluster.node, c);
}

static void no_frame(struct pcore_net_conn *c, void *ctx, const struct pcore_net_frame *f)
{
	(void)c;
	(void)ctx;
	(void)f;
}

/* Before it was opened: our end of it is told as well. */
static void not_opened(struct pcore_net_conn *c, void *ctx, const struct pcore_net_error *e)
{
	(void)c;
	(void)ctx;
	(void)e;
}

static char **basic_env(void)
{
	struct cli_job_opts basic;
	char **env;
	size_t n;

	cli_job_opts_init(&basic);
	basic.basic_env = true;
	env = cli_job_env(&basic, 0, &n);
	cli_job_opts_done(&basic);
	return env;
}

static int start_local(struct pcore_executor *ex)
{
	static const struct pcore_net_ops node_ops = { .opened = node_opened, .frame = no_frame, .closed = not_opened };
	static const struct pcore_net_ops our_ops = { .frame = no_frame, .closed = not_opened };
	struct pcore_node_spec spec = {
		.name = cluster.hostname,
		.software = "pcore " PCORE_VERSION,
		.cpus = psubmit_opts.local_cpus ? (unsigned)psubmit_opts.local_cpus : cli_cpus(),
		.log = node_log,
	};
	struct pcore_net_conn *ours, *theirs;
	struct pcore_net_error net_err;
	struct pcore_err err;
	struct sysinfo info;
	int fds[2], r;

	spec.env = cluster.env = basic_env();
	if (!cluster.env)
		return cli_error("out of memory");
	if (gethostname(cluster.hostname, sizeof(cluster.hostname) - 1) < 0 || !cluster.hostname[0])
		(void)snprintf(cluster.hostname, sizeof(cluster.hostname), "local");
	if (sysinfo(&info) == 0)
		spec.memory = (uint64_t)info.totalram * info.mem_unit;
	r = psubmit_net(&cluster.node_net, cluster.map->loop, PCORE_NET_NODE, false);
	if (r != CLI_GO)
		return r;
	if (pcore_node_new(&cluster.node, cluster.map->loop, &spec, &err) < 0)
		return cli_spawn_error(&err, "a job");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return cli_error("cannot make a socket: %s", strerror(errno));
	r = pcore_net_adopt(&theirs, cluster.node_net, fds[1], PCORE_NET_PLAIN, &node_ops, NULL, &net_err);
	if (r < 0)
		(void)pcore_fd_close(fds[0]);
	else
		r = pcore_net_adopt(&ours, cluster.net, fds[0], PCORE_NET_PLAIN, &our_ops, NULL, &net_err);
	if (r < 0)
		return cli_error("cannot reach the node of this machine: %s", net_err.why);
	return pcore_cluster_adopt(ex, ours) < 0 ? cli_error("out of memory") : CLI_GO;
}

/* ---- workers behind a scheduler ---- */

static unsigned room(const struct pcore_executor *ex)
{
	return pcore_cluster_cpus(ex) / (psubmit_opts.cpus ? (unsigned)psubmit_opts.cpus : 1);
}

/* What a scheduler of our own decides, for an item. */
static bool lost(void *ctx, struct pcore_job *item)
{
	const char *why = "lost with its node, and run again";

	(void)ctx;
	if (psubmit_opts.at_most_once)
		why = "lost with its node, and not run again";
	else if (item->lost == psubmit_opts.retry_lost)
		why = "set aside: every node it ran on died";
	cluster.map->before_message(cluster.map->ctx);
	cli_warn("job %llu was %s", (unsigned long long)item->seq, why);
	return !psubmit_opts.at_most_once && item->lost++ < psubmit_opts.retry_lost;
}

static void cut(void *ctx, const struct pcore_job *item)
{
	const struct pcore_cluster_news n = { .event = PCORE_CLUSTER_CUT, .job = item };

	news(ctx, &n);
}

static void nothing_to_begin(void *ctx, struct pcore_job *job)
{
	(void)ctx;
	(void)job;
}

static void quiet(void *ctx, struct pcore_job *job, enum pcore_wire_quiet what)
{
	(void)ctx;
	switch (what) {
	case PCORE_WIRE_WAITS:
		pcore_worker_waits(job);
		break;
	case PCORE_WIRE_SILENT:
		pcore_worker_silent(job);
		break;
	case PCORE_WIRE_UNREAD:
		pcore_worker_unread(job);
		break;
	case PCORE_WIRE_QUIETS:
		break;
	}
}

/* What they read is not sent before they run, and what they have begun is not run again. */
static void feed_workers(struct pcore_cluster_spec *s)
{
	s->worker = NULL;
	s->input_begin = nothing_to_begin;
	s->input = pcore_worker_input;
	s->input_over = pcore_worker_input_over;
	s->in_turn = true;
	s->quiet = quiet;
}

static int hire(struct pcore_executor **ret)
{
	struct pcore_worker_spec spec = *cluster.map->worker;
	struct pcore_err err;

	spec.jobs = cluster.map->jobs;
	spec.home = (struct pcore_worker_home){
		.ex = cluster.ex,
		.feed = pcore_cluster_feed,
		.room = room,
		.lost = lost,
		.answer_max = psubmit_opts.max_output,
		.cut = cut,
	};
	if (pcore_worker_new(ret, cluster.map->loop, &spec, &err) == 0)
		return CLI_GO;
	cluster.hires = false; /* *ret is closed as the cluster that it is */
	return cli_error("cannot have workers: %s", strerror(-err.code));
}

int psubmit_executor(struct pcore_executor **ret, const struct map_remote *m)
{
	const struct psubmit_opts *o = &psubmit_opts;
	struct pcore_cluster_spec spec = {
		.jobs = {
			.request = {
				.cpus = (uint32_t)(o->cpus ? o->cpus : 1),
				.memory = o->memory,
				.needs = o->needs,
				.n_needs = o->n_needs,
				.labels = o->labels,
				.n_labels = o->n_labels,
				.node = o->node,
			},
			.priority = o->priority,
			.at_most_once = o->at_most_once,
			.retry_lost = (uint8_t)o->retry_lost,
		},
		.jobs_max = m->jobs,
		.wait_nodes_ns = o->wait_nodes ? o->wait_nodes : INT64_MAX,
		.lost_after_ns = 10 * NS_PER_S,
		.describe = describe,
		.args = args,
		.input_begin = m->input_begin,
		.input = m->input,
		.input_over = m->input_over,
		.in_turn = m->in_turn,
		.worker = m->worker,
		.news = news,
		.ctx = m->ctx,
	};
	struct pcore_err err;
	int r;

	cluster.map = m;
	cluster.hires = o->scheduler && m->worker;
	cluster.begun_ns = pcore_now_ns();
	r = check_addresses();
	if (r == CLI_GO)
		r = psubmit_load_keys();
	if (r == CLI_GO)
		r = make_jobs();
	if (r == CLI_GO)
		r = psubmit_net(&cluster.net, m->loop, psubmit_opts.scheduler ? PCORE_NET_CLIENT : PCORE_NET_SCHEDULER, true);
	if (r != CLI_GO)
		return r;
	spec.net = cluster.net;
	if (o->scheduler) { /* which knows the nodes, and what the template says */
		spec.shared = true;
		spec.jobs.request = (struct pcore_sched_request){ .cpus = 1 };
		spec.lost_after_ns = spec.wait_nodes_ns;
	}
	if (cluster.hires)
		feed_workers(&spec);
	if (pcore_cluster_new(&cluster.ex, m->loop, &spec, &err) < 0)
		return cli_error("cannot make a cluster: %s", strerror(-err.code));
	*ret = cluster.ex;
	if (cluster.hires)
		r = hire(ret);
	if (r == CLI_GO && o->local)
		r = start_local(cluster.ex);
	if (r == CLI_GO && o->scheduler)
		r = connect_to(cluster.ex, o->scheduler);
	for (size_t i = 0; r == CLI_GO && i < o->nodes.n; i++)
		r = connect_to(cluster.ex, o->nodes.words[i]);
	return r;
}

/* Of all nodes, in one piece. */
static int put_stats(struct pcore_buf *b)
{
	struct pcore_cluster_node n;
	int64_t job_ns = 0;
	int r = rows_node_heading(b);

	for (size_t i = 0; r == 0 && pcore_cluster_node(cluster.ex, i, &n); i++) {
		const struct rows_node row = { n.name, n.cpus, n.jobs, n.job_ns, n.sent, n.received };

		job_ns += n.job_ns;
		r = rows_node(b, &row);
	}
	return r < 0 ? r : rows_total(b, job_ns, pcore_now_ns() - cluster.begun_ns);
}

void psubmit_ended(struct pcore_executor *ex)
{
	_cleanup_(pcore_buf_done) struct pcore_buf b = PCORE_BUF_INIT(0);

	(void)ex;
	if (!psubmit_opts.stats)
		return;
	psubmit_opts.stats = false;
	if (put_stats(&b) < 0)
		cli_warn("out of memory: no --stats");
	else
		(void)cli_write(STDERR_FILENO, b.data, b.len);
}

void psubmit_over(void)
{
	pcore_node_free(cluster.node);
	pcore_net_free(cluster.node_net);
	pcore_net_free(cluster.net);
	psubmit_free_keys();
	free(cluster.env);
}

unsigned psubmit_running(const struct pcore_executor *ex)
{
	return cluster.hires ? pcore_worker_busy(ex) : pcore_cluster_running(ex);
}

unsigned psubmit_cpus(const struct pcore_executor *ex)
{
	(void)ex;
	return pcore_cluster_cpus(cluster.ex);
}

void psubmit_resume_errors(struct pcore_executor *ex, unsigned worker)
{
	if (cluster.hires)
		pcore_worker_resume_errors(ex, worker);
	else
		pcore_cluster_resume_errors(ex, worker);
}

int psubmit_status(void)
{
	if (!cluster.gave_up || cluster.refused == 0)
		return 0;
	return cluster.refused == -EPROTONOSUPPORT ? CLI_VERSION : CLI_AUTH;
}
