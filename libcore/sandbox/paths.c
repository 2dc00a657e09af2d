/* SPDX-License-Identifier: MIT */
/*
 * paths.c - which parts of the file system are new for the command, and which stay reachable
 * through them.
 */
#include "libcore/sandbox/private.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_below(const char *path, const char *dir)
{
	size_t len = strcmp(dir, "/") == 0 ? 0 : strlen(dir);

	return strncmp(path, dir, len) == 0 && path[len] == '/' && path[len + 1] != '\0';
}

static bool is_at_or_below(const char *path, const char *dir)
{
	return strcmp(path, dir) == 0 || is_below(path, dir);
}

static int fail(struct pcore_err *err, const char *path)
{
	return pcore_err_set(err, -errno, PCORE_STEP_OPEN, path);
}

/* What does not exist here need not be hidden. */
static int add_fresh(struct pcore_sandbox *b, const char *target,
	enum pcore_sandbox_fresh_kind kind, struct pcore_err *err)
{
	char *path = realpath(target, NULL);

	if (!path)
		return errno == ENOENT ? 0 : fail(err, target);

	assert(b->n_fresh < PCORE_SANDBOX_FRESH_MAX);

	b->fresh[b->n_fresh++] = (struct pcore_sandbox_fresh){ .target = path, .kind = kind };
	return 0;
}

/* With a network there are sockets, and with those in /run one asks others to do what one may not
 * do oneself. */
static int add_all_fresh(struct pcore_sandbox *b, struct pcore_err *err)
{
	const bool strict = b->level == PCORE_SANDBOX_STRICT;
	const struct {
		bool wanted;
		const char *target;
		enum pcore_sandbox_fresh_kind kind;
	} list[] = {
		{ strict, "/proc", PCORE_SANDBOX_PROC },
		{ true, "/tmp", PCORE_SANDBOX_TMP },
		{ strict, "/dev/shm", PCORE_SANDBOX_TMP },
		{ strict && b->allow_net, "/run", PCORE_SANDBOX_EMPTY },
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(list) && r == 0; i++)
		if (list[i].wanted)
			r = add_fresh(b, list[i].target, list[i].kind, err);
	return r;
}

static int add_path(struct pcore_sandbox *b, const char *path, bool writable, struct pcore_err *err)
{
	struct pcore_sandbox_path *p = &b->paths[b->n_paths];
	struct stat st;

	assert(b->n_paths < ARRAY_SIZE(b->paths));

	p->path = realpath(path, NULL);
	if (!p->path)
		return fail(err, path);
	b->n_paths++;
	if (stat(p->path, &st) < 0)
		return fail(err, path);
	p->writable = writable;
	p->directory = S_ISDIR(st.st_mode);
	return 0;
}

static int compare_paths(const void *a, const void *b)
{
	const struct pcore_sandbox_path *x = a, *y = b;
	int r = strcmp(x->path, y->path);

	return r ? r : x->writable - y->writable;
}

/* Names are looked up through the resolver's file, which often lives in /run. */
static int add_resolver(struct pcore_sandbox *b, struct pcore_err *err)
{
	_cleanup_(freep) char *path = realpath("/etc/resolv.conf", NULL);

	for (size_t i = 0; path && i < b->n_fresh; i++)
		if (is_below(path, b->fresh[i].target) && b->n_paths < ARRAY_SIZE(b->paths))
			return add_path(b, path, false, err);
	return 0;
}

static void decide_remount(struct pcore_sandbox *b, struct pcore_sandbox_path *p)
{
	p->remount = p->writable;
	for (size_t i = 0; i < b->n_fresh; i++)
		p->hidden = p->hidden || is_below(p->path, b->fresh[i].target);
	for (size_t i = 0; i < b->n_paths; i++)
		p->remount =
			p->remount || (b->paths[i].writable && is_below(p->path, b->paths[i].path));
	p->remount = p->remount || p->hidden;
	if (strcmp(p->path, "/") == 0) {
		b->read_only = b->read_only && !p->writable;
		p->remount = false;
	}
}

/* Where the current directory is covered by something new, its name has to be followed again. */
static int set_cwd(struct pcore_sandbox *b, struct pcore_err *err)
{
	char *cwd = getcwd(NULL, 0);
	bool anew = false;

	if (!cwd && errno != ENOENT)
		return fail(err, ".");
	if (!cwd || cwd[0] != '/') { /* it is gone, or out of reach */
		free(cwd);
		b->cwd = strdup("/");
		return b->cwd ? 0 : pcore_err_set(err, -ENOMEM, PCORE_STEP_OPEN, ".");
	}
	for (size_t i = 0; i < b->n_fresh; i++) {
		anew = anew || is_at_or_below(cwd, b->fresh[i].target);
		b->cwd_hidden = b->cwd_hidden || is_below(cwd, b->fresh[i].target);
	}
	for (size_t i = 0; i < b->n_paths; i++)
		anew = anew || (b->paths[i].remount && is_at_or_below(cwd, b->paths[i].path));
	b->cwd = anew ? cwd : NULL;
	if (!anew)
		free(cwd);
	return 0;
}

int pcore_sandbox_set_paths(
	struct pcore_sandbox *b, const struct pcore_sandbox_spec *spec, struct pcore_err *err)
{
	int r = add_all_fresh(b, err);

	for (size_t i = 0; i < spec->n_ro && r == 0; i++)
		r = add_path(b, spec->ro[i], false, err);
	for (size_t i = 0; i < spec->n_rw && r == 0; i++)
		r = add_path(b, spec->rw[i], true, err);
	if (r == 0 && b->allow_net)
		r = add_resolver(b, err);
	if (r < 0)
		return r;

	b->read_only = b->level == PCORE_SANDBOX_STRICT;
	qsort(b->paths, b->n_paths, sizeof(b->paths[0]), compare_paths);
	for (size_t i = 0; i < b->n_paths; i++)
		decide_remount(b, &b->paths[i]);
	return set_cwd(b, err);
}
