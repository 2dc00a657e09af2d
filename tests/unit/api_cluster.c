/* SPDX-License-Identifier: MIT */
/*
 * api_cluster.c - tests of <pcore/cluster.h>: on the node of this machine within the program, and on one in another process, over
 * a Unix socket.
 */
#include "tests/unit/support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pcore/cluster.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcore/cluster/cluster.h"

#define FOREVER PCORE_FOREVER
#define WORDS(...) ((char *const[]){ __VA_ARGS__, NULL })
#define SH(script) WORDS((char *)"sh", (char *)"-c", (char *)(script))

static struct pcore_cluster_client_spec local_spec(void)
{
	return (struct pcore_cluster_client_spec){ .size = sizeof(struct pcore_cluster_client_spec), .local_cpus = 2 };
}

static struct pcore_cluster_client *opened(const struct pcore_cluster_client_spec *spec)
{
	struct pcore_cluster_client *c = NULL;
	struct pcore_error e;

	assert_int_equal(pcore_cluster_client_open(&c, spec, &e), 0);
	return c;
}

static struct pcore_cluster_client_result waited(struct pcore_cluster_client *c, uint64_t id)
{
	struct pcore_cluster_client_result r = { .size = sizeof(r) };

	assert_int_equal(pcore_cluster_client_wait(c, id, FOREVER, &r), 0);
	assert_int_equal(r.id, id);
	return r;
}

/* ---- one job ---- */

static void a_job_tells_how_it_ended(void **state)
{
	char *env[] = { (char *)"GREETING=hello", NULL };
	struct pcore_cluster_client_spec spec = local_spec();
	struct pcore_cluster_client_result r;
	struct pcore_cluster_client *c;
	uint64_t a, b, d;

	(void)state;
	spec.dir = "/";
	spec.env = env;
	c = opened(&spec);
	assert_int_equal(pcore_cluster_client_submit(c, SH("echo $GREETING; pwd; echo no >&2; exit 7"), &a), 0);
	assert_int_equal(pcore_cluster_client_submit(c, SH("kill -9 $$"), &b), 0);
	assert_int_equal(pcore_cluster_client_submit(c, WORDS((char *)"/none/such"), &d), 0);

	r = waited(c, b);
	assert_int_equal(r.signal, SIGKILL);
	assert_int_equal(r.status, 128 + SIGKILL);
	assert_int_equal(r.exit, -1);
	pcore_cluster_client_result_done(&r);

	r = waited(c, a);
	assert_int_equal(r.error, 0);
	assert_int_equal(r.exit, 7);
	assert_int_equal(r.status, 7);
	assert_int_equal(r.attempt, 1);
	assert_string_equal(r.out, "hello\n/\n");
	assert_string_equal(r.err, "no\n");
	assert_int_equal(r.err_size, 3);
	assert_true(r.node[0] != '\0');
	assert_true(r.wall > 0);
	pcore_cluster_client_result_done(&r);

	r = waited(c, d);
	assert_int_equal(r.error, -ENOENT);
	assert_int_equal(r.status, 127);
	pcore_cluster_client_result_done(&r);
	assert_int_equal(pcore_cluster_client_wait(c, a, 0, NULL), -ENOENT);
	assert_int_equal(pcore_cluster_client_next(c, FOREVER, NULL), -ENODATA);
	pcore_cluster_client_close(c);
}

static void output_has_a_limit(void **state)
{
	struct pcore_cluster_client_spec spec = local_spec();
	struct pcore_cluster_client_result r;
	struct pcore_cluster_client *c;
	uint64_t id;

	(void)state;
	spec.output_max = 10;
	c = opened(&spec);
	assert_int_equal(pcore_cluster_client_submit(c, SH("printf 0123456789abcdef; printf 0123456789 >&2"), &id), 0);
	r = waited(c, id);
	assert_int_equal(r.status, 0);
	assert_int_equal(r.cut, 1);
	assert_string_equal(r.out, "0123456789");
	assert_string_equal(r.err, "0123456789");
	pcore_cluster_client_result_done(&r);
	pcore_cluster_client_close(c);
}

static void time_is_limited(void **state)
{
	struct pcore_cluster_client_spec spec = local_spec();
	struct pcore_cluster_client_result r;
	struct pcore_cluster_client *c;
	uint64_t id;

	(void)state;
	spec.timeout = 50 * NS_PER_MS;
	c = opened(&spec);
	assert_int_equal(pcore_cluster_client_submit(c, SH("exec sleep 600"), &id), 0);
	r = waited(c, id);
	assert_int_equal(r.timed_out, 1);
	assert_int_equal(r.status, 124);
	pcore_cluster_client_result_done(&r);
	pcore_cluster_client_close(c);
}

