/* SPDX-License-Identifier: MIT */
/*
 * wire.h - what nodes, schedulers and those who run them say to each other; pcore-wire(7) has the layout.
 *
 * This is about the bodies of frames; net/ has the frames, with their type, flags and id (its stream). What is said rarely has a
 * body of fields, each with a tag; what is said all the time has one of records. Numbers are little-endian. Pure:
 * pcore_wire_put_*() append a body to a buffer, pcore_wire_get_*() read one. A reader looks at no byte that is not there, accepts a
 * body as a whole or not at all, and points into it instead of copying: what it gives lives as long as the body does.
 *
 * Fields: each struct has `has', a set of tags. Writing, it says which fields there are; reading, which there were. What is
 * required need not be set. Texts and words end with a NUL, on the wire too, so that they can be handed on as they are.
 */
#ifndef PCORE_CLUSTER_WIRE_H
#define PCORE_CLUSTER_WIRE_H

#include "libcore/base/base.h"

enum {
	PCORE_WIRE_VERSION = 1,
	PCORE_WIRE_CONTROL_MAX = 1 << 20, /* bytes of a body */
	PCORE_WIRE_DATA_MAX = 16 << 20,	  /* ENV, TEMPLATE, ASSIGN_N, INPUT, OUTPUT, SUBMIT */
	PCORE_WIRE_NAME_MAX = 64,	  /* of a node, a resource */
	PCORE_WIRE_CREDIT = 64 << 10,	  /* of each stream at its beginning */
};

enum pcore_wire_type {
	/* 0x001-0x0ff: of net/ */
	/* from a client to a scheduler, each with any number as its id, which is that of the answers: wire_client.h */
	PCORE_WIRE_SUBMIT = 0x100, /* jobs that outlive the connection */
	PCORE_WIRE_WATCH,	   /* what becomes of them */
	PCORE_WIRE_CANCEL,
	PCORE_WIRE_LIST,
	PCORE_WIRE_NODES,
	PCORE_WIRE_EXPLAIN,
	PCORE_WIRE_FORGET,
	/* from a node */
	PCORE_WIRE_NODE = 0x200, /* who it is and what it has */
	PCORE_WIRE_ADOPT_N,	 /* the jobs it has; first of all after NODE */
	PCORE_WIRE_STARTED_N,
	PCORE_WIRE_OUTPUT, /* of a job (id), or of a worker */
	PCORE_WIRE_DONE_N,
	PCORE_WIRE_RETRACTED_N,
	PCORE_WIRE_WORKER, /* what became of a worker */
	PCORE_WIRE_STATUS, /* to STATUS_GET, with its id */
	PCORE_WIRE_ANSWER, /* to CONTROL, with its id; from a scheduler too */
	PCORE_WIRE_QUIET_N, /* what jobs with a stream of input do that is not seen in their streams */
	/* from a scheduler */
	PCORE_WIRE_ENV = 0x300,	 /* an environment, and from now on its number (id) */
	PCORE_WIRE_TEMPLATE,	 /* all that jobs have in common, and its number (id) */
	PCORE_WIRE_ENV_DROP,	 /* this number is not used any more */
	PCORE_WIRE_TEMPLATE_DROP, /* nor this one, once the jobs assigned with it are done */
	PCORE_WIRE_ASSIGN_N,
	PCORE_WIRE_INPUT, /* of a job (id) */
	PCORE_WIRE_CANCEL_N,
	PCORE_WIRE_RETRACT_N, /* give back what has not begun */
	PCORE_WIRE_ACK_N,     /* this result is safe */
	PCORE_WIRE_DRAIN,     /* begin nothing any more, give back what has not begun */
	PCORE_WIRE_SHUTDOWN,
	PCORE_WIRE_CREDIT_N, /* bytes of streams that have arrived, and that may be sent; from a node too */
	PCORE_WIRE_STAY,     /* this scheduler keeps its jobs when it is started again */
	/* from a scheduler to a client */
	PCORE_WIRE_SUBMITTED = 0x380,
	PCORE_WIRE_SUBMISSION, /* to LIST */
	PCORE_WIRE_MEMBER,     /* to NODES: one of them */
	PCORE_WIRE_WHY,	       /* to EXPLAIN */
	PCORE_WIRE_NODE_NUMBER, /* the name behind a node's number (id) in STARTED_N and DONE_N */
	PCORE_WIRE_TOTAL,      /* to NODES, first of all: the whole cluster */
	/* from who runs them */
	PCORE_WIRE_STATUS_GET = 0x400, /* id: any number */
	PCORE_WIRE_CONTROL,	       /* the same */
	/* 0x500-0x5ff: relays, 0x600-0x6ff: discovery, 0x700-0x7ff: files */
};

