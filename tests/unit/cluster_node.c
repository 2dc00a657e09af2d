/* SPDX-License-Identifier: MIT */
/*
 * cluster_node.c - tests of a node by a scheduler that says what the test says, over a pair of sockets.
 */
#include "tests/unit/net_support.h"

#include <signal.h>
#include <sys/stat.h>

#include "libcore/cluster/node_private.h"

enum { JOBS = 64 };

/* What the scheduler knows of a job. */
struct known {
	unsigned adopted, started, done, retracted, refused;
	enum pcore_wire_adopt_state state;
	uint32_t attempt, pid;
	uint8_t code, status;
	uint32_t flags;
	uint64_t received, sent; /* of standard output: that came, and that there are */
	char text[64];
	unsigned order; /* of its start */
	uint64_t input, limit; /* that has arrived, as it says after a reconnect; that may be sent */
	bool over;	       /* it reads no more */
	unsigned quiet[PCORE_WIRE_QUIETS]; /* as QUIET_N said */
};

static struct {
	struct side node_side, side;
	struct end end, old; /* old: of a connection that was replaced */
	struct pcore_node *node;
	struct known jobs[JOBS];
	unsigned nodes, adopts, frames, starts, answers, statuses;
	unsigned cut_after; /* frames; 0: never */
	uint64_t state, cpus, running, queued;
	unsigned idle, logged, quits, workers_gone;
	bool no_credit;
	char dir[32];
} t;

/* ---- the scheduler's ears ---- */

static struct known *job_of(uint64_t id)
{
	assert_true(id < JOBS);
	return &t.jobs[id];
}

static void send_credit(uint64_t id, uint32_t attempt, uint64_t received, bool is_closed);

static void hear_chunk(const struct pcore_wire_frame *f)
{
	struct pcore_wire_chunk c;
	struct known *k = job_of(f->id);

	assert_int_equal(pcore_wire_get_chunk(f, &c), 0);
	if (c.stream != PCORE_WIRE_STDOUT)
		return;
	assert_true(c.offset <= k->received);
	if (c.offset + c.len <= k->received)
		return;
	for (uint64_t i = k->received - c.offset; i < c.len; i++, k->received++)
		if (k->received < sizeof(k->text) - 1)
			k->text[k->received] = c.data[i];
	if (!t.no_credit)
		send_credit(f->id, c.attempt, k->received, false);
}

static void hear_records(const struct pcore_wire_frame *f)
{
	struct pcore_wire_in in;
	struct pcore_wire_adopt a;
	struct pcore_wire_started s;
	struct pcore_wire_done d;
	struct pcore_wire_ref r;
	struct pcore_wire_credit c;

	assert_int_equal(pcore_wire_open(f, &in), 0);
	while (f->type == PCORE_WIRE_CREDIT_N && pcore_wire_next_credit(&in, &c)) {
		assert_int_equal(c.stream, PCORE_WIRE_STDIN);
		job_of(c.job)->limit = c.limit;
		job_of(c.job)->over = c.closed;
	}
	while (f->type == PCORE_WIRE_ADOPT_N && pcore_wire_next_adopt(&in, &a)) {
		job_of(a.job)->adopted++;
		job_of(a.job)->state = a.state;
		job_of(a.job)->attempt = a.attempt;
		job_of(a.job)->input = a.input;
	}
	t.adopts += f->type == PCORE_WIRE_ADOPT_N && !in.more;
	while (f->type == PCORE_WIRE_STARTED_N && pcore_wire_next_started(&in, &s)) {
		job_of(s.job)->started++;
		job_of(s.job)->order = ++t.starts;
		job_of(s.job)->pid = s.pid;
	}
	while (f->type == PCORE_WIRE_DONE_N && pcore_wire_next_done(&in, &d)) {
		struct known *k = job_of(d.job);

		k->done++;
		k->attempt = d.attempt;
		k->code = d.code;
		k->status = d.status;
		k->flags = d.flags;
		k->sent = d.sent[0];
	}
	while (f->type == PCORE_WIRE_QUIET_N && pcore_wire_next_ref(&in, &r))
		job_of(r.job)->quiet[r.how]++;
	while (f->type == PCORE_WIRE_RETRACTED_N && pcore_wire_next_ref(&in, &r)) {
		if (r.job >= JOBS)
			continue;
		job_of(r.job)->retracted += r.how == 1;
		job_of(r.job)->refused += r.how == 0;
	}
}

static void hear_fields(const struct pcore_wire_frame *f)
{
	struct pcore_wire_node n;
	struct pcore_wire_status s;
	struct pcore_wire_answer a;

	if (f->type == PCORE_WIRE_NODE) {
		assert_int_equal(pcore_wire_get_node(f, &n), 0);
		t.nodes++;
		t.state = n.state;
		t.cpus = n.cpus;
	} else if (f->type == PCORE_WIRE_STATUS) {
		assert_int_equal(pcore_wire_get_status(f, &s), 0);
		t.statuses++;
		t.running = s.running;
		t.queued = s.queued;
	} else {
		assert_int_equal(f->type, PCORE_WIRE_ANSWER);
		assert_int_equal(pcore_wire_get_answer(f, &a), 0);
		t.answers++;
	}
}

