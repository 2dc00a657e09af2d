/* SPDX-License-Identifier: MIT */
/*
 * command.c - can a command be run?
 */
#include "tools/cli/command.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int executable(int dfd, const char *path)
{
	struct stat st;

	if (fstatat(dfd, path, &st, 0) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	return faccessat(dfd, path, X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

static const char *path_of(char *const *env)
{
	for (; *env; env++)
		if (strncmp(*env, "PATH=", 5) == 0)
			return *env + 5;
	return "/bin:/usr/bin";
}

static int search(int dfd, const char *name, const char *path, char **ret_path)
{
	int result = -ENOENT;

	for (const char *end;; path = end + 1) {
		_cleanup_(freep) char *file = NULL;
		int r;

		end = strchrnul(path, ':');
		if (asprintf(&file, "%.*s%s%s", (int)(end - path), path, end == path ? "" : "/", name) < 0)
			return -ENOMEM;
		r = executable(dfd, file);
		if (r == 0) {
			*ret_path = file[0] == '/' ? TAKE_PTR(file) : NULL;
			return 0;
		}
		if (r == -EACCES)
			result = r;
		if (!*end)
			return result;
	}
}

int cli_command_find(const char *name, const char *dir, char *const *env, char **ret_path, struct pcore_err *err)
{
	_cleanup_(fd_closep) int dfd = -EBADF;
	int r;

	if (dir) {
		dfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (dfd < 0)
			return pcore_err_set(err, -errno, PCORE_STEP_CHDIR, dir);
	}
	*ret_path = NULL;
	if (strchr(name, '/') || !*name)
		r = executable(dir ? dfd : AT_FDCWD, name);
	else
		r = search(dir ? dfd : AT_FDCWD, name, path_of(env), ret_path);
	return r < 0 ? pcore_err_set(err, r, PCORE_STEP_EXEC, name) : 0;
}

/* As the kernel reckons, in bprm_stack_limits(): a quarter of the stack, within bounds, for the file's name, the variables
 * and arguments and a pointer to each of these. */
size_t cli_command_room(rlim_t stack, size_t n_env, size_t env_bytes, const char *file)
{
	static const size_t least = 128 << 10, most = 6 << 20, kept = 2048;
	size_t name = file ? strlen(file) + 1 : PATH_MAX, room = most, taken;

	if (stack / 4 < most)
		room = stack / 4 > least ? stack / 4 : least;
	taken = n_env * sizeof(char *) + env_bytes + 2 * name + kept;
	return taken < room ? room - taken : 0;
}

size_t cli_command_string_max(void)
{
	return 32 * (size_t)sysconf(_SC_PAGESIZE);
}