struct pcore_wire_frame {
	enum pcore_wire_type type;
	uint64_t id;
	const char *body;
	size_t len;
};

#define PCORE_WIRE_HAS(tag) (UINT64_C(1) << (tag))

/* The longest body that a frame of this type may have. */
size_t pcore_wire_body_max(enum pcore_wire_type type);

/* ---- parts of messages ---- */

/* Reading: n words, each with its NUL, in data. Writing: the same, or a list that ends with NULL. */
struct pcore_wire_words {
	const char *data;
	size_t len, n;
	char *const *list;
};

/* The next of w's words, or NULL: takes it off w. */
const char *pcore_wire_word(struct pcore_wire_words *w);

struct pcore_wire_bytes {
	const char *data;
	size_t len;
};

/* Groups of fields, one behind the other: made by pcore_wire_add_*(), taken apart by pcore_wire_next_*(). */
struct pcore_wire_list {
	const char *data;
	size_t len, n;
};

struct pcore_wire_limit {
	int resource; /* RLIMIT_*, as Linux numbers them on most machines */
	uint64_t soft, hard; /* UINT64_MAX: unlimited */
};

enum pcore_wire_piece_kind {
	PCORE_WIRE_END,	   /* of a word */
	PCORE_WIRE_TEXT,   /* n bytes at text, no NUL among them and none behind */
	PCORE_WIRE_ARG,	   /* the job's argument n, from 0 */
	PCORE_WIRE_SEQ,	   /* the job's number */
	PCORE_WIRE_SLOT,   /* its slot */
	PCORE_WIRE_SPREAD, /* a word for each argument from n on; alone in its word */
	PCORE_WIRE_PIECES,
};

struct pcore_wire_piece {
	enum pcore_wire_piece_kind kind;
	uint32_t n;
	const char *text;
};

/* A command's words in pieces. */
struct pcore_wire_argv {
	const char *data;
	size_t len;
};

/* Append a piece to what becomes an argv's data. 0, -EMSGSIZE, or as pcore_buf_add(). */
int pcore_wire_add_piece(struct pcore_buf *b, const struct pcore_wire_piece *p);

/* The next piece, taken off a: false when there is none. */
bool pcore_wire_next_piece(struct pcore_wire_argv *a, struct pcore_wire_piece *ret);

/* ---- messages of fields; the tags of each are its own ---- */

enum { PCORE_WIRE_ANSWER_STATUS = 1, PCORE_WIRE_ANSWER_TEXT };

/* A status as tools exit with, and why. */
struct pcore_wire_answer {
	uint64_t has;
	uint64_t status;
	const char *text; /* NULL: none */
};

enum pcore_wire_state { PCORE_WIRE_SERVING, PCORE_WIRE_STOPPED, PCORE_WIRE_DRAINING, PCORE_WIRE_STATES };

enum {
	PCORE_WIRE_NODE_NAME = 1,
	PCORE_WIRE_NODE_INSTANCE,
	PCORE_WIRE_NODE_STATE,
	PCORE_WIRE_NODE_CPUS,
	PCORE_WIRE_NODE_MEMORY,
	PCORE_WIRE_NODE_SLOTS,
	PCORE_WIRE_NODE_PREFETCH,
	PCORE_WIRE_NODE_SOFTWARE,
	PCORE_WIRE_NODE_LABELS,
	PCORE_WIRE_NODE_RESOURCES,
};

