/* SPDX-License-Identifier: MIT */
/*
 * net.c - keys, names and addresses of nodes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/cli/rundir.h"
#include "tools/pnode/pnode.h"

int pnode_keys(struct pcore_net_keys **ret)
{
	const struct pcore_net_key_places places = {
		.env_key = getenv("PCORE_KEY"),
		.xdg_config_home = getenv("XDG_CONFIG_HOME"),
		.home = getenv("HOME"),
		.root = geteuid() == 0,
	};
	struct pcore_net_error err;
	char path[4096];
	int r = pcore_net_keys_path(path, sizeof(path), &places);

	*ret = NULL;
	if (r < 0)
		return CLI_GO;
	r = pcore_net_keys_load(ret, path, &err);
	if (r == -ENOENT && !(places.env_key && *places.env_key))
		return CLI_GO;
	if (r < 0) {
		(void)cli_error("cannot use the key file '%s': %s", path, err.why);
		return CLI_AUTH;
	}
	return CLI_GO;
}

int pnode_net(struct pcore_net **ret, struct pcore_net_keys **ret_keys, struct pcore_loop *lp, const struct pnode_opts *o,
	enum pcore_net_role role, unsigned peers, uint32_t instance)
{
	struct pcore_net_spec spec = {
		.role = role,
		.peers = peers,
		.instance = instance,
		.version_min = PCORE_WIRE_VERSION,
		.version_max = PCORE_WIRE_VERSION,
		.tls_cert = o->tls_cert,
		.tls_key = o->tls_key,
		.tls_ca = o->tls_ca,
	};
	struct pcore_net_error err;
	int r = CLI_GO;

	*ret_keys = NULL;
	if (!o->tls_cert && !o->no_keys)
		r = pnode_keys(ret_keys);
	if (r != CLI_GO)
		return r;
	spec.keys = *ret_keys;
	if (pcore_net_new(ret, lp, &spec, &err) < 0)
		return cli_error("%s", err.why);
	return CLI_GO;
}

const char *pnode_hostname(void)
{
	static char name[65];
	char *dot;

	if (gethostname(name, sizeof(name) - 1) < 0)
		name[0] = '\0';
	dot = strchr(name, '.');
	if (dot)
		*dot = '\0';
	return cli_is_name(name) ? name : "node";
}

char *pnode_socket(const char *name)
{
	char *path;

	if (asprintf(&path, "unix:%s/nodes/%s/socket", cli_rundir_path(), name) < 0) {
		(void)cli_error("out of memory");
		return NULL;
	}
	return path;
}

int pnode_net_status(int code)
{
	switch (code) {
	case -EPROTONOSUPPORT:
		return CLI_VERSION;
	case -EKEYREJECTED:
	case -EACCES:
		return CLI_AUTH;
	case -ETIMEDOUT:
		return CLI_TIMEOUT;
	default:
		return CLI_FAILURE;
	}
}
