/* SPDX-License-Identifier: MIT */
/*
 * tls.h - what context.c and tls.c share.
 */
#ifndef PCORE_NET_TLS_H
#define PCORE_NET_TLS_H

#include "libcore/net/openssl.h"

struct net_tls_ctx {
	SSL_CTX *ssl;
	BIO_METHOD *bio;
	const struct pcore_net_keys *keys; /* NULL: certificates */
	enum pcore_net_role role;
};

/* How far a peer's identity came. */
enum net_tls_note { NET_TLS_NOTHING, NET_TLS_UNKNOWN_KEY, NET_TLS_WRONG_ROLE, NET_TLS_KNOWN_KEY };

struct net_tls {
	SSL *ssl;
	struct net_tls_ctx *ctx;
	const struct pcore_net_limits *limits;
	bool server, done;
	enum net_tls_note note;
	struct net_tls_peer peer;
	char identity[NET_IDENTITY_MAX]; /* that a client offers */
	const char *in; /* ciphertext that is not used up */
	size_t in_len;
	char first[8]; /* the peer's first bytes, for the message */
	size_t n_first;
	struct net_bytes out;
	uint64_t records, bytes; /* sent with these keys, since */
	int64_t keyed_at;
};

/* The memory BIO of a session: reads from in, appends to out. */
BIO_METHOD *net_tls_bio(void);

extern const char net_tls_alpn[8]; /* its length, then the name */

/* Take the role and the name out of the peer's certificate: one that has none is rejected. For SSL_set_verify(). */
int net_tls_verify(int ok, X509_STORE_CTX *x);

#endif
