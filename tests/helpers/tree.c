/* SPDX-License-Identifier: MIT */
/*
 * tree - makes descendants that are hard to catch, tells their pids, and sleeps with them for
 * SECONDS. Usage: tree [-d DEPTH] [-w WIDTH] [-f FILE] [-x] SECONDS [IGNORED...]
 *
 * Every process down to DEPTH (2) has WIDTH (2) children: the even ones are forked twice, as
 * daemons are, so that their parent is gone; the odd ones leave the session by setsid(). Each
 * appends its pid as a line to FILE. When all have, the first process prints "ready" and sleeps
 * like the others, or exits with -x.
 */
#include <fcntl.h>

#include "tests/helpers/helper.h"

static int pids = -1;
static unsigned depth_max = 2, width = 2;

static void tell_pid(void)
{
	char line[16];
	int n = snprintf(line, sizeof(line), "%d\n", getpid());

	if (pids >= 0 && write(pids, line, (size_t)n) != n)
		die("cannot write a pid");
}

static void leave(unsigned nth)
{
	if (nth % 2 == 1)
		setsid();
	else if (fork() != 0)
		_exit(0);
}

/* Returns in every process of the tree. */
static void grow(unsigned depth)
{
	for (unsigned i = 0; depth < depth_max && i < width; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0) {
			leave(i);
			grow(depth + 1);
			return;
		}
	}
	tell_pid();
}

int main(int argc, char **argv)
{
	unsigned left, stay = 1;
	int all[2], opt;
	pid_t first = getpid();
	char c;

	while ((opt = getopt(argc, argv, "+d:w:f:x")) != -1) {
		if (opt == 'd')
			depth_max = number(optarg, 1, 4);
		else if (opt == 'w')
			width = number(optarg, 1, 8);
		else if (opt == 'f')
			pids = open(optarg, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
		else if (opt == 'x')
			stay = 0;
		else
			return 125;
	}
	if (optind >= argc || pipe(all) < 0)
		return 125;
	left = seconds(argv[optind]);
	grow(0);
	close(all[1]); /* the last of the tree to do so gives the first one end of file */
	if (getpid() == first) {
		while (read(all[0], &c, 1) > 0)
			;
		puts("ready");
		fflush(stdout);
	}
	while (left && (stay || getpid() != first))
		left = sleep(left);
	return 0;
}
