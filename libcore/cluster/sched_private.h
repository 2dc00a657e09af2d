/* SPDX-License-Identifier: MIT */
/*
 * sched_private.h - the parts of the scheduler.
 *
 *   scheduler.c      clients, time, what is to know           sched_class.c   requests, interned; which nodes admit them
 *   sched_job.c      what becomes of an attempt               sched_array.c   arrays, and jobs split off them
 *   sched_submit.c   submit, cancel, dependencies             sched_node.c    nodes and what they claim
 *   sched_assign.c   which job next, and where                sched_join.c    nodes come, go, and what they claim
 *   sched_ahead.c    what is sent ahead, and taken back       sched_stock.c   the resources of a node
 *   sched_queue.c    the order in which jobs wait             sched_explain.c why a job does not run, and whether all agrees
 *   sched_record.c   records are written                      sched_restore.c and read
 *   sched_out.c      actions and news                         sched_alone.c   clients that have the nodes for themselves
 *
 * An event checks its arguments, reserves the memory that it cannot do without, changes the state, and ends in
 * sched_settle(), which assigns what can be assigned. Only sched_settle() does.
 */
#ifndef PCORE_CLUSTER_SCHED_PRIVATE_H
#define PCORE_CLUSTER_SCHED_PRIVATE_H

#include "libcore/cluster/scheduler.h"

enum {
	EPOCH_SHIFT = 16, /* of an attempt's number */
	TRIES_MAX = 0xffff,
	BUCKETS = 257,	  /* nodes by free CPUs, the last one: that many or more */
	CLUSTER_CHUNK = 256, /* jobs allocated at once */
};

/* A request, once for all that are equal, and for each node that one of its failed jobs is kept on or kept away from. */
struct class {
	struct pcore_map_node by_key;
	struct pcore_list link;	 /* in s->classes */
	struct pcore_list lanes; /* all that are of it */
	uint32_t refs;
	uint32_t cpus;
	uint64_t memory;
	uint32_t only, avoid; /* serial of the node to restart on, of the node to reschedule away from; 0: none */
	uint32_t n_needs, n_labels;
	struct need {
		uint32_t res, n;
		const char *name;
	} *needs;		/* sorted by name, which lies in key */
	struct label {
		const char *key, *value;
		bool differs;
	} *labels;
	const char *pin;   /* name of a node, or NULL */
	uint64_t *admits;  /* a bit for each node slot: it is UP, open, and large enough when idle */
	uint32_t n_admits; /* bits set */
	int64_t wall_ns;   /* mean of late; 0: not known */
	size_t key_len;
	unsigned char key[];
};

/* All that waits with one priority (with FAIR: everything). */
struct level {
	int64_t key;
	uint32_t refs;
	struct pcore_list turns; /* that have something waiting, the next one first */
	struct turn *all;	 /* FIFO: its only one */
};

/* A client's part of a level (with FIFO: everybody's). */
struct turn {
	struct level *level;
	struct client *client; /* NULL: everybody */
	uint32_t refs;
	struct pcore_list lanes; /* that have something waiting */
	struct pcore_list link;	 /* in level->turns */
	struct pcore_list by_client;
};

/* What waits of one client, priority and class, in the order it came. */
struct lane {
	struct turn *turn;
	struct class *class;
	struct client *client;
	int32_t priority;
	uint32_t refs;	   /* arrays and jobs that have it */
	uint32_t overtaken; /* since its last start */
	bool touched;
	struct pcore_list jobs;	  /* that wait by themselves, before all arrays */
	struct pcore_list arrays; /* that have something left to split off */
	struct pcore_list link;	  /* in turn->lanes */
	struct pcore_list by_class, by_client, touch;
};

struct client {
	struct pcore_map_node by_id;
	uint64_t id;
	struct pcore_list link; /* in s->all_clients */
	bool private, exclusive, present;
	bool leaving; /* it is not forgotten before we are done with it */
	uint32_t weight;
	uint32_t n_arrays, n_ready; /* n_ready: of these that wait for no other one */
	uint64_t cpus; /* of its jobs on nodes */
	struct pcore_list in_line; /* in s->line, when it is exclusive */
	struct pcore_list arrays, lanes, turns, waits_for_room;
	struct pcore_heap_node grace; /* restored, and not back yet */
};

/* What one submit queued. Jobs before `next` were split off, and are over unless they are in the table; those from `next` to
 * `end` wait, except n_out of them, which are in the table before their time (adopted, or CANCELLED places); those from `end`
 * on are over. */
