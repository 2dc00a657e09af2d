/* SPDX-License-Identifier: MIT */
/*
 * limits.c - how many jobs map runs at a time, by what the kernel allows.
 */
#include <inttypes.h>
#include <unistd.h>

#include "tools/map/run.h"

enum { LINGERING = 16 };

/* So many more jobs may have exited without being over, because something of them still runs or is to be read. */
static uint64_t lingering(uint64_t jobs)
{
	return jobs + LINGERING;
}

/* How many of these jobs the descriptors are enough for. Our limit is raised where it may be; the commands keep the one
 * that we were started with. */
static uint64_t fit_descriptors(struct map *m, uint64_t jobs)
{
	struct rlimit fds, raised;

	if (getrlimit(RLIMIT_NOFILE, &fds) < 0 || fds.rlim_cur == RLIM_INFINITY ||
		(jobs + lingering(jobs)) * m->fds_a_job + m->fds_ours <= fds.rlim_cur)
		return jobs;
	raised = (struct rlimit){ .rlim_cur = fds.rlim_max, .rlim_max = fds.rlim_max };
	if (fds.rlim_cur < fds.rlim_max && setrlimit(RLIMIT_NOFILE, &raised) == 0) {
		cli_limits_default(m->limits, &m->n_limits, RLIMIT_NOFILE, fds);
		fds = raised;
	}
	if (jobs * m->fds_a_job + m->fds_ours <= fds.rlim_cur)
		return jobs;
	return fds.rlim_cur > m->fds_ours + m->fds_a_job ? (fds.rlim_cur - m->fds_ours) / m->fds_a_job : 1;
}

/* What lingers has descriptors, too: those that the running ones leave over. */
unsigned fit_lingering(const struct map *m)
{
	uint64_t used = m->jobs * m->fds_a_job + m->fds_ours, most = lingering(m->jobs), left;
	struct rlimit fds;

	if (getrlimit(RLIMIT_NOFILE, &fds) < 0 || fds.rlim_cur == RLIM_INFINITY)
		return (unsigned)most;
	left = fds.rlim_cur > used ? (fds.rlim_cur - used) / m->fds_a_job : 0;
	return (unsigned)(left < most ? left : most);
}

/* As many jobs as descriptors and processes allow. */
unsigned fit_limits(struct map *m, uint64_t wanted, bool tell)
{
	uint64_t jobs = fit_descriptors(m, wanted);
	struct rlimit procs;

	if (geteuid() != 0 && getrlimit(RLIMIT_NPROC, &procs) == 0 && procs.rlim_cur != RLIM_INFINITY && jobs > procs.rlim_cur)
		jobs = procs.rlim_cur > 0 ? procs.rlim_cur : 1;
	if (jobs > CLI_JOBS_MAX)
		jobs = CLI_JOBS_MAX;
	if (tell && jobs < wanted) {
		cli_progress_clear(&m->progress);
		cli_warn("running %" PRIu64 " jobs at a time instead of %" PRIu64 ": the limits on descriptors and processes allow no more", jobs, wanted);
	}
	return (unsigned)jobs;
}

/* Jobs elsewhere have no descriptors here, but what they write may go to files. */
unsigned fit_remote(const struct map *m, uint64_t wanted)
{
	struct rlimit fds;

	if (m->fds_a_result > 0 && getrlimit(RLIMIT_NOFILE, &fds) == 0 && wanted > fds.rlim_cur / 2 / m->fds_a_result)
		wanted = fds.rlim_cur / 2 / m->fds_a_result;
	return wanted < 1 ? 1 : wanted < CLI_JOBS_MAX ? (unsigned)wanted : CLI_JOBS_MAX;
}
