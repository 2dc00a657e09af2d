/* SPDX-License-Identifier: MIT */
/*
 * net.c - what a program is to its peers, its limits, and the turn: what its connections have to do once all completions of a
 * turn of the loop have been delivered.
 */
#include <string.h>
#include <sys/random.h>

#include "libcore/net/private.h"

static const struct pcore_net_limits defaults = {
	.control_max = 1024 * 1024,
	.data_max = 16 * 1024 * 1024,
	.out_high = 1024 * 1024,
	.out_low = 256 * 1024,
	.out_max = 64 * 1024 * 1024,
	.handshake_ns = 5 * NS_PER_S,
	.heartbeat_ns = 2 * NS_PER_S,
	.missed_max = 3,
	.stall_ns = 30 * NS_PER_S,
	.linger_ns = 2 * NS_PER_S,
	.preauth_max = 64,
	.preauth_same = 8,
	.preauth_bytes = 64 * 1024,
	.accept_rate = 1000,
	.rekey_records = UINT64_C(1) << 23,
	.rekey_bytes = UINT64_C(64) << 30,
	.rekey_ns = 3600 * NS_PER_S,
};

#define DEFAULT(to, name) ((to)->name = (to)->name ? (to)->name : defaults.name)

static struct pcore_net_limits with_defaults(struct pcore_net_limits l)
{
	DEFAULT(&l, control_max);
	DEFAULT(&l, data_max);
	DEFAULT(&l, out_high);
	DEFAULT(&l, out_low);
	DEFAULT(&l, out_max);
	DEFAULT(&l, handshake_ns);
	DEFAULT(&l, heartbeat_ns);
	DEFAULT(&l, missed_max);
	DEFAULT(&l, stall_ns);
	DEFAULT(&l, linger_ns);
	DEFAULT(&l, preauth_max);
	DEFAULT(&l, preauth_same);
	DEFAULT(&l, preauth_bytes);
	DEFAULT(&l, accept_rate);
	DEFAULT(&l, rekey_records);
	DEFAULT(&l, rekey_bytes);
	DEFAULT(&l, rekey_ns);
	if (l.out_low > l.out_high)
		l.out_low = l.out_high;
	return l;
}

static int no_key(enum pcore_net_role role, struct pcore_net_error *err)
{
	return net_error(err, -ENOKEY, "there is no key for the role %s", pcore_net_role_name(role));
}

static int make_tls(struct pcore_net *net, const struct pcore_net_spec *spec, struct pcore_net_error *err)
{
	bool certs = spec->tls_cert || spec->tls_key || spec->tls_ca;

	if (!spec->keys && !certs)
		return 0;
	if (spec->keys && certs)
		return net_error(err, -EINVAL, "a key and a certificate cannot be used together");
	if (certs && !(spec->tls_cert && spec->tls_key && spec->tls_ca))
		return net_error(err, -EINVAL, "a certificate needs its private key and the authority's certificate");
	if (spec->keys && !net_key_for(spec->keys, spec->role))
		return no_key(spec->role, err);
	return net_tls_ctx_new(&net->tls, spec, err);
}

static void turn(struct pcore_op *op, int res)
{
	(void)res;
	net_conn_turn(container_of(op, struct pcore_net, turn_op));
}

int pcore_net_new(struct pcore_net **ret, struct pcore_loop *lp, const struct pcore_net_spec *spec, struct pcore_net_error *err)
{
	struct pcore_net *net;
	int r;

	assert(spec->role > PCORE_NET_NOBODY && spec->role < PCORE_NET_ROLE_COUNT);
	assert(spec->version_min > 0 && spec->version_min <= spec->version_max);

	net = calloc(1, sizeof(*net));
	if (!net)
		return net_error(err, -ENOMEM, "%s", strerror(ENOMEM));
	net->loop = lp;
	net->role = spec->role;
	net->peers = spec->peers;
	net->limits = with_defaults(spec->limits);
	net->turn_op.done = turn;
	pcore_list_init(&net->conns);
	pcore_list_init(&net->listeners);
	pcore_list_init(&net->due);
	net->hello = (struct net_hello){ .min = spec->version_min, .max = spec->version_max, .role = (uint8_t)spec->role,
		.instance = spec->instance };
	r = make_tls(net, spec, err);
	if (r == 0 && !spec->instance && getrandom(&net->hello.instance, sizeof(net->hello.instance), 0) < 0)
		r = net_error(err, -errno, "cannot draw a random number: %s", strerror(errno));
	if (r < 0) {
		pcore_net_free(net);
		return r;
	}
	*ret = net;
	return 0;
}

void pcore_net_free(struct pcore_net *net)
{
	if (!net)
		return;
	assert(pcore_list_empty(&net->conns));
	assert(pcore_list_empty(&net->listeners));
	assert(!pcore_op_live(&net->turn_op));

	net_tls_ctx_free(net->tls);
	free(net);
}

int pcore_net_set_keys(struct pcore_net *net, const struct pcore_net_keys *keys)
{
	if (!net_key_for(keys, net->role))
		return -ENOKEY;
	return net->tls ? net_tls_ctx_set_keys(net->tls, keys) : -EINVAL;
}

const struct pcore_net_stats *pcore_net_stats(const struct pcore_net *net)
{
	return &net->stats;
}

uint32_t pcore_net_instance(const struct pcore_net *net)
{
	return net->hello.instance;
}