struct array {
	uint64_t first;
	uint32_t n, next, end, n_out;
	uint32_t live;	   /* jobs in the table that are not over */
	uint32_t n_bad;	   /* over without success */
	uint32_t n_after;  /* arrays it has to wait for */
	struct client *client;
	struct lane *lane;
	struct pcore_list link;	     /* in lane->arrays */
	struct pcore_list by_client;
	struct pcore_list afters;    /* edges: what it waits for */
	struct pcore_list dependents; /* edges: what waits for it */
	uint64_t cookie;
	int64_t time_limit_ns, backoff_ns, backoff_max_ns;
	uint16_t epoch; /* it was submitted in: an id whose record a restart has lost may have been another's in an earlier one */
	bool at_most_once;
	uint8_t retry_lost, restarts, reschedules;
};

struct edge {
	struct array *waiter, *target;
	struct pcore_list of_waiter, of_target;
};

enum job_state { JOB_GAP, JOB_NEW, JOB_QUEUED, JOB_HELD, JOB_AHEAD, JOB_RUNNING, JOB_BACKOFF };

/* A job that was split off. GAP: it is over, and only keeps its place in its array from being split off again. NEW: it is on
 * no list, on its way from one state to another. */
struct job {
	struct job *hash_next;
	struct array *array;
	union {
		struct {
			struct pcore_list link; /* in node->jobs or ->ahead, or in lane->jobs */
			union {
				struct node *node; /* HELD, AHEAD, RUNNING */
				struct lane *lane; /* QUEUED */
			};
		};
		struct pcore_heap_node retry; /* BACKOFF */
	};
	uint32_t index, attempt;
	uint32_t last; /* serial of the node it was on */
	uint32_t state : 3, cancel : 2, retracting : 1, evicted : 1;
	uint32_t ended : 1; /* how the attempt ended is known: no node can claim it any more */
	uint32_t crashes : 8, failures : 8, losses : 8;
};
_Static_assert(sizeof(struct job) <= 56, "a job split from an array");
_Static_assert(sizeof(struct array) + sizeof(struct lane) + sizeof(struct class) <= 1024, "a queued array");

/* Of one named resource of a node. */
struct stock {
	uint32_t res, n;
	int64_t free;
	struct job **owners; /* of each number; NULL: they have no numbers */
};

struct node {
	struct pcore_map_node by_name;
	uint64_t handle; /* connection << 32 | slot; 0: GONE */
	uint64_t last;	 /* handle of the last connection */
	uint64_t instance;
	uint32_t slot, serial;
	bool gone, draining, told_drained, eager;
	void *ctx;
	int64_t cpus, cpus_free, memory, memory_free; /* free may be below 0 after cpus fell */
	struct stock *stock;
	uint32_t n_stock, n_labels;
	struct label *labels;
	char *text; /* of the labels */
	char *name;
	uint32_t ahead_max, n_jobs, n_ahead, n_retracting;
	uint32_t n_foreign; /* of n_jobs and n_ahead: not the holder's, if there is one */
	int64_t rtt_ns;
	struct class *ahead_class; /* of what is ahead, while that is something */
	struct pcore_list jobs, ahead; /* HELD and RUNNING; AHEAD in the node's order */
	uint32_t bucket_of;
	struct pcore_list link; /* in s->all_nodes */
	struct pcore_list bucket, freed, with_ahead, with_actions;
	struct pcore_heap_node grace;

	struct pcore_sched_action *actions;
	size_t n_actions, actions_cap;
	uint16_t *ids;
	size_t n_ids, ids_cap;
};

struct resource_name {
	struct pcore_map_node by_name;
	uint32_t number;
	char name[];
};

struct job_chunk {
	struct job_chunk *next;
	struct job jobs[CLUSTER_CHUNK];
};

struct array_slot {
	uint64_t first;
	struct array *array; /* NULL: over */
};

struct pcore_sched {
	struct pcore_sched_spec spec;
	int64_t now_ns;
	bool restoring, stopped;
	bool short_of_memory; /* something could not be assigned */
	uint32_t epoch;

	struct pcore_map clients, classes_by_key, nodes_by_name, resources;
	uint64_t next_client, next_job, connections;
	uint32_t next_serial, next_resource;

