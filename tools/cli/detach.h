/* SPDX-License-Identifier: MIT */
/*
 * detach.h - going to the background: a process of ours that outlives its caller, and what the two say to each other
 * until it does.
 *
 * The caller waits; what goes wrong meanwhile is read on its stderr, and ^C there ends both. When the process is ready it
 * lets go of all that is the caller's and tells it the status to leave with. Nothing that belongs to one process alone (a
 * loop, a keeper) may exist before the two part.
 */
#ifndef PCORE_CLI_DETACH_H
#define PCORE_CLI_DETACH_H

#include "libcore/base/base.h"

/* Part. 0 in the new process, which leads a session of its own and dies (TERM) with its caller until it lets go; its pid in
 * the caller; -errno. *ret_ready_fd: where the status is told, and awaited. */
pid_t cli_detach(int *ret_ready_fd);

/* In the new process: stdin and stdout become /dev/null, stderr a copy of log_fd (-EBADF: /dev/null), and every descriptor
 * that was inherited is closed (ours are close-on-exec), but for those that keep(), if given, asks for. */
void cli_detach_let_go(int log_fd, bool (*keep)(const void *ctx, int fd), const void *ctx);
void cli_detach_tell(int ready_fd, int status);

/* In the caller: the status that was told, or -ESRCH when the process died before. */
int cli_detach_wait(int ready_fd);

#endif
