/* SPDX-License-Identifier: MIT */
/*
 * shared_private.h - what the parts of a shared scheduler have in common: shared.c (its life, and when things are done),
 * shared_node.c (nodes), shared_template.c (what jobs have in common, once for all), shared_client.c and shared_say.c (clients
 * whose jobs end with them), shared_input.c (what these read), shared_journal.c (the store), shared_submit.c (jobs for good),
 * shared_good.c (those that a node has), shared_watch.c (what became of them), shared_ask.c (questions), shared_control.c
 * (admins).
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
	uint64_t handle; /* the scheduler's, of its last connection */
	int64_t dead_ns; /* it has to be back by then; INT64_MAX: the scheduler waits for it as long as it likes */
	uint32_t number; /* in STARTED_N, DONE_N and the store */
	uint64_t running, jobs;
	int64_t job_ns;
	uint64_t sent, received;
	char name[];
};

/* A connection to a node, and what it has been told: serials by number - 1. */
struct shared_told {
	uint64_t envs[SHARED_ENVS], templates[SHARED_TEMPLATES];
	struct shared_node *node; /* when it has joined */
	char address[PCORE_NET_ADDR_MAX];
};

enum shared_state { SHARED_WAITS, SHARED_RUNS, SHARED_DONE };

struct shared_output {
	struct pcore_buf buf; /* from first on */
	uint64_t first;	      /* all before was taken */
	uint64_t sent, limit;
	bool closed; /* nobody wants the rest */
};

struct shared_chunk;

/* The standard input of a client's job. */
struct shared_input {
	struct shared_chunk *first, *end; /* from start on, in the stream */
	struct shared_chunk *next;	  /* that the node is to get */
	uint64_t start, received;
	uint64_t given;	  /* to the link, from the beginning of the stream */
	uint64_t granted; /* up to there the client may send */
	bool wanted;	  /* it is a stream */
	bool last;	  /* no more than received will come */
	bool over;	  /* nobody reads any more */
	struct pcore_list to_credit; /* in the client's until told */
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
	struct shared_input in;
	bool lost, began; /* DONE without a result: with its node; it had begun there */
	struct shared_output out[2];

	/* One for good */
	struct shared_part *part;
	uint32_t index;
	struct pcore_list unsafe;  /* has output that is not in the store */
	struct pcore_buf pending[2];
	uint64_t stored[2];
};

/* An output that is in the store, piece by piece. */
struct shared_piece {
	uint64_t at, offset;
	uint32_t len;
	uint8_t stream;
};

struct shared_stored {
	uint32_t attempt;
	size_t n, cap;
	struct shared_piece *pieces;
};

/* How a job ended: where in the store that is, or an outcome without a result. 0: it has not. */
#define SHARED_NO_RESULT (UINT64_C(1) << 63)

struct shared_result {
	uint64_t at;
	struct shared_stored *stored; /* NULL: nothing */
};

/* Jobs that came in one message: an array of the scheduler's. */
struct shared_part {
	struct shared_submission *sub;
	uint32_t number, n, words;
	uint64_t first;	 /* the scheduler's id of its first job */
	uint64_t before; /* jobs of the parts before */
	char *args;
	uint32_t *offsets; /* of each job's arguments, and where the last one's end */
	struct shared_result *results;
};

struct shared_submission {
	struct pcore_map_node by_number, by_token;
	struct pcore_list link;
	uint64_t number;
	char token[PCORE_WIRE_TOKEN];
	char *owner;
	struct shared_template *template;
	uint64_t client; /* the scheduler's, when it is exclusive: all it has for itself; 0: none */
	struct pcore_sched_jobs how; /* priority and what becomes of jobs that fail or are lost */
	char *input;
	size_t input_len;
	uint64_t *after; /* submissions */
	size_t n_after;
	struct shared_part **parts;
	size_t n_parts;
	bool more; /* another part follows */
	uint64_t n, running, succeeded, failed, cancelled, lost;
	int64_t submit_ns, start_ns, end_ns; /* realtime; 0: not yet */
};

/* What is in a record of the store. */
enum shared_record {
	SHARED_META = 1, /* u32 version, u32 our instance */
	SHARED_CORE,	 /* records of the scheduler's; with SHARED_SNAPSHOT those before count no more */
	SHARED_SUBMIT,	 /* struct shared_submit_head, the owner's name with a NUL, and the message's body */
	SHARED_OUTPUT,	 /* struct shared_output_head, and bytes */
	SHARED_RESULT,	 /* struct shared_result_head, and the body of a DONE_N, or nothing */
	SHARED_NODE,	 /* u32 number, name */
	SHARED_FORGET,	 /* u64 submission */
	SHARED_CLIENT,	 /* u64 the scheduler's id, name */
};

enum { SHARED_VERSION = 1, SHARED_SNAPSHOT = 1 };

