/* SPDX-License-Identifier: MIT */
/*
 * cpus.c - how many CPUs there are for us, and numbers that refer to them.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libcore/proc/proc.h"
#include "tools/cli/cpus.h"
#include "tools/cli/opts.h"

enum { NUMBER_MAX = 1000000000 };

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

unsigned cli_cpus(void)
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

int cli_parse_share(const char *text, unsigned cpus, uint64_t *ret)
{
	size_t len = strlen(text);
	char word[24];
	uint64_t n;
	int r;

	if (len == 0 || len >= sizeof(word))
		return -EINVAL;
	if (text[len - 1] != '%')
		return pcore_parse_u64(text, 1, NUMBER_MAX, ret);

	memcpy(word, text, len);
	word[len - 1] = '\0';
	r = pcore_parse_u64(word, 1, 100000, &n);
	if (r < 0)
		return r;

	n = n * cpus / 100;
	*ret = n > 0 ? n : 1;
	return 0;
}

int cli_parse_jobs(const char *text, unsigned cpus, uint64_t *ret)
{
	uint64_t n;
	int r;

	if (text[0] != '+')
		return cli_parse_share(text, cpus, ret);

	r = pcore_parse_u64(text + 1, 0, CLI_JOBS_MAX, &n);
	if (r == 0)
		*ret = n + cpus;
	return r;
}

int cli_opt_jobs(const char *name, const char *value, uint64_t *ret)
{
	int r = cli_parse_jobs(value, cli_cpus(), ret);

	return r < 0 ? cli_opt_bad(name, value, r == -ERANGE ? "out of range" : "must be N, N% or +N") : 0;
}