/* ---- what a job has of its own ---- */

static struct pcore_cluster_client_job job_of(char *const *argv)
{
	return (struct pcore_cluster_client_job){ .size = sizeof(struct pcore_cluster_client_job), .argv = argv };
}

/* Submit it, wait, and compare what it wrote. */
static void check_job(struct pcore_cluster_client *c, const struct pcore_cluster_client_job *job, const char *out)
{
	struct pcore_cluster_client_result r;
	uint64_t id;

	assert_int_equal(pcore_cluster_client_submit_job(c, job, &id), 0);
	r = waited(c, id);
	assert_int_equal(r.error, 0);
	assert_string_equal(r.out, out);
	pcore_cluster_client_result_done(&r);
}

static void a_job_has_a_directory_an_environment_and_a_limit_of_its_own(void **state)
{
	char *env[] = { (char *)"A=1", (char *)"B=1", NULL }, *other[] = { (char *)"C=2", (char *)"B=2", (char *)"B=3", NULL };
	struct pcore_cluster_client_spec spec = local_spec();
	struct pcore_cluster_client_job job = job_of(SH("pwd; env | grep '^[ABC]=' | sort"));
	struct pcore_cluster_client_result r;
	struct pcore_cluster_client *c;
	uint64_t id;

	(void)state;
	spec.dir = "/";
	spec.env = env;
	spec.timeout = 50 * NS_PER_MS;
	c = opened(&spec);
	job.timeout = FOREVER;
	check_job(c, &job, "/\nA=1\nB=1\n");
	job.dir = "/usr";
	job.env = other;
	check_job(c, &job, "/usr\nA=1\nB=3\nC=2\n");
	job = job_of(SH("exec sleep 600"));
	assert_int_equal(pcore_cluster_client_submit_job(c, &job, &id), 0);
	r = waited(c, id);
	assert_int_equal(r.timed_out, 1);
	pcore_cluster_client_result_done(&r);
	pcore_cluster_client_close(c);
}

/* More of them than a connection has numbers for, all given out at once. */
static void jobs_of_many_kinds_do_not_mix(void **state)
{
	enum { N = 260 };
	struct pcore_cluster_client_spec spec = local_spec();
	struct pcore_cluster_client *c;
	char number[16], *env[] = { number, NULL };
	struct pcore_cluster_client_job job = job_of(SH("echo $N"));
	uint64_t id;

	(void)state;
	spec.local_cpus = N;
	c = opened(&spec);
	job.env = env;
	for (int i = 1; i <= N; i++) {
		(void)snprintf(number, sizeof(number), "N=%d", i);
		assert_int_equal(pcore_cluster_client_submit_job(c, &job, &id), 0);
	}
	for (uint64_t i = 1; i <= N; i++) {
		struct pcore_cluster_client_result r = waited(c, i);

		assert_int_equal(strtoull(r.out, NULL, 10), i);
		pcore_cluster_client_result_done(&r);
	}
	pcore_cluster_client_close(c);
}