	struct pcore_list all_clients, all_nodes; /* the oldest first */
	struct pcore_list classes;
	struct level **levels;
	size_t n_levels, levels_cap;
	struct pcore_list touched; /* lanes that have got something */
	struct pcore_list freed;   /* nodes that have got room */

	struct array_slot *arrays; /* by first id */
	size_t n_arrays, n_array_slots, arrays_cap;
	struct job **table;
	size_t n_table, table_size;
	struct job *unused; /* by hash_next */
	size_t n_unused;
	struct job_chunk *chunks;

	struct node **nodes; /* by slot, NULL: none */
	uint32_t n_nodes, n_slots, slots_cap;
	struct pcore_list buckets[BUCKETS];
	uint64_t nonempty[BUCKETS / 64 + 1];
	struct pcore_list with_ahead, with_actions;
	uint64_t cpus_total, memory_total; /* of the nodes that are UP, */
	uint64_t *totals;		   /* and of each named resource */
	uint32_t totals_cap;
	uint32_t n_retracting;

	struct lane *reserver; /* whom a node is reserved for */
	struct node *reserved;

	struct pcore_list line; /* exclusive clients that have jobs */
	struct client *holder;	/* who has the nodes for itself, or NULL */

	struct pcore_heap retries, node_graces, client_graces;
	struct pcore_sched_news *news;
	size_t n_news, news_taken, news_cap;
	struct pcore_list wait_for_room; /* clients that were refused */
	struct pcore_list failed; /* arrays whose dependency failed: worked off, not recursed into */
	struct pcore_buf records, key;
	struct pcore_sched_counts counts;
};

/* ---- sched_class.c ---- */

int sched_class_of(struct pcore_sched *s, const struct pcore_sched_request *r, struct class **ret); /* a reference */
int sched_class_of_key(struct pcore_sched *s, const void *key, size_t len, struct class **ret);
/* The same request, but only on a node, or not on it. */
int sched_class_derive(struct pcore_sched *s, const struct class *c, uint32_t only, uint32_t avoid, struct class **ret);
void sched_class_unref(struct pcore_sched *s, struct class *c);
int sched_resource_number(struct pcore_sched *s, const char *name, uint32_t *ret);
struct resource_name *sched_resource(const struct pcore_sched *s, const char *name);
void sched_classes_see(struct pcore_sched *s, struct node *n);	 /* what n is has changed */
int sched_classes_widen(struct pcore_sched *s, uint32_t n_slots); /* -ENOMEM */
bool sched_label_holds(const struct node *n, const struct label *l);
enum refusal { FITS, NOT_PINNED, BAD_LABELS, FEW_CPUS, LITTLE_MEMORY, FEW_RESOURCES, AVOIDED };
enum refusal sched_refusal(const struct class *c, const struct node *n); /* of an idle node */

static inline bool sched_admits(const struct class *c, const struct node *n)
{
	return c->admits[n->slot / 64] >> n->slot % 64 & 1;
}

/* ---- sched_array.c ---- */

struct array *sched_array_find(const struct pcore_sched *s, uint64_t id);
int sched_array_add(struct pcore_sched *s, struct array *a); /* -ENOMEM */
void sched_array_forget(struct pcore_sched *s, struct array *a); /* out of the index; not freed */
struct job *sched_job_find(const struct pcore_sched *s, uint64_t id);
void sched_job_free(struct pcore_sched *s, struct job *j);
int sched_jobs_reserve(struct pcore_sched *s, size_t n); /* the next n can be made */
int sched_job_new(struct pcore_sched *s, struct array *a, uint32_t index, struct job **ret); /* one that was split off before */
int sched_job_split(struct pcore_sched *s, struct array *a, uint32_t index, struct job **ret);
/* Take n jobs from index on out of what a has not split off yet. -ENOMEM, only when they lie in its middle. */
int sched_array_cut(struct pcore_sched *s, struct array *a, uint32_t index, uint32_t n);
uint32_t sched_array_left(const struct array *a);

/* ---- sched_queue.c ---- */

int sched_lane_get(struct pcore_sched *s, struct client *c, int32_t priority, struct class *class, struct lane **ret);
void sched_lane_unref(struct pcore_sched *s, struct lane *l);
bool sched_lane_empty(const struct lane *l);
void sched_lane_add(struct pcore_sched *s, struct array *a);
void sched_lane_remove(struct pcore_sched *s, struct array *a);
void sched_queue(struct pcore_sched *s, struct job *j, struct lane *l); /* it waits in l, which gets a reference */
void sched_unqueue(struct pcore_sched *s, struct job *j);
void sched_lane_refresh(struct pcore_sched *s, struct lane *l);
/* The job that is to start next, split off or unqueued, on no list. */
int sched_lane_pop(struct pcore_sched *s, struct lane *l, struct job **ret);
const struct array *sched_lane_head(const struct lane *l); /* whose job is next */
uint64_t sched_lane_first(const struct lane *l);	   /* its id, or one shortly before it */

