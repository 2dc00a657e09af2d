/* SPDX-License-Identifier: MIT */
/*
 * private.h - what the files of this module know of each other.
 *
 * frame.c and key.c are pure and know no OpenSSL, so that they can be fuzzed; tls.c and context.c alone call it.
 */
#ifndef PCORE_NET_PRIVATE_H
#define PCORE_NET_PRIVATE_H

#include "libcore/net/net.h"

/* Fill err in and return code. */
int net_error(struct pcore_net_error *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* ---- frame.c ---- */

enum { NET_HEADER = 16, NET_HELLO = 16, NET_BYE_TEXT_MAX = 160 };
enum { NET_PING = 1, NET_PONG, NET_BYE };

/* Reasons of a BYE. */
enum net_bye { NET_BYE_DONE, NET_BYE_VERSION, NET_BYE_ROLE, NET_BYE_SELF, NET_BYE_PROTOCOL, NET_BYE_OWNER };

struct net_hello {
	uint16_t min, max;
	uint8_t role;
	uint32_t instance;
};

void net_hello_encode(uint8_t p[static NET_HELLO], const struct net_hello *h);
int net_hello_decode(const uint8_t p[static NET_HELLO], struct net_hello *ret); /* 0, -EPROTO */

/* The highest version that both know, or -EPROTONOSUPPORT. */
int net_version(const struct net_hello *a, const struct net_hello *b);

void net_header_encode(uint8_t p[static NET_HEADER], const struct pcore_net_frame *f);
/* 0, -EMSGSIZE over the limits, -EPROTO for type 0. The body is left alone. */
int net_header_decode(const uint8_t p[static NET_HEADER], const struct pcore_net_limits *limits, struct pcore_net_frame *ret);

/* A BYE's body: ret takes the reason as -errno and the text, made safe to print. Never fails: what is too short says nothing. */
size_t net_bye_encode(uint8_t *p, enum net_bye reason, const char *text); /* p has 4 + NET_BYE_TEXT_MAX bytes */
void net_bye_decode(const void *body, size_t len, struct pcore_net_error *ret);

/* ---- key.c ---- */

enum { NET_SECRET = 32, NET_KEYS_MAX = 16, NET_IDENTITY_MAX = 64 };

struct net_key {
	char kid[PCORE_NET_KID_MAX + 1];
	unsigned roles; /* a bit each */
	uint8_t secret[NET_SECRET];
};

/* The first key for role, NULL when there is none; the one called kid. */
const struct net_key *net_key_for(const struct pcore_net_keys *keys, enum pcore_net_role role);
const struct net_key *net_key_find(const struct pcore_net_keys *keys, const char *kid);

/* p1:<kid>:<role>. Printing gives the length; parsing 0 or -EINVAL. */
int net_identity_print(char ret[static NET_IDENTITY_MAX], const char *kid, enum pcore_net_role role);
int net_identity_parse(const void *text, size_t len, char ret_kid[static PCORE_NET_KID_MAX + 1], enum pcore_net_role *ret_role);

/* The text of a file that has secrets in it: regular, no link, ours or root's, closed to others. free() it after
 * explicit_bzero(*ret, *ret_len). */
enum { NET_FILE_MAX = 16 * 1024 };
int net_secret_read(const char *path, char **ret, size_t *ret_len, struct pcore_net_error *err);

int net_random(void *p, size_t len); /* 0, -EIO */

/* ---- queue of bytes: those from pos on are still there ---- */

struct net_bytes {
	struct pcore_buf buf;
	size_t pos;
};

static inline size_t net_bytes_len(const struct net_bytes *b)
{
	return b->buf.len - b->pos;
}

static inline const char *net_bytes_data(const struct net_bytes *b)
{
	return b->buf.data + b->pos;
}

/* Drop the first n; an empty queue gives its memory back. */
void net_bytes_consume(struct net_bytes *b, size_t n);

/* ---- socket.c ---- */

/* *ret_dfd is the directory of a Unix socket. */
int net_socket_listen(struct pcore_net_addr *addr, int *ret_fd, int *ret_dfd, struct pcore_net_error *err);
void net_socket_unlink(const struct pcore_net_addr *addr, int dfd);

/* A socket, and where to connect it to; *ret_dfd has to stay open until that is done. */
int net_socket_new(const struct pcore_net_addr *addr, int *ret_fd, int *ret_dfd, struct sockaddr_storage *ret_to,
	socklen_t *ret_len, struct pcore_net_error *err);
void net_socket_options(int fd, const struct pcore_net_limits *limits);
int64_t net_socket_rtt_ns(int fd); /* 0: not known */

/* Is the other end of a Unix socket our own user or root (or are we root, and it serves)? */
int net_socket_is_ours(int fd, bool we_serve, struct pcore_net_error *err);

/* ---- context.c, tls.c ---- */

struct net_tls_ctx;
struct net_tls;

/* What a session has found out about its peer. */
struct net_tls_peer {
	enum pcore_net_role role; /* NOBODY: not proven (a server that has a key) */
	char name[PCORE_NET_NAME_MAX + 1];
};

int net_tls_ctx_new(struct net_tls_ctx **ret, const struct pcore_net_spec *spec, struct pcore_net_error *err);
void net_tls_ctx_free(struct net_tls_ctx *x);
int net_tls_ctx_set_keys(struct net_tls_ctx *x, const struct pcore_net_keys *keys);

int net_tls_new(struct net_tls **ret, struct net_tls_ctx *x, bool server, const struct pcore_net_limits *limits);
void net_tls_free(struct net_tls *t);

/* Bytes from the peer; they are used up by the next calls, which go on until one says that it wants more. */
void net_tls_feed(struct net_tls *t, const void *data, size_t len);
/* 1: done, and the peer has proven itself. 0: wants more. < 0: failed; what is in the queue should still go. */
int net_tls_handshake(struct net_tls *t, struct pcore_net_error *err);
/* > 0: so many bytes. 0: wants more. -ENODATA: the peer has closed the session. */
ssize_t net_tls_read(struct net_tls *t, void *buf, size_t len, struct pcore_net_error *err);
/* All of it, encrypted into the queue; with new keys first when they are due. */
int net_tls_write(struct net_tls *t, const void *buf, size_t len, int64_t now, struct pcore_net_error *err);
void net_tls_close(struct net_tls *t); /* queues close_notify */
struct net_bytes *net_tls_queue(struct net_tls *t);
const struct net_tls_peer *net_tls_peer(const struct net_tls *t);
int net_tls_export(struct net_tls *t, uint8_t ret[static PCORE_NET_EXPORT]);

/* ---- net.c ---- */

enum { NET_RX = 64 * 1024 };

struct pcore_net {
	struct pcore_loop *loop;
	struct net_tls_ctx *tls; /* NULL: Unix sockets only */
	enum pcore_net_role role;
	unsigned peers;
	struct net_hello hello; /* ours */
	struct pcore_net_limits limits;
	struct pcore_net_stats stats;
	struct pcore_list conns, listeners;
	struct pcore_list due; /* connections that have something to do at the end of this turn */
	struct pcore_op turn_op;
	unsigned preauth;
	char rx[NET_RX]; /* ciphertext on its way into a session */
};

/* ---- listen.c, connect.c and conn.c ---- */

/* Take fd in from l. address is the peer's. */
int net_conn_accept(struct pcore_net_listener *l, struct pcore_net *net, int fd, bool tls, const char *address);

/* How many that have not proven themselves come from address. */
unsigned net_conn_preauth_from(const struct pcore_net *net, const char *address);

/* l is no more: end what it has taken in and has not told yet. */
void net_conn_forget_listener(struct pcore_net *net, struct pcore_net_listener *l);
void net_conn_turn(struct pcore_net *net); /* whatever is due */

void net_listener_opened(struct pcore_net_listener *l, struct pcore_net_conn *c);
void net_listener_refused(struct pcore_net_listener *l, const char *address, const struct pcore_net_error *e);
void net_listener_room(struct pcore_net *net); /* one less to wait for */

#endif
