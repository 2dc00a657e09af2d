/* SPDX-License-Identifier: MIT */
/*
 * dispatch - how fast jobs go from a pool to a node over TLS and their results come back, when nothing has to be started: the
 * node is another process that answers each job at once.
 * Usage: dispatch rate|cpu [-n JOBS]
 *
 *   rate  jobs a second
 *   cpu   microseconds of CPU that the client with its scheduler takes for a job
 */
#include <sys/resource.h>

#include "libcore/cluster/client.h"
#include "tests/bench/bench.h"

enum { CPUS = 256, WINDOW = 4 * CPUS };

static struct pcore_loop *lp;
static struct pcore_net *net;
static uint64_t total = 300000, n_asked, n_succeeded;
static bool node_is_up, is_idle, is_closed;
static struct pcore_job jobs[WINDOW], *spare[WINDOW];
static size_t n_spare;

static void must(int r, const char *what)
{
	if (r >= 0)
		return;
	errno = -r;
	die(what);
}

static void make_net(enum pcore_net_role role)
{
	char text[] = "k:all:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
	struct pcore_net_spec spec = { .role = role, .peers = PCORE_NET_ANY_ROLE, .version_min = 1, .version_max = 1 };
	struct pcore_net_keys *keys;

	must(pcore_loop_new(&lp, PCORE_LOOP_AUTO), "loop");
	must(pcore_net_keys_parse(&keys, text, sizeof(text) - 1, NULL), "keys");
	spec.keys = keys;
	must(pcore_net_new(&net, lp, &spec, NULL), "net");
}

/* ---- the node ---- */

static void say(struct pcore_net_conn *c, enum pcore_wire_type type, struct pcore_buf *body)
{
	must(pcore_net_send(c, (uint16_t)type, 0, 0, body->data, body->len), "send");
	pcore_buf_clear(body);
}

static void opened(struct pcore_net_conn *c, void *ctx)
{
	const struct pcore_wire_node node = { .name = "n", .instance = 1, .cpus = CPUS, .slots = CPUS, .prefetch = CPUS, .software = "" };
	struct pcore_buf body = PCORE_BUF_INIT(0);
	struct pcore_wire_out none;

	(void)ctx;
	must(pcore_wire_put_node(&body, &node), "node");
	say(c, PCORE_WIRE_NODE, &body);
	must(pcore_wire_begin(&none, &body, PCORE_WIRE_ADOPT_N), "node");
	(void)pcore_wire_end(&none, false);
	say(c, PCORE_WIRE_ADOPT_N, &body);
	pcore_buf_done(&body);
}

static void answer(struct pcore_net_conn *c, struct pcore_wire_in *in)
{
	static struct pcore_buf body;
	struct pcore_wire_assign a;
	struct pcore_wire_out out;

	must(pcore_wire_begin(&out, &body, PCORE_WIRE_DONE_N), "answer");
	while (pcore_wire_next_assign(in, &a)) {
		const struct pcore_wire_done done = { .job = a.job, .attempt = a.attempt, .pid = 1, .slot = 1, .code = CLD_EXITED };
		int r = pcore_wire_add_done(&out, &done);

		if (r == -EMSGSIZE) {
			(void)pcore_wire_end(&out, false);
			say(c, PCORE_WIRE_DONE_N, &body);
			must(pcore_wire_begin(&out, &body, PCORE_WIRE_DONE_N), "answer");
			r = pcore_wire_add_done(&out, &done);
		}
		must(r, "answer");
	}
	(void)pcore_wire_end(&out, false);
	say(c, PCORE_WIRE_DONE_N, &body);
}

static void frame(struct pcore_net_conn *c, void *ctx, const struct pcore_net_frame *nf)
{
	const struct pcore_wire_frame f = { (enum pcore_wire_type)nf->type, nf->stream, nf->body, nf->len };
	struct pcore_wire_in in;

	(void)ctx;
	if (f.type != PCORE_WIRE_ASSIGN_N)
		return;
	must(pcore_wire_open(&f, &in), "assign");
	answer(c, &in);
}

static void closed(struct pcore_net_conn *c, void *ctx, const struct pcore_net_error *e)
{
	(void)c;
	(void)ctx;
	if (e->code < 0)
		fprintf(stderr, "dispatch: %s\n", e->why);
	is_closed = true;
}

