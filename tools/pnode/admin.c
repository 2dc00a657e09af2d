/* SPDX-License-Identifier: MIT */
/*
 * admin.c - what is asked of nodes that run: their status, and to stop, start, drain or use another number of CPUs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/cli/jobopts.h"
#include "tools/cli/rundir.h"
#include "tools/pnode/pnode.h"

struct admin {
	const struct pnode_opts *opts;
	struct pcore_loop *loop;
	struct pcore_net *net;
	struct pcore_net_keys *keys;
	struct pcore_op timer;
	bool control; /* else the status */
	struct pcore_wire_control what;
	size_t waiting;
	int status;
};

struct question {
	struct admin *admin;
	struct pcore_net_conn *conn;
	const char *node;
	char *socket; /* malloc'd */
	struct pcore_buf out; /* the status, as it is printed */
	bool answered;
};

static int fail(struct admin *a, int status)
{
	a->status = a->status == CLI_OK ? status : a->status;
	return status;
}

/* ---- printing ---- */

static const char *const states[] = {
	[PCORE_WIRE_SERVING] = "serving",
	[PCORE_WIRE_STOPPED] = "stopped",
	[PCORE_WIRE_DRAINING] = "draining",
};

static void member(struct pcore_json *j, const char *key, uint64_t value)
{
	pcore_json_key(j, key);
	pcore_json_u64(j, value);
}

static void text_member(struct pcore_json *j, const char *key, const char *value)
{
	pcore_json_key(j, key);
	pcore_json_str(j, value);
}

static void job_members(struct pcore_json *j, const struct pcore_wire_job *job)
{
	struct pcore_wire_words argv = job->argv;
	char start[PCORE_ISO8601_MAX];
	const char *word;

	pcore_json_object(j);
	member(j, "id", job->job);
	member(j, "attempt", job->attempt);
	member(j, "seq", job->seq);
	member(j, "pid", job->pid);
	text_member(j, "start", pcore_iso8601_utc(start, job->start_ns));
	pcore_json_key(j, "argv");
	pcore_json_array(j);
	while ((word = pcore_wire_word(&argv)))
		pcore_json_str(j, word);
	pcore_json_array_end(j);
	pcore_json_object_end(j);
}

static int print_json(const struct pcore_wire_status *s, struct pcore_buf *out)
{
	struct pcore_json j = PCORE_JSON_INIT(out);
	struct pcore_wire_list list = s->jobs;
	struct pcore_wire_job job;
	char start[PCORE_ISO8601_MAX];

	pcore_json_object(&j);
	text_member(&j, "name", s->name);
	text_member(&j, "state", states[s->state]);
	text_member(&j, "version", s->software);
	text_member(&j, "start", pcore_iso8601_utc(start, s->start_ns));
	member(&j, "cpus", s->cpus);
	member(&j, "cpus_here", s->cpus_here);
	member(&j, "memory", s->memory);
	member(&j, "queued", s->queued);
	member(&j, "running", s->running);
	member(&j, "succeeded", s->succeeded);
	member(&j, "failed", s->failed);
	pcore_json_key(&j, "cpu_s");
	pcore_json_seconds(&j, s->cpu_ns);
	pcore_json_key(&j, "jobs");
	pcore_json_array(&j);
	while (pcore_wire_next_job(&list, &job))
		job_members(&j, &job);
	pcore_json_array_end(&j);
	pcore_json_object_end(&j);
	return j.error < 0 ? j.error : pcore_buf_addc(out, '\n');
}

/* A node may say anything of itself. */
static const char *escaped(char *buf, size_t size, const char *text)
{
	(void)pcore_escape(buf, size, text, strnlen(text, PCORE_WIRE_NAME_MAX));
	return buf;
}

static int print_job(const struct pcore_wire_job *job, struct pcore_buf *out)
{
	struct pcore_wire_words argv = job->argv;
	char start[PCORE_ISO8601_MAX], text[1024];
	const char *word, *before = ": ";
	int r = pcore_buf_addf(out, "    job %" PRIu64 ": pid %" PRIu64 ", since %s", job->seq, job->pid, pcore_iso8601_utc(start, job->start_ns));

	for (; r == 0 && (word = pcore_wire_word(&argv)); before = " ") {
		(void)pcore_escape(text, sizeof(text), word, strlen(word));
		r = pcore_buf_addf(out, "%s%s", before, text);
	}
	return r < 0 ? r : pcore_buf_addc(out, '\n');
}

int pnode_print_status(const struct pcore_wire_status *s, bool json, struct pcore_buf *out)
{
	struct pcore_wire_list list = s->jobs;
	struct pcore_wire_job job;
	char name[4 * PCORE_WIRE_NAME_MAX + 1], software[4 * PCORE_WIRE_NAME_MAX + 1];
	int r;

	if (json)
		return print_json(s, out);
	r = pcore_buf_addf(out,
		"%s: %s, %s; %" PRIu64 " of %" PRIu64 " CPUs; %" PRIu64 " running, %" PRIu64 " queued, %" PRIu64 " succeeded, %" PRIu64
		" failed; %.3f s of CPU time\n",
		escaped(name, sizeof(name), s->name), escaped(software, sizeof(software), s->software), states[s->state], s->cpus,
		s->cpus_here, s->running, s->queued, s->succeeded, s->failed, (double)s->cpu_ns / (double)NS_PER_S);
	while (r == 0 && pcore_wire_next_job(&list, &job))
		r = print_job(&job, out);
	return r;
}

