/* SPDX-License-Identifier: MIT */
/*
 * options.c - where jobs may run, and what they need there.
 */
#include <stdlib.h>
#include <string.h>

#include "tools/psubmit/psubmit.h"

#define AT(member) offsetof(struct psubmit_opts, member)

struct psubmit_opts psubmit_opts = { .nodes.max = PSUBMIT_NODES_MAX, .retry_lost = 3, .wait_nodes = 10 * NS_PER_S };

static int set_nodes(void *opts, const char *name, const char *value)
{
	return cli_addrs_add(&((struct psubmit_opts *)opts)->nodes, name, value);
}

static int set_local(void *opts, const char *name, const char *value)
{
	struct psubmit_opts *o = opts;

	o->local = true;
	if (value && pcore_parse_u64(value, 1, UINT16_MAX, &o->local_cpus) < 0)
		return cli_opt_bad(name, value, "must be a number of CPUs");
	return 0;
}

static int set_resource(void *opts, const char *name, const char *value)
{
	struct psubmit_opts *o = opts;
	char *text = strdup(value), *equals = text ? strchr(text, '=') : NULL;
	uint64_t n = 1;

	if (equals)
		*equals = '\0';
	if (!text || !*text || strlen(text) > PCORE_WIRE_NAME_MAX || (equals && pcore_parse_u64(equals + 1, 1, UINT32_MAX, &n) < 0)) {
		free(text);
		return cli_opt_bad(name, value, "must be NAME=N");
	}
	if (o->n_needs == PSUBMIT_PARTS_MAX) {
		free(text);
		return cli_opt_bad(name, value, "too many");
	}
	o->needs[o->n_needs++] = (struct pcore_sched_need){ text, (uint32_t)n };
	return 0;
}

/* K=V or K!=V, and more of these behind commas. */
static int set_label(void *opts, const char *name, const char *value)
{
	struct psubmit_opts *o = opts;
	char *text, *word, *save = NULL;

	if (value[strspn(value, ",")] == '\0')
		return cli_opt_bad(name, value, "must be K=V or K!=V, with commas between");
	text = strdup(value);
	for (word = text ? strtok_r(text, ",", &save) : NULL; word; word = strtok_r(NULL, ",", &save)) {
		char *equals = strchr(word, '=');
		bool differs = equals && equals > word && equals[-1] == '!';

		if (!equals || equals - differs == word || o->n_labels == PSUBMIT_PARTS_MAX) {
			free(text);
			return cli_opt_bad(name, value, "must be K=V or K!=V, with commas between");
		}
		equals[-differs] = '\0';
		o->labels[o->n_labels++] = (struct pcore_sched_label){ word, equals + 1, differs };
	}
	return 0;
}

static int set_priority(void *opts, const char *name, const char *value)
{
	bool negative = *value == '-';
	uint64_t n;

	if (pcore_parse_u64(value + negative, 0, INT32_MAX, &n) < 0)
		return cli_opt_bad(name, value, "must be a number; lower comes first");
	((struct psubmit_opts *)opts)->priority = negative ? -(int32_t)n : (int32_t)n;
	return 0;
}

#define NODE_ROWS \
	{ .name = "nodes", .kind = CLI_OPT_CALL, .arg = "A,B|FILE", .set = set_nodes, .help = "addresses of nodes: HOST:PORT or unix:PATH; or a\nfile with one a line" }, \
	{ .name = "local", .kind = CLI_OPT_CALL, .arg = "[=N]", .set = set_local, .help = "this machine is a node too, with N CPUs (all); the\ndefault without --nodes and --scheduler" }
#define NEED_ROWS \
	{ .name = "cpus", .kind = CLI_OPT_U64, .arg = "N", .offset = AT(cpus), .min = 1, .max = 65535, .help = "a job needs N CPUs (1)" }, \
	{ .name = "memory", .kind = CLI_OPT_SIZE, .arg = "SIZE", .offset = AT(memory), .min = 1, .help = "a job needs so much memory" }, \
	{ .name = "resource", .kind = CLI_OPT_CALL, .arg = "NAME[=N]", .set = set_resource, .help = "a job needs N of these (1)" }, \
	{ .name = "label", .kind = CLI_OPT_CALL, .arg = "EXPR", .set = set_label, .help = "only nodes with these labels: K=V, K!=V; comma is and" }, \
	{ .name = "node", .kind = CLI_OPT_STRING, .arg = "NAME", .offset = AT(node), .help = "only this node" }, \
	{ .name = "priority", .kind = CLI_OPT_CALL, .arg = "N", .set = set_priority, .help = "on nodes that others use too: lower comes first (0)" }, \
	{ .name = "exclusive", .kind = CLI_OPT_FLAG, .offset = AT(exclusive), .help = "nodes of the scheduler run nothing else meanwhile" }, \
	{ .name = "at-most-once", .kind = CLI_OPT_FLAG, .offset = AT(at_most_once), .help = "a job that is lost with its node is not run again" }, \
	{ .name = "retry-lost", .kind = CLI_OPT_U64, .arg = "N", .offset = AT(retry_lost), .max = 255, .help = "a job that is lost is run again N times (3)" }, \
	{ .name = "max-output", .kind = CLI_OPT_SIZE, .arg = "SIZE", .offset = AT(max_output), .min = 1, .help = "of each job's output, and error output, the rest is cut" }
