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
	uint64_t adopted; /* bytes of input, as our job is told to us after a cut */
	struct pcore_wire_credit credit;
	unsigned credits, lost;

	/* A node, and what it has been told. */
	struct side node;
	struct end node_end, node_far;
	struct pcore_wire_ref job;
	unsigned assigned;
	uint64_t got; /* of its input */
	bool got_all;
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

static void heard_records(const struct pcore_wire_frame *f)
{
	struct pcore_wire_adopt a;
	struct pcore_wire_ref ref;
	struct pcore_wire_in in;

	assert_int_equal(pcore_wire_open(f, &in), 0);
	while (f->type == PCORE_WIRE_ADOPT_N && pcore_wire_next_adopt(&in, &a))
		t.adopted = a.input;
	while (f->type == PCORE_WIRE_CREDIT_N && pcore_wire_next_credit(&in, &t.credit))
		t.credits++;
	while (f->type == PCORE_WIRE_RETRACTED_N && pcore_wire_next_ref(&in, &ref))
		t.lost += ref.how == PCORE_WIRE_IS_LOST;
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
	} else if (f.type == PCORE_WIRE_ADOPT_N || f.type == PCORE_WIRE_CREDIT_N || f.type == PCORE_WIRE_RETRACTED_N) {
		heard_records(&f);
	}
}

static void connect_client(void)
{
	t.end = t.far = (struct end){ 0 };
	t.end.on_frame = heard;
	join_open(&t.client, &t.end, &t.side, &t.far, false);
	pcore_shared_accept(t.shared, t.far.c);
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
	connect_client();
}

static void end(void)
{
	unsigned before = t.idle;

	pcore_shared_stop(t.shared);
	UNTIL(t.idle > before && !t.end.c && !t.node_end.c);
	if (t.node.net)
		side_done(&t.node);
	side_done(&t.client);
	side_done(&t.side);
	pcore_shared_free(t.shared);
}

static void send_body(enum pcore_wire_type type, const struct pcore_buf *b)
{
	assert_true(pcore_net_send(t.end.c, (uint16_t)type, PCORE_NET_DATA, 1, b->data, b->len) >= 0);
}

/* A template 1 of `true', in an environment 1. */
static void describe_as(struct pcore_wire_template m)
{
	_cleanup_(pcore_buf_done) struct pcore_buf env = PCORE_BUF_INIT(0), template = PCORE_BUF_INIT(0), argv = PCORE_BUF_INIT(0);
	char word[] = "true";

	assert_int_equal(pcore_argv_put(&argv, (char *[]){ word, NULL }), 0);
	m.env = 1;
	m.argv = (struct pcore_wire_argv){ argv.data, argv.len };
	assert_int_equal(pcore_wire_put_env(&env, &(struct pcore_wire_env){ 0 }), 0);
	assert_int_equal(pcore_wire_put_template(&template, &m), 0);
	send_body(PCORE_WIRE_ENV, &env);
	send_body(PCORE_WIRE_TEMPLATE, &template);
}

static void describe(void)
{
	describe_as((struct pcore_wire_template){ 0 });
}

/* A job of it. */
static void assign(uint64_t job, unsigned flags)
{
	_cleanup_(pcore_buf_done) struct pcore_buf b = PCORE_BUF_INIT(0);
	const struct pcore_wire_assign a = { .job = job, .attempt = 1, .template = 1, .flags = (uint8_t)flags };
	struct pcore_wire_out out;

	assert_int_equal(pcore_wire_begin(&out, &b, PCORE_WIRE_ASSIGN_N), 0);
	assert_int_equal(pcore_wire_add_assign(&out, &a), 0);
	(void)pcore_wire_end(&out, false);
	send_body(PCORE_WIRE_ASSIGN_N, &b);
}

/* So many bytes of the input of job 1. */
static void input(uint64_t offset, size_t len, bool last)
{
	_cleanup_(pcore_buf_done) struct pcore_buf b = PCORE_BUF_INIT(0);
	static const char bytes[PCORE_WIRE_CREDIT];
	const struct pcore_wire_chunk c = { .attempt = 1, .stream = PCORE_WIRE_STDIN, .last = last, .offset = offset, .data = bytes, .len = len };

	assert_int_equal(pcore_wire_put_chunk(&b, &c), 0);
	send_body(PCORE_WIRE_INPUT, &b);
}

static bool refused(struct end *e)
{
	UNTIL(!e->c);
	return e->error.code == -ECONNABORTED;
}

/* ---- a node ---- */

static void node_heard(struct end *e, const struct pcore_net_frame *nf)
{
	const struct pcore_wire_frame f = { (enum pcore_wire_type)nf->type, nf->stream, nf->body, nf->len };
	struct pcore_wire_assign a;
	struct pcore_wire_chunk c;
	struct pcore_wire_in in;

	(void)e;
	if (f.type == PCORE_WIRE_ASSIGN_N) {
		assert_int_equal(pcore_wire_open(&f, &in), 0);
		while (pcore_wire_next_assign(&in, &a)) {
			if (a.flags != PCORE_WIRE_STREAM) /* of a submission that is still there */
				continue;
			t.job = (struct pcore_wire_ref){ .job = a.job, .attempt = a.attempt };
			t.got = 0;
			t.assigned++;
		}
	} else if (f.type == PCORE_WIRE_INPUT) {
		assert_int_equal(pcore_wire_get_chunk(&f, &c), 0);
		assert_int_equal(c.offset, t.got);
		assert_int_equal(c.attempt, t.job.attempt);
		t.got += c.len;
		t.got_all = c.last;
	}
}

