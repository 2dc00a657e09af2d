/* SPDX-License-Identifier: MIT */
/*
 * pnode - a node of a cluster: a verb, its options, then one call.
 */
#include <stdio.h>
#include <string.h>

#include "tools/cli/opts.h"
#include "tools/cli/rundir.h"
#include "tools/cli/verb.h"
#include "tools/pnode/pnode.h"

#define AT(member) offsetof(struct pnode_opts, member)

static int set_listen(void *opts, const char *name, const char *value)
{
	struct pnode_opts *o = opts;

	if (o->n_listen == PNODE_LISTEN_MAX)
		return cli_opt_bad(name, value, "too many");
	o->listen[o->n_listen++] = value;
	return 0;
}

static int set_scheduler(void *opts, const char *name, const char *value)
{
	struct pnode_opts *o = opts;

	if (o->n_schedulers == PNODE_SCHEDULERS_MAX)
		return cli_opt_bad(name, value, "too many");
	o->schedulers[o->n_schedulers++] = value;
	return 0;
}

static int set_nodes(void *opts, const char *name, const char *value)
{
	return cli_addrs_add(&((struct pnode_opts *)opts)->nodes, name, value);
}

static int set_policy(void *opts, const char *name, const char *value)
{
	static const char *const names[] = { [PCORE_SCHED_PRIORITY] = "priority", [PCORE_SCHED_FAIR] = "fair", [PCORE_SCHED_FIFO] = "fifo" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(names[i], value) == 0) {
			((struct pnode_opts *)opts)->policy = (enum pcore_sched_policy)i;
			return 0;
		}
	return cli_opt_bad(name, value, "must be fair, fifo or priority");
}

static int set_cpus(void *opts, const char *name, const char *value)
{
	struct pnode_opts *o = opts;
	bool less = *value == '-';
	uint64_t n;

	if (pcore_parse_u64(value + less, 1, UINT16_MAX, &n) < 0)
		return cli_opt_bad(name, value, "must be a number of CPUs, or -N for all but N");
	o->cpus = less ? -(int64_t)n : (int64_t)n;
	return 0;
}

static int set_name(void *opts, const char *name, const char *value)
{
	if (!cli_is_name(value))
		return cli_opt_bad(name, value, "must be letters, digits, and . _ - inside, at most 64");
	((struct pnode_opts *)opts)->name = value;
	return 0;
}

static int set_label(void *opts, const char *name, const char *value)
{
	struct pnode_opts *o = opts;
	const char *equals = strchr(value, '=');

	if (!equals || equals == value || strlen(value) > PCORE_WIRE_NAME_MAX)
		return cli_opt_bad(name, value, "must be K=V, at most 64 bytes");
	if (o->n_labels == PNODE_LABELS_MAX)
		return cli_opt_bad(name, value, "too many");
	o->labels[o->n_labels++] = (char *)value;
	return 0;
}

/* N, or [a,b,c], which is cut up where it stands: the names are r's. */
static bool parse_amount(char *text, struct pcore_node_resource *r)
{
	size_t len = strlen(text);
	char *word, *save = NULL, **ids;
	uint64_t n;

	if (*text != '[') {
		if (pcore_parse_u64(text, 1, UINT32_MAX, &n) < 0)
			return false;
		r->n = (uint32_t)n;
		return true;
	}
	ids = len > 2 && text[len - 1] == ']' ? calloc(len, sizeof(char *)) : NULL;
	if (!ids)
		return false;
	text[len - 1] = '\0';
	for (word = strtok_r(text + 1, ",", &save); word; word = strtok_r(NULL, ",", &save))
		ids[r->n++] = word;
	if (r->n == 0) {
		free(ids);
		return false;
	}
	r->ids = ids;
	return true;
}

static int set_resource(void *opts, const char *name, const char *value)
{
	struct pnode_opts *o = opts;
	char *text = strdup(value), *equals = text ? strchr(text, '=') : NULL;
	struct pcore_node_resource r = { .name = text };

	if (equals)
		*equals = '\0';
	if (o->n_resources < PNODE_RESOURCES_MAX && equals && equals > text && equals - text <= PCORE_WIRE_NAME_MAX && parse_amount(equals + 1, &r)) {
		o->resources[o->n_resources++] = r;
		return 0;
	}
	free(text);
	return cli_opt_bad(name, value, o->n_resources < PNODE_RESOURCES_MAX ? "must be NAME=N or NAME=[a,b,c]" : "too many");
}

static int set_sandbox(void *opts, const char *name, const char *value)
{
	struct pnode_opts *o = opts;

	for (int i = PCORE_SANDBOX_NONE; i <= PCORE_SANDBOX_STRICT; i++)
		if (strcmp(value, pcore_sandbox_level_name((enum pcore_sandbox_level)i)) == 0) {
			o->sandbox = (enum pcore_sandbox_level)i;
			return 0;
		}
	return cli_opt_bad(name, value, "must be none, default or strict");
}