#define TLS_ROWS \
	{ .name = "wait-nodes", .kind = CLI_OPT_DURATION, .arg = "D", .offset = AT(wait_nodes), .help = "end when no node is there for D (10s)" }, \
	{ .name = "tls-cert", .kind = CLI_OPT_STRING, .arg = "FILE", .offset = AT(tls_cert), .help = "our certificate, instead of a key" }, \
	{ .name = "tls-key", .kind = CLI_OPT_STRING, .arg = "FILE", .offset = AT(tls_key), .help = "its private key" }, \
	{ .name = "tls-ca", .kind = CLI_OPT_STRING, .arg = "FILE", .offset = AT(tls_ca), .help = "who signs those of others" }
#define TIE_ROWS \
	{ .name = "scheduler", .kind = CLI_OPT_STRING, .arg = "ADDR", .offset = AT(scheduler), .help = "address of a scheduler ($PCORE_SCHEDULER)" }, \
	TLS_ROWS

const struct cli_opt psubmit_table[] = {
	{ .name = "Cluster", .kind = CLI_OPT_HEADING },
	NODE_ROWS,
	TIE_ROWS,
	NEED_ROWS,
	{ .name = "stats", .kind = CLI_OPT_FLAG, .offset = AT(stats), .help = "say in the end what each node has done" },
	{ .name = NULL },
};

const struct cli_opt psubmit_tie_table[] = {
	{ .name = "Scheduler", .kind = CLI_OPT_HEADING },
	TIE_ROWS,
	{ .name = NULL },
};

const struct cli_opt psubmit_need_table[] = {
	{ .name = "Where it runs", .kind = CLI_OPT_HEADING },
	NEED_ROWS,
	{ .name = NULL },
};

int psubmit_check_tie(void)
{
	struct psubmit_opts *p = &psubmit_opts;

	if (!p->tls_cert != !p->tls_key || !p->tls_cert != !p->tls_ca)
		return cli_usage("--tls-cert, --tls-key and --tls-ca go together");
	if (!p->scheduler && p->nodes.n == 0 && !p->local)
		p->scheduler = getenv("PCORE_SCHEDULER");
	if (p->scheduler && !*p->scheduler)
		p->scheduler = NULL;
	return CLI_GO;
}

int psubmit_check(struct map_opts *o)
{
	struct psubmit_opts *p = &psubmit_opts;
	int r;

	if (o->raw)
		return cli_usage("--raw does not go with psubmit: a job on another machine cannot write to our standard output");
	if (p->scheduler && (p->nodes.n > 0 || p->local))
		return cli_usage("--scheduler does not go with %s: it has nodes of its own", p->local ? "--local" : "--nodes");
	r = psubmit_check_tie();
	if (r != CLI_GO)
		return r;
	if (p->scheduler && o->workers.pty)
		return cli_usage("--pty does not go with --scheduler: what it passes on are bytes");
	if (p->exclusive && !p->scheduler)
		return cli_usage("--exclusive needs a --scheduler: nodes of our own are not shared by one");
	if (p->nodes.n == 0 && !p->scheduler)
		p->local = true;
	o->elsewhere = p->nodes.n > 0 || p->scheduler;
	if (o->feed.round_robin && o->jobs == 0 && o->elsewhere)
		return cli_usage("--round-robin with %s needs -j: how many consumers share the input", p->scheduler ? "--scheduler" : "--nodes");
	if (o->feed.round_robin && o->jobs == 0)
		o->jobs = p->local_cpus ? p->local_cpus : cli_cpus();
	o->runs_again = o->elsewhere && !p->at_most_once;
	return CLI_GO;
}
