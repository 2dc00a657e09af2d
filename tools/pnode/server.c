/* SPDX-License-Identifier: MIT */
/*
 * server.c - what pnode serve and pnode scheduler have in common: a name, a loop, ports and signals, until all has ended.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tools/cli/jobopts.h"
#include "tools/pnode/pnode.h"

/* ---- events ---- */

void pnode_server_log(void *ctx, const char *text)
{
	(void)ctx;
	cli_warn("%s", text);
}

void pnode_server_quit(void *ctx)
{
	struct pnode_server *s = ctx;

	s->end(s);
}

void pnode_server_idle(void *ctx)
{
	struct pnode_server *s = ctx;

	cli_signals_stop(&s->signals);
}

static void received(struct cli_signals *signals, int sig, bool by_process)
{
	struct pnode_server *s = container_of(signals, struct pnode_server, signals);

	if (sig == SIGHUP && by_process) {
		pnode_ports_load_keys(&s->ports);
		return;
	}
	s->ended_by = s->ended_by ? s->ended_by : sig;
	s->end(s);
}

/* ---- setting up ---- */

/* Before we are somebody else: the keys, the ports and the runtime directory may be root's. */
int pnode_server_open(struct pnode_server *s, const char *const *peers, size_t n, const char *what, const char *option)
{
	int r = pnode_ports_open(&s->ports, s->loop, s->opts, s->place.socket, s->user);

	if (r == CLI_GO)
		r = pnode_peers(&s->peers, &s->ports, peers, n, what, option);
	if (r == CLI_GO && s->user)
		r = pnode_become(&s->place, s->user);
	return r;
}

int pnode_server_watch_signals(struct pnode_server *s)
{
	static const int caught[] = { SIGINT, SIGTERM, SIGHUP, 0 };
	int r = cli_signals_start(&s->signals, s->loop, caught);

	return r < 0 ? cli_error("cannot watch signals: %s", strerror(-r)) : CLI_GO;
}

int pnode_dir_make(char ret[static PATH_MAX], const char *parent)
{
	const char *tmp = getenv("TMPDIR");
	char full[PATH_MAX];

	if (!parent)
		parent = tmp && *tmp == '/' ? tmp : "/tmp";
	if (!realpath(parent, full))
		return cli_error("cannot use the directory '%s': %s", parent, strerror(errno));
	if (snprintf(ret, PATH_MAX, "%s/pnode.XXXXXX", full) >= PATH_MAX)
		return cli_error("cannot use the directory '%s': %s", parent, strerror(ENAMETOOLONG));
	if (!mkdtemp(ret))
		return cli_error("cannot make a directory in '%s': %s", parent, strerror(errno));
	return CLI_GO;
}

void pnode_dir_remove(const char *path)
{
	struct pcore_trash trash = { .fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) };

	if (trash.fd < 0)
		return;
	while (pcore_trash_step(&trash, 1024) > 0)
		;
	(void)pcore_fd_close(trash.fd);
	(void)rmdir(path);
}

/* ---- from its start to its end ---- */

static int set_up(struct pnode_server *s)
{
	int r = pnode_user(s->opts, s->what, &s->user);

	if (r == CLI_GO)
		r = cli_loop_new(&s->loop, PCORE_LOOP_AUTO);
	return r == CLI_GO ? s->set_up(s) : r;
}

static void tear_down(struct pnode_server *s)
{
	pnode_ports_stop(&s->ports);
	while (s->loop && pcore_loop_turn(s->loop, false) > 0)
		;
	s->release(s);
	pnode_ports_free(&s->ports);
	cli_signals_done(&s->signals);
	pcore_loop_free(s->loop);
	free(s->peers);
	pnode_place_leave(&s->place);
}

int pnode_server_run(struct pnode_server *s)
{
	int status;

	s->signals = (struct cli_signals){ .fd = -EBADF, .received = received };
	s->status = CLI_OK;
	(void)prctl(PR_SET_DUMPABLE, 0);
	status = pnode_place_take(&s->place, s->opts);
	if (status == CLI_GO)
		status = set_up(s);
	pnode_place_ready(&s->place, status);
	if (status == CLI_GO) {
		status = pcore_loop_run(s->loop);
		status = status < 0 ? cli_error("the event loop failed: %s", strerror(-status)) : s->status;
	}
	tear_down(s);
	if (s->ended_by && status == CLI_OK)
		cli_die_of(s->ended_by);
	return status;
}
