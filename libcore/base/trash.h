/* SPDX-License-Identifier: MIT */
/*
 * trash.h - removing trees of files bit by bit, however deep or large they are.
 *
 * A trash is a directory of ours. What is to go is moved into it, which takes no time, and pcore_trash_step() removes some of
 * it at a time. A directory that is not empty has its subdirectories moved up into the trash: so no tree is ever
 * deeper than two levels when it is read, two descriptors do, and nothing recurses. Symbolic links are removed and not
 * followed. Directories that their owner has closed to himself are opened again.
 */
#ifndef PCORE_BASE_TRASH_H
#define PCORE_BASE_TRASH_H

#include <stdint.h>

struct pcore_trash {
	int fd;		 /* the directory; the caller's */
	uint64_t serial; /* of the next name in it */
};

/* Move dfd's name into it, on the same file system. 0, also when there is no such file; -errno. */
int pcore_trash_put(struct pcore_trash *t, int dfd, const char *name);

/* Remove about so many files and directories. 1: there are more; 0: it is empty; -errno: what is left cannot be removed. */
int pcore_trash_step(struct pcore_trash *t, unsigned budget);

#endif