/* Said again when something of it has changed. All but the last three are required. */
struct pcore_wire_node {
	uint64_t has;
	const char *name;
	uint64_t instance; /* drawn when the node starts: with another one, what it had is gone */
	uint64_t state;
	uint64_t cpus, memory; /* that it offers; bytes */
	uint64_t slots;	       /* jobs that run at a time */
	uint64_t prefetch;     /* jobs that it takes beyond that */
	const char *software;  /* its version, for people */
	struct pcore_wire_words labels; /* "K=V" */
	struct pcore_wire_list resources;
};

/* Of a list of resources: offered by a node, or needed by a job. */
enum { PCORE_WIRE_RESOURCE_NAME = 1, PCORE_WIRE_RESOURCE_COUNT, PCORE_WIRE_RESOURCE_IDS };

struct pcore_wire_resource {
	uint64_t has;
	const char *name;
	uint64_t count;
	struct pcore_wire_words ids; /* each one's, where they have names: as many as count */
};

enum { PCORE_WIRE_ENV_BASE = 1, PCORE_WIRE_ENV_UNSET, PCORE_WIRE_ENV_VARS };

struct pcore_wire_env {
	uint64_t has;
	uint64_t node_base;		/* 1: begin with what the node has of PATH, HOME, the locale, ...; 0: with nothing */
	struct pcore_wire_words unset; /* names: taken away from that */
	struct pcore_wire_words vars;  /* "K=V": put in */
};

enum {
	PCORE_WIRE_T_ENV = 1,
	PCORE_WIRE_T_ARGV,
	PCORE_WIRE_T_FILE,
	PCORE_WIRE_T_DIR,
	PCORE_WIRE_T_UMASK,
	PCORE_WIRE_T_LIMITS,
	PCORE_WIRE_T_AFFINITY,
	PCORE_WIRE_T_NICE,
	PCORE_WIRE_T_SCHED_POLICY,
	PCORE_WIRE_T_SCHED_PRIORITY,
	PCORE_WIRE_T_IOPRIO,
	PCORE_WIRE_T_OOM_ADJ,
	PCORE_WIRE_T_UID,
	PCORE_WIRE_T_GID,
	PCORE_WIRE_T_GROUPS,
	PCORE_WIRE_T_TIMEOUT,
	PCORE_WIRE_T_SIGNAL,
	PCORE_WIRE_T_KILL_AFTER,
	PCORE_WIRE_T_LINGER,
	PCORE_WIRE_T_FLAGS,
	PCORE_WIRE_T_SANDBOX,
	PCORE_WIRE_T_SANDBOX_FLAGS,
	PCORE_WIRE_T_RO,
	PCORE_WIRE_T_RW,
	PCORE_WIRE_T_DROP_CAPS,
	PCORE_WIRE_T_KEEP_CAPS,
	PCORE_WIRE_T_MEMORY_MAX,
	PCORE_WIRE_T_TASKS_MAX,
	PCORE_WIRE_T_CPU_MAX,
	PCORE_WIRE_T_IO_WEIGHT,
	PCORE_WIRE_T_MAX_OUTPUT,
	PCORE_WIRE_T_PIPE_SIZE,
	PCORE_WIRE_T_CPUS,
	PCORE_WIRE_T_MEMORY,
	PCORE_WIRE_T_RESOURCES,
	PCORE_WIRE_T_FORM,
	PCORE_WIRE_T_LINES,
	PCORE_WIRE_T_UNTIL,
	PCORE_WIRE_T_INIT,
	PCORE_WIRE_T_WINDOW,
	PCORE_WIRE_T_ITEMS_MAX,
	PCORE_WIRE_T_IDLE_TIMEOUT,
	PCORE_WIRE_T_ANSWER_TIMEOUT,
	PCORE_WIRE_T_SLOW_AFTER,
	PCORE_WIRE_T_LABELS,
	PCORE_WIRE_T_NODE,
	PCORE_WIRE_T_EXCLUSIVE,
};

