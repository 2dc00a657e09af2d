/* SPDX-License-Identifier: MIT */
/*
 * spawn - processes per second that this kernel can create, exec and reap, by
 * clone3(CLONE_VM|CLONE_VFORK|CLONE_PIDFD).
 * Usage: spawn [-p] [-c IN_FLIGHT] [-n TOTAL] -- PROGRAM [ARG...]. Prints the rate.
 *
 * Keeps IN_FLIGHT children going and reaps them in order of start. -p reads each child's stdout
 * from a pipe to its end: the floor under a pool that captures output.
 */
#include <fcntl.h>

#include "tests/bench/bench.h"

enum { IN_FLIGHT_MAX = 256 };

struct child {
	int pidfd, out;
};

struct start {
	char **argv;
	int out;
};

static void run_program(void *arg)
{
	const struct start *s = arg;

	if (s->out >= 0 && dup2(s->out, STDOUT_FILENO) < 0)
		_exit(127);
	execv(s->argv[0], s->argv);
	_exit(127);
}

static void start(struct child *c, char **argv, bool capture)
{
	static char stack[BENCH_STACK] __attribute__((aligned(16)));
	int p[2] = { -1, -1 };

	if (capture && pipe2(p, O_CLOEXEC) < 0)
		die("pipe2");
	vspawn(run_program, &(struct start){ argv, p[1] }, stack, &c->pidfd);
	if (capture)
		close(p[1]);
	c->out = p[0];
}

static void finish(struct child *c)
{
	static char buf[65536];
	siginfo_t si = { 0 };

	if (waitid(P_PIDFD, (id_t)c->pidfd, &si, WEXITED) < 0)
		die("waitid");
	if (si.si_code != CLD_EXITED || si.si_status != 0) {
		fprintf(stderr, "spawn: a child ended with %d\n", si.si_status);
		exit(1);
	}
	while (c->out >= 0 && read(c->out, buf, sizeof(buf)) > 0)
		;
	if (c->out >= 0)
		close(c->out);
	close(c->pidfd);
}

static double run_all(char **argv, unsigned total, unsigned in_flight, bool capture)
{
	static struct child children[IN_FLIGHT_MAX];
	unsigned started = 0;
	int64_t t0 = now_ns();

	for (unsigned reaped = 0; reaped < total; reaped++) {
		for (; started < total && started - reaped < in_flight; started++)
			start(&children[started % in_flight], argv, capture);
		finish(&children[reaped % in_flight]);
	}
	return (double)total * 1e9 / (double)(now_ns() - t0);
}

int main(int argc, char **argv)
{
	unsigned in_flight = 1, total = 1000;
	bool capture = false;
	int opt;

	while ((opt = getopt(argc, argv, "+c:n:p")) != -1) {
		if (opt == 'c')
			in_flight = number(optarg, IN_FLIGHT_MAX);
		else if (opt == 'n')
			total = number(optarg, 10000000);
		else if (opt == 'p')
			capture = true;
		else
			return 125;
	}
	if (!argv[optind])
		return 125;
	printf("%.1f\n", run_all(argv + optind, total, in_flight, capture));
	return 0;
}
