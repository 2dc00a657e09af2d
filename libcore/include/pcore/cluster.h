/* SPDX-License-Identifier: MIT */
/*
 * cluster.h - commands on many machines: a private cluster, whose scheduler is in this program.
 *
 * A handle has connections to nodes (pnode(8)), or a node of this machine within the program, and gives them the jobs that
 * are submitted. All of that happens while a function of the handle waits: between two calls nothing is begun or heard of.
 * Nodes keep jobs of a program that is silent for a while (pnode's --grace, 10 s) and kill them then.
 *
 * A handle belongs to the thread that opened it (-EPERM for others), where SIGPIPE is blocked as long as it is open; callbacks do
 * not call into it (-EBUSY). pcore_cluster(3) has the details.
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

struct pcore_cluster_client_spec {
	size_t size;		  /* sizeof(struct pcore_cluster_client_spec) */
	const char *const *nodes; /* NULL-terminated: "HOST:PORT", "[V6]:PORT", "unix:PATH"; or NULL */
	unsigned local_cpus;	  /* that this machine offers, too; 0: none */
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

/* Connect, and wait for the first node. -EHOSTUNREACH: none within wait_nodes; -EKEYREJECTED, -EPROTONOSUPPORT and such: none will
 * do; -ENOKEY: there is no key, and an address needs one. error (may be NULL) says which file or address it was about. */
int pcore_cluster_client_open(
	struct pcore_cluster_client **ret, const struct pcore_cluster_client_spec *spec, struct pcore_error *error);

/* Kill what has not ended, say goodbye, and free it. NULL is fine. */
void pcore_cluster_client_close(struct pcore_cluster_client *c);

/* Queue a job; argv (NULL-terminated) is copied. Ids are from 1 on. */
int pcore_cluster_client_submit(struct pcore_cluster_client *c, char *const *argv, uint64_t *ret_id);

/* Wait for the end of a job, or (next) of any; each is told once. 0 and *ret (may be NULL) filled in, whatever came of it;
 * -ETIMEDOUT; -ENOENT: it was told or never was; -ENODATA: there is none. */
int pcore_cluster_client_wait(
	struct pcore_cluster_client *c, uint64_t id, int64_t timeout, struct pcore_cluster_client_result *ret);
int pcore_cluster_client_next(struct pcore_cluster_client *c, int64_t timeout, struct pcore_cluster_client_result *ret);
void pcore_cluster_client_result_done(struct pcore_cluster_client_result *r); /* frees out and err */

/* Ask a job to end; it is killed after kill_after. wait tells how it ended. 0, also when it has ended; -ENOENT. */
int pcore_cluster_client_cancel(struct pcore_cluster_client *c, uint64_t id);

struct pcore_cluster_client_map {
	size_t size;		  /* sizeof(struct pcore_cluster_client_map) */
	char *const *argv;	  /* the command, NULL-terminated */
	char *const *const *args; /* n lists, NULL-terminated each: what follows it */
	size_t n;
	void *ctx;
	/* Number i has ended: told in order. Output is r's until this returns; it may take it (setting it to NULL). Anything but 0
	 * ends it all: those that run are cancelled. */
	int (*done)(void *ctx, size_t i, struct pcore_cluster_client_result *r);
};

/* Run a command with each of n lists of arguments. 0, what done said, -EREMOTEIO when one has failed (all others were run
 * nevertheless), -errno. */
int pcore_cluster_client_map(struct pcore_cluster_client *c, const struct pcore_cluster_client_map *m);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
