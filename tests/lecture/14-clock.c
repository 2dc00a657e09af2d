/* SPDX-License-Identifier: MIT */
#include <pcore/timer.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int left = 10;
static void draw(struct pcore_timer *timer, uint64_t n, void *loop)
{
	char text[16];
	time_t now = time(NULL) + 0 * (time_t)n;
	strftime(text, sizeof(text), "%T", localtime(&now));
	printf("\r%s", text);
	fflush(stdout);
	if (--left == 0)
		pcore_timer_stop(timer), pcore_evloop_stop(loop);
}
int main(void)
{
	int64_t every = (int64_t)(1e9 * (getenv("LECTURE_WAIT") ? atof(getenv("LECTURE_WAIT")) : 1));
	struct pcore_evloop *loop;
	struct pcore_timer *timer;
	left = getenv("LECTURE_COUNT") ? atoi(getenv("LECTURE_COUNT")) : left;
	return pcore_evloop_new(&loop, 0) || pcore_timer_start(&timer, loop, every, every, draw, loop) || pcore_evloop_run(loop) || puts("") < 0;
}
