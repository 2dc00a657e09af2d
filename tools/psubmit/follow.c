/* SPDX-License-Identifier: MIT */
/*
 * follow.c - psubmit get, wait, logs and attach: what becomes of jobs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/psubmit/verbs.h"

#define AT(member) offsetof(struct ask_opts, member)

int ask_parse(struct ask_opts *o, int argc, char **argv, const struct cli_opts *how, const struct cli_opt *table, size_t min, size_t max)
{
	const struct cli_opt *tables[] = { table, psubmit_tie_table, NULL };
	void *targets[] = { o, &psubmit_opts };
	struct cli_opts spec = { .usage = how->usage, .summary = how->summary, .tables = tables, .targets = targets };
	int operand = 0, r;

	*o = (struct ask_opts){ .timeout = 0 };
	r = cli_opts_parse(&spec, argc, argv, &operand);
	if (r == CLI_GO)
		r = psubmit_check_tie();
	if (r != CLI_GO)
		return r;
	o->words = argv + operand;
	o->n_words = (size_t)(argc - operand);
	if (o->n_words < min)
		return cli_usage("something is missing: %s", how->usage);
	if (max > 0 && o->n_words > max)
		return cli_usage("'%s' is one word too many: %s", o->words[max], how->usage);
	return CLI_GO;
}

/* ---- one after the other ---- */

static struct follow *follow_of(struct pcore_watch *w)
{
	return container_of(w, struct follow, watch);
}

static const char *name_of(const struct follow *f, uint64_t seq, char buf[static JOB_NAME_MAX])
{
	return job_name(buf, &f->ids[f->at], seq);
}

static void started(struct pcore_watch *w, uint64_t seq, const struct pcore_wire_started *s)
{
	struct follow *f = follow_of(w);
	char name[JOB_NAME_MAX];

	(void)s;
	if (f->wrote == seq)
		cli_warn("job %s is run again: what it wrote before does not count", name_of(f, seq, name));
	f->wrote = 0;
}

static void output(struct pcore_watch *w, uint64_t seq, enum pcore_wire_stream stream, const char *data, size_t len)
{
	struct follow *f = follow_of(w);

	f->wrote = seq;
	session_print(f->session, stream, w, data, len);
}

static void done(struct pcore_watch *w, const struct pcore_wire_done *d)
{
	struct follow *f = follow_of(w);
	char name[JOB_NAME_MAX];
	int status;

	f->wrote = 0;
	if (f->plain)
		return;
	status = job_status(d, name_of(f, d->job, name));
	if (f->status == CLI_OK)
		f->status = status;
}

static void next_one(struct follow *f);

static void over(struct pcore_watch *w, const struct pcore_wire_answer *a)
{
	struct follow *f = follow_of(w);
	int status = session_refused(a, f->ids[f->at].word);

	if (f->status == CLI_OK)
		f->status = status;
	f->at++;
	next_one(f);
}

static void next_one(struct follow *f)
{
	static const struct pcore_watch_ops ops = { .started = started, .output = output, .done = done, .over = over };
	const struct job_id *id = &f->ids[f->at];
	size_t pending = f->watch.pending;

	if (f->at == f->n) {
		f->over(f);
		return;
	}
	f->wrote = 0;
	f->watch = (struct pcore_watch){
		.ops = &ops,
		.submission = id->submission,
		.from = id->from,
		.to = id->to,
		.flags = f->flags,
		.pending = pending, /* of the one before: not written yet */
	};
	pcore_watch_begin(f->session->ask, &f->watch);
}

void follow_begin(struct follow *f)
{
	f->at = 0;
	next_one(f);
}

static void all_over(struct follow *f)
{
	session_over(f->session, f->status);
}

static int follow(struct ask_opts *o, unsigned flags, bool plain)
{
	struct session s = { .over = false };
	struct follow f = { .session = &s, .flags = flags, .plain = plain, .over = all_over };
	int r = job_ids_parse(o->words, &f.ids, &f.n);

	if (r == CLI_GO)
		r = session_open(&s);
	if (r == CLI_GO) {
		s.late = "not all of them have ended in time";
		session_limit(&s, o->timeout);
		follow_begin(&f);
		r = session_run(&s);
	}
	pcore_watch_end(&f.watch);
	session_close(&s);
	free(f.ids);
	return r;
}

static const struct cli_opt get_table[] = {
	{ .name = "timeout", .kind = CLI_OPT_DURATION, .arg = "D", .offset = AT(timeout), .help = "wait no longer than D (exit 124)" },
	{ .name = NULL },
};

static const struct cli_opt logs_table[] = {
	{ .name = "follow", .letter = 'f', .kind = CLI_OPT_FLAG, .offset = AT(follow), .help = "until they have ended" },
	{ .name = NULL },
};

static const struct cli_opt no_table[] = { { .name = NULL } };

