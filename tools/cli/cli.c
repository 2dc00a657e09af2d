/* SPDX-License-Identifier: MIT */
/*
 * cli.c - start-up, messages and exit.
 *
 * A message is built in one fixed buffer and leaves in one write(2), so that lines of several tools
 * on one terminal do not mix. That this write may fail is nobody's business: there is no other
 * place to say so.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tools/cli/cli.h"

enum { MESSAGE_MAX = 4096 };

struct cli_inherited cli_inherited;

static const char *tool_name = "pcore";
static char *diverted;
static size_t diverted_size;

static void (*message_sink)(void *ctx, const char *line, size_t len);
static void *message_ctx;

void cli_messages_to(void (*sink)(void *ctx, const char *line, size_t len), void *ctx)
{
	message_sink = sink;
	message_ctx = ctx;
}

const char *cli_tool(void)
{
	return tool_name;
}

void cli_divert(char *text, size_t size)
{
	assert(!text || size > 0);

	diverted = text;
	diverted_size = size;
}

/* One line with its control characters escaped, then the line "try 'TOOL --help'" for a usage
 * error. */
__attribute__((format(printf, 2, 0))) static void message(bool usage, const char *fmt, va_list ap)
{
	char raw[MESSAGE_MAX], out[MESSAGE_MAX + 256];
	size_t len, raw_len, text_len, room;
	int saved = errno, n;

	n = vsnprintf(raw, sizeof(raw), fmt, ap);
	raw_len = n < 0 ? 0 : (size_t)n;
	if (diverted) {
		pcore_escape(diverted, diverted_size, raw, raw_len < sizeof(raw) ? raw_len : sizeof(raw) - 1);
		errno = saved;
		return;
	}
	len = (size_t)snprintf(out, 64, "%.60s: ", tool_name);
	room = MESSAGE_MAX - len - strlen("...");
	text_len = pcore_escape(
		out + len, room, raw, raw_len < sizeof(raw) ? raw_len : sizeof(raw) - 1);
	len += text_len;
	if (raw_len >= sizeof(raw) || text_len + strlen("\\x00") >= room)
		len += (size_t)sprintf(out + len, "...");
	out[len++] = '\n';
	if (usage)
		len += (size_t)sprintf(out + len, "try '%.60s --help'\n", tool_name);
	if (message_sink)
		message_sink(message_ctx, out, len);
	else
		while (write(STDERR_FILENO, out, len) < 0 && errno == EINTR)
			;
	errno = saved;
}

int cli_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	message(false, fmt, ap);
	va_end(ap);
	return CLI_FAILURE;
}

void cli_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	message(false, fmt, ap);
	va_end(ap);
}

int cli_usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	message(true, fmt, ap);
	va_end(ap);
	return CLI_FAILURE;
}

/* Lower descriptors are taken first, so that open() lands on fd. Opened the wrong way round: its
 * use fails and is seen. */
