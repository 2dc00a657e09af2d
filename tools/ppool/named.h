/* SPDX-License-Identifier: MIT */
/*
 * named.h - the verbs of named pools: open starts a pool's server in the background, the others are its clients.
 */
#ifndef PCORE_PPOOL_NAMED_H
#define PCORE_PPOOL_NAMED_H

#include "tools/cli/jobopts.h"
#include "tools/map/map.h"

/* What open says. Strings are borrowed from argv. */
struct server_opts {
	const char *name;
	struct cli_job_opts job; /* what holds for all jobs of the pool */
	uint64_t jobs;		 /* at a time */
	uint64_t queue;		 /* jobs that wait, at most */
	uint64_t keep;		 /* bytes of results, before no more jobs are started */
	int64_t idle_timeout;
};

/* Where a pool lives: pools/NAME/ in the runtime directory, with
 *
 *   lock     locked by the server as long as it lives (its jobs' keeper may hold it a little longer)
 *   socket   where it listens
 *   closed   the pool was closed and is drained: there is no server any more
 *   log      what the server has to say
 */
struct pool_dir {
	int pools; /* the directory above it */
	int dfd;
	int lock;
	const char *name;
};

/* Remove the directory; the name is free. */
void pool_dir_remove(struct pool_dir *dir);

/* Remove what a pool without a server has left; not if somebody is opening it just now. */
void pool_dir_forget(const char *name);

/* Serve until the pool has ended. dir is taken; ready_fd: where open waits. The status to exit with. */
int server_run(const struct server_opts *opts, struct pool_dir *dir, int ready_fd);

/* Each parses what follows it, argv[0] being the verb itself, and returns the status to leave with. */
int ppool_open(int argc, char **argv);
int ppool_apply(int argc, char **argv);
int ppool_async(int argc, char **argv);
int ppool_after(int argc, char **argv);
int ppool_get(int argc, char **argv);
int ppool_ready(int argc, char **argv);
int ppool_wait(int argc, char **argv);
int ppool_list(int argc, char **argv);
int ppool_cancel(int argc, char **argv);
int ppool_resize(int argc, char **argv);
int ppool_pause(int argc, char **argv);
int ppool_resume(int argc, char **argv);
int ppool_close(int argc, char **argv);
int ppool_terminate(int argc, char **argv);
int ppool_join(int argc, char **argv);

#endif
