/* SPDX-License-Identifier: MIT */
/*
 * pqueue - queues between programs: a verb, its options, then one call.
 */
#include <stdio.h>
#include <string.h>

#include "tools/cli/items.h"
#include "tools/cli/opts.h"
#include "tools/cli/verb.h"
#include "tools/pqueue/pqueue.h"

#define AT(member) offsetof(struct pqueue_opts, member)

static int set_order(void *opts, const char *name, const char *value)
{
	static const char *const words[] = { [PCORE_FIFO] = "fifo", [PCORE_LIFO] = "lifo", [PCORE_PRIORITY] = "priority" };
	struct pqueue_opts *o = opts;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(value, words[i]) == 0) {
			o->spec.order = (enum pcore_order)i;
			return 0;
		}
	return cli_opt_bad(name, value, "must be fifo, lifo or priority");
}

int pqueue_opt_duration(const char *name, const char *value, int64_t *ret)
{
	int r = pcore_parse_duration(value, ret);

	return r < 0 ? cli_opt_bad(name, value, r == -ERANGE ? "too long" : "not a duration (90, 1.5s, 200ms, 2m, 3h, 1d)") : 0;
}

/* Nothing, or for ever: no limit. */
static int set_timeout(void *opts, const char *name, const char *value)
{
	struct pqueue_opts *o = opts;
	int r = pqueue_opt_duration(name, value, &o->timeout);

	if (o->timeout == 0)
		o->timeout = INT64_MAX;
	return r;
}

static int set_lease(void *opts, const char *name, const char *value)
{
	struct pqueue_opts *o = opts;
	int r = pqueue_opt_duration(name, value, &o->lease);

	return r == 0 && o->lease == 0 ? cli_opt_bad(name, value, "must be longer than 0") : r;
}

static int set_key(void *opts, const char *name, const char *value)
{
	struct pqueue_opts *o = opts;

	if (!*value || strlen(value) > PCORE_KEY_MAX)
		return cli_opt_bad(name, value, "must be of 1 to 1024 bytes");
	o->key = value;
	return 0;
}

static int set_delimiter(void *opts, const char *name, const char *value)
{
	struct pqueue_opts *o = opts;

	if (cli_items_parse_delim(value, &o->delim) < 0)
		return cli_opt_bad(name, value, "must be one byte, or one of \\n \\t \\r \\0 \\\\ \\xHH");
	o->delimiter = true;
	return 0;
}

static int set_sync(void *opts, const char *name, const char *value)
{
	static const char interval[] = "interval=";
	struct pcore_queue_config *s = &((struct pqueue_opts *)opts)->spec;
	bool timed = strncmp(value, interval, strlen(interval)) == 0;

	((struct pqueue_opts *)opts)->sync = true;
	s->interval_ns = 0;
	if (strcmp(value, "always") == 0)
		s->sync = PCORE_QUEUE_ALWAYS;
	else if (strcmp(value, "none") == 0)
		s->sync = PCORE_QUEUE_NONE;
	else if (timed && pcore_parse_duration(value + strlen(interval), &s->interval_ns) == 0 && s->interval_ns > 0)
		s->sync = PCORE_QUEUE_INTERVAL;
	else
		return cli_opt_bad(name, value, "must be always, none or interval=D");
	return 0;
}

static const struct cli_opt create_table[] = {
	{ .name = "max", .kind = CLI_OPT_U64, .arg = "ITEMS", .offset = AT(spec.max_items), .min = 1, .max = UINT32_MAX, .help = "hold so many items (one for each 256 bytes)" },
	{ .name = "max-bytes", .kind = CLI_OPT_SIZE, .arg = "SIZE", .offset = AT(spec.max_bytes), .min = 1, .help = "hold so many bytes (8M)" },
	{ .name = "max-item", .kind = CLI_OPT_SIZE, .arg = "SIZE", .offset = AT(spec.max_item), .min = 1, .max = INT32_MAX, .help = "take no larger item (64M, or all of --max-bytes)" },
	{ .name = "order", .kind = CLI_OPT_CALL, .arg = "ORDER", .set = set_order, .help = "fifo, lifo or priority (fifo)" },
	{ .name = "durable", .kind = CLI_OPT_FLAG, .offset = AT(spec.durable), .help = "a directory on disk: it survives a power cut" },
	{ .name = "sync", .kind = CLI_OPT_CALL, .arg = "WHEN", .set = set_sync, .help = "of a durable queue: always, interval=D or none (always)" },
	{ .name = NULL },
};