/* ---- asking ---- */

static void finished(struct admin *a)
{
	if (--a->waiting == 0)
		pcore_op_cancel(a->loop, &a->timer);
}

static void opened(struct pcore_net_conn *c, void *ctx)
{
	_cleanup_(pcore_buf_done) struct pcore_buf body = PCORE_BUF_INIT(0);
	struct question *q = ctx;

	if (!q->admin->control)
		(void)pcore_net_send(c, PCORE_WIRE_STATUS_GET, 0, 1, NULL, 0);
	else if (pcore_wire_put_control(&body, &q->admin->what) == 0)
		(void)pcore_net_send(c, PCORE_WIRE_CONTROL, 0, 1, body.data, body.len);
}

static void hear_answer(struct question *q, const struct pcore_wire_frame *f)
{
	struct pcore_wire_answer m;

	if (pcore_wire_get_answer(f, &m) < 0)
		return;
	q->answered = true;
	if (m.status == 0)
		return;
	(void)cli_error("node '%s': %s", q->node, m.text ? m.text : "it cannot do that");
	(void)fail(q->admin, (int)m.status);
}

static void hear_status(struct question *q, const struct pcore_wire_frame *f)
{
	struct pcore_wire_status m;

	if (pcore_wire_get_status(f, &m) < 0 || m.state >= PCORE_WIRE_STATES)
		return;
	q->answered = true;
	if (pnode_print_status(&m, q->admin->opts->json, &q->out) < 0)
		(void)fail(q->admin, cli_error("out of memory"));
}

/* In the order in which they were asked, whoever was the first to answer. */
static void print_all(struct admin *a, const struct question *questions, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = cli_write(STDOUT_FILENO, questions[i].out.data, questions[i].out.len);
	if (r == -EPIPE)
		cli_die_of(SIGPIPE);
	if (r < 0)
		(void)fail(a, cli_error("cannot write to standard output: %s", strerror(-r)));
}

static void frame(struct pcore_net_conn *c, void *ctx, const struct pcore_net_frame *nf)
{
	const struct pcore_wire_frame f = { (enum pcore_wire_type)nf->type, nf->stream, nf->body, nf->len };
	struct question *q = ctx;

	if (nf->type == PCORE_WIRE_STATUS)
		hear_status(q, &f);
	else if (nf->type == PCORE_WIRE_ANSWER)
		hear_answer(q, &f);
	else if (nf->flags & PCORE_NET_OPTIONAL)
		return;
	pcore_net_close(c);
}

static void closed(struct pcore_net_conn *c, void *ctx, const struct pcore_net_error *e)
{
	struct question *q = ctx;

	(void)c;
	q->conn = NULL;
	if (!q->answered && q->admin->status != CLI_TIMEOUT) {
		bool nobody = e->code == -ENOENT || e->code == -ECONNREFUSED;

		(void)cli_error("cannot ask the node '%s': %s", q->node, nobody ? "it does not run" : e->why);
		(void)fail(q->admin, nobody ? CLI_NO : pnode_net_status(e->code));
	}
	finished(q->admin);
}

static void too_late(struct pcore_op *op, int res)
{
	struct admin *a = container_of(op, struct admin, timer);

	if (res == -ETIME)
		a->status = CLI_TIMEOUT;
}

static int ask(struct question *q)
{
	static const struct pcore_net_ops ops = { .opened = opened, .frame = frame, .closed = closed };
	struct pcore_net_addr addr;
	struct pcore_net_error err;
	const char *text = q->node;
	int r;

	if (!strchr(text, ':')) {
		if (!cli_is_name(text))
			return cli_usage("'%s' is no node: neither a name nor an address", text);
		q->socket = pnode_socket(text);
		text = q->socket;
	}
	if (!text)
		return CLI_FAILURE;
	if (pcore_net_addr_parse(&addr, 1, text, true, &err) < 0)
		return cli_error("'%s' is no node: %s", q->node, err.why);
	r = pcore_net_connect(&q->conn, q->admin->net, &addr, &ops, q, &err);
	if (r == -ENOENT || r == -ECONNREFUSED) {
		(void)cli_error("cannot ask the node '%s': it does not run", q->node);
		return CLI_NO;
	}
	if (r == -ENOKEY)
		return cli_error("cannot ask the node '%s': there is no key; see `pnode keygen'", q->node);
	if (r < 0)
		return cli_error("cannot ask the node '%s': %s", q->node, err.why);
	q->admin->waiting++;
	return CLI_GO;
}

