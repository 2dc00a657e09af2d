/* SPDX-License-Identifier: MIT */
/*
 * ports.c - where a node or a scheduler can be reached: its end of connections, its keys and its listeners.
 */
#include <grp.h>
#include <libgen.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/cli/opts.h"
#include "tools/pnode/pnode.h"

static void accepted(struct pcore_net_listener *l, void *ctx, struct pcore_net_conn *c)
{
	struct pnode_ports *p = ctx;

	(void)l;
	p->accept(p->ctx, c);
}

static void refused(struct pcore_net_listener *l, void *ctx, const char *address, const struct pcore_net_error *e, uint64_t untold)
{
	(void)l;
	(void)ctx;
	if (untold > 0)
		cli_warn("%s: %s (and %llu more)", address, e->why, (unsigned long long)untold);
	else
		cli_warn("%s: %s", address, e->why);
}

static int listen_at(struct pnode_ports *p, const char *text)
{
	static const struct pcore_net_listener_ops ops = { .accepted = accepted, .refused = refused };
	char where[PCORE_NET_ADDR_MAX];
	struct pcore_net_addr addr;
	struct pcore_net_error err;
	int r = pcore_net_addr_parse(&addr, 1, text, true, &err);

	if (r < 0)
		return cli_opt_bad("listen", text, err.why);
	r = pcore_net_listen(&p->listeners[p->n], p->net, &addr, &ops, p, &err);
	if (r == -ENOKEY)
		return cli_error("cannot listen on '%s': there is no key; make one with `pnode keygen'", text);
	if (r < 0)
		return cli_error("cannot listen on '%s': %s", text, err.why);
	if (!addr.path) {
		char line[PCORE_NET_ADDR_MAX + 32];

		(void)pcore_net_addr_text(pcore_net_listener_addr(p->listeners[p->n]), where);
		(void)snprintf(line, sizeof(line), "listening on %s\n", where);
		(void)cli_write(STDOUT_FILENO, line, strlen(line));
	}
	p->n++;
	return CLI_GO;
}

int pnode_act_as(const struct passwd *pw)
{
	if (!pw && (seteuid(0) < 0 || setegid(0) < 0))
		return cli_error("cannot become root again: %s", strerror(errno));
	if (pw && (setegid(pw->pw_gid) < 0 || seteuid(pw->pw_uid) < 0))
		return cli_error("cannot become user '%s': %s", pw->pw_name, strerror(errno));
	return CLI_GO;
}

/* Its directory has to be theirs, as otherwise only root would get through; one that is missing is made for them. */
static int listen_as(struct pnode_ports *p, const char *text, const struct passwd *pw)
{
	_cleanup_(freep) char *path = strdup(text + strlen("unix:"));
	const char *dir;
	int r;

	if (!path)
		return cli_error("out of memory");
	dir = dirname(path);
	if (mkdir(dir, 0700) == 0 && lchown(dir, pw->pw_uid, pw->pw_gid) < 0)
		return cli_error("cannot give '%s' the directory '%s': %s", pw->pw_name, dir, strerror(errno));
	r = pnode_act_as(pw);
	if (r != CLI_GO)
		return r;
	r = listen_at(p, text);
	return pnode_act_as(NULL) == CLI_GO ? r : CLI_FAILURE;
}

int pnode_ports_open(struct pnode_ports *p, struct pcore_loop *lp, const struct pnode_opts *o, const char *socket, const struct passwd *pw)
{
	int r = pnode_net(&p->net, &p->keys, lp, o, p->role, p->peers, p->instance);

	p->opts = o;
	if (r == CLI_GO)
		r = listen_at(p, socket);
	for (size_t i = 0; r == CLI_GO && i < o->n_listen; i++)
		r = pw && strncmp(o->listen[i], "unix:", 5) == 0 ? listen_as(p, o->listen[i], pw) : listen_at(p, o->listen[i]);
	return r;
}

int pnode_peers(struct pnode_peer **ret, const struct pnode_ports *p, const char *const *words, size_t n, const char *what, const char *option)
{
	struct pcore_net_error err;

	*ret = calloc(n + 1, sizeof(**ret));
	if (!*ret)
		return cli_error("out of memory");
	for (size_t i = 0; i < n; i++) {
		struct pnode_peer *peer = &(*ret)[i];
		int found = pcore_net_addr_parse(peer->addrs, ARRAY_SIZE(peer->addrs), words[i], true, &err);

		if (found == -EINVAL)
			return cli_opt_bad(option, words[i], err.why);
		if (found < 0)
			return cli_error("cannot reach the %s '%s': %s", what, words[i], err.why);
		if (!peer->addrs[0].path && !p->keys && !p->opts->tls_cert)
			return cli_error("cannot connect to '%s': there is no key; make one with `pnode keygen'", words[i]);
		peer->text = words[i];
		peer->n = (size_t)found;
	}
	return CLI_GO;
}

