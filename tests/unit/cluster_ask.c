/* SPDX-License-Identifier: MIT */
/*
 * cluster_ask.c - tests of a client's connection to a scheduler: the test is the scheduler, behind a Unix socket.
 */
#include "tests/unit/net_support.h"

#include "libcore/cluster/ask.h"

enum { ENDS = 8, TEXT = 64 };

/* What the client has said: the last of each kind, and how many. */
struct said {
	unsigned submits, watches, credits;
	char token[PCORE_WIRE_TOKEN];
	struct pcore_wire_watch watch;
	struct pcore_wire_credit credit;
	uint64_t id; /* of the last call */
};

static struct {
	char dir[40], socket[64];
	struct side far, near;
	struct end ends[ENDS]; /* the connections, one after the other */
	struct pcore_ask *ask;
	struct pcore_net_addr addr;
	struct said said;
	unsigned lost, failed;
	struct pcore_net_error error;

	/* a watch */
	struct pcore_watch watch;
	unsigned started, done, over;
	char output[TEXT];
	size_t len;
} t;

/* ---- the scheduler ---- */

static void heard(struct end *e, const struct pcore_net_frame *nf)
{
	const struct pcore_wire_frame f = { (enum pcore_wire_type)nf->type, nf->stream, nf->body, nf->len };
	struct pcore_wire_submit submit;
	struct pcore_wire_in in;

	(void)e;
	switch ((unsigned)f.type) {
	case PCORE_WIRE_SUBMIT:
		assert_int_equal(pcore_wire_get_submit(&f, &submit), 0);
		memcpy(t.said.token, submit.token.data, PCORE_WIRE_TOKEN);
		t.said.submits++;
		t.said.id = f.id;
		break;
	case PCORE_WIRE_WATCH:
		assert_int_equal(pcore_wire_get_watch(&f, &t.said.watch), 0);
		t.said.watches++;
		t.said.id = f.id;
		break;
	case PCORE_WIRE_CREDIT_N:
		assert_int_equal(pcore_wire_open(&f, &in), 0);
		assert_true(pcore_wire_next_credit(&in, &t.said.credit));
		t.said.credits++;
		break;
	default:
		fail_msg("a client does not say %x", (unsigned)f.type);
	}
}

/* The connection there is now. */
static struct end *now(void)
{
	return t.far.next - 1;
}

static void say(enum pcore_wire_type type, uint16_t flags, uint64_t id, struct pcore_buf *b)
{
	if (pcore_wire_body_max(type) > PCORE_WIRE_CONTROL_MAX)
		flags |= PCORE_NET_DATA;
	assert_true(pcore_net_send(now()->c, (uint16_t)type, flags, id, b->data, b->len) >= 0);
	pcore_buf_done(b);
}

static void say_started(uint64_t job, uint32_t attempt)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct pcore_wire_out out;

	assert_int_equal(pcore_wire_begin(&out, &b, PCORE_WIRE_STARTED_N), 0);
	assert_int_equal(pcore_wire_add_started(&out, &(struct pcore_wire_started){ .job = job, .attempt = attempt, .slot = 1 }), 0);
	assert_int_equal(pcore_wire_end(&out, false), 1);
	say(PCORE_WIRE_STARTED_N, 0, t.said.id, &b);
}

static void say_done(uint64_t job)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct pcore_wire_out out;

	assert_int_equal(pcore_wire_begin(&out, &b, PCORE_WIRE_DONE_N), 0);
	assert_int_equal(pcore_wire_add_done(&out, &(struct pcore_wire_done){ .job = job, .step = "", .subject = "" }), 0);
	assert_int_equal(pcore_wire_end(&out, false), 1);
	say(PCORE_WIRE_DONE_N, 0, t.said.id, &b);
}

static void say_output(uint32_t attempt, uint64_t offset, const char *data, size_t len)
{
	const struct pcore_wire_chunk c = { .attempt = attempt, .offset = offset, .data = data, .len = len };
	struct pcore_buf b = PCORE_BUF_INIT(0);

	assert_int_equal(pcore_wire_put_chunk(&b, &c), 0);
	say(PCORE_WIRE_OUTPUT, 0, t.said.id, &b);
}

