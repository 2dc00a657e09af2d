/* SPDX-License-Identifier: MIT */
/*
 * cluster.c - a handle of <pcore/cluster.h>: its nodes and its loop, which turns only while a function waits.
 */
#include "libcore/api/cluster.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <unistd.h>

enum { RETRY_LOST = 3, RETRY_LOST_MAX = 255, LOCAL_CPUS_MAX = 4096 };

#define WAIT_NODES_NS (30 * NS_PER_S)
#define LOST_AFTER_NS (10 * NS_PER_S)
#define KILL_AFTER_NS (5 * NS_PER_S)
#define OUTPUT_MAX (UINT64_C(1) << 20)

/* ---- one call at a time ---- */

int pcore_cc_enter(struct pcore_cluster_client *c)
{
	if (!c)
		return -EINVAL;
	if (!pthread_equal(c->owner, pthread_self()))
		return -EPERM;
	if (c->busy)
		return -EBUSY;
	c->busy = true;
	return 0;
}

int pcore_cc_leave(struct pcore_cluster_client *c, int r)
{
	c->busy = false;
	return r;
}

static void limit_reached(struct pcore_op *op, int res)
{
	container_of(op, struct pcore_cluster_client, limit)->timed_out = res == -ETIME;
}

/* Without waiting: what one turn does another one may have to finish. */
static int poll_loop(struct pcore_cluster_client *c, bool (*is)(struct pcore_cluster_client *c, void *arg), void *arg)
{
	enum { TURNS = 16 };
	int n = 1;

	for (int i = 0; i < TURNS && n > 0 && !is(c, arg); i++)
		n = pcore_loop_turn(c->loop, false);
	if (is(c, arg))
		return 0;
	return n < 0 ? n : -ETIMEDOUT;
}

int pcore_cc_until(struct pcore_cluster_client *c, int64_t timeout, bool (*is)(struct pcore_cluster_client *c, void *arg), void *arg)
{
	int n = 1;

	if (timeout <= 0)
		return poll_loop(c, is, arg);
	c->timed_out = false;
	if (timeout != PCORE_FOREVER) {
		n = pcore_op_timer(c->loop, &c->limit, PCORE_CLOCK_MONOTONIC, pcore_ns_add(pcore_now_ns(), timeout));
		if (n < 0)
			return n;
		n = 1;
	}
	while (n > 0 && !c->timed_out && !is(c, arg))
		n = pcore_loop_turn(c->loop, true);
	pcore_op_cancel(c->loop, &c->limit);
	while (pcore_op_live(&c->limit) && pcore_loop_turn(c->loop, true) > 0)
		;
	if (is(c, arg))
		return 0;
	if (c->timed_out)
		return -ETIMEDOUT;
	return n < 0 ? n : -EIO; /* nothing can happen any more */
}

/* ---- what there is to tell ---- */

static void log_line(void *ctx, const char *text)
{
	struct pcore_cluster_client *c = ctx;

	if (c->spec.log)
		c->spec.log(c->spec.log_ctx, text);
}

static void log_node(struct pcore_cluster_client *c, const struct pcore_cluster_news *n, const char *what)
{
	char name[4 * PCORE_NET_ADDR_MAX], text[sizeof(name) + 2 * PCORE_NET_WHY_MAX];

	(void)pcore_escape(name, sizeof(name), n->name, strlen(n->name));
	(void)snprintf(text, sizeof(text), "the %s '%s' %s%s%s", c->scheduler ? "scheduler" : "node", name, what, *n->why ? ": " : "", n->why);
	log_line(c, text);
}

static void news(void *ctx, const struct pcore_cluster_news *n)
{
	struct pcore_cluster_client *c = ctx;

	switch (n->event) {
	case PCORE_CLUSTER_UP:
		c->up = true;
		log_node(c, n, "is there");
		break;
	case PCORE_CLUSTER_DRAINS:
		log_node(c, n, "takes no new jobs");
		break;
	case PCORE_CLUSTER_GONE:
		log_node(c, n, "has gone");
		break;
	case PCORE_CLUSTER_UNREACHABLE:
		log_node(c, n, "cannot be reached yet");
		break;
	case PCORE_CLUSTER_REFUSED:
		c->refused = n->code;
		log_node(c, n, "is of no use");
		break;
	case PCORE_CLUSTER_NO_NODE:
		log_line(c, n->why);
		break;
	case PCORE_CLUSTER_GIVE_UP:
		c->gave_up = true;
		log_line(c, c->scheduler ? "the scheduler cannot be reached" : "no node can be reached");
		pcore_cc_give_up(c);
		pcore_pool_stop(c->pool, PCORE_POOL_END);
		break;
	case PCORE_CLUSTER_CUT:
		pcore_cc_cut(n->job);
		break;
	case PCORE_CLUSTER_LOST: /* the job's result says so */
		break;
	}
}

