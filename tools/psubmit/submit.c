/* SPDX-License-Identifier: MIT */
/*
 * submit.c - psubmit apply and async: jobs that a scheduler keeps.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "tools/cli/argfile.h"
#include "tools/cli/jobwire.h"
#include "tools/psubmit/verbs.h"

#define AT(member) offsetof(struct submit_opts, member)

enum {
	PART_JOBS = 16384, /* of a part at most */
	PART_BYTES = 512 << 10,
	PARTS = 8, /* that are not answered yet */
	READ_LEAST = 256 << 10,
};

/* Strings are borrowed from argv. */
struct submit_opts {
	struct cli_job_opts job;
	uint64_t after[PCORE_WIRE_AFTER_MAX];
	size_t n_after;
	struct cli_argfile from; /* async -a */
	char **argv;
};

static int set_after(void *opts, const char *name, const char *value)
{
	struct submit_opts *o = opts;
	uint64_t id;

	if (pcore_parse_u64(value, 1, INT64_MAX, &id) < 0)
		return cli_opt_bad(name, value, "must be the number of a submission");
	if (o->n_after == PCORE_WIRE_AFTER_MAX)
		return cli_opt_bad(name, value, "too many");
	o->after[o->n_after++] = id;
	return 0;
}

static const struct cli_opt after_table[] = {
	{ .name = "The job", .kind = CLI_OPT_HEADING },
	{ .name = "after", .kind = CLI_OPT_CALL, .arg = "ID", .set = set_after, .help = "not before all of ID has succeeded" },
	{ .name = NULL },
};

static const struct cli_opt no_items[] = { { .name = NULL } };

/* A part that is on its way. */
struct part {
	struct pcore_ask_call call;
	struct submit *submit;
	bool busy;
};

struct submit {
	struct session session;
	const struct submit_opts *opts;
	char token[PCORE_WIRE_TOKEN];
	struct part parts[PARTS];
	uint64_t n_parts, n_busy; /* said; of these not answered */
	uint64_t number;	  /* of the submission; 0: not known yet */
	bool last_said;
	void (*safe)(struct submit *s); /* all of it */

	/* async -a */
	struct cli_template *template;
	struct cli_items items;
	struct pcore_op read;
	int fd;
	struct pcore_buf args; /* of the part that is being made */
	uint64_t count, words, made;
	bool ended; /* no item follows */
	int status;

	/* apply */
	struct follow follow;
	struct job_id id;
	struct cli_signals signals;
	struct session_call cancel;
	int signal; /* that we die of when the job has ended */
};

/* ---- what a submission has in common ---- */

static int put_pieces(struct submit *s, struct pcore_buf *argv)
{
	return s->template ? cli_argv_put(argv, s->template, false) : pcore_argv_put(argv, s->opts->argv);
}

static int put_whole(struct submit *s, struct pcore_buf *env, struct pcore_buf *template)
{
	_cleanup_(pcore_buf_done) struct pcore_buf argv = PCORE_BUF_INIT(0);
	struct pcore_wire_argv pieces;
	struct pcore_jobspec jobs;
	char dir[PATH_MAX];
	int r = cli_jobspec(&s->opts->job, false, dir, &jobs);

	if (r != CLI_GO)
		return r;
	r = put_pieces(s, &argv);
	pieces = (struct pcore_wire_argv){ argv.data, argv.len };
	r = r < 0 ? r : psubmit_put_template(template, &jobs, 0, &pieces);
	r = r < 0 ? r : cli_jobenv_put(env, &s->opts->job, false);
	return r < 0 ? cli_error("cannot say what is to be run: %s", strerror(-r)) : CLI_GO;
}

static void put_policy(const struct submit *s, struct pcore_wire_submit *m)
{
	const struct submit_opts *o = s->opts;

	m->has |= PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_ENV) | PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_TEMPLATE) |
		  PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_PRIORITY) | PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_RETRIES) |
		  PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_BACKOFF) | PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_RETRY_LOST) |
		  PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_AT_MOST_ONCE);
	m->priority = psubmit_opts.priority;
	m->retries = o->job.retry < UINT8_MAX ? o->job.retry : UINT8_MAX;
	m->backoff = o->job.retry_delay;
	m->retry_lost = psubmit_opts.retry_lost;
	m->at_most_once = psubmit_opts.at_most_once;
}

/* ---- parts ---- */

static void feed_on(struct submit *s);

static void answered(struct submit *s)
{
	if (s->last_said && s->n_busy == 0)
		s->safe(s);
	else if (!s->last_said)
		feed_on(s);
}

