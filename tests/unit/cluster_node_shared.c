/* SPDX-License-Identifier: MIT */
/*
 * cluster_node_shared.c - tests of a scheduler for many by a client that says what the test says, over a pair of sockets.
 */
#include "tests/unit/net_support.h"

#include <sys/stat.h>

#include "libcore/cluster/shared_private.h"
#include "libcore/cluster/spec.h"

static struct {
	struct side side, client;
	struct end end, far;
	struct pcore_shared *shared;
	char dir[40];
	int fd;
	unsigned idle, answers, submitted, listed;
	uint64_t status, number, count, queued, cancelled;
} t;

static void logged(void *ctx, const char *text)
{
	(void)ctx;
	(void)text;
}

static void failed(void *ctx, int error)
{
	(void)ctx;
	fail_msg("the store: %s", strerror(-error));
}

static void idle(void *ctx)
{
	(void)ctx;
	t.idle++;
}

static void heard(struct end *e, const struct pcore_net_frame *nf)
{
	const struct pcore_wire_frame f = { (enum pcore_wire_type)nf->type, nf->stream, nf->body, nf->len };
	struct pcore_wire_answer a;
	struct pcore_wire_submitted s;
	struct pcore_wire_submission m;

	(void)e;
	if (f.type == PCORE_WIRE_ANSWER) {
		assert_int_equal(pcore_wire_get_answer(&f, &a), 0);
		t.status = a.status;
		t.answers++;
	} else if (f.type == PCORE_WIRE_SUBMITTED) {
		assert_int_equal(pcore_wire_get_submitted(&f, &s), 0);
		t.number = s.submission;
		t.count = s.count;
		t.submitted++;
	} else if (f.type == PCORE_WIRE_SUBMISSION) {
		assert_int_equal(pcore_wire_get_submission(&f, &m), 0);
		t.queued = m.queued;
		t.cancelled = m.cancelled;
		t.listed++;
	}
}

static void begin(void)
{
	const struct pcore_shared_spec spec = {
		.name = "s", .software = "test", .state_fd = t.fd, .durable = true, .grace_ns = NS_PER_S, .keep_ns = INT64_MAX,
		.log = logged, .failed = failed, .idle = idle,
	};

	assert_int_equal(pcore_shared_new(&t.shared, lp, &spec), 0);
	t.side = side_of(PCORE_NET_SCHEDULER, NULL);
	t.client = side_of(PCORE_NET_CLIENT, NULL);
	assert_int_equal(pcore_shared_start(t.shared, t.side.net), 0);
	t.end = t.far = (struct end){ 0 };
	t.end.on_frame = heard;
	join_open(&t.client, &t.end, &t.side, &t.far, false);
	pcore_shared_accept(t.shared, t.far.c);
}

static void end(void)
{
	unsigned before = t.idle;

	pcore_shared_stop(t.shared);
	UNTIL(t.idle > before && !t.end.c);
	side_done(&t.client);
	side_done(&t.side);
	pcore_shared_free(t.shared);
}

static void send_body(enum pcore_wire_type type, const struct pcore_buf *b)
{
	assert_true(pcore_net_send(t.end.c, (uint16_t)type, PCORE_NET_DATA, 1, b->data, b->len) >= 0);
}

/* So many jobs of `true', as a part of the submission with this token. */
static void submit(const char *token, uint64_t part, uint64_t count, bool more)
{
	_cleanup_(pcore_buf_done) struct pcore_buf b = PCORE_BUF_INIT(0), env = PCORE_BUF_INIT(0), template = PCORE_BUF_INIT(0), argv = PCORE_BUF_INIT(0);
	struct pcore_wire_template m = { 0 };
	char word[] = "true";
	struct pcore_wire_submit s = {
		.has = PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_PART) | PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_MORE),
		.token = { token, PCORE_WIRE_TOKEN }, .part = part, .more = more, .count = count,
	};

	assert_int_equal(pcore_argv_put(&argv, (char *[]){ word, NULL }), 0);
	m.argv = (struct pcore_wire_argv){ argv.data, argv.len };
	assert_int_equal(pcore_wire_put_env(&env, &(struct pcore_wire_env){ 0 }), 0);
	assert_int_equal(pcore_wire_put_template(&template, &m), 0);
	if (part == 0) {
		s.has |= PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_ENV) | PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_TEMPLATE);
		s.env = (struct pcore_wire_bytes){ env.data, env.len };
		s.template = (struct pcore_wire_bytes){ template.data, template.len };
	}
	assert_int_equal(pcore_wire_put_submit(&b, &s), 0);
	send_body(PCORE_WIRE_SUBMIT, &b);
}

static void list(uint64_t number)
{
	_cleanup_(pcore_buf_done) struct pcore_buf b = PCORE_BUF_INIT(0);
	const struct pcore_wire_about m = { .has = PCORE_WIRE_HAS(PCORE_WIRE_ABOUT_SUBMISSION), .submission = number };
	unsigned before = t.answers;

	assert_int_equal(pcore_wire_put_about(&b, PCORE_WIRE_LIST, &m), 0);
	send_body(PCORE_WIRE_LIST, &b);
	UNTIL(t.answers > before);
}

static void a_token_stands_for_one_submission_over_restarts(void **state)
{
	static const char one[] = "aaaaaaaaaaaaaaaa", two[] = "bbbbbbbbbbbbbbbb";
	const struct pcore_wire_cancel all = { .submission = 1, .from = 1, .to = PCORE_WIRE_TO_END };
	_cleanup_(pcore_buf_done) struct pcore_buf b = PCORE_BUF_INIT(0);

	(void)state;
	begin();
	submit(one, 0, 1000, true);
	submit(one, 1, 10, false);
	UNTIL(t.submitted == 2);
	assert_int_equal(t.number, 1);
	assert_int_equal(t.count, 1010);
	submit(one, 0, 1000, true); /* said again */
	UNTIL(t.submitted == 3);
	assert_int_equal(t.count, 1000);
	submit(two, 1, 1, false); /* its beginning is missing */
	UNTIL(t.answers == 1);
	assert_int_equal(t.status, 125);
	end();

	begin();
	list(1);
	assert_int_equal(t.queued, 1010);
	submit(one, 1, 10, false);
	submit(two, 0, 1, false);
	UNTIL(t.submitted == 5);
	assert_int_equal(t.number, 2);
	assert_int_equal(pcore_wire_put_cancel(&b, &all), 0);
	send_body(PCORE_WIRE_CANCEL, &b);
	UNTIL(t.answers == 3);
	assert_int_equal(t.status, 0);
	end();

	begin();
	list(1);
	assert_int_equal(t.cancelled, 1010);
	assert_int_equal(t.queued, 0);
	list(2);
	assert_int_equal(t.queued, 1);
	list(3);
	assert_int_equal(t.status, 1);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = { NET_TEST(a_token_stands_for_one_submission_over_restarts) };
	struct pcore_trash trash;
	int failures;

	strcpy(t.dir, "/tmp/pcore-shared.XXXXXX");
	if (!mkdtemp(t.dir))
		return 1;
	t.fd = open(t.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	failures = RUN_TESTS(tests);
	trash = (struct pcore_trash){ .fd = t.fd };
	while (pcore_trash_step(&trash, 1024) > 0)
		;
	(void)close(t.fd);
	(void)rmdir(t.dir);
	return failures;
}
