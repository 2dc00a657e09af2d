/* SPDX-License-Identifier: MIT */
/*
 * ask.c - what is asked of a named pool besides jobs: results, lists, and what is to become of it.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/cli/opts.h"
#include "tools/cli/rundir.h"
#include "tools/cli/template.h"
#include "tools/ppool/client.h"
#include "tools/ppool/named.h"
#include "tools/map/map.h"

#define AT(member) offsetof(struct ask_opts, member)

struct ask_opts {
	int64_t timeout;
	bool keep_result, any, all, json, running;
	char **words; /* NAME and what follows */
	const char *usage;
};

static const struct cli_opt no_options[] = { { .name = NULL } };

static const struct cli_opt get_table[] = {
	{ .name = "timeout", .kind = CLI_OPT_DURATION, .arg = "D", .offset = AT(timeout), .help = "wait no longer than D (exit 124)" },
	{ .name = "keep-result", .kind = CLI_OPT_FLAG, .offset = AT(keep_result), .help = "leave the result where it is" },
	{ .name = NULL },
};

static const struct cli_opt wait_table[] = {
	{ .name = "all", .kind = CLI_OPT_FLAG, .offset = AT(all), .help = "until all have ended (the default)" },
	{ .name = "any", .kind = CLI_OPT_FLAG, .offset = AT(any), .help = "until one has ended" },
	{ .name = "timeout", .kind = CLI_OPT_DURATION, .arg = "D", .offset = AT(timeout), .help = "wait no longer than D (exit 124)" },
	{ .name = NULL },
};

static const struct cli_opt list_table[] = {
	{ .name = "json", .kind = CLI_OPT_FLAG, .offset = AT(json), .help = "one JSON object for each" },
	{ .name = NULL },
};

static const struct cli_opt cancel_table[] = {
	{ .name = "running", .kind = CLI_OPT_FLAG, .offset = AT(running), .help = "end a running job too" },
	{ .name = NULL },
};

/* Parse, and check that there are min to max operands. */
static int parse(struct ask_opts *o, int argc, char **argv, const struct cli_opts *how, const struct cli_opt *table, int min, int max)
{
	const struct cli_opt *tables[] = { table, NULL };
	void *targets[] = { o };
	struct cli_opts spec = { .usage = how->usage, .summary = how->summary, .tables = tables, .targets = targets };
	int operand = 0, r;

	*o = (struct ask_opts){ .usage = how->usage };
	r = cli_opts_parse(&spec, argc, argv, &operand);
	if (r != CLI_GO)
		return r;
	o->words = argv + operand;
	if (argc - operand < min)
		return cli_usage("something is missing: %s", o->usage);
	if (max > 0 && argc - operand > max)
		return cli_usage("'%s' is one word too many: %s", o->words[max], o->usage);
	if (o->words[0] && !cli_is_name(o->words[0]))
		return cli_usage("invalid name '%s': letters, digits, and . _ - inside, at most 64", o->words[0]);
	return CLI_GO;
}

static int64_t deadline(const struct ask_opts *o)
{
	return o->timeout == 0 ? INT64_MAX : pcore_ns_add(pcore_now_ns(), o->timeout);
}

/* A pool that is closed and drained has no jobs any more. */
static int no_pool(const char *name, int status)
{
	(void)client_no_pool(name, status);
	return status == CLI_DRAINED ? CLI_NO : status;
}

/* ---- get ---- */

/* The result that has been asked for. Its status; *ret_got: it has arrived. */
static int take_result(struct client *c, bool *ret_got)
{
	struct wire_answer a;
	struct cli_frame f;
	int r, status = CLI_GO;

	*ret_got = false;
	while (status == CLI_GO) {
		r = client_frame(c, &f);
		if (r < 0)
			return r == -ETIMEDOUT ? CLI_TIMEOUT : client_lost(c, r);
		c->deadline_ns = INT64_MAX; /* it was ready in time */
		if (f.type == WIRE_OUTPUT) {
			status = client_write_output(&f);
			c->lost = status != CLI_GO; /* what follows would be taken for the next result */
		} else if (f.type == WIRE_ENDED) {
			*ret_got = true;
			status = client_job_status(&f, NULL);
		} else if (f.type == WIRE_ANSWER && wire_get_answer(&f, &a) == 0) {
			status = client_refused(&a);
		} else {
			status = client_lost(c, -EPROTO);
		}
	}
	return status;
}