static int part_heard(struct pcore_ask_call *call, const struct pcore_wire_frame *f)
{
	struct part *p = container_of(call, struct part, call);
	struct submit *s = p->submit;
	struct pcore_wire_submitted m;
	struct pcore_wire_answer a;

	if (f->type == PCORE_WIRE_ANSWER && pcore_wire_get_answer(f, &a) == 0) {
		int status = session_refused(&a, NULL);

		session_over(&s->session, status == CLI_OK ? CLI_FAILURE : status);
		return 0;
	}
	if (f->type != PCORE_WIRE_SUBMITTED || pcore_wire_get_submitted(f, &m) < 0)
		return -EPROTO;
	s->number = m.submission;
	pcore_ask_end(call);
	p->busy = false;
	s->n_busy--;
	answered(s);
	return 0;
}

static struct part *free_part(struct submit *s)
{
	for (size_t i = 0; i < PARTS; i++)
		if (!s->parts[i].busy)
			return &s->parts[i];
	return NULL;
}

/* What was gathered becomes a part. CLI_GO, or a status after a message. */
static int say_part(struct submit *s, bool more)
{
	_cleanup_(pcore_buf_done) struct pcore_buf env = PCORE_BUF_INIT(0), template = PCORE_BUF_INIT(0), after = PCORE_BUF_INIT(0);
	struct part *p = free_part(s);
	struct pcore_wire_submit m = {
		.has = PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_PART) | PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_MORE) |
		       PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_WORDS) | PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_ARGS),
		.token = { s->token, sizeof(s->token) },
		.part = s->n_parts,
		.more = more,
		.count = s->count,
		.words = s->words,
		.args = { .data = s->args.data, .len = s->args.len, .n = s->count * s->words },
	};
	int r = s->n_parts == 0 ? put_whole(s, &env, &template) : CLI_GO;

	assert(p);

	if (r != CLI_GO)
		return r;
	r = 0;
	if (s->n_parts == 0) {
		put_policy(s, &m);
		m.env = (struct pcore_wire_bytes){ env.data, env.len };
		m.template = (struct pcore_wire_bytes){ template.data, template.len };
		for (size_t i = 0; i < s->opts->n_after && r == 0; i++)
			r = pcore_wire_add_u64(&after, s->opts->after[i]);
		m.after = (struct pcore_wire_bytes){ after.data, after.len };
		m.has |= after.len > 0 ? PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_AFTER) : 0;
	}
	r = r < 0 ? r : pcore_wire_put_submit(&p->call.body, &m);
	if (r < 0)
		return cli_error("cannot submit: %s", strerror(-r));
	p->submit = s;
	p->busy = true;
	p->call.type = PCORE_WIRE_SUBMIT;
	p->call.heard = part_heard;
	s->n_parts++;
	s->n_busy++;
	s->last_said = !more;
	s->count = 0;
	pcore_buf_clear(&s->args);
	pcore_ask_begin(s->session.ask, &p->call);
	return CLI_GO;
}

/* ---- async -a ---- */

static void stop(struct submit *s, int status)
{
	if (s->status == CLI_OK || s->status == CLI_NO)
		s->status = status;
	s->ended = true;
}

static int put_item(struct submit *s, const char *item, size_t len)
{
	struct cli_item one = { item, len };
	struct cli_template_args args = { .items = &one, .n_items = 1, .seq = s->made + 1 };
	char **words;
	int r = cli_template_arguments(s->template, false, &args, &words);
	uint64_t n = 0;

	if (r < 0)
		return r;
	for (; words[n] && r == 0; n++)
		r = pcore_buf_add(&s->args, words[n], strlen(words[n]) + 1);
	free(words);

	assert(s->made == 0 || n == s->words || r < 0);

	s->words = n;
	s->made++;
	s->count++;
	return r;
}

/* Its number is count + 1 of the items. */
static void bad_item(struct submit *s, int r)
{
	int status;

	if (r == -ENODATA) {
		s->ended = true;
		return;
	}
	status = cli_argfile_bad(&s->items, r);
	if (status == CLI_NO)
		s->status = status;
	else
		stop(s, status);
}

static void read_more(struct submit *s)
{
	size_t room = 0;
	char *space;

	if (pcore_op_live(&s->read))
		return;
	space = cli_items_space(&s->items, READ_LEAST, &room);
	if (!space || pcore_op_read(s->session.loop, &s->read, s->fd, space, room, -1) < 0)
		session_over(&s->session, cli_error("cannot read '%s'", s->opts->from.file));
}