enum {
	PCORE_WIRE_LEAVE = 1,	     /* what outlives the command is left alone */
	PCORE_WIRE_WANT_IO = 2,	     /* DONE_N has the bytes it read and wrote */
	PCORE_WIRE_NEW_SESSION = 4,
	PCORE_WIRE_BEST_EFFORT = 8,  /* MEMORY_MAX to IO_WEIGHT are left out where they cannot be had */
	PCORE_WIRE_KEEP_LENGTH = 16, /* a worker's frames come with their length */
	PCORE_WIRE_PTY = 32,	     /* a worker has a terminal */
	PCORE_WIRE_T_FLAGS_ALL = 63,
};

enum {
	PCORE_WIRE_ALLOW_NET = 1,
	PCORE_WIRE_ALLOW_IO_URING = 2,
	PCORE_WIRE_PRIVATE_TMP = 4,
	PCORE_WIRE_NO_NEW_PRIVS = 8,
	PCORE_WIRE_SANDBOX_ALL = 15,
};

/* All that jobs have in common. What is not there is as the node has it. Only env and argv are required. */
struct pcore_wire_template {
	uint64_t has;
	uint64_t env;
	struct pcore_wire_argv argv;
	const char *file, *dir; /* of the command, where it is not its first word; to start in */
	uint64_t umask;
	struct pcore_wire_bytes limits;	  /* pcore_wire_limit() */
	struct pcore_wire_bytes affinity; /* bit N%8 of byte N/8: CPU N */
	int64_t nice;
	uint64_t sched_policy, sched_priority; /* both or none */
	uint64_t ioprio;		       /* class << 13 | level */
	int64_t oom_adj;
	uint64_t uid, gid;
	struct pcore_wire_bytes groups; /* pcore_wire_u32() */
	int64_t timeout, kill_after, linger; /* ns, INT64_MAX for ever */
	uint64_t signal;		     /* when the time is up */
	uint64_t flags;
	uint64_t sandbox, sandbox_flags; /* enum pcore_sandbox_level; ALLOW_NET ... */
	struct pcore_wire_words ro, rw;
	uint64_t drop_caps, keep_caps;
	uint64_t memory_max, tasks_max, cpu_max, io_weight; /* of the whole tree: bytes, processes, percent of a CPU, 1..10000 */
	uint64_t max_output;				    /* of each stream, bytes */
	uint64_t pipe_size;				    /* of standard input */
	uint64_t cpus, memory;				    /* that it needs */
	struct pcore_wire_list resources;
	/* With form it is a worker, and its jobs are items. */
	uint64_t form; /* enum pcore_answer_kind */
	uint64_t lines;
	struct pcore_wire_bytes until, init;
	uint64_t window, items_max;
	int64_t idle_timeout, answer_timeout, slow_after;
	/* For a scheduler that serves many. */
	struct pcore_wire_words node_labels; /* "K=V", "K!=V": what its node has to have */
	const char *node;		     /* the name of its node */
	uint64_t exclusive;		     /* 1: while there are jobs of it nodes run nothing else */
};

enum pcore_wire_how { PCORE_WIRE_END_IT, PCORE_WIRE_KILL_IT, PCORE_WIRE_SIGNAL_IT, PCORE_WIRE_HOWS };

enum { PCORE_WIRE_SHUTDOWN_HOW = 1 };

struct pcore_wire_shutdown {
	uint64_t has;
	uint64_t how; /* END_IT or KILL_IT: what runs */
};

enum pcore_wire_control_what {
	PCORE_WIRE_START = 1,
	PCORE_WIRE_STOP, /* begin nothing any more, keep what is queued */
	PCORE_WIRE_DRAIN_IT,
	PCORE_WIRE_CPUS, /* n */
	PCORE_WIRE_QUIT,
};

enum { PCORE_WIRE_CONTROL_WHAT = 1, PCORE_WIRE_CONTROL_N };