static int get_one(struct client *c, const struct ask_opts *o, uint64_t id)
{
	struct cli_frame f;
	bool got;
	int r = wire_put_ref(&c->out, WIRE_GET, 0, id), status;

	if (r == 0)
		r = client_send(c);
	if (r < 0)
		return client_lost(c, r);
	status = take_result(c, &got);
	if (status == CLI_TIMEOUT && c->deadline_ns != INT64_MAX)
		(void)cli_error("job %" PRIu64 " is not ready", id);
	if (!got || o->keep_result)
		return status;
	/* The result is here. If the pool ends before it has forgotten it, nothing is lost. */
	if (wire_put_ref(&c->out, WIRE_DROP, 0, id) < 0)
		return cli_error("out of memory");
	if (client_send(c) == 0)
		(void)client_frame(c, &f);
	return status;
}

int ppool_get(int argc, char **argv)
{
	static const struct cli_opts how = { .usage = "ppool get [options] NAME ID...",
		.summary = "Wait for the jobs ID of the pool NAME and print what they wrote, first stdout, then stderr." };
	struct client c = { .fd = -EBADF, .dfd = -EBADF };
	struct ask_opts o;
	uint64_t *ids = NULL;
	size_t n = 0;
	int64_t until;
	int status = parse(&o, argc, argv, &how, get_table, 2, 0);

	if (status == CLI_GO)
		status = client_parse_ids(o.words + 1, &ids, &n);
	if (status == CLI_GO)
		status = no_pool(o.words[0], client_open(&c, o.words[0]));
	if (status != CLI_GO)
		goto out;
	until = deadline(&o);
	status = CLI_OK;
	for (size_t i = 0; i < n; i++) {
		int r;

		c.deadline_ns = until;
		r = get_one(&c, &o, ids[i]);
		if (status == CLI_OK)
			status = r;
		if (c.lost || (r == CLI_TIMEOUT && c.deadline_ns != INT64_MAX))
			break;
	}
out:
	client_close(&c);
	free(ids);
	return status;
}

/* ---- ready, cancel ---- */

int ppool_ready(int argc, char **argv)
{
	static const struct cli_opts how = { .usage = "ppool ready NAME ID",
		.summary = "Exit 0 when the job ID of the pool NAME has ended, 1 when it has not." };
	struct client c = { .fd = -EBADF, .dfd = -EBADF };
	struct ask_opts o;
	uint64_t id = 0, value = 0;
	int status = parse(&o, argc, argv, &how, no_options, 2, 2);

	if (status == CLI_GO)
		status = client_parse_id(o.words[1], &id);
	if (status == CLI_GO)
		status = no_pool(o.words[0], client_open(&c, o.words[0]));
	if (status == CLI_GO)
		status = wire_put_ref(&c.out, WIRE_READY, 0, id) < 0 ? cli_error("out of memory") : client_ask(&c, &value);
	if (status == CLI_GO)
		status = value ? CLI_OK : CLI_NO;
	client_close(&c);
	return status;
}

int ppool_cancel(int argc, char **argv)
{
	static const struct cli_opts how = { .usage = "ppool cancel [--running] NAME ID...",
		.summary = "Let the jobs ID of the pool NAME never run; with --running end those that do." };
	struct client c = { .fd = -EBADF, .dfd = -EBADF };
	struct ask_opts o;
	uint64_t *ids = NULL, value;
	size_t n = 0;
	int status = parse(&o, argc, argv, &how, cancel_table, 2, 0), result = CLI_OK;

	if (status == CLI_GO)
		status = client_parse_ids(o.words + 1, &ids, &n);
	if (status == CLI_GO)
		status = no_pool(o.words[0], client_open(&c, o.words[0]));
	for (size_t i = 0; i < n && status == CLI_GO; i++) {
		int r = wire_put_ref(&c.out, WIRE_CANCEL, o.running ? WIRE_REF_FLAG : 0, ids[i]) < 0 ? cli_error("out of memory") :
												   client_ask(&c, &value);

		if (r == CLI_FAILURE)
			status = r;
		else if (r != CLI_GO && result == CLI_OK)
			result = r;
	}
	client_close(&c);
	free(ids);
	return status == CLI_GO ? result : status;
}

/* ---- wait ---- */

static int take_finished(struct client *c)
{
	struct wire_answer a;
	struct cli_frame f;
	uint64_t id;
	int r = client_send(c);

	for (;;) {
		if (r == 0)
			r = client_frame(c, &f);
		if (r == -ETIMEDOUT)
			return CLI_TIMEOUT;
		if (r == 0 && f.type == WIRE_FINISHED && wire_get_finished(&f, &id) == 0)
			r = pcore_buf_addf(&c->text, "%" PRIu64 "\n", id);
		else if (r == 0 && f.type == WIRE_ANSWER && wire_get_answer(&f, &a) == 0)
			return a.status == CLI_OK ? CLI_OK : client_refused(&a);
		else if (r == 0)
			r = -EPROTO;
		if (r < 0)
			return client_lost(c, r);
	}
}

