/* SPDX-License-Identifier: MIT */
/*
 * net.c - what a peer sends before and after it has proven itself, and a key file. The first byte says which; whatever is taken is
 * the same when it is written and read again.
 */
#include "libcore/net/private.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void hello(const uint8_t p[static NET_HELLO])
{
	const struct net_hello ours = { .min = 3, .max = 7, .role = PCORE_NET_NODE, .instance = 1 };
	struct net_hello h, again;
	uint8_t q[NET_HELLO];
	int version;

	if (net_hello_decode(p, &h) < 0)
		return;
	assert(h.min > 0 && h.min <= h.max);
	net_hello_encode(q, &h);
	assert(net_hello_decode(q, &again) == 0);
	assert(h.min == again.min && h.max == again.max && h.role == again.role && h.instance == again.instance);
	version = net_version(&ours, &h);
	assert(version == net_version(&h, &ours));
	if (version >= 0)
		assert(version >= 3 && version <= 7 && version >= h.min && version <= h.max);
	else
		assert(h.max < 3 || h.min > 7);
}

static void header(const uint8_t p[static NET_HEADER])
{
	const struct pcore_net_limits limits = { .control_max = 1024 * 1024, .data_max = 16 * 1024 * 1024 };
	struct pcore_net_frame f;
	uint8_t q[NET_HEADER];

	if (net_header_decode(p, &limits, &f) < 0)
		return;
	assert(f.type != 0);
	assert(f.len <= (f.flags & PCORE_NET_DATA ? limits.data_max : limits.control_max));
	net_header_encode(q, &f);
	assert(memcmp(p, q, NET_HEADER) == 0);
}

static void bye(const uint8_t *data, size_t size)
{
	struct pcore_net_error e;

	net_bye_decode(data, size, &e);
	assert(e.code <= 0);
	for (const char *s = e.why; *s; s++)
		assert((unsigned char)*s >= 0x20 && *s != 0x7f);
}

static void identity(const uint8_t *data, size_t size)
{
	char kid[PCORE_NET_KID_MAX + 1], text[NET_IDENTITY_MAX];
	enum pcore_net_role role;

	if (net_identity_parse(data, size, kid, &role) < 0)
		return;
	assert(net_identity_print(text, kid, role) == (int)size);
	assert(memcmp(text, data, size) == 0);
}

static void keys(const uint8_t *data, size_t size)
{
	struct pcore_net_keys *k = NULL;
	struct pcore_net_error e = { 0 };
	char *text = malloc(size + 1);
	int r;

	assert(text);
	memcpy(text, data, size);
	r = pcore_net_keys_parse(&k, text, size, &e);
	for (size_t i = 0; i < size; i++)
		assert(text[i] == 0);
	if (r == 0) {
		assert(pcore_net_keys_count(k) >= 1 && pcore_net_keys_count(k) <= NET_KEYS_MAX);
		pcore_net_keys_free(k);
	} else {
		assert(e.code == r && e.why[0]);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t what = size > 0 ? data[0] : 0;

	if (size == 0)
		return 0;
	data++;
	size--;
	if (what == 'h' && size >= NET_HELLO)
		hello(data);
	else if (what == 'f' && size >= NET_HEADER)
		header(data);
	else if (what == 'b')
		bye(data, size);
	else if (what == 'i')
		identity(data, size);
	else if (what == 'k')
		keys(data, size);
	return 0;
}