struct shared_submit_head {
	uint64_t number, first, before;
	int64_t submit_ns;
	uint32_t owner; /* length of the name */
	uint32_t pad;
};

struct shared_output_head {
	uint64_t number, seq, offset;
	uint32_t attempt, stream;
};

struct shared_result_head {
	uint64_t number, seq; /* of the first */
	uint32_t n, outcome;
	int64_t end_ns; /* realtime */
};

/* A record that waits to be appended. */
struct shared_entry {
	size_t offset, len;
	uint8_t type, flags;
	struct shared_part *part; /* OUTPUT, RESULT: of whose job; NULL: of none, or nobody wants to know where it is */
	uint32_t index, piece;
};

struct shared_journal {
	struct pcore_store *store;
	int lock_fd;
	struct pcore_buf data; /* of the entries */
	struct shared_entry *entries;
	size_t n, cap;
	bool sync, blocked; /* blocked: there was no room */
	uint64_t unsynced;  /* the last seq that may not be safe; 0: none */
	uint64_t size_next; /* when to look for what is not needed */
	uint64_t snapshot;  /* seq of the newest */
	struct pcore_op retry;
};

/* A client whose jobs are for good: by the name of its key. */
struct shared_owner {
	struct pcore_list link;
	uint64_t id; /* the scheduler's */
	char name[];
};

/* Somebody looks at what becomes of jobs. */
struct shared_watch {
	struct pcore_list link;
	struct shared_client *client;
	uint64_t id, number, seq, to;
	unsigned flags;
	uint32_t attempt; /* that was told, of seq; 0: none */
	uint64_t sent[2]; /* of that */
	size_t piece;	  /* of the stored ones: the next */
	bool told;	  /* STARTED_N */
	uint64_t total, limit;
};

/* Was assigned, and nothing is known of it. */
struct shared_unknown {
	struct pcore_sched_claim claim;
	uint64_t node;
};

/* What is answered once it is safe. */
struct shared_answer {
	uint64_t id, number, count;
	int status; /* SUBMITTED: -1 */
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
	struct pcore_list to_start, to_tell, busy, to_credit;
	uint64_t *numbers; /* of nodes, that it was told the names of: a bit each */
	size_t n_numbers;
	struct pcore_list watches;
	struct pcore_buf buf;
	struct pcore_buf answers; /* of struct shared_answer, when it is safe */
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
	bool stopped, draining; /* by an admin */
	bool stopping, told_idle, changed, failed_once, short_of_memory;
	struct pcore_sched_spec sched_spec;
	uint32_t cpus; /* as clients were told */
	int64_t start_ns;
	uint64_t succeeded, failed, running;
	int64_t busy_ns, busy_since; /* so long something ran, and since when, if running */
	struct pcore_buf buf; /* of whatever is read at the moment */