static void hear_worker(const struct pcore_wire_frame *f)
{
	struct pcore_wire_worker w;

	assert_int_equal(pcore_wire_get_worker(f, &w), 0);
	assert_int_equal(w.template, 2);
	t.workers_gone += w.event == PCORE_WIRE_WORKERS_GONE;
}

static void heard(struct end *e, const struct pcore_net_frame *nf)
{
	const struct pcore_wire_frame f = { (enum pcore_wire_type)nf->type, nf->stream, nf->body, nf->len };

	if (f.type == PCORE_WIRE_OUTPUT)
		hear_chunk(&f);
	else if (f.type == PCORE_WIRE_WORKER)
		hear_worker(&f);
	else if (f.type == PCORE_WIRE_NODE || f.type == PCORE_WIRE_STATUS || f.type == PCORE_WIRE_ANSWER)
		hear_fields(&f);
	else
		hear_records(&f);
	if (++t.frames == t.cut_after && e->c)
		pcore_net_abort(e->c);
}

/* ---- its mouth ---- */

static void send_body(enum pcore_wire_type type, uint64_t id, struct pcore_buf *b)
{
	uint16_t flags = pcore_wire_body_max(type) > PCORE_WIRE_CONTROL_MAX ? PCORE_NET_DATA : 0;

	if (t.end.c)
		(void)pcore_net_send(t.end.c, (uint16_t)type, flags, id, b->data, b->len);
	pcore_buf_done(b);
}

static void send_credit(uint64_t id, uint32_t attempt, uint64_t received, bool is_closed)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct pcore_wire_out o;
	const struct pcore_wire_credit c = { .job = id, .attempt = attempt, .closed = is_closed, .received = received, .limit = received + PCORE_WIRE_CREDIT };

	assert_int_equal(pcore_wire_begin(&o, &b, PCORE_WIRE_CREDIT_N), 0);
	assert_int_equal(pcore_wire_add_credit(&o, &c), 0);
	(void)pcore_wire_end(&o, false);
	send_body(PCORE_WIRE_CREDIT_N, 0, &b);
}

static void send_ref(enum pcore_wire_type type, uint64_t id, uint32_t attempt, enum pcore_wire_how how)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct pcore_wire_out o;
	const struct pcore_wire_ref r = { .job = id, .attempt = attempt, .how = (uint8_t)how };

	assert_int_equal(pcore_wire_begin(&o, &b, type), 0);
	assert_int_equal(pcore_wire_add_ref(&o, &r), 0);
	(void)pcore_wire_end(&o, false);
	send_body(type, 0, &b);
}

static void send_nothing(enum pcore_wire_type type, uint64_t id)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);

	send_body(type, id, &b);
}

static void send_env(void)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);
	const struct pcore_wire_env e = { .node_base = 1, .has = PCORE_WIRE_HAS(PCORE_WIRE_ENV_BASE) };

	assert_int_equal(pcore_wire_put_env(&b, &e), 0);
	send_body(PCORE_WIRE_ENV, 1, &b);
}

/* Template 1: the job's words are the command. */
static void send_template(void)
{
	struct pcore_buf b = PCORE_BUF_INIT(0), argv = PCORE_BUF_INIT(0);
	const struct pcore_wire_piece spread = { .kind = PCORE_WIRE_SPREAD }, end = { .kind = PCORE_WIRE_END };
	struct pcore_wire_template w = { .env = 1 };

	assert_int_equal(pcore_wire_add_piece(&argv, &spread), 0);
	assert_int_equal(pcore_wire_add_piece(&argv, &end), 0);
	w.argv = (struct pcore_wire_argv){ argv.data, argv.len };
	assert_int_equal(pcore_wire_put_template(&b, &w), 0);
	pcore_buf_done(&argv);
	send_body(PCORE_WIRE_TEMPLATE, 1, &b);
}

static void send_assign_with(uint64_t id, uint32_t attempt, int32_t priority, const char *script, uint8_t flags)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);
	char *const words[] = { (char *)"/bin/sh", (char *)"-c", (char *)script, NULL };
	struct pcore_wire_out o;
	const struct pcore_wire_assign a = {
		.job = id, .attempt = attempt, .template = 1, .seq = id, .tries = 1, .priority = priority, .flags = flags,
		.args = { .n = 3, .list = words }
	};

	assert_int_equal(pcore_wire_begin(&o, &b, PCORE_WIRE_ASSIGN_N), 0);
	assert_int_equal(pcore_wire_add_assign(&o, &a), 0);
	(void)pcore_wire_end(&o, false);
	send_body(PCORE_WIRE_ASSIGN_N, 0, &b);
}

static void send_assign(uint64_t id, uint32_t attempt, int32_t priority, const char *script)
{
	send_assign_with(id, attempt, priority, script, 0);
}

