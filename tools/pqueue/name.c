/* SPDX-License-Identifier: MIT */
/*
 * name.c - from the name of a queue to the queue.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

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

/* Only the durable ones are directories. */
static bool is_durable(const char *name)
{
	struct pqueue_place place;
	struct stat st;
	bool is;

	if (pqueue_locate(name, "queues", &place) != CLI_GO)
		return false;
	is = fstatat(place.dir, place.path, &st, 0) == 0 && S_ISDIR(st.st_mode);
	pqueue_place_done(&place);
	return is;
}

int pqueue_error(const char *what, const char *name, int error)
{
	switch (error) {
	case -ENOENT:
		(void)cli_error("there is no queue '%s'", name);
		return CLI_NO;
	case -EBADMSG:
		(void)cli_error("cannot %s '%s': it is damaged, or no queue%s", what, name,
			is_durable(name) ? " (pqueue repair copies what is whole)" : "");
		return CLI_CORRUPT;
	case -ENOTRECOVERABLE:
		return cli_error("cannot %s '%s': a sync to its disk has failed; what is there is known when all have closed it", what, name);
	case -EOPNOTSUPP:
		return cli_error("cannot %s '%s': a durable queue cannot be on NFS", what, name);
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

void pqueue_tell_found(const char *name, const struct pcore_queue *q)
{
	struct pcore_queue_found found;

	pcore_queue_found(q, &found);
	if (found.cut_bytes > 0)
		cli_warn("the end of the queue '%s' was torn by a crash: %" PRIu64 " bytes cut off, %" PRIu64 " whole records among them",
			name, found.cut_bytes, found.cut_records);
}

int pqueue_open(const struct pqueue_opts *o, bool create, struct pcore_queue **ret)
{
	struct pqueue_place place;
	int r = pqueue_locate(o->name, "queues", &place), error;

	if (r != CLI_GO)
		return r;

	error = pcore_queue_open_at(ret, place.dir, place.path, create ? &o->spec : NULL);
	pqueue_place_done(&place);
	if (create && error == -ENOENT) /* what is not there is its directory */
		return cli_error("cannot create '%s': %s", o->name, strerror(ENOENT));
	if (error < 0)
		return pqueue_error("open", o->name, error);
	pqueue_tell_found(o->name, *ret);
	return CLI_GO;
}
