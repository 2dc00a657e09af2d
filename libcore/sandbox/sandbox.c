/* SPDX-License-Identifier: MIT */
/*
 * sandbox.c - a specification is made into an object, part by part.
 */
#include "libcore/sandbox/private.h"

#include <filters.h> /* made by gen/filters.c */
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const level_names[] = {
	[PCORE_SANDBOX_NONE] = "none",
	[PCORE_SANDBOX_DEFAULT] = "default",
	[PCORE_SANDBOX_STRICT] = "strict",
};

const char *pcore_sandbox_level_name(enum pcore_sandbox_level level)
{
	assert(level < ARRAY_SIZE(level_names));

	return level_names[level];
}

bool pcore_sandbox_keeps_var(const char *var)
{
	static const char *const kept[] = { "PATH=", "HOME=", "LANG=", "LANGUAGE=", "LC_", "TZ=", "TERM=", "USER=", "LOGNAME=" };

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (strncmp(var, kept[i], strlen(kept[i])) == 0)
			return true;
	return false;
}

#define FILTER(f)                                        \
	{                                                \
		ARRAY_SIZE(f), (struct sock_filter *)(f) \
	}

static void set_filter(struct pcore_sandbox *b)
{
	/* [io_uring], and for strict [network][io_uring] */
	static const struct sock_fprog standard[2] = { FILTER(filter_default),
		FILTER(filter_default_uring) };
	static const struct sock_fprog strict[2][2] = {
		{ FILTER(filter_strict), FILTER(filter_strict_uring) },
		{ FILTER(filter_strict_net), FILTER(filter_strict_net_uring) },
	};

	switch (b->level) {
	case PCORE_SANDBOX_NONE:
		break;
	case PCORE_SANDBOX_DEFAULT:
		b->filter = standard[b->allow_io_uring];
		break;
	case PCORE_SANDBOX_STRICT:
		b->filter = strict[b->allow_net][b->allow_io_uring];
		break;
	}
}

/* Whoever is not root gets the right to make namespaces in a user namespace only. */
static void set_namespaces(struct pcore_sandbox *b, bool private_tmp, bool user)
{
	if (b->level == PCORE_SANDBOX_STRICT) {
		b->tree_namespaces =
			CLONE_NEWIPC | CLONE_NEWUTS | (b->allow_net ? 0 : CLONE_NEWNET);
		b->child_namespaces = CLONE_NEWNS;
	} else if (private_tmp) {
		b->child_namespaces = CLONE_NEWNS | (user ? CLONE_NEWUSER : 0);
		(void)snprintf(b->uid_map, sizeof(b->uid_map), "%u %u 1", geteuid(), geteuid());
		(void)snprintf(b->gid_map, sizeof(b->gid_map), "%u %u 1", getegid(), getegid());
	}
}

static int set_all(
	struct pcore_sandbox *b, const struct pcore_sandbox_spec *spec, struct pcore_err *err)
{
	const bool user = geteuid() != 0;
	int r;

	set_filter(b);
	set_namespaces(b, spec->private_tmp, user);
	b->user_namespace = user && b->child_namespaces;
	r = pcore_sandbox_set_caps(b, spec, b->user_namespace, err);
	if (r == 0 && b->child_namespaces)
		r = pcore_sandbox_set_paths(b, spec, err);
	if (r == 0 && b->level == PCORE_SANDBOX_STRICT)
		r = pcore_sandbox_set_landlock(b, err);
	return r;
}

int pcore_sandbox_compile(
	const struct pcore_sandbox_spec *spec, struct pcore_sandbox **ret, struct pcore_err *err)
{
	struct pcore_sandbox *b;
	int r;

	assert(spec->size == sizeof(*spec));
	assert(spec->n_ro <= PCORE_SANDBOX_PATHS_MAX);
	assert(spec->n_rw <= PCORE_SANDBOX_PATHS_MAX);
	assert(spec->level == PCORE_SANDBOX_STRICT || (spec->n_ro == 0 && spec->n_rw == 0));

	b = calloc(1, sizeof(*b));
	if (!b)
		return pcore_err_set(err, -ENOMEM, PCORE_STEP_NONE, "");

	b->level = spec->level;
	b->allow_net = spec->allow_net || spec->level != PCORE_SANDBOX_STRICT;
	b->allow_io_uring = spec->allow_io_uring || spec->level == PCORE_SANDBOX_NONE;
	b->no_new_privs = spec->no_new_privs || spec->level != PCORE_SANDBOX_NONE;
	b->no_core = spec->level != PCORE_SANDBOX_NONE;
	b->ruleset_fd = -EBADF;
	r = set_all(b, spec, err);
	if (r < 0) {
		pcore_sandbox_free(b);
		return r;
	}
	*ret = b;
	return 0;
}

void pcore_sandbox_free(struct pcore_sandbox *b)
{
	if (!b)
		return;

	for (size_t i = 0; i < b->n_fresh; i++)
		free(b->fresh[i].target);
	for (size_t i = 0; i < b->n_paths; i++)
		free(b->paths[i].path);
	free(b->cwd);
	b->ruleset_fd = pcore_fd_close(b->ruleset_fd);
	free(b);
}