static void better_priorities_go_first(void **state)
{
	static const int priorities[] = { 2, 0, 1, -1, 0 }, order[] = { 4, 2, 5, 3, 1 };
	struct pcore_cluster_client_spec spec = local_spec();
	struct pcore_cluster_client_job job = job_of(SH("exit 0"));
	struct pcore_cluster_client *c;
	uint64_t id;

	(void)state;
	spec.jobs = 1;
	c = opened(&spec);
	for (size_t i = 0; i < ARRAY_SIZE(priorities); i++) {
		job.priority = priorities[i];
		assert_int_equal(pcore_cluster_client_submit_job(c, &job, &id), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		struct pcore_cluster_client_result r = { .size = sizeof(r) };

		assert_int_equal(pcore_cluster_client_next(c, FOREVER, &r), 0);
		assert_int_equal(r.id, order[i]);
		pcore_cluster_client_result_done(&r);
	}
	pcore_cluster_client_close(c);
}

/* ---- several ---- */

static void next_tells_each_once(void **state)
{
	enum { N = 20 };
	struct pcore_cluster_client_spec spec = local_spec();
	struct pcore_cluster_client *c = opened(&spec);
	uint64_t id, sum = 0;

	(void)state;
	for (int i = 0; i < N; i++) {
		assert_int_equal(pcore_cluster_client_submit(c, SH("exit 0"), &id), 0);
		assert_int_equal(id, i + 1);
	}
	for (int i = 0; i < N; i++) {
		struct pcore_cluster_client_result r = { .size = sizeof(r) };

		assert_int_equal(pcore_cluster_client_next(c, FOREVER, &r), 0);
		assert_int_equal(r.status, 0);
		sum += r.id;
		pcore_cluster_client_result_done(&r);
	}
	assert_int_equal(sum, N * (N + 1) / 2);
	assert_int_equal(pcore_cluster_client_next(c, FOREVER, NULL), -ENODATA);
	pcore_cluster_client_close(c);
}

static void a_job_is_cancelled_before_and_while_it_runs(void **state)
{
	struct pcore_cluster_client_spec spec = local_spec();
	struct pcore_cluster_client_result r;
	struct pcore_cluster_client *c;
	char fifo[] = "/tmp/pcore-test.XXXXXX", script[64];
	uint64_t runs, waits;

	(void)state;
	spec.jobs = 1;
	c = opened(&spec);
	close(mkstemp(fifo));
	(void)snprintf(script, sizeof(script), "echo ready >%s; exec sleep 600", fifo);
	assert_int_equal(pcore_cluster_client_submit(c, SH(script), &runs), 0);
	assert_int_equal(pcore_cluster_client_submit(c, SH("exit 0"), &waits), 0);
	for (off_t size = 0; size == 0;) {
		int fd = open(fifo, O_RDONLY | O_CLOEXEC);

		assert_int_equal(pcore_cluster_client_wait(c, runs, 10 * NS_PER_MS, NULL), -ETIMEDOUT);
		size = lseek(fd, 0, SEEK_END);
		close(fd);
	}
	unlink(fifo);
	assert_int_equal(pcore_cluster_client_wait(c, waits, 0, NULL), -ETIMEDOUT);
	assert_int_equal(pcore_cluster_client_cancel(c, waits), 0);
	r = waited(c, waits);
	assert_int_equal(r.error, -ECANCELED);
	assert_int_equal(r.cancelled, 1);
	pcore_cluster_client_result_done(&r);

	assert_int_equal(pcore_cluster_client_cancel(c, runs), 0);
	assert_int_equal(pcore_cluster_client_cancel(c, runs), 0);
	r = waited(c, runs);
	assert_int_equal(r.cancelled, 1);
	assert_int_equal(r.signal, SIGTERM);
	pcore_cluster_client_result_done(&r);
	assert_int_equal(pcore_cluster_client_cancel(c, runs), -ENOENT);
	pcore_cluster_client_close(c);
}

static void close_kills_what_runs(void **state)
{
	struct pcore_cluster_client_spec spec = local_spec();
	struct pcore_cluster_client *c = opened(&spec);
	uint64_t id;

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(pcore_cluster_client_submit(c, SH("trap '' TERM; sleep 600"), &id), 0);
	assert_int_equal(pcore_cluster_client_next(c, 50 * NS_PER_MS, NULL), -ETIMEDOUT);
	pcore_cluster_client_close(c);
}

/* ---- a map ---- */

struct told {
	struct pcore_cluster_client *c;
	size_t n, stop_at;
	char text[4096];
};

static int hear(void *ctx, size_t i, struct pcore_cluster_client_result *r)
{
	struct told *t = ctx;

	assert_int_equal(i, t->n);
	t->n++;
	strncat(t->text, r->out, sizeof(t->text) - strlen(t->text) - 1);
	if (t->c)
		assert_int_equal(pcore_cluster_client_cancel(t->c, r->id), -EBUSY);
	return t->n == t->stop_at ? 42 : 0;
}

static void a_map_tells_in_order(void **state)
{
	struct pcore_cluster_client_spec spec = local_spec();
	struct pcore_cluster_client *c = opened(&spec);
	char *const *args[] = { WORDS((char *)"a"), WORDS((char *)"b", (char *)"c"), WORDS((char *)"d"), WORDS((char *)"") };
	struct told t = { .c = c };
	struct pcore_cluster_client_job job = job_of(NULL);
	struct pcore_cluster_client_map m = { .size = sizeof(m), .args = args, .n = 3,
		.ctx = &t, .done = hear };

	(void)state;
	m.argv = WORDS((char *)"sh", (char *)"-c", (char *)"echo $#$1; [ -n \"$1\" ]", (char *)"sh");
	assert_int_equal(pcore_cluster_client_map(c, &m), 0);
	assert_string_equal(t.text, "1a\n2b\n1d\n");
	t = (struct told){ 0 };
	m.n = 4;
	assert_int_equal(pcore_cluster_client_map(c, &m), -EREMOTEIO);
	assert_int_equal(t.n, 4);
	t = (struct told){ .stop_at = 2 };
	assert_int_equal(pcore_cluster_client_map(c, &m), 42);
	assert_int_equal(t.n, 2);
	t = (struct told){ 0 };
	m.n = 3;
	m.job = &job;
	job.env = WORDS((char *)"E=x");
	m.argv = WORDS((char *)"sh", (char *)"-c", (char *)"echo $E$1", (char *)"sh");
	assert_int_equal(pcore_cluster_client_map(c, &m), 0);
	assert_string_equal(t.text, "xa\nxb\nxd\n");
	m.n = 0;
	assert_int_equal(pcore_cluster_client_map(c, &m), 0);
	assert_int_equal(pcore_cluster_client_next(c, FOREVER, NULL), -ENODATA);
	pcore_cluster_client_close(c);
}

static int note(void *ctx, size_t i, struct pcore_cluster_client_result *r)
{
	struct told *t = ctx;

	assert_int_equal(strtoull(r->out, NULL, 10), i);
	t->text[t->n++] = (char)('0' + i);
	return t->n == t->stop_at ? -EINTR : 0;
}

/* The first is cancelled by the last but one: it can only be told of last, if at all. */
static void a_map_tells_as_they_end(void **state)
{
	struct pcore_cluster_client_spec spec = local_spec();
	struct pcore_cluster_client *c = opened(&spec);
	char *const *args[] = { WORDS((char *)"0", (char *)"600"), WORDS((char *)"1", (char *)"0"), WORDS((char *)"2", (char *)"0") };
	struct told t = { .stop_at = 2 };
	struct pcore_cluster_client_map m = { .size = sizeof(m), .args = args, .n = 3, .ctx = &t, .done = note, .unordered = 1 };

	(void)state;
	m.argv = WORDS((char *)"sh", (char *)"-c", (char *)"echo $1; exec sleep $2", (char *)"sh");
	assert_int_equal(pcore_cluster_client_map(c, &m), -EINTR);
	assert_string_equal(t.text, "12");
	args[0] = WORDS((char *)"0", (char *)"0");
	t = (struct told){ 0 };
	assert_int_equal(pcore_cluster_client_map(c, &m), 0);
	assert_int_equal(t.n, 3);
	pcore_cluster_client_close(c);
}

/* ---- beside other things ---- */

static void a_handle_can_be_polled(void **state)
{
	struct pcore_cluster_client_spec spec = local_spec();
	struct pcore_cluster_client *c = opened(&spec);
	struct pcore_cluster_client_result r = { .size = sizeof(r) };
	uint64_t id;
	int n = 0;

	(void)state;
	assert_int_equal(pcore_cluster_client_fd(c), -EOPNOTSUPP);
	assert_int_equal(pcore_cluster_client_run_once(c, 0), 0);
	pcore_cluster_client_close(c);

	spec.pollable = 1;
	c = opened(&spec);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pcore_cluster_client_submit(c, SH("echo yes"), &id), 0);
	while (n < 2) {
		struct pollfd p = { .fd = pcore_cluster_client_fd(c), .events = POLLIN };

		assert_true(p.fd >= 0);
		assert_true(poll(&p, 1, 60000) > 0);
		n = pcore_cluster_client_run_once(c, 0);
		assert_true(n >= 0);
	}
	assert_int_equal(pcore_cluster_client_next(c, 0, &r), 0);
	assert_string_equal(r.out, "yes\n");
	pcore_cluster_client_result_done(&r);
	assert_int_equal(pcore_cluster_client_run_once(c, FOREVER), 1);
	pcore_cluster_client_close(c);
}

