/* SPDX-License-Identifier: MIT */
/*
 * workers.c - map --worker.
 */
#include "tools/map/workers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define AT(member) offsetof(struct workers_opts, member)

enum { WINDOW = 4096, ERRORS_BUFFER = 4 << 20 };

#define SLOW_AFTER (10 * NS_PER_S)

static int set_frames(void *opts, const char *name, const char *value)
{
	struct workers_opts *o = opts;

	if (value && strcmp(value, "out") != 0)
		return cli_opt_bad(name, value, "must be out");
	o->frames = true;
	o->frames_out = value != NULL;
	return 0;
}

static int set_lines(void *opts, const char *name, const char *value)
{
	struct workers_opts *o = opts;
	int r;

	o->n_lines = 0;
	o->until = NULL;
	if (strncmp(value, "until:", 6) == 0) {
		o->until = value + 6;
		return strchr(value, '\n') ? cli_opt_bad(name, value, "the text is one line") : 0;
	}
	r = pcore_parse_u64(value, 1, 1000000000, &o->n_lines);
	if (r < 0)
		return cli_opt_bad(name, value, r == -ERANGE ? "out of range" : "must be a number, or until:TEXT");
	return 0;
}

const struct cli_opt workers_table[] = {
	{ .name = "Workers", .kind = CLI_OPT_HEADING },
	{ .name = "worker", .kind = CLI_OPT_FLAG, .offset = AT(worker), .help = "COMMAND stays, reads item after item and answers each" },
	{ .name = "lines", .kind = CLI_OPT_CALL, .arg = "N|until:TEXT", .set = set_lines, .help = "an answer has N lines (1), or ends before a line TEXT" },
	{ .name = "frames", .kind = CLI_OPT_CALL, .arg = "[=out]", .set = set_frames, .help = "items and answers are frames: a length and bytes;\n=out: so is our output" },
	{ .name = "init", .kind = CLI_OPT_STRING, .arg = "ITEM", .offset = AT(init), .help = "send each worker this first, and drop the answer" },
	{ .name = "window", .kind = CLI_OPT_U64, .arg = "N", .offset = AT(window), .min = 1, .max = 1000000, .help = "unanswered items a worker may have (4096)" },
	{ .name = "max-items", .kind = CLI_OPT_U64, .arg = "K", .offset = AT(max_items), .min = 1, .help = "a fresh worker after K items" },
	{ .name = "idle-timeout", .kind = CLI_OPT_DURATION, .arg = "D", .offset = AT(idle_timeout), .help = "let a worker without an item go after D" },
	{ .name = "answer-timeout", .kind = CLI_OPT_DURATION, .arg = "D", .offset = AT(answer_timeout), .help = "end a worker that does not answer within D" },
	{ .name = "pty", .kind = CLI_OPT_FLAG, .offset = AT(pty), .help = "give workers a terminal, so that they write lines" },
	{ .name = NULL },
};

void workers_opts_init(struct workers_opts *o)
{
	*o = (struct workers_opts){ .idle_timeout = INT64_MAX, .answer_timeout = INT64_MAX };
}

int workers_check(const struct workers_opts *o)
{
	const struct {
		const char *name;
		bool given;
	} needs[] = {
		{ "lines", o->n_lines > 0 || o->until },
		{ "frames", o->frames },
		{ "init", o->init != NULL },
		{ "window", o->window > 0 },
		{ "max-items", o->max_items > 0 },
		{ "idle-timeout", o->idle_timeout != INT64_MAX },
		{ "answer-timeout", o->answer_timeout != INT64_MAX },
		{ "pty", o->pty },
	};

	for (size_t i = 0; i < ARRAY_SIZE(needs) && !o->worker; i++)
		if (needs[i].given)
			return cli_usage("--%s is for workers: it needs --worker", needs[i].name);
	if (o->frames && (o->n_lines > 0 || o->until))
		return cli_usage("--frames and --lines exclude each other");
	if (o->frames && o->pty)
		return cli_usage("--frames and --pty exclude each other: a terminal passes lines");
	if (o->init && !o->frames && strchr(o->init, '\n'))
		return cli_opt_bad("init", o->init, "holds a newline, which only --frames can send");
	return CLI_GO;
}

unsigned workers_window(const struct workers_opts *o)
{
	return o->window ? (unsigned)o->window : WINDOW;
}

/* ---- what there is to tell ---- */