static bool is_full(const struct submit *s)
{
	return s->count >= PART_JOBS || s->args.len >= PART_BYTES;
}

/* One more job. A full part is said only now, so that the last one is known to be. */
static int add_job(struct submit *s, const char *item, size_t len)
{
	int r = is_full(s) ? say_part(s, true) : CLI_GO;

	if (r == CLI_GO && put_item(s, item, len) < 0)
		r = cli_error("out of memory");
	return r;
}

static void say_last(struct submit *s)
{
	int r = s->made > 0 ? say_part(s, false) : s->status;

	if (r != CLI_GO)
		session_over(&s->session, r);
}

static void feed_on(struct submit *s)
{
	while (!s->session.over && !s->last_said) {
		const char *item;
		size_t len;
		int r;

		if ((is_full(s) || s->ended) && s->n_busy == PARTS)
			return;
		if (s->ended) {
			say_last(s);
			return;
		}
		r = cli_items_next(&s->items, &item, &len);
		if (r == 0) {
			read_more(s);
			return;
		}
		if (r < 0)
			bad_item(s, r);
		else if (add_job(s, item, len) != CLI_GO)
			session_over(&s->session, CLI_FAILURE);
	}
}

static void have_read(struct pcore_op *op, int res)
{
	struct submit *s = container_of(op, struct submit, read);

	if (res == -ECANCELED)
		return;
	if (res > 0)
		cli_items_filled(&s->items, (size_t)res);
	else if (res == 0)
		cli_items_eof(&s->items);
	else if (res != -EINTR && res != -EAGAIN)
		stop(s, cli_error("cannot read '%s': %s", s->opts->from.file, strerror(-res)));
	feed_on(s);
}

static int open_items(struct submit *s)
{
	const struct submit_opts *o = s->opts;
	int r = cli_argfile_open(&o->from, &s->items, &s->fd);
	size_t n = 0;

	while (o->argv[n])
		n++;
	if (r == CLI_GO && cli_template_new(&s->template, o->argv, n, 0) < 0)
		return cli_error("out of memory");
	s->read.done = have_read;
	return r;
}

/* ---- the verbs ---- */

static int check(const struct submit_opts *o)
{
	int r;

	if (!o->argv[0])
		return cli_usage("no command given");
	if (!o->argv[0][0])
		return cli_usage("the command is empty");
	r = cli_argfile_check(&o->from);
	return r == CLI_GO ? psubmit_check_tie() : r;
}

static int parse(struct submit_opts *o, int argc, char **argv, const struct cli_opts *how, const struct cli_opt *more)
{
	const struct cli_opt *tables[] = { after_table, more, psubmit_need_table, cli_job_place_table, cli_job_bounds_table,
		cli_job_identity_table, cli_job_time_table, psubmit_tie_table, NULL };
	void *targets[] = { o, &o->from, &psubmit_opts, &o->job, &o->job, &o->job, &o->job, &psubmit_opts };
	struct cli_opts spec = *how;
	int operand = 0, r;

	*o = (struct submit_opts){ .n_after = 0 };
	cli_job_opts_init(&o->job);
	spec.tables = tables;
	spec.targets = targets;
	spec.stop_at_operand = true;
	r = cli_opts_parse(&spec, argc, argv, &operand);
	o->argv = argv + operand;
	return r == CLI_GO ? check(o) : r;
}

static void say_number(struct submit *s)
{
	char line[32];

	session_print(&s->session, PCORE_WIRE_STDOUT, NULL, line, (size_t)snprintf(line, sizeof(line), "%" PRIu64 "\n", s->number));
	session_over(&s->session, s->status);
}

static int draw_token(struct submit *s)
{
	return getrandom(s->token, sizeof(s->token), 0) == (ssize_t)sizeof(s->token) ? CLI_GO : cli_error("cannot draw a number");
}

static void finish(struct submit *s)
{
	for (size_t i = 0; i < PARTS; i++)
		pcore_ask_end(&s->parts[i].call);
	pcore_ask_end(&s->cancel.call);
	pcore_watch_end(&s->follow.watch);
	if (s->signals.loop)
		cli_signals_stop(&s->signals);
	if (s->session.loop)
		pcore_op_cancel(s->session.loop, &s->read);
	session_close(&s->session);
	if (s->signals.loop)
		cli_signals_done(&s->signals);
	cli_template_free(s->template);
	cli_items_done(&s->items);
	pcore_buf_done(&s->args);
	if (s->fd > STDERR_FILENO)
		(void)pcore_fd_close(s->fd);
}