/* ---- what is asked for ---- */

static int check_spec(struct pcore_cluster_client_spec *s)
{
	bool nodes = s->nodes && s->nodes[0];

	if (!nodes && s->local_cpus == 0 && !s->scheduler)
		s->scheduler = secure_getenv("PCORE_SCHEDULER");
	if (s->scheduler ? nodes || s->local_cpus > 0 : !nodes && s->local_cpus == 0)
		return -EINVAL;
	if (s->exclusive && !s->scheduler) /* nodes of our own are not shared by one */
		return -EINVAL;
	if (s->wait_nodes < 0 || s->timeout < 0 || s->kill_after < 0 || (s->dir && s->dir[0] != '/'))
		return -EINVAL;
	if (s->cpus > PCORE_SCHED_CPUS_MAX || s->local_cpus > LOCAL_CPUS_MAX || s->retry_lost > RETRY_LOST_MAX)
		return -EINVAL;
	s->wait_nodes = s->wait_nodes ? s->wait_nodes : WAIT_NODES_NS;
	s->kill_after = s->kill_after ? s->kill_after : KILL_AFTER_NS;
	s->cpus = s->cpus ? s->cpus : 1;
	s->retry_lost = s->at_most_once ? 0 : s->retry_lost ? s->retry_lost : RETRY_LOST;
	s->output_max = s->output_max ? s->output_max : OUTPUT_MAX;
	return pcore_cc_check_env(s->env);
}

static int copy_spec(struct pcore_cluster_client *c)
{
	const struct pcore_cluster_client_spec *s = &c->spec;

	c->nodes = pcore_cc_copy((char *const *)s->nodes, NULL);
	c->env = pcore_cc_copy(s->env, NULL);
	c->dir = s->dir ? strdup(s->dir) : NULL;
	c->scheduler = s->scheduler ? strdup(s->scheduler) : NULL;
	return c->nodes && c->env && (c->dir || !s->dir) && (c->scheduler || !s->scheduler) ? 0 : -ENOMEM;
}

/* ---- nodes ---- */

static int load_proof(struct pcore_cluster_client *c, struct pcore_error *error)
{
	bool far = c->scheduler && !pcore_cc_is_near(c->scheduler);

	for (size_t i = 0; c->nodes[i]; i++)
		far |= !pcore_cc_is_near(c->nodes[i]);
	c->proof.key_file = c->spec.key_file;
	c->proof.tls_cert = c->spec.tls_cert;
	c->proof.tls_key = c->spec.tls_key;
	c->proof.tls_ca = c->spec.tls_ca;
	return pcore_cc_proof_load(&c->proof, far, error);
}

static int connect_to(struct pcore_cluster_client *c, const char *text, struct pcore_error *error)
{
	const char *what = c->scheduler ? "scheduler" : "node";
	struct pcore_net_addr addrs[CLUSTER_ADDRS];
	int n = pcore_cc_addresses(addrs, ARRAY_SIZE(addrs), text, &c->proof, what, error);

	if (n < 0)
		return n;
	n = pcore_cluster_connect(c->ex, text, addrs, (size_t)n);
	return n < 0 ? pcore_cc_say(error, n, what, text) : 0;
}

static void node_opened(struct pcore_net_conn *conn, void *ctx)
{
	pcore_node_serve(((struct pcore_cluster_client *)ctx)->node, conn);
}

static void no_frame(struct pcore_net_conn *conn, void *ctx, const struct pcore_net_frame *f)
{
	(void)conn, (void)ctx, (void)f;
}

static void not_opened(struct pcore_net_conn *conn, void *ctx, const struct pcore_net_error *e)
{
	(void)conn, (void)ctx, (void)e;
}

/* What jobs have of our environment on the node of this machine: what another node would give them. */
static char **basic_env(void)
{
	static const char *const names[] = { "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR" };
	char *found[ARRAY_SIZE(names) + 1];
	size_t n = 0;

	for (char **var = environ; var && *var; var++)
		for (size_t i = 0; i < ARRAY_SIZE(names) && n < ARRAY_SIZE(names); i++)
			if (strncmp(*var, names[i], strlen(names[i])) == 0 && (*var)[strlen(names[i])] == '=')
				found[n++] = *var;
	found[n] = NULL;
	return pcore_cc_copy(found, NULL);
}