static const struct cli_opt form_table[] = {
	{ .name = "null", .letter = '0', .kind = CLI_OPT_FLAG, .offset = AT(null), .help = "items end with a NUL byte" },
	{ .name = "delimiter", .letter = 'd', .kind = CLI_OPT_CALL, .arg = "DELIM", .set = set_delimiter, .help = "items end with this byte (\\t, \\0, \\x1e)" },
	{ .name = "frames", .kind = CLI_OPT_FLAG, .offset = AT(frames), .help = "each item after its length: 4 bytes, lowest first" },
	{ .name = NULL },
};

static const struct cli_opt put_table[] = {
	{ .name = "whole", .kind = CLI_OPT_FLAG, .offset = AT(whole), .help = "all of stdin is one item" },
	{ .name = "priority", .kind = CLI_OPT_U64, .arg = "N", .offset = AT(priority), .max = UINT32_MAX, .help = "in a queue by priority: lower comes first (0)" },
	{ .name = "delay", .kind = CLI_OPT_DURATION, .arg = "D", .offset = AT(delay), .help = "not to be had before D has passed" },
	{ .name = "key", .kind = CLI_OPT_CALL, .arg = "KEY", .set = set_key, .help = "only if no item in the queue has this key" },
	{ .name = "replace", .kind = CLI_OPT_FLAG, .offset = AT(replace), .help = "with --key: in place of the item that has it" },
	{ .name = "nowait", .kind = CLI_OPT_FLAG, .offset = AT(nowait), .help = "do not wait for room" },
	{ .name = "timeout", .kind = CLI_OPT_CALL, .arg = "D", .set = set_timeout, .help = "wait no longer than D for room" },
	{ .name = "close", .kind = CLI_OPT_FLAG, .offset = AT(close), .help = "close the queue after the last item" },
	{ .name = "no-create", .kind = CLI_OPT_FLAG, .offset = AT(no_create), .help = "the queue has to be there" },
	{ .name = "ids", .kind = CLI_OPT_FLAG, .offset = AT(ids), .help = "print the id of each item that is in" },
	{ .name = NULL },
};

static const struct cli_opt get_table[] = {
	{ .name = "count", .letter = 'n', .kind = CLI_OPT_U64, .arg = "N", .offset = AT(count), .min = 1, .help = "get N items (1)" },
	{ .name = "all", .kind = CLI_OPT_FLAG, .offset = AT(all), .help = "get what is there now" },
	{ .name = "follow", .kind = CLI_OPT_FLAG, .offset = AT(follow), .help = "get items until the queue is closed" },
	{ .name = "lease", .kind = CLI_OPT_CALL, .arg = "D", .set = set_lease, .help = "print a lease and a tab before each item, and\nkeep it for D: see ack, nack and touch" },
	{ .name = "nowait", .kind = CLI_OPT_FLAG, .offset = AT(nowait), .help = "do not wait for an item" },
	{ .name = "timeout", .kind = CLI_OPT_CALL, .arg = "D", .set = set_timeout, .help = "wait no longer than D for an item" },
	{ .name = NULL },
};

static const struct cli_opt nack_table[] = {
	{ .name = "delay", .kind = CLI_OPT_DURATION, .arg = "D", .offset = AT(delay), .help = "not to be had before D has passed" },
	{ .name = NULL },
};

static const struct cli_opt touch_table[] = {
	{ .name = "lease", .kind = CLI_OPT_CALL, .arg = "D", .set = set_lease, .help = "for D from now on (as long as before)" },
	{ .name = NULL },
};

static const struct cli_opt dead_table[] = {
	{ .name = "all", .kind = CLI_OPT_FLAG, .offset = AT(all), .help = "all that are dead" },
	{ .name = "items", .kind = CLI_OPT_FLAG, .offset = AT(items), .help = "list: print the items as well" },
	{ .name = "json", .kind = CLI_OPT_FLAG, .offset = AT(json), .help = "list: print an object for each" },
	{ .name = NULL },
};

static const struct cli_opt join_table[] = {
	{ .name = "timeout", .kind = CLI_OPT_CALL, .arg = "D", .set = set_timeout, .help = "wait no longer than D" },
	{ .name = NULL },
};

static const struct cli_opt stat_table[] = {
	{ .name = "json", .kind = CLI_OPT_FLAG, .offset = AT(json), .help = "print one object" },
	{ .name = NULL },
};