int ppool_wait(int argc, char **argv)
{
	static const struct cli_opts how = { .usage = "ppool wait [options] NAME [ID...]",
		.summary = "Wait until jobs of the pool NAME have ended, and print their ids as they do." };
	struct client c = { .fd = -EBADF, .dfd = -EBADF };
	struct ask_opts o;
	uint64_t *ids = NULL;
	size_t n = 0;
	int status = parse(&o, argc, argv, &how, wait_table, 1, 0);

	if (status == CLI_GO && o.any && o.all)
		status = cli_usage("--any and --all exclude each other");
	if (status == CLI_GO)
		status = client_parse_ids(o.words + 1, &ids, &n);
	if (status == CLI_GO)
		status = no_pool(o.words[0], client_open(&c, o.words[0]));
	if (status == CLI_GO) {
		c.deadline_ns = deadline(&o);
		status = wire_put_wait(&c.out, o.any ? WIRE_WAIT_ANY : 0, ids, n) < 0 ? cli_error("out of memory") :
											 take_finished(&c);
		if (client_flush_text(&c) != CLI_GO)
			status = CLI_FAILURE;
	}
	client_close(&c);
	free(ids);
	return status;
}

/* ---- list ---- */

static const char *state_name(const struct wire_job *j)
{
	static const char *const names[WIRE_STATES] = { "queued", "paused", "running", "done", "failed", "cancelled" };

	return names[j->state];
}

static int add_row(struct pcore_buf *b, const struct wire_job *j)
{
	char exit[24] = "-", signal[PCORE_SIGNAL_NAME_MAX], wall[32] = "-", safe[1024];
	size_t len = j->argv.len;
	_cleanup_(freep) char *command = malloc(len);

	if (!command)
		return -ENOMEM;
	memcpy(command, j->argv.data, len);
	for (size_t i = 0; i + 1 < len; i++)
		if (!command[i])
			command[i] = ' ';
	(void)pcore_escape(safe, sizeof(safe), command, len - 1);
	if (j->flags & WIRE_JOB_SIGNALLED)
		(void)snprintf(exit, sizeof(exit), "%s", pcore_signal_name(j->exit, signal) + strlen("SIG"));
	else if (j->flags & WIRE_JOB_ENDED)
		(void)snprintf(exit, sizeof(exit), "%u", j->exit);
	if (j->state == WIRE_DONE || j->state == WIRE_FAILED)
		(void)snprintf(wall, sizeof(wall), "%" PRId64 ".%03d", j->wall_ns / NS_PER_S, (int)(j->wall_ns % NS_PER_S / NS_PER_MS));
	return pcore_buf_addf(b, "%8" PRIu64 " %-9s %6s %9s  %s\n", j->id, state_name(j), exit, wall, safe);
}

static int add_object(struct pcore_buf *b, const struct wire_job *w)
{
	char signal[PCORE_SIGNAL_NAME_MAX], time[PCORE_ISO8601_MAX];
	bool signalled = w->flags & WIRE_JOB_SIGNALLED, ended = w->flags & WIRE_JOB_ENDED;
	struct pcore_json j = PCORE_JSON_INIT(b);
	struct cli_words words = w->argv;
	const char *word;
	int r;

	pcore_json_object(&j);
	pcore_json_key(&j, "id");
	pcore_json_u64(&j, w->id);
	pcore_json_key(&j, "state");
	pcore_json_str(&j, state_name(w));
	pcore_json_key(&j, "argv");
	pcore_json_array(&j);
	while ((word = cli_word(&words)))
		pcore_json_str(&j, word);
	pcore_json_array_end(&j);
	pcore_json_key(&j, "exit");
	if (ended && !signalled)
		pcore_json_i64(&j, w->exit);
	else
		pcore_json_null(&j);
	pcore_json_key(&j, "signal");
	pcore_json_str(&j, ended && signalled ? pcore_signal_name(w->exit, signal) : NULL);
	pcore_json_key(&j, "timed_out");
	pcore_json_bool(&j, w->flags & WIRE_JOB_TIMED_OUT);
	pcore_json_key(&j, "attempt");
	pcore_json_i64(&j, w->attempts);
	pcore_json_key(&j, "start");
	pcore_json_str(&j, w->start_ns ? pcore_iso8601_utc(time, w->start_ns) : NULL);
	pcore_json_key(&j, "wall_s");
	if (w->state == WIRE_DONE || w->state == WIRE_FAILED)
		pcore_json_seconds(&j, w->wall_ns);
	else
		pcore_json_null(&j);
	pcore_json_object_end(&j);
	r = pcore_buf_addc(b, '\n');
	return j.error < 0 ? j.error : r;
}