/* ---- a node in another process ---- */

static struct pcore_node *node;

static void accepted(struct pcore_net_listener *l, void *ctx, struct pcore_net_conn *conn)
{
	(void)l, (void)ctx;
	pcore_node_serve(node, conn);
}

static void no_log(void *ctx, const char *text)
{
	(void)ctx, (void)text;
}

/* Until it is killed. */
static void be_node(const char *address)
{
	static const struct pcore_net_listener_ops ops = { .accepted = accepted };
	static char *const env[] = { (char *)"PATH=/usr/bin:/bin", NULL };
	const struct pcore_node_resource gpu = { .name = "gpu", .n = 2, .ids = WORDS((char *)"a", (char *)"b") };
	const struct pcore_node_spec spec = { .name = "n1", .software = "test", .cpus = 2, .memory = 1 << 30, .env = env, .grace_ns = NS_PER_S,
		.labels = WORDS((char *)"disk=ssd"), .resources = &gpu, .n_resources = 1, .log = no_log };
	const struct pcore_net_spec net_spec = { .role = PCORE_NET_NODE, .peers = PCORE_NET_ANY_ROLE, .version_min = PCORE_WIRE_VERSION,
		.version_max = PCORE_WIRE_VERSION };
	struct pcore_net_listener *l;
	struct pcore_net_addr addr;
	struct pcore_loop *lp;
	struct pcore_net *net;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (pcore_loop_new(&lp, PCORE_LOOP_AUTO) == 0 && pcore_net_new(&net, lp, &net_spec, NULL) == 0 &&
		pcore_node_new(&node, lp, &spec, NULL) == 0 && pcore_net_addr_parse(&addr, 1, address, false, NULL) == 1 &&
		pcore_net_listen(&l, net, &addr, &ops, NULL, NULL) == 0)
		(void)pcore_loop_run(lp);
	_exit(1);
}