/* Template 2: cat, which answers items. */
static void send_worker_template(void)
{
	struct pcore_buf b = PCORE_BUF_INIT(0), argv = PCORE_BUF_INIT(0);
	char *words[] = { (char *)"/bin/cat", NULL };
	struct pcore_wire_template w = {
		.has = PCORE_WIRE_HAS(PCORE_WIRE_T_FORM) | PCORE_WIRE_HAS(PCORE_WIRE_T_LINES) | PCORE_WIRE_HAS(PCORE_WIRE_T_WINDOW),
		.env = 1,
		.form = PCORE_ANSWER_LINES,
		.lines = 1,
		.window = 16,
	};

	assert_int_equal(pcore_argv_put(&argv, words), 0);
	w.argv = (struct pcore_wire_argv){ argv.data, argv.len };
	assert_int_equal(pcore_wire_put_template(&b, &w), 0);
	pcore_buf_done(&argv);
	send_body(PCORE_WIRE_TEMPLATE, 2, &b);
}

static void send_item(uint64_t id, const char *text, uint8_t flags)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct pcore_wire_out o;
	const struct pcore_wire_assign a = {
		.job = id, .attempt = 1, .template = 2, .seq = id, .tries = 1, .flags = flags, .input = { text, strlen(text) }
	};

	assert_int_equal(pcore_wire_begin(&o, &b, PCORE_WIRE_ASSIGN_N), 0);
	assert_int_equal(pcore_wire_add_assign(&o, &a), 0);
	(void)pcore_wire_end(&o, false);
	send_body(PCORE_WIRE_ASSIGN_N, 0, &b);
}

static void send_input(uint64_t id, uint64_t offset, const char *text, bool last)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);
	const struct pcore_wire_chunk c = {
		.attempt = 1, .stream = PCORE_WIRE_STDIN, .last = last, .offset = offset, .data = text, .len = strlen(text)
	};

	assert_int_equal(pcore_wire_put_chunk(&b, &c), 0);
	send_body(PCORE_WIRE_INPUT, id, &b);
}

/* ---- connections ---- */

static void node_opened(struct pcore_net_conn *c, void *ctx)
{
	(void)ctx;
	pcore_node_serve(t.node, c);
}

static void node_closed(struct pcore_net_conn *c, void *ctx, const struct pcore_net_error *e)
{
	(void)c;
	(void)ctx;
	(void)e;
	fail();
}

static void link_up(struct side *side)
{
	static const struct pcore_net_ops ops = { .opened = node_opened, .frame = end_frame, .closed = node_closed };
	struct pcore_net_error e = { 0 };
	struct pcore_net_conn *c;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	if (t.end.c)
		pcore_net_own(t.end.c, &end_ops, &t.old);
	t.end = (struct end){ .on_frame = heard };
	assert_int_equal(pcore_net_adopt(&t.end.c, side->net, fds[0], PCORE_NET_PLAIN, &end_ops, &t.end, &e), 0);
	assert_int_equal(pcore_net_adopt(&c, t.node_side.net, fds[1], PCORE_NET_PLAIN, &ops, NULL, &e), 0);
	UNTIL(t.end.opened || t.end.closed);
}

/* Up to what a node says first. */
static void join_node(void)
{
	unsigned before = t.adopts;

	t.cut_after = 0;
	link_up(&t.side);
	UNTIL(t.adopts > before || t.end.closed);
}

static void prepare(void)
{
	send_env();
	send_template();
}

static void cut(void)
{
	if (t.end.c)
		pcore_net_abort(t.end.c);
	UNTIL(!t.end.c);
}

/* Both sides have seen the end. */
static void cut_and_wait(void)
{
	cut();
	UNTIL(pcore_list_empty(&t.node_side.net->conns));
}

static void node_log(void *ctx, const char *text)
{
	(void)ctx;
	(void)text;
	t.logged++;
}

static void node_idle(void *ctx)
{
	(void)ctx;
	t.idle++;
}

static void node_quit(void *ctx)
{
	(void)ctx;
	t.quits++;
}

static void start_node(unsigned cpus, int64_t grace, bool workdir)
{
	static char *env[] = { (char *)"PATH=/usr/bin:/bin", NULL };
	struct pcore_node_spec spec = {
		.name = "n",
		.software = "test",
		.cpus = cpus,
		.cpus_here = 4,
		.env = env,
		.grace_ns = grace,
		.log = node_log,
		.idle = node_idle,
		.quit = node_quit,
	};
	struct pcore_err err = { 0 };

	memset(&t, 0, sizeof(t));
	if (workdir) {
		strcpy(t.dir, "/tmp/node.XXXXXX");
		assert_non_null(mkdtemp(t.dir));
		spec.workdir = t.dir;
	}
	t.node_side = side_of(PCORE_NET_NODE, NULL);
	t.side = side_of(PCORE_NET_SCHEDULER, NULL);
	assert_int_equal(pcore_node_new(&t.node, lp, &spec, &err), 0);
}

static void end_node(void)
{
	pcore_node_shutdown(t.node, PCORE_WIRE_KILL_IT);
	UNTIL(t.idle && pcore_list_empty(&t.node_side.net->conns) && !t.end.c);
	while (pcore_loop_turn(lp, false) > 0)
		;
	pcore_node_free(t.node);
	side_done(&t.side);
	side_done(&t.node_side);
	assert_int_equal(t.idle, 1);
	if (t.dir[0]) {
		char path[64];

		snprintf(path, sizeof(path), "%s/trash", t.dir);
		(void)rmdir(path);
		assert_int_equal(rmdir(t.dir), 0);
	}
}

