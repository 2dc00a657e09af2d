/* SPDX-License-Identifier: MIT */
/*
 * cluster.h - commands on many machines, and what these are doing.
 *
 * A handle is a cluster of its own, whose scheduler is in this program: it has connections to nodes (pnode(8)), or a node of this
 * machine within the program, and gives them the jobs that are submitted. Or it is a client of a scheduler that serves many
 * (pnode scheduler). Its jobs end with it either way. All of that happens while a function of the handle waits: between two
 * calls nothing is begun or heard of. Nodes keep jobs of a program that is silent for a while (pnode's --grace, 10 s) and kill
 * them then.
 *
 * A handle belongs to the thread that opened it (-EPERM for others), where SIGPIPE is blocked as long as it is open; callbacks do
 * not call into it (-EBUSY). Several handles, of one thread or of many, know nothing of each other. What is passed in is
 * copied; what is pointed to in results is the caller's, who frees it with pcore_cluster_client_result_done(). Times are int64_t
 * nanoseconds, counted from the call: PCORE_FOREVER waits without a limit, 0 does not wait. After fork(2) a handle is of no use to
 * the child. Any call may say -EINVAL: an argument makes no sense. pcore_cluster(3) has the details.
 */
#ifndef PCORE_INCLUDE_CLUSTER_H
#define PCORE_INCLUDE_CLUSTER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include <pcore/error.h>
#include <pcore/process.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct pcore_cluster_client;

/* Addresses are "HOST:PORT", "[V6]:PORT" or "unix:PATH". */
struct pcore_cluster_client_spec {
	size_t size;		  /* sizeof(struct pcore_cluster_client_spec) */
	const char *const *nodes; /* NULL-terminated addresses, or NULL */
	unsigned local_cpus;	  /* that this machine offers, too, up to 4096; 0: none */
	const char *key_file;	  /* for TCP; NULL: where psubmit(1) looks */
	int64_t wait_nodes;	  /* ns to be without any node, to begin with or later; 0: 30 s */

	/* What all jobs have in common. */
	const char *dir;	/* an absolute path on their node; NULL: the node's choice */
	char *const *env;	/* NULL-terminated "NAME=value", added to what the node gives; or NULL */
	unsigned cpus;		/* that each needs; 0: 1 */
	uint64_t memory;	/* bytes; 0: not counted */
	unsigned jobs;		/* under way at a time; 0: as many as the nodes take */
	unsigned retry_lost;	/* how often a job that was lost with its node runs again, at most 255; 0: 3 */
	int at_most_once;	/* never: it is told as lost */
	int64_t timeout;	/* ns; 0: none */
	int64_t kill_after;	/* ns from the signal that asks a job to end to the one that makes it; 0: 5 s */
	uint64_t output_max;	/* bytes kept of stdout and of stderr of each; 0: 1 MiB */

	/* A line for people about nodes that come, go or are of no use; or NULL. */
	void (*log)(void *ctx, const char *text);
	void *log_ctx;

	/* The address of a scheduler that serves many, instead of nodes and local_cpus; with none of the three, $PCORE_SCHEDULER. */
	const char *scheduler;
	const char *tls_cert, *tls_key, *tls_ca; /* PEM files, all three: certificates instead of a key */
	int pollable;  /* 1: it has a descriptor, pcore_cluster_client_fd() */
	int exclusive; /* 1: the scheduler's nodes run nothing else, from its first job until it is closed; -EINVAL without one */
};

/* How a job ended, and what it wrote. */
struct pcore_cluster_client_result {
	size_t size; /* sizeof(struct pcore_cluster_client_result), set by the caller */
	uint64_t id;
	int error;  /* a negative errno: it could not be run, or was not: -ECANCELED, -EHOSTUNREACH (no node was left) */
	int status; /* as a shell has it: its exit status, or 128 + the signal; 124 when its time was up; 125 to 127 with error */
	int exit;   /* its exit status, -1 when a signal ended it or error is set */
	int signal; /* that signal, or 0 */
	int timed_out, cancelled;
	int lost; /* 1: with its node, and not run again */
	int cut;  /* 1: it wrote more than output_max */
	unsigned attempt; /* which one this was, from 1 */
	struct rusage usage;
	int64_t wall;	/* ns */
	char node[65];	/* its name, "" when it ran on none */
	char *out;	/* ended by a NUL that is not counted; pcore_cluster_client_result_done() frees them */
	size_t out_size;
	char *err;
	size_t err_size;
};

