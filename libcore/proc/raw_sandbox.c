/* SPDX-License-Identifier: MIT */
/*
 * raw_sandbox.c - the child takes its sandbox on: raw system calls between clone and exec.
 *
 * Three steps, because the rest of the child's preparation stands between them: new file systems
 * before anything is looked up in them; rights given up once nothing needs them any more; the
 * system call filter when only exec follows. Whatever fails ends the child: it never runs with less
 * than was asked for.
 */
#include "libcore/proc/raw.h"

#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define RULE_PATH_BENEATH 1

struct raw_path_rule {
	uint64_t access;
	int fd;
} __attribute__((packed));

static int fail(struct raw_child *c, enum pcore_step step, const char *subject, long code)
{
	c->step = step;
	c->subject = subject;
	c->code = (int)code;
	return c->code;
}

/* ---- the user namespace ---- */

static int write_own(struct raw_child *c, const char *path, const char *text)
{
	long fd = raw3(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC);
	size_t len = 0;
	long r = fd;

	while (text[len])
		len++;
	if (fd >= 0) {
		r = raw3(SYS_write, fd, text, len);
		(void)raw1(SYS_close, fd);
	}
	return r < 0 ? fail(c, PCORE_STEP_NAMESPACE, NULL, r) : 0;
}

static int map_ids(struct raw_child *c)
{
	if (write_own(c, "/proc/self/setgroups", "deny") < 0 ||
		write_own(c, "/proc/self/uid_map", c->sandbox->uid_map) < 0)
		return c->code;
	return write_own(c, "/proc/self/gid_map", c->sandbox->gid_map);
}

/* ---- mounts ---- */

