/* SPDX-License-Identifier: MIT */
/*
 * cluster_one.h - one message of each type, with all that it can have.
 */
#ifndef PCORE_TEST_CLUSTER_ONE_H
#define PCORE_TEST_CLUSTER_ONE_H

#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "libcore/cluster/cluster.h"
#include "tests/unit/support.h"

static char *const none[] = { NULL };

static struct pcore_wire_words words_of(char *const *list)
{
	return (struct pcore_wire_words){ .list = list };
}

static struct pcore_wire_bytes bytes_of(const struct pcore_buf *b)
{
	return (struct pcore_wire_bytes){ b->data, b->len };
}

static void add_text(struct pcore_buf *b, const char *text)
{
	struct pcore_wire_piece p = { .kind = PCORE_WIRE_TEXT, .n = (uint32_t)strlen(text), .text = text };

	assert_int_equal(pcore_wire_add_piece(b, &p), 0);
}

static void add_piece(struct pcore_buf *b, enum pcore_wire_piece_kind kind, uint32_t n)
{
	struct pcore_wire_piece p = { .kind = kind, .n = n };

	assert_int_equal(pcore_wire_add_piece(b, &p), 0);
}

static void put_resources(struct pcore_buf *b, struct pcore_wire_list *ret)
{
	static char *const ids[] = { (char *)"GPU-1", (char *)"GPU-2", NULL };
	struct pcore_wire_resource gpu = { .has = PCORE_WIRE_HAS(PCORE_WIRE_RESOURCE_IDS), .name = "gpu", .count = 2,
		.ids = words_of(ids) };
	struct pcore_wire_resource scratch = { .name = "scratch", .count = 1000000 };

	assert_int_equal(pcore_wire_add_resource(b, &gpu), 0);
	assert_int_equal(pcore_wire_add_resource(b, &scratch), 0);
	*ret = (struct pcore_wire_list){ .data = b->data, .len = b->len, .n = 2 };
}

static int put_node(struct pcore_buf *b)
{
	static char *const labels[] = { (char *)"disk=ssd", (char *)"zone=", NULL };
	struct pcore_wire_node m = { .has = UINT64_MAX, .name = "n1", .instance = UINT64_MAX, .state = PCORE_WIRE_DRAINING, .cpus = 4,
		.memory = UINT64_C(1) << 40, .slots = 4, .prefetch = 64, .software = "0.1.0", .labels = words_of(labels) };
	struct pcore_buf list = PCORE_BUF_INIT(0);
	int r;

	put_resources(&list, &m.resources);
	r = pcore_wire_put_node(b, &m);
	pcore_buf_done(&list);
	return r;
}

static int put_status(struct pcore_buf *b)
{
	static char *const argv[] = { (char *)"sleep", (char *)"1", NULL };
	struct pcore_wire_job job = { .has = PCORE_WIRE_HAS(PCORE_WIRE_JOB_ARGV), .job = 7, .attempt = 1, .seq = 3, .pid = 4711,
		.start_ns = 5, .argv = words_of(argv) };
	struct pcore_wire_status m = { .has = UINT64_MAX, .name = "n1", .software = "0.1.0", .state = PCORE_WIRE_STOPPED,
		.start_ns = 1, .cpus = 2, .cpus_here = 4, .memory = 3, .queued = 5, .running = 1, .succeeded = 6, .failed = 7,
		.cpu_ns = INT64_MAX, .scheduler = "unix:/run/s" };
	struct pcore_buf list = PCORE_BUF_INIT(0);
	int r;

	assert_int_equal(pcore_wire_add_job(&list, &job), 0);
	m.jobs = (struct pcore_wire_list){ .data = list.data, .len = list.len, .n = 1 };
	r = pcore_wire_put_status(b, &m);
	pcore_buf_done(&list);
	return r;
}