static const struct cli_opt repair_table[] = {
	{ .name = "copy-to", .kind = CLI_OPT_STRING, .arg = "DIR", .offset = AT(copy_to), .help = "where the copy goes" },
	{ .name = "json", .kind = CLI_OPT_FLAG, .offset = AT(json), .help = "print one object" },
	{ .name = NULL },
};

static const struct cli_opt close_table[] = {
	{ .name = "now", .kind = CLI_OPT_FLAG, .offset = AT(now), .help = "drop all that is in it" },
	{ .name = NULL },
};

static int set_poll(void *opts, const char *name, const char *value)
{
	return pqueue_opt_duration(name, value, &((struct pqueue_opts *)opts)->poll);
}

static const struct cli_opt send_table[] = {
	{ .name = "whole", .kind = CLI_OPT_FLAG, .offset = AT(whole), .help = "all of stdin is one message" },
	{ .name = "timeout", .kind = CLI_OPT_CALL, .arg = "D", .set = set_timeout, .help = "wait no longer than D for the other end" },
	{ .name = NULL },
};

static const struct cli_opt recv_table[] = {
	{ .name = "count", .letter = 'n', .kind = CLI_OPT_U64, .arg = "N", .offset = AT(count), .min = 1, .help = "receive N messages (all until the end)" },
	{ .name = "poll", .kind = CLI_OPT_CALL, .arg = "D", .set = set_poll, .help = "wait no longer than D for a message" },
	{ .name = "max", .kind = CLI_OPT_SIZE, .arg = "SIZE", .offset = AT(max), .min = 1, .max = UINT32_MAX, .help = "take no longer message (64M)" },
	{ .name = NULL },
};

static const struct cli_opt pipe_table[] = {
	{ .name = "timeout", .kind = CLI_OPT_CALL, .arg = "D", .set = set_timeout, .help = "wait no longer than D for the other end" },
	{ .name = "max", .kind = CLI_OPT_SIZE, .arg = "SIZE", .offset = AT(max), .min = 1, .max = UINT32_MAX, .help = "take no longer message (64M)" },
	{ .name = NULL },
};

enum { NO_LIMIT = 1 << 30 };

static const struct verb {
	const char *name, *usage, *summary;
	const struct cli_opt *tables[3];
	int (*run)(struct pqueue_opts *o); /* NULL: work, which parses its own options */
	int min, max; /* operands */
} verbs[] = {
	{ "create", "NAME", "Make a queue.", { create_table }, pqueue_create, 1, 1 },
	{ "put", "NAME [ITEM...]", "Put items into a queue, from the words or from the lines of stdin; a missing queue is made.", { form_table, put_table }, pqueue_put, 1, NO_LIMIT },
	{ "get", "NAME", "Take items out of a queue and print them.", { form_table, get_table }, pqueue_get, 1, 1 },
	{ "peek", "NAME", "Print the item that a get would take.", { form_table }, pqueue_peek, 1, 1 },
	{ "ack", "NAME LEASE...", "Items that were leased are done.", { NULL }, pqueue_ack, 2, NO_LIMIT },
	{ "nack", "NAME LEASE...", "Give back items that were leased.", { nack_table }, pqueue_nack, 2, NO_LIMIT },
	{ "touch", "NAME LEASE...", "Keep items that were leased for longer.", { touch_table }, pqueue_touch, 2, NO_LIMIT },
	{ "work", "NAME COMMAND [ARG...]", "Run a command for each item, and keep those that it fails for.", { NULL }, NULL, 0, 0 },
	{ "dead", "list|retry|drop NAME [ID...]", "Show the items that are given up, make them ready again, or drop them.", { dead_table }, pqueue_dead, 2, NO_LIMIT },
	{ "join", "NAME", "Wait until every item is taken, and acknowledged if it was leased.", { join_table }, pqueue_join, 1, 1 },
	{ "len", "NAME", "Print how many items are ready.", { NULL }, pqueue_len, 1, 1 },
	{ "stat", "NAME", "Tell about a queue.", { stat_table }, pqueue_stat, 1, 1 },
	{ "list", "", "List the queues of the runtime directory: name, ready, leased, delayed, dead, state, durability.", { NULL }, pqueue_list, 0, 0 },
	{ "close", "NAME", "Let nothing more be put; gets take what is left, then see the end.", { close_table }, pqueue_close, 1, 1 },
	{ "rm", "NAME", "Remove a queue and all that is in it; who uses it sees the end.", { NULL }, pqueue_rm, 1, 1 },
	{ "repair", "DIR --copy-to DIR", "Copy what is whole of a damaged durable queue to a new one.", { repair_table }, pqueue_repair, 1, 1 },
	{ "send", "NAME [MESSAGE...]", "Open an end of a channel and send messages: the words, or the lines of stdin.", { form_table, send_table }, pqueue_send, 1, NO_LIMIT },
	{ "recv", "NAME", "Open an end of a channel and print the messages that come.", { form_table, recv_table }, pqueue_recv, 1, 1 },
	{ "pipe", "NAME [-- COMMAND [ARG...]]", "Open an end of a channel: stdin goes out, stdout gets what comes; or those of COMMAND.", { form_table, pipe_table }, pqueue_pipe, 1, NO_LIMIT },
};