static void occupy_if_closed(int fd)
{
	int got;

	if (fcntl(fd, F_GETFD) >= 0)
		return;
	cli_inherited.closed[fd] = true;
	got = open("/dev/null", (fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
	if (got == fd)
		return;
	cli_error("cannot open '/dev/null': %s", got < 0 ? strerror(errno) : "wrong descriptor");
	cli_exit(CLI_FAILURE);
}

static void note_ignored(int sig)
{
	struct sigaction sa;

	if (sigaction(sig, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN)
		sigaddset(&cli_inherited.ignored, sig);
}

void cli_start(const char *tool)
{
	assert(tool);

	tool_name = tool;
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		occupy_if_closed(fd);
	sigemptyset(&cli_inherited.ignored);
	note_ignored(SIGHUP);
	note_ignored(SIGINT);
	note_ignored(SIGQUIT);
	signal(SIGCHLD, SIG_DFL);
}

/* What could not be done at each step, and how its subject is quoted (NULL: it has none). */
static const struct step_words {
	const char *words, *quote;
} step_words[PCORE_STEP_COUNT] = {
	[PCORE_STEP_OPEN] = { "open", "'" },
	[PCORE_STEP_PIPE] = { "make a pipe", NULL },
	[PCORE_STEP_READ] = { "read the output of a job", NULL },
	[PCORE_STEP_INPUT] = { "write the input of a job", NULL },
	[PCORE_STEP_CGROUP] = { "use the cgroup", "'" },
	[PCORE_STEP_SUPERVISOR] = { "start the supervisor process", "'" },
	[PCORE_STEP_NAMESPACE] = { "make a namespace", NULL },
	[PCORE_STEP_CLONE] = { "create a process", NULL },
	[PCORE_STEP_SIGNALS] = { "reset the signals", NULL },
	[PCORE_STEP_SESSION] = { "start a session", NULL },
	[PCORE_STEP_PGROUP] = { "set the process group", NULL },
	[PCORE_STEP_DUP] = { "place descriptor", "" },
	[PCORE_STEP_CHDIR] = { "change directory to", "'" },
	[PCORE_STEP_UMASK] = { "set the umask", NULL },
	[PCORE_STEP_AFFINITY] = { "set the CPU affinity", NULL },
	[PCORE_STEP_NICE] = { "set the nice value", NULL },
	[PCORE_STEP_SCHED] = { "set --sched", NULL },
	[PCORE_STEP_IONICE] = { "set --ionice", NULL },
	[PCORE_STEP_OOM] = { "set --oom-adj", NULL },
	[PCORE_STEP_RLIMIT] = { "set limit", "'" },
	[PCORE_STEP_LIMIT] = { "set limit", "'" },
	[PCORE_STEP_GROUPS] = { "set the groups for --user or --groups", NULL },
	[PCORE_STEP_GROUP] = { "set --group", NULL },
	[PCORE_STEP_USER] = { "set --user", NULL },
	[PCORE_STEP_PDEATHSIG] = { "set the parent-death signal", NULL },
	[PCORE_STEP_MOUNT] = { "mount what the sandbox needs at", "'" },
	[PCORE_STEP_CAPS] = { "set capability", "'" },
	[PCORE_STEP_NO_NEW_PRIVS] = { "give up new privileges", NULL },
	[PCORE_STEP_LANDLOCK] = { "restrict access to files by Landlock", "'" },
	[PCORE_STEP_SECCOMP] = { "install the system call filter", NULL },
	[PCORE_STEP_EXEC] = { "run", "'" },
};

int cli_spawn_status(const struct pcore_err *err)
{
	assert(err->code < 0);

	if (err->step != PCORE_STEP_EXEC)
		return CLI_FAILURE;
	return err->code == -ENOENT || err->code == -ENOTDIR ? CLI_NOT_FOUND : CLI_CANNOT_RUN;
}

/* Is path a script whose interpreter is missing? Then the kernel's "no such file" is about that
 * one. */
static bool missing_interpreter(
	const char *path, char line[static 256], const char **ret_interpreter)
{
	_cleanup_(fd_closep) int fd = -EBADF;
	char *name;
	ssize_t n;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return false;
	n = read(fd, line, 255);
	if (n < 2 || memcmp(line, "#!", 2) != 0)
		return false;
	line[n] = '\0';
	name = line + 2 + strspn(line + 2, " \t");
	name[strcspn(name, " \t\n")] = '\0';
	if (!*name || access(name, F_OK) == 0)
		return false;
	*ret_interpreter = name;
	return true;
}

static void exec_text(char *buf, size_t size, const struct pcore_err *err, const char *command)
{
	const char *why = strerror(-err->code), *interpreter;
	char line[256];

	if (err->code == -ENOEXEC)
		snprintf(buf, size, "cannot run '%s': %s (a script needs a first line like #!/bin/sh)", command, why);
	else if (err->code == -ENOENT && strchr(err->subject, '/') &&
		 missing_interpreter(err->subject, line, &interpreter))
		snprintf(buf, size, "cannot run '%s': interpreter '%s': %s", command, interpreter, why);
	else
		snprintf(buf, size, "cannot run '%s': %s", command, why);
}

void cli_spawn_text(char *buf, size_t size, const struct pcore_err *err, const char *command)
{
	const struct step_words *w;

	assert(err->step >= PCORE_STEP_NONE);
	assert(err->step < PCORE_STEP_COUNT);

	w = &step_words[err->step];
	if (err->step == PCORE_STEP_EXEC || !w->words)
		exec_text(buf, size, err, command ? command : err->subject);
	else if (w->quote && err->subject[0])
		snprintf(buf, size, "cannot %s %s%s%s: %s", w->words, w->quote, err->subject, w->quote, strerror(-err->code));
	else
		snprintf(buf, size, "cannot %s: %s", w->words, strerror(-err->code));
}

int cli_spawn_error(const struct pcore_err *err, const char *command)
{
	char text[MESSAGE_MAX];

	cli_spawn_text(text, sizeof(text), err, command);
	(void)cli_error("%s", text);
	return cli_spawn_status(err);
}

int cli_write(int fd, const char *data, size_t len)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };

	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n >= 0) {
			data += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN) {
			(void)poll(&pfd, 1, -1);
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

int cli_print(const char *text)
{
	int r = cli_write(STDOUT_FILENO, text, strlen(text));

	if (r == -EPIPE)
		return CLI_FAILURE;
	if (r < 0)
		return cli_error("cannot write to standard output: %s", strerror(-r));
	return CLI_OK;
}

void cli_exit(int status)
{
	assert(status >= 0);
	assert(status <= 255);

	exit(status);
}

void cli_die_of(int sig)
{
	struct rlimit no_core = { 0 };
	sigset_t set;

	assert(sig > 0);

	/* A core pattern that is a pipe ignores the limit but not the dumpable flag. */
	(void)setrlimit(RLIMIT_CORE, &no_core);
	(void)prctl(PR_SET_DUMPABLE, 0);
	signal(sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(sig);
	_exit(CLI_SIGNALLED + sig);
}
