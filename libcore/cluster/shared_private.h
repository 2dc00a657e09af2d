/* SPDX-License-Identifier: MIT */
/*
 * shared_private.h - what the parts of a shared scheduler have in common: shared.c (its life, and when things are done),
 * shared_node.c (nodes), shared_template.c (what jobs have in common, once for all), shared_client.c and shared_say.c (clients
 * whose jobs end with them), shared_journal.c (the store), shared_submit.c (jobs for good), shared_watch.c (what became of them),
 * shared_ask.c (questions).
 */
#ifndef PCORE_CLUSTER_SHARED_PRIVATE_H
#define PCORE_CLUSTER_SHARED_PRIVATE_H

#include "libcore/cluster/link.h"
#include "libcore/cluster/shared.h"
#include "libcore/cluster/wire_client.h"
#include "libcore/store/store.h"

enum {
	SHARED_CLIENTS_MAX = 4096,	   /* connected, and those that are cut off */
	SHARED_JOBS_MAX = 1 << 16,	   /* of a client whose jobs end with it */
	SHARED_BODIES_MAX = 256 << 20,	   /* bytes of what such a client has described */
	SHARED_NUMBERS_MAX = 1024,	   /* environments, and templates, of a client */
	SHARED_HELD = PCORE_WIRE_CREDIT,   /* bytes of an output that wait for the client; then its node waits too */
	SHARED_ENVS = 64, SHARED_TEMPLATES = 256, /* that a node is told at a time: at most a quarter of what it has room for */
	SHARED_PREFETCH = 64,
};

struct shared_client;
struct shared_part;
struct shared_watch;

/* An environment or a template is one, however many say it. Its number on each connection to a node follows from the serial. */
struct shared_env {
	struct pcore_map_node node; /* by body */
	uint64_t serial;
	unsigned refs;
	size_t len;
	char body[];
};

struct shared_template {
	struct pcore_map_node node; /* by key */
	uint64_t serial;
	unsigned refs;
	struct shared_env *env;
	struct pcore_wire_template t; /* points into whole */
	char *whole;		      /* the body as it came */
	size_t told_len, key_len; /* key: the serial of env, the body for nodes, and the body as it came */
	char key[];
};

/* A node as long as we are here, and where it was last. */
struct shared_node {
	struct pcore_list link;
	struct link *at; /* NULL: it is not there */
	uint32_t number; /* in STARTED_N, DONE_N and the store */
	uint64_t running, jobs;
	int64_t job_ns;
	uint64_t sent, received;
	char name[];
};

/* What a connection to a node has been told: serials by number - 1. */
struct shared_told {
	uint64_t envs[SHARED_ENVS], templates[SHARED_TEMPLATES];
	char address[PCORE_NET_ADDR_MAX];
};

enum shared_state { SHARED_WAITS, SHARED_RUNS, SHARED_DONE };

struct shared_output {
	struct pcore_buf buf; /* from first on */
	uint64_t first;	      /* all before was taken */
	uint64_t sent, limit;
	bool closed; /* nobody wants the rest */
};

/* A job that a node has, or that a client waits for. */
struct shared_job {
	struct link_job at;
	struct pcore_map_node by_id; /* at.id */
	enum shared_state state;
	bool listed;		     /* in by_id */
	struct pcore_wire_started started; /* when it RUNS */
	struct shared_node *ran;     /* where it was last; or NULL */
	char *texts;		     /* step and subject of at.done, one behind the other; NULL: both empty */

	/* One whose end is its client's */
	struct shared_client *client; /* NULL: it is for good */
	struct shared_template *template;
	struct {
		uint64_t id, attempt;
	} key; /* the client's */
	struct pcore_map_node by_key;
	struct pcore_list to_start, to_tell, busy; /* in the client's lists until told */
	struct pcore_wire_assign as;
	char *record; /* its args and input */
	size_t size;
	bool lost, began; /* DONE without a result: with its node; it had begun there */
	struct shared_output out[2];

	/* One for good */
	struct shared_part *part;
	uint32_t index;
	struct pcore_list unsafe;  /* has output that is not in the store */
	struct pcore_buf pending[2];
	uint64_t stored[2];
};