static int check_put(const struct pqueue_opts *o)
{
	if (o->replace && !o->key)
		return cli_usage("--replace needs --key");
	if (o->key && !o->whole && o->n_words != 1)
		return cli_usage("--key needs one item: one word, or --whole");
	return CLI_GO;
}

static int check(const struct pqueue_opts *o, const struct verb *v)
{
	if (o->null + o->frames + o->whole + o->delimiter > 1)
		return cli_usage("--null, --delimiter, --frames and --whole exclude each other");
	if (o->nowait && o->timeout != INT64_MAX)
		return cli_usage("--nowait and --timeout exclude each other");
	if (o->all + o->follow + (o->count > 0) > 1)
		return cli_usage("--count, --all and --follow exclude each other");
	if (o->nowait && o->follow)
		return cli_usage("--nowait and --follow exclude each other; --all takes what is there");
	if (o->n_words > 0 && v->run != pqueue_pipe && (o->null || o->delimiter || o->frames || o->whole))
		return cli_usage("--null, --delimiter, --frames and --whole are about standard input, which is not read when items are given");
	if (o->sync && !o->spec.durable)
		return cli_usage("--sync needs --durable");
	if (v->run == pqueue_repair && !o->copy_to)
		return cli_usage("repair needs --copy-to: nothing is changed in place");
	return v->run == pqueue_put ? check_put(o) : CLI_GO;
}

static int parse_options(struct pqueue_opts *o, const struct verb *v, int argc, char **argv)
{
	const struct cli_opt *tables[] = { v->tables[0], v->tables[1], NULL };
	void *targets[] = { o, o };
	char usage[128];
	struct cli_opts spec = { .usage = usage, .summary = v->summary, .tables = tables, .targets = targets };
	int operand = 0, n, r;

	(void)snprintf(usage, sizeof(usage), "pqueue %s%s %s", v->name, v->tables[0] ? " [options]" : "", v->usage);
	r = cli_opts_parse(&spec, argc, argv, &operand);
	if (r != CLI_GO)
		return r;
	n = argc - operand;
	if (n < v->min)
		return cli_usage("%s: pqueue %s %s", n == 0 ? "no name given" : "nothing given after the name", v->name, v->usage);
	if (n > v->max)
		return cli_usage("'%s' is too much: pqueue %s %s", argv[operand + v->max], v->name, v->usage);
	o->name = argv[operand];
	o->words = argv + operand + (n > 0);
	o->n_words = n > 0 ? (size_t)n - 1 : 0;
	return check(o, v);
}

static const char *verb_at(size_t i, const char **ret_summary)
{
	if (i == ARRAY_SIZE(verbs))
		return NULL;
	*ret_summary = verbs[i].summary;
	return verbs[i].name;
}

static const struct cli_opts help = {
	.usage = "pqueue VERB [options] NAME ...",
	.summary = "Queues between programs. NAME is a name in the runtime directory, or a path with a slash.",
	.verb = verb_at,
};

static int run(int argc, char **argv)
{
	struct pqueue_opts opts = { .timeout = INT64_MAX, .poll = -1, .delim = '\n', .max = UINT64_C(64) << 20 };
	const struct verb *v = NULL;
	int r;

	if (argc < 2)
		return cli_usage("no verb given: pqueue put NAME, pqueue get NAME");
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
	if (cli_opts_defaults("pqueue", &argc, &argv) < 0)
		return cli_error("out of memory");
	if (!v->run)
		return pqueue_work(argc, argv);
	r = parse_options(&opts, v, argc, argv);
	if (r != CLI_GO)
		return r;
	if (opts.count == 0)
		opts.count = opts.follow || v->run == pqueue_recv ? UINT64_MAX : 1;
	return v->run(&opts);
}

int main(int argc, char **argv)
{
	cli_start("pqueue");
	cli_exit(run(argc, argv));
}