static int new_node(struct pcore_cluster_client *c, struct pcore_error *error)
{
	struct pcore_node_spec spec = { .name = c->hostname, .software = "libpcore-cluster", .cpus = c->spec.local_cpus, .log = log_line, .ctx = c };
	struct pcore_err err;
	struct sysinfo info;
	int r;

	if (gethostname(c->hostname, sizeof(c->hostname) - 1) < 0 || !c->hostname[0])
		strcpy(c->hostname, "local");
	if (sysinfo(&info) == 0)
		spec.memory = (uint64_t)info.totalram * info.mem_unit;
	spec.env = c->node_env = basic_env();
	if (!c->node_env)
		return -ENOMEM;
	r = pcore_node_new(&c->node, c->loop, &spec, &err);
	return r < 0 ? pcore_cc_say(error, r, pcore_step_name(err.step), err.subject) : 0;
}

/* At the other end of a pair of sockets, it speaks as all others do. */
static int start_local(struct pcore_cluster_client *c, struct pcore_error *error)
{
	static const struct pcore_net_ops node_ops = { .opened = node_opened, .frame = no_frame, .closed = not_opened };
	static const struct pcore_net_ops our_ops = { .frame = no_frame, .closed = not_opened };
	struct pcore_net_conn *ours, *theirs;
	struct pcore_net_error err;
	int fds[2];
	int r = pcore_cc_net_new(&c->node_net, c->loop, PCORE_NET_NODE, NULL, error);

	if (r == 0)
		r = new_node(c, error);
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return -errno;
	r = pcore_net_adopt(&theirs, c->node_net, fds[1], PCORE_NET_PLAIN, &node_ops, c, &err);
	if (r < 0)
		(void)pcore_fd_close(fds[0]);
	else
		r = pcore_net_adopt(&ours, c->net, fds[0], PCORE_NET_PLAIN, &our_ops, NULL, &err);
	if (r < 0)
		return r;
	r = pcore_cluster_adopt(c->ex, ours);
	if (r < 0)
		pcore_net_abort(ours);
	return r;
}

/* ---- open and close ---- */

static int start(struct pcore_cluster_client *c)
{
	const struct pcore_pool_spec pool = { .jobs = 1 }; /* the executor knows how many */
	const struct pcore_cluster_spec spec = {
		.net = c->net,
		.jobs = {
			.request.cpus = 1, /* for a scheduler, which knows what a job's kind needs */
			.at_most_once = c->spec.at_most_once,
			.retry_lost = (uint8_t)c->spec.retry_lost,
		},
		.jobs_max = c->spec.jobs,
		.wait_nodes_ns = c->spec.wait_nodes,
		.lost_after_ns = c->scheduler ? c->spec.wait_nodes : LOST_AFTER_NS,
		.shared = c->scheduler != NULL,
		.kind = pcore_cc_kind,
		.args = pcore_cc_args,
		.news = news,
		.ctx = c,
	};
	struct pcore_err err;
	int r = pcore_cluster_new(&c->ex, c->loop, &spec, &err);

	if (r == 0)
		r = pcore_pool_new(&c->pool, c->loop, &pool, &pcore_cc_owner, c, c->ex);
	if (r < 0 && c->ex)
		pcore_cluster_abandon(c->ex);
	return r;
}

static bool has_node(struct pcore_cluster_client *c, void *arg)
{
	(void)arg;
	return c->up || c->gave_up;
}

static int open_all(struct pcore_cluster_client *c, struct pcore_error *error)
{
	const struct pcore_cluster_client_job plain = { .size = sizeof(plain) };
	int r = copy_spec(c);

	if (r == 0)
		r = pcore_cc_kind_get(c, &plain, &c->plain);
	if (r == 0)
		r = load_proof(c, error);
	if (r == 0)
		r = pcore_loop_new(&c->loop, c->spec.pollable ? PCORE_LOOP_EPOLL : PCORE_LOOP_AUTO);
	if (r == 0)
		r = pcore_cc_net_new(&c->net, c->loop, c->scheduler ? PCORE_NET_CLIENT : PCORE_NET_SCHEDULER, &c->proof, error);
	if (r == 0)
		r = start(c);
	if (r == 0 && c->scheduler)
		r = connect_to(c, c->scheduler, error);
	if (r == 0 && c->spec.local_cpus > 0)
		r = start_local(c, error);
	for (size_t i = 0; r == 0 && c->nodes[i]; i++)
		r = connect_to(c, c->nodes[i], error);
	if (r == 0)
		r = pcore_cc_until(c, PCORE_FOREVER, has_node, NULL);
	if (r == 0 && !c->up)
		r = pcore_cc_say(error, c->refused < 0 ? c->refused : -EHOSTUNREACH, c->scheduler ? "scheduler" : "node",
			c->scheduler ? c->scheduler : c->nodes[0] ? c->nodes[0] : "");
	return r;
}

static bool is_idle(struct pcore_cluster_client *c, void *arg)
{
	(void)arg;
	return c->idle;
}

