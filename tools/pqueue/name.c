/* SPDX-License-Identifier: MIT */
/*
 * name.c - from the name of a queue to the queue.
 */
#include <fcntl.h>
#include <string.h>

#include "tools/cli/rundir.h"
#include "tools/pqueue/pqueue.h"

int pqueue_locate(const char *name, const char *sub, struct pqueue_place *ret)
{
	int dir = AT_FDCWD;
	char *path;

	if (!strchr(name, '/') && !cli_is_name(name))
		return cli_usage("'%s' is not a name (letters, digits, and . _ - inside, at most 64), and a path has a slash", name);
	path = strdup(name);
	if (!path)
		return cli_error("out of memory");
	if (!strchr(name, '/'))
		dir = cli_rundir_open(sub);
	if (dir < 0 && dir != AT_FDCWD) {
		free(path);
		return CLI_FAILURE;
	}
	*ret = (struct pqueue_place){ dir, path };
	return CLI_GO;
}

void pqueue_place_done(struct pqueue_place *p)
{
	if (p->dir != AT_FDCWD)
		p->dir = pcore_fd_close(p->dir);
	free(TAKE_PTR(p->path));
}

int pqueue_error(const char *what, const char *name, int error)
{
	switch (error) {
	case -ENOENT:
		(void)cli_error("there is no queue '%s'", name);
		return CLI_NO;
	case -EBADMSG:
		(void)cli_error("cannot %s '%s': it is damaged, or no queue", what, name);
		return CLI_CORRUPT;
	case -EPROTONOSUPPORT:
		(void)cli_error("cannot %s '%s': it was made by another version of pqueue", what, name);
		return CLI_VERSION;
	case -ESTALE:
		(void)cli_error("cannot %s '%s': it is from before the system was started, and can only be removed", what, name);
		return CLI_CORRUPT;
	case -EPERM:
		return cli_error("cannot %s '%s': it belongs to another user", what, name);
	default:
		return cli_error("cannot %s '%s': %s", what, name, strerror(-error));
	}
}

int pqueue_open(const struct pqueue_opts *o, bool create, struct pcore_queue **ret)
{
	struct pqueue_place place;
	int r = pqueue_locate(o->name, "queues", &place), error;

	if (r != CLI_GO)
		return r;

	error = pcore_queue_open(ret, place.dir, place.path, create ? &o->spec : NULL);
	pqueue_place_done(&place);
	return error < 0 ? pqueue_error("open", o->name, error) : CLI_GO;
}