static inline uint64_t job_id(const struct job *j)
{
	return j->array->first + j->index;
}

static inline bool job_on_node(const struct job *j)
{
	return j->state == JOB_HELD || j->state == JOB_AHEAD || j->state == JOB_RUNNING;
}

/* ---- sched_stock.c ---- */

bool sched_fits(const struct class *c, const struct node *n);
void sched_take(struct pcore_sched *s, struct job *j, struct node *n);
/* With these numbers, which a node says it has. -EINVAL when they are not there or not free. */
int sched_take_ids(struct pcore_sched *s, struct job *j, struct node *n, const uint16_t *ids, size_t n_ids);
void sched_give(struct pcore_sched *s, struct job *j, struct node *n);
size_t sched_put_ids(const struct job *j, const struct node *n, uint16_t *ids); /* its numbers there, and how many */
void sched_unbucket(struct pcore_sched *s, struct node *n);
void sched_bucket(struct pcore_sched *s, struct node *n); /* file it under its free CPUs */

/* ---- sched_node.c ---- */

struct node *sched_node_find(const struct pcore_sched *s, uint64_t handle);
struct node *sched_node_of_serial(const struct pcore_sched *s, uint32_t serial);
struct node *sched_node_named(const struct pcore_sched *s, const char *name);
int sched_node_check(const struct pcore_sched_node *spec); /* 0, -EINVAL */
int sched_node_equip(struct pcore_sched *s, struct node *fresh, const struct pcore_sched_node *spec);
void sched_node_swap(struct node *n, struct node *fresh);
void sched_node_strip(struct node *n);
void sched_node_total(struct pcore_sched *s, const struct node *n, bool in);
void sched_node_put(struct pcore_sched *s, struct job *j, struct node *n, enum job_state state);
void sched_node_pull(struct pcore_sched *s, struct job *j);
void sched_node_quiet(struct pcore_sched *s, struct node *n); /* tells when it has drained */
int sched_node_make(struct pcore_sched *s, const char *name, uint64_t instance, uint32_t serial, struct node **ret);
int sched_node_gone(struct pcore_sched *s, struct node *n);
void sched_node_forget(struct pcore_sched *s, struct node *n); /* it has no jobs */
int sched_node_lost(struct pcore_sched *s, struct node *n, bool died);
void sched_node_free(struct pcore_sched *s, struct node *n);

/* ---- sched_alone.c ---- */

void sched_ready(struct pcore_sched *s, struct client *c); /* it has another array that waits for no other one */
bool sched_kept_out(const struct pcore_sched *s, const struct client *c, const struct node *n); /* nothing of c may begin on n */
void sched_set_holder(struct pcore_sched *s, struct client *c);
void sched_choose_holder(struct pcore_sched *s);

/* ---- sched_assign.c ---- */

enum wanted { TO_START, TO_SEND_AHEAD };

void sched_settle(struct pcore_sched *s);
void sched_touch(struct pcore_sched *s, struct lane *l);
void sched_freed(struct pcore_sched *s, struct node *n);
void sched_unreserve(struct pcore_sched *s);
bool sched_reserved_from(const struct pcore_sched *s, const struct node *n, const struct lane *l);
struct lane *sched_choose(struct pcore_sched *s, const struct node *n, enum wanted wanted);
bool sched_assign(struct pcore_sched *s, struct lane *l, struct node *n, enum job_state state); /* false: no memory */

/* ---- sched_ahead.c ---- */

void sched_promote(struct pcore_sched *s, struct node *n);    /* what is ahead gets the room there is */
void sched_hold(struct pcore_sched *s, struct job *j);	      /* AHEAD: it gets resources, whether there are enough or not */
void sched_fill_ahead(struct pcore_sched *s, struct node *n); /* send more, if that pays */
void sched_spread_ahead(struct pcore_sched *s, const struct lane *l); /* l waits: the same for all nodes */
void sched_steal(struct pcore_sched *s, struct node *n);      /* n has nothing to do: take back what others have ahead */
void sched_displace(struct pcore_sched *s, const struct lane *l); /* l waits behind what is ahead and less urgent */
void sched_retract_all(struct pcore_sched *s, struct node *n);

