/* SPDX-License-Identifier: MIT */
/*
 * plan.c - from a user's description of a process to ours, checked.
 */
#include "libcore/api/api.h"

#include <fcntl.h>
#include <unistd.h>

enum { FLAGS = (PCORE_PROCESS_SET_UID << 1) - 1 };

static int plan_fd(struct pcore_process_plan *plan, int target, const struct pcore_process_stdio *io)
{
	struct pcore_proc_fd f = { .target = target, .mode = 0666 };

	switch (io->how) {
	case PCORE_PROCESS_INHERIT:
		return 0;
	case PCORE_PROCESS_NULL:
		f.source = PCORE_FD_NULL;
		break;
	case PCORE_PROCESS_PIPE:
		f.source = target == 0 ? PCORE_FD_PIPE_IN : PCORE_FD_PIPE_OUT;
		break;
	case PCORE_PROCESS_FD:
		f.source = PCORE_FD_OURS;
		f.fd = io->fd;
		break;
	case PCORE_PROCESS_FILE:
	case PCORE_PROCESS_APPEND:
		f.source = PCORE_FD_FILE;
		f.path = io->path;
		f.flags = target == 0 ? O_RDONLY : O_WRONLY | O_CREAT | (io->how == PCORE_PROCESS_APPEND ? O_APPEND : O_TRUNC);
		break;
	case PCORE_PROCESS_STDOUT:
		f.source = PCORE_FD_SAME;
		f.fd = 1;
		break;
	default:
		return -EINVAL;
	}
	if ((f.source == PCORE_FD_OURS && f.fd < 0) || (f.source == PCORE_FD_FILE && !f.path) ||
		(io->how == PCORE_PROCESS_STDOUT && target != 2) || (io->how == PCORE_PROCESS_APPEND && target == 0))
		return -EINVAL;

	plan->fds[plan->spec.n_fds++] = f;
	return 0;
}

static int plan_pass(struct pcore_process_plan *plan)
{
	const struct pcore_process_spec *in = &plan->in;

	if (in->n_pass > PCORE_PROC_FDS_MAX - 3 || (in->n_pass > 0 && !in->pass))
		return -EINVAL;
	for (size_t i = 0; i < in->n_pass; i++) {
		const struct pcore_process_pass *p = &in->pass[i];

		if (p->target < 3 || p->fd < 0)
			return -EINVAL;
		for (size_t j = 0; j < i; j++)
			if (in->pass[j].target == p->target)
				return -EINVAL;
		plan->fds[plan->spec.n_fds++] =
			(struct pcore_proc_fd){ .target = p->target, .source = PCORE_FD_OURS, .fd = p->fd };
	}
	return 0;
}

static int plan_limits(struct pcore_process_plan *plan)
{
	const struct pcore_process_spec *in = &plan->in;

	if (in->n_limits > PCORE_PROC_LIMITS_MAX || (in->n_limits > 0 && !in->limits))
		return -EINVAL;
	for (size_t i = 0; i < in->n_limits; i++) {
		if (!pcore_limit_name(in->limits[i].resource))
			return -EINVAL;
		plan->limits[i] = (struct pcore_proc_limit){ in->limits[i].resource, in->limits[i].limit };
	}
	plan->spec.limits = plan->limits;
	plan->spec.n_limits = in->n_limits;
	return 0;
}

static bool makes_sense(const struct pcore_process_spec *in)
{
	return in->argv && in->argv[0] && !(in->flags & ~(unsigned)FLAGS) && in->timeout >= 0 && in->kill_after >= 0 &&
	       in->death_signal >= 0 && in->death_signal <= SIGRTMAX && (in->input || in->input_size == 0) &&
	       (in->groups || in->n_groups == 0);
}

int pcore_process_plan(struct pcore_process_plan *plan, const struct pcore_process_spec *spec)
{
	const struct pcore_process_spec *in = &plan->in;
	int r = pcore_sized_in(&plan->in, sizeof(plan->in), spec);

	if (r < 0)
		return r;
	if (!makes_sense(in))
		return -EINVAL;

	plan->spec = (struct pcore_proc_spec){
		.size = sizeof(plan->spec),
		.argv = in->argv,
		.envp = in->envp ? in->envp : environ,
		.file = in->file,
		.chdir = in->chdir,
		.fds = plan->fds,
		.new_session = in->flags & PCORE_PROCESS_SESSION,
		.set_pgroup = in->flags & PCORE_PROCESS_GROUP,
		.set_umask = in->flags & PCORE_PROCESS_SET_UMASK,
		.umask = in->umask,
		.nice = in->nice,
		.set_groups = in->flags & PCORE_PROCESS_SET_GROUPS,
		.groups = in->groups,
		.n_groups = in->n_groups,
		.set_gid = in->flags & PCORE_PROCESS_SET_GID,
		.gid = in->gid,
		.set_uid = in->flags & PCORE_PROCESS_SET_UID,
		.uid = in->uid,
		.pdeathsig = in->death_signal,
	};
	r = plan_fd(plan, 0, &in->in);
	if (r == 0)
		r = plan_fd(plan, 1, &in->out);
	if (r == 0)
		r = plan_fd(plan, 2, &in->err);
	if (r == 0)
		r = plan_pass(plan);
	return r < 0 ? r : plan_limits(plan);
}
