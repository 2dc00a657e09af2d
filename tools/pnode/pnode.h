/* SPDX-License-Identifier: MIT */
/*
 * pnode.h - what pnode is asked to do, and who does it.
 */
#ifndef PCORE_PNODE_H
#define PCORE_PNODE_H

#include <limits.h>

#include "libcore/cluster/cluster.h"
#include "libcore/net/net.h"
#include "tools/cli/addrs.h"
#include "tools/cli/cli.h"
#include "tools/cli/jobs.h"
#include "tools/cli/signals.h"

enum { PNODE_LISTEN_MAX = 8, PNODE_SCHEDULERS_MAX = 8, PNODE_NODES_MAX = 4096, PNODE_LABELS_MAX = 64, PNODE_RESOURCES_MAX = 64 };

/* Strings are borrowed from argv. */
struct pnode_opts {
	char **words; /* operands */
	size_t n_words;

	const char *name;
	const char *listen[PNODE_LISTEN_MAX];
	size_t n_listen;
	int64_t cpus; /* 0: all; negative: all but so many */
	uint64_t memory;
	char *labels[PNODE_LABELS_MAX + 1];
	size_t n_labels;
	struct pcore_node_resource resources[PNODE_RESOURCES_MAX];
	size_t n_resources;
	enum pcore_sandbox_level sandbox;
	const char *workdir, *user;
	const char *tls_cert, *tls_key, *tls_ca;
	int64_t grace;
	const char *schedulers[PNODE_SCHEDULERS_MAX];
	size_t n_schedulers;
	bool detach;
	char **argv; /* as it was started, for those who look at what runs */

	/* of a scheduler */
	const char *state;
	enum pcore_sched_policy policy;
	int64_t keep;
	uint64_t max_output;
	struct cli_addrs nodes;

	bool json;
	int64_t watch; /* ns between two looks; 0: one look */
	int64_t timeout;
	bool no_keys; /* all that is asked are Unix sockets */
};

/* A node that runs here: its name, its directory and, in the background, its log. */
struct pnode_place {
	char *name; /* malloc'd */
	int dfd, lock_fd;
	int ready_fd; /* -EBADF: in the foreground */
	bool given;   /* to somebody else, who cannot remove it from root's directory */
	struct cli_log log;
	char *socket; /* malloc'd: "unix:..." */
};

/* Where it can be reached. role, peers, instance, accept and ctx are the caller's. */
struct pnode_ports {
	enum pcore_net_role role;
	unsigned peers;
	uint32_t instance; /* 0: a random one */
	void (*accept)(void *ctx, struct pcore_net_conn *c);
	void *ctx;
	const struct pnode_opts *opts;
	struct pcore_net *net;
	struct pcore_net_keys *keys;
	struct pcore_net_listener *listeners[PNODE_LISTEN_MAX + 1];
	size_t n;
};

/* Each verb returns the status to exit with. */
int pnode_serve(struct pnode_opts *o);
int pnode_scheduler(struct pnode_opts *o);
int pnode_check(struct pnode_opts *o);
int pnode_keygen(struct pnode_opts *o);
int pnode_status(struct pnode_opts *o);
int pnode_control(struct pnode_opts *o, enum pcore_wire_control_what what);

/* ---- net.c ---- */

/* Our end for these peers: with the keys there are, or certificates. *ret_keys (may be NULL then) has to live as long. A status
 * after a message, or CLI_GO. */
int pnode_net(struct pcore_net **ret, struct pcore_net_keys **ret_keys, struct pcore_loop *lp, const struct pnode_opts *o,
	enum pcore_net_role role, unsigned peers, uint32_t instance);

/* The keys that pnode_net() uses: NULL when there are none. */
int pnode_keys(struct pcore_net_keys **ret);

/* Where a node of this machine listens: "unix:...". malloc'd; NULL after a message. */
char *pnode_socket(const char *name);

/* The name of this machine, as a NAME; "node" where it has none. */
const char *pnode_hostname(void);

/* The status for an error of a connection. */
int pnode_net_status(int code);