static int list_jobs(struct client *c, bool json)
{
	struct wire_answer a;
	struct cli_frame f;
	struct wire_job job;
	int r = wire_put(&c->out, WIRE_LIST);

	if (r == 0 && !json)
		r = pcore_buf_addf(&c->text, "%8s %-9s %6s %9s  %s\n", "ID", "STATE", "EXIT", "SECONDS", "COMMAND");
	if (r == 0)
		r = client_send(c);
	for (;;) {
		if (r == 0)
			r = client_frame(c, &f);
		if (r == 0 && f.type == WIRE_JOB && wire_get_job(&f, &job) == 0)
			r = json ? add_object(&c->text, &job) : add_row(&c->text, &job);
		else if (r == 0 && f.type == WIRE_ANSWER && wire_get_answer(&f, &a) == 0)
			return a.status == CLI_OK ? CLI_OK : client_refused(&a);
		else if (r == 0)
			r = -EPROTO;
		if (r < 0)
			return client_lost(c, r);
	}
}

static int add_pool(struct pcore_buf *b, const char *name, const struct wire_pool *p, bool json)
{
	const char *state = p->flags & WIRE_POOL_CLOSED ? "closed" : p->flags & WIRE_POOL_PAUSED ? "paused" : "open";
	struct pcore_json j = PCORE_JSON_INIT(b);
	const struct {
		const char *key;
		uint64_t value;
	} numbers[] = { { "pid", p->pid }, { "jobs", p->jobs }, { "queued", p->queued }, { "running", p->running },
		{ "finished", p->finished }, { "kept_bytes", p->kept } };

	if (!json)
		return pcore_buf_addf(b, "%-16s %-6s %7u %6u %8" PRIu64 " %8" PRIu64 " %8" PRIu64 "\n", name, state, p->pid, p->jobs,
			p->queued, p->running, p->finished);
	pcore_json_object(&j);
	pcore_json_key(&j, "name");
	pcore_json_str(&j, name);
	pcore_json_key(&j, "state");
	pcore_json_str(&j, state);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		pcore_json_key(&j, numbers[i].key);
		pcore_json_u64(&j, numbers[i].value);
	}
	pcore_json_object_end(&j);
	return j.error < 0 ? j.error : pcore_buf_addc(b, '\n');
}

/* One that is dead, or ends just now, is left out. */
static int list_pool(struct pcore_buf *b, const char *name, bool json)
{
	struct client c;
	struct cli_frame f;
	struct wire_pool p;
	int status = client_open(&c, name), r = status == CLI_GO ? wire_put(&c.out, WIRE_INFO) : -ESRCH;

	if (r == 0)
		r = client_send(&c);
	if (r == 0)
		r = client_frame(&c, &f);
	if (r == 0 && f.type == WIRE_POOL && wire_get_pool(&f, &p) == 0)
		r = add_pool(b, name, &p, json);
	client_close(&c);
	if (status == CLI_FAILURE)
		return status;
	return r == -ENOMEM ? cli_error("out of memory") : CLI_OK;
}

static int only_names(const struct dirent *d)
{
	return cli_is_name(d->d_name);
}

static int list_pools(bool json)
{
	_cleanup_(fd_closep) int pools = cli_rundir_open("pools");
	_cleanup_(pcore_buf_done) struct pcore_buf b = PCORE_BUF_INIT(0);
	struct dirent **names = NULL;
	int n, status = CLI_OK;

	if (pools < 0)
		return CLI_FAILURE;
	n = scandirat(pools, ".", &names, only_names, versionsort);
	if (n < 0)
		return cli_error("cannot list '%s/pools': %s", cli_rundir_path(), strerror(errno));
	if (!json)
		(void)pcore_buf_addf(&b, "%-16s %-6s %7s %6s %8s %8s %8s\n", "NAME", "STATE", "PID", "JOBS", "QUEUED", "RUNNING", "FINISHED");
	for (int i = 0; i < n; i++) {
		if (status == CLI_OK)
			status = list_pool(&b, names[i]->d_name, json);
		free(names[i]);
	}
	free(names);
	if (status == CLI_OK && pcore_buf_terminate(&b) < 0)
		return cli_error("out of memory");
	return status == CLI_OK ? cli_print(b.data) : status;
}