struct pcore_wire_control {
	uint64_t has;
	uint64_t what;
	int64_t n;
};

enum {
	PCORE_WIRE_WORKER_TEMPLATE = 1,
	PCORE_WIRE_WORKER_SLOT,
	PCORE_WIRE_WORKER_EVENT,
	PCORE_WIRE_WORKER_PID,
	PCORE_WIRE_WORKER_JOB,
	PCORE_WIRE_WORKER_ATTEMPT,
	PCORE_WIRE_WORKER_SEQ,
	PCORE_WIRE_WORKER_CODE,
	PCORE_WIRE_WORKER_STATUS,
};

enum { PCORE_WIRE_WORKERS_GONE = 9 }; /* a template's, which was dropped: none is left */

/* As struct pcore_worker_news. The first three are required. */
struct pcore_wire_worker {
	uint64_t has;
	uint64_t template, slot;
	uint64_t event; /* enum pcore_worker_event, or WORKERS_GONE (of slot 0) */
	uint64_t pid;
	uint64_t job, attempt; /* that it had */
	uint64_t seq;	       /* of the item */
	uint64_t code, status; /* when it has ended: CLD_*, and exit status or signal; both or none */
};

enum {
	PCORE_WIRE_STATUS_NAME = 1,
	PCORE_WIRE_STATUS_SOFTWARE,
	PCORE_WIRE_STATUS_STATE,
	PCORE_WIRE_STATUS_START,
	PCORE_WIRE_STATUS_CPUS,
	PCORE_WIRE_STATUS_CPUS_HERE,
	PCORE_WIRE_STATUS_MEMORY,
	PCORE_WIRE_STATUS_QUEUED,
	PCORE_WIRE_STATUS_RUNNING,
	PCORE_WIRE_STATUS_SUCCEEDED,
	PCORE_WIRE_STATUS_FAILED,
	PCORE_WIRE_STATUS_CPU_TIME,
	PCORE_WIRE_STATUS_SCHEDULER,
	PCORE_WIRE_STATUS_JOBS,
};

/* All but the last two are required. */
struct pcore_wire_status {
	uint64_t has;
	const char *name, *software;
	uint64_t state;
	int64_t start_ns;	  /* realtime: since when it is there */
	uint64_t cpus, cpus_here; /* offered; of the machine */
	uint64_t memory;
	uint64_t queued, running, succeeded, failed; /* jobs */
	int64_t cpu_ns;				     /* of all jobs that have ended */
	const char *scheduler;			     /* whom it works for: an address */
	struct pcore_wire_list jobs;		     /* that run now */
};

enum {
	PCORE_WIRE_JOB_ID = 1,
	PCORE_WIRE_JOB_ATTEMPT,
	PCORE_WIRE_JOB_SEQ,
	PCORE_WIRE_JOB_PID,
	PCORE_WIRE_JOB_START,
	PCORE_WIRE_JOB_ARGV,
};

/* Of the list in STATUS. All but the last are required. */
struct pcore_wire_job {
	uint64_t has;
	uint64_t job, attempt, seq, pid;
	int64_t start_ns; /* realtime */
	struct pcore_wire_words argv;
};

/* Each appends the body of a frame: 0, -ENOMEM, -ENOBUFS, or -EMSGSIZE for one that is longer than it may be; -EINVAL when what
 * it should say cannot be said: out of range, a text with a NUL, something required missing. Then nothing is appended. */
int pcore_wire_put_answer(struct pcore_buf *b, const struct pcore_wire_answer *m);
int pcore_wire_put_node(struct pcore_buf *b, const struct pcore_wire_node *m);
int pcore_wire_put_env(struct pcore_buf *b, const struct pcore_wire_env *m);
int pcore_wire_put_template(struct pcore_buf *b, const struct pcore_wire_template *m);
int pcore_wire_put_shutdown(struct pcore_buf *b, const struct pcore_wire_shutdown *m);
int pcore_wire_put_control(struct pcore_buf *b, const struct pcore_wire_control *m);
int pcore_wire_put_worker(struct pcore_buf *b, const struct pcore_wire_worker *m);
int pcore_wire_put_status(struct pcore_buf *b, const struct pcore_wire_status *m);

