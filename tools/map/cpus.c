/* SPDX-License-Identifier: MIT */
/*
 * cpus.c - how many CPUs there are for us.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/map/map.h"

static unsigned affinity_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return (unsigned)CPU_COUNT(&set);
}

/* "max 100000" or "150000 100000": CPUs, rounded up. */
static unsigned quota_of(int dfd, unsigned cpus)
{
	char buf[64];
	uint64_t quota, period;

	if (pcore_file_read(dfd, "cpu.max", buf, sizeof(buf)) < 0)
		return cpus;
	if (sscanf(buf, "%" SCNu64 " %" SCNu64, &quota, &period) != 2 || period == 0)
		return cpus;
	quota = (quota + period - 1) / period;
	return quota < cpus ? (unsigned)quota : cpus;
}

unsigned map_cpus(void)
{
	unsigned cpus = affinity_cpus();
	int dfd = pcore_cgroup_open();

	/* Each level up may be narrower; the mount's root has no cgroup.procs above it. */
	for (int depth = 0; dfd >= 0 && depth < 32; depth++) {
		int up;

		cpus = quota_of(dfd, cpus);
		up = openat(dfd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		dfd = pcore_fd_close(dfd);
		if (up >= 0 && faccessat(up, "cgroup.procs", F_OK, 0) == 0)
			dfd = up;
		else
			(void)pcore_fd_close(up);
	}
	(void)pcore_fd_close(dfd);
	return cpus > 0 ? cpus : 1;
}

int map_parse_jobs(const char *name, const char *value, uint64_t *ret)
{
	int r = govern_parse_jobs(value, map_cpus(), ret);

	return r < 0 ? cli_opt_bad(name, value, r == -ERANGE ? "out of range" : "must be N, N% or +N") : 0;
}
