/* SPDX-License-Identifier: MIT */
/*
 * pingpong - how long one line takes there and back. Usage: pingpong ROUNDS [COMMAND...]
 * Without a command through two pipes to another process, which is the floor; else to the command's standard input and
 * back from its standard output. Prints the median in microseconds.
 */
#include <fcntl.h>

#include "tests/bench/bench.h"

static void echo(int in, int out)
{
	char c[8];
	ssize_t n;

	while ((n = read(in, c, sizeof(c))) > 0)
		if (write(out, c, (size_t)n) != n)
			_exit(1);
	_exit(0);
}

static pid_t start(char **command, int *ret_in, int *ret_out)
{
	int in[2], out[2];
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		close(in[1]);
		close(out[0]);
		if (!command[0])
			echo(in[0], out[1]);
		if (dup2(in[0], 0) < 0 || dup2(out[1], 1) < 0)
			die("dup2");
		execvp(command[0], command);
		die(command[0]);
	}
	close(in[0]);
	close(out[1]);
	*ret_in = in[1];
	*ret_out = out[0];
	return pid;
}

static int64_t turn(int in, int out)
{
	int64_t t0 = now_ns();
	char c[8] = { 0 };

	if (write(in, "1\n", 2) != 2)
		die("write");
	do
		if (read(out, c, sizeof(c)) <= 0)
			die("read");
	while (!memchr(c, '\n', sizeof(c)));
	return now_ns() - t0;
}

int main(int argc, char **argv)
{
	unsigned n = argc > 1 ? number(argv[1], 10000000) : 0;
	int64_t *times = calloc(n + 1, sizeof(*times));
	int in, out, status;
	pid_t pid;

	if (n == 0 || !times)
		die("usage: pingpong ROUNDS [COMMAND...]");
	pid = start(argv + 2, &in, &out);
	for (unsigned i = 0; i < 20; i++)
		(void)turn(in, out);
	for (unsigned i = 0; i < n; i++)
		times[i] = turn(in, out);
	close(in);
	if (waitpid(pid, &status, 0) != pid || status != 0) {
		errno = ECHILD;
		die("the command failed");
	}
	printf("%.2f\n", (double)median(times, n) / 1000);
	return 0;
}
