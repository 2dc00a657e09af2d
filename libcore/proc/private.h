/* SPDX-License-Identifier: MIT */
/*
 * private.h - between the files of proc/.
 */
#ifndef PCORE_PROC_PRIVATE_H
#define PCORE_PROC_PRIVATE_H

#include "libcore/proc/proc.h"
#include "libcore/proc/raw.h"

/* tree.c: what proc.c and spawn.c ask of a tree. */

/* Make the child in the tree. 0 or the -errno in child->code. */
int pcore_tree_spawn(struct pcore_tree *t, struct raw_spawn *s);

/* The exit of the tree's command when it is not our own child. 0, -EAGAIN, -ECHILD. */
int pcore_tree_reap(struct pcore_tree *t, struct pcore_exit *ret);

bool pcore_tree_own_child(const struct pcore_tree *t);

/* aside.c */

struct pcore_aside {
	int base_fd;	  /* our cgroup; its owner's */
	int fd;		  /* where we are instead, a child of it; or -EBADF */
	char name[64];	  /* the child's */
	char enabled[64]; /* what was switched on, as it is switched off */
};

/* Give the children of our cgroup a controller, if need be by leaving it with our helper process. */
void pcore_aside_enable(struct pcore_aside *a, pid_t helper, const char *controller);

/* Come back, with all that is there. */
void pcore_aside_back(struct pcore_aside *a);

/* child.c */

/* Make the child without a tree. 0 or the -errno in child->code. */
int pcore_plain_spawn(struct raw_spawn *s);

/* What the kernel still knows of a child that somebody else has reaped: 0, -ECHILD. What it used is lost. */
int pcore_pidfd_status(int pidfd, struct pcore_exit *ret);

/* spawn.c */

/* In a tree, or (NULL) in none. */
int pcore_spawn(struct pcore_tree *t, const struct pcore_proc_spec *spec, pid_t *ret_pid, int *ret_pidfd, struct pcore_err *err);

/* Block every signal (raw, libc's own too) and put the mask back. */
uint64_t pcore_signals_block(void);
void pcore_signals_restore(uint64_t old);

#endif
