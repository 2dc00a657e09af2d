/* SPDX-License-Identifier: MIT */
/*
 * lock.c - the lock or the place in a semaphore that a run holds.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "tools/cli/opts.h"
#include "tools/cli/rundir.h"
#include "tools/prun/run.h"

/* NAME:N */
static int parse_semaphore(const char *word, char name[static 72], unsigned *ret_n)
{
	const char *colon = strrchr(word, ':');
	uint64_t n;

	if (!colon || (size_t)(colon - word) > 64)
		return cli_opt_bad("semaphore", word, "must be NAME:N");
	(void)snprintf(name, 72, "%.*s", (int)(colon - word), word);
	if (!cli_is_name(name))
		return cli_opt_bad("semaphore", word, "not a name: letters, digits, and . _ - inside, at most 64");
	if (pcore_parse_u64(colon + 1, 1, 1000000, &n) < 0)
		return cli_opt_bad("semaphore", word, "N must be from 1 to 1000000");
	*ret_n = (unsigned)n;
	return CLI_GO;
}

static int open_named(struct run *r, enum pcore_lock_kind kind, const char *name)
{
	_cleanup_(fd_closep) int dir = cli_rundir_open("locks");
	char file[80];
	int error;

	if (dir < 0)
		return CLI_FAILURE;
	(void)snprintf(file, sizeof(file), "%s.%s", name, kind == PCORE_LOCK_NAMED ? "lock" : "sem");
	error = pcore_lock_open_at(&r->lock, kind, dir, file);
	return error < 0 ? cli_error("cannot open the lock '%s': %s", name, strerror(-error)) : CLI_GO;
}

int run_take_lock(struct run *r)
{
	const struct prun_opts *o = r->opts;
	const char *what = o->lock ? o->lock : o->semaphore;
	int64_t deadline = o->wait == 0 ? 0 : pcore_ns_add(pcore_now_ns(), o->wait);
	char name[72];
	unsigned n = 0;
	int error = 0, status = CLI_GO;

	if (!what)
		return CLI_GO;
	if (o->semaphore) {
		status = parse_semaphore(o->semaphore, name, &n);
		if (status == CLI_GO)
			status = open_named(r, PCORE_LOCK_SEMAPHORE, name);
	} else if (strchr(o->lock, '/')) {
		error = pcore_lock_open_at(&r->lock, PCORE_LOCK_FILE, AT_FDCWD, o->lock);
		if (error < 0)
			return cli_error("cannot open the lock '%s': %s", o->lock, strerror(-error));
	} else if (!cli_is_name(o->lock)) {
		return cli_opt_bad("lock", o->lock, "not a name: letters, digits, and . _ - inside, at most 64");
	} else {
		status = open_named(r, PCORE_LOCK_NAMED, o->lock);
	}
	if (status != CLI_GO)
		return status;

	error = pcore_lock_acquire_until(r->lock, o->shared, n, deadline);
	if (error == 0)
		return CLI_GO;
	if (error != -EBUSY && error != -ETIMEDOUT)
		return cli_error("cannot take the lock '%s': %s", what, strerror(-error));
	cli_warn("the lock '%s' is busy", what);
	return (int)o->busy_status;
}
