/* SPDX-License-Identifier: MIT */
/*
 * net.c - psubmit's end of connections: what it proves itself with, and where the scheduler is.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/psubmit/psubmit.h"

static struct pcore_net_keys *keys;

/* A connection within this machine needs none. */
static bool needs_keys(void)
{
	const struct psubmit_opts *o = &psubmit_opts;

	for (size_t i = 0; i < o->nodes.n; i++)
		if (strncmp(o->nodes.words[i], "unix:", 5) != 0)
			return true;
	return o->scheduler && strncmp(o->scheduler, "unix:", 5) != 0;
}

int psubmit_load_keys(void)
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

	if (r < 0 || psubmit_opts.tls_cert || !needs_keys())
		return CLI_GO;
	r = pcore_net_keys_load(&keys, path, &err);
	if (r < 0 && (r != -ENOENT || places.env_key)) {
		(void)cli_error("cannot use the key file '%s': %s", path, err.why);
		return CLI_AUTH;
	}
	return CLI_GO;
}

bool psubmit_have_keys(void)
{
	return keys || psubmit_opts.tls_cert;
}

void psubmit_free_keys(void)
{
	pcore_net_keys_free(keys);
	keys = NULL;
}

int psubmit_net(struct pcore_net **ret, struct pcore_loop *lp, enum pcore_net_role role, bool with_keys)
{
	const struct psubmit_opts *o = &psubmit_opts;
	struct pcore_net_spec spec = {
		.role = role,
		.peers = PCORE_NET_ROLE_BIT(PCORE_NET_NODE) | PCORE_NET_ROLE_BIT(PCORE_NET_SCHEDULER),
		.version_min = PCORE_WIRE_VERSION,
		.version_max = PCORE_WIRE_VERSION,
		.keys = with_keys ? keys : NULL,
		.tls_cert = with_keys ? o->tls_cert : NULL,
		.tls_key = with_keys ? o->tls_key : NULL,
		.tls_ca = with_keys ? o->tls_ca : NULL,
	};
	struct pcore_net_error err;

	if (role == PCORE_NET_CLIENT)
		spec.peers = PCORE_NET_ROLE_BIT(PCORE_NET_SCHEDULER);
	return pcore_net_new(ret, lp, &spec, &err) < 0 ? cli_error("%s", err.why) : CLI_GO;
}

int psubmit_scheduler(struct psubmit_addrs *ret)
{
	struct psubmit_addrs a;
	struct pcore_net_error err;
	int n = pcore_net_addr_parse(a.addrs, ARRAY_SIZE(a.addrs), psubmit_opts.scheduler, true, &err);

	if (n == -EINVAL)
		return cli_usage("'%s' is not the address of a scheduler: %s", psubmit_opts.scheduler, err.why);
	if (!ret)
		return CLI_GO;
	if (n < 0)
		return cli_error("cannot reach the scheduler '%s': %s", psubmit_opts.scheduler, err.why);
	if (!a.addrs[0].path && !psubmit_have_keys())
		return cli_error("cannot connect to the scheduler '%s': there is no key; see `pnode keygen'", psubmit_opts.scheduler);
	a.n = (size_t)n;
	*ret = a;
	return CLI_GO;
}
