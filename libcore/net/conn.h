/* SPDX-License-Identifier: MIT */
/*
 * conn.h - what conn.c (the states), conn_out.c (what is sent) and connect.c (how it begins) share: the connection itself.
 */
#ifndef PCORE_NET_CONN_H
#define PCORE_NET_CONN_H

#include "libcore/net/private.h"

enum conn_state { CONN_CONNECTING, CONN_HANDSHAKE, CONN_HELLO, CONN_OPEN, CONN_CLOSING, CONN_DEAD };

struct pcore_net_conn {
	struct pcore_net *net;
	struct pcore_net_listener *listener; /* that has not been told of it yet; not owned */
	const struct pcore_net_ops *ops;     /* NULL when nobody owns it */
	void *ctx;
	enum conn_state state;
	struct pcore_net_peer peer;
	struct pcore_net_error error; /* what closed() will say */
	struct net_tls *tls;	      /* NULL: plain */
	int fd, dir_fd;		      /* the latter of a Unix socket, until it is connected */
	bool server;
	bool preauth; /* counted in net->preauth */
	bool paused;
	bool ended;    /* the peer has closed the TLS session; frames may be left */
	bool notified; /* it has been told that we close it */
	bool full;     /* the owner waits for room() */
	bool shut;     /* our side of the socket */
	bool heard;    /* something came since the last PING was due */
	bool taken;    /* the kernel took something of ours since then */
	bool in_frame; /* between begin and end */
	unsigned missed;
	int64_t deadline, stalled_ns;
	size_t received; /* counted until it is open */
	struct net_bytes in, out;
	size_t frame_at; /* where the frame that is being made begins in out */
	struct pcore_op in_op, out_op, timer_op;
	struct pcore_list link; /* net->conns */
	struct pcore_list due;	/* net->due */
	struct sockaddr_storage to;
};

/* ---- conn.c ---- */

/* One that has not begun; discarding it closes its socket, too. */
int net_conn_new(struct pcore_net_conn **ret, struct pcore_net *net, bool tls, bool server);
void net_conn_discard(struct pcore_net_conn *c);

/* It is a connection from now on: whatever happens is told later. */
void net_conn_begin(struct pcore_net_conn *c);

/* It has something to do at the end of the loop's turn. */
void net_conn_due(struct pcore_net_conn *c);

/* ---- conn_out.c ---- */

/* Queue a frame. 0, -EMSGSIZE, -ENOBUFS or -ENOMEM. */
int net_out_frame(struct pcore_net_conn *c, uint16_t type, uint16_t flags, uint64_t stream, const void *body, size_t len);

/* Nobody reads any more what is queued. */
void net_out_forget(struct pcore_net_conn *c);

/* Send what the socket takes, and shut down our side of it when one that is closing has sent all. */
int net_out_flush(struct pcore_net_conn *c, struct pcore_net_error *err);

/* Tell an owner who waits for it that there is room again. */
void net_out_room(struct pcore_net_conn *c);

#endif
