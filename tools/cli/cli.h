/* SPDX-License-Identifier: MIT */
/*
 * cli.h - what every tool does the same way: starting up, messages, exit.
 *
 * A tool's main() calls cli_start() first, parses its options with a table (opts.h) and leaves through cli_exit().
 */
#ifndef PCORE_CLI_H
#define PCORE_CLI_H

#include <signal.h>

#include "libcore/base/base.h"

enum cli_status {
	CLI_OK = 0,
	CLI_NO = 1,	     /* the answer is no; some jobs failed */
	CLI_DRAINED = 3,
	CLI_CORRUPT = 65,
	CLI_BUSY = 75,
	CLI_VERSION = 76,
	CLI_AUTH = 77,
	CLI_TIMEOUT = 124,
	CLI_FAILURE = 125,   /* our own failure: usage, setup, stdout */
	CLI_CANNOT_RUN = 126,
	CLI_NOT_FOUND = 127,
	CLI_SIGNALLED = 128, /* + N */
};

enum { CLI_GO = -1 }; /* from an option parser: nothing to exit for yet */

/* What the tool was like when it was started, so that its commands get the same. */
struct cli_inherited {
	sigset_t ignored;	/* of HUP, INT and QUIT: those that stay ignored */
	bool closed[3];		/* was 0, 1, 2 closed by our caller? */
};

/* Before anything else: name the tool, occupy a closed 0 (write-only /dev/null) and closed 1 and 2 (read-only), all
 * close-on-exec; reset SIGCHLD to its default; note which of HUP, INT, QUIT are ignored. Exits 125 when it cannot. */
void cli_start(const char *tool);
extern struct cli_inherited cli_inherited;
const char *cli_tool(void);

/* One line on stderr, `tool: ...`, in one write(2); the format's result has its control characters escaped, a newline
 * too. errno is kept. cli_error() returns CLI_FAILURE so that a caller can `return cli_error(...)`. */
int cli_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void cli_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Messages go to sink (with ctx) instead of stderr, each as one line with its newline; NULL: to stderr again. */
void cli_messages_to(void (*sink)(void *ctx, const char *line, size_t len), void *ctx);

/* A usage error: the line, then `try 'TOOL --help'`. Returns CLI_FAILURE. */
int cli_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Until the next call, messages go to text (NUL-terminated, cut to size; the last one stays) instead of stderr, without the
 * tool's name and the line after a usage error. NULL: to stderr again. */
void cli_divert(char *text, size_t size);

/* A step of the spawn failed: prints "cannot <step> 'subject': why" in words fit for the step, and returns the status:
 * 127 or 126 for the exec step (ENOENT, ENOTDIR: 127; with the interpreter named when the file itself is there; ENOEXEC
 * has a hint), else 125. command is argv[0]. */
int cli_spawn_error(const struct pcore_err *err, const char *command);
/* The message alone, without the tool's name and as it is, cut to size; the status alone. */
void cli_spawn_text(char *buf, size_t size, const struct pcore_err *err, const char *command);
int cli_spawn_status(const struct pcore_err *err);

/* Print text to stdout (for --help and --version): CLI_OK, or CLI_FAILURE after a message when it cannot be written. */
int cli_print(const char *text);

/* Write all of it, to a descriptor that whoever shares it may have made non-blocking. 0 or -errno. */
int cli_write(int fd, const char *data, size_t len);

/* Leave with a status. */
_Noreturn void cli_exit(int status);

/* Die of sig, as a shell needs to see it: default disposition, unblocked, raised. core_limit 0 is set first for signals
 * that dump core: the command has dumped its own. Never returns. */
_Noreturn void cli_die_of(int sig);

#endif
