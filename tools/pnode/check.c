/* SPDX-License-Identifier: MIT */
/*
 * check.c - pnode check: can this machine do what the options of pnode serve say? A line for each thing, and what to do about
 * each no. Nothing is left behind.
 */
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/cli/jobopts.h"
#include "tools/cli/rundir.h"
#include "tools/pnode/pnode.h"

struct check {
	const struct pnode_opts *opts;
	struct pcore_loop *loop;
	struct pcore_net_keys *keys;
	struct pcore_net *net;
	struct pcore_buf out;
	bool failed;
};

static void tell(struct check *c, bool yes, const char *what, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static void tell(struct check *c, bool yes, const char *what, const char *fmt, ...)
{
	char text[512], safe[4 * sizeof(text)];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)pcore_escape(safe, sizeof(safe), text, strlen(text));
	(void)pcore_buf_addf(&c->out, "%-3s  %-8s %s\n", yes ? "yes" : "no", what, safe);
	c->failed = c->failed || !yes;
}

static void check_user(struct check *c)
{
	const char *name = c->opts->user;
	const struct passwd *pw = name ? getpwnam(name) : NULL;

	if (name && geteuid() != 0)
		tell(c, false, "user", "only root can become '%s': leave out --user", name);
	else if (name && !pw)
		tell(c, false, "user", "there is no '%s': name another one with --user", name);
	else if ((name ? pw->pw_uid : geteuid()) == 0)
		tell(c, false, "user", "a node does not run as root: say --user NAME");
	else
		tell(c, true, "user", "jobs run as user %u", name ? pw->pw_uid : geteuid());
}

static void check_loop(struct check *c)
{
	const char *name = pcore_loop_name(c->loop);

	if (strcmp(name, "epoll") == 0)
		tell(c, true, "loop", "epoll: io_uring is not to be had or not wanted here, which costs a little time");
	else
		tell(c, true, "loop", "%s", name);
}

struct probe {
	struct pcore_proc proc;
	bool closed;
};

static void probe_event(struct pcore_proc *p, enum pcore_proc_event ev)
{
	container_of(p, struct probe, proc)->closed = ev == PCORE_PROC_CLOSED;
}

static void check_sandbox(struct check *c, struct pcore_tree *tree, const char *level)
{
	const struct pcore_sandbox_spec spec = { .size = sizeof(spec), .level = c->opts->sandbox };
	const struct pcore_proc_times times = { .timeout = 10 * NS_PER_S, .kill_after = NS_PER_S, .linger = 0, .signal = SIGTERM };
	static char *argv[] = { (char *)"true", NULL };
	static char *envp[] = { (char *)"PATH=/usr/bin:/bin", NULL };
	struct pcore_proc_spec proc = { .size = sizeof(proc), .argv = argv, .envp = envp, .file = "/bin/true" };
	struct probe probe = { .proc.event = probe_event };
	struct pcore_sandbox *sandbox = NULL;
	struct pcore_err err = { 0 };
	int r = c->opts->sandbox == PCORE_SANDBOX_NONE ? 0 : pcore_sandbox_compile(&spec, &sandbox, &err);

	proc.sandbox = sandbox;
	if (r == 0)
		r = pcore_proc_start(&probe.proc, c->loop, tree, &proc, &times, &err);
	while (r == 0 && !probe.closed && pcore_loop_turn(c->loop, true) >= 0)
		;
	if (r < 0)
		tell(c, false, "sandbox", "%s: %s: %s: take a lower level with --sandbox", level, pcore_step_name(err.step), strerror(-r));
	else if (pcore_exit_status(&probe.proc.exit) != 0)
		tell(c, false, "sandbox", "%s: a command ends with %d in it: take a lower level", level, pcore_exit_status(&probe.proc.exit));
	else
		tell(c, true, "sandbox", "%s", level);
	pcore_sandbox_free(sandbox);
}

static void check_jobs(struct check *c)
{
	struct pcore_keeper *keeper = NULL;
	struct pcore_tree *tree = NULL;
	struct pcore_err err = { 0 };
	int r = pcore_keeper_new(&keeper, false, c->opts->sandbox == PCORE_SANDBOX_STRICT, &err);

	if (r == 0)
		r = pcore_tree_new(&tree, keeper, &err);
	if (r < 0) {
		tell(c, false, "jobs", "%s: %s", pcore_step_name(err.step), strerror(-r));
	} else {
		const char *method = pcore_tree_method_name(tree);

		if (strcmp(method, "cgroup") == 0)
			tell(c, true, "jobs", "are kept together by cgroup");
		else
			tell(c, true, "jobs", "are kept together by %s: a cgroup of our own (systemd: Delegate=yes) would be surer", method);
		check_sandbox(c, tree, pcore_sandbox_level_name(c->opts->sandbox));
	}
	pcore_tree_free(tree);
	pcore_keeper_free(keeper);
}

