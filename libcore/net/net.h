/* SPDX-License-Identifier: MIT */
/*
 * net.h - connections between the programs of a cluster: sockets, TLS sessions, keys, and framed messages over the loop.
 *
 * A program makes one struct pcore_net: what it is (its role), what it has to prove it with (keys or certificates), and the
 * limits. From that it listens and connects. A connection is told to its owner when it is open: the other side has proven
 * itself (by TLS 1.3 over TCP, by its user over a Unix socket) and both have said hello. Until then nothing of the peer but TLS
 * and the 16 bytes of the hello is looked at. Over TCP there is no connection without TLS, on loopback neither.
 *
 * After the hello both sides send frames: a header of 16 bytes, little-endian,
 *
 *     u32 length   of the body that follows; at most control_max, or data_max in a frame that is flagged as data
 *     u16 type     1 to 255 belong to this module (below), 256 and more to the owner; 0 is an error
 *     u16 flags    bit 0: who does not know the type skips the frame; bit 1: data
 *     u64 stream   the owner's
 *
 * and the body. What is sent within one turn of the loop leaves in one piece: one TLS record for each 16 KiB, one system call.
 * The module's own types are PING (1, no body), PONG (2, the PING's stream), and BYE (3: u32 reason, then text for people; the
 * last frame of a side). A connection that ends without BYE has been cut. The hello:
 *
 *     4 bytes "PCOR", u16 lowest and u16 highest version of the owner's protocol, u8 role, 3 bytes 0, u32 instance
 *
 * Each side takes the highest version that both know. The instance is a random number of each struct pcore_net: who meets its
 * own has been connected with itself, and refuses.
 *
 * Backpressure: pcore_net_send() says when more is queued than out_high, and room() when it is below out_low again. The other
 * way, pcore_net_pause() leaves what comes in the socket, so that the peer's send() fills up in turn.
 *
 * Everything happens on the loop's thread. No callback is called from within a function of this module that the owner calls.
 * No secret is in an argument or the environment; keys are in memory that is wiped and is not dumped into a core. Whoever holds
 * a key is trusted with all that its roles may do, and can play the other side of a connection made with it: a key is one
 * domain of trust, and certificates are for those who need more. The process as a whole is not dumpable only if the program says
 * so (PR_SET_DUMPABLE).
 *
 * Errors: a function returns -errno, and fills in err (which may be NULL) with the same and why, one line for people without a
 * full stop. Of a connection: -EPROTONOSUPPORT is no version in common (both ranges are in the text), -EKEYREJECTED a key or
 * certificate that does not prove what it should, -EACCES a role that is not wanted, -ELOOP ourselves, -EPROTO a peer that breaks
 * the rules, -ETIMEDOUT one that is silent or does not read, -ECONNRESET one that has gone.
 */
#ifndef PCORE_NET_NET_H
#define PCORE_NET_NET_H

#include <netinet/in.h>
#include <sys/un.h>

#include "libcore/base/base.h"
#include "libcore/loop/loop.h"

struct pcore_net;
struct pcore_net_conn;
struct pcore_net_keys;
struct pcore_net_listener;

enum { PCORE_NET_WHY_MAX = 256, PCORE_NET_KID_MAX = 32, PCORE_NET_NAME_MAX = 64, PCORE_NET_ADDR_MAX = 128 };

struct pcore_net_error {
	int code; /* -errno, 0 for an orderly end */
	char why[PCORE_NET_WHY_MAX];
};

/* What a program is to the others; numbers of the wire. */
enum pcore_net_role {
	PCORE_NET_NOBODY,
	PCORE_NET_CLIENT,
	PCORE_NET_NODE,
	PCORE_NET_SCHEDULER,
	PCORE_NET_ADMIN,
	PCORE_NET_ROLE_COUNT,
};

#define PCORE_NET_ROLE_BIT(role) (1u << (role))
#define PCORE_NET_ANY_ROLE 0x1eu

/* "client", ...; "nobody" for what is no role. The parser takes these names: the role, or -EINVAL. */
const char *pcore_net_role_name(enum pcore_net_role role);
int pcore_net_role_parse(const char *name);

/* ---- keys ---- */