static int put_env(struct pcore_buf *b)
{
	static char *const unset[] = { (char *)"TERM", NULL };
	static char *const vars[] = { (char *)"A=1", (char *)"B=", (char *)"C=x=y", NULL };
	struct pcore_wire_env m = { .has = UINT64_MAX, .node_base = 1, .unset = words_of(unset), .vars = words_of(vars) };

	return pcore_wire_put_env(b, &m);
}

static void put_arrays(struct pcore_buf *argv, struct pcore_buf *limits, struct pcore_buf *groups)
{
	const struct pcore_wire_limit one = { RLIMIT_NOFILE, 64, 128 }, two = { RLIMIT_CORE, UINT64_MAX, UINT64_MAX };

	add_text(argv, "sh");
	add_piece(argv, PCORE_WIRE_END, 0);
	add_piece(argv, PCORE_WIRE_END, 0); /* an empty word */
	add_text(argv, "out/");
	add_piece(argv, PCORE_WIRE_ARG, 0);
	add_piece(argv, PCORE_WIRE_SEQ, 0);
	add_piece(argv, PCORE_WIRE_SLOT, 0);
	add_piece(argv, PCORE_WIRE_END, 0);
	add_piece(argv, PCORE_WIRE_SPREAD, 1);
	add_piece(argv, PCORE_WIRE_END, 0);
	assert_int_equal(pcore_wire_add_limit(limits, &one), 0);
	assert_int_equal(pcore_wire_add_limit(limits, &two), 0);
	assert_int_equal(pcore_wire_add_u32(groups, 0), 0);
	assert_int_equal(pcore_wire_add_u32(groups, 100), 0);
}

static int put_template(struct pcore_buf *b)
{
	static char *const ro[] = { (char *)"/usr", NULL }, *const labels[] = { (char *)"disk=ssd", (char *)"zone!=b", NULL };
	struct pcore_buf argv = PCORE_BUF_INIT(0), limits = PCORE_BUF_INIT(0), groups = PCORE_BUF_INIT(0), list = PCORE_BUF_INIT(0);
	struct pcore_wire_template m = { .has = UINT64_MAX, .env = 1, .file = "/bin/sh", .dir = "/tmp", .umask = 022, .affinity = { "\3\1", 2 },
		.nice = -20, .sched_policy = 3, .sched_priority = 99, .ioprio = 3 << 13, .oom_adj = -1000, .uid = 1, .gid = 2,
		.timeout = 3, .kill_after = INT64_MAX, .linger = 0, .signal = SIGTERM, .flags = PCORE_WIRE_T_FLAGS_ALL, .sandbox = 2,
		.sandbox_flags = PCORE_WIRE_SANDBOX_ALL, .ro = words_of(ro), .rw = words_of(none), .drop_caps = UINT64_MAX, .keep_caps = 1,
		.memory_max = 1, .tasks_max = 2, .cpu_max = 150, .io_weight = 10000, .max_output = 5, .pipe_size = 6, .cpus = 7,
		.memory = 8, .form = 1, .lines = 9, .until = { "end", 3 }, .init = { "a\0b", 3 }, .window = 10, .items_max = 11,
		.idle_timeout = INT64_MAX, .answer_timeout = 12, .slow_after = 13, .node_labels = words_of(labels), .node = "n1" };
	int r;

	put_arrays(&argv, &limits, &groups);
	put_resources(&list, &m.resources);
	m.argv = (struct pcore_wire_argv){ argv.data, argv.len };
	m.limits = bytes_of(&limits);
	m.groups = bytes_of(&groups);
	r = pcore_wire_put_template(b, &m);
	pcore_buf_done(&argv);
	pcore_buf_done(&limits);
	pcore_buf_done(&groups);
	pcore_buf_done(&list);
	return r;
}

static const struct pcore_wire_assign an_assign = { .job = INT64_MAX, .attempt = UINT32_MAX, .template = 7, .seq = 8, .timeout = 9,
	.tries = 2, .priority = -5, .flags = PCORE_WIRE_STREAM, .ids = { "\1\0\0\1", 4 }, .args = { "a\0\0b c", 7, 3, NULL },
	.input = { "x\0y", 3 } };