int psubmit_async(int argc, char **argv)
{
	static const struct cli_opts how = {
		.usage = "psubmit async [options] [-a FILE|-] COMMAND [ARG...]",
		.summary = "Give COMMAND to the scheduler and print its id; with -a a job for each item, and the id of all.\n"
			   "Options end at COMMAND.",
		.footer = "With -a: {} the item, {.} without extension, {/} last component, {//} directory, {/.} both, {#} its\n"
			  "number, {%} its slot. Without one the item is appended.\n",
	};
	struct submit_opts o;
	struct submit s = { .opts = &o, .fd = -EBADF, .safe = say_number, .status = CLI_OK };
	int r = parse(&o, argc, argv, &how, cli_argfile_table);

	if (r == CLI_GO && o.from.file)
		r = open_items(&s);
	if (r == CLI_GO)
		r = draw_token(&s);
	if (r == CLI_GO)
		r = session_open(&s.session);
	if (r == CLI_GO) {
		s.count = o.from.file ? 0 : 1;
		r = o.from.file ? (feed_on(&s), CLI_GO) : say_part(&s, false);
		if (r == CLI_GO)
			r = session_run(&s.session);
	}
	finish(&s);
	cli_job_opts_done(&o.job);
	return r;
}

/* ---- apply ---- */

static void passed_over(struct session_call *c, const struct pcore_wire_answer *a)
{
	(void)c;
	(void)a;
}

/* Nobody will ask for it again. */
static void forget(struct submit *s)
{
	const struct pcore_wire_about about = { .has = PCORE_WIRE_HAS(PCORE_WIRE_ABOUT_SUBMISSION), .submission = s->number };

	pcore_ask_end(&s->cancel.call);
	s->cancel = (struct session_call){ .over = passed_over };
	if (pcore_wire_put_about(&s->cancel.call.body, PCORE_WIRE_FORGET, &about) == 0)
		session_call(&s->session, &s->cancel, PCORE_WIRE_FORGET);
}

static void apply_over(struct follow *f)
{
	struct submit *s = container_of(f, struct submit, follow);

	session_over(&s->session, f->status);
}

static void cancel_job(struct submit *s)
{
	const struct pcore_wire_cancel m = { .submission = s->number, .from = 1, .to = PCORE_WIRE_TO_END, .how = PCORE_WIRE_END_IT };

	s->cancel = (struct session_call){ .over = passed_over };
	if (pcore_wire_put_cancel(&s->cancel.call.body, &m) == 0)
		session_call(&s->session, &s->cancel, PCORE_WIRE_CANCEL);
}

static void apply_safe(struct submit *s)
{
	s->id = (struct job_id){ .submission = s->number, .from = 1, .to = 1 };
	s->follow = (struct follow){ .session = &s->session, .ids = &s->id, .n = 1, .flags = PCORE_WIRE_WATCH_ALL, .over = apply_over };
	follow_begin(&s->follow);
	if (s->signal)
		cancel_job(s);
}

/* The first one ends the job; a second does not wait for that. */
static void caught(struct cli_signals *g, int sig, bool by_process)
{
	struct submit *s = container_of(g, struct submit, signals);

	(void)by_process;
	if (s->signal)
		cli_die_of(sig);
	s->signal = sig;
	if (s->number)
		cancel_job(s);
}

int psubmit_apply(int argc, char **argv)
{
	static const struct cli_opts how = { .usage = "psubmit apply [options] COMMAND [ARG...]",
		.summary = "Run COMMAND on a node of the scheduler and wait for it: its output, its status. Options end at COMMAND." };
	static const int list[] = { SIGINT, SIGTERM, SIGHUP, 0 };
	struct submit_opts o;
	struct submit s = { .opts = &o, .fd = -EBADF, .safe = apply_safe, .count = 1, .signals.received = caught };
	int r = parse(&o, argc, argv, &how, no_items);

	if (r == CLI_GO)
		r = draw_token(&s);
	if (r == CLI_GO)
		r = session_open(&s.session);
	if (r == CLI_GO && cli_signals_start(&s.signals, s.session.loop, list) < 0)
		r = cli_error("cannot watch signals");
	if (r == CLI_GO)
		r = say_part(&s, false);
	if (r == CLI_GO)
		r = session_run(&s.session);
	if (s.number && s.session.over && s.session.fatal == CLI_GO)
		forget(&s);
	finish(&s);
	cli_job_opts_done(&o.job);
	if (s.signal)
		cli_die_of(s.signal);
	return r;
}