	struct shared_journal journal;
	struct pcore_list submissions, owners, unsafe;
	struct pcore_buf unknown; /* of struct shared_unknown */
	struct pcore_map by_number, by_token;
	struct shared_part **parts; /* of all, by their first ids */
	size_t n_parts, parts_cap;
	uint64_t next_submission;
	unsigned n_at_most_once;
	int64_t look_ns; /* when to look for what is too old */
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
int64_t shared_node_next(const struct pcore_shared *s); /* when shared_node_tick() has something to do */
void shared_node_tick(struct pcore_shared *s, int64_t now);
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

/* ---- shared_journal.c ---- */

/* Read all there is, or begin. 0, -EBADMSG, -EBUSY, -errno. */
int shared_journal_open(struct pcore_shared *s);
void shared_journal_close(struct pcore_shared *s);

/* A record to be: head and data. sync: it has to be safe. 0, -ENOMEM. */
int shared_journal_add(struct pcore_shared *s, enum shared_record type, const void *head, size_t head_len, const void *data, size_t len, bool sync);
void shared_journal_about(struct pcore_shared *s, struct shared_part *p, uint32_t index, uint32_t piece); /* of the last one: that wants to know where it is */

/* Append and make safe what there is, the scheduler's records too. keep: leave so much room. 0; -ENOSPC and its like: not now; failed()
 * has been called for anything else. */
int shared_journal_commit(struct pcore_shared *s, uint64_t keep);
int shared_journal_take_core(struct pcore_shared *s); /* the scheduler's records so far: 0, -ENOMEM */
void shared_journal_drop_last(struct pcore_shared *s); /* what was added last, and not appended */
void shared_journal_compact(struct pcore_shared *s); /* if it has grown */

/* ---- shared_submit.c ---- */

int shared_submit(struct shared_client *c, const struct pcore_wire_frame *f);
int shared_submit_restore(struct pcore_shared *s, const struct shared_submit_head *h, const char *rest, size_t len);
int shared_submit_check(struct pcore_shared *s); /* what was not confirmed may not be known to the scheduler */
struct shared_submission *shared_submission_find(struct pcore_shared *s, uint64_t number);
struct shared_part *shared_part_of(struct shared_submission *sub, uint64_t seq, uint32_t *index); /* seq from 1; NULL: none */
struct shared_part *shared_part_of_id(struct pcore_shared *s, uint64_t id, uint32_t *index);
uint64_t shared_submission_over(const struct shared_submission *sub); /* jobs */
void shared_submission_free(struct pcore_shared *s, struct shared_submission *sub);
void shared_forget_old(struct pcore_shared *s);

/* ---- shared_good.c ---- */

/* A job for good is assigned, or claimed: 0, -ENOMEM; NULL when there is none of this id. */
int shared_good_job(struct pcore_shared *s, uint64_t id, struct shared_job **ret);
bool shared_good_output(struct pcore_shared *s, struct shared_job *j, enum pcore_wire_stream stream, const char *data, size_t len);
int shared_good_flush(struct pcore_shared *s, struct shared_job *j); /* its output, to be appended */
void shared_good_over(struct pcore_shared *s, const struct pcore_sched_news *n);
void shared_good_free_all(struct pcore_shared *s);
void shared_good_again(struct pcore_shared *s, const struct pcore_sched_news *n);

/* Note how n jobs ended. at: where that is, or SHARED_NO_RESULT with an outcome. */
void shared_note_result(struct shared_part *p, uint32_t index, uint32_t n, enum pcore_sched_outcome outcome, int64_t end_ns);
void shared_note_start(struct shared_submission *sub, int64_t start_ns);
int shared_note_piece(struct shared_part *p, uint32_t index, uint32_t attempt, const struct shared_piece *piece); /* which it is; -ENOMEM */
void shared_stored_free(struct shared_stored *o);

/* ---- shared_watch.c ---- */

int shared_watch(struct shared_client *c, const struct pcore_wire_frame *f);
bool shared_watch_credit(struct shared_client *c, const struct pcore_wire_credit *credit); /* false: there is no such watch */
void shared_watch_go_on(struct shared_client *c);
void shared_watch_drop(struct shared_client *c);

/* ---- shared_ask.c ---- */

int shared_ask(struct shared_client *c, const struct pcore_wire_frame *f); /* of a client */

/* ---- shared_control.c ---- */

int shared_control(struct shared_client *c, const struct pcore_wire_frame *f); /* of an admin */
enum pcore_wire_state shared_state(const struct pcore_shared *s);
void shared_check_drained(struct pcore_shared *s); /* nothing may be left to do */

/* ---- shared_client.c ---- */

void shared_client_accept(struct pcore_shared *s, struct pcore_net_conn *c);
void shared_client_settle(struct shared_client *c); /* free it if it is over */
void shared_client_end(struct shared_client *c);
void shared_job_over(struct shared_job *j, const struct pcore_sched_news *n);
void shared_job_again(struct shared_job *j);
void shared_job_lost(struct shared_job *j); /* with its node, where it had begun */
void shared_job_free(struct shared_job *j); /* that is not known to the scheduler any more */
struct shared_job *shared_job_find(struct pcore_shared *s, uint64_t id);

/* ---- shared_input.c ---- */

int shared_input_begin(struct shared_job *j); /* as it was assigned: 0, -ENOMEM, -ENOBUFS */
void shared_input_done(struct shared_job *j);
int shared_input_hear(struct shared_job *j, const struct pcore_wire_chunk *c); /* more: 0, -EPROTO, -ENOMEM, -ENOBUFS */
void shared_input_tell(struct shared_job *j); /* its client: how much may be sent, if any */
bool shared_input_whole(const struct shared_job *j); /* another attempt can have it, from the beginning */

/* As struct link_ops has them. */
int shared_input_next(struct link *l, struct link_job *at, struct pcore_piece *ret);
void shared_input_again(struct link *l, struct link_job *at);
void shared_input_taken(struct link *l, struct link_job *at);
void shared_input_over(struct link *l, struct link_job *at, int error);

/* ---- shared_say.c ---- */

void shared_say_soon(struct shared_client *c);
void shared_say_flush(struct pcore_op *op, int res);
void shared_say(struct shared_client *c, enum pcore_wire_type type, uint64_t id, const struct pcore_buf *body);
int shared_say_introduce(struct shared_client *c); /* what there is, as a node does */
void shared_say_node(struct shared_client *c);
void shared_say_number(struct shared_client *c, const struct shared_node *n); /* if it was not told yet */
int shared_say_retracted(struct shared_client *c, const struct pcore_wire_ref *ref); /* with what is said next */
void shared_say_quiet(struct link *l, struct link_job *at, enum pcore_wire_quiet what); /* what the link hears */
void shared_say_answers(struct shared_client *c); /* that waited until they are true for good */
void shared_say_answer(struct shared_client *c, uint64_t id, int status, const char *text);
bool shared_say_output(struct shared_job *j, enum pcore_wire_stream stream, const char *data, size_t len); /* false: enough */

#endif
