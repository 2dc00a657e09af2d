/* SPDX-License-Identifier: MIT */
/*
 * exitlag - how long after a command's last act its wrapper has ended.
 * Usage: exitlag -s: print the monotonic clock in ns and exit.
 *        exitlag [-n RUNS] -- WRAPPER [ARG...]: run `WRAPPER ARG... exitlag -s` that often and
 *        print the median in us.
 *
 * The figure holds the command's own exit, the wrapper's notice of it, and all the wrapper does
 * until it is gone.
 */
#include <fcntl.h>
#include <spawn.h>

#include "tests/bench/bench.h"

enum { RUNS_MAX = 10000 };

static int print_stamp(void)
{
	char line[32];
	int n = snprintf(line, sizeof(line), "%jd\n", (intmax_t)now_ns());

	return write(STDOUT_FILENO, line, (size_t)n) == n ? 0 : 1;
}

static int64_t lag_ns(char **argv)
{
	posix_spawn_file_actions_t fa;
	char line[32] = "";
	int p[2], status;
	int64_t end;
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		die("pipe2");
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, p[1], STDOUT_FILENO);
	errno = posix_spawnp(&pid, argv[0], &fa, NULL, argv, environ);
	if (errno)
		die(argv[0]);
	posix_spawn_file_actions_destroy(&fa);
	close(p[1]);
	waitpid(pid, &status, 0);
	end = now_ns();
	if (read(p[0], line, sizeof(line) - 1) <= 0 || status != 0) {
		errno = EIO;
		die(argv[0]);
	}
	close(p[0]);
	return end - strtoll(line, NULL, 10);
}

int main(int argc, char **argv)
{
	static char *words[64];
	static int64_t lags[RUNS_MAX];
	unsigned runs = 100;
	int opt, n = 0;

	while ((opt = getopt(argc, argv, "+sn:")) != -1) {
		if (opt == 's')
			return print_stamp();
		if (opt != 'n')
			return 125;
		runs = number(optarg, RUNS_MAX);
	}
	for (int i = optind; i < argc && n < 60; i++)
		words[n++] = argv[i];
	if (n == 0)
		return 125;
	words[n++] = argv[0];
	words[n++] = (char[]){ "-s" };
	for (unsigned i = 0; i < runs; i++)
		lags[i] = lag_ns(words);
	printf("%.1f\n", (double)median(lags, runs) / 1e3);
	return 0;
}