/*
 * A key file has a key a line, `kid:roles:secret': a name of letters, digits, `.', `_' and `-' (at most 32), the roles that may
 * prove themselves with it (`all', or names with commas between), and 32 bytes in base64. Empty lines and lines that begin with
 * `#' are skipped. The first key that has our role is the one we use; all are accepted from others, so that keys can be changed
 * without a pause: add the new one everywhere, then put it first, then drop the old one.
 *
 * Loading refuses with the reason what is no regular file, is a symbolic link, belongs neither to us nor to root, can be
 * accessed by others, or holds no key or a bad one. -ENOENT, -ELOOP, -EPERM, -EBADMSG (a line), -ENODATA (no key), -errno.
 */
int pcore_net_keys_load(struct pcore_net_keys **ret, const char *path, struct pcore_net_error *err);

/* The same from text, for the keys of an embedded node and for tests. text is wiped. */
int pcore_net_keys_parse(struct pcore_net_keys **ret, char *text, size_t len, struct pcore_net_error *err);

/* Wipes them. NULL is fine. */
void pcore_net_keys_free(struct pcore_net_keys *keys);

size_t pcore_net_keys_count(const struct pcore_net_keys *keys);

/* Write a file with one new key for all roles: mode 0600, never over a file that is there (-EEXIST). kid NULL draws a name.
 * Directories that are missing are made, for nobody but their owner (root's can be entered by all). */
int pcore_net_keys_generate(const char *path, const char *kid, struct pcore_net_error *err);

/* Where the key file is: $PCORE_KEY (env_key) if it is set, for root /etc/pcore/cluster.key, else pcore/cluster.key in
 * $XDG_CONFIG_HOME (if that is absolute) or in ~/.config. 0, -ENOENT without a home, -ENAMETOOLONG. */
struct pcore_net_key_places {
	const char *env_key, *xdg_config_home, *home;
	bool root;
};
int pcore_net_keys_path(char *ret, size_t size, const struct pcore_net_key_places *places);

/* ---- addresses ---- */

/* `HOST:PORT', `[V6]:PORT' or `unix:PATH'. The path points into the text that was parsed, which has to stay. */
struct pcore_net_addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
	socklen_t len;	  /* 0: a Unix socket */
	const char *path; /* NULL: TCP */
};

/* Read an address into up to max addresses (a name can have several). Without names a HOST has to be a number and nothing blocks;
 * with names it is looked up, which can take as long as the resolver takes: only before the loop starts. Port 0 is for
 * listening. The number of addresses, -EINVAL, -EHOSTUNREACH for a name that is not known. */
int pcore_net_addr_parse(struct pcore_net_addr *ret, size_t max, const char *text, bool names, struct pcore_net_error *err);

/* As it is written; a path is escaped and may be cut. Returns buf. */
char *pcore_net_addr_text(const struct pcore_net_addr *addr, char buf[static PCORE_NET_ADDR_MAX]);

/* ---- what we are ---- */

/* 0 stands for the default, in parentheses. */
struct pcore_net_limits {
	uint32_t control_max, data_max;	   /* bytes of a body (1 MiB, 16 MiB) */
	size_t out_high, out_low, out_max; /* bytes queued for a peer (1 MiB, 256 KiB, 64 MiB) */
	int64_t handshake_ns;		   /* from the first packet to the hello (5 s) */
	int64_t heartbeat_ns;		   /* between PINGs (2 s) */
	unsigned missed_max;		   /* so many intervals without a byte: dead (3) */
	int64_t stall_ns;		   /* so long without a byte taken from us: dead (30 s) */
	int64_t linger_ns;		   /* for the last bytes of a connection that is closed (2 s) */
	unsigned preauth_max, preauth_same; /* connections that have not proven themselves, in all and from one address (64, 8) */
	size_t preauth_bytes;		   /* what one of these may send (64 KiB) */
	unsigned accept_rate;		   /* connections that a listener takes in a second (1000) */
	uint64_t rekey_records, rekey_bytes; /* after so much sent TLS gets new keys (2^23, 64 GiB) */
	int64_t rekey_ns;		   /* or after so long (1 h) */
};