/* Whoever asks us. */
struct shared_client {
	struct pcore_list link;
	struct pcore_shared *shared;
	struct pcore_net_conn *conn; /* NULL while it is cut */
	uint32_t instance;
	char name[PCORE_NET_NAME_MAX + 1];
	bool admin, streams; /* streams: it has been told what there is, as of a node */
	bool over, full;
	uint64_t id;	/* the scheduler's, of what ends with it; 0: none yet */
	struct pcore_op grace, flush;
	int64_t grace_until;
	size_t bodies;
	struct pcore_map jobs, envs, templates; /* by the client's key and numbers */
	struct pcore_list to_start, to_tell, busy;
	uint64_t *numbers; /* of nodes, that it was told the names of: a bit each */
	size_t n_numbers;
	struct pcore_list watches;
	struct pcore_buf buf;
};

/* Of a client: what its number stands for. */
struct shared_number {
	struct pcore_map_node node;
	uint64_t id;
	size_t size;
	struct shared_env *env;
	struct shared_template *template;
};

struct pcore_shared {
	struct link_host host;
	struct pcore_shared_spec spec;
	struct pcore_list links, nodes, clients;
	struct pcore_map jobs, envs, templates;
	uint64_t next_serial;
	uint32_t instance;
	uint32_t next_node;
	struct pcore_op pump, tick;
	bool stopping, told_idle, changed;
	uint32_t cpus; /* as clients were told */
	int64_t start_ns;
	uint64_t succeeded, failed, running;
	int64_t busy_ns, busy_since; /* so long something ran, and since when, if running */
	struct pcore_buf buf; /* of whatever is encoded at the moment */
};

/* ---- shared.c ---- */

void shared_pump_soon(struct pcore_shared *s);
void shared_log(struct pcore_shared *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void shared_check_idle(struct pcore_shared *s);
static inline int64_t shared_now(struct pcore_shared *s)
{
	return pcore_loop_now(s->host.loop);
}

/* ---- shared_node.c ---- */

extern const struct link_ops shared_link_ops;
void shared_node_accept(struct pcore_shared *s, struct pcore_net_conn *c);
struct shared_node *shared_node_find(struct pcore_shared *s, const char *name);
struct shared_node *shared_node_make(struct pcore_shared *s, const char *name, uint32_t number); /* 0: the next one */
const char *shared_node_name(struct pcore_shared *s, uint32_t number); /* NULL: none */
void shared_job_stopped(struct pcore_shared *s, struct shared_job *j); /* it does not run any more */
void shared_job_forget(struct pcore_shared *s, struct shared_job *j); /* its attempt, and what it has said */

/* ---- shared_template.c ---- */

/* The one with this body (of which a copy is kept): 0, -EPROTO, -ENOMEM. Each has to be put back. */
int shared_env_get(struct pcore_shared *s, struct shared_env **ret, const char *body, size_t len);
int shared_template_get(struct pcore_shared *s, struct shared_template **ret, struct shared_env *e, const char *body, size_t len, uint64_t max_output);
void shared_env_put(struct pcore_shared *s, struct shared_env *e); /* NULL is fine */
void shared_template_put(struct pcore_shared *s, struct shared_template *t);

/* Its number on the connection, which knows it now. */
uint32_t shared_template_tell(struct link *l, const struct shared_template *t);

/* Submit n jobs of it: as pcore_sched_submit(). jobs: all but the request. */
int shared_template_submit(struct pcore_shared *s, const struct shared_template *t, uint64_t client, struct pcore_sched_jobs *jobs, uint64_t *ret_first);

/* ---- shared_client.c ---- */

void shared_client_accept(struct pcore_shared *s, struct pcore_net_conn *c);
void shared_client_settle(struct shared_client *c); /* free it if it is over */
void shared_client_end(struct shared_client *c);
void shared_job_over(struct shared_job *j, const struct pcore_sched_news *n);
void shared_job_again(struct shared_job *j);
void shared_job_free(struct shared_job *j); /* that is not known to the scheduler any more */
struct shared_job *shared_job_find(struct pcore_shared *s, uint64_t id);

/* ---- shared_say.c ---- */

void shared_say_soon(struct shared_client *c);
void shared_say_flush(struct pcore_op *op, int res);
void shared_say(struct shared_client *c, enum pcore_wire_type type, uint64_t id, const struct pcore_buf *body);
int shared_say_introduce(struct shared_client *c); /* what there is, as a node does */
void shared_say_node(struct shared_client *c);
void shared_say_number(struct shared_client *c, const struct shared_node *n); /* if it was not told yet */
int shared_say_retracted(struct shared_client *c, const struct pcore_wire_ref *ref); /* with what is said next */
void shared_say_answer(struct shared_client *c, uint64_t id, int status, const char *text);
bool shared_say_output(struct shared_job *j, enum pcore_wire_stream stream, const char *data, size_t len); /* false: enough */

#endif