static void check_key(struct check *c)
{
	const struct pnode_opts *o = c->opts;
	struct pcore_net_spec spec = {
		.role = PCORE_NET_NODE,
		.peers = PCORE_NET_ROLE_BIT(PCORE_NET_SCHEDULER),
		.version_min = PCORE_WIRE_VERSION,
		.version_max = PCORE_WIRE_VERSION,
		.tls_cert = o->tls_cert,
		.tls_key = o->tls_key,
		.tls_ca = o->tls_ca,
	};
	struct pcore_net_error err;

	if (!o->tls_cert && pnode_keys(&c->keys) != CLI_GO) { /* which has said why */
		tell(c, false, "key", "cannot be used: make another one with `pnode keygen', or chmod 600 it");
		return;
	}
	spec.keys = c->keys;
	if (pcore_net_new(&c->net, c->loop, &spec, &err) < 0)
		tell(c, false, o->tls_cert ? "tls" : "key", "%s", err.why);
	else if (o->tls_cert)
		tell(c, true, "tls", "the certificate, its key and the authority fit");
	else if (c->keys)
		tell(c, true, "key", "%zu in the file", pcore_net_keys_count(c->keys));
	else
		tell(c, true, "key", "none: only Unix sockets can be served; `pnode keygen' makes one");
}

static void nobody(struct pcore_net_listener *l, void *ctx, struct pcore_net_conn *c)
{
	(void)l;
	(void)ctx;
	pcore_net_abort(c);
}

static void check_port(struct check *c, const char *text)
{
	static const struct pcore_net_listener_ops ops = { .accepted = nobody };
	struct pcore_net_listener *l = NULL;
	struct pcore_net_error err;
	struct pcore_net_addr addr;
	int r;

	if (!c->net) {
		tell(c, false, "listen", "'%s': see the key", text);
		return;
	}
	r = pcore_net_addr_parse(&addr, 1, text, true, &err);
	if (r >= 0)
		r = pcore_net_listen(&l, c->net, &addr, &ops, NULL, &err);
	if (r == -ENOKEY)
		tell(c, false, "listen", "'%s': there is no key: make one with `pnode keygen'", text);
	else if (r == -EADDRINUSE)
		tell(c, false, "listen", "'%s' is in use: another port, or end what listens there", text);
	else if (r < 0)
		tell(c, false, "listen", "'%s': %s", text, err.why);
	else
		tell(c, true, "listen", "'%s'", text);
	pcore_net_listener_stop(l);
}

static void check_dirs(struct check *c)
{
	const char *tmp = getenv("TMPDIR"), *dir = c->opts->workdir;
	int fd = cli_rundir_open("nodes");

	if (fd < 0) /* which has said why */
		tell(c, false, "rundir", "'%s' cannot be used: set PCORE_RUNTIME_DIR", cli_rundir_path());
	else
		tell(c, true, "rundir", "'%s'", cli_rundir_path());
	(void)pcore_fd_close(fd);
	if (!dir)
		dir = tmp && *tmp == '/' ? tmp : "/tmp";
	if (access(dir, W_OK | X_OK) < 0)
		tell(c, false, "workdir", "'%s': %s: name another one with --workdir", dir, strerror(errno));
	else
		tell(c, true, "workdir", "'%s'", dir);
}

int pnode_check(struct pnode_opts *o)
{
	struct check c = { .opts = o, .out = PCORE_BUF_INIT(0) };
	int r = cli_loop_new(&c.loop, PCORE_LOOP_AUTO);

	if (r != CLI_GO)
		return r;
	check_user(&c);
	check_loop(&c);
	check_jobs(&c);
	check_dirs(&c);
	check_key(&c);
	for (size_t i = 0; i < o->n_listen; i++)
		check_port(&c, o->listen[i]);
	while (pcore_loop_turn(c.loop, false) > 0)
		;
	pcore_net_free(c.net);
	pcore_net_keys_free(c.keys);
	pcore_loop_free(c.loop);
	r = pcore_buf_addc(&c.out, '\0') < 0 ? cli_error("out of memory") : cli_print(c.out.data);
	pcore_buf_done(&c.out);
	return r == CLI_OK && c.failed ? CLI_NO : r;
}