static const struct pcore_wire_done a_done = { .job = 1, .attempt = 2, .pid = 3, .slot = 4, .survivors = 5, .start_ns = 6, .wall_ns = 7,
	.code = CLD_DUMPED, .status = SIGSEGV, .method = 3, .memory_limit = 1, .flags = PCORE_WIRE_DONE_ALL, .user_ns = 8, .system_ns = 9,
	.maxrss_kib = 10, .minor_faults = 11, .major_faults = 12, .in_blocks = 13, .out_blocks = 14, .vol_switches = 15,
	.invol_switches = 16, .read_bytes = 17, .write_bytes = 18, .bytes = { 19, 20 }, .sent = { 19, 5 }, .input = 21,
	.error = EPIPE, .step = "input", .subject = "", .node = 22, .reason = PCORE_WIRE_REASON_DEPENDENCY, .tries = 23 };

static int put_record(struct pcore_wire_out *o)
{
	const struct pcore_wire_ref ref = { .job = 1, .attempt = 2 }, cancel = { .job = 3, .attempt = 4, .how = PCORE_WIRE_SIGNAL_IT,
		.signal = SIGTSTP }, retracted = { .job = 5, .attempt = 6, .how = PCORE_WIRE_IS_LOST };
	const struct pcore_wire_credit credit = { .job = 1, .attempt = 2, .stream = PCORE_WIRE_STDIN, .closed = true, .received = 3,
		.limit = UINT64_MAX };
	const struct pcore_wire_started started = { .job = 1, .attempt = 2, .slot = 3, .pid = 4, .node = 6, .start_ns = 5 };
	const struct pcore_wire_adopt adopt = { .job = 1, .attempt = 2, .state = PCORE_WIRE_JOB_DONE, .kept = { 3, 4 }, .bytes = { 5, 4 },
		.input = 6, .ids = { "\2\0", 2 } };

	switch ((int)o->type) {
	case PCORE_WIRE_ADOPT_N: return pcore_wire_add_adopt(o, &adopt);
	case PCORE_WIRE_STARTED_N: return pcore_wire_add_started(o, &started);
	case PCORE_WIRE_DONE_N: return pcore_wire_add_done(o, &a_done);
	case PCORE_WIRE_RETRACTED_N: return pcore_wire_add_ref(o, &retracted);
	case PCORE_WIRE_ASSIGN_N: return pcore_wire_add_assign(o, &an_assign);
	case PCORE_WIRE_CANCEL_N: return pcore_wire_add_ref(o, &cancel);
	case PCORE_WIRE_CREDIT_N: return pcore_wire_add_credit(o, &credit);
	default: return pcore_wire_add_ref(o, &ref);
	}
}

static bool has_records(enum pcore_wire_type type)
{
	switch ((int)type) {
	case PCORE_WIRE_ADOPT_N:
	case PCORE_WIRE_STARTED_N:
	case PCORE_WIRE_DONE_N:
	case PCORE_WIRE_RETRACTED_N:
	case PCORE_WIRE_ASSIGN_N:
	case PCORE_WIRE_CANCEL_N:
	case PCORE_WIRE_RETRACT_N:
	case PCORE_WIRE_ACK_N:
	case PCORE_WIRE_CREDIT_N: return true;
	default: return false;
	}
}

static bool has_nothing(enum pcore_wire_type type)
{
	return type == PCORE_WIRE_ENV_DROP || type == PCORE_WIRE_TEMPLATE_DROP || type == PCORE_WIRE_DRAIN || type == PCORE_WIRE_STATUS_GET ||
	       type == PCORE_WIRE_NODES;
}

static bool is_chunk(enum pcore_wire_type type)
{
	return type == PCORE_WIRE_OUTPUT || type == PCORE_WIRE_INPUT;
}

