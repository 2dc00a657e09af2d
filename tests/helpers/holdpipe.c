/* SPDX-License-Identifier: MIT */
/*
 * holdpipe - prints TEXT and exits at once, but leaves a child that holds stdout and stderr open
 * for SECONDS.
 * Usage: holdpipe SECONDS [TEXT]
 */
#include "tests/helpers/helper.h"

int main(int argc, char **argv)
{
	unsigned left;
	pid_t pid;

	if (argc < 2)
		return 125;
	left = seconds(argv[1]);
	if (argc > 2)
		puts(argv[2]);
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork");
	while (pid == 0 && left)
		left = sleep(left);
	return 0;
}