static void say_answer(void)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);

	assert_int_equal(pcore_wire_put_answer(&b, &(struct pcore_wire_answer){ .status = 0 }), 0);
	say(PCORE_WIRE_ANSWER, 0, t.said.id, &b);
}

static void say_number(uint64_t number, const char *name)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);

	assert_int_equal(pcore_wire_put_number(&b, &(struct pcore_wire_number){ .name = name }), 0);
	say(PCORE_WIRE_NODE_NUMBER, PCORE_NET_OPTIONAL, number, &b);
}

static void say_bytes(unsigned type, uint16_t flags, const char *bytes)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);

	assert_int_equal(pcore_buf_adds(&b, bytes), 0);
	say((enum pcore_wire_type)type, flags, t.said.id, &b);
}

/* The machine has crashed, and another connection follows. */
static void cut(void)
{
	unsigned before = t.far.n_accepted;

	pcore_net_abort(now()->c);
	UNTIL(t.far.n_accepted > before);
}

/* ---- the client ---- */

static void lost(void *ctx, const struct pcore_net_error *e)
{
	(void)ctx;
	(void)e;
	t.lost++;
}

static void failed(void *ctx, const struct pcore_net_error *e)
{
	(void)ctx;
	t.failed++;
	t.error = *e;
}

static void started(struct pcore_watch *w, uint64_t seq, const struct pcore_wire_started *s)
{
	assert_ptr_equal(w, &t.watch);
	assert_true(s->job == seq);
	t.started++;
}

static void output(struct pcore_watch *w, uint64_t seq, enum pcore_wire_stream stream, const char *data, size_t len)
{
	(void)seq;
	assert_int_equal(stream, PCORE_WIRE_STDOUT);
	for (size_t i = 0; i < len && t.len < TEXT - 1; i++)
		t.output[t.len++] = data[i];
	pcore_watch_took(w, len);
}

static void done(struct pcore_watch *w, const struct pcore_wire_done *d)
{
	(void)w;
	(void)d;
	t.done++;
}

static void over(struct pcore_watch *w, const struct pcore_wire_answer *a)
{
	(void)w;
	assert_int_equal(a->status, 0);
	t.over++;
}

static void watch(uint64_t from, uint64_t to)
{
	static const struct pcore_watch_ops ops = { .started = started, .output = output, .done = done, .over = over };
	unsigned before = t.said.watches;

	t.watch = (struct pcore_watch){ .ops = &ops, .submission = 7, .from = from, .to = to, .flags = PCORE_WIRE_WATCH_ALL };
	pcore_watch_begin(t.ask, &t.watch);
	UNTIL(t.said.watches > before);
}

/* ---- both ---- */

static int before(void **state)
{
	memset(&t, 0, sizeof(t));
	strcpy(t.dir, "/tmp/pcore-ask.XXXXXX");
	if (net_before(state) < 0 || !mkdtemp(t.dir))
		return -1;
	(void)snprintf(t.socket, sizeof(t.socket), "unix:%s/s", t.dir);
	return 0;
}

static int after(void **state)
{
	return net_after(state) < 0 || rmdir(t.dir) < 0 ? -1 : 0;
}

static void begin(int64_t wait_ns, bool is_there)
{
	struct pcore_ask_spec spec = { .addrs = &t.addr, .n_addrs = 1, .wait_ns = wait_ns, .lost = lost, .failed = failed };
	struct pcore_net_error e;

	memset(t.ends, 0, sizeof(t.ends));
	for (size_t i = 0; i < ENDS; i++)
		t.ends[i].on_frame = heard;
	t.lost = t.failed = t.started = t.done = t.over = 0;
	t.len = 0;
	t.said = (struct said){ 0 };
	t.far = side_of(PCORE_NET_SCHEDULER, NULL);
	t.near = side_of(PCORE_NET_CLIENT, NULL);
	if (is_there)
		listen_at(&t.far, t.ends, t.socket);
	assert_int_equal(pcore_net_addr_parse(&t.addr, 1, t.socket, true, &e), 1);
	spec.net = t.near.net;
	assert_int_equal(pcore_ask_new(&t.ask, lp, &spec), 0);
}