/* In a directory of its own. */
static pid_t start_node(char *dir, char *address, size_t size)
{
	pid_t pid;

	assert_non_null(mkdtemp(dir));
	(void)snprintf(address, size, "unix:%s/socket", dir);
	pid = fork();
	if (pid == 0)
		be_node(address);
	return pid;
}

static void end_node(pid_t pid, const char *dir, const char *address)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	unlink(address + 5);
	assert_int_equal(rmdir(dir), 0);
}

static void count_no_node(void *ctx, const char *text)
{
	if (strstr(text, "of 1 nodes"))
		++*(unsigned *)ctx;
}

static void a_job_needs_a_node_that_will_do(void **state)
{
	char dir[] = "/tmp/pcore-test.XXXXXX", address[64];
	const char *nodes[] = { address, NULL }, *two[] = { "gpu=2", NULL }, *three[] = { "gpu=3", NULL };
	unsigned told = 0;
	struct pcore_cluster_client_spec spec = { .size = sizeof(spec), .nodes = nodes, .wait_nodes = FOREVER, .log = count_no_node, .log_ctx = &told };
	struct pcore_cluster_client_job job = job_of(SH("echo $PCORE_NODE $PCORE_SEQ $PCORE_RESOURCE_GPU"));
	struct pcore_cluster_client_node n = { .size = sizeof(n) };
	struct pcore_cluster_client *c;
	pid_t pid = start_node(dir, address, sizeof(address));
	uint64_t ids[6];

	(void)state;
	c = opened(&spec);
	job.labels = "disk=ssd,disk!=hdd,zone!=b";
	job.resources = two;
	job.node = "n1";
	job.memory = 1 << 20;
	job.cpus = 2;
	check_job(c, &job, "n1 1 a,b\n");
	assert_int_equal(told, 0);
	for (int i = 0; i < 6; i++) {
		job = job_of(SH("exit 0"));
		job.labels = i == 0 ? "disk=hdd" : i == 1 ? "disk!=ssd" : NULL;
		job.resources = i == 2 ? three : NULL;
		job.node = i == 3 ? "n2" : NULL;
		job.memory = i == 4 ? UINT64_C(1) << 40 : 0;
		job.cpus = i == 5 ? 3 : 0;
		assert_int_equal(pcore_cluster_client_submit_job(c, &job, &ids[i]), 0);
	}
	job = job_of(SH("echo $PCORE_NODE"));
	check_job(c, &job, "n1\n"); /* they are in nobody's way */
	assert_int_equal(told, 6);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(pcore_cluster_client_wait(c, ids[i], 0, NULL), -ETIMEDOUT);
		assert_int_equal(pcore_cluster_client_cancel(c, ids[i]), 0);
		assert_int_equal(pcore_cluster_client_wait(c, ids[i], FOREVER, NULL), 0);
	}
	assert_int_equal(pcore_cluster_client_node(c, 0, &n), 0);
	assert_string_equal(n.name, "n1");
	assert_int_equal(n.state, PCORE_CLUSTER_SERVING);
	assert_int_equal(n.cpus, 2);
	assert_int_equal(n.running, 0);
	assert_int_equal(n.done, 2);
	assert_true(n.job_time > 0);
	assert_true(n.sent > 10 && n.received > 5);
	assert_int_equal(pcore_cluster_client_node(c, 1, &n), -ENOENT);
	pcore_cluster_client_close(c);
	end_node(pid, dir, address);
}

