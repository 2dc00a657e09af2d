/* SPDX-License-Identifier: MIT */
/*
 * scheduler.c - pnode scheduler: a scheduler for many clients, its state and its ports.
 */
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/cli/jobopts.h"
#include "tools/cli/signals.h"
#include "tools/cli/version.h"
#include "tools/pnode/pnode.h"

struct scheduler {
	const struct pnode_opts *opts;
	struct pcore_loop *loop;
	struct pnode_ports ports;
	struct pnode_peer *peers; /* the nodes of --nodes */
	struct pnode_place place;
	struct pcore_shared *shared;
	struct cli_signals signals;
	char state[PATH_MAX];
	int state_fd;
	bool made_state;
	int ended_by, status;
};

/* ---- events ---- */

static void shared_log(void *ctx, const char *text)
{
	(void)ctx;
	cli_warn("%s", text);
}

static void end(struct scheduler *s)
{
	pcore_shared_stop(s->shared);
	pnode_ports_stop(&s->ports);
}

static void shared_failed(void *ctx, int error)
{
	struct scheduler *s = ctx;

	s->status = cli_error("the state in '%s' cannot be kept: %s", s->state, strerror(-error));
	end(s);
}

static void shared_quit(void *ctx)
{
	end(ctx);
}

static void shared_idle(void *ctx)
{
	struct scheduler *s = ctx;

	cli_signals_stop(&s->signals);
}

static void received(struct cli_signals *signals, int sig, bool by_process)
{
	struct scheduler *s = container_of(signals, struct scheduler, signals);

	if (sig == SIGHUP && by_process) {
		pnode_ports_load_keys(&s->ports);
		return;
	}
	s->ended_by = s->ended_by ? s->ended_by : sig;
	end(s);
}

static void accepted(void *ctx, struct pcore_net_conn *c)
{
	pcore_shared_accept(((struct scheduler *)ctx)->shared, c);
}

/* ---- setting up ---- */

/* The directory that was named, made if it is missing; or one that goes when we do. */
static int open_state(struct scheduler *s, const struct passwd *pw)
{
	const char *tmp = getenv("TMPDIR"), *dir = s->opts->state;

	if (dir) {
		bool made = mkdir(dir, 0700) == 0;

		if (!made && errno != EEXIST)
			return cli_error("cannot make the directory '%s': %s", dir, strerror(errno));
		if (made && pw && chown(dir, pw->pw_uid, pw->pw_gid) < 0)
			return cli_error("cannot give '%s' the directory '%s': %s", pw->pw_name, dir, strerror(errno));
		(void)snprintf(s->state, sizeof(s->state), "%s", dir);
	} else {
		if (snprintf(s->state, sizeof(s->state), "%s/pnode.XXXXXX", tmp && *tmp == '/' ? tmp : "/tmp") >= (int)sizeof(s->state))
			return cli_error("cannot use the directory '%s': %s", tmp, strerror(ENAMETOOLONG));
		if (!mkdtemp(s->state))
			return cli_error("cannot make the directory '%s': %s", s->state, strerror(errno));
		s->made_state = true;
		if (pw && chown(s->state, pw->pw_uid, pw->pw_gid) < 0)
			return cli_error("cannot give '%s' the directory '%s': %s", pw->pw_name, s->state, strerror(errno));
	}
	s->state_fd = open(s->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->state_fd < 0)
		return cli_error("cannot use the directory '%s': %s", s->state, strerror(errno));
	return CLI_GO;
}

static int make_shared(struct scheduler *s)
{
	const struct pnode_opts *o = s->opts;
	const struct pcore_shared_spec spec = {
		.name = s->place.name,
		.software = "pcore " PCORE_VERSION,
		.policy = o->policy,
		.state_fd = s->state_fd,
		.durable = o->state != NULL,
		.grace_ns = o->grace,
		.keep_ns = o->keep,
		.max_output = o->max_output,
		.log = shared_log,
		.failed = shared_failed,
		.quit = shared_quit,
		.idle = shared_idle,
		.ctx = s,
	};
	int r = pcore_shared_new(&s->shared, s->loop, &spec);

	if (r == -EBADMSG) {
		(void)cli_error("the state in '%s' is damaged", s->state);
		return CLI_CORRUPT;
	}
	if (r == -EBUSY) {
		(void)cli_error("another scheduler uses the state in '%s'", s->state);
		return CLI_BUSY;
	}
	return r < 0 ? cli_error("cannot use the state in '%s': %s", s->state, strerror(-r)) : CLI_GO;
}

