/* SPDX-License-Identifier: MIT */
/*
 * scheduler.c - pnode scheduler: a scheduler for many clients, its state and its ports.
 */
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/cli/version.h"
#include "tools/pnode/pnode.h"

struct scheduler {
	struct pnode_server server;
	struct pcore_shared *shared;
	char state[PATH_MAX];
	int state_fd;
	bool made_state;
};

/* ---- events ---- */

static void end(struct pnode_server *server)
{
	pcore_shared_stop(container_of(server, struct scheduler, server)->shared);
	pnode_ports_stop(&server->ports);
}

static void failed(void *ctx, int error)
{
	struct pnode_server *server = ctx;
	const struct scheduler *s = container_of(server, struct scheduler, server);

	server->status = cli_error("the state in '%s' cannot be kept: %s", s->state, strerror(-error));
	end(server);
}

static void accepted(void *ctx, struct pcore_net_conn *c)
{
	pcore_shared_accept(((struct scheduler *)ctx)->shared, c);
}

/* ---- setting up ---- */

/* The directory that was named, made if it is missing; or one that goes when we do. */
static int open_state(struct scheduler *s)
{
	const char *dir = s->server.opts->state;
	const struct passwd *pw = s->server.user;
	bool made = true;
	int r = CLI_GO;

	if (dir) {
		made = mkdir(dir, 0700) == 0;
		if (!made && errno != EEXIST)
			return cli_error("cannot make the directory '%s': %s", dir, strerror(errno));
		(void)snprintf(s->state, sizeof(s->state), "%s", dir);
	} else {
		r = pnode_dir_make(s->state, NULL);
		s->made_state = r == CLI_GO;
	}
	if (r != CLI_GO)
		return r;
	if (made && pw && chown(s->state, pw->pw_uid, pw->pw_gid) < 0)
		return cli_error("cannot give '%s' the directory '%s': %s", pw->pw_name, s->state, strerror(errno));
	s->state_fd = open(s->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->state_fd < 0)
		return cli_error("cannot use the directory '%s': %s", s->state, strerror(errno));
	return CLI_GO;
}

static int make_shared(struct scheduler *s)
{
	const struct pnode_opts *o = s->server.opts;
	const struct pcore_shared_spec spec = {
		.name = s->server.place.name,
		.software = "pcore " PCORE_VERSION,
		.policy = o->policy,
		.state_fd = s->state_fd,
		.durable = o->state != NULL,
		.grace_ns = o->grace,
		.keep_ns = o->keep,
		.max_output = o->max_output,
		.log = pnode_server_log,
		.failed = failed,
		.quit = pnode_server_quit,
		.idle = pnode_server_idle,
		.ctx = &s->server,
	};
	int r = pcore_shared_new(&s->shared, s->server.loop, &spec);

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
static int make_shared_as_user(struct scheduler *s)
{
	const struct passwd *pw = s->server.user;
	int r;

	if (!pw)
		return make_shared(s);
	r = pnode_act_as(pw);
	if (r != CLI_GO)
		return r;
	r = make_shared(s);
	return pnode_act_as(NULL) == CLI_GO ? r : CLI_FAILURE;
}

static void connect_nodes(struct scheduler *s)
{
	const struct pnode_peer *peers = s->server.peers;

	for (size_t i = 0; i < s->server.opts->nodes.n; i++)
		if (pcore_shared_connect(s->shared, peers[i].text, peers[i].addrs, peers[i].n) < 0)
			cli_warn("cannot connect to the node '%s': out of memory", peers[i].text);
}

static int set_up(struct pnode_server *server)
{
	struct scheduler *s = container_of(server, struct scheduler, server);
	const struct cli_addrs *nodes = &server->opts->nodes;
	int r = open_state(s);

	if (r == CLI_GO)
		r = make_shared_as_user(s);
	if (r != CLI_GO)
		return r;
	server->ports.instance = pcore_shared_instance(s->shared);
	r = pnode_server_open(server, nodes->words, nodes->n, "node", "nodes");
	if (r != CLI_GO)
		return r;
	r = pcore_shared_start(s->shared, server->ports.net);
	if (r < 0)
		return cli_error("cannot use the state in '%s': %s", s->state, strerror(-r));
	r = pnode_server_watch_signals(server);
	if (r == CLI_GO)
		connect_nodes(s);
	return r;
}

static void release(struct pnode_server *server)
{
	struct scheduler *s = container_of(server, struct scheduler, server);

	pcore_shared_free(s->shared);
	s->state_fd = pcore_fd_close(s->state_fd);
	if (s->made_state)
		pnode_dir_remove(s->state);
}

int pnode_scheduler(struct pnode_opts *o)
{
	static struct scheduler s;

	if (!o->name)
		o->name = "scheduler";
	s = (struct scheduler){
		.state_fd = -EBADF,
		.server = {
			.opts = o,
			.what = "scheduler",
			.set_up = set_up,
			.end = end,
			.release = release,
			.ports = {
				.role = PCORE_NET_SCHEDULER,
				.peers = PCORE_NET_ROLE_BIT(PCORE_NET_NODE) | PCORE_NET_ROLE_BIT(PCORE_NET_CLIENT) | PCORE_NET_ROLE_BIT(PCORE_NET_ADMIN),
				.accept = accepted,
				.ctx = &s,
			},
		},
	};
	return pnode_server_run(&s.server);
}
