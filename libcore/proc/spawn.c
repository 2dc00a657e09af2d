/* SPDX-License-Identifier: MIT */
/*
 * spawn.c - from a description to what the child needs: descriptors opened, the command's paths written out.
 *
 * All that can fail without the child is done here, in the parent; what is opened here for the child is closed here.
 */
#include "libcore/proc/private.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

static const struct {
	const char *name;
	int resource;
	bool size;
} limits[] = {
	{ "as", RLIMIT_AS, true },
	{ "core", RLIMIT_CORE, true },
	{ "cpu", RLIMIT_CPU, false },
	{ "data", RLIMIT_DATA, true },
	{ "fsize", RLIMIT_FSIZE, true },
	{ "locks", RLIMIT_LOCKS, false },
	{ "memlock", RLIMIT_MEMLOCK, true },
	{ "msgqueue", RLIMIT_MSGQUEUE, true },
	{ "nice", RLIMIT_NICE, false },
	{ "nofile", RLIMIT_NOFILE, false },
	{ "nproc", RLIMIT_NPROC, false },
	{ "rss", RLIMIT_RSS, true },
	{ "rtprio", RLIMIT_RTPRIO, false },
	{ "rttime", RLIMIT_RTTIME, false },
	{ "sigpending", RLIMIT_SIGPENDING, false },
	{ "stack", RLIMIT_STACK, true },
};

int pcore_limit_by_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		if (strcmp(limits[i].name, name) == 0)
			return limits[i].resource;
	return -EINVAL;
}

const char *pcore_limit_name(int resource)
{
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		if (limits[i].resource == resource)
			return limits[i].name;
	return NULL;
}

bool pcore_limit_is_size(int resource)
{
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		if (limits[i].resource == resource)
			return limits[i].size;
	return false;
}

uint64_t pcore_signals_block(void)
{
	const uint64_t all = ~UINT64_C(0);
	uint64_t old = 0;

	(void)raw4(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, sizeof(all));
	return old;
}

void pcore_signals_restore(uint64_t old)
{
	(void)raw4(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, sizeof(old));
}

/* The child's ends while they are open here. */
struct fd_plan {
	struct raw_dup dups[PCORE_PROC_FDS_MAX];
	int owned[PCORE_PROC_FDS_MAX]; /* opened for the child: closed after the clone */
	size_t n;
};

static void plan_close(struct fd_plan *plan)
{
	for (size_t i = 0; i < plan->n; i++)
		plan->owned[i] = pcore_fd_close(plan->owned[i]);
}

static int open_pipe(struct pcore_proc_fd *f, int *ret_child, struct pcore_err *err)
{
	int ends[2], ours, theirs;
	int r;

	r = pcore_fault("pipe", NULL);
	if (r == 0 && pipe2(ends, O_CLOEXEC) < 0)
		r = -errno;
	if (r < 0)
		return pcore_err_set(err, r, PCORE_STEP_PIPE, "");

	ours = f->source == PCORE_FD_PIPE_IN ? ends[1] : ends[0];
	theirs = f->source == PCORE_FD_PIPE_IN ? ends[0] : ends[1];
	if (fcntl(ours, F_SETFL, O_NONBLOCK) < 0) {
		r = -errno;
		(void)pcore_fd_close(ours);
		(void)pcore_fd_close(theirs);
		return pcore_err_set(err, r, PCORE_STEP_PIPE, "");
	}
	f->fd = ours;
	*ret_child = theirs;
	return 0;
}