struct pcore_net_spec {
	enum pcore_net_role role;
	unsigned peers; /* the roles that we talk to, PCORE_NET_ROLE_BIT() each */
	uint16_t version_min, version_max;
	uint32_t instance; /* 0: a random one */
	/* One of these for TCP, none for Unix sockets alone. The keys are not copied and have to stay. With a certificate a peer
	 * needs one of the same authority with a SAN of `URI:pnode:ROLE:NAME'. The private key's file is checked as a key file. */
	const struct pcore_net_keys *keys;
	const char *tls_cert, *tls_key, *tls_ca;
	struct pcore_net_limits limits;
};

/* -EINVAL (keys and certificates, or a part of a certificate's three), -ENOKEY (no key for our role), -EBADMSG (a file that is no
 * certificate, or does not fit), -ELIBACC (OpenSSL cannot be loaded: with keys or certificates only), -errno. The loop has to
 * outlive it. */
int pcore_net_new(struct pcore_net **ret, struct pcore_loop *lp, const struct pcore_net_spec *spec, struct pcore_net_error *err);

/* Every listener and connection of it has to have ended (asserted). NULL is fine. */
void pcore_net_free(struct pcore_net *net);

/* Use other keys from now on; connections that are there stay. -ENOKEY: none for our role, the old ones stay; -EINVAL: there were
 * none so far. */
int pcore_net_set_keys(struct pcore_net *net, const struct pcore_net_keys *keys);

struct pcore_net_stats {
	uint64_t accepted;  /* connections that others have made */
	uint64_t opened;    /* connections of either side that came so far */
	uint64_t refused;   /* peers that failed to prove themselves, or broke the rules */
	uint64_t throttled; /* closed at once: too many from one address, or no descriptor left */
};
const struct pcore_net_stats *pcore_net_stats(const struct pcore_net *net);
uint32_t pcore_net_instance(const struct pcore_net *net);

/* ---- connections ---- */

enum {
	PCORE_NET_OPTIONAL = 1, /* who does not know the type skips the frame */
	PCORE_NET_DATA = 2,	/* the limit is data_max */
	PCORE_NET_TYPE_MIN = 256,
};

struct pcore_net_frame {
	uint16_t type, flags;
	uint64_t stream;
	uint32_t len;
	const void *body; /* valid during the call only */
};

struct pcore_net_peer {
	enum pcore_net_role role;
	uint32_t instance;
	uint16_t version;
	char name[PCORE_NET_NAME_MAX + 1]; /* of its key or its certificate; "" on a Unix socket */
	char address[PCORE_NET_ADDR_MAX];
};

/*
 * opened (may be NULL): it is open, the peer is known, and frames may be sent.
 * frame: one has come. An owner that does not know the type skips it if it is optional, else it calls pcore_net_refuse().
 * room (may be NULL): less is queued than out_low, after a send had returned 1.
 * closed: the last call; the connection is freed when it returns. The code is 0 when either side said goodbye in order.
 */
struct pcore_net_ops {
	void (*opened)(struct pcore_net_conn *c, void *ctx);
	void (*frame)(struct pcore_net_conn *c, void *ctx, const struct pcore_net_frame *f);
	void (*room)(struct pcore_net_conn *c, void *ctx);
	void (*closed)(struct pcore_net_conn *c, void *ctx, const struct pcore_net_error *e);
};

/* Begin to connect. What comes of it is told to opened() or closed(), within limits.handshake_ns. -ENOKEY: TCP without keys. */
int pcore_net_connect(struct pcore_net_conn **ret, struct pcore_net *net, const struct pcore_net_addr *addr,
	const struct pcore_net_ops *ops, void *ctx, struct pcore_net_error *err);

/* A connection over a stream socket that is there (a socketpair to a child): without TLS, or with it as one of its sides. fd
 * is taken in any case. */
enum pcore_net_mode { PCORE_NET_PLAIN, PCORE_NET_TLS_CLIENT, PCORE_NET_TLS_SERVER };
int pcore_net_adopt(struct pcore_net_conn **ret, struct pcore_net *net, int fd, enum pcore_net_mode mode,
	const struct pcore_net_ops *ops, void *ctx, struct pcore_net_error *err);

/* Hand it to another owner; a listener's accepted() does so first of all. */
void pcore_net_own(struct pcore_net_conn *c, const struct pcore_net_ops *ops, void *ctx);

/* Hear nothing of it any more: the next call for it has to be one that ends it, and is the last. */
void pcore_net_disown(struct pcore_net_conn *c);