static int set_watch(void *opts, const char *name, const char *value)
{
	int64_t ns = 2 * NS_PER_S;

	if (value && (pcore_parse_duration(value, &ns) < 0 || ns < NS_PER_MS || ns == INT64_MAX))
		return cli_opt_bad(name, value, "must be a duration of at least 1ms");
	((struct pnode_opts *)opts)->watch = ns;
	return 0;
}

static const struct cli_opt serve_table[] = {
	{ .name = "listen", .kind = CLI_OPT_CALL, .arg = "ADDR:PORT|unix:PATH", .set = set_listen, .help = "listen there, too; may be given more than once" },
	{ .name = "scheduler", .kind = CLI_OPT_CALL, .arg = "ADDR:PORT|unix:PATH", .set = set_scheduler, .help = "connect to this one, and again when it has gone; may be\ngiven more than once" },
	{ .name = "name", .kind = CLI_OPT_CALL, .arg = "N", .set = set_name, .help = "what it is called (the host's name)" },
	{ .name = "cpus", .kind = CLI_OPT_CALL, .arg = "N|-N", .set = set_cpus, .help = "offer N CPUs, or all but N (all)" },
	{ .name = "memory", .kind = CLI_OPT_SIZE, .arg = "SIZE", .offset = AT(memory), .min = 1, .help = "offer so much (all there is)" },
	{ .name = "resource", .kind = CLI_OPT_CALL, .arg = "NAME=N|NAME=[a,b]", .set = set_resource, .help = "offer N of them, or these" },
	{ .name = "label", .kind = CLI_OPT_CALL, .arg = "K=V", .set = set_label, .help = "what jobs may ask for" },
	{ .name = "sandbox", .kind = CLI_OPT_CALL, .arg = "LEVEL", .set = set_sandbox, .help = "of every job, at least: none, default or strict (default)" },
	{ .name = "workdir", .kind = CLI_OPT_STRING, .arg = "DIR", .offset = AT(workdir), .help = "jobs' directories are made there" },
	{ .name = "user", .kind = CLI_OPT_STRING, .arg = "NAME", .offset = AT(user), .help = "be this user (a node is never root)" },
	{ .name = "detach", .kind = CLI_OPT_FLAG, .offset = AT(detach), .help = "serve in the background and print the name" },
	{ .name = "grace", .kind = CLI_OPT_DURATION, .arg = "D", .offset = AT(grace), .help = "keep jobs so long when a connection breaks (10s)" },
	{ .name = NULL },
};

static const struct cli_opt scheduler_table[] = {
	{ .name = "listen", .kind = CLI_OPT_CALL, .arg = "ADDR:PORT|unix:PATH", .set = set_listen, .help = "listen there, too; may be given more than once" },
	{ .name = "name", .kind = CLI_OPT_CALL, .arg = "N", .set = set_name, .help = "what it is called (scheduler)" },
	{ .name = "nodes", .kind = CLI_OPT_CALL, .arg = "A,B|FILE", .set = set_nodes, .help = "connect to these nodes, or those in a file with one a\nline; others connect to us" },
	{ .name = "state", .kind = CLI_OPT_STRING, .arg = "DIR", .offset = AT(state), .help = "keep what was submitted there, over a restart" },
	{ .name = "policy", .kind = CLI_OPT_CALL, .arg = "P", .set = set_policy, .help = "fair, fifo or priority (fair)" },
	{ .name = "keep", .kind = CLI_OPT_DURATION, .arg = "D", .offset = AT(keep), .help = "how long results of what has ended stay (7d)" },
	{ .name = "max-output", .kind = CLI_OPT_SIZE, .arg = "SIZE", .offset = AT(max_output), .help = "keep so much of each output of a job (64M)" },
	{ .name = "user", .kind = CLI_OPT_STRING, .arg = "NAME", .offset = AT(user), .help = "be this user (a scheduler is never root)" },
	{ .name = "detach", .kind = CLI_OPT_FLAG, .offset = AT(detach), .help = "run in the background and print the name" },
	{ .name = "grace", .kind = CLI_OPT_DURATION, .arg = "D", .offset = AT(grace), .help = "how long a node or a client may be away (10s)" },
	{ .name = NULL },
};

static const struct cli_opt tls_table[] = {
	{ .name = "tls-cert", .kind = CLI_OPT_STRING, .arg = "FILE", .offset = AT(tls_cert), .help = "our certificate, instead of a key" },
	{ .name = "tls-key", .kind = CLI_OPT_STRING, .arg = "FILE", .offset = AT(tls_key), .help = "its private key" },
	{ .name = "tls-ca", .kind = CLI_OPT_STRING, .arg = "FILE", .offset = AT(tls_ca), .help = "who signs those of others" },
	{ .name = NULL },
};

static const struct cli_opt status_table[] = {
	{ .name = "json", .kind = CLI_OPT_FLAG, .offset = AT(json), .help = "print one object a node" },
	{ .name = "watch", .kind = CLI_OPT_CALL, .arg = "[=D]", .set = set_watch, .help = "again every D (2s), until it is ended" },
	{ .name = NULL },
};