static int plan_one(struct fd_plan *plan, struct pcore_proc_fd *f, struct pcore_err *err)
{
	int fd = -EBADF;
	int r;

	switch (f->source) {
	case PCORE_FD_OURS:
		plan->dups[plan->n] = (struct raw_dup){ f->fd, f->target };
		plan->owned[plan->n++] = -EBADF;
		return 0;
	case PCORE_FD_SAME: /* resolved when all others are planned */
	case PCORE_FD_CLOSED:
		plan->dups[plan->n] = (struct raw_dup){ -1, f->target };
		plan->owned[plan->n++] = -EBADF;
		return 0;
	case PCORE_FD_FILE:
	case PCORE_FD_NULL: {
		const char *path = f->source == PCORE_FD_NULL ? "/dev/null" : f->path;
		int flags = f->source == PCORE_FD_NULL ? O_RDWR : f->flags;

		fd = open(path, flags | O_CLOEXEC | O_NOCTTY, f->mode);
		if (fd < 0)
			return pcore_err_set(err, -errno, PCORE_STEP_OPEN, path);
		break;
	}
	case PCORE_FD_PIPE_IN:
	case PCORE_FD_PIPE_OUT:
		r = open_pipe(f, &fd, err);
		if (r < 0)
			return r;
		break;
	}
	plan->dups[plan->n] = (struct raw_dup){ fd, f->target };
	plan->owned[plan->n++] = fd;
	return 0;
}

static void close_our_ends(const struct pcore_proc_spec *spec, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (spec->fds[i].source == PCORE_FD_PIPE_IN || spec->fds[i].source == PCORE_FD_PIPE_OUT)
			spec->fds[i].fd = pcore_fd_close(spec->fds[i].fd);
}

static int plan_fds(struct fd_plan *plan, const struct pcore_proc_spec *spec, struct pcore_err *err)
{
	for (size_t i = 0; i < spec->n_fds; i++) {
		int r = plan_one(plan, &spec->fds[i], err);

		if (r < 0) {
			close_our_ends(spec, i);
			plan_close(plan);
			return r;
		}
	}
	for (size_t i = 0; i < spec->n_fds; i++) {
		if (spec->fds[i].source != PCORE_FD_SAME)
			continue;
		plan->dups[i].src = spec->fds[i].fd;
		for (size_t j = 0; j < spec->n_fds; j++)
			if (spec->fds[j].target == spec->fds[i].fd && j != i)
				plan->dups[i].src = plan->dups[j].src;
	}
	return 0;
}

static const char *path_of(char *const *envp)
{
	for (; *envp; envp++)
		if (strncmp(*envp, "PATH=", 5) == 0)
			return *envp + 5;
	return "/bin:/usr/bin";
}

static size_t count_chars(const char *s, char c)
{
	size_t n = 0;

	for (; *s; s++)
		n += *s == c;
	return n;
}

static const char *command_of(const struct pcore_proc_spec *spec)
{
	return spec->file ? spec->file : spec->argv[0];
}

/* Every path to try, in one block: the pointers first, their text behind them. */
static int command_paths(const struct pcore_proc_spec *spec, const char ***ret)
{
	const char *file = command_of(spec);
	bool search = !strchr(file, '/') && *file;
	const char *path = search ? path_of(spec->envp) : "";
	size_t n = search ? count_chars(path, ':') + 1 : 1, len = strlen(file);
	const char **paths = malloc((n + 1) * sizeof(*paths) + strlen(path) + n * (len + 3));
	char *p;

	if (!paths)
		return -ENOMEM;

	paths[0] = file;
	paths[n] = NULL;
	p = (char *)(paths + n + 1);
	for (size_t i = 0; search && i < n; i++) {
		const char *end = strchrnul(path, ':');

		paths[i] = p;
		if (end == path)
			*p++ = '.'; /* an empty entry is the current directory */
		p = mempcpy(p, path, (size_t)(end - path));
		*p++ = '/';
		p = mempcpy(p, file, len + 1);
		path = end + 1;
	}
	*ret = paths;
	return 0;
}

static int child_error(const struct raw_child *c, const struct pcore_proc_spec *spec, struct pcore_err *err)
{
	const char *subject = "";
	char number[16];

	if (c->subject)
		subject = c->subject;
	else if (c->step == PCORE_STEP_EXEC) /* a search that found nothing is told by the command's own name */
		subject = c->code == -ENOENT ? command_of(spec) : c->paths[c->index];
	else if (c->step == PCORE_STEP_CHDIR)
		subject = spec->chdir;
	else if (c->step == PCORE_STEP_RLIMIT)
		subject = pcore_limit_name(c->limits[c->index].resource);
	else if (c->step == PCORE_STEP_DUP) {
		(void)raw_format_u64(number, (uint64_t)c->dups[c->index].target);
		subject = number;
	}
	return pcore_err_set(err, c->code, c->step, subject);
}