const struct pcore_net_peer *pcore_net_peer(const struct pcore_net_conn *c);

/* Queue a frame; the body is copied. 0, or 1 when more is queued now than out_high: it will go, but wait for room(). -ENOTCONN
 * when it is not open or being closed, -EMSGSIZE over the limit of its kind, -ENOBUFS over out_max, -ENOMEM. */
int pcore_net_send(struct pcore_net_conn *c, uint16_t type, uint16_t flags, uint64_t stream, const void *body, size_t len);

/* The same without a copy: append the body to what begin returns (NULL: -ENOTCONN or no memory), and nothing else in
 * between; end queues the frame, or forgets it when it returns an error; drop forgets it. */
struct pcore_buf *pcore_net_send_begin(struct pcore_net_conn *c, uint16_t type, uint16_t flags, uint64_t stream);
int pcore_net_send_end(struct pcore_net_conn *c);
void pcore_net_send_drop(struct pcore_net_conn *c);

/* Bytes queued and not yet taken by the kernel. */
size_t pcore_net_queued(const struct pcore_net_conn *c);

/* How long a round trip takes, as far as the kernel knows; 0 where it does not, and within this machine without TCP. */
int64_t pcore_net_rtt_ns(const struct pcore_net_conn *c);

/* Leave what comes in the socket, and go on. A pause from within frame() holds for the next frame already. */
void pcore_net_pause(struct pcore_net_conn *c);
void pcore_net_resume(struct pcore_net_conn *c);

/* Say goodbye: what is queued is sent within limits.linger_ns, then closed() comes with 0. No frame comes any more. One that is
 * not open yet is given up, and closed() comes with 0 as well. */
void pcore_net_close(struct pcore_net_conn *c);

/* The same with a reason that the peer's closed() is told (-ECONNABORTED). Ours is told -EPROTO and the same text. */
void pcore_net_refuse(struct pcore_net_conn *c, const char *why);

/* End it at once; the peer finds it cut, and our closed() comes with 0 in a later turn. */
void pcore_net_abort(struct pcore_net_conn *c);

/* 32 bytes that only the two ends of this TLS session know, to bind something to it. -EOPNOTSUPP without TLS, -ENOTCONN. */
enum { PCORE_NET_EXPORT = 32 };
int pcore_net_export(struct pcore_net_conn *c, uint8_t ret[static PCORE_NET_EXPORT]);

/* ---- listening ---- */

/*
 * accepted: an open connection; call pcore_net_own() at once.
 * refused (may be NULL): somebody has not come so far, or was not let in. For the log: at most 5 a second are told, untold is
 * the number of those left out since the last one.
 */
struct pcore_net_listener_ops {
	void (*accepted)(struct pcore_net_listener *l, void *ctx, struct pcore_net_conn *c);
	void (*refused)(struct pcore_net_listener *l, void *ctx, const char *address, const struct pcore_net_error *e, uint64_t untold);
};

/*
 * Listen. A Unix socket's directory is made if it is missing, and has to be ours and closed to others; a socket that nobody
 * listens on any more is replaced, and only our own user and root get through. Connections beyond the limits wait in the
 * kernel's queue (128), or are closed where one address has too many. Without descriptors it closes what comes, and pauses.
 * -ENOKEY: TCP without keys. -EADDRINUSE, -EPERM (the directory), -errno.
 */
int pcore_net_listen(struct pcore_net_listener **ret, struct pcore_net *net, const struct pcore_net_addr *addr,
	const struct pcore_net_listener_ops *ops, void *ctx, struct pcore_net_error *err);

/* Where it listens: the port that was chosen for 0. Valid as long as the text of its address. */
const struct pcore_net_addr *pcore_net_listener_addr(const struct pcore_net_listener *l);

/* No more callbacks; connections that are open stay. It frees itself when the loop has turned. NULL is fine. */
void pcore_net_listener_stop(struct pcore_net_listener *l);

/* ---- trying again ---- */

/* How long to wait before the next try after so many failures in a row (from 1): random, between nothing and 0.2 s, 0.4 s, ...
 * 30 s, so that those who lost the same peer do not come back all at once. random is any 64 bits. */
int64_t pcore_net_backoff(unsigned failures, uint64_t random);

#endif
