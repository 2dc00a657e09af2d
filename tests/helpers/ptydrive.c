/* SPDX-License-Identifier: MIT */
/*
 * ptydrive STEP... -- COMMAND [ARG...] - run COMMAND in a terminal and type into it.
 *
 * A step is expect=TEXT (wait until it has come out, after what the last one found), send=TEXT
 * (type it), size=ROWSxCOLS, await=FILE (until it exists) or hangup (take the terminal away). What
 * came out is printed; the exit status is COMMAND's, 128 + N after a signal, 125 when an expected
 * text did not come in time.
 */
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/helpers/helper.h"

enum { PATIENCE_MS = 10000, OUTPUT_MAX = 1 << 20 };

static char output[OUTPUT_MAX];
static size_t output_len, seen;
static pid_t child;
static int master;

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

_Noreturn static void give_up(const char *what)
{
	fprintf(stderr, "ptydrive: waited in vain for '%s'; so far:\n%.*s\n", what, (int)output_len,
		output);
	kill(child, SIGHUP);
	kill(child, SIGKILL);
	exit(125);
}

/* Take what comes out within ms; false at the end. */
static int take_output(int ms)
{
	struct pollfd fd = { .fd = master, .events = POLLIN };
	ssize_t n;

	if (poll(&fd, 1, ms) == 0)
		return 1;
	n = read(master, output + output_len, OUTPUT_MAX - output_len);
	if (n > 0)
		output_len += (size_t)n;
	return n > 0;
}

static void expect(const char *text)
{
	long end = now_ms() + PATIENCE_MS;
	char *at;

	while (!(at = memmem(output + seen, output_len - seen, text, strlen(text))))
		if (now_ms() > end || !take_output(100))
			give_up(text);
	seen = (size_t)(at - output) + strlen(text);
}

static void await(const char *path)
{
	long end = now_ms() + PATIENCE_MS;

	while (access(path, F_OK) < 0) {
		if (now_ms() > end)
			give_up(path);
		(void)take_output(20);
	}
}

static void set_size(const char *text)
{
	struct winsize size = { 0 };

	if (sscanf(text, "%hux%hu", &size.ws_row, &size.ws_col) != 2 ||
		ioctl(master, TIOCSWINSZ, &size) < 0)
		die(text);
}

static void step(const char *s)
{
	if (strncmp(s, "expect=", 7) == 0)
		expect(s + 7);
	else if (strncmp(s, "await=", 6) == 0)
		await(s + 6);
	else if (strncmp(s, "size=", 5) == 0)
		set_size(s + 5);
	else if (strcmp(s, "hangup") == 0) {
		close(master);
		master = -1;
	} else if (strncmp(s, "send=", 5) == 0) {
		if (write(master, s + 5, strlen(s + 5)) < 0)
			die(s);
	} else {
		errno = EINVAL;
		die(s);
	}
}

int main(int argc, char **argv)
{
	struct winsize size = { .ws_row = 30, .ws_col = 90 };
	long end;
	int i = 1, status;

	while (i < argc && strcmp(argv[i], "--") != 0)
		i++;
	if (i + 1 >= argc)
		return 125;
	child = forkpty(&master, NULL, NULL, &size);
	if (child < 0)
		die("forkpty");
	if (child == 0) {
		execvp(argv[i + 1], argv + i + 1);
		die(argv[i + 1]);
	}
	for (int j = 1; j < i; j++)
		step(argv[j]);
	end = now_ms() + PATIENCE_MS;
	while (master >= 0 && take_output(100))
		if (now_ms() > end)
			give_up("the end");
	if (waitpid(child, &status, 0) < 0)
		die("waitpid");
	fwrite(output, 1, output_len, stdout);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
