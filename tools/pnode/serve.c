/* SPDX-License-Identifier: MIT */
/*
 * serve.c - pnode serve: listens, and hands over what connects to the node.
 *
 * On a terminal it is a console: a command a line, and the status for anything else.
 */
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "tools/cli/cpus.h"
#include "tools/cli/jobopts.h"
#include "tools/cli/rundir.h"
#include "tools/cli/signals.h"
#include "tools/cli/version.h"
#include "tools/pnode/pnode.h"

enum { LINE = 256 };

struct serve {
	const struct pnode_opts *opts;
	struct pcore_loop *loop;
	struct pnode_ports ports;
	struct pnode_peer *peers; /* the schedulers of --scheduler */
	struct pnode_place place;
	struct pcore_node *node;
	struct cli_signals signals;
	struct pcore_op console;
	char line[LINE];
	size_t line_len;
	char **env;
	char workdir[PATH_MAX];
	bool made_workdir, ending, hurry;
	int ended_by;
};

/* ---- the console ---- */

static void print_status(struct serve *s)
{
	_cleanup_(pcore_buf_done) struct pcore_buf jobs = PCORE_BUF_INIT(0), out = PCORE_BUF_INIT(0);
	struct pcore_wire_status status;

	if (pcore_node_status(s->node, &status, &jobs) == 0 && pnode_print_status(&status, false, &out) == 0)
		(void)cli_write(STDOUT_FILENO, out.data, out.len);
}

static void end(struct serve *s)
{
	s->hurry = s->ending;
	s->ending = true;
	pcore_node_shutdown(s->node, s->hurry ? PCORE_WIRE_KILL_IT : PCORE_WIRE_END_IT);
	pnode_ports_stop(&s->ports);
	pcore_op_cancel(s->loop, &s->console);
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
		end(s);
	else
		print_status(s);
}