/* What is to stay as it is, is taken hold of before its surroundings change. */
static int take_trees(struct raw_child *c, int trees[])
{
	const struct pcore_sandbox *b = c->sandbox;
	struct mount_attr read_only = { .attr_set = MOUNT_ATTR_RDONLY };
	long r;

	for (size_t i = 0; i < b->n_paths; i++) {
		trees[i] = -1;
		if (!b->paths[i].remount)
			continue;
		r = raw3(SYS_open_tree, AT_FDCWD, b->paths[i].path,
			OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
		trees[i] = (int)r;
		if (r >= 0 && !b->paths[i].writable)
			r = raw5(SYS_mount_setattr, r, "", AT_EMPTY_PATH | AT_RECURSIVE, &read_only,
				sizeof(read_only));
		if (r < 0)
			return fail(c, PCORE_STEP_MOUNT, b->paths[i].path, r);
	}
	return 0;
}

static int put_tree(struct raw_child *c, int tree, const char *path)
{
	long r = raw5(SYS_move_mount, tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH);

	(void)raw1(SYS_close, tree);
	return r < 0 ? fail(c, PCORE_STEP_MOUNT, path, r) : 0;
}

/* The directories that lead to path, and path itself as a directory or an empty file; what is there
 * is left alone. */
static int make_path(struct raw_child *c, const char *path, bool directory)
{
	char part[4096];
	size_t n = 0;
	long r = 0;

	for (; path[n] && n < sizeof(part) - 1; n++) {
		part[n] = path[n];
		part[n + 1] = '\0';
		if (path[n + 1] == '/' && path[n] != '/')
			(void)raw3(SYS_mkdirat, AT_FDCWD, part, 0755);
	}
	if (path[n])
		r = -ENAMETOOLONG;
	else if (directory)
		r = raw3(SYS_mkdirat, AT_FDCWD, path, 0755);
	else
		r = raw4(SYS_mknodat, AT_FDCWD, path, S_IFREG | 0644, 0);
	return r < 0 && r != -EEXIST ? fail(c, PCORE_STEP_MOUNT, path, r) : 0;
}

static int mount_fresh(struct raw_child *c)
{
	const struct pcore_sandbox *b = c->sandbox;

	for (size_t i = 0; i < b->n_fresh; i++) {
		const struct pcore_sandbox_fresh *f = &b->fresh[i];
		const char *mode = f->kind == PCORE_SANDBOX_TMP ? "mode=1777" : "mode=755";
		long r;

		if (f->kind == PCORE_SANDBOX_PROC)
			continue;
		r = raw5(SYS_mount, "tmpfs", f->target, "tmpfs", MS_NOSUID | MS_NODEV, mode);
		if (r < 0)
			return fail(c, PCORE_STEP_MOUNT, f->target, r);
	}
	return 0;
}

/* Landlock knows files, not names: what is new is named to it when it is there. */
static int allow_fresh(struct raw_child *c)
{
	const struct pcore_sandbox *b = c->sandbox;

	for (size_t i = 0; i < b->n_fresh; i++) {
		struct raw_path_rule rule = { .access = b->fresh[i].access };
		long r;

		if (!rule.access)
			continue;
		r = raw3(SYS_openat, AT_FDCWD, b->fresh[i].target, O_PATH | O_CLOEXEC);
		rule.fd = (int)r;
		if (r >= 0) {
			r = raw4(SYS_landlock_add_rule, b->ruleset_fd, RULE_PATH_BENEATH, &rule, 0);
			(void)raw1(SYS_close, rule.fd);
		}
		if (r < 0)
			return fail(c, PCORE_STEP_LANDLOCK, b->fresh[i].target, r);
	}
	return 0;
}

static int enter_cwd(struct raw_child *c)
{
	const struct pcore_sandbox *b = c->sandbox;
	long r;

	if (!b->cwd)
		return 0;
	if (b->cwd_hidden && make_path(c, b->cwd, true) < 0)
		return c->code;
	r = raw1(SYS_chdir, b->cwd);
	return r < 0 ? fail(c, PCORE_STEP_MOUNT, b->cwd, r) : 0;
}

/* Writable and read-only trees first, then what is new on top of them, then what is to be seen in
 * there. */
static int arrange_mounts(struct raw_child *c)
{
	const struct pcore_sandbox *b = c->sandbox;
	int trees[ARRAY_SIZE(b->paths)];
	struct mount_attr all = { .propagation = MS_PRIVATE,
		.attr_set = b->read_only ? MOUNT_ATTR_RDONLY : 0 };
	long r;

	if (take_trees(c, trees) < 0)
		return c->code;
	r = raw5(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &all, sizeof(all));
	if (r < 0)
		return fail(c, PCORE_STEP_MOUNT, "/", r);
	for (size_t i = 0; i < b->n_paths; i++)
		if (trees[i] >= 0 && !b->paths[i].hidden &&
			put_tree(c, trees[i], b->paths[i].path) < 0)
			return c->code;
	if (mount_fresh(c) < 0)
		return c->code;
	for (size_t i = 0; i < b->n_paths; i++)
		if (trees[i] >= 0 && b->paths[i].hidden &&
			(make_path(c, b->paths[i].path, b->paths[i].directory) < 0 ||
				put_tree(c, trees[i], b->paths[i].path) < 0))
			return c->code;
	return enter_cwd(c);
}

int raw_sandbox_enter(struct raw_child *c)
{
	const struct pcore_sandbox *b = c->sandbox;
	long r;

	if (b->child_namespaces & CLONE_NEWUSER && map_ids(c) < 0)
		return c->code;
	if (b->child_namespaces && arrange_mounts(c) < 0)
		return c->code;
	if (b->ruleset_fd < 0)
		return 0;
	if (allow_fresh(c) < 0)
		return c->code;

	/* out of the way of the child's own */
	r = raw3(SYS_fcntl, b->ruleset_fd, F_DUPFD_CLOEXEC, c->dup_floor);
	c->ruleset_fd = (int)r;
	return r < 0 ? fail(c, PCORE_STEP_LANDLOCK, NULL, r) : 0;
}

/* ---- rights ---- */

/* What needs rights that another user will not have: before the ids change. */
int raw_sandbox_bound(struct raw_child *c)
{
	const struct pcore_sandbox *b = c->sandbox;
	long r = 0;

	if (!b->set_caps)
		return 0;
	for (unsigned cap = 0; cap < 64 && r >= 0; cap++)
		if (b->drop_bounding >> cap & 1)
			r = raw5(SYS_prctl, PR_CAPBSET_DROP, cap, 0, 0, 0);
	if (r >= 0 && c->set_uid && b->keep_caps)
		r = raw5(SYS_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0);
	return r < 0 ? fail(c, PCORE_STEP_CAPS, NULL, r) : 0;
}

static int drop_caps(struct raw_child *c)
{
	const struct pcore_sandbox *b = c->sandbox;
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	long r = raw5(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);

	for (unsigned i = 0; i < 2; i++) {
		data[i].permitted = data[i].effective = (uint32_t)(b->keep_caps >> 32 * i);
		data[i].inheritable = (uint32_t)(b->inherit_caps >> 32 * i);
	}
	if (r >= 0)
		r = raw2(SYS_capset, &header, data);
	for (unsigned cap = 0; cap < 64 && r >= 0; cap++)
		if (b->ambient_caps >> cap & 1)
			r = raw5(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
	return r < 0 ? fail(c, PCORE_STEP_CAPS, NULL, r) : 0;
}

/* A limit that was asked for stands. */
static int forbid_core(struct raw_child *c)
{
	static const struct rlimit none;
	long r;

	for (size_t i = 0; i < c->n_limits; i++)
		if (c->limits[i].resource == RLIMIT_CORE)
			return 0;
	r = raw4(SYS_prlimit64, 0, RLIMIT_CORE, &none, NULL);
	return r < 0 ? fail(c, PCORE_STEP_RLIMIT, "core", r) : 0;
}

int raw_sandbox_restrict(struct raw_child *c)
{
	const struct pcore_sandbox *b = c->sandbox;
	long r = 0;

	if (b->no_core && forbid_core(c) < 0)
		return c->code;
	if (b->set_caps && drop_caps(c) < 0)
		return c->code;
	if (b->no_new_privs)
		r = raw5(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (r < 0)
		return fail(c, PCORE_STEP_NO_NEW_PRIVS, NULL, r);
	if (b->ruleset_fd >= 0)
		r = raw2(SYS_landlock_restrict_self, c->ruleset_fd, 0);
	return r < 0 ? fail(c, PCORE_STEP_LANDLOCK, NULL, r) : 0;
}

int raw_sandbox_filter(struct raw_child *c)
{
	const struct pcore_sandbox *b = c->sandbox;
	long r;

	if (!b->filter.len)
		return 0;
	r = raw3(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_LOG, &b->filter);
	return r < 0 ? fail(c, PCORE_STEP_SECCOMP, NULL, r) : 0;
}
