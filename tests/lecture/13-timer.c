/* SPDX-License-Identifier: MIT */
#include <pcore/timer.h>
#include <stdio.h>
#include <stdlib.h>

static void fired(void *arg)
{
	puts(arg);
}

int main(void)
{
	double wait = getenv("LECTURE_WAIT") ? atof(getenv("LECTURE_WAIT")) : 5.5;
	struct pcore_alarm *alarm;

	if (pcore_alarm_start(&alarm, (int64_t)(wait * 1e9), 0, fired, "the timer has fired") < 0)
		return 1;
	puts("the program goes on");
	pcore_alarm_wait(alarm, PCORE_FOREVER);
	pcore_alarm_free(alarm);
	return 0;
}
