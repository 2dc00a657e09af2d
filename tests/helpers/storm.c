/* SPDX-License-Identifier: MIT */
/*
 * storm - 64 chains of processes, each of which forks once and exits, for SECONDS: whoever walks
 * the tree to end it is always late. Usage: storm [-x] SECONDS [IGNORED...]. Prints "ready" when
 * all chains run. With -x the first process exits then; without, it sleeps until the end.
 */
#include <time.h>

#include "tests/helpers/helper.h"

enum { CHAINS = 64 };

static time_t now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* Each generation rests for a moment, so that a storm does not starve the machine it runs on. */
_Noreturn static void chain(time_t end)
{
	while (now_s() < end) {
		if (fork() > 0)
			_exit(0);
		usleep(2000);
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	int stay = argc < 2 || strcmp(argv[1], "-x") != 0;
	time_t end;

	argv += stay ? 1 : 2;
	if (argc < 2 || !*argv)
		return 125;
	end = now_s() + (time_t)seconds(*argv);
	for (int i = 0; i < CHAINS; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0)
			chain(end);
	}
	puts("ready");
	fflush(stdout);
	while (stay && now_s() < end)
		usleep(100000);
	return 0;
}