/* Which one. */
static const char *name_worker(char *buf, size_t size, const struct workers *w, const struct pcore_worker_news *n)
{
	bool named = w->elsewhere && n->node;

	(void)snprintf(buf, size, "worker %u (pid %d)%s%s", n->slot, n->pid, named ? " of " : "", named ? n->node : "");
	return buf;
}

static const char *how_it_ended(char *buf, size_t size, const struct pcore_exit *e)
{
	if (!e)
		(void)snprintf(buf, size, "was ended");
	else if (e->code == CLD_EXITED)
		(void)snprintf(buf, size, "ended with status %d", e->status);
	else
		(void)snprintf(buf, size, "died of SIG%s", sigabbrev_np(e->status));
	return buf;
}

static const char *duration(char *buf, size_t size, int64_t ns)
{
	if (ns < NS_PER_S)
		(void)snprintf(buf, size, "%" PRId64 "ms", ns / NS_PER_MS);
	else
		(void)snprintf(buf, size, "%g" "s", (double)(ns / NS_PER_MS) / 1000);
	return buf;
}

static void tell_slow(struct workers *w, const struct pcore_worker_news *n, const char *who)
{
	if (w->told_slow)
		return;
	w->told_slow = true;
	cli_warn("%s has not answered item %" PRIu64 " for 10s; if it holds its answers back until it has a block of "
		 "them, make it write lines (sed -u, mawk -W interactive, jq --unbuffered, python3 -u, stdbuf -oL) or give it --pty",
		who, n->seq);
}

static void tell_surplus(const struct pcore_worker_news *n, const char *who)
{
	if (n->seq > 0)
		(void)cli_error("%s wrote more than its answers, after that to item %" PRIu64 "; ending it", who, n->seq);
	else
		(void)cli_error("%s wrote before it was sent an item; ending it", who);
}

static void news(void *ctx, const struct pcore_worker_news *n)
{
	struct workers *w = ctx;
	char how[48], time[32], who[160];

	if (w->ended_by && n->exit && n->exit->code != CLD_EXITED && n->exit->status == w->ended_by)
		return;
	w->before_message(w->ctx);
	(void)how_it_ended(how, sizeof(how), n->exit);
	(void)name_worker(who, sizeof(who), w, n);
	switch (n->event) {
	case PCORE_WORKER_LOST:
		(void)cli_error("%s %s before it had answered item %" PRIu64, who, how, n->seq);
		return;
	case PCORE_WORKER_LATE:
		(void)cli_error("%s has not answered item %" PRIu64 " within %s; ending it", who, n->seq,
			duration(time, sizeof(time), w->answer_timeout));
		return;
	case PCORE_WORKER_SLOW:
		tell_slow(w, n, who);
		return;
	case PCORE_WORKER_SURPLUS:
		tell_surplus(n, who);
		break;
	case PCORE_WORKER_SILENT:
		(void)cli_error("%s has closed its input or output; ending it", who);
		break;
	case PCORE_WORKER_STUCK:
		(void)cli_error("%s goes on after the end of its input; ending it", who);
		break;
	case PCORE_WORKER_FAILED:
		(void)cli_error("%s %s after its last answer", who, how);
		break;
	case PCORE_WORKER_UNFIT:
		(void)cli_error("%s %s before it had read an item", who, how);
		break;
	case PCORE_WORKER_GIVEN_UP:
		(void)cli_error("no worker can be kept running; giving up");
		w->give_up(w->ctx);
		break;
	}
	w->failed = true;
}

void workers_refused(const struct pcore_job *job)
{
	int error = job->result.error.code;

	if (error == -EBADMSG)
		(void)cli_error("item %" PRIu64 " holds a newline, which only --frames can send to a worker", job->seq);
	else if (error == -EMSGSIZE)
		(void)cli_error("item %" PRIu64 " is longer than a line of a terminal can be", job->seq);
	else
		(void)cli_error("cannot send item %" PRIu64 " to a worker: %s", job->seq, strerror(-error));
}

/* ---- what they write to stderr ---- */

static void resume_errors(void *ctx, void *owner)
{
	const struct workers *w = ctx;

	w->resume_errors(w->ex, (unsigned)(uintptr_t)owner);
}

static void errors_room(void *ctx)
{
	struct workers *w = ctx;

	w->all_told(w->ctx);
}

static void errors_failed(void *ctx, int fd, int error)
{
	(void)ctx;
	(void)fd;
	(void)error; /* there is no place left to say so */
}

static void before_errors(void *ctx)
{
	struct workers *w = ctx;

	w->before_message(w->ctx);
}