static void end(void)
{
	pcore_watch_end(&t.watch);
	pcore_ask_close(t.ask);
	side_done(&t.near);
	side_done(&t.far);
	UNTIL(lp->live == 0);
	pcore_ask_free(t.ask);
}

/* ---- tests ---- */

static void a_watch_goes_on_where_it_was(void **state)
{
	(void)state;
	begin(INT64_MAX, true);
	watch(1, 3);
	assert_true(t.said.watch.submission == 7 && t.said.watch.from == 1 && t.said.watch.to == 3);
	assert_false(t.said.watch.has & PCORE_WIRE_HAS(PCORE_WIRE_WATCH_ATTEMPT));
	UNTIL(t.said.credits == 1);
	assert_int_equal(t.said.credit.limit, PCORE_ASK_WINDOW);
	say_started(1, 5);
	say_output(5, 0, "hello", 5);
	UNTIL(t.len == 5);

	cut();
	UNTIL(t.said.watches == 2 && t.said.credits == 2);
	assert_true(t.said.watch.from == 1 && t.said.watch.attempt == 5 && t.said.watch.received[0] == 5);
	say_started(1, 5);
	say_output(5, 3, "lo world", 8); /* a part of it is known */
	say_output(4, 0, "of an attempt before", 20);
	say_done(1);
	UNTIL(t.done == 1);
	assert_int_equal(t.started, 1);
	t.output[t.len] = '\0';
	assert_string_equal(t.output, "hello world");

	cut();
	UNTIL(t.said.watches == 3);
	assert_true(t.said.watch.from == 2);
	assert_false(t.said.watch.has & PCORE_WIRE_HAS(PCORE_WIRE_WATCH_ATTEMPT));
	say_started(2, 1);
	say_output(1, 0, "one", 3);
	say_started(2, 2); /* it was lost with its node */
	say_output(2, 0, "two", 3);
	say_done(2);
	say_done(3);
	UNTIL(t.done == 3);
	assert_int_equal(t.started, 3);

	cut(); /* only the answer has not come: nothing is told again */
	UNTIL(t.said.watches == 4);
	assert_true(t.said.watch.from == 3 && t.said.watch.to == 3);
	assert_int_equal(t.said.watch.flags, 0);
	say_answer();
	UNTIL(t.over == 1);
	assert_int_equal(t.lost, 0); /* it was back at once */
	assert_int_equal(t.failed, 0);
	end();
}

static struct {
	struct pcore_ask_call call;
	unsigned heard;
	uint64_t number;
} submission;

static int submitted(struct pcore_ask_call *c, const struct pcore_wire_frame *f)
{
	struct pcore_wire_submitted m;

	if (f->type != PCORE_WIRE_SUBMITTED || pcore_wire_get_submitted(f, &m) < 0)
		return -EPROTO;
	submission.heard++;
	submission.number = m.submission;
	pcore_ask_end(c);
	return 0;
}

static void say_submitted(uint64_t id)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);

	assert_int_equal(pcore_wire_put_submitted(&b, &(struct pcore_wire_submitted){ .submission = 9, .count = 1 }), 0);
	say(PCORE_WIRE_SUBMITTED, 0, id, &b);
}

static void a_submit_is_said_again_with_the_same_token(void **state)
{
	static const char token[] = "0123456789abcdef";
	const struct pcore_wire_submit m = {
		.has = PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_PART), .token = { token, PCORE_WIRE_TOKEN }, .part = 1, .count = 1
	};

	(void)state;
	begin(INT64_MAX, true);
	memset(&submission, 0, sizeof(submission));
	submission.call.type = PCORE_WIRE_SUBMIT;
	submission.call.heard = submitted;
	assert_int_equal(pcore_wire_put_submit(&submission.call.body, &m), 0);
	pcore_ask_begin(t.ask, &submission.call); /* before there is a connection */
	UNTIL(t.said.submits == 1);
	cut();
	UNTIL(t.said.submits == 2);
	assert_memory_equal(t.said.token, token, PCORE_WIRE_TOKEN);
	say_submitted(t.said.id + 1); /* of nobody */
	say_submitted(t.said.id);
	say_submitted(t.said.id); /* it is over */
	UNTIL(submission.heard > 0);
	assert_true(submission.number == 9);
	cut();
	watch(1, 1); /* what is said next comes alone */
	assert_int_equal(t.said.submits, 2);
	assert_int_equal(submission.heard, 1);
	end();
}

