/* SPDX-License-Identifier: MIT */
/*
 * api_cluster.c - tests of <pcore/cluster.h>: on the node of this machine within the program, and on one in another process, over
 * a Unix socket.
 */
#include "tests/unit/support.h"

#include <errno.h>
#include <fcntl.h>
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
	m.n = 0;
	assert_int_equal(pcore_cluster_client_map(c, &m), 0);
	assert_int_equal(pcore_cluster_client_next(c, FOREVER, NULL), -ENODATA);
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
	const struct pcore_node_spec spec = { .name = "n1", .software = "test", .cpus = 2, .memory = 1 << 30, .env = env, .grace_ns = NS_PER_S,
		.log = no_log };
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
	assert_non_null(mkdtemp(dir));
	(void)snprintf(address, sizeof(address), "unix:%s/socket", dir);
	pid = fork();
	if (pid == 0)
		be_node(address);
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
	assert_int_equal(pcore_cluster_client_open(NULL, &spec, NULL), -EINVAL);
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
		TEST(next_tells_each_once),
		TEST(a_job_is_cancelled_before_and_while_it_runs),
		TEST(close_kills_what_runs),
		TEST(a_map_tells_in_order),
		TEST(a_node_comes_and_goes),
		TEST(without_memory_nothing_is_opened),
		TEST(nobody_there_is_told),
		TEST(bad_specs_are_refused),
		TEST(bad_calls_are_refused),
	};

	return RUN_TESTS(tests);
}