static void node_say(enum pcore_wire_type type, const struct pcore_buf *b)
{
	assert_true(pcore_net_send(t.node_end.c, (uint16_t)type, 0, 0, b->data, b->len) >= 0);
}

/* It is there, with a job that has so many bytes of input, or none. */
static void node_connect(bool has, uint64_t input_bytes)
{
	_cleanup_(pcore_buf_done) struct pcore_buf b = PCORE_BUF_INIT(0);
	const struct pcore_wire_node m = { .name = "n", .instance = 1, .cpus = 8, .memory = 1, .slots = 8 };
	const struct pcore_wire_adopt a = {
		.job = t.job.job, .attempt = t.job.attempt, .state = PCORE_WIRE_JOB_RUNNING, .input = input_bytes };
	struct pcore_wire_out out;

	if (!t.node.net)
		t.node = side_of(PCORE_NET_NODE, NULL);
	t.node_end = t.node_far = (struct end){ .on_frame = node_heard };
	join_open(&t.node, &t.node_end, &t.side, &t.node_far, false);
	pcore_shared_accept(t.shared, t.node_far.c);
	assert_int_equal(pcore_wire_put_node(&b, &m), 0);
	node_say(PCORE_WIRE_NODE, &b);
	pcore_buf_clear(&b);
	assert_int_equal(pcore_wire_begin(&out, &b, PCORE_WIRE_ADOPT_N), 0);
	if (has)
		assert_int_equal(pcore_wire_add_adopt(&out, &a), 0);
	(void)pcore_wire_end(&out, false);
	node_say(PCORE_WIRE_ADOPT_N, &b);
}

static void node_says_started(void)
{
	_cleanup_(pcore_buf_done) struct pcore_buf b = PCORE_BUF_INIT(0);
	const struct pcore_wire_started m = { .job = t.job.job, .attempt = t.job.attempt, .slot = 1, .pid = 1, .start_ns = 1 };
	struct pcore_wire_out out;

	assert_int_equal(pcore_wire_begin(&out, &b, PCORE_WIRE_STARTED_N), 0);
	assert_int_equal(pcore_wire_add_started(&out, &m), 0);
	(void)pcore_wire_end(&out, false);
	node_say(PCORE_WIRE_STARTED_N, &b);
}

static void node_gives_credit(uint64_t limit, bool closed)
{
	_cleanup_(pcore_buf_done) struct pcore_buf b = PCORE_BUF_INIT(0);
	const struct pcore_wire_credit m = {
		.job = t.job.job, .attempt = t.job.attempt, .stream = PCORE_WIRE_STDIN, .closed = closed, .received = t.got, .limit = limit };
	struct pcore_wire_out out;

	assert_int_equal(pcore_wire_begin(&out, &b, PCORE_WIRE_CREDIT_N), 0);
	assert_int_equal(pcore_wire_add_credit(&out, &m), 0);
	(void)pcore_wire_end(&out, false);
	node_say(PCORE_WIRE_CREDIT_N, &b);
}

static void node_gives_back(void)
{
	_cleanup_(pcore_buf_done) struct pcore_buf b = PCORE_BUF_INIT(0);
	const struct pcore_wire_ref m = { .job = t.job.job, .attempt = t.job.attempt, .how = PCORE_WIRE_IS_RETRACTED };
	struct pcore_wire_out out;

	assert_int_equal(pcore_wire_begin(&out, &b, PCORE_WIRE_RETRACTED_N), 0);
	assert_int_equal(pcore_wire_add_ref(&out, &m), 0);
	(void)pcore_wire_end(&out, false);
	node_say(PCORE_WIRE_RETRACTED_N, &b);
}

