/* SPDX-License-Identifier: MIT */
/*
 * landlock.c - which files a strict sandbox may reach, as a Landlock ruleset.
 *
 * The kernel's numbers are written out here: the headers of Debian 12 know the second version of
 * the interface only.
 */
#include "libcore/sandbox/private.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FS_EXECUTE (UINT64_C(1) << 0)
#define FS_WRITE_FILE (UINT64_C(1) << 1)
#define FS_READ_FILE (UINT64_C(1) << 2)
#define FS_READ_DIR (UINT64_C(1) << 3)
#define FS_V1 ((UINT64_C(1) << 13) - 1)
#define FS_REFER (UINT64_C(1) << 13)
#define FS_TRUNCATE (UINT64_C(1) << 14)
#define FS_IOCTL_DEV (UINT64_C(1) << 15)

#define FS_READ (FS_EXECUTE | FS_READ_FILE | FS_READ_DIR)
#define FS_DEVICE (FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE | FS_IOCTL_DEV)
#define FS_OF_FILES (FS_EXECUTE | FS_DEVICE)
#define FS_ALL (FS_V1 | FS_REFER | FS_TRUNCATE | FS_IOCTL_DEV)

#define NET_TCP (UINT64_C(1) << 0 | UINT64_C(1) << 1)   /* bind, connect */
#define SCOPE_ALL (UINT64_C(1) << 0 | UINT64_C(1) << 1) /* abstract sockets, signals */

enum { CREATE_VERSION = 1, RULE_PATH_BENEATH = 1 };

struct ruleset_attr {
	uint64_t fs, net, scoped;
};

struct path_attr {
	uint64_t access;
	int fd;
} __attribute__((packed));

static int landlock_version(void)
{
	long r = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION);

	return r < 0 ? -errno : (int)r;
}

static uint64_t handled_fs(int abi)
{
	uint64_t fs = FS_V1;

	fs |= abi >= 2 ? FS_REFER : 0;
	fs |= abi >= 3 ? FS_TRUNCATE : 0;
	fs |= abi >= 5 ? FS_IOCTL_DEV : 0;
	return fs;
}

static int make_ruleset(struct pcore_sandbox *b)
{
	struct ruleset_attr attr = {
		.fs = handled_fs(b->landlock_abi),
		.net = b->landlock_abi >= 4 && !b->allow_net ? NET_TCP : 0,
		.scoped = b->landlock_abi >= 6 ? SCOPE_ALL : 0,
	};
	long fd = syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

	if (fd < 0)
		return -errno;
	b->ruleset_fd = (int)fd; /* born close-on-exec */
	return 0;
}

static int allow(
	const struct pcore_sandbox *b, const char *path, uint64_t access, struct pcore_err *err)
{
	_cleanup_(fd_closep) int fd = open(path, O_PATH | O_CLOEXEC);
	struct path_attr attr = { .access = access & handled_fs(b->landlock_abi), .fd = fd };
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return pcore_err_set(err, -errno, PCORE_STEP_OPEN, path);
	if (!S_ISDIR(st.st_mode))
		attr.access &= FS_OF_FILES;
	if (syscall(SYS_landlock_add_rule, b->ruleset_fd, RULE_PATH_BENEATH, &attr, 0) < 0)
		return pcore_err_set(err, -errno, PCORE_STEP_LANDLOCK, path);
	return 0;
}

/* What every program needs; what of it is not there is not needed. */
static int allow_system(const struct pcore_sandbox *b, struct pcore_err *err)
{
	static const char *const read[] = { "/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin",
		"/sbin", "/etc" };
	static const char *const devices[] = { "/dev/null", "/dev/zero", "/dev/full", "/dev/random",
		"/dev/urandom", "/dev/tty", "/dev/ptmx" };
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(read) && r == 0; i++)
		if (access(read[i], F_OK) == 0)
			r = allow(b, read[i], FS_READ, err);
	for (size_t i = 0; i < ARRAY_SIZE(devices) && r == 0; i++)
		if (access(devices[i], F_OK) == 0)
			r = allow(b, devices[i], FS_DEVICE, err);
	if (r == 0 && access("/dev/pts", F_OK) == 0)
		r = allow(b, "/dev/pts", FS_DEVICE | FS_READ_DIR, err);
	return r;
}

/* /proc can be read and private places written; what only hides stays shut. */
static uint64_t access_of(enum pcore_sandbox_fresh_kind kind)
{
	switch (kind) {
	case PCORE_SANDBOX_PROC:
		return FS_READ;
	case PCORE_SANDBOX_TMP:
		return FS_ALL;
	case PCORE_SANDBOX_EMPTY:
		return 0;
	}
	return 0;
}

int pcore_sandbox_set_landlock(struct pcore_sandbox *b, struct pcore_err *err)
{
	int r = landlock_version();

	if (r <= 0)
		return pcore_err_set(err, r < 0 ? r : -EOPNOTSUPP, PCORE_STEP_LANDLOCK, "");
	b->landlock_abi = r;
	r = make_ruleset(b);
	if (r < 0)
		return pcore_err_set(err, r, PCORE_STEP_LANDLOCK, "");

	r = allow_system(b, err);
	for (size_t i = 0; i < b->n_paths && r == 0; i++)
		r = allow(b, b->paths[i].path, b->paths[i].writable ? FS_ALL : FS_READ, err);
	for (size_t i = 0; i < b->n_fresh; i++)
		b->fresh[i].access = access_of(b->fresh[i].kind) & handled_fs(b->landlock_abi);
	return r;
}
