/* SPDX-License-Identifier: MIT */
/*
 * node_private.h - what the parts of a node share: node.c (what runs, and when), node_session.c (what it hears, and from whom),
 * node_say.c (what it says), node_job.c (how a job is run).
 */
#ifndef PCORE_CLUSTER_NODE_PRIVATE_H
#define PCORE_CLUSTER_NODE_PRIVATE_H

#include <limits.h>

#include "libcore/cluster/node.h"
#include "libcore/cluster/spec.h"

enum {
	NODE_HELD = 2 * PCORE_WIRE_CREDIT, /* bytes of an output that are held here before its pipe is left alone */
	NODE_HELD_MAX = 1 << 20,	   /* and so many, where the job's other output goes on */
	NODE_SESSIONS_MAX = 1024,	   /* schedulers and admins, also those that are cut off */
	NODE_JOBS_MAX = 1 << 16,	   /* of a session */
	NODE_BYTES_MAX = 64 << 20,	   /* of outputs that a session has not taken: then no more of its jobs begin */
	NODE_BODIES_MAX = 256 << 20,	   /* of what a session has described */
	NODE_LISTED_MAX = 1000,		   /* jobs in a status */
	NODE_ARGV_MAX = 512,		   /* bytes of a job's command there */
	NODE_PREFETCH = 64,		   /* jobs that it takes beyond those that run */
};

/* So long a scheduler whose connection was reset may be away: one that lives is back at once. */
#define NODE_GRACE_RESET_NS NS_PER_S

/* What ENV and TEMPLATE said. A session may have so many of each. */
enum { NODE_ENVS_MAX = 1024, NODE_TEMPLATES_MAX = 1024 };

struct node_env {
	struct pcore_map_node node;
	uint64_t id;
	struct pcore_jobenv env;
	size_t size; /* that the session is charged with */
	unsigned templates; /* that use it */
	bool dropped;
};

struct node_template {
	struct pcore_map_node node;
	uint64_t id;
	struct pcore_template t;
	struct pcore_sandbox *sandbox;
	struct node_env *env;
	size_t size; /* that the session is charged with */
	unsigned jobs; /* that use it */
	bool dropped;
};

enum node_job_state { NODE_QUEUED, NODE_RUNNING, NODE_DONE };

struct node_output {
	struct pcore_buf buf; /* from first on */
	uint64_t first;	      /* all before was taken */
	uint64_t sent, limit, total;
	bool closed; /* nobody wants the rest */
};

struct node_job {
	struct pcore_job job;
	struct pcore_map_node node; /* of the session's jobs, by key */
	struct {
		uint64_t id, attempt;
	} key;
	struct pcore_list link;	    /* in the node's queue while QUEUED; DONE: in the session's to_tell until told */
	struct pcore_list started;  /* in the session's started until told */
	struct pcore_list busy;	    /* in the session's busy while there is output to send */
	struct node_session *session;
	struct node_template *template;
	uint64_t id;
	uint32_t attempt;
	enum node_job_state state;
	bool asked, exited; /* asked: the pool has it */
	size_t size; /* that the session is charged with */
	struct pcore_wire_assign as; /* as it was assigned */
	char *record; /* its args, input and ids */
	struct node_output out[2];
	char dir[48]; /* in the workdir; "" none */
	struct pcore_wire_done done;
};

struct node_session {
	struct pcore_list link;
	struct pcore_node *node;
	struct pcore_net_conn *conn; /* NULL while it is cut */
	uint32_t instance;
	char name[PCORE_NET_NAME_MAX + 1]; /* of its key or certificate */
	struct node_dial *dial; /* that made conn; or NULL */
	bool admin, over, ending; /* over: to be freed when its jobs are */
	bool draining; /* the scheduler said so */
	bool stays; /* it said that it keeps its jobs when it is started again */
	bool full; /* the connection takes no more for the moment */
	struct pcore_op grace, flush;
	int64_t grace_until;
	size_t bodies; /* bytes of templates, environments and jobs */
	size_t held; /* bytes of outputs */
	struct pcore_map jobs, templates, envs;
	struct pcore_list started, to_tell, busy; /* of struct node_job */
	struct pcore_buf buf;
};