static bool all_here(uint64_t id)
{
	const struct known *k = job_of(id);

	return k->done > 0 && k->received == k->sent;
}

#define GRACE (NET_TEST_SECONDS * NS_PER_S)

/* ---- tests ---- */

static void a_job_runs_and_its_result_is_kept_until_it_is_acknowledged(void **state)
{
	(void)state;
	start_node(2, GRACE, false);
	join_node();
	assert_int_equal(t.nodes, 1);
	prepare();
	send_assign(1, 1, 0, "echo hello; exit 3");
	UNTIL(all_here(1));
	assert_string_equal(job_of(1)->text, "hello\n");
	assert_int_equal(job_of(1)->status, 3);
	assert_int_equal(job_of(1)->started, 1);
	cut_and_wait();
	join_node();
	assert_int_equal(job_of(1)->adopted, 1);
	assert_int_equal(job_of(1)->state, PCORE_WIRE_JOB_DONE);
	UNTIL(job_of(1)->done == 2);
	send_ref(PCORE_WIRE_ACK_N, 1, 1, 0);
	prepare();
	send_assign(2, 1, 0, "true");
	UNTIL(job_of(2)->done);
	cut_and_wait();
	join_node();
	assert_int_equal(job_of(1)->adopted, 1);
	assert_int_equal(job_of(2)->adopted, 1);
	end_node();
}

static void input_is_streamed_and_goes_on_after_a_reconnect_where_it_was(void **state)
{
	(void)state;
	start_node(2, GRACE, false);
	join_node();
	prepare();
	send_assign_with(1, 1, 0, "cat", PCORE_WIRE_STREAM);
	send_input(1, 0, "one,", false);
	UNTIL(job_of(1)->limit == PCORE_WIRE_CREDIT + 4); /* it has taken them */
	cut_and_wait();
	join_node();
	assert_int_equal(job_of(1)->input, 4);
	prepare();
	send_input(1, 2, "e,two", false);
	send_input(1, 7, "", true);
	UNTIL(all_here(1));
	assert_string_equal(job_of(1)->text, "one,two");
	assert_int_equal(job_of(1)->status, 0);

	send_assign_with(2, 1, 0, "exec <&-; read x", PCORE_WIRE_STREAM); /* it reads nothing, and that is told */
	send_input(2, 0, "x", false);
	UNTIL(job_of(2)->over && job_of(2)->done);
	send_assign_with(3, 1, 0, "cat", PCORE_WIRE_STREAM);
	send_input(3, 1, "x", false); /* not what comes next */
	UNTIL(!t.end.c);
	end_node();
}

static void what_jobs_do_quietly_is_told(void **state)
{
	(void)state;
	start_node(3, GRACE, false);
	join_node();
	prepare();
	send_assign_with(1, 1, 0, "exec cat", PCORE_WIRE_STREAM);
	send_assign_with(2, 1, 0, "read x; exec >&-; exec sleep 1000", PCORE_WIRE_STREAM);
	send_input(2, 0, "x\n", true); /* that it has ended changes nothing */
	send_assign_with(3, 1, 0, "exec <&-; echo; exec sleep 1000", PCORE_WIRE_STREAM);
	UNTIL(job_of(3)->received > 0);
	send_input(3, 0, "x", false);
	UNTIL(job_of(1)->quiet[PCORE_WIRE_WAITS] > 0);
	UNTIL(job_of(2)->quiet[PCORE_WIRE_SILENT] > 0 && job_of(3)->quiet[PCORE_WIRE_SILENT] > 0);
	assert_int_equal(job_of(1)->quiet[PCORE_WIRE_SILENT], 0);
	send_input(1, 0, "x", true);
	UNTIL(all_here(1));
	assert_int_equal(job_of(1)->quiet[PCORE_WIRE_SILENT], 0);
	end_node();
}

static void items_are_answered_by_workers_which_stay_until_their_template_is_dropped(void **state)
{
	(void)state;
	start_node(2, GRACE, true);
	join_node();
	prepare();
	send_worker_template();
	send_item(1, "first", 0);
	for (uint64_t id = 2; id <= 20; id++)
		send_item(id, "more", PCORE_WIRE_AHEAD);
	for (uint64_t id = 1; id <= 20; id++) {
		UNTIL(all_here(id));
		assert_string_equal(job_of(id)->text, id == 1 ? "first\n" : "more\n");
		send_ref(PCORE_WIRE_ACK_N, id, 1, 0);
	}
	assert_int_equal(t.workers_gone, 0);
	send_nothing(PCORE_WIRE_TEMPLATE_DROP, 2);
	UNTIL(t.workers_gone == 1);
	end_node();
}

static void workers_end_with_their_session(void **state)
{
	(void)state;
	start_node(1, GRACE, false);
	join_node();
	prepare();
	send_worker_template();
	send_item(1, "x", 0);
	UNTIL(all_here(1));
	end_node();
}