static void read_console(struct serve *s)
{
	if (!s->ending)
		(void)pcore_op_read(s->loop, &s->console, STDIN_FILENO, s->line + s->line_len, LINE - 1 - s->line_len, -1);
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

/* ---- events ---- */

static void node_log(void *ctx, const char *text)
{
	(void)ctx;
	cli_warn("%s", text);
}

static void node_quit(void *ctx)
{
	end(ctx);
}

static void node_idle(void *ctx)
{
	struct serve *s = ctx;

	cli_signals_stop(&s->signals);
}

static void received(struct cli_signals *signals, int sig, bool by_process)
{
	struct serve *s = container_of(signals, struct serve, signals);

	if (sig == SIGHUP && by_process) {
		pnode_ports_load_keys(&s->ports);
		return;
	}
	s->ended_by = s->ended_by ? s->ended_by : sig;
	end(s);
}

static void accepted(void *ctx, struct pcore_net_conn *c)
{
	pcore_node_serve(((struct serve *)ctx)->node, c);
}

/* ---- setting up ---- */

/* A directory of our own, in the one that was named or in that for temporary files. */
static int make_workdir(struct serve *s)
{
	const char *tmp = getenv("TMPDIR"), *dir = s->opts->workdir;
	char full[PATH_MAX];

	if (!dir)
		dir = tmp && *tmp == '/' ? tmp : "/tmp";
	if (!realpath(dir, full))
		return cli_error("cannot use the directory '%s': %s", dir, strerror(errno));
	if (snprintf(s->workdir, sizeof(s->workdir), "%s/pnode.XXXXXX", full) >= (int)sizeof(s->workdir))
		return cli_error("cannot use the directory '%s': %s", dir, strerror(ENAMETOOLONG));
	if (!mkdtemp(s->workdir))
		return cli_error("cannot make a directory in '%s': %s", dir, strerror(errno));
	s->made_workdir = true;
	return CLI_GO;
}

static unsigned count_cpus(const struct pnode_opts *o)
{
	int64_t here = cli_cpus(), n = o->cpus > 0 ? o->cpus : here + o->cpus;

	return (unsigned)(n > 0 ? n : 1);
}

static int make_node(struct serve *s)
{
	const struct pnode_opts *o = s->opts;
	struct cli_job_opts job;
	struct pcore_err err;
	struct sysinfo info;
	struct pcore_node_spec spec = {
		.name = s->place.name,
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
		.log = node_log,
		.quit = node_quit,
		.idle = node_idle,
		.ctx = s,
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
	if (pcore_node_new(&s->node, s->loop, &spec, &err) < 0)
		return cli_spawn_error(&err, "a job");
	return CLI_GO;
}

/* It goes on without those that do not answer now. */
static int connect_schedulers(struct serve *s)
{
	for (size_t i = 0; i < s->opts->n_schedulers; i++)
		if (pcore_node_connect(s->node, s->ports.net, s->peers[i].text, s->peers[i].addrs, s->peers[i].n) < 0)
			cli_warn("cannot connect to the scheduler '%s': out of memory", s->peers[i].text);
	return CLI_GO;
}

static int set_up(struct serve *s)
{
	static const int caught[] = { SIGINT, SIGTERM, SIGHUP, 0 };
	const struct passwd *pw;
	int r = pnode_user(s->opts, "node", &pw);

	if (r == CLI_GO)
		r = cli_loop_new(&s->loop, PCORE_LOOP_AUTO);
	if (r == CLI_GO) /* before we are somebody else: the keys, the ports and the runtime directory may be root's */
		r = pnode_ports_open(&s->ports, s->loop, s->opts, s->place.socket);
	if (r == CLI_GO)
		r = pnode_peers(&s->peers, &s->ports, s->opts->schedulers, s->opts->n_schedulers, "scheduler", "scheduler");
	if (r == CLI_GO && pw)
		r = pnode_become(&s->place, pw);
	if (r == CLI_GO)
		r = make_workdir(s);
	if (r == CLI_GO)
		r = make_node(s);
	if (r != CLI_GO)
		return r;
	if (cli_signals_start(&s->signals, s->loop, caught) < 0)
		return cli_error("cannot watch signals: %s", strerror(errno));
	s->console.done = console_read;
	if (isatty(STDIN_FILENO) && !s->opts->detach)
		read_console(s);
	return connect_schedulers(s);
}

/* What is not removed when somebody is in a hurry stays, as all does that belongs to others. */
static void remove_workdir(const struct serve *s)
{
	struct pcore_trash trash = { .fd = open(s->workdir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) };

	if (trash.fd < 0)
		return;
	while (pcore_trash_step(&trash, 1024) > 0)
		;
	(void)pcore_fd_close(trash.fd);
	(void)rmdir(s->workdir);
}

static void tear_down(struct serve *s)
{
	pnode_ports_stop(&s->ports);
	while (s->loop && pcore_loop_turn(s->loop, false) > 0)
		;
	pcore_node_free(s->node);
	pnode_ports_free(&s->ports);
	cli_signals_done(&s->signals);
	pcore_loop_free(s->loop);
	if (s->made_workdir && !s->hurry)
		remove_workdir(s);
	free(s->env);
	free(s->peers);
	pnode_place_leave(&s->place);
}

int pnode_serve(struct pnode_opts *o)
{
	static struct serve s;
	int status;

	s = (struct serve){
		.opts = o,
		.signals = { .fd = -EBADF, .received = received },
		.ports = {
			.role = PCORE_NET_NODE,
			.peers = PCORE_NET_ROLE_BIT(PCORE_NET_SCHEDULER) | PCORE_NET_ROLE_BIT(PCORE_NET_ADMIN),
			.accept = accepted,
			.ctx = &s,
		},
	};
	(void)prctl(PR_SET_DUMPABLE, 0);
	status = pnode_place_take(&s.place, o);
	if (status == CLI_GO)
		status = set_up(&s);
	pnode_place_ready(&s.place, status);
	if (status == CLI_GO) {
		status = pcore_loop_run(s.loop);
		status = status < 0 ? cli_error("the event loop failed: %s", strerror(-status)) : CLI_OK;
	}
	tear_down(&s);
	if (s.ended_by)
		cli_die_of(s.ended_by);
	return status;
}
