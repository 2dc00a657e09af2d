/* SPDX-License-Identifier: MIT */
/*
 * status.c - psubmit status: how far jobs are, and how those ended that have.
 */
#include <stdlib.h>

#include "tools/psubmit/rows.h"
#include "tools/psubmit/verbs.h"

#define AT(member) offsetof(struct ask_opts, member)

static const struct cli_opt json_table[] = {
	{ .name = "json", .kind = CLI_OPT_FLAG, .offset = AT(json), .help = "one JSON object for each" },
	{ .name = NULL },
};

/* Of all of an id that is one, LIST has the row; of a part there is a row for each job that has ended. */
struct status {
	struct session session;
	struct pcore_watch watch;
	const struct ask_opts *opts;
	struct job_id *ids;
	size_t n, at;
	struct session_call call;
	struct pcore_buf text;
	enum { HEAD_NONE, HEAD_SUBMISSION, HEAD_JOB } head; /* the heading that was printed last */
	bool told; /* something of this id */
	int status;
};

static void status_next(struct status *s);

/* Another one than the last, and not of objects. */
static bool need_heading(struct status *s, unsigned head)
{
	bool need = !s->opts->json && s->head != head;

	s->head = head;
	return need;
}

static void status_done(struct pcore_watch *w, const struct pcore_wire_done *d)
{
	struct status *s = container_of(w, struct status, watch);
	const char *node = pcore_ask_node(s->session.ask, d->node);
	char name[JOB_NAME_MAX];

	s->told = true;
	(void)job_name(name, &s->ids[s->at], d->job);
	if ((s->opts->json ? rows_done_json(&s->text, name, node, d) : rows_done(&s->text, name, node, d)) < 0)
		session_over(&s->session, cli_error("out of memory"));
	session_flush(&s->session, &s->text);
}

static void status_answered(struct status *s, const struct pcore_wire_answer *a)
{
	int status = session_refused(a, s->ids[s->at].word);

	if (s->status == CLI_OK)
		s->status = status;
	s->at++;
	status_next(s);
}

static void status_listed(struct session_call *c, const struct pcore_wire_answer *a)
{
	status_answered(container_of(c, struct status, call), a);
}

static int status_why(struct session_call *c, const struct pcore_wire_frame *f)
{
	static const char *const states[] = { "ended", "waiting", "queued", "queued", "queued", "running", "waiting" };
	static const struct pcore_wire_answer fine = { .status = CLI_OK };
	struct status *s = container_of(c, struct status, call);
	struct pcore_wire_why w;
	char name[JOB_NAME_MAX];
	int r;

	if (f->type != PCORE_WIRE_WHY || pcore_wire_get_why(f, &w) < 0)
		return -EPROTO;
	(void)job_name(name, &s->ids[s->at], s->ids[s->at].from);
	r = s->opts->json ? rows_state_json(&s->text, name, states[w.state], w.node) : rows_state(&s->text, name, states[w.state], w.node);
	session_flush(&s->session, &s->text);
	pcore_ask_end(&c->call); /* it is the answer */
	status_answered(s, &fine);
	return r;
}

/* One that has not ended: where is it? */
static void status_watched(struct pcore_watch *w, const struct pcore_wire_answer *a)
{
	struct status *s = container_of(w, struct status, watch);
	const struct job_id *id = &s->ids[s->at];
	const struct pcore_wire_about m = {
		.has = PCORE_WIRE_HAS(PCORE_WIRE_ABOUT_SUBMISSION) | PCORE_WIRE_HAS(PCORE_WIRE_ABOUT_SEQ),
		.submission = id->submission,
		.seq = id->from,
	};

	if (s->told || a->status != CLI_OK || id->from != id->to) {
		status_answered(s, a);
		return;
	}
	s->call = (struct session_call){ .row = status_why, .over = status_listed };
	if (pcore_wire_put_about(&s->call.call.body, PCORE_WIRE_EXPLAIN, &m) == 0)
		session_call(&s->session, &s->call, PCORE_WIRE_EXPLAIN);
}

static int status_row(struct session_call *c, const struct pcore_wire_frame *f)
{
	struct status *s = container_of(c, struct status, call);
	struct pcore_wire_submission m;
	int r = 0;

	if (f->type != PCORE_WIRE_SUBMISSION || pcore_wire_get_submission(f, &m) < 0)
		return -EPROTO;
	if (need_heading(s, HEAD_SUBMISSION))
		r = rows_submission_heading(&s->text);
	if (r == 0)
		r = s->opts->json ? rows_submission_json(&s->text, &m) : rows_submission(&s->text, &m);
	session_flush(&s->session, &s->text);
	return r;
}

static void status_next(struct status *s)
{
	static const struct pcore_watch_ops ops = { .done = status_done, .over = status_watched };
	struct pcore_wire_about m = { .has = PCORE_WIRE_HAS(PCORE_WIRE_ABOUT_SUBMISSION) };
	const struct job_id *id = &s->ids[s->at];
	int r = 0;

	session_flush(&s->session, &s->text);
	if (s->at == s->n) {
		session_over(&s->session, s->status);
		return;
	}
	m.submission = id->submission;
	if (id->to == PCORE_WIRE_TO_END) {
		s->call = (struct session_call){ .row = status_row, .over = status_listed };
		r = pcore_wire_put_about(&s->call.call.body, PCORE_WIRE_LIST, &m);
		session_call(&s->session, &s->call, PCORE_WIRE_LIST);
	} else {
		if (need_heading(s, HEAD_JOB))
			r = rows_done_heading(&s->text);
		s->told = false;
		s->watch = (struct pcore_watch){ .ops = &ops, .submission = id->submission, .from = id->from, .to = id->to,
			.flags = PCORE_WIRE_WATCH_RESULTS };
		pcore_watch_begin(s->session.ask, &s->watch);
	}
	if (r < 0)
		session_over(&s->session, cli_error("out of memory"));
}

int psubmit_status_verb(int argc, char **argv)
{
	static const struct cli_opts how = { .usage = "psubmit status [--json] ID...",
		.summary = "Print how far ID is; of N.M and N.M-L, how the jobs ended that have." };
	struct ask_opts o;
	struct status s = { .opts = &o };
	int r = ask_parse(&o, argc, argv, &how, json_table, 1, 0);

	if (r == CLI_GO)
		r = job_ids_parse(o.words, &s.ids, &s.n);
	if (r == CLI_GO)
		r = session_open(&s.session);
	if (r == CLI_GO) {
		status_next(&s);
		r = session_run(&s.session);
	}
	pcore_watch_end(&s.watch);
	pcore_ask_end(&s.call.call);
	session_close(&s.session);
	pcore_buf_done(&s.text);
	free(s.ids);
	return r;
}
