/* SPDX-License-Identifier: MIT */
/*
 * sample - runs a command and watches its memory and its descriptors.
 * Usage: sample COMMAND [ARG...]. Prints "PEAK_KIB HALF_KIB FDS_EARLY FDS_LATE": the peak resident
 * size, what it was half way, and the most descriptors seen in the first and in the second half of
 * the samples, one every 10 ms.
 */
#include <dirent.h>
#include <fcntl.h>

#include "tests/bench/bench.h"

enum { SAMPLES_MAX = 60000, EVERY_MS = 10 };

struct sample {
	unsigned rss_kib, fds;
};

static unsigned peak_kib(pid_t pid)
{
	char path[64], line[256];
	unsigned kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmHWM: %u", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

static unsigned open_fds(pid_t pid)
{
	char path[64];
	unsigned n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n > 2 ? n - 2 : 0;
}

static unsigned most_fds(const struct sample *s, size_t n)
{
	unsigned most = 0;

	for (size_t i = 0; i < n; i++)
		if (s[i].fds > most)
			most = s[i].fds;
	return most;
}

int main(int argc, char **argv)
{
	static struct sample s[SAMPLES_MAX];
	const struct timespec pause = { .tv_nsec = EVERY_MS * 1000000 };
	int status = 0;
	size_t n = 0;
	pid_t pid;

	if (argc < 2)
		return 125;
	pid = fork();
	if (pid == 0) {
		execvp(argv[1], argv + 1);
		_exit(127);
	}
	for (; n < SAMPLES_MAX && waitpid(pid, &status, WNOHANG) == 0; nanosleep(&pause, NULL)) {
		s[n] = (struct sample){ peak_kib(pid), open_fds(pid) };
		if (s[n].rss_kib && s[n].fds)
			n++;
	}
	if (n < 4 || status != 0) {
		fprintf(stderr, "sample: %zu samples, status 0x%x\n", n, (unsigned)status);
		return 1;
	}
	printf("%u %u %u %u\n", s[n - 1].rss_kib, s[n / 2].rss_kib, most_fds(s, n / 2),
	       most_fds(s + n / 2, n - n / 2));
	return 0;
}