/* A job with so much input, and a node that has it. */
static void begin_with_node(size_t bytes)
{
	begin();
	t.assigned = t.credits = t.lost = 0;
	t.got_all = false;
	node_connect(false, 0);
	describe();
	assign(1, PCORE_WIRE_STREAM);
	input(0, bytes, false);
	UNTIL(t.got == bytes);
	assert_int_equal(t.assigned, 1);
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

static void a_template_of_workers_is_refused(void **state)
{
	(void)state;
	begin();
	describe_as((struct pcore_wire_template){
		.has = PCORE_WIRE_HAS(PCORE_WIRE_T_FORM) | PCORE_WIRE_HAS(PCORE_WIRE_T_WINDOW), .window = 1 });
	assert_true(refused(&t.end));
	end();
}

static void of_an_input_that_nobody_reads_no_more_is_taken_than_its_credit(void **state)
{
	(void)state;
	begin();
	describe();
	assign(1, PCORE_WIRE_STREAM);
	input(0, 1, false);
	input(0, 1, false); /* said again */
	for (uint64_t at = 1; at < PCORE_WIRE_CREDIT; at += 21845)
		input(at, 21845, false);
	list(1);
	assert_non_null(t.end.c);
	input(PCORE_WIRE_CREDIT, 1, true);
	assert_true(refused(&t.end));
	end();
}

static void an_input_has_no_gaps_and_nothing_behind_its_end(void **state)
{
	(void)state;
	begin();
	describe();
	assign(1, PCORE_WIRE_STREAM);
	input(1, 1, false);
	assert_true(refused(&t.end));
	end();
	begin();
	describe();
	assign(1, PCORE_WIRE_STREAM);
	input(0, 1, true);
	input(1, 1, false);
	assert_true(refused(&t.end));
	end();
	begin();
	describe();
	assign(1, 0);
	input(0, 1, false);
	assert_true(refused(&t.end));
	end();
}

static void an_input_goes_on_after_a_cut_from_where_it_was(void **state)
{
	(void)state;
	begin();
	t.credits = 0;
	describe();
	assign(1, PCORE_WIRE_STREAM);
	input(0, 10, false);
	list(1);
	pcore_net_abort(t.end.c);
	UNTIL(!t.end.c);
	connect_client();
	UNTIL(t.credits == 1);
	assert_int_equal(t.adopted, 10);
	assert_int_equal(t.credit.job, 1);
	assert_int_equal(t.credit.stream, PCORE_WIRE_STDIN);
	assert_int_equal(t.credit.limit, PCORE_WIRE_CREDIT);
	input(10, 10, true);
	list(1);
	end();
}

static void a_job_that_is_given_back_has_all_of_its_input_again(void **state)
{
	(void)state;
	begin_with_node(100);
	node_gives_back();
	UNTIL(t.assigned == 2 && t.got == 100);
	input(100, 50, true);
	UNTIL(t.got == 150);
	UNTIL(t.got_all);
	assert_int_equal(t.lost, 0);
	end();
}

static void one_that_is_given_back_when_it_has_read_is_lost(void **state)
{
	(void)state;
	begin_with_node(100);
	input(100, 100, false);
	UNTIL(t.got == 200);
	node_says_started();
	node_gives_credit(PCORE_WIRE_CREDIT + 150, false);
	UNTIL(t.credits == 1);
	node_gives_back();
	UNTIL(t.lost == 1);
	assert_int_equal(t.assigned, 1);
	end();
}

static void the_credit_is_the_nodes_and_no_more_than_was_sent_to_it(void **state)
{
	(void)state;
	begin_with_node(100);
	node_says_started();
	node_gives_credit(PCORE_WIRE_CREDIT + 60, false);
	UNTIL(t.credits == 1);
	assert_int_equal(t.credit.limit, PCORE_WIRE_CREDIT + 60);
	node_gives_credit(UINT64_C(1) << 40, false);
	UNTIL(t.credits == 2);
	assert_int_equal(t.credit.limit, PCORE_WIRE_CREDIT + 100);
	input(100, PCORE_WIRE_CREDIT, false);
	UNTIL(t.got == PCORE_WIRE_CREDIT + 100);
	node_gives_credit(UINT64_C(1) << 40, true);
	UNTIL(t.credit.closed);
	end();
}

static void a_node_that_comes_back_gets_what_it_has_not(void **state)
{
	(void)state;
	begin_with_node(100);
	input(100, 100, false);
	UNTIL(t.got == 200);
	node_says_started();
	node_gives_credit(PCORE_WIRE_CREDIT + 150, false);
	UNTIL(t.credits == 1);
	pcore_net_abort(t.node_end.c);
	UNTIL(!t.node_end.c);
	t.got = 160;
	node_connect(true, 160);
	UNTIL(t.got == 200);
	input(200, 10, true);
	UNTIL(t.got == 210);
	assert_int_equal(t.assigned, 1);

	pcore_net_abort(t.node_end.c);
	UNTIL(!t.node_end.c);
	node_connect(true, 149); /* less than its job has taken */
	assert_true(refused(&t.node_end));
	node_connect(true, 211); /* more than it was sent */
	assert_true(refused(&t.node_end));
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NET_TEST(a_token_stands_for_one_submission_over_restarts),
		NET_TEST(a_template_of_workers_is_refused),
		NET_TEST(of_an_input_that_nobody_reads_no_more_is_taken_than_its_credit),
		NET_TEST(an_input_has_no_gaps_and_nothing_behind_its_end),
		NET_TEST(an_input_goes_on_after_a_cut_from_where_it_was),
		NET_TEST(a_job_that_is_given_back_has_all_of_its_input_again),
		NET_TEST(one_that_is_given_back_when_it_has_read_is_lost),
		NET_TEST(the_credit_is_the_nodes_and_no_more_than_was_sent_to_it),
		NET_TEST(a_node_that_comes_back_gets_what_it_has_not),
	};
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