static const struct cli_opt ask_table[] = {
	{ .name = "timeout", .kind = CLI_OPT_DURATION, .arg = "D", .offset = AT(timeout), .min = 1, .help = "wait no longer than D (10s)" },
	{ .name = NULL },
};

static int start(struct pnode_opts *o)
{
	return pnode_control(o, PCORE_WIRE_START);
}

static int stop(struct pnode_opts *o)
{
	return pnode_control(o, PCORE_WIRE_STOP);
}

static int drain(struct pnode_opts *o)
{
	return pnode_control(o, PCORE_WIRE_DRAIN_IT);
}

static int cpus(struct pnode_opts *o)
{
	return pnode_control(o, PCORE_WIRE_CPUS);
}

enum { NO_LIMIT = 1 << 20 };

static const struct verb {
	const char *name, *usage, *summary;
	const struct cli_opt *tables[4];
	int (*run)(struct pnode_opts *o);
	int min, max; /* operands */
} verbs[] = {
	{ "serve", "", "Offer this machine to schedulers: run their jobs.", { serve_table, tls_table }, pnode_serve, 0, 0 },
	{ "scheduler", "", "Run a scheduler for many: nodes and clients connect to it.", { scheduler_table, tls_table }, pnode_scheduler, 0, 0 },
	{ "status", "[NODE...]", "Tell about nodes that run.", { status_table, ask_table, tls_table }, pnode_status, 0, NO_LIMIT },
	{ "stop", "[NODE...]", "Begin no more jobs; those that are there wait.", { ask_table, tls_table }, stop, 0, NO_LIMIT },
	{ "start", "[NODE...]", "Begin jobs again.", { ask_table, tls_table }, start, 0, NO_LIMIT },
	{ "drain", "[NODE...]", "Take no more jobs: those that run end, the others are given back.", { ask_table, tls_table }, drain, 0, NO_LIMIT },
	{ "cpus", "N [NODE...]", "Offer another number of CPUs.", { ask_table, tls_table }, cpus, 1, NO_LIMIT },
	{ "check", "", "Tell whether this machine can do what the options of serve say.", { serve_table, tls_table }, pnode_check, 0, 0 },
	{ "keygen", "[FILE]", "Make a cluster key.", { NULL }, pnode_keygen, 0, 1 },
};

static int parse_options(struct pnode_opts *o, const struct verb *v, int argc, char **argv)
{
	const struct cli_opt *tables[] = { v->tables[0], v->tables[1], v->tables[2], NULL };
	void *targets[] = { o, o, o };
	char usage[128];
	struct cli_opts spec = { .usage = usage, .summary = v->summary, .tables = tables, .targets = targets };
	int operand = 0, n, r;

	(void)snprintf(usage, sizeof(usage), "pnode %s%s %s", v->name, v->tables[0] ? " [options]" : "", v->usage);
	r = cli_opts_parse(&spec, argc, argv, &operand);
	if (r != CLI_GO)
		return r;
	n = argc - operand;
	if (n < v->min)
		return cli_usage("something is missing: pnode %s %s", v->name, v->usage);
	if (n > v->max)
		return cli_usage("'%s' is too much: pnode %s %s", argv[operand + v->max], v->name, v->usage);
	o->argv = argv;
	o->words = argv + operand;
	o->n_words = (size_t)n;
	if (!o->tls_cert != !o->tls_key || !o->tls_cert != !o->tls_ca)
		return cli_usage("--tls-cert, --tls-key and --tls-ca go together");
	return CLI_GO;
}

static const char *verb_at(size_t i, const char **ret_summary)
{
	if (i == ARRAY_SIZE(verbs))
		return NULL;
	*ret_summary = verbs[i].summary;
	return verbs[i].name;
}

static const struct cli_opts help = {
	.usage = "pnode VERB [options] ...",
	.summary = "A node of a cluster. NODE is a name (of one on this machine) or an address.",
	.verb = verb_at,
};

static int run(int argc, char **argv)
{
	static struct pnode_opts opts = { .nodes.max = PNODE_NODES_MAX, .sandbox = PCORE_SANDBOX_DEFAULT, .grace = 10 * NS_PER_S, .timeout = 10 * NS_PER_S,
		.policy = PCORE_SCHED_FAIR, .keep = 7 * 86400 * NS_PER_S, .max_output = 64 << 20 };
	const struct verb *v = NULL;
	int r;

	if (argc < 2)
		return cli_usage("no verb given: pnode serve");
	if (argv[1][0] == '-')
		return cli_verb_none(&help, argc, argv);
	for (size_t i = 0; i < ARRAY_SIZE(verbs) && !v; i++)
		if (strcmp(verbs[i].name, argv[1]) == 0)
			v = &verbs[i];
	if (!v)
		return cli_verb_unknown(verb_at, argv[1]);
	argv[1] = argv[0];
	argc--;
	argv++;
	if (cli_opts_defaults("pnode", &argc, &argv) < 0)
		return cli_error("out of memory");
	r = parse_options(&opts, v, argc, argv);
	return r == CLI_GO ? v->run(&opts) : r;
}

int main(int argc, char **argv)
{
	cli_start("pnode");
	cli_exit(run(argc, argv));
}