/* What it makes belongs to who we become. */
static int make_shared_as(struct scheduler *s, const struct passwd *pw)
{
	int r;

	if (!pw)
		return make_shared(s);
	if (setegid(pw->pw_gid) < 0 || seteuid(pw->pw_uid) < 0)
		return cli_error("cannot become user '%s': %s", pw->pw_name, strerror(errno));
	r = make_shared(s);
	if (seteuid(0) < 0 || setegid(0) < 0)
		return cli_error("cannot become root again: %s", strerror(errno));
	return r;
}

static void connect_nodes(struct scheduler *s)
{
	for (size_t i = 0; i < s->opts->nodes.n; i++)
		if (pcore_shared_connect(s->shared, s->peers[i].text, s->peers[i].addrs, s->peers[i].n) < 0)
			cli_warn("cannot connect to the node '%s': out of memory", s->peers[i].text);
}

static int set_up(struct scheduler *s)
{
	static const int caught[] = { SIGINT, SIGTERM, SIGHUP, 0 };
	const struct passwd *pw;
	int r = pnode_user(s->opts, "scheduler", &pw);

	if (r == CLI_GO)
		r = cli_loop_new(&s->loop, PCORE_LOOP_AUTO);
	if (r == CLI_GO)
		r = open_state(s, pw);
	if (r == CLI_GO)
		r = make_shared_as(s, pw);
	if (r != CLI_GO)
		return r;
	s->ports.instance = pcore_shared_instance(s->shared);
	r = pnode_ports_open(&s->ports, s->loop, s->opts, s->place.socket);
	if (r == CLI_GO)
		r = pnode_peers(&s->peers, &s->ports, s->opts->nodes.words, s->opts->nodes.n, "node", "nodes");
	if (r == CLI_GO && pw)
		r = pnode_become(&s->place, pw);
	if (r != CLI_GO)
		return r;
	r = pcore_shared_start(s->shared, s->ports.net);
	if (r < 0)
		return cli_error("cannot use the state in '%s': %s", s->state, strerror(-r));
	if (cli_signals_start(&s->signals, s->loop, caught) < 0)
		return cli_error("cannot watch signals: %s", strerror(errno));
	connect_nodes(s);
	return CLI_GO;
}

static void remove_state(struct scheduler *s)
{
	struct pcore_trash trash = { .fd = s->state_fd };

	while (pcore_trash_step(&trash, 1024) > 0)
		;
	(void)rmdir(s->state);
}

static void tear_down(struct scheduler *s)
{
	pnode_ports_stop(&s->ports);
	while (s->loop && pcore_loop_turn(s->loop, false) > 0)
		;
	pcore_shared_free(s->shared);
	pnode_ports_free(&s->ports);
	cli_signals_done(&s->signals);
	pcore_loop_free(s->loop);
	if (s->made_state)
		remove_state(s);
	s->state_fd = pcore_fd_close(s->state_fd);
	free(s->peers);
	pnode_place_leave(&s->place);
}

int pnode_scheduler(struct pnode_opts *o)
{
	static struct scheduler s;
	int status;

	s = (struct scheduler){
		.opts = o,
		.signals = { .fd = -EBADF, .received = received },
		.state_fd = -EBADF,
		.status = CLI_OK,
		.ports = {
			.role = PCORE_NET_SCHEDULER,
			.peers = PCORE_NET_ROLE_BIT(PCORE_NET_NODE) | PCORE_NET_ROLE_BIT(PCORE_NET_CLIENT) | PCORE_NET_ROLE_BIT(PCORE_NET_ADMIN),
			.accept = accepted,
			.ctx = &s,
		},
	};
	(void)prctl(PR_SET_DUMPABLE, 0);
	if (!o->name)
		o->name = "scheduler";
	status = pnode_place_take(&s.place, o);
	if (status == CLI_GO)
		status = set_up(&s);
	pnode_place_ready(&s.place, status);
	if (status == CLI_GO) {
		status = pcore_loop_run(s.loop);
		status = status < 0 ? cli_error("the event loop failed: %s", strerror(-status)) : s.status;
	}
	tear_down(&s);
	if (s.ended_by && status == CLI_OK)
		cli_die_of(s.ended_by);
	return status;
}