static void a_connection_that_is_cut_anywhere_loses_and_doubles_nothing(void **state)
{
	(void)state;
	for (unsigned at = 1; at <= 12; at++) {
		start_node(2, GRACE, false);
		join_node();
		t.frames = 0;
		t.cut_after = at;
		prepare();
		for (uint64_t id = 1; id <= 4; id++)
			send_assign(id, 1, 0, "echo one; sleep 0.01; echo two; head -c 100000 /dev/zero; exit 7");
		while (!(all_here(1) && all_here(2) && all_here(3) && all_here(4))) {
			turn();
			if (t.end.c)
				continue;
			join_node();
			prepare();
			for (uint64_t id = 1; id <= 4; id++) { /* what it has not got is assigned again; what it has is not run twice */
				send_credit(id, 1, job_of(id)->received, false);
				send_assign(id, 1, 0, "echo one; sleep 0.01; echo two; head -c 100000 /dev/zero; exit 7");
			}
		}
		for (uint64_t id = 1; id <= 4; id++) {
			assert_string_equal(job_of(id)->text, "one\ntwo\n");
			assert_int_equal(job_of(id)->sent, 100008);
			assert_int_equal(job_of(id)->status, 7);
		}
		end_node();
	}
}

static void both_ends_may_lose_the_connection_in_any_order(void **state)
{
	(void)state;
	start_node(1, GRACE, false);
	join_node();
	prepare();
	send_assign(1, 1, 0, "sleep 1000");
	UNTIL(job_of(1)->started);
	for (int i = 0; i < 5; i++) {
		join_node(); /* it connects again before the node has seen the end of the old connection */
		assert_int_equal(job_of(1)->state, PCORE_WIRE_JOB_RUNNING);
		UNTIL(t.old.closed == (unsigned)i + 1); /* by the node */
	}
	send_ref(PCORE_WIRE_CANCEL_N, 1, 1, PCORE_WIRE_KILL_IT);
	UNTIL(job_of(1)->done);
	assert_int_equal(job_of(1)->status, SIGKILL);
	assert_true(job_of(1)->flags & PCORE_WIRE_CANCELLED);
	end_node();
}

static void who_does_not_come_back_loses_its_jobs(void **state)
{
	pid_t pid;

	(void)state;
	start_node(1, 20 * NS_PER_MS, false);
	join_node();
	prepare();
	send_assign(1, 1, 0, "exec sleep 1000");
	send_assign(2, 1, 0, "true");
	UNTIL(job_of(1)->started);
	pid = (pid_t)job_of(1)->pid;
	cut_and_wait();
	UNTIL(pcore_list_empty(&t.node->sessions));
	assert_int_equal(kill(pid, 0), -1);
	join_node();
	assert_int_equal(job_of(1)->adopted, 0);
	end_node();
}

static void a_goodbye_ends_jobs_at_once(void **state)
{
	(void)state;
	start_node(1, INT64_MAX, false);
	join_node();
	prepare();
	send_assign(1, 1, 0, "exec sleep 1000");
	UNTIL(job_of(1)->started);
	pcore_net_close(t.end.c);
	UNTIL(pcore_list_empty(&t.node->sessions));
	end_node();
}

static void an_attempt_is_a_fence(void **state)
{
	(void)state;
	start_node(4, GRACE, false);
	join_node();
	prepare();
	send_assign(1, 1, 0, "exec sleep 1000");
	send_assign(1, 1, 0, "echo never");
	UNTIL(job_of(1)->started);
	send_assign(1, 2, 0, "echo second");
	UNTIL(all_here(1));
	assert_int_equal(job_of(1)->attempt, 2);
	assert_string_equal(job_of(1)->text, "second\n");
	send_ref(PCORE_WIRE_CANCEL_N, 1, 9, PCORE_WIRE_KILL_IT);
	send_ref(PCORE_WIRE_ACK_N, 1, 1, 0); /* too early: it is kept */
	send_ref(PCORE_WIRE_CANCEL_N, 1, 1, PCORE_WIRE_KILL_IT);
	UNTIL(job_of(1)->done == 2);
	assert_int_equal(job_of(1)->attempt, 1);
	assert_int_equal(job_of(1)->started, 2);
	end_node();
}

static void a_node_that_is_stopped_keeps_and_one_that_drains_gives_back(void **state)
{
	(void)state;
	start_node(1, GRACE, false);
	join_node();
	prepare();
	assert_int_equal(pcore_node_control(t.node, PCORE_WIRE_STOP, 0), 0);
	send_assign(1, 1, 0, "true");
	send_assign(2, 1, 0, "true");
	send_ref(PCORE_WIRE_RETRACT_N, 2, 1, 0);
	send_ref(PCORE_WIRE_RETRACT_N, 3, 1, 0);
	UNTIL(job_of(2)->retracted && job_of(3)->refused);
	assert_int_equal(job_of(1)->started, 0);
	assert_int_equal(t.state, PCORE_WIRE_STOPPED);
	assert_int_equal(pcore_node_control(t.node, PCORE_WIRE_DRAIN_IT, 0), 0);
	UNTIL(job_of(1)->retracted);
	send_assign(4, 1, 0, "true");
	UNTIL(job_of(4)->retracted);
	UNTIL(t.state == PCORE_WIRE_DRAINING);
	assert_int_equal(pcore_node_control(t.node, PCORE_WIRE_START, 0), 0);
	send_assign(5, 1, 0, "true");
	UNTIL(job_of(5)->done);
	send_nothing(PCORE_WIRE_DRAIN, 0);
	send_assign(6, 1, 0, "true");
	UNTIL(job_of(6)->retracted);
	end_node();
}

