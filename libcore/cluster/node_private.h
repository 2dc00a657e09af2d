/* SPDX-License-Identifier: MIT */
/*
 * node_private.h - what the parts of a node share: node.c (what runs, and when), node_session.c (what it hears, and from whom),
 * node_say.c (what it says), node_job.c (how a job is run), node_input.c (what it reads), node_workers.c (those that stay),
 * node_stock.c (what they have of the node).
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
	NODE_SPARE_MAX = 1 << 12,	   /* jobs that are over whose memory is kept for the next ones */
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
	struct pcore_list workers; /* of struct node_workers */
	bool dropped;
	bool tell_end; /* the scheduler waits for the end of its workers */
};

enum node_job_state { NODE_QUEUED, NODE_RUNNING, NODE_DONE };

struct node_output {
	struct pcore_buf buf; /* from first on */
	uint64_t first;	      /* all before was taken */
	uint64_t sent, limit, total;
	bool closed; /* nobody wants the rest */
};

struct node_piece;

struct node_input {
	struct node_piece *first, *end; /* that the job has not taken */
	uint64_t received, taken;	/* bytes */
	uint64_t granted;
	uint64_t left;	  /* bytes that may come beyond what there is credit for, and are dropped */
	bool wanted;	  /* it has a pipe */
	bool last;	  /* no more than received will come */
	bool over;	  /* nobody reads any more */
	bool feeding;	  /* the first piece is being written */
	uint64_t seen;	  /* of received, when it was looked at */
	unsigned looks;	  /* since then */
	struct pcore_list to_look; /* in the node's while it runs, if it is a stream */
	struct pcore_list to_credit; /* in the session's until told */
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
	struct node_workers *workers; /* its executor, if it is an item */
	uint64_t id;
	uint32_t attempt;
	enum node_job_state state;
	bool asked, exited; /* asked: the pool has it */
	bool told_started;  /* an item */
	size_t size; /* that the session is charged with */
	struct pcore_wire_assign as; /* as it was assigned */
	char *record; /* its args, input and ids, and which it has */
	struct pcore_wire_bytes ids; /* that it has; as.ids is what the scheduler thinks */
	struct node_input in;
	struct node_output out[2];
	char dir[48]; /* in the workdir; "" none */
	uint32_t cut; /* which outputs are: flags of DONE_N */
};

/* Of one of the node's resources. */
struct node_stock {
	uint64_t used;
	bool *taken; /* those that have names */
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
	struct pcore_list started, to_tell, busy, to_credit; /* of struct node_job */
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
	struct pcore_list workers;
	struct pcore_spare spare; /* for struct node_job */
	uint64_t workers_serial;
	uint64_t n_queued, n_running, succeeded, failed;
	unsigned cpus, cpus_used;
	uint64_t memory_used;
	struct node_stock *stock; /* of each resource */
	bool stopped, draining, down, told_idle;
	int64_t cpu_ns, start_ns;
	uint64_t instance;
	int workdir_fd;
	struct pcore_trash trash;
	struct pcore_op trash_op;
	struct pcore_list streams; /* of struct node_job: those whose input comes as a stream */
	struct pcore_op look;
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

/* What a job writes, and its end, whatever its pool is. */
bool node_job_output(void *ctx, struct pcore_job *job, enum pcore_job_stream stream, const char *data, size_t len);
void node_job_over(struct node_job *j);

/* ---- node_workers.c ---- */

int node_workers_enqueue(struct node_job *j); /* 0, -ENOMEM */
void node_workers_forget(struct node_job *j); /* it is over, or taken back */
void node_workers_cancel(struct node_job *j, enum pcore_wire_how how, int sig);
void node_workers_resume(struct node_job *j); /* its answer is read again */
void node_workers_end(struct node_session *s, enum pcore_wire_how how); /* those of a session */
bool node_workers_of(const struct node_session *s); /* are there any? */
void node_workers_kick(struct pcore_node *n);	 /* CPUs have become free */
void node_workers_resize(struct pcore_node *n); /* it was stopped, started, or has other CPUs */
unsigned node_workers_busy(const struct pcore_node *n);
void node_workers_look(struct node_template *t);   /* it is dropped: they may end */
void node_workers_unname(struct node_session *s);  /* nothing can be said of them any more */
void node_workers_tell_started(struct node_session *s);
int node_workers_say(struct node_session *s);
void node_workers_credit(struct node_session *s, struct node_template *t, unsigned slot, const struct pcore_wire_credit *c);
void node_workers_each_queued(struct node_session *s, void (*each)(void *ctx, struct node_job *j), void *ctx);

/* ---- node_stock.c ---- */

int node_stock_new(struct pcore_node *n); /* 0, -ENOMEM */
void node_stock_free(struct pcore_node *n);

/* Is there as much left as a job of t needs? these: those named resources, and no others. */
bool node_stock_has(struct pcore_node *n, const struct node_template *t, const struct pcore_wire_bytes *ids, bool these);

/* Count it, or count it no more, without choosing any: others find less. */
void node_stock_claim(struct pcore_node *n, const struct node_template *t, const struct pcore_wire_bytes *ids, bool claim);

/* There was enough. Which ones it has comes to where chosen points, which is as long as ids. */
void node_stock_take(struct pcore_node *n, const struct node_template *t, struct pcore_wire_bytes ids, char *chosen);
void node_stock_give(struct pcore_node *n, const struct node_template *t, const struct pcore_wire_bytes *chosen);

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
void node_say_quiet(struct node_job *j, enum pcore_wire_quiet what);
void node_say_body(struct node_session *s, enum pcore_wire_type type, uint64_t id); /* what is in buf, now */
int node_say_stream(struct node_session *s, uint64_t id, uint32_t attempt, enum pcore_wire_stream stream, struct node_output *o);
void node_say_worker(struct node_session *s, const struct pcore_wire_worker *w);
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
void node_template_settle(struct node_template *t, struct node_session *s); /* free it if it is dropped and nothing uses it */
void node_output_take(struct node_session *s, struct node_output *o, uint64_t received, bool closed); /* all before received is forgotten */

/* ---- node_input.c ---- */

/* What was assigned with the job: 0, -ENOMEM, -ENOBUFS. */
int node_input_begin(struct node_job *j, const struct pcore_wire_assign *a);
void node_input_done(struct node_job *j);
int node_input_hear(struct node_job *j, const struct pcore_wire_chunk *c); /* more: 0, -EPROTO, -ENOMEM, -ENOBUFS */
void node_input_again(struct node_job *j); /* after a reconnect: what may be sent */

/* As struct pcore_local_spec has them. */
int node_input(void *ctx, struct pcore_job *job, struct pcore_piece *ret);
void node_input_started(struct node_job *j); /* look at it from now on, until */
void node_input_ended(struct node_job *j);
void node_input_look(struct pcore_op *op, int res);
void node_input_over(void *ctx, struct pcore_job *job, uint64_t left);

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

/* How the attempt ended; the texts are the job's. */
void node_result(const struct node_job *j, struct pcore_wire_done *ret);

#endif