static void a_node_tells_its_status(void **state)
{
	char dir[] = "/tmp/pcore-test.XXXXXX", address[64];
	struct pcore_cluster_status_spec spec = { .size = sizeof(spec), .address = address };
	struct pcore_cluster_status s = { .size = sizeof(s) };
	struct pcore_error e;
	pid_t pid = start_node(dir, address, sizeof(address));
	int r;

	(void)state;
	do {
		r = pcore_cluster_status(&spec, &s, &e);
	} while (r == -ENOENT || r == -ECONNREFUSED);
	assert_int_equal(r, 0);
	assert_string_equal(s.name, "n1");
	assert_string_equal(s.version, "test");
	assert_int_equal(s.state, PCORE_CLUSTER_SERVING);
	assert_int_equal(s.cpus, 2);
	assert_int_equal(s.memory, 1 << 30);
	assert_int_equal(s.running + s.queued + s.succeeded + s.failed, 0);
	assert_true(s.start > 0);
	kill(pid, SIGSTOP);
	spec.timeout = NS_PER_MS;
	assert_int_equal(pcore_cluster_status(&spec, &s, &e), -ETIMEDOUT);
	end_node(pid, dir, address);
	assert_int_equal(pcore_cluster_status(&spec, &s, &e), -ENOENT);
	assert_string_equal(e.subject, address);
	spec.address = "nonsense";
	assert_int_equal(pcore_cluster_status(&spec, &s, &e), -EINVAL);
	spec.address = address;
	spec.tls_cert = "one.pem";
	assert_int_equal(pcore_cluster_status(&spec, &s, NULL), -EINVAL);
	spec.tls_key = "one.key";
	spec.tls_ca = "/none/ca.pem";
	assert_true(pcore_cluster_status(&spec, &s, &e) < 0);
	assert_string_equal(e.subject, "one.pem");
	spec.timeout = -1;
	assert_int_equal(pcore_cluster_status(&spec, &s, NULL), -EINVAL);
	assert_int_equal(pcore_cluster_status(NULL, &s, NULL), -EINVAL);
	assert_int_equal(pcore_cluster_status(&(struct pcore_cluster_status_spec){ .size = sizeof(spec), .address = address }, NULL, NULL), -EINVAL);
}

static void seen(void *ctx, const char *text)
{
	if (strstr(text, "'n1' is there") || strstr(text, "'n1' has gone"))
		++*(unsigned *)ctx;
}

static void a_node_comes_and_goes(void **state)
{
	char dir[] = "/tmp/pcore-test.XXXXXX", address[64];
	const char *nodes[] = { address, NULL };
	unsigned told = 0;
	struct pcore_cluster_client_spec spec = { .size = sizeof(spec), .nodes = nodes, .wait_nodes = FOREVER, .log = seen, .log_ctx = &told };
	struct pcore_cluster_client_result r;
	struct pcore_cluster_client *c;
	uint64_t id;
	pid_t pid;

	(void)state;
	pid = start_node(dir, address, sizeof(address));
	c = opened(&spec); /* tries again until it listens */
	assert_int_equal(told, 1);
	assert_int_equal(pcore_cluster_client_submit(c, SH("echo $PPID"), &id), 0);
	r = waited(c, id);
	assert_int_equal(r.status, 0);
	assert_string_equal(r.node, "n1");
	pcore_cluster_client_result_done(&r);
	pcore_cluster_client_close(c);

	/* without it; it is there, however slow it is */
	spec.wait_nodes = 300 * NS_PER_MS;
	while (pcore_cluster_client_open(&c, &spec, NULL) < 0)
		;
	assert_int_equal(pcore_cluster_client_submit(c, SH("exec sleep 600"), &id), 0);
	assert_int_equal(pcore_cluster_client_wait(c, id, 50 * NS_PER_MS, NULL), -ETIMEDOUT);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	r = waited(c, id);
	assert_int_equal(r.error, -EHOSTUNREACH);
	assert_int_equal(r.status, 125);
	pcore_cluster_client_result_done(&r);
	assert_int_equal(pcore_cluster_client_submit(c, SH("exit 0"), &id), -EHOSTUNREACH);
	pcore_cluster_client_close(c);
	unlink(address + 5);
	assert_int_equal(rmdir(dir), 0);
}

/* ---- no memory ---- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);

static _Thread_local unsigned fail_at; /* the one after so many fails; 0: none */

static bool fails(void)
{
	return fail_at > 0 && --fail_at == 0;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fails() ? NULL : __real_reallocarray(p, n, size);
}

/* Whichever allocation fails: it opens nevertheless, or says so and leaves nothing. */
static void without_memory_nothing_is_opened(void **state)
{
	struct pcore_cluster_client_spec spec = local_spec();
	struct pcore_cluster_client *c;
	unsigned failed = 0, left = 0;

	(void)state;
	spec.dir = "/";
	spec.wait_nodes = 20 * NS_PER_MS; /* that of this machine may be cut off */
	for (unsigned n = 1; left == 0; n++) {
		int r;

		c = NULL;
		fail_at = n;
		r = pcore_cluster_client_open(&c, &spec, NULL);
		left = fail_at;
		fail_at = 0;
		assert_true(r == 0 ? !!c : !c);
		failed += r == -ENOMEM;
		pcore_cluster_client_close(c);
	}
	assert_true(failed > 10);
}