/* Append one to a buffer that becomes the data of a list. */
int pcore_wire_add_resource(struct pcore_buf *b, const struct pcore_wire_resource *m);
int pcore_wire_add_job(struct pcore_buf *b, const struct pcore_wire_job *m);
int pcore_wire_add_limit(struct pcore_buf *b, const struct pcore_wire_limit *m);
int pcore_wire_add_u32(struct pcore_buf *b, uint32_t v);
int pcore_wire_add_u16(struct pcore_buf *b, uint16_t v);

/* Each reads the body of a frame of its type: 0 or -EPROTO. nothing: of one that has none. */
int pcore_wire_get_nothing(const struct pcore_wire_frame *f);
int pcore_wire_get_answer(const struct pcore_wire_frame *f, struct pcore_wire_answer *ret);
int pcore_wire_get_node(const struct pcore_wire_frame *f, struct pcore_wire_node *ret);
int pcore_wire_get_env(const struct pcore_wire_frame *f, struct pcore_wire_env *ret);
int pcore_wire_get_template(const struct pcore_wire_frame *f, struct pcore_wire_template *ret);
int pcore_wire_get_shutdown(const struct pcore_wire_frame *f, struct pcore_wire_shutdown *ret);
int pcore_wire_get_control(const struct pcore_wire_frame *f, struct pcore_wire_control *ret);
int pcore_wire_get_worker(const struct pcore_wire_frame *f, struct pcore_wire_worker *ret);
int pcore_wire_get_status(const struct pcore_wire_frame *f, struct pcore_wire_status *ret);

/* The next of a list that was read, taken off it: false when there is none. */
bool pcore_wire_next_resource(struct pcore_wire_list *list, struct pcore_wire_resource *ret);
bool pcore_wire_next_job(struct pcore_wire_list *list, struct pcore_wire_job *ret);

/* Of limits, groups and ids that were read: how many, and the one at i. */
size_t pcore_wire_limits(const struct pcore_wire_bytes *b);
struct pcore_wire_limit pcore_wire_limit(const struct pcore_wire_bytes *b, size_t i);
size_t pcore_wire_u32s(const struct pcore_wire_bytes *b);
uint32_t pcore_wire_u32(const struct pcore_wire_bytes *b, size_t i);
size_t pcore_wire_u16s(const struct pcore_wire_bytes *b);
uint16_t pcore_wire_u16(const struct pcore_wire_bytes *b, size_t i);

/* ---- streams ---- */

enum pcore_wire_stream { PCORE_WIRE_STDOUT, PCORE_WIRE_STDERR, PCORE_WIRE_STDIN, PCORE_WIRE_STREAMS };

/* What a worker writes to its standard error belongs to no job: this stands for one. Job ids are below 2^63. */
static inline uint64_t pcore_wire_worker_id(uint32_t template, uint16_t slot)
{
	return UINT64_C(1) << 63 | (uint64_t)template << 16 | slot;
}

/* OUTPUT and INPUT. The frame's id is the job's. */
struct pcore_wire_chunk {
	uint32_t attempt;
	enum pcore_wire_stream stream;
	bool last;	 /* INPUT: it ends here */
	uint64_t offset; /* of data in the stream */
	const char *data;
	size_t len;
};

/* As those above. */
int pcore_wire_put_chunk(struct pcore_buf *b, const struct pcore_wire_chunk *c);
int pcore_wire_get_chunk(const struct pcore_wire_frame *f, struct pcore_wire_chunk *ret);

/* ---- messages of records ---- */

/* RETRACTED_N */
enum pcore_wire_retracted {
	PCORE_WIRE_NOT_RETRACTED,
	PCORE_WIRE_IS_RETRACTED, /* it had not begun, and is not going to */
	PCORE_WIRE_IS_LOST,	 /* said by a scheduler: lost with the node that it had begun on */
	PCORE_WIRE_RETRACTED_HOWS,
};

