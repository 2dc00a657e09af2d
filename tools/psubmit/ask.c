/* SPDX-License-Identifier: MIT */
/*
 * ask.c - psubmit list, cancel, forget and explain: what a scheduler is asked about jobs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/psubmit/rows.h"
#include "tools/psubmit/verbs.h"

#define AT(member) offsetof(struct ask_opts, member)

static const struct cli_opt json_table[] = {
	{ .name = "json", .kind = CLI_OPT_FLAG, .offset = AT(json), .help = "one JSON object for each" },
	{ .name = NULL },
};

static const struct cli_opt cancel_table[] = {
	{ .name = "kill", .kind = CLI_OPT_FLAG, .offset = AT(kill), .help = "at once, with KILL" },
	{ .name = NULL },
};

static const struct cli_opt no_table[] = { { .name = NULL } };

/* A call for each id, one after the other, and rows. */
struct asking {
	struct session session;
	struct session_call call;
	const struct ask_opts *opts;
	struct job_id *ids;
	size_t n, at;
	int (*put)(struct asking *a, struct pcore_buf *body);
	int (*row)(struct asking *a, const struct pcore_wire_frame *f);
	enum pcore_wire_type type;
	struct pcore_buf text;
	int status;
};

static int heard_row(struct session_call *c, const struct pcore_wire_frame *f)
{
	struct asking *a = container_of(c, struct asking, call);

	return a->row ? a->row(a, f) : -EPROTO;
}

static void ask_next(struct asking *a);

static void heard_answer(struct session_call *c, const struct pcore_wire_answer *answer)
{
	struct asking *a = container_of(c, struct asking, call);
	int status = session_refused(answer, a->ids ? a->ids[a->at].word : NULL);

	if (a->status == CLI_OK)
		a->status = status;
	a->at++;
	ask_next(a);
}

static void ask_next(struct asking *a)
{
	if (a->at > 0) /* a heading is printed with what follows it */
		session_flush(&a->session, &a->text);
	if (a->at == a->n) {
		session_over(&a->session, a->status);
		return;
	}
	a->call = (struct session_call){ .row = heard_row, .over = heard_answer };
	if (a->put && a->put(a, &a->call.call.body) < 0)
		session_over(&a->session, cli_error("out of memory"));
	else
		session_call(&a->session, &a->call, a->type);
}

/* CLI_GO, or a status, as ids said: the whole of it. */
static int ask_all(struct asking *a, int r)
{
	if (r == CLI_GO)
		r = session_open(&a->session);
	if (r == CLI_GO) {
		ask_next(a);
		r = session_run(&a->session);
	}
	pcore_ask_end(&a->call.call);
	session_close(&a->session);
	pcore_buf_done(&a->text);
	free(a->ids);
	return r;
}

/* ---- list ---- */

static int row_submission(struct asking *a, const struct pcore_wire_frame *f)
{
	struct pcore_wire_submission s;
	int r;

	if (f->type != PCORE_WIRE_SUBMISSION || pcore_wire_get_submission(f, &s) < 0)
		return -EPROTO;
	r = a->opts->json ? rows_submission_json(&a->text, &s) : rows_submission(&a->text, &s);
	session_flush(&a->session, &a->text);
	return r;
}

static int put_heading(struct asking *a)
{
	if (a->opts->json)
		return 0;
	return rows_submission_heading(&a->text);
}

static int put_list(struct asking *a, struct pcore_buf *body)
{
	struct pcore_wire_about m = { .has = 0 };

	if (a->ids)
		m = (struct pcore_wire_about){ .has = PCORE_WIRE_HAS(PCORE_WIRE_ABOUT_SUBMISSION), .submission = a->ids[a->at].submission };
	return pcore_wire_put_about(body, PCORE_WIRE_LIST, &m);
}

int psubmit_list(int argc, char **argv)
{
	static const struct cli_opts how = { .usage = "psubmit list [--json]",
		.summary = "Print what the scheduler was given by psubmit async, with its state." };
	struct ask_opts o;
	struct asking a = { .opts = &o, .n = 1, .put = put_list, .row = row_submission, .type = PCORE_WIRE_LIST };
	int r = ask_parse(&o, argc, argv, &how, json_table, 0, 0);

	if (r == CLI_GO && o.n_words > 0)
		r = cli_usage("'%s' is one word too many: %s", o.words[0], how.usage);
	if (r == CLI_GO && put_heading(&a) < 0)
		r = cli_error("out of memory");
	return ask_all(&a, r);
}

/* ---- cancel, forget ---- */

static int put_cancel(struct asking *a, struct pcore_buf *body)
{
	const struct job_id *id = &a->ids[a->at];
	const struct pcore_wire_cancel m = {
		.submission = id->submission,
		.from = id->from,
		.to = id->to,
		.how = a->opts->kill ? PCORE_WIRE_KILL_IT : PCORE_WIRE_END_IT,
	};

	return pcore_wire_put_cancel(body, &m);
}

