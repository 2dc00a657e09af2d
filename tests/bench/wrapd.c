/* SPDX-License-Identifier: MIT */
/*
 * wrapd - the least a dynamic wrapper can do: clone3, exec, waitid.
 * Usage: wrapd COMMAND [ARG...]. The floor under prun's start and end.
 */
#include "tests/bench/bench.h"

static void run_command(void *arg)
{
	char **argv = arg;

	execvp(argv[0], argv);
	_exit(127);
}

int main(int argc, char **argv)
{
	static char stack[BENCH_STACK] __attribute__((aligned(16)));
	siginfo_t si = { 0 };
	int pidfd = -1;

	if (argc < 2)
		return 125;
	vspawn(run_command, argv + 1, stack, &pidfd);
	if (waitid(P_PIDFD, (id_t)pidfd, &si, WEXITED) < 0)
		die("waitid");
	return si.si_code == CLD_EXITED ? si.si_status : 128 + si.si_status;
}