static void what_is_optional_and_not_known_is_passed_over(void **state)
{
	(void)state;
	begin(INT64_MAX, true);
	watch(1, 1);
	say_bytes(0x3ff, PCORE_NET_OPTIONAL, "of a later version");
	say_bytes(PCORE_WIRE_WHY, PCORE_NET_OPTIONAL, "no answer to this");
	say_number(3, "n3");
	say_number(0, "none");	     /* no number */
	say_number(1 << 24, "many"); /* more than it keeps */
	say_answer();
	UNTIL(t.over == 1);
	assert_string_equal(pcore_ask_node(t.ask, 3), "n3");
	assert_string_equal(pcore_ask_node(t.ask, 0), "");
	assert_string_equal(pcore_ask_node(t.ask, 1 << 24), "");
	assert_int_equal(t.far.n_accepted, 1);
	end();
}

static void bad_unknown(void)
{
	say_bytes(0x3ff, 0, "of a later version");
}

static void bad_answer(void)
{
	say_bytes(PCORE_WIRE_ANSWER, 0, "no fields");
}

static void bad_row(void)
{
	say_bytes(PCORE_WIRE_WHY, 0, "no answer to this");
}

static void bad_output_of_none(void)
{
	say_output(1, 0, "x", 1);
}

static void bad_output_beyond(void)
{
	say_started(2, 1);
	say_output(1, 1, "x", 1);
}

static void bad_started(void)
{
	say_started(5, 1);
}

static void bad_done(void)
{
	say_done(1);
}

static void bad_done_twice(void)
{
	say_done(2);
	say_done(2);
}

/* Such a scheduler is not asked again. */
static void a_message_that_makes_no_sense_ends_it(void **state)
{
	static void (*const bad[])(void) = {
		bad_unknown, bad_answer, bad_row, bad_output_of_none, bad_output_beyond, bad_started, bad_done, bad_done_twice,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		begin(INT64_MAX, true);
		watch(2, 4);
		bad[i]();
		UNTIL(t.failed > 0 && !now()->c);
		assert_int_equal(t.failed, 1);
		assert_int_equal(t.error.code, -EPROTO);
		assert_int_equal(t.lost, 0);
		assert_int_equal(t.over, 0);
		assert_int_equal(t.far.n_accepted, 1);
		end();
	}
}

static void who_is_not_there_is_waited_for_so_long(void **state)
{
	(void)state;
	begin(50 * NS_PER_MS, false);
	UNTIL(t.failed > 0);
	assert_int_equal(t.lost, 1);
	assert_int_equal(t.error.code, -ENOENT);
	end();
}

static void who_pauses_is_told_nothing_until_it_goes_on(void **state)
{
	(void)state;
	begin(INT64_MAX, true);
	pcore_ask_pause(t.ask); /* before there is a connection */
	watch(1, 1);
	say_started(1, 1);
	say_done(1);
	while (pcore_loop_turn(lp, false) > 0)
		;
	assert_int_equal(t.started, 0);
	pcore_ask_resume(t.ask);
	UNTIL(t.done == 1);
	end();
}

#define ASK_TEST(f) cmocka_unit_test_setup_teardown(f, before, after)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ASK_TEST(a_watch_goes_on_where_it_was),
		ASK_TEST(a_submit_is_said_again_with_the_same_token),
		ASK_TEST(what_is_optional_and_not_known_is_passed_over),
		ASK_TEST(a_message_that_makes_no_sense_ends_it),
		ASK_TEST(who_is_not_there_is_waited_for_so_long),
		ASK_TEST(who_pauses_is_told_nothing_until_it_goes_on),
	};

	return RUN_TESTS(tests);
}