struct pcore_node {
	struct pcore_node_spec spec;
	struct pcore_loop *loop;
	struct pcore_keeper *keeper;
	struct pcore_executor *ex; /* the pool's */
	struct pcore_pool *pool;
	struct pcore_list sessions, dials;
	struct pcore_list queue; /* of struct node_job */
	uint64_t n_queued, n_running, succeeded, failed;
	unsigned cpus, cpus_used;
	bool stopped, draining, down, told_idle;
	int64_t cpu_ns, start_ns;
	uint64_t instance;
	int workdir_fd;
	struct pcore_trash trash;
	struct pcore_op trash_op;
	bool trash_left; /* the rest is left to whoever owns the workdir */

	/* of the attempt that is being started */
	struct pcore_job_words words;
	struct pcore_buf vars; /* those of its resources */
	char **vars_list;
	char chdir[PATH_MAX];
};

/* ---- node.c ---- */

/* It is QUEUED: run it when it fits. */
void node_enqueue(struct node_job *j);

/* End it, in whatever state. A job that was not begun is DONE at once. */
void node_cancel(struct node_job *j, enum pcore_wire_how how, int sig);

/* Take it out of the queue: false when it has begun. */
bool node_retract(struct node_job *j);

/* Remove a file or directory of the workdir, bit by bit. */
void node_trash(struct pcore_node *n, const char *name);
void node_check_idle(struct pcore_node *n);

/* ---- node_dial.c ---- */

struct node_dial;
void node_dial_lost(struct node_dial *d, bool refused); /* what it had opened is closed; refused: it was not wanted */
void node_dials_stop(struct pcore_node *n);
bool node_dials_quiet(const struct pcore_node *n); /* nothing is under way that node_dials_free() would have to wait for */
void node_dials_free(struct pcore_node *n);

/* ---- node_say.c ---- */

void node_session_tell_started(struct node_job *j);
void node_session_tell_done(struct node_job *j);
void node_session_output(struct node_job *j);
void node_session_announce(struct node_session *s); /* NODE again: something of it has changed */
void node_session_give_back(struct node_session *s); /* what has not begun */

void node_say_soon(struct node_session *s); /* what is noted, with this turn of the loop: node_say_flush() */
void node_say_flush(struct pcore_op *op, int res);
void node_say_body(struct node_session *s, enum pcore_wire_type type, uint64_t id); /* what is in buf, now */
void node_say_answer(struct node_session *s, uint64_t id, int status, const char *text);

/* Each 0, -ENOMEM, or as the wire's. The first two fill buf; ADOPT_N is sent as well. */
int node_say_begin(struct node_session *s, struct pcore_wire_out *o, enum pcore_wire_type type);
int node_put_node(struct node_session *s);
int node_put_adopt(struct node_session *s);
int node_add_retracted(struct node_session *s, struct pcore_wire_out *o, const struct pcore_wire_ref *ref);

/* ---- node_session.c ---- */

/* As pcore_node_serve(); d is told when the connection ends. */
void node_session_serve(struct pcore_node *n, struct pcore_net_conn *c, struct node_dial *d);

void node_session_end(struct node_session *s, enum pcore_wire_how how); /* its jobs, and then itself */
int node_session_list(struct node_session *s, struct pcore_buf *jobs, size_t *n); /* the jobs that run: 0, -ENOMEM */
void node_session_settle(struct node_session *s); /* free it if it is over */
void node_job_free(struct node_job *j);

/* ---- node_job.c ---- */

/* Read a body. 0, -EPROTO, -ENOMEM; -ENOSPC when there are too many. */
int node_env_new(struct node_env **ret, struct node_session *s, const struct pcore_wire_frame *f);
void node_env_free(struct node_env *e);
int node_template_new(struct node_template **ret, struct node_session *s, const struct pcore_wire_frame *f, struct pcore_err *err);
void node_template_free(struct node_template *t);

/* Describe a job for the pool's executor. */
void node_describe(void *ctx, struct pcore_job *job, struct pcore_proc_spec *spec);

/* Make and remove its directory. 0, -errno. */
int node_dir_make(struct node_job *j);
void node_dir_remove(struct node_job *j);

/* The words of its command, as far as they fit into a status, one behind the other with their NULs. 0, -ENOMEM, -EPROTO. */
int node_argv(const struct node_job *j, struct pcore_buf *ret, size_t *ret_n);

/* Fill in j->done from how the attempt ended. */
void node_result(struct node_job *j);

#endif