/* Connect, and wait for the first node, or the scheduler. -EHOSTUNREACH: none within wait_nodes; -EKEYREJECTED, -EPROTONOSUPPORT
 * and such: none will do; -ENOKEY: there is no key, and an address needs one; -ELIBACC: OpenSSL is needed, and cannot be loaded;
 * -EINVAL, -E2BIG: the spec makes no sense; -errno of a file. error (may be NULL) says which file or address it was about. */
int pcore_cluster_client_open(
	struct pcore_cluster_client **ret, const struct pcore_cluster_client_spec *spec, struct pcore_error *error);

/* Kill what has not ended, say goodbye, and free it. NULL is fine; of another thread, or from a callback, nothing is done. */
void pcore_cluster_client_close(struct pcore_cluster_client *c);

/* ---- jobs ---- */

/* What is 0 or NULL is as the handle has it. */
struct pcore_cluster_client_job {
	size_t size;	   /* sizeof(struct pcore_cluster_client_job) */
	char *const *argv; /* NULL-terminated; the program is searched in the node's PATH. 8 MiB of words at most */
	const char *dir;   /* an absolute path on its node */
	char *const *env;  /* NULL-terminated "NAME=value", after the handle's: the last of a name holds */
	unsigned cpus;	   /* that it needs */
	uint64_t memory;   /* bytes that it needs */
	const char *const *resources; /* NULL-terminated "NAME" or "NAME=N": that it needs, and is told which it has */
	const char *labels; /* "K=V,K!=V": what its node has to have, and not to have; comma is and */
	const char *node;   /* the name of the only node that will do */
	int priority;	    /* lower first */
	int64_t timeout;    /* ns that it may run; PCORE_FOREVER: no limit */
};

/* Queue a job. Ids are from 1 on. 0; -EINVAL, -E2BIG (too many words), -ENOMEM; -EHOSTUNREACH: the handle has given up. One that no
 * node could ever run waits for another node; log is told. */
int pcore_cluster_client_submit(struct pcore_cluster_client *c, char *const *argv, uint64_t *ret_id);
int pcore_cluster_client_submit_job(
	struct pcore_cluster_client *c, const struct pcore_cluster_client_job *job, uint64_t *ret_id);

/* Wait for the end of a job, or (next) of any, as they end; each is told once. 0 and *ret (may be NULL) filled in, whatever came of
 * it; -ETIMEDOUT; -ENOENT: it was told or never was; -ENODATA: there is none; -ENOMEM: it is still to be told. */
int pcore_cluster_client_wait(
	struct pcore_cluster_client *c, uint64_t id, int64_t timeout, struct pcore_cluster_client_result *ret);
int pcore_cluster_client_next(struct pcore_cluster_client *c, int64_t timeout, struct pcore_cluster_client_result *ret);
void pcore_cluster_client_result_done(struct pcore_cluster_client_result *r); /* frees out and err; NULL is fine */

/* Ask a job to end; it is killed after kill_after. wait tells how it ended. 0, also when it has ended; -ENOENT. */
int pcore_cluster_client_cancel(struct pcore_cluster_client *c, uint64_t id);

struct pcore_cluster_client_map {
	size_t size;		  /* sizeof(struct pcore_cluster_client_map) */
	char *const *argv;	  /* the command, NULL-terminated */
	char *const *const *args; /* n lists, NULL-terminated each: what follows it */
	size_t n;
	void *ctx;
	/* Number i (from 0) has ended: told in order. Output is r's until this returns; it may take it (setting it to NULL).
	 * Anything but 0 ends it all: those that run are cancelled. NULL: nobody is told. */
	int (*done)(void *ctx, size_t i, struct pcore_cluster_client_result *r);
	int unordered; /* 1: told as they end */
	const struct pcore_cluster_client_job *job; /* what each needs; its argv is not looked at. NULL: as the handle has it */
};