int ppool_list(int argc, char **argv)
{
	static const struct cli_opts how = { .usage = "ppool list [--json] [NAME]",
		.summary = "Print the jobs of the pool NAME and their states; without NAME, the pools." };
	struct client c = { .fd = -EBADF, .dfd = -EBADF };
	struct ask_opts o;
	int status = parse(&o, argc, argv, &how, list_table, 0, 1);

	if (status != CLI_GO)
		return status;
	if (!o.words[0])
		return list_pools(o.json);
	status = client_open(&c, o.words[0]);
	if (status == CLI_DRAINED) /* it has no jobs */
		status = CLI_OK;
	else if (status == CLI_GO)
		status = list_jobs(&c, o.json);
	else
		(void)client_no_pool(o.words[0], status);
	if (client_flush_text(&c) != CLI_GO)
		status = CLI_FAILURE;
	client_close(&c);
	return status;
}

/* ---- the pool as a whole ---- */

/* Ask for something that takes no words. drained: the status for a pool that is closed and drained (CLI_OK: silent). */
static int ask(int argc, char **argv, const struct cli_opts *how, enum wire_type type, int drained)
{
	struct client c = { .fd = -EBADF, .dfd = -EBADF };
	struct ask_opts o;
	uint64_t value;
	int status = parse(&o, argc, argv, how, no_options, 1, 1);

	if (status != CLI_GO)
		return status;
	status = client_open(&c, o.words[0]);
	if (status == CLI_DRAINED && (type == WIRE_JOIN || type == WIRE_TERMINATE))
		pool_dir_forget(o.words[0]);
	if (status == CLI_DRAINED)
		status = drained;
	if (status == CLI_GO)
		status = wire_put(&c.out, type) < 0 ? cli_error("out of memory") : client_ask(&c, &value);
	else
		(void)client_no_pool(o.words[0], status);
	client_close(&c);
	return status == CLI_GO ? CLI_OK : status;
}

int ppool_resize(int argc, char **argv)
{
	static const struct cli_opts how = { .usage = "ppool resize NAME N|N%|+N",
		.summary = "Let the pool NAME run so many jobs at a time. Those that run go on." };
	struct client c = { .fd = -EBADF, .dfd = -EBADF };
	struct ask_opts o;
	uint64_t jobs = 0, value;
	int status = parse(&o, argc, argv, &how, no_options, 2, 2);

	if (status == CLI_GO && cli_opt_jobs("jobs", o.words[1], &jobs) != 0)
		status = CLI_FAILURE;
	if (status == CLI_GO && jobs > CLI_JOBS_MAX)
		status = cli_opt_bad("jobs", o.words[1], "out of range");
	if (status == CLI_GO)
		status = client_no_pool(o.words[0], client_open(&c, o.words[0]));
	if (status == CLI_GO)
		status = wire_put_resize(&c.out, (uint32_t)jobs) < 0 ? cli_error("out of memory") : client_ask(&c, &value);
	client_close(&c);
	return status == CLI_GO ? CLI_OK : status;
}

int ppool_pause(int argc, char **argv)
{
	static const struct cli_opts how = { .usage = "ppool pause NAME",
		.summary = "Start no more jobs in the pool NAME until ppool resume. Those that run go on." };

	return ask(argc, argv, &how, WIRE_PAUSE, CLI_DRAINED);
}

int ppool_resume(int argc, char **argv)
{
	static const struct cli_opts how = { .usage = "ppool resume NAME", .summary = "Start jobs in the pool NAME again." };

	return ask(argc, argv, &how, WIRE_RESUME, CLI_DRAINED);
}

int ppool_close(int argc, char **argv)
{
	static const struct cli_opts how = { .usage = "ppool close NAME",
		.summary = "Let the pool NAME take no more jobs. It ends when all have run and their results were fetched." };

	return ask(argc, argv, &how, WIRE_CLOSE, CLI_OK);
}

int ppool_terminate(int argc, char **argv)
{
	static const struct cli_opts how = { .usage = "ppool terminate NAME",
		.summary = "End the jobs of the pool NAME and the pool itself, and wait until nothing of it is left." };

	return ask(argc, argv, &how, WIRE_TERMINATE, CLI_OK);
}

int ppool_join(int argc, char **argv)
{
	static const struct cli_opts how = { .usage = "ppool join NAME",
		.summary = "Wait until all jobs of the closed pool NAME have ended; then it ends and its results are dropped." };

	return ask(argc, argv, &how, WIRE_JOIN, CLI_OK);
}