static int ask_all(struct admin *a, struct question *questions, size_t n)
{
	int r;

	for (size_t i = 0; i < n; i++) {
		r = ask(&questions[i]);
		if (r != CLI_GO)
			(void)fail(a, r);
	}
	if (a->waiting > 0)
		(void)pcore_op_timer(a->loop, &a->timer, PCORE_CLOCK_MONOTONIC, pcore_ns_add(pcore_now_ns(), a->opts->timeout));
	while (a->waiting > 0 && pcore_loop_turn(a->loop, true) >= 0)
		for (size_t i = 0; i < n && a->status == CLI_TIMEOUT; i++)
			if (questions[i].conn)
				pcore_net_abort(questions[i].conn);
	print_all(a, questions, n);
	return a->status;
}

/* Names, and paths of sockets. */
static bool all_local(char *const *nodes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strchr(nodes[i], ':') && strncmp(nodes[i], "unix:", 5) != 0)
			return false;
	return true;
}

static int ask_once(struct admin *a, char *const *nodes, size_t n)
{
	struct question *questions = calloc(n, sizeof(*questions));
	struct pnode_opts opts = *a->opts;
	int r = questions ? cli_loop_new(&a->loop, PCORE_LOOP_EPOLL) : cli_error("out of memory");

	a->timer.done = too_late;
	a->status = CLI_OK;
	opts.no_keys = all_local(nodes, n); /* a key file that is missing or bad is no affair of theirs */
	if (r == CLI_GO)
		r = pnode_net(&a->net, &a->keys, a->loop, &opts, PCORE_NET_ADMIN,
			PCORE_NET_ROLE_BIT(PCORE_NET_NODE) | PCORE_NET_ROLE_BIT(PCORE_NET_SCHEDULER), 0);
	for (size_t i = 0; r == CLI_GO && i < n; i++)
		questions[i] = (struct question){ .admin = a, .node = nodes[i] };
	if (r == CLI_GO)
		r = ask_all(a, questions, n);
	while (a->loop && pcore_loop_turn(a->loop, pcore_op_live(&a->timer)) > 0)
		;
	for (size_t i = 0; questions && i < n; i++) {
		pcore_buf_done(&questions[i].out);
		free(questions[i].socket);
	}
	free(questions);
	pcore_net_free(TAKE_PTR(a->net));
	pcore_net_keys_free(TAKE_PTR(a->keys));
	pcore_loop_free(TAKE_PTR(a->loop));
	return r;
}

static size_t count(char *const *list)
{
	size_t n = 0;

	while (list[n])
		n++;
	return n;
}

/* The nodes that were named, or those of this machine. */
static int run(struct admin *a)
{
	const struct pnode_opts *o = a->opts;
	char **here = NULL;
	int r;

	if (o->n_words > 0)
		return ask_once(a, o->words, o->n_words);
	r = pnode_names(&here);
	if (r != CLI_GO)
		return r;
	if (count(here) == 0) {
		(void)cli_error("no node of ours runs on this machine");
		r = CLI_NO;
	} else if (a->control && count(here) > 1) {
		r = cli_usage("several nodes run on this machine: say which");
	} else {
		r = ask_once(a, here, count(here));
	}
	cli_job_names_free(here);
	return r;
}

int pnode_status(struct pnode_opts *o)
{
	struct admin a = { .opts = o };
	int r = run(&a);

	while (o->watch > 0 && r != CLI_FAILURE) { /* a node that has gone may come back */
		const struct timespec pause = { o->watch / NS_PER_S, o->watch % NS_PER_S };

		(void)nanosleep(&pause, NULL);
		r = run(&a);
	}
	return r;
}

static int parse_cpus(struct admin *a, const char *text)
{
	bool less = *text == '-';
	uint64_t n;

	if (pcore_parse_u64(text + less, less, UINT16_MAX, &n) < 0)
		return cli_usage("'%s' is not a number of CPUs", text);
	a->what.n = less ? -(int64_t)n : (int64_t)n;
	a->what.has = PCORE_WIRE_HAS(PCORE_WIRE_CONTROL_N);
	return CLI_GO;
}

int pnode_control(struct pnode_opts *o, enum pcore_wire_control_what what)
{
	struct admin a = { .opts = o, .control = true, .what = { .what = (uint64_t)what } };
	int r = what == PCORE_WIRE_CPUS ? parse_cpus(&a, o->words[0]) : CLI_GO;

	if (r != CLI_GO)
		return r;
	if (what == PCORE_WIRE_CPUS) {
		o->words++;
		o->n_words--;
	}
	return run(&a);
}

int pnode_keygen(struct pnode_opts *o)
{
	const struct pcore_net_key_places places = {
		.env_key = getenv("PCORE_KEY"),
		.xdg_config_home = getenv("XDG_CONFIG_HOME"),
		.home = getenv("HOME"),
		.root = geteuid() == 0,
	};
	struct pcore_net_error err;
	char path[4096];
	int r = o->n_words > 0 ? snprintf(path, sizeof(path), "%s", o->words[0]) : pcore_net_keys_path(path, sizeof(path), &places);

	if (r < 0)
		return cli_error("there is no place for a key: neither PCORE_KEY, XDG_CONFIG_HOME nor HOME is set");
	r = pcore_net_keys_generate(path, NULL, &err);
	if (r < 0)
		return cli_error("cannot make the key file '%s': %s", path, err.why);
	return CLI_OK;
}
