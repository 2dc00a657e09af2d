/* SPDX-License-Identifier: MIT */
/*
 * error.c - what all public calls need: errors, time.
 */
#include "libcore/api/api.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

int pcore_error_from(struct pcore_error *error, const struct pcore_err *err)
{
	if (error) {
		error->code = err->code;
		error->step = err->step == PCORE_STEP_NONE ? "" : pcore_step_name(err->step);
		memcpy(error->subject, err->subject, sizeof(error->subject));
	}
	return err->code;
}

_Static_assert(sizeof(((struct pcore_error *)0)->subject) == sizeof(((struct pcore_err *)0)->subject), "the same length");

int pcore_error_plain(struct pcore_error *error, int code, const char *subject)
{
	struct pcore_err err = { .code = code };

	(void)pcore_err_set(&err, code, PCORE_STEP_NONE, subject);
	return pcore_error_from(error, &err);
}

const char *pcore_error_text(const struct pcore_error *error, char *buf, unsigned long size)
{
	char subject[4 * sizeof(error->subject)], reason[64];

	(void)pcore_escape(subject, sizeof(subject), error->subject, strnlen(error->subject, sizeof(error->subject)));
	if (size > 0)
		(void)snprintf(buf, size, "%s%s%s%s%s%s", error->step, *error->step ? " " : "", *subject ? "'" : "", subject,
			*subject ? "': " : *error->step ? ": " : "", strerror_r(-error->code, reason, sizeof(reason)));
	return buf;
}

int64_t pcore_deadline(int64_t timeout)
{
	return timeout <= 0 ? 0 : pcore_ns_add(pcore_now_ns(), timeout);
}

int pcore_poll_until(struct pollfd *fds, size_t n, int64_t deadline)
{
	int r;

	do {
		int64_t left = deadline == INT64_MAX || deadline == 0 ? deadline : deadline - pcore_now_ns();
		struct timespec ts = { 0 };

		if (left > 0)
			ts = (struct timespec){ .tv_sec = left / NS_PER_S, .tv_nsec = left % NS_PER_S };
		r = ppoll(fds, n, deadline == INT64_MAX ? NULL : &ts, NULL);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

/* ---- SIGPIPE ---- */

static sigset_t sigpipe_set(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	return set;
}

void pcore_sigpipe_hold(struct pcore_sigpipe *s)
{
	sigset_t set = sigpipe_set(), old, pending;

	sigpending(&pending);
	s->pending = sigismember(&pending, SIGPIPE) == 1;
	pthread_sigmask(SIG_BLOCK, &set, &old);
	s->unblock = sigismember(&old, SIGPIPE) == 0;
}

void pcore_sigpipe_let(const struct pcore_sigpipe *s)
{
	sigset_t set = sigpipe_set(), pending;
	const struct timespec zero = { 0 };

	sigpending(&pending);
	if (!s->pending && sigismember(&pending, SIGPIPE) == 1)
		while (sigtimedwait(&set, NULL, &zero) > 0)
			;
	if (s->unblock)
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