static void without_memory_a_job_is_not_queued(void **state)
{
	const char *resources[] = { "gpu", NULL };
	struct pcore_cluster_client_spec spec = local_spec();
	struct pcore_cluster_client *c = opened(&spec);
	struct pcore_cluster_client_job job = job_of(SH("exit 0"));
	uint64_t id, n = 0;
	unsigned left = 0;

	(void)state;
	job.env = WORDS((char *)"A=1");
	job.labels = "a=b";
	job.resources = resources;
	for (unsigned at = 1; left == 0; at++) {
		int r;

		fail_at = at;
		r = pcore_cluster_client_submit_job(c, &job, &id);
		left = fail_at;
		fail_at = 0;
		assert_true(r == 0 || r == -ENOMEM);
		n += r == 0;
	}
	assert_int_equal(id, n);
	pcore_cluster_client_close(c);
}

/* ---- mistakes ---- */

static void nobody_there_is_told(void **state)
{
	const char *nodes[] = { "unix:/none/such/socket", NULL };
	struct pcore_cluster_client_spec spec = { .size = sizeof(spec), .nodes = nodes, .wait_nodes = NS_PER_MS };
	struct pcore_cluster_client *c = NULL;
	struct pcore_error e = { 0 };

	(void)state;
	assert_int_equal(pcore_cluster_client_open(&c, &spec, &e), -EHOSTUNREACH);
	assert_string_equal(e.subject, nodes[0]);
	nodes[0] = "nonsense";
	assert_int_equal(pcore_cluster_client_open(&c, &spec, &e), -EINVAL);
	assert_string_equal(e.subject, "nonsense");
	nodes[0] = "127.0.0.1:1";
	setenv("PCORE_KEY", "/none/such", 1);
	assert_int_equal(pcore_cluster_client_open(&c, &spec, &e), -ENOENT);
	assert_string_equal(e.subject, "/none/such");
	spec.key_file = "/none/other";
	assert_int_equal(pcore_cluster_client_open(&c, &spec, &e), -ENOENT);
	assert_string_equal(e.subject, "/none/other");
	unsetenv("PCORE_KEY");
	setenv("HOME", "/none", 1);
	setenv("XDG_CONFIG_HOME", "/none", 1);
	spec.key_file = NULL;
	if (access("/etc/pcore/cluster.key", F_OK) != 0)
		assert_int_equal(pcore_cluster_client_open(&c, &spec, &e), -ENOKEY);
	assert_null(c);
}

static void *other_thread(void *arg)
{
	uint64_t id;

	return pcore_cluster_client_submit(arg, SH("exit 0"), &id) == -EPERM ? arg : NULL;
}

static void check_spec(const struct pcore_cluster_client_spec *spec, int expected)
{
	struct pcore_cluster_client *c = NULL;

	assert_int_equal(pcore_cluster_client_open(&c, spec, NULL), expected);
	assert_null(c);
}

static void bad_specs_are_refused(void **state)
{
	char *env[] = { (char *)"no equals sign", NULL };
	struct pcore_cluster_client_spec spec = local_spec();
	struct {
		struct pcore_cluster_client_spec spec;
		int more;
	} younger = { .spec = local_spec(), .more = 1 };

	(void)state;
	check_spec(NULL, -EINVAL);
	younger.spec.size = sizeof(younger);
	check_spec(&younger.spec, -E2BIG);
	spec.size = 0;
	check_spec(&spec, -EINVAL);
	unsetenv("PCORE_SCHEDULER");
	spec = (struct pcore_cluster_client_spec){ .size = sizeof(spec) }; /* no node */
	check_spec(&spec, -EINVAL);
	spec = local_spec();
	spec.dir = "relative";
	check_spec(&spec, -EINVAL);
	spec = local_spec();
	spec.env = env;
	check_spec(&spec, -EINVAL);
	spec = local_spec();
	spec.wait_nodes = -1;
	check_spec(&spec, -EINVAL);
	spec = local_spec();
	spec.retry_lost = 256;
	check_spec(&spec, -EINVAL);
	spec = local_spec();
	spec.scheduler = "unix:/none";
	check_spec(&spec, -EINVAL);
	spec = local_spec();
	spec.exclusive = 1; /* of a scheduler's nodes */
	check_spec(&spec, -EINVAL);
	spec = local_spec();
	spec.tls_cert = "cert.pem";
	check_spec(&spec, -EINVAL);
	assert_int_equal(pcore_cluster_client_open(NULL, &spec, NULL), -EINVAL);
}

static void check_bad_job(struct pcore_cluster_client *c, const struct pcore_cluster_client_job *job)
{
	uint64_t id;

	assert_int_equal(pcore_cluster_client_submit_job(c, job, &id), -EINVAL);
}

