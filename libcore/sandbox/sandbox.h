/* SPDX-License-Identifier: MIT */
/*
 * sandbox.h - from what a command may do to all that the kernel has to be told about it.
 *
 * Nothing is applied here and no process is made: compiling yields an object that proc/ hands to
 * the child between clone and exec. All that can be found out without the child is found out here;
 * what the kernel refuses the child is told as an error of its step. Nothing is left out silently.
 *
 *   none      only what is asked for by itself: a private /tmp, capabilities, no-new-privileges
 *   default   no new privileges, no capabilities, no core dumps, the default system call filter
 *   strict    besides: an allow list of system calls; namespaces of its own for processes, mounts,
 *             IPC, names and (unless allow_net) the network; every mount read-only; private /tmp and
 *             /dev/shm; by Landlock only the system's programs and libraries, ro paths and (for
 *             writing) rw paths can be reached
 *
 * The object is read-only once made and may serve any number of children.
 */
#ifndef PCORE_SANDBOX_H
#define PCORE_SANDBOX_H

#include <linux/filter.h>

#include "libcore/base/base.h"

enum pcore_sandbox_level { PCORE_SANDBOX_NONE, PCORE_SANDBOX_DEFAULT, PCORE_SANDBOX_STRICT };

enum { PCORE_SANDBOX_PATHS_MAX = 64, PCORE_SANDBOX_FRESH_MAX = 4 };

/* Borrowed until pcore_sandbox_compile() returns. */
struct pcore_sandbox_spec {
	size_t size; /* sizeof(struct pcore_sandbox_spec) */
	enum pcore_sandbox_level level;
	bool allow_net;      /* strict: keep the network */
	bool allow_io_uring; /* default, strict: no filter sees what goes through a ring */
	bool private_tmp;
	bool no_new_privs;
	const char *const *ro, *const *rw; /* strict: existing paths */
	size_t n_ro, n_rw;
	uint64_t drop_caps; /* capabilities (bit N) to do without; from default on all of them */
	uint64_t keep_caps; /* but these */
};

enum pcore_sandbox_fresh_kind {
	PCORE_SANDBOX_PROC,  /* of the PID namespace, which brings it */
	PCORE_SANDBOX_TMP,   /* a directory for everybody's files */
	PCORE_SANDBOX_EMPTY, /* only hides what is there */
};

/* A file system that is new for the command. */
struct pcore_sandbox_fresh {
	char *target;
	enum pcore_sandbox_fresh_kind kind;
	uint64_t access; /* what Landlock allows below it; 0: nothing */
};

/* A path that stays reachable where its surroundings became read-only or hidden. */
struct pcore_sandbox_path {
	char *path; /* absolute, without symbolic links */
	bool writable;
	bool directory;
	bool hidden;  /* below a fresh file system: to be made there again */
	bool remount; /* becomes a mount of its own */
};

struct pcore_sandbox {
	enum pcore_sandbox_level level;
	bool allow_net, allow_io_uring;

	unsigned long tree_namespaces;  /* CLONE_NEW* of the tree's init; 0: needs none */
	unsigned long child_namespaces; /* CLONE_NEW* of the command itself */
	bool user_namespace;            /* the tree's or the child's */
	char uid_map[32], gid_map[32];  /* of the child's */

	bool read_only; /* every mount that is there */
	struct pcore_sandbox_fresh fresh[PCORE_SANDBOX_FRESH_MAX];
	size_t n_fresh;
	/* what contains others stands before them */
	struct pcore_sandbox_path paths[2 * PCORE_SANDBOX_PATHS_MAX];
	size_t n_paths;
	char *cwd; /* to be entered anew when the mounts are made; NULL: no need */
	bool cwd_hidden;

	bool set_caps;
	uint64_t keep_caps; /* permitted and effective */
	uint64_t inherit_caps, ambient_caps;
	uint64_t bounding, drop_bounding; /* what is left of the bounding set, and what goes */
	bool no_new_privs;
	bool no_core;

	int landlock_abi;         /* 0: not used */
	int ruleset_fd;           /* -EBADF: none */
	struct sock_fprog filter; /* len 0: none */
};

/* Make the object, pcore_sandbox_free() frees it. err tells what this system cannot give:
 * PCORE_STEP_LANDLOCK, PCORE_STEP_CAPS (subject: the capability), PCORE_STEP_OPEN (subject: a
 * path). */
int pcore_sandbox_compile(
	const struct pcore_sandbox_spec *spec, struct pcore_sandbox **ret, struct pcore_err *err);
void pcore_sandbox_free(struct pcore_sandbox *b);

/* What is in force in a command that runs: lines of "name: value", or the members of a JSON object.
 * 0 or as pcore_buf. */
int pcore_sandbox_describe(const struct pcore_sandbox *b, struct pcore_buf *out);
int pcore_sandbox_describe_json(const struct pcore_sandbox *b, struct pcore_buf *out);

const char *pcore_sandbox_level_name(enum pcore_sandbox_level level);

/* May a command that is not to be trusted, or is run on another machine, know this variable ("NAME=VALUE") of our environment?
 * PATH, HOME, USER, LOGNAME, TERM, the time zone and the locale. */
bool pcore_sandbox_keeps_var(const char *var);

/* The set of "all", or of names such as "net_raw,cap_chown": 0 or -EINVAL. */
int pcore_caps_parse(const char *list, uint64_t *ret);
const char *pcore_cap_name(unsigned cap); /* "cap_chown"; NULL: it has none here */

#endif