static void cpus_may_be_none_and_all_but_some(void **state)
{
	(void)state;
	start_node(2, GRACE, false);
	join_node();
	prepare();
	assert_int_equal(pcore_node_control(t.node, PCORE_WIRE_CPUS, 0), 0);
	send_assign(1, 1, 0, "true");
	UNTIL(t.nodes == 2);
	assert_int_equal(t.cpus, 0);
	assert_int_equal(pcore_node_control(t.node, PCORE_WIRE_CPUS, -5), -EINVAL);
	assert_int_equal(pcore_node_control(t.node, PCORE_WIRE_CPUS, 65536), -EINVAL);
	assert_int_equal(pcore_node_control(t.node, PCORE_WIRE_CPUS, -1), 0);
	UNTIL(job_of(1)->done);
	assert_int_equal(t.cpus, 3);
	end_node();
}

static void lower_priority_numbers_begin_first_and_equals_in_order(void **state)
{
	(void)state;
	start_node(1, GRACE, false);
	join_node();
	prepare();
	assert_int_equal(pcore_node_control(t.node, PCORE_WIRE_STOP, 0), 0);
	send_assign(1, 1, 5, "true");
	send_assign(2, 1, 0, "true");
	send_assign(3, 1, 5, "true");
	send_assign(4, 1, -3, "true");
	send_ref(PCORE_WIRE_RETRACT_N, 9, 1, 0);
	UNTIL(job_of(9)->refused);
	assert_int_equal(pcore_node_control(t.node, PCORE_WIRE_START, 0), 0);
	UNTIL(job_of(1)->done && job_of(2)->done && job_of(3)->done && job_of(4)->done);
	assert_true(job_of(4)->order < job_of(2)->order);
	assert_true(job_of(2)->order < job_of(1)->order);
	assert_true(job_of(1)->order < job_of(3)->order);
	end_node();
}

static void output_beyond_its_credit_waits(void **state)
{
	struct node_session *s;

	(void)state;
	start_node(1, GRACE, false);
	join_node();
	t.no_credit = true;
	prepare();
	send_assign(1, 1, 0, "head -c 3000000 /dev/zero");
	UNTIL(job_of(1)->received == PCORE_WIRE_CREDIT);
	s = container_of(t.node->sessions.next, struct node_session, link);
	UNTIL(s->held >= NODE_HELD);
	assert_true(s->held < 3 * NODE_HELD_MAX);
	t.no_credit = false;
	send_credit(1, 1, job_of(1)->received, false);
	UNTIL(all_here(1));
	assert_int_equal(job_of(1)->received, 3000000);
	send_ref(PCORE_WIRE_ACK_N, 1, 1, 0);
	send_assign(2, 1, 0, "head -c 3000000 /dev/zero");
	UNTIL(job_of(2)->received >= PCORE_WIRE_CREDIT);
	send_credit(2, 1, 0, true); /* nobody reads the rest, and it ends all the same */
	UNTIL(job_of(2)->done);
	assert_int_equal(s->held, 0);
	end_node();
}

static void that_a_job_waits_does_not_overtake_what_it_wrote(void **state)
{
	(void)state;
	start_node(2, GRACE, false);
	join_node();
	t.no_credit = true;
	prepare();
	send_assign_with(1, 1, 0, "head -c 100000 /dev/zero; exec cat", PCORE_WIRE_STREAM);
	UNTIL(job_of(1)->received == PCORE_WIRE_CREDIT && pcore_proc_reads((pid_t)job_of(1)->pid));
	send_assign_with(2, 1, 0, "exec cat", PCORE_WIRE_STREAM);
	UNTIL(job_of(2)->quiet[PCORE_WIRE_WAITS] > 0); /* it was looked at after the first one */
	assert_int_equal(job_of(1)->quiet[PCORE_WIRE_WAITS], 0);
	t.no_credit = false;
	send_credit(1, 1, job_of(1)->received, false);
	UNTIL(job_of(1)->quiet[PCORE_WIRE_WAITS] > 0);
	assert_int_equal(job_of(1)->received, 100000);
	end_node();
}

static void a_job_that_nobody_reads_is_killed_all_the_same(void **state)
{
	(void)state;
	for (int how = 0; how < 3; how++) {
		start_node(1, how == 0 ? 0 : GRACE, false);
		join_node();
		t.no_credit = true;
		prepare();
		send_assign(1, 1, 0, "head -c 3000000 /dev/zero; exec sleep 1000");
		UNTIL(job_of(1)->received == PCORE_WIRE_CREDIT);
		if (how == 0) {
			cut_and_wait();
			UNTIL(pcore_list_empty(&t.node->sessions));
		} else if (how == 1) {
			pcore_node_shutdown(t.node, PCORE_WIRE_END_IT);
			UNTIL(t.idle);
		}
		end_node();
	}
}