static int put_records(struct pcore_buf *b, enum pcore_wire_type type)
{
	struct pcore_wire_out o;

	assert_int_equal(pcore_wire_begin(&o, b, type), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(put_record(&o), 0);
	assert_int_equal(pcore_wire_end(&o, type == PCORE_WIRE_ADOPT_N), 3);
	return 0;
}

static int put_submit(struct pcore_buf *b, uint64_t has, uint64_t part)
{
	struct pcore_buf env = PCORE_BUF_INIT(0), template = PCORE_BUF_INIT(0), after = PCORE_BUF_INIT(0);
	struct pcore_wire_submit m = { .has = has, .token = { "0123456789abcdef", PCORE_WIRE_TOKEN }, .part = part, .more = 1, .count = 2,
		.words = 2, .args = { "a\0\0b c\0d", 9, 4, NULL }, .input = { "x\0y", 3 }, .priority = -3, .retries = 4, .backoff = INT64_MAX,
		.retry_lost = 255, .at_most_once = 1 };
	int r;

	assert_int_equal(put_env(&env), 0);
	assert_int_equal(put_template(&template), 0);
	assert_int_equal(pcore_wire_add_u64(&after, 17), 0);
	assert_int_equal(pcore_wire_add_u64(&after, UINT64_MAX), 0);
	m.env = bytes_of(&env);
	m.template = bytes_of(&template);
	m.after = bytes_of(&after);
	assert_int_equal(pcore_wire_u64s(&m.after), 2);
	assert_int_equal(pcore_wire_u64(&m.after, 1), UINT64_MAX);
	r = pcore_wire_put_submit(b, &m);
	pcore_buf_done(&env);
	pcore_buf_done(&template);
	pcore_buf_done(&after);
	return r;
}

static int put_member(struct pcore_buf *b)
{
	static char *const labels[] = { (char *)"disk=ssd", NULL };
	struct pcore_wire_member m = { .has = UINT64_MAX, .name = "n1", .address = "", .state = PCORE_WIRE_STATES, .cpus = 1, .memory = 2,
		.running = 3, .jobs = 4, .job_ns = 5, .sent = 6, .received = 7, .software = "0.1.0", .labels = words_of(labels) };
	struct pcore_buf list = PCORE_BUF_INIT(0);
	int r;

	put_resources(&list, &m.resources);
	r = pcore_wire_put_member(b, &m);
	pcore_buf_done(&list);
	return r;
}

/* One of those between a client and a scheduler: false when there is none of that type. */
static bool put_client_message(struct pcore_buf *b, enum pcore_wire_type type)
{
	static char *const argv[] = { (char *)"echo", (char *)"{}", NULL };
	const struct pcore_wire_watch watch = { .has = UINT64_MAX, .submission = 1, .from = 2, .to = UINT64_MAX, .flags = PCORE_WIRE_WATCH_ALL,
		.attempt = 3, .received = { 4, 5 } };
	const struct pcore_wire_cancel cancel = { .submission = 1, .from = 2, .to = 2, .how = PCORE_WIRE_KILL_IT };
	const struct pcore_wire_about about = { .has = UINT64_MAX, .submission = 1, .seq = 2 };
	const struct pcore_wire_submitted submitted = { .submission = 1, .count = 2 };
	const struct pcore_wire_submission submission = { .has = UINT64_MAX, .number = 1, .count = 28, .waiting = 1, .queued = 2, .running = 3,
		.succeeded = 4, .failed = 5, .cancelled = 6, .lost = 7, .submit_ns = 8, .priority = INT32_MIN, .owner = "", .argv = words_of(argv),
		.start_ns = 9, .end_ns = INT64_MAX };
	const struct pcore_wire_total total = { .name = "s", .software = "0.1.0", .start_ns = 1, .policy = 2, .clients = 3, .submissions = 4,
		.waiting = 5, .queued = 6, .running = 7, .succeeded = 8, .failed = 9, .busy_ns = 10 };
	const struct pcore_wire_why why = { .has = UINT64_MAX, .state = 6, .nodes = 10, .gone = 1, .draining = 1, .pinned = 1, .labels = 1,
		.cpus = 1, .memory = 1, .resources = 1, .avoided = 1, .reserved = 1, .busy = 1, .room = 0, .cancelled = 1, .node = "n1",
		.after = 3, .until_ns = 4 };
	const struct pcore_wire_number number = { .name = "n1" };
	int r = 0;

	switch ((int)type) {
	case PCORE_WIRE_SUBMIT: r = put_submit(b, UINT64_MAX, 0); break;
	case PCORE_WIRE_WATCH: r = pcore_wire_put_watch(b, &watch); break;
	case PCORE_WIRE_CANCEL: r = pcore_wire_put_cancel(b, &cancel); break;
	case PCORE_WIRE_LIST:
	case PCORE_WIRE_EXPLAIN:
	case PCORE_WIRE_FORGET: r = pcore_wire_put_about(b, type, &about); break;
	case PCORE_WIRE_SUBMITTED: r = pcore_wire_put_submitted(b, &submitted); break;
	case PCORE_WIRE_SUBMISSION: r = pcore_wire_put_submission(b, &submission); break;
	case PCORE_WIRE_MEMBER: r = put_member(b); break;
	case PCORE_WIRE_TOTAL: r = pcore_wire_put_total(b, &total); break;
	case PCORE_WIRE_WHY: r = pcore_wire_put_why(b, &why); break;
	case PCORE_WIRE_NODE_NUMBER: r = pcore_wire_put_number(b, &number); break;
	default: return false;
	}
	assert_int_equal(r, 0);
	return true;
}

static void put_one(struct pcore_buf *b, enum pcore_wire_type type)
{
	const struct pcore_wire_answer answer = { .has = UINT64_MAX, .status = 76, .text = "no" };
	const struct pcore_wire_worker worker = { .has = UINT64_MAX, .template = 1, .slot = 2, .event = 8, .pid = 3, .job = 4, .attempt = 5,
		.seq = 6, .code = CLD_KILLED, .status = SIGKILL };
	const struct pcore_wire_shutdown down = { .how = PCORE_WIRE_KILL_IT };
	const struct pcore_wire_control control = { .has = UINT64_MAX, .what = PCORE_WIRE_CPUS, .n = -1 };
	const struct pcore_wire_chunk out = { .attempt = 1, .stream = PCORE_WIRE_STDERR, .offset = 3, .data = "text", .len = 4 };
	const struct pcore_wire_chunk in = { .attempt = 1, .stream = PCORE_WIRE_STDIN, .last = true, .offset = 3, .data = "text", .len = 4 };
	int r = 0;

	if (put_client_message(b, type))
		return;
	switch ((int)type) {
	case PCORE_WIRE_NODE: r = put_node(b); break;
	case PCORE_WIRE_OUTPUT: r = pcore_wire_put_chunk(b, &out); break;
	case PCORE_WIRE_INPUT: r = pcore_wire_put_chunk(b, &in); break;
	case PCORE_WIRE_WORKER: r = pcore_wire_put_worker(b, &worker); break;
	case PCORE_WIRE_STATUS: r = put_status(b); break;
	case PCORE_WIRE_ANSWER: r = pcore_wire_put_answer(b, &answer); break;
	case PCORE_WIRE_ENV: r = put_env(b); break;
	case PCORE_WIRE_TEMPLATE: r = put_template(b); break;
	case PCORE_WIRE_SHUTDOWN: r = pcore_wire_put_shutdown(b, &down); break;
	case PCORE_WIRE_CONTROL: r = pcore_wire_put_control(b, &control); break;
	default: r = has_records(type) ? put_records(b, type) : 0; break;
	}
	assert_int_equal(r, 0);
}

#endif
