/* SPDX-License-Identifier: MIT */
/*
 * nodes.c - psubmit nodes and stats: who is there, and who has done how much.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/psubmit/rows.h"
#include "tools/psubmit/verbs.h"

#define AT(member) offsetof(struct ask_opts, member)

static const struct cli_opt json_table[] = {
	{ .name = "json", .kind = CLI_OPT_FLAG, .offset = AT(json), .help = "one JSON object for each" },
	{ .name = NULL },
};

struct nodes {
	struct session session;
	struct session_call call;
	const struct ask_opts *opts;
	struct pcore_buf text;
	int64_t job_ns, busy_ns;
	bool stats;
};

static const char *const states[] = { "serving", "stopped", "draining", "gone" };

static int add_member(struct pcore_buf *b, const struct pcore_wire_member *m)
{
	struct pcore_wire_words labels = m->labels;
	const char *word;
	char safe[256];
	int r = pcore_buf_addf(b, "%-16s %-9s %6" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64 "M  %s", m->name, states[m->state], m->cpus,
		m->running, m->jobs, m->memory >> 20, *m->address ? m->address : "-");

	while (r == 0 && (word = pcore_wire_word(&labels))) {
		(void)pcore_escape(safe, sizeof(safe), word, strlen(word));
		r = pcore_buf_addf(b, " %s", safe);
	}
	return r < 0 ? r : pcore_buf_addc(b, '\n');
}

static void json_labels(struct pcore_json *j, struct pcore_wire_words labels)
{
	const char *word;

	pcore_json_key(j, "labels");
	pcore_json_array(j);
	while ((word = pcore_wire_word(&labels)))
		pcore_json_str(j, word);
	pcore_json_array_end(j);
}

static void json_resources(struct pcore_json *j, struct pcore_wire_list resources)
{
	struct pcore_wire_resource r;

	pcore_json_key(j, "resources");
	pcore_json_object(j);
	while (pcore_wire_next_resource(&resources, &r))
		rows_number(j, r.name, r.count);
	pcore_json_object_end(j);
}

static int json_member(struct pcore_buf *b, const struct pcore_wire_member *m)
{
	struct pcore_json j = PCORE_JSON_INIT(b);

	pcore_json_object(&j);
	pcore_json_key(&j, "node");
	pcore_json_str(&j, m->name);
	pcore_json_key(&j, "address");
	pcore_json_str(&j, m->address);
	pcore_json_key(&j, "state");
	pcore_json_str(&j, states[m->state]);
	pcore_json_key(&j, "version");
	pcore_json_str(&j, m->software);
	rows_number(&j, "cpus", m->cpus);
	rows_number(&j, "memory", m->memory);
	rows_number(&j, "running", m->running);
	rows_number(&j, "jobs", m->jobs);
	json_labels(&j, m->labels);
	json_resources(&j, m->resources);
	pcore_json_object_end(&j);
	return j.error < 0 ? j.error : pcore_buf_addc(b, '\n');
}

static int member(struct nodes *n, const struct pcore_wire_member *m)
{
	const struct rows_node row = { m->name, (uint32_t)m->cpus, m->jobs, m->job_ns, m->sent, m->received };

	n->job_ns += m->job_ns;
	if (n->stats)
		return n->opts->json ? rows_node_json(&n->text, &row) : rows_node(&n->text, &row);
	return n->opts->json ? json_member(&n->text, m) : add_member(&n->text, m);
}

static int row(struct session_call *c, const struct pcore_wire_frame *f)
{
	struct nodes *n = container_of(c, struct nodes, call);
	struct pcore_wire_member m;
	struct pcore_wire_total t;
	int r = 0;

	if (f->type == PCORE_WIRE_TOTAL && pcore_wire_get_total(f, &t) == 0)
		n->busy_ns = t.busy_ns;
	else if (f->type == PCORE_WIRE_MEMBER && pcore_wire_get_member(f, &m) == 0)
		r = member(n, &m);
	else
		return -EPROTO;
	session_flush(&n->session, &n->text);
	return r;
}

static void over(struct session_call *c, const struct pcore_wire_answer *a)
{
	struct nodes *n = container_of(c, struct nodes, call);
	int status = session_refused(a, NULL), r = 0;

	if (status == CLI_OK && n->stats)
		r = n->opts->json ? rows_total_json(&n->text, n->job_ns, n->busy_ns) : rows_total(&n->text, n->job_ns, n->busy_ns);
	session_flush(&n->session, &n->text);
	session_over(&n->session, r < 0 ? cli_error("out of memory") : status);
}

static int put_heading(struct nodes *n)
{
	if (n->opts->json)
		return 0;
	if (n->stats)
		return rows_node_heading(&n->text);
	return pcore_buf_addf(&n->text, "%-16s %-9s %6s %8s %8s %9s  %s\n", "NODE", "STATE", "CPUS", "RUNNING", "JOBS", "MEMORY", "ADDRESS, LABELS");
}

static int ask(int argc, char **argv, const struct cli_opts *how, bool stats)
{
	struct ask_opts o;
	struct nodes n = { .opts = &o, .stats = stats, .call = { .row = row, .over = over } };
	int r = ask_parse(&o, argc, argv, how, json_table, 0, 0);

	if (r == CLI_GO && o.n_words > 0)
		r = cli_usage("'%s' is one word too many: %s", o.words[0], how->usage);
	if (r == CLI_GO)
		r = session_open(&n.session);
	if (r == CLI_GO && put_heading(&n) < 0)
		r = cli_error("out of memory");
	if (r == CLI_GO) {
		session_call(&n.session, &n.call, PCORE_WIRE_NODES);
		r = session_run(&n.session);
	}
	pcore_ask_end(&n.call.call);
	session_close(&n.session);
	pcore_buf_done(&n.text);
	return r;
}

int psubmit_nodes(int argc, char **argv)
{
	static const struct cli_opts how = { .usage = "psubmit nodes [--json]", .summary = "Print the nodes of the scheduler." };

	return ask(argc, argv, &how, false);
}

int psubmit_stats(int argc, char **argv)
{
	static const struct cli_opts how = { .usage = "psubmit stats [--json]",
		.summary = "Print what each node of the scheduler has done since that was started." };

	return ask(argc, argv, &how, true);
}