/* QUIET_N */
enum pcore_wire_quiet {
	PCORE_WIRE_WAITS,  /* it sleeps in a read, and has read all there is so far */
	PCORE_WIRE_SILENT, /* it has closed its standard output, or its input before it had all of that */
	PCORE_WIRE_UNREAD, /* it has ended and read nothing; said before its DONE */
	PCORE_WIRE_QUIETS,
};

/* CANCEL_N, RETRACT_N, ACK_N, RETRACTED_N, QUIET_N: one attempt of a job. */
struct pcore_wire_ref {
	uint64_t job;
	uint32_t attempt;
	uint8_t how;	/* CANCEL_N: enum pcore_wire_how. RETRACTED_N: enum pcore_wire_retracted. QUIET_N: enum pcore_wire_quiet */
	uint8_t signal; /* SIGNAL_IT */
};

/* All before received has arrived and is not needed any more; up to limit may be sent. Both only grow, but after a reconnect
 * the sender begins again at received. */
struct pcore_wire_credit {
	uint64_t job;
	uint32_t attempt;
	enum pcore_wire_stream stream;
	bool closed; /* nobody reads the rest: send no more */
	uint64_t received, limit;
};

struct pcore_wire_started {
	uint64_t job;
	uint32_t attempt;
	uint32_t slot;	  /* from 1 */
	uint32_t pid;	  /* 0: no process of its own */
	uint32_t node;	  /* said by a scheduler: NODE_NUMBER; 0: not known */
	int64_t start_ns; /* realtime */
};

enum pcore_wire_adopt_state { PCORE_WIRE_JOB_QUEUED, PCORE_WIRE_JOB_RUNNING, PCORE_WIRE_JOB_DONE, PCORE_WIRE_JOB_STATES };

struct pcore_wire_adopt {
	uint64_t job;
	uint32_t attempt;
	enum pcore_wire_adopt_state state;
	uint64_t kept[2];  /* the first byte of the output that it still has */
	uint64_t bytes[2]; /* how many there were so far */
	uint64_t input;	   /* bytes of standard input that have arrived */
	struct pcore_wire_bytes ids; /* that it has */
};

enum {
	PCORE_WIRE_STREAM = 1, /* more of the input follows by INPUT */
	PCORE_WIRE_AHEAD = 2,  /* there is no room for it yet: to be begun when there is */
	PCORE_WIRE_ASSIGN_ALL = 3,
};

struct pcore_wire_assign {
	uint64_t job;
	uint32_t attempt;  /* the fence */
	uint32_t template;
	uint64_t seq;	   /* the user's number; 0: none */
	int64_t timeout;   /* ns; 0: the template's */
	uint32_t tries;	   /* which one it is for the user: PCORE_ATTEMPT */
	int32_t priority;  /* lower first */
	uint8_t flags;
	struct pcore_wire_bytes ids;   /* pcore_wire_u16(): which of the node's it has, for each resource with ids that it needs */
	struct pcore_wire_words args;  /* for the template's ARG and SPREAD */
	struct pcore_wire_bytes input; /* standard input, or a worker's item */
};

enum {
	PCORE_WIRE_TIMED_OUT = 1,
	PCORE_WIRE_CANCELLED = 2, /* ended by us, not by the time limit */
	PCORE_WIRE_LOST = 4,	  /* the worker ended without an answer */
	PCORE_WIRE_OUT_OF_MEMORY = 8,
	PCORE_WIRE_HAS_IO = 16, /* read_bytes and write_bytes are known */
	PCORE_WIRE_CUT_STDOUT = 32,
	PCORE_WIRE_CUT_STDERR = 64,
	PCORE_WIRE_DONE_ALL = 127,
};

/* Why a job has ended without a result of its own: said by a scheduler. */
enum pcore_wire_reason {
	PCORE_WIRE_REASON_NONE,
	PCORE_WIRE_REASON_LOST,	      /* with its node */
	PCORE_WIRE_REASON_CRASHED,    /* every node it ran on died */
	PCORE_WIRE_REASON_DEPENDENCY, /* a job that it had to wait for did not succeed */
	PCORE_WIRE_REASONS,
};

