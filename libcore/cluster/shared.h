/* SPDX-License-Identifier: MIT */
/*
 * shared.h - a cluster for many: a scheduler that nodes and clients connect to, and that outlives both.
 *
 *   node      is connected to by address, or comes by itself (behind a gateway); what it runs goes on when the scheduler is
 *             started again
 *   client    speaks as a scheduler does to a node, and has its jobs end with it; or submits jobs for good, and asks
 *             for their results whenever it likes
 *   admin     as of a node
 *
 * What is for good is in a store: submissions before they are confirmed, outputs before they are acknowledged to the node, results
 * before they are. All of that which comes in one turn of the loop is one commit. The state of the scheduler is there as its own
 * records. When the store has grown, what is not needed any more is left out of it.
 *
 * When the store cannot grow, submits are refused and everything else waits for room. When it fails, failed() is called: what was
 * confirmed is on the disk, and the scheduler has to be started again.
 *
 * One thread, the loop's.
 */
#ifndef PCORE_CLUSTER_SHARED_H
#define PCORE_CLUSTER_SHARED_H

#include "libcore/cluster/scheduler.h"
#include "libcore/net/net.h"

struct pcore_shared;

/* What is pointed to is borrowed for its life. */
struct pcore_shared_spec {
	const char *name, *software;
	enum pcore_sched_policy policy;
	int state_fd;	     /* the directory that the store is in */
	bool durable;	     /* else the store outlives us, but not a crash of the machine */
	int64_t grace_ns;    /* how long a node or a client may be away */
	int64_t keep_ns;     /* how long the results of what has ended are kept; INT64_MAX: until they are forgotten */
	uint64_t max_output; /* of each stream of a job that outlives its client; 0: no limit */

	void (*log)(void *ctx, const char *text); /* a line for people, without an end of line */
	void (*failed)(void *ctx, int error);	  /* the store: -errno */
	void (*quit)(void *ctx);		  /* an admin said so */
	void (*idle)(void *ctx);		  /* after pcore_shared_stop(): nothing is left */
	void *ctx;
};

/* Read what there is. 0; -EBADMSG, -EPROTONOSUPPORT, -EBUSY (another one has the store), -errno. */
int pcore_shared_new(struct pcore_shared **ret, struct pcore_loop *lp, const struct pcore_shared_spec *spec);
void pcore_shared_free(struct pcore_shared *s); /* after idle(), or before it was started; NULL is fine */

/* The instance that its end of connections has to have, always the same. */
uint32_t pcore_shared_instance(const struct pcore_shared *s);

/* Begin, with our end of connections. 0, -ENOMEM, or as the store's. */
int pcore_shared_start(struct pcore_shared *s, struct pcore_net *net);

/* Take over an open connection: a node's, a client's or an admin's. */
void pcore_shared_accept(struct pcore_shared *s, struct pcore_net_conn *c);

/* Keep a connection to this node (the first address that answers). 0, -ENOMEM. */
int pcore_shared_connect(struct pcore_shared *s, const char *text, const struct pcore_net_addr *addrs, size_t n);

/* End all connections; idle() follows. Nodes go on with what they have, for a while. */
void pcore_shared_stop(struct pcore_shared *s);

#endif