/* Connections that are there stay; the next ones need the new keys. */
void pnode_ports_load_keys(struct pnode_ports *p)
{
	struct pcore_net_keys *keys, *old = p->keys;

	if (p->opts->tls_cert) {
		cli_warn("certificates are read once: start the %s again for others", pcore_net_role_name(p->role));
		return;
	}
	if (pnode_keys(&keys) != CLI_GO)
		return;
	if (!keys || !old) {
		cli_warn("%s: start the %s again", keys ? "there was no key before" : "the key file has gone; the old keys stay",
			pcore_net_role_name(p->role));
		pcore_net_keys_free(keys);
		return;
	}
	if (pcore_net_set_keys(p->net, keys) < 0) {
		cli_warn("no key of the file is for %ss; the old keys stay", pcore_net_role_name(p->role));
		pcore_net_keys_free(keys);
		return;
	}
	p->keys = keys;
	pcore_net_keys_free(old);
	cli_warn("%zu keys loaded", pcore_net_keys_count(keys));
}

void pnode_ports_stop(struct pnode_ports *p)
{
	for (size_t i = 0; i < p->n; i++)
		pcore_net_listener_stop(TAKE_PTR(p->listeners[i]));
}

void pnode_ports_free(struct pnode_ports *p)
{
	pcore_net_free(p->net);
	pcore_net_keys_free(p->keys);
}

/* ---- who we are ---- */

int pnode_user(const struct pnode_opts *o, const char *what, const struct passwd **ret)
{
	*ret = NULL;
	if (o->user && geteuid() != 0)
		return cli_usage("--user needs root");
	if (geteuid() == 0 && !o->user)
		return cli_error("a %s does not run as root: say --user NAME", what);
	if (!o->user)
		return CLI_GO;
	*ret = getpwnam(o->user);
	if (!*ret)
		return cli_opt_bad("user", o->user, "there is no such user");
	if ((*ret)->pw_uid == 0)
		return cli_opt_bad("user", o->user, "it does not run as root");
	return CLI_GO;
}

/* What is there of our PATH for the user that we have become: root's may have more. */
static int set_path(void)
{
	_cleanup_(pcore_buf_done) struct pcore_buf path = PCORE_BUF_INIT(0);
	const char *ours = getenv("PATH");
	_cleanup_(freep) char *copy = strdup(ours ? ours : "");
	char *rest = copy;
	int r = copy ? 0 : -ENOMEM;

	for (const char *dir; r == 0 && (dir = strsep(&rest, ":"));)
		if (*dir == '/' && access(dir, X_OK) == 0)
			r = pcore_buf_addf(&path, "%s%s", path.len > 0 ? ":" : "", dir);
	if (r == 0 && path.len == 0)
		r = pcore_buf_adds(&path, "/usr/local/bin:/usr/bin:/bin");
	if (r == 0)
		r = pcore_buf_addc(&path, '\0');
	if (r == 0 && setenv("PATH", path.data, 1) < 0)
		r = -errno;
	return r < 0 ? cli_error("cannot set PATH: %s", strerror(-r)) : CLI_GO;
}

/* For good: groups, group, user, and no way back. */
int pnode_become(struct pnode_place *place, const struct passwd *pw)
{
	int r = pnode_place_give(place, pw->pw_uid, pw->pw_gid);

	if (r < 0)
		return cli_error("cannot give '%s' its directory: %s", pw->pw_name, strerror(-r));
	if (setgroups(0, NULL) < 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 || setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0)
		return cli_error("cannot become user '%s': %s", pw->pw_name, strerror(errno));
	if (setresuid(0, 0, 0) == 0)
		return cli_error("cannot become user '%s' for good", pw->pw_name);
	(void)setenv("HOME", pw->pw_dir, 1);
	(void)setenv("USER", pw->pw_name, 1);
	(void)setenv("LOGNAME", pw->pw_name, 1);
	(void)prctl(PR_SET_DUMPABLE, 0);
	return set_path();
}