/* ---- place.c ---- */

/* Take the name, and go to the background if that is asked for: CLI_GO in the process that serves, else a status. */
int pnode_place_take(struct pnode_place *p, const struct pnode_opts *o);
int pnode_place_give(struct pnode_place *p, uid_t uid, gid_t gid); /* the directory, to who we become: 0, -errno */
void pnode_place_ready(struct pnode_place *p, int status); /* tell our caller: CLI_GO, or how it failed */
void pnode_place_leave(struct pnode_place *p); /* as long as nothing of it was taken: does nothing */

/* The names of the nodes that run on this machine, as cli_job_names(). */
int pnode_names(char ***ret);

/* ---- admin.c ---- */

/* A line about a node and one for each job that runs, or an object. */
int pnode_print_status(const struct pcore_wire_status *s, bool json, struct pcore_buf *out);

/* ---- ports.c ---- */

struct passwd;

/* Listen at socket and where the options say, at Unix sockets as who we become (or NULL): CLI_GO, or a status after a message. */
int pnode_ports_open(struct pnode_ports *p, struct pcore_loop *lp, const struct pnode_opts *o, const char *socket, const struct passwd *pw);

/* For a while, as who we become; NULL: as root again. CLI_GO, or a status after a message. */
int pnode_act_as(const struct passwd *pw);

/* Where somebody is that is connected to. */
struct pnode_peer {
	const char *text;
	struct pcore_net_addr addrs[8];
	size_t n;
};

/* All of these, before anything is connected to: CLI_GO, or a status after a message. what: node, ...; option: that named them. *ret is
 * malloc'd. */
int pnode_peers(struct pnode_peer **ret, const struct pnode_ports *p, const char *const *words, size_t n, const char *what, const char *option);

void pnode_ports_load_keys(struct pnode_ports *p); /* anew */
void pnode_ports_stop(struct pnode_ports *p);
void pnode_ports_free(struct pnode_ports *p); /* when the loop has turned, and all connections have ended */

/* The user of --user, and what is refused: root, unless it becomes somebody else. CLI_GO or a status after a message. what: node, ... */
int pnode_user(const struct pnode_opts *o, const char *what, const struct passwd **ret);
int pnode_become(struct pnode_place *place, const struct passwd *pw); /* for good */

/* ---- server.c ---- */

/* A node or a scheduler that runs in this process. The first members are the caller's, as are role, peers, accept and ctx of the ports. */
struct pnode_server {
	const struct pnode_opts *opts;
	const char *what;			/* it is: node, scheduler */
	int (*set_up)(struct pnode_server *s);	/* there is a loop: CLI_GO, or a status after a message */
	void (*end)(struct pnode_server *s);	/* somebody wants it to end, by a signal or in words; may be called again */
	void (*release)(struct pnode_server *s); /* undo set_up(), how far it ever came */
	struct pnode_ports ports;

	const struct passwd *user; /* who we become; or NULL */
	struct pcore_loop *loop;
	struct pnode_peer *peers; /* malloc'd */
	struct pnode_place place;
	struct cli_signals signals;
	int ended_by; /* this signal */
	int status;   /* when its loop has ended: CLI_OK, unless end() had a reason */
};

/* From its start to its end: the status to exit with, unless we die of the signal that ended it. */
int pnode_server_run(struct pnode_server *s);

/* For set_up(): open the ports, find the peers as pnode_peers() does, become --user; and then heed signals. */
int pnode_server_open(struct pnode_server *s, const char *const *peers, size_t n, const char *what, const char *option);
int pnode_server_watch_signals(struct pnode_server *s);

/* What nodes and schedulers tell; ctx is the server. */
void pnode_server_log(void *ctx, const char *text);
void pnode_server_quit(void *ctx);
void pnode_server_idle(void *ctx);

/* A new directory in parent, or (NULL) where temporary files are: CLI_GO, or a status after a message. Remove it, with all in it. */
int pnode_dir_make(char ret[static PATH_MAX], const char *parent);
void pnode_dir_remove(const char *path);

#endif
