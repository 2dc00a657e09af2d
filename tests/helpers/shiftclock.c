/* SPDX-License-Identifier: MIT */
/*
 * shiftclock - a library to preload: the wall clock is another for the program, by as many seconds as the file $SHIFTCLOCK says
 * at that moment. Timers that are to notice when the clock is set notice it every 20 ms, be it so or not.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { FDS = 1024, NOTICE_NS = 20000000, NS = 1000000000 };

static bool early[FDS]; /* by descriptor: it expires before its time */

static void *real(const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);

	if (!f)
		abort();
	return f;
}

static time_t shift(void)
{
	const char *path = getenv("SHIFTCLOCK");
	FILE *f = path ? fopen(path, "re") : NULL;
	long long s = 0;

	if (f && fscanf(f, "%lld", &s) != 1)
		s = 0;
	if (f)
		fclose(f);
	return (time_t)s;
}

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	static int (*next)(clockid_t, struct timespec *);
	int r;

	if (!next)
		next = (int (*)(clockid_t, struct timespec *))(uintptr_t)real("clock_gettime");
	r = next(clock, ts);
	if (r == 0 && clock == CLOCK_REALTIME)
		ts->tv_sec += shift();
	return r;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *old)
{
	static int (*next)(int, int, const struct itimerspec *, struct itimerspec *);
	struct itimerspec ours = *when;
	struct timespec now, soon;

	if (!next)
		next = (int (*)(int, int, const struct itimerspec *, struct itimerspec *))(uintptr_t)real("timerfd_settime");
	if (!(flags & TFD_TIMER_CANCEL_ON_SET) || fd >= FDS)
		return next(fd, flags, when, old);
	ours.it_value.tv_sec -= shift();
	if (clock_gettime(CLOCK_REALTIME, &now) < 0)
		return -1;
	soon = (struct timespec){ .tv_sec = now.tv_sec - shift(), .tv_nsec = now.tv_nsec + NOTICE_NS };
	soon.tv_sec += soon.tv_nsec / NS;
	soon.tv_nsec %= NS;
	early[fd] = ours.it_value.tv_sec > soon.tv_sec || (ours.it_value.tv_sec == soon.tv_sec && ours.it_value.tv_nsec > soon.tv_nsec);
	if (early[fd])
		ours.it_value = soon;
	return next(fd, flags, &ours, old);
}

ssize_t read(int fd, void *buf, size_t size)
{
	static ssize_t (*next)(int, void *, size_t);
	ssize_t n;

	if (!next)
		next = (ssize_t(*)(int, void *, size_t))(uintptr_t)real("read");
	n = next(fd, buf, size);
	if (n > 0 && fd >= 0 && fd < FDS && early[fd]) {
		early[fd] = false;
		errno = ECANCELED;
		return -1;
	}
	return n;
}
