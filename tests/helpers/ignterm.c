/* SPDX-License-Identifier: MIT */
/*
 * ignterm - ignores TERM, prints "ready", and sleeps for SECONDS.
 * Usage: ignterm SECONDS [IGNORED...]
 */
#include <signal.h>

#include "tests/helpers/helper.h"

int main(int argc, char **argv)
{
	unsigned left;

	if (argc < 2)
		return 125;
	left = seconds(argv[1]);
	signal(SIGTERM, SIG_IGN);
	puts("ready");
	fflush(stdout);
	while (left)
		left = sleep(left);
	return 0;
}
