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
int pcore_tree_signal(struct pcore_tree *t, int sig);
int pcore_tree_kill(struct pcore_tree *t);
unsigned pcore_tree_count(struct pcore_tree *t);
bool pcore_tree_empty(struct pcore_tree *t);
void pcore_tree_release(struct pcore_tree *t); /* let what lives in it live on elsewhere */

/* A descriptor to poll for events that tells when the tree may have become empty. */
int pcore_tree_watch(struct pcore_tree *t, unsigned *ret_events);

/* spawn.c */
int pcore_spawn(struct pcore_tree *t, const struct pcore_proc_spec *spec, pid_t *ret_pid, int *ret_pidfd, struct pcore_err *err);

/* Block every signal (raw, libc's own too) and put the mask back. */
uint64_t pcore_signals_block(void);
void pcore_signals_restore(uint64_t old);

#endif