struct pcore_wire_done {
	uint64_t job;
	uint32_t attempt;
	uint32_t pid, slot;
	uint32_t survivors;
	int64_t start_ns, wall_ns; /* realtime; how long */
	uint8_t code, status;	   /* CLD_* or 0: there was no process; exit status or signal */
	uint8_t method;		   /* how its tree was kept: enum pcore_tree_method + 1, 0: not at all */
	uint8_t memory_limit;	   /* what kept MEMORY_MAX: 1 the cgroup, 2 the process limit, 0: nothing */
	uint32_t flags;
	int64_t user_ns, system_ns;
	uint64_t maxrss_kib, minor_faults, major_faults, in_blocks, out_blocks, vol_switches, invol_switches;
	uint64_t read_bytes, write_bytes;
	uint64_t bytes[2]; /* that it wrote */
	uint64_t sent[2];  /* of them, that are or will be sent: the stream ends there */
	uint64_t input;	   /* bytes of standard input that it took */
	uint32_t error;	   /* an errno: it could not be run, or what it wrote or was to read is lost */
	const char *step, *subject; /* where that happened, by name, and with what */
	/* Said by a scheduler, else 0. */
	uint32_t node;			/* NODE_NUMBER */
	enum pcore_wire_reason reason;
	uint16_t tries; /* which one it was for the user */
};

/* Records, as they are gathered into one body. Nothing else may be appended to the buffer between begin and end. */
struct pcore_wire_out {
	struct pcore_buf *buf;
	enum pcore_wire_type type;
	size_t start;
	uint32_t n;
};

/* 0, -ENOMEM. */
int pcore_wire_begin(struct pcore_wire_out *o, struct pcore_buf *b, enum pcore_wire_type type);

/* 0, -ENOMEM, -EINVAL, or -EMSGSIZE: this body is full (or the record is too long for any, when it is the first): the record
 * is not in it. */
int pcore_wire_add_ref(struct pcore_wire_out *o, const struct pcore_wire_ref *r);
int pcore_wire_add_credit(struct pcore_wire_out *o, const struct pcore_wire_credit *r);
int pcore_wire_add_started(struct pcore_wire_out *o, const struct pcore_wire_started *r);
int pcore_wire_add_adopt(struct pcore_wire_out *o, const struct pcore_wire_adopt *r);
int pcore_wire_add_assign(struct pcore_wire_out *o, const struct pcore_wire_assign *r);
int pcore_wire_add_done(struct pcore_wire_out *o, const struct pcore_wire_done *r);

/* The body is complete. more: ADOPT_N goes on with the next frame. How many records there are: without any, only ADOPT_N is
 * worth sending. */
uint32_t pcore_wire_end(struct pcore_wire_out *o, bool more);

/* The records of a frame. */
struct pcore_wire_in {
	const char *data;
	size_t len, n, size; /* n are left, each of size bytes and what belongs to it */
	enum pcore_wire_type type;
	bool more;
};

/* Look at all records of a frame of such a type: 0, or -EPROTO when one is not right. */
int pcore_wire_open(const struct pcore_wire_frame *f, struct pcore_wire_in *ret);

/* The next record: false when there is none. */
bool pcore_wire_next_ref(struct pcore_wire_in *in, struct pcore_wire_ref *ret);
bool pcore_wire_next_credit(struct pcore_wire_in *in, struct pcore_wire_credit *ret);
bool pcore_wire_next_started(struct pcore_wire_in *in, struct pcore_wire_started *ret);
bool pcore_wire_next_adopt(struct pcore_wire_in *in, struct pcore_wire_adopt *ret);
bool pcore_wire_next_assign(struct pcore_wire_in *in, struct pcore_wire_assign *ret);
bool pcore_wire_next_done(struct pcore_wire_in *in, struct pcore_wire_done *ret);

#endif