int psubmit_cancel(int argc, char **argv)
{
	static const struct cli_opts how = { .usage = "psubmit cancel [--kill] ID...",
		.summary = "End the jobs ID, and let those that have not begun never run." };
	struct ask_opts o;
	struct asking a = { .opts = &o, .put = put_cancel, .type = PCORE_WIRE_CANCEL };
	int r = ask_parse(&o, argc, argv, &how, cancel_table, 1, 0);

	if (r == CLI_GO)
		r = job_ids_parse(o.words, &a.ids, &a.n);
	return ask_all(&a, r);
}

static int only_whole(const struct job_id *ids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ids[i].to != PCORE_WIRE_TO_END)
			return cli_usage("'%s' is a part: this can only be done with all of it", ids[i].word);
	return CLI_GO;
}

static int put_forget(struct asking *a, struct pcore_buf *body)
{
	const struct pcore_wire_about m = { .has = PCORE_WIRE_HAS(PCORE_WIRE_ABOUT_SUBMISSION), .submission = a->ids[a->at].submission };

	return pcore_wire_put_about(body, PCORE_WIRE_FORGET, &m);
}

int psubmit_forget(int argc, char **argv)
{
	static const struct cli_opts how = { .usage = "psubmit forget ID...",
		.summary = "Drop the results and outputs of ID, all of which has ended." };
	struct ask_opts o;
	struct asking a = { .opts = &o, .put = put_forget, .type = PCORE_WIRE_FORGET };
	int r = ask_parse(&o, argc, argv, &how, no_table, 1, 0);

	if (r == CLI_GO)
		r = job_ids_parse(o.words, &a.ids, &a.n);
	if (r == CLI_GO)
		r = only_whole(a.ids, a.n);
	return ask_all(&a, r);
}

/* ---- explain ---- */

static int add_count(struct pcore_buf *b, uint64_t n, const char *what)
{
	return n > 0 ? pcore_buf_addf(b, "  %" PRIu64 " %s\n", n, what) : 0;
}

static int add_nodes(struct pcore_buf *b, const struct pcore_wire_why *w)
{
	const struct {
		uint64_t n;
		const char *what;
	} reasons[] = {
		{ w->gone, "gone" },
		{ w->draining, "draining" },
		{ w->pinned, "of another name" },
		{ w->labels, "without the labels" },
		{ w->cpus, "with too few CPUs" },
		{ w->memory, "with too little memory" },
		{ w->resources, "without the resources" },
		{ w->avoided, "where it failed" },
		{ w->exclusive, "another client has for itself" },
		{ w->reserved, "kept for a bigger job" },
		{ w->busy, "busy" },
		{ w->room, "with room, but other jobs come first" },
	};
	int r = w->nodes == 0 ? pcore_buf_adds(b, "  there is no node at all\n") : pcore_buf_addf(b, "of %" PRIu64 " nodes\n", w->nodes);

	if (r == 0 && w->stopped)
		r = pcore_buf_adds(b, "  the scheduler is stopped\n");
	for (size_t i = 0; i < ARRAY_SIZE(reasons) && r == 0; i++)
		r = add_count(b, reasons[i].n, reasons[i].what);
	return r;
}

static const char *const why_states[] = { "ended", "waiting", "queued", "held", "given to a node, not begun", "running", "waiting to be tried again" };

static int row_why(struct asking *a, const struct pcore_wire_frame *f)
{
	struct pcore_wire_why w;
	int r;

	if (f->type != PCORE_WIRE_WHY || pcore_wire_get_why(f, &w) < 0)
		return -EPROTO;
	r = pcore_buf_addf(&a->text, "%s: %s%s", a->ids[a->at].word, why_states[w.state], w.cancelled ? ", being cancelled" : "");
	if (r == 0 && w.node)
		r = pcore_buf_addf(&a->text, " on %s", w.node);
	if (r == 0 && w.after)
		r = pcore_buf_addf(&a->text, " for %" PRIu64, w.after);
	if (r == 0)
		r = pcore_buf_addc(&a->text, '\n');
	if (r == 0 && (w.state == PCORE_SCHED_QUEUED || w.state == PCORE_SCHED_HELD))
		r = add_nodes(&a->text, &w);
	if (r < 0)
		return r;
	pcore_ask_end(&a->call.call); /* it is the answer */
	a->at++;
	ask_next(a);
	return 0;
}

static int put_explain(struct asking *a, struct pcore_buf *body)
{
	const struct pcore_wire_about m = {
		.has = PCORE_WIRE_HAS(PCORE_WIRE_ABOUT_SUBMISSION) | PCORE_WIRE_HAS(PCORE_WIRE_ABOUT_SEQ),
		.submission = a->ids[a->at].submission,
		.seq = a->ids[a->at].from,
	};

	return pcore_wire_put_about(body, PCORE_WIRE_EXPLAIN, &m);
}

int psubmit_explain(int argc, char **argv)
{
	static const struct cli_opts how = { .usage = "psubmit explain ID...", .summary = "Print why the job ID does not run." };
	struct ask_opts o;
	struct asking a = { .opts = &o, .put = put_explain, .row = row_why, .type = PCORE_WIRE_EXPLAIN };
	int r = ask_parse(&o, argc, argv, &how, no_table, 1, 0);

	if (r == CLI_GO)
		r = job_ids_parse(o.words, &a.ids, &a.n);
	return ask_all(&a, r);
}