static void what_makes_no_sense_ends_the_connection_and_its_jobs(void **state)
{
	(void)state;
	for (int which = 0; which < 6; which++) {
		start_node(1, GRACE, false);
		join_node();
		prepare();
		send_assign(1, 1, 0, "exec sleep 1000");
		UNTIL(job_of(1)->started);
		switch (which) {
		case 0:
			send_env();
			break;
		case 1:
			send_template();
			break;
		case 2:
			send_credit(1, 1, 12, false);
			break;
		case 3:
			send_nothing(PCORE_WIRE_TEMPLATE_DROP, 1);
			send_assign(2, 1, 0, "true");
			break;
		case 4:
			send_nothing(PCORE_WIRE_ENV_DROP, 7);
			break;
		case 5:
			send_nothing(PCORE_WIRE_ASSIGN_N, 0);
			break;
		}
		UNTIL(!t.end.c);
		assert_int_equal(t.end.error.code, -ECONNABORTED);
		UNTIL(pcore_list_empty(&t.node->sessions));
		assert_int_equal(t.logged, 1);
		assert_int_equal(job_of(2)->started, 0);
		end_node();
	}
}

static void no_first_message_does_harm(void **state)
{
	static const enum pcore_wire_type ranges[][2] = { { 0x200, 0x20a }, { 0x300, 0x30d }, { 0x400, 0x403 }, { 0x500, 0x502 } };

	(void)state;
	start_node(1, GRACE, false);
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		for (unsigned type = ranges[i][0]; type < ranges[i][1]; type++) {
			for (size_t len = 0; len <= 64; len += 8) {
				struct pcore_buf b = PCORE_BUF_INIT(0);

				join_node();
				for (size_t k = 0; k < len; k++)
					assert_int_equal(pcore_buf_addc(&b, (char)(k * 37 + type)), 0);
				send_body((enum pcore_wire_type)type, len, &b);
				if (t.end.c)
					pcore_net_close(t.end.c);
				UNTIL(!t.end.c && pcore_list_empty(&t.node_side.net->conns));
			}
		}
	}
	join_node();
	prepare();
	send_assign(1, 1, 0, "true");
	UNTIL(job_of(1)->done);
	end_node();
}

static void a_session_has_so_many_jobs_and_no_more(void **state)
{
	(void)state;
	start_node(1, GRACE, false);
	assert_int_equal(pcore_node_control(t.node, PCORE_WIRE_STOP, 0), 0);
	join_node();
	prepare();
	for (int frame = 0; frame < 2 && t.end.c; frame++) {
		struct pcore_buf b = PCORE_BUF_INIT(0);
		struct pcore_wire_out o;

		assert_int_equal(pcore_wire_begin(&o, &b, PCORE_WIRE_ASSIGN_N), 0);
		for (uint64_t i = 0; i < NODE_JOBS_MAX; i++) {
			const struct pcore_wire_assign a = { .job = 100 + i + (uint64_t)frame * NODE_JOBS_MAX, .attempt = 1, .template = 1 };

			assert_int_equal(pcore_wire_add_assign(&o, &a), 0);
		}
		(void)pcore_wire_end(&o, false);
		send_body(PCORE_WIRE_ASSIGN_N, 0, &b);
	}
	UNTIL(!t.end.c);
	assert_int_equal(t.end.error.code, -ECONNABORTED);
	UNTIL(pcore_list_empty(&t.node->sessions));
	assert_int_equal(t.node->n_queued, 0);
	end_node();
}

static void templates_and_environments_go_when_nothing_uses_them(void **state)
{
	struct node_session *s;

	(void)state;
	start_node(1, GRACE, false);
	join_node();
	prepare();
	send_assign(1, 1, 0, "exec sleep 1000");
	send_assign(2, 1, 0, "echo after");
	UNTIL(job_of(1)->started);
	s = container_of(t.node->sessions.next, struct node_session, link);
	send_nothing(PCORE_WIRE_TEMPLATE_DROP, 1);
	send_nothing(PCORE_WIRE_ENV_DROP, 1);
	prepare(); /* the numbers are free */
	send_nothing(PCORE_WIRE_TEMPLATE_DROP, 1);
	send_nothing(PCORE_WIRE_ENV_DROP, 1);
	send_ref(PCORE_WIRE_CANCEL_N, 1, 1, PCORE_WIRE_KILL_IT);
	UNTIL(all_here(2));
	assert_string_equal(job_of(2)->text, "after\n");
	send_ref(PCORE_WIRE_ACK_N, 1, 1, 0);
	send_ref(PCORE_WIRE_ACK_N, 2, 1, 0);
	UNTIL(s->jobs.len == 0);
	assert_int_equal(s->bodies, 0);
	end_node();
}