/* Where a worker's messages go: made when it has the first, and when -j has grown beyond those there are. */
static struct cli_output *output_of(struct workers *w, unsigned slot)
{
	if (slot > w->n_outputs) {
		struct cli_output **more = realloc(w->outputs, slot * sizeof(struct cli_output *));

		if (!more)
			return NULL;
		memset(more + w->n_outputs, 0, (slot - w->n_outputs) * sizeof(struct cli_output *));
		w->outputs = more;
		w->n_outputs = slot;
	}
	if (!w->outputs[slot - 1])
		w->outputs[slot - 1] = cli_output_new(w->errors, (void *)(uintptr_t)slot, NULL);
	return w->outputs[slot - 1];
}

static bool errors(void *ctx, unsigned slot, const char *data, size_t len)
{
	struct workers *w = ctx;
	struct cli_output *o;

	if (data) {
		o = output_of(w, slot);
		return !o || cli_output_add(o, 1, data, len);
	}
	if (slot <= w->n_outputs && w->outputs[slot - 1])
		cli_output_finish(TAKE_PTR(w->outputs[slot - 1]));
	return true;
}

/* ---- the executor ---- */

static void describe(void *ctx, unsigned slot, struct pcore_proc_spec *spec)
{
	struct workers *w = ctx;

	w->describe(w->ctx, slot, spec);
}

static int item(void *ctx, const struct pcore_job *job, const char **ret, size_t *ret_len)
{
	struct workers *w = ctx;

	return w->item(w->ctx, job, ret, ret_len);
}

static struct pcore_answer_form answer_form(const struct workers_opts *o)
{
	struct pcore_answer_form f = { .kind = PCORE_ANSWER_LINES, .n_lines = o->n_lines ? o->n_lines : 1 };

	if (o->frames)
		f = (struct pcore_answer_form){ .kind = PCORE_ANSWER_FRAMES, .keep_length = o->frames_out, .status = o->status };
	else if (o->until)
		f = (struct pcore_answer_form){ .kind = PCORE_ANSWER_UNTIL, .text = o->until, .len = strlen(o->until) };
	return f;
}

int workers_prepare(struct workers *w, struct pcore_loop *lp, const struct pcore_proc_times *times, const char *tmpdir,
	struct pcore_worker_spec *ret)
{
	const struct workers_opts *o = w->opts;
	struct cli_collator_spec to_stderr;

	w->answer_timeout = times->timeout < o->answer_timeout ? times->timeout : o->answer_timeout;
	*ret = (struct pcore_worker_spec){
		.times = *times,
		.window = workers_window(o),
		.form = answer_form(o),
		.init = o->init,
		.init_len = o->init ? strlen(o->init) : 0,
		.items_max = o->max_items,
		.idle_timeout = o->idle_timeout,
		.answer_timeout = w->answer_timeout,
		.slow_after = SLOW_AFTER,
		.pty = o->pty,
		.describe = describe,
		.item = item,
		.errors = errors,
		.news = news,
		.ctx = w,
	};
	to_stderr = (struct cli_collator_spec){
		.loop = lp,
		.mode = CLI_LIVE,
		.buffer = ERRORS_BUFFER,
		.tmpdir = tmpdir,
		.ctx = w,
		.resume = resume_errors,
		.room = errors_room,
		.failed = errors_failed,
		.before_write = before_errors,
	};

	ret->times.timeout = INT64_MAX; /* it is an item's */
	return cli_collator_new(&w->errors, &to_stderr) < 0 ? -ENOMEM : 0;
}

int workers_start(struct workers *w, struct pcore_loop *lp, struct pcore_keeper *keeper, unsigned jobs,
	const struct pcore_proc_times *times, const char *tmpdir, struct pcore_err *err)
{
	struct pcore_worker_spec spec;

	if (workers_prepare(w, lp, times, tmpdir, &spec) < 0)
		return pcore_err_set(err, -ENOMEM, PCORE_STEP_CLONE, "");
	spec.keeper = keeper;
	spec.jobs = jobs;
	return pcore_worker_new(&w->ex, lp, &spec, err);
}

bool workers_all_told(const struct workers *w)
{
	return !w->errors || cli_collator_empty(w->errors);
}

void workers_drop(struct workers *w)
{
	if (w->errors)
		cli_collator_drop(w->errors);
}

void workers_done(struct workers *w)
{
	cli_collator_free(w->errors);
	free(w->outputs);
}