static void bad_jobs_are_refused(void **state)
{
	static const char *const labels[] = { "", "a", "=b", "!=b", "a=b,", ",a=b", "a=b,c" };
	static const char *const resources[] = { "", "=1", "gpu=", "gpu=0", "gpu=x", "gpu=4294967296" };
	char *env[] = { (char *)"=x", NULL };
	struct pcore_cluster_client_spec spec = local_spec();
	struct pcore_cluster_client *c = opened(&spec);
	struct pcore_cluster_client_job job;
	const char *words[] = { NULL, NULL, NULL };

	(void)state;
	check_bad_job(c, NULL);
	job = job_of(NULL);
	check_bad_job(c, &job);
	job = job_of(SH("exit 0"));
	for (size_t i = 0; i < ARRAY_SIZE(labels); i++) {
		job.labels = labels[i];
		check_bad_job(c, &job);
	}
	job.labels = NULL;
	job.resources = words;
	for (size_t i = 0; i < ARRAY_SIZE(resources); i++) {
		words[0] = resources[i];
		check_bad_job(c, &job);
	}
	words[0] = "gpu=1";
	words[1] = "gpu=2";
	check_bad_job(c, &job);
	job = job_of(SH("exit 0"));
	job.dir = "relative";
	check_bad_job(c, &job);
	job.dir = NULL;
	job.env = env;
	check_bad_job(c, &job);
	job.env = NULL;
	job.timeout = -1;
	check_bad_job(c, &job);
	job.timeout = 0;
	job.node = "";
	check_bad_job(c, &job);
	job.node = NULL;
	job.cpus = UINT32_MAX;
	check_bad_job(c, &job);
	pcore_cluster_client_close(c);
}

static void bad_calls_are_refused(void **state)
{
	struct pcore_cluster_client_spec spec = local_spec();
	struct pcore_cluster_client *c = opened(&spec);
	struct pcore_cluster_client_result r = { .size = 8 };
	struct pcore_cluster_client_map m = { .size = sizeof(m), .n = 1 };
	char *big = calloc(1, 9 << 20);
	pthread_t thread;
	void *same;
	uint64_t id;

	(void)state;
	assert_non_null(big);
	memset(big, 'x', (9 << 20) - 1);
	assert_int_equal(pcore_cluster_client_submit(c, NULL, &id), -EINVAL);
	assert_int_equal(pcore_cluster_client_submit(c, WORDS((char *)""), &id), -EINVAL);
	assert_int_equal(pcore_cluster_client_submit(c, SH("exit 0"), NULL), -EINVAL);
	assert_int_equal(pcore_cluster_client_submit(NULL, SH("exit 0"), &id), -EINVAL);
	assert_int_equal(pcore_cluster_client_submit(c, WORDS((char *)"echo", big), &id), -E2BIG);
	free(big);
	assert_int_equal(pcore_cluster_client_wait(c, 1, 0, NULL), -ENOENT);
	assert_int_equal(pcore_cluster_client_cancel(c, 1), -ENOENT);
	assert_int_equal(pcore_cluster_client_map(c, NULL), -EINVAL);
	assert_int_equal(pcore_cluster_client_map(c, &m), -EINVAL);
	m.argv = SH("exit 0");
	assert_int_equal(pcore_cluster_client_map(c, &m), -EINVAL);
	assert_int_equal(pcore_cluster_client_submit(c, SH("exit 0"), &id), 0);
	assert_int_equal(pcore_cluster_client_wait(c, id, 0, &r), -EINVAL);
	assert_int_equal(pthread_create(&thread, NULL, other_thread, c), 0);
	assert_int_equal(pthread_join(thread, &same), 0);
	assert_ptr_equal(same, c);
	pcore_cluster_client_close(c);
	pcore_cluster_client_close(NULL);
	pcore_cluster_client_result_done(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_job_tells_how_it_ended),
		TEST(output_has_a_limit),
		TEST(time_is_limited),
		TEST(a_job_has_a_directory_an_environment_and_a_limit_of_its_own),
		TEST(jobs_of_many_kinds_do_not_mix),
		TEST(better_priorities_go_first),
		TEST(next_tells_each_once),
		TEST(a_job_is_cancelled_before_and_while_it_runs),
		TEST(close_kills_what_runs),
		TEST(a_map_tells_in_order),
		TEST(a_map_tells_as_they_end),
		TEST(a_handle_can_be_polled),
		TEST(a_job_needs_a_node_that_will_do),
		TEST(a_node_tells_its_status),
		TEST(a_node_comes_and_goes),
		TEST(without_memory_nothing_is_opened),
		TEST(without_memory_a_job_is_not_queued),
		TEST(nobody_there_is_told),
		TEST(bad_specs_are_refused),
		TEST(bad_jobs_are_refused),
		TEST(bad_calls_are_refused),
	};

	return RUN_TESTS(tests);
}
