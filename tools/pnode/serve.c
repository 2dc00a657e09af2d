/* SPDX-License-Identifier: MIT */
/*
 * serve.c - pnode serve: listens, and hands over what connects to the node.
 *
 * On a terminal it is a console: a command a line, and the status for anything else.
 */
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "tools/cli/cpus.h"
#include "tools/cli/jobopts.h"
#include "tools/cli/version.h"
#include "tools/pnode/pnode.h"

enum { LINE = 256 };

struct serve {
	struct pnode_server server;
	struct pcore_node *node;
	struct pcore_op console;
	char line[LINE];
	size_t line_len;
	char **env;
	char workdir[PATH_MAX];
	bool made_workdir, ending, hurry;
};

/* ---- the console ---- */

static void print_status(struct serve *s)
{
	_cleanup_(pcore_buf_done) struct pcore_buf jobs = PCORE_BUF_INIT(0), out = PCORE_BUF_INIT(0);
	struct pcore_wire_status status;

	if (pcore_node_status(s->node, &status, &jobs) == 0 && pnode_print_status(&status, false, &out) == 0)
		(void)cli_write(STDOUT_FILENO, out.data, out.len);
}

static void end(struct pnode_server *server)
{
	struct serve *s = container_of(server, struct serve, server);

	s->hurry = s->ending;
	s->ending = true;
	pcore_node_shutdown(s->node, s->hurry ? PCORE_WIRE_KILL_IT : PCORE_WIRE_END_IT);
	pnode_ports_stop(&server->ports);
	pcore_op_cancel(server->loop, &s->console);
}

static void set_cpus(struct serve *s, const char *text)
{
	bool less = *text == '-';
	uint64_t n;

	if (pcore_parse_u64(text + less, 0, UINT16_MAX, &n) < 0 ||
		pcore_node_control(s->node, PCORE_WIRE_CPUS, less ? -(int64_t)n : (int64_t)n) < 0)
		cli_warn("it cannot offer '%s' CPUs", text);
}

static void obey(struct serve *s, const char *line)
{
	if (strcmp(line, "stop") == 0)
		(void)pcore_node_control(s->node, PCORE_WIRE_STOP, 0);
	else if (strcmp(line, "start") == 0)
		(void)pcore_node_control(s->node, PCORE_WIRE_START, 0);
	else if (strcmp(line, "drain") == 0)
		(void)pcore_node_control(s->node, PCORE_WIRE_DRAIN_IT, 0);
	else if (strncmp(line, "cpus ", 5) == 0)
		set_cpus(s, line + 5);
	else if (strcmp(line, "quit") == 0)
		end(&s->server);
	else
		print_status(s);
}

static void read_console(struct serve *s)
{
	if (!s->ending)
		(void)pcore_op_read(s->server.loop, &s->console, STDIN_FILENO, s->line + s->line_len, LINE - 1 - s->line_len, -1);
}

static void console_read(struct pcore_op *op, int res)
{
	struct serve *s = container_of(op, struct serve, console);
	char *newline;

	if (res <= 0)
		return; /* the terminal has gone; the node stays */
	s->line_len += (size_t)res;
	s->line[s->line_len] = '\0';
	while ((newline = strchr(s->line, '\n'))) {
		*newline = '\0';
		obey(s, s->line);
		s->line_len -= (size_t)(newline + 1 - s->line);
		memmove(s->line, newline + 1, s->line_len + 1);
	}
	if (s->line_len == LINE - 1)
		s->line_len = 0;
	read_console(s);
}

/* ---- the node ---- */

static void accepted(void *ctx, struct pcore_net_conn *c)
{
	pcore_node_serve(((struct serve *)ctx)->node, c);
}

static unsigned count_cpus(const struct pnode_opts *o)
{
	int64_t here = cli_cpus(), n = o->cpus > 0 ? o->cpus : here + o->cpus;

	return (unsigned)(n > 0 ? n : 1);
}

static int make_node(struct serve *s)
{
	const struct pnode_opts *o = s->server.opts;
	struct cli_job_opts job;
	struct pcore_err err;
	struct sysinfo info;
	struct pcore_node_spec spec = {
		.name = s->server.place.name,
		.software = "pcore " PCORE_VERSION,
		.cpus = count_cpus(o),
		.cpus_here = cli_cpus(),
		.memory = o->memory,
		.labels = o->n_labels > 0 ? (char *const *)o->labels : NULL,
		.resources = o->resources,
		.n_resources = o->n_resources,
		.workdir = s->workdir,
		.sandbox = o->sandbox,
		.grace_ns = o->grace,
		.log = pnode_server_log,
		.quit = pnode_server_quit,
		.idle = pnode_server_idle,
		.ctx = &s->server,
	};
	size_t n;

	cli_job_opts_init(&job);
	job.basic_env = true;
	s->env = cli_job_env(&job, 0, &n);
	cli_job_opts_done(&job);
	spec.env = s->env;
	if (spec.memory == 0 && sysinfo(&info) == 0)
		spec.memory = (uint64_t)info.totalram * info.mem_unit;
	if (!s->env)
		return cli_error("out of memory");
	if (pcore_node_new(&s->node, s->server.loop, &spec, &err) < 0)
		return cli_spawn_error(&err, "a job");
	return CLI_GO;
}

/* It goes on without those that do not answer now. */
static void connect_schedulers(struct serve *s)
{
	const struct pnode_peer *peers = s->server.peers;

	for (size_t i = 0; i < s->server.opts->n_schedulers; i++)
		if (pcore_node_connect(s->node, s->server.ports.net, peers[i].text, peers[i].addrs, peers[i].n) < 0)
			cli_warn("cannot connect to the scheduler '%s': out of memory", peers[i].text);
}

/* ---- from its start to its end ---- */

static int set_up(struct pnode_server *server)
{
	struct serve *s = container_of(server, struct serve, server);
	const struct pnode_opts *o = server->opts;
	int r = pnode_server_open(server, o->schedulers, o->n_schedulers, "scheduler", "scheduler");

	if (r == CLI_GO)
		r = pnode_dir_make(s->workdir, o->workdir);
	if (r != CLI_GO)
		return r;
	s->made_workdir = true;
	r = make_node(s);
	if (r == CLI_GO)
		r = pnode_server_watch_signals(server);
	if (r != CLI_GO)
		return r;
	s->console.done = console_read;
	if (isatty(STDIN_FILENO) && !o->detach)
		read_console(s);
	connect_schedulers(s);
	return CLI_GO;
}

/* What is not removed when somebody is in a hurry stays, as all does that belongs to others. */
static void release(struct pnode_server *server)
{
	struct serve *s = container_of(server, struct serve, server);

	pcore_node_free(s->node);
	if (s->made_workdir && !s->hurry)
		pnode_dir_remove(s->workdir);
	free(s->env);
}

int pnode_serve(struct pnode_opts *o)
{
	static struct serve s;

	s = (struct serve){
		.server = {
			.opts = o,
			.what = "node",
			.set_up = set_up,
			.end = end,
			.release = release,
			.ports = {
				.role = PCORE_NET_NODE,
				.peers = PCORE_NET_ROLE_BIT(PCORE_NET_SCHEDULER) | PCORE_NET_ROLE_BIT(PCORE_NET_ADMIN),
				.accept = accepted,
				.ctx = &s,
			},
		},
	};
	return pnode_server_run(&s.server);
}