/* ---- sched_job.c ---- */

void sched_job_again(struct pcore_sched *s, struct job *j, struct class *class); /* it waits again; class NULL: its own */
void sched_job_retry(struct pcore_sched *s, struct job *j);			  /* in BACKOFF: its time has come */
void sched_job_lost(struct pcore_sched *s, struct job *j, bool died, bool counts);
void sched_job_over(struct pcore_sched *s, struct job *j, enum pcore_sched_outcome outcome, const struct pcore_sched_result *r,
	struct node *n);
void sched_range_over(struct pcore_sched *s, struct array *a, uint32_t index, uint32_t n, enum pcore_sched_outcome outcome);

/* ---- sched_submit.c ---- */

struct array *sched_array_new(const struct pcore_sched_jobs *jobs, uint64_t first, uint32_t epoch);
int sched_array_after(struct pcore_sched *s, struct array *a, const uint64_t *after, size_t n);
int sched_array_enter(struct pcore_sched *s, struct array *a, struct client *c, struct class *class, int32_t priority);
void sched_array_withdraw(struct pcore_sched *s, struct array *a);
void sched_array_over(struct pcore_sched *s, struct array *a); /* if nothing is left of it */
void sched_array_free(struct pcore_sched *s, struct array *a);
void sched_tell_room(struct pcore_sched *s);
void sched_work_failed(struct pcore_sched *s);
int64_t sched_cancel_range(struct pcore_sched *s, struct array *a, uint32_t index, uint32_t n, enum pcore_sched_how how);
int64_t sched_cancel_queued(struct pcore_sched *s, struct array *a, uint32_t index, uint32_t n, enum pcore_sched_outcome outcome);

/* ---- scheduler.c ---- */

struct client *sched_client_find(const struct pcore_sched *s, uint64_t id);
int sched_client_make(struct pcore_sched *s, uint64_t id, unsigned flags, uint32_t weight, struct client **ret);
void sched_client_forget(struct pcore_sched *s, struct client *c);
void sched_client_release(struct pcore_sched *s, struct client *c); /* forget it when it has gone and has nothing here */

/* ---- sched_out.c: all but reserve are about what was reserved, or drop what does not matter ---- */

int sched_reserve(struct pcore_sched *s, size_t n_news, size_t n_records);
int sched_node_reserve(struct node *n, size_t n_actions, size_t n_ids);
struct pcore_sched_action *sched_act(
	struct pcore_sched *s, struct node *n, enum pcore_sched_verb verb, uint64_t job, uint32_t attempt);
struct pcore_sched_news *sched_tell(struct pcore_sched *s, enum pcore_sched_kind kind, struct client *c);
void sched_drop_actions(struct node *n);

/* ---- sched_record.c ----
 *
 * record: u8 kind, u32 length of the rest, the rest; numbers have their lowest byte first. What follows the lengths given here:
 * a node's name; an array's dependencies and its class's key.
 */

enum record_kind { META = 1, CLIENT, CLIENT_GONE, NODE, NODE_GONE, SUBMIT, JOB, OVER };

enum { RECORD_HEAD = 5, META_LEN = 24, CLIENT_LEN = 13, NODE_LEN = 12, SUBMIT_LEN = 78, JOB_LEN = 21, OVER_LEN = 13 };

enum { RECORD_MAX = 64 }; /* bytes of one with nothing behind it */

void sched_put(unsigned char **p, uint64_t v, unsigned n); /* n bytes, the lowest first */
uint64_t sched_pick(const unsigned char **p, unsigned n);
bool sched_record_skips(const struct pcore_sched *s, const struct client *c);
int sched_record_meta(struct pcore_buf *out, const struct pcore_sched *s);
int sched_record_array(struct pcore_buf *out, const struct array *a);
int sched_record_node(struct pcore_buf *out, const struct node *n);
int sched_record_client(struct pcore_buf *out, const struct client *c);
void sched_record_client_gone(struct pcore_sched *s, const struct client *c);
void sched_record_node_gone(struct pcore_sched *s, const struct node *n);
void sched_record_job(struct pcore_sched *s, const struct job *j); /* where it is and what it has been through */
void sched_record_over(struct pcore_sched *s, const struct array *a, uint32_t index, uint32_t n, bool success);

#endif