static int dup_floor(const struct fd_plan *plan)
{
	int floor = 3;

	for (size_t i = 0; i < plan->n; i++)
		if (plan->dups[i].target >= floor)
			floor = plan->dups[i].target + 1;
	return floor;
}

/* What the description says to the child; descriptors, limits and paths are the caller's to add. */
static struct raw_child describe_child(const struct pcore_proc_spec *spec)
{
	return (struct raw_child){
		.argv = spec->argv,
		.envp = spec->envp,
		.chdir = spec->chdir,
		.n_limits = spec->n_limits,
		.affinity = spec->affinity,
		.keep_ignored = spec->keep_ignored,
		.new_session = spec->new_session,
		.set_ctty = spec->set_ctty,
		.set_pgroup = spec->set_pgroup,
		.set_umask = spec->set_umask,
		.pgroup = spec->pgroup,
		.umask = spec->umask,
		.nice = spec->nice,
		.set_sched = spec->set_sched,
		.sched_policy = spec->sched_policy,
		.sched_priority = spec->sched_priority,
		.set_ionice = spec->set_ionice,
		.ioprio = spec->ioprio,
		.set_oom_adj = spec->set_oom_adj,
		.set_groups = spec->set_groups,
		.groups = spec->groups,
		.n_groups = spec->n_groups,
		.set_gid = spec->set_gid,
		.gid = spec->gid,
		.set_uid = spec->set_uid,
		.uid = spec->uid,
		.pdeathsig = spec->pdeathsig,
		.sandbox = spec->sandbox,
	};
}

int pcore_spawn(struct pcore_tree *t, const struct pcore_proc_spec *spec, pid_t *ret_pid, int *ret_pidfd, struct pcore_err *err)
{
	_cleanup_(freep) const char **paths = NULL;
	struct raw_limit raw_limits[PCORE_PROC_LIMITS_MAX];
	struct fd_plan plan = { .n = 0 };
	struct raw_child child = describe_child(spec);
	int dumpable = spec->set_uid || spec->set_gid ? prctl(PR_GET_DUMPABLE) : 0;
	struct raw_spawn s = { .child = &child, .cgroup_fd = -1, .pidfd = -EBADF };
	int r;

	assert(spec->size == sizeof(*spec));
	assert(spec->argv && spec->argv[0] && spec->envp);
	assert(spec->n_fds <= PCORE_PROC_FDS_MAX);
	assert(spec->n_limits <= PCORE_PROC_LIMITS_MAX);

	for (size_t i = 0; i < spec->n_limits; i++)
		raw_limits[i] = (struct raw_limit){ spec->limits[i].resource, spec->limits[i].limit };
	r = command_paths(spec, &paths);
	if (r < 0)
		return pcore_err_set(err, r, PCORE_STEP_CLONE, "");

	child.paths = paths;
	child.limits = raw_limits;
	child.oom_adj_len = (size_t)snprintf(child.oom_adj, sizeof(child.oom_adj), "%d", spec->oom_adj);
	r = plan_fds(&plan, spec, err);
	if (r < 0)
		return r;

	child.dups = plan.dups;
	child.n_dups = plan.n;
	child.dup_floor = dup_floor(&plan);
	r = pcore_fault("spawn", NULL);
	if (r == 0) {
		r = t ? pcore_tree_spawn(t, &s) : pcore_plain_spawn(&s);
	} else {
		child.code = r;
		child.step = PCORE_STEP_CLONE;
	}
	if (dumpable == 1) /* the child's change of ids took it from the memory we shared */
		(void)prctl(PR_SET_DUMPABLE, 1);
	plan_close(&plan);
	if (r < 0) {
		close_our_ends(spec, spec->n_fds);
		return child_error(&child, spec, err);
	}
	*ret_pid = s.pid;
	*ret_pidfd = s.pidfd;
	return 0;
}