/* Run a command with each of n lists of arguments. 0, what done said, -EREMOTEIO when one has failed (all others were run
 * nevertheless), -errno. */
int pcore_cluster_client_map(struct pcore_cluster_client *c, const struct pcore_cluster_client_map *m);

/* ---- beside other things ---- */

/* Say and hear what there is, or for up to timeout wait until a job has ended. How many have that next() will tell, 0 for none. */
int pcore_cluster_client_run_once(struct pcore_cluster_client *c, int64_t timeout);

/* A descriptor that is readable when pcore_cluster_client_run_once(c, 0) has something to do: to be asked for again before each wait
 * for it. It is the handle's. -EOPNOTSUPP without pollable. */
int pcore_cluster_client_fd(struct pcore_cluster_client *c);

/* ---- nodes ---- */

enum pcore_cluster_state {
	PCORE_CLUSTER_SERVING,
	PCORE_CLUSTER_STOPPED,	/* it begins no jobs */
	PCORE_CLUSTER_DRAINING, /* it takes no more, and ends those it has */
	PCORE_CLUSTER_AWAY,	/* there is no connection to it */
	PCORE_CLUSTER_UNKNOWN,	/* it is behind a scheduler */
};

/* A node, and what it has done for a handle. */
struct pcore_cluster_client_node {
	size_t size; /* sizeof(struct pcore_cluster_client_node), set by the caller */
	char name[65];
	int state;	  /* enum pcore_cluster_state */
	unsigned cpus;	  /* that it offers; 0 while it is away or unknown */
	unsigned running; /* jobs of the handle, now */
	uint64_t done;	  /* that ended there, */
	int64_t job_time; /* and ns for which they ran in all */
	uint64_t sent, received; /* bytes of arguments, and of outputs */
};

/* Node number i (from 0), as far as is known now: 0; -ENOENT: there are no more. A node has its number for good. Those of a scheduler
 * are there when they have had a job. */
int pcore_cluster_client_node(struct pcore_cluster_client *c, size_t i, struct pcore_cluster_client_node *ret);

/* Whom to ask what it is doing. */
struct pcore_cluster_status_spec {
	size_t size;	      /* sizeof(struct pcore_cluster_status_spec) */
	const char *address;  /* of a node, or a scheduler */
	int64_t timeout;      /* ns for an answer; 0: 10 s */
	const char *key_file; /* as for a handle */
	const char *tls_cert, *tls_key, *tls_ca;
};

/* A node, and what it has done for all: what pnode(8) status tells. */
struct pcore_cluster_status {
	size_t size; /* sizeof(struct pcore_cluster_status), set by the caller */
	char name[65];
	char version[65]; /* of its program */
	int state;	  /* SERVING, STOPPED or DRAINING */
	unsigned cpus, cpus_here; /* that it offers; of its machine */
	uint64_t memory;	  /* bytes that it offers */
	uint64_t queued, running, succeeded, failed; /* jobs; the last two since its start */
	int64_t start;	  /* CLOCK_REALTIME, ns */
	int64_t cpu_time; /* ns, of jobs that have ended */
};

/* Ask, and wait for the answer; any thread. 0; -ENOENT, -ECONNREFUSED: it does not run; -ETIMEDOUT; -ENOKEY, -EKEYREJECTED, -EACCES,
 * -EPROTONOSUPPORT, -ELIBACC as for a handle; -EHOSTUNREACH: no such host; -ECONNRESET, -EPROTO: it has gone, or is no node;
 * -EINVAL, -E2BIG, -ENOMEM, -errno. error (or NULL) as there. */
int pcore_cluster_status(
	const struct pcore_cluster_status_spec *spec, struct pcore_cluster_status *ret, struct pcore_error *error);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