int psubmit_get(int argc, char **argv)
{
	static const struct cli_opts how = { .usage = "psubmit get [options] ID...",
		.summary = "Wait for the jobs ID and print what each wrote. The status is that of the first that failed." };
	struct ask_opts o;
	int r = ask_parse(&o, argc, argv, &how, get_table, 1, 0);

	return r == CLI_GO ? follow(&o, PCORE_WIRE_WATCH_ALL, false) : r;
}

int psubmit_attach(int argc, char **argv)
{
	static const struct cli_opts how = { .usage = "psubmit attach ID",
		.summary = "Print what the job ID writes, from its beginning and as it comes, until it ends; with its status.\n"
			   "A signal ends psubmit, not the job." };
	struct ask_opts o;
	int r = ask_parse(&o, argc, argv, &how, no_table, 1, 1);

	return r == CLI_GO ? follow(&o, PCORE_WIRE_WATCH_ALL, false) : r;
}

int psubmit_logs(int argc, char **argv)
{
	static const struct cli_opts how = { .usage = "psubmit logs [-f] ID...",
		.summary = "Print what the jobs ID have written so far." };
	struct ask_opts o;
	int r = ask_parse(&o, argc, argv, &how, logs_table, 1, 0);

	return r == CLI_GO ? follow(&o, PCORE_WIRE_WATCH_OUTPUT | (o.follow ? PCORE_WIRE_WATCH_WAIT : 0), true) : r;
}

/* ---- wait ---- */

struct waiting;

struct waiter {
	struct pcore_watch watch;
	struct waiting *all;
	const struct job_id *id;
	bool vain; /* one was cancelled, or lost */
};

struct waiting {
	struct session session;
	struct waiter *list;
	size_t n, left;
	bool any;
	int status;
};

static void wait_done(struct pcore_watch *w, const struct pcore_wire_done *d)
{
	struct waiter *one = container_of(w, struct waiter, watch);

	one->vain |= d->code == 0 && d->error == 0;
}

static void wait_over(struct pcore_watch *w, const struct pcore_wire_answer *a)
{
	struct waiter *one = container_of(w, struct waiter, watch);
	struct waiting *all = one->all;
	int status = session_refused(a, one->id->word);
	char line[80];

	if (status == CLI_OK && one->vain)
		status = CLI_NO;
	else if (status == CLI_OK)
		session_print(&all->session, PCORE_WIRE_STDOUT, NULL, line, (size_t)snprintf(line, sizeof(line), "%s\n", one->id->word));
	if (all->status == CLI_OK)
		all->status = status;
	if (--all->left == 0 || all->any)
		session_over(&all->session, all->status);
}

static void wait_begin(struct waiting *all, const struct job_id *ids)
{
	static const struct pcore_watch_ops ops = { .done = wait_done, .over = wait_over };

	all->left = all->n;
	for (size_t i = 0; i < all->n; i++) {
		struct waiter *one = &all->list[i];

		one->all = all;
		one->id = &ids[i];
		one->watch = (struct pcore_watch){ .ops = &ops, .submission = ids[i].submission, .from = ids[i].from, .to = ids[i].to,
			.flags = PCORE_WIRE_WATCH_RESULTS | PCORE_WIRE_WATCH_WAIT };
		pcore_watch_begin(all->session.ask, &one->watch);
	}
}

static const struct cli_opt wait_table[] = {
	{ .name = "all", .kind = CLI_OPT_FLAG, .offset = AT(all), .help = "until all have ended (the default)" },
	{ .name = "any", .kind = CLI_OPT_FLAG, .offset = AT(any), .help = "until one has ended" },
	{ .name = "timeout", .kind = CLI_OPT_DURATION, .arg = "D", .offset = AT(timeout), .help = "wait no longer than D (exit 124)" },
	{ .name = NULL },
};

int psubmit_wait(int argc, char **argv)
{
	static const struct cli_opts how = { .usage = "psubmit wait [options] ID...",
		.summary = "Wait until the jobs ID have ended, and print each ID then." };
	struct waiting all = { .status = CLI_OK };
	struct job_id *ids = NULL;
	struct ask_opts o;
	int r = ask_parse(&o, argc, argv, &how, wait_table, 1, 0);

	if (r == CLI_GO && o.any && o.all)
		r = cli_usage("--any and --all exclude each other");
	if (r == CLI_GO)
		r = job_ids_parse(o.words, &ids, &all.n);
	if (r != CLI_GO)
		return r;
	all.any = o.any;
	all.session.late = "not all of them have ended in time";
	all.list = calloc(all.n, sizeof(*all.list));
	r = all.list ? session_open(&all.session) : cli_error("out of memory");
	if (r == CLI_GO) {
		session_limit(&all.session, o.timeout);
		wait_begin(&all, ids);
		r = session_run(&all.session);
		for (size_t i = 0; i < all.n; i++)
			pcore_watch_end(&all.list[i].watch);
	}
	session_close(&all.session);
	free(all.list);
	free(ids);
	return r;
}
