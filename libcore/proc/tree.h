/* SPDX-License-Identifier: MIT */
/*
 * tree.h - what keeper.c, tree.c and supervisor.c share: a keeper and its trees.
 */
#ifndef PCORE_PROC_TREE_H
#define PCORE_PROC_TREE_H

#include "libcore/proc/private.h"

struct pcore_keeper {
	enum pcore_tree_method method;
	bool single;
	bool no_clone3;
	unsigned n_trees; /* alive */
	char *stack;	  /* of the child before exec; one child at a time */
	int parent_pidfd; /* our own, for those who wait for our death */

	int base_fd; /* our cgroup */
	int run_fd;  /* pcore.PID.N in it, locked */
	char run_name[48];
	struct pcore_aside aside;
	struct raw_watchdog dog;
	char *dog_stack;
	int dog_pidfd;
};

struct pcore_tree {
	struct pcore_keeper *keeper;
	enum pcore_tree_method method;

	int dir_fd;	/* the leaf; the keeper's run_fd with a single tree */
	int events_fd;	/* its cgroup.events */
	unsigned index; /* its name */
	bool killed;	/* by cgroup.kill */
	bool no_placing;

	struct raw_sup *sup; /* NULL until the first command */
	char *sup_stack;
	int sup_pidfd;
	unsigned long sup_namespaces; /* what it has besides PID and mount */
};

/* ---- helper.c ---- */

enum { PCORE_STACK_SIZE = 64 * 1024 };

/* Of PCORE_STACK_SIZE bytes; NULL when there is no memory. */
char *pcore_stack_new(void);
void pcore_stack_free(char *p);

/* Start a process that shares our memory. Its pidfd or -errno. */
int pcore_helper_start(unsigned long flags, char *stack, void (*fn)(void *), void *arg);
int pcore_helper_wait(int pidfd);

/* The pid of a pidfd as our /proc has it, or -errno. */
pid_t pcore_pidfd_pid(int pidfd);

/* ---- cgroup.c ---- */

/* Remove a leaf that is about to be empty: the last process may still be on its way out. */
int pcore_cgroup_remove(int dfd, const char *name, int tries);

/* ---- supervisor.c ---- */

/* Make the child below the tree's supervisor, which is started when there is none. 0 or the -errno in child->code. */
int pcore_sup_spawn(struct pcore_tree *t, struct raw_spawn *s);

/* Ask and wait for the answer. -ESRCH when the supervisor has been killed. */
long pcore_sup_call(struct pcore_tree *t, enum raw_sup_op op);

/* End it; what it has below it lives on. */
void pcore_sup_free(struct pcore_tree *t);

#endif
