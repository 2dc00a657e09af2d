/* SPDX-License-Identifier: MIT */
/*
 * open.c - ppool open, and the directory that a named pool lives in.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/cli/detach.h"
#include "tools/cli/rundir.h"
#include "tools/ppool/named.h"
#include "tools/map/map.h"

#define AT(member) offsetof(struct server_opts, member)

enum { TRIES = 100 };

/* ---- the directory ---- */

static void sweep(int dfd)
{
	static const char *const files[] = { "socket", "closed", "log", "log.old" };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		(void)unlinkat(dfd, files[i], 0);
}

/* The lock last: whoever opens the directory until then finds it taken. */
void pool_dir_remove(struct pool_dir *dir)
{
	sweep(dir->dfd);
	(void)unlinkat(dir->dfd, "lock", 0);
	(void)unlinkat(dir->pools, dir->name, AT_REMOVEDIR);
}

static bool is_same(int fd, int dfd, const char *name)
{
	struct stat ours, theirs;

	return fstat(fd, &ours) == 0 && fstatat(dfd, name, &theirs, AT_SYMLINK_NOFOLLOW) == 0 && ours.st_ino == theirs.st_ino &&
	       ours.st_dev == theirs.st_dev;
}

/* Make it or take it over. -EAGAIN: somebody has it; -ESTALE: it was removed meanwhile. */
static int try_dir(struct pool_dir *dir)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (mkdirat(dir->pools, dir->name, 0700) < 0 && errno != EEXIST)
		return -errno;
	dir->dfd = openat(dir->pools, dir->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir->dfd < 0)
		return errno == ENOENT ? -ESTALE : -errno;
	dir->lock = openat(dir->dfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (dir->lock < 0)
		return errno == ENOENT ? -ESTALE : -errno;
	if (fcntl(dir->lock, F_OFD_SETLK, &all) < 0)
		return errno == EACCES ? -EAGAIN : -errno;
	if (!is_same(dir->dfd, dir->pools, dir->name) || !is_same(dir->lock, dir->dfd, "lock"))
		return -ESTALE;
	sweep(dir->dfd);
	return 0;
}

static void close_dir(struct pool_dir *dir)
{
	dir->dfd = pcore_fd_close(dir->dfd);
	dir->lock = pcore_fd_close(dir->lock);
}

static int take_dir(struct pool_dir *dir)
{
	int r = -ESTALE;

	dir->pools = cli_rundir_open("pools");
	if (dir->pools < 0)
		return CLI_FAILURE;
	for (int i = 0; i < TRIES && r == -ESTALE; i++) {
		close_dir(dir);
		r = try_dir(dir);
	}
	if (r == -EAGAIN) {
		(void)cli_error("there is a pool '%s' already", dir->name);
		return CLI_BUSY;
	}
	return r < 0 ? cli_error("cannot make '%s/pools/%s': %s", cli_rundir_path(), dir->name, strerror(-r)) : CLI_GO;
}

void pool_dir_forget(const char *name)
{
	struct pool_dir dir = { .pools = cli_rundir_open("pools"), .dfd = -EBADF, .lock = -EBADF, .name = name };

	if (dir.pools >= 0 && try_dir(&dir) == 0)
		pool_dir_remove(&dir);
	close_dir(&dir);
	dir.pools = pcore_fd_close(dir.pools);
}

/* ---- open ---- */

static int set_jobs(void *opts, const char *name, const char *value)
{
	return cli_opt_jobs(name, value, &((struct server_opts *)opts)->jobs);
}

static const struct cli_opt pool_table[] = {
	{ .name = "The pool", .kind = CLI_OPT_HEADING },
	{ .name = "jobs", .letter = 'j', .kind = CLI_OPT_CALL, .arg = "N|N%|+N", .set = set_jobs, .help = "so many at a time (one for each CPU)" },
	{ .name = "queue", .kind = CLI_OPT_U64, .arg = "N", .offset = AT(queue), .min = 1, .max = UINT32_MAX, .help = "so many jobs may wait (1048576)" },
	{ .name = "keep", .kind = CLI_OPT_SIZE, .arg = "SIZE", .offset = AT(keep), .min = 1, .help = "no job starts while results take more (64M)" },
	{ .name = "idle-timeout", .kind = CLI_OPT_DURATION, .arg = "D", .offset = AT(idle_timeout), .help = "end when nobody has used it for D (never)" },
	{ .name = NULL },
};

static int parse_options(struct server_opts *o, int argc, char **argv)
{
	const struct cli_opt *tables[] = { pool_table, cli_job_bounds_table, cli_job_identity_table, cli_job_time_table, NULL };
	void *targets[] = { o, &o->job, &o->job, &o->job };
	struct cli_opts spec = {
		.usage = "ppool open [options] NAME",
		.summary = "Start a pool in the background, which runs what ppool apply, async and after give it.",
		.tables = tables,
		.targets = targets,
	};
	int operand = 0, r = cli_opts_parse(&spec, argc, argv, &operand);

	if (r != CLI_GO)
		return r;
	if (!argv[operand])
		return cli_usage("no name given: ppool open NAME");
	if (argv[operand + 1])
		return cli_usage("one pool is opened at a time, not '%s' too", argv[operand + 1]);
	if (!cli_is_name(argv[operand]))
		return cli_usage("invalid name '%s': letters, digits, and . _ - inside, at most 64", argv[operand]);
	o->name = argv[operand];
	if (o->jobs == 0)
		o->jobs = cli_cpus();
	if (o->jobs > CLI_JOBS_MAX)
		o->jobs = CLI_JOBS_MAX;
	if (o->idle_timeout == 0)
		o->idle_timeout = INT64_MAX;
	return CLI_GO;
}

static int open_pool(const struct server_opts *o)
{
	struct pool_dir dir = { .pools = -EBADF, .dfd = -EBADF, .lock = -EBADF, .name = o->name };
	int ready_fd = -EBADF, status = take_dir(&dir);
	pid_t pid;

	if (status != CLI_GO)
		return status;
	pid = cli_detach(&ready_fd);
	if (pid < 0)
		return cli_error("cannot create a process: %s", strerror(-pid));
	if (pid == 0)
		cli_exit(server_run(o, &dir, ready_fd));
	status = cli_detach_wait(ready_fd);
	if (status == CLI_GO)
		return CLI_OK;
	(void)waitpid(pid, NULL, 0); /* the name is free when it is gone */
	return status == -ESRCH ? cli_error("the pool '%s' died", o->name) : status;
}

int ppool_open(int argc, char **argv)
{
	struct server_opts o = { .queue = UINT64_C(1) << 20, .keep = UINT64_C(64) << 20, .idle_timeout = INT64_MAX };
	int r;

	cli_job_opts_init(&o.job);
	r = parse_options(&o, argc, argv);
	if (r == CLI_GO)
		r = open_pool(&o);
	cli_job_opts_done(&o.job);
	return r;
}