_Noreturn static void be_the_node(int fd)
{
	static const struct pcore_net_ops ops = { .opened = opened, .frame = frame, .closed = closed };
	struct pcore_net_conn *c;

	make_net(PCORE_NET_NODE);
	must(pcore_net_adopt(&c, net, fd, PCORE_NET_TLS_SERVER, &ops, NULL, NULL), "adopt");
	while (!is_closed)
		must(pcore_loop_turn(lp, true), "loop");
	_exit(0);
}

/* ---- the pool ---- */

static int next(void *ctx, struct pcore_job **ret)
{
	(void)ctx;
	if (n_asked == total)
		return -ENODATA;
	if (!node_is_up || n_spare == 0)
		return 0;
	n_asked++;
	*ret = spare[--n_spare];
	**ret = (struct pcore_job){ .seq = 0 };
	return 1;
}

static bool output(void *ctx, struct pcore_job *job, enum pcore_job_stream stream, const char *data, size_t len)
{
	(void)ctx;
	(void)job;
	(void)stream;
	(void)data;
	(void)len;
	return true;
}

static void again(void *ctx, struct pcore_job *job)
{
	(void)ctx;
	(void)job;
}

static void done(void *ctx, struct pcore_job *job)
{
	(void)ctx;
	n_succeeded += pcore_job_succeeded(job);
	spare[n_spare++] = job;
}

static void idle(void *ctx)
{
	(void)ctx;
	is_idle = true;
}

/* The node does not look at it. */
static int describe(void *ctx, struct pcore_buf *env, struct pcore_buf *template)
{
	(void)ctx;
	must(pcore_buf_adds(env, "env"), "describe");
	return pcore_buf_adds(template, "template");
}

static int args(void *ctx, struct pcore_job *job, char ***ret)
{
	char **list = malloc(2 * sizeof(*list));

	(void)ctx;
	(void)job;
	if (!list)
		return -ENOMEM;
	list[0] = (char *)"item";
	list[1] = NULL;
	*ret = list;
	return 0;
}

static void news(void *ctx, const struct pcore_cluster_news *n)
{
	(void)ctx;
	node_is_up |= n->event == PCORE_CLUSTER_UP;
}

static void make_pool(struct pcore_pool **ret, int fd)
{
	static const struct pcore_pool_owner owner = { .next = next, .output = output, .again = again, .done = done, .idle = idle };
	const struct pcore_pool_spec spec = { .jobs = 1 };
	const struct pcore_cluster_spec cluster = { .net = net, .wait_nodes_ns = 60 * NS_PER_S, .lost_after_ns = 60 * NS_PER_S,
		.describe = describe, .args = args, .news = news };
	static const struct pcore_net_ops ops = { .frame = frame, .closed = closed }; /* until it is the cluster's */
	struct pcore_executor *ex;
	struct pcore_net_conn *c;

	for (size_t i = 0; i < WINDOW; i++)
		spare[n_spare++] = &jobs[i];
	must(pcore_cluster_new(&ex, lp, &cluster, NULL), "cluster");
	must(pcore_pool_new(ret, lp, &spec, &owner, NULL, ex), "pool");
	must(pcore_net_adopt(&c, net, fd, PCORE_NET_TLS_CLIENT, &ops, NULL, NULL), "adopt");
	must(pcore_cluster_adopt(ex, c), "adopt");
	pcore_pool_kick(*ret);
}

static double cpu_us(void)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static double measure(bool cpu)
{
	double used;
	int64_t took;
	int fds[2], status;
	struct pcore_pool *pool;
	pid_t pid;

	tcp_pair(fds);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		close(fds[0]);
		be_the_node(fds[1]);
	}
	close(fds[1]);
	make_net(PCORE_NET_SCHEDULER);
	make_pool(&pool, fds[0]);
	while (!node_is_up)
		must(pcore_loop_turn(lp, true), "loop");
	used = cpu_us();
	took = now_ns();
	while (n_succeeded < total)
		must(pcore_loop_turn(lp, true), "loop");
	took = now_ns() - took;
	used = cpu_us() - used;
	while (!is_idle || !pcore_pool_at_rest(pool))
		must(pcore_loop_turn(lp, true), "loop");
	pcore_pool_free(pool);
	if (waitpid(pid, &status, 0) < 0 || status != 0)
		exit(1);
	return cpu ? used / (double)total : (double)total * 1e9 / (double)took;
}

int main(int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "n:")) != -1) {
		if (opt != 'n')
			return 125;
		total = number(optarg, 1000000000);
	}
	if (!argv[optind])
		return 125;
	printf("%.2f\n", measure(strcmp(argv[optind], "cpu") == 0));
	return 0;
}