static void jobs_are_cancelled_in_every_state(void **state)
{
	(void)state;
	start_node(1, GRACE, false);
	join_node();
	prepare();
	send_assign(1, 1, 0, "exec sleep 1000");
	send_assign(2, 1, 0, "true");
	send_ref(PCORE_WIRE_CANCEL_N, 2, 1, PCORE_WIRE_END_IT); /* not begun */
	UNTIL(job_of(2)->done);
	assert_true(job_of(2)->flags & PCORE_WIRE_CANCELLED);
	UNTIL(job_of(1)->started);
	send_ref(PCORE_WIRE_CANCEL_N, 1, 1, PCORE_WIRE_END_IT);
	send_ref(PCORE_WIRE_CANCEL_N, 1, 1, PCORE_WIRE_KILL_IT);
	UNTIL(job_of(1)->done);
	send_ref(PCORE_WIRE_CANCEL_N, 1, 1, PCORE_WIRE_KILL_IT); /* over */
	send_assign(3, 1, 0, "sleep 1000 & exit 0"); /* it has exited, what it left has not */
	UNTIL(job_of(3)->done);
	send_assign(4, 1, 0, "true");
	UNTIL(job_of(4)->done);
	assert_int_equal(job_of(1)->done, 1);
	end_node();
}

static void files_of_jobs_go_with_them(void **state)
{
	struct stat st;

	(void)state;
	start_node(1, GRACE, true);
	join_node();
	prepare();
	send_assign(1, 1, 0, "pwd; touch a; mkdir -p b/c/d; chmod 0 b; ln -s / e");
	UNTIL(all_here(1));
	assert_int_equal(strncmp(job_of(1)->text, t.dir, strlen(t.dir)), 0);
	job_of(1)->text[job_of(1)->sent - 1] = '\0';
	assert_int_equal(stat(job_of(1)->text, &st), -1);
	pcore_node_shutdown(t.node, PCORE_WIRE_END_IT);
	UNTIL(t.idle);
	end_node();
}

static void a_shutdown_ends_jobs_gently_and_then_not(void **state)
{
	(void)state;
	start_node(2, GRACE, false);
	join_node();
	prepare();
	send_assign(1, 1, 0, "trap '' TERM; echo; while :; do sleep 1; done");
	send_assign(2, 1, 0, "exec sleep 1000");
	UNTIL(job_of(1)->received && job_of(2)->started);
	pcore_node_shutdown(t.node, PCORE_WIRE_END_IT);
	UNTIL(t.node->n_running == 1); /* the other one does not care, and its connection has been closed meanwhile */
	UNTIL(!t.end.c);
	assert_int_equal(t.idle, 0);
	link_up(&t.side); /* nobody is let in any more */
	UNTIL(!t.end.c);
	assert_int_equal(t.end.error.code, -ECONNABORTED);
	end_node();
}

static void an_administrator_asks_and_controls(void **state)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);
	const struct pcore_wire_control quit = { .what = PCORE_WIRE_QUIT };
	const struct pcore_wire_control stop = { .what = PCORE_WIRE_STOP };
	struct side admin;

	(void)state;
	start_node(1, GRACE, false);
	admin = side_of(PCORE_NET_ADMIN, NULL);
	link_up(&admin);
	send_nothing(PCORE_WIRE_STATUS_GET, 1);
	UNTIL(t.statuses == 1);
	assert_int_equal(pcore_wire_put_control(&b, &stop), 0);
	send_body(PCORE_WIRE_CONTROL, 2, &b);
	UNTIL(t.answers == 1);
	assert_true(t.node->stopped);
	assert_int_equal(pcore_wire_put_control(&b, &quit), 0);
	send_body(PCORE_WIRE_CONTROL, 3, &b);
	UNTIL(t.answers == 2);
	assert_int_equal(t.quits, 1);
	send_nothing(PCORE_WIRE_DRAIN, 0); /* a scheduler's word */
	UNTIL(!t.end.c);
	end_node();
	side_done(&admin);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NET_TEST(a_job_runs_and_its_result_is_kept_until_it_is_acknowledged),
		NET_TEST(input_is_streamed_and_goes_on_after_a_reconnect_where_it_was),
		NET_TEST(what_jobs_do_quietly_is_told),
		NET_TEST(items_are_answered_by_workers_which_stay_until_their_template_is_dropped),
		NET_TEST(workers_end_with_their_session),
		NET_TEST(a_connection_that_is_cut_anywhere_loses_and_doubles_nothing),
		NET_TEST(both_ends_may_lose_the_connection_in_any_order),
		NET_TEST(who_does_not_come_back_loses_its_jobs),
		NET_TEST(a_goodbye_ends_jobs_at_once),
		NET_TEST(an_attempt_is_a_fence),
		NET_TEST(a_node_that_is_stopped_keeps_and_one_that_drains_gives_back),
		NET_TEST(cpus_may_be_none_and_all_but_some),
		NET_TEST(lower_priority_numbers_begin_first_and_equals_in_order),
		NET_TEST(output_beyond_its_credit_waits),
		NET_TEST(that_a_job_waits_does_not_overtake_what_it_wrote),
		NET_TEST(a_job_that_nobody_reads_is_killed_all_the_same),
		NET_TEST(what_makes_no_sense_ends_the_connection_and_its_jobs),
		NET_TEST(no_first_message_does_harm),
		NET_TEST(a_session_has_so_many_jobs_and_no_more),
		NET_TEST(templates_and_environments_go_when_nothing_uses_them),
		NET_TEST(jobs_are_cancelled_in_every_state),
		NET_TEST(files_of_jobs_go_with_them),
		NET_TEST(a_shutdown_ends_jobs_gently_and_then_not),
		NET_TEST(an_administrator_asks_and_controls),
	};

	return RUN_TESTS(tests);
}
