/* SPDX-License-Identifier: MIT */
/*
 * frame.c - what goes over a connection, encoded and decoded: the hello, a frame's header, the BYE. Pure.
 */
#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libcore/net/private.h"

static const char magic[4] = "PCOR";

#define BACKOFF_MIN_NS (200 * NS_PER_MS)
#define BACKOFF_MAX_NS (30 * NS_PER_S)

int net_error(struct pcore_net_error *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return code;
	err->code = code;
	va_start(ap, fmt);
	(void)vsnprintf(err->why, sizeof(err->why), fmt, ap);
	va_end(ap);
	return code;
}

/* ---- roles ---- */

static const char *const role_names[PCORE_NET_ROLE_COUNT] = {
	[PCORE_NET_NOBODY] = "nobody",
	[PCORE_NET_CLIENT] = "client",
	[PCORE_NET_NODE] = "node",
	[PCORE_NET_SCHEDULER] = "scheduler",
	[PCORE_NET_ADMIN] = "admin",
};

const char *pcore_net_role_name(enum pcore_net_role role)
{
	return role_names[role < PCORE_NET_ROLE_COUNT ? role : PCORE_NET_NOBODY];
}

int pcore_net_role_parse(const char *name)
{
	for (int role = PCORE_NET_CLIENT; role < PCORE_NET_ROLE_COUNT; role++)
		if (strcmp(name, role_names[role]) == 0)
			return role;
	return -EINVAL;
}

/* ---- numbers ---- */

static void put16(uint8_t *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, sizeof(v));
}

static void put32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static void put64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

static uint16_t get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

/* ---- hello ---- */

void net_hello_encode(uint8_t p[static NET_HELLO], const struct net_hello *h)
{
	memset(p, 0, NET_HELLO);
	memcpy(p, magic, sizeof(magic));
	put16(p + 4, h->min);
	put16(p + 6, h->max);
	p[8] = h->role;
	put32(p + 12, h->instance);
}

int net_hello_decode(const uint8_t p[static NET_HELLO], struct net_hello *ret)
{
	struct net_hello h = { .min = get16(p + 4), .max = get16(p + 6), .role = p[8], .instance = get32(p + 12) };

	if (memcmp(p, magic, sizeof(magic)) != 0 || h.min == 0 || h.min > h.max)
		return -EPROTO;
	*ret = h;
	return 0;
}

int net_version(const struct net_hello *a, const struct net_hello *b)
{
	uint16_t max = a->max < b->max ? a->max : b->max;

	return max >= a->min && max >= b->min ? max : -EPROTONOSUPPORT;
}

/* ---- frames ---- */

void net_header_encode(uint8_t p[static NET_HEADER], const struct pcore_net_frame *f)
{
	put32(p, f->len);
	put16(p + 4, f->type);
	put16(p + 6, f->flags);
	put64(p + 8, f->stream);
}

int net_header_decode(const uint8_t p[static NET_HEADER], const struct pcore_net_limits *limits, struct pcore_net_frame *ret)
{
	struct pcore_net_frame f = { .len = get32(p), .type = get16(p + 4), .flags = get16(p + 6), .stream = get64(p + 8) };

	if (f.type == 0)
		return -EPROTO;
	if (f.len > (f.flags & PCORE_NET_DATA ? limits->data_max : limits->control_max))
		return -EMSGSIZE;
	*ret = f;
	return 0;
}

size_t net_bye_encode(uint8_t *p, enum net_bye reason, const char *text)
{
	size_t len = strnlen(text, NET_BYE_TEXT_MAX);

	put32(p, reason);
	memcpy(p + 4, text, len);
	return 4 + len;
}

void net_bye_decode(const void *body, size_t len, struct pcore_net_error *ret)
{
	static const int codes[] = {
		[NET_BYE_DONE] = 0,
		[NET_BYE_VERSION] = -EPROTONOSUPPORT,
		[NET_BYE_ROLE] = -EACCES,
		[NET_BYE_SELF] = -ELOOP,
		[NET_BYE_PROTOCOL] = -EPROTO,
		[NET_BYE_OWNER] = -ECONNABORTED,
	};
	uint32_t reason = len >= 4 ? get32(body) : NET_BYE_PROTOCOL;
	char text[PCORE_NET_WHY_MAX - 32];

	if (reason == NET_BYE_DONE) {
		net_error(ret, 0, "the peer has said goodbye");
		return;
	}
	(void)pcore_escape(text, sizeof(text), (const char *)body + 4, len > 4 ? len - 4 : 0);
	net_error(ret, reason < ARRAY_SIZE(codes) ? codes[reason] : -ECONNABORTED, "the peer refuses: %s", text[0] ? text : "it does not say why");
}

void net_bytes_consume(struct net_bytes *b, size_t n)
{
	assert(n <= net_bytes_len(b));

	b->pos += n;
	if (b->pos == b->buf.len) {
		pcore_buf_done(&b->buf);
		b->pos = 0;
	} else if (b->pos > b->buf.len / 2) {
		pcore_buf_consume(&b->buf, b->pos);
		b->pos = 0;
	}
}

/* ---- trying again ---- */

int64_t pcore_net_backoff(unsigned failures, uint64_t random)
{
	unsigned doublings = failures > 0 ? failures - 1 : 0;
	int64_t most = doublings < 8 ? BACKOFF_MIN_NS << doublings : BACKOFF_MAX_NS;

	if (most > BACKOFF_MAX_NS)
		most = BACKOFF_MAX_NS;
	return (int64_t)(random % (uint64_t)(most + 1));
}
