/* SPDX-License-Identifier: MIT */
/*
 * cluster_net.c - what a program proves itself with, and whom it talks to.
 */
#include "libcore/api/cluster.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int pcore_cc_say(struct pcore_error *error, int code, const char *step, const char *subject)
{
	struct pcore_err err = { .code = code };

	(void)pcore_err_set(&err, code, PCORE_STEP_NONE, subject); /* cut to fit */
	if (error) {
		error->code = code;
		error->step = step;
		memcpy(error->subject, err.subject, sizeof(error->subject));
	}
	return code;
}

_Static_assert(sizeof(((struct pcore_error *)0)->subject) == sizeof(((struct pcore_err *)0)->subject), "the same length");

/* The key file, if there is one where none is named. */
static int load_keys(struct pcore_net_keys **ret, const char *key_file, struct pcore_error *error)
{
	const struct pcore_net_key_places places = {
		.env_key = secure_getenv("PCORE_KEY"),
		.xdg_config_home = secure_getenv("XDG_CONFIG_HOME"),
		.home = secure_getenv("HOME"),
		.root = geteuid() == 0,
	};
	struct pcore_net_error err;
	char path[PATH_MAX];
	int r;

	if (key_file) {
		r = pcore_net_keys_load(ret, key_file, &err);
		return r < 0 ? pcore_cc_say(error, r, "key", key_file) : 0;
	}
	r = pcore_net_keys_path(path, sizeof(path), &places);
	if (r == 0)
		r = pcore_net_keys_load(ret, path, &err);
	if (r == -ENOENT && !places.env_key)
		return 0;
	return r < 0 ? pcore_cc_say(error, r, "key", path) : 0;
}

bool pcore_cc_is_near(const char *address)
{
	return strncmp(address, "unix:", 5) == 0;
}

int pcore_cc_proof_load(struct cluster_proof *p, bool far, struct pcore_error *error)
{
	if (!!p->tls_cert != !!p->tls_key || !!p->tls_cert != !!p->tls_ca || (p->tls_cert && p->key_file))
		return -EINVAL;
	return p->tls_cert || (!far && !p->key_file) ? 0 : load_keys(&p->keys, p->key_file, error);
}

int pcore_cc_net_new(struct pcore_net **ret, struct pcore_loop *lp, enum pcore_net_role role, const struct cluster_proof *p,
	struct pcore_error *error)
{
	struct pcore_net_spec spec = {
		.role = role,
		.peers = PCORE_NET_ROLE_BIT(PCORE_NET_NODE) | PCORE_NET_ROLE_BIT(PCORE_NET_SCHEDULER),
		.version_min = PCORE_WIRE_VERSION,
		.version_max = PCORE_WIRE_VERSION,
	};
	struct pcore_net_error err;
	int r;

	if (role == PCORE_NET_CLIENT)
		spec.peers = PCORE_NET_ROLE_BIT(PCORE_NET_SCHEDULER);
	if (p) {
		spec.keys = p->keys;
		spec.tls_cert = p->tls_cert;
		spec.tls_key = p->tls_key;
		spec.tls_ca = p->tls_ca;
	}
	r = pcore_net_new(ret, lp, &spec, &err);
	if (r == -ELIBACC)
		return pcore_cc_say(error, r, "tls", err.why);
	if (r < 0)
		return pcore_cc_say(error, r, p && p->tls_cert ? "certificate" : "key", p && p->tls_cert ? p->tls_cert : "");
	return 0;
}

int pcore_cc_addresses(
	struct pcore_net_addr *ret, size_t max, const char *text, const struct cluster_proof *p, const char *step, struct pcore_error *error)
{
	struct pcore_net_error err;
	int n = pcore_net_addr_parse(ret, max, text, true, &err);

	if (n > 0 && !ret[0].path && !p->keys && !p->tls_cert)
		n = -ENOKEY;
	return n < 0 ? pcore_cc_say(error, n, step, text) : n;
}