static void free_all(struct pcore_cluster_client *c)
{
	if (c->pool) {
		bool quiet = pcore_list_empty(&c->begun);

		pcore_cc_give_up(c);
		pcore_pool_stop(c->pool, quiet ? PCORE_POOL_END : PCORE_POOL_KILL);
		(void)pcore_cc_until(c, PCORE_FOREVER, is_idle, NULL);
	}
	while (c->loop && pcore_loop_turn(c->loop, true) > 0)
		; /* until nothing of it is left */
	if (c->ex && !c->pool)
		c->ex->ops->free(c->ex);
	pcore_pool_free(c->pool);
	pcore_node_free(c->node);
	pcore_net_free(c->node_net);
	pcore_net_free(c->net);
	pcore_net_keys_free(c->proof.keys);
	pcore_loop_free(c->loop);
	pcore_cc_free_works(c);
	pcore_cc_kind_put(c, c->plain);
	pcore_map_done(&c->kinds);
	free(c->nodes);
	free(c->env);
	free(c->dir);
	free(c->scheduler);
	free(c->node_env);
	free(c);
}

int pcore_cluster_client_open(
	struct pcore_cluster_client **ret, const struct pcore_cluster_client_spec *spec, struct pcore_error *error)
{
	struct pcore_cluster_client *c = ret ? calloc(1, sizeof(*c)) : NULL;
	struct pcore_error e = { .step = "" };
	int r;

	if (!c)
		return pcore_cc_say(error, ret ? -ENOMEM : -EINVAL, "", "");
	c->owner = pthread_self();
	c->limit.done = limit_reached;
	pcore_list_init(&c->begun);
	pcore_list_init(&c->ended);
	pcore_list_init(&c->mapped);
	pcore_list_init(&c->map_ended);
	r = pcore_sized_in(&c->spec, sizeof(c->spec), spec);
	if (r == 0)
		r = check_spec(&c->spec);
	c->busy = true;
	if (r == 0)
		r = open_all(c, &e);
	if (r < 0) {
		free_all(c);
		return pcore_cc_say(error, r, e.step, e.subject);
	}
	c->busy = false;
	*ret = c;
	return 0;
}

void pcore_cluster_client_close(struct pcore_cluster_client *c)
{
	if (c && pcore_cc_enter(c) == 0)
		free_all(c);
}

/* ---- beside other things ---- */

int pcore_cluster_client_fd(struct pcore_cluster_client *c)
{
	int r = pcore_cc_enter(c);

	if (r < 0)
		return r;
	return pcore_cc_leave(c, c->spec.pollable ? pcore_loop_fd(c->loop) : -EOPNOTSUPP);
}

/* ---- nodes ---- */

/* What a node has had from the beginning. */
#define NODE_LEAST (offsetof(struct pcore_cluster_client_node, received) + sizeof(uint64_t))

enum pcore_cluster_state pcore_cc_state(enum pcore_wire_state state)
{
	switch (state) {
	case PCORE_WIRE_SERVING:
		return PCORE_CLUSTER_SERVING;
	case PCORE_WIRE_STOPPED:
		return PCORE_CLUSTER_STOPPED;
	case PCORE_WIRE_DRAINING:
		return PCORE_CLUSTER_DRAINING;
	case PCORE_WIRE_STATES:
		break;
	}
	return PCORE_CLUSTER_UNKNOWN;
}

static int tell_node(struct pcore_cluster_client *c, size_t i, struct pcore_cluster_client_node *ret)
{
	struct pcore_cluster_client_node node = { .size = sizeof(node) };
	struct pcore_cluster_node n;
	int r = pcore_sized_out(ret, NODE_LEAST, NULL, 0);

	if (r < 0)
		return r;
	if (!pcore_cluster_node(c->ex, i, &n))
		return -ENOENT;
	(void)strncat(node.name, n.name, sizeof(node.name) - 1);
	node.state = PCORE_CLUSTER_AWAY;
	if (c->scheduler)
		node.state = PCORE_CLUSTER_UNKNOWN;
	else if (n.up)
		node.state = (int)pcore_cc_state(n.state);
	node.cpus = n.up ? n.cpus : 0;
	node.running = n.running;
	node.done = n.jobs;
	node.job_time = n.job_ns;
	node.sent = n.sent;
	node.received = n.received;
	return pcore_sized_out(ret, NODE_LEAST, &node, sizeof(node));
}

int pcore_cluster_client_node(struct pcore_cluster_client *c, size_t i, struct pcore_cluster_client_node *ret)
{
	int r = pcore_cc_enter(c);

	return r < 0 ? r : pcore_cc_leave(c, tell_node(c, i, ret));
}
